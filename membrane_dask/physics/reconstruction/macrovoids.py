"""Layer of macrovoids: finger-like pores much wider than the others, ellipsoids whose long axis lies along the depth.

Centres are a Poisson process in the plane of the membrane and uniform in a band of the depth. Whatever belongs to a
cell of the plane follows from counter-based random numbers of that cell, so that a macrovoid is the same in any window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from membrane_dask.physics.distributions import normal_quantile, standard_normal
from membrane_dask.physics.elementary import exp
from membrane_dask.physics.reconstruction.noise import philox, split_key

#: Number of the random field that macrovoids are drawn from; the fields of a structure have small numbers.
_FIELD = 1 << 31
#: Added to cells, so that those at negative coordinates have counters, too.
_ORIGIN = 1 << 20
#: Standard deviations at which the distribution of the widths is cut off.
_CUT_OFF = 3.0
#: Quantiles of the widths, and distances of the section from the centre, over which means are taken.
_QUANTILES = _DISTANCES = (np.arange(64) + 0.5) / 64
#: Squared coefficient of variation of the half-widths of random sections of equal spheroids, 32 / (3 pi**2) - 1.
_SECTION_VARIANCE = 0.0808
#: Largest standard deviation of the logarithm of the widths.
_MAX_DEVIATION = 0.6
#: Smallest half-width over the limit of detection: half of the sections of such a macrovoid are detected. That of a few
#: macrovoids may come out smaller by chance, and the number of undetected ones would be anything.
_MIN_RATIO = 1.1547
#: Macrovoids from which on their widths are estimated to vary.
_MIN_NUMBER = 5


@dataclass(frozen=True, kw_only=True)
class Macrovoids:
    """Layer of macrovoids; lengths in voxels.

    Parameters
    ----------
    number_density : float
        Macrovoids per area of the membrane, 1/voxel**2, > 0.
    half_width, half_length : float
        Medians of the semi-axes in the plane of the membrane and along the depth, > 0. All macrovoids have the same
        ratio of both.
    deviation : float
        Standard deviation of the logarithm of the semi-axes, >= 0, normal within three standard deviations.
    band : (float, float)
        Depth fractions between which the centres lie.
    """

    number_density: float
    half_width: float
    half_length: float
    deviation: float = 0.0
    band: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("number_density", "half_width", "half_length"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be greater than 0 (got {getattr(self, name)})")
        if not 0 <= self.deviation <= 1:
            raise ValueError(f"deviation: must lie in [0, 1] (got {self.deviation})")
        if not 0 <= self.band[0] <= self.band[1] <= 1:
            raise ValueError(f"band: must rise within [0, 1] (got {self.band})")

    @property
    def max_half_width(self) -> float:
        """Largest semi-axis in the plane."""
        return self.half_width * float(exp(_CUT_OFF * self.deviation))

    def scaled(self, factor: float) -> Self:
        """The same layer with voxels smaller by a factor."""
        return replace(
            self,
            number_density=self.number_density / (factor * factor),
            half_width=self.half_width * factor,
            half_length=self.half_length * factor,
        )

    def drawn(self, number: int, rng: np.random.Generator) -> Self:
        """A layer as another image of the same membrane would have shown it.

        Parameters
        ----------
        number : int
            Macrovoids of the image that the layer was estimated from.
        rng : numpy.random.Generator
            The number has Poisson's distribution; the mean size of as many sections scatters.
        """
        count = max(1, poisson_quantile(float(rng.random()), float(number)))
        error = math.sqrt((_SECTION_VARIANCE + self.deviation * self.deviation) / number)
        factor = float(exp(error * float(standard_normal(rng, 1)[0])))
        return replace(
            self,
            number_density=self.number_density * count / number / factor,
            half_width=self.half_width * factor,
            half_length=self.half_length * factor,
        )


def carve(volume: np.ndarray, macrovoids: Macrovoids, *, depth: int, start: tuple[int, int, int], seed: int) -> None:
    """Set the voxels of a window that lie in macrovoids to 0, pore.

    Parameters
    ----------
    volume : (z, y, x) ndarray
        Window of the structure, changed in place.
    macrovoids : Macrovoids
        The layer.
    depth : int
        Depth of the whole membrane in voxels, which the band refers to.
    start : tuple of int
        First voxel, ``(z, y, x)``.
    seed : int
        Key of the random numbers, ``0 <= seed < 2**64``.
    """
    z0, y0, x0 = start
    n_z, n_y, n_x = volume.shape
    for z, y, x, half_width in _centres(macrovoids, depth, (y0, x0), (n_y, n_x), seed):
        half_length = half_width * (macrovoids.half_length / macrovoids.half_width)
        ranges = []
        for centre, half, first, size in (
            (z, half_length, z0, n_z),
            (y, half_width, y0, n_y),
            (x, half_width, x0, n_x),
        ):
            low = max(math.floor(centre - half) - first, 0)
            ranges.append(slice(low, max(min(math.ceil(centre + half) + 1 - first, size), low)))
        dz, dy, dx = (
            np.square((np.arange(r.start, r.stop) + first - centre) / half)
            for r, first, centre, half in zip(
                ranges, start, (z, y, x), (half_length, half_width, half_width), strict=True
            )
        )
        box = volume[tuple(ranges)]
        box[dz[:, None, None] + dy[:, None] + dx < 1] = 0


def _centres(
    macrovoids: Macrovoids, depth: int, start: tuple[int, int], shape: tuple[int, int], seed: int
) -> list[tuple[float, float, float, float]]:
    """Centre ``(z, y, x)`` and half-width of all macrovoids that may reach into a window of the plane ``(y, x)``."""
    edge = math.ceil(1 / math.sqrt(macrovoids.number_density))  # about one macrovoid a cell
    mean = macrovoids.number_density * edge * edge
    top, bottom = (fraction * (depth - 1) for fraction in macrovoids.band)
    reach = macrovoids.max_half_width
    cells = [
        range(math.floor((first - reach) / edge), math.floor((first + size + reach) / edge) + 1)
        for first, size in zip(start, shape, strict=True)
    ]
    key = split_key(seed)
    result = []
    for cell_y in cells[0]:
        for cell_x in cells[1]:
            number = poisson_quantile(float(_uniform(key, cell_y, cell_x, 0, 1)[0, 0]), mean)
            draws = _uniform(key, cell_y, cell_x, 1, number)
            quantile = np.clip(normal_quantile(draws[3]), -_CUT_OFF, _CUT_OFF)
            half_widths = macrovoids.half_width * exp(macrovoids.deviation * quantile)
            result += [
                (top + (bottom - top) * u, (cell_y + v) * edge, (cell_x + w) * edge, half_width)
                for u, v, w, half_width in zip(*draws[:3].tolist(), half_widths.tolist(), strict=True)
            ]
    return result


def _uniform(key: np.ndarray, cell_y: int, cell_x: int, first: int, n: int) -> np.ndarray:
    """Random integers between 0 and 1 of a cell, ``(4, n)``; ``first`` is the number of the first four."""
    integers = np.empty((4, n), np.uint64)
    counters = (np.uint64(cell_y + _ORIGIN), np.uint64(cell_x + _ORIGIN), np.uint64(_FIELD))
    philox(integers, first, *counters, np.uint64(key[0]), np.uint64(key[1]))
    return (integers + 0.5) / 2.0**32


def poisson_quantile(probability: float, mean: float) -> int:
    """Smallest number whose cumulative probability in Poisson's distribution exceeds ``probability``, in [0, 1)."""
    number, term = 0, float(exp(-mean))
    cumulative = term
    while cumulative <= probability and term > 0:
        number += 1
        term *= mean / number
        cumulative += term
    return number


