"""Ways through a pore space: the shortest ones, and diffusion. Whole volumes, a few bytes for every pore voxel.

Pores are kept as rows of bits and numbered along them, so that what is known of a voxel lies in plain vectors over
the pores alone; neighbours are found while planes are swept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.union_find import join, root_of

#: Groups of voxels in the coarse problem of a diffusion at most, about.
_GROUPS = 40_000
#: Narrowest cell of the coarse problem, in voxels.
_CELL = 8
#: Fall of the residual's energy from which on single precision has nothing more to tell.
_ROUNDING = 1e-8
#: Steps after which the flux is looked at.
_LOOK = 10


@dataclass(frozen=True)
class PoreSpace:
    """Where the pores of a volume are.

    Parameters
    ----------
    bits : (n_z, n_y, n_words) ndarray of uint64
        Voxels of each row, from the lowest bit on; 1 in the pores.
    first : (n_z * n_y + 1,) ndarray of int64
        Number of the first pore voxel of each row; last, how many there are.
    shape : tuple of int
        Voxels along ``z, y, x``.
    """

    bits: np.ndarray
    first: np.ndarray
    shape: tuple[int, ...]

    @classmethod
    def of(cls, slabs: Iterable[np.ndarray], shape: tuple[int, ...]) -> PoreSpace:
        """From slabs of whole planes of the depth, ``(n, y, x)`` bool, one after the other."""
        bits = np.zeros((shape[0], shape[1], -(-shape[2] // 64)), np.uint64)
        z = 0
        for slab in slabs:
            packed = np.zeros((*slab.shape[:2], 8 * bits.shape[2]), np.uint8)
            packed[..., : -(-shape[2] // 8)] = np.packbits(slab, axis=-1, bitorder="little")
            bits[z : z + len(slab)] = packed.view(np.uint64)
            z += len(slab)
        count = np.bitwise_count(bits).sum(axis=2, dtype=np.int64).ravel()
        return cls(bits, np.concatenate([[0], np.cumsum(count)]), tuple(shape))

    @property
    def count(self) -> int:
        """Number of pore voxels."""
        return int(self.first[-1])


def distances(space: PoreSpace) -> np.ndarray:
    """Distance of every pore voxel from the face at high z through pores that share faces.

    Parameters
    ----------
    space : PoreSpace
        The pores.

    Returns
    -------
    (count,) ndarray of float32
        In voxels; infinite where there is no way.

    Notes
    -----
    They solve the eikonal equation by fast sweeping (Zhao, Math. Comput. 74, 603, 2005).
    """
    return np.asarray(_march(space.bits, space.first, np.array(space.shape)))


def shortest_path(space: PoreSpace, distance: np.ndarray) -> float:
    """Length of the shortest way through the pores from the face at low z to that at high z, over the depth.

    Parameters
    ----------
    space : PoreSpace
        The pores.
    distance : (count,) ndarray
        Their :func:`distances`.

    Returns
    -------
    float
        Mean over the pore voxels at low z from which there is a way, >= 1; NaN if there is none.
    """
    inlet = distance[: space.first[space.shape[1]]]
    reached = inlet[np.isfinite(inlet)]
    return float((reached.astype(float) + 0.5).mean() / space.shape[0]) if reached.size else float("nan")


@dataclass(frozen=True)
class Diffusion:
    """Steady diffusion through the pores from one face at z to the other.

    Parameters
    ----------
    conductivity : float
        Effective diffusivity over that in a free fluid; 0 where nothing leads through.
    spread : float
        Largest difference of the flux through two planes, over its mean.
    iterations : int
        Steps of the solver.
    """

    conductivity: float
    spread: float
    iterations: int


def diffusion(space: PoreSpace, reached: np.ndarray, tolerance: float = 1e-3, most: int = 5000) -> Diffusion:
    """Solve for the steady diffusion between the faces at low and high z; all other faces let nothing through.

    Parameters
    ----------
    space : PoreSpace
        The pores.
    reached : (count,) ndarray of bool
        Those that are connected to the face at high z.
    tolerance : float
        The flux through any two planes differs by no more than this share, > 0.
    most : int
        Steps after which to give up.

    Returns
    -------
    Diffusion

    Raises
    ------
    PhysicsError
        If the solver does not come so far.

    Notes
    -----
    Finite volumes on the voxels; conjugate gradients, preconditioned by the diagonal and by a coarse problem whose
    unknowns are the connected groups of voxels in cubic cells (Nicolaides, SIAM J. Numer. Anal. 24, 355, 1987).
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import splu

    shape = np.array(space.shape)
    if not reached[: space.first[space.shape[1]]].any():
        return Diffusion(0.0, 0.0, 0)
    n_z, n_y, n_x = space.shape
    cell = max(_CELL, math.ceil((n_z * n_y * n_x / _GROUPS) ** (1 / 3)))
    degree = np.ones(space.count, np.uint8)
    group, base = _grouped_cells(space.bits, space.first, shape, reached, degree, cell)
    while np.diff(base).max() > np.iinfo(np.uint16).max:  # so many groups in one layer of cells
        cell *= 2
        group, base = _grouped_cells(space.bits, space.first, shape, reached, degree, cell)
    n_groups, base = int(base[-1]), base[np.arange(n_z) // cell]
    diagonal, faces = _coarse(space.bits, space.first, shape, group, base, n_groups)
    pairs, count = np.unique(faces, return_counts=True)
    del faces
    upper = sparse.coo_array((-count.astype(float), np.divmod(pairs, n_groups)), shape=(n_groups, n_groups))
    matrix = (upper + upper.T + sparse.diags_array(diagonal)).tocsc()
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    restricted = np.zeros(n_groups)

    def preconditioned(rr: float) -> tuple[float, np.ndarray]:
        coarse = factors.solve(restricted)
        return float(rr + restricted @ coarse), coarse.astype(np.float32)

    c, r, p = (np.zeros(space.count, np.float32) for _ in range(3))
    where = (space.bits, space.first, shape)
    spread, rz, begun = np.inf, 0.0, 1.0
    for step in range(most):
        if step % _LOOK == 0 or rz <= _ROUNDING * begun:
            # The residual anew, as rounding adds up in the one that is carried on.
            rr, flux = _residual(*where, group, base, degree, c, r, restricted)
            spread = float((flux.max() - flux.min()) / flux.mean())
            if spread <= tolerance:
                return Diffusion(float(flux.mean() * n_z / (n_y * n_x)), spread, step)
            if rz <= _ROUNDING * begun:
                rz, y = preconditioned(rr)
                begun = rz
                _direct(space.first, shape, p, r, degree, group, base, y, np.float32(0.0))
        alpha = rz / _energy(*where, degree, p)
        rr = _advance(*where, group, base, degree, c, r, p, np.float32(alpha), restricted)
        before = rz
        rz, y = preconditioned(rr)
        _direct(space.first, shape, p, r, degree, group, base, y, np.float32(rz / before))
    raise PhysicsError(f"diffusion: after {most} steps the flux still differs by {spread:.1%} from plane to plane")


@inline_kernel
def _number_plane(bits, first, z, n_x, found):
    """Numbers of the pore voxels of a plane, -1 in the solid."""
    n_y = found.shape[0]
    for y in range(n_y):
        number = first[z * n_y + y]
        for x in range(n_x):
            if (bits[z, y, x >> 6] >> np.uint64(x & 63)) & np.uint64(1):
                found[y, x] = number
                number += 1
            else:
                found[y, x] = -1


@inline_kernel
def _planes(bits, first, z, shape, planes):
    """Turn three planes of numbers on to ``z``: below, here, above (-1 beyond the volume)."""
    n_z, _, n_x = shape
    below, here, above = planes[(z + 2) % 3], planes[z % 3], planes[(z + 1) % 3]
    if z == 0:
        below[:] = -1
        _number_plane(bits, first, 0, n_x, here)
    if z + 1 < n_z:
        _number_plane(bits, first, z + 1, n_x, above)
    else:
        above[:] = -1
    return below, here, above


@inline_kernel
def _arrival(a, b, c):
    """Solution of the upwind eikonal equation from the nearest known neighbour along each axis (inf for none)."""
    if a > b:
        a, b = b, a
    if b > c:
        b, c = c, b
    if a > b:
        a, b = b, a
    t = a + 1.0
    if t > b:
        t = 0.5 * (a + b + np.sqrt(2.0 - (a - b) ** 2))
        if t > c:
            s = a + b + c
            t = (s + np.sqrt(s * s - 3.0 * (a * a + b * b + c * c - 1.0))) / 3.0
    return t


@inline_kernel
def _settle_row(time, below, here, above, y, n_y, n_x, along):
    """Bring a row to rest with its neighbours as they are; whether anything became earlier."""
    changed = False
    for turn in range(2 * n_x):
        earlier = False
        forward = (turn % 2 == 0) == along
        for k in range(n_x):
            x = k if forward else n_x - 1 - k
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
            t = np.float32(_arrival(a, b, c))
            if t < time[i]:
                time[i] = t
                earlier = True
        if not earlier:
            break
        changed = True
    return changed


@kernel
def _march(bits, first, shape):
    """Distance of every pore voxel from the face at high z through the pores, inf where there is no way.

    Planes are swept up and down, and rows of them to and fro, as long as a row next to one that changed is left.
    """
    n_z, n_y, n_x = shape
    time = np.full(first[-1], np.inf, np.float32)
    time[first[(n_z - 1) * n_y] :] = 0.5
    waiting = np.zeros((n_z, n_y), np.bool_)
    waiting[n_z - 1] = True
    if n_z > 1:
        waiting[n_z - 2] = True
    planes = np.full((3, n_y, n_x), -1, np.int64)
    held = np.full(3, -1, np.int64)  # which plane each slot numbers
    nothing = np.full((n_y, n_x), -1, np.int64)
    sweep = 0
    while waiting.any():
        up = sweep % 2 == 1
        for k in range(n_z):
            z = k if up else n_z - 1 - k
            if not waiting[z].any():
                continue
            for a in range(max(z - 1, 0), min(z + 2, n_z)):
                if held[a % 3] != a:
                    _number_plane(bits, first, a, n_x, planes[a % 3])
                    held[a % 3] = a
            here = planes[z % 3]
            below = planes[(z - 1) % 3] if z > 0 else nothing
            above = planes[(z + 1) % 3] if z + 1 < n_z else nothing
            for turn in range(2):
                for m in range(n_y):
                    y = m if turn == 0 else n_y - 1 - m
                    if not waiting[z, y]:
                        continue
                    waiting[z, y] = False
                    if not _settle_row(time, below, here, above, y, n_y, n_x, turn == 0):
                        continue
                    if z > 0:
                        waiting[z - 1, y] = True
                    if z + 1 < n_z:
                        waiting[z + 1, y] = True
                    if y > 0:
                        waiting[z, y - 1] = True
                    if y + 1 < n_y:
                        waiting[z, y + 1] = True
        sweep += 1
    return time


@kernel
def _grouped_cells(bits, first, shape, reached, degree, cell):
    """Group of every pore voxel, numbered from 1 in each layer of cells, and how many stand before each layer.

    A group is a connected part of the pores in one cubic cell; group 0 of every layer holds what is not reached.
    Fills the degrees: faces to other pores, and twice each of those on the faces of the volume where the
    concentration is given.
    """
    n_z, n_y, n_x = shape
    parent = np.full(first[-1], -1, np.int32)
    planes = np.empty((3, n_y, n_x), np.int64)
    for z in range(n_z):
        below, here, above = _planes(bits, first, z, shape, planes)
        for y in range(n_y):
            for x in range(n_x):
                i = here[y, x]
                if i < 0 or not reached[i]:
                    continue
                parent[i] = i
                d = (below[y, x] >= 0) + (above[y, x] >= 0) + 2 * (z == 0) + 2 * (z == n_z - 1)
                d += (y > 0 and here[y - 1, x] >= 0) + (y + 1 < n_y and here[y + 1, x] >= 0)
                d += (x > 0 and here[y, x - 1] >= 0) + (x + 1 < n_x and here[y, x + 1] >= 0)
                degree[i] = d
                for side in range(3):
                    if side == 0:
                        j = below[y, x] if z % cell else -1
                    elif side == 1:
                        j = here[y - 1, x] if y % cell else -1
                    else:
                        j = here[y, x - 1] if x % cell else -1
                    if j < 0:
                        continue
                    join(parent, i, j)
    group = np.zeros(parent.size, np.uint16)
    base = np.zeros((n_z + cell - 1) // cell + 1, np.int64)
    for layer in range(base.size - 1):
        n = 0
        for i in range(first[layer * cell * n_y], first[min((layer + 1) * cell, n_z) * n_y]):
            if parent[i] < 0:
                continue
            a = root_of(parent, i)
            if a == i:  # the first of a group is its root
                n += 1
                group[i] = n
            else:
                group[i] = group[a]
        base[layer + 1] = base[layer] + n + 1
    return group, base


@kernel
def _coarse(bits, first, shape, group, base, n):
    """Diagonal of the coarse problem, and for every face between two groups their pair as one number."""
    n_z, n_y, n_x = shape
    planes = np.empty((3, n_y, n_x), np.int64)
    diagonal = np.zeros(n)
    diagonal[base] = 1.0  # of what is not reached
    pairs, size = np.empty(1 << 16, np.int64), 0
    for z in range(n_z):
        _, here, above = _planes(bits, first, z, shape, planes)
        if pairs.size < size + 3 * n_y * n_x:
            pairs = np.append(pairs[:size], np.empty(size // 2 + 3 * n_y * n_x, np.int64))
        for y in range(n_y):
            for x in range(n_x):
                i = here[y, x]
                if i < 0 or group[i] == 0:
                    continue
                a = base[z] + group[i]
                diagonal[a] += 2.0 * (z == 0) + 2.0 * (z == n_z - 1)
                for side in range(3):
                    if side == 0:
                        j = above[y, x]
                    elif side == 1:
                        j = here[y + 1, x] if y + 1 < n_y else -1
                    else:
                        j = here[y, x + 1] if x + 1 < n_x else -1
                    if j < 0:
                        continue
                    b = base[z + 1 if side == 0 else z] + group[j]
                    if a == b:
                        continue
                    diagonal[a] += 1.0
                    diagonal[b] += 1.0
                    pairs[size] = np.int64(min(a, b)) * n + max(a, b)
                    size += 1
    return diagonal, pairs[:size]


@inline_kernel
def _ones(word):
    """Number of bits that are set; compiles to one instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@inline_kernel
def _apply(bits, first, shape, z, degree, p, out):
    """The operator on a plane of the depth: every voxel's degree times its value, less its neighbours' values."""
    n_z, n_y, _ = shape
    zero, one = np.uint64(0), np.uint64(1)
    begin = first[z * n_y]
    words = bits.shape[2]
    for y in range(n_y):
        row = z * n_y + y
        i = first[row]
        has_a, has_b, has_c, has_d = z > 0, z + 1 < n_z, y > 0, y + 1 < n_y
        at_a = first[row - n_y] if has_a else 0
        at_b = first[row + n_y] if has_b else 0
        at_c = first[row - 1] if has_c else 0
        at_d = first[row + 1] if has_d else 0
        carry = zero
        for k in range(words):
            here = bits[z, y, k]
            a = bits[z - 1, y, k] if has_a else zero
            b = bits[z + 1, y, k] if has_b else zero
            c = bits[z, y - 1, k] if has_c else zero
            d = bits[z, y + 1, k] if has_d else zero
            left = (here << one) | carry
            right = here >> one
            if k + 1 < words:
                right |= bits[z, y, k + 1] << np.uint64(63)
            rest = here
            while rest != zero:
                low = rest & (~rest + one)
                before = low - one
                v = np.float64(degree[i]) * p[i]
                if a & low:
                    v -= p[at_a + _ones(a & before)]
                if b & low:
                    v -= p[at_b + _ones(b & before)]
                if c & low:
                    v -= p[at_c + _ones(c & before)]
                if d & low:
                    v -= p[at_d + _ones(d & before)]
                if left & low:
                    v -= p[i - 1]
                if right & low:
                    v -= p[i + 1]
                out[i - begin] = v
                i += 1
                rest ^= low
            carry = here >> np.uint64(63)
            at_a, at_b, at_c, at_d = at_a + _ones(a), at_b + _ones(b), at_c + _ones(c), at_d + _ones(d)


@kernel
def _residual(bits, first, shape, group, base, degree, c, r, restricted):
    """What is missing to the solution for a concentration of 1 beyond low z and 0 beyond high z.

    Fills the residual and its sums over the groups; returns r.D^-1.r and the flux through every plane between
    voxels: what goes in, less what the planes before keep.
    """
    n_z, n_y, _ = shape
    out = np.empty(n_y * shape[2], np.float64)
    flux = np.zeros(n_z + 1)
    for i in range(first[n_y]):
        flux[0] += 2.0 * (1.0 - c[i]) * (group[i] > 0)
    restricted[:] = 0.0
    total = 0.0
    for z in range(n_z):
        _apply(bits, first, shape, z, degree, c, out)
        begin, end = first[z * n_y], first[(z + 1) * n_y]
        kept = 0.0
        for i in range(begin, end):
            missing = (2.0 if z == 0 and group[i] > 0 else 0.0) - out[i - begin]
            r[i] = missing
            kept += missing
            total += np.float64(r[i]) * r[i] / degree[i]
            restricted[base[z] + group[i]] += r[i]
        flux[z + 1] = flux[z] - kept
    return total, flux


@kernel
def _energy(bits, first, shape, degree, p):
    """The product p.A.p."""
    n_z, n_y, _ = shape
    out = np.empty(n_y * shape[2], np.float64)
    total = 0.0
    for z in range(n_z):
        _apply(bits, first, shape, z, degree, p, out)
        begin, end = first[z * n_y], first[(z + 1) * n_y]
        partial = 0.0
        for i in range(begin, end):
            partial += np.float64(p[i]) * out[i - begin]
        total += partial
    return total


@kernel
def _advance(bits, first, shape, group, base, degree, c, r, p, alpha, restricted):
    """Step along p: new solution and residual, its sums over the groups; returns r.D^-1.r."""
    n_z, n_y, _ = shape
    out = np.empty(n_y * shape[2], np.float64)
    restricted[:] = 0.0
    total = 0.0
    for z in range(n_z):
        _apply(bits, first, shape, z, degree, p, out)
        begin, end = first[z * n_y], first[(z + 1) * n_y]
        for i in range(begin, end):
            c[i] += alpha * p[i]
            r[i] -= np.float32(alpha * out[i - begin])
            total += np.float64(r[i]) * r[i] / degree[i]
            restricted[base[z] + group[i]] += r[i]
    return total


@kernel
def _direct(first, shape, p, r, degree, group, base, y, beta):
    """Next direction: the preconditioned residual and ``beta`` of the last one."""
    for z in range(shape[0]):
        for i in range(first[z * shape[1]], first[(z + 1) * shape[1]]):
            p[i] = r[i] / degree[i] + y[base[z] + group[i]] + beta * p[i]
