"""Best gradient with its confidence interval from paired samples, and the allocation of further networks.

Networks of one realization have common random numbers across gradients (see
:func:`~membrane_dask.physics.networks.random_network.generate`). Their metrics are therefore strongly correlated, and
differences between gradients need far fewer networks than the metrics themselves. All functions work on paired samples:
arrays of shape ``(n_realizations, n_gradients)`` with NaN where a network is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.fixed_order import product, sample_covariance

#: Fewest realizations for an interval.
MIN_REALIZATIONS = 4
#: Points at which the interpolated curve and its slope are evaluated.
_N_POINTS = 4001

#: Why a search of gradients ended; ``design`` if there was none.
StopReason = Literal["design", "interval", "tie", "realizations"]
#: Those of a search of gradients, then those of a search of designs.
STOP_REASONS: tuple[str, ...] = (
    "design", "interval", "tie", "realizations", "tolerance", "evaluations", "infeasible", "constant",
)  # fmt: skip


@dataclass(frozen=True)
class Optimum:
    """Best gradient of a sample, interpolated between the gradients of the grid.

    Parameters
    ----------
    gradient, gradient_low, gradient_high : float
        Maximum of the interpolated curve (:func:`window`) and its confidence interval: all adjacent gradients at which
        the slope does not differ significantly from 0, as in Fieller's theorem. All within the range of the grid.
    grid_gradient : float
        Best gradient of the grid.
    value : float
        Metric at ``gradient``.
    gain, gain_low, gain_high : float
        Relative improvement over the first gradient, and its confidence interval; NaN if the metric is 0 there.
    at_edge : bool
        Whether the metric is largest at an end of the grid, so that the optimum may lie outside.
    """

    gradient: float
    gradient_low: float
    gradient_high: float
    grid_gradient: float
    value: float
    gain: float
    gain_low: float
    gain_high: float
    at_edge: bool


def best_gradient(
    gradients: Sequence[float] | np.ndarray, samples: np.ndarray, confidence: float = 0.95
) -> Optimum | None:
    """Estimate the best gradient from paired samples.

    Parameters
    ----------
    gradients : (n_gradients,) sequence of float
        In ascending order, at least 3.
    samples : (n_realizations, n_gradients) ndarray
        Metric of every network, NaN where it is missing.
    confidence : float
        Confidence level of the intervals, between 0 and 1.

    Returns
    -------
    Optimum or None
        None with fewer than :data:`MIN_REALIZATIONS` complete realizations.
    """
    s = np.asarray(gradients, float)
    best = best_on_grid(samples)
    if best is None:
        return None
    columns = window(best, len(s))
    sample = samples[:, columns]
    sample = sample[np.isfinite(sample).all(axis=1)]
    if len(sample) < MIN_REALIZATIONS:
        return None

    # The slope of the polynomial through the window's points is a weighted sum of their values.
    x = np.linspace(s[columns[0]], s[columns[-1]], _N_POINTS)
    value_weights, slope_weights = _lagrange_polynomials(s[columns], x)
    mean = sample.mean(axis=0)
    quantile = student_quantile((1 + confidence) / 2, len(sample) - 1)
    variance = (slope_weights * product(sample_covariance(sample), slope_weights)).sum(axis=0) / len(sample)
    flat = np.abs(product(mean, slope_weights)) <= quantile * np.sqrt(variance.clip(0))
    top = int(np.argmax(product(mean, value_weights)))
    steep = np.flatnonzero(~flat)
    first = steep[steep < top].max(initial=-1) + 1
    last = steep[steep > top].min(initial=_N_POINTS) - 1
    low, high = float(x[first]), float(x[last])
    # Extend the interval to all candidates if it reaches the end of the window, or if a candidate lies outside the
    # grid points next to the interval.
    remaining = s[candidates(samples, confidence)]
    if first == 0 or remaining.min() < s[s <= low].max():
        low = min(low, remaining.min())
    if last == _N_POINTS - 1 or remaining.max() > s[s >= high].min():
        high = max(high, remaining.max())

    weights = value_weights[:, top]
    paired = samples[np.isfinite(samples[:, [0, *columns]]).all(axis=1)]
    gain = gain_low = gain_high = math.nan
    if len(paired) >= MIN_REALIZATIONS and paired[:, 0].any():  # no gain over a metric of 0
        optimal, reference = product(paired[:, columns], weights), paired[:, 0]
        gain = float(optimal.mean() / reference.mean() - 1)
        half_width = (optimal - (1 + gain) * reference).std(ddof=1) / abs(reference.mean()) / math.sqrt(len(paired))
        half_width = float(half_width * student_quantile((1 + confidence) / 2, len(paired) - 1))
        gain_low, gain_high = gain - half_width, gain + half_width
    return Optimum(
        gradient=float(x[top]),
        gradient_low=low,
        gradient_high=high,
        grid_gradient=float(s[best]),
        value=float(product(mean, weights)),
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
        at_edge=best in (0, len(s) - 1),
    )


def _lagrange_polynomials(nodes: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes, ``(n_nodes, n_points)``, of the polynomials that are 1 at one node and 0 at the others."""
    values, slopes = np.ones((len(nodes), len(x))), np.zeros((len(nodes), len(x)))
    for j, node in enumerate(nodes):
        for other in np.delete(nodes, j):
            slopes[j] = (slopes[j] * (x - other) + values[j]) / (node - other)
            values[j] *= (x - other) / (node - other)
    return values, slopes


