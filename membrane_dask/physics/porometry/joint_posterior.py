"""One posterior distribution of the pore structure from tables of several measuring methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.importance_sampling import indices_of_equal_weight
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.joint_contradictions import contradictions, prior_estimates
from membrane_dask.physics.porometry.joint_sample import (
    LOG_SD_RANGE,
    TOLERANCE,
    Evidence,
    JointSample,
    checked_evidence,
    joint_sample,
)
from membrane_dask.physics.porometry.joint_tables import ScaleError, Table
from membrane_dask.physics.porometry.posterior import Prior

#: Quantities of the result, and of its draws.
QUANTITIES = (
    "hydraulic_radius",
    "number_median_radius",
    "log_sd",
    "porosity",
    "thickness",
    "pore_number",
    "porosity_over_path_length",
)
#: Ratio of the ends of an interval from which a quantity counts as open.
_OPEN = 10.0


@dataclass(frozen=True)
class JointPosterior:
    """Pore structure of one membrane by several methods; intervals are of 95 %, values are medians.

    Parameters
    ----------
    hydraulic_radius, number_median_radius : Estimate
        m.
    log_sd : Estimate
        Standard deviation of the logarithm of the pore radius.
    porosity : Estimate
        Surface porosity.
    thickness : Estimate
        y, the path length through a pore (tortuosity times thickness), m.
    pore_number : Estimate
        On the area; NaN without an area.
    porosity_over_path_length : Estimate
        eps / y, m-1.
    draws : mapping of str to (n,) float array
        Structures of equal weight by quantity, in the order of the hydraulic radius; empty arrays where tables
        contradict one another.
    table_estimates : mapping of str to mapping of str to Estimate
        The same quantities, and ``permeability`` (eps r_h^2 / y, m), ``gas_radius`` and ``flow_median_radius`` (m), of
        each table alone, by its label.
    is_contradictory : bool
        Tables or priors contradict one another: every estimate is NaN.
    run_difference : float
        Largest difference between an end of an interval in two independent runs, over the width of the interval.
    findings : tuple of str
        Sentences for the user: contradictions, what the data leave open and which measurement closes it.
    """

    hydraulic_radius: Estimate
    number_median_radius: Estimate
    log_sd: Estimate
    porosity: Estimate
    thickness: Estimate
    pore_number: Estimate
    porosity_over_path_length: Estimate
    draws: Mapping[str, np.ndarray]
    table_estimates: Mapping[str, Mapping[str, Estimate]]
    is_contradictory: bool
    run_difference: float
    findings: tuple[str, ...]


def joint_posterior(
    tables: Sequence[Table],
    priors: Mapping[str, Prior] | None = None,
    *,
    area: float | None = None,
    area_error: ScaleError | None = None,
    draws: int = 1024,
) -> JointPosterior:
    """Pore structure that all tables of one membrane agree on.

    Parameters
    ----------
    tables : sequence of WaterTable, DisplacementTable, CapillaryFlowTable, GasTable or RejectionTable
        With different labels, in any order; at least one measures an absolute flux.
    priors : mapping of str to Prior, optional
        Of ``radius`` (hydraulic), ``porosity``, ``pore_number`` and ``thickness``, in SI units. An exact value has a
        relative standard deviation of 0.1 %. The others are even in the logarithm: number median radius 0.5 nm to
        10 um, log-standard deviation 0.02 to 1.2, porosity below 1, thickness 10 nm to 200 um.
    area : float, optional
        To which the pore number refers, m2.
    area_error : ScaleError, optional
        Tables that hold an error of the same name have it in common.
    draws : int
        Number of structures of equal weight.

    Returns
    -------
    JointPosterior

    Raises
    ------
    PhysicsError
        If labels occur twice, no table measures a flux, errors of one name differ in size, a prior is not known, the
        pore number has a prior and no area, or no structure is in the ranges of the priors.

    Notes
    -----
    Quasi-Monte Carlo with importance sampling in ``ln r``, ``ln s``, ``ln(eps r_h^2 / y)`` and ``ln y``, where ``r``
    is the radius that the tables determine best, and in the scale errors. Two runs with adaptations of their own are
    repeated with up to 65536 points each, until the ends of all intervals differ by less than 2 % of their widths.

    References
    ----------
    Gelman et al., Bayesian Data Analysis, 3rd ed., Secs. 3.2 and 10.4.
    """
    evidence = checked_evidence(tables, priors or {}, area, area_error)
    joint = joint_sample(evidence)
    alone = {table.label: _alone(evidence, table, joint) for table in evidence.tables}
    table_estimates = {label: sample.estimates() for label, sample in alone.items()}
    estimates = joint.estimates()
    sources = {**table_estimates, **prior_estimates(joint), "joint": estimates}
    findings = contradictions(joint, alone, sources) if len(sources) > 2 else []
    is_contradictory = bool(findings)
    if not is_contradictory:
        findings = open_directions(estimates)
        if not joint.has_converged:
            findings.append(
                f"not converged: the ends of an interval differ by {100 * joint.difference:.2g} % of its width between "
                f"two runs (at most {100 * TOLERANCE:.0f} % are accepted); intervals have an error of this size"
            )
    values = {name: Estimate() if is_contradictory else estimates.get(name, Estimate()) for name in QUANTITIES}
    return JointPosterior(
        **values,
        draws=_draws(joint, 0 if is_contradictory else draws),
        table_estimates=table_estimates,
        is_contradictory=is_contradictory,
        run_difference=joint.difference,
        findings=tuple(findings),
    )


def _alone(evidence: Evidence, table: Table, joint: JointSample) -> JointSample:
    """Sample of one table without the priors of the user."""
    if evidence.tables == (table,) and not evidence.priors:
        return joint
    return joint_sample(Evidence((table,), {}, evidence.log_permeability_range, evidence.area, evidence.area_error))


def _draws(sample: JointSample, count: int) -> dict[str, np.ndarray]:
    """Structures of equal weight by systematic resampling in the order of the hydraulic radius."""
    logarithms = sample.evidence.logarithms(sample.structures())
    order = np.argsort(logarithms["hydraulic_radius"], kind="stable")
    chosen = order[indices_of_equal_weight(sample.weights[order], count)] if count else order[:0]
    return {name: np.asarray(exp(logarithms[name][chosen])) for name in QUANTITIES if name in logarithms}


def open_directions(estimates: Mapping[str, Estimate]) -> list[str]:
    """Sentences on what data leave open, and the measurement that closes it."""

    def decades(name: str) -> float:
        return float(log(estimates[name].high / estimates[name].low) / log(10.0))

    def is_open(name: str) -> bool:
        return estimates[name].high > _OPEN * estimates[name].low

    findings = []
    if is_open("hydraulic_radius"):
        permeability = estimates["permeability"]
        findings.append(
            f"the hydraulic radius is open over {decades('hydraulic_radius'):.1f} decades: the data determine "
            f"eps r_h^2 / y ({permeability.value:.3g} m); liquid displacement, capillary flow, gas permeation or "
            "rejection closes it"
        )
    if is_open("log_sd"):
        findings.append(
            f"the log-sd is not determined: {estimates['log_sd'].low:.2g} to {estimates['log_sd'].high:.2g} of the "
            f"prior range {LOG_SD_RANGE[0]:g} to {LOG_SD_RANGE[1]:g}; liquid displacement, capillary flow or the "
            "rejection of three solutes closes it"
        )
    if is_open("porosity") and is_open("thickness"):
        if is_open("porosity_over_path_length"):
            findings.append(
                f"porosity and thickness are open over {decades('porosity'):.1f} and {decades('thickness'):.1f} decades"
            )
        else:
            ratio = estimates["porosity_over_path_length"]
            findings.append(
                f"porosity and thickness are known as a ratio only, {ratio.value:.3g} m-1 ({ratio.low:.3g} to "
                f"{ratio.high:.3g}); the thickness of a cross-section or the porosity by weighing closes it"
            )
    return findings
