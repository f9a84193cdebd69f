"""Searches: their proposals depend on the outcomes that they wait for, and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from membrane_dask.engine.rounds import Schedule
from membrane_dask.program import Outcome, Program, Rounds, Unit
from membrane_dask.studies.reconstruct.search import BayesianSearch, CandidateSearch, Search, log_objectives

BOUNDS = {"x": (-2.0, 1.0), "y": (0.0, 4.0)}


def bowl(point: Mapping[str, float]) -> float:
    return 0.01 + (point["x"] + 1) ** 2 + (point["y"] - 3) ** 2


def bayesian(trials: int = 20, in_flight: int = 3) -> BayesianSearch:
    return BayesianSearch(BOUNDS, trials=trials, initial=8, in_flight=in_flight, seed=np.random.SeedSequence(4))


class SearchProgram(Program):
    """A program of one search."""

    kind = "search"

    def __init__(self, search: Search) -> None:
        self.search = search
        self.outcomes: list[Outcome] = []

    def rounds(self) -> Rounds:
        def trial(number: int, point: Mapping[str, float]) -> Unit:
            return Unit(str(number), "trials", (number,), dict(point), (0,))

        self.outcomes = yield from self.search.rounds(trial, str)


class Driver:
    """The units that a search has asked for, and their outcomes, which the test decides."""

    def __init__(self, search: Search, history: Mapping[str, Outcome] | None = None) -> None:
        self.program = SearchProgram(search)
        self.history = dict(history or {})
        self.schedule = Schedule(self.program, self.history)
        self.points: dict[int, Mapping[str, float]] = {}

    def propose(self, *finished: int) -> list[int]:
        """Numbers of the trials that are proposed once some have finished."""
        units = self.schedule.propose([str(number) for number in finished])
        self.points |= {unit.index[0]: unit.params for unit in units}
        return [unit.index[0] for unit in units]

    def finish(self, number: int, objective: float) -> list[int]:
        """End a trial, and return the numbers of those that are proposed next."""
        self.history[str(number)] = Outcome("done", {"objective": objective, **self.points[number]})
        return self.propose(number)


def run(search: Search, order: str = "first") -> list[Mapping[str, float]]:
    """Points of a whole search whose trials end in the order in which they start, or in reverse."""
    driver = Driver(search)
    running = driver.propose()
    while running:
        number = running.pop(0 if order == "first" else -1)
        running += driver.finish(number, bowl(driver.points[number]))
    assert len(driver.program.outcomes) == search.trials
    return [driver.points[number] for number in range(search.trials)]


def test_the_order_in_which_trials_end_does_not_matter():
    assert run(bayesian(), "first") == run(bayesian(), "last")


def test_trials_are_proposed_before_earlier_ones_have_ended():
    """Trial n is proposed when all up to n - in_flight have ended."""
    driver = Driver(bayesian(in_flight=3))
    assert driver.propose() == list(range(8))
    for number in range(5):
        assert driver.finish(number, bowl(driver.points[number])) == []
    assert driver.finish(5, bowl(driver.points[5])) == [8]
    assert driver.finish(7, 1.0) == []  # number 6 has not ended
    assert driver.finish(6, 1.0) == [9, 10]


def test_it_approaches_the_minimum():
    points = run(bayesian(24))
    # Of 24 random points, one is as near with a probability of 0.22: a disc of 0.04 pi in a box of 12.
    assert min(map(bowl, points)) < 0.05
    assert all(low <= point[name] <= high for point in points for name, (low, high) in BOUNDS.items())


def test_a_resumed_search_continues_with_the_recorded_points(monkeypatch):
    """It does not repeat the optimisation of trials that have ended."""
    points = run(bayesian())
    history = {str(n): Outcome("done", {"objective": bowl(p), **p}) for n, p in enumerate(points[:13])}
    proposed = []
    propose = BayesianSearch.propose
    monkeypatch.setattr(
        BayesianSearch,
        "propose",
        lambda self, number, *rest: (proposed.append(number), propose(self, number, *rest))[1],
    )
    driver = Driver(bayesian(), history)
    assert driver.propose() == list(range(16))
    assert [driver.points[number] for number in range(14)] == points[:14]
    assert proposed == [13, 14, 15]


def test_a_failed_trial_has_the_largest_objective():
    failed = Outcome("failed")
    values = log_objectives([Outcome("done", {"objective": 0.5}), failed, Outcome("done", {"objective": 0.1})])
    np.testing.assert_allclose(values, [math.log(0.5), math.log(0.5), math.log(0.1)])
    assert np.isfinite(log_objectives([failed])).all()
    with pytest.raises(ValueError, match="finite"):
        bayesian().propose(8, [{"x": 0, "y": 0}] * 8, [0.0, math.nan])


def test_candidates_have_two_rounds():
    """All closings of a smooth structure, then roughness at the best one and its neighbours."""
    search = CandidateSearch([0.0, 1.0, 2.0, 3.0], [0.0, 0.2, 0.4])
    assert search.trials == 4 + 2 * 3
    driver = Driver(search)
    assert driver.propose() == [0, 1, 2, 3]
    assert [driver.points[n]["closing_radius"] for n in range(4)] == [0.0, 1.0, 2.0, 3.0]
    for number in range(3):
        assert driver.finish(number, 3.0 - number) == []
    assert driver.finish(3, 0.0) == [4, 5, 6, 7, 8, 9]
    assert [(p["closing_radius"], p["roughness"]) for p in list(driver.points.values())[4:]] == [
        (1.0, 0.2), (2.0, 0.2), (3.0, 0.2), (1.0, 0.4), (2.0, 0.4), (3.0, 0.4),
    ]  # fmt: skip


def test_a_single_candidate():
    search = CandidateSearch([1.0], [0.0])
    assert search.trials == 1
    driver = Driver(search)
    assert driver.propose() == [0]
    assert driver.points[0] == {"closing_radius": 1.0, "roughness": 0.0}
    assert driver.finish(0, 1.0) == []
    assert len(driver.program.outcomes) == 1
