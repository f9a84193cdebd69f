"""Multigrid solver for the pressures of a Darcy flow through pore voxels, by aggregation of connected voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.sparse_factors import SparseFactors
from membrane_dask.physics.sparse_rows import add_to_row, enlarged
from membrane_dask.physics.union_find import cell_components, component_labels, group_members, join

#: Number of groups from which on a level is solved directly.
_COARSEST = 1500
#: Reduction of the residual by the first step at a level that makes a second step unnecessary.
_SUFFICIENT_REDUCTION = 0.25
_MAX_ITERATIONS = 200


@dataclass(frozen=True)
class _Level:
    """Matrix of the groups of one level in compressed rows, and the group of the next level that holds each group."""

    row_start: np.ndarray
    column: np.ndarray
    conductance: np.ndarray
    diagonal: np.ndarray
    group: np.ndarray


class GroupCycle:
    """Approximate solution for values of groups by a K-cycle over wider and wider groups.

    Parameters
    ----------
    row_start, column, weights : ndarray
        Conductances between the groups in compressed rows, float32.
    outer : (n,) ndarray
        Conductance from each group to where the value is 0.
    cells : (n, 3) ndarray of int16
        Indices ``z, y, x`` of the cell of each group.
    """

    def __init__(
        self, row_start: np.ndarray, column: np.ndarray, weights: np.ndarray, outer: np.ndarray, cells: np.ndarray
    ) -> None:
        import scipy.sparse as sparse

        self.levels: list[_Level] = []
        while True:
            group, cells = _coarsen(row_start, column, cells)
            diagonal = np.add.reduceat(np.append(weights, np.float32(0)), row_start[:-1], dtype=float) + outer
            self.levels.append(_Level(row_start, column, weights, diagonal.astype(np.float32), group))
            count = len(cells)
            if len(diagonal) <= _COARSEST or count > 0.9 * len(diagonal):
                break
            start, members = group_members(group, count)
            row_start, column, weights, outer = _aggregate_groups(
                row_start, column, weights, outer, start, members, group
            )
        off_diagonal = sparse.csr_array((weights.astype(float), column, row_start), shape=(len(diagonal),) * 2)
        matrix = sparse.diags_array(diagonal) - off_diagonal
        self._coarsest = SparseFactors(matrix, symmetric=True)

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self.levels[0].diagonal)

    def solve_approximately(self, b: np.ndarray) -> np.ndarray:
        """Approximate solution ``(n,)`` for a load ``b`` of float32."""
        return self._coarse_correction(0, b)

    def _coarse_correction(self, level: int, b: np.ndarray) -> np.ndarray:
        """Solve approximately at a level: one or two steps of conjugate gradients, preconditioned by its cycle."""
        c = self._cycle(level, b)
        if level == len(self.levels) - 1:
            return c
        matrix = self.levels[level]
        v, w, r = (np.empty_like(b) for _ in range(3))
        cv = _matrix_product(matrix.row_start, matrix.column, matrix.conductance, matrix.diagonal, c, v)
        if cv <= 0:
            return c
        alpha = dot(c, b) / cv
        np.subtract(b, np.float32(alpha) * v, out=r)
        if dot(r, r) <= np.square(_SUFFICIENT_REDUCTION) * dot(b, b):
            return np.float32(alpha) * c
        d = self._cycle(level, r)
        dw = _matrix_product(matrix.row_start, matrix.column, matrix.conductance, matrix.diagonal, d, w)
        dv = dot(d, v)
        curvature = dw - np.square(dv) / cv
        if curvature <= 0:
            return np.float32(alpha) * c
        step = dot(d, r) / curvature
        return np.float32(alpha - dv * step / cv) * c + np.float32(step) * d

    def _cycle(self, level: int, b: np.ndarray) -> np.ndarray:
        """Apply the cycle that starts at a level; solve directly at the coarsest one."""
        if level == len(self.levels) - 1:
            return np.asarray(self._coarsest.solve(b.astype(float)).astype(np.float32))
        matrix = self.levels[level]
        x = np.zeros_like(b)
        rows = (matrix.row_start, matrix.column, matrix.conductance, matrix.diagonal)
        coarse_residual = np.zeros(len(self.levels[level + 1].diagonal), np.float32)
        _forward_sweep_groups(*rows, b, x, matrix.group, coarse_residual)
        _backward_sweep_groups(*rows, b, x, matrix.group, self._coarse_correction(level + 1, coarse_residual))
        return x


class Conduction:
    """Solver for ``sum(conductance * (p_i - p_j)) = load_i`` over the faces of every voxel, with 0 beyond the ends.

    Parameters
    ----------
    neighbours : (m + 1, 6) ndarray of int32
        Voxels across the faces at low and high ``z, y, x``; ``m`` where there is none. Those from ``n`` on are beyond
        the end of the volume.
    conductance : (m + 1, 3) ndarray of float32
        Conductances of the faces at low ``z, y, x``; 0 at closed faces.
    coordinates : (n, 3) ndarray of int16
        Indices ``z, y, x`` of the voxels.
    ground : (k,) ndarray of int, optional
        Voxels with one more face, beyond which the pressure is 0: one in each cluster of a periodic cell, as only
        differences of pressures are determined there. Nothing flows through it if the load of the cluster is 0.

    Notes
    -----
    Flexible conjugate gradients, preconditioned by a K-cycle over groups of voxels that are connected within cubic
    cells of 2, 4, 8... voxels. Pressure corrections are constant in a group; the two steps of conjugate gradients at
    each level compensate for that [1]_.

    References
    ----------
    .. [1] Y. Notay, "An aggregation-based algebraic multigrid method", Electronic Transactions on Numerical Analysis
       37, 123, 2010.
    """

    def __init__(
        self,
        neighbours: np.ndarray,
        conductance: np.ndarray,
        coordinates: np.ndarray,
        ground: np.ndarray | None = None,
    ) -> None:
        self.low, self.conductance, self.n = neighbours[:, ::2], conductance, len(coordinates)
        self.inverse_diagonal = _inverse_diagonal(neighbours, conductance, self.n)
        ground = np.empty(0, np.int64) if ground is None else ground
        grounded = 1 / self.inverse_diagonal[ground]
        self.inverse_diagonal[ground] /= 2
        self.periodic_faces = _periodic_faces(self.low, self.n)
        self.group, count = cell_components(neighbours, coordinates, 1)
        cells = _group_cells(self.group, count, coordinates)
        start, members = group_members(self.group, count)
        aggregated = _aggregate_voxels(neighbours, conductance, self.n, start, members, self.group)
        np.add.at(aggregated[3], self.group[ground], grounded)
        del start, members
        self._groups = GroupCycle(*aggregated, cells)

    def compact(self) -> None:
        """Copy the neighbours across low faces, so that the array of all neighbours can be freed."""
        self.low = np.ascontiguousarray(self.low)

    def solve(self, load: np.ndarray, tolerance: float) -> np.ndarray:
        """Solve for the pressures under a load.

        Parameters
        ----------
        load : (n,) ndarray of float32
            Source in each voxel.
        tolerance : float
            Norm of the residual over the norm of the load.

        Returns
        -------
        (n,) ndarray of float32

        Raises
        ------
        PhysicsError
            If the solver does not converge.
        """
        x = np.zeros(self.n, np.float32)
        r = load.astype(np.float32)
        limit = np.square(tolerance) * dot(r, r)
        if limit == 0:
            return x
        z, p, q = (np.zeros(len(self.low), np.float32) for _ in range(3))
        rz, alpha = 1.0, 0.0
        for _ in range(_MAX_ITERATIONS):
            self._precondition(r, z)
            beta = -alpha * dot(q, z) / rz if alpha else 0.0  # flexible, as the K-cycle is not a linear operator
            rz = dot(r, z)
            _update_direction(p, z, np.float32(beta))
            alpha = rz / _net_outflow(self.low, self.conductance, self.inverse_diagonal, p, q)
            if _step(x, p, r, q, np.float32(alpha)) <= limit:
                return x
        raise PhysicsError(
            f"pressures: the relative residual is still above {tolerance:g} after {_MAX_ITERATIONS} iterations"
        )

    def residual(self, load: np.ndarray, pressures: np.ndarray) -> np.ndarray:
        """Residual of pressures under a load.

        Parameters
        ----------
        load, pressures : (n,) ndarray of float32
            As in :meth:`solve`.

        Returns
        -------
        (n,) ndarray of float32
        """
        return np.asarray(_residual(self.low, self.conductance, load, pressures))

    def _precondition(self, r: np.ndarray, z: np.ndarray) -> None:
        """Apply one cycle: a forward Gauss-Seidel sweep from zero, the coarse correction and a backward sweep."""
        operator = (self.low, self.conductance, self.inverse_diagonal, self.periodic_faces)
        coarse_residual = np.zeros(self._groups.count, np.float32)
        _forward_sweep(*operator, r, z, self.group, coarse_residual)
        _backward_sweep(*operator, r, z, self.group, self._groups.solve_approximately(coarse_residual))


@kernel
def _update_direction(p: np.ndarray, z: np.ndarray, beta: np.float32) -> None:
    for i in range(p.size):
        p[i] = z[i] + beta * p[i]


@kernel
def _step(x: np.ndarray, p: np.ndarray, r: np.ndarray, q: np.ndarray, alpha: np.float32) -> float:
    """Move along ``p``; square of the norm of the new residual."""
    rr = 0.0
    for i in range(r.size):
        x[i] += alpha * p[i]
        r[i] -= alpha * q[i]
        rr += np.float64(r[i]) * r[i]
    return rr


@kernel
def _coarsen(row_start: np.ndarray, column: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group of every group at the next level, and the cells there: groups that are connected within a wider cell."""
    n = cells.shape[0]
    parent = np.arange(n).astype(np.int32)
    for i in range(n):
        for e in range(row_start[i], row_start[i + 1]):
            j = column[e]
            same_cell = j < i
            for axis in range(3):
                same_cell = same_cell and cells[i, axis] >> 1 == cells[j, axis] >> 1
            if same_cell:
                join(parent, i, j)
    group, count = component_labels(parent)
    return group, _group_cells(group, count, cells)


