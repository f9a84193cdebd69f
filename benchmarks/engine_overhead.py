"""What the engine adds to the work itself: wall time a unit, driver memory, and the time of ``status``.

    python benchmarks/engine_overhead.py [--quick] [--busy]

Each row runs units of a given length on two local workers, start and end of the cluster included, and, in the same
process before it, a plain loop over the same units in two processes, which keeps nothing. The ratio of the two is what
the engine costs. Units sleep; with ``--busy`` they compute, so that driver and workers share the cores. Every unit
returns three variables of one number each; values, journal and their digests are written and read back as in any run.

The driver's memory is its peak, Dask's scheduler in it; ``status`` is a process of its own, start-up included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from membrane_dask import api
from membrane_dask.config import BaseStudy
from membrane_dask.engine.plan import make_plan
from membrane_dask.engine.run import prepare
from membrane_dask.program import History, Proposer, Table, Unit
from membrane_dask.schema import Variable

NAMES = ("first", "second", "third")
ROW = 1000


class IdleStudy(BaseStudy):
    """Units that do nothing for a while."""

    kind: Literal["idle"] = "idle"
    units: int
    milliseconds: float
    busy: bool = False


class IdleProgram:
    """All units at once, a thousand in a row of the table."""

    kind = "idle"
    volumes: Sequence[Any] = ()
    static: Sequence[Any] = ()
    attrs: Mapping[str, Any] = {}

    def __init__(self, study: IdleStudy) -> None:
        self.work = work
        self.context = {"seconds": study.milliseconds / 1000, "busy": study.busy}
        self.study = study
        coords = {"row": np.arange(-(-study.units // ROW)), "column": np.arange(ROW)}
        variables = tuple(Variable(name, (), "f8", "1", name) for name in NAMES)
        self.tables = (Table("idle", ("row", "column"), variables, coords, {}, max(study.milliseconds / 1000, 1e-3)),)

    def proposer(self) -> Proposer:
        """Everything the first time."""
        rows = range(len(self.tables[0].coords["row"]))
        waiting = [
            Unit(f"idle,row={r},column={c}", "idle", (r, c), {"n": r * ROW + c}, (self.study.seed, r, c))
            for r in rows for c in range(ROW)
        ]  # fmt: skip

        def propose(history: History) -> list[Unit]:
            found, waiting[:] = waiting[:], []
            return found

        return propose

    def pilots(self) -> Sequence[Unit]:
        """None."""
        return []

    def memory(self) -> Mapping[str, int]:
        """Next to nothing."""
        return {"idle": 1000}

    def collect(self, read: Any, history: History) -> Mapping[str, Any]:
        """Nothing follows."""
        return {}


def spend(seconds: float, busy: bool) -> None:
    if not busy:
        time.sleep(seconds)
        return
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    if context["seconds"]:
        spend(context["seconds"], context["busy"])
    return {name: np.asarray(float(unit.params["n"])) for name in NAMES}, {}


def _half(arguments: tuple[int, float, bool]) -> None:
    units, seconds, busy = arguments
    for _ in range(units):
        if seconds:
            spend(seconds, busy)


def plain_loop(units: int, milliseconds: float, busy: bool) -> float:
    """Seconds of the same units in two processes, and nothing else."""
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_half, [(units // 2, milliseconds / 1000, busy)] * 2)
    return time.perf_counter() - start


def engine(units: int, milliseconds: float, busy: bool, root: Path) -> tuple[float, int]:
    """Seconds of a run from nothing to complete, and its number of batches."""
    study = IdleStudy.model_validate(
        {"name": "idle", "units": units, "milliseconds": milliseconds, "busy": busy, "cluster": {"workers": 2}}
    )
    start = time.perf_counter()
    plan = make_plan(study, IdleProgram(study))
    run = prepare(plan, root)
    summary = api.execute(run, plan, listener=lambda event: None)
    seconds = time.perf_counter() - start
    assert summary.done == units
    return seconds, sum("done" in record for record in run.journal.records())


def one(units: int, milliseconds: float, busy: bool) -> None:
    """One row, in a process of its own, so that the peak of memory is its own."""
    baseline = plain_loop(units, milliseconds, busy)
    with tempfile.TemporaryDirectory() as folder:
        seconds, batches = engine(units, milliseconds, busy, Path(folder) / "run")
        status = Path("/proc/self/status").read_text() if sys.platform.startswith("linux") else ""
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e3 if status else float("nan")  # type: ignore[index]
        asked = time.perf_counter()
        command = [sys.executable, "-m", "membrane_dask.cli", "status", str(Path(folder) / "run")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        asked = time.perf_counter() - asked
    each = (seconds - baseline) / units * 1e6
    print(
        f"{units:>7} {milliseconds:>6g} {batches:>8} {baseline:>9.1f} {seconds:>9.1f} {seconds / baseline:>7.3f} "
        f"{each:>9.0f} {peak:>8.0f} {asked:>8.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the units, but for those of 0 ms")
    parser.add_argument("--busy", action="store_true", help="units compute instead of sleeping")
    parser.add_argument("--one", nargs=2, type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(int(arguments.one[0]), arguments.one[1], arguments.busy)
        return
    print("  units     ms  batches   plain s  engine s   ratio  us a unit  MB peak  status s")
    part = 10 if arguments.quick else 1
    for units, milliseconds in ((27_000, 0), (27_000 // part, 10), (27_000 // part, 100), (100_000, 0)):
        units = -(-units // ROW) * ROW
        command = [sys.executable, __file__, "--one", str(units), str(milliseconds)]
        subprocess.run([*command, *(["--busy"] if arguments.busy else [])], check=True)


if __name__ == "__main__":
    main()
