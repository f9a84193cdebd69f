"""A volume as a filter: its network, the conductances of the throats, and the walls of the pores.

Lengths are in edges of a voxel, viscosity is 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics.imaging.labelled_network import LabelledNetwork, labelled_network
from membrane_dask.physics.imaging.watershed import SnowParameters
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.pore_network import INLET, PoreNetwork
from membrane_dask.physics.networks.stokes_conductance import (
    ThroatConductances,
    conductances_of_flow,
    network_flow,
    stokes_conductances,
)
from membrane_dask.physics.networks.structure_laws import FilterStructure
from membrane_dask.physics.networks.throat_formulas import formula_conductance
from membrane_dask.physics.networks.wall_layers import wall_layers
from membrane_dask.physics.stokes.mac_grid import Grid, WallModel, flow_pores
from membrane_dask.physics.stokes.solver import mobility_flow, stokes

#: Where the conductances of throats come from: the Stokes flow, the flow of local mobilities, or a formula.
Conductance = Literal["stokes", "mobility", "series", "inscribed", "equivalent"]
FORMULAS: tuple[Literal["series", "inscribed", "equivalent"], ...] = ("series", "inscribed", "equivalent")
#: Least biased radius of a constriction, beyond the distance of voxel centres.
_CATCH_OFFSET = 0.3
#: Squared distance below which a voxel is next to the solid.
_NEXT_TO_SOLID = 4


@dataclass(frozen=True)
class StructureHydraulics:
    """A clean structure and its flow.

    Parameters
    ----------
    structure : FilterStructure
        Network, conductances and walls.
    flow : float
        Flow through the network at unit pressure.
    permeability : float
        Of the flow through the voxels that gave the conductances; of the network where a formula did. Voxels squared.
    permeability_ratio : float
        Permeability of the network over that of the voxels; NaN with a formula.
    flow_error : dict of str to float
        Sum of the differences of the flows of inner throats from those of the voxels, over the sum of the latter: of
        the network's conductances and, where these are those of the Stokes flow, of the formulas.
    formula_ratio : dict of str to float
        Permeability by each formula over that of the Stokes flow.
    fallback_throat_fraction, fallback_flow_fraction : float
        Throats whose conductance is that of the scaled formula, and their flow; NaN with a formula.
    wall_area, pore_volume : float
        Of the percolating pores, voxels squared and voxels.
    bottleneck : float
        Largest radius of a sphere that passes the network, by the distances of voxel centres; voxels.
    """

    structure: FilterStructure
    flow: float
    permeability: float
    permeability_ratio: float
    flow_error: dict[str, float]
    formula_ratio: dict[str, float]
    fallback_throat_fraction: float
    fallback_flow_fraction: float
    wall_area: float
    pore_volume: float
    bottleneck: float


def structure_hydraulics(
    pores: np.ndarray,
    snow: SnowParameters,
    *,
    conductance: Conductance = "stokes",
    tolerance: float = 0.01,
    lateral_boundary: Literal["symmetric", "no_slip"] = "symmetric",
    wall_model: WallModel = "smooth",
    diagonal: bool = False,
    depth_bins: int = 20,
    throat_flow: tuple[np.ndarray, np.ndarray] | None = None,
) -> StructureHydraulics | None:
    """Extract the network of a volume and compute the conductances of its throats.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels, cubes.
    snow : SnowParameters
        Extraction of the network.
    conductance : {'stokes', 'mobility', 'series', 'inscribed', 'equivalent'}
        Where the conductances come from.
    tolerance : float
        Relative difference of the bounds of the Stokes permeability.
    lateral_boundary : {'symmetric', 'no_slip'}
        Condition at the faces parallel to the flow.
    wall_model : {'smooth', 'staircase'}
        Surface of the solid.
    diagonal : bool
        Whether voxels with only a common edge or corner are connected.
    depth_bins : int
        Bins of the depth in which deposits are added up.
    throat_flow : tuple of ndarray, optional
        Flow and pressure of :class:`ThroatConductances`, where the Stokes flow through these voxels with these settings
        has been computed already; only for ``conductance='stokes'``.

    Returns
    -------
    StructureHydraulics or None
        None where the pores do not percolate along z.

    Raises
    ------
    PhysicsError
        If there is no solid, or a solver does not converge.
    """
    percolating = flow_pores(pores, lateral_boundary)
    if not percolating.any():
        return None
    labelled = labelled_network(pores, 1.0, snow, diagonal)
    network = labelled.network
    throats = None
    if throat_flow:
        throats = conductances_of_flow(network, *throat_flow, pores.shape)
        values = throats.conductance
    elif conductance in ("stokes", "mobility"):
        grid = Grid.of_percolating(percolating, lateral_boundary, wall_model)
        if conductance == "stokes":
            flow = stokes(grid, tolerance)
            velocity, pressures = flow.velocity, flow.pressures
            del flow
        else:
            velocity, pressures = mobility_flow(grid)
        throats = stokes_conductances(network, labelled.labels, labelled.squares, grid, velocity, pressures)
        values = throats.conductance
    else:
        values = formula_conductance(network, next(name for name in FORMULAS if name == conductance))
    errors: dict[str, float] = {}
    ratios: dict[str, float] = {}
    total = network_flow(network, values).total
    depth, height, width = pores.shape
    permeability = total * depth / (height * width)
    ratio = math.nan
    if throats:
        ratio, errors[conductance] = _deviation(network, throats, values)
        permeability = throats.permeability
    if throats and conductance == "stokes":
        for name in FORMULAS:
            ratios[name], errors[name] = _deviation(network, throats, formula_conductance(network, name))
    radius = network.throats["inscribed_radius"]
    walls = np.where(percolating, labelled.labels, -1)
    layers = wall_layers(walls, labelled.squares, network.bodies["surface_area"])
    carries_flow = np.isin(np.arange(len(network.junctions)), walls[walls >= 0])
    return StructureHydraulics(
        structure=FilterStructure(
            network,
            values,
            labelled.sphere_radii(),
            radius + _CATCH_OFFSET,
            layers,
            _depth_fraction(labelled, depth_bins),
            float(np.count_nonzero(percolating)),
        ),
        flow=total,
        permeability=permeability,
        permeability_ratio=ratio,
        flow_error=errors,
        formula_ratio=ratios,
        fallback_throat_fraction=throats.fallback_throat_fraction if throats else math.nan,
        fallback_flow_fraction=throats.fallback_flow_fraction if throats else math.nan,
        wall_area=float(layers.clean_area[carries_flow].sum()),
        pore_volume=float(np.count_nonzero(percolating)),
        bottleneck=bottleneck_radius(network, radius),
    )


def bottleneck_radius(network: PoreNetwork, radius: np.ndarray) -> float:
    """Largest radius such that a path of throats at least as wide leads through the network; 0 without a path."""
    adjacent = adjacency(network.throat_conns, len(network.junctions))
    levels = np.unique(radius)
    low, high = -1, len(levels) - 1  # the widest level with a path is above low and at most high
    while low < high:
        middle = (low + high + 1) // 2
        if flowing_pores(*adjacent, radius >= levels[middle]).any():
            low = middle
        else:
            high = middle - 1
    return float(levels[low]) if low >= 0 else 0.0


def _deviation(network: PoreNetwork, throats: ThroatConductances, conductance: np.ndarray) -> tuple[float, float]:
    """Permeability over that of the voxels, and the error of the flows of inner throats at the same total flow."""
    carried = network_flow(network, conductance)
    conns = network.throat_conns
    total = float(throats.flow[conns[:, 1] == INLET].sum())
    inner = throats.carries_flow & (conns[:, 1] >= 0)
    if not inner.any():
        return carried.total / total, math.nan
    difference = np.abs(carried.flow * (total / carried.total) - throats.flow)[inner].sum()
    return carried.total / total, float(difference / np.abs(throats.flow[inner]).sum())


def _depth_fraction(labelled: LabelledNetwork, bins: int) -> np.ndarray:
    """Fraction of the voxels next to the solid of every pore in each bin of the depth; rows sum to 1."""
    next_to_solid = (labelled.labels >= 0) & (labelled.squares < _NEXT_TO_SOLID)
    z, y, x = np.nonzero(next_to_solid)
    n, depth = len(labelled.network.junctions), labelled.labels.shape[0]
    index = labelled.labels[z, y, x].astype(np.int64) * bins + z * bins // depth
    counts = np.bincount(index, minlength=n * bins).reshape(n, bins).astype(float)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))
