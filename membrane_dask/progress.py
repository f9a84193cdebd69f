"""Progress of a run on a terminal or in a log."""

from __future__ import annotations

import contextlib
import getpass
import math
import re
import socket
import time
from collections.abc import Callable
from typing import TextIO

from membrane_dask.engine.events import (
    Collecting,
    Estimate,
    Event,
    Message,
    Retried,
    Stage,
    Started,
    UnitQuarantined,
)
from membrane_dask.engine.plan import as_seconds
from membrane_dask.plain_text import printable


def dashboard_line(link: str) -> str:
    """Address of the Dask dashboard, with the SSH tunnel that leads to it from another machine."""
    port = re.search(r"//(?:127\.0\.0\.1|localhost):(\d+)", link)
    if port is None:
        return f"dashboard: {link}"
    tunnel = f"ssh -L {port[1]}:127.0.0.1:{port[1]} {getpass.getuser()}@{socket.gethostname()}"
    return f"dashboard: {link} (from another machine, first: {tunnel})"


def _quarantined_line(event: UnitQuarantined) -> str:
    return f"failed: {event.key}: {' '.join(event.error.split())}"


def _retried_line(event: Retried) -> str:
    more = ", ..." if len(event.keys) > 1 else ""
    return f"retrying: {event.keys[0]}{more}: {' '.join(event.reason.split())}"


def _estimate_line(event: Estimate, adaptive: bool) -> str:
    """Percentage, the tasks in progress and the remaining time, such as ``40 %: 2 of 5 matches, about 20 s left``."""
    limit = "at most " if adaptive else ""
    unfinished = [task for task in event.tasks if task.done < task.total]
    begun = [task for task in unfinished if task.done] or unfinished[:1] or list(event.tasks[-1:])
    tasks = ", ".join(f"{task.done} of {limit}{task.total} {task.task}" for task in begun)
    # Of an adaptive program, the number of units is not known.
    percentage = "" if event.fraction is None or adaptive else f"{math.floor(100 * event.fraction)} %: "
    if event.remaining is None:
        return f"{percentage}{tasks}, remaining time not known yet"
    if event.remaining == 0 and unfinished:
        return f"{tasks}, longer than predicted"
    left = f", {limit or 'about '}{as_seconds(event.remaining)} left" if unfinished else ""
    return f"{percentage}{tasks}{left}"


class ProgressLines:
    """Progress as plain lines: for logs, pipes and notebooks.

    The first line comes at once, the next ones after a tenth of the time since the start, but at least 2 s and at most
    30 s.

    Parameters
    ----------
    stream : file object
        Receives the lines.
    clock : callable
        Seconds of a steady clock.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._start = clock()
        self._last: float | None = None
        self._total, self._adaptive = 0, False

    def __call__(self, event: Event) -> None:
        """Print what is new."""
        if isinstance(event, Started):
            self._total, self._adaptive = event.total, event.adaptive
            if finished := event.done + event.failed:
                self._print(f"resuming: {event.done} of {event.total} units are done, {event.failed} failed")
                self._last = None if finished < event.total else self._clock()
            if event.dashboard:
                self._print(dashboard_line(event.dashboard))
        elif isinstance(event, Message | Stage):
            self._print(event.text)
        elif isinstance(event, UnitQuarantined):
            self._print(_quarantined_line(event))
        elif isinstance(event, Retried):
            self._print(_retried_line(event))
        elif isinstance(event, Estimate):
            self._print_estimate(event)
        elif isinstance(event, Collecting):
            self._print("collecting the results")

    def _print_estimate(self, event: Estimate) -> None:
        now = self._clock()
        interval = min(max((now - self._start) / 10, 2.0), 30.0)
        is_last = sum(task.done for task in event.tasks) == self._total
        if self._last is None or is_last or now - self._last >= interval:
            self._last = now
            self._print(f"{_estimate_line(event, self._adaptive)}, after {as_seconds(now - self._start)}")

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a log on a full disk stops no run
            print(printable(text), file=self._stream, flush=True)


class ProgressBar:
    """A progress bar on a terminal, with messages above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._adaptive = False
        self._task = self._progress.add_task("starting", total=None)
        self._progress.start()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Started):
            self._adaptive = event.adaptive
            if event.dashboard:
                self._print(dashboard_line(event.dashboard))
        elif isinstance(event, Message):
            self._print(event.text)
        elif isinstance(event, Estimate):
            total = None if event.fraction is None or self._adaptive else 1.0
            line = printable(_estimate_line(event, self._adaptive))
            self._progress.update(self._task, total=total, completed=event.fraction, description=line)
        elif isinstance(event, UnitQuarantined):
            self._print(_quarantined_line(event))
        elif isinstance(event, Retried):
            self._print(_retried_line(event))
        elif isinstance(event, Stage | Collecting):
            text = event.text if isinstance(event, Stage) else "collecting the results"
            self._progress.update(self._task, total=None, description=text)

    def _print(self, text: str) -> None:
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
