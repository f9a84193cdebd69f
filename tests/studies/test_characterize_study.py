"""Characterize studies: the same bits for any blocks and workers, references, a rock, invalid input."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import zipfile
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine.rounds import Schedule
from membrane_dask.errors import ExportError
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.stokes.bounds import BoundSums
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.resolution import resolve_permeability
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.program import Outcome
from membrane_dask.studies.characterize import tasks
from membrane_dask.studies.characterize.program import CharacterizeProgram
from membrane_dask.studies.volume_flow import decomposed_tasks

SYNC = {"profile": "sync"}
DEPTH, SLICES, WIDTH = 88, 40, 48
THICKNESS = DEPTH * 3e-9
FLOWING = """\
tortuosity: false
flow: {enabled: true, pressure: 2.1 bar, tolerance: 0.02}
retention: {enabled: true, diameter: 6 nm, diameters: [6 nm, 20 nm], temperature: 25 degC, particles: 40}
"""


def command(*arguments: object) -> tuple[int, str, str]:
    """Run a command in this process: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def membrane() -> np.ndarray:
    return GradedMembrane(depth=DEPTH, slices=SLICES, width=WIDTH).volume()


@pytest.fixture(scope="module")
def study(membrane, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    np.save(folder / "membrane.npy", membrane)
    np.save(folder / "mirrored.npy", membrane[:, ::-1].copy())
    path = folder / "membrane.yaml"
    path.write_text("kind: characterize\ninput: membrane.npy\nreference: mirrored.npy\nvoxel_size: 3 nm\n")
    return path


@pytest.fixture(scope="module")
def reference(study, tmp_path_factory):
    run = md.run(md.load_study(study, cluster=SYNC), tmp_path_factory.mktemp("reference") / "run")
    assert run.status()["state"] == "complete"
    return run


@pytest.mark.parametrize(
    ("block_size", "cluster"),
    [
        (32, SYNC),
        # On demand: workers, which do not show in tests/studies/test_graded_study.py and tests/engine/test_execute.py.
        pytest.param(50, {"workers": 2}, marks=pytest.mark.slow),
        pytest.param(64, {"workers": 1}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_results_do_not_depend_on_blocks_and_workers(study, reference, values_of, tmp_path, block_size, cluster):
    run = md.run(md.load_study(study, block_size=block_size, cluster=cluster), tmp_path / "run")
    assert run.counts["blocks"] > 2
    assert values_of(run) == values_of(reference)


def test_an_interrupted_run_is_resumed(study, reference, values_of, interrupt_and_resume, tmp_path):
    short = study.with_name("short.yaml")
    short.write_text(study.read_text() + "block_size: 40\n")
    interrupt_and_resume(short, tmp_path / "run", after=5)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(reference)


def test_properties(reference, membrane):
    properties = reference.result["properties"].to_dataset().isel(replicate=0)
    pores = membrane == 0
    labels, count = ndimage.label(pores)
    percolating = np.setdiff1d(np.intersect1d(labels[0], labels[-1]), [0])
    assert float(properties.porosity) == pores.mean()
    assert float(properties.connected_porosity) == np.isin(labels, percolating).mean()
    assert int(properties.n_components) == count
    assert float(properties.percolates) == 1
    for name in ("geometric", "centroid", "diffusive"):
        assert float(properties[f"tortuosity_{name}"]) >= 1
    network = reference.result["network_0"].to_dataset()
    assert int(properties.n_pores) == network.sizes["pore"]
    assert network.throat_conns.dtype.kind == "i"
    inner = (network.throat_conns[:, 1] >= 0).values
    assert int(properties.n_throats) == inner.sum()
    assert float(properties.throat_radius_mean) == pytest.approx(network.throat_equivalent_radius.values[inner].mean())
    assert float(network.volume.sum()) / 27 / pores.sum() == pytest.approx(1 - float(properties.unassigned_fraction))
    sizes = reference.result["pore_sizes"].to_dataset().isel(replicate=0)
    assert float(sizes.cumulative_volume_fraction[0]) == 1.0
    assert sizes.pore_radius.units == "nm"
    assert float(sizes.quarter_pore_radius_mean[3]) > 1.5 * float(sizes.quarter_pore_radius_mean[0])  # graded
    profile = reference.result["profiles"].to_dataset().isel(replicate=0)
    np.testing.assert_allclose(profile.porosity, pores.mean(axis=(1, 2)))
    assert (profile.connected_porosity <= profile.porosity).all()


def test_a_mirror_image_has_equal_properties(reference):
    """Sums are equal; networks differ where voxels at equal distances from the solid are ordered by position."""
    difference = reference.result["difference"].to_dataset().isel(replicate=0)
    for name in ("porosity", "connected_porosity", "n_components", "pore_radius_mean", "specific_surface"):
        assert abs(float(difference[name])) < 1e-12
    for name in ("n_pores", "body_radius_mean", "throat_radius_mean", "coordination_number_mean"):
        assert abs(float(difference[name])) < 0.03
    assert abs(float(difference.tortuosity_geometric)) < 1e-3
    assert abs(float(difference.tortuosity_diffusive)) < 2e-3  # twice the tolerance of the flux


@pytest.fixture(scope="module")
def flowing(study, tmp_path_factory):
    path = study.with_name("flowing.yaml")
    path.write_text(study.read_text() + FLOWING)
    return md.run(md.load_study(path, cluster=SYNC), tmp_path_factory.mktemp("flowing") / "run")


@pytest.mark.usefixtures("undrawn")
def test_flow_properties(flowing, membrane):
    properties = flowing.result["properties"].to_dataset().isel(replicate=0)
    k = float(properties.permeability)
    grid = Grid.of(membrane == 0)
    flow = stokes(grid, 0.02)
    smooth, staircase = (float(properties[f"permeability_{name}_walls"]) for name in ("smooth", "staircase"))
    assert smooth == pytest.approx(flow.permeability * 9e-18, rel=1e-12)
    assert smooth <= float(properties.permeability_upper_bound) <= 1.02 * smooth * (1 + 1e-6)
    assert staircase < smooth  # edges add resistance
    estimate = resolve_permeability(smooth, staircase)
    assert k == pytest.approx(estimate.permeability, rel=1e-12)
    assert float(properties.permeability_low) == pytest.approx(estimate.low, rel=1e-12)
    assert float(properties.permeability_high) == pytest.approx(estimate.high, rel=1e-12)
    assert float(properties.tortuosity_hydraulic) > 1
    assert float(properties.flux_residual) < 1e-6
    # 0.89 mPa s over the thickness, and 1 bar is 14.5038 psi.
    assert float(properties.permeance) == pytest.approx(k / (0.89e-3 * THICKNESS) * 1e3 * 3600 * 1e5)
    assert float(properties.permeance_psi) == pytest.approx(float(properties.permeance) / 14.5038, rel=1e-5)
    assert float(properties.permeability_millidarcy) == pytest.approx(k / 9.869233e-16)
    # The mean speed of the middle section has the order of the superficial velocity of the volume.
    speed = flowing.result["flow"].speed.isel(replicate=0)
    superficial = k * 2.1e5 / THICKNESS / 0.89e-3
    assert superficial < float(speed.mean()) < 3 * superficial
    assert float(speed.where(membrane[:, SLICES // 2] > 0).max()) == 0
    difference = flowing.result["difference"].to_dataset().isel(replicate=0)
    assert abs(float(difference.permeability)) < 1e-3
    page = md.write_report(flowing).read_text()
    assert f"The permeability is {k:.3g} m²" in page
    assert ">Simplified models<" in page


@pytest.mark.usefixtures("undrawn")
def test_retention_properties(flowing):
    properties = flowing.result["properties"].to_dataset().isel(replicate=0)
    curve = flowing.result["rejection"].to_dataset().isel(replicate=0)
    critical_diameter = 2 * float(properties.critical_pore_radius)
    assert 6 < critical_diameter < 20  # between the two diameters of particles
    reflecting, perfect_sink = curve.log_reduction_reflecting.values, curve.log_reduction_perfect_sink.values
    assert reflecting[0] == pytest.approx(float(properties.log_reduction_value), rel=1e-4)
    assert perfect_sink[0] > 10 * reflecting[0] > 0
    assert np.isposinf([reflecting[1], perfect_sink[1]]).all()
    # A count of few particles cannot show the whole reduction.
    assert float(properties.log_reduction_value_bound) < float(properties.log_reduction_value)
    deposited = flowing.result["deposition"].deposited_fraction.isel(replicate=0)
    assert float(deposited.sum()) == pytest.approx(1)
    assert deposited.values.argmax() == 0
    assert abs(float(flowing.result["difference"].log_reduction_value[0])) < 1e-3
    assert f"diameter above {critical_diameter:.3g} nm have no percolating path" in md.write_report(flowing).read_text()


@pytest.fixture(scope="module")
def by_slabs(study, tmp_path_factory):
    path = study.with_name("by_slabs.yaml")
    path.write_text(
        study.read_text().replace("reference: mirrored.npy\n", "")
        + FLOWING.replace("tolerance", "slab_thickness: 24, velocities: true, tolerance")
    )
    return md.run(md.load_study(path, cluster=SYNC), tmp_path_factory.mktemp("by_slabs") / "run")


def test_slabs_give_the_same_flow(flowing, by_slabs):
    assert by_slabs.counts["final_velocity"] == 4
    whole, slabs = (run.result["properties"].to_dataset().isel(replicate=0) for run in (flowing, by_slabs))
    for name in set(whole.data_vars) - {"flux_residual"}:
        # The error of the halo is far below the tolerance of the bounds, 0.02; mobilities are solved to 0.03.
        np.testing.assert_allclose(slabs[name], whole[name], rtol=5e-3, err_msg=name)
    assert float(slabs.permeability_smooth_walls) == pytest.approx(float(whole.permeability_smooth_walls), rel=1e-4)
    assert float(slabs.flux_residual) < 1e-6
    for name in ("flow", "rejection", "deposition"):
        for variable, values in values_of_table(flowing, name).items():
            atol = 1e-6 + 1e-3 * np.abs(values[np.isfinite(values)]).max(initial=0)
            np.testing.assert_allclose(values_of_table(by_slabs, name)[variable], values, rtol=0.05, atol=atol)
    # Temporary scratch data are removed at the end.
    remaining = {path.name for path in (by_slabs.path / "scratch").iterdir()}
    assert "flows" in remaining
    assert not remaining & {"mobilities", "pressures", "velocities", "final_velocity"}


def values_of_table(run, name):
    return {v: a.values for v, a in run.result[name].to_dataset().isel(replicate=0).data_vars.items()}


def test_replay_of_a_unit_whose_data_were_temporary(by_slabs):
    assert md.replay(by_slabs.path, "percolating,replicate=0")[1]
    with pytest.raises(md.StudyError, match="removed once a run is complete"):
        md.replay(by_slabs.path, "velocities,replicate=0,wall_model=smooth,iteration=0,slab=1")
    values, same = md.replay(by_slabs.path, "mobilities,replicate=0,wall_model=staircase,slab=1")
    assert values["resistance"].min() > 0
    assert same is None


def test_velocities_are_stored(by_slabs, flowing, membrane):
    stored = by_slabs.result["velocity_0"].velocity
    assert stored.dims == ("component", "z", "y", "x")
    assert stored.units == "m s-1"
    assert float(stored.y[0]) == 1.5
    velocity = stored.values
    assert not velocity[:, membrane > 0].any()
    k = float(flowing.result["properties"].permeability_smooth_walls[0])
    superficial = k * 2.1e5 / THICKNESS / 0.89e-3
    # In every plane, as the fluxes through the faces below and above it are equal.
    np.testing.assert_allclose(velocity[0].mean(axis=(1, 2)), superficial, rtol=1e-4)
    speed = flowing.result["flow"].speed.isel(replicate=0).values
    np.testing.assert_allclose(
        np.sqrt((velocity[:, :, SLICES // 2] ** 2).sum(axis=0)), speed, rtol=0.05, atol=1e-3 * speed.max()
    )


def test_items_of_a_run_are_exported(by_slabs, membrane, tmp_path):
    """The command and the function write the same bytes; volumes and velocities are read back bit for bit."""
    code, out, err = command("export", by_slabs.path, tmp_path / "volume.tif", "--item", "volume_0")
    assert (code, out.strip()) == (0, str(tmp_path / "volume.tif")), err
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "volume.tif"), np.where(membrane == 0, 0, 255))
    again = md.export(by_slabs, tmp_path / "again.tif", "volume_0")
    assert again.read_bytes() == (tmp_path / "volume.tif").read_bytes()
    velocity = by_slabs.result["velocity_0"].velocity.values
    np.testing.assert_array_equal(tifffile.imread(md.export(by_slabs, tmp_path / "v.tif", "velocity_0")), velocity)
    text = md.export(by_slabs, tmp_path / "n.vtk", "network_0").read_text()
    network = by_slabs.result["network_0"]
    assert f"POINTS {network.sizes['pore']} double" in text
    assert "lengths in nm" in text
    assert len(list(tmp_path.iterdir())) == 4  # no temporary files remain
    for item, name, message in (
        ("velocity_1", "a.vti", "no item 'velocity_1'; did you mean 'velocity_0'"),
        ("velocity_0", "a.stl", r"a velocity is written to \.vti, .*\.nii\.gz \(got 'a\.stl'\)"),
        ("network_0", "a.tif", r"a network is written to \.vtk"),
        ("volume_0", "a.obj", r"a volume is written to \.vti, .*\.stl \(got 'a\.obj'\)"),
        ("volume_0", "v.tif", r"v\.tif exists; .*--overwrite"),
    ):
        with pytest.raises(ExportError, match=message):
            md.export(by_slabs, tmp_path / name, item)
    code, _, err = command("export", by_slabs.path, tmp_path / "a.vti")
    assert code == 2
    assert "items: volume_0, network_0, velocity_0" in err
    md.export(by_slabs, tmp_path / "v.tif", "volume_0", overwrite=True)
    assert (tmp_path / "v.tif").read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        "lateral_boundary: periodic",
        "lateral_boundary: no_slip, wall_model: staircase",
        "refinement: 2, velocities: true",
    ],
)
def test_slabs_with_any_boundaries_and_walls(membrane, tmp_path, settings):
    np.save(tmp_path / "corner.npy", membrane[:48, :24, :24])
    results = []
    for slabs in ("", ", slab_thickness: 16"):
        path = tmp_path / "flow.yaml"
        path.write_text(
            "kind: characterize\ninput: corner.npy\nvoxel_size: 3 nm\ntortuosity: false\n"
            f"flow: {{enabled: true, {settings}{slabs}}}\n"
        )
        run = md.run(md.load_study(path, cluster=SYNC), tmp_path / f"run{len(results)}")
        results.append(run.result["properties"].to_dataset().isel(replicate=0))
        if "velocities" in settings:  # in one slab, and in three
            forward = run.result["velocity_0"].velocity.sel(component="z").mean(("y", "x"))
            expected = float(results[-1].permeability_smooth_walls) * 210e3 / (48 * 3e-9) / 0.89e-3
            np.testing.assert_allclose(forward, expected, rtol=1e-4)
    whole, by_slabs = results
    assert float(whole.permeability) > 0
    for name in ("permeability", "permeability_upper_bound", "permeability_staircase_walls", "tortuosity_hydraulic"):
        assert float(by_slabs[name]) == pytest.approx(float(whole[name]), rel=2e-3)


def test_an_interrupted_flow_by_slabs_is_resumed(by_slabs, study, values_of, interrupt_and_resume, tmp_path):
    interrupt_and_resume(study.with_name("by_slabs.yaml"), tmp_path / "run", after=30)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(by_slabs)


# On demand: without slabs, as the estimate in `flowing` with which this one is compared.
@pytest.mark.parametrize("slabs", [pytest.param("", marks=pytest.mark.slow), ", slab_thickness: 24"])
@pytest.mark.usefixtures("undrawn")
def test_the_mobility_estimate(flowing, study, tmp_path, slabs):
    path = study.with_name("estimate.yaml")
    text = study.read_text().replace("reference: mirrored.npy\n", "")
    path.write_text(text + f"tortuosity: false\nflow: {{enabled: true, method: mobility_estimate{slabs}}}\n")
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    properties, flow = (r.result["properties"].to_dataset().isel(replicate=0) for r in (run, flowing))
    estimate = float(properties.permeability_mobility_estimate)
    assert estimate == pytest.approx(float(flow.permeability_mobility_estimate), rel=5e-3)
    assert 1.1 < estimate / float(flow.permeability_smooth_walls) < 1.42
    assert np.isnan(properties.permeability)
    assert "1.1 to 1.4 times as high" in md.write_report(run).read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_failed_slab_ends_the_flow_of_its_volume(study, tmp_path, monkeypatch):
    def fail(*arguments):
        raise PhysicsError("no mobility")

    monkeypatch.setattr(decomposed_tasks, "slab_mobility", fail)
    path = study.with_name("by_slabs.yaml")
    text = study.read_text().replace("reference: mirrored.npy\n", "")
    path.write_text(text + FLOWING.replace("tolerance", "slab_thickness: 24, tolerance"))
    run = md.run(md.load_study(path, cluster=SYNC, execution={"retries": 0, "failure_limit": 1}), tmp_path / "run")
    errors = {failure["key"]: failure["error"] for failure in run.failures}
    assert "no mobility" in errors["mobilities,replicate=0,wall_model=staircase,slab=3"]
    assert {key.split(",")[0] for key in errors} == {"mobilities"}
    assert run.status()["state"] == "failed"
    assert run.status()["left"] == 0
    assert np.isnan(run.result["properties"].permeability).all()
    assert "The flow was not computed; see the failed units." in md.write_report(run).read_text()


def test_bounds_that_do_not_converge_fail_the_flow(study, tmp_path, monkeypatch):
    monkeypatch.setattr("membrane_dask.studies.volume_flow.decomposed_flow.MAX_ITERATIONS", 1)
    path = study.with_name("short_iteration.yaml")
    path.write_text(
        study.read_text().replace("reference: mirrored.npy\n", "")
        + "tortuosity: false\nflow: {enabled: true, slab_thickness: 60, tolerance: 0.001}\n"
    )
    run = md.run(md.load_study(path, cluster=SYNC, execution={"retries": 0}), tmp_path / "run")
    assert [failure["key"] for failure in run.failures] == ["flows,replicate=0"]
    assert "after 1 " in run.failures[0]["error"]
    assert np.isnan(run.result["properties"].permeability).all()


@pytest.mark.usefixtures("undrawn")
def test_a_volume_without_percolating_pores_has_no_flow(membrane, tmp_path):
    walled = membrane[:48, :24, :24].copy()
    walled[30] = 255
    np.save(tmp_path / "walled.npy", walled)
    path = tmp_path / "walled.yaml"
    path.write_text(
        "kind: characterize\ninput: walled.npy\nvoxel_size: 3 nm\ntortuosity: false\n"
        "flow: {enabled: true, velocities: true}\nretention: {enabled: true}\n"
    )
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    assert not run.result["velocity_0"].velocity.values.any()
    properties = run.result["properties"].to_dataset().isel(replicate=0)
    assert float(properties.percolates) == float(properties.permeability) == float(properties.permeance) == 0
    assert np.isnan(properties.tortuosity_hydraulic)
    assert np.isposinf(properties.log_reduction_value)
    assert np.isposinf(run.result["rejection"].log_reduction_reflecting).all()
    assert "The permeability is 0." in md.write_report(run).read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pressure: 210", "a number with a unit is needed"),
        ("pressure: -210 kPa", "must be greater than 0"),
        ("pressure: 3 nm", "not a quantity in units like 'Pa'"),
        ("viscosity: 0.89 mPa", "not a quantity in units like 'Pa s'"),
        ("lateral_boundary: open", "symmetric"),
        ("refinement: 0", "refinement"),
        ("slab_thickness: 8", "must be at least 16"),
    ],
)
def test_invalid_flow_settings(study, line, message):
    path = study.with_name("invalid.yaml")
    path.write_text(study.read_text() + f"flow: {{enabled: true, {line}}}\n")
    with pytest.raises(md.StudyError, match=message):
        md.load_study(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("flow: {velocities: true}", "flow.velocities: needs the flow: set flow.enabled: true"),
        ("retention: {enabled: true}", "needs the flow: set flow.enabled: true"),
        ("flow: {enabled: true, method: mobility_estimate}\nretention: {enabled: true}", "must be stokes"),
        ("flow: {enabled: true}\nretention: {temperature: 0 K}", "must be greater than 0"),
        ("flow: {enabled: true}\nretention: {temperature: -300 degC}", "must be greater than 0"),
        ("flow: {enabled: true}\nretention: {diameter: 20}", "a number with a unit is needed"),
        ("flow: {enabled: true}\nretention: {diameters: [20 nm, 5 kPa]}", "not a quantity in units like 'nm'"),
        ("flow: {enabled: true}\nretention: {wall_interaction: glue}", "reflecting"),
    ],
)
def test_invalid_retention_settings(study, lines, message):
    path = study.with_name("invalid.yaml")
    path.write_text(study.read_text() + lines + "\n")
    with pytest.raises(md.StudyError, match=message):
        md.load_study(path)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_former_settings_are_accepted(study):
    path = study.with_name("former.yaml")
    path.write_text(
        study.read_text() + "block: 64\nnetwork: {radius: 3, smallest: 1, nearby: 0.9}\n"
        "flow: {solve: true, sides: wall, surface: voxels, refine: 2, slab: 20}\n"
        "retention: {solve: true, collision: touch}\n"
    )
    with pytest.warns(FutureWarning, match=r"flow\.sides is now flow\.lateral_boundary"):
        former = md.load_study(path)
    path.write_text(
        study.read_text() + "block_size: 64\nnetwork: {r_max: 3, min_peak_distance: 1, min_separation: 0.9}\n"
        "flow: {enabled: true, lateral_boundary: no_slip, wall_model: staircase, refinement: 2, slab_thickness: 20}\n"
        "retention: {enabled: true, wall_interaction: perfect_sink}\n"
    )
    assert former.identity() == md.load_study(path).identity()


@pytest.mark.parametrize("key", ["blocks,replicate=0,block=0", "networks,reference", "tortuosity,replicate=0"])
def test_a_unit_replays_to_the_same_bits(reference, key):
    values, same = md.replay(reference.path, key)
    assert same
    assert values


@pytest.fixture(scope="module")
def program(membrane, tmp_path_factory):
    """A program of 60 blocks whose units are not computed."""
    folder = tmp_path_factory.mktemp("program")
    np.save(folder / "membrane.npy", np.tile(membrane, (2, 3, 3))[:96, :128, :160])
    (folder / "study.yaml").write_text("kind: characterize\ninput: membrane.npy\nvoxel_size: 3 nm\nblock_size: 32\n")
    return CharacterizeProgram(md.load_study(folder / "study.yaml"))


def propose_all(program, outcome_of):
    """Propose and finish units one by one; the keys in their order."""
    history, keys = {}, []
    schedule = Schedule(program, history)
    queue = list(schedule.propose())
    while queue:
        unit = queue.pop(0)
        keys.append(unit.key)
        history[unit.key] = outcome_of(unit)
        queue += schedule.propose([unit.key])
    return keys


def test_proposing_units_takes_linear_work(program, monkeypatch):
    """Every unit is built once, however many batches finish."""
    built = []
    build, build_blocks = CharacterizeProgram.unit, CharacterizeProgram.block_units
    monkeypatch.setattr(CharacterizeProgram, "unit", lambda *a, **k: built.append(unit := build(*a, **k)) or unit)
    monkeypatch.setattr(
        CharacterizeProgram, "block_units", lambda *a, **k: built.extend(units := build_blocks(*a, **k)) or units
    )
    keys = propose_all(program, lambda unit: Outcome("done"))
    assert len(keys) == len(set(keys)) == len(built) == len(program.blocks[0]) + 2
    assert keys[-2:] == ["networks,replicate=0", "tortuosity,replicate=0"]


def test_a_failed_block_ends_its_volume(program):
    keys = propose_all(program, lambda unit: Outcome("failed" if unit.key.endswith("block=7") else "done"))
    assert len(keys) == len(program.blocks[0])


def test_units_of_slabs_carry_out_the_requests_of_the_iteration(membrane, tmp_path):
    # tests/physics/test_stokes.py has the requests that follow from the same sums of the two slabs.
    np.save(tmp_path / "membrane.npy", membrane)
    path = tmp_path / "study.yaml"
    path.write_text(
        "kind: characterize\ninput: membrane.npy\nvoxel_size: 3 nm\ntortuosity: false\n"
        "flow: {enabled: true, slab_thickness: 44, tolerance: 0.01}\n"
    )
    sums = {1: BoundSums(1, 1, 2, 0), 2: BoundSums(1, 1, 1.1, 1), 3: BoundSums(1, 1, 1.001, 0)}
    units = []

    def outcome_of(unit):
        units.append(unit)
        feedback = {"pores": 1.0, "voxels": 1.0, "min_eigenvalue": 0.5 + unit.params.get("slab", 0)}
        if unit.task == "bounds":
            total = dataclasses.asdict(sums[unit.params["iteration"]])
            feedback = {name: value / 2 for name, value in total.items()}
        return Outcome("done", feedback)

    propose_all(CharacterizeProgram(md.load_study(path)), outcome_of)
    flow = [unit for unit in units if unit.params.get("wall", 0) == 0 and unit.params.get("slab", 1) == 1]
    steps = [(u.task, u.params.get("iteration"), u.params.get("kind", u.params.get("after"))) for u in flow]
    first = steps.index(("mobilities", None, None))
    assert steps[first:] == [
        ("mobilities", None, None), ("pressures", 0, ""),
        ("velocities", 0, "darcy"), ("pressures", 1, "darcy"), ("bounds", 1, None),
        ("velocities", 1, "pressures"), ("pressures", 2, "pressures"), ("bounds", 2, None),
        ("velocities", 2, "velocities"), ("pressures", 3, "velocities"), ("bounds", 3, None),
        ("pressures", 4, "converged"), ("final_velocity", 3, None),
        ("flows", None, None),
    ]  # fmt: skip
    tolerances = [unit.params["inner_tolerance"] for unit in flow if unit.task == "velocities"]
    assert tolerances == [tolerances[0], tolerances[0], tolerances[0] / 4]
    assert (flow[-1].params["upper_bound"], flow[-1].params["alternate_permeability"]) == (1.001, 1.0)


@pytest.mark.usefixtures("undrawn")
def test_a_failed_block_is_reported(study, tmp_path, monkeypatch):
    def fail(*arguments):
        raise PhysicsError("no regions")

    monkeypatch.setattr(tasks, "block_watershed", fail)
    path = study.with_name("blocks.yaml")
    path.write_text("kind: characterize\ninput: membrane.npy\nvoxel_size: 3 nm\n")
    run = md.run(md.load_study(path, cluster=SYNC, execution={"retries": 0}), tmp_path / "run")
    assert run.status()["state"] == "failed"
    assert {failure["error"] for failure in run.failures} == {"PhysicsError: no regions"}
    assert "No volume is complete yet" in md.write_report(run).read_text()


def test_the_report(reference, tmp_path):
    page = md.write_report(reference, tmp_path / "page.html").read_text()
    for title in ("Properties", "Volume", "Depth profiles", "Pore sizes", "Network statistics", "Pore network"):
        assert f">{title}<" in page
    for title in ("Structure", "Size distributions", "Representative volume"):
        assert f">{title}<" in page
    assert page.count("<svg") == 8
    radius = float(reference.result["reference_properties"].throat_radius_mean)
    assert f"{radius:.4g}" in page
    assert "The pores percolate from the feed side to the filtrate." in page


def test_the_network_of_a_result(reference):
    group = reference.result["network_0"]
    network = md.pore_network(group)
    assert network.extent == pytest.approx((THICKNESS, SLICES * 3e-9, WIDTH * 3e-9))
    np.testing.assert_allclose(network.junctions * 1e9, group.position.values)
    np.testing.assert_array_equal(network.throat_conns, group.throat_conns.values)
    np.testing.assert_allclose(network.band_length.sum(axis=1), network.length)
    volume = network.bodies["volume"].sum() / np.prod(network.extent)
    assigned = 1 - float(reference.result["properties"].unassigned_fraction[0])
    assert volume == pytest.approx(float(reference.result["properties"].porosity[0]) * assigned)


def test_every_replicate_of_a_run(tmp_path, monkeypatch):
    import imageio.v3 as iio

    iio.imwrite(tmp_path / "membrane.png", GradedMembrane(depth=80, slices=4, width=96).micrograph())
    (tmp_path / "reconstruction.yaml").write_text(
        "kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nreplicates: 2\n"
        "model: {knots: [0, 1]}\nsearch: {closing_radius: [0], roughness: [0], slices: 2}\n"
        "volume: {slices: 32, width: 32, block_size: 32}\ngoodness_of_fit: {enabled: false}\n"
    )
    reconstruction = md.run(md.load_study(tmp_path / "reconstruction.yaml", cluster=SYNC), tmp_path / "reconstruction")
    path = tmp_path / "characterization.yaml"
    path.write_text("kind: characterize\ninput: reconstruction\ntortuosity: false\n")
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    porosity = run.result["properties"].porosity
    assert porosity.sizes["replicate"] == 2
    np.testing.assert_allclose(porosity, reconstruction.result["structures"].volume_porosity)
    assert np.isnan(run.result["properties"].tortuosity_diffusive).all()
    assert "32 voxels of 3 nm, porosity" in str(md.plan(path))
    with pytest.raises(ValueError, match="network_0"):
        md.pore_network(run.result)
    # A study in place of its run is refused until it was run; the message gives the command.
    path.write_text("kind: characterize\ninput: reconstruction.yaml\ntortuosity: false\n")
    with pytest.raises(md.StudyError, match=r"first: membrane-dask run .*reconstruction\.yaml"):
        md.plan(path)
    # A run of the same study under any name in runs is used; broken runs in the same folder are left alone.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "a-broken-run").mkdir(parents=True)
    (tmp_path / "runs" / "a-broken-run" / "run.json").write_text("{")
    reconstruction.path.rename(tmp_path / "runs" / "of-another-name")
    assert md.plan(path).study.input == tmp_path / "runs" / "of-another-name"
    path.write_text(f"kind: characterize\ninput: {run.path}\n")
    with pytest.raises(md.StudyError, match="of the kind characterize, which provides no volume"):
        md.plan(path)


def test_a_volume_of_pores_is_refused(tmp_path):
    np.save(tmp_path / "volume.npy", np.zeros((40, 40, 40), np.uint8))
    (tmp_path / "study.yaml").write_text("kind: characterize\ninput: volume.npy\nvoxel_size: 1 um\n")
    with pytest.raises(md.StudyError, match="has no solid in any of its planes; check pores"):
        md.plan(tmp_path / "study.yaml")
    grey = np.random.default_rng(0).random((40, 40, 40))
    np.save(tmp_path / "volume.npy", grey)
    (tmp_path / "study.yaml").write_text(
        "kind: characterize\ninput: volume.npy\nvoxel_size: 1 um\ngrey: {threshold: 110}\n"
    )
    with pytest.raises(md.StudyError, match=r"check grey\.threshold"):
        md.plan(tmp_path / "study.yaml")
    grey[4, 3, 2] = np.nan
    np.save(tmp_path / "volume.npy", grey)
    with pytest.raises(md.StudyError, match=r"yaml:2:1: input: the value at voxel .* is not finite"):
        md.plan(tmp_path / "study.yaml")


def test_a_solid_volume(tmp_path):
    np.save(tmp_path / "volume.npy", np.full((40, 40, 40), 255, np.uint8))
    (tmp_path / "study.yaml").write_text("kind: characterize\ninput: volume.npy\nvoxel_size: 1 um\n")
    run = md.run(md.load_study(tmp_path / "study.yaml", cluster=SYNC), tmp_path / "run")
    properties = run.result["properties"].to_dataset().isel(replicate=0)
    assert (float(properties.porosity), float(properties.percolates), float(properties.n_pores)) == (0, 0, 0)
    for name in ("body_radius_mean", "tortuosity_geometric", "tortuosity_diffusive", "pore_radius_mean"):
        assert np.isnan(properties[name])


def test_dead_end_pores(tmp_path):
    pores = np.zeros((40, 40, 40), bool)
    pores[:25, 10:20] = True
    np.save(tmp_path / "volume.npy", ~pores)
    (tmp_path / "study.yaml").write_text("kind: characterize\ninput: volume.npy\nvoxel_size: 1 um\n")
    run = md.run(md.load_study(tmp_path / "study.yaml", cluster=SYNC), tmp_path / "run")
    properties = run.result["properties"].to_dataset().isel(replicate=0)
    for name in ("percolates", "connected_porosity", "effective_diffusivity"):
        assert float(properties[name]) == 0
    assert float(properties.dead_end_porosity) == pores.mean()
    assert np.isnan(properties.tortuosity_diffusive)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "voxel_size: required: a NumPy file"),
        ("voxel_size: 3", "a number with a unit is needed"),
        ("voxel_size: 3 nm\nblock_size: 8", "block_size"),
        ("voxel_size: 3 nm\npores: light", "pores"),
        ("voxel_size: 3 nm\ngrey: {sigma: 2}", "needs a threshold"),
        ("voxel_size: 3 nm\ngrey: {threshold: 3}\npores: 5", "must be dark or bright"),
        ("voxel_size: 3 nm\nconnectivity: 18", "connectivity"),
        ("voxel_size: 3 nm\nreference: nothing.npy", "no such file"),
    ],
)
def test_invalid_settings(study, tmp_path, lines, message):
    path = tmp_path / "invalid.yaml"
    path.write_text(f"kind: characterize\ninput: {study.with_name('membrane.npy')}\n{lines}\n")
    with pytest.raises(md.StudyError, match=message):
        md.plan(path)


