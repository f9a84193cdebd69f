"""Stokes flow through the pores of a volume, and its permeability.

Lengths are in voxels; viscosity and mean pressure gradient are 1, so that a permeability is a mean velocity. Results
of voxels that are not cubes are in their shortest edge (:class:`Flow`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.sample_tensors import lateral_sums
from membrane_dask.physics.stokes.bounds import Bounds, BoundSums
from membrane_dask.physics.stokes.iteration import (
    ComputeMobility,
    CorrectVelocity,
    ProjectMass,
    Request,
    SolveDarcy,
    SolveMomentum,
    SumBounds,
    UpdatePressures,
    bound_permeability,
    estimate_permeability,
    initial_inner_tolerance,
    run_iteration,
    solve_flow,
)
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
#: Relative spread of the flux from plane to plane at which the projection ends, spread above which it continues in
#: double precision, and number of corrections.
_FLUX_SPREAD, _SINGLE_PRECISION_SPREAD, _MAX_CORRECTIONS = 3e-7, 1e-6, 8
#: Corrections of the Darcy flow whose velocities are used, each to the residual above.
_MOBILITY_CORRECTIONS = 2
#: Spread above which velocities are not those of an incompressible liquid.
_MAX_FLUX_SPREAD = 1e-3


@dataclass(frozen=True)
class Flow:
    """Stokes flow through pores.

    Parameters
    ----------
    permeability : float
        Mean velocity along z over the whole volume, under unit viscosity and pressure gradient: shortest edges of a
        voxel, squared. A lower bound of the permeability of the discrete problem.
    upper_bound : float
        Upper bound of the permeability of the discrete problem.
    mobility_estimate : float
        Estimate by :func:`mobility_estimate`.
    velocity : (m + 1, 3) ndarray of float32
        Velocities at the faces at low ``z, y, x`` of the grid's pore voxels, in the units of the grid;
        :meth:`Grid.at_centres` converts them.
    residual : float
        Largest difference between the fluxes through two planes, over the mean flux.
    history : list of tuple
        Lower and upper bound after each iteration.
    pressures : (n,) ndarray of float32
        Pressures of the grid's pore voxels that add to the unit force along z; 0 beyond both ends.
    lateral_pressures : (2, 2, 2) ndarray
        Of :func:`membrane_dask.physics.sample_tensors.lateral_sums`.
    """

    permeability: float
    upper_bound: float
    mobility_estimate: float
    velocity: np.ndarray
    residual: float
    history: list[tuple[float, float]]
    pressures: np.ndarray
    lateral_pressures: np.ndarray


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
        (n,) ndarray of float32 or float64
            In double precision where their rounding would dominate: in volumes of low permeability, whose flux is small
            compared with the conductances.
        """
        correction = self.correction.copy()
        for precision in (np.float32, np.float64):
            correction = correction.astype(precision)
            for _ in range(_MAX_CORRECTIONS):
                residual = self.darcy.residual(self.net_inflow, correction)
                lost = np.bincount(planes, residual)
                spread = np.ptp(np.cumsum(lost)) * len(lost) / work
                if spread <= _FLUX_SPREAD:
                    return correction
                correction += self.darcy.solve(residual, _DARCY_TOLERANCE)
            if spread <= _SINGLE_PRECISION_SPREAD:
                break
        return correction


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
        Called after each iteration with its number, from 1, and the lower and upper bound.

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

    :mod:`membrane_dask.physics.stokes.iteration` controls the iteration, here and by slabs of a volume
    (:mod:`membrane_dask.physics.stokes.subdomains`).
    """
    volume = WholeVolume(grid)
    inner_tolerance = initial_inner_tolerance(tolerance)
    iteration = bound_permeability(grid.size, tolerance, inner_tolerance, max_iterations, callback)
    convergence = run_iteration(solve_flow(iteration), volume.answer)
    velocity, estimate, pressures = volume.velocity, volume.estimate, volume.solver.pressures
    del volume
    return scaled(grid, velocity, convergence.bounds, estimate, convergence.history, pressures)


def mobility_estimate(grid: Grid) -> float:
    """Estimate the permeability from local mobilities: a single Darcy flow instead of the Stokes flow.

    Parameters
    ----------
    grid : Grid
        Pore voxels.

    Returns
    -------
    float
        1.1 to 1.4 times the permeability (1.2 to 1.35 in random media); shortest edges of a voxel, squared.
    """
    volume = WholeVolume(grid)
    run_iteration(estimate_permeability(), volume.answer)
    return volume.estimate * grid.permeability_unit


def mobility_flow(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Compute the velocities and pressures of the flow of :func:`mobility_estimate`.

    Parameters
    ----------
    grid : Grid
        Pore voxels.

    Returns
    -------
    velocity : (m + 1, 3) ndarray of float32
        Velocities at the faces at low ``z, y, x`` of the grid's pore voxels.
    pressures : (n,) ndarray of float32
        As of :class:`Flow`.
    """
    volume = WholeVolume(grid)
    run_iteration(estimate_permeability(), volume.answer)
    for _ in range(_MOBILITY_CORRECTIONS):
        net = net_inflow(grid.neighbours, volume.darcy_velocity(), grid.n)
        volume.solver.pressures += volume.solver.darcy.solve(net, _DARCY_TOLERANCE)
    velocity = volume.darcy_velocity()
    velocity[grid.resistance >= CLOSED] = 0
    return velocity, volume.solver.pressures


