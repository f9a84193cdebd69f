"""Jobs of PBS, by qsub, qstat and qdel."""

from __future__ import annotations

import getpass
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem, JobState, classify_state


class PBS(BatchSystem):
    """PBS Professional, OpenPBS and Torque: ``qsub`` submits, ``qstat -f`` lists, ``qdel`` cancels."""

    title = "PBS"
    commands: ClassVar[tuple[str, ...]] = ("qsub", "qstat", "qdel")
    conflicting_command = "qconf"  # Grid Engine
    job_class = ("dask_jobqueue.pbs", "PBSJob")
    job_id_pattern = r"\d+(\[\])?(\.[\w.-]+)?"
    job_id_format = r"[0-9]+(\[\])?(\.[0-9A-Za-z_.-]+)?"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("Q", "W", "H", "T", "S", "U"), "ended": ("F", "X", "C"),
    }  # fmt: skip

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One chunk: ``select=1``."""
        options = self._common_options()
        if self._site_setting("resource-spec") is None:
            options["resource_spec"] = f"select=1:ncpus={cores}:mem={memory_mb}mb"
        return options

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``qsub``."""
        return ["qsub", *(["-W", f"depend=afterany:{after}"] if after else []), str(script)]

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``qstat -f``, whose format is the same in all versions of PBS."""
        return {
            job_id: classify_state(self._states, job["job_state"], re.sub(r"\s+", " ", job.get("comment", "")))
            for job_id, job in self._attributes(job_ids).items()
            if "job_state" in job
        }

    def list_names(self) -> dict[str, str]:
        """``qselect -u USER``, then ``qstat -f`` for the jobs, as other listings cut long names."""
        job_ids = self._run_command(["qselect", "-u", getpass.getuser()]).split()
        if not job_ids:
            return {}
        return {
            job_id: re.sub(r"\s+", "", job["Job_Name"])
            for job_id, job in self._attributes(job_ids).items()
            if "Job_Name" in job
        }

    def _attributes(self, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Attributes of jobs as ``qstat -f`` prints them; long values are continued on lines with a tab."""
        not_listed = (35, 153, 170)  # exit codes when some of the jobs are not in the queue
        output = self._run_command(["qstat", "-f", *job_ids], allowed_exit_codes=not_listed)
        return {
            block.split(None, 1)[0]: dict(re.findall(r"^[ ]+(\S+) = (.*(?:\n\t.*)*)", block, re.M))
            for block in re.split(r"^Job Id:\s*", output, flags=re.M)[1:]
        }
