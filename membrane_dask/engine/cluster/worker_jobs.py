"""Worker jobs: the number of jobs in the queue follows the number of open batches.

dask-jobqueue writes the scripts, but its own scaling never replaces a job of several workers that died, and
reports nothing when a job is refused. Here the jobs of a driver are compared with the queue at regular
intervals: jobs that ended are replaced, surplus jobs are cancelled, and when no worker connects the states
and their reasons are reported. That workers leave at the end of their lifetime, and that a batch system suspends
jobs or queues them again, is ordinary: each job is judged by the time since its own last start.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.engine.cluster.certificates import Certificates
from membrane_dask.engine.cluster.dask_scheduler import start_scheduler
from membrane_dask.engine.cluster.ownership import JobRecord, claim_run_id, queued_jobs, run_id, worker_job_name
from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.plan import as_seconds
from membrane_dask.engine.schedulers import job_output_tail
from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobLimitError,
    JobState,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    WorkerCommand,
)
from membrane_dask.errors import ClusterError

logger = logging.getLogger("membrane_dask")
#: The run stops after this number of consecutive jobs that ended without a worker.
MAX_JOBS_WITHOUT_WORKER = 3
#: A running job is replaced when it has no worker for this time, in seconds; the run stops if no job ever had one.
CONNECT_TIMEOUT = 300.0
#: A job that ended may be queued again by the batch system for this time, in seconds.
REQUEUE_TIME = 120.0
#: At the end, jobs whose submission got no answer are searched for so many times, with pauses in seconds.
LATE_SEARCHES, LATE_SEARCH_DELAY = 3, 2.0
#: Surplus jobs are cancelled after this time, in seconds, as the next round of a search may need them.
RELEASE_DELAY = 60.0
#: Jobs submitted at a time, so as not to flood the batch system.
MAX_SUBMISSIONS_PER_ROUND = 20
#: Time between two requests to the queue, in seconds: short while states change, longer while they do not.
MIN_POLL_INTERVAL, MAX_POLL_INTERVAL = 1.0, 15.0
#: After a refusal the next job is submitted after this time, in seconds.
REFUSAL_DELAY = 60.0
#: The same message is reported again after this time, in seconds.
REPEAT_INTERVAL = 30.0
#: Arguments of ``dask worker`` for its HTTP server: no pages, and no other machine reaches it.
WORKER_HTTP = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
#: Jobs named in a message.
LISTED_JOBS = 5


def worker_lifetime(walltime: float) -> tuple[int, int]:
    """When workers stop, so that all have stopped before the time limit of their job.

    Parameters
    ----------
    walltime : float
        Time limit of the job, in seconds.

    Returns
    -------
    lifetime : int
        Mean lifetime of a worker, in seconds.
    stagger : int
        Largest random deviation of a worker from it, in seconds.
    """
    margin = min(120.0, 0.2 * walltime)
    return math.floor(walltime - 1.5 * margin), math.floor(0.5 * margin)


def lifetime_arguments(profile: Profile) -> list[str]:
    """Arguments of ``dask worker`` for the lifetime of workers."""
    if not profile.walltime:
        return []
    lifetime, stagger = worker_lifetime(profile.walltime)
    return ["--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s"]


def job_folder(root: Path) -> Path:
    """Folder of a run's job scripts and of the output of its jobs."""
    return root / "logs" / "jobs"


SUBMITTED = JobState("pending", "submitted")


@dataclass
class _Job:
    job_id: str
    name: str
    #: When its state last changed, or when it last had a worker.
    since: float
    state: JobState = SUBMITTED
    #: Since its last start.
    had_worker: bool = False

    def change_state(self, state: JobState, now: float) -> bool:
        """Note its state; whether it is another one."""
        changed = state != self.state
        if state.description.partition(" (")[0] != self.state.description.partition(" (")[0]:  # not a new reason only
            self.since = now
        if state.state == "pending":  # never started, or queued again: it counts as newly started then
            self.had_worker = False
        self.state = state
        return changed


