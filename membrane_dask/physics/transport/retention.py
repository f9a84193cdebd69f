"""Retention of suspended particles by pores: steady convection and diffusion of particle centres.

The centre of a particle keeps its radius away from the solid. There the particle either deposits at first contact
(perfect sink) or is reflected (steric exclusion alone); partial adhesion lies between the two. Lengths are in shortest
edges of a voxel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.distributions import beta_quantile
from membrane_dask.physics.elementary import exp, exponential, exponential_minus_one, log, logarithm
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.imaging.distance import squared_distances
from membrane_dask.physics.imaging.spaced_distance import spaced_clearances
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.transport.aggregation import Groups, coarse_correction
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, is_cube

WallInteraction = Literal["perfect_sink", "reflecting"]
#: Sweeps over the voxels in an iteration.
_SWEEPS = 2
#: Residence time, over the time of diffusion across a voxel, after which a particle counts as retained.
_MAX_RESIDENCE = 1e9
#: Boltzmann constant, J/K.
BOLTZMANN = 1.380649e-23


def diffusivity(diameter: float, viscosity: float, temperature: float) -> float:
    """Diffusivity of a sphere in a liquid at rest (Stokes-Einstein equation).

    Parameters
    ----------
    diameter : float
        Diameter of the sphere in m, > 0.
    viscosity : float
        Viscosity of the liquid in Pa s, > 0.
    temperature : float
        Temperature in K, > 0.

    Returns
    -------
    float
        In m2/s.
    """
    return BOLTZMANN * temperature / (3 * math.pi * viscosity * diameter)


def clearances(pores: np.ndarray, *, periodic: bool = False, spacing: Spacing = CUBE) -> np.ndarray:
    """Distance from the centre of every pore voxel to the nearest wall.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels.
    periodic : bool
        Whether the volume is periodic along y and x.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    (z, y, x) ndarray of float32
        0 in the solid; infinite if there is no solid.

    Notes
    -----
    Distance to the centre of the nearest solid voxel, less the half voxel from there to its face; of voxels that are
    not cubes, half their extent along the line between the centres.
    """
    if not periodic and not is_cube(spacing):
        return spaced_clearances(pores, spacing)
    if not periodic:
        return np.asarray(np.maximum(np.sqrt(squared_distances(pores)) - np.float32(0.5), 0))
    margins = [n // 2 for n in pores.shape[1:]]
    extended = np.pad(pores, [(0, 0), (margins[0],) * 2, (margins[1],) * 2], mode="wrap")
    inner = tuple(slice(margin, margin + n) for margin, n in zip(margins, pores.shape[1:], strict=True))
    return clearances(extended, spacing=spacing)[(slice(None), *inner)]


def critical_radius(clearance: np.ndarray, *, periodic: bool = False) -> float:
    """Radius of the largest sphere that can pass through the pores (percolation threshold).

    Parameters
    ----------
    clearance : (z, y, x) ndarray
        From :func:`clearances`.
    periodic : bool
        Whether the volume is periodic along y and x.

    Returns
    -------
    float
        0 if no path percolates.
    """
    radii = np.unique(clearance[np.isfinite(clearance) & (clearance > 0)])
    low, high = -1, len(radii)  # bisection: the largest radius that percolates, the smallest that does not
    while high - low > 1:
        middle = (low + high) // 2
        if percolating(clearance >= radii[middle], periodic=periodic).any():
            low = middle
        else:
            high = middle
    return float(radii[low]) if low >= 0 else 0.0


@dataclass(frozen=True)
class Passage:
    """Passage of particles through pores.

    Parameters
    ----------
    log_reduction : float
        Decimal logarithm of the concentration in the feed over that in the filtrate; infinite if no path is wide
        enough.
    depth_profile : (n_z,) ndarray
        Fraction of the deposited particles in each plane; NaN if none deposit.
    entered : float
        Inflow by convection and diffusion over the inflow by convection alone.
    iterations : int
        Iterations of the solver.
    """

    log_reduction: float
    depth_profile: np.ndarray
    entered: float
    iterations: int


def passage(
    grid: Grid,
    velocity: np.ndarray,
    clearance: np.ndarray,
    radius: float,
    diffusivity: float,
    wall_interaction: WallInteraction,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
) -> Passage:
    """Solve for the steady concentration of particles between a well-mixed feed at low z and the filtrate at high z.

    Parameters
    ----------
    grid : Grid
        Pore voxels.
    velocity : (m + 1, 3) ndarray
        Velocities of the liquid at their faces.
    clearance : (n,) ndarray
        Distance from the centre of every pore voxel to the wall.
    radius : float
        Radius of the particles, >= 0.
    diffusivity : float
        Diffusivity of the particles, in units of the velocity times the shortest edge of a voxel, > 0.
    wall_interaction : {'perfect_sink', 'reflecting'}
        Whether particles deposit where they reach the wall, or are reflected.
    tolerance : float
        Relative error of the concentration in the filtrate.
    max_iterations : int
        Maximum number of iterations.

    Returns
    -------
    Passage

    Raises
    ------
    PhysicsError
        If the solver does not converge.

    Notes
    -----
    Finite volumes with fluxes that are exact for steady convection and diffusion along a line [1]_, solved by
    symmetric Gauss-Seidel sweeps that alternate with a coarse correction
    (:func:`membrane_dask.physics.transport.aggregation.coarse_correction`). Nothing is subtracted, so that
    concentrations are accurate relative to themselves, however small they are; each plane has a scale of its own.

    References
    ----------
    .. [1] D. L. Scharfetter and H. K. Gummel, "Large-signal analysis of a silicon Read diode oscillator", IEEE
       Transactions on Electron Devices 16, 64, 1969.
    """
    discharge = float(grid.fluxes(velocity)[0])
    accessible = _accessible(grid.neighbours, clearance >= radius, grid.inlets, grid.n)
    coordinates = grid.coordinates[accessible]
    if not len(coordinates) or coordinates[-1, 0] < grid.shape[0] - 1:
        return Passage(math.inf, np.full(grid.shape[0], np.nan), 0.0, 0)
    deposits = wall_interaction == "perfect_sink"
    index = np.where(accessible, np.cumsum(accessible) - 1, -1)
    neighbours, rates, outflow, loss, source, discharge_rate, deposition_rate = _transfer_rates(
        grid.neighbours,
        velocity,
        index,
        len(coordinates),
        np.array(grid.shape),
        grid.coordinates,
        grid_diffusivities(grid, diffusivity),
        deposits,
    )
    groups = Groups.of(neighbours, coordinates)
    plane = coordinates[:, 0].astype(np.int64)
    first = np.searchsorted(plane, np.arange(grid.shape[0] + 1))
    c, scale = np.ones(len(coordinates)), np.zeros(grid.shape[0])
    log_discharge, changes = [0.0], [math.inf]
    while not _converged(changes, tolerance):
        if len(changes) > max_iterations:
            raise PhysicsError(
                f"retention: the concentration in the filtrate still changes by {changes[-1]:.1e} after "
                f"{max_iterations} iterations"
            )
        for _ in range(_SWEEPS):
            _sweep(neighbours, rates, outflow, source, first, scale, c)
        _rescale(first, scale, c)
        c *= coarse_correction(groups, neighbours, rates, loss, source, plane, scale, c)
        log_discharge.append(float(log(dot(discharge_rate, c))) + scale[-1])
        changes.append(abs(log_discharge[-1] - log_discharge[-2]))
    deposited = np.bincount(plane, deposition_rate * c, grid.shape[0]) * exp(scale)
    profile = deposited / deposited.sum() if deposits else np.full(grid.shape[0], np.nan)
    log_reduction = float((log(discharge) - log_discharge[-1]) / log(10.0))
    return Passage(log_reduction, profile, float(source.sum()) / discharge, len(log_discharge) - 1)


def grid_diffusivities(grid: Grid, diffusivity: float) -> np.ndarray:
    """Diffusivities along ``z, y, x`` in the units of the velocities of a grid: displacements are over its edges."""
    edges = np.array(grid.spacing)
    return np.asarray(diffusivity / (edges[0] * np.square(edges)))


def _converged(changes: list[float], tolerance: float) -> bool:
    """Whether the sum of all further changes is small if they decay geometrically like the last ones."""
    if len(changes) < 4:
        return False
    ratio = math.sqrt(changes[-1] / changes[-3]) if changes[-3] else 0.0
    return ratio < 1 and changes[-1] * ratio / (1 - ratio) <= tolerance


def log_reduction_bound(passed: int, entered: int, confidence: float = 0.95) -> float:
    """Lower confidence bound of the log reduction from a count of particles.

    Parameters
    ----------
    passed, entered : int
        Particles in the filtrate and in the feed, ``0 <= passed <= entered``, ``entered > 0``.
    confidence : float
        Confidence level, in (0, 1).

    Returns
    -------
    float
        From the Clopper-Pearson interval; if none passed, approximately ``log10(entered / 3)`` at 95 %.

    Raises
    ------
    ValueError
        If the counts are not in these ranges.
    """
    if not 0 <= passed <= entered or entered == 0:
        raise ValueError(
            f"passed: must be between 0 and entered, and entered must be positive (got {passed}, {entered})"
        )
    upper = 1.0 if passed == entered else beta_quantile(confidence, passed + 1.0, float(entered - passed))
    return float(-log(upper) / log(10.0))


@kernel
def bernoulli(x: float) -> float:
    """Bernoulli function ``x / (exp(x) - 1)``."""
    if abs(x) < 1e-5:
        return 1.0 - 0.5 * x
    if x > 500.0:
        return 0.0
    return float(x / exponential_minus_one(x))


@kernel
def _accessible(neighbours: np.ndarray, fits: np.ndarray, inlets: int, n: int) -> np.ndarray:
    """Pore voxels that the centre of a particle can reach from the feed (flood fill)."""
    reached = np.zeros(n, np.bool_)
    stack, count = np.empty(n, np.int32), 0
    for i in range(inlets):
        if fits[i]:
            reached[i] = True
            stack[count] = i
            count += 1
    while count > 0:
        count -= 1
        i = stack[count]
        for side in range(6):
            j = neighbours[i, side]
            if j < n and fits[j] and not reached[j]:
                reached[j] = True
                stack[count] = j
                count += 1
    return reached


@kernel
def _transfer_rates(
    pore_neighbours: np.ndarray, velocity: np.ndarray, index: np.ndarray, n: int, shape: np.ndarray,
    coordinates: np.ndarray, diffusivities: np.ndarray, deposits: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Rates of transfer of particles between the ``n`` accessible voxels.

    ``index`` is the number of each pore voxel among the accessible ones, -1 for none.

    Returns
    -------
    neighbours, rates : (n, 6) ndarray
        Neighbours of each voxel (``n`` for none), and the rates from them to it.
    outflow, loss, source, discharge, deposition : (n,) ndarray
        Rates of all outflow, of loss for good, of inflow from the feed, of outflow with the filtrate, of deposition.
    """
    m, n_pores = pore_neighbours.shape[0] - 1, index.size
    neighbours = np.full((n, 6), n, np.int32)
    rates = np.zeros((n, 6), np.float32)
    outflow, loss = np.zeros(n), np.full(n, diffusivities[0] / _MAX_RESIDENCE)
    source, discharge, deposition = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(n_pores):
        i = index[k]
        if i < 0:
            continue
        for side in range(6):
            axis, high = side // 2, side % 2
            diffusivity = diffusivities[axis]
            j = pore_neighbours[k, side]
            inward = velocity[k, axis] if high == 0 else -velocity[j, axis]
            if axis == 0 and (coordinates[k, 0] == 0 and high == 0):
                source[i] = 2 * diffusivity * bernoulli(-0.5 * inward / diffusivity)
                loss[i] += 2 * diffusivity * bernoulli(0.5 * inward / diffusivity)
            elif axis == 0 and high == 1 and coordinates[k, 0] == shape[0] - 1:
                discharge[i] = max(-np.float64(inward), 0.0)
                loss[i] += discharge[i]
            elif j < n_pores and index[j] >= 0:
                neighbours[i, side] = index[j]
                # Positive even against a strong flow, so that no voxel is isolated.
                rates[i, side] = diffusivity * max(bernoulli(-inward / diffusivity), 1e-30)
            elif deposits:
                position = coordinates[k, axis] + 2 * high - 1
                if j < m or 0 <= position < shape[axis]:
                    rate = 2 * diffusivity * bernoulli(0.5 * inward / diffusivity)
                    deposition[i] += rate
                    loss[i] += rate
    for i in range(n):
        outflow[i] = loss[i]
        for side in range(6):
            j = neighbours[i, side]
            if j < n:
                outflow[i] += rates[j, side ^ 1]
    return neighbours, rates, outflow, loss, source, discharge, deposition


