"""Distances, pore sizes, connectivity and networks of volumes: independence of the blocks, and known solutions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import block_shapes, pore_space, pore_spaces

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.distance import block_squared_distances, halo_suffices, squared_distances
from membrane_dask.physics.imaging.local_thickness import local_thickness_counts, pore_radii
from membrane_dask.physics.imaging.network_extraction import Extraction, extract_network
from membrane_dask.physics.imaging.surface_area import line_weights
from membrane_dask.physics.imaging.watershed import SnowParameters, block_watershed
from membrane_dask.physics.networks.pore_network import INLET, OUTLET
from membrane_dask.physics.voxel_spacing import CUBE

SNOW = SnowParameters()
SPACINGS = [CUBE, (2.0, 1.0, 1.0), (3.0, 2.0, 1.0), (1.0, 1.3, 2.7)]


def extract(pores, block=None, *, halo=8, snow=SNOW, diagonal=False, order=1, spacing=CUBE):
    """The network from blocks of any shape, the pore sizes, and the pore of every voxel."""
    block = block or pores.shape
    axes = [[(a, min(a + b, n)) for a in range(0, n, b)] for n, b in zip(pores.shape, block, strict=True)]
    contributions, blocks, sizes = [], [], np.zeros((60, pores.shape[0]), int)
    for spans in list(itertools.product(*axes))[::order]:
        start, stop = zip(*spans, strict=True)
        one, squares = block_squared_distances(
            pores.__getitem__, start, stop, pores.shape, margin=snow.margin, halo=halo, spacing=spacing
        )
        contribution, labels = block_watershed(squares, one, snow, diagonal, spacing)
        contributions.append(contribution)
        blocks.append((tuple(slice(*span) for span in spans), labels))
        counts = local_thickness_counts(squares, one, spacing=spacing)
        sizes[: len(counts), start[0] : stop[0]] += counts
    extraction = extract_network(contributions, pores.shape, 2.0, snow, spacing)
    pore = np.full(pores.shape, -1)
    for contribution, (where, labels) in zip(contributions, blocks, strict=True):
        pore_of_region = extraction.pore[np.searchsorted(extraction.region_names, contribution["peak"])]
        pore[where] = np.append(pore_of_region, -1)[labels]
    return extraction, sizes, pore


def values_of(extraction: Extraction) -> dict[str, bytes]:
    network, connectivity = extraction.network, extraction.connectivity
    arrays = {k: v for k, v in vars(network).items() if isinstance(v, np.ndarray)}
    arrays |= dict(network.bodies) | {f"throat {k}": v for k, v in network.throats.items()}
    arrays |= {k: np.asarray(v) for k, v in vars(connectivity).items()}
    return {name: np.ascontiguousarray(value).tobytes() for name, value in arrays.items()}


@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_results_are_independent_of_the_blocks(data):
    pores = data.draw(pore_spaces())
    variants = [SNOW, SnowParameters(sigma=0.0), SnowParameters(sigma=1.0, r_max=2.5, min_separation=2.0)]
    options = {"diagonal": data.draw(st.booleans()), "snow": data.draw(st.sampled_from(variants))}
    options["spacing"] = data.draw(st.sampled_from(SPACINGS))
    whole, sizes, pore = extract(pores, **options)
    block = data.draw(block_shapes(pores.shape))
    by_blocks, same_sizes, same_pore = extract(
        pores, block, halo=data.draw(st.integers(1, 12)), order=data.draw(st.sampled_from([1, -1])), **options
    )
    assert values_of(by_blocks) == values_of(whole)
    np.testing.assert_array_equal(same_sizes, sizes)
    np.testing.assert_array_equal(same_pore, pore)


def test_results_are_independent_of_blocks_of_the_usual_size():
    pores = pore_space((130, 102, 66), porosity=0.25, sigma=2.5)
    whole, sizes, pore = extract(pores)
    for edge in (64, 100, 128):
        by_blocks, same_sizes, same_pore = extract(pores, (edge,) * 3, halo=32)
        assert values_of(by_blocks) == values_of(whole)
        np.testing.assert_array_equal(same_sizes, sizes)
        np.testing.assert_array_equal(same_pore, pore)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("porosity", [0.12, 0.2, 0.35])
def test_connectivity_equals_that_of_scipys_labels(porosity, diagonal):
    pores = pore_space((30, 33, 36), 4, porosity, sigma=1.0)
    connectivity = extract(pores, (16, 11, 20), diagonal=diagonal)[0].connectivity
    labels, count = ndimage.label(pores, np.ones((3, 3, 3)) if diagonal else None)
    assert connectivity.n_components == count
    for axis in range(3):
        planes = np.moveaxis(labels, axis, 0)
        percolating = np.setdiff1d(np.intersect1d(planes[0], planes[-1]), [0])
        assert connectivity.connected[axis] == np.isin(labels, percolating).mean()
    at_face = [set(labels[k].ravel()) - {0} for k in (0, -1)]
    assert connectivity.dead_end == np.isin(labels, list(at_face[0] ^ at_face[1])).mean()
    assert connectivity.closed == np.isin(labels, list(set(range(1, count + 1)) - at_face[0] - at_face[1])).mean()
    np.testing.assert_allclose(connectivity.profile[:, 0], pores.mean(axis=(1, 2)), rtol=1e-14)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_voxels_of_a_pore_are_connected(spacing):
    pores = pore_space((40, 40, 40), 2, 0.25, sigma=1.2)
    extraction, _, pore = extract(pores, spacing=spacing)
    labels, _ = ndimage.label(pores)
    for number in range(len(extraction.network.junctions)):
        assert len(np.unique(labels[pore == number])) == 1
    volume = np.bincount(pore[pore >= 0], minlength=len(extraction.network.junctions))
    np.testing.assert_allclose(extraction.network.bodies["volume"], volume * 8.0 * np.prod(spacing), rtol=1e-14)
    assert (pores & (pore < 0)).sum() == pytest.approx(extraction.unassigned_fraction * pores.sum())


def sphere(shape, centre, radius, spacing=CUBE):
    """A sphere by its centre, in the unit of the spacing; voxels of the first plane have the position 0."""
    grids = np.ogrid[tuple(slice(0, n, edge) for n, edge in zip(shape, spacing, strict=True))]
    return sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)) < radius**2


@pytest.mark.parametrize("spacing", SPACINGS[:3])
def test_two_spheres_and_a_neck(spacing):
    """Two spheres of radius 12 with centres at a distance of 20 meet in a disc of radius sqrt(12^2 - 10^2)."""
    shape = (70, 40, 40)
    pores = sphere(shape, (20, 20, 20), 12, spacing) | sphere(shape, (40, 20, 20), 12, spacing)
    extraction = extract(pores, (30, 25, 40), spacing=spacing)[0]
    network = extraction.network
    assert len(network.junctions) == 2
    assert network.throat_conns.tolist() == [[0, 1]]
    neck = np.sqrt(12**2 - 10**2)
    assert network.throats["inscribed_radius"][0] / 2.0 == pytest.approx(neck, abs=0.6 * max(spacing))
    # Planes between two voxels cut the neck up to half of the long edge away from its narrowest section.
    assert network.radius[0] / 2.0 == pytest.approx(neck, rel=0.05 * max(spacing))
    np.testing.assert_allclose(network.bodies["inscribed_radius"] / 2.0, 12, atol=0.5 * max(spacing))
    # A sphere without the cap beyond the neck, of height 2.
    whole = 4 / 3 * np.pi * 12**3 - np.pi * 2**2 * (3 * 12 - 2) / 3
    # The middle plane belongs to one of them, and a digital sphere is a little smaller.
    np.testing.assert_allclose(network.bodies["volume"] / 8.0, whole, rtol=0.03 * max(spacing))
    area = 4 * np.pi * 144 * (22 / 24)
    np.testing.assert_allclose(network.bodies["surface_area"] / 4.0, area, rtol=0.03 * max(spacing))
    # The centroids lie slightly outside of the centres of the spheres; the throat connects them.
    assert network.length[0] / 2.0 == pytest.approx(np.diff(network.junctions[:, 0])[0] / 2.0, rel=1e-6)
    assert extraction.connectivity.connected[0] == 0
    assert np.isnan(extraction.connectivity.centroid_path)


def test_a_tube_from_face_to_face():
    shape = (60, 31, 31)
    pores = np.broadcast_to(sphere((1, 31, 31), (0, 15, 15), 8), shape)
    extraction = extract(pores, (25, 16, 31))[0]
    network = extraction.network
    assert extraction.connectivity.connected.tolist() == [pores.mean(), 0, 0]
    assert extraction.connectivity.centroid_path == 1.0
    ends = network.throat_conns
    assert (ends[:, 1] == INLET).sum() == (ends[:, 1] == OUTLET).sum() == 1
    openings = ends[:, 1] < 0
    np.testing.assert_allclose(network.throats["area"][openings] / 4.0, pores[0].sum())
    radius = np.sqrt(pores[0].sum() / np.pi)
    assert network.bodies["surface_area"].sum() / 4.0 == pytest.approx(2 * np.pi * radius * 60, rel=0.04)
    quarters = network.band_porosity()
    assert quarters.shape == (4,)
    assert quarters.sum() > 0


def test_weights_of_the_lines_of_surface_areas():
    """Those of cubes are published (Legland, Kieu and Devaux 2007); those of all lines add up to 1."""
    published = [0.0915557824] * 3 + [0.0739612558 / np.sqrt(2)] * 3 + [0.0703912796 / np.sqrt(3)]
    np.testing.assert_allclose(line_weights(CUBE), published, rtol=2e-4)  # of 130 000 directions
    np.testing.assert_allclose(line_weights((2.0, 1.0, 1.0))[[1, 3]], line_weights((2.0, 1.0, 1.0))[[2, 4]], rtol=1e-3)
    lengths = np.sqrt([9, 4, 1, 13, 10, 5, 14])
    weights = line_weights((3.0, 2.0, 1.0)) * lengths * [1, 1, 1, 2, 2, 2, 4]
    assert weights.sum() == pytest.approx(1)


def test_nearly_cubic_voxels_have_the_network_of_cubes():
    """Paths of cubes and of other voxels agree: voxels that are longer by a billionth have the same network."""
    pores = pore_space((30, 28, 26), 1, 0.45, sigma=1.8)
    cubes, spaced = extract(pores)[0], extract(pores, spacing=(1.0 + 1e-9, 1.0, 1.0))[0]
    np.testing.assert_array_equal(spaced.network.throat_conns, cubes.network.throat_conns)
    np.testing.assert_allclose(spaced.network.bodies["volume"], cubes.network.bodies["volume"], rtol=1e-8)
    np.testing.assert_allclose(spaced.network.bodies["surface_area"], cubes.network.bodies["surface_area"], rtol=2e-4)
    np.testing.assert_allclose(spaced.network.length, cubes.network.length, rtol=1e-7)


def test_missing_blocks_are_refused():
    pores = pore_space((20, 20, 20))
    contributions = []
    for start in (0, 10):
        block = Block((start, 0, 0), (start + 10, 20, 20), 20, pores.shape)
        contributions.append(block_watershed(squared_distances(pores[block.extended]), block, SNOW)[0])
    assert extract_network(contributions, pores.shape, 1.0, SNOW)
    with pytest.raises(ValueError, match="missing"):
        extract_network(contributions[:1], pores.shape, 1.0, SNOW)


def test_a_volume_without_solid_is_refused():
    pores = np.ones((20, 20, 20), bool)
    with pytest.raises(PhysicsError, match="no solid at all"):
        block_squared_distances(pores.__getitem__, (0, 0, 0), (10, 10, 10), pores.shape, margin=7, halo=8)


def test_all_solid():
    extraction, sizes, _ = extract(np.zeros((10, 11, 12), bool), (5, 11, 12))
    assert len(extraction.network.junctions) == len(extraction.network.throat_conns) == 0
    assert extraction.connectivity.porosity == extraction.connectivity.n_components == sizes.sum() == 0


@pytest.mark.parametrize("spacing", SPACINGS)
def test_distances_are_exact_where_the_halo_suffices(spacing):
    pores = pore_space((24, 30, 40), 1, 0.5, sigma=3)
    expected = ndimage.distance_transform_edt(pores, sampling=spacing) ** 2
    if spacing == SPACINGS[-1]:  # no whole numbers: rounded to single precision
        np.testing.assert_allclose(squared_distances(pores, spacing), expected, rtol=1e-6)
        expected = squared_distances(pores, spacing)
    else:
        expected = np.round(expected)
        np.testing.assert_array_equal(squared_distances(pores, spacing), expected)
    assert np.isinf(squared_distances(np.ones((3, 3, 3), bool), spacing)).all()
    widest = int(np.sqrt(expected.max()))
    start, stop = (8, 8, 8), (16, 20, 30)
    for halo in range(1, 2 * widest + 12):
        block = Block(start, stop, halo, pores.shape)
        squares = squared_distances(pores[block.extended], spacing)
        if not halo_suffices(squares, block, 2, spacing):
            continue
        inner = tuple(slice(a - 2, b + 2) for a, b in zip(start, stop, strict=True))
        np.testing.assert_array_equal(block.crop(squares, 2, "constant"), expected[inner])
        break
    else:
        pytest.fail("a halo of twice the widest pore suffices")


@pytest.mark.parametrize(
    ("shape", "solid"),
    [
        ((17, 23, 31), 0.3), ((40, 5, 70), 0.02), ((1, 60, 200), 0.01), ((64, 1, 1), 0.1), ((30, 40, 130), 1e-9),
        ((2, 2, 2), 0.5),
    ],
)  # fmt: skip
def test_distances_of_cubes_are_whole_and_exact(shape, solid):
    """Rows and planes without solid, a single solid voxel, edges of one voxel; an independent transform."""
    rng = np.random.default_rng(11)
    for _ in range(4):
        pores = rng.random(shape) >= solid
        pores[tuple(rng.integers(0, shape))] = False
        expected = np.rint(np.square(ndimage.distance_transform_edt(pores)))
        np.testing.assert_array_equal(squared_distances(pores), expected)
        np.testing.assert_array_equal(squared_distances(np.asfortranarray(pores)), expected)


def test_distances_in_a_long_volume():
    """Too long for 32-bit squares."""
    pores = np.ones((1, 2, 17_000), bool)
    pores[0, 1, 5] = False
    expected = np.square(np.arange(17_000.0) - 5)
    np.testing.assert_allclose(squared_distances(pores)[0], [expected + 1, expected], rtol=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS[:3])
def test_pore_sizes_are_openings(spacing):
    """Computed with SciPy's distances: voxels nearer than r to a voxel at least r from the solid."""
    pores = pore_space((40, 36, 50), 3, 0.5, sigma=3)
    sizes = extract(pores, (20, 36, 23), spacing=spacing)[1]
    distance = ndimage.distance_transform_edt(pores, sampling=spacing)
    for radius, counts in zip(pore_radii(30), sizes, strict=False):
        centres = distance >= radius
        inside = np.zeros_like(pores)
        if centres.any():
            inside = ndimage.distance_transform_edt(~centres, sampling=spacing) < radius
        np.testing.assert_array_equal(counts, inside.sum(axis=(1, 2)))
    assert sizes[0].sum() == pores.sum()


def test_radii_of_the_pore_size_distribution():
    radii = pore_radii(40)
    assert radii[:3].tolist() == [1.0, 1.5, 2.0]
    steps = np.diff(radii)
    assert (steps / radii[1:] <= 0.34).all()
    assert (steps[radii[1:] > 5] / radii[1:][radii[1:] > 5] <= 0.125).all()
