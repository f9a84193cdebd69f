"""Best gradient: accuracy, coverage of its intervals, number of networks, and reproducibility of the search."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.studies.graded.optimum import best_gradient, candidates, next_round, tied

GRID = np.arange(9) * 0.5e-3


def curve(s, best=1.9e-3):
    """Throughput against the gradient, similar to that of Gu's networks: asymmetric around its maximum."""
    x = (np.asarray(s) - best) * 1e3
    return 0.0433 - 0.00165 * x**2 + 0.0001 * x**3 - 0.00002 * x**4


def paired(rng, n, best=1.9e-3, grid=GRID):
    """Samples with the deviation and the correlation of paired networks (1.5 % each, differences 0.6 %)."""
    common = 0.0006 * rng.standard_normal((n, 1))
    walk = np.cumsum(0.00025 * rng.standard_normal((n, len(grid))), axis=1)
    return curve(grid, best) + common + walk


def test_maximum_of_an_exact_curve():
    optimum = best_gradient(GRID, curve(GRID) + 1e-9 * np.random.default_rng(0).standard_normal((10, 9)))
    assert optimum.gradient == pytest.approx(1.9e-3, abs=1e-6)
    assert optimum.grid_gradient == 2e-3
    assert optimum.value == pytest.approx(0.0433, rel=1e-6)
    assert optimum.gain == pytest.approx(0.0433 / curve(0.0) - 1, rel=1e-5)
    assert optimum.gradient_low <= optimum.gradient <= optimum.gradient_high < optimum.gradient_low + 1e-6
    assert not optimum.at_edge


# On demand: optima nearer to the ends of the range.
@pytest.mark.parametrize(
    "best",
    [2.25e-3, pytest.param(1.9e-3, marks=pytest.mark.slow), pytest.param(2.9e-3, marks=pytest.mark.slow)],
)
def test_coverage_of_the_intervals(best):
    """With the stopping rule the 95 % intervals of 400 samples cover the truth in 93 to 98 % of cases.

    These limits are 95 % plus or minus about two standard errors; the bias of sequential stopping is smaller.
    """
    rng = np.random.default_rng(5)
    gradient_covered = gain_covered = 0
    networks = []
    for _ in range(400):
        truth = paired(rng, 200, best)
        samples = np.full_like(truth, np.nan)
        samples[:20] = truth[:20]
        count, used = 20, 180
        while True:
            columns = next_round(GRID, samples[:count], interval=2e-4, tolerance=0.002, confidence=0.95)
            if isinstance(columns, str) or count == 200:
                break
            samples[count : count + 10, columns] = truth[count : count + 10, columns]
            count, used = count + 10, used + 10 * len(columns)
        optimum = best_gradient(GRID, samples)
        gradient_covered += optimum.gradient_low <= best <= optimum.gradient_high
        gain_covered += optimum.gain_low <= curve(best, best) / curve(0.0, best) - 1 <= optimum.gain_high
        networks.append(used)
    assert 0.93 <= gradient_covered / 400 <= 0.98
    assert 0.92 <= gain_covered / 400 <= 0.98
    assert np.median(networks) <= 250


def test_optimum_at_the_end_of_the_grid():
    rng = np.random.default_rng(1)
    falling = 1 - 50 * GRID + 1e-3 * rng.standard_normal((20, 9))
    optimum = best_gradient(GRID, falling)
    assert optimum.at_edge
    assert optimum.gradient == optimum.grid_gradient == 0
    assert optimum.gradient_low == 0


def test_too_few_or_too_noisy_samples():
    assert best_gradient(GRID, np.full((3, 9), np.nan)) is None
    assert best_gradient(GRID, curve(GRID) + np.zeros((3, 1))) is None
    noisy = curve(GRID) + 0.05 * np.random.default_rng(2).standard_normal((6, 9))
    optimum = best_gradient(GRID, noisy)
    assert optimum.gradient_high - optimum.gradient_low > 1e-3


def test_a_grid_of_three():
    grid = np.array([1e-3, 2e-3, 3e-3])
    samples = 1 - ((grid - 2.2e-3) * 100) ** 2 + 1e-9 * np.random.default_rng(0).standard_normal((8, 3))
    assert best_gradient(grid, samples).gradient == pytest.approx(2.2e-3, abs=1e-6)


def test_candidates_and_ties():
    rng = np.random.default_rng(3)
    samples = paired(rng, 40)
    assert set(candidates(samples, 0.95)) <= {3, 4}
    flat = 1 + 1e-4 * rng.standard_normal((40, 9))
    flat[:, [0, 1, 7, 8]] -= 0.1
    assert tied(flat, 0.002, 0.95)
    assert not tied(flat, 1e-6, 0.95)
    assert next_round(GRID, flat, interval=1e-9, tolerance=0.002, confidence=0.95) == "tie"
    columns = next_round(GRID, samples[:4], interval=1e-9, tolerance=0.0, confidence=0.95)
    assert {0, 4} <= set(columns)  # the reference of the gain, and the best


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


def test_search_needs_few_networks(run, study):
    assert run.status()["state"] == "complete"
    assert run.status()["left"] == 0
    optimum = run.result["optimum_throughput"].to_dataset().squeeze()
    used = int(optimum.networks)
    assert used == int((run.result["graded"].status == 1).sum()) == run.status()["done"]
    assert used < 0.6 * 5 * 60
    assert float(optimum.gradient_high - optimum.gradient_low) <= 4e-4
    assert float(optimum.gradient_low) <= float(optimum.gradient) <= float(optimum.gradient_high)
    assert int(optimum.stop_reason) == 1
    # The optimum of the whole grid agrees within the intervals of both.
    whole = md.load_study(
        study, design="grid", optimum={"interval": 2e-4, "round": 10}, realizations=30, cluster={"profile": "sync"}
    )
    grid = md.run(whole, run.path.parent / "grid")
    grid_optimum = grid.result["optimum_throughput"].to_dataset().squeeze()
    widths = [float(one.gradient_high - one.gradient_low) for one in (optimum, grid_optimum)]
    assert abs(float(optimum.gradient - grid_optimum.gradient)) < 0.75 * np.hypot(*widths)  # three standard errors
    # Networks that both runs have are equal.
    first, second = (r.result["graded"].throughput.isel(realization=slice(0, 8)) for r in (run, grid))
    np.testing.assert_array_equal(first.values, second.values)


def test_search_is_reproducible_on_any_cluster(run, study, values_of, tmp_path):
    repeated = md.run(md.load_study(study, cluster={"workers": 2}), tmp_path / "repeated")
    assert values_of(repeated) == values_of(run)


def test_an_interrupted_search_is_resumed(run, study, values_of, interrupt_and_resume, tmp_path):
    interrupt_and_resume(study, tmp_path / "run", after=30)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(run)


def test_a_complete_search_does_not_run_again(run, study):
    before = run.status()
    repeated = md.run(md.load_study(study, cluster={"profile": "sync"}), run.path)
    assert repeated.status() == before
