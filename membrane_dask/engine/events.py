"""Events of a run, as the executor reports them to its listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """Execution starts; ``total`` is an upper limit where the program is adaptive."""

    total: int
    done: int
    failed: int
    dashboard: str | None
    adaptive: bool = False


@dataclass(frozen=True)
class Progressed:
    """Batches have finished."""

    done: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Retried:
    """Units are submitted again."""

    keys: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class UnitQuarantined:
    """A unit has failed for the last time; the others continue."""

    key: str
    error: str


@dataclass(frozen=True)
class Message:
    """Information for the user, such as the state of the cluster."""

    text: str


@dataclass(frozen=True)
class Collecting:
    """All units have finished; tables that follow from them are computed."""


Event = Started | Progressed | Retried | UnitQuarantined | Message | Collecting
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
