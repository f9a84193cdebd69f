"""Balls on their way through the pores, one by one: carried by the flow, jostled by Brownian motion.

The check on :mod:`membrane_dask.physics.retention`, which solves for all of them at once, and what tells where they
are caught. Lengths are voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.transport.retention import Collision, bernoulli

#: Largest part of a voxel by which a ball moves at once.
_STEP = 0.25
#: What becomes of a ball.
PASSED, CAUGHT, RETURNED, UNDECIDED = range(4)


@dataclass(frozen=True)
class Walks:
    """What became of balls that came in.

    Parameters
    ----------
    fate : (count,) ndarray of int8
        ``PASSED``, ``CAUGHT``, ``RETURNED`` to the feed, or ``UNDECIDED`` when the steps were used up.
    depth : (count,) ndarray of float32
        Where each was at last.
    steps : int
        Of all of them together.
    entered : float
        What comes in by convection and diffusion together, over what the liquid would carry in.
    """

    fate: np.ndarray
    depth: np.ndarray
    steps: int
    entered: float

    @property
    def passage(self) -> float:
        """Concentration behind over that in the feed."""
        return self.entered * float((self.fate == PASSED).mean())


def walk(
    grid: Grid,
    velocity: np.ndarray,
    clearance: np.ndarray,
    radius: float,
    diffusivity: float,
    collision: Collision,
    count: int,
    seed: int,
    most: int = 10_000_000,
) -> Walks:
    """Let balls into the pores, each until something becomes of it.

    Parameters
    ----------
    grid, velocity, clearance, radius, diffusivity, collision
        As of :func:`membrane_dask.physics.retention.passage`.
    count : int
        How many, > 0.
    seed : int
        Of their random numbers; each ball has its own, whatever their count.
    most : int
        Steps of a ball after which it stays undecided.

    Returns
    -------
    Walks

    Notes
    -----
    Velocities change evenly between the two faces of a voxel (Pollock, Ground Water 26, 743, 1988), as in the finite
    volumes. A step is so short that neither part moves a ball by more than a quarter of a voxel; its Brownian part is
    even over a cube of the right variance. Balls come in at the rates at which a well-mixed feed sends them, and
    leave with the liquid.
    """
    start = np.flatnonzero(clearance[: grid.inlets] >= radius)
    if not len(start):
        return Walks(np.zeros(0, np.int8), np.zeros(0, np.float32), 0, 0.0)
    inward = velocity[start, 0].astype(float)
    rates = 2 * diffusivity * np.array([bernoulli(-0.5 * u / diffusivity) for u in inward])
    fate, depth, steps = _walk(
        grid.neighbours, velocity, clearance >= radius, grid.places, np.array(grid.shape), start,
        np.cumsum(rates) / rates.sum(), diffusivity, collision == "touch", count, seed, most,
    )  # fmt: skip
    return Walks(fate, depth, steps, float(rates.sum()) / float(grid.fluxes(velocity)[0]))


@inline_kernel
def _random(state):
    """Next state and 64 random bits (SplitMix)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, z ^ (z >> np.uint64(31))


@inline_kernel
def _cross(neighbours, open_, places, shape, i, axis, ahead, carried):
    """Where a ball comes by the face of a pore: there, and what becomes of it; -1 if it moves on, -2 if it bounces."""
    n = open_.size
    at = np.int64(places[i, axis]) + ahead
    if axis == 0 and at < 0:
        return i, RETURNED
    if axis == 0 and at >= shape[0]:
        return i, (PASSED if carried else -2)
    j = np.int64(neighbours[i, 2 * axis + (ahead > 0)])
    if j < n and open_[j]:
        return j, -1
    if j < n or 0 <= at < shape[axis]:
        return i, CAUGHT
    return i, -2  # a mirror, or a wall of the volume


@kernel
def _walk(neighbours, velocity, open_, places, shape, start, chances, diffusivity, sticks, count, seed, most):
    fate, depth, total = np.empty(count, np.int8), np.empty(count, np.float32), 0
    within = np.empty(3)
    scale = 1.0 / 2097152.0
    longest = _STEP * _STEP / (6.0 * diffusivity)
    for ball in range(count):
        state = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(ball) * np.uint64(0x2545F4914F6CDD1D)
        state, bits = _random(state)
        i = np.int64(start[min(np.searchsorted(chances, (bits >> np.uint64(11)) / 9007199254740992.0), start.size - 1)])
        within[:] = 0.5
        end, step = UNDECIDED, 0
        while step < most and end == UNDECIDED:
            step += 1
            fastest = 0.0
            for axis in range(3):
                low, high = velocity[i, axis], velocity[neighbours[i, 2 * axis + 1], axis]
                fastest = max(fastest, abs(low + (high - low) * within[axis]))
            time = longest if fastest * longest <= _STEP else _STEP / fastest
            reach = math.sqrt(6.0 * diffusivity * time)
            state, bits = _random(state)
            for half in range(2):  # carried, then jostled
                for axis in range(3):
                    if half == 0:
                        low, high = velocity[i, axis], velocity[neighbours[i, 2 * axis + 1], axis]
                        moved = within[axis] + time * (low + (high - low) * within[axis])
                    else:
                        part_ = (bits >> np.uint64(21 * axis)) & np.uint64(0x1FFFFF)
                        moved = within[axis] + reach * (2.0 * (np.float64(part_) + 0.5) * scale - 1.0)
                    if 0.0 <= moved <= 1.0:
                        within[axis] = moved
                        continue
                    ahead = 1 if moved > 1.0 else -1
                    j, outcome = _cross(neighbours, open_, places, shape, i, axis, ahead, half == 0)
                    if outcome == -1:
                        i = j
                        within[axis] = moved - ahead
                    elif (outcome == CAUGHT and not sticks) or outcome == -2:
                        within[axis] = (2.0 if ahead > 0 else 0.0) - moved  # back from the wall
                    else:
                        end = outcome
                        break
                if end != UNDECIDED:
                    break
        fate[ball] = end
        depth[ball] = places[i, 0] + within[0]
        total += step
    return fate, depth, total
