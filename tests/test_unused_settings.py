"""Settings that others leave without an effect are refused, with what they need."""

from __future__ import annotations

import pytest

import membrane_dask as md
from membrane_dask.config import BaseStudy
from membrane_dask.setting_model import unused_settings
from membrane_dask.studies.registry import find_kind
from membrane_dask.study_file import to_yaml

INPUTS = {
    "graded": "",
    "reconstruct": "input: a.png\n",
    "characterize": "input: a.npy\n",
    "foul": "input: a.npy\nfoulant: {damkohler_number: 1}\n",
    "porometry": "input: a.csv\n",
}
#: Kind, settings, the one that has no effect, and what it needs.
UNUSED = [
    ("graded", "optimum: {metric: porosity_usage}", "optimum.metric", "set design: optimum"),
    ("graded", "design: optimum\noptimum: {evaluations: 10}", "optimum.evaluations", "set optimum.parameters"),
    (
        "graded",
        "design: optimum\ngradient: [0]\noptimum: {parameters: {porosity: {range: [0.5, 0.7]}}, round: 4}",
        "optimum.round",
        "set neither optimum.parameters",
    ),
    ("graded", "radius_spread: {distribution: uniform}", "radius_spread.distribution", "set deviation"),
    ("graded", "erosion: {returned: false}", "erosion.returned", "set rate"),
    ("graded", "sieving: {particle_radius: 0.01}", "sieving.particle_radius", "set rate"),
    (
        "graded",
        "operation: {mode: flux, flux: initial, pressure_limit: 5}\nflux_threshold: 1e-5",
        "flux_threshold",
        "set operation.mode: pressure",
    ),
    ("reconstruct", "search: {trials: 40}", "search.trials", "set method: bayesian"),
    ("reconstruct", "search: {method: published, slices: 2}", "search.slices", "set method: direct or bayesian"),
    ("reconstruct", "model: {depth: layers, knots: [0, 1]}", "model.knots", "set model.depth: graded"),
    ("reconstruct", "model: {blend_power: 5}", "model.blend_power", "set depth: layers"),
    ("reconstruct", "search: {method: bayesian}\ngoodness_of_fit: {refits: 4}", "goodness_of_fit.refits", "direct"),
    ("characterize", "flow: {wall_model: staircase}", "flow.wall_model", "set flow.enabled: true"),
    ("characterize", "retention: {particles: 9}", "retention.particles", "set retention.enabled: true"),
    ("characterize", "bench: {readings: 9}", "bench.readings", "set bench.enabled: true"),
    ("characterize", "reference_axis: y", "reference_axis", "set reference"),
    ("foul", "temperature: 40 degC", "temperature", "set foulant.diameter"),
    ("foul", "sieving: {arrivals: time}", "sieving.arrivals", "set rate"),
    ("porometry", "flux_error: 0.02", "flux_error", "set one of them"),
    ("porometry", "pressure_error: 1 kPa", "pressure_error", "set regression: deming"),
    ("porometry", "published: {preset: table8}", "published.preset", "set convention: published"),
    ("porometry", "shape_factor: 0.715", "shape_factor", "read from tables of capillary flow or bubble point"),
    ("porometry", "method: mercury\nviscosity: 2 mPa s", "viscosity", "water or liquid displacement"),
    ("porometry", "reading_errors: {cycles: 30}", "reading_errors.cycles", "set largest"),
]


def written(folder, kind, settings):
    for name in ("a.png", "a.npy", "a.csv"):
        (folder / name).touch()
    path = folder / "study.yaml"
    path.write_text(f"kind: {kind}\n{INPUTS[kind]}{settings}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("kind", "settings", "field", "need"), UNUSED, ids=[f"{u[0]}-{u[2]}" for u in UNUSED])
def test_settings_without_an_effect_are_refused(kind, settings, field, need, tmp_path):
    path = written(tmp_path, kind, settings)
    with pytest.raises(md.StudyError) as error:
        md.load_study(path)
    (problem,) = error.value.problems
    assert problem.field == field
    assert need in problem.message
    assert ", or leave it out (got " in problem.message


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("graded", "sieving: {rate: 0, particle_radius: 0.01}\nerosion: {rate: 0, critical_shear: 0.1}"),
        ("graded", "radius_spread: {distribution: uniform, deviation: 0}"),
        ("reconstruct", "goodness_of_fit: {enabled: false, sections: 20}"),
        ("characterize", "flow: {enabled: false, wall_model: staircase}\nbench: {enabled: false, readings: 9}"),
        ("foul", "sieving: {rate: 0, particle_radius: 40 nm}"),
        ("porometry", "bootstrap: {draws: 0, method: pairs}"),
    ],
)
def test_what_a_section_turns_off_passes(kind, settings, tmp_path):
    """One who writes ``rate: 0`` or ``enabled: false`` has said that the other settings are not used."""
    assert md.load_study(written(tmp_path, kind, settings))


def test_an_override_leaves_settings_of_the_file_without_an_effect(tmp_path):
    path = written(tmp_path, "reconstruct", "search: {roughness: [0, 0.1], closing_radius: [0, 1]}")
    with pytest.warns(UserWarning, match=" is not used: ") as warned:
        study = md.load_study(path, ["search.method=published"])
    assert study.search.method == "published"
    fields = [str(warning.message).split(" is not used: ")[0] for warning in warned]
    assert all(field.startswith(f"{path}:3:") for field in fields)
    assert {field.split(": ")[1] for field in fields} == {"search.closing_radius", "search.roughness"}


def test_an_override_without_an_effect_is_refused(tmp_path):
    path = written(tmp_path, "reconstruct", "seed: 3")
    with pytest.raises(md.StudyError, match=r"--set search\.trials=40: search\.trials: has no effect"):
        md.load_study(path, ["search.trials=40"])
    path = written(tmp_path, "reconstruct", "search: {trials: 40}")
    with pytest.raises(md.StudyError, match=r"search\.trials: has no effect with method: direct"):
        md.load_study(path, ["seed=4"])


@pytest.mark.parametrize("kind", INPUTS)
def test_defaults_may_be_written_out(kind, tmp_path):
    path = written(tmp_path, kind, "")
    study = md.load_study(path)
    path.write_text(to_yaml(study), encoding="utf-8")
    assert md.load_study(path) == study


def test_a_run_of_an_earlier_version_is_read(tmp_path):
    path = written(tmp_path, "graded", "optimum: {metric: porosity_usage}")
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")  # the folder is a run's
    assert md.load_study(path).optimum.metric == "porosity_usage"


def test_studies_made_in_python_are_checked():
    settings_class: type[BaseStudy] = find_kind("graded").settings_class
    with pytest.raises(md.StudyError, match=r"radius_spread\.distribution|distribution"):
        settings_class(radius_spread={"distribution": "uniform"})
    assert list(unused_settings(settings_class())) == []
