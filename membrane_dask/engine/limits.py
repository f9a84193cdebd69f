"""Time limit and peak memory of one unit on its worker."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from membrane_dask.engine.control_groups import memory_kills, memory_limit

#: Time in seconds in which a unit must react to the exception at its time limit, before its process is killed.
GRACE_PERIOD = 5.0


def reset_peak_memory() -> None:
    """Reset the peak memory of this process, where the system supports it (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Largest resident memory of this process since the last reset, in bytes."""
    try:
        match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        match = None
    if match:
        return int(match[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def timeout_note_path(folder: Path, key: str) -> Path:
    """Path of the note that a worker writes before it kills itself because of a unit."""
    return folder / (re.sub(r"[^A-Za-z0-9=.,_+-]", "_", key) + ".txt")


def write_memory_note(folder: Path) -> None:
    """Note that the system has killed processes of this container or job for memory: the driver may be elsewhere."""
    kills = memory_kills()
    if kills:
        limit = memory_limit()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"memory-{socket.gethostname()}.txt").write_text(
            f"on {socket.gethostname()} the system has killed {kills} processes that together needed more than "
            f"{limit.value / 1e9:.3g} GB, {limit.source}: give workers less work at a time or their jobs more memory",
            encoding="utf-8",
        )


def memory_notes(folder: Path) -> list[str]:
    """Notes of other hosts."""
    own = f"memory-{socket.gethostname()}.txt"
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("memory-*.txt")) if path.name != own]


@contextlib.contextmanager
def time_limit(seconds: float | None, key: str, notes: str) -> Iterator[None]:
    """Raise TimeoutError in this thread when the code inside exceeds a time limit.

    Python code stops at once. Compiled code cannot be interrupted: a worker whose nanny restarts it writes a
    note and kills its own process after :data:`GRACE_PERIOD`.

    Parameters
    ----------
    seconds : float or None
        Time limit; None for no limit.
    key : str
        Key of the unit.
    notes : str
        Folder of the notes.

    Raises
    ------
    TimeoutError
        If the limit is exceeded.
    """
    if seconds is None:
        yield
        return
    thread, ended, expired = threading.get_ident(), threading.Event(), threading.Event()
    lock = threading.Lock()
    restartable = _has_nanny()

    def enforce() -> None:
        if ended.wait(seconds):
            return
        with lock:  # never after the unit has ended: the exception would hit the code that follows
            if ended.is_set():
                return
            expired.set()
            _raise_in_thread(thread, _TimeLimitExceeded)
        if not ended.wait(GRACE_PERIOD) and restartable:
            folder = Path(notes)
            folder.mkdir(parents=True, exist_ok=True)
            message = (
                f"longer than the limit of {seconds:g} s in code that cannot be interrupted; its worker was killed"
            )
            timeout_note_path(folder, key).write_text(message, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=enforce, daemon=True, name="time limit").start()
    try:
        try:
            yield
        finally:
            with lock:
                ended.set()
            if expired.is_set():
                _clear_exception(thread)
    except _TimeLimitExceeded:
        raise TimeoutError(f"longer than the limit of {seconds:g} s") from None
    if expired.is_set():  # the unit ended after the exception was set and before it was raised
        raise TimeoutError(f"longer than the limit of {seconds:g} s")


class _TimeLimitExceeded(BaseException):
    """Not an Exception, so that ``except Exception`` in a unit does not catch it."""


def _raise_in_thread(thread: int, exception: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


def _clear_exception(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)


def _has_nanny() -> bool:
    """Whether this thread executes a task of a Dask worker that a nanny restarts."""
    if "distributed" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        return get_worker().nanny is not None
    except ValueError:
        return False
