"""Systems on which a run is disturbed, and the faults that disturb it, for faults.py."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

COMMAND = (sys.executable, "-m", "membrane_dask.cli")
#: Seconds in which each start must end.
START_TIMEOUT = 300.0
#: Seconds for which a process, a job or a batch system is absent.
PAUSE = 5.0
#: Units in a batch of the study.
BATCH_SIZE = 5


@dataclass
class System:
    """Where a run's workers are: this machine, or jobs of a batch system that runs here.

    Parameters
    ----------
    name : str
        Name in the table.
    options : tuple of str
        Options of ``membrane-dask run``.
    environment : mapping
        Environment of its commands.
    box : Path, optional
        Folder of the batch system's daemons.
    scripts : Path, optional
        Folder of the scripts that start and stop it.
    """

    name: str
    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    box: Path | None = None
    scripts: Path | None = None

    def start_daemons(self) -> None:
        """Start the daemons that do not run."""
        if self.scripts:
            subprocess.run([self.scripts / "up", self.box], env=self.environment, check=True, capture_output=True)

    def call(self, *command: str) -> str:
        """Output of a command of the batch system."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, errors="replace", timeout=60
        ).stdout

    def running_jobs(self) -> list[str]:
        """Ids of the running jobs; all jobs of these batch systems belong to the campaign."""
        if self.name == "slurm":
            return self.call("squeue", "-h", "-t", "R", "-o", "%i").split()
        lines = self.call("qstat", "-s", "r").splitlines()[2:]
        return [line.split()[0] for line in lines]

    def cancel_all(self) -> None:
        """Leave the queue empty for the next round."""
        if self.name == "slurm":
            self.call("scancel", "--user", "root" if os.getuid() == 0 else str(os.getuid()))
        elif self.name == "gridengine":
            self.call("qdel", "-u", "*")


@dataclass
class Round:
    """One run that meets one fault.

    Parameters
    ----------
    system : System
        Where its workers are.
    study : Path
        The study.
    run : Path
        The run directory.
    random : random.Random
        Source of the choices of the fault.
    moment : int
        Number of finished units at which the fault happens.
    """

    system: System
    study: Path
    run: Path
    random: random.Random
    moment: int
    starts: int = 0
    driver: subprocess.Popen[bytes] | None = None
    copies: list[Path] = field(default_factory=list)

    def start(self, run: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a driver, in a session of its own."""
        self.starts += 1
        command = [*COMMAND, "run", str(self.study), "--out", str(run or self.run), *self.system.options]
        with (self.run.parent / f"{self.run.name}.log").open("ab") as log:
            self.driver = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.system.environment, start_new_session=True
            )
        return self.driver

    def wait_for_moment(self) -> None:
        """Wait until the number of finished units is reached, or the driver has ended."""
        while self.finished() < self.moment and self.driver is not None and self.driver.poll() is None:
            time.sleep(0.02)

    def finished(self) -> int:
        """Number of units in the journal."""
        return sum(text.count(b'"attempt"') * BATCH_SIZE for text in map(Path.read_bytes, self.journals()))

    def journals(self) -> list[Path]:
        """Files of the journal."""
        return sorted((self.run / "journal").glob("*.jsonl"))

    def end_driver(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the driver and wait for its end."""
        assert self.driver is not None
        self.driver.send_signal(number)
        self.driver.wait(timeout=START_TIMEOUT)

    def workers(self) -> list[psutil.Process]:
        """Worker processes and their nannies: children of the local driver, or of the jobs that name this run."""
        if self.system.box is None:
            assert self.driver is not None
            roots = [psutil.Process(self.driver.pid)]
            return [child for child in roots[0].children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]
        processes = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                arguments = " ".join(process.cmdline())
                if str(self.run) in arguments and "worker" in arguments:
                    processes += [process, *process.children(recursive=True)]
        return processes

    def chunks(self) -> list[Path]:
        """Files of chunks of the result's tables."""
        folder = self.run / "result.zarr" / "graded"
        return sorted(path for path in folder.rglob("*") if path.is_file() and "c" in path.relative_to(folder).parts)

    def layout_files(self) -> list[Path]:
        """Metadata of the arrays of the result's tables."""
        return sorted((self.run / "result.zarr" / "graded").glob("*/zarr.json"))

    def choose(self, paths: list[Path]) -> Path:
        """A random file."""
        return self.random.choice(paths)


Fault = Callable[[Round], None]
#: Faults by name, with the systems on which they can happen.
FAULTS: dict[str, tuple[Fault, frozenset[str]]] = {}
EVERYWHERE = frozenset({"local", "slurm", "gridengine"})
BATCH = frozenset({"slurm", "gridengine"})


def fault(name: str, systems: frozenset[str] = EVERYWHERE) -> Callable[[Fault], Fault]:
    """Register a fault."""

    def register(function: Fault) -> Fault:
        FAULTS[name] = function, systems
        return function

    return register


# -- processes -------------------------------------------------------------------------------


@fault("worker killed")
def kill_worker(round: Round) -> None:
    workers = round.workers()
    if workers:
        with contextlib.suppress(psutil.Error):
            round.random.choice(workers).kill()


@fault("worker stopped and continued")
def pause_worker(round: Round) -> None:
    workers = round.workers()
    if workers:
        worker = round.random.choice(workers)
        with contextlib.suppress(psutil.Error):
            worker.suspend()
            time.sleep(PAUSE)
            worker.resume()


@fault("driver killed")
def kill_driver(round: Round) -> None:
    round.end_driver()


@fault("driver terminated")
def terminate_driver(round: Round) -> None:
    round.end_driver(signal.SIGTERM)


@fault("driver interrupted")
def interrupt_driver(round: Round) -> None:
    round.end_driver(signal.SIGINT)


@fault("driver stopped and continued")
def pause_driver(round: Round) -> None:
    assert round.driver is not None
    round.driver.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE)
    round.driver.send_signal(signal.SIGCONT)


