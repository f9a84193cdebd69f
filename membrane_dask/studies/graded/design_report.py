"""Designs of a study: their metrics with intervals, as a table and as CSV, and the trade-offs between the metrics."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.number_text import compact, with_error
from membrane_dask.report.page import Download, Grid, Picture, Section, picture
from membrane_dask.studies.graded.closing_time import REASON
from membrane_dask.studies.graded.common_report import (
    COLOURS,
    MARKERS,
    NO_SPREAD,
    end_of_life,
    error_bars,
    front_order,
    gradient_colours,
    has_no_spread,
    heading,
    label,
    log_reduction,
    mean_of,
    physical_name,
    readable_times,
    slices,
)

_METRICS = (
    "initial_flux", "throughput", "foulant_concentration", "log_reduction_value", "lifetime", "porosity_usage",
    "foulant_balance", "initial_transmembrane_pressure", "n_arrivals", "n_passed", "particle_retention",
)  # fmt: skip
_POINT = ("l_max", "gradient", "deposition")


def design_section(
    table: xr.Dataset, radii: Mapping[float, Sequence[float]], *, ends_with_first_band: bool = False
) -> Section:
    """Return the table of the designs, its CSV file, and the trade-offs of several designs.

    Parameters
    ----------
    table : xarray.Dataset
        Table ``graded``, sorted by ``l_max`` and ``gradient``.
    radii : mapping of float to sequence of float
        Pore radius of each band, by gradient; empty for a network that was not generated.
    ends_with_first_band : bool
        Whether lives last until the pores of the first band close.
    """
    table = table.assign(log_reduction_value=log_reduction(table))
    download = Download("designs.csv", "All designs and metrics as CSV", _csv(table, radii))
    n_points = math.prod(table.sizes[name] for name in _POINT)
    figures = [_trade_offs(table)] if n_points > 1 else []
    networks = int((table.status == 1).sum("realization").max())
    intervals = "± is the half width of the 95 % confidence interval of the mean." if networks > 1 else ""
    particles = (
        "The particles that block pores are not part of the foulant whose concentration and log reduction value these "
        "are; particle retention is the fraction of them that did not pass."
        if "n_arrivals" in table
        else ""
    )
    text = (
        f"Means over the networks of a design, until {end_of_life(table.attrs)}. Lengths are in membrane thicknesses "
        "W; quantities without a unit are dimensionless."
    )
    spread = NO_SPREAD if networks > 1 and has_no_spread(table, _columns(table)) else ""
    if spread and ends_with_first_band and has_no_spread(table, [physical_name("lifetime", table)]):
        spread += f" The lifetime is one of them: {REASON}."
    text = " ".join(filter(None, (text, intervals, spread, particles)))
    return Section("Designs", text, [*figures, _grid(table), download])


def _columns(table: xr.Dataset) -> list[str]:
    """Names of the metrics that the table of the designs shows."""
    names = [physical_name(name, table) for name in _METRICS]
    constant = (
        {"initial_transmembrane_pressure"} if table.attrs.get("operation.mode", "pressure") == "pressure" else set()
    )
    return [name for name in names if name in table and name not in constant]


def _grid(table: xr.Dataset) -> Grid:
    table = readable_times(table)
    names = _columns(table)
    headers = {"l_max": "l_max", "gradient": "gradient s", "deposition": "λ"}
    # A network from a file has neither pore length nor gradient.
    labels = [name for name in ("l_max", "gradient") if np.isfinite(table[name]).all()]
    labels += ["deposition"] if table.sizes["deposition"] > 1 else []
    rows = []
    for one in slices(table, *_POINT):
        count = int((one.status == 1).sum())
        cells = [compact(float(one[name]), 4) for name in labels]
        for name in names:
            mean = mean_of(one[name])
            cells.append(with_error(float(mean.value), float(mean.half)))
        rows.append((*cells, str(count), *_causes(one)))
    causes = ("end of life",) if "end_of_life_cause" in table else ()
    return Grid(
        (*(headers[name] for name in labels), *(heading(name, table) for name in names), "networks", *causes), rows
    )


def _causes(one: xr.Dataset) -> tuple[str, ...]:
    """Return how the lives of the networks of a design end, such as ``blocked 3, extinction 17``."""
    if "end_of_life_cause" not in one:
        return ()
    meanings = str(one.end_of_life_cause.attrs["flag_meanings"]).split()
    values = np.atleast_1d(one.end_of_life_cause.attrs["flag_values"]).tolist()
    causes = one.end_of_life_cause.values[one.status.values == 1]
    counts = [(meaning, int((causes == value).sum())) for meaning, value in zip(meanings, values, strict=True)]
    return (", ".join(f"{meaning} {count}" for meaning, count in counts if count),)


def _csv(table: xr.Dataset, radii: Mapping[float, Sequence[float]]) -> str:
    """Return one row for each design: its parameters, and mean and interval of every metric."""
    metrics = _metrics(table)
    bands = table.band.values if radii else ()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    header = [_with_unit(name + end, values) for name, values in metrics.items() for end in ("", "_low", "_high")]
    writer.writerow([*_POINT, *(f"radius_band_{band}" for band in bands), "networks", *header])
    for one in slices(xr.Dataset(metrics).assign(status=table.status), *_POINT):
        row: list[float | int] = [float(one[name]) for name in _POINT]
        row += [float(radius) for radius in radii.get(float(one.gradient), ())]
        row.append(int((one.status == 1).sum()))
        for name in metrics:
            mean = mean_of(one[name].where(one.status == 1))
            row += [float(mean.value), float(mean.value - mean.half), float(mean.value + mean.half)]
        writer.writerow([f"{value:.8g}" if isinstance(value, float) else value for value in row])
    return stream.getvalue()


def _metrics(table: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return all metrics of the networks; those by band or species as one metric for each of them."""
    metrics: dict[str, xr.DataArray] = {}
    for name, values in table.data_vars.items():
        if name == "status" or "flag_meanings" in values.attrs:
            continue
        element = next((dim for dim in ("band", "species") if dim in values.dims), None)
        if element is None:
            metrics[str(name)] = values
        else:
            stem = str(name).removeprefix(f"{element}_")
            for key in table[element].values.tolist():
                metrics[f"{stem}_{element}_{key}"] = values.sel({element: key}, drop=True)
    return metrics


