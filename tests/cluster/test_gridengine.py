"""On a real Grid Engine, which ends jobs without grace: the same bytes, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

import membrane_dask as md
from membrane_dask.config import ClusterSettings
from membrane_dask.engine import batch
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.cluster.worker_jobs import JobBook
from membrane_dask.engine.lock import Driver

SMALL = ("--set", "cluster.jobs=2", "--set", "cluster.workers=2", "--set", "cluster.memory=600 MB")


def queue() -> list[str]:
    """Numbers of the jobs in the queue."""
    said = subprocess.run(["qstat"], capture_output=True, text=True, timeout=60).stdout
    return [line.split()[0] for line in said.splitlines()[2:]]


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "filter.yaml"
    path.write_text(
        "kind: graded\nbands: 2\nl_max: 0.25\nradius: 0.02\ngradient: [0.0, 0.01, 0.02]\nrealizations: 40\n"
        "execution: {batch: 5}\n"
    )
    return path


def test_killed_worker_and_killed_driver(gridengine, study, command, values_of, wait_until, tmp_path):
    """Submitted; a worker job and the driver's job are deleted (SIGKILL); the successor finishes."""
    out = tmp_path / "run"
    said = command("submit", study, "--cluster", "sge", "--yes", "--no-measure", "--out", out, *SMALL)
    assert said.returncode == 0, said.stderr
    wait_until(lambda: md.open_run(out).status()["done"], "first units are done")
    book = JobBook(out).read()
    subprocess.run(["qdel", book["workers"][0]], check=True, capture_output=True, timeout=60)
    first = Driver.alive(out)
    assert first is not None
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "the run is complete")
    run = md.open_run(out)
    local = md.run(md.load_study(study, cluster={"profile": "sync"}), tmp_path / "local", listener=lambda event: None)
    assert values_of(run) == values_of(local)
    assert len(run.provenance["starts"]) == 2
    wait_until(lambda: not queue(), "no job is left behind")


def test_trouble_is_told_in_words(gridengine, study, command, tmp_path):
    found = command("run", study, "--cluster", "sge", "--out", tmp_path / "run", "--set", "cluster.queue=nope")
    assert found.returncode == 4
    assert "Grid Engine refused a job" in found.stderr
    assert "nope" in found.stderr
    assert "#$ -q nope" in found.stderr
    assert not queue()


def test_states_as_it_spells_them(gridengine, tmp_path):
    system = batch.batch_system(resolve(ClusterSettings(profile="sge")))
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n#$ -S /bin/sh\n#$ -o {tmp_path}\n#$ -e {tmp_path}\nsleep 60\n")
    first = system.submit(script)
    second = system.submit(script, after=first)
    states = system.states([first, second, "9999"])
    assert states[second] == batch.JobState("pending", "hqw")
    assert states["9999"] == batch.GONE
    system.cancel([second, first])


def test_clusters_test(gridengine, command, tmp_path):
    said = command("clusters", "test", "sge", "--out", tmp_path)
    assert said.returncode == 0, said.stderr
    assert "all steps passed" in said.stderr
