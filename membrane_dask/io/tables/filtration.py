"""Permeate of a filtration against time, in a table: cumulative amounts, or fluxes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.conditions import Conditions, areas
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, require
from membrane_dask.physics.porometry.water import Water


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
    volume = _volume(table, conditions)
    is_needed = volume is None and not table.problems
    flux = _flux(table, is_needed=is_needed) if is_needed or with_both else None
    column = table.column("pressure") or table.column("feed pressure")
    pressure = table.numbers(column) if column else None
    if time is None or (volume is None and flux is None) or table.problems:
        return None
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


def _flux(table: MeasuredTable, *, is_needed: bool) -> np.ndarray | None:
    """Flux, m s-1; None without a column of it, a problem where it is needed."""
    flux = table.column("flux")
    if flux is not None and flux.si == "m s-1":
        return table.numbers(flux, above=0.0)
    if not is_needed:
        return None
    if flux is not None:
        table.problems.append(f"column {flux.header!r}: a flux by volume is needed")
    else:
        table.problems.append("there is no column of the permeate, such as 'volume [mL]' or 'flux [L m-2 h-1]'")
    return None


def _check_rising(table: MeasuredTable, column: Column, values: np.ndarray) -> None:
    """Cumulative amounts do not fall within a membrane."""
    for _, _, rows in by_membrane(table, ""):
        used = rows[np.isfinite(values[rows])]
        for before, after in pairwise(used):
            if values[after] < values[before]:
                cell = str(table.rows[after].cells[column.index]).strip()
                table.problem(table.rows[after], f"the cumulative {column.role} falls ({cell})")
