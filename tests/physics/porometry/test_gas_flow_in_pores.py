"""Gas flow through log-normal pores: integrals, limits, derivatives, broadcasting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.gas_flow_in_pores import (
    GasStream,
    dry_gas_flux,
    open_flow_fraction,
    open_flow_fraction_slopes,
    pore_conductance,
)
from membrane_dask.physics.porometry.gases import GAS_CONSTANT, Gas, knudsen_to_viscous_ratio, molar_density
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii

NITROGEN = GasStream(Gas.named("N2"), 298.15)
RADII = LogNormalRadii(60e-9, 0.35)
CONSTANT = 2 * 16e-3


def _integral(lowest: float, pressure: float, stream: GasStream | None) -> float:
    """Conductance of the pores above a radius, by quadrature over ln r."""

    def density(x: float) -> float:
        radius = RADII.median * math.exp(RADII.log_standard_deviation * x)
        return float(pore_conductance(radius, pressure, stream)) * math.exp(-x * x / 2)

    start = math.log(lowest / RADII.median) / RADII.log_standard_deviation
    return quad(density, max(start, -12), 14, epsrel=1e-11, epsabs=0, limit=200)[0]


@pytest.mark.parametrize("stream", [None, NITROGEN], ids=["viscous", "slip"])
@pytest.mark.parametrize("pressure", [1e5, 3e5, 8e5])
def test_open_fraction_is_the_integral_over_the_pores(pressure, stream):
    fraction = open_flow_fraction(pressure, CONSTANT, RADII.median, RADII.log_standard_deviation, stream)
    expected = _integral(CONSTANT / pressure, pressure, stream) / _integral(1e-12, pressure, stream)
    assert fraction == pytest.approx(expected, rel=1e-7)


def test_knudsen_over_viscous_flow_of_one_pore():
    radius, pressure = 30e-9, 1e4
    mean_pressure = NITROGEN.permeate_pressure + pressure / 2
    viscous = radius**4 * mean_pressure / (8 * 17.80e-6)
    ratio = pore_conductance(radius, pressure, NITROGEN) / viscous - 1
    mean_free_path = NITROGEN.gas.mean_free_path(298.15, mean_pressure)
    assert ratio == pytest.approx(knudsen_to_viscous_ratio(radius, mean_free_path), rel=1e-12)


def test_dry_flux_is_the_sum_over_the_pores():
    """With eps = n pi <r^2>, the flux is n pi conductance p / (R T y)."""
    pressure, ratio = 2e5, 1500.0
    s = RADII.log_standard_deviation
    mean_conductance = _integral(1e-12, pressure, NITROGEN) / math.sqrt(2 * math.pi)
    per_length = ratio / (math.pi * RADII.moment(2))
    expected = per_length * math.pi * mean_conductance * pressure / (GAS_CONSTANT * 298.15)
    assert dry_gas_flux(pressure, RADII.median, s, ratio, NITROGEN) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("median", "order"), [(2e-9, 3), (50e-6, 4)])
def test_limits_of_narrow_and_wide_pores(median, order):
    """The pressure of half of the flow belongs to r_N exp(3 s^2) for Knudsen flow, r_N exp(4 s^2) for viscous flow."""
    pressure = CONSTANT / (median * math.exp(order * 0.3**2))
    stream = GasStream(Gas.named("N2"), 298.15, permeate_pressure=1e3 if order == 3 else 1e7)
    # Knudsen flow needs a small mean pressure: the pressure difference is scaled down with the surface tension.
    scale = 1e-6 if order == 3 else 1.0
    assert open_flow_fraction(scale * pressure, scale * CONSTANT, median, 0.3, stream) == pytest.approx(0.5, abs=2e-3)


@pytest.mark.parametrize("stream", [None, NITROGEN], ids=["viscous", "slip"])
def test_slopes_agree_with_differences(stream):
    pressure, s, step = np.linspace(1e5, 9e5, 9), 0.35, 1e-5
    flow_median = RADII.flow_median

    def fraction(log_radius: float, log_sd: float) -> np.ndarray:
        width = s * math.exp(log_sd)
        return open_flow_fraction(pressure, CONSTANT, flow_median * math.exp(log_radius - 4 * width**2), width, stream)

    slopes = open_flow_fraction_slopes(pressure, CONSTANT, RADII.median, s, stream)
    for column, change in enumerate([(step, 0.0), (0.0, step)]):
        difference = (fraction(*change) - fraction(-change[0], -change[1])) / (2 * step)
        np.testing.assert_allclose(slopes[:, column], difference, rtol=1e-6, atol=1e-9)


def test_parameters_broadcast():
    medians, widths = np.array([20e-9, 60e-9])[:, None], np.array([0.1, 0.2, 0.4])[:, None, None]
    pressure = np.linspace(1e5, 2e6, 5)
    fractions = open_flow_fraction(pressure, CONSTANT, medians, widths, NITROGEN)
    assert fractions.shape == (3, 2, 5)
    assert fractions[2, 1, 3] == open_flow_fraction(pressure[3], CONSTANT, 60e-9, 0.4, NITROGEN)
    assert dry_gas_flux(pressure, medians, widths, np.full((3, 2, 1), 1e3), NITROGEN).shape == (3, 2, 5)


def test_the_open_fraction_depends_on_the_ratio_of_tension_and_radius_alone():
    pressure = np.linspace(1e5, 9e5, 9)
    narrow = open_flow_fraction(pressure, CONSTANT, 60e-9, 0.3)
    np.testing.assert_allclose(open_flow_fraction(pressure, 3 * CONSTANT, 180e-9, 0.3), narrow, rtol=1e-10, atol=1e-12)


def test_moles_of_a_standard_cubic_metre():
    assert molar_density(273.15) == pytest.approx(1 / 22.413969e-3, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"permeate_pressure": 0.0}, "permeate pressure: must be absolute"), ({"temperature": 25.0}, "250 to 400 K")],
)
def test_an_impossible_gas_stream_is_refused(arguments, message):
    with pytest.raises(PhysicsError, match=message):
        GasStream(**{"gas": Gas.named("air"), "temperature": 298.15, **arguments})
