"""Differences between the volumes of a study and its reference, in words and cells of a table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from membrane_dask.studies.characterize.comparison import count_significant, exceeds_chance
from membrane_dask.studies.characterize.property_intervals import CONFIDENCE, are_independent_searches


def comparison_cells(comparison: xr.Dataset | None) -> dict[str, list[str]]:
    """Difference with its interval, and p-value, of every property; empty without intervals."""
    if comparison is None or not np.isfinite(comparison.p_value).any():
        return {}
    cells = {}
    for name in comparison.property.values.tolist():
        row = comparison.sel(property=name)
        value, low, high, p = (
            float(row[field]) for field in ("difference", "difference_low", "difference_high", "p_value")
        )
        text = _relative(value) if np.isfinite(value) else "-"
        if np.isfinite(p):
            cells[name] = [f"{text} [{_relative(low)}, {_relative(high)}]", "< 0.001" if p < 0.001 else f"{p:.3f}"]
        else:
            cells[name] = [text, "-"]
    return cells


def _relative(difference: float) -> str:
    """A relative difference in per cent; as a factor where it is more than ten."""
    return f"{difference:+.1%}" if difference < 9.0 else f"{1 + difference:.3g}-fold"


def comparison_text(groups: Mapping[str, xr.Dataset]) -> list[str]:
    """How many properties differ significantly from those of a reference that has replicates."""
    reference = groups.get("reference_properties")
    if reference is None or "replicate" not in reference.dims or "comparison" not in groups:
        return []
    significant, total = count_significant(groups["comparison"].p_value.values)
    if not total:
        return ["Neither the input nor the reference has three replicates: differences have no intervals."]
    sentences = []
    if not exceeds_chance(significant, total):  # otherwise the first line of the page says so
        sentences.append(
            f"{significant} of {total} properties differ significantly from those of the reference; of equal membranes "
            f"about {(1 - CONFIDENCE) * total:.0f} do at a confidence of {CONFIDENCE:.0%}."
        )
    sentences.append("The intervals of the differences contain the errors of both reconstructions.")
    if are_independent_searches(groups["properties"]) or are_independent_searches(reference):
        sentences.append("Of independent searches they say whether these differ, not whether the membranes do.")
    return sentences
