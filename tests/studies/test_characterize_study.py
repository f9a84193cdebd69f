"""The characterize study: any blocks and workers, a reference beside it, a real rock, what cannot be measured."""

from __future__ import annotations

import csv
import io
import itertools
import zipfile

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.studies.characterize import decomposed_tasks as slab_flow

SYNC = {"profile": "sync"}
FLOWING = """\
tortuosity: false
flow: {solve: true, pressure: 2.1 bar, tolerance: 0.02}
retention: {solve: true, diameter: 6 nm, diameters: [6 nm, 20 nm], temperature: 25 degC, particles: 40}
"""


@pytest.fixture(scope="module")
def membrane() -> np.ndarray:
    return GradedMembrane(depth=110, slices=70, width=90).volume()


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


@pytest.mark.parametrize(("block", "cluster"), [(32, SYNC), (50, {"workers": 2}), (64, {"workers": 1})], ids=str)
def test_blocks_and_workers_do_not_show(study, reference, values_of, tmp_path, block, cluster):
    run = md.run(md.load_study(study, block=block, cluster=cluster), tmp_path / "run")
    assert run.counts["blocks"] > 2
    assert values_of(run) == values_of(reference)


def test_a_killed_driver_loses_nothing(study, reference, values_of, kill_and_resume, tmp_path):
    short = study.with_name("short.yaml")
    short.write_text(study.read_text() + "block: 40\n")
    kill_and_resume(short, tmp_path / "run", after=5)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(reference)


def test_properties(reference, membrane):
    found = reference.result["properties"].to_dataset().isel(replicate=0)
    pores = membrane == 0
    labels, count = ndimage.label(pores)
    through = np.setdiff1d(np.intersect1d(labels[0], labels[-1]), [0])
    assert float(found.porosity) == pores.mean()
    assert float(found.connected_porosity) == np.isin(labels, through).mean()
    assert int(found.n_components) == count
    assert float(found.percolates) == 1
    for name in ("geometric", "centroid", "diffusive"):
        assert float(found[f"tortuosity_{name}"]) >= 1
    network = reference.result["network_0"].to_dataset()
    assert int(found.n_pores) == network.sizes["pore"]
    assert network.ends.dtype.kind == "i"
    inner = (network.ends[:, 1] >= 0).values
    assert int(found.n_throats) == inner.sum()
    assert float(found.throat_radius_mean) == pytest.approx(network.throat_equivalent_radius.values[inner].mean())
    assert float(network.volume.sum()) / 27 / pores.sum() == pytest.approx(1 - float(found.unassigned_share))
    sizes = reference.result["pore_sizes"].to_dataset().isel(replicate=0)
    assert float(sizes.share_wider[0]) == 1.0
    assert sizes.pore_radius.units == "nm"
    assert float(sizes.quarter_pore_radius_mean[3]) > 1.5 * float(sizes.quarter_pore_radius_mean[0])  # it is graded
    profile = reference.result["profiles"].to_dataset().isel(replicate=0)
    np.testing.assert_allclose(profile.porosity, pores.mean(axis=(1, 2)))
    assert (profile.connected_porosity <= profile.porosity).all()


def test_a_mirror_image_is_the_same_but_for_ties(reference):
    """Sums agree exactly; where voxels are equally far from the solid, one side is taken, and the other in a mirror."""
    apart = reference.result["difference"].to_dataset().isel(replicate=0)
    for name in ("porosity", "connected_porosity", "n_components", "pore_radius_mean", "specific_surface"):
        assert abs(float(apart[name])) < 1e-12
    for name in ("n_pores", "body_radius_mean", "throat_radius_mean", "coordination_number_mean"):
        assert abs(float(apart[name])) < 0.03
    assert abs(float(apart.tortuosity_geometric)) < 1e-3
    assert abs(float(apart.tortuosity_diffusive)) < 2e-3  # twice the tolerance of the flux


