"""What is finished, who is working, and how it came about: journal, lock, provenance.

The journal is the truth about a run. Each driver appends to a file of its own, one line a batch,
after the batch's data are on disk; a run resumes by taking what the journal holds from what is
planned. A line torn by a crash is ignored, and its units are computed again.
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

from membrane_dask.files import now
from membrane_dask.program import Outcome


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
