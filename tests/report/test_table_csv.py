"""Tables of reports as CSV: numbers that programs read, with the digits of the report."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from membrane_dask.report.table_csv import table_csv


def test_numbers_and_intervals():
    header = ("membrane", "L, L m⁻² h⁻¹ bar⁻¹", "resistance, m⁻¹", "P₀, kPa", "note")
    rows = [
        ("M1, before", "57.2 [56.7, 57.7]", "6.56e12", "-0.238 [-2.46, 1.96]", "a - b, infinite"),
        ("M2", "0.0123 [4.0e-3, 0.0301]", "-", "-", "as its prior"),
        ("M3", "at most 3.2", "1.07e-12", "1 [-infinite, infinite]", ""),
    ]
    table = pd.read_csv(io.StringIO(table_csv(header, rows)))
    assert list(table) == [
        "membrane", "L, L m⁻² h⁻¹ bar⁻¹", "L, L m⁻² h⁻¹ bar⁻¹, low", "L, L m⁻² h⁻¹ bar⁻¹, high", "resistance, m⁻¹",
        "P₀, kPa", "P₀, kPa, low", "P₀, kPa, high", "note",
    ]  # fmt: skip
    assert table["membrane"].tolist() == ["M1, before", "M2", "M3"]
    assert table["L, L m⁻² h⁻¹ bar⁻¹"].tolist() == ["57.2", "0.0123", "at most 3.2"]
    assert table["L, L m⁻² h⁻¹ bar⁻¹, low"].tolist()[:2] == [56.7, 4.0e-3]
    assert table["resistance, m⁻¹"].tolist() == pytest.approx([6.56e12, float("nan"), 1.07e-12], nan_ok=True)
    assert table["P₀, kPa"].tolist() == pytest.approx([-0.238, float("nan"), 1.0], nan_ok=True)
    assert table["P₀, kPa, low"].tolist() == pytest.approx([-2.46, float("nan"), -float("inf")], nan_ok=True)
    assert table["note"].tolist()[:2] == ["a - b, infinite", "as its prior"]


def test_a_table_without_rows_has_its_header():
    assert table_csv(("a", "b"), []) == "a,b\n"
