"""The virtual bench: exact bodies, the same bits for any blocks and workers, and what it refuses."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import membrane_dask as md
from membrane_dask import api
from membrane_dask.physics import importance_sampling
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.imaging.distance import squared_distances
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.studies.characterize import common_flow, flow_tasks
from membrane_dask.studies.characterize.bench_findings import bench_findings
from membrane_dask.studies.characterize.bench_settings import BenchSettings
from membrane_dask.studies.characterize.program import CharacterizeProgram
from membrane_dask.studies.input_volumes import InputVolumes

SYNC = {"profile": "sync"}
OFFSET = 0.3
STUDY = "kind: characterize\ninput: body.npy\nvoxel_size: 1 nm\ntortuosity: false\n"


def bench_of(pores, folder, bench="", **settings):
    """Run the bench of a volume."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "body.npy", np.where(pores, 0, 255).astype(np.uint8))
    path = folder / "study.yaml"
    path.write_text(f"{STUDY}bench: {{enabled: true, {bench}}}\n")
    run = md.run(md.load_study(path, cluster=SYNC, **settings), folder / "run")
    assert run.status()["state"] == "complete"
    return run


def scalars(run):
    return run.result["bench"].to_dataset().isel(replicate=0)


def curves(run):
    """Curves by entry radius, rounded to the lattice radius in voxels."""
    table = run.result["bench_curves"].to_dataset().isel(replicate=0)
    return table.assign_coords(entry_radius=np.round(table.entry_radius - OFFSET, 6))


def tubes(shape, at):
    """Tubes along z: (radius, y, x) of each; voxels nearer than the radius to its axis."""
    y, x = np.indices(shape[1:])
    section = np.zeros(shape[1:], bool)
    for radius, a, b in at:
        section |= (y - a) ** 2 + (x - b) ** 2 < radius * radius
    return np.broadcast_to(section, shape).copy()


