"""Jobs of HTCondor, by condor_submit, condor_q and condor_rm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.queue import JobState, classify_state
from membrane_dask.engine.schedulers.scripts import WorkerCommand


class HTCondor(BatchSystem):
    """HTCondor pools whose nodes mount the file system of the run directory.

    ``condor_submit`` submits, ``condor_submit -dry-run`` validates a submit file, ``condor_q`` lists, ``condor_rm``
    cancels. HTCondor itself restarts a driver, so that there is one driver job and no series.
    """

    title = "HTCondor"
    commands: ClassVar[tuple[str, ...]] = ("condor_submit", "condor_q", "condor_rm")
    job_class = ("dask_jobqueue.htcondor", "HTCondorJob")
    job_id_line = r"(?:\d+ job\(s\) submitted to cluster )?(\d+)(?:\.\d+ - \d+\.\d+|\.)"
    _columns = ("-autoformat:,", "ClusterId", "JobStatus", "HoldReason")
    _names: ClassVar[dict[str, str]] = {
        "1": "IDLE", "2": "RUNNING", "3": "REMOVED", "4": "COMPLETED", "5": "HELD",
        "6": "TRANSFERRING", "7": "SUSPENDED",
    }  # fmt: skip
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("IDLE", "HELD", "SUSPENDED"), "ended": ("REMOVED", "COMPLETED"),
    }  # fmt: skip

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Requests as entries of the submit file; the time limit is a rule that removes the job."""
        entries: dict[str, Any] = {"RequestCpus": cores}
        if self.profile.memory_request != "none":
            entries["RequestMemory"] = memory_mb
        if self.profile.account:
            entries["accounting_group"] = self.profile.account
        if self.profile.walltime:
            limit = math.ceil(self.profile.walltime)
            entries["periodic_remove"] = f"JobStatus == 2 && time() - EnteredCurrentStatus > {limit}"
        entries = {key: value for key, value in entries.items() if key not in self.skipped_directives()}
        if self.profile.directives is None:
            entries |= self._site_setting("job-extra-directives") or self._site_setting("job-extra") or {}
        for line in self.profile.directives or ():
            key, _, value = line.partition("=")
            entries[key.strip()] = value.strip()
        return {
            "job_extra_directives": entries, "job_directives_skip": [], "disk": self._site_setting("disk") or "1GB",
        }  # fmt: skip

    def _create_job(self, worker: WorkerCommand, options: Mapping[str, Any]) -> Any:
        job = super()._create_job(worker, options)
        skipped = [*self.skipped_directives(), *(["RequestMemory"] if self.profile.memory_request == "none" else [])]
        for key in skipped:  # dask-jobqueue accepts no key that is absent
            if key not in options["job_extra_directives"]:
                job.job_header_dict.pop(key, None)
        return job

    def enable_restart(self, job: Any) -> None:
        """Restart a driver that exits with 75 (units are left); the time limit holds and releases the job."""
        job.job_header_dict["on_exit_remove"] = "ExitCode =!= 75"
        limit = job.job_header_dict.pop("periodic_remove", None)
        if limit:
            job.job_header_dict |= {"periodic_hold": limit, "periodic_release": "HoldReasonCode == 3"}

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``condor_submit -terse``; ``after`` is ignored, as HTCondor itself restarts a driver."""
        return ["condor_submit", "-terse", str(script)]

    def validate_script(self, script: Path) -> None:
        """``condor_submit -dry-run``."""
        self._run_command(["condor_submit", "-dry-run", "/dev/null", str(script)], submits=True)

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``condor_q``: state of each job and the reason why it is held."""
        return self._rows(self._run_command(["condor_q", *job_ids, *self._columns]))

    def query_job(self, job_id: str) -> JobState | None:
        """``condor_history``, which lists jobs that have left the queue."""
        output = self._execute(["condor_history", job_id, "-limit", "1", *self._columns])
        return self._rows(output.text).get(job_id)

    def _rows(self, output: str) -> dict[str, JobState]:
        rows = [[cell.strip() for cell in line.split(",", 2)] for line in output.splitlines() if line.count(",") >= 2]
        return {
            job_id: classify_state(self._states, self._names.get(code, code), "" if reason == "undefined" else reason)
            for job_id, code, reason in rows
        }

    def list_names(self) -> dict[str, str]:
        """``condor_q``: the name of a job is its ``batch_name``."""
        output = self._run_command(["condor_q", "-autoformat:,", "ClusterId", "JobBatchName"])
        rows = [line.split(",", 1) for line in output.splitlines() if "," in line]
        return {job_id.strip(): name.strip() for job_id, name in rows}
