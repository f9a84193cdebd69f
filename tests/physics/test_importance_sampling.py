"""Importance sampling: a sample continued from fewer points has the bits of one that is drawn at once."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics.importance_sampling import adapted_mixture, importance_sample


def log_density(points):
    """A narrow curved density of two variables."""
    return -np.square(points[:, 0]) / 2 - np.square((points[:, 1] - np.square(points[:, 0])) / 0.1) / 2


def test_a_continued_sample_has_the_bits_of_a_whole_one():
    mixture, has_reached = adapted_mixture(log_density, np.array([[-4.0, 4.0], [-1.0, 16.0]]))
    assert has_reached
    evaluated = []

    def counted(points):
        evaluated.append(len(points))
        return log_density(points)

    fewer = importance_sample(counted, mixture, 2**10, 7)
    continued = importance_sample(counted, mixture, 2**12, 7, fewer)
    assert evaluated == [2**10, 2**12 - 2**10]
    whole = importance_sample(log_density, mixture, 2**12, 7)
    for name in ("points", "log_density", "log_weights"):
        np.testing.assert_array_equal(getattr(continued, name), getattr(whole, name))
