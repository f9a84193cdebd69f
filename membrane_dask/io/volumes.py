"""Volumes from files, read window by window: OME-Zarr, TIFF stacks, folders of TIFF images, .npy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from membrane_dask.io.micrographs import UNITS, pixel_of
from membrane_dask.io.segmentation import segment_window

#: Voxels that differ more than this along two axes are no cubes.
_CUBE = 0.01
#: Voxels that are looked at before any work starts, to see what values a volume holds.
_LOOKED_AT = 1 << 24


class _RefusedError(ValueError):
    """Said in our own words."""


@dataclass(frozen=True)
class GivenVolume:
    """A volume in a file or a folder, opened where it is read.

    Parameters
    ----------
    path : str
        Where it lies.
    shape : tuple of int
        Voxels along ``z, y, x``.
    voxel_nm : float or None
        Edge of a voxel, nm, if the file tells.
    told_by : str
        Where that stands, or why it does not.
    pores : {"dark", "bright"} or int
        Which of two values the pores are, or the pores' value among many.
    grey : mapping, optional
        How a grey volume is cut, as :func:`membrane_dask.volume.blocks.segment_window` takes it.
    """

    path: str
    shape: tuple[int, ...]
    voxel_nm: float | None
    told_by: str
    pores: Literal["dark", "bright"] | int = "dark"
    grey: Mapping[str, float] | None = None

    def read(self, where: tuple[slice, ...]) -> np.ndarray:
        """Where the pores are in a window, ``(z, y, x)`` bool.

        Raises
        ------
        ValueError
            If the window cannot be read, or holds other values than it may.
        """
        array = _open(self.path)
        if self.grey is not None:
            assert self.pores in ("dark", "bright")
            return segment_window(array, where, pores=self.pores, **self.grey)
        return self._told(np.asarray(array[where]))

    def _told(self, values: np.ndarray) -> np.ndarray:
        if isinstance(self.pores, int) and not isinstance(self.pores, bool):
            return np.asarray(values == self.pores)
        low, high = self._phases
        pore, solid = (low, high) if self.pores == "dark" else (high, low)
        found = values == pore
        if not (found | (values == solid)).all():
            others = np.unique(values[~found & (values != solid)])[:3].tolist()
            raise ValueError(f"{self.path} holds {others} beside the two values {low} and {high} of a segmented volume")
        return np.asarray(found)

    @property
    def _phases(self) -> tuple[Any, Any]:
        return _phases(self.path)


def open_given(path: Path, pores: Literal["dark", "bright"] | int = "dark",
               grey: Mapping[str, float] | None = None) -> GivenVolume:  # fmt: skip
    """Look at a volume without reading more of it than is needed.

    Parameters
    ----------
    path : Path
        OME-Zarr (0.4 or 0.5), TIFF stack, folder of TIFF images of one size, or ``.npy``.
    pores, grey
        As in :class:`GivenVolume`.

    Returns
    -------
    GivenVolume

    Raises
    ------
    ValueError
        If it cannot be read, is not three-dimensional, has voxels that are no cubes, or holds values that do not
        tell pores from solid.
    """
    try:
        array, voxel, told_by = _look(path)
        shape = tuple(int(n) for n in array.shape)
        if len(shape) != 3 or min(shape) < 2:
            words = "a volume of three dimensions, each of two voxels at least, is needed"
            raise _RefusedError(f"{path.name} has the shape {shape}; {words}")
        if np.dtype(array.dtype).kind not in "buif":
            raise _RefusedError(f"{path.name} holds {array.dtype}; grey values or labels are needed")
        if grey is None and isinstance(pores, int):
            seen = {value for plane in _planes_of(array) for value in np.unique(plane).tolist()}
            if pores not in seen:
                shown = ", ".join(f"{v:g}" for v in sorted(seen)[:6]) + (", ..." if len(seen) > 6 else "")
                raise _RefusedError(f"{path.name} holds {shown}, but no {pores} (pores)")
        low, high = (0, "") if grey or isinstance(pores, int) else _phases(str(path))
    except _RefusedError:
        raise
    except Exception as error:  # every decoder fails in its own words
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path.name} cannot be read as a volume: {reason}") from error
    if low is None:
        raise ValueError(
            f"{path.name} holds {high}; a segmented volume has two: name the pores' value (pores: 0), or cut a grey "
            "volume into two phases (grey.threshold)"
        )
    return GivenVolume(str(path), shape, voxel, told_by, pores, grey)


def _open(path: str) -> Any:
    return _opened(path, Path(path).stat().st_mtime_ns)


def _phases(path: str) -> tuple[Any, Any]:
    """The two values of a segmented volume; or None, and in words what it holds instead."""
    return _looked_at(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _opened(path: str, changed: int) -> Any:
    return _look(Path(path))[0]


@lru_cache(maxsize=64)
def _looked_at(path: str, changed: int) -> tuple[Any, Any]:
    array = _open(path)
    if np.dtype(array.dtype).kind == "b":
        return False, True
    values: set[Any] = set()
    for plane in _planes_of(array):
        values |= set(np.unique(plane).tolist())
        if any(v != v for v in values):
            return None, "values that are not numbers"
        if len(values) > 2:
            shown = ", ".join(f"{v:g}" for v in sorted(values)[:4])
            return None, f"more than two values ({shown}, ...)"
    if len(values) == 2:
        low, high = sorted(values)
        return low, high
    only = values.pop()
    # All pore or all solid: the usual pairs of values tell which.
    for low, high in ((0, 255), (0, 1)):
        if only in (low, high):
            return low, high
    return None, f"nothing but {only:g}"


def _planes_of(array: Any) -> Iterator[np.ndarray]:
    """Planes of the depth: all of a small volume, some of a large one."""
    count = max(1, min(array.shape[0], _LOOKED_AT // max(1, array.shape[1] * array.shape[2])))
    for z in np.unique(np.linspace(0, array.shape[0] - 1, count).astype(int)):
        yield np.asarray(array[int(z)])


def _look(path: Path) -> tuple[Any, float | None, str]:
    """A volume that can be sliced, the edge of its voxels in nm, and where that stands."""
    if path.is_dir() and ((path / "zarr.json").exists() or (path / ".zattrs").exists() or (path / ".zgroup").exists()):
        return _ome_zarr(path)
    if path.is_dir():
        files = sorted([*path.glob("*.tif"), *path.glob("*.tiff")], key=_in_order)
        if not files:
            raise _RefusedError(f"{path.name} is a folder without TIFF images, and no OME-Zarr")
        numbers = [int(found[-1]) for found in (re.findall(r"\d+", file.stem) for file in files) if found]
        if len(numbers) == len(files):
            for before, after in itertools.pairwise(numbers):
                if after != before + 1:
                    raise _RefusedError(f"{path.name} holds an image {before} and then {after}: some are missing")
        return _Images(tuple(map(str, files))), None, "single images name no distance between them"
    if path.suffix.lower() == ".npy":
        return np.load(path, mmap_mode="r"), None, "a NumPy file names no voxel size"
    if path.suffix.lower() in (".tif", ".tiff"):
        return _tiff(path)
    raise _RefusedError(
        f"{path.name} is no volume that is known: OME-Zarr, .tif, .tiff, .npy or a folder of TIFF images"
    )


def _in_order(path: Path) -> list[Any]:
    """Names by their numbers: 2 before 10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.split(r"(\d+)", path.stem)]


