"""Monte Carlo errors of a line, with both readings of Palencia's Eq. 23."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.porometry.measurement_errors import line_errors, perturb


def test_errors_of_both_signs():
    rng = np.random.default_rng(9)
    signed, literal = (perturb(np.ones(40_000), 5.0, rng, sign) - 1 for sign in ("signed", "literal"))
    assert abs(signed).max() <= 0.05 >= literal.max()
    assert literal.min() >= 0  # as printed, the error is never negative
    assert signed.mean() == pytest.approx(0, abs=5e-4)  # five standard errors
    assert literal.mean() == pytest.approx(0.05 / 3, rel=0.02)
    line, pressures = (2.71e-10, -2.71e-10 * 8964.5), np.array([1e5, 2e5, 3e5, 4e5])
    for quantity in ("time", "mass"):
        for sign, mean, largest in (("signed", 2.06, 5.2), ("literal", 1.75, 4.5)):
            errors = line_errors(line, pressures, quantity, 5.0, rng, cycles=20_000, sign=sign)["permeability"]
            errors = np.abs(errors)
            assert errors.mean() == pytest.approx(mean, rel=0.04)
            assert errors.reshape(-1, 20).max(axis=1).mean() == pytest.approx(largest, rel=0.04)
    threshold_errors = line_errors(line, pressures, "mass", 5.0, rng, cycles=20_000)["threshold"]
    assert np.abs(threshold_errors).mean() == pytest.approx(43, rel=0.06)
