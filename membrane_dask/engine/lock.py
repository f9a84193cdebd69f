"""The lock that allows one driver per run."""

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
    """Another driver is working on the run."""


class Driver:
    """The one driver that may work on a run: a lock, and a file that says it is alive.

    Parameters
    ----------
    root : Path
        The run directory.
    """

    #: A driver on another host that was silent this long counts as gone, in seconds.
    SILENCE = 60.0
    _BEAT = 5.0

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = FileLock(root / ".lock")
        self._last = 0.0

    @property
    def _path(self) -> Path:
        return self.root / "driver.json"

    def __enter__(self) -> Driver:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise self._busy(read_json(self._path) or {}) from None
        other = self.alive(self.root)
        if other is not None and (other["host"], other["pid"]) != (
            socket.gethostname(),
            os.getpid(),
        ):  # on a file system whose locks do not reach from host to host
            self._lock.release()
            raise self._busy(other)
        with contextlib.suppress(FileNotFoundError):
            (self.root / "cancel").unlink()
        self.beat(0, force=True)
        return self

    def _busy(self, about: Mapping[str, Any]) -> RunBusyError:
        return RunBusyError(
            f"{self.root} is being run by process {about.get('pid', '?')} on {about.get('host', '?')}; "
            f"watch it with: membrane-dask status {self.root}"
        )

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._lock.release()

    def beat(self, in_flight: int, dashboard: str | None = None, *, force: bool = False) -> None:
        """Say that this driver lives and how many units it has sent out."""
        if not force and time.monotonic() - self._last < self._BEAT:
            return
        self._last = time.monotonic()
        about = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "born": _born(os.getpid()),
            "beat": time.time(),
            "in_flight": in_flight,
        }
        write_json(self._path, about | {"dashboard": dashboard})

    def cancelled(self) -> bool:
        """Whether somebody asked the run to stop."""
        return (self.root / "cancel").exists()

    @classmethod
    def alive(cls, root: Path) -> dict[str, Any] | None:
        """What the run's driver last said; None if none is at work."""
        about = read_json(root / "driver.json")
        if not isinstance(about, dict):
            return None
        if about.get("host") == socket.gethostname():
            return about if about.get("born") == _born(int(about["pid"])) else None
        return about if time.time() - float(about["beat"]) < cls.SILENCE else None


def _born(pid: int) -> float | None:
    """When a process of this machine was started; tells it from a later one of the same number."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
