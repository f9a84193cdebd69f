"""Exact Euclidean distances and inscribed-sphere radii within a block."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.filters import dilated, pack_rows
from membrane_dask.physics.networks.pore_network import PhysicsError

#: Voxels that are read at most where a block's surroundings are widened.
_MOST = 1 << 28


@dataclass(frozen=True)
class Box:
    """A block of a volume, and how much is known about it.

    Parameters
    ----------
    start, stop : tuple of int
        Voxels ``z, y, x`` of the block in the volume.
    halo : int
        Voxels about it that are known, as far as the volume goes.
    shape : tuple of int
        Shape of the volume.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    halo: int
    shape: tuple[int, ...]

    @property
    def known(self) -> tuple[slice, ...]:
        """What is known, in the volume."""
        return tuple(
            slice(max(0, a - self.halo), min(n, b + self.halo))
            for a, b, n in zip(self.start, self.stop, self.shape, strict=True)
        )

    def window(self, known: np.ndarray, margin: int, mode: Literal["edge", "constant"]) -> np.ndarray:
        """The block and ``margin`` voxels about it; beyond what is known as at its edge, or 0."""
        places, beyond = [], []
        for a, b, at in zip(self.start, self.stop, self.known, strict=True):
            low, high = max(at.start, a - margin), min(at.stop, b + margin)
            places.append(slice(low - at.start, high - at.start))
            beyond.append((low - (a - margin), b + margin - high))
        return np.pad(known[tuple(places)], beyond, mode=mode)


def squared_distances(pores: np.ndarray) -> np.ndarray:
    """Squared distance of every pore voxel to the nearest solid voxel, in voxels; 0 in the solid.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        True in the pores. What lies outside is neither pore nor solid.

    Returns
    -------
    (z, y, x) ndarray of float32
        Whole numbers, exact below 2**24; infinite where there is no solid at all.
    """
    import edt

    if pores.all():
        return np.full(pores.shape, np.inf, np.float32)
    return np.asarray(edt.edtsq(np.ascontiguousarray(pores), black_border=False, parallel=1))


def suffices(squares: np.ndarray, box: Box, margin: int) -> bool:
    """Whether enough is known about a block for every ball in the pores that touches it or its margin.

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances to the solid that is known; too large where the nearest solid is not.
    box : Box
        The block.
    margin : int
        Voxels about the block whose own distances must be right.
    """
    if box.halo < margin:
        return False
    low = np.array([at.start for at in box.known], np.int64)
    high = np.array([at.stop for at in box.known], np.int64)
    open_low, open_high = low > 0, high < np.array(box.shape)  # beyond the volume there is nothing to know
    return bool(_suffices(squares, np.array(box.start) - low, np.array(box.stop) - low, open_low, open_high, margin))


def surroundings(
    read: Callable[[tuple[slice, ...]], np.ndarray],
    start: tuple[int, ...],
    stop: tuple[int, ...],
    shape: tuple[int, ...],
    *,
    margin: int,
    halo: int = 32,
) -> tuple[Box, np.ndarray]:
    """As much of what lies about a block as its distances need.

    Parameters
    ----------
    read : callable
        Gives the pores of a window of the volume, ``(z, y, x)`` bool.
    start, stop, shape : tuple of int
        As of :class:`Box`.
    margin : int
        Voxels about the block whose own distances must be right.
    halo : int
        Voxels that are read about it at first; doubled until they suffice.

    Returns
    -------
    box : Box
        The block with what is known about it.
    squares : (z, y, x) ndarray of float32
        Squared distances to the solid there.

    Raises
    ------
    PhysicsError
        If the volume holds no solid, or pores too wide to be read at once.
    """
    while True:
        box = Box(start, stop, halo, shape)
        squares = squared_distances(read(box.known))
        if suffices(squares, box, margin):
            return box, squares
        if squares.shape == tuple(shape) and not np.isfinite(squares[0, 0, 0]):
            raise PhysicsError("the volume holds no solid at all; check which phase the pores are (pores)")
        halo *= 2
        if math.prod(at.stop - at.start for at in Box(start, stop, halo, shape).known) > _MOST:
            raise PhysicsError(
                f"the block at {start} has pores wider than {halo // 2} voxels, too wide to be read at once; measure "
                "the volume at a coarser resolution, or check which phase the pores are (pores)"
            )


