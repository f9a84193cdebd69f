"""Driver series: the driver of a run as a job of the batch system, followed by successors until the run is finished.

The job runs ``membrane-dask drive RUN``. Before it starts work it submits its own successor, which starts
after it has ended, however it ended; when the run is finished it cancels the successor. A driver that is
killed, or whose time limit is reached, is therefore followed by one that resumes the run.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.cluster.worker_jobs import JobRecord, job_folder, worker_lifetime
from membrane_dask.engine.schedulers import batch_system, own_job_id
from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobState,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    WorkerCommand,
)
from membrane_dask.errors import ClusterError, Source
from membrane_dask.files import write_atomically
from membrane_dask.former_names import present_settings

#: Memory of a driver in addition to JOB_OVERHEAD_MB, in MB (measured on 100,000 units, rounded up).
DRIVER_MEMORY_MB = 1500
#: A series ends after this number of consecutive drivers that finished no unit.
MAX_DRIVERS_WITHOUT_PROGRESS = 3


def driver_job_script(system: BatchSystem, root: Path) -> str:
    """Script of the job that drives a run.

    Parameters
    ----------
    system : BatchSystem
        Batch system that runs the job.
    root : Path
        The run directory.
    """
    profile, command = system.profile, ["-m", "membrane_dask.cli", "drive", str(root.resolve())]
    cores, memory, nodes = 1, system.memory_mb(0) + DRIVER_MEMORY_MB, 1
    if profile.single_allocation:  # the job holds the workers too
        cores, memory = system.cores + 1, system.memory_mb(profile.workers or 1) + DRIVER_MEMORY_MB
        nodes = (profile.jobs or 1) if profile.scheduler == "slurm" else 1
    return system.driver_script(command, driver_job_name(root), str(job_folder(root).resolve()), cores, memory, nodes)


def driver_job_name(root: Path) -> str:
    """Name of a run's driver jobs in the queue: the name of the run in characters that all batch systems accept."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"md-{root.resolve().name}")[:60]


def submit_driver(profile: Profile, root: Path, after: str | None = None, *, validate: bool = True) -> str:
    """Submit a driver of a run.

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
    script = folder / "driver.sh"
    text = driver_job_script(system, root)
    if not script.exists() or script.read_text(encoding="utf-8") != text:
        write_atomically(script, text)
    if validate:
        system.validate_script(script)
    return system.submit(script.resolve(), after)


def start_driver_series(profile: Profile, root: Path, drivers: int = 1) -> list[str]:
    """Submit the first driver of a run, and with it the successors that its node cannot submit.

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
    record = JobRecord(root)
    (root / "cancel").unlink(missing_ok=True)
    if not profile.single_allocation:
        _validate_worker_script(profile, root)
    record.update(profile=profile.model_dump(mode="json", exclude_none=True), finished_at_start=[], drivers=[])
    job_ids: list[str] = []
    for _ in range(drivers):
        job_ids.append(submit_driver(profile, root, job_ids[-1] if job_ids else None, validate=not job_ids))
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
    system.validate_script(script)
    script.unlink()


class DriverSeries:
    """The series of drivers of a run, used by the driver that runs at present.

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
        # HTCondor restarts a driver itself: there are no successors to submit.
        self.job_id = own_job_id(profile) if profile.scheduler != "htcondor" else ""
        self._record = JobRecord(root)

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
        ClusterError
            If the last drivers finished no unit.
        """
        counts = [*self._record.read().get("finished_at_start", []), finished][-MAX_DRIVERS_WITHOUT_PROGRESS - 1 :]
        self._record.update(finished_at_start=counts)
        if len(counts) > MAX_DRIVERS_WITHOUT_PROGRESS and len(set(counts)) == 1:
            raise ClusterError(
                f"{MAX_DRIVERS_WITHOUT_PROGRESS} consecutive drivers finished no unit, so no further one is "
                f"submitted. Their output is in {self.root / 'logs'}; a longer `walltime` or a smaller "
                "`execution.batch` may help"
            )
        successors = [job_id for job_id in self._record.read().get("drivers", []) if job_id != self.job_id]
        if not self.job_id or any(state.state != "ended" for state in self._states(successors).values()):
            return  # the successors were submitted with this driver, or the batch system restarts it
        try:
            successor = submit_driver(self.profile, self.root, self.job_id, validate=False)
        except ClusterError as error:
            self._notify(f"the successor of this driver could not be submitted ({error}); after its time limit "
                         f"submit the run again with: membrane-dask retry {self.root}")  # fmt: skip
            return
        self._record.update(drivers=[self.job_id, successor])

    def end(self, *, resume: bool) -> None:
        """Remove this driver from the series, and cancel its successors unless the run is to be resumed."""
        drivers = [job_id for job_id in self._record.read().get("drivers", []) if job_id != self.job_id]
        if not resume:
            self.system.cancel(drivers)
            drivers = []
        self._record.update(drivers=drivers)

    def _states(self, job_ids: list[str]) -> dict[str, JobState]:
        try:
            return self.system.job_states(job_ids)
        except ClusterError:
            return {}


def submitted_profile(root: Path) -> Profile | None:
    """The profile with which a run was submitted; None if it never was."""
    settings = JobRecord(root).read().get("profile")
    if not settings:
        return None
    with warnings.catch_warnings():  # no user writes this file, so former names in it need no warning
        warnings.simplefilter("ignore", FutureWarning)
        return Profile.model_validate(present_settings(Profile, settings, Source("jobs.json")))


def queued_drivers(root: Path) -> dict[str, str]:
    """Drivers of a run that are pending or running: description of the state by job id.

    On a machine without the batch system's commands, or while it does not answer, all recorded drivers count.
    """
    job_ids = JobRecord(root).read().get("drivers", [])
    profile = submitted_profile(root)
    if not job_ids or profile is None:
        return {}
    try:
        states = batch_system(profile).job_states(job_ids)
    except (SubmissionRefusedError, SchedulerUnavailableError):
        return dict.fromkeys(job_ids, "submitted")
    return {job_id: state.description for job_id, state in states.items() if state.state != "ended"}


def cancel_drivers(root: Path) -> bool:
    """Cancel a run's drivers in the batch system; False if there is none."""
    job_ids, profile = list(queued_drivers(root)), submitted_profile(root)
    if not job_ids or profile is None:
        return False
    batch_system(profile).cancel(job_ids)
    JobRecord(root).update(drivers=[])
    return True
