"""View of any variable of a result against any of its dimensions, or over two of them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import holoviews as hv
import numpy as np
import panel as pn

from membrane_dask.engine.run import Run
from membrane_dask.explorer.looks import COLOURS, PLOT
from membrane_dask.explorer.variables import (
    axis_label,
    bounds_of,
    coordinate_values,
    numbers_of,
    select,
    variables_of,
)

#: Most labels of a dimension that are listed; longer dimensions have a slider.
_LISTED = 30


def variables_view(run: Run) -> Any:
    """A variable to choose, and its drawing."""
    variables = variables_of(run)
    if not variables:
        return pn.pane.Markdown("The result has no variables yet.")
    first = next((path for path, variable in variables.items() if variable.ndim), next(iter(variables)))
    choice = pn.widgets.AutocompleteInput(
        label="Variable", options=list(variables), value=first, min_characters=0, case_sensitive=False,
        search_strategy="includes", restrict=True, sizing_mode="stretch_width",
    )  # fmt: skip

    def draw(path: str) -> Any:
        return (
            VariableDrawing(path, variables).layout() if path in variables else pn.pane.Markdown("Choose a variable.")
        )

    return pn.Column(choice, pn.bind(draw, choice), sizing_mode="stretch_width")


class VariableDrawing:
    """One variable, and widgets for its dimensions."""

    def __init__(self, path: str, variables: Mapping[str, Any]) -> None:
        self.variable, self.bounds = variables[path], bounds_of(path, variables)
        self.label = axis_label(path.rpartition("/")[2], self.variable.attrs)
        self.dims = [str(dim) for dim in self.variable.dims]
        longest = max(self.dims, key=lambda dim: int(self.variable.sizes[dim]), default=None)
        self.x = pn.widgets.Select(label="against", options=self.dims, value=longest)
        self.y = pn.widgets.Select(
            label="and against", options={"nothing else": None} | {dim: dim for dim in self.dims}
        )
        self.positions = {dim: self._position(dim) for dim in self.dims}

    def _position(self, dim: str) -> Any:
        labels = {str(label): k for k, label in enumerate(coordinate_values(self.variable, dim).tolist())}
        if len(labels) > _LISTED:
            return pn.widgets.IntSlider(label=f"position along {dim}", start=0, end=self.variable.sizes[dim] - 1)
        return pn.widgets.Select(label=dim, options=labels)

    def layout(self) -> Any:
        """Meaning of the variable, and its drawing or its only value."""
        meaning = pn.pane.HTML(f"<b>{escape(self.label)}</b>: {escape(str(self.variable.attrs.get('long_name', '')))}")
        if not self.dims:
            bounds = [f"{bound.values.item():.6g}" for bound in self.bounds or ()]
            interval = f" [{', '.join(bounds)}]" if bounds else ""
            return pn.Column(meaning, pn.pane.Markdown(f"{self.variable.values.item():.8g}{interval}"))
        drawing = pn.bind(self.draw, self.x, self.y, *self.positions.values())
        return pn.Column(
            meaning, pn.Row(self.x, self.y), pn.bind(self._other_dimensions, self.x, self.y),
            pn.pane.HoloViews(drawing, sizing_mode="stretch_width"), sizing_mode="stretch_width",
        )  # fmt: skip

    def _other_dimensions(self, x: str, y: str | None) -> Any:
        return pn.FlexBox(*(widget for dim, widget in self.positions.items() if dim not in (x, y)))

    def _axis(self, dim: str) -> str:
        return axis_label(dim, self.variable.coords[dim].attrs if dim in self.variable.coords else {})

    def draw(self, x: str, y: str | None, *positions: int) -> Any:
        """A curve or, against two dimensions, a coloured plane, at a position along each dimension."""
        indices = dict(zip(self.dims, positions, strict=True))
        if y is not None and y != x:
            return self._plane(x, y, indices)
        return self._curve(x, indices)

    def _plane(self, x: str, y: str, positions: Mapping[str, int]) -> Any:
        values = select(self.variable, (y, x), positions)
        if np.isnan(values).all():
            return _no_values()
        columns, rows = (numbers_of(self.variable, dim) for dim in (x, y))
        element: Any = hv.QuadMesh((columns, rows, values))
        if min(values.shape) < 2:  # no widths of cells
            element = hv.HeatMap([(a, b, values[j, k]) for j, b in enumerate(rows) for k, a in enumerate(columns)])
        labels = {"clabel": self.label, "xlabel": self._axis(x), "ylabel": self._axis(y)}
        return element.opts(
            colorbar=True, cmap="viridis", tools=["hover"], invert_yaxis=y == "z", **labels, **PLOT
        )  # fmt: skip

    def _curve(self, x: str, positions: Mapping[str, int]) -> Any:
        numbers, values = numbers_of(self.variable, x), select(self.variable, (x,), positions)
        if np.isnan(values).all():
            return _no_values()
        points = hv.Scatter((numbers, values)).opts(
            color=COLOURS[0], size=5 if len(values) < 200 else 1, tools=["hover"]
        )
        drawn: Any = hv.Curve((numbers, values)).opts(color=COLOURS[0]) * points
        if self.bounds:
            low, high = (select(bound, (x,), positions) for bound in self.bounds)
            drawn = hv.Area((numbers, low, high), vdims=["low", "high"]).opts(color=COLOURS[0], alpha=0.2) * drawn
        labels: dict[str, Any] = {"xlabel": self._axis(x), "ylabel": self.label}
        names = coordinate_values(self.variable, x)
        if names.dtype.kind not in "fiu":
            labels |= {"xticks": list(enumerate(map(str, names.tolist()))), "xrotation": 45}
        return drawn.opts(show_grid=True, **labels, **PLOT)


def _no_values() -> Any:
    return hv.Text(0.5, 0.5, "no values here yet").opts(xaxis=None, yaxis=None, **PLOT)
