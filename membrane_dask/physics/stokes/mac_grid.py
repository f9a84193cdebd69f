"""The staggered marker-and-cell (MAC) grid of a flow through pores: its open faces and their flow resistances.

Velocities are located at the faces of the voxels, pressures at their centres [1]_. Lengths are in voxels: of voxels
that are not cubes, the velocity along an axis is that over the edge along it, and a unit pressure difference is that of
neighbouring voxels. Mass and the work of pressures are then those of cubes; only the friction between neighbouring
velocities depends on the direction (:attr:`Grid.links`).

References
----------
.. [1] F. H. Harlow and J. E. Welch, "Numerical calculation of time-dependent viscous incompressible flow of fluid with
   free surface", Physics of Fluids 8, 2182, 1965.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel, kernel
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.edge_resistance import edge_resistances
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, is_cube

LateralBoundary = Literal["symmetric", "periodic", "no_slip"]
WallModel = Literal["smooth", "staircase"]
#: Resistance of a closed face: its velocity is negligible, so that kernels need no branch for closed faces.
CLOSED = np.float32(1e20)
#: Code of a cell that is periodic along all axes, after those of the lateral boundaries.
_ALL_PERIODIC = 3
#: Ends of a channel: none within the volume, a wall, an edge of the solid, the boundary of the volume.
_CONTINUES, _WALL, _EDGE, _BOUNDARY = range(4)


def flow_pores(pores: np.ndarray, lateral_boundary: LateralBoundary) -> np.ndarray:
    """Find the pores through which liquid flows: the percolating ones.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels.
    lateral_boundary : {'symmetric', 'periodic', 'no_slip'}
        Condition at the faces at low and high y and x.

    Returns
    -------
    (z, y, x) ndarray of bool
        Percolating pores; none where no path percolates.

    Raises
    ------
    PhysicsError
        If there is neither solid nor a wall that resists the flow.
    """
    cluster = percolating(pores, periodic=lateral_boundary == "periodic")
    if lateral_boundary != "no_slip" and cluster.all():
        raise PhysicsError(
            "pores: the volume holds no solid, so nothing resists the flow; check which phase the pores are"
        )
    return cluster


@dataclass(frozen=True)
class Grid:
    """Percolating pore voxels of a volume, and the faces between them through which liquid flows from low to high z.

    Parameters
    ----------
    shape : tuple of int
        Voxels along ``z, y, x``.
    coordinates : (n, 3) ndarray of int16
        Indices ``z, y, x`` of the percolating pore voxels, in C order.
    neighbours : (m + 1, 6) ndarray of int32
        Pore voxels across the faces at low and high ``z, y, x``; ``m`` where there is none. Those from ``n`` on are
        ghost voxels beyond the face of the volume at high z.
    resistance : (m + 1, 3) ndarray of float32
        Diagonal of the momentum equation at the faces at low ``z, y, x``: the sum of the links to the six
        neighbouring velocities.
    inlets : int
        Number of pore voxels at the face at low z, which come first.
    ground : (k,) ndarray of int
        Pore voxels of a periodic cell whose pressures are the origin, one in each of its clusters; empty for a volume
        between two faces.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.
    """

    shape: tuple[int, ...]
    coordinates: np.ndarray
    neighbours: np.ndarray
    resistance: np.ndarray
    inlets: int
    ground: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    spacing: Spacing = CUBE

    @classmethod
    def of(
        cls, pores: np.ndarray, lateral_boundary: LateralBoundary = "symmetric", wall_model: WallModel = "smooth",
        spacing: Spacing = CUBE,
    ) -> Grid:  # fmt: skip
        """Build the grid of the percolating pores of a volume.

        Parameters
        ----------
        pores : (z, y, x) ndarray of bool
            Pore voxels.
        lateral_boundary : {'symmetric', 'periodic', 'no_slip'}
            Condition at the faces at low and high y and x: a symmetry plane, periodicity, or a wall without slip. At
            the faces at low and high z the flow is normal to the face (symmetry planes).
        wall_model : {'smooth', 'staircase'}
            Whether the voxels sample a body with a smooth surface, or are the body itself, whose edges add
            resistance. The difference vanishes as the voxels become finer.
        spacing : tuple of float
            Edges of a voxel along ``z, y, x``, over the shortest one.

        Returns
        -------
        Grid

        Raises
        ------
        PhysicsError
            If no path percolates, or if there is no solid that resists the flow.
        """
        pores = flow_pores(pores, lateral_boundary)
        if not pores.any():
            raise PhysicsError("no path through the pores connects the face at low z to the face at high z")
        return cls.of_percolating(pores, lateral_boundary, wall_model, spacing=spacing)

    @classmethod
    def of_percolating(
        cls, pores: np.ndarray, lateral_boundary: LateralBoundary = "symmetric",
        wall_model: WallModel | None = "smooth", open_ends: tuple[bool, bool] = (True, True),
        spacing: Spacing = CUBE,
    ) -> Grid:  # fmt: skip
        """Build the grid of pores that are known to percolate, or of some planes of them.

        Parameters
        ----------
        pores : (z, y, x) ndarray of bool
            Pore voxels, all percolating.
        lateral_boundary : {'symmetric', 'periodic', 'no_slip'}
            Condition at the faces at low and high y and x.
        wall_model : {'smooth', 'staircase'}, optional
            Model of the solid's surface; None for a grid without resistances.
        open_ends : tuple of bool
            Whether the first and the last plane are those of the volume; no liquid flows through the outer faces of
            planes that are not.
        spacing : tuple of float
            Edges of a voxel along ``z, y, x``, over the shortest one.

        Returns
        -------
        Grid
        """
        boundary = ("symmetric", "periodic", "no_slip").index(lateral_boundary)
        index, inlets, n = _voxel_indices(pores)
        neighbours = _neighbours(index, n, lateral_boundary == "periodic", False)
        if wall_model is None:
            resistance = np.empty((0, 3), np.float32)
        else:
            edges = link_weights(spacing), *edge_resistances(spacing)
            resistance = _resistance(index, neighbours, n, boundary, wall_model == "staircase", *edges)
        del index
        grid = cls(pores.shape, _coordinates(pores, n), neighbours, resistance, inlets, spacing=spacing)
        return grid.close_ends(open_ends)

    @classmethod
    def of_periodic_cell(
        cls, pores: np.ndarray, ground: np.ndarray, wall_model: WallModel = "smooth", spacing: Spacing = CUBE
    ) -> Grid:
        """Build the grid of a cell that is repeated along all three axes, through which a unit force along z acts.

        Parameters
        ----------
        pores : (z, y, x) ndarray of bool
            Pore voxels, all of which lead to other images of the cell.
        ground : (k,) ndarray of int
            A pore voxel of each cluster, by its number in C order among the pore voxels.
        wall_model : {'smooth', 'staircase'}
            As in :meth:`of`.
        spacing : tuple of float
            Edges of a voxel along ``z, y, x``, over the shortest one.

        Returns
        -------
        Grid
            Without inlets and ghost voxels.
        """
        index, _, n = _voxel_indices(pores)
        neighbours = _neighbours(index, n, True, True)
        edges = link_weights(spacing), *edge_resistances(spacing)
        resistance = _resistance(index, neighbours, n, _ALL_PERIODIC, wall_model == "staircase", *edges)
        return cls(pores.shape, _coordinates(pores, n), neighbours, resistance, 0, ground, spacing)

    def close_ends(self, open_ends: tuple[bool, bool]) -> Grid:
        """Close the outer faces of the first and the last plane where these are not open, in place."""
        if len(self.resistance):
            if not open_ends[0]:
                self.resistance[: self.inlets, 0] = CLOSED
            if not open_ends[1]:
                self.resistance[self.n :] = CLOSED
        return self

    @property
    def n(self) -> int:
        """Number of pore voxels."""
        return len(self.coordinates)

    @property
    def m(self) -> int:
        """Number of pore voxels and ghost voxels."""
        return len(self.neighbours) - 1

    @property
    def size(self) -> int:
        """Number of voxels of the volume."""
        return int(np.prod(self.shape))

    @property
    def links(self) -> np.ndarray | None:
        """Friction between neighbouring velocities along each axis (rows) across each axis, float32; None for cubes."""
        return None if is_cube(self.spacing) else link_weights(self.spacing).astype(np.float32)

    @property
    def operator(self) -> tuple[np.ndarray, np.ndarray, int, int, np.ndarray | None]:
        """First arguments of the kernels: neighbours, resistances, numbers of inlets and of pore voxels, links."""
        return self.neighbours, self.resistance, self.inlets, self.n, self.links

    @property
    def permeability_unit(self) -> float:
        """Permeability of a mean velocity of 1 under a unit force, in the unit of the spacing, squared."""
        return self.spacing[0] * self.spacing[0]

    def control_volumes(self) -> np.ndarray:
        """Control volume of each velocity, ``(m + 1, 3)`` float32: 1, half at the ends, 0 at closed faces."""
        volumes = (self.resistance < CLOSED).astype(np.float32)
        volumes[: self.inlets, 0] *= 0.5
        volumes[self.n :, 0] *= 0.5
        return volumes

    def fluxes(self, velocity: np.ndarray) -> np.ndarray:
        """Flux through every plane of faces along z, ``(n_z + 1,)``; ``(n_z,)`` of a periodic cell."""
        if len(self.ground):
            return np.bincount(self.coordinates[:, 0], velocity[: self.m, 0], self.shape[0])
        plane = np.append(self.coordinates[:, 0], np.full(self.m - self.n, self.shape[0]))
        return np.bincount(plane, velocity[: self.m, 0], self.shape[0] + 1)

    def at_centres(self, velocity: np.ndarray) -> np.ndarray:
        """Velocities at the centres of the pore voxels, ``(n, 3)``: means over opposite faces.

        In the unit of the spacing, squared, under a unit pressure gradient and viscosity.
        """
        mean = velocity[: self.n].copy()
        for axis in range(3):
            mean[:, axis] += velocity[self.neighbours[: self.n, 2 * axis + 1], axis]
        mean *= 0.5
        if not is_cube(self.spacing):
            mean *= (np.array(self.spacing) * self.spacing[0]).astype(mean.dtype)
        return mean


def link_weights(spacing: Spacing) -> np.ndarray:
    """Friction ``(h_c / h_k)^2`` of a velocity along ``c`` between neighbours across ``k``, ``(3, 3)``."""
    edges = np.array(spacing)
    return np.asarray(np.square(edges[:, None] / edges))


@kernel
def _coordinates(pores: np.ndarray, n: int) -> np.ndarray:
    n_z, n_y, n_x = pores.shape
    coordinates, i = np.empty((n, 3), np.int16), 0
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                if pores[z, y, x]:
                    coordinates[i, 0], coordinates[i, 1], coordinates[i, 2] = z, y, x
                    i += 1
    return coordinates


@kernel
def _voxel_indices(pores: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Index of each pore voxel, -1 in the solid; numbers of pore voxels in the first plane and in all."""
    n_z, n_y, n_x = pores.shape
    index, n, inlets = np.full(pores.shape, -1, np.int32), 0, 0
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                if pores[z, y, x]:
                    index[z, y, x] = n
                    n += 1
        if z == 0:
            inlets = n
    return index, inlets, n


