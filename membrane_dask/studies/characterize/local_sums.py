"""Local sums of a volume, from its blocks: pores and their radii in coarse cells, pores in lateral planes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.coarse_cells import add_window, cell_counts, cell_edges, cell_sums
from membrane_dask.physics.imaging.local_thickness import local_thickness_counts
from membrane_dask.physics.voxel_spacing import CUBE, Spacing

#: Arrays of :class:`LocalSums` in the unit of the network.
NAMES = ("cell_pores", "cell_radii", "plane_pores_y", "plane_pores_x")


def block_sums(squares: np.ndarray, block: Block, spacing: Spacing = CUBE) -> dict[str, np.ndarray]:
    """Pore sizes and local sums of a block.

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances in the extended block.
    block : Block
        The block and its halo.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    dict of str to ndarray
        ``thickness_counts`` of :func:`~membrane_dask.physics.imaging.local_thickness.local_thickness_counts`, and what
        :class:`LocalSums` adds up.
    """
    radii = np.zeros([b - a for a, b in zip(block.start, block.stop, strict=True)], np.uint16)
    counts = local_thickness_counts(squares, block, radii, spacing)
    first, pores, sums = cell_sums(radii, block, cell_edges(block.shape, spacing))
    return {
        "thickness_counts": counts,
        "cell_first": first,
        "cell_pores": pores.astype(np.uint32),
        "cell_radii": sums.astype(np.uint32),
        "corner": np.array(block.start),
        "plane_pores_y": np.count_nonzero(radii, axis=(0, 2)),
        "plane_pores_x": np.count_nonzero(radii, axis=(0, 1)),
    }


class LocalSums:
    """Local sums of a volume, to which blocks are added in any order.

    Parameters
    ----------
    shape : tuple of int
        Shape of the volume.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.
    """

    def __init__(self, shape: tuple[int, ...], spacing: Spacing = CUBE) -> None:
        cells = cell_counts(shape, cell_edges(shape, spacing))
        self._arrays: dict[str, np.ndarray] = {
            "cell_pores": np.zeros(cells, np.uint32),
            "cell_radii": np.zeros(cells, np.uint32),
            "plane_pores_y": np.zeros(shape[1], np.int64),
            "plane_pores_x": np.zeros(shape[2], np.int64),
        }

    def add(self, block: Mapping[str, np.ndarray]) -> None:
        """Add the arrays that :func:`block_sums` gives for a block."""
        for name in ("cell_pores", "cell_radii"):
            add_window(self._arrays[name], block[name], block["cell_first"])
        for axis, name in ((1, "plane_pores_y"), (2, "plane_pores_x")):
            start = int(block["corner"][axis])
            self._arrays[name][start : start + len(block[name])] += block[name]

    def arrays(self) -> dict[str, np.ndarray]:
        """Sums of all blocks, by the names of :data:`NAMES`."""
        return self._arrays
