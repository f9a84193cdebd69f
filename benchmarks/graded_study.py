"""Wall time of the study of Gu et al. on one worker and on two, extrapolated from a hundredth of it.

    python benchmarks/graded_study.py [--fraction 0.01]

Runs ``configs/graded-gu-2023.yaml`` with a fraction of its realizations at each of the 27 design points, first on one
local worker, then on two, each from a new run to a complete result on disk. A small run before them compiles the code.
The rate counts the networks between the first batch on disk and the last; the column "all" also includes the start of
the workers and the final check of the result. The efficiency compares the rates of two workers and of one.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from _common import argument_parser

import membrane_dask as md
from membrane_dask.engine.events import Event, Progressed

STUDY = Path(__file__).parents[1] / "configs/graded-gu-2023.yaml"


class ProgressTimes:
    """Listener that notes when each batch was on disk."""

    def __init__(self) -> None:
        self.records: list[tuple[float, int]] = []

    def __call__(self, event: Event) -> None:
        """Note the time of a finished batch."""
        if isinstance(event, Progressed):
            self.records.append((time.perf_counter(), event.done))

    def rate(self) -> float:
        """Networks per second."""
        (start, first), (end, last) = self.records[0], self.records[-1]
        return (last - first) / (end - start) if end > start else float("nan")


def run(folder: Path, workers: int, realizations: int, design: dict[str, object]) -> tuple[float, float, float]:
    """Networks per second, wall time of the run in seconds, and seconds spent in the units."""
    times = ProgressTimes()
    start = time.perf_counter()
    study = md.load_study(STUDY, realizations=realizations, cluster={"workers": workers}, **design)
    run = md.run(study, folder / f"{workers}-{realizations}", listener=times)
    wall = time.perf_counter() - start
    assert run.status()["state"] == "complete"
    unit_seconds = sum(sum(record.get("seconds", ())) for record in run.journal.records())
    return times.rate(), wall, unit_seconds


def main() -> None:
    """Print a row for each number of workers."""
    parser = argument_parser(__doc__)
    parser.add_argument("--fraction", type=float, default=0.01, help="fraction of the 1000 realizations")
    arguments = parser.parse_args()
    realizations = max(1, round(1000 * arguments.fraction))
    points, design = 27, dict[str, object]()
    if arguments.smoke:
        realizations, points, design = (
            2,
            1,
            {"l_max": [0.25], "gradient": [0.0], "porosity": 0.1, "execution": {"batch": 1}},
        )
    networks = points * realizations
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.smoke:
            run(Path(folder), 1, 1, design)
        print(f"{networks} networks, {realizations} at each design point", flush=True)
        print(f"{'workers':>7} {'all s':>7} {'networks/s':>10} {'ms/network':>12} {'27,000 networks':>16}", flush=True)
        rates = {}
        for workers in (1, 2):
            rates[workers], wall, unit_seconds = run(Path(folder), workers, realizations, design)
            milliseconds = 1000 * unit_seconds / networks
            minutes = 27_000 / rates[workers] / 60
            print(
                f"{workers:7d} {wall:7.1f} {rates[workers]:10.1f} {milliseconds:12.1f} {minutes:12.1f} min", flush=True
            )
        print(f"parallel efficiency of two workers: {rates[2] / rates[1] / 2:.2f}")


if __name__ == "__main__":
    main()
