"""Particles that block pores: exact statistics of parallel tubes, paths, and the pores that a blocking cuts off."""

from __future__ import annotations

import dataclasses
import math

import networkx as nx
import numpy as np
import pytest
from test_pore_network import network_of

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.fouling import FilterLife, filter_life
from membrane_dask.physics.networks.fouling_laws import END_CAUSES, FoulingLaws, Sieving
from membrane_dask.physics.networks.network_flow import flow_graph, scatter, solve_pressures
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.radius_distribution import RadiusSpread
from membrane_dask.physics.networks.random_network import generate
from membrane_dask.physics.networks.sieving import catch_probabilities

R0 = 0.01
N = 40
#: N parallel tubes of two equal pores.
TUBES = [pore for k in range(N) for pore in ((k, INLET, 0.5, R0), (k, OUTLET, 0.5, R0))]
DT = 2.5e-4


def lives_of(network: PoreNetwork, sieving: Sieving, n: int, **laws) -> list[FilterLife]:
    return [
        filter_life(
            network, deposition=1e-10, time_step=DT, flux_threshold=1e-12, laws=FoulingLaws(sieving=sieving, **laws),
            rng=np.random.default_rng(seed),
        )
        for seed in range(n)
    ]  # fmt: skip


def mean_flux(lives: list[FilterLife], step: int) -> tuple[float, float]:
    """Mean flux at a time step over that of unblocked tubes, and its standard error."""
    values = np.array([life.flux[step] if len(life.flux) > step else 0.0 for life in lives])
    values /= N * (R0 - step * DT) ** 4
    return values.mean(), values.std(ddof=1) / math.sqrt(len(values))


@pytest.fixture(scope="module")
def tubes() -> PoreNetwork:
    return network_of(TUBES, N)


def test_complete_blocking_of_parallel_tubes(tubes):
    """Expected flux N q_1(t) exp(-(rate / lambda) sum dt q_1); rate per unit of throughput."""
    lives = lives_of(tubes, Sieving(4.0, particle_radius=0.02), 80)
    for step in (4, 10, 20):
        passed = sum(DT * (R0 - k * DT) ** 4 for k in range(step))
        mean, error = mean_flux(lives, step)
        assert abs(mean - math.exp(-4.0 / 1e-10 * passed)) < 4 * error
    assert {END_CAUSES[life.end_of_life_cause] for life in lives} == {"extinction"}
    assert all(life.n_arrivals == life.band_blocked_pores.sum() and life.n_passed == 0 for life in lives)


def test_partial_blocking_of_parallel_tubes(tubes):
    """After k hits of its inlet pore a tube has 2 / (rho^-k + 1) of its flow; k by the master equation."""
    rho, rate = 0.2, 4.0 / 1e-10
    lives = lives_of(tubes, Sieving(4.0, particle_radius=0.02, residual_conductance=rho), 200)
    flow = 2 / (rho ** -np.arange(12) + 1)
    probability = np.eye(1, 12)[0]
    for step in range(21):
        if step in (4, 10, 20):
            mean, error = mean_flux(lives, step)
            # Hits within a step follow the flow of its radii: Euler's steps of the master equation are fine enough.
            assert abs(mean - (probability * flow).sum()) < 4 * error + 1e-3
        for _ in range(50):
            rates = rate * (R0 - step * DT) ** 4 * flow * DT / 50
            probability = probability - rates * probability + np.append(0, (rates * probability)[:-1])


def test_particles_pass_until_the_pores_are_narrower(tubes):
    """No tube is blocked before its radius is below that of the particles; afterwards as many as expected."""
    lives = lives_of(tubes, Sieving(40.0, particle_radius=0.0061), 100)
    onset = math.ceil((R0 - 0.0061) / DT)  # first step with radii below
    assert all((life.band_blocked_pores_history[onset] == 0).all() for life in lives)
    assert mean_flux(lives, onset)[0] == pytest.approx(1, rel=1e-3)  # c is 1 less 1e-3 in the second pore
    step = onset + 6
    exponent = 40.0 / 1e-10 * sum(DT * (R0 - k * DT) ** 4 for k in range(onset, step))
    mean, error = mean_flux(lives, step)
    assert abs(mean - math.exp(-exponent)) < 4 * error
    assert all(life.n_passed > 0 for life in lives)


