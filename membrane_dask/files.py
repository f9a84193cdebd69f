"""Small files: bounded reading, atomic replacement, JSON, errors of the disk, and the time of day."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: Size of a JSON file of a run, in bytes.
_MAX_JSON = 100_000_000
#: Beginning of a URL; one letter is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def now() -> str:
    """Time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL, such as ``s3://bucket/name``; a ``Path`` of one has lost its second slash."""
    return _URL.match(str(path)) is not None


def url_text(path: str | Path) -> str:
    """A URL as it was given, with both slashes."""
    return re.sub(":/(?!/)", "://", str(path), count=1)


class DiskError(OSError):
    """A file could not be written: its disk is full, read-only or broken; the message says which and what to do."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextlib.contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Raise errors of the disk as :class:`DiskError`.

    Parameters
    ----------
    path : str or Path
        What is written, for errors that name no file.
    """
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        name = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else Path(path)
        verb = "read or write" if error.errno == errno.EIO else "write"
        message = f"cannot {verb} {name} on {socket.gethostname()}: {os.strerror(error.errno or 0)}"
        raise DiskError(error.errno, f"{message}{_free(name, error.errno)}; {advice}") from error


#: What to do about errors of the disk.
_ADVICE = {
    errno.ENOSPC: "remove files there",
    errno.EDQUOT: "your quota is used up: remove files there, or have it raised",
    errno.EROFS: "the file system is mounted read-only: have it repaired or mounted for writing",
    errno.EIO: "the disk or its server fails: have the file system checked",
    errno.EFBIG: "a limit on the size of files is reached: raise it (ulimit -f)",
}
#: Numbers of the errors of the disk.
DISK_ERRORS = frozenset(_ADVICE)


def _free(path: Path, number: int | None) -> str:
    """Free space, or free inodes where those are missing, of the file system that was to hold a file."""
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
    if number != errno.ENOSPC:
        return ""
    status = os.statvfs(folder)
    if status.f_files and not status.f_favail:
        return f" (no inodes: all {status.f_files} files that {_mount(folder)} can hold exist)"
    free, size = (blocks * status.f_frsize / 1e6 for blocks in (status.f_bavail, status.f_blocks))
    return f" ({free:.3g} of {size:.3g} MB of {_mount(folder)} are free)"


def _mount(folder: Path) -> Path:
    return next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.is_mount())


def write_atomically(path: Path, text: str) -> None:
    """Replace a small file so that a reader sees the old content or the new, never a part.

    Raises
    ------
    DiskError
        If its disk is full, read-only or broken; the old content stays.
    """
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                sync_descriptor(stream.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def sync_descriptor(descriptor: int) -> None:
    """Wait until what was written to a file is on disk.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is not None:  # macOS, where fsync leaves data in the cache of the drive
        try:
            fcntl.fcntl(descriptor, full_sync)
            return
        except OSError as error:  # a network drive, or another file system that has none
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY):
                raise
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk; without effect where a file system cannot."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync_descriptor(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def require_regular(path: Path) -> os.stat_result:
    """Check that a path is a regular file, as reading from a pipe or a device may never end; returns its status.

    Raises
    ------
    OSError
        If there is no such file, or it is something else.
    """
    status = path.stat()
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"it is {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}, not a file")
    return status


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Content of a file of at most ``limit`` bytes; read again while NFS says that it was replaced (ESTALE).

    Raises
    ------
    OSError
        If there is no such file, it is no regular file, it is larger, or it cannot be read.
    """
    for pause in (0.05, 0.2, 1.0, 5.0):
        try:
            return _read_bytes(path, limit)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        time.sleep(pause)
    return _read_bytes(path, limit)


def _read_bytes(path: Path, limit: int | None) -> bytes:
    try:
        size = require_regular(path).st_size
    except ValueError as error:  # a path with a NUL character
        raise OSError(str(error)) from error
    if limit is None:
        return path.read_bytes()
    if size <= limit:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)  # files of /proc state no size
        size = len(content)
        if size <= limit:
            return content
    raise OSError(f"it has {max(size, limit) / 1e6:.3g} MB or more; at most {limit / 1e6:g} MB are read")


def read_json(path: Path) -> Any:
    """Content of a JSON file; None where there is none, or no JSON."""
    try:
        return json.loads(read_bytes(path, _MAX_JSON))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):  # not JSON, not text, or numbers and lists without bounds
        return None
