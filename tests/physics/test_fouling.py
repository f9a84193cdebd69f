"""Flow and fouling: exact small networks, laws that must hold, and a second, plain solver."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve
from test_network import network_of

from membrane_dask.physics.banded import generate
from membrane_dask.physics.fouling import filter_life
from membrane_dask.physics.network import INLET, OUTLET, PhysicsError, PoreNetwork

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
        np.random.default_rng(5), l_min=0.06, l_max=0.25, radius=0.01, gradient=2e-3, bands=4, porosity=0.1,
        porosity_tolerance=0.02,
    )  # fmt: skip


def plain_life(network: PoreNetwork, deposition: float, time_step: float):
    """The same model once more: sparse direct solver, dictionaries and loops."""
    n = len(network.junctions)
    radius = network.radius.copy()
    flux, leaving = [], []
    for _ in range(10_000):
        k = radius**4 / network.length
        matrix, rhs = lil_matrix((n, n)), np.zeros(n)
        for (a, b), conductance in zip(network.ends, k, strict=True):
            matrix[a, a] += conductance
            if b >= 0:
                matrix[b, b] += conductance
                matrix[a, b] -= conductance
                matrix[b, a] -= conductance
            elif b == INLET:
                rhs[a] += conductance
        for i in range(n):
            if matrix[i, i] == 0:
                matrix[i, i] = 1.0
        pressure = spsolve(matrix.tocsc(), rhs)
        upper = {}
        arriving = [[] for _ in range(n)]
        for e, (a, b) in enumerate(network.ends):
            p_b = {INLET: 1.0, OUTLET: 0.0}.get(int(b), pressure[b] if b >= 0 else math.nan)
            q = k[e] * (p_b - pressure[a])
            upper[e] = (int(b), int(a), q) if q > 0 else (int(a), int(b), -q)
            if upper[e][1] >= 0:
                arriving[upper[e][1]].append(e)
        concentration = {INLET: 1.0}

        def passed_on(e, radius=radius, upper=upper, concentration=concentration):
            start, _, q = upper[e]
            if q == 0 or start not in concentration:
                return 0.0
            return concentration[start] * math.exp(-deposition * radius[e] * network.length[e] / q)

        for i in np.argsort(-pressure):
            total = sum(upper[e][2] for e in arriving[i])
            if total > 0:
                concentration[int(i)] = sum(upper[e][2] * passed_on(e) for e in arriving[i]) / total
        outlets = [e for e in upper if upper[e][1] == OUTLET]
        q_out = sum(upper[e][2] for e in outlets)
        flux.append(q_out)
        leaving.append(sum(upper[e][2] * passed_on(e) for e in outlets) / q_out)
        for e, (start, _, q) in upper.items():
            if q > 1e-9 * flux[0] / len(radius):  # flows below are rounding in dead ends
                radius[e] = max(radius[e] - time_step * concentration.get(start, 0.0), 0.0)
        radius[radius < 1e-12] = 0
        if not radius[network.ends[:, 1] == INLET].any():
            return np.array([*flux, 0.0]), np.array(leaving)
    raise AssertionError("the filter never closed")


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


def test_a_second_solver_agrees(banded):
    life = filter_life(banded, **GU)
    flux, leaving = plain_life(banded, GU["deposition"], GU["time_step"])
    # 1e-9 in the norm of dissipation is 1e-9 of a flux; concentrations see single pores' flows.
    np.testing.assert_allclose(life.flux, flux, rtol=1e-6, atol=1e-9 * flux[0])
    np.testing.assert_allclose(life.foulant_concentration_out[: len(leaving)], leaving, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("l_max", "gradient"), [(0.1, 0.0), (0.15, 2e-3), (0.2, 0.0), (0.2, 4e-3)])
def test_laws_of_a_filters_life(l_max, gradient):
    network = generate(
        np.random.default_rng(11), l_min=0.06, l_max=l_max, radius=0.01, gradient=gradient, bands=4, porosity=0.6,
        porosity_tolerance=0.005,
    )  # fmt: skip
    life = filter_life(network, **GU)
    assert life.lifetime == pytest.approx(0.01 + 1.5 * gradient, rel=1e-9)  # inlets shrink at rate 1
    assert life.flux_residual < 1e-8
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


def test_unbalanced_pressures_are_not_passed_off_as_solved(banded):
    with pytest.raises(PhysicsError, match="solver_tolerance"):
        filter_life(banded, **GU, solver_tolerance=1e-3)
