"""Exact Euclidean distance transform of the pores, of a whole volume or of one block of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.cube_distance import MAX_SQUARED_DIAGONAL, cube_squared_distances
from membrane_dask.physics.imaging.spaced_distance import spaced_squared_distances
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, is_cube, kernel_spacing

#: Largest number of voxels that a block is read with.
_MAX_VOXELS = 1 << 28


def squared_distances(pores: np.ndarray, spacing: Spacing = CUBE) -> np.ndarray:
    """Squared distance from every pore voxel to the nearest solid voxel, from centre to centre.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        True in the pores. What lies outside the array is neither pore nor solid.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    (z, y, x) ndarray of float32
        In the unit of the spacing; of cubes whole numbers, exact below 2**24. 0 in the solid, infinite where there is
        no solid at all.
    """
    if pores.all():
        return np.full(pores.shape, np.inf, np.float32)
    if is_cube(spacing) and sum(n * n for n in pores.shape) <= MAX_SQUARED_DIAGONAL:
        return cube_squared_distances(pores)
    return spaced_squared_distances(pores, spacing)


def block_squared_distances(
    read: Callable[[tuple[slice, ...]], np.ndarray],
    start: tuple[int, ...],
    stop: tuple[int, ...],
    shape: tuple[int, ...],
    *,
    margin: int,
    halo: int = 32,
    spacing: Spacing = CUBE,
) -> tuple[Block, np.ndarray]:
    """Squared distances in a block, read with a halo that is wide enough for them to be exact.

    Parameters
    ----------
    read : callable
        Returns the pores in a window of the volume, ``(z, y, x)`` bool.
    start, stop, shape : tuple of int
        As of :class:`~membrane_dask.physics.imaging.blocks.Block`.
    margin : int
        Voxels around the block whose own distances must be exact.
    halo : int
        Voxels that are read around the block at first; doubled until they suffice.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    block : Block
        The block and its halo.
    squares : (z, y, x) ndarray of float32
        Squared distances in the extended block.

    Raises
    ------
    PhysicsError
        If the volume holds no solid, or pores too wide to be read at once.
    """
    while True:
        block = Block(start, stop, halo, shape)
        squares = squared_distances(read(block.extended), spacing)
        if halo_suffices(squares, block, margin, spacing):
            return block, squares
        if squares.shape == tuple(shape) and not np.isfinite(squares[0, 0, 0]):
            raise PhysicsError("the volume holds no solid at all; check which phase the pores are (pores)")
        halo *= 2
        if math.prod(axis.stop - axis.start for axis in Block(start, stop, halo, shape).extended) > _MAX_VOXELS:
            raise PhysicsError(
                f"the block at {start} has pores wider than {halo // 2} voxels, too wide to be read at once; analyse "
                "the volume at a coarser resolution, or check which phase the pores are (pores)"
            )


def halo_suffices(squares: np.ndarray, block: Block, margin: int, spacing: Spacing = CUBE) -> bool:
    """Whether the halo holds every inscribed sphere of the pores that reaches into the block or its margin.

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances in the extended block; too large where the nearest solid lies beyond it.
    block : Block
        The block and its halo.
    margin : int
        Voxels around the block whose own distances must be exact.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.
    """
    if block.halo < margin:
        return False
    low, high = block.offset, np.array([axis.stop for axis in block.extended], np.int64)
    # Beyond the faces of the volume there is nothing to read.
    continues_low, continues_high = low > 0, high < np.array(block.shape)
    start, stop = np.array(block.start) - low, np.array(block.stop) - low
    edges = kernel_spacing(spacing)
    return bool(_halo_suffices(squares, start, stop, continues_low, continues_high, margin, edges))


def max_squared_distance(squares: np.ndarray, block: Block, spacing: Spacing = CUBE) -> float:
    """Largest squared radius of an inscribed sphere that reaches into a block; 0 in a block without pores."""
    start, stop = (np.array(corner) - block.offset for corner in (block.start, block.stop))
    return float(_max_squared_distance(squares, start, stop, kernel_spacing(spacing)))


@inline_kernel
def _planes_outside(z: int, y: int, x: int, start: Any, stop: Any) -> Any:
    """Planes between a voxel and a block, in the direction in which they are most; 0 within it."""
    return max(start[0] - z, z - stop[0] + 1, start[1] - y, y - stop[1] + 1, start[2] - x, x - stop[2] + 1, 0)


@inline_kernel
def _distance_outside(z: int, y: int, x: int, start: Any, stop: Any, edges: Any) -> Any:
    """The same as a length, for voxels of the given edges; None for cubes."""
    if edges is None:
        return _planes_outside(z, y, x, start, stop)
    along_z = max(start[0] - z, z - stop[0] + 1, 0) * edges[0]
    along_y = max(start[1] - y, y - stop[1] + 1, 0) * edges[1]
    return max(along_z, along_y, max(start[2] - x, x - stop[2] + 1, 0) * edges[2])


@kernel
def _halo_suffices(
    squares: Any, start: Any, stop: Any, continues_low: Any, continues_high: Any, margin: int, edges: Any
) -> bool:
    """Whether no inscribed sphere that reaches into the block or its margin leaves the extended block."""
    n = np.array(squares.shape)
    for z in range(n[0]):
        for y in range(n[1]):
            for x in range(n[2]):
                if squares[z, y, x] == 0:
                    continue
                voxel = (z, y, x)
                outside = _distance_outside(z, y, x, start, stop, edges)
                # Distance to the nearest face beyond which the volume continues.
                room: Any = np.int64(1) << 30 if edges is None else 1e9
                for k in range(3):
                    edge = np.int64(1) if edges is None else edges[k]
                    if continues_low[k]:
                        room = min(room, (voxel[k] + 1) * edge)
                    if continues_high[k]:
                        room = min(room, (n[k] - voxel[k]) * edge)
                within = outside <= margin if edges is None else _planes_outside(z, y, x, start, stop) <= margin
                reaches_block = within or squares[z, y, x] > outside * outside
                if reaches_block and squares[z, y, x] > room * room:
                    return False
    return True


@kernel
def _max_squared_distance(squares: Any, start: Any, stop: Any, edges: Any) -> Any:
    """Largest squared distance whose sphere reaches into the block."""
    largest = np.float32(0)
    for z in range(squares.shape[0]):
        for y in range(squares.shape[1]):
            for x in range(squares.shape[2]):
                outside = _distance_outside(z, y, x, start, stop, edges)
                if squares[z, y, x] > outside * outside:
                    largest = max(largest, squares[z, y, x])
    return largest
