"""Parts that the sections of a porometry report have in common: colours, panels, and numbers with their intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.number_text import interval_text

COLOURS = ("#1f5fa8", "#d1702a", "#2a8a57", "#8a3f9b", "#a33a3a", "#4d4d4d")
POINTS, GREY, TEXT = "#1c2530", "#9aa6b4", "#5a6675"
#: m s-1 in L m-2 h-1.
LMH = 3.6e6
#: Panels in a row of a figure.
COLUMNS = 4
#: Size of the text of a legend within a panel, points.
LEGEND = 8
#: Space around panels whose ticks would touch those of their neighbours, inches.
PANEL_PAD = 0.12
#: Factor from SI units and label of the four unknowns.
UNKNOWNS = (
    ("radius", 1e9, "radius [nm]"),
    ("porosity", 1.0, "surface porosity"),
    ("pore_number", 1.0, "pores of the membrane"),
    ("thickness", 1e9, "thickness [nm]"),
)


def with_interval(dataset: xr.Dataset, name: str, scale: float = 1.0, value: str = "") -> str:
    """A number and its interval, times a factor; ``value`` is the end of its name, such as ``_median``."""
    return interval_text(*ends_of(dataset, name, scale, value), digits=3)


def ends_of(dataset: xr.Dataset, name: str, scale: float = 1.0, value: str = "") -> tuple[float, float, float]:
    """A number and the ends of its interval, times a factor; NaN without an interval."""
    names = (name + value, f"{name}_low", f"{name}_high")
    numbers = [float(dataset[one]) * scale if one in dataset else math.nan for one in names]
    return numbers[0], numbers[1], numbers[2]


def panels(
    count: int, height: float, *, columns: int = COLUMNS, width: float = 2.6, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of ``count`` panels in rows."""
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.ravel()[count:]:
        axis.set_visible(False)
    return figure, axes