def _ome_zarr(path: Path) -> tuple[Any, float | None, str]:
    import zarr

    group: Any = zarr.open(path, mode="r")
    if not isinstance(group, zarr.Group):
        return group, None, "a Zarr array names no voxel size"
    attrs: Any = dict(group.attrs)
    multiscales: Any = attrs.get("ome", attrs).get("multiscales")
    if not multiscales:
        raise _RefusedError(f"{path.name} is a Zarr group without an image: OME-Zarr or a Zarr array is needed")
    about = multiscales[0]
    level = about["datasets"][0]
    array: Any = group[level["path"]]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in about.get("axes", [])]
    if [axis.get("name") for axis in axes[-3:]] not in ([], ["z", "y", "x"]):
        raise _RefusedError(f"{path.name} has the axes {[a.get('name') for a in axes]}; they must end with z, y, x")
    if array.ndim > 3:
        if any(n != 1 for n in array.shape[:-3]):
            raise _RefusedError(f"{path.name} has several channels or times: shape {array.shape}; one volume is needed")
        array = _Squeezed(array)
    scale = next((t["scale"] for t in level.get("coordinateTransformations", []) if t["type"] == "scale"), None)
    units = [UNITS.get(str(axis.get("unit"))) for axis in axes[-3:]]
    if scale is None or not units or None in units:
        return array, None, "its metadata name no voxel size with a unit"
    edges = [float(s) * float(u) for s, u in zip(scale[-3:], units, strict=True) if u]
    return array, _cube(edges, path), "OME-Zarr metadata"


