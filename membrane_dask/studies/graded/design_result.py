"""Result of a search for the best design: tables and sentences that follow from the simulated designs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.program import Dataset
from membrane_dask.schema import TableSchema, Variable
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_front import front_dataset
from membrane_dask.studies.graded.design_metrics import metric_variable
from membrane_dask.studies.graded.design_search import Evaluation, Objective, Surfaces
from membrane_dask.studies.graded.design_space import DesignSpace
from membrane_dask.studies.graded.design_tables import DESIGN, with_metrics
from membrane_dask.studies.graded.design_text import (
    best_sentences,
    limit_sentences,
    meets,
    n_networks,
    network_interval,
    no_best_sentence,
    parameter_arrays,
    why_it_ended,
)
from membrane_dask.studies.graded.optimum import STOP_REASONS
from membrane_dask.studies.graded.variables import OPTIMUM

#: Sets of response surfaces, and functions drawn from each, for the intervals of the best parameters.
_SURFACES, _DRAWS = 20, 10


def design_datasets(
    study: GradedStudy, space: DesignSpace, objective: Objective, evaluations: Mapping[int, Evaluation],
    rng: np.random.Generator,
) -> list[Dataset]:  # fmt: skip
    """Tables ``design``, and ``optimum_*`` or ``front``.

    Parameters
    ----------
    study : GradedStudy
        Study of the search.
    space : DesignSpace
        Its parameters.
    objective : Objective
        What it looks for.
    evaluations : mapping of int to Evaluation
        Designs with finished networks by their number.
    rng : numpy.random.Generator
        Source of the points and functions of the intervals.

    Returns
    -------
    list of Dataset
    """
    if not evaluations:
        return []
    metrics = [metric_variable(name) for name in objective.metrics]
    numbers, designs = list(evaluations), list(evaluations.values())
    datasets = [_design_table(space, objective, metrics, evaluations)]
    if len(designs) < 2:
        return datasets
    surfaces = objective.surfaces(space, designs)
    if objective.front:
        return [*datasets, front_dataset(study, objective, metrics, surfaces, numbers, rng)]
    best = None if objective.is_constant(designs) else surfaces.best(objective.problem(surfaces))
    schema = with_metrics(OPTIMUM, metrics, "interval")
    values: dict[str, Any] = {"evaluations": len(designs), "networks": n_networks(designs)}
    values |= {"value": math.nan, "evaluation": -1}
    values["stop_reason"] = STOP_REASONS.index(_stop_reason(study, objective, designs, best))
    if best is None:
        summary, outcomes = [no_best_sentence(study, space, objective, designs)], list[str]()
    else:
        evaluation = designs[best]
        values |= parameter_arrays(space, evaluation.values)
        values |= _parameter_intervals(objective, surfaces, best, rng)
        for metric in objective.metrics:
            ends = network_interval(evaluation.networks[metric], objective.confidence)
            values |= {metric: evaluation.mean(metric), f"{metric}_low": ends[0], f"{metric}_high": ends[1]}
        values |= {"value": evaluation.mean(objective.metric), "evaluation": numbers[best]}
        equal = [numbers[i] for i in _equally_good(objective, surfaces, best)]
        sentences, outcomes = best_sentences(study, space, objective, evaluations, numbers[best], equal)
        summary = [*sentences, *limit_sentences(study, space, objective, evaluations, equal)]
    summary.append(why_it_ended(study, STOP_REASONS[values["stop_reason"]], designs))
    if values["stop_reason"] == STOP_REASONS.index("tolerance"):
        outcomes.append(summary[-1])
    attrs: dict[str, Any] = {"summary": summary, "outcomes": outcomes} | ({"inconclusive": 1} if best is None else {})
    if best is not None and len(equal) > 1:
        attrs["equal_evaluations"] = equal
    return [*datasets, _dataset(schema, values, f"optimum_{objective.metric}", attrs, study.bands)]


def _stop_reason(study: GradedStudy, objective: Objective, designs: Sequence[Evaluation], best: int | None) -> str:
    if objective.is_constant(designs):
        return "constant"
    if best is None:
        return "infeasible"
    return "evaluations" if len(designs) >= study.optimum.evaluations else "tolerance"


def _equally_good(objective: Objective, surfaces: Surfaces, best: int) -> list[int]:
    """Positions of the designs that meet the constraints and have the metric of the best one, itself included."""
    designs = surfaces.evaluations
    feasible = objective.problem(surfaces).shortfall(surfaces.points) == 0
    value = designs[best].mean(objective.metric)
    equal = [
        i
        for i, design in enumerate(designs)
        if i == best or (feasible[i] and math.isclose(design.mean(objective.metric), value, rel_tol=1e-9))
    ]
    # A search simulates a design again where it has no better proposal.
    distinct = {tuple(designs[i].values.values()): i for i in [best, *equal][::-1]}
    return sorted(distinct.values())


def _parameter_intervals(
    objective: Objective, surfaces: Surfaces, best: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Ends of the intervals that contain the optima of functions drawn from sampled response surfaces.

    Their length scales and noise are samples, because the fitted ones are uncertain as well.
    """
    space = surfaces.space
    samples = [
        space.values(point)
        for sampled in surfaces.samples(_SURFACES, rng)
        for point in sampled.draws(objective.problem(sampled), best, rng, _DRAWS)[0]
    ]
    ends: dict[str, np.ndarray] = {}
    for suffix, level in (("low", (1 - objective.confidence) / 2), ("high", (1 + objective.confidence) / 2)):
        limit = {name: float(np.quantile([sample[name] for sample in samples], level)) for name in space.names}
        extreme = min if suffix == "low" else max
        limit = {name: extreme(value, surfaces.evaluations[best].values[name]) for name, value in limit.items()}
        ends |= {f"{name}_{suffix}": value for name, value in parameter_arrays(space, limit).items()}
    return ends


def _design_table(
    space: DesignSpace, objective: Objective, metrics: Sequence[Variable], evaluations: Mapping[int, Evaluation]
) -> Dataset:
    """One row for each simulated design."""
    designs = list(evaluations.values())
    rows = [parameter_arrays(space, design.values) for design in designs]
    values: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for metric in objective.metrics:
        samples = [design.networks[metric] for design in designs]
        values[metric] = np.array([sample.mean() for sample in samples])
        values[f"{metric}_error"] = np.array(
            [sample.std(ddof=1) / math.sqrt(len(sample)) if len(sample) > 1 else math.nan for sample in samples]
        )
    values["networks"] = np.array([n_networks([design]) for design in designs], "i4")
    values["feasible"] = np.array([meets(objective, design) for design in designs], "u1")
    labels: dict[str, np.ndarray] = {"evaluation": np.array(list(evaluations))}
    if "radius" in values:
        labels["band"] = np.arange(1, space.bands + 1)
    return Dataset(with_metrics(DESIGN, metrics, "error"), values, ("evaluation",), labels)


def _dataset(
    schema: TableSchema, values: Mapping[str, Any], name: str, attrs: Mapping[str, Any], bands: int
) -> Dataset:
    """The table ``optimum_*`` of a search, whose variables have no leading dimensions."""
    arrays = {key: np.asarray(value, schema.variable(key).dtype) for key, value in values.items()}
    labels = {"band": np.arange(1, bands + 1)} if "radius" in arrays else {}
    return Dataset(schema, arrays, (), labels, attrs, name)
