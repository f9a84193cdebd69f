"""Jobs of OAR, by oarsub, oarstat and oardel."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem, JobState, SchedulerUnavailableError, classify_state


class OAR(BatchSystem):
    """OAR: ``oarsub`` submits, ``oarstat`` lists, ``oardel`` cancels."""

    title = "OAR"
    commands: ClassVar[tuple[str, ...]] = ("oarsub", "oarstat", "oardel")
    job_class = ("dask_jobqueue.oar", "OARJob")
    job_id_pattern = r"(?<=OAR_JOB_ID=)\d+"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("Waiting", "Hold", "toLaunch", "Launching", "toAckReservation", "Suspended", "Resuming"),
        "ended": ("Terminated", "Error", "toError"),
    }

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Cores of one node; the name of the memory property differs between sites and is set in ``jobqueue.yaml``."""
        options = self._common_options("project") | {"resource_spec": f"/nodes=1/core={cores}"}
        if self._site_setting("memory-per-core-property-name") is None:
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
        return {
            job_id: classify_state(self._states, job["state"], job.get("message") or "")
            for job_id, job in self._attributes().items()
        }

    def list_names(self) -> dict[str, str]:
        """``oarstat -u USER --json``."""
        return {job_id: job.get("name") or "" for job_id, job in self._attributes().items()}

    def _attributes(self) -> dict[str, dict[str, Any]]:
        output = self._run_command(["oarstat", "-u", getpass.getuser(), "--json"], allowed_exit_codes=(1,))
        try:
            return {str(job_id): job for job_id, job in json.loads(output or "{}").items()}
        except json.JSONDecodeError as error:
            raise SchedulerUnavailableError(f"oarstat printed no JSON (got {output[:200]!r})") from error
