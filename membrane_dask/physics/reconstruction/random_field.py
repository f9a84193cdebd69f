"""Gaussian random fields smoothed by a kernel that varies with depth, cut at a level, and closed.

The volume is a window of an infinite structure: noise outside it follows from its coordinates, so that there is no
boundary condition, and any window is, bit for bit, the same as in any larger one. Windows are slabs along ``y``:
smoothing along ``y`` first leaves a halo of noise only.

References
----------
Chamani et al. (2023).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.gaussian import (
    CACHE_LINE,
    TILE,
    aligned_empty,
    filter_row,
    gaussian_taps_by_plane,
)
from membrane_dask.physics.imaging.morphology import pack_rows, packed_closing, unpack_rows
from membrane_dask.physics.reconstruction.macrovoids import carve
from membrane_dask.physics.reconstruction.noise import fill_plane, split_key
from membrane_dask.physics.reconstruction.structures import Structure

#: A field that contributes less than this fraction of the standard deviation is left out.
_NEGLIGIBLE = 1e-3
#: Planes that are smoothed in one pass.
_PLANES_PER_PASS = 128
#: Planes whose field is in memory at a time, which bounds the memory of a deep membrane.
_MAX_PLANES = 1024


def generate_window(
    structure: Structure,
    *,
    depth: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    seed: int,
) -> np.ndarray:
    """Generate a window of a structure.

    Parameters
    ----------
    structure : Structure
        The model.
    depth : int
        Depth of the whole membrane in voxels, which depth fractions refer to, >= 1.
    start, shape : tuple of int
        First voxel and number of voxels, ``(z, y, x)``. The window may extend beyond the membrane, where the
        structure continues with its parameters at the face.
    seed : int
        Key of the noise, ``0 <= seed < 2**64``.

    Returns
    -------
    ndarray of uint8, shape ``shape``
        0 in pores, 255 in the solid.

    Notes
    -----
    Every field is divided by its analytic standard deviation at every depth, so that no pass over the whole volume
    is needed.
    """
    halo = 2 * math.isqrt(structure.closing_square)
    window = np.empty(shape, np.uint8)
    for first in range(0, shape[0], _MAX_PLANES):
        n_planes = min(_MAX_PLANES, shape[0] - first)
        wide_start = (start[0] + first - halo, start[1] - halo, start[2] - halo)
        wide_shape = (n_planes + 2 * halo, shape[1] + 2 * halo, shape[2] + 2 * halo)
        field = gaussian_field(structure, depth=depth, start=wide_start, shape=wide_shape, seed=seed)
        window[first : first + n_planes] = cut_and_close(structure, field, depth=depth, z_start=wide_start[0])
    if structure.macrovoids:
        carve(window, structure.macrovoids, depth=depth, start=start, seed=seed)
    return window


def gaussian_field(
    structure: Structure,
    *,
    depth: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    seed: int,
    period: int = 0,
) -> np.ndarray:
    """Sum of the Gaussian fields of a structure in a window.

    Parameters
    ----------
    structure, depth, start, shape, seed
        As of :func:`generate_window`.
    period : int
        If greater than 0, the number of planes after which the field repeats along ``y``.

    Returns
    -------
    ndarray of float32, shape ``(y, z, x)``
        With a standard deviation of 1 where the weights of the structure have, also of a field that repeats.
    """
    n_z, n_y, n_x = shape
    z0, y0, x0 = start
    key = split_key(seed)
    field = np.zeros((n_y, n_z, n_x), np.float32)
    weights = structure.weights(_depth_fraction(np.arange(z0, z0 + n_z), depth))
    # Kernels reach planes beyond the window, as far as their width along z there.
    margin = _max_reach(structure)[1]
    sigmas = structure.sigmas(_depth_fraction(np.arange(z0 - margin, z0 + n_z + margin), depth))
    sigmas_z = structure.sigmas_z(_depth_fraction(np.arange(z0, z0 + n_z), depth))
    for number, (sigma, sigma_z, weight) in enumerate(zip(sigmas, sigmas_z, weights, strict=True)):
        planes = np.flatnonzero(np.abs(weight) > _NEGLIGIBLE)
        if not planes.size:
            continue
        first, end = planes[0], planes[-1] + 1
        along = gaussian_taps_by_plane(sigma_z[first:end], structure.truncate)
        reach_z = int(along[1].max())
        in_plane = gaussian_taps_by_plane(sigma[first + margin - reach_z : end + margin + reach_z], structure.truncate)
        scale = (weight[first:end] / _smoothed_deviation(in_plane[0], along[0], period)).astype(np.float32)
        buffers = (
            aligned_empty(size) for size in _buffer_shapes(n_y, end - first, n_x, int(in_plane[1].max()), reach_z)
        )
        _add_smoothed_noise(
            field[:, first:end], *in_plane, *along, scale, key, number, z0 + first, y0, x0, period, *buffers
        )
    return field


def cut_and_close(structure: Structure, field: np.ndarray, *, depth: int, z_start: int) -> np.ndarray:
    """Cut a field at the levels of a structure, and close narrow pores.

    Parameters
    ----------
    structure : Structure
        Only its levels and its closing are used.
    field : (y, z, x) ndarray of float32
        Field in a window wider than the result by twice the closing radius on each side.
    depth : int
        Depth of the whole membrane in voxels.
    z_start : int
        First plane of the field.

    Returns
    -------
    ndarray of uint8, ``(z, y, x)``
        0 in pores, 255 in the solid.
    """
    n_y, n_z, n_x = field.shape
    square = structure.closing_square
    halo = 2 * math.isqrt(square)
    levels = structure.levels(_depth_fraction(np.arange(z_start, z_start + n_z), depth)).astype(np.float32)
    solid = np.empty((n_y, n_z, -(-n_x // 64)), np.uint64)
    for y in range(n_y):
        solid[y] = pack_rows(field[y] >= levels[:, None], n_x)
    open_planes = min(max(math.ceil(structure.closing_depth * depth) - z_start, 0), n_z)
    if square and open_planes < n_z - halo:
        closed = packed_closing(solid, square)
        closed[:, :open_planes] = solid[:, :open_planes]
        solid = closed
    out = np.empty((n_z - 2 * halo, n_y - 2 * halo, n_x - 2 * halo), np.uint8)
    for y in range(out.shape[1]):
        np.multiply(unpack_rows(solid[y + halo, halo : n_z - halo], halo, n_x - halo), 255, out=out[:, y])
    return out


def working_bytes(structure: Structure, shape: tuple[int, int, int]) -> int:
    """Peak memory, in bytes, of :func:`generate_window` for a window of this shape."""
    halo = 2 * math.isqrt(structure.closing_square)
    n_z, n_y, n_x = (n + 2 * halo for n in (min(shape[0], _MAX_PLANES), *shape[1:]))
    noise, planes = _buffer_shapes(n_y, n_z, n_x, *_max_reach(structure))
    smoothing = 4 * (math.prod(noise) + math.prod(planes) + n_y * noise[1])
    # Packed rows of the solid, of the closed solid and of two intermediate steps.
    packed = n_y * n_z * 8 * -(-n_x // 64)
    result = min(shape[0], _MAX_PLANES) * shape[1] * shape[2]
    return math.prod(shape) + 4 * n_z * n_y * n_x + max(smoothing, 4 * packed + result)


def _max_reach(structure: Structure) -> tuple[int, int]:
    """Reach of the widest kernels in a plane and along z; plus one, as an interpolated width may be rounded up."""
    in_plane, along = (
        int(structure.truncate * sigma + 0.5) + 1 for sigma in (structure.max_sigma, structure.max_sigma_z)
    )
    return in_plane, along


def _depth_fraction(z: np.ndarray, depth: int) -> np.ndarray:
    """Planes as fractions of the depth; beyond the faces, that of the face."""
    return np.asarray(np.clip(z, 0, depth - 1) / max(depth - 1, 1))


def _smoothed_deviation(in_plane: np.ndarray, along: np.ndarray, period: int = 0) -> np.ndarray:
    """Standard deviation of uniform noise after smoothing, in each plane of the result.

    In each plane the noise is smoothed along y and x by the kernel ``in_plane`` of that plane, and along z by the
    kernel ``along`` of the result. Planes reach beyond the result by that of the widest kernel along z. Noise that
    repeats along y enters with the sum of all taps on the same number, which raises the deviation.
    """
    taps = in_plane.astype(float).T
    squares = np.square(taps)
    power_x = squares[0] + 2 * np.add.reduce(squares[1:], axis=0)
    power_y = power_x
    if period:
        repeated = np.zeros((period, taps.shape[1]))
        for k in range(-len(taps) + 1, len(taps)):
            repeated[k % period] += taps[abs(k)]
        power_y = np.add.reduce(np.square(repeated), axis=0)
    power = power_x * power_y
    weights = np.square(along.astype(float).T)
    widest, n = len(weights) - 1, weights.shape[1]
    total = weights[0] * power[widest : widest + n]
    for k in range(1, widest + 1):
        total = total + weights[k] * (power[widest - k : widest - k + n] + power[widest + k : widest + k + n])
    return np.asarray(np.sqrt(total / 12))


def _buffer_shapes(
    n_y: int, n_z: int, n_x: int, reach: int, reach_z: int
) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Shapes of the noise of one plane and of the smoothed planes, for a field of this size."""
    noise = (n_y + 2 * reach, -(-(n_x + 2 * reach) // CACHE_LINE) * CACHE_LINE)
    return noise, (n_y, min(n_z, _PLANES_PER_PASS) + 2 * reach_z, -(-n_x // CACHE_LINE) * CACHE_LINE)


@kernel
def _add_smoothed_noise(
    field: Any, taps: Any, reach: Any, taps_z: Any, reach_z: Any, scale: Any, key: Any, number: int, z0: int, y0: int,
    x0: int, period: int, noise: Any, planes: Any,
) -> None:  # fmt: skip
    """Smooth noise along y, x and z, and add it, times the scale of each plane, to ``field`` ``(y, z, x)``.

    In each plane noise is smoothed by the kernel ``taps`` of its own depth, along z by ``taps_z`` of the result.
    ``noise`` and ``planes`` are buffers with rows of whole cache lines, which are processed in tiles whose neighbours
    along y or z stay in the nearest cache.
    """
    n_y, n_z, n_x = field.shape
    widest, deepest = taps.shape[1] - 1, taps_z.shape[1] - 1
    wide, stride = noise.shape[1], planes.shape[2]
    per_pass = planes.shape[1] - 2 * deepest
    flat_noise = noise.reshape(-1)
    rows = np.empty((n_y, wide), np.float32)
    smoothed = np.empty(TILE, np.float32)
    for first in range(0, n_z, per_pass):
        n_planes = min(per_pass, n_z - first)
        n_reused = 2 * deepest if first > 0 else 0
        for y in range(n_y):
            for j in range(n_reused):  # planes that the previous pass has smoothed
                planes[y, j] = planes[y, per_pass + j]
        for j in range(n_reused, n_planes + 2 * deepest):
            z = first + j
            r = reach[z]
            window = noise[widest - r : widest + n_y + r, : n_x + 2 * widest]
            fill_plane(window, key, number, z0 - deepest + z, y0 - r, x0 - widest, period)
            for x in range(0, n_x + 2 * widest, TILE):
                end = min(x + TILE, n_x + 2 * widest)
                for y in range(n_y):
                    filter_row(rows[y, x:end], flat_noise, (y + widest) * wide + x, wide, taps[z], r)
            for y in range(n_y):
                filter_row(planes[y, j, :n_x], rows[y], widest, 1, taps[z], r)
        for y in range(n_y):
            flat = planes[y].reshape(-1)
            for x in range(0, n_x, TILE):
                end = min(x + TILE, n_x)
                for j in range(n_planes):
                    z = first + j
                    filter_row(smoothed[: end - x], flat, (j + deepest) * stride + x, stride, taps_z[z], reach_z[z])
                    target, s = field[y, z, x:end], scale[z]
                    for i in range(end - x):
                        target[i] += s * smoothed[i]