@kernel
def _neighbours(index: np.ndarray, n: int, periodic: bool, periodic_z: bool) -> np.ndarray:
    n_z, n_y, n_x = index.shape
    ghosts, m = np.full((n_y, n_x), -1, np.int32), n
    for y in range(n_y):
        for x in range(n_x):
            if index[n_z - 1, y, x] >= 0 and not periodic_z:
                ghosts[y, x] = m
                m += 1
    neighbours = np.full((m + 1, 6), m, np.int32)
    for z in range(n_z + 1):
        plane = index[z] if z < n_z else ghosts
        above = index[z + 1] if z + 1 < n_z else (index[0] if periodic_z else ghosts)
        below = z - 1 if z > 0 else n_z - 1
        for y in range(n_y):
            for x in range(n_x):
                i = plane[y, x]
                if i < 0:
                    continue
                if (z > 0 or periodic_z) and index[below, y, x] >= 0:
                    neighbours[i, 0] = index[below, y, x]
                if z < n_z and above[y, x] >= 0:
                    neighbours[i, 1] = above[y, x]
                for side in range(4):
                    v = y + 2 * side - 1 if side < 2 else y
                    u = x + 2 * side - 5 if side >= 2 else x
                    if not (0 <= v < n_y and 0 <= u < n_x):
                        if not periodic:
                            continue
                        v, u = v % n_y, u % n_x
                    if plane[v, u] >= 0:
                        neighbours[i, 2 + side] = plane[v, u]
    return neighbours


