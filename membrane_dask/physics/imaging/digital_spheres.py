"""Digital spheres: the voxels within a distance of a voxel."""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics.voxel_spacing import Spacing


def half_widths(square: int) -> np.ndarray:
    """Half width in voxels of every row of the digital sphere ``d**2 <= square``; -1 for rows outside it."""
    d = np.arange(-math.isqrt(square), math.isqrt(square) + 1)
    left = square - np.square(d)[:, None] - np.square(d)
    return np.where(left >= 0, np.sqrt(np.maximum(left, 0)).astype(np.int64), -1)


def spaced_half_widths(square: float, spacing: Spacing) -> np.ndarray:
    """Half width in voxels of every row of a sphere of voxels whose distance is less than its radius.

    Parameters
    ----------
    square : float
        Square of the radius, in the unit of the spacing, > 0.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    (2 * reach_z + 1, 2 * reach_y + 1) ndarray of int64
        -1 for rows outside the sphere.
    """
    radius = math.sqrt(square)
    squares = [np.square(edge * np.arange(int(radius / edge) + 2)) for edge in spacing]
    z, y, x = (axis[axis < square] for axis in squares)
    z, y = (np.concatenate([axis[:0:-1], axis]) for axis in (z, y))
    return np.asarray(((z[:, None] + y)[..., None] + x < square).sum(axis=2) - 1)


def squared_radius(radius: float) -> int:
    """Largest whole ``d**2`` within a radius in voxels: voxels at distance ``d`` up to it belong to the sphere."""
    return math.floor(radius * radius + 1e-9)
