"""What is finished, who is working, and how it came about: journal, lock, provenance.

The journal is the truth about a run. Each driver appends to a file of its own, one line a batch,
after the batch's data are on disk; a run resumes by taking what the journal holds from what is
planned. A line torn by a crash is ignored, and its units are computed again.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from membrane_dask.program import Outcome


class RunBusyError(RuntimeError):
    """Another driver is working on the run."""


def now() -> str:
    """Time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_atomically(path: Path, text: str) -> None:
    """Replace a small file so that a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Content of a JSON file; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


class Journal:
    """Append-only record of a run, in ``<run>/journal/<driver>.jsonl``.

    Parameters
    ----------
    folder : Path
        The run's ``journal`` directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: Path | None = None
        self._lines: list[str] = []
        self._depth = 0

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line and wait until it is on disk."""
        with self.together():
            self._lines.append(json.dumps({"time": now(), **record}, allow_nan=False) + "\n")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write the lines that are appended inside at its end, and wait for the disk once."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._lines:
                self._write(self._lines)
                self._lines = []

    def _write(self, lines: list[str]) -> None:
        if self._own is None:
            name = f"{time.time_ns()}-{socket.gethostname()}-{os.getpid()}.jsonl"  # sorts by start
            self._own = self.folder / name
        with self._own.open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))
            stream.flush()
            os.fsync(stream.fileno())

    def records(self) -> Iterator[dict[str, Any]]:
        """All whole lines, oldest driver first."""
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue  # torn by a crash: what it told is done again
                if isinstance(record, dict):
                    yield record

    def history(self) -> dict[str, Outcome]:
        """State of every unit that is finished, by key."""
        found: dict[str, Outcome] = {}
        for record in self.records():
            for key in record.get("reopened", ()):
                found.pop(key, None)
            for key in record.get("done", ()):
                found[key] = Outcome("done", record.get("feedback", {}).get(key, {}))
            for key in record.get("failed", ()):
                found[key] = Outcome("failed")
        return found

    def collected(self) -> bool:
        """Whether the closing step came after the last unit."""
        last = False
        for record in self.records():
            if "done" in record or "reopened" in record or "failed" in record:
                last = False
            last = last or bool(record.get("collected"))
        return last


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


class Provenance:
    """``provenance.json``: how a run came about, with every start and stop."""

    def __init__(self, root: Path) -> None:
        self._path = root / "provenance.json"

    def read(self) -> dict[str, Any]:
        """All that is recorded."""
        return read_json(self._path) or {}

    def create(self, **facts: Any) -> None:
        """Record what holds for the whole run."""
        write_json(self._path, {"created": now(), **facts, "starts": [], "stops": []})

    def started(self, **facts: Any) -> None:
        """Record a start."""
        self._add("starts", {"time": now(), **surroundings(), **facts})

    def stopped(self, **facts: Any) -> None:
        """Record a stop."""
        self._add("stops", {"time": now(), **facts})

    def _add(self, name: str, entry: dict[str, Any]) -> None:
        known = self.read()
        known.setdefault(name, []).append(entry)
        write_json(self._path, known)


def surroundings() -> dict[str, Any]:
    """Versions, machine and command of this process."""
    from membrane_dask import __version__

    versions = {"membrane-dask": __version__, "python": platform.python_version()}
    for name in (
        "numpy", "scipy", "numba", "xarray", "zarr", "dask", "distributed", "scikit-image", "scikit-optimize"
    ):  # fmt: skip
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "platform": platform.platform(),
        "command": sys.argv,
        "versions": versions,
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """Commit of the checkout that the package runs from, if it runs from one."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
