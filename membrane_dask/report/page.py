"""The HTML page of a report: sections of text, tables, figures and claims in one self-contained file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import matplotlib as mpl
from jinja2 import Environment
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membrane_dask.engine.records import read_findings, read_outcomes
from membrane_dask.engine.run import Run
from membrane_dask.plain_text import printable_line
from membrane_dask.report.figure_data import DPI, figure_data, identify_artists, panel_box
from membrane_dask.report.length_axes import label_lengths
from membrane_dask.report.origin import origin_rows
from membrane_dask.report.page_colors import color_rules, with_page_colors
from membrane_dask.report.plain_ticks import label_plainly
from membrane_dask.report.table_csv import table_csv

#: Style of all figures. Text stays text, so that a figure can be searched and read aloud.
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "membrane-dask",
    "axes.formatter.limits": (-2, 3),
    "axes.formatter.use_mathtext": True,
}


@dataclass(frozen=True)
class Picture:
    """A figure with its caption; ``alt`` says it to those who cannot see it.

    Parameters
    ----------
    figure : Figure
        The figure. It is drawn when the page is made.
    caption, alt : str
    volumes : mapping of Axes to dict
        Panels that show a volume, and the :func:`~membrane_dask.report.turning_volume.turning_volume` of each.
    """

    figure: Figure
    caption: str
    alt: str
    volumes: Mapping[Axes, dict[str, Any]] = field(default_factory=dict)

    @property
    def svg(self) -> str:
        """The figure as SVG; the same figure is the same text."""
        return self.drawn()[0]

    def drawn(self) -> tuple[str, dict[str, Any]]:
        """The figure as SVG, and its :func:`~membrane_dask.report.figure_data.figure_data`, with its volumes."""
        resolution = self.figure.dpi
        self.figure.set_dpi(DPI)  # of SVG files: positions in them are those of the figure
        with mpl.rc_context(STYLE):
            label_lengths(self.figure)
            label_plainly(self.figure)
            identify_artists(self.figure)
            stream = io.StringIO()
            self.figure.savefig(stream, format="svg", dpi=resolution, metadata={"Date": None, "Creator": None})
            data = figure_data(self.figure)
        data["volumes"] = [volume | {"box": panel_box(axis)} for axis, volume in self.volumes.items()]
        self.figure.set_dpi(resolution)
        svg = stream.getvalue()
        return svg[svg.index("<svg") :], data


@dataclass(frozen=True)
class Drawing:
    """A picture as it stands on a page, where its identifiers are unique.

    Parameters
    ----------
    svg : Markup
        The figure, with the colours of the page.
    file : str
        The figure with its own colours, as an address from which it is saved.
    data : Markup
        What the script needs to know of it, as JSON.
    caption, alt : str
    """

    svg: Markup
    file: str
    data: Markup
    caption: str
    alt: str


@dataclass(frozen=True)
class Grid:
    """A table; of a long one, the page shows the first ``shown`` rows, and the others on request."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    shown: int | None = None

    @property
    def file(self) -> str:
        """The table as CSV, as an address from which it is saved."""
        return _csv_address(table_csv(self.header, self.rows))


def from_columns(columns: Iterable[tuple[str, Sequence[str]]], caption: str = "") -> Grid:
    """A table of columns, each a header and its cells, such as those of ``quantity_column``."""
    header, cells = zip(*columns, strict=True)
    return Grid(header, list(zip(*cells, strict=True)), caption)


@dataclass(frozen=True)
class Note:
    """A sentence set apart from the text: it limits what the results mean, or is an outcome, which is no warning."""

    note: str
    is_outcome: bool = False


@dataclass(frozen=True)
class Download:
    """A file, such as a table as CSV, that the page contains and offers under a name.

    Parameters
    ----------
    name : str
        File name.
    label : str
        Text of the link.
    text : str
        Contents of the file.
    """

    name: str
    label: str
    text: str

    @property
    def address(self) -> str:
        """The contents as an address that the link opens."""
        return _csv_address(self.text)


@dataclass(frozen=True)
class Claim:
    """A published claim, its outcome in this run (``holds``, ``fails`` or ``open``), and the numbers behind it."""

    text: str
    outcome: str
    numbers: str


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    title: str
    text: str = ""
    contents: Sequence[Picture | Grid | Note | Download | Claim] = field(default_factory=tuple)


def _csv_address(text: str) -> str:
    return f"data:text/csv;base64,{base64.b64encode(text.encode()).decode()}"


