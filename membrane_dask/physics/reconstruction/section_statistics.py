"""Statistics of one imaged section by which the sections of a model are compared with a micrograph.

All are logarithms, logits or numbers of many objects, so that they vary between sections almost normally.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import edt
import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.imaging.grey_filters import smooth
from membrane_dask.physics.reconstruction.descriptors import chord_lengths, describe
from membrane_dask.physics.reconstruction.directional_correlation import Direction, half_lengths, knot_weights

#: Vertical strips in which lateral homogeneity is measured.
STRIPS = 12
#: Squared radii of the discs of the openings, pixels.
OPENING_SQUARES = (2, 6, 16, 36)
#: Grey values whose cumulative fractions are compared: 0 is the level of the pores and 1 that of the solid.
GREY_VALUES = (0.15, 0.3, 0.5, 0.7, 0.85)
#: Longest chord, in pixels, that counts as short.
SHORT_CHORD = 2
#: Distance from the interface, in pixels, from which on grey is not blurred by it.
_FLAT = 3.0
#: Smallest number of pixels of a phase from which its level is taken.
_MIN_FLAT_PIXELS = 200
#: Pixels per unit of the Euler number.
_EULER_AREA = 10_000

_DIRECTIONS: tuple[Direction, Direction] = ("depth", "row")

#: Statistics by group and name. Groups are tested separately.
Statistics = Mapping[str, Mapping[str, float]]


def section_statistics(solid: np.ndarray, *, knots: Sequence[float]) -> dict[str, dict[str, float]]:
    """Statistics of a segmented section, by group and name.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section, True in the solid; both phases occur.
    knots : sequence of float
        Depth fractions between which the porosity is interpolated, and around which pores are described.

    Returns
    -------
    dict of str to dict of str to float
        ``anisotropy`` and, for more than one knot, ``anisotropy by depth``: logarithm of the half-correlation length
        along z over that along x. ``lateral porosity``, ``lateral texture``: slope, curvature and logarithm of the
        standard deviation of twelve vertical strips. ``voids``, ``voids by depth``, ``dense regions``: logarithm of
        the largest distance to the other phase, and of the fourth root of its mean fourth power. ``chords`` and
        ``openings`` of both phases, as logarithms. ``Euler``: Euler number of the pores in 10 000 pixels.
    """
    pores = np.ascontiguousarray(~solid)
    whole, *by_depth = (float(ratio) for ratio in _anisotropy(solid, knots))
    groups = {"anisotropy": {"whole": whole}}
    if len(knots) > 1:
        groups["anisotropy by depth"] = {
            f"{knot:.0%} of the depth": ratio for knot, ratio in zip(knots, by_depth, strict=True)
        }
    groups["lateral porosity"] = lateral_variation(strip_porosity(pores, logit=True))
    groups["lateral texture"] = lateral_variation(log(_strip_edges(pores)))
    groups["voids"], groups["voids by depth"] = _distances(pores)
    whole_solid, solid_by_depth = _distances(~pores)
    groups["dense regions"] = whole_solid | solid_by_depth
    groups["chords"] = _chords(pores, "pores") | _chords(~pores, "solid")
    groups["openings"] = _openings(pores)
    groups["Euler"] = {"pores": _euler_number(pores) / pores.size * _EULER_AREA}
    return groups


def grey_statistics(grey: np.ndarray, solid: np.ndarray, *, smoothing: float) -> dict[str, dict[str, float]]:
    """Statistics of the grey values of a section, by group and name.

    Parameters
    ----------
    grey : (depth, width) ndarray
        Grey values, the solid brighter.
    solid : (depth, width) ndarray of bool
        Their segmentation.
    smoothing : float
        Standard deviation, pixels, of the Gaussian filter before the histogram, >= 0.

    Returns
    -------
    dict of str to dict of str to float
        ``grey histogram``: fraction of the pixels below each of five grey values between the levels of pores and solid,
        less the porosity. ``noise``: correlation of neighbouring pixels within the phases, and logarithm of the
        variance within the solid over that within the pores.

    Notes
    -----
    The levels are the medians of the pixels inside of each phase of this very section, so that errors of the levels
    that the micrograph is rendered with have no effect. Noise is compared by semivariances at lags of 1 and 3 pixels,
    to which shading hardly contributes.
    """
    flat = _flat_pixels(solid)
    smoothed = smooth(grey, smoothing)
    pore_level, solid_level = (float(np.median(smoothed[inside])) for inside in flat)
    contrast, porosity = max(solid_level - pore_level, 1e-6), 1 - solid.mean()
    fractions = {
        f"below {value:g}": float((smoothed < pore_level + value * contrast).mean() - porosity) for value in GREY_VALUES
    }
    (pores_1, pores_3), (solid_1, solid_3) = ([_semivariance(grey, inside, lag) for lag in (1, 3)] for inside in flat)
    noise = {
        "correlation": 1 - (pores_1 + solid_1) / (pores_3 + solid_3),
        "ratio": float(log(solid_3 / pores_3)),
    }
    return {"grey histogram": fractions, "noise": noise}


def is_one_sided(group: str) -> bool:
    """Whether only large values of the statistics of a group speak against the model."""
    return group in {"voids", "voids by depth", "dense regions", "objective"}


def nearly_normal(name: str, values: np.ndarray) -> np.ndarray:
    """Values of a statistic on the scale on which sections vary almost normally, rising with them.

    It is the statistic itself, but for the logarithms of largest distances, which are skewed: reciprocals are not.
    """
    return np.asarray(-exp(-values)) if name.endswith("largest") else values


def strip_porosity(pores: np.ndarray, *, logit: bool = False) -> np.ndarray:
    """Porosity, or its logit, of each of twelve vertical strips, from left to right."""
    counts = pores.sum(axis=0)
    sums, sizes = _strip_sums(counts), len(pores) * np.diff(_strip_bounds(pores.shape[1]))
    if not logit:
        return np.asarray(sums / sizes)
    return np.asarray(log((sums + 0.5) / (sizes - sums + 0.5)))


def lateral_variation(values: np.ndarray) -> dict[str, float]:
    """Slope and curvature of values from left to right, and the logarithm of their standard deviation.

    The slope is the difference between the last strip and the first, and the curvature that between the middle and
    the ends, of orthogonal polynomials.
    """
    x = np.linspace(-1, 1, len(values))
    bow = np.square(x) - np.square(x).mean()
    slope = float((x * values).sum() / np.square(x).sum()) * 2
    curvature = -float((bow * values).sum() / np.square(bow).sum())
    deviation = max(float(values.std(ddof=1)), 1e-6)
    return {"slope": slope, "curvature": curvature, "deviation": float(log(deviation))}


def _anisotropy(solid: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Logarithms of the half-length along z over that along x, of the section and around each knot."""
    windows = knot_weights(knots, len(solid))
    windows = np.concatenate([np.ones((1, windows.shape[1])), windows])
    along, across = (
        # A correlation that stays above one half has the largest length that is measured.
        np.nan_to_num(half_lengths([solid], knots=knots, direction=direction, weights=windows), nan=size / 2)
        for direction, size in zip(_DIRECTIONS, solid.shape, strict=True)
    )
    return np.asarray(log(along / across))


