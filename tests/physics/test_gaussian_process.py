"""Bayesian optimisation with a Gaussian process."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.reconstruction.gaussian_process import next_point


def minimise(function, d: int, evaluations: int, seed: int) -> float:
    """Smallest value after some evaluations, of which ten are random."""
    rng = np.random.default_rng(seed)
    points = rng.random((10, d))
    values = np.array([function(x) for x in points])
    while len(points) < evaluations:
        proposal = next_point(points, values, rng)
        assert ((proposal >= 0) & (proposal <= 1)).all()
        points, values = np.vstack([points, proposal]), np.append(values, function(proposal))
    return float(values.min())


def test_it_finds_the_minimum_of_three_dimensions():
    centre = np.array([0.2, 0.7, 0.45])
    # Thirty random points come within 0.02 with a probability of 0.3 (a sphere of radius 0.14).
    assert max(minimise(lambda x: float(((x - centre) ** 2).sum()), 3, 30, seed) for seed in range(3)) < 1e-3


def test_noise_and_unimportant_dimensions():
    noise = np.random.default_rng(5)
    best = [minimise(lambda x: (x[0] - 0.3) ** 2 + 0.01 * noise.random(), 4, 30, seed) for seed in range(3)]
    assert np.median(best) < 0.01


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [0.0, 1e9, -1e9], [2.0]])
def test_degenerate_values(values):
    points = np.linspace(0, 1, len(values))[:, None] * np.ones(2)
    assert np.isfinite(next_point(points, np.array(values), np.random.default_rng(0))).all()


def test_repeated_points():
    points = np.array([[0.5, 0.5]] * 6 + [[0.1, 0.9]])
    assert np.isfinite(next_point(points, np.arange(7.0), np.random.default_rng(0))).all()
