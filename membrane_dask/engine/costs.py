"""Cost of a run, predicted from units that are computed here and now."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.engine.rounds import Schedule
from membrane_dask.engine.unit_calls import UnitContext, children_cpu_time, compute
from membrane_dask.errors import ProgramError
from membrane_dask.program import Costs, Outcome, Program, Unit


class _MemoryScratch:
    """Scratch data in memory."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, tuple[int, ...]], dict[str, np.ndarray]] = {}

    def write(self, unit: Unit, arrays: Mapping[str, Any]) -> None:
        self._arrays[unit.task, unit.index] = {name: np.asarray(value) for name, value in arrays.items()}

    def read(self, name: str, index: tuple[int, ...], only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays that one unit of ``name`` has left, or some of them."""
        arrays = self._arrays[name, tuple(index)]
        # Copies, as arrays of a file are the reader's own.
        return {key: arrays[key].copy() for key in (only or arrays)}


@dataclass
class Times:
    """Times of units in seconds, by task.

    Parameters
    ----------
    cpu : mapping of str to float
        CPU time, also of processes that the units start.
    idle : mapping of str to float
        Wall time on an idle machine: without the time in which other processes had the core of this one, where the
        operating system counts it (Linux). It is more than the CPU time of units that wait, for example for a process.
    """

    cpu: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    idle: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextlib.contextmanager
    def measure(self, task: str) -> Iterator[None]:
        """Add the time of a block."""
        wall, queued = time.perf_counter(), _queueing_time()
        own, children = time.process_time(), children_cpu_time()
        yield
        own, children = time.process_time() - own, children_cpu_time() - children
        self.cpu[task] += own + children
        # Threads of this process, which a worker does not have, may have more CPU time than wall time.
        self.idle[task] += max(own, time.perf_counter() - wall - (_queueing_time() - queued))


def _queueing_time() -> float:
    """Seconds in which this thread could have run and had no core, where Linux counts it, else 0."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0


def run_in_memory(program: Program) -> Times:
    """Compute all units of a program, and measure them.

    Parameters
    ----------
    program : Program
        A small program; its tables and images are not stored.

    Returns
    -------
    Times
        Times of all units of each task.

    Raises
    ------
    ProgramError
        If a unit fails.
    """
    scratch = _MemoryScratch()
    context = UnitContext({**program.context, "scratch": scratch})
    left = {target.name for target in program.scratch}
    history: dict[str, Outcome] = {}
    schedule = Schedule(program, history)
    times = Times()
    finished: list[str] = []
    while units := schedule.propose(finished):
        finished = []
        for unit in units:
            try:
                with times.measure(unit.task):
                    arrays, feedback = compute(program.work, context, unit)
            except Exception as error:
                raise ProgramError(f"the pilot {unit.key} failed: {error}") from error
            if unit.task in left:
                scratch.write(unit, arrays)
            history[unit.key] = Outcome("done", feedback)
            finished.append(unit.key)
    return times


def measure(program: Program) -> tuple[Costs, dict[str, float], float]:
    """Measure pilots of a program.

    Parameters
    ----------
    program : Program
        Its :meth:`~membrane_dask.program.Program.pilots` and
        :meth:`~membrane_dask.program.Program.pilot_programs` are run.

    Returns
    -------
    costs : Costs
        Predicted work.
    seconds : dict of str to float
        Measured seconds of a pilot, by task.
    slowdown : float
        Wall time of the pilots over that on an idle machine, at least 1: how busy this machine is.

    Notes
    -----
    What is measured was run before, so that the time to compile is not counted.
    """
    small, pilots = Times(), Times()
    number: defaultdict[str, int] = defaultdict(int)
    start, whole, context = time.perf_counter(), Times(), UnitContext(program.context)
    with whole.measure(""):
        for pilot in program.pilot_programs():
            small = run_in_memory(pilot)
        for unit in program.pilots():
            if unit.task not in number and unit.task not in small.cpu:
                compute(program.work, context, unit)
            with pilots.measure(unit.task):
                compute(program.work, context, unit)
            number[unit.task] += 1
    wall = time.perf_counter() - start
    cpu, idle = ({task: total / number[task] for task, total in times.items()} for times in (pilots.cpu, pilots.idle))
    costs = replace(program.costs(idle, small.idle), cpu_work=program.costs(cpu, small.cpu).work)
    return costs, idle, max(wall / whole.idle[""], 1.0)
