"""Linear algebra whose sums have one order on every machine.

BLAS and LAPACK choose kernels by the processor, which add in other orders and fuse multiplications with additions, so
that the last bits of their results differ. The sums here are added in the order in which they are written. Matrices
are small, or are factorised once: speed matters in :func:`dot` and :func:`product` only.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel

#: Pivots below this fraction of a column's norm are rounding errors.
_SINGULAR = 1e-14


@kernel
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Inner product in double precision.

    Parameters
    ----------
    a : (n,) ndarray
        First vector.
    b : ndarray
        Second vector, of ``n`` elements or more; those beyond ``n`` are ignored.

    Notes
    -----
    Four partial sums let the processor overlap additions. Their number and order are fixed, so that the result does
    not depend on the machine.
    """
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    n = a.size - a.size % 4
    for i in range(0, n, 4):
        s0 += np.float64(a[i]) * b[i]
        s1 += np.float64(a[i + 1]) * b[i + 1]
        s2 += np.float64(a[i + 2]) * b[i + 2]
        s3 += np.float64(a[i + 3]) * b[i + 3]
    for i in range(n, a.size):
        s0 += np.float64(a[i]) * b[i]
    return (s0 + s1) + (s2 + s3)


def product(a: Any, b: Any) -> np.ndarray:
    """Product of a matrix or a row with a matrix or a column, like ``a @ b``.

    Parameters
    ----------
    a : (m, k) or (k,) array
        First factor.
    b : (k, n) or (k,) array
        Second factor.

    Returns
    -------
    (m, n), (m,) or (n,) ndarray of float64, or a number
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape[-1] != b.shape[0]:
        raise ValueError(f"product: the shapes {a.shape} and {b.shape} do not match")
    rows, columns = np.ascontiguousarray(np.atleast_2d(a)), b.reshape(len(b), -1)
    return np.asarray(_product(rows, np.ascontiguousarray(columns)).reshape(a.shape[:-1] + b.shape[1:])[()])


@kernel
def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product; every element is summed in the order of the index in common."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            factor = a[i, k]
            for j in range(b.shape[1]):
                out[i, j] += factor * b[k, j]
    return out


def column_norms(a: np.ndarray) -> np.ndarray:
    """Euclidean norms of the columns of a matrix."""
    return np.asarray(np.sqrt(np.add.reduce(np.square(np.asarray(a)), axis=0)))


def sample_covariance(samples: np.ndarray) -> np.ndarray:
    """Sample covariance of variables in columns, ``(p, p)`` from ``(n, p)``."""
    deviations = samples - samples.mean(axis=0)
    return product(deviations.T, deviations) / (len(samples) - 1)


def least_squares(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Coefficients that minimise the sum of squared residuals, by Householder's QR decomposition.

    Parameters
    ----------
    design : (n, p) array
        Columns of the model, ``n >= p``.
    values : (n,) or (n, m) array
        Values to fit, one column for each fit.

    Returns
    -------
    (p,) or (p, m) ndarray
        A column that depends on the earlier ones gets the coefficient 0.
    """
    right = np.array(values, np.float64, order="C").reshape(len(values), -1)
    coefficients = _least_squares(np.array(design, np.float64, order="C"), right)
    return np.asarray(coefficients.reshape(design.shape[1:] + values.shape[1:]))


@kernel
def _least_squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Decompose ``a`` in place, transform ``b`` in place, and solve."""
    _reflect(a, b)
    p, m = a.shape[1], b.shape[1]
    x = np.zeros((p, m))
    for k in range(p - 1, -1, -1):
        if a[k, k] == 0.0:
            continue
        for j in range(m):
            total = b[k, j]
            for i in range(k + 1, p):
                total -= a[k, i] * x[i, j]
            x[k, j] = total / a[k, k]
    return x


@kernel
def _reflect(a: np.ndarray, b: np.ndarray) -> None:
    """Householder reflections that leave the triangle ``R`` in the upper rows of ``a``, applied to ``b`` as well."""
    n, p = a.shape
    for k in range(p):
        whole, square = 0.0, 0.0
        for i in range(n):
            whole += a[i, k] * a[i, k]
        for i in range(k, n):
            square += a[i, k] * a[i, k]
        norm = math.sqrt(square)
        if norm <= _SINGULAR * math.sqrt(whole):
            a[k, k] = 0.0
            continue
        pivot = -norm if a[k, k] > 0.0 else norm
        first = a[k, k] - pivot
        for matrix, start in ((a, k + 1), (b, 0)):
            for j in range(start, matrix.shape[1]):
                total = first * matrix[k, j]
                for i in range(k + 1, n):
                    total += a[i, k] * matrix[i, j]
                total /= -pivot * first
                matrix[k, j] -= total * first
                for i in range(k + 1, n):
                    matrix[i, j] -= total * a[i, k]
        a[k, k] = pivot


def inverse_gram(design: np.ndarray) -> np.ndarray:
    """Inverse of ``design.T @ design``, ``(p, p)``: the covariance of fitted parameters for unit variance.

    Infinite where the columns depend on one another.
    """
    triangle = np.array(design, np.float64, order="C")
    _reflect(triangle, np.zeros((len(triangle), 0)))
    p = design.shape[1]
    if not np.diag(triangle[:p]).all():
        return np.full((p, p), math.inf)
    inverse = np.asarray(_inverse_of_triangle(triangle[:p]))
    return product(inverse, inverse.T)


@kernel
def _inverse_of_triangle(r: np.ndarray) -> np.ndarray:
    """Inverse of an upper triangle; what lies below it is ignored."""
    p = r.shape[0]
    inverse = np.zeros((p, p))
    for j in range(p):
        inverse[j, j] = 1.0 / r[j, j]
        for i in range(j - 1, -1, -1):
            total = 0.0
            for k in range(i + 1, j + 1):
                total -= r[i, k] * inverse[k, j]
            inverse[i, j] = total / r[i, i]
    return inverse


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a square matrix."""
    return least_squares(matrix, np.eye(len(matrix)))


