"""The command line: parse, call the functions of :mod:`membrane_dask.api`, print.

stdout is data, stderr is talk. Exit codes: 0 done; 1 our bug; 2 invalid study or usage, nothing was
started; 3 finished with units set aside; 4 cluster trouble; 75 stopped early, resumable; 130 Ctrl-C,
resumable.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from membrane_dask.engine.execute import Event
    from membrane_dask.engine.run import Run

DONE, BUG, USAGE, SET_ASIDE, CLUSTER, STOPPED, INTERRUPTED = 0, 1, 2, 3, 4, 75, 130

app = typer.Typer(
    name="membrane-dask",
    help="Distributed batch simulation of porous filtration membranes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file; write one with: membrane-dask new KIND")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change an entry of the study; may be repeated."),
]
ClusterName = Annotated[
    str | None, typer.Option("--cluster", metavar="P", help="A profile of `clusters`, sync, or a scheduler's address.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's directory, its name, or the name's beginning.")]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _overrides(given: list[str] | None, cluster: str | None) -> list[str]:
    return [*(given or []), *([f"cluster.profile={cluster}"] if cluster else [])]


# ---------------------------------------------------------------------------------------------
# Studies


@app.command()
def new(kind: Annotated[str, typer.Argument(help="graded, reconstruct, characterize or porometry")]) -> None:
    """Print a commented study: every knob with its default, unit, bounds and source."""
    from membrane_dask.study_file import commented_study

    print(commented_study(kind), end="")


@app.command()
def check(study: StudyPath, set_: Overrides = None) -> None:
    """Report all that is wrong with a study; read its inputs, start nothing."""
    from membrane_dask import api
    from membrane_dask.study_file import load_study_with_source

    found, source = load_study_with_source(study, set_ or ())
    first = api.unrun_sources(found, source)
    if not first:
        api.plan(found, source=source)
    for path in first:
        _say(f"{path.name} was not run yet: `run` does so first, and then looks at what it made")
    _say(f"{study}: a sound {found.kind} study")


@app.command()
def plan(
    study: StudyPath,
    set_: Overrides = None,
    cluster: ClusterName = None,
    measure: Annotated[bool, typer.Option(help="Run a few pilot units to measure the cost.")] = True,
) -> None:
    """Print what a run would do: units, batches, memory, and its cost, measured on a few units."""
    from membrane_dask import api
    from membrane_dask.study_file import load_study_with_source

    found, source = load_study_with_source(study, _overrides(set_, cluster))
    print(api.plan(found, measure=measure, source=source))


@app.command()
def schema() -> None:
    """Print the JSON schema of a study, for editors."""
    from membrane_dask.study_file import json_schema

    print(json.dumps(json_schema(), indent=2))


# ---------------------------------------------------------------------------------------------
# Running


@app.command()
def run(
    study: StudyPath,
    out: Annotated[Path | None, typer.Option(help="Run directory; default runs/<name>.")] = None,
    set_: Overrides = None,
    cluster: ClusterName = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after so many units.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move an existing run aside and begin anew.")] = False,
) -> None:
    """Run a study, or resume its run where it ended."""
    from membrane_dask import api
    from membrane_dask.engine.run import prepare
    from membrane_dask.study_file import load_study_with_source

    found, source = load_study_with_source(study, _overrides(set_, cluster))
    made = api.plan(found, source=source, run_sources=True)
    _execute(prepare(made, out, fresh=fresh), made, limit=limit)


@app.command()
def submit(
    study: StudyPath,
    cluster: ClusterName = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; default runs/<name>.")] = None,
    set_: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the job scripts, submit nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    measure: Annotated[bool, typer.Option(help="Run a few pilot units to measure the cost.")] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move an existing run aside and begin anew.")] = False,
) -> None:
    """Hand a study to a batch system and return: the driver is a job, which starts jobs of workers."""
    from membrane_dask import api
    from membrane_dask.study_file import load_study_with_source

    found, source = load_study_with_source(study, _overrides(set_, cluster))
    made = api.plan(found, source=source)
    api.require_batch_system(made)
    if measure:
        made = made.measured()
    _say(str(made))
    if dry_run:
        for name, script in api.job_scripts(made.cluster).items():
            print(f"# ---- job of the {name} ----\n{script}")
        return
    if not yes:
        if not sys.stdin.isatty():
            _say("nothing was submitted: there is nobody to ask here; to agree beforehand give --yes")
            _leave(USAGE)
        if not typer.confirm("Submit?", default=True, err=True):
            _leave(USAGE)
    run = api.submit(made, out, fresh=fresh)
    _submitted(run)


def _submitted(run: Run) -> None:
    for name, words in run.rows():
        if name == "driver":
            _say(f"submitted: {words}")
    _say(f"watch it with: membrane-dask status {run.path} --watch, or membrane-dask logs {run.path} -f")
    print(run.path)


@app.command(hidden=True)
def drive(run: RunName) -> None:
    """Be the driver of a run that was submitted; its job calls this."""
    from membrane_dask import api

    found = api.open_run(run)
    _run(found, lambda listener: api.drive(found.path, listener))


@app.command()
def retry(
    run: RunName,
    failed: Annotated[bool, typer.Option("--failed", help="Only say what would be tried again.")] = False,
    here: Annotated[bool, typer.Option("--here", help="Drive it from here, also if it was submitted.")] = False,
) -> None:
    """Try the units again that were set aside, and finish what is open.

    A run that was submitted is submitted again.
    """
    from membrane_dask import api

    found = api.open_run(run)
    if failed:
        for failure in found.failures:
            print(failure["key"])
    elif api.was_submitted(found) and not here:
        _submitted(api.retry(found.path))
    else:
        _execute(found, api.plan(found.study), retry_failed=True)


def _execute(run: Run, plan: Any, **options: Any) -> None:
    from membrane_dask import api

    _run(run, lambda listener: api.execute(run, plan, listener=listener, **options))


def _run(run: Run, work: Callable[[Any], Any]) -> None:
    """Work on a run, show how it goes, and leave with the exit code that says how it went."""
    from membrane_dask import api

    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, _terminate)
    _say(f"run: {run.path}")
    listener = Bar() if sys.stderr.isatty() else api.Lines(sys.stderr)
    try:
        summary = work(listener)
    except KeyboardInterrupt:
        _say(f"interrupted; resume with: membrane-dask run {run.path / 'study.yaml'} --out {run.path}")
        _leave(INTERRUPTED)
    except SystemExit:
        _say("terminated; the run can be resumed")
        _leave(STOPPED)
    finally:
        if isinstance(listener, Bar):
            listener.close()
    _say(str(run))
    if summary.reason == "too many failures":
        finished = summary.done + summary.failed
        _say(f"stopped: {summary.failed} of {finished} finished units failed; see {run.path}/failures")
        _leave(SET_ASIDE)
    if summary.reason in ("cancelled", "time is up"):
        _say(f"stopped: {summary.reason}; {summary.left} units are left")
        _leave(STOPPED)
    if summary.failed:
        _leave(SET_ASIDE)
    print(run.path)


def _terminate(signum: int, frame: object) -> NoReturn:
    signal.signal(signum, signal.SIG_IGN)
    raise SystemExit(STOPPED)


def _leave(code: int) -> NoReturn:
    raise typer.Exit(code)


class Bar:
    """A progress bar for a person at a terminal; what must be said stands above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("units"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=self._console,
        )  # fmt: skip
        self._task = self._progress.add_task("working", total=None)
        self._progress.start()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        from membrane_dask.engine.execute import Collecting, Progressed, Retried, SetAside, Started, Told

        if isinstance(event, Started):
            total = None if event.at_most else event.total
            self._progress.update(self._task, total=total, completed=event.done + event.failed)
            if event.dashboard:
                from membrane_dask.api import dashboard_line

                self._console.print(dashboard_line(event.dashboard), highlight=False, soft_wrap=True)
        elif isinstance(event, Told):
            self._console.print(event.words, markup=False, highlight=False, soft_wrap=True)
        elif isinstance(event, Progressed):
            self._progress.update(self._task, completed=event.done + event.failed)
        elif isinstance(event, SetAside):
            self._console.print(f"set aside: {event.key}: {event.error.splitlines()[0]}", markup=False)
        elif isinstance(event, Retried):
            self._console.print(f"trying again: {event.keys[0]}: {event.reason.splitlines()[0]}", markup=False)
        elif isinstance(event, Collecting):
            self._progress.update(self._task, description="collecting")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


