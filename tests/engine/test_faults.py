"""Full disks, several drivers of one run, and safety of paths, HTML, caches and stored data."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy

import membrane_dask as md
from membrane_dask import api
from membrane_dask.engine.executor import failure_path
from membrane_dask.engine.lock import DriverLock, RunBusyError
from membrane_dask.engine.run import prepare
from membrane_dask.files import write_json
from membrane_dask.notebook_html import table

SYNC = {"profile": "sync"}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1.5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "none", folder], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"cannot mount a small file system: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow  # on workers; tests/engine/test_full_disk.py fills disks without them
def test_a_run_stopped_by_a_full_disk_resumes(small_disk, command, values_of, tmp_path):
    study = tmp_path / "filter.yaml"
    study.write_text(
        "kind: graded\nbands: 2\nl_max: 0.25\nradius: 0.02\ngradient: [0.0, 0.01, 0.02]\nrealizations: 30\n"
        "execution: {batch: 3}\ncluster: {workers: 2}\n"
    )
    full = command("run", study, "--out", small_disk / "run")
    assert full.returncode == 75, full.stderr
    assert "No space left on device" in full.stderr
    assert "run again to resume" in full.stderr
    before = md.open_run(small_disk / "run").status()
    assert 0 < before["done"] < 90, "the disk is too small or too large for this test"
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    resumed = command("run", study, "--out", small_disk / "run", "--set", "cluster.profile=sync")
    assert resumed.returncode == 0, resumed.stderr
    reference = md.run(md.load_study(study, cluster=SYNC), tmp_path / "reference")
    assert values_of(md.open_run(small_disk / "run")) == values_of(reference)
    assert f"{before['done']} of 90 units are done" in resumed.stderr


def _write_heartbeat(run, beat: float) -> None:
    """Write the heartbeat of a driver on another host."""
    driver = {"host": "another-host", "pid": 1, "born": 0.0, "beat": beat, "in_flight": 3, "dashboard": None}
    write_json(run.path / "driver.json", driver)


def test_a_driver_on_another_host_locks_the_run(tmp_path, command):
    """By its heartbeat, for file systems whose locks do not work between hosts; for a minute after the last one."""
    run = prepare(toy.toy_plan(cluster=SYNC), tmp_path / "run")
    _write_heartbeat(run, time.time())
    assert run.status()["state"] == "running"
    assert run.status()["running"] == 3
    with pytest.raises(RunBusyError, match="process 1 on another-host"), DriverLock(run.path):
        pass
    _write_heartbeat(run, time.time() - 61)
    assert run.status()["state"] == "empty"
    api.execute(run, toy.toy_plan(cluster=SYNC), listener=lambda event: None)
    assert run.status()["state"] == "complete"


def test_a_process_that_reuses_the_number_of_a_driver_is_no_driver(tmp_path):
    """The start times of the processes differ."""
    run = prepare(toy.toy_plan(cluster=SYNC), tmp_path / "run")
    driver = {"host": socket.gethostname(), "pid": os.getppid(), "born": 1.0, "beat": time.time(), "in_flight": 0}
    write_json(run.path / "driver.json", driver)
    assert DriverLock.active_driver(run.path) is None


DRIVER = """
import sys; sys.path.insert(0, {here!r})
import toy, pathlib
if __name__ == "__main__":
    toy.run_toy(pathlib.Path(sys.argv[1]), rows=4, seconds=0.02, cluster={{"profile": "local", "workers": 1}})
