"""Posterior of the pore structure from several tables: what they determine, what they leave open, contradictions."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.joint_posterior import joint_posterior
from membrane_dask.physics.porometry.joint_tables import DisplacementTable, WaterTable
from membrane_dask.physics.porometry.liquid_displacement import liquid_displacement, permeance_while_open
from membrane_dask.physics.porometry.posterior import Prior
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii

RADII, POROSITY, THICKNESS, MU, MU_DISPLACING = LogNormalRadii(8e-9, 0.25), 0.06, 0.8e-6, 0.89e-3, 3.4e-3
PERMEABILITY = POROSITY * RADII.hydraulic_radius**2 / (8 * THICKNESS)


def water(factor=1.0):
    value = factor * PERMEABILITY / MU
    return WaterTable.of_estimate("water", Estimate(value, 0.98 * value, 1.02 * value), 8, MU)


def displacement(seed=0):
    rng = np.random.default_rng(seed)
    law = CapillaryLaw(1.7e-3, 0.03)
    pressure = np.arange(1.4e5, 8e5, 0.4e5)
    permeance = permeance_while_open(
        pressure, law.constant, RADII.median, RADII.log_standard_deviation, PERMEABILITY / MU_DISPLACING
    )
    flux = permeance * pressure * (1 + 0.01 * rng.standard_normal(len(pressure)))
    readings = liquid_displacement(pressure, flux, law, viscosity=MU_DISPLACING)
    return DisplacementTable("displacement", readings, law, MU_DISPLACING)


def test_water_alone_leaves_the_radius_open():
    """The permeance is one number of four: a narrow radius would be a failure."""
    result = joint_posterior([water()])
    assert result.hydraulic_radius.high / result.hydraulic_radius.low > 100
    assert result.findings


def test_water_displacement_and_thickness_determine_all():
    result = joint_posterior([water(), displacement()], {"thickness": Prior("normal", 0.8e-6, 0.08e-6)}, area=41.8e-4)
    number = POROSITY * 41.8e-4 / (np.pi * RADII.median**2 * np.exp(2 * 0.25**2))
    for estimate, truth in (
        (result.hydraulic_radius, RADII.hydraulic_radius), (result.log_sd, 0.25), (result.porosity, POROSITY),
        (result.thickness, THICKNESS), (result.pore_number, number),
    ):  # fmt: skip
        assert estimate.low < truth < estimate.high
    # The tension is known to 3 %: +- 6 % of the radius.
    assert result.hydraulic_radius.high / result.hydraulic_radius.low == pytest.approx(1.12, abs=0.02)
    assert result.run_difference < 0.02
    assert len(result.draws["hydraulic_radius"]) == 1024


def test_order_of_tables_does_not_matter():
    tables = [water(), displacement()]
    first, second = joint_posterior(tables), joint_posterior(tables[::-1])
    assert first.hydraulic_radius == second.hydraulic_radius
    assert first.log_sd == second.log_sd


def test_contradictions_give_no_number():
    """Ten times the permeance that the displacing liquid finds."""
    result = joint_posterior([water(10.0), displacement()])
    assert result.is_contradictory
    assert np.isnan(result.hydraulic_radius.value)
    text = " ".join(result.findings)
    assert "water" in text
    assert "displacement" in text
