"""One driver at a time: with file locks, without them, between hosts, and whatever the clocks do."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import toy

from membrane_dask.engine import lock, processes
from membrane_dask.engine.lock import DriverLock, RunBusyError
from membrane_dask.engine.run import prepare
from membrane_dask.files import read_json, write_json

SYNC = {"profile": "sync"}
WITHOUT_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, 524]


@pytest.fixture(params=[0, *WITHOUT_LOCKS], ids=lambda number: f"errno={number}" if number else "flock")
def flock(request, monkeypatch):
    """File locks that work, or fail as file systems without them do."""
    if request.param:
        monkeypatch.setattr(fcntl, "flock", _failing(request.param))
    return request.param


def _failing(number: int):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    return flock


@pytest.fixture
def no_flock(monkeypatch):
    monkeypatch.setattr(fcntl, "flock", _failing(errno.ENOLCK))


RACE = """
import fcntl, os, sys, time
from pathlib import Path
from membrane_dask.engine.lock import DriverLock, RunBusyError
def failing(descriptor, operation):
    raise OSError(37, "No locks available")
if sys.argv[2] == "without":
    fcntl.flock = failing
root, processes = Path(sys.argv[1]), 12
for round in range(int(sys.argv[3])):
    start_read, start_write = os.pipe()
    end_read, end_write = os.pipe()
    result_read, result_write = os.pipe()
    for _ in range(processes):
        if os.fork() == 0:
            os.read(start_read, 1)  # all at once
            try:
                with DriverLock(root):
                    os.write(result_write, b"W")
                    os.read(end_read, 1)  # until all have tried
                    if round % 2:
                        os._exit(0)  # as if killed: the next round meets a dead owner
            except RunBusyError as busy:
                os.write(result_write, b"B")
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                os.write(result_write, b"E")
            os._exit(0)
    os.write(start_write, b"x" * processes)
    results = b""
    while len(results) < processes:
        results += os.read(result_read, processes)
    os.write(end_write, b"x" * processes)
    for _ in range(processes):
        os.wait()
    print(results.count(b"W"), results.count(b"B"), results.count(b"E"))
    [os.close(end) for end in (start_read, start_write, end_read, end_write, result_read, result_write)]
