"""Model of how a microscope shows a section: grey levels of both phases, blur and noise, estimated from the image.

The grey value of a pixel is that of its phase, times the gain of the image there, blurred by a Gaussian point-spread
function, plus independent normal noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import edt
import numpy as np

from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.imaging.grey_filters import kernel_weights, median_of_phases, otsu_threshold, smooth

#: Blurs that are tried, pixels, and those at which the estimate is calibrated.
_BLURS = np.arange(0.0, 3.26, 0.25)
_CALIBRATED = np.arange(0.0, 3.1, 0.5)
#: Images of each of these blurs.
_CALIBRATIONS = 2
#: Distance from the interface, pixels, of the pixels that show the level of a phase; the least one; and how many of
#: them are needed.
_LEVEL_DISTANCE, _MIN_LEVEL_DISTANCE, _LEVEL_PIXELS = 3.0, 1.0, 200
#: Gaussian filter before the first estimate of the phases, pixels; the wide one from this noise over contrast on.
_FILTER, _WIDE_FILTER, _NOISY = 1.0, 1.5, 0.2
#: Blur, pixels, from which on levels are taken from pixels as far as 2.5 times the blur plus one pixel.
_WIDE_BLUR = 1.2
#: Distances of the pixels that show the noise, the first at which there are so many of them.
_NOISE_DISTANCES, _NOISE_PIXELS = (4.0, 3.0, 2.0, 0.0), 1000
#: Edges are pixels so near the interface, and so far from parts that are thinner than the discs of these squared
#: radii; the smaller disc is for images with few edges.
_EDGE_DISTANCE, _THIN_SQUARES = 4.0, (9, 4)
#: Pixels at edges that an estimate of the blur needs.
_MIN_EDGE_PIXELS = 500
#: An estimate uses at most so many pixels, of the columns in the middle.
_MAX_PIXELS = 400_000
#: Smallest standard errors: of the blur, pixels; of the noise, relative; of the levels, relative to the contrast.
MIN_BLUR_ERROR = 0.08
_MIN_ERRORS = (MIN_BLUR_ERROR, 0.02, 0.01)
#: Median absolute deviation of normal values to standard deviation.
_MAD = 1.4826


@dataclass(frozen=True, kw_only=True)
class ImageModel:
    """What an image shows of a section.

    Parameters
    ----------
    blur : float
        Standard deviation of the point-spread function, pixels, >= 0.
    noise : float
        Standard deviation of the noise; grey values from 0, black, to 1, white.
    pore_level, solid_level : float
        Grey values of the phases, the solid brighter.
    gain : (depth, width) ndarray, optional
        Relative brightness of each pixel, where the segmentation does not correct it.
    """

    blur: float
    noise: float
    pore_level: float
    solid_level: float
    gain: np.ndarray | None = None

    @property
    def contrast(self) -> float:
        """Difference of the grey values of the phases."""
        return self.solid_level - self.pore_level

    def render(self, solid: np.ndarray, noise: np.ndarray, supersampling: int = 1) -> np.ndarray:
        """Image of a section.

        Parameters
        ----------
        solid : (n * depth, n * width) ndarray of bool
            The section, True in the solid, with ``n = supersampling`` voxels a pixel along both axes.
        noise : (depth, width) ndarray
            Standard normal numbers.
        supersampling : int
            Voxels a pixel.

        Returns
        -------
        (depth, width) ndarray of float64
        """
        depth, width = noise.shape
        if self.gain is None:
            phases = solid.astype(np.float64)
        else:
            levels = np.where(solid, self.solid_level, self.pore_level)
            phases = levels * self.gain.repeat(supersampling, 0).repeat(supersampling, 1)
        # The mean over a pixel of n voxels blurs, too: its variance is that of n equally spaced points.
        blur = math.sqrt(max(0.0, self.blur * self.blur - (1 - 1 / (supersampling * supersampling)) / 12))
        blurred = smooth(phases, blur * supersampling)
        if supersampling > 1:
            blurred = blurred.reshape(depth, supersampling, width, supersampling).mean(axis=(1, 3))
        if self.gain is None:
            blurred = self.pore_level + self.contrast * blurred
        return np.asarray(blurred + self.noise * noise)

    def noise_of(self, seed: int, section: int, shape: tuple[int, int]) -> np.ndarray:
        """Standard normal numbers of a section, which follow from the seed and its number, >= 0."""
        return standard_normal(np.random.default_rng((seed, section)), shape)

    def drawn(self, errors: ImageModelErrors, rng: np.random.Generator) -> Self:
        """A model that differs from this one as this one may differ from the truth."""
        normal = standard_normal(rng, 4)
        return replace(
            self,
            blur=max(0.0, self.blur + errors.blur * float(normal[0])),
            noise=max(0.0, self.noise + errors.noise * float(normal[1])),
            pore_level=self.pore_level + errors.level * float(normal[2]),
            solid_level=self.solid_level + errors.level * float(normal[3]),
        )


@dataclass(frozen=True, kw_only=True)
class ImageModelErrors:
    """Standard errors of a model of an image, in the units of its values.

    Parameters
    ----------
    blur : float
        Pixels.
    noise, level : float
        Grey values from 0 to 1; ``level`` is that of each of both levels.
    """

    blur: float
    noise: float
    level: float


@dataclass(frozen=True, kw_only=True)
class ImagePriors:
    """What is given about an image; None for what has to be estimated.

    Parameters
    ----------
    blur, blur_error : float or None
        Standard deviation of the point-spread function and its standard error, pixels.
    noise : float or None
        Standard deviation, grey values from 0 to 1.
    levels : (float, float) or None
        Grey values of pores and solid.
    """

    blur: float | None = None
    blur_error: float | None = None
    noise: float | None = None
    levels: tuple[float, float] | None = None


#: Nothing is given but the image.
NO_PRIORS = ImagePriors()


@dataclass(frozen=True)
class ImageEstimate:
    """Model of an image, estimated from it.

    Parameters
    ----------
    model : ImageModel
    estimated : ImageModel
        As estimated from the image alone.
    priors : ImagePriors
    edge_fraction : float
        Fraction of the pixels that the blur was estimated from; 0 if it could not be estimated.
    fitted : (n,) ndarray or None
        Blur that fits the edges of images best whose blur is 0, 0.5, ... pixels, rising; less than that blur, as the
        phases whose edges are compared are themselves those of a blurred image. None if it could not be estimated.
    filter : float
        Standard deviation, pixels, of the Gaussian filter before the phases were estimated.
    """

    model: ImageModel
    estimated: ImageModel
    priors: ImagePriors
    edge_fraction: float
    fitted: np.ndarray | None = None
    filter: float = _FILTER

    def errors(self, sections: Sequence[np.ndarray]) -> ImageModelErrors:
        """Standard errors, from the estimates of images of known sections.

        Parameters
        ----------
        sections : sequence of (depth, width) ndarray of bool
            Sections like that of the image, True in the solid.

        Returns
        -------
        ImageModelErrors
            At least 0.08 pixels, 2 % of the noise and 1 % of the contrast; a blur has the error that is given with it.
        """
        model = replace(self.model, gain=None)
        least = np.multiply(_MIN_ERRORS, (1.0, model.noise, model.contrast))
        if self.fitted is None:
            return ImageModelErrors(blur=self.priors.blur_error or float(least[0]), noise=0.0, level=0.0)
        estimates = []
        for number, solid in enumerate(sections):
            image = model.render(solid, model.noise_of(1, number, solid.shape))
            phases = _first_phases(image, self.filter)
            edges = _edges(phases)
            blur = float(np.interp(_fitted_blur(image, phases, edges), self.fitted, _CALIBRATED))
            estimates.append((blur, _noise(image, phases), *_levels(image, phases, blur)))
        deviation = np.std(estimates, axis=0, ddof=1)
        blur, noise, level = np.maximum((deviation[0], deviation[1], deviation[2:].max()), least)
        if self.priors.blur_error is not None:
            blur = self.priors.blur_error
        return ImageModelErrors(blur=float(blur), noise=float(noise), level=float(level))


def estimate_image_model(grey: np.ndarray, priors: ImagePriors = NO_PRIORS) -> ImageEstimate:
    """Estimate grey levels, noise and blur of an image.

    Parameters
    ----------
    grey : (depth, width) ndarray
        Grey values from 0 to 1 of an evenly bright image, the solid brighter.
    priors : ImagePriors
        Values that replace the estimates.

    Returns
    -------
    ImageEstimate

    Raises
    ------
    ValueError
        If the blur is not given, and the image shows too few edges or is blurred too much; if the level of the pores
        is not below that of the solid.

    Notes
    -----
    The blur is that for which the blurred phases fit the grey values near edges best, where both phases are thicker
    than the blur. The phases come from the image itself, so that this is too small: the same is done to images of
    known blur that are rendered from these phases, and the blur is read off the curve.
    """
    depth, width = grey.shape
    columns = max(1, min(width, _MAX_PIXELS // depth))
    grey = np.ascontiguousarray(grey[:, (width - columns) // 2 :][:, :columns])
    sigma, phases = _FILTER, _first_phases(grey, _FILTER)
    levels = _levels(grey, phases, 0.0)
    noise = _noise(grey, phases)
    if noise > _NOISY * (levels[1] - levels[0]):
        sigma, phases = _WIDE_FILTER, _first_phases(grey, _WIDE_FILTER)
        levels = _levels(grey, phases, 0.0)
    edges = _edges(phases)
    n_edges = int(edges.sum())
    if n_edges < _MIN_EDGE_PIXELS and priors.blur is None:
        raise ValueError(
            f"only {n_edges} pixels lie at edges where both phases are thicker than a few pixels, and the estimate of "
            f"the blur needs {_MIN_EDGE_PIXELS}: give it, for example imaging: {{blur: 1 +- 0.2 px}}"
        )
    model = ImageModel(blur=0.0, noise=noise, pore_level=levels[0], solid_level=levels[1])
    fitted = np.zeros((_CALIBRATIONS, len(_CALIBRATED)))
    for k, number in np.ndindex(fitted.shape):
        image = replace(model, blur=float(_CALIBRATED[number])).render(phases, model.noise_of(0, k, grey.shape))
        rendered = _first_phases(image, sigma)
        fitted[k, number] = _fitted_blur(image, rendered, _edges(rendered))
    curve = np.maximum.accumulate(fitted.mean(axis=0))
    blur = _fitted_blur(grey, phases, edges)
    if priors.blur is None and blur >= curve[-1]:
        raise ValueError(
            f"it is blurred by {_CALIBRATED[-1]:g} pixels or more (standard deviation): bin it by 2 x 2 pixels, or "
            "give the blur, for example imaging: {blur: 4 +- 0.3 px}"
        )
    blur = float(np.interp(blur, curve, _CALIBRATED))
    if blur > _WIDE_BLUR:
        levels = _levels(grey, phases, blur)
    estimated = replace(model, blur=blur, pore_level=levels[0], solid_level=levels[1])
    pore_level, solid_level = priors.levels or levels
    model = replace(
        estimated,
        blur=blur if priors.blur is None else priors.blur,
        noise=estimated.noise if priors.noise is None else priors.noise,
        pore_level=pore_level,
        solid_level=solid_level,
    )
    if model.contrast <= 0:
        raise ValueError(f"the pores are as bright as the solid: their levels are {pore_level:g} and {solid_level:g}")
    fraction = n_edges / grey.size if n_edges >= _MIN_EDGE_PIXELS else 0.0
    return ImageEstimate(model, estimated, priors, fraction, curve, sigma)


def sufficient_smoothing(model: ImageModel) -> float:
    """Least standard deviation of a Gaussian filter, pixels, after which noise hardly moves a threshold.

    Raises
    ------
    ValueError
        If the image is too noisy for any.

    Notes
    -----
    Four standard deviations of the noise that the filter leaves are at most half of the contrast.
    """
    for sigma in (0.0, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5):
        if 4 * model.noise * float(np.square(kernel_weights(sigma)).sum()) <= model.contrast / 2:
            return sigma
    raise ValueError(
        f"its noise, {model.noise:.3f} of the grey scale, is too large for its contrast, {model.contrast:.3f}: average "
        "several frames"
    )


def _first_phases(grey: np.ndarray, sigma: float) -> np.ndarray:
    """Phases, True in the solid, that only serve to estimate the model, after a Gaussian filter."""
    smoothed = smooth(grey, sigma)
    return median_of_phases(smoothed > otsu_threshold(smoothed), 3)


def _depth_within(solid: np.ndarray) -> np.ndarray:
    """Distance of each pixel from the other phase, pixels; the edges of the image are no interface."""
    return np.asarray(np.maximum(edt.edt(solid), edt.edt(~solid)))


def _levels(grey: np.ndarray, solid: np.ndarray, blur: float) -> tuple[float, float]:
    """Median grey value of either phase away from the interface, pores first."""
    inside = _depth_within(solid)
    distance = _LEVEL_DISTANCE if blur <= _WIDE_BLUR else 2.5 * blur + 1
    levels = []
    for phase in (~solid, solid):
        t = distance
        while t > _MIN_LEVEL_DISTANCE and np.count_nonzero(phase & (inside > t)) < _LEVEL_PIXELS:
            t -= 0.5
        chosen = grey[phase & (inside > max(t, _MIN_LEVEL_DISTANCE))]
        levels.append(float(np.median(chosen if chosen.size else grey[phase])))
    return levels[0], levels[1]


def _noise(grey: np.ndarray, solid: np.ndarray) -> float:
    """Standard deviation of the noise, from the deviations from the mean of the pixels above and below.

    Streaks along the depth, which curtaining leaves, do not enter.
    """
    residuals = grey[1:-1] - (grey[:-2] + grey[2:]) / 2
    inside = _depth_within(solid)[1:-1]
    flat = inside >= _NOISE_DISTANCES[0]
    for distance in _NOISE_DISTANCES[1:]:
        if flat.sum() < _NOISE_PIXELS:
            flat = inside >= distance
    residuals = residuals[flat]
    # The mean of two pixels adds half of the variance of one.
    return float(_MAD * np.median(np.abs(residuals - np.median(residuals))) * math.sqrt(2 / 3))


def _edges(solid: np.ndarray) -> np.ndarray:
    """Pixels near those parts of the interface where both phases are thicker than the blur."""
    near = _depth_within(solid) <= _EDGE_DISTANCE
    for square in _THIN_SQUARES:
        thin = (_opened(solid, square) != solid) | (_opened(~solid, square) != ~solid)
        edges = near if not thin.any() else near & (edt.edt(~thin) > _EDGE_DISTANCE)
        if edges.sum() >= _MIN_EDGE_PIXELS:
            break
    return np.asarray(edges)


def _opened(phase: np.ndarray, square: int) -> np.ndarray:
    """Opening of a phase with the disc of a squared radius; the image continues beyond its edges."""
    eroded = edt.edtsq(phase) > square
    return np.asarray((edt.edtsq(~eroded) <= square) if eroded.any() else eroded)


def _fitted_blur(grey: np.ndarray, solid: np.ndarray, edges: np.ndarray) -> float:
    """Blur of the phases that fits the grey values at the edges best, with free levels."""
    if not edges.any():
        return 0.0
    values = grey[edges] - grey[edges].mean()
    phases = solid.astype(np.float64)
    misfits = []
    for blur in _BLURS:
        rendered = smooth(phases, float(blur))[edges]
        rendered -= rendered.mean()
        misfits.append(float(-np.square((rendered * values).sum()) / np.square(rendered).sum()))
    k = int(np.argmin(misfits))
    if not 0 < k < len(_BLURS) - 1:
        return float(_BLURS[k])
    left, middle, right = misfits[k - 1 : k + 2]
    return float(_BLURS[k] + 0.5 * (_BLURS[1] - _BLURS[0]) * (left - right) / (left - 2 * middle + right))
