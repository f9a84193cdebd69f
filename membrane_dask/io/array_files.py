"""Volumes in files of arrays: NumPy (.npy, .npz), MATLAB (.mat), HDF5, and files without a header."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.files import require_regular
from membrane_dask.io.raster_files import check_decoded_size, open_npy
from membrane_dask.io.volume_file import Edges, ReadOptions, VolumeError, VolumeFile, VoxelEdges, select_dataset
from membrane_dask.io.volume_views import Oriented, as_volume

#: Endings of files without a header, of HDF5.
RAW, HDF5 = (".raw", ".bin", ".dat", ".vol", ".img"), (".h5", ".hdf5", ".hdf", ".he5", ".ilp", ".nxs")
#: First bytes of an HDF5 file.
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
#: Where an HDF5 file may begin, behind the header of MATLAB among others.
_HDF5_STARTS = (0, 512, 1024, 2048)
#: Classes of arrays of numbers in MATLAB.
_MATLAB_NUMBERS = (
    "double", "single", "logical", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
)  # fmt: skip
#: Objects of an HDF5 file that are looked at.
_MAX_OBJECTS = 10_000
#: Attribute in which ilastik and ImageJ's HDF5 plug-in write the edges of a voxel in micrometres.
_EDGES_UM = "element_size_um"


def open_numpy_volume(path: Path, options: ReadOptions) -> VolumeFile:
    """Open a ``.npy`` or ``.npz`` file; the former, and uncompressed arrays of the latter, are mapped into memory."""
    if path.suffix.lower() == ".npy":
        array = open_npy(path)
        return _volume(array, path, f"NumPy array, {array.dtype}", "a NumPy file has no voxel size")
    require_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {i.filename.removesuffix(".npy"): i for i in archive.infolist() if i.filename.endswith(".npy")}
            headers = {name: _npy_header(archive, info) for name, info in infos.items()}
            shapes = {name: header[0] for name, header in headers.items() if header[2].kind in "buif"}
            name = select_dataset(path.name, shapes, options.dataset)
            array = _npz_member(path, archive, infos[name], *headers[name])
    except zipfile.BadZipFile as error:
        raise VolumeError(f"{path.name} is no readable .npz file: {reason(error)}") from error
    text = f"NumPy array {name!r}, {array.dtype}"
    return _volume(array, path, text, "a NumPy file has no voxel size")


def _npy_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether the first axis is the fastest, type, and bytes of the header of an array in a ``.npz`` file."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
        return shape, is_fortran, dtype, stream.tell()


def _npz_member(
    path: Path,
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    shape: tuple[int, ...],
    is_fortran: bool,
    dtype: np.dtype[Any],
    offset: int,
) -> np.ndarray:
    if offset + math.prod(shape) * dtype.itemsize != info.file_size:
        raise VolumeError(f"{path.name} is damaged: {info.filename} is not as long as its header says")
    order = "F" if is_fortran else "C"
    if info.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as stream:
            stream.seek(info.header_offset)
            header = stream.read(30)
        start = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:30])) + offset
        return np.memmap(path, dtype, "r", start, shape, order)  # type: ignore[call-overload, no-any-return]
    check_decoded_size("it", shape, dtype, "save it as .npy, which is read in parts")
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def open_raw_volume(path: Path, options: ReadOptions) -> VolumeFile:
    """Open a file without a header, whose layout the study states."""
    size = require_regular(path).st_size
    raw = options.raw
    if raw is None:
        raise VolumeError(
            f"{path.name} has no header; state its layout, for example raw: {{shape: [200, 300, 400], type: uint8}} "
            f"(z, y, x; the file has {size:,} bytes)"
        )
    needed = raw.offset + math.prod(raw.shape) * raw.dtype.itemsize
    if needed != size:
        stated = f"raw.shape {' x '.join(map(str, raw.shape))} of {raw.type} with raw.offset {raw.offset:,}"
        raise VolumeError(f"{path.name} has {size:,} bytes, but {stated} needs {needed:,}: check shape, type, offset")
    array = np.memmap(path, raw.dtype, "r", raw.offset, tuple(raw.shape))
    order = f", {raw.byte_order}-endian" if raw.dtype.itemsize > 1 else ""
    return _volume(
        array, path, f"no header, {raw.type}{order} by the study", "a file without a header has no voxel size"
    )


def open_matlab_volume(path: Path, options: ReadOptions) -> VolumeFile:
    """Open a MATLAB file; since version 7.3 these are HDF5, whose axes are in the opposite order."""
    if _is_hdf5(path):
        return open_hdf5_volume(path, options, is_matlab=True)
    from scipy.io import loadmat, whosmat

    require_regular(path)
    try:
        listed = whosmat(path, appendmat=False)
        shapes = {name: tuple(shape) for name, shape, kind in listed if kind in _MATLAB_NUMBERS}
        name = select_dataset(path.name, shapes, options.dataset)
        check_decoded_size(f"its array {name}", shapes[name], "f8", "save it as HDF5, NumPy or TIFF")
        array = np.asarray(loadmat(path, variable_names=[name], appendmat=False)[name])
    except VolumeError:
        raise
    except Exception as error:  # SciPy raises many types for damaged files
        raise VolumeError(f"{path.name} is no readable MATLAB file: {reason(error)}") from error
    return _volume(array, path, f"MATLAB array {name!r}, {array.dtype}", "a MATLAB file has no voxel size")


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        return any(stream.seek(start) == start and stream.read(8) == _HDF5_MAGIC for start in _HDF5_STARTS)


def open_hdf5_volume(path: Path, options: ReadOptions, is_matlab: bool = False) -> VolumeFile:
    """Open an array of an HDF5 file, which is read in parts; needs h5py.

    Raises
    ------
    VolumeError
        If h5py is not installed, there is no such array or a choice, or its values are in other files.
    """
    require_regular(path)
    if not _is_hdf5(path):
        raise VolumeError(f"{path.name} is no HDF5 file")
    try:
        import h5py
    except ImportError as error:
        raise VolumeError(
            f"{path.name} is an HDF5 file, which needs h5py: pip install 'membrane-dask[hdf5]'"
        ) from error

    file = h5py.File(path, "r")
    arrays: dict[str, Any] = {}
    _collect(file, "", arrays, h5py)
    name = select_dataset(path.name, {key: tuple(a.shape) for key, a in arrays.items()}, options.dataset)
    array = arrays[name]
    if array.external or array.is_virtual:
        raise VolumeError(f"{path.name} has the values of {name} in other files: copy them into one")
    if array.chunks:
        check_decoded_size(f"a chunk of {name}", array.chunks, array.dtype, "write it with smaller chunks")
    unavailable = [key for key in array._filters if key.isdecimal() and not h5py.h5z.filter_avail(int(key))]
    if unavailable:
        raise VolumeError(
            f"{path.name} is compressed by the HDF5 filter {unavailable[0]}, which is not installed: write it with gzip"
        )
    text = f"HDF5 array {name!r}, {array.dtype}" + (f", chunks of {array.chunks}" if array.chunks else "")
    edges: Edges | None = None
    stated = np.asarray(array.attrs.get(_EDGES_UM, ())).ravel()
    if len(stated) == 3 and stated.dtype.kind in "uif":
        edges = tuple(float(edge) * 1e3 for edge in stated)
    axes = "zyx" if is_matlab else _axis_names(array)
    if is_matlab:
        array = Oriented(array, tuple(reversed(range(array.ndim))))
    volume = as_volume(array, path.name)
    stated_edges = VoxelEdges.unknown("the HDF5 array has no voxel size")
    if edges is not None:
        stated_edges = VoxelEdges(edges, f"HDF5 attribute {_EDGES_UM}").ordered(tuple(map("zyx".index, axes)))
    return VolumeFile(volume, stated_edges, (("file", text),), axes)


def _axis_names(array: Any) -> str:
    """Names of the axes of space of an HDF5 array in its order, by ilastik or its dimension labels; otherwise zyx."""
    try:
        names = [str(axis["key"]) for axis in json.loads(array.attrs["axistags"])["axes"]]
    except (KeyError, TypeError, ValueError):
        names = [str(dimension.label) for dimension in array.dims]
    space = "".join(name.lower() for name in names if name.lower() in ("z", "y", "x"))
    return space if sorted(space) == sorted("zyx") else "zyx"


def _collect(group: Any, prefix: str, arrays: dict[str, Any], h5py: Any) -> None:
    """Arrays of numbers of a group and the groups in it; links to other files are not followed."""
    for key in group:
        if len(arrays) >= _MAX_OBJECTS or prefix.count("/") > 20:
            return
        if isinstance(group.get(key, getlink=True), h5py.ExternalLink):
            continue
        node = group.get(key)
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "buif" and node.shape is not None:
            arrays[f"{prefix}{key}"] = node
        elif isinstance(node, h5py.Group):
            _collect(node, f"{prefix}{key}/", arrays, h5py)


def _volume(array: Any, path: Path, text: str, without: str) -> VolumeFile:
    return VolumeFile(as_volume(array, path.name), VoxelEdges.unknown(without), (("file", text),))
