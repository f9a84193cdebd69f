"""Small cubes of a volume, on which the cost of its units is measured."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.stokes.mac_grid import flow_pores
from membrane_dask.physics.voxel_spacing import Spacing


@dataclass(frozen=True)
class Cube:
    """A small cube of a volume.

    Parameters
    ----------
    source : PoreVolume
        The volume.
    start : tuple of int
        First voxel along each axis.
    shape : tuple of int
        Voxels along each axis.
    """

    source: PoreVolume
    start: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def voxel_nm(self) -> float | None:
        """Shortest edge of a voxel, nm."""
        return self.source.voxel_nm

    @property
    def spacing(self) -> Spacing:
        """Edges of a voxel along ``z, y, x``, over the shortest one."""
        return self.source.spacing

    def read(self, where: tuple[slice, ...]) -> np.ndarray:
        """Pores in a window of the cube, bool."""
        windows = zip(where, self.start, strict=True)
        return self.source.read(tuple(slice(window.start + a, window.stop + a) for window, a in windows))

    def middle_section(self, axis: int, step: int) -> np.ndarray:
        """Pores in the middle plane across an axis, every ``step``-th voxel."""
        where = [slice(0, n) for n in self.shape]
        where[axis] = slice(self.shape[axis] // 2, self.shape[axis] // 2 + 1)
        return self.read(tuple(where)).squeeze(axis)[::step, ::step]


def percolating_cube(volume: PoreVolume, edge: int) -> tuple[Cube, float]:
    """A cube of a volume, of at most half its edges, and its porosity; if there is one, it percolates and has solid."""
    shape = tuple(min(edge, math.ceil(n / 2)) for n in volume.shape)
    starts = [_starts(n, m) for n, m in zip(volume.shape, shape, strict=True)]
    candidates: list[tuple[Cube, float]] = []
    for start in itertools.product(*starts):
        cube = Cube(volume, start, shape)
        pores = cube.read(tuple(slice(0, n) for n in shape))
        result = cube, float(pores.mean())
        if pores.any() and not pores.all() and flow_pores(pores, "symmetric").any():
            return result
        candidates.append(result)
    return min(candidates, key=lambda candidate: candidate[1] == 1.0)


def _starts(n: int, m: int) -> list[int]:
    """First voxels of a cube of ``m`` voxels in ``n``: in the middle, then at either end."""
    return list(dict.fromkeys([(n - m) // 2, 0, n - m]))