@kernel
def cholesky(matrix: np.ndarray) -> np.ndarray:
    """Lower triangle ``L`` with ``L L^T = matrix``; NaN if the matrix is not positive definite."""
    n = matrix.shape[0]
    lower = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j] - dot(lower[i, :j], lower[j, :j])
            if i > j:
                lower[i, j] = total / lower[j, j]
            else:
                lower[i, i] = math.sqrt(total) if total > 0.0 else np.nan
    return lower


@kernel
def solve_lower(lower: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Solve ``L x = values`` for a lower triangle."""
    x = np.empty(values.size)
    for i in range(values.size):
        x[i] = (values[i] - dot(lower[i, :i], x[:i])) / lower[i, i]
    return x


@kernel
def solve_upper(lower: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Solve ``L^T x = values`` for a lower triangle ``L``."""
    x = values.copy()
    for i in range(values.size - 1, -1, -1):
        x[i] /= lower[i, i]
        for j in range(i):
            x[j] -= lower[i, j] * x[i]
    return x


@kernel
def smallest_eigenvalue(diagonal: np.ndarray, off_diagonal: np.ndarray) -> float:
    """Smallest eigenvalue of a symmetric tridiagonal matrix, by bisection with Sturm sequences.

    Parameters
    ----------
    diagonal : (n,) ndarray
        Diagonal.
    off_diagonal : (n - 1,) ndarray
        Entries next to it.
    """
    n = diagonal.size
    low, high = np.inf, np.inf
    for i in range(n):
        reach = abs(off_diagonal[i - 1]) if i > 0 else 0.0
        if i + 1 < n:
            reach += abs(off_diagonal[i])
        low, high = min(low, diagonal[i] - reach), min(high, diagonal[i])
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        pivot = diagonal[0] - middle  # of the matrix less the middle of the interval, by elimination
        below = pivot < 0.0
        for i in range(1, n):
            if below:
                break
            pivot = diagonal[i] - middle - off_diagonal[i - 1] * off_diagonal[i - 1] / max(pivot, 1e-300)
            below = pivot < 0.0
        if below:
            high = middle
        else:
            low = middle


def real_roots(coefficients: np.ndarray) -> np.ndarray:
    """Simple real roots of a polynomial, rising, by bisection between the extrema.

    Parameters
    ----------
    coefficients : (n + 1,) array
        From the highest power down.
    """
    c = np.trim_zeros(np.asarray(coefficients, np.float64), "f")
    if len(c) < 2:
        return np.zeros(0)
    reach = 1.0 + float(np.abs(c[1:] / c[0]).max())  # Cauchy's bound
    powers = np.arange(len(c) - 1, 0, -1)
    bounds = np.concatenate([[-reach], real_roots(c[:-1] * powers), [reach]])
    roots = [_root_between(c, a, b) for a, b in itertools.pairwise(bounds)]
    return np.array([root for root in roots if not math.isnan(root)])


@kernel
def _root_between(c: np.ndarray, low: float, high: float) -> float:
    """Root of a polynomial in an interval in which it is monotonic; NaN without a change of its sign."""
    at_low, at_high = 0.0, 0.0
    for coefficient in c:
        at_low, at_high = at_low * low + coefficient, at_high * high + coefficient
    if at_low * at_high > 0.0 or at_low == 0.0:
        return np.nan
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return middle
        value = 0.0
        for coefficient in c:
            value = value * middle + coefficient
        if (value > 0.0) == (at_high > 0.0):
            high = middle
        else:
            low = middle
