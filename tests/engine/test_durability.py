"""What the journal promises is on disk: power cuts, and the order in which files are synchronized."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

import membrane_dask as md
from membrane_dask import api
from membrane_dask.engine import durability
from membrane_dask.engine.journal import Journal

#: Stops an ext4 file system; flag 2: what is not on disk yet, its own journal included, is lost.
EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
FIELDS = {"rows": 4, "columns": 20, "seconds": 0.02, "cluster": {"profile": "sync"}}

DRIVER = """
import sys; sys.path.insert(0, {here!r})
import toy, pathlib
toy.run_toy(pathlib.Path(sys.argv[1]), execution={{"batch": 5, "sync": {sync}}}, **{fields!r})
"""


class Disk:
    """An ext4 file system in a file."""

    def __init__(self, folder: Path) -> None:
        self._image, self.path = folder / "disk.img", folder / "disk"
        self.path.mkdir()
        with self._image.open("wb") as stream:
            stream.truncate(64 << 20)
        self._call("mkfs.ext4", "-q", "-F", self._image)
        self.mount()

    def mount(self) -> None:
        self._call("mount", "-o", "loop", self._image, self.path)

    def cut_power(self) -> None:
        """Lose what is not on disk."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        for _ in range(50):
            if subprocess.run(["umount", self.path], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        self._call("umount", "-l", self.path)

    def _call(self, *command: object) -> None:
        try:
            subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            pytest.skip(f"a disk cannot be made here: {error}")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"a disk cannot be made here: {error.stderr.strip()}")


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("a power cut of a file system needs root on Linux")
    disk = Disk(tmp_path)
    yield disk
    subprocess.run(["umount", "-l", disk.path], capture_output=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, files_of) -> dict[str, bytes]:
    run = toy.run_toy(tmp_path_factory.mktemp("undisturbed") / "run", execution={"batch": 5}, **FIELDS)
    return files_of(run)


def run_until_power_cut(disk: Disk, folder: Path, *, sync: bool, lines: int) -> md.Run:
    """A driver on the disk that loses it after some lines of its journal; the run as it is found afterwards."""
    script, root = folder / "driver.py", disk.path / "run"
    script.write_text(DRIVER.format(here=str(Path(__file__).parent), sync=sync, fields=FIELDS))
    driver = subprocess.Popen(
        [sys.executable, script, root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(Journal(root / "journal").records())) < lines:
        assert driver.poll() is None
        time.sleep(0.01)
    disk.cut_power()
    try:
        driver.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    disk.unmount()
    disk.mount()
    return md.open_run(root)


@pytest.mark.parametrize("lines", [2, pytest.param(6, marks=pytest.mark.slow)])  # on demand: a later cut
def test_a_power_cut_loses_nothing_that_was_recorded(disk, tmp_path, undisturbed, files_of, lines):
    run = run_until_power_cut(disk, tmp_path, sync=True, lines=lines)
    status = run.status()
    assert 5 * (lines - 1) <= status["done"] < 80  # the last line may have been on its way
    assert api.verify(run.path) == []
    resumed = toy.run_toy(run.path, execution={"batch": 5}, **FIELDS)
    assert resumed.status()["state"] == "complete"
    assert files_of(resumed) == undisturbed


def test_without_synchronization_what_a_power_cut_has_taken_is_computed_again(disk, tmp_path, undisturbed, files_of):
    run = run_until_power_cut(disk, tmp_path, sync=False, lines=6)
    faults = api.verify(run.path)
    assert {fault.problem for fault in faults} <= {"missing", "empty", "cannot be decoded"}
    assert faults, "this disk loses nothing, so that the other tests show nothing"
    resumed = toy.run_toy(run.path, execution={"batch": 5}, **FIELDS)
    assert files_of(resumed) == undisturbed


def test_files_and_their_folders_are_synchronized_before_the_line_of_the_journal(tmp_path, monkeypatch):
    """Of every batch, and of the layout before the run exists; nothing with ``execution.sync: false``."""
    synchronized: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synchronized.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    run = toy.run_toy(tmp_path / "run", execution={"batch": 20}, limit=20, **FIELDS)
    root = str(run.path)
    line = next(i for i, name in enumerate(synchronized) if name.startswith(f"{root}/journal/") and ".jsonl" in name)
    before = set(synchronized[:line])
    chunk = "result.zarr/toy/history/trace/c/0/0/0"
    while chunk:
        assert f"{root}/{chunk}" in before
        chunk = chunk.rpartition("/")[0]
    assert synchronized[line + 1] == f"{root}/journal"  # the name of a new file
    created = [name for name in before if name.endswith("toy/value/zarr.json")]
    assert created, "the layout"
    synchronized.clear()
    toy.run_toy(tmp_path / "run", execution={"batch": 20, "sync": False}, limit=20, **FIELDS)
    assert not [name for name in synchronized if "result.zarr" in name]


def test_a_file_system_that_cannot_synchronize_folders_is_accepted(tmp_path, monkeypatch):
    import errno

    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("")
    durability.sync_files([tmp_path / "folder/file"], tmp_path)
