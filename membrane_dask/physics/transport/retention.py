"""What of a suspension passes the pores: balls carried by a flow and by Brownian motion.

A ball's centre keeps its radius away from the solid. Where it comes that near, it either sticks (first touch) or goes
on along the wall (sieving): between the two lies what adhesion makes of it. Lengths are voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.distance import squared_distances
from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.stokes.mac_grid import Grid, percolating
from membrane_dask.physics.transport.aggregation import Groups, factors

Collision = Literal["touch", "sieve"]
#: Sweeps over the voxels in a round.
_SWEEPS = 2
#: A ball that stays so many times as long as it takes to diffuse a voxel is held back for good.
_FOREVER = 1e9
#: Boltzmann's constant, J/K.
BOLTZMANN = 1.380649e-23


def diffusivity(diameter: float, viscosity: float, temperature: float) -> float:
    """Of a ball in a liquid at rest (Stokes and Einstein), m2/s.

    Parameters
    ----------
    diameter : float
        m, > 0.
    viscosity : float
        Pa s, > 0.
    temperature : float
        K, > 0.
    """
    return BOLTZMANN * temperature / (3 * math.pi * viscosity * diameter)


def clearances(pores: np.ndarray, *, periodic: bool = False) -> np.ndarray:
    """Distance of the middle of every pore voxel from the nearest wall.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        The pores.
    periodic : bool
        Whether the volume goes on with itself across its sides.

    Returns
    -------
    (z, y, x) ndarray of float32
        0 in the solid; infinite where there is none.

    Notes
    -----
    To the nearest solid voxel's middle, less the half voxel by which its face is nearer.
    """
    if not periodic:
        return np.maximum(np.sqrt(squared_distances(pores)) - np.float32(0.5), 0)
    wide = [n // 2 for n in pores.shape[1:]]
    around = np.pad(pores, [(0, 0), (wide[0],) * 2, (wide[1],) * 2], mode="wrap")
    inner = tuple(slice(w, w + n) for w, n in zip(wide, pores.shape[1:], strict=True))
    return clearances(around)[(slice(None), *inner)]


def critical_radius(clearance: np.ndarray, *, periodic: bool = False) -> float:
    """Radius of the largest ball for which there is a way through.

    Parameters
    ----------
    clearance : (z, y, x) ndarray
        As :func:`clearances` gives it.
    periodic : bool
        Whether the volume goes on with itself across its sides.

    Returns
    -------
    float
        0 if there is none for any.
    """
    values = np.unique(clearance[np.isfinite(clearance) & (clearance > 0)])
    low, high = -1, len(values)  # the widest that passes, the narrowest that does not
    while high - low > 1:
        middle = (low + high) // 2
        if percolating(clearance >= values[middle], periodic=periodic).any():
            low = middle
        else:
            high = middle
    return float(values[low]) if low >= 0 else 0.0


@dataclass(frozen=True)
class Passage:
    """What passes.

    Parameters
    ----------
    log_reduction : float
        Decimal logarithm of the concentration in the feed over that behind; infinite where there is no way.
    depth_profile : (n_z,) ndarray
        Share of what is caught in each plane of the depth; NaN where nothing is.
    entered : float
        What enters by convection and diffusion together, over what the liquid would carry in.
    iterations : int
        Of the solver.
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
    collision: Collision,
    tolerance: float = 1e-4,
    most: int = 200,
) -> Passage:
    """Steady concentration of balls in a flow, from the feed at low z, which is well mixed, to the other side.

    Parameters
    ----------
    grid : Grid
        The pores.
    velocity : (m + 1, 3) ndarray
        Of the liquid on their faces.
    clearance : (n,) ndarray
        Distance of every pore's middle from the wall.
    radius : float
        Of the balls, >= 0.
    diffusivity : float
        In units of the velocity times a voxel, > 0.
    collision : {'touch', 'sieve'}
        Whether a ball sticks where it touches the wall, or moves on.
    tolerance : float
        Relative error of what passes that may be left.
    most : int
        Rounds after which to give up.

    Returns
    -------
    Passage

    Raises
    ------
    PhysicsError
        If the solver does not come so far.

    Notes
    -----
    Finite volumes with fluxes that are exact for steady convection and diffusion along a line (Scharfetter and
    Gummel, IEEE Trans. Electron Devices 16, 64, 1969), solved by sweeps of Gauss-Seidel. Nothing is subtracted, so
    that concentrations stay right in relation to themselves, however small; those of each plane carry a scale of
    their own. A problem for the amounts in groups of voxels takes turns with the sweeps and is multiplied onto the
    concentrations (aggregation and disaggregation).
    """
    through = float(grid.fluxes(velocity)[0])
    reached = _reached(grid.neighbours, clearance >= radius, grid.inlets, grid.n)
    places = grid.places[reached]
    if not len(places) or places[-1, 0] < grid.shape[0] - 1:
        return Passage(math.inf, np.full(grid.shape[0], np.nan), 0.0, 0)
    sticks = collision == "touch"
    number = np.where(reached, np.cumsum(reached) - 1, -1)
    beside, rates, out, lost, feed, leave, stick = _rates(
        grid.neighbours, velocity, number, len(places), np.array(grid.shape), grid.places, diffusivity, sticks
    )
    groups = Groups.of(beside, places)
    plane = places[:, 0].astype(np.int64)
    first = np.searchsorted(plane, np.arange(grid.shape[0] + 1))
    c, scale = np.ones(len(places)), np.zeros(grid.shape[0])
    found, changes = [0.0], [math.inf]
    while not _settled(changes, tolerance):
        if len(changes) > most:
            raise PhysicsError(f"retention: what passes still changes by {changes[-1]:.1e} after {most} rounds")
        for _ in range(_SWEEPS):
            _sweep(beside, rates, out, feed, first, scale, c)
        _rescale(first, scale, c)
        c *= factors(groups, beside, rates, lost, feed, plane, scale, c)
        found.append(math.log(float(leave @ c)) + scale[-1])
        changes.append(abs(found[-1] - found[-2]))
    caught = np.bincount(plane, stick * c, grid.shape[0]) * np.exp(scale)
    profile = caught / caught.sum() if sticks else np.full(grid.shape[0], np.nan)
    return Passage((math.log(through) - found[-1]) / math.log(10), profile, float(feed.sum()) / through, len(found) - 1)


