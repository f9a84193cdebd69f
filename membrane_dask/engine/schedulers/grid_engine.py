"""Jobs of Grid Engine, by qsub, qstat and qdel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.commands import SchedulerUnavailableError, SubmissionRefusedError, user_name
from membrane_dask.engine.schedulers.queue import IN_QUEUE, NOT_IN_QUEUE, JobState


class GridEngine(BatchSystem):
    """Son of Grid Engine, Univa and Altair Grid Engine.

    ``qsub`` submits, ``qsub -w v`` validates a script, ``qstat`` lists, ``qdel`` cancels; ``qconf``
    distinguishes Grid Engine from PBS, which has commands of the same names.
    """

    title = "Grid Engine"
    commands: ClassVar[tuple[str, ...]] = ("qsub", "qstat", "qdel", "qconf")
    job_class = ("dask_jobqueue.sge", "SGEJob")
    directive_prefix = "#$"
    job_id_line = r"(\d+)(?:\.\d+-\d+:\d+)?"

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Slots of the parallel environment ``smp``; without one a job gets a single slot."""
        directives = ["-S /bin/bash"]
        if cores > 1 and not any(line.startswith("-pe ") for line in self.extra_directives()):
            directives.append(f"-pe smp {cores}")
        return self._common_options(directives, account_option="project")

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """``qsub -terse``."""
        return ["qsub", "-terse", *(["-hold_jid", after] if after else []), "-N", script.stem, str(script)]

    def validate_script(self, script: Path) -> None:
        """``qsub -w v``, which prints its result on standard output and exits with 0 or 1 in both cases."""
        output = self._run_command(["qsub", "-w", "v", str(script)], submits=True, allowed_exit_codes=(1,))
        # Found "suitable queue(s)", or with a parallel environment "possible assignment with 4 slots".
        if "verification" in output and not re.search(r"verification:\s+found", output):
            raise SubmissionRefusedError(f"qsub: {output.strip()[-2000:]}")

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """``qstat -u USER``; a job in an error state counts as ended, as it would wait for ever."""
        return {job_id: self._state(job_id, state) for job_id, _, state in self._rows()}

    def query_job(self, job_id: str) -> JobState | None:
        """``qstat -j``, and for a job that ended ``qacct -j``, as far as the site keeps accounts."""
        output = self._execute(["qstat", "-j", job_id])
        if output.exit_code == 0 and re.search(rf"^job_number:\s+{job_id}\b", output.text, re.M):
            return IN_QUEUE
        if "do not exist" not in output.text + output.errors:
            return None
        account = self._execute(["qacct", "-j", job_id]) if shutil.which("qacct") else None
        codes = re.findall(r"^exit_status\s+(\S+)", account.text, re.M) if account else []
        # Numbers begin again after the largest one: the last account is that of the latest job.
        return JobState("ended", f"exit code {codes[-1]}") if codes else NOT_IN_QUEUE

    @staticmethod
    def _state(job_id: str, state: str) -> JobState:
        if "E" in state:
            return JobState("ended", f"{state}: an error state; see: qstat -j {job_id}")
        # Waiting, held or to be restarted: q; suspended by a user, a queue or a threshold: s, S, T; preempted: N, P.
        return JobState("pending" if re.search("[qsSTNP]", state) else "running", state)

    def list_names(self) -> dict[str, str]:
        """``qstat -u USER``."""
        return {job_id: name for job_id, name, _ in self._rows()}

    def _rows(self) -> list[tuple[str, str, str]]:
        """Id, full name and state of the user's jobs: as XML, since the table of ``qstat`` cuts names."""
        output = self._run_command(["qstat", "-xml", "-u", user_name()])
        document = re.search(r"<job_info.*</job_info>", output, re.S)  # between a site's own lines
        try:
            jobs = ElementTree.fromstring(document[0] if document else output).findall(".//{*}job_list")
        except ElementTree.ParseError as error:
            raise SchedulerUnavailableError(f"qstat printed no XML (got {output[:200]!r})") from error
        names = ("JB_job_number", "JB_name", "state")  # in a namespace where the version has one
        rows = [[job.findtext(f"{{*}}{name}", "").strip() for name in names] for job in jobs]
        return [(job_id, name, state) for job_id, name, state in rows]
