"""Tables within a file: their headers, rows of units, rows of numbers, and the lines above them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from membrane_dask.io.tables.headers import HeaderCell, meanings, quantities_named
from membrane_dask.io.tables.labels import replicate_number
from membrane_dask.io.tables.numerals import is_missing, is_number, numeral
from membrane_dask.io.tables.rows import Row
from membrane_dask.io.tables.unit_text import is_unit, measures, unit_text

_RULER = re.compile(r"[\s\-=_*~.|+]*")
#: Quantities of a header that names units only.
_NAMES_OF_UNITS = {"Pa": "pressure", "m s-1": "flux", "kg m-2 s-1": "flux", "K": "temperature"}
#: Cells that a row of a joined header must have.
_JOINED_CELLS = 3


@dataclass(frozen=True)
class Block:
    """A table within a file.

    Parameters
    ----------
    header : tuple of HeaderCell
        One for each column.
    header_row : int
        Number of the row of the header.
    rows : tuple of Row
        Everything below the header and above the next table.
    above : tuple of Row
        Lines above the header.
    repeated : tuple of int
        Numbers of rows that repeat the header.
    is_log : bool
        Whether masses are known to be readings of a balance in the course of time.
    """

    header: tuple[HeaderCell, ...]
    header_row: int
    rows: tuple[Row, ...]
    above: tuple[Row, ...] = ()
    repeated: tuple[int, ...] = field(default=())
    is_log: bool = False


def is_ruler(row: Row) -> bool:
    """Whether a row consists of lines such as ``-----``."""
    filled = row.filled()
    return bool(filled) and all(isinstance(c, str) and len(c.strip()) > 2 and _RULER.fullmatch(c) for c in filled)


def _holds_numbers(row: Row) -> bool:
    """Whether a row may belong to a block of numbers."""
    filled = row.filled()
    numbers = sum(is_number(cell) or _is_marked(cell) for cell in filled)
    readings = sum(is_missing(cell) and cell is not None for cell in filled)
    # A reading that is missing, as `n.a.`, stands where a number would.
    enough = numbers >= 2 or (numbers == 1 and (len(filled) <= 2 or readings >= 1))
    return enough and 3 * (numbers + readings) >= len(filled)


def _is_marked(cell: object) -> bool:
    value = numeral(cell)
    return value is not None and value.mark != ""


def _is_units_row(row: Row) -> bool:
    filled = [str(cell) for cell in row.filled()]
    return bool(filled) and not any(is_number(cell) for cell in filled) and all(map(is_unit, filled))


def find_blocks(rows: Sequence[Row]) -> list[Block]:
    """Find all tables of a file.

    Parameters
    ----------
    rows : sequence of Row
        Rows that are not blank.

    Returns
    -------
    list of Block
        Tables whose headers name quantities; if there is none, the first rows of numbers below any header.
    """
    rows = _without_remarks(rows)
    blocks: list[Block] = []
    fallback: Block | None = None
    index, end_of_last = 0, 0
    while index < len(rows):
        is_start = _holds_numbers(rows[index]) and (index + 1 == len(rows) or _follows(rows, index))
        if not is_start:
            index += 1
            continue
        block, first_above = _block(rows, index, end_of_last)
        if block is None or not any(quantity.si for cell in block.header for quantity in quantities_named(cell)):
            fallback = fallback or block
            index += 1
            continue
        stop, repeated = _end(rows, index, block)
        body = tuple(rows[len(rows) - len(block.rows) : stop])
        above = tuple(rows[end_of_last:first_above]) if blocks else tuple(rows[:first_above])
        blocks.append(Block(block.header, block.header_row, body, above, tuple(repeated)))
        index = end_of_last = stop
    if blocks:
        return blocks
    return [fallback] if fallback else _without_numbers(rows)


def _without_remarks(rows: Sequence[Row]) -> list[Row]:
    """Rows without those that begin with # between a header or a row of numbers and the next row of numbers."""
    is_remark = [str(row.cells[0] or "").lstrip().startswith("#") and not _names_several(row) for row in rows]
    if not any(is_remark):
        return list(rows)
    inside: set[int] = set()
    for first, last in pairwise(k for k, remark in enumerate(is_remark) if not remark):
        is_start = last > first + 1 and (_holds_numbers(rows[first]) or _names_several(rows[first]))
        if is_start and _holds_numbers(rows[last]):
            inside |= set(range(first + 1, last))
    return [row for k, row in enumerate(rows) if k not in inside]


