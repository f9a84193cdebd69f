"""Lists of runs: a broken one hides no other, and a million units fit into little memory."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.run import RunNotFoundError
from membrane_dask.engine.run_list import open_runs

STUDY = (
    "kind: graded\ngradient: 0\nrealizations: 2\nporosity: 0.1\nporosity_tolerance: 0.02\ncluster: {profile: sync}\n"
)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    (folder / "s.yaml").write_text(STUDY)
    return md.run(folder / "s.yaml", folder / "run", limit=0).path


@pytest.fixture
def runs(template, tmp_path) -> Path:
    """A folder of two runs, and of some that are broken in different ways."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in ("first", "torn", "list", "later", "journal", "jobs", "last"):
        shutil.copytree(template, folder / name)
    (folder / "torn" / "run.json").write_text("{")
    (folder / "list" / "run.json").write_text("[]")
    record = json.loads((folder / "later" / "run.json").read_text())
    (folder / "later" / "run.json").write_text(json.dumps(record | {"schema": 99}))
    shutil.rmtree(folder / "journal" / "journal")
    (folder / "journal" / "journal").symlink_to("journal")  # a loop
    (folder / "jobs" / "jobs.json").write_text('{"drivers": ["--user=root"], "profile": {"scheduler": 5}}')
    (folder / "nothing").mkdir()
    return folder


@pytest.fixture
def command(capsys, monkeypatch, runs):
    """A command in this process, in the folder that holds ``runs``."""
    monkeypatch.chdir(runs.parent)

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        with pytest.raises(SystemExit) as leaving:
            main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, leaving.value.code, *capsys.readouterr())

    return call


BROKEN = {"torn": "run.json is damaged: it is not JSON", "list": "run.json is damaged", "later": "a later version"}


def test_a_broken_run_hides_no_other(runs, command):
    for arguments in (["status"], ["list"], ["list", runs]):
        listed = command(*arguments)
        assert listed.returncode == 0, listed.stderr
        rows = {line.split()[0]: line.split() for line in listed.stdout.splitlines()[1:]}
        assert set(rows) == {"first", "torn", "list", "later", "journal", "jobs", "last"}
        assert rows["first"][2] == rows["last"][2] == "empty"
        assert rows["torn"][1:3] == ["-", "broken"]
        assert set(rows["torn"][3:]) == {"-"}
        for name, reason in BROKEN.items():
            assert "broken" in rows[name]
            assert any(line.startswith(f"{name}: ") and reason in line for line in listed.stderr.splitlines())
        assert "Traceback" not in listed.stderr
    statuses = json.loads(command("status", "--json").stdout)
    states = {status["run"]: status["state"] for status in statuses}
    assert {name for name, state in states.items() if state == "broken"} >= set(BROKEN)
    assert all(status["problem"] for status in statuses if status["state"] == "broken")
    assert [run.name for run in md.api.list_runs(runs) if run.name in ("first", "last")] == ["first", "last"]
    assert {run.path.name for run in md.api.list_runs(runs).broken} == set(BROKEN)
    assert "broken" in repr(md.api.list_runs(runs))


def test_a_broken_run_that_is_named_is_an_error_and_hides_no_other(runs, command):
    other = command("status", "first")
    assert other.returncode == 0
    assert not other.stderr
    both = command("status", "torn", "last")
    assert both.returncode == 2
    assert "last" in both.stdout
    assert "run.json is damaged" in both.stderr
    for arguments in (
        ["retry", "torn"],
        ["report", "list"],
        ["logs", "later"],
        ["cancel", "torn"],
        ["replay", "torn", "x"],
    ):
        refused = command(*arguments)
        assert refused.returncode == 2, refused.stderr
        assert "Traceback" not in refused.stderr


def test_serve_takes_the_files_of_a_pattern(runs, monkeypatch, capsys):
    from membrane_dask.cli.explore import _directories, _runs

    monkeypatch.chdir(runs.parent)
    (runs / "notes.txt").touch()
    (runs / "link").symlink_to("first")
    names = _directories([str(path.relative_to(runs.parent)) for path in sorted(runs.iterdir())])
    assert "left out: runs/notes.txt is a file" in capsys.readouterr().err
    listed = [entry.path.resolve().name for entry in _runs(names).entries]
    assert sorted(listed) == ["first", "jobs", "journal", "last", "later", "list", "torn"]  # each once
    assert len(_runs([*names, "runs", "./runs/first"]).entries) == len(listed)
    with pytest.raises(typer.Exit):
        _directories(["runs/notes.txt"])
    with pytest.raises(RunNotFoundError, match="no run runs/absent"):
        _runs(["runs/absent"])


