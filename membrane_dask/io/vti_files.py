"""Volumes in VTK image files (.vti): cell or point data of an ImageData, in any encoding of its XML format.

Format: "VTK XML file formats", docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html.
"""

from __future__ import annotations

import base64
import binascii
import lzma
import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from membrane_dask.files import require_regular
from membrane_dask.io.header_numbers import header_count, header_number
from membrane_dask.io.header_texts import nanometres
from membrane_dask.io.raster_files import MAX_DECODED, check_decoded_size
from membrane_dask.io.space_directions import SpaceDirections
from membrane_dask.io.volume_file import ReadOptions, VolumeError, VolumeFile, VoxelEdges, select_dataset
from membrane_dask.plain_text import printable_line

#: Bytes of a file whose values are not appended as they are, and of the XML before appended values.
_MAX_TEXT, _MAX_XML = 2 * MAX_DECODED, 10_000_000
_TYPES = {
    "Int8": "i1", "UInt8": "u1", "Int16": "i2", "UInt16": "u2", "Int32": "i4", "UInt32": "u4", "Int64": "i8",
    "UInt64": "u8", "Float32": "f4", "Float64": "f8",
}  # fmt: skip
_APPENDED = re.compile(rb"<AppendedData[^>]*>\s*_")
#: Largest deviation of the length of a direction from 1: headers round.
_UNIT_LENGTH = 1e-3
_SAVE_RAW = "save it with appended raw values and no compressor, which are read in parts"


def open_vti_volume(path: Path, options: ReadOptions) -> VolumeFile:
    """Open a VTK image of one piece; its fastest axis is x.

    Raises
    ------
    VolumeError
        If it is no such file, has several pieces or arrays to choose from, or is shorter than its header says.
    """
    root, appended = _parsed(path)
    grid = root.find("ImageData")
    if root.tag != "VTKFile" or grid is None:
        raise VolumeError(f"{path.name} is no VTK image (ImageData): {printable_line(root.get('type'))[:40]}")
    pieces = grid.findall("Piece")
    if len(pieces) != 1:
        raise VolumeError(f"{path.name} has {len(pieces)} pieces: save it as one")
    stated = (pieces[0].get("Extent") or grid.get("WholeExtent") or "").split()
    extent = [header_count(number, "VTK header, Extent,") for number in stated]
    if len(extent) != 6:
        raise VolumeError(f"{path.name} has no extent of three axes")
    points = [extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0)]
    if min(points) < 1:
        raise VolumeError(f"{path.name} has the extent {extent}, which is empty")
    shapes: dict[str, tuple[int, ...]] = {}
    elements: dict[str, ElementTree.Element] = {}
    for kind, reduction in (("CellData", 1), ("PointData", 0)):
        for element in pieces[0].iterfind(f"{kind}/DataArray"):
            if int(element.get("NumberOfComponents") or 1) == 1 and element.get("type") in _TYPES:
                name = printable_line(element.get("Name") or kind)
                elements[name] = element
                shapes[name] = tuple(n - reduction for n in points)
    name = select_dataset(path.name, shapes, options.dataset)
    form = _Form(path, root, appended)
    array = form.values(elements[name], shapes[name])
    directions = _directions(path, grid)
    edges = tuple(reversed(directions.lengths))
    remarks = (("file", f"VTK image, array {name!r}, {array.dtype}"), *directions.remarks)
    if scale := nanometres(_length_unit(grid)):
        in_nm = VoxelEdges(tuple(scale * edge for edge in edges), "Spacing and length_unit of the VTK image")
        return VolumeFile(array, in_nm, remarks, directions.axes)
    source = f"a VTK image states no unit with its spacing of {' x '.join(f'{edge:g}' for edge in edges)}"
    return VolumeFile(array, VoxelEdges.unknown(source, edges), remarks, directions.axes)


