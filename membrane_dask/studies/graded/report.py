"""Report of a graded study: designs, operation, best gradients, and the published study where the run is that one."""

from __future__ import annotations

import math
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import xarray as xr

from membrane_dask.engine.run import Run
from membrane_dask.errors import ReportError, StudyError
from membrane_dask.number_text import compact
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.report.equal_axes import equal_axes
from membrane_dask.report.page import STYLE, Note, Section
from membrane_dask.studies.graded.calibration_report import calibration_sections
from membrane_dask.studies.graded.closing_time import ends_with_first_band
from membrane_dask.studies.graded.common_report import end_of_life, physical_name
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_report import design_section
from membrane_dask.studies.graded.diagnostics_report import diagnostics_sections, front_cylinder_notes, run_notes
from membrane_dask.studies.graded.history_report import (
    Scales,
    band_figure,
    blocked_figure,
    operation_figure,
    porosity_figure,
    scales_of,
)
from membrane_dask.studies.graded.performance_report import (
    coefficients_section,
    difference_section,
    metrics_figure,
    optima_section,
    search_section,
    thresholds_section,
)
from membrane_dask.studies.graded.published_report import claims_section, figure_source, is_published_study
from membrane_dask.studies.graded.search_report import best_evaluation, front_evaluations, search_sections
from membrane_dask.studies.graded.species_report import species_sections


def sections(run: Run) -> list[Section]:
    """Return the sections of the report.

    Raises
    ------
    ReportError
        If no network is finished.
    """
    if "decline_curves" in run.result:
        return calibration_sections(run)
    tree = run.result.children["graded"]
    if int((tree["status"] == 1).sum()) == 0:
        raise ReportError(f"run {run.name} has no finished network yet; membrane-dask status {run.path}")
    with mpl.rc_context(STYLE):
        return _search_report(run, tree) if "evaluation" in tree.dims else _grid_report(run, tree)


def _grid_report(run: Run, tree: xr.DataTree) -> list[Section]:
    """Return the sections of a study of several gradients."""
    table, history = (node.to_dataset().sortby("gradient").sortby("l_max") for node in (tree, tree["history"]))
    try:
        study = run.study
    except StudyError:  # of a version whose settings this one does not read
        study = None
    published = study is not None and is_published_study(study)
    radii = _radii(study, table)
    closes_first = bool(radii) and isinstance(study, GradedStudy) and ends_with_first_band(study)
    result = [*_notes(table), design_section(table, radii, ends_with_first_band=closes_first)]
    if table.attrs["design"] == "optimum":
        searches = {name: node for name, node in run.result.children.items() if name.startswith("optimum_")}
        confidence = float(table.attrs["optimum.confidence"])
        result += [search_section(node.to_dataset(), name, confidence) for name, node in searches.items()]
    several = table.sizes["deposition"] > 1
    for i in range(table.sizes["deposition"]):
        one = table.isel(deposition=i)
        title_suffix = f", λ = {compact(float(one.deposition))}" if several else ""
        scales = scales_of(run.result, i)
        result += _coefficient_sections(one, history.isel(deposition=i), scales, title_suffix, published)
    if table.sizes["gradient"] >= 3:
        if several:
            result.append(coefficients_section(table))
        if float(table.lifetime_threshold.max()) > 0:
            result.append(thresholds_section(tree))
    result += diagnostics_sections(table)
    if published:
        result.append(claims_section(table.isel(deposition=0)))
    return result


def _search_report(run: Run, tree: xr.DataTree) -> list[Section]:
    """Return the sections of a search over design parameters: its designs, and the life of the best one."""
    result = search_sections(run)
    number = best_evaluation(run)
    if number is None:
        notes = front_cylinder_notes(tree.to_dataset(), front_evaluations(run))
        return [*([Section("Notes", "", [Note(note) for note in notes])] if notes else []), *result]
    # One design of a grid, without a gradient or a pore length that would distinguish it from another one.
    labels = {"l_max": [math.nan], "gradient": [math.nan]}
    table, history = (node.to_dataset().sel(evaluation=number).expand_dims(labels) for node in (tree, tree["history"]))
    life = _coefficient_sections(
        table.isel(deposition=0), history.isel(deposition=0), scales_of(run.result, 0), "", published=False
    )
    is_one_of_several = any("equal_evaluations" in node.attrs for node in run.result.children.values())
    design = f"design {number}" if is_one_of_several else "best design"
    titled = [replace(s, title=f"{s.title}, {design}") for s in (*life, *diagnostics_sections(table))]
    return [*_notes(table), *result, *titled]


def _notes(table: xr.Dataset) -> list[Section]:
    """Return the section of notes on the designs, if there are any."""
    notes = run_notes(table)
    return [Section("Notes", "", [Note(note) for note in notes])] if notes else []


def _radii(study: object, table: xr.Dataset) -> dict[float, list[float]]:
    """Return the radius of every band, by gradient; empty where no network was generated."""
    if not isinstance(study, GradedStudy) or not np.isfinite(table.gradient).all():
        return {}
    return {float(s): band_radii(study.radius, float(s), study.bands).tolist() for s in table.gradient.values}


def _coefficient_sections(
    table: xr.Dataset, history: xr.Dataset, scales: Scales, title_suffix: str, published: bool
) -> list[Section]:
    """Return the sections for one deposition coefficient."""
    result = [Section(f"Operation{title_suffix}", "", [operation_figure(table, history, scales)])]
    against_gradient = table.sizes["gradient"] > 1
    end = end_of_life(table.attrs)
    if table.sizes["gradient"] >= 3:
        result.append(optima_section(table, title_suffix))
    if table.sizes["gradient"] == 2:
        result.append(difference_section(table, title_suffix))
    if against_gradient:
        names = tuple(physical_name(name, table) for name in ("throughput", "initial_flux", "foulant_concentration"))
        figure = metrics_figure(table, names, f"{figure_source(published, 3)}Performance until {end}.")
        result.append(Section(f"Performance until {end}{title_suffix}", "", [figure]))
    of_bands = [
        band_figure(table.isel(l_max=i), history.isel(l_max=i), scales, figure_source(published, 5 + i))
        for i in range(table.sizes["l_max"])
    ]
    equal_axes(*(one.figure for one in of_bands))
    figures = [porosity_figure(table, history, scales, figure_source(published, 4)), *of_bands]
    if blocked := blocked_figure(table, history, scales):
        figures.append(blocked)
    result.append(Section(f"Band porosity evolution{title_suffix}", "", figures))
    result += species_sections(table, title_suffix)
    if against_gradient and float(table.lifetime_threshold.max()) > 0:
        names = ("throughput_threshold", "foulant_concentration_threshold", "porosity_usage_threshold")
        threshold = compact(float(table.attrs["flux_threshold"]))
        caption = f"{figure_source(published, 8)}Performance until the flux falls to {threshold}."
        figures = [metrics_figure(table, names, caption)]
        result.append(Section(f"End of life at the flux threshold{title_suffix}", "", figures))
    return result
