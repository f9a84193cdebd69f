"""Disks that are full, without inodes or read-only: one message, what is finished is kept, and the run resumes."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy

import membrane_dask as md
from membrane_dask import api
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.logs import log_to_file, logger
from membrane_dask.engine.run import prepare
from membrane_dask.files import DiskError, disk_errors, write_atomically
from membrane_dask.report import write_report

STUDY = (
    "kind: graded\nbands: 2\nl_max: 0.25\nradius: 0.02\ngradient: [0.0, 0.01]\nrealizations: 8\n"
    "execution: {batch: 1}\ncluster: {profile: sync}\n"
)


@pytest.fixture
def disk(tmp_path):
    """Mounts small file systems at ``tmp_path/disk``."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
        return folder

    yield mount
    subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The same study on a disk with space for it."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "filter.yaml").write_text(STUDY)
    return md.run(folder / "filter.yaml", folder / "run")


@pytest.mark.parametrize(
    ("options", "more", "cause"),
    [
        ("size=1000k", "remount,size=40m", "MB of {disk} are free); remove files there"),
        ("size=40m,nr_inodes=500", "remount,nr_inodes=9000", "no inodes: all 500 files that {disk} can hold exist"),
    ],
)
def test_a_full_disk_stops_a_run_with_one_message(
    disk, tmp_path, command_here, reference, values_of, options, more, cause
):
    study = tmp_path / "filter.yaml"
    study.write_text(STUDY)
    folder = disk(options)
    full = command_here("run", study, "--out", folder / "run")
    assert full.returncode == 75, full.stderr
    assert "cannot write " in full.stderr
    assert os.uname().nodename in full.stderr
    assert cause.format(disk=folder) in full.stderr
    assert "what is finished is kept, run again to resume" in full.stderr
    assert "Traceback" not in full.stderr
    assert "Logging error" not in full.stderr
    assert full.stderr.count("cannot write ") == 1
    assert "cannot write " in full.stderr.splitlines()[-1]  # one line after those of the progress
    assert 0 < md.open_run(folder / "run").status()["done"] < 16, "the disk is too small or too large for this test"
    subprocess.run(["mount", "-o", more, folder], check=True)
    assert values_of(md.run(study, folder / "run")) == values_of(reference)


@pytest.mark.usefixtures("undrawn")
def test_a_report_is_written_whole_or_not_at_all(disk, reference):
    folder = disk("size=16k")
    with pytest.raises(DiskError, match=f"cannot write {folder}/report.html"):
        write_report(reference, folder / "report.html")
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_a_run_on_a_read_only_disk_is_written_here(disk, reference, tmp_path, monkeypatch):
    folder = disk("size=40m")
    shutil.copytree(reference.path, folder / "archived")
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    monkeypatch.chdir(tmp_path)
    assert write_report(folder / "archived") == Path("archived-report.html")
    assert "<svg" in (tmp_path / "archived-report.html").read_text(encoding="utf-8")


def test_a_run_cannot_be_laid_out_on_a_full_disk(disk, tmp_path, command_here):
    study = tmp_path / "filter.yaml"
    study.write_text(STUDY)
    folder = disk("size=60k")
    full = command_here("run", study, "--out", folder / "run")
    assert full.returncode == 75, full.stderr
    assert f"MB of {folder} are free); remove files there" in full.stderr
    assert not list(folder.iterdir())


def test_a_read_only_disk(disk, tmp_path, command_here):
    study = tmp_path / "filter.yaml"
    study.write_text(STUDY)
    folder = disk("size=40m")
    md.run(study, folder / "run", limit=3)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    stopped = command_here("run", study, "--out", folder / "run")
    assert stopped.returncode == 75, stopped.stderr
    assert "the file system is mounted read-only" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert md.open_run(folder / "run").status()["state"] == "partial"


def test_a_disk_that_fills_up_is_no_fault_of_a_unit(tmp_path, monkeypatch):
    """Units write to temporary folders and caches: the run stops instead of calling them failed."""
    plan = toy.toy_plan(cluster={"profile": "sync"})

    def full(context, unit):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/cache/kernel.nbi")

    plan.program.work = full
    run = prepare(plan, tmp_path / "run")
    with pytest.raises(DiskError, match=r"cannot write /tmp/cache/kernel\.nbi on .*: No space left on device"):
        api.execute(run, plan, listener=lambda event: None)
    assert run.status()["failed"] == 0


def test_a_line_of_the_journal_is_written_whole_or_not_at_all(tmp_path):
    journal = Journal(tmp_path)
    journal.append({"failed": ["a"]})
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(DiskError, match="ulimit -f"):
            journal.append({"failed": ["b"] * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    journal.append({"failed": ["c"]})
    assert set(journal.history()) == {"a", "b", "c"}


def test_a_small_file_keeps_its_old_content(tmp_path):
    path = tmp_path / "driver.json"
    write_atomically(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(DiskError, match=f"cannot write {path}"):
            write_atomically(path, "new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_that_cannot_be_written_is_reported_once(tmp_path, capfd):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    path = tmp_path / "driver.log"
    path.symlink_to("/dev/full")
    with log_to_file(path):
        for number in range(5):
            logger.info("record %d", number)
    out, err = capfd.readouterr()
    assert len(err.splitlines()) == 1, err
    assert "driver.log is incomplete: [Errno 28] No space left on device" in err
    assert out == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG])
def test_errors_of_the_disk_name_file_and_remedy(tmp_path, number):
    with pytest.raises(DiskError) as error, disk_errors(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert f"{tmp_path / 'file'} on {os.uname().nodename}: {os.strerror(number)}" in str(error.value)
    sent = pickle.loads(pickle.dumps(error.value))  # as from a worker
    assert (str(sent), sent.errno, type(sent)) == (str(error.value), number, DiskError)


def test_other_errors_are_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "no such file")


@pytest.mark.parametrize("arguments", [["--version"], ["schema"]])
def test_the_output_of_a_command_on_a_full_disk(arguments):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    command = [sys.executable, "-m", "membrane_dask.cli", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 75, done.stderr
        assert done.stderr == "cannot write the output of this command: No space left on device\n"
        assert subprocess.run(command, stdout=subprocess.DEVNULL, stderr=full, timeout=60).returncode == 0
