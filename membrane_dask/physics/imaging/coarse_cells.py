"""Sums of a volume over cubic cells of several voxels, which blocks of any shape contribute to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.blocks import Block

#: Largest number of cells along any axis of a volume.
MAX_CELLS = 160


def cell_edge(shape: Sequence[int]) -> int:
    """Edge of the cells of a volume, in voxels: the smallest one for which no axis has more than 160 cells."""
    return max(1, -(-max(shape) // MAX_CELLS))


def cell_sums(radii: np.ndarray, block: Block, edge: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pore voxels and the sum of their radii in the cells that a block overlaps.

    Parameters
    ----------
    radii : (z, y, x) ndarray of uint16
        Radius of every voxel of the block, 0 in the solid.
    block : Block
        Its start and stop count.
    edge : int
        Edge of a cell, in voxels; cells start at the first voxel of the volume.

    Returns
    -------
    first : (3,) ndarray of int64
        Index of the first of these cells in the volume.
    pores, sums : (z, y, x) ndarray of int64
        Pore voxels of each cell, and the sum of their radii.
    """
    start, stop = np.array(block.start, np.int64), np.array(block.stop, np.int64)
    first = start // edge
    pores, sums = (np.zeros(-(-stop // edge) - first, np.int64) for _ in range(2))
    z, y, x = (np.arange(a, b) // edge - origin for a, b, origin in zip(start, stop, first, strict=True))
    _add_to_cells(pores, sums, radii, z, y, x)
    return first, pores, sums


@kernel
def _add_to_cells(
    pores: np.ndarray, sums: np.ndarray, radii: np.ndarray, z_cell: np.ndarray, y_cell: np.ndarray, x_cell: np.ndarray
) -> None:
    for z in range(radii.shape[0]):
        for y in range(radii.shape[1]):
            for x in range(radii.shape[2]):
                radius = radii[z, y, x]
                if radius:
                    pores[z_cell[z], y_cell[y], x_cell[x]] += 1
                    sums[z_cell[z], y_cell[y], x_cell[x]] += radius


def add_window(total: np.ndarray, sums: np.ndarray, first: np.ndarray) -> None:
    """Add the sums of a block to those of the volume, in place."""
    total[tuple(slice(a, a + n) for a, n in zip(first.tolist(), sums.shape, strict=True))] += sums


def cell_counts(shape: Sequence[int], edge: int) -> tuple[int, ...]:
    """Number of cells of a volume along each axis; the last one may be incomplete."""
    return tuple(-(-n // edge) for n in shape)


def cell_volumes(shape: Sequence[int], edge: int) -> np.ndarray:
    """Number of voxels of every cell, ``(z, y, x)`` int64."""
    z, y, x = (np.minimum(edge, n - edge * np.arange(-(-n // edge))) for n in shape)
    return np.asarray(z[:, np.newaxis, np.newaxis] * y[:, np.newaxis] * x, np.int64)
