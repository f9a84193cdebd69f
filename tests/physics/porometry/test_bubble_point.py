"""Bubble points that are given as pressures, and the radius of the largest pore."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.bubble_point import bubble_point_radius, first_flow
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.wetting_liquids import wetting_liquid


@pytest.mark.parametrize(
    ("liquid", "celsius", "bar", "diameter"),
    [("IPA", 20, 0.95, 0.897768), ("IPA", 20, 2.10, 0.406133), ("water", 25, 9.6, 0.299884)],
)
def test_diameters_in_um(liquid, celsius, bar, diameter):
    """Printed digits of the reference, 1e-6."""
    wetting = wetting_liquid(liquid, celsius + 273.15)
    estimate = bubble_point_radius(bar * 1e5, CapillaryLaw(wetting.surface_tension, wetting.relative_error))
    assert 2e6 * estimate.value == pytest.approx(diameter, rel=2e-6)
    assert estimate.high / estimate.value == pytest.approx(math.exp(1.96 * 0.03), rel=1e-5)
    assert estimate.value / estimate.low == pytest.approx(estimate.high / estimate.value, rel=1e-12)


def test_errors_of_tension_and_gauge_add_in_squares():
    estimate = bubble_point_radius(1e5, CapillaryLaw(0.021, 0.03), pressure_error=0.04)
    assert math.log(estimate.high / estimate.value) == pytest.approx(1.96 * 0.05, rel=1e-4)


@pytest.mark.parametrize("pressure", [0.0, -1e5, math.nan, math.inf])
def test_impossible_pressures_are_refused(pressure):
    with pytest.raises(PhysicsError, match="bubble point: must be greater than 0 bar"):
        bubble_point_radius(pressure, CapillaryLaw(0.021))


def test_noise_decides_the_detection_limit():
    """Three standard deviations of readings at rest, whose signs alternate."""
    pressure = np.arange(1.0, 9.0) * 1e4
    wet = np.array([1.0, -1.0, 1.0, -1.0, 2.9, 3.1, 50.0, 200.0]) * 1e-9
    first = first_flow(pressure, wet, np.full(8, 1e-6))
    assert first.limit == pytest.approx(3e-9, rel=1e-9)
    assert (first.pressure.low, first.pressure.value) == (5e4, 6e4)
    assert "three standard deviations of 4 readings without flow" in first.finding


def test_a_limit_replaces_the_noise():
    pressure = np.arange(1.0, 5.0) * 1e4
    first = first_flow(pressure, np.array([0.0, 1e-7, 6e-7, 2e-6]), np.full(4, np.nan), limit=5e-7)
    assert (first.pressure.low, first.pressure.value, first.pressure.high) == (2e4, 3e4, 3e4)
    assert "first flow above 30 mL/min (criterion first_flow)" in first.finding


def test_a_single_spike_among_readings_at_rest_is_no_flow():
    pressure = np.arange(1.0, 21.0) * 1e4
    wet = np.zeros(20)
    wet[4], wet[18:] = 5e-8, [3e-7, 2e-6]
    first = first_flow(pressure, wet, np.full(20, 1e-5))
    assert first.pressure.value == pressure[18]


def test_a_limit_below_the_noise_is_replaced_and_reported():
    pressure = np.arange(1.0, 9.0) * 1e4
    wet = np.array([1.0, -1.0, 1.0, -1.0, 2.9, 3.1, 50.0, 200.0]) * 1e-9
    first = first_flow(pressure, wet, np.full(8, 1e-6), limit=0.5e-9)
    assert first.pressure.value == 6e4
    assert "without flow, which first_flow, 0.03 mL/min, does not exceed" in first.finding
