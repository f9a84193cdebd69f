"""Section of the report on the round trip: each method against the structure, and against measured tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from membrane_dask.number_text import interval_text
from membrane_dask.report.page import Grid, Note, Section
from membrane_dask.studies.chain.statements import round_trip_statements

#: Columns of the structure: variable and header.
_STRUCTURE = (
    ("radius_structure", "throats, number median, nm"),
    ("radius_flow_median", "throats, flow median, nm"),
    ("radius_bottleneck", "bottleneck, nm"),
    ("radius_inscribed_mean", "inscribed mean, nm"),
    ("porosity_structure", "connected porosity"),
    ("thickness_structure", "thickness, µm"),
)


def cell(value: Any, low: Any = np.nan, high: Any = np.nan) -> str:
    """A number with its interval, if it has one."""
    return interval_text(float(value), float(low), float(high), digits=3)


def round_trip_section(groups: Mapping[str, xr.Dataset]) -> Section:
    """What porometry concludes from the virtual bench, against the structure.

    Parameters
    ----------
    groups : mapping of str to xarray.Dataset
        Tables of the run.
    """
    table = groups["round_trip"]
    structures = [("replicate", table)]
    if "reference_round_trip" in groups:
        structures.append(("reference", groups["reference_round_trip"]))
    contents: list[Any] = [_structures(structures)]
    if "measured" in groups:
        contents += _measured(groups["measured"], table)
    if not np.isfinite(table.radius_inferred).any():
        note = "Nothing was inferred: add stages.porometry, with stages.characterize.bench.enabled: true."
        return Section("Round trip", "", [*contents, Note(note)])
    contents.insert(1, _inferred(structures))
    values = {str(name): np.asarray(table[name].values) for name in table.data_vars}
    methods = tuple(str(method) for method in table.method.values)
    return Section("Round trip", " ".join(round_trip_statements(values, methods)), contents)


def _structures(structures: list[tuple[str, xr.Dataset]]) -> Grid:
    rows = [
        [f"{name} {k}", *(cell(table[variable][k]) for variable, _ in _STRUCTURE)]
        for name, table in structures
        for k in range(table.sizes["replicate"])
    ]
    return Grid(["structure", *(title for _, title in _STRUCTURE)], rows, "The structures themselves.")


def _inferred(structures: list[tuple[str, xr.Dataset]]) -> Grid:
    names = dict(zip(structures[0][1].method.values, structures[0][1].attrs["radius_names"], strict=True))
    header = [
        "structure", "method", "which radius", "radius, nm [interval]", "over number median", "over flow median",
        "law misfit", "porosity if the pores were straight tubes", "over connected porosity",
        "thickness if the pores were straight tubes, µm",
    ]  # fmt: skip
    rows = []
    for name, table in structures:
        for k in range(table.sizes["replicate"]):
            for method in table.method.values:
                row = table.isel(replicate=k).sel({"method": method})
                if not np.isfinite(row.radius_inferred):
                    continue
                radius = cell(row.radius_inferred, row.radius_low, row.radius_high)
                names_of_cells = (
                    "radius_ratio", "radius_flow_ratio", "law_misfit", "porosity_inferred", "porosity_ratio",
                    "thickness_inferred",
                )  # fmt: skip
                cells = [cell(row[variable]) for variable in names_of_cells]
                rows.append([f"{name} {k}", str(method), str(names[method]), radius, *cells])
    return Grid(header, rows, "What porometry concludes from the tables of the virtual bench.")


def _measured(measured: xr.Dataset, table: xr.Dataset) -> list[Any]:
    rows = []
    for membrane in measured.membrane.values:
        for method in measured.method.values:
            row = measured.sel({"membrane": membrane, "method": method})
            if np.isfinite(row.radius_inferred):
                virtual = table.radius_inferred.sel({"method": method}).isel(replicate=0)
                cells = [cell(row.radius_inferred, row.radius_low, row.radius_high), cell(virtual)]
                rows.append([str(membrane), str(method), *cells, cell(row.radius_inferred / virtual)])
    if not rows:
        return [Note("The measured tables give no pore radius: they are of none of the methods of the round trip.")]
    header = ["membrane", "method", "measured radius, nm [interval]", "virtual bench, nm", "measured / virtual"]
    return [Grid(header, rows, "Measured tables by the same methods, and the virtual bench of the first replicate.")]
