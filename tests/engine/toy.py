"""A program without physics, whose units misbehave on demand: the engine's own test bench."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from membrane_dask import api
from membrane_dask.config import BaseStudy
from membrane_dask.engine.plan import Plan, make_plan
from membrane_dask.engine.run import Run, prepare
from membrane_dask.program import History, Proposer, Table, Unit
from membrane_dask.schema import Variable

VARIABLES = (
    Variable("value", (), "f8", "1", "a random number"),
    Variable("count", (), "i4", "1", "a whole number"),
    Variable("trace", ("time",), "f8", "1", "a few random numbers", group="history", nullable=True),
)


class ToyStudy(BaseStudy):
    """``rows`` x ``columns`` units; those in the lists misbehave."""

    kind: Literal["toy"] = "toy"
    rows: int = 3
    columns: int = 20
    seconds: float = 0.0
    raising: tuple[int, ...] = ()
    nan: tuple[int, ...] = ()
    killing: tuple[int, ...] = ()
    misshapen: tuple[int, ...] = ()
    hanging: tuple[int, ...] = ()  # in Python, which can be interrupted
    stuck: tuple[int, ...] = ()  # in compiled code, which cannot
    eating: tuple[int, ...] = ()  # memory, until the worker is killed
    switch: str = ""  # failing units succeed once this file exists


class ToyProgram:
    """A round a row: what a row computes depends on what the row before returned."""

    kind = "toy"
    volumes: Sequence[Any] = ()
    fields: Sequence[Any] = ()
    parts: Sequence[Any] = ()
    about: Sequence[Any] = ()
    static: Sequence[Any] = ()
    attrs: Mapping[str, Any] = {}

    def __init__(self, study: ToyStudy) -> None:
        self.study = study
        self.work = work
        self.context = study.model_dump(exclude=set(BaseStudy.model_fields) | {"kind", "rows", "columns"})
        coords = {
            "row": np.arange(study.rows),
            "column": np.arange(study.columns),
            "time": np.arange(4) * 0.5,
        }
        self.tables = (Table("toy", ("row", "column"), VARIABLES, coords, {}, 0.5),)

    def proposer(self) -> Proposer:
        rows = iter(range(self.study.rows))
        waiting = [next(rows)]

        def propose(history: History) -> list[Unit]:
            found = []
            while waiting and (waiting[0] == 0 or self._finished(waiting[0] - 1, history)):
                found += self._row(waiting.pop(), history)
                waiting.extend(row for row in [next(rows, None)] if row is not None)
            return found

        return propose

    def _finished(self, row: int, history: History) -> bool:
        return all(self._key(row, column) in history for column in range(self.study.columns))

    def _row(self, row: int, history: History) -> list[Unit]:
        found = []
        before = [history.get(self._key(row - 1, c)) for c in range(self.study.columns)] if row else []
        salt = sum(int(1e6 * o.feedback["value"]) for o in before if o and o.status == "done") % 2**31
        for column in range(self.study.columns):
            seed = (self.study.seed, 99, row, column)
            number = row * self.study.columns + column
            found.append(Unit(self._key(row, column), "toy", (row, column), {"number": number, "salt": salt}, seed))
        return found

    @staticmethod
    def _key(row: int, column: int) -> str:
        return f"toy,row={row},column={column}"

    def pilots(self) -> Sequence[Unit]:
        return [Unit("pilot", "toy", (0, 0), {"number": -1, "salt": 0}, (0,))]

    def memory(self) -> Mapping[str, int]:
        return {"toy": 1000}

    def collect(self, read: Any, history: History) -> Mapping[str, Any]:
        mean = np.array([float(read("toy")["value"].mean())])
        return {"summary": ((Variable("mean", (), "f8", "1", "mean of all"),), ("one",), {"mean": mean})}


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    number = unit.params["number"]
    time.sleep(context["seconds"])
    healed = bool(context["switch"]) and Path(context["switch"]).exists()
    if number in context["killing"] and not healed:
        os.kill(os.getpid(), signal.SIGKILL)
    if number in context["raising"] and not healed:
        raise ArithmeticError(f"unit {number} cannot be computed")
    if number in context["hanging"] and not healed:
        while True:
            time.sleep(0.05)
    if number in context["stuck"] and not healed:
        time.sleep(1000)  # one call that does not come back to the interpreter
    if number in context["eating"] and not healed:
        eaten = []
        while True:
            eaten.append(np.ones(2_000_000))
            time.sleep(0.02)
    rng = np.random.default_rng(unit.seed_sequence())
    value = rng.random() + unit.params["salt"] * 1e-12
    trace = rng.random(4)
    trace[3] = np.nan
    if number in context["nan"] and not healed:
        value = np.nan
    values = {"value": np.asarray(value), "count": np.asarray(number), "history/trace": trace}
    if number in context["misshapen"] and not healed:
        values["value"] = np.zeros(3)
    return values, {"value": float(value)}


def toy_plan(**fields: Any) -> Plan:
    """A plan of the toy study; ``cluster`` and ``execution`` are given as mappings."""
    study = ToyStudy.model_validate({"name": "toy", **fields})
    return make_plan(study, ToyProgram(study))


def run_toy(root: Path, *, limit: int | None = None, retry_failed: bool = False, **fields: Any) -> Run:
    """Plan, prepare and run the toy study, quietly."""
    plan = toy_plan(**fields)
    run = prepare(plan, root)
    api.execute(run, plan, limit=limit, retry_failed=retry_failed, listener=lambda event: None)
    return run
