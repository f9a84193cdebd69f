"""Gaussian-process response surfaces: smooth functions of several variables from few noisy values.

All sums have a fixed order, so that every machine fits the same surface, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.elementary import logarithm
from membrane_dask.physics.fixed_order import cholesky, dot, product, solve_lower, solve_upper
from membrane_dask.physics.gaussian_likelihood import covariances, factorise, fit_parameters, misfit, per_parameter

#: Ranges of the logarithms of length scales, in units of the box, and of the variance of noise over that of the signal.
_LOG_LENGTH, _LOG_NOISE = (-2.3, 3.4), (-16.0, 0.0)
#: Logarithms of the length scale and the noise from which the likelihood is maximised.
_STARTS = ((-0.7, -9.2), (0.4, -11.5), (0.4, -4.6))
#: Means and standard deviations of the normal priors of these logarithms.
_LENGTH_PRIOR, _NOISE_PRIOR = (0.2, 1.0), (-10.0, 4.0)
#: Last step of the search for the largest posterior, in logarithms.
_MIN_STEP = 0.02
#: Standard deviations of the steps of a Markov chain, in logarithms of length scales and of the noise.
_PROPOSAL = (0.6, 2.0)
#: Samples of a chain that are left out at its start, and sweeps from one sample to the next.
_BURN_IN, _THINNING = 4, 5


@dataclass(frozen=True)
class ResponseSurface:
    """Posterior of a Gaussian process.

    Parameters
    ----------
    points : (n, d) ndarray
        Evaluated points in the unit box.
    parameters : (d + 1,) ndarray
        Logarithms of the length scales and of the variance of the noise over that of the signal.
    lower : (n, n) ndarray
        Cholesky factor of the covariances of the values, for a signal of variance 1.
    weights : (n,) ndarray
        Inverse of these covariances times the deviations of the values from their mean.
    mean : float
        Mean of the process.
    signal : float
        Variance of the signal.
    """

    points: np.ndarray
    parameters: np.ndarray
    lower: np.ndarray
    weights: np.ndarray
    mean: float
    signal: float

    def transformed(self, factor: float, offset: float) -> ResponseSurface:
        """Surface of ``factor`` times the function plus ``offset``."""
        return replace(
            self,
            weights=factor * self.weights,
            mean=factor * self.mean + offset,
            signal=factor * factor * self.signal + (1e-24 if factor == 0 else 0.0),
        )

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the function, without noise.

        Parameters
        ----------
        x : (m, d) ndarray
            Points in the unit box.

        Returns
        -------
        mean, deviation : (m,) ndarray
        """
        x = np.ascontiguousarray(x, np.float64)
        mean, variance = _predict(self.points, self.parameters, self.lower, self.weights, x)
        return self.mean + mean, np.sqrt(self.signal * variance)

    def draw(self, x: np.ndarray, variates: np.ndarray) -> np.ndarray:
        """Functions of the posterior.

        Parameters
        ----------
        x : (m, d) ndarray
            Points in the unit box.
        variates : (n_draws, m) ndarray
            Standard normal variates.

        Returns
        -------
        (n_draws, m) ndarray
            Values of each function at the points.
        """
        x = np.ascontiguousarray(x, np.float64)
        mean, _ = self.predict(x)
        factor = cholesky(_posterior_covariance(self.points, self.parameters, self.lower, x))
        return np.asarray(mean + math.sqrt(self.signal) * product(variates, factor.T))


def fit_surface(points: np.ndarray, values: np.ndarray) -> ResponseSurface:
    """Fit a Gaussian process to values with noise.

    Parameters
    ----------
    points : (n, d) ndarray
        Evaluated points in the unit box, n >= 2.
    values : (n,) ndarray
        Values of the function there, finite.

    Returns
    -------
    ResponseSurface

    Notes
    -----
    Squared-exponential covariance with a length scale for each dimension, and noise. Length scales and noise maximise
    the posterior, with normal priors of their logarithms, in compass searches from several starts. The variance of the
    signal is the one that maximises the likelihood, corrected for the number of fitted parameters.

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), Secs. 2.2 and 5.4.
    """
    points = np.ascontiguousarray(points, np.float64)
    values = np.asarray(values, np.float64)
    n, d = points.shape
    mean, spread = float(values.mean()), float(values.std())
    scaled = (values - mean) / (spread if spread > 0 else 1.0)
    starts = np.array([[*([length] * d), noise] for length, noise in _STARTS])
    bounds, prior = per_parameter(_LOG_LENGTH, _LOG_NOISE, d), per_parameter(_LENGTH_PRIOR, _NOISE_PRIOR, d)
    parameters = fit_parameters(points, scaled, starts, bounds, prior, False, _MIN_STEP)
    lower = factorise(points, parameters, False)
    whitened = solve_lower(lower, scaled)
    # Mean, length scales and noise are fitted too.
    signal = max(float(dot(whitened, whitened)) / max(n - d - 2, 1), 1e-12)
    scale = spread if spread > 0 else 1.0
    weights = solve_upper(lower, whitened) * scale
    return ResponseSurface(points, parameters, lower, weights, mean, signal * scale * scale)


