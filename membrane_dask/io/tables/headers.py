"""Headers of columns: the quantity that a name stands for, its unit, and the number of a replicate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from membrane_dask.io.tables.roles import LABELS, NUMBER, ROLES, folded
from membrane_dask.io.tables.unit_text import UnitText, measures, unit_text

#: Characters of a label.
MAX_LABEL = 200
#: Solutes that a header of the molar mass may name.
SOLUTES = re.compile(r"\b(peg|peo|dextran|pvp|polyethylene ?glycol|protein)s?\b")
_REPLICATE_NAMES = (
    r"(?:rep|repl|replicate|replica|replikat|replicat|repeat|r|run|no|nr|sample|fiber|fibre|faser|trial|test|exp|"
    r"messung|wiederholung|wdh|lauf|mesure|essai|repeticion|ensayo|medida|prova|misura|meting|#)"
)
_REPLICATE = re.compile(rf"(?:{_REPLICATE_NAMES}\s*)?(\d{{1,3}})")
#: A power of ten next to the name: the values may be multiplied by it or in units of it.
_POWER = re.compile(r"[x*\u00d7·]?\s*10\s*\^?\s*[-+]?\d+|[x*\u00d7·]\s*1[eE][-+]?\d+|10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_BY_NAME: dict[str, tuple[str, ...]] = {}
for _role, _definition in ROLES.items():
    for _name in _definition.names:
        _BY_NAME[_name] = (*_BY_NAME.get(_name, ()), _role)


@dataclass(frozen=True)
class HeaderCell:
    """Header of one column.

    Parameters
    ----------
    text : str
        As it stands.
    upper : str
        Label in a row above it, also of merged cells.
    unit : str
        Unit in a row below it.
    """

    text: str
    upper: str = ""
    unit: str = ""

    @property
    def shown(self) -> str:
        """The header for people."""
        return " ".join(filter(None, (self.upper, self.text))) if self.upper != self.text else self.text


@dataclass(frozen=True)
class NamedQuantity:
    """What a header may mean.

    Parameters
    ----------
    role : str
        Quantity.
    unit : UnitText
        Its unit; with an empty text where the header has none.
    si : str
        SI unit that it is converted to; empty for labels, and where the unit does not fit.
    replicate : int
        Number of the replicate, 0 without one.
    """

    role: str
    unit: UnitText
    si: str
    replicate: int = 0


def split_header(text: str) -> Iterator[tuple[str, str]]:
    """Ways to divide a header into a name and a unit, the most explicit one first."""
    text = re.sub(r"\s+", " ", text.strip().lstrip("#").strip())
    match = re.fullmatch(r"(.*?)[\s_]*[\[](.+)[\]]\s*(.*)", text) or re.fullmatch(r"(.+?)[\s_]*[(](.+)[)]\s*(.*)", text)
    if match:
        yield f"{match[1]} {match[3]}".strip(), match[2]
    for match in re.finditer(r"\s*/\s*", text):
        yield text[: match.start()], text[match.end() :]
    if "," in text:
        name, _, unit = text.partition(",")
        yield name, unit.strip()
    if match := re.fullmatch(r"(.+?)\s+in\s+(\S+)", text):
        yield match[1], match[2]
    yield text, ""
    terms = re.split(r"[ _]+", text)
    for count in (1, 2, 3):
        if len(terms) > count:
            yield " ".join(terms[:-count]), " ".join(terms[-count:])


def _roles_of(name: str) -> list[tuple[str, int]]:
    """Quantities of a name, each with the number of the replicate."""
    plain = folded(name)
    if plain in _BY_NAME:
        return [(role, 0) for role in _BY_NAME[plain]]
    without_solute = re.sub(r"\s+", " ", SOLUTES.sub("", plain)).strip()
    if without_solute != plain and "molar mass" in _BY_NAME.get(without_solute or "mw", ()):
        return [("molar mass", 0)]
    match = re.fullmatch(rf"(.+?)(?:\s?|\s{_REPLICATE_NAMES}\s?)(\d{{1,3}})", plain)
    if match and match[1] in _BY_NAME:
        return [(role, int(match[2])) for role in _BY_NAME[match[1]]]
    return []


@lru_cache(maxsize=4096)
def _named(text: str, unit_below: str) -> tuple[NamedQuantity, ...]:
    """Meanings of a header whose unit fits; else those whose unit does not, or that have none."""
    unfitting: list[NamedQuantity] = []
    if len(text) > MAX_LABEL:
        return ()
    for name, inside in split_header(text):
        roles = _roles_of(name)
        if not roles:
            continue
        unit = unit_text(inside or unit_below) if inside or unit_below else UnitText("", "")
        fitting = []
        for role, replicate in roles:
            definition = ROLES[role]
            if role in LABELS or not definition.units:
                if not inside:
                    fitting.append(NamedQuantity(role, UnitText("", ""), "", replicate))
                continue
            si = _si_unit(unit, definition.units)
            quantity = NamedQuantity(role, unit, si, replicate)
            (fitting if si or (definition.unit_optional and not unit.text) else unfitting).append(quantity)
        if fitting:
            return tuple(fitting)
    return tuple(unfitting)


def _si_unit(unit: UnitText, units: tuple[str, ...]) -> str:
    """SI unit of a quantity in which a unit can be expressed; empty if there is none."""
    if units == NUMBER:
        return "1" if unit.text.strip() in ("%", "1", "-", "") or unit.unit == "percent" else ""
    return measures(unit, units)


def quantities_named(cell: HeaderCell) -> tuple[NamedQuantity, ...]:
    """Quantities with a fitting unit that a header names.

    Parameters
    ----------
    cell : HeaderCell
        Header, with the rows above and below it.

    Returns
    -------
    tuple of NamedQuantity
        Several where the name and the unit leave it open; empty if the header names nothing with a fitting unit.
    """
    return tuple(quantity for quantity in meanings(cell) if quantity.si or not ROLES[quantity.role].units)


def meanings(cell: HeaderCell) -> tuple[NamedQuantity, ...]:
    """All quantities that a header may mean, also those whose unit is missing or does not fit.

    Parameters
    ----------
    cell : HeaderCell
        Header, with the rows above and below it.
    """
    candidates = [_named(cell.text, cell.unit)] if cell.text else []
    if cell.upper and cell.upper != cell.text:
        upper = _named(cell.upper, cell.unit)
        replicate = _REPLICATE.fullmatch(folded(cell.text))
        if replicate:  # `Flux [LMH]` above `Rep 1`, `Rep 2`
            candidates.insert(0, tuple(NamedQuantity(q.role, q.unit, q.si, int(replicate[1])) for q in upper))
        elif cell.text:
            candidates.append(_named(f"{cell.upper} {cell.text}", cell.unit))
        if not cell.text or is_plain_unit(cell.text):
            candidates.append(upper)
    for quantities in candidates:
        if any(quantity.si or not ROLES[quantity.role].units for quantity in quantities):
            return quantities
    return next((quantities for quantities in candidates if quantities), ())


def is_replicate(text: str) -> bool:
    """Whether a text is the number of a replicate, as ``Rep 1``."""
    return bool(_REPLICATE.fullmatch(folded(text)))


def is_plain_unit(text: str) -> bool:
    """Whether a text is a unit."""
    return bool(unit_text(text.strip("[]()")).unit)


def power_of_ten(text: str) -> str:
    """A power of ten that stands next to the name of a quantity and not in its unit; empty without one."""
    outside = re.sub(r"[\[(].*[\])]", "", text)
    match = _POWER.search(outside)
    return match[0].strip() if match else ""
