"""Driver series: the driver of a run as a job of the batch system, followed by successors until the run is finished.

The job runs ``membrane-dask drive RUN``. Before it starts work it submits its own successor, which starts
after it has ended, however it ended. A driver that is killed, whose time limit is reached, or that ends for cluster
trouble is therefore followed by one that resumes the run. The driver cancels its successor where resuming cannot
help: when the run is finished, cancelled, or cannot go on.
"""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from membrane_dask.engine.cluster.ownership import (
    JobRecord,
    Reader,
    claim_run_id,
    driver_job_name,
    is_copy,
    queued_jobs,
    run_id,
)
from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.cluster.worker_jobs import job_folder, worker_lifetime
from membrane_dask.engine.lock import RunBusyError
from membrane_dask.engine.schedulers import batch_system, job_output_tail, own_job_id
from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    WorkerCommand,
    persistently,
)
from membrane_dask.errors import ClusterError, Problem, Source, StudyError
from membrane_dask.files import write_atomically
from membrane_dask.former_names import present_settings

logger = logging.getLogger("membrane_dask")

#: Memory of a driver in addition to JOB_OVERHEAD_MB, in MB (measured on 100,000 units, rounded up).
DRIVER_MEMORY_MB = 1500
#: Attempts to submit a driver while the batch system does not answer, with pauses of 1, 2, 4 and 8 s.
DRIVER_SUBMISSIONS = 5
#: A series ends after this number of consecutive drivers that finished no unit.
MAX_DRIVERS_WITHOUT_PROGRESS = 3


class NoProgressError(ClusterError):
    """Several consecutive drivers finished no unit."""

    resuming_helps = False


def driver_job_script(system: BatchSystem, root: Path, name: str) -> str:
    """Script of a job that drives a run.

    Parameters
    ----------
    system : BatchSystem
        Batch system that runs the job.
    root : Path
        The run directory.
    name : str
        Name of the job.
    """
    profile, command = system.profile, ["-m", "membrane_dask.cli", "drive", str(root.resolve())]
    cores, memory, nodes = 1, system.memory_mb(0) + DRIVER_MEMORY_MB, 1
    if profile.single_allocation:  # the job holds the workers too
        cores, memory = system.cores + 1, system.memory_mb(profile.workers or 1) + DRIVER_MEMORY_MB
        nodes = (profile.jobs or 1) if profile.scheduler == "slurm" else 1
    return system.driver_script(command, name, str(job_folder(root).resolve()), cores, memory, nodes)


def submit_driver(profile: Profile, root: Path, after: str | None = None, *, validate: bool = True) -> str:
    """Submit a driver of a run; the caller holds the lock of the run.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile.
    root : Path
        The run directory.
    after : str, optional
        Id of the job after whose end this driver starts.
    validate : bool
        Ask the batch system first whether it would accept the script.

    Returns
    -------
    str
        Id of the job.

    Raises
    ------
    ClusterError
        If the batch system refuses the job, with its message.
    """
    system = batch_system(profile)
    system.check_commands()
    folder = job_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    name = driver_job_name(root, claim_run_id(root))
    script = folder / f"{name}.sh"
    write_atomically(script, driver_job_script(system, root, name))
    if validate:
        persistently(lambda: system.validate_script(script), DRIVER_SUBMISSIONS)
    try:
        return system.submit(script.resolve(), after, attempts=DRIVER_SUBMISSIONS)
    except SchedulerUnavailableError as error:
        raise SchedulerUnavailableError(f"{error}; to cancel it: membrane-dask cancel {root}") from error


def start_driver_series(profile: Profile, root: Path, drivers: int = 1) -> list[str]:
    """Submit the first driver of a run, and with it the successors that its node cannot submit.

    The caller holds the lock of the run until this returns, so that two series never start and the first driver
    does not start before the series is noted.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile; stored with the run, so that all drivers use the same.
    root : Path
        The run directory.
    drivers : int
        Number of drivers to submit, each of which starts after the one before.

    Returns
    -------
    list of str
        Ids of the jobs.

    Raises
    ------
    ClusterError
        If the batch system refuses a driver job or a worker job, with its message.
    """
    claim_run_id(root)
    record = JobRecord(root)
    if not profile.single_allocation:
        _validate_worker_script(profile, root)
    record.update(profile=profile.model_dump(mode="json", exclude_none=True), finished_at_start=[], drivers=[])
    job_ids: list[str] = []
    for _ in range(drivers):
        try:
            job_ids.append(submit_driver(profile, root, job_ids[-1] if job_ids else None, validate=not job_ids))
        except ClusterError as error:
            if not job_ids:
                raise
            logger.warning("%d of %d drivers were submitted (%s)", len(job_ids), drivers, error)
            break
        record.update(drivers=job_ids)
    return job_ids


