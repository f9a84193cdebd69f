"""Calls from Python: arguments are checked, with their names, before anything is planned or written."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
import toy

import membrane_dask as md
from membrane_dask.cli.commands import run_command
from membrane_dask.cli.exit_codes import STOPPED
from membrane_dask.engine.cluster import pools
from membrane_dask.engine.events import Message
from membrane_dask.engine.lock import DriverLock
from membrane_dask.errors import ClusterError, ExportError

SYNC = {"profile": "sync"}
STUDY = "kind: graded\ngradient: [0, 1e-3]\nradius: 0.01\nbands: 4\nrealizations: 2\n"


@pytest.fixture
def study_file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"study": 3}, r"study: must be a study, or the path .*got 3"),
        ({"study": {"kind": "graded"}}, r"study: must be a study, or the path .*got \{'kind'"),
        ({"out": 3}, "out: must be the path of a run directory.*got 3"),
        ({"limit": 2.5}, r"limit: must be a whole number.*got 2\.5"),
        ({"limit": -1}, "limit: must be at least 0.*got -1"),
        ({"listener": 3}, "listener: must be a function.*got 3"),
        ({"client": "tcp://127.0.0.1:1"}, r"client: must be a distributed\.Client .*got str"),
    ],
)
def test_a_wrong_argument_is_named_and_leaves_no_run(tmp_path, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        md.run(**{"study": toy.toy_plan(cluster=SYNC), "out": tmp_path / "run", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_no_study(tmp_path):
    run = toy.run_toy(tmp_path / "run", rows=1, columns=2, cluster=SYNC)
    with pytest.raises(TypeError, match=r"study: must be a study.*got <Run run: complete"):
        md.plan(run)


def test_text_instead_of_a_list(study_file):
    with pytest.raises(TypeError, match=r"overrides: must be a list of assignments, such as \['realizations=3'\]"):
        md.load_study(study_file, "realizations=3")
    with pytest.raises(TypeError, match=r"formats: must be a list of formats, such as \['csv'\]"):
        md.export("runs/any", "copy", formats="csv")
    with pytest.raises(TypeError, match="path: must be the path of a study file"):
        md.load_study(3)


def test_numbers_of_numpy_are_settings(study_file):
    study = md.load_study(
        study_file, realizations=np.int64(3), gradient=np.array([0.0, 2e-3]), cluster={"workers": np.int32(1)}
    )
    assert (study.realizations, study.gradient, study.cluster.workers) == (3, (0.0, 2e-3), 1)
    assert type(study.realizations) is int


def test_the_origin_of_a_wrong_keyword_is_the_keyword(study_file):
    """Not the line of the file whose value it replaces."""
    with pytest.raises(md.StudyError, match=r"^keyword realizations=3\.5: realizations: must be a whole number"):
        md.load_study(study_file, realizations=3.5)
    with pytest.raises(md.StudyError, match=r"^keyword cluster=\{'workers': 0\}: cluster\.workers: "):
        md.load_study(study_file, cluster={"workers": 0})


def test_a_fork_of_a_process_with_workers_is_refused(tmp_path, monkeypatch):
    """The threads that talk to workers are not copied into a fork."""
    monkeypatch.setattr(pools, "_processes", {os.getpid() + 1})
    with pytest.raises(ClusterError, match=r'get_context\("spawn"\)'):
        md.run(toy.toy_plan(cluster=SYNC), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_uses_workers_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "_processes", set())
    profile = pools.Profile(name="tcp://127.0.0.1:1", scheduler="address")
    monkeypatch.setattr(pools, "SCHEDULER_TIMEOUT", "50ms")
    with pytest.raises(ClusterError, match="no Dask scheduler answers"), pools.open_pool(profile, tmp_path, print):
        pass
    assert pools._processes == {os.getpid()}


class TestReadOnly:
    """A run on a file system that is mounted read-only."""

    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        run = toy.run_toy(tmp_path / "run", rows=1, columns=2, cluster=SYNC)

        def refuse(lock):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(lock.root / ".lock"))

        monkeypatch.setattr(DriverLock, "__enter__", refuse)
        monkeypatch.setattr("membrane_dask.engine.driver.os.access", lambda path, mode: mode != os.W_OK)
        return run

    def test_a_complete_run_is_done(self, run):
        """A script that repeats the command until it succeeds comes to an end."""
        events = []
        again = md.run(toy.toy_plan(rows=1, columns=2, cluster=SYNC), run.path, listener=events.append)
        assert again.status()["state"] == "complete"
        assert any("is complete" in event.text for event in events if isinstance(event, Message))

    def test_removal_says_that_nothing_was_removed(self, run, capsys):
        with pytest.raises(SystemExit) as ended:
            run_command(["rm", str(run.path), "--yes"])
        printed = capsys.readouterr().err
        assert ended.value.code == 75
        assert "nothing was removed: cannot write" in printed
        assert "run again to resume" not in printed
        assert run.path.is_dir()


def test_a_wrong_class_of_a_study(study_file):
    from membrane_dask.studies.foul.config import FoulStudy
    from membrane_dask.studies.graded.config import GradedStudy

    assert md.load_study(study_file, [], GradedStudy).realizations == 2
    with pytest.raises(md.StudyError, match="is a GradedStudy, not a FoulStudy"):
        md.load_study(study_file, [], FoulStudy)


def test_the_error_of_a_study_made_in_python_names_its_settings():
    from membrane_dask.studies.graded.config import GradedStudy

    with pytest.raises(ValueError, match=r"l_max\.0: .*greater than l_min"):
        GradedStudy(l_max=(0.2,), l_min=0.25)


def test_check_and_plan_for_scripts(study_file, capsys):
    def printed(*arguments):
        with pytest.raises(SystemExit) as ended:
            run_command([*arguments, "--json"])
        return ended.value.code, json.loads(capsys.readouterr().out)

    code, checked = printed("check", str(study_file))
    assert (code, checked["valid"], checked["problems"]) == (0, True, [])
    code, planned = printed("plan", str(study_file), "--no-measure")
    assert (code, planned["units"], planned["cpu_seconds"]) == (0, {"graded": 4}, None)
    code, checked = printed("check", str(study_file), "--set", "radius=-1")
    (problem,) = checked["problems"]
    assert (code, problem["field"], problem["position"]) == (2, "radius.0", "--set radius=-1")


def test_the_status_of_a_run_names_its_failed_units_and_its_absolute_path(tmp_path, monkeypatch):
    run = toy.run_toy(tmp_path / "run", rows=1, columns=2, raising=(1,), cluster=SYNC, execution={"retries": 0})
    monkeypatch.chdir(tmp_path)
    (status,) = md.list_runs(".").statuses()
    assert status["failed_keys"] == list(run.failed_keys) != []
    assert status["path"] == str(run.path)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_run_says_that_it_measures_its_cost(study_file, tmp_path, monkeypatch, cancelled):
    states = []

    def measured(plan):
        (status,) = md.list_runs(tmp_path / "runs").statuses()
        states.append((status["state"], status["percent"]))
        assert "measuring the cost on a few units" in str(md.open_run(tmp_path / "runs" / "run"))
        with pytest.raises(ExportError, match="is running"):
            md.export(tmp_path / "runs" / "run", tmp_path / "copy")
        if cancelled:
            assert md.api.cancel(tmp_path / "runs" / "run")
        return plan

    monkeypatch.setattr("membrane_dask.cli.run.measured", measured)
    arguments = ["run", str(study_file), "--out", str(tmp_path / "runs" / "run"), "--set", "cluster.profile=sync"]
    with pytest.raises(SystemExit) as ended:
        run_command(arguments)
    assert states == [("measuring", 0)]
    state = md.open_run(tmp_path / "runs" / "run").status()["state"]
    assert (ended.value.code, state) == ((STOPPED, "empty") if cancelled else (0, "complete"))


def test_percentage_is_that_of_finished_units_without_failed_ones(tmp_path):
    run = toy.run_toy(tmp_path / "run", rows=1, columns=1, raising=(0,), cluster=SYNC, execution={"retries": 0})
    assert run.status()["percent"] == 0
    assert "state    failed, 0 %" in str(run)


def test_a_second_driver_measures_no_pilots(study_file, tmp_path, monkeypatch):
    arguments = ["run", str(study_file), "--out", str(tmp_path / "run"), "--set", "cluster.profile=sync"]
    with pytest.raises(SystemExit):
        run_command([*arguments, "--limit", "0"])
    monkeypatch.setattr("membrane_dask.cli.run.measured", lambda plan: pytest.fail("pilots are measured"))
    monkeypatch.setattr(
        DriverLock, "active_driver", lambda *root: {"host": "another", "pid": 1, "beat": 0.0, "in_flight": 0}
    )
    with pytest.raises(SystemExit) as ended:
        run_command(arguments)
    assert ended.value.code == 2
