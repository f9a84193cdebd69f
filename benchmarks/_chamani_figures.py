"""Figs. 4 to 6 of Chamani et al. (2023) for the comparison of ``chamani_table.py``."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from membrane_dask.report.page import STYLE
from membrane_dask.studies.characterize.report import draw_network

if TYPE_CHECKING:
    from chamani_table import Comparison

#: Colour and label of each curve.
CURVES = {
    "true": ("#111111", "true structure"),
    "searches": ("#1f5fa8", "five searches (mean, 95 %)"),
    "default": ("#c4763a", "default search"),
}
#: Edge of the drawn section of the pore networks, nm.
_NETWORK_EDGE = 600.0
_QUARTERS = 4


def draw_figures(comparison: Comparison, folder: Path) -> None:
    """Write ``chamani-2023-structures.png`` and ``chamani-2023-distributions.png``.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    folder : Path
        Where the figures go.
    """
    with mpl.rc_context(STYLE):
        _save(_structures(comparison), folder / "chamani-2023-structures.png", dpi=90)
        _save(_distributions(comparison), folder / "chamani-2023-distributions.png", dpi=110)


def _save(figure: Figure, path: Path, *, dpi: int) -> None:
    """Save a figure with a table of 64 colours, which a third of the bytes suffice for."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    stream.seek(0)
    Image.open(stream).convert("RGB").quantize(64).save(path, optimize=True)


def _networks(comparison: Comparison) -> dict[str, list[xr.Dataset]]:
    """Pore networks of the true structure, of all searches, and of the default search."""
    networks = {}
    for name in CURVES:
        if name in comparison.structures:
            groups = comparison.structures[name].result.children
            numbers = sorted(int(group.removeprefix("network_")) for group in groups if group.startswith("network_"))
            networks[name] = [groups[f"network_{number}"].to_dataset().load() for number in numbers]
    return networks