def bundle():
    """One tube of radius 8, three of 6, four of 4 and six of 3, with gaps of three voxels or more."""
    at, x = [], 0
    for radius, count in ((8, 1), (6, 3), (4, 4), (3, 6)):
        x += radius + 4
        at += [(radius, 10 + 13 * (k % 3), x + (k // 3) * (2 * radius + 4)) for k in range(count)]
        x += (count - 1) // 3 * (2 * radius + 4) + radius
    return tubes((24, 48, x + 4), at), [radius for radius, *_ in at]


@pytest.fixture(scope="module")
def bundle_run(tmp_path_factory):
    return bench_of(bundle()[0], tmp_path_factory.mktemp("bundle"))


def test_a_bundle_of_tubes_opens_by_the_fourth_power_of_the_radii(bundle_run):
    pores, radii = bundle()
    fourth = np.array(radii, float) ** 4
    volumes = {r: int(tubes((1, 32, 32), [(r, 15, 15)]).sum()) for r in set(radii)}
    result, table = scalars(bundle_run), curves(bundle_run)
    assert float(result.bubble_point_radius) == pytest.approx(8 + OFFSET)
    for radius in (8, 6, 4, 3):
        wide = np.array(radii) >= radius
        row = table.sel(entry_radius=radius)
        assert float(row.wet_fraction) == pytest.approx(fourth[wide].sum() / fourth.sum(), abs=0.04)
        filled = sum(volumes[r] for r in radii if r >= radius)
        assert float(row.mercury_fraction) == pytest.approx(filled / sum(volumes[r] for r in radii), abs=1e-12)
    # The tube of radius 8 carries less than half of the flow, with those of radius 6 more.
    assert fourth[:1].sum() < 0.45 * fourth.sum()
    assert float(result.mean_flow_pore_radius) == pytest.approx(6 + OFFSET)
    assert float(result.smallest_flow_pore_radius) == pytest.approx(3 + OFFSET)
    assert float(result.network_permeability_ratio) == pytest.approx(1, abs=0.005)
    # All of the volume: the porosity of mercury is that of the voxels.
    assert float(result.mercury_porosity) == pytest.approx(pores.mean(), rel=1e-9)
    nm, viscosity = 1e-9, 0.8900e-3
    permeance = float(result.permeability) / (viscosity * 24 * nm) * 3.6e11
    assert float(result.water_permeance) == pytest.approx(permeance, rel=1e-3)
    surface_tension = 16e-3
    pressure = 2 * surface_tension / (8.3 * nm) / 1e5
    assert float(result.bubble_point_pressure) == pytest.approx(pressure)


@pytest.mark.slow
def test_the_stokes_flow_of_the_emptied_tubes(bundle_run, tmp_path):
    run = bench_of(bundle()[0], tmp_path, "flow: stokes")
    network, stokes = curves(bundle_run), curves(run)
    np.testing.assert_allclose(stokes.wet_fraction, network.wet_fraction, atol=0.02)
    assert float(scalars(run).mean_flow_pore_radius) == pytest.approx(6 + OFFSET)


def test_a_neck_decides_the_wet_flow(tmp_path):
    """A tube of radius 8 whose neck of radius 4 is 8 of 40 planes long."""
    shape = (40, 21, 21)
    pores = tubes(shape, [(8, 10, 10)])
    pores[16:24] &= tubes(shape, [(4, 10, 10)])[16:24]
    run = bench_of(pores, tmp_path)
    table = curves(run)
    assert float(scalars(run).bubble_point_radius) == pytest.approx(4 + OFFSET)
    assert not table.wet_fraction[table.entry_radius > 4].any()
    assert float(table.sel(entry_radius=4).wet_fraction) == pytest.approx(1, abs=0.04)
    before = pores[:16].sum() / pores.sum()
    assert float(table.sel(entry_radius=8).mercury_fraction) == pytest.approx(before, abs=0.04)  # less the corners


def test_a_dead_end_fills_without_flow(tmp_path):
    shape = (30, 15, 35)
    pores = tubes(shape, [(4, 7, 7)])
    z, y, x = np.indices(shape)
    pores |= ((z - 15) ** 2 + (y - 7) ** 2 < 4) & (x >= 7) & (x <= 19)
    pores |= (z - 15) ** 2 + (y - 7) ** 2 + (x - 25) ** 2 < 36
    table = curves(bench_of(pores, tmp_path))
    assert float(table.sel(entry_radius=4).wet_fraction) == pytest.approx(1, abs=0.04)
    assert float(table.sel(entry_radius=4).mercury_fraction) < 0.8
    assert float(table.sel(entry_radius=2).mercury_fraction) == pytest.approx(1, abs=0.03)


@pytest.fixture(scope="module")
def membrane():
    return GradedMembrane(depth=80, slices=40, width=48).volume() == 0


@pytest.fixture(scope="module")
def membrane_run(membrane, tmp_path_factory):
    return bench_of(membrane, tmp_path_factory.mktemp("membrane"), block_size=64)


def test_the_critical_path_is_that_of_labelling(membrane, membrane_run):
    squares = squared_distances(membrane)
    connecting = []
    for square in np.unique(squares[membrane]):
        labels, _ = ndimage.label(squares >= square)
        if np.intersect1d(labels[0][labels[0] > 0], labels[-1][labels[-1] > 0]).size:
            connecting.append(float(square))
    result = scalars(membrane_run)
    assert float(result.bubble_point_radius) == np.sqrt(max(connecting)) + OFFSET
    assert float(result.critical_pore_radius) == np.sqrt(max(connecting)) - 0.5


def test_curves_and_numbers_agree(membrane_run):
    result, table = scalars(membrane_run), curves(membrane_run)
    assert (np.diff(table.wet_fraction) >= -1e-9).all()  # radii fall
    assert (np.diff(table.mercury_fraction) >= 0).all()
    assert (table.mercury_fraction >= table.access_fraction).all()
    mean = float(result.mean_flow_pore_radius) - OFFSET
    assert float(table.sel(entry_radius=mean, method="nearest").wet_fraction) >= 0.5
    assert float(result.bubble_point_radius) > float(result.mean_flow_pore_radius)
    assert 0 < float(result.rejection_radius_90) <= float(result.bubble_point_radius)
    sieving = membrane_run.result["bench_rejection"].to_dataset().sieving_coefficient.isel(replicate=0).values
    assert ((sieving >= 0) & (sieving <= 1)).all()
    assert (np.diff(sieving) <= 1e-12).all()
    section = membrane_run.result["bench_section"].to_dataset().drainage_radius.values
    assert set(np.unique(section < 0)) == {False, True}


def test_solutes_wider_than_the_critical_path_are_all_rejected(membrane_run):
    """Their log reduction is infinite, not only large; that of smaller ones is finite."""
    table = membrane_run.result["bench_rejection"].to_dataset().isel(replicate=0)
    wider = table.solute_radius.values > float(scalars(membrane_run).bubble_point_radius)
    assert {True, False} == set(wider.tolist())
    assert (table.sieving_coefficient.values[wider] == 0).all()
    assert (table.sieving_coefficient.values[~wider] > 0).all()


def bench_result(radii=(4.0, 4.0, 4.0), bottleneck=4.0, fallback=0.0):
    names = ("bubble_point_radius", "throat_number_median_radius", "throat_flow_median_radius")
    return SimpleNamespace(
        critical_square=bottleneck**2, open_planes=(0, 0), scalars=lambda: dict(zip(names, radii, strict=True)),
        flow={"slit_flow_fraction": 0.0, "fallback_flow_fraction": fallback}, settings=BenchSettings(enabled=True),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fallback", "sentence"), [(0.05, False), (0.06, "replicate 1: 6% of the flow is in throats whose conductance")]
)
def test_throats_of_a_formula_that_carry_much_of_the_flow_are_reported(fallback, sentence):
    text = " ".join(bench_findings({"replicate=0": None, "replicate=1": bench_result(fallback=fallback)}))
    assert ("the calibration of the network is weak" in text) == bool(sentence)
    assert not sentence or sentence in text


def test_what_is_true_of_several_volumes_is_one_sentence():
    """With the range of their values."""
    results = {
        "replicate=0": bench_result((4.0, 4.0, 8.0), bottleneck=1.5), "replicate=1": bench_result((6.0, 4.0, 8.0)),
        "replicate=2": bench_result((5.0, 4.0, 8.0), bottleneck=1.2), "reference": bench_result(bottleneck=0.0),
    }  # fmt: skip
    assert bench_findings(results) == [
        "Bench, reference: no path leads from the feed side to the filtrate: no bubble point.",
        "Bench, replicate 0, replicate 2: bottleneck of 1.2 to 1.5 voxels: radii ±0.3 voxel are ±20% to 25%; refine "
        "the volume.",
        "Bench, replicate 0, replicate 1, replicate 2: pressure methods see the critical path, not the population of "
        "throats: the bubble point is 1.00 to 1.50 of their median by number and 0.50 to 0.75 of that by flow.",
    ]
    assert bench_findings({"replicate=0": bench_result(bottleneck=1.5)})[0].startswith("Bench, the volume: bottleneck")


@pytest.mark.parametrize(
    ("block_size", "cluster"),
    # On demand: workers, which do not show in tests/studies/test_graded_study.py and tests/engine/test_execute.py.
    [(32, SYNC), pytest.param(45, {"workers": 2}, marks=pytest.mark.slow)],
    ids=str,
)
def test_results_do_not_depend_on_blocks_and_workers(membrane_run, values_of, tmp_path, block_size, cluster):
    study = md.load_study(membrane_run.path.parent / "study.yaml", block_size=block_size, cluster=cluster)
    run = md.run(study, tmp_path / "run")
    assert run.counts["bench_regions"] > 2
    assert values_of(run) == values_of(membrane_run)


def test_properties_and_bench_have_one_stokes_flow(membrane, membrane_run, values_of, tmp_path, monkeypatch):
    """The bench has the bits that it has without the flow, and the properties those that they have without a bench."""
    solved = []

    def counted(grid, tolerance):
        solved.append(tolerance)
        return stokes(grid, tolerance)

    monkeypatch.setattr(flow_tasks, "stokes", counted)
    monkeypatch.setattr(common_flow, "stokes", counted)
    both = values_of(bench_of(membrane, tmp_path / "both", flow={"enabled": True}))
    assert solved == [0.01, 0.05]  # the second is with the alternate wall model
    (tmp_path / "both" / "alone.yaml").write_text(STUDY + "flow: {enabled: true}\n")
    alone = values_of(md.run(md.load_study(tmp_path / "both" / "alone.yaml", cluster=SYNC), tmp_path / "alone"))
    assert both == values_of(membrane_run) | alone


@pytest.mark.slow
def test_a_run_resumes_after_a_killed_driver(membrane_run, values_of, kill_and_resume, tmp_path):
    path = membrane_run.path.parent / "short.yaml"
    path.write_text((membrane_run.path.parent / "study.yaml").read_text() + "block_size: 40\n")
    kill_and_resume(path, tmp_path / "run", after=14)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(membrane_run)


def test_a_study_without_a_bench_has_its_former_settings(tmp_path):
    np.save(tmp_path / "body.npy", np.zeros((20, 20, 20), np.uint8))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    assert "bench" not in md.load_study(path).model_dump()


def test_a_volume_without_a_path_has_no_bubble_point(membrane, tmp_path):
    pores = membrane[:40, :32, :32].copy()
    pores[20] = False
    run = bench_of(pores, tmp_path)
    result, table = scalars(run), curves(run)
    assert np.isnan(float(result.bubble_point_radius))
    assert float(result.permeability) == 0
    assert np.isnan(table.wet_fraction).all()
    assert float(table.mercury_fraction.max()) > 0
    assert any("no path leads" in text for text in run.result["properties"].attrs["summary"])


def test_slits_and_open_layers_are_reported(tmp_path):
    """Two slits of 4 voxels that cross each other every 24 voxels of the depth, behind an open layer."""
    pores = np.zeros((56, 40, 40), bool)
    pores[:, :, 10:14] = True
    pores[:, 20:24, 26:] = pores[:, 20:24, :10] = pores[:2] = True
    run = bench_of(pores, tmp_path)
    summary = " ".join(run.result["properties"].attrs["summary"])
    assert "2 open planes before the structure and 0 behind it" in summary


def test_mercury_and_bubble_point_need_no_flow(membrane, membrane_run, tmp_path):
    run = bench_of(membrane, tmp_path, "methods: [mercury]")
    assert "bench_flows" not in run.counts
    result, expected = scalars(run), scalars(membrane_run)
    for name in ("bubble_point_radius", "critical_pore_radius", "mercury_porosity"):
        assert float(result[name]) == float(expected[name])
    # The levels of the wet curve are among those of mercury.
    assert float(result.mercury_median_radius) == pytest.approx(float(expected.mercury_median_radius), rel=1e-12)
    for name in ("permeability", "mean_flow_pore_radius", "water_permeance", "gas_radius"):
        assert np.isnan(float(result[name]))
    assert [path.name for path in (run.path / "tables").iterdir()] == ["replicate-0-mercury.csv"]


def test_a_narrow_bottleneck_is_reported(tmp_path):
    pores = tubes((20, 16, 16), [(1.2, 8, 8), (6, 8, 8)])
    pores[8:12] = tubes((4, 16, 16), [(1.2, 8, 8)])
    run = bench_of(pores, tmp_path)
    assert any("bottleneck of 1.4 voxels" in text or "bottleneck of 1.0" in text
               for text in run.result["properties"].attrs["summary"])  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("bench: {readings: 10}", r"bench\.readings.*bench\.enabled: true"),
        ("bench: {enabled: true, contact_angle: 95}", r"bench\.contact_angle"),
        ("bench: {enabled: true, liquid: silwick}", r"bench\.liquid.*surface tension"),
        ("bench: {enabled: true, gas: {name: xenon}}", r"bench\.gas\.name.*not known"),
        ("bench: {enabled: true, gas: {mean_pressures: [1 bar]}}", r"mean_pressures.*two different"),
        ("bench: {enabled: true, methods: [entry pressure]}", r"entry\.contact_angle.*required"),
        ("bench: {enabled: true, entry: {contact_angle: 60}}", r"entry\.contact_angle"),
        ("bench: {enabled: true, rejection: {radii: [5 nm, 2 nm]}}", r"rejection\.radii.*rising"),
        ("bench: {enabled: true, methods: [water, water]}", r"bench\.methods.*once"),
        ("bench: {enabled: true, levels: 4}", r"bench\.levels.*flow: stokes"),
        ("bench: {enabled: true}\nflow: {lateral_boundary: periodic}", r"lateral_boundary.*bench"),
        ("bench: {enabled: true}\nflow: {refinement: 2}", r"refinement.*bench"),
    ],
)
def test_invalid_settings(tmp_path, lines, message):
    np.save(tmp_path / "body.npy", np.zeros((20, 20, 20), np.uint8))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + lines + "\n")
    with pytest.raises(md.StudyError, match=message):
        md.load_study(path)


