"""Lists of runs, of which a broken one hides no other, and the search for a run by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.engine.differing_settings import differing_settings, setting_texts
from membrane_dask.engine.plan import as_seconds, as_seconds_range
from membrane_dask.engine.run import Run, RunNotFoundError
from membrane_dask.engine.run_status import date_text, reader_problem, total_units, unit_status, usage
from membrane_dask.errors import nearest
from membrane_dask.files import is_url
from membrane_dask.notebook_html import grid
from membrane_dask.plain_text import printable_line

#: File that names the contents of an exported run.
EXPORT_INDEX = "exported-run.json"


@dataclass(frozen=True)
class BrokenRun:
    """A run directory that cannot be read.

    Parameters
    ----------
    path : Path
        The directory.
    reason : str
        What is wrong, and what can be done.
    """

    path: Path
    reason: str


class RunList(Sequence[Run]):
    """Runs, printed as a table.

    Runs that cannot be read are in :attr:`broken`; the table has a row for each, and hides no other because of it.

    Parameters
    ----------
    runs : sequence of Run or BrokenRun
        In the order of the table.
    """

    HEADER = (
        "run", "kind", "state", "units", "%", "remaining", "started", "wall time", "CPU time", "host", "parameters",
    )  # fmt: skip

    def __init__(self, runs: Sequence[Run | BrokenRun]) -> None:
        self._entries = list(runs)
        self._runs = [run for run in runs if isinstance(run, Run)]

    @property
    def entries(self) -> list[Run | BrokenRun]:
        """All runs, those included that cannot be read."""
        return list(self._entries)

    @property
    def broken(self) -> list[BrokenRun]:
        """Runs that cannot be read."""
        return [run for run in self._entries if isinstance(run, BrokenRun)]

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, index: Any) -> Any:
        return self._runs[index]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def statuses(self) -> list[dict[str, Any]]:
        """State of each run as in :meth:`Run.status`, with its :meth:`Run.usage` and further entries.

        ``path`` is absolute; ``failed_keys`` are the keys of the units that failed; ``parameters`` are the settings in
        which the run differs from the other runs of its kind in the list. A run that cannot be read has the state
        ``broken`` and the reason in ``problem``, which otherwise is what is damaged in its journal, or the job of a
        driver that never started.
        """
        statuses = [_status_of(run) for run in self._entries]
        for number, parameters in self._differing_settings().items():
            statuses[number]["parameters"] = parameters
        return statuses

    def _differing_settings(self) -> dict[int, dict[str, Any]]:
        """Settings in which runs differ from the others of their kind, by position in the list."""
        positions: dict[str, list[int]] = {}
        for number, run in enumerate(self._entries):
            if isinstance(run, Run):
                positions.setdefault(run.kind, []).append(number)
        differences: dict[int, dict[str, Any]] = {}
        for numbers in positions.values():
            if len(numbers) > 1:
                settings = {number: _settings_of(self._entries[number]) for number in numbers}
                recorded = {number: content for number, content in settings.items() if content}
                differences.update(zip(recorded, differing_settings(list(recorded.values())), strict=True))
        return differences

    def rows(self, statuses: Sequence[Mapping[str, Any]] | None = None) -> list[list[str]]:
        """One row of text for each run, in the order of ``HEADER``."""
        statuses = self.statuses() if statuses is None else statuses
        parameters = _parameter_texts(statuses)
        rows = [[*map(printable_line, _cells(status)), text] for status, text in zip(statuses, parameters, strict=True)]
        names = Counter(row[0] for row in rows)
        for row, entry in zip(rows, self._entries, strict=True):
            if names[row[0]] > 1:  # of several folders
                row[0] = printable_line(entry.path)
        return rows

    def table(self, statuses: Sequence[Mapping[str, Any]] | None = None) -> tuple[tuple[str, ...], list[list[str]]]:
        """Header and rows without the columns that say nothing of any run."""
        rows = self.rows(statuses)
        shown = [k for k, name in enumerate(self.HEADER) if name == "run" or any(row[k] != "-" for row in rows)]
        return tuple(self.HEADER[k] for k in shown), [[row[k] for k in shown] for row in rows]

    def __repr__(self) -> str:
        header, rows = self.table()
        return "\n".join("  ".join(row) for row in (header, *rows))

    def _repr_html_(self) -> str:
        number = len(self._entries)
        return grid(f"{number} run{'s' * (number != 1)}", *self.table())


def _status_of(run: Run | BrokenRun) -> dict[str, Any]:
    if isinstance(run, Run):
        try:
            journal = run.journal.summary()
            status = unit_status(run, journal)
            problem = f"journal is {journal.damage}" if journal.damage else ""
            if not problem and status["state"] in ("empty", "partial"):
                problem = run.lost_driver()
            problem = problem or reader_problem(run)
            return {
                **status, **usage(run, journal, status), "parameters": {}, "path": str(run.path.absolute()),
                "failed_keys": list(journal.failed), "problem": problem,
                "software": run.software_notes(),
            }  # fmt: skip
        except Exception as error:  # whatever is wrong with one run, the others are reported
            run = broken_run(run.path, error)
    names = ("done", "running", "failed", "left", "percent", "started", "wall_seconds", "cpu_seconds",
             "remaining_seconds", "host")  # fmt: skip
    return {"run": run.path.resolve().name, "kind": None, "state": "broken", **dict.fromkeys(names),
            "parameters": {}, "path": str(run.path.absolute()), "failed_keys": [], "problem": run.reason}  # fmt: skip


def _settings_of(run: Run | BrokenRun) -> dict[str, Any]:
    """Recorded settings that decide the result of a run; empty for a run of an earlier version, which has no record.

    They follow from its study and its inputs too, but the digests of those take too long for every look at a list.
    """
    return (run.recorded_settings or {}) if isinstance(run, Run) else {}


def _cells(status: Mapping[str, Any]) -> Iterator[str]:
    """Text of all columns but the last."""
    yield from (status["run"], status["kind"] or "-", status["state"])
    if status["done"] is None:
        yield from "-" * 7
        return
    failed = f", {status['failed']} failed" if status["failed"] else ""
    yield f"{status['done']} of {total_units(status)}{failed}"
    yield str(status["percent"])
    remaining = status["remaining_seconds"]
    yield as_seconds_range(*remaining) if remaining else "-"
    yield date_text(status["started"])
    yield _duration(status["wall_seconds"])
    yield _duration(status["cpu_seconds"])
    yield status["host"] or "-"


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else as_seconds(seconds)


def _parameter_texts(statuses: Sequence[Mapping[str, Any]]) -> list[str]:
    """Differing settings of each run as ``name=value``; ``-`` where there are none."""
    texts: list[list[str]] = [[] for _ in statuses]
    names = dict.fromkeys((status["kind"], name) for status in statuses for name in status["parameters"])
    for kind, name in names:
        numbers = [k for k, s in enumerate(statuses) if s["kind"] == kind and name in s["parameters"]]
        values = setting_texts([statuses[k]["parameters"][name] for k in numbers])
        for number, text in zip(numbers, values, strict=True):
            texts[number].append(f"{printable_line(name)}={text}")
    return [", ".join(items) or "-" for items in texts]


def broken_run(path: Path, error: Exception) -> BrokenRun:
    """A run that cannot be read, and why."""
    return BrokenRun(path, str(error) if str(error) else type(error).__name__)


def _open(path: Path) -> Run | BrokenRun:
    try:
        return Run(path)
    except Exception as error:  # whatever is wrong with one run, the others are reported
        return broken_run(path, error)


def _run_folders(folder: Path) -> list[Path]:
    """Directories of all runs in a directory, the oldest first; not those that are being removed, with a '.' first."""
    ages = {}
    for path in folder.glob("[!.]*/run.json"):
        try:
            ages[path.parent] = path.stat().st_mtime
        except OSError:  # removed in between
            continue
    return sorted(ages, key=lambda path: (ages[path], path.name))


def find_runs(folder: Path) -> RunList:
    """All runs in a directory, oldest first."""
    return RunList([_open(path) for path in _run_folders(folder)])


def open_runs(names: Sequence[str | Path]) -> RunList:
    """Runs by directory or name; those that cannot be read are in ``RunList.broken``.

    Raises
    ------
    RunNotFoundError
        If there is none of one name.
    """
    return RunList([_open(find_run_path(name)) for name in names])


def is_exported_run(location: str | Path) -> bool:
    """Whether a location is that of an exported run: a URL, a ZIP file or a folder with an index."""
    path = Path(location)
    return is_url(location) or (path.suffix == ".zip" and not path.is_dir()) or (path / EXPORT_INDEX).is_file()


def find_run(text: str | Path, folder: Path = Path("runs")) -> Run:
    """The run at a path, or with that name in ``folder``; see :func:`find_run_path`."""
    return Run(find_run_path(text, folder))


def find_run_path(text: str | Path, folder: Path = Path("runs")) -> Path:
    """Directory of the run at a path, or with that name in ``folder``.

    Parameters
    ----------
    text : str or Path
        Directory of a run, its name, the name of its study, or the start of its name if only one run has it.
    folder : Path
        Directory that holds runs.

    Raises
    ------
    RunNotFoundError
        If there is none, or more than one.
    """
    path = Path(text)
    if (path / "run.json").is_file():
        return path
    if is_exported_run(text):
        raise RunNotFoundError(
            f"{text!s} is an exported run, of which there are its state (membrane-dask status), its report "
            f"(membrane-dask report), differences (membrane-dask compare) and, in Python, "
            f"membrane_dask.open_run({str(text)!r}); this command needs the run itself"
        )
    names = [path.name for path in _run_folders(folder)]
    requested = path.name if path.parent == folder else str(text)
    study_name = re.compile(rf"{re.escape(requested)}-[0-9a-f]{{8}}")  # the name of a run adds a digest
    matching = (
        [name for name in names if name == requested]
        or [name for name in names if study_name.fullmatch(name)]
        or [name for name in names if name.startswith(requested)]
    )
    if len(matching) == 1:
        return folder / matching[0]
    if matching:
        raise RunNotFoundError(f"{text!s} fits several runs: {', '.join(matching)}")
    raise RunNotFoundError(f"no run {text!s}; {nearest(str(text), names)} (list them with: membrane-dask list)")


def find_whole_name(text: str | Path, folder: Path = Path("runs")) -> Path:
    """Directory of the run at a path, or with exactly that name in ``folder``, for what cannot be undone.

    Raises
    ------
    RunNotFoundError
        If there is none.
    """
    if (Path(text) / "run.json").is_file():
        return Path(text)
    names = [path.name for path in _run_folders(folder)]
    if str(text) in names:
        return folder / text
    raise RunNotFoundError(
        f"no run {text!s}; {nearest(str(text), names)}; a path or a whole name is needed (list them with: "
        "membrane-dask list)"
    )
