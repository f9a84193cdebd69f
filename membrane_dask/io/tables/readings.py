"""Readings of a table: its rows by membrane, and the columns that a method needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from membrane_dask.io.tables.measured_table import MeasuredTable


def by_membrane(table: MeasuredTable, default: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """Membrane, state and rows of each group of readings, in the order of the table."""
    names, states = table.labels("membrane", default), table.labels("state")
    groups: dict[tuple[str, str], list[int]] = {}
    for k, key in enumerate(zip(names, states, strict=True)):
        groups.setdefault(key, []).append(k)
    for (name, state), rows in groups.items():
        yield name, state, np.array(rows)


def row_numbers(table: MeasuredTable, rows: np.ndarray) -> list[int]:
    """Numbers of rows in the file."""
    return [table.rows[k].number for k in rows]


def clock_columns(table: MeasuredTable) -> str:
    """Unused columns that may be times, with the line to write."""
    names = [name for name in table.unused if re.search(r"time|zeit|hora|heure|tijd|tempo", name, re.I)]
    return "".join(f", or columns: {{{name!r}: time}}" for name in names)


def require(table: MeasuredTable, role: str, example: str) -> np.ndarray | None:
    """Numbers of a column that the method needs; a problem where the table has none."""
    column = table.column(role)
    if column is None:
        headers = ", ".join(repr(h) for h in table.unused)
        unused = f"; columns that are not recognised: {headers}" if headers else ""
        times = clock_columns(table) if role == "time" else ""
        table.problems.append(f"there is no column of the {role}, such as '{example}'{unused}{times}")
        return None
    return table.numbers(column)
