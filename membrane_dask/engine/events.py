"""Events of a run, as the executor reports them to its listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """The loop begins; ``total`` units at most, where the program decides on the way how many."""

    total: int
    done: int
    failed: int
    dashboard: str | None
    at_most: bool = False


@dataclass(frozen=True)
class Progressed:
    """Batches came back."""

    done: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Retried:
    """Units are tried again."""

    keys: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class SetAside:
    """A unit is given up; the rest goes on."""

    key: str
    error: str


@dataclass(frozen=True)
class Told:
    """What the cluster has to say."""

    words: str


@dataclass(frozen=True)
class Collecting:
    """All units are finished; what follows from them is computed."""


Event = Started | Progressed | Retried | SetAside | Told | Collecting
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Summary:
    """How a loop ended.

    Parameters
    ----------
    done, failed, left : int
        Units finished, set aside and still open.
    reason : str
        ``finished``, ``limit``, ``cancelled``, ``time is up`` or ``too many failures``.
    """

    done: int
    failed: int
    left: int
    reason: str
