"""Assembly of sparse matrices in compressed rows."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import inline_kernel


@inline_kernel
def add_to_row(
    columns: np.ndarray,
    values: np.ndarray,
    last_entry: np.ndarray,
    row_start: int,
    size: int,
    j: int,
    value: float,
) -> int:
    """Add a value to an entry of the last row, which is appended if the row does not have it yet.

    Parameters
    ----------
    columns, values : ndarray
        Column and value of each entry; longer than the number of entries.
    last_entry : (n_columns,) ndarray of int64
        Index of the latest entry in each column, in any row; -1 before the first.
    row_start : int
        Index of the first entry of the last row.
    size : int
        Number of entries in all rows.
    j, value : int, float
        Column of the entry, and the number to add to it.

    Returns
    -------
    int
        New number of entries.
    """
    entry = last_entry[j]
    if entry < row_start:
        entry = last_entry[j] = size
        columns[entry], values[entry] = j, 0.0
        size += 1
    values[entry] += value
    return size


@inline_kernel
def enlarged(entries: np.ndarray, size: int) -> np.ndarray:
    """Copy of an array with room for twice as many entries and ``size`` more."""
    result = np.empty(2 * entries.size + size, entries.dtype)
    result[: entries.size] = entries
    return result
