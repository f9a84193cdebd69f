"""Grid Engine: qsub, qstat and qacct."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobState,
    RefusedError,
)


class SGE(BatchSystem):
    """Grid Engine."""

    title = "Grid Engine"
    commands = ("qsub", "qstat", "qdel", "qconf")
    job_class = ("dask_jobqueue.sge", "SGEJob")

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Slots of a parallel environment: without one, Grid Engine gives a single slot whatever is run."""
        found = self._header("project")
        ours = ["-S /bin/bash"]
        if cores > 1 and not any(line.startswith("-pe ") for line in found["job_extra_directives"]):
            ours.append(f"-pe smp {cores}")
        return found | {"job_extra_directives": [*ours, *found["job_extra_directives"]]}

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits."""
        return ["qsub", "-terse", *(["-hold_jid", after] if after else []), str(script)]

    def rehearse(self, script: Path) -> None:
        """``qsub -w v``, which says on standard output what it finds and always exits with 0 or 1."""
        said = self._ask(["qsub", "-w", "v", str(script)], refusal=True, tolerate=(1,))
        if "found suitable" not in said and "verification" in said:
            raise RefusedError(f"qsub: {said.strip()[-2000:]}")

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """All jobs of a person; an error state is a job that will never start."""
        said = self._ask(["qstat", "-u", getpass.getuser()])
        found = {}
        for line in said.splitlines():
            words = line.split()
            if len(words) >= 5 and words[0].isdigit():
                state = words[4]
                if "E" in state:  # it would wait for ever
                    found[words[0]] = JobState("ended", f"{state}: an error state; see: qstat -j {words[0]}")
                else:
                    waiting = "q" in state or "h" in state
                    found[words[0]] = JobState("pending" if waiting else "running", state)
        return found
