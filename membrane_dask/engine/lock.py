"""Lock of a run, which allows one driver at a time, on file systems with and without file locks.

Two things exclude a second driver. The file lock ends with its process, but not every file system has one, and some
have one for each host. The owner file works everywhere: drivers number their files ``logs/drivers/N.json``, a file is
created only where there is none, and the driver that created the highest number works, until it has ended or sends no
heartbeat. Of several drivers that see a dead one, therefore, one takes over.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

from membrane_dask.engine.processes import describe, file_system_time, is_alive, machine
from membrane_dask.engine.records import DriverRecord, read
from membrane_dask.errors import UnreadableRunError
from membrane_dask.files import sync_descriptor, write_json


class RunBusyError(RuntimeError):
    """Another driver works on the run."""


class DriverLock:
    """The lock of the driver that works on a run, held inside a ``with`` block.

    ``<run>/driver.json`` describes the driver; a thread renews it and the owner file as its heartbeat.

    Parameters
    ----------
    root : Path
        The run directory.
    measuring : bool
        Whether pilots are computed, not units of the run.

    Raises
    ------
    RunBusyError
        On entry, if another driver works on the run; from :meth:`heartbeat`, if another one has taken it over.
    """

    #: A driver on another host is considered dead after this time without a heartbeat, in seconds.
    HEARTBEAT_TIMEOUT = 60.0
    _HEARTBEAT_INTERVAL = 5.0
    #: Owner files that are kept. A driver that looks at one of them while so many others start is none that there is.
    _OWNER_FILES = 20

    def __init__(self, root: Path, *, measuring: bool = False) -> None:
        self.root = root
        #: What the user should know about the kind of lock; empty if there is nothing special.
        self.notice = ""
        self._descriptor: int | None = None
        self._number = 0
        self._state: dict[str, Any] = {"in_flight": 0, "dashboard": None}
        if measuring:
            self._state["measuring"] = True
        self._end: dict[str, Any] = {}
        self._ended = threading.Event()
        self._lost = False
        self._thread: threading.Thread | None = None

    @property
    def _path(self) -> Path:
        return self.root / "driver.json"

    def _owner_file(self, number: int) -> Path:
        return self.root / "logs" / "drivers" / f"{number}.json"

    def __enter__(self) -> DriverLock:
        self._acquire_file_lock()
        try:
            other = self.active_driver(self.root)
            if other is not None and (other.get("host"), other.get("pid")) != (socket.gethostname(), os.getpid()):
                raise self._busy(other, f"{self._path} has its heartbeat")
            self._acquire_owner_file()
            with contextlib.suppress(FileNotFoundError):
                (self.root / "cancel").unlink()
            self._beat()
        except BaseException:
            self._release()
            raise
        self._ended.clear()
        self._thread = threading.Thread(target=self._beat_until_end, daemon=True, name="heartbeat")
        self._thread.start()
        return self

    def _acquire_file_lock(self) -> None:
        self._descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise self._busy(_read(self._path), f"it holds the file lock {self.root / '.lock'}") from None
        except OSError as error:  # ENOLCK, ENOSYS, EOPNOTSUPP, ENOTSUPP: the owner file suffices
            self.notice = (
                f"{self.root} is on a file system without file locks (errno {error.errno}, {error.strerror}); "
                "an owner file with a heartbeat excludes other drivers"
            )

    def _acquire_owner_file(self) -> None:
        folder = self._owner_file(0).parent
        folder.mkdir(parents=True, exist_ok=True)
        numbers = sorted(int(path.stem) for path in folder.glob("*.json") if re.fullmatch("[1-9][0-9]{0,9}", path.stem))
        number = numbers[-1] if numbers else 0
        while not self._number:
            if number:
                self._require_dead(number)
            number += 1
            with contextlib.suppress(FileExistsError):
                descriptor = os.open(self._owner_file(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                self._number = number
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(self._describe()) + "\n")
            stream.flush()
            sync_descriptor(stream.fileno())  # after a power cut it says which driver is dead
        for old in numbers:
            if old <= number - self._OWNER_FILES:
                self._owner_file(old).unlink(missing_ok=True)

    def _require_dead(self, number: int) -> None:
        """Refuse while the driver with an owner file works, or may be about to write it."""
        path = self._owner_file(number)
        driver = _read(path)
        if _is_of_another_directory(driver, self.root):
            return
        try:
            beat = path.stat().st_mtime
        except FileNotFoundError:  # removed as old
            return
        if beat == 0.0:  # released
            return
        alive = is_alive(driver) if driver else None
        if alive is None:
            alive = abs(file_system_time(self.root) - beat) < self.HEARTBEAT_TIMEOUT
            if not alive:  # or the clock of the file system was stepped: a living driver soon shows itself
                time.sleep(self._HEARTBEAT_INTERVAL + 1.0)
                alive = path.exists() and path.stat().st_mtime != beat
        if alive:
            raise self._busy(driver, f"its owner file is {path}")

    def _busy(self, driver: DriverRecord | None, lock: str) -> RunBusyError:
        process = f"process {driver['pid']} on {driver['host']}" if driver else "a process that starts just now"
        advice = f"watch it with: membrane-dask status {self.root}"
        return RunBusyError(f"{self.root} is being run by {process} ({lock}); {advice}")

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if not self._lost:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._release()

    def _release(self) -> None:
        if self._number:
            with contextlib.suppress(OSError):  # needs no space on the disk, unlike a note in the file
                os.utime(self._owner_file(self._number), (0, 0))
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._number, self._descriptor = 0, None

    def heartbeat(self, in_flight: int, dashboard: str | None = None) -> None:
        """Set what the next heartbeat says of this driver.

        Parameters
        ----------
        in_flight : int
            Number of units that are submitted and not finished.
        dashboard : str, optional
            URL of Dask's dashboard.

        Raises
        ------
        RunBusyError
            If another driver has taken over, as this one was stopped for longer than :attr:`HEARTBEAT_TIMEOUT`.
        """
        self._state = {"in_flight": in_flight, "dashboard": dashboard}
        if self._lost:
            raise self._busy(_read(self._path), "which took over while this process was stopped")

    def expect_end(self, remaining: tuple[float, float] | None) -> None:
        """Set the shortest and the longest time, in seconds from now, in which the run is expected to end."""
        now = time.time()
        self._end = {} if remaining is None else {"end": [now + seconds for seconds in remaining]}

    def _beat_until_end(self) -> None:
        while not self._ended.wait(self._HEARTBEAT_INTERVAL):
            self._lost = self._lost or self._owner_file(self._number + 1).exists()
            if self._lost:
                return
            with contextlib.suppress(OSError):  # a disk that is full stops the run where results are written
                self._beat()

    def _beat(self) -> None:
        os.utime(self._owner_file(self._number))
        # ``beat`` is for readers that see the file's content only.
        write_json(self._path, {**self._describe(), "beat": time.time(), **self._state, **self._end})

    def _describe(self) -> dict[str, Any]:
        return {**describe(), "inode": self.root.stat().st_ino}

    def cancelled(self) -> bool:
        """Whether the user has cancelled the run."""
        return (self.root / "cancel").exists()

    @classmethod
    def active_driver(cls, root: Path) -> DriverRecord | None:
        """Last heartbeat of the driver that works on a run; None if there is no such driver."""
        driver = _read(root / "driver.json")
        if driver is None or "beat" not in driver or "in_flight" not in driver:
            return None
        if _is_of_another_directory(driver, root):
            return None
        alive = is_alive(driver)
        if alive is None:
            with contextlib.suppress(OSError):
                beat = (root / "driver.json").stat().st_mtime
                alive = abs(file_system_time(root) - beat) < cls.HEARTBEAT_TIMEOUT
            if "machine" not in driver:  # of an earlier version: a copy does not name its directory
                alive = alive and time.time() - driver["beat"] < cls.HEARTBEAT_TIMEOUT
        return driver if alive else None


def _is_of_another_directory(driver: DriverRecord | None, root: Path) -> bool:
    """Whether a description of a driver came into the directory by copying a run that was being driven.

    Only on its machine: some network file systems give a directory another inode on each host.
    """
    if driver is None or driver.get("machine") != machine():
        return False
    return driver.get("inode") not in (None, root.stat().st_ino)


def _read(path: Path) -> DriverRecord | None:
    """Who drives a run, or did; None where that is not written, or not yet."""
    try:
        return read(DriverRecord, path, "")
    except (UnreadableRunError, OSError):
        return None


def await_remote_driver(root: Path) -> None:
    """Wait until a driver on another node has sent a heartbeat, or none for so long that it is known to be gone."""
    earlier = DriverLock.active_driver(root)
    while earlier is not None and earlier["host"] != socket.gethostname():
        time.sleep(2)
        driver = DriverLock.active_driver(root)
        if driver is not None and driver["beat"] != earlier["beat"]:
            return  # it is active; the lock reports it
        earlier = driver
