"""Stokes flow by domain decomposition: the momentum equation is solved by slabs, the pressures of all at once.

The response of a velocity to pressures decays within a few pore radii, as the walls resist the flow everywhere. Each
slab therefore solves for its velocities together with those of a halo, which are discarded. What remains of this error
enters the bounds of the permeability as any other. The method is that of
:func:`membrane_dask.physics.stokes.solver.stokes`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics.stokes.bounds import BoundSums
from membrane_dask.physics.stokes.mac_grid import CLOSED, Grid, LateralBoundary, WallModel
from membrane_dask.physics.stokes.momentum import mobility, velocities, velocity_correction
from membrane_dask.physics.stokes.multigrid import Conduction
from membrane_dask.physics.stokes.operators import (
    add_darcy_velocity,
    bound_sums,
    forces,
    net_inflow,
    work_and_dissipation,
)
from membrane_dask.physics.voxel_spacing import CUBE, Spacing

#: Reads an array of the slab with a given number.
Reader = Callable[[int], np.ndarray]
#: Planes around a slab that its sums over faces depend on.
MARGIN = 2


def halo(max_radius: float, edge: float = 1.0) -> int:
    """Number of planes on each side of a slab for which its velocities are solved as well.

    Parameters
    ----------
    max_radius : float
        Radius of the widest pore.
    edge : float
        Distance of the planes, in the same unit.
    """
    return max(16, math.ceil(2 * max_radius / edge))


@dataclass(frozen=True)
class Window:
    """Planes ``start`` to ``stop`` of a slab within the planes ``low`` to ``high`` of a volume of ``depth`` planes."""

    low: int
    start: int
    stop: int
    high: int
    depth: int

    @property
    def open_ends(self) -> tuple[bool, bool]:
        """Whether the window includes the first and the last plane of the volume."""
        return self.low == 0, self.high == self.depth


@dataclass(frozen=True)
class Slabs:
    """Partition of a volume into slabs along its depth.

    Parameters
    ----------
    edges : tuple of int
        First plane of every slab, and the number of planes.
    first : (n_z + 1,) ndarray of int64
        Number of pore voxels before each plane, and in all.

    Notes
    -----
    Rows of the arrays of a slab are its pore voxels, in the order of :class:`Grid`. Arrays on the faces of the last
    slab continue with the ghost voxels beyond the end.
    """

    edges: tuple[int, ...]
    first: np.ndarray

    @property
    def depth(self) -> int:
        """Number of planes."""
        return self.edges[-1]

    def __len__(self) -> int:
        return len(self.edges) - 1

    def window(self, number: int, margin: int) -> Window:
        """Window of a slab with ``margin`` planes on each side, as far as the volume reaches."""
        start, stop = self.edges[number : number + 2]
        return Window(max(0, start - margin), start, stop, min(self.depth, stop + margin), self.depth)

    def owned_rows(self, window: Window, *, faces: bool = True) -> slice:
        """Rows, in arrays of a window, of the faces or of the pore voxels that belong to its slab."""
        start, stop = (int(self.first[plane] - self.first[window.low]) for plane in (window.start, window.stop))
        ghosts = int(self.first[-1] - self.first[-2]) if faces and window.stop == self.depth else 0
        return slice(start, stop + ghosts)

    def split(self, name: str, values: np.ndarray) -> dict[str, np.ndarray]:
        """Divide values of all pore voxels into those of the slabs, ``name_0``, ``name_1``, ..."""
        edges = self.first[list(self.edges)].tolist()
        return {f"{name}_{slab}": values[a:b] for slab, (a, b) in enumerate(itertools.pairwise(edges))}

    def gather(self, read: Reader, window: Window, rows: int) -> np.ndarray:
        """Assemble an array of a window from those of the slabs; rows beyond them are 0."""
        values, filled = np.empty(0), 0
        for number in range(len(self)):
            start, stop = self.edges[number : number + 2]
            if start >= window.high or stop <= window.low:
                continue
            slab_values = read(number)
            if not filled:
                values = np.zeros((rows, *slab_values.shape[1:]), slab_values.dtype)
            a, b = max(start, window.low), min(stop, window.high)
            last = len(slab_values) if b == stop else int(self.first[b] - self.first[start])
            piece = slab_values[int(self.first[a] - self.first[start]) : last]
            values[filled : filled + len(piece)] = piece
            filled += len(piece)
            del slab_values, piece
        return values

    def gather_all(self, read: Reader, rows: int) -> np.ndarray:
        """Assemble an array of the whole volume."""
        return self.gather(read, Window(0, 0, self.depth, self.depth, self.depth), rows)


@dataclass(frozen=True)
class Subdomain:
    """A slab with the planes around it, and the operations of the solver on them.

    Parameters
    ----------
    slabs : Slabs
        Partition of the volume.
    window : Window
        Planes of the subdomain.
    grid : Grid
        Pore voxels of these planes.
    """

    slabs: Slabs
    window: Window
    grid: Grid

    @classmethod
    def of(
        cls, slabs: Slabs, window: Window, pores: np.ndarray, lateral_boundary: LateralBoundary, resistance: Reader,
        spacing: Spacing = CUBE,
    ) -> Subdomain:  # fmt: skip
        """Build a subdomain from the percolating pores of its window and the resistances of the slabs."""
        grid = Grid.of_percolating(pores, lateral_boundary, None, spacing=spacing)
        values = slabs.gather(resistance, window, grid.m + 1)
        values[grid.m] = CLOSED
        return cls(slabs, window, replace(grid, resistance=values).close_ends(window.open_ends))

    def face_values(self, read: Reader) -> np.ndarray:
        """Values on the faces of the window, from those of the slabs."""
        return self.slabs.gather(read, self.window, self.grid.m + 1)

    def pore_values(self, read: Reader) -> np.ndarray:
        """Values of the pore voxels of the window, from those of the slabs."""
        return self.slabs.gather(read, self.window, self.grid.n)

    def owned(self, values: np.ndarray) -> np.ndarray:
        """Values on the faces that belong to the slab, from those of the window."""
        return values[self.slabs.owned_rows(self.window)].copy()

    def net_inflow(self, velocity: np.ndarray) -> dict[str, np.ndarray]:
        """Net inflow through the slab's own faces.

        Parameters
        ----------
        velocity : (m + 1, 3) ndarray of float32
            Velocities on the faces of the window.

        Returns
        -------
        dict of str to ndarray
            ``inflow`` into the pore voxels of the slab, ``inflow_before`` into those of the plane before it.
        """
        faces = self.slabs.owned_rows(self.window)
        own_velocity = np.zeros_like(velocity)
        own_velocity[faces] = velocity[faces]
        inflow = net_inflow(self.grid.neighbours, own_velocity, self.grid.n)
        rows = self.slabs.owned_rows(self.window, faces=False)
        previous = rows.start - int(
            self.slabs.first[self.window.start] - self.slabs.first[max(self.window.start - 1, 0)]
        )
        return {"inflow": inflow[rows].copy(), "inflow_before": inflow[previous : rows.start].copy()}

    def pressure_response(self, pressures: np.ndarray, tolerance: float) -> dict[str, np.ndarray]:
        """Velocities of the slab that pressures drive without any other force, and their net inflow."""
        velocity = velocities(self.grid, forces(*self.grid.operator, pressures, False), tolerance)
        return {"velocity": self.owned(velocity), **self.net_inflow(velocity)}

    def balance_momentum(self, velocity: np.ndarray, pressures: np.ndarray, tolerance: float) -> dict[str, np.ndarray]:
        """Velocities of the slab under pressures and a unit force along z, from approximate ones; their net inflow."""
        force = forces(*self.grid.operator, pressures, True)
        balanced = velocity_correction(self.grid, force, tolerance, velocity, self.window.open_ends)
        del force
        balanced += velocity
        return {"velocity": self.owned(balanced), **self.net_inflow(balanced)}

    def darcy_velocity(self, conductance: np.ndarray, pressures: np.ndarray) -> np.ndarray:
        """Velocities of the Darcy flow under pressures and a unit force along z."""
        zero = np.zeros_like(conductance)
        return add_darcy_velocity(*self.grid.operator, zero, conductance, pressures, True)

    def bound_sums(
        self, velocity: np.ndarray, pressures: np.ndarray, conductance: np.ndarray, correction: np.ndarray
    ) -> BoundSums:
        """Sums over the slab's own faces that bound the permeability."""
        own, operator = self.slabs.owned_rows(self.window), self.grid.operator
        force = forces(*operator, pressures, True)
        divergence_free = add_darcy_velocity(*operator, velocity, conductance, correction)
        return BoundSums(*bound_sums(*operator, own.start, own.stop, velocity, force, divergence_free))

    def work_and_dissipation(self, velocity: np.ndarray) -> tuple[float, float]:
        """Work of a unit force along z on the slab's own faces, and the dissipation there."""
        own = self.slabs.owned_rows(self.window)
        work, dissipation = work_and_dissipation(*self.grid.operator, own.start, own.stop, velocity)
        return float(work), float(dissipation)


