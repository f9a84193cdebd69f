"""What is read of a volume for its flow, and what is seen in a flow, whole or by slabs."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.stokes.mac_grid import Grid, LateralBoundary, WallModel
from membrane_dask.physics.transport.retention import WallInteraction

#: Bounds of the second reading's permeability: its lower one errs by far less.
SECOND = 0.05
#: Voxels that are read at a time.
_READ = 1 << 24


#: The solvers' names of the values of settings.
LATERAL_BOUNDARIES: dict[str, LateralBoundary] = {"symmetric": "symmetric", "periodic": "periodic", "wall": "no_slip"}
WALL_MODELS: dict[str, WallModel] = {"smooth": "smooth", "voxels": "staircase"}
WALL_INTERACTIONS: dict[str, WallInteraction] = {"touch": "perfect_sink", "sieve": "reflecting"}


def alternate(wall_model: WallModel) -> WallModel:
    """The other model of the solid's surface."""
    return "staircase" if wall_model == "smooth" else "smooth"


def planes_of(volume: VolumeSource) -> np.ndarray:
    """Pores of a volume, ``(z, y, x)`` bool."""
    pores = np.empty(volume.shape, bool)
    depth = max(1, _READ // (volume.shape[1] * volume.shape[2]))
    for z in range(0, volume.shape[0], depth):
        window = slice(z, min(z + depth, volume.shape[0])), slice(0, volume.shape[1]), slice(0, volume.shape[2])
        pores[window[0]] = volume.read(window)
    return pores


def refined(pores: np.ndarray, fine: int) -> np.ndarray:
    """Pores whose voxels are cut into so many along each axis."""
    return pores if fine == 1 else pores.repeat(fine, 0).repeat(fine, 1).repeat(fine, 2)


def wider_than_one(pores: np.ndarray) -> np.ndarray:
    """Pores that a cube of two voxels can reach."""
    fits = pores[:-1] & pores[1:]
    fits = fits[:, :-1] & fits[:, 1:]
    fits = fits[:, :, :-1] & fits[:, :, 1:]
    found = np.zeros_like(pores)
    for corner in np.ndindex(2, 2, 2):
        found[tuple(slice(k, n - 1 + k) for k, n in zip(corner, pores.shape, strict=True))] |= fits
    return found


def seen(grid: Grid, velocity: np.ndarray, rows: slice, wide: np.ndarray, fine: int) -> dict[str, Any]:
    """What a flow looks like.

    Parameters
    ----------
    grid : Grid
        The pores.
    velocity : (m + 1, 3) ndarray
        On their faces.
    rows : slice
        Those pores that are looked at.
    wide : (z, y, x) ndarray of bool
        Of the volume's voxels, those that :func:`wider_than_one` finds.
    fine : int
        Parts into which these are cut along each axis.

    Returns
    -------
    dict
        ``speed`` and ``forward``: sums of the speeds, and of the velocities along z. ``along`` and ``narrow``: sums of
        the sizes of these, in all pores and in narrow ones. ``section``: speeds ``(z, x)`` in the middle of y.
    """
    at_centres = grid.at_centres(velocity)[rows]
    places = grid.coordinates[rows] // fine
    narrow = ~wide[tuple(places.T)]
    along = np.abs(at_centres[:, 0]).astype(float)
    forward = float(at_centres[:, 0].sum(dtype=float))
    speed = np.sqrt(np.einsum("ij,ij->i", at_centres, at_centres, dtype=float))
    section = np.zeros((wide.shape[0], wide.shape[2]))
    middle = places[:, 1] == wide.shape[1] // 2
    np.add.at(section, (places[middle, 0], places[middle, 2]), speed[middle] / fine**3)
    return {
        "speed": float(speed.sum()),
        "forward": forward,
        "along": float(along.sum()),
        "narrow": float(along[narrow].sum()),
        "section": section,
    }
