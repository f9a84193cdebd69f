"""Rows of a micrograph whose brightness jumps, as where the sample charges under the beam."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from membrane_dask.physics.imaging.grey_filters import otsu_threshold

#: Deviation of a row from its neighbours, in standard deviations of the noise of a pixel, from which on it is charged.
_DEVIATIONS = 5.0
#: Rows on both sides that a row is compared with: wider than bands of charged rows.
_NEIGHBOURS = 15
#: Median absolute deviation of normal values to standard deviation.
_MAD = 1.4826
#: Pixels inside phases that an estimate of the noise needs; otherwise all are used.
_MIN_PIXELS = 1000


def charged_rows(image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Rows whose grey values deviate from those of their neighbours by more than five times the noise.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Grey values; rows are the lines that the beam scans.
    mask : (rows, columns) ndarray of bool, optional
        Pixels that are used; default all.

    Returns
    -------
    (N,) ndarray of int
        Numbers of the rows.

    Notes
    -----
    The offset of a row is the median difference of its pixels from those of the row above, added up from the first
    row on. As most pixels show the same phase as their neighbour above, neither pores nor a gradient of the porosity
    shift this median. Shading and curtains cancel in the differences.
    """
    rows = len(image)
    if rows < 2 * _NEIGHBOURS:
        return np.zeros(0, np.int64)
    grey = image.astype(np.float64)
    steps = np.zeros(rows)
    for row in range(1, rows):
        difference = grey[row] - grey[row - 1]
        if mask is not None:
            difference = difference[mask[row] & mask[row - 1]]
        steps[row] = np.median(difference) if difference.size else 0.0
    offset = np.cumsum(steps)
    deviation = offset - ndimage.median_filter(offset, 2 * _NEIGHBOURS + 1, mode="nearest")
    is_charged = np.abs(deviation) > _DEVIATIONS * noise_of(grey)
    if mask is not None:
        is_charged &= mask.any(axis=1)
    return np.flatnonzero(is_charged)


def noise_of(grey: np.ndarray) -> float:
    """Standard deviation of the noise of an image: of pixels inside a phase about the mean of 3 x 3 pixels."""
    mean = ndimage.uniform_filter(grey, 3, mode="nearest")
    bright = mean > otsu_threshold(mean) if mean.min() < mean.max() else np.ones(grey.shape, bool)
    inside = ndimage.binary_erosion(bright, iterations=2) | ndimage.binary_erosion(~bright, iterations=2)
    residuals = (grey - mean)[inside if inside.sum() >= _MIN_PIXELS else np.ones_like(inside)]
    return float(_MAD * np.median(np.abs(residuals - np.median(residuals))) * math.sqrt(9 / 8))
