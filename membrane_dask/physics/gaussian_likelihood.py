"""Length scales and noise of a Gaussian process, from few values of a function.

All sums have a fixed order, so that every machine fits the same process, to the last bit. With BLAS and a gradient
search, as in scikit-optimize, a rounding error decides between two optima of the likelihood.
"""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.elementary import exponential, logarithm
from membrane_dask.physics.fixed_order import cholesky, dot, solve_lower

#: First step of the search for the largest likelihood, in logarithms.
_STEP = 1.0


@inline_kernel
def covariances(points: np.ndarray, x: np.ndarray, parameters: np.ndarray, matern: bool, out: np.ndarray) -> None:
    """Covariances of a function at some points with that at another point, for a signal of variance 1.

    Parameters
    ----------
    points : (n, d) ndarray
        Points in the unit box.
    x : (d,) ndarray
        The other point.
    parameters : (d + 1,) ndarray
        Logarithms of the length scales and of the variance of the noise over that of the signal.
    matern : bool
        Whether the covariance is the Matérn function of order 5/2; otherwise it is the squared exponential.
    out : (m,) ndarray, m <= n
        Covariances with the first m points, written.
    """
    d = x.size
    inverse = np.empty(d)
    for k in range(d):
        inverse[k] = exponential(-parameters[k])
    for i in range(out.size):
        square = 0.0
        for k in range(d):
            difference = (points[i, k] - x[k]) * inverse[k]
            square += difference * difference
        if matern:
            r = math.sqrt(5.0 * square)
            out[i] = (1.0 + r + 5.0 * square / 3.0) * exponential(-r)
        else:
            out[i] = exponential(-0.5 * square)


@kernel
def factorise(points: np.ndarray, parameters: np.ndarray, matern: bool) -> np.ndarray:
    """Cholesky factor of the covariances of values with noise, for a signal of variance 1.

    Parameters
    ----------
    points : (n, d) ndarray
        Points in the unit box.
    parameters : (d + 1,) ndarray
        Logarithms of the length scales and of the variance of the noise over that of the signal.
    matern : bool
        Whether the covariance is the Matérn function of order 5/2, or the squared exponential.

    Returns
    -------
    (n, n) ndarray
    """
    n, d = points.shape
    matrix = np.zeros((n, n))
    for i in range(n):
        covariances(points, points[i], parameters, matern, matrix[i, :i])
        matrix[i, i] = 1.0 + exponential(float(parameters[d])) + 1e-10
    return cholesky(matrix)


@kernel
def misfit(points: np.ndarray, values: np.ndarray, parameters: np.ndarray, prior: np.ndarray, matern: bool) -> float:
    """Minus twice the logarithm of the posterior, up to a constant, for the best variance of the signal.

    Parameters
    ----------
    points : (n, d) ndarray
        Points in the unit box.
    values : (n,) ndarray
        Values there, without their mean.
    parameters : (d + 1,) ndarray
        Logarithms of the length scales and of the variance of the noise over that of the signal.
    prior : (2, d + 1) ndarray
        Means and standard deviations of their normal priors; infinite standard deviations for the likelihood alone.
    matern : bool
        Whether the covariance is the Matérn function of order 5/2, or the squared exponential.

    Returns
    -------
    float
    """
    n = values.size
    lower = factorise(points, parameters, matern)
    whitened = solve_lower(lower, values)
    result = n * logarithm(max(dot(whitened, whitened) / n, 1e-300))
    for i in range(n):
        result += 2.0 * logarithm(lower[i, i])
    for k in range(parameters.size):
        deviation = (parameters[k] - prior[0, k]) / prior[1, k]
        result += deviation * deviation
    return result if result == result else np.inf


@kernel
def fit_parameters(
    points: np.ndarray, values: np.ndarray, starts: np.ndarray, bounds: np.ndarray, prior: np.ndarray, matern: bool,
    smallest_step: float,
) -> np.ndarray:  # fmt: skip
    """Length scales and noise of the largest posterior, by compass searches from several starts.

    Parameters
    ----------
    points : (n, d) ndarray
        Points in the unit box.
    values : (n,) ndarray
        Values there, without their mean.
    starts : (s, d + 1) ndarray
        Logarithms of the length scales and of the variance of the noise over that of the signal.
    bounds : (2, d + 1) ndarray
        Their smallest and largest values.
    prior : (2, d + 1) ndarray
        Means and standard deviations of their normal priors; infinite standard deviations for the likelihood alone.
    matern : bool
        Whether the covariance is the Matérn function of order 5/2, or the squared exponential.
    smallest_step : float
        Step at which a search ends, in logarithms.

    Returns
    -------
    (d + 1,) ndarray

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), Sec. 5.4.
    """
    best: np.ndarray = starts[0].copy()
    best_misfit = np.inf
    for start in starts:
        x, step = start.copy(), _STEP
        smallest = misfit(points, values, x, prior, matern)
        while step > smallest_step:
            improved = False
            for k in range(x.size):
                for sign in (1.0, -1.0):
                    previous = x[k]
                    x[k] = min(max(previous + sign * step, bounds[0, k]), bounds[1, k])
                    trial = misfit(points, values, x, prior, matern)
                    if trial < smallest - 1e-9:
                        smallest, improved = trial, True
                        break
                    x[k] = previous
            if not improved:
                step *= 0.5
        if smallest < best_misfit:
            best, best_misfit = x, smallest
    return best


def per_parameter(length_scales: tuple[float, float], noise: tuple[float, float], d: int) -> np.ndarray:
    """Two numbers for each parameter of a process of ``d`` variables: those of each length scale, then of the noise.

    Parameters
    ----------
    length_scales, noise : tuple of float
        Lower and upper bound, or mean and standard deviation.
    d : int
        Number of variables, > 0.

    Returns
    -------
    (2, d + 1) ndarray
    """
    return np.array([[*([length_scales[i]] * d), noise[i]] for i in (0, 1)])