@kernel
def _group_cells(group: np.ndarray, count: int, cells: np.ndarray) -> np.ndarray:
    """Indices ``z, y, x`` of the cells of groups, which are twice as wide as the cells of their members."""
    wider = np.empty((count, 3), np.int16)
    for i in range(group.size):
        for axis in range(3):
            wider[group[i], axis] = cells[i, axis] >> 1
    return wider


@kernel
def _aggregate_voxels(
    neighbours: np.ndarray, conductance: np.ndarray, n: int, start: np.ndarray, members: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Conductances between groups of voxels in compressed rows, and those from each group to beyond the ends."""
    count = start.size - 1
    row_start, outer = np.zeros(count + 1, np.int64), np.zeros(count)
    column, weights = np.empty(8 * count, np.int32), np.empty(8 * count, np.float32)
    last_entry, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        row_start[k] = size
        if column.size < size + 6 * (start[k + 1] - start[k]):
            column, weights = enlarged(column, 64), enlarged(weights, 64)
        for e in range(start[k], start[k + 1]):
            i = members[e]
            for side in range(6):
                j = np.int64(neighbours[i, side])
                c = conductance[j if side % 2 else i, side // 2]
                if c == 0.0:
                    continue
                if j >= n:
                    outer[k] += c
                elif group[j] != k:
                    size = add_to_row(column, weights, last_entry, row_start[k], size, group[j], c)
    row_start[count] = size
    return row_start, column[:size].copy(), weights[:size].copy(), outer


@kernel
def _aggregate_groups(
    fine_row_start: np.ndarray, fine_column: np.ndarray, fine_weights: np.ndarray, fine_outer: np.ndarray,
    start: np.ndarray, members: np.ndarray, group: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The same for groups of groups."""
    count = start.size - 1
    row_start, outer = np.zeros(count + 1, np.int64), np.zeros(count)
    column, weights = np.empty(fine_column.size, np.int32), np.empty(fine_column.size, np.float32)
    last_entry, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        row_start[k] = size
        for e in range(start[k], start[k + 1]):
            i = members[e]
            outer[k] += fine_outer[i]
            for f in range(fine_row_start[i], fine_row_start[i + 1]):
                j = group[fine_column[f]]
                if j != k:
                    size = add_to_row(column, weights, last_entry, row_start[k], size, j, fine_weights[f])
    row_start[count] = size
    return row_start, column[:size].copy(), weights[:size].copy(), outer


@kernel
def _inverse_diagonal(neighbours: np.ndarray, conductance: np.ndarray, n: int) -> np.ndarray:
    inverse = np.empty(n, np.float32)
    for i in range(n):
        low = conductance[i, 0] + conductance[i, 1] + conductance[i, 2]
        high_z, high_y, high_x = neighbours[i, 1], neighbours[i, 3], neighbours[i, 5]
        inverse[i] = np.float32(1.0) / (
            low + (conductance[high_z, 0] + conductance[high_y, 1] + conductance[high_x, 2])
        )
    return inverse


@kernel
def _net_outflow(
    low: np.ndarray, conductance: np.ndarray, inverse_diagonal: np.ndarray, p: np.ndarray, q: np.ndarray
) -> float:
    """Net outflow ``q`` of every voxel under pressures ``p``, which are 0 beyond the ends; the product ``p.q``."""
    n, pq = inverse_diagonal.size, 0.0
    for i in range(n):
        q[i] = p[i] / inverse_diagonal[i]
    for i in range(n):
        for axis in range(3):
            j, c = low[i, axis], conductance[i, axis]
            q[i] -= c * p[j]
            q[j] -= c * p[i]
    for i in range(n):
        pq += np.float64(p[i]) * q[i]
    return pq


@kernel
def _residual(low: np.ndarray, conductance: np.ndarray, load: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Load less net outflow; from differences of pressures, which have smaller rounding errors than products."""
    n = p.size
    residual = load.astype(np.float64)
    for i in range(low.shape[0] - 1):
        for axis in range(3):
            j, c = low[i, axis], np.float64(conductance[i, axis])
            p_i, p_j = p[i] if i < n else np.float32(0.0), p[j] if j < n else np.float32(0.0)
            if i < n:
                residual[i] -= c * (p_i - p_j)
            if j < n:
                residual[j] -= c * (p_j - p_i)
    return residual.astype(np.float32)


@kernel
def _periodic_faces(low: np.ndarray, n: int) -> np.ndarray:
    """Voxel and axis of the faces across which a volume is periodic: their low neighbour has the higher index."""
    count = 0
    for i in range(n):
        for axis in range(3):
            count += i < low[i, axis] < n
    faces, k = np.empty((count, 2), np.int32), 0
    for i in range(n):
        for axis in range(3):
            if i < low[i, axis] < n:
                faces[k, 0], faces[k, 1] = i, axis
                k += 1
    return faces


@kernel
def _forward_sweep(
    low: np.ndarray, conductance: np.ndarray, inverse_diagonal: np.ndarray, periodic_faces: np.ndarray, b: np.ndarray,
    p: np.ndarray, group: np.ndarray, coarse_residual: np.ndarray,
) -> None:  # fmt: skip
    """Sweep forward by Gauss-Seidel, starting from zero, and sum the residual over the groups.

    As pressures of higher index are still zero, the residual is the flow that each voxel drives into its lower
    neighbours. Across a periodic face neither pressure has been used for the other.
    """
    n = inverse_diagonal.size
    if periodic_faces.size:
        p[:] = 0.0
    for i in range(n):
        inverse = inverse_diagonal[i]
        inflow = (conductance[i, 0] * p[low[i, 0]] + conductance[i, 1] * p[low[i, 1]]) + b[i]
        # The pressure of the preceding voxel is computed last; only this line depends on it.
        p[i] = inverse * inflow + (inverse * conductance[i, 2]) * p[low[i, 2]]
        for axis in range(3):
            j = low[i, axis]
            if j < n:
                coarse_residual[group[j]] += conductance[i, axis] * p[i]
    for k in range(periodic_faces.shape[0]):
        i, axis = periodic_faces[k]
        coarse_residual[group[i]] += conductance[i, axis] * p[low[i, axis]]


@kernel
def _backward_sweep(
    low: np.ndarray, conductance: np.ndarray, inverse_diagonal: np.ndarray, periodic_faces: np.ndarray, b: np.ndarray,
    p: np.ndarray, group: np.ndarray, correction: np.ndarray,
) -> None:  # fmt: skip
    """Add the pressure corrections of the groups, and sweep backward by Gauss-Seidel."""
    n = inverse_diagonal.size
    for i in range(n):
        p[i] += correction[group[i]]
    from_high = np.zeros(p.size, np.float32)  # inflow from neighbours of higher index, which are up to date
    for k in range(periodic_faces.shape[0]):
        i, axis = periodic_faces[k]
        j = low[i, axis]
        from_high[i] += conductance[i, axis] * p[j]
        from_high[j] += conductance[i, axis] * p[i]
    for k in range(n):
        i = n - 1 - k
        inflow = b[i]
        for axis in range(3):
            j = low[i, axis]
            if j < i:
                inflow += conductance[i, axis] * p[j]
        p[i] = inverse_diagonal[i] * inflow + inverse_diagonal[i] * from_high[i]
        for axis in range(3):
            from_high[low[i, axis]] += conductance[i, axis] * p[i]


@kernel
def _matrix_product(
    row_start: np.ndarray, column: np.ndarray, conductance: np.ndarray, diagonal: np.ndarray, x: np.ndarray,
    y: np.ndarray,
) -> float:  # fmt: skip
    """Product ``y`` of the matrix of a level with ``x``; the product ``x.y``."""
    xy = 0.0
    for i in range(diagonal.size):
        s = diagonal[i] * x[i]
        for e in range(row_start[i], row_start[i + 1]):
            s -= conductance[e] * x[column[e]]
        y[i] = s
        xy += np.float64(x[i]) * s
    return xy


@kernel
def _forward_sweep_groups(
    row_start: np.ndarray, column: np.ndarray, conductance: np.ndarray, diagonal: np.ndarray, b: np.ndarray,
    x: np.ndarray, group: np.ndarray, coarse_residual: np.ndarray,
) -> None:  # fmt: skip
    """First half of the cycle over groups, as :func:`_forward_sweep` is for voxels."""
    for i in range(diagonal.size):
        s = b[i]
        for e in range(row_start[i], row_start[i + 1]):
            s += conductance[e] * x[column[e]]
        x[i] = s / diagonal[i]
        for e in range(row_start[i], row_start[i + 1]):
            if column[e] < i:
                coarse_residual[group[column[e]]] += conductance[e] * x[i]


@kernel
def _backward_sweep_groups(
    row_start: np.ndarray, column: np.ndarray, conductance: np.ndarray, diagonal: np.ndarray, b: np.ndarray,
    x: np.ndarray, group: np.ndarray, correction: np.ndarray,
) -> None:  # fmt: skip
    """Second half of the cycle over groups."""
    n = diagonal.size
    for i in range(n):
        x[i] += correction[group[i]]
    for k in range(n):
        i = n - 1 - k
        s = b[i]
        for e in range(row_start[i], row_start[i + 1]):
            s += conductance[e] * x[column[e]]
        x[i] = s / diagonal[i]
