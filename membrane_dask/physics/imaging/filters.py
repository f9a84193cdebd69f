"""Filters of windows: Gaussian smoothing in one order of summation, and closing on rows of bits.

What is computed of a window is, bit for bit, that part of what would be computed of a larger one, as
far as the window holds all that the filter reaches.
"""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel

#: Voxels of single precision in a cache line; in a tile of a row, so that its neighbours stay in the nearest cache.
LINE, TILE = 16, 192


def kernel_weights(sigma: float, truncate: float) -> np.ndarray:
    """Centre and one side of a sampled Gaussian that sums to 1, float32."""
    return taps_of(np.array([sigma]), truncate)[0][0]


def taps_of(sigma: np.ndarray, truncate: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre and one side of a Gaussian for every plane, ``(n, reach + 1)``, float32; and each one's reach."""
    reach = (truncate * sigma + 0.5).astype(np.int64)
    k = np.arange(reach.max() + 1)[:, None]
    weights = np.where(k <= reach, np.exp(-0.5 * (k / sigma) ** 2), 0.0)
    # Added row by row: the order, and so each bit, does not depend on how many zeros follow.
    total = weights[0] + 2 * np.add.reduce(weights[1:], axis=0)
    return np.ascontiguousarray((weights / total).T, np.float32), reach


def smoothed(volume: np.ndarray, sigma: float, truncate: float = 4.0) -> np.ndarray:
    """Smooth a volume with a Gaussian kernel.

    Parameters
    ----------
    volume : (z, y, x) ndarray
        Wider than the result by the kernel's reach, ``int(truncate * sigma + 0.5)`` voxels, on every side.
    sigma : float
        Standard deviation in voxels, > 0.
    truncate : float
        Half-width of the kernel in standard deviations, > 0.

    Returns
    -------
    (z, y, x) ndarray of float32
    """
    taps = kernel_weights(sigma, truncate)
    reach = len(taps) - 1
    n_z, n_y, n_x = (n - 2 * reach for n in volume.shape)
    if min(n_z, n_y, n_x) < 1:
        raise ValueError(f"volume: must be wider than twice the kernel's reach of {reach} voxels (got {volume.shape})")
    found = np.empty((n_z, n_y, n_x), np.float32)
    planes = scratch((n_z + 2 * reach, n_y, -(-n_x // LINE) * LINE))
    _smooth_volume(np.ascontiguousarray(volume, np.float32), taps, planes, found)
    return found


def closed(solid: np.ndarray, square: int) -> np.ndarray:
    """Close a phase by the digital ball ``d**2 <= square``.

    Parameters
    ----------
    solid : (z, y, x) ndarray of bool
        Wider than the result by twice the ball's radius on every side.
    square : int
        Squared radius, >= 0.

    Returns
    -------
    (z, y, x) ndarray of bool
    """
    halo = 2 * math.isqrt(square)
    if not square:
        return solid
    bits = closed_rows(pack_rows(solid, solid.shape[2]), square)
    rows = np.ascontiguousarray(bits[halo:-halo, halo:-halo]).view(np.uint8)
    return np.unpackbits(rows, axis=-1, count=solid.shape[2] - halo, bitorder="little")[..., halo:].astype(bool)


def closed_rows(bits: np.ndarray, square: int) -> np.ndarray:
    """Close rows of bits by the digital ball; right but for a margin of twice its radius."""
    return np.asarray(~dilated(~dilated(bits, square), square))


def pack_rows(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows of bool, ``(..., n)``, as bits of words of 64, with zeros up to a ``width`` >= n."""
    packed = np.zeros((*rows.shape[:-1], 8 * -(-width // 64)), np.uint8)
    packed[..., : -(-rows.shape[-1] // 8)] = np.packbits(rows, axis=-1, bitorder="little")
    return packed.view(np.uint64)


def scratch(shape: tuple[int, ...]) -> np.ndarray:
    """Single precision that begins with a cache line."""
    size = math.prod(shape)
    found = np.empty(size + LINE, np.float32)
    skip = -(found.ctypes.data // 4) % LINE
    return found[skip : skip + size].reshape(shape)


@inline_kernel
def smooth_row(out, source, centre, stride, taps, reach):
    """Weighted sum of ``source`` at ``centre`` and every ``stride`` from it; the order is the same in every window.

    Four distances are added in one pass over ``out``, one after the other.
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
def dilated(image, square):
    """Dilate rows of 64 voxels a word by the digital ball ``d**2 <= square``; right but for a margin of its radius.

    Each row is widened by 0, 1, ... voxels and laid into all rows that the ball reaches from it. All rows of a
    plane are taken in one go; what spills from one into the next stays within the margin.
    """
    radius = int(np.sqrt(square))
    n_a, n_b, n_words = image.shape
    n = n_b * n_words
    out = np.zeros((n_a, n), np.uint64)
    wide = np.empty((radius + 1, n), np.uint64)
    one, last = np.uint64(1), np.uint64(63)
    for a in range(n_a):
        source = image[a].reshape(-1)
        for i in range(n):
            wide[0, i] = source[i]
        for h in range(1, radius + 1):
            narrow, here = wide[h - 1], wide[h]
            for i in range(n):
                here[i] = narrow[i] | (narrow[i] << one) | (narrow[i] >> one)
            before, after, inner = narrow[: n - 1], narrow[1:], here[1:]
            for i in range(n - 1):
                inner[i] |= before[i] >> last
            for i in range(n - 1):
                here[i] |= after[i] << last
        for da in range(-radius, radius + 1):
            if not 0 <= a + da < n_a:
                continue
            target = out[a + da]
            for db in range(-radius, radius + 1):
                left = square - da * da - db * db
                if left < 0 or abs(db) >= n_b:
                    continue
                shift = db * n_words
                begin, end = max(shift, 0), min(n, n + shift)
                here = wide[int(np.sqrt(left)), begin - shift : end - shift]
                there = target[begin:end]
                for i in range(there.size):
                    there[i] |= here[i]
    return out.reshape((n_a, n_b, n_words))


@kernel
def _smooth_volume(volume, taps, planes, found):
    """Smooth along y, x and z, with smoothed planes in between."""
    n_z, n_y, n_x = found.shape
    reach = taps.size - 1
    wide, stride = volume.shape[2], planes.shape[2]
    row = np.empty(wide, np.float32)
    for z in range(volume.shape[0]):
        flat = volume[z].reshape(-1)
        for y in range(n_y):
            smooth_row(row, flat, (y + reach) * wide, wide, taps, reach)
            smooth_row(planes[z, y, :n_x], row, reach, 1, taps, reach)
    flat = planes.reshape(-1)
    step = n_y * stride
    for z in range(n_z):
        for y in range(n_y):
            smooth_row(found[z, y], flat, (z + reach) * step + y * stride, step, taps, reach)
