"""Axes of lengths in a unit without powers of ten."""

from __future__ import annotations

from typing import Any

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, StrMethodFormatter

from membrane_dask.number_text import readable_unit

_NM = "[nm]"


class LengthFormatter(Formatter):
    """Labels of ticks in another unit than that of the data.

    Parameters
    ----------
    factor : float
        Units of the labels in one of the data.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of a position."""
        return f"{x * self.factor:g}".replace("-", "\N{MINUS SIGN}")


def label_lengths(figure: Figure) -> None:
    """Label axes whose label ends with ``[nm]`` in nm, µm or mm, by their largest value; the data remain in nm.

    Both axes of a picture, whose scales are equal, have one unit.
    """
    for axes in figure.axes:
        lines = (axes.xaxis, axes.yaxis)
        limits = [[float(limit) for limit in line.get_view_interval()] for line in lines]
        if axes.get_aspect() != "auto":
            limits = [limits[0] + limits[1]] * 2
        for line, its_limits in zip(lines, limits, strict=True):
            _label(line, its_limits)


def _label(line: Axis, limits: list[float]) -> None:
    text = line.get_label_text()
    unit, factor = readable_unit("nm", limits)
    if not text.endswith(_NM) or factor == 1:
        return
    line.set_label_text(text.removesuffix(_NM) + f"[{unit}]")
    minor: Any = line.get_minor_formatter()
    line.set_major_formatter(LengthFormatter(factor))
    if isinstance(minor, StrMethodFormatter) and minor.fmt:
        line.set_minor_formatter(LengthFormatter(factor))


def length_factor(line: Axis) -> float:
    """Units of the labels of an axis in one of its data."""
    formatter = line.get_major_formatter()
    return formatter.factor if isinstance(formatter, LengthFormatter) else 1.0
