"""Filters of grey images that repeat the values at the edges, with the same bits on every machine.

A trial of a reconstruction calls them some eighty times; those of SciPy and scikit-image are slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import exp

#: Bins of the histogram between the smallest and the largest value from which Otsu's threshold is computed.
_BINS = 256


def kernel_weights(sigma: float) -> np.ndarray:
    """Weights of a sampled Gaussian kernel of reach ``4 sigma`` that sum to 1; of one pixel for a ``sigma`` of 0."""
    reach = int(4 * sigma + 0.5)
    k = np.arange(-reach, reach + 1)
    weights = exp(-0.5 * np.square(k / sigma)) if reach else np.ones(1)
    return np.asarray(weights / weights.sum())


def smooth(grey: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter.

    Parameters
    ----------
    grey : (depth, width) ndarray
    sigma : float
        Standard deviation, pixels, >= 0; 0 for none.

    Returns
    -------
    (depth, width) ndarray of float64
    """
    grey = np.ascontiguousarray(grey, np.float64)
    weights = kernel_weights(sigma)
    if weights.size == 1:
        return grey
    reach = weights.size // 2
    padded = np.pad(grey, reach, mode="edge")
    filtered = np.empty_like(grey)
    _smooth(padded, weights[reach:], filtered)
    return filtered


@kernel
def _smooth(padded: Any, weights: Any, filtered: Any) -> None:
    """Rows along x, then along z; each value is summed from the middle outwards."""
    depth, width = filtered.shape
    reach = weights.size - 1
    column = np.empty(padded.shape[1])
    for z in range(depth):
        for i in range(column.size):
            column[i] = weights[0] * padded[z + reach, i]
        for k in range(1, reach + 1):
            low, high, w = padded[z + reach - k], padded[z + reach + k], weights[k]
            for i in range(column.size):
                column[i] += w * (low[i] + high[i])
        out = filtered[z]
        middle = column[reach : reach + width]
        for i in range(width):
            out[i] = weights[0] * middle[i]
        for k in range(1, reach + 1):
            left, right, w = column[reach - k :][:width], column[reach + k :][:width], weights[k]
            for i in range(width):
                out[i] += w * (left[i] + right[i])


def otsu_threshold(grey: np.ndarray) -> float:
    """Threshold that separates the two halves of the histogram with the largest variance between them.

    Parameters
    ----------
    grey : ndarray

    Returns
    -------
    float
        Middle of the bin, of 256 between the smallest and the largest value, that the lower half ends with; of
        neighbouring bins that serve alike, the first.

    References
    ----------
    Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979).
    """
    low, high = float(grey.min()), float(grey.max())
    if low == high:
        return low
    counts = _histogram(np.ascontiguousarray(grey, np.float64).reshape(-1), low, _BINS / (high - low), _BINS)
    centres = low + (np.arange(_BINS) + 0.5) * ((high - low) / _BINS)
    below = np.cumsum(counts)
    moment = np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = (moment[-1] - moment) / above - moment / below
        between = np.nan_to_num(below * above * np.square(contrast), nan=-1.0)
    return float(centres[int(np.argmax(between[:-1]))])


def separability(grey: np.ndarray) -> float:
    """Fraction of the variance of an image that lies between the two phases of Otsu's threshold.

    Parameters
    ----------
    grey : ndarray

    Returns
    -------
    float
        In [0, 1]: 0.64 for a single normal distribution, which is cut in two, 1 for two values.
    """
    bright = grey > otsu_threshold(grey)
    fraction = bright.mean()
    contrast = grey[bright].mean() - grey[~bright].mean() if 0 < fraction < 1 else 0.0
    return float(fraction * (1 - fraction) * np.square(contrast) / grey.var())


@kernel
def _histogram(values: Any, low: float, per_unit: float, n: int) -> Any:
    counts = np.zeros(n)
    for i in range(values.size):
        counts[min(int((values[i] - low) * per_unit), n - 1)] += 1.0
    return counts


def median_of_phases(solid: np.ndarray, width: int) -> np.ndarray:
    """Median filter of a binary image with a square window of odd ``width``; 1 for none."""
    if width == 1:
        return solid
    return np.asarray(ndimage.median_filter(solid, width, mode="nearest"))
