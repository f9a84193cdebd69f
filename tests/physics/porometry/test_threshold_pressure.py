"""Threshold pressure of a line: standard errors, Fieller's interval and its coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.intervals import ratio_interval
from membrane_dask.physics.porometry.regression import fit, fit_of_printed_line
from membrane_dask.physics.porometry.threshold_pressure import threshold_pressure

P = np.array([1e5, 2e5, 3e5, 4e5])
NOISY = 2.71e-7 * (P - 8964.5) * np.array([1.03, 0.98, 1.01, 0.995])

#: L, P_0 and r2 of Palencia's twelve lines; SE(L) / L in %, SE(P_0) in kPa and t, as if fitted to four pressures.
TABLE_3 = [
    (2.71, 8964.5, 0.9965, 4.2, 11.1, 0.81), (2.59, 12086.3, 0.9968, 4.0, 10.5, 1.15),
    (2.81, 4671.0, 0.9962, 4.4, 11.8, 0.40), (3.23, 3300.1, 0.9972, 3.7, 10.1, 0.33),
    (3.27, 8472.3, 0.9974, 3.6, 9.6, 0.88), (3.25, 9675.2, 0.9974, 3.6, 9.6, 1.01),
    (2.73, 4121.3, 0.9495, 16.3, 44.0, 0.09), (3.58, 3649.0, 0.9943, 5.4, 14.5, 0.25),
    (3.53, 3299.0, 0.9992, 2.0, 5.4, 0.61), (1.87, 7045.9, 0.9906, 6.9, 18.4, 0.38),
    (1.49, 15958.3, 0.9944, 5.3, 13.8, 1.16), (1.41, 15055.1, 0.9872, 8.1, 20.9, 0.72),
]  # fmt: skip


@pytest.mark.parametrize(("slope", "zero", "r_squared", "slope_error", "zero_error", "ratio"), TABLE_3)
def test_no_threshold_of_table_3_is_resolved(slope, zero, r_squared, slope_error, zero_error, ratio):
    line = fit_of_printed_line(slope * 1e-10, -slope * 1e-10 * zero, r_squared, P)
    threshold = threshold_pressure(line)
    assert 100 * line.standard_errors()[0] / line.values[0] == pytest.approx(slope_error, abs=0.051)
    assert threshold.standard_error / 1e3 == pytest.approx(zero_error, abs=0.051)
    assert threshold.pressure / threshold.standard_error == pytest.approx(ratio, abs=0.0051)
    assert not threshold.resolved


def test_coverage_of_the_interval():
    """Fieller's interval is exact on normal errors: 95 % within three standard errors of a fraction of 1500."""
    rng, pressure = np.random.default_rng(7), np.linspace(1e5, 5e5, 6)
    true_thresholds = rng.uniform(-2e4, 6e4, 1500)
    covered = 0
    for true in true_thresholds:
        threshold = threshold_pressure(fit(pressure, 2e-10 * (pressure - true) + 3e-6 * rng.standard_normal(6)))
        covered += threshold.low <= true <= threshold.high
    assert covered / 1500 == pytest.approx(0.95, abs=0.017)


def test_flux_that_does_not_grow():
    with pytest.raises(PhysicsError, match="does not grow"):
        threshold_pressure(fit(P, -NOISY))
    # A slope that does not differ from 0 leaves the threshold unbounded.
    threshold = threshold_pressure(fit(P, np.array([1.0, 3.0, 0.5, 3.2])))
    assert (threshold.low, threshold.high) == (-math.inf, math.inf)
    assert ratio_interval(1.0, 1.0, np.full((2, 2), np.nan), 2.0) == (-math.inf, math.inf)
