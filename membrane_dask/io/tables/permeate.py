"""Flux of each row from what a bench records: fluxes, flow rates, collected amounts or a log of cumulative amounts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.conditions import Conditions, areas
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.numerals import numeral
from membrane_dask.quantities import fits

#: Relative difference of two ways to the flux that are taken as the same.
_AGREEMENT = 0.02


def fluxes(
    table: MeasuredTable, conditions: Conditions, density: np.ndarray, groups: Iterable[object]
) -> list[tuple[int, np.ndarray]]:
    """Flux of each row, by replicate.

    Parameters
    ----------
    table : MeasuredTable
        The table.
    conditions : Conditions
        Of the study.
    density : (n,) float array
        Density of the liquid in each row, kg m-3.
    groups : iterable
        Membrane, state and replicate of each row: logs of different ones are not joined.

    Returns
    -------
    list of (int, (n,) float array)
        Number of the replicate and fluxes in m s-1, NaN where there is no reading; empty if nothing gives the flux
        (a problem).
    """
    columns = table.all("flux")
    flow, per_area = table.column("flow"), table.column("volume per area")
    permeate = [c for c in (table.column("mass"), table.column("volume")) if c]
    if len(columns) > 1 and table.column("replicate"):
        table.problems.append("replicates are in rows and in several columns of the flux: keep one of both")
    area = areas(table, conditions)
    results: list[tuple[str, list[tuple[int, np.ndarray]]]] = []
    if columns:
        names = ", ".join(c.header for c in columns)
        results.append((names, [(c.replicate, _by_volume(c, table.numbers(c), density)) for c in columns]))
    for column in filter(None, [flow, *permeate]):
        if area is None:
            other = f", or columns: {{{column.header!r}: ignore}}" if columns else ""
            table.problems.append(
                f"column {column.header!r} needs the membrane's area; for example area: 34 cm2{other}"
            )
    keys = list(groups)
    if flow and area is not None:
        results.append((flow.header, [(0, _by_volume(flow, table.numbers(flow), density) / area)]))
    for column in [*permeate, *filter(None, [per_area])]:
        value = _flux_from_permeate(table, column, conditions, density, area, keys, bool(results))
        if value is not None:
            results.append((column.header, [(0, value)]))
    if not results:
        if not any(word in p for p in table.problems for word in ("flux", "mass", "volume", "flow", "time")):
            unused = f"; columns that are not recognised: {', '.join(map(repr, table.unused))}" if table.unused else ""
            table.problems.append(
                "there is no column of the flux, such as 'flux [L m-2 h-1]', or 'mass [g]' and 'time [s]'" + unused
            )
        return []
    _compare(table, results)
    values = results[0][1]
    for _, flux in values:
        for row, value in zip(table.rows, flux, strict=True):
            if value < 0:
                table.problem(row, f"the flux must be greater than 0 (got {value * 3.6e6:.4g} L m-2 h-1)")
    return values


def _by_volume(column: Column, values: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Flux or flow by volume, from one by volume or by mass."""
    is_mass = fits(column.si, "kg m-2 s-1") or fits(column.si, "kg s-1") if column.si else False
    return values / density if is_mass else values


def _flux_from_permeate(
    table: MeasuredTable, column: Column, conditions: Conditions, density: np.ndarray, area: np.ndarray | None,
    keys: list[object], is_second: bool,
) -> np.ndarray | None:  # fmt: skip
    """Flux from amounts and times; None where it is not known."""
    time_column = table.column("time")
    if time_column is None:
        if not is_second:
            table.problems.append(f"column {column.header!r} needs a column of the time, such as 'time [s]'")
        return None
    if area is None and column.role != "volume per area":
        return None
    amount, time = table.numbers(column), table.numbers(time_column)
    flux = np.full(len(amount), np.nan)
    for key in dict.fromkeys(keys):
        rows = np.array([k for k, other in enumerate(keys) if other == key and np.isfinite(amount[k] + time[k])], int)
        if len(rows):
            flux[rows] = _group(table, column, rows, amount[rows], time[rows], conditions, is_second)
    if column.role == "mass":
        flux = flux / density
    return flux if column.role == "volume per area" or area is None else flux / area


