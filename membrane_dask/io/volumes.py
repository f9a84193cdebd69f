"""Segmented and grey volumes in files, whose pores are read window by window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.io.raster_files import check_decoded_size
from membrane_dask.io.segmentation import segment_window
from membrane_dask.io.volume_formats import VolumeError, open_array
from membrane_dask.io.zarr_chunks import MissingChunkError, ZarrVolume

#: Voxels that are read to determine which values a volume holds.
_INSPECTED_VOXELS = 1 << 24


@dataclass(frozen=True)
class VolumeSource:
    """A volume in a file or a folder, which is opened where it is read.

    Parameters
    ----------
    path : str
        The file or folder.
    shape : tuple of int
        Voxels along ``z, y, x``.
    voxel_nm : float or None
        Edge of a voxel, nm; None if the file does not hold it.
    voxel_size_source : str
        Which metadata hold it, or why it is unknown.
    pores : {"dark", "bright"} or int
        Which of the two values the pores have, or the value of the pores in a volume of many labels.
    grey : mapping, optional
        Segmentation of a grey volume: arguments of :func:`membrane_dask.io.segmentation.segment_window`.
    missing_chunks : {"refuse", "fill"}
        Whether missing chunks of a Zarr array are refused, or read as its fill value.
    """

    path: str
    shape: tuple[int, ...]
    voxel_nm: float | None
    voxel_size_source: str
    pores: Literal["dark", "bright"] | int = "dark"
    grey: Mapping[str, float] | None = None
    missing_chunks: Literal["refuse", "fill"] = "refuse"

    def read(self, where: tuple[slice, ...]) -> np.ndarray:
        """Pores in a window, ``(z, y, x)`` bool.

        Raises
        ------
        ValueError
            If the window cannot be read, or holds a value that is neither pore nor solid.
        """
        array = _cached_array(self.path, self.missing_chunks == "fill")
        if self.grey is not None:
            assert self.pores in ("dark", "bright")
            return segment_window(array, where, pores=self.pores, **self.grey)
        return self._is_pore(np.asarray(array[where]))

    def _is_pore(self, values: np.ndarray) -> np.ndarray:
        if isinstance(self.pores, int) and not isinstance(self.pores, bool):
            return np.asarray(values == self.pores)
        low, high = _phase_values(self.path, self.missing_chunks == "fill")
        pore, solid = (low, high) if self.pores == "dark" else (high, low)
        is_pore = values == pore
        is_invalid = ~is_pore & (values != solid)
        if is_invalid.any():
            invalid = np.unique(values[is_invalid])[:3].tolist()
            raise ValueError(f"{self.path} holds {invalid} in addition to the values {low} and {high} of its phases")
        return np.asarray(is_pore)


def open_volume_source(
    path: Path,
    pores: Literal["dark", "bright"] | int = "dark",
    grey: Mapping[str, float] | None = None,
    missing_chunks: Literal["refuse", "fill"] = "refuse",
) -> VolumeSource:
    """Open a volume, reading no more of it than needed to identify its phases.

    Parameters
    ----------
    path : Path
        OME-Zarr (0.4 or 0.5), TIFF stack, folder of TIFF images of one size, or ``.npy``.
    pores, grey, missing_chunks
        As in :class:`VolumeSource`.

    Returns
    -------
    VolumeSource

    Raises
    ------
    ValueError
        If it cannot be read, has missing chunks, is not three-dimensional, has voxels that are not cubes, or holds
        values that do not identify pores and solid.
    """
    message, fill = "", missing_chunks == "fill"
    try:
        array, voxel, voxel_size_source = open_array(path, fill)
        shape = tuple(int(n) for n in array.shape)
        if len(shape) != 3 or min(shape) < 2:
            raise VolumeError(
                f"{path.name} has the shape {shape}; a volume of three dimensions with at least two voxels along each "
                "is needed"
            )
        if np.dtype(array.dtype).kind not in "buif":
            raise VolumeError(f"{path.name} holds {str(array.dtype)[:80]}; grey values or labels are needed")
        check_decoded_size("a plane of it", shape[1:], array.dtype, "divide it")
        if isinstance(array, ZarrVolume):
            array.require_complete()
        if grey is None and isinstance(pores, int):
            values = {value for plane in _sample_planes(array) for value in np.unique(plane).tolist()}
            if pores not in values:
                shown = ", ".join(f"{v:g}" for v in sorted(values)[:6]) + (", ..." if len(values) > 6 else "")
                raise VolumeError(f"{path.name} holds {shown}, but no {pores} (pores)")
        if not grey and not isinstance(pores, int):
            message = _invalid_phases(str(path), fill)
    except VolumeError:
        raise
    except MissingChunkError as error:
        raise ValueError(f"{path.name}: {error}") from error
    except Exception as error:  # decoders raise many types; MEMBRANE_DASK_DEBUG=1 shows where
        raise ValueError(f"{path.name} cannot be read as a volume: {reason(error)}") from error
    if message:
        raise ValueError(
            f"{path.name} holds {message}; a segmented volume has two: set the value of the pores (pores: 0), or "
            "segment a grey volume (grey.threshold)"
        )
    return VolumeSource(str(path), shape, voxel, voxel_size_source, pores, grey, missing_chunks)


def volume_paths(path: Path) -> list[Path]:
    """Volumes at a path: those of a run, in their order, or the path itself.

    Raises
    ------
    ValueError
        If it is a run without volumes.
    """
    if not (path / "run.json").is_file():
        return [path]
    volumes = sorted(path.glob("volumes/*.ome.zarr"), key=lambda p: (len(p.name), p.name))
    if not volumes:
        raise ValueError(f"{path.name} is a run without volumes; that of a reconstruction is needed")
    return volumes


def replicate_design(path: Path) -> str:
    """How the volumes of a run are related to each other: the attribute ``design`` of its replicates; often empty."""
    import zarr

    labels = path / "result.zarr" / "structures" / "replicate"
    return str(zarr.open_array(labels, mode="r").attrs.get("design", "")) if labels.is_dir() else ""


def _cached_array(path: str, fill: bool) -> Any:
    return _array_of_version(path, fill, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _array_of_version(path: str, fill: bool, modified: int) -> Any:
    return open_array(Path(path), fill)[0]


def _phase_values(path: str, fill: bool) -> tuple[Any, Any]:
    """Smaller and larger value of a segmented volume."""
    return _phases_of_version(path, fill, Path(path).stat().st_mtime_ns)[0]


def _invalid_phases(path: str, fill: bool) -> str:
    """Which values a volume holds that is not segmented into two phases; empty if it is."""
    return _phases_of_version(path, fill, Path(path).stat().st_mtime_ns)[1]


@lru_cache(maxsize=64)
def _phases_of_version(path: str, fill: bool, modified: int) -> tuple[tuple[Any, Any], str]:
    """The two values of a volume, and why it has no two phases."""
    array = _cached_array(path, fill)
    if np.dtype(array.dtype).kind == "b":
        return (False, True), ""
    values: set[Any] = set()
    for plane in _sample_planes(array):
        values |= set(np.unique(plane).tolist())
        if any(v != v for v in values):
            return (None, None), "values that are not numbers"
        if len(values) > 2:
            shown = ", ".join(f"{v:g}" for v in sorted(values)[:4])
            return (None, None), f"more than two values ({shown}, ...)"
    if len(values) == 2:
        low, high = sorted(values)
        return (low, high), ""
    only = values.pop()
    # The phase of a volume of a single value follows from the usual pairs of values.
    for low, high in ((0, 255), (0, 1)):
        if only in (low, high):
            return (low, high), ""
    return (None, None), f"nothing but {only:g}"


def _sample_planes(array: Any) -> Iterator[np.ndarray]:
    """Planes of the depth: all of a small volume, a sample of a large one."""
    count = max(1, min(array.shape[0], _INSPECTED_VOXELS // max(1, array.shape[1] * array.shape[2])))
    for z in np.unique(np.linspace(0, array.shape[0] - 1, count).astype(int)):
        yield np.asarray(array[int(z)])