def literal_label(text: object) -> str:
    """A label from a table of the user for a figure, where ``$`` would begin a formula."""
    return printable_line(text).replace("$", r"\$")


def picture(figure: Figure, caption: str, alt: str, volumes: Mapping[Axes, dict[str, Any]] | None = None) -> Picture:
    """A finished figure with its caption; see :class:`Picture`."""
    return Picture(figure, caption, alt, volumes or {})


#: Style sheet of all pages.
PAGE_STYLE = """body { font: 16px/1.5 system-ui, sans-serif; color: #1c2530; background: #fff; max-width: 68rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.4rem;
     border-bottom: 1px solid #d8dee6 }
.lead { color: #5a6675; margin-top: 0 }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem } th, td { text-align: left;
        padding: .15rem .9rem .15rem 0; vertical-align: top } thead th { border-bottom: 1px solid #9aa6b4 }
summary { cursor: pointer; font-size: .9rem; color: #5a6675; margin: -.4rem 0 .8rem }
p.file { margin: -.4rem 0 .8rem; font-size: .9rem }
td { font-variant-numeric: tabular-nums }
figure { margin: 1.2rem 0; overflow-x: auto } figure svg { max-width: 100%; height: auto; display: block }
.drawing { position: relative; width: fit-content; max-width: 100% }
.drawing canvas { position: absolute; opacity: 0; cursor: grab; touch-action: pan-y } canvas.turned { opacity: 1 }
.tooltip { position: fixed; z-index: 1; max-width: 24rem; padding: .3rem .6rem; font-size: .85rem; color: #1c2530;
           background: #fff; border: 1px solid #9aa6b4; border-radius: 4px; white-space: pre-line;
           pointer-events: none }
.tooltip:empty { display: none }
.entry { fill: #fff; fill-opacity: 0; cursor: pointer } .entry[aria-pressed="false"] { fill-opacity: .75 }
.mark { fill: none; stroke: #d1410c; stroke-width: 1.5; pointer-events: none }
figcaption, caption { color: #5a6675; font-size: .9rem; text-align: left; caption-side: top }
.claim { display: grid; grid-template-columns: 5.5rem 1fr; gap: 0 1rem; margin: .5rem 0 }
.claim small { grid-column: 2; color: #5a6675 }
.outcome { font-weight: 600 } .holds { color: #1c7c43 } .fails { color: #b3341f } .open { color: #7a6a1f }
.note, .result { padding: .4rem .8rem; border-radius: 4px } .note { background: #fff6d8 }
.result { background: #e6f3ea }
.origin td { overflow-wrap: anywhere }
@media screen and (prefers-color-scheme: dark) {
  html { color-scheme: dark } body { color: #dde3ea; background: #14181d } a { color: #7ab8f5 }
  h2 { border-bottom-color: #3a4450 } thead th { border-bottom-color: #5a6675 }
  .lead, figcaption, caption, summary, .claim small { color: #9aa6b4 }
  .holds { color: #6fcf97 } .fails { color: #ff8a75 } .open { color: #e0cc70 } .note { background: #3b3416 }
  .result { background: #1b3325 }
  figure svg { fill: #dde3ea } .entry { fill: #14181d }
  .tooltip { color: #dde3ea; background: #232a32 }
}
@media print {
  .file, .hint, .tooltip, .mark, canvas { display: none }
  body { max-width: none; margin: 0 } figure, .claim, tr { break-inside: avoid }
}
"""

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
{{ head }}
<title>{{ run.name }}</title>
<style>
{{ style }}
</style>
</head>
<body>
<h1>{{ run.name }}</h1>
<p class="lead">{{ metadata.title }}. membrane-dask {{ version }}, seed {{ metadata.seed }}.</p>
{% if status.state != "complete" %}
<p class="note">This run is not complete: {{ status.done }} of {{ status.done + status.failed + status.left +
status.running }} units are done, {{ status.failed }} failed ({{ status.state }}). All numbers below are those of
finished units.</p>
{% endif %}
{% for style, sentences in findings if sentences %}
<p class="{{ style }}">{{ sentences | join("<br>" | safe) }}</p>
{% endfor %}
{% for section in sections %}{% set section_number = loop.index %}
<h2>{{ section.title }}</h2>
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% for item in section.contents %}
{% if item.svg is defined %}
<figure role="group" aria-label="{{ item.alt }}"><div class="drawing">{{ item.svg }}</div>
<script type="application/json">{{ item.data }}</script>
<figcaption>{{ item.caption }} <a class="file" href="{{ item.file }}"
download="{{ run.name }}-{{ section_number }}-{{ loop.index }}.svg">SVG</a></figcaption></figure>
{% elif item.header is defined %}
<table>{% if item.caption %}<caption>{{ item.caption }}</caption>{% endif %}
<thead><tr>{% for cell in item.header %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in item.rows[:item.shown] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% if item.shown is not none and item.rows[item.shown:] %}
<details><summary>{{ item.rows[item.shown:] | length }} more rows</summary><table>
<thead><tr>{% for cell in item.header %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in item.rows[item.shown:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></details>
{% endif %}
<p class="file"><a href="{{ item.file }}"
download="{{ run.name }}-{{ section_number }}-{{ loop.index }}.csv">CSV</a></p>
{% elif item.note is defined %}
<p class="{{ "result" if item.is_outcome else "note" }}">{{ item.note }}</p>
{% elif item.address is defined %}
<p><a download="{{ item.name }}" href="{{ item.address }}">{{ item.label }}</a></p>
{% else %}
<div class="claim"><span class="outcome {{ item.outcome }}">{{ labels[item.outcome] }}</span>
<span>{{ item.text }}</span>
<small>{{ item.numbers }}</small></div>
{% endif %}
{% endfor %}
{% endfor %}
<h2>Run</h2>
<table>{% for name, value in rows %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
<h2>Origin</h2>
<table class="origin">{% for name, value in origin %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
<h2>Study</h2>
<pre>{{ study }}</pre>
<p class="lead">{{ metadata.references }}</p>
<script>{{ script }}</script>
</body>
</html>
"""


def page_script() -> Markup:
    """The script of all pages: values where the pointer is, legends that hide series, volumes that turn."""
    return Markup((resources.files("membrane_dask.report") / "page.js").read_text(encoding="utf-8"))


def page_style(drawings: Iterable[Drawing]) -> Markup:
    """The style sheet of a page with some drawings."""
    return Markup(PAGE_STYLE + color_rules(one.svg for one in drawings))


def page_head() -> Markup:
    """What a page may load: nothing but its own styles and images, and the one script whose digest is given."""
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return Markup('<meta http-equiv="Content-Security-Policy" content="{}">').format(policy)


def render(run: Run, sections: Sequence[Section]) -> str:
    """HTML of the page.

    Parameters
    ----------
    run : Run
        The run.
    sections : sequence of Section
        Contents, in their order.
    """
    from membrane_dask import __version__

    metadata: dict[Any, Any] = dict(run.result.attrs)
    outcomes = read_outcomes(run.path)
    findings: dict[bool, list[str]] = {True: [], False: []}
    for text in read_findings(run.path):
        findings[text in outcomes].append(printable_line(text))
    sections = [drawn_section(section, f"f{number}") for number, section in enumerate(sections)]
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(_TEMPLATE)
        .render(
            head=page_head(),
            style=page_style(item for section in sections for item in section.contents if isinstance(item, Drawing)),
            script=page_script(),
            run=run,
            metadata=metadata,
            version=__version__,
            status=run.status(),
            sections=sections,
            findings=(("result", findings[True]), ("note", findings[False])),
            rows=[(name, text) for name, text in run.rows() if name != "finding"],
            origin=origin_rows(run),
            study=(run.path / "study.yaml").read_text(encoding="utf-8"),
            labels={"holds": "holds", "fails": "fails", "open": "undecided"},
        )
    )


def drawing(item: Picture, prefix: str) -> Drawing:
    """Draw a picture, with identifiers of its elements that begin with a prefix, so that a page has each once."""
    text, data = item.drawn()
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    for entry in data["legend"]:
        entry["ids"] = [f"{prefix}-{name}" for name in entry["ids"]]
    for series in data["series"]:
        series["id"] = f"{prefix}-{series['id']}"
    block = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    file = f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"
    return Drawing(Markup(with_page_colors(svg)), file, Markup(block), item.caption, item.alt)


def drawn_section(section: Section, prefix: str) -> Section:
    """A section with its pictures drawn; their identifiers begin with a prefix of the section."""
    contents: list[Any] = [
        drawing(item, f"{prefix}-{position}") if isinstance(item, Picture) else item
        for position, item in enumerate(section.contents)
    ]
    return Section(section.title, section.text, contents)
