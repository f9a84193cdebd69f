"""Removing and renaming runs: not while they are at work, and not while other runs read them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.cli.exit_codes import STOPPED
from membrane_dask.engine.lock import DriverLock

STUDY = (
    "kind: graded\ngradient: 0\nrealizations: {number}\nporosity: 0.1\nporosity_tolerance: 0.02\n"
    "cluster: {{profile: sync}}\n"
)


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """A folder of two runs that were laid out, of which the second names the first as its source."""
    monkeypatch.chdir(tmp_path)
    for number in (2, 3):
        Path("study.yaml").write_text(STUDY.format(number=number))
        md.run("study.yaml", f"runs/run-{number}", limit=0)
    text = Path("runs/run-3/study.yaml").read_text()
    Path("runs/run-3/study.yaml").write_text(text.replace("input: null", f"input: {tmp_path.resolve()}/runs/run-2"))
    return tmp_path / "runs"


@pytest.fixture
def command(capsys):
    """A command in this process: exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leaving:
            main([str(argument) for argument in arguments])
        return leaving.value.code or 0, *capsys.readouterr()

    return call


def test_a_run_that_another_one_reads_stays(runs, command):
    for arguments in (["rm", "run-2", "--yes"], ["rename", "run-2", "other"]):
        code, _, message = command(*arguments)
        assert code == 2
        assert f"runs/run-2 is read by {runs.resolve()}/run-3" in message
    assert {path.name for path in runs.iterdir()} == {"run-2", "run-3"}
    code, _, message = command("rm", "run-2", "run-3", "--yes")  # both together
    assert code == 0, message
    assert not list(runs.iterdir())


def test_nothing_is_removed_without_confirmation(runs, command):
    code, table, message = command("rm", "run-3")
    assert code == 2
    assert "--yes" in message
    assert "run-3" in table
    assert (runs / "run-3" / "run.json").is_file()
    line = [sys.executable, "-m", "membrane_dask.cli", "rm", "run-3"]
    main_end, other_end = pty.openpty()
    child = subprocess.Popen(line, stdin=other_end, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.write(main_end, b"y\n")
    assert child.wait(timeout=120) == 0
    os.close(main_end)
    os.close(other_end)
    assert not (runs / "run-3").exists()


def test_a_run_that_is_at_work_stays(runs, command):
    line = [sys.executable, "-m", "membrane_dask.cli"]
    with DriverLock(runs / "run-3"):
        for arguments in (["rm", "run-3", "--yes"], ["rename", "run-3", "other"]):
            done = subprocess.run([*line, *arguments], capture_output=True, text=True, timeout=120)
            assert done.returncode == 2
            assert "is being run by process" in done.stderr
    assert (runs / "run-3" / "run.json").is_file()


def test_a_broken_run_can_be_removed(runs, command):
    (runs / "run-3" / "run.json").write_text("{")
    code, table, _ = command("rm", "run-3", "--yes")
    assert code == 0
    assert "broken" in table
    assert not (runs / "run-3").exists()


def test_a_link_to_a_run_is_removed_and_not_the_run(runs, command):
    (runs / "link").symlink_to("run-3")
    assert command("rm", "link", "--yes")[0] == 0
    assert not (runs / "link").is_symlink()
    assert (runs / "run-3" / "run.json").is_file()


def test_a_renamed_run_is_resumed_under_its_new_name(runs, command):
    code, printed, message = command("rename", "run-3", "thick")
    assert (code, printed.strip()) == (0, "runs/thick")
    assert "run runs/thick/study.yaml --out runs/thick" in message
    assert {path.name for path in runs.iterdir()} == {"run-2", "thick"}
    for name in ("run-2", "../thick", ".hidden", "a b"):
        code, _, message = command("rename", "thick", name)
        assert code == 2
        assert "exists" in message or "letters, digits" in message
    assert command("rename", "nothing", "x")[0] == 2


def test_the_beginning_of_a_name_is_not_enough(runs, command):
    for arguments in (["rm", "run-", "--yes"], ["rm", "run", "--yes"], ["rename", "ru", "other"]):
        code, _, message = command(*arguments)
        assert code == 2
        assert "a path or a whole name is needed" in message
    Path("runs/run-2/run.json").unlink()  # now one run alone has this beginning
    assert command("rm", "run-", "--yes")[0] == 2
    assert (runs / "run-3" / "run.json").is_file()


def test_the_working_directory_and_the_same_run_twice(runs, command, monkeypatch):
    monkeypatch.chdir(runs / "run-3")
    code, printed, message = command("rename", ".", "thick")
    assert code == 0, message
    assert printed.strip() == str(runs.resolve() / "thick")
    code, _, message = command("rm", ".", runs / "thick", "../thick", "../run-2", "--yes")
    assert code == 0, message
    assert message.count("removed: ") == 2
    assert not list(runs.iterdir())
    monkeypatch.chdir(runs)


def test_what_could_not_be_removed_is_named_and_is_no_run(runs, command, monkeypatch):
    def fail(path):
        raise PermissionError(13, "Permission denied", str(path / "logs"))

    monkeypatch.setattr("membrane_dask.engine.run_removal.shutil.rmtree", fail)
    code, _, message = command("rm", "run-3", "--yes")
    assert code == STOPPED
    (rest,) = runs.glob(".run-3.removed-*")
    assert f"remove the rest: {rest.resolve()}\n" in message
    assert [run.name for run in md.list_runs(runs)] == ["run-2"]
    assert command("rm", "run-2", "--yes")[0] == STOPPED  # not refused: what was removed does not read it