def _without_numbers(rows: Sequence[Row]) -> list[Block]:
    """Table by its header alone, whose cells are to be reported: none of its rows holds the numbers of a reading."""
    for index, row in enumerate(rows[:-1]):
        cells = _header_cells(row, None, None, len(row.cells))
        if sum(bool(meanings(cell)) for cell in cells) >= 2:
            return [Block(cells, row.number, tuple(rows[index + 1 :]), tuple(rows[:index]))]
    return []


def _follows(rows: Sequence[Row], index: int) -> bool:
    """Whether the next row is alike, or the rows below it cannot tell."""
    return _holds_numbers(rows[index + 1]) or not any(_holds_numbers(row) for row in rows[index + 1 : index + 4])


def _block(rows: Sequence[Row], start: int, limit: int) -> tuple[Block | None, int]:
    """Table whose numbers start in a row, with its header; the index of its first header row."""
    index = start - 1
    units: Row | None = None
    while index >= limit and (is_ruler(rows[index]) or (units is None and _is_units_row(rows[index]))):
        if not is_ruler(rows[index]):
            units = rows[index]
        index -= 1
    if index < limit and units is not None and (named := _named_by_units(units)):
        return Block(named, units.number, tuple(rows[start:]), ()), limit
    if index > limit and _is_title(rows[index]) and _names_several(rows[index - 1]):
        index -= 1  # the first of several titles between the rows
        start = index + 1
    if index < limit or (_holds_numbers(rows[index]) and not _names_quantities(rows[index])):
        return None, start
    lower, upper = rows[index], None
    above = rows[index - 1] if index - 1 >= limit else None
    first = index
    if units is None and above is not None and _is_units_row(above):
        units, above, first = above, None, index - 1
    if above is not None and above.number >= lower.number - 1 and _is_upper_header(above, lower, units):
        upper, first = above, index - 1
    width = max(len(row.cells) for row in (lower, upper, units) if row is not None)
    cells = _header_cells(lower, upper, units, width)
    return Block(cells, rows[first].number, tuple(rows[start:]), tuple(rows[:first])), first


def _named_by_units(units: Row) -> tuple[HeaderCell, ...]:
    """Header of a table that names units only, as `psi` and `LMH`; empty if one may be of several quantities."""
    names = [
        _NAMES_OF_UNITS.get(measures(unit_text(_text(units, k)), tuple(_NAMES_OF_UNITS)))
        for k in range(len(units.cells))
    ]
    if None in names or len(set(names)) < len(names):
        return ()
    return tuple(HeaderCell(f"{name} [{_text(units, k)}]") for k, name in enumerate(names))


def _names_quantities(row: Row) -> bool:
    cells = [HeaderCell(str(cell).strip()) for cell in row.filled() if isinstance(cell, str)]
    return sum(bool(quantities_named(cell)) for cell in cells) >= 1


def _is_title(row: Row) -> bool:
    """Whether a row may be the title of the rows below it."""
    filled = row.filled()
    is_word = len(filled) == 1 and isinstance(filled[0], str) and not is_number(filled[0])
    return is_word and not any(q.si for q in meanings(HeaderCell(str(filled[0]).strip())))


def _names_several(row: Row) -> bool:
    cells = [HeaderCell(str(cell).strip()) for cell in row.filled() if isinstance(cell, str)]
    return sum(bool(quantities_named(cell)) for cell in cells) >= 2


