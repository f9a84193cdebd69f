"""Networks from voxels: the same whatever the blocks, bodies whose sizes are known, and what SciPy counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import block_shapes, pore_space, pore_spaces

from membrane_dask.physics.imaging.distance import Box, fitting, pore_radii, squared_distances, suffices, surroundings
from membrane_dask.physics.imaging.network_extraction import Extraction, assemble
from membrane_dask.physics.imaging.watershed import Markers, basins
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PhysicsError

MARKERS = Markers()


def extract(pores, block=None, *, halo=8, markers=MARKERS, diagonal=False, order=1):
    """The network by blocks of any shape, the sizes, and the pore of every voxel."""
    block = block or pores.shape
    axes = [[(a, min(a + b, n)) for a in range(0, n, b)] for n, b in zip(pores.shape, block, strict=True)]
    parts, places, sizes = [], [], np.zeros((60, pores.shape[0]), int)
    for spans in list(itertools.product(*axes))[::order]:
        start, stop = zip(*spans, strict=True)
        box, squares = surroundings(pores.__getitem__, start, stop, pores.shape, margin=markers.margin, halo=halo)
        part, labels = basins(squares, box, markers, diagonal)
        parts.append(part)
        places.append((tuple(slice(*span) for span in spans), labels))
        counts = fitting(squares, box)
        sizes[: len(counts), start[0] : stop[0]] += counts
    found = assemble(parts, pores.shape, 2.0, markers)
    pore = np.full(pores.shape, -1)
    for part, (where, labels) in zip(parts, places, strict=True):
        names = np.append(found.pore[np.searchsorted(found.basin, part["summit"])], -1)
        pore[where] = names[labels]
    return found, sizes, pore


def values_of(found: Extraction) -> dict[str, bytes]:
    network, connectivity = found.network, found.connectivity
    arrays = {k: v for k, v in vars(network).items() if isinstance(v, np.ndarray)}
    arrays |= dict(network.bodies) | {f"throat {k}": v for k, v in network.throats.items()}
    arrays |= {k: np.asarray(v) for k, v in vars(connectivity).items()}
    return {name: np.ascontiguousarray(value).tobytes() for name, value in arrays.items()}


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_blocks_do_not_show(data):
    pores = data.draw(pore_spaces())
    how = {
        "diagonal": data.draw(st.booleans()),
        "markers": data.draw(
            st.sampled_from([MARKERS, Markers(sigma=0.0), Markers(sigma=1.0, radius=2.5, nearby=2.0)])
        ),
    }
    whole, sizes, pore = extract(pores, **how)
    block = data.draw(block_shapes(pores.shape))
    found, same_sizes, same_pore = extract(
        pores, block, halo=data.draw(st.integers(1, 12)), order=data.draw(st.sampled_from([1, -1])), **how
    )
    assert values_of(found) == values_of(whole)
    np.testing.assert_array_equal(same_sizes, sizes)
    np.testing.assert_array_equal(same_pore, pore)


def test_the_usual_blocks_do_not_show():
    pores = pore_space((130, 102, 66), porosity=0.25, sigma=2.5)
    whole, sizes, pore = extract(pores)
    for edge in (64, 100, 128):
        found, same_sizes, same_pore = extract(pores, (edge,) * 3, halo=32)
        assert values_of(found) == values_of(whole)
        np.testing.assert_array_equal(same_sizes, sizes)
        np.testing.assert_array_equal(same_pore, pore)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("porosity", [0.12, 0.2, 0.35])
def test_connectivity_is_what_scipy_labels(porosity, diagonal):
    pores = pore_space((30, 33, 36), 4, porosity, sigma=1.0)
    found = extract(pores, (16, 11, 20), diagonal=diagonal)[0].connectivity
    labels, count = ndimage.label(pores, np.ones((3, 3, 3)) if diagonal else None)
    assert found.n_components == count
    for axis in range(3):
        turned = np.moveaxis(labels, axis, 0)
        through = np.setdiff1d(np.intersect1d(turned[0], turned[-1]), [0])
        assert found.connected[axis] == np.isin(labels, through).mean()
    touching = [set(labels[k].ravel()) - {0} for k in (0, -1)]
    assert found.dead_end == np.isin(labels, list(touching[0] ^ touching[1])).mean()
    assert found.closed == np.isin(labels, list(set(range(1, count + 1)) - touching[0] - touching[1])).mean()
    np.testing.assert_allclose(found.profile[:, 0], pores.mean(axis=(1, 2)), rtol=1e-14)


def test_a_pore_holds_what_is_connected_only():
    pores = pore_space((40, 40, 40), 2, 0.25, sigma=1.2)
    found, _, pore = extract(pores)
    labels, _ = ndimage.label(pores)
    for number in range(len(found.network.junctions)):
        assert len(np.unique(labels[pore == number])) == 1
    volume = np.bincount(pore[pore >= 0], minlength=len(found.network.junctions))
    np.testing.assert_allclose(found.network.bodies["volume"], volume * 8.0, rtol=1e-14)
    assert (pores & (pore < 0)).sum() == pytest.approx(found.unassigned * pores.sum())


def ball(shape, centre, radius):
    return sum((g - c) ** 2 for g, c in zip(np.ogrid[tuple(slice(n) for n in shape)], centre, strict=True)) < radius**2


def test_two_balls_and_a_neck():
    """Two balls of radius 12 whose centres lie 20 apart meet in a disc of radius sqrt(12^2 - 10^2)."""
    shape = (70, 40, 40)
    pores = ball(shape, (25, 20, 20), 12) | ball(shape, (45, 20, 20), 12)
    found = extract(pores, (30, 25, 40))[0]
    network = found.network
    assert len(network.junctions) == 2
    assert network.throat_conns.tolist() == [[0, 1]]
    neck = np.sqrt(12**2 - 10**2)
    assert network.throats["inscribed_radius"][0] / 2.0 == pytest.approx(neck, abs=0.6)
    assert network.radius[0] / 2.0 == pytest.approx(neck, rel=0.05)
    np.testing.assert_allclose(network.bodies["inscribed_radius"] / 2.0, 12, atol=0.5)
    # A ball less the cap beyond the neck, of height 2.
    whole = 4 / 3 * np.pi * 12**3 - np.pi * 2**2 * (3 * 12 - 2) / 3
    # The middle plane falls to one of them, and a digital ball is a little smaller.
    np.testing.assert_allclose(network.bodies["volume"] / 8.0, whole, rtol=0.03)
    np.testing.assert_allclose(network.bodies["surface_area"] / 4.0, 4 * np.pi * 144 * (22 / 24), rtol=0.03)
    # Both centroids lie a little outward of the balls' centres; the throat leads from one to the other.
    assert network.length[0] / 2.0 == pytest.approx(np.diff(network.junctions[:, 0])[0] / 2.0, rel=1e-6)
    assert found.connectivity.connected[0] == 0
    assert np.isnan(found.connectivity.centroid_path)


def test_a_tube_from_face_to_face():
    shape = (60, 31, 31)
    pores = np.broadcast_to(ball((1, 31, 31), (0, 15, 15), 8), shape)
    found = extract(pores, (25, 16, 31))[0]
    assert found.connectivity.connected.tolist() == [pores.mean(), 0, 0]
    assert found.connectivity.centroid_path == 1.0
    ends = found.network.throat_conns
    assert (ends[:, 1] == INLET).sum() == (ends[:, 1] == OUTLET).sum() == 1
    openings = ends[:, 1] < 0
    np.testing.assert_allclose(found.network.throats["area"][openings] / 4.0, pores[0].sum())
    radius = np.sqrt(pores[0].sum() / np.pi)
    assert found.network.bodies["surface_area"].sum() / 4.0 == pytest.approx(2 * np.pi * radius * 60, rel=0.04)
    quarters = found.network.band_porosity()
    assert quarters.shape == (4,)
    assert quarters.sum() > 0


def test_missing_blocks_are_missed():
    pores = pore_space((20, 20, 20))
    parts = []
    for start in (0, 10):
        box = Box((start, 0, 0), (start + 10, 20, 20), 20, pores.shape)
        parts.append(basins(squared_distances(pores[box.known]), box, MARKERS)[0])
    assert assemble(parts, pores.shape, 1.0, MARKERS)
    with pytest.raises(ValueError, match="missing"):
        assemble(parts[:1], pores.shape, 1.0, MARKERS)


def test_a_volume_without_solid_is_refused():
    pores = np.ones((20, 20, 20), bool)
    with pytest.raises(PhysicsError, match="no solid at all"):
        surroundings(pores.__getitem__, (0, 0, 0), (10, 10, 10), pores.shape, margin=7, halo=8)


def test_all_solid():
    found, sizes, _ = extract(np.zeros((10, 11, 12), bool), (5, 11, 12))
    assert len(found.network.junctions) == len(found.network.throat_conns) == 0
    assert found.connectivity.porosity == found.connectivity.n_components == sizes.sum() == 0


def test_distances_and_what_must_be_known():
    pores = pore_space((24, 30, 40), 1, 0.5, sigma=3)
    expected = np.round(ndimage.distance_transform_edt(pores) ** 2)
    np.testing.assert_array_equal(squared_distances(pores), expected)
    assert np.isinf(squared_distances(np.ones((3, 3, 3), bool))).all()
    widest = int(np.sqrt(expected.max()))
    start, stop = (8, 8, 8), (16, 20, 30)
    for halo in range(1, 2 * widest + 12):
        box = Box(start, stop, halo, pores.shape)
        squares = squared_distances(pores[box.known])
        if not suffices(squares, box, 2):
            continue
        inner = tuple(slice(a - 2, b + 2) for a, b in zip(start, stop, strict=True))
        np.testing.assert_array_equal(box.window(squares, 2, "constant"), expected[inner])
        break
    else:
        pytest.fail("a halo of twice the widest pore must do")


def test_sizes_are_openings():
    """Voxels in balls that fit, by SciPy's distances: dilated to less than r what lies at least r from the solid."""
    pores = pore_space((40, 36, 50), 3, 0.5, sigma=3)
    sizes = extract(pores, (20, 36, 23))[1]
    distance = ndimage.distance_transform_edt(pores)
    for radius, counts in zip(pore_radii(30), sizes, strict=False):
        centres = distance >= radius
        inside = ndimage.distance_transform_edt(~centres) < radius if centres.any() else np.zeros_like(pores)
        np.testing.assert_array_equal(counts, inside.sum(axis=(1, 2)))
    assert sizes[0].sum() == pores.sum()


def test_radii_at_which_sizes_are_told():
    radii = pore_radii(40)
    assert radii[:3].tolist() == [1.0, 1.5, 2.0]
    steps = np.diff(radii)
    assert (steps / radii[1:] <= 0.34).all()
    assert (steps[radii[1:] > 5] / radii[1:][radii[1:] > 5] <= 0.125).all()
