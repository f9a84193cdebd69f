"""Public functions behind the command line and notebooks: plan, run, submit, open, retry, cancel, replay."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from membrane_dask.config import BaseStudy
from membrane_dask.engine import inspect
from membrane_dask.engine.call_checks import require_limit, require_run_arguments, require_study
from membrane_dask.engine.cluster.certificates import Certificates
from membrane_dask.engine.cluster.driver_series import (
    DriverSeries,
    cancel_jobs,
    require_no_queued_driver,
    start_driver_series,
    submitted_profile,
)
from membrane_dask.engine.cluster.ownership import JobRecord, Reader
from membrane_dask.engine.cluster.pools import MAIN_GUARD_HINT
from membrane_dask.engine.cluster.probe import probe_cluster
from membrane_dask.engine.cluster.profiles import user_file
from membrane_dask.engine.confirmation import confirm, require_confirmed, require_own_study, settings_that_act
from membrane_dask.engine.driver import drive_run
from membrane_dask.engine.events import Listener, Message, Summary
from membrane_dask.engine.import_sources import find_import_sources
from membrane_dask.engine.lock import DriverLock, RunBusyError, await_remote_driver
from membrane_dask.engine.plan import Plan, make_plan
from membrane_dask.engine.provenance import Provenance
from membrane_dask.engine.rounds import all_units
from membrane_dask.engine.run import Run, RunNotFoundError, prepare
from membrane_dask.engine.run_list import RunList, find_run, find_runs
from membrane_dask.engine.source_runs import (
    SourcePlan,
    prepared_sources,
    run_directory,
    source_studies,
    through_sources,
    with_finished_sources,
    with_sources,
)
from membrane_dask.engine.store import Sink, sinks
from membrane_dask.engine.study_inputs import build_program, check_study
from membrane_dask.engine.verification import Fault, verify_run
from membrane_dask.errors import ClusterError, Problem, Source, StudyError
from membrane_dask.files import now, write_atomically
from membrane_dask.program import Unit
from membrane_dask.progress import ProgressLines, shown_progress
from membrane_dask.study_file import load_study, load_study_with_source

#: A driver waits for the lock of its run for this time, in seconds.
LOCK_TIMEOUT = 600.0

__all__ = [
    "ClusterError", "Plan", "Run", "RunList", "RunNotFoundError", "StudyError",
    "cancel", "list_runs", "load_study", "open_run", "plan", "probe_cluster", "replay", "retry", "run", "submit",
    "user_file", "verify",
]  # fmt: skip


def plan(study: BaseStudy | str | Path, *, measure: bool = False, source: Source | None = None) -> Plan:
    """Plan a study: units, batches, memory, and cost. Runs nothing but pilot units.

    Parameters
    ----------
    study : study, str or Path
        A study, or the path of one. The studies whose results it reads must have been run, as :func:`run` does.
    measure : bool
        Run a few pilot units here to measure the cost.
    source : Source, optional
        Positions of the study's entries, for the errors.

    Returns
    -------
    Plan

    Raises
    ------
    StudyError
        If the study cannot be run.
    """
    require_study(study)
    if not isinstance(study, BaseStudy):
        study, source = load_study_with_source(study)
    study = with_finished_sources(study, source)
    try:
        planned = make_plan(study, build_program(study, source))
    except StudyError as error:
        raise StudyError(error.problems, source) from error.__cause__
    planned = replace(planned, imports=find_import_sources(planned))
    return planned.measured() if measure else planned


def planned_sources(study: BaseStudy, source: Source | None = None) -> list[SourcePlan]:
    """Studies whose runs a study reads, and those that they read, in the order in which they run, with their plans.

    Raises
    ------
    StudyError
        If one of them cannot be run.
    """
    return prepared_sources(study, source, lambda ready, its_source: plan(ready, source=its_source))


def check(study: BaseStudy, source: Source | None = None) -> tuple[list[SourcePlan], list[str]]:
    """Check a study, and those whose runs it reads, as far as it costs little; :func:`plan` finds the rest.

    Parameters
    ----------
    study : study
        A study.
    source : Source, optional
        Positions of its entries, for the errors.

    Returns
    -------
    sources : list of SourcePlan
        Studies whose runs it reads, none of them planned. While one is not finished, what the study reads is not
        checked.
    unchecked : list of str
        What is left to the plan.

    Raises
    ------
    StudyError
        If the study cannot be run.
    """
    unchecked: list[str] = []

    def check_one(ready: BaseStudy, its_source: Source | None) -> None:
        unchecked.extend(check_study(ready, its_source))

    sources = prepared_sources(study, source, check_one)
    if all(item.finished for item in sources):
        check_one(with_finished_sources(study, source), source)
    return sources, list(dict.fromkeys(unchecked))


def resolve_sources(
    study: BaseStudy, source: Source | None = None, listener: Listener | None = None, client: Any = None
) -> BaseStudy:
    """Run the studies whose results a study reads, as far as they are not finished.

    Parameters
    ----------
    study : study
        Its inputs may name study files, and it may define studies of its own.
    source : Source, optional
        Positions of the study's entries, for the errors.
    listener : callable, optional
        Receives every event of those runs.
    client : distributed.Client, optional
        As of :func:`run`.

    Returns
    -------
    BaseStudy
        The study with finished runs in place of studies.

    Raises
    ------
    StudyError
        If one of them cannot be run, or its kind does not provide what is read.
    """
    # All that is wrong is found before anything runs; a source whose own sources are finished is planned already.
    plans = {item.path.resolve(): item.plan for item in planned_sources(study, source)}
    with shown_progress(listener) as listener:
        return _with_runs_of_sources(study, source, listener, client, plans, {})


def _with_runs_of_sources(
    study: BaseStudy, source: Source | None, listener: Listener, client: Any, plans: Mapping[Path, Plan | None],
    finished: dict[Path, Path],
) -> BaseStudy:  # fmt: skip
    """The study with the runs of its sources; those that were run for another source are not run again."""
    study = through_sources(study, source)
    runs = {}
    for item in source_studies(study, source):
        path = item.path.resolve()
        if path not in finished:
            with item.errors_of_reader():
                ready = _with_runs_of_sources(item.study, item.source, listener, client, plans, finished)
                planned, directory = plans.get(path) or plan(ready, source=item.source), run_directory(ready)
                listener(Message(f"source {item.path}: {directory}"))
                finished[path] = run(planned, directory, listener=listener, client=client).path.resolve()
        runs[item.name] = finished[path]
    return with_sources(study, runs, source)


def run(
    study: BaseStudy | str | Path | Plan,
    out: str | Path | None = None,
    *,
    limit: int | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    trust: bool = False,
    listener: Listener | None = None,
    client: Any = None,
) -> Run:
    """Run a study, or resume its run where it ended.

    Parameters
    ----------
    study : study, str, Path or Plan
        What to run.
    out : str or Path, optional
        Run directory; default ``runs/<name>``.
    limit : int, optional
        Stop after this number of units.
    fresh : bool
        Move an existing run away and compute all units anew.
    retry_failed : bool
        Retry the units that failed.
    trust : bool
        Use the commands, files and hosts that a run directory brings along, also those that were not used before.
    listener : callable, optional
        Receives every event; by default a notebook shows a bar, elsewhere lines are printed to stderr.
    client : distributed.Client, optional
        A connected client, whose workers compute the units, also those of the studies whose runs this one reads, in
        place of the clusters that the studies name.

    Returns
    -------
    Run
        ``Run.status()`` is its state; units that failed are in ``Run.failures``.

    Raises
    ------
    StudyError
        If the study cannot be run: nothing was started; or if its units show that the input has no result: they are
        kept.
    ClusterError
        If the cluster cannot be used or was lost; what is finished is kept.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker process of a run, which imports the script that started the run.
        raise SystemExit(f"a worker imports the script that runs the study: {MAIN_GUARD_HINT}")
    require_run_arguments(study, out, limit, listener, client)
    require_own_study(study, trust=trust)
    with shown_progress(listener) as listener:
        planned = study if isinstance(study, Plan) else _plan_with_sources(study, listener, client)
        prepared = prepare(planned, Path(out) if out is not None else None, fresh=fresh)
        require_confirmed(prepared.path, trust=trust)
        execute(prepared, planned, limit=limit, retry_failed=retry_failed, listener=listener, client=client)
    return prepared


