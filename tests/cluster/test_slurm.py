"""Runs on a real Slurm: results identical to those of a local run, also after failures of every process."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import membrane_dask as md
from membrane_dask.engine.cluster.worker_jobs import JobRecord
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.schedulers import batch_system
from membrane_dask.engine.schedulers.base import NOT_IN_QUEUE

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "engine"))
import toy  # noqa: E402

SMALL = ("--set", "cluster.jobs=2", "--set", "cluster.workers=2", "--set", "cluster.memory=600 MB")
#: Workers of the toy study import it.
TOY = {"prologue": [f"export PYTHONPATH={HERE.parent / 'engine'}"], "memory": "500 MB", "profile": "slurm"}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study that takes a few seconds."""
    path = tmp_path_factory.mktemp("study") / "filter.yaml"
    path.write_text(
        "kind: graded\nbands: 2\nl_max: 0.25\nradius: 0.02\ngradient: [0.0, 0.01, 0.02]\nrealizations: 40\n"
        "execution: {batch: 5}\n"
    )
    return path


@pytest.fixture(scope="module")
def local_run(study, tmp_path_factory):
    """The study in one process."""
    run = md.run(md.load_study(study, cluster={"profile": "sync"}), tmp_path_factory.mktemp("reference") / "run")
    assert run.status()["state"] == "complete"
    return run


@pytest.fixture(scope="module")
def reference(local_run, values_of) -> dict[str, bytes]:
    return values_of(local_run)


@pytest.fixture(scope="module")
def toy_reference(tmp_path_factory, values_of) -> dict[str, bytes]:
    run = toy.run_toy(tmp_path_factory.mktemp("reference") / "toy", cluster={"profile": "sync"}, rows=4)
    return values_of(run)


def jobs(state: str = "PD,R,CG") -> list[tuple[str, str]]:
    """Ids and names of the jobs in the queue."""
    process = subprocess.run(["squeue", "-h", "-t", state, "-o", "%i %j"], capture_output=True, text=True, timeout=60)
    return [tuple(line.split()) for line in process.stdout.splitlines()]  # type: ignore[misc]


def workers_of(run: Path) -> list[psutil.Process]:
    """Worker processes of a run's jobs (not their nannies), oldest first."""
    workers = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        command_line = " ".join(process.info["cmdline"] or ())
        with contextlib.suppress(psutil.Error):  # the process has just ended
            parent = process.parent() if "multiprocessing.spawn" in command_line else None
            if parent is not None and f"{run}/" in " ".join(parent.cmdline()):
                workers.append(process)
    return sorted(workers, key=lambda process: process.info["create_time"])


def start_driver(run: Path, **fields: object) -> subprocess.Popen[bytes]:
    """A driver of the toy study in a process of its own."""
    arguments = [sys.executable, str(HERE / "drive_toy.py"), str(run), json.dumps(fields)]
    log = run.with_suffix(".driver").open("ab")
    return subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True)


# ---------------------------------------------------------------------------------------------
# Worker jobs, driver jobs, and one allocation


def test_workers_run_as_jobs(slurm, study, reference, command, values_of, tmp_path):
    out = tmp_path / "run"
    process = command("run", study, "--cluster", "slurm", "--out", out, *SMALL)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == str(out)
    assert values_of(md.open_run(out)) == reference
    assert not [name for _, name in jobs() if name.startswith("worker")]  # cancelled
    assert not list(out.glob(".tls-*"))  # the certificates are removed
    assert re.search(r"no worker yet; job \d+ submitted", process.stderr)


