"""Pressures, areas and temperatures of a table: from its columns, the lines above it, or the study, never by guess."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.numerals import Numeral, numeral
from membrane_dask.io.tables.rows import Row

#: Relative difference of two values of one quantity that are taken as the same.
_AGREEMENT = 0.02
#: Difference of the temperatures of rows from a nominal one above the table, K.
_NOMINAL_TEMPERATURE = 2.0
#: Units in which conditions are shown, with the factor from SI.
_SHOWN = {"area": (1e4, "cm2"), "pressure": (1e-5, "bar"), "permeate pressure": (1e-5, "bar")}
#: Lines of a study that give a condition.
_IN_THE_STUDY = {
    "temperature": ", or temperature: 20 degC in the study", "area": ", or area: 13.4 cm2 in the study",
    "pressure": ", or pressure: 1 bar in the study",
}  # fmt: skip


@dataclass(frozen=True)
class Conditions:
    """Conditions of a measurement that a study gives.

    Parameters
    ----------
    area : float, optional
        Membrane area, m2.
    temperature : float, optional
        K.
    pressure : float, optional
        Pressure difference of all rows, Pa.
    permeate_pressure : float, optional
        Absolute pressure of the permeate, Pa.
    amounts : {"cumulative", "collected"}, optional
        Whether amounts of permeate are readings of a log, or were collected in the time of the row.
    reference_temperature : float
        K, to which permeances are converted, and the temperature of a table that names none.
    """

    area: float | None = None
    temperature: float | None = None
    pressure: float | None = None
    permeate_pressure: float | None = None
    amounts: Literal["cumulative", "collected"] | None = None
    reference_temperature: float = 298.15


def stated_value(table: MeasuredTable, name: str, study: float | None, key: str = "") -> float | None:
    """A condition of the study or of the lines above the table, which must agree.

    Parameters
    ----------
    table : MeasuredTable
        The table; a disagreement is one of its problems.
    name : str
        Condition of the lines above the table.
    study : float, optional
        Value of the study.
    key : str
        Key of the study, where it differs from the name.
    """
    stated = table.header_block.stated.get(name)
    if stated is None or isinstance(stated.value, str):
        if study is None and (line := table.header_block.unclear.get(name)) and not table.column(name):
            message = f"{line}: write it in the file{_IN_THE_STUDY.get(name, '')}"
            if message not in table.problems:
                table.problems.append(message)
        return study
    if study is None:
        finding = f"{name}: {stated.text} (line {stated.row})"
        if finding not in table.findings:
            table.findings.append(finding)
        return stated.value
    if abs(stated.value - study) > 1e-3 * abs(study):
        factor, unit = _SHOWN.get(name, (1.0, ""))
        shown = f"{study * factor:g} {unit}".strip()
        if name == "temperature":
            shown = f"{study - 273.15:g} degC"
        table.problems.append(
            f"{key or name} is {shown} in the study and {stated.text} in the file (line {stated.row}); keep one"
        )
    return study


def areas(table: MeasuredTable, conditions: Conditions) -> np.ndarray | None:
    """Membrane area of each row, m2; None where nothing gives it."""
    column, diameter = table.column("area"), table.column("diameter")
    if column:
        values = table.numbers(column, above=0.0)
        _compare_with_line(table, column, values, _AGREEMENT * values)
        return values
    if diameter:
        return np.asarray(math.pi / 4 * np.square(table.numbers(diameter, above=0.0)))
    area = stated_value(table, "area", conditions.area)
    stated = table.header_block.stated.get("diameter")
    if area is None and (line := table.header_block.unclear.get("diameter")):
        table.problems.append(f"{line}: write it in the file, or area: 13.4 cm2 in the study")
    if stated is not None and isinstance(stated.value, float):
        from_diameter = math.pi / 4 * stated.value * stated.value
        if area is None:
            finding = f"area: {from_diameter * 1e4:.4g} cm2 by the diameter {stated.text} (line {stated.row})"
            if finding not in table.findings:
                table.findings.append(finding)
            area = from_diameter
        elif abs(from_diameter - area) > _AGREEMENT * area:
            table.problems.append(
                f"area is {area * 1e4:g} cm2, and {from_diameter * 1e4:.4g} cm2 by the diameter {stated.text} "
                f"(line {stated.row}); keep one"
            )
    return None if area is None else np.full(len(table.rows), area)


def _compare_with_line(table: MeasuredTable, column: Column, values: np.ndarray, tolerance: np.ndarray | float) -> None:
    """A condition of the lines above the table must be that of a row, where the table has a column of it."""
    stated = table.header_block.stated.get(column.role)
    if stated is None or isinstance(stated.value, str) or not np.isfinite(values).any():
        return
    if not (np.abs(values - stated.value) <= tolerance).any():
        table.problems.append(
            f"{column.role} is {stated.text} in line {stated.row}, but column {column.header!r} has "
            f"{str(table.rows[0].cell(column.index)).strip()} {column.unit.text}: keep one, for example columns: "
            f"{{{column.header!r}: ignore}}"
        )


def temperatures(table: MeasuredTable, conditions: Conditions, default: float | None) -> np.ndarray:
    """Temperature of each row, K; NaN where nothing gives it and there is no default."""
    value = stated_value(table, "temperature", conditions.temperature)
    column = table.column("temperature")
    rows = table.numbers(column) if column else np.full(len(table.rows), np.nan)
    if column:
        _compare_with_line(table, column, rows, _NOMINAL_TEMPERATURE)
    if value is None and default is not None and (column is None or np.isnan(rows).any()):
        finding = f"no temperature: taken as {default - 273.15:g} degC (one K changes the permeance by 2.3 %)"
        if finding not in table.findings:
            table.findings.append(finding)
    fill = default if value is None else value
    return np.where(np.isnan(rows), math.nan if fill is None else fill, rows)


def pressure_differences(table: MeasuredTable, conditions: Conditions) -> np.ndarray | None:
    """Pressure difference across the membrane of each row, Pa; None where nothing gives it (a problem)."""
    table_reads = {role: column for role in _PRESSURE_ROLES if (column := table.column(role))}
    if "suction pressure" in table_reads:
        return _suction(table, table_reads["suction pressure"])
    feed = table_reads.get("feed pressure")
    direct = table_reads.get("absolute pressure") or table_reads.get("pressure")
    if direct is None and feed is None:
        return _constant(table, conditions)
    if feed is not None:
        difference = _from_gauges(table, table_reads, feed, conditions)
        if direct is not None and difference is not None:
            _compare(table, direct, difference)
        return difference
    assert direct is not None
    return differences_of(table, direct, _checked(table, direct), conditions)


def differences_of(table: MeasuredTable, column: Column, values: np.ndarray, conditions: Conditions) -> np.ndarray:
    """Differences to the pressure of the permeate, Pa, of the values of a column: absolute ones have it subtracted."""
    is_absolute = column.role == "absolute pressure" or column.unit.reference == "absolute"
    line = table.header_block.absolute
    if not is_absolute and line and column.unit.reference != "gauge":
        is_absolute = True
    permeate = table.column("permeate pressure")
    if permeate is not None and not is_absolute:
        table.problems.append(
            f"columns {column.header!r} and {permeate.header!r}: is the first the pressure difference, or that of the "
            f"feed? columns: {{{column.header!r}: feed pressure}}, or columns: {{{permeate.header!r}: ignore}}"
        )
        return values
    return _subtract(table, column, values, permeate, conditions, is_absolute, line)


_FLOWS = ("flux", "flow", "mass", "volume", "volume per area", "wet flow", "dry flow")
_PRESSURE_ROLES = (
    "pressure", "absolute pressure", "suction pressure", "feed pressure", "retentate pressure", "permeate pressure",
)  # fmt: skip


def _constant(table: MeasuredTable, conditions: Conditions) -> np.ndarray | None:
    pressure = stated_value(table, "pressure", conditions.pressure)
    if pressure is not None:
        return np.full(len(table.rows), pressure)
    if not any("pressure" in problem for problem in table.problems):
        unused = f"; columns that are not recognised: {', '.join(map(repr, table.unused))}" if table.unused else ""
        table.problems.append(
            f"there is no column of the pressure, such as 'pressure [bar]'; give pressure: 1 bar if it was one{unused}"
        )
    return None


def _suction(table: MeasuredTable, column: Column) -> np.ndarray:
    values = table.numbers(column)
    if column.unit.reference == "absolute":
        table.problems.append(
            f"column {column.header!r} is absolute, and a suction is the difference to the atmosphere: write 813 mbar "
            "for 200 mbar absolute"
        )
    if (values < 0).any() and (values > 0).any():
        table.problems.append(f"column {column.header!r}: suction pressures of both signs; write all with one")
    return np.asarray(np.abs(values))


def _checked(table: MeasuredTable, column: Column) -> np.ndarray:
    """Pressures of a column; those below 0 may be suction."""
    values = table.numbers(column)
    for row, value in zip(table.rows, values, strict=True):
        if value < 0:
            cell = str(row.cells[column.index]).strip()
            table.problem(
                row,
                f"{cell} {column.unit.text} is below 0: suction? "
                f"columns: {{{column.header!r}: suction pressure}} ({column.header} must be greater than 0)",
            )
        elif value == 0 and _has_no_flow(table, row):
            table.findings.append(f"row {row.number}: neither pressure nor flow, left out")
        elif value == 0:
            table.problem(
                row,
                f"{column.header} must be greater than 0 (got {row.cells[column.index]}): with flow at no pressure, "
                "check the zero of the gauge, or delete the row",
            )
    return np.where(values > 0, values, np.nan)


def _has_no_flow(table: MeasuredTable, row: Row) -> bool:
    """Whether a row has no flow: all its amounts and flows are 0 or empty."""
    cells = [row.cell(column.index) for column in table.columns if column.role in _FLOWS]
    numbers = [numeral(cell) if isinstance(cell, str) else cell for cell in cells if cell is not None]
    return all(number.value(table.decimal) == 0 if isinstance(number, Numeral) else number == 0 for number in numbers)


def _subtract(
    table: MeasuredTable, column: Column, values: np.ndarray, permeate: Column | None, conditions: Conditions,
    is_absolute: bool, line: int,
) -> np.ndarray:  # fmt: skip
    """Difference of a feed pressure to that of the permeate."""
    if permeate is not None:
        return _positive(table, values - table.numbers(permeate))
    stated = stated_value(table, "permeate pressure", conditions.permeate_pressure, "permeate_pressure")
    if column.unit.reference == "gauge":
        if conditions.permeate_pressure is not None:
            table.problems.append(
                f"permeate_pressure is subtracted from absolute pressures only, but column {column.header!r} is a "
                "gauge pressure: leave it out"
            )
        return values
    if stated is not None and (is_absolute or conditions.permeate_pressure is not None):
        table.findings.append(f"permeate at {stated * 1e-5:g} bar is subtracted from {column.header}")
        return _positive(table, values - stated)
    if is_absolute:
        source = f"line {line} of the file says that pressures are" if line else f"column {column.header!r} is"
        table.problems.append(
            f"{source} absolute: the pressure of the permeate is needed, for example permeate_pressure: 1.013 bar"
        )
        return values
    if column.role == "feed pressure":
        table.findings.append(f"{column.header}: taken as the difference to the permeate at the atmosphere")
    return values


def _from_gauges(
    table: MeasuredTable, columns: Mapping[str, Column], feed: Column, conditions: Conditions
) -> np.ndarray | None:
    """``(feed + retentate) / 2 - permeate``."""
    retentate, permeate = columns.get("retentate pressure"), columns.get("permeate pressure")
    references = {c.unit.reference for c in (feed, retentate, permeate) if c is not None} - {""}
    if len(references) > 1:
        table.problems.append(
            "gauge and absolute pressures are mixed: "
            + ", ".join(f"{c.header!r}" for c in (feed, retentate, permeate) if c is not None)
            + "; give all of them alike"
        )
        return None
    values = _checked(table, feed)
    if retentate is not None:
        values = (values + table.numbers(retentate)) / 2
    is_absolute = feed.unit.reference == "absolute"
    line = table.header_block.absolute if feed.unit.reference == "" else 0
    formula = "(feed + retentate)/2" if retentate is not None else "feed"
    if permeate is not None:
        table.findings.append(f"pressure difference = {formula} - permeate")
    elif retentate is not None:
        table.findings.append(f"pressure difference = {formula}, permeate at the atmosphere")
    return _subtract(table, feed, values, permeate, conditions, is_absolute or bool(line), line)


def _positive(table: MeasuredTable, values: np.ndarray) -> np.ndarray:
    for row, value in zip(table.rows, values, strict=True):
        if value <= 0:
            table.problem(row, f"the pressure of the permeate is not below that of the feed ({value * 1e-5:.4g} bar)")
    return np.where(values > 0, values, np.nan)


def _compare(table: MeasuredTable, direct: Column, difference: np.ndarray) -> None:
    """A column of differences must agree with what the gauges give."""
    values = table.numbers(direct)
    both = np.isfinite(values) & np.isfinite(difference)
    deviations = np.abs(values - difference)[both] > _AGREEMENT * np.abs(difference)[both]
    if deviations.any():
        k = np.flatnonzero(both)[np.flatnonzero(deviations)[0]]
        table.problem(
            table.rows[k],
            f"{direct.header} is {values[k] * 1e-5:.4g} bar, but the gauges give {difference[k] * 1e-5:.4g} bar; leave "
            f"one out, for example columns: {{{direct.header!r}: ignore}}",
        )
