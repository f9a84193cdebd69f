"""Searches for the parameters of a structure, as rounds of trials.

The trials that a search proposes depend on the study and on the outcomes that it waited for, and not on the order in
which they arrive: they are the same on any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.reconstruction.gaussian_process import next_point
from membrane_dask.program import Outcome, Recall, Submit, Unit, settle

#: Parameters of a trial by name.
Point = Mapping[str, float]
#: Makes the unit of a trial from its number and its parameters.
MakeTrial = Callable[[int, Point], Unit]
#: Key of the unit of a trial.
TrialKey = Callable[[int], str]
#: Yields units and returns the outcomes of all trials, in order.
SearchRounds = Generator[Any, Any, list[Outcome]]

#: Smallest objective whose logarithm enters a search.
_MIN_OBJECTIVE = 1e-6


class BayesianSearch:
    """Bayesian optimisation of an expensive function within a box, with several trials at a time.

    Trial ``n`` is proposed once the outcomes of trials up to ``n - in_flight`` are available; those that are still
    running enter with the smallest value so far (constant liar).

    Parameters
    ----------
    bounds : mapping of str to (low, high)
        Box to search.
    trials : int
        Number of trials.
    initial : int
        Trials of the Latin hypercube design at the beginning, at most ``trials``.
    in_flight : int
        Trials that run concurrently, at most ``initial``.
    seed : numpy.random.SeedSequence
        Of the design and the optimiser.

    References
    ----------
    Ginsbourger, Le Riche & Carraro, Kriging is well-suited to parallelize optimization (2010).
    """

    def __init__(
        self,
        bounds: Mapping[str, tuple[float, float]],
        *,
        trials: int,
        initial: int,
        in_flight: int,
        seed: np.random.SeedSequence,
    ) -> None:
        from scipy.stats import qmc

        self.bounds, self.trials = dict(bounds), trials
        self.initial, self.in_flight = initial, in_flight
        self._low = np.array([low for low, _ in bounds.values()])
        self._high = np.array([high for _, high in bounds.values()])
        design_seed, optimizer_seed = seed.spawn(2)
        self._seed = int(optimizer_seed.generate_state(1)[0])
        design = qmc.LatinHypercube(len(self.bounds), rng=np.random.default_rng(design_seed))
        self._design = self._clip(qmc.scale(design.random(initial), self._low, self._high))

    def rounds(self, trial: MakeTrial, key: TrialKey) -> SearchRounds:
        """All trials.

        The outcome of a trial holds its point, which a resumed run reads instead of repeating the optimisation.
        """
        points: list[Point] = []
        units: list[Unit] = []
        outcomes: list[Outcome] = []
        for number in range(self.trials):
            needed = 0 if number < self.initial else number - self.in_flight + 1
            outcomes += yield from settle(units[len(outcomes) : needed])
            recorded: Outcome | None = yield Recall(key(number))
            if recorded is not None and all(name in recorded.feedback for name in self.bounds):
                point: Point = {name: float(recorded.feedback[name]) for name in self.bounds}
            else:
                point = self.propose(number, points, log_objectives(outcomes[:needed]))
            points.append(point)
            units.append(trial(number, point))
            yield Submit(units[-1:])
        outcomes += yield from settle(units[len(outcomes) :])
        return outcomes

    def propose(self, number: int, points: Sequence[Point], values: Sequence[float]) -> dict[str, float]:
        """Propose a trial.

        Parameters
        ----------
        number : int
            Of the trial.
        points : sequence of mapping
            All points before it.
        values : sequence of float
            Values of the first of these points.

        Returns
        -------
        dict of str to float

        Raises
        ------
        ValueError
            If a value is not finite.
        """
        if number < self.initial:
            return self._by_name(self._design[number])
        values = [float(value) for value in values]
        if not np.isfinite(values).all():
            raise ValueError(f"the values of a search must be finite (got {values})")
        values = values + [min(values)] * (number - len(values))
        box = np.array([[point[name] for name in self.bounds] for point in points[:number]])
        rng = np.random.default_rng((self._seed + number) % 2**32)
        width = np.maximum(self._high - self._low, 1e-300)  # a range may be a single value
        proposal = next_point((box - self._low) / width, np.array(values), rng)
        return self._by_name(self._clip(self._low + (self._high - self._low) * proposal))

    def _clip(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(np.clip(points, self._low, self._high))  # scaling may exceed the box by a rounding error

    def _by_name(self, point: np.ndarray) -> dict[str, float]:
        return dict(zip(self.bounds, map(float, point), strict=True))


class CandidateSearch:
    """All candidates of the closing with the smallest roughness, then larger ones with the best closings.

    Parameters
    ----------
    closing_radii : sequence of float
        Candidates of the first round.
    roughness : sequence of float
        Fractions of the variance; those but the smallest are candidates of the second round, each with the best
        closing radius and its two neighbours.
    """

    def __init__(self, closing_radii: Sequence[float], roughness: Sequence[float]) -> None:
        self.closing_radii, self.roughness = sorted(closing_radii), sorted(roughness)
        self._n_best = min(3, len(self.closing_radii))

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(self.closing_radii) + (len(self.roughness) - 1) * self._n_best

    def rounds(self, trial: MakeTrial, key: TrialKey) -> SearchRounds:
        """All trials."""
        del key  # all points follow from the outcomes at no cost
        points = [{"closing_radius": radius, "roughness": self.roughness[0]} for radius in self.closing_radii]
        outcomes = yield from settle([trial(number, point) for number, point in enumerate(points)])
        best = int(np.argmin(log_objectives(outcomes)))
        first = min(max(best - 1, 0), len(points) - self._n_best)
        points = [
            {"closing_radius": radius, "roughness": roughness}
            for roughness in self.roughness[1:]
            for radius in self.closing_radii[first : first + self._n_best]
        ]
        outcomes += yield from settle([trial(len(outcomes) + i, point) for i, point in enumerate(points)])
        return outcomes


Search = BayesianSearch | CandidateSearch


def log_objectives(outcomes: Sequence[Outcome]) -> list[float]:
    """Logarithms of the objectives, so that relative differences matter; a failed trial has the largest of them."""
    objectives = [outcome.feedback.get("objective") for outcome in outcomes]
    largest = max((value for value in objectives if value is not None), default=1.0)
    return [float(log(max(largest if value is None else value, _MIN_OBJECTIVE))) for value in objectives]
