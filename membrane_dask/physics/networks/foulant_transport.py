"""Concentration of a foulant at the junctions of a network, and what it leaves on the pore walls."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel
from membrane_dask.physics.elementary import exponential
from membrane_dask.physics.networks.fouling_laws import KernelDeposition
from membrane_dask.physics.networks.network_flow import FlowGraph
from membrane_dask.physics.networks.row_sums import LANES

#: Attenuation below which the mean of an exponential along a pore is computed by its series.
_SERIES = 1e-3


@inline_kernel
def mean_attenuation(x: float) -> float:
    """Return the mean of ``exp(-s)`` over ``0 <= s <= x``, ``(1 - exp(-x)) / x``."""
    if x < _SERIES:
        return 1.0 - x / 2.0 * (1.0 - x / 3.0 * (1.0 - x / 4.0))
    return (1.0 - exponential(-x)) / x


@inline_kernel
def transport_foulant(
    graph: FlowGraph, flow: np.ndarray, carried: np.ndarray, order: np.ndarray, concentration: np.ndarray
) -> None:
    """Compute the concentration at every junction in one sweep in order of decreasing pressure.

    ``carried`` is the flow times the fraction of the foulant that stays in the stream.
    """
    first, lower = graph.first, graph.lower
    first_above, above, pore_above = graph.first_above, graph.above, graph.pore_above
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(LANES)
    n = np.uint64(concentration.size)
    inflow, foulant = np.zeros(n), np.zeros(n)
    for e in range(graph.inlet.size):
        inflow[graph.inlet[e]] += max(flow[lower.size + e], 0.0)
        foulant[graph.inlet[e]] += max(carried[lower.size + e], 0.0)
    # What does not depend on concentrations is summed in the order of memory, which is faster than that of pressure.
    carried_above = np.empty(above.size)
    s, t = first_above[0], first[0]
    for k in range(n):
        q0 = q1 = 0.0
        stop, stop_below = first_above[k + one], first[k + one]
        while s < stop:
            a, b = pore_above[s], pore_above[s + one]
            q0 += max(flow[a], 0.0)
            q1 += max(flow[b], 0.0)
            carried_above[s] = max(carried[a], 0.0)
            carried_above[s + one] = max(carried[b], 0.0)
            s += two
        while t < stop_below:
            q0 -= min(flow[t], 0.0)
            q1 -= min(flow[t + one], 0.0)
            t += two
        inflow[k] += q0 + q1
    for junction in order:
        i = np.uint64(junction)
        c0 = c1 = 0.0
        s, stop = first_above[i], first_above[i + one]
        while s < stop:
            c0 += carried_above[s] * concentration[above[s]]
            c1 += carried_above[s + one] * concentration[above[s + one]]
            c0 += carried_above[s + two] * concentration[above[s + two]]
            c1 += carried_above[s + three] * concentration[above[s + three]]
            s += four
        s, stop = first[i], first[i + one]
        while s < stop:
            c0 -= min(carried[s], 0.0) * concentration[lower[s]]
            c1 -= min(carried[s + one], 0.0) * concentration[lower[s + one]]
            c0 -= min(carried[s + two], 0.0) * concentration[lower[s + two]]
            c1 -= min(carried[s + three], 0.0) * concentration[lower[s + three]]
            s += four
        concentration[i] = (foulant[i] + (c0 + c1)) / inflow[i] if inflow[i] > 0.0 else 0.0


@inline_kernel
def inlet_concentration(graph: FlowGraph, flow: np.ndarray, concentration: np.ndarray, upstream: np.ndarray) -> None:
    """Write the concentration at the inlet of every pore to ``upstream``, 0 without flow."""
    first, lower = graph.first, graph.lower
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    one = np.uint64(1)
    start = first[0]
    for i in range(np.uint64(concentration.size)):
        stop = first[i + one]
        for e in range(start, stop):
            # The upstream junction is selected without a branch, which would be unpredictable.
            junction: Integer = np.uint64(lower[e])
            if flow[e] > 0.0:
                junction = i
            upstream[e] = concentration[junction] * np.float64(flow[e] != 0.0)
        start = stop
    for e in range(n_internal, n_internal + n_inlets):
        upstream[e] = 1.0
    for e in range(graph.outlet.size):
        upstream[n_internal + n_inlets + e] = concentration[graph.outlet[e]]


@inline_kernel
def transport_with_erosion(
    graph: FlowGraph, flow: np.ndarray, carried: np.ndarray, order: np.ndarray, own: np.ndarray,
    other_rate: np.ndarray, limit: np.ndarray, shear_erosion: np.ndarray, returned: np.ndarray,
    concentration: np.ndarray, erosion: np.ndarray,
) -> None:  # fmt: skip
    """Compute the concentration at every junction where flow erodes the deposit, and the erosion of every pore.

    Parameters
    ----------
    graph : FlowGraph
    flow, carried : (n_entries,) ndarray
        Flow, positive downwards, and the flow times the fraction of the foulant that stays in the stream.
    order : (n,) ndarray of int
        Junctions in order of decreasing pressure.
    own, other_rate : (n_entries,) ndarray
        Rate at which the radius would decrease by this foulant at concentration 1, and by all others.
    limit : (n_entries,) ndarray
        Rate at which the pore would reach its clean radius without deposition.
    shear_erosion : (n_entries,) ndarray
        Rate at which the flow would erode an unlimited deposit.
    returned : (n_entries,) ndarray
        Foulant that joins the stream per rate of erosion; 0 where it is lost.
    concentration : (n,) ndarray
        Result.
    erosion : (n_entries,) ndarray
        Result: rate at which the radius increases.
    """
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    inflow, foulant = np.zeros(concentration.size), np.zeros(concentration.size)
    for k in range(n_inlets):
        e = n_internal + k
        erosion[e] = min(shear_erosion[e], other_rate[e] + own[e] + limit[e])
        inflow[graph.inlet[k]] += max(flow[e], 0.0)
        foulant[graph.inlet[k]] += max(carried[e], 0.0) + returned[e] * erosion[e]
    for i in order:
        c = foulant[i] / inflow[i] if inflow[i] > 0.0 else 0.0
        concentration[i] = c
        for s in range(graph.first[i], graph.first[i + 1]):
            if flow[s] > 0.0:
                erosion[s] = min(shear_erosion[s], other_rate[s] + own[s] * c + limit[s])
                inflow[graph.lower[s]] += flow[s]
                foulant[graph.lower[s]] += carried[s] * c + returned[s] * erosion[s]
        for t in range(graph.first_above[i], graph.first_above[i + 1]):
            s = graph.pore_above[t]
            if flow[s] < 0.0:
                erosion[s] = min(shear_erosion[s], other_rate[s] + own[s] * c + limit[s])
                inflow[graph.above[t]] -= flow[s]
                foulant[graph.above[t]] += returned[s] * erosion[s] - carried[s] * c
    for k in range(graph.outlet.size):
        e = n_internal + n_inlets + k
        erosion[e] = min(shear_erosion[e], other_rate[e] + own[e] * concentration[graph.outlet[k]] + limit[e])


@inline_kernel
def outlet_concentration(graph: FlowGraph, carried: np.ndarray, concentration: np.ndarray, flux: float) -> float:
    """Return the concentration of the filtrate, NaN without flow."""
    first_outlet = graph.lower.size + graph.inlet.size
    foulant = 0.0
    for k in range(graph.outlet.size):
        e = first_outlet + k
        foulant += carried[e] * concentration[graph.outlet[k]]
    return foulant / flux if flux > 0.0 else np.nan


@inline_kernel
def deposit_foulant(
    graph: FlowGraph, flow: np.ndarray, order: np.ndarray, deposition: float, law: KernelDeposition,
    length: np.ndarray, affinity: np.ndarray, clean_radius: np.ndarray, retention: np.ndarray, per_length: np.ndarray,
    radii: np.ndarray, time_step: float, carried: np.ndarray, concentration: np.ndarray, rates: np.ndarray,
    concentration_out: np.ndarray, flux: float,
) -> None:  # fmt: skip
    """Compute the concentrations of all species, and the rates at which the pieces of pores narrow.

    ``rates`` are those of the radius or, where deposition conserves foulant, of half its square.
    """
    n_entries, segments = flow.size, radii.shape[0]
    upstream = np.empty(n_entries)
    erosion = np.zeros(n_entries)
    rates[:] = 0.0
    for s in range(law.deposition.size - 1, -1, -1):  # eroded foulant joins the first species
        weight = law.fraction[s] * law.deposition[s] / deposition
        for e in range(n_entries):
            total = 0.0
            for k in range(segments):
                total += radii[k, e]
            carried[e] = flow[e] * exponential(retention[s, e] * (total / segments) / max(abs(flow[e]), 1e-300))
        if s == 0 and law.erosion_rate > 0.0:
            own, limit, shear_erosion = np.zeros(n_entries), np.zeros(n_entries), np.zeros(n_entries)
            returned = np.zeros(n_entries)
            for e in range(n_entries):
                if not per_length[e] > 0.0:
                    continue
                r = radii[0, e]
                x = -retention[0, e] * r / max(abs(flow[e]), 1e-300)
                own[e] = weight * affinity[e] * (mean_attenuation(x) if law.conserving else 1.0)
                limit[e] = (clean_radius[e] - r) / time_step
                shear = abs(flow[e]) / (2.0 * r * r * r)
                shear_erosion[e] = law.erosion_rate * max(0.0, shear - law.critical_shear)
                if law.returned:
                    returned[e] = deposition / law.fraction[0] * r * length[e]
            transport_with_erosion(
                graph, flow, carried, order, own, rates[0], limit, shear_erosion, returned, concentration[0],
                erosion,
            )  # fmt: skip
            foulant = outlet_concentration(graph, carried, concentration[0], flux) * flux
            for e in range(graph.lower.size + graph.inlet.size, n_entries):
                foulant += returned[e] * erosion[e]
            concentration_out[s] = foulant / flux
        else:
            transport_foulant(graph, flow, carried, order, concentration[s])
            concentration_out[s] = outlet_concentration(graph, carried, concentration[s], flux)
        inlet_concentration(graph, flow, concentration[s], upstream)
        for e in range(n_entries):
            if not per_length[e] > 0.0:
                continue
            c, q = upstream[e], max(abs(flow[e]), 1e-300)
            for j in range(segments):
                k = j if flow[e] >= 0.0 else segments - 1 - j
                x = -retention[s, e] / segments * radii[k, e] / q
                rates[k, e] += weight * affinity[e] * c * (mean_attenuation(x) if law.conserving else 1.0)
                if segments > 1:
                    c *= exponential(-x)
    for k in range(segments):
        for e in range(n_entries):
            rates[k, e] -= erosion[e]
            if law.conserving:
                rates[k, e] *= radii[k, e]
