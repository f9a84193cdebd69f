"""Commands that run, submit and retry studies."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from membrane_dask.engine.run import Run
from membrane_dask.cli.exit_codes import INTERRUPTED, SET_ASIDE, STOPPED, USAGE, _leave, _say
from membrane_dask.cli.options import ClusterName, Overrides, RunName, StudyPath, _overrides
from membrane_dask.progress import Bar


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
    made = api.plan(api.resolve_sources(found, source), source=source)
    _execute(prepare(made, out, fresh=fresh), made, limit=limit)


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


def drive(run: RunName) -> None:
    """Be the driver of a run that was submitted; its job calls this."""
    from membrane_dask import api

    found = api.open_run(run)
    _run(found, lambda listener: api.drive(found.path, listener))


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
