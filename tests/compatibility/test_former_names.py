"""Study files and runs of earlier versions: read under the present names, with a warning for each former one."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from compare_runs import arrays_of, compare, difference, present_path

import membrane_dask as md
from membrane_dask.errors import StudyError
from membrane_dask.schema import find_table
from membrane_dask.studies.registry import find_kind, kinds
from membrane_dask.study_file import load_study, parse_cluster, to_yaml

FILES = Path(__file__).parent / "v0_1"
CONFIGS = Path(__file__).parents[2] / "configs"
FINISHED = sorted(FILES.glob("finished/*.zip"))
STUDIES = sorted([*FILES.glob("finished/*/user-study.yaml"), *FILES.glob("configs/*.yaml")])


#: Settings in place of those without an effect, which version 0.1 did not refuse.
WITHOUT_EFFECT = {"reconstruct-bayesian": ["search.roughness=[0, 0.1, 0.2]"]}


@pytest.fixture(scope="session")
def former_run(tmp_path_factory):
    """Unpack a finished run of version 0.1.0."""
    folder = tmp_path_factory.mktemp("v0_1")

    def unpack(archive: Path) -> Path:
        if not (folder / archive.stem).exists():
            with zipfile.ZipFile(archive) as files:
                files.extractall(folder)
        return folder / archive.stem

    return unpack


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: str(p.relative_to(FILES)))
def test_studies_of_0_1_are_read(path, tmp_path):
    if path.parent.name == "configs":  # inputs that are too large to be stored twice
        for source in (*FILES.glob("configs/*"), CONFIGS / "graded-membrane.tif", CONFIGS / "steady-membrane.png"):
            shutil.copy(source, tmp_path)
        path = tmp_path / path.name
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        study = load_study(path, WITHOUT_EFFECT.get(path.parent.name, []))
    assert all(issubclass(w.category, FutureWarning) and " is now " in str(w.message) for w in recorded)
    present = tmp_path / "present.yaml"
    present.write_text(to_yaml(study), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the present names cause none
        assert load_study(present).identity() == study.identity()


#: Defaults that have another value since.
DEFAULTS_OF_0_1 = {
    "reconstruct": {"segmentation": {"presmooth": 1, "median": 3}, "search": {"roughness": [0, 0.1, 0.2, 0.35]}},
    "porometry": {"decimal": ".", "temperature": "25 degC"},
}


@pytest.mark.parametrize("kind", ["characterize", "graded", "porometry", "reconstruct"])
def test_all_keys_of_0_1_are_read(kind, tmp_path):
    inputs = {"characterize": "volume.npy", "porometry": "flux.csv", "reconstruct": "image.png"}
    values = {}
    if kind in inputs:
        path = tmp_path / inputs[kind]
        path.touch()
        values["input"] = str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        study = load_study(FILES / "all-keys" / f"{kind}.yaml", **values)
    present = load_study_defaults(kind, values | DEFAULTS_OF_0_1.get(kind, {}))
    assert study.model_dump(exclude={"name"}) == present.model_dump(exclude={"name"})


def load_study_defaults(kind, values):
    """A study that sets nothing."""
    from membrane_dask.study_file import parse_study

    return parse_study({"kind": kind, **values})


def test_a_former_key_is_named_with_its_position(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("kind: graded\ncluster:\n  patience: 5 min\n", encoding="utf-8")
    with pytest.warns(FutureWarning, match=r"study\.yaml:3:3: cluster\.patience is now cluster\.worker_timeout"):
        assert load_study(path).cluster.worker_timeout == 300
    with pytest.warns(FutureWarning, match=r"--set cluster\.patience=2 s: cluster\.patience is now"):
        assert load_study(path, ["cluster.patience=2 s"]).cluster.worker_timeout == 2
    with pytest.warns(FutureWarning, match="worker_timeout"):
        assert parse_cluster("slurm", ["patience=2 s"]).worker_timeout == 2


def test_a_former_key_together_with_its_present_one_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("kind: graded\ncluster: {patience: 5 min, worker_timeout: 5 min}\n", encoding="utf-8")
    with pytest.raises(StudyError, match="is the former name of 'worker_timeout', which is given as well"):
        load_study(path)


def test_former_functions_warn():
    from membrane_dask.former_names import FUNCTIONS

    for former, present in FUNCTIONS.items():
        with pytest.warns(FutureWarning, match=f"membrane_dask.{former} is now membrane_dask.{present}"):
            assert getattr(md, former) is getattr(md, present)


@pytest.mark.parametrize("archive", FINISHED, ids=lambda p: p.stem)
def test_runs_of_0_1_open_under_the_present_names(archive, former_run):
    path = former_run(archive)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # the user did not write these names
        run = md.open_run(path)
        assert run.status()["state"] == "complete"
        result = run.result
        assert run.study.kind == run.kind
    tables = find_kind(run.kind).schemas
    for (group, name), stored in arrays_of(path).items():
        if group.startswith("volumes/"):
            continue
        present_group, present_name = present_path((group, name), tables)
        variable = result[present_group][present_name]
        values = np.asarray(stored[...])
        if "_FillValue" in stored.attrs:  # read as missing
            values = np.where(values == stored.attrs["_FillValue"], np.nan, values)
        assert variable.values.tolist() == values.tolist() or np.array_equal(variable.values, values, equal_nan=True)
        table = find_table(tables, present_group.split("/")[0])
        assert present_name not in {v.formerly for v in table.variables}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_runs_of_0_1_are_neither_resumed_nor_replayed(former_run):
    """Their units have other names: they are refused with the fix, and stay as they are."""
    path = former_run(FILES / "finished" / "graded.zip")
    files = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    key = next(iter(md.open_run(path).journal.history()))
    for call in (
        lambda: md.replay(path, key),
        lambda: md.retry(path),
        lambda: md.run(path / "study.yaml", path, trust=True),
    ):
        with pytest.raises(StudyError, match=r"was made by version 0\.1.*run its study again"):
            call()
    from membrane_dask import api

    run = md.open_run(path)
    with pytest.raises(StudyError, match="was made by version 0"):  # as the command line does
        api.execute(run, api.plan(run.study), retry_failed=True, listener=lambda event: None)
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == files


@pytest.mark.parametrize("archive", FINISHED, ids=lambda p: p.stem)
@pytest.mark.usefixtures("undrawn")
def test_reports_of_runs_of_0_1(archive, former_run, tmp_path):
    page = md.write_report(former_run(archive), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>" in page


def test_no_former_name_is_in_use_again():
    """A former name that another variable of the table has now would hide it."""
    for kind in kinds().values():
        for table in kind.schemas:
            names = [v.path for v in table.variables]
            former = [f"{v.group}/{v.formerly}".lstrip("/") for v in table.variables if v.formerly]
            assert not set(names) & set(former), table.name
            assert len(set(former)) == len(former), table.name


def test_comparison_of_runs(tmp_path):
    """The script that compares runs sees a change of one bit, a missing array and a new one."""
    for name in ("old", "new"):
        group = zarr.open_group(tmp_path / name / "result.zarr", mode="w").create_group("graded")
        group.create_array("initial_flux", data=np.array([1.0, np.nan]))
        group.create_array("n_pores", data=np.array([1, 2]))
        (tmp_path / name / "run.json").write_text('{"kind": "graded"}', encoding="utf-8")
    assert set(compare(tmp_path / "old", tmp_path / "new").values()) == {"equal"}
    group["initial_flux"][0] = np.nextafter(1.0, 2.0)
    del group["n_pores"]
    group.create_array("n_inlets", data=np.array([1]))
    assert compare(tmp_path / "old", tmp_path / "new") == {
        ("graded", "initial_flux"): "1 of 2 values differ",
        ("graded", "n_pores"): "missing",
        ("graded", "n_inlets"): "new",
    }
    assert difference(np.array([0.0]), np.array([-0.0])) == "different bits of equal values (NaN or sign of 0)"
