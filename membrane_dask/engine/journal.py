"""Journal of a run: an append-only record of its finished and failed units.

The journal alone decides which units are finished. Each driver appends to a file of its own, one line per
batch, after the values of the batch are on disk; a run resumes with the planned units that the journal does
not list. A line that a crash truncated is ignored, and its units are computed again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from membrane_dask.files import disk_errors, now
from membrane_dask.program import Outcome


class Journal:
    """The files ``<run>/journal/<driver>.jsonl``.

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
        """Write one line and wait until it is on disk, or until the end of :meth:`buffered`."""
        with self.buffered():
            self._lines.append(json.dumps({"time": now(), **record}, allow_nan=False) + "\n")

    @contextlib.contextmanager
    def buffered(self) -> Iterator[None]:
        """Write the lines that are appended inside together at the end, with one synchronization of the disk."""
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
            name = f"{time.time_ns()}-{socket.gethostname()}-{os.getpid()}.jsonl"  # sorts by time
            self._own = self.folder / name
        with disk_errors(self._own), self._own.open("ab", buffering=0) as stream:
            end = stream.seek(0, os.SEEK_END)
            try:
                text = memoryview("".join(lines).encode())
                while text:  # a disk that is almost full takes a part
                    text = text[stream.write(text) :]
                os.fsync(stream.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(end)  # no half line, to which a later one would be appended
                raise

    def records(self) -> Iterator[dict[str, Any]]:
        """All complete lines, those of the oldest driver first."""
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue  # truncated by a crash
                if isinstance(record, dict):
                    yield record

    def history(self) -> dict[str, Outcome]:
        """Outcome of every unit that is finished or failed, by key."""
        outcomes: dict[str, Outcome] = {}
        for record in self.records():
            for key in record.get("reopened", ()):
                outcomes.pop(key, None)
            for key in record.get("done", ()):
                outcomes[key] = Outcome("done", record.get("feedback", {}).get(key, {}))
            for key in record.get("failed", ()):
                outcomes[key] = Outcome("failed")
        return outcomes

    def collected(self) -> bool:
        """Whether the results that depend on all units were computed after the last unit."""
        collected = False
        for record in self.records():
            if "done" in record or "reopened" in record or "failed" in record:
                collected = False
            collected = collected or bool(record.get("collected"))
        return collected
