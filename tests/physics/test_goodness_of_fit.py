"""The predictive test: its level, what it finds on known misfits, and what it says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from membrane_dask.physics.distributions import normal_quantile
from membrane_dask.physics.reconstruction.goodness_of_fit import NOTHING_FLAGGED, compare, stack, summary
from membrane_dask.physics.reconstruction.random_field import gaussian_field, generate_window
from membrane_dask.physics.reconstruction.section_statistics import grey_statistics, section_statistics
from membrane_dask.physics.reconstruction.structures import Graded

DEPTH, WIDTH, PIXEL_NM = 192, 288, 3.0
MODEL = Graded(knots=(0.0, 1.0), sigma=(1.8, 3.4), porosity=(0.33, 0.33))


def section(structure: Graded, seed: int) -> np.ndarray:
    """A section, True in the solid."""
    window = generate_window(structure, depth=DEPTH, start=(0, 0, 0), shape=(DEPTH, 1, WIDTH), seed=seed)
    return window[:, 0] > 0


def statistics(solid: np.ndarray) -> dict[str, dict[str, float]]:
    return section_statistics(solid, knots=MODEL.knots) | grey_statistics(solid.astype(float), solid, smoothing=0.7)


@pytest.fixture(scope="module")
def predicted():
    return stack([statistics(section(MODEL, 100 + k)) for k in range(24)])


def lateral(seed: int) -> np.ndarray:
    """Porosity 0.20 at the left and 0.46 at the right."""
    field = gaussian_field(MODEL, depth=DEPTH, start=(0, 0, 0), shape=(DEPTH, 1, WIDTH), seed=seed)[0]
    return field >= normal_quantile(0.33 + 0.13 * np.tanh(4 * np.linspace(-1, 1, WIDTH)))


def macrovoids(seed: int) -> np.ndarray:
    """Three fingers at 50 to 75 % of the depth."""
    solid = section(MODEL, seed)
    z, x = np.mgrid[:DEPTH, :WIDTH]
    for centre in (60, 140, 220):
        solid &= ((z - 0.62 * DEPTH) / 40) ** 2 + ((x - centre) / 12) ** 2 > 1
    return solid


MISFITS = {
    "anisotropic": (
        lambda: section(replace(MODEL, anisotropy=(3.0,)), 7),
        r"Pores are [23]\.\d times as long along the depth as across \(sections of the model: (0\.9\d|1\.0\d) to "
        r"1\.[01]\d*\): the model is isotropic; set model.anisotropy: auto\.",
    ),
    "flat": (
        lambda: section(replace(MODEL, anisotropy=(0.5,)), 7),
        r"Pores are [12]\.\d times as long across as along the depth \(.*set model.anisotropy: auto\.",
    ),
    "lateral": (
        lambda: lateral(7),
        r"Porosity rises from 0\.[12]\d to 0\.[45]\d from left to right: one section does not stand for the membrane; "
        r"crop it, or give several images\.",
    ),
    "macrovoids": (
        lambda: macrovoids(7),
        r"Pores up to (3[3-9]|4\d)(\.\d)? nm from the nearest solid.*; [12]\d(\.\d)? nm expected: macrovoids; "
        r"set model.macrovoids: auto\.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_misfits_are_flagged_and_named_with_the_size_of_the_difference(predicted, name):
    """Twelve-pixel fingers in 3 nm pixels reach 36 nm from the solid; pores of the model 25 to 30 nm."""
    render, pattern = MISFITS[name]
    solid = render()
    sentences = summary(compare(statistics(solid), predicted), solid, PIXEL_NM)
    assert any(re.fullmatch(pattern, sentence) for sentence in sentences), sentences


def test_good_sections_are_not_flagged(predicted):
    """At a level of 5 %, of 12 independent sections 3 or more are flagged with a probability of 2 %."""
    sentences = [
        summary(compare(statistics(solid), predicted), solid, PIXEL_NM)
        for solid in (section(MODEL, 500 + k) for k in range(12))
    ]
    assert sum(one != [NOTHING_FLAGGED] for one in sentences) <= 2, sentences


def test_the_level_of_the_test():
    """Correlated and skewed statistics: at most the level, 5 %, plus three binomial standard errors."""
    rng = np.random.default_rng(8)
    flagged, n = 0, 600
    for _ in range(n):
        normal = rng.standard_normal((61, 9))
        normal[:, 3:6] += normal[:, :1]
        normal[:, 6:] = np.log(rng.gamma(8.0, size=(61, 3)))
        groups = {"chords": slice(0, 3), "openings": slice(3, 6), "Euler": slice(6, 9)}
        values = {g: {str(k): normal[:, k] for k in range(9)[s]} for g, s in groups.items()}
        observed = {g: {name: float(v[-1]) for name, v in names.items()} for g, names in values.items()}
        sections = {g: {name: v[:-1] for name, v in names.items()} for g, names in values.items()}
        flagged += any(one.flagged for one in compare(observed, sections))
    assert flagged / n < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)


def test_p_values_and_order():
    """Student's test of one more value, by hand; a value within those of the sections is never flagged."""
    sections = {"chords": {"a": np.array([1.0, 2.0, 3.0, 4.0]), "b": np.array([0.0, 0.0, 0.0, 40.0])}}
    a, b = compare({"chords": {"a": 20.0, "b": 39.0}}, sections, significance=0.2)
    assert (a.mean, a.standard_deviation) == (2.5, pytest.approx(1.2909944))
    # t = 17.5 / (1.29099 sqrt(5/4)) = 12.124 with 3 degrees of freedom: 2 (1 - F(t)) = 0.001207
    assert a.p_value == pytest.approx(0.001207, rel=1e-3)
    assert a.flagged
    assert not b.flagged
    with pytest.raises(ValueError, match="at least 3"):
        compare({"chords": {"a": 1.0}}, {"chords": {"a": np.zeros(2)}})


