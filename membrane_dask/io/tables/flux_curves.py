"""Curves of flux against pressure, and lines that were fitted to such, from tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.io.tables.columns import Column, Reader, read_header
from membrane_dask.io.tables.files import Row, TableError, read_rows
from membrane_dask.physics.porometry.water import Water
from membrane_dask.quantities import fits

#: Fewer pressures than this say nothing of how far a line can be trusted.
LEAST_PRESSURES = 3
#: Problems that are told before the rest is only counted.
_TOLD = 30


@dataclass(frozen=True)
class Curve:
    """Flux against pressure of one membrane.

    Parameters
    ----------
    membrane, state : str
        Its label; and which state it is in, such as before or after a treatment, or nothing.
    pressure, flux : (n,) float array
        Pa and m s-1, > 0, by rising pressure.
    replicate : (n,) int array
        Number of the replicate; 0 where the table tells none.
    deviation : (n,) float array or None
        Standard deviation of each flux, m s-1, if the table tells.
    temperature : float
        K. Fluxes at other temperatures are told at this one by water's viscosity.
    area : float or None
        m2.
    """

    membrane: str
    state: str
    pressure: np.ndarray
    flux: np.ndarray
    replicate: np.ndarray
    deviation: np.ndarray | None
    temperature: float
    area: float | None


@dataclass(frozen=True)
class Line:
    """A line that somebody has fitted: only its numbers are left.

    Parameters
    ----------
    membrane, state : str
        As of a :class:`Curve`.
    permeability, intercept : float
        m s-1 Pa-1, > 0, and m s-1.
    r_squared : float
        In (0, 1].
    pressures : (n,) float array
        Pressures that were fitted, Pa.
    threshold : float or None
        Threshold pressure as it was printed, Pa, > 0, if it was.
    temperature, area
        As of a :class:`Curve`.
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
class Measurements:
    """What a table holds, and the columns that are of no use here."""

    found: tuple[Curve | Line, ...]
    ignored: tuple[str, ...]


def read_measurements(
    path: Path, *, sheet: str | None = None, decimal: str = ".", area: float | None = None,
    temperature: float = 298.15,
) -> Measurements:  # fmt: skip
    """Curves of flux against pressure, or lines that were fitted to such; which, the columns tell.

    Parameters
    ----------
    path : Path
        CSV, Excel or JSON.
    sheet : str, optional
        Of a workbook with several.
    decimal : {".", ","}
        What stands before decimals in text.
    area : float, optional
        Membrane area, m2, where no column tells; needed for permeate mass or volume and time.
    temperature : float
        Of the water, K, where no column tells.

    Returns
    -------
    Measurements

    Raises
    ------
    TableError
        With everything that is wrong.
    """
    header, rows = read_rows(path, sheet)
    found = read_header(header)
    reader = Reader(found, decimal)
    if found.get("permeability"):
        made: list[Any] = _lines(reader, rows, area, temperature)
    else:
        made = _curves(reader, rows, area, temperature)
    if not made and not reader.problems:
        reader.problems.append(f"{path.name} holds no membrane")
    if reader.problems:
        more = len(reader.problems) - _TOLD
        told = [*reader.problems[:_TOLD], *([f"and {more} more problems"] if more > 0 else [])]
        raise TableError(told)
    return Measurements(tuple(made), tuple(found.ignored))


def _curves(reader: Reader, rows: Sequence[Row], area: float | None, temperature: float) -> list[Curve]:
    found = reader.found
    route = _route(reader, area)
    if reader.problems:
        return []
    points: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        label = (reader.word(row, "membrane") if found.get("membrane") else "membrane", reader.word(row, "state"))
        pressure = reader.number(row, found.get("pressure"))  # type: ignore[arg-type]
        warm = found.get("temperature")
        kelvin = reader.number(row, warm) if warm and reader.filled(row, warm) else temperature
        try:
            water = Water.at(kelvin)
        except ValueError as error:
            if kelvin == kelvin:
                reader.say(row, str(error))
            continue
        own = found.get("area")
        extent = reader.number(row, own) if own else area
        for column in route:
            # Of several columns of replicates a row may leave some empty.
            if len(route) > 1 and not reader.filled(row, column):
                continue
            flux = _flux(reader, row, column, water, extent)
            sd = found.get("flux deviation")
            points.setdefault(label, []).append(
                {
                    "row": row,
                    "pressure": pressure,
                    "flux": flux,
                    "deviation": _volumetric(sd, reader.number(row, sd), water) if sd else math.nan,
                    "replicate": reader.word(row, "replicate") or (str(column.number) if column.number else ""),
                    "temperature": kelvin,
                    "viscosity": water.viscosity,
                    "area": extent,
                }
            )
    return [curve for label, known in points.items() for curve in _curve(reader, label, known)]


def _route(reader: Reader, area: float | None) -> list[Column]:
    """Columns that tell the flux, each a replicate; or the permeate, from which it follows."""
    found = reader.found
    fluxes, mass, volume, time = found.all("flux"), found.get("mass"), found.get("volume"), found.get("time")
    permeate = [c for c in (mass, volume) if c]
    others = f"; columns that are not known: {', '.join(map(repr, found.ignored))}" if found.ignored else ""
    if not found.get("pressure") and not any("pressure" in p for p in reader.problems):
        reader.problems.append(f"there is no column of the pressure, such as 'pressure [bar]'{others}")
    if fluxes and permeate:
        told = f"{fluxes[0].header!r} and {permeate[0].header!r}"
        reader.problems.append(f"columns {told} both tell the flux: keep one")
    elif len(permeate) > 1:
        reader.problems.append(f"columns {permeate[0].header!r} and {permeate[1].header!r} both tell it: keep one")
    elif permeate and not time:
        reader.problems.append(f"column {permeate[0].header!r} needs one of the time beside it, such as 'time [s]'")
    elif permeate and not found.get("area") and area is None:
        reader.problems.append(f"column {permeate[0].header!r} needs the membrane's area; for example area: 34 cm2")
    elif not fluxes and not permeate and not any("flux" in p or "mass" in p for p in reader.problems):
        words = "there is no column of the flux, such as 'flux [L m-2 h-1]', or 'mass [g]' and 'time [s]'"
        reader.problems.append(words + others)
    if len(fluxes) > 1 and found.get("replicate"):
        reader.problems.append("replicates stand in rows and in columns as well: keep one of both")
    return fluxes or permeate


