"""Copies of Zarr groups in few files: small arrays in one chunk, large ones in shards of many chunks."""

from __future__ import annotations

import itertools
import json
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

#: Arrays up to this size are one chunk, in bytes.
ONE_CHUNK = 16_000_000
#: Largest shard before compression, in bytes: it is held in memory while it is written.
SHARD = 128_000_000


def group_bytes(group: Any) -> int:
    """Bytes of all arrays of a group, before compression."""
    return sum(_array_bytes(member) for _, member in group.members(max_depth=None) if hasattr(member, "shape"))


def _array_bytes(array: Any) -> int:
    return int(math.prod(array.shape) * getattr(array.dtype, "itemsize", 1))


def copy_group(
    source: Any, target: Path, *, shard_all: bool = False, progress: Callable[[int], None] = lambda size: None
) -> None:  # fmt: skip
    """Copy a group with all groups and arrays below it, and consolidate the metadata of the copy.

    Parameters
    ----------
    source : zarr.Group
        Its values are decoded and compared with their checksums.
    target : Path
        Directory of the copy; must not exist.
    shard_all : bool
        Shards for small arrays too, and the chunks of the source.
    progress : callable
        Receives the bytes that were copied since the last call, of :func:`group_bytes` in all.
    """
    import zarr

    copy = zarr.create_group(str(target), attributes=dict(source.attrs))
    for name, member in sorted(source.members(max_depth=None)):
        if isinstance(member, zarr.Group):
            copy.require_group(name).attrs.update(dict(member.attrs))
        else:
            _copy_array(member, copy, name, shard_all=shard_all, progress=progress)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)  # not in the specification of Zarr 3
        zarr.consolidate_metadata(str(target))


def _copy_array(
    array: Any, group: Any, name: str, *, shard_all: bool, progress: Callable[[int], None]
) -> None:  # fmt: skip
    from zarr.codecs import ZstdCodec

    size = _array_bytes(array)
    chunks, shards = tuple(max(n, 1) for n in array.shape), None
    if shard_all or size > ONE_CHUNK:
        chunks = array.chunks
        shards = _shard(array.shape, chunks, array.dtype.itemsize)
    copy = group.create_array(
        name, shape=array.shape, chunks=chunks, shards=shards, dtype=array.dtype, fill_value=array.fill_value,
        compressors=[ZstdCodec(level=3, checksum=True)], dimension_names=array.metadata.dimension_names,
        attributes=dict(array.attrs), config={"write_empty_chunks": True},
    )  # fmt: skip
    for region in _regions(array.shape, shards or chunks):
        values = array[region]
        copy[region] = values
        progress(np.size(values) * getattr(array.dtype, "itemsize", 1))


def _shard(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole chunks of at most ``SHARD`` bytes, that extend along the last axes first."""
    shard, size = list(chunks), math.prod(chunks) * itemsize
    for axis in reversed(range(len(shape))):
        factor = max(1, min(-(-shape[axis] // chunks[axis]), SHARD // size))
        shard[axis] *= factor
        size *= factor
    return tuple(shard)


def _regions(shape: tuple[int, ...], step: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    starts = (range(0, size, edge) for size, edge in zip(shape, step, strict=True))
    for corner in itertools.product(*starts):
        yield tuple(slice(start, start + edge) for start, edge in zip(corner, step, strict=True))


def zip_ome_zarr(volume: Path, target: Path) -> None:
    """Store an OME-Zarr volume in one file ``.ozx``.

    Parameters
    ----------
    volume : Path
        Directory of a volume whose arrays are sharded.
    target : Path
        File to write.

    Notes
    -----
    The recommended variant of single-file OME-Zarr (RFC 9 of OME-NGFF): entries are not compressed, metadata are first,
    in breadth-first order, and the comment of the archive states the version.
    """
    version = json.loads((volume / "zarr.json").read_bytes())["attributes"]["ome"]["version"]
    files = sorted(
        (path.relative_to(volume).as_posix() for path in volume.rglob("*") if path.is_file()),
        key=lambda name: (not name.endswith("zarr.json"), name.count("/"), name),
    )
    with zipfile.ZipFile(target, "w") as archive:
        for name in files:
            add_to_zip(archive, volume / name, name)
        archive.comment = json.dumps({"ome": {"version": version}}).encode() + b"\0"


def add_to_zip(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    """Add a file without compression, so that a part of it can be read, and without its time."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as stream:
        while block := source.read(1 << 20):
            stream.write(block)
