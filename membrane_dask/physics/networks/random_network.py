"""Random pore networks whose pores narrow band by band (Gu, Sec. II and Algorithm 1).

Junctions are uniform random points in the unit cube, ``m`` bands across its depth, periodic in
``x`` and ``y``. Any two whose distance lies between ``l_min`` and ``l_max`` are joined by a pore.
Points beyond the faces make the pores that open to the feed and to the filtrate; they are cut off
where they cross. Junctions are then added or removed until every band has the porosity asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.networks.pore_network import PhysicsError, PoreNetwork, grouped

#: Points outside the membrane reach this far beyond either face; no pore may be longer.
_MARGIN = 0.5


@dataclass(frozen=True)
class RadiusSpread:
    """How pore radii vary within a band: each is its band's radius times a random factor of mean 1.

    Parameters
    ----------
    distribution : {"normal", "lognormal", "uniform"}
        Of the factor. The normal one, and the logarithm of the lognormal, end at three standard deviations.
    deviation : float
        Standard deviation of the factor, >= 0; 0 leaves all radii of a band alike.
    """

    distribution: Literal["normal", "lognormal", "uniform"] = "normal"
    deviation: float = 0.0

    #: Standard deviation of a standard normal number that ends at three of them.
    _CUT = math.sqrt(1 - 6 * math.exp(-4.5) / math.sqrt(2 * math.pi) / (2 * ndtr(3.0) - 1))

    def __post_init__(self) -> None:
        if self.distribution not in ("normal", "lognormal", "uniform"):
            raise ValueError(f"distribution: must be normal, lognormal or uniform (got {self.distribution!r})")
        if not (self.deviation >= 0 and self.range[0] > 0):
            raise ValueError(f"deviation: leaves some pores no radius (got {self.deviation})")

    @property
    def _log_deviation(self) -> float:
        return math.sqrt(math.log1p(self.deviation**2))

    def _log_moment(self, power: int) -> float:
        """Mean of ``exp(power * s * x)`` for a standard normal ``x`` that ends at three."""
        shift = power * self._log_deviation
        inside = ndtr(3 - shift) - ndtr(-3 - shift)
        return math.exp(shift**2 / 2) * float(inside / (2 * ndtr(3.0) - 1))

    @property
    def scale_and_slope(self) -> tuple[float, float]:
        """The factor is ``scale * exp(slope * x)`` where lognormal, else ``1 + slope * x``."""
        if self.distribution == "lognormal":
            return 1 / self._log_moment(1), self._log_deviation
        return 1.0, self.deviation * (math.sqrt(3) if self.distribution == "uniform" else 1 / self._CUT)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest factor."""
        scale, slope = self.scale_and_slope
        if self.distribution == "lognormal":
            return scale * math.exp(-3 * slope), scale * math.exp(3 * slope)
        reach = slope * (1 if self.distribution == "uniform" else 3)
        return 1 - reach, 1 + reach

    @property
    def mean_square(self) -> float:
        """Mean of the factor's square, by which the porosity grows."""
        if self.distribution == "lognormal":
            return self._log_moment(2) / self._log_moment(1) ** 2
        return 1 + self.deviation**2


def band_radii(radius: float | Sequence[float], gradient: float, bands: int) -> np.ndarray:
    """Pore radius of every band from the feed side on (Gu, Eqs. 1 and 2); ``radius`` is of all bands, or of each."""
    return np.broadcast_to(radius, bands) + gradient * ((bands - 1) / 2 - np.arange(bands))


def expected_band_porosity(counts: np.ndarray, radii: np.ndarray, l_min: float, l_max: float) -> np.ndarray:
    """Mean porosity of every band over all networks with these numbers of junctions.

    Two points a depth ``d`` apart are joined if their distance in the plane lies in a ring, whose
    area times the pore's length is ``2 pi/3 (l_max^3 - max(l_min, d)^3)``. The integral over ``d``
    and over where the pair lies among the bands is elementary.

    Parameters
    ----------
    counts : (bands,) ndarray
        Junctions in each band; need not be whole.
    radii : (bands,) ndarray
        Pore radius of each band.
    l_min, l_max : float
        Limits of the pore length, ``l_max <= min(1/bands, 1/2)``.

    Returns
    -------
    (bands,) ndarray
    """
    bands = len(counts)
    density = counts * bands
    inner = density * (counts - 1) * bands  # a point is no neighbour of itself
    cube = l_max**3 - l_min**3
    # integrals of  l_max^3 - max(l_min, d)^3  and of the same times d, over d from 0 to l_max
    plain = cube * l_min + l_max**3 * (l_max - l_min) - (l_max**4 - l_min**4) / 4
    first = cube * l_min**2 / 2 + l_max**3 * (l_max**2 - l_min**2) / 2 - (l_max**5 - l_min**5) / 5
    square = radii**2
    length = inner * square * (plain / bands - first)
    # A pair across a border leaves a share a in this band, uniform on [0, d]; it has this band's
    # radius where a > d/2. Beyond a face the part inside is all there is.
    across = density[1:] * density[:-1] * first / 8
    length[:-1] += across * (3 * square[:-1] + square[1:])
    length[1:] += across * (3 * square[1:] + square[:-1])
    for face in (0, -1):
        length[face] += density[face] ** 2 * square[face] * first / 2
    return np.asarray(bands * np.pi * 2 * np.pi / 3 * length)


