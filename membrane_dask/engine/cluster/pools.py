"""Worker pools: this process, processes on this machine, jobs of a batch system, or a running Dask cluster."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.cluster.worker_jobs import WorkerJobs, job_cluster
from membrane_dask.engine.plan import default_workers, environment
from membrane_dask.engine.schedulers import batch_system, own_job_id
from membrane_dask.engine.schedulers.slurm import SlurmSteps
from membrane_dask.errors import ClusterError

#: Deaths of its worker after which Dask returns a task as failed, less one. Dask counts every task assigned to
#: a dying worker, so the executor then sends the units of the batch one by one.
ALLOWED_FAILURES = 1
#: In place of a result that was lost with its worker: Dask repeats the call, once there is a worker.
RESULT_LOST: Any = object()
#: Time in which finished results must arrive, in seconds; those of workers that died never do.
GATHER_TIMEOUT = 20.0
#: Worker processes import the script that calls run().
MAIN_GUARD_HINT = 'in a script, call run() under `if __name__ == "__main__":`'
#: Time in which the scheduler of a running Dask cluster must answer.
SCHEDULER_TIMEOUT = "20s"
#: Time in which a running Dask cluster must have a worker, in seconds, unless the profile sets it.
DEFAULT_WORKER_TIMEOUT = 60.0
#: Processes that have started or connected to workers: this one, or those that it is a fork of.
_processes: set[int] = set()


class Handle(Protocol):
    """A submitted call."""

    def result(self) -> Any:
        """Return what the call returned, or raise what it raised."""

    def release(self) -> None:
        """Forget the call and its result."""


class Pool(Protocol):
    """Workers that execute calls."""

    #: URL of Dask's dashboard, if there is one.
    dashboard: str | None

    @property
    def slots(self) -> int:
        """Number of calls that run at the same time at present."""

    def demand(self, batches: int) -> None:
        """Set the number of open batches, submitted or not, from which the number of workers follows."""

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Submit one call under a unique name."""

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Wait for the first calls to finish, at most ``timeout`` seconds, and return the finished ones."""

    def results(self, handles: list[Handle]) -> list[Any]:
        """Results of finished calls: the Exception for a call that failed, RESULT_LOST for one that is repeated."""

    def is_lost_worker(self, error: BaseException) -> bool:
        """Whether a call failed because its workers died."""


class _LocalCall:
    """A call that runs when its result is requested."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args

    def result(self) -> Any:
        return self._function(*self._args)

    def release(self) -> None:
        pass


def _result_or_error(handle: Handle) -> Any:
    try:
        return handle.result()
    except Exception as error:
        return error


class SyncPool:
    """Execution in this process, one call after another, for debuggers."""

    slots = 1
    dashboard: str | None = None

    def demand(self, batches: int) -> None:
        """Do nothing: there is one worker."""

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Store a call until its result is requested."""
        return _LocalCall(function, args)

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Return the first call at once."""
        return handles[:1]

    def results(self, handles: list[Handle]) -> list[Any]:
        """Execute the calls."""
        return [_result_or_error(handle) for handle in handles]

    def is_lost_worker(self, error: BaseException) -> bool:
        """Return False: there is no worker process."""
        return False


