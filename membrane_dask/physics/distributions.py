"""Normal, Student's, F and beta distributions, with the same bits on every machine.

Those of SciPy call the C library, whose ``exp``, ``log`` and ``pow`` differ between processors
(:mod:`membrane_dask.physics.elementary`). Relative errors are below 1e-12 for up to 300 degrees of freedom
and grow in proportion to them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.elementary import elementwise, exponential, logarithm

_SQRT_PI, _SQRT_HALF = 1.7724538509055159, 0.7071067811865476
_HALF_LOG_2_PI = 0.9189385332046727
#: Argument from which on Stirling's series is used.
_ASYMPTOTIC = 12.0


@inline_kernel
def upper_normal(x: float) -> float:
    """Probability above ``x`` of a standard normal variable: a series near 0, a continued fraction beyond."""
    z = abs(x) * _SQRT_HALF
    square = z * z
    if z < 2.0:
        term, total, k = z, z, 0
        while term > 1e-18 * total:
            k += 1
            term *= square / (k + 0.5)
            total += term
        tail = 0.5 - exponential(-square) * total / _SQRT_PI
    elif x < -8.5 or z > 27.5:  # the tail is below half a unit in the last place of 1, or the smallest number
        tail = 0.0
    else:
        fraction = 0.0
        for k in range(min(60, int(12.0 + 400.0 / square)), 0, -1):  # further terms do not change the result
            fraction = 0.5 * k / (z + fraction)
        # The square is rounded; its error, which the exponential magnifies, is computed from exact parts.
        high = np.floor(z * 1048576.0) / 1048576.0
        error = (z - high) * (z + high)
        tail = 0.5 * exponential(-high * high) * exponential(-error) / (_SQRT_PI * (z + fraction))
    return tail if x >= 0.0 else 1.0 - tail


@inline_kernel
def _rational(x: float, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> float:
    p, q = 0.0, 0.0
    for k in range(7, -1, -1):
        p, q = p * x + numerator[k], q * x + denominator[k]
    return p / q


_CENTRE = (
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
), (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
)  # fmt: skip
_MIDDLE = (
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
    1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
), (
    1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
)  # fmt: skip
_TAIL = (
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
), (
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
)  # fmt: skip


@inline_kernel
def _normal_quantile(p: float) -> float:
    """Quantile of the standard normal distribution (M. J. Wichura, Algorithm AS 241, Appl. Stat. 37, 477 (1988))."""
    if not 0.0 < p < 1.0:
        if p == 0.0:
            return -np.inf
        return np.inf if p == 1.0 else np.nan
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _rational(0.180625 - q * q, *_CENTRE)
    r = math.sqrt(-logarithm(p if q < 0.0 else 1.0 - p))
    x = _rational(r - 1.6, *_MIDDLE) if r <= 5.0 else _rational(r - 5.0, *_TAIL)
    return -x if q < 0.0 else x


@inline_kernel
def _log_gamma(x: float) -> float:
    """Logarithm of the gamma function of a positive number, by Stirling's series."""
    product = 1.0
    while x < _ASYMPTOTIC:
        product *= x
        x += 1.0
    z = 1.0 / (x * x)
    p = -3617.0 / 122400.0
    p = p * z + 1.0 / 156.0
    p = p * z - 691.0 / 360360.0
    p = p * z + 1.0 / 1188.0
    p = p * z - 1.0 / 1680.0
    p = p * z + 1.0 / 1260.0
    p = p * z - 1.0 / 360.0
    p = p * z + 1.0 / 12.0
    return (x - 0.5) * logarithm(x) - x + _HALF_LOG_2_PI + p / x - logarithm(product)


@inline_kernel
def _digamma(x: float) -> float:
    """Derivative of the logarithm of the gamma function at a positive number."""
    total = 0.0
    while x < _ASYMPTOTIC:
        total -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    p = 1.0 / 12.0
    p = p * z - 691.0 / 32760.0
    p = p * z + 1.0 / 132.0
    p = p * z - 1.0 / 240.0
    p = p * z + 1.0 / 252.0
    p = p * z - 1.0 / 120.0
    p = p * z + 1.0 / 12.0
    return total + logarithm(x) - 0.5 / x - z * p


