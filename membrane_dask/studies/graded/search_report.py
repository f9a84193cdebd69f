"""Search for the best design: its result, the designs that it simulated, and the trade-off of two metrics."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.number_text import compact, interval_text, percent_text, with_error
from membrane_dask.report.page import Download, Grid, Picture, Section, picture
from membrane_dask.studies.graded.common_report import COLOURS, NO_SPREAD, heading, label, readable_times, time_unit
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.search_units import SearchUnits

_PARAMETERS = ("radius", "gradient", "porosity", "l_max", "pressure")


def best_evaluation(run: Run) -> int | None:
    """Return the number of the best design of a search; None for a front, or if no design meets the constraints."""
    for name, node in run.result.children.items():
        if name.startswith("optimum_") and "evaluation" in node:
            number = int(node["evaluation"])
            return number if number >= 0 and np.isfinite(float(node["value"])) else None
    return None


def front_evaluations(run: Run) -> list[int]:
    """Return the numbers of the simulated designs that no other one surpasses in both metrics of a front."""
    if "front" not in run.result.children or "design" not in run.result.children:
        return []
    designs = run.result["design"].to_dataset()
    first, second = (designs[name].values for name in run.study.optimum.front)  # type: ignore[attr-defined]
    surpassed = (first > first[:, None]) & (second > second[:, None])
    return [int(number) for number in designs.evaluation.values[~surpassed.any(axis=1)]]


def search_sections(run: Run) -> list[Section]:
    """Return the sections of a search over design parameters.

    Parameters
    ----------
    run : Run
        A run of which some networks are finished.
    """
    children = run.result.children
    if "design" not in children:
        return [Section("Designs of the search", "The search has not ended; its tables are written when it ends.")]
    study = run.study
    assert isinstance(study, GradedStudy)
    units = SearchUnits.of(study, children["units"].to_dataset() if "units" in children else None)
    stated = children["design"].to_dataset()
    in_hours = units.table(stated)
    designs = readable_times(in_hours)
    stated_metrics = _metrics(run.study, stated)
    metrics = list(dict.fromkeys(map(units.name, stated_metrics)))
    hour = time_unit(in_hours)[1]

    def factor(metric: str) -> float:
        """Units of a metric in this report in one of the study."""
        name = units.name(metric)
        is_time = name in in_hours and in_hours[name].attrs.get("units") == "h"
        return units.factor(metric) * (hour if is_time else 1.0)

    limits = {units.name(metric): limit * factor(metric) for metric, limit in _limits(run.study).items()}
    confidence = run.study.optimum.confidence  # type: ignore[attr-defined]
    result = []
    for name, node in children.items():
        if name.startswith("optimum_"):
            objective = units.name(name.removeprefix("optimum_"))
            best = readable_times(units.table(node.to_dataset()), in_hours).assign_attrs(node.attrs)
            result.append(_best_section(best, objective, metrics, confidence, bool(limits)))
    contents: list[Any] = []
    if "front" in children:
        front = children["front"].to_dataset()
        if front.sizes["level"]:
            second = str(children["front"].attrs["metric"])
            level = front.level * factor(second)
            scaled = readable_times(units.table(front), in_hours).assign_coords(level=level)
            download = Download("front.csv", "The front as CSV", as_csv(front, stated_metrics, units))
            result.append(_front_section(scaled, designs, metrics, units.name(second), confidence, download))
    else:
        contents.append(_progress_figure(designs, metrics, limits))
    contents += [
        _design_grid(designs, metrics, bool(limits)),
        Download("designs.csv", "All designs as CSV", as_csv(stated, stated_metrics, units)),
    ]
    text = "Designs in the order of the search: means over their networks, ± the standard error of the mean."
    if any((designs[f"{metric}_error"] <= 1e-12 * abs(designs[metric])).any() for metric in metrics):
        text += f" {NO_SPREAD}"
    return [*result, Section("Designs of the search", text, contents)]


def _metrics(study: Any, designs: xr.Dataset) -> list[str]:
    """Return the metrics of a search: those of the objective, then those of the constraints, then all others."""
    optimum = study.optimum
    stated = [*(optimum.front or (optimum.metric,)), *(limit.metric for limit in optimum.limits)]
    present = sorted(str(name).removesuffix("_error") for name in designs.data_vars if str(name).endswith("_error"))
    return list(dict.fromkeys([name for name in stated if name in present] + present))


def _limits(study: Any) -> dict[str, float]:
    """Return the limits of the constraints, by metric."""
    return {limit.metric: limit.limit for limit in study.optimum.limits}


def _parameter_columns(table: xr.Dataset) -> list[tuple[str, xr.DataArray]]:
    """Return the parameters of designs as columns, one for the radius of each band."""
    columns = []
    for name in _PARAMETERS:
        if name not in table:
            continue
        if "band" in table[name].dims:
            bands = table.band.values.tolist()
            columns += [(f"{name} {band}", table[name].sel(band=band, drop=True)) for band in bands]
        else:
            columns.append((name, table[name]))
    return columns


def _header(name: str, values: xr.DataArray) -> str:
    """Return the heading of a parameter, with its unit."""
    unit = values.attrs.get("units", "1")
    return name if unit == "1" else f"{name} [{unit.replace('um', 'µm')}]"


def _best_section(
    best: xr.Dataset, objective: str, metrics: Sequence[str], confidence: float, constrained: bool
) -> Section:
    """Return parameters and metrics of the best design, with their intervals."""
    if not np.isfinite(float(best.value)):
        return Section("Best design", "No design meets all constraints; see the notes at the top.")
    equal = np.atleast_1d(best.attrs.get("equal_evaluations", [])).tolist()
    rows = [
        (_header(name, value), *_cells(*(float(v) for v in (value, _end(best, name, "low"), _end(best, name, "high")))))
        for name, value in _parameter_columns(best)
        if np.isfinite(float(value))
    ]
    rows += [
        (heading(metric, best), *_cells(*(float(best[metric + end]) for end in ("", "_low", "_high"))))
        for metric in metrics
    ]
    which = f"the one with the best {label(objective)}"
    if len(equal) > 1:
        numbers = ", ".join(map(str, equal))
        which = (
            f"{len(equal)} have the best {label(objective)} and are equally good ({numbers}); the table has design "
            f"{int(best.evaluation)}, one of them, whose other parameters are no result"
        )
    if constrained:
        which += f", among those that meet all constraints with a probability of {percent_text(confidence)}"
    text = (
        f"Of {int(best.evaluations)} simulated designs with {int(best.networks)} networks, {which}, according to the "
        "response surfaces of the metrics; a design whose means are better by less than their errors is not preferred. "
        f"low and high: nominal {percent_text(confidence)} intervals, of metrics for the mean over networks, of "
        "parameters for the optima of functions that agree with the simulated designs."
    )
    if any(row[1] != "-" and row[2] == "-" for row in rows):
        text += (
            " A metric without them is the same in all networks of the design; a parameter without them has the same "
            "value in all of these optima."
        )
    title = "Best design" if len(equal) < 2 else "Equally good designs"
    return Section(title, text, [Grid(("", "value", "low", "high"), rows)])


def _cells(value: float, low: float, high: float) -> tuple[str, str, str]:
    """A value and the ends of its interval; none of width 0."""
    if high - low <= 1e-12 * abs(value):
        return compact(value, 4), "-", "-"
    return compact(value, 4), compact(low, 4), compact(high, 4)


def _end(best: xr.Dataset, column: str, end: str) -> xr.DataArray:
    name, _, band = column.partition(" ")
    values = best[f"{name}_{end}"]
    return values.sel(band=int(band)) if band else values


def _progress_figure(designs: xr.Dataset, metrics: Sequence[str], limits: dict[str, float]) -> Picture:
    """Plot the metrics of all designs in the order of the search."""
    figure = Figure(figsize=(3.3 * len(metrics), 3.0), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    feasible = designs.feasible.values == 1
    groups = [(feasible, COLOURS[0], "all constraints met"), (~feasible, "#9aa6b4", "a constraint not met")]
    for axis, metric in zip(axes, metrics, strict=True):
        for selected, colour, text in groups if limits else [(feasible, COLOURS[0], None)]:
            axis.errorbar(
                designs.evaluation.values[selected], designs[metric].values[selected],
                designs[f"{metric}_error"].values[selected], color=colour, marker="o", ms=3.5, lw=1, ls="none",
                label=text,
            )  # fmt: skip
        if metric in limits:
            axis.axhline(limits[metric], color=COLOURS[1], lw=1, ls="--")
        axis.set(xlabel="design", ylabel=heading(metric, designs))
    if limits:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    constraint = "; dashed: limit of a constraint" if set(limits) & set(metrics) else ""
    caption = f"Metrics of the designs in the order of the search. Bars: standard error of the mean{constraint}."
    return picture(figure, caption, "metrics of the designs in the order of the search")


def _front_section(
    front: xr.Dataset, designs: xr.Dataset, metrics: Sequence[str], level: str, confidence: float, download: Download
) -> Section:
    """Return the front of two metrics with intervals, as a figure, a table and a CSV file."""
    first, second = next(metric for metric in metrics if metric != level), level
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.plot(designs[second], designs[first], "o", color="#9aa6b4", ms=3.5, label="simulated designs")
    centre, low, high = (front[first + end].values for end in ("", "_low", "_high"))
    axis.errorbar(
        front.level, centre, [centre - low, high - centre], color=COLOURS[0], marker="o", ms=4, lw=1.2, capsize=2,
        label="front",
    )  # fmt: skip
    axis.set(xlabel=heading(second, designs), ylabel=heading(first, designs))
    axis.legend()
    names = [_header(name, values) for name, values in _parameter_columns(front)]
    headings = [heading(metric, designs) for metric in metrics]
    rows = []
    for i in range(front.sizes["level"]):
        one = front.isel(level=i)
        intervals = [interval_text(*(float(one[m + end]) for end in ("", "_low", "_high"))) for m in metrics]
        parameters = (compact(float(value), 4) for _, value in _parameter_columns(one))
        number = int(one.evaluation)
        rows.append(
            (compact(float(one.level), 4), *parameters, *intervals, f"design {number}" if number >= 0 else "predicted")
        )
    caption = (
        f"Largest {label(first)} at levels of the {label(second)}, according to the response surfaces. Bars: "
        f"{percent_text(confidence)} confidence interval of the prediction."
    )
    text = (
        "All metrics of a row are predictions of the response surfaces, whether its design was simulated or not; wide "
        "intervals mean that the search has simulated few designs near it. The notes at the top name the ends of the "
        "front. Simulate a predicted design as a study of its own before it is used."
    )
    contents: list[Any] = [
        picture(figure, caption, f"front of {label(first)} and {label(second)}"),
        Grid((f"level of the {heading(second, designs)}", *names, *headings, "simulated"), rows),
        download,
    ]
    return Section("Trade-off", text, contents)


def _design_grid(designs: xr.Dataset, metrics: Sequence[str], constrained: bool) -> Grid:
    names = [_header(name, values) for name, values in _parameter_columns(designs)]
    rows = []
    for i in range(designs.sizes["evaluation"]):
        one = designs.isel(evaluation=i)
        cells = [with_error(float(one[metric]), float(one[f"{metric}_error"])) for metric in metrics]
        parameters = [compact(float(value), 4) for _, value in _parameter_columns(one)]
        feasible = ("yes" if int(one.feasible) else "no",) if constrained else ()
        rows.append((str(int(one.evaluation)), *parameters, *cells, *feasible))
    return Grid(
        (
            "design",
            *names,
            *(heading(metric, designs) for metric in metrics),
            *(("means meet the constraints",) if constrained else ()),
        ),
        rows,
    )


def as_csv(table: xr.Dataset, first: Sequence[str], units: SearchUnits) -> str:
    """Return a table of one dimension as CSV; variables with bands have a column for each band.

    Parameters come first, then the variables whose names begin with those of ``first``, then all others by name. What
    differs in physical units follows in them.
    """
    physical = {
        name if name not in table else f"physical_{name}": values
        for name, values in units.table(table).data_vars.items()
        if name not in table or (values is not table[name] and values.attrs.get("units") == "um")
    }
    table = table.assign(physical)
    dim = next(str(name) for name in table.dims if name != "band")
    columns: list[tuple[str, np.ndarray]] = [(dim, table[dim].values)]
    order = (*_PARAMETERS, *first)

    def position(name: str) -> tuple[int, int, str]:
        matching = [i for i, prefix in enumerate(order) if name == prefix or name.startswith(f"{prefix}_")]
        return (max(matching, default=len(order)), len(name), name)

    for name in sorted(map(str, table.data_vars), key=position):
        variable = table[name]
        unit = variable.attrs.get("units", "1")
        suffix = "" if unit == "1" else f" [{unit}]"
        if "band" in variable.dims:
            columns += [(f"{name}_band_{band}{suffix}", variable.sel(band=band).values) for band in table.band.values]
        elif name != "status":
            columns.append((f"{name}{suffix}", variable.values))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows([f"{values[i]:.8g}" for _, values in columns] for i in range(table.sizes[dim]))
    return stream.getvalue()