class _Call:
    """A call that is made where it is unpickled, and unpickled as its result."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._function, self._args


class DaskPool:
    """Workers of a Dask cluster of fixed size.

    Parameters
    ----------
    client : distributed.Client
        Connected client.
    slots : int
        Number of calls that run at the same time.
    dashboard : str or None
        URL of Dask's dashboard.
    """

    def __init__(self, client: Any, slots: int, dashboard: str | None) -> None:
        self._client = client
        self._slots = slots
        self.dashboard = dashboard

    @property
    def slots(self) -> int:
        """Number of calls that run at the same time at present."""
        return self._slots

    def demand(self, batches: int) -> None:
        """Do nothing: the number of workers is fixed."""

    def submit(self, name: str, function: Callable[..., Any], *args: Any) -> Handle:
        """Submit one call under a unique name."""
        import cloudpickle

        # As bytes: a worker that cannot load them, as it lacks a package or has another version, reports this as the
        # error of the call; Dask would load arguments while it reads its messages, and lose the worker without a word.
        call = cloudpickle.dumps(_Call(function, args))
        future: Handle = self._client.submit(pickle.loads, call, key=name, pure=False)
        return future

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Wait for the first calls to finish, at most ``timeout`` seconds, and return the finished ones.

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
            raise ClusterError(
                f"the connection to the scheduler was lost (client is {self._client.status}); run again to resume"
            )
        # A call with status "lost" finished on a worker that died before the result was read: Dask repeats it.
        cancelled = [handle for handle in handles if getattr(handle, "status", "") == "cancelled"]
        if cancelled:
            raise ClusterError(f"the scheduler lost {len(cancelled)} batches; run again to resume")
        return [handle for handle in handles if handle in finished]

    def results(self, handles: list[Handle]) -> list[Any]:
        """Results of finished calls: the Exception for a call that failed, RESULT_LOST for one that is repeated.

        This never waits for a worker: where the last one has just died, new jobs are submitted by :meth:`wait` only.
        """
        results = {handle: _result_or_error(handle) for handle in handles if getattr(handle, "status", "") == "error"}
        succeeded: list[Any] = [handle for handle in handles if getattr(handle, "status", "") == "finished"]
        gather = functools.partial(self._client.gather, succeeded, asynchronous=True)
        with contextlib.suppress(Exception):  # a worker died just now; what the others have is read the next time
            values = self._client.sync(gather, callback_timeout=GATHER_TIMEOUT)
            results.update(zip(succeeded, values, strict=True))
        return [results.get(handle, RESULT_LOST) for handle in handles]

    def is_lost_worker(self, error: BaseException) -> bool:
        """Whether a call failed because its workers died."""
        from distributed import KilledWorker

        return isinstance(error, KilledWorker)


class JobPool(DaskPool):
    """Workers in jobs of a batch system, whose number follows the open batches.

    Parameters
    ----------
    client : distributed.Client
        Connected client.
    scheduler : distributed.Scheduler
        Scheduler in this process.
    jobs : WorkerJobs
        The worker jobs.
    dashboard : str or None
        URL of Dask's dashboard.
    """

    def __init__(self, client: Any, scheduler: Any, jobs: WorkerJobs, dashboard: str | None) -> None:
        super().__init__(client, 1, dashboard)
        self._scheduler, self._jobs = scheduler, jobs

    @property
    def slots(self) -> int:
        """Number of calls that run at the same time at present; one while no worker is connected."""
        return max(1, len(self._scheduler.workers))

    def demand(self, batches: int) -> None:
        """Set the number of open batches, from which the number of jobs follows."""
        self._jobs.demand(batches)

    def wait(self, handles: list[Handle], timeout: float) -> list[Handle]:
        """Update the worker jobs, then wait for the first calls to finish.

        Raises
        ------
        ClusterError
            If no worker connects, or if the connection to the scheduler is lost.
        """
        self._jobs.update(len(self._scheduler.workers))
        return super().wait(handles, timeout)


@contextmanager
def _scheduler_loss_as_cluster_error() -> Iterator[None]:
    """Raise one ClusterError for the several exceptions by which Dask reports that its scheduler is gone."""
    from concurrent.futures import CancelledError

    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else repr(error)
        raise ClusterError(f"the connection to the scheduler was lost ({reason}); run again to resume") from error


@contextmanager
def open_pool(profile: Profile, root: Path, notify: Callable[[str], None]) -> Iterator[Pool]:
    """Start or connect to the workers of a profile; they are stopped or disconnected at the end.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile.
    root : Path
        The run directory; jobs keep their scripts, output and certificates there.
    notify : callable
        Receives messages for the user.

    Yields
    ------
    Pool

    Raises
    ------
    ClusterError
        If the cluster does not start or cannot be reached.
    """
    if profile.scheduler == "sync":
        yield SyncPool()
        return
    require_process_of_workers()
    _processes.add(os.getpid())
    import dask
    import distributed  # noqa: F401  # its defaults must be there before the settings, which are undone at the end

    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        "distributed.admin.tick.limit": "60s",  # no warnings on a busy machine
        # A local cluster removes a worker for good that is absent this time after its death, even if its nanny is
        # just starting it again: on a busy machine a run would lose all its workers and wait for ever.
        "distributed.deploy.lost-worker-timeout": "10000h",
        "distributed.nanny.pre-spawn-environ": environment(profile.threads or 1),
        # With the profiler, a worker that starts a thread while its frames are sampled may wait for itself for ever:
        # sys._current_frames() holds a lock of the interpreter while it may collect garbage (CPython issue 106883).
        "distributed.worker.profile.enabled": False,
        # Pages of the dashboard only: no proxy to other servers, and nothing that workers answer to every user.
        "distributed.scheduler.http.routes": [
            f"distributed.http.{name}" for name in ("scheduler.info", "scheduler.json", "health", "statics")
        ],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(settings):
        if profile.is_batch and profile.single_allocation and not own_job_id(profile):
            raise ClusterError(
                "single_allocation: driver and workers run in one job, and this process runs in none; "
                "submit the study with: membrane-dask submit"
            )
        if profile.is_batch and not (profile.single_allocation and profile.scheduler != "slurm"):
            system = SlurmSteps(profile) if profile.single_allocation else batch_system(profile)
            with (
                job_cluster(profile, root, system, notify) as (client, scheduler, jobs),
                _scheduler_loss_as_cluster_error(),
            ):
                yield JobPool(client, scheduler, jobs, _if_rendered(_dashboard_url(scheduler)))
        elif profile.scheduler == "local" or profile.single_allocation:
            from distributed import Client

            with _local_cluster(profile) as cluster, Client(cluster) as client, _scheduler_loss_as_cluster_error():
                yield DaskPool(client, default_workers(profile), _if_rendered(client.dashboard_link))
        else:
            with _running_cluster(profile, notify) as client, _scheduler_loss_as_cluster_error():
                yield DaskPool(client, max(1, sum(client.nthreads().values())), client.dashboard_link)


def _dashboard_url(scheduler: Any) -> str | None:
    """URL of the dashboard, which listens on the loopback interface only, whatever address the workers use."""
    server = scheduler.services.get("dashboard")
    return f"http://127.0.0.1:{server.port}/status" if server else None


def _if_rendered(url: str | None) -> str | None:
    """``url`` if Bokeh is installed; without it the dashboard is an empty page."""
    return url if importlib.util.find_spec("bokeh") is not None else None


def require_client(client: Any) -> None:
    """Refuse what is no connected client.

    Raises
    ------
    TypeError
        If it is no client, or one for coroutines.
    ClusterError
        If it is not connected.
    """
    from distributed import Client

    if not isinstance(client, Client) or client.asynchronous:
        kind = "an asynchronous client" if isinstance(client, Client) else type(client).__name__
        raise TypeError(f"client: must be a distributed.Client with asynchronous=False (got {kind})")
    if client.status != "running" or client.scheduler is None:
        raise ClusterError(f"client: is {client.status}; connect it, or leave it out")


def require_process_of_workers() -> None:
    """Refuse a fork of a process that has used workers: it has none of the threads that talk to them.

    Raises
    ------
    ClusterError
        With the start method that works.
    """
    if any(process != os.getpid() for process in _processes):
        raise ClusterError(
            "this process is a fork of one that has run a study, and a run here would wait for ever: start processes "
            'with multiprocessing.get_context("spawn")'
        )


@contextmanager
def client_pool(client: Any, notify: Callable[[str], None]) -> Iterator[Pool]:
    """The workers of a connected client, which stays connected.

    Parameters
    ----------
    client : distributed.Client
        A client of the user's own cluster.
    notify : callable
        Receives messages for the user.

    Yields
    ------
    Pool

    Raises
    ------
    TypeError
        If it is no client, or one for coroutines.
    ClusterError
        If it is not connected, or has no workers.
    """
    require_client(client)
    address = str(client.scheduler.address)
    try:
        client.wait_for_workers(1, timeout=DEFAULT_WORKER_TIMEOUT)
    except TimeoutError as error:
        raise ClusterError(f"the scheduler at {address} got no worker within {DEFAULT_WORKER_TIMEOUT:g} s") from error
    _warn_of_open_transport(address, notify)
    with _scheduler_loss_as_cluster_error():
        yield DaskPool(client, max(1, sum(client.nthreads().values())), client.dashboard_link)


def _warn_of_open_transport(address: str, notify: Callable[[str], None]) -> None:
    """Say who can use a scheduler whose transport is not authenticated."""
    if address.startswith(("tls://", "wss://", "inproc://")):
        return
    host = re.sub(r"^\w+://|:\d+$", "", address).strip("[]")
    local = host in ("127.0.0.1", "localhost", "::1")
    attackers = "every user of this machine" if local else "whoever reaches it over the network"
    notify(f"WARNING: {address} is not encrypted: {attackers} can run code as you")


@contextmanager
def _running_cluster(profile: Profile, notify: Callable[[str], None]) -> Iterator[Any]:
    from distributed import Client

    address = profile.name
    _warn_of_open_transport(address, notify)
    try:
        client = Client(address, timeout=SCHEDULER_TIMEOUT)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        timeout = profile.worker_timeout or DEFAULT_WORKER_TIMEOUT
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise ClusterError(f"the scheduler at {address} got no worker within {timeout:g} s") from error
        yield client


@contextmanager
def _local_cluster(profile: Profile) -> Iterator[Any]:
    from membrane_dask.engine.cluster.local_workers import local_cluster

    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(local_cluster(profile))
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ClusterError(f"the local cluster did not start ({error}); {MAIN_GUARD_HINT}") from error
        yield cluster