def _directions(path: Path, grid: ElementTree.Element) -> SpaceDirections:
    """Vectors between voxels by the spacing and the matrix of directions, whose columns are those of x, y and z."""
    spacing = _numbers(path, grid, "Spacing", "1 1 1")
    matrix = _numbers(path, grid, "Direction", "1 0 0 0 1 0 0 0 1")
    columns = [[matrix[3 * row + axis] for row in range(3)] for axis in range(3)]
    texts = [f"({','.join(f'{number:g}' for number in column)})" for column in columns]
    for column, text in zip(columns, texts, strict=True):
        length = math.sqrt(sum(number * number for number in column))
        if abs(length - 1) > _UNIT_LENGTH:
            raise VolumeError(
                f"{path.name} has a Direction with the column {text} of length {length:.4g}; allowed are columns of "
                "length 1, as the spacing states the lengths"
            )
    vectors = [[number * edge for number in column] for column, edge in zip(columns, spacing, strict=True)]
    directions = SpaceDirections.of(vectors, texts, "VTK Spacing and Direction")
    # The spacing itself rather than the length of a rounded column.
    return replace(directions, lengths=tuple(spacing))


def _numbers(path: Path, grid: ElementTree.Element, name: str, default: str) -> list[float]:
    """Numbers of an attribute, as many as its default has."""
    numbers, allowed = (grid.get(name) or default).split(), default.split()
    if len(numbers) != len(allowed):
        raise VolumeError(
            f"{path.name} has the {name} {printable_line(' '.join(numbers))[:80]!r}; allowed are {len(allowed)} "
            f'numbers with a decimal point, separated by spaces, such as "{default}"'
        )
    return [header_number(number, f"VTK header, {name},") for number in numbers]


def _length_unit(grid: ElementTree.Element) -> str:
    """Unit of the spacing in files of :func:`membrane_dask.io.grid_files.write_vti`; empty in others."""
    for element in grid.iterfind("FieldData/Array"):
        if element.get("Name") == "length_unit" and element.get("format") == "ascii":
            codes = (element.text or "").split()[:20]
            return "".join(chr(int(code)) for code in codes if code.isdecimal() and 0 < int(code) < 128)
    return ""


def _parsed(path: Path) -> tuple[ElementTree.Element, int | None]:
    """The XML without appended values, and where those begin."""
    size = require_regular(path).st_size
    with path.open("rb") as stream:
        content = stream.read(_MAX_XML)
        match = _APPENDED.search(content)
        if match is None and size > len(content):
            if size > _MAX_TEXT:
                raise VolumeError(f"{path.name} has {size / 1e6:,.0f} MB of XML: {_SAVE_RAW}")
            content += stream.read(_MAX_TEXT)
            match = _APPENDED.search(content)
    text = content[: match.start()] + b"</VTKFile>" if match else content
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise VolumeError(f"{path.name} has a document type, which VTK files have not")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise VolumeError(f"{path.name} is no readable VTK file: {error}") from error
    if match is not None:
        encoding = re.search(rb'encoding="(\w+)"', match.group())
        root.set("appended", encoding[1].decode() if encoding else "base64")
    return root, match.end() if match else None


