"""The HTML page of a comparison: parameters and properties in tables, pictures of both runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from jinja2 import Environment

from membrane_dask.engine.exported_run import ExportedRun
from membrane_dask.engine.run import Run
from membrane_dask.errors import ReportError
from membrane_dask.files import is_url, url_text, write_atomically
from membrane_dask.report.comparison import Comparison
from membrane_dask.report.equal_axes import equal_axes
from membrane_dask.report.page import Drawing, Picture, Section, drawing, page_head, page_script, page_style
from membrane_dask.studies.registry import find_kind

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
{{ head }}
<title>{{ names | join(" and ") }}</title>
<style>
{{ style }}
body { max-width: 96rem }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem }
.pair h3 { font-size: 1rem; margin: 0 }
</style>
</head>
<body>
<h1>{{ names[0] }} and {{ names[1] }}</h1>
<p class="lead">Two runs of kind {{ kind }}. membrane-dask {{ version }}.</p>
{% macro table(header, rows) %}
<table><thead><tr>{% for cell in header %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% endmacro %}
<h2>Parameters that differ</h2>
{% if parameters %}{{ table(["parameter"] + names, parameters) }}
{% else %}<p>{{ parameter_note }}</p>{% endif %}
<h2>Properties</h2>
<p>{{ note }}</p>
{% if properties %}{{ table(header, properties) }}{% endif %}
{% for title, pairs in pictures %}
<h2>{{ title }}</h2>
{% for pair in pairs %}
<div class="pair">
{% for name, item in pair %}
<div><h3>{{ name }}</h3>
{% if item %}
<figure role="group" aria-label="{{ item.alt }}"><div class="drawing">{{ item.svg }}</div>
<script type="application/json">{{ item.data }}</script>
<figcaption>{{ item.caption }}</figcaption></figure>
{% else %}<p>No such picture.</p>{% endif %}</div>
{% endfor %}
</div>
{% endfor %}
{% endfor %}
<script>{{ script }}</script>
</body>
</html>
"""


def write_comparison(comparison: Comparison, path: str | Path) -> Path:
    """Write a comparison as one self-contained HTML file, with the pictures of both reports side by side.

    Parameters
    ----------
    comparison : Comparison
        Of :func:`membrane_dask.compare`.
    path : str or Path
        The file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ReportError
        If matplotlib is missing, ``path`` is a URL, or a run is an exported one, which has no pictures of its own.
    """
    if is_url(path):
        raise ReportError(f"a comparison is written to a file of this machine (got {url_text(path)!r})")
    from membrane_dask import __version__

    names = [run.name for run in comparison.runs]
    pictures = _drawn(names, _pairs(*(_pictures(run) for run in comparison.runs)))
    drawings = (item for _, rows in pictures for row in rows for _, item in row if item)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(_TEMPLATE).render(
        names=names,
        kind=comparison.runs[0].kind,
        version=__version__,
        head=page_head(),
        style=page_style(drawings),
        script=page_script(),
        parameters=comparison.parameters,
        header=comparison.property_header,
        properties=comparison.property_rows(),
        note=comparison.note,
        parameter_note=comparison.parameter_note,
        pictures=pictures,
    )
    write_atomically(Path(path).resolve(), text)
    return Path(path)


def _pictures(run: Run | ExportedRun) -> dict[str, list[Picture]]:
    """Pictures of the report of a run by section."""
    if isinstance(run, ExportedRun):
        raise ReportError(
            f"pictures need the run itself, {run.location} is an exported one: leave out --html, or write its report "
            f"with: membrane-dask report {run.location}"
        )
    kind = find_kind(run.kind)
    if not kind.report:
        return {}
    try:
        sections: list[Section] = kind.report_sections(run)
    except ImportError as error:
        raise ReportError(f"pictures need {error.name}: pip install 'membrane-dask[viz]'") from error
    pictures: dict[str, list[Picture]] = {}
    for section in sections:
        if items := [item for item in section.contents if isinstance(item, Picture)]:
            pictures.setdefault(section.title, []).extend(items)
    return pictures


def _pairs(
    first: dict[str, list[Picture]], second: dict[str, list[Picture]]
) -> Iterator[tuple[str, list[tuple[Picture | None, Picture | None]]]]:
    """Pictures of both runs by section, on equal axes; None stands for a picture that one of them lacks."""
    for title in dict.fromkeys([*first, *second]):
        pairs = list(zip_longest(first.get(title, []), second.get(title, [])))
        for pair in pairs:
            if None not in pair:
                equal_axes(pair[0].figure, pair[1].figure)
        yield title, pairs


def _drawn(
    names: list[str], pairs_by_title: Iterable[tuple[str, list[tuple[Picture | None, Picture | None]]]]
) -> list[tuple[str, list[list[tuple[str, Drawing | None]]]]]:
    """Drawings of the pictures with the names of their runs, by section."""
    sections = []
    for number, (title, pairs) in enumerate(pairs_by_title):
        rows = []
        for position, pair in enumerate(pairs):
            prefix = f"s{number}-{position}"
            drawings = [drawing(item, f"r{k}-{prefix}") if item else None for k, item in enumerate(pair)]
            rows.append(list(zip(names, drawings, strict=True)))
        sections.append((title, rows))
    return sections
