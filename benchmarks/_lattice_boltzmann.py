"""Lattice Boltzmann solver in Numba, and the march to a steady permeability for all lattice Boltzmann runs.

D3Q19, two relaxation times, pore voxels only, single precision, linear equilibrium. The benchmark ``stokes.py``
compares it with the Stokes solver.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

#: Magic parameter of the two relaxation times, with which a wall lies half a voxel from the pore voxel.
MAGIC = 3 / 16
#: Half of the directions, ``z, y, x``; the others are opposite to them.
DIRECTIONS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1))
#: Steps of a lattice Boltzmann solver between two evaluations of the permeability.
STEPS_PER_CHECK = 20

Row = dict[str, Any]
#: Step, CPU seconds, wall seconds and permeability at each check.
History = list[tuple[int, float, float, float]]


class Clock:
    """CPU seconds and wall seconds since its creation."""

    def __init__(self) -> None:
        self.start = time.process_time(), time.perf_counter()

    def __call__(self) -> tuple[float, float]:
        """CPU seconds and wall seconds."""
        return time.process_time() - self.start[0], time.perf_counter() - self.start[1]


def first_converged(history: History, final: float) -> tuple[int, float, float, float]:
    """First entry after which the permeability stays within 1 % of its final value."""
    outside = [i for i, (*_, k) in enumerate(history) if not abs(k / final - 1) <= 0.01]
    return history[min(outside[-1] + 1 if outside else 0, len(history) - 1)]


def march(advance: Callable[[int], float], seconds: float) -> list[Row]:
    """Take steps until the permeability is steady or the CPU time is over.

    Steady means: it has changed by less than 0.2 % in the second half of the steps.
    """
    clock, history, interrupted = Clock(), [], True
    while True:
        k = advance(STEPS_PER_CHECK)
        history.append((STEPS_PER_CHECK * (len(history) + 1), *clock(), k))
        second_half = [k for *_, k in history[len(history) // 2 :]]
        if len(second_half) > 10 and max(second_half) - min(second_half) < 2e-3 * abs(k):
            interrupted = False
            break
        if history[-1][1] > seconds:
            break
    steps, cpu, wall, _ = first_converged(history, k)
    return [{"cpu": cpu, "wall": wall, "steps": steps, "k": k, "interrupted": interrupted, "total": history[-1][0]}]


def rates(viscosity: float) -> tuple[float, float]:
    """Relaxation rates of the even and of the odd moments."""
    even = 3 * viscosity + 0.5
    return 1 / even, 1 / (MAGIC / (even - 0.5) + 0.5)


@functools.cache
def compiled_step():  # type: ignore[no-untyped-def]
    """Compile a step in place: every second step reads from and writes to the neighbours (Bailey et al., ICPP 2009)."""
    from numba import njit

    f4 = np.float32
    z, y, x = (tuple(f4(direction[axis]) for direction in DIRECTIONS) for axis in range(3))
    weight = tuple(f4(1 / 18 if p < 3 else 1 / 36) for p in range(9))
    rest, half, one, two, three = f4(1 / 3), f4(0.5), f4(1), f4(2), f4(3)

    @njit(fastmath=True, nogil=True)
    def step(f, where, n, even_rate, odd_rate, swapped):
        total = 0.0
        for i in range(n):
            resting = f[18 * n + i]
            density, along_z, along_y, along_x = resting, half, f4(0), f4(0)  # half of the force, which is 1
            for p in range(9):
                a = where[2 * p + 1, i] if swapped else 2 * p * n + i
                b = where[2 * p, i] if swapped else (2 * p + 1) * n + i
                difference = f[a] - f[b]
                density += f[a] + f[b]
                along_z += z[p] * difference
                along_y += y[p] * difference
                along_x += x[p] * difference
            total += along_z
            f[18 * n + i] = resting - even_rate * (resting - rest * density)
            for p in range(9):
                a = where[2 * p + 1, i] if swapped else 2 * p * n + i
                b = where[2 * p, i] if swapped else (2 * p + 1) * n + i
                forward, backward = f[a], f[b]
                drift = three * weight[p] * (z[p] * along_z + y[p] * along_y + x[p] * along_x)
                even = half * even_rate * (forward + backward - two * weight[p] * density)
                odd = (
                    odd_rate * (half * (forward - backward) - drift)
                    - (one - half * odd_rate) * three * weight[p] * z[p]
                )
                f[b] = forward - even - odd
                f[a] = backward - even + odd
        return total

    return step


@functools.cache
def compiled_plain_step():  # type: ignore[no-untyped-def]
    """Compile a step from one array into another: collide, then move to the neighbour or bounce back at the solid."""
    from numba import njit

    pairs = np.float32(DIRECTIONS)
    weights = np.float32([1 / 18 if p < 3 else 1 / 36 for p in range(9)])
    f4 = np.float32

    @njit(fastmath=True, nogil=True)
    def step(f, g, where, n, even_rate, odd_rate):
        total = 0.0
        for i in range(n):
            resting = f[18 * n + i]
            density, along = resting, np.zeros(3, np.float32)
            along[0] = f4(0.5)  # half of the force, which is 1
            for p in range(9):
                forward, backward = f[2 * p * n + i], f[(2 * p + 1) * n + i]
                density += forward + backward
                for axis in range(3):
                    along[axis] += pairs[p, axis] * (forward - backward)
            total += along[0]
            g[18 * n + i] = resting - even_rate * (resting - density / f4(3))
            for p in range(9):
                forward, backward, weight = f[2 * p * n + i], f[(2 * p + 1) * n + i], f4(3) * weights[p]
                drift = f4(0)
                for axis in range(3):
                    drift += weight * pairs[p, axis] * along[axis]
                even = f4(0.5) * even_rate * (forward + backward - f4(2) * weights[p] * density)
                odd = odd_rate * (f4(0.5) * (forward - backward) - drift)
                odd -= (f4(1) - f4(0.5) * odd_rate) * weight * pairs[p, 0]
                g[where[2 * p, i]] = forward - even - odd
                g[where[2 * p + 1, i]] = backward - even + odd
        return total

    return step


def lattice(pores: np.ndarray, seconds: float, viscosity: float, plain: bool = False) -> list[Row]:
    """Permeability by the solver of this module.

    Populations are stored as differences from those of a liquid at rest. ``plain`` uses two arrays, otherwise one array
    is updated in place.
    """
    step = compiled_plain_step() if plain else compiled_step()
    n = int(pores.sum())

    def prepare() -> tuple[np.ndarray, list[np.ndarray]]:
        number = np.full(pores.shape, -1, np.int32)
        number[pores] = np.arange(n)
        where = np.empty((18, n), np.int32)
        for q in range(18):
            shift = [(2 * (q % 2) - 1) * c for c in DIRECTIONS[q // 2]]
            target = np.roll(number, shift, (0, 1, 2))[pores]
            where[q] = np.where(target >= 0, q * n + target, (q ^ 1) * n + np.arange(n, dtype=np.int32))
        return where, [np.zeros(19 * n, np.float32) for _ in range(2 if plain else 1)]

    clock = Clock()
    where, f = prepare()
    cpu, wall = clock()
    even, odd = map(np.float32, rates(viscosity))

    def advance(steps: int) -> float:
        for i in range(steps):
            total = (
                step(f[i % 2], f[1 - i % 2], where, n, even, odd)
                if plain
                else step(f[0], where, n, even, odd, i % 2 == 1)
            )
        return viscosity * total / pores.size

    (row,) = march(advance, seconds)
    row["cpu"], row["wall"] = row["cpu"] + cpu, row["wall"] + wall
    return [row]
