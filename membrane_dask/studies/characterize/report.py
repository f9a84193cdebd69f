"""Report of a characterize run: properties, flow, retention, profiles, pore sizes and the pore network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.number_text import compact, interval_text, lengths_text, quantity_text, readable_unit
from membrane_dask.physics.reconstruction.replicate_interval import MIN_REPLICATES
from membrane_dask.report.page import STYLE, Grid, Picture, Section, picture
from membrane_dask.studies.characterize.bench_report import bench_sections
from membrane_dask.studies.characterize.comparison_report import comparison_cells, comparison_pictures, comparison_text
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.curve_report import (
    REFERENCE_COLOR,
    REPLICATE_COLOR,
    add_legend,
    plot_replicates,
)
from membrane_dask.studies.characterize.property_intervals import (
    CONFIDENCE,
    PropertyInterval,
    are_independent_searches,
    property_intervals,
    reference_coverage,
    reference_finding,
)
from membrane_dask.studies.characterize.sections_report import volume_sections
from membrane_dask.studies.characterize.segmentation_report import segmentation_sections
from membrane_dask.studies.characterize.size_report import network_statistics, size_sections
from membrane_dask.studies.characterize.structure_report import streamline_pictures, structure_sections
from membrane_dask.studies.characterize.transport_report import directional_section, resolution_text, tensor_section

#: Fraction of the flow in pores one voxel wide, and of the pore volume outside the network, above which the text warns.
_MAX_UNRESOLVED, _MAX_UNASSIGNED = 0.05, 0.01
#: Thickness of the drawn section of a network, as a fraction of the width of the volume.
_SECTION = 0.06

Groups = Mapping[str, xr.Dataset]


def sections(run: Run) -> list[Section]:
    """Sections of the report, from the tables that are complete.

    Parameters
    ----------
    run : Run
        The run.
    """
    groups = {
        name: node.to_dataset().load()
        for name, node in run.result.children.items()
        if not name.startswith(("velocity_", "reference_velocity"))  # which may be larger than the memory
    }
    if "properties" not in groups:
        return [Section("Properties", "No volume is complete yet: its properties follow once all blocks are computed.")]
    assert isinstance(run.study, CharacterizeStudy)
    content = [_properties(groups)]
    if "permeability" in groups["properties"]:
        content += _flow(groups, streamline_pictures(run), run.study.flow.wall_model)
    if "rejection" in groups:
        content.append(_retention(groups))
    if "directional" in groups:
        content.append(directional_section(groups["directional"]))
    if "tensors" in groups:
        content.append(tensor_section(groups["tensors"]))
    content += bench_sections(groups, run.study.bench)
    content += segmentation_sections(run)
    content += [*volume_sections(groups), *structure_sections(groups)]
    content += [_profiles(groups), _pore_sizes(groups), *size_sections(groups)]
    names = ("network_0", "reference_network", "reference_network_0")
    networks = {name: groups[name] for name in names if name in groups}
    if any(network.sizes["pore"] for network in networks.values()):
        content += [network_statistics(groups), _network_section(networks)]
    return content


def _properties(groups: Groups) -> Section:
    replicates, reference = groups["properties"], groups.get("reference_properties")
    equal_size = bool(np.isfinite(groups["difference"].n_pores).any()) if "difference" in groups else True
    rows = property_intervals(replicates, reference, equal_size=equal_size)
    searches, several = are_independent_searches(replicates), replicates.sizes["replicate"] >= MIN_REPLICATES
    header = ["property", "value"]
    if several:
        interval = "scatter of the replicates" if _is_limited(replicates) else f"{CONFIDENCE:.0%} interval"
        header = ["property", "mean [± 1.96 s/√N]" if searches else f"value [{interval}]"]
    differences = comparison_cells(groups.get("comparison"))
    if reference is not None:
        has_interval = any(np.isfinite(row.reference_low) for row in rows)
        header += ["reference" + (f" [{CONFIDENCE:.0%} interval]" if has_interval else "")]
        header += [f"difference [{CONFIDENCE:.0%} interval]", "p"] if differences else ["difference"]
    cells = []
    for row in rows:
        name, factor = readable_unit(row.variable.units, (row.value, row.low, row.high))
        unit = "" if row.variable.units == "1" else f", {name}"
        line = [f"{row.variable.long_name}{unit} ({row.variable.name})", _with_interval(row, factor)]
        if reference is not None:
            mark = " *" if row.contains_reference is False else ""
            line += [_reference_cell(row, reference, factor) + mark]
            if differences:
                line += differences.get(row.variable.name, ["-", "-"])
            else:
                difference = row.value / row.reference - 1 if row.reference else np.nan
                line += [f"{difference:+.1%}" if np.isfinite(difference) else "-"]
        cells.append(line)
    sentences = [*_reference_text(rows), *comparison_text(groups), _percolation_text(replicates)]
    if several:
        sentences.append(_interval_text(groups, searches))
    if several and not searches and _is_limited(replicates):
        sentences.append(
            "The brackets do not contain the error that the reconstruction reports in the first lines of this page: "
            f"the true values lie in them less often than in {CONFIDENCE:.0%} of the cases."
        )
    if any(row.quantiles for row in rows):
        sentences.append(
            "Braces: a property that is 0 in some replicates has no scale for an interval; these are quantiles of the "
            "replicates, which contain the true value less often."
        )
    unassigned = float(replicates.unassigned_fraction.max())
    if unassigned > _MAX_UNASSIGNED:
        sentences.append(
            f"{unassigned:.1%} of the pore volume belongs to no pore of the network, as it is too narrow to have a "
            "peak of the distance map."
        )
    return Section("Properties", " ".join(sentences), [Grid(header, cells), *comparison_pictures(groups)])


def _is_limited(replicates: xr.Dataset) -> bool:
    """Whether the reconstruction reports that its image does not determine the structure, or that it does not fit."""
    return bool(replicates.attrs.get("interval_limits"))


def _reference_text(rows: Sequence[PropertyInterval]) -> list[str]:
    """How many intervals contain the reference."""
    inside, total = reference_coverage(rows)
    if not total or reference_finding(rows):  # which stands in the first line of the page
        return []
    missed = f"; the others are marked (*), of which {1 - CONFIDENCE:.0%} are expected" if inside < total else ""
    return [f"{inside} of {total} intervals contain the reference{missed}."]


def _percolation_text(replicates: xr.Dataset) -> str:
    percolates = [bool(value) for value in replicates.percolates.values]
    if all(percolates):
        return "The pores percolate from the feed side to the filtrate."
    if not any(percolates):
        flows = "permeability" in replicates and bool((replicates.permeability > 0).any())  # across periodic faces
        zero = "" if flows else ": the permeability is 0"
        return f"No pores percolate from the feed side to the filtrate{zero}."
    return f"The pores percolate in {sum(percolates)} of {len(percolates)} replicates."


def _interval_text(groups: Groups, searches: bool) -> str:
    """What the intervals refer to."""
    if searches:
        return (
            "Replicates are independent searches of one image: values are their means, brackets mean ± 1.96 s/√N with "
            "the standard deviation s of N searches. They describe the scatter of the search, not the distance from "
            "the membrane."
        )
    size = ""
    if "network_0" in groups:
        size = " of " + lengths_text(groups["network_0"].extent.values)
    return (
        "Values are those of replicate 0, the best match; intervals, from all replicates, are those of a volume of "
        f"the same size{size}: properties of larger volumes scatter less."
    )


def _flow(groups: Groups, streamlines: Sequence[Picture], wall_model: str) -> list[Section]:
    """Permeability with its errors, compared with simplified models; speeds in a section."""
    first = groups["properties"].isel(replicate=0)
    k = float(first.permeability)
    if not np.isfinite(k) and float(first.permeability_mobility_estimate) > 0:
        text = (
            f"Local mobilities give a permeability of {float(first.permeability_mobility_estimate):.3g} m². Such an "
            "estimate is 1.1 to 1.4 times as high as that by Stokes flow (flow.method: stokes)."
        )
        return [Section("Permeability estimate", text)]
    if not np.isfinite(k):
        return [Section("Flow", "The flow was not computed; see the failed units.")]
    if k == 0:
        text = "No pores percolate from the feed side to the filtrate. The permeability is 0."
        return [Section("Flow", text)]
    unresolved = float(first.unresolved_flow_fraction)
    text = f"The permeability is {k:.3g} m², a permeance of {float(first.permeance):.3g} L m⁻² h⁻¹ bar⁻¹. "
    if "permeability_low" in first:  # which runs of earlier versions lack
        text += resolution_text(first, wall_model)
    text += f"The flux differs by {float(first.flux_residual):.0e} between planes."
    if unresolved > _MAX_UNRESOLVED:
        text += (
            f" {unresolved:.0%} of the flow is in pores one voxel wide, which the grid does not resolve: increase "
            "flow.refinement, or use an image of higher resolution."
        )
    shown = {name: groups[name] for name in ("flow", "reference_flow") if name in groups}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9 if len(shown) > 1 else 5, 4.2), layout="compressed")
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        speeds = [group.speed.isel(replicate=0, missing_dims="ignore") for group in shown.values()]
        top = max(float(speed.quantile(0.995)) for speed in speeds) or 1.0
        for axis, name, speed in zip(axes, shown, speeds, strict=True):
            extent = (0, float(speed.x[-1] + speed.x[0]), float(speed.z[-1] + speed.z[0]), 0)
            image = axis.imshow(speed.values * 1e3, extent=extent, cmap="magma", vmin=0, vmax=top * 1e3)
            axis.set(title="reference" if name == "reference_flow" else "replicate 0", xlabel="x [nm]")
        axes[0].set_ylabel("depth [nm]")
        figure.colorbar(image, ax=axes, label="speed [mm s⁻¹]", shrink=0.8)
    caption = "Speed in the middle section under the pressure difference of the study."
    models = {
        "pore network, throats as circular tubes of the inscribed radius": "network_inscribed",
        "pore network, throats as circular tubes of equal area": "network_equivalent",
        "Kozeny and Carman": "kozeny_carman",
        "local mobilities": "mobility_estimate",
    }
    ratios = {label: float(first[f"permeability_{name}"]) / k for label, name in models.items()}
    rows = [[label, f"{ratio:.2g}"] for label, ratio in ratios.items() if np.isfinite(ratio)]
    return [
        Section("Flow", text, [picture(figure, caption, caption), *streamlines]),
        Section(
            "Simplified models",
            "Permeability by simplified models, for comparison.",
            [Grid(["model", "permeability over that by Stokes flow"], rows)],
        ),
    ]


def _retention(groups: Groups) -> Section:
    """Critical pore size, log reductions and depth of deposition."""
    first, curve = groups["properties"].isel(replicate=0), groups["rejection"].isel(replicate=0)
    diameter = 2 * float(first.critical_pore_radius)
    if not diameter:
        return Section("Retention", "No pores percolate, so that no particle passes.")
    reduction, bound = float(first.log_reduction_value), float(first.log_reduction_value_bound)
    text = (
        f"Particles with a diameter above {quantity_text(diameter, 'nm')} have no percolating path: their log "
        "reduction is infinite. That of smaller ones depends on their interaction with walls: particles slide along "
        "them (reflecting), or are deposited at first contact (perfect sink). The two limits bracket the retention. "
    )
    if np.isinf(reduction):
        text += "Particles of the study's diameter cannot pass. "
    else:
        text += (
            f"One in {10**reduction:.3g} particles of the study's diameter passes, a log reduction of {reduction:.2f}; "
            f"a count of tracked particles shows {bound:.2f} or more (95 %). "
        )
    text += "The flow and Brownian motion are the only forces; hydrodynamic hindrance by walls is neglected."
    interactions = {"reflecting": "o-", "perfect_sink": "s--"}
    # There is no steady profile of deposition where particles of the study's diameter cannot pass.
    tables = [groups[name] for name in ("deposition", "reference_deposition") if name in groups]
    has_profile = any(np.isfinite(table.deposited_fraction.values).any() for table in tables)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9 if has_profile else 4.6, 3.2), layout="constrained")
        left, *right = figure.subplots(1, 1 + has_profile, squeeze=False)[0]
        diameters = curve.particle_diameter.values
        for interaction, style in interactions.items():
            values = curve[f"log_reduction_{interaction}"].values
            finite = np.isfinite(values)
            label = interaction.replace("_", " ")
            left.plot(diameters[finite], values[finite], style, color=REPLICATE_COLOR, label=label)
        left.axvline(diameter, color=REFERENCE_COLOR, lw=0.9, ls=":", label="critical pore diameter: twice the radius")
        left.set(xlabel="particle diameter [nm]", ylabel="log reduction", xscale="log", ylim=(0, None))
        left.set_yscale("symlog", linthresh=1)
        left.xaxis.set_major_formatter("{x:g}")
        left.xaxis.set_minor_formatter("{x:g}")
        left.legend()
        for axis in right:
            plot_replicates(
                axis, groups, "deposition", lambda d: (d.z.values, np.nan_to_num(d.deposited_fraction.values)),
                "perfect sink",
            )  # fmt: skip
            axis.set(xlabel="depth [nm]", ylabel="deposited fraction per plane", ylim=(1e-6, 1))
            axis.set_yscale("log", nonpositive="mask")
    caption = "Log reduction by particle diameter"
    caption += ", and depth of deposition with perfect-sink walls." if has_profile else "."
    return Section("Retention", text, [picture(figure, caption, caption)])


def _reference_cell(row: PropertyInterval, reference: xr.Dataset, factor: float) -> str:
    """Value of the reference, with its interval where it has replicates."""
    if row.reference is None:  # of a volume of another size
        return _single(factor * float(np.ravel(reference[row.variable.name].values)[0]))
    if not np.isfinite(row.reference_low):
        return _single(factor * row.reference)
    return interval_text(*(factor * value for value in (row.reference, row.reference_low, row.reference_high)))


def _single(value: float) -> str:
    """A value without an interval; a number of things in full."""
    return f"{value:.0f}" if value == round(value, 0) and 10 <= abs(value) < np.inf else compact(value, 4)


def _with_interval(row: PropertyInterval, factor: float) -> str:
    if row.n_infinite:
        return f"infinite in {row.n_infinite} of {row.n_replicates} replicates" if row.n_replicates > 1 else "infinite"
    if not np.isfinite(row.low):
        return _single(factor * row.value)
    values = (factor * value for value in (row.value, row.low, row.high))
    return interval_text(*values, brackets="{}" if row.quantiles else "[]")


def _profiles(groups: Groups) -> Section:
    labels = {"connected_porosity": "connected porosity", "pore_radius_mean": "mean pore radius [nm]"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, (name, label) in zip(axes, labels.items(), strict=True):
            plot_replicates(axis, groups, "profiles", lambda d, name=name: (d.z.values, d[name].values))  # type: ignore[misc]
            axis.set(xlabel="depth [nm]", ylabel=label, ylim=(0, None))
        add_legend(axes[0], groups)
    caption = "Connected porosity and mean pore radius (local thickness) of every plane, from the feed side."
    return Section("Depth profiles", "", [picture(figure, caption, caption)])


def _pore_sizes(groups: Groups) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.8), layout="constrained")
        axes = figure.subplots(1, 4, sharey=True)
        for quarter, axis in enumerate(axes):
            plot_replicates(axis, groups, "pore_sizes", lambda d, q=quarter: (  # type: ignore[misc]
                d.pore_radius.values, d.quarter_cumulative_volume_fraction.isel(quarter=q).values
            ))  # fmt: skip
            axis.set(title=f"quarter {quarter + 1}", xlabel="pore radius [nm]", xlim=(0, None), ylim=(0, 1))
        axes[0].set_ylabel("fraction of the pore volume\nwith at least this radius")
        add_legend(axes[3], groups)
    caption = "Cumulative pore size distribution by local thickness, for each quarter of the depth."
    return Section("Pore sizes", "", [picture(figure, caption, caption)])


def _network_section(networks: Mapping[str, xr.Dataset]) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9 if len(networks) > 1 else 5, 4.6), layout="compressed")
        axes = figure.subplots(1, len(networks), squeeze=False)[0]
        for axis, (name, network) in zip(axes, networks.items(), strict=True):
            draw_network(axis, network)
            axis.set(title="reference" if name.startswith("reference") else "replicate 0", xlabel="x [nm]")
        axes[0].set_ylabel("depth [nm]")
    caption = (
        f"Section of the network, {_SECTION:.0%} of the width thick: pores as inscribed spheres (stronger "
        "colours in front), throats as lines of their inscribed radius."
    )
    return Section("Pore network", "", [picture(figure, caption, caption)])


def draw_network(axis: Axes, network: xr.Dataset) -> None:
    """Draw a section of a pore network: pores as inscribed spheres, darker in front, throats as lines.

    Parameters
    ----------
    axis : Axes
        Where it is drawn; its limits are set.
    network : xarray.Dataset
        A group such as ``network_0``; lengths in nm.
    """
    position = network.position.values
    if not len(position):
        return
    y = position[:, 1]
    front, back = (np.quantile(y, 0.5) + sign * _SECTION / 2 * np.ptp(y) for sign in (-1, 1))
    inside = (y >= front) & (y <= back)
    throat_conns = network.throat_conns.values
    is_drawn = (throat_conns[:, 1] >= 0) & inside[throat_conns[:, 0]] & inside[np.maximum(throat_conns[:, 1], 0)]
    width, depth = position[:, 2].max(), position[:, 0].max()
    axis.set(xlim=(0, width), ylim=(depth, 0), aspect="equal")
    points = 72 * 3.4 / max(width, depth)  # of the printed figure per nanometre, approximately
    lines = position[throat_conns[is_drawn]][:, :, [2, 0]]
    line_widths = points * network.throat_inscribed_radius.values[is_drawn]
    axis.add_collection(
        LineCollection(list(lines), linewidths=line_widths, colors="#c4763a", alpha=0.7, capstyle="round")
    )
    order = np.argsort(-y[inside])
    size = 2 * network.inscribed_radius.values[inside][order]
    nearness = (back - y[inside][order]) / max(back - front, 1e-300)
    axis.add_collection(
        EllipseCollection(
            size, size, np.zeros(len(size)), units="xy", offsets=position[inside][order][:, [2, 0]],
            offset_transform=axis.transData, facecolors=mpl.colormaps["Blues"](0.35 + 0.5 * nearness),
            edgecolors="white", linewidths=0.3, alpha=0.9,
        )
    )  # fmt: skip