# ---------------------------------------------------------------------------------------------
# Clusters


clusters_app = typer.Typer(help="List cluster profiles, show their job scripts, try one out.")
app.add_typer(clusters_app, name="clusters")
ProfileName = Annotated[str, typer.Argument(metavar="P", help="A profile of `membrane-dask clusters`.")]


@clusters_app.callback(invoke_without_command=True)
def clusters(context: typer.Context) -> None:
    """List cluster profiles, show their job scripts, try one out."""
    if context.invoked_subcommand is None:
        from membrane_dask import api

        _table(("profile", "here", "size", "walltime", "about"), api.cluster_rows())
        _say(f"one's own profiles: {api.user_file()}; what a word means: membrane-dask new graded")


@clusters_app.command("show")
def clusters_show(profile: ProfileName, set_: Overrides = None) -> None:
    """Print the job scripts that a profile leads to."""
    from membrane_dask import api

    for name, script in api.job_scripts(api.cluster(profile, set_ or ())).items():
        print(f"# ---- job of the {name} ----\n{script}")


@clusters_app.command("test")
def clusters_test(
    profile: ProfileName,
    set_: Overrides = None,
    out: Annotated[Path, typer.Option(help="Where runs will lie; the nodes must see it too.")] = Path("runs"),
) -> None:
    """Submit one job, wait for its worker, import the package and write a file there."""
    from membrane_dask import api

    try:
        api.try_cluster(api.cluster(profile, set_ or ()), out, _say)
    except api.ClusterError as error:
        _say(str(error))
        _leave(CLUSTER)
    _say(f"{profile}: all steps passed")


