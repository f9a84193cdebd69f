"""The remaining time of a run: of units whose times are known, it is the time that they then take."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from membrane_dask.engine import forecast as forecast_module
from membrane_dask.engine.events import Estimate, Message, Progressed, Stage, Started, TaskProgress
from membrane_dask.engine.forecast import Forecast
from membrane_dask.program import Costs
from membrane_dask.progress import ProgressLines


class Clock:
    """A clock that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def forecast(clock, monkeypatch):
    """A forecast of a run, from the numbers of its units, its workers, and the predicted work."""
    monkeypatch.setattr(forecast_module, "default_workers", lambda cluster: cluster.workers)

    def make(counts, workers, work=None, scheduler="sync", batch=None):
        costs = None if work is None else Costs(work)
        cluster = SimpleNamespace(workers=workers, scheduler=scheduler)
        return Forecast(SimpleNamespace(cluster=cluster, counts=counts, costs=costs, batch=batch or {}), clock)

    return make


def simulate(forecast, clock, units, workers):
    """Take units, (task, seconds) in their order, at the first idle worker; estimates with the times of the clock."""
    idle_from = [clock.seconds] * workers
    ends = []
    for task, seconds in units:
        worker = idle_from.index(min(idle_from))
        idle_from[worker] += seconds
        ends.append((idle_from[worker], task, seconds))
    estimates = [(clock.seconds, forecast.estimate(Started(len(units), 0, 0, None)))]
    for number, (end, task, seconds) in enumerate(sorted(ends), start=1):
        clock.seconds = end
        estimates.append((end, forecast.estimate(Progressed(number, 0, {task: [seconds]}))))
    return estimates


def test_failed_units_are_finished_at_the_end(forecast, clock):
    run = forecast({"fits": 5}, 1, {"fits": 5.0})
    run.estimate(Started(5, 0, 0, None))
    clock.seconds = 5.0
    estimate = run.estimate(Progressed(4, 1, {"fits": [1.0] * 4}))
    stream = io.StringIO()
    lines = ProgressLines(stream, clock)
    lines(Started(5, 0, 0, None))
    lines(estimate)
    assert stream.getvalue().startswith("100 %: 4 of 5 fits, 1 failed, after ")


def test_workers_of_a_client_set_the_remaining_time(forecast, clock):
    run = forecast({"fits": 40}, 2, {"fits": 40.0})
    run.set_workers(10)
    run.estimate(Started(40, 0, 0, None))
    clock.seconds = 1.0
    assert run.estimate(Progressed(10, 0, {"fits": [1.0] * 10})).remaining == pytest.approx(3.0)


@pytest.mark.parametrize("factor", [0.4, 1.0, 10.0])
def test_equal_units_end_when_they_are_said_to(forecast, clock, factor):
    """Whatever the actual time is of the predicted one, from the second unit on."""
    estimates = simulate(forecast({"fits": 40}, 2, {"fits": 40.0}), clock, [("fits", factor)] * 40, 2)
    end = estimates[-1][0]
    numbers = [(now, estimate) for now, estimate in estimates if estimate.remaining is not None]
    assert [now for now, _ in estimates][: len(estimates) - len(numbers)] == [0.0, factor, factor]
    for now, estimate in numbers:
        # The ends of two workers' units come one after the other: an error of one unit.
        assert estimate.remaining == pytest.approx(end - now, abs=factor * 1.001)
    assert estimates[-1][1].remaining == 0
    assert estimates[-1][1].fraction == 1
    fractions = [estimate.fraction for _, estimate in numbers]
    assert fractions == sorted(fractions)


def test_an_odd_number_of_units_leaves_a_worker_idle(forecast, clock):
    estimates = simulate(forecast({"matches": 5}, 2, {"matches": 50.0}), clock, [("matches", 10.0)] * 5, 2)
    assert estimates[2][1].remaining == pytest.approx(20.0)
    assert estimates[-1][0] == pytest.approx(30.0)


def test_there_is_no_time_before_each_worker_has_finished_a_unit(forecast, clock):
    run = forecast({"fits": 8}, 2, {"fits": 8.0}, scheduler="local")
    assert run.estimate(Started(8, 0, 0, None)).remaining is None
    clock.seconds = 13.0
    assert run.estimate(Progressed(1, 0, {"fits": [3.0]})).remaining is None
    assert run.estimate(Progressed(2, 0, {"fits": [3.0]})).remaining == pytest.approx(9.0)  # the start took 10 s


def test_of_tasks_of_one_unit_one_is_enough(forecast, clock):
    run = forecast({"structures": 1, "lives": 1}, 2, {"structures": 40.0, "lives": 10.0})
    assert run.estimate(Started(2, 0, 0, None)).remaining is None
    clock.seconds = 400.0
    assert run.estimate(Progressed(1, 0, {"structures": [400.0]})).remaining == pytest.approx(100.0)


