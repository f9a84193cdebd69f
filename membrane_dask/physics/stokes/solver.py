"""Slow flow of a liquid through the pores of a volume, and the permeability that follows.

Velocities stand on the faces of the voxels, pressures in their middles. Lengths are voxels; viscosity and mean
pressure gradient are 1, so that a permeability is a mean velocity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.linear_solvers import dot
from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.stokes.mac_grid import CLOSED, Grid
from membrane_dask.physics.stokes.multigrid import Conduction

#: How well the mobility and the pressures are solved for on the way.
_MOBILITY, _PRESSURE = 3e-2, 1e-2
#: Steps of the velocities' solver after which to give up.
_MOST = 5000
#: Spread of the flux from plane to plane that is left at the end, what it may be by the velocities, how often to mend.
_CONSERVED, _CONSERVED_AT_MOST, _MENDS = 3e-7, 1e-6, 8


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


@dataclass(frozen=True)
class Sums:
    """What a flow, solved for under given pressures, and a flow made from it that conserves mass add up to.

    They are those of some of the faces; those of all are the sum.

    Parameters
    ----------
    through : float
        Work of a unit force along z on the flow that conserves mass.
    power : float
        What that flow dissipates.
    worked : float
        Work of the forces on the flow that was solved for, and of the forces that it leaves unbalanced.
    unbalanced : float
        Size of these, over the resistances.
    """

    through: float
    power: float
    worked: float
    unbalanced: float

    @classmethod
    def of(cls, parts: Sequence[Sums]) -> Sums:
        """The sum of those of all faces."""
        return cls(*(sum(getattr(part, name) for part in parts) for name in cls.__annotations__))

    def bounds(self, size: int, slowest: float) -> Bounds:
        """Of the permeability.

        Parameters
        ----------
        size : int
            Voxels of the volume.
        slowest : float
            Smallest eigenvalue of the scaled resistances.
        """
        unsure = self.unbalanced / slowest / size
        return Bounds(self.through**2 / self.power / size, self.worked / size + unsure, unsure)


@dataclass(frozen=True)
class Bounds:
    """Between which the permeability lies, and how much of their distance is left by the velocities' solver."""

    lower: float
    upper: float
    unsure: float

    def verdict(self, tolerance: float) -> Literal["enough", "velocities", "pressures"]:
        """Whether they are near enough; if not, which of the two fields is to be improved."""
        if self.upper - self.lower <= tolerance * self.lower:
            return "enough"
        # The velocities' own error may hide what the pressures' is.
        return "velocities" if self.unsure > (self.upper - self.lower) / 2 else "pressures"

    def far(self, rounds: int, tolerance: float) -> PhysicsError:
        """What to say if they do not come near enough."""
        return PhysicsError(
            f"flow: after {rounds} rounds the permeability lies between {self.lower:.4g} and {self.upper:.4g} voxels "
            f"squared, further apart than {tolerance:.1%}"
        )


