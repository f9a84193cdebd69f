"""View of pore networks in three dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import panel as pn
import plotly.graph_objects as go

from membrane_dask.engine.run import Run
from membrane_dask.explorer.looks import SCENE, scene

#: Most throats that are drawn: the widest ones.
_THROATS = 20_000


def networks_of(run: Run) -> dict[str, Any]:
    """Groups of the result that hold a pore network of a volume, by their names."""
    names = {"throat_conns", "throat_inscribed_radius", "position"}
    return {str(node.name): node for node in run.result.subtree if names <= set(node.data_vars)}


def networks_view(run: Run) -> Any:
    """A network to choose, and its throats."""
    groups = networks_of(run)
    choice = pn.widgets.Select(label="Network", options=list(groups))

    def draw(name: str) -> go.Figure:
        return throats(groups[name])

    return pn.Column(choice, pn.pane.Plotly(pn.bind(draw, choice), **SCENE), sizing_mode="stretch_width")


def throats(group: Any) -> go.Figure:
    """Throats between pores as lines, coloured by their inscribed radius."""
    position, conns = group["position"].values, group["throat_conns"].values.astype(int)
    radius, unit = group["throat_inscribed_radius"].values, str(group["position"].attrs.get("units", ""))
    inner = np.flatnonzero((conns >= 0).all(axis=1))
    widest = inner[np.argsort(-radius[inner], kind="stable")][:_THROATS]
    points = np.full((len(widest), 3, 3), np.nan)  # a gap after each line
    points[:, :2] = position[conns[widest]]
    z, y, x = points.reshape(-1, 3).T
    colour = {
        "color": np.repeat(radius[widest], 3), "colorscale": "Viridis", "showscale": True,
        "colorbar": {"title": {"text": f"inscribed radius ({unit})"}},
    }  # fmt: skip
    lines = go.Scatter3d(x=x, y=y, z=z, mode="lines", hoverinfo="skip", line={"width": 3} | colour)
    n_narrow = len(inner) - len(widest)
    without = f", without the {n_narrow} narrowest throats" if n_narrow else ""
    return scene(lines, unit, f"{len(position)} pores and {len(conns)} throats{without}; the feed is at the top")