def slab_mobility(
    slabs: Slabs, window: Window, pores: np.ndarray, lateral_boundary: LateralBoundary, wall_model: WallModel,
    spacing: Spacing = CUBE,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Compute the mobility of a slab.

    Parameters
    ----------
    slabs : Slabs
        Partition of the volume.
    window : Window
        Planes of the slab with its halo.
    pores : (z, y, x) ndarray of bool
        Percolating pores of the window.
    lateral_boundary, wall_model, spacing
        As in :meth:`Grid.of`.

    Returns
    -------
    dict of str to ndarray
        ``resistance`` and ``conductance`` of the slab's own faces, and ``min_eigenvalue``
        (:func:`membrane_dask.physics.stokes.momentum.mobility`).
    """
    grid = Grid.of_percolating(pores, lateral_boundary, wall_model, spacing=spacing)
    own = slabs.owned_rows(window)
    resistance = grid.resistance[own].copy()
    conductance, min_eigenvalue = mobility(grid.close_ends(window.open_ends))
    return {
        "resistance": resistance, "conductance": conductance[own].copy(), "min_eigenvalue": np.asarray(min_eigenvalue),
    }  # fmt: skip


def total_net_inflow(slabs: Slabs, read: Callable[[int], dict[str, np.ndarray]]) -> np.ndarray:
    """Net inflow of each pore voxel of the volume, from :meth:`Subdomain.net_inflow` of every slab."""
    total = np.zeros(int(slabs.first[-1]), np.float32)
    for number in range(len(slabs)):
        arrays, start = read(number), int(slabs.first[slabs.edges[number]])
        total[start : start + len(arrays["inflow"])] += arrays["inflow"]
        total[start - len(arrays["inflow_before"]) : start] += arrays["inflow_before"]
    return total


def global_darcy(
    slabs: Slabs, pores: np.ndarray, lateral_boundary: LateralBoundary, conductance: Reader
) -> tuple[Grid, Conduction]:
    """Grid without resistances and Darcy flow of the whole volume, from its percolating pores."""
    grid = Grid.of_percolating(pores, lateral_boundary, None)
    return grid, Conduction(grid.neighbours, slabs.gather_all(conductance, grid.m + 1), grid.coordinates)
