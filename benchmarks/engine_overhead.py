"""Overhead of the engine: wall time per unit, memory of the driver, time of ``membrane-dask status``.

    python benchmarks/engine_overhead.py [--quick] [--busy]

Each row runs units of one duration on two local workers, including start and stop of the cluster. The baseline runs the
same units in a plain loop in two processes and stores nothing; the ratio of both times is the cost of the engine. Units
sleep; with ``--busy`` they compute, so that driver and workers compete for the cores. Every unit returns three
variables of one number each; values, journal and digests are written and read back as in any run.

Memory is the peak of the driver, which includes Dask's scheduler. ``status`` runs in a process of its own, so its time
includes the start-up of Python.
"""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from _common import argument_parser

from membrane_dask import api
from membrane_dask.config import BaseStudy
from membrane_dask.engine.plan import make_plan
from membrane_dask.engine.run import prepare
from membrane_dask.program import Program, Rounds, Table, Unit
from membrane_dask.schema import Coordinate, TableSchema, Variable

NAMES = ("first", "second", "third")
COLUMNS = 1000


class IdleStudy(BaseStudy):
    """Units that sleep, or compute nothing useful, for a fixed time."""

    kind: Literal["idle"] = "idle"
    units: int
    milliseconds: float
    busy: bool = False
    columns: int = COLUMNS


COORDINATES = (Coordinate("row", "1", "number of the row"), Coordinate("column", "1", "number of the column"))
SCHEMA = TableSchema("idle", tuple(Variable(name, (), "f8", "1", name) for name in NAMES), COORDINATES)


class IdleProgram(Program):
    """All units in one round; the table has ``columns`` units per row."""

    kind = "idle"

    def __init__(self, study: IdleStudy) -> None:
        self.work = work
        self.context = {"seconds": study.milliseconds / 1000, "busy": study.busy}
        self.study = study
        labels = {"row": np.arange(-(-study.units // study.columns)), "column": np.arange(study.columns)}
        self.tables = (Table(SCHEMA, ("row", "column"), labels, seconds=max(study.milliseconds / 1000, 1e-3)),)

    def rounds(self) -> Rounds:
        """Ask for all units at once."""
        rows, columns = self.tables[0].unit_shape
        yield [
            Unit(f"idle,row={r},column={c}", "idle", (r, c), {"n": r * columns + c}, (self.study.seed, r, c))
            for r in range(rows) for c in range(columns)
        ]  # fmt: skip

    def memory(self) -> Mapping[str, int]:
        """Bytes of one unit."""
        return {"idle": 1000}


def spend(seconds: float, busy: bool) -> None:
    """Sleep, or keep a core busy, for some seconds."""
    if not busy:
        time.sleep(seconds)
        return
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Wait, and return three numbers."""
    if context["seconds"]:
        spend(context["seconds"], context["busy"])
    return {name: np.asarray(float(unit.params["n"])) for name in NAMES}, {}


def _loop(arguments: tuple[int, float, bool]) -> None:
    units, seconds, busy = arguments
    for _ in range(units):
        if seconds:
            spend(seconds, busy)


def plain_loop(units: int, milliseconds: float, busy: bool) -> float:
    """Seconds that two processes need for the same units without the engine."""
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_loop, [(units // 2, milliseconds / 1000, busy)] * 2)
    return time.perf_counter() - start


def engine(units: int, milliseconds: float, busy: bool, columns: int, folder: Path) -> tuple[float, int]:
    """Seconds from the plan to the complete run, and the number of batches."""
    study = IdleStudy.model_validate(
        {
            "name": "idle", "units": units, "milliseconds": milliseconds, "busy": busy, "columns": columns,
            "cluster": {"workers": 2},
        }
    )  # fmt: skip
    start = time.perf_counter()
    plan = make_plan(study, IdleProgram(study))
    run = prepare(plan, folder)
    summary = api.execute(run, plan, listener=lambda event: None)
    seconds = time.perf_counter() - start
    assert summary.done == units
    return seconds, sum("done" in record for record in run.journal.records())


def measure_row(units: int, milliseconds: float, busy: bool, columns: int) -> None:
    """Print one row. It needs a process of its own, because the peak of memory never falls."""
    baseline = plain_loop(units, milliseconds, busy)
    with tempfile.TemporaryDirectory() as folder:
        seconds, batches = engine(units, milliseconds, busy, columns, Path(folder) / "run")
        status = Path("/proc/self/status").read_text() if sys.platform.startswith("linux") else ""
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e3 if status else float("nan")  # type: ignore[index]
        start = time.perf_counter()
        command = [sys.executable, "-m", "membrane_dask.cli", "status", str(Path(folder) / "run")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        status_seconds = time.perf_counter() - start
    overhead = (seconds - baseline) / units * 1e6
    print(
        f"{units:>7} {milliseconds:>6g} {batches:>8} {baseline:>9.1f} {seconds:>9.1f} {seconds / baseline:>7.3f} "
        f"{overhead:>9.0f} {peak:>8.0f} {status_seconds:>8.2f}",
        flush=True,
    )


def main() -> None:
    """Print a row for each number and duration of units."""
    parser = argument_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the units that take 10 ms and more")
    parser.add_argument("--busy", action="store_true", help="units compute instead of sleeping")
    parser.add_argument("--row", nargs=3, type=float, help="internal: measure one row in this process")
    arguments = parser.parse_args()
    if arguments.row:
        units, milliseconds, columns = arguments.row
        measure_row(int(units), milliseconds, arguments.busy, int(columns))
        return
    print("  units     ms  batches   plain s  engine s   ratio  us/unit  MB peak  status s")
    divisor = 10 if arguments.quick else 1
    rows, columns = [(27_000, 0), (27_000 // divisor, 10), (27_000 // divisor, 100), (100_000, 0)], COLUMNS
    if arguments.smoke:
        rows, columns = [(20, 1)], 10
    for units, milliseconds in rows:
        units = -(-units // columns) * columns
        command = [sys.executable, __file__, "--row", str(units), str(milliseconds), str(columns)]
        subprocess.run([*command, *(["--busy"] if arguments.busy else [])], check=True)


if __name__ == "__main__":
    main()