def test_life_of_parallel_tubes_ends_with_the_last_one(tubes):
    """Arrivals by time: every particle blocks a tube, so that T is gamma-distributed with mean N / rate."""
    rate = N / 0.003
    lives = lives_of(tubes, Sieving(rate, arrivals="time", particle_radius=0.02), 200)
    lifetimes = np.array([life.lifetime for life in lives])
    assert abs(lifetimes.mean() - N / rate) < 4 * math.sqrt(N / 200) / rate
    assert lifetimes.std(ddof=1) == pytest.approx(math.sqrt(N) / rate, rel=0.25)  # 5 standard errors
    assert {END_CAUSES[life.end_of_life_cause] for life in lives} == {"blocked"}
    # The last tube has the flow of one, until it is blocked: throughput between two sums over the particles.
    assert all(0 < life.throughput < N * R0**4 * life.lifetime / 1e-10 for life in lives)


def test_throughput_counts_the_time_of_every_particle(tubes):
    """A coarse time step gives the throughput of a fine one: both are means of the same process."""
    sieving = Sieving(4.0, particle_radius=0.02)
    laws = FoulingLaws(sieving=sieving, end_time=4)
    fine = dataclasses.replace(laws, end_time=32)
    means, errors = [], []
    for one, step in ((laws, 1e-3), (fine, 1.25e-4)):
        values = np.array([
            filter_life(tubes, deposition=1e-10, time_step=step, flux_threshold=1e-12, laws=one,
                        rng=np.random.default_rng(seed)).throughput
            for seed in range(150)
        ])  # fmt: skip
        means.append(values.mean())
        errors.append(values.std(ddof=1) / math.sqrt(150))
    # The radii of a step are those of its beginning: 1e-3 of 0.01 in the first of four steps, and 4 % of the flux.
    assert abs(means[0] / means[1] - 1) < 4 * math.hypot(*errors) / means[1] + 0.03


def test_constant_flux_with_particles(tubes):
    """Arrivals by volume at constant flux are as many as by time, and blocking raises the pressure."""
    flux = 0.5 * N * R0**4
    lives = lives_of(tubes, Sieving(2.0, particle_radius=0.02), 60, flux=flux, pressure_limit=20.0)
    arrivals = np.array([life.n_arrivals for life in lives])
    expected = np.array([2.0 * flux / 1e-10 * life.lifetime for life in lives])
    assert abs((arrivals - expected).mean()) < 4 * math.sqrt(expected.mean() / 60)
    assert all((np.diff(life.transmembrane_pressure[:-1]) > 0).all() for life in lives)
    assert all(life.throughput == pytest.approx(flux * life.lifetime / 1e-10) for life in lives)


@pytest.mark.parametrize("distribution", ["normal", "lognormal", "uniform"])
def test_sizes_of_particles(distribution):
    """Half of the particles are larger than the median: they are caught, the others pass."""
    spread = RadiusSpread(distribution, 0.2)
    median = {"normal": 1.0, "uniform": 1.0, "lognormal": spread.scale_and_slope[0]}[distribution]
    wide = network_of([(0, INLET, 0.5, 0.02), (0, OUTLET, 0.5, 0.02)], 1)
    sieving = Sieving(1e6, arrivals="time", particle_radius=0.02 / median, spread=spread, residual_conductance=0.999)
    laws = FoulingLaws(sieving=sieving, end_time=1)
    life = filter_life(
        wide, deposition=1e-10, time_step=2e-3, flux_threshold=1e-12, laws=laws, rng=np.random.default_rng(1)
    )
    assert abs(life.n_passed - life.n_arrivals / 2) < 4 * math.sqrt(life.n_arrivals) / 2


