"""Comparison of membranes: change of each between two states, and the population of each state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.intervals import random_effects, ratio_interval
from membrane_dask.physics.porometry.paired_posterior import structure_ratios
from membrane_dask.physics.porometry.water import REFERENCE_TEMPERATURE, Water
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.joint_evaluation import has_joint_posterior
from membrane_dask.studies.porometry.measurements import MembraneData
from membrane_dask.studies.porometry.membrane_fit import permeability_estimate
from membrane_dask.studies.porometry.specimens import MIN_SPECIMENS, specimen_groups
from membrane_dask.studies.porometry.variables import PAIRS, POPULATIONS

#: Largest standard deviation of the logarithm between specimens that have a mean: 95 % of them lie within a factor of 2
#: of it. A convention; errors of measurement are no measure, as specimens of one membrane may differ by much more.
MAX_LOG_SD = float(log(2.0)) / 1.96


def _states(membranes: Sequence[MembraneData]) -> list[str]:
    """States in the order of the tables."""
    return list(dict.fromkeys(membrane.state for membrane in membranes))


@dataclass(frozen=True)
class Pair:
    """A membrane in two states.

    Parameters
    ----------
    label : str
        Of the pair.
    first, later : int
        Positions of both states among the membranes.
    """

    label: str
    first: int
    later: int


def pairs_of(membranes: Sequence[MembraneData], declared: Mapping[str, str]) -> list[Pair]:
    """Pairs of a study: each membrane from the first state to every later one, and those under two names.

    Parameters
    ----------
    membranes : sequence of MembraneData
        All membranes.
    declared : mapping of str to str
        Setting ``pairs``: label of the later state to that of the first.
    """
    first, *later = _states(membranes)
    positions = {(m.name, m.state): k for k, m in enumerate(membranes)}
    pairs = [
        Pair(f"{name}: {state} over {first}", positions[name, first], positions[name, state])
        for state, name in itertools.product(later, dict.fromkeys(m.name for m in membranes))
        if (name, first) in positions and (name, state) in positions
    ]
    labels = {membrane.label: k for k, membrane in enumerate(membranes)}
    return pairs + [Pair(f"{new} over {old}", labels[old], labels[new]) for new, old in declared.items()]


def compare_states(
    membranes: Sequence[MembraneData], fits: Any, posteriors: Any, study: PorometryStudy
) -> tuple[list[Pair], dict[str, np.ndarray], list[tuple[str, str, str]]]:
    """Change of each membrane between two states.

    Parameters
    ----------
    membranes : sequence of MembraneData
        All membranes.
    fits, posteriors : xarray.Dataset
        The tables ``porometry`` and ``posterior``, in their order.
    study : PorometryStudy
        Pairs, confidence and errors.

    Returns
    -------
    pairs : list of Pair
        Their order is that of the table ``pairs``.
    values : dict of str to (n,) array
        Variables of that table.
    findings : list of (str, str, str)
        Label of the later state, method and sentence.
    """
    pairs, rows, findings = pairs_of(membranes, study.pairs), [], []
    for pair in pairs:
        states = membranes[pair.first], membranes[pair.later]
        positions = [pair.first, pair.later]
        row: dict[str, Any] = _compare(fits.isel(membrane=positions), study.confidence)
        ratios, sentences = _structure_ratios(
            states, fits.isel(membrane=positions), posteriors.isel(membrane=positions), study
        )
        for name, ratio in ratios.items():
            row |= {f"{name}_ratio": ratio.value, f"{name}_ratio_low": ratio.low, f"{name}_ratio_high": ratio.high}
        rows.append(row | {"first_membrane": states[0].label, "later_membrane": states[1].label})
        findings += [(states[1].label, "water", sentence) for sentence in sentences]
    values = {
        v.name: np.array([row.get(v.name, math.nan) for row in rows], "T" if v.dtype == "T" else float)
        for v in PAIRS.variables
    }
    return pairs, values, findings


def _compare(pair: Any, confidence: float) -> dict[str, float]:
    """Ratio and difference of the later and the first state of a membrane."""
    value, error = _permeability_at_25(pair)
    degrees_of_freedom = pair.degrees_of_freedom.values
    variances = np.square(error / value)
    if (degrees_of_freedom > 0).all() and np.isfinite(variances).all() and variances.sum() > 0:
        # Degrees of freedom by Welch and Satterthwaite, as the states have independent errors.
        joint = np.square(variances.sum()) / (np.square(variances) / degrees_of_freedom).sum()
        t_quantile = float(student_quantile((1 + confidence) / 2, joint))
        low, high = ratio_interval(value[1], value[0], np.diag(np.square(error[::-1])), t_quantile)
    else:
        low, high = math.nan, math.nan
    ratio = value[1] / value[0]
    resistance = 1 / (Water.at(REFERENCE_TEMPERATURE).viscosity * value)
    return {
        "permeability_ratio": ratio,
        "permeability_ratio_low": low,
        "permeability_ratio_high": high,
        "added_resistance": resistance[1] - resistance[0],
        "added_resistance_error": math.sqrt(np.square(resistance * error / value).sum()),
        # n r^4 is proportional to the permeability.
        "radius_ratio_of_equal_number": _fourth_root(ratio),
        "radius_ratio_of_equal_number_low": _fourth_root(low),
        "radius_ratio_of_equal_number_high": _fourth_root(high),
    }


def _fourth_root(value: float) -> float:
    """Fourth root; of an end of an interval below 0, NaN."""
    return math.sqrt(math.sqrt(value)) if value >= 0 else math.nan


def _structure_ratios(
    states: tuple[MembraneData, MembraneData], fits: Any, posteriors: Any, study: PorometryStudy
) -> tuple[Mapping[str, Estimate], list[str]]:
    """Ratios of radius, porosity and pore number; empty where a state has fewer than two priors. Sentences on them."""
    if any(has_joint_posterior(state) for state in states):
        return _ratios_of_draws(posteriors, study.confidence), []
    priors = (states[0].priors, states[1].priors)
    numbers = (fits.hydraulic_permeability, fits.hydraulic_permeability_error, fits.degrees_of_freedom)
    first, later = (
        permeability_estimate(state, study, *(float(number[k]) for number in numbers)) for k, state in enumerate(states)
    )
    if first is None or later is None or min(map(len, priors)) < 2:
        return {}, []
    sentences = [
        f"the change of the {name.replace('_', ' ')} since {states[0].label} is not measured, as both states have the "
        f"same prior of it"
        for name in ("radius", "porosity", "pore_number")
        if name in priors[0] and priors[0][name] == priors[1].get(name)
    ]
    try:
        return structure_ratios((first, later), priors, study.confidence), sentences
    except PhysicsError as error:
        return {}, [f"no change of the pore structure since {states[0].label}: {error}"]


def _ratios_of_draws(posteriors: Any, confidence: float) -> dict[str, Estimate]:
    """Ratios of stored draws of two independent posteriors."""
    ratios = {}
    for name in ("radius", "porosity", "pore_number"):
        first, later = posteriors[name].values
        # Draws stand in the order of the radius; a fixed permutation makes those of both states independent.
        values = later[np.random.default_rng(0).permutation(len(later))] / first
        if np.isfinite(values).all():
            low, median, high = np.quantile(values, ((1 - confidence) / 2, 0.5, (1 + confidence) / 2)).tolist()
            ratios[name] = Estimate(median, low, high)
    return ratios


def _permeability_at_25(fits: Any) -> tuple[np.ndarray, np.ndarray]:
    """Hydraulic permeability to water of 25 degC, and its standard error."""
    value = fits.hydraulic_permeability_25.values
    return value, (fits.hydraulic_permeability_error / fits.hydraulic_permeability).values * value


def summarize_populations(
    membranes: Sequence[MembraneData], fits: Any, confidence: float
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Range, geometric mean and scatter of the permeability of specimens of one membrane, in each state.

    Specimens are those of :func:`specimen_groups`. They have a mean where the scatter between them is at most that of
    :data:`MAX_LOG_SD`: a mean of unlike membranes is that of none.

    Parameters
    ----------
    membranes : sequence of MembraneData
        All membranes.
    fits : xarray.Dataset
        The table ``porometry``, in their order.
    confidence : float
        Of the intervals.

    Returns
    -------
    labels : list of str
        The states, with the common part of the names where they differ in it.
    values : dict of str to (n,) float array
        Variables of the table ``populations``; NaN where there is no mean.
    """
    groups = specimen_groups(membranes)
    rows = {}
    for group, members in groups.items():
        value, error = _permeability_at_25(fits.isel(membrane=members))
        valid = np.isfinite(value) & (value > 0) & np.isfinite(error) & (error > 0)
        if valid.sum() >= MIN_SPECIMENS:
            rows[group] = _population(value[valid], error[valid], confidence)
    alone = set(range(len(membranes))).difference(*groups.values())
    has_several_names = len({name for name, _ in groups} | {membranes[k].name for k in alone}) > 1
    labels = [", ".join(filter(None, (name * has_several_names, state))) or "all" for name, state in rows]
    columns = {v.name: np.array([row.get(v.name, math.nan) for row in rows.values()], float)
               for v in POPULATIONS.variables}  # fmt: skip
    return labels, columns


def _population(value: np.ndarray, error: np.ndarray, confidence: float) -> dict[str, float]:
    """Variables of one population."""
    # In the logarithm, so that no end of the interval is negative.
    population = random_effects(log(value), error / value, confidence)
    numbers = {
        "membranes": len(value),
        "hydraulic_permeability_smallest": float(value.min()),
        "hydraulic_permeability_largest": float(value.max()),
        "hydraulic_permeability_log_sd": population.standard_deviation,
    }
    if population.standard_deviation > MAX_LOG_SD:
        return numbers
    mean, low, high = (float(exp(number)) for number in (population.mean, population.low, population.high))
    growth = float(exp(np.square(population.standard_deviation)))
    return numbers | {
        "hydraulic_permeability_mean": mean,
        "hydraulic_permeability_mean_low": low,
        "hydraulic_permeability_mean_high": high,
        "hydraulic_permeability_deviation": mean * math.sqrt(growth * (growth - 1)),  # of a log-normal law
    }
