"""Flow and fouling: exact small networks, physical laws, and an independent implementation."""

from __future__ import annotations

import dataclasses
import math

import networkx as nx
import numpy as np
import pytest
from scipy.sparse.linalg import spsolve
from test_pore_network import network_of

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import filter_life, filter_lives
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.radius_distribution import RadiusSpread
from membrane_dask.physics.networks.random_network import generate

GU = {"deposition": 5e-7, "time_step": 2.5e-4, "flux_threshold": 2e-6}
SEVEN = [
    (0, INLET, 0.1, 0.013),
    (1, INLET, 0.15, 0.013),
    (0, 1, 0.08, 0.013),
    (0, 2, 0.5, 0.011),
    (1, 2, 0.45, 0.011),
    (2, OUTLET, 0.4, 0.007),
    (2, OUTLET, 0.45, 0.009),
]


@pytest.fixture(scope="module")
def random_network() -> PoreNetwork:
    """A random network of four bands, small enough for plain Python."""
    return generate(
        np.random.default_rng(5), l_min=0.06, l_max=0.25, radii=band_radii(0.01, 2e-3, 4), porosity=0.1,
        porosity_tolerance=0.02,
    )  # fmt: skip


def plain_life(network: PoreNetwork, deposition: float, time_step: float, ratio=(1, 1, 1, 1)):
    """Independent implementation with networkx, a direct solver, dictionaries and loops."""
    graph = network.to_networkx()
    inner = [node for node in graph if node not in ("feed", "filtrate")]
    flux, concentration_out = [], []
    while True:
        # Pores on a simple path between the faces carry flow: those in one block with an edge between the faces.
        simple = nx.Graph([("feed", "filtrate")])
        for a, b, e in graph.edges(keys=True):
            simple.add_edges_from([(a, ("pore", e)), (("pore", e), b)])
        blocks = [block for block in nx.biconnected_components(simple) if {"feed", "filtrate"} <= block]
        flowing_pores = {name[1] for name in blocks[0] if isinstance(name, tuple)}
        if not flowing_pores:
            return np.array([*flux, 0.0]), np.array(concentration_out)
        flowing = nx.MultiGraph()
        flowing.add_nodes_from([*inner, "feed", "filtrate"])
        for a, b, e, pore in graph.edges(keys=True, data=True):
            if e in flowing_pores:
                flowing.add_edge(a, b, key=e, weight=pore["radius"] ** 4 / pore["length"])
        wet = [node for node in inner if flowing.degree(node)]
        laplacian = nx.laplacian_matrix(flowing, [*wet, "feed", "filtrate", *(set(inner) - set(wet))]).tocsc()
        n = len(wet)
        solved = spsolve(laplacian[:n, :n], -laplacian[:n, n].toarray().ravel())
        pressure = dict(zip(wet, solved, strict=True)) | {"feed": 1.0, "filtrate": 0.0}
        inflows = {node: [] for node in [*wet, "filtrate"]}
        for a, b, e, k in flowing.edges(keys=True, data="weight"):
            upper, lower = (a, b) if pressure[a] > pressure[b] else (b, a)
            pore = graph.edges[a, b, e]
            q = k * (pressure[upper] - pressure[lower])
            transmission = math.exp(-deposition * ratio[pore["band"]] * pore["radius"] * pore["length"] / q)
            inflows[lower].append((upper, q, transmission))
            pore["upper"] = upper
        concentration = {"feed": 1.0}
        for node in sorted(inflows, key=lambda node: -pressure[node]):
            total = sum(q for _, q, _ in inflows[node])
            foulant = sum(q * transmission * concentration[upper] for upper, q, transmission in inflows[node])
            concentration[node] = foulant / total
        flux.append(sum(q for _, q, _ in inflows["filtrate"]))
        concentration_out.append(concentration["filtrate"])
        for a, b, e in list(graph.edges(keys=True)):
            pore = graph.edges[a, b, e]
            if e in flowing_pores:
                pore["radius"] -= time_step * ratio[pore["band"]] * concentration[pore["upper"]]
                if pore["radius"] <= 1e-12:
                    graph.remove_edge(a, b, e)


def test_two_pores_in_series():
    life = filter_life(network_of([(0, INLET, 0.5, 0.01), (0, OUTLET, 0.5, 0.01)], 1), **GU)
    assert life.initial_flux == pytest.approx(1e-8, rel=1e-12)
    assert life.foulant_concentration_out[0] == pytest.approx(math.exp(-0.5), rel=1e-14)
    assert life.lifetime == pytest.approx(0.01, rel=1e-12)
    assert len(life.flux) == 41
    assert life.throughput == pytest.approx(4.541289858e-5, rel=1e-9)
    assert life.foulant_concentration == pytest.approx(0.41658733468, rel=1e-10)


