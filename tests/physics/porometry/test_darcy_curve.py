"""Curves with a non-linear regime: tangency at the critical pressure, and the root of the cubic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve, cubic_threshold
from membrane_dask.physics.porometry.regression import fit_many

P = np.array([1e5, 2e5, 3e5, 4e5])


@settings(max_examples=200, deadline=None)
@given(slope=st.floats(1e-8, 1e-3), zero=st.floats(1e2, 1e6), ratio=st.floats(-5, 1 - 1e-6))
def test_the_line_is_tangent_to_the_logarithm(slope, zero, ratio):
    """Equal flux and slope at the critical pressure, for any threshold below that of the logarithmic branch."""
    curve = DarcyCurve(slope, -slope * math.log(zero), ratio * zero)
    critical = curve.critical_pressure
    assert critical > curve.threshold
    # Near a ratio of 1 the root is double, and known to half the digits only.
    tolerance = 1e-12 if ratio < 0.99 else 1e-6
    assert curve.permeability * (critical - curve.threshold) == pytest.approx(
        curve.critical_flux, rel=1e-6, abs=tolerance * slope
    )
    grid = critical * np.geomspace(1e-2, 1e2, 60)
    line = curve.permeability * (grid - curve.threshold)
    assert (line - slope * np.log(grid / zero) >= -1e-6 * slope).all()


def test_limits_of_tangency():
    curve = DarcyCurve(4.5619e-6, -4.772e-5, 0.0)
    assert curve.critical_pressure == pytest.approx(math.e * curve.log_threshold, rel=1e-12)
    small_threshold = DarcyCurve(4.5619e-6, -4.772e-5, 1.0).critical_pressure
    assert small_threshold == pytest.approx(math.e * curve.log_threshold, rel=1e-4)
    equal_thresholds = DarcyCurve(1.0, -math.log(2e4), 2e4)  # the tangent point is the threshold itself
    assert equal_thresholds.critical_pressure == pytest.approx(2e4, rel=1e-6)
    with pytest.raises(PhysicsError, match=r"no tangent: .* 20.02 kPa, exceeds .* 20 kPa"):
        _ = DarcyCurve(1.0, -math.log(2e4), 2.002e4).critical_pressure
    flux = DarcyCurve(4.5619e-6, -4.772e-5, 13459.6).flux(np.array([1e4, 5e4, 80243.3, 4e5]))
    assert flux[0] == 0
    assert (np.diff(flux) > 0).all()


def test_root_of_the_cubic():
    assert cubic_threshold(np.poly([2e4, 5e5, 9e5]), 1e5) == pytest.approx(2e4)
    for roots in ([2e4, 5e4, 9e5], [2e5, 5e5, 9e5]):
        with pytest.raises(PhysicsError, match="must have one real root below the data"):
            cubic_threshold(np.poly(roots), 1e5)
    # Errors of 1 % of the flux change the root of a measured cubic by more than its value (MPESm-1).
    flux = np.array([4.8232, 7.9701, 9.6912, 11.2176]) * 1e-6
    rng = np.random.default_rng(8)
    roots = []
    for cubic in fit_many(P, flux * rng.normal(1, 0.01, (2000, 4)), "cubic"):
        try:
            roots.append(cubic_threshold(cubic, 1e5))
        except PhysicsError:
            continue
    assert np.quantile(roots, (0.025, 0.975)) / 1e3 == pytest.approx((-5.8, 25.2), abs=1.5)


def test_the_linear_segment():
    """Eqs. 34 and 35 for MPESm-1: one slope at both pressures, and a length without the flux."""
    curve = DarcyCurve(4.5619e-6, -4.7720e-5, 13459.0)
    over_distance = curve.critical_flux / (curve.critical_pressure - curve.threshold)
    assert curve.flux_at_log_threshold / (curve.log_threshold - curve.threshold) == pytest.approx(
        over_distance, rel=1e-9
    )
    # The paper reads the critical pressure, 80 kPa, off a figure: 6.19e8 Pa m-1; the point of tangency is 80.24 kPa.
    assert curve.segment_length(1.075e-4) == pytest.approx(6.1899e8 * (80.244 - 13.459) / (80 - 13.459), rel=1e-4)
