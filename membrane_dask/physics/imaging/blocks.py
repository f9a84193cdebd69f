"""Blocks of a volume, and the halo of each: the voxels around it that are read with it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Block:
    """A block of a volume and its halo.

    Parameters
    ----------
    start, stop : tuple of int
        First voxel ``z, y, x`` of the block in the volume, and the last one plus one.
    halo : int
        Voxels around the block that are read with it, where the volume extends as far.
    shape : tuple of int
        Shape of the volume.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    halo: int
    shape: tuple[int, ...]

    @property
    def extended(self) -> tuple[slice, ...]:
        """Slices of the block with its halo, clipped to the volume."""
        return tuple(
            slice(max(0, a - self.halo), min(n, b + self.halo))
            for a, b, n in zip(self.start, self.stop, self.shape, strict=True)
        )

    @property
    def offset(self) -> np.ndarray:
        """First voxel of the extended block in the volume, ``(3,)`` int64."""
        return np.array([axis.start for axis in self.extended], np.int64)

    def crop(self, values: np.ndarray, margin: int, mode: Literal["edge", "constant"]) -> np.ndarray:
        """The block with ``margin`` voxels around it.

        Parameters
        ----------
        values : (z, y, x) ndarray
            Values in the extended block.
        margin : int
            Voxels to keep around the block.
        mode : {"edge", "constant"}
            Beyond the extended block the values at its edge are repeated, or 0 is filled in.
        """
        slices, padding = [], []
        for a, b, axis in zip(self.start, self.stop, self.extended, strict=True):
            low, high = max(axis.start, a - margin), min(axis.stop, b + margin)
            slices.append(slice(low - axis.start, high - axis.start))
            padding.append((low - (a - margin), b + margin - high))
        return np.pad(values[tuple(slices)], padding, mode=mode)


def divide(shape: tuple[int, ...], edge: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Divide a volume into blocks, none thinner than half an edge: the first voxel of each, and the last plus one."""
    axes = []
    for n in shape:
        count = max(1, round(n / edge))
        edges = [round(n * k / count) for k in range(count + 1)]
        axes.append(list(itertools.pairwise(edges)))
    return [
        (tuple(start for start, _ in block), tuple(stop for _, stop in block)) for block in itertools.product(*axes)
    ]
