"""Three-dimensional pictures of the items of a run: solid, pore network, streamlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator

from membrane_dask.engine.run import Run
from membrane_dask.engine.run_list import find_run
from membrane_dask.errors import ExportError, nearest
from membrane_dask.io.exported_items import GridItem, NetworkItem, PoreNetworkItem
from membrane_dask.item_export import exportable_items
from membrane_dask.report.scene import Scene
from membrane_dask.report.streamlines import streamlines

#: Largest number of cells along an axis of a volume, and of voxels of a velocity field, in a picture.
_MAX_CELLS, _MAX_VOXELS = 160, 1 << 23
#: Pores of a network in a picture; of a larger one a part is drawn.
_MAX_PORES = 3000
#: Streamlines in a picture.
_LINES = 80
_PORE_COLORS, _SPEED_COLORS, _THROAT_COLOR = "viridis", "plasma", (0.74, 0.74, 0.77)


def draw_3d(run: Run | str, item: str, axis: Axes | None = None) -> Axes:
    """Draw an item of a run in three dimensions: the solid of a volume, a pore network, streamlines of a velocity.

    Parameters
    ----------
    run : Run or str
        A run, its directory or its name.
    item : str
        As of :func:`membrane_dask.export`, for example ``volume_0``, ``network_0`` or ``velocity_0``.
    axis : matplotlib.axes.Axes, optional
        Where it is drawn; default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ExportError
        If there is no such item.

    Examples
    --------
    >>> md.draw_3d("runs/membrane", "network_0")  # doctest: +SKIP
    """
    if not isinstance(run, Run):
        run = find_run(run)
    items = exportable_items(run)
    if item not in items:
        raise ExportError(f"{run.name}: no item {item!r}; {nearest(item, list(items))}")
    if axis is None:
        import matplotlib.pyplot as plt

        axis = plt.figure(figsize=(4.8, 4.8), layout="compressed").subplots()
    content = items[item]()
    if isinstance(content, PoreNetworkItem):
        raise ExportError(f"{item} has no picture; export it to a .vtk file for ParaView")
    if isinstance(content, NetworkItem):
        draw_network(axis, content)
    elif content.is_vector:
        draw_streamlines(axis, content)
    else:
        draw_solid(axis, coarse_solid(content), _extent(content))
    return axis


def volume_solid(run: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Solid of a volume of a run for pictures.

    Parameters
    ----------
    run : Run
    name : str
        One of ``run.volumes``.

    Returns
    -------
    solid : (z, y, x) ndarray
        Fraction of every cell in solid, with no more than 160 cells along an edge.
    extent : (3,) ndarray
        Lengths of the volume along ``z, y, x``, nm.
    """
    volume: Any = exportable_items(run)[name]()
    return coarse_solid(volume), _extent(volume)


def _extent(volume: GridItem) -> np.ndarray:
    """Lengths along ``z, y, x``, nm."""
    return np.multiply(volume.shape, volume.spacing_nm)


def _pixels(shape: Sequence[int]) -> int:
    """Pixels of a picture: no more than its voxels can show."""
    return int(np.clip(3.5 * max(shape), 280, 560))


