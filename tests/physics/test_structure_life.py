"""Life of a structure: tubes with known lives, conservation of foulant, wall layers, particles and ends of a life."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from strategies import pore_space

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.labelled_network import labelled_network
from membrane_dask.physics.imaging.watershed import SnowParameters
from membrane_dask.physics.networks.fouling_laws import BLOCKED, FLUX_FRACTION, PRESSURE_LIMIT, TIME, Sieving
from membrane_dask.physics.networks.network_flow import flow_graph, scatter
from membrane_dask.physics.networks.stokes_conductance import network_flow
from membrane_dask.physics.networks.structure_erosion import body_shear, throat_shear
from membrane_dask.physics.networks.structure_hydraulics import bottleneck_radius, structure_hydraulics
from membrane_dask.physics.networks.structure_laws import Erosion, StructureLaws, WallUptake
from membrane_dask.physics.networks.structure_life import simulate_structure
from membrane_dask.physics.networks.structure_metrics import structure_life
from membrane_dask.physics.networks.structure_units import StructureUnits, film_rate, stokes_einstein, wall_uptake
from membrane_dask.physics.networks.wall_layers import thickness_and_area, wall_layers
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes

SNOW = SnowParameters()
LEVELS = (0.75, 0.5, 0.25, 0.1)


def tubes(radius=8, depth=20, number=2):
    """Equal straight tubes on voxel centres: the distance at their axes is their radius exactly."""
    period = 2 * radius + 4
    y, x = np.ogrid[0 : number * period, 0 : number * period]
    section = (y % period - period // 2) ** 2 + (x % period - period // 2) ** 2 < radius**2
    return np.repeat(section[None], depth, axis=0)


@cache
def hydraulics(name):
    pores = tubes() if name == "tubes" else pore_space((64, 60, 56), 3, 0.38, 3.0)
    return structure_hydraulics(pores, SNOW)


def uptake(name, number, **rates):
    """Uptake of a single foulant with the Damkoehler number ``number``."""
    clean = hydraulics(name)
    one, zero = np.ones(1), np.zeros(1)
    return replace(WallUptake(one, one, one, number * clean.flow / clean.wall_area, zero), **rates)


def life(name, number, rates=None, key=0, **laws):
    settings = StructureLaws(uptake(name, number, **(rates or {})), **{"levels": LEVELS, **laws})
    history = simulate_structure(hydraulics(name).structure, settings, key)
    return history, structure_life(history, settings)


@pytest.mark.parametrize("exponent", [3, 4])
def test_tubes_in_a_feed_of_constant_concentration(exponent):
    """Flow (1 - t/r)^m: the thickness at a level is r (1 - level^(1/m)); the interpolation between steps remains."""
    exact = 8 * (1 - np.array(LEVELS) ** (1 / exponent))
    for step, tolerance in ((0.05, 0.015), (0.005, 5e-4)):
        _, metrics = life("tubes", 1e-6, exponent=exponent, step=step)
        np.testing.assert_allclose(metrics.level_time, exact, rtol=tolerance)
    assert metrics.end_time == pytest.approx(metrics.level_time[-1], rel=1e-12)
    # With c = 1 the filtrate is the integral of the flow.
    integral = 8 / (exponent + 1) * (1 - (1 - exact[-1] / 8) ** (exponent + 1))
    assert metrics.filtrate / hydraulics("tubes").flow == pytest.approx(integral, rel=1e-4)
    assert metrics.concentration[0] == pytest.approx(1, abs=2e-6)


def test_diffusion_to_the_wall_of_a_throat():
    """All tubes have a radius of 8 voxels: with a film as resistant as the wall, they live twice as long."""
    fast, slow = life("tubes", 1e-6)[1], life("tubes", 1e-6, {"throat_film": np.full(1, 1 / 8)})[1]
    np.testing.assert_allclose(slow.level_time, 2 * fast.level_time, rtol=1e-6)


@pytest.mark.parametrize("number", [0.01, 1.0, 5.0])
def test_foulant_is_conserved_and_the_step_suffices(number):
    history, metrics = life("Gaussian", number)
    assert history.deposited / history.removed == pytest.approx(1, abs=1e-9)
    assert history.balance_error < 1e-9
    assert history.cause == FLUX_FRACTION
    _, fine = life("Gaussian", number, step=0.005)
    np.testing.assert_allclose(metrics.level_time, fine.level_time, rtol=0.01)
    assert metrics.filtrate == pytest.approx(fine.filtrate, rel=0.01)
    assert metrics.log_reduction == pytest.approx(fine.log_reduction, rel=0.01)
    np.testing.assert_allclose(metrics.level_deposit.sum(axis=1), 1, rtol=1e-12)
    # Removed foulant is what the filtrate lacks, by the integrals that users see.
    lacking = metrics.filtrate * (1 - metrics.concentration[0]) / uptake("Gaussian", number).affinity
    assert metrics.history.deposit[-1].sum() == pytest.approx(lacking, rel=0.01)


def test_a_clean_row_of_mixed_bodies():
    """Tubes are single bodies: c = 1 / (1 + N), for every foulant of the feed."""
    rates = {"fraction": np.array([0.3, 0.7]), "throat_film": np.zeros(2)}
    rates |= dict.fromkeys(("wall_rate", "body_rate"), np.array([2.0, 4 / 7]))
    history, _ = life("tubes", 0.5, rates)
    np.testing.assert_allclose(history.records[0].concentration, 1 / (1 + 0.5 * rates["body_rate"]), rtol=1e-9)


def test_equal_species_are_one():
    half = {"fraction": np.full(2, 0.5), "wall_rate": np.ones(2), "body_rate": np.ones(2), "throat_film": np.zeros(2)}
    one, two = life("Gaussian", 1.0)[1], life("Gaussian", 1.0, half)[1]
    np.testing.assert_allclose(two.level_time, one.level_time, rtol=1e-9)
    np.testing.assert_allclose(two.concentration, one.concentration[0], rtol=1e-9)


def test_constant_flux():
    history, metrics = life("tubes", 1e-6, flux=math.inf, pressure_limit=5.0)
    assert history.cause == PRESSURE_LIMIT
    # All flows and concentrations are those at the same thickness: TMP = (1 - t/r)^-3.
    assert metrics.end_time == pytest.approx(8 * (1 - 5 ** (-1 / 3)), rel=0.01)
    assert metrics.filtrate == pytest.approx(hydraulics("tubes").flow * metrics.end_time, rel=1e-12)
    assert metrics.history.pressure[0] == 1
    assert metrics.history.pressure[-1] == pytest.approx(5, rel=1e-9)
    at_once, nothing = life("tubes", 1e-6, flux=3 * hydraulics("tubes").flow, pressure_limit=2.0)
    assert (at_once.cause, nothing.end_time, nothing.filtrate) == (PRESSURE_LIMIT, 0, 0)
    assert nothing.concentration[0] == pytest.approx(1, abs=2e-6)


def test_an_end_by_time_and_levels_beyond_it():
    history, metrics = life("Gaussian", 1.0, end_time=0.4)
    assert history.cause == TIME
    assert metrics.end_time == pytest.approx(0.4, rel=1e-12)
    assert np.isfinite(metrics.level_time[0])
    assert np.isnan(metrics.level_time[1:]).all()
    assert np.isnan(metrics.level_deposit[1:]).all()


def test_the_wall_shear_of_tubes_erodes_as_in_a_network():
    """As for the tubes of a network, d(delta)/dt = 1 - e P (r - delta)/(2 L), with r = 8, L = 20 and e = 2.5.

    The voxels' shear is 0.935 of P r/(2 L): their flow is 0.898 of Poiseuille's, their section 0.96 of pi r^2.
    """
    rate, levels = 2.5, np.array(LEVELS)
    metrics = life("tubes", 1e-6, exponent=4, erosion=Erosion(rate))[1]
    flow, area = hydraulics("tubes").flow / 4, np.count_nonzero(tubes()[0]) / 4
    for shear, tolerance in ((4 * flow / (area * 8), 0.01), (8 / 40, 0.07)):  # of voxels: the error of the step
        speed, slope = 1 - rate * shear, rate * shear / 8
        times = np.log1p(slope * 8 * (1 - levels**0.25) / speed) / slope
        np.testing.assert_allclose(metrics.level_time, times, rtol=tolerance)
    # Tubes whose shear exceeds the balance stay clean; below the critical shear nothing is eroded.
    clean = life("tubes", 1e-6, exponent=4, erosion=Erosion(6), end_time=60.0)[1]
    np.testing.assert_array_equal(clean.history.flow, clean.history.flow[0])
    plain, critical = life("tubes", 1e-6, exponent=4)[1], life("tubes", 1e-6, exponent=4, erosion=Erosion(6, 0.2))[1]
    np.testing.assert_allclose(critical.level_time, plain.level_time, rtol=1e-9)
    with pytest.raises(PhysicsError, match="erosion takes all that is deposited, so that the life does not end"):
        life("tubes", 1e-6, exponent=4, erosion=Erosion(6))


def test_the_wall_shear_of_bodies_and_throats_is_that_of_the_tubes():
    """Power and volume of a tube give the shear of its throats but for the lattice: sqrt(flow/volume) for flow/area."""
    structure = hydraulics("tubes").structure
    graph = flow_graph(structure.network)
    conductance, closing = scatter(graph, structure.conductance, 0.0), scatter(graph, structure.closing_radius, 1.0)
    volume = np.full(4, structure.pore_volume / 4)
    area = scatter(graph, np.pi * structure.network.radius**2, 1.0)
    flow = 0.5 * conductance  # inlets and outlets each have half of the pressure difference
    of_bodies = body_shear(graph, flow, conductance, volume)
    of_throats = throat_shear(flow, area, closing, np.zeros(len(flow)), 4)[graph.pores >= 0]
    np.testing.assert_allclose(of_bodies, 0.2, rtol=0.04)
    np.testing.assert_allclose(of_throats, 0.2, rtol=0.07)
    half = throat_shear(flow / 16, area, closing, closing / 2, 4)[graph.pores >= 0]
    np.testing.assert_allclose(half, of_throats / 2, rtol=1e-12)
    np.testing.assert_allclose(body_shear(graph, flow / 16, conductance / 16, volume / 4), of_bodies / 2, rtol=1e-12)


def test_constant_flux_with_erosion_reaches_a_balance():
    """A tube's shear at a constant flow rises with the third power: e tau (1 - x)^-3 = 1, where TMP = (1 - x)^-4."""
    rate = 1.5
    history, metrics = life("tubes", 1e-6, exponent=4, erosion=Erosion(rate), flux=math.inf, end_time=100.0)
    shear = 4 * hydraulics("tubes").flow / (np.count_nonzero(tubes()[0]) * 8)
    assert history.cause == TIME
    assert metrics.history.pressure[-1] == pytest.approx((rate * shear) ** (-4 / 3), rel=1e-3)


