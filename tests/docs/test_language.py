"""Names and texts of the project use the standard terms of the field.

The tables below list each term that must not appear and the term that replaces it. Exceptions stand in
``docs/glossary.md``, in the table under "Exceptions". For a list of the violations in some files run::

    python tests/docs/test_language.py [PATH ...]
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import io
import json
import re
import sys
import tokenize
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Words that no identifier contains, and their replacement.
NAME_WORDS = {
    "about": "metadata, summary",
    "amounts": "aggregation",
    "apart": "residuals",
    "asked": "requested, or the noun itself",
    "ball": "particle, inscribed_sphere, structuring_element",
    "balls": "particles, inscribed_spheres, structuring_elements",
    "banded": "random_network",
    "basin": "watershed region",
    "basins": "watershed",
    "beside": "neighbours, reference",
    "caught": "deposited_fraction",
    "dirtier": "foulant concentration increases",
    "far": "not_converged, distant",
    "found": "the noun itself: result, labels, paths",
    "freedom": "degrees_of_freedom",
    "gate": "interface_voxel",
    "gates": "interface_voxels",
    "given": "input, VolumeSource",
    "held": "stored, the noun itself",
    "kept": "stored, the noun itself",
    "knob": "parameter",
    "knobs": "parameters",
    "known": "priors, the noun itself",
    "mended": "project_mass",
    "mine": "the noun itself: replicate, own",
    "most": "maximum, max_iterations",
    "others": "the noun itself: neighbours, replicates",
    "part": "component, scratch, inline_kernel",
    "parts": "components, scratch",
    "passing": "temporary",
    "patience": "worker_timeout",
    "place": "index, position, scatter",
    "places": "indices, positions, coordinates",
    "plausible": "prior_ranges",
    "resampled": "bootstrap_summary",
    "screening": "mobility_estimate",
    "seam": "block_boundary",
    "seams": "block_boundaries",
    "seen": "observed, flow_diagnostics",
    "share": "fraction",
    "shares": "fractions",
    "sieve": "reflecting",
    "streams": "flow_diagnostics, final_velocity",
    "summit": "peak",
    "summits": "peaks",
    "tells": "message, reports",
    "texture": "compare_descriptors",
    "told": "reported, Message",
    "touch": "perfect_sink",
    "touches": "tangent",
    "turn": "update_direction",
    "verdict": "status, outcome",
    "verdicts": "summary, membrane_summary",
    "wanted": "requested, expected",
    "watch": "callback",
    "way": "path",
    "ways": "paths, tortuosity",
    "words": "message, terms",
}

#: Consecutive words that no identifier contains.
NAME_SEQUENCES = {
    "set_aside": "failed, quarantined",
    "left_out": "leave_one_out",
    "other_surface": "alternate_wall",
    "highest_pass": "saddle",
    "first_touch": "perfect_sink",
    "residual_deviation": "residual_standard_deviation",
    "mean_degree": "coordination_number_mean",
    "band_degree": "band_coordination_number",
    "short_cut": "simplified_model",
    "short_cuts": "simplified_models",
}

#: Terms of the field that contain a word of the first table.
STANDARD_SEQUENCES = ("degrees_of_freedom",)

#: Names of whole modules that say too little or something else.
MODULES = {
    "amounts": "aggregation",
    "banded": "random_network",
    "batch": "schedulers",
    "knobs": "parameters",
    "measured": "tables",
    "membranes": "tasks",
    "streams": "flow_diagnostics",
    "structure": "random_field",
    "texture": "compare_descriptors",
    "trial": "probe",
    "verdicts": "summary",
}

#: Former settings: the name alone, or with the settings that it belongs to.
SETTINGS = {
    "sides": "lateral_boundary",
    "surface": "wall_model",
    "collision": "wall_interaction",
    "solve": "enabled",
    "slab": "slab_thickness",
    "refine": "refinement",
    "block": "block_size",
    "NetworkSettings.nearby": "min_separation",
    "NetworkSettings.smallest": "min_peak_distance",
    "NetworkSettings.radius": "r_max",
    "further": "candidate_measurements",
    "more": "one more entry of data",
}

#: Former result variables, coordinates and tables.
RESULTS = {
    "permeability_other_surface": "permeability_smooth_walls, permeability_staircase_walls",
    "permeability_upper": "permeability_upper_bound",
    "permeability_screening": "permeability_mobility_estimate",
    "narrow_flow_share": "unresolved_flow_fraction",
    "unassigned_share": "unassigned_fraction",
    "share_wider": "cumulative_volume_fraction",
    "quarter_share_wider": "quarter_cumulative_volume_fraction",
    "log_reduction_first_touch": "log_reduction_perfect_sink",
    "log_reduction_sieving": "log_reduction_reflecting",
    "left_out_error": "leave_one_out_error",
    "residual_deviation": "residual_standard_deviation",
    "mean_degree": "coordination_number_mean",
    "band_degree": "band_coordination_number",
    "ends": "throat_conns",
    "ended": "stop_reason",
    "low": "the variable's name with _low",
    "high": "the variable's name with _high",
}

#: Variables whose lower and upper values are limits, not ends of an interval.
LIMITS = ("hagen_poiseuille_radius", "pore_number")

#: Terms that no message, docstring, comment or page contains.
PHRASES = {
    "ball": "particle, inscribed sphere, structuring element",
    "balls": "particles, inscribed spheres, structuring elements",
    "way through": "percolating path",
    "ways through": "percolating paths",
    "shortest way": "geodesic path",
    "shortest ways": "geodesic paths",
    "told": "reported, given by",
    "tells": "reports, shows",
    "beside": "compared with, adjacent to, neighbours",
    "knob": "parameter",
    "knobs": "parameters",
    "share": "fraction",
    "shares": "fractions",
    "verdict": "outcome, status",
    "verdicts": "outcomes, summary",
    "set aside": "failed, quarantined",
    "sets aside": "quarantines",
    "summit": "peak",
    "summits": "peaks",
    "seam": "block boundary",
    "seams": "block boundaries",
    "mended": "corrected",
    "highest pass": "saddle",
    "what was seen": "Segmentation",
    "what was found": "Reconstruction",
    "what it is": "Properties",
    "short cut": "simplified model",
    "short cuts": "simplified models",
    "otsu, evened": "Otsu after shading correction",
    "where the foulant goes": "Band porosity evolution",
    "until nothing passes": "until flux extinction",
    "taken out of service": "end of life (flux threshold)",
    "off the grid": "interpolated optimum",
    "neutral": "default",
    "would open pores of": "pore radius by Young-Laplace",
    "touches": "is tangent to",
    "beyond the straight part": "non-linear regime",
    "misfit p": "lack-of-fit p",
    "powers of ten assigned": "scaling factors",
    "left-out pressure": "leave-one-out cross-validation",
    "left-out pressures": "leave-one-out cross-validation",
    "layer that resists": "selective layer",
    "gains": "improvement",
    "dirtier": "foulant concentration increases",
    "live shortest": "shortest lifetime",
    "lives shortest": "shortest lifetime",
    "three ways to ask": "Usage",
    "what is done": "Methods",
    "where it fails": "Limitations",
    "a sound study": "a valid study",
    "sound study": "valid study",
    "wastes least": "minimises dissipation among divergence-free fields",
    "retry --failed": "retry --dry-run",
    "--here": "--local",
    "md.interval": "md.replicate_interval",
    "md.texture": "md.compare_descriptors",
    "md.verdicts": "md.membrane_summary",
    "setaside": "UnitFailed",
    "givenvolume": "VolumeSource",
    **{name: new for name, new in RESULTS.items() if "_" in name},
}

#: Keywords whose strings name former settings, on purpose.
FORMER = {"formerly", "former_values"}

FOLDERS = ("membrane_dask", "tests", "benchmarks", "docs", "notebooks", "configs", "deploy", ".github", ".ci")
TEXTS = {".md", ".yaml", ".yml", ".html", ".jinja", ".j2", ".css", ".js", ".toml", ".cff", ".def", ".sh", ""}

#: This file lists the terms themselves, and the data of version 0.1.0 have its names.
EXEMPT = ("tests/docs/test_language.py", "tests/compatibility/v0_1/")


@dataclass(frozen=True)
class Violation:
    """A forbidden term: its file, its line, the name or text that has it, and what replaces it."""

    path: str
    line: int
    term: str
    replacement: str
    name: str = ""

    def __str__(self) -> str:
        where = f" (in {self.name})" if self.name and self.name != self.term else ""
        return f"{self.path}:{self.line}: {self.term}{where} -> {self.replacement}"


# --- identifiers


def split_identifier(name: str) -> list[str]:
    """Words of an identifier: ``SetAside``, ``set_aside`` and ``_SET_ASIDE`` are ``["set", "aside"]``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [word.lower() for word in re.split(r"[_\W\d]+", spaced) if word]


