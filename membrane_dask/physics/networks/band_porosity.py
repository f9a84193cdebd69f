"""Expected porosity of the bands of a random pore network, and the number of junctions that it needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.errors import PhysicsError

#: Fewest junctions in a band from which a network can form, and most that are tried.
_MIN_JUNCTIONS, _MAX_JUNCTIONS = 4, 1e7


def band_radii(radius: float | Sequence[float], gradient: float, bands: int) -> np.ndarray:
    """Return the pore radius of every band from the feed side on (Gu, Eqs. 1 and 2).

    Parameters
    ----------
    radius : float or (bands,) sequence of float
        Mean pore radius, or one radius per band to which the gradient is added.
    gradient : float
        Decrease of the radius from one band to the next.
    bands : int
        Number of bands.

    Returns
    -------
    (bands,) ndarray
    """
    return np.asarray(np.broadcast_to(radius, bands) + gradient * ((bands - 1) / 2 - np.arange(bands)))


def expected_band_porosity(
    counts: np.ndarray, radii: np.ndarray, l_min: float, l_max: float | Sequence[float] | np.ndarray
) -> np.ndarray:
    """Return the mean porosity of every band over all networks with these numbers of junctions.

    Parameters
    ----------
    counts : (bands,) ndarray
        Number of junctions in each band; need not be integers.
    radii : (bands,) ndarray
        Pore radius of each band.
    l_min : float
        Lower limit of the pore length.
    l_max : float or (bands,) sequence of float
        Upper limit of the pore length, of all bands or of each, ``<= min(1/bands, 1/2)``. Points of two bands are
        connected up to the smaller limit.

    Returns
    -------
    (bands,) ndarray

    Notes
    -----
    Two points at a distance ``d`` in depth are connected if their distance in the plane lies in a ring. The integral
    of the pore length over the ring is ``2 pi/3 (l_max^3 - max(l_min, d)^3)``. Its integrals over ``d`` and over the
    position of the pair relative to the band boundaries are elementary.
    """
    bands = len(counts)
    density = counts * bands
    pairs = density * (counts - 1) * bands  # a point is not its own neighbour
    limits = np.broadcast_to(np.asarray(l_max, float), bands)
    zeroth, first = _depth_moments(l_min, limits)
    square = np.square(radii)
    volume = pairs * square * (zeroth / bands - first)
    # A pair across a band boundary has a depth a in this band, uniformly distributed on [0, d], and the radius of this
    # band if a > d/2. Of a pair across a face only the segment inside the membrane counts.
    across = density[1:] * density[:-1] * _depth_moments(l_min, np.minimum(limits[1:], limits[:-1]))[1] / 8
    volume[:-1] += across * (3 * square[:-1] + square[1:])
    volume[1:] += across * (3 * square[1:] + square[:-1])
    for face in (0, -1):
        volume[face] += np.square(density[face]) * square[face] * first[face] / 2
    return np.asarray(bands * np.pi * 2 * np.pi / 3 * volume)


def _depth_moments(l_min: float, l_max: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the integrals over ``d`` from 0 to ``l_max`` of ``l_max^3 - max(l_min, d)^3``, and of ``d`` times it."""
    # Products, as powers of numbers have other last bits on other machines.
    min_2, max_2 = l_min * l_min, l_max * l_max
    min_3, max_3 = min_2 * l_min, max_2 * l_max
    cube = max_3 - min_3
    zeroth = cube * l_min + max_3 * (l_max - l_min) - (max_2 * max_2 - min_2 * min_2) / 4
    first = cube * min_2 / 2 + max_3 * (max_2 - min_2) / 2 - (max_2 * max_3 - min_2 * min_3) / 5
    return zeroth, first


def junction_counts(
    *, l_min: float, l_max: float | Sequence[float], radii: np.ndarray, porosity: float | Sequence[float]
) -> np.ndarray:
    """Return the number of junctions per band from which the generation starts.

    Parameters
    ----------
    l_min : float
        Lower limit of the pore length.
    l_max : float or (bands,) sequence of float
        Upper limit of the pore length, of all bands or of each.
    radii : (bands,) ndarray
        Pore radius of each band.
    porosity : float or (bands,) sequence of float
        Porosity of all bands or of each.

    Returns
    -------
    (bands,) ndarray of int

    Raises
    ------
    PhysicsError
        If the porosity needs more than 1e7 or fewer than 4 junctions in a band.

    Notes
    -----
    The last band gets the number that brings its expected porosity to ``porosity``; the others follow from
    ``r_k^2 N_k (N_k - 1) (l_max,k^4 - l_min^4) / Phi_k``, the same in all bands, which is Eq. 9 of Gu if the bands
    differ in their radii alone.
    """
    bands = len(radii)
    limits, porosities = (np.broadcast_to(np.asarray(values, float), bands) for values in (l_max, porosity))
    # Per pair of junctions in a band and per square of the radius: total length of the pores, over the porosity.
    weights = (np.square(np.square(limits)) - np.square(np.square(l_min))) / porosities

    def all_counts(last: float) -> np.ndarray:
        pairs = np.square(radii[-1] / radii) * (weights[-1] / weights) * last * (last - 1)
        return np.asarray(0.5 + np.sqrt(0.25 + pairs))

    def excess(last: float) -> float:
        return float(expected_band_porosity(all_counts(last), radii, l_min, limits)[-1] - porosities[-1])

    upper = 2.0
    while excess(upper) < 0:
        upper *= 2
        counts = all_counts(upper)
        band = int(counts.argmax())
        if counts[band] > _MAX_JUNCTIONS:
            needs = f"needs more than {_MAX_JUNCTIONS:.0e} junctions in band {band + 1}"
            raise PhysicsError(f"a porosity of {porosities[band]:g} {needs}")
    # Pores of a single junction can exceed the porosity of the last band; the counts then say nothing of the others.
    last = 1.0
    if excess(1.0) < 0:  # by bisection: scipy.optimize takes longer to import than all else that plans a study
        below, last = 1.0, upper
        while below < (middle := 0.5 * (below + last)) < last:
            below, last = (middle, last) if excess(middle) < 0 else (below, middle)
    counts = np.round(all_counts(round(last))).astype(np.int64)
    band = int(counts.argmin()) if counts[-1] > 1 else bands - 1
    if counts[band] < _MIN_JUNCTIONS:
        junctions = f"junction{'s' * bool(counts[band] > 1)}"
        raise PhysicsError(
            f"a porosity of {porosities[band]:g} needs only {counts[band]} {junctions} in band {band + 1}, too few for "
            f"a network (at least {_MIN_JUNCTIONS})"
        )
    return counts
