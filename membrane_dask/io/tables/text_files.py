"""Records of a text file: its encoding, its separator by the whole text, and its columns where they are aligned."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from membrane_dask.files import read_bytes
from membrane_dask.io.tables.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS, MAX_TEXT_BYTES, TableError
from membrane_dask.io.tables.numerals import is_missing, is_number
from membrane_dask.io.tables.rows import Row, is_page_mark

#: Lines of a file of text, with those that are blank or comments.
_MAX_LINES = 1_000_000
#: Lines of comments that are read for conditions of the measurement.
_MAX_COMMENTS = 500
#: Separators in order of preference, as patterns where they are runs of spaces.
_SEPARATORS = ("\t", ";", ",", "|", "  ", " ")
_NAMES = {"\t": "tabulators", ";": "semicolons", ",": "commas", "|": "bars", "  ": "spaces", " ": "spaces"}


@dataclass(frozen=True)
class TextTable:
    """Records of a text file.

    Parameters
    ----------
    rows : list of Row
        Records that are not blank, numbered as a spreadsheet does.
    encoding, separator : str
        Names of both, for people.
    """

    rows: list[Row]
    encoding: str
    separator: str


def read_text(path: Path) -> TextTable:
    """Read the records of a text file.

    Parameters
    ----------
    path : Path
        UTF-8, UTF-16 (also without its mark) or Windows-1252; separated by tabulators, semicolons, commas, bars or
        spaces.

    Raises
    ------
    TableError
        If it is no text, or larger than the limits.
    """
    text, encoding = _decode(read_bytes(path, MAX_TEXT_BYTES), path)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\f" in text:  # page breaks
        text = re.sub(r"(?<=\n)\f+|\f+(?=\n)", "", text).replace("\f", "\n")
    if text.count("\n") > _MAX_LINES:
        raise TableError([f"{path.name} has more than {_MAX_LINES:,} lines"])
    text = _without_further_comments(text)
    separator = _separator(text, path)
    if separator in ("  ", " "):
        rows = _aligned(text, separator)
    else:
        rows = [
            Row(number, record, separator.join(record))
            for number, record in enumerate(_records(text, separator, path), 1)
            if any(cell.strip() for cell in record)
        ]
    cells = sum(len(row.cells) for row in rows)
    if len(rows) > MAX_ROWS or cells > MAX_CELLS or max((len(row.cells) for row in rows), default=0) > MAX_COLUMNS:
        number = rows[min(MAX_ROWS, len(rows) - 1)].number
        limits = f"{MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells"
        raise TableError([f"{path.name} has more than {limits} (row {number}): divide it into several tables"])
    return TextTable(rows, encoding, _NAMES[separator])


def _without_further_comments(text: str) -> str:
    """Text whose comments behind the first ones are blank lines."""
    if text.count("\n#") <= _MAX_COMMENTS:
        return text
    position = 0
    for _ in range(_MAX_COMMENTS):
        position = text.index("\n#", position) + 1
    return text[:position] + re.sub(r"^#.*$", "", text[position:], flags=re.MULTILINE)


def _decode(raw: bytes, path: Path) -> tuple[str, str]:
    """Text of a file, and its encoding."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        candidates = ["utf-16"]
    elif b"\0" in raw:
        # Text in UTF-16 without its mark has a zero in every second byte of its digits.
        zeros = [raw[k:4096:2].count(0) / max(1, len(raw[k:4096:2])) for k in (0, 1)]
        candidates = ["utf-16-le"] * (zeros[1] > 0.4 > zeros[0]) + ["utf-16-be"] * (zeros[0] > 0.4 > zeros[1])
    else:
        candidates = ["utf-8-sig", "cp1252"]  # cp1252 as spreadsheets on Windows write it
    for encoding in candidates:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, {"utf-8-sig": "UTF-8", "cp1252": "Windows-1252"}.get(encoding, "UTF-16")
    if raw.startswith(b"PK"):
        raise TableError([f"{path.name} is a workbook or another archive: give it the ending .xlsx, or save it as CSV"])
    raise TableError([f"{path.name} is not text in UTF-8, UTF-16 or Windows-1252: save it as CSV in UTF-8"])


