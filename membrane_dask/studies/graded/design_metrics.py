"""Metrics of a design by the names that a study gives them: scalars of a network, and those of one species."""

from __future__ import annotations

import re
from collections.abc import Sequence

from membrane_dask.errors import nearest
from membrane_dask.schema import Variable
from membrane_dask.studies.graded.law_variables import SPECIES_VARIABLES
from membrane_dask.studies.graded.variables import DESIGN_METRICS

#: Variables that have a value for each species, by name; ``species_yield_protein`` is that of the species ``protein``.
SPECIES_METRICS = {variable.name: variable for variable in SPECIES_VARIABLES if not variable.group}
_CONCENTRATIONS = (
    "foulant_concentration", "foulant_concentration_threshold", "foulant_concentration_threshold_step",
)  # fmt: skip
#: Variables that lie between 0 and 1; no other one is negative.
FRACTIONS = frozenset({
    *_CONCENTRATIONS, "porosity_usage", "porosity_usage_threshold", "porosity_usage_threshold_step",
    "species_concentration", "species_yield", "species_purity", "particle_retention", "non_cylindrical_deposition",
})  # fmt: skip
#: Metrics of which a filter with less is better.
BETTER_SMALL = frozenset({*_CONCENTRATIONS, "n_passed", "initial_transmembrane_pressure"})


def split_metric(name: str) -> tuple[str, str]:
    """Name of the variable of a metric, and of its species; empty without a species.

    Raises
    ------
    ValueError
        If the name is not that of a metric.
    """
    for stem in SPECIES_METRICS:
        if name == stem or (name.startswith(f"{stem}_") and len(name) > len(stem) + 1):
            return stem, name[len(stem) + 1 :]
    if name not in DESIGN_METRICS:
        candidates = (*DESIGN_METRICS, *SPECIES_METRICS)
        raise ValueError(f"no metric of a design; {nearest(name, candidates)} (got {name!r})")
    return name, ""


def ends_at_threshold(name: str) -> bool:
    """Whether a metric ends at the flux threshold, which a life at constant flux does not have."""
    return name in DESIGN_METRICS and name.endswith(("_threshold", "_threshold_step"))


def metric_variable(name: str) -> Variable:
    """Declaration of a metric."""
    variable, species = split_metric(name)
    if not species:
        return DESIGN_METRICS[variable]
    declared = SPECIES_METRICS[variable]
    return Variable(name, (), declared.dtype, declared.units, f"{declared.long_name}: {species}", nullable=True)


def metric_position(name: str, species: Sequence[str]) -> tuple[str, int]:
    """Variable of a metric, and its position among the values of a network with a single deposition coefficient.

    Parameters
    ----------
    name : str
        Name of the metric.
    species : sequence of str
        Names of the species of the feed.
    """
    variable, selected = split_metric(name)
    return variable, list(species).index(selected) if selected else 0


def species_problem(name: str, species: Sequence[str]) -> str | None:
    """What is wrong with the species of a metric: none stated, or none of the feed; None if it is right."""
    variable, selected = split_metric(name)
    if variable not in SPECIES_METRICS or selected in species:
        return None
    if not species:
        return f"{name} needs species, a list of the foulants of the feed"
    valid = ", ".join(f"{variable}_{one}" for one in species if re.fullmatch(r"\w+", one))
    if not valid:
        return f"{name} needs species whose names have letters, digits and _ alone (got {', '.join(species)})"
    return f"{name} names no species; one of {valid}" if not selected else f"no species {selected!r}; one of {valid}"
