"""Worker jobs of one driver whose batch system gives no answer, or accepts no more jobs, with a clock of the test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from membrane_dask.engine.cluster import worker_jobs
from membrane_dask.engine.schedulers.base import JobLimitError, SchedulerUnavailableError
from membrane_dask.errors import ClusterError

sys.path.insert(0, str(Path(__file__).parent))
from test_worker_jobs import RUNNING, Driver


def test_a_submission_without_an_answer_is_repeated_with_the_same_script(tmp_path):
    """By its name the batch system finds the job if it accepted it."""
    driver = Driver(tmp_path, jobs=1)
    accept, scripts = driver.queue.submit, []

    def submit(script: Path, after: str | None = None) -> str:
        scripts.append(script.name)
        if len(scripts) < 4:
            raise SchedulerUnavailableError("sbatch: Socket timed out")
        return accept(script)

    driver.queue.submit = submit
    driver.step(60)
    assert len(set(scripts)) == 1
    assert len(scripts) == 4
    assert any("Socket timed out" in message for message in driver.messages)


def test_a_limit_on_jobs_is_waited_for_until_the_worker_timeout(tmp_path):
    driver = Driver(tmp_path, jobs=1, worker_timeout="10 min")
    driver.queue.submit = lambda script, after=None: (_ for _ in ()).throw(JobLimitError("sbatch: QOSMaxSubmit"))
    with pytest.raises(ClusterError, match=r"no worker for 10 min.*`worker_timeout`"):
        driver.step(700)
    assert driver.time > 590
    assert any("accepts no more jobs: sbatch: QOSMaxSubmit" in message for message in driver.messages)


def test_jobs_that_may_appear_later_are_named_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_jobs, "LATE_SEARCH_DELAY", 0.0)
    driver = Driver(tmp_path, jobs=1)
    driver.queue._unanswered["worker-x"] = None
    names = {"900": f"worker-{driver.jobs._run_id}-abcdef-1"}
    searches = iter([{}, names])
    driver.queue.list_names = lambda: next(searches, {})
    driver.queue.jobs["900"] = RUNNING
    driver.jobs.close()
    assert driver.queue.cancelled == ["900"]  # listed at the second search
    assert any(f"membrane-dask cancel {tmp_path}" in message for message in driver.messages)


def test_ports_that_are_taken_on_a_node_name_their_key(tmp_path):
    driver = Driver(tmp_path, jobs=1, worker_ports="9000-9003")
    driver.step(2)

    def end_jobs(count: int) -> None:
        for _ in range(count):
            for job_id in list(driver.queue.jobs):  # each ends as soon as it is listed
                output = tmp_path / "logs" / "jobs" / f"worker-{job_id}.err"
                output.write_text("ValueError: Could not start Nanny on host 10.0.0.1 with port [9000, 9002]\n")
                driver.set(job_id, None)
            driver.step(1)

    with pytest.raises(ClusterError, match="no free port on the node; the key `worker_ports` sets a larger range"):
        end_jobs(300)
