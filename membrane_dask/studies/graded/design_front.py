"""Front of a search with two metrics: the best design at every level, and what its rows and ends are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.program import Dataset
from membrane_dask.schema import Variable
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_search import Evaluation, Objective, Surfaces
from membrane_dask.studies.graded.design_tables import FRONT, with_metrics
from membrane_dask.studies.graded.design_text import (
    bounds_text,
    constraint_sentences,
    n_networks,
    parameter_arrays,
    why_it_ended,
)
from membrane_dask.studies.graded.metric_text import MetricText

#: Shortfall of a level, on the scale of its surface, below which it counts as reached.
_REACHED = 1e-3


def front_dataset(
    study: GradedStudy, objective: Objective, metrics: Sequence[Variable], surfaces: Surfaces, numbers: Sequence[int],
    rng: np.random.Generator,
) -> Dataset:  # fmt: skip
    """Table ``front``: the best design at every level according to the response surfaces, with intervals.

    Parameters
    ----------
    study : GradedStudy
        Study of the search.
    objective : Objective
        What it looks for.
    metrics : sequence of Variable
        Declarations of its metrics.
    surfaces : Surfaces
        Response surfaces of the simulated designs.
    numbers : sequence of int
        Number of every simulated design.
    rng : numpy.random.Generator
        Source of the points that are compared.
    """
    space, designs, text = surfaces.space, surfaces.evaluations, MetricText.of(study)
    levels = objective.front_levels(designs)
    rows: list[dict[str, Any]] = []
    missing, at_bounds = [], []
    for level in levels.tolist():
        problem = objective.problem(surfaces, level)
        point = surfaces.best_guess(problem, rng)
        if problem.shortfall(point[None])[0] > _REACHED:
            missing.append(level)
            continue
        simulated = surfaces.simulated(point)
        values = space.values(point) if simulated is None else designs[simulated].values
        at_bounds += bounds_text(space, [values], text)
        row = parameter_arrays(space, values) | {"level": level}
        row["evaluation"] = -1 if simulated is None else numbers[simulated]
        for metric in objective.metrics:
            ends = surfaces.metrics[metric].interval(point, objective.confidence)
            row |= {metric: ends[1], f"{metric}_low": ends[0], f"{metric}_high": ends[2]}
        rows.append(row)
    n_simulated = sum(row["evaluation"] >= 0 for row in rows)
    outcome = (
        f"front of {len(rows)} levels: {n_simulated} of them are simulated designs, {len(rows) - n_simulated} are "
        "predicted by the response surfaces"
    )
    summary = [
        outcome,
        *_ends(objective, designs, numbers, levels, text),
        *(f"no design reaches {objective.front} = {text.metric(objective.front, level)}" for level in missing),
        *(
            f"{sentence} in {count} of {len(rows)} designs of the front"
            for sentence, count in sorted(Counter(at_bounds).items())
        ),
        *constraint_sentences(objective, designs, text),
    ]
    reason = "constant" if objective.is_constant(designs) else "evaluations"
    summary.append(why_it_ended(study, reason, designs))
    names = [name for name in (rows[0] if rows else {}) if name != "level"]
    arrays = {name: np.array([row[name] for row in rows]) for name in names}
    labels = {"level": np.array([row["level"] for row in rows])}
    if "radius" in arrays:
        labels["band"] = np.arange(1, study.bands + 1)
    attrs = {
        "summary": summary, "outcomes": [outcome], "metric": objective.front, "stop_reason": reason,
        "evaluations": len(designs), "networks": n_networks(designs),
    }  # fmt: skip
    return Dataset(with_metrics(FRONT, metrics, "interval"), arrays, ("level",), labels, attrs)


def _ends(
    objective: Objective, designs: Sequence[Evaluation], numbers: Sequence[int], levels: np.ndarray, text: MetricText
) -> list[str]:
    """Sentences on the first and the last level: what decides them, and whether better designs may lie beyond."""
    if objective.levels:
        ends = " and ".join(text.metric(objective.front, float(levels[i])) for i in (0, -1))
        return [f"the ends of the front are those of optimum.front_levels, {ends}"]
    limits = {limit.sign: limit for limit in objective.constraints if limit.metric == objective.front}
    sentences = []
    for word, sign, level in (("begins", 1, float(levels[0])), ("ends", -1, float(levels[-1]))):
        if sign in limits and limits[sign].limit == level:
            sentences.append(f"the front {word} at the constraint {text.constraint(limits[sign])}")
            continue
        nearest = int(np.argmin([abs(design.mean(objective.front) - level) for design in designs]))
        reason = f"largest {objective.metric}" if sign > 0 else f"largest {objective.front}"
        sentences.append(
            f"the front {word} at {objective.front} = {text.metric(objective.front, level)}, that of the simulated "
            f"design with the {reason} (evaluation {numbers[nearest]}); better designs may lie beyond"
        )
    return sentences