def _plan_with_sources(study: BaseStudy | str | Path, listener: Listener | None, client: Any) -> Plan:
    source = None
    if not isinstance(study, BaseStudy):
        study, source = load_study_with_source(study)
    return plan(resolve_sources(study, source, listener, client), source=source)


def execute(
    run: Run,
    plan: Plan,
    *,
    limit: int | None = None,
    retry_failed: bool = False,
    listener: Listener | None = None,
    series: DriverSeries | None = None,
    client: Any = None,
) -> Summary:
    """Execute a run that is laid out; the second half of :func:`run`.

    With a ``series`` this driver is a job with a time limit, and has a successor.
    """
    require_limit(limit)
    with shown_progress(listener) as listener:
        return drive_run(run, plan, listener, limit=limit, retry_failed=retry_failed, series=series, client=client)


def open_run(path: str | Path) -> Run:
    """Open a run by its directory, its name, or the beginning of its name.

    Raises
    ------
    RunNotFoundError
        If there is none.
    """
    return find_run(path)


def list_runs(folder: str | Path = "runs") -> RunList:
    """All runs in a directory, printed as a table; those that cannot be read are in ``RunList.broken``."""
    return find_runs(Path(folder))


def submit(
    study: BaseStudy | str | Path | Plan,
    out: str | Path | None = None,
    *,
    fresh: bool = False,
    retry_failed: bool = False,
    trust: bool = False,
    reader: Reader | None = None,
) -> Run:
    """Submit a study to a batch system: its driver is a job, which submits jobs of workers.

    Parameters
    ----------
    study : study, str, Path or Plan
        What to run; its section ``cluster`` names a profile of a batch system.
    out : str or Path, optional
        Run directory, on a file system that the nodes mount; default ``runs/<name>``.
    fresh : bool
        Move an existing run away and compute all units anew.
    retry_failed : bool
        Retry the units that failed.
    trust : bool
        As for :func:`run`.
    reader : Reader, optional
        Study that reads the run, and is submitted by the run's driver when the run is complete.

    Returns
    -------
    Run
        Returned at once; ``Run.status()`` is its state, on any machine that mounts the directory.

    Raises
    ------
    StudyError
        If the study cannot be run or its cluster is no batch system.
    ClusterError
        If the batch system refuses the job; with its message.
    RunBusyError
        If the run has an active driver, or one in the queue.
    """
    require_own_study(study, trust=trust)
    planned = study if isinstance(study, Plan) else plan(study)
    require_batch_system(planned)
    run = prepare(planned, Path(out) if out is not None else None, fresh=fresh)
    require_confirmed(run.path, trust=trust)
    confirm(dict(settings_that_act(planned.study.cluster)))
    run.require_intact_layout(planned)
    if DriverLock.active_driver(run.path):
        raise RunBusyError(
            f"{run.path} has a driver already; watch it with: membrane-dask status {run.path}, or "
            f"stop it with: membrane-dask cancel {run.path}"
        )
    with DriverLock(run.path) as lock:  # until the series is noted: of several submissions at once, one succeeds
        require_no_queued_driver(run.path)
        Certificates.remove_stale(run.path)
        run.update_study(planned.study)
        if planned.costs is not None:
            Provenance(run.path).record_costs(planned.costs)
        JobRecord(run.path).update(reader=asdict(reader) if reader else None, reader_problem="")
        start_driver_series(planned.cluster, run.path, planned.driver_count())
        if retry_failed:
            run.journal.request_retry(run.failed_keys)
        if lock.cancelled():
            cancel_jobs(run.path)
    return run


