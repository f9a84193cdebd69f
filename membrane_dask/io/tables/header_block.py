"""Conditions that the lines above a table state: area, temperature, liquid and others, each with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from membrane_dask.io.tables.headers import HeaderCell, quantities_named
from membrane_dask.io.tables.numerals import numeral
from membrane_dask.io.tables.rows import Row
from membrane_dask.io.tables.unit_text import unit_text
from membrane_dask.quantities import convert, fits

_NUMBER = r"[-+]?\d[\d.,']*(?:[eE][-+]?\d+)?"
#: Names of each condition, as patterns of text in lower case, and its SI units.
_QUANTITIES: Mapping[str, tuple[str, str]] = {
    "interfacial tension": (
        r"interfacial tension|grenzflächenspannung|tension interfaciale|tensi[oó]n interfacial", "N m-1"
    ),
    "surface tension": (
        r"surface tension|oberflächenspannung|tension superficielle|tensi[oó]n superficial", "N m-1"
    ),
    "contact angle": (r"contact angle|kontaktwinkel|angle de contact|[aá]ngulo de contacto", "deg"),
    "viscosity": (r"(?:fluid |liquid )?viscosity|viskosität|viscosité|viscosidad", "Pa s"),
    "area": (
        r"(?:effective |active |sample |test |filtration )?(?:membrane )?(?:surface )?area|"
        r"(?:aktive |effektive )?(?:membran|filter|proben)?fläche|surface(?: de)?(?: la)? ?membran\w*|"
        r"[aá]rea(?: de membrana)?", "m2"
    ),
    "diameter": (
        r"(?:sample|membrane|disc|disk|cell|specimen|active) ?diameter|proben ?durchmesser|membran ?durchmesser|"
        r"durchmesser|diamètre|di[aá]metro", "m"
    ),
    "thickness": (r"(?:sample |membrane )?thickness|(?:proben|membran)?dicke|épaisseur|espesor", "m"),
    "temperature": (r"(?:feed |water |test |sample )?temp(?:eratur(?:e|a)?|érature)?\.?|\bt(?=\s*[:=])", "K"),
    "permeate pressure": (
        r"permeate (?:side )?pressure|permeatdruck|barometric pressure|atmospheric pressure|luftdruck", "Pa"
    ),
    "pressure": (
        r"(?:transmembrane |applied |operating |feed |test )?pressure|\btmp|druck|pression|presi[oó]n|"
        r"\bp(?=\s*[:=])", "Pa"
    ),
    "flux": (r"(?:permeate )?flux|\bj(?=\s*[:=])", "m s-1"),
    "dry mass": (r"sample (?:weight|mass)|probenmasse|einwaage", "kg"),
}  # fmt: skip
#: Conditions that are read only where a line or a part of it begins with them: a result may have such a name in it.
_CLAUSES = ("pressure", "flux", "temperature", "viscosity", "permeate pressure", "thickness", "diameter")
#: Conditions without a unit.
_NUMBERS = {"shape factor": r"shape factor|tortuosity|formfaktor|facteur de forme|factor de forma"}
_TEXTS = {
    "membrane": r"(?:sample|membrane|specimen|proben?|membran|échantillon|muestra)[ -]?(?:id|name|code|nr\.?|no\.?)?",
    "liquid": r"(?:wetting |test )?(?:liquid|fluid)(?: used)?|(?:benetzungs|prüf)flüssigkeit|liquide|l[ií]quido",
    "gas": r"(?:test )?gas(?: used)?|prüfgas|gaz",
}
_ABSOLUTE = re.compile(
    r"\babsolute?(?:s|r|n)?\b.{0,20}\b(?:pressure|druck)|\b(?:pressure|druck)\w*\b.{0,30}\babsolute?\b|"
    r"absolutdruck|pression absolue|presi[oó]n absoluta",
    re.I,
)
#: A unit behind a number, with the parts that a blank may divide.
_UNIT = r"([^\s;,:)(\]\[]+(?:\(g\)|\(a\))?(?: (?:s|m-1|m\^-1)\b)?)"


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
    without_unit : mapping of str to str
        Conditions whose numbers have no unit, by name: what the line says.
    """

    stated: Mapping[str, Stated]
    problems: tuple[str, ...] = ()
    absolute: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    without_unit: Mapping[str, str] = field(default_factory=dict)


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
    without_unit: dict[str, str] = {}
    absolute = 0
    for row in (*rows, *below):
        line = " ".join(str(cell) for cell in row.filled()) if "\t" in row.text else row.text
        line = line or "; ".join(str(cell) for cell in row.filled())
        line = re.sub(r"\s+", " ", line.replace("\t", " ")).strip().lstrip("#").strip()
        if _ABSOLUTE.search(line):
            absolute = absolute or row.number
        if match := re.fullmatch(r"([A-Z]): (?:[\w ]*?)(flow|specific flow) in ([A-Z/^0-9]+)\.?", line, re.I):
            name = "flux" if "specific" in match[2].lower() else "flow"
            fits_name = quantities_named(HeaderCell(f"{name} [{match[3]}]"))
            columns[match[1]] = f"{name} [{match[3]}]" if fits_name else "ignore"
            continue
        if row.number not in below_numbers and (name := _without_unit(line)):
            without_unit.setdefault(name, f"line {row.number}: {line.strip()!r} has no unit")
        for name, value, text in _conditions(line):
            if row.number in below_numbers and name in _RESULTS:
                continue
            previous = stated.get(name)
            if previous is None:
                stated[name] = Stated(value, row.number, text)
            elif not _equal(previous.value, value):
                problems.append(
                    f"{name} is {previous.text} (line {previous.row}) and {text} (line {row.number}): keep one"
                )
    return HeaderBlock(stated, tuple(problems), absolute, columns, without_unit)


