"""Flow and fouling: exact small networks, laws that must hold, and a second, plain solver."""

from __future__ import annotations

import dataclasses
import math

import networkx as nx
import numpy as np
import pytest
from scipy.sparse.linalg import spsolve
from test_network import network_of

from membrane_dask.physics.networks.fouling import filter_life, filter_lives
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PhysicsError, PoreNetwork
from membrane_dask.physics.networks.random_network import RadiusSpread, band_radii, generate

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
def banded() -> PoreNetwork:
    """A small banded network: few enough pores for plain Python."""
    return generate(
        np.random.default_rng(5), l_min=0.06, l_max=0.25, radii=band_radii(0.01, 2e-3, 4), porosity=0.1,
        porosity_tolerance=0.02,
    )  # fmt: skip


def plain_life(network: PoreNetwork, deposition: float, time_step: float, ratio=(1, 1, 1, 1)):
    """The same model once more, from networkx, a direct solver, dictionaries and loops."""
    graph = network.to_networkx()
    inner = [node for node in graph if node not in ("feed", "filtrate")]
    flux, leaving = [], []
    while True:
        # Only pores on a simple path between the faces flow: those in one block with an edge that joins them.
        simple = nx.Graph([("feed", "filtrate")])
        for a, b, e in graph.edges(keys=True):
            simple.add_edges_from([(a, ("pore", e)), (("pore", e), b)])
        blocks = [block for block in nx.biconnected_components(simple) if {"feed", "filtrate"} <= block]
        live = {name[1] for name in blocks[0] if isinstance(name, tuple)}
        if not live:
            return np.array([*flux, 0.0]), np.array(leaving)
        flowing = nx.MultiGraph()
        flowing.add_nodes_from([*inner, "feed", "filtrate"])
        for a, b, e, about in graph.edges(keys=True, data=True):
            if e in live:
                flowing.add_edge(a, b, key=e, weight=about["radius"] ** 4 / about["length"])
        wet = [node for node in inner if flowing.degree(node)]
        laplacian = nx.laplacian_matrix(flowing, [*wet, "feed", "filtrate", *(set(inner) - set(wet))]).tocsc()
        n = len(wet)
        solved = spsolve(laplacian[:n, :n], -laplacian[:n, n].toarray().ravel())
        pressure = dict(zip(wet, solved, strict=True)) | {"feed": 1.0, "filtrate": 0.0}
        arriving = {node: [] for node in [*wet, "filtrate"]}
        for a, b, e, k in flowing.edges(keys=True, data="weight"):
            upper, lower = (a, b) if pressure[a] > pressure[b] else (b, a)
            about = graph.edges[a, b, e]
            q = k * (pressure[upper] - pressure[lower])
            lost = math.exp(-deposition * ratio[about["band"]] * about["radius"] * about["length"] / q)
            arriving[lower].append((upper, q, lost))
            about["from"] = upper
        concentration = {"feed": 1.0}
        for node in sorted(arriving, key=lambda node: -pressure[node]):
            total = sum(q for _, q, _ in arriving[node])
            concentration[node] = sum(q * lost * concentration[upper] for upper, q, lost in arriving[node]) / total
        flux.append(sum(q for _, q, _ in arriving["filtrate"]))
        leaving.append(concentration["filtrate"])
        for a, b, e in list(graph.edges(keys=True)):
            about = graph.edges[a, b, e]
            if e in live:
                about["radius"] -= time_step * ratio[about["band"]] * concentration[about["from"]]
                if about["radius"] <= 1e-12:
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
        assert getattr(life, name) == pytest.approx(value, rel=1e-8), name  # digits the reference is given with
    np.testing.assert_allclose(life.flux[[1, 10]], [1.38563466e-8, 7.12997525e-9], rtol=1e-8)
    np.testing.assert_allclose(
        life.foulant_concentration_out[[0, 1, 10]], [0.488291683249, 0.468573391, 0.294490120], rtol=5e-9
    )
    fine = filter_life(network_of(SEVEN, 3), **GU | {"time_step": 2.5e-5})
    assert fine.throughput == pytest.approx(9.80216426969e-5, rel=1e-10)
    assert fine.foulant_concentration == pytest.approx(0.290520854979, rel=1e-10)