def require_batch_system(plan: Plan) -> None:
    """Refuse a plan whose cluster has no queue.

    Raises
    ------
    StudyError
        If the plan's cluster is not a profile of a batch system.
    """
    if not plan.cluster.is_batch:
        message = f"submit needs the profile of a batch system (got {plan.cluster.name!r}); see: membrane-dask clusters"
        raise StudyError([Problem(("cluster", "profile"), message)])


def was_submitted(run: Run) -> bool:
    """Whether a run's driver is, or was, a job of a batch system."""
    return submitted_profile(run.path) is not None


def drive(path: str | Path, listener: Listener | None = None) -> Summary:
    """Drive a submitted run; its job calls this.

    Raises
    ------
    RunNotFoundError
        If there is no such run, or it was not submitted.
    """
    run = find_run(path)
    profile = submitted_profile(run.path)
    if profile is None:
        raise RunNotFoundError(f"{run.path} was not submitted; run it with: membrane-dask run")
    planned = replace(plan(run.study), cluster=profile, costs=Provenance(run.path).costs())
    listener = listener or ProgressLines(sys.stderr)
    series = DriverSeries(run.path, profile, lambda text: listener(Message(text)))
    await_remote_driver(run.path)
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            return execute(run, planned, listener=listener, series=series)
        except RunBusyError:  # by the process that submits this driver, or by the driver before it
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def retry(path: str | Path, listener: Listener | None = None, *, trust: bool = False) -> Run:
    """Retry the units that failed, and finish those that are open.

    A run that was submitted is submitted again. With ``trust``, the commands, files and hosts that its directory brings
    along are used.

    Raises
    ------
    UnconfirmedError
        If it brings along commands, files or hosts that were not used before.
    """
    failed_run = find_run(path)
    failed_run.require_present_layout("resumed")
    study = failed_run.study
    require_confirmed(failed_run.path, study, trust=trust)
    if submitted_profile(failed_run.path) is not None:
        return submit(plan(study), failed_run.path, retry_failed=True, trust=trust)
    return run(plan(study), failed_run.path, retry_failed=True, trust=trust, listener=listener)


