"""Writer and reader of volumes as OME-Zarr 0.5 with a pyramid of resolutions.

A volume is a Zarr group with the image at level 0 and coarser copies above it, each of every second voxel of the
level below. Levels are subsampled, not averaged: the mean of pore and solid is neither of them, and a majority vote
shifts the porosity (0.51, 0.53, 0.57 up the levels).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Edge of a chunk along z and x; along y chunks are as thick as a slab.
_CHUNK = 128
#: Largest extent of the coarsest level along any axis, voxels.
_COARSEST = 128
#: A chunk of nothing but pores is written too, so that one that is missing was lost.
_EVERY_CHUNK: Any = {"write_empty_chunks": True}


def create_volume(
    path: Path,
    *,
    shape: tuple[int, int, int],
    block: int,
    voxel_size_nm: float,
    name: str,
    axis: str = "y",
    levels: int | None = None,
) -> None:
    """Create an empty volume.

    Parameters
    ----------
    path : Path
        Directory of the volume; must not exist.
    shape : tuple of int
        Voxels along ``z, y, x``.
    block : int
        Planes of a slab, which has one writer: the edge of a chunk along ``axis``.
    voxel_size_nm : float
        Edge of a voxel in nanometres.
    name : str
        Name of the image, which viewers show.
    axis : str
        Axis along which slabs follow one another: ``z``, ``y`` or ``x``.
    levels : int, optional
        Number of levels; by default so many that the coarsest has at most 128 voxels along any axis.

    Raises
    ------
    FileExistsError
        If the directory exists.
    """
    import zarr
    from zarr.codecs import ZstdCodec

    group = zarr.open_group(path, mode="w-", zarr_format=3)
    datasets: list[Any] = []
    for level, (size, chunk) in enumerate(level_shapes(shape, block, axis, levels)):
        group.create_array(
            str(level), shape=size, chunks=chunk, dtype="uint8", fill_value=0, compressors=ZstdCodec(checksum=True),
            dimension_names=("z", "y", "x"), config=_EVERY_CHUNK,
        )  # fmt: skip
        scale = [voxel_size_nm * 2**level] * 3
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    axes: list[Any] = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "type": "nearest",
                "axes": axes,
                "datasets": datasets,
                "metadata": {"description": "every second voxel of the level below; 0 pore, 255 solid"},
            }
        ],
    }


def level_shapes(
    shape: tuple[int, int, int], block: int, axis: str, levels: int | None = None
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Voxels of every level of a volume and of its chunks; parameters as for :func:`create_volume`."""
    if levels is None:
        levels = 1 + max(0, math.ceil(math.log2(max(shape) / _COARSEST)))
    sizes = [tuple(-(-n // 2**level) for n in shape) for level in range(levels)]
    return [
        (size, tuple(min(n, block if dim == axis else _CHUNK) for dim, n in zip("zyx", size, strict=True)))
        for size in sizes
    ]


def open_level(path: Path, level: int = 0, mode: Any = "r+") -> Any:
    """The Zarr array of a level of a volume; level 0 is filled slab by slab."""
    import zarr

    return zarr.open_array(Path(path) / str(level), mode=mode).with_config(_EVERY_CHUNK)


def count_levels(path: Path) -> int:
    """Number of levels of a volume."""
    import zarr

    return len(_multiscale(zarr.open_group(path, mode="r"))["datasets"])


def build_level(path: Path, level: int) -> None:
    """Subsample a level from the one below it, one row of chunks at a time.

    Parameters
    ----------
    path : Path
        Volume.
    level : int
        Level, >= 1; the one below must be complete.
    """
    source, target = open_level(path, level - 1, "r"), open_level(path, level)
    step = target.chunks[1]
    for y in range(0, target.shape[1], step):
        stop = min(y + step, target.shape[1])
        target[:, y:stop, :] = source[:, 2 * y : 2 * stop, :][::2, ::2, ::2]


def build_pyramid(path: Path) -> None:
    """Fill all levels above the finest, which must be complete."""
    for level in range(1, count_levels(path)):
        build_level(path, level)


def open_volume(path: Any, level: int = 0) -> Any:
    """Open a level of a volume as a lazy array.

    Parameters
    ----------
    path : Path or zarr.abc.store.Store
        Volume.
    level : int
        Level, 0 the finest.

    Returns
    -------
    xarray.DataArray
        Lazy, ``(z, y, x)``, uint8, with coordinates in nanometres.

    Raises
    ------
    ValueError
        If there is no such level.
    """
    import dask.array as da
    import xarray as xr
    import zarr

    group = zarr.open_group(path, mode="r")
    multiscale = _multiscale(group)
    levels = multiscale["datasets"]
    if not 0 <= level < len(levels):
        raise ValueError(f"level: must lie in [0, {len(levels) - 1}] (got {level})")
    array: Any = group[str(level)]
    from_zarr: Callable[[Any], Any] = da.from_zarr
    scale = levels[level]["coordinateTransformations"][0]["scale"]
    coords = {
        axis: (axis, np.arange(n) * size, {"units": "nm"})
        for axis, n, size in zip("zyx", array.shape, scale, strict=True)
    }
    return xr.DataArray(
        from_zarr(array),
        dims=("z", "y", "x"),
        coords=coords,
        name=multiscale["name"],
        attrs={
            "units": "1",
            "long_name": "phase",
            "flag_values": [0, 255],
            "flag_meanings": "pore solid",
            "voxel_size_nm": scale[0],
        },
    )


def _multiscale(group: Any) -> dict[str, Any]:
    return dict(group.attrs["ome"]["multiscales"][0])
