"""Properties of gases: reference numbers, tables of other authors, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from chemicals.dippr import EQ102
from chemicals.viscosity import mu_air_lemmon, mu_data_Perrys_8E_2_312

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.gases import GAS_CONSTANT, GAS_PERMEATION_UNIT, Gas, knudsen_to_viscous_ratio


def test_nitrogen_at_25_degc():
    nitrogen = Gas.named("N2")
    assert nitrogen.viscosity(298.15) == pytest.approx(17.80e-6, rel=1e-12)
    assert nitrogen.mean_speed(298.15) == pytest.approx(474.7026, rel=1e-6)
    assert nitrogen.mean_free_path(298.15, 1e5) == pytest.approx(66.36384e-9, rel=1e-6)
    assert knudsen_to_viscous_ratio(30e-9, nitrogen.mean_free_path(298.15, 1e5)) == pytest.approx(15.0217, rel=1e-5)
    assert pytest.approx(3.346402e-10, rel=1e-6) == GAS_PERMEATION_UNIT


@pytest.mark.parametrize(
    ("name", "number"),
    [("N2", "7727-37-9"), ("He", "7440-59-7"), ("Ar", "7440-37-1"), ("O2", "7782-44-7"), ("CO2", "124-38-9")],
)
def test_viscosities_agree_with_the_handbook(name, number):
    """Within 1 %, about the error of the correlations themselves."""
    temperature = np.linspace(253.15, 393.15, 15)
    row = mu_data_Perrys_8E_2_312.loc[number]
    handbook = [EQ102(t, row["C1"], row["C2"], row["C3"], row["C4"]) for t in temperature]
    np.testing.assert_allclose(Gas.named(name).viscosity(temperature), handbook, rtol=0.01)


def test_viscosity_of_air():
    temperature = np.linspace(253.15, 393.15, 15)
    reference = [mu_air_lemmon(t, 101_325 / (GAS_CONSTANT * t)) for t in temperature]
    np.testing.assert_allclose(Gas.named("air").viscosity(temperature), reference, rtol=0.003)


def test_knudsen_ratio_of_helium_and_nitrogen():
    assert Gas.named("helium").mean_speed(300) / Gas.named("nitrogen").mean_speed(300) == pytest.approx(2.646, abs=5e-4)


def test_names_in_any_case():
    assert Gas.named("carbon  Dioxide") is Gas.named("co2")


def test_the_error_of_a_wrong_name_lists_all_gases():
    with pytest.raises(PhysicsError, match=r"gas: 'neon' is not known; known are nitrogen \(N2\), air, helium"):
        Gas.named("neon")


@pytest.mark.parametrize("temperature", [25.0, 500.0, float("nan")])
def test_temperatures_beyond_the_tables_are_refused(temperature):
    with pytest.raises(PhysicsError, match="temperature: the viscosity of air is known from 250 to 400 K"):
        Gas.named("air").viscosity(temperature)
