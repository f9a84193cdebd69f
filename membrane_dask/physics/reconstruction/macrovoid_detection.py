"""Macrovoids in a micrograph: pores that hold larger ellipses than any pore of sections of a model without them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import edt
import numpy as np
from scipy import ndimage

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.reconstruction.macrovoids import SectionedMacrovoids

#: Ranges of the depth in which the largest ellipses of the sections are compared.
_RANGES = 8
#: Length over width of the ellipses: fingers hold them, pores of about equal sides less so.
_ASPECT = 2.0
#: Standard deviations, of the logarithm of the largest ellipse of a section, above its mean, from which on a pore is a
#: macrovoid: of 8 ranges the largest exceeds it in 1 of 30 images, if it has Gumbel's distribution.
_DETECTION = 4.0
#: Smallest ellipse, pixels.
_MIN_WIDTH = 0.5


def detect_macrovoids(solid: np.ndarray, sections: Sequence[np.ndarray], margin: float) -> SectionedMacrovoids:
    """Find the macrovoids of a micrograph.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph, True in the solid.
    sections : sequence of (depth, width) ndarray of bool
        Sections of a model without macrovoids, segmented from images like the micrograph.
    margin : float
        Distance from a macrovoid, pixels, up to which pixels are not used.

    Returns
    -------
    SectionedMacrovoids

    Notes
    -----
    The half-width of the largest ellipse, twice as long as wide, that fits into the pores around a pixel is an
    anisotropic Euclidean distance. Where it exceeds that of the sections of the model, at the same depth, the pore is
    a macrovoid. Its outline is what an opening with the largest ellipse of an average section leaves of it, so that
    pores that open into it are cut off. Macrovoids side by side that open into one another are separated half-way.
    """
    depth, width = solid.shape
    largest = np.stack([_largest_ellipses(section) for section in sections])
    deviation = math.sqrt(float(largest.var(axis=0, ddof=1).mean()))
    middles = (np.arange(_RANGES) + 0.5) * depth / _RANGES - 0.5
    typical = exp(np.interp(np.arange(depth), middles, largest.mean(axis=0)))
    limit = typical * exp(_DETECTION * deviation)
    ellipses = _inscribed_ellipses(~solid)
    cores, _ = ndimage.label(ellipses > typical[:, None], structure=np.ones((3, 3)))
    numbers = np.setdiff1d(cores[ellipses > limit[:, None]], [0])
    outlines = []
    for number in numbers:
        core = cores == number
        outline = (_distance(core, _ASPECT) <= typical[:, None]) & ~solid
        nearest = _nearest_finger(core & (ellipses > limit[:, None]))
        outlines += [outline & (nearest == finger) for finger in np.unique(nearest)]
    rows, inside = [], np.ones_like(solid)
    for outline in outlines:
        z, x = np.nonzero(outline)
        half_length = 2 * math.sqrt(float(z.var()) + 1 / 12)  # of an ellipse; 1/12 is the variance of a pixel
        at_left = x.min() == 0
        is_whole = not (at_left or x.max() == width - 1 or z.min() == 0 or z.max() == depth - 1)
        rows.append((float(z.mean()), len(z) / (math.pi * half_length), half_length, is_whole, not at_left))
        inside &= _distance(outline, 1.0) > margin
    z_centre, half_widths, half_lengths, whole, counted = np.array(rows, float).reshape(-1, 5).T
    limits = limit[np.round(z_centre).astype(int)] if rows else limit
    return SectionedMacrovoids(
        centre=z_centre / max(depth - 1, 1),
        half_width=half_widths,
        half_length=half_lengths,
        whole=whole > 0,
        counted=counted > 0,
        min_half_width=float(limits.mean()),
        width=width,
        inside=inside,
    )


def _nearest_finger(centres: np.ndarray) -> np.ndarray:
    """Number of the finger that is nearest along the row to each column, ``(width,)``.

    Regions of centres of large ellipses belong to one finger if they lie above one another.
    """
    columns, n_fingers = ndimage.label(centres.any(axis=0))
    middles = [float(np.flatnonzero(columns == finger).mean()) for finger in range(1, n_fingers + 1)]
    x = np.arange(centres.shape[1])
    return np.asarray(np.abs(x[:, None] - np.array(middles)).argmin(axis=1))


def _inscribed_ellipses(pores: np.ndarray) -> np.ndarray:
    """Half-width of the largest ellipse around each pixel that lies within the pores."""
    return np.asarray(edt.edt(np.ascontiguousarray(pores), anisotropy=(1 / _ASPECT, 1.0)))


def _distance(region: np.ndarray, aspect: float) -> np.ndarray:
    """Distance of each pixel from a region that is not empty, with depths divided by ``aspect``."""
    return np.asarray(edt.edt(np.ascontiguousarray(~region), anisotropy=(1 / aspect, 1.0)))


def _largest_ellipses(solid: np.ndarray) -> np.ndarray:
    """Logarithm of the half-width of the largest ellipse in each range of the depth."""
    ellipses = _inscribed_ellipses(~solid)
    bounds = [round(len(solid) * i / _RANGES) for i in range(_RANGES + 1)]
    return np.asarray(log([max(float(ellipses[a:b].max()), _MIN_WIDTH) for a, b in itertools.pairwise(bounds)]))