def test_voxels_that_are_no_cubes_are_refused(membrane, tmp_path):
    np.save(tmp_path / "body.npy", np.where(membrane[:30, :30, :30], 0, 255).astype(np.uint8))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("1 nm", "[2 nm, 1 nm, 1 nm]") + "bench: {enabled: true}\n")
    with pytest.raises(md.StudyError, match=r"no cubes.*resample"):
        md.plan(md.load_study(path))


def test_replicates_of_another_size_are_refused(membrane, tmp_path):
    inputs = []
    for number, edge in enumerate((30, 32)):
        folder = tmp_path / str(number)
        folder.mkdir()
        np.save(folder / "body.npy", np.where(membrane[:edge, :30, :30], 0, 255).astype(np.uint8))
        (folder / "study.yaml").write_text(STUDY + "bench: {enabled: true}\n")
        study = md.load_study(folder / "study.yaml")
        inputs.append(InputVolumes.of(study, None))
    (first, second), porosities = (one.volumes[0] for one in inputs), [one.porosities[0] for one in inputs]
    other_voxels = replace(first, voxel_nm=2.0)
    for volumes in ([first, second], [first, other_voxels]):
        with pytest.raises(md.StudyError, match=r"input: replicates of the bench differ in shape or voxel size"):
            CharacterizeProgram(study, inputs=InputVolumes(volumes, porosities, 2))
    # A reference may have another size than the replicates.
    CharacterizeProgram(study, inputs=InputVolumes([first, second], porosities, 1))


