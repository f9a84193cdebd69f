"""HTCondor: condor_submit and condor_q."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobState,
    _state,
)


class HTCondor(BatchSystem):
    """HTCondor."""

    title = "HTCondor"
    commands = ("condor_submit", "condor_q", "condor_rm")
    job_class = ("dask_jobqueue.htcondor", "HTCondorJob")
    number = r"(?<=submitted to cluster )\d+"
    _names: ClassVar[dict[str, str]] = {
        "1": "IDLE", "2": "RUNNING", "3": "REMOVED", "4": "COMPLETED", "5": "HELD",
        "6": "TRANSFERRING", "7": "SUSPENDED",
    }  # fmt: skip
    _states: ClassVar[dict[str, tuple[str, ...]]] = {"pending": ("IDLE", "HELD"), "ended": ("REMOVED", "COMPLETED")}

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Requests as entries of the submit file; a time limit is a rule for removal."""
        entries: dict[str, Any] = {"RequestCpus": cores, "RequestMemory": memory_mb}
        if self.profile.account:
            entries["accounting_group"] = self.profile.account
        if self.profile.walltime:
            limit = math.ceil(self.profile.walltime)
            entries["periodic_remove"] = f"JobStatus == 2 && time() - EnteredCurrentStatus > {limit}"
        if self.profile.directives is None:
            entries |= self._site("job-extra-directives") or {}
        for line in self.profile.directives or ():
            key, _, value = line.partition("=")
            entries[key.strip()] = value.strip()
        return {"job_extra_directives": entries, "disk": self._site("disk") or "1GB"}

    def restart_after_its_time(self, job: Any) -> None:
        """Exit code 75 means that there is more to do; its time limit holds the job, and then lets it go."""
        job.job_header_dict["on_exit_remove"] = "ExitCode =!= 75"
        limit = job.job_header_dict.pop("periodic_remove", None)
        if limit:
            job.job_header_dict |= {"periodic_hold": limit, "periodic_release": "HoldReasonCode == 3"}

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits; a driver that is to go on is started again by HTCondor itself."""
        return ["condor_submit", str(script)]

    def rehearse(self, script: Path) -> None:
        """``condor_submit -dry-run``."""
        self._ask(["condor_submit", "-dry-run", "/dev/null", str(script)], refusal=True)

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """State, and why a job is held."""
        said = self._ask(["condor_q", *numbers, "-autoformat:,", "ClusterId", "JobStatus", "HoldReason"])
        rows = [[word.strip() for word in line.split(",", 2)] for line in said.splitlines() if line.count(",") >= 2]
        return {
            number: _state(self._states, self._names.get(code, code), "" if why == "undefined" else why)
            for number, code, why in rows
        }
