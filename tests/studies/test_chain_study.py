"""Chain studies: each stage runs once, resumes, keeps earlier ones; errors name the setting; numbers are joined."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

import membrane_dask as md
from membrane_dask import api
from membrane_dask.errors import StudyError
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.studies.foul.recorded_flow import recorded_flow_table

SYNC = {"profile": "sync"}
#: Stages of the small chain, which starts from a volume.
STAGES = {"characterize": {"voxel_size": "3 nm", "tortuosity": False}}

#: Stages with a virtual bench; methods without a joint posterior, which takes a minute.
BENCH = {
    "characterize": {**STAGES["characterize"], "bench": {"enabled": True, "methods": ["mercury", "water"]}},
    "foul": {"foulant": {"wall_rate": "1e-6 m/s"}},
    "porometry": {"bootstrap": {"draws": 0}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two volumes, of which one is the true structure."""
    path = tmp_path_factory.mktemp("chain")
    volume = GradedMembrane(depth=48, slices=32, width=40).volume()
    np.save(path / "volume.npy", volume)
    np.save(path / "true.npy", volume[:, :, 8:].copy())
    return path


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """An empty folder with the volume, in which the runs are made."""
    for path in folder.glob("*.npy"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_chain(folder, name="small", **settings):
    """Write a chain study, and return its path."""
    study = {"kind": "chain", "input": "volume.npy", "cluster": SYNC, "stages": STAGES, **settings}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def runs_of(folder, kind):
    """Runs of a kind in a folder, by name."""
    return sorted(path.parent.name for path in folder.glob(f"runs/{kind}-*/run.json"))


def journal_of(run):
    """Content of the journal of a run."""
    return {path.name: path.read_bytes() for path in sorted((run / "journal").iterdir())}


def test_stages_are_runs_of_their_own_and_are_not_run_again(here):
    run = md.run(write_chain(here))
    assert run.status()["state"] == "complete"
    (characterized,) = runs_of(here, "characterize")
    journal = journal_of(here / "runs" / characterized)
    (written,) = here.glob("runs/small-studies-*/characterize.yaml")
    assert md.load_study(written).tortuosity is False

    again = md.run(write_chain(here, name="renamed"))  # another chain of the same stages
    assert again.identity == run.identity
    by_hand = md.run(md.load_study(written, cluster=SYNC))
    assert by_hand.path.name == characterized
    assert runs_of(here, "characterize") == [characterized]
    assert journal_of(here / "runs" / characterized) == journal


def test_a_stage_that_needs_no_run_is_planned_once(here, monkeypatch):
    built = []
    build = api.build_program

    def counted(study, source):
        built.append(study.kind)
        return build(study, source)

    monkeypatch.setattr(api, "build_program", counted)
    md.run(write_chain(here))
    assert built.count("characterize") == 1


def test_the_plan_of_a_stage_needs_the_runs_that_it_reads(here):
    study = md.load_study(write_chain(here, stages=BENCH))
    plans = [(item.path.stem, item.plan is not None, item.finished) for item in api.planned_sources(study)]
    assert plans == [("characterize", True, False), ("foul", False, False), ("porometry", False, False)]
    without_bench = {**STAGES, "foul": BENCH["foul"]}  # whose life computes the Stokes flow itself
    study = md.load_study(write_chain(here, stages=without_bench))
    assert [(item.path.stem, item.plan is not None) for item in api.planned_sources(study)] == [
        ("characterize", True), ("foul", True),
    ]  # fmt: skip


def test_a_changed_key_of_a_later_stage_keeps_the_earlier_runs(here, values_of):
    first = md.run(write_chain(here, reference="true.npy"))
    assert len(runs_of(here, "characterize")) == len(runs_of(here, "reference-characterize")) == 1
    second = md.run(write_chain(here, confidence=0.9, reference="true.npy"))
    assert second.identity != first.identity
    assert len(runs_of(here, "characterize")) == len(runs_of(here, "reference-characterize")) == 1
    changed = {"characterize": {**STAGES["characterize"], "connectivity": 26}}
    third = md.run(write_chain(here, stages=changed))
    assert third.identity != first.identity
    assert len(runs_of(here, "characterize")) == 2
    table = third.result["round_trip"].to_dataset()
    assert float(table.porosity_structure[0]) > 0


def test_a_stage_that_was_stopped_is_resumed_with_the_same_bits(here, values_of, tmp_path_factory, monkeypatch):
    study = write_chain(here, stages={"characterize": {**STAGES["characterize"], "block_size": 32}})
    whole = md.run(study)
    elsewhere = tmp_path_factory.mktemp("stopped")
    shutil.copy(here / "volume.npy", elsewhere)
    monkeypatch.chdir(elsewhere)
    copy = write_chain(elsewhere, stages={"characterize": {**STAGES["characterize"], "block_size": 32}})
    with pytest.raises(StudyError, match="was not run yet; first: membrane-dask run"):
        md.plan(copy)
    (written,) = elsewhere.glob("runs/small-studies-*/characterize.yaml")
    stopped = md.run(md.load_study(written, cluster=SYNC), limit=1)
    assert stopped.status()["state"] == "partial"
    resumed = md.run(copy)
    assert resumed.identity == whole.identity
    assert values_of(resumed) == values_of(whole)
    assert values_of(md.open_run(stopped.path)) == values_of(md.open_run(here / "runs" / stopped.path.name))


def test_a_run_can_be_opened_planned_and_verified_from_elsewhere(here, monkeypatch, tmp_path_factory):
    run = md.run(write_chain(here))
    path = run.path.resolve()
    (here / "volume.npy").unlink()  # the run needs the runs of its stages, and no other file
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert api.verify(path) == []
    assert md.run(path / "study.yaml", path).status()["state"] == "complete"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"stages": {"characterize": {"voxel_sise": "3 nm"}}},
            r"small.yaml:7:5: stages.characterize.voxel_sise: unknown",
        ),
        ({"stages": {"characterize": {"tortuosity": 3}}}, r"small.yaml:7:5: stages.characterize.tortuosity: "),
        ({"stages": {"foul": True}}, r"stages.foul: must be a section of names and values \(got True\)"),
        ({"stages": {"characterise": {}}}, r"stages.characterise: unknown key; did you mean 'characterize'"),
        ({"stages": {"characterize": {"input": "a.npy"}}}, r"stages.characterize.input: is that of the chain"),
        ({"stages": {"foul": {"voxel_size": "3 nm"}}}, r"stages.foul.voxel_size: is that of stages.characterize"),
        ({"stages": {"foul": {"flow_run": "volume.npy"}}}, r"stages.foul.flow_run: is that of the chain"),
        ({"stages": {**STAGES, "foul": {}}}, r"small.yaml:[0-9]+:3: stages.foul.foulant: .*wall_rate"),
        ({"stages": {"characterize": {}, "porometry": {}}}, r"stages.porometry: needs the virtual bench"),
        ({"stages": {"characterize": {}}}, r"small.yaml:6:3: stages.characterize.voxel_size: required"),
        ({"input": "absent.npy"}, r"small.yaml:2:1: input: no such file"),
        ({"input": None}, r"input: required: "),
        ({"confidence": 0.2}, r"confidence: must be at least 0.5"),
        ({"reference": "absent.npy"}, r"reference: no such file"),
        ({"measured": {"method": "water"}}, r"measured.input: required: a table"),
        ({"measured": {"kind": "chain", "input": "a.csv"}}, r"measured.kind: is that of the chain; leave it out"),
        ({"runs": {"charakterize": "."}}, r"small.yaml:[0-9]+:3: runs.charakterize: is no stage; valid: reconstruct, "),
        ({"runs": {"characterize": "small.yaml"}}, r"runs.characterize: is no run"),
        ({"runs": {"porometry": "."}}, r"runs.characterize: required with runs"),
        ({"runs": {"porometry": "."}}, r"small.yaml:2:1: input: the runs of the stages are given by runs"),
        (
            {
                "stages": {
                    "characterize": {**STAGES["characterize"], "bench": {"enabled": True, "tables": False}},
                    "porometry": {},
                }
            },
            r"stages.characterize.bench.tables: porometry reads these tables",
        ),
        ({"cluster": {"profile": "nosuch"}}, r"small.yaml:[0-9]+:3: cluster.profile: "),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:40],
)
def test_errors_name_the_setting_of_the_chain(here, settings, message):
    with pytest.raises(StudyError, match=message) as error:
        md.run(write_chain(here, **settings))
    assert not list(here.glob("runs/*/run.json"))
    assert "studies-" not in str(error.value).partition(": ")[0]


