"""Designs and the end of a search in sentences, and designs as the arrays of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_search import Evaluation
from membrane_dask.studies.graded.design_space import DesignSpace


def parameter_arrays(space: DesignSpace, values: Mapping[str, float]) -> dict[str, Any]:
    """Parameters by the names of the tables, radii as one array."""
    return {name: np.array(value, float) for name, value in space.design(values).items()}


def n_networks(designs: Sequence[Evaluation]) -> int:
    """Number of simulated networks of designs."""
    return sum(len(next(iter(design.networks.values()))) for design in designs)


def design_text(space: DesignSpace, values: Mapping[str, float]) -> str:
    """Parameters of a design, such as ``radius [0.02, 0.0143, 0.0089, 0.0051], porosity 0.6``."""
    parameters = space.design(values)
    radii = [f"{r:.4g}" for r in parameters.pop("radius", [])]
    texts = [f"radius [{', '.join(radii)}]"] if radii else []
    if "pressure" in parameters:
        texts.append(f"pressure {parameters.pop('pressure'):.4g} Pa")
    return ", ".join([*texts, *(f"{name} {value:.4g}" for name, value in parameters.items())])


def why_it_ended(study: GradedStudy, reason: str, designs: Sequence[Evaluation]) -> str:
    """Sentence on the end of a search, from its stop reason."""
    count = f"{len(designs)} designs, {n_networks(designs)} networks"
    reasons = {
        "tolerance": f"no design is better by more than {study.optimum.tolerance:g}, with a probability of "
        f"{study.optimum.confidence:g}",
        "evaluations": "optimum.evaluations is reached",
        "infeasible": "no design meets the constraints",
        "constant": "all designs are equal",
    }
    return f"the search ended after {count}: {reasons[reason]}"
