"""One posterior of the pore structure of a membrane from all of its methods that measure one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.io.tables.flux_curves import FluxCurve
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.capillary_flow import capillary_flow
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.gas_permeation import fit_gas_permeation, ratio_to_water
from membrane_dask.physics.porometry.joint_posterior import JointPosterior, joint_posterior
from membrane_dask.physics.porometry.joint_tables import (
    CapillaryFlowTable,
    DisplacementTable,
    GasTable,
    RejectionTable,
    ScaleError,
    Table,
    WaterTable,
)
from membrane_dask.physics.porometry.liquid_displacement import liquid_displacement
from membrane_dask.physics.porometry.posterior import QUANTITIES, Prior
from membrane_dask.physics.porometry.rejection import CUT_OFF
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.measurements import MembraneData
from membrane_dask.studies.porometry.methods.contract import Readings
from membrane_dask.studies.porometry.prior_intervals import intervals_over_priors
from membrane_dask.studies.porometry.water_evaluation import evaluate_water

#: Name of the sentences among the arrays of a unit, which are UTF-8: scratch data are numbers.
_FINDINGS = "findings"
#: Name of each quantity of the posterior in the joint one.
_NAMES = {
    "radius": "hydraulic_radius", "porosity": "porosity", "pore_number": "pore_number", "thickness": "thickness",
}  # fmt: skip


def has_joint_posterior(membrane: MembraneData) -> bool:
    """Whether a method other than the flux of water says something of the pore structure."""
    methods = ("capillary flow", "liquid displacement", "gas permeation", "rejection")
    return any(readings.method in methods for readings in membrane.readings)


def evaluate_joint(
    membrane: MembraneData, study: PorometryStudy, seed: int
) -> tuple[JointPosterior | None, tuple[str, ...]]:
    """Joint posterior of a membrane, and sentences on it; None where no table measures a flux.

    Parameters
    ----------
    membrane : MembraneData
        All of its data.
    study : PorometryStudy
        Reference temperature, errors of area and number of draws.
    seed : int
        Of the evaluation of capillary flow.
    """
    area_error = ScaleError("area", study.area_error) if study.area_error else None
    tables, findings = _tables(membrane, study, seed, area_error)
    area = study.area or (membrane.curve.area if membrane.curve is not None else None)
    try:
        result = joint_posterior(tables, membrane.priors, area=area, area_error=area_error, draws=study.draws)
    except PhysicsError as error:
        return None, (*findings, f"no joint posterior: {error}")
    return result, (*findings, *result.findings)


def _tables(
    membrane: MembraneData, study: PorometryStudy, seed: int, area_error: ScaleError | None
) -> tuple[list[Table], list[str]]:
    """Tables that enter, and why others do not."""
    tables: list[Table] = []
    findings: list[str] = []
    curve = membrane.curve
    if isinstance(curve, FluxCurve):
        permeance = evaluate_water(curve, membrane.water.viscosity, study).permeance
        if np.isfinite(permeance.permeance.value) and permeance.degrees_of_freedom > 0:
            viscosity = Water.at(study.reference_temperature).viscosity
            tables.append(
                WaterTable.of_estimate(
                    "water", permeance.permeance, permeance.degrees_of_freedom, viscosity, area_error
                )
            )
    for readings in membrane.readings:
        table, reason = _table(readings, seed, area_error, readings.method in study.use)
        if table is not None:
            tables.append(table)
        elif reason:
            findings.append(f"{readings.method} does not enter the joint posterior: {reason}")
    return tables, findings


def _table(
    readings: Readings, seed: int, area_error: ScaleError | None, flagged_too: bool
) -> tuple[Table | None, str]:  # fmt: skip
    """Table of a method, or why it has none; data with a flag enter where the study asks for them."""
    enters = f"; use: [{readings.method}] lets it enter"
    content: Any = readings.content
    if readings.method == "capillary flow":
        result = capillary_flow(content.curves, content.law, content.porometer, content.stream, seed=seed)
        if result.contradictory and not flagged_too:
            return None, f"its wet flow exceeds the dry one{enters}"
        if not (result.curves_meet or flagged_too):
            return None, f"wet and dry do not meet{enters}"
        if not np.isfinite(result.log_sd.value):
            return None, "it has no dry curve" if result.flow_distribution is None else "it determines no width"
        area = content.porometer.area
        return CapillaryFlowTable(
            readings.method, content.curves, content.law, content.stream, sample_area=area, area=area_error
        ), ""
    if readings.method == "liquid displacement":
        if content.viscosity is None:
            return None, "the viscosity of the displacing liquid is needed: viscosity: 3.4 mPa s"
        evaluated = liquid_displacement(content.pressure, content.flux, content.law, viscosity=content.viscosity)
        if not np.isfinite(evaluated.log_sd.value):
            return None, "it determines no width"
        return DisplacementTable(readings.method, evaluated, content.law, content.viscosity, area=area_error), ""
    if readings.method == "gas permeation":
        return GasTable(readings.method, content, area=area_error), ""
    if readings.method == "rejection":
        rejection = content.readings.actual_rejection
        if not (rejection.min() <= CUT_OFF <= rejection.max() or flagged_too):
            return None, f"its cut-off is extrapolated{enters}"
        return RejectionTable(readings.method, content.readings, content.law), ""
    return None, ""


def joint_variables(
    result: JointPosterior | None, study: PorometryStudy, priors: Mapping[str, Prior]
) -> dict[str, Any]:
    """Variables of the table ``posterior``.

    Parameters
    ----------
    result : JointPosterior or None
        Nothing is known without it.
    study : PorometryStudy
        Confidence and number of draws.
    priors : mapping of str to Prior
        Of the membrane.
    """
    numbers: dict[str, Any] = {"independent_data": len(priors)}
    if result is None:
        return numbers
    numbers["contradictory"] = float(result.is_contradictory)
    for name in QUANTITIES:
        draws = result.draws.get(_NAMES[name], np.empty(0))
        if len(draws) == study.draws:
            numbers[name] = draws
        numbers |= _ends(name, getattr(result, _NAMES[name]), draws, study.confidence)
    numbers["interval_over_prior"] = intervals_over_priors(numbers, priors, study.confidence)
    for name in ("log_sd", "number_median_radius", "porosity_over_path_length"):
        numbers |= _ends(name, getattr(result, name), result.draws.get(name, np.empty(0)), study.confidence)
    return numbers


def _ends(name: str, estimate: Estimate, draws: np.ndarray, confidence: float) -> dict[str, float]:
    """Median and ends of the interval; those of another confidence than 95 % from the draws."""
    low, high = estimate.low, estimate.high
    if confidence != 0.95 and len(draws):
        low, high = (float(end) for end in np.quantile(draws, ((1 - confidence) / 2, (1 + confidence) / 2)))
    return {f"{name}_median": estimate.value, f"{name}_low": low, f"{name}_high": high}


def joint_arrays(membrane: MembraneData, study: PorometryStudy, seed: int) -> dict[str, np.ndarray]:
    """Joint posterior of a membrane as a unit leaves it: variables of the table ``posterior``, and its sentences.

    Parameters
    ----------
    membrane, study, seed
        As in :func:`evaluate_joint`.
    """
    result, findings = evaluate_joint(membrane, study, seed)
    numbers = joint_variables(result, study, membrane.priors)
    sentences = [*_gas_and_water(membrane, study), *findings]
    text = np.frombuffer("\n".join(sentences).encode(), np.uint8)
    return {name: np.asarray(value, float) for name, value in numbers.items()} | {_FINDINGS: text}


def joint_numbers(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Variables of the table ``posterior`` of what :func:`joint_arrays` returned."""
    return {name: value for name, value in arrays.items() if name != _FINDINGS}


def joint_findings(arrays: Mapping[str, np.ndarray]) -> Sequence[str]:
    """Sentences of what :func:`joint_arrays` returned: contradictions, and what the data leave open."""
    return np.asarray(arrays[_FINDINGS], np.uint8).tobytes().decode().splitlines()


def _gas_and_water(membrane: MembraneData, study: PorometryStudy) -> Sequence[str]:
    """Contradiction of the viscous permeabilities of gas and water, which needs no geometry."""
    gas = next((readings for readings in membrane.readings if readings.method == "gas permeation"), None)
    if gas is None or not isinstance(membrane.curve, FluxCurve):
        return ()
    permeance = evaluate_water(membrane.curve, membrane.water.viscosity, study).permeance.permeance
    if not np.isfinite(permeance.value):
        return ()
    viscosity = Water.at(study.reference_temperature).viscosity
    return ratio_to_water(fit_gas_permeation(gas.content), permeance, viscosity)[1]
