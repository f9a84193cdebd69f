"""Brightness of the slices of a grey volume: grey values of both phases in each slice, and their drift.

A slice shows the grey value of its phase, times a gain, plus an offset: charging, the current of the beam, and contrast
and brightness of the detector change both from slice to slice. Levels of both phases determine them; porosity does not,
as levels are medians of voxels away from the interface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.imaging.grey_filters import otsu_threshold, smooth

#: Gaussian filter of a slice, pixels, before its phases are estimated, and pixels of their edges that are left out: the
#: first number for which half of some slices have pixels left.
_SMOOTHING, _EDGES, _SOME = 1.0, (2, 1, 0), 24
#: Pixels that are smoothed of a slice, in bands of so many rows, and pixels from which a level is computed.
_MAX_PIXELS, _BAND, _MAX_SAMPLE = 1 << 17, 32, 1 << 13
#: Smallest number of pixels of a phase away from its edges from which its level is known.
_MIN_PIXELS = 30
#: Smallest contrast of a slice, relative to the median one; a slice with less shows a single phase.
_MIN_CONTRAST = 0.5
#: Drift or scatter, relative to the contrast, from which slices are uneven.
RELEVANT_DRIFT = 0.05
#: Median absolute difference of normal values to standard deviation.
_MAD = 1.4826


@dataclass(frozen=True)
class SliceBrightness:
    """Grey values of the darker and the brighter phase in the slices of a volume.

    Parameters
    ----------
    levels : (n, 2) ndarray
        Of each slice, interpolated where a slice does not show both phases.
    n_valid : int
        Slices that show both phases.
    """

    levels: np.ndarray
    n_valid: int

    @property
    def reference(self) -> tuple[float, float]:
        """Median levels of both phases."""
        low, high = np.median(self.levels, axis=0)
        return float(low), float(high)

    @property
    def drift(self) -> float:
        """Range of the middle of both levels, from the 2nd to the 98th percentile of the slices, over the contrast."""
        low, high = np.quantile(self._middle, [0.02, 0.98])
        return float(high - low) / self._contrast

    @property
    def scatter(self) -> float:
        """Standard deviation of the middle of both levels between neighbouring slices, over the contrast; robust."""
        steps = np.abs(np.diff(self._middle))
        return float(np.median(steps)) * _MAD / np.sqrt(2.0) / self._contrast if steps.size else 0.0

    @property
    def is_relevant(self) -> bool:
        """Whether the slices are so uneven that one threshold does not serve them all."""
        return max(self.drift, self.scatter) > RELEVANT_DRIFT

    @property
    def maps(self) -> np.ndarray:
        """Factor and summand of each slice ``(n, 2)`` that bring its levels to the reference, float32."""
        low, high = self.reference
        factors = (high - low) / (self.levels[:, 1] - self.levels[:, 0])
        return np.stack([factors, low - factors * self.levels[:, 0]], axis=1).astype(np.float32)

    @property
    def _middle(self) -> np.ndarray:
        return np.asarray(self.levels.mean(axis=1))

    @property
    def _contrast(self) -> float:
        low, high = self.reference
        return high - low


def slice_brightness(read: Callable[[int], np.ndarray], n: int) -> SliceBrightness:
    """Grey values of both phases in every slice of a volume.

    Parameters
    ----------
    read : callable
        Grey values ``(rows, columns)`` of the slice of a number.
    n : int
        Number of slices.

    Returns
    -------
    SliceBrightness

    Raises
    ------
    ValueError
        If no slice shows two phases, or if a value is not finite.
    """
    some = np.unique(np.linspace(0, n - 1, min(n, _SOME)).round().astype(int)).tolist()
    for edge in _EDGES:
        if _shows_both(np.array([_levels(read(number), edge) for number in some])).mean() >= 1 / 2:
            break
    levels = np.array([_levels(read(number), edge) for number in range(n)])
    valid = _shows_both(levels)
    if not valid.any():
        raise ValueError("no slice of it shows two phases; segment it by hand, or give grey.threshold")
    numbers = np.arange(n)
    filled = np.stack([np.interp(numbers, numbers[valid], levels[valid, k]) for k in range(2)], axis=1)
    return SliceBrightness(filled, int(valid.sum()))


def _shows_both(levels: np.ndarray) -> np.ndarray:
    """Slices, of ``(n, 2)`` levels, that show two phases with a contrast like that of the others."""
    contrast = levels[:, 1] - levels[:, 0]
    valid = np.isfinite(contrast)
    if valid.any():
        median = np.median(contrast[valid])
        valid &= (contrast >= _MIN_CONTRAST * median) & (median > 0)
    return np.asarray(valid)


def _levels(image: np.ndarray, edge: int) -> tuple[float, float]:
    """Median grey values of both phases of a slice without ``edge`` pixels at their edges; NaN if one is not seen."""
    bands = _bands(image)
    if not np.isfinite(bands).all():
        raise ValueError("it holds values that are not finite")
    smoothed = smooth(bands, _SMOOTHING)
    middle, low, high = otsu_threshold(smoothed), np.nan, np.nan
    for _ in range(2):  # the middle of both levels depends less on the porosity than Otsu's threshold
        bright = smoothed > middle
        low, high = (_median_inside(smoothed, phase, edge) for phase in (~bright, bright))
        middle = (low + high) / 2
    return low, high


def _bands(image: np.ndarray) -> np.ndarray:
    """The slice, or bands of rows spread over one that is larger than needed."""
    rows, columns = image.shape
    if image.size <= _MAX_PIXELS or rows < 2 * _BAND:
        return image
    count = max(4, _MAX_PIXELS // (columns * _BAND))
    starts = np.linspace(0, rows - _BAND, count).astype(int)
    return np.concatenate([image[start : start + _BAND] for start in starts])


def _median_inside(grey: np.ndarray, phase: np.ndarray, edge: int) -> float:
    """Median in a phase without the pixels within ``edge`` of its edges; NaN where there are too few."""
    for _ in range(edge):
        inner = phase.copy()
        inner[1:] &= phase[:-1]
        inner[:-1] &= phase[1:]
        inner[:, 1:] &= phase[:, :-1]
        inner[:, :-1] &= phase[:, 1:]
        phase = inner
    values = grey[phase]
    if values.size < _MIN_PIXELS:
        return np.nan
    return float(np.median(values[:: -(-values.size // _MAX_SAMPLE)]))
