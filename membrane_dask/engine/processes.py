"""Identity of a process, by which other processes and hosts decide whether it is still alive."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe(pid: int | None = None) -> dict[str, Any]:
    """Host, machine, number and start of a process; default this one."""
    pid = os.getpid() if pid is None else pid
    return {"host": socket.gethostname(), "machine": machine(), "pid": pid, "started": _ticks(pid), "born": _born(pid)}


def machine() -> str:
    """Boot of this machine and namespace of its process numbers: containers may have one name, or one kernel."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return socket.gethostname()


def is_alive(record: Mapping[str, Any]) -> bool | None:
    """Whether a process still runs; None if that cannot be known here, as it runs elsewhere.

    Parameters
    ----------
    record : mapping
        What :func:`describe` returned, or the same of an earlier version without ``machine`` and ``started``.
    """
    pid = record.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    if "machine" in record:
        started = _ticks(pid)
        return started is not None and record.get("started") == started if record["machine"] == machine() else None
    if record.get("host") != socket.gethostname():
        return None
    born, present = record.get("born"), _born(pid)
    # A step of the clock moves the start times that the system reports.
    return present is not None and isinstance(born, int | float) and abs(born - present) < 3600


def file_system_time(folder: Path) -> float:
    """Time of day of a folder's file system, which is that of its server: clocks of hosts differ and are stepped."""
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            return os.fstat(stream.fileno()).st_mtime
    except OSError:  # read-only, or full
        return time.time()


def _ticks(pid: int) -> float | None:
    """Start of a process since the boot, which no step of a clock changes; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _born(pid)
    return None if fields[0] in "ZX" else float(fields[19])


def _born(pid: int) -> float | None:
    """Time of day at which a process started; None if there is no such process, or it has ended (zombie)."""
    import psutil

    with contextlib.suppress(psutil.Error, OverflowError):
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    return None