@inline_kernel
def _open_on_both_sides(neighbours: np.ndarray, i: Integer, k: Integer, low: int, high: int) -> bool:
    """Whether the face between pore voxels ``i`` and ``k`` has open faces at its low and its high side."""
    m = neighbours.shape[0] - 1
    return bool(max(max(neighbours[i, low], neighbours[k, low]), max(neighbours[i, high], neighbours[k, high])) < m)


@inline_kernel
def _channel_end(
    neighbours: np.ndarray, i: Integer, k: Integer, side: int, position: int, size: int, bounded: bool
) -> tuple[int, int]:
    """Number of open faces from a face to the end of its channel, and the kind of this end.

    ``i`` and ``k`` are the pore voxels on both sides of the face, ``position`` is their index along the axis, and
    ``bounded`` is whether the volume ends there rather than being periodic.
    """
    m = neighbours.shape[0] - 1
    steps, direction = 0, 2 * (side % 2) - 1
    while steps < size:
        position += direction
        if bounded and not 0 <= position < size:
            return steps, _BOUNDARY
        i, k = neighbours[i, side], neighbours[k, side]
        if i == m and k == m:
            return steps, _WALL
        if i == m or k == m:
            return steps, _EDGE
        steps += 1
    return steps, _CONTINUES


@kernel
def _resistance(
    index: np.ndarray, neighbours: np.ndarray, n: int, lateral: int, staircase: bool, links: np.ndarray,
    across_edge: np.ndarray, along_edge: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Resistances of the faces: sums of the links to their six neighbours; links to walls are stiffer.

    A wall is half a voxel away from the velocities along it. Between two walls at a distance W, the discrete balance
    of forces yields the mean of the exact parabola over each voxel if the link to the wall is 6 W / (3 W - 2) rather
    than 2; W is measured across the channel, from wall to wall. ``lateral`` is 0 for symmetry planes, 1 for a volume
    that is periodic along y and x, 2 for walls, 3 for a periodic cell; ``staircase`` is whether the edges of the voxels
    add resistance, that of :func:`membrane_dask.physics.stokes.edge_resistance.edge_resistances`. ``links`` are of
    :func:`link_weights`.
    """
    n_z, n_y, n_x = index.shape
    m = neighbours.shape[0] - 1
    size = (n_z, n_y, n_x)
    cell = lateral == _ALL_PERIODIC
    resistance = np.full((m + 1, 3), CLOSED, np.float32)
    for z in range(n_z + 1):
        for y in range(n_y):
            for x in range(n_x):
                if index[min(z, n_z - 1), y, x] < 0 or (cell and z == n_z):
                    continue
                i = np.int64(index[z, y, x] if z < n_z else neighbours[index[z - 1, y, x], 1])
                position = (z, y, x)
                for c in range(3):
                    end = c == 0 and (z == 0 or z == n_z) and not cell
                    k = i if end else np.int64(neighbours[i, 2 * c])
                    if k == m or (z == n_z and c > 0):
                        continue
                    total = 0.0
                    for t in range(3):
                        if t == c:
                            continue
                        bounded = not cell and (lateral != 1 or t == 0)
                        mirror = bounded and t > 0 and lateral == 0
                        inside = t > 0 or 0 < z < n_z - 1 or cell
                        if inside and _open_on_both_sides(neighbours, i, k, 2 * t, 2 * t + 1):
                            total += 2.0 * links[c, t]
                            continue
                        low, low_end = _channel_end(neighbours, i, k, 2 * t, position[t], size[t], bounded)
                        high, high_end = _channel_end(neighbours, i, k, 2 * t + 1, position[t], size[t], bounded)
                        width = low + high + 1 + 0.5 * (low_end == _EDGE) + 0.5 * (high_end == _EDGE)
                        if mirror and (low_end == _BOUNDARY or high_end == _BOUNDARY):
                            width *= 2
                        for steps, kind in ((low, low_end), (high, high_end)):
                            if steps > 0 or kind == _CONTINUES:
                                total += links[c, t]
                            elif kind == _EDGE:
                                total += links[c, t] * (1.0 + staircase * across_edge[c, t])
                            elif kind == _BOUNDARY and mirror:
                                total += 0.0
                            elif kind == _BOUNDARY and t == 0:
                                total += 2.0 * links[c, t]
                            else:
                                total += links[c, t] * (6 * width / (3 * width - 2))
                    if staircase:
                        total += _edges_along(
                            neighbours, i, k, c, position, size, lateral % 2 == 0, not cell, along_edge[c]
                        )
                    resistance[i, c] = 0.5 * total + 1.0 if end else total + 2.0
    return resistance


@inline_kernel
def _edges_along(
    neighbours: np.ndarray,
    i: Integer,
    k: Integer,
    c: int,
    position: tuple[int, ...],
    size: tuple[int, ...],
    bounded: bool,
    bounded_z: bool,
    resistance: np.ndarray,
) -> float:
    """Resistance of solid edges next to a velocity and parallel to it; an edge along half its length counts half."""
    m = neighbours.shape[0] - 1
    t, u = (c + 1) % 3, (c + 2) % 3
    corners, walls_t, walls_u = 0.0, 0.0, 0.0
    for a in range(2):
        if (bounded_z if t == 0 else bounded) and not 0 <= position[t] + 2 * a - 1 < size[t]:
            continue
        t_i, t_k = neighbours[i, 2 * t + a], neighbours[k, 2 * t + a]
        t_open = (t_i < m) + (t_k < m)
        for b in range(2):
            if (bounded_z if u == 0 else bounded) and not 0 <= position[u] + 2 * b - 1 < size[u]:
                continue
            u_i, u_k = neighbours[i, 2 * u + b], neighbours[k, 2 * u + b]
            u_open = (u_i < m) + (u_k < m)
            if t_open == 2:
                diagonal = (neighbours[t_i, 2 * u + b] < m) + (neighbours[t_k, 2 * u + b] < m)
            elif u_open == 2:
                diagonal = (neighbours[u_i, 2 * t + a] < m) + (neighbours[u_k, 2 * t + a] < m)
            else:
                continue
            if t_open == u_open == 2:
                corners += 1 - 0.5 * diagonal
            elif t_open == 0:
                walls_t += 0.5 * diagonal
            elif u_open == 0:
                walls_u += 0.5 * diagonal
    if resistance[0] == resistance[1] == resistance[2]:
        return float(resistance[0] * (corners + walls_t + walls_u))
    return float(resistance[0] * corners + resistance[1] * walls_t + resistance[2] * walls_u)
