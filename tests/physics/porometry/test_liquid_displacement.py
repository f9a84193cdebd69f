"""Liquid-liquid displacement: simulated tables, every finding, every refusal, likelihood, coverage."""

from __future__ import annotations

import dataclasses
import importlib
import math
from pathlib import Path

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.liquid_displacement import (
    INTERFACIAL_TENSION_IS_MISSING,
    LiquidDisplacement,
    liquid_displacement,
    permeance_while_open,
)
from membrane_dask.physics.porometry.opening_likelihood import displacement_log_likelihood
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii

BAR, LMH = 1e5, 1e-3 / 3600
LAW = CapillaryLaw(1.7e-3)
VISCOSITY, PATH_LENGTH, RATIO = 3.4e-3, 0.8e-6, 8e4
RADII = LogNormalRadii.from_flow_median(12e-9, 0.25)
PERMEANCE = RATIO * RADII.hydraulic_radius**2 / (8 * VISCOSITY)
PRESSURE = np.round(np.linspace(0.6, 7.0, 17), 1) * BAR


def exact_flux(pressure=PRESSURE):
    return pressure * permeance_while_open(pressure, LAW.constant, RADII.median, 0.25, PERMEANCE)


def printed(flux):
    """To 0.001 L m-2 h-1."""
    return np.round(flux / LMH, 3) * LMH


def evaluate(flux, pressure=PRESSURE, law=LAW, **options) -> LiquidDisplacement:
    return liquid_displacement(pressure, flux, law, viscosity=VISCOSITY, path_length=PATH_LENGTH, **options)


class TestPrintedTable:
    """Printed digits are 2e-5 of the largest flux: parameters to 1e-3."""

    result = evaluate(printed(exact_flux()))

    def test_radii(self):
        assert self.result.flow_median_radius.value == pytest.approx(12e-9, rel=1e-3)
        assert self.result.log_sd.value == pytest.approx(0.25, rel=1e-3)
        assert self.result.number_median_radius.value == pytest.approx(9.345609e-9, rel=1e-3)
        assert self.result.hydraulic_radius.value == pytest.approx(12e-9 * math.exp(-0.0625), rel=1e-3)

    def test_permeance_and_numbers(self):
        assert self.result.final_permeance.value == pytest.approx(PERMEANCE, rel=1e-3)
        assert self.result.porosity_over_path_length.value == pytest.approx(RATIO, rel=2e-3)
        density = RATIO * PATH_LENGTH / (math.pi * RADII.moment(2))
        assert self.result.pore_number_density.value == pytest.approx(density, rel=5e-3)
        assert self.result.findings == ()

    def test_readings_without_flux_bound_the_largest_pore(self):
        estimate = self.result.largest_pore_radius
        assert estimate.value == LAW.radius(1.0 * BAR)
        assert estimate.high == LAW.radius(0.6 * BAR)

    def test_step_wise_distribution(self):
        numbers = self.result.number_distribution
        assert (numbers.number > 0).all()
        assert numbers.number.sum() == pytest.approx(1)
        median = np.interp(0.5, np.cumsum(numbers.number), numbers.edges[1:])
        # Bins are 6 % wide at the median, and those below the last reading are missing.
        assert median == pytest.approx(RADII.median, rel=0.06)
        np.testing.assert_allclose(self.result.flow_distribution.radius, LAW.radius(PRESSURE))


class TestProperties:
    flux = printed(exact_flux())

    def test_radii_are_proportional_to_the_tension(self):
        base, other = evaluate(self.flux), evaluate(self.flux, law=CapillaryLaw(3.4e-3))
        for name in ("flow_median_radius", "hydraulic_radius", "number_median_radius", "largest_pore_radius"):
            expected = dataclasses.astuple(getattr(base, name).scaled(2))
            np.testing.assert_allclose(dataclasses.astuple(getattr(other, name)), expected, rtol=1e-9)
        assert other.final_permeance.value == pytest.approx(base.final_permeance.value, rel=1e-9)

    def test_the_error_of_the_tension_is_that_of_the_radius(self):
        noisy = self.flux * (1 + 0.01 * np.random.default_rng(2).standard_normal(len(PRESSURE)))
        base = evaluate(noisy).flow_median_radius
        uncertain = evaluate(noisy, law=CapillaryLaw(1.7e-3, 0.03)).flow_median_radius
        widths = [math.log(e.high / e.value) for e in (base, uncertain)]
        assert widths[1] ** 2 - widths[0] ** 2 == pytest.approx((1.959964 * 0.03) ** 2, rel=1e-6)

    def test_the_number_of_pores_has_four_times_the_error_of_the_tension(self):
        uncertain = evaluate(self.flux, law=CapillaryLaw(1.7e-3, 0.03))
        density = uncertain.pore_number_density
        assert math.log(density.high / density.value) == pytest.approx(4 * 1.96 * 0.03, rel=0.01)

    def test_the_order_of_the_readings_does_not_matter(self):
        order = np.random.default_rng(1).permutation(len(PRESSURE))
        base, shuffled = evaluate(self.flux), evaluate(self.flux[order], PRESSURE[order])
        assert shuffled.flow_median_radius == base.flow_median_radius
        assert shuffled.findings == ("readings sorted by pressure",)

    def test_a_repeated_pressure_is_averaged(self):
        pressure, flux = np.append(PRESSURE, PRESSURE[9]), np.append(self.flux, self.flux[9])
        assert "mean of 2 readings at 4.2 bar" in evaluate(flux, pressure).findings

    def test_a_negative_step_is_merged(self):
        flux = self.flux.copy()
        flux[12] = 0.97 * PRESSURE[12] * flux[11] / PRESSURE[11]
        numbers = evaluate(flux).number_distribution
        assert (numbers.number > 0).all()
        assert LAW.radius(PRESSURE[11]) not in numbers.edges

    def test_numbers_need_viscosity_and_path_length(self):
        result = liquid_displacement(PRESSURE, self.flux, LAW)
        assert math.isnan(result.porosity_over_path_length.value)
        result = liquid_displacement(PRESSURE, self.flux, LAW, viscosity=VISCOSITY)
        assert result.porosity_over_path_length.value == pytest.approx(RATIO, rel=2e-3)
        assert math.isnan(result.pore_number_density.value)


