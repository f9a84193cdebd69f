"""The result on disk: a labelled template first, then each unit's values in their place.

One batch of units fills whole Zarr chunks and has one writer. Neither xarray nor Zarr guards
against two writers of a chunk, so a sink checks names, types, shapes and NaNs itself and the engine
never has two batches of one chunk in flight.
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
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from membrane_dask.program import Dataset, Field, Program, Table, Unit
from membrane_dask.schema import COORDINATES, DONE, STATUS, TODO, Variable

_INTEGER_FILL = -1
#: Planes in a chunk of a field at most, and half of what is along the other axes.
_CHUNK = 64


class ResultError(ValueError):
    """A unit returned something that does not fit its place in the result."""


@dataclass(frozen=True)
class TableSink:
    """Place of a table's units on disk.

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
        wanted = {v.path for v in self.variables}
        if set(values) != wanted:
            raise ResultError(
                f"{unit.key} returned other variables than planned: missing {sorted(wanted - set(values))}, "
                f"unknown {sorted(set(values) - wanted)}"
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
            place = (*units[first].index[:-1], span)
            for variable in self.variables:
                block = np.stack([v[variable.path] for v in values[first : last + 1]])
                _open_array(f"{self.path}/{variable.path}")[place] = block
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
            place = (*units[first].index[:-1], slice(units[first].index[-1], units[last].index[-1] + 1))
            status = np.asarray(_open_array(f"{self.path}/{STATUS.name}")[place])
            blocks = {v.path: np.asarray(_open_array(f"{self.path}/{v.path}")[place]) for v in self.variables}
            for i, unit in enumerate(units[first : last + 1]):
                done = status[i] == DONE
                yield unit, digest({path: block[i] for path, block in blocks.items()}) if done else ""


@dataclass(frozen=True)
class VolumeSink:
    """Place of a volume's slabs on disk."""

    path: str
    shape: tuple[int, int, int]
    block: int

    def chunk(self, unit: Unit) -> tuple[int, ...]:
        """Slab: one unit fills it whole."""
        return unit.index

    def check(self, unit: Unit, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The slab, if it has the shape and the values of its place.

        Raises
        ------
        ResultError
            For another shape, type, or a value that is neither pore (0) nor solid (255).
        """
        if set(values) != {"volume"}:
            raise ResultError(f"{unit.key} returned {sorted(values)}, planned ['volume']")
        block = np.asarray(values["volume"])
        depth, planes, width = self.shape
        start = unit.index[0] * self.block
        shape = (depth, min(self.block, planes - start), width)
        if block.shape != shape or block.dtype != np.uint8:
            raise ResultError(f"{unit.key}: volume is {block.dtype} {block.shape}, planned uint8 {shape}")
        if not ((block == 0) | (block == 255)).all():
            raise ResultError(f"{unit.key}: volume holds values other than 0 (pore) and 255 (solid)")
        return {"volume": block}

    def write(self, units: Sequence[Unit], values: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Write checked slabs."""
        from membrane_dask.io import ome_zarr as ome

        for unit, value in zip(units, values, strict=True):
            ome.write_slab(Path(self.path), unit.index[0] * self.block, value["volume"])

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """A slab that is on disk."""
        start = unit.index[0] * self.block
        array = _open_array(f"{self.path}/0")
        return {"volume": np.asarray(array[:, start : start + self.block, :])}

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Slabs carry no status; the journal does."""


@dataclass(frozen=True)
class FieldSink:
    """Place of a field's slabs on disk."""

    path: str
    variable: Variable
    shape: tuple[int, ...]
    planes: int

    def chunk(self, unit: Unit) -> tuple[int, ...]:
        """Slab: whole chunks, which one unit fills."""
        return unit.index

    def _place(self, unit: Unit) -> slice:
        start = unit.index[0] * self.planes
        return slice(start, min(start + self.planes, self.shape[1]))

    def check(self, unit: Unit, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The slab, if it has the shape and the type of its place and no NaN.

        Raises
        ------
        ResultError
            For anything else.
        """
        name, place = self.variable.name, self._place(unit)
        if set(values) != {name}:
            raise ResultError(f"{unit.key} returned {sorted(values)}, planned {[name]}")
        slab, wanted = np.asarray(values[name]), (self.shape[0], place.stop - place.start, *self.shape[2:])
        if slab.shape != wanted or slab.dtype != np.dtype(self.variable.dtype):
            raise ResultError(
                f"{unit.key}: {name} is {slab.dtype} {slab.shape}, planned {self.variable.dtype} {wanted}"
            )
        if not np.isfinite(slab).all():
            raise ResultError(f"{unit.key}: {name} is not finite")
        return {name: slab}

    def write(self, units: Sequence[Unit], values: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Write checked slabs."""
        array = _open_array(f"{self.path}/{self.variable.name}")
        for unit, value in zip(units, values, strict=True):
            array[:, self._place(unit)] = value[self.variable.name]

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """A slab that is on disk."""
        array = _open_array(f"{self.path}/{self.variable.name}")
        return {self.variable.name: np.asarray(array[:, self._place(unit)])}

    def digests(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, str]]:
        """Digest of each slab as it stands on disk."""
        for unit in units:
            yield unit, digest(self.read(unit))

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Slabs carry no status; the journal does."""


@dataclass(frozen=True)
class PartFiles:
    """What units of a run have left for later ones.

    Parameters
    ----------
    root : str
        The run's directory.
    """

    root: str

    def place(self, name: str, index: tuple[int, ...]) -> Path:
        """File of one unit."""
        return Path(self.root) / "parts" / name / f"{'-'.join(map(str, index))}.npz"

    def read(self, name: str, index: tuple[int, ...], only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays of one unit, or some of them."""
        with np.load(self.place(name, index)) as found:
            return dict(found) if only is None else {name: found[name] for name in only}


@dataclass(frozen=True)
class PartSink:
    """Place of the units of :class:`~membrane_dask.program.Parts`."""

    files: PartFiles
    name: str
    passing: bool = False

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
        found = {name: np.asarray(value) for name, value in values.items()}
        wrong = [name for name, value in found.items() if value.dtype.kind not in "biuf"]
        if wrong:
            raise ResultError(f"{unit.key}: {wrong[0]} holds {found[wrong[0]].dtype}; parts hold numbers")
        return found

    def write(self, units: Sequence[Unit], values: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Write each unit's file, whole or not at all."""
        for unit, arrays in zip(units, values, strict=True):
            path = self.files.place(self.name, unit.index)
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.stem}.{os.getpid()}.npz")
            save: Any = np.savez if self.passing else np.savez_compressed
            save(fresh, **arrays)
            fresh.replace(path)

    def read(self, unit: Unit) -> dict[str, np.ndarray]:
        """Arrays that are on disk."""
        return self.files.read(self.name, unit.index)

    def digests(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, str]]:
        """Digest of each unit as it stands on disk; that of nothing where there is no whole file."""
        for unit in units:
            try:
                yield unit, digest(self.read(unit))
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
                yield unit, ""

    def mark(self, units: Sequence[Unit], status: int) -> None:
        """Parts carry no status; the journal does."""

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.files.place(self.name, ()).parent, ignore_errors=True)


