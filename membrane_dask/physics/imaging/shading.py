"""Shading and curtaining of a micrograph: the brightness of the solid as a surface times a factor for each column."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.fixed_order import least_squares
from membrane_dask.physics.imaging.grey_filters import otsu_threshold

#: Shading from which on it is corrected; half of it for curtaining.
_CORRECTED_SHADING = 0.05
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
        Smoothed grey values, >= 0.

    Returns
    -------
    Shading

    Notes
    -----
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
        flat = np.where(core, grey / level / surface, np.nan)
        is_covered = core.sum(axis=0) >= 8
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without solid
            columns = np.where(is_covered, np.nanmedian(flat, axis=0), 1.0)
        corrected = grey / (surface * columns)
    low, high = np.quantile(surface, [0.1, 0.9])
    noise = 0.0  # standard error of the medians of the columns
    core = corrected > otsu_threshold(corrected)
    if core.any():
        deviation = corrected[core].std() / corrected[core].mean()
        noise = deviation * 1.2533 / math.sqrt(max(1.0, core.sum(axis=0).mean()))
    curtaining = math.sqrt(max(0.0, np.square(float(columns.std())) - np.square(noise)))
    return Shading(surface * columns, float(high / low - 1), curtaining)
