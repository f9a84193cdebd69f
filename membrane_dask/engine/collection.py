"""What follows from the finished units of a run: tables of the program, files for other programs, and pyramids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from membrane_dask.engine import durability, layout, layout_record
from membrane_dask.errors import ProgramError
from membrane_dask.files import sync_folder, write_atomically
from membrane_dask.io import ome_zarr
from membrane_dask.program import History, Program, TableFile
from membrane_dask.studies import registry


def write_collected(root: Path, program: Program, read: Callable[[str], Any], history: History, *, sync: bool) -> None:
    """Write all that follows from the finished units, and record its digests.

    Parameters
    ----------
    root : Path
        Run directory.
    program : Program
        Its program.
    read : callable
        As of :meth:`~membrane_dask.program.Program.collect`.
    history : mapping of str to Outcome
        Finished units.
    sync : bool
        Whether to wait until all files are on disk.
    """
    layout_record.prepare_to_collect(root)
    folders: list[Path] = []
    for image in program.images:
        if image.voxel_size_nm is not None:
            volume = layout.volume_path(root, image.name)
            ome_zarr.build_pyramid(volume)
            folders += [volume / str(level) for level in range(1, ome_zarr.count_levels(volume))]
    kind = registry.kinds().get(program.kind)
    for item in program.collect(read, history):
        if isinstance(item, TableFile):
            folder = root / layout.TABLES
            folder.mkdir(exist_ok=True)
            write_atomically(folder / item.name, item.text)
        else:
            if kind is not None:
                kind.require_declared(item.name)
            try:
                layout.create_dataset(root / "result.zarr", item, program.tables)
            except layout.ResultError as error:
                raise ProgramError(f"study kind {program.kind!r}: collect: {error}") from error
            folder = root / "result.zarr" / item.name
        folders += [folder] if folder not in folders else []
    layout.consolidate_metadata(root)
    if sync:
        for folder in folders:
            durability.sync_tree(folder)
            sync_folder(folder.parent)
        durability.sync_files([root / layout.METADATA], root)
    layout_record.record_collected(root, folders)
