"""Studies of voxels that are not cubes: what states their edges, and properties compared with those of cubes."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from strategies import pore_space

import membrane_dask as md

SYNC = {"profile": "sync"}
#: Edge of a body in nm, and its period.
SIZE, PERIOD = 48, 24
EDGES = [(2, 1, 1), (1, 1, 2), (3, 2, 1)]
CUBES = [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


def gyroid(edges):
    """Solid of a body with smooth walls at the centres of voxels with the given edges, nm."""
    axes = [2 * np.pi / PERIOD * (np.arange(SIZE // edge) + 0.5) * edge for edge in edges]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.sin(z) * np.cos(y) + np.sin(y) * np.cos(x) + np.sin(x) * np.cos(z) > -0.1


def study_of(folder, solid, lines, name="v"):
    np.save(folder / f"{name}.npy", solid)
    path = folder / f"{name}.yaml"
    path.write_text(f"kind: characterize\ninput: {name}.npy\nblock_size: 32\n{lines}\n")
    return path


def tables_of(folder, solid, lines, name="v"):
    study = md.load_study(study_of(folder, solid, lines, name), cluster=SYNC, execution={"retries": 0})
    run = md.run(study, folder / f"run-{name}")
    assert run.status()["state"] == "complete"
    return {key: group.to_dataset().load() for key, group in run.result.children.items()}


def voxel_size(edges):
    return f"voxel_size: [{', '.join(f'{edge} nm' for edge in edges)}]"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of the body by the edges of its voxels."""
    folder = tmp_path_factory.mktemp("bodies")
    return {
        edges: tables_of(folder, gyroid(edges), f"{voxel_size(edges)}\n{LINES}\n{FLOW}", f"v{number}")
        for number, edges in enumerate([*CUBES, *EDGES])
    }


LINES = "tolerance: 1e-3"
FLOW = "flow: {enabled: true, tolerance: 0.01, lateral_boundary: periodic}"
PROPERTIES = [
    "porosity",
    "specific_surface",
    "pore_radius_mean",
    "body_inscribed_radius_mean",
    "throat_radius_mean",
    "tortuosity_centroid",
    "tortuosity_geometric",
    "tortuosity_diffusive",
    "permeability",
    "permeability_upper_bound",
    "permeability_smooth_walls",
    "permeability_staircase_walls",
    "permeability_mobility_estimate",
    "tortuosity_hydraulic",
    "permeance",
]
#: Relative differences that depend on where the voxels lie in the body.
_POSITION = 0.03


@pytest.mark.parametrize("edges", EDGES, ids=str)
def test_properties_are_those_of_cubes(tables, edges):
    """The difference from fine cubes is no larger than that of cubes up to the longest edge: the resolution error."""
    properties = {key: table["properties"].isel(replicate=0) for key, table in tables.items()}
    fine, values = properties[CUBES[0]], properties[edges]
    coarse = [properties[cube] for cube in CUBES[1:] if cube[0] <= max(edges)]
    for name in PROPERTIES:
        error = max(abs(float(cubes[name] / fine[name]) - 1) for cubes in coarse)
        assert float(values[name]) == pytest.approx(float(fine[name]), rel=error + _POSITION), name
    assert tables[edges]["network_0"].extent.values.tolist() == [SIZE] * 3
    assert tables[edges]["network_0"].volume.sum() == pytest.approx(float(values.porosity) * SIZE**3)
    for axis, n, edge in zip("zyx", gyroid(edges).shape, edges, strict=True):
        positions = tables[edges]["profiles" if axis == "z" else "planes"][axis]
        np.testing.assert_allclose(positions, (np.arange(n) + 0.5) * edge)
    assert tables[edges]["local_porosity_0"].attrs["cell_edge_nm"] == pytest.approx(np.lcm.reduce(edges))


@pytest.fixture(scope="module")
def transport(tmp_path_factory):
    """Tables of a random body: in one piece, by slabs, and with its axes turned."""
    folder = tmp_path_factory.mktemp("transport")
    pores = pore_space((48, 24, 28), 1, 0.5, 2.0)
    size, turned = voxel_size((10, 20, 15)), voxel_size((20, 15, 10))
    retention = "retention: {enabled: true, diameter: 20 nm, diameters: [20 nm, 60 nm], particles: 20}"
    flow = "axes: [z, y, x]\ntortuosity: false\nflow: {enabled: true, tolerance: 0.01"
    return (
        tables_of(folder, ~pores, f"{size}\n{flow}}}\ntensors: sample\n{retention}", "whole"),
        tables_of(folder, ~pores, f"{size}\n{flow}, slab_thickness: 24, velocities: true}}\n{retention}", "slabs"),
        tables_of(folder, ~pores.transpose(1, 2, 0), f"{turned}\n{flow}}}\ntensors: sample", "turned"),
    )


