"""Predictive test of a reconstruction: whether sections of its model, imaged like the micrograph, look like it.

References
----------
Meng, Ann. Statist. 22, 1142 (1994), posterior predictive p-values. Hotelling, Ann. Math. Statist. 2, 360 (1931),
statistics that are tested together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.number_text import quantity_text, readable_unit
from membrane_dask.physics.distributions import f_survival, student_cdf
from membrane_dask.physics.elementary import exp
from membrane_dask.physics.fixed_order import cholesky, dot, sample_covariance, solve_lower
from membrane_dask.physics.reconstruction.section_statistics import (
    SHORT_CHORD,
    Statistics,
    is_one_sided,
    lateral_variation,
    nearly_normal,
    strip_porosity,
)

#: What a summary says when nothing is flagged. It is no proof of the model.
NOTHING_FLAGGED = "No difference from the model was found that sections of this size show."
#: Smallest standard deviation of a statistic: differences of a hundredth are of no consequence.
_MIN_DEVIATION = 0.005
#: Those of the noise: a correlation of about 0.1, and a variance of one phase half as large again, are of consequence.
_MIN_NOISE_DEVIATIONS = {"correlation": 0.03, "ratio": 0.12}
#: Logarithm of the ratio of lengths below which a model is isotropic.
_ISOTROPIC = 0.1
#: Largest distance to solid over that expected from which pores are called macrovoids.
_MACROVOID = 1.15
#: Groups, and others that say nothing further where both are flagged.
_SAME_FINDING = (
    ("anisotropy", "anisotropy by depth"),
    ("voids by depth", "voids"),
    ("lateral porosity", "lateral texture"),
)
#: Fewest sections of the model from which a variance is estimated.
_MIN_SECTIONS = 3
#: Groups whose statistics are tested together: openings by discs of several radii vary together between sections, so
#: that walls of another shape show in the ratios of their fractions more than in each of them.
_JOINT = {"openings"}
#: Fewest sections for each statistic of such a group from which a covariance is estimated.
_MIN_SECTIONS_PER_STATISTIC = 2
#: Smallest standard deviation of a combination of such statistics.
_MIN_JOINT_DEVIATION = 0.001


@dataclass(frozen=True)
class Comparison:
    """One statistic of the micrograph and of sections of the model.

    Parameters
    ----------
    group, name : str
        Statistic, as of :func:`~membrane_dask.physics.reconstruction.section_statistics.section_statistics`.
    observed : float
        Of the micrograph.
    predicted : (n_sections,) ndarray
        Of the sections of the model.
    p_value : float
        Of Student's test for one more section, in [0, 1]; two-sided but for sizes of voids and dense regions.
    group_p_value : float
        Of all statistics of the group, in [0, 1].
    flagged : bool
        Whether the micrograph differs from the model at the significance level of all groups together.
    """

    group: str
    name: str
    observed: float
    predicted: np.ndarray
    p_value: float
    group_p_value: float
    flagged: bool

    @property
    def mean(self) -> float:
        """Mean over the sections."""
        return float(self.predicted.mean())

    @property
    def standard_deviation(self) -> float:
        """Standard deviation between the sections."""
        return float(self.predicted.std(ddof=1))

    @property
    def expected(self) -> tuple[float, float]:
        """Quantiles of 5 and 95 % of the sections."""
        low, high = np.quantile(self.predicted, [0.05, 0.95])
        return float(low), float(high)


def compare(
    observed: Statistics, sections: Mapping[str, Mapping[str, np.ndarray]], *, significance: float = 0.05
) -> list[Comparison]:
    """Test whether a micrograph looks like sections of a model.

    Parameters
    ----------
    observed : mapping of str to mapping of str to float
        Statistics of the micrograph, by group and name.
    sections : mapping of str to mapping of str to (n_sections,) ndarray
        The same of sections of the model; groups may have different numbers of them, at least 3.
    significance : float
        Probability, in (0, 1), that any group of a micrograph of the model is flagged.

    Returns
    -------
    list of Comparison
        In the order of ``observed``.

    Raises
    ------
    ValueError
        If there are fewer than 3 sections.

    Notes
    -----
    The p-value of a group is the smallest one of its statistics times their number (Bonferroni), and that of openings
    the p-value of Hotelling's T² of all of them; it is compared with the significance level over the number of groups.
    What is flagged also lies beyond all sections: where most sections have none of some feature and few have much of
    it, Student's test alone rejects too often. Of openings, the statistic with the smallest p-value is flagged.
    """
    comparisons: list[Comparison] = []
    for group, statistics in observed.items():
        level = significance / len(observed)
        compared = [_compared(group, name, value, sections[group][name]) for name, value in statistics.items()]
        if group in _JOINT and len(compared[0].predicted) >= _MIN_SECTIONS_PER_STATISTIC * len(compared):
            comparisons += _flagged_together(compared, level)
        else:
            comparisons += _flagged_singly(compared, level)
    return comparisons


def _compared(group: str, name: str, observed: float, predicted: np.ndarray) -> Comparison:
    """A statistic with its p-value, which is not flagged yet."""
    predicted = np.asarray(predicted, float)
    n = len(predicted)
    if n < _MIN_SECTIONS:
        raise ValueError(f"sections: at least {_MIN_SECTIONS} are needed (got {n})")
    *normal, observation = nearly_normal(name, np.append(predicted, observed))
    least = _MIN_NOISE_DEVIATIONS[name] if group == "noise" else _MIN_DEVIATION
    deviation = max(float(np.std(normal, ddof=1)), least)
    z = (observation - float(np.mean(normal))) / (deviation * np.sqrt(1 + 1 / n))
    p = float(student_cdf(-z, n - 1)) if is_one_sided(group) else 2 * float(student_cdf(-abs(z), n - 1))
    return Comparison(group, name, float(observed), predicted, p, p, False)


def _flagged_singly(compared: Sequence[Comparison], level: float) -> list[Comparison]:
    """Statistics of a group of which each is tested by itself."""
    n = len(compared)
    group_p_value = min(1.0, n * min(one.p_value for one in compared))
    return [
        replace(one, group_p_value=group_p_value, flagged=n * one.p_value < level and _is_beyond(one))
        for one in compared
    ]


def _is_beyond(one: Comparison) -> bool:
    """Whether a statistic lies beyond those of all sections."""
    above = bool(one.observed > one.predicted.max())
    return above if is_one_sided(one.group) else above or bool(one.observed < one.predicted.min())


def _flagged_together(compared: Sequence[Comparison], level: float) -> list[Comparison]:
    """Statistics of a group that is tested as a whole."""
    sections = np.array([nearly_normal(one.name, one.predicted) for one in compared]).T
    observed = np.array([nearly_normal(one.name, np.array(one.observed)) for one in compared])
    n, k = sections.shape
    square = _t_square(sections, observed)
    p = f_survival(square * (n - k) / (k * (n - 1)), k, n - k)
    is_beyond = all(square > _t_square(np.delete(sections, i, axis=0), sections[i]) for i in range(n))
    least = min(compared, key=lambda one: one.p_value)
    return [replace(one, group_p_value=p, flagged=p < level and is_beyond and one is least) for one in compared]


def _t_square(sections: np.ndarray, section: np.ndarray) -> float:
    """Hotelling's T² of one more section, ``(k,)``, from others, ``(n, k)``."""
    n, k = sections.shape
    covariance = sample_covariance(sections) + np.square(_MIN_JOINT_DEVIATION) * np.eye(k)
    normal = solve_lower(cholesky(covariance), section - sections.mean(axis=0))
    return float(n / (n + 1) * dot(normal, normal))