def verify(path: str | Path, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Fault]:
    """Compare all files and values of a run with the digests that were recorded when they were written.

    Parameters
    ----------
    path : str or Path
        The run.
    progress : callable
        Receives the numbers of compared units and of all.

    Returns
    -------
    list of Fault
        What is missing or altered; :func:`run` computes it again.
    """
    run = find_run(path)
    run.require_present_layout("verified")

    def storage() -> tuple[dict[str, Sink], list[Unit]]:
        program = plan(run.study).program
        return sinks(run.path, program, run.batch), list(all_units(program, run.journal.history()))

    return verify_run(run.path, run.journal, storage, progress)


def cancel(path: str | Path) -> bool:
    """Stop the driver of a run, on whatever machine, and cancel the jobs of the run; False if there is nothing to stop.

    Jobs are cancelled whose names carry the id of the run, whether the run notes them or not, and no others.

    Raises
    ------
    ClusterError
        If the batch system does not answer.
    """
    run = find_run(path)
    if DriverLock.active_driver(run.path) is None:
        return cancel_jobs(run.path)
    write_atomically(run.path / "cancel", now() + "\n")  # the driver cancels its workers, and what is queued by then
    with contextlib.suppress(ClusterError):
        cancel_jobs(run.path, spare_active=True)
    return True


def replay(path: str | Path, key: str) -> tuple[dict[str, Any], bool | None]:
    """Run one unit again in this process.

    Parameters
    ----------
    path : str or Path
        The run.
    key : str
        The unit, as named in the journal or in ``failures/``.

    Returns
    -------
    values : dict of str to ndarray
        What the unit returns.
    same : bool or None
        Whether the result has the same bits; None if it has no values of the unit.
    """
    run = find_run(path)
    return inspect.replay(run, plan(run.study).program, key)
