"""Geodesic paths and diffusion, compared with exact solutions, SciPy and reference data."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.csgraph import dijkstra
from strategies import exact_conductivity, graph_of, pore_space

from membrane_dask.physics.transport import geodesic_paths
from membrane_dask.physics.transport.diffusion import diffusion
from membrane_dask.physics.transport.geodesic_paths import geodesic_distances
from membrane_dask.physics.transport.pore_space import PoreSpace
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, face_conductances


def space_of(pores: np.ndarray, slab: int = 7) -> PoreSpace:
    return PoreSpace.of((pores[z : z + slab] for z in range(0, len(pores), slab)), pores.shape)


def rounded(spacing: Spacing) -> Spacing:
    """Edges whose conductances are those of the solver, which are rounded."""
    z, y, x = 1.0 / np.sqrt(face_conductances(spacing))
    return z, y, x


def shortest_path(space: PoreSpace, spacing: Spacing = CUBE) -> float:
    return geodesic_paths.shortest_path(space, geodesic_distances(space, spacing), spacing=spacing)


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 1.0), (1.0, 2.3, 4.1)])
def test_straight_channels(spacing):
    pores = np.zeros((40, 70, 80), bool)
    pores[:, 3:11, 60:75] = True
    pores[:, 30:35, 2:70] = True
    pores[5:20, 50:60, 20:30] = True  # closed
    space = space_of(pores)
    assert shortest_path(space, spacing) == pytest.approx(1.0, rel=0 if spacing == CUBE else 1e-6)
    result = diffusion(pores, spacing=spacing)
    assert result.conductivity == pytest.approx(pores[0].mean(), rel=1e-5)
    assert result.spread < 1e-3


def test_pores_without_a_percolating_path():
    pores = np.zeros((20, 20, 20), bool)
    pores[:12, 4:9] = True
    pores[13:, 4:9] = True
    space = space_of(pores)
    assert np.isnan(shortest_path(space))
    assert diffusion(pores).conductivity == 0.0
    assert diffusion(np.zeros((5, 5, 5), bool)).conductivity == 0.0


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 1.0), (1.0, 2.3, 4.1), (1.0, 10.0, 1.0)])
@pytest.mark.parametrize(("seed", "porosity"), [(0, 0.25), (1, 0.4), (2, 0.7)])
def test_diffusion_agrees_with_a_direct_solver(seed, porosity, spacing):
    pores = pore_space((24, 20, 70), seed, porosity)
    expected = exact_conductivity(pores, rounded(spacing))
    for tolerance in (1e-1, 1e-2, 1e-4):
        result = diffusion(pores, tolerance, spacing)
        assert result.spread <= tolerance
        # Rounding errors of the direct solver.
        assert 0 < result.lower_bound * (1 - 1e-9) <= expected <= result.conductivity * (1 + 1e-9)
        assert result.lower_bound >= result.conductivity / (1 + tolerance)
    assert result.conductivity < pores.mean()  # Wiener bound


def chambers(n_necks: int) -> np.ndarray:
    """Chambers in series that are connected by necks of one voxel, four long."""
    pores = np.zeros((8 + 12 * n_necks, 20, 20), bool)
    for k in range(n_necks + 1):
        pores[12 * k : 12 * k + 8, 1:-1, 1:-1] = True
        pores[12 * k + 8 : 12 * k + 12, 10, 3 + 4 * (k % 4)] = True
    return pores


@pytest.mark.parametrize(("n_necks", "spacing"), [(1, CUBE), (6, CUBE), (6, (3.0, 1.0, 2.0))])
def test_diffusion_through_necks_of_one_voxel(n_necks, spacing):
    # Concentrations in the first chamber differ from that of the face by less than single precision resolves.
    pores = chambers(n_necks)
    result = diffusion(pores, 1e-4, spacing)
    assert result.spread <= 1e-4
    exact = exact_conductivity(pores, rounded(spacing))
    assert result.conductivity == pytest.approx(exact, rel=1e-6)
    assert 0 < result.lower_bound <= exact * (1 + 1e-9)


def test_conductivity_is_invariant_under_reflections():
    pores = pore_space((30, 25, 66), 5, 0.35)
    images = (pores, pores[::-1], pores[:, ::-1, ::-1])
    conductivities = [diffusion(image, 1e-4).conductivity for image in images]
    np.testing.assert_allclose(conductivities, conductivities[0], rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_paths_are_longer_than_the_depth_and_shorter_than_along_the_axes(seed):
    pores = pore_space((30, 28, 70), seed, 0.4)
    space = space_of(pores)
    (a, b), number = graph_of(pores)
    n = int(pores.sum())
    graph = sparse.coo_array((np.ones(len(a)), (a, b)), shape=(n, n)).tocsr()
    outlet = number[-1][number[-1] >= 0]
    steps = dijkstra(graph, directed=False, indices=outlet, min_only=True)
    inlet = number[0][number[0] >= 0]
    reached = np.isfinite(steps[inlet])
    along_axes = (steps[inlet][reached].mean() + 1.0) / len(pores)
    assert 1.0 <= shortest_path(space) <= along_axes
    assert along_axes > 1.02


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 1.0), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0)])
def test_path_around_an_edge(spacing):
    """Behind an edge the front is circular: first-order sweeping overestimates its arrival time slightly."""
    pores = np.ones((61, 4, 128), bool)
    pores[30, :, :64] = False
    length = shortest_path(space_of(pores), spacing)
    x = (np.arange(128) + 0.5) * spacing[2]
    edge = 64 * spacing[2]
    half = np.where(x < edge, np.hypot(30.0 * spacing[0], edge - x), 30.0 * spacing[0])  # to the plane of the wall
    exact = (half + 31.0 * spacing[0]).mean() / (61 * spacing[0])
    assert exact < length < (1.03 if spacing == CUBE else 1.05) * exact


@pytest.mark.parametrize("spacing", [CUBE, (2.0, 1.0, 1.0), (3.0, 1.0, 2.0)])
def test_distances_along_straight_lines(spacing):
    """From one voxel of the last plane: exact along the axes, too long by less than 15 % across them (first order)."""
    pores = np.ones((41, 41, 41), bool)
    pores[-1] = False
    pores[-1, 20, 20] = True
    distance = geodesic_distances(space_of(pores), spacing)
    numbers = space_of(pores).first.reshape(-1)[: 41 * 41].reshape(41, 41)
    assert distance[numbers[5, 20] + 20] == pytest.approx(35.5 * spacing[0], rel=1e-6)
    offsets = np.array([(z - 40, y - 20, x - 20) for z, y, x in ((0, 0, 20), (0, 20, 0), (10, 3, 30), (20, 40, 5))])
    exact = np.sqrt(((offsets * spacing) ** 2).sum(axis=1)) + 0.5 * spacing[0]
    values = [distance[numbers[z + 40, y + 20] + x + 20] for z, y, x in offsets]
    assert (values >= exact - 0.5 * spacing[0]).all()
    assert (values <= 1.15 * exact).all()


def test_volume_without_solid():
    space = space_of(np.ones((16, 15, 14), bool))
    assert shortest_path(space) == 1.0
    assert diffusion(np.ones((16, 15, 14), bool)).conductivity == pytest.approx(1.0, rel=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tortuosity_factors_of_taufactor(shared):
    """Diffusive tortuosity factors of a synthetic image, by an independent solver: 1.1513, 1.3905 and 4.2431."""
    import tifffile

    with zipfile.ZipFile(shared / "data/TF-500x500x500-1x2x6-v3.tiff.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith(".tiff") and "MACOSX" not in n)
        pores = tifffile.imread(io.BytesIO(archive.read(name))) == 255
    factors = []
    for axis in range(3):
        moved = np.ascontiguousarray(np.moveaxis(pores, axis, 0))
        factors.append(pores.mean() / diffusion(moved).conductivity)
    np.testing.assert_allclose(sorted(factors), [1.1513, 1.3905, 4.2431], rtol=0.01)
