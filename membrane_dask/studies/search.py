"""Bayesian optimisation as a sequence of proposals that depends on nothing but what it was told.

The only place that imports scikit-optimize. Its ``ask`` depends on every earlier call, so proposals
come in rounds of a size that the study fixes, and each round is told in the order of its trials:
whoever replays the rounds gets the same trials, whatever worker finished first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


class BayesianSearch:
    """Search for the minimum of an expensive function within a box.

    Parameters
    ----------
    bounds : mapping of str to (low, high)
        Box to search.
    initial : int
        Points of the first round: a Latin hypercube.
    seed : numpy.random.SeedSequence
        Decides the hypercube and the search.
    """

    def __init__(self, bounds: Mapping[str, tuple[float, float]], initial: int, seed: np.random.SeedSequence) -> None:
        self.bounds = dict(bounds)
        self.initial = initial
        self._low = np.array([low for low, _ in bounds.values()])
        self._high = np.array([high for _, high in bounds.values()])
        self._design_seed, optimizer_seed = seed.spawn(2)
        self._optimizer_seed = int(optimizer_seed.generate_state(1)[0])
        self._optimizer: Any = None

    def ask(self, n: int) -> list[dict[str, float]]:
        """The next ``n`` points; the first call takes ``initial`` of them from the design."""
        if self._optimizer is None:
            from scipy.stats import qmc

            design = qmc.LatinHypercube(len(self.bounds), rng=np.random.default_rng(self._design_seed))
            points = qmc.scale(design.random(n), self._low, self._high)
        else:
            with self._quiet():
                # The smallest value so far stands for the points of the round that are not known yet.
                points = np.array(self._optimizer.ask(n_points=n, strategy="cl_min"))
        points = np.clip(points, self._low, self._high)  # scaling may leave the box by a rounding error
        return [dict(zip(self.bounds, map(float, point), strict=True)) for point in points]

    def tell(self, points: Sequence[Mapping[str, float]], values: Sequence[float]) -> None:
        """Learn the values of a round, in the order in which it was asked.

        Raises
        ------
        ValueError
            If a value is not finite.
        """
        if not np.isfinite(values).all():
            raise ValueError(f"a search can only be told finite values (got {list(values)})")
        with self._quiet():
            if self._optimizer is None:
                from skopt import Optimizer
                from skopt.space import Real

                self._optimizer = Optimizer(
                    [Real(low, high) for low, high in zip(self._low, self._high, strict=True)],
                    base_estimator="GP",
                    n_initial_points=len(points),
                    acq_func="EI",
                    random_state=self._optimizer_seed,
                )
            self._optimizer.tell(
                [[point[name] for name in self.bounds] for point in points],
                [float(value) for value in values],
            )

    @staticmethod
    @contextmanager
    def _quiet() -> Iterator[None]:
        """One thread, so that sums do not depend on the machine; no talk of points tried before."""
        from threadpoolctl import threadpool_limits

        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            yield
