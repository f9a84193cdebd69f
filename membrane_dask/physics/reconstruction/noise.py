"""Counter-based random numbers of voxels: a voxel has the same number in every window of a volume.

Each voxel of each field takes half a word of Philox4x32-10, a block cipher in counter mode: the counter is the
position of the voxel, the key is the seed. Nothing depends on what was drawn before, so that the blocks of a volume
can be generated anywhere, in any order, and continue each other.

References
----------
Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel

#: Added to all coordinates, so that the voxels around a volume have counters, too.
_ORIGIN = 1 << 20
#: Cipher blocks of four words that are encrypted side by side, and the voxels along x that they fill.
_LANES, _RUN = 16, 128
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
#: Shift that centres the midpoints of ``2**16`` equal intervals.
_CENTRE = np.float32(0.5 - 2.0**-17)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def uniform(seed: int, field: int, start: tuple[int, int, int], shape: tuple[int, int, int]) -> np.ndarray:
    """Uniform random numbers in a window of an infinite field.

    Parameters
    ----------
    seed : int
        Key, ``0 <= seed < 2**64``.
    field : int
        Number of the field, ``0 <= field < 2**32``; the fields of a seed are independent.
    start : tuple of int
        First voxel ``(z, y, x)``; may be negative, down to ``-2**20``.
    shape : tuple of int
        Voxels along ``z, y, x``.

    Returns
    -------
    ndarray of float32, shape ``shape``
        Midpoints of ``2**16`` equal intervals of ``[-0.5, 0.5]``.

    Raises
    ------
    ValueError
        If the seed is out of range.
    """
    out = np.empty(shape, np.float32)
    for z in range(shape[0]):
        fill_plane(out[z], split_key(seed), field, start[0] + z, start[1], start[2], 0)
    return out


def split_key(seed: int) -> np.ndarray:
    """Low and high word of a seed, ``(2,)`` uint32.

    Raises
    ------
    ValueError
        If the seed is out of range.
    """
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed: must lie in [0, 2**64) (got {seed})")
    return np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)


@inline_kernel
def _round(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    p0 = _M0 * c0
    p1 = _M1 * c2
    c0, c1 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW
    c2, c3 = (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
    return c0, c1, c2, c3, (k0 + _W0) & _LOW, (k1 + _W1) & _LOW


@kernel
def philox(out: Any, counter: Any, c1: Any, c2: Any, c3: Any, key_0: Any, key_1: Any) -> None:
    """Encrypt consecutive counters: column ``i`` of ``out`` (4, n) is the cipher block of ``counter + i``."""
    word_0, word_1, word_2, word_3 = out[0], out[1], out[2], out[3]
    c1, c2, c3, key_0, key_1 = c1 & _LOW, c2 & _LOW, c3 & _LOW, key_0 & _LOW, key_1 & _LOW
    for i in range(word_0.size):
        c0 = np.uint64(counter + i) & _LOW  # shows the compiler that a 32-bit product suffices
        # Ten rounds, written out: a loop here would keep the outer one from being vectorised.
        d0, d1, d2, d3, k0, k1 = _round(c0, c1, c2, c3, key_0, key_1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        d0, d1, d2, d3, k0, k1 = _round(d0, d1, d2, d3, k0, k1)
        word_0[i] = d0
        word_1[i] = d1
        word_2[i] = d2
        word_3[i] = d3


@inline_kernel
def _store_halves(line: Any, cipher: Any, number: int) -> None:
    """Write both halves of each word, as numbers from -0.5 to 0.5, to their voxels.

    ``number`` says which of the four words of its cipher block each word is. Unsigned indices spare every access a
    test for those counted from the end.
    """
    half = np.uint64(_LANES)
    for run in range(cipher.size // _LANES):
        source, target = np.uint64(_LANES * run), np.uint64(_RUN * run + 2 * _LANES * number)
        for i in range(_LANES):
            lane = np.uint64(i)
            word = np.int32(cipher[source + lane])
            line[target + lane] = np.float32(word & 0xFFFF) * np.float32(2.0**-16) - _CENTRE
            line[target + half + lane] = np.float32((word >> 16) & 0xFFFF) * np.float32(2.0**-16) - _CENTRE


@kernel
def fill_plane(out: Any, key: Any, field: int, z: int, y_start: int, x_start: int, period: int) -> None:
    """Fill a plane of constant z, ``(y, x)``, with random numbers; they repeat along y after ``period`` > 0 rows."""
    n_y, n_x = out.shape
    first = (x_start + _ORIGIN) // _RUN
    last = (x_start + _ORIGIN + n_x - 1) // _RUN
    skip = x_start + _ORIGIN - _RUN * first
    line = np.empty(_RUN * (last - first + 1), np.float32)
    cipher = np.empty((4, _LANES * (last - first + 1)), np.uint64)
    c1, c3 = np.uint64(z + _ORIGIN), np.uint64(field)
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    for row in range(n_y):
        y = y_start + row
        c2 = np.uint64((y % period if period > 0 else y) + _ORIGIN)
        philox(cipher, _LANES * first, c1, c2, c3, k0, k1)
        for number in range(4):
            _store_halves(line, cipher[number], number)
        out[row] = line[skip : skip + n_x]
