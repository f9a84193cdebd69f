"""Remaining time that progress names, compared with the time that a run then takes.

    python benchmarks/remaining_time.py [STUDY ...] [--records FOLDER]
    python benchmarks/remaining_time.py --replay FOLDER

Each study is planned with pilots and then run on two workers of this machine in a new folder; by default these are the
quickstarts of all kinds, a study of 1200 short units and one of three long ones, which take a quarter of an hour on two
idle cores. The events of a run are its record, which ``--records`` writes to a folder. The table follows from records
that the forecast receives anew, so that ``--replay`` compares other forecasts without other runs.

A row has the wall time of a run, the CPU time of its units over their wall time (less than 1 where other processes had
the processor), and at a quarter, half, and three quarters of the run the predicted over the true remaining time to its
end: 1 is right, and "-" stands where the remaining time was not known. The next three columns are those of the same run
on a steady machine: its units take their CPU time, and all else is shortened by the ratio of CPU to wall time. The last
two are the fraction of the estimates whose range has the true end, and the median of longest over shortest time.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from _common import argument_parser

import membrane_dask as md
from membrane_dask.api import resolve_sources
from membrane_dask.engine import events as event_types
from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.events import Event, FinishedBatch, Progressed, RunningBatch, Stage, Started
from membrane_dask.engine.forecast import Forecast
from membrane_dask.engine.plan import default_workers
from membrane_dask.program import Costs

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = ("graded", "porometry", "reconstruct", "foul", "characterize", "chain")
#: File and changed settings of each study.
STUDIES: dict[str, tuple[Path, dict[str, Any]]] = {
    **{f"{kind}-quickstart": (CONFIGS / f"{kind}-quickstart.yaml", {}) for kind in KINDS},
    "1200 short units": (CONFIGS / "graded-quickstart.yaml", {"gradient": [0, 1e-3, 2e-3], "realizations": 400}),
    "three long units": (
        CONFIGS / "graded-quickstart.yaml",
        {"gradient": [0], "realizations": 3, "time_step": 2.5e-6, "execution": {"batch": 1}},
    ),
}
MOMENTS = (0.25, 0.5, 0.75)


def record(name: str, path: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Run a study in the present folder; its plan, its events with their moments, and its end."""
    study = md.load_study(path, **changes)
    plan = md.plan(resolve_sources(study, None), measure=True)
    assert plan.costs is not None
    start, events = time.monotonic(), []

    def listen(event: Event) -> None:
        if isinstance(event, Stage | Started | Progressed):
            fields = dataclasses.asdict(event)
            for batch in fields.get("running", ()):
                batch["submitted"] -= start
            events.append((time.monotonic() - start, type(event).__name__, fields))

    run = md.run(plan, "run", listener=listen)
    seconds = time.monotonic() - start
    lines = [line for line in run.journal.records() if "done" in line]  # one for each finished batch, in their order
    return {
        "study": name, "seconds": seconds, "scheduler": plan.cluster.scheduler,
        "workers": default_workers(plan.cluster), "counts": plan.counts, "batch": dict(plan.batch),
        "work": dict(plan.costs.work), "slowdown": plan.slowdown,
        "events": events, "cpu_seconds": [sum(line["cpu_seconds"]) for line in lines],
    }  # fmt: skip


def parse_event(name: str, fields: dict[str, Any]) -> Event:
    """An event from its record."""
    if name == "Progressed":
        fields = {
            **fields,
            "finished": [FinishedBatch(**batch) for batch in fields["finished"]],
            "running": [RunningBatch(**batch) for batch in fields["running"]],
        }
    event: Event = getattr(event_types, name)(**fields)
    return event


def finished_batches(events: list[tuple[float, Event]]) -> list[tuple[float, FinishedBatch]]:
    """Batches with finished units, and the moments at which these were known."""
    return [
        (moment, batch)
        for moment, event in events
        if isinstance(event, Progressed)
        for batch in event.finished
        if batch.units
    ]


def in_cpu_time(
    events: list[tuple[float, Event]], cpu_seconds: list[float], end: float
) -> tuple[list[tuple[float, Event]], float]:
    """Events and end of the run if its units had taken their CPU time, and all else as much less time.

    A batch was submitted when an earlier one had finished; it is submitted as soon as that has finished now.
    """
    batches = finished_batches(events)
    ratio = sum(cpu_seconds) / sum(batch.computing for _, batch in batches)
    start, started = next((moment, event) for moment, event in events if isinstance(event, Started))
    moments, new_moments = [start], [start * ratio]
    intervals = []
    for (moment, batch), cpu in zip(batches, cpu_seconds, strict=True):
        submitted = new_moments[max(bisect.bisect(moments, moment - batch.seconds + 0.05) - 1, 0)]
        seconds = (batch.seconds - batch.computing) * ratio + cpu
        intervals.append((submitted, submitted + seconds, dataclasses.replace(batch, seconds=seconds, computing=cpu)))
        moments.append(moment)
        new_moments.append(max(submitted + seconds, new_moments[-1] if moment == moments[-2] else 0.0))
    last = max(stop for _, stop, _ in intervals)
    new_events: list[tuple[float, Event]] = [
        (moment * ratio, event) for moment, event in events if isinstance(event, Stage)
    ]
    new_events.append((start * ratio, started))
    n_done = 0
    ticks = [start * ratio + number for number in range(1, int(last - start * ratio) + 1)]
    for moment in sorted({*(stop for _, stop, _ in intervals), *ticks}):
        finished = [batch for _, stop, batch in intervals if stop == moment]
        running = [
            RunningBatch(batch.task, batch.units, submitted)
            for submitted, stop, batch in intervals
            if submitted < moment < stop
        ]
        n_done += sum(batch.units for batch in finished)
        new_events.append((moment, Progressed(n_done, 0, finished, running)))
    return new_events, last + (end - batches[-1][0]) * ratio


