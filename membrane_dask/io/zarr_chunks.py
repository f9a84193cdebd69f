"""Zarr arrays of volumes, whose missing chunks are refused unless they stand for the fill value."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.io.zarr_files import ChunkFiles

#: Offset and length of an empty chunk in the index of a shard.
_EMPTY = np.iinfo(np.uint64).max

#: Bytes of a chunk's file beyond its values, for headers and indices.
_OVERHEAD = 10_000_000
#: Missing chunks that are counted.
_MAX_MISSING = 1000

Coords = tuple[int, ...]


class MissingChunkError(ValueError):
    """A chunk of a volume is missing or cannot be decoded; the message names it."""


@dataclass(frozen=True)
class ZarrVolume:
    """A Zarr array, without leading axes of length one.

    Parameters
    ----------
    files : ChunkFiles
        Files of the volume, by their names in its store.
    array : zarr.Array
        Array in it.
    fill : bool
        Whether chunks that are missing are read as the fill value. Many writers leave out chunks of nothing else; a
        chunk that a copy or a disk has lost looks the same.
    """

    files: ChunkFiles
    array: Any
    fill: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the last three axes."""
        return tuple(self.array.shape[-3:])

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        return self.array.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        where = where if isinstance(where, tuple) else (where,)
        where = (0,) * (self.array.ndim - len(self.shape)) + where
        coords = list(itertools.product(*self._touched(where)))
        sizes = [self._size(each) for each in coords]
        if not self.fill:
            self._refuse([name for each, size in zip(coords, sizes, strict=True) for name in self._missing(each, size)])
        try:
            return np.asarray(self.array[where])
        except MissingChunkError:
            raise
        except Exception as error:  # decoders raise many types
            for each in coords:
                if not self._is_readable(each):
                    raise MissingChunkError(f"its chunk {self._name(each)} cannot be decoded: {error}") from error
            raise

    def require_complete(self) -> None:
        """Refuse a volume with missing chunks.

        Raises
        ------
        MissingChunkError
            If a chunk is missing or empty, and is not to be read as the fill value.
        """
        if self.fill:
            return
        sizes = self.files.sizes(self.array.path)
        keys = itertools.product(*map(range, self._grid))
        encode = self.array.metadata.encode_chunk_key
        missing = (name for each in keys for name in self._missing(each, sizes.get(encode(each))))
        self._refuse(list(itertools.islice(missing, _MAX_MISSING)))

    @property
    def _edges(self) -> tuple[int, ...]:
        """Shape of what one file holds: a chunk, or a shard of several."""
        return tuple(self.array.shards or self.array.chunks)

    @property
    def _grid(self) -> tuple[int, ...]:
        return tuple(-(-n // edge) for n, edge in zip(self.array.shape, self._edges, strict=True))

    def _name(self, coords: Coords) -> str:
        return f"{self.array.path}/{self.array.metadata.encode_chunk_key(coords)}".lstrip("/")

    def _size(self, coords: Coords) -> int | None:
        size = self.files.size(self._name(coords))
        if size and size > self._max_size:
            raise MissingChunkError(
                f"its chunk {self._name(coords)} has {size:,} bytes, more than its values need: it is damaged"
            )
        return size

    @property
    def _max_size(self) -> int:
        """Bytes that a file of a chunk has at most: no codec makes twice as much of its values."""
        return _OVERHEAD + 2 * math.prod(self._edges) * int(np.dtype(self.array.dtype).itemsize)

    def _touched(self, where: Sequence[Any]) -> list[Sequence[int]]:
        """Numbers of the chunks, or shards, that an index reads, along each axis."""
        touched: list[Sequence[int]] = []
        for axis, (n, edge) in enumerate(zip(self.array.shape, self._edges, strict=True)):
            index = where[axis] if axis < len(where) else slice(None)
            indices = range(n)[index if isinstance(index, slice) else slice(int(index), int(index) + 1 or None)]
            touched.append(range(indices[0] // edge, indices[-1] // edge + 1) if len(indices) else ())
        return touched

    def _missing(self, coords: Coords, size: int | None) -> Iterator[str]:
        """Names of what is missing: the file, or chunks in a shard."""
        if not size:
            yield self._name(coords)
        elif self.array.shards:
            yield from self._missing_in_shard(coords)

    def _missing_in_shard(self, coords: Coords) -> Iterator[str]:
        codec = next(codec for codec in self.array.metadata.codecs if hasattr(codec, "index_codecs"))
        names = [index_codec.to_dict()["name"] for index_codec in codec.index_codecs]
        if names not in (["bytes"], ["bytes", "crc32c"]):
            raise MissingChunkError(f"its shards have an index that cannot be checked (codecs {', '.join(names)})")
        chunks = self.array.chunks
        grid = tuple(edge // chunk for edge, chunk in zip(self._edges, chunks, strict=True))
        length = 16 * math.prod(grid)
        with self.files.open(self._name(coords)) as stream:
            if codec.index_location.value == "end":
                stream.seek(-(length + (4 if "crc32c" in names else 0)), os.SEEK_END)
            index = np.frombuffer(stream.read(length), "<u8").reshape(*grid, 2)
        for inner in np.argwhere((index == _EMPTY).all(axis=-1)).tolist():
            starts = [
                c * edge + i * chunk for c, edge, i, chunk in zip(coords, self._edges, inner, chunks, strict=True)
            ]
            if all(start < n for start, n in zip(starts, self.array.shape, strict=True)):
                yield f"{self._name(coords)} (chunk {'/'.join(map(str, inner))} of the shard)"

    def _is_readable(self, coords: Coords) -> bool:
        region = tuple(slice(c * edge, (c + 1) * edge) for c, edge in zip(coords, self._edges, strict=True))
        try:
            self.array[region]
        except Exception:  # decoders raise many types
            return False
        return True

    def _refuse(self, missing: list[str]) -> None:
        if missing:
            count = f" and {len(missing) - 1} more" if missing[1:] else ""
            if len(missing) == _MAX_MISSING:
                count = f" and at least {_MAX_MISSING - 1} more"
            raise MissingChunkError(
                f"its chunk {missing[0]}{count} is missing or empty; if its writer leaves out chunks of nothing but "
                f"the fill value ({self.array.fill_value}), read them as such with: missing_chunks: fill"
            )
