"""Imports point down only; importing the package is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "membrane_dask"

#: What a module of each top-level part may import of ours, besides its own part.
ALLOWED = {
    "cli": {"api", "engine", "errors", "former_names", "progress", "registry", "report", "study_file", "__init__"},
    "api": {"registry", "engine", "config", "errors", "files", "program", "progress", "study_file", "__init__"},
    "progress": {"engine"},
    "report": {"engine", "registry", "schema", "errors", "__init__"},
    "study_report": {"studies", "report", "engine", "io", "physics", "config", "errors", "schema"},
    "engine": {
        "io", "config", "errors", "files", "former_names", "program", "registry", "schema", "study_file", "__init__",
    },
    "studies": {"io", "physics", "quantities", "config", "errors", "former_names", "program", "registry", "schema"},
    "study_file": {"registry", "config", "errors", "former_names"},
    "registry": {"config", "errors", "program", "schema"},
    "former_names": {"errors"},
    "io": {"physics", "quantities"},
    "physics": set(),
    "config": {"errors", "files", "quantities", "__init__"},
    "program": {"schema"},
    "quantities": set(),
    "schema": set(),
    "files": set(),
    "errors": set(),
    "__init__": {"former_names"},
}  # fmt: skip
#: Libraries that a part must not know.
FORBIDDEN = {
    "physics": {"dask", "distributed", "zarr", "xarray", "pydantic", "pathlib", "time", "datetime"},
    "studies": {"dask", "distributed", "zarr", "time", "datetime"},
    "config": {"dask", "distributed", "numpy", "zarr", "xarray"},
    "schema": {"dask", "distributed", "numpy", "zarr", "xarray"},
}
#: The door to the compiler keeps its cache in files.
EXEMPT = {("physics/_jit.py", "pathlib")}


def room(path: Path) -> str:
    """Part of a module: its folder, or itself at the top level; the registry and reports of kinds are their own."""
    components = path.relative_to(PACKAGE).components
    if components[0] == "studies" and components[-1] in ("registry.py", "report.py"):
        return "registry" if components[-1] == "registry.py" else "study_report"
    return components[0] if len(components) > 1 else path.stem


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all modules that a tree imports, wherever the import stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def wrong_arrows(room_name: str, names: set[str], relative: str = "") -> list[str]:
    """Imports that a room must not have."""
    wrong = []
    for name in names:
        components = name.split(".")
        if components[0] == "membrane_dask":
            target = components[1] if len(components) > 1 else "__init__"
            target = "__init__" if target == "__version__" else target
            if components[1:3] == ["studies", "registry"]:
                target = "registry"
            elif name == "membrane_dask.studies" and f"{name}.registry" in names:
                continue  # from membrane_dask.studies import registry
            inside = target == "registry" or (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").is_file()
            if len(components) == 1 or not inside:
                continue  # the names themselves are looked at in their longer form
            if target not in ALLOWED[room_name] and target != room_name:
                wrong.append(name)
        elif components[0] in FORBIDDEN.get(room_name, ()) and (relative, components[0]) not in EXEMPT:
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
        ("physics", "def f():\n    from membrane_dask import schema"),
        ("studies", "from distributed import Client"),
        ("studies", "from membrane_dask import api"),
        ("engine", "from membrane_dask.studies import graded"),
        ("engine", "from membrane_dask import api"),
        ("config", "from membrane_dask.engine.plan import Plan"),
        ("io", "from membrane_dask.studies.graded.program import work"),
    ],
)
def test_an_import_that_points_up_is_refused(room_name, line):
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
