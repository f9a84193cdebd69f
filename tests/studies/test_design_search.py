"""Search for the best design: settings, parameters, the study from start to end, and fronts."""

from __future__ import annotations

import base64
import csv
import functools
import re

import numpy as np
import pytest
from small_searches import RADII, SMALL, TWO_SPECIES, UNITS, small_search

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.program import Outcome, Recall
from membrane_dask.studies.graded.design_program import DesignProgram
from membrane_dask.studies.graded.design_result import design_datasets
from membrane_dask.studies.graded.design_search import Evaluation, Objective
from membrane_dask.studies.graded.design_settings import Constraint, DesignParameters
from membrane_dask.studies.graded.design_space import DesignSpace
from membrane_dask.studies.graded.design_text import bounds_text
from membrane_dask.studies.graded.metric_scales import scale_of
from membrane_dask.studies.graded.metric_text import MetricText

AT_FLUX = {"mode": "flux", "flux": 1e-6, "pressure_limit": 5.0}
FIXED_MEAN = {"radius": {"range": [0.004, 0.02], "mean": 0.01}}


@pytest.fixture
def study(tmp_path):
    """Makes a small study with some settings of the search."""
    return functools.partial(small_search, tmp_path)


# --- settings


@pytest.mark.parametrize(
    ("optimum", "changes", "message"),
    [
        ({"parameters": RADII, "constraints": ["foulant_concentration = 0.05"]}, {}, "NAME <= NUMBER"),
        ({"parameters": RADII, "constraints": ["foulant_concentraton <= 0.05"]}, {}, "did you mean"),
        ({"parameters": RADII, "metric": "thruput"}, {}, "no metric of a design; did you mean"),
        ({"parameters": RADII, "metric": "species_yield_a"}, {}, "optimum.metric: species_yield_a needs species"),
        (
            {"parameters": RADII, "metric": "species_yield"},
            {"species": TWO_SPECIES},
            "species_yield names no species; one of species_yield_protein, species_yield_virus",
        ),
        (
            {"parameters": RADII, "constraints": ["lifetime >= 0", "species_purity_salt >= 0.9"]},
            {"species": TWO_SPECIES},
            "optimum.constraints.1: no species 'salt'; one of species_purity_protein, species_purity_virus",
        ),
        ({"parameters": {"radius": {}}}, {}, "radius.range: required: .* example '[0.002, 0.02]' (got {})"),
        ({"parameters": RADII, "front": ["throughput"]}, {}, "front: must be a list of two metrics, for example"),
        ({"parameters": RADII, "metric": ["throughput", "lifetime"]}, {}, "front: [throughput, lifetime]"),
        ({"parameters": {"radius": {"mean": 0.01}}}, {}, "range"),
        ({"parameters": {"radius": {"range": [0.02, 0.01]}}}, {}, "low < high"),
        ({"parameters": {"radius": {"range": [0.004, 0.02], "mean": 0.03}}}, {}, "within the range"),
        ({"parameters": {}}, {}, "names no parameter"),
        ({"parameters": {**RADII, "gradient": {"range": [0, 1e-3]}}}, {}, "leave one of them out"),
        ({"parameters": {"porosity": {"range": [0.2, 1.2]}}, "front": None}, {"gradient": 0.0}, "between 0 and 1"),
        ({"parameters": RADII}, {"radius": 0.012}, "is a parameter of the search"),
        ({"parameters": RADII}, {"gradient": [0.0, 2e-3]}, "leave the gradient out"),
        ({"parameters": RADII}, {"l_max": [0.2, 0.25]}, "single value"),
        ({"parameters": RADII}, {"realizations": 3}, "at least 4"),
        ({"parameters": RADII, "metric": "service_time"}, {}, "needs physical units"),
        ({"parameters": {"l_max": {"range": [0.1, 0.3]}}}, {"gradient": 0.0, "l_max": 0.2}, "at most 0.25"),
        ({"parameters": {"radius": {"range": [0.0005, 0.02]}}}, {}, "too large"),
        ({"constraints": ["initial_flux >= 1e-6"]}, {}, "needs optimum.parameters"),
        ({"parameters": RADII, "constraints": ["lifetime <= 0.01", "lifetime >= 0.02"]}, {}, "cannot hold together"),
        ({"parameters": RADII, "constraints": ["lifetime >= 0.01", "lifetime >= 0.02"]}, {}, "a second time"),
        ({"parameters": {"gradient": {"range": [0, 3e-3]}}}, {}, "give this range"),
        ({"parameters": RADII, "front_levels": [1, 2]}, {}, "needs front"),
        ({"parameters": {"pressure": {"range": ["0.5 bar", "2 bar"]}}}, {"gradient": 0.0}, "physical units only"),
        (
            {"parameters": {"pressure": {"range": ["0.5 bar", "2 bar"]}}},
            {"gradient": 0.0, **UNITS, "operation": {"mode": "flux", "flux": 1e-6, "pressure_limit": 5.0}},
            "no effect at constant flux",
        ),
        ({"parameters": RADII, "metric": "n_passed"}, {}, "needs sieving.rate"),
        ({"parameters": RADII, "constraints": ["particle_retention >= 0.95"]}, {}, "needs sieving.rate"),
        ({"parameters": RADII, "constraints": ["retention >= 0.95"]}, {}, "did you mean 'particle_retention'"),
        (
            {"parameters": {"l_max": {"range": [0.15, 0.2]}}, "metric": "lifetime"},
            {"gradient": 0.0, "l_max": 0.2},
            "lifetime is the same for all designs: .*first band",
        ),
        (
            {"parameters": {"porosity": {"range": [0.3, 0.6]}}, "metric": "service_time"},
            {"gradient": 0.0, **UNITS},
            "service_time is the same for all designs",
        ),
        ({"parameters": RADII, "metric": "initial_transmembrane_pressure"}, {}, "operation.mode: flux"),
        (
            {"parameters": RADII, "metric": "throughput_threshold"},
            {"operation": AT_FLUX},
            "throughput_threshold needs operation.mode: pressure",
        ),
        (
            {"parameters": RADII, "constraints": ["lifetime_threshold_step >= 5e-3"]},
            {"operation": AT_FLUX},
            "optimum.constraints.0: lifetime_threshold_step needs operation.mode: pressure",
        ),
        (
            {"metric": "throughput_threshold"},
            {"gradient": [0.0, 1e-3, 2e-3], "realizations": 20, "operation": AT_FLUX},
            "optimum.metric: throughput_threshold needs operation.mode: pressure",
        ),
        (
            {"parameters": {"gradient": {"range": [0, 3e-3]}, "porosity": {"range": [0.2, 0.4]}}},
            {"bands": 1},
            "optimum.parameters.gradient: has no effect with one band",
        ),
        ({}, {"bands": 1, "gradient": [0.0, 1e-3, 2e-3], "realizations": 20}, "bands: with one band filters of all"),
        ({"parameters": RADII, "metric": "foulant_concentration"}, {}, "optimum.direction: less .* state direction"),
        (
            {"parameters": RADII, "front": ["throughput", "foulant_concentration"]},
            {},
            "optimum.front.1: less of it is better, .*; use log_reduction_value",
        ),
        (
            {"parameters": RADII, "constraints": ["foulant_concentration <= 5"]},
            {},
            "optimum.constraints.0: is met by all designs: foulant_concentration lies between 0 and 1",
        ),
        (
            {"parameters": RADII, "constraints": ["throughput >= 0.01", "species_yield_virus >= 95"]},
            {"species": TWO_SPECIES},
            "optimum.constraints.1: is met by no designs: species_yield_virus lies between 0 and 1",
        ),
        ({"parameters": RADII, "constraints": ["lifetime <= -1"]}, {}, "is met by no designs: lifetime lies between 0"),
        (
            {"parameters": RADII, "front": ["lifetime", "porosity_usage"], "front_levels": [0.2, 20]},
            {},
            "optimum.front_levels.1: must be between 0 and 1, as porosity_usage is (got 20)",
        ),
        (
            {
                "parameters": RADII,
                "front": ["throughput", "log_reduction_value"],
                "front_levels": [1, 2],
                "constraints": ["log_reduction_value >= 1.5"],
            },
            {},
            "optimum.front_levels.0: contradicts the constraint 'log_reduction_value >= 1.5' (got 1)",
        ),
    ],
)
def test_settings_that_contradict_one_another(study, optimum, changes, message):
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(md.StudyError, match=pattern):
        study(optimum, **changes)


