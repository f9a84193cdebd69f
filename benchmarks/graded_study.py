"""Gu's whole study, extrapolated from a hundredth of it: wall time on one worker and on two.

    python benchmarks/graded_study.py [--share 0.01]

Runs ``configs/graded-gu-2023.yaml`` with a share of its realizations at each of the 27 design points, first on one
local worker, then on two, each from nothing to a complete result on disk. A first small run compiles, so that none of
the two does. The rate is that of the networks between the first batch on disk and the last; what starting the workers
and checking the result at the end add is in the column "all". The efficiency is that of two workers over one, by rate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import membrane_dask as md
from membrane_dask.engine.events import Event, Progressed

STUDY = Path(__file__).parents[1] / "configs/graded-gu-2023.yaml"


class Watch:
    """When each batch was on disk."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []

    def __call__(self, event: Event) -> None:
        """Note the time of a finished batch."""
        if isinstance(event, Progressed):
            self.seen.append((time.perf_counter(), event.done))

    def rate(self) -> float:
        """Networks a second."""
        (start, before), (end, after) = self.seen[0], self.seen[-1]
        return (after - before) / (end - start)


def run(folder: Path, workers: int, realizations: int) -> tuple[float, float, float]:
    """Networks a second, seconds of all, and the networks' own seconds."""
    watch = Watch()
    start = time.perf_counter()
    study = md.load_study(STUDY, realizations=realizations, cluster={"workers": workers})
    run = md.run(study, folder / f"{workers}-{realizations}", listener=watch)
    whole = time.perf_counter() - start
    assert run.status()["state"] == "complete"
    busy = sum(sum(record.get("seconds", ())) for record in run.journal.records())
    return watch.rate(), whole, busy


def main() -> None:
    """Print a row for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.01, help="share of the 1000 realizations")
    realizations = max(1, round(1000 * parser.parse_args().share))
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), 1, 1)
        print(f"{27 * realizations} networks, {realizations} at each design point", flush=True)
        print(
            f"{'workers':>7} {'all s':>7} {'networks/s':>10} {'ms a network':>12} {'27,000 networks':>16}", flush=True
        )
        rates = {}
        for workers in (1, 2):
            rates[workers], whole, busy = run(Path(folder), workers, realizations)
            each = 1000 * busy / 27 / realizations
            minutes = 27_000 / rates[workers] / 60
            print(f"{workers:7d} {whole:7.1f} {rates[workers]:10.1f} {each:12.1f} {minutes:12.1f} min", flush=True)
        print(f"parallel efficiency of two workers: {rates[2] / rates[1] / 2:.2f}")


if __name__ == "__main__":
    main()
