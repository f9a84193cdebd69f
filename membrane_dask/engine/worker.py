"""Execution of one batch of units on a worker."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from membrane_dask import __version__
from membrane_dask.engine import durability, store
from membrane_dask.engine.late_files import wait_until_visible
from membrane_dask.engine.limits import peak_memory, reset_peak_memory, time_limit, write_memory_note
from membrane_dask.errors import ClusterError
from membrane_dask.files import disk_errors
from membrane_dask.program import Unit, Work


@dataclass(frozen=True)
class BatchOptions:
    """Options of the driver for a batch.

    Parameters
    ----------
    version : str
        The driver's version of the package; results of another version could differ.
    timeout : float, optional
        Time limit of a unit, in seconds.
    notes : str
        Folder of the notes on units that exceeded the time limit and could not be stopped.
    sync_root : str
        The run directory, if a batch is finished only once its files and their folders there are on disk.
    """

    version: str
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
    """

    error: str
    traceback: str
    killed: bool = False


@dataclass
class BatchResult:
    """Result of a batch whose values are on disk.

    Parameters
    ----------
    seconds : dict of str to float
        Time of each finished unit, in seconds, by key.
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
    """

    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, UnitFailure] = field(default_factory=dict)
    worker: str = ""


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
        number = value if isinstance(value, int | float) else float(value)
        if not math.isfinite(number):
            raise ValueError(f"{unit.key}: the feedback {name!r} must be a finite number (got {value!r})")
        numbers[name] = number
    return numbers


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

    Raises
    ------
    ClusterError
        If this worker has another version of the package than the driver.
    """
    if options.version != __version__:
        raise ClusterError(
            f"{os.uname().nodename} has membrane-dask {__version__}, the driver {options.version}; "
            "install the same version on both"
        )
    if options.notes:
        with contextlib.suppress(OSError):
            write_memory_note(Path(options.notes))
    result = BatchResult(worker=f"{os.uname().nodename}-{os.getpid()}")
    finished: list[Unit] = []
    values: list[dict[str, Any]] = []
    for unit in units:
        reset_peak_memory()
        start = time.perf_counter()
        try:
            with time_limit(options.timeout, unit.key, options.notes):
                arrays, feedback = work(context, unit)
            checked = sink.check(unit, arrays)
            numbers = _finite_numbers(unit, feedback)
        except Exception as error:
            _reraise_interrupt(error)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                with disk_errors(tempfile.gettempdir()):  # for example the cache of compiled code: no fault of the unit
                    raise
            result.failures[unit.key] = UnitFailure(f"{type(error).__name__}: {error}", traceback.format_exc())
            continue
        finished.append(unit)
        values.append(checked)
        result.seconds[unit.key] = round(time.perf_counter() - start, 6)
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