def test_without_adsorption_on_the_way_all_pores_shrink_alike(banded):
    """With lambda -> 0 the feed reaches every pore, r = r_0 - t, and a uniform network keeps its pattern."""
    uniform = dataclasses.replace(banded, radius=np.full_like(banded.radius, 0.01))
    life = filter_life(uniform, **GU | {"deposition": 1e-30})
    left = 1 - np.arange(len(life.flux)) * 2.5e-4 / 0.01
    # Conductances go with r^4, which loses 5 digits to cancellation on the last step.
    np.testing.assert_allclose(life.flux, life.initial_flux * left**4, rtol=1e-8, atol=1e-12 * life.initial_flux)
    np.testing.assert_allclose(life.foulant_concentration_out[:-1], 1, rtol=1e-12)
    assert life.lifetime == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("spread", "ratio"),
    [(0.0, (1, 1, 1, 1)), (0.25, (1, 1, 1, 1)), (0.0, (1, 3, 0.5, 1))],
    ids=["as published", "radii vary, pores close inside", "bands take up differently"],
)
def test_a_second_solver_agrees(spread, ratio):
    network = generate(
        np.random.default_rng(5), l_min=0.06, l_max=0.25, radii=band_radii(0.01, 2e-3, 4), porosity=0.1,
        porosity_tolerance=0.02, spread=RadiusSpread("uniform", spread),
    )  # fmt: skip
    step = 1e-3
    life = filter_life(
        network, deposition=5e-7, time_step=step, flux_threshold=1e-7, band_deposition=ratio, solver_tolerance=1e-12
    )
    flux, leaving = plain_life(network, 5e-7, step, ratio)
    assert len(life.flux) == len(flux)
    # What is left near extinction is a difference of what was: hence the absolute terms.
    np.testing.assert_allclose(life.flux, flux, rtol=1e-9, atol=1e-12 * flux[0])
    np.testing.assert_allclose(life.foulant_concentration_out[:-1], leaving, rtol=1e-9, atol=1e-12)
    assert life.throughput == pytest.approx(np.trapezoid(flux) * step / 5e-7, rel=1e-9)


@pytest.mark.parametrize(("l_max", "gradient"), [(0.1, 0.0), (0.15, 2e-3), (0.2, 0.0), (0.2, 4e-3)])
def test_laws_of_a_filters_life(l_max, gradient):
    network = generate(
        np.random.default_rng(11), l_min=0.06, l_max=l_max, radii=band_radii(0.01, gradient, 4), porosity=0.6,
        porosity_tolerance=0.005,
    )  # fmt: skip
    life = filter_life(network, **GU)
    assert life.lifetime == pytest.approx(0.01 + 1.5 * gradient, rel=1e-9)  # inlets shrink at rate 1
    assert life.flux_residual < 1e-6  # ten times the tolerance
    assert (np.diff(life.flux) < 0).all()
    assert (np.diff(life.band_porosity, axis=0) <= 0).all()
    leaving = life.foulant_concentration_out[:-1]
    assert ((leaving >= 0) & (leaving < 1)).all()
    assert (np.diff(leaving) <= 0).all()
    assert life.foulant_concentration_threshold > life.foulant_concentration
    assert life.lifetime_threshold <= life.lifetime_threshold_step < life.lifetime_threshold + 2.5e-4
    assert life.porosity_usage == pytest.approx(life.band_porosity_usage.mean(), rel=1e-14)
    assert life.band_porosity[0] == pytest.approx(network.band_porosity(), rel=1e-12)
    if gradient == 0:  # Dirichlet's principle with p = 1 - z, directions isotropic
        bound = 0.6 * 0.01**2 / (3 * math.pi)
        assert 0.7 * bound < life.initial_flux < bound


def test_pores_without_a_path_keep_clean():
    """A dead end, a loop on one junction, a link between inlets and an island change nothing."""
    clean = filter_life(network_of(SEVEN, 3), **GU)
    extra = [(2, 3, 0.2, 0.01), (1, 4, 0.2, 0.01), (4, 5, 0.2, 0.01), (5, 1, 0.2, 0.01)]
    extra += [(6, INLET, 0.1, 0.013), (6, 7, 0.1, 0.01), (7, INLET, 0.1, 0.013), (8, 9, 0.1, 0.01)]
    network = network_of(SEVEN + extra, 10)
    life = filter_life(network, **GU)
    np.testing.assert_allclose(life.flux, clean.flux, rtol=1e-8, atol=1e-17)
    assert life.porosity_usage == pytest.approx(clean.porosity_usage, rel=1e-8)
    assert life.lifetime == clean.lifetime
    assert life.n_inlets == 4


def test_numbering_does_not_matter(banded):
    rng = np.random.default_rng(0)
    new = rng.permutation(len(banded.junctions))
    order = rng.permutation(len(banded.length))
    ends = np.where(banded.ends >= 0, new[banded.ends], banded.ends)
    inside = ends[:, 1] >= 0
    ends[inside] = ends[inside][:, ::-1]
    shuffled = PoreNetwork(
        banded.junctions[np.argsort(new)], ends[order].astype(np.int32), banded.length[order], banded.radius[order],
        banded.band[order], banded.band_length[order],
    )  # fmt: skip
    one, other = filter_life(banded, **GU), filter_life(shuffled, **GU)
    for name in ("throughput", "foulant_concentration", "porosity_usage"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-8)


def test_a_flux_that_never_reached_the_threshold():
    life = filter_life(network_of(SEVEN, 3), **GU)  # 1.5e-8 is below 2e-6 from the start
    assert life.lifetime_threshold == life.throughput_threshold == life.porosity_usage_threshold == 0
    assert math.isnan(life.foulant_concentration_threshold)


