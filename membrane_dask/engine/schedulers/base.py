"""What all batch systems share: job scripts, submission, job states."""

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

#: What a job's own processes (interpreter, nannies) need beside its workers, in MB.
JOB_OVERHEAD_MB = 300
#: A batch system that does not answer within this many seconds counts as silent.
ANSWER_WITHIN = 60


class RefusedError(ClusterError):
    """The batch system said no."""


class SilentError(ClusterError):
    """The batch system does not answer at present."""


@dataclass(frozen=True)
class JobState:
    """What the batch system says of a job.

    Parameters
    ----------
    state : str
        ``pending``, ``running`` or ``ended``.
    words : str
        Its own words: the state's name, and a reason where it gives one.
    """

    state: Literal["pending", "running", "ended"]
    words: str


GONE = JobState("ended", "no longer in the queue")


@dataclass(frozen=True)
class WorkerCall:
    """How the workers of a job find their scheduler.

    Parameters
    ----------
    address : str
        The Dask scheduler's.
    name : str
        The job's; workers are named after it.
    security : distributed.Security, optional
        With the paths of certificates that the nodes can read.
    arguments : sequence of str
        Further arguments of ``dask worker``.
    """

    address: str
    name: str
    security: Any = None
    arguments: Sequence[str] = ()


class BatchSystem:
    """One kind of batch system, and a profile of it.

    Parameters
    ----------
    profile : Profile
        Resolved.
    """

    #: Commands that must be on the PATH: the first submits, the second lists, the third cancels.
    commands: ClassVar[tuple[str, ...]] = ()
    #: dask-jobqueue's class of job, as module and name.
    job_class: ClassVar[tuple[str, str]] = ("", "")
    #: Finds the job's number in what the submission prints.
    number: ClassVar[str] = r"\d+"
    #: What people call it.
    title: ClassVar[str] = ""
    #: A command that tells it from another one whose commands have the same names.
    not_with: ClassVar[str] = ""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    # -- scripts --------------------------------------------------------------------------

    @property
    def cores(self) -> int:
        """Cores of a worker job."""
        return (self.profile.workers or 1) * (self.profile.threads or 1)

    def memory_mb(self, workers: int) -> int:
        """Memory of a job that holds so many workers, in MB."""
        return math.ceil(workers * (self.profile.memory or 0)) + JOB_OVERHEAD_MB

    def worker_script(self, call: WorkerCall, logs: str) -> str:
        """Script of a job of workers."""
        with self._job(call, logs, self.cores, self.memory_mb(self.profile.workers or 1)) as job:
            return str(job.job_script())

    def command_script(
        self, command: Sequence[str], name: str, logs: str, cores: int, memory_mb: int, nodes: int = 1
    ) -> str:
        """Script of a job that runs one command of ours, on the first of its nodes; cores and memory are of each."""
        with self._job(WorkerCall("", name), logs, cores, memory_mb, nodes) as job:
            self.restart_after_its_time(job)
            # All classes build their script from this one line; a test pins it for each.
            job._command_template = " ".join([f"exec {job_python(self.profile)}", *map(shlex.quote, command)])
            if self.profile.scheduler == "htcondor":
                job._command_template = "; ".join([*self._prologue(), job._command_template])
            return str(job.job_script())

    @contextlib.contextmanager
    def _job(self, call: WorkerCall, logs: str, cores: int, memory_mb: int, nodes: int = 1) -> Iterator[Any]:
        profile = self.profile
        workers = profile.workers or 1
        keywords = {
            "name": call.name,
            "job_name": call.name,
            "cores": workers,  # one thread a worker, whatever the cores that the thread's kernels use
            "processes": workers,
            "memory": f"{round(workers * (profile.memory or 0) * 1e6)}B",
            "python": f"exec {job_python(profile)}",
            "interface": profile.interface,
            "local_directory": profile.scratch,
            "death_timeout": 60,
            "protocol": "tls://" if call.security else None,
            "security": call.security,
            "worker_extra_args": list(call.arguments),
            "job_script_prologue": self._prologue(),
        }
        if not re.fullmatch(r"[\w./+=,:@%-]+", logs):
            raise RefusedError(
                f"batch systems take no blanks and quotes in a path (got {logs!r}); choose another --out"
            )
        keywords |= self.header(cores, memory_mb, nodes)
        # dask-jobqueue makes the folder that it is told, and a script is shown before there is a run.
        with tempfile.TemporaryDirectory() as there:
            folder = logs if Path(logs).is_dir() else there
            if isinstance(keywords["job_extra_directives"], list):
                keywords["job_extra_directives"] += self.output(folder)
            job = self._make(call, keywords | {"log_directory": folder})
            script = job.job_script
            job.job_script = lambda: script().replace(there, logs)
            yield job

    def _make(self, call: WorkerCall, keywords: Mapping[str, Any]) -> Any:
        try:
            return _job_class(*self.job_class)(call.address, **keywords)
        except (TypeError, ValueError) as error:
            raise RefusedError(f"dask-jobqueue cannot make a job script of this: {error}") from error

    def _prologue(self) -> list[str]:
        threads = str(self.profile.threads or 1)
        lines = [f"export {name}={threads}" for name in environment()]
        if threads != "1":  # Dask's nanny would set these to 1 again
            lines += [f"export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__{n}={threads}" for n in environment()]
        # Many batch systems give each job a temporary folder of its own, where each would compile anew.
        return ["export MEMBRANE_DASK_CACHE=/tmp", *(self.profile.prologue or ()), *lines]

    def restart_after_its_time(self, job: Any) -> None:
        """Have the batch system itself start a driver again, where it can; elsewhere a successor is queued."""

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """What this class of job is told of the job's size, time, queue and account."""
        raise NotImplementedError

    def output(self, logs: str) -> list[str]:
        """Directives that send a job's output to a folder, where dask-jobqueue has none."""
        return []

    def _header(self, account: str = "account") -> dict[str, Any]:
        profile = self.profile
        found: dict[str, Any] = {"queue": profile.queue, account: profile.account}
        if profile.walltime:
            found["walltime"] = clock(profile.walltime)
        directives = profile.directives
        if directives is None:  # what we add ourselves must not hide what the site says
            directives = self._site("job-extra-directives") or ()
        return found | {"job_extra_directives": list(directives)}

    def _site(self, word: str) -> Any:
        """What dask-jobqueue's own configuration says; None if nothing."""
        import dask

        return dask.config.get(f"jobqueue.{self.profile.scheduler}.{word}", None)

    # -- jobs -----------------------------------------------------------------------------

    def require(self) -> None:
        """Refuse early where the batch system's commands are not here.

        Raises
        ------
        RefusedError
            With the command that is missing.
        """
        missing = [name for name in self.commands if shutil.which(name) is None]
        if missing:
            raise RefusedError(
                f"{missing[0]}: no such command here; is this a machine that submits to {self.title}? "
                f"(needed: {', '.join(self.commands)})"
            )
        if self.not_with and shutil.which(self.not_with):
            raise RefusedError(f"{self.commands[0]} is not that of {self.title} here, as there is also {self.not_with}")

    def submit(self, script: Path, after: str | None = None) -> str:
        """Submit a script, to start once job ``after`` has ended if one is named; the job's number.

        Raises
        ------
        RefusedError
            With the batch system's own words.
        """
        said = self._ask(self.submission(script, after), refusal=True)
        found = re.search(self.number, said)
        if not found:
            raise RefusedError(f"{self.title} took {script.name} but gave no job number: {said.strip()!r}")
        return found.group(0)

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits."""
        raise NotImplementedError

    def rehearse(self, script: Path) -> None:
        """Ask whether a script would be taken, where the batch system can tell.

        Raises
        ------
        RefusedError
            With the batch system's own words.
        """

    def states(self, numbers: Iterable[str]) -> dict[str, JobState]:
        """What has become of jobs; one that is not listed any more has ended.

        Raises
        ------
        SilentError
            If the batch system does not answer.
        """
        wanted = list(numbers)
        if not wanted:
            return {}
        known = self.listing(wanted)
        return {number: known.get(number, GONE) for number in wanted}

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """Jobs that the batch system lists, of these or of more."""
        raise NotImplementedError

    def cancel(self, numbers: Iterable[str]) -> None:
        """Cancel jobs; those that have ended are no trouble, and a batch system that is away is asked again."""
        numbers = list(numbers)
        for attempt in range(4):
            if not numbers:
                return
            try:
                self._ask(self.cancellation(numbers))
                return
            except ClusterError as error:
                if not self.unreachable(str(error)):
                    return
                time.sleep(3.0 if attempt < 3 else 0.0)

    def cancellation(self, numbers: Sequence[str]) -> list[str]:
        """Command that cancels."""
        return [self.commands[2], *numbers]

    def _ask(self, command: Sequence[str], *, refusal: bool = False, tolerate: tuple[int, ...] = ()) -> str:
        stdin = None
        if command[0] == "<":  # the script comes on standard input
            stdin, command = Path(command[1]), command[2:]
        try:
            with stdin.open() if stdin else contextlib.nullcontext(subprocess.DEVNULL) as source:
                done = subprocess.run(command, stdin=source, capture_output=True, text=True, timeout=ANSWER_WITHIN,
                                      env=self.surroundings())  # fmt: skip
        except FileNotFoundError as error:
            raise RefusedError(f"{command[0]}: no such command here; is this a machine that submits?") from error
        except subprocess.TimeoutExpired as error:
            raise SilentError(f"{command[0]} did not answer within {ANSWER_WITHIN} s") from error
        if done.returncode and done.returncode not in tolerate:
            words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}")[-2000:]
            kind = SilentError if not refusal or self.unreachable(words) else RefusedError
            raise kind(f"{command[0]}: {words}")
        return done.stdout

    def surroundings(self) -> dict[str, str]:
        """Environment of the batch system's commands."""
        return dict(os.environ)

    def unreachable(self, words: str) -> bool:
        """Whether the words of a failed command mean that the batch system itself is away."""
        return bool(re.search(r"unable to contact|connection (refused|failure)|timed out|cannot connect", words, re.I))


def job_python(profile: Profile) -> str:
    """The interpreter of a job, as a shell reads it: it may be a command, such as ``apptainer exec X python``."""
    return profile.python or shlex.quote(sys.executable)


def clock(seconds: float) -> str:
    """``hh:mm:ss``."""
    whole = math.ceil(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _job_class(module: str, name: str) -> Any:
    """A class of dask-jobqueue; importing that package takes Ctrl-C away, so it is given back."""
    if "dask_jobqueue" not in sys.modules and threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)
        importlib.import_module("dask_jobqueue")
        signal.signal(signal.SIGINT, before)
    return getattr(importlib.import_module(module), name)


def _state(table: Mapping[str, Iterable[str]], name: str, reason: str = "") -> JobState:
    """Our three states from the batch system's many; what is not listed runs."""
    words = f"{name} ({reason})" if reason and reason not in ("None", name) else name
    for state in ("pending", "ended"):
        if name in table[state]:
            return JobState(state, words)
    return JobState("running", words)
