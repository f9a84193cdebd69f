"""The report of a characterization: properties, what changes with depth, sizes, and the network drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.physics.reconstruction.replicate_interval import replicate_interval
from membrane_dask.report.page import STYLE, Grid, Section, picture
from membrane_dask.studies.characterize.variables import FLOW, PROPERTIES, RETENTION

#: Confidence of the intervals over replicates.
_CONFIDENCE = 0.9
#: Share of the flow in pores one voxel wide from which on a reader is warned.
_NARROW = 0.05
#: Powers in a unit, and how they are printed.
_POWER, _RAISED = re.compile(r"(?<=[a-z])-?\d"), str.maketrans("-123", "⁻¹²³")
_REFERENCE, _FOUND = "#111111", "#1f5fa8"
#: Thickness of what is drawn of a network, as a share of the volume's width.
_SHEET = 0.06


def sections(run: Run) -> list[Section]:
    """All of the page, for what is done."""
    tree = run.result
    groups = {name: node.to_dataset().load() for name, node in tree.children.items()}
    if "properties" not in groups:
        return [Section("What was measured", "Nothing yet: properties follow when all blocks are measured.")]
    found = [_properties(groups), _with_depth(groups), _sizes(groups)]
    if "permeability" in groups["properties"]:
        found.insert(1, _flow(groups))
    if "rejection" in groups:
        found.insert(2, _retention(groups))
    networks = [(name, groups[name]) for name in ("network_0", "reference_network") if name in groups]
    if any(network.sizes["pore"] for _, network in networks):
        found += [_distributions(groups), _drawn(networks)]
    return found


def _properties(groups: dict[str, xr.Dataset]) -> Section:
    mine, compared = groups["properties"], groups.get("reference_properties")
    several = mine.sizes["replicate"] > 2
    header = ["property", f"value [{_CONFIDENCE:.0%} interval]" if several else "value"]
    if compared is not None:
        header += ["reference", "difference"]
    rows = []
    for variable in PROPERTIES + FLOW + RETENTION:
        if variable.dims or variable.name == "percolates" or variable.name not in mine:
            continue
        values = mine[variable.name]
        raised = _POWER.sub(lambda found: found[0].translate(_RAISED), variable.units)
        unit = "" if variable.units == "1" else f", {raised}"
        row = [f"{variable.long_name}{unit} ({variable.name})", _with_interval(values)]
        if compared is not None:
            other = float(compared[variable.name])
            apart = float(values.isel(replicate=0)) / other - 1 if other else np.nan
            row += [_number(other), f"{apart:+.1%}" if np.isfinite(apart) else "-"]
        rows.append(row)
    through = [bool(v) for v in mine.percolates.values]
    text = "Pores reach from the feed side to the other." if all(through) else (
        "No pores reach from the feed side to the other: nothing can flow."
        if not any(through)
        else f"Pores reach from the feed side to the other in {sum(through)} of {len(through)} replicates."
    )  # fmt: skip
    if several:
        text += " The value is that of the best match, replicate 0; the interval is that of all replicates."
    lost = float(mine.unassigned_share.max())
    if lost > 0.01:
        text += f" No pore of the network holds {lost:.1%} of the pore volume: parts too narrow to have a centre."
    return Section("What it is", text, [Grid(header, rows)])


def _flow(groups: dict[str, xr.Dataset]) -> Section:
    """What the flow says, how sure it is, and how far off the usual short cuts are."""
    one = groups["properties"].isel(replicate=0)
    k = float(one.permeability)
    if not np.isfinite(k) and float(one.permeability_screening) > 0:
        words = (
            f"Screening: by local mobilities the permeability is {float(one.permeability_screening):.3g} m² or less. "
            "Such an estimate is 1.1 to 1.4 times as high as the flow itself gives (flow.method: stokes)."
        )
        return Section("Flow", words)
    if not np.isfinite(k):
        return Section("Flow", "Its flow was not solved for: see the failures.")
    if k == 0:
        return Section(
            "Flow", "Nothing can flow: no pores reach from the feed side to the other. The permeability is 0."
        )
    other, screening = (float(one[f"permeability_{name}"]) / k for name in ("other_surface", "screening"))
    sure, narrow = float(one.permeability_upper) / k - 1, float(one.narrow_flow_share)
    text = (
        f"The permeability is {k:.3g} m², a flux of {float(one.permeance):.3g} L m⁻² h⁻¹ bar⁻¹. The equations on this "
        f"grid are solved to {sure:.1%} or better, and the flux is the same through all planes to "
        f"{float(one.flux_residual):.0e}. What the voxels leave open is more: with their surface taken the other way "
        f"the permeability is {other - 1:+.0%}. "
    )
    if narrow > _NARROW:
        text += (
            f"{narrow:.0%} of the flow passes pores one voxel wide, which no grid resolves: cut the voxels "
            "(flow.refine) or image more finely. "
        )
    shortcuts = [
        ("network, throats as tubes of the inscribed radius", float(one.permeability_network_inscribed) / k),
        ("network, throats as tubes of the same area", float(one.permeability_network_equivalent) / k),
        ("Kozeny and Carman", float(one.permeability_kozeny_carman) / k),
        ("local mobilities", screening),
    ]
    text += "Short cuts, which are no measure of it, would give: " + "; ".join(
        f"{name}, {ratio:.2g} times as much" for name, ratio in shortcuts if np.isfinite(ratio)
    )
    shown = [(name, groups[name]) for name in ("flow", "reference_flow") if name in groups]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        sheets = [group.speed.isel(replicate=0) if name == "flow" else group.speed for name, group in shown]
        top = max(float(sheet.quantile(0.995)) for sheet in sheets) or 1.0
        for axis, (name, _), sheet in zip(axes, shown, sheets, strict=True):
            extent = (0, float(sheet.x[-1] + sheet.x[0]), float(sheet.z[-1] + sheet.z[0]), 0)
            drawn = axis.imshow(sheet.values * 1e3, extent=extent, cmap="magma", vmin=0, vmax=top * 1e3)
            axis.set(title="the reference" if name == "reference_flow" else "measured", xlabel="x [nm]")
        axes[0].set_ylabel("depth [nm]")
        figure.colorbar(drawn, ax=axes, label="speed [mm s⁻¹]", shrink=0.8)
    words = "Speed of the flow in the middle section, under the study's pressure."
    return Section("Flow", text + ".", [picture(figure, words, words)])


def _retention(groups: dict[str, xr.Dataset]) -> Section:
    """What the pores hold back, by the size of balls and what they do at walls."""
    one, curve = groups["properties"].isel(replicate=0), groups["rejection"].isel(replicate=0)
    if not float(one.critical_pore_radius):
        return Section("Retention", "Nothing passes, for nothing flows.")
    radius, reduction = float(one.critical_pore_radius), float(one.log_reduction_value)
    bound = float(one.log_reduction_value_bound)
    text = (
        f"Balls wider than {2 * radius:.3g} nm find no way through: all of them are held back, whatever the flow. "
        "Of narrower ones it depends on what they do where they touch a wall: go on along it (sieving), or stick to "
        "it (first touch). The truth lies between. "
    )
    if np.isinf(reduction):
        text += "Of those that were asked for none can pass. "
    else:
        text += (
            f"Of those that were asked for one in {10**reduction:.3g} passes, a log reduction of {reduction:.2f}; a "
            f"count of balls followed one by one shows {bound:.2f} at least (95 %). "
        )
    text += "No forces but the flow's and Brownian motion act on them; near walls they move as freely as elsewhere."
    rules = (("sieving", "log_reduction_sieving", "o-"), ("first touch", "log_reduction_first_touch", "s--"))
    # Where no ball of the size asked for can pass, there is no steady profile of those that stick.
    sticking = [name for name in ("deposition", "reference_deposition") if name in groups]
    told = any(np.isfinite(groups[name].caught.values).any() for name in sticking)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9 if told else 4.6, 3.2), layout="constrained")
        left, *more = figure.subplots(1, 1 + told, squeeze=False)[0]
        diameters = curve.particle_diameter.values
        for name, variable, style in rules:
            values = curve[variable].values
            left.plot(diameters[np.isfinite(values)], values[np.isfinite(values)], style, color=_FOUND, label=name)
        left.axvline(2 * radius, color=_REFERENCE, lw=0.9, ls=":", label="widest that passes")
        left.set(xlabel="diameter [nm]", ylabel="log reduction", xscale="log", ylim=(0, None))
        left.set_yscale("symlog", linthresh=1)
        left.xaxis.set_major_formatter("{x:g}")
        left.xaxis.set_minor_formatter("{x:g}")
        left.legend()
        for right in more:
            _both(right, groups, "deposition", lambda d: (d.z.values, np.nan_to_num(d.caught.values)))
            right.set(xlabel="depth [nm]", ylabel="share caught in a plane", ylim=(1e-6, 1))
            right.set_yscale("log", nonpositive="mask")
    words = "Log reduction by the size of balls"
    words += "; and at what depth they stick where they stick to the first wall." if told else "."
    return Section("Retention", text, [picture(figure, words, words)])


def _number(value: float) -> str:
    if np.isposinf(value):
        return "infinite"
    if not np.isfinite(value):
        return "-"
    return f"{value:.0f}" if value == round(value) and abs(value) >= 10 else f"{value:.4g}"


def _with_interval(values: xr.DataArray) -> str:
    low, high = (float(end) for end in replicate_interval(values, _CONFIDENCE))
    best = _number(float(values.isel(replicate=0)))
    return f"{best} [{_number(low)}, {_number(high)}]" if np.isfinite(low) else best


def _with_depth(groups: dict[str, xr.Dataset]) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, name, words in zip(
            axes,
            ("connected_porosity", "pore_radius_mean"),
            ("connected porosity", "mean pore radius [nm]"),
            strict=True,
        ):
            _both(axis, groups, "profiles", lambda d, name=name: (d.z.values, d[name].values))  # type: ignore[misc]
            axis.set(xlabel="depth [nm]", ylabel=words, ylim=(0, None))
        _legend(axes[0], groups)
    words = "Plane by plane of the depth, from the feed side: what is connected, and the balls that fit into the pores."
    return Section("With depth", "", [picture(figure, words, words)])


def _sizes(groups: dict[str, xr.Dataset]) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.8), layout="constrained")
        axes = figure.subplots(1, 4, sharey=True)
        for quarter, axis in enumerate(axes):
            _both(axis, groups, "pore_sizes", lambda d, q=quarter: (  # type: ignore[misc]
                d.pore_radius.values, d.quarter_share_wider.isel(quarter=q).values
            ))  # fmt: skip
            axis.set(title=f"quarter {quarter + 1} of the depth", xlabel="radius [nm]", xlim=(0, None), ylim=(0, 1))
        axes[0].set_ylabel("share of the pores in balls\nof this radius or larger")
        _legend(axes[3], groups)
    words = "How much of the pore space balls of each radius fill (local thickness), by quarter of the depth."
    return Section("Pore sizes", "", [picture(figure, words, words)])


def _both(axis: Axes, groups: dict[str, xr.Dataset], group: str, of: Callable[[Any], tuple[Any, Any]]) -> None:
    mine = groups[group]
    for number in range(mine.sizes["replicate"]):
        axis.plot(*of(mine.isel(replicate=number)), color=_FOUND, lw=0.9, alpha=0.8)
    if f"reference_{group}" in groups:
        axis.plot(*of(groups[f"reference_{group}"]), color=_REFERENCE, lw=1.4)


def _legend(axis: Axes, groups: dict[str, xr.Dataset]) -> None:
    if "reference_properties" in groups:
        axis.plot([], [], color=_REFERENCE, label="reference")
        axis.plot([], [], color=_FOUND, label="measured")
        axis.legend()


def _distributions(groups: dict[str, xr.Dataset]) -> Section:
    names = [name for name in groups if name.startswith("network_")]
    what = (
        ("radius of the pores (equal volume) [nm]", lambda n: n.equivalent_radius.values),
        (
            "radius of the throats (equal area) [nm]",
            lambda n: n.throat_equivalent_radius.values[n.ends.values[:, 1] >= 0],
        ),
        ("throats at a pore", lambda n: n.coordination_number.values),
    )
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.8), layout="constrained")
        for axis, (words, values_of) in zip(figure.subplots(1, 3), what, strict=True):
            pooled = np.concatenate([values_of(groups[name]) for name in names])
            if not len(pooled):
                continue
            top = float(np.quantile(pooled, 0.995))
            bins = np.arange(-0.5, max(top, 1) + 1) if pooled.dtype.kind == "i" else np.linspace(0, top, 31)
            for name in [*names, *(["reference_network"] if "reference_network" in groups else [])]:
                share, edges = np.histogram(values_of(groups[name]), bins)
                color = _REFERENCE if name == "reference_network" else _FOUND
                axis.stairs(share / max(share.sum(), 1), edges, color=color, lw=1.1 if name in names else 1.4)
            axis.set(xlabel=words)
            axis.set_ylabel("share")
    words = "Pores and throats of every network; the reference in black."
    return Section("The network in numbers", "", [picture(figure, words, words)])


def _drawn(networks: list[tuple[str, xr.Dataset]]) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.6), layout="constrained")
        axes = figure.subplots(1, len(networks), squeeze=False)[0]
        for axis, (name, network) in zip(axes, networks, strict=True):
            _draw(axis, network)
            axis.set(title="the reference" if name == "reference_network" else "measured", xlabel="x [nm]")
        axes[0].set_ylabel("depth [nm]")
    words = (
        f"A sheet of the network seen from the side, {_SHEET:.0%} of its breadth thick: pores as their largest balls "
        "(darker in front), throats as lines half as thick as they are wide."
    )
    return Section("The network", "", [picture(figure, words, words)])


def _draw(axis: Axes, network: xr.Dataset) -> None:
    position = network.position.values
    if not len(position):
        return
    y = position[:, 1]
    front, back = np.quantile(y, 0.5) - _SHEET / 2 * np.ptp(y), np.quantile(y, 0.5) + _SHEET / 2 * np.ptp(y)
    inside = (y >= front) & (y <= back)
    ends = network.ends.values
    drawn = (ends[:, 1] >= 0) & inside[ends[:, 0]] & inside[np.maximum(ends[:, 1], 0)]
    width, depth = position[:, 2].max(), position[:, 0].max()
    axis.set(xlim=(0, width), ylim=(depth, 0), aspect="equal")
    points = 72 * 3.4 / max(width, depth)  # points on paper for a nanometre, about
    lines = position[ends[drawn]][:, :, [2, 0]]
    thick = points * network.throat_inscribed_radius.values[drawn]
    axis.add_collection(LineCollection(list(lines), linewidths=thick, colors="#c4763a", alpha=0.7, capstyle="round"))
    order = np.argsort(-y[inside])
    size = 2 * network.inscribed_radius.values[inside][order]
    nearness = (back - y[inside][order]) / max(back - front, 1e-300)
    axis.add_collection(
        EllipseCollection(
            size, size, np.zeros(len(size)), units="xy", offsets=position[inside][order][:, [2, 0]],
            offset_transform=axis.transData, facecolors=mpl.colormaps["Blues"](0.35 + 0.5 * nearness),
            edgecolors="white",            linewidths=0.3, alpha=0.9,
        )
    )  # fmt: skip
