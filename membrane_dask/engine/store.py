"""Storage of the values of units, in the results that :mod:`.layout` has laid out.

A batch of units fills whole Zarr chunks and has one writer. Neither xarray nor Zarr detects two writers of one chunk,
so sinks check names, types, shapes and NaNs, and the engine never has two batches of one chunk in flight. Every chunk
is written, one of nothing but fill values too: a chunk that is missing has lost its values.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from membrane_dask.engine.late_files import LATE_FILE_TIMEOUT, read_arrays, write_arrays
from membrane_dask.engine.layout import EVERY_CHUNK, ResultError, converted, volume_path
from membrane_dask.program import Program, Unit
from membrane_dask.schema import DONE, STATUS, Variable


@dataclass(frozen=True)
class TableSink:
    """Storage of the units of a table.

    Parameters
    ----------
    path : str
        The table's Zarr group.
    variables : tuple of Variable
        What a unit must return.
    sizes : mapping of str to int
        Length of every dimension of a unit's values.
    unit_shape : tuple of int
        Units along each unit dimension.
    batch : int
        Units in a chunk, along the last unit dimension.
    """

    path: str
    variables: tuple[Variable, ...]
    sizes: Mapping[str, int]
    unit_shape: tuple[int, ...]
    batch: int
    temporary: ClassVar[bool] = False

    def chunk(self, unit: Unit) -> tuple[int, ...]:
        """Chunk that holds the unit; units of one chunk have one writer at a time."""
        *before, last = unit.index
        return (*before, last // self.batch)

    def check(self, unit: Unit, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Values with the types and shapes of the table.

        Raises
        ------
        ResultError
            For a missing or unknown name, another shape or kind of number, or NaN where none may be.
        """
        planned = {v.path for v in self.variables}
        if set(values) != planned:
            raise ResultError(
                f"{unit.key} returned other variables than planned: missing {sorted(planned - set(values))}, "
                f"unknown {sorted(set(values) - planned)}"
            )
        return {v.path: self._fit(unit, v, np.asarray(values[v.path])) for v in self.variables}

    def _fit(self, unit: Unit, variable: Variable, value: np.ndarray) -> np.ndarray:
        shape = tuple(self.sizes[dim] for dim in variable.dims)
        if value.shape != shape:
            raise ResultError(f"{unit.key}: {variable.path} has shape {value.shape}, planned {shape}")
        target = np.dtype(variable.dtype)
        if value.dtype.kind == "f" and not variable.nullable and not np.isfinite(value).all():
            raise ResultError(f"{unit.key}: {variable.path} is not finite ({value.ravel()[:4]})")
        try:
            fitted = converted(value, target)
        except ResultError as error:
            raise ResultError(f"{unit.key}: {variable.path} {error}") from None
        if target.kind == "f":
            fitted[np.isnan(fitted)] = np.nan  # one NaN, whose bits are those of the fill value
        return fitted

    def write(self, units: Sequence[Unit], values: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Write checked values of units of one chunk; their status comes last."""
        for first, last in _runs(units):
            span = slice(units[first].index[-1], units[last].index[-1] + 1)
            region = (*units[first].index[:-1], span)
            for variable in self.variables:
                block = np.stack([v[variable.path] for v in values[first : last + 1]])
                self._write_region(variable, self.chunk(units[first]), region, block)
        self.mark(units, DONE)

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Set the units' status."""
        for first, last in _runs(units, self.batch):
            region = (*units[first].index[:-1], slice(units[first].index[-1], units[last].index[-1] + 1))
            self._write_region(STATUS, self.chunk(units[first]), region, np.uint8(status))

    def _write_region(self, variable: Variable, chunk: tuple[int, ...], region: Any, block: Any) -> None:
        array = _open_array(f"{self.path}/{variable.path}")
        try:
            array[region] = block
        except _UNDECODABLE:  # what the chunk held is lost: the units whose values these were are computed again
            os.unlink(self._file(variable, chunk))
            array[region] = block

    def _file(self, variable: Variable, chunk: tuple[int, ...]) -> str:
        # A chunk is whole along the dimensions of a unit's value.
        return f"{self.path}/{variable.path}/c/{'/'.join(map(str, chunk))}{'/0' * len(variable.dims)}"

    def chunk_files(self, chunk: tuple[int, ...]) -> list[str]:
        """Files that hold a chunk: one of every variable."""
        return [self._file(variable, chunk) for variable in (*self.variables, STATUS)]

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """Values of a unit that is on disk."""
        return {v.path: np.asarray(_open_array(f"{self.path}/{v.path}")[unit.index]) for v in self.variables}

    def values(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, dict[str, np.ndarray] | None]]:
        """Values of each unit as they stand on disk; None where a chunk cannot be decoded, or a unit is not done."""
        units = sorted(units, key=lambda unit: unit.index)
        for first, last in _runs(units):
            yield from self._values_of_run(units[first : last + 1])

    def _values_of_run(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, dict[str, np.ndarray] | None]]:
        region = (*units[0].index[:-1], slice(units[0].index[-1], units[-1].index[-1] + 1))
        try:
            status = np.asarray(_open_array(f"{self.path}/{STATUS.name}")[region])
            blocks = {v.path: np.asarray(_open_array(f"{self.path}/{v.path}")[region]) for v in self.variables}
        except _UNDECODABLE:
            chunks = [units[first : last + 1] for first, last in _runs(units, self.batch)]
            for chunk in chunks if len(chunks) > 1 else ():
                yield from self._values_of_run(chunk)
            if len(chunks) == 1:
                yield from ((unit, None) for unit in units)
            return
        for i, unit in enumerate(units):
            yield unit, {path: block[i] for path, block in blocks.items()} if status[i] == DONE else None

    def unmarked(self, units: Sequence[Unit], status: int) -> list[Unit]:
        """Units whose status on disk is another one."""
        array = _open_array(f"{self.path}/{STATUS.name}")

        def stored(unit: Unit) -> int:
            try:
                return int(array[unit.index])
            except _UNDECODABLE:
                return -1

        return [unit for unit in units if stored(unit) != status]

    def locate_fault(self, unit: Unit) -> tuple[str, str]:
        """File that has lost the unit's values, and how; the table where all of its files can be decoded."""
        for variable in (*self.variables, STATUS):
            path = self._file(variable, self.chunk(unit))
            if not variable.nullable and not os.path.exists(path):
                return path, "missing"
            try:
                _open_array(f"{self.path}/{variable.path}")[unit.index]
            except _UNDECODABLE:
                return path, "cannot be decoded"
        return self.path, "altered"

    def collect(self, units: Sequence[Unit]) -> Any:
        """The table as a dataset, whatever units are finished."""
        import xarray as xr

        return xr.open_zarr(self.path, consolidated=False, chunks=None)

    def remove(self) -> None:
        """Tables are kept."""


