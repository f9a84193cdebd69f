"""Reports of unusual graded studies say what the run supports and nothing else, without a warning."""

from __future__ import annotations

import contextlib
import html
import re
import warnings

import numpy as np
import pytest
import xarray as xr

import membrane_dask as md
from membrane_dask.number_text import compact, fixed, interval_text, with_error
from membrane_dask.physics.networks.fouling_laws import END_CAUSES
from membrane_dask.studies.graded.diagnostics_report import run_notes
from membrane_dask.studies.graded.performance_report import search_section

SMALL = "kind: graded\nporosity: 0.2\nporosity_tolerance: 0.02\ntime_step: 1e-3\n"


@pytest.fixture
def report(without_drawings):
    """Makes a study, and returns the text of its report."""

    def text_of(*arguments, drawn=False, **options):
        with contextlib.nullcontext() if drawn else without_drawings():
            return make_report(*arguments, **options)

    return text_of


def make_report(folder, study: str, **options) -> str:
    """Text of the report of a study, in which every NumPy warning is an error."""
    path = folder / "study.yaml"
    path.write_text(SMALL + study)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        run = md.run(md.load_study(path, cluster={"profile": "sync"}), folder / "run", **options)
        text = md.write_report(run).read_text(encoding="utf-8")
    text = re.sub(r"<(svg|style|pre).*?</\1>", "", text, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    text = " ".join(text.split())
    assert not re.search(r"-0\.0+\b(?!\d)", text)
    assert " nan" not in text.lower()
    assert "Gu, Fig." not in text
    return text


def test_one_network_of_one_design(tmp_path, report):
    text = report(tmp_path, "gradient: 0\nrealizations: 1\nflux_threshold: 1e-7\n", drawn=True)
    assert "One network for each design: intervals need at least two." in text
    assert "confidence" not in text  # there are no intervals
    assert "gradients" not in text.replace("gradients:", "")
    assert "1 networks" not in text


def test_one_band(tmp_path, report):
    """The gradient has no effect: no best one is stated."""
    text = report(tmp_path, "bands: 1\ngradient: [0, 1e-3, 2e-3]\nrealizations: 4\nflux_threshold: 1e-7\n")
    assert "no difference between the gradients" in text
    assert "end of the grid" not in text


def test_clean_flux_below_the_threshold(tmp_path, report):
    """Nothing is a tie at 0: the report says which designs have no life to the threshold."""
    text = report(tmp_path, "gradient: [0, 1e-3, 2e-3]\nrealizations: 4\nflux_threshold: 2e-5\n")
    assert (
        len(
            re.findall(
                r"s = \S+ W: the clean flux \S+e-6 is below flux_threshold \S+ \(both dimensionless\): no life to it\.",
                text,
            )
        )
        == 3
    )
    assert "no life to the threshold" in text
    assert "End of life at the flux threshold" not in text
    assert "Other flux thresholds" not in text


def test_search_below_the_threshold_is_no_tie(tmp_path, report):
    study = "design: optimum\ngradient: [0, 1e-3, 2e-3]\nrealizations: 8\nflux_threshold: 2e-5\n"
    text = report(tmp_path, study + "optimum: {metric: throughput_threshold, round: 4}\n")
    assert "the metric is 0 in all networks" in text
    assert "differ by less than" not in text


def test_search_says_why_it_ended(tmp_path, report):
    study = "design: optimum\ngradient: [0, 1e-3, 2e-3]\nrealizations: 8\nflux_threshold: 1e-7\n"
    text = report(tmp_path, study + "optimum: {round: 4, interval: 1e-9, tolerance: 0}\n")
    assert "the largest number of realizations was reached" in text


def test_missing_networks(tmp_path, report):
    """Two designs of an interrupted run have no network, the third has one."""
    text = report(tmp_path, "gradient: [0, 1e-3, 2e-3]\nrealizations: 1\nexecution: {batch: 1}\n", limit=1)
    assert "This run is not complete" in text
    assert "too few networks" in text


def test_two_gradients(tmp_path, report):
    """Their paired difference with its interval; the report says what a best gradient needs."""
    text = report(tmp_path, "gradient: [0, 2e-3]\nrealizations: 3\n")
    assert "Two gradients From gradient 0 to 0.002, with 95 % confidence intervals." in text
    assert "A best gradient needs at least three gradients." in text
    throughput = md.open_run(tmp_path / "run").result["graded"].throughput.squeeze()
    throughput = throughput.transpose("realization", "gradient").values
    change = 100 * (throughput[:, 1] - throughput[:, 0]) / throughput[:, 0].mean()
    half = 4.302653 * change.std(ddof=1) / np.sqrt(3)  # Student's quantile with two degrees of freedom
    assert interval_text(change.mean(), change.mean() - half, change.mean() + half) in text


def test_several_coefficients_and_pore_lengths(tmp_path, report):
    text = report(
        tmp_path,
        "l_max: [0.15, 0.25]\ngradient: 1e-3\nrealizations: 2\ndeposition: [5e-7, 4e-6]\nflux_threshold: 1e-7\n",
    )
    assert "Operation, λ = 5e-7" in text
    assert "Operation, λ = 4e-6" in text
    assert re.search(
        r"l_max = \S+ W, λ = 4e-6: \d+ % of the deposition falls in pores with x = λ r l/q > 1 .*: radii are not "
        r"uniform along them; try segments: 4", text
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "half_width", "text"),
    [
        (0.04334, 0.00021, "0.04334 ± 0.00021"),
        (5.031e-6, 1.1e-7, "(5.03 ± 0.11)e-6"),
        (-1e-9, 0.02, "0.000 ± 0.020"),
        (0.013, 0.0, "0.013"),
        (1.25e6, 3e4, "(1.250 ± 0.030)e6"),
        (0.5, np.nan, "0.5"),
        (np.nan, 0.1, "-"),
    ],
)
def test_numbers_with_errors(value, half_width, text):
    assert with_error(value, half_width) == text


