"""Progress of a run on a terminal or in a log."""

from __future__ import annotations

import contextlib
import getpass
import re
import socket
import time
from typing import TextIO

from membrane_dask.engine.events import Collecting, Event, Message, Progressed, Retried, Started, UnitQuarantined
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
    return f"failed: {event.key}: {event.error.splitlines()[0]}"


def _retried_line(event: Retried) -> str:
    more = ", ..." if len(event.keys) > 1 else ""
    return f"retrying: {event.keys[0]}{more}: {event.reason.splitlines()[0]}"


class ProgressLines:
    """Progress as plain lines, at most one every 30 s: for logs, pipes and notebooks.

    Parameters
    ----------
    stream : file object
        Receives the lines.
    interval : float
        Shortest time between two lines, in seconds.
    """

    def __init__(self, stream: TextIO, interval: float = 30.0) -> None:
        self._stream, self._interval = stream, interval
        self._start = self._last = time.monotonic()
        self._total = self._finished_before = 0
        self._adaptive = False

    def __call__(self, event: Event) -> None:
        """Print what is new."""
        if isinstance(event, Started):
            self._total, self._adaptive = event.total, event.adaptive
            self._finished_before = event.done + event.failed
            if self._finished_before:
                self._print(f"resuming: {event.done} of {event.total} units are done, {event.failed} failed")
            if event.dashboard:
                self._print(dashboard_line(event.dashboard))
        elif isinstance(event, Message):
            self._print(event.text)
        elif isinstance(event, UnitQuarantined):
            self._print(_quarantined_line(event))
        elif isinstance(event, Retried):
            self._print(_retried_line(event))
        elif isinstance(event, Progressed):
            finished = event.done + event.failed
            if finished == self._total or time.monotonic() - self._last >= self._interval:
                self._last = time.monotonic()
                self._print(self._progress(finished, self._last - self._start))

    def _progress(self, finished: int, elapsed: float) -> str:
        limit = "at most " if self._adaptive else ""
        line = f"{finished} of {limit}{self._total} units after {as_seconds(elapsed)}"
        if 0 < finished < self._total and not self._adaptive:
            rate = (finished - self._finished_before) / elapsed
            line += f", {as_seconds((self._total - finished) / rate)} left"
        return line

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a log on a full disk stops no run
            print(printable(text), file=self._stream, flush=True)


class ProgressBar:
    """A progress bar on a terminal, with messages above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("units"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=self._console,
        )  # fmt: skip
        self._task = self._progress.add_task("running", total=None)
        self._progress.start()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Started):
            total = None if event.adaptive else event.total
            self._progress.update(self._task, total=total, completed=event.done + event.failed)
            if event.dashboard:
                self._print(dashboard_line(event.dashboard))
        elif isinstance(event, Message):
            self._print(event.text)
        elif isinstance(event, Progressed):
            self._progress.update(self._task, completed=event.done + event.failed)
        elif isinstance(event, UnitQuarantined):
            self._print(_quarantined_line(event))
        elif isinstance(event, Retried):
            self._print(_retried_line(event))
        elif isinstance(event, Collecting):
            self._progress.update(self._task, description="collecting")

    def _print(self, text: str) -> None:
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