@pytest.mark.parametrize(
    ("hydraulics", "expected"),
    [
        (None, {"slab_thickness": 16}),
        ({"tolerance": 1e-4}, {"slab_thickness": 16, "tolerance": 1e-4}),
        ({"slab_thickness": 20}, {"slab_thickness": 20}),
        ({"conductance": "mobility"}, {"conductance": "mobility"}),  # needs no Stokes flow
    ],
    ids=["", "tolerance", "slab_thickness", "conductance"],
)
def test_the_flow_of_foul_has_the_slabs_of_characterize(here, hydraulics, expected):
    foul = BENCH["foul"] | ({"hydraulics": hydraulics} if hydraulics else {})
    stages = {"characterize": {**STAGES["characterize"], "flow": {"slab_thickness": 16}}, "foul": foul}
    chain = md.load_study(write_chain(here, stages=stages))
    assert chain.own_studies()["foul"].settings["hydraulics"] == expected


def test_an_error_of_a_stage_is_not_one_of_the_stages_that_read_it(here):
    (here / "section.png").write_bytes(b"")
    stages = {"reconstruct": {"pixel_sise": "3 nm"}, "characterize": {}, "foul": {"foulant": {"wall_rate": "1e-6 m/s"}}}
    with pytest.raises(StudyError) as error:
        md.run(write_chain(here, input="section.png", stages=stages))
    assert ".pixel_sise: unknown key" in str(error.value)
    assert "input" not in str(error.value).replace("section.png", "")


