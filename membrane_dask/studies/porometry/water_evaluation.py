"""Evaluation of the water flux of one membrane: permeance at the reference temperature, and the readings used."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from membrane_dask.io.tables.flux_curves import FluxCurve
from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.porometry.regression import Fit, fit
from membrane_dask.physics.porometry.water import Water
from membrane_dask.physics.porometry.water_series import WaterSeries, evaluate_series
from membrane_dask.studies.porometry.config import PorometryStudy

#: m s-1 Pa-1 in L m-2 h-1 bar-1, m s-1 in L m-2 h-1.
_LMH_BAR, _LMH = 3.6e11, 3.6e6


def evaluate_water(curve: FluxCurve, viscosity: float, study: PorometryStudy) -> WaterSeries:
    """Evaluate the flux of one membrane, converted to water at the reference temperature.

    Parameters
    ----------
    curve : FluxCurve
        Its readings.
    viscosity : float
        Of the liquid at the temperature of the curve, Pa s.
    study : PorometryStudy
        Reference temperature and confidence.

    Raises
    ------
    PhysicsError
        If readings contradict each other.
    """
    factor = viscosity / Water.at(study.reference_temperature).viscosity
    flux = curve.flux * factor
    return evaluate_series(
        curve.pressure, flux, row=curve.row, time=curve.time, replicate=curve.replicate, no_flow=curve.no_flow,
        resolution=curve.resolution * float(flux.max()), confidence=study.confidence,
    )  # fmt: skip


def steady_readings(curve: FluxCurve, series: WaterSeries) -> FluxCurve:
    """The readings that enter the permeance."""
    used = series.used
    return replace(
        curve,
        pressure=curve.pressure[used],
        flux=curve.flux[used],
        replicate=curve.replicate[used],
        row=curve.row[used],
        standard_deviation=None if curve.standard_deviation is None else curve.standard_deviation[used],
        time=None if curve.time is None else curve.time[used],
    )


def line_of_permeance(curve: FluxCurve, series: WaterSeries, viscosity: float, study: PorometryStudy) -> Fit:
    """The permeance in the form of a line without an intercept, at the temperature of the curve."""
    factor = Water.at(study.reference_temperature).viscosity / viscosity
    estimate = series.permeance.permeance.scaled(factor)
    degrees = series.permeance.degrees_of_freedom
    covariance = np.full((2, 2), np.nan)
    if degrees > 0 and math.isfinite(estimate.high - estimate.low):
        quantile = float(student_quantile((1 + study.confidence) / 2, degrees))
        covariance[0, 0] = np.square((estimate.high - estimate.low) / (2 * quantile))
    nothing = math.nan
    # How badly a line fits is worth knowing, although its slope is not the permeance.
    line = fit(curve.pressure, curve.flux) if len(np.unique(curve.pressure)) > 2 else None
    return Fit(
        "linear", np.array([estimate.value, nothing]), covariance, max(1, round(degrees)) if degrees > 0 else 0,
        line.residual_standard_deviation if line else nothing, line.r_squared if line else nothing,
        line.lack_of_fit if line else nothing,
    )  # fmt: skip


def water_variables(series: WaterSeries) -> dict[str, float]:
    """Variables of the table ``porometry``, in units of the bench."""
    result = series.permeance
    permeance = result.permeance.scaled(_LMH_BAR)
    numbers = {
        "water_permeance": permeance.value,
        "water_permeance_low": permeance.low,
        "water_permeance_high": permeance.high,
        "free_line_slope": result.free_line_slope * _LMH_BAR,
        "hysteresis": series.hysteresis,
    }
    if series.rising is not None:
        numbers["rising_water_permeance"] = series.rising.permeance.value * _LMH_BAR
    if series.transient is not None:
        for name, estimate, factor in (
            ("flux_plateau", series.transient.plateau, _LMH), ("time_constant", series.transient.time_constant, 1 / 60)
        ):  # fmt: skip
            shown = estimate.scaled(factor)
            numbers |= {name: shown.value, f"{name}_low": shown.low, f"{name}_high": shown.high}
    return numbers
