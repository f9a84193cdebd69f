"""Mercury intrusion: intruded volume against absolute pressure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.io.tables.conditions import Conditions, stated_value
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, require, row_numbers
from membrane_dask.physics.porometry.mercury import CONTACT_ANGLE, SURFACE_TENSION, evaluate_intrusion
from membrane_dask.studies.porometry.methods.contract import (
    NM,
    Curve,
    Evaluation,
    Readings,
    Values,
    membrane_name,
)
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "mercury"


@dataclass(frozen=True)
class _Content:
    pressure: np.ndarray
    volume: np.ndarray
    surface_tension: float
    contact_angle: float
    skeleton_density: float | None
    lowest_pressure: float | None
    rows: list[int]


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Intruded volumes of each sample; pressures are absolute, as instruments export them."""
    role = "absolute pressure" if table.column("absolute pressure") else "pressure"
    pressure = require(table, role, "pressure [MPa]")
    volume = require(table, "intruded volume", "cumulative volume [mL/g]")
    column = table.column(role)
    if column is not None and column.unit.reference == "gauge":
        table.problems.append(f"column {column.header!r} is a gauge pressure; those of mercury are absolute")
    tension = stated_value(
        table, "surface tension", settings.surface_tension[0] if settings.surface_tension else None, "surface_tension"
    )
    angle = stated_value(
        table, "contact angle", settings.contact_angle[0] if settings.contact_angle else None, "contact_angle"
    )
    if pressure is None or volume is None or table.problems:
        return []
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        used = rows[np.isfinite(pressure[rows]) & np.isfinite(volume[rows])]
        content = _Content(
            pressure[used], volume[used], SURFACE_TENSION if tension is None else tension,
            CONTACT_ANGLE if angle is None else angle, settings.skeleton_density, settings.lowest_pressure,
            row_numbers(table, used),
        )  # fmt: skip
        results.append(Readings(name, state, METHOD, content))
    return results


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Median radius of the throats by volume, and total volume."""
    content: _Content = readings.content
    result = evaluate_intrusion(
        content.pressure, content.volume, surface_tension=content.surface_tension, contact_angle=content.contact_angle,
        skeleton_density=content.skeleton_density, lowest_pressure=content.lowest_pressure, rows=content.rows,
    )  # fmt: skip
    millilitres_per_gram = 1e3
    values: Values = {
        "mercury_median_radius": result.median_radius.scaled(NM),
        "intruded_volume": result.total_volume * millilitres_per_gram,
        "mercury_porosity": result.porosity,
    }
    curve = Curve(
        "intruded volume", "mL g-1", "radius", result.radius * NM, result.cumulative_volume * millilitres_per_gram
    )
    findings = list(result.findings)
    if np.isfinite(result.trapped_fraction):
        findings.append(
            f"extrusion branch split off: {result.trapped_fraction:.0%} of the mercury stays in the pores at its end"
        )
    return Evaluation(values, curves=[curve], findings=findings)