def replay(
    recorded: dict[str, Any], events: list[tuple[float, Event]], end: float
) -> tuple[list[float | None], list[float], list[bool]]:
    """Predicted over true remaining time at the moments, longest over shortest times, and whether they have the end."""
    now = 0.0
    plan: Any = SimpleNamespace(
        cluster=Profile(scheduler=recorded["scheduler"], workers=recorded["workers"]),
        counts=recorded["counts"], batch=recorded["batch"], costs=Costs(recorded["work"]),
        slowdown=recorded["slowdown"],
    )  # fmt: skip
    forecast = Forecast(plan, clock=lambda: now)
    ranges: list[tuple[float, tuple[float, float] | None]] = [(0.0, None)]
    for now, event in events:
        if (estimate := forecast.estimate(event)) is not None:
            ranges.append((now, estimate.remaining))
    ratios: list[float | None] = []
    for moment in (fraction * end for fraction in MOMENTS):
        named, remaining = next(pair for pair in reversed(ranges) if pair[0] <= moment)
        ratios.append(None if remaining is None else max(sum(remaining) / 2 - (moment - named), 0.0) / (end - moment))
    named_ranges = [(end - moment, remaining) for moment, remaining in ranges if remaining is not None]
    widths = [longest / shortest for _, (shortest, longest) in named_ranges if shortest]
    return ratios, widths, [shortest <= true <= longest for true, (shortest, longest) in named_ranges]


def print_row(recorded: dict[str, Any]) -> list[float | None]:
    """Print the row of a record; returns the ratios of the run, and those of a steady machine."""
    events = [(moment, parse_event(name, fields)) for moment, name, fields in recorded["events"]]
    wall = sum(batch.computing for _, batch in finished_batches(events))
    ratios, widths, covered = replay(recorded, events, recorded["seconds"])
    steady_events, steady_end = in_cpu_time(events, recorded["cpu_seconds"], recorded["seconds"])
    steady = {**recorded, "slowdown": 1.0}
    ratios += replay(steady, steady_events, steady_end)[0]
    cells = ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
    print(
        f"{recorded['study']:24}{recorded['seconds']:8.1f}{sum(recorded['cpu_seconds']) / wall:10.2f}"
        + "".join(f"{cell:>8}" for cell in cells)
        + f"{sum(covered) / max(len(covered), 1):10.0%}{median(widths or [1.0]):8.1f}",
        flush=True,
    )
    return ratios


def main() -> None:
    """Print a row for each run, and the fraction of all ratios that are between 0.5 and 2."""
    parser = argument_parser(__doc__)
    parser.add_argument("study", nargs="*", help="a file, or a name of the default studies")
    parser.add_argument("--records", type=Path, help="folder that receives the records of the runs")
    parser.add_argument("--replay", type=Path, help="folder of records: nothing is run")
    arguments = parser.parse_args()
    smoke = {"bootstrap": {"draws": 0}, "cluster": {"profile": "sync"}}
    names = ["porometry-quickstart"] if arguments.smoke else arguments.study or list(STUDIES)
    columns = [f"{moment:.0%}" for moment in MOMENTS] + [f"{moment:.0%} CPU" for moment in MOMENTS]
    print(f"{'study':24}{'s':>8}{'CPU/wall':>10}" + "".join(f"{name:>8}" for name in columns) + "   in range   width")
    ratios: list[float | None] = []
    if arguments.replay:
        for path in sorted(arguments.replay.glob("*.json")):
            ratios += print_row(json.loads(path.read_text(encoding="utf-8")))
        names = []
    for name in names:
        path, changes = STUDIES.get(name, (Path(name).resolve(), {}))
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            recorded = record(name, path, {**changes, **(smoke if arguments.smoke else {"cluster": {"workers": 2}})})
        text = json.dumps(recorded)
        if arguments.records:
            arguments.records.mkdir(parents=True, exist_ok=True)
            (arguments.records / f"{name.replace('/', '-')}-{time.time_ns()}.json").write_text(text, encoding="utf-8")
        ratios += print_row(json.loads(text))
    numbers = [ratio for ratio in ratios if ratio is not None]
    n_right = sum(0.5 <= ratio <= 2 for ratio in numbers)
    print(f"{n_right} of {len(numbers)} ratios are between 0.5 and 2; {len(ratios) - len(numbers)} were not known")


if __name__ == "__main__":
    main()