def test_gradient_alone_is_the_search_of_the_list(study):
    one = study({"parameters": {"gradient": {"range": [0, 4e-3]}}}, realizations=20)
    other = study({}, realizations=20)
    units = [next(next(md.plan(s).program.rounds())[0]) for s in (one, other)]
    assert [[unit.key, unit.seed, unit.index] for unit in units[0]] == [[u.key, u.seed, u.index] for u in units[1]]


def test_constraints_are_read_from_text():
    constraint = Constraint.parse(" foulant_concentration<=5e-2 ")
    assert str(constraint) == "foulant_concentration <= 0.05"
    assert constraint.is_met(0.05)
    assert not constraint.is_met(0.0501)
    assert Constraint.parse("initial_flux >= 3e-6").is_met(4e-6)


# --- parameters


def test_points_with_a_fixed_mean_radius():
    space = DesignSpace(DesignParameters.model_validate(FIXED_MEAN), 4)
    points = space.project(np.random.default_rng(0).random((200, 4)))
    assert space.dimension == 3
    for point in points:
        radii = space.design(space.values(point))["radius"]
        assert np.mean(radii) == pytest.approx(0.01, rel=3e-6)  # rounded to six digits
        assert 0.004 <= min(radii) <= max(radii) <= 0.02
    np.testing.assert_allclose(space.project(points), points, atol=1e-12)


