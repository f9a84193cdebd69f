"""Files that other hosts see late, old or in part, as on network file systems."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import test_verify

from membrane_dask import files
from membrane_dask.engine import late_files, verification
from membrane_dask.engine.late_files import (
    AlteredFileError,
    LateFileError,
    read_arrays,
    wait_until_visible,
    write_arrays,
)
from membrane_dask.errors import DataLossError
from membrane_dask.files import read_json

# NumPy leaves a damaged file open until it is collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ARRAYS = {
    "pressure": np.linspace(0.0, 1.0, 500).reshape(5, 100),
    "flags": np.zeros((3, 0), np.uint8),
    "sum": np.array(2),
}


def _later(seconds: float, action) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def stored(request, tmp_path) -> Path:
    path = tmp_path / "0-1.npz"
    write_arrays(path, ARRAYS, compressed=request.param)
    return path


def _equal(arrays) -> bool:
    return all((arrays[name] == ARRAYS[name]).all() and arrays[name].dtype == ARRAYS[name].dtype for name in arrays)


def test_arrays_are_read_as_they_were_written(stored):
    assert _equal(read_arrays(stored))
    assert list(read_arrays(stored)) == list(ARRAYS)
    assert list(read_arrays(stored, ["sum"])) == ["sum"]
    assert [path.name for path in stored.parent.iterdir()] == [stored.name]


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    np.savez_compressed(tmp_path / "old.npz", **ARRAYS)
    assert _equal(read_arrays(tmp_path / "old.npz"))


def test_a_file_that_appears_late_is_awaited(stored):
    hidden = stored.with_suffix(".hidden")
    stored.rename(hidden)
    with pytest.raises(FileNotFoundError):
        read_arrays(stored)
    timer = _later(0.4, lambda: hidden.rename(stored))
    start = time.monotonic()
    assert _equal(read_arrays(stored, timeout=20))
    assert 0.3 < time.monotonic() - start < 10
    timer.join()


def test_an_incomplete_file_is_refused(stored):
    """Whatever its first bytes are; also where pages that have not arrived are zeros."""
    whole = stored.read_bytes()
    sizes = [*range(0, len(whole), 97), len(whole) - 1]
    for size in sizes:
        stored.write_bytes(whole[:size])
        with pytest.raises(AlteredFileError):
            read_arrays(stored)
    for size in sizes[:-1]:  # the last byte is a zero
        stored.write_bytes(whole[:size] + bytes(len(whole) - size))
        with pytest.raises(AlteredFileError):
            read_arrays(stored)
    timer = _later(0.3, lambda: stored.write_bytes(whole))
    assert _equal(read_arrays(stored, timeout=20))
    timer.join()


def test_other_values_under_the_same_name_are_refused(tmp_path):
    """A valid file, but not what was written: the digests are those of other arrays."""
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS, compressed=False)
    with np.load(path) as arrays:
        content = dict(arrays)
    content["pressure"] = content["pressure"] + 1e-15
    np.savez(path, **content)
    with pytest.raises(AlteredFileError, match="pressure is not as it was written"):
        read_arrays(path)
    assert _equal(read_arrays(path, ["sum"]))


def test_the_error_names_file_and_host(tmp_path):
    path = tmp_path / "scratch" / "pressures" / "0-3.npz"
    with pytest.raises(LateFileError) as error:
        read_arrays(path, timeout=0.3)
    message = str(error.value)
    assert message.startswith(f"{path} is not to be read on {socket.gethostname()}, 0.3 s after it was recorded")
    assert "check the file system" in message


def test_a_stale_handle_is_tried_again_and_other_errors_are_not(tmp_path):
    """ESTALE: the file was replaced on another host."""
    attempts = []

    def read() -> str:
        attempts.append(1)
        if len(attempts) < 4:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return "content"

    assert wait_until_visible(read, tmp_path / "file") == "content"

    def forbidden() -> None:
        attempts.append(1)
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        wait_until_visible(forbidden, tmp_path / "file")
    assert len(attempts) == 5


def test_pauses_grow_and_the_folder_is_read_again(tmp_path, monkeypatch):
    """Which makes an NFS client ask its server."""
    pauses, listed, clock = [], [], [0.0]
    monkeypatch.setattr(late_files.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(late_files.os, "listdir", listed.append)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(late_files.time, "sleep", sleep)
    with pytest.raises(LateFileError, match="65 s after"):
        read_arrays(tmp_path / "file.npz", timeout=late_files.LATE_FILE_TIMEOUT)
    assert pauses == sorted(pauses)
    assert max(pauses) == 2.0
    assert 65 < sum(pauses) < 69
    assert set(listed) == {tmp_path}


def test_small_files_are_read_again_after_a_stale_handle(tmp_path, monkeypatch):
    (tmp_path / "jobs.json").write_text("[1]")
    real, calls = files._read_bytes, []

    def read(path: Path, limit: int | None) -> bytes:
        calls.append(path)
        if len(calls) < 3:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(path, limit)

    monkeypatch.setattr(files, "_read_bytes", read)
    assert read_json(tmp_path / "jobs.json") == [1]
    assert len(calls) == 3


def test_a_run_on_a_file_system_that_shows_files_late(tmp_path, monkeypatch):
    """Nothing is called lost or computed again, and the result is the same; whoever looks first sees no file."""
    undisturbed, _ = test_verify.execute(tmp_path / "undisturbed")
    expected = test_verify.contents(undisturbed)
    real_load, real_absent, late = np.load, verification._absent, set()

    def is_late(path: object) -> bool:
        if f"{tmp_path}/run/" in str(path) and os.path.exists(str(path)) and str(path) not in late:
            late.add(str(path))
            return True
        return False

    def load(path: object, *args: object, **options: object) -> object:
        if is_late(path):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return real_load(path, *args, **options)

    def absent(sink, chunk):
        missing = [path for path in sink.chunk_files(chunk) if is_late(path)]
        return (missing[0], "missing") if missing else real_absent(sink, chunk)

    monkeypatch.setattr(np, "load", load)
    monkeypatch.setattr(verification, "_absent", absent)
    run, messages = test_verify.execute(tmp_path / "run")
    monkeypatch.undo()
    assert any("/scratch/" in path for path in late)
    assert any("/c/" in path for path in late)
    assert not [message for message in messages if "lost" in message]
    assert test_verify.contents(run) == expected


def test_a_run_that_another_host_has_just_written_is_awaited(tmp_path, monkeypatch):
    """Its last files may not be visible here yet; one that stays away is named."""
    run, _ = test_verify.execute(tmp_path / "run")
    chunk = tmp_path / "run/result.zarr/sums/total/c/0"
    hidden = chunk.with_name("hidden")
    chunk.rename(hidden)
    start = time.monotonic()
    with pytest.raises(DataLossError, match="sums/total/c/0"):
        run.result  # noqa: B018
    assert time.monotonic() - start < 5  # written here: it is not late
    monkeypatch.setattr(late_files.socket, "gethostname", lambda: "login-node")
    timer = _later(0.5, lambda: hidden.rename(chunk))
    assert np.isfinite(run.result["sums"]["total"]).all()
    timer.join()
    chunk.unlink()
    monkeypatch.setattr(late_files, "LATE_FILE_TIMEOUT", 0.5)
    for path in (tmp_path / "run/journal").iterdir():
        os.utime(path, (time.time() - 100,) * 2)
    with pytest.raises(DataLossError, match="sums/total/c/0"):
        run.result  # noqa: B018
