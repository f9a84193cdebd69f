"""Slow flow of a liquid through the pores of a volume, and the permeability that follows.

Velocities stand on the faces of the voxels, pressures in their middles (Harlow and Welch, Phys. Fluids 8, 2182,
1965). Lengths are voxels; viscosity and mean pressure gradient are 1, so that a permeability is a mean velocity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import kernel, part
from membrane_dask.physics.multigrid import Conduction, dot
from membrane_dask.physics.network import PhysicsError

Sides = Literal["symmetric", "periodic", "wall"]
Surface = Literal["smooth", "voxels"]

#: Resistance of a face that is closed: its velocity is nothing beside the others, and no kernel need ask.
_CLOSED = np.float32(1e20)
#: Where the solid's surface is that of its voxels, velocities beside its edges meet more resistance. With these the
#: exact flow about an edge balances there: r^(2/3) along it, and across it that of exponent 0.544 (Moffatt, J. Fluid
#: Mech. 18, 1, 1964).
_ALONG_EDGE, _ACROSS_EDGE = 0.258, 1.263
#: How well the mobility, the velocities and the pressures are solved for on the way.
_MOBILITY, _PRESSURE = 3e-2, 1e-2
#: Steps of the velocities' solver after which to give up.
_MOST = 5000
#: Spread of the flux from plane to plane that is left at the end, and how often to mend it.
_CONSERVED, _MENDS = 3e-7, 8


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
        kind = ("symmetric", "periodic", "wall").index(sides)
        through = percolating(pores, periodic=sides == "periodic")
        if not through.any():
            raise PhysicsError("no way leads through the pores from the face at low z to that at high z")
        if sides != "wall" and through.all():
            raise PhysicsError("there is no solid to hold the liquid back; check which phase the pores are (pores)")
        numbers, inlets, n = _numbered(through)
        neighbours = _neighbours(numbers, n, sides == "periodic")
        resistance = _resistance(numbers, neighbours, n, kind, surface == "voxels")
        del numbers
        return cls(pores.shape, _places(through, n), neighbours, resistance, inlets)

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
        found = (self.resistance < _CLOSED).astype(np.float32)
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


@dataclass(frozen=True)
class Flow:
    """A flow through the pores.

    Parameters
    ----------
    permeability : float
        Mean velocity along z over the whole volume, under unit viscosity and pressure gradient: voxels squared.
    upper : float
        The discrete problem's own permeability lies between ``permeability`` and this.
    screening : float
        First estimate, from the mobility alone: 1.1 to 1.4 times the permeability.
    velocity : (m + 1, 3) ndarray of float32
        Of the faces at low ``z, y, x`` of the grid's pores.
    residual : float
        Largest difference of the flux through two planes, over its mean.
    history : list of tuple
        Lower and upper bound after each round.
    """

    permeability: float
    upper: float
    screening: float
    velocity: np.ndarray
    residual: float
    history: list[tuple[float, float]]


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


def stokes(
    grid: Grid,
    tolerance: float = 0.01,
    most: int = 60,
    watch: Callable[[int, float, float], None] = lambda round_, lower, upper: None,
) -> Flow:
    """Solve for the flow under a unit pressure gradient along z.

    Parameters
    ----------
    grid : Grid
        The pores.
    tolerance : float
        Distance of the two bounds of the permeability, over the lower one, in (0, 1).
    most : int
        Rounds after which to give up.
    watch : callable
        Called with each round and its bounds.

    Returns
    -------
    Flow

    Raises
    ------
    PhysicsError
        If the bounds do not come so near to each other, or mass is not conserved from plane to plane.

    Notes
    -----
    Conjugate gradients on the pressures, each round of which solves for the velocities under given pressures. They
    are preconditioned by a Darcy flow whose conductances are the velocities under a unit force everywhere, without
    pressures.

    Of all velocities that conserve mass the true ones make ``2 f.u - u.A.u`` greatest (Helmholtz), so any such gives
    a lower bound ``(f.u)^2 / u.A.u`` of the permeability; any pressures whatever give an upper one, the power that is
    dissipated where they alone hold against the force. Both err by the square of what the fields err by. Each
    round's velocities are made to conserve mass by one more Darcy flow, and the result is scaled to its lower bound.
    """
    neighbours, n, where = grid.neighbours, grid.n, grid.operator
    conductance, slowest = _mobility(grid)
    darcy = Conduction(neighbours, conductance, grid.places)

    def conserving(velocity: np.ndarray, excess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Velocities from which a Darcy flow has taken the excess, and its pressures."""
        correction = darcy.solve(excess, _PRESSURE)
        return _corrected(*where, velocity, conductance, correction), correction

    velocity = _corrected(*where, np.zeros_like(conductance), conductance, np.zeros(n, np.float32), True)
    velocity, pressures = conserving(velocity, _inflow(neighbours, velocity, n))
    screening = _throughput(velocity, grid.inlets, n) / grid.size
    inner = min(np.sqrt(0.1 * tolerance), 0.03)
    velocity = _velocities(grid, _forces(*where, pressures, True), inner, velocity)
    excess = _inflow(neighbours, velocity, n)
    direction = np.zeros(n, np.float32)
    history: list[tuple[float, float]] = []
    before, fresh = 1.0, True
    for round_ in range(most):
        candidate, correction = conserving(velocity, excess)
        lower = _throughput(candidate, grid.inlets, n) ** 2 / _power(*where, candidate) / grid.size
        upper, unsure = _dissipated(grid, _forces(*where, pressures, True), velocity, slowest)
        history.append((lower, upper))
        watch(round_, lower, upper)
        if upper - lower <= tolerance * lower:
            break
        candidate = velocity  # frees its memory
        if unsure > (upper - lower) / 2:  # the velocities' own error hides what the pressures' is
            inner /= 4
            velocity = _velocities(grid, _forces(*where, pressures, True), inner, velocity)
            excess = _inflow(neighbours, velocity, n)
            fresh = True
            continue
        size = dot(excess, correction)
        direction = correction + np.float32(0.0 if fresh else size / before) * direction
        fresh = False
        change = _velocities(grid, _forces(*where, direction, False), inner)
        effect = _inflow(neighbours, change, n)
        step = np.float32(-size / dot(direction, effect))
        pressures += step * direction
        change *= step
        velocity += change
        excess += step * effect
        before = size
        del change, effect
    else:
        raise PhysicsError(
            f"flow: after {most} rounds the permeability lies between {lower:.4g} and {upper:.4g} voxels squared, "
            f"further apart than {tolerance:.1%}"
        )
    del velocity, excess, pressures, direction, correction
    for _ in range(_MENDS):
        flux = grid.fluxes(candidate)
        residual = float(np.ptp(flux) / flux.mean())
        if residual <= _CONSERVED:
            break
        candidate, _ = conserving(candidate, _inflow(neighbours, candidate, n))
    else:
        raise PhysicsError(f"flow: the flux still differs by {residual:.1e} from plane to plane")
    power, through = _power(*where, candidate), _throughput(candidate, grid.inlets, n)
    lower = through**2 / power / grid.size
    candidate *= np.float32(through / power)
    candidate[grid.resistance >= _CLOSED] = 0
    return Flow(lower, max(upper, lower), screening, candidate, residual, history)


