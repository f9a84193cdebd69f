"""Intervals of the parameters of a non-linear least-squares fit by the profile of the sum of squares."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.porometry.nonlinear_least_squares import levenberg_marquardt
from membrane_dask.physics.root_finding import brentq

_Function = Callable[[np.ndarray], np.ndarray]
#: Doublings of the first step in search of an end, and the precision of an end relative to the distance of the fit.
_MAX_DOUBLINGS, _END_PRECISION = 20, 1e-3


def profile_interval(
    residuals: _Function, jacobian: _Function, solution: np.ndarray, index: int, lower_bounds: np.ndarray, degrees: int,
    first_step: float, precision: float, confidence: float = 0.95,
) -> tuple[float, float]:  # fmt: skip
    """Interval of one parameter: values at which the other parameters fit the points within the error of the best fit.

    Parameters
    ----------
    residuals, jacobian : callable
        As for :func:`~.nonlinear_least_squares.levenberg_marquardt`.
    solution : (p,) float array
        Parameters of the best fit, p >= 2.
    index : int
        Of the parameter.
    lower_bounds : (p,) float array
        Of the parameters.
    degrees : int
        Degrees of freedom of the fit, > 0.
    first_step : float
        Distance from the best fit at which the search begins, > 0.
    precision : float
        Of the fits.
    confidence : float
        Of the interval.

    Returns
    -------
    low, high : float
        The low end is the bound if the interval reaches it. An end is infinite where the sum of squares does not rise
        enough, and NaN where the fits do not converge.

    References
    ----------
    Bates and Watts, Nonlinear Regression Analysis and Its Applications (Wiley, 1988), Sec. 6.1.
    """
    is_free = np.arange(len(solution)) != index
    best = residuals(solution)
    t = float(student_quantile((1 + confidence) / 2, degrees))
    largest = float(dot(best, best)) * (1 + t * t / degrees)
    start = solution[is_free]

    def insert(value: float, free: np.ndarray) -> np.ndarray:
        parameters = np.empty(len(solution))
        parameters[is_free], parameters[index] = free, value
        return parameters

    def excess(value: float) -> float:
        nonlocal start
        start = levenberg_marquardt(
            lambda free: residuals(insert(value, free)),
            lambda free: jacobian(insert(value, free))[:, is_free],
            start, lower_bounds[is_free], precision,
        )  # fmt: skip
        remaining = residuals(insert(value, start))
        return float(dot(remaining, remaining)) - largest

    def end(sign: int) -> float:
        nonlocal start
        start, inner, step = solution[is_free], float(solution[index]), first_step
        for _ in range(_MAX_DOUBLINGS):
            outer = float(np.maximum(inner + sign * step, lower_bounds[index]))
            if excess(outer) > 0:
                tolerance = _END_PRECISION * abs(outer - float(solution[index]))
                return float(brentq(excess, inner, outer, xtol=tolerance))
            if outer == lower_bounds[index]:
                return outer
            inner, step = outer, 2 * step
        return sign * math.inf

    ends = []
    for sign in (-1, 1):
        try:
            ends.append(end(sign))
        except (PhysicsError, ValueError):  # ValueError: a fit that started elsewhere changed the sign
            ends.append(math.nan)
    return ends[0], ends[1]
