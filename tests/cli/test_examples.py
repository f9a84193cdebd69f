"""The examples come with the wheel, describe themselves, and run without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from membrane_dask.cli import examples as examples_module
from membrane_dask.cli import main
from membrane_dask.cli.examples import copy_example, examples
from membrane_dask.studies.registry import kinds
from membrane_dask.study_file import load_study


def test_each_kind_has_an_example_that_describes_itself(tmp_path):
    available = examples()
    assert set(available) == set(kinds())
    for kind, example in available.items():
        assert example.purpose.endswith(".")
        assert " MB" in example.duration
        study = load_study(copy_example(example, tmp_path / kind))
        assert study.kind == kind
        for path in (*study.inputs().values(), *study.sources().values()):
            assert path.parent == tmp_path / kind


def test_a_changed_example_is_used_as_it_is(tmp_path, capsys):
    path = copy_example(examples()["graded"], tmp_path)
    path.write_text(path.read_text().replace("realizations: 20", "realizations: 3"))
    assert capsys.readouterr().err == ""
    assert load_study(copy_example(examples()["graded"], tmp_path)).realizations == 3
    assert "differs from the example and is used as it is" in capsys.readouterr().err


def test_an_unknown_kind_is_refused(capsys):
    with pytest.raises(SystemExit) as left:
        main(["demo", "grade"])
    assert left.value.code == 2
    assert "did you mean 'graded'?" in capsys.readouterr().err


def test_without_a_kind_all_are_listed(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    started = []

    def run_study(path: Path) -> None:
        started.append(path)
        raise SystemExit(75)

    monkeypatch.setattr(examples_module, "run_study", run_study)
    with pytest.raises(SystemExit):
        main(["demo", "--to", "here"])
    out, err = capsys.readouterr()
    assert started == [Path("here/graded-quickstart.yaml")]
    for example in examples().values():
        assert example.purpose in out
    assert "membrane-dask demo KIND" in err


def test_the_wheel_runs_an_example_without_the_checkout(root, tmp_path):
    """Its files alone are on the path; the report lies in the run, and is not opened off a terminal."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    site = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    example = site / "membrane_dask/examples/porometry-quickstart.yaml"
    text = example.read_text().partition("priors:")[0]  # whose posterior takes most of the time
    example.write_text(text + "bootstrap: {draws: 0}\ncluster: {profile: sync}\n")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    work = tmp_path / "work"
    work.mkdir()
    where = [sys.executable, "-c", "import membrane_dask; print(membrane_dask.__file__)"]
    assert subprocess.check_output(where, cwd=work, env=environment, text=True).startswith(str(site))
    command = [sys.executable, "-m", "membrane_dask.cli", "demo", "porometry"]
    result = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    report = work / result.stdout.splitlines()[-1]
    assert report.name == "report.html"
    assert "<html" in report.read_text()
    assert {path.name for path in (work / "membrane-dask-demo").iterdir()} == {
        "porometry-quickstart.yaml", "porometry-quickstart.csv",
    }  # fmt: skip
