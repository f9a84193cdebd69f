"""Importance sampling of a density of a few variables, by quasi-Monte Carlo with an adapted mixture of kernels.

The density is raised to a power that grows from 0 to 1. At each power the next points come from normal kernels about
the points so far, with their covariance; so they follow a density that is narrow, correlated or curved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.distributions import normal_quantile
from membrane_dask.physics.elementary import exp, exponential, log, power
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import cholesky, inverse, product

#: Points of the first stage, of each further one, and kernels.
_FIRST, _POINTS, _KERNELS = 2**14, 2**12, 256
#: Fraction of the points by which a stage reduces the effective sample size, the smallest growth of the power, which
#: leaves a density with heavy tails behind, and the largest number of stages.
_EFFECTIVE_FRACTION, _GROWTH, _STAGES = 0.15, 1.25, 60
#: Fraction of the kernels with the narrow width; the others are twice as wide, for the tails.
_NARROW = 0.8


def scrambled_sobol(dimensions: int, n: int, seed: Any) -> np.ndarray:
    """Points of a scrambled Sobol sequence in the unit cube, ``(n, dimensions)``."""
    from scipy.stats import qmc  # slow to import, and studies are checked without points

    return np.asarray(qmc.Sobol(dimensions, seed=seed).random(n))


@dataclass(frozen=True)
class WeightedPoints:
    """Points with importance weights.

    Parameters
    ----------
    points : (n, d) float array
    log_density : (n,) float array
        Of the target, up to a constant.
    log_weights : (n,) float array
        Logarithms of target over proposal density; runs of one proposal have the same constant.
    """

    points: np.ndarray
    log_density: np.ndarray
    log_weights: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Normalised weights, (n,), sum 1."""
        return _normalised(self.log_weights)

    @property
    def effective_sample_size(self) -> float:
        """Number of equally weighted points of the same precision (Kish)."""
        return _effective(self.log_weights)


def _normalised(log_weights: np.ndarray) -> np.ndarray:
    weights = exp(np.maximum(log_weights - log_weights.max(), -700.0))
    return np.asarray(weights / weights.sum())


def _effective(log_weights: np.ndarray) -> float:
    return float(1 / np.square(_normalised(log_weights)).sum())


@dataclass(frozen=True)
class KernelMixture:
    """Normal kernels with a common covariance; a part of them is twice as wide.

    Parameters
    ----------
    centres : (k, d) float array
    lower : (d, d) float array
        Cholesky factor of the covariance of the narrow kernels.
    """

    centres: np.ndarray
    lower: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, weights: np.ndarray) -> KernelMixture:
        """Kernels about points that are resampled by their weights, with their scaled covariance.

        References
        ----------
        Silverman, Density Estimation (1986), Eq. 4.14 for the scale; West, J. R. Stat. Soc. B 55, 409 (1993).
        """
        n_variables = points.shape[1]
        deviations = points - (weights[:, None] * points).sum(axis=0)
        covariance = product(deviations.T, weights[:, None] * deviations)
        scale = float(power(4 / ((n_variables + 2) * _KERNELS), 2 / (n_variables + 4)))
        ridge = 1e-10 * np.diag(np.maximum(np.diag(covariance), 1e-300))
        order = np.lexsort(points.T[::-1])
        chosen = order[indices_of_equal_weight(weights[order], _KERNELS)]
        return cls(np.ascontiguousarray(points[chosen]), cholesky(scale * covariance + ridge))

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Points of a scrambled Sobol sequence, (n, d); n is a power of 2."""
        n_variables = self.centres.shape[1]
        uniform = np.clip(scrambled_sobol(n_variables + 1, n, seed), 1e-12, 1 - 1e-12)
        index = uniform[:, 0] * len(self.centres)
        chosen = np.minimum(index.astype(int), len(self.centres) - 1)
        width = np.where(index - chosen < _NARROW, 1.0, 2.0)
        return np.asarray(
            self.centres[chosen] + width[:, None] * product(normal_quantile(uniform[:, 1:]), self.lower.T)
        )

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Logarithm of the density, (n,), up to a constant of the dimension."""
        inverse_factor = inverse(self.lower)
        whitened = product(points, inverse_factor.T)
        centres = product(self.centres, inverse_factor.T)
        density = _mixture_density(whitened, centres, _NARROW, 2.0 ** -points.shape[1])
        return np.asarray(log(np.maximum(density, 1e-300)) - log(np.diag(self.lower)).sum())


