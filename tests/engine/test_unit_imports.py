"""Import of units from earlier runs: a study that grows computes only what is new, and gives the same bits."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask import api
from membrane_dask.engine import unit_imports
from membrane_dask.engine.driver import drive_run
from membrane_dask.engine.events import Message
from membrane_dask.engine.provenance import Provenance
from membrane_dask.engine.run import prepare
from membrane_dask.engine.unit_addresses import Addresses, task_identities
from membrane_dask.errors import ProgramError
from membrane_dask.studies.registry import find_kind

SMALL = (
    "kind: graded\nname: small\nl_max: 0.15\ngradient: [0, 1e-3]\nrealizations: 3\nporosity: 0.3\n"
    "cluster: {profile: sync}\n"
)
N_SMALL = 6
GROWN = {
    "realizations": {"realizations": 5},
    "gradient": {"gradient": [0, 1e-3, 2e-3]},  # whose wider inlets lengthen the axis of time
    "gradient in between": {"gradient": [5e-4, 0, 1e-3]},
    "l_max": {"l_max": [0.13, 0.15]},
    "all": {"realizations": 4, "gradient": [2e-3, 0, 1e-3], "l_max": [0.15, 0.18]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the study, and with its run among the runs."""
    folder = tmp_path_factory.mktemp("grown")
    (folder / "small.yaml").write_text(SMALL)
    study = md.load_study(folder / "small.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        md.run(study, listener=lambda event: None)
    return folder


@pytest.fixture(scope="module")
def computed(folder, tmp_path_factory, values_of):
    """Values of a study of which no unit is imported."""
    by_settings: dict[str, dict[str, bytes]] = {}

    def values(**settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in by_settings:
            empty = tmp_path_factory.mktemp("computed")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(empty)
                run = md.run(study_of(folder, **settings), listener=lambda event: None)
                assert not imported_units(run)
                by_settings[key] = values_of(run)
        return by_settings[key]

    return values


@pytest.fixture
def work_folder(folder, tmp_path, monkeypatch):
    """A copy of the folder, as the present directory."""
    shutil.copytree(folder, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def study_of(folder, **settings):
    return md.load_study(folder / "small.yaml", name="grown", **settings)


def run_grown(folder, messages=None, **settings):
    def listener(event):
        if messages is not None and isinstance(event, Message):
            messages.append(str(event))

    return md.run(study_of(folder, **settings), listener=listener)


def imported_units(run):
    """Keys of the units that the journal records as imported."""
    return [key for record in run.journal.records() if "imported" in record for key in record["done"]]


def the_run(folder):
    (path,) = (folder / "runs").glob("small-*")
    return md.open_run(path)


@pytest.mark.parametrize(
    "settings",
    [
        # On demand: a single axis that grows; in "all" each of them does.
        pytest.param(settings, id=name, marks=[] if name == "all" else pytest.mark.slow)
        for name, settings in GROWN.items()
    ],
)
def test_a_study_that_grows_imports_its_units_and_has_the_same_bits(work_folder, computed, values_of, settings):
    messages: list[str] = []
    run = run_grown(work_folder, messages, **settings)
    assert len(imported_units(run)) == N_SMALL
    assert any(text.startswith(f"{N_SMALL} units are imported from") for text in messages)
    assert values_of(run) == computed(**settings)
    assert not api.verify(run.path)


def test_records_of_imported_units(work_folder):
    run, source = run_grown(work_folder, gradient=[0, 1e-3, 2e-3]), the_run(work_folder)
    (origin,) = run.provenance["imports"]
    assert origin == {"run": str(source.path.resolve()), "identity": source.identity, "units": N_SMALL}
    former = {key: record for record in source.journal.records() for key in record.get("done", ())}
    cpu_seconds = 0.0
    for record in run.journal.records():
        if "imported" in record:
            assert record["imported"]["identity"] == source.identity
            for number, key in enumerate(record["done"]):
                position = former[key]["done"].index(key)
                assert record["imported"]["sha256"][number] == former[key]["sha256"][position]
                assert record["cpu_seconds"][number] == former[key]["cpu_seconds"][position]
        else:
            cpu_seconds += sum(record.get("cpu_seconds", ()))
    assert run.usage()["cpu_seconds"] == pytest.approx(cpu_seconds)  # of 3 units, not of 9
    assert ("imported", f"{N_SMALL} units from {origin['run']}") in run.rows()


def test_a_study_that_shrinks_computes_nothing(work_folder, computed, values_of, monkeypatch):
    """Its axis of time is shorter than that of the earlier run, of which it needs no more."""
    large = run_grown(work_folder, gradient=[0, 1e-3, 2e-3])
    shutil.rmtree(the_run(work_folder).path)
    with monkeypatch.context() as patch:
        patch.setattr("membrane_dask.engine.driver.open_pool", lambda *args: pytest.fail("workers are started"))
        small = run_grown(work_folder, gradient=[0, 1e-3], realizations=2)
    assert len(imported_units(small)) == 4
    assert small.provenance["imports"][0]["run"] == str(large.path.resolve())
    assert values_of(small) == computed(gradient=[0, 1e-3], realizations=2)


def test_units_are_imported_from_several_runs_and_from_runs_that_imported_them(work_folder, computed, values_of):
    second = run_grown(work_folder, gradient=[2e-3])
    assert not imported_units(second)
    third = run_grown(work_folder, gradient=[0, 1e-3, 2e-3])
    assert sorted(entry["units"] for entry in third.provenance["imports"]) == [3, N_SMALL]
    shutil.rmtree(the_run(work_folder).path)
    shutil.rmtree(second.path)
    fourth = run_grown(work_folder, **GROWN["all"] | {"l_max": 0.15})
    assert len(imported_units(fourth)) == 9
    assert values_of(fourth) == computed(**GROWN["all"] | {"l_max": 0.15})


@pytest.mark.parametrize(
    "settings",
    [{"seed": 1}, {"deposition": 1e-6}, {"porosity": 0.31}, {"deposition": [5e-7, 1e-6]}, {"bands": 3}],
    ids=lambda settings: next(iter(settings)),
)
def test_units_with_other_values_are_not_imported(work_folder, settings):
    assert not md.plan(study_of(work_folder, realizations=4, **settings)).imports


def test_the_plan_names_the_run_and_predicts_the_cost_of_the_other_units(work_folder):
    plan = md.plan(study_of(work_folder, realizations=4), measure=True)
    name = the_run(work_folder).name
    assert ("imports", f"6 of 8 units are in runs/{name} and are imported from there") in plan.rows()
    assert plan.cost == pytest.approx(sum(plan.costs.cpu_work.values()) * 2 / 8)


def test_the_same_study_and_a_fresh_run_are_computed(work_folder):
    repeated = md.run(md.load_study(work_folder / "small.yaml"), "runs/again", listener=lambda event: None)
    assert not imported_units(repeated)
    study = study_of(work_folder, realizations=4)
    assert not imported_units(md.run(study, fresh=True, listener=lambda event: None))
    assert not imported_units(md.run(study, fresh=True, listener=lambda event: None))


def test_altered_and_missing_values_are_computed(work_folder, computed, values_of):
    source = the_run(work_folder).path
    chunks = sorted(path for path in (source / "result.zarr/graded/throughput/c").rglob("*") if path.is_file())
    assert len(chunks) == 2
    content = bytearray(chunks[0].read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunks[0].write_bytes(content)
    chunks[1].unlink()
    messages: list[str] = []
    run = run_grown(work_folder, messages, realizations=5)
    assert not imported_units(run)
    assert any("6 units of" in text and "missing or altered" in text for text in messages)
    assert values_of(run) == computed(realizations=5)


def test_another_value_with_an_intact_file_is_not_imported(work_folder, computed, values_of):
    """A chunk that can be decoded is compared with the digest in the journal."""
    import zarr

    array = zarr.open_array(the_run(work_folder).path / "result.zarr" / "graded" / "throughput", mode="r+")
    values = array[...]
    values[0, 0, 1] *= 1 + 1e-15
    array[...] = values
    run = run_grown(work_folder, realizations=5)
    assert len(imported_units(run)) == N_SMALL - 1
    assert values_of(run) == computed(realizations=5)


def test_an_import_that_is_interrupted_goes_on(work_folder, computed, values_of, monkeypatch):
    copy, calls = unit_imports.UnitImports._copy, []

    def copy_once(self, *args):
        if calls:
            raise KeyboardInterrupt
        calls.append(args)
        return copy(self, *args)

    study = study_of(work_folder, realizations=5, execution={"batch": 2})
    with monkeypatch.context() as patch:
        patch.setattr(unit_imports.UnitImports, "_copy", copy_once)
        with pytest.raises(KeyboardInterrupt):
            md.run(study, listener=lambda event: None)
    (path,) = (work_folder / "runs").glob("grown-*")
    assert 0 < md.open_run(path).status()["done"] < N_SMALL
    run = md.run(study, listener=lambda event: None)
    assert len(imported_units(run)) == N_SMALL
    assert run.provenance["imports"][0]["units"] == N_SMALL
    assert values_of(run) == computed(realizations=5)


class ShortJob:
    """A job of a series whose time is up at once."""

    time_limit = -1.0

    def begin(self, finished):
        self.finished = finished

    def end(self, *, resume, complete):
        self.resume, self.complete = resume, complete


def test_a_job_whose_time_is_up_leaves_the_import_to_its_successor(work_folder, computed, values_of, monkeypatch):
    plan = md.plan(study_of(work_folder, realizations=5))
    run, job = prepare(plan, None), ShortJob()
    with monkeypatch.context() as patch:
        patch.setattr("membrane_dask.engine.driver.open_pool", lambda *args: pytest.fail("workers are started"))
        summary = drive_run(run, plan, lambda event: None, series=job)
    assert (summary.reason, job.resume, job.complete) == ("time is up", True, False)
    assert not run.journal.summary().done
    run = md.run(plan, listener=lambda event: None)
    assert len(imported_units(run)) == N_SMALL
    assert values_of(run) == computed(realizations=5)


def test_a_source_that_is_removed_does_not_matter(work_folder, computed, values_of):
    plan = md.plan(study_of(work_folder, realizations=5))
    shutil.rmtree(the_run(work_folder).path)
    messages: list[str] = []
    run = md.run(plan, listener=lambda event: messages.append(str(event)))
    assert any("no units are imported from" in text for text in messages)
    assert values_of(run) == computed(realizations=5)


def test_units_that_are_lost_later_are_computed_without_their_source(work_folder, computed, values_of):
    run = run_grown(work_folder, realizations=5)
    shutil.rmtree(the_run(work_folder).path)
    shutil.rmtree(run.path / "result.zarr" / "graded" / "throughput" / "c")
    assert values_of(run_grown(work_folder, realizations=5)) == computed(realizations=5)


def test_units_of_other_software_are_not_imported(work_folder):
    path = the_run(work_folder).path / "provenance.json"
    record = json.loads(path.read_text())
    record["software"][0]["versions"]["numpy"] = "1.0.0"
    path.write_text(json.dumps(record))
    plan = md.plan(study_of(work_folder, realizations=5))
    (text,) = [text for name, text in plan.rows() if name == "note"]
    assert text.startswith("6 of 10 units are in runs/small-")
    assert "but are computed again: numpy 1.0.0 -> " in text
    assert sum(plan.n_imported.values()) == 0
    messages: list[str] = []
    assert not imported_units(md.run(plan, listener=lambda event: messages.append(str(event))))
    assert text in messages


def test_units_of_workers_with_other_versions_are_not_imported(work_folder):
    run = the_run(work_folder)
    lines = [dict(record) for record in run.journal.records()]
    shutil.rmtree(run.path / "journal")
    (run.path / "journal").mkdir()
    for line in lines:
        line.pop("crc32", None)
        run.journal.append({**line, **({"versions": {"numpy": "1.0.0"}} if "done" in line else {})})
    assert not md.plan(study_of(work_folder, realizations=5)).imports


def test_unfinished_runs_are_not_read(work_folder):
    shutil.rmtree(the_run(work_folder).path)
    md.run(md.load_study(work_folder / "small.yaml"), limit=3, listener=lambda event: None)
    assert not md.plan(study_of(work_folder, realizations=5)).imports


def test_a_damaged_record_of_imports_imports_nothing(work_folder, computed, values_of):
    plan = md.plan(study_of(work_folder, realizations=5))
    run = md.run(plan, limit=0, listener=lambda event: None)
    (run.path / "provenance.json").write_text("{")
    assert Provenance(run.path).imports() == []
    assert values_of(md.run(plan, listener=lambda event: None)) == computed(realizations=5)


def test_addresses_of_graded_units_differ_in_the_design_point_and_the_realization_only(folder):
    small, large = (study_of(folder, **settings) for settings in ({}, GROWN["all"]))
    programs = [find_kind("graded").build(study) for study in (small, large)]
    addresses = [Addresses(task_identities(s, p)) for s, p in zip((small, large), programs, strict=True)]
    assert addresses[0].identities == addresses[1].identities
    by_address = [
        {address(unit): unit for unit in next(program.rounds())}
        for address, program in zip(addresses, programs, strict=True)
    ]
    assert len(by_address[1]) == programs[1].tables[0].unit_shape[0] * 3 * 4  # none is twice
    assert by_address[0].keys() < by_address[1].keys()
    for address, unit in by_address[0].items():
        other = by_address[1][address]
        assert (unit.params, unit.seed) == (other.params, other.seed)
    contexts = [{**program.context, "n_steps": 0} for program in programs]  # that of the padding
    assert contexts[0] == contexts[1]


def test_a_search_imports_what_it_asks_for(work_folder, computed, values_of):
    settings = {"design": "optimum", "realizations": 8, "optimum": {"round": 4}}
    first = run_grown(work_folder, gradient=[0, 1e-3, 2e-3], **settings)
    settings["gradient"] = [0, 1e-3, 2e-3, 3e-3]
    second = run_grown(work_folder, **settings)
    assert len(imported_units(second)) == first.status()["done"] == 24
    assert second.status()["done"] > 24
    assert values_of(second) == computed(**settings)


def test_settings_without_default_are_refused(folder, monkeypatch):
    study = study_of(folder)
    program = find_kind("graded").build(study)
    monkeypatch.setattr(type(program), "unread_settings", {"graded": frozenset({"no_setting"})})
    with pytest.raises(ProgramError, match="unread_settings: no_setting is no setting with a default"):
        task_identities(study, program)


def test_padding_refuses_to_lose_values():
    from membrane_dask.engine.layout import ResultError
    from membrane_dask.engine.store import TableSink
    from membrane_dask.schema import Variable

    sink = TableSink("", (Variable("flux", ("time",), "f8", "1", "flux", nullable=True),), {"time": 2}, (1,), 1)
    padded = unit_imports._padded(sink, {"flux": np.array([1.0, 2.0, np.nan])}, frozenset({"time"}))
    np.testing.assert_array_equal(padded["flux"], [1, 2])
    with pytest.raises(ResultError, match="beyond the end of time"):
        unit_imports._padded(sink, {"flux": np.array([1.0, 2.0, 3.0])}, frozenset({"time"}))