# ---------------------------------------------------------------------------------------------
# Looking


@app.command()
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


@app.command("list")
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


@app.command()
def logs(
    run: RunName,
    unit: Annotated[str | None, typer.Option(metavar="K", help="What is known of one unit.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
) -> None:
    """Print a run's log, or what is known of one unit."""
    from membrane_dask import api

    found = api.open_run(run)
    if unit is not None:
        report = api.unit_report(found, unit)
        if report is None:
            api.find_unit(found, unit)  # says so if there is no such unit
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


@app.command()
def cancel(run: RunName) -> None:
    """Ask the driver of a run to stop; what is finished is kept."""
    from membrane_dask import api

    if api.cancel(run):
        _say("the driver will stop within seconds; what is finished is kept")
    else:
        _say("nothing to cancel: no driver is at work on this run, nor in the queue")


@app.command()
def report(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Where to write it; default report.html in the run.")] = None,
) -> None:
    """Write figures, tables and what they say into one HTML file."""
    from membrane_dask.report import write_report

    print(write_report(run, out))


@app.command()
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


# ---------------------------------------------------------------------------------------------


def _version(value: bool) -> None:
    if value:
        from membrane_dask import __version__

        print(f"membrane-dask {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code; troubles are told in words."""
    code = BUG
    try:
        app(arguments, prog_name="membrane-dask")
        code = DONE
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else DONE if leaving.code is None else BUG
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except Exception as error:
        code = _explain(error)
    sys.stdout.flush()
    sys.exit(code)


def _explain(error: Exception) -> int:
    """Say what went wrong; the exit code that tells whose turn it is."""
    from membrane_dask.errors import StudyError

    if isinstance(error, StudyError):
        _say(str(error))
        return USAGE
    from membrane_dask.engine.journal import RunBusyError
    from membrane_dask.engine.run import RunNotFoundError
    from membrane_dask.errors import ClusterError, ReportError

    if isinstance(error, (RunNotFoundError, RunBusyError, ReportError)):
        _say(str(error))
        return USAGE
    if isinstance(error, ClusterError):
        _say(f"cluster trouble: {error}")
        _say("what is finished is kept; the same command resumes")
        return CLUSTER
    if isinstance(error, OSError):
        _say(f"stopped by the system: {error}; what is finished is kept, run again to resume")
        return STOPPED
    import traceback

    traceback.print_exc()
    _say("this is a bug in membrane-dask; what is finished is kept")
    return BUG


if __name__ == "__main__":
    main()
