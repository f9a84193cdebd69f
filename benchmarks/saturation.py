"""Where Dask's scheduler saturates: many workers that do next to nothing, on one machine.

    python benchmarks/saturation.py [--workers 50 200 800] [--seconds 1]

Workers are objects in a few processes, each with a thread of its own as in a real run; units sleep and write nothing,
so the cores are left to the scheduler and the driver, which share a process as they do in a run. A row gives how many
batches a second came back through the whole path (sent, received, journalled, next one sent) and how busy the workers
were. As these workers share the cores with the scheduler, a real cluster does better; the row says what is safe.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import dask
import psutil
from distributed import Client, LocalCluster, Worker
from engine_overhead import IdleProgram, IdleStudy

from membrane_dask import api
from membrane_dask.engine import executor as execute
from membrane_dask.engine.plan import make_plan
from membrane_dask.engine.run import prepare

PER_PROCESS = 100


def _host(address: str, number: int) -> None:
    """Keep so many workers in this process until the scheduler is gone."""
    sys.path.insert(0, str(Path(__file__).parent))
    logging.disable(logging.CRITICAL)
    # A thousand profilers and monitors on one machine would be all that is measured.
    dask.config.set({"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "10s",
                     "distributed.admin.system-monitor.interval": "10s"})  # fmt: skip

    async def work() -> None:
        workers = [
            await Worker(address, nthreads=1, memory_limit=0, dashboard=False, heartbeat_interval="20s")
            for _ in range(number)
        ]  # fmt: skip
        await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(work())


def idle_batch(work: object, context: dict, sink: object, units: list, terms: object) -> execute.Receipt:
    """Stands for a batch on a worker: it sleeps and says that all went well."""
    time.sleep(context["seconds"])
    keys = [unit.key for unit in units]
    return execute.Receipt(
        seconds=dict.fromkeys(keys, context["seconds"]), memory=dict.fromkeys(keys, 0),
        sha256=dict.fromkeys(keys, "0" * 32), feedback={key: {} for key in keys}, worker="idle",
    )  # fmt: skip


def one(number: int, seconds: float) -> None:
    """Ten batches a worker, each of one unit."""
    units = -(-number * 10 // 1000) * 1000
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as cluster,
        Client(cluster) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        spawn = multiprocessing.get_context("spawn")
        shares = [min(PER_PROCESS, number - first) for first in range(0, number, PER_PROCESS)]
        hosts = [spawn.Process(target=_host, args=(cluster.scheduler_address, share), daemon=True) for share in shares]
        for host in hosts:
            host.start()
        client.wait_for_workers(number, timeout=600)
        study = IdleStudy.model_validate(
            {
                "name": "idle", "units": units, "milliseconds": 1000 * seconds,
                "cluster": {"profile": cluster.scheduler_address}, "execution": {"batch": 1},
            }
        )  # fmt: skip
        # Workers write nothing here: all of them on one machine would show the disk and its cores, not the scheduler.
        execute.run_batch = idle_batch
        execute.Execution._verify = lambda self: None
        plan = make_plan(study, IdleProgram(study))
        run = prepare(plan, Path(folder) / "run")
        before, start = psutil.Process().cpu_times(), time.perf_counter()
        api.execute(run, plan, listener=lambda event: None)
        wall, after = time.perf_counter() - start, psutil.Process().cpu_times()
        busy = (after.user + after.system - before.user - before.system) / wall
        print(
            f"{number:>7} {seconds:>9g} {units:>7} {wall:>7.1f} {units / wall:>10.0f} "
            f"{units * seconds / number / wall:>11.2f} {busy:>14.2f} {psutil.Process().memory_info().rss / 1e6:>9.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each batch")
    arguments = parser.parse_args()
    print("workers s a batch batches  wall s  batches/s  workers busy  cores of driver  MB driver")
    for number in arguments.workers:
        process = multiprocessing.get_context("spawn").Process(target=one, args=(number, arguments.seconds))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
