"""Checks of the readings of a table, whose problems are reported together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.errors import PhysicsError


def row_names(rows: Sequence[int] | None, n: int) -> list[str]:
    """Names of readings in messages: ``row 7``, or ``reading 6`` where the rows of the table are not stated.

    Raises
    ------
    PhysicsError
        If the number of rows is not that of the readings.
    """
    if rows is None:
        return [f"reading {i + 1}" for i in range(n)]
    if len(rows) != n:
        raise PhysicsError(f"rows: {len(rows)} row numbers for {n} readings")
    return [f"row {row}" for row in rows]


def counted(n: int, noun: str) -> str:
    """``1 reading``, ``2 readings``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def refuse(problems: Sequence[str]) -> None:
    """Raise one error that states all problems, if there are any."""
    if problems:
        raise PhysicsError("; ".join(problems))


def not_finite(name: str, values: np.ndarray, readings: list[str]) -> list[str]:
    """Problems of readings that are no finite numbers."""
    return [f"{readings[i]}: {name} is {values[i]}, not a number" for i in np.flatnonzero(~np.isfinite(values))]
