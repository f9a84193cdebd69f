"""Segmentation of a grey volume window by window, so that only one window is in memory at a time."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.digital_spheres import squared_radius
from membrane_dask.physics.imaging.gaussian import gaussian_filter, gaussian_taps
from membrane_dask.physics.imaging.morphology import closing


def segment_window(
    source: Any,
    where: tuple[slice, ...],
    *,
    threshold: float,
    sigma: float = 0.0,
    closing_radius: float = 0.0,
    pores: Literal["dark", "bright"] = "dark",
) -> np.ndarray:
    """Segment a window of a grey volume: Gaussian filter, threshold and closing.

    Parameters
    ----------
    source : array, ``(z, y, x)``
        Grey values; anything with a shape that can be sliced, such as a Zarr array.
    where : tuple of slice
        The window.
    threshold : float
        Grey value that separates the phases.
    sigma : float
        Standard deviation, in voxels, of the Gaussian filter; 0 for none.
    closing_radius : float
        Radius, in voxels, of the spherical structuring element that closes the solid; rounded down to a whole square.
    pores : {"dark", "bright"}
        Which phase the pores are.

    Returns
    -------
    (z, y, x) ndarray of bool
        True in the pores, independent of how the volume is divided into windows. Beyond the faces of the volume its
        edge values are repeated.

    Raises
    ------
    ValueError
        If the window lies outside the volume, or holds values that are not finite.
    """
    if pores not in ("dark", "bright"):
        raise ValueError(f"pores: must be dark or bright (got {pores!r})")
    if not all(0 <= axis.start < axis.stop <= n for axis, n in zip(where, source.shape, strict=True)):
        raise ValueError(f"where: must lie within {tuple(source.shape)} (got {where})")
    square = squared_radius(closing_radius)
    reach = len(gaussian_taps(sigma, 4.0)) - 1 if sigma > 0 else 0
    halo = 2 * math.isqrt(square) + reach
    block = Block(tuple(axis.start for axis in where), tuple(axis.stop for axis in where), halo, tuple(source.shape))
    values = np.asarray(source[block.extended])
    if not np.isfinite(values).all():
        voxel = (np.argwhere(~np.isfinite(values))[0] + block.offset).tolist()
        raise ValueError(f"the value at voxel {voxel} (z, y, x) is not finite")
    grey = block.crop(values, halo, "edge")
    if reach:
        grey = gaussian_filter(grey, sigma)
    solid = grey > threshold if pores == "dark" else grey < threshold
    return ~closing(np.ascontiguousarray(solid), square)