def test_zeros_have_no_sign():
    assert fixed(-0.004, 2) == "0.00"
    assert interval_text(-1e-9, -0.2, 1e-9) == "0.00 [-0.20, 0.00]"
    assert compact(-0.0) == "0"
    assert compact(1.9e-6, 2) == "1.9e-6"


def test_search_over_the_radii(tmp_path, report):
    """The best design with its intervals, the constraint and its life; all designs as CSV."""
    text = report(
        tmp_path, "design: optimum\ngradient: 0\nrealizations: 4\nl_max: 0.25\nflux_threshold: 1e-7\n"
        "optimum:\n  parameters: {radius: {range: [0.006, 0.02]}}\n  evaluations: 8\n"
        "  constraints: ['foulant_concentration <= 0.5']\n",
    )  # fmt: skip
    assert "Of 8 simulated designs with 32 networks" in text
    assert "radius 4" in text
    assert "dashed: limit of a constraint" in text
    assert "Operation, best design" in text
    assert "the search ended after 8 designs, 32 networks: optimum.evaluations is reached" in text


def test_search_that_has_not_ended(tmp_path, report):
    study = "design: optimum\ngradient: 0\nrealizations: 4\nl_max: 0.25\nexecution: {batch: 1}\n"
    text = report(tmp_path, study + "optimum: {parameters: {radius: {range: [0.006, 0.02]}}}\n", limit=2)
    assert "The search has not ended" in text


def test_constant_flux(tmp_path, report):
    """The pressure stands in the place of the flux; thresholds of the flux do not apply."""
    study = "gradient: [0, 1e-3, 2e-3]\nrealizations: 4\nl_max: 0.25\n"
    text = report(tmp_path, study + "operation: {mode: flux, flux: 1e-7, pressure_limit: 5}\n")
    assert "Transmembrane pressure against time and against throughput" in text
    assert "pressure_limit 4" in text  # ends of life of the four networks
    assert "until the end of life" in text
    assert "threshold" not in text.partition(" Run ")[0]


