"""Gu's whole study, extrapolated from a hundredth of it: wall time on one worker and on two.

    python benchmarks/graded_study.py [--share 0.01]

Runs ``configs/graded-gu-2023.yaml`` with a share of its realizations at each of the 27 design points, first on one
local worker, then on two, each from nothing to a complete result on disk. A first small run compiles, so that none of
the two does. Times are of the units, from the first batch that is sent to the last that is on disk; starting the
workers and what follows at the end is told apart. The efficiency is that of two workers over one, on the same units.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import membrane_dask as md
from membrane_dask.engine.execute import Collecting, Event, Started

STUDY = Path(__file__).parents[1] / "configs/graded-gu-2023.yaml"


class Watch:
    """When the work began and ended."""

    def __init__(self) -> None:
        self.begun = self.ended = time.perf_counter()

    def __call__(self, event: Event) -> None:
        """Note the time of the events in question."""
        if isinstance(event, Started):
            self.begun = time.perf_counter()
        if isinstance(event, Collecting):
            self.ended = time.perf_counter()


def run(folder: Path, workers: int, realizations: int) -> tuple[float, float, float]:
    """Seconds of the units, of all, and the units' own seconds."""
    watch = Watch()
    start = time.perf_counter()
    study = md.load_study(STUDY, realizations=realizations, cluster={"workers": workers})
    run = md.run(study, folder / f"{workers}-{realizations}", listener=watch)
    whole = time.perf_counter() - start
    assert run.status()["state"] == "complete"
    busy = sum(sum(record.get("seconds", ())) for record in run.journal.records())
    return watch.ended - watch.begun, whole, busy


def main() -> None:
    """Print a row for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.01, help="share of the 1000 realizations")
    realizations = max(1, round(1000 * parser.parse_args().share))
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), 1, 1)
        print(f"{27 * realizations} networks, {realizations} at each design point", flush=True)
        print(f"{'workers':>7} {'units s':>8} {'all s':>7} {'ms a network':>12} {'27,000 networks':>16}", flush=True)
        units = {}
        for workers in (1, 2):
            units[workers], whole, busy = run(Path(folder), workers, realizations)
            each = 1000 * busy / 27 / realizations
            minutes = units[workers] * 1000 / realizations / 60
            print(f"{workers:7d} {units[workers]:8.1f} {whole:7.1f} {each:12.1f} {minutes:12.1f} min", flush=True)
        print(f"parallel efficiency of two workers: {units[1] / units[2] / 2:.2f}")


if __name__ == "__main__":
    main()
