"""Hydraulic conductance of the throats of a volume's pore network, from the Stokes flow through its voxels.

The network, its regions and the flow come from the same pore voxels::

    labelled = labelled_network(pores, voxel_size, SnowParameters())   # physics.imaging.labelled_network
    grid = Grid.of(pores, "symmetric", "smooth")                       # physics.stokes.mac_grid
    flow = stokes(grid, 0.01)                                          # or mobility_flow(grid); physics.stokes.solver
    throats = stokes_conductances(
        labelled.network, labelled.labels, labelled.squares, grid, flow.velocity, flow.pressures
    )
    carried = network_flow(labelled.network, throats.conductance)

Conductances and flows have viscosity 1 and are in shortest edges of a voxel, cubed: multiply by the cube of the voxel
size and divide by the viscosity. ``carried.total * depth / cross_section`` is the permeability of the network, and
``throats.permeability`` that of the Stokes flow, both in shortest edges squared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.network_flow import flow_graph, scatter, solve_pressures
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.throat_formulas import formula_conductance
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.subdomains import Window
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, voxel_volume

#: Fraction of the largest distance to the solid in a region from which a voxel belongs to its core.
_CORE = 0.7
#: Largest ratio of a conductance to that by the scaled formula, either way, that is trusted.
_MAX_RATIO = 30.0


@dataclass(frozen=True)
class ThroatConductances:
    """Conductances of throats, inlets and outlets, in the order of the network's pores.

    Parameters
    ----------
    conductance : (n_pores,) ndarray
        Flow times viscosity over pressure difference, in shortest edges of a voxel, cubed; > 0.
    flow : (n_pores,) ndarray
        Flow through the voxels under a unit pressure difference between the faces, with viscosity 1: from the first to
        the second junction of a throat, into an inlet, out of an outlet.
    pressure : (n_junctions,) ndarray
        Mean pressure in the core of each pore, 1 at the inlet face and 0 at the outlet face; NaN in pores without flow.
    carries_flow : (n_pores,) ndarray of bool
        Throats on a path from the inlet to the outlet; the others are dead ends.
    is_fallback : (n_pores,) ndarray of bool
        Throats with flow whose conductance is that of the scaled formula, because pressure difference and flow
        disagree.
    scale : float
        Factor of the formula.
    permeability : float
        Of the flow through the voxels, in shortest edges squared.
    """

    conductance: np.ndarray
    flow: np.ndarray
    pressure: np.ndarray
    carries_flow: np.ndarray
    is_fallback: np.ndarray
    scale: float
    permeability: float

    @property
    def fallback_throat_fraction(self) -> float:
        """Fraction of the throats with flow whose conductance is that of the scaled formula."""
        return float(self.is_fallback.sum() / self.carries_flow.sum())

    @property
    def fallback_flow_fraction(self) -> float:
        """Fraction of the flow of all throats that passes through those."""
        magnitude = np.abs(self.flow)
        return float(magnitude[self.is_fallback].sum() / magnitude[self.carries_flow].sum())


@dataclass(frozen=True)
class NetworkFlow:
    """Flow through a network under a unit pressure difference, with viscosity 1.

    Parameters
    ----------
    pressure : (n_junctions,) ndarray
        1 at the feed, 0 at the filtrate and in pores without flow.
    flow : (n_pores,) ndarray
        From the first to the second junction of a throat, into an inlet, out of an outlet.
    total : float
        Flow through the network.
    """

    pressure: np.ndarray
    flow: np.ndarray
    total: float


@dataclass(frozen=True)
class ThroatSums:
    """Sums over voxels that the flow of throats and the pressure of pores follow from; those of slabs are added.

    Parameters
    ----------
    velocity : (n_pores,) ndarray
        Velocities at the faces of each throat along its direction, and of each opening.
    depth : (n_junctions,) ndarray
        Depth less pressure of the core voxels of each pore.
    count : (n_junctions,) ndarray of int
        Number of these voxels.
    """

    velocity: np.ndarray
    depth: np.ndarray
    count: np.ndarray

    def flow_and_pressure(self, planes: int, spacing: Spacing = CUBE) -> tuple[np.ndarray, np.ndarray]:
        """Flow and pressure of :class:`ThroatConductances`, from the sums over a whole volume of ``planes`` planes."""
        with np.errstate(invalid="ignore"):
            pressure = np.asarray(1 - self.depth / self.count / planes)
        return self.velocity * (voxel_volume(spacing) / planes), pressure


def stokes_conductances(
    network: PoreNetwork, labels: np.ndarray, squares: np.ndarray, grid: Grid, velocity: np.ndarray,
    pressures: np.ndarray,
) -> ThroatConductances:  # fmt: skip
    """Compute the conductances of a network's throats from the flow through the voxels.

    Parameters
    ----------
    network : PoreNetwork
        Network of the volume.
    labels : (z, y, x) ndarray of int
        Pore of every voxel, -1 for none.
    squares : (z, y, x) ndarray
        Squared distance to the solid, in shortest edges.
    grid : Grid
        Percolating pores of the same volume, not periodic.
    velocity : (m + 1, 3) ndarray
        Velocities at the faces of the grid's pore voxels.
    pressures : (n,) ndarray
        Pressures that add to the unit force along z, of :func:`membrane_dask.physics.stokes.solver.stokes`.

    Returns
    -------
    ThroatConductances

    Raises
    ------
    ValueError
        If shapes differ, or faces between two regions have no throat in the network.
    PhysicsError
        If no throat carries flow, or none has a conductance that can be trusted.

    Notes
    -----
    The conductance of a throat is the sum of the velocities over the faces between its two regions, over the difference
    of the mean pressures of their cores, the voxels at no less than 0.7 of the region's largest distance to the solid.
    See :func:`conductances_of_flow`.
    """
    if not labels.shape == squares.shape == tuple(grid.shape):
        raise ValueError(f"labels, squares: must have the shape of the grid (got {labels.shape}, {squares.shape})")
    label = labels[tuple(grid.coordinates.T)]
    conns, n = network.throat_conns, len(network.junctions)
    core = core_voxels(label, squares[tuple(grid.coordinates.T)], n)
    sums = throat_sums(conns, n, grid, label, core, velocity, pressures)
    flow, pressure = sums.flow_and_pressure(grid.shape[0], grid.spacing)
    return conductances_of_flow(network, flow, pressure, labels.shape, grid.spacing)


def conductances_of_flow(
    network: PoreNetwork, flow: np.ndarray, pressure: np.ndarray, shape: tuple[int, ...], spacing: Spacing = CUBE
) -> ThroatConductances:
    """Compute the conductances of a network's throats from their flow and the pressures of the pores.

    Parameters
    ----------
    network : PoreNetwork
        Network of a volume.
    flow : (n_pores,) ndarray
        As of :class:`ThroatConductances`.
    pressure : (n_junctions,) ndarray
        As of :class:`ThroatConductances`.
    shape : tuple of int
        Voxels of the volume along ``z, y, x``.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    ThroatConductances

    Raises
    ------
    ValueError
        If flow and pressure are not those of the network.
    PhysicsError
        If no throat carries flow, or none has a conductance that can be trusted.

    Notes
    -----
    Slow cross-connections, whose pressure difference is small, may have no positive quotient. A conductance that is not
    positive, or differs by more than a factor of 30 from that by the formula ``series`` times a scale, is replaced by
    the latter; the scale is the median ratio of all other throats.
    """
    conns, n = network.throat_conns, len(network.junctions)
    if flow.shape != (len(conns),) or pressure.shape != (n,):
        message = f"must have the lengths {len(conns)} and {n} (got {flow.shape}, {pressure.shape})"
        raise ValueError(f"flow, pressure: {message}")
    carries_flow = flowing_pores(*adjacency(conns, n), np.ones(len(conns), bool))
    if not carries_flow.any():
        raise PhysicsError("no path leads through the network from the inlet to the outlet")
    first, second = pressure[conns[:, 0]], pressure[np.maximum(conns[:, 1], 0)]
    drop = np.where(conns[:, 1] == INLET, 1.0 - first, np.where(conns[:, 1] == OUTLET, first, first - second))
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = flow / drop
    depth, height, width = (n * h for n, h in zip(shape, spacing, strict=True))
    edge = network.extent[0] / depth
    formula = formula_conductance(network, "series") / (edge * edge * edge)
    positive = carries_flow & np.isfinite(measured) & (measured > 0)
    scale = _median_ratio(measured[positive] / formula[positive])
    ratio = np.where(positive, measured, formula) / (scale * formula)
    trusted = positive & (ratio <= _MAX_RATIO) & (ratio >= 1 / _MAX_RATIO)
    scale = _median_ratio(measured[trusted] / formula[trusted])
    total = float(flow[conns[:, 1] == INLET].sum())
    return ThroatConductances(
        conductance=np.where(trusted, measured, scale * formula),
        flow=flow,
        pressure=pressure,
        carries_flow=carries_flow,
        is_fallback=carries_flow & ~trusted,
        scale=scale,
        permeability=total * shape[0] * spacing[0] / (height * width),
    )


def network_flow(network: PoreNetwork, conductance: np.ndarray, tolerance: float = 1e-10) -> NetworkFlow:
    """Solve for the flow through a network of given conductances.

    Parameters
    ----------
    network : PoreNetwork
        The network.
    conductance : (n_pores,) ndarray
        Flow times viscosity over pressure difference of every throat, >= 0.
    tolerance : float
        Relative error of the pressures in the norm of dissipation.

    Returns
    -------
    NetworkFlow
        Without flow where no path of positive conductance leads through the network.

    Raises
    ------
    PhysicsError
        If the pressures do not converge.
    """
    conns, n = network.throat_conns, len(network.junctions)
    flowing = flowing_pores(*adjacency(conns, n), conductance > 0)
    graph = flow_graph(network)
    order = np.argsort(network.junctions[:, 0], kind="stable")
    solution = np.zeros(n)
    if solve_pressures(graph, scatter(graph, np.where(flowing, conductance, 0.0), 0.0), solution, tolerance) < 0:
        raise PhysicsError(f"the pressures did not converge to a relative error of {tolerance:g}")
    pressure = np.empty(n)
    pressure[order] = solution
    first, second = pressure[conns[:, 0]], pressure[np.maximum(conns[:, 1], 0)]
    drop = np.where(conns[:, 1] == INLET, 1.0 - first, np.where(conns[:, 1] == OUTLET, first, first - second))
    flow = np.where(flowing, conductance * drop, 0.0)
    return NetworkFlow(pressure, flow, float(flow[conns[:, 1] == INLET].sum()))


def _median_ratio(ratio: np.ndarray) -> float:
    """Median on the logarithmic scale.

    Raises
    ------
    PhysicsError
        If there is none.
    """
    if not len(ratio):
        raise PhysicsError("no throat has a positive flow along its pressure difference; the volume is too coarse")
    return float(exp(np.median(log(ratio))))


def core_voxels(label: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
    """Whether voxels are in the core of their pore.

    Parameters
    ----------
    label : (m,) ndarray of int
        Pore of every percolating voxel of the volume, -1 for none.
    squares : (m,) ndarray
        Their squared distances to the solid.
    n : int
        Number of pores.

    Returns
    -------
    (m,) ndarray of bool
    """
    largest = np.zeros(n + 1, squares.dtype)  # the last entry stands for voxels of no pore
    np.maximum.at(largest, label, squares)
    return np.asarray((label >= 0) & (squares >= _CORE * _CORE * largest[label]))


def throat_sums(
    conns: np.ndarray, n: int, grid: Grid, label: np.ndarray, core: np.ndarray, velocity: np.ndarray,
    pressures: np.ndarray, slab: Window | None = None, rows: slice = slice(None),
) -> ThroatSums:  # fmt: skip
    """Sums over the voxels of a volume, or of a slab of it, that the conductances of throats follow from.

    Parameters
    ----------
    conns : (n_pores, 2) ndarray of int
        Junctions of the throats of the network.
    n : int
        Number of junctions.
    grid : Grid
        Percolating pores of the volume, or of the slab and of the plane before it at least.
    label : (grid.n,) ndarray of int
        Pore of the grid's voxels, -1 for none.
    core : (grid.n,) ndarray of bool
        Of :func:`core_voxels`.
    velocity : (grid.m + 1, 3) ndarray
        Velocities at the faces of the grid; those at low ``z, y, x`` of the slab's voxels are read.
    pressures : (grid.n,) ndarray
        Pressures of the grid's voxels; those of the slab are read.
    slab : Window, optional
        Planes of the slab; default the whole volume.
    rows : slice
        Voxels of the grid that are those of the slab.

    Raises
    ------
    ValueError
        If faces between two regions have no throat in the network.
    """
    first, is_first, is_last = (slab.low, slab.start == 0, slab.stop == slab.depth) if slab else (0, True, True)
    own = np.arange(grid.n)[rows]
    sums = np.zeros(len(conns))
    inner = np.flatnonzero(conns[:, 1] >= 0)
    ends = np.sort(conns[inner], axis=1).astype(np.int64)
    keys = ends[:, 0] * n + ends[:, 1]
    order = np.argsort(keys, kind="stable")
    keys, throat = keys[order], inner[order]
    for axis in range(3):
        low = grid.neighbours[: grid.n, 2 * axis]
        upper = own[low[own] < grid.n]
        a, b = label[low[upper]].astype(np.int64), label[upper].astype(np.int64)
        between = (a != b) & (a >= 0) & (b >= 0)
        upper, a, b = upper[between], a[between], b[between]
        key = np.minimum(a, b) * n + np.maximum(a, b)
        index = np.searchsorted(keys, key)
        if len(key) and (not len(keys) or (keys[np.minimum(index, len(keys) - 1)] != key).any()):
            raise ValueError("labels: regions with a common face have no throat; labels, network and grid must agree")
        number = throat[index]
        sign = np.where(conns[number, 0] == a, 1.0, -1.0)
        sums += np.bincount(number, sign * velocity[upper, axis], len(conns))
    inlets = np.arange(grid.inlets if is_first else 0)
    ghosts = np.arange(grid.n, grid.m if is_last else grid.n)
    for boundary, face, voxel in ((INLET, inlets, inlets), (OUTLET, ghosts, grid.neighbours[ghosts, 0])):
        openings = np.flatnonzero(conns[:, 1] == boundary)
        opening_of = np.full(n + 1, -1)
        opening_of[conns[openings, 0]] = openings
        number = opening_of[label[voxel]]  # the last entry stands for voxels of no pore
        inside = number >= 0
        sums += np.bincount(number[inside], velocity[face[inside], 0], len(conns))
    own = own[core[rows]]
    depth = grid.coordinates[own, 0] + (first + 0.5) - pressures[own].astype(float)
    return ThroatSums(sums, np.bincount(label[own], depth, n), np.bincount(label[own], minlength=n))