def test_a_structure_without_a_path_stops_the_stage_of_its_life(here):
    """The error is one of the chain; the bench stands, and is all of a chain without that stage."""
    volume = np.load(here / "volume.npy")
    volume[20:24] = volume.max()
    np.save(here / "volume.npy", volume)
    stages = {name: BENCH[name] for name in ("characterize", "foul")}
    with pytest.raises(StudyError, match=r"small\.yaml:2:.*: input: the volume does not percolate along z.* no life"):
        md.run(write_chain(here, stages=stages))
    (characterized,) = runs_of(here, "characterize")
    assert md.open_run(here / "runs" / characterized).result["bench"].mercury_porosity.item() > 0
    run = md.run(write_chain(here, stages={"characterize": stages["characterize"]}))
    assert run.status()["state"] == "complete"
    assert runs_of(here, "characterize") == [characterized]


@pytest.mark.usefixtures("undrawn")
def test_a_run_whose_stage_was_removed_can_be_opened(here):
    """Its report names the stage; a repetition refuses it."""
    run = md.run(write_chain(here))
    shutil.rmtree(here / "runs" / runs_of(here, "characterize")[0])
    again = md.open_run(run.path)
    assert again.study.kind == "chain"
    assert md.write_report(again).is_file()
    with pytest.raises(StudyError, match=r"runs\.characterize: no such run"):
        md.run(run.path / "study.yaml", run.path)


def test_runs_of_unlike_structures_are_refused(here):
    run = md.run(write_chain(here))
    with pytest.raises(StudyError, match=r"runs.characterize: characterize has no table 'properties'"):
        md.plan(md.load_study(write_chain(here, input=None, runs={"characterize": str(run.path)})))