@inline_kernel
def _beta_fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of the incomplete beta function, by the modified method of Lentz."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > 1e-300 else 1e-300)
    value = d
    for m in range(1, 5000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for coefficient in (even, odd):
            d = 1.0 + coefficient * d
            c = 1.0 + coefficient / c
            d = 1.0 / (d if abs(d) > 1e-300 else 1e-300)
            c = c if abs(c) > 1e-300 else 1e-300
            change = c * d
            value *= change
        if abs(change - 1.0) < 1e-16:
            break
    return value


@inline_kernel
def _lower_beta(a: float, b: float, x: float, y: float) -> float:
    """Regularised incomplete beta function at ``x = 1 - y``, both given as one of them may round to 1."""
    if x <= 0.0:
        return 0.0
    if y <= 0.0:
        return 1.0
    log_factor = _log_gamma(a + b) - _log_gamma(a) - _log_gamma(b) + a * logarithm(x) + b * logarithm(y)
    if x < (a + 1.0) / (a + b + 2.0):
        return exponential(log_factor) * _beta_fraction(a, b, x) / a
    return 1.0 - exponential(log_factor) * _beta_fraction(b, a, y) / b


@inline_kernel
def _upper_student(t: float, n: float) -> float:
    """Probability above ``t >= 0`` of Student's variable with ``n`` degrees of freedom."""
    square = t * t
    return 0.5 * _lower_beta(0.5 * n, 0.5, n / (n + square), square / (n + square))


@inline_kernel
def _student_quantile(p: float, n: float) -> float:
    """Quantile of Student's distribution: Newton's method for the logarithms of ``t`` and of the probability above."""
    if not 0.0 < p < 1.0:
        if p == 0.0:
            return -np.inf
        return np.inf if p == 1.0 else np.nan
    upper = min(p, 1.0 - p)
    t = -_normal_quantile(upper)
    if t == 0.0:
        return 0.0
    log_density = _log_gamma(0.5 * (n + 1.0)) - _log_gamma(0.5 * n) - 0.5 * logarithm(n * 3.141592653589793)
    for _ in range(60):
        above = _upper_student(t, n)
        density = exponential(log_density - 0.5 * (n + 1.0) * logarithm(1.0 + t * t / n))
        step = logarithm(above / upper) * above / (density * t)
        t *= exponential(min(max(step, -5.0), 40.0))
        if abs(step) < 1e-9:  # the next step would be below its rounding error
            break
    return t if p > 0.5 else -t


@kernel
def _normal_cdf_of(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.size)
    for i in range(x.size):
        y[i] = upper_normal(-x[i])
    return y


@kernel
def _normal_quantile_of(p: np.ndarray) -> np.ndarray:
    y = np.empty(p.size)
    for i in range(p.size):
        y[i] = _normal_quantile(p[i])
    return y


@kernel
def _student_cdf_of(t: np.ndarray, n: float) -> np.ndarray:
    y = np.empty(t.size)
    for i in range(t.size):
        above = _upper_student(abs(t[i]), n)
        y[i] = above if t[i] < 0.0 else 1.0 - above
    return y


@kernel
def _student_quantile_of(p: np.ndarray, n: float) -> np.ndarray:
    y = np.empty(p.size)
    for i in range(p.size):
        y[i] = _student_quantile(p[i], n)
    return y


@kernel
def _digamma_of(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.size)
    for i in range(x.size):
        y[i] = _digamma(x[i])
    return y


@kernel
def _beta_cdf(x: float, a: float, b: float) -> float:
    return _lower_beta(a, b, x, 1.0 - x)


def normal_cdf(x: Any) -> Any:
    """Distribution function of the standard normal distribution, elementwise."""
    return elementwise(_normal_cdf_of, x)


def normal_quantile(p: Any) -> Any:
    """Quantile of the standard normal distribution, elementwise."""
    return elementwise(_normal_quantile_of, p)


def digamma(x: Any) -> Any:
    """Digamma function of positive numbers, elementwise."""
    return elementwise(_digamma_of, x)


def student_cdf(t: Any, degrees_of_freedom: float) -> Any:
    """Distribution function of Student's distribution, elementwise."""
    return elementwise(lambda values: _student_cdf_of(values, float(degrees_of_freedom)), t)


def student_quantile(p: Any, degrees_of_freedom: float) -> Any:
    """Quantile of Student's distribution, elementwise; NaN without degrees of freedom."""
    n = float(degrees_of_freedom)
    return elementwise(lambda values: _student_quantile_of(values, n) if n > 0 else np.full(values.shape, np.nan), p)


def f_survival(x: float, numerator: float, denominator: float) -> float:
    """Probability that a variable of the F distribution exceeds ``x``, given its two degrees of freedom."""
    if not x > 0:
        return math.nan if math.isnan(x) else 1.0
    return float(_beta_cdf(denominator / (denominator + numerator * x), denominator / 2, numerator / 2))


def beta_quantile(p: float, a: float, b: float) -> float:
    """Quantile of the beta distribution, by bisection."""
    low, high = 0.0, 1.0
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        low, high = (middle, high) if _beta_cdf(middle, a, b) < p else (low, middle)


def standard_normal(rng: np.random.Generator, shape: Any) -> np.ndarray:
    """Standard normal variates of a generator, rounded to multiples of ``2**-40``.

    One in four thousand comes from the tail, for which NumPy calls ``log1p`` of the C library.
    """
    return np.asarray(np.rint(rng.standard_normal(shape) * 2.0**40) * 2.0**-40)
