"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout: `configs/`, `notebooks/` and `README.md` stand in it."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that are not part of the project, beside the checkout; absent on most machines."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"reference data not found: {folder} does not exist")
    return folder


def _values_of(run) -> dict[str, bytes]:
    """Every variable and volume of a run as raw bytes."""
    found = {name: run.volume(name).values.tobytes() for name in run.volumes}
    for node in run.result.subtree:
        for name, variable in node.to_dataset(inherit=False).variables.items():
            found[f"{node.path}/{name}"] = variable.values.tobytes()
    return found


@pytest.fixture(scope="session")
def values_of() -> Callable[..., dict[str, bytes]]:
    """What two runs must share to the last bit."""
    return _values_of


@pytest.fixture(scope="session")
def kill_and_resume() -> Callable[..., None]:
    """Run a study from the command line, kill the driver once some units are done, run it again."""
    import membrane_dask as md

    def work(study: Path, out: Path, *, after: int, options: tuple[str, ...] = ()) -> None:
        command = [sys.executable, "-m", "membrane_dask.cli", "run", str(study), "--out", str(out), *options]
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and first.poll() is None:
            if (out / "run.json").exists() and md.open_run(out).status()["done"] >= after:
                break
            time.sleep(0.02)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        before = md.open_run(out).status()
        assert before["done"] >= after
        assert before["left"] > 0, "the kill came too late to prove anything"
        subprocess.run(command, check=True, capture_output=True)

    return work
