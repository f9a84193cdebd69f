"""One cross-section micrograph: pores and solid told apart, and what is compared of them (Chamani)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import edt
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

#: Fewer pixels along either axis carry no statistics.
_LEAST = 32


def segment(
    image: np.ndarray,
    *,
    method: Literal["adaptive", "otsu"] = "adaptive",
    sensitivity: float = 0.65,
    presmooth: float = 1.0,
    median: int = 3,
    pores: Literal["dark", "bright"] = "dark",
) -> np.ndarray:
    """Tell the solid from the pores.

    Parameters
    ----------
    image : (depth, width) ndarray
        Grey values, >= 0; whole numbers or floats.
    method : {"adaptive", "otsu"}
        ``adaptive``: a pixel is compared with the mean of a window of an eighth of the image around
        it, times a factor; it follows shading. ``otsu``: one threshold for the whole image.
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
    (depth, width) ndarray of bool
        True in the solid.

    Raises
    ------
    ValueError
        If the image is not grey, too small, constant, or holds values that are no grey values.

    Notes
    -----
    ``adaptive`` has the window and the factors of MATLAB's ``imbinarize(I, 'adaptive')``, which the
    paper used.
    """
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
    grey /= np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else grey.max()

    if presmooth > 0:
        grey = ndimage.gaussian_filter(grey, presmooth, mode="nearest")
    bright = pores == "dark"  # whether the solid is
    if method == "otsu":
        threshold = threshold_otsu(grey)
    else:
        window = tuple(2 * (n // 16) + 1 for n in grey.shape)
        factor = 1.6 - sensitivity if bright else 0.4 + sensitivity
        threshold = np.clip(factor * ndimage.uniform_filter(grey, window, mode="nearest"), 0, 1)
    solid = (grey > threshold) == bright
    if median > 1:
        solid = ndimage.median_filter(solid, median, mode="nearest")
    return np.asarray(solid, dtype=bool)


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
