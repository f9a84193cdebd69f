"""Storage of results: a labelled template is laid out first, then each unit's values are written into it.

A batch of units fills whole Zarr chunks and has one writer. Neither xarray nor Zarr detects two writers of one chunk,
so sinks check names, types, shapes and NaNs, and the engine never has two batches of one chunk in flight.
"""

from __future__ import annotations

import hashlib
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
import zarr
from zarr.codecs import ZstdCodec

from membrane_dask.program import Dataset, Image, Program, Table, Unit
from membrane_dask.schema import DONE, STATUS, TODO, TableSchema, Variable

_INTEGER_FILL = -1
#: Largest number of planes in a chunk of an image, and half of its largest extent along the other axes.
_CHUNK = 64


class ResultError(ValueError):
    """A unit returned something else than its table, image or scratch data holds."""


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
    verified: ClassVar[bool] = True

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
        if not np.can_cast(value.dtype, target, "same_kind"):
            raise ResultError(f"{unit.key}: {variable.path} holds {value.dtype}, planned {target}")
        if value.dtype.kind == "f" and not variable.nullable and not np.isfinite(value).all():
            raise ResultError(f"{unit.key}: {variable.path} is not finite ({value.ravel()[:4]})")
        fitted = value.astype(target)
        if target.kind == "f":
            fitted[np.isnan(fitted)] = np.nan  # one NaN: a chunk that holds nothing else is not written at all
        if target.kind in "iu" and not (fitted == value).all():
            raise ResultError(f"{unit.key}: {variable.path} = {value} does not fit into {target}")
        return fitted

    def write(self, units: Sequence[Unit], values: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Write checked values of units of one chunk; their status comes last."""
        for first, last in _runs(units):
            span = slice(units[first].index[-1], units[last].index[-1] + 1)
            region = (*units[first].index[:-1], span)
            for variable in self.variables:
                block = np.stack([v[variable.path] for v in values[first : last + 1]])
                _open_array(f"{self.path}/{variable.path}")[region] = block
        self.mark(units, 1)

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Set the units' status."""
        array = _open_array(f"{self.path}/{STATUS.name}")
        for first, last in _runs(units):
            span = slice(units[first].index[-1], units[last].index[-1] + 1)
            array[(*units[first].index[:-1], span)] = np.uint8(status)

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """Values of a unit that is on disk."""
        return {v.path: np.asarray(_open_array(f"{self.path}/{v.path}")[unit.index]) for v in self.variables}

    def digests(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, str]]:
        """Digest of each unit as it stands on disk; that of nothing where its status is not done."""
        units = sorted(units, key=lambda unit: unit.index)
        for first, last in _runs(units, self.batch):
            region = (*units[first].index[:-1], slice(units[first].index[-1], units[last].index[-1] + 1))
            status = np.asarray(_open_array(f"{self.path}/{STATUS.name}")[region])
            blocks = {v.path: np.asarray(_open_array(f"{self.path}/{v.path}")[region]) for v in self.variables}
            for i, unit in enumerate(units[first : last + 1]):
                done = status[i] == DONE
                yield unit, digest({path: block[i] for path, block in blocks.items()}) if done else ""

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
    verified : bool
        Whether finished slabs are read back before the run is complete.
    """

    path: str
    variable: Variable
    shape: tuple[int, ...]
    axis: int
    thickness: int
    verified: bool = True
    temporary: ClassVar[bool] = False

    def chunk(self, unit: Unit) -> tuple[int, ...]:
        """Slab: whole chunks, which one unit fills."""
        return unit.index

    def _region(self, unit: Unit) -> tuple[slice, ...]:
        start = unit.index[0] * self.thickness
        stop = min(start + self.thickness, self.shape[self.axis])
        return (*[slice(None)] * self.axis, slice(start, stop))

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
            array[self._region(unit)] = value[self.variable.name]

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """A slab that is on disk."""
        return {self.variable.name: np.asarray(_open_array(self.path)[self._region(unit)])}

    def digests(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, str]]:
        """Digest of each slab as it is on disk."""
        for unit in units:
            yield unit, digest(self.read(unit))

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Slabs have no status; the journal records it."""

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
    """

    root: str

    def path(self, name: str, index: tuple[int, ...]) -> Path:
        """File of one unit."""
        return Path(self.root) / "scratch" / name / f"{'-'.join(map(str, index))}.npz"

    def read(self, name: str, index: tuple[int, ...], only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays of one unit, or some of them."""
        with np.load(self.path(name, index)) as arrays:
            return dict(arrays) if only is None else {name: arrays[name] for name in only}


