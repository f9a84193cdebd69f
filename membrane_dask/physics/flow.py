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

from membrane_dask.physics._jit import kernel, part
from membrane_dask.physics.network import PoreNetwork

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
    depth = network.junctions[:, 0]
    junctions = np.argsort(depth, kind="stable")
    pores, first, lower, first_above, above, pore_above, inlet, outlet = _graph(network.ends, junctions)
    return FlowGraph(pores, first, lower, first_above, above, pore_above, inlet, outlet, depth[junctions])


@kernel
def place(graph, values, empty):
    """Values of the network's pores at their places in the graph, ``empty`` where there is no pore."""
    placed = np.empty(graph.pores.size)
    for e in range(placed.size):
        placed[e] = values[graph.pores[e]] if graph.pores[e] >= 0 else empty
    return placed


@kernel
def _graph(ends, junctions):
    """All of a flow graph but the depth, by counting."""
    n, n_pores = junctions.size, ends.shape[0]
    rank = np.empty(n, np.int64)
    for i in range(n):
        rank[junctions[i]] = i
    first, first_above = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    inlets, outlets = 0, 0
    for e in range(n_pores):
        if ends[e, 1] >= 0:
            a, b = rank[ends[e, 0]], rank[ends[e, 1]]
            first[min(a, b) + 1] += 1
            first_above[max(a, b) + 1] += 1
        elif ends[e, 1] == -1:
            inlets += 1
        else:
            outlets += 1
    for i in range(n):
        first[i + 1] = first[i] + -(-first[i + 1] // _LANES) * _LANES
        first_above[i + 1] = first_above[i] + -(-first_above[i + 1] // _LANES) * _LANES
    between = first[n]
    nowhere = between + inlets + outlets
    pores, lower = np.empty(nowhere + 1, np.int64), np.empty(between, np.uint32)
    above, pore_above = np.empty(first_above[n], np.uint32), np.empty(first_above[n], np.uint32)
    for e in range(nowhere + 1):
        pores[e] = -1
    inlet, outlet = np.empty(inlets, np.uint32), np.empty(outlets, np.uint32)
    for i in range(n):
        for e in range(first[i], first[i + 1]):
            lower[e] = i
        for s in range(first_above[i], first_above[i + 1]):
            above[s] = i
            pore_above[s] = nowhere
    fill = first[:-1].copy()
    inlets, outlets = 0, 0
    for e in range(n_pores):
        a = rank[ends[e, 0]]
        if ends[e, 1] >= 0:
            b = rank[ends[e, 1]]
            at = fill[min(a, b)]
            fill[min(a, b)] += 1
            pores[at] = e
            lower[at] = max(a, b)
        elif ends[e, 1] == -1:
            pores[between + inlets] = e
            inlet[inlets] = a
            inlets += 1
        else:
            pores[between + inlet.size + outlets] = e
            outlet[outlets] = a
            outlets += 1
    fill = first_above[:-1].copy()
    for i in range(n):
        for e in range(first[i], first[i + 1]):
            if pores[e] >= 0:
                at = fill[lower[e]]
                fill[lower[e]] += 1
                above[at] = i
                pore_above[at] = e
    unsigned = np.uint64
    return pores, first.astype(unsigned), lower, first_above.astype(unsigned), above, pore_above, inlet, outlet


@part
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


@part
def dot(a, b):
    """Sum of products in four interleaved parts: additions need not wait for each other."""
    s0 = s1 = s2 = s3 = 0.0
    whole = a.size - a.size % 4
    for i in range(0, whole, 4):
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
    for i in range(whole, a.size):
        s0 += a[i] * b[i]
    return (s0 + s1) + (s2 + s3)


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


@part
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
