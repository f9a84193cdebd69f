"""Forecast of the remaining time of a run, from its predicted cost and from the units that have finished."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from membrane_dask.engine.events import Estimate, Event, Progressed, Started, TaskProgress
from membrane_dask.engine.plan import Plan, default_workers
from membrane_dask.program import task_stem

Number = TypeVar("Number", int, float)


#: Fraction of the expected work that must have finished before the remaining time is known.
_MIN_FRACTION = 0.05
#: Time in which a new prediction replaces the earlier one, over the time of the whole run.
_SMOOTHING = 0.1


class Forecast:
    """Remaining time of a run while it is executed.

    A unit is expected to take the mean time of the finished units of its task, without the longest one of each worker
    where there are others, as the first unit of a worker also compiles its code. Before one has finished, it is
    expected to take its predicted time, multiplied by the ratio of actual to predicted time of the units that have
    finished: predictions are CPU times, and a busy machine may need ten times as long. Therefore the remaining time is
    not known before each worker has finished a unit, and all of them a twentieth of the work. The time that workers
    spend between units lengthens the run in the same proportion as before. Tasks are taken one after the other, as the
    units of most studies need those of the task before.

    Parameters
    ----------
    plan : Plan
        Plan of the run; without a predicted cost, the time is not known before a unit of each task has finished.
    clock : callable
        Seconds of a steady clock.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers = default_workers(plan.cluster)
        self._totals = _sums(plan.counts)
        self._batch = {task_stem(task): units for task, units in plan.batch.items()}
        work = _sums(plan.costs.work) if plan.costs else {}
        self._predicted = {task: work[task] / count for task, count in self._totals.items() if count and task in work}
        self._finished = dict.fromkeys(self._totals, 0)
        self._times: dict[str, list[float]] = {task: [] for task in self._totals}
        self._n_failed = 0
        self._fraction_before = 0.0
        self._start = clock()
        self._first_unit = self._start  # when the workers began to compute
        self._end: tuple[float, float] | None = None  # when it was predicted, and the smoothed end of the run

    def set_workers(self, workers: int) -> None:
        """Number of workers, where it is not that of the cluster that the study names."""
        self._workers = workers

    def estimate(self, event: Event) -> Estimate | None:
        """What follows from an event for the whole run; None if the event says nothing on its progress."""
        if isinstance(event, Started):
            self._start = self._clock()
            self._finished |= _sums(event.finished)
            self._n_failed = event.failed
            open_time = self._open_time()
            if any(self._finished.values()) and open_time is not None:
                finished_time = sum(self._finished[task] * (self._unit_time(task) or 0.0) for task in self._totals)
                self._fraction_before = finished_time / max(finished_time + open_time * self._workers, 1e-9)
        elif isinstance(event, Progressed):
            if event.times and not any(self._times.values()):
                first = sum(map(sum, event.times.values()))
                self._first_unit = max(self._clock() - first, self._start)
            for task, times in event.times.items():
                self._times[task_stem(task)] += times
                self._finished[task_stem(task)] += len(times)
            self._n_failed = event.failed
        else:
            return None
        remaining = self._smoothed(self._remaining())
        return Estimate(self._tasks(), self._fraction(remaining), remaining, self._n_failed)

    def _smoothed(self, remaining: float | None) -> float | None:
        """Remaining time by an end of the run that moves to each new prediction in a tenth of the time of the run."""
        if not remaining:
            return remaining
        now = self._clock()
        end = now + remaining
        if self._end is not None:
            before, former_end = self._end
            weight = min((now - before) / (_SMOOTHING * (end - self._start)), 1.0)
            end = former_end + weight * (end - former_end)
        self._end = now, end
        return max(end - now, 0.0)

    def _tasks(self) -> tuple[TaskProgress, ...]:
        return tuple(TaskProgress(task, self._finished[task], total) for task, total in self._totals.items())

    def _remaining(self) -> float | None:
        """Seconds until the end, without what workers have done on units that have not finished."""
        if sum(self._finished.values()) + self._n_failed >= sum(self._totals.values()):
            return 0.0
        open_time = self._open_time()
        n_timed, finished_work = (sum(map(count, self._times.values())) for count in (len, sum))
        at_once = min(self._workers, max(self._totals.values()))  # units that are computed at the same time
        if open_time is None or n_timed < at_once:
            return None
        if finished_work <= _MIN_FRACTION * (finished_work + open_time * self._workers):
            return None
        # Of a task of fewer units than workers, the others had nothing to do.
        computed = sum(sum(times) / min(len(times), self._workers) for times in self._times.values() if times)
        elapsed = self._clock() - self._first_unit
        in_progress = min(max(elapsed - computed, 0.0), self._longest_batch())
        slowdown = max((elapsed - in_progress) / computed, 1.0)
        return max(open_time * slowdown - in_progress, 0.0)

    def _longest_batch(self) -> float:
        """Expected seconds of the longest batch that a worker computes now."""
        times = [0.0]
        for task in self._open_tasks():
            n_units = min(
                self._batch.get(task, 1), math.ceil((self._totals[task] - self._finished[task]) / self._workers)
            )
            times.append((self._unit_time(task) or 0.0) * n_units)
        return max(times)

    def _open_tasks(self) -> list[str]:
        return [task for task, total in self._totals.items() if self._finished[task] < total]

    def _open_time(self) -> float | None:
        """Seconds that all workers need for the units that have not finished; None if that is not known."""
        seconds = 0.0
        for task in self._open_tasks():
            unit_time = self._unit_time(task)
            if unit_time is None:
                return None
            seconds += unit_time * math.ceil((self._totals[task] - self._finished[task]) / self._workers)
        return seconds

    def _unit_time(self, task: str) -> float | None:
        """Expected seconds of a unit, without those in which each worker compiles its code if there are others."""
        if times := self._times[task]:
            shortest = sorted(times)[: -self._workers] if len(times) >= 2 * self._workers else times
            return sum(shortest) / len(shortest)
        return self._predicted[task] * self._ratio() if task in self._predicted else None

    def _ratio(self) -> float:
        """Actual over predicted time of the finished units; 1 while there are none."""
        actual = predicted = 0.0
        for task, times in self._times.items():
            if times and task in self._predicted:
                actual += len(times) * (self._unit_time(task) or 0.0)
                predicted += len(times) * self._predicted[task]
        return actual / predicted if predicted else 1.0

    def _fraction(self, remaining: float | None) -> float | None:
        """Fraction of the whole run's time that is over; what an earlier driver has done counts."""
        if remaining is None:
            return None
        elapsed = self._clock() - self._start
        fraction = elapsed / (elapsed + remaining) if elapsed + remaining else 1.0
        return self._fraction_before + (1 - self._fraction_before) * fraction


def _sums(values: Mapping[str, Number]) -> dict[str, Number]:
    """Sums of numbers of tasks over those that differ in the number of their volume only."""
    sums: dict[str, Number] = {}
    for task, value in values.items():
        stem = task_stem(task)
        sums[stem] = sums[stem] + value if stem in sums else value
    return sums