def test_ends_of_ranges_are_reached_exactly():
    parameters = DesignParameters.model_validate(
        {"gradient": {"range": [-1e-3, 2e-3]}, "porosity": {"range": [0.3, 0.7]}, "l_max": {"range": [0.15, 0.25]}}
    )
    space = DesignSpace(parameters, 4)
    low, high = space.values(np.zeros(3)), space.values(np.ones(3))
    assert low == {"gradient": -1e-3, "porosity": 0.3, "l_max": 0.15}
    assert high == {"gradient": 2e-3, "porosity": 0.7, "l_max": 0.25}
    middle = space.values(np.full(3, 0.5))
    np.testing.assert_allclose(space.point(middle), 0.5, atol=1e-5)
    inside = high | {"porosity": 0.5}
    assert space.bounds_reached(inside) == ["gradient", "l_max"]
    assert bounds_text(space, [inside], MetricText()) == [
        "gradient = 0.002 membrane thicknesses per band is the end of its range",
        "l_max = 0.25 membrane thicknesses is the end of its range",
    ]
    assert bounds_text(space, [inside], MetricText(thickness=1e-4))[1] == "l_max = 25 µm is the end of its range"
    # What equally good designs do not have in common is no property of them.
    assert bounds_text(space, [high, high | {"gradient": 0.0, "l_max": 0.15}], MetricText()) == [
        "porosity = 70 % is the end of its range"
    ]


def test_pressure_keeps_the_affinity_of_the_foulant(study):
    """At twice the pressure the deposition coefficient is half as large, the life is as long and the flux twice."""
    settings = {"parameters": {"pressure": {"range": ["0.5 bar", "4 bar"]}}, "metric": "filtrate_volume"}
    program = DesignProgram(study(settings, gradient=1e-3, **UNITS))
    arrays = {
        bar: program.work(program.context, program.network(0, {"pressure": bar * 1e5}, 0))[0] for bar in (1.0, 2.0)
    }
    assert arrays[2.0]["service_time"] == pytest.approx(arrays[1.0]["service_time"], rel=1e-12)
    assert arrays[2.0]["initial_permeate_flux"] == pytest.approx(2 * arrays[1.0]["initial_permeate_flux"], rel=1e-12)
    assert arrays[2.0]["initial_flux"] == arrays[1.0]["initial_flux"]
    assert arrays[2.0]["foulant_concentration"] > arrays[1.0]["foulant_concentration"]
    other = DesignProgram(study(settings, gradient=1e-3, deposition=2.5e-7, **{**UNITS, "pressure": "2 bar"}))
    same = other.work(other.context, other.network(0, {"pressure": 2e5}, 0))[0]
    assert same["filtrate_volume"] == arrays[2.0]["filtrate_volume"]


