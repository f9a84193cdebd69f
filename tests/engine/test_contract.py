"""The contract of kinds and engine: declared tables, identity by results version, planning that runs nothing."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import membrane_dask
import membrane_dask as md
from membrane_dask.engine import layout, store
from membrane_dask.engine.present_names import under_present_names
from membrane_dask.errors import StudyError
from membrane_dask.program import Dataset, Image, Program, Table, Unit
from membrane_dask.schema import Coordinate, TableSchema, Variable, find_table, renamed_group
from membrane_dask.studies.registry import kinds
from membrane_dask.study_file import parse_study

X = Coordinate("x", "nm", "position")
FLUX = TableSchema("flux", (Variable("mean", ("x",), "f8", "m s-1", "mean flux"),), (X, Coordinate("n", "1", "number")))


def test_identity_holds_the_results_version_and_not_that_of_the_package(monkeypatch):
    study = parse_study({"kind": "graded"})
    identity = study.identity()
    monkeypatch.setattr(membrane_dask, "__version__", "99.0")
    assert study.identity() == identity
    monkeypatch.setattr(type(study), "results_version", type(study).results_version + 1)
    assert study.identity() != identity


def test_undeclared_variables_dimensions_and_names_cannot_be_written():
    with pytest.raises(KeyError, match="declares no variable 'median'"):
        Dataset(FLUX, {"median": np.zeros(2)})
    with pytest.raises(KeyError, match="declares no coordinate 'y'"):
        Dataset(FLUX, {"mean": np.zeros((2, 2))}, ("y",))
    with pytest.raises(KeyError, match="declares no coordinate 'y'"):
        Table(FLUX, ("n",), {"n": np.arange(2), "x": np.arange(2), "y": np.arange(2)})
    with pytest.raises(ValueError, match="cannot have the name 'velocity'"):
        Table(FLUX, ("n",), {"n": np.arange(2), "x": np.arange(2)}, name="velocity")
    with pytest.raises(ValueError, match="declares no coordinate for z"):
        TableSchema("t", (Variable("a", ("z",), "f8", "1", "a"),), (X,))
    with pytest.raises(ValueError, match="declares a more than once"):
        TableSchema("t", (Variable("a", (), "f8", "1", "a"), Variable("a", (), "i4", "1", "a")))


def test_each_dataset_has_its_own_labels(tmp_path):
    """Two tables may have different labels of one dimension."""
    zarr.create_group(tmp_path / "result.zarr")
    for name, labels in (("flux_0", [1.0, 2.0]), ("flux_1", [5.0, 6.0, 7.0])):
        schema = TableSchema("flux_*", FLUX.variables, FLUX.coordinates)
        values = {"mean": np.ones(len(labels))}
        layout.create_dataset(tmp_path / "result.zarr", Dataset(schema, values, (), {"x": np.array(labels)}, name=name))
        group = zarr.open_group(tmp_path / "result.zarr" / name)
        assert group["x"][:].tolist() == labels
        assert group["x"].attrs["units"] == "nm"


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (np.ones((2, 2)), [0.0, 1.0], r"has the shape \(2, 2\), declared are dimensions \('x',\)"),
        (np.array(["a", "b"]), [0.0, 1.0], "declared float64"),
        (np.ones(3), [0.0, 1.0], "has 3 entries along x, which has 2"),
    ],
)
def test_a_dataset_that_does_not_fit_its_declaration_is_refused(tmp_path, values, labels, message):
    zarr.create_group(tmp_path / "result.zarr")
    with pytest.raises(layout.ResultError, match=message):
        layout.create_dataset(tmp_path / "result.zarr", Dataset(FLUX, {"mean": values}, (), {"x": np.array(labels)}))


@pytest.mark.parametrize("axis", ["z", "y"])
def test_an_image_is_filled_slab_by_slab_along_its_axis(tmp_path, axis):
    coordinates = (Coordinate("z", "nm", "z"), Coordinate("y", "nm", "y"), X)
    schema = TableSchema("speed", (Variable("speed", ("z", "y", "x"), "f4", "m s-1", "speed"),), coordinates)
    labels = {"z": np.arange(5.0), "y": np.arange(7.0), "x": np.arange(3.0)}
    program = Program()
    program.images = (Image(schema, labels, axis, 2),)
    layout.create_result(tmp_path, program, {})
    sink = store.sinks(tmp_path, program, {})["speed"]
    whole = np.random.default_rng(0).random((5, 7, 3)).astype("f4")
    for number in range(program.images[0].unit_shape[0]):
        unit = Unit(f"speed,slab={number}", "speed", (number,), {}, (0,))
        slab = whole.take(range(2 * number, min(2 * number + 2, whole.shape["zyx".index(axis)])), "zyx".index(axis))
        with pytest.raises(layout.ResultError, match="planned float32"):
            sink.check(unit, {"speed": slab.astype("f8")})
        sink.write([unit], [sink.check(unit, {"speed": slab})])
        assert [digest for _, digest in store.unit_digests(sink, [unit])] == [store.digest({"speed": slab})]
    assert zarr.open_array(tmp_path / "result.zarr" / "speed" / "speed")[:].tobytes() == whole.tobytes()


def test_former_names_of_groups_and_variables():
    import xarray as xr

    tables = (
        TableSchema(
            "bootstrap_summary",
            (Variable("b", (), "f8", "1", "b"), Variable("a", (), "f8", "1", "a", formerly="alpha")),
            formerly="resampled",
        ),
        TableSchema("best_*", (Variable("value", (), "f8", "1", "value"),), formerly="optimum_*"),
    )
    assert renamed_group(tables[1], "optimum_throughput") == "best_throughput"
    assert renamed_group(tables[1], "best_throughput") == "best_throughput"
    assert find_table(tables, "optimum_x") is tables[1]
    assert find_table(tables, "unknown") is None
    tree = xr.DataTree.from_dict(
        {"/resampled": xr.Dataset({"alpha": 1.0, "b": 2.0}), "/optimum_x": xr.Dataset({"value": 3.0})}
    )
    present = under_present_names(tree, tables)
    assert list(present.children) == ["best_x", "bootstrap_summary"]  # in natural order
    assert list(present["bootstrap_summary"].data_vars) == ["b", "a"]  # in the order of the declaration
    assert float(present["bootstrap_summary"].a) == 1.0


def test_planning_runs_no_other_study(root, tmp_path, monkeypatch):
    """A study that reads from a study that was not run: planning says what to run and leaves no file."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="was not run yet; first: membrane-dask run"):
        md.plan(root / "configs" / "characterize-quickstart.yaml")
    assert list(tmp_path.iterdir()) == []


