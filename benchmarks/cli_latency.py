"""CPU time of short commands, each in a process of its own: the smallest of some repeats.

    python benchmarks/cli_latency.py [--repeats 7]

The commands run in turn, so that a change in the load of the machine affects all of them. CPU time does not count the
waiting on a busy machine. The ratio is relative to the start of the interpreter alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from _common import argument_parser

from membrane_dask import load_study, run

STUDY = Path(__file__).parents[1] / "configs/graded-quickstart.yaml"
CLI = (sys.executable, "-m", "membrane_dask.cli")
COMMANDS = {
    "python": (sys.executable, "-c", "pass"),
    "import membrane_dask": (sys.executable, "-c", "import membrane_dask"),
    "membrane-dask --help": (*CLI, "--help"),
    "membrane-dask status": (*CLI, "status"),
    "membrane-dask new graded": (*CLI, "new", "graded"),
    "membrane-dask check STUDY": (*CLI, "check", str(STUDY)),
}


def cpu_seconds(command: tuple[str, ...], folder: Path) -> float:
    """CPU time of a command in a folder, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the CPU time of each command in a folder with two runs."""
    parser = argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    repeats = 1 if arguments.smoke else arguments.repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for realizations in (2, 3):
            study = load_study(STUDY, realizations=realizations, cluster={"profile": "sync"})
            run(study, folder / "runs" / f"run-{realizations}", limit=0)
        seconds: dict[str, list[float]] = {label: [] for label in COMMANDS}
        for _ in range(repeats):
            for label, command in COMMANDS.items():
                seconds[label].append(cpu_seconds(command, folder))
    smallest = {label: min(values) for label, values in seconds.items()}
    print(f"{'command':28}{'ms':>8}{'ratio':>8}   smallest of {repeats}")
    for label, value in smallest.items():
        print(f"{label:28}{1000 * value:8.0f}{value / smallest['python']:8.1f}", flush=True)


if __name__ == "__main__":
    main()