@pytest.mark.parametrize(
    ("law", "changes"),
    [
        (Erosion(10.0), {}),
        (Erosion(30.0, 0.01), {"flux": math.inf, "pressure_limit": 1.2}),
        (Erosion(100.0, 0.01), {}),
    ],
    ids=["weak", "constant flux", "strong"],
)
def test_eroded_foulant_is_conserved_and_the_step_suffices(law, changes):
    settings = {"erosion": law, "end_time": 10.0, **changes}
    history, metrics = life("Gaussian", 1.0, **settings)
    assert history.deposited / history.removed == pytest.approx(1, abs=1e-9)
    assert history.balance_error < 1e-9
    plain = life("Gaussian", 1.0, **{name: value for name, value in settings.items() if name != "erosion"})[1]
    assert metrics.filtrate > plain.filtrate
    fine = life("Gaussian", 1.0, step=0.01, **settings)[1]
    for name in ("end_time", "filtrate", "concentration"):
        assert getattr(metrics, name) == pytest.approx(getattr(fine, name), rel=0.01), name


def test_eroded_foulant_is_returned_or_lost():
    """Lost foulant is neither deposited nor in the filtrate; with several foulants, the first one has all of it."""
    returned, in_filtrate = life("Gaussian", 1.0, erosion=Erosion(30.0), end_time=5.0)
    lost, metrics = life("Gaussian", 1.0, erosion=Erosion(30.0, 0.0, False), end_time=5.0)
    assert lost.deposited < 0.2 * lost.removed
    assert lost.balance_error < 1e-9
    assert metrics.concentration[0] < in_filtrate.concentration[0]
    half = {"fraction": np.full(2, 0.5), "wall_rate": np.ones(2), "body_rate": np.ones(2), "throat_film": np.zeros(2)}
    history, two = life("Gaussian", 1.0, half, erosion=Erosion(30.0), end_time=5.0)
    assert history.deposited / history.removed == pytest.approx(1, abs=1e-9)
    assert two.concentration[0] > 1 > two.concentration[1]
    assert two.concentration.mean() == pytest.approx(in_filtrate.concentration[0], rel=1e-6)
    assert returned.deposited == pytest.approx(history.deposited, rel=1e-6)


