"""Access radius and drainage by spheres: a plain priority flood and plain dilation, exact bodies, PoreSpy."""

from __future__ import annotations

import heapq
import itertools

import numpy as np
import pytest
from scipy import ndimage

from membrane_dask.physics.imaging.access_radius import AccessGraph, block_regions, voxel_access, widest_paths
from membrane_dask.physics.imaging.blocks import divide
from membrane_dask.physics.imaging.distance import block_squared_distances, squared_distances
from membrane_dask.physics.imaging.sphere_invasion import invasion_halo, invasion_squares


def access_by_blocks(pores, edge, *, faces="inlet", diagonal=False, halo=4):
    """Squared access radius of all voxels, and the squared radius of the critical path, from blocks."""
    blocks = divide(pores.shape, edge)
    contributions, own = [], []
    for start, stop in blocks:
        block, squares = block_squared_distances(pores.__getitem__, start, stop, pores.shape, margin=1, halo=halo)
        contribution, labels = block_regions(squares, block, diagonal)
        contributions.append(contribution)
        own.append((block.crop(squares, 0, "constant").astype(np.int32), labels))
    graph = AccessGraph.merge(contributions)
    access = graph.access(faces)
    result = np.zeros(pores.shape, np.int32)
    for k, (start, stop) in enumerate(blocks):
        where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        result[where] = voxel_access(*own[k], access[graph.first[k] : graph.first[k + 1]])
    return result, graph.critical_square(graph.access("inlet"))


def invasion_by_blocks(access, edge):
    """Squared radius at which every voxel is filled, from blocks."""
    halo = invasion_halo(int(access.max()))
    padded, result = np.pad(access, halo), np.zeros_like(access)
    for start, stop in divide(access.shape, edge):
        window = tuple(slice(a, b + 2 * halo) for a, b in zip(start, stop, strict=True))
        result[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = invasion_squares(padded[window], halo)
    return result


def priority_flood(pores, faces="inlet", diagonal=False):
    """The same of all voxels, voxel by voxel from the widest on."""
    squares = squared_distances(pores).astype(int)
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if any(s) and (diagonal or sum(map(abs, s)) == 1)]
    sources = np.zeros(pores.shape, bool)
    planes = {
        "inlet": [(0, 0)],
        "outlet": [(0, -1)],
        "both": [(0, 0), (0, -1)],
        "all": [(k, e) for k in range(3) for e in (0, -1)],
    }
    for axis, end in planes[faces]:
        np.moveaxis(sources, axis, 0)[end] = True
    access = np.zeros(pores.shape, int)
    queue = [(-squares[v], v) for v in map(tuple, np.argwhere(sources & pores).tolist())]
    heapq.heapify(queue)
    while queue:
        negative, voxel = heapq.heappop(queue)
        if access[voxel]:
            continue
        access[voxel] = -negative
        for step in steps:
            neighbour = tuple(a + b for a, b in zip(voxel, step, strict=True))
            inside = all(0 <= a < n for a, n in zip(neighbour, pores.shape, strict=True))
            if inside and pores[neighbour] and not access[neighbour]:
                heapq.heappush(queue, (max(negative, -squares[neighbour]), neighbour))
    return access


def filled_plainly(access):
    """Squared radius at which every voxel is filled: the largest sphere that holds it."""
    filled = np.zeros(access.shape, int)
    grid = np.stack(np.meshgrid(*map(np.arange, access.shape), indexing="ij"), axis=-1)
    for voxel in np.argwhere(access):
        square = access[tuple(voxel)]
        near = ((grid - voxel) ** 2).sum(axis=-1) < square
        filled[near] = np.maximum(filled[near], square)
    return filled


def random_volume(seed):
    """Pores of random shape, porosity and coarseness."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal(rng.integers(12, 22, 3)), rng.uniform(0.6, 2.5))
    return noise < np.quantile(noise, rng.uniform(0.3, 0.7))


def sphere_pack(seed, size=48, solid=0.6):
    """Pores between overlapping spheres at random centres."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
    pores = np.ones((size,) * 3, bool)
    while 1 - pores.mean() < solid:
        pores &= ((grid - rng.uniform(0, size, 3)) ** 2).sum(axis=-1) >= rng.uniform(8, 12) ** 2
    return pores


def tube(shape, axis_at, radius):
    """Voxels nearer than a radius to a line along z."""
    y, x = np.indices(shape[1:])
    section = (y - axis_at[0]) ** 2 + (x - axis_at[1]) ** 2 < radius * radius
    return np.broadcast_to(section, shape).copy()


# On demand: more volumes and halos.
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(n, marks=pytest.mark.slow) for n in range(5, 12))])
def test_all_bits_are_those_of_a_plain_flood_for_any_blocks_and_halos(seed, diagonal):
    pores, rng = random_volume(seed), np.random.default_rng(100 + seed)
    faces = ("inlet", "outlet", "both", "all")[seed % 4]
    expected = priority_flood(pores, faces, diagonal)
    critical = priority_flood(pores, "inlet", diagonal)[-1].max()
    filled = filled_plainly(expected)
    for edge, halo in ((64, 2), (int(rng.integers(5, 20)), int(rng.integers(2, 12)))):
        access, square = access_by_blocks(pores, edge, faces=faces, diagonal=diagonal, halo=halo)
        np.testing.assert_array_equal(access, expected)
        assert square == critical
        np.testing.assert_array_equal(invasion_by_blocks(access, edge), filled)


