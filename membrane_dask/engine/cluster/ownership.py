"""Ownership of jobs: each run has a random id, which the names of its jobs carry, and no other job is cancelled for it.

A copy of a run directory holds the same files as the original. Therefore an id belongs to a directory: ``run-ids.json``
notes for which directory, by its inode, each id was made, and a copy gets an id of its own before it submits a job.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from membrane_dask.engine.schedulers.base import BatchSystem, JobState
from membrane_dask.files import read_json, write_json

#: Largest file that is read, in bytes.
MAX_FILE_SIZE = 10_000_000
#: Entries of ``run-ids.json``: a directory that is copied again and again does not grow a long file.
MAX_IDS = 50
_RUN_ID = re.compile(r"[0-9a-f]{12}")
_JOB_ID = re.compile(r"[0-9][0-9A-Za-z_.\[\];-]{0,99}")


@dataclass(frozen=True)
class Reader:
    """A study that reads the run of another one, and is submitted when that run is complete.

    Parameters
    ----------
    study : str
        Absolute path of its file.
    folder : str
        Absolute path of the folder in which it was submitted, to which ``runs`` is relative.
    overrides : list of str
        Its ``--set`` arguments.
    out : str, optional
        Absolute path of its run directory.
    digest : str
        Of its file.
    """

    study: str
    folder: str
    overrides: list[str]
    out: str | None
    digest: str

    @classmethod
    def of(cls, entry: Any) -> Reader | None:
        """Reader of an entry of a record; None if the entry has another form."""
        if not isinstance(entry, dict) or set(entry) != {field.name for field in fields(cls)}:
            return None
        texts = [entry["study"], entry["folder"], entry["digest"], entry["out"] or ""]
        lists = entry["overrides"]
        is_valid = isinstance(lists, list) and all(isinstance(text, str) for text in (*texts, *lists))
        return cls(**entry) if is_valid else None


class JobRecord:
    """What a run notes of its jobs in ``<run>/jobs.json``, where other processes read it.

    The file may come from another user or machine: entries of a wrong type or form are dropped, and its ids alone
    never decide what is cancelled.

    Parameters
    ----------
    root : Path
        The run directory.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "jobs.json"

    def read(self) -> dict[str, Any]:
        """Valid entries; ``workers`` and ``drivers`` are lists of job ids."""
        content = _read(self._path)
        if not isinstance(content, dict):
            return {}
        entries: dict[str, Any] = {name: content[name] for name in ("profile", "workers_profile")
                                   if isinstance(content.get(name), dict)}  # fmt: skip
        for name in ("workers", "drivers"):
            if isinstance(content.get(name), list):
                job_ids = [job_id for job_id in content[name] if isinstance(job_id, str)]
                entries[name] = [job_id for job_id in job_ids if _JOB_ID.fullmatch(job_id)]
        if Reader.of(content.get("reader")) is not None:
            entries["reader"] = content["reader"]
        if isinstance(content.get("reader_problem"), str):
            entries["reader_problem"] = content["reader_problem"]
        counts = content.get("finished_at_start")
        if isinstance(counts, list):
            entries["finished_at_start"] = [count for count in counts if type(count) is int]
        return entries

    def update(self, **entries: Any) -> None:
        """Replace entries."""
        write_json(self._path, {**self.read(), **entries})


def run_id(root: Path) -> str | None:
    """Id of a run; None if it has none yet, or if its directory is a copy of the one that has."""
    for entry in reversed(_entries(root)):
        if _is_of(entry, root):
            return str(entry["id"])
    return None


def is_copy(root: Path) -> bool:
    """Whether a directory is a copy of a run that has an id, and has none itself."""
    return bool(_entries(root)) and run_id(root) is None


def claim_run_id(root: Path) -> str:
    """Id of a run, which is made if it has none; the caller holds the lock of the run."""
    entries = _entries(root)
    present = run_id(root)
    if present is None:
        present = secrets.token_hex(6)
        if entries:  # a copy: the noted jobs are those of the original
            JobRecord(root).update(workers=[], drivers=[])
    elif any(entry["id"] == present and entry["path"] == str(root.resolve()) for entry in entries):
        return present
    status = root.stat()
    entry = {"id": present, "path": str(root.resolve()), "inode": status.st_ino, "device": status.st_dev}
    write_json(root / "run-ids.json", [*entries, entry][-MAX_IDS:])
    return present


def _read(path: Path) -> Any:
    """Content of a JSON file that may hold anything; None where there is none."""
    try:
        return read_json(path) if path.is_file() and path.stat().st_size <= MAX_FILE_SIZE else None
    except (OSError, ValueError, RecursionError):
        return None


def _entries(root: Path) -> list[dict[str, Any]]:
    content = _read(root / "run-ids.json")
    return [entry for entry in content if _is_valid(entry)] if isinstance(content, list) else []


def _is_valid(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("id"), str)
        and _RUN_ID.fullmatch(entry["id"]) is not None
        and isinstance(entry.get("path"), str)
        and all(type(entry.get(name)) is int for name in ("inode", "device"))
    )


def _is_of(entry: dict[str, Any], root: Path) -> bool:
    """Whether an id was made for this directory: here, before it was moved, or as another host names the path."""
    status = root.stat()
    if entry["inode"] != status.st_ino:
        return False
    if entry["device"] == status.st_dev:
        return True  # at its path, or moved; a copy has another inode
    try:  # hosts number the devices of network file systems differently
        return os.path.samefile(entry["path"], root)
    except (OSError, ValueError):
        return False


# -- names of jobs ----------------------------------------------------------------------------


def worker_job_name(run: str, driver: str, number: int | str) -> str:
    """Name of a worker job: of a run, a driver and a number that no other job of this driver has."""
    return f"worker-{run}-{driver}-{number}"


def driver_job_name(root: Path, run: str) -> str:
    """Name of one driver job, in characters that all batch systems accept."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", root.resolve().name)[:30]
    return f"md-{name}-{run}-{secrets.token_hex(3)}"


def queued_jobs(system: BatchSystem, run: str, *, workers: bool = True, drivers: bool = True) -> dict[str, JobState]:
    """State of each job in the queue, by id, whose name carries the id of a run.

    Parameters
    ----------
    system : BatchSystem
        Batch system that is asked.
    run : str
        Id of the run.
    workers, drivers : bool
        Which jobs.

    Raises
    ------
    SchedulerUnavailableError
        If the batch system does not answer.
    """
    forms = [rf"worker-{run}-[0-9a-f]+-[0-9]+"] * workers + [rf"md-[A-Za-z0-9_-]*-{run}-[0-9a-f]+"] * drivers
    pattern = re.compile("|".join(forms))
    own = [job_id for job_id, name in system.find_jobs(f"-{run}-").items() if pattern.fullmatch(name)]
    return {job_id: state for job_id, state in system.job_states(own).items() if state.state != "ended"}
