"""Transport along several axes and its tensors in a study; volumes of little or no transport have an answer."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import pore_space

import membrane_dask as md
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.representative_volume import box_windows
from membrane_dask.physics.stokes.box_permeability import box_permeabilities
from membrane_dask.physics.stokes.permeability_tensor import permeability_tensor
from membrane_dask.program import UnitFailed
from membrane_dask.studies.characterize import flow_tasks, retention_tasks
from membrane_dask.studies.characterize.program import CharacterizeProgram
from membrane_dask.studies.characterize.report import _percolation_text
from membrane_dask.studies.characterize.transport_report import tensor_section
from membrane_dask.studies.volume_flow.decomposed_flow import DecomposedFlow
from membrane_dask.studies.volume_flow.flow_grid import ALTERNATE_TOLERANCE
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

SYNC = {"profile": "sync"}


def run_study(folder, pores, lines, name="study"):
    """Run a characterize study of a pore space, by the lines of its study file."""
    np.save(folder / f"{name}.npy", ~pores)
    path = folder / f"{name}.yaml"
    path.write_text(f"kind: characterize\ninput: {name}.npy\nvoxel_size: 1 um\nblock_size: 32\n{lines}\n")
    run = md.run(md.load_study(path, cluster=SYNC, execution={"retries": 0}), folder / f"run-{name}")
    assert run.status()["state"] == "complete"
    return run


def table(run, name):
    return run.result[name].to_dataset().load().isel(replicate=0)


@pytest.fixture(scope="module")
def pores():
    return pore_space((28, 24, 20), 1, 0.45, 1.8)


@pytest.fixture(scope="module")
def along_axes(pores, tmp_path_factory):
    lines = "axes: [x, z, y]\ntensors: sample\nflow: {enabled: true, tolerance: 0.02}\n"
    return run_study(tmp_path_factory.mktemp("axes"), pores, lines)


def test_every_axis_has_the_values_of_the_volume_stored_along_it(along_axes, pores, tmp_path):
    directional = table(along_axes, "directional")
    assert directional.direction.values.tolist() == ["z", "y", "x"]
    assert (directional.permeability > 0).all()
    assert (directional.permeability_upper_bound >= directional.permeability_smooth_walls).all()
    assert (directional.permeability_low < directional.permeability).all()
    assert (directional.permeability < directional.permeability_high).all()
    assert (directional.tortuosity_diffusive > 1).all()
    lower, diffusivity = directional.effective_diffusivity_lower_bound, directional.effective_diffusivity
    assert ((lower < diffusivity) & (lower * (1 + 1e-3) >= diffusivity)).all()  # the tolerance of the study
    # The depth has the values of a study without other axes.
    properties = table(along_axes, "properties")
    for name in directional.data_vars:
        assert float(directional[name].sel(direction="z")) == float(properties[name])
    rotated = run_study(tmp_path, pores.transpose(1, 2, 0), "flow: {enabled: true, tolerance: 0.02}\n")
    assert "directional" not in rotated.result.children
    properties = table(rotated, "properties")
    for name in directional.data_vars:  # bit for bit
        assert float(directional[name].sel(direction="y")) == float(properties[name]), name


def test_a_rotated_volume_has_the_same_bits_along_each_axis(along_axes, pores, tmp_path):
    lines = "axes: [z, y, x]\ntensors: sample\nflow: {enabled: true, tolerance: 0.02}\n"
    rotated = run_study(tmp_path, pores.transpose(2, 0, 1), lines)
    expected = table(along_axes, "directional").sel(direction=["x", "z", "y"])
    for name, values in table(rotated, "directional").data_vars.items():
        np.testing.assert_array_equal(values.values, expected[name].values, err_msg=name)
    tensors, expected = table(rotated, "tensors"), table(along_axes, "tensors")
    order = np.ix_([2, 0, 1], [2, 0, 1])
    for name in ("permeability", "diffusivity"):
        scale = float(expected[f"{name}_principal"][0])
        # The same averages; only the order of sums differs.
        np.testing.assert_allclose(
            tensors[f"{name}_tensor"], expected[f"{name}_tensor"].values[order], atol=1e-9 * scale
        )


def test_tensors_of_the_sample_and_their_report(along_axes):
    tensors, directional = table(along_axes, "tensors"), table(along_axes, "directional")
    for name, along in (("permeability", directional.permeability), ("diffusivity", directional.effective_diffusivity)):
        tensor = tensors[f"{name}_tensor"].values
        np.testing.assert_array_equal(tensor, tensor.T)
        # Forces between the other faces change what a flow along an axis would be without them, by little here.
        np.testing.assert_allclose(np.diag(tensor), along, rtol=0.3)
        assert (np.diff(tensors[f"{name}_principal"]) <= 0).all()
        assert 0 < float(tensors[f"{name}_tensor_asymmetry"]) < 1
    upper, tensor = (np.diag(tensors[f"permeability_tensor{end}"]) for end in ("_upper_bound", ""))
    assert (upper >= tensor).all()
    np.testing.assert_allclose(upper, tensor, rtol=0.03)  # 0.02 for each flow
    assert tensors.diffusivity_tensor_upper_bound.isnull().all()
    directions = tensors.permeability_principal_direction
    assert directions.dims == ("principal", "component")
    np.testing.assert_allclose((directions**2).sum("component"), 1)
    page = md.write_report(along_axes).read_text()
    assert "solution for the permeability on this grid" in page
    assert "solution for the effective diffusivity" not in page  # it has no bounds
    for text in (">Transport along the axes<", ">Transport tensors<", "principal permeability", "volume averages"):
        assert text in page
    assert md.replay(along_axes.path, "tensors,replicate=0")[1]
    assert md.replay(along_axes.path, "flows,replicate=0,axis=x")[1]


def test_tensors_of_a_periodic_medium(pores, tmp_path):
    run = run_study(tmp_path, pores, "tensors: periodic\nflow: {enabled: true, tolerance: 0.02}\n")
    tensors, expected = table(run, "tensors"), permeability_tensor(pores, "smooth", 0.02)
    np.testing.assert_allclose(tensors.permeability_tensor, expected.lower * 1e-12, rtol=1e-12)
    np.testing.assert_allclose(tensors.permeability_tensor_upper_bound, expected.upper * 1e-12, rtol=1e-12)
    assert (np.diag(tensors.diffusivity_tensor) > 0).all()
    assert "repeats the volume along all axes" in tensor_section(run.result["tensors"].to_dataset()).text


def test_axes_by_slabs(pores, tmp_path):
    tall = np.concatenate([pores] * 2)
    lines = "axes: [z, y, x]\ntensors: sample\ntortuosity: false\nflow: {enabled: true"
    one_piece = run_study(tmp_path, tall.transpose(2, 0, 1), lines + "}", "whole")
    whole = table(one_piece, "directional")
    slabs = run_study(tmp_path, tall.transpose(2, 0, 1), lines + ", slab_thickness: 20, velocities: true}", "slabs")
    assert "velocity_0" in slabs.result.children  # along the depth
    assert md.replay(slabs.path, "percolating,replicate=0,axis=y")[1]
    by_slabs = table(slabs, "directional")
    names = ("", "_upper_bound", "_smooth_walls", "_staircase_walls")
    for name in (f"permeability{suffix}" for suffix in names):
        # Each is known to 0.01, and its lower bound mostly to a tenth of that.
        np.testing.assert_allclose(by_slabs[name], whole[name], rtol=5e-3)
    tensor = table(one_piece, "tensors").permeability_tensor.values
    np.testing.assert_allclose(table(slabs, "tensors").permeability_tensor, tensor, atol=5e-3 * tensor.max())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("axes: [y, x]", "must name each axis once, and z among them"),
        ("axes: [z, z]", "must name each axis once"),
        ("axes: []", "must name each axis once"),
        ("axes: [z, w]", "axes"),
        ("tensors: periodic\ntortuosity: false", r"needs tortuosity: true \(diffusivity\)"),
        ("tensors: periodic\nflow: {enabled: true, method: mobility_estimate}", "flow.method: stokes"),
        ("tensors: sample", r"sample needs axes: \[z, y, x\] \(got \[z\]\)"),
    ],
)
def test_invalid_axes(tmp_path, lines, message):
    np.save(tmp_path / "volume.npy", np.zeros((4, 4, 4), bool))
    (tmp_path / "study.yaml").write_text(f"kind: characterize\ninput: volume.npy\nvoxel_size: 1 um\n{lines}\n")
    with pytest.raises(md.StudyError, match=message):
        md.load_study(tmp_path / "study.yaml")


def dead_ends(shape=(24, 16, 18)):
    """Two ducts, one open at each face, which do not meet."""
    pores = np.zeros(shape, bool)
    pores[:14, 3:7, 3:7] = True
    pores[10:, 9:13, 9:13] = True
    return pores


def walled(where, shape=(24, 16, 18)):
    pores = pore_space(shape, 0, 0.6, 1.5)
    pores[where] = False
    return pores


NOT_PERCOLATING = {
    "dead ends": dead_ends,
    "wall at the feed": lambda: walled(0),
    "wall inside": lambda: walled(11),
    "isolated pores": lambda: np.pad(pore_space((18, 12, 12), 0, 0.6, 1.5), 2)[:, :, :16],
    "across edges only": lambda: np.indices((24, 16, 18)).sum(axis=0) % 2 == 0,
}


@pytest.mark.parametrize("name", NOT_PERCOLATING)
def test_volumes_through_which_nothing_passes(name, tmp_path):
    lines = (
        "flow: {enabled: true, pressure: 1 bar%s}\n"
        "retention: {enabled: true, diameter: 100 nm, diameters: [100 nm, 1 um], particles: 10}\n"
    )
    slabs = ", slab_thickness: 16, refinement: 2, lateral_boundary: no_slip" if name == "dead ends" else ""
    run = run_study(tmp_path, NOT_PERCOLATING[name](), lines % slabs)
    properties = table(run, "properties")
    for quantity in (
        "percolates", "permeability", "permeability_low", "permeability_high", "permeability_upper_bound",
        "permeability_smooth_walls", "permeability_staircase_walls", "permeance",
        "permeability_network_inscribed", "permeability_network_equivalent", "effective_diffusivity",
    ):  # fmt: skip
        assert float(properties[quantity]) == 0, quantity
    assert np.isposinf(properties.log_reduction_value)
    assert np.isposinf(table(run, "rejection").log_reduction_reflecting).all()
    finding = (
        "The volume: no pores percolate from the feed side to the filtrate across faces of voxels, so that "
        "permeability and effective diffusivity are 0."
    )
    assert run.result["properties"].attrs["summary"] == [finding]
    assert finding in str(run)


def test_pores_that_percolate_across_corners_only_pass_nothing(tmp_path):
    lines = "connectivity: 26\ntortuosity: false\nflow: {enabled: true, lateral_boundary: periodic}"
    run = run_study(tmp_path, NOT_PERCOLATING["across edges only"](), lines)
    properties = table(run, "properties")
    assert (float(properties.percolates), float(properties.permeability)) == (1, 0)
    assert float(properties.permeability_network_equivalent) == 0
    assert "permeability is 0" in run.result["properties"].attrs["summary"][0]


def test_a_path_across_periodic_faces_only(tmp_path):
    pores = np.zeros((24, 12, 12), bool)
    pores[:14, 3:7, :3] = pores[10:, 3:7, -3:] = True
    run = run_study(tmp_path, pores, "tortuosity: false\nflow: {enabled: true, lateral_boundary: periodic}")
    properties = table(run, "properties")
    assert float(properties.percolates) == 0
    assert float(properties.permeability) > 0
    assert "summary" not in run.result["properties"].attrs
    assert "the permeability is 0" not in _percolation_text(run.result["properties"].to_dataset())


def test_two_chambers_with_a_narrow_neck(tmp_path):
    pores = np.zeros((30, 20, 20), bool)
    pores[:13, 1:-1, 1:-1] = pores[17:, 1:-1, 1:-1] = True
    pores[13:17, 10, 10] = True
    properties = table(run_study(tmp_path, pores, ""), "properties")
    assert float(properties.diffusion_flux_spread) <= 1e-3
    # Four voxels of neck and the spreading resistance of its ends carry almost all of the concentration difference.
    assert 4 < 30 / 400 / float(properties.effective_diffusivity) < 6
    assert float(properties.tortuosity_geometric) < 1.2


def test_a_plate_between_open_liquid(tmp_path):
    pores = np.ones((64, 24, 24), bool)
    pores[29:35] = False
    pores[29:35, 10:14, 10:14] = True
    properties = table(run_study(tmp_path, pores, "flow: {enabled: true}"), "properties")
    assert float(properties.porosity) == pores.mean()
    assert float(properties.permeability) > 0
    np.save(tmp_path / "open.npy", np.zeros((64, 24, 24), bool))
    (tmp_path / "open.yaml").write_text("kind: characterize\ninput: open.npy\nvoxel_size: 1 um\n")
    with pytest.raises(md.StudyError, match="has no solid in any of its planes"):
        CharacterizeProgram(md.load_study(tmp_path / "open.yaml"))


def test_permeability_does_not_depend_on_the_alternate_wall_model_and_the_retention(pores, tmp_path, monkeypatch):
    solve = flow_tasks.stokes

    def without_alternate(grid, tolerance):
        if tolerance == ALTERNATE_TOLERANCE:
            raise PhysicsError("bounds")
        return solve(grid, tolerance)

    def without_retention(*arguments):
        raise PhysicsError("retention")

    lines = "tortuosity: false\nflow: {enabled: true}\nretention: {enabled: true, diameter: 1 nm, diameters: [1 nm]}"
    monkeypatch.setattr(flow_tasks, "stokes", without_alternate)
    monkeypatch.setattr(retention_tasks, "passage", without_retention)
    run = run_study(tmp_path, pores, lines)
    properties = table(run, "properties")
    assert 0 < float(properties.permeability) <= float(properties.permeability_upper_bound)
    assert float(properties.permeability) == float(properties.permeability_smooth_walls)
    missing = ("permeability_staircase_walls", "permeability_low", "permeability_high", "log_reduction_value")
    assert np.isnan([properties[name] for name in missing]).all()
    first, second = run.result["properties"].attrs["summary"]
    assert "the permeability with the other wall model did not converge" in first
    assert "the retention of at least one particle diameter did not converge" in second


def test_permeability_by_slabs_does_not_depend_on_the_alternate_wall_model():
    flow = DecomposedFlow(0, "replicate=0", 2, FlowSettings(enabled=True), (0, 0), "velocity_0")
    rounds = flow._alternate_solution(1000)
    assert [unit.params["wall"] for unit in next(rounds)] == [1, 1]
    with pytest.raises(StopIteration) as stop:
        rounds.throw(UnitFailed(["mobilities"]))
    assert stop.value.value == {}


@pytest.mark.usefixtures("undrawn")
def test_permeability_of_boxes(tmp_path):
    pores = pore_space((34, 33, 32), 1, 0.45, 1.8)
    lines = "tortuosity: false\nflow: {enabled: true, method: mobility_estimate, boxes: true}\n"
    run = run_study(tmp_path, pores, lines)
    boxes = table(run, "representative_volume")
    # Of cubes with an edge of 16 voxels there are 2 x 2 x 2; of larger ones, and of such columns, fewer than eight.
    name = "permeability_mobility_estimate"
    with_values = np.isfinite(boxes[f"{name}_mean"])
    has_value = np.isclose(boxes.box_edge.values, 16e3)  # nm
    assert with_values.sel(box="cube").values.tolist() == has_value.tolist()
    assert not with_values.sel(box="column").any()
    at = {"box": "cube", "box_edge": boxes.box_edge.values[has_value][0]}
    fields = ("mean", "low", "high", "deviation")
    mean, low, high, deviation = (float(boxes[f"{name}_{field}"].sel(at)) for field in fields)
    assert 0 <= low < mean < high
    values = box_permeabilities(pores, box_windows(pores.shape, (16, 16, 16))) * 1e-12
    assert mean == pytest.approx(values.mean(), rel=1e-12)
    assert deviation == pytest.approx(values.std(ddof=1), rel=1e-12)
    # The variance is inversely proportional to the volume.
    relative = values.std(ddof=1) / values.mean() * 1.6449 / 0.05
    edge = float(boxes[f"representative_edge_{name}"].sel(box="cube"))
    assert edge == pytest.approx(16e3 * relative ** (2 / 3), rel=1e-3)
    page = md.write_report(run, tmp_path / "report.html").read_text()
    assert "permeability (estimate from local mobilities)" in page


def test_boxes_need_the_flow(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((16, 16, 16), bool))
    (tmp_path / "s.yaml").write_text("kind: characterize\ninput: v.npy\nvoxel_size: 1 um\nflow: {boxes: true}\n")
    with pytest.raises(md.StudyError, match=r"flow.boxes: needs the flow"):
        md.load_study(tmp_path / "s.yaml")
