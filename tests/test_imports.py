"""Modules import only from the layers below them, and importing the package is fast.

`docs/architecture.md` explains the layers.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "membrane_dask"
KINDS = ("chain", "characterize", "foul", "graded", "porometry", "reconstruct")

#: Layers of the package that the modules of a layer may import, besides their own.
ALLOWED = {
    "__main__": {"cli"},
    "cli": {
        "api", "engine", "errors", "files", "former_names", "ordered_submission", "plain_text", "progress", "registry",
        "explorer", "report", "run_export", "study_file", "yaml_files", "__init__",
    },
    "api": {"registry", "engine", "config", "errors", "files", "program", "progress", "study_file", "__init__"},
    "ordered_submission": {"api", "engine", "errors", "study_file", "__init__"},
    "progress": {"engine", "notebook_html", "plain_text"},
    "explorer": {"engine", "io", "notebook_html", "program", "report"},
    "report": {
        "engine", "item_export", "io", "physics", "registry", "schema", "errors", "files", "number_text", "plain_text",
        "__init__",
    },
    "run_export": {"report", "item_export", "engine", "io", "registry", "digests", "errors", "files"},
    "item_export": {"engine", "io", "physics", "registry", "errors", "files", "__init__"},
    "study_report": {"studies", "report", "engine", "io", "physics", "config", "errors", "number_text", "schema"},
    "engine": {
        "io", "config", "digests", "errors", "files", "former_names", "notebook_html", "plain_text", "program",
        "registry", "schema", "setting_problems", "study_file", "yaml_files", "__init__",
    },
    "studies": {
        "io", "physics", "quantities", "config", "errors", "former_names", "number_text", "program", "registry",
        "schema",
    },
    "study_file": {"registry", "config", "errors", "former_names", "setting_model", "setting_problems", "yaml_files"},
    "setting_model": {"errors", "setting_problems"},
    "setting_problems": {"errors"},
    "yaml_files": {"errors", "files", "plain_text"},
    "registry": {"config", "errors", "program", "quantities", "schema", "setting_problems"},
    "former_names": {"errors"},
    "io": {"physics", "quantities", "errors", "files", "plain_text"},
    "physics": {"number_text"},
    "config": {"digests", "errors", "files", "notebook_html", "quantities", "setting_model", "__init__"},
    "program": {"schema"},
    "quantities": {"number_text"},
    "schema": set(),
    "files": set(),
    "digests": {"files"},
    "errors": {"plain_text"},
    "notebook_html": set(),
    "number_text": set(),
    "plain_text": set(),
    "__init__": {"former_names"},
}  # fmt: skip
#: Libraries that a layer does not import.
FORBIDDEN = {
    "physics": {"dask", "distributed", "zarr", "xarray", "pydantic", "pathlib", "time", "datetime"},
    "studies": {"dask", "distributed", "zarr", "time", "datetime"},
    "config": {"dask", "distributed", "numpy", "zarr", "xarray"},
    "schema": {"dask", "distributed", "numpy", "zarr", "xarray"},
}
#: The compiler's cache is a folder.
EXEMPT = {("physics/_jit.py", "pathlib")}
#: Libraries that take long to import.
SLOW = {"dask", "distributed", "matplotlib", "numba", "numpy", "pandas", "pydantic", "scipy", "xarray", "zarr"}


def layer(path: Path) -> str:
    """Layer of a module: its folder, or its own name at the top level; the registry and the reports of kinds apart."""
    components = path.relative_to(PACKAGE).parts
    if components[0] == "studies" and components[-1].endswith(("registry.py", "report.py")):
        return "registry" if components[-1] == "registry.py" else "study_report"
    return components[0] if len(components) > 1 else path.stem


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all modules that a tree imports, at any level of nesting."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def target_layer(name: str, names: set[str]) -> str | None:
    """Layer of an imported name of this package; None for a name that a longer name covers, or that is no module."""
    components = name.split(".")
    if components[1:3] == ["studies", "registry"]:
        return "registry"
    if name == "membrane_dask.studies" and f"{name}.registry" in names:
        return None
    if components[1:] == ["__version__"]:
        return "__init__"
    if len(components) == 1:
        return None
    module = PACKAGE / components[1]
    return components[1] if module.is_dir() or module.with_suffix(".py").is_file() else None


def forbidden_imports(layer_name: str, names: set[str], relative: str = "") -> list[str]:
    """Imports that a module of a layer must not have; ``relative`` is its path within the package."""
    forbidden = []
    for name in names:
        library = name.split(".")[0]
        if library == "membrane_dask":
            target = target_layer(name, names)
            if target is not None and target != layer_name and target not in ALLOWED[layer_name]:
                forbidden.append(name)
        elif library in FORBIDDEN.get(layer_name, ()) and (relative, library) not in EXEMPT:
            forbidden.append(name)
    return forbidden


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_import_from_lower_layers(path):
    names = imports(ast.parse(path.read_text()))
    assert forbidden_imports(layer(path), names, str(path.relative_to(PACKAGE))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_study_kinds_do_not_import_one_another(kind):
    other_kinds = {f"membrane_dask.studies.{name}" for name in KINDS if name != kind}
    for path in (PACKAGE / "studies" / kind).rglob("*.py"):
        names = {".".join(name.split(".")[:3]) for name in imports(ast.parse(path.read_text()))}
        assert not names & other_kinds, path


@pytest.mark.parametrize(
    ("layer_name", "line"),
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
def test_an_import_from_a_higher_layer_is_reported(layer_name, line):
    assert forbidden_imports(layer_name, imports(ast.parse(line)))


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import membrane_dask", set()),
        ("import membrane_dask.cli", set()),
        ("import membrane_dask.cli.commands", set()),
        ("from membrane_dask.engine.run_list import open_runs", {"numpy", "pydantic"}),
        ("from membrane_dask import load_study, StudyError", {"pydantic"}),
    ],
)
def test_importing_is_fast(statement, allowed):
    script = f"import sys; {statement}; slow = {SLOW - allowed} & set(sys.modules); assert not slow, slow"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_package_has_its_public_names():
    import membrane_dask as md

    with pytest.raises(AttributeError, match="load_study"):
        md.laod_study  # noqa: B018
    assert all(getattr(md, name) is not None for name in md.__all__)
