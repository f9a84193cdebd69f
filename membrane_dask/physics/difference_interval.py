"""Interval of the difference of two independent estimates, each of which has an interval of its own."""

from __future__ import annotations

import math


def difference_interval(
    first: float, first_interval: tuple[float, float], second: float, second_interval: tuple[float, float]
) -> tuple[float, float]:
    """Confidence interval of ``second - first``.

    Parameters
    ----------
    first, second : float
        Estimates that are independent of each other.
    first_interval, second_interval : (float, float)
        Their intervals, both of one confidence, which is that of the result. They need not be symmetric.

    Returns
    -------
    low, high : float
        NaN where an end of an interval is. Where the estimates are positively correlated, as those of two
        evaluations of one sample, the interval is wider than necessary.

    Notes
    -----
    Method of variance estimates recovery: each half of an interval is taken as an estimate of the standard error on its
    side, and those that act in one direction are added in quadrature.

    References
    ----------
    G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general approach", Statistics
    in Medicine 27, 1693-1702 (2008), Eq. 1.
    """
    difference = second - first
    below = math.sqrt(_square(second - second_interval[0]) + _square(first_interval[1] - first))
    above = math.sqrt(_square(second_interval[1] - second) + _square(first - first_interval[0]))
    return difference - below, difference + above


def _square(value: float) -> float:
    return value * value