def test_runs_of_one_name_in_several_folders_are_listed_by_their_paths(runs, tmp_path):
    shutil.copytree(runs / "first", tmp_path / "other" / "first")
    listed = open_runs([runs / "first", tmp_path / "other" / "first", runs / "last"])
    assert [row[0] for row in listed.rows()] == [str(runs / "first"), str(tmp_path / "other" / "first"), "last"]


def test_status_is_refreshed_on_a_terminal_only(runs, template):
    """Until the driver ends, which this process is; then the table is printed as without --watch."""
    line = [sys.executable, "-m", "membrane_dask.cli", "status", "--watch", str(runs / "first")]
    main_end, other_end = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160"}
    with DriverLock(runs / "first"):
        child = subprocess.Popen(line, stdout=other_end, stderr=subprocess.DEVNULL, env=environment)
        os.close(other_end)
        screen = b""
        while screen.count(b"running") < 2:
            screen += os.read(main_end, 65536)
    with contextlib.suppress(OSError):  # the end of the child's output
        while text := os.read(main_end, 65536):
            screen += text
    assert child.wait(timeout=60) == 0
    assert b"\x1b[2K" in screen  # earlier lines are erased
    assert b"empty" in screen.rpartition(b"\x1b[2K")[2]
    once = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert "\x1b" not in once.stdout
    assert len(once.stdout.splitlines()) == 2


def synthetic_run(folder: Path, units: int) -> Path:
    """A run whose journal has ``units`` units in lines of ten."""
    root = folder / "synthetic"
    (root / "journal").mkdir(parents=True)
    record = {
        "schema": 2,
        "kind": "graded",
        "identity": "a" * 64,
        "seed": 1,
        "units": {"graded": units},
        "batch": {"graded": 10},
    }
    (root / "run.json").write_text(json.dumps(record))
    with (root / "journal" / "1-host-1.jsonl").open("w") as stream:
        for start in range(0, units, 10):
            keys = [f"graded,l_max=0.25,gradient=0.02,realization={number}" for number in range(start, start + 10)]
            line = {
                "time": "2026-11-26T02:56:28+00:00", "done": keys, "seconds": [0.5] * 10, "memory": [228470784] * 10,
                "sha256": ["4dda280cf46da7acdc8d2ee35e9637ae"] * 10, "feedback": {key: {"x": 1.25} for key in keys},
                "worker": "host-1", "attempt": 1,
            }  # fmt: skip
            stream.write(json.dumps(line) + "\n")
        stream.write(json.dumps({"time": "x", "reopened": keys[:3]}) + "\n")
    return root


PEAK = """
import re, sys
from membrane_dask.cli import main
from membrane_dask.engine.lock import DriverLock
try:
    main(sys.argv[1:])
finally:  # ru_maxrss would count the process that started this one
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1000, file=sys.stderr)
"""


def peak(*arguments: object) -> tuple[str, int]:
    """What a command prints, and the largest memory of its process in MB."""
    line = [sys.executable, "-c", PEAK, *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=True)
    return done.stdout, int(done.stderr.split()[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read in /proc")
@pytest.mark.parametrize(("units", "limit"), [(50_000, 120), pytest.param(1_000_000, 200, marks=pytest.mark.slow)])
def test_status_of_many_units_needs_little_memory(tmp_path, units, limit):
    root = synthetic_run(tmp_path, units)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    for arguments in (["status", root, "--json"], ["list", tmp_path, "--json"]):
        printed, megabytes = peak(*arguments)
        (status,) = json.loads(printed)
        assert (status["done"], status["left"], status["state"]) == (units - 3, 3, "partial")
        assert megabytes < limit
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert seconds < 10 + 40e-6 * units  # of two commands; a tenth was measured
