"""Drainage of a pore space by spheres: which voxels a fluid fills that enters up to a capillary radius.

At radius ``r`` the voxels nearer than ``r`` to a voxel whose access radius is at least ``r`` are filled. Nothing is
trapped, and no films remain.

References
----------
Hilpert and Miller, Adv. Water Resour. 24, 243 (2001).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.digital_spheres import half_widths
from membrane_dask.physics.imaging.morphology import dilate_rows, pack_rows, unpack_rows

#: Planes that are filled at a time, for which intermediate arrays stay small.
_PLANES = 32


def invasion_halo(largest: int) -> int:
    """Voxels around a block whose spheres reach into it, for the largest squared access radius of the volume."""
    return math.isqrt(max(largest - 1, 0))


def invasion_squares(access: np.ndarray, halo: int) -> np.ndarray:
    """Squared radius at which each voxel of a block is filled.

    Parameters
    ----------
    access : (z, y, x) ndarray of int32
        Squared access radius in the block and ``halo`` voxels around it; 0 in the solid and beyond the volume.
    halo : int
        At least :func:`invasion_halo` of the largest value.

    Returns
    -------
    (z, y, x) ndarray of int32
        Of the block: the largest ``r^2`` of the values of ``access`` at which the voxel is filled; 0 where it never is.
    """
    filled = np.zeros([n - 2 * halo for n in access.shape], np.int32)
    for z in range(0, len(filled), _PLANES):
        slab, window = filled[z : z + _PLANES], access[z : z + _PLANES + 2 * halo]
        for square in _levels(window):
            _fill(slab, _covered(window, square, halo), np.int32(square))
    return filled


def _levels(access: np.ndarray) -> list[int]:
    """Values that occur, falling, without 0."""
    counts = np.bincount(access.ravel()) if access.size else np.zeros(1, int)
    levels: list[int] = np.flatnonzero(counts)[::-1].tolist()
    return [level for level in levels if level]


def _covered(access: np.ndarray, square: int, halo: int) -> np.ndarray:
    """Voxels of the block within the spheres around the voxels of one squared access radius, uint8."""
    widths = half_widths(square - 1)
    reach = widths.shape[0] // 2
    cut = halo - reach
    window = access[tuple(slice(cut, n - cut) for n in access.shape)]
    centres = pack_rows(window == square, window.shape[2])
    if reach:
        centres = dilate_rows(centres, widths)[reach : window.shape[0] - reach, reach : window.shape[1] - reach]
    return unpack_rows(centres, reach, window.shape[2] - reach)


@kernel
def _fill(filled: Any, covered: Any, square: Any) -> None:
    """Set the voxels that are covered and not yet filled."""
    for z in range(filled.shape[0]):
        for y in range(filled.shape[1]):
            for x in range(filled.shape[2]):
                if covered[z, y, x] and filled[z, y, x] == 0:
                    filled[z, y, x] = square
