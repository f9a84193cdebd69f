"""Correlation of a graded section along its depth and across it, about a porosity that is linear between knots.

A porosity that changes with depth would correlate distant rows. Covariances are therefore those of the deviation from a
profile of the porosity. A pair of pixels belongs to the depth of its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import log
from membrane_dask.physics.fixed_order import least_squares, product
from membrane_dask.physics.reconstruction.descriptors import half_correlation_length

#: Direction of the lags: along the depth, or across it along the rows.
Direction = Literal["depth", "row"]
#: Lags that are computed before it is known whether the correlation has fallen to one half; doubled until it has.
_FIRST_LAGS = 16


def knot_weights(knots: Sequence[float], depth: int) -> np.ndarray:
    """Weights of the windows of knots at the middles of all pairs.

    Parameters
    ----------
    knots : sequence of float
        Depth fractions, rising within [0, 1].
    depth : int
        Rows.

    Returns
    -------
    (n_knots, 2 * depth - 1) ndarray
        Piecewise linear functions, 1 at their knot and 0 at all others, at the rows and half-way between them.
    """
    z = np.arange(2 * depth - 1) / max(2 * depth - 2, 1)
    return np.stack([np.interp(z, knots, row) for row in np.eye(len(knots))])


def porosity_profile(solid: np.ndarray, knots: Sequence[float], inside: np.ndarray | None = None) -> np.ndarray:
    """Porosity of each row, linear between the knots, by least squares.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section.
    knots : sequence of float
        Depth fractions, rising within [0, 1]; a single one for the mean.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.

    Returns
    -------
    (depth,) ndarray
    """
    basis = knot_weights(knots, len(solid))[:, ::2].T
    used = np.ones_like(solid) if inside is None else inside
    n_used = used.sum(axis=1)
    weight = np.sqrt(n_used)
    values = (used & ~solid).sum(axis=1) / np.maximum(weight, 1.0)
    return product(basis, least_squares(basis * weight[:, None], values))


def correlation(
    sections: Sequence[np.ndarray],
    *,
    knots: Sequence[float],
    weights: np.ndarray,
    lags: np.ndarray,
    direction: Direction,
    inside: np.ndarray | None = None,
    profile: np.ndarray | None = None,
) -> np.ndarray:
    """Correlation of sections about their profiles of the porosity.

    Parameters
    ----------
    sections : sequence of (depth, width) ndarray of bool
        Segmented sections of one structure, of equal size; their covariances are averaged.
    knots : sequence of float
        Depth fractions between which the porosity is linear.
    weights : (n, 2 * depth - 1) ndarray
        Weights of windows of the depth at the middles of the pairs, as of :func:`knot_weights`.
    lags : (n_lags,) ndarray of int
        Distances in pixels, >= 0, less than the size in this direction; the first is 0.
    direction : {"depth", "row"}
        Direction of the lags.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.
    profile : (depth,) ndarray, optional
        Porosity of each row; default that of each section, as of :func:`porosity_profile`.

    Returns
    -------
    (n, n_lags) ndarray
        1 at lag 0; NaN in a window without pairs or with one phase only.
    """
    depth = len(sections[0])
    used = (np.ones_like(sections[0]) if inside is None else inside).view(np.uint8)
    total = np.zeros((len(weights), len(lags)))
    n_pairs = np.zeros_like(total)
    for solid in sections:
        porosity = porosity_profile(solid, knots, inside) if profile is None else profile
        pores = np.ascontiguousarray(~solid).view(np.uint8) & used
        for k, lag in enumerate(lags):
            dz, dx = (int(lag), 0) if direction == "depth" else (0, int(lag))
            both, first, second, n = _pair_counts(pores, used, dz, dx)
            upper, lower = porosity[: depth - dz], porosity[dz:]
            products = both - lower * first - upper * second + upper * lower * n
            window = np.ascontiguousarray(weights[:, dz : 2 * depth - 1 - dz : 2])
            sums = product(window, np.stack([products, n], axis=1))
            total[:, k] += sums[:, 0]
            n_pairs[:, k] += sums[:, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = total / n_pairs
        return np.asarray(covariance / covariance[:, :1])


def half_lengths(
    sections: Sequence[np.ndarray],
    *,
    knots: Sequence[float],
    direction: Direction,
    weights: np.ndarray | None = None,
    inside: np.ndarray | None = None,
    profile: np.ndarray | None = None,
) -> np.ndarray:
    """Lag at which the correlation falls to one half, in windows of the depth.

    Parameters
    ----------
    sections, knots, direction, inside, profile
        As of :func:`correlation`.
    weights : (n, 2 * depth - 1) ndarray, optional
        Windows; default those of the knots.

    Returns
    -------
    (n,) ndarray
        In pixels; NaN where the correlation does not fall to one half within half the size of the section.
    """
    depth, width = sections[0].shape
    windows = knot_weights(knots, depth) if weights is None else weights
    max_lag = max(1, (depth if direction == "depth" else width) // 2)
    end = min(_FIRST_LAGS, max_lag)
    while True:
        lags = np.arange(end + 1)
        values = correlation(
            sections, knots=knots, weights=windows, lags=lags, direction=direction, inside=inside, profile=profile
        )
        lengths = half_correlation_length(values, lags)
        if end == max_lag or np.isfinite(lengths).all():
            return lengths
        end = min(2 * end, max_lag)


def log_anisotropy(
    sections: Sequence[np.ndarray],
    *,
    knots: Sequence[float],
    weights: np.ndarray | None = None,
    inside: np.ndarray | None = None,
    profile: np.ndarray | None = None,
) -> np.ndarray:
    """Logarithm of the half-correlation length along the depth over that along the rows.

    Parameters
    ----------
    sections, knots, weights, inside, profile
        As of :func:`half_lengths`; for the whole section, ``weights`` is ``np.ones((1, 2 * depth - 1))``.

    Returns
    -------
    (n,) ndarray
        0 for an isotropic structure, but for the scatter of a section; NaN where a length is.
    """
    along, across = (
        half_lengths(sections, knots=knots, direction=direction, weights=weights, inside=inside, profile=profile)
        for direction in ("depth", "row")
    )
    return np.asarray(log(along / across))


@kernel
def _pair_counts(pores: Any, used: Any, dz: int, dx: int) -> Any:
    """Pairs at a lag by row of the upper pixel: both pore, first pore, second pore, and all, ``(4, depth - dz)``."""
    n = pores.shape[1] - dx
    counts = np.zeros((4, pores.shape[0] - dz))
    for row in range(counts.shape[1]):
        first, first_used = pores[row, :n], used[row, :n]
        second, second_used = pores[row + dz, dx:], used[row + dz, dx:]
        both, upper, lower, valid = 0, 0, 0, 0
        for i in range(n):
            both += first[i] & second[i]
            upper += first[i] & second_used[i]
            lower += first_used[i] & second[i]
            valid += first_used[i] & second_used[i]
        counts[0, row], counts[1, row], counts[2, row], counts[3, row] = both, upper, lower, valid
    return counts
