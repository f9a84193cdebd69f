"""A column of permeances next to pressures and fluxes: computed from them, and therefore compared with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.numerals import numeral
from membrane_dask.io.tables.unit_text import UnitText
from membrane_dask.quantities import fits

#: Relative difference that is taken as rounding of the pressures and fluxes.
_AGREEMENT = 0.02


def compare_permeance(
    table: MeasuredTable, pressure: np.ndarray, flux: Sequence[np.ndarray], density: np.ndarray
) -> None:
    """Compare columns of the permeance with flux over pressure; a difference is a problem, agreement a finding.

    Parameters
    ----------
    table : MeasuredTable
        The table.
    pressure : (n,) float array
        Pressure difference of each row, Pa.
    flux : sequence of (n,) float array
        Flux of each replicate, m s-1; permeances are those of their mean.
    density : (n,) float array
        Density of the liquid, kg m-3, for permeances by mass.
    """
    mean = np.mean(np.stack(list(flux)), axis=0)
    for column in table.all("permeability"):
        has_unit = bool(column.si)
        values = table.numbers(column if has_unit else replace(column, unit=UnitText("1", "1"), si="1"))
        rounding = _half_digits(table, column, values)
        if has_unit and fits(column.si, "kg m-2 s-1 Pa-1"):
            values, rounding = values / density, rounding / density
        rows = np.flatnonzero(np.isfinite(values) & np.isfinite(mean) & (pressure > 0))
        if not len(rows):
            continue
        expected = mean[rows] / pressure[rows]
        if not has_unit and expected[0] > 0:  # its unit is that of the first row
            expected = expected * (values[rows[0]] / expected[0])
        differences = np.abs(values[rows] - expected) - rounding[rows] - _AGREEMENT * np.abs(expected)
        if not (differences > 0).any():
            table.findings.append(f"{column.header}: agrees with flux over pressure, not used")
            continue
        k = int(np.flatnonzero(differences > 0)[0])
        row = table.rows[rows[k]]
        table.problem(
            row,
            f"{column.header} is {str(row.cell(column.index)).strip()}, which is not flux over pressure "
            f"({values[rows[k]] / expected[k]:.3g} times as much): correct the row, or columns: "
            f"{{{column.header!r}: ignore}}",
        )


def _half_digits(table: MeasuredTable, column: Column, values: np.ndarray) -> np.ndarray:
    """Half of the last printed digit of each cell, in the unit of the values."""
    results = np.zeros(len(values))
    for k, row in enumerate(table.rows):
        cell = row.cell(column.index)
        printed = numeral(cell if isinstance(cell, str) else repr(cell))
        number = printed.value(table.decimal if isinstance(cell, str) else ".") if printed is not None else np.nan
        if printed is not None and number == number and number != 0:
            digits = len(printed.mantissa.replace(",", ".").partition(".")[2]) if printed.decimal_sign else 0
            results[k] = abs(0.5 * float(f"1e{printed.exponent - digits}") * values[k] / number)
    return np.where(np.isfinite(results), results, 0.0)
