"""Workers as jobs of a batch system, kept at the number that the work left needs.

dask-jobqueue makes the scripts, but its own scaling never replaces a job of several workers that
died, and keeps silent when a job is refused. Here the jobs that are held are compared with the
batch system's queue again and again: what ended is replaced, what is too many is given back, and
where no worker comes, the reasons are said.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.plan import as_seconds
from membrane_dask.engine.schedulers import last_words
from membrane_dask.engine.schedulers.base import BatchSystem, JobState, RefusedError, SilentError, WorkerCall
from membrane_dask.errors import ClusterError
from membrane_dask.files import read_json, write_json

logger = logging.getLogger("membrane_dask")
#: So many jobs in a row that ended without a single worker mean that none ever will have one.
STILLBORN = 3
#: A job that runs this long, in seconds, without a worker that reached the driver never will.
CONNECT_WITHIN = 300.0
#: Jobs that were not needed for so many seconds are given back: the next round of a search may need them.
SPARE_AFTER = 60.0
#: Jobs submitted in one round: a batch system is not flooded.
AT_ONCE = 20


def lifetime(walltime: float) -> tuple[int, int]:
    """After how many seconds workers leave, and by how much each may differ, to be gone before the limit."""
    margin = min(120.0, 0.2 * walltime)
    return math.floor(walltime - 1.5 * margin), math.floor(0.5 * margin)


SUBMITTED = JobState("pending", "submitted")


@dataclass
class _Job:
    number: str
    name: str
    since: float
    state: JobState = SUBMITTED
    running_since: float | None = None
    had_worker: bool = False


class JobBook:
    """Numbers of a run's jobs, in ``<run>/jobs.json``: so that any other process can find them.

    Parameters
    ----------
    root : Path
        The run directory.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "jobs.json"

    def read(self) -> dict[str, Any]:
        """All that is noted: ``workers`` and ``drivers`` are lists of job numbers."""
        return read_json(self._path) or {}

    def note(self, **entries: Any) -> None:
        """Replace entries."""
        write_json(self._path, {**self.read(), **entries})


