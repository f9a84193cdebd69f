"""Searches for the structure that belongs to a micrograph, as sequences of proposals.

What a search proposes depends on nothing but the study and what it was told of the trials it waits
for, in their order: whoever replays it, on however many workers, gets the same trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


class BayesianSearch:
    """Search for the minimum of an expensive function within a box, several points at a time.

    The only place that imports scikit-optimize. Trial ``n`` is proposed once trials up to ``n -
    in_flight`` are known; the smallest value so far stands for those under way. So nobody waits for a
    round to end, and the trials do not depend on which of them came back first.

    Parameters
    ----------
    bounds : mapping of str to (low, high)
        Box to search.
    initial : int
        Points of a Latin hypercube that come first.
    in_flight : int
        Trials proposed before the first of them is known, at most ``initial``.
    seed : numpy.random.SeedSequence
        Decides the hypercube and the search.
    """

    def __init__(
        self, bounds: Mapping[str, tuple[float, float]], initial: int, in_flight: int, seed: np.random.SeedSequence
    ) -> None:
        from scipy.stats import qmc

        self.bounds = dict(bounds)
        self.initial, self.in_flight = initial, in_flight
        self._low = np.array([low for low, _ in bounds.values()])
        self._high = np.array([high for _, high in bounds.values()])
        design_seed, optimizer_seed = seed.spawn(2)
        self._seed = int(optimizer_seed.generate_state(1)[0])
        design = qmc.LatinHypercube(len(self.bounds), rng=np.random.default_rng(design_seed))
        self._design = self._clipped(qmc.scale(design.random(initial), self._low, self._high))

    def known(self, number: int) -> int:
        """How many trials must be known, from the first on, before trial ``number`` is proposed."""
        return 0 if number < self.initial else number - self.in_flight + 1

    def point(self, number: int, points: Sequence[Mapping[str, float]], values: Sequence[float]) -> dict[str, float]:
        """Propose a trial.

        Parameters
        ----------
        number : int
            Of the trial.
        points : sequence of mapping
            All points before it.
        values : sequence of float
            Of the first of them, as many as :meth:`known` says.

        Raises
        ------
        ValueError
            If a value is not finite.
        """
        if number < self.initial:
            return self._named(self._design[number])
        values = [float(value) for value in values[: self.known(number)]]
        if not np.isfinite(values).all():
            raise ValueError(f"a search can only be told finite values (got {values})")
        with self._quiet():
            from skopt import Optimizer
            from skopt.space import Real

            optimizer = Optimizer(
                [Real(low, high) for low, high in zip(self._low, self._high, strict=True)],
                base_estimator="GP",
                n_initial_points=1,
                acq_func="EI",
                random_state=(self._seed + number) % 2**32,
            )
            guessed = values + [min(values)] * (number - len(values))
            optimizer.tell([[point[name] for name in self.bounds] for point in points[:number]], guessed)
            return self._named(self._clipped(np.array(optimizer.ask())))

    def _clipped(self, points: np.ndarray) -> np.ndarray:
        return np.clip(points, self._low, self._high)  # scaling may leave the box by a rounding error

    def _named(self, point: np.ndarray) -> dict[str, float]:
        return dict(zip(self.bounds, map(float, point), strict=True))

    @staticmethod
    @contextmanager
    def _quiet() -> Iterator[None]:
        """One thread, so that sums do not depend on the machine; no talk of points tried before."""
        from threadpoolctl import threadpool_limits

        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            yield


class CandidateSearch:
    """Try all closings of a smooth structure, then roughness with the best of them and its neighbours.

    Parameters
    ----------
    closings : sequence of float
        Closing radii.
    roughness : sequence of float
        Shares of the variance; those but the smallest are tried in the second round.
    """

    def __init__(self, closings: Sequence[float], roughness: Sequence[float]) -> None:
        self.closings, self.roughness = sorted(closings), sorted(roughness)
        self._neighbours = min(3, len(self.closings))

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(self.closings) + (len(self.roughness) - 1) * self._neighbours

    def known(self, number: int) -> int:
        """How many trials must be known, from the first on, before trial ``number`` is proposed."""
        return 0 if number < len(self.closings) else len(self.closings)

    def point(self, number: int, points: Sequence[Mapping[str, float]], values: Sequence[float]) -> dict[str, float]:
        """Propose a trial; arguments as of :meth:`BayesianSearch.point`."""
        del points
        n = len(self.closings)
        if number < n:
            return {"closing_radius": self.closings[number], "roughness": self.roughness[0]}
        best = int(np.argmin(values[:n]))
        first = min(max(best - 1, 0), n - self._neighbours)
        rough, closing = divmod(number - n, self._neighbours)
        return {"closing_radius": self.closings[first + closing], "roughness": self.roughness[1 + rough]}


Search = BayesianSearch | CandidateSearch


class Progress:
    """How far a search has been replayed.

    Parameters
    ----------
    search : BayesianSearch or CandidateSearch
    trials : int
        Of the whole search.
    """

    def __init__(self, search: Search, trials: int) -> None:
        self.search, self.trials = search, trials
        self._points: list[dict[str, float]] = []

    def propose(self, outcomes: Sequence[Mapping[str, Any] | None]) -> list[tuple[int, dict[str, float]]]:
        """Trials that have not been proposed yet and may be now.

        Parameters
        ----------
        outcomes : sequence of mapping or None
            For every trial what is known of it: its ``objective``, as a rule with its point; empty if it
            failed, None if it is not finished.
        """
        found: list[tuple[int, dict[str, float]]] = []
        while len(self._points) < self.trials:
            number = len(self._points)
            needed = self.search.known(number)
            if any(outcome is None for outcome in outcomes[:needed]):
                break
            outcome = outcomes[number] or {}
            names = self._points[0] if self._points else ()
            if names and all(name in outcome for name in names):  # as it was proposed then
                point = {name: float(outcome[name]) for name in names}
            else:
                point = self.search.point(number, self._points, told(outcomes[:needed]))
            self._points.append(point)
            found.append((number, point))
        return found


#: Smaller objectives are told as this.
_LEAST = 1e-6


def told(outcomes: Sequence[Mapping[str, Any] | None]) -> list[float]:
    """What a search is told: logarithms, so that differences near the optimum count as much as those far from it.

    A trial that failed is told as the worst that did not.
    """
    objectives = [outcome.get("objective") if outcome else None for outcome in outcomes]
    worst = max((value for value in objectives if value is not None), default=1.0)
    return [float(np.log(max(worst if value is None else value, _LEAST))) for value in objectives]
