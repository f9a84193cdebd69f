"""Files of a Zarr store, in a folder or in a zip archive: their sizes, so that nothing is decoded unchecked."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from membrane_dask.errors import reason
from membrane_dask.files import require_regular
from membrane_dask.io.raster_files import MAX_DECODED
from membrane_dask.io.volume_file import VolumeError

#: Files that describe a Zarr group or array, and their largest size in bytes.
ZARR_METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
_MAX_METADATA = 10_000_000
#: Files of an archive.
_MAX_MEMBERS = 1_000_000


class ChunkFiles(Protocol):
    """Files by their names, whose folders are separated by ``/``."""

    @property
    def root(self) -> str:
        """Name of the folder that is a Zarr group or array; empty for the store itself."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of all files below a folder, by their names relative to it."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""


@dataclass(frozen=True)
class FolderFiles:
    """Files below a folder."""

    path: str
    root: str = ""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""
        try:
            status = os.stat(Path(self.path, name))
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe or a device may never end
            raise VolumeError(f"{Path(self.path).name} has {name}, which is no file")
        return status.st_size

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of all files below a folder, by their names relative to it."""
        root = Path(self.path, folder)
        return {
            os.path.relpath(entry.path, root) if below != str(root) else entry.name: entry.stat().st_size
            for below in _folders(root)
            for entry in os.scandir(below)
            if entry.is_file()
        }

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        return Path(self.path, name).open("rb")


@dataclass(frozen=True)
class ArchiveFiles:
    """Members of a zip archive."""

    path: str

    @cached_property
    def members(self) -> dict[str, int]:
        """Unpacked bytes of the members, by name.

        Raises
        ------
        VolumeError
            If it is no archive, has too many members, or one unpacks to more than may be held in memory.
        """
        require_regular(Path(self.path))
        name = Path(self.path).name
        try:
            with zipfile.ZipFile(self.path) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise VolumeError(f"{name} is no readable zip archive: {reason(error)}") from error
        if len(infos) > _MAX_MEMBERS:
            raise VolumeError(f"{name} holds {len(infos):,} files; at most {_MAX_MEMBERS:,} are read: unpack it")
        for info in infos:
            if info.file_size > MAX_DECODED:
                raise VolumeError(
                    f"{name} holds the file {info.filename[:80]} of {info.file_size / 1e6:,.0f} MB; at most "
                    f"{MAX_DECODED / 1e6:g} MB are held in memory at once"
                )
            if info.flag_bits & 1:
                raise VolumeError(f"{name} is encrypted: unpack it")
        return {info.filename: info.file_size for info in infos if not info.is_dir()}

    def size(self, name: str) -> int | None:
        """Bytes of a member; None if there is none."""
        return self.members.get(name)

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of all members below a folder, by their names relative to it."""
        prefix = f"{folder}/" if folder else ""
        return {name.removeprefix(prefix): size for name, size in self.members.items() if name.startswith(prefix)}

    def open(self, name: str) -> BinaryIO:
        """Open a member for reading."""
        with zipfile.ZipFile(self.path) as archive:
            return io.BytesIO(archive.read(name))

    @property
    def root(self) -> str:
        """Folder in the archive that is a Zarr group or array: its root, or the only folder at its root.

        Raises
        ------
        VolumeError
            If there is none.
        """
        nodes = {str(PurePosixPath(name).parent) for name in self.members if PurePosixPath(name).name in ZARR_METADATA}
        if "." in nodes:
            return ""
        top = sorted(node for node in nodes if "/" not in node)
        if len(top) != 1:
            listed = f": {', '.join(top[:3])}" if top else ""
            raise VolumeError(
                f"{Path(self.path).name} is an archive {'of several Zarr volumes' if top else 'without a Zarr volume'}"
                f"{listed}; OME-Zarr in one zip file is read: unpack it"
            )
        return top[0]


def check_metadata(files: ChunkFiles, node: str, name: str) -> None:
    """Check the files that describe a group or array, before they are decoded.

    Parameters
    ----------
    files : ChunkFiles
    node : str
        Name of the group or array; empty for the store itself.
    name : str
        Name of the volume, for messages.

    Raises
    ------
    VolumeError
        If one is too large, or no file.
    """
    for file in ZARR_METADATA:
        size = files.size(f"{node}/{file}".lstrip("/"))
        if size is not None and size > _MAX_METADATA:
            raise VolumeError(f"{name}/{file} has {size / 1e6:.3g} MB; at most {_MAX_METADATA / 1e6:g} are read")


def _folders(root: Path) -> Iterator[str]:
    """A folder and all folders below it."""
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        yield folder
        pending += [entry.path for entry in os.scandir(folder) if entry.is_dir()]
