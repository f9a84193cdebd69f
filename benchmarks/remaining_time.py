"""Remaining time that progress names compared with what a run then takes.

    python benchmarks/remaining_time.py [STUDY ...]

Each study is planned with pilots and then run on two workers of this machine in a new folder. After a tenth and after
each quarter of the time from the start of the work to the end of the last unit, the table has the end that the progress
predicts: elapsed plus remaining time over the whole time, so 1 is right; "-" where the progress says that the remaining
time is not known yet. The pilots compile what the workers load. By default these are the quickstarts of all kinds that
read no run.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from _common import argument_parser

import membrane_dask as md
from membrane_dask.engine.events import Estimate, Event

CONFIGS = Path(__file__).parents[1] / "configs"
NAMES = ("porometry-quickstart", "graded-quickstart", "reconstruct-quickstart", "foul-quickstart")
MOMENTS = (0.1, 0.25, 0.5, 0.75)


class Recorder:
    """Remaining times and the moments at which they were named."""

    def __init__(self) -> None:
        self.remaining: list[tuple[float, float | None]] = []
        self.end = 0.0

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, Estimate) and not self.end:
            self.remaining.append((time.monotonic(), event.remaining))
            if all(task.done == task.total for task in event.tasks):
                self.end = time.monotonic()

    def ratios(self) -> list[float | None]:
        """Predicted over actual time at each of the moments, by the latest estimate before it."""
        start = self.remaining[0][0]
        total = self.end - start
        ratios: list[float | None] = []
        for fraction in MOMENTS:
            moment, remaining = [pair for pair in self.remaining if pair[0] <= start + fraction * total][-1]
            ratios.append(None if remaining is None else (moment - start + remaining) / total)
        return ratios


def main() -> None:
    """Print a row for each study."""
    parser = argument_parser(__doc__)
    parser.add_argument("study", nargs="*", type=Path)
    arguments = parser.parse_args()
    names = NAMES[:1] if arguments.smoke else NAMES
    changes = {"bootstrap": {"draws": 0}, "cluster": {"profile": "sync"}} if arguments.smoke else {}
    print(f"{'study':28}{'s':>8}" + "".join(f"{moment:>8.0%}" for moment in MOMENTS))
    for study in arguments.study or [CONFIGS / f"{name}.yaml" for name in names]:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            recorder = Recorder()
            loaded = md.load_study(study.resolve(), **(changes or {"cluster": {"workers": 2}}))
            md.run(md.plan(loaded, measure=True), "run", listener=recorder)
            seconds = recorder.end - recorder.remaining[0][0]
            cells = ["-" if ratio is None else f"{ratio:.2f}" for ratio in recorder.ratios()]
        print(f"{study.stem:28}{seconds:8.1f}" + "".join(f"{cell:>8}" for cell in cells), flush=True)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} processes for {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
