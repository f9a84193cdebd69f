"""The flow through a volume by slabs of its depth: velocities are found slab by slab, only the pressures together.

What a slab's velocities answer to pressures is decided within a few pore radii: walls all around hold the liquid
back. So each slab solves for its own with a halo about it, whose outcome is thrown away, and what is left of the
error goes into the bounds of the permeability as any other. The method is that of
:func:`membrane_dask.physics.stokes.stokes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics.stokes.mac_grid import CLOSED, Grid, Sides, Surface
from membrane_dask.physics.stokes.multigrid import Conduction
from membrane_dask.physics.stokes.solver import (
    Sums,
    added_up,
    corrected,
    forces,
    inflow,
    mobility,
    velocities,
    velocities_change,
    work_and_power,
)

#: Gives an array of the slab of a number.
Reader = Callable[[int], np.ndarray]
#: Planes about a slab that tell what its flow adds up to.
MARGIN = 2


def halo(widest: float) -> int:
    """Planes about a slab in which its velocities are solved for as well.

    Parameters
    ----------
    widest : float
        Radius of the widest pore, voxels.
    """
    return max(16, math.ceil(2 * widest))


@dataclass(frozen=True)
class Window:
    """Planes of a slab, from ``start`` to ``stop``, and those about it, from ``low`` to ``high``, of ``depth``."""

    low: int
    start: int
    stop: int
    high: int
    depth: int

    @property
    def ends(self) -> tuple[bool, bool]:
        """Whether it reaches to the volume's first and last plane."""
        return self.low == 0, self.high == self.depth


@dataclass(frozen=True)
class Slabs:
    """A volume cut along its depth.

    Parameters
    ----------
    edges : tuple of int
        First plane of every slab, and the number of planes.
    first : (n_z + 1,) ndarray of int64
        Pores before each plane, and how many there are.

    Notes
    -----
    Rows of a slab's arrays are its pores, as a :class:`Grid` numbers them; those of the last one's faces go on with
    the pores just beyond the end.
    """

    edges: tuple[int, ...]
    first: np.ndarray

    @property
    def depth(self) -> int:
        """Planes."""
        return self.edges[-1]

    def __len__(self) -> int:
        return len(self.edges) - 1

    def window(self, number: int, margin: int) -> Window:
        """A slab with so many planes about it."""
        start, stop = self.edges[number : number + 2]
        return Window(max(0, start - margin), start, stop, min(self.depth, stop + margin), self.depth)

    def own(self, window: Window, *, faces: bool = True) -> slice:
        """Rows of the slab's own pores, or faces, in the grid of a window."""
        start, stop = (int(self.first[plane] - self.first[window.low]) for plane in (window.start, window.stop))
        beyond = int(self.first[-1] - self.first[-2]) if faces and window.stop == self.depth else 0
        return slice(start, stop + beyond)

    def around(self, read: Reader, window: Window, rows: int) -> np.ndarray:
        """Rows of a window, from what the slabs hold; 0 beyond."""
        found, done = np.empty(0), 0
        for number in range(len(self)):
            start, stop = self.edges[number : number + 2]
            if start >= window.high or stop <= window.low:
                continue
            held = read(number)
            if not done:
                found = np.zeros((rows, *held.shape[1:]), held.dtype)
            a, b = max(start, window.low), min(stop, window.high)
            last = len(held) if b == stop else int(self.first[b] - self.first[start])
            piece = held[int(self.first[a] - self.first[start]) : last]
            found[done : done + len(piece)] = piece
            done += len(piece)
            del held, piece
        return found

    def whole(self, read: Reader, rows: int) -> np.ndarray:
        """Rows of the volume."""
        return self.around(read, Window(0, 0, self.depth, self.depth, self.depth), rows)


