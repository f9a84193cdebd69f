"""The structure whose sections look like a micrograph: what is compared, and the fixed point that matches it.

A structure's porosity and the width of its fields move what is seen of them almost one to one: the
share of pores, and the lag at which the correlation along the section has fallen to a half. Each is
corrected by what was found, depth by depth, until they agree; how far narrow pores are closed and how
rough the walls are is then told by openings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, ndtr, ndtri
from scipy.stats import f as f_distribution

from membrane_dask.physics.reconstruction.descriptors import Descriptors, average, describe, half_correlation_length
from membrane_dask.physics.reconstruction.random_field import Graded, Structure, TwoLayers, cut, gaussian_field

#: Widths change by at most this factor in a step: a guess far off must not throw the next one off.
_FACTOR = 2.0
#: Normal quantiles of the porosity change by at most this much in a step.
_STEP = 1.0
#: Widths, in voxels, below which kernels are a single voxel.
_FINEST = 0.2
#: Correlation lengths that a micrograph must show along its shorter side.
_LEAST_LENGTHS = 20
#: No share of pores is taken to be closer than this to 0 or 1.
_SURE = 1e-4
#: Times that a field is cut again at a corrected level.
_CUTS = 3
#: Knots that are tried in turn.
_KNOTS = ((0.0,), (0.0, 1.0), (0.0, 0.3, 1.0), (0.0, 0.15, 0.4, 0.7, 1.0), (0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0))
#: Openings tell wide structures from narrow ones, correlation hardly: they count as much more.
_OPENINGS = 3.0


@dataclass(frozen=True)
class Scale:
    """Where a micrograph is measured: lags of the two-point function and radii of the openings, in pixels."""

    lags: np.ndarray
    radii: np.ndarray

    @classmethod
    def of(cls, solid: np.ndarray) -> Scale:
        """Lags and radii that suit a segmented micrograph ``(depth, width)``, True in the solid.

        Raises
        ------
        ValueError
            If the micrograph shows too few pores to be measured.
        """
        depth, width = solid.shape
        lags = np.arange(min(width // 2, 400))
        first = describe(solid, lags=lags, radii=np.array([1.0])).mean(np.full((1, depth), 1 / depth))
        half = float(half_correlation_length(first.correlation, lags)[0])
        if not half * _LEAST_LENGTHS <= min(depth, width):
            seen = f"{min(depth, width) / half:.0f}" if half > 0 else "less than 2"
            raise ValueError(
                f"the image shows too few pores: its shorter side is {seen} correlation lengths long, and at least "
                f"{_LEAST_LENGTHS} are needed"
            )
        far = np.geomspace(12, max(13, 6 * half), 16).round()
        squares = np.geomspace(1, max(2.0, 3 * half), 9) ** 2
        return cls(np.unique(np.concatenate([np.arange(12), far])).astype(int), np.sqrt(np.unique(squares.round())))

    def describe(self, solid: np.ndarray) -> Descriptors:
        """Measure a section."""
        return describe(solid, lags=self.lags, radii=self.radii)


@dataclass(frozen=True)
class Target:
    """What a structure's sections should show: descriptors where its widths are decided, and shares of pores."""

    texture: Descriptors
    porosity: np.ndarray

    def perturbed(self, one: Target, two: Target) -> Target:
        """The same as another section of the same structure might have had it: moved by the difference of two."""
        scale = math.sqrt(0.5)
        return Target(
            Descriptors(
                self.texture.two_point + scale * (one.texture.two_point - two.texture.two_point),
                self.texture.opened + scale * (one.texture.opened - two.texture.opened),
            ),
            np.clip(self.porosity + scale * (one.porosity - two.porosity), _SURE, 1 - _SURE),
        )


@dataclass(frozen=True)
class Windows:
    """Which rows of the depth decide each parameter: weights ``(n, depth)``, each row of sum 1.

    Windows overlap, so what is seen in one depends on the parameters of its neighbours, too: ``unmix`` is the
    inverse of how much, ``(n, n)``.
    """

    sigma: np.ndarray
    porosity: np.ndarray
    unmix: np.ndarray

    @classmethod
    def of(cls, structure: Structure, depth: int, sections: Sequence[tuple[float, float]]) -> Windows:
        """Windows for a structure's parameters.

        Parameters
        ----------
        structure : TwoLayers or Graded
        depth : int
            Rows.
        sections : sequence of (float, float)
            Parts of the depth that decide the two widths of two layers, as shares from the top.
        """
        height = np.arange(depth) / max(depth - 1, 1)
        if isinstance(structure, Graded):
            hats = np.stack([np.interp(height, structure.knots, row) for row in np.eye(len(structure.knots))])
            weights = hats / hats.sum(axis=1, keepdims=True)
            return cls(weights, weights, np.linalg.inv(weights @ hats.T))
        parts = np.stack([(height >= top) & (height <= bottom) for top, bottom in sections]).astype(float)
        return cls(parts / parts.sum(axis=1, keepdims=True), np.full((1, depth), 1 / depth), np.eye(len(parts)))

    def target(self, found: Descriptors) -> Target:
        """Means of what was measured row by row."""
        return Target(found.mean(self.sigma), found.mean(self.porosity).porosity)


