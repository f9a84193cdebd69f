"""Whose jobs are whose: copies of a run, jobs that a run lost from its notes, and submissions at the same time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import membrane_dask as md
from membrane_dask import api
from membrane_dask.engine.cluster.driver_series import cancel_jobs
from membrane_dask.engine.cluster.ownership import JobRecord, claim_run_id, driver_job_name, is_copy, run_id
from membrane_dask.engine.lock import DriverLock, RunBusyError
from membrane_dask.errors import ClusterError, StudyError
from membrane_dask.files import write_json

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "engine"))
import toy  # noqa: E402

TOY = {
    "prologue": [f"export PYTHONPATH={HERE.parent / 'engine'}"], "memory": "500 MB", "profile": "slurm",
    "jobs": 1, "workers": 1,
}  # fmt: skip
LATER = {**TOY, "directives": ["--begin=now+1hour"]}


@pytest.fixture
def study(tmp_path) -> Path:
    path = tmp_path / "filter.yaml"
    path.write_text(
        "kind: graded\nbands: 2\nl_max: 0.25\nradius: 0.02\ngradient: [0.0, 0.01]\nrealizations: 10\n"
        "execution: {batch: 5}\n"
    )
    return path


def jobs() -> dict[str, str]:
    """Names of the jobs in the queue, by id, without those that are ending."""
    command = ["squeue", "-h", "-t", "PD,R", "-o", "%i %j"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return dict(line.split() for line in process.stdout.splitlines())


def sleeping_job(name: str, folder: Path) -> str:
    """Submit a job of that name which sleeps; returns its id."""
    script = folder / "sleep.sh"
    script.write_text("#!/bin/sh\n#SBATCH --mem=50M --output=/dev/null\nsleep 600\n")
    command = ["sbatch", "--parsable", f"--job-name={name}", str(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


# ---------------------------------------------------------------------------------------------
# Ids of run directories


def test_a_copy_gets_an_id_of_its_own_and_the_original_keeps_its_id(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    assert run_id(run) is None
    own = claim_run_id(run)
    assert claim_run_id(run) == run_id(run) == own
    write_json(run / "jobs.json", {"workers": ["12"], "drivers": ["13"]})
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", run, copy], check=True)
    assert is_copy(copy)
    assert not is_copy(run)
    other = claim_run_id(copy)
    assert other != own
    assert JobRecord(copy).read() == {"workers": [], "drivers": []}
    assert JobRecord(run).read()["workers"] == ["12"]
    assert run_id(run) == own
    # The copy takes the place of the original, which is moved.
    run.rename(tmp_path / "moved")
    subprocess.run(["cp", "-a", tmp_path / "moved", run], check=True)
    assert run_id(tmp_path / "moved") == own
    assert run_id(run) is None
    assert claim_run_id(run) not in (own, other)


def test_a_run_keeps_its_id_when_it_is_moved_or_restored_from_a_copy(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    own = claim_run_id(run)
    moved = tmp_path / "other" / "moved"
    moved.parent.mkdir()
    run.rename(moved)
    assert claim_run_id(moved) == own
    moved.rename(run)
    assert claim_run_id(run) == own
    # Files of a copy that was used as a run are written back over the original, as rsync does.
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    other = claim_run_id(copy)
    shutil.copytree(copy, run, dirs_exist_ok=True)
    assert claim_run_id(run) == own
    assert claim_run_id(copy) == other


def test_the_same_directory_under_another_device_number_keeps_its_id(tmp_path):
    """Hosts number the devices of network file systems differently."""
    run = tmp_path / "run"
    run.mkdir()
    own = claim_run_id(run)
    entry = json.loads((run / "run-ids.json").read_text())[0]
    write_json(run / "run-ids.json", [{**entry, "device": entry["device"] + 7}])
    assert run_id(run) == own
    elsewhere = tmp_path / "elsewhere"
    run.rename(elsewhere)  # the noted path leads nowhere, so this could be a copy on another file system
    assert run_id(elsewhere) is None


def test_the_copy_of_a_run_at_work_has_no_driver(tmp_path):
    run, copy = tmp_path / "run", tmp_path / "copy"
    run.mkdir()
    with DriverLock(run):
        subprocess.run(["cp", "-a", run, copy], check=True)
        assert DriverLock.active_driver(run) is not None
        assert DriverLock.active_driver(copy) is None
        with DriverLock(copy):
            assert DriverLock.active_driver(copy) is not None


@pytest.mark.parametrize("identifier", ["", "a", "-" * 12, "0123456789AB", "0123456789ab-x", 7, None])
def test_an_id_of_another_form_is_no_id(tmp_path, identifier):
    """An empty or short text would be part of the names of many jobs."""
    claim_run_id(tmp_path)
    entry = json.loads((tmp_path / "run-ids.json").read_text())[0]
    write_json(tmp_path / "run-ids.json", [{**entry, "id": identifier}, 3, {}, entry | {"inode": "x"}])
    assert run_id(tmp_path) is None
    assert len(claim_run_id(tmp_path)) == 12


def test_names_of_drivers_differ_and_hold_no_special_characters(tmp_path):
    run = tmp_path / "a run, (100 %) of äöü and of a long name that no batch system accepts"
    names = {driver_job_name(run, "0123456789ab") for _ in range(10)}
    assert len(names) == 10
    assert all(name.isascii() and len(name) < 60 and " " not in name and "%" not in name for name in names)


def test_a_record_that_names_no_batch_system_is_refused(tmp_path):
    for profile in ({"scheduler": "local"}, {"scheduler": "slurm", "memory": "many"}, {"scheduler": ["x"]}):
        write_json(tmp_path / "jobs.json", {"profile": profile})
        claim_run_id(tmp_path)
        with pytest.raises(StudyError, match=r"jobs\.json"):
            cancel_jobs(tmp_path)


# ---------------------------------------------------------------------------------------------
# On a real Slurm


def test_a_copy_cancels_nothing_and_cancel_finds_jobs_that_the_run_lost(slurm, wait_until, tmp_path):
    out, copy = tmp_path / "run", tmp_path / "copy"
    api.submit(toy.toy_plan(rows=1, columns=4, cluster=LATER), out)
    own = run_id(out)
    (driver,) = jobs()
    assert f"-{own}-" in jobs()[driver]
    subprocess.run(["cp", "-a", out, copy], check=True)
    assert md.open_run(out).status()["state"] == "queued"
    assert md.open_run(copy).status()["state"] == "empty"
    assert not api.cancel(copy)
    # The copy is run on the cluster: it starts and cancels workers of its own.
    toy.run_toy(copy, rows=1, columns=4, cluster=TOY)
    assert md.open_run(copy).status()["state"] == "complete"
    assert set(jobs()) == {driver}
    # Jobs with the id, also unrecorded ones, are cancelled, and no others, also recorded ones.
    worker = sleeping_job(f"worker-{own}-c0ffee-1", tmp_path)
    foreign = [sleeping_job(f"worker-{'0' * 12}-c0ffee-1", tmp_path), sleeping_job(f"x-{own}-c0ffee-1", tmp_path)]
    JobRecord(out).update(drivers=foreign[:1], workers=[*foreign, "--user=root"])
    assert {worker, driver, *foreign} == set(jobs())
    assert api.cancel(out)
    assert set(jobs()) == set(foreign)
    wait_until(lambda: not api.cancel(out), "jobs that were cancelled, and are completing, leave the queue")


def test_ids_of_a_received_run_reach_no_command(slurm, tmp_path):
    run = toy.run_toy(tmp_path / "run", rows=1, columns=4, limit=1, cluster={"profile": "sync"})
    other = sleeping_job("mine", tmp_path)
    for content in ({"workers": ["--user=root"]}, {"workers": [other]}, {"drivers": ["-u"], "workers": ["*"]}):
        profile = {"scheduler": "slurm"}
        write_json(run.path / "jobs.json", {**content, "workers_in": "Slurm", "profile": profile})
        assert not api.cancel(run.path)
    toy.run_toy(run.path, rows=1, columns=4, cluster=TOY)
    assert run.status()["state"] == "complete"
    assert list(jobs()) == [other]


def test_of_four_submissions_at_once_one_succeeds(slurm, wait_until, tmp_path):
    """Also of a new run, which each of them lays out."""
    out, start = tmp_path / "run", tmp_path / "start"
    fields = {"rows": 1, "columns": 4, "cluster": LATER}
    line = [sys.executable, str(HERE / "submit_toy.py"), str(out), str(start), json.dumps(fields)]
    processes = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    wait_until(lambda: len(list(tmp_path.glob("start.*.ready"))) == 4, "four processes are ready")
    start.touch()
    messages = [process.communicate(timeout=240)[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2, 2, 2], messages
    assert list(jobs()) == JobRecord(out).read()["drivers"]
    assert len(jobs()) == 1
    with pytest.raises(RunBusyError, match=f"membrane-dask cancel {out}"):
        api.submit(toy.toy_plan(**fields), out, fresh=True)
    assert len(jobs()) == 1
    JobRecord(out).update(drivers=[])  # the run lost it: the name is found in the queue
    with pytest.raises(RunBusyError, match=f"job: {next(iter(jobs()))}"):
        api.submit(toy.toy_plan(**fields), out)
    assert api.cancel(out)
    assert not jobs()


def test_a_driver_that_never_started_is_named_with_its_job(slurm, study, command_here, wait_until, tmp_path):
    out = tmp_path / "run"
    broken = ["cluster.profile=slurm", "cluster.prologue=echo the module is missing >&2; exit 3"]
    api.submit(md.load_study(study, overrides=broken), out)
    (job,) = JobRecord(out).read()["drivers"]
    wait_until(lambda: not jobs(), "the driver's job has ended")
    status = command_here("status", out)
    for message in (f"job {job}", "before the driver started", "the module is missing"):
        assert message in status.stdout + status.stderr
    later = ("--set", "cluster.directives=--begin=now+1hour", "--no-measure")
    again = command_here("submit", study, "--cluster", "slurm", "--yes", "--out", out, *later)
    assert again.returncode == 0
    assert f"job {job} ended before the driver started" in again.stderr
    assert "submitted: job" in again.stderr
    assert not md.open_run(out).lost_driver()
    assert api.cancel(out)
    assert not md.open_run(out).lost_driver()


def test_jobs_of_an_earlier_version_are_named_and_not_cancelled(slurm, tmp_path):
    """Their names carry no id, so that they could be those of another run of the same name."""
    run = toy.run_toy(tmp_path / "run", rows=1, columns=4, limit=1, cluster={"profile": "sync"})
    job = sleeping_job("md-run", tmp_path)
    write_json(run.path / "jobs.json", {"profile": {"scheduler": "slurm"}, "drivers": [job]})
    with pytest.raises(ClusterError, match=rf"earlier version .*: {job}"):
        api.cancel(run.path)
    assert list(jobs()) == [job]
