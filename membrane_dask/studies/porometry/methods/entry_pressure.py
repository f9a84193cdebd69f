"""Liquid entry pressure of membranes that a liquid does not wet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.io.tables.conditions import Conditions, differences_of, temperatures
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, require
from membrane_dask.physics.porometry.entry_pressure import largest_pore
from membrane_dask.studies.porometry.methods.contract import (
    NM,
    Evaluation,
    Readings,
    membrane_name,
)
from membrane_dask.studies.porometry.methods.liquids import stated_text, surface_tension
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "entry pressure"


@dataclass(frozen=True)
class _Content:
    pressure: tuple[float, float]
    contact_angle: tuple[float, float]
    surface_tension: tuple[float, float]


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Entry pressure, contact angle and liquid of each membrane."""
    role = "entry pressure" if table.column("entry pressure") or not table.column("pressure") else "pressure"
    pressure = require(table, role, "LEP [bar]")
    column = table.column(role)
    if pressure is not None and column is not None:
        pressure = differences_of(table, column, pressure, conditions)
    kelvin = temperatures(table, conditions, None)
    angle_column = table.column("contact angle")
    angles = table.numbers(angle_column) if angle_column else None
    if angles is None and settings.contact_angle is None:
        table.problems.append("the contact angle is needed: a column 'contact angle [deg]', or contact_angle: 118 +- 2")
    liquids = table.labels("liquid", stated_text(table, "liquid", settings.liquid) or "")
    if pressure is None or table.problems:
        return []
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        used = rows[np.isfinite(pressure[rows])]
        if not len(used):
            continue
        first = used[0]
        temperature = None if kelvin[first] != kelvin[first] else float(kelvin[first])
        tension = surface_tension(table, settings, liquids[first] or None, temperature)
        stated = settings.contact_angle or (math.nan, 0.0)
        angle = (float(angles[used].mean()), stated[1]) if angles is not None else stated
        if tension is None:
            continue
        values = pressure[used]
        error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        results.append(Readings(name, state, METHOD, _Content((float(values.mean()), error), angle, tension)))
    return results


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Radius of the largest pore."""
    content: _Content = readings.content
    result = largest_pore(content.pressure, content.contact_angle, content.surface_tension)
    return Evaluation({"largest_pore_radius": result.radius.scaled(NM)}, findings=result.findings)
