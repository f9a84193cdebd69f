"""Conditions that the lines above a table state: area, temperature, liquid and others, each with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from membrane_dask.errors import short
from membrane_dask.io.tables.condition_names import (
    LOOKS_LIKE_TEMPERATURE,
    NUMBERS,
    QUANTITIES,
    TEXTS,
    plain_letters,
)
from membrane_dask.io.tables.headers import HeaderCell, quantities_named
from membrane_dask.io.tables.numerals import is_number, numeral
from membrane_dask.io.tables.rows import Row
from membrane_dask.io.tables.unit_text import unit_text
from membrane_dask.quantities import convert, fits

_NUMBER = r"[-+]?\d[\d.,']*(?:[eE][-+]?\d+)?"
_ABSOLUTE = re.compile(
    r"\babsolute?(?:s|r|n)?\b.{0,20}\b(?:pressure|druck)|\b(?:pressure|druck)\w*\b.{0,30}\babsolute?\b|"
    r"absolutdruck|pression absolue|presi[oó]n absoluta",
    re.I,
)
#: A unit behind a number, with the parts that a blank may divide; or in the last cell of the line.
_UNIT = (
    r"(?:\s*((?:sq\.? ?)?[^\s;,:)(\]\[]+(?:\(g\)|\(a\))?(?: (?:s|m-1|m\^-1)\b)?)|\s*[;|]\s*([^\s;,:)(\]\[]+)[\s;,|]*$)"
)
#: A unit behind a name: in brackets, or behind a slash, a comma, an underscore or a blank.
_UNIT_OF_NAME = (
    r"(?:\s*[(\[]\s*([^()\[\]:;]{1,20}?)\s*[)\]]|\s*[/,_ ]\s*((?:[^\W\d]|[°%])[^\s,;:=()\[\]]{0,9})(?=\s*[:=;,|]))"
)
#: One more value of a condition, with a remark in brackets between both.
_FURTHER_VALUE = re.compile(
    rf"\s*(?:\([^)]*\)|\[[^\]]*\])?\s*(?:[,;/|+]|and|und|et|y|e|en|to|bis)\s*(?P<number>{_NUMBER})\s*"
    r"(?P<unit>[^\s\d;,:)(\]\[|/]\S{0,9}?)?(?=[\s;,|()\[\]]|$)"
)
#: Further numbers behind a number: the line is a row of a table.
_FURTHER_NUMBERS = r"(?![\s;,|]+[-+]?\d[\d.,]*\s*(?:[;,|]|$))"


@dataclass(frozen=True)
class Stated:
    """A condition that a line above the table states.

    Parameters
    ----------
    value : float or str
        In SI units, or a name.
    row : int
        Its line.
    text : str
        As written.
    """

    value: float | str
    row: int
    text: str


@dataclass(frozen=True)
class HeaderBlock:
    """Conditions of the lines above a table.

    Parameters
    ----------
    stated : mapping of str to Stated
        By name.
    problems : tuple of str
        Conditions that are given twice with different values, or whose decimal sign is not known.
    absolute : int
        Line that says that pressures are absolute; 0 if none does.
    columns : mapping of str to str
        Explanations of columns, as ``A: Flow in CC/SEC.``
    unclear : mapping of str to str
        Conditions whose numbers have no unit, and lines that look like a temperature, by name: what the line says.
    """

    stated: Mapping[str, Stated]
    problems: tuple[str, ...] = ()
    absolute: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    unclear: Mapping[str, str] = field(default_factory=dict)

    def unclear_numbers(self, decimal: str) -> list[str]:
        """Questions on conditions such as ``3.400 mm2`` above a table with the other decimal sign.

        Parameters
        ----------
        decimal : {".", ","}
            Decimal sign of the table.
        """
        questions = []
        for name, stated in self.stated.items():
            number = numeral(stated.text)
            if number is not None and number.decimal_sign == "?" and decimal not in number.mantissa:
                values = " or ".join(f"{number.value(sign):.12g}" for sign in ".,")
                questions.append(
                    f"{name} is {stated.text} (line {stated.row}), but {decimal!r} is the decimal sign of the table: "
                    f"is it {values}? Write it without a separator of thousands, and any decimals with {decimal!r}"
                )
        return questions


#: What lines below a table do not state but as a result of it.
_RESULTS = ("pressure", "flux", "permeate pressure", "membrane")


def read_header_block(rows: Sequence[Row], below: Sequence[Row] = ()) -> HeaderBlock:
    """Read the conditions of the lines above a table, and those that stand below it.

    Parameters
    ----------
    rows : sequence of Row
        Lines above the header.
    below : sequence of Row
        Lines below the readings, whose pressures and fluxes are results.
    """
    below_numbers = {row.number for row in below}
    stated: dict[str, Stated] = {}
    problems: list[str] = []
    columns: dict[str, str] = {}
    unclear: dict[str, str] = {}
    absolute = 0
    for row in (*rows, *below):
        line = _line(row)
        if _ABSOLUTE.search(line):
            absolute = absolute or row.number
        if match := re.fullmatch(r"([A-Z]): (?:[\w ]*?)(flow|specific flow) in ([A-Z/^0-9]+)\.?", line, re.I):
            name = "flux" if "specific" in match[2].lower() else "flow"
            fits_name = quantities_named(HeaderCell(f"{name} [{match[3]}]"))
            columns[match[1]] = f"{name} [{match[3]}]" if fits_name else "ignore"
            continue
        conditions = _conditions(line)
        if row.number not in below_numbers and (name := _without_unit(line)):
            unclear.setdefault(name, f"line {row.number}: {short(line)} has no unit")
        elif _looks_like_temperature(line) and "temperature" not in [name for name, _, _ in conditions]:
            unclear.setdefault(
                "temperature", f"line {row.number}: {short(line)} looks like a temperature, but not clearly of the test"
            )
        for name, value, text in conditions:
            if row.number in below_numbers and name in _RESULTS:
                continue
            previous = stated.get(name)
            if previous is None:
                stated[name] = Stated(value, row.number, text)
            elif not _equal(previous.value, value):
                problems.append(
                    f"{name} is {previous.text} (line {previous.row}) and {text} (line {row.number}): keep one"
                )
    return HeaderBlock(stated, tuple(problems), absolute, columns, unclear)


def _equal(a: float | str, b: float | str) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return str(a).casefold() == str(b).casefold()
    return abs(a - b) <= 1e-6 * abs(a)


def _line(row: Row) -> str:
    """The text of a line; numbers of neighbouring cells stay apart."""
    cells = [str(cell) for cell in row.cells if cell is not None]
    line = row.text
    if "\t" in line or not line:
        line = (" " if line else "; ").join(str(cell) for cell in row.filled())
    elif line == ",".join(cells):
        line = cells[0]
        for previous, cell in pairwise(cells):
            line += (" ; " if is_number(previous) and is_number(cell) else ",") + cell
    return re.sub(r"\s+", " ", line).strip().lstrip("#").strip()


@lru_cache(maxsize=4096)
def _conditions(line: str) -> tuple[tuple[str, float | str, str], ...]:
    """Conditions in one line: name, value, text."""
    results: list[tuple[str, float | str, str]] = []
    plain_line = rest = plain_letters(line)
    has_number = any(map(str.isdigit, line))
    for name, definition in QUANTITIES.items() if has_number else ():
        for match in _expression(name).finditer(rest):
            if value := _value_of(match, line, definition.si):
                results.append((name, *value))
                results += [(name, *further) for further in _further_values(match, line, definition.si)]
                end = match.end("number")
                rest = rest[: match.start()] + " " * (end - match.start()) + rest[end:]
                break
    for name, pattern in NUMBERS.items() if has_number else ():
        if number := re.search(rf"(?<!\w)(?:{pattern})(?!\w)[\s:=;,(]*({_NUMBER})", plain_line):
            plain_number = _plain_number(number[1])
            if plain_number is not None:
                results.append((name, plain_number, number[1]))
    for name, pattern in TEXTS.items():
        name_of = rf"(?:^|[;,|#(] ?)(?:{pattern})"
        expression = rf"{name_of}\s*[:=;,]\s*([^;,|(\[]+)|{name_of}\s([a-z][\w-]*)[\s;,|]*$"
        if match_of_text := re.search(expression, plain_line):
            start, end = match_of_text.span(1 if match_of_text[1] is not None else 2)
            text = line[start:end].strip(" .\"'")
            if text and re.search(r"\w", text):
                results.append((name, text, text))
    return tuple(results)


@lru_cache
def _expression(name: str) -> re.Pattern[str]:
    """A condition with its number, and its unit behind the name or behind the number."""
    definition = QUANTITIES[name]
    start = r"(?:^|(?<=[;,(|#]))\s*" if definition.begins_clause else r"(?<!\w)"
    number = rf"(?P<number>{_NUMBER})(?:\s*(?:\u00b1|\+/?-)\s*{_NUMBER})?{_FURTHER_NUMBERS}"
    return re.compile(rf"{start}(?:{definition.pattern})(?!\w){_UNIT_OF_NAME}?[\s:=;,(|]*{number}{_UNIT}?")


def _value_of(match: re.Match[str], line: str, si: str) -> tuple[float, str] | None:
    """Value in SI units of a condition, and its text; None where no unit fits, or two that differ."""
    number = match["number"]
    groups = [k for k in range(1, match.re.groups + 1) if k != match.re.groupindex["number"] and match[k]]
    if match[2] and _quantity(number, line[slice(*match.span(2))], si) is None:
        return None  # `Pressure drop: 1 bar` is no pressure
    values = []
    for text in (line[slice(*match.span(k))] for k in groups):
        value = _quantity(number, text, si)
        if value is None and si == "K" and text[:1] in "°cCkK":  # 20C, 20 °C.
            value = _quantity(number, text[:2] if text.startswith("°") else text[:1], si)
        if value is not None:
            values.append((value, f"{number.rstrip('.,')} {text}".rstrip(".")))
    is_unique = values and all(_equal(value, values[0][0]) for value, _ in values)
    return values[0] if is_unique else None


def _further_values(match: re.Match[str], line: str, si: str) -> list[tuple[float, str]]:
    """Values behind that of a condition, as in ``65.8 mm (outer), 60 mm (active)``."""
    further = _FURTHER_VALUE.match(line, match.end())
    if further is None:
        return []
    unit = further["unit"] or line[slice(*match.span(1 if match[1] else 2))]
    value = _quantity(further["number"], unit, si) if unit else None
    return [] if value is None else [(value, f"{further['number']} {unit}")]


def _without_unit(line: str) -> str:
    """Condition whose number has no unit, as ``Temperature: 20``; empty for other lines."""
    for name in ("temperature", "area", "diameter", "pressure", "collection time"):
        pattern = rf"\s*(?:{QUANTITIES[name].pattern})\s*[:=;,]?\s*{_NUMBER}\s*[;,]*\s*"
        if re.fullmatch(pattern, plain_letters(line)):
            return name
    return ""


def _looks_like_temperature(line: str) -> bool:
    return bool(re.search(LOOKS_LIKE_TEMPERATURE, plain_letters(line)))


def _plain_number(text: str) -> float | None:
    value = numeral(text.rstrip(".,"))
    if value is None:
        return None
    sign = value.decimal_sign
    # Three digits behind the only separator: a header states few thousands, so it is the decimal sign.
    return value.value(_last_separator(text) if sign == "?" else sign or ".")


def _last_separator(text: str) -> str:
    return "," if "," in text else "."


def _quantity(number: str, unit: str, si: str) -> float | None:
    value = _plain_number(number)
    recognised = unit_text(unit.rstrip(".;,"))
    if value is None or not recognised.unit or not fits(recognised.unit, si):
        return None
    return convert(value * recognised.factor, recognised.unit, si)
