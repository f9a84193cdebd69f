"""Steady diffusion through a pore space, and its effective diffusivity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.sparse_factors import SparseFactors
from membrane_dask.physics.transport.pore_space import PoreSpace, advance_planes, bit_count
from membrane_dask.physics.union_find import join, root_of
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, face_conductances, is_cube

#: Approximate largest number of groups of voxels in the coarse problem.
_MAX_GROUPS = 40_000
#: Smallest edge of the cells of the coarse problem, in voxels.
_MIN_CELL = 8
#: Reduction of the squared residual at which single precision is exhausted, and the residual is computed anew.
_SINGLE_PRECISION = 1e-8
#: Relative rounding error of a number in single precision, and the multiple of the squared residual that follows from
#: it below which an iteration that makes no progress is exhausted.
_ROUNDING, _EXHAUSTED = 1 / (1 << 24), 10.0
#: Iterations between evaluations of the flux.
_FLUX_INTERVAL = 10


@dataclass(frozen=True)
class Diffusion:
    """Steady diffusion through the pores, from the face at low z to the face at high z.

    Parameters
    ----------
    conductivity : float
        Effective diffusivity over the diffusivity in a free fluid; 0 if no path percolates.
    spread : float
        Largest difference between the fluxes through two planes, over the mean flux.
    iterations : int
        Iterations of the solver.
    """

    conductivity: float
    spread: float
    iterations: int


def coarse_cell(shape: tuple[int, ...]) -> int:
    """Edge of the cells of the coarse problem of a volume, in voxels."""
    cell = _MIN_CELL
    while cell**3 * _MAX_GROUPS < math.prod(shape):
        cell += 1
    return cell


def diffusion(
    space: PoreSpace, connected: np.ndarray, tolerance: float = 1e-3, max_iterations: int = 5000,
    spacing: Spacing = CUBE,
) -> Diffusion:  # fmt: skip
    """Solve for the steady diffusion between the faces at low and high z; all other faces are impermeable.

    Parameters
    ----------
    space : PoreSpace
        Pore voxels.
    connected : (count,) ndarray of bool
        Pore voxels that are connected to the face at high z.
    tolerance : float
        Largest difference between the fluxes through two planes, over the mean flux, > 0.
    max_iterations : int
        Maximum number of iterations.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    Diffusion
        Its spread exceeds the tolerance if the solver does not converge.

    Notes
    -----
    Finite volumes on the voxels; conjugate gradients, preconditioned by the diagonal and by deflation with the
    connected groups of voxels in cubic cells [1]_. Concentrations have single precision. Where a narrow neck lets so
    little pass that their rounding exceeds the differences that drive the flux, they continue in double precision.

    References
    ----------
    .. [1] R. A. Nicolaides, "Deflation of conjugate gradients with applications to boundary value problems", SIAM
       Journal on Numerical Analysis 24, 355, 1987.
    """
    import scipy.sparse as sparse

    shape = np.array(space.shape)
    if not connected[: space.first[space.shape[1]]].any():
        return Diffusion(0.0, 0.0, 0)
    n_z, n_y, n_x = space.shape
    cell = coarse_cell(space.shape)
    weights = None if is_cube(spacing) else face_conductances(spacing)
    degree = np.ones(space.count, np.uint8 if weights is None else np.float32)
    group, base = _cell_groups(space.bits, space.first, shape, connected, degree, cell, weights)
    while np.diff(base).max() > np.iinfo(np.uint16).max:  # too many groups in a layer of cells
        cell *= 2
        group, base = _cell_groups(space.bits, space.first, shape, connected, degree, cell, weights)
    n_groups, base = int(base[-1]), base[np.arange(n_z) // cell]
    diagonal, faces = _coarse_faces(space.bits, space.first, shape, group, base, n_groups, weights)
    pairs, count = np.unique(faces, return_counts=True)
    del faces
    conductance = count.astype(float)
    if weights is not None:
        pairs, axis = np.divmod(pairs, 3)
        conductance *= weights[axis]
    upper = sparse.coo_array((-conductance, np.divmod(pairs, n_groups)), shape=(n_groups, n_groups))
    matrix = (upper + upper.T + sparse.diags_array(diagonal)).tocsc()
    coarse = SparseFactors(matrix, symmetric=True)
    group_residual = np.zeros(n_groups)

    def precondition(rr: float) -> tuple[float, np.ndarray]:
        """Product of the residual with the preconditioned residual, and the coarse correction of every group."""
        correction = coarse.solve(group_residual)
        return float(rr + dot(group_residual, correction)), correction.astype(np.float32)

    c, r, p = (np.zeros(space.count, np.float32) for _ in range(3))
    q = np.zeros(space.count)
    geometry = (space.bits, space.first, shape, weights)
    area = n_y * n_x * (1.0 if weights is None else float(weights[0]))
    spread, rz, initial, last_residual = np.inf, 0.0, 1.0, np.inf
    for iteration in range(max_iterations):
        if iteration % _FLUX_INTERVAL == 0 or rz <= _SINGLE_PRECISION * initial:
            # Computed from the solution, as rounding errors accumulate in the updated residual.
            rr, flux = _residual(*geometry, group, base, degree, c, r, group_residual)
            spread = float((flux.max() - flux.min()) / flux.mean())
            if spread <= tolerance:
                return Diffusion(float(flux.mean() * n_z / area), spread, iteration)
            is_exhausted = c.dtype == np.float32 and last_residual / 2 < rr < _EXHAUSTED * _rounding_square(degree, c)
            last_residual = rr
            if is_exhausted:
                c = c.astype(np.float64)
            if is_exhausted or rz <= _SINGLE_PRECISION * initial:
                rz, y = precondition(rr)
                initial = rz
                _update_direction(space.first, shape, p, r, degree, group, base, y, np.float32(0.0))
        alpha = rz / _energy(*geometry, degree, p, q)
        rr = _step(space.first, shape, group, base, degree, c, r, p, q, np.float32(alpha), group_residual)
        previous = rz
        rz, y = precondition(rr)
        _update_direction(space.first, shape, p, r, degree, group, base, y, np.float32(rz / previous))
    return Diffusion(float(flux.mean() * n_z / area), spread, max_iterations)


@kernel
def _cell_groups(
    bits: np.ndarray, first: np.ndarray, shape: np.ndarray, connected: np.ndarray, degree: np.ndarray, cell: int,
    weights: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Group of every pore voxel, numbered from 1 in each layer of cells, and the number of groups before each layer.

    A group is a connected component of the pores in a cubic cell; group 0 of every layer holds the pores that are not
    connected to the face. Writes the degrees: the number of faces to other pores, plus 2 for each face on the faces of
    the volume at low and high z, where the concentration is prescribed; each with its weight, if there are weights.
    """
    n_z, n_y, n_x = shape
    parent = np.full(first[-1], -1, np.int32)
    planes = np.empty((3, n_y, n_x), np.int64)
    for z in range(n_z):
        below, here, above = advance_planes(bits, first, z, shape, planes)
        for y in range(n_y):
            for x in range(n_x):
                i = here[y, x]
                if i < 0 or not connected[i]:
                    continue
                parent[i] = i
                d_z = (below[y, x] >= 0) + (above[y, x] >= 0) + 2 * (z == 0) + 2 * (z == n_z - 1)
                d_y = (y > 0 and here[y - 1, x] >= 0) + (y + 1 < n_y and here[y + 1, x] >= 0)
                d_x = (x > 0 and here[y, x - 1] >= 0) + (x + 1 < n_x and here[y, x + 1] >= 0)
                if weights is None:
                    degree[i] = d_z + d_y + d_x
                else:
                    degree[i] = weights[0] * d_z + weights[1] * d_y + weights[2] * d_x
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
            root = root_of(parent, i)
            if root == i:  # the first voxel of a group is its root
                n += 1
                group[i] = n
            else:
                group[i] = group[root]
        base[layer + 1] = base[layer] + n + 1
    return group, base