def test_particles_block_tubes_one_by_one():
    """Arrivals by time at the rate R close N tubes at the sum of N waiting times: mean N/R, variance N/R^2."""
    sieving = Sieving(rate=1000.0, arrivals="time", particle_radius=20.0)
    ends = []
    for key in range(300):
        history, metrics = life("tubes", 1e-6, key=key, sieving=sieving, flux_fraction=1e-9, levels=())
        assert history.cause == BLOCKED
        assert (history.n_arrivals, history.n_blocked, history.n_passed) == (4, 4, 0)
        ends.append(metrics.end_time)
    # All tubes close within the first step, before adsorption narrows one; 4 standard errors.
    assert np.mean(ends) == pytest.approx(4 / 1000, abs=4 * 2 / 1000 / math.sqrt(300))


def test_the_pressure_is_finite_until_particles_block_the_last_path():
    """At constant flux: the step that closes all tubes keeps the pressure of its beginning."""
    sieving = Sieving(rate=1000.0, arrivals="time", particle_radius=20.0)
    history, metrics = life("tubes", 1e-6, sieving=sieving, flux=math.inf, pressure_limit=1e9, levels=())
    assert history.cause == BLOCKED
    np.testing.assert_allclose(metrics.history.pressure, 1, rtol=1e-9)


