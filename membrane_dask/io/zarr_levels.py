"""Levels of an image of OME-Zarr, which holds copies of it at several resolutions: which of them is the finest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from membrane_dask.io.header_numbers import header_number
from membrane_dask.io.volume_file import VolumeError
from membrane_dask.plain_text import printable_line

#: Levels that a message lists.
_LISTED = 6


@dataclass(frozen=True)
class Level:
    """A resolution of an image.

    Parameters
    ----------
    path : str
        Name of its array in the group of the image.
    shape : tuple of int or None
        Voxels along the axes of space; None if there is no such array.
    scale : tuple of float or None
        Edges of a voxel along the axes of space by its transformations, in any unit; None if they state none.
    """

    path: str
    shape: tuple[int, ...] | None
    scale: tuple[float, ...] | None

    def __str__(self) -> str:
        """Path, shape and scale, for messages."""
        shape = "missing" if self.shape is None else " x ".join(map(str, self.shape)) + " voxels"
        scale = f", scale {' x '.join(f'{edge:g}' for edge in self.scale)}" if self.scale else ""
        return f"{printable_line(self.path)[:60]} ({shape}{scale})"


def level_scale(level: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Edges of a voxel along the last three axes by the transformations of a level alone; None if they state none."""
    scale: tuple[float, ...] | None = None
    for transformation in level.get("coordinateTransformations") or []:
        if transformation["type"] in ("identity", "translation"):
            continue
        if transformation["type"] != "scale" or "scale" not in transformation:
            return None
        values = tuple(header_number(value, "scale (data set)") for value in transformation["scale"][-3:])
        scale = values if scale is None else tuple(a * b for a, b in zip(scale, values, strict=True))
    return scale if scale and all(0 < edge < math.inf for edge in scale) else None


def finest_level(levels: Sequence[Level], name: str) -> int:
    """Number of the finest level in the list, by the transformations or, where these state nothing, by the shapes.

    Parameters
    ----------
    levels : sequence of Level
        In the order of the metadata, which should begin with the finest one.
    name : str
        Name of the volume, for messages.

    Raises
    ------
    VolumeError
        If transformations and shapes contradict each other, no level is the finest along all axes, or the finest one is
        missing.
    """
    scales = [level.scale for level in levels if level.scale]
    is_scaled = len(scales) == len(levels) and len(set(scales)) > 1
    if is_scaled:
        number = min(range(len(levels)), key=lambda k: math.prod(levels[k].scale or ()))
        is_finest = all(a <= b for other in scales for a, b in zip(levels[number].scale or (), other, strict=True))
    else:
        number = max(range(len(levels)), key=lambda k: math.prod(levels[k].shape or (0,)))
        is_finest = number == 0 or not scales  # equal scales of several shapes hold for the first level at most
    finest = levels[number]
    if is_finest and finest.shape is None:
        listed = f"{printable_line(finest.path)[:60]!r}"
        raise VolumeError(f"{name} has no array {listed}, which its metadata name as the finest level: copy it again")
    shapes = [level.shape for level in levels if level.shape]
    if not is_finest or any(a > b for other in shapes for a, b in zip(other, finest.shape or (), strict=True)):
        listed = ", ".join(map(str, levels[:_LISTED])) + (", ..." if levels[_LISTED:] else "")
        raise VolumeError(
            f"{name} does not say which of its levels is the finest: {listed}; name one, for example dataset: "
            f"{printable_line(finest.path)[:60]} (without a voxel size)"
        )
    return number
