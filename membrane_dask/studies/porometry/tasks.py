"""Units of work on a worker: fit of one membrane, its posterior distribution, or a batch of its bootstrap fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve
from membrane_dask.physics.porometry.cylindrical_pores import laplace_constant, largest_thickness
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.physics.porometry.fouling_laws import LAWS as FOULING
from membrane_dask.physics.porometry.model_selection import rank_laws
from membrane_dask.physics.porometry.palencia_convention import Convention, published_structure, scaling_of
from membrane_dask.physics.porometry.posterior import QUANTITIES, interval_factors, posterior
from membrane_dask.physics.porometry.threshold_pressure import ThresholdPressure
from membrane_dask.physics.porometry.water import REFERENCE_TEMPERATURE, Water
from membrane_dask.program import Unit
from membrane_dask.studies.porometry.bootstrap import bootstrap_fits
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.joint_evaluation import has_joint_posterior, joint_arrays, joint_numbers
from membrane_dask.studies.porometry.measurements import MembraneData
from membrane_dask.studies.porometry.membrane_fit import MembraneFit, fit_membrane, permeability_estimate
from membrane_dask.studies.porometry.methods.contract import with_ends
from membrane_dask.studies.porometry.prior_intervals import intervals_over_priors
from membrane_dask.studies.porometry.variables import POROMETRY, POSTERIOR
from membrane_dask.studies.porometry.water_evaluation import water_variables

#: Names of the laws of fouling.
FOULING_LAWS = tuple(FOULING)
#: Quantity that each candidate measurement determines.
CANDIDATE_MEASUREMENTS = {
    "rejection_point": "radius",
    "displacement_porometry": "radius",
    "micrograph_porosity": "porosity",
    "micrograph_count": "pore_number",
    "thickness": "thickness",
}


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute one unit: task ``porometry``, ``joint``, ``posterior`` or ``bootstrap``.

    A unit ``joint`` evaluates the posterior of several methods once, for the unit ``posterior`` of its membrane and for
    the findings.

    Raises
    ------
    PhysicsError
        If the flux does not grow with the pressure, a fit does not converge, or the priors contradict the
        permeability.
    """
    study: PorometryStudy = context["study"]
    membrane: MembraneData = context["membranes"][unit.params["membrane"]]
    if unit.task == "bootstrap":
        return bootstrap_fits(membrane, study, np.random.Generator(np.random.PCG64(unit.seed_sequence()))), {}
    if unit.task == "joint":
        return joint_arrays(membrane, study, unit.seed[0]), {}
    table = POSTERIOR if unit.task == "posterior" else POROMETRY
    numbers: dict[str, Any] = {}
    curve = membrane.curve
    if table is POSTERIOR and has_joint_posterior(membrane):
        numbers |= joint_numbers(context["scratch"].read("joint", (unit.params["joint"],)))
    elif curve is not None:
        # The stream of the membrane, not of the unit: simulated errors are the same in the fit and in the posterior.
        seed = np.random.SeedSequence(unit.seed[0], spawn_key=unit.seed[1:3])
        result = fit_membrane(curve, membrane.water.viscosity, study, np.random.Generator(np.random.PCG64(seed)))
        compute = _posterior_variables if table is POSTERIOR else _fit_variables
        numbers |= compute(membrane, curve, study, result)
    methods: tuple[str, ...] = context["methods"]
    laws: tuple[str, ...] = context["laws"]
    if table is POROMETRY:
        numbers |= _bench_variables(membrane, methods, laws)
        for name in ("leave_one_out_error", "bic"):
            if name in numbers:  # laws of fouling follow those of the flux
                numbers[name] = [*numbers[name], *[math.nan] * (len(laws) - len(LAWS))]
    sizes = {
        "draw": study.draws,
        "law": len(laws),
        "measurement": 1 + len(CANDIDATE_MEASUREMENTS),
        "quantity": len(QUANTITIES),
        "method": len(methods),
    }
    return {
        v.name: np.asarray(numbers.get(v.name, np.full([sizes[dim] for dim in v.dims], np.nan)), float)
        for v in table.variables
    }, {}