@pytest.mark.parametrize(
    ("rows", "n", "words"),
    [
        ([(0, INLET, 0.1, 0.01), (1, OUTLET, 0.1, 0.01)], 2, "no path"),
        ([(0, 1, 0.1, 0.01), (1, OUTLET, 0.1, 0.01)], 2, "no pore opens to the feed"),
    ],
)
def test_networks_that_nothing_passes(rows, n, words):
    with pytest.raises(PhysicsError, match=words):
        filter_life(network_of(rows, n), **GU)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_the_tolerance_bounds_the_error(banded, tolerance):
    exact = filter_life(banded, **GU, solver_tolerance=1e-12)
    life = filter_life(banded, **GU, solver_tolerance=tolerance)
    for name in ("throughput", "foulant_concentration", "porosity_usage", "initial_flux"):
        assert getattr(life, name) == pytest.approx(getattr(exact, name), rel=3 * tolerance)
    np.testing.assert_allclose(life.flux[:-2], exact.flux[:-2], rtol=10 * tolerance)
    assert life.flux_residual < 10 * tolerance


def test_coefficients_share_a_network_and_change_nothing_else(banded):
    how = {name: GU[name] for name in ("time_step", "flux_threshold")}
    together = filter_lives(banded, deposition=(1e-7, 5e-7, 2e-6), **how)
    alone = filter_life(banded, deposition=5e-7, **how)
    assert together[1].flux.tobytes() == alone.flux.tobytes()
    assert len({life.initial_flux for life in together}) == 1
    first = [life.foulant_concentration_out[0] for life in together]
    assert first[0] > first[1] > first[2]  # more deposition, cleaner filtrate


def test_equal_bands_are_the_published_model_to_the_bit(banded):
    plain, equal = filter_life(banded, **GU), filter_life(banded, **GU, band_deposition=(1.0, 1.0, 1.0, 1.0))
    assert plain.flux.tobytes() == equal.flux.tobytes()
    assert plain.band_porosity.tobytes() == equal.band_porosity.tobytes()
    with pytest.raises(ValueError, match="band_deposition"):
        filter_life(banded, **GU, band_deposition=(1.0, 2.0))


@pytest.mark.parametrize(("integrator", "order"), [("euler", 1), ("adams-bashforth", 2)])
def test_order_of_the_integrators(banded, integrator, order):
    """Halving the step divides what changes by two to the order."""
    how = {"deposition": 5e-7, "flux_threshold": 2e-6, "integrator": integrator, "solver_tolerance": 1e-10}
    coarse, half, quarter = (filter_life(banded, time_step=dt, **how).throughput for dt in (2e-4, 1e-4, 5e-5))
    assert math.log2((half - coarse) / (quarter - half)) == pytest.approx(order, abs=0.1)  # the next order's share
    if order == 2:
        euler = filter_life(banded, time_step=2e-4, **how | {"integrator": "euler"}).throughput
        assert abs(coarse - quarter) < abs(euler - quarter) / 20


def test_left_rule():
    life = filter_life(network_of(SEVEN, 3), **GU | {"flux_threshold": 4e-9}, quadrature="left")
    assert life.throughput == pytest.approx(1.01121027054e-4, rel=1e-9)
    assert life.foulant_concentration == pytest.approx(0.297126134318, rel=1e-9)


@pytest.mark.parametrize(("n_up", "n_down"), [(4, 5), (1, 10), (10, 1)])
@pytest.mark.parametrize("deposition", [5e-7, 5e-10, 5e-13])
def test_alike_outlets_outlast_the_inlets(n_up, n_down, deposition):
    """Gu, Theorem 1: with ``n_up`` inlets and ``n_down`` outlets alike at one junction, inlets close first.

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
    left = math.pi * n_down * down**2  # of the inlets nothing is
    assert life.band_porosity[-1, 0] == pytest.approx(left, rel=1e-7)


def inverted_y(deposition: float, time_step: float) -> float:
    """Last radius of the narrow outlet, from what is left of the porosity; 0 where it closed."""
    pores = [(0, INLET, 1.0, 0.01), (0, OUTLET, 1.0, 0.01), (0, OUTLET, 1.0, 3e-3)]
    life = filter_life(network_of(pores, 1), **GU | {"deposition": deposition, "time_step": time_step})
    wide_and_narrow = life.band_porosity[-1, 0] / math.pi  # r^2 + (r - 0.007)^2
    return (0.007 * -1 + math.sqrt(max(2 * wide_and_narrow - 0.007**2, 0.0))) / 2 if wide_and_narrow > 0.007**2 else 0.0


def test_the_narrow_leg_of_an_inverted_y():
    """Gu, Appendix C: it may close before the inlet, but not with the parameters that are given there."""
    assert inverted_y(5e-7, 2.5e-4) == pytest.approx(2.029e-3, abs=1e-6)
    assert inverted_y(5e-7, 1e-5) == pytest.approx(2.0726e-3, abs=5e-6)
    assert inverted_y(1.39e-7, 1e-5) > 0  # the border is at 1.3757e-7
    assert inverted_y(1.36e-7, 1e-5) == 0