def test_a_run_continues_after_its_shell_is_closed(slurm, study, local_run, command, files_of, wait_until, tmp_path):
    out = tmp_path / "run"
    line = f"{command.prefix} submit {study} --cluster slurm --yes --out {out} {' '.join(map(repr, SMALL))}"
    # The shell that runs the tests may ignore SIGHUP, which is inherited.
    shell = subprocess.Popen(
        ["bash", "-c", f"{line}; sleep 600"], start_new_session=True, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    assert shell.stdout is not None
    assert shell.stdout.readline().decode().strip() == str(out)  # submit returns at once
    os.killpg(shell.pid, signal.SIGHUP)
    shell.wait()
    assert md.open_run(out).status()["state"] in ("queued", "running")
    followed = command("logs", out, "-f")  # ends with the run
    assert "collecting: tables" in followed.stdout
    wait_until(lambda: not jobs(), "the queue is empty and the successor cancelled")
    run = md.open_run(out)
    assert run.status()["state"] == "complete"
    assert files_of(run) == files_of(local_run)
    stops = run.provenance["stops"]
    assert [stop["reason"] for stop in stops] == ["finished"]


def test_driver_and_workers_in_one_allocation(slurm, study, reference, command, values_of, wait_until, tmp_path):
    """One job of two nodes, which submits no job itself."""
    out = tmp_path / "run"
    single = ("--set", "cluster.single_allocation=true")
    process = command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *SMALL, *single)
    assert process.returncode == 0, process.stderr
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "the run is complete")
    run = md.open_run(out)
    assert values_of(run) == reference
    assert len({record["worker"] for record in run.journal.records() if "worker" in record}) > 1
    names = {name for _, name in jobs("all")}
    assert not any(name.startswith("worker") and (out / "logs" / "jobs" / f"{name}.sh").exists() for name in names)
    outside = command("run", study, "--cluster", "slurm", "--out", tmp_path / "other", *single)
    assert outside.returncode == 4
    assert "membrane-dask submit" in outside.stderr


def test_submit_shows_plan_and_scripts_and_needs_a_confirmation(slurm, study, command_here, tmp_path):
    out = tmp_path / "run"
    process = command_here("submit", study, "--cluster", "slurm", "--out", out, "--dry-run", *SMALL)
    assert process.returncode == 0
    assert "up to 2 jobs of 2 workers for 60 min" in process.stderr
    assert "of CPU time" in process.stderr  # the measured cost
    assert process.stdout.count("#SBATCH --cpus-per-task=") == 2
    unconfirmed = command_here("submit", study, "--cluster", "slurm", "--out", out, "--no-measure")
    assert unconfirmed.returncode == 2
    assert "--yes" in unconfirmed.stderr
    no_queue = command_here("submit", study, "--out", out, "--yes")
    assert no_queue.returncode == 2
    assert "cluster.profile" in no_queue.stderr
    assert not out.exists()
    assert not jobs()


def test_a_submitted_run_is_cancelled_and_retried(
    slurm, study, reference, command_here, values_of, wait_until, tmp_path
):
    out = tmp_path / "run"
    options = ("--set", "cluster.jobs=1", "--set", "cluster.workers=1", "--no-measure")
    assert command_here("submit", study, "--cluster", "slurm", "--yes", "--out", out, *options).returncode == 0
    second = command_here("submit", study, "--cluster", "slurm", "--yes", "--out", out, *options)
    assert second.returncode == 2
    assert "membrane-dask cancel" in second.stderr
    wait_until(lambda: md.open_run(out).status()["done"], "first units are done")
    assert command_here("cancel", out).returncode == 0
    wait_until(lambda: not jobs(), "driver, successor and workers are gone")
    status = md.open_run(out).status()
    assert status["state"] == "partial"
    assert 0 < status["done"] < 120
    assert command_here("retry", out).returncode == 0  # submits it again
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "the run is complete")
    assert values_of(md.open_run(out)) == reference
    assert len(md.open_run(out).provenance["stops"]) == 2


def test_a_pending_driver_is_cancelled(slurm, study, command_here, tmp_path):
    out = tmp_path / "run"
    later = ("--set", "cluster.directives=--begin=now+1hour", "--no-measure")
    assert command_here("submit", study, "--cluster", "slurm", "--yes", "--out", out, *later).returncode == 0
    process = command_here("status", out, "--json")
    assert json.loads(process.stdout)[0]["state"] == "queued"
    assert "PENDING (BeginTime)" in str(md.open_run(out))
    assert command_here("cancel", out).returncode == 0
    assert not jobs()
    assert md.open_run(out).status()["state"] == "empty"


# ---------------------------------------------------------------------------------------------
# Errors and missing workers


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        (["cluster.queue=nope"], ["Slurm refused a job", "invalid partition specified: nope", "#SBATCH -p nope"]),
        # On demand: another reason of Slurm, which is passed on as the one before is.
        pytest.param(
            ["cluster.memory=9 GB", "cluster.workers=2"], ["Slurm refused a job", "--mem=18300M"],
            marks=pytest.mark.slow,
        ),
        (
            ["cluster.python=/no/such/python"],
            ["consecutive jobs ended without a worker", "FAILED", "/no/such/python: No such file"],
        ),
        (
            ["cluster.directives=--begin=now+1hour", "cluster.worker_timeout=3 s"],
            ["no worker for", "PENDING (BeginTime)", "`worker_timeout`"],
        ),
    ],
)  # fmt: skip
def test_errors_report_reason_and_script(slurm, study, command_here, tmp_path, settings, messages):
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    process = command_here("run", study, "--cluster", "slurm", "--out", tmp_path / "run", *arguments)
    assert process.returncode == 4
    for message in messages:
        assert message in process.stderr
    assert not jobs()
    if "refused" in messages[0]:
        submitted = command_here("submit", study, "--cluster", "slurm", "--yes", "--out", tmp_path / "sub", *arguments)
        assert submitted.returncode == 4


