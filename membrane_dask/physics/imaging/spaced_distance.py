"""Exact Euclidean distances of voxels that are not cubes, axis by axis, and the clearances that follow from them.

The square of the distance is a sum over the axes, so that its minimum is found along x, then y, then z (Saito and
Toriwaki, Pattern Recognit. 27, 1551, 1994). A value is the smallest of the same sums, rounded in the same order, in
every window that holds the nearest solid voxel, so that its bits do not depend on the window.
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
    squares = np.empty(pores.shape, np.float32)
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
    out = np.empty(squares.shape[1:], np.float32)
    for z in range(squares.shape[0]):
        _lower(squares[z], out, edge)
        squares[z] = out


@kernel
def _along_z(squares: Any, edge: float) -> Any:
    """Minima within the volume, from those within planes."""
    n_z, n_y, n_x = squares.shape
    result = np.empty(squares.shape, np.float32)
    column, out = np.empty((n_z, n_x), np.float32), np.empty((n_z, n_x), np.float32)
    for y in range(n_y):
        for z in range(n_z):
            column[z] = squares[z, y]
        _lower(column, out, edge)
        for z in range(n_z):
            for x in range(n_x):
                result[z, y, x] = out[z, x]
    return result


def spaced_clearances(pores: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Distance from the centre of every pore voxel to the surface of the nearest solid voxel.

    The line between the centres crosses ``|d|`` voxels for a difference ``d`` of the indices; half a voxel of them is
    in the solid. So it is for cubes, and for voxels that are cubes stretched along the axes.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    (z, y, x) ndarray of float32
        In the unit of the spacing; 0 in the solid, infinite without any.
    """
    pores = np.ascontiguousarray(pores)
    if pores.all():
        return np.full(pores.shape, np.inf, np.float32)
    unit = _along_x(pores, 1.0)
    squares, voxels = spacing[2] * spacing[2] * unit, unit
    for axis in (1, 0):
        first, second = (np.ascontiguousarray(np.moveaxis(values, axis, 0)) for values in (squares, voxels))
        nearest = _nearest(first, second, spacing[axis])
        squares, voxels = (np.ascontiguousarray(np.moveaxis(values, 0, axis)) for values in nearest)
    return np.asarray(_less_half_a_voxel(squares, voxels))


@kernel
def _nearest(squares: Any, voxels: Any, edge: float) -> Any:
    """Minima along the first axis of squared distances, and the squared distances in voxels of those solid voxels."""
    n, n_y, n_x = squares.shape
    nearest, distance = np.empty(squares.shape), np.empty(squares.shape)
    for i in range(n):
        for y in range(n_y):
            for x in range(n_x):
                best, count = squares[i, y, x], voxels[i, y, x]
                for d in range(1, n):
                    step = (edge * d) * (edge * d)
                    if step >= best or (i - d < 0 and i + d >= n):
                        break
                    for j in (i - d, i + d):
                        if 0 <= j < n and squares[j, y, x] + step < best:
                            best, count = squares[j, y, x] + step, voxels[j, y, x] + d * d
                nearest[i, y, x], distance[i, y, x] = best, count
    return nearest, distance


@kernel
def _less_half_a_voxel(squares: Any, voxels: Any) -> Any:
    """Distances less half a voxel along their direction."""
    result = np.zeros(squares.shape, np.float32)
    for z in range(squares.shape[0]):
        for y in range(squares.shape[1]):
            for x in range(squares.shape[2]):
                if squares[z, y, x] > 0.0:
                    result[z, y, x] = np.sqrt(squares[z, y, x]) * (1.0 - 0.5 / np.sqrt(voxels[z, y, x]))
    return result