@pytest.mark.parametrize(
    ("flux", "limit", "note"),
    [(1e-3, 5, "2 of 2 lives are 0: the flux needs a transmembrane pressure of 5 P0 or more at the start."),
     (1.95e-6, 1.0, "1 of 2 lives is 0: the flux needs a transmembrane pressure of 1 P0 or more at the start."),
     (1e-7, 1e6, "pressure_limit 1e6 P0 never binds.")],
)  # fmt: skip
def test_pressure_limits_without_effect(tmp_path, report, flux, limit, note):
    study = "gradient: 0\nrealizations: 2\nl_max: 0.25\nend_of_life: {time: 0.002}\n"
    text = report(tmp_path, study + f"operation: {{mode: flux, flux: {flux}, pressure_limit: {limit}}}\n")
    assert note in text


@pytest.mark.parametrize(
    ("causes", "arrivals", "passed", "notes"),
    [
        (["extinction", "extinction"], [0, 0], [0, 0],
         ["end_of_life.time never binds: all lives end before it.",
          "sieving.rate 1e-6: no particle arrived within the lives."]),
        (["time", "time"], [2, 3], [2, 3],
         ["end_of_life.time ended all lives: without it, they last longer.",
          "All 5 particles passed: none met a narrower pore within the lives."]),
        (["time", "extinction"], [2, 3], [1, 3], []),
    ],
    ids=["nothing", "all", "some"],
)  # fmt: skip
def test_ends_and_particles_that_decide_nothing_or_all(causes, arrivals, passed, notes):
    """The third network has not finished."""
    dims = ("l_max", "gradient", "realization", "deposition")

    def of_lives(values):
        return dims, np.array([*values, np.nan])[None, None, :, None]

    table = xr.Dataset(
        {
            "status": (dims[:3], np.array([[[1, 1, 0]]])),
            "initial_flux": (dims[:3], np.array([[[3e-6, 3e-6, np.nan]]])),
            "end_of_life_cause": of_lives(map(END_CAUSES.index, causes)),
            "n_arrivals": of_lives(arrivals),
            "n_passed": of_lives(passed),
        },
        {"l_max": [0.2], "gradient": [0.0], "deposition": [5e-7]},
        {"flux_threshold": 2e-6, "end_of_life.time": 0.5, "sieving.rate": 1e-6},
    )
    table.end_of_life_cause.attrs["flag_meanings"] = " ".join(END_CAUSES)
    assert run_notes(table) == notes
    assert run_notes(table.drop_vars(["n_arrivals", "n_passed"]).drop_attrs().assign_attrs(flux_threshold=2e-6)) == []


def test_the_search_states_the_confidence_of_its_intervals():
    values = {
        "gradient": 2e-3, "gradient_low": 1.9e-3, "gradient_high": 2.1e-3, "networks": 40, "stop_reason": 0,
        "value": 0.04, "at_edge": 0,
    }  # fmt: skip
    dims = ("l_max", "deposition")
    optimum = xr.Dataset(
        {name: (dims, [[value]]) for name, value in values.items()}, {"l_max": [0.2], "deposition": [5e-7]}
    )
    optimum.stop_reason.attrs = {"flag_values": [0], "flag_meanings": "interval"}
    section = search_section(optimum, "optimum_throughput", 0.999)
    assert section.text.endswith("by rounds of networks. Intervals have a confidence of 99.9 %.")


def test_species_and_sieving(tmp_path, report):
    text = report(
        tmp_path, "gradient: [0, 2e-3]\nrealizations: 2\nl_max: 0.25\nflux_threshold: 1e-7\n"
        "species: [{name: virus, deposition: 1e-6, fraction: 0.5}, {deposition: 1e-7, fraction: 0.5}]\n"
        "sieving: {rate: 3e3, particle_radius: 0.0095}\n", drawn=True,
    )  # fmt: skip
    assert "Purity of each species in the filtrate against its yield" in text
    assert "virus" in text
    assert "Pores blocked by particles in each band against time" in text
    assert re.search(r"particles that passed\W+particle retention", text)  # columns of the designs
