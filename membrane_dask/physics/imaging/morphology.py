"""Binary dilation and closing by digital spheres, on rows of 64 voxels packed into one word."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.digital_spheres import half_widths


def closing(solid: np.ndarray, square: int) -> np.ndarray:
    """Close a phase by a digital sphere.

    Parameters
    ----------
    solid : (z, y, x) ndarray of bool
        Wider than the result by twice the radius of the sphere on every side.
    square : int
        Squared radius of the structuring element ``d**2 <= square``, >= 0.

    Returns
    -------
    (z, y, x) ndarray of bool
    """
    halo = 2 * math.isqrt(square)
    if not square:
        return solid
    packed = packed_closing(pack_rows(solid, solid.shape[2]), square)
    return unpack_rows(packed[halo:-halo, halo:-halo], halo, solid.shape[2] - halo).astype(bool)


def packed_closing(bits: np.ndarray, square: int) -> np.ndarray:
    """Close packed rows by the digital sphere; exact except within twice its radius of the edges."""
    return np.asarray(~packed_dilation(~packed_dilation(bits, square), square))


def pack_rows(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows of bool, ``(..., n)``, as words of 64 bits, padded with zeros to a ``width`` >= n."""
    packed = np.zeros((*rows.shape[:-1], 8 * -(-width // 64)), np.uint8)
    packed[..., : -(-rows.shape[-1] // 8)] = np.packbits(rows, axis=-1, bitorder="little")
    return packed.view(np.uint64)


def unpack_rows(bits: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Voxels ``start`` to ``stop`` of packed rows, as uint8 of 0 and 1."""
    rows = np.ascontiguousarray(bits).view(np.uint8)
    return np.unpackbits(rows, axis=-1, count=stop, bitorder="little")[..., start:]


def packed_dilation(image: np.ndarray, square: int) -> np.ndarray:
    """Dilate packed rows, ``(n_a, n_b, per_row)``, by the digital sphere ``d**2 <= square``."""
    return np.asarray(dilate_rows(image, half_widths(int(square))))


@kernel
def dilate_rows(image: Any, widths: Any) -> Any:
    """Dilate packed rows, ``(n_a, n_b, per_row)``, by a body whose rows have the half widths ``(2 n + 1, 2 m + 1)``.

    Each row is widened by 0, 1, ... voxels and combined into all rows within reach of it. A whole plane is
    shifted at once: bits that spill from one row into the next stay within one radius of the edges, where the result
    is not exact.
    """
    radius, reach_a, reach_b = widths.max(), widths.shape[0] // 2, widths.shape[1] // 2
    n_a, n_b, per_row = image.shape
    n = n_b * per_row
    out = np.zeros((n_a, n), np.uint64)
    wide = np.empty((radius + 1, n), np.uint64)
    one, last = np.uint64(1), np.uint64(63)
    for a in range(n_a):
        source = image[a].reshape(-1)
        for i in range(n):
            wide[0, i] = source[i]
        for h in range(1, radius + 1):
            narrow, wider = wide[h - 1], wide[h]
            for i in range(n):
                wider[i] = narrow[i] | (narrow[i] << one) | (narrow[i] >> one)
            before, after, inner = narrow[: n - 1], narrow[1:], wider[1:]
            for i in range(n - 1):
                inner[i] |= before[i] >> last
            for i in range(n - 1):
                wider[i] |= after[i] << last
        for da in range(-reach_a, reach_a + 1):
            if not 0 <= a + da < n_a:
                continue
            target = out[a + da]
            for db in range(-reach_b, reach_b + 1):
                width = widths[da + reach_a, db + reach_b]
                if width < 0 or abs(db) >= n_b:
                    continue
                shift = db * per_row
                begin, end = max(shift, 0), min(n, n + shift)
                row = wide[width, begin - shift : end - shift]
                destination = target[begin:end]
                for i in range(destination.size):
                    destination[i] |= row[i]
    return out.reshape((n_a, n_b, per_row))
