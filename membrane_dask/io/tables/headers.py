"""Headers of columns: the quantity that a name stands for, its unit, and the number of a replicate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from membrane_dask.io.tables.labels import Label, label
from membrane_dask.io.tables.roles import LABELS, NUMBER, ROLES, folded
from membrane_dask.io.tables.unit_text import SUPERSCRIPTS, UnitText, measures, unit_text
from membrane_dask.quantities import convert

#: Characters of a label.
MAX_LABEL = 200
#: Solutes that a header of the molar mass may name.
SOLUTES = re.compile(r"\b(peg|peo|dextran|pvp|polyethylene ?glycol|protein)s?\b")
#: Quantities that several columns of one membrane may hold.
REPLICATED = ("flux", "flow", "mass", "volume", "volume per area")
#: A time of collection in a header: `in 5 min`, `/ 5 min`.
_DURATION = re.compile(
    r"[\s,_]*(?:\b(?:in|after|per|over|during|every|nach|je|pro|en|apr\u00e8s|par|pendant|despu\u00e9s de|durante|por|"
    r"dopo|na)\s+|/\s*)(\d+(?:[.,]\d+)?)\s*"
    r"(s|secs?|seconds?|sek|min|mins|minutes?|minuten|minutos?|minuti|h|hours?|std)(?!\w)",
    re.I,
)
#: Spellings of those times that are no units.
_TIMES = {"sek": "s", "minuten": "min", "minutos": "min", "minuto": "min", "minuti": "min"}
#: Units of a flux that nothing else has.
_FLUX_UNIT = re.compile(r"lmh|gfd|m\^?-?2|m\u00b2|m\u207b\u00b2", re.I)
#: A power of ten next to the name: the values may be multiplied by it or in units of it.
_POWER = re.compile(r"[x*\u00d7·]?\s*10\s*\^?\s*[-+]?\d+|[x*\u00d7·]\s*1[eE][-+]?\d+|10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_BRACKETS_AT_END = re.compile(r"[\s_][\[(][^()\[\]]+[\])]$")
#: Quantities that no method reads; `Permeate pH` is no permeate.
_NOT_READ = re.compile(
    r"\b(?:ph|conductivity|leitfahigkeit|conductivite|conductividad|turbidity|trubung|turbidite|toc|tds|rpm)\b"
)
#: Length up to which a name with a unit of the flux is one of a membrane, as `CA` and `M1`, and not of a quantity.
_SHORT_NAME = 3
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
    position : int
        Number of the column, where other columns have the same header; else 0.
    """

    text: str
    upper: str = ""
    unit: str = ""
    position: int = 0

    @property
    def shown(self) -> str:
        """The header for people."""
        text = " ".join(filter(None, (self.upper, self.text))) if self.upper != self.text else self.text
        return f"{text} (column {self.position})" if self.position and text.strip() else text


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
    label : Label or None
        Membrane or state whose readings they are, where the header names one.
    duration : float
        Time in which an amount was collected, s; 0 where the header has none.
    """

    role: str
    unit: UnitText
    si: str
    replicate: int = 0
    label: Label | None = None
    duration: float = 0.0


def split_header(text: str) -> Iterator[tuple[str, str]]:
    """Ways to divide a header into a name and a unit, the most explicit one first."""
    text = re.sub(r"\s+", " ", text.strip().lstrip("#").strip())
    if match := re.fullmatch(r"([^()]+?)\s*[(]([^()]+)[)]\s*[(\[]([^()\[\]]+)[)\]]", text):
        yield f"{match[1]} {match[2]}", match[3]
    match = re.fullmatch(r"(.*?)[\s_]*[\[](.+)[\]]\s*(.*)", text) or re.fullmatch(r"(.+?)[\s_]*[(](.+)[)]\s*(.*)", text)
    if match:
        yield f"{match[1]} {match[3]}".strip(), match[2]
    for match in re.finditer(r"\s*/\s*", text):
        yield text[: match.start()], text[match.end() :]
    if "," in text:
        name, _, unit = text.partition(",")
        yield name, unit.strip()
    if match := re.fullmatch(r"(.+?)\s+in\s+(\S.*)", text):
        yield match[1], match[2]
    yield text, ""
    if _BRACKETS_AT_END.search(text):  # `Feed flow (L/h)` is no feed in `flow (L/h)`
        return
    terms = re.split(r"[ _]+", text)
    for count in (1, 2, 3):
        if len(terms) > count:
            yield " ".join(terms[:-count]), " ".join(terms[-count:])


def _roles_of(name: str) -> list[tuple[str, Label | None]]:
    """Quantities of a name, each with the label that stands in front of or behind it."""
    plain = folded(name)
    if plain in _BY_NAME:
        return [(role, None) for role in _BY_NAME[plain]]
    without_solute = re.sub(r"\s+", " ", SOLUTES.sub("", plain)).strip()
    if without_solute != plain and "molar mass" in _BY_NAME.get(without_solute or "mw", ()):
        return [("molar mass", None)]
    if (match := re.fullmatch(r"(.*\D)(\d{1,3})", plain)) and match[1].strip() in _BY_NAME:
        return [(role, Label("replicate", match[2])) for role in _BY_NAME[match[1].strip()]]
    terms = re.split(r"[\s_]+", name.strip())
    for count in range(len(terms) - 1, 0, -1):
        for head, rest in ((terms[:count], terms[count:]), (terms[-count:], terms[:-count])):
            whose = label(" ".join(rest))
            roles = [role for role in _BY_NAME.get(folded(" ".join(head)), ()) if _may_have(role, whose)]
            if roles:
                return [(role, whose) for role in roles]
    return []


def _may_have(role: str, whose: Label) -> bool:
    """Whether a header may name a quantity together with a label: `Mass after` is no state, but a weighing."""
    if role in LABELS:
        return False
    return role == "flux" or (whose.is_explicit and (whose.role != "state" or role == "flow"))


def _quantity(role: str, unit: UnitText, si: str, whose: Label | None) -> NamedQuantity:
    if whose is not None and whose.role == "replicate":
        return NamedQuantity(role, unit, si, int(whose.text))
    return NamedQuantity(role, unit, si, label=whose)


@lru_cache(maxsize=4096)
def _named(text: str, unit_below: str) -> tuple[NamedQuantity, ...]:
    """Meanings of a header whose unit fits; else those whose unit does not, or that have none."""
    if len(text) > MAX_LABEL or _NOT_READ.search(folded(text)):
        return ()
    if (match := _DURATION.search(text)) and (collected := _collected(text, match, unit_below)):
        return collected
    unfitting: list[NamedQuantity] = []
    for name, inside in split_header(text):
        roles = _roles_of(name)
        if not roles:
            continue
        unit = unit_text(inside or unit_below) if inside or unit_below else UnitText("", "")
        fitting = []
        for role, whose in roles:
            definition = ROLES[role]
            if role in LABELS or not definition.units:
                if not inside:
                    fitting.append(_quantity(role, UnitText("", ""), "", whose))
                continue
            si = _si_unit(unit, definition.units)
            quantity = _quantity(role, unit, si, whose)
            if si or (definition.unit_optional and not unit.text):
                fitting.append(quantity)
            elif whose is None or whose.is_explicit:
                unfitting.append(quantity)
        if fitting:
            return tuple(fitting)
    unfitting.sort(key=lambda quantity: bool(quantity.unit.text) and folded(text) in _BY_NAME)  # J/P is one name
    return _flux_by_unit(text, unit_below) or tuple(unfitting)


def _collected(text: str, duration: re.Match[str], unit_below: str) -> tuple[NamedQuantity, ...]:
    """Amounts of a header that names the time of their collection; empty if it names no amount."""
    rest = text[: duration.start()] + text[duration.end() :]
    time = unit_text(_TIMES.get(duration[2].lower(), duration[2]))
    seconds = convert(float(duration[1].replace(",", ".")), time.unit, "s")
    quantities = tuple(q for q in _named(rest, unit_below) if q.role in ("mass", "volume") and q.si)
    if not quantities and (unit := unit_text(rest.strip(" ()[]"))).unit:
        units = {role: measures(unit, ROLES[role].units) for role in ("mass", "volume")}
        quantities = tuple(NamedQuantity(role, unit, si) for role, si in units.items() if si)
    return tuple(replace(quantity, duration=seconds) for quantity in quantities)


def _flux_by_unit(text: str, unit_below: str) -> tuple[NamedQuantity, ...]:
    """The flux of what a header names, where its unit is one of the flux only, as ``M1 (LMH)``."""
    match = re.fullmatch(r"(.+?)[\s_]*[(\[](.+)[)\]]", text)
    name, unit_of_name = (match[1], match[2]) if match else (text, unit_below)
    if not _FLUX_UNIT.search(unit_of_name) or (folded(name) in _BY_NAME and len(name) > _SHORT_NAME):
        return ()
    unit = unit_text(unit_of_name)
    si = measures(unit, ROLES["flux"].units)
    return (_quantity("flux", unit, si, label(name)),) if si else ()


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
        both = _named(f"{cell.upper} {cell.text}", cell.unit) if cell.text else ()
        if cell.text and any(quantity.si for quantity in upper):
            whose = label(cell.text)
            if whose.role == "replicate":  # `Flux [LMH]` above `Rep 1`
                candidates.insert(0, tuple(replace(q, replicate=int(whose.text)) for q in upper))
            else:  # `Flux [LMH]` above `SD`; above names of membranes
                candidates = [both, *candidates, tuple(_of(quantity, whose) for quantity in upper)]
        elif candidates and (not upper or label(cell.upper).is_explicit):  # `M1`, or `Feed`, above `P [bar]`
            whose = label(cell.upper)
            labelled = tuple(_of(quantity, whose) for quantity in candidates[0])
            if whose.role == "replicate" and len(cell.upper.strip()) == 1:  # `A` may be a membrane
                labelled = tuple(replace(q, label=replace(whose, is_explicit=False)) for q in labelled)
            candidates = [labelled]
        if all(quantity.label is None and not quantity.replicate for quantity in both):  # `Wet` above `Flow [L/min]`
            candidates.insert(0, both)
        candidates.append(both)
        if not cell.text or is_plain_unit(cell.text):
            candidates.append(upper)
    for quantities in candidates:
        if any(quantity.si or not ROLES[quantity.role].units for quantity in quantities):
            return quantities
    return next((quantities for quantities in candidates if quantities), ())


def _of(quantity: NamedQuantity, whose: Label) -> NamedQuantity:
    """A quantity below a label."""
    return quantity if quantity.label else replace(quantity, label=replace(whose, is_explicit=True))


def without_number(cell: HeaderCell) -> HeaderCell:
    """A header without the number behind its name: `P1 [bar]` of the first membrane is its pressure."""
    return replace(cell, text=re.sub(r"^(.*?[^\W\d])[\s_]?\d{1,3}(?=\s*(?:[\[(/,]|$))", r"\1", cell.text))


def is_plain_unit(text: str) -> bool:
    """Whether a text is a unit."""
    return bool(unit_text(text.strip("[]()")).unit)


def exponent_of(power: str) -> int:
    """Exponent of a power of ten, such as ``x10^5``, ``1e-6`` and ``10⁻⁶``."""
    digits = re.sub(r"\s", "", power.translate(SUPERSCRIPTS)).lstrip("x*u")
    return int(re.sub(r"^1(?:0\^?|[eE])", "", digits))


def power_of_ten(text: str) -> str:
    """A power of ten that stands next to the name of a quantity and not in its unit; empty without one."""
    outside = re.sub(r"[\[(].*[\])]|/\s*(?:10|1[eE]).*", "", text)  # the unit in brackets, or behind a slash
    match = _POWER.search(outside)
    return match[0].strip() if match else ""
