"""Execution of one batch of units on a worker, and repetition of a finished unit to compare its values."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from membrane_dask.engine import durability, store
from membrane_dask.engine.late_files import AlteredFileError, LateFileError, wait_until_visible
from membrane_dask.engine.limits import peak_memory, reset_peak_memory, time_limit, write_memory_note
from membrane_dask.engine.software import Requirement, Software
from membrane_dask.engine.unit_calls import UnitContext, children_cpu_time, compute
from membrane_dask.files import disk_errors
from membrane_dask.program import Unit, Work

#: Errors that depend on the machine: of files, memory and time limits.
_CIRCUMSTANCES = (OSError, MemoryError, LateFileError, AlteredFileError)


@dataclass(frozen=True)
class BatchOptions:
    """Options of the driver for a batch.

    Parameters
    ----------
    software : Requirement, optional
        Software that the worker must have: results of another one could differ.
    timeout : float, optional
        Time limit of a unit, in seconds.
    notes : str
        Folder of the notes on units that exceeded the time limit and could not be stopped.
    sync_root : str
        The run directory, if a batch is finished only once its files and their folders there are on disk.
    """

    software: Requirement | None = None
    timeout: float | None = None
    notes: str = ""
    sync_root: str = ""


@dataclass(frozen=True)
class UnitFailure:
    """Why an attempt at a unit failed.

    Parameters
    ----------
    error : str
        Type and message of the exception.
    traceback : str
        Traceback, or a description where there is none.
    killed : bool
        Whether the unit ended its worker process.
    permanent : bool
        Whether the cause is in the unit itself, which therefore fails again wherever it is computed.
    """

    error: str
    traceback: str
    killed: bool = False
    permanent: bool = False


@dataclass
class BatchResult:
    """Result of a batch whose values are on disk.

    Parameters
    ----------
    seconds : dict of str to float
        Time of each finished unit, in seconds, by key.
    cpu_seconds : dict of str to float
        CPU time of the worker process, and of processes that the unit started, during each finished unit, in seconds.
    memory : dict of str to int
        Peak memory of the worker process during each finished unit, in bytes.
    sha256 : dict of str to str
        Digest of the values of each finished unit.
    feedback : dict of str to dict
        Feedback of each finished unit to the program.
    failures : dict of str to UnitFailure
        Units that failed.
    worker : str
        Host and process of the worker.
    versions : dict of str to str
        Versions of the worker's libraries that are not the driver's.
    refused : Software, optional
        Software of a worker that computed nothing, as it is not the driver's.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, UnitFailure] = field(default_factory=dict)
    worker: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    refused: Software | None = None

    def record(self, units: Sequence[Unit]) -> dict[str, Any]:
        """Entries of the journal for some of the finished units, all of one task."""
        measured: dict[str, Mapping[str, Any]] = {
            "seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "memory": self.memory, "sha256": self.sha256,
        }  # fmt: skip
        return {
            "done": [unit.key for unit in units],
            "task": units[0].task,
            "index": [unit.index for unit in units],
            **{name: [values[unit.key] for unit in units] for name, values in measured.items()},
            "feedback": {unit.key: self.feedback[unit.key] for unit in units if self.feedback[unit.key]},
            "worker": self.worker,
            **({"versions": self.versions} if self.versions else {}),
        }


@dataclass
class Repetition:
    """Result of a finished unit that was computed again.

    Parameters
    ----------
    key : str
        Key of the unit.
    outcome : str
        ``same`` or ``other`` bits; ``unavailable`` if the data that the unit reads are gone.
    differences : dict of str to str
        The differences in words, by variable.
    worker, versions, refused
        As of :class:`BatchResult`.
    """

    key: str
    outcome: Literal["same", "other", "unavailable"] = "same"
    differences: dict[str, str] = field(default_factory=dict)
    worker: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    refused: Software | None = None


def _reraise_interrupt(error: Exception) -> None:
    """Raise the Ctrl-C or termination behind an error: compiled code reports both as a SystemError."""
    cause: BaseException | None = error
    while isinstance(cause, SystemError):
        cause = cause.__cause__
    if cause is not None and not isinstance(cause, Exception):
        raise cause


def _finite_numbers(unit: Unit, feedback: Mapping[str, Any]) -> dict[str, float]:
    """The feedback of a unit as plain numbers, which the journal can hold.

    Raises
    ------
    ValueError
        If one of them is no finite number.
    """
    numbers: dict[str, float] = {}
    for name, value in feedback.items():
        try:
            number = value if isinstance(value, int | float) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{unit.key}: the feedback {name!r} must be a finite number (got {value!r})")
        numbers[name] = number
    return numbers


def process_name() -> str:
    """Host and number of this process."""
    return f"{os.uname().nodename}-{os.getpid()}"


def _cpu_clock() -> Callable[[], float]:
    """Clock of CPU time: of the process and those it starts, or of this thread where units run in several threads."""
    distributed = sys.modules.get("distributed")  # not imported in a run without a cluster
    try:
        threads = distributed.get_worker().state.nthreads if distributed else 1
    except ValueError:  # no worker of Dask
        threads = 1
    return time.thread_time if threads > 1 else lambda: time.process_time() + children_cpu_time()