def test_seven_pores():
    life = filter_life(network_of(SEVEN, 3), **GU | {"flux_threshold": 4e-9})
    expected = {
        "initial_flux": 1.49487668949e-8,
        "lifetime": 0.013,
        "throughput": 9.73838353302e-5,
        "foulant_concentration": 0.289789985512,
        "lifetime_threshold_step": 0.00475,
        "throughput_threshold_step": 7.64459723633e-5,
        "foulant_concentration_threshold_step": 0.348005096317,
        "lifetime_threshold": 0.0045821654,
        "throughput_threshold": 7.51337607213e-5,
    }
    for name, value in expected.items():
        assert getattr(life, name) == pytest.approx(value, rel=1e-8), name  # number of digits of the reference
    np.testing.assert_allclose(life.flux[[1, 10]], [1.38563466e-8, 7.12997525e-9], rtol=1e-8)
    np.testing.assert_allclose(
        life.foulant_concentration_out[[0, 1, 10]], [0.488291683249, 0.468573391, 0.294490120], rtol=5e-9
    )
    fine = filter_life(network_of(SEVEN, 3), **GU | {"time_step": 2.5e-5})
    assert fine.throughput == pytest.approx(9.80216426969e-5, rel=1e-10)
    assert fine.foulant_concentration == pytest.approx(0.290520854979, rel=1e-10)


def test_without_retention_all_pores_shrink_equally(random_network):
    """For lambda -> 0 the concentration is 1 in every pore, r = r_0 - t, and conductances keep their ratios."""
    uniform = dataclasses.replace(random_network, radius=np.full_like(random_network.radius, 0.01))
    life = filter_life(uniform, **GU | {"deposition": 1e-30})
    radius = 1 - np.arange(len(life.flux)) * 2.5e-4 / 0.01
    # Conductances are proportional to r^4, which loses 5 digits by cancellation in the last step.
    np.testing.assert_allclose(life.flux, life.initial_flux * radius**4, rtol=1e-8, atol=1e-12 * life.initial_flux)
    np.testing.assert_allclose(life.foulant_concentration_out[:-1], 1, rtol=1e-12)
    assert life.lifetime == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("spread", "ratio"),
    [(0.0, (1, 1, 1, 1)), (0.25, (1, 1, 1, 1)), (0.0, (1, 3, 0.5, 1))],
    ids=["as published", "radius spread, pores close inside", "deposition by band"],
)
def test_agreement_with_independent_implementation(spread, ratio):
    network = generate(
        np.random.default_rng(5), l_min=0.06, l_max=0.25, radii=band_radii(0.01, 2e-3, 4), porosity=0.1,
        porosity_tolerance=0.02, spread=RadiusSpread("uniform", spread),
    )  # fmt: skip
    step = 1e-3
    life = filter_life(
        network, deposition=5e-7, time_step=step, flux_threshold=1e-7, band_deposition=ratio, solver_tolerance=1e-12
    )
    flux, concentration_out = plain_life(network, 5e-7, step, ratio)
    assert len(life.flux) == len(flux)
    # Near flux extinction the values are small differences, hence the absolute tolerances.
    np.testing.assert_allclose(life.flux, flux, rtol=1e-9, atol=1e-12 * flux[0])
    np.testing.assert_allclose(life.foulant_concentration_out[:-1], concentration_out, rtol=1e-9, atol=1e-12)
    assert life.throughput == pytest.approx(np.trapezoid(flux) * step / 5e-7, rel=1e-9)


