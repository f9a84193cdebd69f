"""The commands on real runs: what they print, and the exit codes that say how it went."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zarr

import membrane_dask as md
from membrane_dask.cli import main

COMMAND = [sys.executable, "-m", "membrane_dask.cli"]


def command(*arguments: object, folder: Path, **options) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would, in a folder of its own."""
    return subprocess.run(
        [*COMMAND, *(str(a) for a in arguments)], cwd=folder, capture_output=True, text=True, timeout=300, **options
    )


def command_here(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command in this process: to start Python takes longer than most commands. A run replaces signal handlers."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with (
        contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as leaving,
    ):  # fmt: skip
        main([str(a) for a in arguments])
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return subprocess.CompletedProcess(arguments, leaving.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a small study of thin networks."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "filter.yaml").write_text(
        "kind: graded\ngradient: [0, 2e-3]\nrealizations: 3\nporosity: 0.1\nporosity_tolerance: 0.02\n"
        "cluster: {profile: sync}\nexecution: {batch: 1}\n"
    )
    return folder


@pytest.fixture(scope="module")
def finished(folder) -> Path:
    done = command("run", "filter.yaml", folder=folder)
    assert done.returncode == 0, done.stderr
    path = folder / done.stdout.strip()
    assert path.parent == folder / "runs"
    assert path.name.startswith("filter-")
    assert "6 of 6" in done.stderr
    shown = path.relative_to(folder)
    assert f"next: membrane-dask report {shown} for figures and tables, or membrane-dask serve {shown}" in done.stderr
    return path


def test_status_of_a_finished_run(folder, finished):
    said = command_here("status", "--json", folder=folder)
    assert said.returncode == 0
    (status,) = json.loads(said.stdout)
    expected = {"kind": "graded", "state": "complete", "done": 6, "running": 0, "failed": 0, "left": 0}
    assert {name: status[name] for name in expected} == expected
    assert status["run"] == finished.name
    table = command_here("status", finished.name, folder=folder).stdout
    assert re.search(rf"{finished.name}\s+graded\s+complete\s+6 of 6\s+100", table)
    listed = command_here("list", "--json", folder=folder)
    assert json.loads(listed.stdout)[0]["run"] == finished.name


def test_the_same_command_finds_its_run_again(folder, finished):
    again = command_here("run", "filter.yaml", folder=folder)
    assert (again.returncode, again.stdout.strip()) == (0, f"runs/{finished.name}")
    assert len(list((folder / "runs").iterdir())) == 1


def test_logs_and_one_unit(folder, finished):
    key = "graded,l_max=0.2,gradient=0.002,realization=1"
    log = command_here("logs", finished, folder=folder)
    assert log.returncode == 0
    assert log.stdout.strip()
    unit = json.loads(command_here("logs", "filter", "--unit", key, folder=folder).stdout)
    assert unit["key"] == key
    unknown = command_here("logs", finished, "--unit", "graded,l_max=0.2,gradient=0.002,realization=9", folder=folder)
    assert unknown.returncode == 2
    assert "did you mean" in unknown.stderr


@pytest.mark.usefixtures("undrawn")
def test_commands_on_an_exported_run(folder, finished):
    """State, report and differences; other commands say that these exist."""
    exported = command_here("export", finished, "copy.zip", "--format", "zarr", "--format", "report", folder=folder)
    assert exported.returncode == 0, exported.stderr
    assert "state    complete" in command_here("status", "copy.zip", folder=folder).stdout
    (status,) = json.loads(command_here("status", "copy.zip", "--json", folder=folder).stdout)
    assert status["done"] == 6
    report = command_here("report", "copy.zip", folder=folder)
    assert report.stdout.strip() == f"{finished.name}-report.html", report.stderr
    assert "Flux against time" in (folder / report.stdout.strip()).read_text(encoding="utf-8")
    compared = command_here("compare", "copy.zip", finished, folder=folder)
    assert "All settings that decide the results are the same." in compared.stderr
    assert re.search(r"(\d+) of \1 properties are the same", compared.stderr)
    for arguments in (("serve", "copy.zip"), ("logs", "copy.zip"), ("compare", "copy.zip", finished, "--html", "a")):
        refused = command_here(*arguments, folder=folder)
        assert refused.returncode == 2
        assert "copy.zip is an exported" in refused.stderr
        assert "membrane-dask report" in refused.stderr
    command_here("export", finished, "tables.zip", "--format", "zarr", folder=folder)
    missing = command_here("report", "tables.zip", folder=folder)
    assert missing.returncode == 2
    assert "export the run again with: --format report" in missing.stderr


