"""Flux curves of membranes, and published lines, from tables of measurements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from membrane_dask.io.tables.columns import TableOptions
from membrane_dask.io.tables.computed_permeance import compare_permeance
from membrane_dask.io.tables.conditions import Conditions, areas, pressure_differences, temperatures
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.permeate import fluxes
from membrane_dask.io.tables.roles import folded
from membrane_dask.io.tables.rows import Row
from membrane_dask.physics.porometry.water import Water
from membrane_dask.quantities import fits

#: Gases whose flow a header names.
_GAS = re.compile(r"\b(?:gas|gaz|air|luft|nitrogen|stickstoff|azote|n2|helium|argon|co2|oxygen)\b")
#: Distinct pressures that a published line needs.
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
    row : (n,) int array
        Row of each reading in the file, which is the order of the measurement.
    time : (n,) float array or None
        s, where the table has times of a log.
    no_flow : (k,) float array
        Pressures at which there was no flow, Pa.
    resolution : float
        Relative error of a flux by its printed digits, at the largest flux.
    """

    membrane: str
    state: str
    pressure: np.ndarray
    flux: np.ndarray
    replicate: np.ndarray
    standard_deviation: np.ndarray | None
    temperature: float
    area: float | None
    row: np.ndarray
    time: np.ndarray | None = None
    no_flow: np.ndarray = field(default_factory=lambda: np.empty(0))
    resolution: float = 0.0


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
    columns : tuple of (str, str)
        Header and meaning of each column that is used.
    findings : tuple of str
        What was concluded about the table, and what was left out.
    """

    membranes: tuple[FluxCurve | FittedLine, ...]
    ignored_columns: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = ()
    findings: tuple[str, ...] = ()


def read_flux_table(
    path: Path, *, options: TableOptions | None = None, conditions: Conditions | None = None
) -> FluxTable:
    """Read flux curves, or published lines if the table has a column of permeabilities.

    Parameters
    ----------
    path : Path
        CSV or other text, Excel or JSON.
    options : TableOptions, optional
        What the study says about the table.
    conditions : Conditions, optional
        Area, temperature and pressures that the study gives.

    Returns
    -------
    FluxTable

    Raises
    ------
    TableError
        With all problems of the table.
    """
    table = MeasuredTable(path, options)
    conditions = conditions or Conditions()
    membranes: Sequence[FluxCurve | FittedLine]
    if table.column("permeability") and table.column("pressures"):
        membranes = _read_lines(table, conditions)
    else:
        membranes = read_curves(table, conditions)
    if not membranes and not table.problems:
        table.problems.append(f"{path.name} has no membrane")
    table.raise_problems()
    return FluxTable(tuple(membranes), tuple(table.unused), table.meanings(), tuple(table.findings))


def read_curves(table: MeasuredTable, conditions: Conditions) -> list[FluxCurve]:
    """Flux curves of a table; what is missing or contradictory is added to its problems."""
    for wet_or_dry in ("wet flow", "dry flow"):
        if column := table.column(wet_or_dry):
            table.problems.append(
                f"column {column.header!r} is a flow of gas through a {wet_or_dry[:3]} membrane: method: capillary flow"
            )
            return []
    for column in (*table.all("flow"), *table.all("flux")):
        if column.unit.standard or _GAS.search(folded(column.header)):
            table.problems.append(
                f"column {column.header!r} is a flow of gas, which is no water: method: gas permeation, or "
                "method: capillary flow with a wet and a dry one"
            )
            return []
    names = table.labels("membrane", _single_name(table))
    states, replicates = table.labels("state"), table.labels("replicate")
    pressure = pressure_differences(table, conditions)
    kelvin = temperatures(table, conditions, conditions.reference_temperature)
    water = [_water(table, row, value) for row, value in zip(table.rows, kelvin, strict=True)]
    density = np.array([w.density if w else np.nan for w in water])
    columns = fluxes(table, conditions, density, zip(names, states, replicates, strict=True))
    area = areas(table, conditions)
    deviation_column = table.column("flux deviation")
    deviation = None
    if deviation_column and columns:
        if not deviation_column.si:
            deviation_column = table.with_unit_of(deviation_column, "flux")
        deviation = table.numbers(deviation_column, above=0.0)
        if deviation_column.si and fits(deviation_column.si, "kg m-2 s-1"):
            deviation = deviation / density
    time_column = table.column("time")
    time = (
        table.numbers(time_column) if time_column and not table.column("mass") and not table.column("volume") else None
    )
    if pressure is not None and columns:
        compare_permeance(table, pressure, [flux for _, flux in columns], density)
    if pressure is None or not columns or table.problems:
        return []
    points: dict[tuple[str, str], list[_Point]] = {}
    for k, row in enumerate(table.rows):
        for replicate, flux in columns:
            if not np.isfinite(pressure[k]) or not np.isfinite(flux[k]):
                continue
            reading = water[k]
            assert reading is not None
            points.setdefault((names[k], states[k]), []).append(
                _Point(
                    row, float(pressure[k]), float(flux[k]), np.nan if deviation is None else float(deviation[k]),
                    replicates[k] or (str(replicate) if replicate else ""), float(kelvin[k]), reading.viscosity,
                    None if area is None else float(area[k]), np.nan if time is None else float(time[k]),
                )
            )  # fmt: skip
    digits = table.resolution("flux") or table.resolution("flow")
    return [curve for label, readings in points.items() for curve in _curve(table, label, readings, digits)]


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
    time: float


def _single_name(table: MeasuredTable) -> str:
    """Name of the membrane of a table without such a column: from the lines above it; empty if they have none."""
    stated = table.header_block.stated.get("membrane")
    return str(stated.value) if stated is not None else ""


def _water(table: MeasuredTable, row: Row, kelvin: float) -> Water | None:
    try:
        return Water.at(kelvin)
    except ValueError as error:
        if kelvin == kelvin:
            table.problem(row, str(error))
    return None


def _curve(
    table: MeasuredTable, label: tuple[str, str], points: Sequence[_Point], resolution: float
) -> list[FluxCurve]:
    """Curve of one membrane; empty where its points have problems."""
    name = ", ".join(filter(None, label)) or "of the table"
    areas_of = {p.area for p in points}
    if len(areas_of) > 1:
        text = ", ".join(f"{a:g}" for a in sorted(areas_of, key=str))
        table.problems.append(f"membrane {name} has several areas: {text} m2")
        return []
    mean_temperature = float(np.array([p.temperature for p in points], float).mean())
    viscosity_ratio = np.array([p.viscosity for p in points]) / Water.at(mean_temperature).viscosity
    replicates = {text: k for k, text in enumerate(sorted({p.replicate for p in points}, key=_natural))}
    pressure = np.array([p.pressure for p in points], float)
    flux = np.array([p.flux for p in points], float) * viscosity_ratio
    deviation = np.array([p.standard_deviation for p in points], float) * viscosity_ratio
    time = np.array([p.time for p in points], float)
    order = np.argsort(pressure, kind="stable")
    order = order[flux[order] > 0]
    if not len(order):
        table.problems.append(f"membrane {name} has no reading with a flux above 0")
        return []
    lowest = float(pressure[order].min())
    for point in points:
        if point.flux == 0 and point.pressure >= lowest:
            table.problem(
                point.row,
                f"the flux must be greater than 0 (got 0 at {point.pressure * 1e-5:.4g} bar, but there is flow at "
                f"{lowest * 1e-5:.4g} bar)",
            )
    if table.problems:
        return []
    return [
        FluxCurve(
            membrane=label[0],
            state=label[1],
            pressure=pressure[order],
            flux=flux[order],
            replicate=np.array([replicates[p.replicate] for p in points])[order],
            standard_deviation=deviation[order] if np.isfinite(deviation).all() else None,
            temperature=mean_temperature,
            area=areas_of.pop(),
            row=np.array([p.row.number for p in points])[order],
            time=time[order] if np.isfinite(time).all() else None,
            no_flow=np.sort(pressure[flux == 0]),
            resolution=resolution,
        )
    ]


def _natural(label: str) -> tuple[float, str]:
    """Sort key by which numbers precede text."""
    return (float(label), "") if re.fullmatch(r"\d+", label) else (np.inf, label)


def _read_lines(table: MeasuredTable, conditions: Conditions) -> list[FittedLine]:
    for role, example in (
        ("membrane", "membrane"), ("intercept", "intercept flux [L m-2 h-1]"), ("r squared", "r2"),
        ("pressures", "pressures [kPa]"),
    ):  # fmt: skip
        if not table.column(role):
            table.problems.append(f"a table of lines needs a column '{example}'")
    if table.problems:
        return []
    columns = {
        role: table.column(role) for role in ("permeability", "intercept", "r squared", "pressures", "threshold")
    }
    permeability_column, intercept_column = columns["permeability"], columns["intercept"]
    pressures_column, r_squared_column = columns["pressures"], columns["r squared"]
    assert permeability_column
    assert intercept_column
    assert pressures_column
    assert r_squared_column
    names, states = table.labels("membrane"), table.labels("state")
    permeability = table.numbers(permeability_column, above=0.0)
    intercept = table.numbers(intercept_column)
    r_squared = table.numbers(r_squared_column, above=0.0)
    threshold_column = columns["threshold"]
    threshold = table.numbers(threshold_column, above=0.0) if threshold_column else np.full(len(table.rows), np.nan)
    kelvin = temperatures(table, conditions, conditions.reference_temperature)
    area = areas(table, conditions)
    by_mass = fits(permeability_column.si, "kg m-2 s-1 Pa-1")
    flux_by_mass = fits(intercept_column.si, "kg m-2 s-1")
    lines: list[FittedLine] = []
    first_rows: dict[tuple[str, str], Row] = {}
    for k, row in enumerate(table.rows):
        problems_before = len(table.problems)
        label = (names[k], states[k])
        if label in first_rows:
            table.problem(row, f"repeats the membrane of row {first_rows[label].number}")
        first_rows.setdefault(label, row)
        for column, value in (
            (permeability_column, permeability[k]), (intercept_column, intercept[k]), (r_squared_column, r_squared[k])
        ):  # fmt: skip
            if value != value and not table.problems:
                table.problem(row, f"{column.header} is empty")
        if r_squared[k] > 1:
            table.problem(row, f"r2 must be at most 1 (got {r_squared[k]:g})")
        pressures = table.split_numbers(row, pressures_column)
        distinct = len(np.unique(pressures))
        if distinct < MIN_PRESSURES:
            table.problem(row, f"has {distinct} different pressures; at least {MIN_PRESSURES} are needed")
        water = _water(table, row, kelvin[k])
        if len(table.problems) > problems_before or water is None:
            continue
        lines.append(
            FittedLine(
                *label,
                permeability[k] / water.density if by_mass else permeability[k],
                intercept[k] / water.density if flux_by_mass else intercept[k],
                float(r_squared[k]),
                pressures,
                float(threshold[k]) if np.isfinite(threshold[k]) else None,
                float(kelvin[k]),
                None if area is None else float(area[k]),
            )
        )
    return lines
