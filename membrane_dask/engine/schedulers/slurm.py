"""Jobs of Slurm, by sbatch, squeue and scancel, and steps of one job, by srun."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.commands import (
    SchedulerUnavailableError,
    SubmissionRefusedError,
    is_unavailable,
)
from membrane_dask.engine.schedulers.queue import NOT_IN_QUEUE, JobState, classify_state


class Slurm(BatchSystem):
    """Slurm: ``sbatch`` submits, ``sbatch --test-only`` validates a script, ``squeue`` lists, ``scancel`` cancels."""

    title = "Slurm"
    commands: ClassVar[tuple[str, ...]] = ("sbatch", "squeue", "scancel")
    job_class = ("dask_jobqueue.slurm", "SLURMJob")
    directive_prefix = "#SBATCH"
    job_id_line = r"(\d+(?:;[\w.-]+)?)"
    job_id_format = r"[0-9]+(;[0-9A-Za-z_.-]+)?"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": (
            "PENDING", "CONFIGURING", "POWER_UP_NODE", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT",
            "RESV_DEL_HOLD", "SUSPENDED", "STOPPED",
        ),
        "interrupted": ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"),
        "ended": ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE"),
    }  # fmt: skip

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One task per node, and memory per node or per core."""
        options = self._common_options([f"-N {nodes}", f"-n {nodes}"])
        options["job_directives_skip"].append("#SBATCH -n 1")
        if self.profile.memory_request:  # otherwise dask-jobqueue requests memory per node, unless the site skips that
            options["job_directives_skip"].append("#SBATCH --mem=")
            memory = self.memory_option(cores, memory_mb)
            options["job_extra_directives"] = [*([memory] if memory else []), *options["job_extra_directives"]]
        return options | {"job_cpu": cores, "job_mem": f"{memory_mb}M"}

    def memory_option(self, cores: int, memory_mb: int) -> str:
        """Option for the memory of each node, per core if the site wants it so; empty if it wants none."""
        request = self.profile.memory_request or "per_node"
        if request == "per_cpu":
            return f"--mem-per-cpu={math.ceil(memory_mb / cores)}M"
        return f"--mem={memory_mb}M" if request == "per_node" else ""

    @property
    def _clusters(self) -> list[str]:
        """The option ``-M`` of all commands, where the jobs run on another cluster of the site."""
        for line in reversed(self.extra_directives()):
            match = re.match(r"(?:-M\s*|--clusters?[=\s]\s*)([\w,.-]+)", line)
            if match:
                return ["-M", match[1]]
        from_environment = os.environ.get("SBATCH_CLUSTERS") or os.environ.get("SLURM_CLUSTERS")
        return ["-M", from_environment] if from_environment else []

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``sbatch --parsable``."""
        dependency = [f"--dependency=afterany:{after.partition(';')[0]}"] if after else []
        return ["sbatch", "--parsable", *self._clusters, *dependency, f"--job-name={script.stem}", str(script)]

    def _read_job_id(self, output: str) -> str:
        """``ID``, or ``ID;CLUSTER`` with the option ``-M``; the cluster stays in the id if there are several."""
        job_id = super()._read_job_id(output)
        return job_id if self._has_clusters else job_id.partition(";")[0]

    @property
    def _has_clusters(self) -> bool:
        """Whether ids have the form ``ID;CLUSTER``, as Slurm chooses among several clusters."""
        return bool(self._clusters) and ("," in self._clusters[1] or self._clusters[1] == "all")

    def command_environment(self) -> dict[str, str]:
        """Without those of the driver's own job, as options of new ones, and without filters of listings."""
        ignored = re.compile(r"(SLURM_(?!CONF$)|SQUEUE_|SCANCEL_)")
        return {name: value for name, value in os.environ.items() if not ignored.match(name)}

    def validate_script(self, script: Path) -> None:
        """``sbatch --test-only``; where nodes are down or drained, a job for later that is cancelled at once.

        The dry run finds no node for a job then, whereas ``sbatch`` itself accepts it unless it is too large.
        """
        output = self._execute(["sbatch", "--test-only", *self._clusters, str(script)])
        if output.exit_code and re.search(r"node.* not available|DOWN, DRAINED|nodes? .*busy", output.message, re.I):
            name = f"{script.stem}-dry-run"
            command = ["sbatch", "--parsable", "--begin=now+1hour", *self._clusters, f"--job-name={name}", str(script)]
            try:
                output = self._execute(command)
                job_id = self._read_job_id(output.text)
            except SchedulerUnavailableError:
                self.cancel(self.find_jobs(name))  # it may have been accepted without an answer
                raise
            self.cancel([job_id] if job_id or output.exit_code else self.find_jobs(name))
        if output.exit_code:
            unavailable = is_unavailable(output.message)
            raise (SchedulerUnavailableError if unavailable else SubmissionRefusedError)(f"sbatch: {output.message}")

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``squeue -u USER``: one command for any number of jobs, and no error for those that have ended."""
        rows = {job_id: row.split("|", 1) for job_id, row in self._list("%T|%r").items() if "|" in row}
        return {
            job_id: classify_state(self._states, state.strip(), reason.strip())
            for job_id, (state, reason) in rows.items()
        }

    def query_job(self, job_id: str) -> JobState | None:
        """``scontrol show job``."""
        number, _, cluster = job_id.partition(";")
        clusters = ["-M", cluster] if cluster else self._clusters
        output = self._execute(["scontrol", *clusters, "-o", "show", "job", number])
        if "Invalid job id" in output.text + output.errors:
            return NOT_IN_QUEUE
        state = re.search(rf"\bJobId={number}\b.*?\bJobState=(\S+) Reason=(\S+)", output.text)
        return classify_state(self._states, state[1], state[2]) if state else None

    def list_names(self) -> dict[str, str]:
        """``squeue -u USER``."""
        return self._list("%j")

    def _list(self, columns: str) -> dict[str, str]:
        """Columns of the user's jobs by id; by number, as a name of the user may differ between machines."""
        command = ["squeue", *self._clusters, "-h", "-u", str(os.getuid()), "-t", "all", "-o", f"%i|{columns}"]
        jobs, cluster = {}, ""
        for line in self._run_command(command).splitlines():
            header = re.match(r"CLUSTER: (\S+)", line)
            if header:
                cluster = header[1]
            number, separator, row = line.partition("|")
            if separator and number.strip().isdigit():
                jobs[f"{number.strip()};{cluster}" if self._has_clusters else number.strip()] = row.strip()
        return jobs

    def is_job_id(self, text: str) -> bool:
        """Whether a text is a number, followed by a cluster if there are several."""
        return super().is_job_id(text) and (self._has_clusters or ";" not in text)

    def cancel_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        """``scancel`` for each cluster, as clusters may give the same number to different jobs."""
        clusters: dict[str, list[str]] = {}
        for job_id in job_ids:
            number, _, cluster = job_id.partition(";")
            clusters.setdefault(cluster, []).append(number)
        return [
            ["scancel", *(["-M", cluster] if cluster else self._clusters), "--", *numbers]
            for cluster, numbers in clusters.items()
        ]


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

    def submit(self, script: Path, after: str | None = None, *, attempts: int = 1) -> str:
        """Start a step on a node with free cores; the other arguments are ignored."""
        memory = self.memory_option(self.cores, self.memory_mb(self.profile.workers or 1)) or "--mem=0"
        command = [
            "srun", "--nodes=1", "--ntasks=1", "--exact", f"--cpus-per-task={self.cores}", memory,
            "--kill-on-bad-exit=1", "bash", str(script),
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
