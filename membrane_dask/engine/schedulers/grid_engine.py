"""Jobs of Grid Engine, by qsub, qstat and qdel."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem, JobState, SubmissionRefusedError


class GridEngine(BatchSystem):
    """Son of Grid Engine, Univa and Altair Grid Engine.

    ``qsub`` submits, ``qsub -w v`` validates a script, ``qstat`` lists, ``qdel`` cancels; ``qconf``
    distinguishes Grid Engine from PBS, which has commands of the same names.
    """

    title = "Grid Engine"
    commands: ClassVar[tuple[str, ...]] = ("qsub", "qstat", "qdel", "qconf")
    job_class = ("dask_jobqueue.sge", "SGEJob")

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Slots of the parallel environment ``smp``; without one a job gets a single slot."""
        options = self._common_options("project")
        directives = ["-S /bin/bash"]
        if cores > 1 and not any(line.startswith("-pe ") for line in options["job_extra_directives"]):
            directives.append(f"-pe smp {cores}")
        return options | {"job_extra_directives": [*directives, *options["job_extra_directives"]]}

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``qsub -terse``."""
        return ["qsub", "-terse", *(["-hold_jid", after] if after else []), str(script)]

    def validate_script(self, script: Path) -> None:
        """``qsub -w v``, which prints its result on standard output and exits with 0 or 1 in both cases."""
        output = self._run_command(["qsub", "-w", "v", str(script)], submits=True, allowed_exit_codes=(1,))
        if "found suitable" not in output and "verification" in output:
            raise SubmissionRefusedError(f"qsub: {output.strip()[-2000:]}")

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``qstat -u USER``; a job in an error state counts as ended, as it would wait for ever."""
        output = self._run_command(["qstat", "-u", getpass.getuser()])
        jobs = {}
        for line in output.splitlines():
            columns = line.split()
            if len(columns) >= 5 and columns[0].isdigit():
                job_id, state = columns[0], columns[4]
                if "E" in state:
                    jobs[job_id] = JobState("ended", f"{state}: an error state; see: qstat -j {job_id}")
                else:
                    pending = "q" in state or "h" in state
                    jobs[job_id] = JobState("pending" if pending else "running", state)
        return jobs
