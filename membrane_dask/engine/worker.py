"""Execution of one batch of units on a worker."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from membrane_dask import __version__
from membrane_dask.engine import store
from membrane_dask.engine.limits import peak_memory, reset_peak_memory, time_limit
from membrane_dask.errors import ClusterError
from membrane_dask.program import Unit, Work


@dataclass(frozen=True)
class Failure:
    """Why one attempt at a unit failed."""

    error: str
    traceback: str
    killed: bool = False


@dataclass
class Receipt:
    """What a worker says of a batch whose values are on disk."""

    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    worker: str = ""


def _pass_on_a_stop(error: Exception) -> None:
    """Compiled code reports Ctrl-C and termination as a SystemError: no fault of the unit."""
    stop: BaseException | None = error
    while isinstance(stop, SystemError):
        stop = stop.__cause__
    if stop is not None and not isinstance(stop, Exception):
        raise stop


@dataclass(frozen=True)
class Terms:
    """What a batch may take, and who sent it.

    Parameters
    ----------
    version : str
        The driver's version of the package; another one on a node would give other numbers.
    timeout : float, optional
        Seconds a unit may take.
    notes : str
        Folder for a last word on a unit that does not stop.
    """

    version: str
    timeout: float | None = None
    notes: str = ""


def run_batch(work: Work, context: Mapping[str, Any], sink: store.Sink, units: Sequence[Unit], terms: Terms) -> Receipt:
    """Compute the units of a batch one after another and write what succeeded.

    Raises
    ------
    ClusterError
        If this worker has another version of the package than the driver.
    """
    if terms.version != __version__:
        raise ClusterError(
            f"{os.uname().nodename} has membrane-dask {__version__}, the driver {terms.version}; install the same"
        )
    receipt = Receipt(worker=f"{os.uname().nodename}-{os.getpid()}")
    done: list[Unit] = []
    values: list[dict[str, Any]] = []
    for unit in units:
        reset_peak_memory()
        start = time.perf_counter()
        try:
            with time_limit(terms.timeout, unit.key, terms.notes):
                arrays, feedback = work(context, unit)
            values.append(sink.check(unit, arrays))
        except Exception as error:
            _pass_on_a_stop(error)
            receipt.failures[unit.key] = Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
            continue
        done.append(unit)
        receipt.seconds[unit.key] = round(time.perf_counter() - start, 6)
        receipt.memory[unit.key] = peak_memory()
        receipt.sha256[unit.key] = store.digest(values[-1])
        receipt.feedback[unit.key] = dict(feedback)
    if done:
        sink.write(done, values)
    return receipt
