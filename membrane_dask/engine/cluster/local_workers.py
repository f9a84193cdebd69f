"""Worker processes on this machine, which leave the process that starts them as it is."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.resource_tracker
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from distributed import LocalCluster, Security

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.plan import default_workers, environment, worker_memory

#: Environment variables that Dask sets in this process for the processes that it starts.
_VARIABLES = (*environment(), "PYTHONHASHSEED", "__DASK_PARENT_PID")


@contextlib.contextmanager
def local_cluster(profile: Profile) -> Iterator[LocalCluster]:
    """Start the workers of a profile on this machine, and stop them at the end.

    The environment of this process is the same before, with and after these workers. It changes while they start, and
    from the restart of a worker that died until the end.

    Parameters
    ----------
    profile : Profile
        Resolved profile of the scheduler ``local``.

    Yields
    ------
    distributed.LocalCluster

    Raises
    ------
    OSError, RuntimeError, TimeoutError
        If the workers do not start.
    """
    variables = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        with contextlib.closing(_started(profile)) as cluster:
            _restore(variables)
            yield cluster
    finally:
        _restore(variables)


def _started(profile: Profile) -> LocalCluster:
    """A cluster whose workers receive no SIGINT, from their first instruction on.

    A terminal sends Ctrl-C to all processes of a command; the driver stops the workers. An interrupt takes effect when
    the workers have started: half a cluster cannot be closed.
    """
    multiprocessing.resource_tracker.ensure_running()  # it would unblock the signal when it starts
    with ThreadPoolExecutor(1) as starter:
        starting = starter.submit(_start, profile)
        try:
            return starting.result()
        except BaseException:  # an interrupt, or what prevented the start
            if starting.exception() is None:
                starting.result().close()
            raise


def _start(profile: Profile) -> LocalCluster:
    # Threads inherit the blocked signal from the thread that starts them, and so do worker processes from the threads
    # of Dask that start them, also after a worker has died. The main thread still receives every interrupt.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    return LocalCluster(
        security=Security.temporary(),  # without it every user of this machine could run code as this one
        n_workers=default_workers(profile),
        threads_per_worker=1,  # a kernel uses one core; threads would wait for the interpreter's lock
        processes=True,
        memory_limit=worker_memory(profile),
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        silence_logs=logging.CRITICAL,
    )


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
