"""Permeate of a filtration against time, in a table: cumulative amounts, or fluxes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from membrane_dask.io.tables.clock_times import is_clock
from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.conditions import Conditions, areas
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.permeate import FIRST_STEPS, time_of_log
from membrane_dask.io.tables.readings import by_membrane, require
from membrane_dask.physics.porometry.water import Water

#: Relative change of the viscosity of water over a filtration that is reported, as large as that of a pressure.
_VISCOSITY_CHANGE = 0.05


@dataclass(frozen=True)
class FiltrationColumns:
    """Columns of a filtration, a value for each row; NaN where a cell is empty.

    Parameters
    ----------
    time : (n,) float array
        s.
    volume : (n,) float array, optional
        Cumulative permeate volume per area, m.
    flux : (n,) float array, optional
        m s-1.
    pressure : (n,) float array, optional
        Pa.
    """

    time: np.ndarray
    volume: np.ndarray | None
    flux: np.ndarray | None
    pressure: np.ndarray | None


def read_filtration(
    table: MeasuredTable, conditions: Conditions, *, with_both: bool = False
) -> FiltrationColumns | None:
    """Time and permeate of every row.

    Parameters
    ----------
    table : MeasuredTable
        The table; what is missing or wrong becomes one of its problems.
    conditions : Conditions
        Of the study.
    with_both : bool
        Whether the flux is read where the table has volumes as well.

    Returns
    -------
    FiltrationColumns or None
        None where there are problems.
    """
    time = require(table, "time", "time [min]")
    if time is not None and _times_fall(table, time):
        return None
    volume = _volume(table, conditions)
    if time is not None:
        time, volume = _from_start(table, time, volume)
    is_needed = volume is None and not table.problems
    flux = _flux(table, conditions, is_needed=is_needed) if is_needed or with_both else None
    column = table.column("pressure") or table.column("feed pressure")
    pressure = table.numbers(column) if column else None
    if time is None or (volume is None and flux is None) or table.problems:
        return None
    _note_temperatures(table)
    return FiltrationColumns(time, volume, flux, pressure)


def _volume(table: MeasuredTable, conditions: Conditions) -> np.ndarray | None:
    """Cumulative volume per area, m; None without a column of it."""
    per_area = table.column("volume per area")
    amount = table.column("volume") or table.column("mass")
    if per_area is not None:
        values = table.numbers(per_area)
        _check_rising(table, per_area, values)
        return values
    if amount is None:
        return None
    area = areas(table, conditions)
    if area is None:
        table.problems.append(f"column {amount.header!r} needs the membrane's area; for example area: 34 cm2")
        return None
    values = table.numbers(amount)
    if conditions.amounts != "collected":
        _check_rising(table, amount, values)
    if amount.role == "mass":
        table.findings.append("permeate taken with the density of water at 25 degC")
        values = values / Water.at(298.15).density
    if conditions.amounts == "collected":
        values = np.cumsum(np.nan_to_num(values))
    return np.asarray(values / area)


def _from_start(
    table: MeasuredTable, time: np.ndarray, volume: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Times and volumes since the start: the first reading of a time of day, and of a balance, is the start."""
    time, volume = time.copy(), None if volume is None else volume.copy()
    column = table.column("time")
    has_balance = table.column("mass") is not None and table.column("volume") is None
    for _, _, rows in by_membrane(table, ""):
        used = rows[np.isfinite(time[rows] if volume is None else time[rows] + volume[rows])]
        if len(used) < 2 or column is None:
            continue
        time[used] = time_of_log(table, used, time[used])
        start, first = used[0], table.rows[used[0]]
        is_clock_log = all(is_clock(table.rows[k].cell(column.index)) for k in used)
        is_time_of_day = is_clock_log and time[start] > FIRST_STEPS * np.diff(time[used]).max()
        has_begun = volume is not None and volume[start] != 0 and not has_balance
        if is_time_of_day and has_begun:
            table.problem(first, f"{column.header} is a time of day: write a row of the start above, with the volume 0")
        elif is_time_of_day:
            table.findings.append(f"{column.header}: counted from row {first.number}")
            time[used] -= time[start]
        if volume is not None and has_balance and time[start] == 0 and volume[start] != 0:
            table.findings.append(f"row {first.number}: the first reading of the balance is its tare")
            volume[used] -= volume[start]
    return time, volume


def _times_fall(table: MeasuredTable, time: np.ndarray) -> bool:
    """Whether the times of a membrane fall from row to row (a problem)."""
    for _, _, rows in by_membrane(table, ""):
        used = rows[np.isfinite(time[rows])]
        if len(used) > 2 and (np.diff(time[used]) < 0).all():
            table.problem(table.rows[used[1]], "times fall from row to row: sort the rows by the time")
            return True
    return False


def _flux(table: MeasuredTable, conditions: Conditions, *, is_needed: bool) -> np.ndarray | None:
    """Flux, m s-1; None without a column of it, a problem where it is needed."""
    flux, flow = table.column("flux"), table.column("flow")
    if flux is not None and flux.si == "m s-1":
        return table.numbers(flux, above=0.0)
    if not is_needed:
        return None
    area = areas(table, conditions) if flow is not None else None
    if flux is not None:
        table.findings.append("permeate taken with the density of water at 25 degC")
        return table.numbers(flux, above=0.0) / Water.at(298.15).density
    if flow is not None and area is not None:
        density = 1.0 if flow.si == "m3 s-1" else Water.at(298.15).density
        return np.asarray(table.numbers(flow, above=0.0) / area / density)
    if flow is not None:
        table.problems.append(f"column {flow.header!r} needs the membrane's area; for example area: 34 cm2")
    else:
        table.problems.append("there is no column of the permeate, such as 'volume [mL]' or 'flux [L m-2 h-1]'")
    return None


def _note_temperatures(table: MeasuredTable) -> None:
    """Finding on temperatures that vary so much that the viscosity changes the flux as fouling does."""
    column = table.column("temperature")
    if column is None:
        return
    values = table.numbers(column)
    low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    try:
        change = Water.at(float(low)).viscosity / Water.at(float(high)).viscosity - 1
    except ValueError:  # no temperatures of liquid water, or none at all
        return
    if change > _VISCOSITY_CHANGE:
        table.findings.append(
            f"the temperature varies from {low - 273.15:.4g} to {high - 273.15:.4g} degC, and with it the viscosity of "
            f"water by {100 * change:.0f} %: the flux is not converted to one temperature"
        )


def _check_rising(table: MeasuredTable, column: Column, values: np.ndarray) -> None:
    """Cumulative amounts do not fall within a membrane."""
    for _, _, rows in by_membrane(table, ""):
        used = rows[np.isfinite(values[rows])]
        for before, after in pairwise(used):
            if values[after] < values[before]:
                cell = str(table.rows[after].cells[column.index]).strip()
                table.problem(
                    table.rows[after],
                    f"the cumulative {column.role} falls ({cell}); after a tare, add what was there before; amounts "
                    "that were collected one by one are summed by amounts: collected of porometry",
                )
                break