def test_clusters_test_names_the_failed_step(slurm, command_here, tmp_path):
    passed = command_here("clusters", "test", "slurm", "--out", tmp_path)
    assert passed.returncode == 0, passed.stderr
    assert "all steps passed" in passed.stderr
    assert not list(tmp_path.iterdir())
    no_commands = command_here("clusters", "test", "pbs", "--out", tmp_path)
    assert no_commands.returncode == 4
    assert "could not find the batch system's commands" in no_commands.stderr
    no_worker = command_here("clusters", "test", "slurm", "--out", tmp_path, "--set", "python=/no/python")
    assert no_worker.returncode == 4
    assert "could not get a worker" in no_worker.stderr
    assert "/no/python: No such file" in no_worker.stderr  # from the output of the job


# ---------------------------------------------------------------------------------------------
# Failures


def test_a_job_that_died_is_replaced(slurm, toy_reference, values_of, wait_until, tmp_path):
    """Also a job of two workers, which dask-jobqueue's own scaling never replaces."""
    out = tmp_path / "run"
    cluster = {**TOY, "jobs": 2, "workers": 2}
    driver = start_driver(out, rows=4, seconds=0.5, cluster=cluster, execution={"batch": 2})
    wait_until(lambda: len(workers_of(out)) == 4, "four workers")
    first = JobRecord(out).read()["workers"]
    assert len(first) == 2
    subprocess.run(["scancel", first[0]], check=True, timeout=60)
    wait_until(lambda: len(set(JobRecord(out).read()["workers"]) - set(first)) == 1, "a new job")
    assert driver.wait(timeout=240) == 0
    run = md.open_run(out)
    assert run.status()["state"] == "complete"
    assert values_of(run) == toy_reference
    assert len(list((out / "logs" / "jobs").glob("*.sh"))) == 3  # no further job


def test_the_number_of_jobs_follows_the_number_of_batches(slurm, tmp_path, values_of):
    """Six batches need two jobs of three workers, although eight jobs are allowed."""
    cluster = {**TOY, "jobs": 8, "workers": 3}
    run = toy.run_toy(tmp_path / "run", rows=1, columns=12, seconds=0.1, cluster=cluster, execution={"batch": 2})
    assert run.status()["state"] == "complete"
    assert len(list((run.path / "logs" / "jobs").glob("*.sh"))) == 2


def test_a_unit_that_kills_its_worker_fails_alone(slurm, toy_reference, tmp_path):
    run = toy.run_toy(
        tmp_path / "run", rows=1, killing=[3], eating=[11],
        cluster={**TOY, "jobs": 1, "workers": 2}, execution={"batch": 5, "retries": 0},
    )  # fmt: skip
    status = run.status()
    assert (status["state"], status["done"], status["failed"]) == ("failed", 18, 2)
    assert sorted(failure["params"]["number"] for failure in run.failures) == [3, 11]
    assert all(failure["killed_its_worker"] for failure in run.failures)


