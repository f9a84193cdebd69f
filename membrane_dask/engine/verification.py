"""Verification of a run: whether all that its journal and its layout promise is on disk as it was written."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from membrane_dask.engine.journal import Journal
from membrane_dask.engine.layout_record import LayoutRecord
from membrane_dask.engine.store import ScratchSink, Sink, TableSink, described, unit_digests
from membrane_dask.program import Unit

#: Units of a table that are read at a time.
_UNITS_READ = 1000
#: Chunks whose files are looked for at a time: on a network file system each waits for a server.
_CONCURRENT = 16

#: Faults that a message names.
_SHOWN = 5

Chunk = tuple[int, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """Something that is not on disk as it was written.

    Parameters
    ----------
    path : str
        The file, or the table or image, below the run.
    problem : str
        ``missing``, ``empty``, ``altered`` or ``cannot be decoded``.
    units : tuple of str
        Units whose values it held.
    """

    path: str
    problem: str
    units: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" + (f" ({self.count})" if self.units else "")

    @property
    def count(self) -> str:
        """The first unit, and the number of the others."""
        more = f" and {len(self.units) - 1} more" if self.units[1:] else ""
        return f"{self.units[0]}{more}" if self.units else ""


def summary(faults: Sequence[Fault], root: Path) -> str:
    """Message that names what is missing or altered, and the command that computes it again."""
    lines = [f"  {fault}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"  and {len(faults) - _SHOWN} more; list them with: membrane-dask verify {root}")
    command = f"membrane-dask run {root / 'study.yaml'} --out {root}"
    return "\n".join(
        [f"files of {root} are missing or altered:", *lines, f"what is lost is computed again by: {command}"]
    )


@dataclass(frozen=True, slots=True)
class Written:
    """What the journal holds of a finished unit; task and index are None in lines of earlier versions."""

    sha256: str
    task: str | None
    index: tuple[int, ...] | None


_NOTHING = Written("", None, None)


def written_units(journal: Journal) -> dict[str, Written]:
    """The finished units of a journal, by key."""
    written: dict[str, Written] = {}
    for record in journal.records():
        for key in (*record.get("reopened", ()), *record.get("failed", ())):
            written.pop(key, None)
        done = record.get("done", ())
        digests, indices = record.get("sha256", ()), record.get("index", ())
        for key, sha, index in itertools.zip_longest(done, digests[: len(done)], indices[: len(done)]):
            task = record.get("task") if index is not None else None
            written[key] = Written(sha or "", task, None if index is None else tuple(index))
    return written


def verify_units(
    sinks: Mapping[str, Sink],
    units: Iterable[Unit],
    written: Mapping[str, Written],
    root: Path,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Fault]:
    """Compare the values of finished units with the digests in the journal, in several threads.

    Parameters
    ----------
    sinks : mapping of str to Sink
        Storage of the units of every task.
    units : iterable of Unit
        Finished units.
    written : mapping of str to Written
        What the journal holds of them. All chunks of a unit with an index must be there; before, chunks of nothing but
        fill values were not written.
    root : Path
        Run directory.
    progress : callable
        Receives the number of units that were compared since the last call.
    """

    def verify(job: tuple[Sink, dict[Chunk, list[Unit]]]) -> tuple[int, list[Fault]]:
        sink, chunks = job
        faults: list[Fault] = []
        present: list[Unit] = []
        for chunk, members in chunks.items():
            promised = any(written.get(unit.key, _NOTHING).index is not None for unit in members)
            absent = _absent(sink, chunk) if promised else None
            if absent:
                faults.append(_fault(root, *absent, [unit.key for unit in members]))
            else:
                present += members
        altered: dict[Chunk, list[Unit]] = {}
        for unit, sha in unit_digests(sink, present):
            if sha != written.get(unit.key, _NOTHING).sha256:
                altered.setdefault(sink.chunk(unit), []).append(unit)
        faults += [
            _fault(root, *sink.locate_fault(members[0]), [unit.key for unit in members]) for members in altered.values()
        ]
        return sum(map(len, chunks.values())), faults

    faults: list[Fault] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for count, faults_of_job in pool.map(verify, _jobs(sinks, units)):
            faults += faults_of_job
            progress(count)
    return faults


def _jobs(sinks: Mapping[str, Sink], units: Iterable[Unit]) -> Iterator[tuple[Sink, dict[Chunk, list[Unit]]]]:
    """Units by task and chunk, in jobs of one image slab, one scratch file or many units of a table."""
    tasks: dict[str, dict[Chunk, list[Unit]]] = {}
    for unit in units:
        tasks.setdefault(unit.task, {}).setdefault(sinks[unit.task].chunk(unit), []).append(unit)
    for task, chunks in tasks.items():
        chunks_per_job = 1
        if isinstance(sinks[task], TableSink):
            chunks_per_job = max(1, _UNITS_READ * len(chunks) // sum(map(len, chunks.values())))
        for names in _groups(sorted(chunks), chunks_per_job):
            yield sinks[task], {name: chunks[name] for name in names}


def verify_run(
    root: Path,
    journal: Journal,
    program: Callable[[], tuple[Mapping[str, Sink], Iterable[Unit]]] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Fault]:
    """Compare all files and values of a run with the digests that were recorded when they were written.

    Parameters
    ----------
    root : Path
        Run directory.
    journal : Journal
        Its journal.
    program : callable, optional
        Returns storage and units of the run, which records of earlier versions lack; without it, their values are not
        compared.
    progress : callable
        Receives the numbers of compared units and of all.
    """
    record, written = LayoutRecord.read(root), written_units(journal)
    faults = [Fault(name, problem) for name, problem in record.damaged(root)] if record else []
    sinks: Mapping[str, Sink] = described(record.storage, root) if record else {}
    units = [
        Unit(key, unit.task, unit.index, {}, ())
        for key, unit in written.items()
        if unit.task is not None and unit.task in sinks and unit.index is not None
    ]
    if len(units) < len(written) and program is not None:
        sinks, program_units = program()
        units = [unit for unit in program_units if unit.key in written]
    unreadable = {fault.path for fault in faults if fault.path.endswith("zarr.json")}
    removed = journal.collected() and not any(o.status == "failed" for o in journal.history().values())
    skipped = {
        task
        for task, sink in sinks.items()
        if (sink.temporary and removed) or any(_contains(path, sink, root) for path in unreadable)
    }
    units = [unit for unit in units if unit.task not in skipped]
    verified = 0

    def count(number: int) -> None:
        nonlocal verified
        verified += number
        progress(verified, len(units))

    return faults + verify_units(sinks, units, written, root, count)


def opening_faults(root: Path, journal: Journal, component: str) -> list[Fault]:
    """Files that are missing or empty in a component of the results; of its metadata and labels also altered ones.

    Fast enough for every opening of a run: chunks are not read. A chunk that is there and cannot be decoded raises an
    error where it is read; :func:`verify_units` finds one with other values.

    Parameters
    ----------
    root : Path
        Run directory.
    journal : Journal
        Its journal.
    component : str
        ``result.zarr`` or the path of a volume below the run.
    """
    record = LayoutRecord.read(root)
    if record is None:  # a run of an earlier version, which did not write chunks of nothing but fill values
        return []
    files = [name for name in (*record.layout, *record.collected) if name.startswith(f"{component}/")]
    faults = [Fault(name, problem) for name, problem in record.damaged(root, files)]
    if faults:
        return faults
    sinks = {
        task: sink
        for task, sink in described(record.storage, root).items()
        if not isinstance(sink, ScratchSink) and sink.path.startswith(f"{root}/{component}/")
    }
    chunks: dict[tuple[str, Chunk], list[str]] = {}
    for key, unit in written_units(journal).items():
        if unit.task in sinks and unit.index is not None:
            chunk = sinks[unit.task].chunk(Unit(key, unit.task, unit.index, {}, ()))
            chunks.setdefault((unit.task, chunk), []).append(key)

    def absent(group: Sequence[tuple[str, Chunk]]) -> list[Fault]:
        candidates = ((_absent(sinks[task], chunk), chunks[task, chunk]) for task, chunk in group)
        return [_fault(root, *fault, keys) for fault, keys in candidates if fault]

    with ThreadPoolExecutor(_CONCURRENT) as pool:
        return list(itertools.chain.from_iterable(pool.map(absent, _groups(list(chunks), 64))))


def _contains(name: str, sink: Sink, root: Path) -> bool:
    """Whether a file of the layout is needed to read the units of a task."""
    if isinstance(sink, ScratchSink):
        return False
    folder = Path(sink.path).relative_to(root)
    return Path(name).is_relative_to(folder) or folder.is_relative_to(Path(name).parent)


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _absent(sink: Sink, chunk: Chunk) -> tuple[str, str] | None:
    """First file of a chunk that is missing or empty, and which of both."""
    for path in sink.chunk_files(chunk):
        try:
            if not os.stat(path).st_size:
                return path, "empty"
        except (FileNotFoundError, NotADirectoryError):
            return path, "missing"
    return None


def _fault(root: Path, path: str, problem: str, units: Iterable[str]) -> Fault:
    return Fault(Path(path).relative_to(root).as_posix(), problem, tuple(units))