@pytest.fixture(scope="module")
def flowing(study, tmp_path_factory):
    path = study.with_name("flowing.yaml")
    path.write_text(study.read_text() + FLOWING)
    return md.run(md.load_study(path, cluster=SYNC), tmp_path_factory.mktemp("flowing") / "run")


def test_the_flow_through_a_volume(flowing, membrane):
    found = flowing.result["properties"].to_dataset().isel(replicate=0)
    k = float(found.permeability)
    grid = Grid.of(membrane == 0)
    flow = stokes(grid, 0.02)
    assert k == pytest.approx(flow.permeability * 9e-18, rel=1e-12)
    assert k <= float(found.permeability_upper) <= 1.02 * k * (1 + 1e-6)
    assert float(found.permeability_other_surface) < k  # edges hold the liquid back
    assert float(found.tortuosity_hydraulic) > 1
    assert float(found.flux_residual) < 1e-6
    # 0.89 mPa s over 330 nm, and 1 bar is 14.5038 psi.
    assert float(found.permeance) == pytest.approx(k / (0.89e-3 * 330e-9) * 1e3 * 3600 * 1e5)
    assert float(found.permeance_psi) == pytest.approx(float(found.permeance) / 14.5038, rel=1e-5)
    assert float(found.permeability_millidarcy) == pytest.approx(k / 9.869233e-16)
    # Mean of the middle section's speeds beside those of the whole: the same order, under the study's pressure.
    speed = flowing.result["flow"].speed.isel(replicate=0)
    superficial = k * 2.1e5 / 330e-9 / 0.89e-3
    assert superficial < float(speed.mean()) < 3 * superficial
    assert float(speed.where(membrane[:, 35] > 0).max()) == 0
    apart = flowing.result["difference"].to_dataset().isel(replicate=0)
    assert abs(float(apart.permeability)) < 1e-3
    page = md.write_report(flowing).read_text()
    assert f"The permeability is {k:.3g} m²" in page


def test_what_a_volume_holds_back(flowing):
    found = flowing.result["properties"].to_dataset().isel(replicate=0)
    curve = flowing.result["rejection"].to_dataset().isel(replicate=0)
    widest = 2 * float(found.critical_pore_radius)
    assert 10 < widest < 20
    sieved, stuck = curve.log_reduction_sieving.values, curve.log_reduction_first_touch.values
    assert sieved[0] == pytest.approx(float(found.log_reduction_value), rel=1e-4)
    assert stuck[0] > 10 * sieved[0] > 0
    assert np.isposinf([sieved[1], stuck[1]]).all()
    # Few balls show less than is true.
    assert float(found.log_reduction_value_bound) < float(found.log_reduction_value)
    caught = flowing.result["deposition"].caught.isel(replicate=0)
    assert float(caught.sum()) == pytest.approx(1)
    assert caught.values.argmax() == 0
    assert abs(float(flowing.result["difference"].log_reduction_value[0])) < 1e-3
    assert f"wider than {widest:.3g} nm find no way" in md.write_report(flowing).read_text()


@pytest.fixture(scope="module")
def by_slabs(study, tmp_path_factory):
    path = study.with_name("by_slabs.yaml")
    path.write_text(
        study.read_text().replace("reference: mirrored.npy\n", "")
        + FLOWING.replace("tolerance", "slab: 30, velocities: true, tolerance")
    )
    return md.run(md.load_study(path, cluster=SYNC), tmp_path_factory.mktemp("by_slabs") / "run")


