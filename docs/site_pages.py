"""Reference pages of the site: commands, settings and results of the study kinds, and modules."""

from __future__ import annotations

import ast
import importlib
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from make_glossary import nested_models, own_kinds, table, unit_text
from typer.main import get_command

from membrane_dask.cli.commands import app
from membrane_dask.config import BaseStudy, Model
from membrane_dask.studies.registry import StudyKind
from membrane_dask.study_file import bounds_text


def write(docs: Path) -> None:
    """Write all pages to ``docs/generated/reference``."""
    folder = docs / "generated/reference"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"commands": commands_page(), "all-kinds": common_settings_page()}
    pages |= {name: kind_page(name, kind) for name, kind in own_kinds().items()}
    for name, text in pages.items():
        update(folder / f"{name}.md", text)
    write_modules(docs)
    update(docs / "generated/benchmarks.md", benchmarks_page(docs.parent / "benchmarks"))
    # The page stands in deploy/, one folder nearer to the root of the repository.
    cluster = (docs.parent / "deploy/README.md").read_text(encoding="utf-8")
    update(docs / "generated/cluster.md", cluster.replace("](../docs/", "](../"))


def update(path: Path, text: str) -> None:
    """Write a file if its content changes, so that a further build reads only what is new."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


# --- commands


def commands_page() -> str:
    """All commands with their arguments and options."""
    sections = ["# Commands", "`membrane-dask COMMAND --help` prints the same."]

    def add(name: str, command: Any) -> None:
        arguments = [argument_name(p) for p in command.params if p.param_type_name == "argument"]
        sections.extend([f"## {name}", "```text\n" + " ".join(["membrane-dask", name, *arguments]) + "\n```"])
        sections.append(re.sub(r"\n(?=\S)", " ", command.help or ""))
        rows = [parameter_row(p) for p in command.params if not getattr(p, "hidden", False) and "--help" not in p.opts]
        if rows:
            sections.append(table(("argument, option", "meaning"), rows))
        for sub_name, sub_command in getattr(command, "commands", {}).items():
            add(f"{name} {sub_name}", sub_command)

    for name, command in get_command(app).commands.items():
        if not command.hidden:
            add(name, command)
    return "\n\n".join(sections) + "\n"


def argument_name(argument: Any) -> str:
    """Name of an argument as a usage line has it, in brackets if it may be left out."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def parameter_row(parameter: Any) -> tuple[str, str]:
    """Spellings and meaning of an argument or option of a command."""
    if parameter.param_type_name == "argument":
        return f"`{argument_name(parameter)}`", parameter.help or ""
    names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    value = parameter.metavar or parameter.name.upper()
    return names if parameter.is_flag else f"{names} `{value}`", parameter.help or ""


# --- settings


def common_settings_page() -> str:
    """Settings that all kinds have."""
    head = "# Settings of all kinds\n\nKeys that a study of any kind has, in addition to those of its kind."
    return f"{head}\n\n{settings_table(BaseStudy)}\n"


def settings_table(model: type[Model], skip: frozenset[str] = frozenset()) -> str:
    """Table of all settings of a model and of the models within it."""
    return table(("key", "default", "meaning"), list(dict.fromkeys(settings_rows(model, skip=skip))))


def settings_rows(
    model: type[Model], prefix: str = "", skip: frozenset[str] = frozenset()
) -> Iterator[tuple[str, ...]]:
    """Key, default and meaning of every setting; the meaning ends with unit, allowed values and source."""
    written = model.model_construct().model_dump(mode="json", warnings=False)
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        nested = list(dict.fromkeys(nested_models(field.annotation)))
        if field.description:
            default = "required" if field.is_required() else "" if nested else f"`{json.dumps(written[name])}`"
            unit = unit_text(str(extra.get("unit", "")))
            allowed = bounds_text(field.metadata) or choices(field.annotation)
            source = str(extra.get("source", ""))
            meaning = [field.description, f"[{unit}]" if unit else "", f"({allowed})" if allowed else "", source]
            yield f"`{prefix}{name}`", default, " ".join(filter(None, meaning))
        for separator, inner in nested:
            yield from settings_rows(inner, prefix + name + separator)


def choices(annotation: Any) -> str:
    """Values of a setting that has a fixed set of them."""
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    return ", ".join(filter(None, (choices(argument) for argument in typing.get_args(annotation))))


# --- study kinds