@fault("driver and workers killed")
def kill_everything(round: Round) -> None:
    workers = round.workers()
    round.end_driver()
    for worker in workers:
        with contextlib.suppress(psutil.Error):
            worker.kill()


@fault("driver killed twice")
def kill_driver_twice(round: Round) -> None:
    round.end_driver()
    before = round.finished()
    round.start()
    round.moment = before + 10
    round.wait_for_moment()
    round.end_driver()


# -- files of the run ------------------------------------------------------------------------


@fault("chunk lost")
def lose_chunk(round: Round) -> None:
    round.end_driver()
    if round.chunks():
        round.choose(round.chunks()).unlink()


@fault("chunk truncated")
def truncate_chunk(round: Round) -> None:
    round.end_driver()
    if round.chunks():
        path = round.choose(round.chunks())
        path.write_bytes(path.read_bytes()[: -round.random.randrange(1, 9)])


@fault("chunk empty")
def empty_chunk(round: Round) -> None:
    round.end_driver()
    for path in round.random.sample(round.chunks(), min(5, len(round.chunks()))):
        path.write_bytes(b"")


@fault("chunk altered")
def alter_chunk(round: Round) -> None:
    round.end_driver()
    if round.chunks():
        path = round.choose(round.chunks())
        content = bytearray(path.read_bytes())
        content[round.random.randrange(len(content))] ^= 1 << round.random.randrange(8)
        path.write_bytes(content)


@fault("chunks exchanged")
def exchange_chunks(round: Round) -> None:
    round.end_driver()
    if round.chunks():
        path = round.choose(round.chunks())
        siblings = [other for other in path.parent.iterdir() if other != path]
        if siblings:
            other = round.choose(sorted(siblings))
            first, second = path.read_bytes(), other.read_bytes()
            path.write_bytes(second)
            other.write_bytes(first)


@fault("layout file lost")
def lose_layout(round: Round) -> None:
    round.end_driver()
    round.choose(round.layout_files()).unlink()


@fault("layout file truncated")
def truncate_layout(round: Round) -> None:
    round.end_driver()
    path = round.choose(round.layout_files())
    path.write_text(path.read_text()[: round.random.randrange(100)])


@fault("journal truncated")
def truncate_journal(round: Round) -> None:
    round.end_driver()
    for path in round.journals():
        content = path.read_bytes()
        path.write_bytes(content[: round.random.randrange(len(content) + 1)])


@fault("journal lines joined")
def join_journal_lines(round: Round) -> None:
    round.end_driver()
    for path in round.journals():
        lines = path.read_text().splitlines(keepends=True)
        number = round.random.randrange(len(lines))
        lines[number] = lines[number][: round.random.randrange(len(lines[number]))]
        path.write_text("".join(lines))


@fault("journal repeated and reversed")
def repeat_journal(round: Round) -> None:
    round.end_driver()
    for path in round.journals():
        lines = path.read_text().splitlines(keepends=True) * 2
        path.write_text("".join(reversed(lines)))


@fault("NUL bytes after the journal")
def append_nul_bytes(round: Round) -> None:
    round.end_driver()
    for path in round.journals():
        path.write_bytes(path.read_bytes() + b"\0" * 4096)


