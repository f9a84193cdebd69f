"""Studies import the units that their changed settings do not affect, and no task reads a setting that it disowns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from strategies import pore_space

import membrane_dask as md
from membrane_dask.engine.costs import run_in_memory
from membrane_dask.engine.unit_imports import UnitImports
from membrane_dask.errors import UnreadableRunError
from membrane_dask.studies.characterize.program import CharacterizeProgram
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.foul.program import FoulProgram

SYNC = {"profile": "sync"}
FOUL = """\
kind: foul
input: structure.npy
voxel_size: 3 nm
hydraulics: {conductance: equivalent}
foulant: {wall_rate: 1e-7 m/s, diffusivity: 5e-11 m2/s}
"""
CHARACTERIZE = """\
kind: characterize
input: structure.npy
voxel_size: 3 nm
block_size: 32
tolerance: 0.02
flow: {enabled: true, tolerance: 0.1}
"""
RETENTION = (
    CHARACTERIZE.replace("tolerance: 0.02\n", "tortuosity: false\n")
    + """\
retention: {enabled: true, diameter: 3 nm, diameters: [3 nm, 8 nm], particles: 20}
"""
)
POROMETRY = """\
kind: porometry
input: curve.csv
bootstrap: {draws: 20, batch: 10}
draws: 100
"""
CURVE = "pressure (kPa),flux (L m-2 h-1)\n50,24.1\n100,50.3\n150,74.2\n200,101.4\n250,124.9\n300,150.8\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("structures")
    np.save(folder / "structure.npy", np.where(pore_space((30, 28, 26), 0, 0.4, 2.2), 0, 255).astype("u1"))
    (folder / "curve.csv").write_text(CURVE)
    texts = {"foul": FOUL, "characterize": CHARACTERIZE, "retention": RETENTION, "porometry": POROMETRY}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def run_in(present_folder, study, monkeypatch):
    present_folder.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        patch.chdir(present_folder)
        run = md.run(study, listener=lambda event: None)
        assert run.status()["state"] == "complete"
        return md.open_run(run.path.resolve())


def imported_tasks(run):
    return {record["task"] for record in run.journal.records() if "imported" in record}


def computed_units(run):
    return {key for record in run.journal.records() if "imported" not in record for key in record.get("done", ())}


@pytest.mark.parametrize(
    ("kind", "settings", "imported"),
    [
        ("foul", {"pressure": "2 bar"}, {"structures"}),
        ("foul", {"sieving": {"rate": 1e9, "particle_radius": "10 nm"}}, {"structures"}),
        ("foul", {"confidence": 0.9}, {"structures", "lives"}),
        ("characterize", {"tolerance": 0.05}, {"blocks", "networks", "flows"}),
        ("characterize", {"retention": {"enabled": True, "particles": 20}}, {"blocks", "networks", "tortuosity"}),
        ("porometry", {"bootstrap": {"draws": 30, "batch": 10}}, {"porometry", "posterior", "bootstrap"}),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else str(value),  # equal in all processes
)
def test_units_that_a_setting_does_not_affect_are_imported(
    folder, tmp_path, monkeypatch, values_of, kind, settings, imported
):
    path = folder / f"{kind}.yaml"
    run_in(folder / "grown", md.load_study(path, cluster=SYNC), monkeypatch)  # once for all parameters
    study = md.load_study(path, cluster=SYNC, **settings)
    run = run_in(folder / "grown", study, monkeypatch)
    assert imported_tasks(run) == imported
    assert values_of(run) == values_of(run_in(tmp_path / "computed", study, monkeypatch))


def test_one_more_particle_diameter_computes_its_units_only(folder, tmp_path, monkeypatch, values_of):
    """Also if the import is interrupted."""
    path = folder / "retention.yaml"
    run_in(tmp_path, md.load_study(path, cluster=SYNC), monkeypatch)
    retention = {"enabled": True, "diameter": "8 nm", "diameters": ["3 nm", "5 nm", "8 nm", "60 nm"], "particles": 20}
    study = md.load_study(path, cluster=SYNC, retention=retention)
    copy, tasks = UnitImports._copy, []

    def copy_some(self, source, sink, copies, journal):
        tasks.append(copies[0].unit.task)
        if tasks.count("passages") > 1:
            raise KeyboardInterrupt
        return copy(self, source, sink, copies, journal)

    with monkeypatch.context() as patch:
        patch.setattr(UnitImports, "_copy", copy_some)
        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path, study, monkeypatch)
    run = run_in(tmp_path, study, monkeypatch)
    new = {"passages,replicate=0,diameter=5.0", "passages,replicate=0,diameter=60.0", "trajectories,replicate=0"}
    assert computed_units(run) == new  # particles of 8 nm are tracked instead of those of 3 nm
    computed = run_in(tmp_path / "computed", study, monkeypatch)
    assert values_of(run) == values_of(computed)
    reflecting = run.result["rejection"].log_reduction_reflecting.values[0]
    assert np.isfinite(reflecting[:-1]).all()
    assert np.isinf(reflecting[-1])  # wider than all paths


def test_one_more_axis_computes_its_flow(folder, tmp_path, monkeypatch, values_of):
    """The third axis becomes the second one: its number does not lead to units of another axis."""
    settings = {"cluster": SYNC, "tolerance": 0.1, "flow": {"enabled": True, "tolerance": 0.2}}
    for axes in (["z", "x"], ["z", "y"]):
        run_in(tmp_path, md.load_study(folder / "characterize.yaml", axes=axes, **settings), monkeypatch)
    study = md.load_study(folder / "characterize.yaml", axes=["z", "y", "x"], **settings)
    run = run_in(tmp_path, study, monkeypatch)
    assert computed_units(run) == {"flows,replicate=0,axis=x", "tortuosity,replicate=0,axis=x"}
    assert values_of(run) == values_of(run_in(tmp_path / "computed", study, monkeypatch))


def test_a_run_of_code_with_other_units_is_read_but_not_resumed(folder, tmp_path, monkeypatch):
    study = md.load_study(folder / "retention.yaml", cluster=SYNC)
    run = run_in(tmp_path, study, monkeypatch)
    record = json.loads((run.path / "run.json").read_text())
    del record["units"]["passages"], record["units"]["trajectories"]
    (run.path / "run.json").write_text(json.dumps(record))
    assert md.open_run(run.path).result["rejection"].sizes["particle_diameter"] == 2
    with pytest.raises(UnreadableRunError, match="made by another version of the code, so that its result can be"):
        md.run(study, run.path, listener=lambda event: None)


def test_a_run_whose_last_units_are_imported_is_finished(folder, tmp_path, monkeypatch):
    """Structures are computed, and the lives that follow are imported while the run is at work."""
    path = folder / "foul.yaml"
    run = run_in(tmp_path, md.load_study(path, cluster=SYNC), monkeypatch)
    structures = [path for path in (run.path / "scratch").rglob("*") if path.is_file() and "structures" in str(path)]
    assert structures
    for file in structures:
        file.unlink()
    grown = run_in(tmp_path, md.load_study(path, cluster=SYNC, confidence=0.9), monkeypatch)
    assert imported_tasks(grown) == {"lives"}
    assert grown.provenance["stops"][-1]["reason"] == "finished"


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("foul", {"hydraulics": {"conductance": "inscribed"}}),
        ("characterize", {"connectivity": 26}),
        ("porometry", {"bootstrap": {"draws": 40, "batch": 20}}),
    ],
    ids=str,
)
def test_units_that_a_setting_affects_are_not_imported(folder, monkeypatch, kind, settings):
    path = folder / f"{kind}.yaml"
    run_in(folder / "grown", md.load_study(path, cluster=SYNC), monkeypatch)
    monkeypatch.chdir(folder / "grown")
    assert not md.plan(md.load_study(path, cluster=SYNC, **settings)).imports


class Guarded(dict):
    """A context that refuses some entries."""

    def __init__(self, entries, refused):
        super().__init__(entries)
        self.refused = refused

    def __getitem__(self, name):
        assert name not in self.refused, f"the task reads {name}"
        return super().__getitem__(name)


class GuardedSection:
    """A section of the settings that refuses some of them."""

    def __init__(self, section, refused):
        self._section, self._refused = section, refused

    def __getattr__(self, name):
        assert name not in self._refused, f"the task reads {name}"
        return getattr(self._section, name)


def guarded_context(context, unread):
    """The context of a task without the settings that it does not read; those of a section have dotted names."""
    context = dict(context)
    for section in {name.split(".")[0] for name in unread if "." in name}:
        refused = {name.split(".")[1] for name in unread if name.startswith(f"{section}.")}
        context[section] = GuardedSection(context[section], refused)
    return Guarded(context, {name for name in unread if "." not in name})


def test_no_task_of_a_characterization_reads_what_it_disowns(folder):
    """Entries of the context have the names of the settings; two more follow from these."""
    derived = {"flow": {"slab_edges"}, "tortuosity_slab_thickness": {"tortuosity_edges"}}
    text = CHARACTERIZE + "axes: [z, y, x]\ntensors: sample\nretention: {enabled: true, diameters: [3 nm]}\n"
    (folder / "tensors.yaml").write_text(text)
    program = CharacterizeProgram(md.load_study(folder / "tensors.yaml"))
    work, tasks = program.work, set()

    def guarded_work(context, unit):
        tasks.add(unit.task)
        unread = program.unread_settings.get(unit.task, frozenset())
        return work(guarded_context(context, unread.union(*(derived.get(name, ()) for name in unread))), unit)

    program.work = guarded_work
    run_in_memory(program)
    assert set(program.unread_settings) <= tasks


def test_the_structure_of_a_foul_study_reads_nothing_of_its_foulants(folder):
    unread = FoulProgram.unread_settings["structures"]

    class GuardedStudy(FoulStudy):
        def __getattribute__(self, name):
            assert name not in unread, f"the task reads {name}"
            return super().__getattribute__(name)

    program = FoulProgram(md.load_study(folder / "foul.yaml"))
    unit = program.unit("structures", 0)
    guarded = GuardedStudy.model_construct(**dict(program.study))
    with pytest.raises(AssertionError, match="reads pressure"):
        _ = guarded.pressure
    arrays, feedback = program.work({**program.context, "study": guarded}, unit)
    expected, expected_feedback = program.work(program.context, unit)
    assert feedback == expected_feedback
    assert {name: array.tobytes() for name, array in arrays.items()} == {n: a.tobytes() for n, a in expected.items()}
