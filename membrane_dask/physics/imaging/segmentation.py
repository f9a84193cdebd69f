"""Segmentation of a cross-section micrograph into pores and solid, with a measure of its own bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from membrane_dask.physics.imaging.grey_filters import median_of_phases, otsu_threshold, separability, smooth
from membrane_dask.physics.imaging.grey_values import normalised
from membrane_dask.physics.imaging.image_model import (
    NO_PRIORS,
    ImageEstimate,
    ImageModel,
    ImagePriors,
    estimate_image_model,
    sufficient_smoothing,
)
from membrane_dask.physics.imaging.shading import SMOOTHING, estimate_shading

#: Smallest separability of the phases: fraction of the variance of grey that lies between them.
_MIN_SEPARATION = 0.7
#: What each method is called in reports; that of ``auto`` depends on the image.
_LABELS = {"otsu": "Otsu", "hysteresis": "Otsu with hysteresis", "adaptive": "local mean", "binary": "binary image"}

_hysteresis: Callable[[np.ndarray, Any, Any], np.ndarray] = apply_hysteresis_threshold


@dataclass(frozen=True, kw_only=True)
class Segmenter:
    """Segmentation of grey images whose solid is the brighter phase: smoothing, threshold and median filter.

    Parameters
    ----------
    method : {"otsu", "hysteresis", "adaptive"}
        As of :func:`segment`.
    presmooth : float
        Standard deviation of the Gaussian filter, pixels.
    median : int
        Width of the median filter, pixels, odd.
    sensitivity : float
        As of :func:`segment`.
    inverted_at : float, optional
        Sum of an original grey value and the one given, if the pores of the original image are bright; the adaptive
        threshold depends on it.
    """

    method: Literal["otsu", "hysteresis", "adaptive"]
    presmooth: float
    median: int
    sensitivity: float = 0.65
    inverted_at: float | None = None

    def __call__(self, grey: np.ndarray) -> np.ndarray:
        """Segment an image ``(depth, width)`` of grey values from 0 to 1; True in the solid."""
        grey = smooth(grey, self.presmooth)
        if self.method == "adaptive":
            solid = self._above_local_mean(grey)
        else:
            threshold = otsu_threshold(grey)
            solid = grey > threshold
            if self.method == "hysteresis" and not solid.all():
                core = (threshold + grey[~solid].mean()) / 2
                solid = ~_hysteresis(-grey, -threshold, -core)
        return median_of_phases(np.asarray(solid, bool), self.median)

    def _above_local_mean(self, grey: np.ndarray) -> np.ndarray:
        is_bright = self.inverted_at is None
        grey = grey if self.inverted_at is None else self.inverted_at - grey
        window = tuple(2 * (n // 16) + 1 for n in grey.shape)
        factor = 1.6 - self.sensitivity if is_bright else 0.4 + self.sensitivity
        local = ndimage.uniform_filter(grey, window, mode="nearest")
        return np.asarray((grey > np.clip(factor * local, 0, 1)) == is_bright)


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """A segmented micrograph and the quality of its segmentation.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        True in the solid.
    grey : (depth, width) ndarray
        Grey values from 0 to 1 that were segmented, the solid brighter; without shading where it was corrected.
    uncorrected : (depth, width) ndarray
        The same before the correction.
    gain : (depth, width) ndarray or None
        Relative brightness of each pixel, where it is uneven enough for a correction.
    segmenter : Segmenter
        Steps from ``grey`` to ``solid``.
    estimate : ImageEstimate or None
        How the image shows the section; None for a binary image of which no blur is known.
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
    grey: np.ndarray
    uncorrected: np.ndarray
    gain: np.ndarray | None
    segmenter: Segmenter
    estimate: ImageEstimate | None
    method: str
    shading: float
    curtaining: float
    separation: float
    bias: float

    @property
    def is_binary(self) -> bool:
        """Whether the image had two values, and was taken as it is."""
        return self.method == _LABELS["binary"]

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
    presmooth: float | Literal["auto"] = "auto",
    median: int | Literal["auto"] = "auto",
    pores: Literal["dark", "bright"] = "dark",
    priors: ImagePriors = NO_PRIORS,
) -> Segmentation:
    """Segment a micrograph into pores and solid.

    Parameters
    ----------
    image : (depth, width) ndarray
        Grey values, >= 0; integers or floats. An image of two values is taken as it is, without any filter.
    method : {"auto", "adaptive", "otsu", "hysteresis"}
        ``adaptive``: threshold by the mean of a window of an eighth of the image around each pixel, times a factor;
        it follows shading, and adds pores. ``otsu``: one threshold for the whole image. ``hysteresis``: the same,
        but a pore must contain a pixel darker than the middle between the threshold and the mean of the pores.
        ``auto``: Otsu's threshold, after shading correction where the image is shaded.
    sensitivity : float
        In [0, 1]; the adaptive factor is ``1.6 - sensitivity`` for a bright solid and
        ``0.4 + sensitivity`` for a dark one. Larger gives more solid.
    presmooth : float or "auto"
        Standard deviation, in pixels, of a Gaussian filter before the threshold; 0 for none. ``auto``: the least that
        the noise of the image needs.
    median : int or "auto"
        Odd width, in pixels, of a median filter after the threshold; 1, and ``auto``, for none.
    pores : {"dark", "bright"}
        Which phase the pores are.
    priors : ImagePriors
        Blur, noise and levels that are given.

    Returns
    -------
    Segmentation

    Raises
    ------
    ValueError
        If the image is not grey, too small, constant, saturated, without two phases, holds negative or non-finite
        values, or if its blur or noise is too large, or cannot be estimated.

    Notes
    -----
    ``adaptive`` has the window and the factors of MATLAB's ``imbinarize(I, 'adaptive')``, which Chamani et al. used.

    References
    ----------
    Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979); Bradley & Roth, J. Graph. Tools 12 (2), 13 (2007).
    """
    grey = normalised(image)
    top = grey.max() + grey.min()
    if pores == "bright":
        grey = top - grey  # the solid is the brighter phase from here on
    if np.unique(image).size == 2:
        return _binary(grey > top / 2, priors)
    shading = estimate_shading(grey)
    gain = shading.gain if shading.is_relevant else None
    flat = grey if gain is None else grey / gain
    separation = separability(smooth(grey / shading.gain, SMOOTHING))
    if separation < _MIN_SEPARATION:
        raise ValueError(
            f"its grey values do not separate into two phases: {separation:.2f} of their variance lies between the "
            f"halves that Otsu's threshold makes, {_MIN_SEPARATION} is needed (0.64 is one normal distribution cut in "
            "two); segment the image by hand and use the binary image as input"
        )
    estimate = estimate_image_model(flat, priors)
    segmenter = Segmenter(
        method="otsu" if method == "auto" else method,
        presmooth=sufficient_smoothing(estimate.model) if presmooth == "auto" else presmooth,
        median=1 if median == "auto" else median,
        sensitivity=sensitivity,
        inverted_at=top if pores == "bright" else None,
    )
    label, segmented = _LABELS[segmenter.method], grey
    if gain is not None and method == "auto":
        label, segmented = "Otsu after shading correction", flat
    elif gain is not None:  # the segmentation meets the shading of the image, and that of its renderings
        estimate = replace(estimate, model=replace(estimate.model, gain=gain))
    solid = segmenter(segmented)
    model = estimate.model
    rendered = segmenter(model.render(solid, model.noise_of(0, 0, solid.shape)))
    return Segmentation(
        solid=solid, grey=segmented, uncorrected=grey, gain=gain, segmenter=segmenter, estimate=estimate, method=label,
        shading=shading.shading, curtaining=shading.curtaining, separation=separation,
        bias=float(solid.mean() - rendered.mean()),
    )  # fmt: skip


def _binary(solid: np.ndarray, priors: ImagePriors) -> Segmentation:
    """A binary image, as it is; of a known blur it is the segmentation of an image with that blur."""
    segmenter = Segmenter(method="otsu", presmooth=0.0, median=1)
    estimate = None
    if priors.blur is None and (priors.noise is not None or priors.levels):
        raise ValueError("a binary image shows no blur: give imaging.blur, or set imaging: none")
    if priors.blur:
        levels = priors.levels or (0.0, 1.0)
        model = ImageModel(blur=priors.blur, noise=priors.noise or 0.0, pore_level=levels[0], solid_level=levels[1])
        estimate = ImageEstimate(model, model, priors, 0.0)
    grey = solid.astype(float)
    return Segmentation(
        solid=solid, grey=grey, uncorrected=grey, gain=None, segmenter=segmenter, estimate=estimate,
        method=_LABELS["binary"], shading=0.0, curtaining=0.0, separation=1.0, bias=0.0,
    )  # fmt: skip
