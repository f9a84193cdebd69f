"""Permeability tensors: of a periodic medium, with a lower and an upper bound, and of a sample.

The flow in a cell of the medium under a unit force along each axis is that of
:mod:`membrane_dask.physics.stokes.solver`, between periodic faces. Lengths are in voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.sample_tensors import SampleTensor, as_stored, mean_force, sample_tensor
from membrane_dask.physics.stokes.iteration import (
    CorrectVelocity,
    ProjectMass,
    bound_permeability,
    initial_inner_tolerance,
    run_iteration,
)
from membrane_dask.physics.stokes.mac_grid import CLOSED, Grid, WallModel, flow_pores
from membrane_dask.physics.stokes.operators import forces, viscous_forces
from membrane_dask.physics.stokes.solver import WholeVolume, stokes
from membrane_dask.physics.tensors import TensorBounds, lower_bound_tensor
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, cyclic, permuted
from membrane_dask.physics.winding import winding_pores

_MAX_ITERATIONS = 60


def permeability_tensor(
    pores: np.ndarray, wall_model: WallModel = "smooth", tolerance: float = 0.01, spacing: Spacing = CUBE
) -> TensorBounds:
    """Compute the permeability tensor of a periodic medium.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels of a cell of the medium, which is repeated along all three axes.
    wall_model : {'smooth', 'staircase'}
        As in :meth:`Grid.of`.
    tolerance : float
        Difference of the bounds of the permeability along each axis over the lower bound, in (0, 1).
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    TensorBounds
        In shortest edges of a voxel, squared.

    Raises
    ------
    PhysicsError
        If the bounds do not converge.

    Notes
    -----
    The velocities ``w_i`` under unit forces along the axes ``i``, which conserve mass, give the lower bound: with the
    work ``W_ij`` of a unit force along ``i`` on ``w_j`` and the dissipation ``D_ij = w_i.A.w_j`` it is
    ``W.D^-1.W^T`` over the number of voxels, the largest of ``(f.w)^2 / w.A.w`` over all combinations of the fields,
    for a force along any direction. The upper bound is that of
    :class:`membrane_dask.physics.stokes.bounds.BoundSums`, a quadratic form of the direction as well.
    """
    winding = winding_pores(pores)
    axes = np.flatnonzero(winding.spans).tolist()
    lower, upper = np.zeros((3, 3)), np.zeros((3, 3))
    if not axes:
        return TensorBounds(lower, upper)
    cluster = winding.cluster[winding.pores]
    ground = np.unique(cluster, return_index=True)[1]
    grid = Grid.of_periodic_cell(winding.pores, ground, wall_model, spacing)
    responses = [_response(winding.cluster, axis, wall_model, tolerance, spacing) for axis in axes]
    fields = [response.conserving for response in responses]
    work = np.array([[float(field[:, axis].sum(dtype=float)) for field in fields] for axis in range(3)])
    stresses = [_viscous(grid, field) for field in fields]
    dissipation = np.array([[dot(a.ravel(), b.ravel()) for b in fields] for a in stresses])
    lower = lower_bound_tensor(work, (dissipation + dissipation.T) / 2) / grid.size
    del fields, stresses
    min_eigenvalue = min(response.min_eigenvalue for response in responses)
    stresses = [_viscous(grid, response.velocity) for response in responses]
    residuals = [response.force - stress for response, stress in zip(responses, stresses, strict=True)]
    for i, a in zip(axes, range(len(axes)), strict=True):
        for j, b in zip(axes, range(len(axes)), strict=True):
            functional = dot(responses[a].velocity.ravel(), (responses[b].force + residuals[b]).ravel())
            functional += dot(responses[b].velocity.ravel(), (responses[a].force + residuals[a]).ravel())
            error = dot(residuals[a].ravel(), (residuals[b] / grid.resistance[:-1]).ravel())
            upper[i, j] = (functional / 2 + error / min_eigenvalue) / grid.size
    # A velocity along i is that of the grid times h_i, a unit force along j that of the grid over h_j.
    units = np.outer(spacing, spacing)
    return TensorBounds(lower * units, np.asarray((upper + upper.T) / 2) * units)


def sample_permeability(
    pores: np.ndarray, wall_model: WallModel = "smooth", tolerance: float = 0.01, spacing: Spacing = CUBE
) -> SampleTensor:
    """Compute the permeability tensor of a sample from the flows between its faces along each axis.

    Parameters
    ----------
    pores, wall_model, tolerance, spacing
        As in :func:`permeability_tensor`; the faces parallel to a flow are symmetry planes.

    Returns
    -------
    SampleTensor
        In shortest edges of a voxel, squared.

    Raises
    ------
    PhysicsError
        If a flow does not converge.
    """
    velocities, mean_forces = np.zeros((3, 3)), np.eye(3)
    for axis in range(3):
        order = cyclic(axis)
        percolates = flow_pores(np.ascontiguousarray(pores.transpose(order)), "symmetric")
        if not percolates.any():
            continue
        grid = Grid.of_percolating(percolates, "symmetric", wall_model, spacing=permuted(spacing, order))
        flow = stokes(grid, tolerance)
        velocity = grid.at_centres(flow.velocity).sum(axis=0, dtype=float) / grid.size
        velocities[:, axis] = as_stored(velocity, axis)
        mean_forces[:, axis] = as_stored(mean_force(flow.lateral_pressures, grid.shape, spacing=grid.spacing), axis)
    return sample_tensor(velocities, mean_forces)


@dataclass(frozen=True)
class _Response:
    """Fields ``(n, 3)`` on the faces of a cell, with the components and the order of voxels of ``z, y, x``.

    ``velocity`` balances ``force``, the unit force along an axis less the gradient of the pressures, approximately;
    ``conserving`` is the velocity that conserves mass.
    """

    velocity: np.ndarray
    force: np.ndarray
    conserving: np.ndarray
    min_eigenvalue: float


def _response(cluster: np.ndarray, axis: int, wall_model: WallModel, tolerance: float, spacing: Spacing) -> _Response:
    """Flow under a unit force along an axis: that along the first axis of the cell with its axes permuted."""
    order = cyclic(axis)
    cell = np.ascontiguousarray(cluster.transpose(order))
    ground = np.unique(cell[cell > 0], return_index=True)[1]
    grid = Grid.of_periodic_cell(cell > 0, ground, wall_model, permuted(spacing, order))
    volume = WholeVolume(grid)
    inner_tolerance = initial_inner_tolerance(tolerance)
    convergence = run_iteration(
        bound_permeability(grid.size, tolerance, inner_tolerance, _MAX_ITERATIONS), volume.answer
    )
    velocity, force = volume.velocity, forces(*grid.operator, volume.solver.pressures, True)
    volume.answer(ProjectMass(convergence.iterations, convergence.work))
    volume.answer(CorrectVelocity(convergence.iterations))
    conserving = volume.velocity
    conserving[grid.resistance >= CLOSED] = 0
    numbers = np.ravel_multi_index(
        tuple(grid.coordinates[:, order.index(k)].astype(np.int64) for k in range(3)), cluster.shape
    )
    rank, components = np.argsort(numbers), [order.index(k) for k in range(3)]

    def as_stored(field: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(field[:-1][rank][:, components])

    return _Response(as_stored(velocity), as_stored(force), as_stored(conserving), volume.min_eigenvalue)


def _viscous(grid: Grid, field: np.ndarray) -> np.ndarray:
    """Viscous forces ``(n, 3)`` on velocities ``(n, 3)``."""
    velocity = np.concatenate([field, np.zeros((1, 3), field.dtype)])
    force = np.empty_like(velocity)
    viscous_forces(*grid.operator, velocity, force)
    return force[:-1]
