"""Factors between units that are known without the registry of units."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from membrane_dask import quantities


@pytest.mark.parametrize(("text", "unit"), list(quantities._FREQUENT_FACTORS))
def test_frequent_factors_are_those_of_the_registry(text, unit):
    assert quantities._FREQUENT_FACTORS[text, unit] == quantities._convert(1.0, text, unit)
    assert quantities.convert(7.3, text, unit, rounded=False) == quantities._convert(7.3, text, unit)


@pytest.mark.parametrize(
    ("text", "megabytes"), [("2 GB", 2000.0), ("512MiB", 536.870912), ("1 TB", 1e6), ("4 KiB", 0.004096)]
)
def test_memory_is_in_bytes(text, megabytes):
    assert TypeAdapter(quantities.Bytes).validate_python(text) == pytest.approx(megabytes, rel=1e-15)  # one rounding


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("2G", "'2 GiB' .* or '2 GB'"), ("4gb", "'4 GiB' .* or '4 GB'"), ("2000Mn", "'2000 MiB'"), ("4Gc", "'4 GiB'"),
        ("500K", "'500 KiB' .* '500 kB'"), ("1T", "'1 TiB'"), ("2.5 Gi", "'2.5 GiB'"), ("4096", "'4096 MiB'"),
        (4096, "'4096 MiB'"), (2, "'2 GiB' .* '2 GB'"), ("80%", "'2 GiB'"),
    ],
)  # fmt: skip
def test_memory_as_batch_systems_write_it_is_refused_with_both_spellings(text, advice):
    """A percentage was read as a number of bytes, since bytes have no dimension."""
    with pytest.raises(ValueError, match=advice):
        TypeAdapter(quantities.Bytes).validate_python(text)