def test_particles_pass_until_throats_are_narrower():
    small = Sieving(rate=1.0, arrivals="volume", particle_radius=8.25)
    rate = 200 / hydraulics("tubes").flow
    history, metrics = life("tubes", 1e-6, sieving=replace(small, rate=rate), end_time=0.04, levels=())
    assert history.n_passed == history.n_arrivals > 0  # passed the clean tubes of radius 8.3
    assert metrics.end_time == pytest.approx(0.04)
    history, metrics = life("tubes", 1e-6, sieving=replace(small, rate=rate), levels=())
    assert history.n_blocked > 0
    again, _ = life("tubes", 1e-6, sieving=replace(small, rate=rate), levels=())
    assert [record.flow for record in again.records] == [record.flow for record in history.records]
    partial = replace(small, rate=rate, residual_conductance=0.5)
    assert life("tubes", 1e-6, sieving=partial, levels=())[0].n_blocked > history.n_blocked


def test_wall_layers_of_a_tube_and_their_inverse():
    """The layers of a tube of radius 12 are rings: the first 11 from the axis, that under a deposit of 4 at 7."""
    labelled = labelled_network(tubes(12, 20, 1), 1.0, SNOW)
    layers = wall_layers(labelled.labels, labelled.squares, labelled.network.bodies["surface_area"])
    area = layers.area[[32, 64]] / layers.area[0]  # under deposits of 4 and 8 voxels
    np.testing.assert_allclose(area, [7 / 11, 3 / 11], atol=0.04)  # layers of a lattice are uneven
    for volume in np.array([0.0, 1e-6, 0.1, 0.5, 0.9, 1.0]) * layers.capacity[0]:
        (thickness,), (wall,) = thickness_and_area(layers, np.array([volume]))
        knots = np.arange(len(layers.area)) / 8
        assert wall == pytest.approx(np.interp(thickness, knots, layers.area), rel=1e-9, abs=1e-9)
        k = int(thickness * 8)
        rest = (thickness - k / 8) * (layers.area[k] + wall) / 2
        assert layers.volume[k] + rest == pytest.approx(volume, rel=1e-9, abs=1e-9)


def test_walls_of_all_pores_and_the_bottleneck():
    clean = hydraulics("Gaussian")
    structure = clean.structure
    np.testing.assert_allclose(structure.layers.clean_area.sum(), clean.wall_area, rtol=0.02)  # less closed pores
    np.testing.assert_allclose(structure.depth_fraction.sum(axis=1), 1, rtol=1e-12)
    radius = structure.network.throats["inscribed_radius"]
    assert clean.bottleneck in radius
    assert bottleneck_radius(structure.network, radius) == clean.bottleneck
    assert hydraulics("tubes").bottleneck == 8
    assert clean.permeability_ratio == pytest.approx(1, abs=0.005)
    assert clean.flow_error["stokes"] < clean.flow_error["series"]


