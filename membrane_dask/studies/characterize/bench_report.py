"""Section of the report of a characterize run on its virtual bench: drainage, wet and dry curves, mercury, sieving."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from membrane_dask.number_text import compact, interval_text, quantity_text, readable_unit
from membrane_dask.physics.reconstruction.replicate_interval import MIN_REPLICATES, replicate_interval
from membrane_dask.report.page import STYLE, Download, Grid, Note, Picture, Section, picture
from membrane_dask.studies.characterize.bench_settings import BenchSettings
from membrane_dask.studies.characterize.curve_report import add_legend, plot_replicates
from membrane_dask.studies.characterize.property_intervals import CONFIDENCE

#: Frames of the drainage.
_FRAMES = 8
#: Tables that the page offers as files.
_DOWNLOADS = ("bench", "bench_curves", "bench_rejection", "bench_gas")

Groups = Mapping[str, xr.Dataset]


def bench_sections(groups: Groups, settings: BenchSettings) -> list[Section]:
    """Section of the virtual bench; nothing where a run has none.

    Parameters
    ----------
    groups : mapping of str to Dataset
        Tables of the result.
    settings : BenchSettings
        Those of the study.
    """
    if "bench" not in groups:
        return []
    contents: list[Picture | Grid | Note | Download] = [_numbers(groups)]
    contents.append(_curves(groups, settings))
    if "bench_section" in groups:
        contents.append(_drainage(groups["bench_section"]))
    contents += [Note(text) for text in _limits(groups, settings)]
    for name in _DOWNLOADS:
        if name in groups:
            text = groups[name].to_dataframe().to_csv(lineterminator="\n")
            contents.append(Download(f"{name}.csv", f"Table {name} as CSV", text))
    return [Section("Virtual bench", _text(settings), contents)]


def _text(settings: BenchSettings) -> str:
    flow = (
        "of the pore network" if settings.flow == "network" else "of one Stokes flow through the emptied pores a level"
    )
    return (
        "What a laboratory would measure on this structure. Radii are those of menisci: the distance between the "
        f"centres of pore and solid voxel plus {settings.radius_offset:g} voxel. The wet curve is that {flow}; the "
        f"bubble point is that of the voxels with {settings.connectivity} neighbours."
    )


def _numbers(groups: Groups) -> Grid:
    """Single numbers of the first replicate, their intervals, and those of the reference."""
    table, reference = groups["bench"], groups.get("reference_bench")
    several = table.sizes["replicate"] >= MIN_REPLICATES
    header = ["quantity", f"value [{CONFIDENCE:.0%} interval]" if several else "value"]
    header += ["reference"] if reference is not None else []
    rows = []
    for name, variable in table.data_vars.items():
        value = float(variable.isel(replicate=0))
        if not np.isfinite(value):
            continue
        low, high = (float(end) for end in replicate_interval(variable, CONFIDENCE)) if several else (np.nan, np.nan)
        unit, factor = readable_unit(variable.attrs["units"], (value, low, high))
        units = "" if unit == "1" else f", {unit}"
        row = [f"{variable.attrs['long_name']}{units}", interval_text(factor * value, factor * low, factor * high)]
        if reference is not None:
            row.append(compact(factor * float(np.ravel(reference[name].values)[0]), 4))
        rows.append(row)
    caption = ""
    if several:
        caption = "Intervals over replicates of the reconstruction; its bias is not in them."
    return Grid(header, rows, caption)


def _curves(groups: Groups, settings: BenchSettings) -> Picture:
    """Wet, dry and half-dry flow, mercury, and sieving of solutes."""
    first = groups["bench"].isel(replicate=0)
    has_flow = float(first.permeability) > 0
    has_sieving = has_flow and "bench_rejection" in groups
    count = 1 + has_flow + has_sieving
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3 * count, 3.0), layout="constrained")
        mercury, *axes = figure.subplots(1, count, squeeze=False)[0]
        if has_flow:
            _plot_flow(axes[0], groups, settings)
        plot_replicates(mercury, groups, "bench_curves", lambda d: _steps(d, "mercury_fraction"))
        mercury.axvline(float(first.mercury_median_radius), color="0.6", lw=0.8, ls=":")
        mercury.set(xlabel="entry radius [nm]", ylabel="pore volume filled by mercury", ylim=(0, 1))
        for axis in axes[1:]:
            plot_replicates(
                axis, groups, "bench_rejection", lambda d: (d.solute_radius.values, 1 - d.sieving_coefficient.values)
            )
            axis.axvline(float(first.rejection_radius_90), color="0.6", lw=0.8, ls=":", label="90 %")
            axis.set(xlabel="Stokes radius [nm]", ylabel="rejection", ylim=(0, 1.02), xscale="log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter("")
        add_legend(mercury, groups)
    caption = "Left: pore volume filled by mercury, with the median radius."
    if has_flow:
        caption += (
            " Next: flow of the wetted membrane at rising pressure (line), of the dry one and half of that (dashed), "
            "of replicate 0; squares mark bubble point and mean flow pore."
        )
    caption += " Right: rejection of solutes, with the radius at 90 %." if has_sieving else ""
    return picture(figure, caption, caption)


def _steps(curves: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A curve with its steps at the entry radii, which fall."""
    radius, values = curves.entry_radius.values, curves[name].values
    # The value of a radius holds from there to the next, smaller one.
    return np.repeat(radius, 2)[1:], np.repeat(values, 2)[:-1]