def sample_surfaces(
    points: np.ndarray, values: np.ndarray, count: int, rng: np.random.Generator
) -> list[ResponseSurface]:
    """Gaussian processes that agree with values with noise: samples of the length scales, the noise and the signal.

    Parameters
    ----------
    points : (n, d) ndarray
        Evaluated points in the unit box, n >= 2.
    values : (n,) ndarray
        Values of the function there, finite.
    count : int
        Number of surfaces, > 0.
    rng : numpy.random.Generator
        Source of the samples.

    Returns
    -------
    list of ResponseSurface

    Notes
    -----
    Length scales and noise are a Markov chain of Metropolis steps of one parameter at a time, from the fitted ones on,
    with the priors of :func:`fit_surface`. The variance of the signal given them is a scaled inverse chi-squared
    variate (with a prior that is uniform in its logarithm, and the mean fitted).

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), Sec. 5.2; Gelman et al., Bayesian Data
    Analysis (2013), Secs. 3.2 and 11.2.
    """
    fitted = fit_surface(points, values)
    values = np.asarray(values, np.float64)
    n, d = fitted.points.shape
    spread = float(values.std())
    scale = spread if spread > 0 else 1.0
    scaled = (values - fitted.mean) / scale
    sweeps = (count + _BURN_IN) * _THINNING
    bounds, prior = per_parameter(_LOG_LENGTH, _LOG_NOISE, d), per_parameter(_LENGTH_PRIOR, _NOISE_PRIOR, d)
    chain = _markov_chain(
        fitted.points, scaled, fitted.parameters, bounds, prior, standard_normal(rng, (sweeps, d + 1)),
        rng.random((sweeps, d + 1)),
    )  # fmt: skip
    surfaces = []
    for parameters in chain[_BURN_IN * _THINNING :: _THINNING]:
        lower = factorise(fitted.points, parameters, False)
        whitened = solve_lower(lower, scaled)
        chi_squared = float(np.square(standard_normal(rng, (max(n - 1, 1),))).sum())
        signal = max(float(dot(whitened, whitened)) / chi_squared, 1e-12)
        weights = solve_upper(lower, whitened) * scale
        surfaces.append(
            replace(fitted, parameters=parameters, lower=lower, weights=weights, signal=signal * scale * scale)
        )
    return surfaces


@kernel
def _markov_chain(
    points: np.ndarray, values: np.ndarray, start: np.ndarray, bounds: np.ndarray, prior: np.ndarray,
    normal: np.ndarray, uniform: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Length scales and noise after every sweep of Metropolis steps, one for each parameter."""
    chain = np.empty(normal.shape)
    x = start.copy()
    current = misfit(points, values, x, prior, False)
    for sweep in range(len(normal)):
        for k in range(x.size):
            previous = x[k]
            x[k] = previous + normal[sweep, k] * (_PROPOSAL[0] if k < x.size - 1 else _PROPOSAL[1])
            trial = misfit(points, values, x, prior, False) if bounds[0, k] <= x[k] <= bounds[1, k] else np.inf
            if 2.0 * logarithm(max(uniform[sweep, k], 1e-300)) < current - trial:
                current = trial
            else:
                x[k] = previous
        chain[sweep] = x
    return chain


@kernel
def _predict(
    points: np.ndarray, parameters: np.ndarray, lower: np.ndarray, weights: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Deviation of the function from its mean, and its variance for a signal of variance 1."""
    mean, variance, to_values = np.empty(len(x)), np.empty(len(x)), np.empty(len(points))
    for i in range(len(x)):
        covariances(points, x[i], parameters, False, to_values)
        whitened = solve_lower(lower, to_values)
        mean[i] = dot(to_values, weights)
        variance[i] = max(1.0 - dot(whitened, whitened), 1e-12)
    return mean, variance


@kernel
def _posterior_covariance(points: np.ndarray, parameters: np.ndarray, lower: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Covariances of the function at the points ``x``, for a signal of variance 1."""
    m, n = len(x), len(points)
    whitened = np.empty((m, n))
    to_values = np.empty(n)
    for i in range(m):
        covariances(points, x[i], parameters, False, to_values)
        whitened[i] = solve_lower(lower, to_values)
    matrix = np.zeros((m, m))
    for i in range(m):
        covariances(x, x[i], parameters, False, matrix[i, : i + 1])
        for j in range(i + 1):
            matrix[i, j] -= dot(whitened[i], whitened[j])
        matrix[i, i] += 1e-9
    return matrix
