"""Watershed segmentation of the pore space of a block by its distance map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.distance import (
    Box,
)
from membrane_dask.physics.imaging.filters import smoothed

#: Neighbours of a voxel: 6 across faces, then 12 across edges, then 8 across corners.
_STEPS = np.array(
    sorted(
        ((z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) != (0, 0, 0)),
        key=lambda step: (sum(map(abs, step)), step),
    ),
    np.int64,
)
#: What is added up of a basin, in whole numbers: its voxels (0), their coordinates (1 to 3), the solid's voxels at
#: their faces, edges and corners (4 to 6), and their faces on those of the volume: low z, high z, low y, ... (7 to 12).
N_SUMS = 13
#: What is added up of the faces between two basins: those across each axis (0 to 2), their places in half voxels.
N_FACE_SUMS = 6
Part = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Markers:
    """Which summits of the distance map become pores (SNOW).

    Parameters
    ----------
    sigma : float
        Standard deviation of the Gaussian filter of the distance map, in voxels; 0 for none.
    radius : float
        A marker is the highest voxel of the smoothed map within this many voxels.
    smallest : float
        Smallest height of a marker, in voxels.
    nearby : float
        Of two markers nearer to each other than this times the distance to the solid, the lower one goes.
    """

    sigma: float = 0.4
    radius: float = 4.0
    smallest: float = 2.0
    nearby: float = 1.0

    @property
    def rim(self) -> int:
        """Voxels about a block whose heights must be known."""
        return max(int(self.radius), 1) + 1

    @property
    def margin(self) -> int:
        """Voxels about a block whose distances to the solid must be known."""
        return self.rim + int(4.0 * self.sigma + 0.5)


def basins(squares: np.ndarray, box: Box, markers: Markers, diagonal: bool = False) -> tuple[Part, np.ndarray]:
    """Basins of a block.

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances to the solid of what is known; right within ``markers.margin`` of the block.
    box : Box
        The block.
    markers : Markers
        Which summits may be markers.
    diagonal : bool
        Whether voxels that share no more than an edge or a corner are connected.

    Returns
    -------
    part : dict of str to ndarray
        ``summit`` (n,): voxels of the volume that the basins lead to; ``inside`` (n,): whether the block holds them.
        ``sums`` (n, N_SUMS). ``widest`` (n, 3): largest squared distance to the solid, anywhere and on the
        volume's faces at low and high z. ``height`` (n, 2): of the smoothed map and of the squared distances at
        summits inside; ``marker`` (n,): whether a marker may stand there. ``pair`` (m, 2): basins that touch;
        ``pair_sums`` (m, N_FACE_SUMS); ``pair_pass`` (m, 2): highest pass between them, of the smoothed map and of
        the squared distances. ``seam`` (k, 2): basin, and voxel of the volume beyond the block that it touches;
        ``seam_sums``, ``seam_pass``: as of pairs. ``gate`` (l, 2): voxels of the block that others refer to, and
        the basin of each. ``slice`` (s, 5): basin, plane of the depth, its voxels there and sums of their y and x.
    labels : (z, y, x) ndarray of int32
        Basin of each voxel of the block, -1 in the solid.
    """
    rim = markers.rim
    ground = np.ascontiguousarray(box.window(squares, rim, "constant"))
    if markers.margin > rim:
        heights = smoothed(np.sqrt(box.window(squares, markers.margin, "edge")), markers.sigma)
        heights[ground == 0] = 0  # and beyond the volume, where a summit has no rival
    else:
        heights = np.sqrt(ground)
    start, shape = np.array(box.start, np.int64), np.array(box.shape, np.int64)
    parents, asked = _ascents(ground, heights, rim, _STEPS, diagonal)
    labels, roots = _labelled(parents, np.array(ground.shape), rim)
    places = np.stack(np.unravel_index(roots, ground.shape), axis=1)
    inside = ((places >= rim) & (places < np.array(ground.shape) - rim)).all(axis=1)
    sums, widest = _summed(ground, labels, len(roots), rim, _STEPS, start, shape)
    height = np.stack([heights.ravel()[roots], ground.ravel()[roots]], axis=1)
    height[~inside] = 0
    key, pair_sums, pair_pass, seam, seam_sums, seam_pass = _faces(
        ground, heights, labels, len(roots), rim, _STEPS, start, shape, diagonal
    )
    pair, pair_sums, pair_pass = added(key, pair_sums, pair_pass)
    gates = np.stack(np.nonzero(asked[rim:-rim, rim:-rim, rim:-rim]), axis=1)
    found = {
        "summit": np.ravel_multi_index(tuple((places + start - rim).T), box.shape),
        "inside": inside,
        "sums": sums,
        "widest": widest,
        "height": height,
        "marker": _highest(heights, roots, inside, _ball(markers.radius), markers.smallest),
        "pair": np.stack(np.divmod(pair, max(len(roots), 1)), axis=1),
        "pair_sums": pair_sums,
        "pair_pass": pair_pass,
        "seam": seam,
        "seam_sums": seam_sums,
        "seam_pass": seam_pass,
        "gate": np.stack([np.ravel_multi_index(tuple((gates + start).T), box.shape), labels[tuple(gates.T)]], axis=1),
        "slice": _sliced(labels, len(roots), start),
    }
    return found, labels


def added(key: np.ndarray, sums: np.ndarray, highest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of one key together: keys in rising order, sums of ``sums`` and largest of ``highest``."""
    if not len(key):
        return key, sums, highest
    order = np.argsort(key, kind="stable")
    ranked = key[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    return ranked[first], np.add.reduceat(sums[order], first), np.maximum.reduceat(highest[order], first)


def _ball(radius: float) -> np.ndarray:
    """Steps to all voxels within a radius."""
    r = int(radius)
    steps = np.stack(np.meshgrid(*[np.arange(-r, r + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return steps[((steps**2).sum(axis=1) <= radius**2) & (steps != 0).any(axis=1)]


@kernel
def _ascents(ground, heights, rim, steps, diagonal):
    """Where each pore voxel of the block leads, and which of its voxels others refer to.

    Places count through the window. A voxel of the layer about the block leads to itself; -1 is solid. A voxel
    at the solid steps only where no step leads through the solid, so that a basin stays within what is connected.
    """
    n_z, n_y, n_x = ground.shape
    level, height = ground.reshape(-1), heights.reshape(-1)
    jump = (steps[:, 0] * n_y + steps[:, 1]) * n_x + steps[:, 2]
    inverse = 1.0 / np.sqrt((steps * steps).sum(axis=1))
    parent = np.full(level.size, -1, np.int32)
    asked = np.zeros(ground.shape, np.bool_)
    for z in range(rim - 1, n_z - rim + 1):
        for y in range(rim - 1, n_y - rim + 1):
            for x in range(rim - 1, n_x - rim + 1):
                i = (z * n_y + y) * n_x + x
                if level[i] == 0:
                    continue
                reach = 26 if diagonal or level[i] > 2 else 18 if level[i] > 1 else 6
                best, slope, way = i, -1.0, -1
                for k in range(reach):
                    j = i + jump[k]
                    if level[j] == 0:
                        continue
                    rise = (np.float64(height[j]) - np.float64(height[i])) * inverse[k]
                    if rise < 0 or (rise == 0 and j < i):
                        continue
                    if rise > slope or (rise == slope and j > best):
                        best, slope, way = j, rise, k
                if rim <= z < n_z - rim and rim <= y < n_y - rim and rim <= x < n_x - rim:
                    parent[i] = best
                    continue
                parent[i] = i
                # What this voxel leads to, and what looks back at it across a face, has its name in other blocks.
                for k in range(26):
                    across = (k < 6 or diagonal) and jump[k] > 0
                    if k != way and not across:
                        continue
                    a, b, c = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
                    if rim <= a < n_z - rim and rim <= b < n_y - rim and rim <= c < n_x - rim and ground[a, b, c] > 0:
                        asked[a, b, c] = True
    return parent, asked


@kernel
def _labelled(parent, shape, rim):
    """Number of the basin of every voxel of the block, and the place that each basin leads to."""
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
                root = i
                while parent[root] != root:
                    root = parent[root]
                while parent[i] != root:
                    parent[i], i = root, parent[i]
                if number[root] < 0:
                    number[root] = n
                    roots[n] = root
                    n += 1
                labels[z, y, x] = number[root]
    return labels, roots[:n].copy()


@kernel
def _summed(ground, labels, n, rim, steps, start, shape):
    """Sums and largest squared distances of the basins."""
    sums = np.zeros((n, N_SUMS), np.int64)
    widest = np.zeros((n, 3), np.float32)
    at = np.empty(3, np.int64)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                k = labels[z, y, x]
                if k < 0:
                    continue
                square = ground[z + rim, y + rim, x + rim]
                at[0], at[1], at[2] = z + start[0], y + start[1], x + start[2]
                sums[k, 0] += 1
                widest[k, 0] = max(widest[k, 0], square)
                for axis in range(3):
                    sums[k, 1 + axis] += at[axis]
                    sums[k, 7 + 2 * axis] += at[axis] == 0
                    sums[k, 8 + 2 * axis] += at[axis] == shape[axis] - 1
                if at[0] == 0:
                    widest[k, 1] = max(widest[k, 1], square)
                if at[0] == shape[0] - 1:
                    widest[k, 2] = max(widest[k, 2], square)
                if square > 3:
                    continue
                for s in range(26):
                    a, b, c = at[0] + steps[s, 0], at[1] + steps[s, 1], at[2] + steps[s, 2]
                    if not (0 <= a < shape[0] and 0 <= b < shape[1] and 0 <= c < shape[2]):
                        continue
                    if ground[a - start[0] + rim, b - start[1] + rim, c - start[2] + rim] == 0:
                        sums[k, 4 if s < 6 else 5 if s < 18 else 6] += 1
    return sums, widest


@kernel
def _sliced(labels, n, start):
    """Voxels of every basin in every plane of the depth: basin, plane, voxels, sums of y and of x."""
    row = np.full(n, -1, np.int64)
    count = 0
    for fill in range(2):  # first how many rows there are
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
def _highest(heights, roots, inside, ball, smallest):
    """Whether each summit is the highest voxel of its ball; of equal ones, the last."""
    _, n_y, n_x = heights.shape
    height = heights.reshape(-1)
    jump = (ball[:, 0] * n_y + ball[:, 1]) * n_x + ball[:, 2]
    found = np.zeros(roots.size, np.bool_)
    for k in range(roots.size):
        i = roots[k]
        if not inside[k] or height[i] < smallest:
            continue
        is_highest = True
        for step in jump:
            other = height[i + step]
            if other > height[i] or (other == height[i] and step > 0):
                is_highest = False
                break
        found[k] = is_highest
    return found


@kernel
def _faces(ground, heights, labels, n, rim, steps, start, shape, diagonal):
    """Every face between two basins, once: within the block, and to what lies beyond its high faces."""
    size = np.array(labels.shape)
    n_within, n_across = 0, 0
    key, seam = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    sums, seam_sums = np.empty((0, N_FACE_SUMS), np.int64), np.empty((0, N_FACE_SUMS), np.int64)
    passes, seam_passes = np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    for count in range(2):  # first how many there are
        if count == 1:
            key = np.empty(n_within, np.int64)
            sums = np.zeros((n_within, N_FACE_SUMS), np.int64)
            passes = np.empty((n_within, 2), np.float32)
            seam = np.empty((n_across, 2), np.int64)
            seam_sums = np.zeros((n_across, N_FACE_SUMS), np.int64)
            seam_passes = np.empty((n_across, 2), np.float32)
            n_within, n_across = 0, 0
        for z in range(size[0]):
            for y in range(size[1]):
                for x in range(size[2]):
                    here = labels[z, y, x]
                    if here < 0:
                        continue
                    for s in range(26 if diagonal else 6):
                        dz, dy, dx = steps[s]
                        if dz < 0 or (dz == 0 and (dy < 0 or (dy == 0 and dx < 0))):
                            continue
                        a, b, c = z + dz, y + dy, x + dx
                        level = ground[a + rim, b + rim, c + rim]
                        if level == 0:
                            continue
                        beyond = a >= size[0] or not 0 <= b < size[1] or not 0 <= c < size[2]
                        there = -1 if beyond else labels[a, b, c]
                        if there == here:
                            continue
                        if count == 1:
                            row = n_across if beyond else n_within
                            total = seam_sums[row] if beyond else sums[row]
                            if s < 6:
                                total[0 if dz else 1 if dy else 2] = 1
                                total[3] = 2 * (z + start[0]) + dz
                                total[4] = 2 * (y + start[1]) + dy
                                total[5] = 2 * (x + start[2]) + dx
                            over = seam_passes[row] if beyond else passes[row]
                            over[0] = min(heights[z + rim, y + rim, x + rim], heights[a + rim, b + rim, c + rim])
                            over[1] = min(ground[z + rim, y + rim, x + rim], level)
                            if beyond:
                                seam[row, 0] = here
                                seam[row, 1] = ((a + start[0]) * shape[1] + b + start[1]) * shape[2] + c + start[2]
                            else:
                                key[row] = np.int64(min(here, there)) * n + max(here, there)
                        if beyond:
                            n_across += 1
                        else:
                            n_within += 1
    return key, sums, passes, seam, seam_sums, seam_passes
