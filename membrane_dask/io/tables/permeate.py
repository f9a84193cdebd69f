"""Flux of each row from what a bench records: fluxes, flow rates, collected amounts or a log of cumulative amounts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from membrane_dask.io.tables.clock_times import has_day, is_clock, over_midnight
from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.conditions import Conditions, areas, stated_value
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.numerals import numeral
from membrane_dask.io.tables.readings import clock_columns
from membrane_dask.quantities import fits

#: Relative difference of two ways to the flux that are taken as the same.
_AGREEMENT = 0.02
#: Headers of readings before and after a collection.
_WEIGHING = re.compile(
    r"before|after|start|end\b|empty|full|gross|tare|vorher|nachher|leer|voll|brutto|tara|avant|apr[eè]s|vide|plein",
    re.I,
)
#: Largest step of a log, times which its first time and amount may be at most to be counted from zero.
FIRST_STEPS = 3.0


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
    columns, flows, per_area = table.all("flux"), table.all("flow"), table.all("volume per area")
    permeate = [table.all("mass"), table.all("volume")]
    if max(map(len, (columns, flows, per_area, *permeate))) > 1 and table.column("replicate"):
        table.problems.append("replicates are in rows and in several columns of the flux: keep one of both")
    area = areas(table, conditions)
    results: list[tuple[str, list[tuple[int, np.ndarray]]]] = []
    if columns:
        results.append((_names(columns), [(c.replicate, _by_volume(c, table.numbers(c), density)) for c in columns]))
    for column in [*flows, *permeate[0], *permeate[1]]:
        if area is None:
            other = f", or columns: {{{column.header!r}: ignore}}" if columns else ""
            table.problems.append(
                f"column {column.header!r} needs the membrane's area; for example area: 34 cm2{other}"
            )
    keys = list(groups)
    if flows and area is not None:
        by_area = [(c.replicate, _by_volume(c, table.numbers(c), density) / area) for c in flows]
        results.append((_names(flows), by_area))
    for same in filter(None, [*permeate, per_area]):
        values = [
            (c.replicate, value)
            for c in same
            if (value := _flux_from_permeate(table, c, conditions, density, area, keys, bool(results))) is not None
        ]
        if values:
            results.append((_names(same), values))
    if not results:
        if not any(word in p for p in table.problems for word in ("flux", "mass", "volume", "flow", "time")):
            unused = f"; columns that are not recognised: {', '.join(map(repr, table.unused))}" if table.unused else ""
            if any(map(_WEIGHING.search, table.unused)):
                unused += "; of two weighings, write the difference into a column 'mass [g]'"
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


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.header for column in columns)


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
    duration = _collection_time(table, column)
    if time_column is None and duration is None:
        if not is_second:
            table.problems.append(
                f"column {column.header!r} needs a column of the time, such as 'time [s]', or a line above the table: "
                f"'Collection time: 5 min'{clock_columns(table)}"
            )
        return None
    if area is None and column.role != "volume per area":
        return None
    amount = table.numbers(column)
    time = np.full(len(amount), duration) if time_column is None else table.numbers(time_column)
    if duration is not None:
        conditions = _collected(table, column, time_column, time, duration, conditions)
    flux = np.full(len(amount), np.nan)
    for key in dict.fromkeys(keys):
        rows = np.array([k for k, other in enumerate(keys) if other == key and np.isfinite(amount[k] + time[k])], int)
        if len(rows):
            flux[rows] = _group(table, column, rows, amount[rows], time[rows], conditions, is_second)
    if column.role == "mass":
        flux = flux / density
    return flux if column.role == "volume per area" or area is None else flux / area


def _collection_time(table: MeasuredTable, column: Column) -> float | None:
    """Time in which each amount of a column was collected, s, by its header or a line above the table."""
    stated = stated_value(table, "collection time", None)
    if not column.duration:
        return stated
    if stated is not None and abs(stated - column.duration) > 1e-6 * stated:
        table.problems.append(
            f"column {column.header!r} and a line above the table name other collection times ({column.duration:g} s "
            f"and {stated:g} s); keep one"
        )
    finding = f"{column.header}: collected in {column.duration:g} s each"
    if finding not in table.findings:
        table.findings.append(finding)
    return column.duration


def _collected(
    table: MeasuredTable, column: Column, time_column: Column | None, time: np.ndarray, duration: float,
    conditions: Conditions,
) -> Conditions:  # fmt: skip
    """Conditions of amounts that were collected in a known time, with which a column of the time must agree."""
    if time_column is not None and not np.allclose(time[np.isfinite(time)], duration, rtol=1e-6):
        table.problems.append(
            f"column {time_column.header!r} and the collection time of {duration:g} s both give the time of "
            f"{column.header!r}: keep one, for example columns: {{{time_column.header!r}: ignore}}"
        )
    if conditions.amounts == "cumulative":
        table.problems.append(
            f"column {column.header!r} was collected in {duration:g} s each, but the study says amounts: cumulative; "
            "keep one"
        )
    return replace(conditions, amounts="collected")


def _group(
    table: MeasuredTable, column: Column, rows: np.ndarray, amount: np.ndarray, time: np.ndarray,
    conditions: Conditions, is_second: bool,
) -> np.ndarray:  # fmt: skip
    """Amounts per time of one membrane."""
    rising = len(rows) > 1 and (np.diff(time) > 0).all() and (np.diff(amount) > 0).all()
    treatment = conditions.amounts or ("cumulative" if table.is_log else None)
    if table.is_log and treatment == "collected":
        table.problems.append("lines of a balance are a log, but the study says amounts: collected; leave it out")
        return np.full(len(rows), np.nan)
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
    if len(rows) > 2 and (np.diff(time) < 0).all():
        table.problem(table.rows[rows[1]], "times of a log fall from row to row: sort the rows by the time")
        return flux
    time = time_of_log(table, rows, time)
    step = _resolution(table, column, rows)
    starts = [0, *(np.flatnonzero(np.diff(time) < 0) + 1).tolist(), len(rows)]
    for begin, end in pairwise(starts):
        for k in range(begin, end):
            row = table.rows[rows[k]]
            if k == begin:
                # A volume starts from zero at time zero; the first reading of a balance is the tare.
                if column.role != "mass" and _starts_from_zero(amount[begin:end], time[begin:end]):
                    flux[k] = amount[k] / time[k]
                    table.findings.append(f"row {row.number}: {column.header} counted from 0 at the time 0")
                elif column.role != "mass" and time[k] > 0:
                    table.findings.append(f"row {row.number}: start of a log, as it does not begin at 0; no flux")
                continue
            difference, duration = amount[k] - amount[k - 1], time[k] - time[k - 1]
            if difference < -(step if column.role == "mass" else 0.0):
                shown = str(row.cells[column.index]).strip()
                table.problem(
                    row,
                    f"the cumulative {column.role} falls ({shown}); if it was emptied or tared there, write a line "
                    "'Run 2' above this row, and 'Run 1' above the first one",
                )
            elif duration <= 0:
                table.problem(row, "time must rise from row to row in a cumulative log")
            else:
                flux[k] = difference / duration
    return flux


def time_of_log(table: MeasuredTable, rows: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Times of a log, s; a clock without days goes on behind midnight.

    Parameters
    ----------
    table : MeasuredTable
        The table.
    rows : (n,) int array
        Indices of the rows of the log.
    time : (n,) float array
        Their times.
    """
    column = table.column("time")
    cells = [table.rows[k].cell(column.index) for k in rows] if column is not None else []
    is_clock_log = table.is_log or (bool(cells) and all(is_clock(cell) and not has_day(cell) for cell in cells))
    return over_midnight(time) if is_clock_log else time