def test_metrics_of_a_species(study):
    """A search reads the yield, purity, ... of the species that the name of the metric selects."""
    settings = {
        "parameters": RADII, "metric": "species_yield_protein", "constraints": ["species_concentration_virus <= 0.05"],
    }  # fmt: skip
    program = DesignProgram(study(settings, species=TWO_SPECIES))
    assert program.objective.metrics == ("species_yield_protein", "species_concentration_virus")
    arrays, feedback = program.work(program.context, program.network(0, dict.fromkeys(program.space.names, 0.01), 0))
    assert feedback["species_yield_protein"] == arrays["species_yield"][0, 0]
    assert feedback["species_concentration_virus"] == arrays["species_concentration"][0, 1]
    assert 0 < feedback["species_concentration_virus"] < feedback["species_yield_protein"] < 1
    points = np.random.default_rng(0).random((6, 4))
    evaluations = {
        k: Evaluation(
            program.space.values(point),
            {"species_yield_protein": np.full(4, 0.3) + point[0], "species_concentration_virus": np.full(4, 0.01)},
        )
        for k, point in enumerate(0.5 * points)
    }
    best = result(program, evaluations)
    assert best.name == "optimum_species_yield_protein"
    assert best.schema.variable("species_concentration_virus").long_name.endswith(": virus")
    assert float(best.values["species_concentration_virus"]) == pytest.approx(0.01)


@pytest.mark.parametrize("metric", ["throughput", "foulant_concentration", "species_yield_a", "species_purity_a"])
def test_scales_of_metrics(metric):
    scale = scale_of(metric, 0.01)
    values = np.array([0.02, 0.3, 0.97])
    on_scale = scale.forward(values)
    assert (np.diff(on_scale) > 0).all()
    np.testing.assert_allclose([scale.inverse(float(value)) for value in on_scale], values, rtol=1e-12)
    step = 1e-6
    slopes = (scale.forward(values * (1 + step)) - scale.forward(values * (1 - step))) / (2 * step)
    # Central differences have an error of step squared, and a rounding error of 1e-16 / step.
    np.testing.assert_allclose([scale.slope(float(value)) for value in values], slopes, rtol=1e-7)


# --- search of functions that are known, with the scatter of networks


def evaluate(values, n=8, seed=0):
    """Throughput, concentration and flux of a design, similar to those of networks: 1.4 and 3 % between networks."""
    radii = np.array([values[f"radius_{k}"] for k in (1, 2, 3, 4)]) / 0.01
    rng = np.random.default_rng([seed, *(int(1e6 * r) for r in radii)])
    common = np.random.default_rng(seed).standard_normal((2, n))
    scatter = common + 0.2 * rng.standard_normal((2, n))
    log_radii = np.log(radii / [1.4, 1.0, 0.8, 0.6])
    throughput = 0.045 * np.exp(0.3 * log_radii.sum() - (log_radii**2).sum() + 0.014 * scatter[0])
    concentration = np.exp(-2.5 * np.exp(-1.2 * log_radii.sum()) + 0.03 * scatter[1])
    return {
        "throughput": throughput,
        "foulant_concentration": np.minimum(concentration, 0.99),
        "log_reduction_value": -np.log10(np.minimum(concentration, 0.99)),
    }


def search(study, seed):
    """Simulated designs of the search of a study in which :func:`evaluate` replaces the networks."""
    program = DesignProgram(study)
    history = {}
    rounds = program.rounds()
    request, answer = next(rounds), None
    while True:
        if isinstance(request, Recall):
            answer = history.get(request.key)
        else:
            for unit in request:
                values = unit.params["parameters"]
                metrics = evaluate(values, study.realizations, seed)
                feedback = {name: float(metrics[name][unit.index[1]]) for name in program.objective.metrics}
                history[unit.key] = Outcome("done", {**feedback, **values})
            answer = [history[unit.key] for unit in request]
        try:
            request = rounds.send(answer)
        except StopIteration:
            return program, program.evaluations(history)


def result(program, evaluations):
    """The last table of a search."""
    return design_datasets(
        program.study, program.space, program.objective, evaluations, np.random.default_rng(0)
    )[-1]  # fmt: skip


