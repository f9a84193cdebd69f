"""Files of a result: their number is known before, and their metadata are consolidated at the end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import toy
import xarray as xr

import membrane_dask as md
from membrane_dask import api
from membrane_dask.digests import file_digest
from membrane_dask.engine import layout
from membrane_dask.engine.file_counts import result_files
from membrane_dask.engine.layout import METADATA, create_result, is_consolidated
from membrane_dask.errors import DataLossError, ReportError, StudyError
from membrane_dask.program import Dataset, Image, Program
from membrane_dask.schema import Coordinate, TableSchema, Variable

SYNC = {"profile": "sync"}


def files(root):
    return [p for name in ("result.zarr", "volumes") for p in (root / name).rglob("*") if p.is_file()]


def test_the_plan_states_the_number_of_files(tmp_path):
    plan = toy.toy_plan(cluster=SYNC, execution={"batch": 7})
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, execution={"batch": 7})
    following = {p for p in files(run.path) if "summary" in p.parts}  # a table that follows from finished units
    expected = len(set(files(run.path)) - following)
    assert result_files(plan.program, plan.batch) == expected
    assert f"in {expected} files" in dict(plan.rows())["result"]


class Images(Program):
    """Two images and an input table."""

    kind = "toy"

    def __init__(self):
        axes = tuple(Coordinate(axis, "nm", f"position along {axis}") for axis in "zyx")
        labels = {axis: np.arange(n) for axis, n in zip("zyx", (300, 10, 140), strict=True)}
        phase = TableSchema("phase", (Variable("phase", ("z", "y", "x"), "u1", "1", "phase"),), axes)
        speed = TableSchema("speed", (Variable("speed", ("z", "y", "x"), "f4", "m/s", "speed"),), axes)
        self.images = (Image(phase, labels, "y", 4, voxel_size_nm=5.0), Image(speed, labels, "z", 60))
        table = TableSchema(
            "input", (Variable("depth", ("point",), "f8", "nm", "depth"),), (Coordinate("point", "1", "point"),)
        )
        self.inputs = (Dataset(table, {"depth": np.arange(3.0)}),)


def test_chunks_of_images_are_counted(tmp_path):
    program = Images()
    create_result(tmp_path, program, {})
    import zarr

    for path in tmp_path.rglob("zarr.json"):  # every chunk of every array
        if json.loads(path.read_text())["node_type"] == "array":
            array = zarr.open_array(path.parent, mode="r+").with_config({"write_empty_chunks": True})
            array[...] = np.zeros(array.shape, array.dtype)
    assert result_files(program, {}) == len(files(tmp_path))


def test_metadata_are_consolidated_when_a_run_is_complete(tmp_path):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, limit=20)
    assert "consolidated_metadata" not in json.loads((run.path / METADATA).read_text())
    toy.run_toy(tmp_path / "run", cluster=SYNC)
    consolidated = json.loads((run.path / METADATA).read_text())["consolidated_metadata"]["metadata"]
    arrays = {str(p.parent.relative_to(run.path / "result.zarr")) for p in files(run.path) if p.name == "zarr.json"}
    assert set(consolidated) == arrays - {"."}
    with xr.open_datatree(run.path / "result.zarr", engine="zarr", consolidated=True, chunks=None) as tree:
        assert float(tree["summary/mean"][0]) == float(run.result["summary/mean"][0])
    assert api.verify_run(run.path, run.journal) == []


def test_a_run_can_be_opened_at_any_time_while_its_metadata_are_consolidated(tmp_path, monkeypatch):
    """The record of the layout is written after the metadata; a reader may come between."""
    study = {"cluster": SYNC, "raising": (3,), "switch": str(tmp_path / "healed"), "execution": {"retries": 0}}
    run = toy.run_toy(tmp_path / "run", **study)
    (tmp_path / "healed").touch()
    opened = []
    for name in ("consolidate_metadata", "remove_consolidated_metadata"):
        function = getattr(layout, name)

        def between(root, function=function, name=name):
            result = function(root)
            opened.append((name, run.result["summary/mean"].size > 0))
            return result

        monkeypatch.setattr(layout, name, between)
    toy.run_toy(tmp_path / "run", retry_failed=True, **study)
    assert opened == [("remove_consolidated_metadata", True), ("consolidate_metadata", True)]


def test_other_content_of_the_metadata_is_an_alteration(tmp_path):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC)
    content = json.loads((run.path / METADATA).read_text())
    content["attributes"]["title"] = "another"
    (run.path / METADATA).write_text(json.dumps(content))
    with pytest.raises(DataLossError, match=r"zarr\.json: altered"):
        run.result  # noqa: B018


def test_a_run_whose_record_has_the_digest_of_the_whole_metadata_verifies_and_is_resumed(tmp_path):
    """As earlier versions recorded it."""
    study = {"cluster": SYNC, "raising": (3,), "switch": str(tmp_path / "healed"), "execution": {"retries": 0}}
    run = toy.run_toy(tmp_path / "run", **study)
    path = run.path / "layout.json"
    record = json.loads(path.read_text())
    record["layout"][METADATA] = file_digest(run.path / METADATA)
    path.write_text(json.dumps(record))
    assert api.verify_run(run.path, run.journal) == []
    (tmp_path / "healed").touch()
    run = toy.run_toy(tmp_path / "run", retry_failed=True, **study)
    assert run.status()["state"] == "complete"
    assert run.result["summary/mean"].size
    assert json.loads(path.read_text())["layout"][METADATA] != file_digest(run.path / METADATA)


def test_work_on_a_complete_run_removes_and_renews_them(tmp_path, monkeypatch):
    switch = tmp_path / "healed"
    study = {"cluster": SYNC, "raising": (3,), "switch": str(switch), "execution": {"retries": 0}}
    run = toy.run_toy(tmp_path / "run", **study)
    assert run.status()["state"] == "failed"
    first = (run.path / METADATA).read_bytes()
    switch.touch()
    states = []
    collect = toy.ToyProgram.collect
    monkeypatch.setattr(
        toy.ToyProgram, "collect",
        lambda *a: states.append(is_consolidated(run.path)) or collect(*a),
    )  # fmt: skip
    run = toy.run_toy(tmp_path / "run", retry_failed=True, **study)
    assert run.status()["state"] == "complete"
    assert states == [False]
    assert (run.path / METADATA).read_bytes() == first  # the same groups and arrays
    assert api.verify_run(run.path, run.journal) == []


@pytest.mark.parametrize("url", ["s3://bucket/run", "s3:/bucket/run", "https://example.org/run", "memory://run"])
def test_a_url_is_no_run_directory(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"out: a run needs a directory .*membrane-dask export RUN URL"):
        md.run(toy.toy_plan(cluster=SYNC), url)
    with pytest.raises(StudyError, match=r"out: a run needs a directory .*\(got '[a-z0-9]+://"):
        api.prepare(toy.toy_plan(cluster=SYNC), Path(url))
    assert not list(tmp_path.iterdir())


def test_a_url_is_no_file_either(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    run = toy.run_toy(tmp_path / "run", cluster=SYNC)
    with pytest.raises(ReportError, match="a report is written to a file of this machine"):
        md.write_report(run, "s3://bucket/report.html")
    said = command("demo", "porometry", "--no-open", "--to", "s3://bucket/demo", cwd=tmp_path)
    assert said.returncode == 2
    assert "to: must be a folder of this machine (got 's3://bucket/demo')" in said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
