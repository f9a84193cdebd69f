"""Section of a report with three-dimensional pictures of the solid and the pore network, and of streamlines."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.number_text import quantity_text
from membrane_dask.report.page import STYLE, Picture, Section, picture
from membrane_dask.report.pictures import draw_network, draw_solid, draw_streamlines
from membrane_dask.report.turning_volume import turning_volume
from membrane_dask.studies.characterize.export_items import export_items, network_item

Groups = Mapping[str, xr.Dataset]


def structure_sections(groups: Groups) -> list[Section]:
    """Solid and pore network of replicate 0, and the solid of the reference; none without their tables."""
    if "local_porosity_0" not in groups or "network_0" not in groups:
        return []
    network = groups["network_0"]
    reference = next((k for k in ("reference_local_porosity", "reference_local_porosity_0") if k in groups), None)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.2 if reference else 4.4), layout="compressed")
        axes = figure.subplots(1, 3 if reference else 2)
        solid = 1.0 - groups["local_porosity_0"].pore_fraction.values
        draw_solid(axes[0], solid, network.extent.values)
        volumes = {axes[0]: turning_volume(solid, network.extent.values)}
        axes[0].set_title("replicate 0")
        draw_network(axes[1], network_item(network, ""))
        axes[1].set_title("network of replicate 0")
        if reference:
            extent = groups[reference.replace("local_porosity", "network")].extent.values
            solid = 1.0 - groups[reference].pore_fraction.values
            draw_solid(axes[2], solid, extent)
            volumes[axes[2]] = turning_volume(solid, extent)
            axes[2].set_title("reference")
    caption = (
        "Solid, with the feed side on top, and pore network: pores as inscribed spheres, throats as tubes of their "
        "inscribed radius."
    )
    return [Section("Structure", _text(groups), [picture(figure, caption, caption, volumes)])]


def _text(groups: Groups) -> str:
    """Size of the cells of the pictures, where they are not voxels."""
    attrs = groups["local_porosity_0"].attrs
    if attrs.get("cell_edge_voxels", 1) == 1:
        return ""
    voxels = " x ".join(map(str, np.atleast_1d(attrs["cell_edge_voxels"]).tolist()))
    return f"The solid is shown in cells of {voxels} voxels, {quantity_text(attrs['cell_edge_nm'], 'nm')}."


def streamline_pictures(run: Run) -> list[Picture]:
    """Streamlines of replicate 0, and of the reference, where velocities were stored."""
    names = ("velocity_0", "reference_velocity", "reference_velocity_0")
    items = {name: item for name, item in export_items(run).items() if name in names}
    if not items:
        return []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9 if len(items) > 1 else 4.8, 4.4), layout="compressed")
        for axis, (name, item) in zip(figure.subplots(1, len(items), squeeze=False)[0], items.items(), strict=True):
            draw_streamlines(axis, item())  # type: ignore[arg-type]
            axis.set_title("replicate 0" if name == "velocity_0" else "reference")
    caption = "Streamlines that carry equal flows, from the feed side on top; solid grey on the rear faces."
    return [picture(figure, caption, caption)]