def _bench_variables(membrane: MembraneData, methods: Sequence[str], laws: Sequence[str]) -> dict[str, Any]:
    """Variables of all methods of the bench but the flux of water."""
    numbers: dict[str, Any] = {}
    for readings, evaluation in zip(membrane.readings, membrane.evaluations, strict=True):
        for name, value in evaluation.values.items():
            numbers |= with_ends(name, value)
        position = methods.index(readings.method)
        for name, value in evaluation.radii.items():
            for key, number in with_ends(name, value).items():
                numbers.setdefault(key, np.full(len(methods), np.nan))[position] = number
        for law, values in evaluation.laws.items():
            for name, value in values.items():
                for key, number in with_ends(name, value).items():
                    numbers.setdefault(key, np.full(len(laws), np.nan))[laws.index(law)] = number
    return numbers


def _fit_variables(
    membrane: MembraneData, data: FluxCurve | FittedLine, study: PorometryStudy, result: MembraneFit
) -> dict[str, Any]:
    """Variables of the table ``porometry`` by the flux of water."""
    water, line, threshold = membrane.water, result.line, result.threshold
    value, intercept = line.values.tolist()
    errors = line.standard_errors()
    half_width = line.t_quantile(study.confidence) * errors[0] if line.degrees_of_freedom else math.nan
    numbers: dict[str, Any] = {
        "hydraulic_permeability": value,
        "hydraulic_permeability_low": value - half_width,
        "hydraulic_permeability_high": value + half_width,
        "hydraulic_permeability_error": errors[0],
        "hydraulic_permeability_25": value * water.viscosity / Water.at(REFERENCE_TEMPERATURE).viscosity,
        "hydraulic_resistance": 1 / (water.viscosity * value),
        "structure_number": 8 * water.viscosity * value,
        # A published line keeps the sign that is printed.
        "intercept_flux": data.intercept if isinstance(data, FittedLine) else intercept,
        "intercept_flux_error": errors[1],
        "permeability_intercept_covariance": line.covariance[0, 1],
        "r_squared": line.r_squared,
        "residual_standard_deviation": line.residual_standard_deviation,
        "degrees_of_freedom": line.degrees_of_freedom,
        "lack_of_fit": line.lack_of_fit,
        "threshold_pressure": threshold.pressure,
        "threshold_pressure_low": threshold.low,
        "threshold_pressure_high": threshold.high,
        "threshold_pressure_error": threshold.standard_error,
        "threshold_resolved": threshold.resolved,
        "temperature": data.temperature,
        "viscosity": water.viscosity,
    }
    if result.series is not None:
        numbers |= water_variables(result.series)
    if study.contact_angle is not None and study.convention == "si":
        numbers |= _young_laplace_variables(threshold, laplace_constant(water.surface_tension, study.contact_angle[0]))
    if result.log_branch:
        slope, offset = result.log_branch.values.tolist()
        log_threshold = DarcyCurve(slope, offset, threshold.pressure).log_threshold
        numbers |= {"log_slope": slope, "log_offset": offset, "log_threshold_pressure": log_threshold}
    if result.curve:
        numbers |= {
            "critical_pressure": result.curve.critical_pressure,
            "critical_flux": result.curve.critical_flux,
            "flux_at_log_threshold": result.curve.flux_at_log_threshold,
        }
        if study.published.thickness is not None:
            numbers["linear_segment_length"] = result.curve.segment_length(study.published.thickness)
    if study.convention == "published" and value > 0 and threshold.pressure > 0:
        numbers |= _published_variables(data, study, water, value, threshold.pressure)
    if isinstance(data, FluxCurve):
        scores = {score.law: score for score in rank_laws(data.pressure, data.flux)}
        numbers["leave_one_out_error"] = [scores[law].leave_one_out_error for law in LAWS]
        numbers["bic"] = [scores[law].bic for law in LAWS]
    return numbers


def _young_laplace_variables(threshold: ThresholdPressure, constant: float) -> dict[str, float]:
    """Radius by Young-Laplace; of an unresolved threshold pressure only the lower end of its interval."""
    low = constant / threshold.high if 0 < threshold.high < math.inf else math.nan
    return {
        "young_laplace_radius": constant / threshold.pressure if threshold.resolved else math.nan,
        "young_laplace_radius_low": low,
        "young_laplace_radius_high": constant / threshold.low if threshold.resolved else math.nan,
    }


