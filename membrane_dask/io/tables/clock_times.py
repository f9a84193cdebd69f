"""Times of a clock or a stop watch in cells, with the day before them where a logger writes one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

#: A day, the year first or last; of one with slashes it is not known whether the month or the day is first.
_DAY = (
    r"(?:(?P<year_first>\d{4}([-/.])\d{1,2}\2\d{1,2})|(?P<day_first>\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2}))|"
    r"(?P<slashes>\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})))(?:T|,?\s+)"
)
_CLOCK = re.compile(
    rf"(?:{_DAY})?(?:(?P<first>\d{{1,3}}):)?(?P<second>\d{{1,3}}):(?P<last>\d{{2}}(?:[.,]\d+)?)"
    r"(?:\s*(?P<half>[ap])\.?\s?m\.?)?\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?",
    re.I,
)
_SECONDS_OF_DAY = 86_400
#: Day that spreadsheets count as 0: a duration of more than a day is shown as a time after it.
_FIRST_DAY = datetime(1899, 12, 31)


def clock_text(value: datetime | time | timedelta) -> str:
    """A time of a spreadsheet as text; durations as hours, minutes and seconds."""
    if isinstance(value, datetime) and value.year <= _FIRST_DAY.year + 1:
        value = value - _FIRST_DAY
    if isinstance(value, timedelta):
        minutes, seconds = divmod(value.total_seconds(), 60)
        digits = f"{seconds:06.3f}".removesuffix(".000")
        return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{digits}"
    return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()


def _match(cell: Any) -> re.Match[str] | None:
    text = clock_text(cell) if isinstance(cell, datetime) else cell
    return _CLOCK.fullmatch(text.strip()) if isinstance(text, str) else None


def is_clock(cell: Any) -> bool:
    """Whether a cell holds two or three numbers of a clock or a stop watch, or a time of a spreadsheet."""
    return _match(cell) is not None


def has_day(cell: Any) -> bool:
    """Whether a clock time has a day before it."""
    match = _match(cell)
    return match is not None and _day(match) != ""


def _day(match: re.Match[str]) -> str:
    return match["year_first"] or match["day_first"] or match["slashes"] or ""


def clock_seconds(cell: Any, clock_format: str = "") -> float | None:
    """Seconds of a clock time such as ``10:41:30`` or ``12.03.2026 10:41 AM``; None if it is none.

    Parameters
    ----------
    cell : object
        Content of a cell.
    clock_format : {"", "h:mm", "h:mm:ss", "mm:ss"}
        What two numbers are; without it only three are a time, or two behind a day or before AM and PM.
    """
    match = _match(cell)
    if match is None:
        return None
    is_of_day = _day(match) != "" or match["half"] is not None
    if match["first"] is None and not is_of_day and clock_format not in ("h:mm", "mm:ss"):
        return None
    numbers = [match["first"], match["second"], match["last"].replace(",", ".")]
    if match["first"] is None:
        numbers = [*numbers[1:], "0"] if is_of_day or clock_format == "h:mm" else ["0", *numbers[1:]]
    hours, minutes, seconds = map(float, numbers)
    if match["half"] is not None:
        hours = hours % 12 + (12 if match["half"] in "pP" else 0)
    days = _days(match)
    if days is None:
        return None
    return days * _SECONDS_OF_DAY + hours * 3600 + minutes * 60 + seconds - _zone_seconds(match["zone"])


def _days(match: re.Match[str]) -> int | None:
    """Number of the day; 0 without one and for one with slashes, None for one that is not in the calendar."""
    if match["year_first"]:
        year, month, day = map(int, re.split(r"[-/.]", match["year_first"]))
    elif match["day_first"]:
        day, month, year = map(int, match["day_first"].split("."))
        year += 2000 if year < 100 else 0
    else:
        return 0
    try:
        return date(year, month, day).toordinal()
    except ValueError:
        return None


def _zone_seconds(zone: str | None) -> float:
    if zone is None or zone in "zZ":
        return 0.0
    digits = re.sub(r"\D", "", zone)
    return (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1.0 if zone.startswith("-") else 1.0)


def over_midnight(seconds: np.ndarray) -> np.ndarray:
    """Times of a log whose clock begins again at midnight; a fall of less than half a day is left as it is.

    Parameters
    ----------
    seconds : (n,) float array
        Times of a clock without days, in the order of the log.
    """
    falls = np.diff(seconds, prepend=seconds[:1]) < -_SECONDS_OF_DAY / 2
    return np.asarray(seconds + _SECONDS_OF_DAY * np.cumsum(falls))


def unclear_days(cells: Iterable[Any]) -> str:
    """Why the days of clock times cannot be compared; empty if they can."""
    matches = [match for match in map(_match, cells) if match is not None]
    slashes = list(dict.fromkeys(match["slashes"] for match in matches if match["slashes"]))
    if len(slashes) > 1 or (slashes and any(match["year_first"] or match["day_first"] for match in matches)):
        return f"{slashes[0]} may be a day of either number; write days as 2026-03-12"
    days = [_day(match) for match in matches]
    if any(days) and not all(days):
        return f"{matches[days.index('')][0].strip()} has no day, and other times have one; write it before all"
    return ""
