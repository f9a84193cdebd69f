"""Commands that look at runs: status, list, logs, report, replay; and the one that cancels them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from membrane_dask.cli.exit_codes import BUG, FAILED_UNITS, exit_with, say
from membrane_dask.cli.options import RunName, print_table

if TYPE_CHECKING:
    from membrane_dask.engine.run import Run

JsonOutput = Annotated[bool, typer.Option("--json", help="Print a list of objects.")]


def status(
    names: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Default: all in runs/.")] = None,
    as_json: JsonOutput = False,
    watch: Annotated[bool, typer.Option("--watch", help="Print again every 2 s until no run is active.")] = False,
) -> None:
    """Print the progress of runs."""
    from membrane_dask import api

    while True:
        runs = api.RunList([api.open_run(name) for name in names] if names else list(api.list_runs()))
        if as_json:
            print(json.dumps([run.status() for run in runs], indent=1))
        else:
            print_table(runs.HEADER, runs.rows())
        if not watch or not any(run.status()["state"] in ("running", "queued") for run in runs):
            return
        time.sleep(2)


def list_runs(
    folder: Annotated[Path, typer.Argument(help="Directory that holds runs.")] = Path("runs"),
    as_json: JsonOutput = False,
) -> None:
    """List the runs in a directory."""
    from membrane_dask import api

    runs = api.list_runs(folder)
    if as_json:
        print(json.dumps([{**run.status(), "path": str(run.path)} for run in runs], indent=1))
    elif runs:
        print_table(runs.HEADER, runs.rows())
    else:
        say(f"no runs in {folder}/")


def logs(
    name: RunName,
    key: Annotated[str | None, typer.Option("--unit", metavar="K", help="Print the record of one unit.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until the run ends.")] = False,
) -> None:
    """Print the log of a run, or the record of one unit."""
    from membrane_dask import api

    run = api.open_run(name)
    if key is not None:
        _print_unit(run, key)
        return
    path = run.path / "logs" / "driver.log"
    while follow and not path.exists() and run.status()["state"] in ("queued", "running"):
        time.sleep(1)
    if not path.exists():
        say("the run has no log yet")
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        while True:
            sys.stdout.write(stream.read())
            sys.stdout.flush()
            if not follow or run.status()["state"] not in ("running", "queued"):
                sys.stdout.write(stream.read())
                return
            time.sleep(1)


def _print_unit(run: Run, key: str) -> None:
    from membrane_dask import api
    from membrane_dask.engine import inspect

    record = inspect.unit_record(run, key)
    if record is None:
        inspect.find_unit(run, api.plan(run.study).program, key)  # raises if there is no such unit
        record = {"key": key, "state": "open"}
    traceback = record.pop("traceback", "")
    print(json.dumps(record, indent=1))
    if traceback:
        print(traceback.rstrip())


def cancel(name: RunName) -> None:
    """Stop the driver of a run; what is finished is kept."""
    from membrane_dask import api

    if api.cancel(name):
        say("the driver will stop within seconds; what is finished is kept")
    else:
        say("nothing to cancel: the run has no active driver, and none in the queue")


def report(
    name: RunName,
    out: Annotated[Path | None, typer.Option(help="HTML file; default report.html in the run.")] = None,
) -> None:
    """Write the figures, tables and conclusions of a run into one HTML file."""
    from membrane_dask.report import write_report

    print(write_report(name, out))


def replay(
    name: RunName,
    key: Annotated[str, typer.Argument(metavar="KEY", help="A unit, as in failures/ or the journal.")],
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where the unit fails.")] = False,
) -> None:
    """Run one unit in this process and compare it with the result, bit for bit."""
    from membrane_dask import api
    from membrane_dask.errors import StudyError

    try:
        values, same = api.replay(name, key)
    except (StudyError, api.RunNotFoundError):
        raise
    except Exception as error:
        if pdb:
            import pdb as debugger

            debugger.post_mortem(error.__traceback__)
        import traceback

        traceback.print_exc()
        say(f"{key} fails here too")
        exit_with(FAILED_UNITS)
    for variable, value in values.items():
        print(f"{variable} = {value}" if value.size <= 8 else f"{variable}: {value.dtype} {value.shape}")
    message = {
        True: "the same bits as in the result",
        False: "OTHER BITS than in the result",
        None: "not in the result yet",
    }[same]
    say(f"{key}: {message}")
    if same is False:
        exit_with(BUG)
