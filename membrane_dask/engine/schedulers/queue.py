"""States of jobs from listings of the queue that may be empty, partial or late for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

#: A job that was submitted less than this time ago, in seconds, and is not listed yet counts as pending.
LISTING_GRACE = 30.0
#: Without an answer about that very job, it has ended when so many consecutive listings lack it ...
MISSING_LISTINGS = 3
#: ... over so many seconds.
MISSING_TIME = 60.0


@dataclass(frozen=True)
class JobState:
    """State of a job in the queue.

    Parameters
    ----------
    state : {"pending", "running", "ended"}
        State, the same for all batch systems; a job that is held, suspended or queued again is pending.
    description : str
        State as the batch system spells it, with its reason in parentheses if there is one.
    interrupted : bool
        Whether the batch system itself ended the job, for example to make room for another or as its node failed.
    """

    state: Literal["pending", "running", "ended"]
    description: str
    interrupted: bool = False


NOT_IN_QUEUE = JobState("ended", "no longer in the queue")
NOT_LISTED_YET = JobState("pending", "submitted")
UNCERTAIN = JobState("pending", "not listed at present")
#: Answer about a job by its id that gives no state: the job is in the queue, with the state that it had.
IN_QUEUE = JobState("pending", "in the queue")


def classify_state(table: Mapping[str, Iterable[str]], name: str, reason: str = "") -> JobState:
    """State of a job from the batch system's name for it.

    Parameters
    ----------
    table : mapping of str to iterable of str
        Names of the states that are ``pending``, ``ended`` and ``interrupted``; all others are ``running``.
    name : str
        The batch system's name.
    reason : str
        The batch system's reason, if it gives one.
    """
    description = f"{name} ({reason})" if reason and reason not in ("None", name) else name
    if name in table.get("interrupted", ()):
        return JobState("ended", description, interrupted=True)
    for state in ("pending", "ended"):
        if name in table[state]:
            return JobState(state, description)
    return JobState("running", description)


@dataclass
class _Job:
    state: JobState
    submitted: float | None = None
    listed: bool = False
    missing_listings: int = 0
    missing_since: float = 0.0


class QueueObserver:
    """What consecutive listings showed of each job.

    Parameters
    ----------
    clock : callable
        Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._jobs: dict[str, _Job] = {}

    def note_submission(self, job_id: str) -> None:
        """Expect a job in the listings from now on."""
        self._jobs[job_id] = _Job(NOT_LISTED_YET, self.clock())

    def state(self, job_id: str, listed: JobState | None, query: Callable[[str], JobState | None]) -> JobState:
        """State of a job after a listing.

        Parameters
        ----------
        job_id : str
            Id of the job.
        listed : JobState or None
            Its state in the listing; None if the listing lacks it.
        query : callable
            ``query(job_id) -> JobState or None``: state by a query of this job alone, `IN_QUEUE` if the answer has no
            state, `NOT_IN_QUEUE` if the batch system does not know its id, None if it does not say.
        """
        now = self.clock()
        job = self._jobs.setdefault(job_id, _Job(UNCERTAIN))
        if listed is None and job.state.state == "ended":
            return job.state  # only a listing shows that it was queued again
        state = listed if listed is not None else query(job_id)
        if state is IN_QUEUE:
            state = job.state
        is_new = job.submitted is not None and not job.listed and now - job.submitted < LISTING_GRACE
        if state is NOT_IN_QUEUE and is_new:
            return job.state  # it was accepted, and the batch system needs a moment to list it
        if state is not None:
            job.state, job.listed, job.missing_listings = state, job.listed or state is not NOT_IN_QUEUE, 0
            return state
        if not job.missing_listings:
            job.missing_since = now
        job.missing_listings += 1
        if job.missing_listings >= MISSING_LISTINGS and now - job.missing_since >= MISSING_TIME:
            job.state = NOT_IN_QUEUE
        return job.state
