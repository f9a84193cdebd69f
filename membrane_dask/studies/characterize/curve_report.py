"""Curves of the replicates and of the reference in the figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from membrane_dask.physics.reconstruction.replicate_interval import MIN_REPLICATES, replicate_interval
from membrane_dask.studies.characterize.property_intervals import CONFIDENCE, are_independent_searches

REFERENCE_COLOR, REPLICATE_COLOR = "#111111", "#1f5fa8"

Groups = Mapping[str, xr.Dataset]


def groups_of(groups: Groups, name: str) -> list[tuple[xr.Dataset, str]]:
    """The table of the replicates and that of the reference, as far as there are, with their colours."""
    colors = {name: REPLICATE_COLOR, f"reference_{name}": REFERENCE_COLOR}
    return [(groups[group], color) for group, color in colors.items() if group in groups]


def plot_replicates(
    axis: Axes, groups: Groups, group: str, curve: Callable[[Any], tuple[Any, Any]], name: str | None = None
) -> None:
    """Draw a curve of every replicate, and those of the reference; ``name`` is theirs where no legend has it."""
    for table, color in groups_of(groups, group):
        rows = [table]
        if "replicate" in table.dims:
            rows = [table.isel(replicate=number) for number in range(table.sizes["replicate"])]
        width, alpha = (1.4, 1.0) if len(rows) == 1 and color == REFERENCE_COLOR else (0.9, 0.8)
        for row in rows:
            label = f"{name}, reference" if name and color == REFERENCE_COLOR else name
            axis.plot(*curve(row), color=color, lw=width, alpha=alpha, label=label)


def plot_rows(axis: Axes, values: xr.DataArray, dim: str, color: str, style: str = "-") -> None:
    """Draw a curve of every replicate along a dimension, the first one, which is the best match, thicker."""
    rows = values.transpose("replicate", dim).values if "replicate" in values.dims else values.values[np.newaxis]
    for number, row in enumerate(rows):
        axis.plot(values[dim].values, row, style, color=color, lw=0.6 if number else 1.4, alpha=0.6 if number else 1.0)


def plot_cumulative(axis: Axes, cumulative: xr.DataArray, ends: np.ndarray, color: str, style: str = "-") -> None:
    """Draw a cumulative distribution of radii, and the interval of the radius at each fraction as a band.

    Parameters
    ----------
    axis : Axes
        Where it is drawn.
    cumulative : (replicate, diameter) or (diameter,) DataArray
        Fraction up to the upper ends of the intervals of diameters.
    ends : (diameter,) ndarray
        Radii at these ends, nm.
    color, style : str
        Of the curve.
    """
    if "replicate" not in cumulative.dims or cumulative.sizes["replicate"] < MIN_REPLICATES:
        plot_rows(axis, cumulative.assign_coords(diameter=ends), "diameter", color, style)
        return
    fractions = np.linspace(0.01, 0.99, 99)
    rows = cumulative.transpose("replicate", "diameter").values
    inverted = np.array([np.interp(fractions, row, ends, left=np.nan) for row in rows])
    diameters = xr.DataArray(
        inverted, dims=("replicate", "fraction"), coords={"replicate": cumulative["replicate"]},
        attrs={"interval_scale": "log"},
    )  # fmt: skip
    searches = are_independent_searches(diameters)
    middle = rows.mean(axis=0) if searches else rows[0]
    low, high = replicate_interval(diameters, CONFIDENCE)
    axis.fill_betweenx(fractions, low.values, high.values, color=color, alpha=0.18, lw=0)
    axis.plot(ends, middle, style, color=color, lw=1.4)


def resolved_bins(diameters: np.ndarray, density: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """Bins of radii that are no narrower than a voxel, and the density in them.

    Parameters
    ----------
    diameters : (n,) ndarray
        Middles of the intervals of diameters, which have equal ratios, nm.
    density : (n,) ndarray
        Density of the logarithm.
    voxel : float
        Edge of a voxel, nm.

    Returns
    -------
    edges : (m + 1,) ndarray
        Radii, nm. An interval narrower than a voxel is joined with the following ones.
    density : (m,) ndarray
        NaN in bins without anything in them.
    """
    ratio = diameters[1] / diameters[0] if len(diameters) > 1 else 2**0.25
    edges = np.append(diameters / np.sqrt(ratio), diameters[-1] * np.sqrt(ratio)) / 2
    chosen = [0]
    for k in range(1, len(edges)):
        if edges[k] - edges[chosen[-1]] >= voxel:
            chosen.append(k)
    if chosen[-1] != len(edges) - 1:  # the last bin takes what is left
        chosen = [*chosen[:-1], len(edges) - 1] if len(chosen) > 1 else [0, len(edges) - 1]
    width = np.diff(np.log(edges[chosen]))
    content = np.add.reduceat(density * np.log(ratio), chosen[:-1])
    return edges[chosen], np.where(content > 0, content / width, np.nan)


def plot_densities(axis: Axes, values: xr.DataArray, voxel: float, color: str, style: str = "-") -> None:
    """Draw the density of every replicate in :func:`resolved_bins`, the best match thicker."""
    rows = values.transpose("replicate", "diameter").values if "replicate" in values.dims else values.values[np.newaxis]
    for number, row in enumerate(rows):
        edges, density = resolved_bins(values.diameter.values, row, voxel)
        axis.stairs(
            density,
            edges,
            baseline=None,
            color=color,
            ls=style,
            lw=0.6 if number else 1.4,
            alpha=0.6 if number else 1.0,
        )


def voxel_edge(groups: Groups) -> float:
    """Edge of a voxel along the depth, nm."""
    depth = groups["profiles"].z.values
    return float(2 * depth[0])


def add_legend(axis: Axes, groups: Groups, **options: Any) -> None:
    """Name the colours of replicates and reference, where there is one."""
    if "reference_properties" in groups:
        axis.plot([], [], color=REFERENCE_COLOR, label="reference")
        axis.plot([], [], color=REPLICATE_COLOR, label="replicates")
        axis.legend(**options)
