"""A study kind of another package, from installation to report: the example of docs/add-a-study-kind.md."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import zarr

from membrane_dask.engine.events import Event

PAGE = Path(__file__).parents[2] / "docs" / "add-a-study-kind.md"


def example_files() -> dict[str, str]:
    """Files of the example: code blocks whose first line is a comment with a path."""
    blocks = re.findall(
        r"```(?:toml|python)\n# (\S+\.(?:toml|py))\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    return dict(blocks)


def test_the_page_lists_all_events():
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    types = {event.__name__: event for event in get_args(Event)}
    assert set(rows) >= set(types)
    for name, event in types.items():
        assert set(re.findall(r"`(\w+)`", rows[name])) <= {field.name for field in dataclasses.fields(event)}


def with_path(*folders: str | Path) -> dict[str, str]:
    """Environment in which Python finds the packages in some folders, and those that it finds now."""
    path = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A directory with the built and installed package, to be put on the path."""
    folder = tmp_path_factory.mktemp("plugin")
    for name, text in example_files().items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "installed"), str(folder / "source")], check=True)
    return folder / "installed"


@pytest.fixture
def command(installed, tmp_path):
    """Run the command line in an empty directory, with the plug-in installed."""

    def run(*arguments: str, wait: bool = True, more_path: str = ""):
        call = [sys.executable, "-m", "membrane_dask.cli", *arguments]
        env = with_path(installed, more_path)
        if not wait:
            return subprocess.Popen(call, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
        return subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)

    return run


#: Command lines, one after another in one process.
SEVERAL = """
import sys
from membrane_dask.cli import main
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit as stop:
        assert not stop.code, line
"""


def test_from_new_to_report(command, installed, tmp_path):
    new = command("new", "tube-bundle")
    assert new.returncode == 0, new.stderr
    assert "standard deviation of the logarithm" in new.stdout
    (tmp_path / "study.yaml").write_text(new.stdout, encoding="utf-8")
    lines = ["new --help", "check study.yaml", "plan study.yaml", "schema"]
    lines += ["run study.yaml --set cluster.workers=1 --out local", "report local"]
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, *lines],
        cwd=tmp_path, env=with_path(installed), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("study.yaml: a valid tube-bundle study\n")
    listed, _, planned = done.stdout.partition("60 (60 pieces)")
    assert "tube-bundle" in listed  # by the help of new
    assert '"tube-bundle"' in planned  # by the schema
    page = (tmp_path / "local" / "report.html").read_text(encoding="utf-8")
    assert "Permeance of bundles of cylindrical pores" in page
    assert "<svg" in page
    # Hagen-Poiseuille: <r^4>/<r^2> = r^2 exp(6 s^2) of a log-normal distribution; 20 pieces of 1000 pores.
    table = zarr.open_group(tmp_path / "local" / "result.zarr" / "ensemble")
    expected = 0.1 * (10e-9) ** 2 * np.exp(6 * np.array([0.2, 0.4, 0.6]) ** 2) / (8 * 0.89e-3 * 1e-6)
    np.testing.assert_allclose(table["permeance_mean"][:], expected, rtol=0.1)


