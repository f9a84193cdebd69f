"""Report of a chain: its stages, intervals, distributions of all links, the round trip and the life as a filter."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.engine.records import read_findings, read_outcomes
from membrane_dask.engine.run import Run, RunNotFoundError
from membrane_dask.errors import UnreadableRunError
from membrane_dask.number_text import percent_text, readable_unit
from membrane_dask.report.page import STYLE, Download, Grid, Note, Section, picture
from membrane_dask.report.pictures import draw_solid, volume_solid
from membrane_dask.report.turning_volume import turning_volume
from membrane_dask.studies.chain.config import STAGES, ChainStudy
from membrane_dask.studies.chain.distributions_report import distribution_section
from membrane_dask.studies.chain.intervals import NO_BIAS
from membrane_dask.studies.chain.life_report import life_section
from membrane_dask.studies.chain.round_trip_report import cell, round_trip_section

#: Tables that the page offers as files.
_DOWNLOADS = (
    "round_trip", "reference_round_trip", "intervals", "measured", "bench", "bench_curves", "bench_rejection", "life",
)  # fmt: skip

#: Quantities that the table of intervals shows first; the others on request.
_MAIN = frozenset({
    "properties/connected_porosity", "bench/bubble_point_radius", "bench/mean_flow_pore_radius",
    "bench/mercury_median_radius", "bench/water_permeance", "bench/rejection_radius_90",
    "bench/throat_flow_median_radius", "life/initial_permeate_flux", "life/service_time", "life/filtrate_volume",
    "life/log_reduction_value",
})  # fmt: skip


def sections(run: Run) -> Sequence[Section]:
    """Sections of the report, from the tables that are complete.

    Parameters
    ----------
    run : Run
        The run.
    """
    study = run.study
    assert isinstance(study, ChainStudy)
    groups = {name: node.to_dataset().load() for name, node in run.result.children.items()}
    if "intervals" not in groups:
        return [Section("Round trip", "Not complete yet: it is joined when the units have finished.")]
    several = groups["round_trip"].sizes["replicate"] > 1
    content = [_stages(study), intervals_section(groups["intervals"], several=several)]
    content += structure_sections(_opened(study, "reconstruct"))
    content += [round_trip_section(groups), distribution_section(groups)]
    if "foul" in study.runs:
        content.append(life_section(groups, _opened(study, "foul")))
    content += [_not_computed(study, _has_unlike_walls(study, groups["intervals"])), _downloads(groups)]
    return content


def _opened(study: ChainStudy, stage: str) -> Run | None:
    """Run of a stage; None where there is none, or where it was moved or removed."""
    if stage not in study.runs:
        return None
    try:
        return Run(study.runs[stage])
    except (RunNotFoundError, UnreadableRunError):
        return None


def _stages(study: ChainStudy) -> Section:
    rows, notes = [], []
    for name, path in study.runs.items():
        run = _opened(study, name)
        summary = dict(run.rows()) if run is not None else {}
        rows.append([name, run.kind if run is not None else "", path.name, summary.get("cost", "")])
        outcomes = read_outcomes(path)
        notes += [Note(f"{name}: {text}", text in outcomes) for text in read_findings(path)]
    return Section("Stages", "", [Grid(["stage", "kind", "run", "cost"], rows), *notes])


def structure_sections(run: Run | None) -> list[Section]:
    """The solid of the first replicate of a reconstruction, which the reader can turn; empty without one.

    Parameters
    ----------
    run : Run or None
        Run of the stage reconstruct.
    """
    if run is None or "structure-0" not in run.volumes:
        return []
    solid, extent = volume_solid(run, "structure-0")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 4.4), layout="compressed")
        axis = figure.subplots()
        draw_solid(axis, solid, extent)
    caption = "Solid of the first replicate, with the feed side on top."
    volumes = {axis: turning_volume(solid, extent)}
    return [Section("Structure", "", [picture(figure, caption, caption, volumes)])]


def intervals_section(table: xr.Dataset, *, several: bool) -> Section:
    """Values of the best match and their intervals: the main ones, and the others on request.

    Parameters
    ----------
    table : xarray.Dataset
        Group ``intervals``.
    several : bool
        Whether there are several structures.
    """
    has_reference = bool(table.reference.notnull().any())
    has_intervals = bool(table.best_match_low.notnull().any())
    name = "best match" if several else "value"
    interval = f" [{percent_text(table.attrs['confidence'])} interval]" if has_intervals else ""
    header = ["quantity", "unit", f"{name}{interval}"]
    header += ["reference", f"{name} / reference"] if has_reference else []
    rows = []
    quantities = sorted(map(str, table["quantity"].values), key=lambda quantity: quantity not in _MAIN)
    for quantity in quantities:
        row = table.sel(quantity=quantity)
        ends = [float(row[name]) for name in ("best_match", "best_match_low", "best_match_high")]
        unit, factor = readable_unit(str(row.unit.item()), ends)
        cells = [_quantity_text(quantity), "" if unit == "1" else unit, cell(*(factor * end for end in ends))]
        if has_reference:
            is_outside = bool((row.reference < row.best_match_low) | (row.reference > row.best_match_high))
            cells += [cell(factor * row.reference) + " *" * is_outside, cell(row.bias)]
        rows.append(cells)
    grid = Grid(header, rows, shown=len(_MAIN.intersection(quantities)) or None)
    text = "Quantities without a unit are dimensionless."
    if not has_intervals:
        return Section("Intervals", f"No intervals: they need three replicates or more. {text}", [grid])
    text += " * The reference lies outside the interval." if has_reference else ""
    return Section("Intervals", text, [Note(f"{NO_BIAS[0].upper()}{NO_BIAS[1:]}."), grid])


def _quantity_text(quantity: str) -> str:
    """A table and its variable as a reader says them: ``bench: bubble point radius``."""
    return quantity.replace("/", ": ").replace("_", " ")


def _has_unlike_walls(study: ChainStudy, table: xr.Dataset) -> bool:
    """Whether the life of the reference was not compared, because its walls take up foulant at another rate."""
    quantity = "life/service_time"
    has_life = "reference-foul" in study.runs and quantity in table["quantity"].values
    return has_life and bool(table.reference.sel(quantity=quantity).isnull())


def _not_computed(study: ChainStudy, unlike_walls: bool) -> Section:
    sentences = [f"{stage}: the study has no stages.{stage}." for stage in STAGES if stage not in study.runs]
    if study.measured is None:
        sentences.append("Measured tables: the study has no section measured.")
    if unlike_walls:
        sentences.append(
            "Bias of the lives: walls of the reference take up foulant at another rate than those of the replicates; "
            "give foulant.wall_rate in stages.foul instead of damkohler_number."
        )
    if "reference-characterize" not in study.runs:
        sentences.append("Bias of the reconstruction: the study has no reference, which is known for synthetic images.")
    return Section("Not computed", " ".join(sentences))


def _downloads(groups: dict[str, xr.Dataset]) -> Section:
    files = []
    for name in _DOWNLOADS:
        if name in groups:
            table = groups[name].drop_vars("status", errors="ignore")
            text = table.to_dataframe().to_csv(lineterminator="\n")
            files.append(Download(f"{name}.csv", f"Table {name} as CSV", text))
    return Section("Tables", "", files)
