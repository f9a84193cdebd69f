"""Fixtures that every test may use."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from unittest import mock

import pytest
from matplotlib.figure import Figure
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]


#: Files that take a minute of one core, in the order in which they start. One that starts last is computed while other
#: processes have nothing left to do. The first two compile most kernels, each its own; those that start later load
#: them from the cache instead of compiling them at the same time.
LONG = (
    "test_characterize_study.py", "test_commands.py", "test_documents.py", "test_reconstruct_study.py",
    "test_execute.py", "test_porometry_study.py", "test_virtual_bench.py", "test_unit_imports.py", "test_pages.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Batch systems come first, whose tests mostly wait while the other processes compute; then long files."""

    def position(item: pytest.Item) -> int:
        name = item.path.name
        return -1 if item.path.parent.name == "cluster" else LONG.index(name) if name in LONG else len(LONG)

    items.sort(key=position)


class _Groups(LoadScopeScheduling):
    """Each file goes to one process as a whole, and all batch systems to one; each benchmark goes by itself."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path.endswith("test_benchmarks.py"):
            return nodeid
        return "cluster" if Path(path).parent.name == "cluster" else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Groups:
    """Group tests here: the groups of pytest-xdist 3.8 have no effect with pytest 9.2."""
    return _Groups(config, log)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory) -> None:
    """Keep what tests confirm out of the home directory, and the runs of the checkout, from which studies import units,
    out of the tests."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.chdir(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout: `configs/`, `notebooks/` and `README.md` stand in it."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that are not part of the project, next to the checkout; absent on most machines."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"reference data not found: {folder} does not exist")
    return folder


def _values_of(run) -> dict[str, bytes]:
    """Every variable and volume of a run as raw bytes."""
    values = {name: run.volume(name).values.tobytes() for name in run.volumes}
    for node in run.result.subtree:
        for name, variable in node.to_dataset(inherit=False).variables.items():
            values[f"{node.path}/{name}"] = variable.values.tobytes()
    return values


def _files_of(run) -> dict[str, bytes]:
    """Every file of a run's result."""
    folder = run.path / "result.zarr"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def values_of() -> Callable[..., dict[str, bytes]]:
    """Values that must be equal in two runs, bit for bit."""
    return _values_of


@pytest.fixture(scope="session")
def files_of() -> Callable[..., dict[str, bytes]]:
    """Files that are equal in two runs with the same batches, which depend on the study and `execution.batch` only."""
    return _files_of


@pytest.fixture(scope="session")
def kill_and_resume() -> Callable[..., None]:
    """Run a study from the command line, kill the driver once some units are done, run it again.

    Batches have two units, so that a kill can come between any of them. No workers are started:
    tests/engine/test_execute.py kills drivers with workers.
    """
    import membrane_dask as md

    def work(study: Path, out: Path, *, after: int) -> None:
        options = ["--set", "cluster.profile=sync", "--set", "execution.batch=2"]
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
        second = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )  # fmt: skip
        try:
            output, _ = second.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            second.send_signal(signal.SIGABRT)  # Python writes what each of its threads does
            output, _ = second.communicate(timeout=60)
        assert second.returncode == 0, output

    return work


# tests/engine/test_execute.py kills drivers at any time. What a kind adds, that its program goes on from the units that
# are stored, shows after a limit as well, without two more processes.
@pytest.fixture(params=["limit", pytest.param("kill", marks=pytest.mark.slow)])
def interrupt_and_resume(request, kill_and_resume) -> Callable[..., None]:
    """Run a study in two pieces, the first of which ends at a limit of units or, on demand, with a killed driver."""
    import membrane_dask as md

    def work(study: Path, out: Path, *, after: int) -> None:
        checked = md.load_study(study, cluster={"profile": "sync"}, execution={"batch": 2})
        first = md.run(checked, out, limit=after)
        assert first.status()["state"] == "partial"
        assert md.run(checked, out).status()["state"] == "complete"

    return work if request.param == "limit" else kill_and_resume


def _save_nothing(_: Figure, stream: IO[str], **__: object) -> None:
    stream.write("<svg></svg>")


@pytest.fixture(scope="session")
def without_drawings() -> Callable[[], contextlib.AbstractContextManager[object]]:
    """Context in which reports have all figures, but no drawings of them, which take most of the time of a report."""
    return lambda: mock.patch.object(Figure, "savefig", _save_nothing)


@pytest.fixture(scope="session")
def first_drawn() -> Callable[[int], contextlib.AbstractContextManager[object]]:
    """Context in which reports have all figures, but drawings of this number of them alone."""

    def context(number: int) -> contextlib.AbstractContextManager[object]:
        save, numbers = Figure.savefig, itertools.count()

        def save_first(figure: Figure, stream: IO[str], **options: object) -> None:
            (save if next(numbers) < number else _save_nothing)(figure, stream, **options)

        return mock.patch.object(Figure, "savefig", save_first)

    return context


@pytest.fixture
def undrawn(without_drawings) -> Iterator[None]:
    """Reports of this test are read for their text: without drawings."""
    with without_drawings():
        yield


