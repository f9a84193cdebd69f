"""Lines that a balance prints, without a header: a log of the mass against the time of each line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from membrane_dask.errors import short
from membrane_dask.io.tables.clock_times import clock_seconds, over_midnight, unclear_days
from membrane_dask.io.tables.headers import HeaderCell, quantities_named
from membrane_dask.io.tables.labels import label
from membrane_dask.io.tables.layout import Block, find_blocks
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.rows import Row

_SEPARATOR = r"[\s,;|]*"
_LINE = re.compile(
    rf"{_SEPARATOR}(?P<day>\d{{4}}-\d\d-\d\d|\d\d?([./])\d\d?\2\d{{2,4}})?"
    rf"[\sT,;|]*(?P<clock>\d{{1,2}}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s*[ap]\.?m\b\.?)?)?{_SEPARATOR}"
    rf"(?:(?:N|G|NT|GS|ST|US|S|SD|D|Net|Gross|Stat|G#)\b{_SEPARATOR})*"
    rf"(?P<sign>[-+])?\s*{_SEPARATOR}(?P<mass>\d+(?:[.,]\d+)?){_SEPARATOR}(?P<unit>g|kg|mg)\b\W*(?:(?:S|SD|D|N)\b\W*)?",
    re.I,
)  # fmt: skip
#: Lines that show that a file is such a log, and the fraction of all lines between the first and the last one.
_MIN_LINES, _MIN_FRACTION = 3, 0.75


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
    lines = [row for row in rows[first : last + 1] if not _line(row).lstrip().startswith("#")]
    units = {match["unit"].lower() for match in matches.values()}
    if len(matches) < _MIN_FRACTION * len(lines) or len(units) > 1:
        return None
    times = [f"{match['day'] or '2000-01-01'} {match['clock']}" for match in matches.values()]
    seconds = [clock_seconds(text) for text in times]
    numbers = [rows[k].number for k in matches]
    remaining = [row for row in lines if row.number not in numbers]
    titles = [Row(row.number, [_line(row).strip()]) for row in remaining if label(_line(row).strip()).is_explicit]
    problems = [
        f"row {row.number}: {short(_line(row).strip())} is no mass of a balance: delete the line, or put # before it"
        for row in remaining
        if row.number not in [title.number for title in titles]
    ]
    without_time = [number for number, value in zip(numbers, seconds, strict=True) if value is None]
    if without_time:
        problems.append(
            f"row {without_time[0]} has a mass without a time: the lines of a balance need the time of each, such as "
            "'10:00:05  N  +  12.34 g'"
        )
    if reason := unclear_days(times):
        problems.append(f"row {rows[first].number}: {reason}")
    if problems:
        raise TableError(problems)
    relative = np.array(seconds, float) - np.float64(seconds[0])
    readings = [
        Row(number, [float(time), f"{match['sign'] or ''}{match['mass']}"], rows[k].text)
        for (k, match), number, time in zip(matches.items(), numbers, over_midnight(relative), strict=True)
    ]
    readings = sorted([*readings, *titles], key=lambda row: row.number)
    header = (HeaderCell("time [s]"), HeaderCell(f"mass [{units.pop()}]"))
    return Block(header, rows[first].number, tuple(readings), tuple(rows[:first]), is_log=True)


def _line(row: Row) -> str:
    return row.text or " ".join(str(cell) for cell in row.filled())
