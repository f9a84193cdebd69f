"""Writers of fields on voxels as VTK (XML and legacy), NIfTI and OME-TIFF files, slab by slab.

All formats store the edges of a voxel and their unit. Lengths are in nanometres, but in micrometres in NIfTI, which has
no smaller unit.
"""

from __future__ import annotations

import contextlib
import gzip
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import quoteattr

import numpy as np

from membrane_dask.io.exported_items import GridItem

#: Names of types in XML files and legacy files of VTK, and numbers of those in NIfTI.
_TYPES = {
    "|u1": ("UInt8", "unsigned_char", 2),
    "<f4": ("Float32", "float", 16),
    "<f8": ("Float64", "double", 64),
}
#: NIfTI: largest number of voxels along an axis, code of vectors, code of micrometres, code of a transformation.
_NIFTI_MAX, _NIFTI_VECTOR, _NIFTI_MICRON, _NIFTI_SCANNER = 32767, 1007, 3, 1


def _interleaved(item: GridItem, start: int, stop: int) -> np.ndarray:
    """Values of some planes as VTK stores them: vectors ``x, y, z`` one after another."""
    values = np.asarray(item.read(start, stop), item.dtype)
    return np.ascontiguousarray(np.moveaxis(values[::-1], 0, -1)) if item.is_vector else np.ascontiguousarray(values)


def _characters(text: str) -> str:
    """A string in a VTK file: codes of its characters, and 0."""
    return " ".join(str(code) for code in (*text.encode(), 0))


def write_vti(item: GridItem, path: Path) -> None:
    """Write a field as VTK image data with values of cells (voxels), the first voxel at the origin."""
    (nz, ny, nx), (dz, dy, dx) = item.shape, item.spacing_nm
    extent = f'"0 {nx} 0 {ny} 0 {nz}"'
    kind = _TYPES[item.dtype.str][0]
    head = f"""<?xml version="1.0"?>
<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">
<ImageData WholeExtent={extent} Origin="0 0 0" Spacing="{dx!r} {dy!r} {dz!r}">
<FieldData>
<Array type="String" Name="length_unit" NumberOfTuples="1" format="ascii">{_characters("nm")}</Array>
<Array type="String" Name="description" NumberOfTuples="1" format="ascii">{_characters(item.description)}</Array>
</FieldData>
<Piece Extent={extent}>
<CellData {"Vectors" if item.is_vector else "Scalars"}={quoteattr(item.name)}>
<DataArray type="{kind}" Name={quoteattr(item.name)} NumberOfComponents="{item.n_components}" format="appended" """
    head += 'offset="0"/>\n</CellData>\n</Piece>\n</ImageData>\n<AppendedData encoding="raw">\n_'
    with path.open("wb") as stream:
        stream.write(head.encode())
        stream.write(struct.pack("<Q", item.nbytes))
        for start, stop in item.slabs():
            stream.write(_interleaved(item, start, stop).data)
        stream.write(b"\n</AppendedData>\n</VTKFile>\n")


def write_legacy_vtk(item: GridItem, path: Path) -> None:
    """Write a field in VTK's legacy format (binary), with values of cells (voxels)."""
    (nz, ny, nx), (dz, dy, dx) = item.shape, item.spacing_nm
    kind = _TYPES[item.dtype.str][1]
    head = ["# vtk DataFile Version 3.0", f"{item.description}; lengths in nm"[:255], "BINARY"]
    head += ["DATASET STRUCTURED_POINTS", f"DIMENSIONS {nx + 1} {ny + 1} {nz + 1}", "ORIGIN 0 0 0"]
    head += [f"SPACING {dx!r} {dy!r} {dz!r}", f"CELL_DATA {nx * ny * nz}"]
    head += (
        [f"VECTORS {item.name} {kind}"] if item.is_vector else [f"SCALARS {item.name} {kind} 1", "LOOKUP_TABLE default"]
    )
    with path.open("wb") as stream:
        stream.write(("\n".join(head) + "\n").encode())
        for start, stop in item.slabs():
            values = _interleaved(item, start, stop)
            stream.write(values.astype(values.dtype.newbyteorder(">")).data)
        stream.write(b"\n")


