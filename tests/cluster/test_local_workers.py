"""Workers on this machine leave the process that starts them as it is, and end without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster.pools import open_pool
from membrane_dask.engine.cluster.profiles import resolve

TOY = Path(__file__).resolve().parents[1] / "engine" / "toy.py"
SCRIPT = """
import pathlib, sys
import toy

if __name__ == "__main__":
    toy.run_toy(pathlib.Path(sys.argv[1]), rows=40, seconds=0.02, cluster={"profile": "local", "workers": 1})
"""


def _blocked_signals(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1], 16)


def test_the_environment_is_the_same_with_workers_and_without(tmp_path):
    """Numba refuses another number of threads once it has started some, and child processes inherit variables."""
    before = dict(os.environ)
    with open_pool(resolve(ClusterSettings(profile="local", workers=1)), tmp_path, print) as pool:
        assert dict(os.environ) == before
        (set_there,) = pool.results(_finished(pool, pool.submit("variable", os.getenv, "NUMBA_NUM_THREADS")))
        assert set_there == before.get("NUMBA_NUM_THREADS", "1")
        if sys.platform == "linux":
            (worker,) = pool.results(_finished(pool, pool.submit("process", os.getpid)))
            assert _blocked_signals(worker) & 1 << (signal.SIGINT - 1)
            assert not _blocked_signals(os.getpid()) & 1 << (signal.SIGINT - 1)
    assert dict(os.environ) == before


def _finished(pool, handle):
    while not pool.wait([handle], timeout=1.0):
        pass
    return [handle]


def test_ctrl_c_while_workers_start_prints_no_traceback_but_its_own(tmp_path, wait_until):
    """A terminal interrupts all processes of the command at once, also those that are still importing."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    running = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "run")], start_new_session=True, text=True,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": f"{TOY.parent}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    try:
        command = psutil.Process(running.pid)
        wait_until(lambda: any("spawn_main" in " ".join(child.cmdline()) for child in command.children()), "a worker")
        os.killpg(running.pid, signal.SIGINT)
        _, printed = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            running.kill()
    assert running.returncode == -signal.SIGINT
    assert printed.count("Traceback") == 1  # that of the script, which does not catch it
    assert printed.rstrip().endswith("KeyboardInterrupt")
    assert "distributed" not in printed.replace("site-packages/distributed", "")
