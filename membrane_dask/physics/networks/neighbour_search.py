"""Pairs of random points whose distance lies in a range, from a cell list that is periodic in x and y."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.networks.connectivity import group_indices

#: Points outside the membrane lie at most this far from its faces.
MARGIN = 0.5


class CellList(NamedTuple):
    """Points sorted by cubic cells of width ``1 / side``; the first cells start at ``z = -MARGIN``.

    Attributes
    ----------
    side : int
        Cells per unit length.
    first : (n_cells + 1,) ndarray of int64
        The points of cell ``c`` are those from ``first[c]`` to ``first[c + 1]``.
    number : (n_points,) ndarray of int64
        Index of each point before sorting.
    cell : (n_points,) ndarray of int64
        Cell of each point.
    z, y, x : (n_points,) ndarray
        Coordinates of each point.
    """

    side: int
    first: np.ndarray
    number: np.ndarray
    cell: np.ndarray
    z: np.ndarray
    y: np.ndarray
    x: np.ndarray


def cell_list(points: np.ndarray, l_max: float) -> CellList:
    """Sort points ``(z, y, x)`` into cells that are at least ``l_max`` wide."""
    side = int(1.0 / l_max)
    if side < 3:  # a cell would be its own neighbour on both sides: use one cell per layer
        side = 1
    layers = math.ceil((1.0 + 2 * MARGIN) * side) + 2
    layer, row, column = ((points + np.array([MARGIN, 0, 0])) * side).astype(np.int64).T
    cell = (layer * side + np.minimum(row, side - 1)) * side + np.minimum(column, side - 1)
    first, number = group_indices(cell, layers * side * side)
    return CellList(side, first, number, cell[number], *points[number].T.copy())


@inline_kernel
def append_neighbours(
    p: int, begin: int, end: int, z: np.ndarray, y: np.ndarray, x: np.ndarray, min_square: float, max_square: float,
    neighbours: np.ndarray, squares: np.ndarray, count: int,
) -> int:  # fmt: skip
    """Append those of the points ``begin`` to ``end`` whose squared distance from point ``p`` is in range.

    Every point is written and ``count`` advanced only if it is in range, which avoids branches. Returns the new count.
    """
    z_p, y_p, x_p = z[p], y[p], x[p]
    for q in range(begin, end):
        dy, dx, dz = abs(y_p - y[q]), abs(x_p - x[q]), z_p - z[q]
        dy, dx = min(dy, 1.0 - dy), min(dx, 1.0 - dx)
        square = dx * dx + dy * dy + dz * dz
        neighbours[count] = q
        squares[count] = square
        count += (min_square < square) & (square < max_square)
    return count


@kernel
def pairs_in_range(
    cells: CellList, n_inside: int, l_min: float, l_max: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs of points with a distance between ``l_min`` and ``l_max``.

    Parameters
    ----------
    cells : CellList
        All points.
    n_inside : int
        At least one point of a pair has an index below this number, that is, lies inside the membrane.
    l_min, l_max : float
        Limits of the distance, exclusive.

    Returns
    -------
    lower, upper : (n_pairs,) ndarray of int32
        Smaller and larger index of each pair.
    distances : (n_pairs,) ndarray

    Notes
    -----
    The neighbours of a point are in contiguous cells: three rows of its own layer, of which only later points are
    searched, as earlier ones have already reported the pair, and three rows of the next layer.
    """
    side, first, number, cell = cells.side, cells.first, cells.number, cells.cell
    z, y, x = cells.z.copy(), cells.y.copy(), cells.x.copy()  # shows the compiler that they do not alias outputs
    n = number.size
    neighbours, squares = np.empty(n + 1, np.int64), np.empty(n + 1)
    capacity = 12 * n + 64
    lower, upper, distances = np.empty(capacity, np.int32), np.empty(capacity, np.int32), np.empty(capacity)
    min_square, max_square = l_min * l_min, l_max * l_max
    count = 0
    for p in range(n):
        cx, row = cell[p] % side, cell[p] // side
        cy, layer = row % side, row - row % side
        near = 0
        for dz in range(2):
            for dy in range(-1, 2):
                if side == 1 and dy != 0:
                    continue
                base = (layer + dz * side + (cy + dy + side) % side) * side
                start = p + 1 if dz == 0 else 0
                begin, end = first[base + max(cx - 1, 0)], first[base + min(cx + 2, side)]
                near = append_neighbours(
                    p, max(begin, start), end, z, y, x, min_square, max_square, neighbours, squares, near
                )
                if side > 1 and (cx == 0 or cx == side - 1):  # periodic image
                    c = base + (side - 1 if cx == 0 else 0)
                    begin, end = first[c], first[c + 1]
                    near = append_neighbours(
                        p, max(begin, start), end, z, y, x, min_square, max_square, neighbours, squares, near
                    )
        if count + near > capacity:
            capacity = 2 * capacity + near
            lower, upper, distances = resize(lower, capacity), resize(upper, capacity), resize(distances, capacity)
        for c in range(near):
            i, j = number[p], number[neighbours[c]]
            if min(i, j) < n_inside:
                lower[count], upper[count] = min(i, j), max(i, j)
                distances[count] = np.sqrt(squares[c])
                count += 1
    return lower[:count], upper[:count], distances[:count]


@inline_kernel
def resize(values: np.ndarray, capacity: int) -> np.ndarray:
    """Copy values to a larger array; an assignment of slices would take seconds to compile."""
    larger = np.empty(capacity, values.dtype)
    for i in range(values.size):
        larger[i] = values[i]
    return larger