class WholeVolume:
    """Carries out the requests of an iteration on the grid of a whole volume, in memory.

    Parameters
    ----------
    grid : Grid
        Pore voxels.

    Attributes
    ----------
    conductance : (m + 1, 3) ndarray of float32
        Conductances of the Darcy flow.
    min_eigenvalue : float
        Estimate of the smallest eigenvalue of the momentum operator, scaled by its diagonal.
    estimate : float
        Permeability of the Darcy flow, voxels squared.
    solver : PressureSolver
        Pressures.
    velocity : (m + 1, 3) ndarray of float32
        Velocities under the pressures.
    change : (m + 1, 3) ndarray of float32
        Velocities that the search direction of the pressures drives.
    correction : (n,) ndarray of float32
        Pressures of the Darcy flow that makes the flux equal in all planes.
    """

    conductance: np.ndarray
    min_eigenvalue: float
    estimate: float
    solver: PressureSolver
    velocity: np.ndarray
    change: np.ndarray
    correction: np.ndarray

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def answer(self, request: Request) -> float | BoundSums | None:
        """Carry out a request and return the reply."""
        match request:
            case ComputeMobility():
                self.conductance, self.min_eigenvalue = mobility(self.grid)
                return self.min_eigenvalue
            case SolveDarcy():
                darcy = Conduction(self.grid.neighbours, self.conductance, self.grid.coordinates, self.grid.ground)
                self.solver, self.estimate = darcy_flow(darcy, *darcy_load(self.grid, self.conductance), self.grid.size)
            case SolveMomentum(kind="pressures", tolerance=tolerance):
                force = forces(*self.grid.operator, self.solver.direction, False)
                self.change = velocities(self.grid, force, tolerance)
            case SolveMomentum(kind=kind, tolerance=tolerance):
                if kind == "darcy":
                    self.velocity = self.darcy_velocity()
                force = forces(*self.grid.operator, self.solver.pressures, True)
                self.velocity += velocity_correction(self.grid, force, tolerance, self.velocity)
            case UpdatePressures(after="pressures"):
                self.change *= np.float32(self.solver.step(self._net_inflow(self.change)))
                self.velocity += self.change
                del self.change
                self.solver.update_direction()
            case UpdatePressures():
                self.solver.restart(self._net_inflow(self.velocity))
            case SumBounds():
                return self._bound_sums()
            case ProjectMass(work=work):
                self.correction = self.solver.project_mass(self.grid.coordinates[:, 0], work)
            case CorrectVelocity():
                self._correct_velocity(self.correction)
                self._balance_planes()
        return None

    def _correct_velocity(self, pressures: np.ndarray) -> None:
        """Add the velocities of a Darcy flow."""
        self.velocity = add_darcy_velocity(*self.grid.operator, self.velocity, self.conductance, pressures)

    def _balance_planes(self) -> None:
        """Correct what the rounding of the net inflow has left of the differences of the flux between planes."""
        spread = flux_spread(self.grid.fluxes(self.velocity))
        for _ in range(_MAX_CORRECTIONS):
            if spread <= _SINGLE_PRECISION_SPREAD:
                return
            previous, last = spread, self.velocity
            net = net_inflow(self.grid.neighbours, last.astype(np.float64), self.grid.n)
            self._correct_velocity(self.solver.darcy.solve(net, _DARCY_TOLERANCE).astype(np.float64))
            spread = flux_spread(self.grid.fluxes(self.velocity))
            if spread > previous / 2:  # the rounding of the velocities themselves
                self.velocity = self.velocity if spread < previous else last
                return

    def darcy_velocity(self) -> np.ndarray:
        """Velocities of the Darcy flow under a unit force along z and the present pressures."""
        zero = np.zeros_like(self.conductance)
        return add_darcy_velocity(*self.grid.operator, zero, self.conductance, self.solver.pressures, True)

    def _net_inflow(self, velocity: np.ndarray) -> np.ndarray:
        return net_inflow(self.grid.neighbours, velocity, self.grid.n)

    def _bound_sums(self) -> BoundSums:
        operator = self.grid.operator
        force = forces(*operator, self.solver.pressures, True)
        divergence_free = add_darcy_velocity(*operator, self.velocity, self.conductance, self.solver.correction)
        return BoundSums(*bound_sums(*operator, 0, self.grid.m, self.velocity, force, divergence_free))


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
    grid: Grid,
    velocity: np.ndarray,
    bounds: Bounds,
    estimate: float,
    history: list[tuple[float, float]],
    pressures: np.ndarray,
) -> Flow:
    """Scale divergence-free velocities to their lower bound of the permeability."""
    flux = grid.fluxes(velocity)
    work, dissipation = work_and_dissipation(*grid.operator, 0, grid.m, velocity)
    velocity *= np.float32(work / dissipation)
    velocity[grid.resistance >= CLOSED] = 0
    lower, unit = np.square(work) / dissipation / grid.size, grid.permeability_unit
    spread = conserved_flux_spread(flux)
    history = [(low * unit, high * unit) for low, high in history]
    upper = max(bounds.upper, lower) * unit
    lateral_pressures = lateral_sums(grid.coordinates, pressures, grid.shape)
    return Flow(lower * unit, upper, estimate * unit, velocity, spread, history, pressures, lateral_pressures)


def flux_spread(flux: np.ndarray) -> float:
    """Largest difference between the fluxes through two planes, over the mean flux."""
    return float(np.ptp(flux) / flux.mean())


def conserved_flux_spread(flux: np.ndarray) -> float:
    """The same for a final flow, which conserves mass as far as its velocities in single precision can.

    Raises
    ------
    PhysicsError
        If it does not.
    """
    spread = flux_spread(flux)
    if not 0 <= spread <= _MAX_FLUX_SPREAD:
        raise PhysicsError(f"flow: the flux differs by {spread:.1e} from plane to plane")
    return spread
