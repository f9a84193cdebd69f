"""Yield and purity of the species of the feed in the filtrate."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.number_text import compact, with_error
from membrane_dask.report.page import Grid, Section, literal_label, picture
from membrane_dask.studies.graded.common_report import COLOURS, MARKERS, error_bars, front_order, label, mean_of, slices

_NAMES = ("species_concentration", "species_yield", "species_purity", "species_recovered")


def species_sections(table: xr.Dataset, title_suffix: str) -> list[Section]:
    """Return purity against yield of every species, and their numbers, for one deposition coefficient.

    Parameters
    ----------
    table : xarray.Dataset
        Metrics for one deposition coefficient.

    Returns
    -------
    list of Section
        Empty where the feed has one foulant.
    """
    if "species_yield" not in table:
        return []
    n_species = table.sizes["species"]
    figure = Figure(figsize=(3.4 * n_species, 3.1), layout="constrained")
    axes = figure.subplots(1, n_species, squeeze=False)[0]
    for axis, one in zip(axes, slices(table, "species"), strict=True):
        for i, curve in enumerate(slices(one, "l_max")):
            x, y = mean_of(curve.species_yield), mean_of(curve.species_purity)
            axis.errorbar(
                x.value, y.value, xerr=x.half, yerr=y.half, color=COLOURS[i % len(COLOURS)],
                marker=MARKERS[i % len(MARKERS)], ms=4, lw=1, capsize=2, ls="none", label=f"{float(curve.l_max):g}",
            )  # fmt: skip
            front = front_order(x.value, y.value)
            axis.plot(x.value[front], y.value[front], color=COLOURS[i % len(COLOURS)], lw=1)
            for s, x_value, y_value in zip(table.gradient.values, x.value, y.value, strict=True):
                if np.isfinite(s) and table.sizes["gradient"] > 1:
                    axis.annotate(f"{s:g}", (x_value, y_value), (3, 3), textcoords="offset points", fontsize=8)
        axis.set(xlabel="yield", ylabel="purity", title=literal_label(one.species.item()))
    if table.sizes["l_max"] > 1:
        axes[0].legend(title="$l_{max}$")
    gradients = ", labelled with the gradient" if table.sizes["gradient"] > 1 else ""
    caption = (
        f"Purity of each species in the filtrate against its yield, one point for each design{gradients}. "
        "Lines join the designs that no other one surpasses in both."
        f"{error_bars(table, deviation=False)}"
    )
    points = [name for name in ("l_max", "gradient") if np.isfinite(table[name]).all()]
    rows = []
    for one in slices(table, "l_max", "gradient", "species"):
        means = [mean_of(one[name]) for name in _NAMES]
        cells = [with_error(float(mean.value), float(mean.half)) for mean in means]
        rows.append((*(compact(float(one[name]), 4) for name in points), str(one.species.item()), *cells))
    symbols = {"l_max": "l_max", "gradient": "s"}
    grid = Grid((*(symbols[name] for name in points), "species", *map(label, _NAMES)), rows)
    return [Section(f"Species{title_suffix}", "", [picture(figure, caption, "purity against yield"), grid])]
