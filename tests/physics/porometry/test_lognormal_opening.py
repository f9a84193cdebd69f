"""Fit of a log-normal opening: errors that all readings have in common, and readings that do not determine it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.gas_flow_in_pores import open_flow_fraction
from membrane_dask.physics.porometry.lognormal_opening import fit_opening

CONSTANT = 32e-3
PRESSURE = np.linspace(0.6, 3.0, 25) * 1e5


def fraction(log_sd=0.25, noise=0.003):
    exact = open_flow_fraction(PRESSURE, CONSTANT, 0.2e-6 * math.exp(-4 * log_sd**2), log_sd)
    return exact + noise * np.random.default_rng(0).standard_normal(len(PRESSURE))


def fitted(flow, **errors):
    return fit_opening(PRESSURE, flow, CONSTANT, final_flow=None, relative_error=0.01, floor=0.003, **errors)


def log_half_width(estimate) -> float:
    return math.log(estimate.high / estimate.value)


@pytest.mark.parametrize(
    ("slopes", "pressure_power", "tension_power", "gauge_power"),
    [((1.0, 0.0, 0.0), 0.0, 1.0, -1.0), ((-2.0, 0.0, 1.0), -1.0, -2.0, 1.0), ((0.0, 0.0, 1.0), -1.0, 0.0, -1.0)],
    ids=["radius", "porosity over path length", "permeance"],
)
def test_errors_in_common_act_through_radius_and_pressure(slopes, pressure_power, tension_power, gauge_power):
    """Against the same table with the tension, or all pressures, in error by one standard deviation."""
    flow, error = fraction(), 0.02
    base = fitted(flow).estimate(1.0, slopes, pressure_power)
    for name, power in (("tension_error", tension_power), ("gauge_error", gauge_power)):
        widened = fitted(flow, **{name: error}).estimate(1.0, slopes, pressure_power)
        added = log_half_width(widened) ** 2 - log_half_width(base) ** 2
        assert added == pytest.approx((1.959964 * power * error) ** 2, rel=1e-5, abs=1e-12)


def test_equal_errors_give_the_usual_covariance():
    """With two hundred equal errors the robust variance agrees with the usual one within its sampling error, 20 %."""
    pressure = np.linspace(0.6, 3.0, 200) * 1e5
    exact = open_flow_fraction(pressure, CONSTANT, 0.16e-6, 0.25)
    flow = exact + 0.005 * np.random.default_rng(1).standard_normal(200)
    opening = fit_opening(pressure, flow, CONSTANT, final_flow=1.0, relative_error=0.0, floor=0.01)
    (usual, _), (robust, _) = opening.covariances
    np.testing.assert_allclose(np.diag(robust)[:2], np.diag(usual)[:2], rtol=0.2)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (np.where(PRESSURE > 2e5, 1.0, 0.0), "at least two readings between 2 and 98 %"),
        (np.random.default_rng(4).uniform(0, 1, len(PRESSURE)), "do not determine a log-normal distribution"),
    ],
)
def test_readings_that_determine_nothing_are_refused(flow, message):
    with pytest.raises(PhysicsError, match=message):
        fitted(flow)
