"""Report of a foul study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.number_text import compact, interval_text, percent_text, readable_unit
from membrane_dask.physics.networks.structure_laws import NO_PATH
from membrane_dask.physics.reconstruction.replicate_interval import replicate_interval
from membrane_dask.report.page import STYLE, Download, Grid, Note, Section, picture
from membrane_dask.studies.foul.findings import NO_VOXELS
from membrane_dask.studies.foul.variables import INTERVALS, LIFE

#: Instants of the common axes of several replicates, and height of the axes over the largest value of a life.
_POINTS = 101
_HEADROOM = 1.3
_COLOUR = "#1f5a96"
#: Panels of the histories: variable and label of the ordinate.
_PANELS = (
    ("flux", "permeate flux [L m⁻² h⁻¹]"),
    ("transmembrane_pressure", "transmembrane pressure [bar]"),
    ("foulant_concentration_out", "filtrate concentration"),
)


def sections(run: Run) -> Sequence[Section]:
    """Lives, histories, deposits and hydraulics."""
    result = run.result
    if "life" not in result:
        return [Section("Life", "No table yet: it is computed when units have finished.")]
    life, history = result["life"].to_dataset(), result["life/history"].to_dataset()
    content = [_lives(life)]
    with mpl.rc_context(STYLE):
        if np.isfinite(history.flux.values).all(axis=1).any():
            content.append(_histories(life, history))
        if np.isfinite(life.deposited_fraction.values).any():
            content.append(_deposits(life))
    return [*content, *_hydraulics(result)]


def _lives(life: xr.Dataset) -> Section:
    """Table of the numbers, with their intervals where there are several replicates."""
    rows = []
    several = life.sizes["replicate"] > 1
    time_unit, per_hour = readable_unit("h", life.service_time.values)
    for name in INTERVALS:
        variable = life[name]
        for level in life.level.values if "level" in variable.dims else [None]:
            values = variable if level is None else variable.sel(level=level)
            unit, factor = variable.attrs["units"], 1.0
            if unit == "h":
                unit, factor = time_unit, per_hour
            ends = [life[f"{name}_{end}"] for end in ("low", "high")]
            low, high = (factor * float(end if level is None else end.sel(level=level)) for end in ends)
            shown, interval = _cells(factor * values.values, low, high)
            title = variable.attrs["long_name"] + ("" if level is None else f" (level {level:g})")
            rows.append([title, shown, interval, unit])
    causes = life.end_of_life_cause
    meanings = str(causes.attrs["flag_meanings"]).split()
    shown = ", ".join(meanings[int(cause)] if math.isfinite(cause) else "failed" for cause in causes.values)
    rows.append(["end of life", shown, "", ""])
    balances = (f"{value:.9f}" if math.isfinite(value) else "none" for value in life.foulant_balance.values)
    rows.append(["foulant balance", ", ".join(balances), "", "1"])
    confidence = float(life.attrs["confidence"])
    header = ["quantity", "replicates" if several else "value", f"{percent_text(confidence)} interval", "unit"]
    if not several:
        header, rows = [column for k, column in enumerate(header) if k != 2], [[*row[:2], row[3]] for row in rows]
    text = (
        "Throats narrow, and pores lose wall area, as foulant is deposited. Times and volumes of the network over "
        f"those of the voxels: {life.attrs['model_factor']}."
    ) + (" It is not part of the intervals." if life.attrs["interval_replicates"] else "")
    if life.attrs["model_factor"] == NO_VOXELS:
        radius = str(life.attrs["conductance"])
        tubes = "tubes" if radius == "as given" else f"tubes of the {radius} radii"
        text = f"Pores are {tubes}: they narrow as foulant is deposited along them, by the laws of graded studies."
    finite = causes.values[np.isfinite(causes.values)]
    if (finite == NO_PATH).all():
        text = "No path leads through the pores from the feed to the filtrate: there is no flux and no life."
        if len(finite) < len(causes):
            text = "No life is known, as units have failed (see the failures of the run)."
    contents: list[Any] = [Grid(header, rows)]
    n_lives = int(life.attrs["interval_replicates"])
    if several and n_lives:
        structures = "" if n_lives == len(causes) else f" They hold the {n_lives} of {len(causes)} that have a life."
        note = f"Intervals are over replicates of the reconstruction; its bias is not in them.{structures}"
        contents.append(Note(note))
    names = [v.name for v in LIFE.variables if v.dims == ("replicate",) and not v.group]
    lines = [",".join(["replicate", *names])]
    lines += [
        ",".join([str(k), *(repr(float(life[name].values[k])) for name in names)])
        for k in range(life.sizes["replicate"])
    ]
    contents.append(Download("life.csv", "Lives of all replicates (CSV)", "\n".join(lines) + "\n"))
    return Section("Life", text, contents)


def _band(values: np.ndarray, confidence: float, design: str) -> tuple[np.ndarray, np.ndarray]:
    """Interval over the replicates at every instant, on the logarithm; NaN for fewer than three."""
    coordinate = xr.Variable("replicate", np.arange(len(values)), {"design": design})
    array = xr.DataArray(values, {"replicate": coordinate}, ("replicate", "instant"))
    low, high = replicate_interval(array, confidence, scale="log")
    return low.values, high.values


def _histories(life: xr.Dataset, history: xr.Dataset) -> Section:
    """Flux, pressure and concentration against time and volume, with the interval over replicates as a band."""
    time_unit, per_hour = readable_unit("h", life.service_time.values)
    abscissae_of_columns = (
        (history.elapsed_time.values * per_hour, f"time [{time_unit}]"),
        (history.filtrate_volume.values, "filtrate volume [L m⁻²]"),
    )
    lives = [k for k in range(life.sizes["replicate"]) if np.isfinite(history.flux.values[k]).all()]
    confidence, design = float(life.attrs["confidence"]), str(life.replicate.attrs.get("design", ""))
    # At constant pressure its panel would say nothing.
    pressure = history.transmembrane_pressure.values[lives].ravel()
    varies = bool(len(pressure)) and pressure.max() > pressure.min()
    panels = [panel for panel in _PANELS if panel[0] != "transmembrane_pressure" or varies]
    figure = Figure(figsize=(8.4, 2.4 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False)
    for column, (abscissae, x_label) in enumerate(abscissae_of_columns):
        end = min((abscissae[k, -1] for k in lives), default=0.0)
        common = np.linspace(0.0, end, _POINTS)
        for row, (name, y_label) in enumerate(panels):
            axis, values = axes[row, column], history[name].values
            for k in lives:
                width = 1.4 if k == lives[0] else 0.6
                axis.plot(abscissae[k], values[k], color=_COLOUR, lw=width, label=f"replicate {k}")
            if len(lives) > 2 and end > 0:
                curves = np.stack([np.interp(common, abscissae[k], values[k]) for k in lives])
                low, high = _band(curves, confidence, design)
                axis.fill_between(common, low, high, color=_COLOUR, alpha=0.18, lw=0)
            axis.set(xlabel=x_label, ylabel=y_label)
            largest = max((values[k].max() for k in lives), default=1.0)
            axis.set_ylim(0, _HEADROOM * largest)  # at the end of lives the interval of a logarithm has no bound
    band = (
        f"; the band is the {percent_text(confidence)} interval over replicates until the first life ends"
        if len(lives) > 2
        else ""
    )
    caption = (
        f"Flux{', transmembrane pressure' if varies else ''} and concentration of the filtrate, over that of the feed, "
        f"against time and filtrate volume, until the end of life{band}; {life.attrs['model_factor']}."
    )
    return Section("Histories", contents=[picture(figure, caption, "flux and concentration against time and volume")])


def _deposits(life: xr.Dataset) -> Section:
    """Deposit by depth at every level: the mean of the replicates."""
    levels = life.level.values
    figure = Figure(figsize=(4.8, 3.2), layout="constrained")
    axis = figure.subplots()
    for k, level in enumerate(levels):
        values = life.deposited_fraction.sel(level=level).values
        values = values[np.isfinite(values).all(axis=1)]
        if len(values):
            shade = 0.25 + 0.75 * k / max(len(levels) - 1, 1)
            mean = values.mean(axis=0) * life.sizes["depth"]
            axis.step(life.depth.values, mean, where="mid", color=_COLOUR, alpha=shade, label=f"{level:g}")
    if axis.lines:
        axis.legend(title="level of the flux")
    axis.set(xlabel="depth, over the thickness", ylabel="deposit, over its mean", ylim=(0, None))
    caption = (
        "Deposit along the depth when the flux per pressure has fallen to each level; mean of the replicates; "
        f"{life.attrs['model_factor']}."
    )
    header = ",".join(["depth", *(f"level {level:g}" for level in levels)])
    means = np.array([_mean(life.deposited_fraction.sel(level=level).values) for level in levels])
    lines = [
        ",".join([repr(float(depth)), *(repr(float(value)) for value in means[:, k])])
        for k, depth in enumerate(life.depth.values)
    ]
    table = Download("deposit.csv", "Deposit by depth (CSV)", "\n".join([header, *lines]) + "\n")
    return Section("Deposit", contents=[picture(figure, caption, "deposit along the depth"), table])


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the replicates that have reached the level; NaN for none."""
    reached = values[np.isfinite(values).all(axis=1)]
    return np.asarray(reached.mean(axis=0)) if len(reached) else np.full(values.shape[1], math.nan)