def _mobility(grid: Grid) -> tuple[np.ndarray, float]:
    """Velocities under a unit force everywhere, and the smallest eigenvalue of the scaled resistances."""
    from scipy.linalg import eigvalsh_tridiagonal

    steps: list[tuple[float, float]] = []
    found = _velocities(grid, grid.weights(), _MOBILITY, steps=steps)
    np.maximum(found, np.float32(1e-6), out=found)
    found[grid.resistance >= _CLOSED] = 0
    found[: grid.inlets, 0] *= 2  # over their weight
    found[grid.n :, 0] *= 2
    alpha, beta = np.array(steps).T
    main, beside = 1 / alpha, np.sqrt(beta[:-1]) / alpha[:-1]
    main[1:] += beta[:-1] / alpha[:-1]
    return found, float(eigvalsh_tridiagonal(main, beside, select="i", select_range=(0, 0))[0])


def _velocities(
    grid: Grid,
    force: np.ndarray,
    tolerance: float,
    start: np.ndarray | None = None,
    steps: list[tuple[float, float]] | None = None,
) -> np.ndarray:
    """Velocities under given forces on the faces, by conjugate gradients; uses the forces' and the start's memory."""
    wanted = tolerance**2 * _size(force, grid.resistance)
    r, q = force, np.empty_like(force)
    if start is None:
        x = np.zeros_like(force)
    else:
        x = start
        _product(*grid.operator, x, q)
        r -= q
    rz = _size(r, grid.resistance)
    d = np.zeros_like(force)
    _turn(d, r, grid.resistance, np.float32(0.0))
    for _ in range(_MOST):
        if rz <= wanted:
            return x
        alpha = rz / _product(*grid.operator, d, q)
        new = _advance(x, d, r, q, grid.resistance, np.float32(alpha))
        if steps is not None:
            steps.append((alpha, new / rz))
        _turn(d, r, grid.resistance, np.float32(new / rz))
        rz = new
    raise PhysicsError(f"velocities: no balance to {tolerance:g} after {_MOST} steps")


