"""Wall time of short commands, each in a process of its own: medians.

    python benchmarks/cli_latency.py [--repeats 15]

The commands run in turn, so that a change in the load of the machine affects all of them. The ratio is relative to
the start of the interpreter alone.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _common import argument_parser, timed

STUDY = Path(__file__).parents[1] / "configs/graded-quickstart.yaml"
CLI = (sys.executable, "-m", "membrane_dask.cli")
COMMANDS = {
    "python": (sys.executable, "-c", "pass"),
    "import membrane_dask": (sys.executable, "-c", "import membrane_dask"),
    "membrane-dask --help": (*CLI, "--help"),
    "membrane-dask new graded": (*CLI, "new", "graded"),
    "membrane-dask check STUDY": (*CLI, "check", str(STUDY)),
}


def run(command: tuple[str, ...]) -> None:
    """Run a command in a new folder, because ``new`` may write a file."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Print the median of each command."""
    parser = argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    repeats = 1 if arguments.smoke else arguments.repeats
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            seconds[name].append(timed(run, command)[0])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{'command':28}{'ms':>8}{'ratio':>8}   median of {repeats}")
    for name, median in medians.items():
        print(f"{name:28}{1000 * median:8.0f}{median / medians['python']:8.1f}", flush=True)


if __name__ == "__main__":
    main()
