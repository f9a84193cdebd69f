"""Particle tracking: Brownian particles in a flow through pores, followed one by one.

A Monte Carlo check of :mod:`membrane_dask.physics.transport.retention`, which solves for the concentration of all
particles at once; it also shows where particles deposit. Positions are in voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel, kernel
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.transport.retention import WallInteraction, bernoulli, grid_diffusivities

#: Largest displacement in a step.
_MAX_DISPLACEMENT = 0.25
#: Fates of particles: in the filtrate, deposited, back in the feed, still in the pores after the last step.
PASSED, DEPOSITED, RETURNED, UNDECIDED = range(4)
#: Outcomes of a crossing of a face that do not end a trajectory.
_MOVES, _REFLECTED = -1, -2


@dataclass(frozen=True)
class Trajectories:
    """Fates of particles that entered the pores.

    Parameters
    ----------
    fate : (count,) ndarray of int8
        ``PASSED``, ``DEPOSITED``, ``RETURNED`` or ``UNDECIDED``.
    depth : (count,) ndarray of float32
        Last position of each particle along z.
    steps : int
        Steps of all particles.
    entered : float
        Inflow by convection and diffusion over the inflow by convection alone.
    """

    fate: np.ndarray
    depth: np.ndarray
    steps: int
    entered: float

    @property
    def passage(self) -> float:
        """Concentration in the filtrate over that in the feed."""
        return self.entered * float((self.fate == PASSED).mean())


def track_particles(
    grid: Grid,
    velocity: np.ndarray,
    clearance: np.ndarray,
    radius: float,
    diffusivity: float,
    wall_interaction: WallInteraction,
    count: int,
    seed: int,
    max_steps: int = 10_000_000,
) -> Trajectories:
    """Follow particles from the feed until they pass, deposit or return.

    Parameters
    ----------
    grid, velocity, clearance, radius, diffusivity, wall_interaction
        As in :func:`membrane_dask.physics.transport.retention.passage`.
    count : int
        Number of particles, > 0.
    seed : int
        Seed of the random numbers. Each particle has a stream of its own, which does not depend on their number.
    max_steps : int
        Maximum number of steps of a particle.

    Returns
    -------
    Trajectories

    Notes
    -----
    Each velocity component varies linearly between the two faces of a voxel [1]_, consistently with the finite
    volumes. The time step limits the convective and the Brownian displacement to a quarter of a voxel each; the
    Brownian displacement is uniform in a cube of the same variance. Particles enter at the rates of a well-mixed feed,
    and leave with the liquid.

    References
    ----------
    .. [1] D. W. Pollock, "Semianalytical computation of path lines for finite-difference models", Ground Water 26,
       743, 1988.
    """
    start = np.flatnonzero(clearance[: grid.inlets] >= radius)
    if not len(start):
        return Trajectories(np.zeros(0, np.int8), np.zeros(0, np.float32), 0, 0.0)
    inward = velocity[start, 0].astype(float)
    diffusivities = grid_diffusivities(grid, diffusivity)
    along_z = float(diffusivities[0])
    rates = 2 * along_z * np.array([bernoulli(-0.5 * u / along_z) for u in inward])
    fate, depth, steps = _track(
        grid.neighbours, velocity, clearance >= radius, grid.coordinates, np.array(grid.shape), start,
        np.cumsum(rates) / rates.sum(), diffusivities, wall_interaction == "perfect_sink", count, seed, max_steps,
    )  # fmt: skip
    return Trajectories(fate, depth, steps, float(rates.sum()) / float(grid.fluxes(velocity)[0]))


@inline_kernel
def _random(state: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Next state and 64 random bits (SplitMix64)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, z ^ (z >> np.uint64(31))


@inline_kernel
def _cross(
    neighbours: np.ndarray, fits: np.ndarray, coordinates: np.ndarray, shape: np.ndarray, i: Integer, axis: int,
    direction: int, convected: bool,
) -> tuple[Integer, int]:  # fmt: skip
    """Voxel beyond a face and the outcome of crossing it: a fate, ``_MOVES`` or ``_REFLECTED``."""
    n = fits.size
    position = np.int64(coordinates[i, axis]) + direction
    if axis == 0 and position < 0:
        return i, RETURNED
    if axis == 0 and position >= shape[0]:
        return i, (PASSED if convected else _REFLECTED)
    j = np.int64(neighbours[i, 2 * axis + (direction > 0)])
    if j < n and fits[j]:
        return j, _MOVES
    if j < n or 0 <= position < shape[axis]:
        return i, DEPOSITED
    return i, _REFLECTED  # by a symmetry plane or a wall at the boundary of the volume


@kernel
def _track(
    neighbours: np.ndarray, velocity: np.ndarray, fits: np.ndarray, coordinates: np.ndarray, shape: np.ndarray,
    start: np.ndarray, cumulative: np.ndarray, diffusivities: np.ndarray, deposits: bool, count: int, seed: int,
    max_steps: int,
) -> tuple[np.ndarray, np.ndarray, int]:  # fmt: skip
    fate, depth, total = np.empty(count, np.int8), np.empty(count, np.float32), 0
    position = np.empty(3)  # within the voxel
    unit = 1.0 / 2097152.0
    diffusivity = diffusivities.max()
    ratios = np.sqrt(diffusivities / diffusivity)
    diffusive_time = _MAX_DISPLACEMENT * _MAX_DISPLACEMENT / (6.0 * diffusivity)
    for particle in range(count):
        state = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(particle) * np.uint64(0x2545F4914F6CDD1D)
        state, bits = _random(state)
        entry = int(np.searchsorted(cumulative, (bits >> np.uint64(11)) / 9007199254740992.0))
        i: Integer = np.int64(start[min(entry, start.size - 1)])
        position[:] = 0.5
        end, step = UNDECIDED, 0
        while step < max_steps and end == UNDECIDED:
            step += 1
            speed = 0.0
            for axis in range(3):
                low, high = velocity[i, axis], velocity[neighbours[i, 2 * axis + 1], axis]
                speed = max(speed, abs(low + (high - low) * position[axis]))
            time = diffusive_time if speed * diffusive_time <= _MAX_DISPLACEMENT else _MAX_DISPLACEMENT / speed
            amplitude = math.sqrt(6.0 * diffusivity * time)
            state, bits = _random(state)
            for half in range(2):  # convection, then diffusion
                for axis in range(3):
                    if half == 0:
                        low, high = velocity[i, axis], velocity[neighbours[i, 2 * axis + 1], axis]
                        new = position[axis] + time * (low + (high - low) * position[axis])
                    else:
                        integer = (bits >> np.uint64(21 * axis)) & np.uint64(0x1FFFFF)
                        new = position[axis] + (amplitude * ratios[axis]) * (
                            2.0 * (np.float64(integer) + 0.5) * unit - 1.0
                        )
                    if 0.0 <= new <= 1.0:
                        position[axis] = new
                        continue
                    direction = 1 if new > 1.0 else -1
                    j, outcome = _cross(neighbours, fits, coordinates, shape, i, axis, direction, half == 0)
                    if outcome == _MOVES:
                        i = j
                        position[axis] = new - direction
                    elif (outcome == DEPOSITED and not deposits) or outcome == _REFLECTED:
                        position[axis] = (2.0 if direction > 0 else 0.0) - new  # reflected at the face
                    else:
                        end = outcome
                        break
                if end != UNDECIDED:
                    break
        fate[particle] = end
        depth[particle] = coordinates[i, 0] + position[0]
        total += step
    return fate, depth, total
