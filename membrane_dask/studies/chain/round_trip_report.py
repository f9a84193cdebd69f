"""Section of the report on the round trip: each method against the structure, and against measured tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from membrane_dask.number_text import interval_text, quantity_column
from membrane_dask.report.page import Grid, Note, Section, from_columns
from membrane_dask.studies.chain.statements import round_trip_statements

#: Columns of the structure: variable, header and unit.
_STRUCTURE = (
    ("radius_structure", "throats, number median", "nm"),
    ("radius_flow_median", "throats, flow median", "nm"),
    ("radius_bottleneck", "bottleneck", "nm"),
    ("radius_inscribed_mean", "inscribed mean", "nm"),
    ("porosity_structure", "connected porosity", "1"),
    ("thickness_structure", "thickness", "um"),
)

_RADIUS = ("radius_inferred", "radius_low", "radius_high")
#: Columns of what porometry concludes: variables of a number, or of a number and its interval, header and unit.
_INFERRED = (
    (_RADIUS, "radius", "nm"),
    (("radius_ratio",), "over number median", "1"),
    (("radius_flow_ratio",), "over flow median", "1"),
    (("law_misfit",), "law misfit", "1"),
    (("porosity_inferred",), "porosity if the pores were straight tubes", "1"),
    (("porosity_ratio",), "over connected porosity", "1"),
    (("thickness_inferred",), "thickness if the pores were straight tubes", "um"),
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
    replicates = [(name, k, table) for name, table in structures for k in range(table.sizes["replicate"])]
    names = [f"{name} {k}" for name, k, _ in replicates]
    columns = [
        quantity_column(title, unit, [(float(table[variable][k]),) for _, k, table in replicates])
        for variable, title, unit in _STRUCTURE
    ]
    return from_columns([("structure", names), *columns], "The structures themselves.")


def _inferred(structures: list[tuple[str, xr.Dataset]]) -> Grid:
    names = dict(zip(structures[0][1].method.values, structures[0][1].attrs["radius_names"], strict=True))
    labels, rows = [], []
    for name, table in structures:
        for k in range(table.sizes["replicate"]):
            for method in table.method.values:
                row = table.isel(replicate=k).sel({"method": method})
                if np.isfinite(row.radius_inferred):
                    labels.append((f"{name} {k}", str(method), str(names[method])))
                    rows.append(row)
    columns: list[tuple[str, Sequence[str]]] = list(
        zip(("structure", "method", "which radius"), zip(*labels, strict=True), strict=True)
    )
    columns += [
        quantity_column(title, unit, [[float(row[variable]) for variable in variables] for row in rows])
        for variables, title, unit in _INFERRED
    ]
    caption = (
        "What porometry concludes from the tables of the virtual bench. Its intervals are those of the evaluation of "
        "one table; those of the section Intervals are over the structures that agree with the image."
    )
    return from_columns(columns, caption)


def _measured(measured: xr.Dataset, table: xr.Dataset) -> list[Any]:
    labels, radii, of_bench = [], [], []
    for membrane in measured.membrane.values:
        for method in measured.method.values:
            row = measured.sel({"membrane": membrane, "method": method})
            if np.isfinite(row.radius_inferred):
                labels.append((str(membrane), str(method)))
                radii.append([float(row[name]) for name in _RADIUS])
                of_bench.append(float(table.radius_inferred.sel({"method": method}).isel(replicate=0)))
    if not labels:
        return [Note("The measured tables give no pore radius: they are of none of the methods of the round trip.")]
    columns = [
        *zip(("membrane", "method"), zip(*labels, strict=True), strict=True),
        quantity_column("measured radius", "nm", radii),
        quantity_column("virtual bench", "nm", [(radius,) for radius in of_bench]),
        quantity_column("measured / virtual", "1", [(a[0] / b,) for a, b in zip(radii, of_bench, strict=True)]),
    ]
    caption = "Measured tables by the same methods, with intervals, and the virtual bench of the first replicate."
    return [from_columns(columns, caption)]
