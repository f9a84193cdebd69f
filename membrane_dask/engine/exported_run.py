"""Exported runs, opened from a folder, a ZIP file, or a URL of either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from membrane_dask.engine import records
from membrane_dask.engine.data_frames import to_dataframe
from membrane_dask.engine.present_names import under_present_names
from membrane_dask.engine.run import Run, RunNotFoundError
from membrane_dask.engine.run_list import EXPORT_INDEX, find_run, is_exported_run
from membrane_dask.errors import ReportError, UnreadableRunError, nearest, reason
from membrane_dask.files import is_url
from membrane_dask.notebook_html import links, table
from membrane_dask.plain_text import printable_line
from membrane_dask.studies import registry

#: Version of the layout of exported runs.
SCHEMA = 1
#: File that names the contents of an exported run, and its folders.
INDEX, RESULT, VOLUMES, REPORT = EXPORT_INDEX, "result.zarr", "volumes", "report.html"


def open_run(path: str | Path) -> Run | ExportedRun:
    """Open a run by its directory, its name, or the beginning of its name; or an exported run.

    Parameters
    ----------
    path : str or Path
        An exported run is a folder, a file ``.zip``, or a URL of either.

    Returns
    -------
    Run or ExportedRun
        Both have ``result``, ``volumes``, ``volume()`` and ``to_dataframe()``.

    Raises
    ------
    RunNotFoundError
        If there is none.
    UnreadableRunError
        If it is damaged, or cannot be read.
    """
    return ExportedRun(path) if is_exported_run(path) else find_run(path)


class ExportedRun:
    """A run that was exported, opened for reading.

    Parameters
    ----------
    location : str or Path
        A folder, a file ``.zip``, or a URL of either.

    Raises
    ------
    RunNotFoundError
        If there is no exported run.
    UnreadableRunError
        If it is damaged, or a later version has made it.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        self._fs, self._root = _file_system(self.location)
        try:
            index = records.parse(records.ExportRecord, self._read(INDEX))
        except FileNotFoundError as error:
            raise RunNotFoundError(f"{self.location} holds no exported run: it has no {INDEX}") from error
        except UnreadableRunError:
            raise
        except ValueError as error:
            raise UnreadableRunError(f"{self.location}/{INDEX} is damaged: {error}; export the run again") from None
        except Exception as error:  # each kind of store has its own
            raise UnreadableRunError(f"{self.location} cannot be read: {reason(error)}") from error
        if index["schema"] > SCHEMA:
            raise UnreadableRunError(
                f"{self.location} was exported by a later version of membrane-dask; install that version: "
                "pip install --upgrade membrane-dask"
            )
        self._index = index

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root else name

    def _read(self, name: str) -> bytes:
        with self._fs.open(self._path(name)) as file:
            content: bytes = file.read(records.MAX_FILE_SIZE + 1)
        if len(content) > records.MAX_FILE_SIZE:
            size = f"{records.MAX_FILE_SIZE // 1_000_000} MB"
            raise UnreadableRunError(
                f"{self.location}/{name} is larger than {size}, and is not read; export the run again"
            )
        return content

    @property
    def name(self) -> str:
        """Name of the run."""
        return self._index["name"]

    @property
    def kind(self) -> str:
        """Kind of its study."""
        return self._index["kind"]

    @property
    def identity(self) -> str:
        """Digest of all that decides the result."""
        return self._index["identity"]

    def status(self) -> dict[str, Any]:
        """State of the run when it was exported, as :meth:`Run.status`."""
        return dict(self._index["status"])

    @property
    def decisive_settings(self) -> dict[str, Any]:
        """All settings that decide the result; empty of a run that was exported or made by an earlier version."""
        return dict(self._index.get("settings", {}))

    @property
    def report(self) -> str:
        """The report, a page of HTML, as it was when the run was exported.

        Raises
        ------
        ReportError
            If the run was exported without it.
        """
        try:
            return self._read(REPORT).decode()
        except FileNotFoundError as error:
            raise ReportError(
                f"{self.location} was exported without its report; export the run again with: --format report"
            ) from error

    @property
    def study_text(self) -> str:
        """The study as YAML, with every default written out."""
        return self._read("study.yaml").decode()

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, machine, inputs, and every start and stop."""
        return dict(records.parse(records.ProvenanceRecord, self._read("provenance.json")))

    @property
    def result(self) -> Any:
        """The result as an ``xarray.DataTree``, read when values are asked for.

        Raises
        ------
        KeyError
            If the run was exported without it.
        """
        import xarray as xr

        if not self._index["result"]:
            raise KeyError(f"{self.location} was exported without the format 'zarr'; its tables are in netcdf/ or csv/")
        tree = xr.open_datatree(
            self._store(self._fs, self._path(RESULT)),
            engine="zarr",
            consolidated=True,
            chunks=None,
        )
        kind = registry.kinds().get(self.kind)  # None: a run of a plug-in that is not installed here
        return under_present_names(tree, kind.schemas) if kind else tree

    def to_dataframe(self, table: str, variables: Sequence[str] | None = None) -> Any:
        """Variables of a table as a pandas DataFrame; see :func:`~membrane_dask.engine.data_frames.to_dataframe`."""
        return to_dataframe(self.result, table, variables)

    @property
    def volumes(self) -> list[str]:
        """Names of the volumes."""
        return list(self._index["volumes"])

    def volume(self, name: str, level: int = 0) -> Any:
        """A volume as a lazy ``(z, y, x)`` DataArray: pore 0, solid 255; parameters as for :meth:`Run.volume`.

        Raises
        ------
        KeyError
            If there is no such volume.
        """
        from fsspec.implementations.zip import ZipFileSystem

        from membrane_dask.io import ome_zarr

        if name not in self.volumes:
            raise KeyError(f"no volume {name!r}; {nearest(name, self.volumes)}")
        archive = ZipFileSystem(self._fs.open(self._path(f"{VOLUMES}/{name}.ozx")))
        return ome_zarr.open_volume(self._store(archive, ""), level)

    @staticmethod
    def _store(file_system: Any, path: str) -> Any:
        """Zarr store of a folder of a file system."""
        from fsspec.implementations.local import LocalFileSystem
        from zarr.storage import FsspecStore, LocalStore

        if isinstance(file_system, LocalFileSystem):
            return LocalStore(path, read_only=True)
        return FsspecStore.from_mapper(file_system.get_mapper(path), read_only=True)

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the printed summary: name and text."""
        status = self._index["status"]
        rows = [
            ("study", self.kind),
            ("state", str(status["state"])),
            ("units", f"{status['done']} done, {status['failed']} failed"),
            ("exported", self._index["exported"]),
        ]
        if self.volumes:
            rows.append(("volumes", ", ".join(self.volumes)))
        return [(name, printable_line(text)) for name, text in rows]

    def __repr__(self) -> str:
        return f"<ExportedRun {printable_line(self.name)} at {printable_line(self.location)}>"

    def __str__(self) -> str:
        title = f"Run {printable_line(self.name)}, exported to {printable_line(self.location)}"
        return "\n".join([title, *(f"  {name:<8} {text}" for name, text in self.rows())])

    def _repr_html_(self) -> str:
        target = self.location if is_url(self.location) else Path(self.location)
        is_link = isinstance(target, Path) or target.startswith(("http://", "https://"))
        return table(f"Run {self.name}, exported to {self.location}", self.rows(), links([("copy", target)] * is_link))


def _file_system(location: str) -> tuple[Any, str]:
    """File system that holds the files of an exported run, and the folder in it."""
    import fsspec
    from fsspec.implementations.zip import ZipFileSystem

    try:
        file_system, root = fsspec.core.url_to_fs(
            location.rstrip("/") if is_url(location) else str(Path(location).resolve())
        )
        if root.endswith(".zip") and not Path(location).is_dir():
            return ZipFileSystem(file_system.open(root)), ""
    except FileNotFoundError as error:
        raise RunNotFoundError(f"no exported run at {location}") from error
    except ImportError as error:
        raise UnreadableRunError(f"{location}: {error}; for s3:// install: pip install 'membrane-dask[s3]'") from error
    except Exception as error:  # each kind of store has its own
        raise UnreadableRunError(f"{location} cannot be read: {reason(error)}") from error
    return file_system, root
