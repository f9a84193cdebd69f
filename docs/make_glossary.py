"""Write the generated tables of docs/glossary.md: commands, settings and result variables.

    python docs/make_glossary.py           write the file
    python docs/make_glossary.py --check   exit with 1 if it is out of date

The tables are those of the installed study kinds that this package provides. Everything else on the page is written by
hand, outside the marks ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from membrane_dask.cli.commands import app
from membrane_dask.config import BaseStudy, Model
from membrane_dask.schema import TableSchema
from membrane_dask.studies.registry import StudyKind, kinds

PAGE = Path(__file__).with_name("glossary.md")


def own_kinds() -> dict[str, StudyKind]:
    """Study kinds of this package, without those of other installed packages."""
    return {name: kind for name, kind in kinds().items() if kind.model.startswith("membrane_dask.")}


def row(*cells: str) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join([row(*header), row(*["---"] * len(header)), *(row(*cells) for cells in rows)])


def unit_text(unit: str) -> str:
    """Unit as the tables show it; empty for dimensionless."""
    return "" if unit in ("", "1") else unit


# --- commands


def commands_table() -> str:
    """All commands with their arguments and options."""
    rows = []

    def add(name: str, command: Any) -> None:
        rows.append((f"`{name}`", (command.help or "").split("\n\n")[0]))
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden and "--help" not in parameter.opts:
                names = "/".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
                rows.append((f"`{name}` {names}", parameter.help or ""))
        for sub_name, sub_command in getattr(command, "commands", {}).items():
            add(f"{name} {sub_name}", sub_command)

    for name, command in get_command(app).commands.items():
        if not command.hidden:
            add(name, command)
    return table(("command, option", "meaning"), rows)


# --- settings


def nested_models(annotation: Any) -> Iterator[tuple[str, type[Model]]]:
    """Models within the annotation of a field, and what separates their keys from the name of the field."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield ".", annotation
        return
    repeated = typing.get_origin(annotation) in (tuple, list, dict)
    for argument in typing.get_args(annotation):
        for separator, model in nested_models(argument):
            yield ("[]." if repeated and not separator.startswith("[]") else separator), model


def settings_rows(model: type[Model], prefix: str = "", skip: frozenset[str] = frozenset()) -> list[tuple[str, ...]]:
    """Key, unit and meaning of all fields of a model and of the models within it."""
    rows: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        key = prefix + name
        if field.description:
            rows.append((f"`{key}`", unit_text(str(extra.get("unit", ""))), field.description))
        for separator, nested in dict.fromkeys(nested_models(field.annotation)):
            rows += settings_rows(nested, key + separator)
    return list(dict.fromkeys(rows))


def settings_tables() -> str:
    """Settings common to all kinds, then those of each kind."""
    header = ("key", "unit", "meaning")
    shared = frozenset(BaseStudy.model_fields)
    sections = ["### All kinds", table(header, settings_rows(BaseStudy))]
    for name, kind in own_kinds().items():
        sections += [f"### {name}", table(header, settings_rows(kind.settings_class, skip=shared))]
    return "\n\n".join(sections)


# --- results


def results_tables() -> str:
    """Variables and coordinates of the result tables of each kind."""
    sections = []
    for name, kind in own_kinds().items():
        sections.append(f"### Results of {name}")
        coordinates = {}
        groups: dict[tuple[str, ...], list[TableSchema]] = {}
        for schema in kind.schemas:
            groups.setdefault(tuple(variable.path for variable in schema.variables), []).append(schema)
            coordinates.update({c.name: c for c in schema.coordinates})
        for schemas in groups.values():
            names = ", ".join(f"`{schema.name}`" for schema in schemas)
            description = f": {schemas[0].description}" if schemas[0].description else ""
            sections.append(f"{'Table' if len(schemas) == 1 else 'Tables'} {names}{description}")
            rows = []
            for variable in schemas[0].variables:
                dims = f" ({', '.join(variable.dims)})" if variable.dims else ""
                rows.append((f"`{variable.path}`{dims}", unit_text(variable.units), variable.long_name))
            sections.append(table(("variable", "unit", "meaning"), rows))
        if coordinates:
            rows = [(f"`{c.name}`", unit_text(c.units), c.long_name) for c in coordinates.values()]
            sections += ["Coordinates", table(("coordinate", "unit", "meaning"), rows)]
    return "\n\n".join(sections)


GENERATED = {"commands": commands_table, "settings": settings_tables, "results": results_tables}


def update(text: str) -> str:
    """The page with its generated tables replaced."""
    for name, make in GENERATED.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        replacement = f"{begin}\n\n{make()}\n\n{end}"
        text, count = re.subn(pattern, lambda match, new=replacement: new, text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{PAGE}: the marks of {name!r} must stand there once (found {count} times)")
    return text


def main() -> None:
    """Write the page, or check it."""
    text = PAGE.read_text(encoding="utf-8")
    updated = update(text)
    if "--check" in sys.argv[1:]:
        if updated != text:
            raise SystemExit(f"{PAGE} is out of date; run: python docs/make_glossary.py")
        return
    PAGE.write_text(updated, encoding="utf-8")


if __name__ == "__main__":
    main()
