"""Bayesian optimisation with a Gaussian process: where to evaluate an expensive function next.

All sums have a fixed order, so that every machine proposes the same points, to the last bit. With BLAS and a gradient
search, as in scikit-optimize, a rounding error decides between two optima of the likelihood or of the acquisition.
"""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.distributions import upper_normal
from membrane_dask.physics.elementary import exponential, logarithm
from membrane_dask.physics.fixed_order import cholesky, dot, solve_lower, solve_upper

#: Ranges of the logarithms of length scales, in units of the box, and of the variance of noise over that of the signal.
_LOG_LENGTH, _LOG_NOISE = (math.log(0.02), math.log(20.0)), (math.log(1e-8), math.log(1.0))
#: Logarithms of the length scale and the noise from which the likelihood is maximised.
_STARTS = ((math.log(0.2), math.log(1e-4)), (math.log(0.5), math.log(1e-2)), (math.log(2.0), math.log(1e-1)))
#: Steps of the searches, in logarithms and in units of the box, at first and at the end.
_STEP, _MIN_STEP, _MOVE, _MIN_MOVE = 1.0, 0.01, 0.05, 1e-4
#: Most values to which length scales and noise are fitted.
_MAX_FITTED = 200
#: Random candidates of the acquisition, and how many of the best are refined.
_CANDIDATES, _REFINED = 2000, 5
#: Improvement that counts, in standard deviations of the values.
_MARGIN = 0.001


