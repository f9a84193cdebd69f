"""Regression of flux laws: known parameters, SciPy, coverage of the intervals, scaling of units."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.physics.porometry.model_selection import leave_one_out_error
from membrane_dask.physics.porometry.regression import fit, fit_many, fit_of_printed_line, fit_runs
from membrane_dask.physics.porometry.threshold_pressure import threshold_pressure

P = np.array([1e5, 2e5, 3e5, 4e5])
EXACT = 2.71e-7 * (P - 8964.5)
NOISY = EXACT * np.array([1.03, 0.98, 1.01, 0.995])


def test_points_on_a_line():
    line = fit(P, EXACT)
    np.testing.assert_allclose(line.values, [2.71e-7, -2.71e-7 * 8964.5], rtol=1e-12)
    assert line.r_squared == pytest.approx(1, abs=1e-12)
    assert threshold_pressure(line).pressure == pytest.approx(8964.5, rel=1e-10)


def test_points_with_errors():
    """Reference values from an independent implementation, to all their digits."""
    line = fit(P, NOISY)
    assert line.values[0] == pytest.approx(2.690142e-7, abs=5e-14)
    assert line.values[1] == pytest.approx(-1.942041e-3, abs=5e-10)
    assert line.r_squared == pytest.approx(0.99935783, abs=5e-9)
    threshold = threshold_pressure(line)
    assert threshold.pressure == pytest.approx(7219.10, abs=0.005)
    assert threshold.standard_error == pytest.approx(4791.03, abs=0.005)
    assert (threshold.low, threshold.high) == pytest.approx((-14960.3, 26493.1), abs=0.05)
    assert not threshold.resolved


@pytest.mark.parametrize("law", LAWS)
def test_each_law_recovers_its_parameters(law):
    true = {
        "linear": [2e-10, -4e-6], "threshold-linear": [2e-10, 2e4], "log": [4e-6, -4e-5], "power": [3e-9, 0.8],
        "quadratic": [-1e-16, 2e-10, -1e-6], "cubic": [2e-22, -2e-16, 1e-10, -1e-6], "compaction": [2e-10, 1e-6],
    }[law]  # fmt: skip
    pressure = np.linspace(5e4, 5e5, 8)
    flux = LAWS[law].flux(pressure, np.array(true))
    np.testing.assert_allclose(fit(pressure, flux, law).values, true, rtol=1e-6)
    # The Jacobian agrees with central differences.
    step = 1e-6 * np.diag(true)
    numeric = [(LAWS[law].flux(pressure, true + d) - LAWS[law].flux(pressure, true - d)) / (2 * d.sum()) for d in step]
    np.testing.assert_allclose(LAWS[law].jacobian(pressure, np.array(true)).T, numeric, rtol=1e-5)


def test_least_squares_agree_with_scipy():
    pressure, flux = np.repeat(P, 3), np.repeat(NOISY, 3) * np.random.default_rng(0).normal(1, 0.02, 12)
    line, reference = fit(pressure, flux), stats.linregress(pressure, flux)
    np.testing.assert_allclose(line.values, [reference.slope, reference.intercept], rtol=1e-10)
    np.testing.assert_allclose(line.standard_errors(), [reference.stderr, reference.intercept_stderr], rtol=1e-9)
    assert line.r_squared == pytest.approx(reference.rvalue**2, rel=1e-10)
    np.testing.assert_allclose(fit_many(P, np.stack([EXACT, NOISY]), "linear")[1], fit(P, NOISY).values, rtol=1e-10)


def test_weights():
    """Equal weights change nothing; a very small weight removes the point."""
    equal = fit(P, NOISY, "linear", "weighted", standard_deviations=np.full(4, 0.3))
    np.testing.assert_allclose(equal.values, fit(P, NOISY).values, rtol=1e-10)
    np.testing.assert_allclose(equal.covariance, fit(P, NOISY).covariance, rtol=1e-8)
    without_first = fit(P[1:], NOISY[1:])
    small_weight = fit(P, NOISY, "linear", "weighted", standard_deviations=np.array([1e6, 1, 1, 1]))
    np.testing.assert_allclose(small_weight.values, without_first.values, rtol=1e-8)


def test_huber_resists_an_outlier():
    pressure = np.linspace(1e5, 5e5, 12)
    true = 2e-10 * pressure
    flux = true * np.random.default_rng(1).normal(1, 0.01, 12)
    flux[8] *= 1.6
    robust, plain = fit(pressure, flux, "linear", "huber"), fit(pressure, flux)
    assert abs(robust.values[0] / 2e-10 - 1) < 0.02 < abs(plain.values[0] / 2e-10 - 1)
    # On normal errors Huber's estimate has an efficiency of 95 %, and its standard errors must show it.
    rng = np.random.default_rng(2)
    z = []
    for _ in range(400):
        line = fit(pressure, true + 2e-6 * rng.standard_normal(12), "linear", "huber")
        z.append((line.values[0] - 2e-10) / line.standard_errors()[0])
    assert np.std(z) == pytest.approx(1.09, abs=0.15)  # of Student's distribution with 10 degrees of freedom: 1.12


def test_deming_with_errors_of_the_pressure():
    """Least squares underestimate the slope when the pressures have errors; Deming regression does not."""
    rng = np.random.default_rng(3)
    pressure, slope, gauge, noise = np.linspace(1e5, 4e5, 20), 2e-10, 3e4, 6e-6
    plain, deming, covered = [], [], 0
    for _ in range(300):
        readings = pressure + gauge * rng.standard_normal(20)
        flux = slope * pressure + noise * rng.standard_normal(20)
        plain.append(fit(readings, flux).values[0])
        line = fit(readings, flux, "linear", "deming", pressure_standard_deviation=gauge, flux_standard_deviation=noise)
        deming.append(line.values[0])
        covered += abs(line.values[0] - slope) < line.t_quantile(0.95) * line.standard_errors()[0]
    attenuation = 1 / (1 + 17 / 20 * gauge**2 / np.var(pressure))  # of n points n - 3 count (Richardson and Wu 1970)
    assert np.mean(plain) / slope == pytest.approx(attenuation, abs=0.016)  # three standard errors of 300 slopes
    assert np.mean(deming) / slope == pytest.approx(1, abs=0.016)
    assert covered / 300 == pytest.approx(0.95, abs=0.038)  # three standard errors
    # Without errors of the pressure it is least squares.
    exact_pressure = fit(P, NOISY, "linear", "deming", pressure_standard_deviation=1e-6, flux_standard_deviation=1.0)
    np.testing.assert_allclose(exact_pressure.values, fit(P, NOISY).values, rtol=1e-8)
    np.testing.assert_allclose(exact_pressure.covariance, fit(P, NOISY).covariance, rtol=1e-6)


def test_lack_of_fit():
    assert math.isnan(fit(P, NOISY).lack_of_fit)
    rng, pressure = np.random.default_rng(4), np.repeat(np.linspace(1e5, 5e5, 5), 3)
    p_values = [fit(pressure, 2e-10 * pressure + 1e-6 * rng.standard_normal(15)).lack_of_fit for _ in range(400)]
    # Under the null hypothesis p values are uniform.
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    compacting = 2e-10 * pressure * np.exp(-pressure / 1e6) + 1e-6 * rng.standard_normal(15)
    assert fit(pressure, compacting).lack_of_fit < 1e-3


def test_separate_fits_of_runs():
    """Points of one run have its slope in common: intervals of one fit to all points are too narrow."""
    rng, pressure = np.random.default_rng(5), np.linspace(1e5, 5e5, 5)
    runs, readings = 0, 0
    for _ in range(300):
        slopes = 2e-10 * rng.normal(1, 0.1, 4)
        flux = np.concatenate([s * pressure * rng.normal(1, 0.005, 5) for s in slopes])
        pressures, number = np.tile(pressure, 4), np.repeat(np.arange(4), 5)
        by_run, all_points = fit_runs(pressures, flux, number), fit(pressures, flux)
        runs += abs(by_run.values[0] - 2e-10) < by_run.t_quantile(0.95) * by_run.standard_errors()[0]
        readings += abs(all_points.values[0] - 2e-10) < all_points.t_quantile(0.95) * all_points.standard_errors()[0]
    assert runs / 300 == pytest.approx(0.95, abs=0.038)  # three standard errors
    assert readings / 300 < 0.91 < runs / 300
    with pytest.raises(PhysicsError, match="at least two"):
        fit_runs(pressure, pressure, np.zeros(5, int))


def test_fits_that_are_not_possible():
    with pytest.raises(PhysicsError, match="4 parameters need at least 4 distinct pressures"):
        fit(P[:3], NOISY[:3], "cubic")
    with pytest.raises(PhysicsError, match="linear only"):
        fit(P, NOISY, "log", "deming", pressure_standard_deviation=1, flux_standard_deviation=1)


def test_covariance_of_a_printed_line():
    points = fit(P, NOISY)
    printed = fit_of_printed_line(*points.values, points.r_squared, P)
    np.testing.assert_allclose(printed.covariance, points.covariance, rtol=1e-8)
    assert printed.residual_standard_deviation == pytest.approx(points.residual_standard_deviation, rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    scale=st.floats(1e-3, 1e3), unit=st.floats(1e-3, 1e3), seed=st.integers(0, 1000),
    law=st.sampled_from(["linear", "log", "quadratic", "power", "compaction"]),
)  # fmt: skip
def test_fits_do_not_depend_on_units(scale, unit, seed, law):
    """Fluxes and pressures in other units give the same curve, r2 and cross-validation error."""
    rng = np.random.default_rng(seed)
    pressure = np.linspace(1e5, 5e5, 7)
    flux = 2e-10 * pressure**0.9 * rng.normal(1, 0.02, 7)
    si, scaled = fit(pressure, flux, law), fit(pressure * unit, flux * scale, law)
    np.testing.assert_allclose(scaled.flux(pressure * unit), scale * si.flux(pressure), rtol=1e-5)
    assert scaled.r_squared == pytest.approx(si.r_squared, abs=1e-6)
    assert leave_one_out_error(pressure * unit, flux * scale, law) == pytest.approx(
        leave_one_out_error(pressure, flux, law), rel=1e-3
    )


@pytest.mark.parametrize("law", ["compaction", "threshold-linear", "power"])
@pytest.mark.parametrize("noise", [0.03, 1e-3, 1e-6])
def test_fluxes_on_a_line_can_be_fitted_with_every_law(law, noise):
    """They hardly determine a compressibility or a threshold: its last digits are rounding errors."""
    pressure = np.repeat([0.5, 1.0, 1.5, 2.0, 3.0], 3) * 1e5
    for seed in range(15):
        flux = 2.4e-10 * pressure * (1 + noise * np.random.default_rng(seed).standard_normal(len(pressure)))
        line = np.square(flux - 2.4e-10 * pressure).sum()  # all three laws contain it
        assert np.square(flux - fit(pressure, flux, law).flux(pressure)).sum() <= line