@dataclass(frozen=True)
class Section:
    """A slab and what is about it, ready to be worked on.

    Parameters
    ----------
    slabs : Slabs
        All of them.
    window : Window
        Its planes.
    grid : Grid
        Pores of these planes.
    """

    slabs: Slabs
    window: Window
    grid: Grid

    @classmethod
    def of(cls, slabs: Slabs, window: Window, pores: np.ndarray, sides: Sides, resistance: Reader) -> Section:
        """From the pores of the window and the resistances that the slabs hold."""
        bare = Grid.within(pores, sides, None)
        known = slabs.around(resistance, window, bare.m + 1)
        known[bare.m] = CLOSED
        return cls(slabs, window, replace(bare, resistance=known).cut(window.ends))

    def faces(self, read: Reader) -> np.ndarray:
        """Values on the faces, from what the slabs hold."""
        return self.slabs.around(read, self.window, self.grid.m + 1)

    def pores(self, read: Reader) -> np.ndarray:
        """Values of the pores, from what the slabs hold."""
        return self.slabs.around(read, self.window, self.grid.n)

    def own(self, values: np.ndarray) -> np.ndarray:
        """The slab's own part of values on the faces."""
        return values[self.slabs.own(self.window)].copy()

    def inflow(self, velocity: np.ndarray) -> dict[str, np.ndarray]:
        """What the slab's own faces bring into pores: its own, and those of the plane before."""
        own = self.slabs.own(self.window)
        mine = np.zeros_like(velocity)
        mine[own] = velocity[own]
        found = inflow(self.grid.neighbours, mine, self.grid.n)
        start = self.slabs.own(self.window, faces=False).start
        before = start - int(self.slabs.first[self.window.start] - self.slabs.first[max(self.window.start - 1, 0)])
        return {"inflow": found[self.slabs.own(self.window, faces=False)].copy(), "before": found[before:start].copy()}

    def answer(self, pressures: np.ndarray, inner: float) -> dict[str, np.ndarray]:
        """Velocities that pressures alone drive, and what they bring in."""
        found = velocities(self.grid, forces(*self.grid.operator, pressures, False), inner)
        return {"velocity": self.own(found), **self.inflow(found)}

    def balanced(self, velocity: np.ndarray, pressures: np.ndarray, inner: float) -> dict[str, np.ndarray]:
        """Velocities that balance pressures and a unit force along z, from some that nearly do."""
        driven = forces(*self.grid.operator, pressures, True)
        found = velocities_change(self.grid, driven, inner, velocity, self.window.ends)
        del driven
        found += velocity
        return {"velocity": self.own(found), **self.inflow(found)}

    def darcy_velocity(self, conductance: np.ndarray, pressures: np.ndarray) -> np.ndarray:
        """Velocities of the Darcy flow."""
        return corrected(*self.grid.operator, np.zeros_like(conductance), conductance, pressures, True)

    def sums(
        self, velocity: np.ndarray, pressures: np.ndarray, conductance: np.ndarray, correction: np.ndarray
    ) -> Sums:
        """What the slab's own faces add up to."""
        own, where = self.slabs.own(self.window), self.grid.operator
        driven = forces(*where, pressures, True)
        conserving = corrected(*where, velocity, conductance, correction)
        return Sums(*added_up(*where, own.start, own.stop, velocity, driven, conserving))

    def work_and_power(self, velocity: np.ndarray) -> tuple[float, float]:
        """Work of a unit force along z on the slab's own faces, and the power that is dissipated there."""
        own = self.slabs.own(self.window)
        through, power = work_and_power(*self.grid.operator, own.start, own.stop, velocity)
        return float(through), float(power)


def slab_mobility(
    slabs: Slabs, window: Window, pores: np.ndarray, sides: Sides, surface: Surface
) -> dict[str, np.ndarray]:
    """Resistances and conductances of a slab's own faces, and the smallest eigenvalue of what it solved."""
    grid = Grid.within(pores, sides, surface)
    own = slabs.own(window)
    resistance = grid.resistance[own].copy()
    conductance, slowest = mobility(grid.cut(window.ends))
    return {"resistance": resistance, "conductance": conductance[own].copy(), "slowest": np.asarray(slowest)}


def all_inflow(slabs: Slabs, read: Callable[[int], dict[str, np.ndarray]]) -> np.ndarray:
    """What flows into each pore and not out of it, from :meth:`Section.inflow` of every slab."""
    found = np.zeros(int(slabs.first[-1]), np.float32)
    for number in range(len(slabs)):
        part, start = read(number), int(slabs.first[slabs.edges[number]])
        found[start : start + len(part["inflow"])] += part["inflow"]
        found[start - len(part["before"]) : start] += part["before"]
    return found


def whole_darcy(slabs: Slabs, pores: np.ndarray, sides: Sides, conductance: Reader) -> tuple[Grid, Conduction]:
    """The pressures' solver of all slabs together."""
    grid = Grid.within(pores, sides, None)
    return grid, Conduction(grid.neighbours, slabs.whole(conductance, grid.m + 1), grid.places)
