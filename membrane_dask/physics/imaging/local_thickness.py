"""Pore-size distribution by local thickness: pore voxels covered by inscribed spheres of each radius."""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.distance import max_squared_distance
from membrane_dask.physics.imaging.morphology import pack_rows, packed_dilation, unpack_rows


def pore_radii(n: int) -> np.ndarray:
    """The first ``n`` radii, in voxels, of the distribution: steps of 0.5 from 1 to 8, of 1 to 16, of 2 to 32, ..."""
    radii = [1.0]
    while len(radii) < n:
        step = 0.5 * max(1.0, 2.0 ** (math.frexp(radii[-1])[1] - 3))
        radii.append(radii[-1] + step)
    return np.array(radii[:n])


def local_thickness_counts(squares: np.ndarray, block: Block, radii: np.ndarray | None = None) -> np.ndarray:
    """Number of pore voxels of a block that inscribed spheres of each radius cover.

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances in the extended block, from
        :func:`~membrane_dask.physics.imaging.distance.block_squared_distances`.
    block : Block
        The block and its halo.
    radii : (z, y, x) ndarray of uint16, optional
        Zeros in the shape of the block; receives the radius of every pore voxel, in quarters of a voxel: the middle of
        the interval between the largest radius that covers it and the next one.

    Returns
    -------
    (n_radii, n_z) ndarray of int64
        For the :func:`pore_radii` up to the largest inscribed sphere that reaches into the block, by plane of its
        depth. The first row counts all pore voxels.

    Notes
    -----
    A sphere of radius ``r`` around a voxel covers the voxels nearer than ``r``, and is inscribed if the solid is no
    nearer than ``r``.

    References
    ----------
    Hildebrand & Rüegsegger, J. Microsc. 185, 67 (1997).
    """
    n_z = block.stop[0] - block.start[0]
    largest = max_squared_distance(squares, block)
    counts: list[np.ndarray] = []
    while True:
        radius = float(pore_radii(len(counts) + 1)[-1])
        square = math.ceil(np.square(radius) - 1e-9)
        if square > largest:
            break
        reach = math.isqrt(square - 1)
        width = block.stop[2] - block.start[2]
        centres = pack_rows(block.crop(squares, reach, "constant") >= square, width + 2 * reach)
        if reach:
            centres = packed_dilation(centres, square - 1)[reach:-reach, reach:-reach]
        covered = unpack_rows(centres, reach, reach + width)
        if radii is not None:
            radii += covered * np.uint16(_quarter_voxels(len(counts)))
        counts.append(covered.reshape(n_z, -1).sum(axis=1, dtype=np.int64))
    while counts and not counts[-1].any():
        counts.pop()
    return np.array(counts, np.int64).reshape(-1, n_z)


def _quarter_voxels(level: int) -> int:
    """Quarters of a voxel by which the radius of the voxels of a level exceeds that of the level below."""
    radii = pore_radii(level + 2)
    return int(2 * (radii[level + 1] - radii[level - 1] if level else radii[0] + radii[1]))
