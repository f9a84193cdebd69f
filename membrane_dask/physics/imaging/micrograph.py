"""One cross-section micrograph: pores and solid told apart, and what is compared of them (Chamani)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import edt
import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu

#: Share of the variance of grey between the phases without which there are no two phases.
_SEPARATE = 0.7
#: Share of an image's pixels that may have its largest value, or its smallest.
_SATURATED = 0.6
#: Shading from which on the brightness is made even, and half of it for curtains.
_UNEVEN = 0.05
#: Rounds in which phases and brightness are told from each other.
_ROUNDS = 5
#: Blur of a rendered micrograph, pixels: an electron microscope's.
_BLUR = 1.0
#: Fewer pixels along either axis carry no statistics.
_LEAST = 32


@dataclass(frozen=True)
class Segmentation:
    """A segmented micrograph and what is known of how well it was.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        True in the solid.
    method : str
        The method that was used.
    shading, curtaining : float
        Relative difference of the brightness of the solid between the brightest and the darkest tenth of the image,
        and its relative standard deviation from column to column.
    separation : float
        Share of the variance of grey that lies between the phases: 0.64 for one bell curve cut in two, 1 for
        two sharp values.
    bias : float
        What segmentation adds to the porosity: found by rendering the result, with blur and the image's own
        noise, and segmenting that again.
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
    """Tell the solid from the pores.

    Parameters
    ----------
    image : (depth, width) ndarray
        Grey values, >= 0; whole numbers or floats.
    method : {"auto", "adaptive", "otsu", "hysteresis"}
        ``adaptive``: a pixel is compared with the mean of a window of an eighth of the image around it, times a
        factor; it follows shading, and adds pores. ``otsu``: one threshold for the whole image.
        ``hysteresis``: the same, but pores must hold a pixel that lies half-way from it to their mean.
        ``auto``: Otsu's threshold, after the brightness of the solid has been made even where it is not.
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
        If the image is not grey, too small, constant, saturated, without two phases, or holds values that are
        no grey values.

    Notes
    -----
    ``adaptive`` has the window and the factors of MATLAB's ``imbinarize(I, 'adaptive')``, which the
    paper used.
    """
    grey = _grey(image)
    top = grey.max() + grey.min()
    if pores == "bright":
        grey = top - grey  # the solid is the brighter phase from here on
    smooth = ndimage.gaussian_filter(grey, presmooth, mode="nearest") if presmooth > 0 else grey
    shading, curtaining, even = _evened(smooth)
    separation = _separation(even)
    if separation < _SEPARATE and np.unique(image).size > 2:
        raise ValueError(
            f"its grey values do not separate into two phases: {separation:.2f} of their variance lies between the "
            f"halves that Otsu's threshold makes, {_SEPARATE} is needed (0.64 is one bell curve cut in two); segment "
            "it by hand and give the binary image"
        )
    uneven = shading > _UNEVEN or curtaining > _UNEVEN / 2

    def tell(grey: np.ndarray) -> np.ndarray:
        if method == "adaptive":
            bright = pores == "dark"
            grey = grey if bright else top - grey
            window = tuple(2 * (n // 16) + 1 for n in grey.shape)
            factor = 1.6 - sensitivity if bright else 0.4 + sensitivity
            solid = (grey > np.clip(factor * ndimage.uniform_filter(grey, window, mode="nearest"), 0, 1)) == bright
        else:
            if method == "auto" and uneven:
                grey = _evened(grey)[2]
            middle = threshold_otsu(grey)
            solid = grey > middle
            if method == "hysteresis":
                core = (middle + grey[~solid].mean()) / 2
                solid = ~apply_hysteresis_threshold(-grey, -middle, -core)
        return np.asarray(ndimage.median_filter(solid, median, mode="nearest") if median > 1 else solid, bool)

    solid = tell(smooth)
    bias = 0.0
    if 0 < solid.mean() < 1 and np.unique(image).size > 2:
        again = _rendered(grey, solid)
        again = ndimage.gaussian_filter(again, presmooth, mode="nearest") if presmooth > 0 else again
        bias = float(solid.mean() - tell(again).mean())
    name = method if method != "auto" else "otsu, evened" if uneven else "otsu"
    return Segmentation(solid, name, shading, curtaining, separation, bias)


def _grey(image: np.ndarray) -> np.ndarray:
    """Grey values from 0 to 1, if they are any."""
    if image.ndim != 2:
        raise ValueError(f"a grey image is needed, rows by columns; this one has the shape {image.shape}")
    if min(image.shape) < _LEAST:
        raise ValueError(
            f"at least {_LEAST} x {_LEAST} pixels are needed; this image has {image.shape[0]} x {image.shape[1]}"
        )
    grey = image.astype(np.float64)
    if not np.isfinite(grey).all():
        raise ValueError("the image holds values that are not finite")
    if grey.min() < 0:
        raise ValueError(f"grey values must be at least 0; the smallest is {grey.min():g}")
    if grey.min() == grey.max():
        raise ValueError(f"the image is constant: every pixel has the value {grey.max():g}")
    if np.unique(image).size > 2:
        for words, end in (("brightest", grey.max()), ("darkest", grey.min())):
            share = float((grey == end).mean())
            if share > _SATURATED:
                raise ValueError(
                    f"the image is saturated: {share:.0%} of its pixels have the {words} value, {end:g}; at most "
                    f"{_SATURATED:.0%} may"
                )
    return np.asarray(grey / (np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else grey.max()))


def _separation(grey: np.ndarray) -> float:
    """Share of the variance between the two phases that Otsu's threshold makes."""
    bright = grey > threshold_otsu(grey)
    share = bright.mean()
    apart = grey[bright].mean() - grey[~bright].mean() if 0 < share < 1 else 0.0
    return float(share * (1 - share) * apart**2 / grey.var())


def _evened(grey: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Shading and curtaining of the solid, and the image without them.

    Brightness is taken as that of each pixel's phase times a smooth surface times a factor of its column. Which
    phase a pixel is of is decided anew with every estimate, so that a porosity that changes with depth is not
    taken for shading.
    """
    depth, width = grey.shape
    z, x = np.linspace(-1, 1, depth), np.linspace(-1, 1, width)
    terms = [(a, b) for a in range(3) for b in range(3) if a + b <= 2]
    step = max(1, int((depth * width / 40_000) ** 0.5))  # some ten thousand pixels tell a smooth surface
    design = np.stack([np.outer(z[::step] ** a, x[::step] ** b).ravel() for a, b in terms], axis=1)
    even, gain = grey, np.ones_like(grey)
    surface, columns = np.ones_like(grey), np.ones(width)
    for _ in range(_ROUNDS):
        bright = even > threshold_otsu(even)
        if not 0 < bright.mean() < 1:
            break
        core = bright & (even >= np.quantile(even[bright], 0.25))  # blurred edges say nothing of brightness
        level = grey[core].mean()
        picked = core[::step, ::step].ravel()
        if picked.sum() < 4 * len(terms):
            break
        ratio = (grey / level / columns)[::step, ::step].ravel()
        fit = np.linalg.lstsq(design[picked], ratio[picked], rcond=None)[0]
        surface = sum(c * np.outer(z**a, x**b) for c, (a, b) in zip(fit, terms, strict=True)).clip(0.2, 5)
        flat = np.where(core, grey / level / surface, np.nan)
        counted = core.sum(axis=0) >= 8
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without solid
            columns = np.where(counted, np.nanmedian(flat, axis=0), 1.0)
        gain = surface * columns
        even = grey / gain
    low, high = np.quantile(surface, [0.1, 0.9])
    noise = 0.0  # the columns' scatter, less what their own medians scatter by
    core = even > threshold_otsu(even)
    if core.any():
        spread = even[core].std() / even[core].mean()
        noise = spread * 1.2533 / math.sqrt(max(1.0, core.sum(axis=0).mean()))
    curtaining = math.sqrt(max(0.0, float(columns.std()) ** 2 - noise**2))
    return float(high / low - 1), curtaining, even


def _rendered(grey: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """A micrograph of a known structure with an image's grey levels, blur and noise."""
    levels = np.where(solid, np.median(grey[solid]), np.median(grey[~solid]))
    flat = ndimage.binary_erosion(solid, iterations=2) | ndimage.binary_erosion(~solid, iterations=2)
    rough = grey - ndimage.uniform_filter(
        grey, 3, mode="nearest"
    )  # away from edges, eight ninths of the noise's variance
    noise = (rough[flat] if flat.any() else rough).std() * math.sqrt(9 / 8)
    rng = np.random.default_rng(0)
    return np.asarray(ndimage.gaussian_filter(levels, _BLUR, mode="nearest") + noise * rng.standard_normal(grey.shape))


def distance_features(solid: np.ndarray, *, edges: np.ndarray, sections: Sequence[tuple[float, float]]) -> np.ndarray:
    """Distribution of the distance to the other phase, in parts of the depth.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section.
    edges : (n_bins + 1,) ndarray
        Edges of the bins in pixels, rising, the first 1: no distance is smaller.
    sections : sequence of (float, float)
        Parts of the depth, as shares of it from the top.

    Returns
    -------
    (n_sections, 2, n_bins + 1) ndarray
        Share of the section's pixels that are pore (0) or solid (1) and that far from the other
        phase. The last bin is open: distances beyond the last edge, and pixels of a section
        that has no other phase.

    Notes
    -----
    The combined distance function of the paper. A section is cut out before distances are measured.
    """
    features = np.zeros((len(sections), 2, len(edges)))
    depth = len(solid)
    bounds = np.append(edges, np.inf)
    for s, (top, bottom) in enumerate(sections):
        part = np.ascontiguousarray(solid[round(top * depth) : round(bottom * depth)])
        for phase, mask in enumerate((~part, part)):
            if mask.all():
                features[s, phase, -1] = 1.0
            elif mask.any():
                distance = edt.edt(mask)[mask]
                features[s, phase] = np.histogram(distance, bounds)[0] / part.size
    return features


def distance_objective(features: np.ndarray, target: np.ndarray) -> float:
    """Half the summed absolute difference: 0 the same, 1 a section that has nothing in common."""
    return float(0.5 * np.abs(features - target).sum())
