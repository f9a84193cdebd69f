"""Section of the report on distributions: throats of the structure, virtual bench, inference and measured tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.report.page import STYLE, Section, picture

_COLOURS = {
    "structure": "#1c2530", "capillary flow": "#1f5fa8", "liquid displacement": "#2a8a57", "rejection": "#8a3f9b",
}  # fmt: skip
#: Methods with a log-normal distribution of the flow, and points of its curve.
_LAWS = ("capillary flow", "liquid displacement", "rejection")
_POINTS = 200


def distribution_section(groups: Mapping[str, xr.Dataset]) -> Section:
    """Overlay of the distributions of all links, of the first replicate.

    Parameters
    ----------
    groups : mapping of str to xarray.Dataset
        Tables of the run.
    """
    table = groups["round_trip"].isel(replicate=0)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        axes = figure.subplots()
        radius = table.throat_radius.values
        if np.isfinite(radius).any():
            fraction = 1 - table["quantile"].values
            axes.plot(radius, fraction, color=_COLOURS["structure"], label="throats of the structure, by number")
        for name, style in (("radius_structure", ":"), ("radius_flow_median", "--")):
            if np.isfinite(table[name]):
                label = "number median" if name == "radius_structure" else "flow median"
                axes.axvline(float(table[name]), color=_COLOURS["structure"], linestyle=style, linewidth=0.8,
                             label=f"{label} of the throats")  # fmt: skip
        for label, radius, fraction, colour in _bench_curves(groups):
            axes.step(radius, fraction, where="pre", color=colour, linewidth=1, label=label)
        _laws(axes, table, "--", "inferred")
        if "measured" in groups:
            _laws(axes, groups["measured"].isel(membrane=0), "-.", "measured")
        if not axes.get_legend_handles_labels()[1]:
            return Section("Pore sizes", "No distributions: they need the virtual bench (stages.characterize.bench).")
        axes.set(xscale="log", xlabel="pore radius [nm]", ylabel="fraction at and above the radius", ylim=(0, 1.02))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.legend(fontsize="small")
    caption = (
        "First replicate: throats of the structure, fraction of the dry flow (wet curve) and of the pore volume "
        "(mercury) of the virtual bench, and the log-normal distributions of the flow that porometry infers from it"
    )
    caption += ", and from the measured tables." if "measured" in groups else "."
    return Section("Pore sizes", "", [picture(figure, caption, "cumulative distributions of the pore radius")])


def _bench_curves(groups: Mapping[str, xr.Dataset]) -> Iterator[tuple[str, np.ndarray, np.ndarray, str]]:
    curves = groups.get("bench_curves")
    if curves is None:
        return
    if "replicate" in curves.dims:
        curves = curves.isel(replicate=0)
    curves = curves.sortby("entry_radius")  # pores of each level are open from its radius down to the next level
    for name, label, colour in (
        ("wet_fraction", "virtual bench, wet curve", "#d1702a"),
        ("mercury_fraction", "virtual bench, mercury", "#9aa6b4"),
    ):
        if name in curves:
            yield label, curves.entry_radius.values, curves[name].values, colour


def _laws(axes: Any, table: xr.Dataset, style: str, label: str) -> None:
    """Log-normal distributions of the flow by their median and width."""
    for method in _LAWS:
        median = float(table.radius_inferred.sel({"method": method}))
        log_sd = float(table.log_sd_inferred.sel({"method": method}))
        if not (np.isfinite(median) and np.isfinite(log_sd) and log_sd > 0):
            continue
        radius = np.geomspace(median * np.exp(-4 * log_sd), median * np.exp(4 * log_sd), _POINTS)
        fraction = 1 - normal_cdf(np.log(radius / median) / log_sd)
        axes.plot(radius, fraction, style, color=_COLOURS[method], linewidth=1, label=f"{label}, {method}")
