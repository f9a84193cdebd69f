"""Volumes that are given, worked on in slabs with what lies around them: no more than a slab is held in memory."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from membrane_dask.physics.filters import closed, kernel_weights, smoothed


def segment_slab(
    source: Any,
    start: int,
    stop: int,
    *,
    threshold: float,
    sigma: float = 0.0,
    closing_radius: float = 0.0,
    pores: Literal["dark", "bright"] = "dark",
) -> np.ndarray:
    """Smooth, cut and close some planes of a grey volume, such as a tomogram.

    Parameters
    ----------
    source : array, ``(z, y, x)``
        Grey values; anything that can be sliced, as a Zarr array.
    start, stop : int
        Planes of ``y``.
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
    (z, stop - start, x) ndarray of uint8
        0 in pores, 255 in the solid: the same whatever slabs the volume is cut into. Beyond its faces the
        volume goes on as at the face.
    """
    if pores not in ("dark", "bright"):
        raise ValueError(f"pores: must be dark or bright (got {pores!r})")
    if not 0 <= start < stop <= source.shape[1]:
        raise ValueError(f"start, stop: must lie within the {source.shape[1]} planes (got {start}, {stop})")
    square = math.floor(closing_radius**2 + 1e-9)
    reach = len(kernel_weights(sigma, 4.0)) - 1 if sigma > 0 else 0
    halo = 2 * math.isqrt(square) + reach
    first, last = max(0, start - halo), min(source.shape[1], stop + halo)
    beyond = (halo - (start - first), halo - (last - stop))
    grey = np.pad(np.asarray(source[:, first:last, :]), ((halo, halo), beyond, (halo, halo)), mode="edge")
    if not np.isfinite(grey).all():
        raise ValueError(f"source: holds values that are not finite in planes {first} to {last - 1}")
    if reach:
        grey = smoothed(grey, sigma)
    solid = grey > threshold if pores == "dark" else grey < threshold
    return np.where(closed(np.ascontiguousarray(solid), square), 255, 0).astype(np.uint8)
