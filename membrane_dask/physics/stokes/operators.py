"""Discrete operators of Stokes and Darcy flow on the staggered grid, as kernels.

Each kernel begins with :attr:`membrane_dask.physics.stokes.mac_grid.Grid.operator`: the neighbours, the resistances,
the number of inlets, the number ``n`` of pore voxels and the links; ``m`` is the number of pore and ghost voxels.
Velocities and forces are arrays ``(m + 1, 3)``, pressures arrays ``(n,)``. At the ends of the volume a control volume
is half a voxel.
"""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel, kernel
from membrane_dask.physics.stokes.mac_grid import CLOSED


@inline_kernel
def _viscous_force(
    neighbours: np.ndarray, resistance: np.ndarray, weight: np.float32, links: np.ndarray | None, x: np.ndarray,
    i: Integer,
) -> tuple[np.float32, np.float32, np.float32]:  # fmt: skip
    """Viscous forces on the velocities ``x`` at the low faces of a voxel; ``weight`` is the control volume along z."""
    a, b, c = neighbours[i, 0], neighbours[i, 1], neighbours[i, 2]
    d, e, f = neighbours[i, 3], neighbours[i, 4], neighbours[i, 5]
    if links is not None:
        lateral = links[0, 1] * (x[c, 0] + x[d, 0]) + links[0, 2] * (x[e, 0] + x[f, 0])
        across_y = links[1, 0] * (x[a, 1] + x[b, 1]) + links[1, 2] * (x[e, 1] + x[f, 1])
        across_x = links[2, 0] * (x[a, 2] + x[b, 2]) + links[2, 1] * (x[c, 2] + x[d, 2])
        y0 = resistance[i, 0] * x[i, 0] - ((x[a, 0] + x[b, 0]) + weight * lateral)
        y1 = resistance[i, 1] * x[i, 1] - ((x[c, 1] + x[d, 1]) + across_y)
        y2 = resistance[i, 2] * x[i, 2] - ((x[e, 2] + x[f, 2]) + across_x)
        return y0, y1, y2
    lateral = (x[c, 0] + x[d, 0]) + (x[e, 0] + x[f, 0])
    y0 = resistance[i, 0] * x[i, 0] - ((x[a, 0] + x[b, 0]) + weight * lateral)
    y1 = resistance[i, 1] * x[i, 1] - (((x[a, 1] + x[b, 1]) + (x[c, 1] + x[d, 1])) + (x[e, 1] + x[f, 1]))
    y2 = resistance[i, 2] * x[i, 2] - (((x[a, 2] + x[b, 2]) + (x[c, 2] + x[d, 2])) + (x[e, 2] + x[f, 2]))
    return y0, y1, y2


@kernel
def viscous_forces(
    neighbours: np.ndarray, resistance: np.ndarray, inlets: int, n: int, links: np.ndarray | None, x: np.ndarray,
    y: np.ndarray,
) -> float:  # fmt: skip
    """Write the viscous forces on velocities ``x`` to ``y``; return the dissipation ``x.y``."""
    half, m = np.float32(0.5), neighbours.shape[0] - 1
    e0, e1, e2 = 0.0, 0.0, 0.0
    for i in range(m):
        y0, y1, y2 = _viscous_force(
            neighbours, resistance, half if i < inlets or i >= n else np.float32(1.0), links, x, i
        )
        y[i, 0], y[i, 1], y[i, 2] = y0, y1, y2
        e0 += np.float64(y0) * x[i, 0]
        e1 += np.float64(y1) * x[i, 1]
        e2 += np.float64(y2) * x[i, 2]
    y[m] = 0.0
    return e0 + e1 + e2


@kernel
def work_and_dissipation(
    neighbours: np.ndarray, resistance: np.ndarray, inlets: int, n: int, links: np.ndarray | None, first: int,
    last: int, x: np.ndarray,
) -> tuple[float, float]:  # fmt: skip
    """Work of a unit force along z on the velocities of voxels ``first`` to ``last``, and their dissipation."""
    half, one = np.float32(0.5), np.float32(1.0)
    e0, e1, e2, work = 0.0, 0.0, 0.0, 0.0
    for i in range(first, last):
        weight = half if i < inlets or i >= n else one
        y0, y1, y2 = _viscous_force(neighbours, resistance, weight, links, x, i)
        e0 += np.float64(y0) * x[i, 0]
        e1 += np.float64(y1) * x[i, 1]
        e2 += np.float64(y2) * x[i, 2]
        work += weight * np.float64(x[i, 0])
    return work, e0 + e1 + e2


