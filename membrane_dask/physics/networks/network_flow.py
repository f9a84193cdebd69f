"""Flow through a pore network: the pressures at its junctions, solved again and again as pores narrow.

Flow conservation at the junctions is a weighted graph Laplacian. It is solved by conjugate
gradients with symmetric successive over-relaxation as preconditioner, in Eisenstat's form (SIAM J.
Sci. Stat. Comput. 2, 1, 1981): each iteration reads every pore once on the way up and once on the
way down, no more than a product with the matrix does, and takes fewer than half the iterations of
diagonal scaling.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.linear_solvers import dot
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork, grouped

#: Over-relaxation of the sweeps. Random networks take the fewest iterations between 1.2 and 1.5.
_RELAXATION = 1.35
#: Rows are filled up to a multiple of this many pores, so that sums have no remainders, whose branches cannot
#: be predicted. :func:`weighted_sum` is written for this number.
_LANES = 4


class FlowGraph(NamedTuple):
    """A network in the order in which its flow is solved: junctions by depth, pores by upper junction.

    Places for pores between junctions come first, then inlets, then outlets, then one that stays empty.
    Indices are unsigned, as that spares every access a test for those counted from the end.

    Attributes
    ----------
    pores : (n_places,) ndarray of int64
        The network's number of the pore at each place, -1 where there is none.
    first : (n + 1,) ndarray of uint64
        Junction ``i`` is the upper end of the pores at places ``first[i]`` to ``first[i + 1]``.
    lower : ndarray of uint32
        Lower junction of each pore between junctions.
    first_above : (n + 1,) ndarray of uint64
        Extent in ``above`` and ``pore_above`` of the pores whose lower end is junction ``i``.
    above, pore_above : ndarray of uint32
        Upper junction of such a pore, and its place.
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
    """Bring a network into the order of its flow."""
    depth, ends = network.junctions[:, 0], network.ends
    order = np.argsort(depth, kind="stable")
    n = len(order)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    inside, inlets, outlets = (
        np.flatnonzero(kind) for kind in (ends[:, 1] >= 0, ends[:, 1] == INLET, ends[:, 1] == OUTLET)
    )
    a, b = rank[ends[inside, 0]], rank[ends[inside, 1]]
    upper, lower = np.minimum(a, b), np.maximum(a, b)
    first, place_below, own = _rows(upper, n)
    first_above, place_above, own_above = _rows(lower, n)
    pores = np.full(first[-1] + len(inlets) + len(outlets) + 1, -1)
    pores[place_below] = inside
    pores[first[-1] : -1] = np.concatenate([inlets, outlets])
    own[place_below] = lower
    own_above[place_above] = upper
    pore_above = np.full(first_above[-1], len(pores) - 1)
    pore_above[place_above] = place_below
    extents = first.astype(np.uint64), first_above.astype(np.uint64)
    numbers = own, own_above, pore_above, rank[ends[inlets, 0]], rank[ends[outlets, 0]]
    below, above, pore_above, inlet, outlet = (found.astype(np.uint32) for found in numbers)
    return FlowGraph(pores, extents[0], below, extents[1], above, pore_above, inlet, outlet, depth[order])


