"""Sections of the report of a porometry study: summaries, fits, pore structure, and the published tables."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from membrane_dask.engine.run import Run
from membrane_dask.number_text import compact, percent_text, quantity_column, quantity_text
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.report.page import STYLE, Grid, Section, from_columns, literal_label, picture
from membrane_dask.studies.porometry.bench_report import bench_sections, has_water
from membrane_dask.studies.porometry.common_report import (
    COLOURS,
    GREY,
    LEGEND,
    LMH,
    PANEL_PAD,
    TEXT,
    UNKNOWNS,
    ends_of,
    panels,
    with_interval,
)
from membrane_dask.studies.porometry.comparison_report import pairs_section, populations_section
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.curve_report import curve_section
from membrane_dask.studies.porometry.flux_report import evaluations, flux_figure
from membrane_dask.studies.porometry.measurements import read_measurements
from membrane_dask.studies.porometry.palencia_report import reproduction_section
from membrane_dask.studies.porometry.prior_intervals import prior_note
from membrane_dask.studies.porometry.published_report import published_section
from membrane_dask.studies.porometry.reading_error_report import reading_error_section
from membrane_dask.studies.porometry.summary import LMH_BAR, membrane_summary

_FIT, _CURVE, _INTERVAL = COLOURS[0], COLOURS[1], COLOURS[4]
#: Largest number of membranes in a figure with one panel each.
_MAX_PANELS = 24
#: Membranes whose posterior and published distribution are drawn.
_EXAMPLES = 4
#: Selective-layer thicknesses for which the ridge is drawn, m.
_RIDGE_THICKNESSES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)


def sections(run: Run) -> list[Section]:
    """Sections of the report, as far as the run is finished."""
    tree = run.result
    groups = {name: node.to_dataset().load() for name, node in tree.children.items()}
    fits, posteriors = groups["porometry"], groups["posterior"]
    rows = [(label, " ".join(sentences)) for label, sentences in membrane_summary(tree).items()]
    page: list[Section] = [
        *bench_sections(groups)[:1],
        Section("Summary of each membrane", _conditions(fits), [Grid(("membrane", "summary"), rows)]),
    ]
    if has_water(groups):
        measured = fits.isel(membrane=np.isfinite(fits.hydraulic_permeability).values)
        contents = (
            flux_figure(measured, _measured_points(run, groups), evaluations(run)),
            _fit_table(fits, groups.get("bootstrap_summary")),
        )
        page.append(Section("Flux against pressure", "", contents))
        if fits.attrs["curve"] == "darcy" and np.isfinite(fits.log_slope).any():
            page.append(curve_section(fits, _measured_points(run, groups), is_palencia="reproduction" in groups))
    page += bench_sections(groups)[1:]
    if np.isfinite(fits.leave_one_out_error).any():
        page.append(laws_section(fits, _measured_points(run, groups)))
    if "reading_errors" in groups:
        points = _measured_points(run, groups)
        is_palencia = "reproduction" in groups
        page.append(reading_error_section(groups["reading_errors"], fits, points, is_palencia=is_palencia))
    if np.isfinite(posteriors.radius_median).any():
        page += [_pore_structure(posteriors), _ridge(fits, posteriors), _candidate_measurements(posteriors)]
    if np.isfinite(fits.surface_porosity).any():
        page.append(published_section(groups))
    if "pairs" in groups:
        page.append(pairs_section(groups))
    if "populations" in groups:
        page.append(populations_section(groups["populations"]))
    if "reproduction" in groups:
        page.append(reproduction_section(groups["reproduction"]))
    return page


def _measured_points(run: Run, groups: dict[str, xr.Dataset]) -> xr.Dataset:
    """Measured points of all membranes."""
    if "measurements" in groups:
        return groups["measurements"]
    # A run of version 0.1.0, which has copies of its tables only.
    study = run.study
    assert isinstance(study, PorometryStudy)
    return xr.Dataset({name: ("point", values) for name, values in read_measurements(study).columns().items()})


def _conditions(fits: xr.Dataset) -> str:
    text = f"The confidence of all intervals is {percent_text(fits.attrs['confidence'])}."
    if fits.attrs["convention"] == "published":
        text += (
            " Convention: published. Its radii, porosities and pore numbers contain scaling factors, powers of ten "
            "that are assigned, not measured. The summaries describe what was measured."
        )
    return text


# ---------------------------------------------------------------------------------------------
# Fits


def _fit_table(fits: xr.Dataset, bootstrap: xr.Dataset | None) -> Grid:
    header = ["membrane", "L, L m⁻² h⁻¹ bar⁻¹", "resistance, m⁻¹", "r²", "P₀, kPa", "P₀ resolved", "lack-of-fit p"]
    if bootstrap is not None:
        header += ["bootstrap fits with P₀ ≤ 0"]
    critical = bool(np.isfinite(fits.critical_pressure).any())
    if critical:
        header += ["critical pressure, kPa", "critical flux, L m⁻² h⁻¹"]
    rows = []
    for k, label in enumerate(fits.membrane.values):
        fit = fits.isel(membrane=k)
        row = [
            str(label),
            with_interval(fit, "hydraulic_permeability", LMH_BAR),
            compact(float(fit.hydraulic_resistance)),
            f"{float(fit.r_squared):.4f}",
            with_interval(fit, "threshold_pressure", 1e-3),
            "yes" if float(fit.threshold_resolved) == 1 else "no",
            compact(float(fit.lack_of_fit), 2),
        ]
        if bootstrap is not None:
            fraction = float(bootstrap.no_threshold.isel(membrane=k))
            row.append(f"{fraction:.0%}" if math.isfinite(fraction) else "-")
        if critical:
            row.append(compact(float(fit.critical_pressure) / 1e3, 4))
            row.append(compact(float(fit.critical_flux) * LMH, 4))
        rows.append(row)
    caption = (
        "Hydraulic permeability L and threshold pressure P₀, with their intervals. L belongs to the mean temperature "
        "of the readings, and is the slope of the fitted line, the slope of the tangent from P₀ where the flux is "
        "logarithmic, or the limit at zero pressure where no line fits. The water permeance, at the reference "
        "temperature, is that limit, or the slope above a threshold pressure."
    )
    return Grid(header, rows, caption)


def laws_section(fits: xr.Dataset, points: xr.Dataset) -> Section:
    """Errors of the laws of the flux; ``fits`` and ``points`` are the tables ``porometry`` and ``measurements``."""
    is_ranked = np.isfinite(fits.leave_one_out_error)
    ranked = fits.isel(membrane=is_ranked.any("law").values, law=fits.law.isin(list(LAWS)).values)
    rows = []
    for k, label in enumerate(ranked.membrane.values):
        errors = ranked.leave_one_out_error.isel(membrane=k)
        pressures = len(np.unique(points.pressure.values[points.membrane_name.values == label]))
        largest = float(errors.min()) * (1 + 1 / math.sqrt(2 * max(pressures, 1)))
        cells = [
            f"{error:.1%}{' ←' if error <= largest else ''}" if math.isfinite(error) else "-" for error in errors.values
        ]
        rows.append([str(label), *cells])
    text = (
        "Root mean square error of leave-one-out cross-validation over the mean flux: one pressure at a time is "
        "predicted from the others. Arrows mark the best law and those whose error does not differ from its error by "
        "more than 1/√(2n) of it, the standard deviation of an error from n pressures; a dash, a law with too many "
        "parameters for the number of pressures."
    )
    return Section("Laws of the flux", text, [Grid(("membrane", *map(str, ranked.law.values)), rows)])


# ---------------------------------------------------------------------------------------------
# Pore structure


def _pore_structure(posteriors: xr.Dataset) -> Section:
    solved = posteriors.isel(membrane=np.isfinite(posteriors.radius_median).values)
    count = solved.sizes["membrane"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 1.0 + 0.19 * count), layout=ConstrainedLayoutEngine(w_pad=PANEL_PAD))
        axes = figure.subplots(1, 4, sharey=True)
        heights = np.arange(count)[::-1]
        for axis, (name, scale, label) in zip(axes, UNKNOWNS, strict=True):
            median, low, high = (solved[f"{name}_{end}"].values * scale for end in ("median", "low", "high"))
            axis.hlines(heights, low, high, color=_FIT, lw=1.6)
            axis.plot(median, heights, "o", color=_FIT, ms=3, label="median")
            axis.set(xscale="log", xlabel=label)
            if high.max() / low.min() < 12:
                axis.set_xscale("linear")
                axis.set_xlim(0, 1.1 * high.max())
        axes[0].set_ylim(-0.6, count - 0.4)
        axes[0].set_yticks(heights, [literal_label(label) for label in solved.membrane.values])
    each = [solved.isel(membrane=k) for k in range(count)]
    columns: list[tuple[str, list[str]]] = [
        ("membrane", [str(label) for label in solved.membrane.values]),
        ("priors", [f"{int(one.independent_data)}" for one in each]),
    ]
    for name, scale, label in UNKNOWNS:
        numbers = [ends_of(one, name, scale, "_median") for one in each]
        title, cells = quantity_column(label.removesuffix(" [nm]"), "nm" if label.endswith("[nm]") else "1", numbers)
        notes = [prior_note(one, name) for one in each]
        columns.append((title, [f"{cell}, {note}" if note else cell for cell, note in zip(cells, notes, strict=True)]))
    text = (
        "Posterior of pore radius, surface porosity, number of pores in the whole membrane area and selective-layer "
        "thickness, given the permeability, the priors, and a porosity below 1. The four unknowns have two relations: "
        "two priors determine them."
    )
    if bool((solved.independent_data < 2).any()):
        text += " With fewer than two priors the intervals below are not results but what the prior ranges allow."
    text += (
        ' "As its prior" stands where the data leave the interval of a prior as it is, "not measured" where neither '
        "data nor a prior determine the quantity."
    )
    caption = "Medians and intervals of the four unknowns."
    return Section("Pore structure", text, [picture(figure, caption, caption), from_columns(columns)])


def _ridge(fits: xr.Dataset, posteriors: xr.Dataset) -> Section:
    indices = np.flatnonzero(np.isfinite(posteriors.radius_median).values)[:_EXAMPLES]
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(indices), 2.5, sharex=True, sharey=True)
        examples = posteriors.isel(membrane=indices)
        low = min(1e-9, float(examples.radius.min()) / 2)
        radius = np.geomspace(low, max(1e-6, float(examples.radius.max()) * 2), 200)
        floor = min(1e-4, float(examples.porosity.min()) / 3)
        for axis, k in zip(axes.ravel(), indices, strict=False):
            _ridge_lines(axis, float(fits.structure_number.isel(membrane=k)), radius, floor)
            posterior = posteriors.isel(membrane=k)
            axis.plot(
                posterior.radius.values * 1e9,
                posterior.porosity.values,
                ".",
                color=_FIT,
                ms=2,
                alpha=0.35,
                label="draw",
            )
            axis.set(xscale="log", yscale="log", title=literal_label(posterior.membrane.item()))
            axis.set(xlim=(radius[0] * 1e9, radius[-1] * 1e9), ylim=(floor, 1.0))
        for axis in axes[:, 0]:
            axis.set_ylabel("surface porosity")
        for axis in axes[-1]:
            axis.set_xlabel("radius [nm]")
    caption = (
        "Every point of a grey line, for one selective-layer thickness, has the measured permeability: flux alone "
        "determines a ridge. Blue points are draws of the posterior. Above the frame the porosity exceeds 1."
    )
    if len(indices) < int(np.isfinite(posteriors.radius_median).sum()):
        caption += f" The first {len(indices)} membranes."
    alt = "radius and porosity that give the permeability"
    return Section("Radius and porosity of equal permeability", "", [picture(figure, caption, alt)])


def _ridge_lines(axis: Axes, structure_number: float, radius: np.ndarray, floor: float) -> None:
    """Porosity against radius for several thicknesses, labelled at their upper ends."""
    for thickness in _RIDGE_THICKNESSES:
        porosity = structure_number * thickness / radius**2
        visible = (porosity < 1) & (porosity > floor)
        text = quantity_text(1e9 * thickness, "nm")
        axis.plot(radius[visible] * 1e9, porosity[visible], color=GREY, lw=0.9, label=f"thickness {text}")
        if visible.any():
            first = int(np.flatnonzero(visible)[0])
            axis.annotate(
                f" {text}", (radius[first] * 1e9, porosity[first]), color=TEXT, fontsize=LEGEND,
                rotation=-55, va="top", zorder=5,
            )  # fmt: skip


def _candidate_measurements(posteriors: xr.Dataset) -> Section:
    solved = posteriors.isel(membrane=np.isfinite(posteriors.radius_median).values)
    factors = np.exp(np.log(solved.interval_factor).median("membrane"))
    rows = []
    for k, name in enumerate(solved.measurement.values):
        label = str(name).replace("_", " ") if k else "none"
        rows.append([label, *(compact(float(factor), 2) for factor in factors.isel(measurement=k).values)])
    text = (
        "Upper over lower end of each interval after one further measurement, averaged over its possible outcomes; "
        "median of the membranes. The errors of the measurements are set under candidate_measurements in the study."
    )
    header = ("further measurement", *(str(name).replace("_", " ") for name in solved.quantity.values))
    return Section("Candidate measurements", text, [Grid(header, rows)])
