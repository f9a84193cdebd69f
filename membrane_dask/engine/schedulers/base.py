"""Jobs of a batch system: submission, states, names and cancellation, as far as all have them in common."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.schedulers.commands import (
    JobLimitError,
    Output,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    is_job_limit,
    is_refusal,
    is_unavailable,
    run_command,
)
from membrane_dask.engine.schedulers.queue import NOT_IN_QUEUE, JobState, QueueObserver, classify_state
from membrane_dask.engine.schedulers.scripts import JobScripts, WorkerCommand, format_walltime, import_job_class

__all__ = [
    "NOT_IN_QUEUE", "BatchSystem", "JobLimitError", "JobState", "SchedulerUnavailableError", "SubmissionRefusedError",
    "WorkerCommand", "classify_state", "format_walltime", "import_job_class", "persistently",
]  # fmt: skip
T = TypeVar("T")
#: ``cancel`` tries again so many times while the batch system is unavailable, after so many seconds.
CANCEL_ATTEMPTS = 4
CANCEL_RETRY_DELAY = 3.0
#: A submission that fails for a reason of neither kind is refused after this number of attempts.
SUBMIT_ATTEMPTS = 3
#: First pause between attempts, in seconds; each further one is twice as long.
RETRY_DELAY = 1.0
#: Jobs that a listing lacks and that are looked up one by one, at a time.
MAX_QUERIES = 20


def persistently(action: Callable[[], T], attempts: int) -> T:
    """Result of an action that is tried again, with growing pauses, while the batch system does not answer."""
    for attempt in range(attempts - 1):
        try:
            return action()
        except SchedulerUnavailableError:
            time.sleep(RETRY_DELAY * 2**attempt)
    return action()


@dataclass(frozen=True)
class _Attempt:
    """A submission without an answer: its number, what happened, and whether the command reported success."""

    number: int
    problem: str
    accepted: bool


class BatchSystem(JobScripts):
    """Base class of the batch systems: job scripts by dask-jobqueue, jobs by the batch system's own commands.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile.
    """

    #: Name in messages.
    title: ClassVar[str] = ""
    #: Commands that must be on the PATH: the first submits, the second lists, the third cancels.
    commands: ClassVar[tuple[str, ...]] = ()
    #: A command of another batch system that has a ``commands[0]`` too; it must not be on the PATH.
    conflicting_command: ClassVar[str] = ""
    #: Regular expression of the line by which the command that submits reports the job; group 1 is the id.
    job_id_line: ClassVar[str] = r"(\d+)"
    #: Regular expression of a whole job id; it starts with a digit, so that no id is an option of a command.
    job_id_format: ClassVar[str] = r"[0-9]+"

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.observer = QueueObserver()
        self._unanswered: dict[str, _Attempt] = {}  # by the names of jobs that may have been accepted

    def check_commands(self) -> None:
        """Check that the batch system's commands are on the PATH.

        Raises
        ------
        SubmissionRefusedError
            If one is missing, or belongs to another batch system.
        """
        missing = [name for name in self.commands if shutil.which(name) is None]
        if missing:
            raise SubmissionRefusedError(
                f"{missing[0]}: command not found; {self.title} needs {', '.join(self.commands)} on the PATH. "
                "Run this on a machine that submits jobs, such as a login node"
            )
        if self.conflicting_command and shutil.which(self.conflicting_command):
            raise SubmissionRefusedError(
                f"{self.commands[0]} does not belong to {self.title} on this machine, as {self.conflicting_command} "
                "is on the PATH too; choose another profile of: membrane-dask clusters"
            )

    def submit(self, script: Path, after: str | None = None, *, attempts: int = 1) -> str:
        """Submit a job, once: before an attempt is repeated, the queue is searched for a job of that name.

        Parameters
        ----------
        script : Path
            Job script, whose name without ending is that of the job, unique in the queue.
        after : str, optional
            Id of a job; the new one starts once that job has ended, however it ended.
        attempts : int
            Attempts while the batch system does not answer, with growing pauses.

        Returns
        -------
        str
            Id of the new job.

        Raises
        ------
        JobLimitError
            If a limit on the number of jobs is reached.
        SubmissionRefusedError
            With the message of the batch system.
        SchedulerUnavailableError
            If the batch system does not answer. The job may have been accepted; submit the same script again.
        """
        return persistently(lambda: self._submit_once(script, after), attempts)

    @property
    def unanswered(self) -> list[str]:
        """Names of jobs that may have been accepted, although no answer came and the queue does not list them."""
        return list(self._unanswered)

    def _submit_once(self, script: Path, after: str | None) -> str:
        name = script.stem
        earlier = self._unanswered.get(name)
        job_id = self._find_accepted(name) if earlier else ""
        if not job_id and earlier and earlier.accepted:  # it must appear in the queue; never send it twice
            self._unanswered[name] = replace(earlier, number=earlier.number + 1)
        elif not job_id:
            job_id = self._send(script, after) or self._find_accepted(name)
        if not job_id:
            attempt = self._unanswered[name]
            if attempt.number >= SUBMIT_ATTEMPTS and not is_unavailable(attempt.problem):
                del self._unanswered[name]
                raise SubmissionRefusedError(f"{attempt.problem} ({attempt.number} attempts)")
            raise SchedulerUnavailableError(f"{attempt.problem}; job {name} may be in the queue")
        self._unanswered.pop(name, None)
        self.observer.note_submission(job_id)
        return job_id

    def _send(self, script: Path, after: str | None) -> str:
        """Run the command that submits; returns the id of the job, or notes that there is no answer."""
        name, command = script.stem, self.submit_command(script, after)
        program = command[2] if command[0] == "<" else command[0]
        number = self._unanswered[name].number + 1 if name in self._unanswered else 1
        self._unanswered[name] = _Attempt(number, f"{program} was interrupted", False)  # by Ctrl-C, for example
        try:
            output = self._execute(command)
        except SchedulerUnavailableError as error:
            self._unanswered[name] = _Attempt(number, str(error), False)
            return ""
        if not output.exit_code:
            job_id = self._read_job_id(output.text)
            problem = f"{program} printed no job id (got {output.text.strip()[-200:]!r})"
            self._unanswered[name] = _Attempt(number, problem, True)
            return job_id
        problem = f"{program}: {output.message}"
        self._unanswered[name] = _Attempt(number, problem, False)
        if is_job_limit(output.message) or is_refusal(output.message):
            del self._unanswered[name]
            raise (JobLimitError if is_job_limit(output.message) else SubmissionRefusedError)(problem)
        return ""

    def _read_job_id(self, output: str) -> str:
        """Id in the line that has the form in which the batch system reports a job; empty if several lines have it.

        A site's own lines may look like an id; the job is then searched by its name, so that no other one is taken.
        """
        matches = [re.fullmatch(self.job_id_line, line.strip()) for line in output.splitlines()]
        job_ids = {match[1] for match in matches if match}
        return job_ids.pop() if len(job_ids) == 1 else ""

    def _find_accepted(self, name: str) -> str:
        """Id of a job of this name that is in the queue; empty if there is none."""
        job_ids = [job_id for job_id, other in self.find_jobs(name).items() if other == name]
        states = self.list_jobs(job_ids) if job_ids else {}
        return next((job_id for job_id in job_ids if job_id in states and states[job_id].state != "ended"), "")

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """Command that submits a script, to start after the job ``after``; a leading ``<``, FILE redirects stdin.

        The name of the job is that of the script, also where a directive of the site sets another one.
        """
        raise NotImplementedError

    def validate_script(self, script: Path) -> None:
        """Ask the batch system whether it would accept a script, where it has a command for that.

        Raises
        ------
        SubmissionRefusedError
            With the message of the batch system.
        """

    def job_states(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        """States of jobs by id.

        A job that the listing lacks is looked up by its id. It has ended if the batch system says so, or if several
        consecutive listings lack it; before that it keeps its last state.

        Raises
        ------
        SchedulerUnavailableError
            If the batch system does not answer.
        """
        job_ids = list(job_ids)
        if not job_ids:
            return {}
        listed = self.list_jobs(job_ids)
        queries = 0

        def query(job_id: str) -> JobState | None:
            nonlocal queries
            queries += 1
            try:
                return self.query_job(job_id) if queries <= MAX_QUERIES else None
            except (SchedulerUnavailableError, SubmissionRefusedError):  # no answer, or no such command
                return None

        return {job_id: self.observer.state(job_id, listed.get(job_id), query) for job_id in job_ids}

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Jobs in the queue by id: at least those of ``job_ids``."""
        raise NotImplementedError

    def query_job(self, job_id: str) -> JobState | None:
        """State of one job; `NOT_IN_QUEUE` if its id is not known, None if the batch system does not say."""
        raise NotImplementedError

    def list_names(self) -> dict[str, str]:
        """Names of the user's jobs in the queue, in full, by id; jobs that have just ended may be among them."""
        raise NotImplementedError

    def find_jobs(self, text: str) -> dict[str, str]:
        """Jobs of the user in the queue whose name contains a text.

        Parameters
        ----------
        text : str
            Part of the name.

        Returns
        -------
        dict of str to str
            Name by id; jobs that have just ended may be among them.

        Raises
        ------
        SchedulerUnavailableError
            If the batch system does not answer.
        """
        return {job_id: name for job_id, name in self.list_names().items() if text in name}

    def is_job_id(self, text: str) -> bool:
        """Whether a text has the form of a job id of this batch system."""
        return re.fullmatch(self.job_id_format, text) is not None

    def cancel(self, job_ids: Iterable[str]) -> bool:
        """Cancel jobs; jobs that have ended, and texts that are no job id, are ignored.

        Returns
        -------
        bool
            False if the batch system does not answer, so that the jobs may still be in the queue.
        """
        left = [job_id for job_id in job_ids if self.is_job_id(job_id)]
        for attempt in range(CANCEL_ATTEMPTS):
            left = self._cancel_once(left)
            if not left:
                return True
            time.sleep(CANCEL_RETRY_DELAY if attempt < CANCEL_ATTEMPTS - 1 else 0.0)
        return False

    def _cancel_once(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that are still in the queue although they should be cancelled."""
        if not job_ids:
            return []
        try:
            outputs = [self._execute(command) for command in self.cancel_commands(job_ids)]
            failures = [output.message for output in outputs if output.exit_code]
            if not failures:
                return []
            if any(map(is_unavailable, failures)):
                return list(job_ids)
            states = self.list_jobs(job_ids)  # some of the jobs have ended, or the command failed
        except SchedulerUnavailableError:
            return list(job_ids)
        except SubmissionRefusedError:  # there is no such command here: nothing can be cancelled
            return list(job_ids)
        return [job_id for job_id in job_ids if job_id in states and states[job_id].state != "ended"]

    def cancel_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        """Commands that cancel jobs."""
        return [[self.commands[2], *job_ids]]

    def cancel_hint(self, job_ids: Iterable[str]) -> str:
        """The line by which the user cancels jobs."""
        return "; ".join(map(shlex.join, self.cancel_commands(list(filter(self.is_job_id, job_ids)))))

    def _run_command(
        self, command: Sequence[str], *, submits: bool = False, allowed_exit_codes: tuple[int, ...] = ()
    ) -> str:
        """Output of a command of the batch system.

        A failure of a command that ``submits`` is a refusal, unless its message says otherwise; that of another one
        means that the batch system is unavailable.
        """
        output = self._execute(command)
        if output.exit_code and output.exit_code not in allowed_exit_codes:
            refused = submits and not is_unavailable(output.message)
            raise (SubmissionRefusedError if refused else SchedulerUnavailableError)(f"{command[0]}: {output.message}")
        return output.text

    def _execute(self, command: Sequence[str]) -> Output:
        """Run a command; a leading ``<``, FILE redirects its standard input."""
        if command[0] == "<":
            return run_command(command[2:], self.command_environment(), Path(command[1]))
        return run_command(command, self.command_environment())

    def command_environment(self) -> dict[str, str]:
        """Environment variables of the batch system's commands, except those of the locale."""
        return dict(os.environ)
