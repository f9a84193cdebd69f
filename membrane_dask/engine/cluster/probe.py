"""Does a cluster profile work? One job, one worker, step by step, and in words which step failed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from membrane_dask.engine.cluster.driver_series import driver_script
from membrane_dask.engine.cluster.pools import open_pool
from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.cluster.worker_jobs import lifetime
from membrane_dask.engine.schedulers import SYSTEMS, batch_system
from membrane_dask.engine.schedulers.base import WorkerCall
from membrane_dask.errors import ClusterError

#: Bytes that the worker writes and this process reads back.
_WORDS = b"written on the node\n"


def scripts(profile: Profile) -> dict[str, str]:
    """Scripts that a profile leads to: ``worker`` and ``driver``, with placeholders for what a run knows."""
    system = batch_system(profile)
    arguments = ["--no-dashboard"]
    if profile.walltime:
        seconds, stagger = lifetime(profile.walltime)
        arguments += ["--lifetime", f"{seconds}s", "--lifetime-stagger", f"{stagger}s"]
    security = None
    if profile.tls:
        from distributed import Security

        security = Security(
            require_encryption=True,
            tls_ca_file="RUN/.tls/ca_file.pem", tls_worker_cert="RUN/.tls/cert.pem", tls_worker_key="RUN/.tls/key.pem",
        )  # fmt: skip
    call = WorkerCall("tls://DRIVER:PORT" if profile.tls else "tcp://DRIVER:PORT", "worker-1", security, arguments)
    here = str(Path("RUN").resolve())
    return {
        "worker": system.worker_script(call, "RUN/logs/jobs"),
        "driver": driver_script(system, Path("RUN")).replace(here, "RUN"),
    }


def try_cluster(profile: Profile, folder: Path, tell: Callable[[str], None]) -> None:
    """Submit one job, wait for one worker, import the package there, write from there.

    Parameters
    ----------
    profile : Profile
        Resolved; one worker of it is tried.
    folder : Path
        Where runs will lie; must be shared with the nodes.
    tell : callable
        Gets a line for each step that is done.

    Raises
    ------
    ClusterError
        With the step that failed, and all that is known of why.
    """
    one = profile.model_copy(update={"jobs": 1, "workers": 1})
    if profile.scheduler in SYSTEMS:
        with _step("find the batch system's commands"):
            batch_system(one).require()
        tell(f"commands are here: {', '.join(SYSTEMS[str(one.scheduler)].commands)}")
    with _step(f"make a directory in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix=".cluster-test-", dir=folder)).resolve()
    kept = True
    try:
        with contextlib.ExitStack() as stack:
            with _step("get a worker"):
                pool = stack.enter_context(open_pool(one, root, tell))
                start = time.monotonic()
                pool.demand(1)
                names = _ask(pool, "import", _look_around)
            tell(f"a worker answered after {time.monotonic() - start:.1f} s, on {names['host']}")
            with _step("find the same membrane-dask on the node"):
                _same(names)
            tell(f"it has the same membrane-dask {names['membrane-dask']}, Python {names['python']}")
            with _step(f"write to {root} on the node and read it here"):
                _ask(pool, "write", _write, str(root / "from-the-node"))
                _read(root / "from-the-node")
            tell(f"what it writes to {folder} is seen here")
        kept = False
    finally:
        if not kept:
            shutil.rmtree(root, ignore_errors=True)
        elif root.exists():
            tell(f"scripts and logs of this test are kept in {root / 'logs' / 'jobs'}")


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except (ClusterError, OSError, RuntimeError, ImportError) as error:
        raise ClusterError(f"could not {what}: {error}") from error


def _ask(pool: Any, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    handle = pool.submit(f"test-{name}-{time.time_ns()}", function, *arguments)
    while handle not in pool.wait([handle], timeout=1.0):
        pass
    return handle.result()


def _look_around() -> dict[str, str]:
    import platform

    from membrane_dask import __version__

    return {"host": platform.node(), "membrane-dask": __version__, "python": platform.python_version()}


def _same(there: dict[str, str]) -> None:
    here = _look_around()
    for what in ("membrane-dask", "python"):
        if there[what].split(".")[:2] != here[what].split(".")[:2] or (what != "python" and there[what] != here[what]):
            raise ClusterError(
                f"{what} is {there[what]} there and {here[what]} here; the word `python` says which to run"
            )


def _write(path: str) -> None:
    Path(path).write_bytes(_WORDS)


def _read(path: Path) -> None:
    deadline = time.monotonic() + 30  # a network file system may take a while to show what another node wrote
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    if not path.exists() or path.read_bytes() != _WORDS:
        raise ClusterError("what the node wrote is not seen here; runs need a directory that both share")