class Pressures:
    """Conjugate gradients on the pressures, preconditioned by a Darcy flow.

    Parameters
    ----------
    darcy : Conduction
        Flow whose conductances are the velocities under a unit force everywhere, without pressures.
    pressures : (n,) ndarray of float32
        To begin with.

    Attributes
    ----------
    excess : (n,) ndarray of float32
        What flows into each pore and not out of it.
    correction : (n,) ndarray of float32
        Pressures of a Darcy flow that takes it away.
    direction : (n,) ndarray of float32
        In which the pressures are changed next.
    """

    def __init__(self, darcy: Conduction, pressures: np.ndarray) -> None:
        self.darcy, self.pressures = darcy, pressures

    def begin(self, excess: np.ndarray) -> None:
        """Start anew, with what velocities under the pressures bring in too much."""
        self.excess = excess
        self.correction = self.darcy.solve(excess, _PRESSURE)
        self.direction = self.correction.copy()
        self.size = dot(excess, self.correction)

    def step(self, effect: np.ndarray) -> float:
        """Go along the direction, by which the excess changes by so much; how far. Uses up the effect's memory."""
        step = np.float32(-self.size / dot(self.direction, effect))
        self.pressures += step * self.direction
        effect *= step
        self.excess += effect
        return float(step)

    def turn(self) -> None:
        """Find the next direction."""
        self.correction = self.darcy.solve(self.excess, _PRESSURE)
        before, self.size = self.size, dot(self.excess, self.correction)
        self.direction *= np.float32(self.size / before)
        self.direction += self.correction

    def mended(self, planes: np.ndarray, through: float) -> np.ndarray:
        """Correction that leaves the same flux in every plane.

        Parameters
        ----------
        planes : (n,) ndarray of int
            Plane of every pore.
        through : float
            Sum of the fluxes through all planes of faces.

        Raises
        ------
        PhysicsError
            If the flux still differs from plane to plane.
        """
        correction = self.correction.copy()
        for _ in range(_MENDS):
            left = self.darcy.residual(self.excess, correction)
            lost = np.bincount(planes, left)
            spread = np.ptp(np.cumsum(lost)) * len(lost) / through
            if spread <= _CONSERVED:
                return correction
            correction += self.darcy.solve(left, _PRESSURE)
        if spread <= _CONSERVED_AT_MOST:
            return correction
        raise PhysicsError(f"flow: the flux still differs by {spread:.1e} from plane to plane")


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

    :mod:`membrane_dask.physics.slabs` does the same by parts of a volume.
    """
    n, where = grid.n, grid.operator
    conductance, slowest = mobility(grid)
    darcy = Conduction(grid.neighbours, conductance, grid.places)
    search, screening = darcy_flow(darcy, *darcy_load(grid, conductance), grid.size)
    velocity = corrected(*where, np.zeros_like(conductance), conductance, search.pressures, True)
    inner = first_inner(tolerance)
    velocity += velocities_change(grid, forces(*where, search.pressures, True), inner, velocity)
    search.begin(inflow(grid.neighbours, velocity, n))
    history: list[tuple[float, float]] = []
    for round_ in range(most):
        driven = forces(*where, search.pressures, True)
        conserving = corrected(*where, velocity, conductance, search.correction)
        sums = Sums(*added_up(*where, 0, grid.m, velocity, driven, conserving))
        del conserving
        bounds = sums.bounds(grid.size, slowest)
        history.append((bounds.lower, bounds.upper))
        watch(round_, bounds.lower, bounds.upper)
        verdict = bounds.verdict(tolerance)
        if verdict == "enough":
            break
        if verdict == "velocities":
            inner /= 4
            velocity += velocities_change(grid, driven, inner, velocity)
            search.begin(inflow(grid.neighbours, velocity, n))
            continue
        del driven
        change = velocities(grid, forces(*where, search.direction, False), inner)
        change *= np.float32(search.step(inflow(grid.neighbours, change, n)))
        velocity += change
        del change
        search.turn()
    else:
        raise bounds.far(most, tolerance)
    velocity = corrected(*where, velocity, conductance, search.mended(grid.places[:, 0], sums.through))
    del search
    return scaled(grid, velocity, bounds, screening, history)


def screening(grid: Grid) -> float:
    """Estimate of the permeability from local mobilities: one Darcy flow instead of the flow itself.

    Parameters
    ----------
    grid : Grid
        The pores.

    Returns
    -------
    float
        1.1 to 1.4 times the permeability (1.2 to 1.35 in random media); voxels squared.
    """
    conductance, _ = mobility(grid)
    darcy = Conduction(grid.neighbours, conductance, grid.places)
    return darcy_flow(darcy, *darcy_load(grid, conductance), grid.size)[1]


def first_inner(tolerance: float) -> float:
    """How well velocities are solved for at first, over the forces, for bounds so far apart."""
    return float(min(np.sqrt(0.1 * tolerance), 0.03))


def mobility(grid: Grid) -> tuple[np.ndarray, float]:
    """Velocities under a unit force everywhere, and the smallest eigenvalue of the scaled resistances."""
    from scipy.linalg import eigvalsh_tridiagonal

    steps: list[tuple[float, float]] = []
    found = velocities(grid, grid.weights(), _MOBILITY, steps=steps)
    np.maximum(found, np.float32(1e-6), out=found)
    found[grid.resistance >= CLOSED] = 0
    found[: grid.inlets, 0] *= 2  # over their weight
    found[grid.n :, 0] *= 2
    alpha, beta = np.array(steps).T
    main, beside = 1 / alpha, np.sqrt(beta[:-1]) / alpha[:-1]
    main[1:] += beta[:-1] / alpha[:-1]
    return found, float(eigvalsh_tridiagonal(main, beside, select="i", select_range=(0, 0))[0])


def darcy_load(grid: Grid, conductance: np.ndarray) -> tuple[np.ndarray, float]:
    """What a unit force along z brings into each pore by its conductances, and the work that it does."""
    none = np.zeros(grid.n, np.float32)
    driven = corrected(*grid.operator, np.zeros_like(conductance), conductance, none, True)
    return inflow(grid.neighbours, driven, grid.n), throughput(driven, grid.inlets, grid.n)


def darcy_flow(darcy: Conduction, load: np.ndarray, work: float, size: int) -> tuple[Pressures, float]:
    """Pressures of the Darcy flow under a unit force along z, and its permeability in a volume of so many voxels."""
    pressures = darcy.solve(load, _PRESSURE)
    return Pressures(darcy, pressures), (work - dot(load, pressures)) / size


def velocities(
    grid: Grid, force: np.ndarray, tolerance: float, *, against: float | None = None,
    steps: list[tuple[float, float]] | None = None,
) -> np.ndarray:  # fmt: skip
    """Velocities under forces on the faces, whose memory is used up.

    Conjugate gradients, until what is not balanced is smaller by ``tolerance`` than the forces or than ``against``.
    """
    r, q, x, d = force, np.empty_like(force), np.zeros_like(force), np.zeros_like(force)
    rz = _size(r, grid.resistance)
    wanted = tolerance**2 * (rz if against is None else against)
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


def velocities_change(
    grid: Grid, force: np.ndarray, tolerance: float, velocity: np.ndarray, ends: tuple[bool, bool] = (True, True)
) -> np.ndarray:
    """What velocities lack to balance forces; ``ends`` as in :meth:`Grid.within`, beyond which they are right."""
    against = _size(force, grid.resistance)
    left = np.empty_like(force)
    _product(*grid.operator, velocity, left)
    np.subtract(force, left, out=left)
    # In the outermost planes not all of the velocities beside them are known.
    if not ends[0]:
        left[: np.searchsorted(grid.places[:, 0], 2)] = 0
    if not ends[1]:
        left[np.searchsorted(grid.places[:, 0], grid.shape[0] - 1) :] = 0
    return velocities(grid, left, tolerance, against=against)


def scaled(
    grid: Grid, velocity: np.ndarray, bounds: Bounds, screening: float, history: list[tuple[float, float]]
) -> Flow:
    """A flow that conserves mass, scaled to its lower bound."""
    flux = grid.fluxes(velocity)
    through, power = work_and_power(*grid.operator, 0, grid.m, velocity)
    velocity *= np.float32(through / power)
    velocity[grid.resistance >= CLOSED] = 0
    lower = through**2 / power / grid.size
    return Flow(lower, max(bounds.upper, lower), screening, velocity, conserved(flux), history)


def conserved(flux: np.ndarray) -> float:
    """Largest difference of the flux through two planes, over its mean.

    Raises
    ------
    PhysicsError
        If it is more than rounding can explain.
    """
    spread = float(np.ptp(flux) / flux.mean())
    if not spread <= _CONSERVED_AT_MOST:
        raise PhysicsError(f"flow: the flux differs by {spread:.1e} from plane to plane")
    return spread


@inline_kernel
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
def work_and_power(neighbours, resistance, inlets, n, first, last, x):
    """Work of a unit force along z on the velocities of some pores' faces, and the power that these dissipate."""
    half, one = np.float32(0.5), np.float32(1.0)
    e0, e1, e2, through = 0.0, 0.0, 0.0, 0.0
    for i in range(first, last):
        weight = half if i < inlets or i >= n else one
        y0, y1, y2 = _balance(neighbours, resistance, weight, x, i)
        e0 += np.float64(y0) * x[i, 0]
        e1 += np.float64(y1) * x[i, 1]
        e2 += np.float64(y2) * x[i, 2]
        through += weight * np.float64(x[i, 0])
    return through, e0 + e1 + e2


