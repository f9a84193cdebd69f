"""Volumes in files of all formats: which reader opens a file, and which axis of it is the depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from membrane_dask.io.array_files import (
    HDF5,
    RAW,
    open_hdf5_volume,
    open_matlab_volume,
    open_numpy_volume,
    open_raw_volume,
)
from membrane_dask.io.image_folders import open_image_folder
from membrane_dask.io.nrrd_files import open_nrrd_volume
from membrane_dask.io.tiff_volumes import open_tiff_volume
from membrane_dask.io.volume_file import ReadOptions, VolumeError, VolumeFile
from membrane_dask.io.volume_views import Oriented
from membrane_dask.io.vti_files import open_vti_volume
from membrane_dask.io.zarr_volumes import is_zarr, open_zarr_volume

#: Readers by the ending of a file, in lower case.
_READERS: dict[str, Callable[[Path, ReadOptions], VolumeFile]] = {
    ".tif": open_tiff_volume,
    ".tiff": open_tiff_volume,
    ".npy": open_numpy_volume,
    ".npz": open_numpy_volume,
    ".nrrd": open_nrrd_volume,
    ".nhdr": open_nrrd_volume,
    ".mat": open_matlab_volume,
    ".vti": open_vti_volume,
    **dict.fromkeys(HDF5, open_hdf5_volume),
    **dict.fromkeys(RAW, open_raw_volume),
}
#: Endings of files that may hold several volumes.
_SEVERAL = (".npz", ".mat", ".vti", *HDF5)


def open_volume_file(path: Path, options: ReadOptions) -> VolumeFile:
    """Open a volume without reading it.

    Parameters
    ----------
    path : Path
        OME-Zarr (0.1 to 0.5) or Zarr array, also in a zip archive; TIFF stack; folder of images; ``.npy``, ``.npz``;
        HDF5; MATLAB; NRRD; VTK image; or a file without a header, whose layout the options state.
    options : ReadOptions
        What the user says of it.

    Raises
    ------
    VolumeError
        If the format is unknown, or the file is no volume or leaves a choice.
    """
    if is_zarr(path):
        return open_zarr_volume(path, options)
    if options.dataset and path.suffix.lower() not in _SEVERAL:
        raise VolumeError(
            f"{path.name} has one volume, so that dataset must be left out (got {options.dataset[:80]!r})"
        )
    if path.is_dir():
        return open_image_folder(path, options)
    reader = _READERS.get(path.suffix.lower())
    if options.raw and reader is not open_raw_volume:
        if reader:
            raise VolumeError(f"{path.name} has a header, so that raw must be left out; it is for {', '.join(RAW)}")
        reader = open_raw_volume
    if reader is None:
        raise VolumeError(
            f"{path.name} has an unknown format; supported: OME-Zarr (also .ozx, .zip), .tif, .npy, .npz, .h5, .mat, "
            ".nrrd, .vti, folders of TIFF, PNG, BMP or JPEG images, and any other file with raw"
        )
    return reader(path, options)


def oriented(volume: VolumeFile, axis: str) -> VolumeFile:
    """A volume whose axes are depth, height and width; its values stay where they are.

    Parameters
    ----------
    volume : VolumeFile
        In the axes of the file.
    axis : str
        Axis of the file along which the depth runs, ``z``, ``y`` or ``x``, the others keep their order; or three of
        them, those along depth, height and width. ``-`` in front of it where the feed side is at its end.
    """
    if len(volume.array.shape) != 3:
        return volume  # refused in words where its shape is checked
    name = axis.removeprefix("-")
    names = name if len(name) == 3 else name + "".join(other for other in "zyx" if other != name)
    order = tuple(volume.axes.index(letter) for letter in names)
    reversed_axes = (0,) if axis.startswith("-") else ()
    direction = "against" if reversed_axes else "along"
    text = f"depth {direction} {names[0]} of the file, height along {names[1]}, width along {names[2]}"
    if volume.axes != "zyx":
        text += f"; axes of the file: {', '.join(volume.axes)}"
    volume = replace(volume, remarks=(*volume.remarks, ("axes", text)))
    if order == (0, 1, 2) and not reversed_axes:
        return volume
    return replace(
        volume,
        array=Oriented(volume.array, order, reversed_axes),
        edges=volume.edges.ordered(order),
    )
