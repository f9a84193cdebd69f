"""Equal limits of figures that are compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membrane_dask.report.figure_data import tick_names


def equal_axes(*figures: Figure) -> None:
    """Give the panels of figures that show the same quantities the limits that contain those of each of them.

    Panels are compared by their order. Their limits stay where labels, scales or the names of ticks differ, and in
    pictures without axes. Colours that a colour bar explains have equal limits too.

    Parameters
    ----------
    *figures : Figure
        Figures of one kind of picture, changed in place.
    """
    if len({len(figure.axes) for figure in figures}) == 1:
        for panels in zip(*(figure.axes for figure in figures), strict=True):
            equal_limits(panels)


def equal_limits(panels: Iterable[Axes]) -> None:
    """Do for panels what :func:`equal_axes` does for figures; panels without data are left as they are."""
    panels = [axis for axis in panels if axis.axison and axis.has_data()]
    for name in "xy":
        if len({_meaning(axis, name) for axis in panels}) == 1:
            _widen([(getattr(axis, f"get_{name}lim"), getattr(axis, f"set_{name}lim")) for axis in panels])
    images: list[Any] = [image for axis in panels for image in axis.images if image.colorbar]
    if len({image.colorbar.ax.get_ylabel() for image in images}) == 1:
        _widen([(image.get_clim, image.set_clim) for image in images])


def _meaning(axis: Axes, name: str) -> tuple[Any, ...]:
    """What an axis shows: quantity, scale, and names instead of numbers."""
    line = getattr(axis, f"{name}axis")
    return line.get_label_text(), line.get_scale(), tuple(tick_names(line))


def _widen(ranges: list[tuple[Callable[[], tuple[float, float]], Callable[[float, float], Any]]]) -> None:
    """Set all ranges to the smallest one that contains them, in their direction."""
    limits = [get() for get, _ in ranges]
    low, high = min(map(min, limits)), max(map(max, limits))
    for (first, last), (_, set_limits) in zip(limits, ranges, strict=True):
        set_limits(*((low, high) if first <= last else (high, low)))