def write_nifti(item: GridItem, path: Path) -> None:
    """Write a field as NIfTI-1: ``x, y, z`` with voxels in micrometres, and the components of a vector last.

    Raises
    ------
    ValueError
        If an axis has more than 32767 voxels.
    """
    if max(item.shape) > _NIFTI_MAX:
        raise ValueError(f"NIfTI-1 has at most {_NIFTI_MAX} voxels along an axis (got {item.shape}); write .vti")
    with _opened(path) as stream:
        stream.write(_nifti_header(item))
        for component in (2, 1, 0) if item.is_vector else (None,):
            for start, stop in item.slabs():
                values = np.asarray(item.read(start, stop), item.dtype)
                stream.write(np.ascontiguousarray(values if component is None else values[component]).data)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file for bytes, compressed if its name says so; the same bytes at any time and under any name."""
    with path.open("wb") as raw:
        if not path.name.lower().endswith(".gz"):
            yield raw
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=4) as stream:
            yield stream  # type: ignore[misc]


def _nifti_header(item: GridItem) -> bytes:
    """The 348 bytes of the header, and 4 bytes that say that no extension follows."""
    (nz, ny, nx), spacing = item.shape, [1e-3 * edge for edge in item.spacing_nm[::-1]]
    dims = (5, nx, ny, nz, 1, 3, 1, 1) if item.is_vector else (3, nx, ny, nz, 1, 1, 1, 1)
    code, bits = _TYPES[item.dtype.str][2], 8 * item.dtype.itemsize
    rows = [[edge if axis == column else 0.0 for column in range(3)] + [edge / 2] for axis, edge in enumerate(spacing)]
    header = struct.pack("<i10s18sihcB", 348, b"", b"", 0, 0, b"r", 0)
    header += struct.pack("<8h3f4h", *dims, 0.0, 0.0, 0.0, _NIFTI_VECTOR if item.is_vector else 0, code, bits, 0)
    header += struct.pack("<8f", 1.0, *spacing, 1.0, 1.0, 1.0, 1.0)
    header += struct.pack("<3fhBB4f2i", 352.0, 0.0, 0.0, 0, 0, _NIFTI_MICRON, 0.0, 0.0, 0.0, 0.0, 0, 0)
    header += struct.pack("<80s24s2h", item.description.encode("ascii", "replace")[:79], b"", 0, _NIFTI_SCANNER)
    header += struct.pack("<6f", 0.0, 0.0, 0.0, *(edge / 2 for edge in spacing))
    header += struct.pack("<12f16s4s", *rows[0], *rows[1], *rows[2], item.name.encode("ascii", "replace")[:15], b"n+1")
    return header + bytes(4)


def write_tiff(item: GridItem, path: Path, software: str) -> None:
    """Write a field as OME-TIFF, a page a plane, losslessly compressed; the components of a vector are channels."""
    import tifffile

    dz, dy, dx = item.spacing_nm
    sizes = {f"PhysicalSize{axis}": edge for axis, edge in zip("XYZ", (dx, dy, dz), strict=True)}
    metadata: dict[str, Any] = {
        "axes": "CZYX" if item.is_vector else "ZYX",
        "Name": item.name,
        "Description": item.description,
        # The identifier of a file is random unless it is given: the same data have the same bytes.
        "UUID": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{item.name} {item.shape} {item.spacing_nm}')}",
        "Creator": software,
        **sizes,
        **{f"{name}Unit": "nm" for name in sizes},
    }
    if item.is_vector:
        metadata["Channel"] = {"Name": ["z", "y", "x"]}
    shape = (3, *item.shape) if item.is_vector else item.shape
    with tifffile.TiffWriter(path, bigtiff=item.nbytes > (1 << 31), ome=True, byteorder="<") as writer:
        writer.write(
            _planes(item), shape=shape, dtype=item.dtype, photometric="minisblack", compression="zlib",
            predictor=item.dtype.kind == "f", metadata=metadata, resolution=(1e7 / dx, 1e7 / dy),
            resolutionunit="CENTIMETER", software=software, maxworkers=1,
        )  # fmt: skip


def _planes(item: GridItem) -> Iterator[np.ndarray]:
    """All planes, component by component."""
    for component in (0, 1, 2) if item.is_vector else (None,):
        for start, stop in item.slabs():
            values = np.asarray(item.read(start, stop), item.dtype)
            yield from values if component is None else values[component]
