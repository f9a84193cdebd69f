"""Designs and the end of a search in sentences, and designs as the arrays of the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.studies.graded.closing_time import LIFETIMES, REASON, ends_with_first_band
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_search import Evaluation, Objective
from membrane_dask.studies.graded.design_settings import Constraint
from membrane_dask.studies.graded.design_space import DesignSpace
from membrane_dask.studies.graded.metric_text import MetricText

#: Designs that a sentence lists by their numbers.
_MAX_NUMBERS = 12


def parameter_arrays(space: DesignSpace, values: Mapping[str, float]) -> dict[str, Any]:
    """Parameters by the names of the tables, radii as one array."""
    return {name: np.array(value, float) for name, value in space.design(values).items()}


def n_networks(designs: Sequence[Evaluation]) -> int:
    """Number of simulated networks of designs."""
    return sum(len(next(iter(design.networks.values()))) for design in designs)


def network_interval(sample: np.ndarray, confidence: float) -> tuple[float, float]:
    """Confidence interval of a mean over networks; NaN for fewer than two."""
    n = len(sample)
    if n < 2:
        return math.nan, math.nan
    half = float(student_quantile((1 + confidence) / 2, n - 1)) * float(sample.std(ddof=1)) / math.sqrt(n)
    return float(sample.mean()) - half, float(sample.mean()) + half


def design_text(space: DesignSpace, values: Mapping[str, float], text: MetricText) -> str:
    """Parameters of a design, such as ``radius [0.02, 0.0143, 0.0089, 0.0051] membrane thicknesses, porosity 60 %``."""
    parameters = space.design(values)
    return ", ".join(f"{name} {text.parameter(name, value)}" for name, value in parameters.items())


def bounds_text(space: DesignSpace, designs: Sequence[Mapping[str, float]], text: MetricText) -> list[str]:
    """Sentences on parameters that are at one end of their range in all these designs."""
    reached = set.intersection(*(set(space.bounds_reached(values)) for values in designs))
    sentences = []
    for name in (name for name in space.names if name in reached):
        stem, _, band = name.partition("_") if name.startswith("radius_") else (name, "", "")
        values = {values[name] for values in designs}
        if len(values) == 1:
            label = f"{stem}[{band}]" if band else stem
            sentences.append(f"{label} = {text.parameter(stem, values.pop())} is the end of its range")
    return sentences


def best_sentences(
    study: GradedStudy, space: DesignSpace, objective: Objective, evaluations: Mapping[int, Evaluation],
    best: int, equal: Sequence[int],
) -> tuple[list[str], list[str]]:  # fmt: skip
    """Sentences on the best design, or on several of which none is better than the others.

    Parameters
    ----------
    study : GradedStudy
    space : DesignSpace
    objective : Objective
    evaluations : mapping of int to Evaluation
        Simulated designs by their number.
    best : int
        Number of the best design.
    equal : sequence of int
        Numbers of all designs that are as good, itself included.

    Returns
    -------
    sentences : list of str
    outcomes : list of str
        Those of them that report no constraint that is missed, or may be.
    """
    text, design = MetricText.of(study), evaluations[best]
    described = design_text(space, design.values, text)
    if objective.metric in LIFETIMES and ends_with_first_band(study):
        described += f"; its {objective.metric} follows from the radius of the first band alone"
    if len(equal) > 1:
        value = text.metric(objective.metric, design.mean(objective.metric))
        sentences = [
            f"{len(equal)} designs are equally good, with a {objective.metric} of {value}: evaluations "
            f"{_listed(equal)}; evaluation {best} is one of them: {described}"
        ]
    else:
        sentences = [f"best design (evaluation {best}): {described}"]
    outcomes = list(sentences)
    for metric in objective.metrics:
        sentence = f"{metric} {_with_interval(metric, design.networks[metric], objective.confidence, text)}"
        constraints = [c for c in objective.constraints if c.metric == metric]
        missed = [_missed(constraint, design, objective.confidence) for constraint in constraints]
        for constraint, by in zip(constraints, missed, strict=True):
            sentence += f"; required {text.constraint(constraint)}" + (f", not met by {by}" if by else "")
        sentences.append(sentence)
        outcomes += [] if any(missed) else [sentence]
    return sentences, outcomes


def limit_sentences(
    study: GradedStudy, space: DesignSpace, objective: Objective, evaluations: Mapping[int, Evaluation],
    equal: Sequence[int],
) -> list[str]:  # fmt: skip
    """Sentences on ranges and constraints that limit the search, or do not; parameters as of :func:`best_sentences`."""
    text = MetricText.of(study)
    sentences = bounds_text(space, [evaluations[number].values for number in equal], text)
    return sentences + constraint_sentences(objective, list(evaluations.values()), text)


def _listed(numbers: Sequence[int]) -> str:
    shown = [str(number) for number in numbers[:_MAX_NUMBERS]]
    if len(numbers) > _MAX_NUMBERS:
        return f"{', '.join(shown)} and {len(numbers) - _MAX_NUMBERS} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _with_interval(metric: str, sample: np.ndarray, confidence: float, text: MetricText) -> str:
    """Mean over networks with its interval, or why it has none."""
    value = float(sample.mean())
    if len(sample) > 1 and np.ptp(sample) <= 1e-12 * abs(value):
        return f"{text.metric(metric, value)} in all {len(sample)} networks: no spread, no interval"
    return text.metric(metric, value, *network_interval(sample, confidence))


def _missed(constraint: Constraint, design: Evaluation, confidence: float) -> str:
    """What of a design does not meet a constraint; empty if it meets it with its whole interval."""
    if not constraint.is_met(design.mean(constraint.metric)):
        return "the mean of its networks"
    ends = network_interval(design.networks[constraint.metric], confidence)
    return "" if all(map(constraint.is_met, ends)) or math.isnan(ends[0]) else "its whole interval"


def constraint_sentences(objective: Objective, designs: Sequence[Evaluation], text: MetricText) -> list[str]:
    """Sentences on constraints that all simulated designs meet, or none of them."""
    sentences = []
    for constraint in objective.constraints:
        values = [design.mean(constraint.metric) for design in designs]
        met = [constraint.is_met(value) for value in values]
        if all(met):
            nearest = min(values) if constraint.sign > 0 else max(values)
            sentences.append(
                f"the constraint {text.constraint(constraint)} never binds: all {len(designs)} simulated designs meet "
                f"it, the one nearest to the limit with {text.metric(constraint.metric, nearest)}"
            )
        elif not any(met):
            nearest = max(values) if constraint.sign > 0 else min(values)
            sentences.append(
                f"the constraint {text.constraint(constraint)} is met by none of the {len(designs)} simulated designs; "
                f"closest {text.metric(constraint.metric, nearest)}"
            )
    return sentences


def no_best_sentence(
    study: GradedStudy, space: DesignSpace, objective: Objective, designs: Sequence[Evaluation]
) -> str:
    """Why there is no best design: the constraint that no design meets, and the closest value."""
    text = MetricText.of(study)
    if objective.is_constant(designs):
        common = text.metric(objective.metric, designs[0].mean(objective.metric))
        reason = f"; {REASON}" if objective.metric in LIFETIMES and ends_with_first_band(study) else ""
        return (
            f"all {len(designs)} designs are equally good: {objective.metric} {common} does not depend on the "
            f"parameters{reason}"
        )
    for constraint in objective.constraints:
        values = [constraint.sign * design.mean(constraint.metric) for design in designs]
        closest = designs[int(np.argmax(values))]
        value = closest.mean(constraint.metric)
        if not constraint.is_met(value):
            where = design_text(space, closest.values, text)
            return (
                f"no design meets {text.constraint(constraint)}; closest {text.metric(constraint.metric, value)} at "
                f"{where}"
            )
    together = " and ".join(map(text.constraint, objective.constraints))
    closest = designs[_closest(objective.constraints, designs)]
    names = {constraint.metric: 0 for constraint in objective.constraints}
    values_text = ", ".join(f"{name} {text.metric(name, closest.mean(name))}" for name in names)
    where = f"closest {values_text} at {design_text(space, closest.values, text)}"
    if not any(meets(objective, design) for design in designs):
        return f"no design meets {together} together; {where}"
    return f"no design meets {together} with a probability of {100 * objective.confidence:g} %; {where}"


def meets(objective: Objective, design: Evaluation) -> bool:
    """Whether the means of a design are within all constraints."""
    return all(constraint.is_met(design.mean(constraint.metric)) for constraint in objective.constraints)


def _closest(constraints: Sequence[Constraint], designs: Sequence[Evaluation]) -> int:
    """Position of the design whose worst constraint is met best, in standard deviations over all designs."""
    margins = []
    for constraint in constraints:
        means = np.array([design.mean(constraint.metric) for design in designs])
        margins.append(constraint.sign * (means - constraint.limit) / max(float(means.std()), 1e-300))
    return int(np.argmax(np.min(margins, axis=0)))


def why_it_ended(study: GradedStudy, reason: str, designs: Sequence[Evaluation]) -> str:
    """Sentence on the end of a search, from its stop reason."""
    count = f"{len(designs)} designs, {n_networks(designs)} networks"
    reasons = {
        "tolerance": f"no design is better by more than {100 * study.optimum.tolerance:g} % of the metric, with a "
        f"probability of {100 * study.optimum.confidence:g} %",
        "evaluations": "optimum.evaluations is reached",
        "infeasible": "no design meets the constraints",
        "constant": "all designs are equal",
    }
    return f"the search ended after {count}: {reasons[reason]}"
