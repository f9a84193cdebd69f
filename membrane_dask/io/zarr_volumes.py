"""Volumes in Zarr: arrays and OME-Zarr images 0.1 to 0.5, in a folder or a zip archive, with their transformations."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.io.header_numbers import header_number
from membrane_dask.io.header_texts import nanometres
from membrane_dask.io.raster_files import check_decoded_size
from membrane_dask.io.volume_file import ReadOptions, VolumeError, VolumeFile, VoxelEdges
from membrane_dask.io.volume_views import as_volume
from membrane_dask.io.zarr_chunks import ZarrVolume
from membrane_dask.io.zarr_files import ZARR_METADATA, ArchiveFiles, ChunkFiles, FolderFiles, check_metadata
from membrane_dask.io.zarr_levels import Level, finest_level, level_scale
from membrane_dask.plain_text import printable_line

#: Files of a Zarr array.
_MAX_CHUNKS = 10_000_000
#: Groups that a message lists.
_LISTED = 6
#: Endings of zip archives of OME-Zarr.
ARCHIVES = (".ozx", ".zip")
#: Names of the axes of space.
_SPACE = ("z", "y", "x")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group or array, or a file an archive of one by its name."""
    return (path.is_dir() and any((path / name).exists() for name in ZARR_METADATA)) or (
        path.suffix.lower() in ARCHIVES and path.is_file()
    )


def open_zarr_volume(path: Path, options: ReadOptions) -> VolumeFile:
    """Open a Zarr array or an image of OME-Zarr.

    Raises
    ------
    VolumeError
        If there is none or a choice of several, its metadata do not follow OME-Zarr or refer to other places, or it has
        several channels or times.
    """
    files: Any = FolderFiles(str(path)) if path.is_dir() else ArchiveFiles(str(path))
    try:
        return _Store(path.name, files, _store(path), options).open(_inside(path.name, options.dataset))
    except VolumeError:
        raise
    except (LookupError, TypeError, AttributeError) as error:
        raise VolumeError(f"{path.name} has metadata that do not follow OME-Zarr: {reason(error)}") from error


def _store(path: Path) -> Any:
    if path.is_dir():
        return path
    import zarr

    return zarr.storage.ZipStore(path, mode="r")


def _inside(name: str, node: object) -> str:
    """Path of a group or array within a store.

    Raises
    ------
    VolumeError
        If it leads out of it.
    """
    if not isinstance(node, str):
        raise VolumeError(f"{name} has metadata that do not follow OME-Zarr: the path {str(node)[:80]!r} is no text")
    names = PurePosixPath(node).parts
    if ".." in names or node.startswith("/") or "\\" in node or "\0" in node:
        raise VolumeError(f"{name} refers to {printable_line(node)[:80]!r}, which is outside of it")
    return "/".join(name for name in names if name != ".")


def _joined(*names: str) -> str:
    """Path of names that may be empty."""
    return "/".join(name for name in names if name)


