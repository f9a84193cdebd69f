"""On a real Slurm: the same bytes as anywhere, and nothing lost whatever dies."""

from __future__ import annotations

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
from membrane_dask.engine import batch
from membrane_dask.engine.cluster.worker_jobs import JobBook
from membrane_dask.engine.lock import Driver

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "engine"))
import toy  # noqa: E402

SMALL = ("--set", "cluster.jobs=2", "--set", "cluster.workers=2", "--set", "cluster.memory=600 MB")
#: Workers of the toy study import it.
TOY = {"prologue": [f"export PYTHONPATH={HERE.parent / 'engine'}"], "memory": "500 MB", "profile": "slurm"}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A real study of a few seconds' work."""
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
    """Number and name of the jobs in Slurm's queue."""
    said = subprocess.run(["squeue", "-h", "-t", state, "-o", "%i %j"], capture_output=True, text=True, timeout=60)
    return [tuple(line.split()) for line in said.stdout.splitlines()]  # type: ignore[misc]


def workers_of(run: Path) -> list[psutil.Process]:
    """Worker processes of a run's jobs (not their nannies), oldest first."""
    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        words = " ".join(process.info["cmdline"] or ())
        parent = process.parent() if "multiprocessing.spawn" in words else None
        if parent is not None and f"{run}/" in " ".join(parent.cmdline()):
            found.append(process)
    return sorted(found, key=lambda process: process.info["create_time"])


def driven(run: Path, **fields: object) -> subprocess.Popen[bytes]:
    """A driver of the toy study, as a process."""
    words = [sys.executable, str(HERE / "drive_toy.py"), str(run), json.dumps(fields)]
    log = run.with_suffix(".driver").open("ab")
    return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)


# ---------------------------------------------------------------------------------------------
# The three ways


def test_workers_as_jobs(slurm, study, reference, command, values_of, tmp_path):
    out = tmp_path / "run"
    said = command("run", study, "--cluster", "slurm", "--out", out, *SMALL)
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == str(out)
    assert values_of(md.open_run(out)) == reference
    assert not [name for _, name in jobs() if name.startswith("worker")]  # given back
    assert not list(out.glob(".tls-*"))  # and the certificates are gone
    assert re.search(r"no worker yet; job \d+ submitted", said.stderr)


def test_submit_from_a_shell_that_is_then_closed(slurm, study, local_run, command, files_of, wait_until, tmp_path):
    out = tmp_path / "run"
    line = f"{command.words} submit {study} --cluster slurm --yes --out {out} {' '.join(map(repr, SMALL))}"
    # Whoever runs the tests may ignore hangups, which is inherited.
    shell = subprocess.Popen(
        ["bash", "-c", f"{line}; sleep 600"], start_new_session=True, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    assert shell.stdout is not None
    assert shell.stdout.readline().decode().strip() == str(out)  # at once, with the run's name
    os.killpg(shell.pid, signal.SIGHUP)
    shell.wait()
    assert md.open_run(out).status()["state"] in ("queued", "running")
    followed = command("logs", out, "-f")  # another shell; ends with the run
    assert "Collecting" in followed.stdout
    wait_until(lambda: not jobs(), "the queue is empty, the successor cancelled")
    run = md.open_run(out)
    assert run.status()["state"] == "complete"
    assert files_of(run) == files_of(local_run)
    stops = run.provenance["stops"]
    assert [stop["reason"] for stop in stops] == ["finished"]


def test_one_allocation(slurm, study, reference, command, values_of, wait_until, tmp_path):
    """Driver and workers in one job of two nodes, which submits nothing itself."""
    out = tmp_path / "run"
    one = ("--set", "cluster.single_allocation=true")
    said = command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *SMALL, *one)
    assert said.returncode == 0, said.stderr
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "the run is complete")
    run = md.open_run(out)
    assert values_of(run) == reference
    assert len({record["worker"] for record in run.journal.records() if "worker" in record}) > 1
    names = {name for _, name in jobs("all")}
    assert not any(name.startswith("worker") and (out / "logs" / "jobs" / f"{name}.sh").exists() for name in names)
    refused = command("run", study, "--cluster", "slurm", "--out", tmp_path / "other", *one)
    assert refused.returncode == 4
    assert "membrane-dask submit" in refused.stderr