def poisson_interval(number: int, confidence: float = 0.9) -> tuple[float, float]:
    """Confidence interval of the mean of Poisson's distribution from one number.

    Notes
    -----
    Each end is the mean for which a number as extreme as this one has half of the remaining probability (Garwood,
    Biometrika 28 (1936) 437).
    """

    def cumulative(mean: float, last: int) -> float:
        term = total = float(exp(-mean))
        for k in range(1, last + 1):
            term *= mean / k
            total += term
        return total

    def mean_of(last: int, probability: float) -> float:
        low, high = 0.0, 10.0 + 4.0 * (number + 1)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if cumulative(middle, last) > probability else (low, middle)
        return low

    tail = (1 - confidence) / 2
    return (mean_of(number - 1, 1 - tail) if number else 0.0), mean_of(number, tail)


@dataclass(frozen=True)
class SectionedMacrovoids:
    """Macrovoids in an image.

    Parameters
    ----------
    centre : (n,) ndarray
        Depth of the centre of each, as a fraction of the depth.
    half_width, half_length : (n,) ndarray
        Semi-axes of its ellipse across and along the depth, pixels.
    whole : (n,) ndarray of bool
        Whether it lies within the image.
    counted : (n,) ndarray of bool
        Whether it does not touch the left edge: of images side by side each macrovoid is counted in one of them.
    min_half_width : float
        Half-width from which on a macrovoid is detected.
    width : int
        Of the image, pixels.
    inside : (depth, width) ndarray of bool
        False in macrovoids and near them.
    """

    centre: np.ndarray
    half_width: np.ndarray
    half_length: np.ndarray
    whole: np.ndarray
    counted: np.ndarray
    min_half_width: float
    width: int
    inside: np.ndarray

    @property
    def number(self) -> int:
        """Number of macrovoids that are counted."""
        return int(self.counted.sum())


