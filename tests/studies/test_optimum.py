"""The best gradient: found where it is, as sure as it says, with few networks, and the same after a kill."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.studies.graded.optimum import best_gradient, candidates, next_round, tied

GRID = np.arange(9) * 0.5e-3


def curve(s, best=1.9e-3):
    """A throughput much like that of Gu's networks: it rises and falls unequally about its top."""
    x = (np.asarray(s) - best) * 1e3
    return 0.0433 - 0.00165 * x**2 + 0.0001 * x**3 - 0.00002 * x**4


def paired(rng, n, best=1.9e-3, grid=GRID):
    """Samples with the spread and the correlation of paired networks (1.5 % each, differences 0.6 %)."""
    common = 0.0006 * rng.standard_normal((n, 1))
    walk = np.cumsum(0.00025 * rng.standard_normal((n, len(grid))), axis=1)
    return curve(grid, best) + common + walk


def test_the_top_of_a_known_curve():
    found = best_gradient(GRID, curve(GRID) + 1e-9 * np.random.default_rng(0).standard_normal((10, 9)))
    assert found.gradient == pytest.approx(1.9e-3, abs=1e-6)
    assert found.grid_gradient == 2e-3
    assert found.value == pytest.approx(0.0433, rel=1e-6)
    assert found.gain == pytest.approx(0.0433 / curve(0.0) - 1, rel=1e-5)
    assert found.low <= found.gradient <= found.high < found.low + 1e-6
    assert not found.at_edge


@pytest.mark.parametrize("best", [1.9e-3, 2.25e-3, 2.9e-3])
def test_intervals_hold_as_often_as_they_say(best):
    """Of 400 samples stopped by the rule, the 95 % intervals cover the truth in 93 to 98 %.

    That is 95 % give or take two standard errors of 400; stopping early costs less than that.
    """
    rng = np.random.default_rng(5)
    covered = gained = 0
    networks = []
    for _ in range(400):
        truth = paired(rng, 200, best)
        samples = np.full_like(truth, np.nan)
        samples[:20] = truth[:20]
        made, used = 20, 180
        while True:
            where = next_round(GRID, samples[:made], interval=2e-4, tolerance=0.002, confidence=0.95)
            if isinstance(where, str) or made == 200:
                break
            samples[made : made + 10, where] = truth[made : made + 10, where]
            made, used = made + 10, used + 10 * len(where)
        found = best_gradient(GRID, samples)
        covered += found.low <= best <= found.high
        gained += found.gain_low <= curve(best, best) / curve(0.0, best) - 1 <= found.gain_high
        networks.append(used)
    assert 0.93 <= covered / 400 <= 0.98
    assert 0.92 <= gained / 400 <= 0.98
    assert np.median(networks) <= 250


def test_the_end_of_the_grid_is_said_to_be_one():
    rng = np.random.default_rng(1)
    falling = 1 - 50 * GRID + 1e-3 * rng.standard_normal((20, 9))
    found = best_gradient(GRID, falling)
    assert found.at_edge
    assert found.gradient == found.grid_gradient == 0
    assert found.low == 0


def test_too_little_to_tell():
    assert best_gradient(GRID, np.full((3, 9), np.nan)) is None
    assert best_gradient(GRID, curve(GRID) + np.zeros((3, 1))) is None
    noisy = curve(GRID) + 0.05 * np.random.default_rng(2).standard_normal((6, 9))
    found = best_gradient(GRID, noisy)
    assert found.high - found.low > 1e-3  # says so, rather than a number


def test_a_grid_of_three():
    grid = np.array([1e-3, 2e-3, 3e-3])
    samples = 1 - ((grid - 2.2e-3) * 100) ** 2 + 1e-9 * np.random.default_rng(0).standard_normal((8, 3))
    assert best_gradient(grid, samples).gradient == pytest.approx(2.2e-3, abs=1e-6)


def test_who_is_left_and_when_it_is_a_tie():
    rng = np.random.default_rng(3)
    samples = paired(rng, 40)
    assert set(candidates(samples, 0.95)) <= {3, 4}
    flat = 1 + 1e-4 * rng.standard_normal((40, 9))
    flat[:, [0, 1, 7, 8]] -= 0.1
    assert tied(flat, 0.002, 0.95)
    assert not tied(flat, 1e-6, 0.95)
    assert next_round(GRID, flat, interval=1e-9, tolerance=0.002, confidence=0.95) == "tie"
    more = next_round(GRID, samples[:4], interval=1e-9, tolerance=0.0, confidence=0.95)
    assert {0, 4} <= set(more)  # what the gain is measured from, and the best


SMALL = {
    "l_max": 0.25, "gradient": [0.0, 1e-3, 2e-3, 3e-3, 4e-3], "porosity": 0.3, "porosity_tolerance": 0.01,
    "realizations": 60, "time_step": 5e-4, "flux_threshold": 1e-7,
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "optimum.yaml"
    path.write_text(
        "kind: graded\ndesign: optimum\noptimum: {interval: 4.0e-4, round: 8}\n"
        + "".join(f"{name}: {value}\n" for name, value in SMALL.items())
    )
    return path


@pytest.fixture(scope="module")
def run(study, tmp_path_factory):
    return md.run(md.load_study(study, cluster={"profile": "sync"}), tmp_path_factory.mktemp("optimum") / "run")


def test_an_optimum_takes_few_networks(run, study):
    assert run.status()["state"] == "complete"
    assert run.status()["left"] == 0
    found = run.result["optimum_throughput"].to_dataset().squeeze()
    used = int(found.networks)
    assert used == int((run.result["graded"].status == 1).sum()) == run.status()["done"]
    assert used < 0.6 * 5 * 60
    assert float(found.high - found.low) <= 4e-4
    assert float(found.low) <= float(found.gradient) <= float(found.high)
    assert int(found.ended) == 1
    # The whole grid agrees: its optimum lies within both intervals' reach.
    whole = md.load_study(study, design="grid", realizations=30, cluster={"workers": 2})
    grid = md.run(whole, run.path.parent / "grid")
    other = grid.result["optimum_throughput"].to_dataset().squeeze()
    reach = np.hypot(float(found.high - found.low), float(other.high - other.low)) / 2
    assert abs(float(found.gradient - other.gradient)) < 1.5 * reach  # three standard errors
    # Where both have a network it is the same one.
    one, two = (r.result["graded"].throughput.isel(realization=slice(0, 8)) for r in (run, grid))
    np.testing.assert_array_equal(one.values, two.values)


def test_the_search_depends_on_nothing_but_its_numbers(run, study, values_of, kill_and_resume, tmp_path):
    again = md.run(md.load_study(study, cluster={"workers": 2}), tmp_path / "again")
    assert values_of(again) == values_of(run)
    kill_and_resume(study, tmp_path / "killed", after=30, options=("--set", "execution.batch=2"))
    assert values_of(md.open_run(tmp_path / "killed")) == values_of(run)


def test_a_finished_search_is_left_alone(run, study):
    before = run.status()
    again = md.run(md.load_study(study, cluster={"profile": "sync"}), run.path)
    assert again.status() == before
