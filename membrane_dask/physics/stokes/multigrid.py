"""Pressures of a network of voxels whose faces conduct: multigrid over ever larger groups of connected voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.linear_solvers import dot
from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.sparse_rows import add_to_row, enlarged
from membrane_dask.physics.union_find import cell_components, component_labels, group_members, join

#: Groups that are few enough to be solved for at once.
_COARSEST = 1500
#: Fall of the residual in one step from which on a second one is not worth its price.
_ENOUGH = 0.25
#: Steps after which to give up.
_MOST = 200


@dataclass(frozen=True)
class _Level:
    """Groups of one size: who conducts to whom (compressed rows), and the larger group that each belongs to."""

    first: np.ndarray
    other: np.ndarray
    conductance: np.ndarray
    diagonal: np.ndarray
    group: np.ndarray


class Conduction:
    """Solves ``sum of conductance * (p_i - p_j) = load_i`` over the faces of every voxel, 0 beyond the ends.

    Parameters
    ----------
    neighbours : (m + 1, 6) ndarray of int32
        Voxels across the faces at low and high ``z, y, x``; ``m`` where there is none. Those from ``n`` on lie beyond
        the volume's end.
    conductance : (m + 1, 3) ndarray of float32
        Of the faces at low ``z, y, x``; 0 where nothing goes through.
    places : (n, 3) ndarray of int16
        ``z, y, x`` of the voxels.

    Notes
    -----
    Conjugate gradients, preconditioned by a cycle over groups of voxels that are connected within cells of 2, 4, 8...
    voxels, whose pressures are constant (Notay, Electron. Trans. Numer. Anal. 37, 123, 2010: two steps at each level
    make up for that).
    """

    def __init__(self, neighbours: np.ndarray, conductance: np.ndarray, places: np.ndarray) -> None:
        import scipy.sparse as sparse
        from scipy.sparse.linalg import splu

        self.low, self.conductance, self.n = neighbours[:, ::2], conductance, len(places)
        self.inverse = _inverse_diagonal(neighbours, conductance, self.n)
        self.wraps = _wraps(self.low, self.n)
        self.group, count = cell_components(neighbours, places, 1)
        places = _halved(self.group, count, places)
        begin, members = group_members(self.group, count)
        first, other, weights, outer = _between_voxels(neighbours, conductance, self.n, begin, members, self.group)
        self.levels: list[_Level] = []
        while True:
            group, places = _regrouped(first, other, places)
            diagonal = np.add.reduceat(np.append(weights, np.float32(0)), first[:-1], dtype=float) + outer
            self.levels.append(_Level(first, other, weights, diagonal.astype(np.float32), group))
            few = len(places)
            if len(diagonal) <= _COARSEST or few > 0.9 * len(diagonal):
                break
            begin, members = group_members(group, few)
            first, other, weights, outer = _between_groups(first, other, weights, outer, begin, members, group)
        del begin, members
        matrix = sparse.csr_array((weights.astype(float), other, first), shape=(len(diagonal),) * 2)
        whole = sparse.diags_array(diagonal) - matrix
        self._factors = splu(whole.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})

    def compact(self) -> None:
        """Let go of the neighbours across the high faces, which are of no use any more, where nobody else has them."""
        self.low = np.ascontiguousarray(self.low)

    def solve(self, load: np.ndarray, tolerance: float) -> np.ndarray:
        """Pressures under a load.

        Parameters
        ----------
        load : (n,) ndarray of float32
            What flows into each voxel from without.
        tolerance : float
            Norm of what is not balanced, over that of the load.

        Returns
        -------
        (n,) ndarray of float32

        Raises
        ------
        PhysicsError
            If the solver does not come so far.
        """
        x = np.zeros(self.n, np.float32)
        r = load.astype(np.float32)
        wanted = tolerance**2 * dot(r, r)
        if wanted == 0:
            return x
        z, p, q = (np.zeros(len(self.low), np.float32) for _ in range(3))
        rz, alpha = 1.0, 0.0
        for _ in range(_MOST):
            self._precondition(r, z)
            beta = -alpha * dot(q, z) / rz if alpha else 0.0  # the cycle is not the same each time
            rz = dot(r, z)
            _turn(p, z, np.float32(beta))
            alpha = rz / _conduct(self.low, self.conductance, self.inverse, p, q)
            if _advance(x, p, r, q, np.float32(alpha)) <= wanted:
                return x
        raise PhysicsError(f"pressures: no balance to {tolerance:g} after {_MOST} steps")

    def residual(self, load: np.ndarray, pressures: np.ndarray) -> np.ndarray:
        """What of a load pressures leave unbalanced.

        Parameters
        ----------
        load, pressures : (n,) ndarray of float32
            As :meth:`solve` takes and gives them.

        Returns
        -------
        (n,) ndarray of float32
        """
        return np.asarray(_unbalanced(self.low, self.conductance, load, pressures))

    def _precondition(self, r: np.ndarray, z: np.ndarray) -> None:
        """A cycle: sweeps of Gauss-Seidel upwards from nothing and downwards, and groups between them."""
        fine = (self.low, self.conductance, self.inverse, self.wraps)
        left = np.zeros(len(self.levels[0].diagonal), np.float32)
        _upwards(*fine, r, z, self.group, left)
        _downwards(*fine, r, z, self.group, self._corrected(0, left))

    def _corrected(self, level: int, b: np.ndarray) -> np.ndarray:
        """One or two steps of conjugate gradients at a level, each preconditioned by a cycle from there on."""
        c = self._cycle(level, b)
        if level == len(self.levels) - 1:
            return c
        here = self.levels[level]
        v, w, r = (np.empty_like(b) for _ in range(3))
        cv = _product(here.first, here.other, here.conductance, here.diagonal, c, v)
        if cv <= 0:
            return c
        alpha = dot(c, b) / cv
        np.subtract(b, np.float32(alpha) * v, out=r)
        if dot(r, r) <= _ENOUGH**2 * dot(b, b):
            return np.float32(alpha) * c
        d = self._cycle(level, r)
        dw = _product(here.first, here.other, here.conductance, here.diagonal, d, w)
        dv = dot(d, v)
        rest = dw - dv**2 / cv
        if rest <= 0:
            return np.float32(alpha) * c
        step = dot(d, r) / rest
        return np.float32(alpha - dv * step / cv) * c + np.float32(step) * d

    def _cycle(self, level: int, b: np.ndarray) -> np.ndarray:
        if level == len(self.levels) - 1:
            return self._factors.solve(b.astype(float)).astype(np.float32)
        here = self.levels[level]
        x = np.zeros_like(b)
        rows = (here.first, here.other, here.conductance, here.diagonal)
        left = np.zeros(len(self.levels[level + 1].diagonal), np.float32)
        _upwards_groups(*rows, b, x, here.group, left)
        _downwards_groups(*rows, b, x, here.group, self._corrected(level + 1, left))
        return x


@kernel
def _turn(p, z, beta):
    for i in range(p.size):
        p[i] = z[i] + beta * p[i]


@kernel
def _advance(x, p, r, q, alpha):
    """Step along ``p``; square of the residual that is left."""
    rr = 0.0
    for i in range(r.size):
        x[i] += alpha * p[i]
        r[i] -= alpha * q[i]
        rr += np.float64(r[i]) * r[i]
    return rr


@kernel
def _regrouped(first, other, places):
    """The same of groups: those connected within a cell twice as wide."""
    n = places.shape[0]
    parent = np.arange(n).astype(np.int32)
    for i in range(n):
        for e in range(first[i], first[i + 1]):
            j = other[e]
            near = j < i
            for axis in range(3):
                near = near and places[i, axis] >> 1 == places[j, axis] >> 1
            if near:
                join(parent, i, j)
    group, count = component_labels(parent)
    return group, _halved(group, count, places)


@kernel
def _halved(group, count, places):
    """Cells of groups, twice as wide as those of their members."""
    cells = np.empty((count, 3), np.int16)
    for i in range(group.size):
        for axis in range(3):
            cells[group[i], axis] = places[i, axis] >> 1
    return cells


@kernel
def _between_voxels(neighbours, conductance, n, begin, members, group):
    """Conductances between groups of voxels as compressed rows, and those of each group to what lies beyond."""
    count = begin.size - 1
    first, outer = np.zeros(count + 1, np.int64), np.zeros(count)
    other, weights = np.empty(8 * count, np.int32), np.empty(8 * count, np.float32)
    seen, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        first[k] = size
        if other.size < size + 6 * (begin[k + 1] - begin[k]):
            other, weights = enlarged(other, 64), enlarged(weights, 64)
        for e in range(begin[k], begin[k + 1]):
            i = members[e]
            for side in range(6):
                j = np.int64(neighbours[i, side])
                c = conductance[j if side % 2 else i, side // 2]
                if c == 0.0:
                    continue
                if j >= n:
                    outer[k] += c
                elif group[j] != k:
                    size = add_to_row(other, weights, seen, first[k], size, group[j], c)
    first[count] = size
    return first, other[:size].copy(), weights[:size].copy(), outer


@kernel
def _between_groups(fine_first, fine_other, fine_weights, fine_outer, begin, members, group):
    """The same of groups of groups."""
    count = begin.size - 1
    first, outer = np.zeros(count + 1, np.int64), np.zeros(count)
    other, weights = np.empty(fine_other.size, np.int32), np.empty(fine_other.size, np.float32)
    seen, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        first[k] = size
        for e in range(begin[k], begin[k + 1]):
            i = members[e]
            outer[k] += fine_outer[i]
            for f in range(fine_first[i], fine_first[i + 1]):
                j = group[fine_other[f]]
                if j != k:
                    size = add_to_row(other, weights, seen, first[k], size, j, fine_weights[f])
    first[count] = size
    return first, other[:size].copy(), weights[:size].copy(), outer


@kernel
def _inverse_diagonal(neighbours, conductance, n):
    found = np.empty(n, np.float32)
    for i in range(n):
        low = conductance[i, 0] + conductance[i, 1] + conductance[i, 2]
        above, right, ahead = neighbours[i, 1], neighbours[i, 3], neighbours[i, 5]
        found[i] = np.float32(1.0) / (low + (conductance[above, 0] + conductance[right, 1] + conductance[ahead, 2]))
    return found


@kernel
def _conduct(low, conductance, inverse, p, q):
    """What pressures ``p``, 0 beyond the ends, drive out of every voxel; its product with ``p``."""
    n, pq = inverse.size, 0.0
    for i in range(n):
        q[i] = p[i] / inverse[i]
    for i in range(n):
        for axis in range(3):
            j, c = low[i, axis], conductance[i, axis]
            q[i] -= c * p[j]
            q[j] -= c * p[i]
    for i in range(n):
        pq += np.float64(p[i]) * q[i]
    return pq


@kernel
def _unbalanced(low, conductance, load, p):
    """Load less what flows away, by differences of pressures, which round less."""
    n = p.size
    found = load.astype(np.float64)
    for i in range(low.shape[0] - 1):
        for axis in range(3):
            j, c = low[i, axis], np.float64(conductance[i, axis])
            here, there = p[i] if i < n else np.float32(0.0), p[j] if j < n else np.float32(0.0)
            if i < n:
                found[i] -= c * (here - there)
            if j < n:
                found[j] -= c * (there - here)
    return found.astype(np.float32)


@kernel
def _wraps(low, n):
    """Faces across the sides of a periodic volume, whose pores at low and high stand in the other order."""
    count = 0
    for i in range(n):
        for axis in range(1, 3):
            count += i < low[i, axis] < n
    found, k = np.empty((count, 2), np.int32), 0
    for i in range(n):
        for axis in range(1, 3):
            if i < low[i, axis] < n:
                found[k, 0], found[k, 1] = i, axis
                k += 1
    return found


@kernel
def _upwards(low, conductance, inverse, wraps, b, p, group, left):
    """A sweep of Gauss-Seidel from nothing; adds up over the groups what is not balanced then.

    As pressures above are still nothing, this is what each one drives into those below it. Neither of those beside a
    wrapped face knows of the other.
    """
    n = inverse.size
    if wraps.size:
        p[:] = 0.0
    for i in range(n):
        share = inverse[i]
        inflow = (conductance[i, 0] * p[low[i, 0]] + conductance[i, 1] * p[low[i, 1]]) + b[i]
        # The pore just before is known last; nothing but this waits for it.
        p[i] = share * inflow + (share * conductance[i, 2]) * p[low[i, 2]]
        for axis in range(3):
            j = low[i, axis]
            if j < n:
                left[group[j]] += conductance[i, axis] * p[i]
    for k in range(wraps.shape[0]):
        i, axis = wraps[k]
        left[group[i]] += conductance[i, axis] * p[low[i, axis]]


@kernel
def _downwards(low, conductance, inverse, wraps, b, p, group, coarse):
    """Add the groups' pressures, and a sweep of Gauss-Seidel back."""
    n = inverse.size
    for i in range(n):
        p[i] += coarse[group[i]]
    known = np.zeros(p.size, np.float32)  # what flows in from those that are known already
    for k in range(wraps.shape[0]):
        i, axis = wraps[k]
        j = low[i, axis]
        known[i] += conductance[i, axis] * p[j]
        known[j] += conductance[i, axis] * p[i]
    for k in range(n):
        i = n - 1 - k
        inflow = b[i]
        for axis in range(3):
            j = low[i, axis]
            if j < i:
                inflow += conductance[i, axis] * p[j]
        p[i] = inverse[i] * inflow + inverse[i] * known[i]
        for axis in range(3):
            known[low[i, axis]] += conductance[i, axis] * p[i]


@kernel
def _product(first, other, conductance, diagonal, x, y):
    xy = 0.0
    for i in range(diagonal.size):
        s = diagonal[i] * x[i]
        for e in range(first[i], first[i + 1]):
            s -= conductance[e] * x[other[e]]
        y[i] = s
        xy += np.float64(x[i]) * s
    return xy


@kernel
def _upwards_groups(first, other, conductance, diagonal, b, x, group, left):
    """The first half of a cycle over groups, as :func:`_upwards` is over voxels."""
    for i in range(diagonal.size):
        s = b[i]
        for e in range(first[i], first[i + 1]):
            s += conductance[e] * x[other[e]]
        x[i] = s / diagonal[i]
        for e in range(first[i], first[i + 1]):
            if other[e] < i:
                left[group[other[e]]] += conductance[e] * x[i]


@kernel
def _downwards_groups(first, other, conductance, diagonal, b, x, group, coarse):
    """The second half."""
    n = diagonal.size
    for i in range(n):
        x[i] += coarse[group[i]]
    for k in range(n):
        i = n - 1 - k
        s = b[i]
        for e in range(first[i], first[i + 1]):
            s += conductance[e] * x[other[e]]
        x[i] = s / diagonal[i]
