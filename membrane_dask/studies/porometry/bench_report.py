"""Sections of the report on the methods of the bench: a table of membranes, their curves and radii, findings."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from membrane_dask.number_text import percent_text, quantity_column
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii
from membrane_dask.report.page import STYLE, Grid, Picture, Section, from_columns, literal_label, picture
from membrane_dask.studies.porometry.common_report import LEGEND, ends_of, with_interval

_COLOURS = ("#1f5fa8", "#d1702a", "#2a8a57", "#8a3f9b", "#a33a3a", "#4d4d4d")
#: Panels of a figure, and in a row.
_MAX_PANELS, _COLUMNS = 12, 3
#: Variables of the table of membranes: name, header, and whether it is a radius, whose diameter is shown too.
_QUANTITIES = (
    ("water_permeance", "water permeance, L m⁻² h⁻¹ bar⁻¹", False),
    ("final_permeance", "final permeance, L m⁻² h⁻¹ bar⁻¹", False),
    ("flux_plateau", "flux plateau, L m⁻² h⁻¹", False),
    ("time_constant", "time constant, min", False),
    ("bubble_point_pressure", "bubble point, bar", False),
    ("bubble_point_radius", "bubble point", True),
    ("mean_flow_pore_radius", "mean flow pore", True),
    ("smallest_flow_pore_radius", "smallest flow pore", True),
    ("largest_pore_radius", "largest pore", True),
    ("gas_radius", "gas radius", True),
    ("rejection_radius_90", "solute of 90 % rejection", True),
    ("molecular_weight_cut_off", "cut-off, kDa", False),
    ("mercury_median_radius", "mercury median", True),
    ("intruded_volume", "intruded volume, mL g⁻¹", False),
    ("mercury_porosity", "porosity by mercury", False),
    ("shape_factor", "shape factor", False),
)
#: Log-normal distribution, by method: variable, header and unit.
_DISTRIBUTION = (
    ("number_median_radius", "number median radius", "nm"),
    ("hydraulic_radius", "hydraulic radius", "nm"),
    ("flow_median_radius", "flow median radius", "nm"),
    ("log_sd", "log-standard deviation", "1"),
    ("porosity_over_path_length", "porosity / path length", "m⁻¹"),
    ("pore_number_density", "pores per area", "m⁻²"),
)
#: Which of the two permeances of a report to publish.
PERMEANCE_TO_PUBLISH = (
    "The water permeance, with its interval and its temperature, is the value to publish; the hydraulic permeability L "
    "is the slope of a line through all readings at their own mean temperature, from which threshold pressure and pore "
    "structure follow. The interval of the water permeance includes the doubt about the law of the flux; that of L is "
    "the one of this line alone."
)
_AXES = {
    "pressure": "pressure [bar]", "radius": "pore radius [nm]", "solute_radius": "Stokes radius [nm]",
    "time": "time [min]",
}  # fmt: skip


def bench_sections(groups: dict[str, xr.Dataset]) -> list[Section]:
    """Sections on the methods of the bench; empty for a run of an earlier version.

    Parameters
    ----------
    groups : dict of str to xarray.Dataset
        Tables of the run.
    """
    fits = groups["porometry"]
    if "water_permeance" not in fits:
        return []
    sections = [Section("Membranes", _text(fits), [_membranes(fits)])]
    radii = _radii(fits, groups.get("posterior"))
    if radii is not None:
        sections.append(radii)
    if "porometry_curves" in groups:
        sections += _curves(groups["porometry_curves"])
    fouling = _fouling(fits)
    if fouling is not None:
        sections.append(fouling)
    if "findings" in groups:
        sections.append(_findings(groups["findings"]))
    return sections


def _text(fits: xr.Dataset) -> str:
    celsius = float(fits.attrs.get("reference_temperature", 298.15)) - 273.15
    text = f"Intervals of {percent_text(fits.attrs['confidence'])} in brackets."
    if np.isfinite(fits.water_permeance).any():
        text += (
            f" Permeances of water are converted to {celsius:.3g} °C by the viscosity of water alone; the expansion of "
            "the membrane is not corrected. They are the limit at zero pressure, averaged over the laws of the flux. "
            f"{PERMEANCE_TO_PUBLISH}"
        )
    return text


def _membranes(fits: xr.Dataset) -> Grid:
    columns = [("membrane", [str(label) for label in fits.membrane.values])]
    for name, title, is_radius in _QUANTITIES:
        if name not in fits:
            continue
        numbers = [ends_of(fits.isel(membrane=k), name) for k in range(fits.sizes["membrane"])]
        if not np.isfinite(numbers).any():
            continue
        kinds = (("radius", 1.0), ("diameter", 2.0)) if is_radius else (("", 1.0),)
        for kind, factor in kinds:
            heading = f"{title}: {kind}" if kind else title
            columns.append(quantity_column(heading, "nm" if kind else "1", np.multiply(factor, numbers).tolist()))
    return from_columns(columns)


def _radii(fits: xr.Dataset, posteriors: xr.Dataset | None) -> Section | None:
    labels, numbers = [], []
    for k, label in enumerate(fits.membrane.values):
        for j, method in enumerate(fits.method.values):
            row = [ends_of(fits.isel(membrane=k, method=j), name) for name, _, _ in _DISTRIBUTION]
            if np.isfinite(row).any():
                labels.append((str(label), str(method)))
                numbers.append(row)
    if not labels:
        return None
    columns = [
        *zip(("membrane", "method"), zip(*labels, strict=True), strict=True),
        *(
            quantity_column(title, unit, values)
            for (_, title, unit), values in zip(_DISTRIBUTION, zip(*numbers, strict=True), strict=True)
        ),
    ]
    text = (
        "Radii of a log-normal distribution: each method measures one of them, and the others follow from the fitted "
        "width. The hydraulic radius belongs to the permeance; the number median is what micrographs show."
    )
    distributions = _distributions(fits, posteriors)
    content: list[Grid | Picture] = [from_columns(columns)]
    if distributions:
        content.append(_distribution_figure(distributions))
    return Section("Pore radii by method", text, content)


def _distributions(fits: xr.Dataset, posteriors: xr.Dataset | None) -> dict[str, dict[str, LogNormalRadii]]:
    """Log-normal distributions that methods determine, in nm, by membrane and method."""
    distributions: dict[str, dict[str, LogNormalRadii]] = {}
    for k, label in enumerate(fits.membrane.values):
        medians = {
            str(method): (float(fits.number_median_radius[k, j]), float(fits.log_sd[k, j]))
            for j, method in enumerate(fits.method.values)
        }
        if posteriors is not None and "log_sd_median" in posteriors:
            posterior = posteriors.sel(membrane=label)
            joint = float(posterior.number_median_radius_median) * 1e9, float(posterior.log_sd_median)
            medians["joint posterior"] = joint
        radii = {method: LogNormalRadii(*values) for method, values in medians.items() if np.isfinite(values).all()}
        if radii:
            distributions[str(label)] = radii
    return distributions


def _distribution_figure(distributions: dict[str, dict[str, LogNormalRadii]]) -> Picture:
    """Distributions of each membrane by all methods, by flow and by number."""
    labels = list(distributions)[:_MAX_PANELS]
    methods = list(dict.fromkeys(method for radii in distributions.values() for method in radii))
    colours = dict(zip([m for m in methods if m != "joint posterior"], _COLOURS, strict=False))
    with mpl.rc_context(STYLE):
        figure, axes = _panels(len(labels))
        for label, axis in zip(labels, axes.ravel(), strict=False):
            for method, radii in distributions[label].items():
                colour = colours.get(method, "black")
                for median, style in ((radii.flow_median, "-"), (radii.median, "--")):
                    deviations = np.linspace(-4, 4, 161)
                    radius = median * np.exp(radii.log_standard_deviation * deviations)
                    density = np.exp(-np.square(deviations) / 2) / math.sqrt(2 * math.pi) / radii.log_standard_deviation
                    axis.plot(radius, density, style, color=colour, lw=1.2 if style == "-" else 0.8,
                              label=method if style == "-" else None)  # fmt: skip
            axis.set(title=literal_label(label), xlabel=_AXES["radius"], ylabel="fraction per ln radius", xscale="log",
                     ylim=(0, None))  # fmt: skip
            _label_decades(axis)
            axis.legend(fontsize=LEGEND, loc="upper left")
    caption = (
        "Log-normal distributions of the pore radius by each method, weighted by the flow (solid) and by the number "
        "(dashed) of the pores."
    )
    if len(labels) < len(distributions):
        caption += f" The first {len(labels)} of {len(distributions)} membranes are shown."
    return picture(figure, caption, "distributions of the pore radius by method")


def _curves(curves: xr.Dataset) -> list[Section]:
    sections = []
    flows = [name for name in ("wet flow", "dry flow") if (curves.curve_name == name).any()]
    if flows:
        sections.append(Section("Capillary flow porometry", "", [_flow_figure(curves)]))
    drawn = ("wet flow", "dry flow", "flow per logarithm of the radius")
    names = dict.fromkeys(str(name) for name in curves.curve_name.values)
    pictures = [_curve_figure(curves, name) for name in names if name not in drawn]
    if pictures:
        sections.append(Section("Curves of the methods", "", pictures))
    return sections


def _panels(count: int) -> tuple[Figure, np.ndarray]:
    rows = math.ceil(count / _COLUMNS)
    figure = Figure(figsize=(3.2 * min(count, _COLUMNS), 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, min(count, _COLUMNS), squeeze=False)
    for axis in axes.ravel()[count:]:
        axis.set_visible(False)
    return figure, axes


def _flow_figure(curves: xr.Dataset) -> Picture:
    """Wet, dry and half of the dry flow of each membrane."""
    selected = curves.isel(point=curves.curve_name.values == "wet flow")
    labels = list(dict.fromkeys(str(n) for n in selected.membrane_name.values))[:_MAX_PANELS]
    with mpl.rc_context(STYLE):
        figure, axes = _panels(len(labels))
        for label, axis in zip(labels, axes.ravel(), strict=False):
            for name, colour in (("wet flow", _COLOURS[0]), ("dry flow", _COLOURS[1])):
                own = curves.isel(point=(curves.curve_name.values == name) & (curves.membrane_name.values == label))
                if np.isfinite(own.value).any():
                    axis.plot(own.pressure, own.value, "o-", color=colour, ms=2.5, lw=1, label=name)
                if name == "dry flow":
                    axis.plot(own.pressure, own.value / 2, "--", color=_COLOURS[5], lw=1, label="half of the dry flow")
            axis.set(title=literal_label(label), xlabel="pressure [bar]", ylabel="flow [L min⁻¹]", ylim=(0, None))
        axes.ravel()[0].legend(fontsize=LEGEND)
    caption = (
        "Flow of gas through the wet and the dry membrane. The mean flow pore is where the wet flow crosses the dashed "
        "line."
    )
    return picture(figure, caption, "wet, dry and half dry flow against pressure")


def _curve_figure(curves: xr.Dataset, name: str) -> Picture:
    """One kind of curve of each membrane, all methods that give it in one panel."""
    chosen = curves.isel(point=curves.curve_name.values == name)
    labels = list(dict.fromkeys(str(n) for n in chosen.membrane_name.values))[:_MAX_PANELS]
    axis_name = next(a for a in _AXES if np.isfinite(chosen[a]).any())
    unit = str(chosen.value_unit.values[0])
    with mpl.rc_context(STYLE):
        figure, axes = _panels(len(labels))
        for label, axis in zip(labels, axes.ravel(), strict=False):
            own = chosen.isel(point=chosen.membrane_name.values == label)
            _plot(axis, own, axis_name)
            shown_unit = f" [{unit}]" if unit != "1" else ""
            axis.set(title=literal_label(label), xlabel=_AXES[axis_name], ylabel=f"{name}{shown_unit}")
    return picture(
        figure, f"{name[0].upper()}{name[1:]}: readings (points) and fit (line).", f"{name} of each membrane"
    )


def _label_decades(axis: Axes) -> None:
    """Numbers at 1, 2 and 5 of each decade of the horizontal axis; labels of all minor ticks would overlap."""
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _plot(axis: Axes, curve: xr.Dataset, axis_name: str) -> None:
    methods = list(dict.fromkeys(str(m) for m in curve.method_name.values))
    for method, colour in zip(methods, _COLOURS, strict=False):
        own = curve.isel(point=curve.method_name.values == method)
        own = own.isel(point=np.argsort(own[axis_name].values, kind="stable"))
        axis.plot(own[axis_name], own.value, "o", color=colour, ms=3, label=method)
        if np.isfinite(own.fitted).any():
            axis.plot(own[axis_name], own.fitted, "-", color=colour, lw=1)
    if axis_name in ("radius", "solute_radius"):
        axis.set_xscale("log")
        _label_decades(axis)
    if len(methods) > 1:
        axis.legend(fontsize=LEGEND)


def _fouling(fits: xr.Dataset) -> Section | None:
    if not np.isfinite(fits.aicc_difference).any():
        return None
    constants = {"complete": "s⁻¹", "standard": "m⁻¹", "intermediate": "m⁻¹", "cake": "s m⁻²"}
    rows = []
    for k, label in enumerate(fits.membrane.values):
        fit = fits.isel(membrane=k)
        order = np.argsort(fit.aicc_difference.values, kind="stable")
        for j in order:
            law = fit.isel(law=int(j))
            difference = float(law.aicc_difference)
            if math.isfinite(difference):
                cells = [with_interval(law, f"{name}_constant") for name in constants]
                rows.append([str(label), str(law.law.item()), f"{difference:.1f}",
                             with_interval(law, "initial_permeate_flux"), *cells])  # fmt: skip
    header = ["membrane", "law", "AICc above the best", "initial flux, L m⁻² h⁻¹"]
    header += [f"{name}, {unit}" for name, unit in constants.items()]
    text = "Laws whose AICc differs by less than 2 from the best cannot be distinguished by these data."
    return Section("Laws of fouling", text, [Grid(header, rows)])


def _findings(findings: xr.Dataset) -> Section:
    rows = [
        [str(label) or "tables", str(method), str(text)]
        for label, method, text in zip(
            findings.membrane_name.values, findings.method_name.values, findings.finding.values, strict=True
        )
    ]
    return Section("Findings", "What was left out and why, and what the data do not show.",
                   [Grid(("membrane", "method", "finding"), rows)])  # fmt: skip


def has_water(groups: dict[str, Any]) -> bool:
    """Whether any membrane has a flux of water."""
    return bool(np.isfinite(groups["porometry"].hydraulic_permeability).any())
