"""Commands that run, submit and retry studies."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from membrane_dask.cli.exit_codes import FAILED_UNITS, INTERRUPTED, STOPPED, USAGE, exit_with
from membrane_dask.cli.options import (
    ClusterName,
    Fresh,
    Overrides,
    RunDirectory,
    RunName,
    StudyPath,
    Trust,
    with_cluster,
)
from membrane_dask.cli.pilots import measured
from membrane_dask.engine.terminal import say, show
from membrane_dask.errors import Terminated

if TYPE_CHECKING:
    from membrane_dask.engine.run import Run


def run(
    path: StudyPath,
    out: RunDirectory = None,
    overrides: Overrides = None,
    cluster: ClusterName = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after this number of units.")] = None,
    measure: Annotated[
        bool, typer.Option(help="Run a few pilot units first, and compare the predicted cost with the actual one.")
    ] = True,
    fresh: Fresh = False,
    trust: Trust = False,
) -> None:
    """Run a study, or resume its run where it ended."""
    finished = run_study(
        path, out, with_cluster(overrides, cluster), limit=limit, measure=measure, fresh=fresh, trust=trust
    )
    _say_next_step(finished)


def run_study(
    path: Path,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    limit: int | None = None,
    measure: bool = True,
    fresh: bool = False,
    trust: bool = False,
) -> Run:
    """Run the study of a file and show its progress; what is not done ends the command with its exit code."""
    from membrane_dask import api
    from membrane_dask.engine.confirmation import require_confirmed, require_own_study
    from membrane_dask.engine.lock import DriverLock
    from membrane_dask.engine.plan import as_seconds
    from membrane_dask.engine.run import prepare
    from membrane_dask.study_file import load_study_with_source

    study, source = load_study_with_source(path, overrides)
    trust = _confirmed(require_own_study, path, trust=trust)
    say(f"reading {path} and its inputs")
    plan = api.plan(api.resolve_sources(study, source), source=source)
    if fresh:
        plan = plan.without_imports()
    run = prepare(plan, out, fresh=fresh)
    trust = _confirmed(require_confirmed, run.path, trust=trust)
    is_local = plan.cluster.scheduler in ("local", "sync")
    is_busy = DriverLock.active_driver(run.path) is not None  # refused below, without pilots
    if measure and is_local and limit is None and not is_busy and not run.journal.summary().done:
        with DriverLock(run.path, measuring=True) as lock:
            plan = measured(plan)
            if lock.cancelled():
                say(f"stopped: cancelled; resume with: membrane-dask run {run.path / 'study.yaml'} --out {run.path}")
                exit_with(STOPPED)
        if plan.costs is not None:
            work, time = as_seconds(plan.cost or 0.0), as_seconds(plan.time or 0.0)
            say(f"cost: about {work} of CPU time, {time} of wall time on this cluster, {plan.time_scope}")
    _execute(run, plan, limit=limit)
    return run


def _say_next_step(run: Run) -> None:
    """Name the commands that show the result of a finished run."""
    import shlex

    from membrane_dask.studies.registry import find_kind

    path = shlex.quote(str(run.path))
    report = f"membrane-dask report {path} for figures and tables, or " if find_kind(run.kind).report else ""
    say(f"next: {report}membrane-dask serve {path} to explore the result in a browser")


def submit(
    path: StudyPath,
    cluster: ClusterName = None,
    out: RunDirectory = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the job scripts, submit nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    measure: Annotated[
        bool,
        typer.Option(help="Run a few pilot units first; the driver compares the predicted cost with the actual one."),
    ] = True,
    fresh: Fresh = False,
    trust: Trust = False,
) -> None:
    """Submit a study to a batch system and return: the driver is a job, which submits jobs of workers.

    Studies whose runs this one reads come first, as far as they are not finished: each is submitted when the one before
    is complete.
    """
    from membrane_dask import api
    from membrane_dask.engine.confirmation import require_own_study
    from membrane_dask.engine.source_runs import run_directory
    from membrane_dask.ordered_submission import next_step, submit_step

    changes = with_cluster(overrides, cluster)
    trust = _confirmed(require_own_study, path, trust=trust)
    step = next_step(path, changes)
    if fresh:
        step = replace(step, plan=step.plan.without_imports())
    api.require_batch_system(step.plan)
    if measure:
        step = replace(step, plan=measured(step.plan))
    plan = step.plan
    say(str(plan))
    for later in (*step.unfinished[1:], *([path] if step.unfinished else [])):
        say(f"then     {later}, which is submitted when the run before it is complete")
    if dry_run:
        from membrane_dask.engine.cluster.overview import job_scripts

        for name, script in job_scripts(plan.cluster).items():
            show(f"# ---- job of the {name} ----\n{script}")
        return
    if not yes:
        if not sys.stdin.isatty():
            say("nothing was submitted: confirmation needs a terminal; to confirm beforehand give --yes")
            exit_with(USAGE)
        if not typer.confirm("Submit?", default=True, err=True):
            exit_with(USAGE)
    root = run_directory(plan.study) if step.unfinished else out or Path("runs") / plan.name
    if (root / "run.json").is_file():
        _report_lost_driver(api.open_run(root))
    _print_submitted(submit_step(step, path, out, changes, fresh=fresh, trust=trust))


def _confirmed(require: Callable[..., None], *arguments: Any, trust: bool) -> bool:
    """Ask in a terminal for what must be confirmed, elsewhere only --trust confirms it; whether it was confirmed."""
    from membrane_dask.engine.confirmation import UnconfirmedError

    try:
        require(*arguments, trust=trust)
    except UnconfirmedError as error:
        if not sys.stdin.isatty():
            raise
        say(error)
        if not typer.confirm("Use it?", default=False, err=True):
            exit_with(USAGE)
        require(*arguments, trust=True)
        return True
    return trust


def _report_lost_driver(run: Run) -> None:
    """Say what became of the driver that was submitted before, if it never worked on the run."""
    if lost := run.lost_driver():
        say(f"the driver that was submitted before: {lost}")


def _print_submitted(run: Run) -> None:
    for name, text in run.rows():
        if name == "driver":
            say(f"submitted: {text}")
    say(f"watch it with: membrane-dask status {run.path} --watch, or membrane-dask logs {run.path} -f")
    show(run.path)


def drive(name: RunName) -> None:
    """Drive a submitted run; its job calls this."""
    from membrane_dask import api
    from membrane_dask.errors import ClusterError
    from membrane_dask.ordered_submission import submit_reader

    run = api.open_run(name)
    try:
        _report_execution(run, lambda listener: api.drive(run.path, listener))
    except ClusterError as error:
        if not error.resuming_helps:
            raise
        say(f"cluster failure: {error}")
        say("what is finished is kept; the next driver resumes")
        exit_with(STOPPED)  # HTCondor starts this driver again
    if following := submit_reader(run):
        say(f"submitted what reads this run: {following.path}")


def retry(
    name: RunName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the units that would be retried.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Drive it from here, also if it was submitted.")] = False,
    failed: Annotated[bool, typer.Option("--failed", hidden=True)] = False,
    here: Annotated[bool, typer.Option("--here", hidden=True)] = False,
    trust: Trust = False,
) -> None:
    """Retry the units that failed, and finish those that are open.

    A run that was submitted is submitted again.
    """
    from membrane_dask import api
    from membrane_dask.engine.confirmation import require_confirmed
    from membrane_dask.former_names import warn

    if failed:
        warn("the option --failed is now --dry-run")
    if here:
        warn("the option --here is now --local")
    run = api.open_run(name)
    if dry_run or failed:
        for key in run.failed_keys:
            show(key)
        return
    run.require_present_layout("resumed")
    study = run.study
    trust = _confirmed(require_confirmed, run.path, study, trust=trust)
    if api.was_submitted(run) and not (local or here):
        _report_lost_driver(run)
        _print_submitted(api.retry(run.path, trust=trust))
    else:
        _execute(run, api.plan(study), retry_failed=True)
        _say_next_step(run)


def _execute(run: Run, plan: Any, **options: Any) -> None:
    from membrane_dask import api
    from membrane_dask.engine.records import is_inconclusive

    _report_execution(run, lambda listener: api.execute(run, plan, listener=listener, **options))
    if is_inconclusive(run.path):
        exit_with(STOPPED)


def _report_execution(run: Run, execute: Callable[[Any], Any]) -> None:
    """Execute a run, show its progress, and exit with the code of its result."""
    from membrane_dask.progress import ProgressBar, ProgressLines

    signal.signal(signal.SIGTERM, _terminate)
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(hangup, _terminate)
    say(f"run: {run.path}")
    listener = ProgressBar() if sys.stderr.isatty() else ProgressLines(sys.stderr)
    try:
        summary = execute(listener)
    except KeyboardInterrupt:
        say(f"interrupted; resume with: membrane-dask run {run.path / 'study.yaml'} --out {run.path}")
        exit_with(INTERRUPTED)
    except SystemExit:
        say(f"terminated; resume with: membrane-dask run {run.path / 'study.yaml'} --out {run.path}")
        exit_with(STOPPED)
    finally:
        if isinstance(listener, ProgressBar):
            listener.close()
    say(str(run))
    if summary.reason == "too many failures":
        finished = summary.done + summary.failed
        say(f"stopped: {summary.failed} of {finished} finished units failed; see {run.path}/failures")
        exit_with(FAILED_UNITS)
    if summary.reason in ("cancelled", "time is up"):
        say(f"stopped: {summary.reason}; {summary.left} units are left")
        exit_with(STOPPED)
    if summary.failed:
        exit_with(FAILED_UNITS)
    show(run.path)


def _terminate(signum: int, frame: object) -> NoReturn:
    signal.signal(signum, signal.SIG_IGN)
    raise Terminated(STOPPED)