class WorkerJobs:
    """The worker jobs of one driver.

    Parameters
    ----------
    system : BatchSystem
        Batch system that runs them.
    root : Path
        The run directory, on a file system shared with the nodes.
    worker_command : callable
        ``worker_command(name) -> WorkerCommand`` of a new job.
    connected_workers : callable
        ``connected_workers() -> list of str``: names of the workers that are connected to the driver.
    is_idle : callable
        ``is_idle(name) -> bool``: whether no worker of that job computes.
    notify : callable
        Receives messages for the user.
    clock : callable
        Monotonic time in seconds.
    """

    def __init__(
        self, system: BatchSystem, root: Path, *, worker_command: Callable[[str], WorkerCommand],
        connected_workers: Callable[[], list[str]], is_idle: Callable[[str], bool], notify: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.system, self.profile = system, system.profile
        self.folder = job_folder(root)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record = JobRecord(root)
        self._worker_command, self._connected_workers, self._is_idle = worker_command, connected_workers, is_idle
        self._notify, self._clock = notify, clock
        self._run_id = claim_run_id(root)
        self._driver = secrets.token_hex(3)  # two drivers of a run never use the same worker names
        self._submitted = 0
        self._jobs: list[_Job] = []
        self._ended: list[_Job] = []
        self._had_worker = self._was_accepted = False
        self._demand = 0
        self._next_poll = self._needed_since = self._last_worker = self._enough_since = clock()
        self._interval = MIN_POLL_INTERVAL
        self._without_worker: list[_Job] = []
        self._ended_without_worker = 0
        self._message = ""
        self._message_time = -math.inf
        self._connected = 0
        self._submit_after = -math.inf

    # -- the number of jobs that is needed ------------------------------------------------

    def demand(self, batches: int) -> None:
        """Set the number of open batches; more workers than that are not needed."""
        if (batches == 0) != (self._demand == 0):
            self._next_poll = self._clock()
        self._demand = batches

    @property
    def needed(self) -> int:
        """Number of jobs that the open batches need, at most ``jobs`` of the profile."""
        per_job = self.profile.workers or 1
        return min(self.profile.jobs or 1, math.ceil(self._demand / per_job))

    # -- comparison with the queue --------------------------------------------------------

    def update(self, connected: int) -> None:
        """Compare the jobs with the queue, if it is time, and submit or cancel jobs.

        Parameters
        ----------
        connected : int
            Number of workers that are connected.

        Raises
        ------
        ClusterError
            If no worker connects; with states, reasons, output and script of the jobs.
        """
        now = self._clock()
        if connected:
            self._last_worker = now
        if connected < self._connected:
            self._next_poll = min(self._next_poll, now + 0.5)  # a job may have died
        self._connected = connected
        if now < self._next_poll:
            return
        self._mark_connected_jobs(now)
        changed = self._update_states(now)
        changed = self._remove_silent_jobs(now) or changed
        changed = self._adjust_number(now) or changed
        self._interval = MIN_POLL_INTERVAL if changed else min(self._interval * 1.5, MAX_POLL_INTERVAL)
        self._next_poll = now + self._interval
        if changed:
            self._save()
        self._check_for_workers(now, connected > 0)

    def _mark_connected_jobs(self, now: float) -> None:
        """Mark the jobs that have a connected worker."""
        names = {name for worker in self._connected_workers() for name in (worker, worker.rpartition("-")[0])}
        for job in self._jobs:
            if job.name in names:
                if not job.had_worker:
                    self._without_worker.clear()
                    self._ended_without_worker = 0
                job.had_worker = self._had_worker = True
                job.since = now

    def _save(self) -> None:
        profile = self.profile.model_dump(mode="json", exclude_none=True)
        self._record.update(workers=[job.job_id for job in self._jobs], workers_profile=profile)

    def _update_states(self, now: float) -> bool:
        """Read the states from the queue and drop ended jobs; whether any state changed."""
        self._ended = [job for job in self._ended if now - job.since < REQUEUE_TIME]
        try:
            states = self.system.job_states(job.job_id for job in [*self._jobs, *self._ended])
        except SchedulerUnavailableError as error:
            self._report(f"{self.system.title} does not answer ({error}); running jobs continue")
            return False
        changed = False
        for job in [job for job in self._ended if states[job.job_id].state != "ended"]:
            self._ended.remove(job)  # it was queued again
            self._jobs.append(job)
            if job in self._without_worker:
                self._without_worker.remove(job)
        for job in list(self._jobs):
            if job.change_state(states[job.job_id], now):
                changed = True
                logger.info("job %s (%s): %s", job.job_id, job.name, job.state.description)
            if job.state.state == "ended":
                self._jobs.remove(job)
                self._ended.append(job)
                if not job.had_worker and not job.state.interrupted:
                    self._count_without_worker(job, now)
        return changed

    def _count_without_worker(self, job: _Job, now: float) -> None:
        """Count a job that ended, or is given up, without a worker; further ones are submitted with a delay."""
        self._without_worker.append(job)
        self._ended_without_worker += 1
        if self._ended_without_worker > 1:  # a node may end every job at once
            self._submit_after = now + min(60.0, 2.0**self._ended_without_worker)

    def _remove_silent_jobs(self, now: float) -> bool:
        """Cancel jobs that run and have no worker for long, so that they are replaced; whether there were any.

        Raises
        ------
        ClusterError
            If no worker of any job ever reached this driver.
        """
        silent = [job for job in self._jobs if job.state.state == "running" and now - job.since > CONNECT_TIMEOUT]
        if not silent or not self.needed:
            return False
        if not self._had_worker:
            raise self._failure(
                f"job {silent[0].job_id} has run for {as_seconds(now - silent[0].since)} and none of its workers "
                "reached this driver",
                "can the nodes reach this machine? the key `interface` selects the network",
            )
        self.system.cancel(job.job_id for job in silent)
        for job in silent:
            self._report(f"job {job.job_id} has had no worker for {as_seconds(now - job.since)} and is replaced")
            self._jobs.remove(job)
            if not job.had_worker:
                self._count_without_worker(job, now)
        return True

    def _adjust_number(self, now: float) -> bool:
        """Submit missing jobs or cancel surplus ones; whether any was."""
        missing = self.needed - len(self._jobs)
        if missing >= 0:
            self._enough_since = now
        if missing > 0 and now >= self._submit_after:
            return self._submit(min(missing, MAX_SUBMISSIONS_PER_ROUND), now)
        if missing < 0 and now - self._enough_since > RELEASE_DELAY:
            pending = [job for job in self._jobs if job.state.state == "pending"]
            idle = [job for job in self._jobs if job.had_worker and self._is_idle(job.name)]
            surplus = [*pending, *idle][:-missing]
            self.system.cancel(job.job_id for job in surplus)
            for job in surplus:
                logger.info("job %s (%s) is not needed and was cancelled", job.job_id, job.name)
                self._jobs.remove(job)
            return bool(surplus)
        return False

    def _submit(self, number: int, now: float) -> bool:
        for _ in range(number):
            self._submitted += 1
            name = worker_job_name(self._run_id, self._driver, self._submitted)
            script = self.folder / f"{name}.sh"
            text = self.system.worker_script(self._worker_command(name), str(self.folder))
            script.write_text(text, encoding="utf-8")
            try:
                if self._submitted == 1:
                    self.system.validate_script(script)
                job = _Job(self.system.submit(script), name, now)
                self._was_accepted = True
            except SchedulerUnavailableError as error:
                self._submitted -= 1  # the same script again: the batch system may have accepted it
                self._report(f"{self.system.title} does not answer ({error}); trying again")
                return False
            except SubmissionRefusedError as error:
                if not self._was_accepted and not isinstance(error, JobLimitError):
                    failure = self._failure(f"{self.system.title} refused a job", str(error), script)
                    raise SubmissionRefusedError(str(failure)) from error
                # Probably a limit on the number of jobs: those that were accepted do the work.
                self._report(f"{self.system.title} accepts no more jobs: {str(error).splitlines()[0]}")
                self._submit_after = now + REFUSAL_DELAY
                return True
            self._jobs.append(job)
            self._save()
            logger.info("job %s (%s) submitted", job.job_id, job.name)
        return True

    # -- reports and errors ---------------------------------------------------------------

    def _check_for_workers(self, now: float, connected: bool) -> None:
        """Report that no worker is connected, and stop when none can be expected."""
        if connected or not self.needed:
            self._needed_since = now
            return
        if len(self._without_worker) >= MAX_JOBS_WITHOUT_WORKER:
            raise self._failure(f"{len(self._without_worker)} consecutive jobs ended without a worker")
        waiting = now - max(self._needed_since, self._last_worker)
        if waiting > (self.profile.worker_timeout or math.inf):
            raise self._failure(f"no worker for {as_seconds(waiting)}", "the key `worker_timeout` sets this limit")
        self._report(f"no worker yet; {self.summary()}")

    def summary(self) -> str:
        """The jobs and their states in the queue, in one line."""
        if not self._jobs:
            return f"no job in the queue of {self.system.title}"
        listed = ", ".join(f"job {job.job_id} {job.state.description}" for job in self._jobs[:LISTED_JOBS])
        return listed + (f" and {len(self._jobs) - LISTED_JOBS} more" if len(self._jobs) > LISTED_JOBS else "")

    def _report(self, message: str) -> None:
        """Notify the user, unless the last message was the same and recent."""
        now = self._clock()
        if message != self._message or now - self._message_time > REPEAT_INTERVAL:
            self._message, self._message_time = message, now
            self._notify(message)

    def _failure(self, problem: str, hint: str = "", script: Path | None = None) -> ClusterError:
        """An error with states, reasons and output of the jobs, and with the script of the last one."""
        lines = [f"{problem}: {hint}" if hint else problem]
        jobs = [*self._without_worker[-MAX_JOBS_WITHOUT_WORKER:], *self._jobs]
        for job in jobs[:LISTED_JOBS]:
            lines.append(f"  job {job.job_id} ({job.name}): {job.state.description}")
            output = job_output_tail(self.folder, job.job_id)
            if re.search(r"Could not start (Nanny|Worker) on host", output) and self.profile.worker_ports:
                lines.append("    no free port on the node; the key `worker_ports` sets a larger range")
            lines += [f"    | {line}" for line in output.splitlines()] or ["    | (no output)"]
        script = script or (self.folder / f"{jobs[-1].name}.sh" if jobs else None)
        if script is not None and script.exists():
            lines.append(f"  script {script}:")
            lines += [f"    {line}" for line in script.read_text(encoding="utf-8").strip().splitlines()]
        return ClusterError("\n".join(lines))

    def close(self) -> None:
        """Cancel all jobs, also those that the batch system took without an answer or queued again."""
        answers = self.system.cancel(job.job_id for job in self._jobs)
        unanswered = self.system.unanswered
        for attempt in range(LATE_SEARCHES if unanswered else 1):  # the queue may list such a job late
            time.sleep(LATE_SEARCH_DELAY if attempt else 0.0)
            try:
                answers = answers and self.system.cancel(queued_jobs(self.system, self._run_id, drivers=False))
            except ClusterError:
                answers = False
        if unanswered or not answers:
            names = worker_job_name(self._run_id, self._driver, "*")
            self._notify(
                f"{self.system.title} did not answer; jobs named {names} may be in its queue and end a minute after "
                f"their start; to cancel them: membrane-dask cancel {self.folder.parents[1]}"
            )
        self._jobs.clear()
        with contextlib.suppress(OSError):  # a full disk, or a run that was moved: the jobs end without this
            self._save()


def _is_worker_of(worker: str, job: str) -> bool:
    """Whether a worker belongs to a job; Dask appends a number where a job has several workers."""
    return worker == job or worker.startswith(f"{job}-")


def cancel_orphaned_jobs(system: BatchSystem, root: Path) -> int:
    """Cancel worker jobs of a driver that died; the caller holds the lock of the run.

    Returns
    -------
    int
        Number of jobs.
    """
    run = run_id(root)
    try:
        orphaned = list(queued_jobs(system, run, drivers=False)) if run is not None else []
    except ClusterError:
        return 0  # they end by themselves, as their driver does not answer
    system.cancel(orphaned)
    return len(orphaned)


@contextlib.contextmanager
def job_cluster(
    profile: Profile, root: Path, system: BatchSystem, notify: Callable[[str], None]
) -> Iterator[tuple[Any, Any, WorkerJobs]]:
    """A Dask scheduler in this process with worker jobs, closed at the end.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile.
    root : Path
        The run directory; scripts, output and certificates of the jobs are kept there.
    system : BatchSystem
        Batch system that runs the jobs.
    notify : callable
        Receives messages for the user.

    Yields
    ------
    client : distributed.Client
        Client of the scheduler.
    scheduler : distributed.Scheduler
        The scheduler.
    jobs : WorkerJobs
        The worker jobs.
    """
    from distributed import Client

    system.check_commands()
    orphaned = cancel_orphaned_jobs(system, root)
    if orphaned:
        notify(f"{orphaned} worker job{'s' * (orphaned > 1)} of an earlier driver cancelled")
    certificates = Certificates.create(root) if profile.tls else Certificates()
    if not profile.tls:
        notify(
            "WARNING: tls is off: whoever reaches this machine over the network can run code as you while the run lasts"
        )
    arguments = [*WORKER_HTTP, *lifetime_arguments(profile)]
    try:
        cluster = start_scheduler(system, certificates.driver)
        with cluster, Client(cluster, security=certificates.driver) as client:
            scheduler: Any = cluster.scheduler

            def connected_workers() -> list[str]:
                return [str(worker.name) for worker in list(scheduler.workers.values())]

            def is_idle(job: str) -> bool:
                workers = [w for w in list(scheduler.workers.values()) if _is_worker_of(str(w.name), job)]
                return all(not worker.processing for worker in workers)

            jobs = WorkerJobs(
                system, root.resolve(), connected_workers=connected_workers, is_idle=is_idle, notify=notify,
                worker_command=lambda name: WorkerCommand(scheduler.address, name, certificates.workers, arguments),
            )  # fmt: skip
            try:
                yield client, scheduler, jobs
            finally:
                jobs.close()
    finally:
        certificates.remove()