def _dissipated(grid: Grid, force: np.ndarray, velocity: np.ndarray, slowest: float) -> tuple[float, float]:
    """At least the permeability of forces on a grid, by velocities that nearly balance them; how much is unsure."""
    worked = dot(velocity.ravel(), force.ravel())
    left = np.empty_like(force)
    _product(*grid.operator, velocity, left)
    np.subtract(force, left, out=left)
    unsure = _size(left, grid.resistance) / slowest / grid.size
    return (worked + dot(velocity.ravel(), left.ravel())) / grid.size + unsure, unsure


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


@part
def _open_beside(neighbours, i, k, low, high):
    """Whether the face between two pores has open ones on both sides."""
    m = neighbours.shape[0] - 1
    return max(max(neighbours[i, low], neighbours[k, low]), max(neighbours[i, high], neighbours[k, high])) < m


@part
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
    found = np.full((m + 1, 3), _CLOSED, np.float32)
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


@part
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


@part
def _balance(neighbours, resistance, weight, x, i):
    """Forces that hold the velocities of a pore's faces; about a face at an end half the volume is on this side."""
    a, b, c = neighbours[i, 0], neighbours[i, 1], neighbours[i, 2]
    d, e, f = neighbours[i, 3], neighbours[i, 4], neighbours[i, 5]
    beside = (x[c, 0] + x[d, 0]) + (x[e, 0] + x[f, 0])
    y0 = resistance[i, 0] * x[i, 0] - ((x[a, 0] + x[b, 0]) + weight * beside)
    y1 = resistance[i, 1] * x[i, 1] - (((x[a, 1] + x[b, 1]) + (x[c, 1] + x[d, 1])) + (x[e, 1] + x[f, 1]))
    y2 = resistance[i, 2] * x[i, 2] - (((x[a, 2] + x[b, 2]) + (x[c, 2] + x[d, 2])) + (x[e, 2] + x[f, 2]))
    return y0, y1, y2


@kernel
def _product(neighbours, resistance, inlets, n, x, y):
    """Forces ``y`` that hold velocities ``x``; the power that they dissipate."""
    half, m = np.float32(0.5), neighbours.shape[0] - 1
    e0, e1, e2 = 0.0, 0.0, 0.0
    for i in range(m):
        y0, y1, y2 = _balance(neighbours, resistance, half if i < inlets or i >= n else np.float32(1.0), x, i)
        y[i, 0], y[i, 1], y[i, 2] = y0, y1, y2
        e0 += np.float64(y0) * x[i, 0]
        e1 += np.float64(y1) * x[i, 1]
        e2 += np.float64(y2) * x[i, 2]
    y[m] = 0.0
    return e0 + e1 + e2