class _Store:
    """Groups and arrays of a Zarr store.

    Parameters
    ----------
    name : str
        Name of the volume, for messages.
    files : ChunkFiles
        Its files.
    store : path or zarr store
        What zarr opens.
    options : ReadOptions
        What the user says of it.
    """

    def __init__(self, name: str, files: ChunkFiles, store: Any, options: ReadOptions) -> None:
        self.name, self.files, self.store, self.options = name, files, store, options

    def _node(self, path: str) -> Any:
        """A group or array."""
        import zarr

        full = _joined(self.files.root, path)
        check_metadata(self.files, full, self.name)
        return zarr.open(self.store, path=full, mode="r")

    def open(self, path: str) -> VolumeFile:
        """The volume at a path."""
        import zarr

        try:
            node = self._node(path)
        except (FileNotFoundError, KeyError) as error:
            if not path:
                raise
            raise VolumeError(
                f"{self.name} has no group or array {path!r}; it has {self._listed(self._node('')) or 'none'}"
            ) from error
        if not isinstance(node, zarr.Group):
            return self._array(node)
        attrs: dict[str, Any] = dict(node.attrs)
        ome = attrs.get("ome", attrs)
        if not isinstance(ome, dict) or not ome.get("multiscales"):
            return self.open(self._only_image(path, node, ome if isinstance(ome, dict) else {}))
        multiscales = ome["multiscales"]
        if isinstance(multiscales, list) and len(multiscales) > 1:
            paths = [str(multiscale["datasets"][0]["path"]) for multiscale in multiscales]
            raise VolumeError(
                f"{self.name} has several images in one group, of the arrays {', '.join(paths)}: name one, for example "
                f"dataset: {_joined(path, paths[0])} (without a voxel size)"
            )
        try:
            return self._image(path, multiscales[0], str(ome.get("version") or multiscales[0].get("version", "")))
        except ValueError as error:
            if isinstance(error, VolumeError):
                raise
            raise VolumeError(f"{self.name} has metadata that do not follow OME-Zarr: {reason(error)}") from error

    def _only_image(self, path: str, group: Any, ome: Mapping[str, Any]) -> str:
        """Path of the only image of a group that is none itself, as of a conversion by bioformats2raw."""
        if "plate" in ome or "well" in ome:
            raise VolumeError(f"{self.name} is a plate of OME-Zarr; name an image of it, for example dataset: A/1/0")
        if "bioformats2raw.layout" in ome:
            images = self._series(path, group)
            if len(images) == 1:
                return images[0]
            if images:
                raise VolumeError(
                    f"{self.name} holds {len(images)} images: name one, for example dataset: {images[0]} (there are "
                    f"{', '.join(images[:_LISTED])}{', ...' if images[_LISTED:] else ''})"
                )
        listed = self._listed(group)
        advice = f"; it has {listed}: name an array or image with dataset" if listed else ""
        raise VolumeError(f"{self.name} is a Zarr group without an image: OME-Zarr or a Zarr array is needed{advice}")

    def _series(self, path: str, group: Any) -> list[str]:
        """Paths of the images of a conversion by bioformats2raw: those it lists, or numbers from 0 on."""
        series: Any = None
        if "OME" in group:
            attrs = dict(group["OME"].attrs)
            series = attrs.get("ome", attrs).get("series")
        if not isinstance(series, list):
            series = list(itertools.takewhile(lambda number: number in group, map(str, range(10_000))))
        return [_joined(path, _inside(self.name, each)) for each in series]

    @staticmethod
    def _listed(group: Any) -> str:
        """Names of the arrays and groups of a group."""
        names = sorted(getattr(group, "keys", lambda: ())())
        return ", ".join(map(printable_line, names[:_LISTED])) + (", ..." if names[_LISTED:] else "")

    def _array(self, array: Any) -> VolumeFile:
        """A Zarr array without metadata of an image; its dimension names may name its axes."""
        self._check_chunks(array)
        named = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")  # by xarray
        names = [str(name).lower() for name in (named if isinstance(named, list | tuple) else ())][-3:]
        axes = "".join(names) if sorted(names) == sorted(_SPACE) else "zyx"
        volume = ZarrVolume(self.files, array, self.options.fill) if array.ndim == 3 else as_volume(array, self.name)
        edges = VoxelEdges.unknown("a Zarr array has no voxel size")
        return VolumeFile(volume, edges, (("file", f"Zarr array, {_storage(array)}"),), axes)

    def _check_chunks(self, array: Any) -> None:
        """Check the size of a chunk of a Zarr array, which is decoded as a whole."""
        if np.dtype(array.dtype).kind in "buif":  # others are refused later, in words
            check_decoded_size("a chunk of it", array.chunks, array.dtype, "write it with smaller chunks")
        count = math.prod(-(-n // edge) for n, edge in zip(array.shape, array.shards or array.chunks, strict=True))
        if count > _MAX_CHUNKS:
            raise VolumeError(f"{self.name} states {count:,} chunks; at most {_MAX_CHUNKS:,} are read")

    def _image(self, path: str, multiscale: Any, version: str) -> VolumeFile:
        """The finest level of an image of OME-Zarr, with its voxel size."""
        datasets = multiscale["datasets"]
        number = finest_level([self._level(path, dataset) for dataset in datasets], self.name) if datasets[1:] else 0
        level = datasets[number]
        inner = _inside(self.name, level["path"])
        array = self._node(_joined(path, inner))
        self._check_chunks(array)
        if "coordinateSystems" in multiscale:
            raise VolumeError(
                f"{self.name} is OME-Zarr {version or 'of a later version'}, with coordinate systems; 0.1 to 0.5 are "
                f"read: name its array, dataset: {_joined(path, inner)}, with the axes z, y, x and without a voxel size"
            )
        axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale.get("axes", [])]
        names = [str(axis.get("name")).lower() for axis in axes]
        if axes and (sorted(names[-3:]) != sorted(_SPACE) or len(names) != array.ndim):
            raise VolumeError(
                f"{self.name} has the axes {names} for the shape {array.shape}; a volume of three dimensions "
                "has z, y and x at their end"
            )
        if any(n != 1 for n in array.shape[:-3]):
            raise VolumeError(f"{self.name} has several channels or times: shape {array.shape}; one volume is needed")
        volume = ZarrVolume(self.files, array, self.options.fill) if array.ndim >= 3 else array
        edges = _edges(level, multiscale, axes[-3:], array.ndim, self.name)
        form = f"OME-Zarr {version}".strip()
        remark = ("file", f"{form}, {_storage(array)}" + (f", array {array.path}" if path else ""))
        remarks: tuple[tuple[str, str], ...] = (remark,)
        if number:
            first = printable_line(datasets[0]["path"])[:60]
            remarks += (("level", f"{printable_line(inner)[:60]}, the finest; the first that is listed is {first}"),)
        return VolumeFile(volume, edges, remarks, "".join(names[-3:]) or "zyx")

    def _level(self, path: str, dataset: Mapping[str, Any]) -> Level:
        """A level of an image of OME-Zarr, whose array may be missing."""
        inner = _inside(self.name, dataset["path"])
        shape: tuple[int, ...] | None = None
        with contextlib.suppress(FileNotFoundError, KeyError):
            shape = tuple(int(n) for n in self._node(_joined(path, inner)).shape[-3:])
        return Level(inner, shape, level_scale(dataset))


def _storage(array: Any) -> str:
    return f"{array.dtype}, chunks of {' x '.join(map(str, array.shards or array.chunks))}"


def _edges(
    level: Mapping[str, Any], multiscale: Mapping[str, Any], axes: Sequence[Mapping[str, Any]], ndim: int, name: str
) -> VoxelEdges:
    """Voxel edges by the transformations of the level, then those of all levels.

    Source: OME-Zarr 0.4 and 0.5, "multiscales" metadata. Translations change no edges; other transformations than
    scales and translations are not part of these versions.
    """
    scale = [1.0] * ndim
    texts = []
    for which, owner in (("data set", level), ("multiscales", multiscale)):
        for transformation in owner.get("coordinateTransformations") or []:
            kind = transformation["type"]
            if kind in ("identity", "translation"):
                continue
            if kind != "scale" or "scale" not in transformation:
                return VoxelEdges.unknown(
                    f"its transformation of the type {printable_line(kind)[:40]!r} ({which}) is not read, and "
                    "it has no voxel size without it"
                )
            values = [header_number(value, f"scale ({which})") for value in transformation["scale"]]
            if len(values) != ndim:
                raise VolumeError(f"{name} has a scale of {len(values)} numbers ({which}) for an array of {ndim} axes")
            scale = [a * b for a, b in zip(scale, values, strict=True)]
            texts.append(f"{' x '.join(f'{value:g}' for value in values[-3:])} ({which})")
    units = [nanometres(axis.get("unit")) for axis in axes]
    if not texts:
        return VoxelEdges.unknown("its metadata have no voxel size")
    stated = " times ".join(texts)
    edges = tuple(scale[-3:])
    if not all(0 < edge < math.inf for edge in edges):
        raise VolumeError(
            f"{name} states voxels of {' x '.join(f'{e:g}' for e in edges)}, which are no lengths: correct the scale, "
            "or remove it and set voxel_size"
        )
    if not units or None in units:
        spelled = {printable_line(axis.get("unit"))[:40] for axis in axes if nanometres(axis.get("unit")) is None}
        unit = f"the unit {' and '.join(sorted(spelled))}" if spelled - {"None"} else "no unit of length"
        return VoxelEdges.unknown(f"its metadata have the scale {stated} with {unit}", edges)
    nm = tuple(edge * float(unit) for edge, unit in zip(edges, units, strict=True) if unit)
    detail = f", scale {stated}" if len(texts) > 1 else ""
    return VoxelEdges(nm, f"OME-Zarr metadata{detail}")
