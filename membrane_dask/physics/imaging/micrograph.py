"""Segmentation of a cross-section micrograph into pores and solid, with a measure of its own bias."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu

from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.elementary import exp
from membrane_dask.physics.fixed_order import least_squares

#: Smallest separability of the phases: fraction of the variance of grey that lies between them.
_MIN_SEPARATION = 0.7
#: Largest fraction of the pixels that may have the largest, or the smallest, grey value of the image.
_MAX_SATURATED = 0.6
#: Shading from which on it is corrected; half of it for curtaining.
_CORRECTED_SHADING = 0.05
#: Iterations in which the phases and the brightness of the solid are estimated from each other.
_ITERATIONS = 5
#: Standard deviation of the blur of a rendered micrograph, pixels: that of an electron microscope.
_BLUR = 1.0
#: Smallest number of pixels along either axis; fewer carry no statistics.
_MIN_SIZE = 32
#: What each method is called in reports; that of ``auto`` depends on the image.
_LABELS = {"otsu": "Otsu", "hysteresis": "Otsu with hysteresis", "adaptive": "local mean"}

_otsu: Callable[[np.ndarray], Any] = threshold_otsu
_hysteresis: Callable[[np.ndarray, Any, Any], np.ndarray] = apply_hysteresis_threshold


@dataclass(frozen=True)
class Segmentation:
    """A segmented micrograph and the quality of its segmentation.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        True in the solid.
    method : str
        Name of the method that was used.
    shading, curtaining : float
        Relative difference of the brightness of the solid between the brightest and the darkest tenth of the image,
        and its relative standard deviation between columns.
    separation : float
        Separability of the phases by Otsu's criterion, in [0, 1]: fraction of the variance of grey that lies between
        them. 0.64 for a single normal distribution cut in two, 1 for two sharp values.
    bias : float
        Porosity that the segmentation adds: estimated by rendering the result, with the blur and noise of the image,
        and segmenting it again.
    """

    solid: np.ndarray
    method: str
    shading: float
    curtaining: float
    separation: float
    bias: float

    def __str__(self) -> str:
        return (
            f"{self.method}; shading {self.shading:.0%}, curtaining {self.curtaining:.1%}, separation "
            f"{self.separation:.2f}, porosity {1 - self.solid.mean():.3f}, of which segmentation adds {self.bias:+.3f}"
        )


def segment(
    image: np.ndarray,
    *,
    method: Literal["auto", "adaptive", "otsu", "hysteresis"] = "auto",
    sensitivity: float = 0.65,
    presmooth: float = 1.0,
    median: int = 3,
    pores: Literal["dark", "bright"] = "dark",
) -> Segmentation:
    """Segment a micrograph into pores and solid.

    Parameters
    ----------
    image : (depth, width) ndarray
        Grey values, >= 0; integers or floats.
    method : {"auto", "adaptive", "otsu", "hysteresis"}
        ``adaptive``: threshold by the mean of a window of an eighth of the image around each pixel, times a factor;
        it follows shading, and adds pores. ``otsu``: one threshold for the whole image. ``hysteresis``: the same,
        but a pore must contain a pixel darker than the middle between the threshold and the mean of the pores.
        ``auto``: Otsu's threshold, after shading correction where the image is shaded.
    sensitivity : float
        In [0, 1]; the adaptive factor is ``1.6 - sensitivity`` for a bright solid and
        ``0.4 + sensitivity`` for a dark one. Larger gives more solid.
    presmooth : float
        Standard deviation, in pixels, of a Gaussian filter before the threshold; 0 for none.
    median : int
        Odd width, in pixels, of a median filter after the threshold; 1 for none.
    pores : {"dark", "bright"}
        Which phase the pores are.

    Returns
    -------
    Segmentation

    Raises
    ------
    ValueError
        If the image is not grey, too small, constant, saturated, without two phases, or holds negative or non-finite
        values.

    Notes
    -----
    ``adaptive`` has the window and the factors of MATLAB's ``imbinarize(I, 'adaptive')``, which Chamani et al. used.

    References
    ----------
    Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979); Bradley & Roth, J. Graph. Tools 12 (2), 13 (2007).
    """
    grey = _normalised(image)
    top = grey.max() + grey.min()
    if pores == "bright":
        grey = top - grey  # the solid is the brighter phase from here on
    smooth = _smoothed(grey, presmooth)
    shading, curtaining, corrected = _shading_correction(smooth)
    separation = _separation(corrected)
    is_binary = np.unique(image).size <= 2
    if separation < _MIN_SEPARATION and not is_binary:
        raise ValueError(
            f"its grey values do not separate into two phases: {separation:.2f} of their variance lies between the "
            f"halves that Otsu's threshold makes, {_MIN_SEPARATION} is needed (0.64 is one normal distribution cut in "
            "two); segment the image by hand and use the binary image as input"
        )
    is_shaded = shading > _CORRECTED_SHADING or curtaining > _CORRECTED_SHADING / 2

    def threshold(grey: np.ndarray) -> np.ndarray:
        if method == "adaptive":
            bright = pores == "dark"
            grey = grey if bright else top - grey
            window = tuple(2 * (n // 16) + 1 for n in grey.shape)
            factor = 1.6 - sensitivity if bright else 0.4 + sensitivity
            solid = (grey > np.clip(factor * ndimage.uniform_filter(grey, window, mode="nearest"), 0, 1)) == bright
        else:
            if method == "auto" and is_shaded:
                grey = _shading_correction(grey)[2]
            middle = _otsu(grey)
            solid = grey > middle
            if method == "hysteresis":
                core = (middle + grey[~solid].mean()) / 2
                solid = ~_hysteresis(-grey, -middle, -core)
        return np.asarray(ndimage.median_filter(solid, median, mode="nearest") if median > 1 else solid, bool)

    solid = threshold(smooth)
    bias = 0.0
    if 0 < solid.mean() < 1 and not is_binary:
        bias = float(solid.mean() - threshold(_smoothed(_render(grey, solid), presmooth)).mean())
    label = "Otsu after shading correction" if method == "auto" and is_shaded else _LABELS.get(method, "Otsu")
    return Segmentation(solid, label, shading, curtaining, separation, bias)


def _normalised(image: np.ndarray) -> np.ndarray:
    """Grey values from 0 to 1, after a check that the image can be segmented."""
    if image.ndim != 2:
        raise ValueError(f"a grey image of rows by columns is needed (got the shape {image.shape})")
    if min(image.shape) < _MIN_SIZE:
        raise ValueError(
            f"at least {_MIN_SIZE} x {_MIN_SIZE} pixels are needed; this image has {image.shape[0]} x {image.shape[1]}"
        )
    grey = image.astype(np.float64)
    if not np.isfinite(grey).all():
        raise ValueError("the image holds values that are not finite")
    if grey.min() < 0:
        raise ValueError(f"grey values must be at least 0; the smallest is {grey.min():g}")
    if grey.min() == grey.max():
        raise ValueError(f"the image is constant: every pixel has the value {grey.max():g}")
    if np.unique(image).size > 2:
        for name, extreme in (("brightest", grey.max()), ("darkest", grey.min())):
            fraction = float((grey == extreme).mean())
            if fraction > _MAX_SATURATED:
                raise ValueError(
                    f"the image is saturated: {fraction:.0%} of its pixels have the {name} value, {extreme:g}; at most "
                    f"{_MAX_SATURATED:.0%} may"
                )
    return np.asarray(grey / (np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else grey.max()))


def _separation(grey: np.ndarray) -> float:
    """Fraction of the variance that lies between the phases of Otsu's threshold."""
    bright = grey > _otsu(grey)
    fraction = bright.mean()
    contrast = grey[bright].mean() - grey[~bright].mean() if 0 < fraction < 1 else 0.0
    return float(fraction * (1 - fraction) * np.square(contrast) / grey.var())


