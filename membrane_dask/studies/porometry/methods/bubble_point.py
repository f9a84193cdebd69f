"""Bubble points that an instrument or a person has read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.io.tables.conditions import Conditions, differences_of, temperatures
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, require
from membrane_dask.physics.porometry.bubble_point import bubble_point_radius
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.studies.porometry.methods.contract import (
    BAR,
    NM,
    Evaluation,
    Readings,
    Values,
    membrane_name,
)
from membrane_dask.studies.porometry.methods.liquids import capillary_law, stated_text
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "bubble point"


@dataclass(frozen=True)
class _Content:
    pressure: np.ndarray
    law: CapillaryLaw


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Bubble points of each membrane, with the liquid of each row."""
    role = "bubble point" if table.column("bubble point") or not table.column("pressure") else "pressure"
    pressure = require(table, role, "bubble point [bar]")
    column = table.column(role)
    if pressure is not None and column is not None:
        pressure = differences_of(table, column, pressure, conditions)
    kelvin = temperatures(table, conditions, None)
    stated = stated_text(table, "liquid", settings.liquid)
    liquids = table.labels("liquid", stated or "")
    if pressure is None:
        return []
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        measured = rows[np.isfinite(pressure[rows])]
        if not len(measured):
            continue
        for row in measured:
            if pressure[row] <= 0:
                table.problem(table.rows[row], f"the bubble point must be greater than 0 (got {pressure[row]:g} Pa)")
        if len({(liquids[k], kelvin[k]) for k in measured if kelvin[k] == kelvin[k]}) > 1:
            table.problems.append(f"membrane {name} has several liquids or temperatures: give each a name of its own")
            continue
        first = measured[0]
        temperature = None if kelvin[first] != kelvin[first] else float(kelvin[first])
        law = capillary_law(table, settings, liquids[first] or None, temperature)
        if law is not None:
            results.append(Readings(name, state, METHOD, _Content(pressure[measured], law)))
    return results


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Radius of the largest pore."""
    content: _Content = readings.content
    mean = float(content.pressure.mean())
    pressure = Estimate(mean, float(content.pressure.min()), float(content.pressure.max()))
    radius = bubble_point_radius(mean, content.law)
    findings = []
    if len(content.pressure) > 1:
        findings.append(f"bubble point: mean of {len(content.pressure)} readings")
        low, high = (bubble_point_radius(float(p), content.law) for p in (pressure.high, pressure.low))
        radius = Estimate(radius.value, min(radius.low, low.value), max(radius.high, high.value))
    findings.append(f"shape factor {content.law.shape_factor:g}: all radii are proportional to it")
    values: Values = {
        "bubble_point_pressure": pressure.scaled(BAR),
        "bubble_point_radius": radius.scaled(NM),
        "shape_factor": content.law.shape_factor,
    }
    return Evaluation(values, findings=findings)
