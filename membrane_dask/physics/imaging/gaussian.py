"""Gaussian filter whose value at a voxel does not depend, to the last bit, on the window it is computed in.

Every voxel is summed in the same order, in every window; a volume can thus be filtered block by block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.elementary import exp

#: Single-precision values in a cache line.
CACHE_LINE = 16
#: Voxels of a row that are filtered at a time, so that the neighbouring rows stay in the nearest cache.
TILE = 192


def gaussian_taps(sigma: float, truncate: float) -> np.ndarray:
    """Centre and one side of a sampled Gaussian that sums to 1, shape ``(reach + 1,)``, float32."""
    return np.asarray(gaussian_taps_by_plane(np.array([sigma]), truncate)[0][0])


def gaussian_taps_by_plane(sigma: np.ndarray, truncate: float) -> tuple[np.ndarray, np.ndarray]:
    """One sampled Gaussian for each plane of a volume.

    Parameters
    ----------
    sigma : (n,) ndarray
        Standard deviation in each plane, voxels, > 0.
    truncate : float
        Half-width of the kernels in standard deviations, > 0.

    Returns
    -------
    taps : (n, max_reach + 1) ndarray of float32
        Centre and one side of each kernel, padded with zeros; each kernel sums to 1.
    reach : (n,) ndarray of int64
        Voxels that each kernel reaches to either side.
    """
    reach = (truncate * sigma + 0.5).astype(np.int64)
    k = np.arange(reach.max() + 1)[:, None]
    weights = np.where(k <= reach, exp(-0.5 * np.square(k / sigma)), 0.0)
    # Reduced row by row, so that the order of the sum, and every bit, is independent of the number of zeros.
    total = weights[0] + 2 * np.add.reduce(weights[1:], axis=0)
    return np.ascontiguousarray((weights / total).T, np.float32), reach


def gaussian_filter(
    volume: np.ndarray, sigma: float | Sequence[float], truncate: float = 4.0, reach: int | None = None
) -> np.ndarray:
    """Smooth a volume with a Gaussian kernel.

    Parameters
    ----------
    volume : (z, y, x) ndarray
        Wider than the result by the reach of the kernel, ``int(truncate * sigma + 0.5)`` voxels, on every side.
    sigma : float or sequence of float
        Standard deviation in voxels, > 0; three for the axes ``z, y, x``.
    truncate : float
        Half-width of the kernel in standard deviations, > 0.
    reach : int, optional
        Voxels by which the volume is wider than the result on every side, at least the reach along any axis, which is
        the default.

    Returns
    -------
    (z, y, x) ndarray of float32

    Raises
    ------
    ValueError
        If the volume is not wider than the kernel.
    """
    kernels = [gaussian_taps(s, truncate) for s in ((sigma,) if isinstance(sigma, (int, float)) else sigma)]
    reach = max(len(taps) for taps in kernels) - 1 if reach is None else reach
    padded = [np.pad(taps, (0, reach + 1 - len(taps))) for taps in kernels]
    z_taps, y_taps, x_taps = padded * 3 if len(padded) == 1 else padded
    n_z, n_y, n_x = (n - 2 * reach for n in volume.shape)
    if min(n_z, n_y, n_x) < 1:
        raise ValueError(f"volume: must be wider than twice the kernel's reach of {reach} voxels (got {volume.shape})")
    filtered = np.empty((n_z, n_y, n_x), np.float32)
    planes = aligned_empty((n_z + 2 * reach, n_y, -(-n_x // CACHE_LINE) * CACHE_LINE))
    _filter_volume(np.ascontiguousarray(volume, np.float32), z_taps, y_taps, x_taps, planes, filtered)
    return filtered


def aligned_empty(shape: tuple[int, ...]) -> np.ndarray:
    """Uninitialised float32 array whose first value starts a cache line."""
    size = math.prod(shape)
    buffer = np.empty(size + CACHE_LINE, np.float32)
    skip = -(buffer.ctypes.data // 4) % CACHE_LINE
    return buffer[skip : skip + size].reshape(shape)


@inline_kernel
def filter_row(out: Any, source: Any, centre: int, stride: int, taps: Any, reach: int) -> None:
    """Write to ``out`` the weighted sums of ``source`` at ``centre`` and at multiples of ``stride`` to either side.

    Four distances are added in one pass over ``out``, one after the other, so that every value is summed in the
    same order in every window.
    """
    n = out.size
    w = taps[0]
    middle = source[centre : centre + n]
    for i in range(n):
        out[i] = w * middle[i]
    k = 1
    while k + 3 <= reach:
        w0, w1, w2, w3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        a, b = centre - k * stride, centre + k * stride
        low0, high0 = source[a : a + n], source[b : b + n]
        low1, high1 = source[a - stride : a - stride + n], source[b + stride : b + stride + n]
        low2, high2 = source[a - 2 * stride : a - 2 * stride + n], source[b + 2 * stride : b + 2 * stride + n]
        low3, high3 = source[a - 3 * stride : a - 3 * stride + n], source[b + 3 * stride : b + 3 * stride + n]
        for i in range(n):
            total = out[i] + w0 * (low0[i] + high0[i])
            total = total + w1 * (low1[i] + high1[i])
            total = total + w2 * (low2[i] + high2[i])
            out[i] = total + w3 * (low3[i] + high3[i])
        k += 4
    while k <= reach:
        w = taps[k]
        low, high = source[centre - k * stride :][:n], source[centre + k * stride :][:n]
        for i in range(n):
            out[i] += w * (low[i] + high[i])
        k += 1


@kernel
def _filter_volume(volume: Any, z_taps: Any, y_taps: Any, x_taps: Any, planes: Any, filtered: Any) -> None:
    """Smooth along y, x and z; ``planes`` holds the planes that are smoothed along y and x."""
    n_z, n_y, n_x = filtered.shape
    reach = z_taps.size - 1
    wide, stride = volume.shape[2], planes.shape[2]
    row = np.empty(wide, np.float32)
    for z in range(volume.shape[0]):
        flat = volume[z].reshape(-1)
        for y in range(n_y):
            filter_row(row, flat, (y + reach) * wide, wide, y_taps, reach)
            filter_row(planes[z, y, :n_x], row, reach, 1, x_taps, reach)
    flat = planes.reshape(-1)
    step = n_y * stride
    for z in range(n_z):
        for y in range(n_y):
            filter_row(filtered[z, y], flat, (z + reach) * step + y * stride, step, z_taps, reach)
