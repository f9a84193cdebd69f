"""Decline of the flux of a fouling feed at constant pressure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.conditions import Conditions, areas
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.physics.porometry.decline_readings import DeclineReadings
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.flux_decline import fit_flux_decline
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.porometry.methods.contract import (
    LMH,
    MINUTE,
    Curve,
    Evaluation,
    Readings,
    by_membrane,
    collect_problems,
    membrane_name,
    require,
    row_numbers,
)
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "fouling"


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Cumulative permeate or flux against time of each membrane."""
    time = require(table, "time", "time [min]")
    volume, flux = _permeate(table, conditions)
    column = table.column("pressure") or table.column("feed pressure")
    pressure = table.numbers(column) if column else None
    if time is None or (volume is None and flux is None) or table.problems:
        return []
    values = volume if volume is not None else flux
    assert values is not None
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        used = rows[np.isfinite(time[rows]) & np.isfinite(values[rows])]
        content = collect_problems(
            table, name, lambda used=used: DeclineReadings(  # type: ignore[misc]
                time[used], None if volume is None else volume[used],
                None if volume is not None or flux is None else flux[used],
                pressure=None if pressure is None or not np.isfinite(pressure[used]).all() else pressure[used],
                rows=row_numbers(table, used),
            ),
        )  # fmt: skip
        if content is not None:
            results.append(Readings(name, state, METHOD, content))
    return results


def _permeate(table: MeasuredTable, conditions: Conditions) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Cumulative volume per area, m, or flux, m s-1."""
    per_area, flux = table.column("volume per area"), table.column("flux")
    amount = table.column("volume") or table.column("mass")
    if per_area is not None:
        values = table.numbers(per_area)
        _check_rising(table, per_area, values)
        return values, None
    if amount is not None:
        area = areas(table, conditions)
        if area is None:
            table.problems.append(f"column {amount.header!r} needs the membrane's area; for example area: 34 cm2")
            return None, None
        values = table.numbers(amount)
        if conditions.amounts != "collected":
            _check_rising(table, amount, values)
        if amount.role == "mass":
            table.findings.append("permeate taken with the density of water at 25 degC")
            values = values / Water.at(298.15).density
        if conditions.amounts == "collected":
            values = np.cumsum(np.nan_to_num(values))
        return values / area, None
    if flux is not None:
        if flux.si != "m s-1":
            table.problems.append(f"column {flux.header!r}: a flux by volume is needed")
            return None, None
        return None, table.numbers(flux, above=0.0)
    table.problems.append("there is no column of the permeate, such as 'volume [mL]' or 'flux [L m-2 h-1]'")
    return None, None


def _check_rising(table: MeasuredTable, column: Column, values: np.ndarray) -> None:
    """Cumulative amounts do not fall within a membrane."""
    for _, _, rows in by_membrane(table, ""):
        used = rows[np.isfinite(values[rows])]
        for before, after in pairwise(used):
            if values[after] < values[before]:
                cell = str(table.rows[after].cells[column.index]).strip()
                table.problem(table.rows[after], f"the cumulative {column.role} falls ({cell})")


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Laws of fouling compared."""
    content: DeclineReadings = readings.content
    result = fit_flux_decline(content)
    best = result.fits[0]
    laws: dict[str, dict[str, Estimate | float]] = {}
    for fit in result.fits:
        laws[fit.law] = {
            "aicc_difference": fit.aicc - best.aicc,
            "initial_permeate_flux": fit.initial_flux.scaled(LMH),
            **{f"{name}_constant": value for name, value in fit.constants.items()},
        }
    time = np.asarray(content.time) * MINUTE
    is_volume = content.volume is not None
    values = np.asarray(content.volume) * 1e3 if content.volume is not None else np.asarray(content.flux) * LMH
    name, unit = ("volume per area", "L m-2") if is_volume else ("flux", "L m-2 h-1")
    return Evaluation(laws=laws, curves=[Curve(name, unit, "time", time, values)], findings=result.findings)