def stack(statistics: Sequence[Statistics]) -> dict[str, dict[str, np.ndarray]]:
    """Statistics of several sections as arrays, by group and name."""
    return {
        group: {name: np.array([section[group][name] for section in statistics]) for name in names}
        for group, names in statistics[0].items()
    }


def summary(comparisons: Sequence[Comparison], solid: np.ndarray, pixel_nm: float) -> list[str]:
    """What does not fit, in words, the group with the smallest p-value first.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Result of :func:`compare`.
    solid : (depth, width) ndarray of bool
        Segmented micrograph.
    pixel_nm : float
        Pixel size, nm.

    Returns
    -------
    list of str
        A sentence or two for each group that is flagged, with the size of the difference; a single one that nothing
        was found, if none is.
    """
    worst: dict[str, Comparison] = {}
    for one in sorted((c for c in comparisons if c.flagged), key=lambda c: c.p_value):
        worst.setdefault(one.group, one)
    for group, redundant in _SAME_FINDING:
        if group in worst:
            worst.pop(redundant, None)
    section = _Section(solid, pixel_nm, {(c.group, c.name): c for c in comparisons})
    sentences = [_SENTENCES[group](one, section) for group, one in worst.items()]
    return sentences or [NOTHING_FLAGGED]


@dataclass(frozen=True)
class _Section:
    """The segmented micrograph, its pixel size in nm, and all comparisons by group and name."""

    solid: np.ndarray
    pixel_nm: float
    comparisons: Mapping[tuple[str, str], Comparison]

    def nm(self, logarithm: float) -> str:
        """A length in words, from the logarithm of its number of pixels."""
        return quantity_text(float(exp(logarithm)) * self.pixel_nm, "nm")