def _group(
    table: MeasuredTable, column: Column, rows: np.ndarray, amount: np.ndarray, time: np.ndarray,
    conditions: Conditions, is_second: bool,
) -> np.ndarray:  # fmt: skip
    """Amounts per time of one membrane."""
    rising = len(rows) > 1 and (np.diff(time) > 0).all() and (np.diff(amount) > 0).all()
    treatment = conditions.amounts
    if treatment is None and rising:
        if is_second:
            return np.full(len(rows), np.nan)
        increments = ", ".join(f"{step:.4g}" for step in _in_unit(column, np.diff(amount))[:4])
        table.problems.append(
            f"columns {column.header!r} and time both rise from row to row (increments {increments} "
            f"{column.unit.text}): a cumulative log, or amounts collected in the time of each row? "
            "amounts: cumulative, or amounts: collected"
        )
        return np.full(len(rows), np.nan)
    if treatment == "cumulative":
        return _increments(table, column, rows, amount, time)
    for k, value in zip(rows, time, strict=True):
        if value <= 0:
            table.problem(table.rows[k], "time must be greater than 0")
    return np.where(time > 0, amount / np.where(time > 0, time, 1.0), np.nan)


def _in_unit(column: Column, values: np.ndarray) -> np.ndarray:
    """Amounts in the unit of the column."""
    from membrane_dask.quantities import convert

    return values / (convert(1.0, column.unit.unit, column.si) * column.unit.factor)


def _increments(
    table: MeasuredTable, column: Column, rows: np.ndarray, amount: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Increments of a log over their times; a time that falls begins a new log."""
    flux = np.full(len(rows), np.nan)
    step = _resolution(table, column, rows)
    starts = [0, *(np.flatnonzero(np.diff(time) < 0) + 1).tolist(), len(rows)]
    for begin, end in pairwise(starts):
        for k in range(begin, end):
            row = table.rows[rows[k]]
            if k == begin:
                # A volume starts from zero at time zero; the first reading of a balance is the tare.
                if column.role != "mass" and time[k] > 0:
                    flux[k] = amount[k] / time[k]
                continue
            difference, duration = amount[k] - amount[k - 1], time[k] - time[k - 1]
            if difference < -(step if column.role == "mass" else 0.0):
                shown = str(row.cells[column.index]).strip()
                table.problem(row, f"the cumulative {column.role} falls ({shown})")
            elif duration <= 0:
                table.problem(row, "time must rise from row to row in a cumulative log")
            else:
                flux[k] = difference / duration
    return flux


def _resolution(table: MeasuredTable, column: Column, rows: np.ndarray) -> float:
    """Last printed digit of a column, in its SI unit."""
    digits = 0
    for k in rows:
        value = numeral(str(table.rows[k].cells[column.index]))
        if value is not None:
            digits = max(digits, len(value.mantissa.replace(",", ".").partition(".")[2]))
    return float(f"1e-{digits}") / float(_in_unit(column, np.ones(1))[0])


def _compare(table: MeasuredTable, results: list[tuple[str, list[tuple[int, np.ndarray]]]]) -> None:
    """Several ways to the flux must agree."""
    if len(results) < 2:
        return
    (name, values), *further = results
    mean = np.nanmean(np.stack([flux for _, flux in values]), axis=0) if len(values) > 1 else values[0][1]
    for other, ((_, flux), *_) in further:
        both = np.isfinite(mean) & np.isfinite(flux)
        differs = np.abs(mean - flux)[both] > _AGREEMENT * np.abs(mean)[both] + 1e-15
        if differs.any():
            k = np.flatnonzero(both)[np.flatnonzero(differs)[0]]
            table.problem(
                table.rows[k],
                f"{name!r} gives {mean[k] * 3.6e6:.4g} L m-2 h-1, {other!r} {flux[k] * 3.6e6:.4g}; they both give the "
                f"flux: keep one, for example columns: {{{other!r}: ignore}}",
            )
            return