@kernel
def added_up(neighbours, resistance, inlets, n, first, last, velocity, force, conserving):
    """The :class:`Sums` of some pores' faces."""
    through, power = work_and_power(neighbours, resistance, inlets, n, first, last, conserving)
    half, one = np.float32(0.5), np.float32(1.0)
    worked, unbalanced = 0.0, 0.0
    for i in range(first, last):
        weight = half if i < inlets or i >= n else one
        y = _balance(neighbours, resistance, weight, velocity, i)
        for c in range(3):
            left = np.float64(force[i, c] - y[c])
            worked += velocity[i, c] * (np.float64(force[i, c]) + left)
            unbalanced += left * left / resistance[i, c]
    return through, power, worked, unbalanced


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
def throughput(velocity, inlets, n):
    """Work of a unit force along z."""
    ends, inside = 0.0, 0.0
    for i in range(velocity.shape[0] - 1):
        if i < inlets or i >= n:
            ends += velocity[i, 0]
        else:
            inside += velocity[i, 0]
    return inside + 0.5 * ends


@kernel
def forces(neighbours, resistance, inlets, n, pressures, driven):
    """Forces of pressures, 0 beyond the ends, on the faces; with those of a unit force along z where driven."""
    m = neighbours.shape[0] - 1
    found = np.zeros((m + 1, 3), np.float32)
    for i in range(m):
        here = pressures[i] if i < n else np.float32(0.0)
        for c in range(3):
            if resistance[i, c] < CLOSED:
                j = neighbours[i, 2 * c]
                found[i, c] = (pressures[j] if j < n else np.float32(0.0)) - here
        if driven and resistance[i, 0] < CLOSED:
            found[i, 0] += np.float32(0.5) if i < inlets or i >= n else np.float32(1.0)
    return found


@kernel
def corrected(neighbours, resistance, inlets, n, velocity, conductance, pressures, driven=False):
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
def inflow(neighbours, velocity, n):
    """What flows into every pore, less what flows out."""
    found = np.empty(n, np.float32)
    for i in range(n):
        b, d, f = neighbours[i, 1], neighbours[i, 3], neighbours[i, 5]
        along_z, along_y = velocity[i, 0] - velocity[b, 0], velocity[i, 1] - velocity[d, 1]
        found[i] = along_z + along_y + (velocity[i, 2] - velocity[f, 2])
    return found
