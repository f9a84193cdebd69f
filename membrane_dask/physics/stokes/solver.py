"""Stokes flow through the pores of a volume, and its permeability.

Lengths are in voxels; viscosity and mean pressure gradient are 1, so that a permeability is a mean velocity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.linear_solvers import dot
from membrane_dask.physics.stokes.bounds import Bounds, BoundSums
from membrane_dask.physics.stokes.mac_grid import CLOSED, Grid
from membrane_dask.physics.stokes.momentum import mobility, velocities, velocity_correction
from membrane_dask.physics.stokes.multigrid import Conduction
from membrane_dask.physics.stokes.operators import (
    add_darcy_velocity,
    bound_sums,
    forces,
    net_inflow,
    total_work,
    work_and_dissipation,
)

#: Relative residual of the Darcy flows.
_DARCY_TOLERANCE = 1e-2
#: Relative spread of the flux from plane to plane at which the projection ends, spread that is accepted, and number of
#: corrections.
_FLUX_SPREAD, _MAX_FLUX_SPREAD, _MAX_CORRECTIONS = 3e-7, 1e-6, 8


@dataclass(frozen=True)
class Flow:
    """Stokes flow through pores.

    Parameters
    ----------
    permeability : float
        Mean velocity along z over the whole volume, under unit viscosity and pressure gradient: voxels squared. A
        lower bound of the permeability of the discrete problem.
    upper_bound : float
        Upper bound of the permeability of the discrete problem.
    mobility_estimate : float
        Estimate by :func:`mobility_estimate`.
    velocity : (m + 1, 3) ndarray of float32
        Velocities at the faces at low ``z, y, x`` of the grid's pore voxels.
    residual : float
        Largest difference between the fluxes through two planes, over the mean flux.
    history : list of tuple
        Lower and upper bound after each iteration.
    """

    permeability: float
    upper_bound: float
    mobility_estimate: float
    velocity: np.ndarray
    residual: float
    history: list[tuple[float, float]]


class PressureSolver:
    """Conjugate gradients on the pressures, preconditioned by a Darcy flow.

    Parameters
    ----------
    darcy : Conduction
        Darcy flow with the conductances of :func:`membrane_dask.physics.stokes.momentum.mobility`.
    pressures : (n,) ndarray of float32
        Initial pressures.

    Attributes
    ----------
    net_inflow : (n,) ndarray of float32
        Violation of mass conservation in each pore voxel by the velocities under the pressures.
    correction : (n,) ndarray of float32
        Pressures of the Darcy flow that restores mass conservation.
    direction : (n,) ndarray of float32
        Search direction of the pressures.
    residual_square : float
        Square of the preconditioned norm of the net inflow.
    """

    def __init__(self, darcy: Conduction, pressures: np.ndarray) -> None:
        self.darcy, self.pressures = darcy, pressures

    def restart(self, net_inflow: np.ndarray) -> None:
        """Start the conjugate gradients from the net inflow of the velocities under the present pressures."""
        self.net_inflow = net_inflow
        self.correction = self.darcy.solve(net_inflow, _DARCY_TOLERANCE)
        self.direction = self.correction.copy()
        self.residual_square = dot(net_inflow, self.correction)

    def step(self, response: np.ndarray) -> float:
        """Move along the search direction.

        Parameters
        ----------
        response : (n,) ndarray of float32
            Net inflow of the velocities that the direction drives; overwritten.

        Returns
        -------
        float
            Step length.
        """
        step = np.float32(-self.residual_square / dot(self.direction, response))
        self.pressures += step * self.direction
        response *= step
        self.net_inflow += response
        return float(step)

    def update_direction(self) -> None:
        """Compute the next search direction."""
        self.correction = self.darcy.solve(self.net_inflow, _DARCY_TOLERANCE)
        previous, self.residual_square = self.residual_square, dot(self.net_inflow, self.correction)
        self.direction *= np.float32(self.residual_square / previous)
        self.direction += self.correction

    def project_mass(self, planes: np.ndarray, work: float) -> np.ndarray:
        """Compute the pressures of the Darcy flow that makes the flux equal in all planes.

        Parameters
        ----------
        planes : (n,) ndarray of int
            Plane of every pore voxel.
        work : float
            Sum of the fluxes through all planes of faces.

        Returns
        -------
        (n,) ndarray of float32

        Raises
        ------
        PhysicsError
            If the flux still differs from plane to plane.
        """
        correction = self.correction.copy()
        for _ in range(_MAX_CORRECTIONS):
            residual = self.darcy.residual(self.net_inflow, correction)
            lost = np.bincount(planes, residual)
            spread = np.ptp(np.cumsum(lost)) * len(lost) / work
            if spread <= _FLUX_SPREAD:
                return correction
            correction += self.darcy.solve(residual, _DARCY_TOLERANCE)
        if spread <= _MAX_FLUX_SPREAD:
            return correction
        raise PhysicsError(f"flow: the flux still differs by {spread:.1e} from plane to plane")


def stokes(
    grid: Grid,
    tolerance: float = 0.01,
    max_iterations: int = 60,
    callback: Callable[[int, float, float], None] = lambda iteration, lower, upper: None,
) -> Flow:
    """Solve for the Stokes flow under a unit pressure gradient along z.

    Parameters
    ----------
    grid : Grid
        Pore voxels.
    tolerance : float
        Difference of the bounds of the permeability over the lower bound, in (0, 1).
    max_iterations : int
        Maximum number of iterations on the pressures.
    callback : callable
        Called after each iteration with its number and the lower and upper bound.

    Returns
    -------
    Flow

    Raises
    ------
    PhysicsError
        If the bounds do not converge, or if mass is not conserved from plane to plane.

    Notes
    -----
    Conjugate gradients on the pressures (Uzawa's method), each iteration of which solves the momentum equation. They
    are preconditioned by a Darcy flow whose conductances are the velocities under a unit force on every face and no
    pressures.

    The iteration ends when the bounds of :class:`membrane_dask.physics.stokes.bounds.BoundSums` agree. The
    divergence-free velocities of the lower bound are those of the iteration, corrected by one more Darcy flow; the
    result is scaled to its lower bound.

    :mod:`membrane_dask.physics.stokes.subdomains` is the same method by slabs of a volume.
    """
    n, operator = grid.n, grid.operator
    conductance, min_eigenvalue = mobility(grid)
    darcy = Conduction(grid.neighbours, conductance, grid.coordinates)
    solver, estimate = darcy_flow(darcy, *darcy_load(grid, conductance), grid.size)
    velocity = add_darcy_velocity(*operator, np.zeros_like(conductance), conductance, solver.pressures, True)
    inner_tolerance = initial_inner_tolerance(tolerance)
    velocity += velocity_correction(grid, forces(*operator, solver.pressures, True), inner_tolerance, velocity)
    solver.restart(net_inflow(grid.neighbours, velocity, n))
    history: list[tuple[float, float]] = []
    for iteration in range(max_iterations):
        force = forces(*operator, solver.pressures, True)
        divergence_free = add_darcy_velocity(*operator, velocity, conductance, solver.correction)
        sums = BoundSums(*bound_sums(*operator, 0, grid.m, velocity, force, divergence_free))
        del divergence_free
        bounds = sums.bounds(grid.size, min_eigenvalue)
        history.append((bounds.lower, bounds.upper))
        callback(iteration, bounds.lower, bounds.upper)
        status = bounds.status(tolerance)
        if status == "converged":
            break
        if status == "velocities":
            inner_tolerance /= 4
            velocity += velocity_correction(grid, force, inner_tolerance, velocity)
            solver.restart(net_inflow(grid.neighbours, velocity, n))
            continue
        del force
        change = velocities(grid, forces(*operator, solver.direction, False), inner_tolerance)
        change *= np.float32(solver.step(net_inflow(grid.neighbours, change, n)))
        velocity += change
        del change
        solver.update_direction()
    else:
        raise bounds.not_converged(max_iterations, tolerance)
    velocity = add_darcy_velocity(
        *operator, velocity, conductance, solver.project_mass(grid.coordinates[:, 0], sums.work)
    )
    del solver
    return scaled(grid, velocity, bounds, estimate, history)


def mobility_estimate(grid: Grid) -> float:
    """Estimate the permeability from local mobilities: a single Darcy flow instead of the Stokes flow.

    Parameters
    ----------
    grid : Grid
        Pore voxels.

    Returns
    -------
    float
        1.1 to 1.4 times the permeability (1.2 to 1.35 in random media); voxels squared.
    """
    conductance, _ = mobility(grid)
    darcy = Conduction(grid.neighbours, conductance, grid.coordinates)
    return darcy_flow(darcy, *darcy_load(grid, conductance), grid.size)[1]


def initial_inner_tolerance(tolerance: float) -> float:
    """Relative residual of the momentum equation at first, for a tolerance of the bounds."""
    return float(min(np.sqrt(0.1 * tolerance), 0.03))


def darcy_load(grid: Grid, conductance: np.ndarray) -> tuple[np.ndarray, float]:
    """Net inflow of each pore voxel in the Darcy flow under a unit force along z without pressures, and its work."""
    pressures = np.zeros(grid.n, np.float32)
    velocity = add_darcy_velocity(*grid.operator, np.zeros_like(conductance), conductance, pressures, True)
    return net_inflow(grid.neighbours, velocity, grid.n), total_work(velocity, grid.inlets, grid.n)


def darcy_flow(darcy: Conduction, load: np.ndarray, work: float, size: int) -> tuple[PressureSolver, float]:
    """Pressures of the Darcy flow under a unit force along z, and its permeability in a volume of ``size`` voxels.

    ``load`` and ``work`` are those of :func:`darcy_load`.
    """
    pressures = darcy.solve(load, _DARCY_TOLERANCE)
    return PressureSolver(darcy, pressures), (work - dot(load, pressures)) / size


def scaled(
    grid: Grid, velocity: np.ndarray, bounds: Bounds, estimate: float, history: list[tuple[float, float]]
) -> Flow:
    """Scale divergence-free velocities to their lower bound of the permeability."""
    flux = grid.fluxes(velocity)
    work, dissipation = work_and_dissipation(*grid.operator, 0, grid.m, velocity)
    velocity *= np.float32(work / dissipation)
    velocity[grid.resistance >= CLOSED] = 0
    lower = work**2 / dissipation / grid.size
    return Flow(lower, max(bounds.upper, lower), estimate, velocity, flux_spread(flux), history)


def flux_spread(flux: np.ndarray) -> float:
    """Largest difference between the fluxes through two planes, over the mean flux.

    Raises
    ------
    PhysicsError
        If it exceeds rounding errors.
    """
    spread = float(np.ptp(flux) / flux.mean())
    if not spread <= _MAX_FLUX_SPREAD:
        raise PhysicsError(f"flow: the flux differs by {spread:.1e} from plane to plane")
    return spread