class TestFindings:
    def test_plateau_not_reached(self):
        upto = PRESSURE <= 3.9 * BAR
        result = evaluate(printed(exact_flux()[upto]), PRESSURE[upto])
        (sentence,) = result.findings
        assert sentence.startswith("plateau not reached: the permeance still rises by 14.7 % from 3.4 to 3.8 bar")
        assert result.final_permeance.low <= PERMEANCE <= result.final_permeance.high

    def test_two_kinds_of_pores_misfit_one_law(self):
        narrow = permeance_while_open(PRESSURE, LAW.constant, 18e-9, 0.05, PERMEANCE)
        result = evaluate(printed(0.5 * exact_flux() + 0.5 * narrow * PRESSURE))
        (sentence,) = (s for s in result.findings if s.startswith("one log-normal law misfits: by"))
        assert "compare the step-wise distribution" in sentence
        assert result.fit_misfit > 0.03

    def test_flux_at_every_pressure_bounds_no_largest_pore(self):
        above = PRESSURE > 1.5 * BAR
        assert evaluate(printed(exact_flux()[above]), PRESSURE[above]).largest_pore_radius.high == math.inf


@pytest.mark.parametrize(
    ("pressure", "flux", "message"),
    [
        ([1, 2, -3], [0, 1, 2], "row 4: pressure -3 bar is below 0"),
        ([1, 2, 3], [0, -1, 2], "row 3: flux -1 L/\\(m2 h\\) is below 0"),
        ([1, 2, math.nan], [0, 1, 2], "row 4: pressure is nan, not a number"),
        ([1, 2, 3], [0, 0, 0], "no reading has flux: no pore is open"),
        ([1, 2], [0, 1, 2], "3 fluxes at 2 pressures"),
        ([1, 2, 3, 4, 5], [0, 4, 10, 9.3, 14], "falls by 7 %, to 9.3 L/\\(m2 h\\) at 4 bar.*has changed"),
    ],
)
def test_impossible_tables_are_refused(pressure, flux, message):
    with pytest.raises(PhysicsError, match=message):
        liquid_displacement(np.array(pressure) * BAR, np.array(flux) * LMH, LAW, rows=range(2, 2 + len(flux)))


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ((1.0,), "a distribution needs at least two readings"),
        ((0.6025, 0.3438, 0.0082, 0.0455), "the fit does not converge"),
    ],
    ids=["one pore", "four pores"],
)
def test_pores_that_open_one_by_one_have_a_step_wise_distribution(fractions, message):
    """As in a virtual bench of a small structure: the readings have no error, and the steps are no log-normal law."""
    opens = np.array([4.47, 4.93, 6.61, 8.72])[: len(fractions)] * BAR
    pressure = np.unique(np.concatenate([np.geomspace(3.57, 10.5, 60) * BAR, opens, 0.999 * opens]))
    fraction = ((pressure[:, None] >= opens) * fractions).sum(axis=1)
    result = liquid_displacement(pressure, pressure * PERMEANCE * fraction, LAW, viscosity=VISCOSITY)
    assert result.largest_pore_radius.value == pytest.approx(LAW.radius(opens[0]))
    assert result.flow_distribution.cumulative.max() == pytest.approx(1)
    for name in ("flow_median_radius", "log_sd", "final_permeance", "porosity_over_path_length"):
        assert math.isnan(getattr(result, name).value)
    assert np.isnan(result.fitted).all()
    (finding,) = result.findings
    assert finding.startswith("no log-normal distribution of the radius: ")
    assert message in finding


