"""Imports point down only; importing the package is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "membrane_dask"

#: Rooms from the top down: a module may import from its own room's list and nothing else of ours.
ALLOWED = {
    "cli": {"api", "engine", "errors", "report", "study_file", "__init__"},
    "api": {"studies", "engine", "config", "errors", "profiles", "program", "study_file", "variables", "__init__"},
    "report": {"report", "api", "engine", "studies", "physics", "tables", "variables", "volume", "errors", "__init__"},
    "engine": {"engine", "volume", "config", "errors", "profiles", "program", "study_file", "variables", "__init__"},
    "studies": {"studies", "volume", "physics", "tables", "config", "errors", "program", "variables"},
    "volume": {"volume", "physics"},
    "physics": {"physics"},
    "study_file": {"config", "errors"},
    "profiles": {"config", "errors", "study_file"},
    "config": {"errors", "units", "__init__"},
    "tables": {"tables", "physics", "units"},
    "units": set(),
    "program": {"variables"},
    "variables": set(),
    "errors": set(),
    "__init__": {"api", "errors", "report", "studies", "study_file", "volume"},
}
#: Libraries that a room must not know.
FORBIDDEN = {
    "physics": {"dask", "distributed", "zarr", "xarray", "pydantic", "pathlib", "time", "datetime"},
    "studies": {"dask", "distributed", "zarr", "pathlib", "time", "datetime"},
    "config": {"dask", "distributed", "numpy", "zarr", "xarray"},
    "variables": {"dask", "distributed", "numpy", "zarr", "xarray"},
}
#: The door to the compiler keeps its cache in files.
EXEMPT = {("physics/_jit.py", "pathlib")}


def room(path: Path) -> str:
    """Room of a module: its folder, or itself at the top level."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all modules that a tree imports, wherever the import stands."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def wrong_arrows(room_name: str, names: set[str], relative: str = "") -> list[str]:
    """Imports that a room must not have."""
    wrong = []
    for name in names:
        parts = name.split(".")
        if parts[0] == "membrane_dask":
            target = parts[1] if len(parts) > 1 else "__init__"
            target = "__init__" if target == "__version__" else target
            inside = (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").is_file()
            if len(parts) == 1 or not inside:
                continue  # the names themselves are looked at in their longer form
            if target not in ALLOWED[room_name] and target != room_name:
                wrong.append(name)
        elif parts[0] in FORBIDDEN.get(room_name, ()) and (relative, parts[0]) not in EXEMPT:
            wrong.append(name)
    return wrong


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert wrong_arrows(room(path), imports(ast.parse(path.read_text())), str(path.relative_to(PACKAGE))) == []


@pytest.mark.parametrize(
    ("room_name", "line"),
    [
        ("physics", "import dask.array"),
        ("physics", "from membrane_dask.engine import store"),
        ("physics", "def f():\n    from membrane_dask import variables"),
        ("studies", "from distributed import Client"),
        ("studies", "import membrane_dask.engine.execute"),
        ("engine", "from membrane_dask.studies import graded"),
        ("engine", "from membrane_dask import api"),
        ("config", "from membrane_dask.engine.plan import Plan"),
        ("volume", "from membrane_dask.studies.graded import work"),
    ],
)
def test_an_arrow_that_points_up_is_found(room_name, line):
    assert wrong_arrows(room_name, imports(ast.parse(line)))


def test_importing_the_package_is_light():
    script = (
        "import sys, membrane_dask; from membrane_dask import load_study, StudyError\n"
        "heavy = {'dask', 'distributed', 'matplotlib', 'xarray', 'zarr', 'numba', 'skopt'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_face_says_what_it_has():
    import membrane_dask as md

    with pytest.raises(AttributeError, match="load_study"):
        md.laod_study  # noqa: B018
    assert all(getattr(md, name) is not None for name in md.__all__)
