"""Capillary flow porometry: wet and dry flows of a gas against pressure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.conditions import (
    Conditions,
    areas,
    differences_of,
    pressure_differences,
    temperatures,
)
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, row_numbers
from membrane_dask.physics.porometry.capillary_flow import CapillaryFlow
from membrane_dask.physics.porometry.capillary_flow import capillary_flow as evaluate_flow
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.filter_flow import FilterFlow, filter_flow
from membrane_dask.physics.porometry.gas_flow_in_pores import GasStream
from membrane_dask.physics.porometry.gases import ATMOSPHERE, Gas, molar_density
from membrane_dask.physics.porometry.porometer import Porometer
from membrane_dask.studies.porometry.methods.contract import (
    BAR,
    NM,
    Curve,
    Evaluation,
    Readings,
    Values,
    collect_problems,
    membrane_name,
)
from membrane_dask.studies.porometry.methods.liquids import capillary_law, stated_text
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "capillary flow"


@dataclass(frozen=True)
class _Content:
    curves: FilterFlow
    law: CapillaryLaw
    porometer: Porometer
    stream: GasStream | None


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Wet, dry and half-dry curves of each membrane."""
    wet, dry, half_dry = (table.column(role) for role in ("wet flow", "dry flow", "half dry flow"))
    if wet is None:
        advice = "; wet and dry flows stand in columns of one table" if table.column("flow") else ""
        table.problems.append(f"there is no column of the wet flow, such as 'wet flow [L min-1]'{advice}")
        return []
    for column in (dry, half_dry):
        if column is not None and column.unit.standard != wet.unit.standard:
            table.problems.append(
                f"columns {wet.header!r} and {column.header!r}: one counts volumes at 0 degC and 1.01325 bar, the "
                f"other does not; if both do, write it for both, as columns: {{{wet.header!r}: 'wet flow [NL/min]'}}"
            )
    pressure = pressure_differences(table, conditions)
    dry_column = table.column("dry pressure")
    dry_pressure = pressure
    if dry_column is not None and not (dry_column.unit.reference == "absolute" or table.header_block.absolute):
        dry_pressure = table.numbers(dry_column)
    elif dry_column is not None:
        dry_pressure = differences_of(table, dry_column, table.numbers(dry_column), conditions)
    liquid = stated_text(table, "liquid", settings.liquid)
    kelvin = temperatures(table, conditions, None)
    temperature = float(kelvin[0]) if len(kelvin) and kelvin[0] == kelvin[0] else None
    law = capillary_law(table, settings, liquid, temperature)
    stream = _stream(table, settings, temperature, wet)
    area = areas(table, conditions)
    flows = {role: table.numbers(c) for role, c in (("wet", wet), ("dry", dry), ("half", half_dry)) if c is not None}
    if pressure is None or dry_pressure is None or law is None or table.problems:
        return []
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        measured = rows[np.isfinite(pressure[rows]) & np.isfinite(flows["wet"][rows])]
        dry_rows = rows[:0]
        if "dry" in flows:
            dry_rows = rows[np.isfinite(dry_pressure[rows]) & np.isfinite(flows["dry"][rows])]
        half = flows["half"][measured] if "half" in flows else None
        curves = collect_problems(
            table,
            name,
            lambda measured=measured, dry_rows=dry_rows, half=half: filter_flow(  # type: ignore[misc]
                pressure[measured],
                flows["wet"][measured],
                dry_flow=flows["dry"][dry_rows] if len(dry_rows) else None,
                dry_pressure=dry_pressure[dry_rows] if len(dry_rows) else None,
                half_dry_flow=half if half is not None and np.isfinite(half).all() else None,
                extrapolate_dry=settings.dry == "extrapolated",
                rows=row_numbers(table, measured),
                dry_rows=row_numbers(table, dry_rows) if len(dry_rows) else None,
            ),
        )
        if curves is None:
            continue
        path = settings.thickness
        porometer = Porometer(
            first_flow=settings.first_flow, area=None if area is None else float(area[rows[0]]),
            path_length=path[0] if path else None, path_length_error=path[1] / path[0] if path else 0.0,
        )  # fmt: skip
        results.append(Readings(name, state, METHOD, _Content(curves, law, porometer, stream)))
    return results


def _stream(table: MeasuredTable, settings: TableSettings, temperature: float | None, wet: Column) -> GasStream | None:
    """Gas that flows, where its name and temperature are known."""
    name = stated_text(table, "gas", settings.gas)
    if name is None:
        return None
    gas = collect_problems(table, "", lambda: Gas.named(name))
    if gas is None:
        return None
    kelvin = 298.15 if temperature is None else temperature
    if temperature is None:
        table.findings.append("no temperature: the gas is taken at 25 degC")
    at = settings.flow_at
    density = None
    if at is not None:
        density = molar_density(kelvin if at.temperature == "row" else float(at.temperature), at.pressure)
    elif wet.unit.standard:
        density = molar_density(273.15, ATMOSPHERE)
    return GasStream(gas, kelvin, molar_density=density)


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Bubble point, mean flow pore and distribution of one membrane."""
    content: _Content = readings.content
    result = evaluate_flow(content.curves, content.law, content.porometer, content.stream, seed=seed)
    values: Values = {
        "bubble_point_pressure": result.bubble_point_pressure.scaled(BAR),
        "bubble_point_radius": result.bubble_point_radius.scaled(NM),
        "mean_flow_pore_pressure": result.mean_flow_pore_pressure.scaled(BAR),
        "mean_flow_pore_radius": result.mean_flow_pore_radius.scaled(NM),
        "smallest_flow_pore_radius": result.smallest_flow_pore_radius.scaled(NM),
        "filter_flow_maximum": result.filter_flow_maximum,
        "shape_factor": result.shape_factor,
    }
    radii: Values = {
        "number_median_radius": result.number_median_radius.scaled(NM),
        "hydraulic_radius": result.hydraulic_radius.scaled(NM),
        "flow_median_radius": result.flow_median_radius.scaled(NM),
        "log_sd": result.log_sd,
        "fit_misfit": result.fit_misfit,
        "porosity_over_path_length": result.porosity_over_path_length,
        "pore_number_density": result.pore_number_density,
    }
    return Evaluation(values, radii, curves=_curves(content.curves, result), findings=result.findings)


def _curves(curves: FilterFlow, result: CapillaryFlow) -> list[Curve]:
    pressure = curves.pressure * BAR
    per_minute = 6e4
    results = [
        Curve("wet flow", "L min-1", "pressure", pressure, curves.wet * per_minute),
        Curve("dry flow", "L min-1", "pressure", pressure, curves.dry * per_minute),
        Curve("filter flow", "1", "pressure", pressure, curves.wet / curves.dry),
    ]
    distribution = result.flow_distribution
    if distribution is not None:
        radius = distribution.radius * NM
        results.append(Curve("cumulative flow", "1", "radius", radius, distribution.cumulative))
        middle = np.sqrt(radius[1:] * radius[:-1])
        results.append(Curve("flow per logarithm of the radius", "1", "radius", middle, distribution.per_log_radius))
    return results
