"""Bayesian optimisation with a Gaussian process: where to evaluate an expensive function next.

All sums have a fixed order, so that every machine proposes the same points, to the last bit.
"""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.distributions import upper_normal
from membrane_dask.physics.elementary import exponential
from membrane_dask.physics.fixed_order import dot, solve_lower, solve_upper
from membrane_dask.physics.gaussian_likelihood import covariances, factorise, fit_parameters, per_parameter

#: Ranges of the logarithms of length scales, in units of the box, and of the variance of noise over that of the signal.
_LOG_LENGTH, _LOG_NOISE = (math.log(0.02), math.log(20.0)), (math.log(1e-8), math.log(1.0))
#: Logarithms of the length scale and the noise from which the likelihood is maximised.
_STARTS = ((math.log(0.2), math.log(1e-4)), (math.log(0.5), math.log(1e-2)), (math.log(2.0), math.log(1e-1)))
#: Last step of the search for the largest likelihood, in logarithms.
_MIN_STEP = 0.01
#: Steps of the search for the largest expected improvement, in units of the box, at first and at the end.
_MOVE, _MIN_MOVE = 0.05, 1e-4
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
    bounds, no_prior = per_parameter(_LOG_LENGTH, _LOG_NOISE, d), per_parameter((0.0, math.inf), (0.0, math.inf), d)
    parameters = fit_parameters(points[fitted], scaled[fitted], starts, bounds, no_prior, True, _MIN_STEP)
    best = points[np.argsort(scaled, kind="stable")[:_REFINED]]
    near = np.repeat(best, _CANDIDATES // (4 * len(best)), axis=0)
    near = np.clip(near + 0.1 * (rng.random(near.shape) - 0.5), 0.0, 1.0)
    candidates = np.concatenate([rng.random((_CANDIDATES, d)), near])
    return np.asarray(_best_candidate(points, scaled, parameters, candidates))


@inline_kernel
def _improvement(
    points: np.ndarray, parameters: np.ndarray, lower: np.ndarray, weights: np.ndarray, signal: float, smallest: float,
    x: np.ndarray, to_values: np.ndarray,
) -> float:  # fmt: skip
    """Expected improvement at a point, times the root of 2 pi."""
    covariances(points, x, parameters, True, to_values)
    whitened = solve_lower(lower, to_values)
    deviation = math.sqrt(signal * max(1.0 - dot(whitened, whitened), 1e-12))
    z = (smallest - _MARGIN - dot(to_values, weights)) / deviation
    return deviation * (exponential(-0.5 * z * z) + 2.5066282746310002 * z * upper_normal(-z))


@kernel
def _best_candidate(
    points: np.ndarray, values: np.ndarray, parameters: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """Candidate with the largest expected improvement, after compass searches from the best ones."""
    n, d = points.shape
    lower = factorise(points, parameters, True)
    whitened = solve_lower(lower, values)
    weights = solve_upper(lower, whitened)
    signal = max(dot(whitened, whitened) / n, 1e-12)
    to_values = np.empty(n)
    # The smallest mean of the process, as a single value may be small by noise.
    smallest = np.inf
    for i in range(n):
        covariances(points, points[i], parameters, True, to_values)
        smallest = min(smallest, dot(to_values, weights))
    improvements = np.empty(candidates.shape[0])
    for i in range(candidates.shape[0]):
        improvements[i] = _improvement(points, parameters, lower, weights, signal, smallest, candidates[i], to_values)
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
                    trial = _improvement(points, parameters, lower, weights, signal, smallest, x, to_values)
                    if trial > value:
                        value, improved = trial, True
                        break
                    x[k] = previous
            if not improved:
                step *= 0.5
        if value > largest:
            best, largest = x, value
    return best
