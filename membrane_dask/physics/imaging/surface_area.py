"""Area of the pore walls by Crofton's formula: from the transitions to the solid along the 13 lines through a voxel.

References
----------
D. Legland, K. Kieu and M.-F. Devaux, Image Anal. Stereol. 26, 83 (2007).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from membrane_dask.physics.fixed_order import product
from membrane_dask.physics.imaging.watershed import SOLID_SUMS
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, is_cube, voxel_volume

#: Weights of lines along faces, edges and corners of cubes, over the distance of voxels along them.
_CUBES = np.array([0.0915557824 / 1.0, 0.0739612558 / np.sqrt(2.0), 0.0703912796 / np.sqrt(3.0)])
#: Axes along which lines advance, in the order of the sums of solid voxels; and how many lines have these axes.
_DIRECTIONS = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)])
_LINES = np.array([1, 1, 1, 2, 2, 2, 4])
#: Directions on a face of a cube, and the multiple of their numbers that spreads them evenly: weights are exact to
#: about 1e-5.
_POINTS, _GOLDEN = 1 << 17, (np.sqrt(5.0) - 1.0) / 2.0


def surface_areas(sums: np.ndarray, spacing: Spacing = CUBE) -> np.ndarray:
    """Area of the pore walls.

    Parameters
    ----------
    sums : (n, N_REGION_SUMS) ndarray of int64
        Sums of regions, of :func:`membrane_dask.physics.imaging.watershed.block_watershed`.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    (n,) ndarray
        In the unit of the spacing, squared.
    """
    solid = sums[:, SOLID_SUMS]
    if is_cube(spacing):
        by_kind = np.stack([solid[:, :3].sum(axis=1), solid[:, 3:6].sum(axis=1), solid[:, 6]], axis=1)
        return np.asarray(2.0 * product(by_kind, _CUBES))
    return np.asarray(2.0 * voxel_volume(spacing) * product(solid, line_weights(spacing)))


@lru_cache(maxsize=64)
def line_weights(spacing: Spacing) -> np.ndarray:
    """Weight of a line along each of the seven kinds of direction, over the distance of voxels along it.

    The weight of a line is the fraction of all directions that are closest to it; those of all lines add up to 1.
    """
    steps = _DIRECTIONS * np.array(spacing)
    lengths = np.sqrt(np.square(steps).sum(axis=1))
    # Directions of an octant: points on three faces of a cube, with the solid angles of equal areas around them.
    number = np.arange(_POINTS) + 0.5
    u, v = number / _POINTS, number * _GOLDEN
    v -= np.floor(v)
    square = 1.0 + np.square(u) + np.square(v)
    solid_angle = 1.0 / (square * np.sqrt(square))
    fractions = np.zeros(len(steps))
    for axis in range(3):
        point = np.roll(np.stack([np.ones_like(u), u, v]), axis, axis=0)
        cosines = [
            (step[0] * point[0] + step[1] * point[1] + step[2] * point[2]) / length
            for step, length in zip(steps, lengths, strict=True)
        ]
        fractions += np.bincount(np.argmax(cosines, axis=0), solid_angle, len(steps))
    return np.asarray(fractions / fractions.sum() / _LINES / lengths)
