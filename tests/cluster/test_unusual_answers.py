"""Answers of batch systems in other spellings than the usual ones: versions, wrappers and settings of sites."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.schedulers import base, batch_system
from membrane_dask.engine.schedulers.base import NOT_IN_QUEUE, BatchSystem, SchedulerUnavailableError
from membrane_dask.engine.schedulers.commands import Output, SubmissionRefusedError


@pytest.fixture
def answering(monkeypatch) -> Callable[..., BatchSystem]:
    """A batch system whose commands print given texts; ``calls`` of the result lists the commands."""

    def create(name: str, answers: dict[str, str | tuple[str, str, int]]) -> BatchSystem:
        calls: list[str] = []

        def run_command(command, *arguments):
            line = " ".join(command)
            calls.append(line)
            answer = next((text for pattern, text in answers.items() if re.search(pattern, line)), "")
            return Output(answer, "", 0) if isinstance(answer, str) else Output(*answer)

        monkeypatch.setattr(base, "run_command", run_command)
        system = batch_system(resolve(ClusterSettings(profile=name)))
        system.calls = calls
        return system

    return create


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "worker-1.sh"
    path.write_text("#!/bin/sh\n")
    return path


def test_of_two_lines_that_look_like_an_id_none_is_taken(answering, script):
    """The job is searched by its name: another job of the user might have the other number."""
    output = "101\nJobs in the queue of this account:\n17\n"
    system = answering("slurm", {"sbatch": output, "squeue.*%j": "101|worker-1", "squeue": "101|PENDING|None"})
    assert system.submit(script) == "101"
    assert answering("slurm", {"sbatch": "101\n\n101\n"}).submit(script) == "101"


def test_padded_columns_of_slurm_are_read(answering):
    system = answering("slurm", {"squeue.*%j": "  7 | worker-1  ", "squeue": "  7 | PENDING  | JobHeldUser "})
    assert system.job_states(["7"])["7"].description == "PENDING (JobHeldUser)"
    assert system.find_jobs("worker") == {"7": "worker-1"}


@pytest.mark.parametrize(
    ("name", "state", "interrupted"),
    [
        ("POWER_UP_NODE", "pending", False), ("RESV_DEL_HOLD", "pending", False), ("SPECIAL_EXIT", "pending", False),
        ("COMPLETING", "running", False), ("STAGE_OUT", "running", False), ("SIGNALING", "running", False),
        ("OUT_OF_MEMORY", "ended", False), ("DEADLINE", "ended", False), ("CANCELLED", "ended", False),
        ("NODE_FAIL", "ended", True), ("BOOT_FAIL", "ended", True), ("PREEMPTED", "ended", True),
        ("REVOKED", "ended", True),
    ],
)  # fmt: skip
def test_states_of_slurm(answering, name, state, interrupted):
    listed = answering("slurm", {"squeue": f"7|{name}|None"}).list_jobs(["7"])["7"]
    alone = answering("slurm", {"scontrol": f"JobId=7 JobName=a JobState={name} Reason=None"}).query_job("7")
    assert alone == listed
    assert (listed.state, listed.interrupted) == (state, interrupted)


def test_the_job_of_a_dry_run_is_cancelled_by_its_name_where_no_id_is_printed(answering, script):
    """Where nodes are down, a job for later is submitted and cancelled."""
    down = ("", "allocation failure: Requested node configuration is not available", 1)
    system = answering("slurm", {"test-only": down, "sbatch": "Submitted batch job 9 on cluster a",
                                 "squeue.*%j": "9|worker-1-dry-run\n8|worker-1"})  # fmt: skip
    system.validate_script(script)
    assert system.calls[-1] == "scancel -- 9"


@pytest.mark.parametrize("answer", ["found suitable queue(s)", "found possible assignment with 4 slots"])
def test_grid_engine_accepts_a_script_with_or_without_a_parallel_environment(answering, script, answer):
    answering("sge", {"-w v": (f"verification: {answer}\n", "", 1)}).validate_script(script)
    with pytest.raises(SubmissionRefusedError, match="no suitable queues"):
        answering("sge", {"-w v": ("verification: no suitable queues\n", "", 1)}).validate_script(script)


def test_listings_of_grid_engine_with_a_namespace_and_preempted_jobs(answering):
    text = "<job_info xmlns='http://univa.com/qstat'><queue_info>{}</queue_info></job_info>"
    row = "<job_list><JB_job_number>{}</JB_job_number><JB_name>worker-{}</JB_name><state>{}</state></job_list>"
    states = {"1": "r", "2": "P", "3": "hqw", "4": "Eqw", "5": "N", "6": "dr"}
    rows = "".join(row.format(number, number, state) for number, state in states.items())
    listed = answering("sge", {"qstat": text.format(rows)}).list_jobs([])
    expected = ["running", "pending", "pending", "ended", "pending", "running"]
    assert [listed[number].state for number in states] == expected


def test_the_last_account_of_a_number_is_that_of_the_job(answering, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: name)
    unknown = ("", "Following jobs do not exist:\n7", 1)
    accounts = "jobnumber 7\nexit_status  0\n=====\njobnumber 7\nexit_status  137 (Killed)\n"
    assert answering("sge", {"qstat": unknown, "qacct": accounts}).query_job("7").description == "exit code 137"


@pytest.mark.parametrize(("submitted", "printed"), [("7.head", "7.head.example.org"), ("7.head.example.org", "7.head")])
def test_jobs_of_pbs_are_the_same_with_and_without_the_domain_of_the_server(answering, submitted, printed):
    """Otherwise a job that runs would count as ended and be submitted again."""
    other = "Job Id: 17.head\n    job_state = Q\n"
    system = answering("pbs", {"qstat": f"Job Id: {printed}\n    Job_Name = worker-1\n    job_state = R\n{other}"})
    assert system.list_jobs([submitted])[submitted].state == "running"
    assert system.query_job(submitted).state == "running"


def test_a_job_that_pbs_does_not_know_is_none_whatever_the_exit_code(answering):
    unknown = ("Job Id: 8.head\n    job_state = R\n", "qstat: Unknown Job Id 7.head\n", 1)
    system = answering("pbs", {"qstat": unknown})
    assert list(system.list_jobs(["7.head", "8.head"])) == ["8.head"]
    assert answering("pbs", {"qstat": ("", unknown[1], 1)}).query_job("7.head") is NOT_IN_QUEUE


def test_a_database_of_oar_that_does_not_answer_ends_no_job(answering):
    failure = ("", "DBI connect('database=oar;host=db') failed: Connection refused", 1)
    with pytest.raises(SchedulerUnavailableError, match="DBI connect"):
        answering("oar", {"oarstat": failure}).list_jobs(["7"])
    assert answering("oar", {"oarstat": ("", "No job 7", 1)}).query_job("7") is None


def test_padded_columns_of_lsf_are_read(answering):
    system = answering("lsf", {"job_name": " 7 | worker-1 ", "bjobs": " 7 | PEND | Job dependency; "})
    assert system.list_jobs([])["7"].state == "pending"
    assert system.list_names() == {"7": "worker-1"}
