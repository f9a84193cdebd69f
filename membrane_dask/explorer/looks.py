"""Colours and sizes that all views have in common, and pictures in three dimensions."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import plotly.graph_objects as go

hv.extension("bokeh")

#: Colours that remain distinct for colour-blind readers.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
#: A group of buttons of which one is chosen.
TOGGLE: dict[str, Any] = {
    "variant": "outline", "color": "primary",
    "stylesheets": [".bk-btn.bk-active { color: white !important; }"],
}  # fmt: skip
#: A plot as wide as the page.
PLOT: dict[str, Any] = {"responsive": True, "height": 500, "active_tools": ["wheel_zoom"]}
#: A picture in three dimensions, as wide as the page.
SCENE: dict[str, Any] = {"sizing_mode": "stretch_width", "height": 620}


def scene(trace: Any, unit: str, title: str) -> go.Figure:
    """A picture in three dimensions that can be turned, with the depth downwards."""
    axes = {f"{axis}axis": {"title": {"text": f"{axis} ({unit})"}} for axis in ("x", "y", "z")}
    figure = go.Figure([trace])
    figure.update_layout(
        title={"text": title}, scene={**axes, "aspectmode": "data"}, margin={"l": 0, "r": 0, "b": 0, "t": 40}
    )
    figure.update_scenes(zaxis_autorange="reversed")
    return figure