class WorkerJobs:
    """The jobs that one driver holds.

    Parameters
    ----------
    system : BatchSystem
        Where they run.
    root : Path
        The run directory, which the nodes see too.
    call : callable
        ``call(name) -> WorkerCall``: how the workers of a new job find the driver.
    workers : callable
        ``workers() -> names`` of those that are connected.
    idle : callable
        ``idle(name) -> bool``: whether the workers of the job of that name have nothing to do.
    tell : callable
        Gets what people should know, in words.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self, system: BatchSystem, root: Path, *, call: Callable[[str], WorkerCall],
        workers: Callable[[], list[str]], idle: Callable[[str], bool], tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.system, self.profile = system, system.profile
        self.folder = root / "logs" / "jobs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._book = JobBook(root)
        self._call, self._workers, self._idle, self._tell, self._clock = call, workers, idle, tell, clock
        self._run = secrets.token_hex(3)  # two drivers of a run never share a worker's name
        self._count = 0
        self._held: list[_Job] = []
        self._demand = 0
        self._next = self._quiet_since = self._last_worker = clock()
        self._interval = 1.0
        self._stillborn: list[_Job] = []
        self._told = ""
        self._told_at = -math.inf
        self._connected = 0
        self._fruitless = 0
        self._refused_until = -math.inf
        self._enough_since = clock()

    # -- what is wanted -------------------------------------------------------------------

    def demand(self, batches: int) -> None:
        """Say how many batches are open: no more workers than that are of use."""
        if (batches == 0) != (self._demand == 0):
            self._next = self._clock()
        self._demand = batches

    @property
    def wanted(self) -> int:
        """Jobs that the work left needs, and the profile allows."""
        per_job = self.profile.workers or 1
        return min(self.profile.jobs or 1, math.ceil(self._demand / per_job))

    # -- the loop -------------------------------------------------------------------------

    def keep(self, connected: int) -> None:
        """Compare the jobs held with the queue, when it is time, and bring both to what is wanted.

        Parameters
        ----------
        connected : int
            Workers at present.

        Raises
        ------
        ClusterError
            If no worker comes; with all that is known of why.
        """
        now = self._clock()
        if connected:
            self._last_worker = now
        if connected < self._connected:
            self._next = min(self._next, now + 0.5)  # a job may have died
        self._connected = connected
        if now < self._next:
            return
        self._welcome()
        changed = self._look(now)
        changed = self._adjust(now) or changed
        # Often while things move, seldom while they do not: a queue is not asked in vain.
        self._interval = 1.0 if changed else min(self._interval * 1.5, 15.0)
        self._next = now + self._interval
        if changed:
            self._note()
        self._judge(now, connected > 0)

    def _welcome(self) -> None:
        """Note which jobs have workers that reached the driver."""
        present = {job for name in self._workers() for job in (name, name.rpartition("-")[0])}
        for job in self._held:
            if not job.had_worker and job.name in present:
                job.had_worker = True
                self._stillborn.clear()
                self._fruitless = 0

    def _note(self) -> None:
        numbers = [job.number for job in self._held]
        self._book.note(workers=numbers, workers_in=self.system.title)

    def _look(self, now: float) -> bool:
        try:
            states = self.system.states(job.number for job in self._held)
        except SilentError as error:
            self._say(f"{self.system.title} does not answer ({error}); what runs goes on")
            return False
        changed = False
        for job in list(self._held):
            state = states[job.number]
            changed = changed or state != job.state
            if state != job.state:
                logger.info("job %s (%s): %s", job.number, job.name, state.words)
            job.state = state
            if state.state == "running" and job.running_since is None:
                job.running_since = now
            if state.state == "ended":
                self._held.remove(job)
                if not job.had_worker:
                    self._stillborn.append(job)
                    self._fruitless += 1
                    if self._fruitless > 1:  # a node that ends every job at once is not fed without end
                        self._refused_until = now + min(60.0, 2.0**self._fruitless)
        return changed

    def _adjust(self, now: float) -> bool:
        missing = self.wanted - len(self._held)
        if missing >= 0:
            self._enough_since = now
        if missing > 0 and now >= self._refused_until:
            return self._submit(min(missing, AT_ONCE), now)
        if missing < 0 and now - self._enough_since > SPARE_AFTER:
            waiting = [job for job in self._held if job.state.state == "pending"]
            idle = [job for job in self._held if job.had_worker and self._idle(job.name)]
            spare = [*waiting, *idle][:-missing]
            self.system.cancel(job.number for job in spare)
            for job in spare:
                logger.info("job %s (%s) is given back", job.number, job.name)
                self._held.remove(job)
            return bool(spare)
        return False

    def _submit(self, number: int, now: float) -> bool:
        for _ in range(number):
            self._count += 1
            name = f"worker-{self._run}-{self._count}"
            script = self.folder / f"{name}.sh"
            script.write_text(self.system.worker_script(self._call(name), str(self.folder)), encoding="utf-8")
            try:
                if self._count == 1:
                    self.system.rehearse(script)
                job = _Job(self.system.submit(script), name, now)
            except SilentError as error:
                self._say(f"{self.system.title} does not answer ({error}); trying again")
                return False
            except RefusedError as error:
                if not self._held:
                    raise self._trouble(f"{self.system.title} refused a job", str(error), script) from error
                # A limit on the number of jobs, most likely: those that are held do the work.
                self._say(f"{self.system.title} takes no further job: {str(error).splitlines()[0]}")
                self._refused_until = now + 60
                return True
            self._held.append(job)
            self._note()
            logger.info("job %s (%s) submitted", job.number, job.name)
        return True

    # -- silence is a defect --------------------------------------------------------------

    def _judge(self, now: float, working: bool) -> None:
        if working or not self.wanted:
            self._quiet_since = now
            return
        if len(self._stillborn) >= STILLBORN:
            raise self._trouble(f"{len(self._stillborn)} jobs in a row ended without a worker", "")
        for job in self._held:
            running = now - job.running_since if job.running_since is not None else 0.0
            if running > CONNECT_WITHIN:
                words = f"job {job.number} has run for {as_seconds(running)} and no worker of it reached this driver"
                raise self._trouble(
                    words, "do the nodes reach this machine? the word `interface` says by which network"
                )
        patience = self.profile.patience or math.inf
        silence = now - max(self._quiet_since, self._last_worker)
        if silence > patience:
            raise self._trouble(f"no worker for {as_seconds(silence)}", "the word `patience` says how long to wait")
        self._say(f"no worker yet; {self.overview()}")

    def overview(self) -> str:
        """The jobs held and what the queue says of them, in a line."""
        if not self._held:
            return f"no job in the queue of {self.system.title}"
        return ", ".join(f"job {job.number} {job.state.words}" for job in self._held[:5]) + (
            f" and {len(self._held) - 5} more" if len(self._held) > 5 else ""
        )

    def _say(self, words: str) -> None:
        now = self._clock()
        if words != self._told or now - self._told_at > 30:
            self._told, self._told_at = words, now
            self._tell(words)

    def _trouble(self, what: str, why: str, script: Path | None = None) -> ClusterError:
        """All that is known: states and reasons, refusals, the workers' last words, the script."""
        lines = [what + (f": {why}" if why else "")]
        suspects = [*self._stillborn[-STILLBORN:], *self._held]
        for job in suspects[:5]:
            lines.append(f"  job {job.number} ({job.name}): {job.state.words}")
            said = last_words(self.folder, job.number)
            lines += [f"    | {line}" for line in said.splitlines()] or ["    | (it wrote nothing)"]
        script = script or (self.folder / f"{suspects[-1].name}.sh" if suspects else None)
        if script is not None and script.exists():
            lines.append(f"  script {script}:")
            lines += [f"    {line}" for line in script.read_text(encoding="utf-8").strip().splitlines()]
        return ClusterError("\n".join(lines))

    def close(self) -> None:
        """Give all jobs back."""
        self.system.cancel(job.number for job in self._held)
        self._held.clear()
        with contextlib.suppress(OSError):  # a full disk, or a run that was moved: the jobs end by themselves
            self._note()