def _equal(a: float | str, b: float | str) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return str(a).casefold() == str(b).casefold()
    return abs(a - b) <= 1e-6 * abs(a)


def _conditions(line: str) -> list[tuple[str, float | str, str]]:
    """Conditions in one line: name, value, text."""
    results: list[tuple[str, float | str, str]] = []
    rest = line
    for name, (pattern, si) in _QUANTITIES.items():
        start = r"(?:^|(?<=[;,(|#]))\s*" if name in _CLAUSES else r"(?<!\w)"
        expression = rf"{start}(?:{pattern})(?!\w)[\s:=;,(]*({_NUMBER})\s*{_UNIT}"
        for match in re.finditer(expression, rest, re.I):
            value = _quantity(match[1], match[2], si)
            if value is None and name == "temperature" and match[2][:1] in "°cCkK":
                degrees = match[2][:2] if match[2].startswith("°") else match[2][:1]
                value = _quantity(match[1], degrees, si)
            if value is not None:
                results.append((name, value, f"{match[1]} {match[2]}".rstrip(".")))
                rest = rest[: match.start()] + " " * (match.end() - match.start()) + rest[match.end() :]
                break
    for name, pattern in _NUMBERS.items():
        if number := re.search(rf"(?<!\w)(?:{pattern})(?!\w)[\s:=;,(]*({_NUMBER})", line, re.I):
            value = _plain_number(number[1])
            if value is not None:
                results.append((name, value, number[1]))
    for name, pattern in _TEXTS.items():
        expression = (
            rf"(?:^|[;,|#(] ?)(?:{pattern})\s*[:=;,]\s*([^;,|(\[]+)|(?:^|[;,|#(] ?)(?:{pattern})\s([A-Za-z][\w-]*)\s*$"
        )
        if match_of_text := re.search(expression, line, re.I):
            text = (match_of_text[1] or match_of_text[2] or "").strip(" .\"'")
            if text and re.search(r"\w", text):
                results.append((name, text, text))
    return results


def _without_unit(line: str) -> str:
    """Condition whose number has no unit, as ``Temperature: 20``; empty for other lines."""
    for name in ("temperature", "area", "diameter", "pressure"):
        if re.fullmatch(rf"\s*(?:{_QUANTITIES[name][0]})\s*[:=;,]?\s*{_NUMBER}\s*[;,]*\s*", line, re.I):
            return name
    return ""


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
