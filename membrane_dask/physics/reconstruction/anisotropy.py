"""Anisotropy of a micrograph: whether its pores are longer along the depth than isotropic ones, and where."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import student_cdf
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.reconstruction.directional_correlation import (
    half_lengths,
    knot_weights,
    log_anisotropy,
    porosity_profile,
)
from membrane_dask.physics.reconstruction.knot_selection import chi_square

#: Half-correlation lengths along the depth that an image needs for an anisotropy that varies with it.
_MIN_LENGTHS = 20
#: Smallest and largest number of tiles along each side, and their sizes in half-correlation lengths.
_TILES, _TILE_WIDTH, _TILE_DEPTH = (4, 16), 10, 6
#: Largest fraction of the tiles at any depth that may have no half-correlation length.
_MAX_MISSING = 0.5
#: Smallest standard deviation, between sections, of the logarithm of the anisotropy: one percent.
_MIN_DEVIATION = 0.01


@dataclass(frozen=True)
class AnisotropyTest:
    """Anisotropy of a micrograph and of sections of an isotropic model.

    Parameters
    ----------
    ratio : float
        Half-correlation length of the micrograph along its depth over that along its rows.
    expected : (float, float)
        Range of the ratios of sections of the model, from their 5 % to their 95 % quantile.
    p_value : float
        Of Student's test for one more section.
    """

    ratio: float
    expected: tuple[float, float]
    p_value: float

    def __str__(self) -> str:
        low, high = self.expected
        return (
            f"pores are {self.ratio:.2f} times as long along the depth as across (isotropic: {low:.2f} to {high:.2f})"
        )


def compare_with_isotropic(
    solid: np.ndarray, sections: Sequence[np.ndarray], knots: Sequence[float], inside: np.ndarray | None = None
) -> AnisotropyTest:
    """Compare a micrograph with sections of an isotropic model.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph, True in the solid.
    sections : sequence of (depth, width) ndarray of bool
        Sections of an isotropic structure with the widths and porosities of the micrograph, each segmented from an
        image like it; at least 3.
    knots : sequence of float
        Depth fractions between which the porosity is linear.
    inside : (depth, width) ndarray of bool, optional
        Pixels of the micrograph that are used; default all.

    Returns
    -------
    AnisotropyTest
    """
    whole = np.ones((1, 2 * len(solid) - 1))
    observed = float(log_anisotropy([solid], knots=knots, weights=whole, inside=inside)[0])
    predicted = np.array([log_anisotropy([section], knots=knots, weights=whole)[0] for section in sections])
    n = len(predicted)
    deviation = max(float(predicted.std(ddof=1)), _MIN_DEVIATION)
    z = (observed - float(predicted.mean())) / (deviation * np.sqrt(1 + 1 / n))
    low, high = exp(np.quantile(predicted, [0.05, 0.95]))
    return AnisotropyTest(float(exp(observed)), (float(low), float(high)), 2 * float(student_cdf(-abs(z), n - 1)))


def is_deep_enough(solid: np.ndarray, knots: Sequence[float], inside: np.ndarray | None = None) -> bool:
    """Whether a micrograph determines an anisotropy at each knot: whether it is 20 lengths along the depth deep."""
    whole = np.ones((1, 2 * len(solid) - 1))
    length = half_lengths([solid], knots=knots, direction="depth", weights=whole, inside=inside)[0]
    return bool(len(solid) >= _MIN_LENGTHS * length)


def varies_with_depth(solid: np.ndarray, knots: Sequence[float], inside: np.ndarray | None = None) -> bool:
    """Whether the anisotropy of a micrograph varies with its depth.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph, True in the solid.
    knots : sequence of float
        Depth fractions.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.

    Returns
    -------
    bool
        Whether the Bayesian information criterion prefers values at the knots, and lines between them, to a constant:
        for the logarithms of the anisotropy of tiles. False if the micrograph is too small to tell.
    """
    depth, width = solid.shape
    whole = np.ones((1, 2 * depth - 1))
    across, along = (
        float(half_lengths([solid], knots=knots, direction=direction, weights=whole, inside=inside)[0])
        for direction in ("row", "depth")
    )
    if not (across > 0 and along > 0) or depth < _MIN_LENGTHS * along:
        return False
    n_across, n_down = (
        max(_TILES[0], min(_TILES[1], int(size / length)))
        for size, length in ((width, _TILE_WIDTH * across), (depth, _TILE_DEPTH * along))
    )
    if n_down <= len(knots):
        return False
    bounds, edges = (np.linspace(0, size, n + 1).astype(int) for size, n in ((width, n_across), (depth, n_down)))
    middles = np.arange(2 * depth - 1) / 2
    boxes = np.stack([(middles >= a) & (middles < b) for a, b in itertools.pairwise(edges)]) * 1.0
    profile = porosity_profile(solid, knots, inside)
    values = np.stack([
        log_anisotropy(
            [np.ascontiguousarray(solid[:, a:b])], knots=knots, weights=boxes, profile=profile,
            inside=None if inside is None else np.ascontiguousarray(inside[:, a:b]),
        )
        for a, b in itertools.pairwise(bounds)
    ])  # fmt: skip
    missing = np.isnan(values)  # a tile whose correlation stays above one half, by chance
    if missing.mean(axis=0).max() > _MAX_MISSING:
        return False
    values = np.where(missing, np.nanmean(values, axis=0), values)
    z = (edges[:-1] + edges[1:] - 1) / 2 / max(depth - 1, 1)
    constant, lines = np.ones((n_down, 1)), knot_weights(knots, depth)[:, np.round(2 * z * (depth - 1)).astype(int)].T
    criteria = [chi_square([values], [basis], [z]) + basis.shape[1] * float(log(n_down)) for basis in (constant, lines)]
    return bool(criteria[1] < criteria[0])
