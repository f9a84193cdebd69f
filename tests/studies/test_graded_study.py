"""Graded study: reproducibility, checks of its parameters, and failing networks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.studies.registry import find_kind

TINY = "kind: graded\nl_max: [0.15, 0.2]\ngradient: [0, 2e-3]\nrealizations: 3\nporosity: 0.3\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def reference(study, tmp_path_factory, values_of):
    run = md.run(md.load_study(study, cluster={"profile": "sync"}), tmp_path_factory.mktemp("reference") / "run")
    assert run.status()["state"] == "complete"
    return values_of(run)


# On demand: one worker, and larger batches on workers. Two workers with batches of one unit are the hardest case.
@pytest.mark.parametrize(
    ("batch", "cluster"),
    [
        (1, {"profile": "sync"}), (4, {"profile": "sync"}), (1, {"workers": 2}),
        *(pytest.param(batch, {"workers": n}, marks=pytest.mark.slow) for batch, n in ((4, 2), (1, 1), (4, 1))),
    ],
    ids=str,
)  # fmt: skip
def test_result_does_not_depend_on_batches_and_workers(study, reference, values_of, tmp_path, cluster, batch):
    run = md.run(md.load_study(study, cluster=cluster, execution={"batch": batch}), tmp_path / "run")
    assert values_of(run) == reference


def test_an_interrupted_run_is_resumed(study, reference, values_of, interrupt_and_resume, tmp_path):
    interrupt_and_resume(study, tmp_path / "run", after=3)
    assert values_of(md.open_run(tmp_path / "run")) == reference


def test_a_design_point_does_not_depend_on_the_other_points(study):
    """A design point added to a study does not change the networks of the other points."""
    single = next(find_kind("graded").build(md.load_study(study, l_max=0.2, gradient=2e-3)).rounds())
    units = {unit.key: unit for unit in next(find_kind("graded").build(md.load_study(study)).rounds())}
    for unit in single:
        assert units[unit.key].seed == unit.seed
    for a, b in itertools.combinations(units.values(), 2):  # only gradients have common random numbers
        common = a.params["l_max"] == b.params["l_max"] and a.index[2] == b.index[2]
        assert (a.seed == b.seed) == common


def test_histories_end_at_flux_extinction(study, tmp_path):
    run = md.run(md.load_study(study, realizations=1, cluster={"profile": "sync"}), tmp_path / "run")
    table, history = run.result["graded"], run.result["graded/history"]
    assert history["flux"].dims == ("l_max", "gradient", "realization", "deposition", "time")
    last = (np.isfinite(history["flux"]).sum("time") - 1).values
    np.testing.assert_allclose(history["time"].values[last], table["lifetime"].values, rtol=1e-9)
    assert (history["flux"].isel(deposition=0).max("time") == table["initial_flux"]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradient": [0, 7e-3]}, "gradient.1: must be less than 0.00666667"),
        ({"radius": [0.01, 0.01, 0.01, 0.002], "gradient": 2e-3}, "must be less than 0.00133333"),
        ({"radius": [0.01, 0.01]}, "one for each of the 4 bands"),
        ({"radius": [0.01, 0.01, 0.01, 0.2]}, "radius.3: must be at most 0.1"),
        ({"l_max": 0.3}, "1/bands = 0.25"),
        ({"l_max": 0.05}, "greater than l_min = 0.06"),
        ({"porosity": 1e-4}, "porosity: cannot be reached with l_max = 0.2"),
        ({"radius": 1e-6, "gradient": 0.0, "time_step": 1e-7, "porosity": 0.9, "l_max": 0.0601}, "more than 1e"),
        ({"gradient": 4e-3, "time_step": 3e-3}, "the narrowest pores, of radius 0.004, must take at least two steps"),
        ({"time_step": 1e-8}, "too small"),
        ({"band_deposition": [1, 2]}, "band_deposition: must have one value"),
        ({"band_deposition": [1, 2, 0, 1]}, "band_deposition.2: must be greater than 0"),
        ({"deposition": [5e-7, 5e-7]}, "is listed twice"),
        ({"radius_spread": {"deviation": 0.5}}, "at most 0.3 for normal radii"),
        ({"radius_spread": {"distribution": "gamma"}}, "distribution"),
        ({"design": "optimum", "gradient": [0, 1e-3], "realizations": 100}, "at least 3 gradients"),
        ({"design": "optimum", "gradient": [0, 1e-3, 2e-3], "realizations": 12}, "at least two rounds of 10"),
        ({"design": "optimum", "realizations": 90, "deposition": [1e-7, 1e-6]}, "needs a single coefficient"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_invalid_studies(tmp_path, settings, message):
    """Each raises before any work starts, with the field, the value and the allowed range."""
    path = tmp_path / "wrong.yaml"
    path.write_text("kind: graded\n")
    with pytest.raises(md.StudyError, match=message):
        md.plan(md.load_study(path, **settings))


def test_networks_that_do_not_percolate_fail(tmp_path):
    """Some sparse networks have no percolating path: they are reported as failed, and the others complete."""
    path = tmp_path / "sparse.yaml"
    path.write_text(
        "kind: graded\nl_max: 0.25\nl_min: 0.2\nporosity: 0.004\nporosity_tolerance: 0.2\ngradient: 0\nradius: 0.01\n"
        "realizations: 30\nexecution: {retries: 0, failure_limit: 1}\ncluster: {profile: sync}\n"
    )
    run = md.run(path, tmp_path / "run")
    failed = run.failures
    assert 0 < len(failed) < 30
    assert all("no path leads through" in f["error"] or "no pore opens" in f["error"] for f in failed)
    lifetime = run.result["graded"].lifetime.values
    assert np.isfinite(lifetime).sum() == 30 - len(failed)


def test_several_coefficients_equal_separate_studies(tmp_path):
    """A sweep of coefficients equals separate studies, and extensions at their defaults equal the published model."""
    path = tmp_path / "sweep.yaml"
    path.write_text(TINY + "cluster: {profile: sync}\n")
    sweep = {"realizations": 2, "l_max": 0.2}
    together = md.run(md.load_study(path, deposition=[1e-7, 5e-7], **sweep), tmp_path / "both").result["graded"]
    plain = md.run(md.load_study(path, **sweep), tmp_path / "plain").result["graded"]
    defaults = {
        "radius": [0.01] * 4, "band_deposition": [1.0] * 4,
        "radius_spread": {"distribution": "uniform", "deviation": 0.0},
    }  # fmt: skip
    same = md.run(md.load_study(path, **sweep, **defaults), tmp_path / "defaults").result["graded"]
    for name in ("throughput", "foulant_concentration_threshold", "porosity_usage"):
        assert (together[name].sel(deposition=5e-7).values == plain[name].isel(deposition=0).values).all()
        assert (same[name].values == plain[name].values).all()
    assert together["throughput"].dims == ("l_max", "gradient", "realization", "deposition")
    assert "deposition" not in together["initial_flux"].dims  # a property of the clean filter
