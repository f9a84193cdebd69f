"""Flux curves of membranes, and published lines, from tables of measurements."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from membrane_dask.errors import first_problems
from membrane_dask.io.tables.columns import CellReader, Column, read_header
from membrane_dask.io.tables.files import Row, read_rows
from membrane_dask.io.tables.limits import TableError
from membrane_dask.physics.porometry.water import REFERENCE_TEMPERATURE, Water
from membrane_dask.quantities import fits

#: Distinct pressures that a line and its error need.
MIN_PRESSURES = 3


@dataclass(frozen=True)
class FluxCurve:
    """Flux against pressure of one membrane in one state.

    Parameters
    ----------
    membrane, state : str
        Label, and a state such as before or after a treatment; the state may be empty.
    pressure, flux : (n,) float array
        Pa and m s-1, > 0, in the order of the pressure.
    replicate : (n,) int array
        Number of the replicate; 0 without replicates.
    standard_deviation : (n,) float array or None
        Of each flux, m s-1, where the table has it.
    temperature : float
        Mean temperature of the water, K; the fluxes are converted to it by the viscosity of water.
    area : float or None
        m2.
    """

    membrane: str
    state: str
    pressure: np.ndarray
    flux: np.ndarray
    replicate: np.ndarray
    standard_deviation: np.ndarray | None
    temperature: float
    area: float | None


@dataclass(frozen=True)
class FittedLine:
    """A published line ``J = L P + J0``, without its points.

    Parameters
    ----------
    membrane, state : str
        As of a :class:`FluxCurve`.
    permeability, intercept : float
        m s-1 Pa-1, > 0, and m s-1.
    r_squared : float
        In (0, 1].
    pressures : (n,) float array
        Pressures of the points that were fitted, Pa.
    threshold : float or None
        Threshold pressure as printed, Pa, > 0, where the table has it.
    temperature, area
        As of a :class:`FluxCurve`.
    """

    membrane: str
    state: str
    permeability: float
    intercept: float
    r_squared: float
    pressures: np.ndarray
    threshold: float | None
    temperature: float
    area: float | None


@dataclass(frozen=True)
class FluxTable:
    """Content of a table.

    Parameters
    ----------
    membranes : tuple of FluxCurve or FittedLine
        One for each membrane and state.
    ignored_columns : tuple of str
        Headers that were not recognised.
    """

    membranes: tuple[FluxCurve | FittedLine, ...]
    ignored_columns: tuple[str, ...]


@dataclass(frozen=True)
class _Point:
    """A reading in SI units, and the row that it is from."""

    row: Row
    pressure: float
    flux: float
    standard_deviation: float
    replicate: str
    temperature: float
    viscosity: float
    area: float | None


def read_flux_table(
    path: Path, *, sheet: str | None = None, decimal: str = ".", area: float | None = None,
    temperature: float = REFERENCE_TEMPERATURE,
) -> FluxTable:  # fmt: skip
    """Read flux curves, or published lines if the table has a column of permeabilities.

    Parameters
    ----------
    path : Path
        CSV, Excel or JSON.
    sheet : str, optional
        Sheet of a workbook with several sheets.
    decimal : {".", ","}
        Decimal separator of numbers that are stored as text.
    area : float, optional
        Membrane area, m2, for a table without such a column; required for permeate mass or volume and time.
    temperature : float
        Of the water, K, for a table without such a column.

    Returns
    -------
    FluxTable

    Raises
    ------
    TableError
        With all problems of the table.
    """
    header, rows = read_rows(path, sheet)
    columns = read_header(header)
    reader = CellReader(columns, decimal)
    membranes: Sequence[FluxCurve | FittedLine]
    if columns.get("permeability"):
        membranes = _read_lines(reader, rows, area, temperature)
    else:
        membranes = _read_curves(reader, rows, area, temperature)
    if not membranes and not reader.problems:
        reader.problems.append(f"{path.name} has no membrane")
    if reader.problems:
        raise TableError(first_problems(reader.problems))
    return FluxTable(tuple(membranes), tuple(columns.ignored))


def _read_curves(reader: CellReader, rows: Sequence[Row], area: float | None, temperature: float) -> list[FluxCurve]:
    columns = reader.columns
    flux_columns = _flux_columns(reader, area)
    if reader.problems:
        return []
    pressure_column = columns.get("pressure")
    assert pressure_column
    points: dict[tuple[str, str], list[_Point]] = {}
    for row in rows:
        label = (reader.label(row, "membrane") if columns.get("membrane") else "membrane", reader.label(row, "state"))
        pressure = reader.number(row, pressure_column)
        temperature_column = columns.get("temperature")
        kelvin = temperature
        if temperature_column and reader.is_filled(row, temperature_column):
            kelvin = reader.number(row, temperature_column)
        try:
            water = Water.at(kelvin)
        except ValueError as error:
            if kelvin == kelvin:
                reader.add_problem(row, str(error))
            continue
        area_column = columns.get("area")
        row_area = reader.number(row, area_column) if area_column else area
        for column in flux_columns:
            # Of several columns of replicates a row may leave some empty.
            if len(flux_columns) > 1 and not reader.is_filled(row, column):
                continue
            flux = _flux(reader, row, column, water, row_area)
            sd_column = columns.get("flux deviation")
            deviation = math.nan
            if sd_column:
                deviation = _volumetric(sd_column, reader.number(row, sd_column), water)
            replicate = reader.label(row, "replicate") or (str(column.replicate) if column.replicate else "")
            points.setdefault(label, []).append(
                _Point(row, pressure, flux, deviation, replicate, kelvin, water.viscosity, row_area)
            )
    return [curve for label, readings in points.items() for curve in _curve(reader, label, readings)]


def _flux_columns(reader: CellReader, area: float | None) -> list[Column]:
    """Columns of the flux, one for each replicate; or the column of the permeate, from which the flux follows."""
    columns = reader.columns
    fluxes, mass, volume = columns.all("flux"), columns.get("mass"), columns.get("volume")
    permeate = [c for c in (mass, volume) if c]
    ignored = f"; columns that are not recognised: {', '.join(map(repr, columns.ignored))}" if columns.ignored else ""
    if not columns.get("pressure") and not any("pressure" in p for p in reader.problems):
        reader.problems.append(f"there is no column of the pressure, such as 'pressure [bar]'{ignored}")
    if fluxes and permeate:
        pair = f"{fluxes[0].header!r} and {permeate[0].header!r}"
        reader.problems.append(f"columns {pair} both give the flux: keep one")
    elif len(permeate) > 1:
        reader.problems.append(
            f"columns {permeate[0].header!r} and {permeate[1].header!r} both give the flux: keep one"
        )
    elif permeate and not columns.get("time"):
        reader.problems.append(f"column {permeate[0].header!r} needs a column of the time, such as 'time [s]'")
    elif permeate and not columns.get("area") and area is None:
        reader.problems.append(f"column {permeate[0].header!r} needs the membrane's area; for example area: 34 cm2")
    elif not fluxes and not permeate and not any("flux" in p or "mass" in p for p in reader.problems):
        message = "there is no column of the flux, such as 'flux [L m-2 h-1]', or 'mass [g]' and 'time [s]'"
        reader.problems.append(message + ignored)
    if len(fluxes) > 1 and columns.get("replicate"):
        reader.problems.append("replicates are in rows and in several columns of the flux: keep one of both")
    return fluxes or permeate


def _volumetric(column: Column, value: float, water: Water) -> float:
    """Flux by volume, m s-1, from a flux by volume or by mass."""
    return value / water.density if fits(column.unit, "kg m-2 s-1") else value


def _flux(reader: CellReader, row: Row, column: Column, water: Water, area: float | None) -> float:
    value = reader.number(row, column)
    if column.role == "flux":
        return _volumetric(column, value, water)
    time_column = reader.columns.get("time")
    assert time_column
    seconds = reader.number(row, time_column)
    assert area is not None
    return (value / water.density if column.role == "mass" else value) / area / seconds


def _curve(reader: CellReader, label: tuple[str, str], points: Sequence[_Point]) -> Iterator[FluxCurve]:
    """Curve of one membrane; nothing where its points have problems."""
    name = ", ".join(filter(None, label))
    pressure = np.array([p.pressure for p in points], float)
    flux = np.array([p.flux for p in points], float)
    deviation = np.array([p.standard_deviation for p in points], float)
    valid = True
    first_rows: dict[tuple[str, float], Row] = {}
    replicates = {text: k for k, text in enumerate(sorted({p.replicate for p in points}, key=_natural))}
    for point in points:
        key = (point.replicate, point.pressure)
        if key in first_rows and key[1] == key[1]:
            message = f"repeats the pressure of row {first_rows[key].number}"
            reader.add_problem(point.row, f"{message}; replicates need a column 'replicate' that numbers them")
            valid = False
        first_rows.setdefault(key, point.row)
    if not np.isfinite(pressure + flux).all():
        return
    distinct = len(np.unique(pressure))
    if distinct < MIN_PRESSURES:
        reader.problems.append(
            f"membrane {name} has {distinct} different pressures; at least {MIN_PRESSURES} are needed"
        )
        valid = False
    areas = {p.area for p in points}
    if len(areas) > 1:
        text = ", ".join(f"{a:g}" for a in sorted(areas, key=str))
        reader.problems.append(f"membrane {name} has several areas: {text} m2")
        valid = False
    if not valid:
        return
    mean_temperature = float(np.array([p.temperature for p in points], float).mean())
    viscosity_ratio = np.array([p.viscosity for p in points]) / Water.at(mean_temperature).viscosity
    order = np.argsort(pressure, kind="stable")
    yield FluxCurve(
        membrane=label[0],
        state=label[1],
        pressure=pressure[order],
        flux=(flux * viscosity_ratio)[order],
        replicate=np.array([replicates[p.replicate] for p in points])[order],
        standard_deviation=(deviation * viscosity_ratio)[order] if np.isfinite(deviation).all() else None,
        temperature=mean_temperature,
        area=areas.pop(),
    )


def _natural(label: str) -> tuple[float, str]:
    """Sort key by which numbers precede text."""
    return (float(label), "") if re.fullmatch(r"\d+", label) else (math.inf, label)


def _read_lines(reader: CellReader, rows: Sequence[Row], area: float | None, temperature: float) -> list[FittedLine]:
    columns = reader.columns
    for role, example in (
        ("membrane", "membrane"), ("intercept", "intercept flux [L m-2 h-1]"), ("r squared", "r2"),
        ("pressures", "pressures [kPa]"),
    ):  # fmt: skip
        if not columns.get(role):
            reader.problems.append(f"a table of lines needs a column '{example}'")
    if reader.problems:
        return []
    permeability_column, intercept_column = columns.get("permeability"), columns.get("intercept")
    r_squared_column, pressures_column = columns.get("r squared"), columns.get("pressures")
    assert permeability_column
    assert intercept_column
    assert r_squared_column
    assert pressures_column
    threshold_column = columns.get("threshold")
    temperature_column, area_column = columns.get("temperature"), columns.get("area")
    lines: list[FittedLine] = []
    first_rows: dict[tuple[str, str], Row] = {}
    for row in rows:
        problems_before = len(reader.problems)
        label = (reader.label(row, "membrane"), reader.label(row, "state"))
        if label in first_rows:
            reader.add_problem(row, f"repeats the membrane of row {first_rows[label].number}")
        first_rows.setdefault(label, row)
        kelvin = reader.number(row, temperature_column) if temperature_column else temperature
        row_area = reader.number(row, area_column) if area_column else area
        permeability = reader.number(row, permeability_column)
        intercept = reader.number(row, intercept_column, above=None)
        r_squared = reader.number(row, r_squared_column)
        if r_squared > 1:
            reader.add_problem(row, f"r2 must be at most 1 (got {r_squared:g})")
        threshold = None
        if threshold_column and reader.is_filled(row, threshold_column):
            threshold = reader.number(row, threshold_column)
        pressures = reader.numbers(row, pressures_column)
        distinct = len(np.unique(pressures))
        if distinct < MIN_PRESSURES:
            reader.add_problem(row, f"has {distinct} different pressures; at least {MIN_PRESSURES} are needed")
        try:
            density = Water.at(kelvin).density
        except ValueError as error:
            if kelvin == kelvin:
                reader.add_problem(row, str(error))
        if len(reader.problems) > problems_before:
            continue
        by_mass = fits(permeability_column.unit, "kg m-2 s-1 Pa-1")
        flux_by_mass = fits(intercept_column.unit, "kg m-2 s-1")
        lines.append(
            FittedLine(
                *label,
                permeability / density if by_mass else permeability,
                intercept / density if flux_by_mass else intercept,
                r_squared,
                pressures,
                threshold,
                kelvin,
                row_area,
            )
        )
    return lines
