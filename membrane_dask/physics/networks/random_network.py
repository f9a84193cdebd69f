"""Random pore networks whose pore radius changes from band to band (Gu, Sec. II and Algorithm 1).

Junctions are uniform random points in the unit cube, which is divided in depth into bands and periodic in ``x`` and
``y``. A pore connects any two of them whose distance lies between ``l_min`` and ``l_max``. Points outside the faces
give the pores that open to the feed and to the filtrate; these are cut off at the face. Junctions are then added or
removed until every band has the required porosity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import junction_counts
from membrane_dask.physics.networks.neighbour_search import (
    MARGIN,
    append_neighbours,
    cell_list,
    pairs_in_range,
    resize,
)
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.networks.radius_distribution import (
    EQUAL_RADII,
    NO_SPREAD,
    RadiusSpread,
    SpreadParameters,
    pore_radius,
    spread_parameters,
)


def generate(
    rng: np.random.Generator,
    *,
    l_min: float,
    l_max: float | Sequence[float],
    radii: np.ndarray,
    porosity: float | Sequence[float],
    porosity_tolerance: float,
    spread: RadiusSpread = EQUAL_RADII,
    max_corrections: int = 10_000,
) -> PoreNetwork:
    """Generate one random network.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers of this network. Each band uses a child generator of its own, so that networks with other radii
        generated from an equal ``rng`` have almost all junctions in common.
    l_min : float
        Pores are longer than this, in membrane thicknesses; >= 0.
    l_max : float or (bands,) sequence of float
        Pores are shorter than this, or than the smaller value of the bands of their two ends; a point beyond a face
        counts as in the band at that face. ``l_min < l_max <= min(1/bands, 1/2)``.
    radii : (bands,) ndarray
        Pore radius of every band, > 0; see :func:`~membrane_dask.physics.networks.band_porosity.band_radii`.
    porosity : float or (bands,) sequence of float
        Porosity of all bands, or of each; within 0 and 1.
    porosity_tolerance : float
        Largest relative deviation of a band from it, > 0.
    spread : RadiusSpread
        Variation of the radii within a band.
    max_corrections : int
        Largest number of junctions that are added or removed.

    Returns
    -------
    PoreNetwork
        With junctions sorted by depth.

    Raises
    ------
    ValueError
        If ``l_max`` or a radius is out of range.
    PhysicsError
        If the porosity is not reached, as with a tolerance below the effect of a single junction.

    Notes
    -----
    Gu, Algorithm 1. A pore across a band boundary has the radius of the band that contains its longest segment.
    Points outside the faces are not corrected.
    """
    radii = np.asarray(radii, float)
    bands = len(radii)
    limits, porosities = (np.array(np.broadcast_to(values, bands), float) for values in (l_max, porosity))
    if not (l_min >= 0 and (l_min < limits).all() and (limits <= min(1 / bands, MARGIN)).all()):
        raise ValueError(f"l_max: must lie between l_min and min(1/bands, 1/2) (got {l_max})")
    if not (radii > 0).all():
        raise ValueError(f"radii: must be greater than 0 (got {radii.tolist()})")
    effective = tuple((radii * math.sqrt(spread.mean_square)).tolist())
    counts = _cached_counts(l_min, tuple(limits.tolist()), effective, tuple(porosities.tolist()))
    *band_rngs, above_rng, below_rng, correction_rng, spread_rng = rng.spawn(bands + 4)
    points = [band_rng.random((count, 3)) for band_rng, count in zip(band_rngs, counts, strict=True)]
    for k in range(bands):
        points[k][:, 0] = (k + points[k][:, 0]) / bands
    above = above_rng.random((round(MARGIN * bands * counts[0]), 3))
    below = below_rng.random((round(MARGIN * bands * counts[-1]), 3))
    above[:, 0] = -MARGIN * (1 - above[:, 0])
    below[:, 0] = 1 + MARGIN * below[:, 0]
    outside = np.concatenate([above, below])
    outside = outside[(outside[:, 0] > -limits[0]) & (outside[:, 0] < 1 + limits[-1])]
    initial = np.concatenate([*points, outside])
    parameters = spread_parameters(spread, spread_rng)

    n_inside = int(counts.sum())
    pairs = _connected_pairs(initial, n_inside, l_min, limits)
    z, y, x = np.concatenate([initial, np.zeros((max_corrections, 3))]).T.copy()
    inside = np.arange(len(z)) < n_inside
    n = _correct_porosity(
        z, y, x, inside, len(initial), *pairs, radii, l_min, limits, porosities, porosity_tolerance,
        correction_rng.random((max_corrections, 3)), parameters,
    )  # fmt: skip
    if n < 0:
        raise PhysicsError(
            f"band porosities did not come within {porosity_tolerance:.2g} of {porosity} in "
            f"{max_corrections} corrections"
        )
    junctions = np.flatnonzero(inside)
    junctions = junctions[np.argsort(z[junctions], kind="stable")]
    # The original number of a point identifies it: its pores keep their radii when others are added or removed.
    identity = np.concatenate([junctions, np.arange(n_inside, len(initial))])
    index = np.full(n, -1)
    index[identity] = np.arange(len(identity))
    pairs = _corrected_pairs(*pairs, index, len(initial), z, y, x, l_min, float(limits.max()))
    points_used = np.column_stack([z, y, x])[identity]
    pairs = _within_limits(points_used, *pairs, limits)
    return _network(points_used, identity, len(junctions), pairs, radii, parameters)


@lru_cache(maxsize=64)
def _cached_counts(
    l_min: float, l_max: tuple[float, ...], radii: tuple[float, ...], porosity: tuple[float, ...]
) -> np.ndarray:
    """Return the junction counts, which all networks of a design point have in common."""
    return junction_counts(l_min=l_min, l_max=l_max, radii=np.array(radii), porosity=porosity)


def connect(
    inside: np.ndarray, outside: np.ndarray, *, l_min: float, l_max: float | Sequence[float], radii: np.ndarray
) -> PoreNetwork:
    """Connect all points whose distance lies between ``l_min`` and ``l_max``.

    Parameters
    ----------
    inside : (n_junctions, 3) ndarray
        Points ``(z, y, x)`` in the unit cube.
    outside : (n, 3) ndarray
        Points with ``z`` below 0 or above 1, whose pores are cut off at the face.
    l_min : float
        Lower limit of the length of the whole pore.
    l_max : float or (bands,) sequence of float
        Upper limit, as in :func:`generate`.
    radii : (bands,) ndarray
        Pore radius of every band.

    Returns
    -------
    PoreNetwork
    """
    points = np.concatenate([inside, outside])
    limits = np.array(np.broadcast_to(l_max, len(radii)), float)
    pairs = _connected_pairs(points, len(inside), l_min, limits)
    return _network(points, np.arange(len(points)), len(inside), pairs, radii, NO_SPREAD)


#: The two points of every pore, the smaller index first, and their distance.
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def _connected_pairs(points: np.ndarray, n_inside: int, l_min: float, l_max: np.ndarray) -> Pairs:
    """Find the pairs of points that a pore connects, for limits of the length by band."""
    longest = float(l_max.max())
    return _within_limits(points, *pairs_in_range(cell_list(points, longest), n_inside, l_min, longest), l_max)


def _within_limits(
    points: np.ndarray, lower: np.ndarray, upper: np.ndarray, distances: np.ndarray, l_max: np.ndarray
) -> Pairs:
    """Select the pairs whose distance is below the limits of both bands; all are below the largest limit."""
    if (l_max == l_max.max()).all():
        return lower, upper, distances
    bands = len(l_max)
    limit = l_max[np.clip((points[:, 0] * bands).astype(np.int64), 0, bands - 1)]
    connected = distances < np.minimum(limit[lower], limit[upper])
    return lower[connected], upper[connected], distances[connected]


def _network(
    points: np.ndarray, identity: np.ndarray, n_inside: int, pairs: Pairs, radii: np.ndarray,
    parameters: SpreadParameters,
) -> PoreNetwork:  # fmt: skip
    """Build the network of points, of which the first ``n_inside`` are junctions."""
    depth = points[:, 0].copy()
    radii = np.asarray(radii, float)
    return PoreNetwork(points[:n_inside].copy(), *_pores(depth, identity, *pairs, n_inside, radii, parameters))


@inline_kernel
def _split_by_band(a: float, b: float, length: float, band_length: np.ndarray) -> int:
    """Compute the length in every band of a pore between depths ``a`` and ``b``, cut off at the faces.

    Writes the lengths to ``band_length`` and returns the band that contains the longest segment.
    """
    bands = band_length.size
    top, bottom = min(a, b), max(a, b)
    inner_top, inner_bottom = max(top, 0.0), min(bottom, 1.0)
    band_length[:] = 0.0
    first = min(int(inner_top * bands), bands - 1)
    last = min(int(inner_bottom * bands), bands - 1)
    if first == last:
        inside = inner_top == top and inner_bottom == bottom
        band_length[first] = length if inside else length * (inner_bottom - inner_top) / (bottom - top)
        return first
    longest = first
    for k in range(first, last + 1):
        overlap = min(inner_bottom, (k + 1) / bands) - max(inner_top, k / bands)
        band_length[k] = length * max(overlap, 0.0) / (bottom - top)
        if band_length[k] > band_length[longest]:
            longest = k
    return longest


@kernel
def _correct_porosity(
    z: np.ndarray, y: np.ndarray, x: np.ndarray, inside: np.ndarray, n: int, lower: np.ndarray, upper: np.ndarray,
    distances: np.ndarray, radii: np.ndarray, l_min: float, l_max: np.ndarray, porosity: np.ndarray, tolerance: float,
    draws: np.ndarray, parameters: SpreadParameters,
) -> int:  # fmt: skip
    """Add and remove junctions, band by band from the last one, until every band has the required porosity.

    ``z``, ``y``, ``x`` and ``inside`` have room for one point per draw after the first ``n``. Removed points are no
    longer ``inside``. Returns the number of points including removed ones, or -1 if the ``draws`` did not suffice.
    """
    bands = radii.size
    neighbours, squares = np.empty(z.size + 1, np.int64), np.empty(z.size + 1)
    min_square, max_square = l_min * l_min, l_max * l_max  # the latter by band
    band_length = np.empty(bands)
    scale = bands * np.pi
    band_porosity = np.zeros(bands)
    for c in range(distances.size):
        i, j = lower[c], upper[c]
        band_radius = radii[_split_by_band(z[i], z[j], distances[c], band_length)]
        r = pore_radius(band_radius, i, j, parameters)
        for k in range(bands):
            band_porosity[k] += scale * r * r * band_length[k]

    used = 0
    converged = False
    while not converged:
        converged = True
        for k in range(bands - 1, -1, -1):
            while abs(band_porosity[k] / porosity[k] - 1.0) >= tolerance:
                converged = False
                if used == draws.shape[0]:
                    return -1
                draw = draws[used]
                used += 1
                sign = 1.0
                i = n
                if band_porosity[k] < porosity[k]:
                    z[i], y[i], x[i] = (k + draw[0]) / bands, draw[1], draw[2]
                    inside[i] = True
                    n += 1
                else:
                    in_band = 0
                    for j in range(n):
                        if inside[j] and min(int(z[j] * bands), bands - 1) == k:
                            neighbours[in_band] = j
                            in_band += 1
                    i = neighbours[int(draw[0] * in_band)]
                    sign = -1.0
                # Corrections are few: a search of all points is fast enough.
                count = append_neighbours(i, 0, n, z, y, x, min_square, max_square[k], neighbours, squares, 0)
                for c in range(count):
                    j = neighbours[c]
                    if j == i or squares[c] >= max_square[min(max(int(z[j] * bands), 0), bands - 1)]:
                        continue
                    band_radius = radii[_split_by_band(z[i], z[j], np.sqrt(squares[c]), band_length)]
                    r = pore_radius(band_radius, i, j, parameters)
                    for b in range(bands):
                        band_porosity[b] += sign * scale * r * r * band_length[b]
                if sign < 0.0:
                    inside[i] = False
                    z[i] = 10.0  # out of reach of all points
    return n


@kernel
def _corrected_pairs(
    lower: np.ndarray, upper: np.ndarray, distances: np.ndarray, index: np.ndarray, n_initial: int, z: np.ndarray,
    y: np.ndarray, x: np.ndarray, l_min: float, l_max: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Update the pairs of the initial points after the correction of the porosity, which changes few of them.

    ``index`` is that of every point in the network, -1 for removed ones; added points follow the ``n_initial`` first.
    """
    n, capacity = index.size, lower.size
    neighbours, squares = np.empty(n + 1, np.int64), np.empty(n + 1)
    first, second, lengths = np.empty(capacity, np.int32), np.empty(capacity, np.int32), np.empty(capacity)
    count = 0
    for e in range(lower.size):
        i, j = index[lower[e]], index[upper[e]]
        if min(i, j) >= 0:
            first[count], second[count], lengths[count] = min(i, j), max(i, j), distances[e]
            count += 1
    for p in range(n_initial, n):
        if index[p] < 0:
            continue
        near = append_neighbours(p, 0, p, z, y, x, l_min * l_min, l_max * l_max, neighbours, squares, 0)
        if count + near > capacity:
            capacity = 2 * capacity + near
            first, second, lengths = resize(first, capacity), resize(second, capacity), resize(lengths, capacity)
        for c in range(near):
            i, j = index[p], index[neighbours[c]]
            first[count], second[count], lengths[count] = min(i, j), max(i, j), np.sqrt(squares[c])
            count += 1
    return first[:count], second[:count], lengths[:count]


