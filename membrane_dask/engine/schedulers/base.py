"""Job scripts, submission, job states and cancellation, as far as all batch systems have them in common."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.plan import environment
from membrane_dask.errors import ClusterError

#: Memory of a job's own processes (interpreter, nannies) in addition to its workers, in MB.
JOB_OVERHEAD_MB = 300
#: Time limit of each command of a batch system, in seconds.
COMMAND_TIMEOUT = 60
#: ``cancel`` tries again so many times while the batch system is unavailable, after so many seconds.
CANCEL_ATTEMPTS = 4
CANCEL_RETRY_DELAY = 3.0


class SubmissionRefusedError(ClusterError):
    """The batch system does not accept a job, or cannot accept any on this machine."""

    resuming_helps = False


class SchedulerUnavailableError(ClusterError):
    """The batch system does not answer at present; its jobs continue."""


@dataclass(frozen=True)
class JobState:
    """State of a job in the queue.

    Parameters
    ----------
    state : {"pending", "running", "ended"}
        State, the same for all batch systems; a job that is held, suspended or queued again is pending.
    description : str
        State as the batch system spells it, with its reason in parentheses if there is one.
    interrupted : bool
        Whether the batch system itself ended the job, for example to make room for another or as its node failed.
    """

    state: Literal["pending", "running", "ended"]
    description: str
    interrupted: bool = False


NOT_IN_QUEUE = JobState("ended", "no longer in the queue")


@dataclass(frozen=True)
class WorkerCommand:
    """Arguments of ``dask worker`` in a worker job.

    Parameters
    ----------
    address : str
        Address of the Dask scheduler.
    name : str
        Name of the job; Dask derives the names of its workers from it.
    security : distributed.Security, optional
        Paths of certificates, which the nodes must be able to read.
    arguments : sequence of str
        Further arguments.
    """

    address: str
    name: str
    security: Any = None
    arguments: Sequence[str] = ()


class BatchSystem:
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
    #: dask-jobqueue's class of job: module and name.
    job_class: ClassVar[tuple[str, str]] = ("", "")
    #: Regular expression of the job id in the output of the submission.
    job_id_pattern: ClassVar[str] = r"\d+"
    #: Regular expression of a whole job id; it starts with a digit, so that no id is an option of a command.
    job_id_format: ClassVar[str] = r"[0-9]+"

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    # -- job scripts ----------------------------------------------------------------------

    @property
    def cores(self) -> int:
        """Cores of a worker job."""
        return (self.profile.workers or 1) * (self.profile.threads or 1)

    def memory_mb(self, workers: int) -> int:
        """Memory of a job with ``workers`` workers, in MB."""
        return math.ceil(workers * (self.profile.memory or 0)) + JOB_OVERHEAD_MB

    def worker_script(self, worker: WorkerCommand, log_folder: str) -> str:
        """Script of a worker job.

        Parameters
        ----------
        worker : WorkerCommand
            The command that the job runs.
        log_folder : str
            Folder of the job's output files.

        Raises
        ------
        SubmissionRefusedError
            If no script can be made of the profile.
        """
        with self._dask_job(worker, log_folder, self.cores, self.memory_mb(self.profile.workers or 1)) as job:
            return str(job.job_script())

    def driver_script(
        self, command: Sequence[str], name: str, log_folder: str, cores: int, memory_mb: int, nodes: int = 1
    ) -> str:
        """Script of a driver job, which runs one Python command on the first of its nodes.

        Parameters
        ----------
        command : sequence of str
            Arguments of the Python interpreter.
        name : str
            Name of the job.
        log_folder : str
            Folder of the job's output files.
        cores, memory_mb : int
            Cores and memory (MB) of each node.
        nodes : int
            Number of nodes.

        Raises
        ------
        SubmissionRefusedError
            If no script can be made of the profile.
        """
        with self._dask_job(WorkerCommand("", name), log_folder, cores, memory_mb, nodes) as job:
            self.enable_restart(job)
            # dask-jobqueue has no public way to run another command than `dask worker`; a test pins each script.
            job._command_template = " ".join([f"exec {python_command(self.profile)}", *map(shlex.quote, command)])
            if self.profile.scheduler == "htcondor":
                job._command_template = "; ".join([*self._prologue(), job._command_template])
            return str(job.job_script())

    @contextlib.contextmanager
    def _dask_job(
        self, worker: WorkerCommand, log_folder: str, cores: int, memory_mb: int, nodes: int = 1
    ) -> Iterator[Any]:
        """Job object of dask-jobqueue, valid inside the context."""
        profile = self.profile
        workers = profile.workers or 1
        options = {
            "name": worker.name,
            "job_name": worker.name,
            "cores": workers,  # one thread per worker; `threads` are the cores that its kernels use
            "processes": workers,
            "memory": f"{round(workers * (profile.memory or 0) * 1e6)}B",
            "python": f"exec {python_command(profile)}",
            "interface": profile.interface,
            "local_directory": profile.scratch,
            "death_timeout": 60,
            "protocol": "tls://" if worker.security else None,
            "security": worker.security,
            "worker_extra_args": list(worker.arguments),
            "job_script_prologue": self._prologue(),
        }
        if not re.fullmatch(r"[\w./+=,:@%-]+", log_folder):
            raise SubmissionRefusedError(
                f"batch systems accept no spaces and no quotes in a path (got {log_folder!r}); choose another --out"
            )
        options |= self.job_options(cores, memory_mb, nodes)
        # dask-jobqueue creates its log folder; a script is also shown before the run's folder exists.
        with tempfile.TemporaryDirectory() as placeholder:
            folder = log_folder if Path(log_folder).is_dir() else placeholder
            if isinstance(options["job_extra_directives"], list):
                options["job_extra_directives"] += self.output_directives(folder)
            job = self._create_job(worker, options | {"log_directory": folder})
            job_script = job.job_script
            job.job_script = lambda: job_script().replace(placeholder, log_folder)
            yield job

    def _create_job(self, worker: WorkerCommand, options: Mapping[str, Any]) -> Any:
        try:
            return import_job_class(*self.job_class)(worker.address, **options)
        except (TypeError, ValueError) as error:
            raise SubmissionRefusedError(f"dask-jobqueue cannot make a job script of this profile: {error}") from error

    def _prologue(self) -> list[str]:
        threads = str(self.profile.threads or 1)
        lines = [f"export {name}={threads}" for name in environment()]
        if threads != "1":  # Dask's nanny would set these to 1 again
            lines += [f"export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__{n}={threads}" for n in environment()]
        # Many batch systems give each job a temporary folder of its own, where each job would compile again.
        return ["export MEMBRANE_DASK_CACHE=/tmp", *(self.profile.prologue or ()), *lines]

    def enable_restart(self, job: Any) -> None:
        """Let the batch system restart a driver whose time limit is reached; by default a successor is queued."""

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Options of dask-jobqueue's job class for size, time limit, queue and account."""
        raise NotImplementedError

    def output_directives(self, folder: str) -> list[str]:
        """Directives that write a job's output to ``folder``, where dask-jobqueue adds none."""
        return []

    def _common_options(self, account_option: str = "account") -> dict[str, Any]:
        """Options that all job classes have; only the name of the account differs."""
        profile = self.profile
        options: dict[str, Any] = {"queue": profile.queue, account_option: profile.account}
        if profile.walltime:
            options["walltime"] = format_walltime(profile.walltime)
        directives = profile.directives
        if directives is None:  # directives that a subclass adds must not replace those of the site
            directives = self._site_setting("job-extra-directives") or ()
        return options | {"job_extra_directives": list(directives)}

    def _site_setting(self, key: str) -> Any:
        """Setting in dask-jobqueue's own configuration (``jobqueue.yaml``); None if there is none."""
        import dask

        return dask.config.get(f"jobqueue.{self.profile.scheduler}.{key}", None)

    # -- jobs -----------------------------------------------------------------------------

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

    def submit(self, script: Path, after: str | None = None) -> str:
        """Submit a job.

        Parameters
        ----------
        script : Path
            Job script.
        after : str, optional
            Id of a job; the new one starts once that job has ended, however it ended.

        Returns
        -------
        str
            Id of the new job.

        Raises
        ------
        SubmissionRefusedError
            With the message of the batch system.
        SchedulerUnavailableError
            If the batch system does not answer.
        """
        output = self._run_command(self.submit_command(script, after), submits=True)
        match = re.search(self.job_id_pattern, output)
        if not match:
            raise SubmissionRefusedError(
                f"{self.title} accepted {script.name} but printed no job id (got {output.strip()!r})"
            )
        return match.group(0)

    def submit_command(self, script: Path, after: str | None) -> list[str]:
        """Command that submits a script, to start after the job ``after``; a leading ``<``, FILE redirects stdin."""
        raise NotImplementedError

    def validate_script(self, script: Path) -> None:
        """Ask the batch system whether it would accept a script, where it has a command for that.

        Raises
        ------
        SubmissionRefusedError
            With the message of the batch system.
        """

    def job_states(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        """States of jobs by id; a job that is not in the queue has ended.

        Raises
        ------
        SchedulerUnavailableError
            If the batch system does not answer.
        """
        job_ids = list(job_ids)
        if not job_ids:
            return {}
        listed = self.list_jobs(job_ids)
        return {job_id: listed.get(job_id, NOT_IN_QUEUE) for job_id in job_ids}

    def list_jobs(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Jobs in the queue by id: at least those of ``job_ids``."""
        raise NotImplementedError

    def list_names(self) -> dict[str, str]:
        """Names of the user's jobs in the queue, in full, by id; jobs that have just ended may be among them."""
        raise NotImplementedError

    def find_jobs(self, name_part: str) -> dict[str, str]:
        """Jobs of the user in the queue whose name contains a text.

        Parameters
        ----------
        name_part : str
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
        return {job_id: name for job_id, name in self.list_names().items() if name_part in name}

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
        job_ids = [job_id for job_id in job_ids if self.is_job_id(job_id)]
        if not job_ids:
            return True
        for attempt in range(CANCEL_ATTEMPTS):
            try:
                self._run_command(self.cancel_command(job_ids))
                return True
            except ClusterError as error:
                if not self.is_unavailable(str(error)):
                    return True  # some of the jobs have ended
                time.sleep(CANCEL_RETRY_DELAY if attempt < CANCEL_ATTEMPTS - 1 else 0.0)
        return False

    def cancel_command(self, job_ids: Sequence[str]) -> list[str]:
        """Command that cancels jobs."""
        return [self.commands[2], *job_ids]

    def _run_command(
        self, command: Sequence[str], *, submits: bool = False, allowed_exit_codes: tuple[int, ...] = ()
    ) -> str:
        """Output of a command of the batch system.

        A failure of a command that ``submits`` is a refusal; that of another one means that the batch system
        is unavailable.
        """
        stdin = None
        if command[0] == "<":
            stdin, command = Path(command[1]), command[2:]
        try:
            with stdin.open() if stdin else contextlib.nullcontext(subprocess.DEVNULL) as source:
                process = subprocess.run(
                    command, stdin=source, capture_output=True, text=True, timeout=COMMAND_TIMEOUT,
                    env=self.command_environment(),
                )  # fmt: skip
        except FileNotFoundError as error:
            raise SubmissionRefusedError(
                f"{command[0]}: command not found; run this on a machine that submits jobs, such as a login node"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise SchedulerUnavailableError(f"{command[0]} did not answer within {COMMAND_TIMEOUT} s") from error
        if process.returncode and process.returncode not in allowed_exit_codes:
            exit_code = f"exit code {process.returncode}"
            message = (process.stderr.strip() or process.stdout.strip() or exit_code)[-2000:]
            refused = submits and not self.is_unavailable(message)
            raise (SubmissionRefusedError if refused else SchedulerUnavailableError)(f"{command[0]}: {message}")
        return process.stdout

    def command_environment(self) -> dict[str, str]:
        """Environment variables of the batch system's commands."""
        return dict(os.environ)

    def is_unavailable(self, message: str) -> bool:
        """Whether the message of a failed command means that the batch system itself cannot be reached."""
        return bool(
            re.search(r"unable to contact|connection (refused|failure)|timed out|cannot connect", message, re.I)
        )


def python_command(profile: Profile) -> str:
    """The interpreter of a job, quoted for a shell; may be a command such as ``apptainer exec IMAGE python``."""
    return profile.python or shlex.quote(sys.executable)


def format_walltime(seconds: float) -> str:
    """A duration as ``hh:mm:ss``, rounded up to whole seconds."""
    whole = math.ceil(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def import_job_class(module: str, name: str) -> Any:
    """Import a job class of dask-jobqueue and restore the handler of Ctrl-C, which that package replaces."""
    if "dask_jobqueue" not in sys.modules and threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGINT)
        importlib.import_module("dask_jobqueue")
        signal.signal(signal.SIGINT, handler)
    return getattr(importlib.import_module(module), name)


def classify_state(table: Mapping[str, Iterable[str]], name: str, reason: str = "") -> JobState:
    """State of a job from the batch system's name for it.

    Parameters
    ----------
    table : mapping of str to iterable of str
        Names of the states that are ``pending``, ``ended`` and ``interrupted``; all others are ``running``.
    name : str
        The batch system's name.
    reason : str
        The batch system's reason, if it gives one.
    """
    description = f"{name} ({reason})" if reason and reason not in ("None", name) else name
    if name in table.get("interrupted", ()):
        return JobState("ended", description, interrupted=True)
    for state in ("pending", "ended"):
        if name in table[state]:
            return JobState(state, description)
    return JobState("running", description)
