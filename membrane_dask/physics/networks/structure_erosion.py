"""Wall shear in a porous structure, which erodes its deposits; units are those of :mod:`.structure_laws`.

A throat has the shear of a tube, or of a slit, of its section. A pore body has no single section: its shear follows
from the power that the flow dissipates in it.
"""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import integer_power
from membrane_dask.physics.networks.network_flow import FlowGraph


def throat_shear(
    flow: np.ndarray, area: np.ndarray, closing_radius: np.ndarray, thickness: np.ndarray, exponent: int
) -> np.ndarray:
    """Wall shear stress of throats.

    Parameters
    ----------
    flow : (n,) ndarray
    area, closing_radius : (n,) ndarray
        Cross-sectional area ``A`` and radius ``r`` of the clean throats.
    thickness : (n,) ndarray
        Of the deposits.
    exponent : int
        ``m``, by which the conductance falls in proportion to ``(1 - thickness / r)^m``.

    Returns
    -------
    (n,) ndarray
        ``4 q / (A r (1 - thickness / r)^(m - 1))``; 0 in a closed throat.

    Notes
    -----
    For ``m = 4`` it is that of a tube whose radius falls with the deposit, exactly. For ``m = 3`` it falls as that of a
    slit, whose area is in proportion to its width; a slit itself has ``3 q / (A r)``.
    """
    remaining = np.maximum(1.0 - thickness / closing_radius, 0.0)
    section = area * closing_radius * integer_power(remaining, exponent - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(section > 0, 4.0 * np.abs(flow) / section, 0.0)


def body_shear(graph: FlowGraph, flow: np.ndarray, conductance: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Wall shear stress of pore bodies.

    Parameters
    ----------
    graph : FlowGraph
    flow, conductance : (n_entries,) ndarray
        Of every throat, inlet and outlet.
    volume : (n,) ndarray
        Volume of every pore body that no deposit fills, in the order of the graph.

    Returns
    -------
    (n,) ndarray
        ``sqrt(2 D / V)`` with the power ``D`` that is dissipated in a body of volume ``V``; 0 in a full one.

    Notes
    -----
    A throat dissipates ``q^2 / g``, half of it in each of its two bodies; inlets and outlets all of it in their one. In
    a tube of any length, ``D / V`` is half the square of the wall shear, exactly, so that neither a length nor a
    section of the body is needed. In a slit it is a third of it: its shear is 1.22 times as large.
    """
    power = _dissipation(graph, flow, conductance, volume.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(volume > 0, np.sqrt(2.0 * power / volume), 0.0)


@kernel
def _dissipation(graph: FlowGraph, flow: np.ndarray, conductance: np.ndarray, n: int) -> np.ndarray:
    """Power that is dissipated in every pore body."""
    power = np.zeros(n)
    for i in range(n):
        for e in range(graph.first[i], graph.first[i + 1]):
            if conductance[e] > 0.0:
                half = 0.5 * flow[e] * flow[e] / conductance[e]
                power[i] += half
                power[graph.lower[e]] += half
    first_outlet = graph.lower.size + graph.inlet.size
    for k in range(graph.inlet.size):
        e = graph.lower.size + k
        if conductance[e] > 0.0:
            power[graph.inlet[k]] += flow[e] * flow[e] / conductance[e]
    for k in range(graph.outlet.size):
        e = first_outlet + k
        if conductance[e] > 0.0:
            power[graph.outlet[k]] += flow[e] * flow[e] / conductance[e]
    return power


@kernel
def narrowest_body(graph: FlowGraph, closing_radius: np.ndarray, radius: np.ndarray, deposit: np.ndarray) -> np.ndarray:
    """Thickness of the deposit that would narrow every throat as far as the deposits of its bodies do.

    Parameters
    ----------
    graph : FlowGraph
    closing_radius : (n_entries,) ndarray
        Of every throat.
    radius, deposit : (n,) ndarray
        Inscribed radius of the clean bodies and thickness of their deposits, in the order of the graph.

    Returns
    -------
    (n_entries,) ndarray
        The deposit of a body less the radius by which the clean body is wider than the throat; negative for none.
    """
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    thickness = np.full(closing_radius.size, -1.0)
    for i in range(radius.size):
        for e in range(graph.first[i], graph.first[i + 1]):
            j = graph.lower[e]
            thickness[e] = max(
                deposit[i] - max(radius[i] - closing_radius[e], 0.0),
                deposit[j] - max(radius[j] - closing_radius[e], 0.0),
            )
    for k in range(n_inlets):
        i = graph.inlet[k]
        thickness[n_internal + k] = deposit[i] - max(radius[i] - closing_radius[n_internal + k], 0.0)
    for k in range(graph.outlet.size):
        i = graph.outlet[k]
        e = n_internal + n_inlets + k
        thickness[e] = deposit[i] - max(radius[i] - closing_radius[e], 0.0)
    return thickness