@kernel
def _pores(
    depth: np.ndarray, identity: np.ndarray, lower: np.ndarray, upper: np.ndarray, distances: np.ndarray,
    n_inside: int, radii: np.ndarray, parameters: SpreadParameters,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return ``throat_conns``, length, radius, band and band length of all pores that lie in the membrane.

    Pores are sorted by their lower, then by their upper point.
    """
    bands = radii.size
    count = distances.size
    first = np.zeros(n_inside + 1, np.int64)
    for e in range(count):
        first[lower[e] + 1] += 1
    for i in range(n_inside):
        first[i + 1] += first[i]
    fill = first.copy()
    conns, whole_length = np.empty((count, 2), np.int32), np.empty(count)
    for e in range(count):
        i, j = lower[e], upper[e]
        at = fill[i]
        fill[i] += 1
        while at > first[i] and conns[at - 1, 1] > j:  # insertion sort: a junction has few pores
            conns[at, 1], whole_length[at] = conns[at - 1, 1], whole_length[at - 1]
            at -= 1
        conns[at, 1], whole_length[at] = j, distances[e]
    for i in range(n_inside):
        for e in range(first[i], first[i + 1]):
            conns[e, 0] = i
    length = np.empty(count)
    radius = np.empty(count)
    band = np.empty(count, np.int32)
    band_length = np.empty((count, bands))
    for e in range(count):
        z, j = depth[conns[e, 0]], conns[e, 1]
        band[e] = _split_by_band(z, depth[j], whole_length[e], band_length[e])
        radius[e] = pore_radius(radii[band[e]], identity[conns[e, 0]], identity[j], parameters)
        length[e] = whole_length[e]
        if j >= n_inside:
            length[e] = band_length[e].sum()
            conns[e, 1] = -1 if depth[j] < 0.0 else -2
    return conns, length, radius, band, band_length
