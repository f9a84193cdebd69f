"""Commands that look at runs: status, list, logs, report, replay, cancel."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from membrane_dask.cli.exit_codes import BUG, SET_ASIDE, _leave, _say
from membrane_dask.cli.options import RunName


def status(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Default: all in runs/.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show again every 2 s until nothing runs.")] = False,
) -> None:
    """Say how far runs have come."""
    from membrane_dask import api

    while True:
        found = api.RunList([api.open_run(name) for name in runs] if runs else list(api.list_runs()))
        if as_json:
            print(json.dumps([run.status() for run in found], indent=1))
        else:
            _table(found.HEADER, found.rows())
        if not watch or not any(run.status()["state"] in ("running", "queued") for run in found):
            return
        time.sleep(2)


def list_(
    folder: Annotated[Path, typer.Argument(help="Directory that holds runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
) -> None:
    """List the runs in a directory."""
    from membrane_dask import api

    found = api.list_runs(folder)
    if as_json:
        print(json.dumps([{**run.status(), "path": str(run.path)} for run in found], indent=1))
    elif found:
        _table(found.HEADER, found.rows())
    else:
        _say(f"no runs in {folder}/")


def _table(header: tuple[str, ...], rows: list[list[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def logs(
    run: RunName,
    unit: Annotated[str | None, typer.Option(metavar="K", help="What is known of one unit.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
) -> None:
    """Print a run's log, or what is known of one unit."""
    from membrane_dask import api

    found = api.open_run(run)
    if unit is not None:
        from membrane_dask.engine import inspect

        report = inspect.unit_report(found, unit)
        if report is None:
            inspect.find_unit(found, api.plan(found.study).program, unit)  # says so if there is no such unit
            report = {"key": unit, "state": "open"}
        trace = report.pop("traceback", "")
        print(json.dumps(report, indent=1))
        if trace:
            print(trace.rstrip())
        return
    path = found.path / "logs" / "driver.log"
    while follow and not path.exists() and found.status()["state"] in ("queued", "running"):
        time.sleep(1)
    if not path.exists():
        _say("the run has no log yet")
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        while True:
            sys.stdout.write(stream.read())
            sys.stdout.flush()
            if not follow or found.status()["state"] not in ("running", "queued"):
                sys.stdout.write(stream.read())
                return
            time.sleep(1)


def cancel(run: RunName) -> None:
    """Ask the driver of a run to stop; what is finished is kept."""
    from membrane_dask import api

    if api.cancel(run):
        _say("the driver will stop within seconds; what is finished is kept")
    else:
        _say("nothing to cancel: no driver is at work on this run, nor in the queue")


def report(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Where to write it; default report.html in the run.")] = None,
) -> None:
    """Write figures, tables and what they say into one HTML file."""
    from membrane_dask.report import write_report

    print(write_report(run, out))


def replay(
    run: RunName,
    key: Annotated[str, typer.Argument(metavar="KEY", help="A unit, as in failures/ or the journal.")],
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where the unit fails.")] = False,
) -> None:
    """Run one unit in this process and compare it with the result, bit for bit."""
    from membrane_dask import api

    try:
        values, same = api.replay(run, key)
    except Exception as error:
        from membrane_dask.errors import StudyError

        if isinstance(error, (StudyError, api.RunNotFoundError)):
            raise
        if pdb:
            import pdb as debugger

            debugger.post_mortem(error.__traceback__)
        import traceback

        traceback.print_exc()
        _say(f"{key} fails here too")
        _leave(SET_ASIDE)
    for name, value in values.items():
        print(f"{name} = {value}" if value.size <= 8 else f"{name}: {value.dtype} {value.shape}")
    words = {
        True: "the same bits as in the result",
        False: "OTHER BITS than in the result",
        None: "not in the result yet",
    }
    _say(f"{key}: {words[same]}")
    if same is False:
        _leave(BUG)
