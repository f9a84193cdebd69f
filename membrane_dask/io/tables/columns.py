"""Columns by what people call them, with their units; cells as numbers, with every problem kept."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from membrane_dask.io.tables.files import Row
from membrane_dask.quantities import convert, fits, parse_unit


@dataclass(frozen=True)
class _Role:
    """What a column may hold: the names it goes by, and its unit inside; none for words."""

    names: tuple[str, ...]
    units: tuple[str, ...] = ()
    listed: bool = False


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
    "pressures": _Role(("pressures", "fitted pressures"), ("Pa",), listed=True),
}
_WORDS = ("membrane", "state", "replicate")
_EXAMPLES = {"pressure": "pressure [bar]", "flux": "flux [L m-2 h-1]", "mass": "mass [g]", "time": "time [s]"}


@dataclass(frozen=True)
class Column:
    """A column that is of use.

    Parameters
    ----------
    role : str
        What it holds.
    place : int
        Which of the columns it is, from 0.
    header : str
        Its header.
    unit : str
        Unit in the header.
    number : int
        Which replicate it holds, of several columns of one role.
    """

    role: str
    place: int
    header: str
    unit: str = ""
    number: int = 0  # of several columns of replicates


@dataclass
class Columns:
    """Columns of a table, and what is wrong or of no use in its header."""

    columns: list[Column] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def get(self, role: str) -> Column | None:
        """First column of a role."""
        return next((c for c in self.columns if c.role == role), None)

    def all(self, role: str) -> list[Column]:
        """Columns of a role."""
        return [c for c in self.columns if c.role == role]


def _candidates(header: str) -> list[tuple[str, int, str]]:
    """Roles that a header may name, with the number behind the name and the unit that it carries."""
    words = re.sub(r"\s+", " ", header.strip())
    found = []
    for role, about in _ROLES.items():
        for name in about.names:
            spelled = re.escape(name).replace(r"\ ", "[ _]")
            match = re.fullmatch(
                rf"{spelled}(?:[ _]?(\d+))?(?:[ _]*[\[(,/][ ]*(.+?)[ ]*[\])]?|[ _]+(\S.*))?", words, re.I
            )
            if match and (about.units or not (match[2] or match[3])):
                unit = match[2] or match[3] or ""
                if match[2] and unit.count("(") > unit.count(")"):
                    unit += ")"
                found.append((len(name), role, int(match[1] or 0), unit))
    found.sort(key=lambda item: -item[0])
    return [(role, number, unit) for length, role, number, unit in found if length == found[0][0]]


def read_header(headers: Sequence[str]) -> Columns:
    """Columns of use in a header, and what is wrong with others."""
    found = Columns()
    for place, header in enumerate(headers):
        candidates = _candidates(header)
        if not candidates:
            if header.strip():
                found.ignored.append(header.strip())
            continue
        fitting = [
            (role, number, unit)
            for role, number, unit in candidates
            if not _ROLES[role].units or any(fits(unit, u) for u in _ROLES[role].units)
        ]
        if fitting:
            role, number, unit = fitting[0]
            column = Column(role, place, header.strip(), unit, number)
            other = next((c for c in found.columns if (c.role, c.number) == (role, number)), None)
            if other:
                found.problems.append(f"columns {other.header!r} and {column.header!r} both hold the {role}: keep one")
            else:
                found.columns.append(column)
            continue
        role, _, unit = candidates[0]
        example = _EXAMPLES.get(role, f"{role} [{_ROLES[role].units[0]}]")
        if not unit:
            found.problems.append(f"column {header.strip()!r} names no unit; for example '{example}'")
        else:
            try:
                parse_unit(unit)
                words = f"is no unit of {role}"
            except ValueError:
                words = "is not a unit that is known"
            found.problems.append(f"column {header.strip()!r}: {unit!r} {words}; for example '{example}'")
    return found


def _cell(row: Row, column: Column | None) -> Any:
    return row.at(column.place) if column else None


class Reader:
    """Cells as numbers, with every problem kept."""

    def __init__(self, found: Columns, decimal: str) -> None:
        self.found, self.decimal = found, decimal
        self.problems = list(found.problems)

    def say(self, row: Row, words: str) -> None:
        """Keep a problem of a row."""
        name = _cell(row, self.found.get("membrane"))
        self.problems.append(f"row {row.number}{f' ({name})' if name is not None else ''}: {words}")

    def filled(self, row: Row, column: Column) -> bool:
        """Whether a row has something in a column."""
        return _cell(row, column) is not None

    def word(self, row: Row, role: str) -> str:
        """A word; none, and a problem, where a column's cell is empty."""
        column = self.found.get(role)
        value = _cell(row, column)
        if value is None:
            if column:
                more = ": each row needs the label" if role == "membrane" else ""
                self.say(row, f"{column.header} is empty{more}")
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value).strip()

    def number(self, row: Row, column: Column, *, above: float | None = 0.0) -> float:
        """A number in the unit inside; NaN, and a problem, where it is none."""
        value = _cell(row, column)
        if value is None:
            self.say(row, f"{column.header} is empty")
            return math.nan
        return self._read(row, column, value, above)

    def _read(self, row: Row, column: Column, value: Any, above: float | None) -> float:
        text = str(value).strip()
        if self.decimal == "," and isinstance(value, str):
            text = text.replace(",", ".")
        try:
            number = float(text)
        except ValueError:
            words = f"{column.header} must be a number (got {text!r})"
            if re.fullmatch(r"[-+]?\d*,\d+", text):
                words += f"; it has a decimal comma: write {text.replace(',', '.')}, or set decimal: ','"
            elif re.match(r"[-+]?[\d.]+\s*[A-Za-z°µ]", text):
                words += "; the unit belongs into the header, and is one for the whole column"
            self.say(row, words)
            return math.nan
        if not math.isfinite(number):
            self.say(row, f"{column.header} must be finite (got {text})")
            return math.nan
        if above is not None and number <= above and column.role != "temperature":
            self.say(row, f"{column.header} must be greater than {above:g} (got {text})")
            return math.nan
        if number and not 1e-30 < abs(number) < 1e30:
            self.say(row, f"{column.header} is out of any range (got {text})")
            return math.nan
        if not column.unit:
            return number
        unit = next(u for u in _ROLES[column.role].units if fits(column.unit, u))
        return convert(number, column.unit, unit)

    def numbers(self, row: Row, column: Column) -> np.ndarray:
        """Several numbers in one cell."""
        value = _cell(row, column)
        words = re.split(r"[;\s]+" if self.decimal == "," else r"[,;\s]+", str(value or "").strip())
        return np.array([self._read(row, column, word, 0.0) for word in words if word])