@kernel
def _sweep(
    neighbours: np.ndarray, rates: np.ndarray, outflow: np.ndarray, source: np.ndarray, first: np.ndarray,
    scale: np.ndarray, c: np.ndarray,
) -> None:  # fmt: skip
    """Sweep over the concentrations by symmetric Gauss-Seidel, plane by plane."""
    n, n_z = c.size, scale.size
    for sweep in range(2):
        for k in range(n_z):
            z = k if sweep == 0 else n_z - 1 - k
            feed_unit = exponential(-scale[z])
            below = exponential(scale[z - 1] - scale[z]) if z > 0 else 0.0
            above = exponential(scale[z + 1] - scale[z]) if z + 1 < n_z else 0.0
            for q in range(first[z], first[z + 1]):
                i = q if sweep == 0 else first[z] + first[z + 1] - 1 - q
                total = source[i] * feed_unit if z == 0 else 0.0
                if neighbours[i, 0] < n:
                    total += below * rates[i, 0] * c[neighbours[i, 0]]
                if neighbours[i, 1] < n:
                    total += above * rates[i, 1] * c[neighbours[i, 1]]
                for side in range(2, 6):
                    j = neighbours[i, side]
                    if j < n:
                        total += rates[i, side] * c[j]
                c[i] = total / outflow[i]


@kernel
def _rescale(first: np.ndarray, scale: np.ndarray, c: np.ndarray) -> None:
    """Change the scale of each plane to its highest concentration."""
    for z in range(scale.size):
        highest = 0.0
        for i in range(first[z], first[z + 1]):
            highest = max(highest, c[i])
        if highest > 0.0:
            for i in range(first[z], first[z + 1]):
                c[i] /= highest
            scale[z] += logarithm(highest)
