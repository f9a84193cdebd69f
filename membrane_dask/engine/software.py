"""Software that decides the numbers of a run: digests of its sources, and the versions of the libraries they import.

The sources are the modules that compute units and decide on them, and all modules of the package that they import, at
any distance. Libraries that are installed with a version number enter by it; other modules enter by their sources.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache, partial
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Any

from membrane_dask.program import Program

PACKAGE = "membrane_dask"
#: Modules of the engine through which all values pass.
_ENGINE = (f"{PACKAGE}.engine.worker", f"{PACKAGE}.engine.rounds")
#: Libraries that carry, check or store values, and compute none.
_CARRIERS = frozenset({"dask", "distributed", "pydantic", "pydantic_core", "threadpoolctl", "xarray", "zarr"})
#: Names of the distributions of libraries whose modules have another name.
_DISTRIBUTIONS = {
    "cc3d": "connected-components-3d", "PIL": "pillow", "skimage": "scikit-image",
    "sklearn": "scikit-learn", "skopt": "scikit-optimize", "yaml": "PyYAML",
}  # fmt: skip
#: Libraries by which others compute.
_COMPANIONS = {"numba": ("llvmlite",), "skopt": ("sklearn",)}
#: Libraries whose own word counts where they are imported: another copy may come first on the path.
_SELF_DESCRIBED = ("numpy", "scipy", "numba", "llvmlite")
_IMPORT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n;#]*)|import[ \t]+([^\n;#]*))",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Software:
    """Sources and versions that decide numbers.

    Parameters
    ----------
    roots : tuple of str
        Modules from which the others follow.
    modules : mapping of str to str
        Digest of the bytes of every module.
    versions : mapping of str to str
        Versions of Python and of the libraries.
    source_runs : mapping of str to list of str
        Digests of the software of the runs that a study reads from, by field.
    """

    roots: tuple[str, ...]
    modules: Mapping[str, str]
    versions: Mapping[str, str]
    source_runs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def sources(self) -> str:
        """Digest of the bytes of all modules."""
        return _digest_of(self.modules)

    @cached_property
    def statements(self) -> dict[str, str]:
        """Digest of the compiled statements of every module: comments, docstrings and layout do not count."""
        return {name: _statements_digest(_path(name) or "", self.modules[name]) for name in self.modules}

    def record(self) -> dict[str, Any]:
        """What a run stores of it."""
        return {
            "roots": list(self.roots),
            "sources": self.sources,
            "statements": _digest_of(self.statements),
            "modules": {name: [digest, self.statements[name]] for name, digest in self.modules.items()},
            "versions": dict(self.versions),
            "source_runs": {name: list(digests) for name, digests in self.source_runs.items()},
        }

    def changed_modules(self, record: Mapping[str, Any]) -> list[str]:
        """Modules whose statements are not those of a record."""
        recorded: Mapping[str, Sequence[str]] = record.get("modules", {})
        if record.get("sources") == self.sources:
            return []
        return [
            name
            for name in sorted({*self.modules, *recorded})
            if name not in recorded
            or name not in self.modules
            or (recorded[name][0] != self.modules[name] and recorded[name][1] != self.statements[name])
        ]

    def changed_versions(self, record: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Recorded and present version of the libraries that are not those of a record; ``-`` where there is none."""
        recorded = record.get("versions", {})
        names = sorted({*self.versions, *recorded})
        pairs = {name: (recorded.get(name, "-"), self.versions.get(name, "-")) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def changes(self, record: Mapping[str, Any]) -> list[str]:
        """What is not as in a record, in words; empty if all is."""
        changes = []
        modules = self.changed_modules(record)
        if modules:
            more = f" and {len(modules) - 3} more" if len(modules) > 3 else ""
            changes.append(f"the code of {', '.join(modules[:3])}{more}")
        changes += [f"{name} {old} -> {new}" for name, (old, new) in self.changed_versions(record).items()]
        source_runs = record.get("source_runs", {})
        changes += [
            f"the code that made the run of {name!r}"
            for name, digests in self.source_runs.items()
            if list(digests) != list(source_runs.get(name, digests))
        ]
        return changes


@dataclass(frozen=True)
class Requirement:
    """Software that a worker must have.

    Parameters
    ----------
    roots : tuple of str
        Modules from which the others follow.
    sources, statements : str
        Digests of the driver's modules; one of them must be that of the worker.
    versions : mapping of str to str
        Versions of the driver's libraries.
    record : bool
        Whether other versions of libraries are accepted and recorded.
    """

    roots: tuple[str, ...]
    sources: str
    statements: str
    versions: Mapping[str, str]
    record: bool = False

    def check(self) -> tuple[Software | None, dict[str, str]]:
        """The software of this process if it is refused, and those of its versions that are not the driver's."""
        return _check(self.roots, self.sources, self.statements, tuple(sorted(self.versions.items())), self.record)


@lru_cache(maxsize=64)
def _check(
    roots: tuple[str, ...], sources: str, statements: str, versions: tuple[tuple[str, str], ...], record: bool
) -> tuple[Software | None, dict[str, str]]:
    own = _software(roots)
    if own.sources != sources and _digest_of(own.statements) != statements:
        return own, {}
    changed = {name: present for name, (_, present) in own.changed_versions({"versions": dict(versions)}).items()}
    return (own, {}) if changed and not record else (None, changed)


def software_of(program: Program, source_runs: Mapping[str, Sequence[str]] | None = None) -> Software:
    """Software of a program in this process: that which it imported, also where the files have changed since.

    Parameters
    ----------
    program : Program
        Its class, the classes that it derives from, and its ``work`` are where the sources begin.
    source_runs : mapping of str to sequence of str, optional
        Digests of the software of the runs that the study reads from, by field.
    """
    work: Any = program.work
    while isinstance(work, partial):
        work = work.func
    classes = [parent for parent in type(program).__mro__ if parent not in (object, Program)]
    names = {owner.__module__ for owner in (*classes, work) if getattr(owner, "__module__", None)}
    roots = tuple(sorted(names - {"__main__", "builtins"}))
    own = _software(roots)
    return Software(own.roots, own.modules, own.versions, dict(source_runs or {}))


@lru_cache(maxsize=64)
def _software(roots: tuple[str, ...]) -> Software:
    modules: dict[str, str] = {}
    libraries: set[str] = set()
    own = {PACKAGE, *(root.partition(".")[0] for root in roots)}
    pending = [*roots, *_ENGINE]
    while pending:
        name = pending.pop()
        top = name.partition(".")[0]
        # The package's own __init__ holds its version and nothing that computes.
        if name in modules or name == PACKAGE or top in sys.stdlib_module_names:
            continue
        if top not in own and not _has_no_version(top):
            libraries.add(top)
            continue
        parent = name.rpartition(".")[0]
        if parent:
            pending.append(parent)
        path = _path(name)
        if path is not None:
            modules[name], imports = _source(name, path)
            pending += imports
    libraries |= {other for name in libraries for other in _COMPANIONS.get(name, ())}
    versions = {name: _version(name) for name in sorted(libraries - _CARRIERS)}
    present = {name: version for name, version in versions.items() if version}
    return Software(roots, dict(sorted(modules.items())), {"python": platform.python_version(), **present})


# ---------------------------------------------------------------------------------------------
# Modules: each is read once in a process, when it is needed first and has just been imported


@cache
def _path(name: str) -> str | None:
    """File of a module, found without importing anything; None if it has none, or is no module."""
    top, *rest = name.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return spec.origin if spec.origin and Path(spec.origin).is_file() else None
    for folder in spec.submodule_search_locations or ():
        for package in rest[:-1]:
            folder = f"{folder}/{package}"
        files, last = _listing(folder), rest[-1]
        if last in files and "__init__.py" in _listing(f"{folder}/{last}"):
            return f"{folder}/{last}/__init__.py"
        for suffix in (".py", *EXTENSION_SUFFIXES):
            if last + suffix in files:
                return f"{folder}/{last}{suffix}"
    return None


@cache
def _listing(folder: str) -> frozenset[str]:
    try:
        return frozenset(path.name for path in Path(folder).iterdir())
    except OSError:
        return frozenset()


@cache
def _content(path: str) -> bytes:
    return Path(path).read_bytes()


def _source(name: str, path: str) -> tuple[str, list[str]]:
    """Digest of a module's bytes, and the names that it imports, of modules or of what is in them."""
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()[:16]
    if not path.endswith(".py"):
        return digest, []
    package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
    return digest, list(dict.fromkeys(_imports(content.replace(b"\\\n", b" "), package)))


def _imports(content: bytes, package: str) -> Iterator[str]:
    for match in _IMPORT.finditer(content):
        origin, names, modules = (group.decode(errors="replace") if group else "" for group in match.groups())
        if not origin:
            yield from re.findall(r"(?:^|,)\s*([\w.]+)", modules)
            continue
        level = len(origin) - len(origin.lstrip("."))
        if level:
            parents = package.split(".")
            parents = parents[: len(parents) - level + 1]
            origin = ".".join([*parents, *filter(None, [origin[level:]])])
        if origin:
            yield origin
            imported = re.sub(r"#[^\n]*", "", names).strip("() \t")
            yield from (f"{origin}.{item}" for item in re.findall(r"(?:^|,)\s*(\w+)", imported))


def _digest_of(digests: Mapping[str, str]) -> str:
    text = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _statements_digest(path: str, otherwise: str) -> str:
    """Digest of the statements of a module, which depends on the version of Python; ``otherwise`` without any."""
    if not path.endswith(".py"):
        return otherwise
    source: Any = _content(path)
    try:
        if sys.version_info >= (3, 13):  # a class stores the number of its line
            source = ast.parse(source)
            for node in ast.walk(source):
                if isinstance(node, ast.ClassDef):
                    for item in (node, *node.decorator_list):
                        item.lineno = 1
        code = compile(source, "", "exec", dont_inherit=True, optimize=2)  # without docstrings
    except (SyntaxError, ValueError):
        return otherwise
    sha = hashlib.sha256(repr(sys.version_info[:2]).encode())
    _add_code(sha, code)
    return sha.hexdigest()[:16]


def _add_code(sha: Any, code: CodeType) -> None:
    """Add compiled code to a digest, without names of files and numbers of lines."""
    sha.update(code.co_code + code.co_exceptiontable)
    numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    sha.update(repr((numbers, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add_code(sha, constant)
        else:
            sha.update(_constant(constant).encode())


def _constant(value: object) -> str:
    if isinstance(value, frozenset):  # whose order changes from process to process
        return f"frozenset{sorted(map(_constant, value))}"
    return f"({','.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)


# ---------------------------------------------------------------------------------------------
# Libraries


def _distribution(top: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(_DISTRIBUTIONS.get(top, top))
    except (metadata.PackageNotFoundError, ValueError):
        pass
    path = _path(top)
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    if path is None or not any(Path(path).is_relative_to(folder) for folder in folders):
        return None
    names = metadata.packages_distributions().get(top, ())  # slow, as it reads the lists of all files
    return metadata.distribution(names[0]) if names else None


@cache
def _has_no_version(top: str) -> bool:
    """Whether a module is no part of a distribution, or of one whose sources can be edited where they lie."""
    if top in _SELF_DESCRIBED or top in _CARRIERS:
        return False
    distribution = _distribution(top)
    if distribution is None:
        return True
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        return bool(origin.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def _version(top: str) -> str:
    """Version of a library; empty if it is not installed."""
    if top in _SELF_DESCRIBED and isinstance(version := getattr(sys.modules.get(top), "__version__", None), str):
        return version
    distribution = _distribution(top)
    return str(distribution.version) if distribution else ""


def install_command(versions: Iterable[tuple[str, str]]) -> str:
    """Command that installs libraries in the given versions; empty if there is nothing to install."""
    specifiers = [
        f"'{_DISTRIBUTIONS.get(name, name)}=={version}'"
        for name, version in versions
        if name != "python" and version != "-"
    ]
    return f"pip install {' '.join(specifiers)}" if specifiers else ""
