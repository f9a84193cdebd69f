"""Comparison of the volumes of a study with its reference: difference of every property, interval and p-value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from membrane_dask.physics.reconstruction.replicate_difference import Difference, replicate_difference
from membrane_dask.program import Dataset as Table
from membrane_dask.studies.characterize.property_intervals import (
    CONFIDENCE,
    labelled,
    reference_finding,
    single_properties,
    table_intervals,
)
from membrane_dask.studies.characterize.variables import COMPARISON_TABLE

if TYPE_CHECKING:
    import xarray as xr


def compare_properties(
    properties: xr.Dataset, reference: xr.Dataset, *, equal_size: bool = True
) -> Mapping[str, Difference]:
    """Differences of all single properties that both have, in the order of their declaration.

    Parameters
    ----------
    properties, reference : xarray.Dataset
        Groups ``properties`` and ``reference_properties``; either may have replicates.
    equal_size : bool
        Whether all volumes have one size; otherwise numbers of things are not compared.
    """
    return {
        variable.name: replicate_difference(properties[variable.name], reference[variable.name], CONFIDENCE)
        for variable in single_properties(properties)
        if variable.name in reference and (equal_size or not variable.name.startswith("n_"))
    }


def comparison_table(properties: Table, reference: Table, *, equal_size: bool) -> Table:
    """The table ``comparison`` of the tables ``properties`` and ``reference_properties`` of a run."""
    differences = compare_properties(labelled(properties), labelled(reference), equal_size=equal_size)
    names = ("difference", "difference_low", "difference_high", "p_value")
    values = {
        name: np.array([float(difference[k]) for difference in differences.values()]) for k, name in enumerate(names)
    }
    labels = {"property": np.array(list(differences), np.dtypes.StringDType())}
    finding = _finding(properties, reference, values["p_value"], equal_size)
    return Table(COMPARISON_TABLE, values, labels=labels, attrs={"summary": [finding]} if finding else {})


def _finding(properties: Table, reference: Table, p_values: np.ndarray, equal_size: bool) -> str:
    """One sentence on the reference where chance does not explain it; empty otherwise."""
    if "replicate" not in reference.dims:
        return reference_finding(table_intervals(properties, reference, equal_size=equal_size))
    significant, total = count_significant(p_values)
    if not exceeds_chance(significant, total):
        return ""
    return (
        f"{significant} of {total} properties differ significantly from those of the reference "
        f"({CONFIDENCE:.0%} confidence), more than chance explains: the two membranes are different."
    )


def count_significant(p_values: np.ndarray) -> tuple[int, int]:
    """Number of significant differences, and of those that have a p-value."""
    defined = p_values[np.isfinite(p_values)]
    return int((defined < 1 - CONFIDENCE).sum()), len(defined)


def exceeds_chance(significant: int, total: int) -> bool:
    """Whether more differences are significant than 10 % and two standard deviations of independent ones."""
    tail = 1 - CONFIDENCE
    return significant > tail * total + 2 * math.sqrt(tail * (1 - tail) * total)
