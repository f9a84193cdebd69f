"""Commands of batch systems, run in the C locale, and the kinds of their failures."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from membrane_dask.errors import ClusterError

#: Time limit of each command of a batch system, in seconds.
COMMAND_TIMEOUT = 60


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.I)


#: Messages after which the same command may succeed: the batch system is restarting, overloaded or out of reach.
_UNAVAILABLE = _pattern(
    r"unable to (contact|connect|send|establish|reach|communicate)",
    r"(cannot|can't|could not|failed to) (connect|contact|reach|be reached|communicate|find address of|locate)",
    r"connect(ion)? (refused|failure|failed|reset|closed|timed|error|aborted|lost|to)",
    r"communication (connection )?(failure|error)|commlib|timed? ?out|zero bytes|temporarily|(again|try) later",
    r"not responding|no response|no route to host|unreachable|broken pipe|not connected|end of file",
    r"message (receive|send) failure|unexpected message|insane message|header lengths|controller in standby",
    r"(authentication|munge|credential).*(error|fail|invalid)|invalid (authentication )?credential",
    r"(mbatchd|LIM|LSF) is (down|not)|server (is )?(busy|shutting down|not running)|daemon is not|batch protocol error",
    r"please wait|not ready|(system|service) unavailable|no free connection",
)
#: Messages that a limit on the number of jobs is reached; the job is accepted once others have ended.
_JOB_LIMIT = _pattern(
    r"MaxSubmit|GrpSubmit|SubmitJobs?(Per\w+)?Limit|MAX_JOBS_(SUBMITTED|PER_OWNER|RUNNING)",
    r"would exceed .*(limit (of|on) .*jobs|per-(user|group|project) limit)|submitted jobs would exceed",
    r"maximum number of jobs|only \d+ jobs? (is|are) allowed|job rejected: .*jobs? .*per user|pending job threshold",
    r"(too many|maximum (number )?of( your)?) (\w+ )?(waiting|pending|active|submitted|queued) jobs",
    r"cannot have more than \d+ .*jobs|job (slot|count) limit",
)
#: Messages that concern the job itself: trying again is pointless.
_REFUSED = _pattern(
    r"invalid|unknown|no such|does ?n[o']t|denied|illegal|reject|unrecogni[sz]ed|violates|exceed|unauthori[sz]ed",
    r"not (found|allowed|permitted|authori[sz]ed|valid|supported|recogni[sz]ed|enough|available|a valid|accept)",
    r"\bmust\b|required|cannot (run|be|use|satisfy)|more .* than|too (large|many|long|much)|forbid|prohibit",
    r"disabled|expired|syntax|\bbad\b|missing|incompatible",
)


class SubmissionRefusedError(ClusterError):
    """The batch system does not accept a job, or cannot accept any on this machine."""

    resuming_helps = False


class JobLimitError(SubmissionRefusedError):
    """A limit on the number of jobs is reached; the batch system accepts more when others have ended."""

    resuming_helps = True


class SchedulerUnavailableError(ClusterError):
    """The batch system does not answer at present; its jobs continue."""


@dataclass(frozen=True)
class Output:
    """What a command printed.

    Parameters
    ----------
    text, errors : str
        Standard output and standard error; bytes that are not UTF-8 are replaced.
    exit_code : int
        Exit code, or minus the number of the signal that ended it.
    """

    text: str
    errors: str
    exit_code: int

    @property
    def message(self) -> str:
        """The reason of a failure, in the words of the command."""
        return (self.errors.strip() or self.text.strip() or f"exit code {self.exit_code}")[-2000:]


def user_name() -> str:
    """Name of the account that owns this process and its jobs, whatever USER and LOGNAME say."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container without an entry for the account
        return str(os.getuid())


def c_locale(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with messages in English, numbers and dates of the C locale."""
    names = (name for name in environment if not name.startswith("LC_") and name not in ("LANG", "LANGUAGE"))
    return {name: environment[name] for name in names} | {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}


def run_command(command: Sequence[str], environment: Mapping[str, str], stdin: Path | None = None) -> Output:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    environment : mapping of str to str
        Environment variables; those of the locale are replaced.
    stdin : Path, optional
        File that the command reads as standard input.

    Raises
    ------
    SubmissionRefusedError
        If there is no such command on this machine.
    SchedulerUnavailableError
        If the command does not end within the time limit.
    """
    try:
        with stdin.open("rb") if stdin else contextlib.nullcontext(subprocess.DEVNULL) as source:
            process = subprocess.Popen(
                command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=c_locale(environment),
                start_new_session=True,
            )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        if stdin is not None and not os.access(stdin, os.R_OK):
            raise
        raise SubmissionRefusedError(
            f"{command[0]}: command not found; run this on a machine that submits jobs, such as a login node"
        ) from error
    except OSError as error:  # no more processes, memory or file descriptors on this machine for now
        raise SchedulerUnavailableError(f"{command[0]} could not be started: {error}") from error
    with process:
        try:
            outputs = process.communicate(timeout=COMMAND_TIMEOUT)
        except BaseException as error:  # also Ctrl-C; a script of the site may have started processes of its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise SchedulerUnavailableError(f"{command[0]} did not answer within {COMMAND_TIMEOUT} s") from error
    text, errors = (output.decode("utf-8", errors="replace") for output in outputs)
    return Output(text, errors, process.returncode)


def is_unavailable(message: str) -> bool:
    """Whether the message of a failed command means that the batch system itself cannot answer at present."""
    return bool(_UNAVAILABLE.search(message)) and not _JOB_LIMIT.search(message)


def is_job_limit(message: str) -> bool:
    """Whether the message of a failed submission means that too many jobs are in the queue."""
    return bool(_JOB_LIMIT.search(message))


def is_refusal(message: str) -> bool:
    """Whether the message of a failed submission means that this job will never be accepted."""
    return bool(_REFUSED.search(message)) and not is_unavailable(message)
