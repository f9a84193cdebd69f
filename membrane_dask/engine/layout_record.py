"""Record of a run's layout: where units are stored, and digests of all files that no unit writes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from membrane_dask.digests import file_digest
from membrane_dask.engine import durability, records, store
from membrane_dask.engine.layout import (
    METADATA,
    consolidate_metadata,
    create_result,
    is_consolidated,
)
from membrane_dask.errors import Problem, StudyError, UnreadableRunError
from membrane_dask.files import sync_folder, write_json
from membrane_dask.program import Program

NAME = "layout.json"
_FOLDERS = ("result.zarr", "volumes")


@dataclass(frozen=True)
class LayoutRecord:
    """The file ``<run>/layout.json``; a run of an earlier version has none until it is resumed.

    Parameters
    ----------
    storage : mapping
        Where the units of every task are stored, as :func:`membrane_dask.engine.store.describe` writes it.
    layout : mapping of str to str
        SHA-256 of metadata, labels and input tables, by path below the run.
    collected : mapping of str to str
        SHA-256 of the files that follow from finished units: further tables, and coarser levels of volumes.
    """

    storage: Mapping[str, Mapping[str, Any]]
    layout: Mapping[str, str]
    collected: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> LayoutRecord | None:
        """The record of a run; None where there is none, or no valid one."""
        remedy = "it is made again when the run is resumed"
        try:
            content = records.read(records.LayoutRecord, root / NAME, remedy)
            if content is None:
                return None
            store.described(content["storage"], root)
        except (UnreadableRunError, KeyError):
            return None
        return cls(content["storage"], content["layout"], content["collected"])

    def write(self, root: Path) -> None:
        """Write the record of a run; it is on disk afterwards."""
        content = {"storage": self.storage, "layout": self.layout, "collected": self.collected}
        write_json(root / NAME, content)
        sync_folder(root)

    def damaged(self, root: Path, names: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
        """Files that are missing or altered, and which of both; of all of them, or of some."""
        files = {**self.layout, **self.collected}
        for name in files if names is None else names:
            path = root / name
            if not path.is_file():
                yield name, "missing"
            elif _digest(path, name) != files[name] and file_digest(path) != files[name]:
                yield name, "altered" if path.stat().st_size else "empty"


def _files(root: Path) -> dict[str, Path]:
    """All files of the results of a run, by path below it."""
    paths = (path for folder in _FOLDERS for path in (root / folder).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path for path in paths}


def _digest(path: Path, name: str) -> str:
    """SHA-256 of a file; of the metadata of the result's root without those that are repeated there.

    Consolidated metadata come and go while readers open the run, and repeat what other files of the layout hold.
    """
    if name == METADATA:
        with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):  # no JSON object: damaged
            content = json.loads(path.read_bytes())
            content.pop("consolidated_metadata", None)
            return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return file_digest(path)


def record_layout(root: Path, storage: Mapping[str, store.Sink]) -> None:
    """Record a layout that was just created and holds no values yet."""
    digests = {name: _digest(path, name) for name, path in _files(root).items()}
    LayoutRecord(store.describe(storage, root), digests).write(root)


def prepare_to_collect(root: Path) -> None:
    """Forget the intact files that follow from finished units: they are made again, maybe with other values.

    What is damaged stays recorded, so that it is made again also if this driver is lost.
    """
    if (record := LayoutRecord.read(root)) is not None and record.collected:
        damaged = {name for name, _ in record.damaged(root, record.collected)}
        replace(record, collected={name: record.collected[name] for name in damaged}).write(root)


def record_collected(root: Path, folders: Iterable[Path]) -> None:
    """Record the files that follow from finished units, which are all files of some folders."""
    record = LayoutRecord.read(root)
    if record is None:
        return
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(root).as_posix(): path for path in files}
    digests = {name: file_digest(path) for name, path in names.items() if name not in record.layout}
    replace(record, collected=digests).write(root)


def keep_consolidated(root: Path) -> None:
    """Consolidate the metadata of a complete result again, if those of its root were laid out again."""
    if is_consolidated(root):
        return
    consolidate_metadata(root)
    durability.sync_files([root / METADATA], root)


def damaged_collected(root: Path) -> list[tuple[str, str]]:
    """Files that follow from finished units and are missing, empty or altered, and which of these."""
    record = LayoutRecord.read(root)
    return list(record.damaged(root, record.collected)) if record else []


def repair_layout(root: Path, program: Program, batch: Mapping[str, int]) -> list[str]:
    """Lay out again what is missing or altered of a run's layout, and remove what interrupted writers have left.

    Parameters
    ----------
    root : Path
        Run directory.
    program : Program
        The study made ready to run.
    batch : mapping of str to int
        Units in a chunk, by table, as the result was laid out.

    Returns
    -------
    list of str
        Files that were laid out again, by path below the run.

    Raises
    ------
    StudyError
        If this version of the package lays out no such file.
    """
    for path in [path for folder in _FOLDERS for path in (root / folder).rglob("*.partial")]:
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.unlink()
    record = LayoutRecord.read(root)
    damaged = [] if record is None else [name for name, _ in record.damaged(root, record.layout)]
    if record is not None and not damaged:
        # Earlier versions recorded the digest of the whole file, which changes with the consolidated metadata.
        if record.layout.get(METADATA) not in (None, metadata := _digest(root / METADATA, METADATA)):
            replace(record, layout={**record.layout, METADATA: metadata}).write(root)
        return []
    with TemporaryDirectory(dir=root, prefix=".layout.") as folder:
        create_result(Path(folder), program, batch)
        created = _files(Path(folder))
        if record is None:  # a run of an earlier version, whose metadata may differ in details
            damaged = [name for name in created if not _is_readable(root / name)]
        unknown = [name for name in damaged if name not in created]
        if unknown:
            message = f"{root / unknown[0]} is damaged, and this version makes no such file; start anew with --fresh"
            raise StudyError([Problem((), message)])
        for name in damaged:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            created[name].replace(root / name)
    durability.sync_files([root / name for name in damaged], root)
    digests = {name: _digest(root / name, name) for name in (created if record is None else record.layout)}
    storage = store.describe(store.sinks(root, program, batch), root)
    LayoutRecord(storage, digests, record.collected if record else {}).write(root)
    return damaged


def _is_readable(path: Path) -> bool:
    """Whether a file is there and not empty, and holds JSON if it is metadata."""
    if not path.is_file() or not path.stat().st_size:
        return False
    if path.name != "zarr.json":
        return True
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False
