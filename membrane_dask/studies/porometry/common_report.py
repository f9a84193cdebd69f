"""Parts that the sections of a porometry report have in common: colours, panels, and numbers with their intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.studies.porometry.prior_intervals import prior_note
from membrane_dask.studies.porometry.summary import format_number

COLOURS = ("#1f5fa8", "#d1702a", "#2a8a57", "#8a3f9b", "#a33a3a", "#4d4d4d")
POINTS, GREY, TEXT = "#1c2530", "#9aa6b4", "#5a6675"
#: m s-1 in L m-2 h-1.
LMH = 3.6e6
#: Panels in a row of a figure.
COLUMNS = 4
#: Space around panels whose ticks would touch those of their neighbours, inches.
PANEL_PAD = 0.12
#: Factor from SI units and label of the four unknowns.
UNKNOWNS = (
    ("radius", 1e9, "radius [nm]"),
    ("porosity", 1.0, "surface porosity"),
    ("pore_number", 1.0, "pore number"),
    ("thickness", 1e6, "thickness [µm]"),
)


def interval_text(dataset: xr.Dataset, name: str, scale: float) -> str:
    """Interval of a variable; empty if it is unbounded."""
    low, high = (float(dataset[f"{name}_{end}"]) * scale for end in ("low", "high"))
    bounded = math.isfinite(low) or math.isfinite(high)
    return f" [{format_number(low)}, {format_number(high)}]" if bounded else ""


def with_interval(dataset: xr.Dataset, name: str, scale: float, suffix: str = "") -> str:
    """A number and its interval, times a factor."""
    return format_number(float(dataset[name + suffix]) * scale) + interval_text(dataset, name, scale)


def posterior_text(posterior: xr.Dataset, name: str, scale: float) -> str:
    """Median and interval of a posterior, and whether the data narrowed it."""
    note = prior_note(posterior, name)
    return with_interval(posterior, name, scale, "_median") + (f", {note}" if note else "")


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