def _settled(changes: list[float], tolerance: float) -> bool:
    """Whether all changes that are still to come add up to little, if they go on falling as the last ones did."""
    if len(changes) < 4:
        return False
    fall = math.sqrt(changes[-1] / changes[-3]) if changes[-3] else 0.0
    return fall < 1 and changes[-1] * fall / (1 - fall) <= tolerance


def log_reduction_bound(passed: int, entered: int, confidence: float = 0.95) -> float:
    """What a count of particles shows: the log reduction is at least this.

    Parameters
    ----------
    passed, entered : int
        Counts, ``0 <= passed <= entered``, ``entered > 0``.
    confidence : float
        In (0, 1).

    Returns
    -------
    float
        By Clopper and Pearson; with none that passes, about ``log10(entered / 3)`` at 95 %.
    """
    from scipy.stats import beta

    if not 0 <= passed <= entered or entered == 0:
        raise ValueError(
            f"passed: must lie between 0 and entered, of which there must be some (got {passed}, {entered})"
        )
    upper = 1.0 if passed == entered else float(beta.ppf(confidence, passed + 1, entered - passed))
    return -math.log10(upper)


@kernel
def bernoulli(x):
    """``x / (exp(x) - 1)``."""
    if abs(x) < 1e-5:
        return 1.0 - 0.5 * x
    if x > 500.0:
        return 0.0
    return x / np.expm1(x)


