"""Read the cells of Excel workbooks, within limits that are checked before anything is unpacked."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from xml.parsers import expat

from membrane_dask.io.tables.clock_times import clock_text
from membrane_dask.io.tables.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS, TableError
from membrane_dask.io.tables.numerals import is_number
from membrane_dask.io.tables.rows import Formula

#: Unpacked sizes, in bytes: of the cells and texts, and of every other member of the archive.
_MAX_SHEETS, _MAX_MEMBER = 20_000_000, 1_000_000
#: Rows that Excel has.
_EXCEL_ROWS = 1_048_576
#: What pandas, and therefore earlier versions, reads as an empty cell.
_EMPTY = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip


def read_workbook(path: Path, sheet: str | None = None) -> list[tuple[int, list[Any]]]:
    """Rows of a sheet that are not blank, each with its number.

    Parameters
    ----------
    path : Path
        .xlsx or .xlsm.
    sheet : str, optional
        Name of the sheet; required where several sheets hold something.

    Returns
    -------
    list of (int, list)
        Number of the row and its cells; blank cells are None.

    Raises
    ------
    TableError
        If it is no workbook, is larger than the limits, or has no such sheet.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise TableError([f"{path.name} needs openpyxl: pip install 'membrane-dask[excel]'"]) from error
    has_formulas = _check_archive(path)
    book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        visible = [worksheet.title for worksheet in book.worksheets if worksheet.sheet_state == "visible"]
        names = [worksheet.title for worksheet in book.worksheets]
        if sheet is not None and sheet not in names:
            raise TableError([f"{path.name} has no sheet {sheet!r}; its sheets are {', '.join(map(repr, names))}"])
        hidden_rows = {name: _hidden_rows(path, book[name]) for name in visible}
        contents = {name: _cells(book[name], path) for name in ([sheet] if sheet is not None else visible)}
    finally:
        book.close()
    filled = [name for name in contents if contents[name]]
    if len(filled) > 1:  # sheets of words only are remarks
        filled = [name for name in filled if any(_holds_numbers(cells) for _, cells in contents[name])] or filled
    if len(filled) > 1:
        raise TableError([f"{path.name} has several sheets; name one: sheet: {filled[0]!r} (it has {filled})"])
    if not filled:
        return []
    rows = contents[filled[0]]
    hidden = hidden_rows.get(filled[0], frozenset())
    if numbers := [str(number) for number, cells in rows if number in hidden and _holds_numbers(cells)]:
        raise TableError(
            [
                f"row {', '.join(numbers[:5])} of sheet {filled[0]!r} is hidden: show the hidden rows if they are "
                "readings, else delete them"
            ]
        )
    return _with_formulas(path, filled[0], rows) if has_formulas else rows


def _holds_numbers(cells: Sequence[Any]) -> bool:
    return any(is_number(cell) for cell in cells)


def _cells(worksheet: Any, path: Path) -> list[tuple[int, list[Any]]]:
    worksheet.reset_dimensions()  # what the file says about its extent may be wrong
    rows: list[tuple[int, list[Any]]] = []
    count = 0
    for number, row in enumerate(islice(worksheet.iter_rows(), _EXCEL_ROWS + 1), 1):
        cells = [_value(cell) for cell in row]
        while cells and cells[-1] is None:
            cells.pop()
        if not cells:
            continue
        count += len(cells)
        if number > MAX_ROWS or len(cells) > MAX_COLUMNS or count > MAX_CELLS:
            from openpyxl.utils import get_column_letter

            raise TableError(
                [
                    f"{path.name} has a cell {get_column_letter(len(cells))}{number} in sheet {worksheet.title!r}; at "
                    f"most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells are read: delete what "
                    "does not belong to the table"
                ]
            )
        rows.append((number, cells))
    return rows