@pytest.mark.parametrize(
    ("field", "lines", "setting"),
    [
        ("input", "", "pores"),
        ("reference", "", "pores"),
        ("input", "grey: {threshold: 300}\npores: bright\n", "grey.threshold"),
    ],
)
def test_a_volume_without_pores_is_refused(membrane, tmp_path, field, lines, setting):
    """Without a bench it has properties: see tests/studies/test_characterize_study.py."""
    body = np.where(membrane[:30, :30, :30], 0, 255).astype(np.uint16)
    np.save(tmp_path / "body.npy", body)
    np.save(
        tmp_path / "solid.npy", np.full_like(body, 255) if "grey" not in lines else body + np.arange(30, dtype="u2")
    )
    names = STUDY.replace("body.npy", "solid.npy") if field == "input" else f"{STUDY}reference: solid.npy\n"
    path = tmp_path / "study.yaml"
    path.write_text(names + lines + "bench: {enabled: true}\n")
    with pytest.raises(md.StudyError, match=rf"{field}: no voxel is a pore; check {setting} \(got .*solid"):
        md.plan(md.load_study(path))


def test_pores_between_the_sampled_planes_are_pores(tmp_path):
    body = np.full((40, 20, 20), 255, np.uint8)
    body[37] = 0
    np.save(tmp_path / "body.npy", body)
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + "bench: {enabled: true}\n")
    assert md.plan(md.load_study(path, cluster=SYNC)).program.porosities == [0.0]


