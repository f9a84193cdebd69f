"""Values that an artist of a figure plots, with the error bars and the band of its colour, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch

#: Significant digits of values.
DIGITS = 5
#: Positions along a line without data points, such as a limit, or along a bar.
_POSITIONS = 24


def plotted_values(axis: Axes, artist: Any, height: float) -> dict[str, list[float | None]]:
    """Values of an artist in columns of five digits.

    Parameters
    ----------
    axis : Axes
        Its panel, drawn.
    artist : Line2D, StepPatch, Rectangle or another artist
        Others than these have no values of their own.
    height : float
        Height of the figure, pixels.

    Returns
    -------
    dict of str to list
        ``px``, ``py``, pixels from the upper left corner; ``x``, ``y``; ``bar_low``, ``bar_high``, ``x_bar_low``,
        ``x_bar_high``, ``band_low``, ``band_high``, ``x_band_low`` and ``x_band_high`` where there are error bars or a
        band. None is a value that is not finite. Empty if nothing is in the panel.
    """
    columns = _points(axis, artist)
    if not columns:
        return {}
    columns = _with_positions(axis, columns, height)
    return {name: _rounded(values) for name, values in columns.items()} if len(columns["x"]) else {}


def color_of(artist: Any) -> str:
    """Colour without its opacity; empty if it has several or none."""
    if isinstance(artist, Line2D):
        return to_hex(artist.get_color())
    if isinstance(artist, (LineCollection, StepPatch)):
        colors = np.atleast_2d(artist.get_edgecolor())
    else:
        colors = np.atleast_2d(artist.get_facecolor())
    return to_hex(colors[0][:3]) if len(colors) else ""


def _points(axis: Axes, artist: Any) -> dict[str, np.ndarray]:
    """Values of an artist and, in data coordinates, where they stand (``at_x``, ``at_y``)."""
    if isinstance(artist, Line2D):
        x, y = (np.asarray(values, float) for values in artist.get_data(orig=False))
        if not len(x):
            return {}
        is_data = tuple(artist.get_transform().contains_branch_seperately(axis.transData))
        if is_data == (True, True):
            return {"x": x, "y": y, "at_x": x, "at_y": y, **_intervals(axis, artist, x, y)}
        return _limit(axis, x, y, is_data)
    if isinstance(artist, StepPatch):
        values, edges, _ = artist.get_data()
        middle = (np.asarray(edges)[:-1] + np.asarray(edges)[1:]) / 2
        return {"x": middle, "y": np.asarray(values), "at_x": middle, "at_y": np.asarray(values)}
    if isinstance(artist, Rectangle) and artist.get_transform().contains_branch(axis.transData):
        middle, top = artist.get_x() + artist.get_width() / 2, artist.get_y() + artist.get_height()
        along = np.linspace(top, artist.get_y(), _POSITIONS)
        same = np.ones(_POSITIONS)
        return {"x": middle * same, "y": top * same, "at_x": middle * same, "at_y": along}
    return {}


def _limit(axis: Axes, x: np.ndarray, y: np.ndarray, is_data: tuple[bool, ...]) -> dict[str, np.ndarray]:
    """Positions along a line across the panel, which has a value on one of the axes only."""
    unknown = np.full(_POSITIONS, np.nan)
    fractions = np.linspace(0, 1, _POSITIONS)
    if is_data == (True, False):
        along = axis.transData.inverted().transform(axis.transAxes.transform(np.c_[fractions, fractions]))[:, 1]
        return {"x": np.full(_POSITIONS, x[0]), "y": unknown, "at_x": np.full(_POSITIONS, x[0]), "at_y": along}
    if is_data == (False, True):
        along = axis.transData.inverted().transform(axis.transAxes.transform(np.c_[fractions, fractions]))[:, 0]
        return {"x": unknown, "y": np.full(_POSITIONS, y[0]), "at_x": along, "at_y": np.full(_POSITIONS, y[0])}
    return {}


def _intervals(axis: Axes, line: Line2D, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Ends of the error bars and of the band of the colour of a line, where they contain its points."""
    color = color_of(line)
    columns: dict[str, np.ndarray] = {}
    vertical, horizontal = _segments(_error_bars(axis, line, color))
    for name, segments, at, value in (("bar", vertical, x, y), ("x_bar", horizontal, y, x)):
        low, high = np.full(len(x), np.nan), np.full(len(x), np.nan)
        for position, first, last in segments:
            with np.errstate(invalid="ignore"):
                is_inside = np.isclose(at, position, rtol=1e-9, atol=0) & (first <= value) & (value <= last)
            low[is_inside], high[is_inside] = first, last
        if np.isfinite(low).any():
            columns |= {f"{name}_low": low, f"{name}_high": high}
    same_color = [
        one for one in axis.lines if one is not line and color_of(one) == color and np.size(one.get_xdata()) > 1
    ]
    # A band is that of the widest line of its colour: the mean, the best match.
    if all(one.get_linestyle() == "None" or one.get_linewidth() < line.get_linewidth() for one in same_color):
        bands = [one for one in axis.collections if isinstance(one, PolyCollection) and color_of(one) == color]
        if len(bands) == 1:
            columns |= _band(bands[0], x, y)
    return columns


