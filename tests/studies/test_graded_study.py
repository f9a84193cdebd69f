"""The graded study: the same bits however it is run, and through a kill."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.studies.registry import find_kind

TINY = "kind: graded\nl_max: [0.15, 0.2]\ngradient: [0, 2e-3]\nrealizations: 6\nporosity: 0.3\n"


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


@pytest.mark.parametrize("cluster", [{"profile": "sync"}, {"workers": 1}, {"workers": 2}], ids=str)
@pytest.mark.parametrize("batch", [1, 4])
def test_batches_and_workers_do_not_show(study, reference, values_of, tmp_path, cluster, batch):
    run = md.run(md.load_study(study, cluster=cluster, execution={"batch": batch}), tmp_path / "run")
    assert values_of(run) == reference


def test_a_killed_driver_loses_nothing(study, reference, values_of, kill_and_resume, tmp_path):
    kill_and_resume(study, tmp_path / "run", after=3, options=("--set", "execution.batch=1"))
    assert values_of(md.open_run(tmp_path / "run")) == reference


def test_a_design_point_does_not_depend_on_its_company(study):
    """Adding a point to a sweep leaves the networks of the others as they were."""
    alone = find_kind("graded").build(md.load_study(study, l_max=0.2, gradient=2e-3))
    among = find_kind("graded").build(md.load_study(study))
    units = {unit.key: unit for unit in among.proposer()({})}
    for unit in alone.proposer()({}):
        assert units[unit.key].seed == unit.seed
    for one, other in itertools.combinations(units.values(), 2):  # gradients share their numbers, nothing else does
        alike = one.params["l_max"] == other.params["l_max"] and one.index[2] == other.index[2]
        assert (one.seed == other.seed) == alike


def test_histories_end_with_the_filter(study, tmp_path):
    run = md.run(md.load_study(study, realizations=1, cluster={"profile": "sync"}), tmp_path / "run")
    table, history = run.result["graded"], run.result["graded/history"]
    assert history["flux"].dims == ("l_max", "gradient", "realization", "deposition", "time")
    last = (np.isfinite(history["flux"]).sum("time") - 1).values
    np.testing.assert_allclose(history["time"].values[last], table["lifetime"].values, rtol=1e-9)
    assert (history["flux"].isel(deposition=0).max("time") == table["initial_flux"]).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gradient": [0, 7e-3]}, "gradient.1: must be less than 0.00666667"),
        ({"radius": [0.01, 0.01, 0.01, 0.002], "gradient": 2e-3}, "must be less than 0.00133333"),
        ({"radius": [0.01, 0.01]}, "one for each of the 4 bands"),
        ({"radius": [0.01, 0.01, 0.01, 0.2]}, "radius.3: must be at most 0.1"),
        ({"l_max": 0.3}, "1/bands = 0.25"),
        ({"l_max": 0.05}, "greater than l_min = 0.06"),
        ({"porosity": 1e-4}, "porosity: cannot be had with l_max = 0.2"),
        ({"radius": 1e-6, "gradient": 0.0, "time_step": 1e-7, "porosity": 0.9, "l_max": 0.0601}, "more than 2e"),
        ({"gradient": 4e-3, "time_step": 3e-3}, "the narrowest pores, of radius 0.004, must last two steps"),
        ({"time_step": 1e-8}, "too small"),
        ({"band_deposition": [1, 2]}, "band_deposition: must hold one number"),
        ({"band_deposition": [1, 2, 0, 1]}, "band_deposition.2: must be greater than 0"),
        ({"deposition": [5e-7, 5e-7]}, "stands in the list twice"),
        ({"radius_spread": {"deviation": 0.5}}, "at most 0.3 for normal radii"),
        ({"radius_spread": {"distribution": "gamma"}}, "distribution"),
        ({"design": "optimum", "gradient": [0, 1e-3], "realizations": 100}, "at least 3 gradients"),
        ({"design": "optimum", "gradient": [0, 1e-3, 2e-3], "realizations": 12}, "at least two rounds of 10"),
        ({"design": "optimum", "realizations": 90, "deposition": [1e-7, 1e-6]}, "sought for one coefficient"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_studies_that_cannot_be_run(tmp_path, settings, words):
    """Each is refused before any work starts, with the field, the value and what is allowed."""
    path = tmp_path / "wrong.yaml"
    path.write_text("kind: graded\n")
    with pytest.raises(md.StudyError, match=words):
        md.plan(md.load_study(path, **settings))


def test_networks_that_nothing_passes_are_set_aside(tmp_path):
    """Sparse networks with few pores: some do not percolate, which is told, and costs the others nothing."""
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


def test_coefficients_side_by_side(tmp_path):
    """A sweep of coefficients gives what each gives alone; without the neutral extensions it is the plain study."""
    path = tmp_path / "sweep.yaml"
    path.write_text(TINY + "cluster: {profile: sync}\n")
    sweep = {"realizations": 2, "l_max": 0.2}
    together = md.run(md.load_study(path, deposition=[1e-7, 5e-7], **sweep), tmp_path / "both").result["graded"]
    plain = md.run(md.load_study(path, **sweep), tmp_path / "plain").result["graded"]
    neutral = {
        "radius": [0.01] * 4, "band_deposition": [1.0] * 4,
        "radius_spread": {"distribution": "uniform", "deviation": 0.0},
    }  # fmt: skip
    same = md.run(md.load_study(path, **sweep, **neutral), tmp_path / "neutral").result["graded"]
    for name in ("throughput", "foulant_concentration_threshold", "porosity_usage"):
        assert (together[name].sel(deposition=5e-7).values == plain[name].isel(deposition=0).values).all()
        assert (same[name].values == plain[name].values).all()
    assert together["throughput"].dims == ("l_max", "gradient", "realization", "deposition")
    assert "deposition" not in together["initial_flux"].dims  # the clean filter knows no foulant
