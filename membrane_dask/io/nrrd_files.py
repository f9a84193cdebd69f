"""Volumes in NRRD files (.nrrd, .nhdr): header, spacing and values, which are mapped into memory if not compressed.

Format: "Definition of NRRD File Format", teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import bz2
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.files import require_regular
from membrane_dask.io.header_numbers import header_count, header_number
from membrane_dask.io.header_texts import decoded_text, nanometres
from membrane_dask.io.raster_files import check_decoded_size
from membrane_dask.io.space_directions import SpaceDirections
from membrane_dask.io.volume_file import ReadOptions, VolumeError, VolumeFile, VoxelEdges
from membrane_dask.io.volume_views import as_volume
from membrane_dask.plain_text import printable_line

#: Bytes of a header.
_MAX_HEADER = 1_000_000
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"), "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"), "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",), "f8": ("double",),
}  # fmt: skip
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
#: What states the edges of a voxel of some files.
_DIRECTIONS = "NRRD space directions"
_TEXT = ("text", "txt", "ascii")
_SAVE_RAW = "save it with the encoding raw, which is read in parts"


def open_nrrd_volume(path: Path, options: ReadOptions) -> VolumeFile:
    """Open an NRRD file; its fastest axis, which it names first, is x.

    Raises
    ------
    VolumeError
        If its header is none, it refers to several files or to files elsewhere, or it is shorter than its header says.
    ValueError
        If a length in it is no number, or the axes are not at right angles.
    """
    fields, offset = _header(path)
    sizes = [header_count(text, "NRRD header, sizes,") for text in _field(fields, "sizes", path).split()]
    dimension = header_count(_field(fields, "dimension", path), "NRRD header, dimension,")
    kind = _field(fields, "type", path).lower()
    if kind not in _DTYPES or len(sizes) != dimension or min(sizes) < 1:
        raise VolumeError(
            f"{path.name} holds {len(sizes)} axes of the sizes {sizes} and values of the type "
            f"{printable_line(kind)[:40]!r}; a volume of numbers is needed"
        )
    dtype = np.dtype(_DTYPES[kind])
    encoding = fields.get("encoding", "raw").lower()
    if dtype.itemsize > 1 and encoding not in _TEXT:
        order = fields.get("endian", "").lower()
        if order not in ("little", "big"):
            raise VolumeError(
                f"{path.name} has the byte order {printable_line(order)[:40]!r}; add the line 'endian: little' to its "
                "header, as most programs write, or 'endian: big'"
            )
        dtype = dtype.newbyteorder("<" if order == "little" else ">")
    shape = tuple(reversed(sizes))
    values = _values(_data_file(fields, path), fields, offset, shape, dtype, encoding)
    ndim = len(shape)
    spatial = [axis for axis in range(ndim) if sizes[axis] > 1] if ndim > 3 else list(range(ndim))
    text = f"NRRD, {np.dtype(_DTYPES[kind])}, encoding {encoding}"
    volume, remark = as_volume(values, path.name), ("file", text)
    if "spacedirections" not in fields or len(spatial) < 3:
        return VolumeFile(volume, _edges(fields, ndim, spatial[-3:]), (remark,))
    edges, directions = _oriented_edges(fields, ndim, spatial[-3:])
    if directions is None:
        return VolumeFile(volume, edges, (remark,))
    return VolumeFile(volume, edges, (remark, *directions.remarks), directions.axes)


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Fields of the header by their names in lower case, and the bytes before the values of an attached file."""
    require_regular(path)
    with path.open("rb") as stream:
        content = stream.read(_MAX_HEADER)
    if not re.match(rb"NRRD000\d", content):
        raise VolumeError(f"{path.name} is no NRRD file")
    end = re.search(rb"\r?\n\r?\n", content)
    if end is None and len(content) == _MAX_HEADER:
        raise VolumeError(f"{path.name} has a header of more than {_MAX_HEADER:,} bytes")
    head = content[: end.start()] if end else content
    fields = {}
    for line in decoded_text(head).splitlines()[1:]:
        name, separator, value = line.partition(":")
        if separator and not line.startswith("#") and not value.startswith("="):
            fields[name.strip().lower().replace(" ", "")] = value.strip()
    return fields, end.end() if end else len(content)


