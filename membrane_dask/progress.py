"""Progress of a run on a terminal, in a log or in a notebook."""

from __future__ import annotations

import contextlib
import getpass
import math
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any, TextIO

from membrane_dask.engine.events import (
    Collecting,
    Estimate,
    Event,
    Listener,
    Message,
    Progressed,
    Retried,
    Stage,
    Started,
    UnitQuarantined,
)
from membrane_dask.engine.plan import as_seconds, as_seconds_range
from membrane_dask.notebook_html import bar, links
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
    """Percentage, the tasks in progress and the remaining time, such as ``40 %: 2 of 5 matches, 20 to 40 s left``."""
    limit = "at most " if adaptive else ""
    unfinished = [task for task in event.tasks if task.done < task.total]
    begun = [task for task in unfinished if task.done] or unfinished[:1] or list(event.tasks[-1:])
    tasks = ", ".join(f"{task.done} of {limit}{task.total} {task.task}" for task in begun)
    # Of an adaptive program, the number of units is not known.
    percentage = "" if event.fraction is None or adaptive else f"{math.floor(100 * event.fraction)} %: "
    if unfinished and sum(task.total - task.done for task in unfinished) <= event.failed:
        return f"{tasks}, {event.failed} failed"  # a percentage of the time would read as one of finished units
    if event.remaining is None:
        return f"{percentage}{tasks}, remaining time not known yet"
    return f"{percentage}{tasks}, {as_seconds_range(*event.remaining)} left"


class ProgressLines:
    """Progress as plain lines: for logs and pipes.

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
                self._print(f"{event.done} of {event.total} units are done already, {event.failed} failed")
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
        is_last = sum(task.done for task in event.tasks) + event.failed == self._total
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
            self._progress.update(self._task, total=None, description=printable(text))

    def _print(self, text: str) -> None:
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


class ProgressDisplay:
    """Progress in a notebook: a bar with the state and the last messages, updated in place.

    Parameters
    ----------
    clock : callable
        Seconds of a steady clock.
    """

    #: Messages that are shown, and the shortest time between two updates in seconds.
    MESSAGES, INTERVAL = 8, 0.5

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._shown = -math.inf
        self._adaptive, self._done, self._failed, self._total = False, 0, 0, 0
        self._state, self._dashboard = "starting", ""
        self._messages: list[str] = []
        self._handle: Any = None

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Started):
            self._adaptive, self._total, self._dashboard = event.adaptive, event.total, event.dashboard or ""
            self._done, self._failed = event.done, event.failed
        elif isinstance(event, Progressed):
            self._done, self._failed = event.done, event.failed
        elif isinstance(event, Estimate):
            self._state = _estimate_line(event, self._adaptive)
        elif isinstance(event, Stage | Collecting):
            self._state = event.text if isinstance(event, Stage) else "collecting the results"
        elif isinstance(event, Message):
            self._messages.append(event.text)
        else:
            self._messages.append(
                _quarantined_line(event) if isinstance(event, UnitQuarantined) else _retried_line(event)
            )
        is_frequent = isinstance(event, Progressed | Estimate)
        if not is_frequent or self._clock() - self._shown >= self.INTERVAL:
            self._show()

    def close(self, error: BaseException | None = None) -> None:
        """Show the end, if anything was shown."""
        if self._handle is None:
            return
        finished = f"{self._done} of {self._total} units done, {self._failed} failed"
        self._state = f"stopped by {type(error).__name__}: {finished}" if error else finished
        self._state += f", after {as_seconds(self._clock() - self._start)}"
        self._dashboard = ""
        self._show()

    def _show(self) -> None:
        from IPython.display import HTML, display

        self._shown = self._clock()
        content = HTML(self._html())  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(content, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(content)

    def _html(self) -> str:
        hidden = len(self._messages) - self.MESSAGES
        lines = [*([f"{hidden} earlier messages"] if hidden > 0 else []), *self._messages[-self.MESSAGES :]]
        text = "".join(f"<div style='opacity:0.8'>{escape(printable(line))}</div>" for line in lines)
        dashboard = links([("dashboard", self._dashboard)] if self._dashboard else [])
        progress = bar(self._done, self._failed, self._total)
        return f"<div>{progress}<div>{escape(printable(self._state))}</div>{dashboard}{text}</div>"


def _is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


@contextlib.contextmanager
def shown_progress(listener: Listener | None) -> Iterator[Listener]:
    """A listener that is given, or the one for notebooks or logs, which shows the end too."""
    if listener is not None:
        yield listener
    elif _is_notebook():
        display = ProgressDisplay()
        try:
            yield display
        except BaseException as error:
            display.close(error)
            raise
        display.close()
    else:
        yield ProgressLines(sys.stderr)
