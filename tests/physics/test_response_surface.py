"""Response surfaces, and the search for the best point under constraints, on functions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.constrained_search import Problem, maximise, optimum_draws
from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.response_surface import fit_surface, sample_surfaces


def identity(points):
    return points


def bowl(x):
    """Largest, 0, at (0.6, 0.4)."""
    return -((x[:, 0] - 0.6) ** 2) - 2 * (x[:, 1] - 0.4) ** 2


def test_a_smooth_function_is_reproduced():
    rng = np.random.default_rng(1)
    points, new = rng.random((30, 2)), rng.random((50, 2))
    surface = fit_surface(points, bowl(points))
    mean, deviation = surface.predict(new)
    # The range is 0.9; the largest error is that of a point outside the hull of the others.
    assert np.abs(mean - bowl(new)).max() < 0.02
    assert np.sqrt(np.mean(np.square(mean - bowl(new)))) < 2e-3
    assert (deviation < 0.02).all()


def test_standard_deviations_agree_with_the_errors():
    """Of 400 predictions from values with noise, 90 to 99 % lie within two standard deviations."""
    covered = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        points, new = rng.random((30, 2)), rng.random((50, 2))
        values = bowl(points) + 0.01 * rng.standard_normal(30)
        mean, deviation = fit_surface(points, values).predict(new)
        covered.append(np.abs(mean - bowl(new)) < 2 * deviation)
    assert 0.90 <= np.mean(covered) <= 0.99


def test_draws_have_the_mean_and_the_deviation_of_the_prediction():
    rng = np.random.default_rng(2)
    points, new = rng.random((8, 2)), rng.random((5, 2))
    surface = fit_surface(points, bowl(points) + 0.05 * rng.standard_normal(8))
    draws = surface.draw(new, standard_normal(rng, (4000, 5)))
    mean, deviation = surface.predict(new)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * deviation.max() / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(axis=0), deviation, rtol=0.06, atol=1e-4)  # 5 standard errors


def test_a_transformed_surface():
    points = np.random.default_rng(3).random((12, 2))
    surface = fit_surface(points, bowl(points))
    mean, deviation = surface.predict(points)
    other_mean, other_deviation = surface.transformed(-2.0, 0.3).predict(points)
    np.testing.assert_allclose(other_mean, 0.3 - 2 * mean, rtol=1e-12)
    np.testing.assert_allclose(other_deviation, 2 * deviation, rtol=1e-12)


@pytest.mark.parametrize("values", [np.ones(6), np.array([0.0, 1e9, -1e9, 1.0, 2.0, 3.0])])
def test_degenerate_values(values):
    points = np.linspace(0, 1, 6)[:, None] * np.ones(2)
    mean, deviation = fit_surface(points, values).predict(points)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()


def constrained(n, seed, quantile=0.0, error=0.0):
    """Largest x + y at a distance from the origin of at most 0.8: at x = y = 0.5657, where the sum is 1.1314."""
    points = np.random.default_rng(seed).random((n, 2))
    objective = fit_surface(points, points.sum(axis=1))
    margin = fit_surface(points, 0.64 - np.square(points).sum(axis=1))
    return points, Problem(objective, (margin,), np.array([error]), np.array([quantile]))


def test_best_point_under_a_constraint():
    points, problem = constrained(25, 4)
    best = maximise(problem.guess, identity, points, np.random.default_rng(0))
    np.testing.assert_allclose(best, [0.5657, 0.5657], atol=0.02)  # the sum is flat along the circle
    assert best.sum() == pytest.approx(1.1314, abs=2e-3)
    # A margin of two common errors of 0.05 keeps the square of the distance below 0.54.
    _, cautious = constrained(25, 4, quantile=2.0, error=0.05)
    best = maximise(cautious.guess, identity, points, np.random.default_rng(0))
    assert np.square(best).sum() == pytest.approx(0.54, abs=4e-3)


def test_improvement_is_sought_where_the_constraint_may_be_met():
    points, problem = constrained(25, 5)
    feasible = points[problem.shortfall(points) == 0]
    best = float(problem.objective.predict(feasible)[0].max())
    proposal = maximise(lambda x: problem.improvement(x, best), identity, points, np.random.default_rng(0))
    assert np.square(proposal).sum() == pytest.approx(0.64, abs=0.02)
    assert problem.improvement(np.array([[0.95, 0.95]]), best)[0] < 1e-6 * problem.improvement(proposal[None], best)[0]


def test_sampled_surfaces_scatter_around_the_fitted_one():
    """Seven values without noise leave the length scale open; each sample passes through the values all the same."""
    points = np.linspace(0, 1, 7)[:, None]
    values = np.sin(4 * points[:, 0])
    rng = np.random.default_rng(0)
    surfaces = sample_surfaces(points, values, 40, rng)
    lengths = np.array([surface.parameters[0] for surface in surfaces])
    fitted = fit_surface(points, values)
    assert lengths.min() < fitted.parameters[0] < lengths.max()
    assert 0.05 < lengths.std() < 1.0  # narrower than the prior, whose standard deviation is 1
    for surface in surfaces:
        # The noise of most samples is far below 1 % of the range.
        assert np.median(np.abs(surface.predict(points)[0] - values)) < 0.02
    same = sample_surfaces(points, values, 40, np.random.default_rng(0))
    np.testing.assert_array_equal([surface.signal for surface in same], [surface.signal for surface in surfaces])


def test_interval_of_the_optimum_covers_it():
    """The optimum of a noisy function lies in the 95 % interval of drawn ones in 34 or more of 40 samples (p = 0.01).

    Functions are drawn from sampled surfaces: those of the fitted one cover in 90 % of cases.
    """
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        points = rng.random((16, 1))
        values = -((points[:, 0] - 0.6) ** 2) + 0.02 * rng.standard_normal(16)
        surfaces = [fit_surface(points, values), *sample_surfaces(points, values, 20, rng)]
        problems = [Problem(surface, (), np.zeros(0), np.zeros(0)) for surface in surfaces]
        best = maximise(problems[0].guess, identity, points, rng)
        cloud = np.concatenate([best[None], rng.random((400, 1))])
        optima = []
        for problem in problems[1:]:
            drawn, improvements = optimum_draws(problem, cloud, lambda shape, rng=rng: standard_normal(rng, shape), 10)
            optima.append(drawn[:, 0])
            assert (improvements >= 0).all()
        low, high = np.quantile(np.concatenate(optima), [0.025, 0.975])
        covered += low <= 0.6 <= high
    assert covered >= 34
