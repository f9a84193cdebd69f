"""Additional resistance of velocities next to an edge of a staircase wall, which balances the exact flow around it.

Along an edge the velocity is ``r^(2/3) sin(2/3 angle)`` from the walls; with the additional resistances the discrete
balance of forces holds for it. Across an edge the velocity increases with ``r^0.544`` (H. K. Moffatt, J. Fluid Mech.
18, 1, 1964).
"""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics.elementary import cube_root
from membrane_dask.physics.voxel_spacing import Spacing, is_cube

#: Resistances next to edges of cubes, along the edge and across it.
_ALONG, _ACROSS = 0.258, 1.263
#: Resistance across an edge over that of cubes, times the ratio of the edges of a voxel along the velocity and along
#: the step to the edge. From 1 on it balances the exact flow at the face next to the edge. Below 1 the flow around the
#: edge extends over several faces, and the resistance of one of them makes the flow through an array of blocks exact
#: (benchmarks/edge_resistance.py prints both).
_RATIOS = (0.1, 0.2, 1 / 3, 0.5, 2 / 3, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_ACROSS_TIMES_RATIO = (0.630, 0.697, 0.763, 0.841, 0.917, 1.0, 1.148, 1.171, 1.091, 0.844, 0.297)
#: Steps to the cube root of a complex number.
_NEWTON_STEPS = 12


def edge_resistances(spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Additional resistances of the velocities of a staircase wall.

    Parameters
    ----------
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``.

    Returns
    -------
    across : (3, 3) ndarray
        Of the velocity along each axis, for the step to an edge along each axis; over the link of that step.
    along : (3, 3) ndarray
        Of the velocity along each axis: in the corner of an edge, and at a wall that is normal to the next axis, or to
        the one after it, and ends there.
    """
    across, along = np.full((3, 3), _ACROSS), np.full((3, 3), _ALONG)
    if is_cube(spacing):
        return across, along
    for c in range(3):
        t, u = (c + 1) % 3, (c + 2) % 3
        for step in (t, u):
            ratio = spacing[c] / spacing[step]
            across[c, step] *= np.interp(ratio, _RATIOS, _ACROSS_TIMES_RATIO) / ratio
        ratios = spacing[t] / spacing[c], spacing[u] / spacing[c]
        along[c] = _corner(*ratios), _wall(*ratios), _wall(*reversed(ratios))
    return across, along


def _corner(a: float, b: float) -> float:
    """Resistance of the velocity along an edge in the voxel opposite to the solid, of the edges ``a`` and ``b``."""
    x, y = a / 2, b / 2
    along_a = (_velocity(3 * x, y) + _velocity(-x, y) - 2 * _velocity(x, y)) / (a * a)
    along_b = (_velocity(x, 3 * y) + _velocity(x, -y) - 2 * _velocity(x, y)) / (b * b)
    return (along_a + along_b) / _velocity(x, y)


def _wall(a: float, b: float) -> float:
    """The same in the voxel at a wall that is normal to ``a`` and ends at the edge; a link to a wall counts twice."""
    x, y = a / 2, b / 2
    along_a = (_velocity(3 * x, -y) - 3 * _velocity(x, -y)) / (a * a)
    along_b = (_velocity(x, -3 * y) + _velocity(x, y) - 2 * _velocity(x, -y)) / (b * b)
    return (along_a + along_b) / _velocity(x, -y)


def _velocity(x: float, y: float) -> float:
    """Velocity along an edge at the origin of a solid at negative ``x`` and ``y``: ``r^(2/3) sin(2/3 angle)``.

    The angle is that from the wall at negative y. The cube root of ``-y + i x`` in the first quadrant, by Newton's
    method from its middle, is squared.
    """
    real, imaginary = -y, x
    radius = float(cube_root(np.float64(math.sqrt(x * x + y * y))))
    p = q = radius * math.sqrt(0.5)
    for _ in range(_NEWTON_STEPS):
        m, n = p * p - q * q, 2 * p * q
        square = m * m + n * n
        p, q = (2 * p + (real * m + imaginary * n) / square) / 3, (2 * q + (imaginary * m - real * n) / square) / 3
    return 2 * p * q