@pytest.mark.parametrize(
    ("lines", "task", "advice"),
    [
        ("bench: {enabled: true}", "bench_flows", "use flow.slab_thickness: 64"),
        ("bench: {enabled: true, flow: stokes}", "bench_flows", "use bench.flow: network and use flow.slab_thickness"),
        ("bench: {enabled: true}\nflow: {slab_thickness: 16}", "bench_flows", "use bench.methods: [mercury]"),
        ("bench: {enabled: true, methods: [mercury]}", "bench_drainage", "use a block_size below 256"),
        ("flow: {enabled: true}", "flows", "use flow.slab_thickness: 64"),
        ("flow: {enabled: true}\nbench: {enabled: true}", "stokes_flow", "use flow.slab_thickness: 64"),
        ("flow: {enabled: true, slab_thickness: 16}", "flows", ""),
    ],
)
def test_a_task_with_too_little_memory_has_its_own_advice(membrane, tmp_path, lines, task, advice):
    np.save(tmp_path / "body.npy", np.where(membrane[:40, :30, :30], 0, 255).astype(np.uint8))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + lines + "\n")
    program = md.plan(md.load_study(path, cluster=SYNC)).program
    assert task in program.memory()
    assert program.memory_advice(task).startswith(advice)
    assert bool(program.memory_advice(task)) == bool(advice)