def _starts_from_zero(amount: np.ndarray, time: np.ndarray) -> bool:
    """Whether the first reading of a log was collected since the time 0, and not since another time of a clock."""
    if amount[0] <= 0 or time[0] <= 0:
        return False
    if len(amount) == 1:
        return True
    return bool(time[0] <= FIRST_STEPS * np.diff(time).max() and amount[0] <= FIRST_STEPS * np.diff(amount).max())


def _resolution(table: MeasuredTable, column: Column, rows: np.ndarray) -> float:
    """Last printed digit of a column, in its SI unit."""
    digits = 0
    for k in rows:
        value = numeral(str(table.rows[k].cells[column.index]))
        if value is not None:
            digits = max(digits, len(value.mantissa.replace(",", ".").partition(".")[2]))
    return float(f"1e-{digits}") / float(_in_unit(column, np.ones(1))[0])


def _mean(values: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """Mean of the replicates of each row."""
    return np.nanmean(np.stack([flux for _, flux in values]), axis=0) if len(values) > 1 else values[0][1]


def _compare(table: MeasuredTable, results: list[tuple[str, list[tuple[int, np.ndarray]]]]) -> None:
    """Several ways to the flux must agree."""
    if len(results) < 2:
        return
    (name, values), *further = results
    mean = _mean(values)
    for other, replicates in further:
        flux = _mean(replicates)
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
