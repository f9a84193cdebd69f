"""Direct solution of sparse linear systems whose diagonal dominates, with sums in a fixed order.

SuperLU, which SciPy uses, adds with BLAS, whose last bits differ between processors. Here SuperLU gives the order of
elimination only, which follows from the positions of the entries.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel


class SparseFactors:
    """Factors of a matrix, without pivoting: ``L U = A`` after a symmetric permutation.

    Parameters
    ----------
    matrix : scipy.sparse array, (n, n)
        Its diagonal dominates.
    symmetric : bool
        Whether it is symmetric, which saves half of the work.
    order : (n,) ndarray of int, optional
        From :func:`elimination_order` for a matrix with the same positions of entries.
    """

    def __init__(self, matrix: Any, *, symmetric: bool, order: np.ndarray | None = None) -> None:
        self.order = elimination_order(matrix) if order is None else order
        rows = _with_both_positions(matrix)[self.order][:, self.order].tocsr()
        columns = rows.tocsc()
        rows.sort_indices()
        columns.sort_indices()
        parent, starts = _symbolic(columns.indptr, columns.indices)
        self._factors = (starts, *_factorise(
            columns.indptr, columns.indices, columns.data, rows.data, parent, starts, symmetric
        ))  # fmt: skip

    def solve(self, values: np.ndarray) -> np.ndarray:
        """Solution for a right-hand side ``(n,)``."""
        x = np.empty(len(self.order))
        x[self.order] = _solve(*self._factors, values[self.order].astype(np.float64))
        return x


def _with_both_positions(matrix: Any) -> Any:
    """The matrix with a zero stored across the diagonal of each entry that is stored on one side only."""
    import scipy.sparse as sparse

    entries = matrix.tocoo()
    (row, column), zeros = entries.coords, np.zeros(entries.nnz)
    positions = (np.concatenate([row, column]), np.concatenate([column, row]))
    return sparse.coo_array((np.concatenate([entries.data, zeros]), positions), shape=matrix.shape).tocsr()


def elimination_order(matrix: Any) -> np.ndarray:
    """Order of elimination by minimum degree, from the positions of the entries of a sparse matrix."""
    import scipy.sparse as sparse
    from scipy.sparse.linalg import splu

    pattern = sparse.csc_array(_with_both_positions(matrix))
    pattern.data = np.full(len(pattern.data), -1.0)
    pattern.setdiag(np.diff(pattern.indptr) + 1.0)
    factors = splu(pattern, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.argsort(factors.perm_c)


@kernel
def _symbolic(start: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Elimination tree, and the first entry of each column of L (as in LDL: T. A. Davis, ACM TOMS 31, 587, 2005)."""
    n = start.size - 1
    parent, flag, count = np.full(n, -1), np.empty(n, np.int64), np.zeros(n + 1, np.int64)
    for k in range(n):
        flag[k] = k
        for e in range(start[k], start[k + 1]):
            i = index[e]
            while i < k and flag[i] != k:
                if parent[i] < 0:
                    parent[i] = k
                count[i + 1] += 1
                flag[i] = k
                i = parent[i]
    return parent, np.cumsum(count)


@kernel
def _factorise(
    start: np.ndarray, index: np.ndarray, column_values: np.ndarray, row_values: np.ndarray, parent: np.ndarray,
    first: np.ndarray, symmetric: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Rows of the columns of L, the columns of L, the rows of U, which have the same positions, and the diagonal."""
    n = start.size - 1
    rows = np.empty(first[n], np.int64)
    lower, upper, diagonal = np.empty(first[n]), np.empty(first[n]), np.zeros(n)
    size, flag, pattern = np.zeros(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    column, row, path = np.zeros(n), np.zeros(n), np.empty(n, np.int64)
    for k in range(n):
        flag[k] = k
        top = n
        for e in range(start[k], start[k + 1]):
            i = index[e]
            if i > k:
                continue
            column[i] += column_values[e]
            row[i] += row_values[e]
            length = 0
            while flag[i] != k:
                path[length] = i
                length += 1
                flag[i] = k
                i = parent[i]
            while length > 0:
                top -= 1
                length -= 1
                pattern[top] = path[length]
        pivot = column[k]
        column[k], row[k] = 0.0, 0.0
        for s in range(top, n):
            i = pattern[s]
            u = column[i]
            factor = (u if symmetric else row[i]) / diagonal[i]
            column[i], row[i] = 0.0, 0.0
            end = first[i] + size[i]
            for e in range(first[i], end):
                column[rows[e]] -= lower[e] * u
            if not symmetric:
                for e in range(first[i], end):
                    row[rows[e]] -= upper[e] * factor
            pivot -= factor * u
            rows[end], lower[end], upper[end] = k, factor, u
            size[i] += 1
        diagonal[k] = pivot
        column[k], row[k] = 0.0, 0.0
    return rows, lower, upper, diagonal


@kernel
def _solve(
    first: np.ndarray, rows: np.ndarray, lower: np.ndarray, upper: np.ndarray, diagonal: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Solve in place, forward and backward."""
    for i in range(x.size):
        for e in range(first[i], first[i + 1]):
            x[rows[e]] -= lower[e] * x[i]
    for i in range(x.size - 1, -1, -1):
        total = x[i]
        for e in range(first[i], first[i + 1]):
            total -= upper[e] * x[rows[e]]
        x[i] = total / diagonal[i]
    return x
