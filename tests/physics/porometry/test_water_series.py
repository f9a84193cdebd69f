"""Water flux: limit of J/P, outliers, legs, thresholds and transients of simulated readings."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.water_permeance import fit_laws, permeance_of_readings
from membrane_dask.physics.porometry.water_series import evaluate_series

BAR, LMH = 1e5, 1 / 3.6e6
LMH_BAR = LMH / BAR
PRESSURES = np.array([1.0, 2, 3, 4, 5, 6]) * BAR


def readings(pressure=PRESSURES, bend=0.0, noise=0.0, seed=0, permeance=100 * LMH_BAR):
    """``L P exp(-a P)`` with relative errors, printed to four digits."""
    errors = np.random.default_rng(seed).standard_normal(len(pressure))
    flux = permeance * pressure * np.exp(-bend * pressure / BAR) * (1 + noise * errors)
    digit = 10.0 ** (np.floor(np.log10(flux.max() / LMH)) - 3) * LMH
    return pressure, digit * np.round(flux / digit), digit / 2


def evaluate(pressure, flux, resolution, **options):
    return evaluate_series(pressure, flux, resolution=resolution, **options)


@functools.cache
def noisy_series(bend):
    """Evaluations of 200 tables with errors of 2 %."""
    return [evaluate(*readings(bend=bend, noise=0.02, seed=seed)) for seed in range(200)]


def test_flux_in_proportion_to_the_pressure():
    """Printed digits are 1e-4 of the largest flux, 6e-4 of the smallest."""
    series = evaluate(*readings())
    assert series.permeance.permeance.value == pytest.approx(100 * LMH_BAR, rel=5e-4)
    assert series.permeance.slope_is_permeance


def test_limit_of_a_bent_flux_at_zero_pressure():
    """J/P falls from 85 to 41 % of the permeance; the slope of a line is called no permeance."""
    series = evaluate(*readings(bend=0.15))
    assert series.permeance.permeance.value == pytest.approx(100 * LMH_BAR, rel=2e-3)
    assert series.permeance.laws["compaction"] > 0.99
    assert not series.permeance.slope_is_permeance
    assert "not a permeance" in " ".join(series.findings)


@pytest.mark.parametrize("bend", [0.0, 0.15, pytest.param(0.03, marks=pytest.mark.slow)])  # on demand: in between
def test_intervals_contain_the_permeance(bend):
    """95 % nominally; three deviations of 200 tables are 5 %."""
    intervals = [series.permeance.permeance for series in noisy_series(bend)]
    hits = sum(interval.low <= 100 * LMH_BAR <= interval.high for interval in intervals)
    assert 0.85 <= hits / 200 <= 0.99


@pytest.mark.parametrize("bend", [0.0, 0.03, 0.15])
def test_right_readings_are_rarely_called_outliers(bend):
    """In 0.1 % of the tables, 200 of them: at most 2 with a probability of 99.9 %. In 5 % one is called unusual."""
    series = noisy_series(bend)
    assert sum(not each.used.all() for each in series) <= 2
    assert sum("unusual reading" in " ".join(each.findings) for each in series) <= 19


@pytest.mark.parametrize(
    "outlier", [0.0, 0.06, pytest.param(-0.03, marks=pytest.mark.slow)]
)  # on demand: a smaller one
def test_intervals_contain_the_permeance_with_and_without_outliers(outlier):
    """95 % nominally, of 300 tables with or without a wrong reading; three deviations are 4 %.

    With a bound of 5 % instead of 0.1 %, 1 % more of the tables without a wrong reading have a wrong interval, and the
    interval is wrong in half of the tables that lose a reading.
    """
    hits = wrongly_excluded = 0
    for seed in range(300):
        pressure, flux, resolution = readings(PRESSURES[:5], noise=0.005, seed=1000 + seed)
        flux[seed % len(flux)] *= 1 + outlier
        series = evaluate(pressure, flux, resolution)
        interval = series.permeance.permeance
        hits += interval.low <= 100 * LMH_BAR <= interval.high
        wrongly_excluded += bool((~np.delete(series.used, seed % len(flux))).any())
    assert hits / 300 >= 0.91
    assert wrongly_excluded <= 3


def test_an_unusual_reading_is_reported_and_used():
    """Six readings with 1 % of noise, one of them 6 % low: the interval contains the permeance with and without it."""
    pressure, flux, resolution = readings(noise=0.01)
    flux[3] *= 0.94
    series = evaluate(pressure, flux, resolution)
    assert series.used.all()
    [sentence] = [s for s in series.findings if "unusual" in s]
    assert sentence.startswith("row 4 (400 kPa, 4 bar): unusual reading, ")
    assert " % below the other readings, kept" in sentence


@pytest.mark.parametrize("bend", [0.0, 0.1])
@pytest.mark.parametrize("position", [0, 3, 7])
@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_an_outlier_is_named_and_excluded(bend, position, factor):
    pressure, flux, resolution = readings(np.arange(0.5, 4.1, 0.5) * BAR, bend, 0.005)
    flux[position] *= factor
    series = evaluate(pressure, flux, resolution)
    assert np.flatnonzero(~series.used).tolist() == [position]
    [sentence] = [s for s in series.findings if "outlier" in s]
    assert sentence.startswith(f"row {position + 1} (")
    assert ("below" if factor < 1 else "above") in sentence
    assert "LMH/bar without" in sentence


def test_four_pressures_are_needed_for_an_outlier():
    pressure, flux, resolution = readings(PRESSURES[:3])
    flux[1] *= 0.7
    assert evaluate(pressure, flux, resolution).used.all()


def test_the_falling_leg_is_the_answer():
    """Compaction took a tenth of the permeance between the legs."""
    up, flux_up, resolution = readings(PRESSURES, noise=0.002)
    down, flux_down, _ = readings(PRESSURES[-2::-1], noise=0.002, seed=1, permeance=90 * LMH_BAR)
    series = evaluate(np.concatenate([up, down]), np.concatenate([flux_up, flux_down]), resolution)
    assert series.permeance.permeance.value == pytest.approx(90 * LMH_BAR, rel=0.005)
    assert series.rising.permeance.value == pytest.approx(100 * LMH_BAR, rel=0.005)
    assert series.hysteresis == pytest.approx(0.1, abs=0.01)
    assert "hysteresis" in " ".join(series.findings)


def test_pressures_without_flow_bracket_a_threshold():
    pressure = PRESSURES
    flux = 100 * LMH_BAR * (pressure - 0.6 * BAR)
    result = permeance_of_readings(pressure, flux, no_flow=np.array([0.2, 0.4]) * BAR)
    assert result.permeance.value == pytest.approx(100 * LMH_BAR, rel=1e-6)
    assert result.threshold.pressure.value == pytest.approx(0.6 * BAR, rel=1e-6)
    assert (result.threshold.without_flow, result.threshold.with_flow) == pytest.approx((0.4 * BAR, BAR))
    with pytest.raises(PhysicsError):
        permeance_of_readings(pressure, flux, no_flow=np.array([2.5]) * BAR)


@pytest.mark.parametrize("count", [1, 2])
def test_few_pressures_give_wide_intervals(count):
    """The error of one reading has a prior of 5 % with four degrees of freedom: 2.776 times 5 %."""
    pressure, flux, resolution = readings(PRESSURES[:count])
    result = evaluate(pressure, flux, resolution)
    interval = result.permeance.permeance
    assert "linearity is not tested" in " ".join(result.findings)
    half_width = (interval.high - interval.low) / 2 / interval.value
    if count == 1:
        assert half_width == pytest.approx(2.7764 * 0.05, rel=1e-4)
    assert half_width > 0.05


def test_a_decline_at_one_pressure_stays_out_of_the_permeance():
    """Two hours at 1 bar with a time constant of 20 min, then a series."""
    time = np.arange(0, 7200, 600.0)
    decline = (100 + 60 * np.exp(-time / 1200)) * LMH
    pressure, flux, resolution = readings(PRESSURES[1:], noise=0.002)
    series = evaluate(
        np.concatenate([np.full(len(time), BAR), pressure]), np.concatenate([decline, flux]), resolution,
        time=np.concatenate([time, 7200 + 300 * np.arange(1.0, len(pressure) + 1)]),
    )  # fmt: skip
    steady = [False] * (len(time) - 1) + [True]  # its last reading begins the series
    assert series.used.tolist() == steady + [True] * len(pressure)
    assert series.transient.plateau.value == pytest.approx(100 * LMH, rel=1e-3)
    assert series.transient.time_constant.value == pytest.approx(1200, rel=1e-3)
    assert series.permeance.permeance.value == pytest.approx(100 * LMH_BAR, rel=5e-3)


def test_a_plateau_that_is_not_reached_is_no_permeance():
    time = np.arange(0, 1500, 150.0)
    flux = (100 + 60 * np.exp(-time / 1200)) * LMH
    series = evaluate(np.full(len(time), BAR), flux, 0.01 * LMH, time=time)
    assert np.isnan(series.permeance.permeance.value)
    assert "plateau" in " ".join(series.findings)
    assert series.permeance.permeance.high == pytest.approx(flux[-1] / BAR)


@pytest.mark.parametrize(("pressure", "flux"), [([0.0, 1e5], [1e-5, 2e-5]), ([1e5, 2e5], [1e-5, -1e-5]), ([], [])])
def test_impossible_readings(pressure, flux):
    with pytest.raises(PhysicsError, match="greater than 0"):
        evaluate_series(np.array(pressure), np.array(flux))


@pytest.mark.parametrize("law", ["proportional", "compaction", "resistance"])
def test_band_of_a_law(law):
    """To first order: by numerical derivatives, and at small pressures as wide as the interval of the permeance."""
    pressure = np.linspace(0.5e5, 4e5, 8)
    flux = 1e-11 * pressure * np.exp(-1e-6 * pressure) * (1 + 0.01 * np.cos(np.arange(8)))
    fitted = next(f for f in fit_laws(pressure, flux) if f.law == law)
    value, half = fitted.flux_with_band(pressure, 0.95)
    np.testing.assert_allclose(value, flux, rtol=0.2)
    steps = [1e-6 * fitted.permeance, 1e-6 * fitted.parameter]
    gradient = np.stack([
        (replace(fitted, **{name: getattr(fitted, name) + step}).flux_with_band(pressure, 0.95)[0] - value) / step
        for name, step in zip(("permeance", "parameter"), steps[: len(fitted.covariance)], strict=False)
    ])  # fmt: skip
    variance = np.einsum("in,ij,jn->n", gradient, fitted.covariance, gradient)
    # Forward differences of a millionth: relative errors of some 1e-6.
    np.testing.assert_allclose(
        half, fitted.half_width(0, 0.95) * np.sqrt(variance / fitted.covariance[0, 0]), rtol=1e-4
    )
    small = np.array([1.0])
    assert fitted.flux_with_band(small, 0.95)[1][0] == pytest.approx(fitted.half_width(0, 0.95), rel=1e-4)
