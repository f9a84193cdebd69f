"""Commands that look at runs: status, list, logs, report, export, verify, replay; and the one that cancels them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from membrane_dask.cli.completion import complete_run
from membrane_dask.cli.exit_codes import ALTERED, BUG, FAILED_UNITS, USAGE, exit_with
from membrane_dask.cli.options import RunName, print_table, table_text
from membrane_dask.engine.terminal import say, show
from membrane_dask.plain_text import printable

if TYPE_CHECKING:
    from membrane_dask.engine.run import Run
    from membrane_dask.engine.run_list import RunList

#: Seconds between two looks at the runs that are watched, on a terminal and elsewhere.
_WATCH_SECONDS, _WATCH_LOG_SECONDS = 2.0, 30.0
JsonOutput = Annotated[bool, typer.Option("--json", help="Print a list of objects.")]


def status(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Default: all in runs/.", autocompletion=complete_run),
    ] = None,
    as_json: JsonOutput = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Refresh every 2 s, off a terminal every 30 s, until no run is active.")
    ] = False,
) -> None:
    """Print state, progress, cost and differing parameters of runs.

    A run that cannot be read has the state broken, and its problem is printed too; the exit code is 2 if it was named.
    """
    from membrane_dask.engine.run_list import find_runs, is_exported_run, open_runs

    if exported := [name for name in names or [] if is_exported_run(name)]:
        if len(exported) < len(names or []):
            raise typer.BadParameter("exported runs and others need a command each")
        _print_exported(exported, as_json)
        return

    def read() -> tuple[RunList, list[dict[str, Any]]]:
        runs = open_runs(names) if names else find_runs(Path("runs"))
        return runs, runs.statuses()

    if watch and sys.stdout.isatty() and not as_json:
        runs, statuses = _watch_in_place(read)
    else:
        runs, statuses = read()
        while watch and _is_any_active(statuses):
            _print_statuses(runs, statuses, as_json)
            sys.stdout.flush()
            time.sleep(_WATCH_LOG_SECONDS)
            runs, statuses = read()
    _print_statuses(runs, statuses, as_json)
    if names and any(status["state"] == "broken" for status in statuses):
        exit_with(USAGE)


def _print_exported(locations: list[str], as_json: bool) -> None:
    """Print what exported runs hold, and their state when they were exported."""
    from membrane_dask.engine.exported_run import ExportedRun

    runs = [ExportedRun(location) for location in locations]
    if as_json:
        show(json.dumps([run.status() for run in runs], indent=1))
    else:
        for run in runs:
            show(run)


def _watch_in_place(
    read: Callable[[], tuple[RunList, list[dict[str, Any]]]],
) -> tuple[RunList, list[dict[str, Any]]]:
    """Show the table of runs in place on the terminal until none is active; returns what was read last."""
    from rich.live import Live
    from rich.text import Text

    with Live(transient=True, auto_refresh=False) as screen:
        while True:
            runs, statuses = read()
            if not _is_any_active(statuses):
                return runs, statuses
            table = Text(printable(table_text(*runs.table(statuses))), no_wrap=True, overflow="ellipsis")
            screen.update(table, refresh=True)
            time.sleep(_WATCH_SECONDS)


def _is_any_active(statuses: list[dict[str, Any]]) -> bool:
    return any(status["state"] in ("measuring", "running", "queued") for status in statuses)


def _print_statuses(runs: RunList, statuses: list[dict[str, Any]], as_json: bool) -> None:
    """Print the states of runs to stdout, and what is wrong with them to stderr."""
    if as_json:
        show(json.dumps(statuses, indent=1))
    else:
        print_table(*runs.table(statuses))
    for status in statuses:
        if status["problem"]:
            say(f"{status['run']}: {status['problem']}")
        for note in () if as_json else status.get("software", ()):
            say(f"{status['run']}: {note}")


def list_runs(
    folder: Annotated[Path, typer.Argument(help="Directory that holds runs.")] = Path("runs"),
    as_json: JsonOutput = False,
) -> None:
    """List the runs in a directory; one that cannot be read has the state broken, and its problem is printed too."""
    from membrane_dask import api

    runs = api.list_runs(folder)
    statuses = runs.statuses()
    if statuses or as_json:
        _print_statuses(runs, statuses, as_json)
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
    while follow and not path.exists() and run.is_active():
        time.sleep(1)
    if not path.exists():
        say("the run has no log yet")
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        while True:
            active = follow and run.is_active()
            while text := stream.read(1_000_000):
                show(text, end="")
            if not active:
                return
            sys.stdout.flush()
            time.sleep(1)


def _print_unit(run: Run, key: str) -> None:
    from membrane_dask import api
    from membrane_dask.engine import inspect

    record = inspect.unit_record(run, key)
    if record is None:
        inspect.find_unit(run, api.plan(run.study).program, key)  # raises if there is no such unit
        record = {"key": key, "state": "open"}
    traceback = record.pop("traceback", "")
    show(json.dumps(record, indent=1))
    if traceback:
        show(traceback.rstrip())


def cancel(name: RunName) -> None:
    """Stop the driver of a run and cancel its jobs; what is finished is kept."""
    from membrane_dask import api
    from membrane_dask.engine.cluster.ownership import is_copy

    if api.cancel(name):
        say("the driver will stop within seconds; what is finished is kept")
    elif is_copy(api.open_run(name).path):
        say("nothing to cancel: this directory is a copy of a run, whose jobs belong to the original")
    else:
        say("nothing to cancel: the run has no active driver, and none in the queue")


def report(
    name: RunName,
    out: Annotated[Path | None, typer.Option(help="HTML file; default report.html in the run.")] = None,
) -> None:
    """Write the figures, tables and conclusions of a run into one HTML file."""
    from membrane_dask.report import write_report

    show(write_report(name, out))


def export(
    name: RunName,
    to: Annotated[str, typer.Argument(metavar="TO", help="Folder, .zip or URL; with --item a file.")],
    item: Annotated[str | None, typer.Option("--item", metavar="NAME", help="Volume, velocity or network.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="F", help="zarr, ozx, netcdf, csv, networks or report; several times."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the destination if there is one.")] = False,
) -> None:
    """Write a closed, portable copy of a run to a folder, a .zip file or a URL such as s3://bucket/name.

    With --item one volume, velocity or network: .vti, .vtk, .tif, .nii, .nii.gz or .stl; networks as .vtk, .vtu, .npz
    (OpenPNM) or .graphml. A file of such an ending without --item lists the items of the run.
    """
    from membrane_dask.engine.events import Message
    from membrane_dask.progress import ProgressBar, ProgressLines
    from membrane_dask.run_export import export as export_run

    listener = ProgressBar() if sys.stderr.isatty() else ProgressLines(sys.stderr)
    try:
        target = export_run(
            name, to, item, formats=formats, overwrite=overwrite, notify=lambda text: listener(Message(text)),
            listener=listener,
        )  # fmt: skip
    finally:
        if isinstance(listener, ProgressBar):
            listener.close()
    show(target)


def verify(name: RunName, as_json: JsonOutput = False) -> None:
    """Compare all files and values of a run with their recorded digests; exit code 1 if any are missing or altered."""
    from membrane_dask import api

    start = shown = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > 2:
            shown = time.monotonic()
            say(f"{done} of {total} units verified after {shown - start:.0f} s")

    run = api.open_run(name)
    faults = api.verify(run.path, progress)
    if as_json:
        show(json.dumps([asdict(fault) for fault in faults], indent=1))
    elif faults:
        print_table(("file", "problem", "units"), [[fault.path, fault.problem, fault.count] for fault in faults])
    done = run.status()["done"]
    if faults:
        command = f"membrane-dask run {run.path / 'study.yaml'} --out {run.path}"
        files = "file is" if len(faults) == 1 else "files are"
        say(f"{len(faults)} {files} missing or altered; what is lost is computed again by: {command}")
        exit_with(ALTERED)
    say(f"{done} units are on disk as they were written")


def replay(
    name: RunName,
    key: Annotated[str, typer.Argument(metavar="KEY", help="A unit, as in failures/ or the journal.")],
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where the unit fails.")] = False,
) -> None:
    """Run one unit in this process and compare it with the result, bit for bit."""
    from membrane_dask import api
    from membrane_dask.errors import StudyError, UnreadableRunError

    try:
        values, same = api.replay(name, key)
    except (StudyError, UnreadableRunError, api.RunNotFoundError):
        raise
    except Exception as error:
        if pdb:
            import pdb as debugger

            debugger.post_mortem(error.__traceback__)
        import traceback

        say(traceback.format_exc().rstrip())
        say(f"{key} fails here too")
        _say_software(name, key)
        exit_with(FAILED_UNITS)
    for variable, value in values.items():
        show(f"{variable} = {value}" if value.size <= 8 else f"{variable}: {value.dtype} {value.shape}")
    message = {
        True: "the same bits as in the result",
        False: "OTHER BITS than in the result",
        None: "not in the result yet",
    }[same]
    if same is None and key in api.open_run(name).failed_keys:
        message = (
            "it failed in the run and succeeds here, alone; does it depend on the units before it or on the machine?"
        )
    say(f"{key}: {message}")
    if same is False:
        from membrane_dask.engine import inspect

        run = api.open_run(name)
        for line in inspect.explain_replay(run, api.plan(run.study), key, values):
            say(f"  {line}")
        exit_with(BUG)
    _say_software(name, key)


def _say_software(name: str, key: str) -> None:
    """Say with what software a unit was made, where it is another one than here."""
    from membrane_dask import api
    from membrane_dask.engine import inspect

    run = api.open_run(name)
    if text := inspect.other_software(run, api.plan(run.study), key):
        say(f"  {text}")
