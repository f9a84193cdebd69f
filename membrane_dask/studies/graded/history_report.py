"""Histories of the filters: flux, filtrate concentration and pressure, and where the deposit forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.number_text import readable_unit
from membrane_dask.report.equal_axes import equal_limits
from membrane_dask.report.page import Picture, picture
from membrane_dask.studies.graded.common_report import (
    COLOURS,
    end_of_life,
    error_bars,
    gradient_legend,
    label,
    mean_of,
    network_count,
    plot_histories,
    plot_means,
    slices,
)


@dataclass(frozen=True)
class Scales:
    """Factors and labels of the axes: dimensionless, or in physical units where the study gives them."""

    time: float = 1.0
    flux: float = 1.0
    volume: float = 1.0
    time_label: str = "time t"
    flux_label: str = "flux q"
    volume_label: str = "throughput h"


def scales_of(tree: xr.DataTree, i: int) -> Scales:
    """Scales of the deposition coefficient with the index ``i``, from the whole result."""
    if "units" not in tree:
        return Scales()
    units = tree["units"].to_dataset().isel(deposition=i)
    time, flux, volume = (float(units[name]) for name in ("time_unit", "flux_unit", "volume_unit"))
    lifetimes = tree["graded"].to_dataset()["lifetime"].isel(deposition=i).values
    unit, factor = readable_unit("h", time * lifetimes.ravel())
    return Scales(time * factor, flux, volume, f"time [{unit}]", "permeate flux [L m⁻² h⁻¹]", "filtrate volume [L m⁻²]")


def operation_figure(table: xr.Dataset, history: xr.Dataset, scales: Scales) -> Picture:
    """Flux, or pressure at constant flux, and concentration against time and throughput; a row for each ``l_max``.

    Parameters
    ----------
    table, history : xarray.Dataset
        Metrics and histories for one deposition coefficient.
    scales : Scales
    """
    time = history.time * scales.time
    step = float(history.time[1] - history.time[0])
    flux = history.flux
    # Cumulative trapezoid over time, as the metrics at the end of life.
    volume = (flux + flux.shift(time=1)).fillna(0.0).cumsum("time") * (step / 2 / float(table.deposition))
    # The one of flux and pressure that the operation does not hold constant.
    response, response_label = flux * scales.flux, scales.flux_label
    if table.attrs.get("operation.mode") == "flux":
        response, response_label = history.transmembrane_pressure, "transmembrane pressure, P₀"
    curves = [
        (time, scales.time_label, response, response_label),
        (volume * scales.volume, scales.volume_label, response, response_label),
        (time, scales.time_label, history.foulant_concentration_out, "filtrate concentration"),
    ]
    rows = table.sizes["l_max"]
    figure = Figure(figsize=(2.9 * len(curves) + 1.2, 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, len(curves), squeeze=False)
    for i, row in enumerate(axes):
        for axis, (x, x_label, y, y_label) in zip(row, curves, strict=True):
            plot_histories(axis, x.isel(l_max=i) if "l_max" in x.dims else x, y.isel(l_max=i))
            axis.set(xlabel=x_label, ylabel=y_label)
            if axis.lines:
                axis.set_ylim(0, 1.05 * max(line.get_ydata().max() for line in axis.lines))
        if rows > 1:
            row[0].set_title(f"$l_{{max}}$ = {float(table.l_max[i]):g}", loc="right")
    for column in axes.T:
        equal_limits(column)
    gradient_legend(figure, axes[0, 0])
    quantity = response_label.partition(" [")[0].removesuffix(" q").removesuffix(", P₀").capitalize()
    caption = (
        f"{quantity} against time and against throughput, and concentration of the filtrate against time. "
        f"Mean of {network_count(table)} per design point, until the first of them reaches its end of life."
    )
    return picture(figure, caption, f"{quantity.lower()} and filtrate concentration against time and throughput")


def porosity_figure(table: xr.Dataset, history: xr.Dataset, scales: Scales, source: str = "") -> Picture:
    """Membrane porosity against time, and the porosity usage against the gradient or against the band."""
    rows = table.sizes["l_max"]
    figure = Figure(figsize=(2.9 * (rows + 1) + 1.2, 3.1), layout="constrained")
    axes = figure.subplots(1, rows + 1)
    total = history.band_porosity.mean("band")
    for i, axis in enumerate(axes[:-1]):
        plot_histories(axis, history.time * scales.time, total.isel(l_max=i))
        l_max = float(table.l_max[i])
        axis.set(xlabel=scales.time_label, ylabel="porosity Φ")
        if math.isfinite(l_max):
            axis.set_title(f"$l_{{max}}$ = {l_max:g}")
        axis.sharey(axes[0])
    usage = axes[-1]
    if table.sizes["gradient"] > 1:
        plot_means(usage, table, "porosity_usage")
        usage.set(xlabel="pore-radius gradient s", ylabel=label("porosity_usage"))
        against = "the gradient"
    else:
        for i, one in enumerate(slices(table.isel(gradient=0), "l_max")):
            mean = mean_of(one.band_porosity_usage)
            usage.errorbar(
                table.band.values, mean.value, mean.half, color=COLOURS[i % len(COLOURS)], marker="o", ms=3.5, lw=1.2,
                capsize=2, label=f"{float(one.l_max):g}",
            )  # fmt: skip
        usage.set(xlabel="band", ylabel="porosity usage of the band", xticks=table.band.values)
        against = "the band"
    if rows > 1:
        usage.legend(title="$l_{max}$")
    gradient_legend(figure, axes[0])
    caption = (
        f"{source}Membrane porosity against time until {end_of_life(table.attrs)}, and porosity usage against "
        f"{against}.{error_bars(table, deviation=table.sizes['gradient'] > 1)}"
    )
    return picture(figure, caption, f"membrane porosity against time, and porosity usage against {against}")


def band_figure(table: xr.Dataset, history: xr.Dataset, scales: Scales, source: str = "") -> Picture:
    """Porosity of every band against time for one ``l_max`` and, with several gradients, the usage against them."""
    bands = table.band.values
    columns = min(4, len(bands))
    blocks = math.ceil(len(bands) / columns)
    against_gradient = table.sizes["gradient"] > 1
    heights = (1.5, 1) if against_gradient else (1.5,)
    figure = Figure(figsize=(2.7 * columns + 1.2, 1.84 * sum(heights) * blocks), layout="constrained")
    axes = figure.subplots(len(heights) * blocks, columns, squeeze=False, height_ratios=heights * blocks)
    for axis in axes.ravel():
        axis.set_visible(False)
    for position, band in enumerate(bands):
        block, column = divmod(position, columns)
        top = axes[len(heights) * block, column]
        top.set_visible(True)
        top.sharey(axes[0, 0])
        plot_histories(top, history.time * scales.time, history.band_porosity.sel(band=band))
        top.set(xlabel=scales.time_label, ylabel="porosity", title=f"band {band}")
        if against_gradient:
            bottom = axes[2 * block + 1, column]
            bottom.set_visible(True)
            bottom.sharey(axes[1, 0])
            usage = mean_of(table.band_porosity_usage.sel(band=band))
            bottom.errorbar(
                table.gradient.values, usage.value, usage.half, color="#444", marker="o", ms=3, lw=1, capsize=2
            )
            bottom.set(xlabel="gradient s", ylabel="usage ΔΦ")
    gradient_legend(figure, axes[0, 0])
    l_max = float(table.l_max)
    point = f" for l_max = {l_max:g}" if math.isfinite(l_max) else ""
    usage_text = (
        f", and porosity usage of each band until {end_of_life(table.attrs)}.{error_bars(table, deviation=False)}"
    )
    caption = f"{source}Band porosities against time{point}{usage_text if against_gradient else '.'}"
    return picture(figure, caption, f"porosity of each band against time{point}")


def blocked_figure(table: xr.Dataset, history: xr.Dataset, scales: Scales) -> Picture | None:
    """Pores of every band that particles have blocked, against time; None if there are none."""
    if "band_blocked_pores" not in history or not float(history.band_blocked_pores.max()) > 0:
        return None
    rows, columns = table.sizes["l_max"], table.sizes["gradient"]
    figure = Figure(figsize=(2.6 * columns + 1.2, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for i, j in np.ndindex(axes.shape):
        axis: Any = axes[i, j]
        blocked = history.band_blocked_pores.isel(l_max=i, gradient=j)
        for k, band in enumerate(table.band.values):
            counts = blocked.sel(band=band).transpose("time", "realization").values
            counts = counts[:, np.isfinite(counts[0])]
            complete = np.isfinite(counts).all(axis=1)
            if counts.size:
                time, colour = history.time.values[complete] * scales.time, COLOURS[k % len(COLOURS)]
                mean = mean_of(xr.DataArray(counts[complete], dims=("time", "realization")))
                axis.plot(time, mean.value, color=colour, lw=1.2, label=f"{band}")
                axis.fill_between(time, mean.value - mean.half, mean.value + mean.half, color=colour, alpha=0.2, lw=0)
        axis.set(xlabel=scales.time_label)
        if columns > 1:
            axis.set_title(f"s = {float(table.gradient[j]):g}")
        if j == 0:
            axis.set_ylabel("blocked pores")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title="band", loc="outside right upper")
    several = int((table.status == 1).sum("realization").max()) > 1
    interval = " Shaded: 95 % confidence interval of the mean." if several else ""
    caption = (
        f"Pores blocked by particles in each band against time. Mean of {network_count(table)} per design point, until "
        f"the first of them reaches its end of life.{interval}"
    )
    return picture(figure, caption, "blocked pores of each band against time")
