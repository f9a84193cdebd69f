"""Runs work without what only Linux has, as on macOS: its calls, signals and files are taken away here."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from membrane_dask import files
from membrane_dask.engine import limits, processes

#: Imported by every Python that is started with its folder on the path, worker processes included.
WITHOUT_LINUX = '''
import builtins, fcntl, io, multiprocessing, os, resource, select, signal, sys

LINUX_ONLY = {
    os: "sched_getaffinity sched_setaffinity posix_fadvise posix_fallocate copy_file_range splice memfd_create "
        "pidfd_open eventfd getrandom setns unshare fork forkpty getxattr listxattr fdatasync",
    signal: "SIGHUP SIGPWR SIGPOLL SIGCLD SIGSTKFLT SIGRTMIN SIGRTMAX sigtimedwait sigwaitinfo",
    fcntl: "F_OFD_SETLK F_OFD_SETLKW F_OFD_GETLK F_ADD_SEALS F_SETPIPE_SZ F_NOTIFY",
    resource: "prlimit RLIMIT_OFILE RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_SIGPENDING RUSAGE_THREAD",
    select: "epoll",
}
for module, names in LINUX_ONLY.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
multiprocessing.set_start_method("spawn")


def is_of_psutil():
    """psutil reads /proc here, and asks the kernel elsewhere."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "psutil":
            return True
        frame = frame.f_back
    return False


def without_folders(call):
    def checked(path, *arguments, **options):
        text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
        if isinstance(text, str) and text.startswith(("/proc/", "/sys/")) and not is_of_psutil():
            raise FileNotFoundError(2, "No such file or directory", text)
        return call(path, *arguments, **options)
    return checked


builtins.open = io.open = without_folders(io.open)
for name in ("open", "stat", "lstat", "readlink", "listdir", "scandir"):
    setattr(os, name, without_folders(getattr(os, name)))
'''


#: Command lines of this package, one after another in one process.
SEVERAL = """
import sys
from membrane_dask.cli import main
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit as stop:
        assert not stop.code, line
"""


@pytest.fixture
def command(tmp_path):
    """Run a command line of this package without what only Linux has."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WITHOUT_LINUX)
    package = str(Path(files.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), package])}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, *arguments]
        return subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)

    return run


def test_a_study_is_run_resumed_and_reported(command, tmp_path):
    check = "import os, pathlib, signal; print(hasattr(os, 'fork'), hasattr(signal, 'SIGHUP'))"
    check += "; print(pathlib.Path('/proc/self/status').exists())"
    assert command("-c", check).stdout.split() == ["False"] * 3
    (tmp_path / "filter.yaml").write_text(
        "kind: graded\nl_max: 0.2\ngradient: [0, 2e-3]\nrealizations: 2\ntime_step: 4e-3\nbands: 2\n"
        "execution: {timeout: 10 min, batch: 1}\ncluster: {workers: 1, memory: 1 GB}\n"
    )
    in_process = ("--set", "cluster.profile=sync")
    limited = command("-m", "membrane_dask.cli", "run", "filter.yaml", "--out", "run", "--limit", "1", *in_process)
    assert "1 of 4 done" in limited.stderr, limited.stderr
    resumed = command("-c", SEVERAL, "run filter.yaml --out run", "status run", "report run", "verify run")
    assert resumed.returncode == 0, resumed.stderr
    assert "1 of 4 units are done already" in resumed.stderr
    assert "complete" in resumed.stdout, resumed.stderr


def test_windows_is_refused_with_advice():
    code = "import sys; sys.platform = 'win32'; import membrane_dask"
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "WSL" in result.stderr.splitlines()[-1]


def test_memory_is_counted_in_the_unit_of_the_system(monkeypatch):
    """``ru_maxrss`` is in kB on Linux, and in bytes on macOS."""

    class Missing(type(Path())):
        def read_text(self, *arguments, **options):
            raise FileNotFoundError(errno.ENOENT, "No such file", str(self))

    monkeypatch.setattr(limits, "Path", Missing)
    monkeypatch.setattr(limits.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3_000_000))
    monkeypatch.setattr(limits.sys, "platform", "linux")
    assert limits.peak_memory() == 3_000_000 * 1024
    monkeypatch.setattr(limits.sys, "platform", "darwin")
    assert limits.peak_memory() == 3_000_000


@pytest.mark.parametrize(("error", "calls"), [(None, ["full"]), (errno.ENOTSUP, ["full", "fsync"])])
def test_data_reach_the_drive_where_fsync_does_not_wait_for_it(monkeypatch, tmp_path, error, calls):
    """On macOS only F_FULLFSYNC does; file systems that do not have it get fsync."""
    made = []

    def fcntl(descriptor, operation):
        made.append("full")
        if error is not None:
            raise OSError(error, "not supported")

    monkeypatch.setattr(files, "fcntl", SimpleNamespace(F_FULLFSYNC=51, fcntl=fcntl))
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: made.append("fsync"))
    with (tmp_path / "file").open("w") as stream:
        files.sync_descriptor(stream.fileno())
    assert made == calls


def test_a_disk_that_is_full_is_an_error_there_too(monkeypatch, tmp_path):
    def fcntl(descriptor, operation):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "fcntl", SimpleNamespace(F_FULLFSYNC=51, fcntl=fcntl))
    with (tmp_path / "file").open("w") as stream, pytest.raises(OSError, match="No space left"):
        files.sync_descriptor(stream.fileno())


def test_a_process_that_has_ended_is_not_alive(monkeypatch):
    """Without /proc, psutil says so; a child that its parent has not waited for is a zombie."""
    monkeypatch.setattr(processes, "_ticks", processes._born)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    record = processes.describe(child.pid)
    assert processes.is_alive(record)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(record)
    child.wait()
    assert not processes.is_alive(record)
