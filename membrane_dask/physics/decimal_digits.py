"""Decimal exponents and digits of numbers, without rounding errors."""

from __future__ import annotations

import math
from decimal import Decimal


def power_of_ten(exponent: int) -> float:
    """``10**exponent``, rounded correctly."""
    return float(f"1e{exponent}")


def decimal_exponent(value: float) -> int:
    """Whole part of the decimal logarithm of ``|value|``, which is not 0, without rounding errors."""
    return Decimal(value).adjusted()


def round_to_digits(value: float, digits: int) -> float:
    """Round to significant decimal digits, fewer than those in which machines differ."""
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value
