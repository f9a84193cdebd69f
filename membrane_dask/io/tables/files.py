"""Files to rows: CSV, Excel or JSON, each row with the number that it has in the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class TableError(ValueError):
    """What is wrong with a table, all of it.

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

    def at(self, place: int) -> Any:
        """Content of a cell; None where there is none."""
        value = self.cells[place] if place < len(self.cells) else None
        return None if value is None or (isinstance(value, str) and not value.strip()) or value != value else value


def read_rows(path: Path, sheet: str | None = None) -> tuple[list[str], list[Row]]:
    """Header and rows of a table; rows keep the numbers they have in the file.

    Raises
    ------
    TableError
        If the file is no table.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".xlsx", ".xlsm", ".xls", ".ods"):
            lines = _excel(path, sheet)
        elif suffix == ".json":
            lines = _json(path)
        elif suffix in (".csv", ".tsv", ".txt"):
            lines = _csv(path)
        else:
            raise TableError([f"{path.name} is no table that is known: .csv, .tsv, .txt, .xlsx or .json"])
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, TableError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError([f"{path.name} cannot be read as a table: {reason}"]) from error
    if not lines:
        raise TableError([f"{path.name} holds no row"])
    header = [str(cell) if cell is not None and cell == cell else "" for cell in lines[0].cells]
    rows = [row for row in lines[1:] if any(c is not None and c == c and str(c).strip() for c in row.cells)]
    return header, rows


def _csv(path: Path) -> list[Row]:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252")  # as spreadsheets on Windows write it
    if "\0" in text:
        raise ValueError("it is not text")
    kept = [(k, line) for k, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not kept:
        return []
    delimiter = next((d for d in ("\t", ";") if d in kept[0][1]), ",")
    rows = [Row(k, next(csv.reader([line], delimiter=delimiter))) for k, line in kept]
    wide = len(rows[0].cells)
    long = [row for row in rows if len([c for c in row.cells if c.strip()]) > wide]
    if long:
        words = "are there decimal commas? Then separate the fields by semicolons" if delimiter == "," else "look at it"
        raise TableError([f"row {row.number} has {len(row.cells)} fields, the header {wide}: {words}" for row in long])
    return rows


def _excel(path: Path, sheet: str | None) -> list[Row]:
    import pandas as pd

    try:
        book = pd.read_excel(path, sheet_name=None, header=None, dtype=object)
    except ImportError as error:
        reason = f"{path.name} needs {error.name or 'openpyxl'}: pip install 'membrane-dask[excel]'"
        raise TableError([reason]) from error
    if sheet is not None and sheet not in book:
        raise TableError([f"{path.name} has no sheet {sheet!r}; it has {', '.join(map(repr, book))}"])
    if sheet is None and len(book) > 1:
        filled = [name for name, found in book.items() if not found.dropna(how="all").empty]
        if len(filled) > 1:
            raise TableError([f"{path.name} has several sheets; name one: sheet: {filled[0]!r} (it has {filled})"])
        sheet = filled[0] if filled else next(iter(book))
    frame = book[sheet if sheet is not None else next(iter(book))]
    rows = [Row(k, list(cells)) for k, cells in enumerate(frame.itertuples(index=False, name=None), 1)]
    return [row for row in rows if any(cell == cell and cell is not None for cell in row.cells)]


def _json(path: Path) -> list[Row]:
    known = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(known, dict):
        lengths = {name: len(column) if isinstance(column, list) else -1 for name, column in known.items()}
        if len(set(lengths.values())) != 1 or -1 in lengths.values():
            told = ", ".join(f"{name} {n}" if n >= 0 else f"{name} no list" for name, n in lengths.items())
            raise TableError([f"{path.name}: columns must be lists of one length ({told})"])
        header = list(known)
        return [Row(0, header), *(Row(k, cells) for k, cells in enumerate(zip(*known.values(), strict=True), 1))]
    if not isinstance(known, list) or not all(isinstance(row, dict) for row in known):
        raise TableError([f"{path.name} must hold a list of rows, or a mapping of columns"])
    header = list(dict.fromkeys(name for row in known for name in row))
    return [Row(0, header), *(Row(k, [row.get(name) for name in header]) for k, row in enumerate(known, 1))]
