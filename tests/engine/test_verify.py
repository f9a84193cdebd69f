"""What is missing or altered in a run is named, and computed again to the same bits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import zarr

import membrane_dask as md
from membrane_dask import api
from membrane_dask.engine.events import Message
from membrane_dask.engine.plan import make_plan
from membrane_dask.engine.run import Run, prepare
from membrane_dask.errors import DataLossError
from membrane_dask.program import Dataset, History, Image, Program, Rounds, Scratch, Table, Unit
from membrane_dask.report import write_report
from membrane_dask.schema import Coordinate, TableSchema, Variable

AXES = tuple(Coordinate(axis, "voxel", "position") for axis in "zyx")
NUMBERS = (Coordinate("number", "1", "number of the unit"), Coordinate("one", "1", "the only entry"))
BODY = TableSchema("body", (Variable("phase", ("z", "y", "x"), "u1", "1", "phase"),), AXES)
FIELD = TableSchema("field", (Variable("speed", ("z", "y", "x"), "f4", "m/s", "speed"),), AXES)
SUMS = TableSchema(
    "sums",
    (
        Variable("total", (), "f8", "1", "sum of random numbers"),
        Variable("nothing", (), "f8", "1", "always NaN", nullable=True),
    ),
    NUMBERS,
)
MEAN = TableSchema("mean", (Variable("mean", (), "f8", "1", "mean of all"),), NUMBERS)
SLABS, THICKNESS = 3, 40


class EveryStorage(Program):
    """Units of all kinds of storage, of which later ones read what earlier ones have left."""

    kind = "toy"

    def __init__(self, study: toy.ToyStudy) -> None:
        self.work = work
        self.context = {"failing": study.raising}
        labels = {axis: np.arange(130 if axis == "y" else SLABS * THICKNESS - 7) for axis in "zyx"}
        self.images = (
            Image(BODY, {**labels, "y": np.arange(SLABS * THICKNESS - 7)}, "y", THICKNESS, voxel_size_nm=2.0),
            Image(FIELD, {axis: np.arange(SLABS * 8) for axis in "zyx"}, "z", 8),
        )
        self.tables = (Table(SUMS, ("number",), {"number": np.arange(12)}, {}, 1.0),)
        self.scratch = (Scratch("kept", (12,)), Scratch("steps", (12,), temporary=True))
        self.inputs = (Dataset(MEAN, {"mean": np.array([7.0])}, ("one",), name="mean"),)

    def rounds(self) -> Rounds:
        for task, count in (("steps", 12), ("kept", 12), ("sums", 12), ("body", SLABS), ("field", SLABS)):
            yield [Unit(f"{task},{i}", task, (i,), {}, (i,)) for i in range(count)]

    def memory(self) -> Mapping[str, int]:
        return dict.fromkeys(("steps", "kept", "sums", "body", "field"), 1000)

    def collect(self, read: Any, history: History) -> Sequence[Dataset]:
        total = float(read("sums")["total"].sum())
        return [Dataset(TableSchema("all", MEAN.variables, NUMBERS), {"mean": np.array([total])}, ("one",))]


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    rng, number = np.random.default_rng(unit.seed), unit.index[0]
    if unit.task == "steps":
        return {"step": rng.random(50)}, {}
    if unit.task == "kept":
        return {"sums": context["scratch"].read("steps", (number,))["step"].cumsum()}, {}
    if unit.task == "sums":
        if number in context["failing"]:
            raise ArithmeticError("cannot be computed")
        total = context["scratch"].read("kept", (number,))["sums"][-1]
        return {"total": np.asarray(total), "nothing": np.asarray(np.nan)}, {}
    if unit.task == "body":
        planes = min(THICKNESS, SLABS * THICKNESS - 7 - number * THICKNESS)
        body = np.zeros((SLABS * THICKNESS - 7, planes, SLABS * THICKNESS - 7), "u1")
        body[: 20 * number] = 255  # the first slab is nothing but pores
        return {"phase": body}, {}
    return {"speed": rng.random((8, SLABS * 8, SLABS * 8)).astype("f4")}, {}


def execute(root: Path, *, limit: int | None = None, raising: tuple[int, ...] = ()) -> tuple[Run, list[str]]:
    """Run or resume the program of every storage; returns the messages."""
    fields: Any = {"cluster": {"profile": "sync"}, "execution": {"batch": 4, "retries": 0}}
    study = toy.ToyStudy.model_validate({"name": "toy", "raising": raising, **fields})
    plan = make_plan(study, EveryStorage(study))
    run = prepare(plan, root)
    events: list[Any] = []
    api.execute(run, plan, limit=limit, listener=events.append)
    return run, [event.text for event in events if isinstance(event, Message)]


def contents(run: Run) -> dict[str, bytes]:
    """Every file that holds results."""
    folders = ("result.zarr", "volumes", "scratch")
    paths = [path for folder in folders for path in (run.path / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(run.path)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return {
        "complete": execute(folder / "complete")[0],
        "partial": execute(folder / "partial", limit=41)[0],  # all but a slab
        "failed": execute(folder / "failed", raising=(5,))[0],
    }


def test_every_chunk_is_written(undisturbed):
    """Those of nothing but fill values as well: NaN in a table, pores in a volume and its coarser levels."""
    root = undisturbed["complete"].path
    for array_path in root.rglob("zarr.json"):
        if json.loads(array_path.read_text())["node_type"] == "array":
            array = zarr.open_array(array_path.parent, mode="r")
            assert array.nchunks_initialized == array.nchunks, array_path
    assert not zarr.open_array(root / "volumes/body.ome.zarr/0", mode="r")[:, :THICKNESS].any()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def swap(path: Path) -> None:
    folder = next((parent for parent in path.parents if parent.name == "c"), path.parent)
    other = next(p for p in sorted(folder.rglob("*")) if p.is_file() and p.read_bytes() != path.read_bytes())
    data = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(data)


DAMAGES = [flip, truncate, empty, remove, swap]
CHUNKS = ["result.zarr/sums/total/c/1", "scratch/kept/7.npz", "volumes/body.ome.zarr/0/c/0/1/0"]
FURTHER = {
    "result.zarr/sums/nothing/c/0": (flip, truncate, empty, remove),  # nothing but NaN
    "result.zarr/sums/status/c/1": (flip, truncate, empty, remove),
    "result.zarr/field/speed/c/1/0/0": (flip, remove, swap),
    "result.zarr/sums/number/c/0": (flip, empty, remove),
    "result.zarr/sums/total/zarr.json": (truncate, empty, remove),
    "result.zarr/sums/zarr.json": (truncate, remove),
    "result.zarr/zarr.json": (truncate, remove),
    "result.zarr/field/speed/zarr.json": (truncate, remove),
    "result.zarr/mean/mean/c/0": (flip, empty, remove),
    "volumes/body.ome.zarr/zarr.json": (truncate, remove),
    "volumes/body.ome.zarr/0/zarr.json": (empty, remove),
    "volumes/body.ome.zarr/0/c/0/0/0": (flip, empty, remove),  # nothing but pores
}
CASES = [(name, damage) for name in CHUNKS for damage in DAMAGES] + [
    (name, damage) for name, damages in FURTHER.items() for damage in damages
]


@pytest.mark.parametrize(("name", "damage"), CASES, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("state", ["complete", pytest.param("partial", marks=pytest.mark.slow)])
def test_what_is_damaged_is_named_and_computed_again(undisturbed, tmp_path, state, name, damage):
    shutil.copytree(undisturbed[state].path, tmp_path / "run")
    damage(tmp_path / "run" / name)
    faults = api.verify(tmp_path / "run")
    assert faults, "not noticed"
    named = {fault.path for fault in faults}
    assert any(name.startswith(path) for path in named), named
    run, messages = execute(tmp_path / "run")
    assert any(name.startswith(path) for path in named for message in messages if path in message), messages
    assert run.status()["state"] == "complete"
    assert contents(run) == contents(undisturbed["complete"])
    assert api.verify(run.path) == []


@pytest.mark.parametrize("name", ["result.zarr/all/mean/c/0", "volumes/body.ome.zarr/0/zarr.json", "layout.json"])
def test_tables_that_follow_from_units_and_the_record_itself_are_made_again(undisturbed, tmp_path, name):
    shutil.copytree(undisturbed["complete"].path, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    run, _ = execute(tmp_path / "run")
    assert contents(run) == contents(undisturbed["complete"])
    assert api.verify(run.path) == []


def test_labels_with_other_values_are_laid_out_again(undisturbed, tmp_path):
    """A valid chunk, as another program could have written it."""
    shutil.copytree(undisturbed["complete"].path, tmp_path / "run")
    zarr.open_array(tmp_path / "run/result.zarr/sums/number", mode="r+")[3] = 17
    with pytest.raises(DataLossError, match="sums/number/c/0: altered"):
        md.open_run(tmp_path / "run").result  # noqa: B018
    assert contents(execute(tmp_path / "run")[0]) == contents(undisturbed["complete"])


@pytest.mark.parametrize("damage", [flip, empty, remove])
def test_marks_of_failed_units_survive(undisturbed, tmp_path, damage):
    """The status of a failed unit stands in the chunk of finished ones."""
    shutil.copytree(undisturbed["failed"].path, tmp_path / "run")
    damage(tmp_path / "run/result.zarr/sums/status/c/1")
    run, _ = execute(tmp_path / "run", raising=(5,))
    assert run.status()["state"] == "failed"
    assert contents(run) == contents(undisturbed["failed"])


def test_a_driver_that_died_while_collecting_verifies_before_it_collects(undisturbed, tmp_path):
    shutil.copytree(undisturbed["complete"].path, tmp_path / "run")
    journal = next((tmp_path / "run/journal").iterdir())
    lines = journal.read_text().splitlines(keepends=True)
    assert "collected" in lines[-1]
    journal.write_text("".join(lines[:-1]))
    (tmp_path / "run/result.zarr/sums/total/c/0").unlink()
    run, messages = execute(tmp_path / "run")
    assert any(message.startswith("lost: ") for message in messages)
    assert contents(run) == contents(undisturbed["complete"])


@pytest.mark.parametrize(
    ("name", "opens"),
    [
        ("result.zarr/sums/nothing/c/2", lambda run: run.result),
        ("result.zarr/field/speed/c/2/0/0", lambda run: run.result),
        ("result.zarr/all/mean/zarr.json", lambda run: run.result),
        ("volumes/body.ome.zarr/0/c/0/0/0", lambda run: run.volume("body")),
        ("volumes/body.ome.zarr/0/zarr.json", lambda run: run.volume("body")),
    ],
)
@pytest.mark.parametrize("damage", [empty, remove])
def test_a_run_that_has_lost_a_file_is_not_opened(undisturbed, tmp_path, damage, name, opens):
    """The message names the file and the command that computes it again."""
    shutil.copytree(undisturbed["complete"].path, tmp_path / "run")
    damage(tmp_path / "run" / name)
    with pytest.raises(DataLossError, match=name.replace(".", r"\.")) as error:
        opens(md.open_run(tmp_path / "run"))
    assert f"membrane-dask run {tmp_path / 'run' / 'study.yaml'} --out {tmp_path / 'run'}" in str(error.value)


def test_an_unfinished_run_is_opened(undisturbed):
    """Chunks of open units are not missing."""
    run = undisturbed["partial"]
    assert np.isfinite(run.result["sums"]["total"]).all()
    assert not run.volume("body").isel(y=slice(0, THICKNESS)).any()
    assert api.verify(run.path) == []


def test_runs_of_earlier_versions_are_read_and_resumed(undisturbed, tmp_path):
    """Without a record of the layout, without indices in the journal, without chunks of nothing but fill values."""
    shutil.copytree(undisturbed["partial"].path, tmp_path / "run")
    (tmp_path / "run/layout.json").unlink()
    for path in (tmp_path / "run/journal").iterdir():
        records = [json.loads(line) for line in path.read_text().splitlines()]
        earlier = [{k: v for k, v in record.items() if k not in ("index", "task", "crc32")} for record in records]
        path.write_text("".join(json.dumps(record) + "\n" for record in earlier))
    shutil.rmtree(tmp_path / "run/result.zarr/sums/nothing/c")
    (tmp_path / "run/volumes/body.ome.zarr/0/c/0/0/0").unlink()
    assert np.isfinite(md.open_run(tmp_path / "run").result["sums"]["total"]).all()
    before = md.open_run(tmp_path / "run").status()["done"]
    (tmp_path / "run/result.zarr/sums/total/c/2").unlink()
    run, messages = execute(tmp_path / "run")
    assert [message for message in messages if "lost" in message] == [
        "lost: result.zarr/sums/total/c/2: missing (sums,8 and 3 more)"
    ]
    assert before == 41
    lost = {"result.zarr/sums/nothing/c/0", "result.zarr/sums/nothing/c/1", "volumes/body.ome.zarr/0/c/0/0/0"}
    expected = contents(undisturbed["complete"])
    assert contents(run) == {name: data for name, data in expected.items() if name not in lost}


def test_the_command_verify(undisturbed, tmp_path, command_here):
    root = tmp_path / "run"
    shutil.copytree(undisturbed["complete"].path, root)
    intact = command_here("verify", root)
    assert (intact.returncode, intact.stdout) == (0, "")
    assert "42 units are on disk as they were written" in intact.stderr
    flip(root / "result.zarr/sums/total/c/1")
    remove(root / "volumes/body.ome.zarr/0/c/0/2/0")
    altered = command_here("verify", root)
    assert altered.returncode == 1
    assert "result.zarr/sums/total/c/1" in altered.stdout
    assert "cannot be decoded" in altered.stdout
    assert "sums,4 and 3 more" in altered.stdout
    assert f"membrane-dask run {root / 'study.yaml'} --out {root}" in altered.stderr
    listed = json.loads(command_here("verify", root, "--json").stdout)
    assert {entry["problem"] for entry in listed} == {"missing", "cannot be decoded"}


def test_a_report_of_lost_values_is_refused(tmp_path):
    root = tmp_path / "run"
    study = {"kind": "graded", "bands": 2, "radius": 0.02, "l_max": 0.25, "gradient": [0.0, 0.01], "realizations": 4}
    run = md.run(_study(tmp_path, study), root)
    chunk = next(path for path in sorted((root / "result.zarr/graded/throughput/c").rglob("*")) if path.is_file())
    flip(chunk)
    with pytest.raises(DataLossError, match="throughput/c/0/0/0/0: cannot be decoded"):
        write_report(run)


def _study(folder: Path, study: dict[str, Any]) -> Path:
    (folder / "study.yaml").write_text(json.dumps({**study, "cluster": {"profile": "sync"}}))
    return folder / "study.yaml"
