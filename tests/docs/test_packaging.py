"""What is said of the package in several files is the same in all of them."""

from __future__ import annotations

import re
import tomllib

import pytest
from ruamel.yaml import YAML

import membrane_dask as md

#: Names on conda-forge that differ from those on PyPI.
CONDA_NAMES = {"matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def requirements(root) -> set[str]:
    """The dependencies by their names on conda-forge."""
    lines = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    pairs = [line.partition(">=")[::2] for line in lines]
    return {f"{CONDA_NAMES.get(name, name)} >={version}" for name, version in pairs}


def test_the_conda_recipe_has_the_dependencies_and_the_version(root, requirements):
    recipe = YAML(typ="safe").load(root / "deploy/conda/recipe.yaml")
    assert recipe["context"]["version"] == md.__version__
    assert set(recipe["requirements"]["run"]) == requirements | {"python >=3.11"}
    script = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert recipe["build"]["python"]["entry_points"] == [f"{name} = {target}" for name, target in script.items()]


def test_automatic_checks_of_packages_open_no_browser(root):
    tests = YAML(typ="safe").load(root / "deploy/conda/recipe.yaml")["tests"]
    lines = [line for test in tests for line in test.get("script", ())]
    lines += (root / ".ci/package").read_text().split("&&")
    demos = [line for line in lines if "membrane-dask demo" in line]
    assert len(demos) == 3
    assert all("--no-open" in line for line in demos)


def test_the_conda_environment_has_the_dependencies(root, requirements):
    environment = YAML(typ="safe").load(root / "deploy/conda/environment.yaml")
    lines = {line for line in environment["dependencies"] if isinstance(line, str)}
    assert lines >= requirements


def test_the_changelog_begins_with_this_version(root):
    headings = re.findall(r"^## \[([^]]+)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == md.__version__


def test_the_wheel_has_every_example_with_its_files(root):
    from membrane_dask.cli.examples import example_files, examples

    included = tomllib.loads((root / "pyproject.toml").read_text())
    included = included["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = {path.name for example in examples().values() for path in example_files(example.path)}
    assert {f"configs/{name}": f"membrane_dask/examples/{name}" for name in files}.items() <= included.items()
