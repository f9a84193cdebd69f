"""Section of the report on the life of the structure as a filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.number_text import percent_text
from membrane_dask.report.page import STYLE, Grid, Note, Picture, Section, picture
from membrane_dask.studies.chain.round_trip_report import cell

#: Curves of a life: variable and axis label.
_CURVES = (
    ("flux", "flux [L m$^{-2}$ h$^{-1}$]"),
    ("transmembrane_pressure", "pressure [bar]"),
    ("foulant_concentration_out", "concentration of foulant out / in"),
)


def life_section(groups: Mapping[str, xr.Dataset], run: Run | None) -> Section:
    """Times and volumes at the levels of the flux, and curves of all replicates.

    Parameters
    ----------
    groups : mapping of str to xarray.Dataset
        Tables of the run of the chain.
    run : Run or None
        Run of the stage foul; None where it was moved or removed.
    """
    contents: list[Any] = [_levels(groups["life"]), Note(_model_factor(groups["life"]))]
    if run is None:
        contents.append(Note("The run of foul is gone: its curves are not shown."))
    else:
        curves = _curves(run.result["life/history"].to_dataset().load())
        contents += [curves] if curves else []
    return Section("Life", "", contents)


def _model_factor(life: xr.Dataset) -> str:
    text = str(life.attrs["model_factor"])
    note = " It is not in the intervals." if life.attrs.get("interval_replicates") else ""
    return f"A life by the pore network over that of the voxels: {text}.{note}"


def _levels(life: xr.Dataset) -> Grid:
    """Times and volumes of the first replicate, with their intervals over the replicates."""
    rows = []
    for level in life.level.values:
        row = life.isel(replicate=0).sel(level=level)
        time, volume = (
            cell(row[name], row[f"{name}_low"], row[f"{name}_high"])
            for name in ("service_time_level", "filtrate_volume_level")
        )
        rows.append([percent_text(float(level)), time, volume])
    interval, caption = "", "Best match." if life.sizes["replicate"] > 1 else ""
    if life.attrs.get("interval_replicates"):
        interval = f" [{percent_text(life.attrs['confidence'])} interval]"
        caption = "Best match, with the intervals over the replicates of the study of the life."
    header = ["flux per pressure, of the first one", f"time, h{interval}", f"filtrate, L m⁻²{interval}"]
    return Grid(header, rows, caption)


def _curves(history: xr.Dataset) -> Picture | None:
    names = [(name, label) for name, label in _CURVES if np.isfinite(history[name]).any()]
    elapsed = history.elapsed_time.transpose("replicate", "time").values
    lives = np.flatnonzero(np.isfinite(elapsed).all(axis=1))
    if not names or not len(lives):
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.2 * len(names), 2.8), layout="constrained")
        common = np.linspace(0.0, elapsed[lives, -1].min(), elapsed.shape[1])  # until the first life ends
        for axes, (name, label) in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
            values = history[name].transpose("replicate", "time").values
            for k in lives:
                width = 1.6 if k == lives[0] else 0.7
                alpha = 1 if k == lives[0] else 0.5
                axes.plot(elapsed[k], values[k], color="#1f5fa8", linewidth=width, alpha=alpha, label=f"replicate {k}")
            if len(lives) > 1:
                curves = np.stack([np.interp(common, elapsed[k], values[k]) for k in lives])
                axes.fill_between(common, curves.min(axis=0), curves.max(axis=0), color="#1f5fa8", alpha=0.15)
            axes.set(xlabel=f"time [{history.elapsed_time.attrs.get('units', '')}]", ylabel=label)
    caption = "Life of each replicate, the first one thick; the band is their range until the first life ends."
    return picture(figure, caption, "flux, pressure and concentration against time")
