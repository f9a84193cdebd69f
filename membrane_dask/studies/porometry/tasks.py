"""One membrane's flux on a worker: its fit, its posterior, and its fit repeated on data drawn anew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.cylindrical_pores import laplace_constant, largest_thickness
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve, cubic_threshold
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.physics.porometry.model_selection import rank_laws
from membrane_dask.physics.porometry.palencia_convention import Convention, published_structure, scaling_of
from membrane_dask.physics.porometry.posterior import (
    QUANTITIES,
    PermeabilityEstimate,
    Prior,
    interval_factors,
    posterior,
)
from membrane_dask.physics.porometry.regression import Fit, fit, fit_many, fit_of_printed_line, fit_runs
from membrane_dask.physics.porometry.threshold_pressure import ThresholdPressure, threshold_pressure
from membrane_dask.physics.porometry.water import REFERENCE_TEMPERATURE, Water
from membrane_dask.program import Unit
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.variables import BOOTSTRAP, POROMETRY, POSTERIOR

#: Simulated curves that give a curve beyond a critical pressure its errors.
_SIMULATED = 400
#: What each further measurement measures, by its knob.
MEASUREMENTS = {
    "rejection_point": "radius",
    "displacement_porometry": "radius",
    "micrograph_porosity": "porosity",
    "micrograph_count": "pore_number",
    "thickness": "thickness",
}


@dataclass(frozen=True)
class Member:
    """A membrane in a state, with all that its units need.

    Parameters
    ----------
    data : FluxCurve or FittedLine
        Its measurements.
    water : Water
        The liquid at its temperature.
    known : dict of str to Prior
        Independent data.
    """

    data: FluxCurve | FittedLine
    water: Water
    known: dict[str, Prior]


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Fit a membrane, find its posterior, or repeat its fit.

    Raises
    ------
    PhysicsError
        If its flux does not grow with pressure, a law cannot be brought to the points, or what is known of it
        contradicts its permeability.
    """
    study: PorometryStudy = context["study"]
    member: Member = context["members"][unit.params["membrane"]]
    rng = np.random.Generator(np.random.PCG64(unit.seed_sequence()))
    # Errors that are simulated are the same in the fit and in the posterior.
    own = np.random.Generator(np.random.PCG64(np.random.SeedSequence(unit.seed[0], spawn_key=unit.seed[1:3])))
    if unit.task == "bootstrap":
        return _repeated(member, study, rng), {}
    found = analyse(member, study, own)
    numbers = _posterior(member, study, found) if unit.task == "posterior" else _numbers(member, study, found)
    variables = POSTERIOR if unit.task == "posterior" else POROMETRY
    shapes = {"draw": study.draws, "law": len(LAWS), "measurement": 1 + len(MEASUREMENTS), "quantity": len(QUANTITIES)}
    return {
        v.name: np.asarray(numbers.get(v.name, np.full([shapes[dim] for dim in v.dims], np.nan)), float)
        for v in variables
    }, {}


@dataclass(frozen=True)
class Analysis:
    """What one membrane's flux tells.

    Parameters
    ----------
    line : Fit
        The line, or the straight part of the curve.
    threshold : ThresholdPressure
        Its threshold pressure.
    log : Fit or None
        The logarithmic branch, of a curve beyond a critical pressure.
    darcy : DarcyCurve or None
        The whole of such a curve, where a line from the threshold touches the branch.
    """

    line: Fit
    threshold: ThresholdPressure
    log: Fit | None = None
    darcy: DarcyCurve | None = None


def analyse(member: Member, study: PorometryStudy, rng: np.random.Generator) -> Analysis:
    """Fit one membrane as the study says."""
    data = member.data
    if isinstance(data, FluxCurve) and study.curve == "darcy":
        return _darcy(data, study, rng)
    if isinstance(data, FittedLine):
        line = fit_of_printed_line(data.permeability, data.intercept, data.r_squared, data.pressures)
    else:
        line = _line(data.pressure, data.flux, data, study)
    if study.convention == "published":
        printed = data.threshold if isinstance(data, FittedLine) else None
        # Table 3 takes the absolute value of the intercept; where a threshold is printed, it counts.
        line = replace(
            line, values=np.array([line.values[0], -(line.values[0] * printed if printed else abs(line.values[1]))])
        )
    return Analysis(line, threshold_pressure(line, study.confidence))


