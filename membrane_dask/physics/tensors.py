"""Symmetric tensors of second order: inverse, principal values and principal directions, with fixed rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.fixed_order import product

_MAX_SWEEPS = 50


@dataclass(frozen=True)
class TensorBounds:
    """Bounds of a symmetric transport tensor ``(3, 3)`` whose axes are ``z, y, x``.

    Parameters
    ----------
    lower, upper : (3, 3) ndarray
        The tensor less the lower bound, and the upper bound less the tensor, have no negative principal value. An
        element differs from that of the lower bound by no more than the root of the product of the differences between
        the bounds in the two elements of the diagonal in its row and column.
    """

    lower: np.ndarray
    upper: np.ndarray


def principal_values(tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal values and directions of a symmetric tensor.

    Parameters
    ----------
    tensor : (n, n) ndarray
        Symmetric; its lower triangle is not read.

    Returns
    -------
    values : (n,) ndarray
        In descending order.
    directions : (n, n) ndarray
        Unit vectors, one in each row, whose largest component is positive.

    Notes
    -----
    Cyclic Jacobi rotations [1]_, which need square roots only: their bits are the same on every processor.

    References
    ----------
    .. [1] G. H. Golub and C. F. Van Loan, "Matrix Computations", 4th ed., Johns Hopkins University Press, 2013,
       section 8.5.
    """
    n = len(tensor)
    a = np.triu(tensor) + np.triu(tensor, 1).T
    directions = np.eye(n)
    for _ in range(_MAX_SWEEPS):
        if not np.triu(a, 1).any():
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if abs(a[p, q]) <= 1e-17 * (abs(a[p, p]) + abs(a[q, q])):
                    a[p, q] = a[q, p] = 0.0
                    continue
                ratio = (a[q, q] - a[p, p]) / (2 * a[p, q])
                tangent = math.copysign(1.0, ratio) / (abs(ratio) + math.sqrt(1 + ratio * ratio))
                cosine = 1 / math.sqrt(1 + tangent * tangent)
                sine = tangent * cosine
                for matrix in (a, a.T, directions.T):  # columns of the first, then its rows
                    column_p, column_q = matrix[:, p].copy(), matrix[:, q].copy()
                    matrix[:, p] = cosine * column_p - sine * column_q
                    matrix[:, q] = sine * column_p + cosine * column_q
    values = np.diag(a).copy()
    order = np.argsort(-values, kind="stable")
    rows = directions[order]
    largest = rows[np.arange(n), np.argmax(np.abs(rows), axis=1)]
    return values[order], rows * np.where(largest < 0, -1.0, 1.0)[:, np.newaxis]


def lower_bound_tensor(work: np.ndarray, dissipation: np.ndarray, *, tolerance: float = 1e-9) -> np.ndarray:
    """Largest lower bound of a conductivity tensor from fields that conserve mass.

    Parameters
    ----------
    work : (n, k) ndarray
        Work of a unit force along each axis on each of the fields.
    dissipation : (k, k) ndarray
        Inner products of the fields in the norm of the dissipation.
    tolerance : float
        Combinations of the fields whose dissipation, relative to that of the largest, is less are rounding errors.

    Returns
    -------
    (n, n) ndarray
        ``work . dissipation^-1 . work^T``: by the principle of least dissipation, the true tensor less this one has no
        negative principal value.
    """
    scale = np.sqrt(np.diag(dissipation))
    values, directions = principal_values(dissipation / np.outer(scale, scale))
    is_significant = values > tolerance * values[0]
    projected = product(work / scale, directions[is_significant].T) / np.sqrt(values[is_significant])
    bound = product(projected, projected.T)
    return np.asarray((bound + bound.T) / 2)
