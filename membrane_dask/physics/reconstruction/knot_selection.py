"""Selection of the knots of a graded structure by the Bayesian information criterion, from tiles of a micrograph."""

from __future__ import annotations

import itertools

import numpy as np

from membrane_dask.physics.distributions import digamma, normal_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import least_squares, product
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, describe, half_correlation_length

#: Sets of knots that are compared.
_KNOTS = ((0.0, 1.0), (0.0, 0.3, 1.0), (0.0, 0.15, 0.4, 0.7, 1.0), (0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0))
#: Smallest and largest number of tiles along each side of the micrograph.
_TILES = (4, 16)
#: Sizes of a tile in half-correlation lengths, so that tiles are nearly independent.
_TILE_WIDTH, _TILE_DEPTH = 10, 4


def choose_knots(solid: np.ndarray, scales: DescriptorScales, inside: np.ndarray | None = None) -> tuple[float, ...]:
    """Set of knots with the largest weight; parameters as of :func:`weigh_knots`."""
    weights = weigh_knots(solid, scales, inside)
    return max(weights, key=weights.__getitem__)


def weigh_knots(
    solid: np.ndarray, scales: DescriptorScales, inside: np.ndarray | None = None
) -> dict[tuple[float, ...], float]:
    """Weights of the sets of knots between which a micrograph may be graded.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph, True in the solid.
    scales : DescriptorScales
        Lags of its correlation.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.

    Returns
    -------
    dict from tuple of float to float
        Weight, in [0, 1], of each set of depth fractions; their sum is 1. Sets that the tiles cannot determine are
        left out.

    Notes
    -----
    The micrograph is divided into tiles. To the means, over tiles of equal depth, of the normal quantile of the
    porosity and of the correlation at the half-correlation length, piecewise linear functions of the knots are fitted
    by weighted least squares. With the sum of squared residuals chi^2, n means and p parameters, the Bayesian
    information criterion BIC = chi^2 + p ln n gives the weight exp(-BIC/2), the approximate posterior probability of
    the set. A test of lack of fit would keep too few knots wherever the image is too small to reject them.

    References
    ----------
    Schwarz, Ann. Statist. 6 (1978) 461. Kass and Raftery, J. Am. Stat. Assoc. 90 (1995) 773, Sec. 4.1.
    """
    z, porosity, correlation = _tile_values(solid, scales, inside)
    criteria = {}
    for knots in _KNOTS:
        hats = np.stack([np.interp(z, knots, row) for row in np.eye(len(knots))], axis=1)
        if _is_determined(hats):
            residual = chi_square(porosity, hats, z) + chi_square(correlation, hats, z)
            criteria[knots] = residual + 2 * len(knots) * float(log(2 * len(z)))
    least = min(criteria.values())
    weights = {knots: float(exp(-(criterion - least) / 2)) for knots, criterion in criteria.items()}
    total = sum(weights.values())
    return {knots: weight / total for knots, weight in weights.items()}


def _tile_values(
    solid: np.ndarray, scales: DescriptorScales, inside: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of the tiles of a micrograph.

    Returns
    -------
    z : (down,) ndarray
        Depth fractions of the centres.
    porosity, correlation : (across, down) ndarray
        Normal quantile of the porosity, and correlation at the half-correlation length.
    """
    depth, width = solid.shape
    uniform = np.full((1, depth), 1 / depth)
    half = float(half_correlation_length(scales.describe(solid, inside).mean(uniform).correlation, scales.lags)[0])
    across, down = (
        max(_TILES[0], min(_TILES[1], int(size / (lengths * half))))
        for size, lengths in ((width, _TILE_WIDTH), (depth, _TILE_DEPTH))
    )
    bounds = np.linspace(0, width, across + 1).astype(int)
    edges = np.linspace(0, depth, down + 1).astype(int)
    rows = np.stack([(np.arange(depth) >= a) & (np.arange(depth) < b) for a, b in itertools.pairwise(edges)]) * 1.0
    rows /= rows.sum(axis=1, keepdims=True)
    lag = np.array([0, max(1, round(half))])
    columns = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    used = [None if inside is None else inside[:, c] for c in columns]
    tiles = [
        describe(solid[:, c], lags=lag, radii=np.array([1.0]), inside=u).mean(rows)
        for c, u in zip(columns, used, strict=True)
    ]
    porosity = normal_quantile(np.clip([tile.porosity for tile in tiles], 0.5 / depth, 1 - 0.5 / depth))
    correlation = np.stack([tile.correlation[:, 1] for tile in tiles])
    return (edges[:-1] + edges[1:] - 1) / 2 / max(depth - 1, 1), porosity, correlation


def _is_determined(hats: np.ndarray) -> bool:
    """Whether hat functions ``(down, n_knots)`` at rising depths determine a value at each knot, and one more does not.

    By the condition of Schoenberg and Whitney: there is a rising sequence of depths, one inside each hat.
    """
    down, n_knots = hats.shape
    row = -1
    for knot in range(n_knots):
        row = next((i for i in range(row + 1, down) if hats[i, knot] > 0), down)
    return bool(down > n_knots and row < down)


def chi_square(values: np.ndarray, basis: np.ndarray, z: np.ndarray) -> float:
    """Weighted sum of squared residuals of the means over tiles of equal depth from a linear model.

    Parameters
    ----------
    values : (across, down) ndarray
        Values of the tiles.
    basis : (down, n) ndarray
        Columns of the linear model of their means.
    z : (down,) ndarray
        Depth fractions.

    Notes
    -----
    Coarse pores scatter more than fine ones: the logarithm of the variance is modelled as linear in depth.
    """
    across, down = values.shape
    variance = np.maximum(values.var(axis=0, ddof=1), 1e-12)
    half_degrees = (across - 1) / 2
    # The digamma term removes the bias of the logarithm of a sample variance.
    logarithm = log(variance) - digamma(half_degrees) + log(half_degrees)
    line = np.stack([np.ones(down), z], axis=1)
    error = exp(product(line, least_squares(line, logarithm)) / 2) / np.sqrt(across)
    means, scaled = values.mean(axis=0) / error, basis / error[:, None]
    return float(np.square(means - product(scaled, least_squares(scaled, means))).sum())