def junction_counts(*, l_min: float, l_max: float, radii: np.ndarray, porosity: float) -> np.ndarray:
    """Junctions to start from in every band.

    The last band is given as many as bring its expected porosity to ``porosity``; the others follow
    from ``r_m^2 N_m (N_m - 1) = r_k^2 N_k (N_k - 1)`` (Gu, Eq. 9).

    Returns
    -------
    (bands,) ndarray of int

    Raises
    ------
    PhysicsError
        If it takes too many junctions, or so few that chance alone rules.
    """

    def all_counts(last: float) -> np.ndarray:
        pairs = (radii[-1] / radii) ** 2 * last * (last - 1)
        return np.asarray(0.5 + np.sqrt(0.25 + pairs))

    def excess(last: float) -> float:
        return float(expected_band_porosity(all_counts(last), radii, l_min, l_max)[-1] - porosity)

    most = 2.0
    while excess(most) < 0:
        most *= 2
        if most > 1e7:
            raise PhysicsError(f"a porosity of {porosity} would take more than {most:.0e} junctions a band")
    last = brentq(excess, 1.0, most) if excess(1.0) < 0 else 1.0
    counts = np.round(all_counts(round(last))).astype(np.int64)
    if counts.min() < 4:
        raise PhysicsError(f"a porosity of {porosity} takes only {counts.min()} junctions in a band: no network")
    return counts


def generate(
    rng: np.random.Generator,
    *,
    l_min: float,
    l_max: float,
    radii: np.ndarray,
    porosity: float,
    porosity_tolerance: float,
    spread: RadiusSpread = RadiusSpread(),
    max_corrections: int = 10_000,
) -> PoreNetwork:
    """Draw one banded network.

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of this network. Each band draws from a child of its own, so that networks of other
        radii drawn from the same stream have most of their points in common.
    l_min, l_max : float
        Pores are longer than ``l_min`` and shorter than ``l_max``, in membrane thicknesses;
        ``0 <= l_min < l_max <= min(1/bands, 1/2)``.
    radii : (bands,) ndarray
        Pore radius of every band, > 0; see :func:`band_radii`.
    porosity : float
        Porosity of every band.
    porosity_tolerance : float
        Largest relative departure from it, > 0.
    spread : RadiusSpread
        How radii vary within a band.
    max_corrections : int
        Junctions that may be added and removed to get there.

    Returns
    -------
    PoreNetwork
        Junctions in order of depth.

    Raises
    ------
    PhysicsError
        If the porosity is not reached, as with a tolerance below what one junction changes.

    Notes
    -----
    Gu, Algorithm 1. Pores that cross a border of bands have the radius of the band that holds
    most of them. Points beyond the faces stay as first drawn while the rest is corrected.
    """
    radii = np.asarray(radii, float)
    bands = len(radii)
    if not 0 <= l_min < l_max <= min(1 / bands, _MARGIN):
        raise ValueError(f"l_max: must lie between l_min and min(1/bands, 1/2) (got {l_max})")
    if not (radii > 0).all():
        raise ValueError(f"radii: must be greater than 0 (got {radii.tolist()})")
    wider = tuple((radii * math.sqrt(spread.mean_square)).tolist())
    counts = _counts_of(l_min, l_max, wider, porosity)
    *streams, above_stream, below_stream, correction, factors = rng.spawn(bands + 4)
    points = [stream.random((count, 3)) for stream, count in zip(streams, counts, strict=True)]
    for k in range(bands):
        points[k][:, 0] = (k + points[k][:, 0]) / bands
    above = above_stream.random((round(_MARGIN * bands * counts[0]), 3))
    below = below_stream.random((round(_MARGIN * bands * counts[-1]), 3))
    above[:, 0] = -_MARGIN * (1 - above[:, 0])
    below[:, 0] = 1 + _MARGIN * below[:, 0]
    outside = np.concatenate([above, below])
    outside = outside[(outside[:, 0] > -l_max) & (outside[:, 0] < 1 + l_max)]
    drawn = np.concatenate([*points, outside])
    factor = _factor(spread, factors)

    n_inside = int(counts.sum())
    first, second, lengths = _pairs(_by_cells(drawn, l_max), n_inside, l_min, l_max)
    z, y, x = np.concatenate([drawn, np.zeros((max_corrections, 3))]).T.copy()
    inside = np.arange(len(z)) < n_inside
    n = _correct(
        z, y, x, inside, len(drawn), first, second, lengths, radii, l_min, l_max, porosity, porosity_tolerance,
        correction.random((max_corrections, 3)), factor,
    )  # fmt: skip
    if n < 0:
        raise PhysicsError(
            f"band porosities did not come within {porosity_tolerance:.2g} of {porosity} in "
            f"{max_corrections} corrections"
        )
    junctions = np.flatnonzero(inside)
    junctions = junctions[np.argsort(z[junctions], kind="stable")]
    # A point's number names it: its pores keep their radii whatever else is added or removed.
    names = np.concatenate([junctions, np.arange(n_inside, len(drawn))])
    points = np.column_stack([z, y, x])[names]
    return _join(points, names, len(junctions), l_min, l_max, radii, factor)


