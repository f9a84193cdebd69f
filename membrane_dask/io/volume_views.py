"""Views of volumes in files: axes in another order, equal colour channels as one; slices are read on demand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from membrane_dask.io.image_colours import grey_channel
from membrane_dask.io.volume_file import Margins, VolumeError

Index = int | slice


def as_indices(where: Any, n_axes: int) -> tuple[Index, ...]:
    """An index for every axis."""
    where = where if isinstance(where, tuple) else (where,)
    return (*where, *[slice(None)] * (n_axes - len(where)))


def stacked(
    images: Iterable[np.ndarray], n: int, inside: Sequence[Index], plane: Sequence[int], dtype: Any
) -> np.ndarray:
    """A window of each of ``n`` images, of which only one is held in memory at a time.

    Parameters
    ----------
    images : iterable of ndarray
        Whole planes.
    n : int
        Their number.
    inside : sequence of int or slice
        The window.
    plane : sequence of int
        Shape of an image.
    dtype : dtype
        Type of the values.
    """
    window = np.broadcast_to(np.zeros((), dtype), tuple(plane))[tuple(inside)].shape
    values = np.empty((n, *window), dtype)
    for target, image in zip(values, images, strict=True):
        target[...] = image[tuple(inside)]
    return values


@dataclass(frozen=True)
class Oriented:
    """An array with its axes in another order and some of them reversed.

    Parameters
    ----------
    array : array
        Of at least three axes; those that ``order`` leaves out have the length one.
    order : tuple of int
        Axis of the array along each axis of the view.
    reversed_axes : tuple of int
        Axes of the view that run against those of the array.
    """

    array: Any
    order: tuple[int, ...]
    reversed_axes: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the axes of the view."""
        return tuple(int(self.array.shape[axis]) for axis in self.order)

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        return self.array.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        source: list[Index] = [0] * len(self.array.shape)
        sliced: list[int] = []
        flipped: list[int] = []
        for axis, (index, n) in enumerate(zip(as_indices(where, len(self.order)), self.shape, strict=True)):
            is_reversed = axis in self.reversed_axes
            if not isinstance(index, slice):
                number = range(n)[int(index)]
                source[self.order[axis]] = n - 1 - number if is_reversed else number
                continue
            selected = range(n)[index]
            if not len(selected):
                source[self.order[axis]] = slice(0, 0)
            elif is_reversed:
                source[self.order[axis]] = slice(n - 1 - selected[-1], n - selected[0], selected.step)
                flipped.append(len(sliced))
            else:
                source[self.order[axis]] = slice(selected[0], selected[-1] + 1, selected.step)
            sliced.append(self.order[axis])
        values = np.asarray(self.array[tuple(source)])
        positions = [sorted(sliced).index(axis) for axis in sliced]
        # Kernels that follow read along the last axis.
        return np.ascontiguousarray(np.flip(values.transpose(positions), tuple(flipped)))


@dataclass(frozen=True)
class Cropped:
    """An array of three axes without its margins.

    Parameters
    ----------
    array : array
        With a shape and a data type; slices are read on demand.
    margins : Margins
        Voxels that are left out at the start and the end of every axis.
    """

    array: Any
    margins: Margins

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the axes."""
        return tuple(int(n) - a - b for n, (a, b) in zip(self.array.shape, self.margins, strict=True))

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        return self.array.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        indices: list[Index] = []
        for index, n, (start, _) in zip(as_indices(where, 3), self.shape, self.margins, strict=True):
            selected = range(n)[index]
            if isinstance(selected, int):
                indices.append(selected + start)
            else:
                indices.append(slice(selected.start + start, max(selected.stop, 0) + start, selected.step))
        return np.asarray(self.array[tuple(indices)])


def cropped(array: Any, margins: Margins) -> Any:
    """An array without its margins, which are those of the array of the file that it shows.

    An array in memory, or mapped into it, keeps its strides.
    """
    if in_file_order(array) is not array:
        return replace(array, array=cropped(array.array, margins))
    if isinstance(array, np.ndarray):
        return array[tuple(slice(a, n - b) for n, (a, b) in zip(array.shape, margins, strict=True))]
    return Cropped(array, margins)


@dataclass(frozen=True)
class EqualChannels:
    """An array ``(z, y, x, channel)`` of grey values, as colours of equal channels, with a constant opacity if any.

    Parameters
    ----------
    array : array
        Its last axis has two (grey and opacity), three or four channels.
    name : str
        Name of the file, for messages.
    """

    array: Any
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along ``z, y, x``."""
        return tuple(int(n) for n in self.array.shape[:-1])

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        return self.array.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        values = np.asarray(self.array[(*as_indices(where, len(self.shape)), slice(None))])
        return np.ascontiguousarray(grey_channel(values, self.name).require_equal(self.name))


def as_volume(array: Any, name: str) -> Any:
    """An array of more than three axes as a volume: axes of length one are dropped, equal colour channels are one.

    Raises
    ------
    VolumeError
        If neither makes three axes of it.
    """
    shape = tuple(int(n) for n in array.shape)
    if len(shape) <= 3:
        return array
    long = tuple(axis for axis, n in enumerate(shape) if n > 1)
    if len(shape) == 4 and shape[-1] in (2, 3, 4) and len(long) == 4:
        return EqualChannels(array, name)
    if len(long) == 3:
        return Oriented(array, long)
    raise VolumeError(f"{name} has the shape {shape}; a volume of three dimensions is needed")


def in_file_order(array: Any) -> Any:
    """The array that an :class:`Oriented` view of three axes shows, whose planes are contiguous in the file."""
    return array.array if isinstance(array, Oriented) and len(array.array.shape) == 3 else array
