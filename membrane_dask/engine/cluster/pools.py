"""Where units run: this process, processes of this machine, jobs of a batch system, a Dask cluster."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.cluster.worker_jobs import WorkerJobs, job_cluster
from membrane_dask.engine.plan import default_workers, environment, worker_memory
from membrane_dask.engine.schedulers import batch_system, own_number
from membrane_dask.engine.schedulers.slurm import SlurmSteps
from membrane_dask.errors import ClusterError

#: Deaths of a worker that a task survives before it is handed back as suspect. Every task assigned
#: to a dying worker counts as suspect, so the execution loop then sends the units one by one.
ALLOWED_FAILURES = 1
#: What a script must do, as worker processes import it.
GUARD = 'in a script, call run() under `if __name__ == "__main__":`'


class Handle(Protocol):
    """A submitted batch."""

    def result(self) -> Any:
        """What the batch returned; raises what it raised."""

    def release(self) -> None:
        """Forget the batch."""


class Pool(Protocol):
    """Workers that carry out functions."""

    dashboard: str | None

    @property
    def slots(self) -> int:
        """Batches that run side by side at present."""

    def demand(self, batches: int) -> None:
        """Say how many batches are open, sent out or not."""

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Send out one call."""

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Handles that are finished; empty if none is within ``timeout`` seconds."""

    def results(self, handles: list[Handle]) -> list[Any]:
        """What finished calls returned, or the Exception that each raised."""

    def is_lost_worker(self, error: BaseException) -> bool:
        """Whether a call ended because its workers died."""


class _Call:
    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args

    def result(self) -> Any:
        return self._function(*self._args)

    def release(self) -> None:
        pass


def _outcome(handle: Handle) -> Any:
    try:
        return handle.result()
    except Exception as error:
        return error


class SyncPool:
    """Calls run in this process when their result is asked for: breakpoints work, nothing is hidden."""

    slots = 1
    dashboard: str | None = None

    def demand(self, batches: int) -> None:
        """One after another is done, whatever their number."""

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Note a call for later."""
        return _Call(function, args)

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """The first call, which runs when its result is read."""
        return handles[:1]

    def results(self, handles: list[Handle]) -> list[Any]:
        """Run the calls."""
        return [_outcome(handle) for handle in handles]

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
        self._slots = slots
        self.dashboard = dashboard

    @property
    def slots(self) -> int:
        """Batches that run side by side at present."""
        return self._slots

    def demand(self, batches: int) -> None:
        """The number of workers is not ours to change."""

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
        # One that is "lost" had ended on a worker that died before its answer was fetched: Dask computes it again.
        lost = [handle for handle in handles if getattr(handle, "status", "") == "cancelled"]
        if lost:
            raise ClusterError(f"the scheduler lost {len(lost)} batches; run again to resume")
        return [handle for handle in handles if handle in finished]

    def results(self, handles: list[Handle]) -> list[Any]:
        """What finished calls returned, fetched in one go."""
        sound: list[Any] = [handle for handle in handles if getattr(handle, "status", "") == "finished"]
        try:
            values = dict(zip(sound, self._client.gather(sound), strict=True))
        except Exception:  # a worker was lost just now; one by one shows which
            values = {}
        return [values[handle] if handle in values else _outcome(handle) for handle in handles]

    def is_lost_worker(self, error: BaseException) -> bool:
        """Whether the call's workers died under it."""
        from distributed import KilledWorker

        return isinstance(error, KilledWorker)


class JobPool(DaskPool):
    """Workers that are jobs of a batch system.

    Parameters
    ----------
    client : distributed.Client
        Connected client.
    scheduler : distributed.Scheduler
        Lives in this process.
    jobs : WorkerJobs
        Keeps the jobs at the number that is needed.
    dashboard : str or None
        Address of Dask's own view of the work.
    """

    def __init__(self, client: Any, scheduler: Any, jobs: WorkerJobs, dashboard: str | None) -> None:
        super().__init__(client, 1, dashboard)
        self._scheduler, self._jobs = scheduler, jobs

    @property
    def slots(self) -> int:
        """Batches that run side by side at present; one while there is no worker yet."""
        return max(1, len(self._scheduler.workers))

    def demand(self, batches: int) -> None:
        """Ask for as many jobs as these batches can use."""
        self._jobs.demand(batches)

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Look after the jobs, then wait for batches."""
        self._jobs.keep(len(self._scheduler.workers))
        return super().wait(handles, timeout)


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
def open_pool(profile: Profile, root: Path, tell: Callable[[str], None]) -> Iterator[Pool]:
    """Workers as a profile says, closed at the end.

    Parameters
    ----------
    profile : Profile
        Resolved.
    root : Path
        The run directory; jobs keep their scripts, logs and certificates there.
    tell : callable
        Gets what people should know, in words.

    Raises
    ------
    ClusterError
        If the cluster does not start or cannot be reached.
    """
    if profile.scheduler == "sync":
        yield SyncPool()
        return
    import dask

    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        "distributed.admin.tick.limit": "60s",  # a busy machine is no news
        "distributed.nanny.pre-spawn-environ": environment(profile.threads or 1),
    }
    with dask.config.set(settings):
        if profile.is_batch and profile.single_allocation and not own_number(profile):
            raise ClusterError(
                "single_allocation: driver and workers share one job, and this process is in none; "
                "give the study to: membrane-dask submit"
            )
        if profile.is_batch and not (profile.single_allocation and profile.scheduler != "slurm"):
            system = SlurmSteps(profile) if profile.single_allocation else batch_system(profile)
            with job_cluster(profile, root, system, tell) as (client, cluster, jobs), _loss_of_the_scheduler():
                yield JobPool(client, cluster.scheduler, jobs, _drawn(_dashboard(cluster.scheduler)))
        elif profile.scheduler == "local" or profile.single_allocation:
            from distributed import Client

            with _local_cluster(profile) as local, Client(local) as client, _loss_of_the_scheduler():
                yield DaskPool(client, default_workers(profile), _drawn(client.dashboard_link))
        else:
            with _standing_cluster(profile, tell) as client, _loss_of_the_scheduler():
                yield DaskPool(client, max(1, sum(client.nthreads().values())), client.dashboard_link)


def _dashboard(scheduler: Any) -> str | None:
    """It listens on the loopback alone, whatever address the workers use."""
    server = scheduler.services.get("dashboard")
    return f"http://127.0.0.1:{server.port}/status" if server else None


def _drawn(link: str | None) -> str | None:
    return link if importlib.util.find_spec("bokeh") is not None else None  # without it the page is empty


@contextmanager
def _standing_cluster(profile: Profile, tell: Callable[[str], None]) -> Iterator[Any]:
    from distributed import Client

    address = profile.name
    host = re.sub(r"^\w+://|:\d+$", "", address).strip("[]")
    if not address.startswith(("tls://", "wss://")) and host not in ("127.0.0.1", "localhost", "::1"):
        tell(f"WARNING: {address} is not encrypted: whoever reaches it over the network can run code as you")
    try:
        client = Client(address, timeout="20s")
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        patience = profile.patience or 60.0
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError as error:
            raise ClusterError(f"the scheduler at {address} got no worker within {patience:g} s") from error
        yield client


def _local_cluster(profile: Profile) -> Any:
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=default_workers(profile),
            threads_per_worker=1,  # kernels use one core each; threads would share the interpreter
            processes=True,
            memory_limit=worker_memory(profile),
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs=logging.CRITICAL,
        )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"the local cluster did not start ({error}); {GUARD}") from error


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