def test_report(folder, finished, first_drawn):
    """Where it is goes to stdout; a study of two gradients has figures and no optimum."""
    with first_drawn(2):
        said = command_here("report", finished, folder=folder)
    assert said.returncode == 0, said.stderr
    path = Path(said.stdout.strip())
    assert path == finished / "report.html"
    text = path.read_text(encoding="utf-8")
    assert "Flux against time and against throughput" in text
    assert "Gu, Fig." not in text  # the study is not that of the paper
    assert "The best gradient" not in text
    with first_drawn(2):
        other = command_here("report", finished, "--out", folder / "elsewhere.html", folder=folder)
    assert (folder / "elsewhere.html").read_text(encoding="utf-8") == text, other.stderr
    missing = command_here("report", "no-such-run", folder=folder)
    assert missing.returncode == 2
    assert "no-such-run" in missing.stderr


def test_other_bits_are_a_bug(folder, finished):
    """Exit 1: what the result holds is not what the unit gives."""
    other = folder / "tampered"
    shutil.copytree(finished, other)
    array = zarr.open_array(str(other / "result.zarr/graded/throughput"), mode="r+")
    array[0, 0, 1] = array[0, 0, 1] * 1.0001
    said = command_here("replay", other, "graded,l_max=0.2,gradient=0,realization=1", folder=folder)
    assert said.returncode == 1
    assert "OTHER BITS" in said.stderr


def test_replay_gives_the_same_bits(folder, finished):
    again = command_here("replay", finished, "graded,l_max=0.2,gradient=0,realization=2", folder=folder)
    assert again.returncode == 0, again.stderr
    assert "the same bits" in again.stderr
    assert "throughput = " in again.stdout


def test_runs_that_are_not_there(folder, finished):
    for arguments in (("status", "nothing"), ("replay", "nothing", "key"), ("cancel", "nothing"), ("retry", "nothing")):
        said = command_here(*arguments, folder=folder)
        assert said.returncode == 2
        assert "Traceback" not in said.stderr
        assert "nothing" in said.stderr
    idle = command_here("cancel", finished, folder=folder)
    assert idle.returncode == 0
    assert "nothing to cancel" in idle.stderr


def test_a_run_in_two_pieces(folder):
    first = command_here("run", "filter.yaml", "--out", "pieces", "--limit", 2, folder=folder)
    assert first.returncode == 0
    (status,) = json.loads(command_here("status", "pieces", "--json", folder=folder).stdout)
    assert (status["state"], status["done"], status["left"]) == ("partial", 2, 4)
    assert command_here("run", "filter.yaml", "--out", "pieces", folder=folder).returncode == 0
    assert md.open_run(folder / "pieces").status()["state"] == "complete"


def test_units_that_fail_are_quarantined(folder):
    """No network meets a porosity to 1e-9: the pilots refuse the study; without them every unit fails, and says so."""
    impossible = ("--set", "porosity_tolerance=1e-9", "--set", "realizations=1", "--set", "gradient=0")
    refused = command_here("plan", "filter.yaml", *impossible, folder=folder)
    assert refused.returncode == 2
    assert "did not come within 1e-09" in refused.stderr
    assert "--no-measure" in refused.stderr
    impossible += ("--no-measure",)
    ended = command_here("run", "filter.yaml", "--out", "failing", *impossible, folder=folder)
    assert ended.returncode == 3
    assert "did not come within 1e-09" in ended.stderr
    (record,) = (folder / "failing/failures").glob("*.json")
    assert "PhysicsError" in json.loads(record.read_text())["traceback"]
    key = "graded,l_max=0.2,gradient=0,realization=0"
    assert command_here("retry", "failing", "--failed", folder=folder).stdout.split() == [key]
    assert command_here("retry", "failing", folder=folder).returncode == 3
    again = command_here("replay", "failing", key, folder=folder)
    assert again.returncode == 3
    assert "PhysicsError" in again.stderr
    (status,) = json.loads(command_here("status", "failing", "--json", folder=folder).stdout)
    assert (status["state"], status["failed"]) == ("failed", 1)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), ("cancel", 75)])
