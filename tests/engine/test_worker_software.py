"""Workers of a standing Dask cluster whose code or versions are not the driver's: refused, or recorded."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from changing_kind import start, write

import membrane_dask
from membrane_dask.engine.run import Run
from membrane_dask.errors import ClusterError

PACKAGE = Path(membrane_dask.__file__).parent


@pytest.fixture(autouse=True)
def _restore_imports(monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[str]:
    """Address of a scheduler, in a process that has the kind of the tests as the driver has it."""
    folder = tmp_path_factory.mktemp("scheduler")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
    with process(folder, "scheduler", *options, path=write(folder / "kind")):
        yield f"tcp://127.0.0.1:{port}"


@contextlib.contextmanager
def process(folder: Path, *arguments: str, path: Path) -> Iterator[None]:
    """A process of Dask that imports from a folder first."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    with (folder / f"{arguments[0]}.log").open("w") as log:
        command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
        started = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            started.terminate()
            started.wait(20)


def run_on(scheduler: str, tmp_path: Path, path: Path, **cluster: str) -> tuple[Run, str]:
    """Run the study on one worker that imports from ``path``."""
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path)]
    with process(tmp_path, "worker", scheduler, *options, path=path):
        return start(write(tmp_path / "driver"), tmp_path / "run", cluster={"profile": scheduler, **cluster})


def copied_package(folder: Path) -> Path:
    """A copy of the package and the kind of the tests, as an installation on another machine."""
    shutil.copytree(PACKAGE, folder / "membrane_dask", ignore=shutil.ignore_patterns("__pycache__"))
    return write(folder)


def nothing_written(tmp_path: Path) -> bool:
    chunks = [path for path in (tmp_path / "run" / "result.zarr" / "values").rglob("c/*")]
    labels = [path for path in chunks if path.parts[-3] in ("number", "three")]
    return chunks == labels and Run(tmp_path / "run").status()["done"] == 0


def test_equal_code_in_another_directory_is_accepted(scheduler, tmp_path):
    run, _ = run_on(scheduler, tmp_path, copied_package(tmp_path / "node"))
    assert run.status()["state"] == "complete"
    assert run.software_notes() == []
    assert "workers" not in run.provenance


def test_other_sources_are_refused_whatever_the_profile_says(scheduler, tmp_path):
    node = write(tmp_path / "node", helper=("return 2.0 * x", "return 2.0048 * x"))
    with pytest.raises(ClusterError) as raised:
        run_on(scheduler, tmp_path, node, version_mismatch="record")
    text = str(raised.value)
    assert f"a worker on {os.uname().nodename} has other sources (digest " in text
    assert Run(tmp_path / "run").provenance["starts"][0]["sources"] in text
    assert "): changingkind.helper. Install the same code on both" in text
    assert nothing_written(tmp_path)


def test_other_sources_of_the_package_are_refused(scheduler, tmp_path):
    node = copied_package(tmp_path / "node")
    path = node / "membrane_dask" / "engine" / "store.py"
    path.write_text(path.read_text().replace("converted(value, target)", "converted(value * 1, target)"))
    with pytest.raises(ClusterError, match=r"has other sources .*: membrane_dask\.engine\.store\. Install"):
        run_on(scheduler, tmp_path, node)
    assert nothing_written(tmp_path)


def test_changed_docstrings_on_a_worker_do_not_matter(scheduler, tmp_path):
    run, _ = run_on(scheduler, tmp_path, write(tmp_path / "node", helper=("Docstring", "Other words")))
    assert run.status()["state"] == "complete"


def test_a_package_that_does_not_compare_its_software_is_refused(scheduler, tmp_path):
    """As that of a version before this check: it has the same version number and would compute."""
    node = copied_package(tmp_path / "node")
    (node / "membrane_dask" / "engine" / "software.py").unlink()
    path = node / "membrane_dask" / "engine" / "worker.py"
    text = path.read_text().replace("from membrane_dask.engine.software import Requirement, Software\n", "")
    text = text.replace("Requirement | None", "object").replace("Software | None", "object")
    path.write_text(text.replace("result.refused, result.versions = options.software.check()", "pass"))
    with pytest.raises(ClusterError, match=r"cannot execute the batches of this driver .*install the same version"):
        run_on(scheduler, tmp_path, node)
    assert nothing_written(tmp_path)


def test_a_worker_without_the_package_of_the_kind_is_refused(scheduler, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClusterError, match=r"ModuleNotFoundError: No module named 'changingkind'\); install"):
        run_on(scheduler, tmp_path, tmp_path / "empty")
    assert nothing_written(tmp_path)


def test_other_versions_are_refused_or_recorded(scheduler, tmp_path):
    import numpy as np

    node = write(tmp_path / "node")
    (node / "sitecustomize.py").write_text("import numpy\nnumpy.__version__ = '1.26.0'\n")
    with pytest.raises(ClusterError) as raised:
        run_on(scheduler, tmp_path, node)
    text = str(raised.value)
    assert f"a worker on {os.uname().nodename} has other versions than this driver: numpy 1.26.0 (driver" in text
    assert f"pip install 'numpy=={np.__version__}'" in text
    assert "--set cluster.version_mismatch=record" in text
    assert nothing_written(tmp_path)
    run, _ = run_on(scheduler, tmp_path, node, version_mismatch="record")
    assert run.status()["state"] == "complete"
    host = os.uname().nodename
    assert run.provenance["workers"] == [{"host": host, "versions": {"numpy": "1.26.0"}, "batches": 4, "units": 12}]
    assert f"12 units are from workers with other versions than the driver: {host} (numpy 1.26.0)" in str(run)
    assert [r["versions"] for r in run.journal.records() if "done" in r] == 4 * [{"numpy": "1.26.0"}]


def test_code_that_changes_under_local_workers_is_refused(tmp_path):
    """A worker that is started again during the run imports what is on disk now."""
    import threading

    folder = write(tmp_path / "a")

    def change() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):
                workers = [r["worker"] for r in Run(tmp_path / "run").journal.records() if "worker" in r]
                if workers:
                    path = folder / "changingkind" / "helper.py"
                    path.write_text(path.read_text().replace("2.0 * x", "2.5 * x"))
                    os.kill(int(workers[0].rpartition("-")[2]), 9)
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with pytest.raises(ClusterError, match=r"changingkind\.helper.* after a change of the code while this process"):
            start(folder, tmp_path / "run", units=100, seconds=0.1, cluster={"profile": "local", "workers": 1})
    finally:
        thread.join()
    values = Run(tmp_path / "run").result["values"]["value"].values
    assert set(values[~(values != values)] / (1 + (~(values != values)).nonzero()[0])) == {2.0}