@dataclass(frozen=True)
class ScratchSink:
    """Storage of the units of :class:`~membrane_dask.program.Scratch`."""

    files: ScratchFiles
    name: str
    temporary: bool = False
    verified: ClassVar[bool] = True

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
            partial = path.with_name(f".{path.stem}.{os.getpid()}.npz")
            save: Any = np.savez if self.temporary else np.savez_compressed
            save(partial, **arrays)
            partial.replace(path)

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """Arrays that are on disk."""
        return self.files.read(self.name, unit.index)

    def digests(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, str]]:
        """Digest of each unit as it is on disk; empty where there is no whole file."""
        for unit in units:
            try:
                yield unit, digest(self.read(unit))
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
                yield unit, ""

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Scratch data have no status; the journal records it."""

    def collect(self, units: Sequence[Unit]) -> Mapping[tuple[int, ...], dict[str, np.ndarray]]:
        """Arrays of finished units, by index."""
        return {unit.index: self.read(unit) for unit in units}

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.files.path(self.name, ()).parent, ignore_errors=True)


Sink = TableSink | ImageSink | ScratchSink


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


@lru_cache(maxsize=256)
def _open_array(path: str) -> Any:
    return zarr.open_array(path, mode="r+")


def digest(values: Mapping[str, np.ndarray]) -> str:
    """First half of the SHA-256 of a unit's values, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(values):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(values[name]).data)
    return sha.hexdigest()[:32]


def create_table(result: Path, table: Table, batch: int) -> None:
    """Lay out a table: every label, type and attribute, and no data."""
    sizes = {dim: len(labels) for dim, labels in table.labels.items()}
    group = zarr.create_group(str(result / table.name), attributes=dict(table.attrs))
    variables = table.schema.variables
    for dim, labels in table.labels.items():
        # The labels of a dimension that one sub-group alone uses are stored there; all groups inherit the others.
        users = {v.group for v in variables if dim in v.dims}
        parent = group.require_group(users.pop()) if len(users) == 1 and "" not in users else group
        _create_labels(parent, table.schema, dim, labels)
    unit_chunk = (1,) * (len(table.unit_dims) - 1) + (batch,)
    for variable in (*variables, STATUS):
        parent = group.require_group(variable.group) if variable.group else group
        dims = (*table.unit_dims, *variable.dims)
        shape = tuple(sizes[dim] for dim in dims)
        chunks = tuple(min(c, n) for c, n in zip(unit_chunk, shape, strict=False)) + shape[len(unit_chunk) :]
        attrs = variable.attributes()
        if np.dtype(variable.dtype).kind == "i":
            attrs["_FillValue"] = _INTEGER_FILL  # what is unwritten reads as missing
        _create(parent, variable.name, dims, shape, chunks, np.dtype(variable.dtype), attrs)


def _create_labels(group: Any, schema: TableSchema, dim: str, labels: np.ndarray) -> None:
    attrs = schema.coordinate(dim).attributes()
    _create(group, dim, (dim,), labels.shape, labels.shape, labels.dtype, attrs)[...] = labels


def _create(
    group: Any, name: str, dims: tuple[str, ...], shape: tuple[int, ...], chunks: tuple[int, ...],
    dtype: np.dtype[Any], attrs: Mapping[str, Any],
) -> Any:  # fmt: skip
    # Both are needed: Zarr's own fill value for what is unwritten, xarray's to read it as missing.
    fill: Any = {"f": np.nan, "T": ""}.get(dtype.kind, attrs.get("_FillValue", TODO))
    return group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(c, 1) for c in chunks),
        dtype=dtype,
        fill_value=fill,
        compressors=[ZstdCodec(level=3, checksum=True)],  # without the checksum a flipped bit goes unnoticed
        dimension_names=dims,
        attributes=dict(attrs),
    )