def _line(pressure: np.ndarray, flux: np.ndarray, data: FluxCurve, study: PorometryStudy) -> Fit:
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


def _darcy(data: FluxCurve, study: PorometryStudy, rng: np.random.Generator) -> Analysis:
    """Logarithmic branch, and the line from the threshold that touches it, if there is one. Errors by simulation."""
    log = fit(data.pressure, data.flux, "log")
    curve, zero = _touching(log.values, fit(data.pressure, data.flux, "cubic").values, float(data.pressure.min()))
    values = np.array([curve.permeability, -curve.permeability * zero]) if curve else np.full(2, np.nan)
    line = Fit("linear", values, np.full((2, 2), np.nan), 0, log.residual_standard_deviation, log.r_squared)
    found = ThresholdPressure(zero, -math.inf, math.inf, math.nan)
    if study.flux_error is not None:
        simulated = _simulated(data, study.flux_error, _SIMULATED, rng)
        zeros = simulated["threshold_pressure"]
        zeros = zeros[np.isfinite(zeros)]
        if len(zeros) > _SIMULATED / 2:
            ends = ((1 - study.confidence) / 2, (1 + study.confidence) / 2)
            low, high = np.quantile(zeros, ends).tolist()
            found = ThresholdPressure(zero, low, high, float(zeros.std(ddof=1)))
        lines = np.stack([simulated["hydraulic_permeability"], simulated["intercept_flux"]])
        lines = lines[:, np.isfinite(lines[0])]
        if curve and lines.shape[1] > _SIMULATED / 2:
            size = np.abs(values)
            covariance = np.cov(lines / size[:, None]) * np.outer(size, size)
            line = replace(line, covariance=covariance, degrees_of_freedom=lines.shape[1] - 1)
    return Analysis(line, found, log, curve)


def _touching(log: np.ndarray, cubic: np.ndarray, lowest: float) -> tuple[DarcyCurve | None, float]:
    """Curve whose line touches its logarithmic branch, if there is one, and the root of the cubic, if it has one."""
    try:
        zero = cubic_threshold(cubic, lowest)
    except PhysicsError:
        return None, math.nan
    curve = DarcyCurve(float(log[0]), float(log[1]), zero)
    return (curve if 0 < zero <= curve.log_threshold else None), zero