def test_optimum_under_a_constraint(study):
    """With sum(log r) = S fixed by the constraint the best design has equal logarithms, so that the truth is known."""
    confidence = 0.5
    settings = {
        "parameters": RADII, "constraints": ["foulant_concentration <= 0.05"], "evaluations": 40,
        "confidence": confidence,
    }  # fmt: skip
    total = np.log(2.5 / -np.log(0.05)) / 1.2
    truth = 0.045 * np.exp(0.3 * total - total**2 / 4)
    for seed in (1, 2):
        program, evaluations = search(study(settings, realizations=8, seed=seed), seed)
        values = result(program, evaluations).values
        radii = dict(zip(("radius_1", "radius_2", "radius_3", "radius_4"), values["radius"].tolist(), strict=True))
        log_radii = np.log(values["radius"] / 0.01 / [1.4, 1.0, 0.8, 0.6])
        throughput = 0.045 * np.exp(0.3 * log_radii.sum() - (log_radii**2).sum())
        # The concentration of 8 networks has a standard error of 1 %, which shifts the throughput by 0.1 %.
        assert np.log(truth / throughput) < 0.01, radii
        assert len(evaluations) <= 40
        assert values["throughput_low"] < values["throughput"] < values["throughput_high"]
        assert (values["radius_low"] <= values["radius"]).all()


def test_front_at_levels(study):
    levels = [1.2, 1.5, 1.8]
    settings = {"parameters": RADII, "front": ["throughput", "log_reduction_value"], "front_levels": levels}
    program, evaluations = search(study(settings | {"evaluations": 50}, realizations=8, seed=3), 3)
    front = result(program, evaluations)
    np.testing.assert_array_equal(front.labels["level"], levels)
    for level, radius, throughput in zip(levels, front.values["radius"], front.values["throughput"], strict=True):
        total = np.log(2.5 / (level * np.log(10))) / 1.2
        log_radii = np.log(radius / 0.01 / [1.4, 1.0, 0.8, 0.6])
        log_ratio = 0.3 * log_radii.sum() - (log_radii**2).sum()
        assert 0.3 * total - total**2 / 4 - log_ratio < 0.01, level
        assert np.log(throughput / 0.045) == pytest.approx(
            log_ratio, abs=0.02
        )  # 1.4 % / sqrt(8), three standard errors
    assert (front.values["throughput_low"] < front.values["throughput_high"]).all()
    assert (
        "the ends of the front are those of optimum.front_levels, 1.2 decimal orders and 1.8 decimal orders"
        in front.attrs["summary"]
    )
    assert (
        front.attrs["summary"][-1] == "the search ended after 50 designs, 400 networks: optimum.evaluations is reached"
    )
    assert front.attrs["stop_reason"] == "evaluations"


def test_rows_and_ends_of_a_front(study):
    """A row whose design was simulated has its number and its parameters; the ends and radii at bounds are named."""
    settings = {
        "parameters": RADII, "front": ["throughput", "log_reduction_value"], "evaluations": 36,
        "constraints": ["log_reduction_value <= 3"],
    }  # fmt: skip
    program, evaluations = search(study(settings, realizations=8, seed=3), 3)
    front = result(program, evaluations)
    for number, radius in zip(front.values["evaluation"].tolist(), front.values["radius"], strict=True):
        same = [k for k, e in evaluations.items() if list(e.values.values()) == radius.tolist()]
        assert same == ([number] if number >= 0 else [])
    n_simulated = int((front.values["evaluation"] >= 0).sum())
    summary = front.attrs["summary"]
    assert summary[0].startswith(
        f"front of {len(front.values['evaluation'])} levels: {n_simulated} of them are simulated"
    )
    assert "the front ends at the constraint log_reduction_value <= 3 decimal orders" in summary
    assert sum("that of the simulated design with the largest throughput (evaluation" in text for text in summary) == 1
    at_end = int((front.values["radius"][:, 3] == 0.004).sum())
    bound = (
        f"radius[4] = 0.004 membrane thicknesses is the end of its range in {at_end} of {len(front.values['radius'])} "
        "designs of the front"
    )
    assert any(sentence.startswith(bound) for sentence in summary) == (at_end > 0)


def test_no_design_meets_the_constraint(study):
    settings = {"parameters": RADII, "constraints": ["throughput >= 1"], "evaluations": 40}
    program, evaluations = search(study(settings), 1)
    table = result(program, evaluations)
    largest = max(e.mean("throughput") for e in evaluations.values())
    assert (
        f"no design meets throughput >= 1 (dimensionless); closest {largest:.4g} (dimensionless) at radius ["
        in table.attrs["summary"][0]
    )
    assert program.study.optimum.evaluations >= len(evaluations)
    assert int(table.values["stop_reason"]) == 6
    assert "radius" not in table.values


