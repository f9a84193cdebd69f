"""The likelihood of a table agrees with the integral over the size of its error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from membrane_dask.physics.porometry.student_likelihood import student_log_likelihood

OBSERVED = np.array([1.0, 2.1, 2.9, 4.2, 4.8])
WEIGHTS = np.array([1.0, 2.0, 1.0, 0.5, 1.0])


def _integral(model: np.ndarray) -> float:
    """Likelihood by quadrature over the error's size, with the prior 1 / sigma."""

    def density(sigma: float) -> float:
        return float(np.prod(norm.pdf(OBSERVED, model, sigma / np.sqrt(WEIGHTS))) / sigma)

    return quad(density, 1e-3, 200.0, points=[0.1, 0.5, 1.0, 5.0], limit=400, epsabs=0, epsrel=1e-10)[0]


def test_ratio_of_likelihoods():
    models = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [1.3, 2.0, 2.5, 4.4, 5.0]])
    difference = np.diff(student_log_likelihood(np.sqrt(WEIGHTS) * (OBSERVED - models)))[0]
    assert difference == pytest.approx(np.log(_integral(models[1]) / _integral(models[0])), abs=1e-5)


def test_many_parameters_at_once():
    models = np.random.default_rng(0).normal(3, 1, (4, 3, 5))
    likelihoods = student_log_likelihood(np.sqrt(WEIGHTS) * (OBSERVED - models))
    assert likelihoods.shape == (4, 3)
    assert likelihoods[2, 1] == student_log_likelihood(np.sqrt(WEIGHTS) * (OBSERVED - models[2, 1]))
