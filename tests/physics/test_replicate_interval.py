"""Intervals over replicates: coverage, bounds, quantiles, and values that have none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import membrane_dask as md
from membrane_dask.physics.reconstruction.replicate_interval import INDEPENDENT_SEARCHES
from membrane_dask.studies.characterize.variables import REPLICATE_TABLES
from membrane_dask.studies.reconstruct.variables import STRUCTURES

#: Scales with the inverse of their transformation and the bounds of the quantity.
SCALES = {
    "linear": (lambda y: y, -np.inf, np.inf),
    "log": (np.exp, 0, np.inf),
    "logit": (lambda y: 1 / (1 + np.exp(-y)), 0, 1),
    "log_excess": (lambda y: 1 + np.exp(y), 1, np.inf),
}


def replicates(values, **attrs) -> xr.DataArray:
    data = np.asarray(values, float)
    return xr.DataArray(data, dims=("replicate", "case")[: data.ndim], attrs=attrs, name="porosity")


def ends(values, *arguments, **options) -> tuple[float, float]:
    return tuple(float(end) for end in md.replicate_interval(values, *arguments, **options))


@pytest.mark.parametrize("scale", SCALES)
def test_coverage_on_the_scale(scale):
    """Student's interval is exact where replicates deviate from the best match as it deviates from the truth."""
    inverse, low_bound, high_bound = SCALES[scale]
    rng = np.random.default_rng(8)
    n = 4000
    best = rng.normal(0.4, 0.6, n)
    y = np.vstack([best, best + rng.normal(0, 0.6, (5, n))])
    low, high = md.replicate_interval(replicates(inverse(y), interval_scale=scale), 0.9)
    truth = inverse(0.4)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.9, abs=0.02)  # 4 standard errors of 0.5 %
    assert (low > low_bound).all()
    assert (high < high_bound).all()
    assert low.attrs["interval_method"] == f"Student, scale {scale}"


def test_the_formula_on_the_scale_of_the_attribute_or_of_the_argument():
    values = [0.30, 0.34, 0.28, 0.31, 0.33]
    low, high = ends(replicates(values, interval_scale="logit"), 0.9)
    y = stats.logistic.ppf(values)
    half = stats.t.ppf(0.95, 4) * np.sqrt(np.mean(np.square(y[1:] - y[0])))
    assert (low, high) == pytest.approx(stats.logistic.cdf([y[0] - half, y[0] + half]), rel=1e-12)
    half = stats.t.ppf(0.95, 4) * np.sqrt(np.mean(np.square(np.array(values[1:]) - 0.30)))
    assert ends(replicates(values)) == pytest.approx((0.30 - half, 0.30 + half), rel=1e-12)
    assert ends(replicates(values, interval_scale="logit"), scale="linear") == ends(replicates(values))


@given(
    st.sampled_from(["log", "logit", "log_excess"]),
    st.lists(st.floats(0, 1), min_size=3, max_size=9),
    st.floats(0.01, 0.999),
)
def test_ends_are_possible_values_around_the_best_match(scale, numbers, confidence):
    values = np.array(numbers) + (scale == "log_excess")
    low, high = ends(replicates(values, interval_scale=scale), confidence)
    _, low_bound, high_bound = SCALES[scale]
    assert low_bound <= low <= high <= high_bound
    if not np.isin(values, (low_bound, high_bound)).any():
        assert low <= values[0] <= high


def test_a_value_on_a_bound_takes_quantiles():
    """Their range, with few replicates; with many, the fraction of a further replicate beyond is that of the tails."""
    low, high = md.replicate_interval(replicates([0.0, 2e-4, 0.0, 1e-4, 5e-5], interval_scale="logit"), 0.9)
    assert (float(low), float(high)) == (0, 2e-4)
    assert low.attrs["interval_method"] == "quantiles of the replicates"
    many = np.concatenate([[0.0], np.random.default_rng(5).permutation(np.arange(1, 39)) / 100])
    assert ends(replicates(many, interval_scale="log"), 0.9) == pytest.approx((0.01, 0.37))  # ranks 2 and 38 of 39
    mixed = replicates([[0.3, 0.0], [0.4, 0.1], [0.2, 0.0]], interval_scale="logit", units="1")
    low, high = md.replicate_interval(mixed)
    assert float(high[1]) == 0.1
    assert low.attrs["interval_method"] == "Student, scale logit; quantiles of the replicates for 1 of 2"
    assert high.attrs["units"] == "1"


