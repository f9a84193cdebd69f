"""Differences between the volumes of a study and its reference, in words and cells of a table."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from membrane_dask.report.page import STYLE, Picture, picture
from membrane_dask.studies.characterize.comparison import count_significant, exceeds_chance
from membrane_dask.studies.characterize.property_intervals import CONFIDENCE, are_independent_searches

#: Ratios to the reference between which intervals are drawn.
_LIMITS = (0.25, 4.0)


def comparison_pictures(groups: Mapping[str, xr.Dataset]) -> list[Picture]:
    """Ratios of the properties to those of the reference, with their intervals; none without intervals."""
    comparison = groups.get("comparison")
    if comparison is None or not np.isfinite(comparison.p_value).any():
        return []
    rows = comparison.isel(property=np.isfinite(comparison.p_value.values))
    ratio, low, high = (1 + rows[name].values for name in ("difference", "difference_low", "difference_high"))
    position = -np.arange(len(ratio))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 0.8 + 0.2 * len(ratio)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(1, color="#999", lw=0.8)
        for significant, color in ((False, "#1f5fa8"), (True, "#b3341f")):
            chosen = (rows.p_value.values < 1 - CONFIDENCE) == significant
            if chosen.any():
                label = f"p < {1 - CONFIDENCE:.1f}" if significant else f"p ≥ {1 - CONFIDENCE:.1f}"
                axis.hlines(position[chosen], np.maximum(low[chosen], 1e-3), high[chosen], color=color, lw=1.6)
                axis.plot(ratio[chosen], position[chosen], "o", ms=4, color=color, label=label)
        positive = ratio[ratio > 0]  # a ratio of 0 has no place on the axis; it stands in the table
        limits = min([_LIMITS[0], *positive / 1.25]), max([_LIMITS[1], *positive * 1.25])
        axis.set(xscale="log", xlim=limits, xlabel="ratio to the reference", ylim=(0.7 - len(ratio), 0.7))
        axis.set_yticks(position, [str(name).replace("_", " ") for name in rows.property.values])
        axis.set_xticks([0.25, 0.5, 0.8, 1, 1.25, 2, 4])
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    caption = f"Ratios of the properties to those of the reference, with {CONFIDENCE:.0%} intervals."
    return [picture(figure, caption, caption)]


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
