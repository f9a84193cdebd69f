"""Jobs of LSF, by bsub, bjobs and bkill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.commands import SchedulerUnavailableError, is_unavailable
from membrane_dask.engine.schedulers.queue import NOT_IN_QUEUE, JobState, classify_state
from membrane_dask.engine.schedulers.scripts import format_walltime


class LSF(BatchSystem):
    """IBM Spectrum LSF: ``bsub`` submits, ``bjobs`` lists, ``bkill`` cancels."""

    title = "LSF"
    commands: ClassVar[tuple[str, ...]] = ("bsub", "bjobs", "bkill")
    job_class = ("dask_jobqueue.lsf", "LSFJob")
    directive_prefix = "#BSUB"
    job_id_line = r"Job <(\d+)> is submitted\b.*"
    _columns = ("-noheader", "-o", "jobid stat pend_reason delimiter='|'")
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("PEND", "PSUSP", "USUSP", "SSUSP", "WAIT", "PROV"),
        "ended": ("DONE", "EXIT", "ZOMBI"),
    }

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """All slots on one host; the time limit is in whole minutes, ``hh:mm``."""
        request = self.profile.memory_request or "per_node"
        options = self._common_options(account_option="project")
        options |= {"ncpus": cores, "mem": memory_mb * 10**6 // (cores if request == "per_cpu" else 1)}
        if request == "none":
            options["job_directives_skip"].append("#BSUB -M ")
        if self.profile.walltime:
            options["walltime"] = format_walltime(math.ceil(self.profile.walltime / 60) * 60)[:-3]
        return options

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``bsub``, which reads the script from standard input."""
        return ["<", str(script), "bsub", *(["-w", f"ended({after})"] if after else []), "-J", script.stem]

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``bjobs -a``: state of each job and the reason why it is pending."""
        return self._rows(self._list(["bjobs", "-a", *self._columns]))

    def query_job(self, job_id: str) -> JobState | None:
        """``bjobs ID``."""
        output = self._execute(["bjobs", *self._columns, job_id])
        state = self._rows(output.text).get(job_id)
        return NOT_IN_QUEUE if state is None and "is not found" in output.text + output.errors else state

    def _list(self, command: Sequence[str]) -> str:
        """Output of ``bjobs``, which exits with 255 without any job, and also if LSF does not answer."""
        output = self._execute(command)
        if output.exit_code and (output.exit_code != 255 or is_unavailable(output.message)):
            raise SchedulerUnavailableError(f"bjobs: {output.message}")
        return output.text

    def _rows(self, output: str) -> dict[str, JobState]:
        rows = [map(str.strip, line.split("|", 2)) for line in output.splitlines() if line.count("|") >= 2]
        return {job_id: classify_state(self._states, state, reason.strip("- ")) for job_id, state, reason in rows}

    def list_names(self) -> dict[str, str]:
        """``bjobs -a``."""
        output = self._list(["bjobs", "-a", "-noheader", "-o", "jobid job_name delimiter='|'"])
        rows = [line.split("|", 1) for line in output.splitlines() if "|" in line]
        return {job_id.strip(): name.strip() for job_id, name in rows}