def test_an_error_of_a_solver_does_not_leave_the_bounds():
    """A straight pore has the tortuosity factor 1, up to the tolerance of the solver."""
    low, high = ends(replicates([0.9996, 1.0002, 1.0001], interval_scale="log_excess"))
    assert low == 1
    assert high == 1.0002


@pytest.mark.parametrize(
    ("values", "attrs"),
    [
        ([0.3, 0.4], {"interval_scale": "logit"}),
        ([0.3, 0.4, np.nan], {}),
        ([np.nan, 0.3, 0.4, 0.5], {}),
        ([2.0, np.inf, 3.0, 2.5], {"interval_scale": "log"}),
        ([np.inf] * 4, {}),
        ([1e-4, 2e-4, 1e-4, 3e-4], {"interval_scale": "none"}),
    ],
    ids=["two", "two and a failed one", "failed best match", "one infinite", "infinite", "residual"],
)
def test_values_without_an_interval(values, attrs):
    low, high = md.replicate_interval(replicates(values, **attrs))
    assert low.isnull()
    assert high.isnull()
    assert low.attrs["interval_method"] == "no interval"


def test_failed_replicates_are_ignored():
    values = replicates([[0.3, 0.3], [0.35, 0.35], [0.28, 0.28], [np.nan, 0.31]])
    low, high = md.replicate_interval(values)
    assert (float(low[0]), float(high[0])) == ends(values[:3, 0])
    swapped = md.replicate_interval(values.transpose().chunk())
    np.testing.assert_array_equal(swapped[1], high)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (replicates([0.3, 0.4, 0.5]), {"scale": "ln"}, "scale: must be one of linear, log, logit, log_excess, none"),
        (replicates([0.1, -0.2, 0.1]), {"scale": "log"}, r"porosity is -0.2; .* scale='linear' for differences"),
        (replicates([0.1, 1.2, 0.1], interval_scale="logit"), {}, "needs values in"),
        (replicates([0.1, 0.2]).rename(replicate="run"), {}, "must have the dimension 'replicate'"),
    ],
)
def test_errors(values, options, message):
    with pytest.raises(ValueError, match=message):
        md.replicate_interval(values, **options)


def test_independent_searches_have_the_interval_of_their_mean():
    """It is the paper's: mean -+ 1.96 standard errors."""
    numbers = np.array([0.41, 0.47, 0.39, 0.44, 0.52])
    values = replicates(numbers, interval_scale="logit").assign_coords(
        replicate=("replicate", np.arange(5), {"design": INDEPENDENT_SEARCHES})
    )
    low, high = md.replicate_interval(values, 0.95)
    half = stats.norm.ppf(0.975) * numbers.std(ddof=1) / np.sqrt(5)
    assert (float(low), float(high)) == pytest.approx((numbers.mean() - half, numbers.mean() + half), rel=1e-12)
    assert low.attrs["interval_method"] == "normal, mean of independent searches"
    assert ends(values.copy(data=[0, 0.01, 0, 0, 0]))[0] == 0


def test_every_property_of_a_volume_declares_a_scale():
    """Residuals of solvers, flags, bounds, and what the search varies in steps have no interval."""
    tables = (STRUCTURES, *REPLICATE_TABLES.values())
    scales = {variable.name: variable.attrs.get("interval_scale") for table in tables for variable in table.variables}
    assert set(scales.values()) <= {"log", "logit", "log_excess", "none"}
    assert {name for name, scale in scales.items() if scale == "none"} >= {
        "percolates", "diffusion_flux_spread", "flux_residual", "permeability_upper_bound", "log_reduction_value_bound",
    }  # fmt: skip
    assert all(scales[name] == "log_excess" for name in scales if name.startswith("tortuosity"))
    edges = {name for name in scales if name.startswith("representative_edge")}
    fractions = {name for name in scales if name.endswith(("porosity", "fraction"))} - edges
    assert {scales[name] for name in fractions} == {"logit"}
    assert {scales[name] for name in edges} == {"log"}