def _hydraulics(result: Any) -> list[Section]:
    """Permeability ratios and flow errors of the conductances and of formulas."""
    if "hydraulics" not in result:
        return []
    table, life = result["hydraulics"].to_dataset(), result["life"].to_dataset()
    rows = [
        [
            str(name),
            ", ".join(_number(value) for value in table.permeability_ratio.sel(conductance=name).values),
            ", ".join(_number(value) for value in table.flow_error.sel(conductance=name).values),
        ]
        for name in table.conductance.values
    ]
    text = (
        "Conductances of the throats against the flow in the voxels: permeability of the network over that of the "
        "voxels, and errors of the flows of inner throats."
    )
    fallback = [
        [f"replicate {k}", f"{throats:.1%}", f"{flow:.2%}"]
        for k, (throats, flow) in enumerate(
            zip(life.fallback_throat_fraction.values, life.fallback_flow_fraction.values, strict=True)
        )
        if math.isfinite(throats)
    ]
    grids = [Grid(["conductance", "permeability ratio", "flow error"], rows)]
    if fallback:
        header = ["", "throats of the scaled formula", "their flow"]
        grids.append(Grid(header, fallback))
    return [Section("Hydraulics", text, grids)]


def _cells(values: np.ndarray, low: float, high: float) -> tuple[str, str]:
    """Values, and their interval, with the digits that it supports."""
    texts = [interval_text(float(value), low, high, join=" to ").partition(" [") for value in values]
    interval = next((text.removesuffix("]") for _, _, text in texts if text), "none")
    return ", ".join(text if text != "-" else "none" for text, _, _ in texts), interval


def _number(value: float) -> str:
    return compact(value, 4) if math.isfinite(value) else "none"