@fault("small files truncated")
def truncate_small_files(round: Round) -> None:
    round.end_driver()
    for name in ("driver.json", "jobs.json"):
        path = round.run / name
        if path.is_file():
            path.write_bytes(path.read_bytes()[: round.random.randrange(20)])


@fault("run moved")
def move_run(round: Round) -> None:
    round.end_driver()
    round.run = round.run.rename(round.run.with_name(f"{round.run.name}-moved"))


@fault("run copied while it is active")
def copy_run(round: Round) -> None:
    """The copy is resumed while the original is at work; both must be complete."""
    copy = round.run.with_name(f"{round.run.name}-copy")
    while True:  # files come and go while the run is at work
        try:
            shutil.copytree(round.run, copy, ignore=shutil.ignore_patterns(".*", "*.tmp", "*.partial"))
            break
        except shutil.Error:
            shutil.rmtree(copy, ignore_errors=True)
    (copy / "driver.json").unlink(missing_ok=True)
    round.copies.append(copy)
    original = round.driver
    round.start(copy).wait(timeout=START_TIMEOUT)
    round.driver = original


# -- jobs and batch systems ------------------------------------------------------------------


def _with_job(round: Round, slurm: list[str], gridengine: list[str]) -> str | None:
    """Call a command with a random running job."""
    jobs = round.system.running_jobs()
    if not jobs:
        return None
    job = round.random.choice(jobs)
    round.system.call(*(slurm if round.system.name == "slurm" else gridengine), job)
    return job


@fault("job cancelled", BATCH)
def cancel_job(round: Round) -> None:
    _with_job(round, ["scancel"], ["qdel"])


@fault("job requeued", BATCH)
def requeue_job(round: Round) -> None:
    _with_job(round, ["scontrol", "requeue"], ["qmod", "-r"])


@fault("job suspended", BATCH)
def suspend_job(round: Round) -> None:
    job = _with_job(round, ["scontrol", "suspend"], ["qmod", "-sj"])
    time.sleep(PAUSE)
    if job:
        round.system.call(*(["scontrol", "resume"] if round.system.name == "slurm" else ["qmod", "-usj"]), job)


@fault("job requeued and held", frozenset({"slurm"}))
def hold_job(round: Round) -> None:
    job = _with_job(round, ["scontrol", "requeuehold"], [])
    time.sleep(PAUSE)
    if job:
        round.system.call("scontrol", "release", job)


@fault("scheduler daemon killed", BATCH)
def kill_daemon(round: Round) -> None:
    name = "slurmctld" if round.system.name == "slurm" else "sge_qmaster"
    for process in psutil.process_iter(["name", "environ", "cmdline"]):
        information = [*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values()]
        if process.info["name"] == name and any(str(round.system.box) in text for text in information):
            process.kill()
    time.sleep(PAUSE)
    round.system.start_daemons()


@fault("queue listing empty", BATCH)
def empty_listing(round: Round) -> None:
    """The command that lists jobs prints nothing for some seconds."""
    flag = commands_folder(round.system) / "empty"
    flag.touch()
    time.sleep(2 * PAUSE)
    flag.unlink()


@fault("submission accepted without an answer", BATCH)
def lose_answer(round: Round) -> None:
    """The next submission is accepted, but the command prints a communication error; then a job is cancelled."""
    flag = commands_folder(round.system) / "silent"
    flag.touch()
    cancel_job(round)
    time.sleep(2 * PAUSE)
    flag.unlink(missing_ok=True)


def commands_folder(system: System) -> Path:
    assert system.box is not None
    return system.box / "commands"


def write_commands(system: System) -> None:
    """Commands in front of those of the batch system, which change what these print while a file exists."""
    folder = commands_folder(system)
    folder.mkdir()
    slurm = system.name == "slurm"
    error = "Socket timed out on send/recv operation" if slurm else "got no response from qmaster"
    listing = f"""[ -e {folder}/empty ] && exit 0"""
    submission = f"""case "$*" in *--test-only* | *"-w v"*) exec "$real" "$@" ;; esac
if rm {folder}/silent 2>/dev/null; then
  "$real" "$@" >/dev/null
  echo "error: {error}" >&2
  exit 1
fi"""
    for name, lines in (("squeue" if slurm else "qstat", listing), ("sbatch" if slurm else "qsub", submission)):
        path = folder / name
        path.write_text(f'#!/bin/bash\nreal={shutil.which(name)}\n{lines}\nexec "$real" "$@"\n')
        path.chmod(0o755)
