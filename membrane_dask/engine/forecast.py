"""Forecast of the remaining time of a run: how long a schedule of its open batches takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from membrane_dask.engine.events import (
    Estimate,
    Event,
    FinishedBatch,
    Progressed,
    RunningBatch,
    Stage,
    Started,
    TaskProgress,
)
from membrane_dask.engine.plan import Plan, default_workers
from membrane_dask.program import task_stem

Number = TypeVar("Number", int, float)

#: Factor by which a time may be wrong that is predicted, or measured once.
_UNCERTAIN = 1.5
#: Least factor by which a time may be wrong: the load of the machine changes.
_LEAST_UNCERTAIN = 1.1
#: Least seconds between two estimates: with thousands of workers each takes milliseconds.
_INTERVAL = 0.1
#: Shortest and longest end of a run, over the time in which its workers start (measured, benchmarks/remaining_time.py).
_END = (0.5, 1.3)
#: Longest start of workers that counts, in seconds: what takes longer is a wait for them.
_LONGEST_OPENING = 60.0


@dataclass
class _Times:
    """Batches that have finished: their number, units and seconds, and sums of the seconds of a unit and its square."""

    batches: int = 0
    units: int = 0
    seconds: float = 0.0
    unit_seconds: float = 0.0
    squares: float = 0.0

    def add(self, units: int, seconds: float) -> None:
        """Add a batch."""
        self.batches += 1
        self.units += units
        self.seconds += seconds
        self.unit_seconds += seconds / units
        self.squares += (seconds / units) ** 2

    def deviation(self) -> float:
        """Standard deviation of the seconds of a unit, over their mean."""
        mean = self.unit_seconds / self.batches
        variance = max(self.squares - self.batches * mean**2, 0.0) / (self.batches - 1)
        return math.sqrt(variance) / mean if mean else 0.0


@dataclass
class _Task:
    """A task: its units, those of a batch, the predicted seconds of one, and what has finished.

    ``finished`` counts the units of earlier drivers too, of which there are ``n_before``. A batch is the ``first`` one
    of its worker, or a ``later`` one; units of earlier drivers count as those of first ones.
    """

    total: int
    batch: int
    predicted: float | None
    n_before: int = 0
    finished: int = 0
    first: _Times = field(default_factory=_Times)
    later: _Times = field(default_factory=_Times)

    def unit_seconds(self) -> float | None:
        """Mean time of a finished unit in seconds; None while there is none."""
        times = self.later if self.later.units else self.first
        return times.seconds / times.units if times.units else None

    def uncertainty(self, workers: int) -> float:
        """Factor by which the mean time of a worker's units that are left may differ from that of finished ones."""
        if self.later.batches < 2:
            return _UNCERTAIN
        n_left = max(1.0, (self.total - self.finished) / self.batch / workers)  # batches of each worker
        deviation = self.later.deviation() * math.sqrt(1 / self.later.batches + 1 / n_left)
        return min(max(1 + 2 * deviation, _LEAST_UNCERTAIN), 3.0)


