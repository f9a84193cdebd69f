"""Worker jobs of one driver, with a queue and a clock of the test: which are waited for, replaced, or end the run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_queue import RUNNING, FakeQueue

from membrane_dask.engine.cluster.worker_jobs import CONNECT_TIMEOUT, JobRecord, WorkerJobs, worker_lifetime
from membrane_dask.engine.schedulers.base import JobState, SubmissionRefusedError, WorkerCommand
from membrane_dask.errors import ClusterError

COMPLETING = JobState("running", "COMPLETING")
REQUEUED = JobState("pending", "PENDING (BeginTime)")
ON_HOLD = JobState("pending", "REQUEUE_HOLD (job requeued in held state)")
SUSPENDED = JobState("pending", "SUSPENDED")
PREEMPTED = JobState("ended", "PREEMPTED", interrupted=True)


class Driver:
    """Worker jobs with a clock; a job in ``connected`` has a worker."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.queue, self.time, self.messages = FakeQueue(**settings), 0.0, []
        self.connected: set[str] = set()
        self.jobs = WorkerJobs(
            self.queue, root, worker_command=lambda name: WorkerCommand("tls://x:1", name),
            connected_workers=lambda: [self.queue.names[job] for job in self.connected], is_idle=lambda name: True,
            notify=self.messages.append, clock=lambda: self.time,
        )  # fmt: skip
        self.jobs.demand(100)

    def step(self, seconds: float = 1.0) -> None:
        for _ in range(round(seconds)):
            self.time += 1.0
            self.jobs.update(len(self.connected))

    def set(self, job_id: str, state: JobState | None) -> None:
        """Give a job a state; a job that does not run, or that is gone, has no worker."""
        if state is None:
            del self.queue.jobs[job_id]
        else:
            self.queue.jobs[job_id] = state
        if state != RUNNING:
            self.connected.discard(job_id)

    def work(self, seconds: float, job_id: str) -> None:
        """Start a job and let its worker work."""
        self.set(job_id, RUNNING)
        self.step(5)
        self.connected.add(job_id)
        self.step(seconds)


@pytest.fixture
def driver(tmp_path) -> Callable[..., Driver]:
    def start(**settings: object) -> Driver:
        started = Driver(tmp_path, **{"jobs": 1, **settings})
        started.step()
        assert started.queue.jobs
        return started

    return start


@pytest.mark.parametrize("states", [
    [None], [RUNNING], [COMPLETING, None], [COMPLETING, REQUEUED, RUNNING], [REQUEUED, RUNNING], [ON_HOLD], [SUSPENDED],
    [PREEMPTED, REQUEUED], [PREEMPTED, None], [JobState("ended", "NODE_FAIL", interrupted=True), None],
])  # fmt: skip
def test_a_worker_that_leaves_after_an_hour_of_work_is_replaced_or_waited_for(driver, states):
    run = driver()
    run.work(3600, "101")
    run.connected.clear()
    for state in states:
        run.set("101", state)
        run.step(20)
    run.step(CONNECT_TIMEOUT - 60)
    live = [job for job, state in run.queue.jobs.items() if state.state != "ended"]
    assert len(live) == 1  # the job itself or its replacement
    run.work(3600, live[0])
    assert len(run.queue.jobs) <= 2


def test_jobs_of_nine_minutes_follow_one_another_for_hours(driver):
    """Workers leave as planned, three minutes before the time limit; then the job ends."""
    run = driver(walltime="9 min")
    lifetime, _ = worker_lifetime(540)
    for number in range(101, 131):
        run.work(lifetime, str(number))
        run.connected.clear()
        run.step(10)
        run.set(str(number), COMPLETING)
        run.step(5)
        run.set(str(number), None)
        run.step(100)
        assert str(number + 1) in run.queue.jobs
    assert not run.queue.cancelled


def test_a_requeued_job_counts_as_newly_started(driver):
    """Its worker has the same time to connect as after the first start, also when it runs again at once."""
    run = driver()
    run.work(3600, "101")
    for _ in range(3):
        run.set("101", REQUEUED)
        run.step(200)
        run.set("101", RUNNING)
        run.step(CONNECT_TIMEOUT - 30)
        assert list(run.queue.jobs) == ["101"]
        run.connected.add("101")
        run.step(400)
    assert not run.queue.cancelled


