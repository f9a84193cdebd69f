"""What one unit takes on its worker: time, with a limit that holds, and memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

#: Seconds that a unit which was told to stop may take to do so, before its worker process is ended.
GRACE = 5.0


def reset_peak_memory() -> None:
    """Let the peak be that of what comes now, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Largest resident memory of this process since the last reset, in bytes."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def note_path(folder: Path, key: str) -> Path:
    """Where the worker leaves a last word on a unit that it could not stop."""
    return folder / (re.sub(r"[^A-Za-z0-9=.,_+-]", "_", key) + ".txt")


@contextlib.contextmanager
def time_limit(seconds: float | None, key: str, notes: str) -> Iterator[None]:
    """Raise TimeoutError in this thread when it takes longer.

    Python code stops at once. Compiled code cannot be interrupted: on a worker, whose nanny starts
    it again, the process is ended after a grace, with a note that says why.
    """
    if seconds is None:
        yield
        return
    thread, over, told = threading.get_ident(), threading.Event(), threading.Event()
    lock = threading.Lock()
    replaceable = _has_nanny()

    def watch() -> None:
        if over.wait(seconds):
            return
        with lock:  # never after the unit has ended: the exception would strike what comes next
            if over.is_set():
                return
            told.set()
            _raise_in(thread, _OverTimeError)
        if not over.wait(GRACE) and replaceable:
            folder = Path(notes)
            folder.mkdir(parents=True, exist_ok=True)
            words = f"longer than the limit of {seconds:g} s, and not to be stopped; its worker process was ended"
            note_path(folder, key).write_text(words, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="time limit").start()
    try:
        try:
            yield
        finally:
            with lock:
                over.set()
            if told.is_set():
                _take_back(thread)
    except _OverTimeError:
        raise TimeoutError(f"longer than the limit of {seconds:g} s") from None
    if told.is_set():  # it ended between the alarm and its arrival
        raise TimeoutError(f"longer than the limit of {seconds:g} s")


class _OverTimeError(BaseException):
    """Passes through ``except Exception`` in the unit."""


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


def _take_back(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)


def _has_nanny() -> bool:
    """Whether this thread runs a task of a worker that somebody starts again."""
    if "distributed" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        return get_worker().nanny is not None
    except ValueError:
        return False
