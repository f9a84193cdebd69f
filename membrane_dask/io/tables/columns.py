"""Recognise columns by their headers and convert their cells to SI units, collecting all problems."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from membrane_dask.errors import short
from membrane_dask.io.tables.files import Row
from membrane_dask.plain_text import printable
from membrane_dask.quantities import convert, fits, parse_unit

#: Characters of a label.
_MAX_LABEL = 200


@dataclass(frozen=True)
class _Role:
    """A quantity that a column may hold: its usual names and its SI units; no units for labels."""

    names: tuple[str, ...]
    units: tuple[str, ...] = ()


_ROLES: Mapping[str, _Role] = {
    "membrane": _Role(("membrane", "sample", "id", "name", "label")),
    "state": _Role(("state", "condition", "stage", "treatment")),
    "replicate": _Role(("replicate", "repeat", "run", "rep")),
    "pressure": _Role(("pressure", "transmembrane pressure", "applied pressure", "tmp", "dp", "p"), ("Pa",)),
    "flux": _Role(
        ("flux", "water flux", "permeate flux", "pure water flux", "j", "jv", "j_v", "jw", "j_w"),
        ("m s-1", "kg m-2 s-1"),
    ),
    "flux deviation": _Role(
        ("flux deviation", "flux sd", "flux std", "flux error", "standard deviation", "sd"), ("m s-1", "kg m-2 s-1")
    ),
    "mass": _Role(("mass", "permeate mass", "weight", "m", "w"), ("kg",)),
    "volume": _Role(("volume", "permeate volume", "v"), ("m3",)),
    "time": _Role(("time", "permeate time", "collection time", "duration", "t"), ("s",)),
    "temperature": _Role(("temperature", "water temperature", "temp", "t"), ("K",)),
    "area": _Role(("area", "membrane area", "effective area", "a"), ("m2",)),
    "permeability": _Role(
        ("hydraulic permeability", "permeability", "permeance", "l_m", "lm", "l_p", "lp"),
        ("m s-1 Pa-1", "kg m-2 s-1 Pa-1"),
    ),
    "intercept": _Role(("intercept flux", "intercept", "j_0", "j0"), ("m s-1", "kg m-2 s-1")),
    "r squared": _Role(("r squared", "r_squared", "r2", "r^2", "r²")),
    "threshold": _Role(("threshold pressure", "threshold", "p_0", "p0"), ("Pa",)),
    "pressures": _Role(("pressures", "fitted pressures"), ("Pa",)),
}
_EXAMPLES = {"pressure": "pressure [bar]", "flux": "flux [L m-2 h-1]", "mass": "mass [g]", "time": "time [s]"}


@dataclass(frozen=True)
class Column:
    """A recognised column.

    Parameters
    ----------
    role : str
        Quantity that it holds.
    index : int
        Its position in the table, from 0.
    header : str
        Its header.
    unit : str
        Unit in the header.
    replicate : int
        Number of the replicate where several columns hold one quantity (``flux 1``, ``flux 2``), else 0.
    """

    role: str
    index: int
    header: str
    unit: str = ""
    replicate: int = 0


@dataclass
class Columns:
    """Recognised columns of a table, problems of the header, and headers that were not recognised."""

    columns: list[Column] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def get(self, role: str) -> Column | None:
        """First column of a role."""
        return next((c for c in self.columns if c.role == role), None)

    def all(self, role: str) -> list[Column]:
        """All columns of a role."""
        return [c for c in self.columns if c.role == role]


def _candidates(header: str) -> list[tuple[str, int, str]]:
    """Roles that a header may name, each with the number of the replicate and the unit in the header."""
    text = re.sub(r"\s+", " ", header.strip())
    matches = []
    for role, definition in _ROLES.items():
        for name in definition.names:
            pattern = re.escape(name).replace(r"\ ", "[ _]")
            match = re.fullmatch(
                rf"{pattern}(?:[ _]?(\d+))?(?:[ _]*[\[(,/][ ]*(.+?)[ ]*[\])]?|[ _]+(\S.*))?", text, re.I
            )
            if match and (definition.units or not (match[2] or match[3])):
                unit = match[2] or match[3] or ""
                if match[2] and unit.count("(") > unit.count(")"):
                    unit += ")"
                matches.append((len(name), role, int(match[1] or 0), unit))
    matches.sort(key=lambda item: -item[0])
    # The longest name decides; roles of names of equal length remain, as `t` of time and temperature.
    return [(role, number, unit) for length, role, number, unit in matches if length == matches[0][0]]


def read_header(headers: Sequence[str]) -> Columns:
    """Recognise the columns of a table by their headers.

    Parameters
    ----------
    headers : sequence of str
        Headers such as ``pressure [bar]``, ``TMP (kPa)`` or ``Jv (LMH)``.

    Returns
    -------
    Columns
        With a problem for each column that has no unit, a unit of another quantity, or the role of another column.
    """
    columns = Columns()
    for index, header in enumerate(headers):
        if printable(header) != header:
            columns.problems.append(f"column {index + 1}: its header has control characters (got {short(header)})")
            continue
        candidates = _candidates(header) if len(header) <= _MAX_LABEL else []
        if not candidates:
            if header.strip():
                columns.ignored.append(header.strip()[:_MAX_LABEL])
            continue
        compatible = [
            (role, number, unit)
            for role, number, unit in candidates
            if not _ROLES[role].units or any(fits(unit, u) for u in _ROLES[role].units)
        ]
        if compatible:
            role, number, unit = compatible[0]
            column = Column(role, index, header.strip(), unit, number)
            duplicate = next((c for c in columns.columns if (c.role, c.replicate) == (role, number)), None)
            if duplicate:
                columns.problems.append(
                    f"columns {duplicate.header!r} and {column.header!r} both hold the {role}: keep one"
                )
            else:
                columns.columns.append(column)
            continue
        role, _, unit = candidates[0]
        columns.problems.append(_unit_problem(header.strip(), role, unit))
    return columns


def _unit_problem(header: str, role: str, unit: str) -> str:
    """Message on a column without a unit, or with a wrong one."""
    example = _EXAMPLES.get(role, f"{role} [{_ROLES[role].units[0]}]")
    if not unit:
        return f"column {header!r} has no unit; for example '{example}'"
    try:
        parse_unit(unit)
        reason = f"is not a unit of {role}"
    except ValueError:
        reason = "is not a recognised unit"
    return f"column {header!r}: {unit!r} {reason}; for example '{example}'"


def _cell(row: Row, column: Column | None) -> Any:
    return row.cell(column.index) if column else None


class CellReader:
    """Convert cells to labels and to numbers in SI units; problems are collected in ``problems``.

    Parameters
    ----------
    columns : Columns
        Recognised columns.
    decimal : {".", ","}
        Decimal separator of numbers that are stored as text.
    """

    def __init__(self, columns: Columns, decimal: str) -> None:
        self.columns, self.decimal = columns, decimal
        self.problems = list(columns.problems)

    def add_problem(self, row: Row, message: str) -> None:
        """Record a problem of a row."""
        name = _cell(row, self.columns.get("membrane"))
        shown = f" ({printable(str(name)[:_MAX_LABEL])})" if name is not None else ""
        self.problems.append(f"row {row.number}{shown}: {message}")

    def is_filled(self, row: Row, column: Column) -> bool:
        """Whether a cell is not empty."""
        return _cell(row, column) is not None

    def label(self, row: Row, role: str) -> str:
        """Text of a cell; empty without such a column. An empty cell is a problem."""
        column = self.columns.get(role)
        if column is None:
            return ""
        value = _cell(row, column)
        if value is None:
            advice = ": each row needs the label" if role == "membrane" else ""
            self.add_problem(row, f"{column.header} is empty{advice}")
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = str(value).strip()
        if printable(text) != text or len(text) > _MAX_LABEL:
            self.add_problem(
                row, f"{column.header} must be at most {_MAX_LABEL} printable characters (got {short(text)})"
            )
            return ""
        return text

    def number(self, row: Row, column: Column, *, above: float | None = 0.0) -> float:
        """Number of a cell in SI units, greater than ``above``; NaN where it has a problem."""
        value = _cell(row, column)
        if value is None:
            self.add_problem(row, f"{column.header} is empty")
            return math.nan
        return self._convert(row, column, value, above)

    def numbers(self, row: Row, column: Column) -> np.ndarray:
        """Several numbers of one cell, in SI units, greater than 0."""
        value = _cell(row, column)
        items = re.split(r"[;\s]+" if self.decimal == "," else r"[,;\s]+", str(value or "").strip())
        return np.array([self._convert(row, column, item, 0.0) for item in items if item])

    def _convert(self, row: Row, column: Column, value: Any, above: float | None) -> float:
        text = str(value).strip()
        if self.decimal == "," and isinstance(value, str):
            text = text.replace(",", ".")
        try:
            number = float(text)
        except ValueError:
            message = f"{column.header} must be a number (got {short(text)})"
            if re.fullmatch(r"[-+]?\d*,\d+", text):
                message += f"; it has a decimal comma: write {text.replace(',', '.')}, or set decimal: ','"
            elif re.match(r"[-+]?[\d.]+\s*[A-Za-z°µ]", text):
                message += "; the unit belongs in the header, and is one for the whole column"
            self.add_problem(row, message)
            return math.nan
        if not math.isfinite(number):
            self.add_problem(row, f"{column.header} must be finite (got {text[:80]})")
            return math.nan
        if above is not None and number <= above and column.role != "temperature":
            self.add_problem(row, f"{column.header} must be greater than {above:g} (got {text[:80]})")
            return math.nan
        if number and not 1e-30 < abs(number) < 1e30:
            self.add_problem(row, f"{column.header} must be within 1e-30 and 1e30 (got {text[:80]})")
            return math.nan
        if not column.unit:
            return number
        unit = next(u for u in _ROLES[column.role].units if fits(column.unit, u))
        return convert(number, column.unit, unit)
