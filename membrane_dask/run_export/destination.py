"""Destinations of an exported run: a folder, a ZIP file, or a URL of an object store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from membrane_dask.engine import records
from membrane_dask.engine.exported_run import INDEX, RESULT
from membrane_dask.errors import ExportError, reason
from membrane_dask.files import disk_errors, is_url
from membrane_dask.io.sharded_zarr import add_to_zip
from membrane_dask.run_export import crate
from membrane_dask.run_export.stages import Stages


@contextlib.contextmanager
def filled_folder(to: str | Path, stages: Stages, *, overwrite: bool) -> Iterator[Path]:
    """A folder to fill, which becomes the destination at the end, whole or not at all.

    Parameters
    ----------
    to : str or Path
        A folder, a file ``.zip``, or a URL of either.
    stages : Stages
        Receives the progress of compressing and uploading the folder.
    overwrite : bool
        Replace an exported run; the old copy stays as it is until the new one is made.

    Yields
    ------
    Path
        An empty folder.

    Raises
    ------
    ExportError
        If the destination exists, or cannot be written.
    """
    to = local_path(to)
    if is_url(to):
        store = _Store(str(to))
        store.require_free(overwrite=overwrite)
        with tempfile.TemporaryDirectory(prefix="membrane-dask-export-") as folder:
            content = Path(folder) / "run"
            content.mkdir()
            yield content
            store.upload(content, stages)
        return
    path = Path(to)
    _require_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{socket.gethostname()}.{os.getpid()}.{path.name}")
    replaced = temporary / "replaced"
    shutil.rmtree(temporary, ignore_errors=True)  # of an interrupted export of a process with the same number
    with disk_errors(path):
        try:
            content = temporary / "run"
            content.mkdir(parents=True)
            yield content
            result = content
            if path.suffix == ".zip":
                result = temporary / path.name
                zip_folder(content, result, stages)
            if path.exists():
                path.rename(replaced)
            try:
                result.rename(path)
            except BaseException:
                if replaced.exists():
                    replaced.rename(path)
                raise
        finally:
            if path.exists() or not replaced.exists():  # else it holds the only copy
                shutil.rmtree(temporary, ignore_errors=True)


def local_path(to: str | Path) -> str | Path:
    """The path of a URL ``file://``; other destinations as they are."""
    if not str(to).startswith("file:/"):
        return to
    from fsspec.implementations.local import LocalFileSystem

    return Path(LocalFileSystem._strip_protocol(str(to)))


def _require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a destination that exists; one to be replaced must be an exported run, so that nothing else is lost."""
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
    if not path.exists():
        return
    if not overwrite:
        raise ExportError(f"{path} exists; choose another name, or replace it with --overwrite (overwrite=True)")
    is_export = (path / INDEX).is_file() if path.is_dir() else _is_zip_of_run(path)
    if not is_export:
        raise ExportError(f"{path} is not an exported run, and is not replaced; choose another name")


def _is_zip_of_run(file: Any) -> bool:
    """Whether a file, by its path or opened, is a ZIP file of an exported run."""
    try:
        with zipfile.ZipFile(file) as archive:
            return INDEX in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _files(folder: Path) -> list[tuple[str, Path]]:
    """All files of a folder by their names below it; the index comes last, as a copy without it is not whole."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return sorted(files.items(), key=lambda item: (item[0] == INDEX, item[0]))


def zip_folder(folder: Path, path: Path, stages: Stages) -> None:
    """Store all files of a folder in a ZIP file, without compression: Zarr and netCDF have their own."""
    files = _files(folder)
    stages.begin("writing the ZIP file", sum(file.stat().st_size for _, file in files))
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in files:
            add_to_zip(archive, file, name)
            stages.advance(file.stat().st_size)


def _uploading(stages: Stages) -> Any:
    """What fsspec reports the uploaded files or bytes to."""
    from fsspec.callbacks import Callback

    class Uploading(Callback):  # type: ignore[misc]
        def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
            if self.size:
                stages.at(self.value / self.size)

    return Uploading()