def _field(fields: dict[str, str], name: str, path: Path) -> str:
    if name not in fields:
        raise VolumeError(f"{path.name} has an NRRD header without {name!r}")
    return fields[name]


def _data_file(fields: dict[str, str], path: Path) -> Path:
    """The file of the values: the same, or one in the folder of the header."""
    name = fields.get("datafile", "")
    if not name:
        return path
    if name.upper().startswith("LIST") or "%" in name:
        raise VolumeError(f"{path.name} refers to several files: save it as one, or name their folder as input")
    name = name.removeprefix("./").removeprefix(".\\")
    if name != Path(name).name or "\\" in name:
        raise VolumeError(f"{path.name} refers to {printable_line(name)[:80]!r}, which is not in its folder")
    if not path.with_name(name).exists():
        raise VolumeError(
            f"{path.name} refers to {printable_line(name)[:80]!r}, which its folder does not have: copy it"
        )
    require_regular(path.with_name(name))
    return path.with_name(name)


def _values(
    path: Path, fields: dict[str, str], offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], encoding: str
) -> np.ndarray:
    """Values ``(..., z, y, x)``."""
    size, n_bytes = path.stat().st_size, math.prod(shape) * dtype.itemsize
    start = 0 if fields.get("datafile") else offset
    lines = header_count(fields.get("lineskip", 0), "NRRD header, line skip,")
    skip = header_count(fields.get("byteskip", 0), "NRRD header, byte skip,")
    if lines:
        with path.open("rb") as stream:
            stream.seek(start)
            for _ in range(min(lines, 100_000)):
                stream.readline(_MAX_HEADER)
            start = stream.tell()
    if encoding == "raw":
        start = size - n_bytes if skip == -1 else start + skip
        if start < 0 or start + n_bytes > size:
            raise VolumeError(
                f"{path.name} is truncated: {' x '.join(map(str, shape))} values of {dtype} need {n_bytes:,} bytes, "
                f"and there are {max(size - max(start, 0), 0):,}"
            )
        return np.memmap(path, dtype, "r", start, shape)
    check_decoded_size("it", shape, dtype, _SAVE_RAW)
    with path.open("rb") as stream:
        stream.seek(start)
        if encoding in ("gzip", "gz", "bzip2", "bz2"):
            content = _unpacked(stream, encoding, n_bytes + max(skip, 0))[max(skip, 0) :]
        elif encoding in _TEXT:
            content = _numbers(stream.read(40 * math.prod(shape) + 1000).split(), dtype, path).tobytes()
        else:
            raise VolumeError(f"{path.name} has the encoding {printable_line(encoding)[:40]!r}: save it as raw or gzip")
    if len(content) != n_bytes:
        raise VolumeError(f"{path.name} is damaged: it holds {len(content):,} bytes, its header says {n_bytes:,}")
    return np.frombuffer(content, dtype).reshape(shape)


def _numbers(texts: list[bytes], dtype: np.dtype[Any], path: Path) -> np.ndarray:
    """Values of a file of the encoding text, in which whole numbers may have a decimal point."""
    try:
        return np.array(texts, dtype)
    except ValueError:
        numbers = np.array(texts, np.float64)
    values = numbers.astype(dtype)
    if (values != numbers).any():
        raise VolumeError(f"{path.name} has numbers that are no values of the type {dtype}: correct the type")
    return values


