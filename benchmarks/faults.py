"""Fault campaign: runs that meet a random fault, are resumed until complete, and are compared with an undisturbed run.

    python benchmarks/faults.py                                  # 100 rounds: local, Slurm and Grid Engine in turn
    python benchmarks/faults.py --rounds 20 --systems slurm --seed 7
    python benchmarks/faults.py --faults "chunk lost" --rounds 3

The rounds follow from the seed: system, fault, and the number of finished units at which it happens. What the fault
meets at that moment depends on the machine. Slurm and Grid Engine are started by deploy/slurm-box and
deploy/gridengine-box. A round passes if the run is complete and every file of its result has the bytes of a run without
a fault.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from _common import argument_parser, skipped
from _faults import BATCH_SIZE, COMMAND, FAULTS, START_TIMEOUT, Fault, Round, System, commands_folder, write_commands

ROOT = Path(__file__).resolve().parents[1]
STUDY = f"""kind: graded
bands: 2
l_max: 0.25
radius: 0.02
gradient: [0.0, 0.01, 0.02]
realizations: REALIZATIONS
execution: {{batch: {BATCH_SIZE}}}
"""
#: A run that is not complete after so many starts counts as lost.
MAX_STARTS = 6


def _free_port(number: int) -> int:
    """First of ``number`` consecutive ports that are free."""
    for first in range(41000 + os.getpid() % 500 * 10, 60000, 10):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + number):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


@contextlib.contextmanager
def _system(name: str, folder: Path) -> Iterator[System | None]:
    """A system, started; None where it cannot be started."""
    small = ("--set", "cluster.workers=2", "--set", "cluster.memory=600 MB")
    if name == "local":
        yield System(name, ("--cluster", "local", *small[:2]))
        return
    scripts, box = ROOT / "deploy" / f"{name}-box", folder / name
    environment = {**os.environ, "BOX_PORT": str(_free_port(3))}
    started = subprocess.run([scripts / "up", box], env=environment, capture_output=True, text=True)
    if started.returncode:
        skipped(name, (started.stderr.strip().splitlines() or ["it does not start"])[-1])
        yield None
        return
    lines = (line.removeprefix("export ") for line in (box / "env").read_text().splitlines())
    environment |= dict(line.split("=", 1) for line in lines if "=" in line)
    options = ("--cluster", "slurm" if name == "slurm" else "sge", *small, "--set", "cluster.jobs=2")
    system = System(name, options, environment, box, scripts)
    write_commands(system)
    environment["PATH"] = f"{commands_folder(system)}:{environment['PATH']}"
    try:
        yield system
    finally:
        subprocess.run([scripts / "down", box], env={**environment, "BOX_REMOVE": "1"}, capture_output=True)


def result_files(run: Path) -> dict[str, bytes]:
    """Files of a result."""
    folder = run / "result.zarr"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def state(run: Path) -> str:
    """State of a run, as the command line reports it."""
    completed = subprocess.run([*COMMAND, "status", "--json", str(run)], capture_output=True, text=True)
    try:
        return str(json.loads(completed.stdout)[0]["state"])
    except (json.JSONDecodeError, LookupError):
        return f"status: exit code {completed.returncode}"


def play(round: Round, cause: Fault, reference: Mapping[str, bytes]) -> str:
    """Play one round; an empty text, or what is wrong at its end."""
    round.start()
    round.wait_for_moment()
    cause(round)
    runs = [round.run, *round.copies]
    assert round.driver is not None
    for run in runs:
        while True:
            try:
                code = round.driver.wait(timeout=START_TIMEOUT)
            except subprocess.TimeoutExpired:
                return f"a driver did not end within {START_TIMEOUT:g} s"
            if state(run) == "complete":
                break
            if round.starts >= MAX_STARTS:
                return f"{state(run)} after {round.starts} starts; last exit code {code}"
            round.start(run)
        files = result_files(run)
        different = sorted(name for name in files.keys() | reference.keys() if files.get(name) != reference.get(name))
        if different:
            return f"{len(different)} of {len(reference)} files differ: {different[0]}"
    if "Traceback" in (runs[0].parent / f"{round.study.stem}.log").read_text(errors="replace"):
        return "traceback in the output"
    return ""


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--systems", default="local,slurm,gridengine", help="comma-separated")
    parser.add_argument("--faults", default="", help="only faults whose name contains this")
    parser.add_argument("--keep", type=Path, help="folder for the runs that end otherwise")
    options = parser.parse_args()
    names = ["local"] if options.smoke else options.systems.split(",")
    rounds = 1 if options.smoke else options.rounds
    chosen = {name: entry for name, entry in FAULTS.items() if ("killed" if options.smoke else options.faults) in name}
    realizations = 20 if options.smoke else 80
    rng = random.Random(options.seed)
    outcomes: list[tuple[str, str, str, int, float]] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as text, contextlib.ExitStack() as stack:
        folder = Path(text).resolve()
        systems = [system for name in names if (system := stack.enter_context(_system(name, folder)))]
        study = folder / "study.yaml"
        study.write_text(STUDY.replace("REALIZATIONS", str(realizations)))
        total = 3 * realizations
        subprocess.run([*COMMAND, "run", study, "--out", folder / "reference", "--cluster", "sync"],
                       check=True, capture_output=True)  # fmt: skip
        reference = result_files(folder / "reference")
        for number in range(rounds):
            system = systems[number % len(systems)]
            possible = sorted(name for name, (_, where) in chosen.items() if system.name in where)
            name = rng.choice(possible)
            own = folder / f"round-{number}.yaml"
            shutil.copy(study, own)
            round = Round(system, own, folder / own.stem, random.Random(rng.random()), rng.randrange(total * 4 // 5))
            begin = time.monotonic()
            try:
                problem = play(round, chosen[name][0], reference)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            seconds = time.monotonic() - begin
            outcomes.append((name, system.name, problem, round.starts, seconds))
            print(f"{number + 1:3d} {system.name:10s} {name:38s} at {round.moment:3d} of {total}: "
                  f"{round.starts} starts, {seconds:5.1f} s  {problem or 'the same bytes'}", flush=True)  # fmt: skip
            with contextlib.suppress(ProcessLookupError):
                if round.driver is not None:
                    os.killpg(round.driver.pid, signal.SIGKILL)
            system.cancel_all()
            for path in folder.glob(f"{own.stem}*"):
                if problem and options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.move(path, options.keep / path.name)
                elif path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
        print(f"\n{'fault':38s} {'system':10s} {'rounds':>6s} {'same bytes':>10s} {'starts':>6s} {'seconds':>7s}")
        for name, system_name in sorted({(name, where) for name, where, *_ in outcomes}):
            group = [entry for entry in outcomes if entry[:2] == (name, system_name)]
            median = sorted(entry[4] for entry in group)[len(group) // 2]
            print(f"{name:38s} {system_name:10s} {len(group):6d} {sum(not entry[2] for entry in group):10d} "
                  f"{sum(entry[3] for entry in group) / len(group):6.1f} {median:7.1f}")  # fmt: skip
    same = sum(not entry[2] for entry in outcomes)
    print(f"{same} of {len(outcomes)} rounds end in the bytes of the undisturbed run (seed {options.seed})")
    return 0 if same == len(outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