class Box:
    """A batch system on this machine, of the tests' own."""

    def __init__(self, scripts: Path, home: Path, ports: int) -> None:
        self.scripts, self.home = scripts, home
        self._environment = {**os.environ, "BOX_PORT": str(_free_ports(ports))}

    def up(self) -> None:
        """Start it, or what of it has died."""
        done = subprocess.run(
            [self.scripts / "up", self.home], capture_output=True, text=True, env=self._environment, timeout=300
        )
        if done.returncode and not shutil.which("sbatch" if "slurm" in self.scripts.name else "sge_qmaster"):
            pytest.skip(f"no batch system can be started here: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr

    def down(self) -> None:
        """Stop and remove it."""
        subprocess.run([self.scripts / "down", self.home], env={**self._environment, "BOX_REMOVE": "1"}, timeout=120)

    def environment(self) -> dict[str, str]:
        """What its commands need to know."""
        lines = (self.home / "env").read_text().splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines)

    def pid(self, daemon: str) -> int:
        """Process of one of Slurm's daemons."""
        return int((self.home / "run" / f"{daemon}.pid").read_text())


def _free_ports(number: int) -> int:
    """First of some ports in a row that nobody uses now."""
    for first in range(31000 + os.getpid() % 1000 * 10, 60000, 10):
        with socket.socket() as one, socket.socket() as last:
            try:
                one.bind(("127.0.0.1", first))
                last.bind(("127.0.0.1", first + number - 1))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


def _box(kind: str, home: Path, ports: int) -> Iterator[Box]:
    if not sys.platform.startswith("linux"):
        pytest.skip(f"{kind} runs on Linux only")
    box = Box(ROOT / "deploy" / f"{kind}-box", home, ports)
    box.up()
    yield box
    box.down()


@pytest.fixture(scope="session")
def slurm_box(tmp_path_factory) -> Iterator[Box]:
    """A real Slurm of two nodes with four cores each (claimed), for this session."""
    yield from _box("slurm", tmp_path_factory.mktemp("slurm"), 3)


@pytest.fixture(scope="session")
def gridengine_box(tmp_path_factory) -> Iterator[Box]:
    """A real Grid Engine of one node, for this session."""
    yield from _box("gridengine", tmp_path_factory.mktemp("gridengine"), 2)


@pytest.fixture
def slurm(slurm_box, monkeypatch) -> Iterator[Box]:
    """The session's Slurm, up, with an empty queue, and in this test's environment."""
    slurm_box.up()
    for name, value in slurm_box.environment().items():
        monkeypatch.setenv(name, value)
    yield slurm_box
    slurm_box.up()
    subprocess.run(["scancel", "-u", "root" if os.getuid() == 0 else os.environ.get("USER", "")], timeout=60)


@pytest.fixture
def gridengine(gridengine_box, monkeypatch) -> Iterator[Box]:
    """The session's Grid Engine, up, and in this test's environment."""
    gridengine_box.up()
    for name, value in gridengine_box.environment().items():
        monkeypatch.setenv(name, value)
    yield gridengine_box
    subprocess.run(["qdel", "-u", "root"], capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``membrane-dask`` as its own process: ``command("status", run)``."""

    def run(*command: object, timeout: float = 300, **options: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "membrane_dask.cli", *map(str, command)]
        return subprocess.run(line, capture_output=True, text=True, timeout=timeout, **options)

    run.prefix = shlex.join([sys.executable, "-m", "membrane_dask.cli"])
    return run


@pytest.fixture(scope="session")
def command_here() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same in this process, for tests of what a command does: to start Python takes longer than most commands."""
    from membrane_dask.cli import main

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        with (
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as leaving
        ):  # fmt: skip
            main([str(argument) for argument in command])
        for number, handler in handlers.items():  # a run has replaced them
            signal.signal(number, handler)
        return subprocess.CompletedProcess(command, leaving.value.code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Wait for a condition, and fail with a message if it does not hold in time."""

    def wait(condition: Callable[[], object], what: str, seconds: float = 240.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
            time.sleep(0.1)

    return wait


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[str]:
    """URL of an S3 server on this machine, with a bucket named ``bucket``; it does not check signatures."""
    pytest.importorskip("localbucket")
    folder, port = tmp_path_factory.mktemp("s3"), _free_ports(2)
    (folder / "bucket").mkdir()
    command = [sys.executable, "-m", "localbucket", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline, "the S3 server does not answer"
        assert server.poll() is None, "the S3 server ended"
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture
def s3(s3_server, monkeypatch) -> Iterator[str]:
    """URL of an empty folder of the bucket, in this test's environment."""
    s3fs = pytest.importorskip("s3fs")
    names = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**names, "AWS_ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield f"s3://bucket/{time.time_ns()}"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    """Chromium without a window, driven by Selenium; its console is recorded."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("Chromium or its driver is not installed (Debian: chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new", "--no-sandbox", "--window-size=1300,1500", "--enable-unsafe-swiftshader", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()
