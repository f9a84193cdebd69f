"""Steady diffusion through a pore space, and bounds of its effective diffusivity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.multigrid import Conduction
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, face_conductances

#: Largest number of corrections of the concentrations.
_MAX_CORRECTIONS = 20
#: Relative residual of a correction: this times the factor by which the differences of the fluxes must decrease, and
#: the largest one.
_STEP, _MAX_STEP = 0.2, 0.1


@dataclass(frozen=True)
class Diffusion:
    """Steady diffusion through the pores, from the face at low z to the face at high z.

    Parameters
    ----------
    conductivity : float
        Effective diffusivity over the diffusivity in a free fluid; 0 if no path percolates. An upper bound of that of
        the discrete problem.
    lower_bound : float
        Lower bound of that of the discrete problem.
    spread : float
        Largest difference between the fluxes through two planes, over the mean flux.
    """

    conductivity: float
    lower_bound: float
    spread: float


def diffusion(pores: np.ndarray, tolerance: float = 1e-3, spacing: Spacing = CUBE) -> Diffusion:
    """Solve for the steady diffusion between the faces at low and high z; all other faces are impermeable.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels.
    tolerance : float
        Largest difference between the fluxes through two planes, over the mean flux, and of the bounds of the effective
        diffusivity, over the lower one, > 0.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    Diffusion
        Its spread or the difference of its bounds exceeds the tolerance if the solver does not converge.

    Raises
    ------
    PhysicsError
        If a correction does not converge.

    Notes
    -----
    Finite volumes on the voxels. Concentrations have double precision, so that differences that drive a flux through a
    narrow neck are not lost; the multigrid of the pressures (:class:`Conduction`) corrects them in single precision.

    The energy of any concentrations is an upper bound (Dirichlet's principle), whose error is the energy of their
    error. Of all fluxes that carry the residual to the faces, those of the error dissipate least (Thomson's principle):
    the energy less the dissipation of any such fluxes is a lower bound [1]_. Here each voxel passes its residual on
    along a shortest path.

    References
    ----------
    .. [1] W. Prager and J. L. Synge, "Approximations in elasticity based on the concept of function space", Quarterly
       of Applied Mathematics 5, 241, 1947.
    """
    percolates = percolating(pores)
    if not percolates.any():
        return Diffusion(0.0, 0.0, 0.0)
    depth, height, width = pores.shape
    grid = Grid.of_percolating(percolates, "symmetric", None)
    del percolates
    weights = face_conductances(spacing).astype(np.float32)
    conductance = _conductances(grid.neighbours, grid.n, grid.inlets, weights)
    conduction = Conduction(grid.neighbours, conductance, grid.coordinates)
    plane = grid.coordinates[:, 0].copy()
    concentration = (depth - 0.5 - plane) / depth
    paths = _shortest_paths(grid.neighbours, grid.n, grid.inlets)
    lower = 0.0
    for correction in range(_MAX_CORRECTIONS + 1):
        residual, flux, energy = _balance(grid.neighbours, conductance, concentration, plane, depth)
        spread = float((flux.max() - flux.min()) / flux.mean())
        if spread <= tolerance or correction == _MAX_CORRECTIONS:
            lower = max(energy - _dissipation(grid.neighbours, conductance, residual, *paths), 0.0)
        if energy - lower <= tolerance * lower or correction == _MAX_CORRECTIONS:
            break
        reduction = min(_STEP * tolerance / spread, _MAX_STEP)
        concentration += conduction.solve(residual.astype(np.float32), reduction)
    unit = depth / (height * width * float(weights[0]))
    return Diffusion(energy * unit, lower * unit, spread)


@kernel
def _conductances(neighbours: np.ndarray, n: int, inlets: int, weights: np.ndarray) -> np.ndarray:
    """Conductance of the faces at low ``z, y, x`` of pore and ghost voxels, ``(m + 1, 3)``."""
    m = neighbours.shape[0] - 1
    conductance = np.zeros((m + 1, 3), np.float32)
    for i in range(n):
        for axis in range(3):
            if neighbours[i, 2 * axis] < m:
                conductance[i, axis] = weights[axis]
    for i in range(inlets):
        conductance[i, 0] = 2 * weights[0]  # half a voxel from the face of the volume
    conductance[n:m, 0] = 2 * weights[0]
    return conductance


@kernel
def _balance(
    neighbours: np.ndarray, conductance: np.ndarray, c: np.ndarray, plane: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Net inflow of every voxel, flux through every plane of faces and energy of concentrations.

    They are 1 beyond low z and 0 beyond high z.
    """
    n, m = c.size, neighbours.shape[0] - 1
    residual, accumulation = np.empty(n), np.zeros(depth)
    inflow, energy = 0.0, 0.0
    for i in range(n):
        net, work = 0.0, 0.0
        for axis in range(3):
            low, high = neighbours[i, 2 * axis], neighbours[i, 2 * axis + 1]
            difference = (c[low] if low < n else 1.0) - c[i]
            into = conductance[i, axis] * difference
            work += into * difference
            if low >= n:
                inflow += into
            out = conductance[high, axis] * (c[i] - (c[high] if high < n else 0.0))
            if n <= high < m:
                work += out * c[i]
            net += into - out
        residual[i] = net
        accumulation[plane[i]] += net
        energy += work
    flux = np.empty(depth + 1)
    flux[0] = inflow
    for z in range(depth):
        flux[z + 1] = flux[z] - accumulation[z]
    return residual, flux, energy


@kernel
def _shortest_paths(neighbours: np.ndarray, n: int, inlets: int) -> tuple[np.ndarray, np.ndarray]:
    """Pore voxels in the order of the number of voxels to a face of the volume, and the side of the next one there."""
    m = neighbours.shape[0] - 1
    order, next_side = np.empty(n, np.int32), np.full(n, -1, np.int8)
    size = 0
    for i in range(inlets):
        order[size], next_side[i] = i, 0
        size += 1
    for ghost in range(n, m):
        i = neighbours[ghost, 0]
        if next_side[i] < 0:
            order[size], next_side[i] = i, 1
            size += 1
    for k in range(n):
        i = order[k]
        for side in range(6):
            j = neighbours[i, side]
            if j < n and next_side[j] < 0:
                order[size], next_side[j] = j, side ^ 1
                size += 1
    return order, next_side


@kernel
def _dissipation(
    neighbours: np.ndarray, conductance: np.ndarray, residual: np.ndarray, order: np.ndarray, next_side: np.ndarray
) -> float:
    """Dissipation of the fluxes that carry the residual of every voxel to a face along the shortest path."""
    flux = residual.copy()
    total = 0.0
    for k in range(order.size):
        i = order[order.size - 1 - k]
        side = next_side[i]
        j = neighbours[i, side]
        total += flux[i] * flux[i] / conductance[j if side % 2 else i, side // 2]
        if j < order.size:
            flux[j] += flux[i]
    return total