ALL_METHODS = (
    "methods: [capillary flow, liquid displacement, mercury, water, gas permeation, rejection, entry pressure], "
    "entry: {contact_angle: 118}"
)


@pytest.fixture(scope="module")
def tables_run(membrane, tmp_path_factory):
    return bench_of(membrane, tmp_path_factory.mktemp("tables"), ALL_METHODS)


def test_porometry_reads_all_tables_of_a_run(tables_run, tmp_path, monkeypatch):
    """Without a question; radii that a step decides lie in the bracket of its two readings."""
    for number in ("_FIRST", "_POINTS"):  # of the joint posterior, which this test does not read
        monkeypatch.setattr(importance_sampling, number, getattr(importance_sampling, number) // 8)
    names = sorted(path.name for path in (tables_run.path / "tables").iterdir())
    assert len(names) == 7
    path = tmp_path / "porometry.yaml"
    path.write_text(f"kind: porometry\ninput: {tables_run.path}\nbootstrap: {{draws: 0}}\n")
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    assert run.status()["state"] == "complete"
    result, truth = run.result["porometry"].to_dataset().isel(membrane=0), scalars(tables_run)
    assert str(result.membrane.values) == "replicate 0"
    for name in ("bubble_point_radius", "mean_flow_pore_radius"):
        assert float(result[f"{name}_low"]) <= float(truth[name]) <= float(result[f"{name}_high"])
    for name in ("bubble_point_pressure", "mean_flow_pore_pressure"):
        assert float(result[name]) == pytest.approx(float(truth[name]), rel=0.002)  # 0.1 % is the width of a step
    assert float(result.water_permeance) == pytest.approx(float(truth.water_permeance), rel=1e-6)
    assert float(result.mercury_median_radius) == pytest.approx(float(truth.mercury_median_radius), rel=0.05)
    assert float(result.gas_radius) == pytest.approx(float(truth.gas_radius), rel=0.01)
    assert float(result.gas_slope) == pytest.approx(float(truth.gas_slope), rel=0.01)
    entry = float(truth.liquid_entry_pressure)
    assert float(result.largest_pore_radius) == pytest.approx(float(truth.bubble_point_radius), rel=1e-6)
    assert entry == pytest.approx(2 * 71.97e-3 * 0.46947 / (float(truth.bubble_point_radius) * 1e-9) / 1e5, rel=1e-3)


def test_tables_repeat_the_steps_or_have_the_noise_of_an_instrument(membrane, tables_run, tmp_path):
    """Noise changes the tables, by as much as is set, and no result."""
    noisy = bench_of(membrane, tmp_path, f"{ALL_METHODS}, noise: {{flow: 0.01, pressure: 0.005}}, readings: 400")

    def read(run):
        path = run.path / "tables" / "replicate-0-capillary-flow.csv"
        return np.genfromtxt(path, delimiter=",", skip_header=9)

    exact, scattered = read(tables_run), read(noisy)
    wet = exact[:, 1] / exact[:, 2]
    steps = np.unique(np.round(wet, 6))
    opened = curves(tables_run).wet_fraction.values
    np.testing.assert_allclose(steps, np.unique(np.round(opened, 6)), atol=2e-6)
    assert (np.diff(exact[:, 0]) > 0).all()
    # The dry flow is linear in p (p + 2 atmospheres): what is left is the noise of the flow and of the pressure.
    pressure, dry = scattered[:, 0], scattered[:, 2]
    smooth = exact[0, 2] / (exact[0, 0] * (exact[0, 0] + 2 * 1.01325)) * pressure * (pressure + 2 * 1.01325)
    spread = np.std(dry / smooth)
    # Both terms of p add to the pressure's noise; of 400 readings the deviation is known to 3.5 %.
    assert spread == pytest.approx(np.hypot(0.01, 2 * 0.005), rel=0.15)
    same = scalars(noisy)
    for name, value in scalars(tables_run).items():
        np.testing.assert_array_equal(same[name], value)


def test_a_damaged_table_is_written_again(tables_run):
    path = tables_run.path / "tables" / "replicate-0-water.csv"
    text = path.read_text()
    path.write_text("")
    assert [str(fault.path) for fault in api.verify(tables_run.path)] == ["tables/replicate-0-water.csv"]
    md.run(tables_run.study, tables_run.path)
    assert path.read_text() == text


def test_a_run_without_tables_is_refused(membrane, tmp_path):
    run = bench_of(membrane[:40, :32, :32], tmp_path, "tables: false")
    path = tmp_path / "porometry.yaml"
    path.write_text(f"kind: porometry\ninput: {run.path}\n")
    with pytest.raises(md.StudyError, match=r"no tables of a bench.*bench\.enabled: true"):
        md.run(md.load_study(path), tmp_path / "porometry")


def test_the_report_shows_drainage_and_curves(tables_run):
    page = md.write_report(tables_run).read_text()
    for text in ("Virtual bench", "Drainage in the middle section", "half dry", "Stokes radius of a solute"):
        assert text in page
    assert page.count(" as CSV</a>") >= 4
    first = scalars(tables_run)
    assert f"{float(first.bubble_point_radius):.4g}" in page


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_what_does_not_percolate(membrane, tmp_path):
    pores = membrane[:40, :32, :32].copy()
    pores[20] = False
    page = md.write_report(bench_of(pores, tmp_path)).read_text()
    assert "no path leads from the feed side" in page
    assert "half dry" not in page


def random_pack(seed, size=64):
    """Overlapping spheres at random centres, 60 % solid."""
    rng = np.random.default_rng(seed)
    grid, pores = np.ogrid[:size, :size, :size], np.ones((size,) * 3, bool)
    while pores.mean() > 0.4:
        centre, radius = rng.uniform(0, size, 3), rng.uniform(8, 12)
        pores &= sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) >= radius**2
    return pores