@pytest.mark.parametrize(("l_max", "gradient"), [(0.1, 0.0), (0.15, 2e-3), (0.2, 0.0), (0.2, 4e-3)])
def test_laws_of_filter_life(l_max, gradient):
    network = generate(
        np.random.default_rng(11), l_min=0.06, l_max=l_max, radii=band_radii(0.01, gradient, 4), porosity=0.6,
        porosity_tolerance=0.005,
    )  # fmt: skip
    life = filter_life(network, **GU)
    assert life.lifetime == pytest.approx(0.01 + 1.5 * gradient, rel=1e-9)  # inlets shrink at rate 1
    assert life.flux_residual < 1e-6  # ten times the tolerance
    assert (np.diff(life.flux) < 0).all()
    assert (np.diff(life.band_porosity, axis=0) <= 0).all()
    concentration_out = life.foulant_concentration_out[:-1]
    assert ((concentration_out >= 0) & (concentration_out < 1)).all()
    assert (np.diff(concentration_out) <= 0).all()
    assert life.foulant_concentration_threshold > life.foulant_concentration
    assert life.lifetime_threshold <= life.lifetime_threshold_step < life.lifetime_threshold + 2.5e-4
    assert life.porosity_usage == pytest.approx(life.band_porosity_usage.mean(), rel=1e-14)
    assert life.band_porosity[0] == pytest.approx(network.band_porosity(), rel=1e-12)
    if gradient == 0:  # Dirichlet's principle with p = 1 - z and isotropic pore directions
        bound = 0.6 * 0.01**2 / (3 * math.pi)
        assert 0.7 * bound < life.initial_flux < bound


def test_pores_without_flow_do_not_foul():
    """A dead end, a loop at one junction, a connection between inlets and an island have no effect."""
    clean = filter_life(network_of(SEVEN, 3), **GU)
    extra = [(2, 3, 0.2, 0.01), (1, 4, 0.2, 0.01), (4, 5, 0.2, 0.01), (5, 1, 0.2, 0.01)]
    extra += [(6, INLET, 0.1, 0.013), (6, 7, 0.1, 0.01), (7, INLET, 0.1, 0.013), (8, 9, 0.1, 0.01)]
    network = network_of(SEVEN + extra, 10)
    life = filter_life(network, **GU)
    np.testing.assert_allclose(life.flux, clean.flux, rtol=1e-8, atol=1e-17)
    assert life.porosity_usage == pytest.approx(clean.porosity_usage, rel=1e-8)
    assert life.lifetime == clean.lifetime
    assert life.n_inlets == 4


def test_result_does_not_depend_on_numbering(random_network):
    rng = np.random.default_rng(0)
    new = rng.permutation(len(random_network.junctions))
    order = rng.permutation(len(random_network.length))
    conns = np.where(random_network.throat_conns >= 0, new[random_network.throat_conns], random_network.throat_conns)
    internal = conns[:, 1] >= 0
    conns[internal] = conns[internal][:, ::-1]
    shuffled = PoreNetwork(
        random_network.junctions[np.argsort(new)], conns[order].astype(np.int32), random_network.length[order],
        random_network.radius[order], random_network.band[order], random_network.band_length[order],
    )  # fmt: skip
    life, shuffled_life = filter_life(random_network, **GU), filter_life(shuffled, **GU)
    for name in ("throughput", "foulant_concentration", "porosity_usage"):
        assert getattr(life, name) == pytest.approx(getattr(shuffled_life, name), rel=1e-8)


def test_initial_flux_below_the_threshold():
    life = filter_life(network_of(SEVEN, 3), **GU)  # 1.5e-8 is below 2e-6 from the start
    assert life.lifetime_threshold == life.throughput_threshold == life.porosity_usage_threshold == 0
    assert math.isnan(life.foulant_concentration_threshold)


@pytest.mark.parametrize(
    ("rows", "n", "message"),
    [
        ([(0, INLET, 0.1, 0.01), (1, OUTLET, 0.1, 0.01)], 2, "no path"),
        ([(0, 1, 0.1, 0.01), (1, OUTLET, 0.1, 0.01)], 2, "no pore opens to the feed"),
    ],
)
def test_networks_without_a_percolating_path_raise(rows, n, message):
    with pytest.raises(PhysicsError, match=message):
        filter_life(network_of(rows, n), **GU)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_solver_tolerance_bounds_the_error(random_network, tolerance):
    exact = filter_life(random_network, **GU, solver_tolerance=1e-12)
    life = filter_life(random_network, **GU, solver_tolerance=tolerance)
    for name in ("throughput", "foulant_concentration", "porosity_usage", "initial_flux"):
        assert getattr(life, name) == pytest.approx(getattr(exact, name), rel=3 * tolerance)
    np.testing.assert_allclose(life.flux[:-2], exact.flux[:-2], rtol=10 * tolerance)
    assert life.flux_residual < 10 * tolerance


