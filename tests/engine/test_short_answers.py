"""Short answers where something stops a command: Ctrl-C at once, unusual data, units that always fail."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import toy

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine import study_inputs
from membrane_dask.engine.events import UnitQuarantined
from membrane_dask.engine.plan import Plan
from membrane_dask.engine.run import prepare
from membrane_dask.engine.study_inputs import build_program
from membrane_dask.errors import ProgramError, StudyError, UnreadableRunError
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.progress import ProgressLines

SYNC = {"profile": "sync"}
STUDY = (
    "kind: graded\ngradient: 0\nrealizations: 2\nporosity: 0.1\nporosity_tolerance: 0.02\ncluster: {profile: sync}\n"
)
#: Ctrl-C while the command line is imported.
EARLY_CTRL_C = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from membrane_dask.cli import main
main(["--version"])
"""


def test_ctrl_c_during_the_imports_prints_no_traceback():
    done = subprocess.run([sys.executable, "-c", EARLY_CTRL_C], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGINT
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("error", [PhysicsError("no path"), IndexError("list"), ValueError("x"), MemoryError("2 TB")])
def test_unusual_data_are_an_error_of_the_study(monkeypatch, tmp_path, error):
    """Whatever a library raises while the inputs are read, the study names them, and there is no traceback."""
    (tmp_path / "s.yaml").write_text(STUDY)
    study = md.load_study(tmp_path / "s.yaml")

    def build(study, source):
        raise error

    monkeypatch.setattr(study_inputs, "find_kind", lambda name: SimpleNamespace(build=build))
    with pytest.raises(StudyError, match=f"cannot be planned with these settings: .*{error.args[0]}"):
        md.plan(study)
    error = ProgramError("an error of a package")  # which is to be seen as such
    with pytest.raises(ProgramError):
        build_program(study, None)


def test_pilots_that_fail_do_not_stop_a_plan(monkeypatch, tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(STUDY)

    def measured(self):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(Plan, "measured", measured)
    with pytest.raises(SystemExit) as leaving:
        main(["plan", str(tmp_path / "s.yaml")])
    printed = capsys.readouterr()
    assert not leaving.value.code
    assert "the cost is not known: division by zero" in printed.err
    assert "Traceback" not in printed.err
    assert re.search(r"units +2 ", printed.out)


def test_problems_are_sorted_by_line(tmp_path, capsys):
    (tmp_path / "s.yaml").write_text("kind: graded\nporosity: 5\nrealizations: -1\nnot_a_key: 1\ngradient: text\n")
    with pytest.raises(SystemExit):
        main(["check", str(tmp_path / "s.yaml"), "--set", "l_max=text"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("--set l_max=text")
    assert [int(line.split(":")[1]) for line in lines[1:]] == [2, 3, 4, 5]


def failing_run(folder, error):
    """A toy run whose first unit fails."""
    plan = toy.toy_plan(rows=1, columns=3, cluster=SYNC)

    def work(context, unit):
        if unit.params["number"] == 0:
            raise error
        return toy.work(context, unit)

    plan.program.work = work
    run = prepare(plan, folder)
    md.api.execute(run, plan, listener=lambda event: None)
    return run


def test_retrying_is_advised_only_where_it_may_help(tmp_path):
    """The same unit with the same parameters fails again, unless the machine was the cause."""
    always = str(failing_run(tmp_path / "always", PhysicsError("no such structure")))
    assert "membrane-dask retry" not in always
    assert "change the study" in always
    assert f"membrane-dask replay {tmp_path / 'always'} toy,row=0,column=0" in always
    for error in (MemoryError("too large"), PermissionError(13, "denied")):
        folder = tmp_path / type(error).__name__
        assert f"membrane-dask retry {folder}" in str(failing_run(folder, error))


def test_reasons_of_failures_are_printed_whole(tmp_path):
    reason = "porosity 0.5 is not possible:\n" + "radius 0.001, " * 50 + "the end"
    run = failing_run(tmp_path / "run", PhysicsError(reason))
    whole = f"PhysicsError: {' '.join(reason.split())}"
    assert f"toy,row=0,column=0: {whole}" in str(run)
    lines = []
    ProgressLines(SimpleNamespace(write=lines.append, flush=lambda: None))(UnitQuarantined("unit", whole))
    assert whole in "".join(lines)


def test_the_log_consists_of_sentences(tmp_path):
    run = failing_run(tmp_path / "run", PhysicsError("no such structure"))
    log = (run.path / "logs" / "driver.log").read_text()
    assert "2 units are done, 0 failed" in log
    assert "failed: toy,row=0,column=0: PhysicsError: no such structure" in log
    assert not re.search(r"\b[A-Z]\w+\(\w+=", log)  # such as Progressed(done=1, ...)


def test_the_record_of_a_run_has_its_layout_checked(tmp_path):
    run = toy.run_toy(tmp_path / "run", limit=0, rows=1, columns=2, cluster=SYNC)
    record = json.loads((run.path / "run.json").read_text())
    for schema, message in ((99, "a later version"), (0, "'schema'"), ("2", "'schema'"), (None, "'schema'")):
        (run.path / "run.json").write_text(json.dumps(record | {"schema": schema}))
        with pytest.raises(UnreadableRunError, match=message):
            md.open_run(run.path)


def test_a_complete_result_is_opened_by_xarray_alone_without_warnings(tmp_path):
    run = toy.run_toy(tmp_path / "run", rows=1, columns=2, cluster=SYNC)
    script = "import sys, xarray; print(list(xarray.open_datatree(sys.argv[1], engine='zarr').load().children))"
    line = [sys.executable, "-W", "error", "-c", script, str(run.path / "result.zarr")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['summary', 'toy']"
    assert done.stderr == ""
