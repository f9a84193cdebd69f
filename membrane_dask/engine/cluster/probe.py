"""Test of a cluster profile: one job with one worker, step by step, with an error that names the failed step."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from membrane_dask.engine.cluster.driver_series import driver_job_script
from membrane_dask.engine.cluster.pools import Pool, open_pool
from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.cluster.worker_jobs import WORKER_HTTP, lifetime_arguments
from membrane_dask.engine.schedulers import BATCH_SYSTEM_CLASSES, batch_system
from membrane_dask.engine.schedulers.base import WorkerCommand
from membrane_dask.errors import ClusterError

#: Bytes that the worker writes and this process reads.
_CONTENT = b"written on the node\n"
#: Time in seconds in which a network file system must show what another machine wrote.
_FILE_TIMEOUT = 30.0


def example_scripts(profile: Profile) -> dict[str, str]:
    """Job scripts of a batch system's profile, with placeholders for the data of a run.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile.

    Returns
    -------
    dict of str to str
        Scripts of a ``worker`` and of the ``driver``.
    """
    system = batch_system(profile)
    arguments = [*WORKER_HTTP, *lifetime_arguments(profile)]
    security = None
    if profile.tls:
        from distributed import Security

        security = Security(
            require_encryption=True,
            tls_ca_file="RUN/.tls/ca_file.pem", tls_worker_cert="RUN/.tls/cert.pem", tls_worker_key="RUN/.tls/key.pem",
        )  # fmt: skip
    worker = WorkerCommand("tls://DRIVER:PORT" if profile.tls else "tcp://DRIVER:PORT", "worker-1", security, arguments)
    root = Path("RUN")
    return {
        "worker": system.worker_script(worker, "RUN/logs/jobs"),
        "driver": driver_job_script(system, root, "md-RUN").replace(str(root.resolve()), "RUN"),
    }


def probe_cluster(profile: Profile, folder: Path, notify: Callable[[str], None]) -> None:
    """Submit one job, wait for its worker, import the package there and write a file there.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile, of which one worker is started.
    folder : Path
        Folder of future runs, on a file system shared with the nodes.
    notify : callable
        Receives a line for each step that passed.

    Raises
    ------
    ClusterError
        With the step that failed and its reasons.
    """
    single = profile.model_copy(update={"jobs": 1, "workers": 1})
    if profile.scheduler in BATCH_SYSTEM_CLASSES:
        with _step("find the batch system's commands"):
            batch_system(single).check_commands()
        notify(f"the commands are on the PATH: {', '.join(BATCH_SYSTEM_CLASSES[str(profile.scheduler)].commands)}")
    with _step(f"create a directory in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix=".cluster-test-", dir=folder)).resolve()
    passed = False
    try:
        with contextlib.ExitStack() as stack:
            with _step("get a worker"):
                pool = stack.enter_context(open_pool(single, root, notify))
                start = time.monotonic()
                pool.demand(1)
                versions = _call(pool, "import", _describe_installation)
            notify(f"a worker answered after {time.monotonic() - start:.1f} s, on {versions['host']}")
            with _step("run the same membrane-dask on the node"):
                _compare_versions(versions)
            notify(f"the node has the same membrane-dask {versions['membrane-dask']}, Python {versions['python']}")
            with _step(f"write to {root} on the node and read it here"):
                _call(pool, "write", _write_content, str(root / "from-the-node"))
                _check_content(root / "from-the-node")
            notify(f"files that the node writes to {folder} can be read here")
        passed = True
    finally:
        if passed:
            shutil.rmtree(root, ignore_errors=True)
        elif root.exists():
            notify(f"scripts and output of this test are in {root / 'logs' / 'jobs'}")


@contextlib.contextmanager
def _step(action: str) -> Iterator[None]:
    """Name the step in the message of an error inside."""
    try:
        yield
    except (ClusterError, OSError, RuntimeError, ImportError) as error:
        raise ClusterError(f"could not {action}: {error}") from error


def _call(pool: Pool, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Result of a call on a worker."""
    handle = pool.submit(f"test-{name}-{time.time_ns()}", function, *arguments)
    while handle not in pool.wait([handle], timeout=1.0):
        pass
    return handle.result()


def _describe_installation() -> dict[str, str]:
    import platform

    from membrane_dask import __version__

    return {"host": platform.node(), "membrane-dask": __version__, "python": platform.python_version()}


def _compare_versions(node: dict[str, str]) -> None:
    """Refuse another version of membrane-dask, or another minor version of Python, on the node."""
    local = _describe_installation()
    if node["membrane-dask"] != local["membrane-dask"]:
        name = "membrane-dask"
    elif node["python"].split(".")[:2] != local["python"].split(".")[:2]:
        name = "python"
    else:
        return
    raise ClusterError(
        f"the node has {name} {node[name]} and this machine {local[name]}; "
        "the key `python` selects the interpreter of the nodes"
    )


def _write_content(path: str) -> None:
    Path(path).write_bytes(_CONTENT)


def _check_content(path: Path) -> None:
    deadline = time.monotonic() + _FILE_TIMEOUT
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    if not path.exists() or path.read_bytes() != _CONTENT:
        raise ClusterError(
            f"a file that the node wrote does not appear here within {_FILE_TIMEOUT:g} s; choose with --out a "
            "directory on a file system that the nodes mount too"
        )
