"""Geodesic distances through a pore space, and the length of its shortest paths."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.transport.pore_space import PoreSpace, number_plane
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, kernel_spacing


def geodesic_distances(space: PoreSpace, spacing: Spacing = CUBE) -> np.ndarray:
    """Distance of every pore voxel from the face at high z, through pores that are connected by faces.

    Parameters
    ----------
    space : PoreSpace
        Pore voxels.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    (count,) ndarray of float32
        In the unit of the spacing; infinite for pores that are not connected to the face.

    Notes
    -----
    Solution of the eikonal equation by fast sweeping [1]_.

    References
    ----------
    .. [1] H. Zhao, "A fast sweeping method for eikonal equations", Mathematics of Computation 74, 603, 2005.
    """
    n_z, n_y, _ = space.shape
    time = np.full(space.count, np.inf, np.float32)
    time[space.first[(n_z - 1) * n_y] :] = 0.5 * spacing[0]
    pending = np.zeros((n_z, n_y), bool)
    pending[max(n_z - 2, 0) :] = True
    relax(space, time, pending, 0, n_z, spacing)
    return time


def relax(
    space: PoreSpace, time: np.ndarray, pending: np.ndarray, start: int, stop: int, spacing: Spacing = CUBE
) -> None:
    """Lower arrival times in some planes until they are consistent with each other and with the times around them.

    The result is the same to the last bit in whatever order rows and slabs of the volume are relaxed: times only
    decrease, and an arrival time increases with those of its neighbours.

    Parameters
    ----------
    space : PoreSpace
        Pores of these planes and of the planes adjacent to them.
    time : (count,) ndarray of float32
        Arrival times, changed in place.
    pending : (n_z, n_y) ndarray of bool
        Rows with neighbours whose times have decreased, changed in place; False outside these planes.
    start, stop : int
        The planes.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.
    """
    _sweep(space.bits, space.first, np.array(space.shape), time, pending, start, stop, kernel_spacing(spacing))


def shortest_path(space: PoreSpace, distance: np.ndarray, depth: int | None = None, spacing: Spacing = CUBE) -> float:
    """Mean length of the shortest paths from the face at low z to the face at high z, over the depth.

    Parameters
    ----------
    space : PoreSpace
        Pore voxels of the volume, or of its planes at low z.
    distance : (count,) ndarray
        From :func:`geodesic_distances`.
    depth : int, optional
        Planes of the volume; default those of ``space``.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    float
        Geometric tortuosity: mean over the pore voxels at low z that are connected to the other face, >= 1; NaN if
        there are none.
    """
    inlet = distance[: space.first[space.shape[1]]]
    connected = inlet[np.isfinite(inlet)]
    if not connected.size:
        return float("nan")
    return float((connected.astype(float) + 0.5 * spacing[0]).mean() / ((depth or space.shape[0]) * spacing[0]))


@inline_kernel
def _arrival_time(a: float, b: float, c: float) -> float:
    """Solution of the upwind eikonal equation from the smallest neighbouring times along each axis (inf: none)."""
    if a > b:
        a, b = b, a
    if b > c:
        b, c = c, b
    if a > b:
        a, b = b, a
    t = a + 1.0
    if t > b:
        t = 0.5 * (a + b + np.sqrt(2.0 - np.square(a - b)))
        if t > c:
            s = a + b + c
            t = (s + np.sqrt(s * s - 3.0 * (a * a + b * b + c * c - 1.0))) / 3.0
    return t


@inline_kernel
def _spaced_arrival_time(a: float, b: float, c: float, edges: np.ndarray) -> float:
    """The same for voxels of the given edges: ``((t - a) / h_a)^2 + ... = 1`` over the times that are less than t."""
    p, q, r = edges[0], edges[1], edges[2]
    if a > b:
        a, b, p, q = b, a, q, p
    if b > c:
        b, c, q, r = c, b, r, q
    if a > b:
        a, b, p, q = b, a, q, p
    t = a + p
    if t > b:  # two axes, then three; times from the earliest one on
        p, q, r = 1.0 / (p * p), 1.0 / (q * q), 1.0 / (r * r)
        b, c = b - a, c - a
        t = a + (q * b + np.sqrt(p + q - p * q * b * b)) / (p + q)
        if t > a + c:
            total, moment = p + q + r, q * b + r * c
            t = a + (moment + np.sqrt(moment * moment - total * (q * b * b + r * c * c - 1.0))) / total
    return float(t)


@inline_kernel
def _relax_row(
    time: np.ndarray, below: np.ndarray, here: np.ndarray, above: np.ndarray, y: int, n_y: int, n_x: int, forward: bool,
    edges: np.ndarray | None,
) -> bool:  # fmt: skip
    """Sweep along a row until its times are consistent with their neighbours; whether any became smaller."""
    changed = False
    for sweep in range(2 * n_x):
        smaller = False
        rising = (sweep % 2 == 0) == forward
        for k in range(n_x):
            x = k if rising else n_x - 1 - k
            i = here[y, x]
            if i < 0:
                continue
            a, b, c = np.inf, np.inf, np.inf
            if below[y, x] >= 0:
                a = min(a, time[below[y, x]])
            if above[y, x] >= 0:
                a = min(a, time[above[y, x]])
            if y > 0 and here[y - 1, x] >= 0:
                b = min(b, time[here[y - 1, x]])
            if y + 1 < n_y and here[y + 1, x] >= 0:
                b = min(b, time[here[y + 1, x]])
            if x > 0 and here[y, x - 1] >= 0:
                c = min(c, time[i - 1])
            if x + 1 < n_x and here[y, x + 1] >= 0:
                c = min(c, time[i + 1])
            if min(a, b, c) >= time[i]:
                continue
            t = np.float32(_arrival_time(a, b, c) if edges is None else _spaced_arrival_time(a, b, c, edges))
            if t < time[i]:
                time[i] = t
                smaller = True
        if not smaller:
            break
        changed = True
    return changed


@kernel
def _sweep(
    bits: np.ndarray, first: np.ndarray, shape: np.ndarray, time: np.ndarray, pending: np.ndarray, start: int,
    stop: int, edges: np.ndarray | None,
) -> None:  # fmt: skip
    """Sweep over planes, up and down, and over their rows, to and fro, until no row is pending.

    A row is pending while it has a neighbouring row that changed since it was last relaxed.
    """
    n_z, n_y, n_x = shape
    planes = np.full((3, n_y, n_x), -1, np.int64)
    numbered = np.full(3, -1, np.int64)  # plane whose numbers each slot contains
    solid = np.full((n_y, n_x), -1, np.int64)
    sweep = 0
    while pending.any():
        up = sweep % 2 == 1
        for k in range(stop - start):
            z = start + k if up else stop - 1 - k
            if not pending[z].any():
                continue
            for a in range(max(z - 1, 0), min(z + 2, n_z)):
                if numbered[a % 3] != a:
                    number_plane(bits, first, a, n_x, planes[a % 3])
                    numbered[a % 3] = a
            here = planes[z % 3]
            below = planes[(z - 1) % 3] if z > 0 else solid
            above = planes[(z + 1) % 3] if z + 1 < n_z else solid
            for direction in range(2):
                for m in range(n_y):
                    y = m if direction == 0 else n_y - 1 - m
                    if not pending[z, y]:
                        continue
                    pending[z, y] = False
                    if not _relax_row(time, below, here, above, y, n_y, n_x, direction == 0, edges):
                        continue
                    if z > start:
                        pending[z - 1, y] = True
                    if z + 1 < stop:
                        pending[z + 1, y] = True
                    if y > 0:
                        pending[z, y - 1] = True
                    if y + 1 < n_y:
                        pending[z, y + 1] = True
        sweep += 1
