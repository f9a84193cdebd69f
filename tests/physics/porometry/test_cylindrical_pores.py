"""Relations of cylindrical pores, their distributions, and the properties of water."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane_dask.physics.porometry.cylindrical_pores import (
    hydraulic_permeability,
    laplace_constant,
    largest_thickness,
    pore_number,
    young_laplace_radius,
)
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii, NormalRadii
from membrane_dask.physics.porometry.water import Water


@settings(max_examples=100, deadline=None)
@given(
    radius=st.floats(1e-10, 1e-5), porosity=st.floats(1e-6, 0.999), thickness=st.floats(1e-9, 1e-3),
    viscosity=st.floats(1e-5, 0.1),
)  # fmt: skip
def test_relations_are_consistent(radius, porosity, thickness, viscosity):
    value = hydraulic_permeability(radius, porosity, thickness, viscosity)
    assert 8 * viscosity * thickness * value / radius**2 == pytest.approx(porosity, rel=1e-12)
    assert largest_thickness(value, radius, viscosity) == pytest.approx(thickness / porosity, rel=1e-12)
    assert pore_number(porosity, radius, 1.0) * math.pi * radius**2 == pytest.approx(porosity, rel=1e-12)


def test_a_printed_membrane():
    """PESm-1 as printed: pores of 3.15 nm through the whole membrane would need a porosity above 1."""
    assert hydraulic_permeability(3.9931e-9, 0.13023, 1.075e-6, 0.891e-3) == pytest.approx(2.70991e-10, rel=5e-5)
    assert largest_thickness(2.71e-10, 3.15e-9, 0.891e-3) == pytest.approx(5.14e-6, rel=1e-3)
    assert young_laplace_radius(8964.5, laplace_constant(0.07197, 75.6)) == pytest.approx(3.9931e-6, rel=5e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: laplace_constant(0.072, 90.0), "contact angle: must be at least 0 and less than 90"),
        (lambda: laplace_constant(0.072, -1.0), "contact angle"),
        (lambda: laplace_constant(0.0, 10.0), "surface tension: must be greater than 0"),
        (lambda: young_laplace_radius(-5.0, 0.036), "capillary pressure: must be greater than 0"),
        (lambda: hydraulic_permeability(3e-9, 1.0, 1e-6, 1e-3), "porosity: must be greater than 0 and less than 1"),
        (lambda: hydraulic_permeability(3e-9, 0.1, 1e-6, 0.891), "viscosity: .* is it in mPa s"),
        (lambda: hydraulic_permeability(3e-9, 0.1, -1e-6, 1e-3), "thickness: must be greater than 0"),
        (lambda: Water.at(263.0), "temperature: liquid water is needed"),
    ],
)
def test_values_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_distributions():
    """Moments of the two radii of PESm-1, nm."""
    normal, log_normal = NormalRadii(2.62793, 1.93068), LogNormalRadii.from_moments(2.62793, 1.93068)
    assert normal.negative_fraction == pytest.approx(0.087, abs=5e-4)
    assert (log_normal.median, log_normal.log_standard_deviation) == pytest.approx((2.1178, 0.6570), abs=5e-5)
    assert (log_normal.mean, log_normal.standard_deviation) == pytest.approx((2.62793, 1.93068), rel=1e-12)
    radius = np.geomspace(1e-3, 1e4, 20001)
    density = log_normal.density(radius)
    for by, power in (("flow", 4), ("area", 2)):
        weighted = density * radius**power
        weighted /= np.trapezoid(weighted, radius)
        np.testing.assert_allclose(log_normal.weighted(by).density(radius), weighted, rtol=1e-6, atol=1e-12)
    fourth, second = (np.trapezoid(density * radius**k, radius) for k in (4, 2))
    assert log_normal.hydraulic_radius == pytest.approx(math.sqrt(fourth / second), rel=1e-6)
    assert np.trapezoid(normal.density(np.linspace(-20, 25, 4001)), np.linspace(-20, 25, 4001)) == pytest.approx(1)


def test_water():
    """NIST at 25 degC, and viscosities of a handbook at 20 and 40 degC."""
    water = Water.at(298.15)
    assert water.viscosity == pytest.approx(0.890e-3, abs=5e-7)
    assert water.density == pytest.approx(997.05, abs=0.01)
    assert water.surface_tension == pytest.approx(0.07197, abs=5e-6)
    assert Water.at(293.15).viscosity == pytest.approx(1.0016e-3, rel=1e-3)
    assert Water.at(313.15).viscosity == pytest.approx(0.6527e-3, rel=1e-3)
