"""Jobs of Slurm, by sbatch, squeue and scancel, and steps of one job, by srun."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.schedulers.base import BatchSystem, JobState, classify_state


class Slurm(BatchSystem):
    """Slurm: ``sbatch`` submits, ``sbatch --test-only`` validates a script, ``squeue`` lists, ``scancel`` cancels."""

    title = "Slurm"
    commands: ClassVar[tuple[str, ...]] = ("sbatch", "squeue", "scancel")
    job_class = ("dask_jobqueue.slurm", "SLURMJob")
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": (
            "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD",
            "SUSPENDED", "STOPPED",
        ),
        "interrupted": ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"),
        "ended": ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE"),
    }  # fmt: skip

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One task per node."""
        options = self._common_options()
        options["job_extra_directives"] = [f"-N {nodes}", f"-n {nodes}", *options["job_extra_directives"]]
        options["job_directives_skip"] = ["#SBATCH -n 1"]
        return options | {"job_cpu": cores, "job_mem": f"{memory_mb}M"}

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``sbatch --parsable``."""
        return ["sbatch", "--parsable", *([f"--dependency=afterany:{after}"] if after else []), str(script)]

    def command_environment(self) -> dict[str, str]:
        """Without the variables of the driver's own job, which ``sbatch`` would take for its options."""
        return {name: value for name, value in os.environ.items() if not re.match(r"SLURM_(?!CONF$)", name)}

    def validate_script(self, script: Path) -> None:
        """``sbatch --test-only``."""
        self._run_command(["sbatch", "--test-only", str(script)], submits=True)

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``squeue -u USER``: one command for any number of jobs, and no error for those that have ended."""
        output = self._run_command(["squeue", "-h", "-u", getpass.getuser(), "-t", "all", "-o", "%i|%T|%r"])
        rows = [line.split("|", 2) for line in output.splitlines() if line.count("|") >= 2]
        return {job_id: classify_state(self._states, state, reason) for job_id, state, reason in rows}

    def list_names(self) -> dict[str, str]:
        """``squeue -u USER``."""
        output = self._run_command(["squeue", "-h", "-u", getpass.getuser(), "-t", "all", "-o", "%i|%j"])
        return dict(line.split("|", 1) for line in output.splitlines() if "|" in line)

    def cancel_command(self, job_ids: Sequence[str]) -> list[str]:
        """``scancel``, without any further option."""
        return ["scancel", "--", *job_ids]


class SlurmSteps(Slurm):
    """The nodes of the job in which this process runs: ``srun`` starts each worker job as a step of it.

    The id of a step is the number of its ``srun`` process.
    """

    title = "srun"
    commands = ("srun",)

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._steps: dict[str, subprocess.Popen[bytes]] = {}

    def validate_script(self, script: Path) -> None:
        """Accept every script: steps pass no queue."""

    def submit(self, script: Path, after: str | None = None) -> str:
        """Start a step on a node with free cores; ``after`` is ignored."""
        command = [
            "srun", "--nodes=1", "--ntasks=1", "--exact", f"--cpus-per-task={self.cores}",
            f"--mem={self.memory_mb(self.profile.workers or 1)}M", "--kill-on-bad-exit=1", "bash", str(script),
        ]  # fmt: skip
        with script.with_suffix(".log").open("ab") as log:
            step = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        step_id = str(step.pid)
        script.with_suffix(".log").rename(script.with_name(f"{script.stem}-{step_id}.log"))
        self._steps[step_id] = step
        return step_id

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Whether each ``srun`` process runs."""
        jobs = {}
        for step_id in job_ids:
            step = self._steps.get(step_id)
            code = step.poll() if step else 0
            jobs[step_id] = JobState("running", "RUNNING") if code is None else JobState("ended", f"exit code {code}")
        return jobs

    def list_names(self) -> dict[str, str]:
        """Return nothing: steps have no names in the queue, and end with the job."""
        return {}

    def cancel(self, job_ids: Iterable[str]) -> bool:
        """Terminate steps: ``srun`` forwards the signal to its processes."""
        steps = [self._steps[step_id] for step_id in job_ids if step_id in self._steps]
        for step in steps:
            step.terminate()
        for step in steps:
            try:
                step.wait(timeout=10)
            except subprocess.TimeoutExpired:
                step.kill()
        return True
