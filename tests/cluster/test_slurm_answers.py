"""Runs on a real Slurm whose commands lie, lose answers or refuse; ports and memory as a site wants them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from membrane_dask import api
from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster import worker_jobs
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.cluster.worker_jobs import job_cluster
from membrane_dask.engine.events import Message
from membrane_dask.engine.run import Run, prepare
from membrane_dask.engine.schedulers import batch_system, commands
from membrane_dask.engine.schedulers.base import SubmissionRefusedError
from membrane_dask.errors import ClusterError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "engine"))
import toy  # noqa: E402

TOY = {
    "prologue": [f"export PYTHONPATH={HERE.parent / 'engine'}"], "memory": "500 MB", "profile": "slurm", "jobs": 2,
    "workers": 1,
}  # fmt: skip
FAILED = "sbatch: error: Batch job submission failed:"
STUDY = {"rows": 1, "columns": 16, "seconds": 0.3, "execution": {"batch": 2}}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, values_of) -> dict[str, bytes]:
    quick = {**STUDY, "seconds": 0.0, "cluster": {"profile": "sync"}}
    return values_of(toy.run_toy(tmp_path_factory.mktemp("reference") / "toy", **quick))


@pytest.fixture
def lie(slurm, tmp_path, monkeypatch):
    """Put a shell script in front of a command of Slurm: ``$n`` is the number of its calls, ``$real`` the command."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def replace(name: str, script: str) -> Path:
        real, count = shutil.which(name), folder / f"{name}.calls"
        text = f'#!/bin/bash\nreal={real}\necho "$*" >>{count}\nn=$(grep -vc -e --test-only {count})\n'
        text += 'case "$*" in *--test-only*) exec $real "$@";; esac\n'
        count.touch()
        (folder / name).write_text(f'{text}{script}\nexec $real "$@"\n')
        (folder / name).chmod(0o755)
        return count

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return replace


def jobs_of(run: Run, states: str = "all") -> list[str]:
    """Names of a run's jobs that Slurm knows."""
    # The command itself, not the script in front of it; this module is imported before Slurm is installed.
    folders = [f for f in os.environ["PATH"].split(os.pathsep) if not (Path(f) / "squeue.calls").exists()]
    squeue = shutil.which("squeue", path=os.pathsep.join(folders))
    command = [str(squeue), "-h", "-t", states, "-o", "%j"]
    names = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.split()
    return [name for name in names if (run.path / "logs" / "jobs" / f"{name}.sh").exists()]


def run_study(root: Path, **cluster: object) -> tuple[Run, list[str]]:
    """Run the toy study; the run and the messages."""
    plan = toy.toy_plan(**STUDY, cluster={**TOY, **cluster})
    run = prepare(plan, root)
    messages: list[str] = []
    api.execute(run, plan, listener=lambda event: messages.append(event.text) if isinstance(event, Message) else None)
    return run, messages


def test_a_run_survives_banners_lost_answers_and_empty_listings(lie, reference, values_of, tmp_path, monkeypatch):
    """No job is sent twice, and none is left behind."""
    monkeypatch.setenv("USER", "daemon")
    monkeypatch.setenv("LOGNAME", "daemon")
    submissions = lie(
        "sbatch",
        f"""
        echo "Welcome to cluster 2024"; echo "1 of 17 nodes is down"
        [ $n = 1 ] && {{ $real "$@" >/dev/null; echo "{FAILED} Socket timed out on send/recv operation" >&2; exit 1; }}
        [ $n = 2 ] && {{ echo "{FAILED} Zero Bytes were transmitted or received" >&2; exit 1; }}
        """,
    )
    lie("squeue", "[ $n -ge 4 ] && [ $n -le 9 ] && exit 0\nprintf '1|PENDING|Aufl\\xf6sung|x\\n'")
    run, messages = run_study(tmp_path / "run")
    assert values_of(run) == reference
    assert len(jobs_of(run)) == 2
    assert len([line for line in submissions.read_text().splitlines() if "--parsable" in line]) == 3
    assert not jobs_of(run, "PD,R")
    assert any("Zero Bytes" in message for message in messages)


