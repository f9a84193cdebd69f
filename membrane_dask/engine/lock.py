"""Lock of a run, which allows one driver at a time, with a heartbeat for drivers on other hosts."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from membrane_dask.files import read_json, write_json


class RunBusyError(RuntimeError):
    """Another driver works on the run."""


class DriverLock:
    """The lock of the driver that works on a run, held inside a ``with`` block.

    ``<run>/driver.json`` holds the driver's heartbeat, for file systems whose locks do not work between hosts.

    Parameters
    ----------
    root : Path
        The run directory.

    Raises
    ------
    RunBusyError
        On entry, if another driver works on the run.
    """

    #: A driver on another host is considered dead after this time without a heartbeat, in seconds.
    HEARTBEAT_TIMEOUT = 60.0
    _HEARTBEAT_INTERVAL = 5.0

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = FileLock(root / ".lock")
        self._last_heartbeat = 0.0

    @property
    def _path(self) -> Path:
        return self.root / "driver.json"

    def __enter__(self) -> DriverLock:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise self._busy(read_json(self._path) or {}) from None
        other = self.active_driver(self.root)
        if other is not None and (other["host"], other["pid"]) != (socket.gethostname(), os.getpid()):
            self._lock.release()
            raise self._busy(other)
        with contextlib.suppress(FileNotFoundError):
            (self.root / "cancel").unlink()
        self.heartbeat(0, force=True)
        return self

    def _busy(self, driver: Mapping[str, Any]) -> RunBusyError:
        return RunBusyError(
            f"{self.root} is being run by process {driver.get('pid', '?')} on {driver.get('host', '?')}; "
            f"watch it with: membrane-dask status {self.root}"
        )

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._lock.release()

    def heartbeat(self, in_flight: int, dashboard: str | None = None, *, force: bool = False) -> None:
        """Record that this driver is alive.

        Parameters
        ----------
        in_flight : int
            Number of units that are submitted and not finished.
        dashboard : str, optional
            URL of Dask's dashboard.
        force : bool
            Write even if the last heartbeat is recent.
        """
        if not force and time.monotonic() - self._last_heartbeat < self._HEARTBEAT_INTERVAL:
            return
        self._last_heartbeat = time.monotonic()
        write_json(
            self._path,
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "born": _start_time(os.getpid()),
                "beat": time.time(),
                "in_flight": in_flight,
                "dashboard": dashboard,
            },
        )

    def cancelled(self) -> bool:
        """Whether the user has cancelled the run."""
        return (self.root / "cancel").exists()

    @classmethod
    def active_driver(cls, root: Path) -> dict[str, Any] | None:
        """Last heartbeat of the driver that works on a run; None if there is no such driver."""
        driver = read_json(root / "driver.json")
        if not isinstance(driver, dict):
            return None
        if driver.get("host") == socket.gethostname():
            return driver if driver.get("born") == _start_time(int(driver["pid"])) else None
        return driver if time.time() - float(driver["beat"]) < cls.HEARTBEAT_TIMEOUT else None


def _start_time(pid: int) -> float | None:
    """Start time of a process on this host, which distinguishes it from a later process with the same number."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
