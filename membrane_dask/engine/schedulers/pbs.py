"""Jobs of PBS, by qsub, qstat and qdel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.commands import SchedulerUnavailableError, is_unavailable, user_name
from membrane_dask.engine.schedulers.queue import NOT_IN_QUEUE, JobState, classify_state

#: Message of a command about a job that is not in the queue.
_NOT_LISTED = re.compile(r"unknown job|has finished", re.I)


class PBS(BatchSystem):
    """PBS Professional, OpenPBS and Torque: ``qsub`` submits, ``qstat -f`` lists, ``qdel`` cancels."""

    title = "PBS"
    commands: ClassVar[tuple[str, ...]] = ("qsub", "qstat", "qdel")
    conflicting_command = "qconf"  # Grid Engine
    job_class = ("dask_jobqueue.pbs", "PBSJob")
    directive_prefix = "#PBS"
    job_id_line = r"(\d+(?:\[\])?\.[\w.-]+)"
    job_id_format = r"[0-9]+(\[\])?(\.[0-9A-Za-z_.-]+)?"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("Q", "W", "H", "T", "S", "U"), "ended": ("F", "X", "C"),
    }  # fmt: skip

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One chunk: ``select=1``."""
        options = self._common_options()
        if self._site_setting("resource-spec") is None:
            memory = "" if self.profile.memory_request == "none" else f":mem={memory_mb}mb"
            options["resource_spec"] = f"select=1:ncpus={cores}{memory}"
        return options

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``qsub``."""
        return ["qsub", *(["-W", f"depend=afterany:{after}"] if after else []), "-N", script.stem, str(script)]

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``qstat -f``, whose format is the same in all versions of PBS."""
        return self._states_of(self._list(job_ids))

    def query_job(self, job_id: str) -> JobState | None:
        """``qstat -f ID``, which says so if the job has ended or does not exist."""
        output = self._execute(["qstat", "-f", job_id])
        state = self._states_of(_attributes(output.text, [job_id])).get(job_id)
        message = output.text + output.errors
        if state is None and re.search(r"has finished|completed", message, re.I):
            return JobState("ended", "finished")
        return NOT_IN_QUEUE if state is None and _NOT_LISTED.search(message) else state

    def list_names(self) -> dict[str, str]:
        """``qselect -u USER``, then ``qstat -f`` for the jobs, as other listings cut long names."""
        job_ids = [word for word in self._run_command(["qselect", "-u", user_name()]).split() if self.is_job_id(word)]
        if not job_ids:
            return {}
        return {
            job_id: re.sub(r"\s+", "", job["Job_Name"])
            for job_id, job in self._list(job_ids).items()
            if "Job_Name" in job
        }

    def _list(self, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        output = self._execute(["qstat", "-f", *job_ids])
        # Some of the jobs are not in the queue; a site's wrapper may exit with another code.
        not_listed = output.exit_code in (35, 153, 170) or _NOT_LISTED.search(output.errors)
        if output.exit_code and (not not_listed or is_unavailable(output.message)):
            raise SchedulerUnavailableError(f"qstat: {output.message}")
        return _attributes(output.text, job_ids)

    def _states_of(self, jobs: Mapping[str, dict[str, str]]) -> dict[str, JobState]:
        return {
            job_id: classify_state(self._states, job["job_state"], re.sub(r"\s+", " ", job.get("comment", "")))
            for job_id, job in jobs.items()
            if "job_state" in job
        }


def _attributes(output: str, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Attributes of jobs as ``qstat -f`` prints them; long values are continued on lines with a tab.

    ``qsub`` and ``qstat`` may name the server of a job differently, with its domain or without: a job gets the id of
    ``job_ids`` that is the same but for that.
    """
    jobs = {}
    for block in re.split(r"^Job Id:\s*", output, flags=re.M)[1:]:
        printed = block.split(None, 1)[0]
        job_id = next((own for own in job_ids if _is_same_job(own, printed)), printed)
        jobs[job_id] = dict(re.findall(r"^[ ]+(\S+) = (.*(?:\n\t.*)*)", block, re.M))
    return jobs


def _is_same_job(first: str, second: str) -> bool:
    """Whether two ids are equal, or one of them is the other without the domain of its server."""
    return f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")