@lru_cache(maxsize=64)
def _counts_of(l_min: float, l_max: float, radii: tuple[float, ...], porosity: float) -> np.ndarray:
    """Junction counts, which all networks of a design point share."""
    return junction_counts(l_min=l_min, l_max=l_max, radii=np.array(radii), porosity=porosity)


#: What the kernels need to give every pore its factor: kind, scale, slope and a key.
_Factor = tuple[int, float, float, int]
_ALIKE: _Factor = (0, 1.0, 0.0, 0)


def _factor(spread: RadiusSpread, rng: np.random.Generator) -> _Factor:
    if spread.deviation == 0:
        return _ALIKE
    kind = 1 + ("normal", "lognormal", "uniform").index(spread.distribution)
    return (kind, *spread.scale_and_slope, int(rng.integers(1 << 63)))


def _join(
    points: np.ndarray,
    names: np.ndarray,
    n_inside: int,
    l_min: float,
    l_max: float,
    radii: np.ndarray,
    factor: _Factor,
) -> PoreNetwork:
    first, second, lengths = _pairs(_by_cells(points, l_max), n_inside, l_min, l_max)
    depth = points[:, 0].copy()
    found = _pores(depth, names, first, second, lengths, n_inside, np.asarray(radii, float), factor)
    return PoreNetwork(points[:n_inside].copy(), *found)


def connect(inside: np.ndarray, outside: np.ndarray, *, l_min: float, l_max: float, radii: np.ndarray) -> PoreNetwork:
    """Join points that are between ``l_min`` and ``l_max`` apart.

    Parameters
    ----------
    inside : (n_junctions, 3) ndarray
        Points ``(z, y, x)`` in the unit cube.
    outside : (n, 3) ndarray
        Points with ``z`` below 0 or above 1, whose pores are cut off at the face.
    l_min, l_max : float
        Limits of the whole pore's length.
    radii : (bands,) ndarray
        Pore radius of every band.

    Returns
    -------
    PoreNetwork
    """
    points = np.concatenate([inside, outside])
    return _join(points, np.arange(len(points)), len(inside), l_min, l_max, radii, _ALIKE)


