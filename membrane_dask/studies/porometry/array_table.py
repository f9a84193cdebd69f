"""Readings in memory as a table: arrays, columns of a data frame and quantities of pint, with units of the bench."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, StudyError, short
from membrane_dask.io.tables.columns import TableOptions
from membrane_dask.io.tables.headers import power_of_ten, split_header
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.roles import NUMBER, ROLES
from membrane_dask.io.tables.unit_text import UnitText, measures, unit_text
from membrane_dask.quantities import split_quantity
from membrane_dask.studies.porometry.config import PorometryStudy

#: Units of plain numbers, by argument.
_UNITS = {
    "pressure": "bar", "feed_pressure": "bar", "permeate_pressure": "bar", "mean_pressure": "bar",
    "lowest_pressure": "bar", "flux": "L m-2 h-1", "permeance": "mol m-2 s-1 Pa-1", "flow": "mL min-1",
    "wet_flow": "L min-1", "dry_flow": "L min-1", "half_dry_flow": "L min-1", "first_flow": "L min-1", "time": "min",
    "temperature": "degC", "reference_temperature": "degC", "area": "cm2", "volume": "mL",
    "volume_per_area": "L m-2", "intruded_volume": "mL g-1", "molar_mass": "kDa", "solute_radius": "nm",
    "rejection": "1", "feed_concentration": "mg L-1", "permeate_concentration": "mg L-1", "thickness": "um",
    "surface_tension": "mN m-1", "interfacial_tension": "mN m-1", "viscosity": "mPa s", "skeleton_density": "g mL-1",
    "value": "m s-1",
}  # fmt: skip
#: Arguments that are absolute pressures, whatever their unit.
_ABSOLUTE = ("feed_pressure", "permeate_pressure", "mean_pressure")
#: Arguments of which one value may stand for all readings.
_COMMON = ("pressure", "permeate_pressure", "temperature", "area")
#: Roles of arguments that have another name.
_ROLES = {"permeance": "permeability"}


class ArrayStudy(PorometryStudy):
    """Settings of readings in memory: those of a study that names no table."""

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from ()


def array_table(columns: Mapping[str, Any], conditions: Mapping[str, Any]) -> tuple[MeasuredTable, ArrayStudy]:
    """Table of readings in memory, and the settings of its study.

    Parameters
    ----------
    columns : mapping of str to array_like or scalar
        Readings by argument; None where the caller has none. Among arrays, one pressure, temperature or area stands
        for all readings.
    conditions : mapping of str to scalar or mapping
        Settings of a study by name.

    Raises
    ------
    ValueError
        If a setting is not allowed, or the columns differ in length.
    """
    readings = {name: values for name, values in columns.items() if values is not None}
    _check_containers(readings)
    settings = {name: value for name, value in conditions.items() if value is not None}
    for name, value in settings.items():
        if not _is_single(value):
            raise ValueError(f"{name}: one value is needed (got {short(value)})")
    if not all(map(_is_single, readings.values())):
        common = [name for name in _COMMON if name in readings and _is_single(readings[name])]
        settings |= {name: readings.pop(name) for name in common}
    try:
        study = ArrayStudy(**{name: _setting(name, value) for name, value in settings.items()})
    except StudyError as error:
        raise ValueError("\n".join(f"{problem.field}: {problem.message}" for problem in error.problems)) from None
    cells, roles = {}, {}
    findings: list[str] = []
    for name, values in readings.items():
        magnitude, unit = _magnitude_and_unit(values)
        cells[name] = _cells(name, magnitude)
        roles[name] = _role_with_unit(name, values, unit, cells[name], findings)
    if len({len(column) for column in cells.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in cells.items())
        raise ValueError(f"the arrays differ in length ({lengths}): each reading needs a value in all of them")
    if not any(cells.values()):
        raise ValueError(f"{', '.join(cells or columns)}: there is no reading")
    table = MeasuredTable.of_columns(cells, TableOptions(columns=roles, censored=study.censored))
    table.findings[:0] = findings
    return table, study


def _check_containers(readings: Mapping[str, Any]) -> None:
    """Readings have an order, and columns of data frames one index."""
    indexed: dict[str, Any] = {}
    for name, values in readings.items():
        if isinstance(values, (Mapping, Set, Iterator)):
            raise ValueError(f"{name}: an array or a list is needed (got {short(values)})")
        if hasattr(values, "isna") and hasattr(values, "index"):
            indexed[name] = values.index
    for name, index in indexed.items():
        first = next(iter(indexed))
        if len(index) == len(indexed[first]) and not index.equals(indexed[first]):
            raise ValueError(f"{first} and {name} have different indexes: which readings belong together? align them")


def _is_single(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return False
    return isinstance(value, (str, Mapping)) or np.ndim(getattr(value, "magnitude", value)) == 0


def _magnitude_and_unit(values: Any) -> tuple[Any, str]:
    """Numbers and unit of a quantity of pint, or of a text such as ``1.2 bar``; the unit of anything else is empty."""
    if isinstance(values, str):
        try:
            (number,), unit = split_quantity(values)
        except ValueError:
            return values, ""
        return number, unit
    if not hasattr(values, "magnitude"):
        return values, ""
    text = re.sub(r"\s*\*\*\s*", "^", f"{values.units:~}").replace(" * ", " ")
    return values.magnitude, re.sub(r"\s*/\s*", "/", text) or "1"


def _setting(name: str, value: Any) -> Any:
    """A setting as a study writes it: numbers have a unit."""
    if isinstance(value, Mapping):
        return {key: _setting(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, str):
        return value
    number, unit = _magnitude_and_unit(value)
    number = number.item() if isinstance(number, (np.generic, np.ndarray)) else number
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return number
    unit = unit or _UNITS.get(name.rpartition(".")[2], "")
    if unit == "degC":
        _check_celsius(name, number)
    return f"{float(number)!r} {unit}" if unit else number


def _cells(name: str, values: Any) -> list[Any]:
    """Readings as cells of a table; None where a value is missing or masked."""
    if isinstance(values, str):
        return [values]
    if hasattr(values, "isna"):  # a column of pandas, whose missing values are of several types
        values = values.to_numpy(dtype=object, na_value=None)
    if not isinstance(values, (list, tuple)):
        if np.ndim(values) > 1:
            raise ValueError(f"{name}: one dimension is needed (got {np.ndim(values)})")
        values = np.atleast_1d(np.ma.asanyarray(values)).tolist()
    return [cell.item() if isinstance(cell, np.generic) else cell for cell in values]


def _role_with_unit(name: str, values: Any, unit: str, cells: list[Any], findings: list[str]) -> str:
    """Quantity and unit of an array, as a study writes them: its own unit, else that of the bench.

    An array has the unit of a quantity of pint, of its attribute ``units`` (xarray), or of its name (a column of a
    data frame, ``pressure [kPa]``). Arithmetic keeps names, so that a unit which is not that of the bench is reported.
    """
    role = _ROLES.get(name, name.replace("_", " "))
    if not ROLES[role].units:
        return role
    header, stated = getattr(values, "name", None), str(getattr(values, "attrs", {}).get("units", ""))
    in_header = _unit_in_header(name, role, header) if isinstance(header, str) else ""
    sources = {"": unit, " by its attribute units": stated, f" by its name {header!r}": in_header}
    texts = {text: source for source, text in sources.items() if text}
    for text, source in texts.items():
        if not _measures(unit_text(text), role):
            raise ValueError(f"{name}: {text!r}{source} is not a unit of {role}, such as {_UNITS[name]}")
    if len({(u.unit, u.factor, u.reference) for u in map(unit_text, texts)}) > 1:
        raise ValueError(f"{name}: its units differ: {' and '.join(map(repr, texts))}; keep one")
    text = next(iter(texts), _UNITS[name])
    if texts.get(text) and text != _UNITS[name]:
        findings.append(f"{name} is in {text}{texts[text]}")
    if text == "degC":
        for cell in cells:
            _check_celsius(name, cell)
    if name in _ABSOLUTE and not unit_text(text).reference:
        text = f"{text}(a)"
    return f"{role} [{text}]"


def _unit_in_header(name: str, role: str, header: str) -> str:
    """Unit in the name of a column of a data frame; empty without one."""
    for _, text in split_header(header):
        if text and _measures(unit_text(text), role):
            if ROLES[role].units == ("Pa",) and text.strip() in ("mPa", "mpa"):
                raise ValueError(f"{name}: is {text} in {header!r} millipascal or megapascal? rename the column")
            if power := power_of_ten(header.replace(text, "")):
                raise ValueError(f"{name}: is {power} in {header!r} part of the unit? rename it, such as '[10^-6 m/s]'")
            return text
    bracketed = re.search(r"[\[(](.+)[\])]", header)
    return bracketed[1] if bracketed else ""


def _measures(unit: UnitText, role: str) -> bool:
    """Whether a quantity may have a unit; percent is one of those of a number."""
    is_number = ROLES[role].units == NUMBER and unit.text.strip() in ("%", "1", "-")
    return is_number or bool(measures(unit, ROLES[role].units))


def _check_celsius(name: str, value: Any) -> None:
    if isinstance(value, (int, float)) and 273 <= value <= 373:
        raise ValueError(f"{name}: {value:g} degC is no temperature of a bench; write '{value:g} K' if it is in K")