def test_submit_says_what_it_would_do(slurm, study, command, tmp_path):
    out = tmp_path / "run"
    said = command("submit", study, "--cluster", "slurm", "--out", out, "--dry-run", *SMALL)
    assert said.returncode == 0
    assert "up to 2 jobs of 2 workers for 60 min" in said.stderr
    assert "of one core" in said.stderr  # the cost, measured
    assert said.stdout.count("#SBATCH --cpus-per-task=") == 2
    unasked = command("submit", study, "--cluster", "slurm", "--out", out, "--no-measure", stdin=subprocess.DEVNULL)
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    nowhere = command("submit", study, "--out", out, "--yes")
    assert nowhere.returncode == 2
    assert "cluster.profile" in nowhere.stderr
    assert not out.exists()
    assert not jobs()


def test_cancel_and_retry_from_elsewhere(slurm, study, reference, command, values_of, wait_until, tmp_path):
    out = tmp_path / "run"
    more = ("--set", "cluster.jobs=1", "--set", "cluster.workers=1", "--no-measure")
    assert command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *more).returncode == 0
    again = command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *more)
    assert again.returncode == 2
    assert "membrane-dask cancel" in again.stderr
    wait_until(lambda: md.open_run(out).status()["done"], "first units are done")
    assert command("cancel", out).returncode == 0
    wait_until(lambda: not jobs(), "driver, successor and workers are gone")
    status = md.open_run(out).status()
    assert status["state"] == "partial"
    assert 0 < status["done"] < 120
    assert command("retry", out).returncode == 0  # it was submitted, so it is submitted again
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "the run is complete")
    assert values_of(md.open_run(out)) == reference
    assert len(md.open_run(out).provenance["stops"]) == 2


def test_a_waiting_driver_can_be_cancelled(slurm, study, command, tmp_path):
    out = tmp_path / "run"
    later = ("--set", "cluster.directives=--begin=now+1hour", "--no-measure")
    assert command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *later).returncode == 0
    said = command("status", out, "--json")
    assert json.loads(said.stdout)[0]["state"] == "queued"
    assert "PENDING (BeginTime)" in str(md.open_run(out))
    assert command("cancel", out).returncode == 0
    assert not jobs()
    assert md.open_run(out).status()["state"] == "empty"


# ---------------------------------------------------------------------------------------------
# Silence is a defect


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cluster.queue=nope"], ["Slurm refused a job", "invalid partition specified: nope", "#SBATCH -p nope"]),
        (["cluster.memory=9 GB", "cluster.workers=2"], ["Slurm refused a job", "--mem=18300M"]),
        (
            ["cluster.python=/no/such/python"],
            ["jobs in a row ended without a worker", "FAILED", "/no/such/python: No such file"],
        ),
        (
            ["cluster.directives=--begin=now+1hour", "cluster.patience=3 s"],
            ["no worker for", "PENDING (BeginTime)", "`patience`"],
        ),
    ],
)
def test_trouble_is_told_in_words(slurm, study, command, tmp_path, words, said):
    arguments = [word for one in words for word in ("--set", one)]
    found = command("run", study, "--cluster", "slurm", "--out", tmp_path / "run", *arguments)
    assert found.returncode == 4
    for word in said:
        assert word in found.stderr
    assert not jobs()
    submitted = command("submit", study, "--cluster", "slurm", "--yes", "--out", tmp_path / "sub", *arguments)
    assert submitted.returncode == (4 if "refused" in said[0] else 0)


def test_clusters_test_names_the_step(slurm, command, tmp_path):
    fine = command("clusters", "test", "slurm", "--out", tmp_path)
    assert fine.returncode == 0, fine.stderr
    assert "all steps passed" in fine.stderr
    assert not list(tmp_path.iterdir())
    other = command("clusters", "test", "pbs", "--out", tmp_path)
    assert other.returncode == 4
    assert "could not find the batch system's commands" in other.stderr
    silent = command("clusters", "test", "slurm", "--out", tmp_path, "--set", "python=/no/python")
    assert silent.returncode == 4
    assert "could not get a worker" in silent.stderr
    assert "/no/python: No such file" in silent.stderr  # the job's last words


# ---------------------------------------------------------------------------------------------
# Faults


def test_a_dead_job_is_replaced(slurm, toy_reference, values_of, wait_until, tmp_path):
    """With two workers in a job, which dask-jobqueue's own scaling never replaces."""
    out = tmp_path / "run"
    cluster = {**TOY, "jobs": 2, "workers": 2}
    driver = driven(out, rows=4, seconds=0.5, cluster=cluster, execution={"batch": 2})
    wait_until(lambda: len(workers_of(out)) == 4, "four workers")
    held = JobBook(out).read()["workers"]
    assert len(held) == 2
    subprocess.run(["scancel", held[0]], check=True, timeout=60)
    wait_until(lambda: len(set(JobBook(out).read()["workers"]) - set(held)) == 1, "a new job in the dead one's place")
    assert driver.wait(timeout=120) == 0
    run = md.open_run(out)
    assert run.status()["state"] == "complete"
    assert values_of(run) == toy_reference
    assert len(list((out / "logs" / "jobs").glob("*.sh"))) == 3  # no more than that


