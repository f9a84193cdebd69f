"""Predicted cost of studies compared with what their units take: seconds of the processor, and ratio.

    python benchmarks/predicted_cost.py [STUDY ...]

Each study is planned in one process, with pilots, and all of its units run in another one, where they load compiled
code. Seconds are those of the processor, so that other processes of the machine do not count. By default these are the
quickstarts of all kinds; studies of a run, such as ``configs/characterize-quickstart.yaml``, need it in ``runs/``.
``configs/characterize-flow.yaml`` takes ten minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from _common import argument_parser

import membrane_dask as md
from membrane_dask.engine.costs import run_in_memory
from membrane_dask.program import task_stem

CONFIGS = Path(__file__).parents[1] / "configs"
NAMES = ("porometry-quickstart", "porometry-bench", "graded-quickstart", "reconstruct-quickstart")


def by_task(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds by task without its number."""
    total: dict[str, float] = {}
    for task, value in seconds.items():
        total[task_stem(task)] = total.get(task_stem(task), 0.0) + value
    return total


def predicted(study: str) -> dict[str, float]:
    """Predicted CPU time of all units in seconds, by task."""
    costs = md.plan(study, measure=True).costs
    assert costs is not None
    return by_task(dict(costs.cpu_work))


def taken(study: str) -> dict[str, float]:
    """CPU time of all units in seconds, by task."""
    return by_task(run_in_memory(md.plan(study).program).cpu)


def in_a_process(step: str, study: str) -> dict[str, float]:
    """What a step prints in a process of its own."""
    command = [sys.executable, __file__, "--step", step, study]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds: dict[str, float] = json.loads(output)
    return seconds


def main() -> None:
    """Print a row for each study and one for each of its tasks."""
    parser = argument_parser(__doc__)
    parser.add_argument("study", nargs="*")
    parser.add_argument("--step", choices=("predicted", "taken"), help="print the seconds of one step, for a process")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps((predicted if arguments.step == "predicted" else taken)(arguments.study[0])))
        return
    names = NAMES[:1] if arguments.smoke else NAMES
    print(f"{'study, task':32}{'predicted, s':>14}{'taken, s':>10}{'ratio':>7}")
    for study in arguments.study or [str(CONFIGS / f"{name}.yaml") for name in names]:
        first, second = (in_a_process(step, study) for step in ("predicted", "taken"))
        rows = {Path(study).stem: (sum(first.values()), sum(second.values()))}
        rows |= {f"  {task}": (first.get(task, 0.0), second[task]) for task in second}
        for name, (a, b) in rows.items():
            print(f"{name:32}{a:14.2f}{b:10.2f}{a / max(b, 1e-9):7.2f}", flush=True)


if __name__ == "__main__":
    main()
