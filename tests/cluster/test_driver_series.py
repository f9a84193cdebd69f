"""Series of drivers with a queue of the test: after which ends a successor goes on, and after which none does."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from fake_queue import PENDING, RUNNING, FakeQueue

from membrane_dask import api
from membrane_dask.cli import run as commands
from membrane_dask.engine.cluster import driver_series
from membrane_dask.engine.cluster.driver_series import DriverSeries, NoProgressError, lost_driver, submit_driver
from membrane_dask.engine.cluster.ownership import JobRecord, claim_run_id, driver_job_name, worker_job_name
from membrane_dask.engine.driver import drive_run
from membrane_dask.engine.events import Message
from membrane_dask.engine.lock import RunBusyError
from membrane_dask.engine.plan import Plan
from membrane_dask.engine.provenance import Provenance
from membrane_dask.engine.run import prepare
from membrane_dask.engine.schedulers import own_job_id
from membrane_dask.engine.schedulers.base import SchedulerUnavailableError, SubmissionRefusedError
from membrane_dask.errors import ClusterError, Problem, ProgramError, StudyError, resuming_helps
from membrane_dask.program import Costs

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
import toy


@pytest.fixture
def queue(monkeypatch) -> FakeQueue:
    """The queue of all series in a test; this process is its job 101."""
    system = FakeQueue(walltime="10 min")
    monkeypatch.setattr(driver_series, "batch_system", lambda profile: system)
    monkeypatch.setenv("SLURM_JOB_ID", "101")
    return system


@pytest.fixture
def series(queue, tmp_path) -> DriverSeries:
    """The series of a run whose first driver has just started."""
    assert submit_driver(queue.profile, tmp_path) == "101"
    queue.jobs["101"] = RUNNING
    return DriverSeries(tmp_path, queue.profile, messages.append)


messages: list[str] = []


def test_a_successor_stays_where_resuming_helps(series, queue, tmp_path):
    series.begin(0)
    assert JobRecord(tmp_path).read()["drivers"] == ["101", "102"]
    series.end(resume=True)
    assert JobRecord(tmp_path).read()["drivers"] == ["102"]
    assert set(queue.jobs) == {"101", "102"}


def test_all_other_jobs_of_the_run_are_cancelled_where_it_does_not(series, queue, tmp_path):
    """Also those that the run lost from its notes, and none of another run."""
    series.begin(0)
    run = claim_run_id(tmp_path)
    foreign = {"7": worker_job_name("0" * 12, "c0ffee", 1), "8": "mine", "9": f"md-x-{'0' * 12}-c0ffee"}
    own = {"201": worker_job_name(run, "c0ffee", 1), "202": driver_job_name(tmp_path, run)}
    queue.names |= foreign | own
    queue.jobs |= dict.fromkeys(foreign | own, PENDING)
    JobRecord(tmp_path).update(drivers=["8"], workers=["7"])
    series.end(resume=False)
    assert set(queue.jobs) == {"101", *foreign}
    assert JobRecord(tmp_path).read()["drivers"] == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ClusterError("no worker for 60 min"), True),
        (SchedulerUnavailableError("no answer"), True),
        (OSError(28, "No space left on device"), True),
        (ValueError("a bug"), True),  # as far as the limit of drivers without progress allows
        (SubmissionRefusedError("invalid partition"), False),
        (NoProgressError("3 drivers finished no unit"), False),
        (StudyError([Problem((), "no such file")]), False),
        (ProgramError("unknown task"), False),
    ],
)
def test_which_errors_leave_a_successor(error, expected):
    assert resuming_helps(error) is expected


def test_a_lost_record_leads_to_no_second_successor(series, queue, tmp_path):
    series.begin(0)
    (tmp_path / "jobs.json").unlink()
    series.begin(0)  # as after a requeue of the driver itself
    assert set(queue.jobs) == {"101", "102"}
    assert JobRecord(tmp_path).read()["drivers"] == ["101", "102"]


def test_a_successor_that_could_not_be_submitted_is_submitted_at_the_end(series, queue, tmp_path):
    messages.clear()
    queue.silence = "Unable to contact slurm controller"
    series.begin(0)
    assert f"membrane-dask retry {tmp_path}" in messages[0]
    queue.silence = ""
    series.end(resume=True)
    assert JobRecord(tmp_path).read()["drivers"] == ["102"]


def test_a_successor_that_the_user_cancelled_is_not_submitted_again(series, queue):
    series.begin(0)
    queue.cancel(["102"])
    series.end(resume=True)
    assert set(queue.jobs) == {"101"}


def test_a_batch_system_without_an_answer_is_reported_with_the_jobs(series, queue):
    series.begin(0)
    messages.clear()
    queue.silence = "no answer"
    series.end(resume=False)
    assert "102" in messages[0]


def test_a_series_without_progress_ends(series, queue, tmp_path):
    for _ in range(3):
        series.begin(5)
    with pytest.raises(NoProgressError, match="finished no unit"):
        series.begin(5)


def test_a_driver_that_ended_without_a_message_is_named(series, queue, tmp_path):
    profile = queue.profile.model_dump(mode="json", exclude_none=True)
    JobRecord(tmp_path).update(profile=profile, drivers=["101"])
    assert lost_driver(tmp_path) == ""
    queue.jobs.clear()
    assert lost_driver(tmp_path).startswith("job 101 ended before the driver started; it wrote no output")
    (tmp_path / "logs" / "jobs" / "md-run-101.err").write_text("one\nbash: module: command not found\n")
    assert lost_driver(tmp_path) == "job 101 ended before the driver started: bash: module: command not found"


def test_htcondor_restarts_a_driver_by_its_exit_code(queue, tmp_path, monkeypatch):
    """It has no successors; cluster trouble gives the exit code after which HTCondor starts the job again."""
    profile = queue.profile.model_copy(update={"scheduler": "htcondor"})
    (tmp_path / "ad").write_text('ClusterArgs = 3\nClusterId = 417\nCmd = "/bin/sh"\n')
    monkeypatch.setenv("_CONDOR_JOB_AD", str(tmp_path / "ad"))
    assert own_job_id(profile) == "417"
    run = claim_run_id(tmp_path)
    JobRecord(tmp_path).update(drivers=["417"])
    queue.names |= {"417": driver_job_name(tmp_path, run), "418": worker_job_name(run, "c0ffee", 1)}
    queue.jobs |= {"417": RUNNING, "418": RUNNING}
    series = DriverSeries(tmp_path, profile, messages.append)
    series.begin(0)
    series.end(resume=True)
    assert JobRecord(tmp_path).read()["drivers"] == ["417"]
    series.end(resume=False)
    assert set(queue.jobs) == {"417"}

    class Run:
        path = Path("run")

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(api, "open_run", lambda name: Run())
    monkeypatch.setattr(api, "drive", fail)
    error = ClusterError("no worker for 60 min")
    with pytest.raises(typer.Exit) as leaving:
        commands.drive("run")
    assert leaving.value.exit_code == 75
    error = NoProgressError("3 drivers finished no unit")
    with pytest.raises(NoProgressError):
        commands.drive("run")


def test_a_driver_waits_for_the_lock_that_its_submission_holds(monkeypatch, tmp_path):
    attempts = []

    def execute(*arguments: object, **options: object) -> str:
        attempts.append(arguments)
        if len(attempts) < 4:
            raise RunBusyError("another process")
        return "summary"

    for name, value in {
        "find_run": lambda path: type("Run", (), {"path": tmp_path, "study": None})(),
        "submitted_profile": lambda root: FakeQueue().profile, "plan": lambda study: None,
        "replace": lambda plan, **changes: None, "execute": execute, "DriverSeries": lambda *arguments: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(api, name, value)
    monkeypatch.setattr(api.time, "sleep", lambda seconds: None)
    assert api.drive(tmp_path) == "summary"
    assert len(attempts) == 4


def test_the_driver_compares_the_cost_that_was_predicted_before_it_was_submitted(queue, monkeypatch, tmp_path):
    measured = replace(toy.toy_plan(cluster={"profile": "slurm", "workers": 1}), costs=Costs({"toy": 30.0}, 5.0))
    run = api.submit(measured, tmp_path / "run", trust=True)
    assert Provenance(run.path).costs() == measured.costs
    monkeypatch.setattr(api, "plan", lambda study: toy.toy_plan())
    stored_run = type("Run", (), {"path": run.path, "study": None})()
    monkeypatch.setattr(api, "find_run", lambda path: stored_run)

    def execute(_: object, plan: Plan, **options: object) -> object:  # on a cluster that is here
        return drive_run(
            run, replace(plan, cluster=toy.toy_plan(cluster={"profile": "sync"}).cluster), options["listener"]
        )

    monkeypatch.setattr(api, "execute", execute)
    events = []
    assert api.drive(run.path, events.append).reason == "finished"
    (message,) = [event.text for event in events if isinstance(event, Message) and "predicted" in event.text]
    assert re.fullmatch(
        r"the run took .* of CPU time and .*; predicted were 30 s of CPU time and .* s of wall time", message
    )
    assert message in (run.path / "logs" / "driver.log").read_text()
    # A further driver finds nothing to do and compares nothing.
    api.drive(run.path, events.append)
    assert sum("predicted" in str(event) for event in events) == 1


def test_a_driver_whose_time_is_up_leaves_a_successor_that_goes_on(queue, monkeypatch, tmp_path, values_of):
    """It stops before its first unit here: its job ends too soon for any."""
    plan = toy.toy_plan(cluster={"profile": "sync"})
    run = prepare(plan, tmp_path / "run")
    assert submit_driver(queue.profile, run.path) == "101"
    queue.jobs["101"] = RUNNING
    series = DriverSeries(run.path, queue.profile, messages.append)
    with monkeypatch.context() as patch:
        patch.setattr(driver_series, "worker_lifetime", lambda walltime: (-1.0, 0.0))
        summary = drive_run(run, plan, lambda event: None, series=series)
    assert (summary.reason, summary.done) == ("time is up", 0)
    assert JobRecord(run.path).read()["drivers"] == ["102"]
    monkeypatch.setenv("SLURM_JOB_ID", "102")
    queue.jobs["102"] = RUNNING
    successor = DriverSeries(run.path, queue.profile, messages.append)
    assert drive_run(run, plan, lambda event: None, series=successor).reason == "finished"
    assert [stop["reason"] for stop in run.provenance["stops"]] == ["time is up", "finished"]
    assert JobRecord(run.path).read()["drivers"] == []
    alone = toy.run_toy(tmp_path / "alone", cluster={"profile": "sync"})
    assert values_of(run) == values_of(alone)


@pytest.mark.parametrize("record", [None, 3, {"work": {"toy": "much"}, "longest": 1.0}, {"work": {}}, {"work": [1.0]}])
def test_a_damaged_record_of_the_predicted_cost_is_none(tmp_path, record):
    (tmp_path / "provenance.json").write_text(json.dumps({"costs": record}))
    assert Provenance(tmp_path).costs() is None


def test_a_retry_that_is_submitted_is_requested_once_its_driver_is_accepted(queue, tmp_path):
    """It opens no unit itself: the driver does, after the check of its software."""
    plan = toy.toy_plan(cluster={"profile": "slurm", "workers": 1})
    run = prepare(plan, tmp_path / "run")
    failed = "toy,row=0,column=3"
    run.journal.append({"failed": [failed], "error": "unit 3"})
    queue.refusal = "invalid account"
    with pytest.raises(SubmissionRefusedError):
        api.submit(plan, run.path, retry_failed=True, trust=True)
    assert run.journal.retry_requests() == set()
    queue.refusal = ""
    api.submit(plan, run.path, retry_failed=True, trust=True)
    assert run.journal.retry_requests() == set(run.failed_keys) == {failed}


def test_names_of_all_jobs_of_a_run_hold_its_id_and_differ(series, queue, tmp_path):
    series.begin(0)
    run = claim_run_id(tmp_path)
    assert all(re.fullmatch(rf"md-[\w-]+-{run}-[0-9a-f]{{6}}", name) for name in queue.names.values())
    assert len(set(queue.names.values())) == len(queue.names)
