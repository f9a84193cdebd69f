"""Workers of pools: results of calls whose worker died after it had finished them, and timers of workers."""

from __future__ import annotations

import subprocess
import sys
import time

import cloudpickle
import pytest
from distributed import Client, Scheduler, SpecCluster, get_worker

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster import pools
from membrane_dask.engine.cluster.pools import RESULT_LOST, DaskPool, open_pool
from membrane_dask.engine.cluster.profiles import resolve

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not find this module


@pytest.mark.timeout(120)
def test_a_result_that_was_lost_with_the_last_worker_is_not_waited_for(monkeypatch, wait_until):
    """Otherwise no job would be submitted for a new worker, and the run would wait for ever."""
    monkeypatch.setattr(pools, "GATHER_TIMEOUT", 2.0)
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "port": 0}}
    with SpecCluster(scheduler=scheduler, worker={"cls": None, "options": {}}) as cluster, Client(cluster) as client:
        line = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--no-nanny",
                "--nthreads", "2", "--no-dashboard"]  # fmt: skip
        pool = DaskPool(client, 2, None)
        worker = subprocess.Popen(line, stderr=subprocess.DEVNULL)
        value, failure = pool.submit("value", pow, 2, 3), pool.submit("failure", pow, 2, "x")
        wait_until(lambda: len(pool.wait([value, failure], 0.1)) == 2, "both calls are finished")
        results = pool.results([value, failure])
        assert results[0] == 8
        assert isinstance(results[1], TypeError)
        lost = pool.submit("lost", pow, 3, 2)
        wait_until(lambda: pool.wait([lost], 0.1), "the call is finished")
        worker.kill()
        worker.wait()
        start = time.monotonic()
        assert pool.results([lost]) == [RESULT_LOST]
        wait_until(lambda: not pool.wait([lost], 0.1), "the call is open again")
        assert pool.results([lost]) == [RESULT_LOST]
        assert time.monotonic() - start < 30
        worker = subprocess.Popen(line, stderr=subprocess.DEVNULL)  # a new one repeats the call
        wait_until(lambda: pool.wait([lost], 0.1), "the call is repeated")
        assert pool.results([lost]) == [9]
        worker.kill()
        worker.wait()


def _timers() -> set[str]:
    return set(get_worker().periodic_callbacks)


def test_workers_run_without_the_profiler(tmp_path, wait_until):
    """On Python 3.11 a worker that starts a thread while its frames are sampled may wait for ever."""
    with open_pool(resolve(ClusterSettings(profile="local", workers=1)), tmp_path, print) as pool:
        handle = pool.submit("timers", _timers)
        wait_until(lambda: pool.wait([handle], 0.1), "the call is finished")
        (timers,) = pool.results([handle])
    assert "heartbeat" in timers
    assert not {name for name in timers if "profile" in name}
