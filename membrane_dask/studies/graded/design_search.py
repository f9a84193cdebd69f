"""Search for the best design: which designs are simulated next, and which one is the best.

Response surfaces of the logarithms of metrics (:mod:`membrane_dask.physics.response_surface`) replace the simulations.
Every round has two designs, that with the largest expected improvement times its probability of feasibility, and the
best one according to the surfaces. What is proposed depends on the study and on the finished networks alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.constrained_search import Problem, maximise, optimum_draws
from membrane_dask.physics.distributions import normal_quantile, standard_normal
from membrane_dask.physics.response_surface import ResponseSurface, fit_surface, sample_surfaces
from membrane_dask.studies.graded.design_settings import Constraint, OptimumSettings
from membrane_dask.studies.graded.design_space import DesignSpace
from membrane_dask.studies.graded.metric_scales import scale_of

#: Designs closer than this in every parameter, in units of the box, have equal metrics.
_EQUAL = 1e-3
#: Functions that are drawn from the surfaces for the certainty of the best design.
_DRAWS = 200
#: Largest probability of feasibility at which a search ends because no design meets the constraints.
_IMPOSSIBLE = 0.01
#: Number of levels of a front.
_LEVELS = 9


@dataclass(frozen=True)
class Evaluation:
    """A simulated design.

    Parameters
    ----------
    values : mapping of str to float
        Parameters by the names of the axes of the design space.
    networks : mapping of str to ndarray
        Metrics of its finished networks, ``(n_networks,)``, at least one.
    """

    values: Mapping[str, float]
    networks: Mapping[str, np.ndarray]

    def mean(self, metric: str) -> float:
        """Mean of a metric over the networks."""
        return float(self.networks[metric].mean())


class MetricSurface:
    """Response surface of one metric.

    Parameters
    ----------
    metric : str
        The metric.
    points : (n, d) ndarray
        Points of the evaluations in the unit box.
    evaluations : sequence of Evaluation
        Simulated designs.
    """

    def __init__(self, metric: str, points: np.ndarray, evaluations: Sequence[Evaluation]) -> None:
        self.metric = metric
        samples = [evaluation.networks[metric] for evaluation in evaluations]
        self.scale = scale_of(metric, float(min(sample.min() for sample in samples)))
        self.values = self.scale.forward(np.array([sample.mean() for sample in samples]))
        self.surface = fit_surface(points, self.values)
        errors = [self.scale.forward(s).std(ddof=1) / np.sqrt(len(s)) for s in samples if len(s) > 1]
        #: Standard error of the mean over the networks, which are those of every design.
        self.error = float(np.median(errors)) if errors else 0.0

    def interval(self, point: np.ndarray, confidence: float) -> tuple[float, float, float]:
        """Lower end, value and upper end of the metric at a point, with the error that all values have in common."""
        mean, deviation = self.surface.predict(point[None])
        half = float(normal_quantile((1 + confidence) / 2)) * float(
            np.sqrt(np.square(deviation[0]) + self.error * self.error)
        )
        low, middle, high = (self.scale.inverse(float(mean[0]) + shift) for shift in (-half, 0.0, half))
        return low, middle, high

    def samples(self, count: int, rng: np.random.Generator) -> list[MetricSurface]:
        """The same metric with surfaces whose length scales, noise and signal are samples of what agrees with it."""
        sampled = sample_surfaces(self.surface.points, self.values, count, rng)
        result = [copy(self) for _ in sampled]
        for one, surface in zip(result, sampled, strict=True):
            one.surface = surface
        return result

    def margin(self, constraint: Constraint) -> ResponseSurface:
        """Surface that is positive where a constraint on the metric is met."""
        if constraint.limit <= self.scale.low:  # all values are above it: always met, or never
            return self.surface.transformed(0.0, float(constraint.sign))
        limit = float(self.scale.forward(np.array([constraint.limit]))[0])
        return self.surface.transformed(float(constraint.sign), -constraint.sign * limit)


class Surfaces:
    """Response surfaces of all metrics of a search.

    Parameters
    ----------
    space : DesignSpace
        Parameters.
    evaluations : sequence of Evaluation
        Simulated designs, at least two.
    metrics : sequence of str
        Metrics of the objective and the constraints.
    confidence : float
        Probability with which a constraint must be met.
    """

    def __init__(
        self, space: DesignSpace, evaluations: Sequence[Evaluation], metrics: Sequence[str], confidence: float
    ) -> None:
        self.space, self.evaluations, self.confidence = space, list(evaluations), confidence
        self.points = np.array([space.point(evaluation.values) for evaluation in evaluations])
        self.metrics = {name: MetricSurface(name, self.points, evaluations) for name in dict.fromkeys(metrics)}

    def problem(
        self, metric: str, sign: int, constraints: Sequence[Constraint], levels: Sequence[Constraint]
    ) -> Problem:
        """Objective and margins.

        Parameters
        ----------
        metric : str
            Metric of the objective.
        sign : int
            1 if it is to be large, -1 if it is to be small.
        constraints : sequence of Constraint
            Met with the confidence of the search.
        levels : sequence of Constraint
            Met by the mean.
        """
        limits = [*constraints, *levels]
        quantile = float(normal_quantile(self.confidence))
        return Problem(
            self.metrics[metric].surface.transformed(float(sign), 0.0),
            tuple(self.metrics[limit.metric].margin(limit) for limit in limits),
            np.array([self.metrics[limit.metric].error for limit in limits]),
            np.array([quantile] * len(constraints) + [0.0] * len(levels)),
        )

    def best(self, problem: Problem) -> int | None:
        """Number of the best evaluation, None if none meets the constraints."""
        scores = problem.guess(self.points)
        best = int(np.argmax(scores))
        return best if problem.shortfall(self.points[best : best + 1])[0] == 0 else None

    def best_guess(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Point of the best design according to the surfaces."""
        return maximise(problem.guess, self.space.project, self.points, rng)

    def largest_improvement(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Point with the largest expected improvement times the probability of feasibility."""
        best = self.best(problem)
        value = None if best is None else float(problem.objective.predict(self.points[best : best + 1])[0][0])
        return maximise(lambda x: problem.improvement(x, value), self.space.project, self.points, rng)

    def simulated(self, point: np.ndarray) -> int | None:
        """Position of the simulated design that is the same but for rounding; None if there is none."""
        distances = np.abs(self.points - point).max(axis=1)
        nearest = int(np.argmin(distances))
        return nearest if distances[nearest] < _EQUAL else None

    def samples(self, count: int, rng: np.random.Generator) -> list[Surfaces]:
        """Surfaces with other length scales, noise and signal that agree with the evaluations as well."""
        sampled = {name: metric.samples(count, rng) for name, metric in self.metrics.items()}
        result = [copy(self) for _ in range(count)]
        for i, one in enumerate(result):
            one.metrics = {name: metrics[i] for name, metrics in sampled.items()}
        return result

    def draws(
        self, problem: Problem, best: int, rng: np.random.Generator, count: int = _DRAWS
    ) -> tuple[np.ndarray, np.ndarray]:
        """Optima of functions drawn from the surfaces, ``(count, d)``, and their improvements over an evaluation."""
        near = [self.points[best] + w * (rng.random((200, len(self.space.names))) - 0.5) for w in (1, 0.3, 0.1, 0.03)]
        cloud = self.space.project(np.clip(np.concatenate(near), 0.0, 1.0))
        cloud = np.concatenate(
            [self.points[best : best + 1], cloud, self.space.project(rng.random((1000, cloud.shape[1])))]
        )
        return optimum_draws(problem, cloud, lambda shape: standard_normal(rng, shape), count)


@dataclass(frozen=True)
class Objective:
    """What a search looks for.

    Parameters
    ----------
    metric : str
        Metric of the objective; of a front, the first one.
    sign : int
        1 if it is to be large, -1 if it is to be small.
    constraints : tuple of Constraint
        Limits of the means of metrics.
    front : str
        Second metric of a front; empty without one.
    levels : tuple of float
        Levels of the second metric; empty for those of :meth:`front_levels`.
    tolerance : float
        Relative difference of the metric below which the best design is certain.
    confidence : float
        Probability with which a constraint must be met, and that of the intervals.
    """

    metric: str
    sign: int
    constraints: tuple[Constraint, ...]
    front: str
    levels: tuple[float, ...]
    tolerance: float
    confidence: float

    @classmethod
    def of(cls, settings: OptimumSettings) -> Objective:
        """The objective of a study."""
        metric, front = settings.front or (settings.metric, "")
        return cls(
            metric, 1 if settings.direction == "maximize" else -1, settings.limits, front,
            tuple(sorted(settings.front_levels or ())), settings.tolerance, settings.confidence,
        )  # fmt: skip

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that the search reads."""
        names = (self.metric, *([self.front] if self.front else []), *(limit.metric for limit in self.constraints))
        return tuple(dict.fromkeys(names))

    def surfaces(self, space: DesignSpace, evaluations: Sequence[Evaluation]) -> Surfaces:
        """Response surfaces of all metrics."""
        return Surfaces(space, evaluations, self.metrics, self.confidence)

    def problem(self, surfaces: Surfaces, level: float | None = None) -> Problem:
        """Objective and margins; of a front, at a level of the second metric."""
        levels = [] if level is None else [Constraint(self.front, 1, level)]
        constraints = [c for c in self.constraints if level is None or c.metric != self.front or c.sign < 0]
        return surfaces.problem(self.metric, self.sign, constraints, levels)

    def is_constant(self, evaluations: Sequence[Evaluation]) -> bool:
        """Whether all designs have the same metric, so that none is the best."""
        values = [evaluation.mean(self.metric) for evaluation in evaluations]
        return max(values) - min(values) <= 1e-9 * abs(max(values))

    def proposals(
        self, space: DesignSpace, evaluations: Sequence[Evaluation], rng: np.random.Generator, n_after: int, size: int
    ) -> list[np.ndarray]:
        """Points of the designs that are simulated next.

        Parameters
        ----------
        space : DesignSpace
            Parameters.
        evaluations : sequence of Evaluation
            Simulated designs.
        rng : numpy.random.Generator
            Source of candidates.
        n_after : int
            Number of designs after the initial ones.
        size : int
            Number of designs to return.

        Returns
        -------
        list of ndarray
            Empty if the best design is certain, or if certainly none meets the constraints.
        """
        if self.is_constant(evaluations):
            return []
        surfaces = self.surfaces(space, evaluations)
        if self.front:
            levels = self.front_levels(evaluations)
            return [self._at_level(surfaces, levels, n_after + k, rng) for k in range(size)]
        problem = self.problem(surfaces)
        points = [surfaces.best_guess(problem, rng), surfaces.largest_improvement(problem, rng)]
        best = surfaces.best(problem)
        is_early = n_after < 2 * space.dimension + 2
        if best is None:
            return [] if not is_early and problem.probability(points[1][None])[0] < _IMPOSSIBLE else points[:size]
        optima, improvements = surfaces.draws(problem, best, rng)
        if not is_early and self._certain(surfaces, best, improvements):
            return []
        if surfaces.simulated(points[0]) is not None:
            points[0] = optima[0]
        return points[:size]

    def _certain(self, surfaces: Surfaces, best: int, improvements: np.ndarray) -> bool:
        surface = surfaces.metrics[self.metric]
        relative = improvements / surface.scale.slope(surfaces.evaluations[best].mean(self.metric))
        return float(np.quantile(relative, self.confidence)) <= self.tolerance

    def _at_level(self, surfaces: Surfaces, levels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """The best guess at each level in turn, then the point with the largest expected improvement, and so on."""
        sweep, k = divmod(n, len(levels))
        problem = self.problem(surfaces, float(levels[k]))
        point = surfaces.best_guess(problem, rng)
        if sweep % 2 == 1 or surfaces.simulated(point) is not None:
            point = surfaces.largest_improvement(problem, rng)
        return point

    def front_levels(self, evaluations: Sequence[Evaluation]) -> np.ndarray:
        """Levels of the second metric of a front.

        Those of the study; or evenly spaced ones between its limits in the constraints, in place of which stand the
        extremes of the simulated designs that no other one surpasses in both metrics.
        """
        if self.levels:
            return np.array(self.levels)
        first, second = (np.array([e.mean(name) for e in evaluations]) for name in (self.metric, self.front))
        surpassed = (first > first[:, None]) & (second > second[:, None])
        ends = second[~surpassed.any(axis=1)]
        low = max([float(ends.min()), *(c.limit for c in self.constraints if c.metric == self.front and c.sign > 0)])
        high = min([float(ends.max()), *(c.limit for c in self.constraints if c.metric == self.front and c.sign < 0)])
        return np.linspace(low, max(low, high), _LEVELS)