def _tiff(path: Path) -> tuple[Any, float | None, str]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        pixel, told_by, _ = pixel_of(file)
        series = file.series[0]
        if series.ndim == 4 and series.shape[-1] in (3, 4):
            raise _RefusedError(
                f"{path.name} has {series.shape[-1]} colour channels; a segmented or grey volume is needed"
            )
        if "T" in series.axes and series.shape[series.axes.index("T")] > 1:
            raise _RefusedError(f"{path.name} is a series in time (axes {series.axes}); one volume is needed")
        shape, dtype = series.shape, series.dtype
        tags = file.pages[0].tags  # type: ignore[union-attr]
        if pixel and "XResolution" in tags and "YResolution" in tags:
            (across, per), (along, unit_) = tags["XResolution"].value, tags["YResolution"].value
            if across and along:
                _cube([pixel * (across / per) / (along / unit_), pixel], path)
        imagej: Mapping[str, Any] = file.imagej_metadata or {}
        depth = imagej.get("spacing")
        if file.is_ome and pixel:
            images = tifffile.xml2dict(str(file.ome_metadata))["OME"]["Image"]
            pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
            unit = UNITS.get(str(pixels.get("PhysicalSizeZUnit", "µm")).lower())
            if "PhysicalSizeZ" in pixels and unit:
                _cube([float(pixels["PhysicalSizeZ"]) * unit, pixel], path)
        elif depth and pixel:
            unit = UNITS.get(str(imagej.get("unit", "")).lower())
            if unit:
                _cube([float(depth) * unit, pixel], path)
        plain = len(series.pages) == shape[0] if len(shape) == 3 else False
    return (_Pages(str(path), shape, dtype) if plain else tifffile.imread(path)), pixel, told_by


def _cube(edges: list[float], path: Path) -> float:
    if max(edges) > (1 + _CUBE) * min(edges):
        raise _RefusedError(
            f"{path.name} has voxels of {' x '.join(f'{e:g}' for e in edges)} nm; they must be cubes: resample it first"
        )
    return edges[-1]


@dataclass(frozen=True)
class _Pages:
    """A TIFF file of one page a plane."""

    path: str
    shape: tuple[int, ...]
    dtype: Any

    def __getitem__(self, where: Any) -> np.ndarray:
        import tifffile

        planes, *inside = where if isinstance(where, tuple) else (where,)
        number = range(self.shape[0])[planes]
        with tifffile.TiffFile(self.path) as file:
            pages = [file.pages[k].asarray()[tuple(inside)] for k in ([number] if isinstance(number, int) else number)]
        return pages[0] if isinstance(number, int) else np.stack(pages)


@dataclass(frozen=True)
class _Images:
    """A folder of TIFF images, one a plane, in the order of their names."""

    paths: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.paths), *_image(self.paths[0]).shape)

    @property
    def dtype(self) -> Any:
        return _image(self.paths[0]).dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        planes, *inside = where if isinstance(where, tuple) else (where,)
        chosen = self.paths[planes]
        shape = self.shape[1:]
        images = []
        for path in [chosen] if isinstance(chosen, str) else chosen:
            image = _image(path)
            if image.shape != shape:
                raise _RefusedError(f"{Path(path).name} has {image.shape} pixels, the first image {shape}")
            images.append(image[tuple(inside)])
        return images[0] if isinstance(chosen, str) else np.stack(images)


@lru_cache(maxsize=8)
def _image(path: str) -> np.ndarray:
    import tifffile

    return np.asarray(tifffile.imread(path))


@dataclass(frozen=True)
class _Squeezed:
    """An array without its leading axes of length one."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[-3:])

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        where = where if isinstance(where, tuple) else (where,)
        return np.asarray(self.array[(0,) * (self.array.ndim - 3) + where])


def volumes_of(path: Path) -> list[Path]:
    """Volumes that a path stands for: those of a run, in their order, or itself.

    Raises
    ------
    ValueError
        If it is a run without volumes.
    """
    if not (path / "run.json").is_file():
        return [path]
    found = sorted(path.glob("volumes/*.ome.zarr"), key=lambda p: (len(p.name), p.name))
    if not found:
        raise ValueError(f"{path.name} is a run without volumes; that of a reconstruction is needed")
    return found