def test_slabs_find_the_same_flow(flowing, by_slabs):
    assert by_slabs.counts["streams"] == 4
    whole, parts = (run.result["properties"].to_dataset().isel(replicate=0) for run in (flowing, by_slabs))
    for name in set(whole.data_vars) - {"flux_residual"}:
        # What the halo cuts off is far below the distance of the bounds, 0.02; mobilities are known to 0.03.
        np.testing.assert_allclose(parts[name], whole[name], rtol=5e-3, err_msg=name)
    assert float(parts.permeability) == pytest.approx(float(whole.permeability), rel=1e-4)
    assert float(parts.flux_residual) < 1e-6
    for name in ("flow", "rejection", "deposition"):
        for variable, values in whole_values(flowing, name).items():
            np.testing.assert_allclose(
                whole_values(by_slabs, name)[variable], values, rtol=0.05, atol=1e-6 + 1e-3 * top(values)
            )
    # What later rounds needed is of no more use.
    left = {path.name for path in (by_slabs.path / "scratch").iterdir()}
    assert "flows" in left
    assert not left & {"mobilities", "pressures", "velocities", "streams"}


def test_replaying_a_step_on_the_way(by_slabs):
    assert md.replay(by_slabs.path, "through,replicate=0")[1]
    with pytest.raises(md.StudyError, match="removed once a run is complete"):
        md.replay(by_slabs.path, "velocities,replicate=0,reading=0,round=0,slab=1")
    values, same = md.replay(by_slabs.path, "mobilities,replicate=0,reading=0,slab=1")
    assert values["min_eigenvalue"] > 0
    assert same is None


def test_velocities_are_kept(by_slabs, flowing, membrane):
    kept = by_slabs.result["velocity_0"].velocity
    assert kept.dims == ("component", "z", "y", "x")
    assert kept.units == "m s-1"
    assert float(kept.y[0]) == 1.5
    velocity = kept.values
    assert not velocity[:, membrane > 0].any()
    k = float(flowing.result["properties"].permeability[0])
    superficial = k * 2.1e5 / 330e-9 / 0.89e-3
    # In every plane, as what flows through the faces below and above does.
    np.testing.assert_allclose(velocity[0].mean(axis=(1, 2)), superficial, rtol=1e-4)
    speed = flowing.result["flow"].speed.isel(replicate=0).values
    np.testing.assert_allclose(
        np.sqrt((velocity[:, :, 35] ** 2).sum(axis=0)), speed, rtol=0.05, atol=1e-3 * speed.max()
    )


def whole_values(run, name):
    return {v: a.values for v, a in run.result[name].to_dataset().isel(replicate=0).data_vars.items()}


def top(values):
    return np.abs(values[np.isfinite(values)]).max(initial=0)


@pytest.mark.parametrize("settings", ["sides: periodic", "sides: wall, surface: voxels", "refine: 2, velocities: true"])
def test_slabs_of_any_flow(membrane, tmp_path, settings):
    np.save(tmp_path / "corner.npy", membrane[:64, :32, :32])
    found = []
    for slab in ("", ", slab: 16"):
        path = tmp_path / "flow.yaml"
        path.write_text(
            "kind: characterize\ninput: corner.npy\nvoxel_size: 3 nm\ntortuosity: false\n"
            f"flow: {{solve: true, {settings}{slab}}}\n"
        )
        run = md.run(md.load_study(path, cluster=SYNC), tmp_path / f"run{len(found)}")
        found.append(run.result["properties"].to_dataset().isel(replicate=0))
        if "velocities" in settings:  # in one slab, and in four
            forward = run.result["velocity_0"].velocity.sel(component="z").mean(("y", "x"))
            expected = float(found[-1].permeability) * 210e3 / (64 * 3e-9) / 0.89e-3
            np.testing.assert_allclose(forward, expected, rtol=1e-4)
    assert float(found[0].permeability) > 0
    for name in ("permeability", "permeability_upper", "permeability_other_surface", "tortuosity_hydraulic"):
        assert float(found[1][name]) == pytest.approx(float(found[0][name]), rel=2e-3)


def test_slabs_go_on_after_a_kill(by_slabs, study, values_of, kill_and_resume, tmp_path):
    kill_and_resume(study.with_name("by_slabs.yaml"), tmp_path / "run", after=30)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(by_slabs)


