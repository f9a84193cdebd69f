"""Code that changes under one version: it is noticed, finished units decide, and two codes never mix in one table."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from changing_kind import new_process, start, write

from membrane_dask.engine.plan import make_plan
from membrane_dask.engine.run import Run, prepare
from membrane_dask.engine.software import software_of
from membrane_dask.engine.worker import differences
from membrane_dask.errors import StudyError

OTHER_NUMBERS = ("return 2.0 * x", "return 2.0048 * x")
SAME_BITS = ("return 2.0 * x", "return x + x")


@pytest.fixture(autouse=True)
def _restore_imports(monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))


def digests(folder: Path) -> tuple[str, dict[str, str]]:
    module = new_process(folder)
    software = software_of(module.Program(module.Study()))
    return software.sources, software.statements


def files(run_directory: Path) -> dict[str, bytes]:
    """What of a run holds results, without the consolidated metadata, which a start of the run removes."""
    return {
        str(path.relative_to(run_directory)): path.read_bytes()
        for name in ("result.zarr", "journal", "scratch", "failures")
        for path in (run_directory / name).rglob("*")
        if path.is_file() and path != run_directory / "result.zarr/zarr.json"
    }


# ---------------------------------------------------------------------------------------------
# The digest


def test_the_digest_does_not_depend_on_paths_times_and_compiled_files(tmp_path):
    first = digests(write(tmp_path / "a"))
    assert first == digests(tmp_path / "a")  # now with compiled files
    write(tmp_path / "b" / "deep")
    for path in (tmp_path / "b").rglob("*.py"):
        os.utime(path, (1, 1))
    assert digests(tmp_path / "b" / "deep") == first


def test_comments_docstrings_and_layout_are_no_statements(tmp_path):
    sources, statements = digests(write(tmp_path / "a"))
    text = '\n\n# a comment\ndef formula(x):\n    """Other words.\n\n    More.\n    """\n    return (2.0 *\n        x)'
    changed = ('\ndef formula(x):\n    """Docstring."""\n    return 2.0 * x', text)
    other, same = digests(write(tmp_path / "b", helper=changed))
    assert other != sources
    assert same == statements


@pytest.mark.parametrize(
    "change",
    [
        {"helper": OTHER_NUMBERS},
        {"helper": ("2.0 * x", "2 * x")},
        {"helper": ("formula(x)", "formula(x, *, y={1, 2})")},
        {"tasks": ("np.arange(3.0)", "np.arange(3.0) + 0.0")},
        {"program": ("Recall(f", "Recall(key=f")},
    ],
)
def test_a_changed_statement_changes_the_digest(tmp_path, change):
    sources, statements = digests(write(tmp_path / "a"))
    other, changed = digests(write(tmp_path / "b", **change))
    assert other != sources
    assert {name for name in statements if statements[name] != changed[name]} == {f"changingkind.{next(iter(change))}"}


def test_what_computes_nothing_does_not_count(tmp_path):
    first = digests(write(tmp_path / "a"))
    assert digests(write(tmp_path / "b", report=("return []", "return [1]"))) == first
    assert not any("report" in name or ".cli" in name or ".api" in name for name in first[1])
    assert {"changingkind.helper", "membrane_dask.engine.store", "membrane_dask.schema"} <= set(first[1])


@pytest.mark.parametrize("statement", ["from . import extra", "from .extra import *", "import changingkind.extra as e",
                                       "if True: from changingkind import (  # comment\n  helper,\n extra)",
                                       "from changingkind import helper, \\\n  extra"])  # fmt: skip
def test_every_form_of_import_is_followed(tmp_path, statement):
    folder = write(tmp_path / "a", tasks=("import os, time", f"import os, time\n{statement}"))
    (folder / "changingkind" / "extra.py").write_text("import loose\n")
    (folder / "loose.py").write_text("X = 1\n")  # of no distribution: it has no version
    assert {"changingkind.extra", "loose"} <= set(digests(folder)[1])


def test_the_files_that_this_process_has_imported_count(tmp_path):
    """A notebook goes on with the code that it has imported, whatever is on disk since."""
    folder = write(tmp_path / "a")
    module = new_process(folder)
    before = software_of(module.Program(module.Study()))
    write(folder, helper=OTHER_NUMBERS)
    assert software_of(module.Program(module.Study())).sources == before.sources


@pytest.mark.parametrize(
    ("kind", "program"),
    [
        ("graded", "program:GradedProgram"), ("graded", "input_program:InputProgram"),
        ("graded", "design_program:DesignProgram"), ("graded", "calibration_program:CalibrationProgram"),
        ("reconstruct", ""), ("characterize", ""), ("foul", "program:FoulProgram"),
        ("porometry", ""),
    ],
)  # fmt: skip
def test_sources_and_versions_of_the_package_s_own_kinds(kind, program):
    from importlib import import_module

    from membrane_dask.engine import software
    from membrane_dask.studies.registry import find_kind

    path = f"membrane_dask.studies.{kind}.{program}" if program else find_kind(kind).program
    module, _, name = path.partition(":")
    program = getattr(import_module(module), name)
    roots = tuple(sorted({program.__module__, program.work.__module__}))
    own = software._software(roots)
    assert {"python", "numpy"} <= set(own.versions)
    assert {"numba", "llvmlite"} <= set(own.versions)
    assert ("skimage" in own.versions) == (kind == "reconstruct")
    assert not any(name.startswith(("PIL.", "IPython")) for name in own.modules)  # libraries enter by their versions
    modules = set(own.modules)
    assert {f"membrane_dask.studies.{kind}.{name}" for name in ("config", "program", "tasks", "variables")} <= modules
    assert any(name.startswith("membrane_dask.physics.") for name in modules)
    assert not any(other in name for name in modules for other in (".cli", ".report", "membrane_dask.api", "executor"))
    assert not any(f"studies.{o}." in n for n in modules for o in {"graded", "porometry"} - {kind})


def test_sources_are_digested_once():
    from membrane_dask.engine import software

    for value in vars(software).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()
    roots = ("membrane_dask.studies.characterize.program", "membrane_dask.studies.characterize.tasks")
    assert software._software(roots) is software._software(roots)


def test_compiled_kernels_are_those_of_the_present_sources(tmp_path):
    """Numba itself does not notice that a function has changed that a cached kernel calls from another module."""
    script = "import numba, membrane_dask.physics._jit; print(numba.config.CACHE_DIR)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    environment.pop("MEMBRANE_DASK_CACHE", None)
    folder = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert Path(folder.stdout.strip()).parent == tmp_path
    assert Path(folder.stdout.strip()).name.startswith("membrane-dask-")


# ---------------------------------------------------------------------------------------------
# A resume with other code


def test_other_numbers_stop_a_resume_before_anything_is_written(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run", limit=7)
    before = files(tmp_path / "run")
    with pytest.raises(StudyError) as raised:
        start(write(tmp_path / "b", helper=OTHER_NUMBERS), tmp_path / "run")
    text = str(raised.value)
    assert "gives other numbers with the present software, so nothing was written" in text
    assert "values-0: value 1 of 1 values differ, by up to 0.0048 (relative 0.0024)" in text
    assert "values-0: vector 2 of 3 values differ, by up to 0.0096 (relative 0.0024)" in text
    assert "the code of changingkind.helper changed since run was made" in text
    assert f"membrane-dask run {tmp_path}/run/study.yaml --out {tmp_path}/run --fresh" in text
    assert "go on with the recorded software: changingkind" in text
    assert files(tmp_path / "run") == before
    run, _ = start(tmp_path / "a", tmp_path / "run")  # the recorded code goes on, without a check
    assert run.status()["state"] == "complete"
    assert run.software_notes() == []


def test_the_same_bits_go_on_and_are_recorded(tmp_path, values_of):
    reference, _ = start(write(tmp_path / "a"), tmp_path / "reference")
    start(tmp_path / "a", tmp_path / "run", limit=7)
    run, events = start(write(tmp_path / "b", helper=SAME_BITS), tmp_path / "run", limit=3)
    assert "the code of changingkind.helper changed since run was made: 7 finished units are computed again" in events
    assert "7 units have the same bits" in events
    records = run.provenance["software"]
    assert len(records) == 2
    assert records[1]["checked"] == sorted(f"values-{n}" for n in range(7))
    assert records[1]["versions"]["numpy"] == np.__version__
    assert "2 versions of the code" in run.software_notes()[0]
    assert any("2 versions of the code" in text for _, text in run.rows())
    for folder in ("b", "a"):  # both are recorded
        run, events = start(tmp_path / folder, tmp_path / "run", limit=1)
        assert "computed again" not in events
    run, _ = start(tmp_path / "b", tmp_path / "run")
    assert values_of(run) == values_of(reference)
    assert [entry["sources"] for entry in run.provenance["starts"]].count(records[1]["sources"]) == 3


def test_changed_docstrings_are_not_checked(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run", limit=7)
    run, events = start(write(tmp_path / "b", helper=("Docstring", "Other words")), tmp_path / "run")
    assert "computed again" not in events
    assert len(run.provenance["software"]) == 1


def test_a_run_without_a_record_is_checked_and_recorded(tmp_path):
    for name, change, outcome in (("x", {"helper": OTHER_NUMBERS}, "stops"), ("y", {}, "goes on")):
        root = tmp_path / name
        start(write(tmp_path / "a"), root, limit=7)
        path = root / "provenance.json"
        entries = json.loads(path.read_text())
        del entries["software"], entries["starts"][0]["sources"]
        path.write_text(json.dumps(entries))
        if outcome == "stops":
            with pytest.raises(StudyError, match="the run does not say which code has made it"):
                start(write(tmp_path / "b", **change), root)
        else:
            run, events = start(tmp_path / "a", root)
            assert "the run does not say which code has made it: 7 finished units are computed again" in events
            assert len(run.provenance["software"]) == 1


HOSTILE = {"sources": "a", "statements": "b", "modules": {}, "versions": {"numpy": "1'; rm -rf ~ #"}}


@pytest.mark.parametrize("records", [7, [{"sources": 1}], [HOSTILE]])
def test_a_damaged_record_counts_as_none(tmp_path, records):
    start(write(tmp_path / "a"), tmp_path / "run", limit=7)
    path = tmp_path / "run" / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "software": records, "workers": records}))
    run, events = start(tmp_path / "a", tmp_path / "run")
    assert "computed again" in events
    assert run.status()["state"] == "complete"


def test_retry_with_other_numbers_stops_and_the_unit_stays_failed(tmp_path):
    fields = {"failing": 5, "switch": str(tmp_path / "switch")}
    run, _ = start(write(tmp_path / "a"), tmp_path / "run", **fields)
    assert run.status()["state"] == "failed"
    (tmp_path / "switch").touch()
    before = files(tmp_path / "run")
    with pytest.raises(StudyError, match="gives other numbers"):
        start(write(tmp_path / "b", helper=OTHER_NUMBERS), tmp_path / "run", retry_failed=True, **fields)
    assert files(tmp_path / "run") == before
    assert run.status()["failed"] == 1
    run, _ = start(write(tmp_path / "c", helper=SAME_BITS), tmp_path / "run", retry_failed=True, **fields)
    assert run.status()["state"] == "complete"


def test_units_whose_retry_was_submitted_stay_failed_until_the_job_has_checked_its_software(tmp_path):
    """What submits the job writes only a request: the job may have other software."""
    fields = {"failing": 5, "switch": str(tmp_path / "switch")}
    run, _ = start(write(tmp_path / "a"), tmp_path / "run", **fields)
    run.journal.request_retry(run.failed_keys)
    run, _ = start(write(tmp_path / "a"), tmp_path / "run", **fields)
    assert run.journal.retry_requests() == set()  # it has failed again, and is not retried for ever
    attempts = [record for record in run.journal.records() if record.get("failed")]
    start(write(tmp_path / "a"), tmp_path / "run", **fields)
    assert [record for record in run.journal.records() if record.get("failed")] == attempts
    run.journal.request_retry(run.failed_keys)
    (tmp_path / "switch").touch()
    before = files(tmp_path / "run")
    with pytest.raises(StudyError, match="gives other numbers"):
        start(write(tmp_path / "b", helper=OTHER_NUMBERS), tmp_path / "run", **fields)
    assert files(tmp_path / "run") == before
    assert run.status()["failed"] == 1
    run, _ = start(write(tmp_path / "c", helper=SAME_BITS), tmp_path / "run", **fields)
    assert run.status()["state"] == "complete"


def test_tables_are_not_collected_with_other_numbers(tmp_path, monkeypatch):
    """All units are finished, the driver died before it collected."""
    with monkeypatch.context() as patch:
        patch.setattr("membrane_dask.engine.executor.Execution.collect", lambda self: None)
        start(write(tmp_path / "a"), tmp_path / "run")
    assert not Run(tmp_path / "run").journal.collected()
    with pytest.raises(StudyError, match="gives other numbers"):
        start(write(tmp_path / "b", helper=OTHER_NUMBERS), tmp_path / "run")
    assert not (tmp_path / "run" / "result.zarr" / "sum").exists()
    run, _ = start(write(tmp_path / "c", helper=SAME_BITS), tmp_path / "run")
    assert run.status()["state"] == "complete"


def test_a_complete_run_says_that_other_code_has_made_it(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run")
    before = files(tmp_path / "run")
    run, events = start(write(tmp_path / "b", helper=OTHER_NUMBERS), tmp_path / "run")
    assert "the code of changingkind.helper changed since run was made; the results are those of the recorded" in events
    assert files(tmp_path / "run") == before
    assert len(run.provenance["software"]) == 1


def test_units_whose_inputs_are_gone_are_skipped_and_named(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run", limit=16, steps=True)  # 12 steps, 4 values
    shutil.rmtree(tmp_path / "run" / "scratch" / "steps")
    run, events = start(write(tmp_path / "b", helper=SAME_BITS), tmp_path / "run", limit=0, steps=True)
    assert "computed again" not in events  # nothing is to be written
    run, events = start(tmp_path / "b", tmp_path / "run", limit=1, steps=True)
    assert "nothing of values could be compared: the data that these units read are gone" in events
    assert run.provenance["software"][1]["unchecked"] == ["values"]


def test_a_unit_that_fails_with_the_present_code_has_other_numbers(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run", limit=7)
    with pytest.raises(StudyError, match="values-0: fails with ZeroDivisionError"):
        start(write(tmp_path / "b", helper=("return 2.0 * x", "return x / 0")), tmp_path / "run")


def test_other_decisions_stop_a_search(tmp_path):
    """Each finished trial has the same bits; the next ones would be chosen by other code."""
    start(write(tmp_path / "a"), tmp_path / "run", limit=5, search=True)
    with pytest.raises(StudyError, match="values-4 would have other parameters: point"):
        start(
            write(tmp_path / "b", program=("threshold(point + 1.0)", "threshold(point + 2.0)")),
            tmp_path / "run", search=True,
        )  # fmt: skip
    run, _ = start(write(tmp_path / "c", helper=SAME_BITS), tmp_path / "run", search=True)
    assert run.status()["done"] == 12


def test_finished_units_that_are_not_proposed_any_more_stop_a_run(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run", limit=7)
    change = ("settle([self.unit(\"values\", n, n + 1.0) for n in range(self.study.units)])",
              "settle([self.unit(\"values\", n, n + 1.0) for n in range(4)])")  # fmt: skip
    with pytest.raises(StudyError, match="3 finished units are not asked for any more, such as values-4"):
        start(write(tmp_path / "b", program=change), tmp_path / "run")


def test_other_inputs_stop_a_run_even_without_finished_units(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run", limit=0)
    with pytest.raises(StudyError, match=r"given: g 1 of 1 values differ, by up to 0\.25"):
        start(write(tmp_path / "b", helper=("def threshold(x):\n    return x", "def threshold(x):\n    return 2 * x")),
              tmp_path / "run")  # fmt: skip


def test_a_run_without_finished_units_is_begun_by_the_present_code(tmp_path):
    start(write(tmp_path / "a"), tmp_path / "run", limit=0)
    run, events = start(write(tmp_path / "b", helper=OTHER_NUMBERS), tmp_path / "run")
    assert "computed again" not in events
    assert run.status()["state"] == "complete"
    assert run.software_notes() == []


def library(folder: Path, version: str, factor: float = 2.0) -> None:
    """A library with a version number."""
    for old in folder.glob("numlib*"):
        shutil.rmtree(old)
    (folder / "numlib").mkdir(parents=True)
    (folder / "numlib" / "__init__.py").write_text(f"def twice(x):\n    return {factor} * x\n")
    info = folder / f"numlib-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: numlib\nVersion: {version}\n")


def test_other_versions_of_libraries(tmp_path):
    uses = {"helper": ("return 2.0 * x", "import numlib\n    return numlib.twice(x)")}
    folder = write(tmp_path / "a", **uses)
    library(folder, "1.0")
    run, _ = start(folder, tmp_path / "run", limit=7)
    assert run.provenance["software"][0]["versions"]["numlib"] == "1.0"
    library(folder, "2.0", factor=2.5)
    with pytest.raises(StudyError, match=r"numlib 1\.0 -> 2\.0 changed since (?s:.*)pip install 'numlib==1\.0'"):
        start(folder, tmp_path / "run")
    library(folder, "2.1")
    run, events = start(folder, tmp_path / "run")
    assert "numlib 1.0 -> 2.1 changed since run was made: 7 finished units are computed again" in events
    assert run.provenance["software"][1]["versions"]["numlib"] == "2.1"


def test_another_code_of_a_source_run_is_noticed(tmp_path):
    from membrane_dask.engine.provenance import source_run_digests

    run, _ = start(write(tmp_path / "a"), tmp_path / "source")
    module = new_process(tmp_path / "a")
    program = module.Program(module.Study())
    recorded = software_of(program, source_run_digests({"input": run.path, "reference": tmp_path})).record()
    assert recorded["source_runs"] == {"input": [run.provenance["software"][0]["sources"]]}
    shutil.rmtree(run.path)
    run, _ = start(write(tmp_path / "b", helper=OTHER_NUMBERS), tmp_path / "source")
    present = software_of(program, source_run_digests({"input": run.path}))
    assert "the code that made the run of 'input'" in present.changes(recorded)


def test_few_cheap_units_of_each_task_are_picked():
    from membrane_dask.engine.software_check import _pick
    from membrane_dask.program import Unit

    units = [Unit(f"{t}-{i}", t, (i,), {}, (1,)) for t in ("slow", "slab-0", "slab-1") for i in range(10_000)]
    units += [Unit("flow", "flow", (0,), {}, (1,))]
    seconds = {"slow": 200.0, "slab": 1.0, "flow": 7200.0}
    finished = {unit.key: {"seconds": seconds[unit.task.split("-")[0]]} for unit in units}
    for key in ("slow-777", "slab-1-4321"):
        finished[key]["seconds"] *= 0.9
    picks = [unit.key for unit in _pick(units, finished)]
    assert "flow" in picks
    assert [key for key in picks if "slow" in key] == ["slow-777"]  # units of minutes: one
    slabs = [key for key in picks if "slab" in key]
    assert len(slabs) == 5  # about 5 s of work, over both volumes
    assert "slab-1-4321" in slabs
    assert {key[:6] for key in slabs} == {"slab-0", "slab-1"}


def test_replay_names_the_software(tmp_path, capsys):
    from membrane_dask.engine import inspect

    run, _ = start(write(tmp_path / "a"), tmp_path / "run")
    module = new_process(write(tmp_path / "b", helper=OTHER_NUMBERS))
    study = module.Study(cluster={"profile": "sync"})
    plan = make_plan(study, module.Program(study))
    values, same = inspect.replay(run, plan.program, "values-3")
    assert same is False
    lines = inspect.explain_replay(run, plan, "values-3", values)
    assert lines[0] == "value: 1 of 1 values differ, by up to 0.0192 (relative 0.0024)"
    recorded = run.provenance["software"][0]
    assert re.match(f"recorded: sources {recorded['sources']}, changingkind 1.0, membrane_dask .*, python ", lines[2])
    assert lines[3].startswith(f"present:  sources {software_of(plan.program).sources}, python ")
    assert lines[4].startswith("or go on with the recorded software: changingkind")


def test_replay_of_the_same_bits_names_other_software(tmp_path):
    from membrane_dask.engine import inspect

    run, _ = start(write(tmp_path / "a"), tmp_path / "run")
    module = new_process(tmp_path / "a")
    study = module.Study(cluster={"profile": "sync"})
    plan = make_plan(study, module.Program(study))
    assert inspect.other_software(run, plan, "values-3") == ""
    record = json.loads((run.path / "provenance.json").read_text())
    record["software"][0]["versions"]["numpy"] = "1.0"
    record["software"][0]["packages"]["membrane_dask"]["version"] = "0.2.9"
    (run.path / "provenance.json").write_text(json.dumps(record))
    text = inspect.other_software(run, plan, "values-3")
    assert text.startswith("made with changingkind 1.0, membrane_dask 0.2.9, python ")
    assert text.endswith(f"; changed since: numpy 1.0 -> {np.__version__}")


def test_a_run_is_begun_anew_from_its_own_study(tmp_path, root):
    """As the message says; the copies of the inputs lie in the directory that is moved away."""
    from membrane_dask import api

    study = api.load_study(root / "configs" / "porometry-quickstart.yaml")
    planned = api.plan(study.model_copy(update={"cluster": study.cluster.model_copy(update={"profile": "sync"})}))
    run = prepare(planned, tmp_path / "run")
    again = prepare(api.plan(run.study), tmp_path / "run", fresh=True)
    assert again.identity == run.identity
    assert [path.name for path in (again.path / "inputs").iterdir()]
    assert api.plan(again.study).study.identity() == run.identity


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ([np.inf, 1.0, np.nan], [np.inf, 1.25, np.nan], "1 of 3 values differ, by up to 0.25 (relative 0.2)"),
        ([np.inf, np.nan], [-np.inf, 1.0], "2 of 2 values differ"),
        ([0.0], [-0.0], "different bits of equal values (NaN or sign of 0)"),
    ],
)
def test_differences_of_infinite_and_undefined_values_are_described_without_warnings(old, new, text):
    assert differences({"value": np.array(old)}, {"value": np.array(new)}) == {"value": text}
