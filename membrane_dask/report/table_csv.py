"""A table of a report as CSV, whose numbers a program can read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

_NUMBER = r"-?(?:\d+(?:\.\d+)?(?:e-?\d+)?|infinite)"
_WITH_INTERVAL = re.compile(rf"({_NUMBER}) \[({_NUMBER}), ({_NUMBER})\]")
_NUMBER_ONLY = re.compile(_NUMBER)


def table_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts as CSV.

    A cell with an interval takes three columns. The digits are those of the report.

    Parameters
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells.
    """
    columns = [[row[k] for row in rows] for k in range(len(header))]
    names: list[str] = []
    cells: list[list[str]] = []
    for name, column in zip(header, columns, strict=True):
        matches = [_WITH_INTERVAL.fullmatch(cell) for cell in column]
        if not any(matches):
            names.append(name)
            cells.append([_plain(cell) for cell in column])
            continue
        names += [name, f"{name}, low", f"{name}, high"]
        triples = [match.groups() if match else (cell, "", "") for match, cell in zip(matches, column, strict=True)]
        cells += [[_plain(value) for value in values] for values in zip(*triples, strict=True)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*cells, strict=True))
    return stream.getvalue()


def _plain(cell: str) -> str:
    """A cell as programs read it: ``inf`` for an infinite number, nothing for a dash, which stands for no number."""
    if cell == "-":
        return ""
    return cell.replace("infinite", "inf") if _NUMBER_ONLY.fullmatch(cell) else cell
