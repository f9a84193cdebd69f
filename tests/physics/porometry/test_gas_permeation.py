"""Pore radii from gas permeances that have passed the instrument: noise and printed digits."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.dusty_gas import (
    gas_permeance,
    permeance_ratio_regime,
    permeances_of_flows,
    unit_permeances,
)  # fmt: skip
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.gas_permeation import (
    GasReadings,
    fit_gas_permeation,
    log_likelihood,
    ratio_to_water,
)  # fmt: skip
from membrane_dask.physics.porometry.gases import GAS_CONSTANT, Gas, knudsen_to_viscous_ratio
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii

NITROGEN, TEMPERATURE = Gas.named("N2"), 298.15
PRESSURES = np.linspace(1.1e5, 3.5e5, 8)


def readings(median=40e-9, width=0.0, ratio=120.0, noise=0.0, seed=0, pressures=PRESSURES, digits=5) -> GasReadings:
    """Permeances with relative errors and printed significant digits."""
    permeance = gas_permeance(pressures, NITROGEN, TEMPERATURE, median, width, ratio)
    permeance = permeance * (1 + noise * np.random.default_rng(seed).standard_normal(len(pressures)))
    printed = np.array([float(f"{value:.{digits - 1}e}") for value in permeance])
    return GasReadings(pressures, printed, NITROGEN, TEMPERATURE)


def test_knudsen_over_viscous_permeance():
    """15.0217 in pores of 30 nm at 1 bar."""
    knudsen, viscous = unit_permeances(1e5, NITROGEN, TEMPERATURE)
    expected = knudsen_to_viscous_ratio(30e-9, NITROGEN.mean_free_path(TEMPERATURE, 1e5))
    assert knudsen / (viscous * 30e-9) == pytest.approx(15.0217, rel=1e-5)
    assert knudsen / (viscous * 30e-9) == pytest.approx(expected, rel=1e-12)


def test_exact_permeances_give_the_radius_of_log_normal_pores():
    """The radius is <r^4>/<r^3>; eps/y is exp(s^2) times smaller than that of pores of one size."""
    fit = fit_gas_permeation(readings(30e-9, 0.4, digits=15))
    assert fit.gas_radius.value == pytest.approx(LogNormalRadii(30e-9, 0.4).gas_radius, rel=1e-9)
    assert fit.porosity_over_path_length.value == pytest.approx(120 / math.exp(0.16), rel=1e-9)
    assert fit.viscous_permeability.value == pytest.approx(120 * (30e-9) ** 2 * math.exp(6 * 0.16), rel=1e-9)
    line = fit.intercept.value + fit.slope.value * PRESSURES
    np.testing.assert_allclose(line, readings(30e-9, 0.4, digits=15).permeance, rtol=1e-9)
    np.testing.assert_allclose(fit.fitted, line, rtol=1e-9)


def test_readings_printed_by_an_independent_implementation():
    """Nitrogen at 25 degC, 40 nm, 120 1/m with errors of 0.2 %: 40.52 nm, 37.94 to 43.16, and 118.2 1/m."""
    pressures = np.array([1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]) * 1e5
    permeances = np.array([6.7599, 6.9762, 7.2033, 7.4896, 7.7386, 8.0172, 8.3504]) * 1e-7
    fit = fit_gas_permeation(GasReadings(pressures, permeances, NITROGEN, TEMPERATURE))
    radius = fit.gas_radius.scaled(1e9)
    np.testing.assert_allclose([radius.value, radius.low, radius.high], [40.522, 37.943, 43.162], atol=0.1)
    assert fit.porosity_over_path_length.value == pytest.approx(118.202, rel=1e-3)
    assert fit.findings == ("the radius has 6.4 % half-width; mean pressures from 1.2 to 8.4 bar would halve it",)


def test_each_reading_has_its_own_temperature():
    temperatures = np.linspace(290, 310, 8)
    permeance = gas_permeance(PRESSURES, NITROGEN, temperatures, 40e-9, 0.0, 120.0)
    fit = fit_gas_permeation(GasReadings(PRESSURES, permeance, NITROGEN, temperatures))
    assert fit.gas_radius.value == pytest.approx(40e-9, rel=1e-9)
    at_one = fit_gas_permeation(GasReadings(PRESSURES, permeance, NITROGEN, TEMPERATURE))
    assert at_one.gas_radius.value != pytest.approx(40e-9, rel=0.05)


def test_another_gas_and_another_unit_of_permeance():
    helium = Gas.named("He")
    permeance = gas_permeance(PRESSURES, helium, TEMPERATURE, 40e-9, 0.0, 120.0)
    fit = fit_gas_permeation(GasReadings(PRESSURES, permeance, helium, TEMPERATURE))
    assert fit.gas_radius.value == pytest.approx(40e-9, rel=1e-9)
    scaled = fit_gas_permeation(GasReadings(PRESSURES, 1e3 * permeance, helium, TEMPERATURE))
    assert scaled.gas_radius.value == pytest.approx(fit.gas_radius.value, rel=1e-9)
    assert scaled.porosity_over_path_length.value == pytest.approx(1e3 * fit.porosity_over_path_length.value, rel=1e-9)


def test_the_pressures_that_would_halve_the_interval_do_so():
    """On average: the median half-width over 40 tables at those pressures is half of that at the first ones."""
    fit = fit_gas_permeation(readings(100e-9, noise=0.002))
    low, high = fit.halving_pressures
    wider = low + (PRESSURES - PRESSURES[0]) / (PRESSURES[-1] - PRESSURES[0]) * (high - low)

    def half_width(pressures):
        radii = [
            fit_gas_permeation(readings(100e-9, noise=0.002, seed=seed, pressures=pressures)).gas_radius
            for seed in range(40)
        ]
        return np.median([(radius.high - radius.low) / 2 for radius in radii])

    assert half_width(wider) / half_width(PRESSURES) == pytest.approx(0.5, abs=0.08)


def test_a_slope_that_is_not_resolved_gives_an_upper_bound():
    fit = fit_gas_permeation(readings(2e-9, noise=0.01, seed=1))
    assert math.isnan(fit.gas_radius.value)
    assert fit.gas_radius.low == 0
    assert 2e-9 < fit.gas_radius.high < 50e-9
    assert math.isnan(fit.porosity_over_path_length.value)
    assert fit.halving_pressures is None
    assert any(
        finding.startswith("the slope is not distinguishable from 0: radius not resolved, below ")
        for finding in fit.findings
    )


def test_an_intercept_that_is_not_resolved_gives_a_lower_bound():
    fit = fit_gas_permeation(readings(20e-6, noise=0.02, seed=3))
    assert math.isnan(fit.gas_radius.value)
    assert 0 < fit.gas_radius.low < 20e-6
    assert fit.gas_radius.high == math.inf
    assert any(finding.startswith("the intercept is not distinguishable from 0") for finding in fit.findings)


def test_a_permeance_that_falls_gives_no_radius():
    """A leak that closes, or inertia: the slope is negative by more than its error."""
    exact = readings()
    falling = GasReadings(
        PRESSURES, exact.permeance[::-1] * (1 + 0.001 * np.cos(np.arange(8.0))), NITROGEN, TEMPERATURE
    )
    fit = fit_gas_permeation(falling)
    assert fit.slope.high < 0
    assert math.isnan(fit.gas_radius.value)
    assert math.isnan(fit.gas_radius.high)
    text = " ".join(fit.findings)
    assert "the slope is not distinguishable from 0: radius not resolved, not bounded" in text
    assert (
        "the permeance falls with the mean pressure, which no pore explains: inertia at high flow, a leak, or the"
        in text
    )


def test_a_bent_line_is_named():
    exact = readings(noise=0.001, seed=2)
    assert not any("not linear" in finding for finding in fit_gas_permeation(exact).findings)
    bent = GasReadings(PRESSURES, exact.permeance * (1 - 0.1 * (PRESSURES / 3.5e5) ** 2), NITROGEN, TEMPERATURE)
    assert any(
        "the permeance is not linear in the mean pressure" in finding for finding in fit_gas_permeation(bent).findings
    )


def test_two_readings_have_no_error():
    fit = fit_gas_permeation(readings(pressures=np.array([1e5, 3e5])))
    assert fit.gas_radius.value == pytest.approx(40e-9, rel=2e-3)  # five printed digits
    assert math.isnan(fit.gas_radius.low)
    assert math.isnan(fit.porosity_over_path_length.high)
    assert "two readings: the radius has no error; three mean pressures or more give one" in fit.findings


# On demand: radii at which nearly all of the flow is molecular or viscous.
@pytest.mark.parametrize(
    "radius",
    [40e-9, pytest.param(10e-9, marks=pytest.mark.slow), pytest.param(100e-9, marks=pytest.mark.slow)],
)
def test_coverage_of_200_tables(radius):
    """1 % errors, eight pressures; within three standard errors of 95 %. eps/y is bounded as well as the radius."""
    covered = np.zeros((200, 2))
    for seed in range(200):
        fit = fit_gas_permeation(readings(radius, noise=0.01, seed=[5, seed]))
        ratio = fit.porosity_over_path_length
        covered[seed] = [
            fit.gas_radius.low <= radius <= fit.gas_radius.high,
            not ratio.low > 120 and not ratio.high < 120,
        ]
    assert np.abs(covered.mean(axis=0) - 0.95).max() <= 3 * math.sqrt(0.95 * 0.05 / 200), covered.mean(axis=0)


def test_flows_become_permeances():
    """100 mL/min at 0 degC and 1 atm through 10 cm2 at 2 and 1 bar."""
    flow = np.array([100e-6 / 60])
    mean, permeance = permeances_of_flows(flow, 273.15, 101325.0, np.array([2e5]), 1e5, 10e-4)
    assert mean[0] == 1.5e5
    assert permeance[0] == pytest.approx(100e-6 / 60 / 22413.969e-6 / 10e-4 / 1e5, rel=1e-6)
    warm = permeances_of_flows(flow, 298.15, 101325.0, np.array([2e5]), 1e5, 10e-4)[1]
    assert warm[0] == pytest.approx(permeance[0] * 273.15 / 298.15, rel=1e-12)


def test_permeances_of_two_gases_give_the_regime_only():
    helium = Gas.named("He")
    fraction, finding = permeance_ratio_regime(2.646, 1.0, helium, NITROGEN, TEMPERATURE)
    assert fraction == pytest.approx(1.0, abs=1e-3)
    assert finding.startswith("helium/nitrogen: the ratio of permeances is 2.65, that of Knudsen flow 2.646,")
    wide = [float(gas_permeance([1e6], gas, TEMPERATURE, 1e-5, 0.0, 100.0)[0]) for gas in (helium, NITROGEN)]
    assert permeance_ratio_regime(*wide, helium, NITROGEN, TEMPERATURE)[0] == pytest.approx(0.0, abs=0.01)
    with pytest.raises(PhysicsError, match="permeances: above 0"):
        permeance_ratio_regime(0.0, 1.0, helium, NITROGEN, TEMPERATURE)


def test_water_through_the_same_pores_agrees_and_another_membrane_does_not():
    """L_p mu = eps r_h^2 / (8 y) for water; the ratio needs no geometry."""
    viscosity = 0.89e-3
    fit = fit_gas_permeation(readings(100e-9, 0.2, noise=0.005, seed=4))
    permeance = 120 * LogNormalRadii(100e-9, 0.2).hydraulic_radius ** 2 / (8 * viscosity)
    water = Estimate(permeance, 0.97 * permeance, 1.03 * permeance)
    ratio, findings = ratio_to_water(fit, water, viscosity)
    assert ratio.low < 1 < ratio.high
    assert findings == ()
    slope_ratio = (
        fit.slope.value * GAS_CONSTANT * TEMPERATURE * NITROGEN.viscosity(TEMPERATURE) / (permeance * viscosity)
    )
    assert ratio.value == pytest.approx(slope_ratio, rel=1e-9)
    ratio, findings = ratio_to_water(fit, water.scaled(3.0), viscosity)
    assert ratio.high < 0.8
    assert findings[0].startswith("contradiction: the viscous permeability of the gas is 0.3")
    unresolved = fit_gas_permeation(readings(2e-9, noise=0.02, seed=1))
    assert ratio_to_water(unresolved, Estimate(*(3 * [120 * 4e-18 / (8 * viscosity)])), viscosity)[1] == ()


def test_the_forward_model_broadcasts_and_the_likelihood_is_largest_at_the_truth():
    medians = np.array([[35e-9], [40e-9], [45e-9]])
    ratios = np.array([100.0, 120.0, 140.0])
    assert gas_permeance(PRESSURES, NITROGEN, TEMPERATURE, medians, 0.1, ratios).shape == (3, 3, 8)
    likelihood = log_likelihood(readings(40e-9, 0.1, noise=1e-4), medians, 0.1, ratios)
    assert np.unravel_index(likelihood.argmax(), (3, 3)) == (1, 1)


def test_impossible_readings_are_refused_together():
    with pytest.raises(PhysicsError) as failure:
        GasReadings(np.array([0.0, 1e5]), np.array([1e-7, -1e-7]), NITROGEN, TEMPERATURE, rows=[2, 3])
    message = "row 2: the mean pressure must be above 0 (got 0); row 3: the permeance must be above 0 (got -1e-07)"
    assert str(failure.value) == message
    with pytest.raises(PhysicsError, match="one mean pressure: slope and intercept need at least two"):
        GasReadings(np.array([1e5, 1e5]), np.array([1e-7, 1e-7]), NITROGEN, TEMPERATURE)
    with pytest.raises(PhysicsError, match="2 pressures for 1 permeances"):
        GasReadings(np.array([1e5, 2e5]), np.array([1e-7]), NITROGEN, TEMPERATURE)
    with pytest.raises(PhysicsError) as failure:
        permeances_of_flows(np.array([0.0, 1e-6]), 0.0, 101325.0, np.array([2e5, 1e5]), 1e5, -1.0)
    for text in (
        "reading 1: the flow must be above 0 (got 0 mL/min)", "area: above 0 (got -1)", "flow_at temperature: above 0",
        "reading 2: the feed pressure (1 bar) is not above the permeate pressure (1 bar)",
    ):  # fmt: skip
        assert text in str(failure.value)


@pytest.mark.parametrize(
    ("membrane", "diameter", "low", "high"),
    [
        ("K55", 56.3832, 51.86, 60.995),
        ("K95", 89.579, 74.036, 106.1),
        ("KHP20", 29.0495, 22.846, 35.411),
        ("HP55B", 0, 0, 0),
    ],
)
def test_published_permeances_of_ceramics(shared, membrane, diameter, low, high):
    """Nitrogen through four ceramics; an independent implementation gives the intervals, nm."""
    path = shared / "data" / "bench" / "S31_loimer_n2.csv"
    if not path.is_file():
        pytest.skip(f"reference data not found: {path} does not exist")
    rows = list(csv.reader(path.read_text("utf-8").splitlines()))[1:]
    columns = np.array([row[2:] for row in rows if row[0] == membrane], float).T
    temperature, feed, permeate, flow, cell = columns
    mean, permeance = permeances_of_flows(
        flow * 1e-6 / 60, temperature + 273.15, 101325.0, feed * 1e5, permeate * 1e5, math.pi / 4 * (cell * 1e-3) ** 2
    )
    fit = fit_gas_permeation(GasReadings(mean, permeance, NITROGEN, temperature + 273.15))
    if membrane == "HP55B":
        assert math.isnan(fit.gas_radius.value)
        assert any("the slope is not distinguishable from 0" in finding for finding in fit.findings)
        return
    numbers = fit.gas_radius.scaled(2e9)
    np.testing.assert_allclose(
        [numbers.value, numbers.low, numbers.high], [diameter, low, high], atol=0.1 * (high - low)
    )
