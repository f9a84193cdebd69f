"""The remaining time of a run: synthetic runs, whose ends are known, end when the forecast says so."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

from membrane_dask.engine import forecast as forecast_module
from membrane_dask.engine.events import (
    Estimate,
    FinishedBatch,
    Message,
    Progressed,
    RunningBatch,
    Stage,
    Started,
    TaskProgress,
)
from membrane_dask.engine.forecast import Forecast
from membrane_dask.engine.plan import as_seconds_range
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

    def make(counts, workers, work=None, scheduler="local", batch=None, slowdown=None, earlier=None):
        costs = None if work is None else Costs(work)
        cluster = SimpleNamespace(workers=workers, scheduler=scheduler)
        plan = SimpleNamespace(cluster=cluster, counts=counts, costs=costs, batch=batch or {}, slowdown=slowdown)
        return Forecast(plan, earlier, clock)

    return make


def simulate(forecast, clock, stages, workers, opening=0.0, loading=0.0, closing=0.0):
    """Run stages one after the other, each of batches (task, seconds of its units), at the first idle worker.

    Workers start in ``opening`` seconds, and load libraries before their first batch. Returns estimates with their
    moments, once a second and at the end of each batch, and the end of the run.
    """
    forecast.estimate(Stage("starting workers"))
    clock.seconds += opening
    idle_from = [clock.seconds] * workers
    loaded: set[int] = set()
    batches = []  # submission, end, worker, task, seconds of units
    for stage in stages:
        idle_from = [max(idle_from)] * workers
        for task, seconds in stage:
            worker = idle_from.index(min(idle_from))
            start = idle_from[worker]
            idle_from[worker] += sum(seconds) + (0.0 if worker in loaded else loading)
            loaded.add(worker)
            batches.append((start, idle_from[worker], worker, task, seconds))
    last = max(idle_from)
    n_units = sum(len(batch[-1]) for batch in batches)
    estimates = [(clock.seconds, forecast.estimate(Started(n_units, 0, 0, None)))]
    n_done = 0
    for now in sorted({*np.arange(clock.seconds + 1, last, 1.0).tolist(), *(batch[1] for batch in batches)}):
        finished = [
            FinishedBatch(task, len(seconds), str(worker), end - start, sum(seconds))
            for start, end, worker, task, seconds in batches
            if end == now
        ]
        running = [RunningBatch(task, len(s), start) for start, end, _, task, s in batches if start < now < end]
        n_done += sum(batch.units for batch in finished)
        clock.seconds = now
        if (estimate := forecast.estimate(Progressed(n_done, 0, finished, running))) is not None:
            estimates.append((now, estimate))
    return estimates, last + closing


def ratios(estimates, end):
    """Predicted over true remaining time at each quarter of the run; None where it is not known."""
    values = []
    for fraction in (0.25, 0.5, 0.75):
        now, estimate = [pair for pair in estimates if pair[0] <= fraction * end][-1]
        values.append(None if estimate.remaining is None else sum(estimate.remaining) / 2 / (end - now))
    return values


def finished(task, times, worker="0"):
    """Batches of one unit each."""
    return [FinishedBatch(task, 1, worker, seconds, seconds) for seconds in times]


def middle(estimate):
    return sum(estimate.remaining) / 2


@pytest.mark.parametrize("factor", [0.4, 1.0, 10.0])
def test_equal_units_end_when_they_are_said_to(forecast, clock, factor):
    """Whatever the actual time is of the predicted one, from the third batch of a worker on."""
    run = forecast({"fits": 40}, 2, {"fits": 40.0})
    estimates, end = simulate(run, clock, [[("fits", [factor])] * 40], 2)
    assert all(estimate.remaining is None for now, estimate in estimates if now < factor)
    for now, estimate in estimates:
        if now >= 3 * factor:
            shortest, longest = estimate.remaining
            # A batch that is about to end may as well take half of its time longer.
            assert shortest <= end - now + 1e-9 <= longest + 2e-9
            assert longest - shortest <= 0.22 * (end - now) + factor
    fractions = [estimate.fraction for now, estimate in estimates if now >= 3 * factor]
    assert fractions[-1] == pytest.approx(1.0)
    assert np.diff(fractions).min() > -0.02


def test_a_long_tail_of_times_is_in_the_range(forecast, clock):
    """Log-normal times with a standard deviation of 1.3 means, of 200 units, twenty times."""
    rng = np.random.default_rng(1)
    points, n_covered, n_ranges = [], 0, 0
    for _ in range(20):
        clock.seconds = 0.0
        batches = [("lives", [seconds]) for seconds in rng.lognormal(0.0, 1.0, 200)]
        run = forecast({"lives": 200}, 4, {"lives": 30.0})
        estimates, end = simulate(run, clock, [batches], 4)
        points += ratios(estimates, end)
        ranges = [(end - now, estimate.remaining) for now, estimate in estimates[20:-4]]
        n_covered += sum(low <= true <= high for true, (low, high) in ranges)
        n_ranges += len(ranges)
    # A batch of ten times the mean may come last, which nothing foretells.
    assert np.mean([0.5 < ratio < 2.0 for ratio in points]) >= 0.95
    # Two standard deviations cover 95 % where they are known; of few of these times they are underestimated.
    assert n_covered / n_ranges > 0.7


def test_the_start_does_not_enter_the_times(forecast, clock):
    """Workers start in 20 s, and compile for 40 s before units of 1 s; the end takes as long as the start."""
    run = forecast({"fits": 100}, 2, {"fits": 100.0})
    estimates, end = simulate(run, clock, [[("fits", [1.0])] * 100], 2, opening=20.0, loading=40.0, closing=20.0)
    for now, estimate in estimates:
        if now >= 62.0:
            assert middle(estimate) == pytest.approx(end - now, abs=4.0)  # a batch of each worker, and 1/12 of the end


def test_three_long_units_on_two_workers(forecast, clock):
    """Predictions that are wrong by up to a third, on a machine that is three times as slow as its clock."""
    for seconds in ([100.0, 100.0, 100.0], [110.0, 90.0, 130.0], [80.0, 120.0, 100.0]):
        clock.seconds = 0.0
        run = forecast({"matches": 3}, 2, {"matches": 90.0}, slowdown=3.0)
        stage = [("matches", [value]) for value in seconds]
        estimates, end = simulate(run, clock, [stage], 2, opening=5.0, loading=5.0, closing=5.0)
        assert all(ratio is not None and 0.5 < ratio < 2.0 for ratio in ratios(estimates, end))


def test_several_tasks_one_after_the_other(forecast, clock):
    """Tasks of which each takes another ratio of its predicted time, and one that only one worker can compute."""
    counts = {"trials": 8, "selections": 1, "fits": 30}
    run = forecast(counts, 2, {"trials": 4.0, "selections": 1.5, "fits": 6.0}, slowdown=4.0)
    stages = [[("trials", [4.0])] * 8, [("selections", [7.0])], [("fits", [1.5])] * 30]
    estimates, end = simulate(run, clock, stages, 2, opening=4.0, loading=4.0, closing=4.0)
    assert all(ratio is not None and 0.6 < ratio < 1.6 for ratio in ratios(estimates, end))


def test_an_adaptive_run_ends_between_its_requests_and_the_limit(forecast, clock):
    """Of at most 200 units of 1 s, the program has asked for 20, of which 10 have finished and 2 are in progress."""
    run = forecast({"designs": 200}, 2, {"designs": 200.0})
    run.estimate(Started(200, 0, 0, None, adaptive=True))
    clock.seconds = 5.5
    batches = [batch for worker in "01" for batch in finished("designs", [1.0] * 5, worker)]
    estimate = run.estimate(Progressed(10, 0, batches, [RunningBatch("designs", 1, 5.0)] * 2, open=10))
    # 5 and 95 further units of each worker, a half of one is over; a tenth more or less.
    assert estimate.remaining == pytest.approx((5.0 / 1.1 - 0.5, 95.0 * 1.1 - 0.5))


def test_an_adaptive_run_whose_last_units_are_in_progress_may_be_over(forecast, clock):
    run = forecast({"designs": 200}, 2, {"designs": 200.0})
    run.estimate(Started(200, 0, 0, None, adaptive=True))
    clock.seconds = 5.0
    estimate = run.estimate(Progressed(10, 0, finished("designs", [1.0] * 10), open=0))
    assert estimate.remaining[0] == 0.0


def test_there_is_no_time_before_a_unit_has_finished(forecast, clock):
    run = forecast({"fits": 8}, 2, {"fits": 8.0})
    assert run.estimate(Started(8, 0, 0, None)).remaining is None
    clock.seconds = 3.0
    running = [RunningBatch("fits", 1, 0.0)] * 2
    assert run.estimate(Progressed(0, 0, [], running)).remaining is None
    clock.seconds = 3.2
    assert run.estimate(Progressed(1, 0, finished("fits", [3.0]), running[:1])).remaining is not None


def test_estimates_follow_in_tenths_of_a_second(forecast, clock):
    """But the last one is not left out."""
    run = forecast({"fits": 3}, 1, {"fits": 3.0})
    run.estimate(Started(3, 0, 0, None))
    clock.seconds = 0.05
    assert run.estimate(Progressed(1, 0, finished("fits", [0.05]))) is None
    clock.seconds = 0.12
    assert run.estimate(Progressed(2, 0, finished("fits", [0.05]))).tasks == (TaskProgress("fits", 2, 3),)
    clock.seconds = 0.15
    assert run.estimate(Progressed(3, 0, finished("fits", [0.05]))).remaining == (0.0, 0.0)


def test_pilots_on_this_machine_say_how_busy_it_is(forecast, clock):
    def first(scheduler):
        return forecast({"fits": 8}, 2, {"fits": 8.0}, scheduler, slowdown=5.0).estimate(Started(8, 0, 0, None))

    shortest, longest = first("local").remaining
    assert (shortest, longest) == pytest.approx((20.0 / 1.5, 20.0 * 1.5))
    assert first("local").fraction == 0
    assert first("slurm").remaining is None


def test_a_batch_that_takes_long_is_expected_to_take_longer(forecast, clock):
    run = forecast({"fits": 10}, 1, {"fits": 10.0})
    run.estimate(Started(10, 0, 0, None))
    clock.seconds = 9.0
    run.estimate(Progressed(9, 0, finished("fits", [1.0] * 9)))
    clock.seconds = 49.0
    estimate = run.estimate(Progressed(9, 0, [], [RunningBatch("fits", 1, 9.0)]))
    assert estimate.remaining == pytest.approx((0.0, 20.0))


def test_fewer_units_than_workers_take_as_long_as_one(forecast, clock):
    run = forecast({"fits": 42}, 10)
    run.estimate(Started(42, 0, 0, None))
    clock.seconds = 4.0
    batches = [batch for worker in range(10) for batch in finished("fits", [1.0] * 4, str(worker))]
    assert middle(run.estimate(Progressed(40, 0, batches))) == pytest.approx(1.0, rel=0.01)


def test_workers_of_a_client_set_the_remaining_time(forecast, clock):
    run = forecast({"fits": 40}, 2, {"fits": 40.0})
    run.set_workers(10)
    run.estimate(Started(40, 0, 0, None))
    clock.seconds = 1.0
    batches = [batch for worker in range(10) for batch in finished("fits", [1.0], str(worker))]
    assert middle(run.estimate(Progressed(10, 0, batches))) == pytest.approx(3.0 * (1.5 + 1 / 1.5) / 2)


def test_time_between_units_lengthens_the_run(forecast, clock):
    """Units of 1 s, of which a worker finishes one in 2 s."""
    run = forecast({"fits": 100}, 1, {"fits": 100.0})
    run.estimate(Started(100, 0, 0, None))
    for number in range(1, 51):
        clock.seconds = 2.0 * number
        estimate = run.estimate(Progressed(number, 0, [FinishedBatch("fits", 1, "0", 2.0, 1.0)]))
    assert middle(estimate) == pytest.approx(100.0, rel=0.01)


def test_failed_units_are_finished_at_the_end(forecast, clock):
    run = forecast({"fits": 5}, 1, {"fits": 5.0})
    run.estimate(Started(5, 0, 0, None))
    clock.seconds = 5.0
    batches = [*finished("fits", [1.0] * 4), FinishedBatch("fits", 0, "0", 1.0, 0.0)]
    estimate = run.estimate(Progressed(4, 1, batches))
    assert estimate.remaining == (0.0, 0.0)
    stream = io.StringIO()
    lines = ProgressLines(stream, clock)
    lines(Started(5, 0, 0, None))
    lines(estimate)
    assert stream.getvalue().startswith("4 of 5 fits, 1 failed, after ")


def test_volumes_are_one_task(forecast, clock):
    counts, work = {"matches": 4, "volume-0": 2, "volume-1": 2}, {"matches": 4.0, "volume-0": 20.0, "volume-1": 20.0}
    run = forecast(counts, 1, work)
    run.estimate(Started(8, 0, 0, None))
    clock.seconds = 8.0
    estimate = run.estimate(Progressed(4, 0, finished("matches", [2.0] * 4)))
    assert estimate.remaining == pytest.approx((80.0 / 1.5, 80.0 * 1.5))
    assert estimate.tasks == (TaskProgress("matches", 4, 4), TaskProgress("volume", 0, 4))


def test_without_a_prediction_a_unit_of_each_task_is_needed(forecast, clock):
    run = forecast({"matches": 2, "volume": 2}, 1)
    assert run.estimate(Started(4, 0, 0, None)).remaining is None
    clock.seconds = 5.0
    estimate = run.estimate(Progressed(2, 0, finished("matches", [2.5, 2.5])))
    assert (estimate.remaining, estimate.fraction) == (None, None)
    clock.seconds = 12.0
    assert run.estimate(Progressed(3, 0, finished("volume", [7.0]))).remaining == pytest.approx((7 / 1.5, 7 * 1.5))


def test_a_resumed_run_continues_its_percentage(forecast, clock):
    """With 6 of 10 units before, 8 of 10 s are over and 2 s are left, but for the range of a mean of two times."""
    resumed = forecast({"fits": 10}, 1, {"fits": 10.0})
    assert resumed.estimate(Started(10, 6, 0, None, finished={"fits": 6})).fraction is None
    clock.seconds = 3.0
    estimate = resumed.estimate(Progressed(9, 0, finished("fits", [1.0] * 3)))
    assert estimate.fraction == pytest.approx(0.9, abs=0.001)


def test_a_resumed_run_knows_its_remaining_time_from_units_of_earlier_drivers(forecast, clock):
    """Units took twice the predicted time: 4 of 2 s are left, and the 2 of the other task take 2 * 3 s."""
    counts, earlier = {"fits": 10, "volume": 2}, {"fits": (6, 12.0), "absent": (1, 1.0)}
    resumed = forecast(counts, 1, {"fits": 10.0, "volume": 6.0}, earlier=earlier)
    estimate = resumed.estimate(Started(12, 6, 0, None, finished={"fits": 6}))
    assert estimate.remaining == pytest.approx((20 / 1.5, 20 * 1.5))
    assert estimate.fraction == pytest.approx(12 / (12 + sum(estimate.remaining) / 2))
    alone = forecast({"fits": 10}, 1, earlier=earlier)  # without a predicted cost
    assert alone.estimate(Started(10, 6, 0, None, finished={"fits": 6})).remaining == pytest.approx((8 / 1.5, 8 * 1.5))


def test_the_percentage_does_not_fall(forecast, clock):
    """A unit takes ten times as long as the pilot: 10 of 100 s are over where 9 of 10 s were expected."""
    run = forecast({"fits": 10}, 1, {"fits": 10.0}, slowdown=1.0)
    run.estimate(Started(10, 0, 0, None))
    fractions = []
    for seconds, n_new in ((9.0, 0), (10.0, 1), (20.0, 1), (80.0, 6)):
        clock.seconds = seconds
        progress = Progressed(int(seconds // 10), 0, finished("fits", [10.0] * n_new))
        fractions.append(run.estimate(progress).fraction)
    assert fractions[0] > 0.4
    assert fractions[1:3] == [fractions[0]] * 2
    assert fractions[3] == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("remaining", "text"),
    [
        ((100.0, 130.0), "about 1.9 min"),
        ((120.0, 240.0), "2 to 4 min"),
        ((60.0, 180.0), "60 s to 3 min"),
        ((0.0, 12.0), "1 to 12 s"),
        ((0.0, 0.5), "about 1 s"),
    ],
)
def test_the_remaining_time_is_a_range_where_it_is_uncertain(clock, remaining, text):
    stream = io.StringIO()
    ProgressLines(stream, clock)(Estimate((TaskProgress("fits", 1, 5),), 0.2, remaining))
    assert stream.getvalue() == f"20 %: 1 of 5 fits, {text} left, after 0 s\n"


def test_lines_name_stage_percentage_and_remaining_time(clock):
    stream = io.StringIO()
    lines = ProgressLines(stream, clock)
    lines(Stage("starting workers"))
    lines(Started(7, 0, 0, None))
    tasks = (TaskProgress("matches", 0, 5), TaskProgress("volume", 0, 2))
    lines(Estimate(tasks, 0.0, (25.0, 35.0)))
    clock.seconds = 1.0
    lines(Estimate(tasks, 0.03, (24.0, 34.0)))  # too soon
    clock.seconds = 12.0
    lines(Estimate((TaskProgress("matches", 2, 5), tasks[1]), 0.415, (10.0, 20.0)))
    lines(Message("retry"))
    clock.seconds = 29.0
    lines(Estimate((TaskProgress("matches", 5, 5), TaskProgress("volume", 2, 2)), 0.98, (0.4, 0.8)))
    assert stream.getvalue().splitlines() == [
        "starting workers",
        "0 %: 0 of 5 matches, about 30 s left, after 0 s",
        "41 %: 2 of 5 matches, 10 to 20 s left, after 12 s",
        "retry",
        "98 %: 2 of 2 volume, about 1 s left, after 29 s",
    ]


@pytest.mark.parametrize(
    ("shortest", "longest", "text"),
    [(99.7, 246, "1.7 to 4.1 min"), (99.4, 300, "99 s to 5 min"), (5975, 12000, "1.66 to 3.33 h")],
)
def test_no_time_is_written_with_a_power_of_ten(shortest, longest, text):
    assert as_seconds_range(shortest, longest) == text


def test_an_adaptive_run_has_an_upper_limit_and_no_percentage(clock):
    stream = io.StringIO()
    lines = ProgressLines(stream, clock)
    lines(Started(60, 0, 0, None, adaptive=True))
    lines(Estimate((TaskProgress("designs", 12, 60),), 0.2, (10.0, 40.0)))
    assert stream.getvalue() == "12 of at most 60 designs, 10 to 40 s left, after 0 s\n"