def test_slabs_have_the_flow_of_the_volume(transport):
    whole, slabs, _ = transport
    # Lower bounds, whose errors are quadratic in those of the velocities; the others have the tolerance of velocities.
    tolerances = {"permeability_smooth_walls": 1e-3, "permeability_staircase_walls": 0.01, "tortuosity_hydraulic": 0.01}
    tolerances |= {"permeability_upper_bound": 0.01, "permeability_mobility_estimate": 0.02}
    for axis in "zyx":
        a, b = (tables["directional"].isel(replicate=0).sel(direction=axis) for tables in (whole, slabs))
        for name, tolerance in tolerances.items():
            assert float(b[name]) == pytest.approx(float(a[name]), rel=tolerance), name
    a, b = (tables["properties"].isel(replicate=0) for tables in (whole, slabs))
    assert float(b.critical_pore_radius) == float(a.critical_pore_radius) > 0
    assert float(b.log_reduction_value) == pytest.approx(float(a.log_reduction_value), abs=0.01)


def test_stored_velocities_are_in_metres_per_second(transport):
    """Their mean over the volume is the permeability times the pressure gradient over the viscosity."""
    slabs = transport[1]
    velocity, properties = slabs["velocity_0"].velocity, slabs["properties"].isel(replicate=0)
    assert [float(velocity[axis][0]) for axis in "zyx"] == [5, 10, 7.5]
    gradient = 210e3 / 480e-9
    mean = float(velocity.sel(component="z").mean())
    assert mean == pytest.approx(float(properties.permeability_smooth_walls) * gradient / 0.89e-3, rel=1e-4)
    speed = np.sqrt((velocity.isel(y=12).astype(float) ** 2).sum("component"))
    np.testing.assert_allclose(slabs["flow"].speed.isel(replicate=0), speed, rtol=1e-3, atol=1e-6 * float(speed.max()))


def test_a_turned_volume_has_the_same_bits_along_each_axis(transport):
    whole, _, turned = transport
    expected = whole["directional"].isel(replicate=0).sel(direction=["y", "x", "z"])
    for name, values in turned["directional"].isel(replicate=0).data_vars.items():
        np.testing.assert_array_equal(values.values, expected[name].values, err_msg=name)
    tensors, expected = (tables["tensors"].isel(replicate=0) for tables in (turned, whole))
    scale = float(expected.permeability_principal[0])
    permeability = expected.permeability_tensor.values[np.ix_([1, 2, 0], [1, 2, 0])]
    # The same averages; only the order of sums differs.
    np.testing.assert_allclose(tensors.permeability_tensor, permeability, atol=1e-9 * scale)


def test_three_equal_edges_are_one(tmp_path):
    solid = gyroid((3, 3, 3))
    first = md.load_study(study_of(tmp_path, solid, "voxel_size: 3 nm"))
    assert md.load_study(study_of(tmp_path, solid, "voxel_size: [3 nm, 0.003 um, 3 nm]")).voxel_size == 3
    assert first.voxel_size == 3
    other = md.load_study(study_of(tmp_path, solid, "voxel_size: [6 nm, 3 nm, 3 nm]"))
    assert other.voxel_size == (6, 3, 3)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("[3 nm, 3 nm]", "one length or three"),
        ("[3 nm, 3, 3 nm]", "a number with a unit is needed"),
        ("[3 nm, -1 nm, 3 nm]", "greater than 0"),
        ("[33 nm, 3 nm, 3 nm]", "longest edge may be at most 10 times the shortest"),
        ("[3 m, 3 nm, 3 nm]", r"of 3e\+09 nm \(by the study\) is no voxel"),
    ],
)
def test_invalid_edges(tmp_path, size, message):
    with pytest.raises(md.StudyError, match=f"voxel_size: .*{message}"):
        md.plan(study_of(tmp_path, gyroid((3, 3, 3)), f"voxel_size: {size}\n{LINES}"), measure=False)


def plan_rows(folder, lines):
    path = folder / "s.yaml"
    path.write_text(f"kind: characterize\ninput: v.tif\n{LINES}\n{lines}\n")
    return dict(md.plan(path, measure=False).program.summary)


