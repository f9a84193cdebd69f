"""Shading and curtaining of a micrograph: the brightness of the solid as a surface times a factor for each column."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import least_squares, product
from membrane_dask.physics.imaging.grey_filters import otsu_threshold, separability, smooth

#: Gaussian filter, pixels, before the phases are estimated.
SMOOTHING = 1.0
#: Shading from which on it is corrected; half of it for curtaining.
_CORRECTED_SHADING = 0.05
#: Estimate of the curtaining from which on it may be too small, as dark columns are taken for pores.
_STRONG_CURTAINING = 0.075
#: Smallest grey value whose logarithm is taken, of 1 for white, and smallest factor of a column.
_BLACK, _DARKEST = 0.01, 0.05
#: Columns into which a phase is blurred by microscope and filter.
_REACH = 3
#: Pixels of the solid from which the brightness of a column is known.
_MIN_PIXELS = 8
#: Iterations in which the phases and the brightness of the solid are estimated from each other.
_ITERATIONS = 5


@dataclass(frozen=True)
class Shading:
    """Uneven brightness of a micrograph.

    Parameters
    ----------
    gain : (depth, width) ndarray
        Brightness of each pixel over that of an evenly bright image.
    shading, curtaining : float
        Relative difference of the brightness between the brightest and the darkest tenth of the image, and its
        relative standard deviation between columns.
    """

    gain: np.ndarray
    shading: float
    curtaining: float

    @property
    def is_relevant(self) -> bool:
        """Whether it is worth a correction."""
        return self.shading > _CORRECTED_SHADING or self.curtaining > _CORRECTED_SHADING / 2


def estimate_shading(grey: np.ndarray) -> Shading:
    """Estimate the shading of a micrograph whose solid is the brighter phase.

    Parameters
    ----------
    grey : (depth, width) ndarray
        Grey values, >= 0, white 1.

    Returns
    -------
    Shading

    Notes
    -----
    The brightness is modelled as that of each pixel's phase, times a quadratic surface, times a factor for each
    column. The phases are segmented anew in every iteration, so that a porosity gradient is not mistaken for shading.

    The iteration begins with an even image. Of stronger curtains dark columns are taken for pores, and bright ones for
    solid; it is then repeated from factors that need no phases: the ratio of neighbouring columns is the median of
    those of their pixels, most of which are of equal phase. The factors of strong curtains are linear in the depth, and
    those of the image before smoothing, which leaves a part of fine streaks. Of both results the one that separates the
    phases better is taken.
    """
    smoothed = smooth(grey, SMOOTHING)
    shading = _alternate(smoothed, smoothed, np.ones(grey.shape[1]), _column_medians)
    if shading.curtaining <= _STRONG_CURTAINING:
        return shading
    strong = _alternate(smoothed, grey, _relative_brightness(smoothed), _linear_factors)
    both = (shading, strong)
    return max(both, key=lambda estimate: separability(smooth(grey / estimate.gain, SMOOTHING)))


def _relative_brightness(grey: np.ndarray) -> np.ndarray:
    """Factor of each column, from the ratios of neighbouring ones; without a trend, which is that of the surface.

    Where neighbouring columns hold a single phase they vary little along the depth, and whether they are dark or pores
    is not known. Their factors, and those of the columns into which they are blurred, are interpolated.
    """
    logs = log(np.maximum(grey, _BLACK))
    factors = np.append(0.0, np.cumsum(np.median(np.diff(logs, axis=1), axis=0)))
    x = np.linspace(-1, 1, factors.size)
    spread = logs.std(axis=0)
    window = np.ones(2 * _REACH + 1, bool)
    shows_both = ~ndimage.binary_dilation(ndimage.binary_opening(spread < np.median(spread) / 2, window), window)
    if shows_both.any():
        factors = np.interp(x, x[shows_both], factors[shows_both])
    trend = np.stack([np.ones_like(x), x, np.square(x)], axis=1)
    relative = exp(factors - product(trend, least_squares(trend, factors)))
    return np.asarray(relative / relative.mean())


def _column_medians(brightness: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Median of each column ``(width,)``, where it has enough pixels that are not NaN; else its first factor."""
    is_covered = np.isfinite(brightness).sum(axis=0) >= _MIN_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without solid
        return np.where(is_covered, np.nanmedian(brightness, axis=0), first)


def _linear_factors(brightness: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Factor of each column ``(depth, width)``, linear in the depth between the medians of its upper and lower half."""
    depth, width = brightness.shape
    z = np.linspace(-1, 1, depth)
    medians, centres = [], []
    for rows in (slice(None, depth // 2), slice(depth // 2, None)):
        pixels = np.isfinite(brightness[rows])
        medians.append(_column_medians(brightness[rows], np.full(width, np.nan)))
        centres.append((pixels * z[rows, None]).sum(axis=0) / np.maximum(pixels.sum(axis=0), 1))
    slope = (medians[1] - medians[0]) / (centres[1] - centres[0])
    has_slope = np.isfinite(slope)
    slope = np.where(has_slope, slope, 0.0)
    middle = np.where(has_slope, medians[0] - slope * centres[0], _column_medians(brightness, first))
    return np.maximum(middle + slope * z[:, None], _DARKEST)


def _alternate(
    grey: np.ndarray,
    fine: np.ndarray,
    columns: np.ndarray,
    factors: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Shading:
    """Estimate phases and brightness from each other, beginning with ``columns``, factors of the columns.

    Phases and surface are those of the smoothed image ``grey``, the factors those of ``fine``: ``factors`` computes
    them from the brightness of the solid, NaN in other pixels, and the first ones.
    """
    depth, width = grey.shape
    z, x = np.linspace(-1, 1, depth), np.linspace(-1, 1, width)
    powers_z, powers_x = ([np.ones_like(axis), axis, np.square(axis)] for axis in (z, x))
    terms = [np.outer(powers_z[a], powers_x[b]) for a in range(3) for b in range(3 - a)]
    step = max(1, int(math.sqrt(depth * width / 40_000)))  # some ten thousand pixels suffice for a quadratic surface
    design = np.stack([term[::step, ::step].ravel() for term in terms], axis=1)
    first, surface, corrected = columns, np.ones_like(grey), grey / columns
    for _ in range(_ITERATIONS):
        bright = corrected > otsu_threshold(corrected)
        if not 0 < bright.mean() < 1:
            break
        # Without the darkest quarter of the solid, which is blurred by its edges.
        core = bright & (corrected >= np.quantile(corrected[bright], 0.25))
        level = grey[core].mean()
        sample = core[::step, ::step].ravel()
        if sample.sum() < 4 * len(terms):
            break
        ratio = (grey / level / columns)[::step, ::step].ravel()
        fit = least_squares(design[sample], ratio[sample])
        surface = sum(c * term for c, term in zip(fit, terms, strict=True)).clip(0.2, 5)
        columns = factors(np.where(core, fine / level / surface, np.nan), first)
        corrected = grey / (surface * columns)
    low, high = np.quantile(surface, [0.1, 0.9])
    noise = 0.0  # standard error of the medians of the columns
    core = corrected > otsu_threshold(corrected)
    if core.any():
        values = (fine / (surface * columns))[core]
        noise = values.std() / values.mean() * 1.2533 / math.sqrt(max(1.0, core.sum(axis=0).mean()))
    deviation = float(np.atleast_2d(columns).mean(axis=0).std())
    curtaining = math.sqrt(max(0.0, np.square(deviation) - np.square(noise)))
    return Shading(surface * columns, float(high / low - 1), curtaining)