# Each of them alone: test_a_job_that_died_is_replaced, test_the_successor_of_a_killed_driver_resumes,
# test_a_unit_that_kills_its_worker_fails_alone, and tests/cluster/test_slurm_answers.py for slurmctld.
@pytest.mark.slow
@pytest.mark.parametrize("times", [2, 4])
def test_a_run_survives_ten_or_twenty_kills(slurm, toy_reference, values_of, wait_until, tmp_path, times):
    """Workers, nannies, jobs, the driver with its Dask scheduler, and slurmctld are killed at random times."""
    rng = random.Random(20)
    cluster = {**TOY, "jobs": 2, "workers": 2}
    victims = ["worker", "nanny", "job", "driver", "slurmctld"] * times
    rng.shuffle(victims)
    kills: list[str] = []
    done: list[Path] = []
    driver: subprocess.Popen[bytes] | None = None
    stopped = 0
    while victims or driver is not None:
        out = tmp_path / f"run-{len(done)}"
        if driver is None:
            driver = start_driver(out, rows=4, seconds=0.2, cluster=cluster, execution={"batch": 2})
        deadline = time.monotonic() + rng.uniform(0.5, 5.0)
        while time.monotonic() < deadline and driver.poll() is None:
            time.sleep(0.05)
        code = driver.poll()
        if code is not None:
            if code not in (0, -signal.SIGKILL):
                # Three workers killed during their start look like a cluster without workers: the run stops.
                log = out.with_suffix(".driver").read_text()
                assert "consecutive jobs ended without a worker" in log, log
                stopped += 1
            driver = None
            if code == 0:
                done.append(out)
            continue
        if not victims:
            continue
        victim = victims[-1]
        processes = workers_of(out)
        if victim in ("worker", "nanny", "job") and not processes:
            continue
        victims.pop()
        kills.append(victim)
        if victim == "worker":
            rng.choice(processes).kill()
        elif victim == "nanny":
            parent = rng.choice(processes).parent()
            if parent is not None:
                parent.kill()
        elif victim == "job":
            subprocess.run(["scancel", rng.choice(JobRecord(out).read()["workers"])], timeout=60)
        elif victim == "driver":
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
        else:
            os.kill(slurm.pid("slurmctld"), signal.SIGKILL)
            time.sleep(rng.uniform(0.0, 3.0))
            slurm.up()
    assert len(kills) == 5 * times
    assert stopped <= 2, kills
    for out in done:
        run = md.open_run(out)
        assert run.status()["state"] == "complete", kills
        assert values_of(run) == toy_reference, kills
    # A job that was submitted when its driver was killed ends a minute after its start. (The queue itself may list
    # ended jobs for longer: a slurmctld that was killed restores an earlier state.)
    wait_until(lambda: not any(workers_of(out) for out in done), "no worker is left behind")


def test_the_successor_of_a_killed_driver_resumes(slurm, study, reference, command, values_of, wait_until, tmp_path):
    out = tmp_path / "run"
    assert command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *SMALL, "--no-measure").returncode == 0
    wait_until(lambda: md.open_run(out).status()["done"], "first units are done")
    first = DriverLock.active_driver(out)
    assert first is not None
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "its successor finished the run")
    run = md.open_run(out)
    assert values_of(run) == reference
    assert len(run.provenance["starts"]) == 2
    keys = [key for record in run.journal.records() for key in record.get("done", ())]
    assert len(keys) == len(set(keys)) == 120  # no unit was computed twice
    wait_until(lambda: not jobs(), "no job is left behind")


@pytest.mark.slow  # tests/cluster/test_driver_series.py ends such a series without waiting for jobs
def test_a_series_of_drivers_without_progress_ends(slurm, study, command, wait_until, tmp_path):
    """Three drivers are killed before a unit is finished; the fourth gives up."""
    out = tmp_path / "run"
    blocked = ("--set", "cluster.prologue=case $SLURM_JOB_NAME in worker*) sleep 100;; esac", "--no-measure")
    assert command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *SMALL, *blocked).returncode == 0
    job_ids: set[str] = set()
    for count in (1, 2, 3):
        wait_until(lambda count=count: len(md.open_run(out).provenance["starts"]) == count, f"driver {count}")
        wait_until(lambda: DriverLock.active_driver(out), "the driver works")
        new = 2 if count == 1 else 1
        wait_until(lambda n=new: len(set(JobRecord(out).read()["drivers"]) - job_ids) >= n, "the successor is queued")
        job_ids.update(JobRecord(out).read()["drivers"])
        active = DriverLock.active_driver(out)
        assert active is not None
        os.kill(active["pid"], signal.SIGKILL)
    wait_until(lambda: not jobs("PD"), "the series has ended")
    wait_until(lambda: md.open_run(out).provenance["stops"], "the fourth driver has stopped")
    assert "finished no unit" in md.open_run(out).provenance["stops"][-1]["reason"]


