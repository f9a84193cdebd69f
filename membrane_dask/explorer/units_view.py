"""View of the units of a run: in time by worker, their cost, and the reasons of those that failed."""

from __future__ import annotations

import itertools
from html import escape
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn

from membrane_dask.engine.run import Run
from membrane_dask.explorer.looks import COLOURS, PLOT, TOGGLE
from membrane_dask.explorer.units import UnitTimes, unit_times
from membrane_dask.program import task_stem

_FAILED = "#b00020"
#: Most workers whose names are written at their rows.
_NAMED_WORKERS = 40
_COSTS = {"seconds": "wall time (s)", "cpu_seconds": "CPU time (s)", "memory": "memory of the worker (MiB)"}


def units_view(run: Run) -> Any:
    """Units of a run, drawn from its journal."""
    times = unit_times(run.journal)
    if not len(times.key):
        return pn.pane.Markdown("No unit has been recorded yet.")
    colours = _colours(times)
    options = {"in time": "time"} | {text: name for name, text in _COSTS.items()}
    choice = pn.widgets.RadioButtonGroup(label="Units", options=options, value="time", **TOGGLE)

    def draw(name: str) -> Any:
        return draw_units(times, name)

    shown = colours if times.is_done.all() else colours | {"failed": _FAILED}
    legend = "&emsp;".join(f'<span style="color:{colour}">■</span> {escape(task)}' for task, colour in shown.items())
    drawing = pn.pane.HoloViews(pn.bind(draw, choice), sizing_mode="stretch_width")
    return pn.Column(choice, pn.pane.HTML(legend), drawing, *_failures(run), sizing_mode="stretch_width")


def draw_units(times: UnitTimes, shown: str) -> Any:
    """Bars of the units in time by worker, or one of their costs against their ends.

    Parameters
    ----------
    times : UnitTimes
    shown : str
        ``time``, ``seconds``, ``cpu_seconds`` or ``memory``.
    """
    table = _table(times)
    return _bars(table, np.unique(times.worker).tolist()) if shown == "time" else _points(table, shown)


def _colours(times: UnitTimes) -> dict[str, str]:
    """Colour of each task, whose number does not count."""
    stems = dict.fromkeys(task_stem(task) for task in dict.fromkeys(times.task.tolist()))
    return dict(zip(stems, itertools.cycle(COLOURS), strict=False))


def _table(times: UnitTimes) -> pd.DataFrame:
    colours = _colours(times)
    colour = np.where(times.is_done, [colours[task_stem(task)] for task in times.task.tolist()], _FAILED)
    row = np.unique(times.worker, return_inverse=True)[1]
    start = times.begin.min()
    columns = {
        "unit": times.key, "task": times.task, "worker": times.worker, "begin": times.begin - start,
        "end": times.end - start, "low": row - 0.4, "high": row + 0.4, "seconds": times.end - times.begin,
        "cpu_seconds": times.cpu_seconds, "memory": times.memory / 2**20, "colour": colour,
    }  # fmt: skip
    return pd.DataFrame(columns)


def _bars(table: pd.DataFrame, workers: list[str]) -> Any:
    bars = hv.Rectangles(table, ["begin", "low", "end", "high"], ["unit", "task", "seconds", "colour"])
    ticks = list(enumerate(workers)) if len(workers) <= _NAMED_WORKERS else 0
    return bars.opts(
        color="colour", line_width=0, tools=["hover"], yticks=ticks, xlabel="time (s)", ylabel="worker", **PLOT
    )


def _points(table: pd.DataFrame, cost: str) -> Any:
    points = hv.Points(table, ["end", cost], ["unit", "task", "worker", "colour"])
    return points.opts(
        color="colour", size=4, tools=["hover"], xlabel="end (s)", ylabel=_COSTS[cost], show_grid=True, **PLOT
    )


def _failures(run: Run) -> list[Any]:
    """Table of the units that failed, if there are any."""
    failures = run.failures
    if not failures:
        return []
    rows = pd.DataFrame([{"unit": failure["key"], "reason": failure["error"]} for failure in failures])
    table = pn.widgets.Tabulator(
        rows, show_index=False, disabled=True, pagination="local", page_size=10, sizing_mode="stretch_width",
        layout="fit_data_stretch", formatters={"reason": {"type": "textarea"}},  # which wraps
    )  # fmt: skip
    return [pn.pane.Markdown("### Units that failed"), table]