"""


# On demand: more rounds of the same race.
@pytest.mark.parametrize("rounds", [4, pytest.param(24, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["with", "without"])
def test_of_many_processes_that_race_one_wins(tmp_path, kind, rounds):
    """Twelve at a time, many times, after owners that ended well and owners that died."""
    command = [sys.executable, "-c", RACE, tmp_path, kind, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 11 0"] * rounds, done.stderr
    assert len(list((tmp_path / "logs" / "drivers").iterdir())) <= DriverLock._OWNER_FILES + 1


def test_a_second_driver_is_refused_with_a_message(tmp_path, flock):
    with DriverLock(tmp_path) as driver:
        assert ("without file locks" in driver.notice, f"errno {flock}" in driver.notice) == (bool(flock),) * 2
        with pytest.raises(RunBusyError, match=f"process {os.getpid()} on .*") as refused, DriverLock(tmp_path):
            pass
        assert (".lock" if not flock else "logs/drivers/1.json") in str(refused.value)
        assert DriverLock.active_driver(tmp_path)["pid"] == os.getpid()
    assert DriverLock.active_driver(tmp_path) is None
    with DriverLock(tmp_path):  # it was released
        pass


def test_the_owner_file_excludes_where_every_host_has_locks_of_its_own(tmp_path, monkeypatch):
    """As on Lustre with ``localflock`` or NFS with ``local_lock``."""
    with DriverLock(tmp_path):
        monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
        monkeypatch.setattr(processes, "machine", lambda: "another")
        (tmp_path / "driver.json").unlink()
        with pytest.raises(RunBusyError, match=r"its owner file is .*logs/drivers/1\.json"), DriverLock(tmp_path):
            pass


def test_a_killed_driver_is_followed_at_once(tmp_path, no_flock):
    code = "import sys, time, pathlib; from membrane_dask.engine.lock import DriverLock\n"
    code += "with DriverLock(pathlib.Path(sys.argv[1])): print('works', flush=True); time.sleep(100)"
    driver = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert driver.stdout.readline() == "works\n"
    assert DriverLock.active_driver(tmp_path)["pid"] == driver.pid
    driver.send_signal(signal.SIGKILL)
    while psutil.Process(driver.pid).status() != psutil.STATUS_ZOMBIE:  # nobody has waited for it yet
        time.sleep(0.01)
    assert DriverLock.active_driver(tmp_path) is None
    with DriverLock(tmp_path):
        pass
    driver.wait()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A driver on another host left its files; its heartbeat came the given time ago, by the file system's clock."""
    monkeypatch.setattr(DriverLock, "_HEARTBEAT_INTERVAL", 0.1)
    monkeypatch.setattr(lock.time, "sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.3)))

    def leave(age: float) -> Path:
        description = {"host": "elsewhere", "machine": "another", "pid": 1, "started": 5.0, "born": 1.0}
        (tmp_path / "logs" / "drivers").mkdir(parents=True, exist_ok=True)
        owner_file = tmp_path / "logs" / "drivers" / "1.json"
        write_json(owner_file, description)
        write_json(tmp_path / "driver.json", description | {"beat": 0.0, "in_flight": 3, "dashboard": None})
        for path in (owner_file, tmp_path / "driver.json"):
            os.utime(path, (time.time() - age,) * 2)
        return owner_file

    return leave


@pytest.mark.parametrize("age", [0, 50, -50])
def test_the_heartbeat_of_a_driver_elsewhere_counts(tmp_path, elsewhere, flock, age):
    elsewhere(age)
    assert DriverLock.active_driver(tmp_path)["in_flight"] == 3
    with pytest.raises(RunBusyError, match="process 1 on elsewhere"), DriverLock(tmp_path):
        pass
    (tmp_path / "driver.json").unlink()
    with pytest.raises(RunBusyError, match="process 1 on elsewhere"), DriverLock(tmp_path):
        pass


@pytest.mark.parametrize("age", [70, 1e6, -1e6])
def test_a_silent_driver_elsewhere_is_dead(tmp_path, elsewhere, flock, age):
    """Also with a heartbeat in the future, as after the clock of the file system was set back."""
    elsewhere(age)
    assert DriverLock.active_driver(tmp_path) is None
    with DriverLock(tmp_path):
        assert DriverLock.active_driver(tmp_path)["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("age", "beat", "active"),
    [(0, 0, True), (0, 864000, True), (70, 864000, False), (70, -70, False), (0, -1e6, False)],
)
def test_the_heartbeat_of_an_earlier_version_ages_by_file_system_and_clock(tmp_path, age, beat, active):
    """A beat in the future does not hold the run for days; that of a copy, whose files are new, is old."""
    path = tmp_path / "driver.json"
    write_json(path, {"host": "elsewhere", "pid": 1, "born": 1.0, "beat": time.time() + beat, "in_flight": 1})
    os.utime(path, (time.time() - age,) * 2)
    assert (DriverLock.active_driver(tmp_path) is not None) == active


@pytest.mark.parametrize("shift", [86400.0, 5.0, -5.0, -86400.0])
def test_clocks_of_hosts_do_not_matter(tmp_path, elsewhere, monkeypatch, shift):
    """The clock of this host differs from that of the file system, or was stepped while a driver works here."""
    real_time, real_start = time.time, psutil.Process.create_time
    monkeypatch.setattr(time, "time", lambda: real_time() + shift)
    # The system derives the start of a process from the present time.
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: real_start(process) + shift)
    os.utime(elsewhere(0), None)
    os.utime(tmp_path / "driver.json", None)
    assert DriverLock.active_driver(tmp_path) is not None
    shutil.rmtree(tmp_path / "logs")
    (tmp_path / "driver.json").unlink()
    with DriverLock(tmp_path):
        monkeypatch.undo()
        assert DriverLock.active_driver(tmp_path)["pid"] == os.getpid()