class Forecast:
    """Remaining time of a run while it is executed, as a shortest and a longest time.

    The remaining time is that of a schedule: the batches in progress end, and then each worker takes the next batch of
    the first task that has one. A task that has not begun waits for those before it, as the units of most studies need
    those of the task before. A unit takes the mean time of the finished ones of its task. Before one has finished, it
    takes its predicted time, multiplied by the ratio of actual to predicted time of other tasks, or else of pilots on
    this machine: predictions are times on an idle machine, and a busy one needs ten times as long. The end of a run,
    when its workers stop and its results are collected, takes about as long as the start of its workers, and so does
    the loading of libraries in a worker.

    The shortest and the longest time are those of schedules with shorter and longer batches: by the spread of finished
    ones, and of a batch that has taken longer than that, by half of its time. Of an adaptive program, the shortest time
    is that of the units that it has asked for, and the longest that of all units.

    Parameters
    ----------
    plan : Plan
        Plan of the run; without a predicted cost, the time is not known before a unit of each task has finished.
    earlier : mapping of str to (int, float), optional
        Number and seconds of the units that earlier drivers have finished, by task.
    clock : callable
        Seconds of the clock of :class:`RunningBatch`.
    """

    def __init__(
        self,
        plan: Plan,
        earlier: Mapping[str, tuple[int, float]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._workers = default_workers(plan.cluster)
        work = _sums(plan.costs.work) if plan.costs else {}
        batch = {task_stem(task): units for task, units in plan.batch.items()}
        self._tasks = {
            task: _Task(total, batch.get(task, 1), work[task] / total if total and task in work else None)
            for task, total in _sums(plan.counts).items()
        }
        for task, (units, seconds) in (earlier or {}).items():
            if task in self._tasks:
                self._tasks[task].first = _Times(units=units, seconds=seconds)
        # Workers elsewhere are not as busy as the machine of the pilots.
        self._slowdown = plan.slowdown if plan.cluster.scheduler in ("local", "sync") else None
        self._running: Sequence[RunningBatch] = ()
        self._n_open: int | None = None  # units that an adaptive program has asked for
        self._loaded: set[str] = set()  # workers that have finished a batch
        self._n_failed = 0
        self._start = self._stage_start = clock()
        self._last = -math.inf  # when the last estimate was made
        self._opening = 0.0  # seconds in which the workers have started
        self._largest_fraction = 0.0

    def set_workers(self, workers: int) -> None:
        """Number of workers, where it is not that of the cluster that the study names."""
        self._workers = workers

    def estimate(self, event: Event) -> Estimate | None:
        """What follows from an event for the whole run; None if the event says nothing on its progress."""
        if isinstance(event, Stage):
            self._stage_start = self._clock()
        if not isinstance(event, Started | Progressed):
            return None
        self._n_failed = event.failed
        if isinstance(event, Started):
            self._opening = min(self._clock() - self._stage_start, _LONGEST_OPENING)
            for name, number in _sums(event.finished).items():
                self._tasks[name].n_before = self._tasks[name].finished = number
        else:
            self._running, self._n_open = event.running, event.open
            for batch in event.finished:
                self._count(batch)
        tasks = tuple(TaskProgress(name, task.finished, task.total) for name, task in self._tasks.items())
        is_over = sum(task.total - task.finished for task in self._tasks.values()) <= self._n_failed
        if self._clock() - self._last < _INTERVAL and not is_over:
            return None
        self._last = self._clock()
        times = self._unit_times()
        if times is None:
            return Estimate(tasks, None, None, self._n_failed)
        shorter = {name: seconds / factor for name, (seconds, factor) in times.items()}
        longer = {name: seconds * factor for name, (seconds, factor) in times.items()}
        shortest, longest = self._schedule(shorter, 0.0, self._n_open), self._schedule(longer, 0.5)
        remaining = shortest + _END[0] * self._opening, longest + _END[1] * self._opening
        return Estimate(tasks, self._fraction(times, sum(remaining) / 2), remaining, self._n_failed)

    def _count(self, batch: FinishedBatch) -> None:
        if batch.units:  # others have failed
            task = self._tasks[task_stem(batch.task)]
            task.finished += batch.units
            if batch.worker in self._loaded:
                task.later.add(batch.units, batch.seconds)
            else:  # it also loaded libraries, between its submission and its first unit
                task.first.add(batch.units, batch.computing)
                self._loaded.add(batch.worker)

    def _unit_times(self) -> dict[str, tuple[float, float]] | None:
        """Seconds of a unit of each task, and the factor by which they may be wrong; None if one is not known."""
        times = {
            name: (seconds, task.uncertainty(self._workers))
            for name, task in self._tasks.items()
            if (seconds := task.unit_seconds()) is not None
        }
        actual = predicted = 0.0
        for name, (seconds, _) in times.items():
            task = self._tasks[name]
            if task.predicted is not None:
                n_timed = task.first.units + task.later.units
                actual += n_timed * seconds
                predicted += n_timed * task.predicted
        ratio = actual / predicted if predicted else self._slowdown
        for name, task in self._tasks.items():
            if name not in times and task.finished < task.total:
                if task.predicted is None or ratio is None:
                    return None
                times[name] = task.predicted * ratio, _UNCERTAIN
        return times

    def _schedule(self, unit_times: Mapping[str, float], overdue: float, n_needed: int | None = None) -> float:
        """Seconds until the last batch has finished; one that is overdue takes a fraction of its time longer.

        Where ``n_needed`` is given, only that number of units is needed, those in progress included.
        """
        n_running = dict.fromkeys(self._tasks, 0)
        left = []
        now, loading = self._clock(), 0.0 if self._loaded else self._opening
        for batch in self._running:
            name = task_stem(batch.task)
            n_running[name] += batch.units
            elapsed = now - batch.submitted
            left.append(max(loading + batch.units * unit_times.get(name, 0.0) - elapsed, overdue * elapsed))
        idle_from = np.zeros(max(self._workers, len(left)))
        idle_from[: len(left)] = left
        n_failed = self._n_failed
        n_needed = sum(task.total for task in self._tasks.values()) if n_needed is None else n_needed
        n_needed -= sum(n_running.values())
        for name, task in self._tasks.items():
            n_open = max(task.total - task.finished - n_running[name], 0)
            if task.finished or n_running[name]:
                failed = min(n_failed, n_open)
                n_failed -= failed
                n_open -= failed
            else:
                idle_from[:] = idle_from.max()
            n_open = min(n_open, n_needed)
            if n_open > 0:
                n_needed -= n_open
                n_batches = math.ceil(n_open / task.batch)
                seconds = unit_times[name] * n_open / n_batches
                n_each, n_more = divmod(n_batches, len(idle_from))
                idle_from = np.sort(idle_from) + n_each * seconds
                idle_from[:n_more] += seconds
        return float(idle_from.max())

    def _fraction(self, times: Mapping[str, tuple[float, float]], remaining: float) -> float:
        """Fraction of the whole run's time that is over; what earlier drivers have done counts.

        It stands still, and does not fall, where units take longer than expected.
        """
        before = sum(task.n_before * times[name][0] for name, task in self._tasks.items() if name in times)
        over = before / self._workers + self._clock() - self._start
        fraction = over / (over + remaining) if over + remaining else 1.0
        self._largest_fraction = max(self._largest_fraction, fraction)
        return self._largest_fraction


def _sums(values: Mapping[str, Number]) -> dict[str, Number]:
    """Sums of numbers of tasks over those that differ in the number of their volume only."""
    sums: dict[str, Number] = {}
    for task, value in values.items():
        stem = task_stem(task)
        sums[stem] = sums[stem] + value if stem in sums else value
    return sums
