"""Findings of a search for the best design: units, ties, constraints, and lives that the first band ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from small_searches import RADII, TWO_SPECIES, UNITS, small_search

from membrane_dask.studies.graded import performance_report, search_report
from membrane_dask.studies.graded.closing_time import closing_notes, ends_with_first_band
from membrane_dask.studies.graded.common_report import heading, readable_times
from membrane_dask.studies.graded.design_program import DesignProgram
from membrane_dask.studies.graded.design_result import design_datasets
from membrane_dask.studies.graded.design_search import Evaluation
from membrane_dask.studies.graded.design_settings import Constraint
from membrane_dask.studies.graded.design_text import best_sentences
from membrane_dask.studies.graded.metric_text import MetricText


@pytest.fixture
def study(tmp_path):
    """Makes a small study with some settings of the search."""
    return lambda optimum, **changes: small_search(
        tmp_path, optimum, without={"porosity"} & set(optimum["parameters"]), **changes
    )


def result(program, evaluations):
    """The last table of a search."""
    return design_datasets(
        program.study, program.space, program.objective, evaluations, np.random.default_rng(0)
    )[-1]  # fmt: skip


@pytest.mark.parametrize(
    ("radius", "changes"),
    [
        ((0.016, 0.012, 0.008, 0.004), {}),
        ((0.016, 0.004, 0.008, 0.004), {"deposition": 5e-11}),  # hardly any foulant is removed
        ((0.016, 0.0012, 0.0012, 0.0012), {"deposition": 5e-11}),
        ((0.016, 0.012, 0.008, 0.004), {"species": TWO_SPECIES}),
    ],
)
def test_a_life_ends_when_the_pores_of_the_first_band_close(study, radius, changes):
    """Also where narrower bands behind it would close first in the feed: the flux through them would vanish."""
    one = study({"parameters": RADII, "metric": "lifetime"}, realizations=4, **changes)
    assert ends_with_first_band(one)
    program = DesignProgram(one)
    values = {f"radius_{k}": r for k, r in enumerate(radius, 1)}
    arrays, _ = program.work(program.context, program.network(0, values, 0))
    steps = math.ceil(radius[0] / one.time_step - 1e-9)
    assert arrays["lifetime"] == pytest.approx(steps * one.time_step, rel=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"deposition_law": "conserving"},
        {"end_of_life": {"flux_fraction": 0.1}},
        {"end_of_life": {"time": 0.01}},
        {"operation": {"mode": "flux", "flux": 1e-6, "pressure_limit": 5.0}},
        {"erosion": {"rate": 1.0}},
        {"radius_spread": {"deviation": 0.1}},
        {"band_deposition": [1, 2, 2, 2]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_lives_that_other_bands_may_end(study, changes):
    one = study({"parameters": RADII, "metric": "lifetime"}, **changes)
    assert not ends_with_first_band(one)
    assert closing_notes(one) == []


def test_plan_says_which_parameters_cannot_change_the_lifetime(study):
    notes = DesignProgram(
        study({"parameters": RADII | {"porosity": {"range": [0.3, 0.6]}}, "metric": "lifetime"})
    ).notes
    (note,) = [note for note in notes if note.startswith("lifetime")]
    assert "when the pores of the first band close" in note
    assert "radius_2 to radius_4 and porosity cannot change it, nothing can decide" in note


def tied_designs(study):
    """Result of a search for the longest life of eight designs, of which four have the widest first band."""
    settings = {
        "parameters": RADII, "metric": "lifetime", "constraints": ["foulant_concentration <= 0.9", "initial_flux >= 1"],
    }  # fmt: skip
    program = DesignProgram(study(settings, **UNITS))
    points = 0.8 * np.random.default_rng(0).random((8, 4))
    points[4:, 0] = 1.0
    evaluations = {}
    for k, point in enumerate(points):
        values = program.space.values(point)
        metrics = {
            "lifetime": np.full(4, values["radius_1"]),
            "foulant_concentration": 0.1 + 0.01 * np.arange(4),
            "initial_flux": np.full(4, 1.0 + 0.1 * k) + 0.01 * np.arange(4),
        }
        evaluations[k] = Evaluation(values, metrics)
    return program, evaluations, result(program, evaluations)


def test_equally_good_designs_are_all_named(study):
    _, _, table = tied_designs(study)
    first, lifetime, concentration, *_ = sentences = table.attrs["summary"]
    assert first.startswith("4 designs are equally good, with a lifetime of ")
    assert "evaluations 4, 5, 6 and 7; evaluation" in first
    assert table.attrs["equal_evaluations"] == [4, 5, 6, 7]
    assert int(table.values["evaluation"]) in (4, 5, 6, 7)
    # 16 mu t / (P0 lambda phi) = 16 * 1e-3 * 0.02 / (1e5 * 5e-7 * 1e-4) = 64 s
    assert "lifetime of 64 s: " in first
    assert lifetime.endswith("in all 4 networks: no spread, no interval")
    assert "0.115 [" in concentration
    assert "] of the feed; required foulant_concentration <= 0.9 of the feed" in concentration
    assert first.endswith("; its lifetime follows from the radius of the first band alone")
    assert "radius[1] = 2 µm is the end of its range" in sentences
    assert not any(sentence.startswith("radius[2]") for sentence in sentences)


def best_section(values, **attrs):
    """Section of the report on the best design of a search for the longest life, in seconds."""
    table = {"radius": 1.6, "radius_low": 1.6, "radius_high": 1.6, "evaluation": 4, "evaluations": 8, "networks": 32}
    best = xr.Dataset({**table, **values, "value": values["lifetime"]}, attrs=attrs)
    return search_report._best_section(best, "lifetime", ["lifetime"], 0.95, constrained=False)


def test_report_marks_all_equally_good_designs_and_no_interval_of_width_0():
    same = {"lifetime": 0.02, "lifetime_low": 0.02, "lifetime_high": 0.02}
    section = best_section(same, equal_evaluations=[4, 5, 6, 7])
    assert section.title == "Equally good designs"
    assert "4 have the best lifetime T and are equally good (4, 5, 6, 7); the table has design 4" in section.text
    assert [row[2:] for row in section.contents[0].rows] == [("-", "-"), ("-", "-")]
    assert "A metric without them is the same in all networks" in section.text
    section = best_section({"lifetime": 0.02, "lifetime_low": 0.019, "lifetime_high": 0.021})
    assert section.title == "Best design"
    assert section.contents[0].rows[1][1:] == ("0.02", "0.019", "0.021")


def test_times_of_a_report_have_one_unit_by_the_longest():
    table = xr.Dataset({name: ("design", values, {"units": "h"}) for name, values in (
        ("service_time", [0.001, 0.002]), ("service_time_error", [1e-6, 2e-6]))}).assign(radius=1.0)  # fmt: skip
    readable = readable_times(table)
    np.testing.assert_allclose(readable.service_time, [3.6, 7.2], rtol=1e-12)
    assert heading("service_time", readable) == "service time [s]"
    assert readable.service_time_error.attrs["units"] == "s"
    assert float(readable.radius) == 1.0
    days = readable_times(table, reference=xr.Dataset({"longest": ((), 100.0, {"units": "h"})}))
    assert heading("service_time", days) == "service time [d]"


def test_best_gradients_that_tie_are_all_named():
    noise = np.random.default_rng(0).normal(0, 0.01, 6)
    samples = np.stack([1 + noise, 2 + noise, 2 + noise, 1 + noise], axis=1)
    one = xr.Dataset({"throughput": (("realization", "gradient"), samples)}, {"gradient": [0, 1e-3, 2e-3, 3e-3]})
    assert performance_report._optimum_cells(one, "throughput")[0] == "1, 2 (equally good)"


def test_a_design_that_is_simulated_again_is_one_design(study):
    program, evaluations, _ = tied_designs(study)
    again = {k: evaluations[k] for k in (0, 1, 2, 3, 4)} | {5: evaluations[4]}
    table = result(program, again)
    assert table.attrs["summary"][0].startswith(f"best design (evaluation {int(table.values['evaluation'])})")
    assert "equal_evaluations" not in table.attrs


def test_constraints_that_never_bind_are_named(study):
    sentences = tied_designs(study)[2].attrs["summary"]
    flux, concentration = (sum(f"constraint {c}" in s and "never binds" in s for s in sentences)
                           for c in ("initial_flux >= 1", "foulant_concentration <= 0.9 of the feed"))  # fmt: skip
    assert (flux, concentration) == (1, 1)


def test_the_best_design_is_an_outcome_and_constraints_are_warnings(study):
    attrs = tied_designs(study)[2].attrs
    warnings = [sentence for sentence in attrs["summary"] if sentence not in attrs["outcomes"]]
    assert attrs["outcomes"][0].startswith("4 designs are equally good")
    assert attrs["outcomes"][-1].startswith("the search ended after 8 designs, 32 networks: no design is better")
    assert warnings
    assert all("end of its range" in text or "never binds" in text for text in warnings), warnings


def test_constraint_that_the_best_design_misses_with_its_interval(study):
    program, evaluations, _ = tied_designs(study)
    limits = ("foulant_concentration <= 0.12", "foulant_concentration <= 0.05")
    for limit, outcome in zip(limits, (", not met by its whole interval", ", not met by the mean"), strict=True):
        objective = replace(program.objective, constraints=(Constraint.parse(limit),))
        sentences, outcomes = best_sentences(program.study, program.space, objective, evaluations, 4, [4])
        missed = [sentence for sentence in sentences if f"required {limit} of the feed{outcome}" in sentence]
        assert len(missed) == 1
        assert outcomes == [sentence for sentence in sentences if sentence not in missed]


def test_all_designs_equally_good(study):
    program, evaluations, _ = tied_designs(study)
    equal = {k: evaluations[k] for k in (4, 5, 6, 7)}
    table = result(program, equal)
    assert table.attrs["summary"][0].startswith("all 4 designs are equally good: lifetime ")
    assert "does not depend on the parameters; with deposition_law: published" in table.attrs["summary"][0]


def test_metrics_have_units(study):
    plain = MetricText.of(study({"parameters": RADII}))
    assert plain.metric("throughput", 0.04334, 0.04313, 0.04355) == "0.04334 [0.04313, 0.04355] (dimensionless)"
    assert plain.metric("initial_flux", 4.045e-6) == "4.045e-6 (dimensionless)"
    assert plain.metric("foulant_concentration", 0.05) == "0.05 of the feed"
    assert plain.metric("porosity_usage_threshold", 0.2) == "0.2 of the membrane volume"
    assert plain.metric("species_yield_protein", 0.9) == "0.9 of the species in the feed"
    physical = MetricText.of(study({"parameters": RADII}, **UNITS))
    # 2 pi W h / phi = 2 pi * 1e-4 * 0.04 / 1e-4 m = 251.3 L m-2; pi W P0 q / (8 mu) = 1.413717e10 LMH * q
    assert physical.metric("throughput", 0.04) == "251.3 L m-2"
    assert physical.metric("initial_flux", 3e-6) == "42410 L m-2 h-1"
    assert physical.constraint(Constraint.parse("initial_flux >= 3e-6")) == "initial_flux >= 3e-06 (42410 L m-2 h-1)"
    assert physical.constraint(Constraint.parse("service_time >= 0.001")) == "service_time >= 0.001 (3.6 s)"
    assert physical.parameter("radius", [0.02, 0.004]) == "[2, 0.4] µm"
    assert physical.parameter("pressure", 1.5e5) == "1.5 bar"


def test_fluxes_at_different_pressures_have_no_common_unit(study):
    settings = {"parameters": {"pressure": {"range": ["0.5 bar", "4 bar"]}}}
    text = MetricText.of(study(settings, gradient=1e-3, **UNITS))
    assert text.metric("initial_flux", 3e-6) == "3e-6 (dimensionless)"
    assert text.parameter("radius", [0.02]) == "2 µm"