def test_no_more_jobs_than_the_work_needs(slurm, tmp_path, values_of):
    """Six batches in all: of eight jobs allowed, two of three workers are asked for."""
    cluster = {**TOY, "jobs": 8, "workers": 3}
    run = toy.run_toy(tmp_path / "run", rows=1, columns=12, seconds=0.1, cluster=cluster, execution={"batch": 2})
    assert run.status()["state"] == "complete"
    assert len(list((run.path / "logs" / "jobs").glob("*.sh"))) == 2


def test_poison_costs_one_unit(slurm, toy_reference, tmp_path):
    run = toy.run_toy(
        tmp_path / "run", rows=1, killing=[3], eating=[11],
        cluster={**TOY, "jobs": 1, "workers": 2}, execution={"batch": 5, "retries": 0},
    )  # fmt: skip
    status = run.status()
    assert (status["state"], status["done"], status["failed"]) == ("failed", 18, 2)
    assert sorted(failure["params"]["number"] for failure in run.failures) == [3, 11]
    assert all(failure["killed_its_worker"] for failure in run.failures)


@pytest.mark.parametrize("times", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ten_deaths_and_on_demand_twenty(slurm, toy_reference, values_of, wait_until, tmp_path, times):
    """Workers, nannies, jobs, the driver with Dask's scheduler in it, and slurmctld, at random moments."""
    rng = random.Random(20)
    cluster = {**TOY, "jobs": 2, "workers": 2}
    victims = ["worker", "nanny", "job", "driver", "slurmctld"] * times
    rng.shuffle(victims)
    deaths: list[str] = []
    done: list[Path] = []
    driver: subprocess.Popen[bytes] | None = None
    given_up = 0
    while victims or driver is not None:
        out = tmp_path / f"run-{len(done)}"
        if driver is None:
            driver = driven(out, rows=4, seconds=0.2, cluster=cluster, execution={"batch": 2})
        deadline = time.monotonic() + rng.uniform(0.5, 5.0)
        while time.monotonic() < deadline and driver.poll() is None:
            time.sleep(0.05)
        code = driver.poll()
        if code is not None:
            if code not in (0, -signal.SIGKILL):
                # Three that die while they start look like a cluster that cannot run workers: it stops, to be resumed.
                said = out.with_suffix(".driver").read_text()
                assert "jobs in a row ended without a worker" in said, said
                given_up += 1
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
        deaths.append(victim)
        if victim == "worker":
            rng.choice(processes).kill()
        elif victim == "nanny":
            parent = rng.choice(processes).parent()
            if parent is not None:
                parent.kill()
        elif victim == "job":
            subprocess.run(["scancel", rng.choice(JobBook(out).read()["workers"])], timeout=60)
        elif victim == "driver":
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
        else:
            os.kill(slurm.pid("slurmctld"), signal.SIGKILL)
            time.sleep(rng.uniform(0.0, 3.0))
            slurm.up()
    assert len(deaths) == 5 * times
    assert given_up <= 2, deaths
    for out in done:
        run = md.open_run(out)
        assert run.status()["state"] == "complete", deaths
        assert values_of(run) == toy_reference, deaths
    # A job that was submitted the moment its driver died ends by itself, a minute after it started. (The queue
    # itself may name ended jobs for longer: a slurmctld that was killed remembers an earlier state.)
    wait_until(lambda: not any(workers_of(out) for out in done), "no worker is left behind")


def test_a_killed_driver_job_is_followed(slurm, study, reference, command, values_of, wait_until, tmp_path):
    out = tmp_path / "run"
    assert command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *SMALL, "--no-measure").returncode == 0
    wait_until(lambda: md.open_run(out).status()["done"], "first units are done")
    first = Driver.alive(out)
    assert first is not None
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: md.open_run(out).status()["state"] == "complete", "its successor finished the run")
    run = md.open_run(out)
    assert values_of(run) == reference
    assert len(run.provenance["starts"]) == 2
    keys = [key for record in run.journal.records() for key in record.get("done", ())]
    assert len(keys) == len(set(keys)) == 120  # nothing was done twice
    wait_until(lambda: not jobs(), "no job is left behind")


