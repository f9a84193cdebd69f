"""Diagnostics of a flow, computed over a whole volume or over a slab of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics.stokes.mac_grid import Grid


def resolved_pores(pores: np.ndarray) -> np.ndarray:
    """Morphological opening of the pores by a cube of two voxels: pores more than one voxel wide."""
    fits = pores[:-1] & pores[1:]
    fits = fits[:, :-1] & fits[:, 1:]
    fits = fits[:, :, :-1] & fits[:, :, 1:]
    opening = np.zeros_like(pores)
    for corner in np.ndindex(2, 2, 2):
        opening[tuple(slice(k, n - 1 + k) for k, n in zip(corner, pores.shape, strict=True))] |= fits
    return opening


def flow_sums(grid: Grid, velocity: np.ndarray, rows: slice, resolved: np.ndarray, refinement: int) -> dict[str, Any]:
    """Sums of velocities over pore voxels, and speeds in the middle section.

    Parameters
    ----------
    grid : Grid
        The pores.
    velocity : (m + 1, 3) ndarray
        Velocities on their faces.
    rows : slice
        Pore voxels of the grid that are summed over.
    resolved : (z, y, x) ndarray of bool
        Voxels of the volume that are in :func:`resolved_pores`.
    refinement : int
        Cells per voxel along each axis.

    Returns
    -------
    dict
        ``speed``: sum of the speeds; ``velocity_sum``: of the velocities; ``forward``: of those along z; ``total`` and
        ``unresolved``: of their magnitudes, in all pores and in those that are not resolved. ``section``: speeds
        ``(z, x)`` in the middle of y.
    """
    centre_velocity = grid.at_centres(velocity)[rows]
    voxels = grid.coordinates[rows] // refinement
    unresolved = ~resolved[tuple(voxels.T)]
    magnitude = np.abs(centre_velocity[:, 0]).astype(float)
    forward = float(centre_velocity[:, 0].sum(dtype=float))
    squares = sum(np.square(centre_velocity[:, axis].astype(float)) for axis in range(3))
    speed = np.sqrt(squares)
    section = np.zeros((resolved.shape[0], resolved.shape[2]))
    middle = voxels[:, 1] == resolved.shape[1] // 2
    np.add.at(section, (voxels[middle, 0], voxels[middle, 2]), speed[middle] / refinement**3)
    return {
        "speed": float(speed.sum()),
        "forward": forward,
        "velocity_sum": centre_velocity.sum(axis=0, dtype=float),
        "total": float(magnitude.sum()),
        "unresolved": float(magnitude[unresolved].sum()),
        "section": section,
    }
