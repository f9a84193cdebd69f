"""Which gradient is best, how sure that is, and where more networks would tell.

Networks of one realization share their random numbers across gradients (see
:func:`~membrane_dask.physics.banded.generate`), so that their metrics rise and fall together and
differences between gradients are known from far fewer networks than the metrics themselves.
Everything here works on such paired samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student

#: Fewest realizations that an interval is built on.
LEAST = 4
#: Places at which the slope of the curve is looked at.
_PLACES = 4001


@dataclass(frozen=True)
class Optimum:
    """The best gradient of a sample, off the grid as well.

    Parameters
    ----------
    gradient, low, high : float
        Highest point of the curve through the best gradients on the grid (:func:`neighbourhood`), with
        the interval of all gradients about it at which the slope cannot be told from 0 (as in
        Fieller's theorem). All within the range of the grid.
    grid_gradient : float
        Best gradient on the grid.
    value : float
        The metric at ``gradient``.
    gain, gain_low, gain_high : float
        By what share it exceeds that of the first gradient.
    at_edge : bool
        Whether the metric is largest at an end of the grid, so that the best may lie beyond.
    """

    gradient: float
    low: float
    high: float
    grid_gradient: float
    value: float
    gain: float
    gain_low: float
    gain_high: float
    at_edge: bool


def best_gradient(
    gradients: Sequence[float] | np.ndarray, samples: np.ndarray, confidence: float = 0.95
) -> Optimum | None:
    """Best gradient of paired samples, with its interval.

    Parameters
    ----------
    gradients : (n_gradients,) sequence of float
        In rising order, at least 3.
    samples : (n_realizations, n_gradients) ndarray
        The metric of every network; NaN where there is none.
    confidence : float
        Of the intervals.

    Returns
    -------
    Optimum or None
        None if fewer than :data:`LEAST` realizations have the networks it takes.
    """
    s = np.asarray(gradients, float)
    best = grid_best(samples)
    if best is None:
        return None
    window = neighbourhood(best, len(s))
    sample = samples[:, window]
    sample = sample[np.isfinite(sample).all(axis=1)]
    if len(sample) < LEAST:
        return None

    # The slope of the curve through the window's points is a weighted sum of their values, at any place.
    x = np.linspace(s[window[0]], s[window[-1]], _PLACES)
    lagrange = [np.polynomial.Polynomial.fromroots(np.delete(s[window], j)) for j in range(len(window))]
    lagrange = [curve / curve(s[window[j]]) for j, curve in enumerate(lagrange)]
    level = np.stack([curve(x) for curve in lagrange])
    weights = np.stack([curve.deriv()(x) for curve in lagrange])
    mean, covariance = sample.mean(axis=0), np.cov(sample.T) / len(sample)
    reach = student.ppf((1 + confidence) / 2, len(sample) - 1)
    error = np.sqrt(np.einsum("ip,ij,jp->p", weights, covariance, weights).clip(0))
    flat = np.abs(mean @ weights) <= reach * error
    top = int(np.argmax(mean @ level))
    steep = np.flatnonzero(~flat)
    first = steep[steep < top].max(initial=-1) + 1
    last = steep[steep > top].min(initial=_PLACES) - 1
    low, high = float(x[first]), float(x[last])
    # Gradients that may still be the best are not forgotten where they lie beyond the grid points about the
    # interval, or where the window does not hold the interval.
    left = s[candidates(samples, confidence)]
    if first == 0 or left.min() < s[s <= low].max():
        low = min(low, left.min())
    if last == _PLACES - 1 or left.max() > s[s >= high].min():
        high = max(high, left.max())

    share = level[:, top]
    paired = samples[np.isfinite(samples[:, [0, *window]]).all(axis=1)]
    gain = gain_low = gain_high = math.nan
    if len(paired) >= LEAST:
        reached, base = paired[:, window] @ share, paired[:, 0]
        gain = float(reached.mean() / base.mean() - 1)
        half = (reached - (1 + gain) * base).std(ddof=1) / abs(base.mean()) / math.sqrt(len(paired))
        half = float(half * student.ppf((1 + confidence) / 2, len(paired) - 1))
        gain_low, gain_high = gain - half, gain + half
    return Optimum(
        gradient=float(x[top]),
        low=low,
        high=high,
        grid_gradient=float(s[best]),
        value=float(mean @ share),
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
        at_edge=best in (0, len(s) - 1),
    )


def neighbourhood(best: int, n_gradients: int) -> list[int]:
    """The best gradient and those about it that its interval rests on: five, or three of a small grid.

    Three points give a parabola, whose vertex is off where the curve rises and falls unequally; an
    interval about it misses the truth the more surely the more networks there are.
    """
    half = 2 if n_gradients >= 5 else 1
    middle = min(max(best, half), n_gradients - 1 - half)
    return list(range(middle - half, middle + half + 1))


def grid_best(samples: np.ndarray) -> int | None:
    """Number of the gradient with the largest mean, each compared over the realizations that all finalists share."""
    counts = np.isfinite(samples).sum(axis=0)
    if counts.max(initial=0) < LEAST:
        return None
    finalists = np.flatnonzero(counts >= max(LEAST, counts.max() // 2))
    shared = samples[np.isfinite(samples[:, finalists]).all(axis=1)]
    if len(shared) < LEAST:
        return None
    return int(finalists[np.argmax(shared[:, finalists].mean(axis=0))])


def behind(samples: np.ndarray, best: int, other: int) -> tuple[float, float, int] | None:
    """How far a gradient lies behind another on the networks both have: mean, standard error, degrees of freedom."""
    found = samples[:, best] - samples[:, other]
    found = found[np.isfinite(found)]
    if len(found) < LEAST:
        return None
    return float(found.mean()), float(found.std(ddof=1)) / math.sqrt(len(found)), len(found) - 1


def candidates(samples: np.ndarray, confidence: float) -> list[int]:
    """Gradients that may still be the best: not behind it by more than chance explains."""
    best = grid_best(samples)
    n = samples.shape[1]
    if best is None:
        return list(range(n))
    level = 1 - (1 - confidence) / max(n - 1, 1)  # as many comparisons are made
    found = []
    for j in range(n):
        known = behind(samples, best, j)
        if j == best or known is None or known[0] <= known[1] * student.ppf(level, known[2]):
            found.append(j)
    return found


def tied(samples: np.ndarray, tolerance: float, confidence: float) -> bool:
    """Whether all gradients that may be the best are known to differ by less than ``tolerance`` of the metric."""
    best = grid_best(samples)
    if best is None:
        return False
    most = tolerance * abs(float(np.nanmean(samples[:, best])))
    rivals = [behind(samples, best, j) for j in candidates(samples, confidence) if j != best]
    return bool(rivals) and all(
        known is not None and known[0] + known[1] * student.ppf((1 + confidence) / 2, known[2]) <= most
        for known in rivals
    )


Reason = Literal["interval", "tie", "realizations"]


def next_round(
    gradients: Sequence[float] | np.ndarray,
    samples: np.ndarray,
    *,
    interval: float,
    tolerance: float,
    confidence: float,
) -> list[int] | Reason:
    """Gradients that the next round of networks goes to, or why no more are needed.

    Parameters
    ----------
    gradients, samples, confidence
        As for :func:`best_gradient`; ``samples`` holds at least one round of all gradients.
    interval : float
        Width of the interval that is good enough.
    tolerance : float
        Share of the metric that makes no difference.

    Returns
    -------
    list of int or str
        The gradients that may be the best, the best one's neighbours, which its interval rests on, and
        the first, which the gain is measured from. ``"interval"`` or ``"tie"`` where it is enough.
    """
    found = best_gradient(gradients, samples, confidence)
    if found is None:
        return list(range(len(gradients)))
    if found.high - found.low <= interval:
        return "interval"
    if tied(samples, tolerance, confidence):
        return "tie"
    return contenders(samples, confidence)


def contenders(samples: np.ndarray, confidence: float) -> list[int]:
    """The first gradient, those that may be the best, and those about the best: where more networks tell more."""
    best = grid_best(samples)
    if best is None:
        return list(range(samples.shape[1]))
    return sorted({0, *neighbourhood(best, samples.shape[1]), *candidates(samples, confidence)})
