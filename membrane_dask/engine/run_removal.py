"""Removal and renaming of runs that no driver works on and that no other run reads."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from membrane_dask.engine.cluster.driver_series import require_no_queued_driver
from membrane_dask.engine.lock import DriverLock
from membrane_dask.errors import Problem, StudyError, reason
from membrane_dask.files import DiskError, disk_errors, sync_folder
from membrane_dask.yaml_files import read_mapping


def readers(path: Path, *folders: Path) -> list[Path]:
    """Runs that read a run as a source.

    Parameters
    ----------
    path : Path
        Directory of the run.
    folders : Path
        Folders whose runs are looked at; the folder of the run is one of them.
    """
    target = path.resolve()
    files = (file for folder in (target.parent, *folders) for file in folder.glob("[!.]*/run.json"))
    runs = {file.parent.resolve() for file in files}
    return [run for run in sorted(runs - {target}) if _names(run, target)]


def _names(run: Path, target: Path) -> bool:
    """Whether the study of a run names a directory, or something in it."""
    try:
        settings = read_mapping(run / "study.yaml")[0]
    except (StudyError, OSError):  # it cannot be resumed either
        return False
    paths = ((run / text) for text in _texts(settings) if "/" in text)
    return any(path == target or target in path.parents for path in paths)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def require_removable(paths: Sequence[Path], *folders: Path) -> None:
    """Refuse to remove or rename runs that are at work, queued, or read by runs that stay.

    Raises
    ------
    RunBusyError
        If a driver works on one of them.
    DiskError
        If their disk is read-only or broken.
    StudyError
        If another run reads one of them; with its name.
    """
    removed = {path.resolve() for path in paths}
    problems = []
    for path in paths:
        with disk_errors(path), DriverLock(path):
            require_no_queued_driver(path)
        staying = [other for other in readers(path, *folders) if other not in removed]
        if staying:
            names = ", ".join(str(other) for other in staying)
            message = f"{path} is read by {names}, which could not be resumed or replayed without it"
            problems.append(Problem((), message))
    if problems:
        raise StudyError(problems)


def remove_run(path: Path) -> None:
    """Remove the directory of a run, that :func:`require_removable` does not refuse.

    Raises
    ------
    RunBusyError
        If a driver works on it.
    DiskError
        If the disk is read-only or broken, or a part could not be removed; with where it is.
    """
    path = with_last_name(path)
    with disk_errors(path):
        if path.is_symlink():
            path.unlink()
            return
        with DriverLock(path) as driver:
            require_no_queued_driver(path)
            driver.root = path.with_name(f".{path.name}.removed-{time.time_ns()}")  # it is gone for readers at once
            path.rename(driver.root)
        try:
            shutil.rmtree(driver.root)
        except OSError as error:
            message = f"{path} is no run any more, but a part could not be removed: {reason(error)}; remove the rest: "
            raise DiskError(error.errno, f"{message}{driver.root}") from error


def with_last_name(path: Path) -> Path:
    """The path of a directory as one that ends with its name, which '.' and '..' do not have."""
    return path if path.name not in ("", "..") else path.resolve()


def rename_run(path: Path, name: str) -> Path:
    """Give the directory of a run another name, in the same folder; returns its new path.

    Raises
    ------
    StudyError
        If the name is no plain name, or is taken.
    RunBusyError
        If a driver works on the run.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name):
        message = "a name within its folder is needed: letters, digits, '.', '_' and '-', a letter or digit first"
        message += f" (got {name!r})"
        raise StudyError([Problem((), message)])
    path = with_last_name(path)
    target = path.with_name(name)
    if target.exists() or target.is_symlink():
        raise StudyError([Problem((), f"{target} exists; choose another name")])
    with disk_errors(path), DriverLock(path) as driver:
        require_no_queued_driver(path)
        path.rename(target)
        driver.root = target
        sync_folder(target.parent)
    return target
