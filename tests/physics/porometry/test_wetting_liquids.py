"""Surface tensions of test liquids: published values, synonyms, refusals."""

from __future__ import annotations

import pytest
from chemicals.interface import sigma_data_Jasper_Lange

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.wetting_liquids import wetting_liquid


@pytest.mark.parametrize(
    ("name", "temperature", "value"),
    [
        ("Porefil", None, 16.0), ("POROFIL", None, 16.0), ("PoreWick", None, 16.0), ("perfluoroether", None, 16.0),
        ("Galwick", None, 15.9), ("water", 293.15, 72.73614), ("water", 298.15, 71.97221), ("IPA", 293.15, 21.322),
        ("2-Propanol", 293.15, 21.322), ("Ethanol", 298.15, 21.97),
    ],
)  # fmt: skip
def test_surface_tension_in_mn_per_m(name, temperature, value):
    liquid = wetting_liquid(name, temperature)
    assert liquid.surface_tension * 1e3 == pytest.approx(value, rel=1e-6)
    assert liquid.relative_error == 0.03


@pytest.mark.parametrize(("name", "number"), [("isopropanol", "67-63-0"), ("ethanol", "64-17-5")])
def test_alcohols_follow_the_published_line(name, number):
    row = sigma_data_Jasper_Lange.loc[number]
    for celsius in (0.0, 25.0, 60.0):
        published = (row["a"] - row["b"] * celsius) * 1e-3
        assert wetting_liquid(name, celsius + 273.15).surface_tension == pytest.approx(published, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "temperature", "message"),
    [
        ("mineral oil", 298.15, "no confirmed surface tension is known for mineral oil; 34.7 mN/m"),
        ("Petroleum Distillate", None, "30.0 mN/m is stated without a source"),
        ("denatured alcohol", 298.15, "22.3 mN/m"),
        ("Silwick", None, "no surface tension is known for silwick. Give surface_tension"),
        ("fluorinert", None, "'fluorinert' is not known; known are 2-propanol, ethanol, .*galwick, .*water"),
        ("water", None, "the surface tension of water depends on it"),
        ("isopropanol", 25.0, "known from 183.65 to 355.55 K \\(got 25.0\\)"),
        ("water", 380.0, "known from 273.16 to 373.0 K"),
    ],
)
def test_liquids_without_a_value_are_refused(name, temperature, message):
    with pytest.raises(PhysicsError, match=message):
        wetting_liquid(name, temperature)