@dataclass(frozen=True)
class Sections:
    """Sections of a structure that are compared with the micrograph.

    Parameters
    ----------
    depth, width : int
        Pixels of a section.
    planes : tuple of int
        Positions along ``y``.
    seed : int
        Key of the noise.
    parts : tuple of (float, float)
        Parts of the depth that decide the widths of two layers.
    """

    depth: int
    width: int
    planes: tuple[int, ...]
    seed: int
    parts: tuple[tuple[float, float], ...] = ((0.0, 0.2), (0.5, 1.0))

    def windows(self, structure: Structure) -> Windows:
        """Which rows decide the structure's parameters."""
        return Windows.of(structure, self.depth, self.parts)

    def fields(self, structure: Structure) -> list[np.ndarray]:
        """The field about each plane, with what its closing needs."""
        halo = 2 * math.isqrt(structure.closing_square)
        shape = (self.depth + 2 * halo, 1 + 2 * halo, self.width + 2 * halo)
        return [
            gaussian_field(structure, depth=self.depth, start=(-halo, y - halo, -halo), shape=shape, seed=self.seed)
            for y in self.planes
        ]

    def cut(self, structure: Structure, fields: list[np.ndarray]) -> list[np.ndarray]:
        """The sections ``(depth, width)``, True in the solid."""
        halo = 2 * math.isqrt(structure.closing_square)
        return [cut(structure, field, depth=self.depth, z_start=-halo)[:, 0] > 0 for field in fields]


