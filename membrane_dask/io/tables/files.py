"""Read CSV, Excel or JSON files as rows that keep their numbers in the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class TableError(ValueError):
    """A table has errors; all of them are reported together.

    Parameters
    ----------
    problems : sequence of str
        Each names the row, the membrane and the column.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Parameters
    ----------
    number : int
        Its number in the file.
    cells : sequence
        Its contents.
    """

    number: int
    cells: Sequence[Any]

    def cell(self, index: int) -> Any:
        """Content of a cell; None where it is missing, blank or NaN."""
        value = self.cells[index] if index < len(self.cells) else None
        return None if value is None or (isinstance(value, str) and not value.strip()) or value != value else value


def read_rows(path: Path, sheet: str | None = None) -> tuple[list[str], list[Row]]:
    """Read the header and the rows of a table.

    Parameters
    ----------
    path : Path
        .csv, .tsv, .txt, .xlsx, .xlsm, .xls, .ods or .json.
    sheet : str, optional
        Sheet of a workbook with several sheets.

    Returns
    -------
    header : list of str
        Names of the columns.
    rows : list of Row
        Rows that are not blank, with their numbers in the file.

    Raises
    ------
    TableError
        If the file cannot be read as a table.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".xlsx", ".xlsm", ".xls", ".ods"):
            lines = _read_workbook(path, sheet)
        elif suffix == ".json":
            lines = _read_json(path)
        elif suffix in (".csv", ".tsv", ".txt"):
            lines = _read_csv(path)
        else:
            raise TableError([f"{path.name} is not a table: it must be .csv, .tsv, .txt, .xlsx or .json"])
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, TableError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError([f"{path.name} cannot be read as a table: {reason}"]) from error
    if not lines:
        raise TableError([f"{path.name} has no rows"])
    header = [str(cell) if cell is not None and cell == cell else "" for cell in lines[0].cells]
    rows = [row for row in lines[1:] if any(c is not None and c == c and str(c).strip() for c in row.cells)]
    return header, rows


def _read_csv(path: Path) -> list[Row]:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252")  # as spreadsheets on Windows write it
    if "\0" in text:
        raise ValueError("it is not text")
    lines = [(k, line) for k, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not lines:
        return []
    delimiter = next((d for d in ("\t", ";") if d in lines[0][1]), ",")
    rows = [Row(k, next(csv.reader([line], delimiter=delimiter))) for k, line in lines]
    width = len(rows[0].cells)
    too_long = [row for row in rows if len([c for c in row.cells if c.strip()]) > width]
    if too_long:
        advice = "check the row"
        if delimiter == ",":
            advice = "if commas are decimal separators, separate the fields by semicolons and set decimal: ','"
        raise TableError(
            [f"row {row.number} has {len(row.cells)} fields, the header {width}: {advice}" for row in too_long]
        )
    return rows


def _read_workbook(path: Path, sheet: str | None) -> list[Row]:
    import pandas as pd

    try:
        book = pd.read_excel(path, sheet_name=None, header=None, dtype=object)
    except ImportError as error:
        reason = f"{path.name} needs {error.name or 'openpyxl'}: pip install 'membrane-dask[excel]'"
        raise TableError([reason]) from error
    if sheet is not None and sheet not in book:
        raise TableError([f"{path.name} has no sheet {sheet!r}; its sheets are {', '.join(map(repr, book))}"])
    if sheet is None and len(book) > 1:
        filled = [name for name, frame in book.items() if not frame.dropna(how="all").empty]
        if len(filled) > 1:
            raise TableError([f"{path.name} has several sheets; name one: sheet: {filled[0]!r} (it has {filled})"])
        sheet = filled[0] if filled else next(iter(book))
    frame = book[sheet if sheet is not None else next(iter(book))]
    rows = [Row(k, list(cells)) for k, cells in enumerate(frame.itertuples(index=False, name=None), 1)]
    return [row for row in rows if any(cell == cell and cell is not None for cell in row.cells)]


def _read_json(path: Path) -> list[Row]:
    """Rows from a list of objects, or from an object of columns."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        lengths = {name: len(column) if isinstance(column, list) else -1 for name, column in content.items()}
        if len(set(lengths.values())) != 1 or -1 in lengths.values():
            text = ", ".join(f"{name} {n}" if n >= 0 else f"{name} no list" for name, n in lengths.items())
            raise TableError([f"{path.name}: columns must be lists of one length ({text})"])
        header = list(content)
        return [Row(0, header), *(Row(k, cells) for k, cells in enumerate(zip(*content.values(), strict=True), 1))]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise TableError([f"{path.name} must be a list of rows, or a mapping of columns"])
    header = list(dict.fromkeys(name for row in content for name in row))
    return [Row(0, header), *(Row(k, [row.get(name) for name in header]) for k, row in enumerate(content, 1))]