@kernel
def _mixture_density(points: np.ndarray, centres: np.ndarray, narrow: float, wide_scale: float) -> np.ndarray:
    """Mean density of standard normal kernels, a part of which is twice as wide, without the constant of one.

    The inner loops run over the points, without branches, so that the compiler vectorises them.
    """
    n_points, n_variables = points.shape
    variables = points.T.copy()
    density, squared = np.zeros(n_points), np.empty(n_points)
    for k in range(len(centres)):
        squared[:] = 0.0
        for j in range(n_variables):
            for i in range(n_points):
                difference = variables[j, i] - centres[k, j]
                squared[i] += difference * difference
        for i in range(n_points):
            wide = exponential(-squared[i] / 8)
            square = wide * wide
            density[i] += narrow * square * square + (1 - narrow) * wide_scale * wide
    return density / len(centres)


def indices_of_equal_weight(weights: np.ndarray, count: int) -> np.ndarray:
    """Indices of points of equal weight by systematic resampling, (count,), rising."""
    cumulative = np.cumsum(weights)
    positions = (np.arange(count) + 0.5) / count * cumulative[-1]
    return np.asarray(np.minimum(np.searchsorted(cumulative, positions), len(weights) - 1))


def adapted_mixture(
    log_density: Callable[[np.ndarray], np.ndarray], box: np.ndarray, seed: int = 0
) -> tuple[KernelMixture, bool]:
    """Kernels that cover a density, from points that are even in a box.

    Parameters
    ----------
    log_density : function of an (n, d) array
        Logarithm of the density, (n,), up to a constant; minus infinity where it is 0.
    box : (d, 2) float array
        Ends of the range of each variable; the density outside matters only close to the box.
    seed : int
        Of the Sobol sequences.

    Returns
    -------
    mixture : KernelMixture
    has_reached : bool
        Whether the power 1 was reached; a density with an infinite peak does not allow it.

    Raises
    ------
    PhysicsError
        If the density is 0 at all points of the box.

    References
    ----------
    Del Moral, Doucet and Jasra, J. R. Stat. Soc. B 68, 411 (2006), for the sequence of powers.
    """
    uniform = scrambled_sobol(len(box), _FIRST, seed)
    points = box[:, 0] + (box[:, 1] - box[:, 0]) * uniform
    log_proposal = np.zeros(_FIRST)
    exponent, at_one = 0.0, 0
    for stage in range(_STAGES):
        target = log_density(points)
        if not np.isfinite(target).any():
            raise PhysicsError("the density is 0 in the whole range of the variables")
        inside = np.isfinite(target)
        target, log_proposal, points = target[inside], log_proposal[inside], points[inside]
        exponent = _next_exponent(target, log_proposal, exponent)
        mixture = KernelMixture.of(points, _normalised(exponent * target - log_proposal))
        at_one += exponent == 1.0
        if at_one == 2:
            return mixture, True
        points = mixture.draw(_POINTS, seed + stage + 1)
        log_proposal = mixture.log_density(points)
    return mixture, False


def _next_exponent(target: np.ndarray, log_proposal: np.ndarray, exponent: float) -> float:
    """Largest power with an effective sample of the required size, by bisection, but at least the smallest growth."""
    required = _EFFECTIVE_FRACTION * _POINTS
    if _effective(target - log_proposal) >= required:
        return 1.0
    low, high = min(_GROWTH * exponent, 1.0), 1.0
    for _ in range(40):
        middle = math.sqrt(low * high) if low > 0 else high / 16
        if _effective(middle * target - log_proposal) >= required:
            low = middle
        else:
            high = middle
    return low


def importance_sample(
    log_density: Callable[[np.ndarray], np.ndarray],
    mixture: KernelMixture,
    n: int,
    seed: int,
    fewer: WeightedPoints | None = None,
) -> WeightedPoints:
    """Points of a mixture with their importance weights.

    Parameters
    ----------
    log_density : function of an (n, d) array
        As of :func:`adapted_mixture`.
    mixture : KernelMixture
        Proposal density.
    n : int
        Number of points, a power of 2.
    seed : int
        Of the Sobol sequence.
    fewer : WeightedPoints, optional
        An earlier sample with fewer points and the same other arguments: its points are the first ones of the sequence,
        and are not evaluated again.
    """
    points = mixture.draw(n, seed)
    start = 0 if fewer is None else len(fewer.points)
    log_target = log_density(points[start:])
    log_weights = log_target - mixture.log_density(points[start:])
    if fewer is not None:
        log_target = np.concatenate([fewer.log_density, log_target])
        log_weights = np.concatenate([fewer.log_weights, log_weights])
    return WeightedPoints(points, log_target, log_weights)


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, probabilities: tuple[float, ...]) -> np.ndarray:
    """Quantiles of weighted values, (len(probabilities),)."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    middles = (cumulative - weights[order] / 2) / cumulative[-1]
    return np.asarray(np.interp(probabilities, middles, values[order]))
