"""Batches per second at which Dask's scheduler saturates, with many idle workers on one machine.

    python benchmarks/saturation.py [--workers 50 200 800] [--seconds 1]

Workers are objects in a few processes, each with a thread of its own as in a real run. Units sleep and write nothing,
so that the cores are free for the scheduler and the driver, which are threads of one process as in a run. A row gives
the number of batches per second that went through the whole path (submit, receive, journal, submit the next) and the
fraction of the time in which the workers were busy. Workers and scheduler compete for the cores here, so the rate is a
lower bound for a real cluster.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import dask
import psutil
from _common import argument_parser
from distributed import Client, LocalCluster, Worker
from engine_overhead import COLUMNS, IdleProgram, IdleStudy

from membrane_dask import api
from membrane_dask.engine import executor
from membrane_dask.engine.plan import make_plan
from membrane_dask.engine.run import prepare
from membrane_dask.engine.worker import BatchOptions, BatchResult

WORKERS_PER_PROCESS = 100


def _host(address: str, number: int) -> None:
    """Run workers in this process until the scheduler stops."""
    sys.path.insert(0, str(Path(__file__).parent))
    logging.disable(logging.CRITICAL)
    # The profilers and monitors of a thousand workers on one machine would dominate the measurement.
    dask.config.set({"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "10s",
                     "distributed.admin.system-monitor.interval": "10s"})  # fmt: skip

    async def work() -> None:
        workers = [
            await Worker(address, nthreads=1, memory_limit=0, dashboard=False, heartbeat_interval="20s")
            for _ in range(number)
        ]  # fmt: skip
        await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(work())


def idle_batch(work: object, context: dict, sink: object, units: list, options: BatchOptions) -> BatchResult:
    """Replace the engine's ``run_batch``: sleep, and report success."""
    time.sleep(context["seconds"])
    keys = [unit.key for unit in units]
    return BatchResult(
        seconds=dict.fromkeys(keys, context["seconds"]), memory=dict.fromkeys(keys, 0),
        cpu_seconds=dict.fromkeys(keys, 0.0), sha256=dict.fromkeys(keys, "0" * 32), feedback={key: {} for key in keys},
        worker="idle",
    )  # fmt: skip


def measure_row(number: int, seconds: float, columns: int) -> None:
    """Print one row: ten batches of one unit per worker."""
    units = -(-number * 10 // columns) * columns
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as cluster,
        Client(cluster) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        spawn = multiprocessing.get_context("spawn")
        counts = [min(WORKERS_PER_PROCESS, number - first) for first in range(0, number, WORKERS_PER_PROCESS)]
        hosts = [spawn.Process(target=_host, args=(cluster.scheduler_address, count), daemon=True) for count in counts]
        for host in hosts:
            host.start()
        client.wait_for_workers(number, timeout=600)
        study = IdleStudy.model_validate(
            {
                "name": "idle", "units": units, "milliseconds": 1000 * seconds, "columns": columns,
                "cluster": {"profile": cluster.scheduler_address}, "execution": {"batch": 1},
            }
        )  # fmt: skip
        # All workers are on one machine: writing would measure its disk, not the scheduler.
        executor.run_batch = idle_batch
        executor.Execution._verify = lambda self, driver: None
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
    """Print a row for each number of workers."""
    parser = argument_parser(__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--seconds", type=float, default=1.0, help="duration of each batch")
    arguments = parser.parse_args()
    columns = COLUMNS
    if arguments.smoke:
        arguments.workers, arguments.seconds, columns = [2], 0.01, 10
    print("workers   s/batch batches  wall s  batches/s  workers busy  cores of driver  MB driver")
    for number in arguments.workers:
        process = multiprocessing.get_context("spawn").Process(
            target=measure_row, args=(number, arguments.seconds, columns)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"the row of {number} workers failed")


if __name__ == "__main__":
    main()
