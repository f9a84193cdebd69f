"""Differences between two membranes with replicates: false alarms, coverage, scales, and what has no interval."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import t as student

import membrane_dask as md
from membrane_dask.physics.reconstruction.replicate_interval import INDEPENDENT_SEARCHES, SCALES


def replicates(values, scale="log", design=None) -> xr.DataArray:
    values = np.asarray(values, float)
    dims = ("replicate", *(f"d{k}" for k in range(values.ndim - 1)))
    array = xr.DataArray(values, dims=dims, attrs={"interval_scale": scale, "long_name": "radius"}, name="radius")
    return array.assign_coords(replicate=("replicate", np.arange(len(values)), {"design": design} if design else {}))


def reconstructions(rng, truth, deviation, n_replicates, n_pairs):
    """Best matches that deviate from the truth, and replicates that deviate from their best match, on the scale."""
    best = truth + deviation * rng.standard_normal(n_pairs)
    perturbed = best + deviation * rng.standard_normal((n_replicates - 1, n_pairs))
    return np.concatenate([best[np.newaxis], perturbed])


@pytest.mark.parametrize(("n", "m", "ratio"), [(3, 3, 1), (5, 5, 1), (8, 4, 1), (5, 5, 3), (5, 1, 1)])
def test_equal_membranes_differ_in_a_tenth_of_the_pairs(n, m, ratio):
    """Between 7.5 and 11 %: Welch's approximation is conservative for three replicates; 2000 pairs scatter by 0.7 %."""
    rng = np.random.default_rng(n * m)
    first = SCALES["logit"].inverse(reconstructions(rng, -1.0, 0.1, n, 2000))
    second = SCALES["logit"].inverse(reconstructions(rng, -1.0, 0.1 * ratio, m, 2000))
    if m == 1:
        second[:] = SCALES["logit"].inverse(-1.0)  # the exact value
    difference = md.replicate_difference(replicates(first, "logit"), replicates(second, "logit"))
    significant = float((difference.p_value < 0.1).mean())
    assert 0.075 - 0.014 < significant < 0.105 + 0.014
    excludes_zero = (difference.low > 0) | (difference.high < 0)
    assert (excludes_zero == (difference.p_value < 0.1)).all()


def test_the_interval_contains_a_true_difference():
    """Of 30 %, in 90 to 92 % of the pairs; 2000 pairs scatter by 0.7 %."""
    rng = np.random.default_rng(1)
    first = np.exp(reconstructions(rng, np.log(1.3), 0.1, 5, 2000))
    second = np.exp(reconstructions(rng, 0.0, 0.1, 5, 2000))
    difference = md.replicate_difference(replicates(first), replicates(second))
    coverage = float(((difference.low < 0.3) & (difference.high > 0.3)).mean())
    assert 0.90 - 0.014 < coverage < 0.92 + 0.014


def test_the_formula():
    first, second = replicates([2.0, 2.2, 1.9, 2.1]), replicates([1.5, 1.4, 1.7])
    x, y = np.log(first.values), np.log(second.values)
    a, b = np.mean((x[1:] - x[0]) ** 2), np.mean((y[1:] - y[0]) ** 2)
    n = (a + b) ** 2 / (a**2 / 3 + b**2 / 2)
    d, s = x[0] - y[0], np.sqrt(a + b)
    difference = md.replicate_difference(first, second)
    assert float(difference.value) == pytest.approx(2.0 / 1.5 - 1)
    ends = np.exp(d + np.array([-1, 1]) * s * student.ppf(0.95, n)) - 1
    assert [float(difference.low), float(difference.high)] == pytest.approx(ends)
    assert float(difference.p_value) == pytest.approx(2 * student.sf(abs(d) / s, n))
    assert difference.low.attrs == {"units": "1", "long_name": "low end: radius"}


def test_ends_are_possible_values():
    """Fractions near 0 and 1, and tortuosities near 1, with much scatter."""
    for scale, first, second, low, high in (
        ("logit", [0.98, 0.7, 0.999], [0.5, 0.2, 0.8], 0, 1),
        ("log_excess", [1.01, 1.5, 1.001], [2.0, 1.1, 3.0], 1, np.inf),
        ("log", [1e-18, 1e-20, 1e-16], [1e-18, 3e-18, 2e-19], 0, np.inf),
    ):
        difference = md.replicate_difference(replicates(first, scale), replicates(second, scale))
        ends = second[0] * (1 + np.array([difference.low, difference.high]))
        assert low <= ends[0] < first[0] < ends[1] <= high
        assert np.isfinite(ends).all()


def test_what_has_no_interval():
    whole, two = replicates([2.0, 2.2, 1.9]), replicates([2.0, 2.2])
    for first, second in (
        (whole, two),  # two replicates are too few
        (replicates([2.0]), replicates([1.0])),
        (replicates([0.0, 2.2, 1.9]), whole),
        (replicates([2.0, np.inf, 1.9]), whole),
        (replicates([np.nan, 2.2, 1.9]), whole),
        (whole, replicates([0.0])),
        (replicates([2.0, 2.2, 1.9], "none"), whole),
    ):
        difference = md.replicate_difference(first, second)
        assert np.isnan([difference.low, difference.high, difference.p_value]).all()
    assert float(md.replicate_difference(replicates([2.0]), replicates([1.0])).value) == 1
    with pytest.raises(ValueError, match="scale"):
        md.replicate_difference(whole, whole, scale="square")
    with pytest.raises(ValueError, match="log needs values"):
        md.replicate_difference(replicates([-2.0, 2.2, 1.9]), whole)


def test_replicates_without_scatter():
    same = replicates([7.0, 7.0, 7.0])
    assert float(md.replicate_difference(same, same).p_value) == 1
    other = md.replicate_difference(same, replicates([8.0, 8.0, 8.0]))
    assert float(other.p_value) == 0
    assert float(other.low) == pytest.approx(float(other.high)) == pytest.approx(7 / 8 - 1)


def test_independent_searches_compare_means():
    first = replicates([2.0, 2.2, 1.9, 2.3], design=INDEPENDENT_SEARCHES)
    second = replicates([1.5, 1.4, 1.7], design=INDEPENDENT_SEARCHES)
    difference = md.replicate_difference(first, second)
    x, y = np.log(first.values), np.log(second.values)
    a, b = x.var(ddof=1) / 4, y.var(ddof=1) / 3
    n = (a + b) ** 2 / (a**2 / 3 + b**2 / 2)
    expected = 2 * student.sf(abs(x.mean() - y.mean()) / np.sqrt(a + b), n)
    assert float(difference.p_value) == pytest.approx(expected)
    assert float(difference.value) == pytest.approx(2.1 / np.mean([1.5, 1.4, 1.7]) - 1)
