"""Diagnostics of the flow and the deposition in a clean filter.

They show how far the assumptions of the model hold before any pore has narrowed: how long the paths are, how much
foulant the walls take up on the way, and in which pores the deposit is not uniform along the pore.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import exponential
from membrane_dask.physics.networks.network_flow import FlowGraph


@dataclass(frozen=True)
class FilterDiagnostics:
    r"""Diagnostics of a clean filter, over all pores that carry flow.

    A pore has the flow ``q``, length ``l``, radius ``r`` and attenuation exponent ``x = lambda r l / q``; ``q_out`` is
    the flow through the filter.

    Parameters
    ----------
    flux_weighted_tortuosity : float
        ``sum q l / q_out``: mean length of the paths of the flow, in membrane thicknesses, >= 1 where pores are
        straight.
    pores_per_path : float
        ``sum q / q_out``: mean number of pores on a path of the flow, >= 1.
    wall_shear_flux_weighted : float
        Mean of the wall shear stress ``q / (2 r^3)`` of the pores, weighted by their flow, in units of the pressure
        difference, > 0.
    damkohler_number : float
        ``sum lambda r l / q_out``, > 0: uptake by the walls over flow. The foulant concentration of the filtrate is at
        least ``exp(-damkohler_number)`` (Jensen's inequality).
    non_cylindrical_deposition : float
        Fraction, 0 to 1, of the deposition ``lambda r l c`` that falls in pores with ``x > 1``; ``c`` is the
        concentration at the inlet of the pore. The deposit of such a pore is concentrated near its inlet, whereas the
        model narrows the pore uniformly.

    References
    ----------
    Gu, Kondic & Cummings, Phys. Rev. Fluids 8, 044502 (2023), Sec. II B 3: pores stay cylinders.
    """

    flux_weighted_tortuosity: float
    pores_per_path: float
    wall_shear_flux_weighted: float
    damkohler_number: float
    non_cylindrical_deposition: float


def filter_diagnostics(
    graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray, order: np.ndarray, length: np.ndarray,
    radius: np.ndarray, affinity: np.ndarray, deposition: float,
) -> FilterDiagnostics:  # fmt: skip
    """Compute the diagnostics of a clean filter from its pressures.

    Parameters
    ----------
    graph : FlowGraph
    conductance : (n_entries,) ndarray
        Conductance of the pore of every entry of the graph, 0 for pores without flow and for padding.
    pressure : (n,) ndarray
        Pressures of the junctions, between 0 and 1, in the order of the graph.
    order : (n,) ndarray of int
        Junctions in order of decreasing pressure.
    length, radius, affinity : (n_entries,) ndarray
        Length, radius and relative deposition coefficient of the pore of every entry.
    deposition : float
        Deposition coefficient ``lambda``, > 0.

    Returns
    -------
    FilterDiagnostics
    """
    sums = _sums(graph, conductance, pressure, order, length, radius, deposition * affinity)
    outflow, flow, path_length, shear, uptake, deposited, deposited_near_inlet = sums
    return FilterDiagnostics(
        flux_weighted_tortuosity=path_length / outflow,
        pores_per_path=flow / outflow,
        wall_shear_flux_weighted=shear / flow,
        damkohler_number=uptake / outflow,
        non_cylindrical_deposition=deposited_near_inlet / deposited,
    )


@kernel
def _sums(
    graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray, order: np.ndarray, length: np.ndarray,
    radius: np.ndarray, deposition: np.ndarray,
) -> tuple[float, float, float, float, float, float, float]:  # fmt: skip
    """Sum over all pores in one sweep in order of decreasing pressure.

    Returns
    -------
    outflow, flow, flow_length, flow_shear, uptake, deposited, deposited_near_inlet : float
        Flow of the outlets; sums over the pores of ``q``, ``q l``, ``q^2 / (2 r^3)``, ``lambda r l`` and
        ``lambda r l c``, and of the last over pores with ``x > 1``.
    """
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    outflow = total = flow_length = flow_shear = total_uptake = deposited = deposited_near_inlet = 0.0
    # Entry, upstream junction (-1: feed), downstream junction (-1: filtrate) and flow of the pores, those that leave a
    # junction after all that enter it.
    entries = np.empty(length.size, np.int64)
    upstream, downstream = np.empty(length.size, np.int64), np.empty(length.size, np.int64)
    flows = np.empty(length.size)
    n = 0
    for e in range(n_internal, n_internal + n_inlets):
        junction = graph.inlet[e - n_internal]
        entries[n], upstream[n], downstream[n] = e, -1, junction
        flows[n] = conductance[e] * (1.0 - pressure[junction])
        n += 1
    for i in order:
        for e in range(graph.first[i], graph.first[i + 1]):
            junction = graph.lower[e]
            if pressure[junction] < pressure[i]:
                entries[n], upstream[n], downstream[n] = e, i, junction
                flows[n] = conductance[e] * (pressure[i] - pressure[junction])
                n += 1
        for s in range(graph.first_above[i], graph.first_above[i + 1]):
            junction = graph.above[s]
            if pressure[junction] < pressure[i]:
                e = graph.pore_above[s]
                entries[n], upstream[n], downstream[n] = e, i, junction
                flows[n] = conductance[e] * (pressure[i] - pressure[junction])
                n += 1
    for e in range(graph.outlet.size):
        entry = n_internal + n_inlets + e
        entries[n], upstream[n], downstream[n] = entry, graph.outlet[e], -1
        flows[n] = conductance[entry] * pressure[graph.outlet[e]]
        n += 1

    inflow, foulant = np.zeros(pressure.size), np.zeros(pressure.size)
    for k in range(n):
        e, flow = entries[k], flows[k]
        if flow <= 0.0:  # no path leads through the pore
            continue
        concentration = 1.0
        if upstream[k] >= 0:  # rounding may make flow leave a junction that none enters: it carries no foulant
            entering = inflow[upstream[k]]
            concentration = foulant[upstream[k]] / entering if entering > 0.0 else 0.0
        uptake = deposition[e] * radius[e] * length[e]
        total += flow
        flow_length += flow * length[e]
        flow_shear += flow * flow / (2.0 * radius[e] * radius[e] * radius[e])
        total_uptake += uptake
        deposited += uptake * concentration
        if uptake > flow:
            deposited_near_inlet += uptake * concentration
        if downstream[k] >= 0:
            inflow[downstream[k]] += flow
            foulant[downstream[k]] += flow * concentration * exponential(-uptake / flow)
        else:
            outflow += flow
    return outflow, total, flow_length, flow_shear, total_uptake, deposited, deposited_near_inlet