def _shading_correction(grey: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Shading and curtaining of the solid, and the image without them.

    The brightness is modelled as that of each pixel's phase, times a quadratic surface, times a factor for each
    column. The phases are segmented anew in every iteration, so that a porosity gradient is not mistaken for shading.
    """
    depth, width = grey.shape
    z, x = np.linspace(-1, 1, depth), np.linspace(-1, 1, width)
    powers_z, powers_x = ([np.ones_like(axis), axis, np.square(axis)] for axis in (z, x))
    terms = [np.outer(powers_z[a], powers_x[b]) for a in range(3) for b in range(3 - a)]
    step = max(1, int(math.sqrt(depth * width / 40_000)))  # some ten thousand pixels suffice for a quadratic surface
    design = np.stack([term[::step, ::step].ravel() for term in terms], axis=1)
    corrected = grey
    surface, columns = np.ones_like(grey), np.ones(width)
    for _ in range(_ITERATIONS):
        bright = corrected > _otsu(corrected)
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
        flat = np.where(core, grey / level / surface, np.nan)
        is_covered = core.sum(axis=0) >= 8
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without solid
            columns = np.where(is_covered, np.nanmedian(flat, axis=0), 1.0)
        corrected = grey / (surface * columns)
    low, high = np.quantile(surface, [0.1, 0.9])
    noise = 0.0  # standard error of the medians of the columns
    core = corrected > _otsu(corrected)
    if core.any():
        deviation = corrected[core].std() / corrected[core].mean()
        noise = deviation * 1.2533 / math.sqrt(max(1.0, core.sum(axis=0).mean()))
    curtaining = math.sqrt(max(0.0, np.square(float(columns.std())) - np.square(noise)))
    return float(high / low - 1), curtaining, corrected


def _smoothed(grey: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter that repeats the values at the edges; none for a standard deviation of 0."""
    if sigma == 0:
        return grey
    k = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    taps = exp(-0.5 * np.square(k / sigma))
    taps /= taps.sum()
    for axis in (0, 1):
        grey = ndimage.correlate1d(grey, taps, axis, mode="nearest")
    return grey


def _render(grey: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """A micrograph of a segmented section with the grey levels, blur and noise of an image."""
    levels = np.where(solid, np.median(grey[solid]), np.median(grey[~solid]))
    interior = ndimage.binary_erosion(solid, iterations=2) | ndimage.binary_erosion(~solid, iterations=2)
    # Away from edges the residuals of a mean of 3 x 3 pixels have eight ninths of the variance of the noise.
    residuals = grey - ndimage.uniform_filter(grey, 3, mode="nearest")
    noise = (residuals[interior] if interior.any() else residuals).std() * math.sqrt(9 / 8)
    rng = np.random.default_rng(0)
    return np.asarray(_smoothed(levels, _BLUR) + noise * standard_normal(rng, grey.shape))
