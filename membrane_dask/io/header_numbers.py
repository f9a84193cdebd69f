"""Numbers that headers of image and volume files state as text."""

from __future__ import annotations

import re

from membrane_dask.plain_text import printable_line

#: A number with a decimal comma.
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


def header_number(value: object, field: str) -> float:
    """A number that a header states.

    Parameters
    ----------
    value : str, int or float
        What the header states.
    field : str
        Name of the header and of its entry, for messages.

    Raises
    ------
    ValueError
        If it is no number with a decimal point; names the field, the value and what is allowed.
    """
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        shown = repr(printable_line(text)[:60])
        if _DECIMAL_COMMA.fullmatch(text):
            point = f" such as {text.replace(',', '.')}: save the file again with a decimal point, no comma"
        else:
            point = ", such as 0.25"
        raise ValueError(f"its {field} is {shown}; allowed is a number with a decimal point{point}") from None


def header_count(value: object, field: str) -> int:
    """A whole number that a header states.

    Parameters
    ----------
    value : str, int or float
        What the header states.
    field : str
        Name of the header and of its entry, for messages.

    Raises
    ------
    ValueError
        If it is none; names the field, the value and what is allowed.
    """
    text = str(value).strip()
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise ValueError(f"its {field} is {printable_line(text)[:60]!r}; allowed is a whole number, such as 100")
    return int(text)