@kernel
def _suffices(squares, start, stop, open_low, open_high, margin):
    """Whether no ball that touches the block or its margin reaches what is not known."""
    n = np.array(squares.shape)
    for z in range(n[0]):
        for y in range(n[1]):
            for x in range(n[2]):
                if squares[z, y, x] == 0:
                    continue
                at = (z, y, x)
                outside, room = 0, np.int64(1) << 30
                for k in range(3):
                    outside = max(outside, start[k] - at[k], at[k] - stop[k] + 1)
                    if open_low[k]:
                        room = min(room, at[k] + 1)
                    if open_high[k]:
                        room = min(room, n[k] - at[k])
                touches = outside <= margin or squares[z, y, x] > outside * outside
                if touches and squares[z, y, x] > room * room:
                    return False
    return True


@kernel
def _largest(squares, start, stop):
    """Largest squared radius of a ball in the pores that touches the block."""
    found = np.float32(0)
    for z in range(squares.shape[0]):
        for y in range(squares.shape[1]):
            for x in range(squares.shape[2]):
                outside = max(start[0] - z, z - stop[0] + 1, start[1] - y, y - stop[1] + 1, start[2] - x,
                              x - stop[2] + 1, 0)  # fmt: skip
                if squares[z, y, x] > outside * outside:
                    found = max(found, squares[z, y, x])
    return found


def pore_radii(n: int) -> np.ndarray:
    """The first ``n`` radii, in voxels, at which sizes are told: from 1 by halves to 8, by ones to 16, and so on."""
    found = [1.0]
    while len(found) < n:
        step = 0.5 * 2.0 ** max(0, math.floor(math.log2(found[-1])) - 2)
        found.append(found[-1] + step)
    return np.array(found[:n])


def fitting(squares: np.ndarray, box: Box) -> np.ndarray:
    """Pore voxels of a block in balls of each radius that fit into the pores (local thickness).

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances to the solid of what is known, as far as :func:`suffices` asks.
    box : Box
        The block.

    Returns
    -------
    (n_radii, n_z) ndarray of int64
        For the :func:`pore_radii` up to the largest ball that touches the block, by plane of its depth. The first
        row counts all pore voxels.

    Notes
    -----
    A ball of radius ``r`` about a voxel holds the voxels nearer than ``r``, and fits if the solid is no nearer.
    """
    n_z = box.stop[0] - box.start[0]
    low = np.array([at.start for at in box.known], np.int64)
    largest = float(_largest(squares, np.array(box.start) - low, np.array(box.stop) - low))
    found: list[np.ndarray] = []
    while True:
        radius = float(pore_radii(len(found) + 1)[-1])
        square = math.ceil(radius**2 - 1e-9)
        if square > largest:
            break
        reach = math.isqrt(square - 1)
        fits = pack_rows(box.window(squares, reach, "constant") >= square, box.stop[2] - box.start[2] + 2 * reach)
        if reach:
            fits = dilated(fits, square - 1)[reach:-reach, reach:-reach]
        rows = np.ascontiguousarray(fits).view(np.uint8)
        inside = np.unpackbits(rows, axis=-1, count=reach + box.stop[2] - box.start[2], bitorder="little")[..., reach:]
        found.append(inside.reshape(n_z, -1).sum(axis=1, dtype=np.int64))
    while found and not found[-1].any():
        found.pop()
    return np.array(found, np.int64).reshape(-1, n_z)
