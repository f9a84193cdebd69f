"""Jobs of OAR, by oarsub, oarstat and oardel."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.commands import (
    SchedulerUnavailableError,
    SubmissionRefusedError,
    is_unavailable,
    user_name,
)
from membrane_dask.engine.schedulers.queue import JobState, classify_state


class OAR(BatchSystem):
    """OAR: ``oarsub`` submits, ``oarstat`` lists, ``oardel`` cancels."""

    title = "OAR"
    commands: ClassVar[tuple[str, ...]] = ("oarsub", "oarstat", "oardel")
    job_class = ("dask_jobqueue.oar", "OARJob")
    directive_prefix = "#OAR"
    job_id_line = r"OAR_JOB_ID=(\d+)"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("Waiting", "Hold", "toLaunch", "Launching", "toAckReservation", "Suspended", "Resuming"),
        "ended": ("Terminated", "Error", "toError"),
    }

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Cores of one node; the name of the memory property differs between sites and is set in ``jobqueue.yaml``."""
        options = self._common_options(account_option="project") | {"resource_spec": f"/nodes=1/core={cores}"}
        no_property = self._site_setting("memory-per-core-property-name") is None
        if no_property and self.profile.memory_request == "per_cpu":
            raise SubmissionRefusedError(
                "memory_request: per_cpu needs the name of OAR's property for it; set "
                "jobqueue.oar.memory-per-core-property-name in ~/.config/dask/jobqueue.yaml"
            )
        if no_property or self.profile.memory_request == "none":
            options["memory_per_core_property_name"] = "not_applicable"
        return options

    def output_directives(self, folder: str) -> list[str]:
        """Output files, whose names OAR completes."""
        return [f"-O {folder}/%jobname%-%jobid%.out", f"-E {folder}/%jobname%-%jobid%.err"]

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``oarsub -S``, which executes the script itself."""
        script.chmod(0o700)
        return ["oarsub", *(["-a", after] if after else []), "-S", str(script.resolve())]

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``oarstat -u USER --json``: state and message of each job."""
        return self._states_of(self._attributes("-u", user_name()))

    def query_job(self, job_id: str) -> JobState | None:
        """``oarstat -j``, which also shows jobs that have ended."""
        return self._states_of(self._attributes("-j", job_id)).get(job_id)

    def list_names(self) -> dict[str, str]:
        """``oarstat -u USER --json``."""
        return {job_id: job.get("name") or "" for job_id, job in self._attributes("-u", user_name()).items()}

    def _states_of(self, jobs: Mapping[str, dict[str, Any]]) -> dict[str, JobState]:
        return {
            job_id: classify_state(self._states, job["state"], job.get("message") or "")
            for job_id, job in jobs.items()
            if job.get("state")
        }

    def _attributes(self, *selection: str) -> dict[str, dict[str, Any]]:
        result = self._execute(["oarstat", *selection, "--json"])
        output = result.text
        # It exits with 1 for a job that it does not know, and if its database does not answer.
        if result.exit_code and (result.exit_code != 1 or is_unavailable(result.message)):
            raise SchedulerUnavailableError(f"oarstat: {result.message}")
        document = re.search(r"^\s*\{.*\}", output, re.S | re.M)  # between a site's own lines
        try:
            jobs = json.loads(document[0]) if document else {}
        except json.JSONDecodeError as error:
            raise SchedulerUnavailableError(f"oarstat printed no JSON (got {output[:200]!r})") from error
        return {str(job_id): job for job_id, job in jobs.items() if isinstance(job, dict)}
