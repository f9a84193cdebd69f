"""Pressures of the flow through a pore network, by preconditioned conjugate gradients on its graph Laplacian.

Mass conservation at the junctions is a weighted graph Laplacian. It is solved again and again while pores narrow, each
time from a good initial guess. The preconditioner is symmetric successive over-relaxation in Eisenstat's form [1]_:
an iteration reads every pore twice, as often as a product with the matrix does, and there are fewer than half the
iterations of diagonal scaling.

References
----------
.. [1] S. C. Eisenstat, Efficient implementation of a class of preconditioned conjugate gradient methods,
   SIAM J. Sci. Stat. Comput. 2, 1 (1981).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.networks.connectivity import group_indices
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.row_sums import LANES, weighted_sum

#: Relaxation factor. Random networks need the fewest iterations between 1.2 and 1.5.
_RELAXATION = 1.35


class FlowGraph(NamedTuple):
    """A network in the memory layout of the solver: junctions sorted by depth, pores by their upper junction.

    The entries of pore arrays are: pores between junctions in padded rows, inlet pores, outlet pores, and one empty
    entry. Indices are unsigned, which saves the check for negative ones at every access.

    Attributes
    ----------
    pores : (n_entries,) ndarray of int64
        Index in the network of the pore of each entry, -1 for padding.
    first : (n + 1,) ndarray of uint64
        Junction ``i`` is the upper end of the pores ``first[i]`` to ``first[i + 1]``.
    lower : ndarray of uint32
        Lower junction of each pore between junctions.
    first_above : (n + 1,) ndarray of uint64
        Junction ``i`` is the lower end of the pores ``pore_above[first_above[i]:first_above[i + 1]]``.
    above, pore_above : ndarray of uint32
        Upper junction of such a pore, and its entry.
    inlet, outlet : ndarray of uint32
        Junction of each inlet and each outlet pore.
    depth : (n,) ndarray of float64
        Depth of each junction.
    """

    pores: np.ndarray
    first: np.ndarray
    lower: np.ndarray
    first_above: np.ndarray
    above: np.ndarray
    pore_above: np.ndarray
    inlet: np.ndarray
    outlet: np.ndarray
    depth: np.ndarray


def flow_graph(network: PoreNetwork) -> FlowGraph:
    """Convert a network to the memory layout of the solver."""
    depth, conns = network.junctions[:, 0], network.throat_conns
    order = np.argsort(depth, kind="stable")
    n = len(order)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    internal, inlets, outlets = (
        np.flatnonzero(kind) for kind in (conns[:, 1] >= 0, conns[:, 1] == INLET, conns[:, 1] == OUTLET)
    )
    a, b = rank[conns[internal, 0]], rank[conns[internal, 1]]
    upper, lower = np.minimum(a, b), np.maximum(a, b)
    # Padding refers to the row's own junction.
    first, entry_below, below = _padded_rows(upper, n)
    first_above, entry_above, above = _padded_rows(lower, n)
    pores = np.full(first[-1] + len(inlets) + len(outlets) + 1, -1)
    pores[entry_below] = internal
    pores[first[-1] : -1] = np.concatenate([inlets, outlets])
    below[entry_below] = lower
    above[entry_above] = upper
    pore_above = np.full(first_above[-1], len(pores) - 1)
    pore_above[entry_above] = entry_below
    return FlowGraph(
        pores, first.astype(np.uint64), below.astype(np.uint32), first_above.astype(np.uint64),
        above.astype(np.uint32), pore_above.astype(np.uint32), rank[conns[inlets, 0]].astype(np.uint32),
        rank[conns[outlets, 0]].astype(np.uint32), depth[order],
    )  # fmt: skip


def _padded_rows(row: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay out ``n`` padded rows: their extents, the entry of every pore, and the row of every entry."""
    begin, pore = group_indices(row, n)
    counts = np.diff(begin)
    lanes = -(-counts // LANES) * LANES
    first = np.concatenate([[0], np.cumsum(lanes)])
    entry = np.empty(len(row), np.int64)
    entry[pore] = np.arange(len(row)) + np.repeat(first[:-1] - begin[:-1], counts)
    return first, entry, np.repeat(np.arange(n), lanes)


def scatter(graph: FlowGraph, values: np.ndarray, padding: float) -> np.ndarray:
    """Arrange values of the network's pores in the entries of the graph, with ``padding`` where there is no pore."""
    return np.asarray(np.append(np.asarray(values, float), padding)[graph.pores])  # -1 is the last one


@kernel
def solve_pressures(graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray, tolerance: float) -> int:
    """Solve for the pressures at the junctions, in place, with pressure 1 at the feed and 0 at the filtrate.

    Parameters
    ----------
    graph : FlowGraph
    conductance : (n_entries,) ndarray
        Conductance of each entry's pore; 0 for padding and for pores without flow.
    pressure : (n,) ndarray
        Initial guess, replaced by the solution. Junctions without a conducting pore get 0.
    tolerance : float
        Relative error of the pressures in the norm of dissipation ``sum k (dp)^2`` at which to stop, estimated from
        the preconditioned residual. Inflow and outflow agree to rounding errors in any case.

    Returns
    -------
    int
        Number of iterations, or -1 without convergence.
    """
    first, lower = graph.first, graph.lower
    first_above, above, pore_above = graph.first_above, graph.above, graph.pore_above
    inlet, outlet = graph.inlet, graph.outlet
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(LANES)  # all indices are unsigned
    n = np.uint64(pressure.size)
    n_internal = lower.size
    weight_above = np.empty(above.size)
    diagonal, feed = np.zeros(n), np.zeros(n)
    s, t = first[0], first_above[0]
    for i in range(n):
        total = 0.0
        stop, stop_above = first[i + one], first_above[i + one]
        while s < stop:
            total += conductance[s]
            total += conductance[s + one]
            total += conductance[s + two]
            total += conductance[s + three]
            s += four
        while t < stop_above:
            a, b = conductance[pore_above[t]], conductance[pore_above[t + one]]
            c, d = conductance[pore_above[t + two]], conductance[pore_above[t + three]]
            weight_above[t], weight_above[t + one], weight_above[t + two], weight_above[t + three] = a, b, c, d
            total += a
            total += b
            total += c
            total += d
            t += four
        diagonal[i] = total
    for e in range(inlet.size):
        diagonal[inlet[e]] += conductance[n_internal + e]
        feed[inlet[e]] += conductance[n_internal + e]
    for e in range(outlet.size):
        diagonal[outlet[e]] += conductance[n_internal + inlet.size + e]
    scale = np.zeros(n)  # 1 / sqrt(diagonal)
    for i in range(n):
        if diagonal[i] > 0.0:
            scale[i] = 1.0 / math.sqrt(diagonal[i])
        else:
            pressure[i] = 0.0

    # The residual of the preconditioned system is the update of one sweep of successive over-relaxation. Here and
    # below, a row ends where the next one begins: that saves a load, on which the whole row would wait.
    residual, direction = np.zeros(n), np.empty(n)
    swept = np.zeros(n)
    rho = 0.0
    start, start_above = first[0], first_above[0]
    for i in range(n):
        stop, stop_above = first[i + one], first_above[i + one]
        total = feed[i] + weighted_sum(start, stop, conductance, lower, pressure)
        total += weighted_sum(start_above, stop_above, weight_above, above, swept)
        swept[i] = _RELAXATION * scale[i] * scale[i] * total + (1.0 - _RELAXATION) * pressure[i]
        if scale[i] > 0.0:
            residual[i] = (swept[i] - pressure[i]) / scale[i]
        direction[i] = residual[i]
        rho += residual[i] * residual[i]
        start, start_above = stop, stop_above

    # With the factor 2 / w - 1 the squared residual estimates the error in the norm of dissipation.
    excess = 2.0 / _RELAXATION - 1.0
    upward, relaxed, product = np.zeros(n), np.zeros(n), np.zeros(n)
    for iteration in range(20 * pressure.size + 1000):
        inflow = 0.0
        for e in range(inlet.size):
            inflow += conductance[n_internal + e] * (1.0 - pressure[inlet[e]])
        if excess * rho <= tolerance * tolerance * inflow:
            _balance_flow(graph, conductance, scale, inflow, pressure)
            return iteration
        stop = first[n]
        for j in range(n):
            k = n - one - j
            start = first[k]
            total = weighted_sum(start, stop, conductance, lower, upward)
            relaxed[k] = _RELAXATION * (direction[k] + scale[k] * total)
            upward[k] = scale[k] * relaxed[k]
            stop = start
        curvature = 0.0
        start = first_above[0]
        for i in range(n):
            stop = first_above[i + one]
            total = weighted_sum(start, stop, weight_above, above, swept)
            down = _RELAXATION * (direction[i] - excess * relaxed[i] + scale[i] * total)
            swept[i] = scale[i] * down
            product[i] = relaxed[i] + down
            curvature += direction[i] * product[i]
            start = stop
        alpha = rho / curvature
        for i in range(n):
            pressure[i] += alpha * upward[i]
            residual[i] -= alpha * product[i]
        last_rho = rho
        rho = dot(residual, residual)
        for i in range(n):
            direction[i] = residual[i] + rho / last_rho * direction[i]
    return -1


@inline_kernel
def _balance_flow(
    graph: FlowGraph, conductance: np.ndarray, scale: np.ndarray, inflow: float, pressure: np.ndarray
) -> None:
    """Shift all pressures by the constant that makes outflow equal inflow; it also minimises dissipation."""
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    outflow, at_faces = 0.0, 0.0
    for e in range(graph.outlet.size):
        outflow += conductance[n_internal + n_inlets + e] * pressure[graph.outlet[e]]
    for e in range(n_internal, conductance.size):
        at_faces += conductance[e]  # the last entry is empty
    if at_faces > 0.0:
        shift = (inflow - outflow) / at_faces
        for i in range(pressure.size):
            if scale[i] > 0.0:
                pressure[i] += shift


@inline_kernel
def pore_flows(graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray, flow: np.ndarray) -> None:
    """Compute the flow of every pore into ``flow``, positive downwards."""
    first, lower = graph.first, graph.lower
    n_internal, n_inlets = lower.size, graph.inlet.size
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    s = first[0]
    for i in range(np.uint64(pressure.size)):
        upper, stop = pressure[i], first[i + one]
        while s < stop:  # rows are padded
            flow[s] = conductance[s] * (upper - pressure[lower[s]])
            flow[s + one] = conductance[s + one] * (upper - pressure[lower[s + one]])
            flow[s + two] = conductance[s + two] * (upper - pressure[lower[s + two]])
            flow[s + three] = conductance[s + three] * (upper - pressure[lower[s + three]])
            s += np.uint64(LANES)
    for e in range(n_inlets):
        flow[n_internal + e] = conductance[n_internal + e] * (1.0 - pressure[graph.inlet[e]])
    for e in range(graph.outlet.size):
        flow[n_internal + n_inlets + e] = conductance[n_internal + n_inlets + e] * pressure[graph.outlet[e]]
