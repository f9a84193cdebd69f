"""A table of a report as CSV, whose numbers a program can read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹\N{MINUS SIGN}", "-0123456789-")
_NUMBER = r"-?(?:\d+(?:\.\d+)?(?:e-?\d+)?|inf)"
_WITH_INTERVAL = re.compile(rf"({_NUMBER}) \[({_NUMBER}), ({_NUMBER})\]")
_POWER = re.compile(r"\s*\N{MULTIPLICATION SIGN}\s*10([-⁻⁰¹²³⁴⁵⁶⁷⁸⁹\N{MINUS SIGN}]+)")


def table_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts as CSV.

    Numbers have a hyphen as their sign and an exponent (``6.56e12``), and a cell with an interval takes three columns.
    The digits are those of the report.

    Parameters
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells.
    """
    columns = [[_plain(row[k]) for row in rows] for k in range(len(header))]
    names: list[str] = []
    cells: list[list[str]] = []
    for name, column in zip(header, columns, strict=True):
        if not any(_WITH_INTERVAL.fullmatch(cell) for cell in column):
            names.append(name)
            cells.append(column)
            continue
        names += [name, f"{name}, low", f"{name}, high"]
        matches = [_WITH_INTERVAL.fullmatch(cell) for cell in column]
        triples = [match.groups() if match else (cell, "", "") for match, cell in zip(matches, column, strict=True)]
        cells += [list(values) for values in zip(*triples, strict=True)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*cells, strict=True))
    return stream.getvalue()


def _plain(cell: str) -> str:
    """A cell with numbers as programs read them; empty for a dash, which stands for no number."""
    text = _POWER.sub(lambda match: f"e{match[1].translate(_SUPERSCRIPTS)}", cell)
    text = re.sub(r"\N{MINUS SIGN}(?=[\d∞])", "-", text).replace("∞", "inf")
    return "" if text == "-" else text