def next_point(points: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Point with the largest expected improvement over the smallest value.

    Parameters
    ----------
    points : (n, d) ndarray
        Evaluated points in the unit box, n >= 1.
    values : (n,) ndarray
        Values of the function there, finite.
    rng : numpy.random.Generator
        Source of the candidates.

    Returns
    -------
    (d,) ndarray

    Notes
    -----
    Matérn covariance of order 5/2 with a length scale for each dimension, and noise; the variance of the signal is the
    one that maximises the likelihood. Length scales and noise maximise the likelihood in a compass search.

    References
    ----------
    Jones, Schonlau & Welch, J. Glob. Optim. 13, 455 (1998); Rasmussen & Williams, Gaussian Processes for Machine
    Learning (2006).
    """
    points = np.ascontiguousarray(points, np.float64)
    spread = float(values.std())
    scaled = (values - values.mean()) / (spread if spread > 0 else 1.0)
    n, d = points.shape
    fitted = np.unique(np.linspace(0, n - 1, min(n, _MAX_FITTED)).astype(np.int64))
    starts = np.array([[*([length] * d), noise] for length, noise in _STARTS])
    low, high = (np.array([*([_LOG_LENGTH[k]] * d), _LOG_NOISE[k]]) for k in (0, 1))
    parameters = _maximum_likelihood(points[fitted], scaled[fitted], starts, low, high)
    best = points[np.argsort(scaled, kind="stable")[:_REFINED]]
    near = np.repeat(best, _CANDIDATES // (4 * len(best)), axis=0)
    near = np.clip(near + 0.1 * (rng.random(near.shape) - 0.5), 0.0, 1.0)
    candidates = np.concatenate([rng.random((_CANDIDATES, d)), near])
    return np.asarray(_best_candidate(points, scaled, parameters, candidates))


@inline_kernel
def _covariances(points: np.ndarray, x: np.ndarray, parameters: np.ndarray, out: np.ndarray) -> None:
    """Covariances of the values at some points with that at ``x``, for a signal of variance 1."""
    d = x.size
    inverse = np.empty(d)
    for k in range(d):
        inverse[k] = exponential(-parameters[k])
    for i in range(out.size):
        square = 0.0
        for k in range(d):
            difference = (points[i, k] - x[k]) * inverse[k]
            square += difference * difference
        r = math.sqrt(5.0 * square)
        out[i] = (1.0 + r + 5.0 * square / 3.0) * exponential(-r)


@inline_kernel
def _factorise(points: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Cholesky factor of the covariances of values with noise."""
    n, d = points.shape
    matrix = np.zeros((n, n))
    for i in range(n):
        _covariances(points, points[i], parameters, matrix[i, :i])
        matrix[i, i] = 1.0 + exponential(float(parameters[d])) + 1e-10
    return cholesky(matrix)


@inline_kernel
def _misfit(points: np.ndarray, values: np.ndarray, parameters: np.ndarray) -> float:
    """Minus twice the logarithm of the likelihood, up to a constant, for the best variance of the signal."""
    n = values.size
    lower = _factorise(points, parameters)
    whitened = solve_lower(lower, values)
    misfit = n * logarithm(max(dot(whitened, whitened) / n, 1e-300))
    for i in range(n):
        misfit += 2.0 * logarithm(lower[i, i])
    return misfit if misfit == misfit else np.inf


@kernel
def _maximum_likelihood(
    points: np.ndarray, values: np.ndarray, starts: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Logarithms of length scales and noise that maximise the likelihood, by compass searches from several starts."""
    best: np.ndarray = starts[0].copy()
    best_misfit = np.inf
    for start in starts:
        x, step = start.copy(), _STEP
        misfit = _misfit(points, values, x)
        while step > _MIN_STEP:
            improved = False
            for k in range(x.size):
                for sign in (1.0, -1.0):
                    previous = x[k]
                    x[k] = min(max(previous + sign * step, low[k]), high[k])
                    trial = _misfit(points, values, x)
                    if trial < misfit - 1e-9:
                        misfit, improved = trial, True
                        break
                    x[k] = previous
            if not improved:
                step *= 0.5
        if misfit < best_misfit:
            best, best_misfit = x, misfit
    return best


@inline_kernel
def _improvement(
    points: np.ndarray, parameters: np.ndarray, lower: np.ndarray, weights: np.ndarray, signal: float, smallest: float,
    x: np.ndarray, covariances: np.ndarray,
) -> float:  # fmt: skip
    """Expected improvement at a point, times the root of 2 pi."""
    _covariances(points, x, parameters, covariances)
    whitened = solve_lower(lower, covariances)
    deviation = math.sqrt(signal * max(1.0 - dot(whitened, whitened), 1e-12))
    z = (smallest - _MARGIN - dot(covariances, weights)) / deviation
    return deviation * (exponential(-0.5 * z * z) + 2.5066282746310002 * z * upper_normal(-z))


@kernel
def _best_candidate(
    points: np.ndarray, values: np.ndarray, parameters: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """Candidate with the largest expected improvement, after compass searches from the best ones."""
    n, d = points.shape
    lower = _factorise(points, parameters)
    whitened = solve_lower(lower, values)
    weights = solve_upper(lower, whitened)
    signal = max(dot(whitened, whitened) / n, 1e-12)
    covariances = np.empty(n)
    # The smallest mean of the process, as a single value may be small by noise.
    smallest = np.inf
    for i in range(n):
        _covariances(points, points[i], parameters, covariances)
        smallest = min(smallest, dot(covariances, weights))
    improvements = np.empty(candidates.shape[0])
    for i in range(candidates.shape[0]):
        improvements[i] = _improvement(points, parameters, lower, weights, signal, smallest, candidates[i], covariances)
    best: np.ndarray = candidates[0].copy()
    largest = -np.inf
    for _ in range(_REFINED):
        at = np.argmax(improvements)
        x, value, step = candidates[at].copy(), improvements[at], _MOVE
        improvements[at] = -np.inf
        while step > _MIN_MOVE:
            improved = False
            for k in range(d):
                for sign in (1.0, -1.0):
                    previous = x[k]
                    x[k] = min(max(previous + sign * step, 0.0), 1.0)
                    trial = _improvement(points, parameters, lower, weights, signal, smallest, x, covariances)
                    if trial > value:
                        value, improved = trial, True
                        break
                    x[k] = previous
            if not improved:
                step *= 0.5
        if value > largest:
            best, largest = x, value
    return best
