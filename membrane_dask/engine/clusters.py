"""Where units run: this process, worker processes of this machine, or a Dask scheduler elsewhere."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.plan import default_workers, environment, worker_memory

#: Deaths of a worker that a task survives before it is handed back as suspect. Every task assigned
#: to a dying worker counts as suspect, so the execution loop then sends the units one by one.
ALLOWED_FAILURES = 1

#: What a script must do, as worker processes import it.
GUARD = 'in a script, call run() under `if __name__ == "__main__":`'


class ClusterError(RuntimeError):
    """The cluster cannot be used, or was lost."""


class Handle(Protocol):
    """A submitted batch."""

    def result(self) -> Any:
        """What the batch returned; raises what it raised."""

    def release(self) -> None:
        """Forget the batch."""


class Pool(Protocol):
    """Workers that carry out functions."""

    slots: int
    dashboard: str | None

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Send out one call."""

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Handles that are finished; empty if none is within ``timeout`` seconds."""

    def is_lost_worker(self, error: BaseException) -> bool:
        """Whether a call ended because its workers died."""


class _Call:
    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args

    def result(self) -> Any:
        return self._function(*self._args)

    def release(self) -> None:
        pass


class SyncPool:
    """Calls run in this process when their result is asked for: breakpoints work, nothing is hidden."""

    slots = 1
    dashboard: str | None = None

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Note a call for later."""
        return _Call(function, args)

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """The first call, which runs when its result is read."""
        return handles[:1]

    def is_lost_worker(self, error: BaseException) -> bool:
        """There is no worker to lose."""
        return False


class DaskPool:
    """Workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected client.
    slots : int
        Batches that run side by side.
    dashboard : str or None
        Address of Dask's own view of the work.
    """

    def __init__(self, client: Any, slots: int, dashboard: str | None) -> None:
        self._client = client
        self.slots = slots
        self.dashboard = dashboard

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Send out one call under a name of its own."""
        future: Handle = self._client.submit(function, *args, key=name, pure=False)
        return future

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Handles that are finished.

        Raises
        ------
        ClusterError
            If the connection to the scheduler is lost.
        """
        from distributed import TimeoutError as DaskTimeoutError
        from distributed import wait

        try:
            finished: Any = wait(handles, timeout=timeout, return_when="FIRST_COMPLETED").done
        except (TimeoutError, DaskTimeoutError):
            finished = ()
        if self._client.status not in ("running", "connecting"):
            raise ClusterError(f"the connection to the scheduler was lost (client is {self._client.status})")
        lost = [handle for handle in handles if getattr(handle, "status", "") in ("cancelled", "lost")]
        if lost:
            raise ClusterError(f"the scheduler lost {len(lost)} batches; run again to resume")
        return [handle for handle in handles if handle in finished]

    def is_lost_worker(self, error: BaseException) -> bool:
        """Whether the call's workers died under it."""
        from distributed import KilledWorker

        return isinstance(error, KilledWorker)


@contextmanager
def _loss_of_the_scheduler() -> Iterator[None]:
    """The many ways in which Dask says that nobody is there any more, told as one."""
    from concurrent.futures import CancelledError

    from distributed.comm import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError) as error:
        words = str(error).strip().splitlines()
        raise ClusterError(f"the connection to the scheduler was lost ({words[0] if words else error!r})") from error


@contextmanager
def open_pool(cluster: ClusterSettings) -> Iterator[Pool]:
    """Workers as the study asks for them, closed at the end.

    Raises
    ------
    ClusterError
        If the cluster does not start or cannot be reached.
    """
    if cluster.profile == "sync":
        yield SyncPool()
        return
    import dask
    from distributed import Client

    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        "distributed.admin.tick.limit": "1 min",  # a busy machine is no news
        "distributed.nanny.pre-spawn-environ": environment(),
    }
    with dask.config.set(settings):
        if cluster.profile == "local":
            with _local_cluster(cluster) as local, Client(local) as client, _loss_of_the_scheduler():
                drawn = importlib.util.find_spec("bokeh") is not None  # without it the page is empty
                yield DaskPool(client, default_workers(cluster), client.dashboard_link if drawn else None)
            return
        try:
            client = Client(cluster.profile, timeout="20s")
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(f"no Dask scheduler answers at {cluster.profile}: {error}") from error
        with client, _loss_of_the_scheduler():
            try:
                client.wait_for_workers(1, timeout=60)
            except TimeoutError as error:
                raise ClusterError(f"the scheduler at {cluster.profile} got no worker within 60 s") from error
            yield DaskPool(client, max(1, sum(client.nthreads().values())), client.dashboard_link)


def _local_cluster(cluster: ClusterSettings) -> Any:
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=default_workers(cluster),
            threads_per_worker=1,  # kernels use one core each; threads would share the interpreter
            processes=True,
            memory_limit=worker_memory(cluster),
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs=logging.CRITICAL,
        )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"the local cluster did not start ({error}); {GUARD}") from error


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