def test_all_kinds_declare_what_their_tables_need():
    for kind in kinds().values():
        names = [table.name for table in kind.schemas]
        assert len(set(names)) == len(names), kind.name
        for table in kind.schemas:
            for variable in table.variables:
                assert variable.long_name, (table.name, variable.name)
                assert variable.units or variable.dtype in ("T", ""), (table.name, variable.name)


def test_errors_of_a_study_survive_pickling():
    """They may be raised in another process."""
    import pickle

    from membrane_dask.errors import Problem, Source

    error = StudyError([Problem(("flow", "pressure"), "must be greater than 0")], Source("a.yaml", {("flow",): (3, 1)}))
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a.yaml:3:1: flow.pressure: must be greater than 0"


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_slabs_of_a_volume_are_whole_chunks_along_any_axis(tmp_path, axis):
    """Slabs are written at the same time: no chunk may belong to two of them."""
    coordinates = (Coordinate("z", "nm", "z"), Coordinate("y", "nm", "y"), X)
    phase = Variable("phase", ("z", "y", "x"), "u1", "1", "phase")
    labels = {"z": np.arange(150.0), "y": np.arange(140.0), "x": np.arange(160.0)}
    program = Program()
    program.images = (Image(TableSchema("body", (phase,), coordinates), labels, axis, 40, voxel_size_nm=1.0),)
    layout.create_result(tmp_path, program, {})
    array = zarr.open_array(layout.volume_path(tmp_path, "body") / "0")
    assert array.chunks["zyx".index(axis)] == 40
    sink = store.sinks(tmp_path, program, {})["body"]
    whole = np.random.default_rng(0).integers(0, 2, array.shape, np.uint8)
    for number in range(program.images[0].unit_shape[0]):
        slab = whole.take(range(40 * number, min(40 * number + 40, whole.shape["zyx".index(axis)])), "zyx".index(axis))
        unit = Unit(f"body,slab={number}", "body", (number,), {}, (0,))
        sink.write([unit], [sink.check(unit, {"phase": slab})])
    assert zarr.open_array(layout.volume_path(tmp_path, "body") / "0")[:].tobytes() == whole.tobytes()


def test_a_volume_of_another_form_is_refused():
    coordinates = (Coordinate("z", "nm", "z"), Coordinate("y", "nm", "y"), X)
    grey = TableSchema("grey", (Variable("grey", ("z", "y", "x"), "f4", "1", "grey"),), coordinates)
    labels = {"z": np.arange(3.0), "y": np.arange(3.0), "x": np.arange(3.0)}
    with pytest.raises(ValueError, match="an OME-Zarr volume is u1"):
        Image(grey, labels, "z", 1, voxel_size_nm=1.0)


def test_a_program_with_an_undeclared_table_is_refused_before_it_runs(monkeypatch):
    from membrane_dask.errors import ProgramError
    from membrane_dask.studies.graded.program import GradedProgram

    def with_another_table(self, study, source=None):
        self.tables = (Table(FLUX, ("n",), {"n": np.arange(2), "x": np.arange(2)}),)

    monkeypatch.setattr(GradedProgram, "__init__", with_another_table)
    with pytest.raises(ProgramError, match=r"the table .flux. is not declared"):
        kinds()["graded"].build(parse_study({"kind": "graded"}))
