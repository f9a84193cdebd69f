"""The run directory: laid out whole or not at all, and readable from the first second."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pytest
import toy

import membrane_dask as md
from membrane_dask import api
from membrane_dask.engine.run import RunNotFoundError, prepare
from membrane_dask.engine.run_list import find_run
from membrane_dask.errors import StudyError
from membrane_dask.files import write_json

SYNC = {"profile": "sync"}
RAISING = {"raising": [3], "cluster": SYNC, "execution": {"retries": 0}}


def run_in_state(state: str, root):
    """A run that is empty, partial, failed or complete."""
    if state == "empty":
        return prepare(toy.toy_plan(cluster=SYNC), root)
    if state == "partial":
        return toy.run_toy(root, cluster=SYNC, limit=25)
    return toy.run_toy(root, **(RAISING if state == "failed" else {"cluster": SYNC}))


class Checker(HTMLParser):
    """Counts what is opened and closed."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


@pytest.mark.parametrize(
    ("state", "done", "failed", "left"),
    [("empty", 0, 0, 60), ("partial", 25, 0, 35), ("failed", 59, 1, 0), ("complete", 60, 0, 0)],
)
def test_every_state_can_be_looked_at(tmp_path, state, done, failed, left):
    run = run_in_state(state, tmp_path / "run")
    status = run.status()
    assert status == {
        "run": "run", "kind": "toy", "state": state, "done": done, "running": 0, "failed": failed, "left": left,
            "percent": 100 * done // 60,
    }  # fmt: skip
    table = run.result["toy"]
    assert (table["status"].values == 1).sum() == done
    assert np.isnan(table["count"].values).sum() == 60 - done  # unfinished whole numbers read as missing
    for text in (repr(run), str(run)):
        assert state in text
    page = Checker()
    page.feed(run._repr_html_())
    assert page.open == []
    assert state in page.text
    assert f"{done} of 60 done" in page.text
    if failed:
        assert "ArithmeticError" in page.text
        assert "membrane-dask replay" in page.text
    listed = Checker()
    listed.feed(md.list_runs(tmp_path)._repr_html_())
    assert listed.open == []
    assert state in listed.text


def test_running_state_in_another_process(tmp_path):
    plan = toy.toy_plan(cluster=SYNC, execution={"batch": 5})
    run = prepare(plan, tmp_path / "run")
    states = []
    api.execute(run, plan, listener=lambda event: states.append(run.status()))
    assert {status["state"] for status in states} == {"running"}
    assert all(s["done"] + s["running"] + s["failed"] + s["left"] == 60 for s in states)
    assert run.status()["state"] == "complete"


def test_a_silent_driver_elsewhere_counts_as_gone(tmp_path):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, limit=5)
    metadata = {"host": "elsewhere", "pid": 1, "beat": time.time(), "in_flight": 4}
    write_json(run.path / "driver.json", metadata)
    assert run.status()["state"] == "running"
    assert run.status()["running"] == 4
    write_json(run.path / "driver.json", metadata | {"beat": time.time() - 1000})
    assert run.status()["state"] == "partial"


def test_same_study_finds_its_run_and_another_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = toy.toy_plan(cluster=SYNC)
    run = prepare(plan, None)
    assert run.path.name == plan.name
    assert prepare(plan, None).path == run.path
    with pytest.raises(StudyError, match="another study"):
        prepare(toy.toy_plan(cluster=SYNC, seed=5), run.path)
    fresh = prepare(toy.toy_plan(cluster=SYNC, seed=5), run.path, fresh=True)
    assert fresh.path == run.path
    assert len(list(run.path.parent.glob("*.old-*"))) == 1  # moved aside, not deleted


def test_foreign_directories_are_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match="is not a run"):
        prepare(toy.toy_plan(cluster=SYNC), tmp_path, fresh=True)
    with pytest.raises(StudyError, match="is not a run"):
        prepare(toy.toy_plan(cluster=SYNC), tmp_path / "notes.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_layout_that_fails_leaves_nothing(tmp_path, monkeypatch):
    from membrane_dask.engine import layout

    monkeypatch.setattr(layout, "create_dataset", lambda *args: None)
    monkeypatch.setattr(layout, "create_table", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        prepare(toy.toy_plan(cluster=SYNC), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_layout_killed_before_its_end_is_no_run(tmp_path):
    root = tmp_path / "run"
    pid = os.fork()
    if not pid:
        from membrane_dask.engine import layout

        layout.create_table = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
        prepare(toy.toy_plan(cluster=SYNC), root)
    os.waitpid(pid, 0)
    assert not root.exists()
    assert toy.run_toy(root, cluster=SYNC).status()["state"] == "complete"


def test_find_runs_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = toy.toy_plan(cluster=SYNC)
    run = prepare(plan, None)
    assert find_run(run.path).name == find_run(plan.name).name == find_run("toy").name == plan.name
    prepare(toy.toy_plan(cluster=SYNC, seed=1), None)
    with pytest.raises(RunNotFoundError, match="several"):
        find_run("toy")
    with pytest.raises(RunNotFoundError, match="did you mean"):
        find_run(plan.name[:-1] + "_")
    with pytest.raises(RunNotFoundError, match="membrane-dask list"):
        md.open_run("nothing")
    assert len(md.list_runs()) == 2
    longer = prepare(toy.toy_plan(cluster=SYNC, name="toy_long"), None)
    assert find_run("toy_long").name == find_run("runs/toy_long").name == longer.name
    prepare(toy.toy_plan(cluster=SYNC, name="toy_long2"), None)
    assert find_run("toy_long").name == longer.name  # the name of its study takes precedence over the start of a name


def test_the_run_directory_is_as_designed(tmp_path):
    run = toy.run_toy(tmp_path / "run", **RAISING)
    names = {path.name for path in run.path.iterdir()} - {".lock"}
    assert names == {
        "study.yaml", "run.json", "layout.json", "provenance.json", "journal", "result.zarr", "volumes", "inputs",
        "failures", "logs",
    }  # fmt: skip
    assert len(list((run.path / "failures").glob("*.json"))) == 1
    record = next(r for r in run.journal.records() if "done" in r)
    assert {"time", "done", "seconds", "sha256", "worker", "memory", "attempt"} <= set(record)
    assert json.loads((run.path / "run.json").read_text())["units"] == {"toy": 60}


def test_a_script_without_a_guard_gets_an_error(tmp_path):
    """Worker processes import the script; the second run that this would start is not begun."""
    script = tmp_path / "script.py"
    script.write_text("import membrane_dask as md\nmd.run(md.load_study('filter.yaml'), 'run')\n")
    (tmp_path / "filter.yaml").write_text("kind: graded\nrealizations: 1\ncluster: {workers: 1}\n")
    said = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert said.returncode == 1
    assert "RunBusyError" not in said.stderr
    assert said.stderr.count('under `if __name__ == "__main__":`') == 2  # by the worker, and at the end by the script
    assert said.stderr.strip().splitlines()[-1].startswith("membrane_dask.errors.ClusterError")