def _plot_flow(axis: Axes, groups: Groups, settings: BenchSettings) -> None:
    """Flow of a liquid that does not slip, over the dry flow at the bubble point of replicate 0."""
    first, curves = groups["bench"].isel(replicate=0), groups["bench_curves"].isel(replicate=0)
    law = settings.capillary_law
    fraction = curves.wet_fraction.values
    steps = law.constant / (curves.entry_radius.values * 1e-9) / 1e5
    bubble = float(first.bubble_point_pressure)
    pressure = np.linspace(0.5 * bubble, 1.1 * steps[-1], 600)
    passed = np.searchsorted(steps, pressure, side="right")
    wet = np.concatenate([[0.0], fraction])[passed]
    axis.plot(pressure, wet * pressure / bubble, lw=1.3, label="wet")
    axis.plot(pressure, pressure / bubble, "k--", lw=0.8, label="dry")
    axis.plot(pressure, pressure / bubble / 2, "k:", lw=0.8, label="half dry")
    for name in ("bubble_point", "mean_flow_pore"):
        at = float(first[f"{name}_pressure"])
        value = float(np.concatenate([[0.0], fraction])[np.searchsorted(steps, at * (1 + 1e-9), side="right")])
        axis.plot(at, value * at / bubble, "s", ms=4, color="#d1702a")
    axis.set(
        xlabel=f"pressure [bar], {settings.liquid}", ylabel="flow over dry flow at the bubble point", ylim=(0, None)
    )
    axis.legend()


def _drainage(section: xr.Dataset) -> Picture:
    """Voxels of the middle section that are emptied at falling entry radii."""
    radius = section.drainage_radius.values
    levels = np.unique(radius[radius > 0])[::-1]
    chosen = levels[np.unique(np.rint(np.linspace(0, len(levels) - 1, _FRAMES)).astype(int))]
    height, width = (float(section[axis][-1] + section[axis][0]) for axis in ("z", "x"))
    columns = max(1, min(4, len(chosen)))
    lines = max(1, -(-len(chosen) // columns))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.3 * lines * max(0.6, height / width)), layout="compressed")
        axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axis in axes:
            axis.set_axis_off()
        # Solid, liquid that stays, pores that are emptied now, and before.
        colors = ListedColormap(["#f2f0ec", "#4b86c2", "#d1702a", "#f3c9a5"])
        for number, (axis, level) in enumerate(zip(axes, chosen, strict=False)):
            wider = chosen[number - 1] if number else np.inf
            image = np.where(radius < 0, 0, np.where(radius < level, 1, np.where(radius < wider, 2, 3)))
            axis.imshow(image, colors, vmin=0, vmax=3, extent=(0, width, height, 0), interpolation="nearest")
            axis.set_title(quantity_text(float(level), "nm"))
    caption = (
        "Drainage in the middle section at falling entry radii, feed side above: solid white, liquid blue, pores "
        "emptied since the frame before orange, earlier ones light."
    )
    return picture(figure, caption, caption)


def _limits(groups: Groups, settings: BenchSettings) -> list[str]:
    """What the bench does not see, and what was not computed."""
    first = groups["bench"].isel(replicate=0)
    notes = []
    if np.isfinite(float(first.throat_flow_median_radius)):
        notes.append(
            "Pressure methods see the critical path, not the population of throats: the median radius of the throats "
            f"with flow is {quantity_text(float(first.throat_number_median_radius), 'nm')} by number and "
            f"{quantity_text(float(first.throat_flow_median_radius), 'nm')} by flow."
        )
    if settings.flow == "stokes":
        notes.append("Gas permeation and rejection are those of the pore network.")
    if settings.entry.contact_angle is None:
        notes.append("The entry pressure of water was not computed: it needs its contact angle (bench.entry).")
    return notes