def test_openings_are_tested_together():
    """By hand: of two values that rise together, one that falls, within the range of each; Hotelling's T squared."""
    rng = np.random.default_rng(3)
    common, own = rng.standard_normal((2, 40))
    values = {"solid, r2 = 2": common + 0.05 * own, "solid, r2 = 6": common - 0.05 * own}
    observed = {"openings": {"solid, r2 = 2": 0.5, "solid, r2 = 6": -0.6}}
    first, second = compare(observed, {"openings": values})
    x = np.array(list(values.values()))
    difference = np.array([0.5, -0.6]) - x.mean(axis=1)
    square = 40 / 41 * difference @ np.linalg.solve(np.cov(x), difference)
    assert first.group_p_value == pytest.approx(stats.f.sf(square * 38 / (2 * 39), 2, 38), rel=1e-3)
    assert min(first.p_value, second.p_value) > 0.4
    assert [one.flagged for one in (first, second)] == [first.p_value < second.p_value, second.p_value < first.p_value]
    # Each by itself where the sections are too few for a covariance.
    few = {"openings": {name: one[:3] for name, one in values.items()}}
    singly = compare(observed, few)
    least = min(1.0, 2 * min(one.p_value for one in singly))
    assert [one.group_p_value for one in singly] == pytest.approx([least, least])
    # Where most sections have one value, a difference is beyond all of them or not flagged.
    skewed = {"openings": {"a": np.array([0.0] * 39 + [1.0]), "b": rng.standard_normal(40)}}
    assert not any(one.flagged for one in compare({"openings": {"a": 0.9, "b": 0.0}}, skewed, significance=0.9))


def test_small_voids_are_no_misfit(predicted):
    """Only voids that are too large speak against the model."""
    solid = section(MODEL, 3)
    observed = statistics(solid)
    observed["voids"] = dict.fromkeys(observed["voids"], 0.1)
    assert not any(one.flagged for one in compare(observed, predicted) if one.group == "voids")


def test_every_statistic_has_a_sentence(predicted):
    solid = section(MODEL, 3)
    observed = statistics(solid)
    predicted = predicted | {"objective": {"best match": np.log([0.031, 0.034, 0.04])}}
    observed["objective"] = {"best match": float(np.log(0.07))}
    for one in compare(observed, predicted):
        for shift in (-0.5, 0.5):
            changed = replace(one, observed=one.observed + shift, flagged=True)
            rest = [c for c in compare(observed, predicted) if (c.group, c.name) != (one.group, one.name)]
            (sentence,) = summary([changed, *(replace(c, flagged=False) for c in rest)], solid, PIXEL_NM)
            assert re.fullmatch(r"[A-Z0-9].*\d.*\.", sentence)
            assert "nan" not in sentence
            assert "p =" not in sentence