def _validate_worker_script(profile: Profile, root: Path) -> None:
    """Refuse at once what the batch system would refuse only when the driver submits its first worker job."""
    system = batch_system(profile)
    system.check_commands()
    folder = job_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "worker-validation.sh"
    script.write_text(system.worker_script(WorkerCommand("tls://DRIVER:PORT", "worker"), str(folder.resolve())))
    persistently(lambda: system.validate_script(script), DRIVER_SUBMISSIONS)
    script.unlink()


class DriverSeries:
    """The series of drivers of a run, used by the driver that runs at present and holds the lock of the run.

    Parameters
    ----------
    root : Path
        The run directory.
    profile : Profile
        Profile with which the run was submitted.
    notify : callable
        Receives messages for the user.
    """

    def __init__(self, root: Path, profile: Profile, notify: Callable[[str], None]) -> None:
        self.root, self.profile, self._notify = root, profile, notify
        self.system = batch_system(profile)
        self.job_id = own_job_id(profile)
        # HTCondor restarts a driver itself: there are no successors to submit.
        self._has_successors = bool(self.job_id) and profile.scheduler != "htcondor"
        self._record = JobRecord(root)
        self._successors: list[str] = []
        self._submission_failed = False

    @property
    def time_limit(self) -> float | None:
        """Time in seconds after which this driver should stop, to end before the time limit of its job."""
        return float(worker_lifetime(self.profile.walltime)[0]) if self.profile.walltime else None

    def begin(self, finished: int) -> None:
        """Submit the successor of this driver.

        Parameters
        ----------
        finished : int
            Number of units that are finished now.

        Raises
        ------
        NoProgressError
            If the last drivers finished no unit.
        """
        counts = [*self._record.read().get("finished_at_start", []), finished][-MAX_DRIVERS_WITHOUT_PROGRESS - 1 :]
        self._record.update(finished_at_start=counts)
        if len(counts) > MAX_DRIVERS_WITHOUT_PROGRESS and len(set(counts)) == 1:
            raise NoProgressError(
                f"{MAX_DRIVERS_WITHOUT_PROGRESS} consecutive drivers finished no unit, so no further one is "
                f"submitted. Their output is in {self.root / 'logs'}; a longer `walltime` or a smaller "
                "`execution.batch` may help"
            )
        if not self._has_successors:
            return
        try:
            self._successors = self._queued(workers=False)
        except ClusterError as error:
            logger.warning("the queue could not be read: %s", error)
        if not self._successors:  # otherwise they were submitted with this driver, or before it was queued again
            self._submit_successor()
        self._record.update(drivers=[self.job_id, *self._successors])

    def _submit_successor(self) -> None:
        try:
            self._successors = [submit_driver(self.profile, self.root, self.job_id, validate=False)]
        except ClusterError as error:
            self._submission_failed = True
            self._notify(f"the successor of this driver could not be submitted ({error}); after its time limit "
                         f"submit the run again with: membrane-dask retry {self.root}")  # fmt: skip

    def end(self, *, resume: bool, complete: bool = False) -> None:
        """Remove this driver from the series, and cancel all other jobs of the run unless it is to be resumed.

        Parameters
        ----------
        resume : bool
            Whether a later driver may get further than this one.
        complete : bool
            Whether the run is complete. If a study that reads it is to be submitted, the successor waits until that
            is done, in case this driver is killed before: see :func:`end_series`.
        """
        if resume:
            if not self._has_successors:
                return
            if self._submission_failed:  # the batch system may answer again
                self._submit_successor()
        else:
            try:
                left = self._queued()
            except ClusterError:
                left = self._successors
            waiting = self._successors if complete and Reader.of(self._record.read().get("reader")) else []
            left = [job_id for job_id in left if job_id not in waiting]
            if self.system.cancel(left):
                self._successors = waiting
            else:
                self._notify(f"{self.system.title} does not answer; cancel with: {self.system.cancel_hint(left)}")
        self._record.update(drivers=self._successors)

    def _queued(self, *, workers: bool = True) -> list[str]:
        """Ids of the jobs of this run in the queue, but for the one in which this driver runs."""
        jobs = queued_jobs(self.system, claim_run_id(self.root), workers=workers)
        return [job_id for job_id in jobs if _number(job_id) != _number(self.job_id)]


def end_series(root: Path) -> None:
    """Cancel the driver that waits in case this one is killed before it has submitted the study that reads the run.

    Raises
    ------
    ClusterError
        If the batch system does not answer.
    """
    record = JobRecord(root)
    if record.read().get("drivers"):
        cancel_jobs(root, spare_active=True)
        record.update(drivers=[])


def _number(job_id: str) -> str:
    """Leading digits of a job id: batch systems add the name of a server in some places only."""
    digits = re.match(r"\d+", job_id)
    return digits[0] if digits else job_id