def test_a_step_of_the_file_systems_clock_does_not_kill_a_living_driver(tmp_path, elsewhere):
    """Its heartbeat seems old until the next one, for which a driver that would take over waits."""
    owner_file = elsewhere(500)
    (tmp_path / "driver.json").unlink()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.1):
            os.utime(owner_file)

    beats = threading.Thread(target=beat)
    beats.start()
    os.utime(owner_file, (time.time() - 500,) * 2)
    try:
        with pytest.raises(RunBusyError), DriverLock(tmp_path):
            pass
    finally:
        stop.set()
        beats.join()


def test_a_driver_that_was_replaced_stops(tmp_path, monkeypatch):
    """A process that was stopped for minutes finds the owner file of another one when it goes on."""
    monkeypatch.setattr(DriverLock, "_HEARTBEAT_INTERVAL", 0.05)
    with DriverLock(tmp_path) as driver:
        driver.heartbeat(1)
        write_json(tmp_path / "driver.json", {"host": "elsewhere", "pid": 7})
        write_json(tmp_path / "logs" / "drivers" / "2.json", {"host": "elsewhere", "pid": 7})
        time.sleep(0.3)
        with pytest.raises(RunBusyError, match=r"process 7 on elsewhere .*took over while this process was stopped"):
            driver.heartbeat(1)
    assert read_json(tmp_path / "driver.json") == {"host": "elsewhere", "pid": 7}  # is not that driver's to remove


def test_heartbeats_go_on_while_the_driver_is_at_work(tmp_path, monkeypatch):
    """Collecting results takes minutes, in which the driver itself sends none."""
    monkeypatch.setattr(DriverLock, "_HEARTBEAT_INTERVAL", 0.05)
    with DriverLock(tmp_path) as driver:
        driver.heartbeat(12)
        first = (tmp_path / "logs" / "drivers" / "1.json").stat().st_mtime_ns
        time.sleep(0.3)
        assert (tmp_path / "logs" / "drivers" / "1.json").stat().st_mtime_ns > first
        assert DriverLock.active_driver(tmp_path)["in_flight"] == 12


def test_a_run_that_was_moved_away_has_no_driver(tmp_path):
    plan = toy.toy_plan(cluster=SYNC)
    toy.run_toy(tmp_path / "run", cluster=SYNC, limit=5)
    prepare(plan, tmp_path / "run", fresh=True)
    (moved,) = tmp_path.glob("run.old-*")
    assert DriverLock.active_driver(moved) is None
    with DriverLock(moved):
        pass


@pytest.fixture(scope="module")
def no_flock_library(tmp_path_factory):
    """A library in which flock fails for all programs that load it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("library")
    code = "#include <errno.h>\nint flock(int fd, int operation) { errno = 524; return -1; }\n"
    (folder / "noflock.c").write_text(code)
    library = folder / "noflock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "noflock.c"], check=True)
    return library


def test_a_second_command_on_a_run_without_file_locks(tmp_path, no_flock_library):
    study, messages = tmp_path / "filter.yaml", tmp_path / "messages"
    study.write_text("kind: graded\nrealizations: 4000\nexecution: {batch: 1}\ncluster: {profile: sync}\n")
    command = [sys.executable, "-m", "membrane_dask.cli", "run", study, "--out", tmp_path / "run"]
    environment = {**os.environ, "LD_PRELOAD": str(no_flock_library)}
    with messages.open("w") as stream:
        first = subprocess.Popen(command, env=environment, stderr=stream)
    try:
        while "without file locks (errno 524" not in messages.read_text():  # said when the pilot units are done
            assert first.poll() is None, messages.read_text()
            time.sleep(0.05)
        second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
        assert second.returncode == 2, second.stderr
        assert f"is being run by process {first.pid}" in second.stderr
        assert "driver.json has its heartbeat" in second.stderr
    finally:
        first.terminate()
        first.wait(timeout=60)
    assert first.returncode == 75