def _volumetric(column: Column, value: float, water: Water) -> float:
    """A flux in m s-1 from one by volume or by mass."""
    return value / water.density if fits(column.unit, "kg m-2 s-1") else value


def _flux(reader: Reader, row: Row, column: Column, water: Water, area: float | None) -> float:
    value = reader.number(row, column)
    if column.role == "flux":
        return _volumetric(column, value, water)
    time = reader.found.get("time")
    assert time
    seconds = reader.number(row, time)
    assert area is not None
    return (value / water.density if column.role == "mass" else value) / area / seconds


def _curve(reader: Reader, label: tuple[str, str], points: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    """One membrane's curve, unless something is wrong with it."""
    name = ", ".join(filter(None, label))
    arrays = {k: np.array([p[k] for p in points], float) for k in ("pressure", "flux", "deviation", "temperature")}
    sound = True
    seen: dict[tuple[str, float], Row] = {}
    replicates = {word: k for k, word in enumerate(sorted({p["replicate"] for p in points}, key=_natural))}
    for point in points:
        key = (point["replicate"], point["pressure"])
        if key in seen and key[1] == key[1]:
            told = f"repeats the pressure of row {seen[key].number}"
            reader.say(point["row"], f"{told}; replicates need a column 'replicate' that tells them apart")
            sound = False
        seen.setdefault(key, point["row"])
    if not np.isfinite(arrays["pressure"] + arrays["flux"]).all():
        return
    pressures = len(np.unique(arrays["pressure"]))
    if pressures < LEAST_PRESSURES:
        reader.problems.append(
            f"membrane {name} has {pressures} different pressures; at least {LEAST_PRESSURES} are needed"
        )
        sound = False
    areas = {p["area"] for p in points}
    if len(areas) > 1:
        told = ", ".join(f"{a:g}" for a in sorted(areas, key=str))
        reader.problems.append(f"membrane {name} has several areas: {told} m2")
        sound = False
    if not sound:
        return
    mean = float(arrays["temperature"].mean())
    at_mean = np.array([p["viscosity"] for p in points]) / Water.at(mean).viscosity
    order = np.argsort(arrays["pressure"], kind="stable")
    known = bool(np.isfinite(arrays["deviation"]).all())
    yield Curve(
        membrane=label[0],
        state=label[1],
        pressure=arrays["pressure"][order],
        flux=(arrays["flux"] * at_mean)[order],
        replicate=np.array([replicates[p["replicate"]] for p in points])[order],
        deviation=(arrays["deviation"] * at_mean)[order] if known else None,
        temperature=mean,
        area=areas.pop(),
    )


def _natural(word: str) -> tuple[float, str]:
    return (float(word), "") if re.fullmatch(r"\d+", word) else (math.inf, word)


def _lines(reader: Reader, rows: Sequence[Row], area: float | None, temperature: float) -> list[Line]:
    found = reader.found
    for role, example in (
        ("membrane", "membrane"), ("intercept", "intercept flux [L m-2 h-1]"), ("r squared", "r2"),
        ("pressures", "pressures [kPa]"),
    ):  # fmt: skip
        if not found.get(role):
            reader.problems.append(f"a table of lines needs a column '{example}'")
    if reader.problems:
        return []
    made: list[Line] = []
    seen: dict[tuple[str, str], Row] = {}
    for row in rows:
        before = len(reader.problems)
        label = (reader.word(row, "membrane"), reader.word(row, "state"))
        if label in seen:
            reader.say(row, f"stands in row {seen[label].number} already")
        seen.setdefault(label, row)
        columns = {role: found.get(role) for role in ("permeability", "intercept", "r squared", "threshold")}
        warm, own = found.get("temperature"), found.get("area")
        kelvin = reader.number(row, warm) if warm else temperature
        extent = reader.number(row, own) if own else area
        permeability = reader.number(row, columns["permeability"])  # type: ignore[arg-type]
        intercept = reader.number(row, columns["intercept"], above=None)  # type: ignore[arg-type]
        r_squared = reader.number(row, columns["r squared"])  # type: ignore[arg-type]
        if r_squared > 1:
            reader.say(row, f"r2 must be at most 1 (got {r_squared:g})")
        printed = columns["threshold"]
        threshold = reader.number(row, printed) if printed and reader.filled(row, printed) else None
        pressures = reader.numbers(row, found.get("pressures"))  # type: ignore[arg-type]
        if len(np.unique(pressures)) < LEAST_PRESSURES:
            reader.say(row, f"has {len(np.unique(pressures))} pressures; at least {LEAST_PRESSURES} are needed")
        if len(reader.problems) > before:
            continue
        density = Water.at(kelvin).density
        by_mass = fits(columns["permeability"].unit, "kg m-2 s-1 Pa-1")  # type: ignore[union-attr]
        flux_by_mass = fits(columns["intercept"].unit, "kg m-2 s-1")  # type: ignore[union-attr]
        made.append(
            Line(*label, permeability / density if by_mass else permeability,
                 intercept / density if flux_by_mass else intercept, r_squared, pressures, threshold, kelvin, extent)
        )  # fmt: skip
    return made
