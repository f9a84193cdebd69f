"""Number of files of a result, which file systems of clusters limit, known before a run is laid out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from membrane_dask.engine.layout import image_chunks
from membrane_dask.io.ome_zarr import level_shapes
from membrane_dask.program import Dataset, Image, Program, Table


def result_files(program: Program, batch: Mapping[str, int]) -> int:
    """Files of ``result.zarr`` and of the volumes once every unit is finished.

    Parameters
    ----------
    program : Program
        The study made ready to run.
    batch : mapping of str to int
        Units in a chunk, by table.

    Returns
    -------
    int
        Tables that follow from finished units are not counted: their number is known at the end only.
    """
    return (
        1
        + sum(_table_files(table, batch[table.name]) for table in program.tables)
        + sum(_image_files(image) for image in program.images)
        + sum(_dataset_files(dataset) for dataset in program.inputs)
    )


def _array_files(shape: Sequence[int], chunks: Sequence[int]) -> int:
    """Metadata and chunks of an array."""
    return 1 + math.prod(-(-size // max(chunk, 1)) for size, chunk in zip(shape, chunks, strict=True))


def _label_files(lengths: Iterable[int]) -> int:
    return sum(_array_files((length,), (length,)) for length in lengths)


def _table_files(table: Table, batch: int) -> int:
    units = _array_files(table.unit_shape, (*(1,) * (len(table.unit_shape) - 1), batch))
    sizes = {dim: len(labels) for dim, labels in table.labels.items()}
    variables = table.schema.variables
    empty = sum(any(not sizes[dim] for dim in variable.dims) for variable in variables)  # without a chunk
    groups = {"/".join(v.group.split("/")[:depth]) for v in variables for depth in range(v.group.count("/") + 2)}
    return len(groups | {""}) + (len(variables) + 1 - empty) * units + empty + _label_files(sizes.values())


def _image_files(image: Image) -> int:
    if image.voxel_size_nm is None:
        return 1 + _label_files(map(len, image.labels.values())) + _array_files(image.shape, image_chunks(image))
    levels = level_shapes(image.shape, image.thickness, image.axis)  # type: ignore[arg-type]
    return 1 + sum(_array_files(shape, chunks) for shape, chunks in levels)


def _dataset_files(dataset: Dataset) -> int:
    sizes = {dim: len(labels) for dim, labels in dataset.labels.items()}
    for name, values in dataset.values.items():
        for dim, size in zip((*dataset.dims, *dataset.schema.variable(name).dims), values.shape, strict=True):
            sizes.setdefault(dim, size)
    labels = [size for dim, size in sizes.items() if dim not in dataset.values]
    return 1 + _label_files(labels) + sum(_array_files(v.shape, v.shape) for v in dataset.values.values())
