"""What the commands of each batch system may print: banners, other bytes, late and empty listings, lost answers."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.schedulers import base, batch_system, commands
from membrane_dask.engine.schedulers.base import SUBMIT_ATTEMPTS, BatchSystem
from membrane_dask.engine.schedulers.commands import (
    JobLimitError,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    is_job_limit,
    is_refusal,
    is_unavailable,
)
from membrane_dask.engine.schedulers.queue import LISTING_GRACE, MISSING_LISTINGS, MISSING_TIME

COMMANDS = {
    "slurm": ("sbatch", "squeue", "scancel", "scontrol"),
    "pbs": ("qsub", "qstat", "qdel", "qselect"),
    "lsf": ("bsub", "bjobs", "bkill"),
    "sge": ("qsub", "qstat", "qdel", "qacct"),
    "htcondor": ("condor_submit", "condor_q", "condor_rm", "condor_history"),
    "oar": ("oarsub", "oarstat", "oardel"),
}
#: What a site's own scripts print, with numbers, bytes that are not UTF-8, and a line that looks like an id.
BANNER = "Welcome to cluster 2024, node 17\n12345\n--> Jobs: 4711 pending, M\xfcnchen\n"

#: Slurm prints it for limits on the number of jobs and for limits on their size.
POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


class Fake:
    """A batch system whose queue the test edits."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.path = folder / "queue.json"
        self.path.write_text(json.dumps({"system": name, "jobs": {}, "next": 101, "name": "worker-ab-1"}))
        self.now = 0.0
        self.system: BatchSystem = batch_system(resolve(ClusterSettings(profile=name)))
        self.system.observer.clock = lambda: self.now
        self.script = folder / "worker-ab-1.sh"
        self.script.write_text("#!/bin/sh\n")

    def read(self) -> dict:
        return json.loads(self.path.read_text())

    def set(self, **entries: object) -> None:
        self.path.write_text(json.dumps({**self.read(), **entries}))

    def change(self, job_id: str, state: str | None) -> None:
        """Give a job another state; None removes it, as if the batch system had forgotten it."""
        jobs, number = self.read()["jobs"], job_id.partition(".")[0]
        if state is None:
            del jobs[number]
        else:
            jobs[number]["state"] = state
        self.set(jobs=jobs)

    def state(self, job_id: str) -> str:
        return self.system.job_states([job_id])[job_id].state

    def calls(self, program: str | None = None) -> list[dict]:
        lines = (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []
        return [call for call in map(json.loads, lines) if program in (None, call["command"][0])]

    @property
    def submissions(self) -> int:
        return len(self.calls(COMMANDS[self.name][0]))


@pytest.fixture(params=COMMANDS)
def fake(request, tmp_path, monkeypatch) -> Fake:
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in COMMANDS[request.param]:
        (folder / program).write_text(
            f"#!{sys.executable} -IS\n" + Path(__file__).with_name("fake_scheduler.py").read_text()
        )
        (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Fake(request.param, tmp_path)


def expected_id(fake: Fake, number: int) -> str:
    return f"{number}.head" if fake.name == "pbs" else str(number)


def test_ids_and_states_are_read_between_the_lines_of_a_site(fake, monkeypatch):
    """Also if USER is not the owner of the jobs, and in the C locale whatever the user's is."""
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "nobody")
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    fake.set(banner=BANNER)
    job_id = fake.system.submit(fake.script)
    assert job_id == expected_id(fake, 101)
    assert fake.state(job_id) == "pending"
    fake.change(job_id, "running")
    assert fake.state(job_id) == "running"
    assert fake.system.find_jobs("-ab-") == {job_id: "worker-ab-1"}
    assert fake.system.cancel([job_id])
    assert fake.read()["jobs"] == {}
    english = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C", "LC_MESSAGES": None}
    assert all(call["locale"] == english for call in fake.calls())


def test_a_job_is_pending_until_it_is_listed(fake):
    fake.set(late=True)
    job_id = fake.system.submit(fake.script)
    number = job_id.partition(".")[0]
    jobs = fake.read()["jobs"]
    fake.set(jobs={})  # not even a query of this job knows it
    for _ in range(MISSING_LISTINGS + 1):
        assert fake.state(job_id) == "pending"
        fake.now += LISTING_GRACE / 5
    fake.set(jobs=jobs, hidden=[])
    fake.change(number, "running")
    assert fake.state(job_id) == "running"


def test_a_running_job_survives_empty_listings(fake):
    """The queue shows nothing for a moment; a job ends only if the batch system says so."""
    job_id = fake.system.submit(fake.script)
    fake.change(job_id, "running")
    assert fake.state(job_id) == "running"
    fake.set(hidden=[job_id.partition(".")[0]], silent=True)
    for _ in range(MISSING_LISTINGS + 3):
        assert fake.state(job_id) == "running"
        fake.now += 1.0
    fake.set(hidden=[], silent=False)
    assert fake.state(job_id) == "running"
    fake.change(job_id, "ended")
    assert fake.state(job_id) == "ended" or fake.name == "sge"


def test_a_job_that_the_batch_system_does_not_know_has_ended(fake):
    job_id = fake.system.submit(fake.script)
    fake.change(job_id, "running")
    assert fake.state(job_id) == "running"
    fake.change(job_id, None)
    if fake.name in ("htcondor", "oar"):  # a query of one job says nothing about jobs that were deleted
        for _ in range(MISSING_LISTINGS - 1):
            assert fake.state(job_id) == "running"
            fake.now += MISSING_TIME / (MISSING_LISTINGS - 1)
    assert fake.state(job_id) == "ended"


def test_without_any_answer_a_job_ends_after_several_listings_over_some_time(fake):
    job_id = fake.system.submit(fake.script)
    assert fake.state(job_id) == "pending"
    fake.set(hidden=[job_id.partition(".")[0]], silent=True)
    for _ in range(MISSING_LISTINGS + 1):
        assert fake.state(job_id) == "pending"
        fake.now += MISSING_TIME / (MISSING_LISTINGS + 2)
    fake.now += MISSING_TIME
    assert fake.state(job_id) == "ended"


def test_a_job_that_was_accepted_without_an_answer_is_recovered(fake):
    program = COMMANDS[fake.name][0]
    fake.set(failures=[[program, "Socket timed out on send/recv operation", True]])
    assert fake.system.submit(fake.script) == expected_id(fake, 101)
    assert fake.submissions == 1


def test_a_job_that_appears_late_is_not_submitted_twice(fake):
    program = COMMANDS[fake.name][0]
    fake.set(failures=[[program, "Zero Bytes were transmitted or received", True]], late=True)
    with pytest.raises(SchedulerUnavailableError, match=r"Zero Bytes.*worker-ab-1 may be in the queue"):
        fake.system.submit(fake.script)
    assert fake.system.unanswered == ["worker-ab-1"]
    fake.set(hidden=[], late=False)
    assert fake.system.submit(fake.script) == expected_id(fake, 101)
    assert fake.submissions == 1


def test_a_command_that_does_not_end_is_no_reason_to_submit_again(fake, monkeypatch):
    monkeypatch.setattr(commands, "COMMAND_TIMEOUT", 1.0)
    fake.set(failures=[[COMMANDS[fake.name][0], "late", True]], delay=30)
    assert fake.system.submit(fake.script) == expected_id(fake, 101)
    assert fake.submissions == 1


def test_a_job_whose_submission_is_interrupted_is_recovered(fake, monkeypatch):
    """By Ctrl-C, after the batch system took the job."""
    run_command = base.run_command

    def interrupted(command, *arguments):
        output = run_command(command, *arguments)
        if command[0] == COMMANDS[fake.name][0]:
            raise KeyboardInterrupt
        return output

    monkeypatch.setattr(base, "run_command", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fake.system.submit(fake.script)
    assert fake.system.unanswered == ["worker-ab-1"]
    assert fake.system.submit(fake.script) == expected_id(fake, 101)
    assert fake.system.unanswered == []


def test_a_job_whose_id_is_not_printed_is_recovered_and_never_sent_twice(fake):
    fake.set(line="job 99 queued")
    fake.set(late=True)
    for _ in range(SUBMIT_ATTEMPTS - 1):
        with pytest.raises(SchedulerUnavailableError, match=r"no job id .*job 99 queued"):
            fake.system.submit(fake.script)
    fake.set(hidden=[])
    assert fake.system.submit(fake.script) == expected_id(fake, 101)
    assert len(fake.read()["jobs"]) == 1


def test_transient_errors_are_tried_again_and_permanent_ones_are_not(fake, monkeypatch):
    monkeypatch.setattr("membrane_dask.engine.schedulers.base.RETRY_DELAY", 0.01)
    program = COMMANDS[fake.name][0]
    fake.set(failures=[[program, "Resource temporarily unavailable", False]] * 2)
    assert fake.system.submit(fake.script, attempts=3) == expected_id(fake, 101)
    fake.set(failures=[[program, "invalid account or queue", False]])
    calls = fake.submissions
    for name in ("other", "third"):
        fake.script.with_stem(name).write_text("#!/bin/sh\n")
    with pytest.raises(SubmissionRefusedError, match="invalid account or queue"):
        fake.system.submit(fake.script.with_stem("other"), attempts=5)
    assert fake.submissions == calls + 1
    fake.set(failures=[[program, "Something went sideways", False]] * 5)
    with pytest.raises(SubmissionRefusedError, match=rf"sideways \({SUBMIT_ATTEMPTS} attempts"):
        fake.system.submit(fake.script.with_stem("third"), attempts=5)
    assert fake.submissions == calls + 1 + SUBMIT_ATTEMPTS
    assert fake.system.unanswered == []


@pytest.mark.parametrize("directive", ["-M east", "--clusters=east", "-M east,west"])
def test_jobs_on_another_cluster_of_slurm_are_listed_and_cancelled_there(directive, tmp_path, monkeypatch):
    """Clusters may give the same number to different jobs; with several of them the id names the cluster."""
    several = "," in directive
    queue = "CLUSTER: east\\n7|RUNNING|None\\n8|RUNNING|None" + "\\nCLUSTER: west\\n7|PENDING|None" * several
    unknown = "slurm_load_jobs error: Invalid job id specified"
    answers = {"sbatch": "7;east", "squeue": queue, "scancel": "", "scontrol": unknown}
    for name, answer in answers.items():
        path = tmp_path / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{tmp_path}/calls\nprintf "{answer}\\n"\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SQUEUE_PARTITION", "other")  # would hide jobs
    system = batch_system(resolve(ClusterSettings(profile="slurm", directives=(directive,))))
    assert not {"SQUEUE_PARTITION"} & system.command_environment().keys()
    script = tmp_path / "worker-1.sh"
    script.write_text("#!/bin/sh\n")
    job_id = system.submit(script, after="5;east" if several else "5")
    assert job_id == ("7;east" if several else "7")
    expected = {"7;east": "running", "7;west": "pending"} if several else {"7": "running"}
    listed = system.list_jobs([]) if several else system.job_states([job_id])
    assert {job: listed[job].state for job in expected} == expected
    assert system.job_states(["9;west" if several else "9"]).popitem()[1].state == "ended"
    system.cancel(["7;east", "8;east", "7;west"] if several else ["7"])
    calls = (tmp_path / "calls").read_text().splitlines()
    option = "-M east,west" if several else "-M east"
    assert calls[0] == f"sbatch --parsable {option} --dependency=afterany:5 --job-name=worker-1 {script}"
    assert all(call.startswith(f"squeue {option} ") for call in calls if call.startswith("squeue"))
    assert f"scontrol -M {'west' if several else 'east'} -o show job 9" in calls
    cancelled = ["scancel -M east -- 7 8", "scancel -M west -- 7"] if several else ["scancel -M east -- 7"]
    assert [call for call in calls if call.startswith("scancel")] == cancelled


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Batch job submission failed: Unable to contact slurm controller (connect failure)", "unavailable"),
        ("slurm_load_jobs error: Socket timed out on send/recv operation", "unavailable"),
        ("Batch job submission failed: Zero Bytes were transmitted or received", "unavailable"),
        ("Batch job submission failed: Resource temporarily unavailable", "unavailable"),
        ("Communication connection failure", "unavailable"),
        ("qsub: cannot connect to server head (errno=111)", "unavailable"),
        ("commlib error: got select error (Connection refused)\nUnable to run job: got send error.", "unavailable"),
        ("Failed in an LSF library call: Slave LIM configuration is not ready yet", "unavailable"),
        ("LSF is down. Please wait ...", "unavailable"),
        ("ERROR: Can't find address of local schedd", "unavailable"),
        ("CEDAR:6001:Failed to connect to <10.0.0.1:9618>", "unavailable"),
        ("invalid partition specified: standby\nBatch job submission failed: Invalid partition name", "refused"),
        ("Batch job submission failed: Invalid account or account/partition combination specified", "refused"),
        (f"QOSMaxWallDurationPerJobLimit\n{POLICY}", "refused"),
        (POLICY, "refused"),
        ("qsub: Unknown queue", "refused"),
        ('Unable to run job: Job was rejected because job requests unknown queue "nope".\nExiting.', "refused"),
        ("nope: No such queue. Job not submitted.", "refused"),
        (f"QOSMaxSubmitJobPerUserLimit\n{POLICY}", "limit"),
        (f"AssocMaxSubmitJobLimit\n{POLICY}", "limit"),
        (f"AssocGrpSubmitJobsLimit\n{POLICY}", "limit"),
        ("qsub: would exceed queue workq's per-user limit of jobs in 'Q' state", "limit"),
        ("qsub: Maximum number of jobs already in queue MSG=total number of current user's jobs exceeds", "limit"),
        ("Unable to run job: job rejected: Only 5 jobs are allowed per user (current job count: 5).", "limit"),
        ("User <me>: Pending job threshold reached. Retrying in 60 seconds...", "limit"),
        ("ERROR: Number of submitted jobs would exceed MAX_JOBS_PER_OWNER", "limit"),
        ("[ADMISSION RULE] you cannot have more than 50 waiting jobs", "limit"),
        ("Something went sideways", "unknown"),
    ],
)
def test_messages_are_sorted_by_what_helps(message, kind):
    sorted_as = [
        name
        for name, applies in (("limit", is_job_limit), ("unavailable", is_unavailable), ("refused", is_refusal))
        if applies(message)
    ]
    assert (sorted_as[:1] or ["unknown"])[0] == kind


def test_a_limit_on_the_number_of_jobs_is_no_refusal_for_good(fake):
    program = COMMANDS[fake.name][0]
    fake.set(failures=[[program, "QOSMaxSubmitJobPerUserLimit: only 5 jobs are allowed", False]])
    with pytest.raises(JobLimitError, match="only 5 jobs"):
        fake.system.submit(fake.script)
    assert fake.system.submit(fake.script) == expected_id(fake, 101)
