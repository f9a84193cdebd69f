"""Texts that say whose readings a column or a group of rows holds: those of a membrane, of a state, or a replicate."""

from __future__ import annotations

import re
from dataclasses import dataclass

from membrane_dask.io.tables.roles import folded
from membrane_dask.io.tables.unit_text import measures, unit_text

#: Names of replicates, in front of or behind their numbers.
_REPLICATE_NAMES = (
    r"(?:rep|repl|replicate|replica|replikat|replicat|repeat|r|run|no|nr|trial|test|exp|experiment|versuch|cycle|zyklus|"
    r"messung|wiederholung|wdh|lauf|mesure|essai|repeticion|ensayo|medida|prova|misura|meting|#)"
)
_REPLICATE = re.compile(rf"(?:{_REPLICATE_NAMES}\s*)?(\d{{1,3}})|(?:{_REPLICATE_NAMES}\s+)?([a-h])")
_ORDINAL = re.compile(rf"(\d{{1,3}})(?:st|nd|rd|th)(?:\s{_REPLICATE_NAMES})?")
#: Names that say that a text is the name of a membrane.
_MEMBRANE = re.compile(
    r"(?:membrane?|membran|membraan|membrana|sample|coupon|specimen|probe|echantillon|muestra|campione|amostra|monster|"
    r"provino|module?|modul|fib(?:re|er)|faser)(?:(?:\s(?:id|no|nr|name))?[\s#]+\S.*|\d+)|m\s?\d{1,3}"
)
#: Words of what was done with a membrane between two series of readings.
_STATES = re.compile(
    r"\b(?:before|after|vor|nach|vorher|nachher|avant|apres|antes|despues|depois|prima|dopo|voor|virgin|pristine|clean|"
    r"cleaned|new|neu|fresh|fouled|used|gebraucht|modified|unmodified|modifiziert)\b"
)


#: A condition under which readings were taken, as `20 °C` and `at 2 bar`, and its SI units.
_CONDITION = re.compile(r"(?:(?:at|bei|by|@|\u00e0|a|bij)\s*)?([-+]?\d+(?:[.,]\d+)?)\s*(\S+)", re.I)
CONDITION_UNITS = {"temperature": "K", "pressure": "Pa", "area": "m2"}


@dataclass(frozen=True)
class Label:
    """Whose readings they are.

    Parameters
    ----------
    role : {"membrane", "state", "replicate", "temperature", "pressure", "area"}
        What the text names.
    text : str
        The name; the number of a replicate; the number and the unit of a condition.
    is_explicit : bool
        Whether the text itself says so, as ``Membrane 3`` and ``before cleaning`` do.
    """

    role: str
    text: str
    is_explicit: bool = True


def label(text: str) -> Label:
    """What a text next to readings names: a replicate, a condition, a state, else a membrane."""
    text = re.sub(r"\s+", " ", text).strip(" :;,")
    if number := replicate_number(text):
        return Label("replicate", str(number))
    if match := _CONDITION.fullmatch(text):
        unit = unit_text(match[2])
        for role, si in CONDITION_UNITS.items():
            if measures(unit, (si,)):
                return Label(role, f"{match[1]} {match[2]}")
    if _MEMBRANE.fullmatch(folded(text)):
        return Label("membrane", text)
    if _STATES.search(folded(text)):
        return Label("state", text)
    return Label("membrane", text, is_explicit=False)


def replicate_number(text: str) -> int:
    """Number of a replicate, as of ``Rep 1``, ``#2``, ``B`` or ``3rd run``; 0 for other texts."""
    plain = re.sub(r"#\s*", "# ", folded(text)).strip()
    match = _REPLICATE.fullmatch(plain)
    if match:
        return int(match[1]) if match[1] else "abcdefgh".index(match[2]) + 1
    match = _ORDINAL.fullmatch(plain)
    return int(match[1]) if match else 0
