"""The staggered grid of a flow through pores: which faces it crosses, and how the solid resists it.

Velocities stand on the faces of the voxels, pressures in their middles (Harlow and Welch, Phys. Fluids 8, 2182,
1965). Lengths are voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.networks.pore_network import PhysicsError

Sides = Literal["symmetric", "periodic", "wall"]
Surface = Literal["smooth", "voxels"]
#: Resistance of a face that is closed: its velocity is nothing beside the others, and no kernel need ask.
CLOSED = np.float32(1e20)
#: Where the solid's surface is that of its voxels, velocities beside its edges meet more resistance. With these the
#: exact flow about an edge balances there: r^(2/3) along it, and across it that of exponent 0.544 (Moffatt, J. Fluid
#: Mech. 18, 1, 1964).
_ALONG_EDGE, _ACROSS_EDGE = 0.258, 1.263


@dataclass(frozen=True)
class Grid:
    """The faces between the pores of a volume through which liquid can flow from low to high z.

    Parameters
    ----------
    shape : tuple of int
        Voxels along ``z, y, x``.
    places : (n, 3) ndarray of int16
        ``z, y, x`` of the pores from which there is a way to both ends, plane by plane.
    neighbours : (m + 1, 6) ndarray of int32
        Pores across the faces at low and high ``z, y, x``; ``m`` where there is none. Those from ``n`` on lie just
        beyond the face at high z.
    resistance : (m + 1, 3) ndarray of float32
        Of the faces at low ``z, y, x``: what the velocity there is multiplied with in its balance of forces.
    inlets : int
        How many of the first pores lie at the face at low z.
    """

    shape: tuple[int, ...]
    places: np.ndarray
    neighbours: np.ndarray
    resistance: np.ndarray
    inlets: int

    @classmethod
    def of(cls, pores: np.ndarray, sides: Sides = "symmetric", surface: Surface = "smooth") -> Grid:
        """From pores ``(z, y, x)`` bool.

        Parameters
        ----------
        pores : (z, y, x) ndarray of bool
            The pores.
        sides : {'symmetric', 'periodic', 'wall'}
            What lies beyond the faces at low and high y and x: the volume's mirror image, the volume once more, or a
            wall without slip. Beyond the ends lies the mirror image, whose flow comes in at right angles.
        surface : {'smooth', 'voxels'}
            Whether the voxels are samples of a body with a smooth surface, or the body itself with all their edges,
            which hold the liquid back. The finer the voxels, the less the two differ.

        Raises
        ------
        PhysicsError
            If no way leads through, or nothing holds the liquid back.
        """
        through = percolating(pores, periodic=sides == "periodic")
        if not through.any():
            raise PhysicsError("no way leads through the pores from the face at low z to that at high z")
        if sides != "wall" and through.all():
            raise PhysicsError("there is no solid to hold the liquid back; check which phase the pores are (pores)")
        return cls.within(through, sides, surface)

    @classmethod
    def within(
        cls, pores: np.ndarray, sides: Sides = "symmetric", surface: Surface | None = "smooth",
        ends: tuple[bool, bool] = (True, True),
    ) -> Grid:  # fmt: skip
        """From pores that are known to lead through, or from some planes of them.

        Parameters
        ----------
        pores : (z, y, x) ndarray of bool
            The pores.
        sides : {'symmetric', 'periodic', 'wall'}
            What lies beyond the sides.
        surface : {'smooth', 'voxels'}, optional
            How the solid's surface is read; without it the grid has no resistances.
        ends : tuple of bool
            Whether the first and the last plane are the volume's; where one is not, nothing flows across its face.
        """
        kind = ("symmetric", "periodic", "wall").index(sides)
        numbers, inlets, n = _numbered(pores)
        neighbours = _neighbours(numbers, n, sides == "periodic")
        if surface is None:
            resistance = np.empty((0, 3), np.float32)
        else:
            resistance = _resistance(numbers, neighbours, n, kind, surface == "voxels")
        del numbers
        return cls(pores.shape, _places(pores, n), neighbours, resistance, inlets).cut(ends)

    def cut(self, ends: tuple[bool, bool]) -> Grid:
        """The same grid, closed at those ends that are not the volume's."""
        if len(self.resistance):
            if not ends[0]:
                self.resistance[: self.inlets, 0] = CLOSED
            if not ends[1]:
                self.resistance[self.n :] = CLOSED
        return self

    @property
    def n(self) -> int:
        """Number of pores."""
        return len(self.places)

    @property
    def m(self) -> int:
        """Number of pores with those just beyond the end."""
        return len(self.neighbours) - 1

    @property
    def size(self) -> int:
        """Voxels of the volume."""
        return int(np.prod(self.shape))

    @property
    def operator(self) -> tuple[np.ndarray, np.ndarray, int, int]:
        """What the kernels need to know."""
        return self.neighbours, self.resistance, self.inlets, self.n

    def weights(self) -> np.ndarray:
        """Volume of each velocity, ``(m + 1, 3)`` float32: 1, half at the ends, 0 where a face is closed."""
        found = (self.resistance < CLOSED).astype(np.float32)
        found[: self.inlets, 0] *= 0.5
        found[self.n :, 0] *= 0.5
        return found

    def fluxes(self, velocity: np.ndarray) -> np.ndarray:
        """Flux through every plane of faces along z, ``(n_z + 1,)``."""
        plane = np.append(self.places[:, 0], np.full(self.m - self.n, self.shape[0]))
        return np.bincount(plane, velocity[: self.m, 0], self.shape[0] + 1)

    def at_centres(self, velocity: np.ndarray) -> np.ndarray:
        """Velocities in the middle of the pores, ``(n, 3)``: means of those on opposite faces."""
        found = velocity[: self.n].copy()
        for axis in range(3):
            found[:, axis] += velocity[self.neighbours[: self.n, 2 * axis + 1], axis]
        found *= 0.5
        return found


