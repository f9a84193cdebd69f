"""Databars burnt into the planes of a volume, which no metadata name: found, refused, cut or kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from membrane_dask.io.volume_file import Margins, VolumeError
from membrane_dask.physics.imaging.databar import Strip, find_strips

#: Planes that are compared, as fractions of their number.
_PLANES = (0.25, 0.5, 0.75)
#: Rows by which the edges of a databar may differ between planes.
_EDGE = 2
#: Fraction of the range of grey values by which text differs from its background.
_CONTRAST = 0.25
#: Least fraction of the text of all planes that they have in common; a structure differs from plane to plane.
_COMMON_TEXT = 0.3
#: Fraction of the image in which planes must differ, unless the structure is the same in all of them.
_DIFFERENT = 0.02
#: Fraction of a blank databar that has exactly one value; largest fraction of the rest of the image that has one.
_BLANK, _NOT_BLANK = 0.97, 0.5
#: Values of an image of labels, in which blank rows may be a phase; more are grey values.
_MAX_LABELS = 12

Treatment = Literal["refuse", "cut", "keep"]


@dataclass(frozen=True)
class Databar:
    """Rows or columns that look like a databar in all compared planes of a volume.

    Parameters
    ----------
    axis : int
        Axis of the stored array across them.
    name : {"rows", "columns"}
        What they are in a plane.
    start, stop : int
        The first, and the one after the last.
    n : int
        Extent of the array along the axis.
    strip : Strip
        What they look like in the first compared plane.
    is_certain : bool
        Whether they are no structure: their text is the same in all planes, which differ elsewhere, or they are blank
        in an image that has noise.
    """

    axis: int
    name: Literal["rows", "columns"]
    start: int
    stop: int
    n: int
    strip: Strip
    is_certain: bool

    @property
    def at_border(self) -> bool:
        """Whether they reach a border of the planes."""
        return self.start == 0 or self.stop == self.n

    def __str__(self) -> str:
        """Position and look, for messages."""
        border = "the last " if self.stop == self.n else "the first " if self.start == 0 else "the "
        count = f"{self.stop - self.start} " if self.at_border else ""
        position = f"{border}{count}{self.name} of the planes ({self.start} to {self.stop - 1} of {self.n})"
        return f"{position}, of which {self.strip.fraction:.0%} have the value {self.strip.grey:g},"


def slowest_axis(array: Any) -> int:
    """Axis of an array as it is stored along which its planes follow each other; the last one of MATLAB and Fortran."""
    return int(np.argmax(np.abs(getattr(array, "strides", (1, 0, 0)))))


def find_databars(array: Any) -> list[Databar]:
    """Strips of flat rows or columns with straight edges that all compared planes have at the same position.

    Parameters
    ----------
    array : array
        Volume of three axes in the order of the file.

    Returns
    -------
    list of Databar
        In the order of rows, then columns.
    """
    across = slowest_axis(array)
    n = int(array.shape[across])
    planes = []
    for number in sorted({int(n * fraction) for fraction in _PLANES}):
        where: list[Any] = [slice(None)] * 3
        where[across] = number
        plane = np.asarray(array[tuple(where)])
        planes.append(plane.view(np.uint8) if plane.dtype == bool else plane)
    databars = []
    names: tuple[Literal["rows", "columns"], ...] = ("rows", "columns")
    for axis, name in zip([k for k in range(3) if k != across], names, strict=True):
        views = [np.ascontiguousarray(plane if name == "rows" else plane.T) for plane in planes]
        for strip, start, stop in _common_strips(views):
            is_certain = _is_databar(views, start, stop)
            databars.append(Databar(axis, name, start, stop, len(views[0]), strip, is_certain))
    return databars


def _common_strips(planes: Sequence[np.ndarray]) -> list[tuple[Strip, int, int]]:
    """Strips at the same rows of all planes, with the first row and the row after the last of any of them."""
    first, *further = [find_strips(plane) for plane in planes]
    common = []
    for strip in first:
        same = [strip]
        for strips in further:
            same += [s for s in strips if max(abs(s.start - strip.start), abs(s.stop - strip.stop)) <= _EDGE][:1]
        if len(same) == len(planes):
            common.append((strip, min(s.start for s in same), max(s.stop for s in same)))
    return common


def _is_databar(planes: Sequence[np.ndarray], start: int, stop: int) -> bool:
    """Whether rows of planes are no structure."""
    image = [np.delete(plane, slice(start, stop), axis=0) for plane in planes]
    rows = [plane[start:stop] for plane in planes]
    low, high = min(float(plane.min()) for plane in planes), max(float(plane.max()) for plane in planes)
    marks = [np.abs(each.astype(np.float64) - _mode(each)[0]) > _CONTRAST * (high - low) for each in rows]
    every, common = np.any(marks, axis=0).sum(), np.all(marks, axis=0).sum()
    if every and common >= _COMMON_TEXT * every:
        return all(np.mean(a != b) > _DIFFERENT for a, b in itertools.combinations(image, 2))
    if all(len(np.unique(each)) <= _MAX_LABELS for each in image):
        return False
    return not every and all(
        _mode(bar)[1] >= _BLANK and _mode(rest)[1] <= _NOT_BLANK for bar, rest in zip(rows, image, strict=True)
    )


def _mode(values: np.ndarray) -> tuple[float, float]:
    """Value of the largest frequency, and the fraction that has it."""
    unique, counts = np.unique(values, return_counts=True)
    return float(unique[counts.argmax()]), float(counts.max() / values.size)


def treat_databars(
    databars: Sequence[Databar], treatment: Treatment, name: str
) -> tuple[Margins | None, list[tuple[str, str]]]:
    """What is cut from a volume with databars, and what is said of them.

    Parameters
    ----------
    databars : sequence of Databar
        Of the volume.
    treatment : {"refuse", "cut", "keep"}
        refuse: those that are no structure are refused; cut: they are cut, or, where none is certain, all at a border;
        keep: all are measured.
    name : str
        Name of the volume, for messages.

    Returns
    -------
    margins : Margins or None
        Voxels that are cut at the start and the end of every axis of the stored array; None if nothing is cut.
    remarks : list of (str, str)
        Subject and text.

    Raises
    ------
    VolumeError
        If there is a databar that is refused, or one that cannot be cut as it is not at a border.
    """
    certain = [bar for bar in databars if bar.is_certain]
    cut = (certain or [bar for bar in databars if bar.at_border]) if treatment == "cut" else []
    for bar in certain if treatment != "keep" else []:
        if treatment == "refuse" or not bar.at_border:
            advice = "set databar: cut" if bar.at_border else "it is not at a border: cut it from the images"
            raise VolumeError(
                f"{name} has a databar burnt in: {bar} are no structure; {advice}, or measure them as structure with "
                "databar: keep"
            )
    remarks = []
    for bar in databars:
        if bar in cut:
            text = f"{bar} look like a databar: cut (databar: keep measures them)"
        elif bar.at_border and treatment == "refuse":
            text = f"{bar} look like a databar or a layer of one phase: measured; databar: cut cuts them"
        else:
            text = f"{bar} look like a databar or a layer of one phase: measured"
        remarks.append(("databar", text))
    margins = [[0, 0] for _ in range(3)]
    for bar in cut:
        side = 0 if bar.start == 0 else 1
        margins[bar.axis][side] = bar.stop if side == 0 else bar.n - bar.start
    return (tuple((first, last) for first, last in margins) if cut else None), remarks