def parameters(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Widths and porosities of a structure."""
    if isinstance(structure, Graded):
        return np.array(structure.sigma), np.array(structure.porosity)
    assert isinstance(structure, TwoLayers)
    return np.array([structure.sigma_1, structure.sigma_2]), np.array([structure.porosity])


def with_parameters(structure: Structure, sigma: np.ndarray, porosity: np.ndarray) -> Structure:
    """The same structure with other widths and porosities."""
    if isinstance(structure, Graded):
        return replace(structure, sigma=tuple(map(float, sigma)), porosity=tuple(map(float, porosity)))
    assert isinstance(structure, TwoLayers)
    return replace(structure, sigma_1=float(sigma[0]), sigma_2=float(sigma[1]), porosity=float(porosity[0]))


@dataclass(frozen=True)
class Match:
    """A structure and how its sections compare with the micrograph.

    Parameters
    ----------
    structure : Structure
    objective : float
        Mean difference of the correlations, and three times that of the openings; 0 the same.
    length : (n,) ndarray
        Half-correlation length of its sections in each window of the widths, pixels.
    solids : list of (depth, width) ndarray of bool
        The sections.
    """

    structure: Structure
    objective: float
    length: np.ndarray
    solids: list[np.ndarray]


def match(structure: Structure, target: Target, scale: Scale, sections: Sections, *, steps: int = 4) -> Match:
    """Fit widths and porosities to a target, and compare.

    Parameters
    ----------
    structure : Structure
        Where to start; its closing and its roughness stay.
    target : Target
        What its sections should show.
    scale : Scale
        Where they are measured.
    sections : Sections
        Where they are cut; the same noise at every step.
    steps : int
        Corrections of the widths; 0 leaves them.

    Returns
    -------
    Match
    """
    windows = sections.windows(structure)
    goal = half_correlation_length(target.texture.correlation, scale.lags)
    for step in range(steps + 1):
        structure, solids = match_porosity(structure, target.porosity, sections, windows)
        found = windows.target(average([scale.describe(solid) for solid in solids]))
        length = half_correlation_length(found.texture.correlation, scale.lags)
        if step < steps:
            factor = np.exp(windows.unmix @ np.log(np.nan_to_num(goal / length, nan=1.0)))
            factor = np.clip(factor, 1 / _FACTOR, _FACTOR)
            sigma, porosity = parameters(structure)
            structure = with_parameters(structure, np.maximum(sigma * factor, _FINEST), porosity)
    return Match(structure, objective(found.texture, target.texture), length, solids)


def match_porosity(
    structure: Structure, target: np.ndarray, sections: Sections, windows: Windows
) -> tuple[Structure, list[np.ndarray]]:
    """Find the porosity before closing that leaves the target's after it; and the sections that result.

    Parameters
    ----------
    structure : Structure
    target : (n,) ndarray
        Share of pores in each window.
    sections : Sections
        Where it is cut.
    windows : Windows
        Which rows decide each porosity.
    """
    fields = sections.fields(structure)
    wanted = ndtri(np.clip(target, _SURE, 1 - _SURE))
    solids = sections.cut(structure, fields)
    for _ in range(_CUTS):
        sigma, porosity = parameters(structure)
        found = windows.porosity @ (1 - np.mean(solids, axis=(0, 2)))
        step = wanted - ndtri(np.clip(found, _SURE, 1 - _SURE))
        if len(step) == len(windows.unmix):
            step = np.clip(windows.unmix @ step, -_STEP, _STEP)
        structure = with_parameters(structure, sigma, np.clip(ndtr(ndtri(porosity) + step), _SURE, 1 - _SURE))
        solids = sections.cut(structure, fields)
    return structure, solids


def first_guess(structure: Structure, target: Target, scale: Scale) -> Structure:
    """Widths and porosities to start from: what theory says of a field that is not closed."""
    lengths = half_correlation_length(target.texture.correlation, scale.lags)
    lengths = np.where(np.isfinite(lengths), lengths, np.nanmean(lengths))
    return with_parameters(structure, np.maximum(lengths / 1.5, _FINEST), np.clip(target.porosity, _SURE, 1 - _SURE))


def objective(found: Descriptors, target: Descriptors) -> float:
    """Mean difference of the correlations, and three times that of the openings, each as a share of its phase."""
    correlation = np.abs(found.correlation - target.correlation).mean()
    kept = [d.opened / np.stack([d.porosity, 1 - d.porosity], axis=-1).clip(_SURE)[..., None] for d in (found, target)]
    return float(correlation + _OPENINGS * np.abs(kept[0] - kept[1]).mean())


def choose_knots(solid: np.ndarray, scale: Scale, confidence: float = 0.95) -> tuple[float, ...]:
    """Depths at which a graded structure needs parameters of its own: as few as the section does not contradict.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph, True in the solid.
    scale : Scale
        Where it is measured.
    confidence : float
        A set of knots is given up when it is contradicted with this confidence.

    Returns
    -------
    tuple of float
        Shares of the depth.

    Notes
    -----
    The section is tiled. Porosity and correlation of the tiles at one depth scatter by chance; the
    means of the depths must scatter about the knots' straight lines by no more (F test of lack of fit,
    one for each of the two, at half the risk).
    """
    depth, width = solid.shape
    half = half_correlation_length(scale.describe(solid).mean(np.full((1, depth), 1 / depth)).correlation, scale.lags)
    across = max(4, min(16, int(width / (10 * half[0]))))
    down = max(4, min(16, int(depth / (4 * half[0]))))
    bounds = np.linspace(0, width, across + 1).astype(int)
    edges = np.linspace(0, depth, down + 1).astype(int)
    rows = np.stack([(np.arange(depth) >= a) & (np.arange(depth) < b) for a, b in itertools.pairwise(edges)]) * 1.0
    rows /= rows.sum(axis=1, keepdims=True)
    lag = np.array([0, max(1, round(half[0]))])
    tiles = [describe(solid[:, a:b], lags=lag, radii=np.array([1.0])).mean(rows) for a, b in itertools.pairwise(bounds)]
    porosity = ndtri(np.clip([tile.porosity for tile in tiles], 0.5 / depth, 1 - 0.5 / depth))  # (across, down)
    correlation = np.stack([tile.correlation[:, 1] for tile in tiles])
    height = (edges[:-1] + edges[1:] - 1) / 2 / max(depth - 1, 1)
    for knots in _KNOTS:
        hats = np.stack([np.interp(height, knots, row) for row in np.eye(len(knots))], axis=1)
        if down <= len(knots) or all(
            _lack_of_fit(values, hats, height) > (1 - confidence) / 2 for values in (porosity, correlation)
        ):
            return knots
    return _KNOTS[-1]


def _lack_of_fit(values: np.ndarray, basis: np.ndarray, height: np.ndarray) -> float:
    """Probability of such means or worse if they lay on the basis ``(n_groups, n)``; values ``(n_each, n_groups)``.

    Coarse pores scatter more than fine ones: the logarithm of the variance is taken to change evenly with height.
    """
    each, groups = values.shape
    means, variance = values.mean(axis=0), np.maximum(values.var(axis=0, ddof=1), 1e-12)
    freedom = (each - 1) / 2
    trend = np.polynomial.Polynomial.fit(height, np.log(variance) - digamma(freedom) + math.log(freedom), 1)
    deviation = np.exp(trend(height) / 2)
    scaled = basis / deviation[:, None]
    left = means / deviation - scaled @ np.linalg.lstsq(scaled, means / deviation, rcond=None)[0]
    between = each * (left**2).sum() / (groups - basis.shape[1])
    within = (variance / deviation**2).mean()
    return float(f_distribution.sf(between / within, groups - basis.shape[1], groups * (each - 1)))
