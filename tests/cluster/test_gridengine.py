"""Runs on a real Grid Engine, which kills jobs without warning: identical results after failures."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

import membrane_dask as md
from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.cluster.worker_jobs import JobRecord
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.schedulers import batch_system
from membrane_dask.engine.schedulers.base import NOT_IN_QUEUE, JobState

SMALL = ("--set", "cluster.jobs=2", "--set", "cluster.workers=2", "--set", "cluster.memory=600 MB")


def queue() -> list[str]:
    """Ids of the jobs in the queue."""
    output = subprocess.run(["qstat"], capture_output=True, text=True, timeout=60).stdout
    return [line.split()[0] for line in output.splitlines()[2:]]


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "filter.yaml"
    path.write_text(
        "kind: graded\nbands: 2\nl_max: 0.25\nradius: 0.02\ngradient: [0.0, 0.01, 0.02]\nrealizations: 40\n"
        "execution: {batch: 5}\n"
    )
    return path


def test_a_run_survives_killed_workers_and_drivers(gridengine, study, command, values_of, wait_until, tmp_path):
    """A worker job is deleted (SIGKILL) and the driver is killed; the successor finishes the run."""
    out = tmp_path / "run"
    process = command("submit", study, "--cluster", "sge", "--yes", "--no-measure", "--out", out, *SMALL)
    assert process.returncode == 0, process.stderr
    wait_until(lambda: md.open_run(out).status()["done"], "first units are done")
    record = JobRecord(out).read()
    subprocess.run(["qdel", record["workers"][0]], check=True, capture_output=True, timeout=60)
    first = DriverLock.active_driver(out)
    assert first is not None
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "the run is complete")
    run = md.open_run(out)
    local = md.run(md.load_study(study, cluster={"profile": "sync"}), tmp_path / "local", listener=lambda event: None)
    assert values_of(run) == values_of(local)
    assert len(run.provenance["starts"]) == 2
    wait_until(lambda: not queue(), "no job is left behind")


def test_a_refused_job_is_reported_with_its_reason_and_script(gridengine, study, command_here, tmp_path):
    process = command_here("run", study, "--cluster", "sge", "--out", tmp_path / "run", "--set", "cluster.queue=nope")
    assert process.returncode == 4
    assert "Grid Engine refused a job" in process.stderr
    assert "nope" in process.stderr
    assert "#$ -q nope" in process.stderr
    assert not queue()


def test_job_states_are_read_from_qstat(gridengine, tmp_path):
    system = batch_system(resolve(ClusterSettings(profile="sge")))
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n#$ -S /bin/sh\n#$ -o {tmp_path}\n#$ -e {tmp_path}\nsleep 60\n")
    first = system.submit(script)
    second = system.submit(script, after=first)
    states = system.job_states([first, second, "9999"])
    assert states[second] == JobState("pending", "hqw")
    assert states["9999"] == NOT_IN_QUEUE
    system.cancel([second, first])


def test_the_profile_passes_clusters_test(gridengine, command_here, tmp_path):
    process = command_here("clusters", "test", "sge", "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    assert "all steps passed" in process.stderr
