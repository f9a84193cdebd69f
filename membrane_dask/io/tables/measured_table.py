"""A table of a laboratory as it stands: its columns as quantities in SI units, and everything that is not certain."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import first_problems, short
from membrane_dask.io.tables.balance_log import find_tables
from membrane_dask.io.tables.clock_times import clock_seconds, has_day, is_clock, unclear_days
from membrane_dask.io.tables.column_groups import ambiguous_columns, stack, without_headings
from membrane_dask.io.tables.columns import Column, RecognisedColumns, TableOptions, quantity_of, unit_problem
from membrane_dask.io.tables.files import read_rows
from membrane_dask.io.tables.header_block import HeaderBlock, read_header_block
from membrane_dask.io.tables.headers import MAX_LABEL, HeaderCell
from membrane_dask.io.tables.layout import Block, is_ruler
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.numerals import decimal_sign, is_missing, is_number, numeral
from membrane_dask.io.tables.roles import LABELS, ROLES
from membrane_dask.io.tables.rows import Formula, Row
from membrane_dask.io.tables.sections import join_sections
from membrane_dask.io.tables.unit_text import UnitText, clock_format, unit_text
from membrane_dask.io.tables.unused_columns import names_another_membrane, unused_columns
from membrane_dask.plain_text import printable, shortened
from membrane_dask.quantities import convert

#: Words of rows that a spreadsheet computed from the others.
_COMPUTED = re.compile(r"(mean|average|avg|mittelwert|mittel|moyenne|media|promedio|std|sd|sum|summe|total)\b.*", re.I)
#: Quantities by which a row is a reading; in a footer they are words.
_KEYS = (
    "pressure", "absolute pressure", "suction pressure", "feed pressure", "mean pressure", "bubble point",
    "entry pressure", "molar mass", "solute radius", "time", "permeability", "volume", "mass", "flux",
)  # fmt: skip
#: Characters of a cell that a finding shows.
_SHOWN = 120


class MeasuredTable:
    """A table whose columns are recognised; methods convert its cells, and all problems are collected.

    Parameters
    ----------
    path : Path
        CSV or other text, Excel, JSON.
    options : TableOptions
        What the study says about it.
    block : Block, optional
        Header and rows that are in memory; the file is not read then, and every row is a reading.

    Attributes
    ----------
    columns : list of Column
        Recognised columns.
    rows : list of Row
        Readings.
    block : HeaderBlock
        Conditions that the lines above the table state.
    problems : list of str
        What must be corrected or said before anything is computed.
    findings : list of str
        What was done with the table: rows left out, signs and units that were concluded.
    is_log : bool
        Whether masses are known to be readings of a balance in the course of time.
    unused : list of str
        Headers of columns that are not used.

    Raises
    ------
    TableError
        If the file cannot be read as a table.
    """

    def __init__(self, path: Path, options: TableOptions | None = None, block: Block | None = None) -> None:
        self.path, self.options = path, options or TableOptions()
        self.findings: list[str] = []
        self.problems: list[str] = []
        self._in_memory = block is not None
        if block is None:
            rows, format_message = read_rows(path, self.options.sheet)
            if format_message:
                self.findings.append(format_message)
            block = join_sections(self._choose(find_tables(rows)), self.problems, self.findings)
        self.is_log = block.is_log
        if block.is_log:
            self.findings.append("lines of a balance: a log of the mass against time")
        self.header_block: HeaderBlock = read_header_block(block.above)
        recognised = RecognisedColumns(block.header, self.options, self.header_block.columns)
        self.columns = without_headings(recognised.columns)
        self.problems += recognised.problems
        self.problems += ambiguous_columns(self.columns)
        self.rows = readings = self._readings(block)
        last = self.rows[-1].number if self.rows else block.header_row
        below = [row for row in block.rows if row.number > last]
        self.header_block = read_header_block(block.above, below)
        self.problems += self.header_block.problems
        if not self.problems:
            self.columns, self.rows = stack(self.columns, readings, self.problems, self.findings)
        self._fill_labels()
        self.unused, questions = unused_columns(recognised, readings, self._repeats_readings())
        self.problems += questions
        self.decimal = self._decimal_sign()

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any]], options: TableOptions) -> MeasuredTable:
        """Table of columns that are in memory.

        Parameters
        ----------
        columns : mapping of str to sequence
            Cells by header, all of one length; rows count from 1, and each is a reading.
        options : TableOptions
            Role and unit of each column.
        """
        rows = tuple(Row(number, cells) for number, cells in enumerate(zip(*columns.values(), strict=True), 1))
        return cls(Path("columns"), options, Block(tuple(HeaderCell(name) for name in columns), 0, rows))

    # The steps of reading.

    def _choose(self, blocks: Sequence[Block]) -> Block:
        number = self.options.table
        if not blocks:
            raise TableError(
                [f"{self.path.name} has no table: a header such as 'pressure [bar]' above rows of numbers is needed"]
            )
        if number is not None and not 1 <= number <= len(blocks):
            raise TableError([f"table: {self.path.name} has {len(blocks)} tables (got {number})"])
        if len(blocks) > 1:
            chosen = number or 1
            starts = ", ".join(f"{k} from row {b.header_row}" for k, b in enumerate(blocks, 1))
            self.findings.append(f"table {chosen} of {len(blocks)} is read ({starts}); table: N reads another one")
        return blocks[(number or 1) - 1]

    def _readings(self, block: Block) -> list[Row]:
        """Rows that are readings; footers, averages and rulers are left out and reported."""
        keys = next((same for role in _KEYS if (same := [c for c in self.columns if c.role == role])), [])
        if not keys or self._in_memory:
            return list(block.rows)
        rows = list(block.rows)
        ruler = next((k for k, row in enumerate(rows) if k and is_ruler(row)), len(rows))
        readings_of_keys = (k for k, row in enumerate(rows[:ruler]) if any(_is_reading(row, key) for key in keys))
        last = max(readings_of_keys, default=len(rows) - 1)
        footer = [row for row in rows[last + 1 :] if not is_ruler(row)]
        if footer:
            shown = ["; ".join(_texts(row)) for row in footer[:4]]
            more = f" and {len(footer) - 4} more rows" if len(footer) > 4 else ""
            self.findings.append(f"left out below the table: {' | '.join(shown)}{more}")
        readings = []
        for row in rows[: last + 1]:
            if is_ruler(row) or (row.text or str(row.cells[0] or "")).lstrip().startswith("#"):
                continue
            if self._is_computed(row):
                self.findings.append(f"row {row.number}: {'; '.join(_texts(row))}: computed from others, left out")
                continue
            readings.append(row)
        self._check_width(readings, len(block.header))
        return readings

    def _is_computed(self, row: Row) -> bool:
        """Whether a row holds averages of a spreadsheet."""
        labels = [c.index for c in self.columns if c.role in LABELS] or [0]
        cells = [row.cell(index) for index in labels]
        return any(isinstance(cell, str) and _COMPUTED.fullmatch(cell.strip()) for cell in cells)

    def _check_width(self, rows: Sequence[Row], width: int) -> None:
        for row in rows:
            extra = [c for c in row.cells[width:] if not is_missing(c)]
            if any(map(is_number, extra)):
                advice = "check the row"
                if "," in row.text:
                    advice = "if commas are decimal separators, separate the fields by semicolons and set decimal: ','"
                self.problems.append(f"row {row.number} has {len(row.cells)} fields, the header {width}: {advice}")
            elif extra:
                shown = "; ".join(str(c).strip()[:60] for c in extra)
                if names_another_membrane(shown):
                    self.problems.append(
                        f"row {row.number}: {shown}: right of the table; give it a column 'membrane', or delete this"
                    )
                self.findings.append(f"row {row.number}: {shown}: right of the table, left out")

    def _fill_labels(self) -> None:
        """Labels of rows; one that is given once for a block of rows stands for the rows below it."""
        self._labels: dict[str, list[str]] = {}
        for column in self.columns:
            if column.role not in LABELS:
                continue
            texts, filled_down = [], []
            previous = ""
            for row in self.rows:
                text = self._label_text(row, column)
                if not text and previous:
                    text = previous
                    filled_down.append(row.number)
                previous = text
                texts.append(text)
            if filled_down and column.role == "replicate" and any(not re.search(r"[A-Za-z]", t) for t in texts):
                self.problems.append(
                    f"row {filled_down[0]}: {column.header} is empty; numbers are never filled from the rows above"
                )
            elif filled_down:
                numbers = _ranges(filled_down)
                self.findings.append(f"{column.header} of row {numbers} is that of the rows above")
            self._labels[column.role] = texts

    def _label_text(self, row: Row, column: Column) -> str:
        value = row.cell(column.index)
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = str(value).strip()
        if printable(text) != text or len(text) > MAX_LABEL:
            self.problem(row, f"{column.header} must be at most {MAX_LABEL} printable characters (got {short(text)})")
            return ""
        return text

    def _repeats_readings(self) -> bool:
        """Whether rows of one membrane, state and replicate repeat a pressure."""
        column = next((c for role in _KEYS[:5] for c in self.columns if c.role == role), None)
        if column is None or self.column("time"):
            return False
        labels = zip(*(self.labels(role) for role in ("membrane", "state", "replicate")), strict=True)
        cells = [str(row.cell(column.index)).strip() for row in self.rows]
        keys = list(zip(labels, cells, strict=True))
        return len(set(keys)) < len(keys)

    def _decimal_sign(self) -> str:
        if self.is_log:  # a balance separates no thousands
            return "," if any("," in str(cell) for row in self.rows for cell in row.cells) else "."
        numeric = [c for c in self.columns if c.role not in LABELS and c.role != "pressures"]
        cells = (
            (f"row {row.number}, {column.header}", row.cells[column.index])
            for column in numeric
            for row in self.rows
            if column.index < len(row.cells)
        )
        result = decimal_sign(cells, self.options.decimal)
        if result.problem:
            self.problems.append(result.problem)
        elif result.evidence and result.sign == ",":
            self.findings.append(f"decimal commas, as {result.evidence} shows")
        if result.evidence or self.options.decimal:
            self.problems += self.header_block.unclear_numbers(result.sign)
        return result.sign

    # What readers of a method ask for.

    def column(self, role: str) -> Column | None:
        """First column of a role."""
        return next((c for c in self.columns if c.role == role), None)

    def all(self, role: str) -> list[Column]:
        """All columns of a role, by the number of the replicate."""
        return sorted((c for c in self.columns if c.role == role), key=lambda c: c.replicate)

    def labels(self, role: str, default: str = "") -> list[str]:
        """Text of each row in a column of labels; the default without such a column."""
        return self._labels.get(role, [default] * len(self.rows))

    def problem(self, row: Row, message: str) -> None:
        """Record a problem of a row."""
        column = self.column("membrane")
        name = row.cell(column.index) if column else None
        shown = f" ({printable(str(name)[:MAX_LABEL])})" if name is not None else ""
        self.problems.append(f"row {row.number}{shown}: {message}")

    def numbers(self, column: Column, *, above: float | None = None) -> np.ndarray:
        """Numbers of a column in SI units, a row each; NaN where there is no reading.

        Parameters
        ----------
        column : Column
            One of :attr:`columns`.
        above : float, optional
            Bound below which, and at which, a number is a problem.
        """
        column = self.with_unit_of_cells(column)
        values = np.full(len(self.rows), np.nan)
        missing = []
        for k, row in enumerate(self.rows):
            cell = row.cells[column.index] if column.index < len(row.cells) else None
            if is_missing(cell):
                missing.append(row.number)
                continue
            values[k] = self._number(row, column, cell, above)
        if column.role == "time" and any(has_day(row.cell(column.index)) for row in self.rows):
            if problem := unclear_days(row.cell(column.index) for row in self.rows):
                self.problems.append(f"column {column.header!r}: {problem}")
            values = values - np.nanmin(values, initial=np.inf)  # the origin of days is not the start of a log
        if missing and len(missing) < len(self.rows):
            self.findings.append(f"row {_ranges(missing)}: no reading of {column.header}")
        return values

    def censored(self, column: Column) -> np.ndarray:
        """Whether each row states a bound such as ``<2`` in a column, with ``censored: use``."""
        cells = [row.cells[column.index] if column.index < len(row.cells) else None for row in self.rows]
        values = [numeral(cell) for cell in cells]
        return np.array([value is not None and value.mark[:1] in ("<", "≤") for value in values])

    def with_unit_of_cells(self, column: Column) -> Column:
        """The column with the unit that stands in its cells, where the header has none."""
        is_optional = ROLES[column.role].unit_optional
        if (column.si and not is_optional) or not ROLES[column.role].units or column.unit.text:
            return column
        contents = [row.cell(column.index) for row in self.rows if row.cell(column.index) is not None]
        if column.role == "time" and contents and all(map(is_clock, contents)):
            return replace(column, unit=UnitText("", "s"), si="s")
        cells = [numeral(content) for content in contents]
        units = {cell.unit for cell in cells if cell is not None}
        if len(units) == 1 and "" not in units:
            quantity = quantity_of(column.role, unit_text(units.pop()))
            if quantity.si:
                self.findings.append(f"{column.header}: its cells are in {quantity.unit.text}")
                return replace(column, unit=quantity.unit, si=quantity.si)
        if not is_optional:
            message = unit_problem(column.header, column.role, column.unit)
            if message not in self.problems:
                self.problems.append(message)
        return column

    def _number(self, row: Row, column: Column, cell: Any, above: float | None) -> float:
        if isinstance(cell, Formula):
            self.problem(
                row,
                f"{column.header}: formula without a value in cell {cell.coordinate}: open and save the file in a "
                "spreadsheet program, or write the value",
            )
            return math.nan
        if column.role == "time":
            seconds = clock_seconds(cell, clock_format(column.unit.text))
            if seconds is not None:
                return seconds
            if is_clock(cell) or clock_format(column.unit.text):
                self.problem(
                    row,
                    f"{column.header}: {short(str(cell))} is hours and minutes, or minutes and seconds? columns: "
                    f"{{{column.header!r}: 'time [h:mm]'}} or 'time [mm:ss]'",
                )
                return math.nan
        if isinstance(cell, str):
            value = self._text_number(row, column, cell)
        else:
            value = float(cell) if isinstance(cell, (int, float)) and not isinstance(cell, bool) else math.nan
            if value != value:
                self.problem(row, f"{column.header} must be a number (got {short(str(cell))})")
        if value != value:
            return math.nan
        if not math.isfinite(value):
            self.problem(row, f"{column.header} must be finite (got {str(cell)[:80]})")
            return math.nan
        if above is not None and value <= above and column.role != "temperature":
            self.problem(row, f"{column.header} must be greater than {above:g} (got {str(cell).strip()[:80]})")
            return math.nan
        if value and not 1e-30 < abs(value) < 1e30:
            self.problem(row, f"{column.header} must be within 1e-30 and 1e30 (got {str(cell).strip()[:80]})")
            return math.nan
        return self._in_si(row, column, value)

    def _text_number(self, row: Row, column: Column, cell: str) -> float:
        """Number of a cell of text; NaN where it is dropped or has a problem."""
        value = numeral(cell)
        number = value.value(self.decimal) if value is not None else math.nan
        if value is None or (value.unit and not _is_unit_of(value.unit, column)):
            message = f"{column.header} must be a number (got {short(cell.strip())})"
            if re.match(r"[-+]?[\d.]+\s*[A-Za-z°µ]", cell.strip()):
                message += "; the unit belongs in the header, and is one for the whole column"
            elif re.search(r"\d\s*(?:\u00b1|\+/?-)\s*\d", cell):
                message += "; standard deviations belong in a column of their own, such as 'SD'"
            elif not re.search(r"\d", cell):
                message += "; leave the cell empty, or write n.d., if there is no reading"
            self.problem(row, message)
            return math.nan
        if number != number:
            self.problem(row, f"{column.header}: {value.text} is no number with the decimal sign {self.decimal!r}")
            return math.nan
        if value.mark[:1] in ("<", ">", "≤", "≥", "~", "≈"):
            if self.options.censored is None:
                self.problem(row, f"{column.header}: {value.text} is a bound; censored: drop leaves such readings out")
                return math.nan
            if self.options.censored == "drop":
                self.findings.append(f"row {row.number}: {value.text} left out (censored: drop)")
                return math.nan
            return number
        if value.mark:
            treatment = self.options.marks.get(value.mark)
            if treatment is None:
                self.problem(
                    row,
                    f"{column.header}: what does the mark of {value.text} mean? marks: {{'{value.mark}': keep}} or "
                    f"marks: {{'{value.mark}': drop}}",
                )
                return math.nan
            self.findings.append(
                f"row {row.number}: {value.text} {'kept' if treatment == 'keep' else 'left out'} (marks)"
            )
            return number if treatment == "keep" else math.nan
        return number

    def _in_si(self, row: Row, column: Column, value: float) -> float:
        unit = column.unit
        if column.role == "temperature":
            text = unit.text
            if (unit.unit == "degC" and 273 <= value <= 373) or (unit.unit == "K" and value < 100):
                other = "K" if unit.unit == "degC" else "degC"
                self.problem(
                    row,
                    f"{column.header}: {value:g} {text} is no temperature of a bench; is it in {other}? "
                    f"columns: {{{column.header!r}: 'temperature [{other}]'}}",
                )
                return math.nan
        if not column.si:
            return value
        if column.si == "1":
            return value * (0.01 if unit.unit == "percent" or unit.text.strip() == "%" else 1.0)
        if unit.factor != 1.0:
            value = float(f"{value * unit.factor:.15g}")
        return convert(value, unit.unit, column.si)

    def with_unit_of(self, column: Column, role: str) -> Column:
        """A column with the unit of another quantity, as a standard deviation without a unit; reported."""
        other = self.column(role)
        if other is None or not other.si:
            return column
        self.findings.append(f"{column.header}: taken in the unit of {other.header}, {other.unit.text}")
        return replace(column, unit=other.unit, si=other.si)

    def resolution(self, role: str) -> float:
        """Half of the last printed digit of a column over its largest value; 0 without such a column."""
        column = self.column(role)
        if column is None:
            return 0.0
        digits, largest = 0, 0.0
        for row in self.rows:
            cell = row.cell(column.index)
            value = numeral(cell if isinstance(cell, str) else repr(cell) if isinstance(cell, (int, float)) else "")
            if value is None or value.exponent:
                continue
            number = value.value(self.decimal if isinstance(cell, str) else ".")
            if number == number:
                largest = max(largest, abs(number))
                fraction = value.mantissa.replace(",", ".") if value.decimal_sign else ""
                digits = max(digits, len(fraction.partition(".")[2]))
        return 0.5 * float(f"1e-{digits}") / largest if largest else 0.0

    def meanings(self) -> tuple[tuple[str, str], ...]:
        """Header and meaning of each column that is recognised."""
        return tuple((c.header, f"{c.role} [{c.unit.text}]" if c.unit.text else c.role) for c in self.columns)

    def split_numbers(self, row: Row, column: Column) -> np.ndarray:
        """Several numbers of one cell, in SI units, greater than 0."""
        value = row.cell(column.index)
        items = re.split(r"[;\s]+" if self.decimal == "," else r"[,;\s]+", str(value or "").strip())
        return np.array([self._number(row, column, item, 0.0) for item in items if item])

    def raise_problems(self) -> None:
        """Report all problems.

        Raises
        ------
        TableError
            If there are any.
        """
        if self.problems:
            raise TableError(first_problems(list(dict.fromkeys(self.problems))))


def _is_unit_of(text: str, column: Column) -> bool:
    unit = unit_text(text)
    return bool(column.unit.unit and unit.unit == column.unit.unit)


def _is_reading(row: Row, key: Column) -> bool:
    cell = row.cells[key.index] if key.index < len(row.cells) else None
    if is_number(cell) or isinstance(cell, Formula) or is_clock(cell):
        return True
    return numeral(cell) is not None and not re.match(r"[A-Za-z]", str(cell).strip())


def _texts(row: Row) -> list[str]:
    return [cell.coordinate if isinstance(cell, Formula) else shortened(str(cell), _SHOWN) for cell in row.filled()]


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers of rows, neighbours joined: ``3-5, 8``."""
    ranges, start = [], None
    for k, number in enumerate(numbers):
        start = number if start is None else start
        if k + 1 == len(numbers) or numbers[k + 1] != number + 1:
            ranges.append(str(start) if start == number else f"{start}-{number}")
            start = None
    return ", ".join(ranges)
