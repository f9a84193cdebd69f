"""Concentration of foulants in a network whose pores are well mixed and lose foulant to their walls."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.networks.network_flow import FlowGraph


@kernel
def mix_foulant(
    graph: FlowGraph, flow: np.ndarray, order: np.ndarray, uptake: np.ndarray, erosion: np.ndarray, limit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Compute the concentration of a foulant in every pore body in one sweep of falling pressure.

    Parameters
    ----------
    graph : FlowGraph
    flow : (n_entries,) ndarray
        Flow of every throat, positive downwards; 0 where it carries none.
    order : (n,) ndarray of int
        Pore bodies in order of decreasing pressure.
    uptake : (n,) ndarray
        Wall rate times wall area of every pore body, in the unit of the flows.
    erosion : (n,) ndarray
        Foulant that the flow would erode from an unlimited deposit, per time; it joins the stream in its body.
    limit : (n,) ndarray
        Foulant that can be eroded at most, besides that which is taken up.

    Returns
    -------
    concentration : (n,) ndarray
        ``(sum of inflow times concentration + eroded) / (sum of inflow + uptake)``; 0 without inflow.
    eroded : (n,) ndarray
        Foulant that is eroded: ``erosion``, but at most ``limit + uptake * concentration``.
    upstream : (n_entries,) ndarray
        Concentration of the pore body, or feed, that every throat's flow comes from; 0 without flow.
    passed, fed : float
        Foulant that leaves with the filtrate, and that enters with the feed, per time.

    Notes
    -----
    What the walls of a pore take up, ``uptake * concentration``, less what is eroded, is what its inflow brings less
    what its outflow takes. At the limit, all that is taken up is eroded at once.
    """
    n_internal, n_inlets, n = graph.lower.size, graph.inlet.size, uptake.size
    inflow, foulant, concentration, eroded = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    upstream = np.zeros(flow.size)
    fed = 0.0
    for k in range(n_inlets):
        q = max(flow[n_internal + k], 0.0)
        inflow[graph.inlet[k]] += q
        foulant[graph.inlet[k]] += q
        fed += q
        upstream[n_internal + k] = 1.0 if q > 0.0 else 0.0
    for i in order:
        if not inflow[i] > 0.0:
            continue
        c = (foulant[i] + limit[i]) / inflow[i]  # at the limit
        eroded[i] = limit[i] + uptake[i] * c
        if erosion[i] < eroded[i]:
            eroded[i] = erosion[i]
            c = (foulant[i] + eroded[i]) / (inflow[i] + uptake[i])
        concentration[i] = c
        for e in range(graph.first[i], graph.first[i + 1]):
            if flow[e] > 0.0:
                inflow[graph.lower[e]] += flow[e]
                foulant[graph.lower[e]] += flow[e] * c
                upstream[e] = c
        for s in range(graph.first_above[i], graph.first_above[i + 1]):
            e = graph.pore_above[s]
            if flow[e] < 0.0:
                inflow[graph.above[s]] -= flow[e]
                foulant[graph.above[s]] -= flow[e] * c
                upstream[e] = c
    passed = 0.0
    for k in range(graph.outlet.size):
        e = n_internal + n_inlets + k
        if flow[e] > 0.0:
            upstream[e] = concentration[graph.outlet[k]]
            passed += flow[e] * upstream[e]
    return concentration, upstream, eroded, passed, fed
