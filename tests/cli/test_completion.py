"""The shell completes study kinds, runs, cluster profiles and keys of ``--set``."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from membrane_dask.cli.commands import app


@pytest.fixture
def complete(tmp_path, monkeypatch):
    """Completions of the last word of a line, as bash requests them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "filter.yaml").write_text("kind: foul\ninput: volume.tif\n")
    for name in ("filter-1", "filter-2", "other", ".other.removed-1"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("filter-1", "other", ".other.removed-1"):
        (tmp_path / "runs" / name / "run.json").write_text("{}")

    def request(line: str) -> list[str]:
        position = line.count(" ")
        environment = {
            "_MEMBRANE_DASK_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(position),
        }
        return CliRunner().invoke(app, prog_name="membrane-dask", env=environment).output.split()

    return request


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("membrane-dask new gra", ["graded"]),
        ("membrane-dask demo por", ["porometry"]),
        ("membrane-dask report f", ["filter-1"]),
        ("membrane-dask status runs/o", ["runs/other"]),
        ("membrane-dask status runs/", ["runs/filter-1", "runs/other"]),
        ("membrane-dask rm ./runs/f", ["./runs/filter-1"]),
        ("membrane-dask clusters show slu", ["slurm"]),
        ("membrane-dask run filter.yaml --cluster slu", ["slurm"]),
        ("membrane-dask run filter.yaml --set hydraulics.wall", ["hydraulics.wall_model="]),
        ("membrane-dask run filter.yaml --set realizations", []),
        ("membrane-dask run missing.yaml --set realiza", ["realizations="]),
    ],
)
def test_arguments_are_completed(complete, line, expected):
    assert complete(line) == expected


def test_values_of_an_option_are_completed():
    """Bash divides a word at the equals sign, other shells do not."""
    from types import SimpleNamespace

    from membrane_dask.cli.completion import complete_assignment

    context = SimpleNamespace(params={}, args=[])
    values = complete_assignment(context, "hydraulics.wall_model=s")
    assert values == ["hydraulics.wall_model=smooth", "hydraulics.wall_model=staircase"]
    assert complete_assignment(context, "realizations=1") == []