@kernel
def bound_sums(
    neighbours: np.ndarray, resistance: np.ndarray, inlets: int, n: int, links: np.ndarray | None, first: int,
    last: int, velocity: np.ndarray, force: np.ndarray, divergence_free: np.ndarray,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Fields of :class:`membrane_dask.physics.stokes.bounds.BoundSums` over voxels ``first`` to ``last``.

    ``velocity`` solves the momentum equation under ``force`` approximately.
    """
    work, dissipation = work_and_dissipation(neighbours, resistance, inlets, n, links, first, last, divergence_free)
    half, one = np.float32(0.5), np.float32(1.0)
    functional, residual_square = 0.0, 0.0
    for i in range(first, last):
        weight = half if i < inlets or i >= n else one
        y = _viscous_force(neighbours, resistance, weight, links, velocity, i)
        for c in range(3):
            residual = np.float64(force[i, c] - y[c])
            functional += velocity[i, c] * (np.float64(force[i, c]) + residual)
            residual_square += residual * residual / resistance[i, c]
    return work, dissipation, functional, residual_square


@kernel
def total_work(velocity: np.ndarray, inlets: int, n: int) -> float:
    """Work of a unit force along z on all velocities."""
    ends, inside = 0.0, 0.0
    for i in range(velocity.shape[0] - 1):
        if i < inlets or i >= n:
            ends += velocity[i, 0]
        else:
            inside += velocity[i, 0]
    return inside + 0.5 * ends


@kernel
def forces(
    neighbours: np.ndarray, resistance: np.ndarray, inlets: int, n: int, links: np.ndarray | None,
    pressures: np.ndarray, driven: bool,
) -> np.ndarray:  # fmt: skip
    """Forces of pressures, which are 0 beyond the ends, on the open faces; plus a unit force along z if driven."""
    m = neighbours.shape[0] - 1
    force = np.zeros((m + 1, 3), np.float32)
    for i in range(m):
        pressure = pressures[i] if i < n else np.float32(0.0)
        for c in range(3):
            if resistance[i, c] < CLOSED:
                j = neighbours[i, 2 * c]
                force[i, c] = (pressures[j] if j < n else np.float32(0.0)) - pressure
        if driven and resistance[i, 0] < CLOSED:
            force[i, 0] += np.float32(0.5) if i < inlets or i >= n else np.float32(1.0)
    return force


@kernel
def add_darcy_velocity(
    neighbours: np.ndarray, resistance: np.ndarray, inlets: int, n: int, links: np.ndarray | None, velocity: np.ndarray,
    conductance: np.ndarray, pressures: np.ndarray, driven: bool = False,
) -> np.ndarray:  # fmt: skip
    """Velocities plus those of a Darcy flow under pressures (0 beyond the ends) and a unit force along z if driven."""
    m = neighbours.shape[0] - 1
    total = np.zeros((m + 1, 3), np.float32)
    for i in range(m):
        pressure = pressures[i] if i < n else np.float32(0.0)
        for c in range(3):
            j = neighbours[i, 2 * c]
            force = (pressures[j] if j < n else np.float32(0.0)) - pressure
            if driven and c == 0:
                force += np.float32(0.5) if i < inlets or i >= n else np.float32(1.0)
            total[i, c] = velocity[i, c] + conductance[i, c] * force
    return total


@kernel
def net_inflow(neighbours: np.ndarray, velocity: np.ndarray, n: int) -> np.ndarray:
    """Inflow of every pore voxel less its outflow: the negative divergence of the velocity, ``(n,)``."""
    net = np.empty(n, np.float32)
    for i in range(n):
        b, d, f = neighbours[i, 1], neighbours[i, 3], neighbours[i, 5]
        along_z, along_y = velocity[i, 0] - velocity[b, 0], velocity[i, 1] - velocity[d, 1]
        net[i] = along_z + along_y + (velocity[i, 2] - velocity[f, 2])
    return net