def _anisotropy(one: Comparison, section: _Section) -> str:
    along, across = ("along the depth", "across") if one.observed > one.mean else ("across", "along the depth")
    sign = 1 if one.observed > one.mean else -1
    ratio, *limits = (float(exp(sign * value)) for value in (one.observed, *one.expected))
    low, high = sorted(limits)
    digits = ".1f" if ratio > 1.5 else ".2f"
    where = "Pores" if one.name == "whole" else f"Around {one.name} pores"
    isotropic = abs(one.mean) < _ISOTROPIC
    advice = "the model is isotropic; set model.anisotropy: auto" if isotropic else "set model.anisotropy: by_depth"
    return (
        f"{where} are {ratio:{digits}} times as long {along} as {across} (sections of the model: "
        f"{low:.2f} to {high:.2f}): {advice}."
    )


def _lateral_porosity(one: Comparison, section: _Section) -> str:
    advice = "one section does not stand for the membrane; crop it, or give several images."
    pores = ~section.solid
    logits = strip_porosity(pores, logit=True)
    if one.name == "slope" or section.comparisons[one.group, "slope"].flagged:
        middle, slope = float(logits.mean()), lateral_variation(logits)["slope"]
        left, right = (_fraction(middle + sign * slope / 2) for sign in (-1, 1))
        verb = "falls" if right < left else "rises"
        return f"Porosity {verb} from {left:.2f} to {right:.2f} from left to right: {advice}"
    porosity = strip_porosity(pores)
    if one.name == "curvature":
        n = len(porosity) // 4
        middle, ends = float(porosity[n:-n].mean()), float(np.concatenate([porosity[:n], porosity[-n:]]).mean())
        return f"Porosity is {middle:.2f} in the middle of the width and {ends:.2f} at both ends: {advice}"
    expected = _range(one, lambda value: float(exp(value)), ".2f")
    verb = "more" if one.observed > one.mean else "less"
    return (
        f"Porosity varies {verb} along the width than in the model, from {porosity.min():.2f} to {porosity.max():.2f} "
        f"(standard deviation of its logit {float(exp(one.observed)):.2f}; sections of the model: {expected}): {advice}"
    )


def _lateral_walls(one: Comparison, section: _Section) -> str:
    advice = "one section does not stand for the membrane; crop it, or give several images."
    if one.name == "deviation":
        verb = "more" if one.observed > one.mean else "less"
        return (
            f"The number of walls along x varies by {float(exp(one.observed)):.0%} between strips of the width, {verb} "
            f"than in sections of the model ({_range(one, lambda value: float(exp(value)), '.0%')}): {advice}"
        )
    factor = float(exp(abs(one.observed)))
    if one.name == "curvature":
        where = "in the middle of the width as at its ends" if one.observed > 0 else "at the ends as in the middle"
    else:
        where = "at the right as at the left" if one.observed > 0 else "at the left as at the right"
    largest = float(exp(max(abs(limit) for limit in one.expected)))
    return (
        f"Walls along x are {factor:.2f} times as many {where} (sections of the model: up to {largest:.2f}): {advice}"
    )


def _voids(one: Comparison, section: _Section) -> str:
    factor, size = _largest_distance(one, section, "Pores", "solid")
    finding = (
        "macrovoids; set model.macrovoids: auto" if factor > _MACROVOID else "some pores are wider than the model's"
    )
    return f"{size}: {finding}."


def _dense_regions(one: Comparison, section: _Section) -> str:
    _, size = _largest_distance(one, section, "Solid", "pore")
    return f"{size}: regions without pores; crop or mask what is not membrane."


