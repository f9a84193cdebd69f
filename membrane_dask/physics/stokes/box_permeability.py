"""Permeability of boxes of a volume, estimated from local mobilities."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from membrane_dask.physics.stokes.mac_grid import Grid, LateralBoundary, WallModel, flow_pores
from membrane_dask.physics.stokes.solver import mobility_estimate
from membrane_dask.physics.voxel_spacing import CUBE, Spacing


def box_permeabilities(
    pores: np.ndarray,
    boxes: Iterable[tuple[slice, ...]],
    lateral_boundary: LateralBoundary = "symmetric",
    wall_model: WallModel = "smooth",
    spacing: Spacing = CUBE,
) -> np.ndarray:
    """Estimate the permeability of boxes along z, each between its own faces at low and high z.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels of the volume.
    boxes : iterable of tuple of slice
        Voxels of each box.
    lateral_boundary : {'symmetric', 'periodic', 'no_slip'}
        Condition at the faces of each box at low and high y and x.
    wall_model : {'smooth', 'staircase'}
        As for :meth:`membrane_dask.physics.stokes.mac_grid.Grid.of`.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    (n_boxes,) ndarray of float64
        Estimates by :func:`membrane_dask.physics.stokes.solver.mobility_estimate`, in shortest edges of a voxel,
        squared; 0 where no path percolates, NaN for a box without solid and without walls, which nothing resists.
    """
    values = []
    for window in boxes:
        box = np.ascontiguousarray(pores[window])
        if box.all() and lateral_boundary != "no_slip":
            values.append(np.nan)
            continue
        percolates = flow_pores(box, lateral_boundary)
        if not percolates.any():
            values.append(0.0)
            continue
        values.append(mobility_estimate(Grid.of_percolating(percolates, lateral_boundary, wall_model, spacing=spacing)))
    return np.array(values, np.float64)