def _simulated(data: FluxCurve, error: float, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Lines and thresholds of curves with further errors of the flux; NaN where there are none."""
    flux = data.flux * (1 + error * rng.standard_normal((count, len(data.flux))))
    lowest, found = float(data.pressure.min()), np.full((count, 3), np.nan)
    for row, log, cubic in zip(found, fit_many(data.pressure, flux, "log"), fit_many(data.pressure, flux, "cubic"),
                               strict=True):  # fmt: skip
        curve, row[2] = _touching(log, cubic, lowest)
        if curve:
            row[:2] = curve.permeability, -curve.permeability * curve.threshold
    return dict(zip(("hydraulic_permeability", "intercept_flux", "threshold_pressure"), found.T, strict=True))


def _repeated(member: Member, study: PorometryStudy, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Fits of data drawn anew."""
    data, count = member.data, study.bootstrap.batch
    if isinstance(data, FluxCurve) and study.curve == "darcy":
        error = study.flux_error
        return _simulated(data, error, count, rng) if error else {v.name: np.full(count, np.nan) for v in BOOTSTRAP}
    line = analyse(member, study, rng).line
    if isinstance(data, FittedLine) or study.replicates == "runs" or study.bootstrap.method == "parametric":
        if not np.isfinite(line.covariance).all():
            return {v.name: np.full(count, np.nan) for v in BOOTSTRAP}
        size = np.abs(line.values) + line.standard_errors()
        size[size == 0] = 1.0
        drawn = line.values + size * rng.multivariate_normal(np.zeros(2), line.covariance / np.outer(size, size), count)
    else:
        drawn = np.array([_redrawn(data, line, study, rng) for _ in range(count)])
    permeability, intercept = drawn.T
    return {
        "hydraulic_permeability": permeability,
        "intercept_flux": intercept,
        "threshold_pressure": -intercept / permeability,
    }


def _redrawn(data: FluxCurve, line: Fit, study: PorometryStudy, rng: np.random.Generator) -> np.ndarray:
    """Line through residuals or points that were drawn anew."""
    n = len(data.flux)
    while True:
        chosen = rng.integers(n, size=n)
        if study.bootstrap.method == "residual":
            fitted = line.flux(data.pressure)
            apart = (data.flux - fitted) * math.sqrt(n / (n - 2))  # residuals are smaller than errors
            return _line(data.pressure, fitted + (apart - apart.mean())[chosen], data, study).values
        if len(np.unique(data.pressure[chosen])) > 1:
            deviation = None if data.standard_deviation is None else data.standard_deviation[chosen]
            again = replace(data, pressure=data.pressure[chosen], flux=data.flux[chosen], standard_deviation=deviation)
            return _line(again.pressure, again.flux, again, study).values


def _numbers(member: Member, study: PorometryStudy, found: Analysis) -> dict[str, Any]:
    """Variables of a fit."""
    data, water, line = member.data, member.water, found.line
    value, intercept = line.values.tolist()
    errors = line.standard_errors()
    reach = line.t_quantile(study.confidence) * errors[0] if line.degrees_of_freedom else math.nan
    conductance = 8 * water.viscosity * value
    numbers: dict[str, Any] = {
        "hydraulic_permeability": value,
        "hydraulic_permeability_lower": value - reach,
        "hydraulic_permeability_upper": value + reach,
        "hydraulic_permeability_error": errors[0],
        "hydraulic_permeability_25": value * water.viscosity / Water.at(REFERENCE_TEMPERATURE).viscosity,
        "hydraulic_resistance": 1 / (water.viscosity * value),
        "structure_number": conductance,
        # As it was printed, whatever its sign.
        "intercept_flux": data.intercept if isinstance(data, FittedLine) else intercept,
        "intercept_flux_error": errors[1],
        "permeability_intercept_covariance": line.covariance[0, 1],
        "r_squared": line.r_squared,
        "residual_deviation": line.residual_standard_deviation,
        "freedom": line.degrees_of_freedom,
        "lack_of_fit": line.lack_of_fit,
        "threshold_pressure": found.threshold.pressure,
        "threshold_pressure_lower": found.threshold.low,
        "threshold_pressure_upper": found.threshold.high,
        "threshold_pressure_error": found.threshold.standard_error,
        "threshold_resolved": found.threshold.resolved,
        "temperature": data.temperature,
        "viscosity": water.viscosity,
    }
    if study.contact_angle is not None and study.convention == "si":
        numbers |= _young_laplace(found.threshold, laplace_constant(water.surface_tension, study.contact_angle))
    if found.log:
        slope, offset = found.log.values.tolist()
        at_zero = DarcyCurve(slope, offset, found.threshold.pressure).log_threshold
        numbers |= {"log_slope": slope, "log_offset": offset, "log_threshold_pressure": at_zero}
    if found.darcy:
        numbers |= {"critical_pressure": found.darcy.critical_pressure, "critical_flux": found.darcy.critical_flux}
    if study.convention == "published" and value > 0 and found.threshold.pressure > 0:
        numbers |= _published(data, study, water, value, found.threshold.pressure)
    if isinstance(data, FluxCurve):
        judged = {one.law: one for one in rank_laws(data.pressure, data.flux)}
        numbers["left_out_error"] = [judged[law].leave_one_out_error for law in LAWS]
        numbers["bic"] = [judged[law].bic for law in LAWS]
    return numbers


def _young_laplace(found: ThresholdPressure, constant: float) -> dict[str, float]:
    """Radius of a threshold that is resolved; of one that is not, the least that its interval allows."""
    least = constant / found.high if 0 < found.high < math.inf else math.nan
    return {
        "young_laplace_radius": constant / found.pressure if found.resolved else math.nan,
        "young_laplace_radius_lower": least,
        "young_laplace_radius_upper": constant / found.low if found.resolved else math.nan,
    }


def _published(
    data: FluxCurve | FittedLine, study: PorometryStudy, water: Water, permeability: float, zero: float
) -> dict[str, float]:
    """The paper's structure; whether the threshold is resolved is not asked."""
    settings = study.published
    beyond = isinstance(data, FluxCurve) and study.curve == "darcy"
    preset = settings.preset or ("table14" if beyond else "table6")
    assert study.contact_angle is not None
    assert settings.thickness is not None
    assert data.area is not None
    convention = Convention.preset(
        preset, surface_tension=water.surface_tension, contact_angle=study.contact_angle, viscosity=water.viscosity,
        thickness=settings.thickness, area=data.area, rounded_cosine=settings.rounded_cosine,
    ).with_options(
        literal_numbers=settings.literal_numbers,
        literal_equation_22=settings.literal_equation_22,
        dropped_division=settings.dropped_division,
    )  # fmt: skip
    scales = scaling_of(data.membrane, preset)
    given: dict[str, Any] = {
        "young_laplace": settings.young_laplace_power,
        "porosity": settings.porosity_power,
        "number": settings.pore_number_powers,
    }
    scales = replace(scales, **{name: power for name, power in given.items() if power is not None})
    made = published_structure(permeability, zero, convention, scales)
    return {
        "young_laplace_radius": made.young_laplace_radius,
        "surface_porosity": made.porosity,
        "hagen_poiseuille_radius_lower": made.radius[0],
        "hagen_poiseuille_radius_upper": made.radius[1],
        "pore_number_lower": made.number[0],
        "pore_number_upper": made.number[1],
        "porosity_scale": made.porosity_scale,
        "pore_number_scale_lower": made.number_scale[0],
        "pore_number_scale_upper": made.number_scale[1],
        "pore_radius_mean": made.mean,
        "pore_radius_deviation": made.standard_deviation,
    }


def _posterior(member: Member, study: PorometryStudy, found: Analysis) -> dict[str, Any]:
    """Variables of a posterior; of a membrane whose permeability has no error, none."""
    line, water, known = found.line, member.water, member.known
    value, error = line.values[0], line.standard_errors()[0]
    if not (line.degrees_of_freedom > 0 and math.isfinite(value) and math.isfinite(error)):
        return {"independent_data": len(known)}
    permeability = PermeabilityEstimate(
        float(value), float(error), line.degrees_of_freedom, water.viscosity, member.data.area or 1.0,
        study.viscosity_error, study.area_error,
    )  # fmt: skip
    ranges = {name: getattr(study.plausible, name)[1:] for name in ("radius", "thickness")}
    made = posterior(permeability, known, ranges)
    ends = ((1 - study.confidence) / 2, 0.5, (1 + study.confidence) / 2)
    quantiles, draws = made.quantiles(ends), made.draws(study.draws)
    numbers: dict[str, Any] = {
        "independent_data": made.independent_data,
        "effective_points": made.effective_sample_size,
    }
    for row, name in enumerate(QUANTITIES):
        numbers[name] = draws[row]
        numbers |= dict(zip((f"{name}_lower", f"{name}_median", f"{name}_upper"), quantiles[row], strict=True))
    if "radius" in known:
        numbers["largest_thickness"] = largest_thickness(value, float(quantiles[0, 1]), water.viscosity)
    if "thickness" in known:
        numbers["smallest_radius"] = math.sqrt(8 * water.viscosity * value * float(quantiles[3, 1]))
    further = {name: (quantity, getattr(study.further, name)) for name, quantity in MEASUREMENTS.items()}
    factors = interval_factors(made, further, study.confidence)
    numbers["interval_factor"] = np.stack([factors[name] for name in ("now", *MEASUREMENTS)])
    return numbers