@pytest.mark.parametrize("slab", ["", ", slab: 30"])
def test_screening_alone(flowing, study, tmp_path, slab):
    path = study.with_name("screening.yaml")
    text = study.read_text().replace("reference: mirrored.npy\n", "")
    path.write_text(text + f"tortuosity: false\nflow: {{solve: true, method: screening{slab}}}\n")
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    found, flow = (one.result["properties"].to_dataset().isel(replicate=0) for one in (run, flowing))
    assert float(found.permeability_screening) == pytest.approx(float(flow.permeability_screening), rel=5e-3)
    assert 1.1 < float(found.permeability_screening) / float(flow.permeability) < 1.42  # as is known of it
    assert np.isnan(found.permeability)
    assert "1.1 to 1.4 times as high" in md.write_report(run).read_text()


def test_a_slab_that_fails_is_named(study, tmp_path, monkeypatch):
    def fails(*what):
        raise PhysicsError("no mobility today")

    monkeypatch.setattr(slab_flow, "slab_mobility", fails)
    path = study.with_name("by_slabs.yaml")
    path.write_text(study.read_text() + FLOWING.replace("tolerance", "slab: 30, tolerance"))
    run = md.run(md.load_study(path, cluster=SYNC, execution={"retries": 0, "failure_limit": 1}), tmp_path / "run")
    said = {failure["key"]: failure["error"] for failure in run.failures}
    assert "no mobility today" in said["mobilities,reference,reading=0,slab=3"]
    assert "mobilities,reference,reading=0,slab=0 was set aside" in said["flows,reference"]
    assert np.isnan(run.result["properties"].permeability).all()


def test_nothing_flows_through_a_wall(membrane, tmp_path):
    walled = membrane.copy()
    walled[50] = 255
    np.save(tmp_path / "walled.npy", walled)
    path = tmp_path / "walled.yaml"
    path.write_text(
        "kind: characterize\ninput: walled.npy\nvoxel_size: 3 nm\ntortuosity: false\n"
        "flow: {solve: true, velocities: true}\nretention: {solve: true}\n"
    )
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    assert not run.result["velocity_0"].velocity.values.any()
    found = run.result["properties"].to_dataset().isel(replicate=0)
    assert float(found.percolates) == float(found.permeability) == float(found.permeance) == 0
    assert np.isnan(found.tortuosity_hydraulic)
    assert np.isposinf(found.log_reduction_value)
    assert np.isposinf(run.result["rejection"].log_reduction_sieving).all()
    assert "The permeability is 0." in md.write_report(run).read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pressure: 210", "a number with a unit is needed"),
        ("pressure: -210 kPa", "must be greater than 0"),
        ("pressure: 3 nm", "not a quantity in units like 'Pa'"),
        ("viscosity: 0.89 mPa", "not a quantity in units like 'Pa s'"),
        ("sides: open", "symmetric"),
        ("refine: 0", "refine"),
        ("slab: 8", "must be at least 16"),
    ],
)
def test_a_flow_that_cannot_be_asked_for(study, line, words):
    path = study.with_name("wrong.yaml")
    path.write_text(study.read_text() + f"flow: {{solve: true, {line}}}\n")
    with pytest.raises(md.StudyError, match=words):
        md.load_study(path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("flow: {velocities: true}", "flow.velocities: needs the flow: set flow.solve: true as well"),
        ("retention: {solve: true}", "needs the flow: set flow.solve: true as well"),
        ("flow: {solve: true, method: screening}\nretention: {solve: true}", "must be stokes"),
        ("flow: {solve: true}\nretention: {temperature: 0 K}", "must be greater than 0"),
        ("flow: {solve: true}\nretention: {temperature: -300 degC}", "must be greater than 0"),
        ("flow: {solve: true}\nretention: {diameter: 20}", "a number with a unit is needed"),
        ("flow: {solve: true}\nretention: {diameters: [20 nm, 5 kPa]}", "not a quantity in units like 'nm'"),
        ("flow: {solve: true}\nretention: {collision: glue}", "sieve"),
    ],
)
def test_a_retention_that_cannot_be_asked_for(study, lines, words):
    path = study.with_name("wrong.yaml")
    path.write_text(study.read_text() + lines + "\n")
    with pytest.raises(md.StudyError, match=words):
        md.load_study(path)