@dataclass(frozen=True)
class _Form:
    """How a file stores its arrays."""

    path: Path
    root: ElementTree.Element
    appended: int | None

    def values(self, element: ElementTree.Element, shape: tuple[int, ...]) -> np.ndarray:
        """Values ``(z, y, x)`` of an array."""
        order: Literal["<", ">"] = "<" if self.root.get("byte_order", "LittleEndian") == "LittleEndian" else ">"
        dtype = np.dtype(_TYPES[str(element.get("type"))]).newbyteorder(order)
        header = np.dtype(_TYPES.get(self.root.get("header_type", "UInt32"), "u4")).newbyteorder(order)
        n_bytes = math.prod(shape) * dtype.itemsize
        form, compressor = element.get("format", "ascii"), self.root.get("compressor", "")
        if form == "appended" and self.root.get("appended") == "raw" and not compressor:
            assert self.appended is not None
            start = self.appended + int(element.get("offset", 0)) + header.itemsize
            if start + n_bytes > self.path.stat().st_size:
                raise self._error(f"is truncated: {' x '.join(map(str, shape))} values need {n_bytes:,} bytes")
            return np.memmap(self.path, dtype, "r", start, shape)
        check_decoded_size("it", shape, dtype, _SAVE_RAW)
        if form == "ascii":
            content = np.array((element.text or "").split(), dtype=dtype).tobytes()
        else:
            content = self._decoded(self._blocks(element, form), header, compressor, n_bytes)
        if len(content) != n_bytes:
            raise self._error(f"is damaged: it holds {len(content):,} bytes, its extent needs {n_bytes:,}")
        return np.frombuffer(content, dtype).reshape(shape)

    def _error(self, text: str) -> VolumeError:
        return VolumeError(f"{self.path.name} {text}")

    def _blocks(self, element: ElementTree.Element, form: str) -> tuple[bytes, bool]:
        """Content from the header of an array on, and whether it is base64."""
        if form == "binary":
            return (element.text or "").strip().encode("ascii", "replace"), True
        if form != "appended" or self.appended is None:
            raise self._error(f"has an array of the format {printable_line(form)[:40]!r}, and no such values")
        if self.path.stat().st_size > _MAX_TEXT:
            raise self._error(f"is too large to be decoded at once: {_SAVE_RAW}")
        with self.path.open("rb") as stream:
            stream.seek(self.appended + int(element.get("offset", 0)))
            return stream.read(), self.root.get("appended") != "raw"

    def _decoded(self, source: tuple[bytes, bool], header: Any, compressor: str, n_bytes: int) -> bytes:
        content, is_base64 = source
        if not compressor:
            start = header.itemsize
            taken = self._take(content, is_base64, start + n_bytes)
            return taken[start:]
        n_blocks = int(np.frombuffer(self._take(content, is_base64, header.itemsize), header)[0])
        size = (3 + n_blocks) * header.itemsize
        if not 0 <= size <= len(content):
            raise self._error(f"is damaged: it states {n_blocks} compressed blocks")
        head = np.frombuffer(self._take(content, is_base64, size), header).astype(np.int64)
        block, last, lengths = int(head[1]), int(head[2]), head[3:]
        rest = content[_base64_length(size) :] if is_base64 else content[size:]
        packed = self._take(rest, is_base64, int(lengths.sum()))
        unpack = self._decompressor(compressor)
        blocks, start = [], 0
        for number, length in enumerate(lengths.tolist()):
            limit = last if number == n_blocks - 1 and last else block
            blocks.append(unpack(packed[start : start + length], min(max(limit, 0), n_bytes)))
            start += length
        return b"".join(blocks)

    def _take(self, content: bytes, is_base64: bool, size: int) -> bytes:
        """The first ``size`` bytes of what may be base64."""
        if size < 0 or (_base64_length(size) if is_base64 else size) > len(content):
            raise self._error("is truncated: its values end before the file says")
        if not is_base64:
            return content[:size]
        try:
            return base64.b64decode(content[: _base64_length(size)])[:size]
        except binascii.Error as error:
            raise self._error(f"is damaged: {error}") from error

    def _decompressor(self, compressor: str) -> Callable[[bytes, int], bytes]:
        if compressor == "vtkZLibDataCompressor":
            return lambda data, limit: zlib.decompressobj().decompress(data, limit) if limit else b""
        if compressor == "vtkLZMADataCompressor":
            return lambda data, limit: lzma.LZMADecompressor().decompress(data, limit)
        if compressor == "vtkLZ4DataCompressor":
            import imagecodecs

            return lambda data, limit: bytes(imagecodecs.lz4_decode(data, header=False, out=limit))
        raise self._error(f"is compressed by {printable_line(compressor)[:40]}, which is not read: {_SAVE_RAW}")


def _base64_length(size: int) -> int:
    return 4 * -(-size // 3)
