"""Bit-packed pore space of a whole volume, whose pore voxels are numbered row by row.

Values of the pore voxels are plain vectors over the pores alone, a few bytes for each; neighbours are determined during
sweeps over the planes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel


@dataclass(frozen=True)
class PoreSpace:
    """Positions of the pore voxels of a volume.

    Parameters
    ----------
    bits : (n_z, n_y, row_length) ndarray of uint64
        Voxels of each row, from the lowest bit on; 1 in the pores.
    first : (n_z * n_y + 1,) ndarray of int64
        Number of the first pore voxel of each row; last, the number of all pore voxels.
    shape : tuple of int
        Voxels along ``z, y, x``.
    """

    bits: np.ndarray
    first: np.ndarray
    shape: tuple[int, ...]

    @classmethod
    def of(cls, slabs: Iterable[np.ndarray], shape: tuple[int, ...]) -> PoreSpace:
        """Build from consecutive slabs of whole planes, ``(n, y, x)`` bool, of a volume of the given shape."""
        bits = np.zeros((shape[0], shape[1], -(-shape[2] // 64)), np.uint64)
        z = 0
        for slab in slabs:
            packed = np.zeros((*slab.shape[:2], 8 * bits.shape[2]), np.uint8)
            packed[..., : -(-shape[2] // 8)] = np.packbits(slab, axis=-1, bitorder="little")
            bits[z : z + len(slab)] = packed.view(np.uint64)
            z += len(slab)
        return cls.of_bits(bits, shape[2])

    @classmethod
    def of_bits(cls, bits: np.ndarray, width: int) -> PoreSpace:
        """Build from bits ``(n_z, n_y, row_length)`` of rows of ``width`` voxels."""
        count = np.bitwise_count(bits).sum(axis=2, dtype=np.int64).ravel()
        return cls(bits, np.concatenate([[0], np.cumsum(count)]), (*bits.shape[:2], width))

    @property
    def count(self) -> int:
        """Number of pore voxels."""
        return int(self.first[-1])


@inline_kernel
def bit_count(word: np.uint64) -> Integer:
    """Number of bits that are set; compiles to one instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@inline_kernel
def number_plane(bits: np.ndarray, first: np.ndarray, z: int, n_x: Integer, numbers: np.ndarray) -> None:
    """Write the numbers of the pore voxels of a plane to ``numbers`` ``(n_y, n_x)``, -1 in the solid."""
    n_y = numbers.shape[0]
    for y in range(n_y):
        number = first[z * n_y + y]
        for x in range(n_x):
            if (bits[z, y, x >> 6] >> np.uint64(x & 63)) & np.uint64(1):
                numbers[y, x] = number
                number += 1
            else:
                numbers[y, x] = -1


@inline_kernel
def advance_planes(
    bits: np.ndarray, first: np.ndarray, z: int, shape: np.ndarray, planes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Advance three planes of numbers ``(3, n_y, n_x)`` to ``z``: below, here and above (-1 beyond the volume).

    To be called for ``z = 0, 1, 2, ...``, as two of the planes are those of the previous call.
    """
    n_z, _, n_x = shape
    below, here, above = planes[(z + 2) % 3], planes[z % 3], planes[(z + 1) % 3]
    if z == 0:
        below[:] = -1
        number_plane(bits, first, 0, n_x, here)
    if z + 1 < n_z:
        number_plane(bits, first, z + 1, n_x, above)
    else:
        above[:] = -1
    return below, here, above
