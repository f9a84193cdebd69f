"""Searches: what they propose follows from what they wait for, and from nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.studies.reconstruct.search import BayesianSearch, CandidateSearch, Progress, told

BOUNDS = {"x": (-2.0, 1.0), "y": (0.0, 4.0)}


def bowl(point: dict[str, float]) -> float:
    return 0.01 + (point["x"] + 1) ** 2 + (point["y"] - 3) ** 2


def search(trials: int = 20, in_flight: int = 3) -> Progress:
    return Progress(BayesianSearch(BOUNDS, 8, in_flight, np.random.SeedSequence(4)), trials)


def run(order: str, trials: int = 20) -> list[dict[str, float]]:
    """Trials of a search whose answers come back in another order than they were asked."""
    progress = search(trials)
    outcomes: list[dict[str, float] | None] = [None] * trials
    points: dict[int, dict[str, float]] = {}
    waiting: list[int] = []
    while len([o for o in outcomes if o]) < trials:
        for number, point in progress.propose(outcomes):
            points[number] = point
            waiting.append(number)
        number = waiting.pop(0 if order == "first" else -1)
        outcomes[number] = {"objective": bowl(points[number]), **points[number]}
    return [points[number] for number in range(trials)]


def test_the_order_of_answers_does_not_count():
    assert run("first") == run("last")


def test_nobody_waits_for_a_round_to_end():
    """With all but the oldest under way known, the next ones are proposed already."""
    progress = search(in_flight=3)
    outcomes: list[dict[str, float] | None] = [None] * 20
    first = progress.propose(outcomes)
    assert [number for number, _ in first] == list(range(8))
    for number, point in first[:6]:
        outcomes[number] = {"objective": bowl(point), **point}
    assert [number for number, _ in progress.propose(outcomes)] == [8]  # waits for no. 0 to 5
    outcomes[7] = {"objective": 1.0, **first[7][1]}
    assert progress.propose(outcomes) == []  # no. 6 is missing
    outcomes[6] = {"objective": 1.0, **first[6][1]}
    assert [number for number, _ in progress.propose(outcomes)] == [9, 10]


def test_it_finds_the_bottom_of_a_bowl():
    points = run("first", 24)
    assert min(map(bowl, points)) < 0.05  # a chance of 0.22 for 24 points at random: a disc of 0.04 pi in a box of 12
    assert all(low <= point[name] <= high for point in points for name, (low, high) in BOUNDS.items())


def test_a_search_is_taken_up_where_it_was_left():
    points = run("first")
    outcomes: list[dict[str, float] | None] = [{"objective": bowl(p), **p} for p in points[:13]] + [None] * 7
    resumed = dict(search().propose(outcomes))
    assert [resumed[number] for number in range(13)] == points[:13]
    assert resumed[13] == points[13]
    assert max(resumed) == 15


def test_a_failed_trial_counts_as_the_worst():
    values = told([{"objective": 0.5}, {}, {"objective": 0.1}])
    np.testing.assert_allclose(values, [math.log(0.5), math.log(0.5), math.log(0.1)])
    assert np.isfinite(told([{}])).all()
    with pytest.raises(ValueError, match="finite"):
        BayesianSearch(BOUNDS, 2, 1, np.random.SeedSequence(0)).point(2, [{"x": 0, "y": 0}] * 2, [0.0, math.nan])


def test_candidates_come_in_two_rounds():
    """All closings smooth, then roughness at the best one and its neighbours."""
    candidates = CandidateSearch([0.0, 1.0, 2.0, 3.0], [0.0, 0.2, 0.4])
    assert candidates.trials == 4 + 2 * 3
    progress = Progress(candidates, candidates.trials)
    outcomes: list[dict[str, float] | None] = [None] * candidates.trials
    first = progress.propose(outcomes)
    assert [point["closing_radius"] for _, point in first] == [0.0, 1.0, 2.0, 3.0]
    for number, point in first:
        outcomes[number] = {"objective": abs(point["closing_radius"] - 3.0), **point}
    second = progress.propose(outcomes)
    assert [(p["closing_radius"], p["roughness"]) for _, p in second] == [
        (1.0, 0.2), (2.0, 0.2), (3.0, 0.2), (1.0, 0.4), (2.0, 0.4), (3.0, 0.4),
    ]  # fmt: skip


def test_a_single_candidate():
    candidates = CandidateSearch([1.0], [0.0])
    assert candidates.trials == 1
    assert Progress(candidates, 1).propose([None]) == [(0, {"closing_radius": 1.0, "roughness": 0.0})]