@pytest.mark.parametrize("key", ["blocks,replicate=0,block=0", "networks,reference", "ways,replicate=0"])
def test_a_unit_replays_to_the_same_bits(reference, key):
    values, same = md.replay(reference.path, key)
    assert same
    assert values


def test_the_report(reference, tmp_path):
    page = md.write_report(reference, tmp_path / "page.html").read_text()
    for title in ("What it is", "With depth", "Pore sizes", "The network in numbers", "The network"):
        assert f">{title}<" in page
    assert page.count("<svg") == 4
    true = float(reference.result["reference_properties"].throat_radius_mean)
    assert f"{true:.4g}" in page
    assert "Pores reach from the feed side to the other." in page


def test_the_network_of_a_result(reference):
    group = reference.result["network_0"]
    network = md.pore_network(group)
    assert network.extent == pytest.approx((110 * 3e-9, 70 * 3e-9, 90 * 3e-9))
    np.testing.assert_allclose(network.junctions * 1e9, group.position.values)
    np.testing.assert_array_equal(network.throat_conns, group.ends.values)
    np.testing.assert_allclose(network.band_length.sum(axis=1), network.length)
    volume = network.bodies["volume"].sum() / np.prod(network.extent)
    held = 1 - float(reference.result["properties"].unassigned_share[0])
    assert volume == pytest.approx(float(reference.result["properties"].porosity[0]) * held)


def test_every_replicate_of_a_run(tmp_path):
    import imageio.v3 as iio

    iio.imwrite(tmp_path / "membrane.png", GradedMembrane(depth=96, slices=4, width=128).micrograph())
    (tmp_path / "make.yaml").write_text(
        "kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nreplicates: 2\n"
        "model: {knots: [0, 1]}\nsearch: {closing_radius: [0], roughness: [0], slices: 2}\n"
        "volume: {slices: 40, width: 48, block_size: 32}\n"
    )
    made = md.run(md.load_study(tmp_path / "make.yaml", cluster=SYNC), tmp_path / "made")
    path = tmp_path / "measure.yaml"
    path.write_text("kind: characterize\ninput: made\ntortuosity: false\n")
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    porosity = run.result["properties"].porosity
    assert porosity.sizes["replicate"] == 2
    np.testing.assert_allclose(porosity, made.result["structures"].volume_porosity)
    assert np.isnan(run.result["properties"].tortuosity_diffusive).all()
    assert "48 voxels of 3 nm, porosity" in str(md.plan(path))
    with pytest.raises(ValueError, match="network_0"):
        md.pore_network(run.result)
    # A study in place of its run is refused until it was run, with the command to be given.
    path.write_text("kind: characterize\ninput: make.yaml\ntortuosity: false\n")
    with pytest.raises(md.StudyError, match=r"first: membrane-dask run .*make\.yaml"):
        md.plan(path)
    path.write_text(f"kind: characterize\ninput: {run.path}\n")
    with pytest.raises(md.StudyError, match="of the kind characterize, which makes no volume"):
        md.plan(path)


def test_all_pore_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((40, 40, 40), np.uint8))
    (tmp_path / "one.yaml").write_text("kind: characterize\ninput: one.npy\nvoxel_size: 1 um\n")
    with pytest.raises(md.StudyError, match="no solid, in all planes that were looked at; see pores"):
        md.plan(tmp_path / "one.yaml")
    grey = np.random.default_rng(0).random((40, 40, 40))
    np.save(tmp_path / "one.npy", grey)
    (tmp_path / "one.yaml").write_text("kind: characterize\ninput: one.npy\nvoxel_size: 1 um\ngrey: {threshold: 110}\n")
    with pytest.raises(md.StudyError, match=r"see grey\.threshold"):
        md.plan(tmp_path / "one.yaml")
    grey[4, 3, 2] = np.nan
    np.save(tmp_path / "one.npy", grey)
    with pytest.raises(md.StudyError, match=r"yaml:2:1: input: the value at voxel .* is not finite"):
        md.plan(tmp_path / "one.yaml")


