"""Digits that intervals support, and units by magnitude."""

from __future__ import annotations

import math

import pytest

from membrane_dask.number_text import (
    compact,
    interval_text,
    percent_text,
    quantity_column,
    quantity_text,
    readable_unit,
    with_error,
)

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (12.3456, 9, 16, "12.3 [9.0, 16.0]"),
        (12345.6, 9000, 16000, "12300 [9000, 16000]"),
        (0.43219, 0.4311, 0.4332, "0.4322 [0.4311, 0.4332]"),
        (-0.004, -0.02, 0.01, "-0.004 [-0.020, 0.010]"),
        (1.23456e-16, 1.1e-16, 1.4e-16, "1.23e-16 [1.10e-16, 1.40e-16]"),
        (0.5, 0.00123, 1000, "0.5 [0.0012, 1000]"),  # no decimal suits both ends
        (12.3456, NAN, NAN, "12.35"),
        (12.3456, 9, math.inf, "12.3 [9.0, infinite]"),
        (12.3456, 12.3456, 12.3456, "12.3456 [12.3456, 12.3456]"),
        (4.0, 0.0, 9000, "4 [0, 9000]"),
        (0.01, 0.0, 0.02, "0.010 [0.000, 0.020]"),
        (2.0, 2.0, 2.0, "2 [2, 2]"),
        (0.0, 0.0, 0.0, "0 [0, 0]"),
        (NAN, 9, 16, "9 to 16"),  # limits without a value
        (NAN, NAN, 16, "at most 16"),
        (NAN, 9, math.inf, "at least 9"),
        (NAN, NAN, NAN, "-"),
    ],
)
def test_values_have_the_digits_that_their_interval_supports(value, low, high, text):
    assert interval_text(value, low, high) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234.5, 3, "1230"), (0.04334, 3, "0.0433"), (1.9e-6, 3, "1.9e-6"), (123456, 3, "123000"), (9.996, 3, "10"),
        (-2.0, 3, "-2"), (0, 3, "0"), (NAN, 3, "-"), (1.5e7, 3, "1.5e7"),
    ],
)  # fmt: skip
def test_numbers_have_no_exponent_unless_they_are_very_small_or_large(value, digits, text):
    assert compact(value, digits) == text


def test_errors():
    assert with_error(5.03e-6, 1.1e-7) == "(5.03 ± 0.11)e-6"
    assert with_error(0.04334, 0.00021) == "0.04334 ± 0.00021"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.34, "nm", "12.3 nm"), (999.0, "nm", "999 nm"), (12340, "nm", "12.3 µm"), (2.5e6, "nm", "2.5 mm"),
        (0.0, "nm", "0 nm"), (30.0, "h", "30 h"), (72.0, "h", "3 d"), (0.25, "h", "15 min"), (0.002, "h", "7.2 s"),
        (0.25, "1", "0.25"), (NAN, "nm", "- nm"), (3.0, "bar", "3 bar"),
    ],
)  # fmt: skip
def test_quantities_have_a_unit_without_powers_of_ten(value, unit, text):
    assert quantity_text(value, unit) == text


def test_one_unit_for_all_values_of_an_axis():
    assert readable_unit("nm", [5.0, NAN, math.inf, 12000.0]) == ("µm", 1e-3)
    assert readable_unit("nm", []) == ("nm", 1.0)
    assert quantity_text(12000, "nm", 9000, 16000) == "12.0 [9.0, 16.0] µm"


def test_a_column_has_one_unit_by_its_values():
    assert quantity_column("radius", "nm", [(12.3, 9, 16), (NAN,), (2100,)]) == (
        "radius, µm", ["0.0123 [0.0090, 0.0160]", "-", "2.1"],
    )  # fmt: skip
    assert quantity_column("radius", "nm", [(4.0, 3.5, 4.5), (NAN, NAN, 8000.0)])[0] == "radius, µm"
    assert quantity_column("radius", "nm", [(4.0, 0.0, 9e6)]) == ("radius, nm", ["4 [0, 9e6]"])
    assert quantity_column("ratio", "1", [(0.12345,)]) == ("ratio", ["0.123"])
    assert quantity_column("thickness", "um", [(0.31,), (0.2,)]) == ("thickness, nm", ["310", "200"])


def test_percentages_have_all_digits_that_a_study_states():
    assert [percent_text(f) for f in (0.95, 0.999, 0.125, 0.005, 0.07)] == ["95 %", "99.9 %", "12.5 %", "0.5 %", "7 %"]
