"""Watershed of a block of the pore space by steepest ascent on its distance map.

Every pore voxel steps to its highest neighbour until it arrives at a peak; the voxels that arrive at one peak are a
region. Which of the regions become pores is decided for the whole volume, in
:mod:`membrane_dask.physics.imaging.network_extraction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.gaussian import gaussian_filter
from membrane_dask.physics.union_find import root_of
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, is_cube, kernel_spacing

#: Offsets of the neighbours of a voxel: 6 across faces, then 12 across edges, then 8 across corners.
_NEIGHBOURS = np.array(
    sorted(
        ((z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) != (0, 0, 0)),
        key=lambda offset: (sum(map(abs, offset)), offset),
    ),
    np.int64,
)
#: Those of them that follow the voxel in the order of the volume: 3 across faces, then the others.
_FOLLOWING = np.array([offset for offset in _NEIGHBOURS.tolist() if offset > [0, 0, 0]], np.int64)
#: Sums over a region, whole numbers: its voxels (0), their coordinates (1 to 3), the solid voxels across their faces
#: along z, y, x (4 to 6), across their edges in the planes zy, zx, yx (7 to 9) and corners (10), and their faces on
#: those of the volume: low z, high z, low y, ... (11 to 16).
N_REGION_SUMS, SOLID_SUMS, FACE_SUMS = 17, slice(4, 11), slice(11, 17)
#: The sum of solid voxels that each neighbour adds to.
_SUM_OF_NEIGHBOUR = SOLID_SUMS.start + np.array([-1, 0, 1, 3, 2, 4, 5, 6])[((_NEIGHBOURS != 0) * [1, 2, 4]).sum(axis=1)]
#: Sums over the faces between two regions: faces normal to each axis (0 to 2), coordinates in half voxels (3 to 5).
N_FACE_SUMS = 6
#: Arrays that a block contributes to the watershed of the volume, by name; see :func:`block_watershed`.
Contribution = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SnowParameters:
    """Which peaks of the distance map are markers, each of which becomes a pore (SNOW); lengths in shortest edges.

    Parameters
    ----------
    sigma : float
        Standard deviation of the Gaussian filter of the distance map; 0 for none.
    r_max : float
        A marker is the highest voxel of the filtered map within this radius.
    min_peak_distance : float
        Smallest height of a marker in the filtered map.
    min_separation : float
        The lower one of two markers is removed if they are nearer to each other than this times the distance of one
        of them to the solid.

    References
    ----------
    Gostick, Phys. Rev. E 96, 023307 (2017).
    """

    sigma: float = 0.4
    r_max: float = 4.0
    min_peak_distance: float = 2.0
    min_separation: float = 1.0

    @property
    def rim(self) -> int:
        """Voxels around a block whose filtered distances are needed."""
        return max(int(self.r_max), 1) + 1

    @property
    def margin(self) -> int:
        """Voxels around a block whose distances to the solid are needed."""
        return self.rim + int(4.0 * self.sigma + 0.5)


def block_watershed(
    squares: np.ndarray, block: Block, snow: SnowParameters, diagonal: bool = False, spacing: Spacing = CUBE
) -> tuple[Contribution, np.ndarray]:
    """Watershed regions of a block.

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances in the extended block, exact within ``snow.margin`` of the block.
    block : Block
        The block and its halo.
    snow : SnowParameters
        Which peaks may be markers.
    diagonal : bool
        Whether voxels with only a common edge or corner are connected.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    contribution : dict of str to ndarray
        ``peak`` (n,): voxel of the volume that a region ascends to, within the block or in the layer around it;
        ``inside`` (n,): whether the block holds it. ``sums`` (n, N_REGION_SUMS). ``max_squared_distance`` (n, 3):
        largest squared distance to the solid, anywhere and on the faces of the volume at low and high z.
        ``height`` (n, 2): filtered and squared distance at the peaks inside; ``is_marker`` (n,): whether a peak may
        be a marker. ``pair`` (m, 2): adjacent regions; ``pair_sums`` (m, N_FACE_SUMS); ``pair_saddle`` (m, 2): the
        saddle between them, in filtered and squared distance. ``boundary`` (k, 2): region, and voxel of the volume
        that is adjacent to it across the boundary of the block; ``boundary_sums``, ``boundary_saddle``: as of pairs.
        ``interface`` (l, 2): voxels of the block that its neighbours refer to, and their regions. ``plane_sums``
        (s, 5): region, plane of the depth, voxels of the region there and sums of their y and x.
    labels : (z, y, x) ndarray of int32
        Region of each voxel of the block, -1 in the solid.
    """
    rim = snow.rim
    ground = np.ascontiguousarray(block.crop(squares, rim, "constant"))
    if snow.margin > rim:
        distances = np.sqrt(block.crop(squares, snow.margin, "edge"))
        sigma = snow.sigma if is_cube(spacing) else tuple(snow.sigma / edge for edge in spacing)
        heights = gaussian_filter(distances, sigma, reach=snow.margin - rim)
        heights[ground == 0] = 0  # beyond the volume, too: a peak at its face has no rival there
    else:
        heights = np.sqrt(ground)
    start, shape = np.array(block.start, np.int64), np.array(block.shape, np.int64)
    edges = kernel_spacing(spacing)
    squares_of_steps = np.square(_NEIGHBOURS * np.array(spacing)).sum(axis=1)
    parents, is_interface = _steepest_ascent(
        ground, heights, rim, _NEIGHBOURS, 1.0 / np.sqrt(squares_of_steps), diagonal, start, shape, edges
    )
    labels, roots = _label_regions(parents, np.array(ground.shape), rim)
    n = len(roots)
    coordinates = np.stack(np.unravel_index(roots, ground.shape), axis=1)
    inside = ((coordinates >= rim) & (coordinates < np.array(ground.shape) - rim)).all(axis=1)
    sums, max_squared_distance = _region_sums(
        ground, labels, n, rim, _NEIGHBOURS, _SUM_OF_NEIGHBOUR, squares_of_steps.max(), start, shape
    )
    height = np.stack([heights.ravel()[roots], ground.ravel()[roots]], axis=1)
    height[~inside] = 0
    key, pair_sums, pair_saddle, boundary, boundary_sums, boundary_saddle = _region_faces(
        ground, heights, labels, n, rim, _FOLLOWING, start, shape, diagonal
    )
    pair, pair_sums, pair_saddle = aggregate_by_key(key, pair_sums, pair_saddle)
    interface = np.stack(np.nonzero(is_interface[rim:-rim, rim:-rim, rim:-rim]), axis=1)
    interface_voxel = np.ravel_multi_index(tuple((interface + start).T), block.shape)
    contribution = {
        "peak": np.ravel_multi_index(tuple((coordinates + start - rim).T), block.shape),
        "inside": inside,
        "sums": sums,
        "max_squared_distance": max_squared_distance,
        "height": height,
        "is_marker": _is_maximum(heights, roots, inside, _within(snow.r_max, spacing), snow.min_peak_distance),
        "pair": np.stack(np.divmod(pair, max(n, 1)), axis=1),
        "pair_sums": pair_sums,
        "pair_saddle": pair_saddle,
        "boundary": boundary,
        "boundary_sums": boundary_sums,
        "boundary_saddle": boundary_saddle,
        "interface": np.stack([interface_voxel, labels[tuple(interface.T)]], axis=1),
        "plane_sums": _plane_sums(labels, n, start),
    }
    return contribution, labels


def aggregate_by_key(
    key: np.ndarray, sums: np.ndarray, maxima: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge rows of equal keys: the keys, rising, the sums of ``sums`` and the maxima of ``maxima``."""
    if not len(key):
        return key, sums, maxima
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    first = np.flatnonzero(np.concatenate([[True], sorted_key[1:] != sorted_key[:-1]]))
    return sorted_key[first], np.add.reduceat(sums[order], first), np.maximum.reduceat(maxima[order], first)


