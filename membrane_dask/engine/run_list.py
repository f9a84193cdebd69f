"""Lists of runs, of which a broken one hides no other, and the search for a run by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.engine.html import grid
from membrane_dask.engine.run import Run, RunNotFoundError
from membrane_dask.errors import nearest
from membrane_dask.plain_text import printable_line


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

    HEADER = ("run", "kind", "state", "done", "running", "failed", "left")

    def __init__(self, runs: Sequence[Run | BrokenRun]) -> None:
        self._entries = list(runs)
        self._runs = [run for run in runs if isinstance(run, Run)]

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
        """State of each run as in :meth:`Run.status`, with its ``path``.

        A run that cannot be read has the state ``broken`` and the reason in ``problem``, which otherwise is what is
        damaged in its journal, or the job of a driver that never started.
        """
        return [_status_of(run) for run in self._entries]

    def rows(self, statuses: Sequence[Mapping[str, Any]] | None = None) -> list[list[str]]:
        """One row of text for each run, in the order of ``HEADER``."""
        statuses = self.statuses() if statuses is None else statuses
        return [
            [printable_line("-" if status[name] is None else status[name]) for name in self.HEADER]
            for status in statuses
        ]

    def __repr__(self) -> str:
        return "\n".join(["  ".join(self.HEADER), *("  ".join(row) for row in self.rows())])

    def _repr_html_(self) -> str:
        number = len(self._entries)
        return grid(f"{number} run{'s' * (number != 1)}", self.HEADER, self.rows())


def _status_of(run: Run | BrokenRun) -> dict[str, Any]:
    if isinstance(run, Run):
        try:
            journal = run.journal.summary()
            status = run._status(journal)
            problem = f"journal is {journal.damage}" if journal.damage else ""
            if not problem and status["state"] in ("empty", "partial"):
                problem = run.lost_driver()
            return {**status, "path": str(run.path), "problem": problem, "software": run.software_notes()}
        except Exception as error:  # whatever is wrong with one run, the others are reported
            run = broken_run(run.path, error)
    numbers = dict.fromkeys(("done", "running", "failed", "left"))
    return {"run": run.path.resolve().name, "kind": None, "state": "broken", **numbers,
            "path": str(run.path), "problem": run.reason}  # fmt: skip


def broken_run(path: Path, error: Exception) -> BrokenRun:
    """A run that cannot be read, and why."""
    return BrokenRun(path, str(error) if str(error) else type(error).__name__)


def _open(path: Path) -> Run | BrokenRun:
    try:
        return Run(path)
    except Exception as error:  # whatever is wrong with one run, the others are reported
        return broken_run(path, error)


def _run_folders(folder: Path) -> list[Path]:
    """Directories of all runs in a directory, the oldest first."""
    ages = {}
    for path in folder.glob("*/run.json"):
        try:
            ages[path.parent] = path.stat().st_mtime
        except OSError:  # removed in between
            continue
    return sorted(ages, key=lambda path: (ages[path], path.name))


def find_runs(folder: Path) -> RunList:
    """All runs in a directory, oldest first."""
    return RunList([_open(path) for path in _run_folders(folder)])


def find_run(text: str | Path, folder: Path = Path("runs")) -> Run:
    """The run at a path, or with that name in ``folder``.

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
        return Run(path)
    names = [path.name for path in _run_folders(folder)]
    requested = path.name if path.parent == folder else str(text)
    study_name = re.compile(rf"{re.escape(requested)}-[0-9a-f]{{8}}")  # the name of a run adds a digest
    matching = (
        [name for name in names if name == requested]
        or [name for name in names if study_name.fullmatch(name)]
        or [name for name in names if name.startswith(requested)]
    )
    if len(matching) == 1:
        return Run(folder / matching[0])
    if matching:
        raise RunNotFoundError(f"{text!s} fits several runs: {', '.join(matching)}")
    raise RunNotFoundError(f"no run {text!s}; {nearest(str(text), names)} (list them with: membrane-dask list)")
