"""Volumes that are given, cut into pores and solid window by window: no more than a window is held in memory."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from membrane_dask.physics.imaging.filters import closed, kernel_weights, smoothed


def segment_window(
    source: Any,
    where: tuple[slice, ...],
    *,
    threshold: float,
    sigma: float = 0.0,
    closing_radius: float = 0.0,
    pores: Literal["dark", "bright"] = "dark",
) -> np.ndarray:
    """Smooth, cut and close a window of a grey volume, such as a tomogram.

    Parameters
    ----------
    source : array, ``(z, y, x)``
        Grey values; anything with a shape that can be sliced, as a Zarr array.
    where : tuple of slice
        The window.
    threshold : float
        Grey value that parts the phases.
    sigma : float
        Standard deviation, in voxels, of a Gaussian filter before; 0 for none.
    closing_radius : float
        Radius, in voxels, of the ball that closes the solid afterwards; only its square's whole part counts.
    pores : {"dark", "bright"}
        Which phase the pores are.

    Returns
    -------
    (z, y, x) ndarray of bool
        True in the pores: the same whatever windows the volume is cut into. Beyond its faces the volume goes on
        as at the face.

    Raises
    ------
    ValueError
        If the window lies outside, or holds values that are not finite.
    """
    if pores not in ("dark", "bright"):
        raise ValueError(f"pores: must be dark or bright (got {pores!r})")
    if not all(0 <= at.start < at.stop <= n for at, n in zip(where, source.shape, strict=True)):
        raise ValueError(f"where: must lie within {tuple(source.shape)} (got {where})")
    square = math.floor(closing_radius**2 + 1e-9)
    reach = len(kernel_weights(sigma, 4.0)) - 1 if sigma > 0 else 0
    halo = 2 * math.isqrt(square) + reach
    known, beyond = [], []
    for at, n in zip(where, source.shape, strict=True):
        known.append(slice(max(0, at.start - halo), min(n, at.stop + halo)))
        beyond.append((halo - (at.start - known[-1].start), halo - (known[-1].stop - at.stop)))
    grey = np.pad(np.asarray(source[tuple(known)]), beyond, mode="edge")
    if not np.isfinite(grey).all():
        place = [int(k) + at.start - low for k, at, (low, _) in
                 zip(np.argwhere(~np.isfinite(grey))[0], known, beyond, strict=True)]  # fmt: skip
        raise ValueError(f"a value that is not finite stands at voxel {place} (z, y, x)")
    if reach:
        grey = smoothed(grey, sigma)
    solid = grey > threshold if pores == "dark" else grey < threshold
    return ~closed(np.ascontiguousarray(solid), square)