def _hidden_rows(path: Path, worksheet: Any) -> frozenset[int]:
    """Numbers of rows that the sheet does not show."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read(worksheet._worksheet_path.lstrip("/"))
    tags = re.findall(rb"<row [^>]*\bhidden=\"(?:1|true)\"[^>]*>", content)
    numbers = (re.search(rb"\br=\"(\d+)\"", tag) for tag in tags)
    return frozenset(int(number[1]) for number in numbers if number)


def _value(cell: Any) -> Any:
    """Content of a cell; None if it is blank or an error, and whole numbers as int."""
    value = cell.value
    if value is None or cell.data_type == "e" or (isinstance(value, str) and value in _EMPTY):
        return None
    if isinstance(value, (time, timedelta)) or (isinstance(value, datetime) and _is_time(value)):
        return clock_text(value)
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    return value


def _is_time(value: datetime) -> bool:
    """Whether a date of a spreadsheet is a time: one at midnight may be a day, except in the first year it counts."""
    return value.time() != time() or value.year <= 1900


def _with_formulas(path: Path, sheet: str, rows: Sequence[tuple[int, list[Any]]]) -> list[tuple[int, list[Any]]]:
    """Rows with a :class:`Formula` in each cell whose value the workbook does not hold."""
    from openpyxl import load_workbook

    values = {number: list(cells) for number, cells in rows}
    book = load_workbook(path, read_only=True, keep_links=False)
    try:
        worksheet = book[sheet]
        worksheet.reset_dimensions()
        for number, row in enumerate(islice(worksheet.iter_rows(), MAX_ROWS), 1):
            for column, cell in enumerate(row):
                if cell.data_type != "f":
                    continue
                cells = values.setdefault(number, [])
                cells += [None] * (column + 1 - len(cells))
                if cells[column] is None:
                    cells[column] = Formula(cell.coordinate)
    finally:
        book.close()
    return sorted(values.items())


def _check_archive(path: Path) -> bool:
    """Check sizes and types of the members of a workbook; returns whether it has formulas."""
    with path.open("rb") as stream:
        if stream.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
            raise TableError([f"{path.name} is encrypted, or of an old Excel: save it as .xlsx without a password"])
    if not zipfile.is_zipfile(path):
        advice = (
            "if a program wrote text or HTML with this ending, open it in a spreadsheet program and save it as .xlsx"
        )
        raise TableError([f"{path.name} is no workbook, or only a part of one: {advice}"])
    with zipfile.ZipFile(path) as archive:
        sheets = 0
        has_formulas = False
        for member in archive.infolist():
            if not member.filename.lower().endswith((".xml", ".rels")):
                continue
            is_sheet = member.filename.startswith("xl/worksheets/") or member.filename == "xl/sharedStrings.xml"
            sheets += member.file_size if is_sheet else 0
            if sheets > _MAX_SHEETS or (not is_sheet and member.file_size > _MAX_MEMBER):
                raise TableError(
                    [
                        f"{path.name} unpacks to more than {(_MAX_SHEETS if is_sheet else _MAX_MEMBER) / 1e6:g} MB "
                        f"({member.filename}): save the table as .csv, or in a workbook of its own"
                    ]
                )
            with archive.open(member) as xml:
                _refuse_document_type(xml, path)
            if is_sheet and not has_formulas:
                content = archive.read(member)
                has_formulas = b"<f>" in content or b"<f " in content
    return has_formulas


class _RootReached(Exception):
    """The first element of an XML document, before which its document type would stand."""


def _refuse_document_type(stream: Any, path: Path) -> None:
    """Refuse XML with a document type, whose entities may expand without bounds; no spreadsheet program writes one."""

    def refuse(*declaration: Any) -> None:
        raise TableError([f"{path.name} declares an XML document type, as no spreadsheet program does"])

    def stop(*element: Any) -> None:
        raise _RootReached

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        while chunk := stream.read(1 << 16):
            parser.Parse(chunk)
    except _RootReached:
        return