def _chords(one: Comparison, section: _Section) -> str:
    phase, name = one.name.split(", ")
    of = "the pores" if phase == "pores" else "the solid"
    if name == "short":
        value, expected = f"{float(exp(one.observed)):.1%}", _range(one, lambda value: float(exp(value)), ".1%")
        return f"Of the chords of {of}, {value} are at most {SHORT_CHORD} pixels long; {expected} expected."
    unit, factor = readable_unit("nm", float(exp(one.observed)) * section.pixel_nm)
    value = section.nm(one.observed)
    expected = _range(one, lambda value: float(exp(value)) * section.pixel_nm * factor, ".3g")
    title = "Mean" if name == "mean" else name
    return f"{title} chord length in {of} {value}; {expected} {unit} expected."


def _openings(one: Comparison, section: _Section) -> str:
    phase, name = one.name.split(", r2 = ")
    radius = float(np.sqrt(float(name))) * section.pixel_nm
    of, shape = ("the pores", "pores") if phase == "pores" else ("the solid", "walls")
    verb = "wider or rounder" if one.observed > one.mean else "narrower or more irregular"
    together = "" if _is_beyond(one) else ", and no section of the model has such fractions at all radii together"
    return (
        f"Discs of {quantity_text(radius, 'nm')} radius fit into {float(exp(one.observed)):.1%} of {of} "
        f"({_range(one, lambda value: float(exp(value)), '.1%')} expected){together}: {shape} of equal correlation "
        f"length are {verb} than those of the model."
    )


def _euler(one: Comparison, section: _Section) -> str:
    verb = "less" if one.observed > one.mean else "better"
    return (
        f"Euler number of the pores {one.observed:.1f} in 10 000 pixels; {_range(one, float, '.1f')} expected: in the "
        f"section pores are {verb} connected than those of the model."
    )


def _grey_histogram(one: Comparison, section: _Section) -> str:
    low, high = one.expected
    return (
        f"Pixels {one.name} of the contrast, less the porosity: {one.observed:+.3f}; {low:+.3f} to {high:+.3f} "
        "expected: blur, noise or grey levels are not those of the image model."
    )


def _noise(one: Comparison, section: _Section) -> str:
    if one.name == "correlation":
        low, high = one.expected
        return (
            f"The noise of neighbouring pixels correlates by {one.observed:.2f} ({low:.2f} to {high:.2f} expected): "
            "the image was smoothed or resampled, so that blur and noise may be wrong."
        )
    ratio, expected = float(exp(one.observed)), _range(one, lambda value: float(exp(value)), ".2f")
    return (
        f"The variance of the noise in the solid is {ratio:.2f} times that in the pores ({expected} expected): noise "
        "depends on the brightness, and the image model has one noise for both phases."
    )


def _objective(one: Comparison, section: _Section) -> str:
    return (
        f"The objective of the best match is {float(exp(one.observed)):.3f}; matches to sections of its own have "
        f"{_range(one, lambda value: float(exp(value)), '.3f')}: the model does not describe pores of this shape."
    )


_SENTENCES: Mapping[str, Callable[[Comparison, _Section], str]] = {
    "anisotropy": _anisotropy,
    "anisotropy by depth": _anisotropy,
    "lateral porosity": _lateral_porosity,
    "lateral texture": _lateral_walls,
    "voids": _voids,
    "voids by depth": _voids,
    "dense regions": _dense_regions,
    "chords": _chords,
    "openings": _openings,
    "Euler": _euler,
    "grey histogram": _grey_histogram,
    "noise": _noise,
    "objective": _objective,
}


def _fraction(logit: float) -> float:
    return 1 / (1 + float(exp(-logit)))


def _range(one: Comparison, convert: Callable[[float], float], digits: str) -> str:
    low, high = (convert(limit) for limit in one.expected)
    return f"{low:{digits}} to {high:{digits}}"


def _largest_distance(one: Comparison, section: _Section, phase: str, neighbour: str) -> tuple[float, str]:
    """Ratio of observed and expected, and in words, of the largest distance to the other phase."""
    where = one.name.split(", ")[0]
    largest = section.comparisons[one.group, f"{where}, largest"]
    position = "" if where == "whole" else f" in {where} of the depth"
    return float(exp(largest.observed - largest.mean)), (
        f"{phase} up to {section.nm(largest.observed)} from the nearest {neighbour}{position}; "
        f"{section.nm(largest.mean)} expected"
    )