def check_identifier(name: str) -> tuple[str, str] | None:
    """Forbidden term in an identifier and its replacement."""
    text = "_".join(split_identifier(name))
    for term in STANDARD_SEQUENCES:
        text = text.replace(term, "")
    for term, replacement in NAME_SEQUENCES.items():
        if f"_{term}_" in f"_{text}_":
            return term, replacement
    for token in text.split("_"):
        if token in NAME_WORDS:
            return token, NAME_WORDS[token]
    return None


def check_result(name: str) -> tuple[str, str] | None:
    """Former result variable, and its replacement."""
    name = name.rsplit("/", 1)[-1]
    if name in RESULTS:
        return name, RESULTS[name]
    if re.search(r"_(lower|upper)$", name) and not name.startswith(LIMITS):
        return name, re.sub(r"lower$", "low", re.sub(r"upper$", "high", name))
    return check_identifier(name)


@functools.lru_cache(maxsize=1)
def _nodes(source: str) -> tuple[ast.AST, ...]:
    """All nodes of a source: they are walked several times, and parsed once."""
    return tuple(ast.walk(ast.parse(source)))


def _definitions(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Names that a module defines: functions, classes, arguments, variables, attributes and aliases."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            yield node.name, node.lineno


def _settings(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str, int]]:
    """Settings of a module: class, name and line of each field made by ``parameter``."""
    for node in nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        for item in node.body:
            if (
                isinstance(item, ast.AnnAssign)
                and isinstance(item.value, ast.Call)
                and isinstance(item.target, ast.Name)
            ):
                function = item.value.func
                if isinstance(function, ast.Name) and function.id in {"parameter", "knob", "Field"}:
                    yield node.name, item.target.id, item.lineno


