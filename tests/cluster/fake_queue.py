"""A batch system in memory, whose jobs start and end when a test says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.schedulers.base import (
    NOT_IN_QUEUE,
    BatchSystem,
    JobState,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    WorkerCommand,
)

RUNNING = JobState("running", "RUNNING")
PENDING = JobState("pending", "PENDING (Priority)")


class FakeQueue(BatchSystem):
    """A queue in memory; a ``refusal`` or ``silence`` is its answer to every command."""

    title = "queue"
    commands = ("submit", "list", "cancel")

    def __init__(self, **settings: object) -> None:
        super().__init__(resolve(ClusterSettings.model_validate({"profile": "slurm", "workers": 1, **settings})))
        self.jobs: dict[str, JobState] = {}
        self.names: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.refusal = self.silence = ""

    def worker_script(self, worker: WorkerCommand, log_folder: str) -> str:
        return "#!/bin/sh\n"

    def submit(self, script: Path, after: str | None = None, **options: object) -> str:
        if self.refusal:
            raise SubmissionRefusedError(self.refusal)
        if self.silence:
            raise SchedulerUnavailableError(self.silence)
        job_id = str(len(self.names) + 101)
        self.jobs[job_id], self.names[job_id] = PENDING, script.stem
        return job_id

    def job_states(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        if self.silence:
            raise SchedulerUnavailableError(self.silence)
        return {job_id: self.jobs.get(job_id, NOT_IN_QUEUE) for job_id in job_ids}

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        return dict(self.jobs)

    def list_names(self) -> dict[str, str]:
        if self.silence:
            raise SchedulerUnavailableError(self.silence)
        return {job_id: self.names[job_id] for job_id in self.jobs}

    def check_commands(self) -> None:
        pass

    def driver_script(self, *arguments: object) -> str:
        return "#!/bin/sh\n"

    def cancel(self, job_ids: Iterable[str]) -> bool:
        if self.silence:
            return not list(job_ids)
        for job_id in job_ids:
            self.cancelled.append(job_id)
            self.jobs.pop(job_id, None)
        return True
