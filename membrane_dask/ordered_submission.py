"""Submission of a study together with the studies whose runs it reads, as the stages of a chain.

They run one after the other, as the units of each follow from the run of the one before. The first that is not finished
is submitted; its driver submits the next one when its run is complete, and the study itself in the end.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from membrane_dask import api
from membrane_dask.engine.cluster.driver_series import end_series
from membrane_dask.engine.cluster.ownership import JobRecord, Reader
from membrane_dask.engine.lock import RunBusyError
from membrane_dask.engine.plan import Plan
from membrane_dask.engine.run import Run, require_local
from membrane_dask.engine.source_runs import run_directory
from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.study_file import load_study_with_source


@dataclass(frozen=True)
class Step:
    """What is submitted next of a study and those whose runs it reads.

    Parameters
    ----------
    plan : Plan
        Of the first study that is not finished.
    unfinished : tuple of Path
        Files of the studies that come before the study itself, that of the plan first; empty if the plan is of the
        study itself.
    """

    plan: Plan
    unfinished: tuple[Path, ...]


def next_step(path: Path, overrides: Sequence[str] = ()) -> Step:
    """What is submitted next of a study.

    Parameters
    ----------
    path : Path
        Its file.
    overrides : sequence of str
        Changes of its entries, ``a.b=value``.

    Raises
    ------
    StudyError
        If it, or a study whose run it reads, cannot be run, or if a driver of theirs cannot submit the next one.
    """
    study, source = load_study_with_source(path, overrides)
    unfinished = [item for item in api.planned_sources(study, source) if not item.finished]
    plan = unfinished[0].plan if unfinished else None
    if plan is not None and plan.cluster.is_batch and plan.cluster.single_allocation:
        message = (
            "must be false while studies that this one reads are not finished, as each is submitted by the driver of "
            f"the one before; set it to false, or submit first: {', '.join(str(item.path) for item in unfinished)} "
            "(got true)"
        )
        raise StudyError([Problem(("cluster", "single_allocation"), message)], source)
    return Step(plan or api.plan(study, source=source), tuple(item.path for item in unfinished))


def submit_step(
    step: Step,
    path: Path,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    fresh: bool = False,
    trust: bool = False,
) -> Run:
    """Submit what comes next of a study; its driver submits the step after it.

    Parameters
    ----------
    step : Step
        Result of :func:`next_step`.
    path : Path
        File of the study.
    out : Path, optional
        Run directory of the study.
    overrides : sequence of str
        Changes of its entries.
    fresh, trust : bool
        As of :func:`membrane_dask.submit`.

    Raises
    ------
    StudyError, ClusterError, RunBusyError
        As of :func:`membrane_dask.submit`; also if a run is to be moved away before the studies that it reads are
        finished.
    """
    if not step.unfinished:
        return api.submit(step.plan, out, fresh=fresh, trust=trust)
    if fresh:
        message = f"--fresh moves the run of {path} away, which reads studies that are not finished; leave it out"
        raise StudyError([Problem((), message)], Source(str(path)))
    require_local(out)  # before its path is made absolute
    path = path.resolve()
    reader = Reader(str(path), str(Path.cwd()), list(overrides), str(out.resolve()) if out else None, _digest(path))
    return api.submit(step.plan, run_directory(step.plan.study).resolve(), trust=trust, reader=reader)


def submit_reader(run: Run) -> Run | None:
    """Submit what follows a run of :func:`submit_step`; its driver calls this.

    Returns
    -------
    Run or None
        None if the run is not complete, nothing follows it, or what follows has been submitted by the driver before.

    Raises
    ------
    StudyError
        If the file of the study that reads the run was changed since, or that study cannot be run.
    ClusterError
        If the batch system refuses the job.
    """
    record = JobRecord(run.path)
    reader = Reader.of(record.read().get("reader"))
    if reader is None or run.status()["state"] != "complete":
        return None
    following = None
    try:
        with contextlib.suppress(RunBusyError):  # submitted by a driver that was killed afterwards
            following = _submit(reader)
    except Exception as error:
        record.update(reader_problem=f"{error}" or type(error).__name__)  # status shows it
        end_series(run.path)
        raise
    # The successor stays in the queue if this driver is terminated before.
    end_series(run.path)
    record.update(reader_problem="")
    return following


def _submit(reader: Reader) -> Run:
    """Submit what comes next of a study that reads a finished run."""
    path = Path(reader.study)
    if not path.is_file() or _digest(path) != reader.digest:
        message = f"was changed or removed since it was submitted; go on with: membrane-dask submit {path}"
        raise StudyError([Problem((), message)], Source(str(path)))
    with contextlib.chdir(reader.folder):
        step = next_step(path, reader.overrides)
        return submit_step(step, path, Path(reader.out) if reader.out else None, reader.overrides)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
