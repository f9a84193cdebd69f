"""Provenance of a run: versions, machine, inputs, accepted software, and every start and stop of a driver."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from membrane_dask.engine import records
from membrane_dask.errors import UnreadableRunError
from membrane_dask.files import now, write_json
from membrane_dask.program import Costs

#: Packages whose versions are recorded.
_PACKAGES = (
    "numpy", "scipy", "numba", "xarray", "zarr", "dask", "distributed", "scikit-image",
)  # fmt: skip


class Provenance:
    """The file ``<run>/provenance.json``.

    Parameters
    ----------
    root : Path
        The run directory.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "provenance.json"

    def read(self) -> dict[str, Any]:
        """All entries.

        Raises
        ------
        UnreadableRunError
            If the file is damaged.
        """
        remedy = "the results are not affected; the next start of the run puts this file aside and begins a new one"
        return dict(records.read(records.ProvenanceRecord, self._path, remedy) or {})

    def put_aside_if_damaged(self) -> str:
        """Rename a damaged file, so that a new one is begun; returns a message, empty if there is no damage."""
        try:
            self.read()
        except UnreadableRunError as error:
            aside = self._path.with_name(f"provenance.damaged-{time.time_ns()}.json")
            self._path.rename(aside)
            return f"{str(error).split(';')[0]}; it was renamed to {aside.name} and a new one is begun"
        return ""

    def create(self, **entries: Any) -> None:
        """Write the entries that hold for the whole run."""
        write_json(self._path, {"created": now(), **entries, "starts": [], "stops": []})

    def software(self) -> list[dict[str, Any]]:
        """Records of the software that gives the numbers of the run: that of its beginning, then what was accepted.

        Runs of earlier versions have none; a record that is damaged is left out.
        """
        records = self.read().get("software")
        return [record for record in records if _is_software(record)] if isinstance(records, list) else []

    def accept(self, software: Mapping[str, Any], **entries: Any) -> dict[str, Any]:
        """Add the software that gives the numbers of the run; returns its record."""
        record = software_record(software, **entries)
        write_json(self._path, {**self.read(), "software": [*self.software(), record]})
        return record

    def workers(self) -> list[dict[str, Any]]:
        """Workers with other versions than their driver: host, versions, and what they have computed."""
        workers = self.read().get("workers")
        return [row for row in workers if _is_worker(row)] if isinstance(workers, list) else []

    def record_workers(self, workers: list[dict[str, Any]]) -> None:
        """Replace the table of workers with other versions than their driver."""
        write_json(self._path, {**self.read(), "workers": workers})

    def imports(self) -> list[dict[str, Any]]:
        """Earlier runs from which units are imported: directory, identity and number of units; none if damaged."""
        try:
            return list(self.read().get("imports", []))
        except UnreadableRunError:
            return []

    def record_imports(self, imports: list[dict[str, Any]]) -> None:
        """Replace the list of earlier runs from which units are imported."""
        write_json(self._path, {**self.read(), "imports": imports})

    def record_costs(self, costs: Costs) -> None:
        """Store the predicted cost of a run, for its later drivers."""
        write_json(self._path, {**self.read(), "costs": asdict(costs)})

    def costs(self) -> Costs | None:
        """Predicted cost of the run; None if it was not measured or its record is damaged."""
        try:
            record = self.read()["costs"]
            work, cpu_work = (
                {str(task): float(value) for task, value in record.get(name, record["work"]).items()}
                for name in ("work", "cpu_work")
            )
            return Costs(work, float(record["longest"]), cpu_work)
        except (UnreadableRunError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def started(self, **entries: Any) -> None:
        """Add the start of a driver."""
        self._append("starts", {"time": now(), **describe_process(), **entries})

    def stopped(self, **entries: Any) -> None:
        """Add the stop of a driver."""
        self._append("stops", {"time": now(), **entries})

    def _append(self, name: str, entry: dict[str, Any]) -> None:
        entries = self.read()
        entries.setdefault(name, []).append(entry)
        write_json(self._path, entries)


class WorkerTable:
    """Counts what workers with other versions than their driver compute; stored when there is a new one.

    Parameters
    ----------
    provenance : Provenance
        Of the run.
    """

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        self._rows = provenance.workers()

    def add(self, worker: str, versions: Mapping[str, str], units: int) -> None:
        """Add a batch of a worker, given by host and process."""
        host = worker.rpartition("-")[0]
        row = next((row for row in self._rows if (row["host"], row["versions"]) == (host, versions)), None)
        if row is None:
            row = {"host": host, "versions": dict(versions), "batches": 0, "units": 0}
            self._rows.append(row)
            self._provenance.record_workers(self._rows)
        row["batches"] += 1
        row["units"] += units

    def save(self) -> None:
        """Store the present counts."""
        if self._rows:
            self._provenance.record_workers(self._rows)


def source_run_digests(sources: Mapping[str, Path]) -> dict[str, list[str]]:
    """Digests of the software of the runs that a study reads from, by field."""
    return {
        name: [str(record["sources"]) for record in Provenance(path).software()]
        for name, path in sources.items()
        if (path / "run.json").is_file()
    }


def software_record(software: Mapping[str, Any], **entries: Any) -> dict[str, Any]:
    """Record of accepted software, with the packages that its sources belong to."""
    packages: dict[str, Any] = {}
    for name in dict.fromkeys(module.partition(".")[0] for module in software["modules"]):
        module = sys.modules.get(name)
        packages[name] = {"version": _version(name, module), "git_commit": _git_commit(module)}
    return {"time": now(), "packages": packages, **software, **entries}


def _is_software(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and all(_is_name(record.get(name)) for name in ("sources", "statements"))
        and _maps(record.get("versions"), _is_name)
        and _maps(record.get("modules"), lambda pair: isinstance(pair, list) and len(pair) == 2 and _are_names(pair))
        and _maps(record.get("source_runs", {}), _are_names)
        and _maps(record.get("packages", {}), lambda package: _maps(package, lambda v: v is None or _is_name(v)))
        and all(isinstance(record.get(name, []), list) for name in ("checked", "unchecked"))
    )


def _is_worker(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and _is_name(row.get("host"))
        and _maps(row.get("versions"), _is_name)
        and all(isinstance(row.get(name), int) for name in ("batches", "units"))
    )


def _maps(value: Any, valid: Callable[[Any], bool]) -> bool:
    """Whether a value maps words to valid values."""
    return isinstance(value, dict) and all(_is_name(name) and valid(item) for name, item in value.items())


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _is_name(value: Any) -> bool:
    """Whether a value is a name, a version or a digest, which messages put into commands."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9.+!_-]{0,199}", value) is not None


def describe_process() -> dict[str, Any]:
    """Host, platform, command and package versions of this process."""
    from membrane_dask import __version__

    versions = {"membrane-dask": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "platform": platform.platform(),
        "command": sys.argv,
        "versions": versions,
        "git_commit": _git_commit(sys.modules["membrane_dask"]),
    }


def _version(name: str, module: Any) -> str | None:
    """Version of a package: its own statement, or that of its distribution; None if there is none."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return str(getattr(module, "__version__", None) or metadata.version(name))
    return None


def _git_commit(module: Any) -> str | None:
    """Commit of the git checkout from which a package runs; None if it is installed otherwise."""
    file = getattr(module, "__file__", None)
    folder = Path(file).resolve().parent if file else None
    while folder is not None and (folder / "__init__.py").exists():
        folder = folder.parent
    if folder is None or not any((parent / ".git").exists() for parent in (folder, folder.parent)):
        return None
    try:
        process = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip() or None
