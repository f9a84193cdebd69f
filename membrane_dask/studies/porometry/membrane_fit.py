"""Fit of one membrane: its line, or its curve with a critical pressure, and its threshold pressure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve
from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import sample_covariance
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve, cubic_threshold
from membrane_dask.physics.porometry.posterior import PermeabilityEstimate
from membrane_dask.physics.porometry.regression import Fit, fit, fit_many, fit_of_printed_line, fit_runs
from membrane_dask.physics.porometry.threshold_pressure import ThresholdPressure, threshold_pressure
from membrane_dask.physics.porometry.water_series import WaterSeries
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.measurements import MembraneData
from membrane_dask.studies.porometry.water_evaluation import (
    evaluate_water,
    line_of_permeance,
    steady_readings,
)

#: Simulated curves from which the errors of a curve with a critical pressure are estimated.
_SIMULATED_CURVES = 400


@dataclass(frozen=True)
class MembraneFit:
    """Fit of one membrane.

    Parameters
    ----------
    line : Fit
        The line, or the linear regime of the curve.
    threshold : ThresholdPressure
        Its threshold pressure.
    log_branch : Fit or None
        The logarithmic branch, with ``curve: darcy``.
    curve : DarcyCurve or None
        The whole curve, where a line from the threshold pressure is tangent to the logarithmic branch.
    series : WaterSeries or None
        Permeance of water, of measured fluxes.
    """

    line: Fit
    threshold: ThresholdPressure
    log_branch: Fit | None = None
    curve: DarcyCurve | None = None
    series: WaterSeries | None = None


def fit_membrane(
    data: FluxCurve | FittedLine, viscosity: float, study: PorometryStudy, rng: np.random.Generator
) -> MembraneFit:
    """Fit one membrane by the settings of the study.

    Parameters
    ----------
    data : FluxCurve or FittedLine
        Its measurements.
    viscosity : float
        Of the liquid at the temperature of the measurements, Pa s.
    study : PorometryStudy
        Law, regression and confidence.
    rng : numpy.random.Generator
        Source of the simulated errors of a curve with a critical pressure.

    Raises
    ------
    PhysicsError
        If the flux does not grow with the pressure, or the fit does not converge.
    """
    series = evaluate_water(data, viscosity, study) if isinstance(data, FluxCurve) else None
    if isinstance(data, FluxCurve) and study.curve == "darcy":
        return replace(_fit_darcy_curve(data, study, rng), series=series)
    if series is not None and isinstance(data, FluxCurve) and may_leave_out(study):
        used = steady_readings(data, series)
        if not series.permeance.slope_is_permeance:
            line = line_of_permeance(used, series, viscosity, study)
            return MembraneFit(line, ThresholdPressure(math.nan, math.nan, math.nan, math.nan), series=series)
        data = used
        if len(data.no_flow):
            bracket = series.permeance.threshold.pressure
            line = fit_line(data.pressure, data.flux, data, study)
            return MembraneFit(
                line, ThresholdPressure(bracket.value, bracket.low, bracket.high, math.nan), series=series
            )
    if isinstance(data, FittedLine):
        line = fit_of_printed_line(data.permeability, data.intercept, data.r_squared, data.pressures)
    else:
        line = fit_line(data.pressure, data.flux, data, study)
    if study.convention == "published":
        printed = data.threshold if isinstance(data, FittedLine) else None
        # Table 3 takes the absolute value of the intercept; a printed threshold pressure takes precedence.
        line = replace(
            line, values=np.array([line.values[0], -(line.values[0] * printed if printed else abs(line.values[1]))])
        )
    return MembraneFit(line, threshold_pressure(line, study.confidence), series=series)


def permeability_estimate(
    membrane: MembraneData, study: PorometryStudy, value: float, standard_error: float, degrees_of_freedom: float
) -> PermeabilityEstimate | None:
    """Hydraulic permeability, m s-1 Pa-1, as data of a posterior; None without a standard error."""
    if membrane.curve is None or not (
        degrees_of_freedom > 0 and math.isfinite(value) and math.isfinite(standard_error)
    ):
        return None
    return PermeabilityEstimate(
        value, standard_error, degrees_of_freedom, membrane.water.viscosity, membrane.curve.area or 1.0,
        study.viscosity_error, study.area_error,
    )  # fmt: skip


def may_leave_out(study: PorometryStudy) -> bool:
    """Whether the fit of the study is a line through readings of one steady membrane."""
    return study.convention == "si" and study.replicates == "readings"


def fit_line(pressure: np.ndarray, flux: np.ndarray, data: FluxCurve, study: PorometryStudy) -> Fit:
    """Fit a line to points by the regression of the study.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1: those of ``data``, or resampled ones.
    data : FluxCurve
        Replicates, and fluxes and standard deviations for the weights.
    study : PorometryStudy
        Regression and its errors.
    """
    options: dict[str, Any] = {}
    if study.regression == "deming":
        assert study.flux_error is not None
        options = {
            "pressure_standard_deviation": study.pressure_error,
            "flux_standard_deviation": study.flux_error * float(flux.mean()),
        }
    if study.replicates == "runs":
        return fit_runs(pressure, flux, data.replicate, "linear", study.regression, **options)
    if study.regression == "weighted":
        options = {"standard_deviations": data.flux if data.standard_deviation is None else data.standard_deviation}
    return fit(pressure, flux, "linear", study.regression, **options)


def _fit_darcy_curve(data: FluxCurve, study: PorometryStudy, rng: np.random.Generator) -> MembraneFit:
    """Logarithmic branch, and the line from the threshold pressure tangent to it; errors by simulation."""
    log_branch = fit(data.pressure, data.flux, "log")
    cubic = fit(data.pressure, data.flux, "cubic")
    curve, pressure = _tangent_curve(log_branch.values, cubic.values, float(data.pressure.min()))
    values = np.array([curve.permeability, -curve.permeability * pressure]) if curve else np.full(2, np.nan)
    residual_scatter = log_branch.residual_standard_deviation
    line = Fit("linear", values, np.full((2, 2), np.nan), 0, residual_scatter, log_branch.r_squared)
    threshold = ThresholdPressure(pressure, -math.inf, math.inf, math.nan)
    if study.flux_error is not None:
        simulated = simulate_darcy_curves(data, study.flux_error, _SIMULATED_CURVES, rng)
        thresholds = simulated["threshold_pressure"]
        thresholds = thresholds[np.isfinite(thresholds)]
        if len(thresholds) > _SIMULATED_CURVES / 2:
            ends = ((1 - study.confidence) / 2, (1 + study.confidence) / 2)
            low, high = np.quantile(thresholds, ends).tolist()
            threshold = ThresholdPressure(pressure, low, high, float(thresholds.std(ddof=1)))
        lines = np.stack([simulated["hydraulic_permeability"], simulated["intercept_flux"]])
        lines = lines[:, np.isfinite(lines[0])]
        if curve and lines.shape[1] > _SIMULATED_CURVES / 2:
            size = np.abs(values)
            covariance = sample_covariance((lines / size[:, None]).T) * np.outer(size, size)
            line = replace(line, covariance=covariance, degrees_of_freedom=lines.shape[1] - 1)
    return MembraneFit(line, threshold, log_branch, curve)


def _tangent_curve(log_branch: np.ndarray, cubic: np.ndarray, lowest: float) -> tuple[DarcyCurve | None, float]:
    """Curve whose line is tangent to its logarithmic branch, or None, and the root of the cubic, or NaN."""
    try:
        threshold = cubic_threshold(cubic, lowest)
    except PhysicsError:
        return None, math.nan
    curve = DarcyCurve(float(log_branch[0]), float(log_branch[1]), threshold)
    return (curve if 0 < threshold <= curve.log_threshold else None), threshold


def simulate_darcy_curves(
    data: FluxCurve, flux_error: float, count: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Lines and threshold pressures of curves whose fluxes have additional random errors.

    Parameters
    ----------
    data : FluxCurve
        Measured curve.
    flux_error : float
        Relative standard deviation of the flux.
    count : int
        Number of curves.
    rng : numpy.random.Generator
        Source of the errors.

    Returns
    -------
    dict of str to (count,) float array
        ``hydraulic_permeability``, ``intercept_flux`` and ``threshold_pressure``, SI units; NaN where a curve has no
        tangent or no threshold pressure.
    """
    flux = data.flux * (1 + flux_error * standard_normal(rng, (count, len(data.flux))))
    lowest, lines = float(data.pressure.min()), np.full((count, 3), np.nan)
    log_branches, cubics = fit_many(data.pressure, flux, "log"), fit_many(data.pressure, flux, "cubic")
    for line, log_branch, cubic in zip(lines, log_branches, cubics, strict=True):
        curve, line[2] = _tangent_curve(log_branch, cubic, lowest)
        if curve:
            line[:2] = curve.permeability, -curve.permeability * curve.threshold
    return dict(zip(("hydraulic_permeability", "intercept_flux", "threshold_pressure"), lines.T, strict=True))
