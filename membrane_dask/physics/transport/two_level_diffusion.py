"""Steady diffusion by slabs: voxels are smoothed slab by slab, groups of connected voxels are balanced in one piece.

Conjugate gradients, deflated with the groups [1]_ and preconditioned by Chebyshev iteration on the voxels [2]_. One
iteration needs the values of a few planes around a slab once, and one solution for the groups. Sums are formed plane by
plane and group by group, so that the result has the same bits however the volume is divided.

References
----------
.. [1] J. M. Tang et al., "Comparison of two-level preconditioners derived from deflation, domain decomposition and
   multigrid methods", Journal of Scientific Computing 39, 340, 2009 (A-DEF2).
.. [2] G. H. Golub and R. S. Varga, "Chebyshev semi-iterative methods, successive overrelaxation iterative methods, and
   second order Richardson iterative methods", Numerische Mathematik 3, 147, 1961 (cyclic reduction).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.transport.pore_space import PoreSpace, advance_planes, bit_count
from membrane_dask.physics.union_find import component_labels, join

#: Passes over the voxels of one colour in the smoother, an odd number.
PASSES = 7
#: Planes around a slab whose values its iteration depends on: one a pass, and one of the residual.
MARGIN = PASSES + 1
#: Smallest edge of the cells of groups, in voxels, and the approximate largest number of cells.
_MIN_CELL, _MAX_CELLS = 4, 6_000_000
#: Modes that decay by less than this times the inverse square of the edge of a cell are left to the groups.
_SMOOTH = 2.0


def cell_edge(shape: Sequence[int]) -> int:
    """Edge of the cells of groups for a volume, in voxels."""
    cell = _MIN_CELL
    while math.prod(-(-n // cell) for n in shape) > _MAX_CELLS:
        cell += 1
    return cell


@dataclass(frozen=True)
class SlabGroups:
    """Groups of a slab: components of its pores within cubic cells.

    Parameters
    ----------
    group : (n,) ndarray of int32
        Group of every pore voxel, numbered from 0 in the slab.
    cells : (count, 3) ndarray of int16
        Indices ``z, y, x`` of the cell of every group.
    pairs : (k, 2) ndarray of int32
        Groups with common faces.
    conductance : (k,) ndarray of float64
        Sum of the conductances of these faces.
    ends : (count, 2) ndarray of float64
        Conductances to the faces of the volume at low and high z.
    """

    group: np.ndarray
    cells: np.ndarray
    pairs: np.ndarray
    conductance: np.ndarray
    ends: np.ndarray


def slab_groups(space: PoreSpace, start: int, depth: int, cell: int, weights: np.ndarray) -> SlabGroups:
    """Groups of a slab.

    Parameters
    ----------
    space : PoreSpace
        Pores of the slab.
    start : int
        Its first plane, a multiple of ``cell``.
    depth : int
        Number of planes of the volume.
    cell : int
        Edge of the cells.
    weights : (3,) ndarray
        Conductances of a face across ``z, y, x``.
    """
    shape = np.array(space.shape)
    group, cells = _groups(space.bits, space.first, shape, cell)
    cells[:, 0] += start // cell
    count = len(cells)
    pairs, conductance = [], []
    for axis in range(3):
        keys, faces = np.unique(_faces(space.bits, space.first, shape, group, axis), return_counts=True)
        pairs.append(keys)
        conductance.append(faces * float(weights[axis]))
    keys, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
    total = np.bincount(inverse, np.concatenate(conductance), len(keys)) if len(keys) else np.zeros(0)
    n_y = space.shape[1]
    ends = np.zeros((count, 2))
    if start == 0:
        ends[:, 0] = 2.0 * weights[0] * np.bincount(group[: space.first[n_y]], minlength=count)
    if start + space.shape[0] == depth:
        ends[:, 1] = 2.0 * weights[0] * np.bincount(group[space.first[-1 - n_y] :], minlength=count)
    return SlabGroups(group, cells, np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1).astype(np.int32), total, ends)


@kernel
def _groups(bits: np.ndarray, first: np.ndarray, shape: np.ndarray, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Group of every pore voxel, and the cell of every group."""
    n_z, n_y, n_x = shape
    parent = np.empty(first[-1], np.int32)
    planes = np.empty((3, n_y, n_x), np.int64)
    for z in range(n_z):
        below, here, _ = advance_planes(bits, first, z, shape, planes)
        for y in range(n_y):
            for x in range(n_x):
                i = here[y, x]
                if i < 0:
                    continue
                parent[i] = i
                if z % cell and below[y, x] >= 0:
                    join(parent, i, below[y, x])
                if y % cell and here[y - 1, x] >= 0:
                    join(parent, i, here[y - 1, x])
                if x % cell and here[y, x - 1] >= 0:
                    join(parent, i, i - 1)
    group, count = component_labels(parent)
    cells = np.empty((count, 3), np.int16)
    for z in range(n_z):
        for y in range(n_y):
            i = first[z * n_y + y]
            for x in range(n_x):
                if (bits[z, y, x >> 6] >> np.uint64(x & 63)) & np.uint64(1):
                    cells[group[i]] = z // cell, y // cell, x // cell
                    i += 1
    return group, cells


