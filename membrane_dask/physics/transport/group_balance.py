"""Concentrations of groups of pore voxels that balance the diffusion between the groups of a whole volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.stokes.multigrid import GroupCycle
from membrane_dask.physics.union_find import component_labels, join

#: Relative residual of a solution for the groups, and its largest number of iterations.
_TOLERANCE, _MAX_ITERATIONS = 1e-4, 300


@dataclass(frozen=True)
class GroupGraph:
    """Groups of a volume and the conductances between them.

    Parameters
    ----------
    cells : (n, 3) ndarray of int16
        Cell of every group.
    pairs : (k, 2) ndarray of int32
        Groups with common faces; each pair once.
    conductance : (k,) ndarray of float64
        Conductance between them.
    ends : (n, 2) ndarray of float64
        Conductances to the faces at low and high z.
    """

    cells: np.ndarray
    pairs: np.ndarray
    conductance: np.ndarray
    ends: np.ndarray

    @cached_property
    def joined(self) -> np.ndarray:
        """Whether every group is connected to the faces at low and at high z, ``(n, 2)`` bool."""
        component, count = _components(self.pairs, len(self.cells))
        reached = np.zeros((count, 2), bool)
        for side in range(2):
            reached[component[self.ends[:, side] > 0], side] = True
        return np.asarray(reached[component])

    @property
    def percolates(self) -> np.ndarray:
        """Groups that are connected to both faces, ``(n,)`` bool."""
        return np.asarray(self.joined.all(axis=1))


@kernel
def _components(pairs: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """Component of every group, and the number of components."""
    parent = np.arange(n).astype(np.int32)
    for k in range(pairs.shape[0]):
        join(parent, pairs[k, 0], pairs[k, 1])
    return component_labels(parent)


class GroupBalance:
    """Solver for the groups that percolate; the others keep the concentration of the face that they reach, or 0.

    Parameters
    ----------
    graph : GroupGraph
        All groups.
    """

    def __init__(self, graph: GroupGraph) -> None:
        import scipy.sparse as sparse

        self.graph, self.groups = graph, np.flatnonzero(graph.percolates)
        number = np.full(len(graph.cells), -1, np.int32)
        number[self.groups] = np.arange(len(self.groups))
        pairs = number[graph.pairs]
        keep = (pairs >= 0).all(axis=1)
        (a, b), values = pairs[keep].T, graph.conductance[keep]
        n = len(self.groups)
        both = sparse.coo_array((np.r_[values, values], (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
        both.sort_indices()
        self._rows = both.indptr.astype(np.int64), both.indices.astype(np.int32), both.data
        outer = graph.ends[self.groups].sum(axis=1)
        self._diagonal = np.asarray(both.sum(axis=1)).ravel() + outer
        rows, columns, weights = self._rows
        self._cycle = GroupCycle(rows, columns, weights.astype(np.float32), outer, graph.cells[self.groups])

    def solve(self, load: np.ndarray) -> np.ndarray:
        """Concentrations ``(n,)`` of all groups under a load ``(n,)``; 0 in groups that do not percolate.

        Raises
        ------
        PhysicsError
            If the solver does not converge.

        Notes
        -----
        Flexible conjugate gradients in double precision, preconditioned by a K-cycle.
        """
        b = load[self.groups].astype(float)
        x, r = np.zeros(len(b)), b
        limit = _TOLERANCE * _TOLERANCE * dot(b, b)
        p = q = np.zeros(len(b))
        pq = 0.0
        result = np.zeros(len(load))
        for _ in range(_MAX_ITERATIONS):
            if dot(r, r) <= limit:
                result[self.groups] = x
                return result
            scale = float(np.abs(r).max())
            z = self._cycle.solve_approximately((r / scale).astype(np.float32)).astype(float)
            p = z - (dot(z, q) / pq) * p if pq else z
            q = self.apply(p)
            pq = dot(p, q)
            alpha = dot(p, r) / pq
            x, r = x + alpha * p, r - alpha * q
        raise PhysicsError(f"diffusion: the groups of voxels do not balance after {_MAX_ITERATIONS} iterations")

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Net outflow ``(m,)`` of the groups that percolate, from their concentrations."""
        return np.asarray(_apply(*self._rows, self._diagonal, x))

    def energy(self, y: np.ndarray) -> float:
        """Product of concentrations ``(n,)`` of all groups with their net outflow."""
        x = y[self.groups]
        return float(dot(x, self.apply(x)))

    def initial(self) -> np.ndarray:
        """Concentrations ``(n,)`` that balance the groups between 1 beyond low z and 0 beyond high z."""
        c = self.solve(self.graph.ends[:, 0])
        low, high = self.graph.joined.T
        return np.where(low & ~high, 1.0, c)


