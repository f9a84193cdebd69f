"""Job scripts of all batch systems, made by dask-jobqueue from a profile and the site's own configuration."""

from __future__ import annotations

import contextlib
import importlib
import math
import re
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.plan import environment
from membrane_dask.engine.schedulers.commands import SubmissionRefusedError

#: Memory of a job's own processes (interpreter, nannies) in addition to its workers, in MB.
JOB_OVERHEAD_MB = 300


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


class JobScripts:
    """Scripts of worker jobs and driver jobs.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile.
    """

    #: dask-jobqueue's class of job: module and name.
    job_class: ClassVar[tuple[str, str]] = ("", "")
    #: Start of a line with options in a job script.
    directive_prefix: ClassVar[str] = ""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

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
            job._command_template = " ".join([f"exec {self.python}", *map(shlex.quote, command)])
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
            "python": f"exec {self.python}",
            "interface": profile.worker_interface or profile.interface,
            "local_directory": profile.scratch,
            "death_timeout": 60,
            "protocol": "tls://" if worker.security else None,
            "security": worker.security,
            "worker_extra_args": [
                *self._site_lines("worker-extra-args", "extra"), *self._port_arguments(), *worker.arguments,
            ],
            "job_script_prologue": self._prologue(),
        }  # fmt: skip
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

    def _port_arguments(self) -> list[str]:
        """Ports of workers and of their nannies; Dask divides one range among them."""
        if self.profile.worker_ports is None:
            return []
        ports = "{}:{}".format(*self.profile.worker_ports)
        return ["--worker-port", ports, "--nanny-port", ports]

    def scheduler_options(self) -> dict[str, Any]:
        """Network interface or host of the Dask scheduler, of the profile or of dask-jobqueue's configuration."""
        if self.profile.interface:
            return {"interface": self.profile.interface}
        site = self._site_setting("scheduler-options") or {}
        options = {key: site[key] for key in ("interface", "host", "port") if site.get(key)}
        if not options.keys() & {"interface", "host"} and self._site_setting("interface"):
            options["interface"] = self._site_setting("interface")
        return options

    def _prologue(self) -> list[str]:
        threads = self.profile.threads or 1
        values = environment(threads)
        lines = [f"export {name}={value}" for name, value in values.items()]
        if threads != 1:  # Dask's nanny would set these to 1 again
            lines += [f"export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__{n}={v}" for n, v in values.items()]
        # Many batch systems give each job a temporary folder of its own, where each job would compile again.
        prologue = self.profile.prologue
        if prologue is None:
            prologue = tuple(self._site_lines("job-script-prologue", "env-extra"))
        # Without the profiler, see `open_pool`.
        lines.append("export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False")
        return ["export MEMBRANE_DASK_CACHE=/tmp", *prologue, *lines]

    def enable_restart(self, job: Any) -> None:
        """Let the batch system restart a driver whose time limit is reached; by default a successor is queued."""

    def job_options(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Options of dask-jobqueue's job class for size, time limit, queue and account."""
        raise NotImplementedError

    def output_directives(self, folder: str) -> list[str]:
        """Directives that write a job's output to ``folder``, where dask-jobqueue adds none."""
        return []

    def _common_options(self, directives: Sequence[str] = (), account_option: str = "account") -> dict[str, Any]:
        """Options that all job classes have; only the name of the account differs.

        Parameters
        ----------
        directives : sequence of str
            Directives of the subclass, which the site may skip; those of the user follow.
        account_option : str
            Name of the option for the account.
        """
        profile = self.profile
        skipped = self.skipped_directives()
        own = [line for line in directives if not any(text in f"{self.directive_prefix} {line}" for text in skipped)]
        options: dict[str, Any] = {"queue": profile.queue, account_option: profile.account}
        if profile.walltime:
            options["walltime"] = format_walltime(profile.walltime)
        return options | {
            "job_extra_directives": [*own, *self.extra_directives()], "job_directives_skip": list(skipped),
        }  # fmt: skip

    def extra_directives(self) -> list[str]:
        """Directives of the profile; without any, those in dask-jobqueue's own configuration."""
        if self.profile.directives is not None:
            return list(self.profile.directives)
        return self._site_lines("job-extra-directives", "job-extra")

    def skipped_directives(self) -> list[str]:
        """Parts of directives that dask-jobqueue's own configuration takes out of job scripts."""
        return self._site_lines("job-directives-skip", "header-skip")

    @property
    def python(self) -> str:
        """The interpreter of a job, quoted for a shell; may be a command such as ``apptainer exec IMAGE python``."""
        return self.profile.python or self._site_setting("python") or shlex.quote(sys.executable)

    def _site_lines(self, key: str, former_key: str) -> list[str]:
        """List in dask-jobqueue's own configuration, also under its former key."""
        lines = self._site_setting(key) or self._site_setting(former_key) or ()
        return [lines] if isinstance(lines, str) else [str(line) for line in lines]

    def _site_setting(self, key: str) -> Any:
        """Setting in dask-jobqueue's own configuration (``jobqueue.yaml``); None if there is none."""
        import dask

        return dask.config.get(f"jobqueue.{self.profile.scheduler}.{key}", None)


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
