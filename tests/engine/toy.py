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
from membrane_dask.program import Dataset, History, Program, Rounds, Table, Unit, settle
from membrane_dask.schema import Coordinate, TableSchema, Variable

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


COORDINATES = (
    Coordinate("row", "1", "number of the row"),
    Coordinate("column", "1", "number of the column"),
    Coordinate("time", "1", "time"),
    Coordinate("one", "1", "the only entry"),
)
TOY = TableSchema("toy", VARIABLES, COORDINATES)
SUMMARY = TableSchema("summary", (Variable("mean", (), "f8", "1", "mean of all"),), COORDINATES)


class ToyProgram(Program):
    """A round a row: what a row computes depends on what the row before returned."""

    kind = "toy"

    def __init__(self, study: ToyStudy) -> None:
        self.study = study
        self.work = work
        self.context = study.model_dump(exclude=set(BaseStudy.model_fields) | {"kind", "rows", "columns"})
        labels = {
            "row": np.arange(study.rows),
            "column": np.arange(study.columns),
            "time": np.arange(4) * 0.5,
        }
        self.tables = (Table(TOY, ("row", "column"), labels, {}, 0.5),)

    def rounds(self) -> Rounds:
        outcomes: list[Any] = []
        for row in range(self.study.rows):
            salt = sum(int(1e6 * o.feedback["value"]) for o in outcomes if o.status == "done") % 2**31
            outcomes = yield from settle([self._unit(row, column, salt) for column in range(self.study.columns)])

    def _unit(self, row: int, column: int, salt: int) -> Unit:
        number = row * self.study.columns + column
        seed = (self.study.seed, 99, row, column)
        return Unit(f"toy,row={row},column={column}", "toy", (row, column), {"number": number, "salt": salt}, seed)

    def pilots(self) -> Sequence[Unit]:
        return [Unit("pilot", "toy", (0, 0), {"number": -1, "salt": 0}, (0,))]

    def memory(self) -> Mapping[str, int]:
        return {"toy": 1000}

    def collect(self, read: Any, history: History) -> Sequence[Dataset]:
        mean = np.array([float(read("toy")["value"].mean())])
        return [Dataset(SUMMARY, {"mean": mean}, ("one",))]


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