def _belongs(worker: str, job: str) -> bool:
    """Dask names the workers of a job after it, with a number where there are several."""
    return worker == job or worker.startswith(f"{job}-")


def cancel_leftovers(system: BatchSystem, root: Path) -> int:
    """Cancel worker jobs of a driver that died; their number. The caller holds the run's lock."""
    book = JobBook(root)
    known = book.read()
    left = known.get("workers", []) if known.get("workers_in") == system.title else []
    if left:  # numbers mean something only where they were given
        system.cancel(left)
        book.note(workers=[])
    return len(left)


@dataclass
class _Certificates:
    """A run's own certificate authority, for this driver only."""

    driver: Any = None
    nodes: Any = None
    folder: Path | None = None

    @classmethod
    def make(cls, root: Path) -> _Certificates:
        from distributed import Security

        driver = Security.temporary()
        folder = root / f".tls-{os.getpid()}-{secrets.token_hex(3)}"
        folder.mkdir(mode=0o700)
        paths = {}
        for name, text in driver.get_tls_config_for_role("worker").items():
            if name in ("ca_file", "cert", "key"):
                path = folder / f"{name}.pem"
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                    stream.write(text)
                paths[name] = str(path.resolve())
        nodes = Security(
            require_encryption=True,
            tls_ca_file=paths["ca_file"], tls_worker_cert=paths["cert"], tls_worker_key=paths["key"],
        )  # fmt: skip
        return cls(driver, nodes, folder)

    def remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def job_cluster(profile: Profile, root: Path, system: BatchSystem, tell: Callable[[str], None]) -> Iterator[Any]:
    """A Dask scheduler in this process, a client of it, and the jobs that work for it.

    Yields
    ------
    client : distributed.Client
    cluster : distributed.SpecCluster
    jobs : WorkerJobs
    """
    from distributed import Client, Scheduler, SpecCluster

    system.require()
    left = cancel_leftovers(system, root)
    if left:
        tell(f"{left} worker job{'s' * (left > 1)} of an earlier driver cancelled")
    certificates = _Certificates.make(root) if profile.tls else _Certificates()
    if not profile.tls:
        tell(
            "WARNING: tls is off: whoever reaches this machine over the network can run code as you while the run lasts"
        )
    options: dict[str, Any] = {
        "protocol": "tls://" if profile.tls else "tcp://",
        "security": certificates.driver,
        "dashboard_address": "127.0.0.1:0",
        "port": 0,
    }
    if profile.interface:
        options["interface"] = profile.interface
    arguments = ["--no-dashboard"]
    if profile.walltime:
        seconds, stagger = lifetime(profile.walltime)
        arguments += ["--lifetime", f"{seconds}s", "--lifetime-stagger", f"{stagger}s"]
    try:
        try:
            cluster = SpecCluster(
                scheduler={"cls": Scheduler, "options": options}, worker={"cls": None, "options": {}},
                security=certificates.driver, silence_logs=logging.CRITICAL, name="membrane-dask",
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            raise ClusterError(f"the Dask scheduler did not start on {socket.gethostname()}: {error}") from error
        with cluster, Client(cluster, security=certificates.driver) as client:
            scheduler = cluster.scheduler

            def names() -> list[str]:
                return [str(worker.name) for worker in list(scheduler.workers.values())]

            def idle(job: str) -> bool:
                mine = [w for w in list(scheduler.workers.values()) if _belongs(str(w.name), job)]
                return all(not worker.processing for worker in mine)

            jobs = WorkerJobs(
                system, root.resolve(), workers=names, idle=idle, tell=tell,
                call=lambda name: WorkerCall(scheduler.address, name, certificates.nodes, arguments),
            )  # fmt: skip
            try:
                yield client, cluster, jobs
            finally:
                jobs.close()
    finally:
        certificates.remove()