def test_stopping_early(folder, stop, code):
    """Whatever stops a run, the same command takes it up."""
    out = folder / f"stopped-{code}-{stop}"
    arguments = ["run", "filter.yaml", "--out", str(out), "--set", "realizations=400"]
    running = subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not ((out / "run.json").exists() and md.open_run(out).status()["done"] >= 2):
        time.sleep(0.02)
    if stop == "cancel":
        assert command_here("cancel", out, folder=folder).returncode == 0
    else:
        running.send_signal(stop)
    _, printed = running.communicate(timeout=60)
    assert running.returncode == code, printed
    assert "Traceback" not in printed
    status = md.open_run(out).status()
    assert status["state"] == "partial"
    assert 2 <= status["done"] < 800
    resumed = command_here("run", "filter.yaml", "--out", out, "--set", "realizations=400", "--limit", 3, folder=folder)
    assert resumed.returncode == 0
    assert md.open_run(out).status()["done"] >= status["done"] + 3


def test_a_scheduler_that_is_not_there(folder):
    said = command_here("run", "filter.yaml", "--out", "lost", "--cluster", "tcp://127.0.0.1:1", folder=folder)
    assert said.returncode == 4
    assert "Traceback" not in said.stderr
    assert "tcp://127.0.0.1:1" in said.stderr


def test_a_running_scheduler_by_address(folder, finished):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        done = command_here(
            "run", "filter.yaml", "--out", "addressed", "--cluster", cluster.scheduler_address, folder=folder
        )
        assert done.returncode == 0, done.stderr
        assert len(cluster.scheduler.workers) == 1  # left as it was found
    one, other = (md.open_run(path).result["graded"].to_dataset() for path in (finished, folder / "addressed"))
    assert one.identical(other)


def test_a_scheduler_that_dies(folder, finished):
    """Exit 4 with a message; what was finished is kept, and another cluster resumes the run."""
    port = 20_000 + os.getpid() % 20_000
    address = f"tcp://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    scheduler = subprocess.Popen([*dask, "scheduler", "--port", str(port), "--no-dashboard"], **quiet)
    worker = subprocess.Popen([*dask, "worker", address, "--nthreads", "1", "--death-timeout", "60"], **quiet)
    other = ("--set", "realizations=300", "--set", "seed=7")  # nothing is imported from the run of the other tests
    arguments = [*COMMAND, "run", "filter.yaml", "--out", "orphan", "--cluster", address, *other]
    try:
        running = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None:
            if (folder / "orphan/run.json").exists() and md.open_run(folder / "orphan").status()["done"] >= 3:
                break
            time.sleep(0.05)
        scheduler.kill()
        _, said = running.communicate(timeout=120)
    finally:
        for process in (scheduler, worker):
            process.terminate()
            process.wait(timeout=60)
    assert running.returncode == 4, said
    assert "connection to the scheduler was lost" in said
    assert "Traceback" not in said
    stored = md.open_run(folder / "orphan").status()["done"]
    assert 3 <= stored < 600
    assert command_here("run", "filter.yaml", "--out", "orphan", *other, "--limit", 3, folder=folder).returncode == 0
    assert md.open_run(folder / "orphan").status()["done"] >= stored + 3


def test_plan_measures_a_few_units(folder):
    said = command_here("plan", "filter.yaml", folder=folder)
    assert said.returncode == 0
    assert re.search(r"units\s+6", said.stdout), said.stdout
    assert re.search(r"\d", said.stdout.split("memory")[1])


def test_progress_at_a_terminal(folder):
    """A bar is drawn, and what is said besides is not drawn into it."""
    main, other = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, "run", "filter.yaml", "--out", "shown"], cwd=folder, stdout=subprocess.DEVNULL, stderr=other,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(other)
    screen = b""
    while select.select([main], [], [], 120)[0]:
        try:
            text = os.read(main, 65536)
        except OSError:  # the child has closed its end
            break
        if not text:
            break
        screen += text
    assert child.wait(timeout=60) == 0
    assert re.search(rb"\b6 of 6 \w+", screen), screen[-1500:]
    os.close(main)


def test_help_is_whole_and_needs_no_slow_library():
    code = (
        "import sys; from membrane_dask.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    text, modules = said.rsplit("\n", 2)[:2]
    assert "batches, memory, and then the cost, measured on a few units." in " ".join(text.split())
    assert "drive " not in text
    assert not {"rich", "numpy", "pydantic", "dask"} & set(modules.split())


def test_the_package_runs_as_a_module():
    said = subprocess.run([sys.executable, "-m", "membrane_dask", "--version"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, f"membrane-dask {md.__version__}\n")


def test_help_names_every_command(folder):
    said = command_here("--help", folder=folder).stdout
    for name in ("new", "check", "plan", "schema", "run", "retry", "status", "list", "logs", "cancel", "replay"):
        assert re.search(rf"\b{name}\b", said)