def test_several_coefficients_equal_separate_simulations(random_network):
    options = {name: GU[name] for name in ("time_step", "flux_threshold")}
    together = filter_lives(random_network, deposition=(1e-7, 5e-7, 2e-6), **options)
    single = filter_life(random_network, deposition=5e-7, **options)
    assert together[1].flux.tobytes() == single.flux.tobytes()
    assert len({life.initial_flux for life in together}) == 1
    first = [life.foulant_concentration_out[0] for life in together]
    assert first[0] > first[1] > first[2]  # the filtrate gets cleaner with the coefficient


def test_equal_band_deposition_equals_the_published_model_bit_for_bit(random_network):
    plain = filter_life(random_network, **GU)
    equal = filter_life(random_network, **GU, band_deposition=(1.0, 1.0, 1.0, 1.0))
    assert plain.flux.tobytes() == equal.flux.tobytes()
    assert plain.band_porosity.tobytes() == equal.band_porosity.tobytes()
    with pytest.raises(ValueError, match="band_deposition"):
        filter_life(random_network, **GU, band_deposition=(1.0, 2.0))


@pytest.mark.parametrize(("integrator", "order"), [("euler", 1), ("adams-bashforth", 2)])
def test_order_of_the_integrators(random_network, integrator, order):
    """Halving the step divides the difference by two to the power of the order."""
    options = {"deposition": 5e-7, "flux_threshold": 2e-6, "integrator": integrator, "solver_tolerance": 1e-10}
    lives = [filter_life(random_network, time_step=dt, **options) for dt in (2e-4, 1e-4, 5e-5)]
    coarse, half, quarter = (life.throughput for life in lives)
    # The tolerance is the contribution of the next order.
    assert math.log2((half - coarse) / (quarter - half)) == pytest.approx(order, abs=0.1)
    if order == 2:
        euler = filter_life(random_network, time_step=2e-4, **options | {"integrator": "euler"}).throughput
        assert abs(coarse - quarter) < abs(euler - quarter) / 20


def test_left_rule():
    life = filter_life(network_of(SEVEN, 3), **GU | {"flux_threshold": 4e-9}, quadrature="left")
    assert life.throughput == pytest.approx(1.01121027054e-4, rel=1e-9)
    assert life.foulant_concentration == pytest.approx(0.297126134318, rel=1e-9)


@pytest.mark.parametrize(("n_up", "n_down"), [(4, 5), (1, 10), (10, 1)])
@pytest.mark.parametrize("deposition", [5e-7, 5e-10, 5e-13])
def test_equal_outlets_close_after_the_inlets(n_up, n_down, deposition):
    """Gu, Theorem 1: of ``n_up`` equal inlets and ``n_down`` equal outlets at one junction the inlets close first.

    The downstream radius follows Eq. C3 in Euler steps.
    """
    pores = [(0, INLET, 1.0, 0.01)] * n_up + [(0, OUTLET, 1.0, 0.01)] * n_down
    life = filter_life(network_of(pores, 1), **GU | {"deposition": deposition})
    assert life.lifetime == pytest.approx(0.01, rel=1e-9)
    up = down = 0.01
    for _ in range(40):
        rate = math.exp(-deposition * (n_up * up / (n_down * down**4) + up**-3))
        up, down = up - 2.5e-4, down - 2.5e-4 * rate
    assert down > 0
    remaining = math.pi * n_down * down**2  # of the outlets alone
    assert life.band_porosity[-1, 0] == pytest.approx(remaining, rel=1e-7)


def inverted_y(deposition: float, time_step: float) -> float:
    """Final radius of the narrow outlet, from the final porosity; 0 if it closed."""
    pores = [(0, INLET, 1.0, 0.01), (0, OUTLET, 1.0, 0.01), (0, OUTLET, 1.0, 3e-3)]
    life = filter_life(network_of(pores, 1), **GU | {"deposition": deposition, "time_step": time_step})
    wide_and_narrow = life.band_porosity[-1, 0] / math.pi  # r^2 + (r - 0.007)^2
    return (0.007 * -1 + math.sqrt(max(2 * wide_and_narrow - 0.007**2, 0.0))) / 2 if wide_and_narrow > 0.007**2 else 0.0


def test_narrow_branch_of_an_inverted_y():
    """Gu, Appendix C: the narrow branch may close before the inlet, but not with the parameters given there."""
    assert inverted_y(5e-7, 2.5e-4) == pytest.approx(2.029e-3, abs=1e-6)
    assert inverted_y(5e-7, 1e-5) == pytest.approx(2.0726e-3, abs=5e-6)
    assert inverted_y(1.39e-7, 1e-5) > 0  # the limit is 1.3757e-7
    assert inverted_y(1.36e-7, 1e-5) == 0