def test_arrivals_in_one_step_are_limited(tubes):
    with pytest.raises(
        PhysicsError, match=r"sieving\.rate 1e\+06: 250 particles in the first step, which block all inlets"
    ):
        lives_of(tubes, Sieving(1e6, arrivals="time", particle_radius=0.02), 1)


def small_network(spread: float = 0.0) -> PoreNetwork:
    return generate(
        np.random.default_rng(3), l_min=0.06, l_max=0.25, radii=band_radii(0.01, 2e-3, 4), porosity=0.05,
        porosity_tolerance=0.05, spread=RadiusSpread("normal", spread),
    )  # fmt: skip


def test_catch_probabilities():
    """Every particle is caught in a narrower pore or passes; wide ones at the inlets, in proportion to the flow."""
    network = small_network()
    graph = flow_graph(network)
    adjacent = adjacency(network.throat_conns, len(network.junctions))
    flowing = flowing_pores(*adjacent, np.ones(len(network.length), bool))
    radius = scatter(graph, network.radius, 0.0)
    conductance = scatter(graph, flowing * network.radius**4 / network.length, 0.0)
    pressure = 1 - graph.depth
    assert solve_pressures(graph, conductance, pressure, 1e-10) >= 0
    n, inlets = len(graph.lower), len(graph.inlet)
    order = np.argsort(-pressure, kind="stable")
    for particle in (0.0065, 0.0095, 0.012, 0.02):
        probability, passed, entered = catch_probabilities(graph, conductance, pressure, order, radius, particle)
        assert probability.sum() + passed == pytest.approx(1, abs=1e-8)
        assert (probability[radius >= particle] == 0).all()
        assert entered >= 1 - 1e-12
    first = probability[n : n + inlets]
    assert first.sum() == pytest.approx(1)  # wider than every pore: caught at the inlets, in proportion to the flow
    inlet_flow = conductance[n : n + inlets] * (1 - pressure[graph.inlet])
    np.testing.assert_allclose(first, inlet_flow / inlet_flow.sum(), rtol=1e-12)


def test_particles_follow_the_catch_probabilities():
    """Particles of a filter that hardly changes are caught where the probabilities of its clean flow say."""
    network = small_network(spread=0.2)
    sieving = Sieving(4e5, arrivals="time", particle_radius=0.0085, residual_conductance=0.9999)
    laws = FoulingLaws(sieving=sieving, end_time=1)
    life = filter_life(
        network, deposition=5e-7, time_step=0.02, flux_threshold=1e-12, laws=laws, rng=np.random.default_rng(2)
    )
    expected = life.band_catch_probability * life.n_arrivals
    assert (np.abs(life.band_blocked_pores - expected) <= 4 * np.sqrt(expected) + 1e-9).all()
    assert np.count_nonzero(expected) >= 2


@pytest.mark.parametrize("seed", range(3))
def test_blocked_pores_cut_off_what_they_must(seed):
    """After any sequence of blockings the flow is that of the pores on simple paths, found anew by networkx."""
    network = small_network()
    sieving = Sieving(3e4, arrivals="time", particle_radius=0.0125)
    laws = FoulingLaws(sieving=sieving)
    life = filter_life(
        network, deposition=5e-7, time_step=DT, flux_threshold=1e-12, laws=laws, rng=np.random.default_rng(seed)
    )
    assert END_CAUSES[life.end_of_life_cause] == "blocked"
    assert life.band_blocked_pores.sum() == life.n_arrivals - life.n_passed
    assert (np.diff(life.flux) < 0).all()
    # The last particle was the one that left no path: a cut of the graph has been blocked.
    graph = nx.Graph(network.to_networkx())
    assert life.n_arrivals >= nx.edge_connectivity(graph, "feed", "filtrate")
    assert life.flux_residual < 1e-9
