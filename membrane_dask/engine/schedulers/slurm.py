"""Slurm: sbatch, squeue, sacct and srun."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobState,
    _state,
)


class Slurm(BatchSystem):
    """Slurm."""

    title = "Slurm"
    commands = ("sbatch", "squeue", "scancel")
    job_class = ("dask_jobqueue.slurm", "SLURMJob")
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"),
        "ended": (
            "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "BOOT_FAIL",
            "DEADLINE", "REVOKED",
        ),
    }  # fmt: skip

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One task a node."""
        found = self._header()
        found["job_extra_directives"] = [f"-N {nodes}", f"-n {nodes}", *found["job_extra_directives"]]
        found["job_directives_skip"] = ["#SBATCH -n 1"]
        return found | {"job_cpu": cores, "job_mem": f"{memory_mb}M"}

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits."""
        return ["sbatch", "--parsable", *([f"--dependency=afterany:{after}"] if after else []), str(script)]

    def surroundings(self) -> dict[str, str]:
        """A driver that is a job itself hands none of its own job's settings on."""
        return {name: value for name, value in os.environ.items() if not re.match(r"SLURM_(?!CONF$)", name)}

    def rehearse(self, script: Path) -> None:
        """``sbatch --test-only``."""
        self._ask(["sbatch", "--test-only", str(script)], refusal=True)

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """All jobs of this person: one question whatever their number, and no error for a job that is gone."""
        said = self._ask(["squeue", "-h", "-u", getpass.getuser(), "-t", "all", "-o", "%i|%T|%r"])
        rows = [line.split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
        return {number: _state(self._states, state, reason) for number, state, reason in rows}


class SlurmSteps(Slurm):
    """The nodes of the one job that this process runs in: a worker job is a step of it, by srun."""

    title = "srun"
    commands = ("srun",)  # type: ignore[assignment]

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._steps: dict[str, subprocess.Popen[bytes]] = {}

    def rehearse(self, script: Path) -> None:
        """A step needs no queue."""

    def submit(self, script: Path, after: str | None = None) -> str:
        """Start a step on a node that has room; the number is that of its srun process."""
        command = [
            "srun", "--nodes=1", "--ntasks=1", "--exact", f"--cpus-per-task={self.cores}",
            f"--mem={self.memory_mb(self.profile.workers or 1)}M", "--kill-on-bad-exit=1", "bash", str(script),
        ]  # fmt: skip
        with script.with_suffix(".log").open("ab") as log:
            step = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        number = str(step.pid)
        script.with_suffix(".log").rename(script.with_name(f"{script.stem}-{number}.log"))
        self._steps[number] = step
        return number

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """Whether each srun process lives."""
        found = {}
        for number in numbers:
            step = self._steps.get(number)
            code = step.poll() if step else 0
            found[number] = JobState("running", "RUNNING") if code is None else JobState("ended", f"exit code {code}")
        return found

    def cancel(self, numbers: Iterable[str]) -> None:
        """End steps; srun passes the signal on."""
        mine = [self._steps[number] for number in numbers if number in self._steps]
        for step in mine:
            step.terminate()
        for step in mine:
            try:
                step.wait(timeout=10)
            except subprocess.TimeoutExpired:
                step.kill()
