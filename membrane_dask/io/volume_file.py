"""What a file says of a volume: its array in the axes of the file, and the edges of its voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from membrane_dask.errors import closest
from membrane_dask.plain_text import printable_line

#: Names that a message lists.
_LISTED = 12
#: Lengths along the axes of an array; None where a file states none.
Edges = tuple[float | None, ...]
#: Voxels at the start and the end of every axis of an array.
Margins = tuple[tuple[int, int], ...]


class VolumeError(ValueError):
    """A file that is not a volume of one of the formats; the message says why."""


@dataclass(frozen=True)
class RawLayout:
    """How a file without a header stores its voxels.

    Parameters
    ----------
    shape : tuple of int
        Voxels along the axes of the file, the slowest first.
    type : str
        NumPy name of the type of a voxel, such as ``uint16``.
    byte_order : {"little", "big"}
        Order of the bytes of a voxel.
    offset : int
        Bytes before the first voxel.
    """

    shape: tuple[int, ...]
    type: str
    byte_order: Literal["little", "big"] = "little"
    offset: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel with its byte order."""
        return np.dtype(self.type).newbyteorder("<" if self.byte_order == "little" else ">")


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of a file.

    Parameters
    ----------
    dataset : str
        Name of the array, or of the group of an image, in a file that has several; empty for the only one.
    raw : RawLayout, optional
        Layout of a file without a header.
    fill : bool
        Whether missing chunks of Zarr arrays are read as the fill value, or refused.
    labels : bool
        Whether the values are labels, which the colours of a palette do not replace.
    margins : Margins, optional
        Voxels that are cut at the start and the end of every axis as it is stored.
    """

    dataset: str = ""
    raw: RawLayout | None = None
    fill: bool = False
    labels: bool = False
    margins: Margins | None = None


@dataclass(frozen=True)
class VoxelEdges:
    """What a file states about the edges of its voxels.

    Parameters
    ----------
    nm : tuple of float or None
        Edge along each axis of the array, nm; None where the file states none, or none without contradiction.
    source : str
        Which metadata hold them, or why they are unknown.
    ratio : tuple of float or None, optional
        Edges in an unknown unit; None where the file states none.
    candidates : tuple of float
        Edges of a pixel, nm, of which the metadata state several that contradict each other.
    """

    nm: Edges
    source: str
    ratio: Edges | None = None
    candidates: tuple[float, ...] = ()

    @classmethod
    def unknown(cls, source: str, ratio: Edges | None = None) -> VoxelEdges:
        """Edges that a file does not state."""
        return cls((None, None, None), source, ratio)

    def ordered(self, order: tuple[int, ...]) -> VoxelEdges:
        """The edges along the axes of an array whose axes are in another order."""
        ratio = self.ratio and tuple(self.ratio[axis] for axis in order)
        return replace(self, nm=tuple(self.nm[axis] for axis in order), ratio=ratio)

    def check(self, name: str) -> None:
        """Check that the edges that the file states are lengths.

        Raises
        ------
        VolumeError
            If one is not.
        """
        stated = [edge for edge in (*self.nm, *(self.ratio or ())) if edge is not None]
        if not all(0 < edge < math.inf for edge in stated):
            raise VolumeError(
                f"{name} states voxels of {self} ({self.source}), which are no lengths: correct them there, or remove "
                "them and set voxel_size"
            )

    def __str__(self) -> str:
        """The edges as text, ``3 x 3 x 3 nm``; ``?`` where they are unknown."""
        numbers, unit = (self.ratio, "of an unknown unit") if self.ratio else (self.nm, "nm")
        return f"{' x '.join('?' if edge is None else f'{edge:g}' for edge in numbers)} {unit}"


@dataclass(frozen=True)
class VolumeFile:
    """A volume in a file, opened but not read.

    Parameters
    ----------
    array : array
        With a shape and a data type; slices are read on demand.
    edges : VoxelEdges
        What the file states about its voxels, in the order of the axes.
    remarks : tuple of (str, str)
        How values are taken from the file: subject and text.
    axes : str
        Names of the axes of the array by the file, in their order, or ``zyx`` where it names none.
    """

    array: Any
    edges: VoxelEdges
    remarks: tuple[tuple[str, str], ...] = field(default=())
    axes: str = "zyx"


def select_dataset(name: str, shapes: dict[str, tuple[int, ...]], dataset: str) -> str:
    """Name of the array to read of a file that may have several.

    Parameters
    ----------
    name : str
        Name of the file, for messages.
    shapes : dict of str to tuple of int
        Shapes of its arrays of numbers.
    dataset : str
        Name by the user; empty for the only array of three dimensions.

    Raises
    ------
    VolumeError
        If there is no such array, or a choice.
    """
    if dataset:
        for candidate in (dataset, dataset.strip("/")):
            if candidate in shapes:
                return candidate
        raise VolumeError(
            f"{name} has no array {dataset!r}{closest(dataset, list(shapes))}; it has {_listed(shapes) or 'none'}"
        )
    volumes = {key: shape for key, shape in shapes.items() if sum(n > 1 for n in shape) >= 3}
    if len(volumes) == 1:
        return next(iter(volumes))
    if volumes:
        example = next(iter(volumes))
        raise VolumeError(f"{name} has several volumes, {_listed(volumes)}: name one, for example dataset: {example}")
    raise VolumeError(f"{name} has no array of three dimensions; it has {_listed(shapes) or 'no array of numbers'}")


def _listed(shapes: dict[str, tuple[int, ...]]) -> str:
    names = [printable_line(f"{key} ({' x '.join(map(str, shape))})") for key, shape in shapes.items()]
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
