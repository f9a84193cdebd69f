"""Progress of a run on a terminal or in a log."""

from __future__ import annotations

import getpass
import re
import socket
import time
from typing import TYPE_CHECKING, TextIO

from membrane_dask.engine.events import Event, Progressed, Retried, SetAside, Started, Told
from membrane_dask.engine.plan import as_seconds

if TYPE_CHECKING:
    from membrane_dask.engine.events import Event


def dashboard_line(link: str) -> str:
    """Where Dask's own view of the work is, and the way to it from another machine."""
    port = re.search(r"//(?:127\.0\.0\.1|localhost):(\d+)", link)
    if port is None:
        return f"dashboard: {link}"
    tunnel = f"ssh -L {port[1]}:127.0.0.1:{port[1]} {getpass.getuser()}@{socket.gethostname()}"
    return f"dashboard: {link} (from another machine, first: {tunnel})"


class Lines:
    """Progress as plain lines, one every 30 s at most: for logs, pipes and notebooks."""

    def __init__(self, stream: TextIO, every: float = 30.0) -> None:
        self._stream, self._every = stream, every
        self._start = self._last = time.monotonic()
        self._total = self._first = 0
        self._at_most = False

    def __call__(self, event: Event) -> None:
        """Say what is worth saying."""
        if isinstance(event, Started):
            self._total, self._first, self._at_most = event.total, event.done + event.failed, event.at_most
            if event.done or event.failed:
                self._say(f"resuming: {event.done} of {event.total} units are done, {event.failed} failed")
            if event.dashboard:
                self._say(dashboard_line(event.dashboard))
        elif isinstance(event, Told):
            self._say(event.words)
        elif isinstance(event, SetAside):
            self._say(f"set aside: {event.key}: {event.error.splitlines()[0]}")
        elif isinstance(event, Retried):
            self._say(f"trying again: {event.keys[0]}{', ...' * (len(event.keys) > 1)}: {event.reason.splitlines()[0]}")
        elif isinstance(event, Progressed):
            finished = event.done + event.failed
            if finished == self._total or time.monotonic() - self._last >= self._every:
                self._last = time.monotonic()
                spent = self._last - self._start
                rate = (finished - self._first) / spent
                known = 0 < finished < self._total and not self._at_most
                left = f", {as_seconds((self._total - finished) / rate)} left" if known else ""
                of = f"of at most {self._total}" if self._at_most else f"of {self._total}"
                self._say(f"{finished} {of} units after {as_seconds(spent)}{left}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bar:
    """A progress bar for a person at a terminal; what must be said stands above it."""

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
        self._task = self._progress.add_task("working", total=None)
        self._progress.start()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        from membrane_dask.engine.events import Collecting, Progressed, Retried, SetAside, Started, Told

        if isinstance(event, Started):
            total = None if event.at_most else event.total
            self._progress.update(self._task, total=total, completed=event.done + event.failed)
            if event.dashboard:
                from membrane_dask.progress import dashboard_line

                self._console.print(dashboard_line(event.dashboard), highlight=False, soft_wrap=True)
        elif isinstance(event, Told):
            self._console.print(event.words, markup=False, highlight=False, soft_wrap=True)
        elif isinstance(event, Progressed):
            self._progress.update(self._task, completed=event.done + event.failed)
        elif isinstance(event, SetAside):
            self._console.print(f"set aside: {event.key}: {event.error.splitlines()[0]}", markup=False)
        elif isinstance(event, Retried):
            self._console.print(f"trying again: {event.keys[0]}: {event.reason.splitlines()[0]}", markup=False)
        elif isinstance(event, Collecting):
            self._progress.update(self._task, description="collecting")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
