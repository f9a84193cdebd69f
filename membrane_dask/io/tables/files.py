"""Read CSV, Excel or JSON files as rows that keep their numbers in the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from membrane_dask.errors import MAX_PROBLEMS, reason
from membrane_dask.files import read_bytes, require_regular
from membrane_dask.io.tables.limits import MAX_CELLS, MAX_COLUMNS, MAX_JSON_BYTES, MAX_ROWS, TableError
from membrane_dask.io.tables.rows import Row
from membrane_dask.io.tables.text_files import read_text
from membrane_dask.io.tables.workbooks import read_workbook


def read_rows(path: Path, sheet: str | None = None) -> tuple[list[Row], str]:
    """Read the rows of a file.

    Parameters
    ----------
    path : Path
        .csv, .tsv, .txt, .dat, .asc, .xlsx, .xlsm or .json.
    sheet : str, optional
        Sheet of a workbook with several sheets.

    Returns
    -------
    rows : list of Row
        Rows that are not blank, with their numbers in the file.
    format_message : str
        What was concluded on encoding and separator, where they are unusual; else empty.

    Raises
    ------
    TableError
        If the file cannot be read as a table.
    """
    suffix = path.suffix.lower()
    message = ""
    try:
        if suffix in (".xlsx", ".xlsm"):
            require_regular(path)
            rows = [Row(number, cells) for number, cells in read_workbook(path, sheet)]
        elif suffix == ".json":
            rows = _read_json(path)
        elif suffix in (".csv", ".tsv", ".txt", ".dat", ".asc"):
            text = read_text(path)
            rows = text.rows
            if text.encoding != "UTF-8" or text.separator in ("spaces", "bars"):
                message = f"text in {text.encoding}, separated by {text.separator}"
        else:
            advice = ": save it as .xlsx" if suffix in (".xls", ".xlsb", ".ods") else "; text gets the ending .txt"
            raise TableError([f"{path.name} is not a table: it must be .csv, .tsv, .txt, .xlsx or .json{advice}"])
    except TableError:
        raise
    except Exception as error:  # readers raise many types; MEMBRANE_DASK_DEBUG=1 shows where
        raise TableError([f"{path.name} cannot be read as a table: {reason(error)}"]) from error
    _check_size(path, rows)
    rows = [row for row in rows if row.filled()]
    if not rows:
        raise TableError([f"{path.name} has no rows"])
    return rows, message


def _check_size(path: Path, lines: Sequence[Row]) -> None:
    cells = sum(len(row.cells) for row in lines)
    columns = max((len(row.cells) for row in lines), default=0)
    if len(lines) > MAX_ROWS or columns > MAX_COLUMNS or cells > MAX_CELLS:
        size = f"{len(lines):,} rows, {columns:,} columns and {cells:,} cells"
        limits = f"{MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells"
        raise TableError([f"{path.name} has {size}; at most {limits} are read: divide it into several tables"])


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