def _results(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Names of the variables, coordinates and tables that a module declares."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if function in {"Variable", "Coordinate", "TableSchema"} and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.lineno


def names_in_python(source: str, path: str) -> Iterator[Violation]:
    """Forbidden names that a Python source defines."""
    nodes = _nodes(source)
    for name, line in _definitions(nodes):
        if term := check_identifier(name):
            yield Violation(path, line, *term, name)
    for owner, name, line in _settings(nodes):
        for key in (name, f"{owner}.{name}"):
            if key in SETTINGS:
                yield Violation(path, line, key, SETTINGS[key], name)
    for name, line in _results(nodes):
        if term := check_result(name):
            yield Violation(path, line, *term, name)


def names_in_yaml(source: str, path: str) -> Iterator[Violation]:
    """Forbidden keys of a YAML file."""
    for number, line in enumerate(source.splitlines(), 1):
        for key in re.findall(r"(?:^[ -]*|[{,] *)([A-Za-z_]\w*):(?= |$)", line.split(" #")[0]):
            if key in SETTINGS:
                yield Violation(path, number, key, SETTINGS[key], key)
            elif term := check_identifier(key):
                yield Violation(path, number, *term, key)


# --- texts

#: For texts in lower case: alternatives without flags that begin with letters are compared by their first letter.
_PATTERN = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(
        r"[\s>]+".join(re.escape(word) for word in phrase.split()) + r"(?!\w)"
        for phrase in sorted(PHRASES, key=len, reverse=True)
    )
    + ")"
)