"""


@pytest.mark.slow  # tests/engine/test_locks.py lets twelve processes race, and refuses a second driver with a message
def test_of_two_drivers_one_works(tmp_path, values_of):
    """One works, the other stops with an error; the result is that of a single driver."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(here=str(Path(__file__).parent)))
    drivers = [
        subprocess.Popen([sys.executable, script, tmp_path / "run"], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in drivers]
    assert sorted(code for _, code in ends) == [0, 1]
    message = next(stderr for stderr, code in ends if code)
    assert "RunBusyError" in message
    reference = toy.run_toy(tmp_path / "reference", rows=4, cluster=SYNC)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(reference)


def test_failure_files_stay_in_their_directory(tmp_path):
    for key in ("../../etc/passwd", "/etc/passwd", "a/b", "..", "a\0b", "a\nb"):
        path = failure_path(tmp_path, key)
        assert path.parent == tmp_path / "failures", key
        assert path.resolve().parent == (tmp_path / "failures").resolve()


@pytest.mark.parametrize("name", ["../up", "/abs", "a/b", "..", ".hidden", "a b", "a\nb", "-rf"])
def test_names_of_runs_are_no_paths(tmp_path, name):
    study = tmp_path / "filter.yaml"
    study.write_text(f"kind: graded\nname: {json.dumps(name)}\n")
    with pytest.raises(md.StudyError, match="name"):
        md.load_study(study)


def test_names_are_escaped_in_html():
    assert "<script>" not in table("<script>alert(1)</script>", [("<script>", "<script>")])


def test_no_module_executes_stored_data(root):
    """A run directory may come from others: no module reads pickles, evaluates text, or loads YAML unsafely."""
    for path in sorted((root / "membrane_dask").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call):
                called = node.func
                names = [called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")]
                assert not any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords), path
                assert not any(k.arg == "typ" and getattr(k.value, "value", "") == "unsafe" for k in node.keywords)
            if path.name == "pools.py":  # the driver's own calls, which Dask would pickle as well
                names = [name for name in names if name not in ("pickle", "cloudpickle")]
            for name in names:
                assert name not in ("pickle", "cloudpickle", "joblib", "shelve", "eval", "exec", "marshal"), path


def test_the_compilation_cache_belongs_to_the_user(tmp_path):
    """A folder that another user created could hold their code."""
    code = "from membrane_dask.physics import _jit; import numba; print(numba.config.CACHE_DIR)"
    environment = {**os.environ, "MEMBRANE_DASK_CACHE": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)

    def folder() -> str:
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    own = Path(folder())
    assert own.parent == tmp_path
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)
    assert Path(folder()) != own
    shutil.rmtree(own)
    own.symlink_to(tmp_path)
    assert Path(folder()) != own


def test_a_result_lost_with_its_worker_is_computed_again():
    """The call has finished and its result is not read yet: Dask repeats the call on another worker."""
    from distributed import Client, LocalCluster

    from membrane_dask.engine.cluster.pools import DaskPool

    def process_id() -> int:
        time.sleep(1.0)  # time during which the result is missing
        return os.getpid()

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        pool = DaskPool(client, 2, None)
        handle = pool.submit("process-id", process_id)
        while not pool.wait([handle], timeout=5.0):
            pass
        (holder,) = client.who_has([handle])[handle.key]
        first = handle.result()
        assert client.run(os.getpid, workers=[holder])[holder] == first
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while handle.status == "finished" and time.monotonic() < deadline:
            time.sleep(0.01)  # until Dask notices the loss
        assert handle.status != "finished"
        while not pool.wait([handle], timeout=0.1):
            assert time.monotonic() < deadline
        assert pool.results([handle])[0] != first


def test_a_worker_that_restarts_slowly_stays_in_the_pool(tmp_path):
    """Dask would remove a worker that is absent for `lost-worker-timeout` after its death."""
    import dask

    from membrane_dask.config import ClusterSettings
    from membrane_dask.engine.cluster.pools import open_pool
    from membrane_dask.engine.cluster.profiles import resolve

    profile = resolve(ClusterSettings(profile="local", workers=1))
    process_ids = []
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}),
        open_pool(profile, tmp_path, print) as pool,
    ):
        for number in range(2):
            handle = pool.submit(f"process-id-{number}", os.getpid)
            deadline = time.monotonic() + 60
            while not pool.wait([handle], timeout=1.0):
                assert time.monotonic() < deadline, "the worker does not come back"
            process_ids += pool.results([handle])
            handle.release()
            os.kill(process_ids[-1], signal.SIGKILL)
    assert len(set(process_ids)) == 2
