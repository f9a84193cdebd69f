"""Events of a run, as the executor reports them to its listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Started:
    """Execution starts; ``total`` is an upper limit where the program is adaptive.

    ``finished`` has the numbers of units that were finished before, by task.
    """

    total: int
    done: int
    failed: int
    dashboard: str | None
    adaptive: bool = False
    finished: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        dashboard = f"; dashboard: {self.dashboard}" if self.dashboard else ""
        limit = "at most " if self.adaptive else ""
        return f"execution starts: {self.done} of {limit}{self.total} units are done, {self.failed} failed{dashboard}"


@dataclass(frozen=True)
class RunningBatch:
    """A batch that a worker computes: its task, its number of units, and its submission by ``time.monotonic``."""

    task: str
    units: int
    submitted: float


@dataclass(frozen=True)
class FinishedBatch:
    """A batch whose values are on disk.

    Parameters
    ----------
    task : str
        Task of its units.
    units : int
        Units that have finished.
    worker : str
        Host and process of its worker.
    seconds : float
        Seconds from its submission to its result.
    computing : float
        Seconds of its units.
    """

    task: str
    units: int
    worker: str
    seconds: float
    computing: float


@dataclass(frozen=True)
class Progressed:
    """Batches have finished, or none within a second.

    Parameters
    ----------
    done, failed : int
        Units that are finished, and that failed for the last time.
    finished, running : sequence
        Batches that have finished since the last event, and that workers compute now.
    open : int, optional
        Units that are needed and neither finished nor failed, as far as that is known: by the results of an adaptive
        program more may be needed. None if all are.
    """

    done: int
    failed: int
    finished: Sequence[FinishedBatch]
    running: Sequence[RunningBatch] = ()
    open: int | None = None

    def __str__(self) -> str:
        return f"{self.done} units are done, {self.failed} failed"


@dataclass(frozen=True)
class TaskProgress:
    """Finished units of one task, without those that failed, and all of them."""

    task: str
    done: int
    total: int


@dataclass(frozen=True)
class Estimate:
    """Progress of the whole run, which follows :class:`Started` and :class:`Progressed`, at most ten times a second.

    Parameters
    ----------
    tasks : tuple of TaskProgress
        Tasks in the order in which they are done; those that differ in the number of their volume only are one.
    fraction : float or None
        Fraction of the time that is over, 0 to 1; None if the remaining time is not known.
    remaining : (float, float) or None
        Shortest and longest time until the end of the run in seconds; None while that is not known.
    failed : int
        Units of all tasks that failed.
    """

    tasks: tuple[TaskProgress, ...]
    fraction: float | None
    remaining: tuple[float, float] | None
    failed: int = 0


@dataclass(frozen=True)
class Stage:
    """A stage begins that is not made of units, such as the start of the workers."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Retried:
    """Units are submitted again."""

    keys: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        more = f" and {len(self.keys) - 1} more units" if len(self.keys) > 1 else ""
        return f"retrying: {self.keys[0]}{more}: {self.reason}"


@dataclass(frozen=True)
class UnitQuarantined:
    """A unit has failed for the last time; the others continue."""

    key: str
    error: str

    def __str__(self) -> str:
        return f"failed: {self.key}: {self.error}"


@dataclass(frozen=True)
class Message:
    """Information for the user, such as the state of the cluster."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Collecting:
    """All units have finished; tables that follow from them are computed."""

    def __str__(self) -> str:
        return "collecting: tables that follow from all units are computed"


Event = Started | Progressed | Estimate | Stage | Retried | UnitQuarantined | Message | Collecting
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Summary:
    """Result of an execution.

    Parameters
    ----------
    done, failed, left : int
        Units finished, quarantined and open.
    reason : str
        ``finished``, ``limit``, ``cancelled``, ``time is up`` or ``too many failures``.
    """

    done: int
    failed: int
    left: int
    reason: str
