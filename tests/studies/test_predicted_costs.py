"""Predicted cost of a study: pilots cover every kind of unit, and the run is compared with them."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import subprocess
import sys
import time

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine import costs, worker
from membrane_dask.engine.costs import Times, run_in_memory
from membrane_dask.physics import importance_sampling
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.program import Costs, task_stem
from membrane_dask.studies.porometry import joint_evaluation
from membrane_dask.studies.porometry.joint_evaluation import evaluate_joint
from membrane_dask.studies.volume_cubes import percolating_cube

SLABS = "tortuosity_slab_thickness: 40\nflow: {enabled: true, slab_thickness: 40, velocities: true}\n"
PIECE = "flow: {enabled: true}\nretention: {enabled: true, diameter: 6 nm, diameters: [6 nm], particles: 20}\n"


def study_of(folder, **shape):
    np.save(folder / "membrane.npy", GradedMembrane(**shape).volume())
    path = folder / "study.yaml"
    path.write_text("kind: characterize\ninput: membrane.npy\nvoxel_size: 3 nm\n")
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of(tmp_path_factory.mktemp("costs"), depth=110, slices=60, width=70)


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    """Of two slabs, for tests that compute all of it."""
    return study_of(tmp_path_factory.mktemp("small"), depth=80, slices=40, width=48)


@pytest.mark.parametrize("settings", [PIECE, SLABS], ids=["in one piece", "slabs"])
def test_pilots_cover_every_kind_of_unit(small_study, settings, tmp_path):
    path = small_study.with_name("costs.yaml")
    path.write_text(small_study.read_text() + settings)
    plan = md.plan(path, measure=True)
    run = md.run(md.load_study(path, cluster={"profile": "sync"}), tmp_path / "run")
    seconds: dict[str, float] = {}
    for record in run.journal.records():
        if "done" in record:
            task = task_stem(record["task"])
            seconds[task] = seconds.get(task, 0.0) + sum(record["seconds"])
    assert set(plan.costs.work) == set(seconds)
    assert all(value > 0 for value in plan.costs.work.values())
    assert 0 < plan.costs.longest <= plan.costs.total * (1 + 1e-9)
    assert "networks" in str(plan)


def test_costs_are_extrapolated_by_pores_and_iterations(study):
    program = md.plan(study).program
    costs = program.costs({}, {"blocks": 9.0, "networks": 1.0, "tortuosity": 3.0})
    cube, porosity = percolating_cube(program.volumes[0], 96)
    assert cube.shape == (55, 30, 35)
    voxels = 110 * 60 * 70 / (55 * 30 * 35)
    assert costs.work["blocks"] == pytest.approx(9.0 * voxels)
    assert costs.work["networks"] == pytest.approx(voxels)
    iterations = math.sqrt((110 + 60 + 70) / (55 + 30 + 35))
    assert costs.work["tortuosity"] == pytest.approx(3.0 * voxels * program.porosities[0] / porosity * iterations)
    assert costs.longest == pytest.approx(sum(costs.work.values()))


def test_costs_of_blocks_include_the_voxels_around_them(study):
    program = md.plan(md.load_study(study, block_size=32)).program
    costs = program.costs({}, {"blocks": 1.0, "networks": 1.0, "tortuosity": 1.0})

    def read(shape, counts):  # 48 voxels on each side, as far as the volume reaches
        edges = [[round(n * k / count) for k in range(count + 1)] for n, count in zip(shape, counts, strict=True)]
        return math.prod(
            sum(min(b + 48, n) - max(a - 48, 0) for a, b in itertools.pairwise(axis))
            for n, axis in zip(shape, edges, strict=True)
        )

    assert costs.work["blocks"] == pytest.approx(read((110, 60, 70), (3, 2, 2)) / read((55, 30, 35), (2, 1, 1)))


def test_a_cube_that_percolates_is_chosen():
    pores = np.zeros((100, 100, 100), bool)
    pores[:, 3:9, 4:10] = True

    class Volume:
        shape, voxel_nm = pores.shape, 1.0
        read = staticmethod(pores.__getitem__)

    cube, porosity = percolating_cube(Volume(), 40)
    assert cube.shape == (40, 40, 40)
    assert cube.start[1:] == (0, 0)
    assert porosity == pytest.approx(36 / 1600)
    # Without any, the one in the middle.
    pores[30:33] = pores[50] = pores[97] = pores[2] = False
    assert percolating_cube(Volume(), 40)[0].start == (30, 30, 30)


def test_units_of_a_small_program_run_in_memory(study):
    (_, small) = md.plan(study).program.pilot_programs()
    seconds = run_in_memory(small).cpu
    assert set(seconds) == {"blocks", "networks", "tortuosity"}


def test_the_command_compares_prediction_and_run(small_study, tmp_path, capsys):
    def messages() -> str:
        with pytest.raises(SystemExit) as stop:
            main(["run", str(small_study), "--set", "cluster={profile: sync}", "--out", str(tmp_path / "run")])
        assert stop.value.code in (None, 0)
        return capsys.readouterr().err

    first = messages()
    assert re.search(r"cost: about .* of wall time on this cluster, without compiling, on an idle machine", first)
    assert re.search(r"the run took .* of CPU time and .*; predicted were .* of CPU time and", first)
    assert "predicted" not in messages()


#: A process with at least 0.1 s of CPU time.
BUSY = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.1: pass"]


def test_units_that_wait_take_their_wall_time(monkeypatch):
    times = Times()
    with times.measure("waits"):
        time.sleep(0.05)
    with times.measure("starts a process"):
        subprocess.run(BUSY, check=True)
    assert times.idle["waits"] > 0.049  # less what the resolution of the clocks leaves
    assert times.cpu["waits"] < times.idle["waits"]
    assert min(times.cpu["starts a process"], times.idle["starts a process"]) > 0.099
    queued = itertools.count()
    monkeypatch.setattr(costs, "_queueing_time", lambda: next(queued))  # another process has the core for a second
    with times.measure("is delayed"):
        time.sleep(0.05)
    assert times.idle["is delayed"] < times.idle["waits"]


def test_the_cpu_time_of_a_unit_includes_that_of_processes_it_starts():
    clock = worker._cpu_clock()
    start = clock()
    subprocess.run(BUSY, check=True)
    assert clock() - start > 0.099


def test_schedules_use_wall_times_and_costs_are_cpu_times(study):
    plan = md.plan(md.load_study(study, cluster={"profile": "sync"}))
    waiting = dataclasses.replace(plan, costs=Costs({"blocks": 300.0}, longest=100.0, cpu_work={"blocks": 3.0}))
    assert (waiting.cost, waiting.worker_time, waiting.time) == (3.0, 300.0, 300.0)
    assert "about 3 s of CPU time (blocks 3 s; from pilots); its units take 5 min, as they wait" in str(waiting)
    assert "predicted were 3 s of CPU time and 5 min of wall time" in waiting.comparison(5.0, 6.0)
    assert "wait" not in str(dataclasses.replace(plan, costs=Costs({"blocks": 300.0})))


def test_the_time_is_limited_by_units_that_follow_one_another(study):
    plan = md.plan(md.load_study(study, cluster={"profile": "sync"}))
    assert plan.time is None
    measured = dataclasses.replace(plan, costs=Costs({"blocks": 3.0, "networks": 1.0}, longest=4.0))
    assert measured.cost == measured.time == 4.0
    assert "predicted were 4 s of CPU time and 4 s of wall time" in measured.comparison(5.0, 6.0)
    # Of several drivers only the work is compared.
    assert measured.comparison(5.0, None) == "the run took 5 s of CPU time; predicted were 4 s of CPU time"


def test_a_joint_posterior_is_evaluated_once(root, tmp_path, monkeypatch):
    """By a unit of its own, whose cost is predicted; the table and the findings are read from what it leaves."""
    evaluated = []

    def counted(*arguments):
        evaluated.append(evaluate_joint(*arguments))
        return evaluated[-1]

    monkeypatch.setattr(joint_evaluation, "evaluate_joint", counted)
    for number in ("_FIRST", "_POINTS"):  # its accuracy does not matter here
        monkeypatch.setattr(importance_sampling, number, getattr(importance_sampling, number) // 8)
    study = md.load_study(root / "configs/porometry-bench.yaml", cluster={"profile": "sync"}, bootstrap={"draws": 0})
    plan = md.plan(study)
    assert plan.counts["joint"] == 1
    assert [unit.task for unit in plan.program.pilots()] == ["porometry", "joint"]
    assert plan.program.costs({"porometry": 0.25, "joint": 3.0}, {}).work == {"porometry": 0.25, "joint": 3.0}
    run = md.run(study, tmp_path / "run")
    ((expected, sentences),) = evaluated
    posterior = run.result["posterior"]
    assert float(posterior.porosity_median[0]) == expected.porosity.value
    np.testing.assert_array_equal(posterior.porosity[0], expected.draws["porosity"])
    findings = run.result["findings"]
    assert findings.finding.values[findings.method_name.values == "joint posterior"].tolist() == list(sentences)


def test_costs_of_boxes_grow_with_their_number_and_their_pores(study, tmp_path):
    """Small boxes take as long as their set-up; work that grew as volume times number of sizes was twice too large."""
    membrane = GradedMembrane(depth=128, slices=32, width=32).volume()
    np.save(tmp_path / "membrane.npy", np.tile(membrane, (1, 4, 4)))
    path = tmp_path / "study.yaml"
    path.write_text("kind: characterize\ninput: membrane.npy\nvoxel_size: 3 nm\nflow: {enabled: true, boxes: true}\n")
    program = md.plan(path).program
    cube, porosity = percolating_cube(program.volumes[0], 72)
    assert cube.shape == (64, 64, 64)
    small = dict.fromkeys(("blocks", "networks", "tortuosity", "flows", "box_flows"), 1.0)
    # 512 + 125 + 64 + 8 + 8 cubes and 64 + 25 + 16 columns in 128 voxels, 64 + 8 + 8 and 16 in 64.
    boxes, voxels = (822, 96), (14_941_696, 897_024)
    pores = (program.porosities[0] * voxels[0], porosity * voxels[1])
    expected = (boxes[0] + pores[0] / 13_000) / (boxes[1] + pores[1] / 13_000)
    assert program.costs({}, small).work["box_flows"] == pytest.approx(expected)
    assert 8 < expected < 13  # 7.2 measured on one membrane, where volume times number of sizes gives 14