def kind_page(name: str, kind: StudyKind) -> str:
    """Settings and result tables of a study kind."""
    summary = (kind.settings_class.__doc__ or "").strip().splitlines()[0]
    sections = [
        f"# {name}",
        f"{summary} [Methods and validation](../../{name}.md); [settings of all kinds](all-kinds.md).",
        "## Settings",
        settings_table(kind.settings_class, skip=frozenset(BaseStudy.model_fields)),
        "## Results",
        "Tables of `run.result`, their variables, dimensions and units.",
    ]
    coordinates = {coordinate.name: coordinate for schema in kind.schemas for coordinate in schema.coordinates}
    groups: dict[tuple[str, ...], list[Any]] = {}
    for schema in kind.schemas:
        groups.setdefault(tuple(variable.path for variable in schema.variables), []).append(schema)
    for schemas in groups.values():
        sections.append("### " + ", ".join(schema.name for schema in schemas))
        if schemas[0].description:
            sections.append(schemas[0].description[0].upper() + schemas[0].description[1:].rstrip(".") + ".")
        rows = [
            (f"`{v.path}`", ", ".join(v.dims), unit_text(v.units), v.long_name + (f" ({v.source})" if v.source else ""))
            for v in schemas[0].variables
        ]
        sections.append(table(("variable", "dimensions", "unit", "meaning"), rows))
    if coordinates:
        rows = [(f"`{c.name}`", unit_text(c.units), c.long_name) for c in coordinates.values()]
        sections += ["### Coordinates", table(("coordinate", "unit", "meaning"), rows)]
    return "\n\n".join(sections) + "\n"


# --- benchmarks


def benchmarks_page(folder: Path) -> str:
    """What each benchmark measures, and its command."""
    sections = ["# Benchmarks", "Each has the option `--smoke`, which runs it with its smallest input."]
    for path in sorted(folder.glob("[a-z]*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        sections.append(f"## {path.stem}")
        for paragraph in docstring.split("\n\n"):
            aligned = re.search(r"^ {4}|\S {2,}\S", paragraph, re.MULTILINE)
            sections.append(f"```text\n{textwrap.dedent(paragraph)}\n```" if aligned else paragraph)
    return "\n\n".join(sections) + "\n"


# --- modules

#: Modules by which a package of its own adds a study kind.
CONTRACT = ("config", "program", "schema", "quantities", "errors")


def write_modules(docs: Path) -> None:
    """A page for each module of the numerical methods and of the contract of study kinds."""
    folder = docs / "generated/modules"
    folder.mkdir(parents=True, exist_ok=True)
    for name in CONTRACT:
        update(folder / f"{name}.md", module_page(f"membrane_dask.{name}"))
    physics = docs.parent / "membrane_dask/physics"
    for subpackage in (physics, *sorted(path.parent for path in physics.glob("*/__init__.py"))):
        name = ".".join(subpackage.relative_to(physics.parent).parts)
        modules = [path.stem for path in sorted(subpackage.glob("[a-z]*.py"))]
        for module in modules:
            update(folder / f"{name}.{module}.md", module_page(f"membrane_dask.{name}.{module}"))
        rows = [(f"[{module}]({name}.{module}.md)", summary(f"membrane_dask.{name}.{module}")) for module in modules]
        toctree = "\n".join(["```{toctree}", ":hidden:", "", *(f"{name}.{module}" for module in modules), "```"])
        sections = [f"# {name}", summary(f"membrane_dask.{name}"), table(("module", "content"), rows), toctree]
        update(folder / f"{name}.md", "\n\n".join(sections) + "\n")


def module_page(name: str) -> str:
    """Functions and classes of a module."""
    return f"# {name.rpartition('.')[2]}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def summary(module: str) -> str:
    """First paragraph of the docstring of a module."""
    return (importlib.import_module(module).__doc__ or "").strip().split("\n\n")[0]


def headings_as_rubrics(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Sections of a module's docstring, such as References, as titles that may repeat within the site."""
    if what == "module":
        for index in range(len(lines) - 1, 0, -1):
            if re.fullmatch("-{3,}", lines[index]):
                lines[index - 1 : index + 1] = [f".. rubric:: {lines[index - 1]}", ""]


def skip_aliases(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Leave out aliases of types, whose signature autodoc cannot write."""
    return True if isinstance(value, types.GenericAlias) else None


# --- pages that have other tables on the site


def to_pages_of_the_site(app: Any, name: str, source: list[str]) -> None:
    """Lead links to files of the repository to their pages, and leave out what stands on pages of its own."""
    up = "../" * name.count("/")
    source[0] = source[0].replace(f"]({up}../deploy/README.md", f"]({up}generated/cluster.md")
    source[0] = re.sub(
        rf"\]\({re.escape(up)}\.\./benchmarks(?:/(\w+)\.py)?\)",
        lambda match: f"]({up}generated/benchmarks.md" + (f"#{match[1].replace('_', '-')})" if match[1] else ")"),
        source[0],
    )
    if name == "glossary":  # its tables are the reference pages here
        link = "See [the reference](reference/index.md)."
        source[0] = re.sub(r"<!-- begin: (\w+) -->.*?<!-- end: \1 -->", link, source[0], flags=re.DOTALL)
