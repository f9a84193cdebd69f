"""Velocities under given forces: the momentum equation of Stokes flow, solved by conjugate gradients.

Constraints of mass conservation are left to the pressures (:mod:`membrane_dask.physics.stokes.solver`), so that the
three components are independent.
"""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import smallest_eigenvalue
from membrane_dask.physics.stokes.mac_grid import CLOSED, Grid
from membrane_dask.physics.stokes.operators import viscous_forces

#: Relative residual of the mobility, which only preconditions and estimates.
_MOBILITY_TOLERANCE = 3e-2
_MAX_ITERATIONS = 5000


def mobility(grid: Grid) -> tuple[np.ndarray, float]:
    """Solve for the velocities under a unit force on every face and no pressures.

    Parameters
    ----------
    grid : Grid
        Pore voxels.

    Returns
    -------
    conductance : (m + 1, 3) ndarray of float32
        These velocities, positive at open faces and 0 at closed ones: conductances of a Darcy flow that approximates
        the Stokes flow.
    min_eigenvalue : float
        Estimate, by the Lanczos process, of the smallest eigenvalue of the momentum operator, scaled by its diagonal.
    """
    steps: list[tuple[float, float]] = []
    conductance = velocities(grid, grid.control_volumes(), _MOBILITY_TOLERANCE, steps=steps)
    np.maximum(conductance, np.float32(1e-6), out=conductance)
    conductance[grid.resistance >= CLOSED] = 0
    conductance[: grid.inlets, 0] *= 2  # over the control volume
    conductance[grid.n :, 0] *= 2
    alpha, beta = np.array(steps).T
    diagonal, off_diagonal = 1 / alpha, np.sqrt(beta[:-1]) / alpha[:-1]
    diagonal[1:] += beta[:-1] / alpha[:-1]
    return conductance, float(smallest_eigenvalue(diagonal, off_diagonal))


def velocities(
    grid: Grid, force: np.ndarray, tolerance: float, *, reference: float | None = None,
    steps: list[tuple[float, float]] | None = None,
) -> np.ndarray:  # fmt: skip
    """Solve for the velocities under forces.

    Parameters
    ----------
    grid : Grid
        Pore voxels.
    force : (m + 1, 3) ndarray of float32
        Forces on the faces; overwritten.
    tolerance : float
        Norm of the residual over the norm of the forces, or over the root of ``reference``.
    reference : float, optional
        Square of a norm, weighted by the inverse resistances.
    steps : list, optional
        Extended by the step length and the orthogonalization coefficient of every iteration.

    Returns
    -------
    (m + 1, 3) ndarray of float32

    Raises
    ------
    PhysicsError
        If the solver does not converge.
    """
    r, q, x, d = force, np.empty_like(force), np.zeros_like(force), np.zeros_like(force)
    rz = _norm_square(r, grid.resistance)
    limit = np.square(tolerance) * (rz if reference is None else reference)
    _update_direction(d, r, grid.resistance, np.float32(0.0))
    for _ in range(_MAX_ITERATIONS):
        if rz <= limit:
            return x
        alpha = rz / viscous_forces(*grid.operator, d, q)
        new = _step(x, d, r, q, grid.resistance, np.float32(alpha))
        if steps is not None:
            steps.append((alpha, new / rz))
        _update_direction(d, r, grid.resistance, np.float32(new / rz))
        rz = new
    raise PhysicsError(
        f"velocities: the relative residual is still above {tolerance:g} after {_MAX_ITERATIONS} iterations"
    )


def velocity_correction(
    grid: Grid, force: np.ndarray, tolerance: float, velocity: np.ndarray, open_ends: tuple[bool, bool] = (True, True)
) -> np.ndarray:
    """Solve for the correction that makes velocities balance forces.

    Parameters
    ----------
    grid : Grid
        Pore voxels.
    force : (m + 1, 3) ndarray of float32
        Forces on the faces.
    tolerance : float
        Norm of the residual over the norm of the forces.
    velocity : (m + 1, 3) ndarray of float32
        Approximate velocities.
    open_ends : tuple of bool
        As in :meth:`Grid.of_percolating`; velocities beyond ends that are not those of the volume are kept.

    Returns
    -------
    (m + 1, 3) ndarray of float32
    """
    reference = _norm_square(force, grid.resistance)
    residual = np.empty_like(force)
    viscous_forces(*grid.operator, velocity, residual)
    np.subtract(force, residual, out=residual)
    # In the outermost planes, neighbouring velocities are missing, so that the residual is not meaningful there.
    if not open_ends[0]:
        residual[: np.searchsorted(grid.coordinates[:, 0], 2)] = 0
    if not open_ends[1]:
        residual[np.searchsorted(grid.coordinates[:, 0], grid.shape[0] - 1) :] = 0
    return velocities(grid, residual, tolerance, reference=reference)


@kernel
def _step(
    x: np.ndarray, d: np.ndarray, r: np.ndarray, q: np.ndarray, resistance: np.ndarray, alpha: np.float32
) -> float:
    """Move along ``d``; square of the norm of the new residual."""
    e0, e1, e2 = 0.0, 0.0, 0.0
    for i in range(x.shape[0] - 1):
        for c in range(3):
            x[i, c] += alpha * d[i, c]
            r[i, c] -= alpha * q[i, c]
        e0 += np.float64(r[i, 0] / resistance[i, 0]) * r[i, 0]
        e1 += np.float64(r[i, 1] / resistance[i, 1]) * r[i, 1]
        e2 += np.float64(r[i, 2] / resistance[i, 2]) * r[i, 2]
    return e0 + e1 + e2


@kernel
def _update_direction(d: np.ndarray, r: np.ndarray, resistance: np.ndarray, beta: np.float32) -> None:
    for i in range(d.shape[0] - 1):
        for c in range(3):
            d[i, c] = r[i, c] / resistance[i, c] + beta * d[i, c]


@kernel
def _norm_square(r: np.ndarray, resistance: np.ndarray) -> float:
    """Square of the norm of forces that is weighted by the inverse resistances."""
    e0, e1, e2 = 0.0, 0.0, 0.0
    for i in range(r.shape[0] - 1):
        e0 += np.float64(r[i, 0] / resistance[i, 0]) * r[i, 0]
        e1 += np.float64(r[i, 1] / resistance[i, 1]) * r[i, 1]
        e2 += np.float64(r[i, 2] / resistance[i, 2]) * r[i, 2]
    return e0 + e1 + e2