def phrases_in_text(text: str, path: str, first_line: int = 1) -> Iterator[Violation]:
    """Forbidden phrases of a text."""
    text = text.lower()
    for match in _PATTERN.finditer(text):
        phrase = " ".join(re.split(r"[\s>]+", match.group()))
        line = first_line + text.count("\n", 0, match.start())
        yield Violation(path, line, phrase, PHRASES[phrase])


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Comments of a Python source; those on consecutive lines are one text."""
    first, last, lines = 0, -1, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1 and lines:
            yield first, "\n".join(lines)
            lines = []
        if not lines:
            first = token.start[0]
        lines.append(token.string.lstrip("#: "))
        last = token.start[0]
    if lines:
        yield first, "\n".join(lines)


def phrases_in_python(source: str, path: str) -> Iterator[Violation]:
    """Forbidden phrases in the comments, docstrings and strings of a Python source."""
    nodes = _nodes(source)
    former = {
        id(node)
        for keyword in nodes
        if isinstance(keyword, ast.keyword) and keyword.arg in FORMER
        for node in ast.walk(keyword.value)
    }
    lines = source.splitlines()
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in former:
            for violation in phrases_in_text(node.value, path, node.lineno):
                # A string written in several pieces: the line of the piece that has the phrase.
                start = violation.term.split()[0]
                span = range(violation.line, (node.end_lineno or node.lineno) + 1)
                line = next((n for n in span if start in lines[n - 1].lower()), violation.line)
                yield Violation(path, line, violation.term, violation.replacement)
    # Tokens take longer than all else: only where a phrase is in the source without the marks of comments.
    if _PATTERN.search(re.sub(r"\n.*?#[#: ]*", "\n", source.lower())):
        for first, text in _comments(source):
            yield from phrases_in_text(text, path, first)


# --- files


def _cells(path: Path) -> Iterator[tuple[str, str, int]]:
    """Kind, source and number of each cell of a notebook; the texts that it prints are cells of kind "output"."""
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            source = re.sub(r"^([%!].*)$", r"# \1", source, flags=re.MULTILINE)
        yield cell["cell_type"], source, number
        for output in cell.get("outputs", ()):
            texts = output.get("text", output.get("data", {}).get("text/plain", ()))
            yield "output", "".join(texts), number


def names(path: Path) -> Iterator[Violation]:
    """Forbidden names in a file."""
    relative = path.relative_to(ROOT).as_posix()
    if path.suffix == ".py":
        if path.stem in MODULES:
            yield Violation(relative, 1, path.stem, MODULES[path.stem], path.stem)
        elif term := check_identifier(path.stem):
            yield Violation(relative, 1, *term, path.stem)
        yield from names_in_python(path.read_text(encoding="utf-8"), relative)
    elif path.suffix in {".yaml", ".yml"}:
        yield from names_in_yaml(path.read_text(encoding="utf-8"), relative)
    elif path.suffix == ".ipynb":
        for kind, source, number in _cells(path):
            if kind == "code":
                yield from names_in_python(source, f"{relative} cell {number}")


def phrases(path: Path) -> Iterator[Violation]:
    """Forbidden phrases in a file."""
    relative = path.relative_to(ROOT).as_posix()
    if path.suffix == ".py":
        yield from phrases_in_python(path.read_text(encoding="utf-8"), relative)
    elif path.suffix == ".ipynb":
        for kind, source, number in _cells(path):
            check = phrases_in_python if kind == "code" else phrases_in_text
            yield from check(source, f"{relative} cell {number}")
    elif path.suffix in TEXTS:
        text = path.read_text(encoding="utf-8")
        if relative == "docs/glossary.md":  # without the table of exceptions itself, line numbers as they are
            before, table, after = _exceptions_section(text)
            text = before + re.sub(r"[^\n]", "", table) + after
        if relative == "CHANGELOG.md":  # without its tables, which list former names
            text = re.sub(r"^\|.*", "", text, flags=re.MULTILINE)
        yield from phrases_in_text(text, relative)


def files(paths: Iterable[Path] = ()) -> list[Path]:
    """Files of the project at or below some paths; all without any."""
    roots = [path.resolve() for path in paths] or [ROOT / folder for folder in FOLDERS]
    chosen = {file for root in roots if root.is_dir() for file in root.rglob("*") if file.is_file()}
    chosen |= {root for root in roots if root.is_file()}
    if not paths:
        chosen |= {path for path in ROOT.iterdir() if path.is_file() and path.suffix in {".md", ".toml", ".cff"}}
    readable = TEXTS | {".py", ".ipynb"}
    skipped = {"__pycache__", ".venv", ".ci-venv", ".git", "golden", ".ipynb_checkpoints", "generated"}
    return sorted(
        path
        for path in chosen
        if path.suffix in readable
        and not skipped & set(path.parts)
        and not path.relative_to(ROOT).as_posix().startswith(EXEMPT)
    )


# --- exceptions


def _exceptions_section(text: str) -> tuple[str, str, str]:
    """Text before the section of exceptions, the section, and the text after it."""
    before, heading, rest = text.partition("\n## Exceptions\n")
    table, following, after = rest.partition("\n## ")
    return before, heading + table, following + after


def read_exceptions(text: str) -> list[tuple[str, str]]:
    """Name or phrase, and the pattern of the files in which it may stand."""
    table = _exceptions_section(text)[1]
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| \S.* \|$", table, re.MULTILINE)
    assert len(rows) == max(0, len(re.findall(r"^\|", table, re.MULTILINE)) - 2), "a row that cannot be read"
    return rows


def is_exception(violation: Violation, name: str, pattern: str) -> bool:
    """Whether a row of the table allows a violation."""
    if name not in {violation.name, violation.term}:
        return False
    return fnmatch.fnmatch(violation.path.split(" cell ")[0], pattern)


EXCEPTIONS = read_exceptions((ROOT / "docs/glossary.md").read_text(encoding="utf-8"))


@functools.cache
def _reports(path: Path) -> dict[Callable, tuple[Violation, ...]]:
    """What both checks report for a file, one after the other: they have the nodes of its source in common."""
    return {check: tuple(check(path)) for check in (names, phrases)}


def reported(check: Callable, path: Path) -> tuple[Violation, ...]:
    """What a check reports for a file."""
    return _reports(path)[check]


def violations(check, paths: Iterable[Path] = ()) -> list[Violation]:
    """What a check reports for some files, without the exceptions."""
    return [
        violation
        for path in files(paths)
        for violation in reported(check, path)
        if not any(is_exception(violation, *row) for row in EXCEPTIONS)
    ]


def names_in_registry() -> Iterator[Violation]:
    """Forbidden settings, variables, coordinates and tables of the study kinds of this package."""
    from membrane_dask.config import Model
    from membrane_dask.studies.registry import kinds

    def nested_models(annotation: object) -> Iterator[type[Model]]:
        if isinstance(annotation, type) and issubclass(annotation, Model):
            yield annotation
        for argument in typing.get_args(annotation):
            yield from nested_models(argument)

    def settings(model: type[Model]) -> Iterator[tuple[str, str]]:
        for name, field in model.model_fields.items():
            yield model.__name__, name
            for nested in nested_models(field.annotation):
                yield from settings(nested)

    for kind in kinds().values():
        if not kind.model.startswith("membrane_dask."):
            continue
        path = f"membrane_dask/studies/{kind.name}"
        for owner, name in dict.fromkeys(settings(kind.settings_class)):
            for key in (name, f"{owner}.{name}"):
                if key in SETTINGS:
                    yield Violation(f"{path}/config.py", 1, key, SETTINGS[key], name)
            if term := check_identifier(name):
                yield Violation(f"{path}/config.py", 1, *term, name)
        for schema in kind.schemas:
            declared = [schema.name, *(v.path for v in schema.variables), *(c.name for c in schema.coordinates)]
            for name in dict.fromkeys(declared):
                if term := check_result(name):
                    yield Violation(f"{path}/variables.py", 1, *term, name)


# --- tests


def test_names_are_terms_of_the_field():
    report = violations(names)
    report += [v for v in names_in_registry() if not any(is_exception(v, *row) for row in EXCEPTIONS)]
    assert not report, "\n" + "\n".join(map(str, report))


def test_texts_are_plain_technical_english():
    report = violations(phrases)
    assert not report, "\n" + "\n".join(map(str, report))


def test_every_exception_is_needed():
    reports = [violation for path in files() for check in (names, phrases) for violation in reported(check, path)]
    reports += names_in_registry()
    unused = [row for row in EXCEPTIONS if not any(is_exception(violation, *row) for violation in reports)]
    assert not unused


@pytest.mark.parametrize(
    ("source", "term"),
    [
        ("def found(): ...", "found"),
        ("class SetAside: ...", "set_aside"),
        ("def f(set_aside): ...", "set_aside"),
        ("_KNOBS = 1", "knobs"),
        ("self.share_wider = 2", "share"),
        ("for part in (): ...", "part"),
        ("import numpy as words", "words"),
        ("try: ...\nexcept ValueError as told: ...", "told"),
        ("lambda ball: 0", "ball"),
        ("class S(Model):\n    sides: int = parameter(1, '')", "sides"),
        ("class NetworkSettings(Model):\n    radius: int = parameter(1, '')", "NetworkSettings.radius"),
        ("Variable('porosity_upper', ())", "porosity_upper"),
        ("Coordinate('ends', '1', '')", "ends"),
    ],
)
def test_a_forbidden_name_is_reported(source, term):
    assert [violation.term for violation in names_in_python(source, "x.py")] == [term]


@pytest.mark.parametrize(
    "source",
    [
        "partition = shared = halfway = particle = degrees_of_freedom = path.parts",
        "Variable('hagen_poiseuille_radius_upper', ())",
        "class S(Model):\n    radius: int = parameter(1, '')",
        "Variable('permeability_upper_bound', ())",
    ],
)
def test_a_standard_name_passes(source):
    assert not list(names_in_python(source, "x.py"))


@pytest.mark.parametrize(
    ("source", "line", "term"),
    [
        ('"""All balls\n\nare round."""', 1, "balls"),
        ("x = 1\n# a unit is set\n# aside", 2, "set aside"),
        ("f(\n    'one ' 'or '\n    'ways through'\n)", 3, "ways through"),
        ("f'{x} of the Share'", 1, "share"),
        ("'permeability_upper'", 1, "permeability_upper"),
    ],
)
def test_a_forbidden_phrase_is_reported(source, line, term):
    assert [(violation.line, violation.term) for violation in phrases_in_python(source, "x.py")] == [(line, term)]


def test_former_names_and_longer_words_pass():
    source = "parameter(1, 'shared, besides', formerly='share', former_values={'beside': 'ball'})"
    assert not list(phrases_in_python(source, "x.py"))


def test_keys_of_a_study_file_are_checked():
    source = "flow:\n  sides: wall # knob: 1\n  data: [{more: a}]\n"
    assert [violation.term for violation in names_in_yaml(source, "x.yaml")] == ["sides", "more"]


def main(arguments: list[str]) -> int:
    """Print the violations in some files; the exit status is 1 when there are any."""
    paths = [Path(argument) for argument in arguments]
    report = sorted({*violations(names, paths), *violations(phrases, paths)}, key=lambda v: (v.path, v.line, v.term))
    print("\n".join(map(str, report)) or "no violations")
    print(f"{len(report)} violations", file=sys.stderr)
    return bool(report)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
