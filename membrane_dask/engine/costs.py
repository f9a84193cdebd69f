"""Cost of a run, predicted from units that are computed here and now."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.engine.rounds import Schedule
from membrane_dask.engine.unit_calls import compute
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


def run_in_memory(program: Program) -> dict[str, float]:
    """Compute all units of a program, and measure them.

    Parameters
    ----------
    program : Program
        A small program; its tables and images are not stored.

    Returns
    -------
    dict of str to float
        Seconds of all units of each task.

    Raises
    ------
    ProgramError
        If a unit fails.
    """
    scratch = _MemoryScratch()
    context = {**program.context, "scratch": scratch}
    left = {target.name for target in program.scratch}
    history: dict[str, Outcome] = {}
    schedule = Schedule(program, history)
    seconds: defaultdict[str, float] = defaultdict(float)
    finished: list[str] = []
    while units := schedule.propose(finished):
        finished = []
        for unit in units:
            start = time.process_time()
            try:
                arrays, feedback = compute(program.work, context, unit)
            except Exception as error:
                raise ProgramError(f"the pilot {unit.key} failed: {error}") from error
            seconds[unit.task] += time.process_time() - start
            if unit.task in left:
                scratch.write(unit, arrays)
            history[unit.key] = Outcome("done", feedback)
            finished.append(unit.key)
    return dict(seconds)


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
        Wall time over CPU time of the pilots, at least 1: how busy this machine is.

    Notes
    -----
    What is measured was run before, so that the time to compile is not counted.
    """
    small: dict[str, float] = {}
    times: dict[str, list[float]] = {}
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    for pilot in program.pilot_programs():
        small = run_in_memory(pilot)
    for unit in program.pilots():
        if unit.task not in times and unit.task not in small:
            compute(program.work, program.context, unit)
        start = time.process_time()
        compute(program.work, program.context, unit)
        times.setdefault(unit.task, []).append(time.process_time() - start)
    wall, cpu = time.perf_counter() - wall_start, time.process_time() - cpu_start
    seconds = {task: float(np.mean(samples)) for task, samples in times.items()}
    return program.costs(seconds, small), seconds, max(wall / cpu, 1.0) if cpu else 1.0