def test_a_job_whose_submission_never_answers_is_recovered(lie, reference, values_of, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "COMMAND_TIMEOUT", 3.0)
    # The process that the script starts would submit the job once more.
    submissions = lie("sbatch", 'case "$*" in *--parsable*) $real "$@" >/dev/null; (sleep 8; $real "$@"); exit;; esac')
    run, _ = run_study(tmp_path / "run", jobs=1)
    assert values_of(run) == reference
    assert len(jobs_of(run)) == 1
    assert len([line for line in submissions.read_text().splitlines() if "--parsable" in line]) == 1
    assert not jobs_of(run, "PD,R")


def test_a_limit_on_jobs_is_waited_for(lie, reference, values_of, tmp_path, monkeypatch):
    """The first job is accepted later; without a second one it does the work."""
    monkeypatch.setattr(worker_jobs, "REFUSAL_DELAY", 2.0)
    policy = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    message = f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{FAILED} {policy}"
    lie("sbatch", f'[ $n != 2 ] && {{ echo "{message}" >&2; exit 1; }}')
    run, messages = run_study(tmp_path / "run")
    assert values_of(run) == reference
    assert any("accepts no more jobs" in message and "QOSMaxSubmit" in message for message in messages)


def test_nodes_that_are_drained_at_present_are_no_reason_to_refuse(slurm, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n#SBATCH -o {tmp_path}/out\nsleep 1\n")
    too_large = tmp_path / "large.sh"
    too_large.write_text(f"#!/bin/sh\n#SBATCH -o {tmp_path}/out\n#SBATCH --mem=90000M\nsleep 1\n")
    system = batch_system(resolve(ClusterSettings(profile="slurm")))
    subprocess.run(["scontrol", "update", "nodename=n[1-2]", "state=drain", "reason=test"], check=True, timeout=60)
    try:
        system.validate_script(script)
        with pytest.raises(SubmissionRefusedError, match="Memory specification can not be satisfied"):
            system.validate_script(too_large)
        job_id = system.submit(script)
        assert system.job_states([job_id])[job_id].state == "pending"
        assert system.cancel([job_id])
        own = [job_id for job_id, name in system.list_names().items() if name.startswith(("job", "large"))]
        assert {state.state for state in system.job_states(own).values()} == {"ended"}
    finally:
        subprocess.run(["scontrol", "update", "nodename=n[1-2]", "state=resume"], check=True, timeout=60)


def _free_range(number: int) -> int:
    """First of some consecutive ports that are free now."""
    for first in range(20000 + os.getpid() % 500 * 20, 31000, number):
        try:
            for port in range(first, first + number):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


def test_driver_workers_and_nannies_use_the_ports_of_the_profile(slurm, wait_until, tmp_path):
    """Two jobs on one machine use one range; the driver skips a port that is taken. Memory is requested per core."""
    first = _free_range(20)
    keys = {"interface": "lo", "worker_interface": "lo", "memory_request": "per_cpu"}
    ports = {"driver_ports": f"{first}-{first + 2}", "worker_ports": f"{first + 4}-{first + 19}"}
    profile = resolve(ClusterSettings.model_validate({**TOY, **keys, **ports, "workers": 2}))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        with job_cluster(profile, tmp_path, batch_system(profile), lambda text: None) as (client, scheduler, jobs):
            assert scheduler.address == f"tls://127.0.0.1:{first + 1}"
            jobs.demand(4)

            def connected() -> bool:
                jobs.update(len(scheduler.workers))
                return len(scheduler.workers) == 4

            wait_until(connected, "four workers")
            workers = client.scheduler_info(n_workers=-1)["workers"]
            used = [int(a.rsplit(":", 1)[1]) for address, w in workers.items() for a in (address, w["nanny"])]
            assert len(set(used)) == 8
            assert all(first + 4 <= port <= first + 19 for port in used)
            memory = subprocess.run(["squeue", "-h", "-o", "%m"], capture_output=True, text=True, timeout=60).stdout
            assert set(memory.split()) == {"650M"}  # of each core


def test_a_driver_without_a_free_port_names_the_key(tmp_path):
    from membrane_dask.engine.cluster.dask_scheduler import start_scheduler

    first = _free_range(1)
    profile = resolve(ClusterSettings.model_validate({**TOY, "interface": "lo", "driver_ports": first}))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        with pytest.raises(ClusterError, match=f"port {first} is in use; .*`driver_ports`"):
            start_scheduler(batch_system(profile), None)
    absent = resolve(ClusterSettings.model_validate({**TOY, "interface": "ib17"}))
    with pytest.raises(ClusterError, match=r"ib17.*`interface`"):
        start_scheduler(batch_system(absent), None)
