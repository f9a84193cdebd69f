"""Random-effects mean of a population, and the coverage of all intervals together."""

from __future__ import annotations

import importlib
import math
import sys

import numpy as np
import pytest

from membrane_dask.physics.porometry.intervals import random_effects


def test_random_effects():
    """Members with errors of about 10 and a standard deviation of 20 about 100."""
    rng = np.random.default_rng(10)
    covered, deviations = 0, []
    for _ in range(400):
        errors = rng.uniform(5, 15, 8)
        population = random_effects(rng.normal(100, 20, 8) + errors * rng.standard_normal(8), errors)
        covered += population.low <= 100 <= population.high
        deviations.append(population.standard_deviation)
    assert covered / 400 == pytest.approx(0.95, abs=0.033)  # three standard errors
    assert np.median(deviations) == pytest.approx(19, abs=2)
    equal = random_effects(np.array([1.0, 1.01, 0.99]), np.array([0.1, 0.1, 0.1]))
    assert equal.standard_deviation == 0.0
    assert equal.mean == pytest.approx(1.0)


@pytest.fixture
def calibration(root, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(root / "benchmarks"), *sys.path])
    return importlib.import_module("porometry_calibration")


def test_coverage_of_50_membranes(calibration):
    """Within three standard errors of 95 %; the published structure is far below."""
    coverage, published = calibration.coverage(range(50))
    assert (np.abs(coverage - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / 50)).all(), coverage
    assert (published < 0.6).all()


@pytest.mark.slow
def test_coverage_of_2000_membranes(calibration):
    coverage, _ = calibration.coverage(range(2000), processes=2)
    assert ((coverage >= 0.93) & (coverage <= 0.97)).all(), coverage
