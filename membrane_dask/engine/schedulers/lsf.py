"""LSF: bsub and bjobs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobState,
    _state,
    clock,
)


class LSF(BatchSystem):
    """IBM Spectrum LSF."""

    title = "LSF"
    commands = ("bsub", "bjobs", "bkill")
    job_class = ("dask_jobqueue.lsf", "LSFJob")
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("PEND", "PSUSP", "WAIT", "PROV"),
        "ended": ("DONE", "EXIT", "ZOMBI"),
    }

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """All slots on one host."""
        found = self._header("project") | {"ncpus": cores, "mem": memory_mb * 10**6}
        if self.profile.walltime:
            found["walltime"] = clock(math.ceil(self.profile.walltime / 60) * 60)[:-3]
        return found

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits; bsub reads the script from standard input."""
        return ["<", str(script), "bsub", *(["-w", f"ended({after})"] if after else [])]

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """State and reason of each job."""
        said = self._ask(["bjobs", "-a", "-noheader", "-o", "jobid stat pend_reason delimiter='|'"], tolerate=(255,))
        rows = [line.split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
        return {number: _state(self._states, state, reason.strip("- ")) for number, state, reason in rows}