@pytest.mark.slow  # tests/engine/test_execute.py kills drivers; the engine does not know where a kind is installed
def test_the_same_bits_after_a_kill_and_in_this_process(command, tmp_path):
    settings = ["--set", "pores=2000000", "--set", "realizations=40", "--set", "execution.batch=2"]  # seconds of work
    (tmp_path / "study.yaml").write_text("kind: tube-bundle\nlog_sd: [0.3]\n", encoding="utf-8")
    whole = command("run", "study.yaml", *settings, "--cluster", "sync", "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    driver = command("run", "study.yaml", *settings, "--set", "cluster.workers=2", "--out", "killed", wait=False)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any((tmp_path / "killed" / "journal").glob("*.jsonl")):
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    finished = sum(
        len(json.loads(line)["done"])
        for path in (tmp_path / "killed" / "journal").glob("*.jsonl")
        for line in path.read_text().splitlines()
    )
    assert 0 < finished < 40  # it was killed between the first and the last unit
    resumed = command("run", "study.yaml", *settings, "--set", "cluster.workers=2", "--out", "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert f"{finished} of 40 units are done already" in resumed.stderr
    for name in ("pieces/permeance", "pieces/hydraulic_radius", "ensemble/permeance_mean"):
        one, other = (zarr.open_array(tmp_path / run / "result.zarr" / name)[:] for run in ("whole", "killed"))
        assert one.tobytes() == other.tobytes(), name


def test_bad_settings_and_undeclared_variables_are_refused(command, tmp_path, installed):
    (tmp_path / "study.yaml").write_text("kind: tube-bundle\nlog_sd: [3]\npore: 5\n", encoding="utf-8")
    check = command("check", "study.yaml")
    assert check.returncode == 2
    assert "unknown key; did you mean 'pores'?" in check.stderr
    changed = tmp_path / "changed" / "tube_bundle"
    changed.mkdir(parents=True)
    for path in (installed / "tube_bundle").glob("*.py"):
        text = path.read_text(encoding="utf-8").replace(
            'return {"permeance"', 'return {"flux": np.zeros(()), "permeance"'
        )
        (changed / path.name).write_text(text, encoding="utf-8")
    (tmp_path / "good.yaml").write_text("kind: tube-bundle\nrealizations: 2\n", encoding="utf-8")
    script = f"import sys; sys.path.insert(0, {str(changed.parent)!r}); from membrane_dask.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", script, "run", "good.yaml", "--cluster", "sync"],
        cwd=tmp_path, env=with_path(installed), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 3, run.stderr
    assert "unknown ['flux']" in run.stderr


@pytest.mark.parametrize(
    ("name", "seed_key", "message"),
    [
        ("graded", 77, "two study kinds have the name 'graded'"),
        ("second", 1001, "two study kinds have the seed key 1001"),
    ],
)
def test_duplicate_kinds_are_refused(command, tmp_path, name, seed_key, message):
    """A second package that declares a name or a seed key that is taken."""
    folder = tmp_path / "other"
    (folder / "other-1.0.dist-info").mkdir(parents=True)
    (folder / "other-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (folder / "other-1.0.dist-info" / "entry_points.txt").write_text(f"[membrane_dask.studies]\n{name} = other:KIND\n")
    (folder / "other.py").write_text(
        "from membrane_dask.studies.registry import StudyKind\n"
        f"KIND = StudyKind(name={name!r}, model='', program='', tables='', seed_key={seed_key})\n"
    )
    result = command("new", name, more_path=str(folder))
    assert result.returncode == 2
    assert message in result.stderr
    assert "other:KIND of other" in result.stderr
    assert "uninstall one of them" in result.stderr


def test_a_kind_that_cannot_be_imported_is_named(command, tmp_path):
    folder = tmp_path / "broken"
    (folder / "broken-1.0.dist-info").mkdir(parents=True)
    (folder / "broken-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "broken-1.0.dist-info" / "entry_points.txt").write_text("[membrane_dask.studies]\nbad = no_module:KIND\n")
    result = command("new", "bad", more_path=str(folder))
    assert result.returncode == 2
    assert "no_module:KIND of broken" in result.stderr
    assert "cannot be imported" in result.stderr
    assert command("new", "graded", more_path=str(folder)).returncode == 0  # the other kinds stay usable


def test_settings_without_the_name_of_their_kind_are_refused(command, tmp_path, installed):
    changed = tmp_path / "changed" / "tube_bundle"
    changed.mkdir(parents=True)
    for path in (installed / "tube_bundle").glob("*.py"):
        text = path.read_text(encoding="utf-8").replace('Literal["tube-bundle"] = "tube-bundle"', 'str = "tube-bundle"')
        (changed / path.name).write_text(text, encoding="utf-8")
    script = f"import sys; sys.path.insert(0, {str(changed.parent)!r}); from membrane_dask.cli import main; main()"
    schema = subprocess.run(
        [sys.executable, "-c", script, "schema"],
        cwd=tmp_path, env=with_path(installed), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert schema.returncode == 2
    assert "TubeBundleStudy must have the field" in schema.stderr
