"""Selection of the knots of a graded structure by the Bayesian information criterion, from tiles of a micrograph."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

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


@dataclass(frozen=True)
class Tiles:
    """Values of the tiles of a micrograph.

    Parameters
    ----------
    z : (down,) ndarray
        Depth fractions of the centres.
    porosity, correlation : (across, down) ndarray
        Normal quantile of the porosity, and correlation at the half-correlation length.
    pixel : float
        Edge of a pixel, in any unit: correlations are compared between micrographs of the same one only.
    """

    z: np.ndarray
    porosity: np.ndarray
    correlation: np.ndarray
    pixel: float = 1.0

    @classmethod
    def of(
        cls,
        solid: np.ndarray,
        scales: DescriptorScales,
        inside: np.ndarray | None = None,
        *,
        half: float | None = None,
        z: np.ndarray | None = None,
        pixel: float = 1.0,
    ) -> Self:
        """Divide a micrograph into tiles.

        Parameters
        ----------
        solid : (depth, width) ndarray of bool
            Segmented micrograph, True in the solid.
        scales : DescriptorScales
            Lags of its correlation.
        inside : (depth, width) ndarray of bool, optional
            Pixels that are used; default all.
        half : float, optional
            Half-correlation length, pixels; default that of the micrograph.
        z : (depth,) ndarray, optional
            Depth fraction of each row; default from 0 to 1.
        pixel : float
            Edge of a pixel.
        """
        depth, width = solid.shape
        if half is None:
            whole = scales.describe(solid, inside).mean(np.full((1, depth), 1 / depth))
            half = float(half_correlation_length(whole.correlation, scales.lags)[0])
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
        own = (edges[:-1] + edges[1:] - 1) / 2 / max(depth - 1, 1)
        centres = own if z is None else z[0] + own * (z[-1] - z[0])
        return cls(centres, porosity, correlation, pixel)


def choose_knots(solid: np.ndarray, scales: DescriptorScales, inside: np.ndarray | None = None) -> tuple[float, ...]:
    """Set of knots with the largest weight for one micrograph; parameters as of :meth:`Tiles.of`."""
    weights = weigh_knots([Tiles.of(solid, scales, inside)])
    return max(weights, key=weights.__getitem__)


def weigh_knots(micrographs: Sequence[Tiles]) -> dict[tuple[float, ...], float]:
    """Weights of the sets of knots between which a membrane may be graded.

    Parameters
    ----------
    micrographs : sequence of Tiles
        Of each micrograph.

    Returns
    -------
    dict from tuple of float to float
        Weight, in [0, 1], of each set of depth fractions; their sum is 1. Sets that the tiles cannot determine are
        left out.

    Notes
    -----
    Each micrograph is divided into tiles. To the means, over tiles of equal depth, of the normal quantile of the
    porosity and of the correlation at the half-correlation length, piecewise linear functions of the knots are fitted
    by weighted least squares: one of the porosity, and one of the correlation for each pixel size. With the sum of
    squared residuals chi^2, n means and p parameters, the Bayesian information criterion BIC = chi^2 + p ln n gives the
    weight exp(-BIC/2), the approximate posterior probability of the set. A test of lack of fit would keep too few knots
    wherever the image is too small to reject them.

    References
    ----------
    Schwarz, Ann. Statist. 6 (1978) 461. Kass and Raftery, J. Am. Stat. Assoc. 90 (1995) 773, Sec. 4.1.
    """
    porosity, correlation = [tiles.porosity for tiles in micrographs], [tiles.correlation for tiles in micrographs]
    depths, pixels = [tiles.z for tiles in micrographs], [tiles.pixel for tiles in micrographs]
    groups = [[i for i, pixel in enumerate(pixels) if pixel == one] for one in sorted(set(pixels))]
    n = sum(map(len, depths))
    criteria = {}
    for knots in _KNOTS:
        hats = [np.stack([np.interp(z, knots, row) for row in np.eye(len(knots))], axis=1) for z in depths]
        if not _is_determined(_sorted(hats, depths)):
            continue
        residual, n_parameters = chi_square(porosity, hats, depths), len(knots)
        for group in groups:
            shown = np.any([hats[i].any(axis=0) for i in group], axis=0)
            bases = [hats[i][:, shown] for i in group]
            if sum(map(len, bases)) <= shown.sum():
                break
            residual += chi_square([correlation[i] for i in group], bases, [depths[i] for i in group])
            n_parameters += int(shown.sum())
        else:
            criteria[knots] = residual + n_parameters * float(log(2 * n))
    least = min(criteria.values())
    weights = {knots: float(exp(-(criterion - least) / 2)) for knots, criterion in criteria.items()}
    total = sum(weights.values())
    return {knots: weight / total for knots, weight in weights.items()}


def _sorted(hats: Sequence[np.ndarray], depths: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of all micrographs in the order of their depths."""
    order = np.argsort(np.concatenate(depths), kind="stable")
    return np.asarray(np.concatenate(hats)[order])


def _is_determined(hats: np.ndarray) -> bool:
    """Whether hat functions ``(down, n_knots)`` at rising depths determine a value at each knot, and one more does not.

    By the condition of Schoenberg and Whitney: there is a rising sequence of depths, one inside each hat.
    """
    down, n_knots = hats.shape
    row = -1
    for knot in range(n_knots):
        row = next((i for i in range(row + 1, down) if hats[i, knot] > 0), down)
    return bool(down > n_knots and row < down)


def chi_square(values: Sequence[np.ndarray], bases: Sequence[np.ndarray], depths: Sequence[np.ndarray]) -> float:
    """Weighted sum of squared residuals of the means over tiles of equal depth from a linear model.

    Parameters
    ----------
    values : sequence of (across, down) ndarray
        Values of the tiles of each micrograph.
    bases : sequence of (down, n) ndarray
        Columns of the linear model of their means, which all micrographs have in common.
    depths : sequence of (down,) ndarray
        Depth fractions.

    Notes
    -----
    Coarse pores scatter more than fine ones: the logarithm of the variance is modelled as linear in depth.
    """
    means, scaled = [], []
    for tiles, basis, z in zip(values, bases, depths, strict=True):
        across, down = tiles.shape
        variance = np.maximum(tiles.var(axis=0, ddof=1), 1e-12)
        half_degrees = (across - 1) / 2
        # The digamma term removes the bias of the logarithm of a sample variance.
        logarithm = log(variance) - digamma(half_degrees) + log(half_degrees)
        line = np.stack([np.ones(down), z], axis=1)
        error = exp(product(line, least_squares(line, logarithm)) / 2) / np.sqrt(across)
        means.append(tiles.mean(axis=0) / error)
        scaled.append(basis / error[:, None])
    all_means, all_scaled = np.concatenate(means), np.concatenate(scaled)
    return float(np.square(all_means - product(all_scaled, least_squares(all_scaled, all_means))).sum())
