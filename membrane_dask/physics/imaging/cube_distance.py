"""Exact squared distances of cubic voxels, in whole numbers, axis by axis.

The square of the distance is a sum over the axes, so that its minimum is found along x, then y, then z (Saito and
Toriwaki, Pattern Recognit. 27, 1551, 1994). Minima are taken of whole rows at once, which compilers turn into vector
instructions; pores that are narrow end the search after a few rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel

#: Added where there is no row; with the square of a distance it is a 32-bit number still.
_NO_ROW = 1 << 29
#: Distance along a row without solid voxels, whose square is larger than that of any distance in the volume.
_NO_SOLID = 1 << 14
#: Largest sum of the squared edges of a volume that is measured.
MAX_SQUARED_DIAGONAL = _NO_SOLID * _NO_SOLID


def cube_squared_distances(pores: np.ndarray) -> np.ndarray:
    """Squared distance from every pore voxel to the nearest solid voxel, from centre to centre.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels, with a solid voxel among them; the squares of its edges add up to at most
        :data:`MAX_SQUARED_DIAGONAL`.

    Returns
    -------
    (z, y, x) ndarray of float32
        Whole numbers, exact below 2**24; 0 in the solid.
    """
    squares = _along_x(np.ascontiguousarray(pores))
    _along_y(squares)
    return np.asarray(_along_z(squares))


@kernel
def _along_x(pores: Any) -> Any:
    """Squared distance to the nearest solid voxel of the same row; a far one without any."""
    n_z, n_y, n_x = pores.shape
    squares = np.empty(pores.shape, np.int32)
    for z in range(n_z):
        for y in range(n_y):
            row = squares[z, y]
            last = -_NO_SOLID
            for x in range(n_x):
                last = last if pores[z, y, x] else x
                row[x] = x - last
            last = _NO_SOLID + n_x
            for x in range(n_x - 1, -1, -1):
                last = last if pores[z, y, x] else x
                distance = min(row[x], last - x, _NO_SOLID)
                row[x] = distance * distance
    return squares


@inline_kernel
def _lower(best: Any, rows: Any, i: int) -> None:
    """Write to ``best`` row ``i`` of ``rows`` ``(n, n_x)``, lowered by the others and their squared distances."""
    n, n_x = rows.shape
    largest = np.int32(0)
    for x in range(n_x):
        best[x] = rows[i, x]
        largest = max(largest, best[x])
    d = np.int32(1)
    while d * d < largest and (i >= d or i + d < n):
        low, high = rows[max(i - d, 0)], rows[min(i + d, n - 1)]
        to_low = d * d if i >= d else np.int32(_NO_ROW)
        to_high = d * d if i + d < n else np.int32(_NO_ROW)
        largest = np.int32(0)
        for x in range(n_x):
            value = min(best[x], min(low[x] + to_low, high[x] + to_high))
            best[x] = value
            largest = max(largest, value)
        d += np.int32(1)


@kernel
def _along_y(squares: Any) -> None:
    """Minima within planes, in place, from those within rows."""
    rows = np.empty(squares.shape[1:], np.int32)
    for z in range(squares.shape[0]):
        rows[:] = squares[z]
        for y in range(squares.shape[1]):
            _lower(squares[z, y], rows, y)


@kernel
def _along_z(squares: Any) -> Any:
    """Minima within the volume, from those within planes."""
    n_z, n_y, n_x = squares.shape
    result = np.empty(squares.shape, np.float32)
    rows, best = np.empty((n_z, n_x), np.int32), np.empty(n_x, np.int32)
    for y in range(n_y):
        for z in range(n_z):
            rows[z] = squares[z, y]
        for z in range(n_z):
            _lower(best, rows, z)
            for x in range(n_x):
                result[z, y, x] = best[x]
    return result