def _error_bars(axis: Axes, line: Line2D, color: str) -> list[LineCollection]:
    """Error bars that were drawn with a line; without any, those of its colour that were drawn with no line."""
    containers = [one for one in axis.containers if isinstance(one, ErrorbarContainer) and one.lines[0] is not None]
    if own := [bars for one in containers if one.lines[0] is line for bars in one.lines[2]]:
        return own
    of_lines = [bars for one in containers for bars in one.lines[2]]
    return [
        one
        for one in axis.collections
        if isinstance(one, LineCollection) and color_of(one) == color and all(one is not bars for bars in of_lines)
    ]


def _segments(
    collections: Sequence[LineCollection],
) -> tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]]:
    """Vertical and horizontal segments: their position, and both ends."""
    vertical, horizontal = [], []
    for segment in (segment for collection in collections for segment in collection.get_segments()):
        if len(segment) == 2:
            (x0, y0), (x1, y1) = np.asarray(segment, float)
            if x0 == x1:
                vertical.append((x0, min(y0, y1), max(y0, y1)))
            elif y0 == y1:
                horizontal.append((y0, min(x0, x1), max(x0, x1)))
    return vertical, horizontal


def _band(band: PolyCollection, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Ends of a band at the points that it contains: ``band_low`` and ``band_high`` along ``y``, or ``x_band_...``."""
    low, high = np.full(len(x), np.nan), np.full(len(x), np.nan)
    is_along_y = getattr(band, "t_direction", "x") == "x"
    at, value = (x, y) if is_along_y else (y, x)
    for path in band.get_paths():
        # The path leads along one end of the band and back along the other one; see Axes.fill_between.
        corners = np.asarray(path.vertices)
        vertices = corners if is_along_y else corners[:, ::-1]
        n = (len(vertices) - 3) // 2
        ends = vertices[1 : n + 1], vertices[n + 2 : 2 * n + 2][::-1]
        if n < 1 or not np.array_equal(ends[0][:, 0], ends[1][:, 0]) or (np.diff(ends[0][:, 0]) <= 0).any():
            continue
        first, last = np.sort([np.interp(at, e[:, 0], e[:, 1], left=np.nan, right=np.nan) for e in ends], axis=0)
        with np.errstate(invalid="ignore"):
            is_inside = (first <= value) & (value <= last)
        low[is_inside], high[is_inside] = first[is_inside], last[is_inside]
    name = "band" if is_along_y else "x_band"
    return {f"{name}_low": low, f"{name}_high": high} if np.isfinite(low).any() else {}


def _with_positions(axis: Axes, columns: dict[str, np.ndarray], height: float) -> dict[str, np.ndarray]:
    """Positions in pixels. Of several points at one pixel one is left, of those outside the panel none."""
    at = np.stack([np.asarray(columns.pop("at_x"), float), np.asarray(columns.pop("at_y"), float)], axis=1)
    with np.errstate(all="ignore"):
        position = axis.transData.transform(at)
    frame = axis.get_window_extent()
    is_inside = (position >= np.subtract(frame.min, 2)).all(axis=1) & (position <= np.add(frame.max, 2)).all(axis=1)
    indices = np.flatnonzero(is_inside & np.isfinite(position).all(axis=1))
    _, first = np.unique(np.rint(position[indices]), axis=0, return_index=True)
    indices = indices[np.sort(first)]
    px, py = position[indices, 0], height - position[indices, 1]
    return {"px": px, "py": py, **{name: np.asarray(values)[indices] for name, values in columns.items()}}


def _rounded(values: np.ndarray) -> list[float | None]:
    """Values of five digits; None for those that are not finite."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in np.asarray(values, float)]