def _published_variables(
    data: FluxCurve | FittedLine, study: PorometryStudy, water: Water, permeability: float, threshold: float
) -> dict[str, float]:
    """Structure by the published procedure, also from a threshold pressure that is not resolved."""
    settings = study.published
    is_curve = isinstance(data, FluxCurve) and study.curve == "darcy"
    preset = settings.preset or ("table14" if is_curve else "table6")
    assert study.contact_angle is not None
    assert settings.thickness is not None
    assert data.area is not None
    convention = Convention.preset(
        preset, surface_tension=water.surface_tension, contact_angle=study.contact_angle[0], viscosity=water.viscosity,
        thickness=settings.thickness, area=data.area, rounded_cosine=settings.rounded_cosine,
    ).with_options(
        literal_numbers=settings.literal_numbers,
        literal_equation_22=settings.literal_equation_22,
        dropped_division=settings.dropped_division,
    )  # fmt: skip
    powers: dict[str, Any] = {
        "young_laplace": settings.young_laplace_power,
        "porosity": settings.porosity_power,
        "number": settings.pore_number_powers,
    }
    scaling = replace(
        scaling_of(data.membrane, preset), **{name: power for name, power in powers.items() if power is not None}
    )
    structure = published_structure(permeability, threshold, convention, scaling)
    return {
        "young_laplace_radius": structure.young_laplace_radius,
        "surface_porosity": structure.porosity,
        "hagen_poiseuille_radius_lower": structure.radius[0],
        "hagen_poiseuille_radius_upper": structure.radius[1],
        "pore_number_lower": structure.number[0],
        "pore_number_upper": structure.number[1],
        "porosity_scale": structure.porosity_scale,
        "pore_number_scale_lower": structure.number_scale[0],
        "pore_number_scale_upper": structure.number_scale[1],
        "effective_threshold_pressure": structure.effective_threshold,
        "pore_radius_width": structure.width,
        "pore_radius_mean": structure.mean,
        "pore_radius_deviation": structure.standard_deviation,
    }


def _posterior_variables(
    membrane: MembraneData, _: FluxCurve | FittedLine, study: PorometryStudy, result: MembraneFit
) -> dict[str, Any]:
    """Variables of the table ``posterior``; of a permeability without a standard error, only the number of priors."""
    line, water, priors = result.line, membrane.water, membrane.priors
    value, error = (float(number) for number in (line.values[0], line.standard_errors()[0]))
    permeability = permeability_estimate(membrane, study, value, error, line.degrees_of_freedom)
    if permeability is None:
        return {"independent_data": len(priors)}
    ranges = {name: getattr(study.prior_ranges, name)[1:] for name in ("radius", "thickness")}
    sample = posterior(permeability, priors, ranges)
    quantiles = sample.quantiles(((1 - study.confidence) / 2, 0.5, (1 + study.confidence) / 2))
    draws = sample.draws(study.draws)
    numbers: dict[str, Any] = {
        "independent_data": sample.independent_data,
        "effective_points": sample.effective_sample_size,
    }
    for row, name in enumerate(QUANTITIES):
        numbers[name] = draws[row]
        numbers |= dict(zip((f"{name}_low", f"{name}_median", f"{name}_high"), quantiles[row], strict=True))
    numbers["interval_over_prior"] = intervals_over_priors(numbers, priors, study.confidence)
    if "radius" in priors:
        numbers["largest_thickness"] = largest_thickness(value, float(quantiles[0, 1]), water.viscosity)
    if "thickness" in priors:
        numbers["smallest_radius"] = math.sqrt(8 * water.viscosity * value * float(quantiles[3, 1]))
    errors = study.candidate_measurements
    candidates = {name: (quantity, getattr(errors, name)) for name, quantity in CANDIDATE_MEASUREMENTS.items()}
    factors = interval_factors(sample, candidates, study.confidence)
    numbers["interval_factor"] = np.stack([factors[name] for name in ("now", *CANDIDATE_MEASUREMENTS)])
    return numbers
