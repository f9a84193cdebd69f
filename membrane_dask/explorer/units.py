"""Units of a run in time: where and when each was computed, and what it cost."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np

from membrane_dask.engine.journal import Journal


@dataclass(frozen=True)
class UnitTimes:
    """Units in the order in which they were recorded; a unit that was computed twice is there twice.

    Parameters
    ----------
    key, task, worker : (n,) ndarray of str
    begin, end : (n,) ndarray
        Seconds since 1970, to a second. Units of a batch follow each other, and the last one ends when the batch is
        recorded.
    cpu_seconds : (n,) ndarray
        CPU time; NaN where it was not measured.
    memory : (n,) ndarray
        Largest memory of the worker process until the end of the unit, in bytes; NaN where it was not measured.
    is_done : (n,) ndarray of bool
        Whether the unit succeeded.
    """

    key: np.ndarray
    task: np.ndarray
    worker: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    cpu_seconds: np.ndarray
    memory: np.ndarray
    is_done: np.ndarray


def unit_times(journal: Journal) -> UnitTimes:
    """Read the times of all units from a journal."""
    columns: dict[str, list[Any]] = {field.name: [] for field in fields(UnitTimes)}
    for record in journal.records():
        end = datetime.fromisoformat(record["time"]).timestamp()
        for name in ("done", "failed"):
            keys: Any = record.get(name, ())
            if not (n := len(keys)):
                continue
            batch: dict[str, Any] = {
                "key": keys, "task": [record.get("task", "")] * n, "worker": [record.get("worker", "")] * n,
                "is_done": [name == "done"] * n,
            }  # fmt: skip
            batch |= {column: record.get(column, [math.nan] * n) for column in ("cpu_seconds", "memory")}
            seconds: Any = record.get("seconds", [0.0] * n)
            after = [*itertools.accumulate(reversed(seconds), initial=0.0)][::-1]  # of the batch, from each unit on
            batch |= {"begin": [end - left for left in after[:n]], "end": [end - left for left in after[1:]]}
            for column, values in batch.items():
                columns[column] += values
    texts = {name: np.array(columns[name], np.str_) for name in ("key", "task", "worker")}
    numbers = {name: np.array(columns[name], float) for name in ("begin", "end", "cpu_seconds", "memory")}
    return UnitTimes(**texts, **numbers, is_done=np.array(columns["is_done"], bool))