def test_a_job_that_runs_on_without_its_worker_is_replaced(driver):
    run = driver(jobs=2)
    run.work(3600, "101")
    run.work(3600, "102")
    run.connected.discard("101")
    run.step(CONNECT_TIMEOUT - 30)
    assert not run.queue.cancelled
    run.step(60)
    assert run.queue.cancelled == ["101"]
    assert set(run.queue.jobs) == {"102", "103"}
    assert any("job 101 has had no worker for 5" in message for message in run.messages)


def test_a_job_whose_first_worker_never_connects_ends_the_run_with_the_cause(driver):
    run = driver()
    run.set("101", RUNNING)
    run.step(CONNECT_TIMEOUT - 10)
    with pytest.raises(ClusterError, match=r"job 101 has run for .* none of its workers reached this driver") as error:
        run.step(40)
    assert "interface" in str(error.value)
    assert error.value.resuming_helps


def test_time_in_the_queue_after_a_requeue_is_not_time_without_a_worker(driver):
    """A job without a worker yet, which is requeued again and again."""
    run = driver()
    for _ in range(5):
        run.set("101", RUNNING)
        run.step(CONNECT_TIMEOUT - 50)
        run.set("101", REQUEUED)
        run.step(60)
    assert list(run.queue.jobs) == ["101"]


def test_jobs_that_the_batch_system_itself_ends_are_no_faults_of_the_cluster(driver):
    """Twenty jobs are preempted before their worker connects; three that fail end the run."""
    run = driver()
    for number in range(101, 121):
        run.set(str(number), RUNNING)
        run.step(10)
        run.set(str(number), PREEMPTED)
        run.step(20)
    failed = JobState("ended", "FAILED (NonZeroExitCode)")
    for job_id in ("121", "122"):
        run.set(job_id, failed)
        run.step(120)
    run.set("123", failed)
    with pytest.raises(ClusterError, match="3 consecutive jobs ended without a worker"):
        run.step(120)


def test_no_worker_is_waited_for_until_worker_timeout(driver):
    run = driver(worker_timeout="2 h")
    run.work(3600, "101")
    run.set("101", ON_HOLD)
    run.step(7100)
    with pytest.raises(ClusterError, match="`worker_timeout`") as error:
        run.step(200)
    assert error.value.resuming_helps


def test_a_refusal_ends_the_run_only_before_the_first_job(driver, tmp_path):
    run = driver()
    run.work(100, "101")
    run.queue.refusal = "job submit limit"
    run.set("101", None)
    run.step(600)
    run.queue.refusal = ""
    run.step(100)
    assert list(run.queue.jobs) == ["102"]
    other = Driver(tmp_path)
    other.queue.refusal = "invalid partition"
    with pytest.raises(SubmissionRefusedError, match="invalid partition") as error:
        other.step()
    assert not error.value.resuming_helps


def test_the_end_cancels_all_workers_of_the_run_and_names_what_may_be_left(driver):
    run = driver()
    name = run.queue.names["101"]
    assert re.fullmatch(r"worker-[0-9a-f]{12}-[0-9a-f]{6}-1", name)
    run.queue.jobs |= {"7": RUNNING, "8": RUNNING, "9": RUNNING}
    run.queue.names |= {"7": name[:-1] + "2", "8": f"worker-{'0' * 12}-000000-1", "9": f"x-{name}"}
    run.jobs.close()
    assert run.queue.cancelled == ["101", "7"]  # 7 was accepted without an answer; 8 and 9 are others'
    run = driver()
    run.queue.silence = "no answer"
    run.jobs.close()
    assert name.rpartition("-")[0].rpartition("-")[0] in run.messages[-1]


def test_the_record_of_jobs_is_data_of_a_stranger(tmp_path):
    record, path = JobRecord(tmp_path), tmp_path / "jobs.json"
    for text in ("[1]", "not JSON", '{"workers": 3}', "\x00", "[" * 100_000, '{"drivers": [3, null, {}]}', "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert not any(record.read().values()), text[:40]
    path.write_text('{"workers": ["--user=root", "-9", "12", "12.head", "1;rm", "1 2", ""], "profile": [1]}')
    assert record.read() == {"workers": ["12", "12.head", "1;rm"]}  # the batch system's own format decides further
    path.unlink()
    path.mkdir()
    assert record.read() == {}