@pytest.fixture(scope="module")
def measured_chain(folder, tmp_path_factory):
    """The complete run of a chain with a virtual bench, a reference and a measured table."""
    here = tmp_path_factory.mktemp("whole")
    for path in folder.glob("*.npy"):
        shutil.copy(path, here)
    (here / "bench.csv").write_text("TMP [bar],Flux [LMH],Temperature [degC]\n1,50,25\n2,101,25\n3,149,25\n")
    measured = {"input": "bench.csv", "bootstrap": {"draws": 0}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        run = md.run(write_chain(here, stages=BENCH, measured=measured, reference="true.npy"))
        return md.open_run(run.path.resolve())


def test_lives_have_the_stokes_flow_of_the_bench(measured_chain):
    for prefix in ("", "reference-"):
        (path,) = measured_chain.path.parent.glob(f"{prefix}foul-*")
        study = md.open_run(path).study
        assert study.flow_run.name.startswith(f"{prefix}characterize-")
        assert recorded_flow_table(study, 0, None) is not None


def test_porometry_finds_the_median_of_mercury_within_a_level_of_the_structure(measured_chain):
    trip = measured_chain.result["round_trip"].to_dataset().isel(replicate=0)
    curves = measured_chain.result["bench_curves"].to_dataset().isel(replicate=0)
    inferred = float(trip.radius_inferred.sel({"method": "mercury"}))
    levels, fraction = curves.entry_radius.values, curves.mercury_fraction.values
    largest = fraction.max()
    first = int(np.argmax(fraction >= largest / 2))  # radii fall, fractions rise
    # The table repeats the step at the level where half is filled; readings around it are 0.1 % away.
    assert levels[first] * 0.999 <= inferred <= levels[max(first - 1, 0)] * 1.001
    assert float(trip.radius_bottleneck) == float(measured_chain.result["bench"].bubble_point_radius[0])
    assert np.isnan(float(trip.radius_inferred.sel({"method": "capillary flow"})))


def test_all_links_are_in_the_result_and_in_the_report(measured_chain):
    tables = set(measured_chain.result.children)
    assert {"round_trip", "reference_round_trip", "measured", "intervals", "bench", "bench_curves"} <= tables
    intervals = measured_chain.result["intervals"].to_dataset()
    row = intervals.sel(quantity="bench/water_permeance")
    assert float(row.bias) == float(row.best_match) / float(row.reference) != 1
    assert np.isfinite(float(intervals.bias.sel(quantity="life/service_time")))
    life = measured_chain.result["life"].to_dataset()
    assert float(life.service_time[0]) > float(life.service_time_level[0, 0]) > 0
    page = md.write_report(measured_chain).read_text()
    for text in ("No intervals: they need", "Every pressure method sees the critical path", "straight tubes",
                 "Pore sizes", "round_trip.csv", "model factor", "life.csv", "has no stages.reconstruct"):  # fmt: skip
        assert text in page, text
    # A single structure is no best match of replicates, and has no intervals over them.
    for text in ("Best match", "best match", "% interval", "not in the intervals", "not part of the intervals"):
        assert text not in page, text
    assert "Not a number" not in page
    assert ">nan<" not in page
    costs = re.findall(r"</td><td>[^<]* of wall time</td>", page)
    assert len(costs) == len(measured_chain.study.runs)  # of every stage
    # The sources stand in the origin, back to the file of the structure.
    origin = page[page.index('<table class="origin">') :]
    for text in ("of kind characterize, identity", "of kind porometry, identity", "bench.csv, SHA-256"):
        assert text in origin, text


@pytest.mark.slow
def test_a_chain_that_was_killed_in_its_stages_ends_with_the_same_bits(measured_chain, folder, values_of, tmp_path):
    for path in (*folder.glob("*.npy"), *measured_chain.path.parents[1].glob("bench.csv")):
        shutil.copy(path, tmp_path)
    measured = {"input": "bench.csv", "bootstrap": {"draws": 0}}
    study = write_chain(tmp_path, stages=BENCH, measured=measured, reference="true.npy")
    command = [sys.executable, "-m", "membrane_dask.cli", "run", study.name, "--no-measure"]
    for stage in ("characterize", "foul", "porometry"):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob(f"runs/{stage}-*/journal/*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    (path,) = (path.parent for path in tmp_path.glob("runs/small-*/run.json"))
    resumed = md.open_run(path)
    assert resumed.identity == measured_chain.identity
    assert values_of(resumed) == values_of(measured_chain)


@pytest.mark.usefixtures("undrawn")
def test_lives_with_unlike_walls_have_no_bias(here):
    stages = {**STAGES, "foul": {"foulant": {"damkohler_number": 1}}}
    run = md.run(write_chain(here, stages=stages, reference="true.npy"))
    intervals = run.result["intervals"].to_dataset()
    assert np.isfinite(float(intervals.best_match.sel(quantity="life/service_time")))
    rates = [
        float(md.open_run(path).result["life"].wall_rate[0]) for path in here.glob("runs/*foul-*") if path.is_dir()
    ]
    assert rates[0] != pytest.approx(rates[1], rel=1e-6)
    assert np.isnan(float(intervals.bias.sel(quantity="life/service_time")))
    # Neither the clean flux nor the permeability depends on the walls.
    assert np.isfinite(float(intervals.bias.sel(quantity="life/permeability")))
    assert "another rate" in md.write_report(run).read_text(encoding="utf-8")
    assert np.isfinite(float(intervals.best_match.sel(quantity="life/service_time_level, 0.5")))