def window(best: int, n_gradients: int) -> list[int]:
    """Return the indices of the gradients that are interpolated: five around the best, three of a small grid.

    The polynomial is a quartic through five points or a parabola through three. The vertex of a parabola is biased
    where the curve is asymmetric: its interval would miss the optimum with many networks.
    """
    half = 2 if n_gradients >= 5 else 1
    middle = min(max(best, half), n_gradients - 1 - half)
    return list(range(middle - half, middle + half + 1))


def best_on_grid(samples: np.ndarray) -> int | None:
    """Return the index of the gradient with the largest mean, None with too few realizations.

    Only gradients with at least half of the largest number of realizations are compared, over the realizations that all
    of them have.
    """
    counts = np.isfinite(samples).sum(axis=0)
    if counts.max(initial=0) < MIN_REALIZATIONS:
        return None
    finalists = np.flatnonzero(counts >= max(MIN_REALIZATIONS, counts.max() // 2))
    common = samples[np.isfinite(samples[:, finalists]).all(axis=1)]
    if len(common) < MIN_REALIZATIONS:
        return None
    return int(finalists[np.argmax(common[:, finalists].mean(axis=0))])


def paired_difference(samples: np.ndarray, a: int, b: int) -> tuple[float, float, int] | None:
    """Return mean, standard error and degrees of freedom of the difference between two gradients.

    It is taken over the realizations that have both; None if there are too few.
    """
    difference = samples[:, a] - samples[:, b]
    difference = difference[np.isfinite(difference)]
    if len(difference) < MIN_REALIZATIONS:
        return None
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return float(difference.mean()), error, len(difference) - 1


def candidates(samples: np.ndarray, confidence: float) -> list[int]:
    """Return the gradients that are not significantly worse than the best one (one-sided, Bonferroni-corrected)."""
    best = best_on_grid(samples)
    n = samples.shape[1]
    if best is None:
        return list(range(n))
    level = 1 - (1 - confidence) / max(n - 1, 1)
    result = []
    for j in range(n):
        difference = paired_difference(samples, best, j)
        if j == best or difference is None or difference[0] <= difference[1] * student_quantile(level, difference[2]):
            result.append(j)
    return result


def tied(samples: np.ndarray, tolerance: float, confidence: float) -> bool:
    """Return whether all candidates differ from the best gradient by less than ``tolerance`` times the metric."""
    best = best_on_grid(samples)
    if best is None:
        return False
    limit = tolerance * abs(float(np.nanmean(samples[:, best])))
    differences = [paired_difference(samples, best, j) for j in candidates(samples, confidence) if j != best]
    return bool(differences) and all(
        difference is not None
        and difference[0] + difference[1] * student_quantile((1 + confidence) / 2, difference[2]) <= limit
        for difference in differences
    )


def next_round(
    gradients: Sequence[float] | np.ndarray,
    samples: np.ndarray,
    *,
    interval: float,
    tolerance: float,
    confidence: float,
) -> list[int] | StopReason:
    """Decide which gradients get further networks, or why no more are needed.

    Parameters
    ----------
    gradients, samples, confidence
        As for :func:`best_gradient`; ``samples`` has at least one round of all gradients.
    interval : float
        Width of the confidence interval at which to stop.
    tolerance : float
        Relative difference of the metric below which gradients are equivalent.

    Returns
    -------
    list of int or str
        Indices of the gradients (:func:`informative_gradients`), or ``"interval"`` or ``"tie"``.
    """
    optimum = best_gradient(gradients, samples, confidence)
    if optimum is None:
        return list(range(len(gradients)))
    if optimum.gradient_high - optimum.gradient_low <= interval:
        return "interval"
    if tied(samples, tolerance, confidence):
        return "tie"
    return informative_gradients(samples, confidence)


def informative_gradients(samples: np.ndarray, confidence: float) -> list[int]:
    """Return the gradients at which more networks narrow an interval.

    They are the candidates, the window of the best gradient, on which its interval depends, and the first gradient,
    to which the gain refers.
    """
    best = best_on_grid(samples)
    if best is None:
        return list(range(samples.shape[1]))
    return sorted({0, *window(best, samples.shape[1]), *candidates(samples, confidence)})
