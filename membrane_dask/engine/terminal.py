"""Output on a terminal, in which control characters are spelled out."""

from __future__ import annotations

import contextlib
import sys
import threading
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
def say_if_slow(text: object, seconds: float = 5.0) -> Iterator[None]:
    """Print a message to stderr if this context lasts longer than some seconds."""
    timer = threading.Timer(seconds, say, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
