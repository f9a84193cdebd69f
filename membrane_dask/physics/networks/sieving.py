"""Particles that arrive one by one, follow the flow through a network and are caught in a narrow pore."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel, kernel
from membrane_dask.physics.elementary import logarithm
from membrane_dask.physics.networks.connectivity import group_indices
from membrane_dask.physics.networks.network_flow import FlowGraph, pore_flows
from membrane_dask.physics.networks.radius_distribution import mix

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
#: Returned by :func:`follow_flow` for a particle that leaves with the filtrate, or finds no flow.
PASSED, NO_FLOW = -1, -2


class RandomStream(NamedTuple):
    """Stream of random bits: a counter that is mixed with a key (SplitMix64)."""

    state: np.ndarray


@inline_kernel
def random_bits(stream: RandomStream) -> np.uint64:
    """Return the next 64 bits of the stream."""
    stream.state[0] += _GOLDEN
    return mix(stream.state[0])


@inline_kernel
def uniform(stream: RandomStream) -> float:
    """Return a random number in (0, 1)."""
    return float((np.float64(random_bits(stream) >> np.uint64(12)) + 0.5) * 2.0**-52)


@inline_kernel
def waiting_time(stream: RandomStream) -> float:
    """Return an exponential random number of mean 1."""
    return -logarithm(uniform(stream))


@inline_kernel
def narrowest_radius(radii: np.ndarray, e: Integer) -> float:
    """Return the smallest radius of a pore's pieces, ``radii[:, e]``."""
    smallest = radii[0, e]
    for k in range(1, radii.shape[0]):
        smallest = min(smallest, radii[k, e])
    return float(smallest)


@inline_kernel
def follow_flow(
    graph: FlowGraph, outlets_of: tuple[np.ndarray, np.ndarray], conductance: np.ndarray, pressure: np.ndarray,
    radii: np.ndarray, particle_radius: float, stream: RandomStream,
) -> Integer:  # fmt: skip
    """Let a particle follow the flow and return the entry of the pore that catches it.

    It enters an inlet, and leaves every junction, with probabilities proportional to the flows. The first pore that is
    narrower than the particle catches it.

    Parameters
    ----------
    graph : FlowGraph
    outlets_of : tuple of ndarray
        First outlet pore of every junction, and the outlet pores sorted by junction.
    conductance, pressure : ndarray
        Of the entries and of the junctions.
    radii : (segments, n_entries) ndarray
        Radii of the pieces of each pore; the narrowest one catches.
    particle_radius : float
    stream : RandomStream

    Returns
    -------
    int
        Entry of the pore, or ``PASSED``, or ``NO_FLOW``.
    """
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    first_outlet, outlets = outlets_of
    total = 0.0
    for k in range(n_inlets):
        total += max(conductance[n_internal + k] * (1.0 - pressure[graph.inlet[k]]), 0.0)
    if not total > 0.0:
        return NO_FLOW
    target = uniform(stream) * total
    entry: Integer = -1
    junction: Integer = 0
    for k in range(n_inlets):
        q = conductance[n_internal + k] * (1.0 - pressure[graph.inlet[k]])
        if q > 0.0:
            entry, junction = n_internal + k, np.int64(graph.inlet[k])
            target -= q
            if target < 0.0:
                break
    for _ in range(pressure.size + 1):  # pressure falls along the path
        if narrowest_radius(radii, entry) < particle_radius:
            return entry
        i, p = junction, pressure[junction]
        total = 0.0
        for s in range(graph.first[i], graph.first[i + 1]):
            total += max(conductance[s] * (p - pressure[graph.lower[s]]), 0.0)
        for s in range(graph.first_above[i], graph.first_above[i + 1]):
            total += max(conductance[graph.pore_above[s]] * (p - pressure[graph.above[s]]), 0.0)
        for t in range(first_outlet[i], first_outlet[i + 1]):
            total += conductance[n_internal + n_inlets + outlets[t]] * p
        if not total > 0.0:
            return NO_FLOW
        target = uniform(stream) * total
        leaves = False
        for s in range(graph.first[i], graph.first[i + 1]):
            q = conductance[s] * (p - pressure[graph.lower[s]])
            if q > 0.0 and target >= 0.0:
                entry, junction = np.int64(s), np.int64(graph.lower[s])
                target -= q
        for s in range(graph.first_above[i], graph.first_above[i + 1]):
            q = conductance[graph.pore_above[s]] * (p - pressure[graph.above[s]])
            if q > 0.0 and target >= 0.0:
                entry, junction = np.int64(graph.pore_above[s]), np.int64(graph.above[s])
                target -= q
        for t in range(first_outlet[i], first_outlet[i + 1]):
            q = conductance[n_internal + n_inlets + outlets[t]] * p
            if q > 0.0 and target >= 0.0:
                entry, leaves = n_internal + n_inlets + outlets[t], True
                target -= q
        if leaves:
            return entry if narrowest_radius(radii, entry) < particle_radius else PASSED
    return NO_FLOW