def run_batch(
    work: Work, context: Mapping[str, Any], sink: store.Sink, units: Sequence[Unit], options: BatchOptions
) -> BatchResult:
    """Compute the units of a batch one after another and write the values of those that succeed.

    Parameters
    ----------
    work : callable
        ``work(context, unit) -> (arrays, feedback)``.
    context : mapping
        Data of the study, the same for all units.
    sink : Sink
        Where the values are written.
    units : sequence of Unit
        Units of the batch, all of one chunk of the result.
    options : BatchOptions
        Options of the driver.
    """
    result = BatchResult(worker=process_name())
    if options.software is not None:
        result.refused, result.versions = options.software.check()
    if result.refused is not None:
        return result
    if options.notes:
        with contextlib.suppress(OSError):
            write_memory_note(Path(options.notes))
    finished: list[Unit] = []
    values: list[dict[str, Any]] = []
    cpu_clock, own_context = _cpu_clock(), UnitContext(context)
    for unit in units:
        reset_peak_memory()
        start, cpu_start = time.perf_counter(), cpu_clock()
        try:
            with time_limit(options.timeout, unit.key, options.notes):
                arrays, feedback = compute(work, own_context, unit)
            checked = sink.check(unit, arrays)
            numbers = _finite_numbers(unit, feedback)
        except Exception as error:
            _reraise_interrupt(error)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                with disk_errors(tempfile.gettempdir()):  # for example the cache of compiled code: no fault of the unit
                    raise
            permanent = not isinstance(error, _CIRCUMSTANCES)
            message = f"{type(error).__name__}: {error}"
            result.failures[unit.key] = UnitFailure(message, traceback.format_exc(), permanent=permanent)
            continue
        finished.append(unit)
        values.append(checked)
        result.seconds[unit.key] = round(time.perf_counter() - start, 6)
        result.cpu_seconds[unit.key] = round(cpu_clock() - cpu_start, 6)
        result.memory[unit.key] = peak_memory()
        result.sha256[unit.key] = store.digest(values[-1])
        result.feedback[unit.key] = numbers
    if finished:
        with disk_errors(sink.path):  # another host has laid out what is written to
            wait_until_visible(lambda: sink.write(finished, values), sink.path)
            if options.sync_root:
                chunks = {sink.chunk(unit) for unit in finished}
                files = [file for chunk in chunks for file in sink.chunk_files(chunk)]
                durability.sync_files(files, Path(options.sync_root))
    return result


def repeat_unit(
    work: Work, context: Mapping[str, Any], sink: store.Sink, unit: Unit, sha256: str, feedback: Mapping[str, float],
    options: BatchOptions,
) -> Repetition:  # fmt: skip
    """Compute a finished unit again and compare it with the result; nothing is written.

    Parameters
    ----------
    work, context, sink, options
        As of :func:`run_batch`.
    unit : Unit
        The unit.
    sha256 : str
        Recorded digest of its values.
    feedback : mapping of str to float
        Its recorded feedback.
    """
    result = Repetition(unit.key, worker=process_name())
    if options.software is not None:
        result.refused, result.versions = options.software.check()
    if result.refused is not None:
        return result
    try:
        with time_limit(options.timeout, unit.key, options.notes):
            arrays, numbers = compute(work, UnitContext(context), unit)
        values = sink.check(unit, arrays)
        numbers = _finite_numbers(unit, numbers)
    except (FileNotFoundError, LateFileError, AlteredFileError):
        result.outcome = "unavailable"
        return result
    except Exception as error:
        _reraise_interrupt(error)
        result.outcome, result.differences = "other", {"": f"fails with {type(error).__name__}: {error}"}
        return result
    if store.digest(values) != sha256:
        result.outcome = "other"
        try:
            result.differences = differences(sink.read(unit), values)
        except Exception:  # unreadable values are reported where results are verified
            result.differences = {}
    for name in sorted({*feedback, *numbers}):
        if feedback.get(name) != numbers.get(name):
            result.outcome = "other"
            result.differences[f"feedback {name}"] = f"{feedback.get(name)} -> {numbers.get(name)}"
    return result


def differences(stored: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Differences between stored values and others in words, by variable; those with equal bits are left out."""
    texts = {}
    for name in sorted({*stored, *values}):
        if name not in stored or name not in values:
            texts[name] = "exists in one of them only"
            continue
        old, new = np.asarray(stored[name]), np.asarray(values[name])
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            texts[name] = f"{old.dtype} {old.shape} -> {new.dtype} {new.shape}"
        elif np.ascontiguousarray(old).tobytes() != np.ascontiguousarray(new).tobytes():
            texts[name] = _difference(old, new)
    return texts


def _difference(old: np.ndarray, new: np.ndarray) -> str:
    if old.dtype.kind not in "biuf":
        return f"{np.count_nonzero(old != new)} of {old.size} entries differ"
    a, b = old.astype(float), new.astype(float)
    different = (a != b) & ~(np.isnan(a) & np.isnan(b))
    if not different.any():
        return "different bits of equal values (NaN or sign of 0)"
    a, b = a[different], b[different]  # not what is infinite in both, whose difference is undefined
    gap, scale = np.abs(a - b), np.maximum(np.abs(a), np.abs(b))
    finite = np.isfinite(gap)
    text = f"{len(gap)} of {old.size} values differ"
    if finite.any():
        text += f", by up to {gap[finite].max():.3g} (relative {(gap[finite] / scale[finite]).max():.2g})"
    return text
