"""Journal of a run: an append-only record of its finished and failed units.

The journal alone decides which units are finished. Each driver appends to a file of its own, one line per
batch, after the values of the batch are on disk; a run resumes with the planned units that the journal does
not list. The units of a line that is truncated or damaged are computed again.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from membrane_dask.engine.records import JournalRecord, journal_line, parse_journal_line
from membrane_dask.files import disk_errors, now, sync_descriptor, sync_folder
from membrane_dask.program import Outcome, task_stem

#: Longest line that is read, in bytes.
MAX_LINE = 16_000_000
#: Most units in a line: each has some hundred bytes, or a few thousand where its key is long.
UNITS_PER_LINE = 1000
#: Damaged lines that are described; further ones are counted.
MAX_DESCRIBED = 5
_DONE, _FAILED, _REOPENED = 1, 2, 3


@dataclass(frozen=True)
class JournalSummary:
    """What a journal says in numbers.

    Parameters
    ----------
    done : int
        Units that are finished.
    failed : tuple of str
        Keys of the units that failed, sorted.
    collected : bool
        Whether the results that depend on all units were computed after the last unit.
    cpu_seconds : float, optional
        CPU time of all units, in seconds: with those that were computed again, without those that were imported from
        earlier runs. None if some of the units are from an earlier version, which did not measure it.
    tasks : mapping of str to (int, float)
        Number and time of the finished units, in seconds, by task without its number.
    imported : mapping of str to int
        Number of units that were imported from earlier runs, likewise by task; their times do not count.
    times : tuple of str
        Time of the last record of each driver.
    damage : str
        The damaged lines, in words; empty if there is none.
    """

    done: int
    failed: tuple[str, ...]
    collected: bool
    cpu_seconds: float | None
    tasks: Mapping[str, tuple[int, float]]
    imported: Mapping[str, int]
    times: tuple[str, ...]
    damage: str


class Damage:
    """Damaged lines of a journal: receives the description of each, and is all of them in words, or an empty text."""

    def __init__(self) -> None:
        self._number = 0
        self._first: list[str] = []

    def __call__(self, description: str) -> None:
        """Add a line."""
        self._number += 1
        if self._number <= MAX_DESCRIBED:
            self._first.append(description)

    def __str__(self) -> str:
        more = f"; and {self._number - MAX_DESCRIBED} more" if self._number > MAX_DESCRIBED else ""
        return f"damaged, so that their units are computed again: {'; '.join(self._first)}{more}" if self._first else ""


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
            self._lines.append(journal_line({"time": now(), **record}))

    def reopen(self, keys: Sequence[str]) -> None:
        """Record that units are to be computed again, in lines of a bounded length."""
        self._append_keys("reopened", keys)

    def request_retry(self, keys: Sequence[str]) -> None:
        """Record that the next driver is to retry units that failed, once it has checked its software."""
        self._append_keys("retry", keys)

    def _append_keys(self, entry: str, keys: Sequence[str]) -> None:
        with self.buffered():
            for start in range(0, len(keys), UNITS_PER_LINE):
                self.append({entry: list(keys[start : start + UNITS_PER_LINE])})

    @contextlib.contextmanager
    def buffered(self) -> Iterator[Journal]:
        """Write the lines that are appended inside together at the end, with one synchronization of the disk."""
        self._depth += 1
        try:
            yield self
        finally:
            self._depth -= 1
            if self._depth == 0 and self._lines:
                self._write(self._lines)
                self._lines = []

    def _write(self, lines: list[str]) -> None:
        if self._own is None:
            # Sorts after the files of earlier drivers, also where the clock was set back since.
            earlier = [int(match[0]) for path in self._files() if (match := re.match(r"\d{1,25}(?=-)", path.name))]
            number = max([time.time_ns(), *(n + 1 for n in earlier)])
            self._own = self.folder / f"{number}-{socket.gethostname()}-{os.getpid()}.jsonl"
        with disk_errors(self._own), self._own.open("ab", buffering=0) as stream:
            end = stream.seek(0, os.SEEK_END)
            try:
                text = memoryview("".join(lines).encode())
                while text:  # a disk that is almost full takes a part
                    text = text[stream.write(text) :]
                sync_descriptor(stream.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(end)  # no half line, to which a later one would be appended
                raise
        if not end:
            sync_folder(self.folder)  # the name of the new file is on disk as well

    def _files(self) -> list[Path]:
        """Files of all drivers, that of the oldest first."""
        return sorted(self.folder.glob("*.jsonl"))

    def records(self, report: Callable[[str], None] | None = None) -> Iterator[JournalRecord]:
        """All complete and valid lines, those of the oldest driver first.

        Parameters
        ----------
        report : callable, optional
            Receives file, number and fault of each damaged line. A last line without its end is none: a driver that is
            killed leaves one, and one that works may be writing it.
        """
        for path in self._files():
            yield from _records_of(path, report)

    def history(self, report: Callable[[str], None] | None = None) -> dict[str, Outcome]:
        """Outcome of every unit that is finished or failed, by key; ``report`` as in :meth:`records`."""
        outcomes: dict[str, Outcome] = {}
        done, failed = Outcome("done"), Outcome("failed")  # one object for all units without feedback
        for record in self.records(report):
            for key in record.get("reopened", ()):
                outcomes.pop(key, None)
            feedback = record.get("feedback", {})
            for key in record.get("done", ()):
                outcomes[key] = Outcome("done", feedback[key]) if key in feedback else done
            for key in record.get("failed", ()):
                outcomes[key] = failed
        return outcomes

    def retry_requests(self) -> set[str]:
        """Units for which :meth:`request_retry` was called and which no driver has opened again since."""
        requests: set[str] = set()
        for record in self.records():
            requests.update(record.get("retry", ()))
            requests.difference_update(record.get("reopened", ()))
        return requests

    def summary(self) -> JournalSummary:
        """Numbers of units, from one pass that keeps nine bytes a unit."""
        import numpy as np

        keys, states = array("q"), array("b")  # a key by its hash: of a million, two coincide once in 10^7 journals
        failed: set[str] = set()
        collected, cpu_seconds = False, 0.0
        tasks: dict[str, tuple[int, float]] = {}
        imported: dict[str, int] = {}
        times: list[str] = []
        damage = Damage()
        for path in self._files():
            time_of_record = ""
            for record in _records_of(path, damage):
                time_of_record = record["time"]
                for name, state in (("reopened", _REOPENED), ("done", _DONE), ("failed", _FAILED)):
                    units: list[str] = record.get(name, [])  # type: ignore[assignment]
                    keys.extend(map(hash, units))
                    states.frombytes(bytes([state]) * len(units))
                    if state == _FAILED:
                        failed.update(units)
                    elif failed:
                        failed.difference_update(units)
                    collected = collected and name not in record
                task = task_stem(record.get("task", ""))
                if "imported" in record:
                    imported[task] = imported.get(task, 0) + len(record.get("done", ()))
                elif "done" in record:
                    cpu_seconds += sum(record.get("cpu_seconds", [math.nan]))
                    number, seconds = tasks.get(task, (0, 0.0))
                    tasks[task] = (number + len(record["done"]), seconds + sum(record.get("seconds", ())))
                collected = collected or bool(record.get("collected"))
            times += [time_of_record] if time_of_record else []
        order = np.argsort(np.frombuffer(keys, np.int64), kind="stable")
        sorted_keys = np.frombuffer(keys, np.int64)[order]
        is_last = np.append(sorted_keys[1:] != sorted_keys[:-1], True)[: len(order)]
        done = int((np.frombuffer(states, np.int8)[order][is_last] == _DONE).sum())
        cpu_time = None if math.isnan(cpu_seconds) else cpu_seconds
        return JournalSummary(
            done, tuple(sorted(failed)), collected, cpu_time, tasks, imported, tuple(times), str(damage)
        )

    def imported(self) -> Counter[str]:
        """Numbers of the finished units that were imported, by the identity of the run that they are from."""
        origins: dict[str, str] = {}
        for record in self.records():
            for key in (*record.get("reopened", ()), *record.get("failed", ())):
                origins.pop(key, None)
            origins |= dict.fromkeys(record.get("done", ()), record.get("imported", {}).get("identity", ""))
        return Counter(identity for identity in origins.values() if identity)

    def collected(self) -> bool:
        """Whether the results that depend on all units were computed after the last unit."""
        return self.summary().collected


def _records_of(path: Path, report: Callable[[str], None] | None) -> Iterator[JournalRecord]:
    """All complete and valid lines of one file; ``report`` as of :meth:`Journal.records`."""
    if not path.is_file():
        if report:
            report(f"journal/{path.name}: it is no file")
        return
    with path.open("rb") as stream:
        for number, line in enumerate(_lines(stream), 1):
            try:
                if line is None:
                    raise ValueError(f"it is longer than {MAX_LINE // 1_000_000} MB")
                yield parse_journal_line(line)
            except ValueError as error:
                if report and (line is None or line.endswith(b"\n")):
                    report(f"journal/{path.name}, line {number}: {error}")


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines of a file; None for one that is too long."""
    while line := stream.readline(MAX_LINE):
        if len(line) < MAX_LINE or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE)
        yield None