@inline_kernel
def _mixed(z):
    """Bits of a number, well mixed (the last step of SplitMix64: Steele et al., OOPSLA 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inline_kernel
def _radius(base, a, b, factor):
    """Radius of the pore between points named ``a`` and ``b``: the same whenever it is asked for."""
    kind, scale, slope, key = factor
    if kind == 0:
        return base
    bits = _mixed(_mixed(np.uint64(key) ^ np.uint64(min(a, b))) + np.uint64(max(a, b)))
    while True:
        bits = _mixed(bits + np.uint64(0x9E3779B97F4A7C15))
        u = (np.float64(bits >> np.uint64(32)) + 0.5) * 2.0**-32
        v = (np.float64(bits & np.uint64(0xFFFFFFFF)) + 0.5) * 2.0**-32
        if kind == 3:
            return base * (1.0 + slope * (2.0 * u - 1.0))
        x = np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v)
        if abs(x) <= 3.0:
            return base * (scale * np.exp(slope * x) if kind == 2 else 1.0 + slope * x)


@inline_kernel
def _share(a, b, length, share):
    """Length of a pore in every band, cut at the faces, into ``share``; the band that has most of it."""
    bands = share.size
    top, bottom = min(a, b), max(a, b)
    inner_top, inner_bottom = max(top, 0.0), min(bottom, 1.0)
    share[:] = 0.0
    first = min(int(inner_top * bands), bands - 1)
    last = min(int(inner_bottom * bands), bands - 1)
    if first == last:
        inside = inner_top == top and inner_bottom == bottom
        share[first] = length if inside else length * (inner_bottom - inner_top) / (bottom - top)
        return first
    best = first
    for k in range(first, last + 1):
        part = min(inner_bottom, (k + 1) / bands) - max(inner_top, k / bands)
        share[k] = length * max(part, 0.0) / (bottom - top)
        if share[k] > share[best]:
            best = k
    return best


class _Cells(NamedTuple):
    """Points in the order of cubic cells ``1 / side`` wide, the first of which begin a margin above the feed side."""

    side: int
    first: np.ndarray  # first place of each cell
    number: np.ndarray  # of the point at each place,
    cell: np.ndarray  # its cell
    z: np.ndarray  # and coordinates
    y: np.ndarray
    x: np.ndarray


def _by_cells(points: np.ndarray, l_max: float) -> _Cells:
    """Bring points into the order of cells no smaller than ``l_max``."""
    side = int(1.0 / l_max)
    if side < 3:  # a cell would be its own neighbour on both sides: take one a layer
        side = 1
    layers = math.ceil((1.0 + 2 * _MARGIN) * side) + 2
    layer, row, column = ((points + np.array([_MARGIN, 0, 0])) * side).astype(np.int64).T
    cell = (layer * side + np.minimum(row, side - 1)) * side + np.minimum(column, side - 1)
    first, number = grouped(cell, layers * side * side)
    return _Cells(side, first, number, cell[number], *points[number].T.copy())


@inline_kernel
def _near(p, begin, end, z, y, x, least, most, hits, squares, count):
    """Append the places from ``begin`` to ``end`` whose squared distance from ``p`` is in range, without branches."""
    here_z, here_y, here_x = z[p], y[p], x[p]
    for q in range(begin, end):
        by, bx, bz = abs(here_y - y[q]), abs(here_x - x[q]), here_z - z[q]
        by, bx = min(by, 1.0 - by), min(bx, 1.0 - bx)
        square = bx * bx + by * by + bz * bz
        hits[count] = q
        squares[count] = square
        count += (least < square) & (square < most)
    return count


@kernel
def _pairs(cells, n_inside, l_min, l_max):
    """Pairs of points that a pore joins, the smaller numbers, inside, and the larger ones, and their distances.

    Neighbours of a point stand in runs of cells: three rows of its own layer, where those before it
    are left out as they have found it already, and three of the layer below.
    """
    side, first, number, cell = cells.side, cells.first, cells.number, cells.cell
    z, y, x = cells.z.copy(), cells.y.copy(), cells.x.copy()  # the compiler then knows that nothing writes to them
    n = number.size
    hits, squares = np.empty(n + 1, np.int64), np.empty(n + 1)
    capacity = 12 * n + 64
    lower, upper, distances = np.empty(capacity, np.int32), np.empty(capacity, np.int32), np.empty(capacity)
    least, most = l_min * l_min, l_max * l_max
    count = 0
    for p in range(n):
        cx, row = cell[p] % side, cell[p] // side
        cy, layer = row % side, row - row % side
        near = 0
        for dz in range(2):
            for dy in range(-1, 2):
                if side == 1 and dy != 0:
                    continue
                base = (layer + dz * side + (cy + dy + side) % side) * side
                before = p + 1 if dz == 0 else 0
                begin, end = first[base + max(cx - 1, 0)], first[base + min(cx + 2, side)]
                near = _near(p, max(begin, before), end, z, y, x, least, most, hits, squares, near)
                if side > 1 and (cx == 0 or cx == side - 1):  # round the edge
                    c = base + (side - 1 if cx == 0 else 0)
                    near = _near(p, max(first[c], before), first[c + 1], z, y, x, least, most, hits, squares, near)
        if count + near > capacity:
            capacity = 2 * capacity + near
            lower, upper, distances = _grown(lower, capacity), _grown(upper, capacity), _grown(distances, capacity)
        for c in range(near):
            i, j = number[p], number[hits[c]]
            if min(i, j) < n_inside:
                lower[count], upper[count] = min(i, j), max(i, j)
                distances[count] = np.sqrt(squares[c])
                count += 1
    return lower[:count], upper[:count], distances[:count]


@inline_kernel
def _grown(values, capacity):
    """The same values with room for more; an assignment of slices takes seconds to compile."""
    more = np.empty(capacity, values.dtype)
    for i in range(values.size):
        more[i] = values[i]
    return more


@kernel
def _correct(
    z, y, x, inside, n, first, second, lengths, radii, l_min, l_max, porosity, tolerance, draws, factor,
):  # fmt: skip
    """Add and remove junctions, band by band from the last, until every band has its porosity.

    ``z``, ``y``, ``x`` and ``inside`` have room for as many points as there are ``draws``, behind the first
    ``n``; points that are removed are no longer ``inside``. Returns the number of points, removed ones
    too, or -1 if the ``draws`` did not suffice.
    """
    bands = radii.size
    found, squares = np.empty(z.size + 1, np.int64), np.empty(z.size + 1)
    least, furthest = l_min * l_min, l_max * l_max
    share = np.empty(bands)
    scale = bands * np.pi
    level = np.zeros(bands)
    for c in range(lengths.size):
        i, j = first[c], second[c]
        base = radii[_share(z[i], z[j], lengths[c], share)]
        r = _radius(base, i, j, factor)
        for k in range(bands):
            level[k] += scale * r * r * share[k]

    used = 0
    settled = False
    while not settled:
        settled = True
        for k in range(bands - 1, -1, -1):
            while abs(level[k] / porosity - 1.0) >= tolerance:
                settled = False
                if used == draws.shape[0]:
                    return -1
                draw = draws[used]
                used += 1
                sign = 1.0
                i = n
                if level[k] < porosity:
                    z[i], y[i], x[i] = (k + draw[0]) / bands, draw[1], draw[2]
                    inside[i] = True
                    n += 1
                else:
                    here = 0
                    for j in range(n):
                        if inside[j] and min(int(z[j] * bands), bands - 1) == k:
                            found[here] = j
                            here += 1
                    i = found[int(draw[0] * here)]
                    sign = -1.0
                # All points are looked at: corrections are few.
                count = _near(i, 0, n, z, y, x, least, furthest, found, squares, 0)
                for c in range(count):
                    if found[c] == i:
                        continue
                    base = radii[_share(z[i], z[found[c]], np.sqrt(squares[c]), share)]
                    r = _radius(base, i, found[c], factor)
                    for b in range(bands):
                        level[b] += sign * scale * r * r * share[b]
                if sign < 0.0:
                    inside[i] = False
                    z[i] = 10.0  # too far away for all
    return n


@kernel
def _pores(depth, names, lower, upper, distances, n_inside, radii, factor):
    """All pores that have a part in the membrane."""
    bands = radii.size
    count = distances.size
    first = np.zeros(n_inside + 1, np.int64)
    for e in range(count):
        first[lower[e] + 1] += 1
    for i in range(n_inside):
        first[i + 1] += first[i]
    fill = first.copy()
    ends, lengths = np.empty((count, 2), np.int32), np.empty(count)
    for e in range(count):
        i, j = lower[e], upper[e]
        at = fill[i]
        fill[i] += 1
        while at > first[i] and ends[at - 1, 1] > j:  # in its place among the few that are there
            ends[at, 1], lengths[at] = ends[at - 1, 1], lengths[at - 1]
            at -= 1
        ends[at, 1], lengths[at] = j, distances[e]
    for i in range(n_inside):
        for e in range(first[i], first[i + 1]):
            ends[e, 0] = i
    length = np.empty(count)
    radius = np.empty(count)
    band = np.empty(count, np.int32)
    band_length = np.empty((count, bands))
    for e in range(count):
        z, j = depth[ends[e, 0]], ends[e, 1]
        band[e] = _share(z, depth[j], lengths[e], band_length[e])
        radius[e] = _radius(radii[band[e]], names[ends[e, 0]], names[j], factor)
        length[e] = lengths[e]
        if j >= n_inside:
            length[e] = band_length[e].sum()
            ends[e, 1] = -1 if depth[j] < 0.0 else -2
    return ends, length, radius, band, band_length