def _with_unit(name: str, variable: xr.DataArray) -> str:
    unit = variable.attrs.get("units", "1")
    return name if unit == "1" else f"{name} [{unit}]"


def _trade_offs(table: xr.Dataset) -> Picture:
    """Plot throughput and initial flux against the log reduction value: a point for each design."""
    names = [physical_name(name, table) for name in ("throughput", "initial_flux")]
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    colours = gradient_colours(table)
    for axis, name in zip(axes, names, strict=True):
        for i, one in enumerate(slices(table, "l_max", "deposition")):
            x, y = mean_of(one.log_reduction_value), mean_of(one[name])
            l_max, deposition = float(one.l_max), float(one.deposition)
            point = [f"$l_{{max}}$ = {l_max:g}"] if table.sizes["l_max"] > 1 else []
            point += [f"λ = {compact(deposition)}"] if table.sizes["deposition"] > 1 else []
            front, colour = front_order(x.value, y.value), COLOURS[i % len(COLOURS)]
            axis.plot(x.value[front], y.value[front], color=colour, lw=1, zorder=1)
            axis.plot(
                x.value, y.value, color=colour, marker=MARKERS[i % len(MARKERS)], ms=7, mfc="none", ls="none", zorder=1,
                label=", ".join(point) or None,
            )  # fmt: skip
            for j, gradient_colour in enumerate(colours):
                gradient = f"s = {float(one.gradient[j]):g}" if i == 0 and len(colours) > 1 else None
                axis.errorbar(
                    x.value[j], y.value[j], xerr=x.half[j], yerr=y.half[j], color=gradient_colour, ms=4, lw=1,
                    capsize=2, marker=MARKERS[i % len(MARKERS)], label=gradient, ls="none",
                )  # fmt: skip
        axis.set(xlabel=label("log_reduction_value"), ylabel=label(name))
    handles, labels = axes[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside right upper")
    caption = (
        "Trade-offs: throughput and initial flux against the log reduction value of the filtrate, one point for each "
        f"design; better designs lie up and to the right. Lines join the designs that no "
        f"other one surpasses in both.{error_bars(table, deviation=False)}"
    )
    return picture(figure, caption, "throughput and initial flux against the log reduction value")