@pytest.mark.parametrize("seed", range(4))
def test_the_critical_path_is_that_of_labelling_at_every_radius(seed):
    """The widest radius at which the voxels that are at least as wide connect both ends."""
    pores = sphere_pack(seed)
    squares = squared_distances(pores)
    connecting = 0
    for square in np.unique(squares[pores]).astype(int):
        labels, _ = ndimage.label(squares >= square)
        if np.intersect1d(labels[0][labels[0] > 0], labels[-1][labels[-1] > 0]).size:
            connecting = max(connecting, square)
    assert connecting > 0
    assert access_by_blocks(pores, 20)[1] == connecting


def test_a_network_has_the_bottleneck_of_its_widest_path():
    """Two paths from the source to node 2, one of them over a narrow throat; node 3 cannot be reached."""
    pair, saddle = np.array([[0, 1], [1, 2], [0, 2]]), np.array([9, 16, 4])
    np.testing.assert_array_equal(widest_paths(pair, saddle, np.array([25, 0, 0, 0])), [25, 9, 9, 0])
    np.testing.assert_array_equal(widest_paths(pair, saddle, np.array([25, 0, 12, 0])), [25, 12, 12, 0])


def test_parallel_tubes_open_at_their_radii():
    radii, shape = (2, 3, 5), (24, 15, 45)
    pores = np.zeros(shape, bool)
    for radius, centre in zip(radii, (7, 20, 35), strict=True):
        pores |= tube(shape, (7, centre), radius)
    access, critical = access_by_blocks(pores, 16)
    filled = invasion_by_blocks(access, 16)
    assert critical == 25
    sections = [int(tube(shape, (7, 20), radius).sum()) for radius in radii]
    assert [int((filled >= r * r).sum()) for r in radii] == [sum(sections[k:]) for k in range(3)]


def test_a_neck_holds_back_what_lies_behind_it():
    """A tube of radius 8 with a neck of radius 4: from the inlet its rear opens at 4, from both ends at 8."""
    shape = (40, 19, 19)
    pores = tube(shape, (9, 9), 8)
    pores[16:24] &= tube(shape, (9, 9), 4)[16:24]
    access, critical = access_by_blocks(pores, 14)
    assert critical == 16
    filled = invasion_by_blocks(access, 14)
    assert filled[:9][pores[:9]].min() == 64  # behind, the corners at the shoulder remain
    assert filled[26:].max() == 16
    assert (invasion_by_blocks(access_by_blocks(pores, 14, faces="both")[0], 14)[30:] == 64).any()


def test_a_chamber_behind_a_dead_end_fills_at_its_neck():
    shape = (30, 13, 33)
    pores = tube(shape, (6, 6), 4)
    z, y, x = np.indices(shape)
    neck = ((z - 15) ** 2 + (y - 6) ** 2 < 4) & (x >= 6) & (x <= 18)
    chamber = (z - 15) ** 2 + (y - 6) ** 2 + (x - 24) ** 2 < 36
    access, critical = access_by_blocks(pores | neck | chamber, 12)
    assert critical == 16
    assert access[15, 6, 24] == 4
    assert invasion_by_blocks(access, 12)[chamber].max() == 4


@pytest.mark.parametrize(("width", "radius"), [(5, 3), (6, 3), (9, 5), (10, 5)])
def test_the_lattice_radius_of_a_slit(width, radius):
    """Half the width, or half of one voxel more for an odd width: distances are those of the centres."""
    pores = np.zeros((16, 16, 20), bool)
    pores[:, :, 4 : 4 + width] = True
    assert access_by_blocks(pores, 10)[1] == radius * radius


def test_nothing_opens_where_no_path_leads():
    pores = np.zeros((16, 10, 10), bool)
    pores[:6, 3:7, 3:7] = pores[10:, 3:7, 3:7] = True
    access, critical = access_by_blocks(pores, 8)
    assert critical == 0
    assert access[:6].max() > 0
    assert not access[10:].any()


def test_blocks_that_are_missing_are_noticed():
    pores = tube((16, 10, 10), (5, 5), 3)
    block, squares = block_squared_distances(pores.__getitem__, (0, 0, 0), (8, 10, 10), pores.shape, margin=1)
    with pytest.raises(ValueError, match="some blocks are missing"):
        AccessGraph.merge([block_regions(squares, block)[0]])


@pytest.mark.parametrize("seed", [1, 2])
def test_every_voxel_equals_that_of_porespy(seed):
    """Drainage without trapping by spheres of whole radii; its ``smooth`` leaves out voxels at the radius itself."""
    porespy = pytest.importorskip("porespy")
    pores = sphere_pack(seed, 64)
    inlets = np.zeros_like(pores)
    inlets[0] = True
    sizes = np.arange(1, 9)
    expected = porespy.filters.porosimetry(pores, sizes=sizes[::-1], inlets=inlets, method="dt", smooth=True)
    access = access_by_blocks(pores, 40)[0]
    whole = np.minimum(np.sqrt(access).astype(np.int32), 8)  # the largest of these radii that each centre has
    np.testing.assert_array_equal(expected, np.sqrt(invasion_by_blocks(whole * whole, 40)))