def test_constraints_that_no_design_meets_together(study):
    """The closest design is named, with the values of both metrics."""
    constraints = ["throughput >= 0.04", "foulant_concentration <= 0.01"]
    settings = {"parameters": RADII, "constraints": constraints, "evaluations": 20}
    program, evaluations = search(study(settings), 1)
    (sentence, _) = result(program, evaluations).attrs["summary"]
    start = (
        "no design meets throughput >= 0.04 (dimensionless) and foulant_concentration <= 0.01 of the feed together; "
        "closest throughput "
    )
    assert sentence.startswith(start)
    named = [
        e for e in evaluations.values()
        if f"closest throughput {e.mean('throughput'):.4g} (dimensionless), foulant_concentration "
        f"{e.mean('foulant_concentration'):.4g} of the feed at radius [{e.values['radius_1']:.4g}, " in sentence
    ]  # fmt: skip
    assert len(named) == 1


def test_a_metric_that_does_not_depend_on_the_design():
    objective = Objective("lifetime", 1, (), "", (), 0.002, 0.95)
    space = DesignSpace(DesignParameters.model_validate(RADII), 4)
    points = np.random.default_rng(0).random((8, 4))
    evaluations = [Evaluation(space.values(point), {"lifetime": np.full(4, 0.01)}) for point in points]
    assert objective.proposals(space, evaluations, np.random.default_rng(0), 0, 2) == []


# --- whole studies


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("design") / "design.yaml"
    path.write_text(
        "kind: graded\noptimum:\n  parameters: {radius: {range: [0.004, 0.02], mean: 0.01}}\n  evaluations: 15\n"
        "  constraints: [foulant_concentration <= 0.2]\n"
        + "".join(f"{name}: {value}\n" for name, value in SMALL.items())
    )
    return path


@pytest.fixture(scope="module")
def run(study_file, tmp_path_factory):
    return md.run(md.load_study(study_file, cluster={"profile": "sync"}), tmp_path_factory.mktemp("design") / "run")


def test_tables_of_a_search(run):
    assert run.status()["state"] == "complete"
    design, best = (run.result[name].to_dataset() for name in ("design", "optimum_throughput"))
    networks = run.result["graded"].to_dataset()
    assert int(best.networks) == int((networks.status == 1).sum()) == int(design.networks.sum())
    n = int(best.evaluations)
    np.testing.assert_allclose(networks.throughput[:n, :, 0].mean("realization"), design.throughput)
    row = design.sel(evaluation=int(best.evaluation))
    np.testing.assert_array_equal(best.radius, row.radius)
    assert float(best.throughput) == float(best.value) == float(row.throughput)
    assert float(best.foulant_concentration) <= 0.2
    assert bool(row.feasible)
    np.testing.assert_allclose(design.radius.mean("band"), 0.01, rtol=3e-6)


def test_designs_have_common_networks(run, tmp_path):
    """The networks of a design are those of a study of its radii."""
    best = run.result["optimum_throughput"].to_dataset()
    changes = {name: value for name, value in SMALL.items() if name != "design"}
    path = tmp_path / "study.yaml"
    path.write_text("kind: graded\n")
    radii = best.radius.values.tolist()
    grid = md.run(
        md.load_study(path, radius=radii, gradient=0.0, cluster={"profile": "sync"}, **changes), tmp_path / "grid"
    )
    expected = run.result["graded"].throughput.sel(evaluation=int(best.evaluation)).values
    np.testing.assert_array_equal(grid.result["graded"].throughput.values.ravel(), expected.ravel())


@pytest.mark.slow  # tests/studies/test_optimum.py searches on two workers
def test_a_search_is_the_same_on_any_cluster(run, study_file, values_of, tmp_path):
    repeated = md.run(md.load_study(study_file, cluster={"workers": 2}), tmp_path / "repeated")
    assert values_of(repeated) == values_of(run)


def test_an_interrupted_search_is_resumed(run, study_file, values_of, interrupt_and_resume, tmp_path):
    interrupt_and_resume(study_file, tmp_path / "run", after=46)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(run)


