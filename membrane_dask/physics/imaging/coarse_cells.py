"""Sums of a volume over nearly cubic cells of several voxels, which blocks of any shape contribute to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import cube_root
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, is_cube, voxel_volume

#: Edges of a cell, in voxels along ``z, y, x``.
Edges = tuple[int, int, int]
#: Largest number of cells along any axis of a volume.
MAX_CELLS = 160
#: Ratio of the edges of a cell up to which it counts as a cube, and number of sizes of which the closest to it is taken
#: otherwise.
_MAX_ELONGATION, _MAX_CANDIDATES = 1.05, 12


def cell_edges(shape: Sequence[int], spacing: Spacing = CUBE) -> Edges:
    """Edges of the cells of a volume, in voxels along ``z, y, x``.

    Cells are cubes, or as close to cubes as voxels of the given spacing allow; the smallest ones for which no axis has
    more than 160 cells.
    """
    if is_cube(spacing):
        edge = max(1, -(-max(shape) // MAX_CELLS))
        return edge, edge, edge
    length = max(spacing)  # of a cell
    candidates: list[tuple[float, Edges]] = []
    while not candidates or candidates[-1][0] > _MAX_ELONGATION:
        z, y, x = (max(1, round(length / edge)) for edge in spacing)
        length += 0.5
        if max(-(-n // cell) for n, cell in zip(shape, (z, y, x), strict=True)) > MAX_CELLS:
            continue
        lengths = [cell * edge for cell, edge in zip((z, y, x), spacing, strict=True)]
        candidates.append((max(lengths) / min(lengths), (z, y, x)))
        if len(candidates) > _MAX_CANDIDATES:
            return min(candidates)[1]
    return candidates[-1][1]


def cell_length(edges: Edges, spacing: Spacing) -> float:
    """Edge of a cube of the volume of a cell, in the unit of the spacing."""
    if is_cube(spacing):
        return float(edges[0])
    return float(cube_root(np.float64(math.prod(edges) * voxel_volume(spacing))))


def cell_sums(radii: np.ndarray, block: Block, edges: Edges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pore voxels and the sum of their radii in the cells that a block overlaps.

    Parameters
    ----------
    radii : (z, y, x) ndarray of uint16
        Radius of every voxel of the block, 0 in the solid.
    block : Block
        Its start and stop count.
    edges : tuple of int
        Edges of a cell, in voxels; cells start at the first voxel of the volume.

    Returns
    -------
    first : (3,) ndarray of int64
        Index of the first of these cells in the volume.
    pores, sums : (z, y, x) ndarray of int64
        Pore voxels of each cell, and the sum of their radii.
    """
    start, stop, edge = np.array(block.start, np.int64), np.array(block.stop, np.int64), np.array(edges, np.int64)
    first = start // edge
    pores, sums = (np.zeros(-(-stop // edge) - first, np.int64) for _ in range(2))
    z, y, x = (np.arange(a, b) // cell - origin for a, b, cell, origin in zip(start, stop, edge, first, strict=True))
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


def cell_counts(shape: Sequence[int], edges: Edges) -> tuple[int, ...]:
    """Number of cells of a volume along each axis; the last one may be incomplete."""
    return tuple(-(-n // edge) for n, edge in zip(shape, edges, strict=True))


def cell_volumes(shape: Sequence[int], edges: Edges) -> np.ndarray:
    """Number of voxels of every cell, ``(z, y, x)`` int64."""
    z, y, x = (np.minimum(edge, n - edge * np.arange(-(-n // edge))) for n, edge in zip(shape, edges, strict=True))
    return np.asarray(z[:, np.newaxis, np.newaxis] * y[:, np.newaxis] * x, np.int64)
