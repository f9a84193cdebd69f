"""Studies import the units that their changed settings do not affect, and no task reads a setting that it disowns."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import pore_space

import membrane_dask as md
from membrane_dask.engine.costs import run_in_memory
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
    for name, text in (("foul", FOUL), ("characterize", CHARACTERIZE), ("porometry", POROMETRY)):
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


def test_no_task_of_a_characterization_reads_what_it_disowns(folder):
    """Entries of the context have the names of the settings; two more follow from these."""
    derived = {"flow": {"slab_edges"}, "tortuosity_slab_thickness": {"tortuosity_edges"}}
    text = CHARACTERIZE + "axes: [z, y, x]\ntensors: sample\n"
    (folder / "tensors.yaml").write_text(text)
    program = CharacterizeProgram(md.load_study(folder / "tensors.yaml"))
    work, tasks = program.work, set()

    def guarded_work(context, unit):
        tasks.add(unit.task)
        unread = program.unread_settings.get(unit.task, frozenset())
        return work(Guarded(context, unread.union(*(derived.get(name, ()) for name in unread))), unit)

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
