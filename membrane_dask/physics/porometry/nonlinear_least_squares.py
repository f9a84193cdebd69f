"""Minimum of a sum of squared residuals that are not linear in the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import column_norms, dot, least_squares, product

#: Iterations within which a fit must converge.
_MAX_ITERATIONS = 200


def levenberg_marquardt(
    residuals: Callable[[np.ndarray], np.ndarray],
    jacobian: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    lower_bounds: np.ndarray | None = None,
    precision: float = 1e-13,
) -> np.ndarray:
    """Minimise the sum of squared residuals by the method of Levenberg and Marquardt.

    Parameters
    ----------
    residuals : callable
        Residuals, (n,), of parameters, (p,).
    jacobian : callable
        Their derivatives by the parameters, (n, p).
    values : (p,) float array
        Initial parameters, scaled so that they are of order one.
    lower_bounds : (p,) float array, optional
        Of the parameters; minus infinity where there is none.
    precision : float
        Change of the parameters at which the fit has converged; larger for derivatives by differences.

    Returns
    -------
    (p,) float array

    Raises
    ------
    PhysicsError
        If the fit does not converge.

    References
    ----------
    Marquardt, J. Soc. Ind. Appl. Math. 11, 431 (1963).
    """
    current, damping = residuals(values), 1e-3
    for _ in range(_MAX_ITERATIONS):
        slopes = jacobian(values)
        damped = np.concatenate([slopes, np.diag(math.sqrt(damping) * column_norms(slopes))])
        target = np.concatenate([-current, np.zeros(len(values))])
        step = _step_within(damped, target, -np.inf if lower_bounds is None else lower_bounds - values)
        trial = residuals(values + step)
        # Close to the minimum the sum changes by rounding errors only, while the steps still converge.
        if dot(trial, trial) <= dot(current, current) * (1 + 1e-13):
            values, current, damping = values + step, trial, damping / 10
        else:
            damping *= 10
        if np.abs(step).max() <= precision:
            return values
    # Parameters that the points hardly determine keep moving by rounding errors, which do not move the fit.
    size = max(len(values) * float(np.abs(slopes * values).max()), math.sqrt(dot(current, current)))
    if np.abs(product(slopes, step)).max() <= precision * size:
        return values
    raise PhysicsError(f"the fit does not converge in {_MAX_ITERATIONS} iterations")


def _step_within(design: np.ndarray, target: np.ndarray, lower_bounds: np.ndarray | float) -> np.ndarray:
    """Least-squares step; coefficients that would pass their bounds are fixed there, and the others solved again."""
    is_fixed = np.zeros(design.shape[1], bool)
    while True:
        step = np.where(is_fixed, lower_bounds, 0.0)
        step[~is_fixed] = least_squares(design[:, ~is_fixed], target - product(design, step))
        passes = step < lower_bounds
        if not passes.any():
            return step
        is_fixed |= passes