def _is_upper_header(above: Row, lower: Row, units: Row | None) -> bool:
    """Whether a row is the upper one of a header of two rows."""
    filled = above.filled()
    if any(is_number(cell) for cell in filled) or is_ruler(above):  # `Temperature | 20 | degC` is a condition
        return False
    if _stands_over_labels(above, lower, units) or _labels_columns(above, lower, units):
        return True
    replicates = [replicate_number(str(cell)) for cell in lower.filled()]
    if len(filled) < _JOINED_CELLS and not (len(replicates) > 1 and all(replicates)):
        return False
    return any(meanings(HeaderCell(str(cell).strip())) for cell in filled)


def _labels_columns(above: Row, lower: Row, units: Row | None) -> bool:
    """Whether a row holds labels, as `M1` and `M2`, above quantities that stand several times in the row below."""
    labels = [(k, _text(above, k)) for k in range(len(above.cells)) if _text(above, k) and _text(lower, k)]
    if len({text for _, text in labels}) < 2 or any(meanings(HeaderCell(text)) and is_unit(text) for _, text in labels):
        return False
    header = _header_cells(lower, None, units, len(lower.cells))
    roles = [next((q.role for q in meanings(cell)), "") for cell in header]
    is_repeated = any(role and roles.count(role) > 1 for role in roles)
    return is_repeated and all(k < len(roles) and roles[k] for k, _ in labels)


def _stands_over_labels(above: Row, lower: Row, units: Row | None) -> bool:
    """Whether a row is one quantity, as `Flux [LMH]`, above labels of several columns."""
    filled = [k for k in range(len(above.cells)) if _text(above, k) and _text(lower, k)]
    if len(filled) != 1 or len(above.cells) == 1 or filled[0] == 0:
        return False
    unit = _text(units, filled[0])
    quantity = next((q for q in meanings(HeaderCell(_text(above, filled[0]), "", unit)) if q.si), None)
    below = [_text(lower, k) for k in range(filled[0], len(lower.cells)) if _text(lower, k)]
    labels = [text for text in below if not quantities_named(HeaderCell(text))]
    return quantity is not None and len(labels) > 1


def _text(row: Row | None, index: int) -> str:
    if row is None or index >= len(row.cells) or row.cells[index] is None:
        return ""
    value = row.cells[index]
    if value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _header_cells(lower: Row, upper: Row | None, units: Row | None, width: int) -> tuple[HeaderCell, ...]:
    """Header of each column; a label of merged cells stands for the columns to its right as well."""
    cells, merged = [], ""
    for index in range(width):
        text, over = _text(lower, index), _text(upper, index)
        merged = over or (merged if text else "")
        unit = _text(units, index).strip("[]")
        if unit.startswith("(") and unit.endswith(")"):
            unit = unit[1:-1]
        cells.append(HeaderCell(text, merged if upper is not None else "", "" if unit in ("-", "") else unit))
    return tuple(cells)


def _end(rows: Sequence[Row], start: int, block: Block) -> tuple[int, list[int]]:
    """Index behind the last row of a table, and the numbers of rows that repeat its header."""
    repeated: list[int] = []
    texts = [{cell.text.lower() for cell in block.header if cell.text}]
    texts.append({cell.upper.lower() for cell in block.header if cell.upper})
    texts.append({cell.unit.lower() for cell in block.header if cell.unit})
    index = start
    while index < len(rows):
        row = rows[index]
        filled = {str(cell).strip().lower() for cell in row.filled()}
        if filled and not _holds_numbers(row):
            if any(text and len(filled) > 1 and filled == text for text in texts):
                repeated.append(row.number)
            elif _starts_another_table(rows, index):
                return index, repeated
        index += 1
    return len(rows), repeated


def _starts_another_table(rows: Sequence[Row], index: int) -> bool:
    """Whether a row is the header of a further table: it names two quantities, and numbers follow."""
    named = [cell for cell in rows[index].filled() if isinstance(cell, str)]
    if sum(bool(quantities_named(HeaderCell(cell.strip()))) for cell in named) < 2:
        return False
    following = index + 1
    while following < len(rows) and (is_ruler(rows[following]) or _is_units_row(rows[following])):
        following += 1
    return following < len(rows) and _holds_numbers(rows[following])
