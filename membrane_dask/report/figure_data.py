"""What the script of a page needs to know of a figure: points with their values and intervals, and its legends.

All of it follows from the drawn figure, so that reports plot as always. An artist has the name of its label, or of the
entries of legends that have its colour and its line style.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from membrane_dask.report.length_axes import length_factor
from membrane_dask.report.plotted_values import DIGITS, color_of, plotted_values

#: Dots per inch of an SVG file: its unit is the point.
DPI = 72
#: Positions of titles, and labels of ticks that are numbers.
_LOCATIONS: tuple[Any, ...] = ("left", "center", "right")
_NUMBER = re.compile(r"[-\u2212+]?[\d.,]*(e[-+]?\d+)?")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: TeX commands in labels, and the characters for them.
_SYMBOLS = {"lambda": "λ", "Phi": "Φ", "mu": "µ", "varepsilon": "ε", "Delta": "Δ", "cdot": "·"}


@dataclass(frozen=True)
class _Entry:
    """An entry of a legend; ``axis`` is None in a legend of the whole figure."""

    axis: Axes | None
    name: str
    label: str
    color: str
    style: str
    box: list[float]


def identify_artists(figure: Figure) -> None:
    """Give every artist that may belong to a series an identifier (``gid``), which an SVG file has for its element."""
    for number, artist in enumerate(artist for axis in _panels(figure) for artist in _artists(axis)):
        artist.set_gid(f"series{number}")


def panel_box(axis: Axes) -> list[float]:
    """Left and upper edge, width and height of the panel of a drawn figure, in points from its upper left corner."""
    frame = axis.get_window_extent()
    figure: Any = axis.figure
    height = float(figure.get_size_inches()[1]) * DPI
    return [round(float(value), 1) for value in (frame.x0, height - frame.y1, frame.width, frame.height)]


def figure_data(figure: Figure) -> dict[str, Any]:
    """Points, series and legend entries of a figure.

    Parameters
    ----------
    figure : Figure
        A figure of 72 dots per inch that was drawn after :func:`identify_artists`.

    Returns
    -------
    dict
        ``axes`` : labels, title and names of categories of each panel. ``series`` : name, index of the panel,
        identifier, and columns of :func:`~membrane_dask.report.plotted_values.plotted_values`. ``legend`` : name, box
        (left, top, width, height) and identifiers of what it shows and hides.
    """
    height = float(figure.get_size_inches()[1]) * DPI
    panels = _panels(figure)
    entries = list(_entries(figure, height))
    legend: list[dict[str, Any]] = [{"name": entry.name, "box": entry.box, "ids": []} for entry in entries]
    colors = {color_of(artist) for axis in panels for artist in _artists(axis) if not _is_sample(artist)}
    series: list[dict[str, Any]] = []
    for number, axis in enumerate(panels):
        labels = _labels(axis)
        caps = {cap for box in axis.containers if isinstance(box, ErrorbarContainer) for cap in box.lines[1]}
        for artist in _artists(axis):
            label = labels[artist]
            matches = _matches(artist, axis, label, entries, colors)
            for match in matches:
                legend[match]["ids"].append(artist.get_gid())
            values = _in_shown_units(axis, plotted_values(axis, artist, height)) if artist not in caps else {}
            if values:
                name = ", ".join(entries[match].name for match in matches)
                if not name and not label.startswith("_") and not _NUMBER.fullmatch(label):
                    name = plain(label)  # a number says nothing without the title of a legend
                series.append({"axes": number, "id": artist.get_gid(), "name": name, **values})
    # Of points at one position the first one is shown: rather that with an interval, rather that with a name.
    series.sort(key=lambda item: (not any(key.endswith("_low") for key in item), not item["name"]))
    return {
        "axes": [_axes_text(axis, panels) for axis in panels],
        "series": series,
        "legend": [entry for entry in legend if entry["ids"]],
    }


def plain(text: str) -> str:
    """A label without the markup of formulas."""
    text = re.sub(r"\^\{?(-?\d+)\}?", lambda match: match[1].translate(_SUPERSCRIPT), text)
    text = re.sub(r"\\(mathrm|mathit|text)\b|(?<!\\)[${}]", "", text)
    text = re.sub(r"\\([A-Za-z]+)", lambda match: _SYMBOLS.get(match[1], match[1]), text)
    return text.replace("\\$", "$").replace("\n", " ")


def _in_shown_units(axis: Axes, columns: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    """Columns of :func:`plotted_values` in the units of the labels of the axes."""
    for line, names in ((axis.xaxis, ("x", "x_b")), (axis.yaxis, ("y", "b"))):
        factor = length_factor(line)
        for name in columns if factor != 1 else ():
            if name == names[0] or name.startswith(names[1]):
                columns[name] = [None if v is None else float(f"{v * factor:.{DIGITS}g}") for v in columns[name]]
    return columns


def _panels(figure: Figure) -> list[Axes]:
    """Panels with axes, other than colour bars."""
    return [axis for axis in figure.axes if axis.get_visible() and axis.axison and axis.get_label() != "<colorbar>"]


def _artists(axis: Axes) -> list[Any]:
    """Lines, bars, steps, bands and error bars, in their order."""
    collections = [one for one in axis.collections if isinstance(one, (LineCollection, PolyCollection))]
    patches = [one for one in axis.patches if isinstance(one, (Rectangle, StepPatch))]
    return [one for one in (*axis.lines, *patches, *collections) if one.get_visible()]


def _is_sample(artist: Any) -> bool:
    """Whether an artist without points is plotted for the sake of its legend entry."""
    return isinstance(artist, Line2D) and not np.size(artist.get_xdata())


def _labels(axis: Axes) -> dict[Any, str]:
    """Labels of artists: their own, that of their container, or the only one of their colour in the panel.

    A band has that of its curve. Labels that begin with an underscore are not shown.
    """
    labels: dict[Any, str] = {artist: str(artist.get_label()) for artist in _artists(axis)}
    for container in axis.containers:
        components: list[Any] = list(container)
        if isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            components = [line, *caps, *bars]
        labels |= {component: str(container.get_label()) for component in components if component is not None}
    by_color: dict[str, set[str]] = {}
    for artist, label in labels.items():
        if not label.startswith("_"):
            by_color.setdefault(color_of(artist), set()).add(label)
    for artist, label in labels.items():
        same_color = by_color.get(color_of(artist), set())
        if label.startswith("_") and len(same_color) == 1:
            labels[artist] = next(iter(same_color))
    return labels


def _style(artist: Any) -> str:
    """Line style, or the marker of points without a line; empty for other artists."""
    if not isinstance(artist, Line2D):
        return ""
    line = artist.get_linestyle()
    return f"marker {artist.get_marker()}" if line in ("None", "") else str(line)


def _legends(figure: Figure) -> Iterator[tuple[Axes | None, Legend]]:
    yield from ((None, legend) for legend in figure.legends)
    yield from ((axis, axis.get_legend()) for axis in figure.axes if axis.get_legend() and axis.get_visible())  # type: ignore[misc]


def _entries(figure: Figure, height: float) -> Iterator[_Entry]:
    """Entries of all legends; a title such as *band* comes before the label."""
    for axis, legend in _legends(figure):
        title = legend.get_title().get_text()
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True):
            extent = text.get_window_extent()
            left = extent.x0 - (legend.handlelength + legend.handletextpad) * float(text.get_fontsize())
            label = text.get_text()
            name = plain(f"{title} = {label}" if title else label)
            box = [round(value, 1) for value in (left, height - extent.y1, extent.x1 - left, extent.height)]
            yield _Entry(axis, name, label, color_of(handle), _style(handle), box)


def _matches(artist: Any, axis: Axes, label: str, entries: Sequence[_Entry], colors: set[str]) -> list[int]:
    """Indices of the entries that name an artist: those of its label, or of its colour, or of its line style.

    An entry whose colour nothing has, such as a grey dashed line, names all that has its line style, in its panel.
    """
    by_label = [k for k, entry in enumerate(entries) if entry.label == label]
    if by_label:
        own = [k for k in by_label if entries[k].axis is axis]
        return own or [k for k in by_label if entries[k].axis is None] or by_label
    if not label.startswith("_"):
        return []
    color, style = color_of(artist), _style(artist)
    same = [k for k, entry in enumerate(entries) if entry.color == color]
    near = [k for k in same if entries[k].axis in (axis, None)] or same
    matches = [k for k in near if style and entries[k].style == style] or near
    if style:
        matches += [
            k
            for k, entry in enumerate(entries)
            if entry.axis in (axis, None) and entry.style == style and entry.color not in colors
        ]
    return matches


def tick_names(line: Axis) -> list[tuple[float, str]]:
    """Positions and labels of the ticks of an x or y axis that shows names; empty if it shows numbers."""
    is_fixed = isinstance(line.get_major_locator(), FixedLocator)
    if not (is_fixed and isinstance(line.get_major_formatter(), (FixedFormatter, FuncFormatter))):
        return []
    # Not those of the labels, which are hidden in inner panels with a common axis.
    names = [plain(name) for name in line.get_major_formatter().format_ticks(line.get_majorticklocs().tolist())]
    if all(_NUMBER.fullmatch(name) for name in names):
        return []
    return list(zip(line.get_majorticklocs().tolist(), names, strict=True))


def _axes_text(axis: Axes, panels: Sequence[Axes]) -> dict[str, Any]:
    """Labels of a panel, or of a panel of its row or column that has them, its title, and names of categories."""
    text: dict[str, Any] = {"title": plain(" ".join(filter(None, (axis.get_title(loc) for loc in _LOCATIONS))))}
    subplot = axis.get_subplotspec()
    for name, span in (("x", "colspan"), ("y", "rowspan")):
        line = getattr(axis, f"{name}axis")
        names = tick_names(line)
        labels = [line.get_label_text()]
        if subplot and not names:
            same = [p for p in panels if getattr(p.get_subplotspec(), span, None) == getattr(subplot, span)]
            labels += [getattr(p, f"{name}axis").get_label_text() for p in same]
        text[name] = plain(next(filter(None, labels), ""))
        if names:
            text[f"{name}_names"] = names
    return text
