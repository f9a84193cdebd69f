"""Largest pore by the entry pressure of a liquid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.entry_pressure import largest_pore
from membrane_dask.physics.porometry.water import Water

TENSION = (Water.at(298.15).surface_tension, 0.0)


@pytest.mark.parametrize(("pressure", "angle", "radius"), [(2.9e5, 126.0, 0.291753), (1.05e5, 118.0, 0.643598)])
def test_radii_of_an_independent_implementation(pressure, angle, radius):
    pore = largest_pore((pressure, 0.0), (angle, 0.0), TENSION)
    assert 1e6 * pore.radius.value == pytest.approx(radius, rel=2e-6)
    assert math.isnan(pore.radius.low)


def test_a_liquid_that_wets_gives_no_radius():
    pore = largest_pore((0.4e5, 0.0), (62.0, 0.0), TENSION)
    assert math.isnan(pore.radius.value)
    assert pore.findings == (
        "contact angle 62: the liquid wets and is drawn in, its entry pressure gives no pore size",
    )  # fmt: skip


def test_an_angle_without_an_error_shows_what_two_degrees_are():
    pore = largest_pore((1.05e5, 0.0), (118.0, 0.0), TENSION)
    assert pore.findings == ("contact angle 118 without an error: +-2 deg would be +-6.6 % of the radius",)


def test_the_interval_covers_the_truth_under_errors_of_all_measurements():
    """Errors of 2 degrees, 3 % of the pressure and 1 % of the tension, 400 times; within three standard errors."""
    rng = np.random.default_rng(12)
    radius = -2 * TENSION[0] * math.cos(math.radians(118)) / 1.05e5
    covered = 0
    for angle, pressure, tension in rng.standard_normal((400, 3)):
        pore = largest_pore(
            (1.05e5 * (1 + 0.03 * pressure), 0.03e5), (118 + 2 * angle, 2.0), (TENSION[0] * (1 + 0.01 * tension), 7e-4)
        )
        covered += pore.radius.low <= radius <= pore.radius.high
    assert covered / 400 == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 400))


def test_an_angle_close_to_ninety_degrees_has_no_lower_bound():
    pore = largest_pore((1e5, 0.0), (93.0, 2.0), TENSION)
    assert pore.radius.low == 0
    assert pore.radius.high > pore.radius.value > 0
    assert "contact angle 93 +- 2: the liquid may wet, no lower bound of the radius" in pore.findings


def test_the_geometry_factor_and_the_pressure_scale_the_radius():
    pore = largest_pore((1e5, 1e3), (120.0, 1.0), TENSION)
    scaled = largest_pore((2e5, 2e3), (120.0, 1.0), TENSION, geometry_factor=0.5)
    assert scaled.radius.value == pytest.approx(pore.radius.value / 4, rel=1e-12)
    assert scaled.radius.high == pytest.approx(pore.radius.high / 4, rel=1e-12)


def test_impossible_input_is_refused_together():
    with pytest.raises(PhysicsError) as failure:
        largest_pore((0.0, -1.0), (190.0, -2.0), (-0.07, 0.0), geometry_factor=2.0)
    for text in (
        "entry pressure: above 0 (got 0)", "entry pressure: a standard error of 0 or above (got -1)",
        "contact angle: 0 to 180 degrees (got 190)", "contact angle: a standard error of 0 or above (got -2)",
        "surface tension: above 0 (got -0.07)", "geometry factor: above 0, at most 1 (got 2)",
    ):  # fmt: skip
        assert text in str(failure.value)