def test_the_inscribed_spheres_of_throats():
    labelled = labelled_network(pore_space((40, 36, 32), 2, 0.4, 2.0), 1.0, SNOW)
    conns, radius = labelled.network.throat_conns, labelled.sphere_radii()
    narrow = labelled.network.throats["inscribed_radius"]
    assert (radius >= narrow).all()
    np.testing.assert_array_equal(radius[conns[:, 1] < 0], narrow[conns[:, 1] < 0])
    labels, squares = labelled.labels, labelled.squares
    for number in np.flatnonzero(conns[:, 1] >= 0)[:20]:
        largest = 0.0
        for axis in range(3):
            a, b = (np.moveaxis(labels, axis, 0)[s] for s in (slice(None, -1), slice(1, None)))
            between = ((a == conns[number, 0]) & (b == conns[number, 1])) | (
                (b == conns[number, 0]) & (a == conns[number, 1])
            )
            for s in (slice(None, -1), slice(1, None)):
                largest = max(largest, np.moveaxis(squares, axis, 0)[s][between].max(initial=0))
        assert radius[number] == math.sqrt(largest)


def test_throats_narrow_as_the_flow_through_eroded_voxels():
    """Walls moved by removing the voxels next to the solid, by the removed volume over the mean wall area."""
    differences = []
    for seed, sigma in ((3, 3.0), (5, 3.5), (6, 4.0)):
        pores = pore_space((60, 56, 52), seed, 0.4, sigma)
        labelled = labelled_network(pores, 1.0, SNOW)
        clean = structure_hydraulics(pores, SNOW)
        for square in (1, 2, 4):
            eroded = labelled.squares > square
            flow = stokes(Grid.of(eroded), 0.02).permeability / clean.permeability
            areas = [labelled_network(p, 1.0, SNOW).network.bodies["surface_area"].sum() for p in (pores, eroded)]
            thickness = (pores.sum() - eroded.sum()) / np.mean(areas)
            structure = clean.structure
            remaining = np.maximum(1 - thickness / structure.closing_radius, 0) ** 3
            narrowed = network_flow(structure.network, structure.conductance * remaining).total / clean.flow
            differences.append(math.log(narrowed / flow))
    assert abs(np.mean(differences)) <= 0.1
    assert np.std(differences) <= 0.15


def test_units_of_a_deposit():
    units = StructureUnits(3e-9, 0.89e-3, 1e5, 1e-7, 1e-4, 100.0)
    assert units.second == pytest.approx(300)
    clean = 0.5  # flow of 100 voxels squared at unit pressure
    darcy = clean / 100 * 3e-9 * 1e5 / 0.89e-3  # flow per area
    assert clean * units.flux == pytest.approx(darcy * 3.6e6)
    assert clean * 2 * units.filtrate == pytest.approx(darcy * 600 * 1e3)
    # A wall of the area S at the feed's concentration removes phi k S: as volume of the deposit, S voxels in a unit.
    assert 1 / units.affinity == pytest.approx(1e5 * 3e-9 / (1e-7 * 0.89e-3))
    assert stokes_einstein(10e-9, 298.15, 0.89e-3) == pytest.approx(4.91e-11, rel=2e-3)
    assert film_rate(1e-7, None, 5e-9) == 1e-7
    assert film_rate(1e-3, 5e-11, 5e-9) == pytest.approx(1 / (1e3 + 2 * 5e-9 / (3.66 * 5e-11)))
    both = wall_uptake((1e-7, 3e-7), (None, 5e-11), (0.5, 0.5), 5e-9, 3e-9, units.affinity)
    np.testing.assert_allclose(both.wall_rate, [0.5, 1.5])
    np.testing.assert_allclose(both.body_rate, [0.5, 1.5 * film_rate(3e-7, 5e-11, 5e-9) / 3e-7])
    # A throat of four voxels: its film is that of a pore of its radius.
    np.testing.assert_allclose(1 / (1 + both.throat_film * 4), [1, film_rate(3e-7, 5e-11, 12e-9) / 3e-7])


def test_refusals():
    assert structure_hydraulics(np.concatenate([tubes(), np.zeros((1, 40, 40), bool)]), SNOW) is None
    still = {"wall_rate": np.zeros(1), "body_rate": np.zeros(1)}
    with pytest.raises(PhysicsError, match=r"end_of_life\.time"):
        life("tubes", 1e-6, still)