def test_edges_by_the_file_and_by_the_study(tmp_path):
    """Edges of the file are used as they are; the study must agree with what the file states."""
    grey = np.where(gyroid((2, 1, 1)), 255, 0).astype("u1")
    options = {"imagej": True, "resolution": (1 / 5, 1 / 5)}
    tifffile.imwrite(tmp_path / "v.tif", grey, metadata={"unit": "nm", "spacing": 10, "axes": "ZYX"}, **options)
    rows = plan_rows(tmp_path, "")
    assert rows["replicate=0"].startswith("24 x 48 x 48 voxels of 10 x 5 x 5 nm")
    assert rows["voxel"].startswith("10 x 5 x 5 nm (z, y, x), ImageJ metadata; the volume has 0.24 x 0.24 x 0.24 um")
    assert "48 x 24 x 48 voxels of 5 x 10 x 5 nm" in plan_rows(tmp_path, "axis: yzx")["replicate=0"]
    assert plan_rows(tmp_path, "voxel_size: [10 nm, 5 nm, 5 nm]") == rows
    for size in ("5 nm", "[5 nm, 10 nm, 5 nm]"):
        with pytest.raises(md.StudyError, match=r"but .* has voxels of 10 x 5 x 5 nm \(ImageJ metadata\)"):
            plan_rows(tmp_path, f"voxel_size: {size}")
    # Without a distance of the planes, the study states it.
    tifffile.imwrite(tmp_path / "v.tif", grey, metadata={"unit": "nm", "axes": "ZYX"}, **options)
    with pytest.raises(md.StudyError, match=r"otherwise voxel_size: \[\.\.\., 5 nm, 5 nm\]"):
        plan_rows(tmp_path, "")
    assert "10 x 5 x 5 nm" in plan_rows(tmp_path, "voxel_size: [10 nm, 5 nm, 5 nm]")["replicate=0"]
    with pytest.raises(md.StudyError, match=r"is 10 x 4 x 5 nm, but .* has voxels of \? x 5 x 5 nm"):
        plan_rows(tmp_path, "voxel_size: [10 nm, 4 nm, 5 nm]")


def test_a_ratio_of_the_edges_must_agree(tmp_path):
    """A header without units states the ratio of the edges."""
    header = "NRRD0005\ntype: uint8\ndimension: 3\nsizes: 8 8 8\nencoding: raw\nspacings: 1 1 2\n\n"
    values = np.zeros((8, 8, 8), np.uint8)
    values[2:6, :, 3:] = 255
    (tmp_path / "v.nrrd").write_bytes(header.encode() + values.tobytes())
    study = tmp_path / "s.yaml"

    def plan(size):
        study.write_text(f"kind: characterize\ninput: v.nrrd\n{LINES}\n{size}\n")
        return dict(md.plan(study, measure=False).program.summary)["replicate=0"]

    with pytest.raises(md.StudyError, match=r"in this ratio: voxel_size: \[2 nm, 1 nm, 1 nm\]"):
        plan("")
    with pytest.raises(md.StudyError, match=r"is 4 nm, but .* has voxels of 2 x 1 x 1 of an unknown unit"):
        plan("voxel_size: 4 nm")
    assert plan("voxel_size: [8 nm, 4 nm, 4 nm]").startswith("8 x 8 x 8 voxels of 8 x 4 x 4 nm")


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ("grey: {threshold: 9, closing_radius: 2}", "grey.closing_radius"),
        ("tortuosity: false\ngrey: {threshold: 9, sigma: 1}", "grey.sigma"),
    ],
)
def test_what_needs_cubes_is_refused(tmp_path, lines, field):
    with pytest.raises(md.StudyError, match=rf"{field}: needs voxels that are cubes .*; resample the volume first, or"):
        md.plan(study_of(tmp_path, gyroid((2, 1, 1)), f"{voxel_size((2, 1, 1))}\n{lines}"), measure=False)


def test_exported_volumes_keep_their_edges(tmp_path):
    tables_of(tmp_path, gyroid((2, 1, 1)), f"{voxel_size((20, 10, 10))}\n{LINES}")
    for ending in ("vti", "tif"):
        path = tmp_path / f"volume.{ending}"
        md.export(tmp_path / "run-v", path, item="volume_0")
        (tmp_path / "s.yaml").write_text(f"kind: characterize\ninput: volume.{ending}\n{LINES}\n")
        rows = dict(md.plan(tmp_path / "s.yaml", measure=False).program.summary)
        assert rows["replicate=0"].startswith("24 x 48 x 48 voxels of 20 x 10 x 10 nm"), ending
