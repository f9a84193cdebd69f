"""Read CSV, Excel or JSON files as rows that keep their numbers in the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from membrane_dask.errors import MAX_PROBLEMS, first_problems, reason
from membrane_dask.files import read_bytes, require_regular
from membrane_dask.io.tables.limits import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_JSON_BYTES,
    MAX_ROWS,
    MAX_TEXT_BYTES,
    TableError,
)
from membrane_dask.io.tables.workbooks import read_workbook

#: Lines of a file of text, with those that are blank or comments.
_MAX_LINES = 1_000_000


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
        .csv, .tsv, .txt, .xlsx, .xlsm or .json.
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
        if suffix in (".xlsx", ".xlsm"):
            require_regular(path)
            lines = [Row(number, cells) for number, cells in read_workbook(path, sheet)]
        elif suffix == ".json":
            lines = _read_json(path)
        elif suffix in (".csv", ".tsv", ".txt"):
            lines = _read_csv(path)
        else:
            advice = ": save it as .xlsx" if suffix in (".xls", ".xlsb", ".ods") else ""
            raise TableError([f"{path.name} is not a table: it must be .csv, .tsv, .txt, .xlsx or .json{advice}"])
    except TableError:
        raise
    except Exception as error:  # readers raise many types; MEMBRANE_DASK_DEBUG=1 shows where
        raise TableError([f"{path.name} cannot be read as a table: {reason(error)}"]) from error
    _check_size(path, lines)
    if not lines:
        raise TableError([f"{path.name} has no rows"])
    header = [str(cell) if cell is not None and cell == cell else "" for cell in lines[0].cells]
    rows = [row for row in lines[1:] if any(c is not None and c == c and str(c).strip() for c in row.cells)]
    return header, rows


def _check_size(path: Path, lines: Sequence[Row]) -> None:
    cells = sum(len(row.cells) for row in lines)
    columns = max((len(row.cells) for row in lines), default=0)
    if len(lines) > MAX_ROWS or columns > MAX_COLUMNS or cells > MAX_CELLS:
        size = f"{len(lines):,} rows, {columns:,} columns and {cells:,} cells"
        limits = f"{MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells"
        raise TableError([f"{path.name} has {size}; at most {limits} are read: divide it into several tables"])


def _encoding(raw: bytes, path: Path) -> str:
    if not raw.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" not in raw:  # no UTF-16, no binary data
        for encoding in ("utf-8-sig", "cp1252"):  # cp1252 as spreadsheets on Windows write it
            try:
                raw.decode(encoding)
            except UnicodeDecodeError:
                continue
            return encoding
    raise TableError([f"{path.name} is not text in UTF-8 or Windows-1252: save it as CSV in UTF-8"])


def _read_csv(path: Path) -> list[Row]:
    raw = read_bytes(path, MAX_TEXT_BYTES)
    delimiter, rows, cells, problems = "", list[Row](), 0, list[str]()
    for number, line in enumerate(TextIOWrapper(BytesIO(raw), _encoding(raw, path)), 1):
        if number > _MAX_LINES:
            raise TableError([f"{path.name} has more than {_MAX_LINES:,} lines"])
        line = line.rstrip("\n")
        if not line.strip() or line.startswith("#"):
            continue
        delimiter = delimiter or next((d for d in ("\t", ";") if d in line), ",")
        fields = line.count(delimiter) + 1
        cells += fields
        if len(rows) == MAX_ROWS or fields > MAX_COLUMNS or cells > MAX_CELLS:
            limits = f"{MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells"
            raise TableError([f"{path.name} has more than {limits} (row {number}): divide it into several tables"])
        try:
            rows.append(Row(number, _fields(line, delimiter)))
        except csv.Error as error:
            problems.append(f"row {number}: {error}; a field in quotes must end on its line")
    width = len(rows[0].cells) if rows else 0
    for row in rows:
        if len([c for c in row.cells if c.strip()]) > width:
            advice = "check the row"
            if delimiter == ",":
                advice = "if commas are decimal separators, separate the fields by semicolons and set decimal: ','"
            problems.append(f"row {row.number} has {len(row.cells)} fields, the header {width}: {advice}")
    if problems:
        raise TableError(first_problems(problems))
    return rows


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):  # a quote that opens a field and does not close it
            raise
        return next(csv.reader([line], delimiter=delimiter))


def _read_json(path: Path) -> list[Row]:
    """Rows from a list of objects, or from an object of columns."""
    try:
        content = json.loads(read_bytes(path, MAX_JSON_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TableError([f"{path.name} is not UTF-8 text (byte {error.start + 1}); save it as UTF-8"]) from error
    except RecursionError as error:
        raise TableError([f"{path.name} has lists or objects nested too deep; a list of rows is needed"]) from error
    if isinstance(content, dict):
        lengths = {name: len(column) if isinstance(column, list) else -1 for name, column in content.items()}
        if len(set(lengths.values())) != 1 or -1 in lengths.values():
            shown = list(lengths.items())[:MAX_PROBLEMS]
            text = ", ".join(f"{name} {n}" if n >= 0 else f"{name} no list" for name, n in shown)
            raise TableError([f"{path.name}: columns must be lists of one length ({text})"])
        header = list(content)
        return [Row(0, header), *(Row(k, cells) for k, cells in enumerate(zip(*content.values(), strict=True), 1))]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise TableError([f"{path.name} must be a list of rows, or a mapping of columns"])
    header = list(dict.fromkeys(name for row in content for name in row))
    return [Row(0, header), *(Row(k, [row.get(name) for name in header]) for k, row in enumerate(content, 1))]
