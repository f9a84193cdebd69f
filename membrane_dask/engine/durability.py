"""Synchronization of written files with the disk, so that what the journal promises survives a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from membrane_dask.files import sync_descriptor, sync_folder

#: Files that are synchronized at a time: a file system writes several of them in one transaction.
_CONCURRENT = 32
#: Folders, with their inodes, whose names this process has synchronized; forgotten when there are too many.
_NAMED: set[tuple[Path, int]] = set()
_MAX_NAMED = 100_000


def sync_files(files: Iterable[str | Path], root: Path) -> None:
    """Wait until files, and their names in all folders up to ``root``, are on disk.

    Zarr writes a chunk under a temporary name and renames it; the name that counts is the last one, so this is called
    once everything is written, one pass for all.

    Parameters
    ----------
    files : iterable of str or Path
        Files below ``root``, complete, whose paths begin with it.
    root : Path
        A folder that is on disk itself.

    Raises
    ------
    OSError
        If the disk refuses, for example because it is full.
    """
    paths = [Path(file) for file in files]
    folders = {path.parent for path in paths}
    created = set()
    for folder in _between(folders, root):
        if (named := (folder, folder.stat().st_ino)) not in _NAMED:
            created.add(named)
            folders.add(folder.parent)
    with ThreadPoolExecutor(min(_CONCURRENT, max(1, len(paths)))) as pool:
        list(pool.map(_sync_file, paths))
        list(pool.map(sync_folder, folders))
    if len(_NAMED) > _MAX_NAMED:
        _NAMED.clear()
    _NAMED.update(created)


def _between(folders: Iterable[Path], root: Path) -> set[Path]:
    """Return the folders, and all above them, that lie below ``root``."""
    depth = len(root.parts)
    result: set[Path] = set()
    for folder in folders:
        above = folder
        while len(above.parts) > depth and above not in result:
            result.add(above)
            above = above.parent
    return result


def sync_tree(folder: Path) -> None:
    """Wait until all files and folders below a folder, and the folder itself, are on disk."""
    paths = list(folder.rglob("*"))
    sync_files([path for path in paths if path.is_file()], folder)
    for path in (*paths, folder):
        if path.is_dir():  # an empty one as well
            sync_folder(path)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)
