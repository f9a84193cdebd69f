"""Columns that no one uses: which may stay so, and which look like a sample, a temperature, an area or a pressure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from membrane_dask.errors import short
from membrane_dask.io.tables.columns import RecognisedColumns, unit_of
from membrane_dask.io.tables.headers import HeaderCell
from membrane_dask.io.tables.labels import label
from membrane_dask.io.tables.numerals import is_number
from membrane_dask.io.tables.roles import REPORTED_ONLY, SAMPLE_LIKE, folded
from membrane_dask.io.tables.rows import Row
from membrane_dask.quantities import fits

#: Quantities whose columns are never left out in silence, and a unit of each.
_CONDITIONS = {"temperature": "K", "area": "m2", "pressure": "Pa"}
_MEMBRANE = r"(?:membrane?|membran|membraan|membrana|coupon|sample|probe|muestra|echantillon|\u00e9chantillon|campione)"
_AFTER = re.compile(r"(?:after|nach|apres|despues|depois|dopo)\b")
_ANOTHER_MEMBRANE = re.compile(
    rf"\b(?:new|other|another|different|next|changed?|replaced|neue|andere|nouvelle|autre|nueva|otra|nuova|altra) "
    rf"{_MEMBRANE}\b|\b{_MEMBRANE} (?:#?\d+|(?-i:[A-Z])|changed|replaced|exchanged|gewechselt)\b",
    re.I,
)


def unused_columns(recognised: RecognisedColumns, rows: Sequence[Row], repeats: bool) -> tuple[list[str], list[str]]:
    """Headers of columns that are not used, and questions about some of them.

    Parameters
    ----------
    recognised : RecognisedColumns
        What is known of them, and what the study says.
    rows : sequence of Row
        Readings.
    repeats : bool
        Whether readings of one membrane repeat a pressure.
    """
    unused, questions = [], []
    ignored = {folded(name) for name in recognised.options.ignore}
    for index, cell in recognised.unused:
        if recognised.stated_role(cell) is not None:
            unused.append(cell.shown)
        elif not ignored & {folded(cell.shown), folded(cell.text)}:
            unused.append(cell.shown)
            questions += _question(cell, _values(rows, index), repeats)
    for index, cell in enumerate(recognised.header):
        values = _values(rows, index)
        texts = [value for value in dict.fromkeys(values) if not is_number(value)]
        if not cell.shown.strip() and len(texts) >= 2 and len(values) > len(texts):
            questions.append(
                f"column {index + 1} has no header and splits the rows ({', '.join(texts[:4])}): give it a header, "
                "such as membrane"
            )
    return unused, questions


def _names_treatment(remark: str) -> bool:
    """Whether a remark says that rows were read after a treatment."""
    return len(remark.split()) > 1 and bool(_AFTER.match(folded(remark)))


def names_another_membrane(remark: str) -> bool:
    """Whether a remark says that rows are of another membrane."""
    return len(remark.split()) > 1 and bool(_ANOTHER_MEMBRANE.search(remark))


def _values(rows: Sequence[Row], index: int) -> list[str]:
    return [str(row.cell(index)).strip() for row in rows if row.cell(index) is not None]


def _question(cell: HeaderCell, values: Sequence[str], repeats: bool) -> list[str]:
    """Question about a column; empty if it may stay unused."""
    header, name, unit = cell.shown, folded(cell.text), unit_of(cell)
    quantity = next((q for q, si in _CONDITIONS.items() if unit.unit and fits(unit.unit, si)), "")
    if label(cell.text).role == quantity != "":
        return [
            f"column {header!r} is not used: if it holds fluxes at it, columns: {{{header!r}: 'flux [LMH]'}}, "
            f"else ignore: ['{header}']"
        ]
    if quantity:
        return [
            f"column {header!r} is not used and has a unit of {quantity}: name its quantity, for example "
            f"columns: {{{header!r}: {quantity}}}, or ignore: ['{header}']"
        ]
    distinct = list(dict.fromkeys(values))
    if remark := next(filter(names_another_membrane, distinct), ""):
        return [
            f"column {header!r} says {short(remark)}: give the table a column 'membrane', or, if all rows are of one, "
            f"ignore: ['{header}']"
        ]
    if repeats and (remark := next(filter(_names_treatment, distinct), "")):
        return [
            f"column {header!r} says {short(remark)}, and pressures repeat: columns: {{{header!r}: state}} keeps the "
            f"readings apart, or ignore: ['{header}']"
        ]
    if REPORTED_ONLY.fullmatch(name) or len(distinct) < 2:
        return []
    is_text = any(not is_number(value) for value in distinct)
    # Words that repeat; and numbers, of a cell, a day or a pH, that divide readings at repeated pressures.
    splits = len(values) > len(distinct) and (_has_two_texts(distinct) or (not is_text and repeats))
    if not splits and not SAMPLE_LIKE.fullmatch(name):
        return []
    shown = ", ".join(distinct[:4]) + (", ..." if len(distinct) > 4 else "")
    key = repr(header) if re.search(r"[][{},:#&*!|>'\"%@`]", header) else header  # these have a meaning in YAML
    return [
        f"column {header!r} is not used and splits the rows ({shown}): is it the membrane? "
        f"columns: {{{key}: membrane}}, or ignore: [{key}]"
    ]


def _has_two_texts(values: Sequence[str]) -> bool:
    return sum(not is_number(value) for value in values) >= 2
