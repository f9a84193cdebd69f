"""Permeability by simplified models: a network of circular tubes, and the formula of Kozeny and Carman."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.network_flow import flow_graph, scatter, solve_pressures
from membrane_dask.physics.networks.pore_network import PoreNetwork

#: Constant of Kozeny and Carman for random pores.
_KOZENY = 5.0
#: Relative residual of the pressures in a network.
_TOLERANCE = 1e-6
#: Smallest radius of a tube, relative to the largest.
_MIN_RADIUS = 1e-6


def tube_network_permeabilities(network: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Permeability of a pore network whose throats are circular tubes (Hagen-Poiseuille).

    Parameters
    ----------
    network : mapping of str to ndarray
        Arrays of the network table, in nm, of a volume whose voxels percolate.

    Returns
    -------
    dict of str to float
        In nm2, for the radius of each kind: ``inscribed`` and ``equivalent``; NaN where its pressures do not converge,
        and where the network does not percolate: it lacks the pores through which the liquid flows.
    """
    extent, conns = network["extent"], network["throat_conns"].astype(np.int32)
    if not flowing_pores(*adjacency(conns, len(network["position"])), np.ones(len(conns), bool)).any():
        return {"inscribed": math.nan, "equivalent": math.nan}
    permeability = {}
    for kind in ("inscribed", "equivalent"):
        radius = network[f"throat_{kind}_radius"]
        tubes = PoreNetwork.from_straight_pores(
            junctions=network["position"],
            throat_conns=conns,
            length=network["throat_length"],
            radius=np.maximum(radius, _MIN_RADIUS * radius.max(initial=1.0)),
            extent=tuple(extent.tolist()),
            bands=1,
        )
        graph = flow_graph(tubes)
        conductance = scatter(graph, math.pi * np.square(np.square(tubes.radius)) / (8 * tubes.length), 0.0)
        pressure = np.zeros(len(tubes.junctions))
        if solve_pressures(graph, conductance, pressure, _TOLERANCE) < 0:
            permeability[kind] = math.nan
            continue
        inlets = graph.lower.size + np.arange(graph.inlet.size)
        inflow = float((conductance[inlets] * (1 - pressure[graph.inlet])).sum())
        permeability[kind] = inflow * extent[0] / (extent[1] * extent[2])
    return permeability


def kozeny_carman(porosity: float, specific_surface: float) -> float:
    """Permeability by Kozeny and Carman.

    Parameters
    ----------
    porosity : float
        Connected porosity.
    specific_surface : float
        Area of the walls per volume of the structure, nm-1.

    Returns
    -------
    float
        In nm2; NaN without walls.
    """
    return porosity * porosity * porosity / (_KOZENY * np.square(specific_surface)) if specific_surface else math.nan