Sink = TableSink | VolumeSink | FieldSink | PartSink


def _runs(units: Sequence[Unit], batch: int = 0) -> Iterator[tuple[int, int]]:
    """First and last position of every stretch of neighbours along the last unit dimension.

    With ``batch``, none reaches over the edge of a chunk.
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
    found = hashlib.sha256()
    for name in sorted(values):
        found.update(name.encode())
        found.update(np.ascontiguousarray(values[name]).data)
    return found.hexdigest()[:32]


def create_table(result: Path, table: Table, batch: int) -> None:
    """Lay out a table: every label, type and attribute, and no data."""
    sizes = {dim: len(values) for dim, values in table.coords.items()}
    group = zarr.create_group(str(result / table.name), attributes=dict(table.attrs))
    for dim, values in table.coords.items():
        # A dimension of one sub-group alone has its labels there; the others are inherited by all.
        users = {v.group for v in table.variables if dim in v.dims}
        home = group.require_group(users.pop()) if len(users) == 1 and "" not in users else group
        _create(home, dim, (dim,), values.shape, values.shape, values.dtype, _coordinate_attrs(dim))[...] = values
    unit_chunk = (1,) * (len(table.unit_dims) - 1) + (batch,)
    for variable in (*table.variables, STATUS):
        parent = group.require_group(variable.group) if variable.group else group
        dims = (*table.unit_dims, *variable.dims)
        shape = tuple(sizes[dim] for dim in dims)
        chunks = tuple(min(c, n) for c, n in zip(unit_chunk, shape, strict=False)) + shape[len(unit_chunk) :]
        attrs = variable.attributes()
        if np.dtype(variable.dtype).kind == "i":
            attrs["_FillValue"] = _INTEGER_FILL  # what is unwritten reads as missing
        _create(parent, variable.name, dims, shape, chunks, np.dtype(variable.dtype), attrs)


def _coordinate_attrs(name: str) -> dict[str, Any]:
    known = COORDINATES.get(name)
    return dict(known.attributes()) if known else {}


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


def create_field(result: Path, field: Field) -> None:
    """Lay out a field: labels, type and attributes, and no data."""
    group = zarr.create_group(str(result / field.name), attributes=dict(field.attrs))
    for dim, labels in field.coords.items():
        _create(group, dim, (dim,), labels.shape, labels.shape, labels.dtype, _coordinate_attrs(dim))[...] = labels
    # A slab is whole chunks, of planes that divide it.
    deep = max(n for n in range(1, min(field.planes, _CHUNK) + 1) if field.planes % n == 0)
    chunks = (1, deep, *(min(n, 2 * _CHUNK) for n in field.shape[2:]))
    variable = field.variable
    _create(group, variable.name, variable.dims, field.shape, chunks, np.dtype(variable.dtype), variable.attributes())


def create_dataset(result: Path, dataset: Dataset) -> None:
    """Write data that are known before the run starts, replacing what an earlier attempt left."""
    target, fresh = result / dataset.name, result / f".{dataset.name}.partial"
    shutil.rmtree(fresh, ignore_errors=True)
    group = zarr.create_group(str(fresh), attributes=dict(dataset.attrs))
    for dim, labels in dataset.coords.items():
        _create(group, dim, (dim,), labels.shape, labels.shape, labels.dtype, _coordinate_attrs(dim))[...] = labels
    for name, (dims, values, attrs) in dataset.variables.items():
        values = np.asarray(values)
        _create(group, name, dims, values.shape, values.shape, values.dtype, attrs)[...] = values
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def create_result(root: Path, program: Program, batch: Mapping[str, int]) -> None:
    """Lay out the whole ``result.zarr`` of a run."""
    result = root / "result.zarr"
    zarr.create_group(str(result), attributes=dict(program.attrs))
    for table in program.tables:
        create_table(result, table, batch[table.name])
    for field in program.fields:
        create_field(result, field)
    for dataset in program.static:
        create_dataset(result, dataset)


def sinks(root: Path, program: Program, batch: Mapping[str, int]) -> dict[str, Sink]:
    """Where the units of every task put their answers."""
    found: dict[str, Sink] = {}
    for table in program.tables:
        sizes = {dim: len(values) for dim, values in table.coords.items()}
        path = str(root / "result.zarr" / table.name)
        found[table.name] = TableSink(path, table.variables, sizes, table.unit_shape, batch[table.name])
    for volume in program.volumes:
        found[volume.name] = VolumeSink(str(volume_path(root, volume.name)), volume.shape, volume.block)
    for field in program.fields:
        path = str(root / "result.zarr" / field.name)
        found[field.name] = FieldSink(path, field.variable, field.shape, field.planes)
    for part in program.parts:
        found[part.name] = PartSink(PartFiles(str(root)), part.name, part.passing)
    return found


def context(root: Path, program: Program) -> dict[str, Any]:
    """What every unit of a run is told: what the program says, and where earlier units' parts are."""
    return {**program.context, "parts": PartFiles(str(root))}


def volume_path(root: Path, name: str) -> Path:
    """Directory of a volume. It stands beside the result, as a multiscale group cannot be part of a tree."""
    return root / "volumes" / f"{name}.ome.zarr"
