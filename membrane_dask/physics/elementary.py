"""Elementary functions that have the same bits on every machine.

The C library and NumPy choose between versions of ``exp``, ``log`` or ``pow`` by what the processor offers (FMA, AVX2,
AVX-512), and these versions differ in the last bit. The functions here use nothing but additions, multiplications,
divisions and roots, which IEEE 754 defines to the bit, in the order in which they are written. Their errors are below
two units in the last place, except where stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel, kernel

#: Logarithm of 2 as a sum: multiples of the first part are exact.
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
_INVERSE_LN2 = 1.4426950408889634
_SQRT_2 = 1.4142135623730951
#: Arguments beyond which the exponential is 0 or infinite.
_UNDERFLOW, _OVERFLOW = -746.0, 710.0
#: Bits of the fraction, and the bias of the exponent, of a number in double precision.
_FRACTION, _BIAS = 52, 1023


@inline_kernel
def power_of_two(exponent: Integer) -> float:
    """``2**exponent`` for an exponent in [-1022, 1023]."""
    return float(np.int64((exponent + _BIAS) << _FRACTION).view(np.float64))


@inline_kernel
def exponential(x: float) -> float:
    """Exponential of a number, in kernels.

    The argument is reduced to ``x = k ln 2 + r`` with ``|r| <= ln 2 / 2``. The polynomial in ``r`` has a relative error
    below 1e-17; it is multiplied by ``2**k`` in two steps, as ``2**k`` itself may overflow.
    """
    x = _UNDERFLOW if x < _UNDERFLOW else x
    x = _OVERFLOW if x > _OVERFLOW else x
    k = np.floor(x * _INVERSE_LN2 + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    half = np.floor(0.5 * k)
    return float((p * r + 1.0) * power_of_two(np.int64(half)) * power_of_two(np.int64(k - half)))


@inline_kernel
def logarithm(x: float) -> float:
    """Natural logarithm of a number, in kernels; minus infinity at 0, NaN below.

    The argument is reduced to ``x = 2**k (1 + f)`` with ``1 + f`` between the root of 1/2 and that of 2. With
    ``s = f / (2 + f)``, ``ln(1 + f) = 2 artanh(s)``; its series is arranged as in FDLIBM (Sun Microsystems, 1993), so
    that the first terms are exact.
    """
    if not 0.0 < x < np.inf:
        if x == 0.0:
            return -np.inf
        return x if x > 0.0 else np.nan
    shift = 0
    if x < 2.2250738585072014e-308:  # subnormal
        x *= 18014398509481984.0
        shift = 54
    bits = np.float64(x).view(np.int64)
    k = (bits >> _FRACTION) - _BIAS
    m = np.int64((bits & 0xFFFFFFFFFFFFF) | (_BIAS << _FRACTION)).view(np.float64)
    if m > _SQRT_2:
        m *= 0.5
        k += 1
    exponent = np.float64(k - shift)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 2.0 / 23.0
    p = p * z + 2.0 / 21.0
    p = p * z + 2.0 / 19.0
    p = p * z + 2.0 / 17.0
    p = p * z + 2.0 / 15.0
    p = p * z + 2.0 / 13.0
    p = p * z + 2.0 / 11.0
    p = p * z + 2.0 / 9.0
    p = p * z + 2.0 / 7.0
    p = p * z + 2.0 / 5.0
    p = p * z + 2.0 / 3.0
    half_square = 0.5 * f * f
    return exponent * _LN2_HIGH - ((half_square - (s * (half_square + p * z) + exponent * _LN2_LOW)) - f)


@inline_kernel
def exponential_minus_one(x: float) -> float:
    """``exp(x) - 1`` of a number, in kernels, without cancellation near 0."""
    if abs(x) > 0.55:
        return exponential(x) - 1.0
    p = 1.0 / 20922789888000.0
    p = p * x + 1.0 / 1307674368000.0
    p = p * x + 1.0 / 87178291200.0
    p = p * x + 1.0 / 6227020800.0
    p = p * x + 1.0 / 479001600.0
    p = p * x + 1.0 / 39916800.0
    p = p * x + 1.0 / 3628800.0
    p = p * x + 1.0 / 362880.0
    p = p * x + 1.0 / 40320.0
    p = p * x + 1.0 / 5040.0
    p = p * x + 1.0 / 720.0
    p = p * x + 1.0 / 120.0
    p = p * x + 1.0 / 24.0
    p = p * x + 1.0 / 6.0
    p = p * x + 0.5
    return x + x * x * p


@inline_kernel
def cosine_of_turns(turns: float) -> float:
    """``cos(2 pi turns)``, in kernels; the argument is reduced exactly to a quarter of a turn."""
    t = turns - np.floor(turns)
    quarter = np.floor(4.0 * t + 0.5)
    a = (t - 0.25 * quarter) * 6.283185307179586
    z = a * a
    if quarter % 2.0 == 0.0:
        p = 1.0 / 20922789888000.0
        p = p * z - 1.0 / 87178291200.0
        p = p * z + 1.0 / 479001600.0
        p = p * z - 1.0 / 3628800.0
        p = p * z + 1.0 / 40320.0
        p = p * z - 1.0 / 720.0
        p = p * z + 1.0 / 24.0
        p = p * z - 0.5
        value = 1.0 + z * p
    else:
        p = 1.0 / 355687428096000.0
        p = p * z - 1.0 / 1307674368000.0
        p = p * z + 1.0 / 6227020800.0
        p = p * z - 1.0 / 39916800.0
        p = p * z + 1.0 / 362880.0
        p = p * z - 1.0 / 5040.0
        p = p * z + 1.0 / 120.0
        p = p * z - 1.0 / 6.0
        value = a + a * z * p
    return float(value if quarter % 4.0 in (0.0, 3.0) else -value)


@kernel
def _exp(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.size)
    for i in range(x.size):
        y[i] = exponential(x[i])
    return y


@kernel
def _log(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.size)
    for i in range(x.size):
        y[i] = logarithm(x[i])
    return y


@kernel
def _expm1(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.size)
    for i in range(x.size):
        y[i] = exponential_minus_one(x[i])
    return y


@kernel
def _cosine_of_degrees(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.size)
    for i in range(x.size):
        y[i] = cosine_of_turns(x[i] / 360.0)
    return y


def elementwise(function: Callable[[np.ndarray], np.ndarray], x: Any) -> Any:
    """Apply a kernel of flat arrays to a number or an array, whose shape is kept."""
    values = np.asarray(x, np.float64)
    return function(np.ascontiguousarray(values).reshape(-1)).reshape(values.shape)[()]


def exp(x: Any) -> Any:
    """Exponential, elementwise."""
    return elementwise(_exp, x)


def log(x: Any) -> Any:
    """Natural logarithm, elementwise; minus infinity at 0, NaN below."""
    return elementwise(_log, x)


def expm1(x: Any) -> Any:
    """``exp(x) - 1`` without cancellation near 0, elementwise."""
    return elementwise(_expm1, x)


def log1p(x: Any) -> Any:
    """``log(1 + x)`` without cancellation near 0, elementwise; for finite ``x > -1``.

    The error of the rounded sum ``u = 1 + x`` cancels in ``log(u) x / (u - 1)`` (Kahan).
    """
    x = np.asarray(x, np.float64)
    u = 1.0 + x
    exact = u == 1.0
    return np.where(exact, x, log(u) * (x / np.where(exact, 1.0, u - 1.0)))[()]


def cosine_of_degrees(angle: Any) -> Any:
    """Cosine of an angle in degrees, elementwise."""
    return elementwise(_cosine_of_degrees, angle)


def power(x: Any, exponent: Any) -> Any:
    """``x**exponent`` for ``x >= 0``, elementwise; its relative error is about ``(1 + |exponent log x|) 1e-16``."""
    x, exponent = np.asarray(x, np.float64), np.asarray(exponent, np.float64)
    return exp(exponent * log(np.where(exponent == 0, 1.0, x)))


def integer_power(x: Any, exponent: int) -> Any:
    """``x**exponent`` by repeated multiplication, elementwise, for ``exponent >= 1``."""
    result = x
    for _ in range(exponent - 1):
        result = result * x
    return result


def cube_root(x: Any) -> Any:
    """Cube root of non-negative numbers, elementwise."""
    x = np.asarray(x, np.float64)
    root = power(x, 1 / 3)
    square = np.where(root > 0, root * root, 1.0)
    return (root - (root * root * root - x) / (3 * square))[()]


def geometric_sequence(first: float, last: float, n: int) -> np.ndarray:
    """``n`` numbers from ``first`` to ``last``, > 0, with equal ratios."""
    values = np.asarray(exp(np.linspace(float(log(first)), float(log(last)), n)))
    values[0], values[-1] = first, last
    return values
