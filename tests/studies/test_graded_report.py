"""Report of a graded run: figures, numbers equal to those of the run, and a self-contained file."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.errors import ReportError
from membrane_dask.number_text import interval_text
from membrane_dask.studies.graded.optimum import best_gradient
from membrane_dask.studies.graded.report import sections


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "report.yaml"
    path.write_text(
        "kind: graded\nl_max: [0.2, 0.25]\ngradient: [0, 1e-3, 2e-3, 3e-3]\nrealizations: 4\nporosity: 0.3\n"
        "porosity_tolerance: 0.02\ntime_step: 5e-4\ndeposition: [5e-7, 1e-6]\nflux_threshold: 3e-7\n"
    )
    study = md.load_study(path, cluster={"profile": "sync"})
    return md.run(study, tmp_path_factory.mktemp("report") / "<i>run<i>")


class Page(HTMLParser):
    """Collects text and links, and checks that every element is closed."""

    VOID = frozenset({"meta", "link", "br", "use", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open, self.text, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


#: Figures that are drawn. tests/cli/test_comparison.py and test_graded_odd_reports.py draw all.
DRAWN = 3


@pytest.fixture(scope="module")
def page(run, first_drawn):
    with first_drawn(DRAWN):
        path = md.write_report(run)
    assert path == run.path / "report.html"
    text = path.read_text(encoding="utf-8")
    parsed = Page()
    parsed.feed(text)
    assert not parsed.open
    return text, " ".join(" ".join(parsed.text).split()), parsed.links


def test_figures_of_pore_lengths_have_equal_axes(run):
    """Band porosities for 0.2 and for 0.25, and rows of the operation, of each of two deposition coefficients."""
    titled = {section.title: section for section in sections(run)}
    for suffix in ("λ = 5e-7", "λ = 1e-6"):
        first, second = [
            item.figure for item in titled[f"Band porosity evolution, {suffix}"].contents if "for l_max" in item.caption
        ]
        for one, other in zip(first.axes, second.axes, strict=True):
            assert (one.get_xlim(), one.get_ylim()) == (other.get_xlim(), other.get_ylim())
            for line in (*one.lines, *other.lines):
                assert np.nanmin(line.get_ydata()) >= one.get_ylim()[0]
                assert np.nanmax(line.get_ydata()) <= one.get_ylim()[1]
        (operation,) = titled[f"Operation, {suffix}"].contents
        rows = np.reshape([axis.get_ylim() for axis in operation.figure.axes], (2, 3, 2))
        assert np.array_equal(rows[0], rows[1])


def test_one_file_with_all_figures(page):
    html, text, links = page
    assert all(link.startswith(("#", "data:")) for link in links)  # the file is self-contained
    assert html.count("<svg") == 1 + 2 * 6  # trade-offs, and six for each of two coefficients
    names = re.findall(r'\bid="([^"]+)"', html)
    assert len(names) == len(set(names))
    assert " nan" not in text
    assert "<i>" not in html  # names are escaped


def test_numbers_of_the_tables_equal_those_of_the_run(page, run):
    _, text, _ = page
    table = run.result["graded"].to_dataset().isel(deposition=0)
    for l_max in table.l_max.values:
        samples = table.throughput.sel(l_max=l_max).transpose("realization", "gradient").values
        best = best_gradient(table.gradient.values, samples)
        assert interval_text(1e3 * best.gradient, 1e3 * best.gradient_low, 1e3 * best.gradient_high) in text
        assert interval_text(100 * best.gain, 100 * best.gain_low, 100 * best.gain_high) in text


def test_a_lifetime_without_an_interval_has_its_reason(page):
    assert "Lengths are in membrane thicknesses W; quantities without a unit are dimensionless." in page[1]
    assert "The lifetime is one of them: with deposition_law: published at constant pressure, a life ends" in page[1]


def test_the_paper_is_not_mentioned_where_the_study_is_another_one(page):
    html, text, _ = page
    assert "Gu, Fig." not in text
    assert "Claims" not in text
    assert not re.findall(r'class="\w+ (holds|fails|open)"', html)


def test_thresholds_list_all_coefficients(page):
    html, _, _ = page
    section = html.split("Other flux thresholds</h2>")[1].split("<h2>")[0]
    assert "<td>5e-7</td>" in section
    assert "<td>1e-6</td>" in section


def test_designs_as_csv(page, run):
    """One row for each design and coefficient; means, intervals and radii are those of the run."""
    html, _, _ = page
    (address,) = re.findall(r'download="designs.csv" href="([^"]*)"', html)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(address.partition(",")[2]).decode())))
    table = run.result["graded"].to_dataset()
    assert len(rows) == 2 * 4 * 2
    row = next(r for r in rows if (r["l_max"], r["gradient"], r["deposition"]) == ("0.25", "0.002", "1e-06"))
    values = table.throughput.sel(l_max=0.25, gradient=2e-3, deposition=1e-6).values
    assert float(row["throughput"]) == pytest.approx(values.mean(), rel=1e-7)
    half = 3.182446 * values.std(ddof=1) / np.sqrt(4)  # Student quantile for 3 degrees of freedom
    assert float(row["throughput_high"]) - float(row["throughput"]) == pytest.approx(half, rel=1e-5)
    assert float(row["log_reduction_value"]) > 0
    assert [row[f"radius_band_{band}"] for band in range(1, 5)] == ["0.013", "0.011", "0.009", "0.007"]
    assert row["networks"] == "4"


@pytest.mark.slow  # tests/cli/test_commands.py writes a report twice
def test_report_is_reproducible(run, page, first_drawn, tmp_path):
    with first_drawn(DRAWN):
        repeated = md.write_report(run, tmp_path / "repeated.html")
    assert repeated.read_text(encoding="utf-8") == page[0]


@pytest.mark.usefixtures("undrawn")
def test_incomplete_run(tmp_path):
    path = tmp_path / "incomplete.yaml"
    path.write_text("kind: graded\nl_max: 0.25\nporosity: 0.2\nrealizations: 4\nporosity_tolerance: 0.02\n")
    study = md.load_study(path, time_step=1e-3, cluster={"profile": "sync"}, execution={"batch": 1})
    run = md.run(study, tmp_path / "run", limit=5)
    text = md.write_report(run).read_text(encoding="utf-8")
    assert "This run is not complete" in text
    empty = md.run(study, tmp_path / "empty", limit=0)
    with pytest.raises(ReportError, match="no finished network"):
        md.write_report(empty)


def test_other_flux_thresholds_from_the_histories(run):
    """The study's threshold gives the metrics of the run; a higher threshold gives a shorter lifetime."""
    graded = run.result["graded"]
    same = md.at_flux_threshold(graded, 3e-7)
    for name in ("throughput", "foulant_concentration", "lifetime", "porosity_usage"):
        np.testing.assert_allclose(same[name], graded[f"{name}_threshold"], rtol=1e-12)
    np.testing.assert_allclose(same.band_porosity_usage, graded["band_porosity_usage_threshold"], rtol=1e-12)
    higher = md.at_flux_threshold(graded, 5e-7)
    assert (higher.lifetime < same.lifetime).all()
    assert (higher.foulant_concentration > same.foulant_concentration).all()
    assert same.throughput.attrs["units"] == "1"
    with pytest.raises(ValueError, match="threshold"):
        md.at_flux_threshold(graded, -1.0)