@kernel
def _power(neighbours, resistance, inlets, n, x):
    """The same power, without the forces."""
    half, m = np.float32(0.5), neighbours.shape[0] - 1
    e0, e1, e2 = 0.0, 0.0, 0.0
    for i in range(m):
        y0, y1, y2 = _balance(neighbours, resistance, half if i < inlets or i >= n else np.float32(1.0), x, i)
        e0 += np.float64(y0) * x[i, 0]
        e1 += np.float64(y1) * x[i, 1]
        e2 += np.float64(y2) * x[i, 2]
    return e0 + e1 + e2


@kernel
def _advance(x, d, r, q, resistance, alpha):
    """Step along ``d``; size of the forces that are left."""
    e0, e1, e2 = 0.0, 0.0, 0.0
    for i in range(x.shape[0] - 1):
        for c in range(3):
            x[i, c] += alpha * d[i, c]
            r[i, c] -= alpha * q[i, c]
        e0 += np.float64(r[i, 0] / resistance[i, 0]) * r[i, 0]
        e1 += np.float64(r[i, 1] / resistance[i, 1]) * r[i, 1]
        e2 += np.float64(r[i, 2] / resistance[i, 2]) * r[i, 2]
    return e0 + e1 + e2


@kernel
def _turn(d, r, resistance, beta):
    for i in range(d.shape[0] - 1):
        for c in range(3):
            d[i, c] = r[i, c] / resistance[i, c] + beta * d[i, c]


@kernel
def _size(r, resistance):
    e0, e1, e2 = 0.0, 0.0, 0.0
    for i in range(r.shape[0] - 1):
        e0 += np.float64(r[i, 0] / resistance[i, 0]) * r[i, 0]
        e1 += np.float64(r[i, 1] / resistance[i, 1]) * r[i, 1]
        e2 += np.float64(r[i, 2] / resistance[i, 2]) * r[i, 2]
    return e0 + e1 + e2


@kernel
def _throughput(velocity, inlets, n):
    """Work of a unit force along z."""
    ends, inside = 0.0, 0.0
    for i in range(velocity.shape[0] - 1):
        if i < inlets or i >= n:
            ends += velocity[i, 0]
        else:
            inside += velocity[i, 0]
    return inside + 0.5 * ends


@kernel
def _forces(neighbours, resistance, inlets, n, pressures, driven):
    """Forces of pressures, 0 beyond the ends, on the faces; with those of a unit force along z where driven."""
    m = neighbours.shape[0] - 1
    found = np.zeros((m + 1, 3), np.float32)
    for i in range(m):
        here = pressures[i] if i < n else np.float32(0.0)
        for c in range(3):
            if resistance[i, c] < _CLOSED:
                j = neighbours[i, 2 * c]
                found[i, c] = (pressures[j] if j < n else np.float32(0.0)) - here
        if driven and resistance[i, 0] < _CLOSED:
            found[i, 0] += np.float32(0.5) if i < inlets or i >= n else np.float32(1.0)
    return found


@kernel
def _corrected(neighbours, resistance, inlets, n, velocity, conductance, pressures, driven=False):
    """Velocities with those of a Darcy flow under pressures, 0 beyond the ends, and a unit force where driven."""
    m = neighbours.shape[0] - 1
    found = np.zeros((m + 1, 3), np.float32)
    for i in range(m):
        here = pressures[i] if i < n else np.float32(0.0)
        for c in range(3):
            j = neighbours[i, 2 * c]
            force = (pressures[j] if j < n else np.float32(0.0)) - here
            if driven and c == 0:
                force += np.float32(0.5) if i < inlets or i >= n else np.float32(1.0)
            found[i, c] = velocity[i, c] + conductance[i, c] * force
    return found


@kernel
def _inflow(neighbours, velocity, n):
    """What flows into every pore, less what flows out."""
    found = np.empty(n, np.float32)
    for i in range(n):
        b, d, f = neighbours[i, 1], neighbours[i, 3], neighbours[i, 5]
        along_z, along_y = velocity[i, 0] - velocity[b, 0], velocity[i, 1] - velocity[d, 1]
        found[i] = along_z + along_y + (velocity[i, 2] - velocity[f, 2])
    return found
