"""Jobs of PBS, by qsub, qstat and qdel."""

from __future__ import annotations

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
    _states: ClassVar[dict[str, tuple[str, ...]]] = {"pending": ("Q", "W", "H", "T"), "ended": ("F", "X", "C")}

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
        not_listed = (35, 153, 170)  # exit codes when some of the jobs are not in the queue
        output = self._run_command(["qstat", "-f", *job_ids], allowed_exit_codes=not_listed)
        jobs = {}
        for block in re.split(r"^Job Id:\s*", output, flags=re.M)[1:]:
            job_id = block.split(None, 1)[0]
            state = re.search(r"^\s*job_state = (\S+)", block, re.M)
            comment = re.search(r"^\s*comment = (.*(?:\n\t.*)*)", block, re.M)
            if state:
                reason = re.sub(r"\s+", " ", comment.group(1)) if comment else ""
                jobs[job_id] = classify_state(self._states, state.group(1), reason)
        return jobs