def test_retention_of_particles_is_a_constraint(study, tmp_path):
    """Particles that are larger than the pores of some designs only; what passes is counted, not the foulant."""
    sieving = {"rate": 3e3, "particle_radius": 0.006}
    optimum = {"parameters": RADII, "constraints": ["particle_retention >= 0.5"], "evaluations": 12}
    run = md.run(study(optimum, sieving=sieving, cluster={"profile": "sync"}), out=tmp_path / "run")
    designs, networks = run.result["design"].to_dataset(), run.result["graded"].to_dataset()
    retention = (1 - networks.n_passed / networks.n_arrivals).mean(("realization", "deposition"))
    np.testing.assert_allclose(designs.particle_retention, retention, rtol=1e-12)
    assert float(retention.min()) < 0.5 < float(retention.max())
    assert not designs.feasible.values[retention.values < 0.5].any()
    assert designs.feasible.values.any()


def test_networks_without_a_metric(study):
    """A design whose networks have no concentration is left out, and is not proposed again."""
    settings = {"parameters": RADII, "constraints": ["foulant_concentration <= 0.05"], "evaluations": 30}
    program = DesignProgram(study(settings))
    history, rounds = {}, program.rounds()
    request, proposed = next(rounds), []
    while True:
        if isinstance(request, Recall):
            answer = None
        else:
            for unit in request:
                values = unit.params["parameters"]
                metrics = {name: float(value[unit.index[1]]) for name, value in evaluate(values, 4).items()}
                if values["radius_1"] < 0.008:
                    del metrics["foulant_concentration"]
                history[unit.key] = Outcome("done", {**metrics, **values})
            proposed += [tuple(unit.params["parameters"].values()) for unit in request if unit.index[1] == 0]
            answer = [history[unit.key] for unit in request]
        try:
            request = rounds.send(answer)
        except StopIteration:
            break
    evaluations = program.evaluations(history)
    assert len(evaluations) < len(proposed)
    assert all(evaluation.values["radius_1"] >= 0.008 for evaluation in evaluations.values())
    assert len(set(proposed)) == len(proposed)
    assert "radius" in result(program, evaluations).values


def test_a_study_without_a_feasible_design_is_unfinished(study_file, tmp_path, capsys):
    constraint = "optimum.constraints=[foulant_concentration <= 0.000001]"
    settings = [f"--set={setting}" for setting in (constraint, "optimum.evaluations=8", "cluster.profile=sync")]
    with pytest.raises(SystemExit) as leaving:
        main(["run", str(study_file), "--out", str(tmp_path / "run"), *settings])
    said = "".join(capsys.readouterr())
    assert leaving.value.code == 75, said
    assert "no design meets foulant_concentration <= 1e-06 of the feed; closest" in said


@pytest.mark.usefixtures("undrawn")
def test_report_of_a_front_in_physical_units(study, tmp_path):
    """Radii in um and volumes in L m-2 in the page and the CSV file, and a note on pores that do not stay cylinders."""
    settings = {"parameters": RADII, "front": ["throughput", "log_reduction_value"], "evaluations": 16}
    run = md.run(study(settings, cluster={"profile": "sync"}, **UNITS), tmp_path / "run")
    text = md.write_report(run).read_text(encoding="utf-8")
    front = run.result["front"].to_dataset()
    assert "radius 1 [\u00b5m]" in text
    assert "filtrate volume [L m\u207b\u00b2]" in text
    assert ("predicted" in text) == bool((front.evaluation == -1).any())
    assert "of the deposition falls in pores with" in text
    (encoded,) = re.findall(r'download="front.csv" href="data:text/csv;base64,([^"]*)"', text)
    header, *rows = csv.reader(base64.b64decode(encoded).decode().splitlines())
    first = dict(zip(header, rows[0], strict=True))
    assert float(first["physical_radius_band_1 [um]"]) == pytest.approx(100 * float(first["radius_band_1"]), rel=1e-6)
    volume = 2 * np.pi * 1e-4 / 1e-4 * 1000 * float(first["throughput"])  # 2 pi W h / phi, in litres
    assert float(first["filtrate_volume [L m-2]"]) == pytest.approx(volume, rel=1e-6)
    assert int(first["evaluation"]) == int(front.evaluation[0])
