"""Exact Euclidean distances of voxels that are not cubes, axis by axis, and the clearances that follow from them.

The square of the distance is a sum over the axes, so that its minimum is found along x, then y, then z (Saito and
Toriwaki, Pattern Recognit. 27, 1551, 1994). A value is the smallest of the same sums in every window that holds the
nearest solid voxel, so that its bits do not depend on the window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.voxel_spacing import Spacing


def spaced_squared_distances(pores: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Squared distance from every pore voxel to the nearest solid voxel, from centre to centre.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels, with a solid voxel among them.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    (z, y, x) ndarray of float32
        In the unit of the spacing.
    """
    squares = _along_x(np.ascontiguousarray(pores), spacing[2])
    _along_y(squares, spacing[1])
    return np.asarray(_along_z(squares, spacing[0]))


@kernel
def _along_x(pores: Any, edge: float) -> Any:
    """Squared distance to the nearest solid voxel of the same row; infinite without any."""
    n_z, n_y, n_x = pores.shape
    squares = np.empty(pores.shape, np.float64)
    for z in range(n_z):
        for y in range(n_y):
            last = -1
            for x in range(n_x):
                if not pores[z, y, x]:
                    last = x
                squares[z, y, x] = (edge * (x - last)) * (edge * (x - last)) if last >= 0 else np.inf
            last = -1
            for x in range(n_x - 1, -1, -1):
                if not pores[z, y, x]:
                    last = x
                if last >= 0:
                    squares[z, y, x] = min(squares[z, y, x], (edge * (last - x)) * (edge * (last - x)))
    return squares


@inline_kernel
def _lower(squares: Any, out: Any, edge: float) -> None:
    """Lower ``squares`` ``(n, n_x)``, the minima within planes, by those of other planes at multiples of ``edge``."""
    n, n_x = squares.shape
    for i in range(n):
        best = out[i]
        for x in range(n_x):
            best[x] = squares[i, x]
        largest = np.inf
        for d in range(1, n):
            step = (edge * d) * (edge * d)
            if step >= largest or (i - d < 0 and i + d >= n):
                break
            if i - d >= 0:
                row = squares[i - d]
                for x in range(n_x):
                    best[x] = min(best[x], row[x] + step)
            if i + d < n:
                row = squares[i + d]
                for x in range(n_x):
                    best[x] = min(best[x], row[x] + step)
            largest = 0.0
            for x in range(n_x):
                largest = max(largest, best[x])


@kernel
def _along_y(squares: Any, edge: float) -> None:
    """Minima within planes, in place, from those within rows."""
    out = np.empty(squares.shape[1:])
    for z in range(squares.shape[0]):
        _lower(squares[z], out, edge)
        squares[z] = out


@kernel
def _along_z(squares: Any, edge: float) -> Any:
    """Minima within the volume, from those within planes."""
    n_z, n_y, n_x = squares.shape
    result = np.empty(squares.shape, np.float32)
    column, out = np.empty((n_z, n_x)), np.empty((n_z, n_x))
    for y in range(n_y):
        for z in range(n_z):
            column[z] = squares[z, y]
        _lower(column, out, edge)
        for z in range(n_z):
            for x in range(n_x):
                result[z, y, x] = out[z, x]
    return result
