"""OAR: oarsub and oarstat."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobState,
    SilentError,
    _state,
)


class OAR(BatchSystem):
    """OAR."""

    title = "OAR"
    commands = ("oarsub", "oarstat", "oardel")
    job_class = ("dask_jobqueue.oar", "OARJob")
    number = r"(?<=OAR_JOB_ID=)\d+"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("Waiting", "Hold", "toLaunch", "Launching", "toAckReservation"),
        "ended": ("Terminated", "Error", "toError"),
    }

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Cores of one node; how memory is asked for is the site's own word, in jobqueue.yaml."""
        found = self._header("project") | {"resource_spec": f"/nodes=1/core={cores}"}
        if self._site("memory-per-core-property-name") is None:
            found["memory_per_core_property_name"] = "not_applicable"
        return found

    def output(self, logs: str) -> list[str]:
        """OAR's own words for its output files."""
        return [f"-O {logs}/%jobname%-%jobid%.out", f"-E {logs}/%jobname%-%jobid%.err"]

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits; OAR runs the file itself."""
        script.chmod(0o700)
        return ["oarsub", *(["-a", after] if after else []), "-S", str(script.resolve())]

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """All jobs of a person."""
        said = self._ask(["oarstat", "-u", getpass.getuser(), "--json"], tolerate=(1,))
        try:
            jobs = json.loads(said or "{}")
        except json.JSONDecodeError as error:
            raise SilentError(f"oarstat answered no JSON: {said[:200]!r}") from error
        return {str(n): _state(self._states, job["state"], job.get("message") or "") for n, job in jobs.items()}