def test_drivers_that_achieve_nothing_end_the_chain(slurm, study, command, wait_until, tmp_path):
    """Each driver dies before a unit is done: three are enough."""
    out = tmp_path / "run"
    later = ("--set", "cluster.prologue=case $SLURM_JOB_NAME in worker*) sleep 100;; esac", "--no-measure")
    assert command("submit", study, "--cluster", "slurm", "--yes", "--out", out, *SMALL, *later).returncode == 0
    known: set[str] = set()
    for count in (1, 2, 3):
        wait_until(lambda count=count: len(md.open_run(out).provenance["starts"]) == count, f"driver {count}")
        wait_until(lambda: Driver.alive(out), "it is at work")
        fresh = 2 if count == 1 else 1
        wait_until(lambda n=fresh: len(set(JobBook(out).read()["drivers"]) - known) >= n, "its successor is queued")
        known.update(JobBook(out).read()["drivers"])
        alive = Driver.alive(out)
        assert alive is not None
        os.kill(alive["pid"], signal.SIGKILL)
    wait_until(lambda: not jobs("PD"), "the chain has ended")
    wait_until(lambda: md.open_run(out).provenance["stops"], "the fourth has said so")
    assert "finished no unit" in md.open_run(out).provenance["stops"][-1]["reason"]


@pytest.mark.parametrize("realizations", [90, pytest.param(1300, marks=[pytest.mark.slow, pytest.mark.timeout(5000)])])
def test_walltime_costs_no_result(slurm, command, values_of, wait_until, tmp_path, realizations):
    """Jobs of a minute, for one minute's work and, on demand, for ten: drivers and workers follow one another."""
    path = tmp_path / "long.yaml"
    path.write_text(
        "kind: graded\nbands: 4\nl_max: 0.1\nradius: 0.01\ngradient: [0.0, 0.002]\n"
        f"time_step: 4.0e-5\nrealizations: {realizations}\nexecution: {{batch: 5}}\n"
    )
    out = tmp_path / "run"
    said = command(
        "submit", path, "--cluster", "slurm", "--yes", "--out", out, "--set", "cluster.walltime=1 min",
        "--set", "cluster.jobs=1", "--set", "cluster.workers=1", "--set", "cluster.queue=short",
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    wait_until(
        lambda: md.open_run(out).status()["state"] == "complete", "the run is complete", 2.5 * realizations + 100
    )
    run = md.open_run(out)
    assert len(run.provenance["starts"]) > 1
    assert "time is up" in [stop["reason"] for stop in run.provenance["stops"]]
    local = md.run(md.load_study(path), tmp_path / "local", listener=lambda event: None)
    assert values_of(run) == values_of(local)
    keys = [key for record in run.journal.records() for key in record.get("done", ())]
    assert len(keys) == len(set(keys)) == 2 * realizations


# ---------------------------------------------------------------------------------------------
# Nobody gets in


def test_only_the_runs_own_workers_get_in(slurm, wait_until, tmp_path):
    """No plain connection, none with another certificate; keys are readable by their owner alone."""
    from distributed import Client
    from distributed.security import Security

    out = tmp_path / "run"
    driver = driven(out, rows=4, seconds=0.5, cluster={**TOY, "jobs": 1, "workers": 1}, execution={"batch": 2})
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
    open_to_all = {c.laddr.port for c in connections if not c.laddr.ip.startswith(("127.", "::1"))}
    assert open_to_all == {port}  # the dashboard listens on the loopback
    driver.send_signal(signal.SIGTERM)
    driver.wait(timeout=60)


def test_switching_encryption_off_is_told(slurm, study, command, tmp_path):
    said = command("run", study, "--cluster", "slurm", "--out", tmp_path / "run", *SMALL, "--set", "cluster.tls=false")
    assert said.returncode == 0, said.stderr
    assert "WARNING: tls is off" in said.stderr
    script = next((tmp_path / "run" / "logs" / "jobs").glob("worker*.sh")).read_text()
    assert "tcp://" in script


def test_squeue_answers_for_many_jobs_at_once(slurm, tmp_path):
    """States and reasons as this Slurm spells them."""
    from membrane_dask.config import ClusterSettings
    from membrane_dask.engine.cluster.profiles import resolve

    system = batch.batch_system(resolve(ClusterSettings(profile="slurm")))
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n#SBATCH -o {tmp_path}/out\nsleep $1\n")
    short = system.submit(script)
    script.write_text(f"#!/bin/sh\n#SBATCH -o {tmp_path}/out\n#SBATCH --begin=now+1hour\nsleep 1\n")
    later = system.submit(script)
    states = system.states([short, later, "999999"])
    assert states[later].state == "pending"
    assert states["999999"] == batch.GONE
    system.cancel([short, later])
    assert system.states([later])[later].state == "ended"
