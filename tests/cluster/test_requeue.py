"""Jobs that are queued again, held, preempted or restarted, and series of drivers through trouble of the cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import membrane_dask as md
from membrane_dask.engine.cluster.ownership import JobRecord

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "engine"))
import toy  # noqa: E402

FIELDS = {"seconds": 0.3, "execution": {"batch": 2}}
TOY = {"prologue": [f"export PYTHONPATH={HERE.parent / 'engine'}"], "memory": "500 MB", "jobs": 2, "workers": 1}


@pytest.fixture
def reference(tmp_path, values_of) -> Callable[[int], dict[str, bytes]]:
    """Values of the toy study of so many rows, computed here."""

    def compute(rows: int) -> dict[str, bytes]:
        return values_of(toy.run_toy(tmp_path / "reference", cluster={"profile": "sync"}, rows=rows))

    return compute


@pytest.fixture
def start_driver(tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a driver of the toy study in a process of its own, in the directory ``run``."""
    drivers = []

    def start(rows: int, **cluster: object) -> subprocess.Popen[bytes]:
        fields = {**FIELDS, "rows": rows, "cluster": {**TOY, **cluster}}
        arguments = [sys.executable, str(HERE / "drive_toy.py"), str(tmp_path / "run"), json.dumps(fields)]
        with (tmp_path / "driver.log").open("wb") as log:
            drivers.append(subprocess.Popen(arguments, stdout=log, stderr=log))
        return drivers[-1]

    yield start
    for driver in drivers:
        if driver.poll() is None:
            driver.terminate()
            driver.wait(timeout=60)


def execute(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def state(job_id: str) -> str:
    """State of a job of Slurm."""
    return execute("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T")


def done(run: Path) -> int:
    return md.open_run(run).status()["done"]


def test_requeued_and_preempted_jobs_of_slurm_finish_the_run(
    slurm, start_driver, reference, values_of, wait_until, tmp_path
):
    """One job is requeued and later preempted, the other one requeued and held; they come back."""
    run = tmp_path / "run"
    driver = start_driver(6, profile="slurm", directives=["--requeue", "-J of-the-site"])
    wait_until(lambda: run.exists() and done(run), "first units are done")
    wait_until(lambda: len(JobRecord(run).read()["workers"]) == 2, "both jobs are submitted")
    first, second = JobRecord(run).read()["workers"]
    assert "of-the-site" not in execute("squeue", "-h", "-o", "%j")  # names carry the id of the run
    execute("scontrol", "requeue", first)
    execute("scontrol", "requeuehold", second)
    for job_id in (first, second):
        wait_until(lambda job_id=job_id: state(job_id) in ("PENDING", "REQUEUE_HOLD"), f"{job_id} is queued again")
    before = done(run)
    execute("scontrol", "update", f"JobId={first}", "StartTime=now")  # it would be eligible after two minutes
    wait_until(lambda: done(run) > before, "the requeued job works")
    script = tmp_path / "urgent.sh"
    script.write_text("#!/bin/sh\n#SBATCH -p urgent -N 2 -n 2 -c 4 -o /dev/null\nsleep 100\n")
    urgent = execute("sbatch", "--parsable", str(script))
    wait_until(lambda: state(first) == "PENDING", "the job is preempted")
    execute("scancel", urgent)
    execute("scontrol", "release", second)
    for job_id in (first, second):
        execute("scontrol", "update", f"JobId={job_id}", "StartTime=now")
    assert driver.wait(timeout=240) == 0, (tmp_path / "driver.log").read_text()
    assert values_of(md.open_run(run)) == reference(6)
    # A third one if the queue showed the preempted job before it was queued again.
    assert len(list((run / "logs" / "jobs").glob("worker*.sh"))) in (2, 3)
    wait_until(lambda: not execute("squeue", "-h", "-t", "PD,R"), "no job is left behind")


@pytest.mark.slow  # tests/cluster/test_slurm.py: test_a_job_that_died_is_replaced
def test_a_job_that_slurm_preempts_for_good_is_replaced(
    slurm, start_driver, reference, values_of, wait_until, tmp_path
):
    """Without `--requeue` it ends as PREEMPTED."""
    run = tmp_path / "run"
    driver = start_driver(2, profile="slurm")
    wait_until(lambda: run.exists() and done(run), "first units are done")
    workers = JobRecord(run).read()["workers"]
    script = tmp_path / "urgent.sh"
    script.write_text("#!/bin/sh\n#SBATCH -p urgent -N 2 -n 2 -c 4 -o /dev/null\nsleep 2\n")
    execute("sbatch", "--parsable", str(script))
    wait_until(lambda: {state(job_id) for job_id in workers} == {"PREEMPTED"}, "both jobs are preempted")
    assert driver.wait(timeout=240) == 0, (tmp_path / "driver.log").read_text()
    assert values_of(md.open_run(run)) == reference(2)


@pytest.mark.slow  # tests/cluster/test_job_names.py reads its states, and jobs of Slurm are requeued above
def test_a_job_that_grid_engine_restarts_finishes_the_run(
    gridengine, start_driver, reference, values_of, wait_until, tmp_path
):
    """Its state is Rq, then Rr; with one job there is no other worker."""
    run = tmp_path / "run"
    driver = start_driver(1, profile="sge", directives=["-r y"], jobs=1)
    wait_until(lambda: run.exists() and done(run), "first units are done")
    (job_id,) = JobRecord(run).read()["workers"]
    execute("qmod", "-rj", job_id)
    wait_until(lambda: "<state>Rr</state>" in execute("qstat", "-xml"), "the job is restarted")
    assert driver.wait(timeout=240) == 0, (tmp_path / "driver.log").read_text()
    assert values_of(md.open_run(run)) == reference(1)
    assert len(list((run / "logs" / "jobs").glob("worker*.sh"))) == 1


@pytest.mark.slow  # tests/cluster/test_driver_series.py says which errors leave a successor, without waiting for jobs
def test_a_driver_that_gets_no_worker_leaves_its_successor(slurm, command, values_of, wait_until, tmp_path):
    """Jobs of workers fail for a while; the driver after the trouble finishes the run."""
    study, out, trouble = tmp_path / "filter.yaml", tmp_path / "run", tmp_path / "trouble"
    study.write_text(
        "kind: graded\nbands: 2\nl_max: 0.25\nradius: 0.02\ngradient: [0.0, 0.01]\nrealizations: 10\n"
        "execution: {batch: 5}\n"
    )
    trouble.touch()
    settings = [
        "cluster.profile=slurm", "cluster.jobs=1", "cluster.workers=1",
        f"cluster.prologue=case $SLURM_JOB_NAME in worker*) [ ! -e {trouble} ] || exit 1;; esac",
    ]  # fmt: skip
    loaded = md.load_study(study, overrides=settings)
    md.submit(loaded, out)
    wait_until(lambda: md.open_run(out).provenance["stops"], "the first driver has stopped")
    assert "ended without a worker" in md.open_run(out).provenance["stops"][0]["reason"]
    trouble.unlink()
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "a later driver finished the run")
    run = md.open_run(out)
    assert run.provenance["stops"][-1]["reason"] == "finished"
    local = md.run(md.load_study(study, cluster={"profile": "sync"}), tmp_path / "local", listener=lambda event: None)
    assert values_of(run) == values_of(local)
    wait_until(lambda: not execute("squeue", "-h", "-t", "PD,R"), "the last successor is cancelled")
