"""Numbers with their errors and intervals as text."""

from __future__ import annotations

import math

from membrane_dask.physics.elementary import decimal_exponent


def fixed(value: float, digits: int) -> str:
    """A number with some decimals, without the sign of a zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def compact(value: float, digits: int = 3) -> str:
    """A number with some significant digits and a short exponent: 0.0433, 1.9e-6; ``-`` if it is not finite."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def with_error(value: float, half_width: float) -> str:
    """A number and its error to two digits of the error: ``0.04334 ± 0.00021``, ``(5.03 ± 0.11)e-6``."""
    if not math.isfinite(value):
        return "-"
    if not math.isfinite(half_width):
        return compact(value, 4)
    if half_width <= 1e-12 * abs(value):
        return f"{compact(value, 6)} ± 0"
    exponent = decimal_exponent(max(abs(value), half_width))
    scaled = exponent if exponent < -3 or exponent > 5 else 0
    factor = float(f"1e{-scaled}")
    value, half_width = value * factor, half_width * factor
    digits = max(0, 1 - decimal_exponent(half_width))
    text = f"{fixed(value, digits)} ± {half_width:.{digits}f}"
    return f"({text})e{scaled}" if scaled else text


def format_interval(value: float, low: float, high: float, scale: float = 1.0, digits: int = 2) -> str:
    """Format a value with its interval, ``-`` if it is not finite."""
    if not math.isfinite(value):
        return "-"
    return f"{fixed(value * scale, digits)} [{fixed(low * scale, digits)}, {fixed(high * scale, digits)}]"
