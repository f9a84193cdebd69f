"""Submission of a chain whose stages are not finished: the driver of each stage submits the next one."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from fake_queue import RUNNING, FakeQueue

import membrane_dask as md
from membrane_dask import api, ordered_submission
from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster import driver_series
from membrane_dask.engine.cluster.driver_series import queued_drivers, submitted_profile
from membrane_dask.engine.cluster.ownership import JobRecord
from membrane_dask.errors import StudyError
from membrane_dask.ordered_submission import next_step, submit_reader, submit_step
from membrane_dask.physics.analytic_problems import GradedMembrane

ON_SLURM = ("cluster.profile=slurm", "cluster.workers=1")


@pytest.fixture
def queue(monkeypatch) -> FakeQueue:
    """The queue of all series in a test."""
    system = FakeQueue()
    monkeypatch.setattr(driver_series, "batch_system", lambda profile: system)
    return system


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """File of a chain of two stages, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    np.save("volume.npy", GradedMembrane(depth=32, slices=32, width=32).volume())
    stages = {
        "characterize": {"voxel_size": "3 nm", "tortuosity": False},
        "foul": {"foulant": {"wall_rate": "1e-6 m/s"}},
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({"kind": "chain", "input": "volume.npy", "stages": stages}))
    return path


def drive(run):
    """Do what the driver of a submitted run does, in this process, and submit what follows."""
    study = run.study.model_copy(update={"cluster": run.study.cluster.model_copy(update={"profile": "sync"})})
    finished = md.run(study, run.path)
    record = JobRecord(run.path)
    record.update(drivers=[])
    return submit_reader(finished)


def test_each_stage_is_submitted_when_the_one_before_is_complete(chain, queue, tmp_path, monkeypatch):
    step = next_step(chain, ON_SLURM)
    assert [path.stem for path in step.unfinished] == ["characterize", "foul"]
    out = tmp_path / "runs" / "whole"
    run = submit_step(step, chain, out, ON_SLURM)
    kinds = [run.kind]
    monkeypatch.chdir("/")  # the folder of a job is another one
    while (following := drive(run)) is not None:
        run = following
        kinds.append(run.kind)
    assert kinds == ["characterize", "foul", "chain"]
    assert run.path == out
    assert len(queue.names) == 3


def test_a_driver_that_is_killed_before_it_submits_what_follows_has_a_successor(chain, queue, monkeypatch):
    """The successor submits what follows; one that starts after that finds it in the queue."""
    run = submit_step(next_step(chain, ON_SLURM), chain, None, ON_SLURM)
    md.run(run.study.model_copy(update={"cluster": ClusterSettings(profile="sync")}), run.path)
    monkeypatch.setenv("SLURM_JOB_ID", "101")
    series = driver_series.DriverSeries(run.path, submitted_profile(run.path), print)
    series.begin(0)
    series.end(resume=False, complete=True)
    assert set(queue.jobs) == {"101", "102"}
    assert queued_drivers(run.path).keys() == {"102"}
    del queue.jobs["101"]  # the driver is killed, and its successor goes on
    queue.jobs["102"] = RUNNING
    following = submit_reader(run)
    assert following.kind == "foul"
    assert submit_reader(run) is None
    assert "was not submitted" not in str(run)
    assert JobRecord(run.path).read()["drivers"] == []


def test_a_driver_that_has_submitted_what_follows_has_no_successor(chain, queue, monkeypatch):
    run = submit_step(next_step(chain, ON_SLURM), chain, None, ON_SLURM)
    md.run(run.study.model_copy(update={"cluster": ClusterSettings(profile="sync")}), run.path)
    monkeypatch.setenv("SLURM_JOB_ID", "101")
    queue.jobs["101"] = RUNNING
    series = driver_series.DriverSeries(run.path, submitted_profile(run.path), print)
    series.begin(0)
    series.end(resume=False, complete=True)
    assert submit_reader(run).kind == "foul"
    assert queue.cancelled == ["102"]


def test_a_driver_that_is_terminated_while_it_submits_what_follows_has_a_successor(chain, queue, monkeypatch):
    """A batch system terminates before it kills: SystemExit, as the command line raises it."""
    run = submit_step(next_step(chain, ON_SLURM), chain, None, ON_SLURM)
    md.run(run.study.model_copy(update={"cluster": ClusterSettings(profile="sync")}), run.path)
    monkeypatch.setenv("SLURM_JOB_ID", "101")
    series = driver_series.DriverSeries(run.path, submitted_profile(run.path), print)
    series.begin(0)
    series.end(resume=False, complete=True)

    def terminated(reader):
        raise SystemExit(143)

    monkeypatch.setattr(ordered_submission, "_submit", terminated)
    with pytest.raises(SystemExit):
        submit_reader(run)
    assert not queue.cancelled
    assert queued_drivers(run.path).keys() == {"102"}


def test_stages_in_a_single_allocation_are_refused(chain):
    """One job holds driver and workers there; it cannot submit the next stage."""
    with pytest.raises(StudyError, match=r"single_allocation: must be false .*set it to false, or submit first"):
        next_step(chain, (*ON_SLURM, "cluster.single_allocation=true", "cluster.walltime=1 h"))


def test_nothing_follows_a_stage_that_is_not_complete(chain, queue):
    run = submit_step(next_step(chain, ON_SLURM), chain, None, ON_SLURM)
    assert submit_reader(run) is None
    assert len(queue.names) == 1


def test_a_chain_that_was_changed_since_is_not_continued(chain, queue):
    run = submit_step(next_step(chain, ON_SLURM), chain, None, ON_SLURM)
    chain.write_text(chain.read_text().replace("1e-6 m/s", "2e-6 m/s"))
    with pytest.raises(StudyError, match=r"small\.yaml: was changed .* membrane-dask submit"):
        drive(run)
    assert "the study that reads this run was not submitted when it was complete: " in str(run)
    assert "was changed or removed since" in api.list_runs(run.path.parent).statuses()[0]["problem"]


def test_a_submission_of_the_stage_alone_has_no_reader(chain, queue):
    run = submit_step(next_step(chain, ON_SLURM), chain, None, ON_SLURM)
    queue.jobs.clear()
    api.submit(next_step(chain, ON_SLURM).plan, run.path)
    assert drive(run) is None


@pytest.mark.parametrize("entry", [None, [], {"study": "a"}, {"study": 1}])
def test_a_damaged_record_has_no_reader(tmp_path, entry):
    JobRecord(tmp_path).update(reader=entry)
    assert "reader" not in JobRecord(tmp_path).read()


def test_fresh_is_refused_before_the_stages_are_finished(chain, queue):
    with pytest.raises(StudyError, match=r"--fresh moves the run .* leave it out"):
        submit_step(next_step(chain, ON_SLURM), chain, None, ON_SLURM, fresh=True)
    assert not queue.names
