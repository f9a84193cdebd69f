"""Pressures of a network of voxels whose faces conduct: multigrid over ever larger groups of connected voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import join, kernel, numbered, part
from membrane_dask.physics.network import PhysicsError

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

        n, m = len(places), len(neighbours) - 1
        self.neighbours, self.conductance, self.n = neighbours, conductance, n
        self.diagonal = _diagonal(neighbours, conductance, n)
        self.group, places = _grouped(neighbours, places)
        count = len(places)
        pairs = []
        for axis in range(3):
            c, low = conductance[:m, axis], neighbours[:m, 2 * axis]
            inner = np.flatnonzero((c[:n] > 0) & (low[:n] < n)).astype(np.int32)
            a, b = self.group[inner], self.group[low[inner]]
            apart = a != b
            pairs.append(sparse.coo_array((c[inner][apart], (a[apart], b[apart])), shape=(count, count)).tocsr())
        entry = np.flatnonzero((conductance[:n, 0] > 0) & (neighbours[:n, 0] == m))
        outer = np.bincount(self.group[entry], conductance[entry, 0], count)
        outer += np.bincount(self.group[neighbours[n:m, 0]], conductance[n:m, 0], count)
        matrix = (pairs[0] + pairs[1] + pairs[2]).tocsr()
        del pairs
        matrix = (matrix + matrix.T).tocsr()
        self.levels: list[_Level] = []
        while True:
            first, other = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
            group, places = _regrouped(first, other, places)
            weights = matrix.data.astype(np.float32)
            diagonal = (matrix.sum(axis=1) + outer).astype(np.float32)
            self.levels.append(_Level(first, other, weights, diagonal, group))
            few = len(places)
            if len(diagonal) <= _COARSEST or few > 0.9 * len(diagonal):
                break
            ones = np.ones(len(group), np.float32)
            gather = sparse.csr_array((ones, group, np.arange(len(group) + 1)), shape=(len(group), few))
            outer = np.bincount(group, outer, few)
            matrix = (gather.T @ matrix @ gather).tocsr()
            matrix.setdiag(0)
            matrix.eliminate_zeros()
        whole = sparse.diags_array(diagonal.astype(float)) - matrix.astype(float)
        self._factors = splu(whole.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})

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
        z, p = (np.zeros(len(self.neighbours), np.float32) for _ in range(2))
        q, before = np.empty_like(r), np.empty_like(r)
        rz = 1.0
        for step in range(_MOST):
            self._precondition(r, z)
            new = dot(r, z)
            beta = (new - dot(before, z)) / rz if step else 0.0
            rz = new
            _turn(p, z, np.float32(beta))
            pq = _conduct(self.neighbours, self.conductance, self.diagonal, p, q)
            before[:] = r
            if _advance(x, p, r, q, np.float32(rz / pq)) <= wanted:
                return x
        raise PhysicsError(f"pressures: no balance to {tolerance:g} after {_MOST} steps")

    def _precondition(self, r: np.ndarray, z: np.ndarray) -> None:
        z[:] = 0
        fine = (self.neighbours, self.conductance, self.diagonal)
        _sweep_voxels(*fine, r, z, True)
        left = np.zeros(len(self.levels[0].diagonal), np.float32)
        _gather_voxels(*fine, r, z, self.group, left)
        _scatter(z, self.group, self._corrected(0, left))
        _sweep_voxels(*fine, r, z, False)

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
        _sweep(*rows, b, x, True)
        left = np.zeros(len(self.levels[level + 1].diagonal), np.float32)
        _gather(*rows, b, x, here.group, left)
        _scatter(x, here.group, self._corrected(level + 1, left))
        _sweep(*rows, b, x, False)
        return x


@kernel
def dot(a, b):
    """Inner product in double precision, over the length of the first."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    n = a.size - a.size % 4
    for i in range(0, n, 4):
        s0 += np.float64(a[i]) * b[i]
        s1 += np.float64(a[i + 1]) * b[i + 1]
        s2 += np.float64(a[i + 2]) * b[i + 2]
        s3 += np.float64(a[i + 3]) * b[i + 3]
    for i in range(n, a.size):
        s0 += np.float64(a[i]) * b[i]
    return (s0 + s1) + (s2 + s3)


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
def _grouped(neighbours, places):
    """Group of every voxel: those connected within a cell of 2 x 2 x 2 voxels; and the groups' cells."""
    n = places.shape[0]
    parent = np.empty(n, np.int32)
    for i in range(n):
        parent[i] = i
        for axis in range(3):
            j = neighbours[i, 2 * axis]
            if places[i, axis] % 2 == 1 and j < n:
                join(parent, i, j)
    group, count = numbered(parent)
    return group, _halved(group, count, places)


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
    group, count = numbered(parent)
    return group, _halved(group, count, places)


@part
def _halved(group, count, places):
    """Cells of groups, twice as wide as those of their members."""
    cells = np.empty((count, 3), np.int16)
    for i in range(group.size):
        for axis in range(3):
            cells[group[i], axis] = places[i, axis] >> 1
    return cells


@kernel
def _diagonal(neighbours, conductance, n):
    found = np.empty(n, np.float32)
    for i in range(n):
        low = conductance[i, 0] + conductance[i, 1] + conductance[i, 2]
        above, right, ahead = neighbours[i, 1], neighbours[i, 3], neighbours[i, 5]
        found[i] = low + (conductance[above, 0] + conductance[right, 1] + conductance[ahead, 2])
    return found


@part
def _inflow(neighbours, c, p, i):
    """What the neighbours' pressures drive into a voxel."""
    b, d, f = neighbours[i, 1], neighbours[i, 3], neighbours[i, 5]
    along_z = c[i, 0] * p[neighbours[i, 0]] + c[b, 0] * p[b]
    along_y = c[i, 1] * p[neighbours[i, 2]] + c[d, 1] * p[d]
    along_x = c[i, 2] * p[neighbours[i, 4]] + c[f, 2] * p[f]
    return along_z + along_y + along_x


@kernel
def _conduct(neighbours, conductance, diagonal, p, q):
    pq = 0.0
    for i in range(diagonal.size):
        q[i] = diagonal[i] * p[i] - _inflow(neighbours, conductance, p, i)
        pq += np.float64(p[i]) * q[i]
    return pq


@kernel
def _sweep_voxels(neighbours, conductance, diagonal, b, p, upwards):
    """A sweep of Gauss-Seidel."""
    n = diagonal.size
    for k in range(n):
        i = k if upwards else n - 1 - k
        p[i] = (b[i] + _inflow(neighbours, conductance, p, i)) / diagonal[i]


@kernel
def _gather_voxels(neighbours, conductance, diagonal, b, p, group, left):
    """Add up over the groups what is not balanced."""
    for i in range(diagonal.size):
        left[group[i]] += b[i] + _inflow(neighbours, conductance, p, i) - diagonal[i] * p[i]


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
def _sweep(first, other, conductance, diagonal, b, x, upwards):
    n = diagonal.size
    for k in range(n):
        i = k if upwards else n - 1 - k
        s = b[i]
        for e in range(first[i], first[i + 1]):
            s += conductance[e] * x[other[e]]
        x[i] = s / diagonal[i]


@kernel
def _gather(first, other, conductance, diagonal, b, x, group, left):
    for i in range(diagonal.size):
        s = b[i] - diagonal[i] * x[i]
        for e in range(first[i], first[i + 1]):
            s += conductance[e] * x[other[e]]
        left[group[i]] += s


@kernel
def _scatter(x, group, values):
    for i in range(group.size):
        x[i] += values[group[i]]
