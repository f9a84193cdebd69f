"""Numbers as tables write them: decimal signs and thousands separators by the evidence of all cells."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from membrane_dask.io.tables.clock_times import is_clock

#: Characters between groups of thousands that are no decimal signs: spaces of any width, apostrophes.
_GROUPING = " \u00a0\u2007\u2009\u202f'\u2019"
_MANTISSA = rf"\d{{1,3}}(?:[{_GROUPING}]\d{{3}})+(?:[.,]\d*)?|\d+(?:[.,]\d+)*[.,]?|[.,]\d+"
_NUMERAL = re.compile(rf"([-+]?)\s*({_MANTISSA})(?:\s*[x*\u00d7·]\s*10\s*\^?\s*([-+]?\d+)|[eE]([-+]?\d+))?")
#: Cells that say that there is no reading.
MISSING = frozenset(
    ["", "-", "--", "n.d.", "nd", "n.d", "n.a.", "na", "n/a", "#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!",
     "nan", "null", "none", "k.a.", "missing", "n.b.", "no data", "n.m.", "n.r.", "s/d", "?", "#nv", "#n/v", "#wert!",
     "#bezug!", "#valeur!", "#valor!", "#¡valor!", "#¡div/0!"]
)  # fmt: skip


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty or says that there is no reading."""
    return cell is None or cell != cell or (isinstance(cell, str) and plain(cell).lower() in MISSING)


def plain(text: str) -> str:
    """Text without surrounding blanks, and with one kind of minus sign."""
    return text.strip().replace("\u2212", "-").replace("\u2013", "-").replace("\u2014", "-")


@dataclass(frozen=True)
class Numeral:
    """A number as it stands in a cell.

    Parameters
    ----------
    text : str
        The cell.
    sign, mantissa : str
        As written; groups of thousands may be separated.
    exponent : int
        Power of ten.
    mark : str
        A mark behind the number, such as ``*``, or a sign before it, ``<`` or ``>``.
    unit : str
        A unit behind the number.
    """

    text: str
    sign: str
    mantissa: str
    exponent: int
    mark: str = ""
    unit: str = ""

    @property
    def decimal_sign(self) -> str | None:
        """The decimal sign that the numeral shows, "?" where it may be either, and None without any separator."""
        mantissa = "".join(c for c in self.mantissa if c not in _GROUPING)
        signs = [c for c in mantissa if c in ".,"]
        if not signs:
            return None
        last = signs[-1]
        other = "," if last == "." else "."
        if len(set(signs)) == 2:
            return last
        head, _, tail = mantissa.rpartition(last)
        if len(signs) > 1:
            groups = mantissa.split(last)
            return other if all(len(g) == 3 for g in groups[1:]) and 0 < len(groups[0]) <= 3 else None
        if mantissa != self.mantissa:  # grouped by spaces or apostrophes: what is left is the decimal sign
            return last
        has_three_digits = len(tail) == 3 and 0 < len(head) <= 3 and not head.startswith("0")
        return "?" if has_three_digits and not self.exponent else last

    def value(self, decimal: str) -> float:
        """Its value with a decimal sign; NaN if it cannot be read so."""
        mantissa = "".join(c for c in self.mantissa if c not in _GROUPING)
        thousands = "," if decimal == "." else "."
        head, _, tail = mantissa.partition(decimal)
        if thousands in tail or decimal in tail:
            return math.nan
        groups = head.split(thousands)
        if len(groups) > 1 and not (0 < len(groups[0]) <= 3 and all(len(g) == 3 for g in groups[1:])):
            return math.nan
        return float(f"{self.sign}{''.join(groups) or '0'}.{tail or '0'}e{self.exponent}")


def numeral(cell: Any) -> Numeral | None:
    """The number in a cell of text, with a mark or a unit; None if it holds none."""
    if not isinstance(cell, str) or len(cell) > 100:
        return None
    text = plain(cell)
    mark = ""
    if text[:1] in ("<", ">", "~", "≤", "≥", "≈"):
        mark, text = text[0], text[1:].strip()
    match = _NUMERAL.match(text)
    if not match or not match[2]:
        return None
    rest = text[match.end() :].strip()
    if rest and not mark and re.fullmatch(r"[*†‡#!]+|\([a-zA-Z*]\)", rest):
        mark, rest = rest, ""
    if rest and not re.match(r"[A-Za-z°µμ%/]", rest):
        return None
    return Numeral(cell.strip(), match[1], match[2], int(match[3] or match[4] or 0), mark, rest)


def is_number(cell: Any) -> bool:
    """Whether a cell holds a number, a marked one or a clock time."""
    if isinstance(cell, bool) or cell is None:
        return False
    if isinstance(cell, (int, float)):
        return cell == cell
    value = numeral(cell)
    return (value is not None and not value.unit) or (isinstance(cell, str) and is_clock(cell))


@dataclass(frozen=True)
class DecimalSign:
    """The decimal sign of the numbers of a table.

    Parameters
    ----------
    sign : str
        "." or ","; "." where no cell has a separator.
    problem : str
        Why it is not known, with cells as they stand; empty where it is.
    evidence : str
        A cell that shows it; empty where no cell has a separator, or the study gives it.
    """

    sign: str
    problem: str = ""
    evidence: str = ""


def decimal_sign(cells: Iterable[tuple[str, Any]], stated: str | None = None) -> DecimalSign:
    """Determine the decimal sign of a table.

    Parameters
    ----------
    cells : iterable of (str, object)
        Cells of columns of numbers, each with its position for messages.
    stated : {".", ","}, optional
        Decimal sign that the study gives.

    Returns
    -------
    DecimalSign
        A separator with other than three digits behind it, a leading 0, or both separators in one number decide.
    """
    shown: dict[str, tuple[str, Numeral]] = {}
    for position, cell in cells:
        value = numeral(cell)
        if value is not None and (sign := value.decimal_sign) is not None:
            shown.setdefault(sign, (position, value))
    if stated is not None:
        other = "," if stated == "." else "."
        if other in shown:
            position, value = shown[other]
            problem = f"{position}: {value.text} contradicts decimal: '{stated}' of the study; leave that out"
            return DecimalSign(stated, problem)
        return DecimalSign(stated)
    if "." in shown and "," in shown:
        texts = " and ".join(f"{value.text} ({position})" for position, value in (shown["."], shown[","]))
        return DecimalSign(".", f"decimal signs differ: {texts}; write all numbers alike, or set decimal: '.' or ','")
    for sign in (".", ","):
        if sign in shown:
            return DecimalSign(sign, evidence=shown[sign][1].text)
    if "?" in shown:
        position, value = shown["?"]
        point, comma = (f"{value.value(sign):.12g}" for sign in ".,")
        return DecimalSign(
            ".",
            f"{position}: {value.text} is {point} with decimal: '.' and {comma} with decimal: ',', and no other cell "
            "shows which; set decimal to one of them",
        )
    return DecimalSign(".")