def _within(radius: float, spacing: Spacing) -> np.ndarray:
    """Offsets of all voxels within a radius, without the centre."""
    r = int(radius)
    offsets = np.stack(np.meshgrid(*[np.arange(-r, r + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    squares = np.square(offsets * np.array(spacing)).sum(axis=1)
    return np.asarray(offsets[(squares <= np.square(radius)) & (offsets != 0).any(axis=1)])


@inline_kernel
def _reach(ground: Any, z: int, y: int, x: int, rim: int, start: Any, shape: Any, neighbours: Any) -> int:
    """Neighbours that count: all, those across faces and edges, or faces only, where others are next to the solid."""
    for k in range(18):
        dz, dy, dx = neighbours[k]
        inside = 0 <= z - rim + start[0] + dz < shape[0] and 0 <= y - rim + start[1] + dy < shape[1]
        if inside and 0 <= x - rim + start[2] + dx < shape[2] and ground[z + dz, y + dy, x + dx] == 0:
            return 6 if k < 6 else 18
    return 26


@kernel
def _steepest_ascent(
    ground: Any, heights: Any, rim: int, neighbours: Any, inverse: Any, diagonal: bool, start: Any, shape: Any,
    edges: Any,
) -> Any:  # fmt: skip
    """The neighbour that each pore voxel of the block ascends to, and the voxels that other blocks refer to.

    Voxels are numbered through the cropped array. A voxel of the layer around the block is its own parent; the solid
    has -1. Next to the solid only those neighbours count whose line of sight cannot cross it, so that a region
    is connected. ``inverse`` are the inverse distances of the neighbours; ``edges`` of the voxels are None for cubes.
    """
    n_z, n_y, n_x = ground.shape
    square, height = ground.reshape(-1), heights.reshape(-1)
    jump = (neighbours[:, 0] * n_y + neighbours[:, 1]) * n_x + neighbours[:, 2]
    parent = np.full(square.size, -1, np.int32)
    is_interface = np.zeros(ground.shape, np.bool_)
    for z in range(rim - 1, n_z - rim + 1):
        for y in range(rim - 1, n_y - rim + 1):
            for x in range(rim - 1, n_x - rim + 1):
                i = (z * n_y + y) * n_x + x
                if square[i] == 0:
                    continue
                if edges is None:
                    reach = 26 if diagonal or square[i] > 2 else 18 if square[i] > 1 else 6
                else:
                    reach = 26 if diagonal else _reach(ground, z, y, x, rim, start, shape, neighbours)
                best, slope, direction = i, -1.0, -1
                for k in range(reach):
                    j = i + jump[k]
                    # Most neighbours are lower: their height alone excludes them.
                    if height[j] < height[i] or square[j] == 0:
                        continue
                    rise = (np.float64(height[j]) - np.float64(height[i])) * inverse[k]
                    if rise == 0 and j < i:
                        continue
                    if rise > slope or (rise == slope and j > best):
                        best, slope, direction = j, rise, k
                if rim <= z < n_z - rim and rim <= y < n_y - rim and rim <= x < n_x - rim:
                    parent[i] = best
                    continue
                parent[i] = i
                # Another block, to which this voxel belongs, refers to the voxel that it ascends to and to those
                # that lie across its faces.
                for k in range(26):
                    across = (k < 6 or diagonal) and jump[k] > 0
                    if k != direction and not across:
                        continue
                    a, b, c = z + neighbours[k, 0], y + neighbours[k, 1], x + neighbours[k, 2]
                    if rim <= a < n_z - rim and rim <= b < n_y - rim and rim <= c < n_x - rim and ground[a, b, c] > 0:
                        is_interface[a, b, c] = True
    return parent, is_interface


@kernel
def _label_regions(parent: Any, shape: Any, rim: int) -> Any:
    """Number of the region of every voxel of the block, and the voxel that each region ascends to."""
    n_z, n_y, n_x = shape
    labels = np.full((n_z - 2 * rim, n_y - 2 * rim, n_x - 2 * rim), -1, np.int32)
    number = np.full(parent.size, -1, np.int32)
    count = 0
    for i in range(parent.size):
        if parent[i] == i:
            count += 1
    roots = np.empty(count, np.int64)
    n = 0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                i = ((z + rim) * n_y + y + rim) * n_x + x + rim
                if parent[i] < 0:
                    continue
                root = root_of(parent, i)
                if number[root] < 0:
                    number[root] = n
                    roots[n] = root
                    n += 1
                labels[z, y, x] = number[root]
    return labels, roots[:n].copy()


@kernel
def _region_sums(
    ground: Any, labels: Any, n: int, rim: int, neighbours: Any, sum_of_neighbour: Any, farthest: float, start: Any,
    shape: Any,
) -> Any:  # fmt: skip
    """Sums over the voxels of each region, and its largest squared distances; ``farthest`` is that of a neighbour."""
    sums = np.zeros((n, N_REGION_SUMS), np.int64)
    largest = np.zeros((n, 3), np.float32)
    voxel = np.empty(3, np.int64)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                k = labels[z, y, x]
                if k < 0:
                    continue
                square = ground[z + rim, y + rim, x + rim]
                voxel[0], voxel[1], voxel[2] = z + start[0], y + start[1], x + start[2]
                sums[k, 0] += 1
                largest[k, 0] = max(largest[k, 0], square)
                for axis in range(3):
                    sums[k, 1 + axis] += voxel[axis]
                    sums[k, 11 + 2 * axis] += voxel[axis] == 0
                    sums[k, 12 + 2 * axis] += voxel[axis] == shape[axis] - 1
                if voxel[0] == 0:
                    largest[k, 1] = max(largest[k, 1], square)
                if voxel[0] == shape[0] - 1:
                    largest[k, 2] = max(largest[k, 2], square)
                if square > farthest:
                    continue
                for s in range(26):
                    a, b, c = voxel[0] + neighbours[s, 0], voxel[1] + neighbours[s, 1], voxel[2] + neighbours[s, 2]
                    if not (0 <= a < shape[0] and 0 <= b < shape[1] and 0 <= c < shape[2]):
                        continue
                    if ground[a - start[0] + rim, b - start[1] + rim, c - start[2] + rim] == 0:
                        sums[k, sum_of_neighbour[s]] += 1
    return sums, largest


@kernel
def _plane_sums(labels: Any, n: int, start: Any) -> Any:
    """Region, plane of the depth, number of voxels and sums of their y and x, for every region in every plane."""
    row = np.full(n, -1, np.int64)
    count = 0
    for fill in range(2):  # the first pass counts the rows
        rows = np.zeros((count if fill else 0, 5), np.int64)
        row[:] = -1
        count, before = 0, 0
        for z in range(labels.shape[0]):
            before = count
            for y in range(labels.shape[1]):
                for x in range(labels.shape[2]):
                    k = labels[z, y, x]
                    if k < 0:
                        continue
                    if row[k] < before:
                        row[k] = count
                        count += 1
                        if fill:
                            rows[row[k], 0] = k
                            rows[row[k], 1] = z + start[0]
                    if fill:
                        rows[row[k], 2] += 1
                        rows[row[k], 3] += y + start[1]
                        rows[row[k], 4] += x + start[2]
    return rows


@kernel
def _is_maximum(heights: Any, roots: Any, inside: Any, offsets: Any, min_height: float) -> Any:
    """Whether each peak is the highest voxel within the offsets; of equally high voxels the last counts."""
    _, n_y, n_x = heights.shape
    height = heights.reshape(-1)
    jumps = (offsets[:, 0] * n_y + offsets[:, 1]) * n_x + offsets[:, 2]
    result = np.zeros(roots.size, np.bool_)
    for k in range(roots.size):
        i = roots[k]
        if not inside[k] or height[i] < min_height:
            continue
        is_highest = True
        for jump in jumps:
            neighbour = height[i + jump]
            if neighbour > height[i] or (neighbour == height[i] and jump > 0):
                is_highest = False
                break
        result[k] = is_highest
    return result


@kernel
def _region_faces(
    ground: Any, heights: Any, labels: Any, n: int, rim: int, following: Any, start: Any, shape: Any, diagonal: bool
) -> Any:
    """Every face between two regions, once: within the block, and across its boundaries at high z, y and x."""
    size = np.array(labels.shape)
    n_within, n_across = 0, 0
    key, boundary = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    sums, boundary_sums = np.empty((0, N_FACE_SUMS), np.int64), np.empty((0, N_FACE_SUMS), np.int64)
    saddles, boundary_saddles = np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    for fill in range(2):  # the first pass counts them
        if fill == 1:
            key = np.empty(n_within, np.int64)
            sums = np.zeros((n_within, N_FACE_SUMS), np.int64)
            saddles = np.empty((n_within, 2), np.float32)
            boundary = np.empty((n_across, 2), np.int64)
            boundary_sums = np.zeros((n_across, N_FACE_SUMS), np.int64)
            boundary_saddles = np.empty((n_across, 2), np.float32)
            n_within, n_across = 0, 0
        for z in range(size[0]):
            for y in range(size[1]):
                for x in range(size[2]):
                    label = labels[z, y, x]
                    if label < 0:
                        continue
                    for s in range(13 if diagonal else 3):
                        dz, dy, dx = following[s]
                        a, b, c = z + dz, y + dy, x + dx
                        square = ground[a + rim, b + rim, c + rim]
                        if square == 0:
                            continue
                        beyond = a >= size[0] or not 0 <= b < size[1] or not 0 <= c < size[2]
                        neighbour = -1 if beyond else labels[a, b, c]
                        if neighbour == label:
                            continue
                        if fill == 1:
                            row = n_across if beyond else n_within
                            total = boundary_sums[row] if beyond else sums[row]
                            if s < 3:
                                total[0 if dz else 1 if dy else 2] = 1
                                total[3] = 2 * (z + start[0]) + dz
                                total[4] = 2 * (y + start[1]) + dy
                                total[5] = 2 * (x + start[2]) + dx
                            saddle = boundary_saddles[row] if beyond else saddles[row]
                            saddle[0] = min(heights[z + rim, y + rim, x + rim], heights[a + rim, b + rim, c + rim])
                            saddle[1] = min(ground[z + rim, y + rim, x + rim], square)
                            if beyond:
                                boundary[row, 0] = label
                                boundary[row, 1] = ((a + start[0]) * shape[1] + b + start[1]) * shape[2] + c + start[2]
                            else:
                                key[row] = np.int64(min(label, neighbour)) * n + max(label, neighbour)
                        if beyond:
                            n_across += 1
                        else:
                            n_within += 1
    return key, sums, saddles, boundary, boundary_sums, boundary_saddles
