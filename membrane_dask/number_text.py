"""Numbers as text: digits that their intervals support, and units by magnitude."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

#: Exponents of ten between which numbers are written without one.
_PLAIN = range(-4, 6)
#: Most significant digits of a value with an interval.
_MAX_DIGITS = 6
#: Half-width over the value below which an interval has no width but that of rounding errors.
_NO_WIDTH = 1e-12
#: Ratio of the ends of an interval, and of the value, from which each is rounded by itself, as no decimal suits all.
_WIDE = 10.0
#: Units by the unit of the result: name, how many of them are one of those, and from which value on they are used.
_UNITS = {
    "nm": (("mm", 1e-6, 1e6), ("µm", 1e-3, 1e3), ("nm", 1.0, 0.0)),
    "um": (("mm", 1e-3, 1e3), ("µm", 1.0, 1.0), ("nm", 1e3, 0.0)),
    "h": (("d", 1 / 24, 48.0), ("h", 1.0, 2.0), ("min", 60.0, 2 / 60), ("s", 3600.0, 0.0)),
}
_EXPONENT, _SUPERSCRIPT = re.compile(r"(?<=[A-Za-zµ])-?\d+"), str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def readable_unit(unit: str, values: Iterable[float] | float) -> tuple[str, float]:
    """Unit in which values are readable without powers of ten, as it is printed.

    Parameters
    ----------
    unit : str
        Of the values, as in the tables of a run: ``nm``, ``um``, ``h``, or another one, which remains.
    values : float or iterable of float
        Values of one column, axis or sentence; the largest finite one decides.

    Returns
    -------
    unit : str
        ``nm``, ``µm`` or ``mm`` for lengths; ``s``, ``min``, ``h`` or ``d`` for times; the powers of others are raised:
        ``L m⁻² h⁻¹`` for ``L m-2 h-1``.
    factor : float
        By which the values are multiplied.
    """
    numbers = [values] if isinstance(values, (int, float)) else values
    largest = max((abs(float(value)) for value in numbers if math.isfinite(value)), default=0.0)
    choices = _UNITS.get(unit, ()) if largest else ()
    printed = _EXPONENT.sub(lambda exponent: exponent[0].translate(_SUPERSCRIPT), unit)
    return next(((name, factor) for name, factor, first in choices if largest >= first), (printed, 1.0))


def quantity_text(value: float, unit: str, low: float = math.nan, high: float = math.nan, *, digits: int = 3) -> str:
    """A value with its interval, if it has one, in a :func:`readable_unit`: ``12.3 µm``, ``12.3 [9.0, 16.0] nm``."""
    name, factor = readable_unit(unit, (low, high) if math.isnan(value) else value)
    text = interval_text(factor * value, factor * low, factor * high, digits=digits)
    return text if name in ("", "1") else f"{text} {name}"


def lengths_text(nm: Iterable[float], digits: int = 4) -> str:
    """Lengths in a common :func:`readable_unit`: ``768 x 768 x 768 nm``."""
    lengths = [float(length) for length in nm]
    unit, factor = readable_unit("nm", lengths)
    return f"{' x '.join(compact(factor * length, digits) for length in lengths)} {unit}"


def quantity_column(
    title: str, unit: str, rows: Iterable[Sequence[float]], *, digits: int = 3
) -> tuple[str, list[str]]:
    """A column of a table: values in a common :func:`readable_unit`, and a header with that unit.

    Parameters
    ----------
    title : str
        Header without the unit.
    unit : str
        Of the values; one such as ``nm`` is replaced by a larger one for large values.
    rows : iterable of sequence of float
        A value for each row, or a value and the ends of its interval.
    digits : int
        Significant digits of values without an interval.

    Returns
    -------
    header : str
    cells : list of str
        ``-`` for a value that is not a number.
    """
    triples = [(*row, math.nan, math.nan)[:3] for row in rows]
    decisive = [number for value, *ends in triples for number in (ends if math.isnan(value) else [value])]
    name, factor = readable_unit(unit, decisive)
    cells = [interval_text(factor * value, factor * low, factor * high, digits=digits) for value, low, high in triples]
    return (title if name in ("", "1") else f"{title}, {name}"), cells


def interval_text(
    value: float, low: float, high: float, *, digits: int = 4, brackets: str = "[]", join: str = ", "
) -> str:
    """A value and its interval, rounded to one decimal: ``12.3 [9.0, 16.0]``.

    Parameters
    ----------
    value, low, high : float
        The value and the ends of its interval. They have two significant digits of its half-width. Where they have one
        sign and differ by a factor of ten or more, each has two significant digits of its own; where the ends are
        equal, up to six.
    digits : int
        Significant digits of a value without an interval.
    brackets, join : str
        Around and between the ends.

    Returns
    -------
    str
        ``-`` for a value that is not a number; what is known of it, if that is an interval: ``at most 16``.
    """
    ends = [end for end in (low, high) if math.isfinite(end)]
    if math.isnan(value) and ends:
        limits = " to ".join(compact(end, digits) for end in ends)
        return limits if len(ends) == 2 else f"{'at least' if math.isfinite(low) else 'at most'} {limits}"
    if not ends or not math.isfinite(value):
        return compact(value, digits)
    half = (high - low) / 2 if len(ends) == 2 else abs(value - ends[0])
    sizes = [abs(number) for number in (value, low, high) if number]
    if len(ends) == 2 and low * high >= 0 and sizes and max(sizes) >= _WIDE * min(sizes):
        texts = [compact(number, 2) for number in (value, low, high)]
    elif half <= _NO_WIDTH * abs(value):
        texts = [compact(number, _MAX_DIGITS) for number in (value, low, high)]
    else:
        largest = max(abs(number) for number in (value, *ends))
        last = _exponent(largest) + 1 - _MAX_DIGITS
        last = max(last, _exponent(half) - 1)
        texts = [_rounded(number, last, _exponent(largest)) for number in (value, low, high)]
    return f"{texts[0]} {brackets[0]}{join.join(texts[1:])}{brackets[1]}"


def with_error(value: float, half_width: float) -> str:
    """A number and its error to two digits of the error: ``0.04334 ± 0.00021``, ``(5.03 ± 0.11)e-6``."""
    if not math.isfinite(value):
        return "-"
    if not math.isfinite(half_width):
        return compact(value, 4)
    if half_width <= _NO_WIDTH * abs(value):
        return compact(value, 6)  # no spread: an interval of width 0 would look like a measured one
    exponent = _exponent(max(abs(value), half_width))
    scaled = 0 if exponent in _PLAIN else exponent
    factor = float(f"1e{-scaled}")
    value, half_width = value * factor, half_width * factor
    digits = max(0, 1 - _exponent(half_width))
    text = f"{fixed(value, digits)} ± {half_width:.{digits}f}"
    return f"({text})e{scaled}" if scaled else text


def compact(value: float, digits: int = 3) -> str:
    """A number with some significant digits: 0.0433, 12300, 1.9e-6; ``-`` if it is not a number."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == 0:
        return "0"
    exponent = _exponent(float(f"{value:.{digits - 1}e}"))  # of the rounded number: 9.996 is 10.0
    text = _rounded(value, exponent + 1 - digits, exponent)
    mantissa, _, power = text.partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{power}" if power else mantissa


def percent_text(fraction: float) -> str:
    """A fraction that a study states, with all its digits: ``95 %``, ``99.9 %``, ``12.5 %``."""
    return f"{100 * fraction:g} %"


def fixed(value: float, digits: int) -> str:
    """A number with some decimals, without the sign of a zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _exponent(value: float) -> int:
    """Exponent of ten of the first digit."""
    return int(f"{value:e}".partition("e")[2])


def _rounded(value: float, last: int, exponent: int) -> str:
    """A number of which the last digit is that of a power of ten; ``exponent`` is the power of the largest of a row."""
    if not math.isfinite(value):
        return compact(value)
    if exponent in _PLAIN:
        return fixed(round(value, -last), max(0, -last))
    return f"{fixed(value / float(f'1e{exponent}'), max(0, exponent - last))}e{exponent}"