def submitted_profile(root: Path) -> Profile | None:
    """The profile with which a run was submitted; None if it never was.

    Raises
    ------
    StudyError
        If ``jobs.json`` holds no valid profile of a batch system.
    """
    return _stored_profile(root, "profile")


def _stored_profile(root: Path, entry: str) -> Profile | None:
    settings = JobRecord(root).read().get(entry)
    if not settings:
        return None
    source = Source(str(root / "jobs.json"))
    with warnings.catch_warnings():  # no user writes this file, so former names in it need no warning
        warnings.simplefilter("ignore", FutureWarning)
        try:
            profile = Profile.model_validate(present_settings(Profile, settings, source, (entry,)))
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = (entry, *problem["loc"])
            raise StudyError([Problem(where, f"is not valid: {problem['msg']}")], source) from None
    if not profile.is_batch:
        raise StudyError([Problem((entry, "scheduler"), f"is no batch system (got {profile.scheduler!r})")], source)
    return profile


def queued_drivers(root: Path) -> dict[str, str]:
    """Recorded drivers of a run that are pending or running: description of the state by job id.

    On a machine without the batch system's commands, or while it does not answer, all recorded drivers count. The
    drivers that a copy of a run directory records are those of the original.
    """
    job_ids = JobRecord(root).read().get("drivers", [])
    profile = submitted_profile(root) if job_ids else None
    if profile is None or is_copy(root):
        return {}
    try:
        system = batch_system(profile)
        states = system.job_states(filter(system.is_job_id, job_ids))
    except (SubmissionRefusedError, SchedulerUnavailableError):
        return dict.fromkeys(job_ids, "submitted")
    return {job_id: state.description for job_id, state in states.items() if state.state != "ended"}


def require_no_queued_driver(root: Path) -> None:
    """Refuse to change a run that a driver in the queue is going to work on.

    Raises
    ------
    RunBusyError
        If there is one, whether the run notes it or not.
    """
    waiting, profile, run = list(queued_drivers(root)), submitted_profile(root), run_id(root)
    if profile is not None and not is_copy(root):
        system = batch_system(profile)
        with contextlib.suppress(ClusterError):  # then those count that the run notes
            if run is not None:
                waiting = list(queued_jobs(system, run, workers=False))
            elif waiting:  # submitted by an earlier version
                waiting = [job_id for job_id in waiting if job_id in system.find_jobs("md-")]
    if waiting:
        raise RunBusyError(
            f"{root} has a driver already (job: {', '.join(waiting)}); watch it with: membrane-dask status {root}, or "
            f"stop it with: membrane-dask cancel {root}"
        )


def lost_driver(root: Path) -> str:
    """What is known of a driver that ended without a word, in one line; empty if none did.

    A driver that ends removes itself from the record. One that stays there although no driver is active and none is
    in the queue never started, or was killed together with its successor.
    """
    record = JobRecord(root).read()
    if not record.get("drivers") or is_copy(root) or queued_drivers(root):
        return ""
    job_id = record["drivers"][-1]
    action = "ended without a message" if record.get("finished_at_start") else "ended before the driver started"
    output = job_output_tail(job_folder(root), job_id, lines=1).splitlines()
    detail = f": {output[-1]}" if output else f"; it wrote no output into {job_folder(root)}"
    return f"job {job_id} {action}{detail}"


def cancel_jobs(root: Path, *, spare_active: bool = False) -> bool:
    """Cancel all jobs in the queue whose names carry the id of a run; False if there is none.

    Parameters
    ----------
    root : Path
        The run directory.
    spare_active : bool
        Cancel only drivers that wait, as the active driver stops by itself and cancels its workers.

    Raises
    ------
    ClusterError
        If the batch system does not answer, or if the run has jobs of an earlier version, which carry no id.
    """
    run, cancelled = run_id(root), False
    profiles = [_stored_profile(root, entry) for entry in ("profile", "workers_profile")]
    systems = {str(profile.scheduler): batch_system(profile) for profile in profiles if profile is not None}
    for system in systems.values() if run is not None else ():
        states = queued_jobs(system, str(run), workers=not spare_active)
        job_ids = [job_id for job_id, job in states.items() if not spare_active or job.state == "pending"]
        if not system.cancel(job_ids):
            raise ClusterError(f"{system.title} does not answer; the run has these jobs: {', '.join(job_ids)}")
        cancelled = cancelled or bool(job_ids)
    if run is None and not is_copy(root) and queued_drivers(root):
        jobs = ", ".join(queued_drivers(root))
        raise ClusterError(
            f"{root} has jobs of an earlier version of membrane-dask, whose names carry no id of the run: {jobs}. "
            "Cancel them with the batch system's own command"
        )
    if cancelled and not spare_active:
        JobRecord(root).update(drivers=[], workers=[])
    return cancelled
