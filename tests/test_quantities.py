"""Factors between units that are known without the registry of units."""

from __future__ import annotations

import pytest

from membrane_dask import quantities


@pytest.mark.parametrize(("text", "unit"), list(quantities._FREQUENT_FACTORS))
def test_frequent_factors_are_those_of_the_registry(text, unit):
    assert quantities._FREQUENT_FACTORS[text, unit] == quantities._convert(1.0, text, unit)
    assert quantities.convert(7.3, text, unit, rounded=False) == quantities._convert(7.3, text, unit)
