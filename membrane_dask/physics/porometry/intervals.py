"""Confidence intervals of a ratio of two estimates and of the mean of a population of membranes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.root_finding import brentq


def ratio_interval(
    numerator: float, denominator: float, covariance: np.ndarray, t_quantile: float
) -> tuple[float, float]:
    """Confidence interval of a ratio of two estimates by Fieller's theorem.

    Parameters
    ----------
    numerator, denominator : float
        Estimates.
    covariance : (2, 2) float array
        Covariance of numerator and denominator, in this order.
    t_quantile : float
        Quantile of Student's distribution.

    Returns
    -------
    low, high : float
        Minus and plus infinity where the denominator does not differ significantly from 0.

    References
    ----------
    Fieller, J. R. Stat. Soc. B 16, 175 (1954).
    """
    if not math.isfinite(t_quantile) or not np.isfinite(covariance).all():
        return -math.inf, math.inf
    squared = np.square(t_quantile)
    a = np.square(denominator) - squared * covariance[1, 1]
    b = numerator * denominator - squared * covariance[0, 1]
    c = np.square(numerator) - squared * covariance[0, 0]
    if a <= 0:
        return -math.inf, math.inf
    root = math.sqrt(max(np.square(b) - a * c, 0.0))
    return (b - root) / a, (b + root) / a


@dataclass(frozen=True)
class Population:
    """Random-effects model of a population.

    Parameters
    ----------
    mean, low, high : float
        Mean of the population and its confidence interval.
    standard_deviation : float
        Between members, without the errors of measurement.
    """

    mean: float
    low: float
    high: float
    standard_deviation: float


def random_effects(values: np.ndarray, standard_errors: np.ndarray, confidence: float = 0.95) -> Population:
    """Mean and standard deviation of a population whose members are measured with different errors.

    Parameters
    ----------
    values, standard_errors : (n,) float array
        Estimates and their standard errors, n >= 2.
    confidence : float
        Of the interval.

    References
    ----------
    Paule and Mandel, J. Res. Natl. Bur. Stand. 87, 377 (1982), for the variance between members; Hartung and Knapp,
    Stat. Med. 20, 3875 (2001), for the interval of the mean.
    """
    n = len(values)

    def excess(variance: float) -> float:
        """Weighted sum of squares less its expectation; 0 at the estimate of the variance between members."""
        weights = 1 / (np.square(standard_errors) + variance)
        mean = float(dot(weights, values) / weights.sum())
        return float(dot(weights, np.square(values - mean))) - (n - 1)

    largest = float(np.square(np.ptp(values))) + 1e-300
    variance = 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, n * largest, xtol=1e-12 * largest))
    weights = 1 / (np.square(standard_errors) + variance)
    mean = float(dot(weights, values) / weights.sum())
    error = math.sqrt(float(dot(weights, np.square(values - mean))) / (n - 1) / float(weights.sum()))
    half_width = float(student_quantile((1 + confidence) / 2, n - 1)) * error
    return Population(mean, mean - half_width, mean + half_width, math.sqrt(variance))
