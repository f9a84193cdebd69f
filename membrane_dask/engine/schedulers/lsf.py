"""Jobs of LSF, by bsub, bjobs and bkill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem, JobState, classify_state, format_walltime


class LSF(BatchSystem):
    """IBM Spectrum LSF: ``bsub`` submits, ``bjobs`` lists, ``bkill`` cancels."""

    title = "LSF"
    commands: ClassVar[tuple[str, ...]] = ("bsub", "bjobs", "bkill")
    job_class = ("dask_jobqueue.lsf", "LSFJob")
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("PEND", "PSUSP", "USUSP", "SSUSP", "WAIT", "PROV"),
        "ended": ("DONE", "EXIT", "ZOMBI"),
    }

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """All slots on one host; the time limit is in whole minutes, ``hh:mm``."""
        options = self._common_options("project") | {"ncpus": cores, "mem": memory_mb * 10**6}
        if self.profile.walltime:
            options["walltime"] = format_walltime(math.ceil(self.profile.walltime / 60) * 60)[:-3]
        return options

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``bsub``, which reads the script from standard input."""
        return ["<", str(script), "bsub", *(["-w", f"ended({after})"] if after else [])]

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``bjobs -a``: state of each job and the reason why it is pending."""
        command = ["bjobs", "-a", "-noheader", "-o", "jobid stat pend_reason delimiter='|'"]
        output = self._run_command(command, allowed_exit_codes=(255,))
        rows = [line.split("|", 2) for line in output.splitlines() if line.count("|") >= 2]
        return {job_id: classify_state(self._states, state, reason.strip("- ")) for job_id, state, reason in rows}

    def list_names(self) -> dict[str, str]:
        """``bjobs -a``."""
        command = ["bjobs", "-a", "-noheader", "-o", "jobid job_name delimiter='|'"]
        output = self._run_command(command, allowed_exit_codes=(255,))
        return dict(line.split("|", 1) for line in output.splitlines() if "|" in line)