class _Store:
    """A URL to which files are written."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            raise ExportError(f"{url}: {error}; for s3:// install: pip install 'membrane-dask[s3]'") from error
        except ValueError as error:
            raise ExportError(f"{url}: {reason(error)}") from error
        self._is_zip = self.url.endswith(".zip")
        #: Files of the exported run that is replaced, by their names below the URL.
        self._replaced: set[str] = set()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ExportError:
            raise
        except Exception as error:  # each kind of store has its own
            advice = "; does the bucket exist?" if isinstance(error, FileNotFoundError) else ""
            raise ExportError(f"{self.url}: {reason(error)}{advice}") from error

    def require_free(self, *, overwrite: bool) -> None:
        """Refuse a URL where something is, unless it is an exported run and ``overwrite`` is true."""
        with self._errors():
            self._fs.invalidate_cache()
            if not self._exists():
                return
            if not overwrite:
                raise ExportError(
                    f"{self.url} exists; choose another name, or replace it with --overwrite (overwrite=True)"
                )
            if not self._holds_run():
                raise ExportError(
                    f"{self.url} is not an exported run, or one that was not written to its end, and is not replaced; "
                    "choose another name, or remove it"
                )
            if not self._is_zip:
                self._replaced = self._files_of_run()

    def _holds_run(self) -> bool:
        if not self._is_zip:
            return bool(self._fs.exists(f"{self._root}/{INDEX}"))
        with self._fs.open(self._root) as file:
            return _is_zip_of_run(file)

    def _files_of_run(self) -> set[str]:
        """Files that the metadata of the exported run list; others below the URL are not its own."""
        try:
            with self._fs.open(f"{self._root}/{crate.NAME}") as file:
                content = file.read(records.MAX_FILE_SIZE + 1)
            if len(content) > records.MAX_FILE_SIZE:
                raise ValueError(f"it is larger than {records.MAX_FILE_SIZE // 1_000_000} MB")
            names = [unquote(entity["@id"]) for entity in json.loads(content)["@graph"] if entity["@type"] == "File"]
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExportError(
                f"{self.url} is not replaced, as its {crate.NAME} does not tell which files are its own "
                f"({reason(error)}); choose another name, or remove it"
            ) from error
        listed = {name for name in names if not {"", ".", ".."} & set(name.split("/"))}
        result = self._fs.find(f"{self._root}/{RESULT}")  # listed as a whole
        return {INDEX} | listed | {path.removeprefix(f"{self._root}/") for path in result}

    def _exists(self) -> bool:
        if self._is_zip:
            return bool(self._fs.exists(self._root))
        try:
            return bool(self._fs.ls(self._root))
        except FileNotFoundError:
            return False

    def upload(self, folder: Path, stages: Stages) -> None:
        """Write the files of a folder, or one ZIP file of them; remove those of the replaced copy that are not new."""
        files: list[tuple[str, Path]] = _files(folder)
        names = [f"{self._root}/{name}" for name, _ in files]
        if self._is_zip:
            zip_folder(folder, folder.with_name("run.zip"), stages)
            files, names = [("", folder.with_name("run.zip"))], [self._root]
        paths: list[Any] = [str(path) for _, path in files]
        stages.begin(f"uploading to {self.url}")
        with self._errors():
            if self._replaced:  # from here on, until the index is there again, the copy is not whole
                self._fs.rm_file(f"{self._root}/{INDEX}")
            self._fs.put(paths[:-1], names[:-1], callback=_uploading(stages))  # several at a time
            for path in sorted({f"{self._root}/{name}" for name in self._replaced - {INDEX}} - set(names)):
                if self._fs.exists(path):
                    self._fs.rm_file(path)  # one by one: not every store deletes several at once
            self._fs.put_file(paths[-1], names[-1], callback=_uploading(stages))  # the index, or the ZIP file
