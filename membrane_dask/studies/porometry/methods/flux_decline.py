"""Decline of the flux of a fouling feed at constant pressure."""

from __future__ import annotations

import numpy as np

from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.io.tables.filtration import read_filtration
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, row_numbers
from membrane_dask.physics.porometry.decline_readings import DeclineReadings
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.flux_decline import fit_flux_decline
from membrane_dask.studies.porometry.methods.contract import (
    LMH,
    MINUTE,
    Curve,
    Evaluation,
    Readings,
    collect_problems,
    membrane_name,
)
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "fouling"


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Cumulative permeate or flux against time of each membrane."""
    columns = read_filtration(table, conditions)
    if columns is None:
        return []
    time, volume, flux, pressure = columns.time, columns.volume, columns.flux, columns.pressure
    values = volume if volume is not None else flux
    assert values is not None
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        used = rows[np.isfinite(time[rows]) & np.isfinite(values[rows])]
        content = collect_problems(
            table, name, lambda used=used: DeclineReadings(  # type: ignore[misc]
                time[used], None if volume is None else volume[used],
                None if flux is None else flux[used],
                pressure=None if pressure is None or not np.isfinite(pressure[used]).all() else pressure[used],
                rows=row_numbers(table, used),
            ),
        )  # fmt: skip
        if content is not None:
            results.append(Readings(name, state, METHOD, content))
    return results


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
