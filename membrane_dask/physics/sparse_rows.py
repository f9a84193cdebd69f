"""Assembly of sparse matrices row by row."""

from __future__ import annotations

from membrane_dask.physics._jit import part


@part
def add_to_row(other, weights, seen, start, size, j, c):
    """Add a weight in column ``j`` to the row of a sparse matrix that begins at ``start``; the new size of all rows.

    ``seen`` knows where each column came last, in any row.
    """
    at = seen[j]
    if at < start:
        at = seen[j] = size
        other[at], weights[at] = j, 0.0
        size += 1
    weights[at] += c
    return size