def test_time_between_units_lengthens_the_run(forecast, clock):
    """Units of 1 s, of which a worker finishes one in 2 s."""
    run = forecast({"fits": 100}, 1, {"fits": 100.0})
    run.estimate(Started(100, 0, 0, None))
    for number in range(1, 51):
        clock.seconds = 2.0 * number
        estimate = run.estimate(Progressed(number, 0, {"fits": [1.0]}))
    assert estimate.remaining == pytest.approx(100.0, rel=0.05)  # one unit is in progress or not


def test_one_long_unit_does_not_move_the_end_at_once(forecast, clock):
    run = forecast({"fits": 100}, 1, {"fits": 100.0})
    run.estimate(Started(100, 0, 0, None))
    for number in range(1, 11):
        clock.seconds = float(number)
        before = run.estimate(Progressed(number, 0, {"fits": [1.0]}))
    clock.seconds = 13.0
    after = run.estimate(Progressed(11, 0, {"fits": [3.0]}))
    assert before.remaining == pytest.approx(90.0)
    # The end moves by 2 s, of which 3 of the 10.2 s count in which it follows: the unit is not expected again.
    assert after.remaining == pytest.approx(87.0 + 2.0 * 3.0 / 10.2, abs=0.01)


def test_units_that_compile_are_not_expected_again(forecast, clock):
    """The first unit of each of two workers takes 30 s, all others 1 s; the second task has the ratio of the others."""
    run = forecast({"fits": 20, "refits": 20}, 2, {"fits": 2.0, "refits": 4.0})
    units = [("fits", 30.0)] * 2 + [("fits", 1.0)] * 18 + [("refits", 2.0)] * 20
    estimates = simulate(run, clock, units, 2)
    end = estimates[-1][0]
    for now, estimate in estimates[5:]:
        assert estimate.remaining == pytest.approx(end - now, abs=2.0)  # a unit of each worker


def test_later_tasks_have_the_ratio_of_the_earlier_ones(forecast, clock):
    """Blocks of several volumes are one task."""
    counts, work = {"matches": 4, "volume-0": 2, "volume-1": 2}, {"matches": 4.0, "volume-0": 20.0, "volume-1": 20.0}
    predicted = forecast(counts, 1, work)
    predicted.estimate(Started(8, 0, 0, None))
    clock.seconds = 8.0
    estimate = predicted.estimate(Progressed(4, 0, {"matches": [2.0] * 4}))
    assert estimate.remaining == pytest.approx(80.0)
    assert estimate.tasks == (TaskProgress("matches", 4, 4), TaskProgress("volume", 0, 4))


def test_without_a_prediction_a_unit_of_each_task_is_needed(forecast, clock):
    unpredicted = forecast({"matches": 2, "volume": 2}, 1)
    assert unpredicted.estimate(Started(4, 0, 0, None)).remaining is None
    clock.seconds = 5.0
    estimate = unpredicted.estimate(Progressed(2, 0, {"matches": [2.5, 2.5]}))
    assert (estimate.remaining, estimate.fraction) == (None, None)
    clock.seconds = 12.0
    assert unpredicted.estimate(Progressed(3, 0, {"volume": [7.0]})).remaining == pytest.approx(7.0)


def test_a_resumed_run_continues_its_percentage(forecast, clock):
    resumed = forecast({"fits": 10}, 1, {"fits": 10.0})
    assert resumed.estimate(Started(10, 6, 0, None, finished={"fits": 6})).fraction is None
    clock.seconds = 2.0
    assert resumed.estimate(Progressed(8, 0, {"fits": [1.0, 1.0]})).fraction == pytest.approx(0.8)


def test_lines_name_stage_percentage_and_remaining_time(clock):
    stream = io.StringIO()
    lines = ProgressLines(stream, clock)
    lines(Stage("starting workers"))
    lines(Started(7, 0, 0, None))
    tasks = (TaskProgress("matches", 0, 5), TaskProgress("volume", 0, 2))
    lines(Estimate(tasks, 0.0, 30.0))
    clock.seconds = 1.0
    lines(Estimate(tasks, 0.03, 29.0))  # too soon
    clock.seconds = 12.0
    lines(Estimate((TaskProgress("matches", 2, 5), tasks[1]), 0.415, 17.0))
    lines(Message("retry"))
    clock.seconds = 29.0
    lines(Estimate((TaskProgress("matches", 5, 5), TaskProgress("volume", 2, 2)), 1.0, 0.0))
    assert stream.getvalue().splitlines() == [
        "starting workers",
        "0 %: 0 of 5 matches, about 30 s left, after 0 s",
        "41 %: 2 of 5 matches, about 17 s left, after 12 s",
        "retry",
        "100 %: 2 of 2 volume, after 29 s",
    ]


def test_an_adaptive_run_has_an_upper_limit_and_no_percentage(clock):
    stream = io.StringIO()
    lines = ProgressLines(stream, clock)
    lines(Started(60, 0, 0, None, adaptive=True))
    lines(Estimate((TaskProgress("designs", 12, 60),), 0.2, 40.0))
    assert stream.getvalue() == "12 of at most 60 designs, at most 40 s left, after 0 s\n"