def estimate_macrovoids(sections: SectionedMacrovoids) -> Macrovoids | None:
    """Layer of macrovoids of a membrane from those of one image.

    Parameters
    ----------
    sections : SectionedMacrovoids
        Ellipses of the image.

    Returns
    -------
    Macrovoids or None
        None without any.

    Notes
    -----
    A section cuts wide macrovoids more often than narrow ones, and hardly ever through their axis: of spheroids of
    half-width w, those whose axis is less than w from the plane, with a half-width of sqrt(w^2 - y^2) at the distance
    y (Wicksell, Biometrika 17 (1925) 84). The median and the deviation of the widths are those for which sections
    above the limit of detection have the median and the coefficient of variation of the image; with fewer than 5
    macrovoids all have one width. Ratios of the semi-axes are not changed by the section.
    """
    if not sections.number:
        return None
    whole = sections.whole if sections.whole.any() else np.ones_like(sections.whole)
    widths, lengths = sections.half_width[whole], sections.half_length[whole]
    limit = min(sections.min_half_width, float(widths.min()))
    median, deviation = float(np.median(widths)), 0.0
    if len(widths) >= _MIN_NUMBER:
        low, high = 0.0, _MAX_DEVIATION
        variation = float(widths.var(ddof=1) / np.square(widths.mean()))
        for _ in range(20):
            deviation = (low + high) / 2
            smaller = _section_moments(_median_of(median, deviation, limit), deviation, limit)[1] < variation
            low, high = (deviation, high) if smaller else (low, deviation)
        deviation = low
    half_width = max(_median_of(median, deviation, limit), _MIN_RATIO * limit)
    per_length = _section_moments(half_width, deviation, limit)[0]
    centres = sections.centre
    step = (centres.max() - centres.min()) / max(len(centres) - 1, 1)  # unbiased ends of a uniform distribution
    return Macrovoids(
        number_density=sections.number / (sections.width * per_length),
        half_width=half_width,
        half_length=half_width * float(lengths.sum() / widths.sum()),
        deviation=deviation,
        band=(max(float(centres.min() - step), 0.0), min(float(centres.max() + step), 1.0)),
    )


def _section_moments(median: float, deviation: float, limit: float) -> tuple[float, float]:
    """Sections of spheroids whose half-width exceeds a limit.

    Returns
    -------
    per_length : float
        Sections per length of the image and per number of spheroids per area.
    variation : float
        Square of the coefficient of variation of their half-widths.
    """
    widths = median * exp(deviation * normal_quantile(_QUANTILES))
    farthest = np.sqrt(np.maximum(np.square(widths) - limit * limit, 0.0))
    squares = np.square(widths)[:, None] - np.square(farthest[:, None] * _DISTANCES)
    total = float(farthest.sum())
    mean = float((farthest * np.sqrt(squares).mean(axis=1)).sum()) / total
    square = float((farthest * squares.mean(axis=1)).sum()) / total
    return 2 * total / len(widths), max(square / (mean * mean) - 1, 0.0)


def _median_of(section_median: float, deviation: float, limit: float) -> float:
    """Median half-width of spheroids whose sections above a limit have this median."""
    low, high = limit / 4, 4 * section_median
    for _ in range(40):
        median = (low + high) / 2
        squares = np.square(median * exp(deviation * normal_quantile(_QUANTILES)))
        wider, all_of_them = (
            float(np.sqrt(np.maximum(squares - width * width, 0.0)).sum()) for width in (section_median, limit)
        )
        low, high = (median, high) if wider <= all_of_them / 2 else (low, median)
    return (low + high) / 2
