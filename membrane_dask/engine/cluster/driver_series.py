"""The driver as a job of the batch system: submitted, followed by a successor, cancelled.

The job runs ``membrane-dask drive RUN``. Before it works it queues its own successor, to start once
it has ended however it ended; when the run is finished it cancels it. So a driver that is killed, or
whose time is up, is followed by one that resumes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.cluster.worker_jobs import JobBook, lifetime
from membrane_dask.engine.schedulers import batch_system, own_number
from membrane_dask.engine.schedulers.base import BatchSystem, RefusedError, SilentError, WorkerCall
from membrane_dask.errors import ClusterError
from membrane_dask.files import write_atomically

#: Memory of a driver beside what a job itself needs, in MB (measured on 100,000 units, rounded up).
DRIVER_MB = 1500
#: So many drivers in a row that finished no unit are not followed by another.
FRUITLESS = 3


def driver_script(system: BatchSystem, root: Path) -> str:
    """Script of the job that drives a run."""
    profile, command = system.profile, ["-m", "membrane_dask.cli", "drive", str(root.resolve())]
    cores, memory, nodes = 1, system.memory_mb(0) + DRIVER_MB, 1
    if profile.single_allocation:  # workers beside the driver
        cores, memory = system.cores + 1, system.memory_mb(profile.workers or 1) + DRIVER_MB
        nodes = (profile.jobs or 1) if profile.scheduler == "slurm" else 1
    logs = str((root / "logs" / "jobs").resolve())
    return system.command_script(command, job_name(root), logs, cores, memory, nodes)


def job_name(root: Path) -> str:
    """Name of a driver's job in the queue: that of its run, as far as batch systems take it."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"md-{root.resolve().name}")[:60]


def submit_driver(profile: Profile, root: Path, after: str | None = None, *, rehearse: bool = True) -> str:
    """Submit the driver of a run; the job's number.

    Raises
    ------
    ClusterError
        If the batch system refuses, in its own words.
    """
    system = batch_system(profile)
    system.require()
    folder = root / "logs" / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "driver.sh"
    text = driver_script(system, root)
    if not script.exists() or script.read_text(encoding="utf-8") != text:
        write_atomically(script, text)
    if rehearse:
        system.rehearse(script)
    return system.submit(script.resolve(), after)


def start_chain(profile: Profile, root: Path, links: int = 1) -> list[str]:
    """Submit a run's driver, and as many successors at once as its nodes cannot submit themselves.

    Parameters
    ----------
    profile : Profile
        Resolved; kept with the run, so that every driver of the chain finds the same.
    root : Path
        The run directory.
    links : int
        Drivers in a row.
    """
    book = JobBook(root)
    (root / "cancel").unlink(missing_ok=True)
    if not profile.single_allocation:  # what the driver would find out only once its own job runs
        system = batch_system(profile)
        system.require()
        folder = root / "logs" / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        rehearsal = folder / "worker-rehearsal.sh"
        rehearsal.write_text(system.worker_script(WorkerCall("tls://DRIVER:PORT", "worker"), str(folder.resolve())))
        system.rehearse(rehearsal)
        rehearsal.unlink()
    book.note(profile=profile.model_dump(mode="json", exclude_none=True), chain=[], drivers=[])
    numbers: list[str] = []
    for _ in range(links):
        numbers.append(submit_driver(profile, root, numbers[-1] if numbers else None, rehearse=not numbers))
        book.note(drivers=numbers)
    return numbers


class Chain:
    """A driver's place in the row of drivers of its run.

    Parameters
    ----------
    root : Path
        The run directory.
    profile : Profile
        As it was submitted.
    tell : callable
        Gets what people should know.
    """

    def __init__(self, root: Path, profile: Profile, tell: Callable[[str], None]) -> None:
        self.root, self.profile, self._tell = root, profile, tell
        self.system = batch_system(profile)
        self.number = own_number(profile) if profile.scheduler != "htcondor" else ""
        self._book = JobBook(root)

    @property
    def seconds(self) -> float | None:
        """After how long this driver should stop, to be gone before its time is up."""
        return float(lifetime(self.profile.walltime)[0]) if self.profile.walltime else None

    def begin(self, finished: int) -> None:
        """Queue the successor.

        Parameters
        ----------
        finished : int
            Units that are finished now.

        Raises
        ------
        ClusterError
            If driver after driver finished nothing.
        """
        past = self._book.read().get("chain", [])
        chain = [*past, finished][-FRUITLESS - 1 :]
        self._book.note(chain=chain)
        if len(chain) > FRUITLESS and len(set(chain)) == 1:
            raise ClusterError(
                f"{FRUITLESS} drivers in a row finished no unit; no further one is submitted. What they wrote is in "
                f"{self.root / 'logs'}; a longer walltime or fewer units in a batch may help"
            )
        waiting = [n for n in self._book.read().get("drivers", []) if n != self.number]
        if not self.number or any(s.state != "ended" for s in self._states(waiting).values()):
            return  # the successors were submitted with it, or the batch system starts it again itself
        try:
            successor = submit_driver(self.profile, self.root, self.number, rehearse=False)
        except ClusterError as error:
            self._tell(f"no successor could be queued ({error}); after this job's time, submit the run again")
            return
        self._book.note(drivers=[self.number, successor])

    def end(self, *, resume: bool) -> None:
        """Leave the row; unless the run is to be resumed, cancel those that follow."""
        drivers = [n for n in self._book.read().get("drivers", []) if n != self.number]
        if not resume:
            self.system.cancel(drivers)
            drivers = []
        self._book.note(drivers=drivers)

    def _states(self, numbers: list[str]) -> dict[str, Any]:
        try:
            return self.system.states(numbers)
        except ClusterError:
            return {}


def kept_profile(root: Path) -> Profile | None:
    """The profile that a run was submitted with; None if it never was."""
    words = JobBook(root).read().get("profile")
    return Profile.model_validate(words) if words else None


def queued(root: Path) -> dict[str, str]:
    """Drivers of a run that wait in the queue or run, and what the batch system says of each.

    Where its commands are missing, on a machine that only shares the directory, what was noted counts.
    """
    numbers = JobBook(root).read().get("drivers", [])
    profile = kept_profile(root)
    if not numbers or profile is None:
        return {}
    try:
        states = batch_system(profile).states(numbers)
    except (RefusedError, SilentError):
        return dict.fromkeys(numbers, "submitted")
    return {number: state.words for number, state in states.items() if state.state != "ended"}


def cancel_drivers(root: Path) -> bool:
    """Cancel a run's drivers in the batch system; False if there is none."""
    numbers, profile = list(queued(root)), kept_profile(root)
    if not numbers or profile is None:
        return False
    batch_system(profile).cancel(numbers)
    JobBook(root).note(drivers=[])
    return True
