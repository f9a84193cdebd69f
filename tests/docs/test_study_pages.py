"""Tables of parameters and results on the pages of the study kinds equal the declarations.

``python tests/docs/test_study_pages.py KIND`` prints both tables.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import membrane_dask as md
from membrane_dask.config import BaseStudy
from membrane_dask.studies.registry import StudyKind, find_kind

ROOT = Path(__file__).resolve().parents[2]
#: Pages of each kind, all with the sections Parameters and Results.
PAGES = {
    "chain": ["chain"],
    "characterize": ["characterize", "flow", "virtual-bench"],
    "foul": ["foul"],
    "graded": ["graded"],
    "porometry": ["porometry"],
    "reconstruct": ["reconstruct"],
}
#: Tables that repeat the variables of other ones.
REPEATED_TABLES = {
    "chain": ("reference_", "measured", "bench", "life"),
    "characterize": ("reference_", "difference"),
}


def parameter_rows(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Rows of the table of parameters, without those that all kinds have."""
    written = model.model_construct().model_dump(mode="json", warnings=False)
    for name, field in model.model_fields.items():
        if name in BaseStudy.model_fields or name == "kind":
            continue
        if isinstance(field.default, BaseModel):
            yield from parameter_rows(type(field.default), f"{prefix}{name}.")
            continue
        unit = dict(field.json_schema_extra or {}).get("unit", "1")
        default = "required" if field.is_required() else _text(field.default, written[name])
        yield f"| `{prefix}{name}` | {default} | {unit} | {field.description} |"


def variable_rows(kind: StudyKind) -> Iterator[str]:
    """Rows of the table of results; variables of a sub-group are preceded by its name."""
    for table in kind.schemas:
        if table.name.startswith(REPEATED_TABLES.get(kind.name, ())):
            continue
        for variable in table.variables:
            dims = ", ".join(variable.dims)
            source = variable.source.rpartition(", ")[2]
            yield f"| `{table.name}/{variable.path}` | {dims} | {variable.units} | {variable.long_name} | {source} |"


def _text(value: object, written: object = None) -> str:
    """Default of a parameter as a study file has it; ``written``: quantities with their units."""
    if isinstance(written, str) and not isinstance(value, str):
        return written
    if isinstance(value, (tuple, list)):
        items = [_text(item) for item in value]
        return items[0] if len(items) == 1 else f"[{', '.join(items)}]"
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def _page(name: str) -> str:
    return (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")


def _section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _rows(section: str) -> list[str]:
    return re.findall(r"^\| `.*\|$", section, re.M)


@pytest.mark.parametrize("name", PAGES)
def test_tables_equal_the_declarations(name):
    """In the order of the declarations; each row is on one page of the kind."""
    kind = find_kind(name)
    hint = f"print the table with: python tests/docs/test_study_pages.py {name}"
    for title, declared in (
        ("Parameters", list(parameter_rows(kind.settings_class))),
        ("Results", list(variable_rows(kind))),
    ):
        rows = [_rows(_section(_page(page), title)) for page in PAGES[name]]
        assert sorted(row for page_rows in rows for row in page_rows) == sorted(declared), hint
        for page_rows in rows:
            assert page_rows == [row for row in declared if row in page_rows], hint


@pytest.mark.parametrize("name", [page for pages in PAGES.values() for page in pages])
def test_files_and_functions_of_the_page_exist(name):
    page = _page(name)
    files = re.findall(r"\b((?:configs|benchmarks|notebooks|tests|docs)/[\w/.-]*\w)", page)
    assert files
    for file in files:
        assert (ROOT / file).exists(), file
    for function in re.findall(r"\bmd\.(\w+)", page):
        assert hasattr(md, function), function


if __name__ == "__main__":
    requested = find_kind(sys.argv[1])
    print("| key | default | unit | meaning |\n| --- | --- | --- | --- |")
    print("\n".join(parameter_rows(requested.settings_class)))
    print("\n| variable | dimensions | unit | meaning | source |\n| --- | --- | --- | --- | --- |")
    print("\n".join(variable_rows(requested)))
