"""Comparison of two runs: parameters, properties with intervals, differences, pictures side by side."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import shutil

import numpy as np
import pytest
import xarray as xr

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine.differing_settings import setting_texts
from membrane_dask.errors import ReportError
from membrane_dask.physics.difference_interval import difference_interval
from membrane_dask.physics.distributions import student_quantile
from membrane_dask.report.comparison import Estimate, Property, table_properties

STUDY = "kind: graded\ngradient: [0, 2e-3]\nporosity: 0.1\nporosity_tolerance: 0.02\ncluster: {profile: sync}\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of thin networks, of four and of five realizations."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "filter.yaml").write_text(STUDY)
    return [
        md.run(md.load_study(folder / "filter.yaml", realizations=number), folder / f"run-{number}")
        for number in (4, 5)
    ]


def test_parameters_and_means_over_realizations(runs):
    comparison = md.compare(runs[0].path, runs[1])
    assert comparison.parameters == (("realizations", "4", "5"),)
    properties = {one.name: one for one in comparison.properties}
    for number, run in enumerate(runs):
        throughput = run.result["graded"].throughput.sel(gradient=2e-3).squeeze()
        one = properties["graded.throughput[gradient=0.002]"]
        estimate = (one.first, one.second)[number]
        n = throughput.size
        half = student_quantile(0.95, n - 1) * float(throughput.std(ddof=1)) / math.sqrt(n)
        # Two orders of summation of five numbers differ in the last bits.
        assert estimate.value == pytest.approx(float(throughput.mean()), rel=1e-12)
        assert estimate.high - estimate.value == pytest.approx(half, rel=1e-9)
    difference = one.difference
    assert difference.low < difference.value < difference.high
    assert not any("status" in name for name in properties)


def test_what_describes_the_computation_is_compared_only_on_request(runs, capsys):
    internal = "graded.flux_residual"
    assert not [one.name for one in md.compare(*runs).properties if one.name.startswith(internal)]
    assert [one.name for one in md.compare(*runs, full=True).properties if one.name.startswith(internal)]
    for options, is_printed in (([], False), (["--full"], True)):
        with pytest.raises(SystemExit):
            main(["compare", str(runs[0].path), str(runs[1].path), *options])
        assert (internal in capsys.readouterr().out) is is_printed


def test_short_times_are_compared_in_short_units():
    one = Property("life.service_time", "h", Estimate(0.001, 0.0005, 0.002), Estimate(0.003)).readable()
    assert one.units == "s"
    assert str(one.first) == str(Estimate(3.6, 1.8, 7.2))
    assert one.difference.value == pytest.approx(7.2)


def test_a_standard_error_is_no_property():
    table = xr.Dataset({"slope": 1.0, "slope_error": 0.1, "blur_standard_error": 0.2, "leave_one_out_error": 0.3})
    names = [one.name for one in table_properties("fit", table, table)]
    # Without the value that it belongs to, the blur's error stands for itself.
    assert names == ["fit.slope", "fit.blur_standard_error", "fit.leave_one_out_error"]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory) -> tuple[str, str]:
    """What the command prints, and the page that it writes."""
    path, printed = tmp_path_factory.mktemp("page") / "page.html", io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as leaving:
        main(["compare", str(runs[0].path), str(runs[1].path), "--html", str(path)])
    assert leaving.value.code in (0, None)
    return printed.getvalue(), path.read_text(encoding="utf-8")


def test_the_page_shows_the_pictures_of_both_side_by_side(page):
    printed, text = page
    assert re.search(r"realizations +4 +5", printed)
    assert re.search(r"graded\.throughput\[.*\] +.*\d \[.*\] +", printed)
    assert text.count('<div class="pair">') >= 1
    assert text.count("<svg") == 2 * text.count('<div class="pair">')
    identifiers = re.findall(r'\bid="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>', "", text, flags=re.S)


def test_pictures_side_by_side_have_equal_axes(page):
    """Points of both runs together: the larger a value, the further up it stands, panel by panel."""
    blocks = [json.loads(block) for block in re.findall(r'<script type="application/json">(.*?)</script>', page[1])]
    compared = 0
    for both in zip(blocks[::2], blocks[1::2], strict=True):
        assert both[0]["axes"] == both[1]["axes"]
        for panel in range(len(both[0]["axes"])):
            series = [one for data in both for one in data["series"] if one["axes"] == panel]
            points = np.array(sorted(pair for one in series for pair in zip(one["y"], one["py"], strict=True)))
            if not len(points):
                continue
            # Values of five digits are apart by more than their rounding, or stand within half a point.
            assert (np.diff(points[:, 1]) < 0.5).all()
            compared += 1
    assert compared >= 3


def test_runs_of_two_kinds_are_not_compared(runs, tmp_path):
    shutil.copytree(runs[0].path, tmp_path / "other")
    record = json.loads((tmp_path / "other" / "run.json").read_text())
    (tmp_path / "other" / "run.json").write_text(json.dumps(record | {"kind": "porometry"}))
    with pytest.raises(ReportError, match=r"run-4 is a graded study and other is a porometry study"):
        md.compare(runs[0], tmp_path / "other")


def test_runs_with_the_same_settings_and_other_digests_are_not_called_the_same(runs, tmp_path):
    assert md.compare(runs[0], runs[0]).parameter_note == "All settings that decide the results are the same."
    shutil.copytree(runs[0].path, tmp_path / "other")
    record = json.loads((tmp_path / "other" / "run.json").read_text())
    (tmp_path / "other" / "run.json").write_text(json.dumps(record | {"identity": "f" * 64}))
    comparison = md.compare(runs[0], tmp_path / "other")
    assert comparison.parameters == ()
    assert "versions of membrane-dask that compute other numbers" in comparison.parameter_note


def test_a_section_that_only_one_run_has_is_a_difference(runs, tmp_path):
    shutil.copytree(runs[0].path, tmp_path / "other")
    record = json.loads((tmp_path / "other" / "run.json").read_text())
    settings = record["settings"] | {"bench": {"enabled": True}}
    (tmp_path / "other" / "run.json").write_text(json.dumps(record | {"identity": "f" * 64, "settings": settings}))
    assert md.compare(runs[0], tmp_path / "other").parameters == (("bench", "-", "{enabled: true}"),)


def test_labels_that_differ_after_six_digits_are_labels_of_their_own():
    values = [1.0000001, 1.0000002]
    table_of_two = xr.Dataset({"k": ("g", [3.0, 4.0])}, coords={"g": values})
    names = [one.name for one in table_properties("t", table_of_two, table_of_two)]
    assert names == ["t.k[g=1.0000001]", "t.k[g=1.0000002]"]


def table(values, **variables):
    """A table of one property of three replicates."""
    porosity = xr.DataArray(values, dims="replicate", attrs={"units": "1", "interval_scale": "logit"})
    return xr.Dataset({"porosity": porosity, **variables})


def test_replicates_have_the_interval_of_the_best_match():
    first, second = table([0.5, 0.52, 0.49, 0.51]), table([0.6, 0.63, 0.58, 0.61])
    (one,) = table_properties("structures", first, second)
    low, high = md.replicate_interval(first.porosity, 0.9)
    assert one.name == "structures.porosity"
    assert (one.first.value, one.first.low, one.first.high) == (0.5, float(low), float(high))
    assert one.difference.value == pytest.approx(0.1, rel=1e-12)


def test_intervals_of_the_result_are_used_and_are_no_properties():
    def permeability(value, low, high):
        return {
            "k": xr.DataArray([value], dims="replicate", attrs={"units": "m2"}),
            "k_low": xr.DataArray([low], dims="replicate"), "k_high": xr.DataArray([high], dims="replicate"),
            "flag": xr.DataArray([1], dims="replicate", attrs={"flag_values": [0, 1]}),
            "curve": xr.DataArray(np.zeros((1, 50)), dims=("replicate", "z")),
        }  # fmt: skip

    tables = [xr.Dataset(permeability(*numbers)) for numbers in ((2.0, 1.0, 4.0), (5.0, 4.5, 6.0))]
    (one,) = table_properties("properties", *tables)
    assert (one.name, one.units) == ("properties.k", "m2")
    assert (str(one.first), str(one.second)) == ("2.0 [1.0, 4.0]", "5.00 [4.50, 6.00]")
    assert one.difference.low == pytest.approx(3 - math.hypot(0.5, 2))
    assert one.difference.high == pytest.approx(3 + math.hypot(1, 1))


def test_the_interval_of_a_median_is_that_of_its_quantity():
    """Tables of porometry have radius_median, radius_low and radius_high."""
    tables = [
        xr.Dataset(
            {f"radius_{end}": ("membrane", [value]) for end, value in zip(("median", "low", "high"), row, strict=True)}
        )
        for row in ((4.0, 3.0, 5.0), (6.0, 5.5, 7.0))
    ]
    (one,) = table_properties("posterior", *tables)
    assert one.name == "posterior.radius_median"
    assert (str(one.first), str(one.second)) == ("4.0 [3.0, 5.0]", "6.00 [5.50, 7.00]")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (["4e-09 m", "5.5e-08 m"], ["4 nm", "55 nm"]),
        (["4e-09 +- 4e-10 m", "2e-07 to 2e-06 m"], ["4 +- 0.4 nm", "0.2 to 2 um"]),
        (["uniform 1e-09 to 9e-09 m", "-"], ["uniform 1 to 9 nm", "-"]),
        (["210000.0 Pa", "0.5 Pa"], ["210 kPa", "0.5 Pa"]),
        (["0.00418 m2", "0.0 nm"], ["41.8 cm2", "0 nm"]),
        ([["3.0 nm", "4000.0 nm"], {"edge": "3.0 nm"}], ["[3 nm, 4 um]", "{edge: 3 nm}"]),
        (["1.00000000000001 nm", "1.0 nm"], ["1.00000000000001 nm", "1.0 nm"]),  # what differs stays different
        (["298.15 K", "sample 4e-09 m"], ["298.15 K", "sample 4e-09 m"]),
    ],
)
def test_quantities_are_shown_in_units_of_a_convenient_size(stored, shown):
    assert setting_texts(stored) == shown


def test_an_interval_over_replicates_that_the_result_has_is_used():
    tables = [
        xr.Dataset({"life": ("replicate", [value, 9.0, 9.0]), "life_low": value - 1, "life_high": value + 1})
        for value in (3.0, 4.0)
    ]
    (one,) = table_properties("life", *tables)
    assert (str(one.first), str(one.second)) == ("3.0 [2.0, 4.0]", "4.0 [3.0, 5.0]")


def test_a_difference_has_an_interval_only_where_both_values_have_one():
    one = Property("a", "1", Estimate(1.0, 0.5, 2.0), Estimate(3.0))
    assert str(one.difference) == "2"
    assert not one.difference.has_interval


def test_intervals_of_differences_cover_the_true_difference():
    """Means of six normal numbers with Student's intervals of 90 %, of unequal deviations."""
    rng = np.random.default_rng(1)
    quantile, trials = float(student_quantile(0.95, 5)), 2000
    covered = 0
    for _ in range(trials):
        estimates = []
        for mean, deviation in ((1.0, 1.0), (4.0, 2.0)):
            sample = rng.normal(mean, deviation, 6)
            half = quantile * sample.std(ddof=1) / math.sqrt(6)
            estimates.append((sample.mean(), (sample.mean() - half, sample.mean() + half)))
        low, high = difference_interval(*estimates[0], *estimates[1])
        covered += low <= 3.0 <= high
    # Welch's problem: the method covers the confidence or somewhat more; three standard errors are 0.02.
    assert 0.88 <= covered / trials <= 0.96