@kernel
def _reached(neighbours, fits, inlets, n):
    """Pores that a ball's centre can reach from the feed."""
    found = np.zeros(n, np.bool_)
    waiting, count = np.empty(n, np.int32), 0
    for i in range(inlets):
        if fits[i]:
            found[i] = True
            waiting[count] = i
            count += 1
    while count > 0:
        count -= 1
        i = waiting[count]
        for side in range(6):
            j = neighbours[i, side]
            if j < n and fits[j] and not found[j]:
                found[j] = True
                waiting[count] = j
                count += 1
    return found


@kernel
def _rates(neighbours, velocity, number, n, shape, places, diffusivity, sticks):
    """Who lies beside whom, and at what rates balls go from there to here.

    Then of every voxel at what rates they go out, are lost for good, come from the feed, leave with the liquid, stick.
    """
    m, all_ = neighbours.shape[0] - 1, number.size
    beside = np.full((n, 6), n, np.int32)
    rates = np.zeros((n, 6), np.float32)
    out, lost = np.zeros(n), np.full(n, diffusivity / _FOREVER)
    feed, leave, stick = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(all_):
        i = number[k]
        if i < 0:
            continue
        for side in range(6):
            axis, high = side // 2, side % 2
            j = neighbours[k, side]
            inward = velocity[k, axis] if high == 0 else -velocity[j, axis]
            if axis == 0 and (places[k, 0] == 0 and high == 0):
                feed[i] = 2 * diffusivity * bernoulli(-0.5 * inward / diffusivity)
                lost[i] += 2 * diffusivity * bernoulli(0.5 * inward / diffusivity)
            elif axis == 0 and high == 1 and places[k, 0] == shape[0] - 1:
                leave[i] = max(-np.float64(inward), 0.0)
                lost[i] += leave[i]
            elif j < all_ and number[j] >= 0:
                beside[i, side] = number[j]
                # Not nothing where a strong flow comes against it, so that no voxel is cut off.
                rates[i, side] = diffusivity * max(bernoulli(-inward / diffusivity), 1e-30)
            elif sticks:
                at = places[k, axis] + 2 * high - 1
                if j < m or 0 <= at < shape[axis]:
                    gone = 2 * diffusivity * bernoulli(0.5 * inward / diffusivity)
                    stick[i] += gone
                    lost[i] += gone
    for i in range(n):
        out[i] = lost[i]
        for side in range(6):
            j = beside[i, side]
            if j < n:
                out[i] += rates[j, side ^ 1]
    return beside, rates, out, lost, feed, leave, stick


@kernel
def _sweep(beside, rates, out, feed, first, scale, c):
    """Concentrations that balance with their neighbours', one after the other, downwards and upwards."""
    n, n_z = c.size, scale.size
    for turn in range(2):
        for k in range(n_z):
            z = k if turn == 0 else n_z - 1 - k
            here = math.exp(-scale[z])
            below = math.exp(scale[z - 1] - scale[z]) if z > 0 else 0.0
            above = math.exp(scale[z + 1] - scale[z]) if z + 1 < n_z else 0.0
            for q in range(first[z], first[z + 1]):
                i = q if turn == 0 else first[z] + first[z + 1] - 1 - q
                total = feed[i] * here if z == 0 else 0.0
                if beside[i, 0] < n:
                    total += below * rates[i, 0] * c[beside[i, 0]]
                if beside[i, 1] < n:
                    total += above * rates[i, 1] * c[beside[i, 1]]
                for side in range(2, 6):
                    j = beside[i, side]
                    if j < n:
                        total += rates[i, side] * c[j]
                c[i] = total / out[i]


@kernel
def _rescale(first, scale, c):
    """Give each plane the scale of its highest concentration."""
    for z in range(scale.size):
        top = 0.0
        for i in range(first[z], first[z + 1]):
            top = max(top, c[i])
        if top > 0.0:
            for i in range(first[z], first[z + 1]):
                c[i] /= top
            scale[z] += math.log(top)