def _structures(comparison: Comparison) -> Figure:
    """Middle sections (Fig. 4A), and pore networks next to the feed side (Fig. 5)."""
    titles = {"true": "true structure", "searches": "search #1", "default": "default search"}
    sections = {"true": _true_section(comparison)}
    for name, run in comparison.reconstructions.items():
        volume = run.volume("structure-0")
        sections[name] = volume.isel(y=volume.sizes["y"] // 2).values
    micrograph = comparison.reconstructions["searches"].result["micrograph"].to_dataset()
    columns = [name for name in CURVES if name in sections]
    networks = _networks(comparison)
    figure = Figure(figsize=(2.6 * (1 + len(columns)), 5.6), layout="constrained")
    top, bottom = figure.subplots(2, 1 + len(columns))
    pixel = float(micrograph.z[1] - micrograph.z[0])
    extent = (0, micrograph.sizes["x"] * pixel / 1e3, micrograph.sizes["z"] * pixel / 1e3, 0)
    top[0].imshow(micrograph.image, cmap="gray", extent=extent)
    top[0].set(title="micrograph", ylabel="depth [µm]")
    for axis, name in zip(top[1:], columns, strict=True):
        axis.imshow(sections[name], cmap="gray", extent=extent, interpolation="nearest")
        axis.set(title=titles[name])
    bottom[0].imshow(micrograph.solid, cmap="gray", extent=extent, interpolation="nearest")
    bottom[0].set(title="micrograph, segmented", xlabel="x [µm]", ylabel="depth [µm]")
    for axis, name in zip(bottom[1:], columns, strict=True):
        draw_network(axis, _corner(networks[name][0]))
        axis.set(title=f"pore network, {titles[name]}", xlabel="x [nm]")
    bottom[1].set(ylabel="depth [nm]")
    return figure


def _true_section(comparison: Comparison) -> np.ndarray:
    """Middle section of the true volume."""
    volume = np.load(comparison.structures["true"].study.input, mmap_mode="r")
    return np.asarray(volume[:, volume.shape[1] // 2])


def _corner(network: xr.Dataset) -> xr.Dataset:
    """Pores next to the feed side and to the edge of the volume, with the throats between them."""
    position = network.position.values
    is_drawn = (position[:, 0] < _NETWORK_EDGE) & (position[:, 2] < _NETWORK_EDGE)
    conns = network.throat_conns.values
    inner = (conns[:, 1] >= 0) & is_drawn[conns[:, 0]] & is_drawn[np.maximum(conns[:, 1], 0)]
    number = np.cumsum(is_drawn) - 1
    corner = network.isel(pore=np.flatnonzero(is_drawn), throat=np.flatnonzero(inner))
    return corner.assign(throat_conns=(("throat", "end"), number[conns[inner]]))


def _distributions(comparison: Comparison) -> Figure:
    """Distributions of pores and throats (Fig. 4B to D), and of the pores in each quarter of the depth (Fig. 6)."""
    networks = _networks(comparison)
    figure = Figure(figsize=(9.5, 5.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    bodies, throats, coordination = upper.subplots(1, 3)
    body_radii = {name: [network.equivalent_radius.values for network in group] for name, group in networks.items()}
    throat_radii = {
        name: [network.throat_equivalent_radius.values[network.throat_conns.values[:, 1] >= 0] for network in group]
        for name, group in networks.items()
    }
    numbers = {name: [network.coordination_number.values for network in group] for name, group in networks.items()}
    _draw_histograms(bodies, body_radii, _bins(body_radii))
    bodies.set(xlabel="pore radius [nm]", ylabel="fraction of the pores")
    _draw_histograms(throats, throat_radii, _bins(throat_radii))
    throats.set(xlabel="throat radius [nm]", ylabel="fraction of the throats")
    _draw_histograms(coordination, numbers, np.arange(-0.5, 13))
    coordination.set(xlabel="coordination number", ylabel="fraction of the pores", xticks=range(0, 13, 2))
    throats.legend(fontsize=7, loc="upper right")
    for quarter, axis in enumerate(lower.subplots(1, _QUARTERS, sharey=True)):
        radii = {
            name: [network.equivalent_radius.values[_in_quarter(network, quarter)] for network in group]
            for name, group in networks.items()
        }
        _draw_histograms(axis, radii, _bins(body_radii))
        axis.set(title=f"{25 * quarter} to {25 * quarter + 25} % of the depth", xlabel="pore radius [nm]")
        if quarter == 0:
            axis.set(ylabel="fraction of the pores")
    return figure


def _in_quarter(network: xr.Dataset, quarter: int) -> np.ndarray:
    fraction = network.position.values[:, 0] / float(network.extent[0])
    return np.asarray(np.floor(np.clip(fraction, 0, 0.999999) * _QUARTERS) == quarter)


def _bins(values: Mapping[str, list[np.ndarray]]) -> np.ndarray:
    """Edges of 30 bins, up to the largest 99.5 % quantile of any structure."""
    top = max(float(np.quantile(sample, 0.995)) for group in values.values() for sample in group if len(sample))
    return np.linspace(0, top, 31)


def _draw_histograms(axis: Axes, values: Mapping[str, list[np.ndarray]], edges: np.ndarray) -> None:
    """Fractions by number in every bin; of several samples the mean and its 95 % interval."""
    for name, group in values.items():
        color, label = CURVES[name]
        fractions = np.array([np.histogram(sample, edges)[0] / max(len(sample), 1) for sample in group])
        mean = fractions.mean(axis=0)
        axis.stairs(mean, edges, color=color, lw=1.2, label=label)
        if len(group) > 1:
            half_width = 1.96 * fractions.std(axis=0, ddof=1) / math.sqrt(len(group))
            axis.stairs(mean + half_width, edges, baseline=mean - half_width, fill=True, color=color, alpha=0.25)
    axis.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