@kernel
def _faces(bits: np.ndarray, first: np.ndarray, shape: np.ndarray, group: np.ndarray, axis: int) -> np.ndarray:
    """Pair of groups, smaller one in the upper 32 bits, of every face across ``axis`` between two groups."""
    n_z, n_y, n_x = shape
    planes = np.empty((3, n_y, n_x), np.int64)
    pairs, size = np.empty(1 << 16, np.int64), 0
    for z in range(n_z):
        _, here, above = advance_planes(bits, first, z, shape, planes)
        if pairs.size < size + n_y * n_x:
            pairs = np.append(pairs[:size], np.empty(size // 2 + n_y * n_x, np.int64))
        for y in range(n_y):
            for x in range(n_x):
                i = here[y, x]
                if i < 0:
                    continue
                j = np.int64(-1)
                if axis == 0:
                    j = above[y, x]
                elif axis == 1:
                    if y + 1 < n_y:
                        j = here[y + 1, x]
                elif x + 1 < n_x:
                    j = here[y, x + 1]
                if j < 0 or group[i] == group[j]:
                    continue
                a, b = np.int64(group[i]), np.int64(group[j])
                pairs[size] = (min(a, b) << 32) | max(a, b)
                size += 1
    return pairs[:size].copy()


# ---------------------------------------------------------------------------------------------
# Operations on the voxels of a window: a slab with planes around it


@inline_kernel
def _neighbour_sums(
    bits: np.ndarray, first: np.ndarray, z: int, y: int, select: np.uint64, weights: np.ndarray, values: np.ndarray,
    index: np.ndarray, sums: np.ndarray,
) -> int:  # fmt: skip
    """Weighted sums of the values of the neighbours of the pores of a row that ``select`` has in each word.

    Writes their numbers and sums; returns how many there are.
    """
    n_z, n_y, row_length = bits.shape
    zero, one = np.uint64(0), np.uint64(1)
    w_z, w_y, w_x = weights[0], weights[1], weights[2]
    row = z * n_y + y
    at = first[row]
    has_a, has_b, has_c, has_d = z > 0, z + 1 < n_z, y > 0, y + 1 < n_y
    at_a = first[row - n_y] if has_a else 0
    at_b = first[row + n_y] if has_b else 0
    at_c = first[row - 1] if has_c else 0
    at_d = first[row + 1] if has_d else 0
    carry, n = zero, 0
    for k in range(row_length):
        here = bits[z, y, k]
        a = bits[z - 1, y, k] if has_a else zero
        b = bits[z + 1, y, k] if has_b else zero
        c = bits[z, y - 1, k] if has_c else zero
        d = bits[z, y + 1, k] if has_d else zero
        left = (here << one) | carry
        right = here >> one
        if k + 1 < row_length:
            right |= bits[z, y, k + 1] << np.uint64(63)
        rest = here & select
        while rest != zero:
            low = rest & (~rest + one)
            before = low - one
            i = at + bit_count(here & before)
            s = values[i] - values[i]
            if a & low:
                s += w_z * values[at_a + bit_count(a & before)]
            if b & low:
                s += w_z * values[at_b + bit_count(b & before)]
            if c & low:
                s += w_y * values[at_c + bit_count(c & before)]
            if d & low:
                s += w_y * values[at_d + bit_count(d & before)]
            if left & low:
                s += w_x * values[i - 1]
            if right & low:
                s += w_x * values[i + 1]
            index[n], sums[n] = i, s
            n += 1
            rest ^= low
        carry = here >> np.uint64(63)
        at += bit_count(here)
        at_a, at_b = at_a + bit_count(a), at_b + bit_count(b)
        at_c, at_d = at_c + bit_count(c), at_d + bit_count(d)
    return n


@kernel
def degrees(bits: np.ndarray, first: np.ndarray, weights: np.ndarray, low_end: bool, high_end: bool) -> np.ndarray:
    """Sum of the conductances of the faces of every pore voxel, float32."""
    n_z, n_y, row_length = bits.shape
    ones = np.ones(first[-1], np.float32)
    degree = np.ones(first[-1], np.float32)
    index, sums = np.empty(64 * row_length, np.int64), np.empty(64 * row_length, np.float32)
    for z in range(n_z):
        ends = np.float32(2 * weights[0]) * np.float32(int(low_end and z == 0) + int(high_end and z == n_z - 1))
        for y in range(n_y):
            n = _neighbour_sums(bits, first, z, y, ~np.uint64(0), weights, ones, index, sums)
            for k in range(n):
                total = sums[k] + ends
                degree[index[k]] = total if total > 0 else np.float32(1.0)
    return degree


@kernel
def _pass(
    bits: np.ndarray, first: np.ndarray, weights: np.ndarray, degree: np.ndarray, r: np.ndarray, x: np.ndarray,
    colour: int, omega: np.float32, begin: int, end: int,
) -> None:  # fmt: skip
    """Relax the voxels of one colour of a chessboard in the planes from ``begin`` to ``end``."""
    n_y, row_length = bits.shape[1:]
    index, sums = np.empty(64 * row_length, np.int64), np.empty(64 * row_length, np.float32)
    even, odd = np.uint64(0x5555555555555555), np.uint64(0xAAAAAAAAAAAAAAAA)
    for z in range(begin, end):
        for y in range(n_y):
            n = _neighbour_sums(bits, first, z, y, even if (z + y + colour) % 2 == 0 else odd, weights, x, index, sums)
            for k in range(n):
                i = index[k]
                x[i] += omega * ((r[i] + sums[k]) / degree[i] - x[i])


@kernel
def residual_sums(
    bits: np.ndarray, first: np.ndarray, weights: np.ndarray, degree: np.ndarray, c: np.ndarray, active: np.ndarray,
    low_end: bool, begin: int, end: int, r: np.ndarray, plane_sums: np.ndarray, product_sums: np.ndarray,
) -> None:  # fmt: skip
    """Residual for concentrations of 1 beyond low z and 0 beyond high z; sums of it, and of it times concentration."""
    n_y, row_length = bits.shape[1:]
    index, sums = np.empty(64 * row_length, np.int64), np.empty(64 * row_length, np.float64)
    for z in range(begin, end):
        source = 2.0 * weights[0] if low_end and z == 0 else 0.0
        total, product = 0.0, 0.0
        for y in range(n_y):
            n = _neighbour_sums(bits, first, z, y, ~np.uint64(0), weights, c, index, sums)
            for k in range(n):
                i = index[k]
                if active[i]:
                    value = source + sums[k] - np.float64(degree[i]) * c[i]
                    total += value
                    product += value * c[i]
                    r[i] = value
        plane_sums[z], product_sums[z] = total, product


@kernel
def _product_sums(
    bits: np.ndarray, first: np.ndarray, weights: np.ndarray, degree: np.ndarray, r: np.ndarray, z: np.ndarray,
    group: np.ndarray, begin: int, end: int, rz: np.ndarray, zw: np.ndarray, group_sums: np.ndarray,
) -> None:  # fmt: skip
    """Sums with ``w``, the operator applied to ``z``: ``r.z`` and ``z.w`` of every plane; ``w`` and ``r`` by groups."""
    n_y, row_length = bits.shape[1:]
    index, sums = np.empty(64 * row_length, np.int64), np.empty(64 * row_length, np.float32)
    start = first[begin * n_y]
    for plane in range(begin, end):
        a, b = 0.0, 0.0
        for y in range(n_y):
            n = _neighbour_sums(bits, first, plane, y, ~np.uint64(0), weights, z, index, sums)
            for k in range(n):
                i = index[k]
                w = np.float64(degree[i]) * z[i] - sums[k]
                a += np.float64(r[i]) * z[i]
                b += w * z[i]
                g = group[i - start]
                group_sums[g, 0] += w
                group_sums[g, 1] += r[i]
        rz[plane], zw[plane] = a, b


def chebyshev_factors(cell: int) -> np.ndarray:
    """Relaxation factors of the passes of the smoother, for groups in cells of the given edge."""
    rho_square = (1.0 - _SMOOTH / (cell * cell)) * (1.0 - _SMOOTH / (cell * cell))
    omega = [1.0, 1.0 / (1.0 - rho_square / 2.0)]
    while len(omega) < PASSES:
        omega.append(1.0 / (1.0 - rho_square * omega[-1] / 4.0))
    omega[-1] = 1.0  # the voxels of one colour are eliminated exactly, which makes the smoother symmetric
    return np.array(omega, np.float32)


@dataclass(frozen=True)
class Window:
    """Pores of a slab with planes around it.

    Parameters
    ----------
    space : PoreSpace
        Pores of the planes ``low`` to ``high``.
    low, start, stop, high : int
        Planes of the window, and of the slab in it.
    depth : int
        Number of planes of the volume.
    weights : (3,) ndarray of float32
        Conductances of a face across ``z, y, x``.
    """

    space: PoreSpace
    low: int
    start: int
    stop: int
    high: int
    depth: int
    weights: np.ndarray

    @property
    def own(self) -> slice:
        """Pore voxels of the slab in arrays of the window."""
        return self.voxels(self.start, self.stop)

    def voxels(self, start: int, stop: int) -> slice:
        """Pore voxels of some planes in arrays of the window."""
        n_y = self.space.shape[1]
        return slice(int(self.space.first[(start - self.low) * n_y]), int(self.space.first[(stop - self.low) * n_y]))

    def inner(self, margin: int) -> tuple[int, int]:
        """Planes, counted from ``low``, whose distance from the ends of the window is ``margin`` or more."""
        begin = 0 if self.low == 0 else margin
        return begin, self.high - self.low - (0 if self.high == self.depth else margin)


@dataclass(frozen=True)
class SlabStep:
    """Values of a slab after an iteration.

    Parameters
    ----------
    smoothed : (n,) ndarray of float32
        Smoothed residual of its pore voxels.
    sums : (planes, 4) ndarray
        Of every plane: the residual, its product with the smoothed one, that of the latter with the operator applied
        to it, and the product of residual and concentration.
    inflow : float
        Flux into the first plane of the volume; 0 for other slabs.
    group_sums : (count, 2) ndarray
        Of every group of the slab: operator applied to the smoothed residual, and residual.
    """

    smoothed: np.ndarray
    sums: np.ndarray
    inflow: float
    group_sums: np.ndarray


def slab_step(
    window: Window, concentration: np.ndarray, active: np.ndarray, group: np.ndarray, count: int, cell: int
) -> SlabStep:
    """Smooth the residual of the concentrations in a slab.

    Parameters
    ----------
    window : Window
        The slab with :data:`MARGIN` planes on each side, as far as the volume reaches.
    concentration : (n,) ndarray of float64
        Concentrations in the pores of the window.
    active : (n,) ndarray of bool
        Which of them percolate.
    group : (m,) ndarray of int32
        Group of every pore voxel of the slab, numbered in the slab.
    count : int
        Number of groups of the slab.
    cell : int
        Edge of their cells.
    """
    bits, first = window.space.bits, window.space.first
    low_end, high_end = window.low == 0, window.high == window.depth
    n_z, n_y, _ = window.space.shape
    weights = window.weights.astype(np.float32)
    degree = degrees(bits, first, weights, low_end, high_end)
    r, smoothed = np.zeros(len(concentration), np.float32), np.zeros(len(concentration), np.float32)
    sums = np.zeros((4, n_z))
    planes = window.inner(1)
    residual_sums(
        bits, first, window.weights.astype(float), degree, concentration, active, low_end, *planes, r, sums[0], sums[3]
    )
    for number, omega in enumerate(chebyshev_factors(cell)):
        colour = (window.low + number) % 2
        _pass(bits, first, weights, degree, r, smoothed, colour, omega, *window.inner(number + 1))
    group_sums = np.zeros((count, 2))
    own = window.start - window.low, window.stop - window.low
    _product_sums(bits, first, weights, degree, r, smoothed, group, *own, sums[1], sums[2], group_sums)
    inflow = 0.0
    if window.start == 0:
        inlet = concentration[: first[n_y]][active[: first[n_y]]]
        inflow = float(2.0 * weights[0] * (1.0 - inlet).sum())
    return SlabStep(smoothed[window.own].copy(), sums[:, slice(*own)].T.copy(), inflow, group_sums)