@dataclass(frozen=True)
class ImageSink:
    """Storage of the slabs of an image.

    Parameters
    ----------
    path : str
        The image's Zarr array.
    variable : Variable
        What a unit must return.
    shape : tuple of int
        Of the whole image.
    axis : int
        Number of the axis along which slabs follow one another.
    thickness : int
        Planes of a slab.
    """

    path: str
    variable: Variable
    shape: tuple[int, ...]
    axis: int
    thickness: int
    temporary: ClassVar[bool] = False

    def chunk(self, unit: Unit) -> tuple[int, ...]:
        """Slab: whole chunks, which one unit fills."""
        return unit.index

    def _slab(self, index: tuple[int, ...]) -> slice:
        start = index[0] * self.thickness
        return slice(start, min(start + self.thickness, self.shape[self.axis]))

    def _region(self, unit: Unit) -> tuple[slice, ...]:
        return (*[slice(None)] * self.axis, self._slab(unit.index))

    def check(self, unit: Unit, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The slab, if its shape, type and values are as planned.

        Raises
        ------
        ResultError
            For another name, shape or type, for NaN, or for a value that is not one of the variable's flags.
        """
        name, region = self.variable.name, self._region(unit)[self.axis]
        if set(values) != {name}:
            raise ResultError(f"{unit.key} returned {sorted(values)}, planned {[name]}")
        slab = np.asarray(values[name])
        shape = (*self.shape[: self.axis], region.stop - region.start, *self.shape[self.axis + 1 :])
        if slab.shape != shape or slab.dtype != np.dtype(self.variable.dtype):
            raise ResultError(
                f"{unit.key}: {name} is {slab.dtype} {slab.shape}, planned {np.dtype(self.variable.dtype)} {shape}"
            )
        if slab.dtype.kind == "f" and not np.isfinite(slab).all():
            raise ResultError(f"{unit.key}: {name} is not finite")
        flags: Any = self.variable.attrs.get("flag_values")
        if flags is not None and not np.logical_or.reduce([slab == flag for flag in flags]).all():
            meanings = self.variable.attrs.get("flag_meanings", "")
            raise ResultError(f"{unit.key}: {name} holds values other than {flags} ({meanings})")
        return {name: slab}

    def write(self, units: Sequence[Unit], values: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Write checked slabs."""
        array = _open_array(self.path)
        for unit, value in zip(units, values, strict=True):
            array[self._region(unit)] = value[self.variable.name]  # whole chunks: nothing is read before

    def chunk_files(self, chunk: tuple[int, ...]) -> list[str]:
        """Files that hold a slab."""
        array = _open_array(self.path)
        slab = self._slab(chunk)
        ranges = [range(-(-size // edge)) for size, edge in zip(array.shape, array.chunks, strict=True)]
        edge = array.chunks[self.axis]
        ranges[self.axis] = range(slab.start // edge, -(-slab.stop // edge))
        return [f"{self.path}/c/{'/'.join(map(str, numbers))}" for numbers in itertools.product(*ranges)]

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """A slab that is on disk."""
        return {self.variable.name: np.asarray(_open_array(self.path)[self._region(unit)])}

    def values(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, dict[str, np.ndarray] | None]]:
        """Each slab as it is on disk; None where a chunk of it cannot be decoded."""
        for unit in units:
            try:
                yield unit, self.read(unit)
            except _UNDECODABLE:
                yield unit, None

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Slabs have no status; the journal records it."""

    def unmarked(self, units: Sequence[Unit], status: int) -> list[Unit]:
        """Slabs have no status; the journal records it."""
        return []

    def locate_fault(self, unit: Unit) -> tuple[str, str]:
        """The image, and how it has lost the unit's values."""
        try:
            self.read(unit)
        except _UNDECODABLE:
            return self.path, "cannot be decoded"
        return self.path, "altered"

    def collect(self, units: Sequence[Unit]) -> Any:
        """The image, as a Zarr array."""
        return _open_array(self.path)

    def remove(self) -> None:
        """Images are kept."""


@dataclass(frozen=True)
class ScratchFiles:
    """Arrays that units of a run have left for later ones.

    Parameters
    ----------
    root : str
        The run's directory.
    timeout : float
        Time in seconds to wait for files that other hosts have written.
    """

    root: str
    timeout: float = 0.0

    def path(self, name: str, index: tuple[int, ...]) -> Path:
        """File of one unit."""
        return Path(self.root) / "scratch" / name / f"{'-'.join(map(str, index))}.npz"

    def read(self, name: str, index: tuple[int, ...], only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays of one unit, or some of them."""
        return read_arrays(self.path(name, index), only, self.timeout)


@dataclass(frozen=True)
class ScratchSink:
    """Storage of the units of :class:`~membrane_dask.program.Scratch`."""

    files: ScratchFiles
    name: str
    temporary: bool = False

    @property
    def path(self) -> str:
        """Folder of the files."""
        return str(Path(self.files.root) / "scratch" / self.name)

    def chunk(self, unit: Unit) -> tuple[int, ...]:
        """File: one unit fills it."""
        return unit.index

    def check(self, unit: Unit, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays, if they hold numbers.

        Raises
        ------
        ResultError
            For anything else.
        """
        arrays = {name: np.asarray(value) for name, value in values.items()}
        for name, array in arrays.items():
            if array.dtype.kind not in "biuf":
                raise ResultError(f"{unit.key}: {name} holds {array.dtype}; scratch data are numbers")
        return arrays

    def write(self, units: Sequence[Unit], values: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Write each unit's file, whole or not at all."""
        for unit, arrays in zip(units, values, strict=True):
            path = self.files.path(self.name, unit.index)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, arrays, compressed=not self.temporary)

    def chunk_files(self, chunk: tuple[int, ...]) -> list[str]:
        """The file of one unit."""
        return [str(self.files.path(self.name, chunk))]

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """Arrays that are on disk."""
        return self.files.read(self.name, unit.index)

    def values(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, dict[str, np.ndarray] | None]]:
        """Arrays of each unit as they are on disk; None where there is no whole file."""
        for unit in units:
            try:
                yield unit, self.read(unit)
            except (OSError, *_UNDECODABLE):
                yield unit, None

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Scratch data have no status; the journal records it."""

    def unmarked(self, units: Sequence[Unit], status: int) -> list[Unit]:
        """Scratch data have no status; the journal records it."""
        return []

    def locate_fault(self, unit: Unit) -> tuple[str, str]:
        """File that has lost the unit's values, and how."""
        path = self.files.path(self.name, unit.index)
        try:
            self.read(unit)
        except FileNotFoundError:
            return str(path), "missing"
        except _UNDECODABLE:
            return str(path), "cannot be decoded"
        return str(path), "altered"

    def collect(self, units: Sequence[Unit], only: Sequence[str] | None = None) -> Any:
        """Arrays of finished units, or some of them, by index."""
        return {unit.index: self.files.read(self.name, unit.index, only) for unit in units}

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.files.path(self.name, ()).parent, ignore_errors=True)


Sink = TableSink | ImageSink | ScratchSink
#: What decoders raise for a chunk that is truncated, empty or altered.
_UNDECODABLE = (RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def _runs(units: Sequence[Unit], batch: int = 0) -> Iterator[tuple[int, int]]:
    """First and last position of every run of consecutive units along the last unit dimension.

    With ``batch``, no run extends over a chunk boundary.
    """
    first = 0
    for i in range(1, len(units) + 1):
        ended = i == len(units) or units[i].index != (*units[i - 1].index[:-1], units[i - 1].index[-1] + 1)
        ended = ended or (batch > 0 and units[i].index[-1] % batch == 0)
        if ended:
            yield first, i - 1
            first = i


def _open_array(path: str) -> Any:
    return _array_of_version(path, os.stat(f"{path}/zarr.json").st_mtime_ns)  # a run may be laid out anew


@lru_cache(maxsize=256)
def _array_of_version(path: str, modified: int) -> Any:
    import zarr  # slow to import, and a run is often opened for its state only

    return zarr.open_array(path, mode="r+").with_config(EVERY_CHUNK)


def digest(values: Mapping[str, np.ndarray]) -> str:
    """First half of the SHA-256 of a unit's values, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(values):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(values[name]).data)
    return sha.hexdigest()[:32]


def unit_digests(sink: Sink, units: Sequence[Unit]) -> Iterator[tuple[Unit, str]]:
    """Digest of each unit as it stands on disk; empty where its values cannot be read."""
    for unit, values in sink.values(units):
        yield unit, "" if values is None else digest(values)


def sinks(root: Path, program: Program, batch: Mapping[str, int]) -> dict[str, Sink]:
    """Storage of the units of every task."""
    by_task: dict[str, Sink] = {}
    for table in program.tables:
        sizes = {dim: len(labels) for dim, labels in table.labels.items()}
        path = str(root / "result.zarr" / table.name)
        by_task[table.name] = TableSink(path, table.schema.variables, sizes, table.unit_shape, batch[table.name])
    for image in program.images:
        axis, ome = image.variable.dims.index(image.axis), image.voxel_size_nm is not None
        path = str(
            volume_path(root, image.name) / "0" if ome else root / "result.zarr" / image.name / image.variable.name
        )
        by_task[image.name] = ImageSink(path, image.variable, image.shape, axis, image.thickness)
    for scratch in program.scratch:
        by_task[scratch.name] = ScratchSink(ScratchFiles(str(root)), scratch.name, scratch.temporary)
    return by_task


def describe(by_task: Mapping[str, Sink], root: Path) -> dict[str, dict[str, Any]]:
    """Storage of every task as plain JSON values, from which :func:`described` makes it without the program."""

    def entry(sink: Sink) -> dict[str, Any]:
        if isinstance(sink, TableSink):
            dims = {variable.path: len(variable.dims) for variable in sink.variables}
            return {"table": str(Path(sink.path).relative_to(root)), "batch": sink.batch, "variables": dims}
        if isinstance(sink, ImageSink):
            names = {"image": str(Path(sink.path).relative_to(root)), "variable": sink.variable.name}
            return {**names, "shape": list(sink.shape), "axis": sink.axis, "thickness": sink.thickness}
        return {"scratch": sink.name, "temporary": sink.temporary}

    return {task: entry(sink) for task, sink in by_task.items()}


def described(storage: Mapping[str, Mapping[str, Any]], root: Path) -> dict[str, Sink]:
    """Storage of every task of a run, to read values back, from what :func:`describe` has recorded."""

    def sink(entry: Mapping[str, Any]) -> Sink:
        if "table" in entry:
            variables = tuple(
                Variable(path.rpartition("/")[2], ("",) * n, "", "", "", group=path.rpartition("/")[0])
                for path, n in entry["variables"].items()
            )
            return TableSink(str(root / entry["table"]), variables, {}, (), entry["batch"])
        if "image" in entry:
            variable = Variable(entry["variable"], (), "", "", "")
            return ImageSink(
                str(root / entry["image"]), variable, tuple(entry["shape"]), entry["axis"], entry["thickness"]
            )
        return ScratchSink(ScratchFiles(str(root)), entry["scratch"], entry["temporary"])

    return {task: sink(entry) for task, entry in storage.items()}


def context(root: Path, program: Program, timeout: float = LATE_FILE_TIMEOUT) -> dict[str, Any]:
    """What every unit of a run receives: the program's context, and the scratch data of earlier units."""
    return {**program.context, "scratch": ScratchFiles(str(root), timeout)}
