"""Sections of the report that compare membranes: changes between two states, and populations."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from membrane_dask.number_text import compact, with_error
from membrane_dask.report.page import STYLE, Grid, Picture, Section, literal_label, picture
from membrane_dask.studies.porometry.common_report import COLOURS, LEGEND, PANEL_PAD, with_interval
from membrane_dask.studies.porometry.comparisons import MAX_LOG_SD
from membrane_dask.studies.porometry.summary import LMH_BAR

_FIRST, _LATER = COLOURS[0], COLOURS[1]
#: Largest number of pairs in the figure.
_MAX_PAIRS = 40
#: Factor of the mean within which 95 % of the specimens lie that have one.
_MAX_FACTOR = math.exp(1.96 * MAX_LOG_SD)
#: Ratios of the table: variable and header.
_RATIOS = (
    ("permeability_ratio", "permeability"),
    ("radius_ratio_of_equal_number", "radius, if the pore number is equal"),
    ("radius_ratio", "radius"),
    ("porosity_ratio", "surface porosity"),
    ("pore_number_ratio", "pore number"),
)


def pairs_section(groups: Mapping[str, xr.Dataset]) -> Section:
    """Ratios of each pair, and both states drawn side by side.

    Parameters
    ----------
    groups : mapping of str to xarray.Dataset
        Tables of the run; ``pairs`` is one of them.
    """
    pairs = groups["pairs"]
    ratios = [(name, title) for name, title in _RATIOS if name in pairs and np.isfinite(pairs[name]).any()]
    rows = []
    for k, label in enumerate(pairs.pair.values):
        pair = pairs.isel(pair=k)
        resistance, error = float(pair.added_resistance), float(pair.added_resistance_error)
        rows.append([
            str(label),
            *(with_interval(pair, name) for name, _ in ratios),
            with_error(resistance, error),
        ])  # fmt: skip
    text = (
        "Each membrane in two states, both at 25 °C: later over first state. An interval of a ratio that includes 1 "
        "shows no resolved change. With an equal pore number the radius changes by the fourth root of the permeability "
        "ratio; with an equal radius, pore number and porosity change by that ratio itself."
    )
    if any(name == "radius_ratio" for name, _ in ratios):
        text += (
            " The last ratios follow from the priors of both states. Where both have the same prior of the thickness, "
            "the selective layer is the same; where both have the same prior of another quantity, its ratio is not "
            "measured."
        )
    header = ("membrane", *(title for _, title in ratios), "added resistance, m⁻¹ (± standard error)")
    contents: list[Picture | Grid] = [Grid(header, rows)]
    if "first_membrane" in pairs:
        contents.insert(0, _pairs_figure(groups))
    return Section("Change between states", text, contents)


def _pairs_figure(groups: Mapping[str, xr.Dataset]) -> Picture:
    """Permeability and pore structure in both states, a row for each pair."""
    pairs, fits, posteriors = groups["pairs"], groups["porometry"], groups["posterior"]
    count = min(pairs.sizes["pair"], _MAX_PAIRS)
    columns = [
        (_ends(fits, "hydraulic_permeability", fits.hydraulic_permeability_25 / fits.hydraulic_permeability * LMH_BAR),
         "L [L m⁻² h⁻¹ bar⁻¹]")
    ]  # fmt: skip
    for name, scale, label in (
        ("radius", 1e9, "radius [nm]"), ("porosity", 1.0, "surface porosity"), ("pore_number", 1.0, "pore number"),
    ):  # fmt: skip
        if np.isfinite(posteriors[f"{name}_median"]).any():
            columns.append((_ends(posteriors, name, scale, "_median"), label))
    positions = {str(label): k for k, label in enumerate(fits.membrane.values)}
    states = [[positions[str(label)] for label in pairs[name].values[:count]] for name in
              ("first_membrane", "later_membrane")]  # fmt: skip
    heights = np.arange(count)[::-1]
    with mpl.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=PANEL_PAD)
        figure = Figure(figsize=(2.6 * len(columns), 1.4 + 0.24 * count), layout=layout)
        axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axis, (ends, label) in zip(axes, columns, strict=True):
            for state, colour, offset, face, name in zip(
                states, (_FIRST, _LATER), (0.14, -0.14), ("white", _LATER), ("first state", "later state"), strict=True
            ):
                axis.hlines(heights + offset, ends[1, state], ends[2, state], color=colour, lw=1.2)
                axis.plot(ends[0, state], heights + offset, "o", color=colour, mfc=face, ms=4, label=name)
            finite = ends[:, [*states[0], *states[1]]]
            finite = finite[np.isfinite(finite) & (finite > 0)]
            if len(finite) and finite.max() / finite.min() > 12:
                axis.set_xscale("log")
            else:
                axis.set_xlim(0, None)
            axis.set_xlabel(label)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=LEGEND)
        axes[0].set_yticks(heights, [literal_label(label) for label in pairs.pair.values[:count]])
    caption = "Each membrane in its first state (open blue circles) and in its later one (orange), with intervals."
    if count < pairs.sizes["pair"]:
        caption += f" The first {count} of {pairs.sizes['pair']} pairs."
    return picture(figure, caption, "permeability and pore structure of each membrane in two states")


def _ends(dataset: xr.Dataset, name: str, scale: float | xr.DataArray, suffix: str = "") -> np.ndarray:
    """Value and ends of the interval of every membrane, (3, n)."""
    return np.stack([(dataset[f"{name}{end}"] * scale).values for end in (suffix, "_low", "_high")])


def populations_section(populations: xr.Dataset) -> Section:
    """Range of the specimens in each state, and their mean where they are alike."""
    rows = []
    for k, label in enumerate(populations.state.values):
        state = populations.isel(state=k)
        rows.append([
            str(label),
            str(int(state.membranes)),
            _range(state),
            _mean(state),
            compact(float(state.hydraulic_permeability_deviation) * LMH_BAR),
        ])  # fmt: skip
    text = (
        "The results are those of each membrane, above. Membranes whose names differ in a running number or a last "
        "letter only are taken as specimens of one membrane; whether they are, no table says. Their mean is that of a "
        "random-effects model in the logarithm, at 25 °C. It is given where 95 % of them lie within a factor of "
        f"{_MAX_FACTOR:.0f} of it; where they scatter more, it would be that of none of them, "
        "however small the errors are."
    )
    header = (
        "state", "specimens", "smallest to largest, L m⁻² h⁻¹ bar⁻¹", "geometric mean, L m⁻² h⁻¹ bar⁻¹",
        "standard deviation between specimens, L m⁻² h⁻¹ bar⁻¹",
    )  # fmt: skip
    return Section("Specimens of one membrane", text, [Grid(header, rows)])


def _range(state: xr.Dataset) -> str:
    if "hydraulic_permeability_smallest" not in state:  # of an earlier version
        return "-"
    return " to ".join(compact(float(state[f"hydraulic_permeability_{end}"]) * LMH_BAR)
                       for end in ("smallest", "largest"))  # fmt: skip


def _mean(state: xr.Dataset) -> str:
    """Geometric mean with its interval, or why there is none."""
    if np.isfinite(state.hydraulic_permeability_mean):
        return with_interval(state, "hydraulic_permeability_mean", LMH_BAR)
    # The factor within which 95 % lie, of a normal distribution of the logarithm.
    factor = math.exp(1.96 * float(state.hydraulic_permeability_log_sd))
    return f"none: 95 % lie within a factor of {compact(factor, 2)}"