@kernel
def _coarse_faces(
    bits: np.ndarray, first: np.ndarray, shape: np.ndarray, group: np.ndarray, base: np.ndarray, n: int,
    weights: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Diagonal of the coarse problem, and the pair of groups of every face between two groups, as one integer.

    If there are weights, the integer is three times as large, plus the axis of the face.
    """
    n_z, n_y, n_x = shape
    planes = np.empty((3, n_y, n_x), np.int64)
    diagonal = np.zeros(n)
    diagonal[base] = 1.0  # of the groups of pores that are not connected
    pairs, size = np.empty(1 << 16, np.int64), 0
    for z in range(n_z):
        _, here, above = advance_planes(bits, first, z, shape, planes)
        if pairs.size < size + 3 * n_y * n_x:
            pairs = np.append(pairs[:size], np.empty(size // 2 + 3 * n_y * n_x, np.int64))
        for y in range(n_y):
            for x in range(n_x):
                i = here[y, x]
                if i < 0 or group[i] == 0:
                    continue
                a = base[z] + group[i]
                ends = 2.0 * (z == 0) + 2.0 * (z == n_z - 1)
                diagonal[a] += ends if weights is None else weights[0] * ends
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
                    weight = 1.0 if weights is None else weights[side]
                    diagonal[a] += weight
                    diagonal[b] += weight
                    pair = np.int64(min(a, b)) * n + max(a, b)
                    pairs[size] = pair if weights is None else 3 * pair + side
                    size += 1
    return diagonal, pairs[:size]


@inline_kernel
def _weighted(value: float, weights: np.ndarray | None, axis: int) -> float:
    """A value times the weight of faces across an axis, if there are weights."""
    return value if weights is None else value * weights[axis]


@inline_kernel
def _apply(
    bits: np.ndarray, first: np.ndarray, shape: np.ndarray, weights: np.ndarray | None, z: int, degree: np.ndarray,
    p: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Apply the operator in a plane: the degree of every voxel times its value, less the values of its neighbours."""
    if weights is not None:
        w_z, w_y, w_x = weights[0], weights[1], weights[2]
        inner_degree = 2.0 * (w_z + w_y + w_x)
    n_z, n_y, _ = shape
    zero, one = np.uint64(0), np.uint64(1)
    begin = first[z * n_y]
    row_length = bits.shape[2]
    for y in range(n_y):
        row = z * n_y + y
        i = first[row]
        has_a, has_b, has_c, has_d = z > 0, z + 1 < n_z, y > 0, y + 1 < n_y
        at_a = first[row - n_y] if has_a else 0
        at_b = first[row + n_y] if has_b else 0
        at_c = first[row - 1] if has_c else 0
        at_d = first[row + 1] if has_d else 0
        carry = zero
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
            inner = here & a & b & c & d & left & right
            rest = here
            while rest != zero:
                low = rest & (~rest + one)
                before = low - one
                if inner & low:  # a run of voxels with six neighbours each, whose numbers are consecutive
                    run = inner >> np.uint64(bit_count(before))
                    length = bit_count((run ^ (run + one)) >> one)
                    i_a, i_b = at_a + bit_count(a & before), at_b + bit_count(b & before)
                    i_c, i_d = at_c + bit_count(c & before), at_d + bit_count(d & before)
                    for m in range(length):
                        j = i + m
                        if weights is None:
                            v = 6.0 * np.float64(p[j]) - p[i_a + m] - p[i_b + m] - p[i_c + m] - p[i_d + m]
                            out[j - begin] = v - p[j - 1] - p[j + 1]
                        else:
                            v = inner_degree * p[j] - w_z * (np.float64(p[i_a + m]) + p[i_b + m])
                            v -= w_y * (np.float64(p[i_c + m]) + p[i_d + m])
                            out[j - begin] = v - w_x * (np.float64(p[j - 1]) + p[j + 1])
                    i += length
                    rest &= ~(((one << np.uint64(length)) - one) << np.uint64(bit_count(before)))
                    continue
                v = np.float64(degree[i]) * p[i]
                if a & low:
                    v -= _weighted(p[at_a + bit_count(a & before)], weights, 0)
                if b & low:
                    v -= _weighted(p[at_b + bit_count(b & before)], weights, 0)
                if c & low:
                    v -= _weighted(p[at_c + bit_count(c & before)], weights, 1)
                if d & low:
                    v -= _weighted(p[at_d + bit_count(d & before)], weights, 1)
                if left & low:
                    v -= _weighted(p[i - 1], weights, 2)
                if right & low:
                    v -= _weighted(p[i + 1], weights, 2)
                out[i - begin] = v
                i += 1
                rest ^= low
            carry = here >> np.uint64(63)
            at_a, at_b = at_a + bit_count(a), at_b + bit_count(b)
            at_c, at_d = at_c + bit_count(c), at_d + bit_count(d)


@kernel
def _residual(
    bits: np.ndarray, first: np.ndarray, shape: np.ndarray, weights: np.ndarray | None, group: np.ndarray,
    base: np.ndarray, degree: np.ndarray, c: np.ndarray, r: np.ndarray, group_residual: np.ndarray,
) -> tuple[float, np.ndarray]:  # fmt: skip
    """Residual for concentrations of 1 beyond low z and 0 beyond high z.

    Writes the residual and its sums over the groups; returns r.D^-1.r and the flux through every plane of faces: the
    inflow less what the planes before accumulate.
    """
    n_z, n_y, _ = shape
    out = np.empty(n_y * shape[2], np.float64)
    flux = np.zeros(n_z + 1)
    for i in range(first[n_y]):
        flux[0] += _weighted(2.0 * (1.0 - c[i]) * (group[i] > 0), weights, 0)
    group_residual[:] = 0.0
    total = 0.0
    for z in range(n_z):
        _apply(bits, first, shape, weights, z, degree, c, out)
        begin, end = first[z * n_y], first[(z + 1) * n_y]
        accumulation = 0.0
        for i in range(begin, end):
            residual = _weighted(2.0 if z == 0 and group[i] > 0 else 0.0, weights, 0) - out[i - begin]
            r[i] = residual
            accumulation += residual
            total += np.float64(r[i]) * r[i] / degree[i]
            group_residual[base[z] + group[i]] += r[i]
        flux[z + 1] = flux[z] - accumulation
    return total, flux


@kernel
def _rounding_square(degree: np.ndarray, c: np.ndarray) -> float:
    """What ``r.D^-1.r`` is where the residual r consists of rounding errors of the concentrations."""
    total = 0.0
    for i in range(c.size):
        total += (degree[i] + 1.0) * np.square(_ROUNDING * c[i])
    return total


@kernel
def _energy(
    bits: np.ndarray, first: np.ndarray, shape: np.ndarray, weights: np.ndarray | None, degree: np.ndarray,
    p: np.ndarray, q: np.ndarray,
) -> float:  # fmt: skip
    """Product p.A.p; writes q = A.p."""
    n_z, n_y, _ = shape
    total = 0.0
    for z in range(n_z):
        begin, end = first[z * n_y], first[(z + 1) * n_y]
        _apply(bits, first, shape, weights, z, degree, p, q[begin:end])
        partial = 0.0
        for i in range(begin, end):
            partial += np.float64(p[i]) * q[i]
        total += partial
    return total


@kernel
def _step(
    first: np.ndarray, shape: np.ndarray, group: np.ndarray, base: np.ndarray, degree: np.ndarray, c: np.ndarray,
    r: np.ndarray, p: np.ndarray, q: np.ndarray, alpha: np.float32, group_residual: np.ndarray,
) -> float:  # fmt: skip
    """Move along p: update solution, residual and its sums over the groups; returns r.D^-1.r."""
    n_z, n_y, _ = shape
    group_residual[:] = 0.0
    total = 0.0
    for z in range(n_z):
        for i in range(first[z * n_y], first[(z + 1) * n_y]):
            c[i] += alpha * p[i]
            r[i] -= np.float32(alpha * q[i])
            total += np.float64(r[i]) * r[i] / degree[i]
            group_residual[base[z] + group[i]] += r[i]
    return total


@kernel
def _update_direction(
    first: np.ndarray, shape: np.ndarray, p: np.ndarray, r: np.ndarray, degree: np.ndarray, group: np.ndarray,
    base: np.ndarray, y: np.ndarray, beta: np.float32,
) -> None:  # fmt: skip
    """Next direction: the preconditioned residual plus ``beta`` times the previous direction."""
    for z in range(shape[0]):
        for i in range(first[z * shape[1]], first[(z + 1) * shape[1]]):
            p[i] = r[i] / degree[i] + y[base[z] + group[i]] + beta * p[i]
