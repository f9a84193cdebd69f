"""Selection of the knots of a graded structure by a test of lack of fit to the tiles of a micrograph."""

from __future__ import annotations

import itertools

import numpy as np

from membrane_dask.physics.distributions import digamma, f_survival, normal_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import least_squares, product
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, describe, half_correlation_length

#: Sets of knots, tried in this order.
_KNOTS = ((0.0,), (0.0, 1.0), (0.0, 0.3, 1.0), (0.0, 0.15, 0.4, 0.7, 1.0), (0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0))


def choose_knots(solid: np.ndarray, scales: DescriptorScales, confidence: float = 0.95) -> tuple[float, ...]:
    """Smallest set of knots that a micrograph does not reject.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph, True in the solid.
    scales : DescriptorScales
        Lags of its correlation.
    confidence : float
        Confidence at which a set of knots is rejected, in (0, 1).

    Returns
    -------
    tuple of float
        Depth fractions.

    Notes
    -----
    The micrograph is divided into tiles. The variance of porosity and correlation between tiles of equal depth is
    compared with the deviation of the means over depth from the piecewise linear functions of the knots: F tests of
    lack of fit for the two, each at half the significance level.
    """
    depth, width = solid.shape
    uniform = np.full((1, depth), 1 / depth)
    half = half_correlation_length(scales.describe(solid).mean(uniform).correlation, scales.lags)
    across = max(4, min(16, int(width / (10 * half[0]))))
    down = max(4, min(16, int(depth / (4 * half[0]))))
    bounds = np.linspace(0, width, across + 1).astype(int)
    edges = np.linspace(0, depth, down + 1).astype(int)
    rows = np.stack([(np.arange(depth) >= a) & (np.arange(depth) < b) for a, b in itertools.pairwise(edges)]) * 1.0
    rows /= rows.sum(axis=1, keepdims=True)
    lag = np.array([0, max(1, round(half[0]))])
    tiles = [describe(solid[:, a:b], lags=lag, radii=np.array([1.0])).mean(rows) for a, b in itertools.pairwise(bounds)]
    porosity = normal_quantile(
        np.clip([tile.porosity for tile in tiles], 0.5 / depth, 1 - 0.5 / depth)
    )  # (across, down)
    correlation = np.stack([tile.correlation[:, 1] for tile in tiles])
    z = (edges[:-1] + edges[1:] - 1) / 2 / max(depth - 1, 1)
    for knots in _KNOTS:
        hats = np.stack([np.interp(z, knots, row) for row in np.eye(len(knots))], axis=1)
        if down <= len(knots) or all(
            _lack_of_fit(values, hats, z) > (1 - confidence) / 2 for values in (porosity, correlation)
        ):
            return knots
    return _KNOTS[-1]


def _lack_of_fit(values: np.ndarray, basis: np.ndarray, z: np.ndarray) -> float:
    """P-value of the F test of lack of fit of the means to a basis.

    Coarse pores scatter more than fine ones: the logarithm of the variance is modelled as linear in depth.

    Parameters
    ----------
    values : (n_tiles, n_groups) ndarray
        By group of tiles of equal depth.
    basis : (n_groups, n) ndarray
        Columns of the linear model of their means.
    z : (n_groups,) ndarray
        Depth fractions.
    """
    n_tiles, groups = values.shape
    means, variance = values.mean(axis=0), np.maximum(values.var(axis=0, ddof=1), 1e-12)
    half_degrees = (n_tiles - 1) / 2
    # The digamma term removes the bias of the logarithm of a sample variance.
    logarithm = log(variance) - digamma(half_degrees) + log(half_degrees)
    line = np.stack([np.ones(groups), z], axis=1)
    deviation = exp(product(line, least_squares(line, logarithm)) / 2)
    scaled = basis / deviation[:, None]
    residuals = means / deviation - product(scaled, least_squares(scaled, means / deviation))
    between = n_tiles * np.square(residuals).sum() / (groups - basis.shape[1])
    within = (variance / np.square(deviation)).mean()
    return f_survival(between / within, groups - basis.shape[1], groups * (n_tiles - 1))