# tests/cluster/test_worker_jobs.py replaces workers whose time is up, and tests/cluster/test_driver_series.py drivers.
@pytest.mark.slow
@pytest.mark.timeout(5000)
@pytest.mark.parametrize("realizations", [150, 1300])
def test_a_run_outlasts_the_walltime_of_its_jobs(slurm, command, values_of, wait_until, tmp_path, realizations):
    """Jobs of one minute for work of 100 seconds and of ten minutes: several drivers and workers."""
    path = tmp_path / "long.yaml"
    path.write_text(
        "kind: graded\nbands: 4\nl_max: 0.1\nradius: 0.01\ngradient: [0.0, 0.002]\n"
        f"time_step: 4.0e-5\nrealizations: {realizations}\nexecution: {{batch: 5}}\n"
    )
    out = tmp_path / "run"
    process = command(
        "submit", path, "--cluster", "slurm", "--yes", "--out", out, "--set", "cluster.walltime=1 min",
        "--set", "cluster.jobs=1", "--set", "cluster.workers=1", "--set", "cluster.queue=short",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    wait_until(
        lambda: md.open_run(out).status()["state"] == "complete", "the run is complete", 2.5 * realizations + 240
    )
    run = md.open_run(out)
    assert len(run.provenance["starts"]) > 1
    assert "time is up" in [stop["reason"] for stop in run.provenance["stops"]]
    local = md.run(md.load_study(path, cluster={"profile": "sync"}), tmp_path / "local")
    assert values_of(run) == values_of(local)
    keys = [key for record in run.journal.records() for key in record.get("done", ())]
    assert len(keys) == len(set(keys)) == 2 * realizations


# ---------------------------------------------------------------------------------------------
# Access to the cluster


def test_only_workers_of_the_run_can_connect(slurm, wait_until, tmp_path):
    """Connections without TLS or with another certificate fail; keys are readable by their owner only."""
    from distributed import Client
    from distributed.security import Security

    out = tmp_path / "run"
    driver = start_driver(out, rows=4, seconds=0.5, cluster={**TOY, "jobs": 1, "workers": 1}, execution={"batch": 2})
    wait_until(lambda: workers_of(out), "a worker")
    script = next((out / "logs" / "jobs").glob("*.sh")).read_text()
    address = re.search(r"tls://[\d.]+:\d+", script)
    assert address is not None
    files = list(out.glob(".tls-*/*"))
    assert {path.name for path in files} == {"ca_file.pem", "cert.pem", "key.pem"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in out.glob(".tls-*"))
    for protocol, security in (("tcp", None), ("tls", Security.temporary())):
        with pytest.raises((OSError, TimeoutError)):
            Client(address[0].replace("tls", protocol), security=security, timeout="3s")
    own = Security(
        require_encryption=True,
        tls_ca_file=str(next(out.glob(".tls-*/ca_file.pem"))),
        tls_client_cert=str(next(out.glob(".tls-*/cert.pem"))),
        tls_client_key=str(next(out.glob(".tls-*/key.pem"))),
    )
    with Client(address[0], security=own, timeout="10s") as client:
        client.wait_for_workers(1, timeout=60)
    connections = [c for c in psutil.Process(driver.pid).net_connections(kind="tcp") if c.status == "LISTEN"]
    port = int(address[0].rsplit(":", 1)[1])
    public_ports = {c.laddr.port for c in connections if not c.laddr.ip.startswith(("127.", "::1"))}
    assert public_ports == {port}  # the dashboard listens on the loopback
    driver.send_signal(signal.SIGTERM)
    driver.wait(timeout=60)


def test_a_run_without_encryption_warns(slurm, study, command_here, tmp_path):
    plain = ("--set", "cluster.tls=false")
    process = command_here("run", study, "--cluster", "slurm", "--out", tmp_path / "run", "--limit", 5, *SMALL, *plain)
    assert process.returncode == 0, process.stderr
    assert "WARNING: tls is off" in process.stderr
    script = next((tmp_path / "run" / "logs" / "jobs").glob("worker*.sh")).read_text()
    assert "tcp://" in script


def test_job_states_are_read_from_squeue(slurm, tmp_path):
    """For several jobs at once, and for one that is not in the queue."""
    from membrane_dask.config import ClusterSettings
    from membrane_dask.engine.cluster.profiles import resolve

    system = batch_system(resolve(ClusterSettings(profile="slurm")))
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n#SBATCH -o {tmp_path}/out\nsleep $1\n")
    short = system.submit(script)
    script.write_text(f"#!/bin/sh\n#SBATCH -o {tmp_path}/out\n#SBATCH --begin=now+1hour\nsleep 1\n")
    pending = system.submit(script)
    states = system.job_states([short, pending, "999999"])
    assert states[pending].state == "pending"
    assert states["999999"] == NOT_IN_QUEUE
    system.cancel([short, pending])
    assert system.job_states([pending])[pending].state == "ended"
