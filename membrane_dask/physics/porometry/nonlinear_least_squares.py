"""Minimum of a sum of squared residuals that are not linear in the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import column_norms, dot, least_squares

#: Change of the parameters, over their size, at which a fit has converged, and iterations within which it must.
_PRECISION, _MAX_ITERATIONS = 1e-13, 200


def levenberg_marquardt(
    residuals: Callable[[np.ndarray], np.ndarray], jacobian: Callable[[np.ndarray], np.ndarray], values: np.ndarray
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
        step = least_squares(damped, np.concatenate([-current, np.zeros(len(values))]))
        trial = residuals(values + step)
        # Close to the minimum the sum changes by rounding errors only, while the steps still converge.
        if dot(trial, trial) <= dot(current, current) * (1 + 1e-13):
            values, current, damping = values + step, trial, damping / 10
        else:
            damping *= 10
        if np.abs(step).max() <= _PRECISION:
            return values
    # A parameter that the points hardly determine keeps moving by rounding errors, which do not move the fit.
    if np.abs(slopes * step).max() <= _PRECISION * np.abs(slopes * values).max():
        return values
    raise PhysicsError(f"the fit does not converge in {_MAX_ITERATIONS} iterations")
