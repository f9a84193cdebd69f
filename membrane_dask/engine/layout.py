"""Layout of results: labels, types and attributes of tables and images, which are there before any value."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.files import write_json
from membrane_dask.program import Dataset, Image, Program, Table
from membrane_dask.schema import STATUS, TODO, TableSchema, Variable

#: Options of every array: a chunk of nothing but fill values is written too, so that one that is missing was lost.
EVERY_CHUNK: Any = {"write_empty_chunks": True}
_INTEGER_FILL = -1
#: Folder of a run with tables for other programs.
TABLES = "tables"
#: Metadata of the root of the result, below a run.
METADATA = "result.zarr/zarr.json"
#: Largest number of planes in a chunk of an image, and half of its largest extent along the other axes.
_CHUNK = 64


class ResultError(ValueError):
    """Values that are not what their table, image or scratch data holds."""


def converted(value: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """An array in its declared type, if that loses nothing.

    Raises
    ------
    ResultError
        If it holds another kind of values, if a value would be rounded or exceed the type, or if real numbers come in
        a lower precision than declared.
    """
    if not np.can_cast(value.dtype, dtype, "same_kind"):
        raise ResultError(f"holds {value.dtype}, declared {dtype}")
    if value.dtype.kind == dtype.kind == "f" and value.dtype.itemsize < dtype.itemsize:
        raise ResultError(
            f"was computed in {value.dtype} and is declared {dtype}, whose precision it does not have: compute it in "
            f"{dtype}, or declare {value.dtype.str[1:]!r}"
        )
    with np.errstate(over="ignore"):  # reported below
        result = value.astype(dtype)
    if dtype.kind in "iufU":
        changed = result.astype(value.dtype) != value
        if dtype.kind == value.dtype.kind == "f":
            changed &= ~np.isnan(value)
        if changed.any():
            before, after = (array[changed][0].item() for array in (value, result))
            advice = f"; declare {value.dtype.str[1:]!r}, or round it: .astype({dtype.str[1:]!r})"
            raise ResultError(
                f"holds {value.dtype} that does not fit into the declared {dtype}: {before!r} would become {after!r}"
                f"{advice if dtype.kind == 'f' else ''}"
            )
    return result


def create_table(result: Path, table: Table, batch: int) -> None:
    """Lay out a table: every label, type and attribute, and no data."""
    sizes = {dim: len(labels) for dim, labels in table.labels.items()}
    group = _create_group(result / table.name, table.attrs)
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


def _create_group(path: Path, attributes: Mapping[str, Any]) -> Any:
    import zarr  # slow to import, and a run is often opened for its state only

    return zarr.create_group(str(path), attributes=dict(attributes))


def _create_labels(group: Any, schema: TableSchema, dim: str, labels: np.ndarray) -> None:
    attrs = schema.coordinate(dim).attributes()
    _create(group, dim, (dim,), labels.shape, labels.shape, labels.dtype, attrs)[...] = labels


def _create(
    group: Any, name: str, dims: tuple[str, ...], shape: tuple[int, ...], chunks: tuple[int, ...],
    dtype: np.dtype[Any], attrs: Mapping[str, Any],
) -> Any:  # fmt: skip
    from zarr.codecs import ZstdCodec

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
        config=EVERY_CHUNK,
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
    group = _create_group(root / "result.zarr" / image.name, image.attrs)
    for dim, labels in image.labels.items():
        _create_labels(group, image.schema, dim, labels)
    variable = image.variable
    _create(
        group,
        variable.name,
        variable.dims,
        image.shape,
        image_chunks(image),
        np.dtype(variable.dtype),
        variable.attributes(),
    )


def image_chunks(image: Image) -> tuple[int, ...]:
    """Chunk of an image that is a group of the result: a slab is whole chunks, whose thickness divides its own."""
    axis = image.variable.dims.index(image.axis)
    thickness = max(n for n in range(1, min(image.thickness, _CHUNK) + 1) if image.thickness % n == 0)
    return tuple(
        thickness if number == axis else 1 if number < len(image.shape) - 3 else min(size, 2 * _CHUNK)
        for number, size in enumerate(image.shape)  # the last three axes are those of space
    )


def create_dataset(result: Path, dataset: Dataset, tables: Sequence[Table] = ()) -> None:
    """Write a table as a whole, replacing what an earlier attempt left.

    ``tables`` are those of the program, which may label the same dimensions.

    Raises
    ------
    ResultError
        If a variable does not have the dimensions and the type of its declaration, or if a dimension lacks labels.
    """
    target, partial = result / dataset.name, result / f".{dataset.name}.partial"
    arrays: dict[str, tuple[Variable, np.ndarray]] = {}
    labels = dict(dataset.labels)
    for name, value in dataset.values.items():
        variable, array = dataset.schema.variable(name), np.asarray(value)
        dims = (*dataset.dims, *variable.dims)
        target_type = np.dtype(variable.dtype or array.dtype)
        if array.ndim != len(dims):
            raise ResultError(f"{dataset.name}/{name} has the shape {array.shape}, declared are dimensions {dims}")
        for dim, size in zip(dims, array.shape, strict=True):
            if dim not in labels and dim not in dataset.values:
                _require_counting(dataset, dim, size, tables)
            if len(labels.setdefault(dim, np.arange(size))) != size:
                raise ResultError(f"{dataset.name}/{name} has {size} entries along {dim}, which has {len(labels[dim])}")
        try:
            arrays[name] = variable, converted(array, target_type)
        except ResultError as error:
            raise ResultError(f"{dataset.name}/{name} {error}") from None
    shutil.rmtree(partial, ignore_errors=True)
    group = _create_group(partial, dataset.attrs)
    for dim, values in labels.items():
        if dim not in arrays:
            _create_labels(group, dataset.schema, dim, np.asarray(values))
    for name, (variable, array) in arrays.items():
        dims = (*dataset.dims, *variable.dims)
        _create(group, name, dims, array.shape, array.shape, array.dtype, variable.attributes())[...] = array
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _require_counting(dataset: Dataset, dim: str, size: int, tables: Sequence[Table]) -> None:
    """Refuse to number a dimension whose coordinate is something else than a number from 0."""
    units = dataset.schema.coordinate(dim).units
    labels = next((table.labels[dim] for table in tables if dim in table.labels), np.arange(size))
    if units == "1" and np.array_equal(labels, np.arange(len(labels))):
        return
    meaning = f"has the unit {units!r}" if units not in ("", "1") else "is no number from 0"
    raise ResultError(
        f"{dataset.name}: the dimension {dim!r} {meaning} and needs labels: Dataset(..., labels={{{dim!r}: values}})"
    )


def create_result(root: Path, program: Program, batch: Mapping[str, int]) -> None:
    """Lay out all results of a run."""
    result = root / "result.zarr"
    _create_group(result, program.attrs)
    for table in program.tables:
        create_table(result, table, batch[table.name])
    for image in program.images:
        create_image(root, image)
    for dataset in program.inputs:
        create_dataset(result, dataset, program.tables)


def consolidate_metadata(root: Path) -> None:
    """Repeat the metadata of all groups and arrays in that of the root, so that a remote reader needs one request."""
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)  # not in the specification of Zarr 3
        zarr.consolidate_metadata(str(root / "result.zarr"))


def is_consolidated(root: Path) -> bool:
    """Whether the metadata of a result are consolidated."""
    return "consolidated_metadata" in json.loads((root / METADATA).read_bytes())


def remove_consolidated_metadata(root: Path) -> bool:
    """Remove what :func:`consolidate_metadata` has added, as tables are about to change; whether it was there."""
    if not is_consolidated(root):
        return False
    content = json.loads((root / METADATA).read_bytes())
    del content["consolidated_metadata"]
    write_json(root / METADATA, content)
    return True


def volume_path(root: Path, name: str) -> Path:
    """Directory of a volume, outside the result: a multiscale group cannot be part of a tree."""
    return root / "volumes" / f"{name}.ome.zarr"