def half_flow_radius(run):
    """Lattice radius at half of the dry flow, linear between the levels."""
    table = curves(run)
    radius, fraction = table.entry_radius.values, table.wet_fraction.values
    above = int(np.flatnonzero(fraction >= 0.5)[0])
    if not fraction[above - 1]:
        return radius[above]
    return float(np.interp(0.5, fraction[above - 1 : above + 1], radius[above - 1 : above + 1]))


def compare_network_with_stokes(pores, folder):
    """The network has the bubble point of the voxels, and the mean flow pore of the Stokes flow to 10 %."""
    network = bench_of(pores, folder / "network")
    stokes = bench_of(pores, folder / "stokes", "flow: stokes")
    assert float(scalars(network).bubble_point_radius) == float(scalars(stokes).bubble_point_radius)
    assert half_flow_radius(network) == pytest.approx(half_flow_radius(stokes), rel=0.1)
    assert float(scalars(network).network_permeability_ratio) == pytest.approx(1, abs=0.005)
    assert float(scalars(network).fallback_flow_fraction) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_mean_flow_pore_of_the_network_is_that_of_the_stokes_flow(seed, tmp_path):
    compare_network_with_stokes(random_pack(seed), tmp_path)


@pytest.mark.slow
def test_the_mean_flow_pore_of_a_rock(shared, tmp_path):
    with zipfile.ZipFile(shared / "data/berea.zip") as archive:
        rock = tifffile.imread(io.BytesIO(archive.read("berea.tif")))
    compare_network_with_stokes(rock[:128, :128, :128] == 0, tmp_path)
