"""Search for the best of expensive, noisy functions under constraints: where to evaluate next, and the best point.

A point lies in the unit box. The objective is larger where it is better, and a constraint is met where its margin is
positive. Response surfaces replace the functions (:mod:`membrane_dask.physics.response_surface`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.physics.elementary import exp
from membrane_dask.physics.response_surface import ResponseSurface

#: Maps points of the unit box to admissible ones.
Projection = Callable[[np.ndarray], np.ndarray]

#: Random candidates over the box, around each of the best points, and how many points are refined.
_CANDIDATES, _NEIGHBOURS, _REFINED = 2000, 60, 5
#: Half widths of the neighbourhoods in which candidates are refined, in units of the box.
_STEPS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
#: Points among which optima of drawn functions are sought, and the probability of feasibility that they need.
_CLOUD, _POSSIBLE = 250, 0.02
_ROOT_2_PI = 2.5066282746310002


@dataclass(frozen=True)
class Problem:
    """Response surfaces of an objective and of the margins of constraints.

    Parameters
    ----------
    objective : ResponseSurface
        Larger is better.
    margins : sequence of ResponseSurface
        Positive where the constraint is met.
    errors : (n_constraints,) ndarray
        Standard errors common to all values of a margin, which no evaluation reduces.
    quantiles : (n_constraints,) ndarray
        Number of standard errors by which each margin must be positive, >= 0; 0 requires it of the mean.
    """

    objective: ResponseSurface
    margins: tuple[ResponseSurface, ...]
    errors: np.ndarray
    quantiles: np.ndarray

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Probability that a design of these points would be accepted once it has been evaluated, ``(m,)``."""
        total = np.ones(len(x))
        for surface, error, quantile in zip(self.margins, self.errors, self.quantiles, strict=True):
            mean, deviation = surface.predict(x)
            total *= normal_cdf((mean - quantile * error) / deviation)
        return total

    def shortfall(self, x: np.ndarray) -> np.ndarray:
        """Sum over the constraints of what is missing in their margins; 0 where all are met."""
        total = np.zeros(len(x))
        for surface, error, quantile in zip(self.margins, self.errors, self.quantiles, strict=True):
            mean, deviation = surface.predict(x)
            total += np.maximum(quantile * np.sqrt(deviation * deviation + error * error) - mean, 0.0)
        return total

    def guess(self, x: np.ndarray) -> np.ndarray:
        """Score of points as the best one: the mean of the objective where the constraints are met, else far below."""
        shortfall = self.shortfall(x)
        return np.where(shortfall > 0, -1e6 * (1 + shortfall), self.objective.predict(x)[0])

    def improvement(self, x: np.ndarray, best: float | None) -> np.ndarray:
        """Expected improvement over ``best`` times the probability of feasibility; without ``best``, the latter."""
        probability = self.probability(x)
        if best is None:
            return probability
        mean, deviation = self.objective.predict(x)
        z = (mean - best) / deviation
        return np.asarray(probability * deviation * (exp(-0.5 * z * z) / _ROOT_2_PI + z * normal_cdf(z)))


def maximise(
    score: Callable[[np.ndarray], np.ndarray], project: Projection, starts: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Point with the largest score, from random candidates that are refined in shrinking neighbourhoods.

    Parameters
    ----------
    score : callable
        Takes points, ``(m, d)``, and returns their scores, ``(m,)``.
    project : callable
        Maps points of the unit box to admissible ones.
    starts : (n, d) ndarray
        Admissible points among the candidates.
    rng : numpy.random.Generator
        Source of the candidates.

    Returns
    -------
    (d,) ndarray
    """
    d = starts.shape[1]
    points = np.concatenate([starts, project(rng.random((_CANDIDATES, d)))])
    scores = score(points)
    for step in _STEPS:
        top = np.argsort(-scores, kind="stable")[:_REFINED]
        points, scores = points[top], scores[top]
        shifts = step * (2 * rng.random((len(top), _NEIGHBOURS, d)) - 1)
        # Half of the neighbours differ in some coordinates alone.
        shifts *= (rng.random(shifts.shape) < 0.5) | (np.arange(_NEIGHBOURS)[:, None] % 2 == 0)
        near = project(np.clip(points[:, None] + shifts, 0.0, 1.0).reshape(-1, d))
        points, scores = np.concatenate([points, near]), np.concatenate([scores, score(near)])
    return np.asarray(points[int(np.argmax(scores))])


def optimum_draws(
    problem: Problem, cloud: np.ndarray, normal: Callable[[tuple[int, ...]], np.ndarray], n_draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Optima of functions drawn from the posterior of the surfaces, among the points of a cloud.

    Parameters
    ----------
    problem : Problem
        Surfaces.
    cloud : (m, d) ndarray
        Points, the first of which is the best one found.
    normal : callable
        Takes a shape and returns standard normal variates.
    n_draws : int
        Number of functions.

    Returns
    -------
    optima : (n_draws, d) ndarray
        Point with the largest objective where the constraints are met; the first one if they are met nowhere. The
        constraints vary by the error that their values have in common too.
    improvements : (n_draws,) ndarray
        How much larger the objective can be than at the first point, without that error.
    """
    mean, deviation = problem.objective.predict(cloud)
    possible = np.flatnonzero((problem.probability(cloud) > _POSSIBLE) & (mean + 3 * deviation >= mean[0]))
    thinned = possible[np.linspace(0, len(possible) - 1, min(len(possible), _CLOUD)).astype(np.int64)]
    cloud = cloud[np.concatenate([[0], thinned[thinned > 0]])]
    objective = problem.objective.draw(cloud, normal((n_draws, len(cloud))))
    is_met, varies = np.ones(objective.shape, bool), np.ones(objective.shape, bool)
    for surface, error, quantile in zip(problem.margins, problem.errors, problem.quantiles, strict=True):
        margin = surface.draw(cloud, normal((n_draws, len(cloud)))) - quantile * error
        is_met &= margin >= 0
        varies &= margin + error * normal((n_draws, 1)) >= 0
    is_met[:, 0] = True
    varies[:, 0] |= ~varies.any(axis=1)
    optima = cloud[np.where(varies, objective, -np.inf).argmax(axis=1)]
    improvements = np.where(is_met, objective, -np.inf).max(axis=1) - objective[:, 0]
    return optima, improvements
