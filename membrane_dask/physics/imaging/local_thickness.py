"""Pore-size distribution by local thickness: pore voxels covered by inscribed spheres of each radius."""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.digital_spheres import half_widths, spaced_half_widths
from membrane_dask.physics.imaging.distance import max_squared_distance
from membrane_dask.physics.imaging.morphology import dilate_rows, pack_rows, unpack_rows
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, is_cube


def pore_radii(n: int) -> np.ndarray:
    """The first ``n`` radii, in shortest edges of a voxel: steps of 0.5 from 1 to 8, of 1 to 16, of 2 to 32, ..."""
    radii = [1.0]
    while len(radii) < n:
        step = 0.5 * max(1.0, 2.0 ** (math.frexp(radii[-1])[1] - 3))
        radii.append(radii[-1] + step)
    return np.array(radii[:n])


def largest_radius(square: float) -> float:
    """Largest of the :func:`pore_radii` of spheres around voxels that are cubes, by the largest squared distance."""
    n = 1
    while math.ceil(np.square(float(pore_radii(n + 1)[-1])) - 1e-9) <= square:
        n += 1
    return float(pore_radii(n)[-1])


def local_thickness_counts(
    squares: np.ndarray, block: Block, radii: np.ndarray | None = None, spacing: Spacing = CUBE
) -> np.ndarray:
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
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``; the unit of length is the shortest one.

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
    largest = max_squared_distance(squares, block, spacing)
    cubes = is_cube(spacing)
    counts: list[np.ndarray] = []
    while True:
        radius = float(pore_radii(len(counts) + 1)[-1])
        # Squared distances between cubes are whole numbers.
        square = math.ceil(np.square(radius) - 1e-9) if cubes else radius * radius
        if square > largest:
            break
        widths = half_widths(int(square) - 1) if cubes else spaced_half_widths(square, spacing)
        reach = np.array([widths.shape[0] // 2, widths.shape[1] // 2, widths.max()])
        width = block.stop[2] - block.start[2]
        shape = np.array(block.stop) - np.array(block.start) + 2 * reach
        first = np.array(block.start) - reach - block.offset
        centres = _packed_centres(squares, first, shape, np.float32(square))
        if reach.any():
            inner = (slice(n, size - n) for n, size in zip(reach[:2].tolist(), centres.shape, strict=False))
            centres = dilate_rows(centres, widths)[tuple(inner)]
        low = int(reach[2])
        if radii is not None:
            radii += unpack_rows(centres, low, low + width) * np.uint16(_quarter_voxels(len(counts)))
        covered = centres & _packed_range(centres.shape[-1], low, low + width)
        counts.append(np.bitwise_count(covered).reshape(n_z, -1).sum(axis=1, dtype=np.int64))
    while counts and not counts[-1].any():
        counts.pop()
    return np.array(counts, np.int64).reshape(-1, n_z)


def _packed_range(length: int, start: int, stop: int) -> np.ndarray:
    """Packed row of ``length`` words, of which the bits from ``start`` to ``stop`` are set."""
    bits = np.zeros(64 * length, bool)
    bits[start:stop] = True
    return pack_rows(bits, 64 * length)


def _packed_centres(squares: np.ndarray, first: np.ndarray, shape: np.ndarray, square: np.float32) -> np.ndarray:
    """Packed rows of the voxels whose squared distance is ``square`` or more, in a window of the array or beyond it.

    The window has the given shape and begins at ``first``; voxels beyond the array are not set.
    """
    rows = np.zeros((shape[0], shape[1], -(-shape[2] // 64) * 64), bool)
    begin, end = np.maximum(-first, 0), np.minimum(shape, np.array(squares.shape) - first)
    inner = tuple(slice(a, b) for a, b in zip(begin, end, strict=True))
    source = tuple(slice(a, b) for a, b in zip(begin + first, end + first, strict=True))
    np.greater_equal(squares[source], square, out=rows[inner])
    return np.packbits(rows, axis=-1, bitorder="little").view(np.uint64)


def _quarter_voxels(level: int) -> int:
    """Quarters of a voxel by which the radius of the voxels of a level exceeds that of the level below."""
    radii = pore_radii(level + 2)
    return int(2 * (radii[level + 1] - radii[level - 1] if level else radii[0] + radii[1]))
