"""Spacing of voxels: their edges in units of the shortest one, which is the unit of length of all computations.

Distances, sizes and areas weight the three axes by the spacing. Transport is computed on cubes of unit edge whose
properties depend on the direction: with the velocities ``u_k / h_k`` and the coordinates ``x_k / h_k`` of a spacing
``h``, mass is conserved as on cubes, and neighbours across axis ``k`` are coupled by ``1 / h_k^2``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Edges of a voxel along ``z, y, x``; the shortest is 1.
Spacing = tuple[float, float, float]
CUBE: Spacing = (1.0, 1.0, 1.0)
#: Largest relative difference of the edges of a voxel that counts as a cube.
CUBE_TOLERANCE = 0.01
#: Decimal places of a spacing: the same edges in other units have the same.
_DIGITS = 9
#: Unit of the conductances of faces, of which sums up to 16 are exact in single precision.
_QUANTUM = 2.0**-20


def is_cube(spacing: Sequence[float]) -> bool:
    """Whether a spacing is that of cubes."""
    return tuple(spacing) == CUBE


def unit_and_spacing(edges: Sequence[float]) -> tuple[float, Spacing]:
    """Unit of length and spacing of voxels.

    Parameters
    ----------
    edges : sequence of float
        Edges along ``z, y, x``, > 0.

    Returns
    -------
    unit : float
        Shortest edge; the last one where they differ by less than :data:`CUBE_TOLERANCE`.
    spacing : tuple of float
        Edges over the unit.
    """
    shortest = min(edges)
    if max(edges) <= (1 + CUBE_TOLERANCE) * shortest:
        return float(edges[-1]), CUBE
    z, y, x = (round(edge / shortest, _DIGITS) for edge in edges)
    return float(shortest), (z, y, x)


def kernel_spacing(spacing: Sequence[float]) -> np.ndarray | None:
    """Spacing as an argument of kernels: None for cubes, for which Numba compiles them without weights."""
    return None if is_cube(spacing) else np.array(spacing, np.float64)


def voxel_volume(spacing: Sequence[float]) -> float:
    """Volume of a voxel."""
    z, y, x = spacing
    return float(z * y * x)


def face_areas(spacing: Sequence[float]) -> np.ndarray:
    """Area of the faces of a voxel normal to ``z, y, x``."""
    z, y, x = spacing
    return np.array([y * x, z * x, z * y])


def cyclic(axis: int) -> tuple[int, int, int]:
    """Axes of a volume in cyclic order, beginning with one of them."""
    return axis, (axis + 1) % 3, (axis + 2) % 3


def permuted(spacing: Spacing, order: Sequence[int]) -> Spacing:
    """Spacing of a volume whose axes are permuted."""
    z, y, x = (spacing[axis] for axis in order)
    return z, y, x


def face_conductances(spacing: Sequence[float]) -> np.ndarray:
    """Conductance ``1 / h_k^2`` of the faces between voxels across ``z, y, x``, per volume of a voxel.

    Rounded to multiples of :data:`_QUANTUM`, so that the sum over the faces of a voxel is exact in single precision:
    otherwise its rounding would be a source in every voxel. Edges up to ten times the shortest change by less than 3e-5
    of themselves.
    """
    exact = 1.0 / np.square(np.array(spacing, np.float64))
    return np.asarray(np.rint(exact / _QUANTUM) * _QUANTUM)
