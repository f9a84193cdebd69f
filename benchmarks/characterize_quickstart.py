"""Time of configs/characterize-quickstart.yaml on two workers, compared with another version of membrane-dask.

    python benchmarks/characterize_quickstart.py [--other FOLDER] [--repeats 3] [--source RUN]

FOLDER is the root of the sources of the other version. Both versions characterize the structures of the same run of
configs/reconstruct-quickstart.yaml, which is computed first unless ``--source`` names one. They take turns; before,
each plans the study once, which compiles its kernels. Printed are the time and the processor time of the command,
workers included, the comparison of predicted and actual cost that the command prints, and the median over the repeats
of the ratio to this version. On a machine that does other work, processor times are the more reliable ones.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import argument_parser

ROOT = Path(__file__).resolve().parents[1]


def command(root: Path, *arguments: str | Path) -> tuple[float, float, str]:
    """Run a command of the version in a folder; its time, its processor time, and what it prints to stderr."""
    environment = {**os.environ, "PYTHONPATH": str(root)}  # of the workers; this process imports from its directory
    before, start = processor_time(), time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "membrane_dask.cli", *map(str, arguments)],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    elapsed = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(process.stderr)
    return elapsed, processor_time() - before, process.stderr


def processor_time() -> float:
    """Processor time of all finished child processes and of theirs, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def small_study(folder: Path) -> Path:
    """A study of a small membrane."""
    from membrane_dask.physics.analytic_problems import GradedMembrane

    np.save(folder / "membrane.npy", GradedMembrane(depth=60, slices=40, width=40).volume())
    study = folder / "study.yaml"
    study.write_text("kind: characterize\ninput: membrane.npy\nvoxel_size: 3 nm\n")
    return study


def main() -> None:
    """Print a row for each run, and the medians."""
    parser = argument_parser(__doc__)
    parser.add_argument("--other", type=Path, help="root of the sources of another version")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--source", type=Path, help="finished run of configs/reconstruct-quickstart.yaml")
    arguments = parser.parse_args()
    versions = {"this": ROOT, **({"other": arguments.other.resolve()} if arguments.other else {})}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        studies = {name: root / "configs/characterize-quickstart.yaml" for name, root in versions.items()}
        settings: list[str | Path] = ["--set", "cluster.workers=2"]
        if arguments.smoke:
            arguments.repeats, studies = 1, dict.fromkeys(versions, small_study(folder))
        else:
            source = arguments.source
            if source is None:
                source = folder / "reconstruct-quickstart"
                command(ROOT, "run", ROOT / "configs/reconstruct-quickstart.yaml", "--out", source)
            settings += ["--set", f"input={source.resolve()}"]
        for name, root in versions.items():
            command(root, "plan", studies[name], *settings)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in versions}
        for repeat in range(arguments.repeats):
            for name, root in versions.items():
                out = folder / f"{name}-{repeat}"
                elapsed, processor, messages = command(root, "run", studies[name], "--out", out, *settings)
                times[name].append((elapsed, processor))
                cost = next((line for line in messages.splitlines() if "predicted were" in line), "")
                print(f"{name:6} {elapsed:6.1f} s, processor time {processor:6.1f} s; {cost}", flush=True)
    for name in versions:
        ratios = [np.divide(own, first) for own, first in zip(times[name], times["this"], strict=True)]
        elapsed, processor = (statistics.median(column) for column in zip(*times[name], strict=True))
        of_time, of_processor = (statistics.median(column) for column in zip(*ratios, strict=True))
        print(f"{name:6} medians: {elapsed:.1f} s, {of_time:.2f} times this version; processor time {processor:.1f} s, "
              f"{of_processor:.2f} times")  # fmt: skip


if __name__ == "__main__":
    main()
