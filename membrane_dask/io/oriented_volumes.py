"""Volumes whose axes are permuted, so that another axis than z is the direction of transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from membrane_dask.physics.voxel_spacing import Spacing, permuted

#: Names of the axes of a volume, in their order.
AXES = "zyx"


class PoreVolume(Protocol):
    """What a computation reads of a volume: its shape, the edges of its voxels, and its pores window by window."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the three axes."""

    @property
    def voxel_nm(self) -> float | None:
        """Shortest edge of a voxel, nm."""

    @property
    def spacing(self) -> Spacing:
        """Edges of a voxel along the three axes, over the shortest one."""

    def read(self, where: tuple[slice, ...]) -> np.ndarray:
        """Pores in a window, bool."""


@dataclass(frozen=True)
class OrientedVolume:
    """A volume whose first axis is one of the axes of another one; the others follow cyclically.

    Parameters
    ----------
    source : PoreVolume
        The volume with the axes ``z, y, x``.
    axis : int
        Its axis that comes first: 1 for ``y, x, z``, 2 for ``x, z, y``.

    Notes
    -----
    Cyclic permutations form a group: the volume that is stored as ``y, x, z`` has the same oriented volumes as the one
    that is stored as ``z, y, x``, voxel by voxel, so that what is computed along an axis has the same bits for both.
    """

    source: PoreVolume
    axis: int

    @property
    def order(self) -> tuple[int, ...]:
        """Axes of the source, in the order of this volume."""
        return tuple((self.axis + k) % 3 for k in range(3))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the axes, permuted."""
        return tuple(self.source.shape[axis] for axis in self.order)

    @property
    def voxel_nm(self) -> float | None:
        """Shortest edge of a voxel, nm."""
        return self.source.voxel_nm

    @property
    def spacing(self) -> Spacing:
        """Edges of a voxel along the axes, permuted, over the shortest one."""
        return permuted(self.source.spacing, self.order)

    def read(self, where: tuple[slice, ...]) -> np.ndarray:
        """Pores in a window of the permuted volume, bool."""
        windows = tuple(where[self.order.index(axis)] for axis in range(3))
        return np.ascontiguousarray(self.source.read(windows).transpose(self.order))
