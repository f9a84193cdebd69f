"""The pages: all runs, and one run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote

import pandas as pd
import panel as pn
from panel.theme import Fast

from membrane_dask.engine.run import Run
from membrane_dask.engine.run_list import RunList
from membrane_dask.engine.run_status import total_units
from membrane_dask.explorer.looks import TOGGLE
from membrane_dask.explorer.networks_view import networks_of, networks_view
from membrane_dask.explorer.units_view import units_view
from membrane_dask.explorer.variables_view import variables_view
from membrane_dask.explorer.volumes_view import volumes_view
from membrane_dask.notebook_html import bar, table

#: Milliseconds between two looks at the runs.
_REFRESH = 5000


# The pages need no connection to other machines: without its web font, the design takes one of this machine.
Fast._resources.pop("font", None)


def index_page(runs: Callable[[], RunList]) -> Any:
    """All runs with their progress, refreshed while the page is open."""
    listed = pn.widgets.Tabulator(
        _rows(runs()), show_index=False, disabled=True, pagination="local", page_size=30, sizing_mode="stretch_width",
        formatters={"run": {"type": "html"}, "parameters": {"type": "textarea"}},  # which wraps
        header_filters={"kind": {"type": "input"}, "state": {"type": "input"}},
        layout="fit_data_stretch",
    )  # fmt: skip

    def refresh() -> None:
        rows = _rows(runs())
        if not rows.equals(listed.value):
            listed.value = rows

    _repeat(refresh)
    return _template("runs", listed)


def _rows(runs: RunList) -> pd.DataFrame:
    rows = pd.DataFrame(runs.rows(), columns=list(runs.HEADER))
    rows["run"] = [
        f'<a href="/run?path={quote(str(entry.path))}">{escape(name)}</a>' if isinstance(entry, Run) else escape(name)
        for name, entry in zip(rows["run"], runs.entries, strict=True)
    ]
    return rows


def run_page(find: Callable[[str], Run | None]) -> Any:
    """One run, named in the query of the address: state, report, units, variables, volumes and networks."""
    path = (pn.state.session_args.get("path") or [b""])[0].decode(errors="replace")
    run = find(path)
    if run is None:
        return _template("no such run", pn.pane.HTML(f'There is no run {escape(path)} here. <a href="/">All runs</a>'))
    views = {"State": _state_view, "Report": _report_view} | _views_of(run)
    contents = pn.Column(_state_view(run), sizing_mode="stretch_width")
    choice = pn.widgets.RadioButtonGroup(label="View", options=list(views), value="State", **TOGGLE)

    def show(event: Any) -> None:
        try:
            contents[:] = [views[event.new](run)]
        except Exception as error:  # whatever is missing or damaged, the other views remain
            contents[:] = [pn.pane.Alert(escape(str(error)), alert_type="danger")]

    choice.param.watch(show, "value")
    return _template(run.name, pn.Row(pn.pane.HTML('<a href="/">all runs</a>'), choice), contents)


def _views_of(run: Run) -> dict[str, Callable[[Run], Any]]:
    """Views of what a run has, by their names."""
    views: dict[str, Callable[[Run], Any]] = {"Units": units_view, "Variables": variables_view}
    if run.volumes:
        views["Volumes"] = volumes_view
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # the view of variables says what is wrong
        if networks_of(run):
            views["Networks"] = networks_view
    return views


def _state_view(run: Run) -> Any:
    state = pn.pane.HTML(_state(run), sizing_mode="stretch_width")

    def refresh() -> None:
        state.object = _state(run)

    _repeat(refresh)
    return state


def _state(run: Run) -> str:
    """Table of the state, without the links to files, which a page cannot open."""
    try:
        status = run.status()
        return table(run.name, run.rows(), bar(status["done"], status["failed"], total_units(status)))
    except Exception as error:  # such as a run that was removed
        return escape(str(error))


def _report_view(run: Run) -> Any:
    address = f"/report?path={quote(str(run.path))}"
    return pn.pane.HTML(
        f'<a href="{address}">The report alone</a>. It is made anew, which takes some seconds.'
        f'<iframe src="{address}" title="report" style="width:100%;height:85vh;border:0"></iframe>',
        sizing_mode="stretch_width",
    )


def _repeat(refresh: Callable[[], None]) -> None:
    """Call a function again and again while the page is open."""

    def start() -> None:
        pn.state.add_periodic_callback(refresh, period=_REFRESH)

    pn.state.onload(start)


def _template(title: str, *contents: Any) -> Any:
    return pn.template.FastListTemplate(
        title=f"membrane-dask: {escape(title)}", main=list(contents), main_max_width="1400px"
    )
