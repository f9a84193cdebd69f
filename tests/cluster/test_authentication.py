"""Nobody but the driver and its workers gets in, from the same machine either."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import psutil
import pytest

import membrane_dask as md
from membrane_dask.engine.cluster.pools import open_pool
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.errors import ClusterError
from membrane_dask.study_file import parse_cluster

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers of a job do not find this module
INTRUDER = Path(__file__).parent / "intruder.py"


def listening(processes: list[psutil.Process]) -> list[tuple[str, int]]:
    """Addresses on which processes accept connections."""
    addresses = set()
    for process in processes:
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                addresses.add((connection.laddr.ip, connection.laddr.port))
    return sorted(addresses)


def my_ports(before: list[tuple[str, int]]) -> list[tuple[str, int]]:
    me = psutil.Process()
    return [address for address in listening([me, *me.children(recursive=True)]) if address not in before]


def assert_no_entry(root: Path, addresses: list[tuple[str, int]], seconds: int = 4) -> None:
    ipv4 = {f"{ip.replace('0.0.0.0', '127.0.0.1')}:{port}" for ip, port in addresses if ":" not in ip}
    command = [sys.executable, str(INTRUDER), str(root), str(seconds), *sorted(ipv4)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    succeeded = json.loads(done.stdout)
    (uid,) = succeeded.pop("uid")
    assert (int(uid) != os.getuid()) or os.getuid() != 0
    assert {address: result for address, result in succeeded.items() if result} == {}


def call(pool, function, *arguments):
    handle = pool.submit(f"call-{time.monotonic_ns()}", function, *arguments)
    deadline = time.monotonic() + 90
    while not pool.wait([handle], timeout=1.0):
        assert time.monotonic() < deadline, "no answer of the worker"
    return handle.result()


def own_addresses() -> list[tuple[str, int]]:
    """Addresses of the worker that executes this, and of its nanny."""
    worker = psutil.Process()
    return listening([worker, *worker.parents()[:1], *worker.children()])


def own_http() -> tuple[str, int]:
    """Address of the HTTP server of the worker that executes this."""
    from distributed import get_worker

    server = get_worker().http_server
    return server.address, server.port


@pytest.mark.parametrize("allocation", [False, True], ids=["local", "one job, not of Slurm"])
def test_other_users_do_not_reach_a_local_cluster(tmp_path, monkeypatch, allocation):
    before = my_ports([])
    profile = resolve(parse_cluster("local", ["workers=2"]))
    if allocation:
        monkeypatch.setenv("JOB_ID", "17")
        profile = resolve(parse_cluster("sge", ["workers=1", "jobs=1", "single_allocation=true", "tls=false"]))
    with open_pool(profile, tmp_path, lambda text: None) as pool:
        assert call(pool, os.getpid) != os.getpid()
        addresses = my_ports(before)
        assert len(addresses) >= 3  # the scheduler, its dashboard, workers
        assert {ip for ip, _ in addresses} == {"127.0.0.1"}
        assert_no_entry(tmp_path, addresses)
        assert call(pool, os.getpid) != os.getpid()  # still at work


def test_the_intruder_succeeds_where_nothing_is_encrypted(tmp_path):
    """Without this the other tests could pass because the intruder asks wrongly."""
    from distributed import LocalCluster

    before = my_ports([])
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None),
        pytest.raises(AssertionError, match="a client"),
    ):
        assert_no_entry(tmp_path, my_ports(before), seconds=20)  # a busy machine needs some to let it in


def test_other_users_do_not_reach_worker_jobs(tmp_path, slurm):
    before = my_ports([])
    profile = resolve(parse_cluster("slurm", ["jobs=1", "workers=1", "memory=1GB", "walltime=5min"]))
    with open_pool(profile, tmp_path, lambda text: None) as pool:
        pool.demand(1)
        address, _ = call(pool, lambda: own_http())
        assert ipaddress.ip_address(address).is_loopback
        addresses = sorted({*my_ports(before), *call(pool, lambda: own_addresses())})
        (folder,) = tmp_path.glob(".tls-*")
        assert [oct(path.stat().st_mode & 0o777) for path in (folder, *folder.glob("*"))] == ["0o700", *["0o600"] * 3]
        assert_no_entry(tmp_path, addresses)
    assert not list(tmp_path.glob(".tls-*"))


def test_a_running_cluster_without_encryption_is_named(tmp_path, monkeypatch):
    warnings: list[str] = []
    monkeypatch.setattr("membrane_dask.engine.cluster.pools.SCHEDULER_TIMEOUT", "1s")
    pool = open_pool(resolve(parse_cluster("tcp://127.0.0.1:1", [])), tmp_path, warnings.append)
    with pytest.raises(ClusterError):
        pool.__enter__()
    assert "every user of this machine can run code as you" in warnings[0]


def test_keys_that_a_killed_driver_left_are_removed_by_the_next(tmp_path):
    study = tmp_path / "s.yaml"
    study.write_text("kind: graded\ngradient: 0\nrealizations: 1\nporosity: 0.1\nporosity_tolerance: 0.02\n"
                     "cluster: {profile: sync}\n")  # fmt: skip
    run = md.run(study, tmp_path / "run", limit=0)
    folder = run.path / ".tls-1-abc"
    folder.mkdir(mode=0o700)
    (folder / "key.pem").write_text("secret")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run.path / ".tls-2-def").symlink_to(elsewhere)
    assert run.status()["state"] == "empty"
    assert folder.exists()  # looking at a run changes nothing: a driver may be using them
    md.run(study, run.path, limit=0, trust=True)
    assert not folder.exists()
    assert elsewhere.exists()