def percolating(pores: np.ndarray, *, periodic: bool = False) -> np.ndarray:
    """Pores from which ways through faces lead to both ends of z.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        The pores.
    periodic : bool
        Whether the volume goes on with itself across its sides.

    Returns
    -------
    (z, y, x) ndarray of bool
    """
    return np.asarray(_flooded(_flooded(pores, 0, periodic), pores.shape[0] - 1, periodic))


@kernel
def _flooded(pores, plane, periodic):
    """Pores from which a way leads to those of one plane."""
    n_z, n_y, n_x = pores.shape
    found = np.zeros(pores.shape, np.bool_)
    waiting = np.empty((n_y * n_x, 3), np.int16)
    count = 0
    for y in range(n_y):
        for x in range(n_x):
            if pores[plane, y, x]:
                found[plane, y, x] = True
                waiting[count, 0], waiting[count, 1], waiting[count, 2] = plane, y, x
                count += 1
    while count > 0:
        count -= 1
        place = (np.int64(waiting[count, 0]), np.int64(waiting[count, 1]), np.int64(waiting[count, 2]))
        if waiting.shape[0] < count + 6:
            larger = np.empty((2 * count + 6, 3), np.int16)
            larger[:count] = waiting[:count]
            waiting = larger
        for side in range(6):
            step = 2 * (side % 2) - 1
            z = place[0] + (step if side < 2 else 0)
            y = place[1] + (step if side // 2 == 1 else 0)
            x = place[2] + (step if side >= 4 else 0)
            if periodic:
                y, x = y % n_y, x % n_x
            if 0 <= z < n_z and 0 <= y < n_y and 0 <= x < n_x and pores[z, y, x] and not found[z, y, x]:
                found[z, y, x] = True
                waiting[count, 0], waiting[count, 1], waiting[count, 2] = z, y, x
                count += 1
    return found


@kernel
def _places(pores, n):
    n_z, n_y, n_x = pores.shape
    found, i = np.empty((n, 3), np.int16), 0
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                if pores[z, y, x]:
                    found[i, 0], found[i, 1], found[i, 2] = z, y, x
                    i += 1
    return found


@kernel
def _numbered(pores):
    """Numbers of the pores, -1 in the solid; how many lie in the first plane, and in all."""
    n_z, n_y, n_x = pores.shape
    numbers, n, inlets = np.full(pores.shape, -1, np.int32), 0, 0
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                if pores[z, y, x]:
                    numbers[z, y, x] = n
                    n += 1
        if z == 0:
            inlets = n
    return numbers, inlets, n


@kernel
def _neighbours(numbers, n, periodic):
    n_z, n_y, n_x = numbers.shape
    beyond, m = np.full((n_y, n_x), -1, np.int32), n
    for y in range(n_y):
        for x in range(n_x):
            if numbers[n_z - 1, y, x] >= 0:
                beyond[y, x] = m
                m += 1
    found = np.full((m + 1, 6), m, np.int32)
    for z in range(n_z + 1):
        plane = numbers[z] if z < n_z else beyond
        above = numbers[z + 1] if z + 1 < n_z else beyond
        for y in range(n_y):
            for x in range(n_x):
                i = plane[y, x]
                if i < 0:
                    continue
                if z > 0 and numbers[z - 1, y, x] >= 0:
                    found[i, 0] = numbers[z - 1, y, x]
                if z < n_z and above[y, x] >= 0:
                    found[i, 1] = above[y, x]
                for side in range(4):
                    v = y + 2 * side - 1 if side < 2 else y
                    u = x + 2 * side - 5 if side >= 2 else x
                    if not (0 <= v < n_y and 0 <= u < n_x):
                        if not periodic:
                            continue
                        v, u = v % n_y, u % n_x
                    if plane[v, u] >= 0:
                        found[i, 2 + side] = plane[v, u]
    return found


@inline_kernel
def _open_beside(neighbours, i, k, low, high):
    """Whether the face between two pores has open ones on both sides."""
    m = neighbours.shape[0] - 1
    return max(max(neighbours[i, low], neighbours[k, low]), max(neighbours[i, high], neighbours[k, high])) < m


@inline_kernel
def _outlook(neighbours, i, k, side, at, size, closed):
    """Open faces from one on until the end of the channel, and what ends it: 0 goes on, 1 wall, 2 edge, 3 the volume.

    ``i`` and ``k`` are the pores on both sides of the face, of which ``at`` is the place along the axis.
    """
    m = neighbours.shape[0] - 1
    steps, ahead = 0, 2 * (side % 2) - 1
    while steps < size:
        at += ahead
        if closed and not 0 <= at < size:
            return steps, 3
        i, k = neighbours[i, side], neighbours[k, side]
        if i == m and k == m:
            return steps, 1
        if i == m or k == m:
            return steps, 2
        steps += 1
    return steps, 0


@kernel
def _resistance(numbers, neighbours, n, sides, edges):
    """Resistance of the faces: the links to their six neighbours, of which those to walls are stiffer.

    A wall lies half a voxel away from the velocities along it. Between two walls, W apart, a parabola has the mean
    over each voxel that the balance of forces gives if the link is 6 W / (3 W - 2) rather than 2; W is counted from
    wall to wall across the channel. ``sides`` is 0 for mirrors, 1 for periodic, 2 for walls; ``edges`` tells whether
    those of the voxels count.
    """
    n_z, n_y, n_x = numbers.shape
    m = neighbours.shape[0] - 1
    size = (n_z, n_y, n_x)
    found = np.full((m + 1, 3), CLOSED, np.float32)
    for z in range(n_z + 1):
        for y in range(n_y):
            for x in range(n_x):
                if numbers[min(z, n_z - 1), y, x] < 0:
                    continue
                i = np.int64(numbers[z, y, x] if z < n_z else neighbours[numbers[z - 1, y, x], 1])
                place = (z, y, x)
                for c in range(3):
                    end = c == 0 and (z == 0 or z == n_z)
                    k = i if end else np.int64(neighbours[i, 2 * c])
                    if k == m or (z == n_z and c > 0):
                        continue
                    total = 0.0
                    for t in range(3):
                        if t == c:
                            continue
                        closed = sides != 1 or t == 0
                        mirror = closed and t > 0 and sides == 0
                        inside = t > 0 or 0 < z < n_z - 1
                        if inside and _open_beside(neighbours, i, k, 2 * t, 2 * t + 1):
                            total += 2.0
                            continue
                        low, low_end = _outlook(neighbours, i, k, 2 * t, place[t], size[t], closed)
                        high, high_end = _outlook(neighbours, i, k, 2 * t + 1, place[t], size[t], closed)
                        width = low + high + 1 + 0.5 * (low_end == 2) + 0.5 * (high_end == 2)
                        if mirror and (low_end == 3 or high_end == 3):
                            width *= 2
                        for steps, kind in ((low, low_end), (high, high_end)):
                            if steps > 0 or kind == 0:
                                total += 1.0
                            elif kind == 2:
                                total += 1.0 + edges * _ACROSS_EDGE
                            elif kind == 3 and mirror:
                                total += 0.0
                            elif kind == 3 and t == 0:
                                total += 2.0
                            else:
                                total += 6 * width / (3 * width - 2)
                    if edges:
                        total += _ALONG_EDGE * _edges_along(neighbours, i, k, c, place, size, sides != 1)
                    found[i, c] = 0.5 * total + 1.0 if end else total + 2.0
    return found


@inline_kernel
def _edges_along(neighbours, i, k, c, place, size, closed):
    """How many edges of the solid run along a velocity right beside it; those of half its length count half."""
    m = neighbours.shape[0] - 1
    t, u = (c + 1) % 3, (c + 2) % 3
    count = 0.0
    for a in range(2):
        if (closed or t == 0) and not 0 <= place[t] + 2 * a - 1 < size[t]:
            continue
        t_i, t_k = neighbours[i, 2 * t + a], neighbours[k, 2 * t + a]
        t_open = (t_i < m) + (t_k < m)
        for b in range(2):
            if (closed or u == 0) and not 0 <= place[u] + 2 * b - 1 < size[u]:
                continue
            u_i, u_k = neighbours[i, 2 * u + b], neighbours[k, 2 * u + b]
            u_open = (u_i < m) + (u_k < m)
            if t_open == 2:
                beyond = (neighbours[t_i, 2 * u + b] < m) + (neighbours[t_k, 2 * u + b] < m)
            elif u_open == 2:
                beyond = (neighbours[u_i, 2 * t + a] < m) + (neighbours[u_k, 2 * t + a] < m)
            else:
                continue
            if t_open == u_open == 2:
                count += 1 - 0.5 * beyond
            elif t_open == 0 or u_open == 0:
                count += 0.5 * beyond
    return count
