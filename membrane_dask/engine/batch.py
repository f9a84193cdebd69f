"""Batch systems: the job scripts they read, and how jobs are submitted, asked after and cancelled.

The scripts are dask-jobqueue's. Submitting and watching is our own, as a driver's job goes the same
way as a worker's, and as the queue itself is asked what has become of a job.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib
import json
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

from membrane_dask.engine.plan import environment
from membrane_dask.errors import ClusterError
from membrane_dask.profiles import Profile

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


class Slurm(BatchSystem):
    """Slurm."""

    title = "Slurm"
    commands = ("sbatch", "squeue", "scancel")
    job_class = ("dask_jobqueue.slurm", "SLURMJob")
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"),
        "ended": (
            "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "BOOT_FAIL",
            "DEADLINE", "REVOKED",
        ),
    }  # fmt: skip

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One task a node."""
        found = self._header()
        found["job_extra_directives"] = [f"-N {nodes}", f"-n {nodes}", *found["job_extra_directives"]]
        found["job_directives_skip"] = ["#SBATCH -n 1"]
        return found | {"job_cpu": cores, "job_mem": f"{memory_mb}M"}

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits."""
        return ["sbatch", "--parsable", *([f"--dependency=afterany:{after}"] if after else []), str(script)]

    def surroundings(self) -> dict[str, str]:
        """A driver that is a job itself hands none of its own job's settings on."""
        return {name: value for name, value in os.environ.items() if not re.match(r"SLURM_(?!CONF$)", name)}

    def rehearse(self, script: Path) -> None:
        """``sbatch --test-only``."""
        self._ask(["sbatch", "--test-only", str(script)], refusal=True)

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """All jobs of this person: one question whatever their number, and no error for a job that is gone."""
        said = self._ask(["squeue", "-h", "-u", getpass.getuser(), "-t", "all", "-o", "%i|%T|%r"])
        rows = [line.split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
        return {number: _state(self._states, state, reason) for number, state, reason in rows}


class SlurmSteps(Slurm):
    """The nodes of the one job that this process runs in: a worker job is a step of it, by srun."""

    title = "srun"
    commands = ("srun",)  # type: ignore[assignment]

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._steps: dict[str, subprocess.Popen[bytes]] = {}

    def rehearse(self, script: Path) -> None:
        """A step needs no queue."""

    def submit(self, script: Path, after: str | None = None) -> str:
        """Start a step on a node that has room; the number is that of its srun process."""
        command = [
            "srun", "--nodes=1", "--ntasks=1", "--exact", f"--cpus-per-task={self.cores}",
            f"--mem={self.memory_mb(self.profile.workers or 1)}M", "--kill-on-bad-exit=1", "bash", str(script),
        ]  # fmt: skip
        with script.with_suffix(".log").open("ab") as log:
            step = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        number = str(step.pid)
        script.with_suffix(".log").rename(script.with_name(f"{script.stem}-{number}.log"))
        self._steps[number] = step
        return number

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """Whether each srun process lives."""
        found = {}
        for number in numbers:
            step = self._steps.get(number)
            code = step.poll() if step else 0
            found[number] = JobState("running", "RUNNING") if code is None else JobState("ended", f"exit code {code}")
        return found

    def cancel(self, numbers: Iterable[str]) -> None:
        """End steps; srun passes the signal on."""
        mine = [self._steps[number] for number in numbers if number in self._steps]
        for step in mine:
            step.terminate()
        for step in mine:
            try:
                step.wait(timeout=10)
            except subprocess.TimeoutExpired:
                step.kill()


class PBS(BatchSystem):
    """PBS Professional, OpenPBS and Torque."""

    title = "PBS"
    commands = ("qsub", "qstat", "qdel")
    job_class = ("dask_jobqueue.pbs", "PBSJob")
    number = r"\d+(\[\])?(\.[\w.-]+)?"
    not_with = "qconf"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {"pending": ("Q", "W", "H", "T"), "ended": ("F", "X", "C")}

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One chunk."""
        found = self._header()
        if self._site("resource-spec") is None:
            found["resource_spec"] = f"select=1:ncpus={cores}:mem={memory_mb}mb"
        return found

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits."""
        return ["qsub", *(["-W", f"depend=afterany:{after}"] if after else []), str(script)]

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """Full listing, in the form that all kinds of PBS share."""
        said = self._ask(["qstat", "-f", *numbers], tolerate=(35, 153, 170))  # some are gone
        found = {}
        for block in re.split(r"^Job Id:\s*", said, flags=re.M)[1:]:
            number = block.split(None, 1)[0]
            state = re.search(r"^\s*job_state = (\S+)", block, re.M)
            comment = re.search(r"^\s*comment = (.*(?:\n\t.*)*)", block, re.M)
            if state:
                reason = re.sub(r"\s+", " ", comment.group(1)) if comment else ""
                found[number] = _state(self._states, state.group(1), reason)
        return found


class LSF(BatchSystem):
    """IBM Spectrum LSF."""

    title = "LSF"
    commands = ("bsub", "bjobs", "bkill")
    job_class = ("dask_jobqueue.lsf", "LSFJob")
    _states: ClassVar[dict[str, tuple[str, ...]]] = {
        "pending": ("PEND", "PSUSP", "WAIT", "PROV"),
        "ended": ("DONE", "EXIT", "ZOMBI"),
    }

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """All slots on one host."""
        found = self._header("project") | {"ncpus": cores, "mem": memory_mb * 10**6}
        if self.profile.walltime:
            found["walltime"] = clock(math.ceil(self.profile.walltime / 60) * 60)[:-3]
        return found

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits; bsub reads the script from standard input."""
        return ["<", str(script), "bsub", *(["-w", f"ended({after})"] if after else [])]

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """State and reason of each job."""
        said = self._ask(["bjobs", "-a", "-noheader", "-o", "jobid stat pend_reason delimiter='|'"], tolerate=(255,))
        rows = [line.split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
        return {number: _state(self._states, state, reason.strip("- ")) for number, state, reason in rows}


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


class HTCondor(BatchSystem):
    """HTCondor."""

    title = "HTCondor"
    commands = ("condor_submit", "condor_q", "condor_rm")
    job_class = ("dask_jobqueue.htcondor", "HTCondorJob")
    number = r"(?<=submitted to cluster )\d+"
    _names: ClassVar[dict[str, str]] = {
        "1": "IDLE", "2": "RUNNING", "3": "REMOVED", "4": "COMPLETED", "5": "HELD",
        "6": "TRANSFERRING", "7": "SUSPENDED",
    }  # fmt: skip
    _states: ClassVar[dict[str, tuple[str, ...]]] = {"pending": ("IDLE", "HELD"), "ended": ("REMOVED", "COMPLETED")}

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """Requests as entries of the submit file; a time limit is a rule for removal."""
        entries: dict[str, Any] = {"RequestCpus": cores, "RequestMemory": memory_mb}
        if self.profile.account:
            entries["accounting_group"] = self.profile.account
        if self.profile.walltime:
            limit = math.ceil(self.profile.walltime)
            entries["periodic_remove"] = f"JobStatus == 2 && time() - EnteredCurrentStatus > {limit}"
        if self.profile.directives is None:
            entries |= self._site("job-extra-directives") or {}
        for line in self.profile.directives or ():
            key, _, value = line.partition("=")
            entries[key.strip()] = value.strip()
        return {"job_extra_directives": entries, "disk": self._site("disk") or "1GB"}

    def restart_after_its_time(self, job: Any) -> None:
        """Exit code 75 means that there is more to do; its time limit holds the job, and then lets it go."""
        job.job_header_dict["on_exit_remove"] = "ExitCode =!= 75"
        limit = job.job_header_dict.pop("periodic_remove", None)
        if limit:
            job.job_header_dict |= {"periodic_hold": limit, "periodic_release": "HoldReasonCode == 3"}

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits; a driver that is to go on is started again by HTCondor itself."""
        return ["condor_submit", str(script)]

    def rehearse(self, script: Path) -> None:
        """``condor_submit -dry-run``."""
        self._ask(["condor_submit", "-dry-run", "/dev/null", str(script)], refusal=True)

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """State, and why a job is held."""
        said = self._ask(["condor_q", *numbers, "-autoformat:,", "ClusterId", "JobStatus", "HoldReason"])
        rows = [[word.strip() for word in line.split(",", 2)] for line in said.splitlines() if line.count(",") >= 2]
        return {
            number: _state(self._states, self._names.get(code, code), "" if why == "undefined" else why)
            for number, code, why in rows
        }


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


SYSTEMS: dict[str, type[BatchSystem]] = {
    "slurm": Slurm, "pbs": PBS, "lsf": LSF, "sge": SGE, "htcondor": HTCondor, "oar": OAR,
}  # fmt: skip


#: Where a job of each batch system reads its own number.
OWN_NUMBER = {
    "slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "lsf": "LSB_JOBID", "sge": "JOB_ID", "htcondor": "_CONDOR_JOB_AD",
    "oar": "OAR_JOB_ID",
}  # fmt: skip


def own_number(profile: Profile) -> str:
    """Number of the job that this process runs in; empty outside of any."""
    return os.environ.get(OWN_NUMBER[str(profile.scheduler)], "")


def batch_system(profile: Profile) -> BatchSystem:
    """The batch system of a profile."""
    return SYSTEMS[str(profile.scheduler)](profile)


def last_words(folder: Path, number: str, lines: int = 12) -> str:
    """The end of what a job wrote, from whichever file its batch system put it in."""
    digits = re.escape(re.match(r"\d+", number).group(0))  # type: ignore[union-attr]
    found = []
    for path in sorted(folder.glob("*")):
        if path.suffix != ".sh" and path.is_file() and re.search(rf"(?<!\d){digits}(?!\d)", path.name):
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            if text:
                found.append("\n".join(text.splitlines()[-lines:]))
    return "\n".join(found)
