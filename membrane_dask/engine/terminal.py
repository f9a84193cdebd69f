"""Output on a terminal, in which control characters are spelled out."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from membrane_dask.plain_text import printable


def show(text: object = "", *, end: str = "\n") -> None:
    """Print a result to stdout."""
    sys.stdout.write(printable(text) + end)


def say(text: object) -> None:
    """Print a message to stderr; stdout is for results."""
    with contextlib.suppress(OSError):  # a log on a full disk stops no run
        print(printable(text), file=sys.stderr, flush=True)


@contextlib.contextmanager
def say_stage(text: str, interval: float = 10.0) -> Iterator[None]:
    """Print to stderr that a stage begins, and while it lasts, how long it has taken so far.

    Parameters
    ----------
    text : str
        Name of the stage.
    interval : float
        Seconds between two lines.
    """
    ended, start = threading.Event(), time.monotonic()

    def repeat() -> None:
        while not ended.wait(interval):
            say(f"{text}: {time.monotonic() - start:.0f} s so far")

    say(text)
    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