def _records(text: str, separator: str, path: Path) -> list[list[str]]:
    """All records, blank ones included; quoted cells may hold the separator and line ends."""
    try:
        return list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):  # a quote that opens a cell and does not close it
            raise TableError([f"{_open_quote(text, separator)}: a cell in quotes does not end"]) from error
    try:
        return list(csv.reader(StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise TableError([f"{path.name} cannot be divided into cells: {error}"]) from error


def _open_quote(text: str, separator: str) -> str:
    """Row in which the quote stands that does not close."""
    lines = text.split("\n")
    for number in range(len(lines), 0, -1):
        try:
            list(csv.reader(StringIO("\n".join(lines[: number - 1]), newline=""), delimiter=separator, strict=True))
        except csv.Error:
            continue
        return f"row {number}"
    return "row 1"


def _separator(text: str, path: Path) -> str:
    """The separator that gives most rows of equal width."""
    lines = [line for line in text.split("\n", 2000)[:2000] if line.strip() and not is_page_mark(line)]
    best, best_count = ",", 0
    for separator in _SEPARATORS:
        if separator.strip() and not any(separator in line for line in lines):
            continue
        if separator in ("  ", " "):
            split = [re.split(r"\s{2,}|\t" if separator == "  " else r"\s+", line.strip()) for line in lines]
        else:
            try:
                records = csv.reader(StringIO("\n".join(lines), newline=""), delimiter=separator)
                split = [record for record in records if record]
            except csv.Error:
                continue
        widths = Counter(len(cells) for cells in split if sum(map(is_number, cells)) >= 1 and len(cells) > 1)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        rows = [cells for cells in split if len(cells) == width]
        if separator == "," and _holds_other_separators(rows):
            continue
        if separator == " " and sum(is_number(cell) for cells in rows for cell in cells) < 0.8 * width * count:
            continue
        if count > best_count:
            best, best_count = separator, count
    return best


def _holds_other_separators(rows: Sequence[Sequence[str]]) -> bool:
    """Whether cells between commas hold semicolons, tabulators or gaps of the true separator."""
    cells = [cell.strip() for row in rows for cell in row]
    return sum(bool(re.search(r"[;|\t]|\d {2,}\S", cell)) for cell in cells) * 4 > len(rows)


def _aligned(text: str, separator: str) -> list[Row]:
    """Records of a table whose columns are aligned by spaces; headers above it fall into the column below them."""
    gap = r"(?<=\S)(?:\s{2,}|\t)(?=\S)" if separator == "  " else r"(?<=\S)\s+(?=\S)"
    rows, spans_of = list[Row](), dict[int, list[tuple[int, int]]]()
    for number, line in enumerate(text.split("\n"), 1):
        line = line.expandtabs(8)
        if not line.strip():
            continue
        stripped = line.strip()
        start = len(line) - len(line.lstrip())
        spans, begin = [], 0
        for match in re.finditer(gap, stripped):
            spans.append((start + begin, start + match.start()))
            begin = match.end()
        spans.append((start + begin, start + len(stripped)))
        rows.append(Row(number, [line[a:b] for a, b in spans], line))
        spans_of[number] = spans
    numeric = [row for row in rows if len(row.cells) > 1 and all(is_number(c) or is_missing(c) for c in row.cells)]
    if not numeric:
        return rows
    width = Counter(len(row.cells) for row in numeric).most_common(1)[0][0]
    first = next(row for row in numeric if len(row.cells) == width)
    columns = _column_spans([spans_of[row.number] for row in numeric if len(row.cells) == width])
    aligned = []
    for row in rows:
        is_header = first.number - 6 <= row.number < first.number and not re.search(r"[=:]", row.text)
        if (is_header and len(row.text.split()) > 1) or (row in numeric and len(row.cells) < width):
            aligned.append(Row(row.number, _in_columns(row.text, columns), row.text))
        else:
            aligned.append(row)
    return aligned


def _column_spans(spans: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Extent of each column over all rows of numbers."""
    return [(min(a for a, _ in column), max(b for _, b in column)) for column in zip(*spans, strict=True)]


def _in_columns(line: str, columns: Sequence[tuple[int, int]]) -> list[str]:
    """Words of a line, each in the column that it overlaps or is closest to."""
    cells = [""] * len(columns)
    for match in re.finditer(r"\S+", line):
        centre = (match.start() + match.end()) / 2
        distances = [max(a - centre, centre - b, 0.0) for a, b in columns]
        index = distances.index(min(distances))
        cells[index] = f"{cells[index]} {match[0]}".strip()
    return cells
