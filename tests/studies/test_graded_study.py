"""The graded study: the same bits however it is run, and through a kill."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.studies import build

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
    alone = build(md.load_study(study, l_max=0.2, gradient=2e-3))
    among = build(md.load_study(study))
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