def _unpacked(stream: Any, encoding: str, limit: int) -> bytes:
    """Values of a compressed file, at most one byte more than ``limit``."""
    unpacked = bytearray()
    is_gzip = encoding.startswith("gz")
    decoder: Any = zlib.decompressobj(wbits=47) if is_gzip else bz2.BZ2Decompressor()
    data = stream.read(1 << 20)
    while not decoder.eof and len(unpacked) <= limit:
        unpacked += decoder.decompress(data, limit + 1 - len(unpacked))
        data = decoder.unconsumed_tail if is_gzip else b""
        if not data and (is_gzip or decoder.needs_input):
            data = stream.read(1 << 20)
            if not data:
                break
    return bytes(unpacked)


def _edges(fields: dict[str, str], ndim: int, axes: list[int]) -> VoxelEdges:
    """Edges of a voxel along ``z, y, x`` by the spacings; ``axes`` are those of space, the fastest first."""
    lengths = [header_number(text, "NRRD header, spacings,") for text in fields.get("spacings", "").split()]
    units = _quoted(fields.get("units", "")) or _quoted(fields.get("spaceunits", ""))
    if len(lengths) != ndim or any(math.isnan(lengths[axis]) for axis in axes):
        return VoxelEdges.unknown("the NRRD header has no spacing of all axes")
    edges = tuple(lengths[axis] for axis in reversed(axes))
    factors = [nanometres(unit) for unit in units]
    factors = factors if len(factors) == len(axes) else [factors[axis] for axis in axes] if len(factors) == ndim else []
    if len(factors) != 3 or None in factors:
        return _without_unit("NRRD spacings", edges)
    nm = tuple(edge * float(unit) for edge, unit in zip(edges, reversed(factors), strict=True) if unit)
    return VoxelEdges(nm, "NRRD spacings")


def _quoted(text: str) -> list[str]:
    """Words of a field, in quotation marks or without."""
    return [word.strip('" ') for word in re.findall(r'"[^"]*"|\S+', text)]


def _without_unit(source: str, edges: tuple[float, ...]) -> VoxelEdges:
    stated = " x ".join(f"{edge:g}" for edge in edges)
    return VoxelEdges.unknown(f"{source} are {stated} without a unit of length", edges)


def _oriented_edges(fields: dict[str, str], ndim: int, axes: list[int]) -> tuple[VoxelEdges, SpaceDirections | None]:
    """Edges of a voxel along ``z, y, x`` by the space directions, and these; ``axes`` as in :func:`_edges`."""
    vectors = re.findall(r"none|\([^)]*\)", fields["spacedirections"].lower())
    if len(vectors) != ndim or any(vectors[axis] == "none" for axis in axes):
        return VoxelEdges.unknown("the NRRD header has no space directions of all axes"), None
    has_time = fields.get("space", "").lower().endswith("time")
    n_axes = header_count(fields.get("spacedimension", 4 if has_time else 3), "NRRD header, space dimension,")
    units = [nanometres(unit) for unit in _quoted(fields.get("spaceunits", ""))]
    # These units are those of the axes of space, along which the vectors have their components.
    has_units = len(units) == n_axes and all(units[:3])
    scales = [float(unit or 1.0) for unit in units] if has_units else [1.0] * n_axes
    texts = [vectors[axis] for axis in axes]
    directions = SpaceDirections.of([_vector(text, scales) for text in texts], texts, _DIRECTIONS)
    edges = tuple(reversed(directions.lengths))
    if not has_units:
        return _without_unit(_DIRECTIONS, edges), directions
    return VoxelEdges(edges, _DIRECTIONS), directions


def _vector(text: str, scales: Sequence[float]) -> tuple[float, ...]:
    """Vector such as ``(0,0,1.5)``; ``scales`` are the units of its components."""
    components = text.strip("()").split(",")
    if len(components) != len(scales):
        raise VolumeError(
            f"its NRRD header, space directions, is {printable_line(text)[:60]!r}; allowed are {len(scales)} numbers "
            "with a decimal point, with commas between them, such as (0.25,0,0)"
        )
    numbers = [header_number(component, "NRRD header, space directions,") for component in components]
    return tuple(number * scale for number, scale in zip(numbers, scales, strict=True))
