"""View of volumes: sections that become finer where they are enlarged, and the surface of the solid."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import panel as pn
import plotly.graph_objects as go
from bokeh.models import CustomJSTickFormatter
from holoviews.streams import RangeXY

from membrane_dask.engine import layout
from membrane_dask.engine.run import Run
from membrane_dask.explorer.looks import SCENE, TOGGLE, scene
from membrane_dask.explorer.volumes import AXES, Pyramid, solid_surface
from membrane_dask.io.ome_zarr import count_levels

#: Largest width and height of a section, in pixels of the screen.
_WIDTH, _HEIGHT = 1000, 640
#: Colours of the solid in the light and in the shade.
_SOLID, _SHADE = "#efe6d2", "#5a5244"


def volumes_view(run: Run) -> Any:
    """A volume to choose, and its section and surface."""
    choice = pn.widgets.Select(label="Volume", options=run.volumes)

    def draw(name: str) -> Any:
        levels = range(count_levels(layout.volume_path(run.path, name)))
        pyramid = Pyramid([run.volume(name, level) for level in levels])
        return pn.Column(_sections(pyramid), _solid(pyramid), sizing_mode="stretch_width")

    return pn.Column(choice, pn.bind(draw, choice), sizing_mode="stretch_width")


def _sections(pyramid: Pyramid) -> Any:
    axis = pn.widgets.RadioButtonGroup(label="normal to", options=list(AXES), value="y", **TOGGLE)
    position = pn.widgets.FloatSlider(label="position in the volume", start=0.0, end=1.0, value=0.5, step=0.001)

    def draw(axis: str) -> Any:
        return _section(pyramid, axis, position)

    choices = pn.Row(pn.pane.HTML("section normal to"), axis, position)
    return pn.Column(choices, pn.bind(draw, axis), sizing_mode="stretch_width")


def _section(pyramid: Pyramid, axis: str, position: Any) -> Any:
    rows, columns = (other for other in AXES if other != axis)
    zoom = RangeXY()

    # Rows are drawn downwards, at negative heights that are labelled without their sign.
    def section(position: float, x_range: Any, y_range: Any) -> Any:
        view = None if x_range is None or y_range is None else ((-y_range[1], -y_range[0]), x_range)
        values, (deep, wide) = pyramid.section(axis, position * pyramid.extent[axis], view)
        return hv.Image(values, bounds=(wide[0], -deep[1], wide[1], -deep[0]), vdims=["phase"])

    sections = hv.DynamicMap(pn.bind(section, position, zoom.param.x_range, zoom.param.y_range))
    zoom.source = sections
    scale = min(_WIDTH / pyramid.extent[columns], _HEIGHT / pyramid.extent[rows])
    return sections.opts(
        cmap="gray", clim=(0, 255), data_aspect=1, active_tools=["wheel_zoom"],
        frame_width=int(scale * pyramid.extent[columns]), frame_height=int(scale * pyramid.extent[rows]),
        xlabel=f"{columns} ({pyramid.unit})", ylabel=f"{rows} ({pyramid.unit})",
        hooks=[_label_downwards],
    )  # fmt: skip


def _label_downwards(plot: Any, _: Any) -> None:
    plot.handles["yaxis"].formatter = CustomJSTickFormatter(code="return String(Math.abs(tick))")


def _solid(pyramid: Pyramid) -> Any:
    """The surface of the solid, once it is asked for: it takes some seconds."""
    picture = pn.Column(sizing_mode="stretch_width")
    show = pn.widgets.Button(label="Show the surface of the solid", color="primary")

    def draw(_: Any) -> None:
        picture[:] = [pn.pane.Plotly(_surface(pyramid), **SCENE)]

    show.on_click(draw)
    return pn.Column(show, picture, sizing_mode="stretch_width")


def _surface(pyramid: Pyramid) -> go.Figure:
    values, spacing = pyramid.coarse()
    vertices, faces, brightness = solid_surface(values > 127, spacing)
    mesh = go.Mesh3d(
        x=vertices[:, 2], y=vertices[:, 1], z=vertices[:, 0], i=faces[:, 0], j=faces[:, 1], k=faces[:, 2],
        intensity=brightness, colorscale=[[0, _SHADE], [1, _SOLID]], cmin=0, cmax=1, showscale=False,
        lighting={"ambient": 1, "diffuse": 0, "specular": 0, "fresnel": 0}, hoverinfo="skip",
    )  # fmt: skip
    coarse = "" if values.shape == pyramid.levels[0].shape else f", in voxels of {spacing[2]:.3g} {pyramid.unit}"
    return scene(mesh, pyramid.unit, f"Surface of the solid{coarse}; the feed is at the top")
