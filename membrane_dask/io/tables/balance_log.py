"""Lines that a balance prints, without a header: a log of the mass against the time of each line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from membrane_dask.io.tables.clock_times import clock_seconds
from membrane_dask.io.tables.headers import HeaderCell, quantities_named
from membrane_dask.io.tables.layout import Block, find_blocks
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.rows import Row

_SEPARATOR = r"[\s,;|]*"
_LINE = re.compile(
    rf"{_SEPARATOR}(?:(?P<iso>\d{{4}}-\d\d-\d\d)|(?P<day>\d\d?\.\d\d?\.\d{{4}})|(?P<other>\d\d?/\d\d?/\d{{2,4}}))?"
    rf"[\sT,;|]*(?P<clock>\d{{1,2}}:\d\d:\d\d(?:[.,]\d+)?)?{_SEPARATOR}"
    rf"(?:(?:N|G|NT|GS|ST|US|S|SD|D|Net|Gross|Stat|G#)\b{_SEPARATOR})*"
    rf"(?P<sign>[-+])?\s*{_SEPARATOR}(?P<mass>\d+(?:[.,]\d+)?){_SEPARATOR}(?P<unit>g|kg|mg)\b\W*(?:(?:S|SD|D|N)\b\W*)?",
    re.I,
)  # fmt: skip
#: Lines that show that a file is such a log.
_MIN_LINES = 3
_SECONDS_OF_DAY = 86_400


def find_tables(rows: Sequence[Row]) -> list[Block]:
    """All tables of a file; the log of a balance where it has no table.

    Parameters
    ----------
    rows : sequence of Row
        Rows that are not blank.
    """
    blocks = find_blocks(rows)
    if any(quantity.si for block in blocks for cell in block.header for quantity in quantities_named(cell)):
        return blocks
    log = _balance_log(rows)
    return [log] if log is not None else blocks


def _balance_log(rows: Sequence[Row]) -> Block | None:
    """Table of the times and masses of a balance, below lines of conditions; None if the rows are not its lines."""
    matches = {k: match for k, row in enumerate(rows) if (match := _LINE.fullmatch(_line(row)))}
    if len(matches) < _MIN_LINES:
        return None
    first, last = min(matches), max(matches)
    unmatched = [row.number for k, row in enumerate(rows[first : last + 1], first) if k not in matches]
    units = {match["unit"].lower() for match in matches.values()}
    if unmatched or len(units) > 1:
        return None
    problems = []
    without_clock = [rows[k].number for k, match in matches.items() if match["clock"] is None]
    if without_clock:
        problems.append(
            f"row {without_clock[0]} has a mass without a time: the lines of a balance need the time of each, such as "
            "'10:00:05  N  +  12.34 g'"
        )
    if len({match["other"] for match in matches.values()}) > 1:
        problems.append(
            f"row {rows[first].number}: the days of dates with slashes are not clear; write them as 2026-03-01"
        )
    if problems:
        raise TableError(problems)
    start = _seconds(matches[first])
    readings = tuple(
        Row(rows[k].number, [_seconds(match) - start, f"{match['sign'] or ''}{match['mass']}"], rows[k].text)
        for k, match in matches.items()
    )
    header = (HeaderCell("time [s]"), HeaderCell(f"mass [{units.pop()}]"))
    return Block(header, rows[first].number, readings, tuple(rows[:first]), is_log=True)


def _line(row: Row) -> str:
    return row.text or " ".join(str(cell) for cell in row.filled())


def _seconds(match: re.Match[str]) -> float:
    """Time of a line, s, since midnight of a day that is the same for all lines."""
    day = 0
    if match["iso"]:
        day = date.fromisoformat(match["iso"]).toordinal()
    elif match["day"]:
        of_month, month, year = map(int, match["day"].split("."))
        day = date(year, month, of_month).toordinal()
    return day * _SECONDS_OF_DAY + (clock_seconds(match["clock"]) or 0.0)