def test_a_reading_at_pressure_0_does_not_count():
    result = evaluate(np.append(0.0, printed(exact_flux())), np.append(0.0, PRESSURE))
    assert result.findings == ("1 reading at 0 bar left out",)
    assert result.log_sd == evaluate(printed(exact_flux())).log_sd


def test_a_small_fall_is_noise():
    flux = printed(exact_flux())
    flux[-1] = 0.96 * flux[-2]
    assert evaluate(flux).flow_median_radius.value == pytest.approx(12e-9, rel=0.03)


def test_an_impossible_viscosity_is_refused():
    with pytest.raises(PhysicsError, match=r"viscosity: must be within .* \(got 3.4\); is it in mPa s"):
        liquid_displacement(PRESSURE, exact_flux(), LAW, viscosity=3.4)


def test_the_message_of_a_missing_tension_has_a_line_to_write():
    assert "interfacial_tension: 1.7 +- 0.05 mN/m" in INTERFACIAL_TENSION_IS_MISSING


class TestLikelihood:
    flux = printed(exact_flux() * (1 + 0.01 * np.random.default_rng(5).standard_normal(len(PRESSURE))))
    result = evaluate(flux)

    def value(self, constant, median, log_sd, ratio):
        return displacement_log_likelihood(self.result, constant, median, log_sd, ratio, VISCOSITY)

    def test_the_fit_is_close_to_its_maximum(self):
        """Along each parameter within 3 %, about three standard errors: the fit has one constant error of several."""
        best = (
            self.result.number_median_radius.value, self.result.log_sd.value,
            self.result.porosity_over_path_length.value,
        )  # fmt: skip
        top = self.value(LAW.constant, *best)
        for index in range(3):
            for factor in (0.97, 1.03):
                moved = [value * (factor if i == index else 1) for i, value in enumerate(best)]
                assert self.value(LAW.constant, *moved) < top

    def test_a_meter_that_resolves_the_first_pores_narrows_the_width(self):
        """Errors of 1 % without a constant part, against errors with the constant part of the fit."""
        noise = np.random.default_rng(0).standard_normal((2, len(PRESSURE)))
        relative = exact_flux() * (1 + 0.01 * noise[0])
        widths = np.linspace(0.23, 0.27, 401)
        spreads = []
        for flux in (relative, np.maximum(relative + 0.003 * PERMEANCE * PRESSURE * noise[1], 0)):
            fit = evaluate(flux)
            medians = fit.flow_median_radius.value * np.exp(-4 * widths**2)
            ratio = 8 * VISCOSITY * fit.final_permeance.value / (medians**2 * np.exp(6 * widths**2))
            values = displacement_log_likelihood(fit, LAW.constant, medians, widths, ratio, VISCOSITY)
            weights = np.exp(values - values.max())
            mean = np.average(widths, weights=weights)
            spreads.append(math.sqrt(np.average((widths - mean) ** 2, weights=weights)))
        assert spreads[0] < spreads[1] / 2

    def test_many_parameters_at_once(self):
        medians, widths = RADII.median * np.array([0.9, 1.0, 1.1]), np.array([[0.2], [0.25]])
        values = self.value(LAW.constant, medians, widths, RATIO)
        assert values.shape == (2, 3)
        assert values[1, 2] == self.value(LAW.constant, medians[2], 0.25, RATIO)


@pytest.mark.parametrize("method", ["liquid displacement", "liquid displacement, no plateau"])
def test_coverage_of_the_intervals(method, monkeypatch):
    """Of 100 tables at least 83 intervals contain the true value: 92 % less 3.3 standard errors."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[3] / "benchmarks")
    calibration = importlib.import_module("bench_calibration")
    for quantity, (coverage, _, half_width) in calibration.calibrate(method, 100, seed=7).items():
        assert coverage >= 0.83, quantity
        assert half_width < 0.25, quantity


def test_a_table_of_the_reference_data(shared):
    """Ends of the reference intervals to 10 % of their width."""
    lines = (shared / "data/bench/S29_lldp.csv").read_text("utf-8").splitlines()[2:]
    pressure, flux = np.array([[float(cell) for cell in line.split(",")] for line in lines]).T
    result = liquid_displacement(pressure * BAR, flux * LMH, LAW, viscosity=VISCOSITY)
    for estimate, (value, low, high) in (
        (result.flow_median_radius.scaled(1e9), (11.9818, 11.937, 12.027)),
        (result.log_sd, (0.251298, 0.24748, 0.25511)),
        (result.final_permeance.scaled(BAR / LMH), (15.7338, 15.624, 15.844)),
    ):
        assert estimate.value == pytest.approx(value, rel=1e-5)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert 1e9 * result.number_median_radius.value == pytest.approx(9.30721, rel=1e-5)