def test_all_solid(tmp_path):
    np.save(tmp_path / "one.npy", np.full((40, 40, 40), 255, np.uint8))
    (tmp_path / "one.yaml").write_text("kind: characterize\ninput: one.npy\nvoxel_size: 1 um\n")
    run = md.run(md.load_study(tmp_path / "one.yaml", cluster=SYNC), tmp_path / "run")
    found = run.result["properties"].to_dataset().isel(replicate=0)
    assert (float(found.porosity), float(found.percolates), float(found.n_pores)) == (0, 0, 0)
    for name in ("body_radius_mean", "tortuosity_geometric", "tortuosity_diffusive", "pore_radius_mean"):
        assert np.isnan(found[name])


def test_no_way_through(tmp_path):
    pores = np.zeros((40, 40, 40), bool)
    pores[:25, 10:20] = True
    np.save(tmp_path / "dead.npy", ~pores)
    (tmp_path / "dead.yaml").write_text("kind: characterize\ninput: dead.npy\nvoxel_size: 1 um\n")
    run = md.run(md.load_study(tmp_path / "dead.yaml", cluster=SYNC), tmp_path / "run")
    found = run.result["properties"].to_dataset().isel(replicate=0)
    assert float(found.percolates) == float(found.connected_porosity) == float(found.effective_diffusivity) == 0
    assert float(found.dead_end_porosity) == pores.mean()
    assert np.isnan(found.tortuosity_diffusive)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "voxel_size: required: a NumPy file has no voxel size"),
        ("voxel_size: 3", "a number with a unit is needed"),
        ("voxel_size: 3 nm\nblock: 8", "block"),
        ("voxel_size: 3 nm\npores: light", "pores"),
        ("voxel_size: 3 nm\ngrey: {sigma: 2}", "needs a threshold"),
        ("voxel_size: 3 nm\ngrey: {threshold: 3}\npores: 5", "must be dark or bright"),
        ("voxel_size: 3 nm\nconnectivity: 18", "connectivity"),
        ("voxel_size: 3 nm\nreference: nothing.npy", "no such file"),
    ],
)
def test_what_is_refused(study, tmp_path, words, message):
    (tmp_path / "bad.yaml").write_text(f"kind: characterize\ninput: {study.with_name('membrane.npy')}\n{words}\n")
    with pytest.raises(md.StudyError, match=message):
        md.plan(tmp_path / "bad.yaml")


def test_the_blocks_of_berea(shared, tmp_path):
    """Connected porosity of 14 blocks of a sandstone, as published with their permeability."""
    with zipfile.ZipFile(shared / "data/berea.zip") as archive:
        rock = tifffile.imread(io.BytesIO(archive.read("berea.tif")))
    with (shared / "data/berea_permeability_blocks_0-13.csv").open() as file:
        expected = {int(row["block"]): float(row["effective_porosity"]) for row in csv.DictReader(file)}
    corners = list(itertools.product((0, 128, 256), repeat=3))
    assert len(expected) == 14
    for number, porosity in expected.items():
        where = tuple(slice(c, c + 128) for c in corners[number])
        np.save(tmp_path / f"{number}.npy", rock[where])
        path = tmp_path / f"{number}.yaml"
        path.write_text(
            f"kind: characterize\ninput: {number}.npy\nvoxel_size: 5.345 um\ntortuosity: false\nblock: 64\n"
        )
        run = md.run(md.load_study(path, cluster=SYNC), tmp_path / f"run-{number}")
        found = run.result["properties"].to_dataset().isel(replicate=0)
        assert round(float(found.connected_porosity), 6) == porosity
