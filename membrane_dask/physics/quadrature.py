"""Nodes and weights of Gauss-Legendre quadrature, with the same bits on every machine."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from membrane_dask.physics.elementary import cosine_of_degrees


@lru_cache(maxsize=8)
def gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in [-1, 1], rising, and weights of the rule that integrates polynomials of degree ``2 n - 1`` exactly.

    Parameters
    ----------
    n : int
        Number of nodes, >= 1.

    Returns
    -------
    nodes, weights : (n,) float array
        Not to be written to: later calls return the same arrays.

    References
    ----------
    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 22.16.6 (positions from which Newton's method
    starts) and 25.4.29 (weights).
    """
    nodes = -np.asarray(cosine_of_degrees(180 * (np.arange(n) + 0.75) / (n + 0.5)))
    for _ in range(10):  # the convergence is quadratic; the starting points are within 1e-3 of a spacing
        value, derivative = _legendre(n, nodes)
        nodes = nodes - value / derivative
    derivative = _legendre(n, nodes)[1]
    weights = 2 / ((1 - np.square(nodes)) * np.square(derivative))
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


def _legendre(n: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Legendre's polynomial of degree n and its derivative, by the recurrence."""
    previous, value = np.ones_like(x), x
    for k in range(2, n + 1):
        previous, value = value, ((2 * k - 1) * x * value - (k - 1) * previous) / k
    return value, n * (x * value - previous) / (np.square(x) - 1)