@kernel
def _apply(
    row_start: np.ndarray, column: np.ndarray, conductance: np.ndarray, diagonal: np.ndarray, x: np.ndarray
) -> np.ndarray:
    y = np.empty(x.size)
    for i in range(x.size):
        s = diagonal[i] * x[i]
        for e in range(row_start[i], row_start[i + 1]):
            s -= conductance[e] * x[column[e]]
        y[i] = s
    return y


@dataclass(frozen=True)
class Balance:
    """State of the conjugate gradients between two iterations on the slabs.

    Parameters
    ----------
    concentration : (n,) ndarray
        Concentration of every group, to which that of its voxels is relative.
    direction : (n,) ndarray
        The part of the search direction that is constant in each group.
    step, beta : float
        Length of the next step, and fraction of the previous direction in it; 0 before the first step.
    product, curvature : float
        Residual times preconditioned residual, and search direction times operator times search direction.
    energy : float
        Product of the fluxes with the differences of the concentrations before the step, ``nan`` before the first one:
        an upper bound of the flux.
    spread : float
        Largest difference of the fluxes through two planes, over the mean; infinite before the first step.
    """

    concentration: np.ndarray
    direction: np.ndarray
    step: float = 0.0
    beta: float = 0.0
    product: float = 0.0
    curvature: float = 0.0
    energy: float = float("nan")
    spread: float = float("inf")

    def arrays(self) -> dict[str, np.ndarray]:
        """Fields by name."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Balance:
        """From :meth:`arrays`."""
        values: dict[str, Any] = {name: value if value.ndim else float(value) for name, value in arrays.items()}
        return cls(**values)


def start(solver: GroupBalance) -> Balance:
    """Concentrations that balance the groups."""
    c = solver.initial()
    return Balance(c, np.zeros(len(c)))


def advance(
    solver: GroupBalance, before: Balance, plane_sums: np.ndarray, inflow: float, group_sums: np.ndarray
) -> Balance:
    """Next step of the conjugate gradients, from the sums over all slabs.

    Parameters
    ----------
    solver : GroupBalance
        The groups.
    before : Balance
        State before this iteration.
    plane_sums : (n_z, 4) ndarray
        See :class:`membrane_dask.physics.transport.two_level_diffusion.SlabStep`.
    inflow : float
        Flux into the first plane.
    group_sums : (n, 2) ndarray
        See there.
    """
    flux = np.concatenate([[inflow], inflow - np.cumsum(plane_sums[:, 0])])
    spread = float((flux.max() - flux.min()) / flux.mean())
    energy = inflow - float(plane_sums[:, 3].sum())
    (smoothed, residual) = group_sums.T
    y = solver.solve(residual - smoothed)
    product = float(plane_sums[:, 1].sum()) + float(dot(residual, y))
    curvature = float(plane_sums[:, 2].sum()) + 2.0 * float(dot(smoothed, y)) + solver.energy(y)
    beta = product / before.product if before.product else 0.0
    curvature -= beta * beta * before.curvature
    direction = y + beta * before.direction
    step = product / curvature
    return replace(
        before, concentration=before.concentration + step * direction, direction=direction, step=step, beta=beta,
        product=product, curvature=curvature, energy=energy, spread=spread,
    )  # fmt: skip