def create_image(root: Path, image: Image) -> None:
    """Lay out an image: labels, type and attributes, and no data."""
    if image.voxel_size_nm is not None:
        from membrane_dask.io import ome_zarr

        ome_zarr.create_volume(
            volume_path(root, image.name),
            shape=image.shape,  # type: ignore[arg-type]
            block=image.thickness,
            voxel_size_nm=image.voxel_size_nm,
            name=image.name,
            axis=image.axis,
        )
        return
    group = zarr.create_group(str(root / "result.zarr" / image.name), attributes=dict(image.attrs))
    for dim, labels in image.labels.items():
        _create_labels(group, image.schema, dim, labels)
    variable = image.variable
    axis = variable.dims.index(image.axis)
    # A slab is whole chunks: their thickness divides that of a slab.
    thickness = max(n for n in range(1, min(image.thickness, _CHUNK) + 1) if image.thickness % n == 0)
    chunks = tuple(
        thickness if number == axis else 1 if number < len(image.shape) - 3 else min(size, 2 * _CHUNK)
        for number, size in enumerate(image.shape)  # the last three axes are those of space
    )
    _create(group, variable.name, variable.dims, image.shape, chunks, np.dtype(variable.dtype), variable.attributes())


def create_dataset(result: Path, dataset: Dataset) -> None:
    """Write a table as a whole, replacing what an earlier attempt left.

    Raises
    ------
    ResultError
        If a variable does not have the dimensions and the type of its declaration.
    """
    target, partial = result / dataset.name, result / f".{dataset.name}.partial"
    arrays: dict[str, tuple[Variable, np.ndarray]] = {}
    labels = dict(dataset.labels)
    for name, value in dataset.values.items():
        variable, array = dataset.schema.variable(name), np.asarray(value)
        dims = (*dataset.dims, *variable.dims)
        target_type = np.dtype(variable.dtype or array.dtype)
        if array.ndim != len(dims) or not np.can_cast(array.dtype, target_type, "same_kind"):
            raise ResultError(
                f"{dataset.name}/{name} is {array.dtype} {array.shape}, declared {target_type} with dimensions {dims}"
            )
        for dim, size in zip(dims, array.shape, strict=True):
            if len(labels.setdefault(dim, np.arange(size))) != size:
                raise ResultError(f"{dataset.name}/{name} has {size} entries along {dim}, which has {len(labels[dim])}")
        arrays[name] = variable, array.astype(target_type)
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.create_group(str(partial), attributes=dict(dataset.attrs))
    for dim, values in labels.items():
        if dim not in arrays:
            _create_labels(group, dataset.schema, dim, np.asarray(values))
    for name, (variable, array) in arrays.items():
        dims = (*dataset.dims, *variable.dims)
        _create(group, name, dims, array.shape, array.shape, array.dtype, variable.attributes())[...] = array
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def create_result(root: Path, program: Program, batch: Mapping[str, int]) -> None:
    """Lay out all results of a run."""
    result = root / "result.zarr"
    zarr.create_group(str(result), attributes=dict(program.attrs))
    for table in program.tables:
        create_table(result, table, batch[table.name])
    for image in program.images:
        create_image(root, image)
    for dataset in program.inputs:
        create_dataset(result, dataset)


def volume_path(root: Path, name: str) -> Path:
    """Directory of a volume, outside the result: a multiscale group cannot be part of a tree."""
    return root / "volumes" / f"{name}.ome.zarr"


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
        # A slab of a volume has one writer, ever: it is not read back.
        by_task[image.name] = ImageSink(path, image.variable, image.shape, axis, image.thickness, verified=not ome)
    for scratch in program.scratch:
        by_task[scratch.name] = ScratchSink(ScratchFiles(str(root)), scratch.name, scratch.temporary)
    return by_task


def context(root: Path, program: Program) -> dict[str, Any]:
    """What every unit of a run receives: the program's context, and the scratch data of earlier units."""
    return {**program.context, "scratch": ScratchFiles(str(root))}