def coarse_solid(volume: GridItem) -> np.ndarray:
    """Fraction of cubic cells in solid, so that no axis has more than 160 of them, ``(z, y, x)``."""
    edge = max(1, -(-max(volume.shape) // _MAX_CELLS))
    starts = [np.arange(0, n, edge) for n in volume.shape]
    counts = [np.diff(np.append(first, n)) for first, n in zip(starts, volume.shape, strict=True)]
    total = np.zeros([len(first) for first in starts], np.int64)
    for start, stop in volume.slabs():
        solid = (volume.read(start, stop) > 0).astype(np.int64)
        for axis in (1, 2):
            solid = np.add.reduceat(solid, starts[axis], axis=axis)
        np.add.at(total, np.arange(start, stop) // edge, solid)
    z, y, x = counts
    return np.asarray(total / (z[:, np.newaxis, np.newaxis] * y[:, np.newaxis] * x))


def draw_solid(axis: Axes, solid: np.ndarray, extent: Sequence[float] | np.ndarray) -> None:
    """Draw the surface of the solid.

    Parameters
    ----------
    axis : Axes
        Where it is drawn.
    solid : (z, y, x) ndarray
        Fraction of every cell in solid.
    extent : (float, float, float)
        Lengths of the volume along ``z, y, x``, nm.
    """
    scene = Scene(extent, _pixels(solid.shape))
    scene.add_solid(solid)
    scene.draw(axis)


def draw_network(axis: Axes, network: NetworkItem, *, label: str = "inscribed pore radius [nm]") -> None:
    """Draw pores as inscribed spheres, coloured by their radius, and throats as tubes of their inscribed radius.

    Of a network of more than 3000 pores the part at the feed side and in the middle is drawn.
    """
    extent, corner = np.array(network.extent_nm, float), np.zeros(3)
    if len(network.position) > _MAX_PORES:
        factor = (_MAX_PORES / len(network.position)) ** (1 / 3)
        corner, extent = np.array([0.0, 0.5, 0.5]) * (1 - factor) * extent, factor * extent
    position, radius = network.position - corner, network.pores["inscribed_radius"]
    shown = np.asarray(((position >= 0) & (position <= extent)).all(axis=1))
    conns = network.throat_conns
    inner = (conns[:, 1] >= 0) & shown[conns[:, 0]] & shown[np.maximum(conns[:, 1], 0)]
    scene = Scene(extent)
    shown_radius = radius[shown]
    limits = np.quantile(shown_radius, [0.02, 0.98]) if len(shown_radius) else np.array([1.0, 2.0])
    norm = Normalize(*limits) if limits[0] < limits[1] else Normalize(0.9 * limits[0], 1.1 * limits[1])
    colors = mpl.colormaps[_PORE_COLORS](norm(shown_radius))[:, :3]
    scene.add_spheres(position[shown], shown_radius, colors)
    starts, ends = (position[conns[inner, end]] for end in (0, 1))
    tubes = network.throats["throat_inscribed_radius"][inner]
    scene.add_tubes(starts, ends, tubes, np.tile(_THROAT_COLOR, (len(tubes), 1)))
    scene.draw(axis)
    _color_bar(axis, norm, _PORE_COLORS, label)


def draw_streamlines(axis: Axes, velocity: GridItem) -> None:
    """Draw streamlines, each of which carries an equal flow, coloured by their speed, before sections of the solid.

    Of a field of more than eight million voxels a column in the middle is drawn, over the whole depth if it is not
    narrower than a quarter of it.
    """
    shape = np.array(velocity.shape)
    factor = min(1.0, math.sqrt(_MAX_VOXELS / math.prod(velocity.shape)))
    y, x = (slice(int(n * (1 - factor) / 2), int(n * (1 - factor) / 2) + max(2, int(n * factor))) for n in shape[1:])
    depth = min(velocity.shape[0], max(2, 4 * (x.stop - x.start))) if factor < 1 else velocity.shape[0]
    slabs = [
        np.asarray(velocity.read(start, min(stop, depth)))[:, :, y, x]
        for start, stop in velocity.slabs()
        if start < depth
    ]
    field = np.concatenate(slabs, axis=1)
    extent = np.array(field.shape[1:]) * velocity.spacing_nm
    scene = Scene(extent)
    lines = streamlines(field, velocity.spacing_nm, _LINES)
    speeds = 1e3 * np.concatenate([speed for _, speed in lines]) if lines else np.ones(2)
    slow, fast = np.quantile(speeds, [0.05, 0.98])
    norm = LogNorm(max(slow, fast / 200), fast) if 0 < slow < fast else Normalize(0.9 * fast, 1.1 * fast)
    for points, speed in lines:
        # Three steps, of half a voxel each, are a tube.
        ends = np.unique(np.append(np.arange(0, len(points), 3), len(points) - 1))
        colors = mpl.colormaps[_SPEED_COLORS](norm(1e3 * speed[ends[:-1]]))[:, :3]
        radii = np.full(len(ends) - 1, 0.0045 * scene.size)
        scene.add_tubes(points[ends[:-1]], points[ends[1:]], radii, colors, overlap=0.4)
    scene.add_walls((np.square(field).sum(axis=0) == 0).astype(np.float32))
    scene.draw(axis)
    if lines:
        _color_bar(axis, norm, _SPEED_COLORS, "speed [mm s⁻¹]")


def _color_bar(axis: Axes, norm: Any, colors: str, label: str) -> None:
    figure: Any = axis.figure
    ticks = LogLocator(subs=(1.0, 2.0, 5.0)) if isinstance(norm, LogNorm) else None
    bar = figure.colorbar(
        ScalarMappable(norm, colors), ax=axis, label=label, shrink=0.6, aspect=22, pad=0.01, ticks=ticks, format="{x:g}"
    )
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)
