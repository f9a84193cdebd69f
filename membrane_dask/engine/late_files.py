"""Files that another host has written and this one does not see yet, or not whole, as on network file systems.

NFS clients keep for up to a minute what they have seen of a folder: a new file is missing, a replaced one is the old
one or "stale". Whoever reads what the journal promises therefore waits, verifies the digest, and then names file and
host.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from membrane_dask.engine.journal import Journal
from membrane_dask.engine.processes import file_system_time

#: Time in seconds after which a file that is still missing or broken is lost: a little more than the longest time for
#: which NFS clients believe what they know of a folder (``acdirmax``).
LATE_FILE_TIMEOUT = 65.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
#: Name of the digests among the arrays of a file.
_DIGESTS = "__sha256__"

T = TypeVar("T")


class LateFileError(OSError):
    """A file that must be there did not become visible, or not whole, in time."""

    def __str__(self) -> str:
        return str(self.strerror)


class AlteredFileError(ValueError):
    """A file is not whole, or an array does not have the digest with which it was written."""


def wait_until_visible(read: Callable[[], T], path: str | Path, timeout: float = LATE_FILE_TIMEOUT) -> T:
    """Repeat an operation while a file that it needs is missing, stale or not whole.

    Parameters
    ----------
    read : callable
        The operation.
    path : str or Path
        What it needs, for the error.
    timeout : float
        Time to wait, in seconds; 0 to raise the first error as it is.

    Raises
    ------
    LateFileError
        If the time is over.
    """
    deadline, pause = time.monotonic() + timeout, _SHORTEST_PAUSE
    while True:
        try:
            return read()
        except (OSError, AlteredFileError) as error:
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and error.errno != errno.ESTALE:
                raise
            if timeout == 0:
                raise
            if time.monotonic() > deadline:
                raise LateFileError(
                    error.errno if isinstance(error, OSError) else errno.EIO,
                    f"{path} is not to be read on {socket.gethostname()}, {timeout:g} s after it was recorded as "
                    f"written ({type(error).__name__}: {error}); check the file system of the run on that host",
                ) from error
        with contextlib.suppress(OSError):
            os.listdir(Path(path).parent)  # makes an NFS client ask its server for the present content
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def check_until_visible(check: Callable[[], list[T]], timeout: float = LATE_FILE_TIMEOUT) -> list[T]:
    """Repeat a check of files until it finds no fault, or the time is over.

    Parameters
    ----------
    check : callable
        Returns the faults.
    timeout : float
        Time to wait, in seconds.

    Returns
    -------
    list
        Faults of the last check.
    """
    deadline, pause = time.monotonic() + timeout, _SHORTEST_PAUSE
    while (faults := check()) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)
    return faults


def recent_elsewhere(journal: Journal) -> set[str]:
    """Units that another host has written so recently that their files may not be visible here yet."""
    newest = max((path.stat().st_mtime for path in journal.folder.glob("*.jsonl")), default=0.0)
    if abs(file_system_time(journal.folder) - newest) > LATE_FILE_TIMEOUT:
        return set()
    host = socket.gethostname()
    written = (record for record in journal.records() if record.get("worker", f"{host}-").rpartition("-")[0] != host)
    return {key for record in written for key in record.get("done", ())}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, compressed: bool) -> None:
    """Write arrays and their digests into one file, whole or not at all."""
    partial = path.with_name(f".{path.stem}.{socket.gethostname()}.{os.getpid()}.npz")
    digests = np.array([f"{name}={_digest(array)}" for name, array in arrays.items()], np.str_)
    save: Any = np.savez_compressed if compressed else np.savez
    try:
        save(partial, **arrays, **{_DIGESTS: digests})
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_arrays(path: Path, only: Sequence[str] | None = None, timeout: float = 0.0) -> dict[str, np.ndarray]:
    """Arrays of a file, or some of them, as they were written.

    Parameters
    ----------
    path : Path
        A file of :func:`write_arrays`; one of an earlier version holds no digests, and is not verified.
    only : sequence of str, optional
        Names of the arrays.
    timeout : float
        Time to wait for the file, in seconds.

    Raises
    ------
    LateFileError
        If it is not there and whole after that time.
    """

    def read() -> dict[str, np.ndarray]:
        try:
            with path.open("rb") as stream, np.load(stream) as stored:  # closed also where it cannot be decoded
                arrays = {name: stored[name] for name in stored.files if only is None or name in (*only, _DIGESTS)}
        except OSError:
            raise
        except Exception as error:  # what NumPy and zipfile raise depends on the bytes that are missing
            raise AlteredFileError(f"{path} is not whole: {error}") from error
        lines = arrays.pop(_DIGESTS, None)
        if lines is not None:
            digests = dict(line.rsplit("=", 1) for line in lines.tolist())
            altered = [name for name, array in arrays.items() if digests.get(name) != _digest(array)]
            if altered:
                raise AlteredFileError(f"{path}: {altered[0]} is not as it was written")
        return arrays

    return wait_until_visible(read, path, timeout)


def _digest(array: np.ndarray) -> str:
    sha = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:32]