@pytest.mark.parametrize("numbers", [(6,), pytest.param(tuple(range(14)), marks=pytest.mark.slow)], ids=len)
def test_the_blocks_of_berea(shared, tmp_path, numbers):
    """Connected porosity of a block of a sandstone, as published with its permeability; of all 14 on demand."""
    with zipfile.ZipFile(shared / "data/berea.zip") as archive:
        rock = tifffile.imread(io.BytesIO(archive.read("berea.tif")))
    with (shared / "data/berea_permeability_blocks_0-13.csv").open() as file:
        expected = {int(row["block"]): float(row["effective_porosity"]) for row in csv.DictReader(file)}
    corners = list(itertools.product((0, 128, 256), repeat=3))
    assert len(expected) == 14
    for number in numbers:
        window = tuple(slice(c, c + 128) for c in corners[number])
        np.save(tmp_path / f"{number}.npy", rock[window])
        path = tmp_path / f"{number}.yaml"
        path.write_text(
            f"kind: characterize\ninput: {number}.npy\nvoxel_size: 5.345 um\ntortuosity: false\nblock_size: 64\n"
        )
        run = md.run(md.load_study(path, cluster=SYNC), tmp_path / f"run-{number}")
        properties = run.result["properties"].to_dataset().isel(replicate=0)
        assert round(float(properties.connected_porosity), 6) == expected[number]