def _rows(row: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Extents of ``n`` rows of whole lanes, the place of every pore in its row, and the row of every place."""
    begin, pore = grouped(row, n)
    counts = np.diff(begin)
    lanes = -(-counts // _LANES) * _LANES
    first = np.concatenate([[0], np.cumsum(lanes)])
    place = np.empty(len(row), np.int64)
    place[pore] = np.arange(len(row)) + np.repeat(first[:-1] - begin[:-1], counts)
    return first, place, np.repeat(np.arange(n), lanes)


def place(graph: FlowGraph, values: np.ndarray, empty: float) -> np.ndarray:
    """Values of the network's pores at their places in the graph, ``empty`` where there is no pore."""
    return np.append(np.asarray(values, float), empty)[graph.pores]  # -1 is the last


@inline_kernel
def weighted_sum(start, stop, weight, column, x):
    """Sum of ``weight * x[column]`` over a row, in four parts: additions need not wait for each other."""
    a = b = c = d = 0.0
    s = start
    while s < stop:
        a += weight[s] * x[column[s]]
        b += weight[s + np.uint64(1)] * x[column[s + np.uint64(1)]]
        c += weight[s + np.uint64(2)] * x[column[s + np.uint64(2)]]
        d += weight[s + np.uint64(3)] * x[column[s + np.uint64(3)]]
        s += np.uint64(4)
    return (a + b) + (c + d)


@kernel
def solve_pressures(graph, conductance, pressure, tolerance):
    """Pressures at the junctions from a guess of them, in place; the number of iterations.

    Parameters
    ----------
    graph : FlowGraph
    conductance : (n_places,) ndarray
        Of the pore at each place; 0 where there is none or it carries no flow.
    pressure : (n,) ndarray
        A guess; becomes the solution. Junctions without a conducting pore are given 0.
    tolerance : float
        Stop at this relative error of the pressures in the norm of dissipation ``sum k (dp)^2``,
        estimated from the preconditioned residual. Inflow and outflow agree to rounding.

    Returns
    -------
    int
        Iterations, or -1 if they did not suffice.
    """
    first, lower = graph.first, graph.lower
    first_above, above, pore_above = graph.first_above, graph.above, graph.pore_above
    inlet, outlet = graph.inlet, graph.outlet
    n = pressure.size
    between = lower.size
    weight_above = np.empty(above.size)
    for s in range(above.size):
        weight_above[s] = conductance[pore_above[s]]
    diagonal, feed = np.zeros(n), np.zeros(n)
    for i in range(n):
        total = 0.0
        for s in range(first[i], first[i + 1]):
            total += conductance[s]
        for s in range(first_above[i], first_above[i + 1]):
            total += weight_above[s]
        diagonal[i] = total
    for e in range(inlet.size):
        diagonal[inlet[e]] += conductance[between + e]
        feed[inlet[e]] += conductance[between + e]
    for e in range(outlet.size):
        diagonal[outlet[e]] += conductance[between + inlet.size + e]
    scale = np.zeros(n)  # 1 / sqrt(diagonal)
    for i in range(n):
        if diagonal[i] > 0.0:
            scale[i] = 1.0 / math.sqrt(diagonal[i])
        else:
            pressure[i] = 0.0

    # The residual of the preconditioned system is what one sweep of successive over-relaxation would change.
    residual, direction = np.zeros(n), np.empty(n)
    swept = np.zeros(n)
    rho = 0.0
    for i in range(n):
        total = feed[i] + weighted_sum(first[i], first[i + 1], conductance, lower, pressure)
        total += weighted_sum(first_above[i], first_above[i + 1], weight_above, above, swept)
        swept[i] = _RELAXATION * scale[i] * scale[i] * total + (1.0 - _RELAXATION) * pressure[i]
        if scale[i] > 0.0:
            residual[i] = (swept[i] - pressure[i]) / scale[i]
        direction[i] = residual[i]
        rho += residual[i] * residual[i]

    # 2 / w - 1 makes the residual's square an estimate of the error in the norm of dissipation.
    excess = 2.0 / _RELAXATION - 1.0
    upward, relaxed, product = np.zeros(n), np.zeros(n), np.zeros(n)
    for iteration in range(20 * n + 1000):
        inflow = 0.0
        for e in range(inlet.size):
            inflow += conductance[between + e] * (1.0 - pressure[inlet[e]])
        if excess * rho <= tolerance * tolerance * inflow:
            _balance(graph, conductance, scale, inflow, pressure)
            return iteration
        for j in range(n):
            i = n - 1 - j
            total = weighted_sum(first[i], first[i + 1], conductance, lower, upward)
            relaxed[i] = _RELAXATION * (direction[i] + scale[i] * total)
            upward[i] = scale[i] * relaxed[i]
        curvature = 0.0
        for i in range(n):
            total = weighted_sum(first_above[i], first_above[i + 1], weight_above, above, swept)
            down = _RELAXATION * (direction[i] - excess * relaxed[i] + scale[i] * total)
            swept[i] = scale[i] * down
            product[i] = relaxed[i] + down
            curvature += direction[i] * product[i]
        alpha = rho / curvature
        for i in range(n):
            pressure[i] += alpha * upward[i]
            residual[i] -= alpha * product[i]
        before = rho
        rho = dot(residual, residual)
        for i in range(n):
            direction[i] = residual[i] + rho / before * direction[i]
    return -1


@inline_kernel
def _balance(graph, conductance, scale, inflow, pressure):
    """Shift all pressures by the constant at which as much leaves as enters: the best one in dissipation, too."""
    between, inlets = graph.lower.size, graph.inlet.size
    outflow, at_faces = 0.0, 0.0
    for e in range(graph.outlet.size):
        outflow += conductance[between + inlets + e] * pressure[graph.outlet[e]]
    for e in range(between, conductance.size):
        at_faces += conductance[e]  # the last place is empty
    if at_faces > 0.0:
        shift = (inflow - outflow) / at_faces
        for i in range(pressure.size):
            if scale[i] > 0.0:
                pressure[i] += shift
