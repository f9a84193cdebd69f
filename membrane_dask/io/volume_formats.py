"""Volumes in files as arrays that can be sliced: OME-Zarr, TIFF stacks, folders of TIFF images, NumPy files."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.files import require_regular
from membrane_dask.io.image_metadata import UNITS, image_metadata, ome_pixel_size, tiff_statements
from membrane_dask.io.raster_files import (
    MAX_DECODED,
    check_decoded_size,
    open_npy,
    open_tiff,
    read_page,
    read_series,
    white_is_zero,
)
from membrane_dask.io.zarr_chunks import ZarrVolume

#: Files that describe a Zarr group or array, and their largest size in bytes.
_ZARR_METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
_MAX_METADATA = 10_000_000
#: Files of a Zarr array.
_MAX_CHUNKS = 10_000_000
#: Largest relative difference of the edges of a voxel that counts as a cube.
_CUBE_TOLERANCE = 0.01


class VolumeError(ValueError):
    """A file that is not a volume of one of the formats; the message says why."""


def open_array(path: Path, fill: bool = False) -> tuple[Any, float | None, str]:
    """Open a volume without reading it.

    Parameters
    ----------
    path : Path
        OME-Zarr (0.4 or 0.5) or Zarr array, TIFF stack, folder of TIFF images, or ``.npy``.
    fill : bool
        Whether missing chunks of Zarr arrays are read as the fill value, or refused.

    Returns
    -------
    array : array, ``(z, y, x)``
        With a shape and a data type; slices are read on demand.
    voxel_nm : float or None
        Edge of a voxel, nm; None without.
    source : str
        Which metadata hold it, or why it is unknown.

    Raises
    ------
    VolumeError
        If the format is unknown, images of a folder are missing, or the voxels are not cubes.
    """
    if path.is_dir() and any((path / name).exists() for name in _ZARR_METADATA):
        return _open_zarr(path, fill)
    if path.is_dir():
        return _open_folder(path), None, "single images have no distance between them"
    if path.suffix.lower() == ".npy":
        return open_npy(path), None, "a NumPy file has no voxel size"
    if path.suffix.lower() in (".tif", ".tiff"):
        return _open_tiff(path)
    raise VolumeError(
        f"{path.name} has an unknown format; supported: OME-Zarr, .tif, .tiff, .npy and folders of TIFF images"
    )


def _open_zarr(path: Path, fill: bool) -> tuple[Any, float | None, str]:
    import zarr

    _check_metadata(path)
    group: Any = zarr.open(path, mode="r")
    if not isinstance(group, zarr.Group):
        _check_chunks(path, group)
        volume = ZarrVolume(str(path), group, fill) if group.ndim == 3 else group
        return volume, None, "a Zarr array has no voxel size"
    attrs: Any = dict(group.attrs)
    ome = attrs.get("ome", attrs)
    if not isinstance(ome, dict) or not ome.get("multiscales"):
        raise VolumeError(f"{path.name} is a Zarr group without an image: OME-Zarr or a Zarr array is needed")
    try:
        return _open_image(path, group, ome["multiscales"][0], fill)
    except VolumeError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise VolumeError(f"{path.name} has metadata that do not follow OME-Zarr: {reason(error)}") from error


def _check_metadata(folder: Path) -> None:
    """Check the files that describe a Zarr group or array, before they are decoded."""
    for name in _ZARR_METADATA:
        if (folder / name).exists():
            size = require_regular(folder / name).st_size
            if size > _MAX_METADATA:
                raise VolumeError(
                    f"{folder.name}/{name} has {size / 1e6:.3g} MB; at most {_MAX_METADATA / 1e6:g} are read"
                )


def _check_chunks(path: Path, array: Any) -> None:
    """Check the size of a chunk of a Zarr array, which is decoded as a whole."""
    if np.dtype(array.dtype).kind in "buif":  # others are refused later, in words
        check_decoded_size("a chunk of it", array.chunks, array.dtype, "write it with smaller chunks")
    count = math.prod(-(-n // edge) for n, edge in zip(array.shape, array.shards or array.chunks, strict=True))
    if count > _MAX_CHUNKS:
        raise VolumeError(f"{path.name} states {count:,} chunks; at most {_MAX_CHUNKS:,} are read")


def _open_image(path: Path, group: Any, multiscale: Any, fill: bool) -> tuple[Any, float | None, str]:
    """The finest level of an image of OME-Zarr, with its voxel size."""
    level = multiscale["datasets"][0]
    _check_metadata(path / str(level["path"]))
    array: Any = group[level["path"]]
    _check_chunks(path, array)
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale.get("axes", [])]
    if [axis.get("name") for axis in axes[-3:]] not in ([], ["z", "y", "x"]):
        raise VolumeError(f"{path.name} has the axes {[a.get('name') for a in axes]}; they must end with z, y, x")
    if any(n != 1 for n in array.shape[:-3]):
        raise VolumeError(f"{path.name} has several channels or times: shape {array.shape}; one volume is needed")
    if array.ndim >= 3:
        array = ZarrVolume(str(path), array, fill)
    scale = next((t["scale"] for t in level.get("coordinateTransformations", []) if t["type"] == "scale"), None)
    units = [UNITS.get(str(axis.get("unit"))) for axis in axes[-3:]]
    if scale is None or not units or None in units:
        return array, None, "its metadata have no voxel size with a unit"
    edges = [float(s) * float(u) for s, u in zip(scale[-3:], units, strict=True) if u]
    if not all(0 < edge < math.inf for edge in edges):
        raise VolumeError(
            f"{path.name} states voxels of {' x '.join(f'{e:g}' for e in edges)} nm, which are no lengths"
        )
    _check_cubic(edges, path)
    return array, edges[-1], "OME-Zarr metadata"


def _open_folder(path: Path) -> _Images:
    files = sorted([*path.glob("*.tif"), *path.glob("*.tiff")], key=_natural_order)
    if not files:
        raise VolumeError(f"{path.name} is a folder without TIFF images, and no OME-Zarr")
    numbers = [int(digits[-1]) for digits in (re.findall(r"\d+", file.stem) for file in files) if digits]
    if len(numbers) == len(files):
        for before, after in itertools.pairwise(numbers):
            if after != before + 1:
                raise VolumeError(f"{path.name} holds an image {before} and then {after}: some are missing")
    return _Images(tuple(map(str, files)))


def _natural_order(path: Path) -> list[Any]:
    """Key that sorts names by their numbers: 2 before 10."""
    return [(int(run), "") if run.isdecimal() else (-1, run) for run in re.split(r"(\d+)", path.stem)]


def _open_tiff(path: Path) -> tuple[Any, float | None, str]:
    import tifffile

    with open_tiff(path) as file:
        series = file.series[0]
        pixel, source = _tiff_pixel_size(file)
        if series.ndim == 4 and series.shape[-1] in (3, 4):
            raise VolumeError(
                f"{path.name} has {series.shape[-1]} colour channels; a segmented or grey volume is needed"
            )
        if "T" in series.axes and series.shape[series.axes.index("T")] > 1:
            raise VolumeError(f"{path.name} is a time series (axes {series.axes}); one volume is needed")
        shape, dtype = series.shape, series.dtype
        if pixel:
            _check_cubic_tiff(file, pixel, path)
        if len(shape) == 3 and len(series.pages) == shape[0]:
            return _Pages(str(path), shape, dtype), pixel, source
        if series.dataoffset is None or (white_is_zero(file.pages[0]) and series.nbytes <= MAX_DECODED):
            return read_series(file), pixel, source
        if white_is_zero(file.pages[0]):
            raise VolumeError(
                f"{path.name} shows zero as white (photometric interpretation 0) and is too large to be inverted at "
                "once: save it with a page for each plane"
            )
    return tifffile.memmap(path, mode="r"), pixel, source  # planes of one page, which are not compressed


def _tiff_pixel_size(file: Any) -> tuple[float | None, str]:
    """Width of a pixel in nm, None if it is unknown or ambiguous, and which metadata hold it."""
    shape = file.pages[0].shape
    statements, without = tiff_statements(file)
    metadata = image_metadata(statements, (shape[0], shape[1]), without)
    return (metadata.pixels[0].width_nm if len(metadata.pixels) == 1 else None), metadata.source


def _check_cubic_tiff(file: Any, pixel: float, path: Path) -> None:
    """Compare the pixel size along x with those along y and z, where the metadata have them."""
    tags = file.pages[0].tags
    if "XResolution" in tags and "YResolution" in tags:
        (x_pixels, x_units), (y_pixels, y_units) = tags["XResolution"].value, tags["YResolution"].value
        if x_pixels and y_pixels and x_units and y_units:
            _check_cubic([pixel * (x_pixels / x_units) / (y_pixels / y_units), pixel], path)
    imagej: Mapping[str, Any] = file.imagej_metadata or {}
    spacing, unit = imagej.get("spacing"), UNITS.get(str(imagej.get("unit", "")).lower())
    if file.is_ome:
        depth = ome_pixel_size(file, "Z")
        if depth is not None:
            _check_cubic([depth, pixel], path)
    elif spacing and unit:
        _check_cubic([float(spacing) * unit, pixel], path)


def _check_cubic(edges: list[float], path: Path) -> None:
    if max(edges) > (1 + _CUBE_TOLERANCE) * min(edges):
        raise VolumeError(
            f"{path.name} has voxels of {' x '.join(f'{e:g}' for e in edges)} nm; they must be cubes: resample it first"
        )


@dataclass(frozen=True)
class _Pages:
    """A TIFF file with one page for each plane."""

    path: str
    shape: tuple[int, ...]
    dtype: Any

    def __getitem__(self, where: Any) -> np.ndarray:
        planes, *inside = where if isinstance(where, tuple) else (where,)
        number = range(self.shape[0])[planes]
        with open_tiff(Path(self.path)) as file:
            pages: list[np.ndarray] = [
                read_page(file.pages[k])[tuple(inside)] for k in ([number] if isinstance(number, int) else number)
            ]
        return pages[0] if isinstance(number, int) else np.stack(pages)


@dataclass(frozen=True)
class _Images:
    """A folder of TIFF images, one for each plane, in the order of their names."""

    paths: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.paths), *_read_image(self.paths[0]).shape)

    @property
    def dtype(self) -> Any:
        return _read_image(self.paths[0]).dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        planes, *inside = where if isinstance(where, tuple) else (where,)
        selected = self.paths[planes]
        shape = self.shape[1:]
        images: list[np.ndarray] = []
        for path in [selected] if isinstance(selected, str) else selected:
            image = _read_image(path)
            if image.shape != shape:
                raise VolumeError(f"{Path(path).name} has {image.shape} pixels, the first image {shape}")
            images.append(image[tuple(inside)])
        return images[0] if isinstance(selected, str) else np.stack(images)


@lru_cache(maxsize=2)  # the first, whose size the others must have, and the last
def _read_image(path: str) -> np.ndarray:
    with open_tiff(Path(path)) as file:
        return read_series(file)