@inline_kernel
def have_detour(
    first: np.ndarray, pore: np.ndarray, neighbour: np.ndarray, is_open: np.ndarray, a: int, b: int, mark: np.ndarray,
    stamp: int,
) -> bool:  # fmt: skip
    """Return whether two nodes have an open pore or at least two neighbours in common.

    If so, removing a pore between them leaves every other pore on a simple path from the feed to the filtrate that was
    on one: the path takes a detour. ``mark`` has a place for every node; ``stamp`` differs from call to call.
    """
    n = first.size - 3
    for s in range(first[a], first[a + 1]):
        if is_open[pore[s]]:
            mark[neighbour[s]] = stamp
    if a >= n:  # feed and filtrate are joined outside the network
        mark[2 * n + 1 - a] = stamp
    if mark[b] == stamp:
        return True
    common = 0
    for s in range(first[b], first[b + 1]):
        if is_open[pore[s]] and mark[neighbour[s]] == stamp:
            mark[neighbour[s]] = -1  # several pores to one neighbour count once
            common += 1
    if b >= n and mark[2 * n + 1 - b] == stamp:
        common += 1
    return common >= 2


@kernel
def catch_probabilities(
    graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray, order: np.ndarray, radius: np.ndarray,
    particle_radius: float,
) -> tuple[np.ndarray, float, float]:  # fmt: skip
    """Return where particles are caught that follow a given flow.

    Parameters
    ----------
    graph : FlowGraph
    conductance, radius : (n_entries,) ndarray
        Of every pore.
    pressure : (n,) ndarray
        Pressures of the junctions.
    order : (n,) ndarray of int
        Junctions in order of decreasing pressure.
    particle_radius : float

    Returns
    -------
    probability : (n_entries,) ndarray
        That a particle is caught in the pore.
    passed : float
        Probability that it leaves with the filtrate.
    pores_entered : float
        Mean number of pores that it enters, including the one that catches it.
    """
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    first_outlet, outlets = group_indices(graph.outlet, graph.depth.size)
    flow = np.zeros(radius.size)
    pore_flows(graph, conductance, pressure, flow)
    probability = np.zeros(flow.size)
    arriving, leaving = np.zeros(order.size), np.zeros(order.size)
    passed, entered, total = 0.0, 0.0, 0.0
    for e in range(n_internal, n_internal + n_inlets):
        total += max(flow[e], 0.0)
    for k in range(n_inlets):
        e = n_internal + k
        fraction = max(flow[e], 0.0) / total
        entered += fraction
        if radius[e] < particle_radius:
            probability[e] = fraction
        else:
            arriving[graph.inlet[k]] += fraction
    for i in range(order.size):
        for s in range(graph.first[i], graph.first[i + 1]):
            leaving[i] += max(flow[s], 0.0)
            leaving[graph.lower[s]] += max(-flow[s], 0.0)
    for k in range(graph.outlet.size):
        leaving[graph.outlet[k]] += max(flow[n_internal + n_inlets + k], 0.0)
    for i in order:
        if not (arriving[i] > 0.0 and leaving[i] > 0.0):
            continue
        entered += arriving[i]
        per_flow = arriving[i] / leaving[i]
        for s in range(graph.first[i], graph.first[i + 1]):
            if flow[s] > 0.0:
                if radius[s] < particle_radius:
                    probability[s] += per_flow * flow[s]
                else:
                    arriving[graph.lower[s]] += per_flow * flow[s]
        for t in range(graph.first_above[i], graph.first_above[i + 1]):
            s = graph.pore_above[t]
            if flow[s] < 0.0:
                if radius[s] < particle_radius:
                    probability[s] -= per_flow * flow[s]
                else:
                    arriving[graph.above[t]] -= per_flow * flow[s]
        for t in range(first_outlet[i], first_outlet[i + 1]):
            e = n_internal + n_inlets + outlets[t]
            fraction = per_flow * max(flow[e], 0.0)
            if radius[e] < particle_radius:
                probability[e] += fraction
            else:
                passed += fraction
    return probability, passed, entered
