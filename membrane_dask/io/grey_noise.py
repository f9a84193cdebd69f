"""Noise that remains in the segmentation of a grey volume: its pores and solid of a single voxel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy import ndimage

#: Blocks along the depth that are segmented, and most voxels along their edges.
_BLOCKS, _THICKNESS, _WIDTH = 3, 32, 128
#: Single voxels, as a fraction of all voxels, from which on noise decides pore sizes and the network: more than with
#: the true number of connected pores, less than with many times that (benchmarks/grey_volumes.py).
_RELEVANT = 1e-4
#: Filter that removes ordinary noise, voxels, and by how much a wider one is enlarged.
_SIGMA, _STEP = 1.0, 0.5


@dataclass(frozen=True)
class SegmentationNoise:
    """Connected pores of sampled blocks, and the single voxels among them.

    Parameters
    ----------
    n_voxels : int
        Voxels of the blocks.
    n_pores : int
        Connected pores, across faces.
    n_single_pores, n_single_solids : int
        Pore and solid voxels without a neighbour of the same phase across a face.
    sigma : float
        Gaussian filter before the threshold, voxels.
    """

    n_voxels: int
    n_pores: int
    n_single_pores: int
    n_single_solids: int
    sigma: float

    @property
    def is_relevant(self) -> bool:
        """Whether the single voxels are so many that noise decides pore sizes and the network."""
        return self.n_single_pores + self.n_single_solids > _RELEVANT * self.n_voxels

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """Row of the plan; none without relevant noise."""
        if not self.is_relevant:
            return ()
        sigma = _SIGMA if self.sigma < _SIGMA else self.sigma + _STEP
        single = self.n_single_pores / max(1, self.n_pores)
        text = (
            f"{single:.0%} of {self.n_pores:,} connected pores in sampled blocks are single voxels, and "
            f"{self.n_single_solids:,} solid voxels are isolated; if this is noise, pores and throats are too small "
            f"and too many: set grey.sigma: {sigma:g}"
        )
        return (("noise", text),)


def segmentation_noise(
    pores: Callable[[tuple[slice, ...]], np.ndarray], shape: tuple[int, ...], sigma: float
) -> SegmentationNoise:
    """Count the single voxels in some blocks of a segmented volume.

    Parameters
    ----------
    pores : callable
        Pores in a window, ``(z, y, x)`` bool.
    shape : tuple of int
        Voxels of the volume along ``z, y, x``.
    sigma : float
        Gaussian filter before the threshold, voxels.

    Returns
    -------
    SegmentationNoise
    """
    voxels = pore_count = single_pores = single_solids = 0
    middle = [slice(max(0, n - _WIDTH) // 2, max(0, n - _WIDTH) // 2 + min(n, _WIDTH)) for n in shape[1:]]
    thickness = min(_THICKNESS, -(-shape[0] // _BLOCKS))
    for start in np.linspace(0, shape[0] - thickness, _BLOCKS).round().astype(int).tolist():
        block = pores((slice(start, start + thickness), *middle))
        voxels += block.size
        pore_count += int(ndimage.label(block)[1])
        single_pores += _n_single(block)
        single_solids += _n_single(~block)
    return SegmentationNoise(voxels, pore_count, single_pores, single_solids, sigma)


def _n_single(phase: np.ndarray) -> int:
    """Voxels, not at the faces of the block, without a neighbour of their phase across a face."""
    inner = (slice(1, -1),) * 3
    neighbours = [
        phase[tuple(window if k == axis else slice(1, -1) for k in range(3))]
        for axis in range(3)
        for window in (slice(None, -2), slice(2, None))
    ]
    return int((phase[inner] & ~reduce(np.logical_or, neighbours)).sum())