def _strip_bounds(width: int) -> np.ndarray:
    return np.linspace(0, width, STRIPS + 1).astype(int)


def _strip_sums(columns: np.ndarray) -> np.ndarray:
    bounds = _strip_bounds(len(columns))
    return np.array([columns[a:b].sum() for a, b in itertools.pairwise(bounds)], float)


def _strip_edges(pores: np.ndarray) -> np.ndarray:
    """Fraction of the neighbours along x that differ, in each of twelve vertical strips."""
    edges = (pores[:, 1:] != pores[:, :-1]).sum(axis=0)
    return np.asarray((_strip_sums(edges) + 0.5) / (len(pores) * np.diff(_strip_bounds(len(edges)))))


def _distances(mask: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Distances of a phase to the other one, as logarithms: of the section, and of each quarter of its depth.

    The largest one, and the fourth root of the mean fourth power, in which a few wide pores have a large weight. It
    depends on all of them, and therefore varies less between sections than the largest distance.
    """
    squares = edt.edtsq(np.ascontiguousarray(mask)).astype(float).clip(max=mask.size)
    bounds = [round(len(mask) * q / 4) for q in range(5)]
    by_depth = [squares[a:b] for a, b in itertools.pairwise(bounds)]
    return _widths("whole", [squares]), _widths("quarter", by_depth)


def _widths(name: str, squares: Sequence[np.ndarray]) -> dict[str, float]:
    values = {}
    for number, one in enumerate(squares, start=1):
        label = name if len(squares) == 1 else f"{name} {number}"
        values[f"{label}, largest"] = float(log(max(one.max(), 0.25)) / 2)
        values[f"{label}, widths"] = float(log((np.square(one).sum() + 1) / (np.count_nonzero(one) + 1)) / 4)
    return values


def _chords(phase: np.ndarray, name: str) -> dict[str, float]:
    """Mean, 95 % quantile and fraction of short ones of the chords along x that do not end at the edges."""
    counts = np.bincount(chord_lengths(phase), minlength=SHORT_CHORD + 2).astype(float)
    counts[1] += 0.5  # a section may hold none, or no short ones
    total, cumulative = counts.sum(), np.cumsum(counts)
    # Chords of a whole length are uniform within half a pixel of it, so that the quantile has no steps.
    k = int(np.argmax(cumulative >= 0.95 * total))
    quantile = k - 0.5 + (0.95 * total - (cumulative[k] - counts[k])) / counts[k]
    return {
        f"{name}, mean": float(log((counts * np.arange(len(counts))).sum() / total)),
        f"{name}, 95 % quantile": float(log(quantile)),
        f"{name}, short": float(log(cumulative[SHORT_CHORD] / total)),
    }


def _openings(pores: np.ndarray) -> dict[str, float]:
    """Logarithm of the fraction of each phase that openings leave.

    What is left comes in discs at least: one disc is added, so that sections without any differ little from those
    with a single one.
    """
    radii = np.sqrt(np.array(OPENING_SQUARES, float))
    opened = describe(~pores, lags=np.array([0]), radii=radii).opened.mean(axis=0)
    fractions = {}
    for phase, (name, size) in enumerate((("pores", pores.sum()), ("solid", pores.size - pores.sum()))):
        for k, square in enumerate(OPENING_SQUARES):
            disc = np.pi * square
            left = opened[phase, k] * pores.size
            fractions[f"{name}, r2 = {square}"] = float(log((left + disc) / (float(size) + disc)))
    return fractions


def _euler_number(pores: np.ndarray) -> float:
    """Euler number, mean of those for 4 and 8 neighbours, from the numbers of 2 x 2 pixels with one and three pores."""
    padded = np.zeros((pores.shape[0] + 2, pores.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = pores
    sums = padded[1:, 1:] + padded[1:, :-1] + padded[:-1, 1:] + padded[:-1, :-1]
    return float((int((sums == 1).sum()) - int((sums == 3).sum())) / 4)


def _semivariance(grey: np.ndarray, inside: np.ndarray, lag: int) -> float:
    """Half the mean square of the differences of pixels at a lag along either axis, both within a phase."""
    squares, n = 0.0, 0
    for axis in (0, 1):
        first, second = (np.moveaxis(array, axis, 0) for array in (grey, inside))
        both = second[:-lag] & second[lag:]
        squares += float(np.square((first[:-lag] - first[lag:])[both]).sum())
        n += int(both.sum())
    return max(squares, 1e-12) / max(2 * n, 1)


def _flat_pixels(solid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of pores and of solid that the interface does not blur, or the deepest ones where pores are narrow."""
    flat = []
    for mask in (~solid, solid):
        squares = edt.edtsq(np.ascontiguousarray(mask))
        distance = _FLAT
        while distance > 0.5 and np.count_nonzero(squares > np.square(distance)) < min(_MIN_FLAT_PIXELS, mask.sum()):
            distance -= 0.5
        flat.append(squares > np.square(distance))
    return flat[0], flat[1]
