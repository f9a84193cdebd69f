"""Sections of a report on size distributions, their percentiles, and the representative volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membrane_dask.number_text import compact, interval_text, quantity_text, readable_unit
from membrane_dask.physics.imaging.representative_volume import COVERAGE, TOLERANCE
from membrane_dask.physics.reconstruction.replicate_interval import MIN_REPLICATES, replicate_interval
from membrane_dask.report.page import STYLE, Grid, Section, picture
from membrane_dask.studies.characterize.curve_report import (
    REFERENCE_COLOR,
    REPLICATE_COLOR,
    add_legend,
    groups_of,
    plot_cumulative,
    plot_densities,
    resolved_bins,
    voxel_edge,
)
from membrane_dask.studies.characterize.property_intervals import CONFIDENCE, are_independent_searches

#: Colours of the quarters of the depth, from the feed side on.
_QUARTERS = ("#fdae61", "#d7591f", "#9c2f6d", "#3b1c6e")
_BOX_COLORS = {"cube": "#1f5fa8", "column": "#c4763a"}
#: Properties of boxes: the property of the whole volume, and their names in a sentence.
_WHOLE_VOLUME = {
    "porosity": "porosity", "pore_radius": "pore_radius_mean",
    "permeability_mobility_estimate": "permeability_mobility_estimate",
}  # fmt: skip
_PHRASES = {
    "porosity": "porosity", "pore_radius": "pore radius",
    "permeability_mobility_estimate": "permeability (estimate from local mobilities)",
}  # fmt: skip

Groups = Mapping[str, xr.Dataset]


def size_sections(groups: Groups) -> list[Section]:
    """Size distributions and the representative volume; none for runs of versions without these tables."""
    if "size_distributions" not in groups or not np.isfinite(groups["size_percentiles"].pore_diameter).any():
        return []
    return [_distributions(groups), _representative_volume(groups)]


def _distributions(groups: Groups) -> Section:
    """Densities and cumulative distributions of pores, bodies and throats, and a table of percentiles."""
    kinds = {"pore": "pores (local thickness)", "body": "pore bodies", "throat": "throats"}
    styles = {"number": "--", "size": "-"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.8), layout="constrained")
        axes = figure.subplots(2, 3, sharex=True, sharey="row")
        for column, (kind, title) in enumerate(kinds.items()):
            for table, color in groups_of(groups, "size_distributions"):
                for weight, style in styles.items():
                    if kind == "pore" and weight == "number":
                        continue
                    density, cumulative = (table[f"{kind}_{name}"] for name in ("density", "cumulative_fraction"))
                    if kind != "pore":
                        density, cumulative = density.sel(weight=weight), cumulative.sel(weight=weight)
                    plot_densities(axes[0, column], density, voxel_edge(groups), color, style)
                    plot_cumulative(axes[1, column], cumulative, _interval_ends(table) / 2, color, style)
            axes[0, column].set_title(title)
            axes[1, column].set_xlabel("radius [nm]")
        low, high = _range(groups)
        axes[0, 0].set(ylabel="density dF/d(ln r)", xscale="log", xlim=(low, high), ylim=(0, None))
        axes[1, 0].set(ylabel="fraction up to r", ylim=(0, 1))
        _format_log(axes[1, 0])
        axes[0, 1].plot([], [], color="#666", label="by volume")
        axes[0, 1].plot([], [], "--", color="#666", label="by number")
        axes[0, 1].legend()
        axes[0, 2].plot([], [], color="#666", label="by area")
        axes[0, 2].plot([], [], "--", color="#666", label="by number")
        axes[0, 2].legend()
        if "reference_size_distributions" in groups:
            axes[0, 0].plot([], [], color=REPLICATE_COLOR, label="replicates")
            axes[0, 0].plot([], [], color=REFERENCE_COLOR, label="reference")
            axes[0, 0].legend()
    several = groups["size_distributions"].sizes["replicate"] >= MIN_REPLICATES
    band = f"; bands are {CONFIDENCE:.0%} intervals of the radius at each fraction" if several else ""
    caption = (
        "Size distributions as densities of the logarithm of the radius, whose areas are 1, and cumulative; radii of "
        "bodies and throats are those of spheres and circles of equal size. Densities are shown in bins no narrower "
        f"than a voxel, and only where there is anything{band}."
    )
    return Section("Size distributions", "", [picture(figure, caption, caption), _percentile_grid(groups)])


def _interval_ends(table: xr.Dataset) -> np.ndarray:
    """Upper ends of the intervals of diameters, which have equal ratios."""
    middles = table.diameter.values
    ratio = middles[1] / middles[0] if len(middles) > 1 else 2**0.25
    return np.asarray(middles * np.sqrt(ratio))


def _percentile_grid(groups: Groups) -> Grid:
    rows = []
    entries: list[tuple[str, str | None, str]] = [("pore_diameter", None, "pores (local thickness), by volume")]
    for kind, size in (("body", "volume"), ("throat", "area")):
        name = "pore bodies" if kind == "body" else "throats"
        entries += [
            (f"{kind}_diameter", "number", f"{name}, by number"),
            (f"{kind}_diameter", "size", f"{name}, by {size}"),
        ]
    tables = [("", groups["size_percentiles"])]
    if "reference_size_percentiles" in groups:
        tables.append(("reference: ", groups["reference_size_percentiles"]))
    largest = max(float(table[variable].max()) for variable, _, _ in entries for _, table in tables) / 2
    unit, factor = readable_unit("nm", largest)
    for variable, weight, label in entries:
        for prefix, table in tables:
            values = table[variable] if weight is None else table[variable].sel(weight=weight)
            cells = (_with_interval(values.sel(percentile=p), factor / 2) for p in values.percentile.values)
            rows.append([prefix + label, *cells])
    percentiles = [f"r{p:g} [{unit}]" for p in groups["size_percentiles"].percentile.values]
    return Grid(["radius at a percentage of the distribution", *percentiles], rows)


def _with_interval(values: xr.DataArray, factor: float) -> str:
    """A value, with its interval from three replicates on."""
    if "replicate" not in values.dims:
        return compact(factor * float(values), 4)
    value = factor * float(values.mean("replicate") if are_independent_searches(values) else values.isel(replicate=0))
    return interval_text(value, *(factor * float(end) for end in replicate_interval(values, CONFIDENCE)))


def _range(groups: Groups) -> tuple[float, float]:
    """Radii between which 99.9 % of every distribution are."""
    low, high = [], []
    for table, _ in groups_of(groups, "size_distributions"):
        for name in ("pore", "body", "throat"):
            cumulative = table[f"{name}_cumulative_fraction"]
            inside = ((cumulative > 1e-3) & (cumulative < 1 - 1e-3)).any(
                [d for d in cumulative.dims if d != "diameter"]
            )
            if inside.any():
                low.append(float(table.diameter[inside][0]))
                high.append(float(table.diameter[inside][-1]))
    return (min(low) / 2.4, max(high) * 0.7) if low else (1.0, 10.0)


def _format_log(axis: Axes) -> None:
    """Plain numbers on a logarithmic axis of radii."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def network_statistics(groups: Groups) -> Section:
    """Bodies and throats by quarter of the depth, and coordination numbers."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.9), layout="constrained")
        axes = figure.subplots(1, 3)
        if "size_distributions" in groups:
            first = groups["size_distributions"].isel(replicate=0).sel(weight="number")
            for axis, (kind, title) in zip(axes, (("body", "pore bodies"), ("throat", "throats")), strict=False):
                for quarter, color in enumerate(_QUARTERS):
                    values = first[f"quarter_{kind}_density"].isel(quarter=quarter)
                    edges, density = resolved_bins(values.diameter.values, values.values, voxel_edge(groups))
                    axis.stairs(density, edges, baseline=None, color=color, lw=1.4, label=f"quarter {quarter + 1}")
                axis.set(title=title, xlabel="radius [nm]", xscale="log", xlim=_range(groups), ylim=(0, None))
                _format_log(axis)
            axes[0].set_ylabel("density dF/d(ln r), by number")
            axes[0].legend(loc="upper left")
        _coordination(axes[2], groups)
        add_legend(axes[2], groups)
    caption = (
        "Bodies and throats of replicate 0 in each quarter of the depth, from the feed side, and the coordination "
        "numbers of every network."
    )
    return Section("Network statistics", "", [picture(figure, caption, caption)])


def _coordination(axis: Axes, groups: Groups) -> None:
    """Histograms of the coordination numbers of all networks."""
    networks = {name: table for name, table in groups.items() if "coordination_number" in table}
    pooled = np.concatenate([table.coordination_number.values for table in networks.values()])
    if not len(pooled):
        return
    bins = np.arange(-0.5, max(np.quantile(pooled, 0.995), 1) + 1)
    for name, table in networks.items():
        counts, edges = np.histogram(table.coordination_number.values, bins)
        is_reference = name.startswith("reference")
        color, width = (REFERENCE_COLOR, 1.4) if is_reference else (REPLICATE_COLOR, 1.1)
        axis.stairs(counts / max(counts.sum(), 1), edges, color=color, lw=width)
    axis.set(title="coordination number", xlabel="throats per pore", ylabel="fraction of the pores")


def _representative_volume(groups: Groups) -> Section:
    """Scatter between planes and between boxes."""
    table, properties = (groups[name].isel(replicate=0) for name in ("representative_volume", "properties"))
    smallest = min(float(properties.pore_radius_mean), float(table.box_edge.max()))  # others show single pores
    properties_of_boxes = _properties_of_boxes(table)
    means = {name: float(properties[_WHOLE_VOLUME[name]]) for name in properties_of_boxes}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3 + 3 * len(means), 3.1), layout="constrained")
        axes = figure.subplots(1, 1 + len(means))
        _planes(axes[0], groups)
        for axis, (name, label) in zip(axes[1:], properties_of_boxes.items(), strict=True):
            for box, color in _BOX_COLORS.items():
                row = table.sel(box=box)
                row = row.isel(box_edge=((row.n_boxes > 0) & (row.box_edge >= smallest)).values)
                axis.fill_between(row.box_edge, row[f"{name}_low"], row[f"{name}_high"], color=color, alpha=0.18, lw=0)
                axis.plot(row.box_edge, row[f"{name}_mean"], "o-", ms=3, color=color, lw=1.2, label=f"{box}s")
            for sign in (-1, 1):
                axis.axhline(means[name] * (1 + sign * TOLERANCE), color="#666", lw=0.7, ls=":")
            axis.set(xlabel="edge of the box [nm]", ylabel=label, xscale="log")
            _format_log(axis)
        axes[1].legend()
    caption = (
        "Porosity of the planes perpendicular to each axis; properties of boxes of replicate 0: mean and "
        f"the range of {COVERAGE:.0%} of the boxes, for cubes and for columns over the whole depth; dotted: "
        f"{TOLERANCE:.0%} below and above the value of the whole volume."
    )
    return Section("Representative volume", _representative_text(table, groups), [picture(figure, caption, caption)])


def _properties_of_boxes(table: xr.Dataset) -> dict[str, str]:
    """Properties that the table has, with the labels of their axes."""
    labels = {
        "porosity": "porosity", "pore_radius": "mean pore radius [nm]",
        "permeability_mobility_estimate": "permeability, estimate from mobilities [m²]",
    }  # fmt: skip
    return {name: label for name, label in labels.items() if f"{name}_mean" in table}


def _planes(axis: Axes, groups: Groups) -> None:
    """Porosity of every plane along each axis, over the relative position."""
    profiles, planes = groups["profiles"].isel(replicate=0), groups["planes"].isel(replicate=0)
    for label, values, color in (
        ("z (depth)", profiles.porosity, "#111111"), ("y", planes.porosity_y, "#4f8f4f"),
        ("x", planes.porosity_x, "#c4763a"),
    ):  # fmt: skip
        position = (np.arange(values.size) + 0.5) / values.size
        axis.plot(position, values, color=color, lw=1.0, label=label)
    axis.set(xlabel="position over the extent", ylabel="porosity of the plane", xlim=(0, 1), ylim=(0, None))
    axis.legend(ncols=3, handlelength=1.2, columnspacing=1.0)


def _representative_text(table: xr.Dataset, groups: Groups) -> str:
    """Sizes of representative boxes, compared with the volume."""
    deviation = groups["planes"].porosity_deviation.isel(replicate=0).values
    mean = float(groups["properties"].porosity.isel(replicate=0))
    text = ""
    if mean > 0:
        z, y, x = (f"{value / mean:.0%}" for value in deviation)
        text += f"The porosity of planes has a standard deviation of {z} along z, {y} along y and {x} along x. "
    extent: Any = groups["network_0"].extent.values if "network_0" in groups else None
    for box, phrase in (("cube", "A cube"), ("column", "A column over the whole depth")):
        edges = {
            name: float(table[f"representative_edge_{name}"].sel(box=box)) for name in _properties_of_boxes(table)
        }  # fmt: skip
        extrapolated = {name: edge for name, edge in edges.items() if np.isfinite(edge)}
        if extrapolated:
            phrases = [f"{quantity_text(edge, 'nm')} for the {_PHRASES[name]}" for name, edge in extrapolated.items()]
            text += (
                f"{phrase} represents the structure within {TOLERANCE:.0%} ({COVERAGE:.0%} of the boxes) from an edge "
                f"of {' and '.join([', '.join(phrases[:-1]), phrases[-1]] if phrases[1:] else phrases)}. "
            )
            limits = None if extent is None else min(extent) if box == "cube" else min(extent[1:])
            if limits is not None and max(extrapolated.values()) > limits:
                text += f"The volume, with an edge of {quantity_text(float(limits), 'nm')}, is smaller. "
    return text.strip()
