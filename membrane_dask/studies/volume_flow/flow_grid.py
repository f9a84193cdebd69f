"""Pore voxels and wall models of the grids on which the flow through a volume is computed."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics.stokes.mac_grid import WallModel

#: Tolerance of the bounds for the alternate wall model; the lower bound is much closer to the permeability.
ALTERNATE_TOLERANCE = 0.05


def alternate_wall_model(wall_model: WallModel) -> WallModel:
    """The wall model that the study does not set, whose permeability shows the error of the resolution."""
    return "staircase" if wall_model == "smooth" else "smooth"


def readings(wall_model: WallModel, permeability: float, alternate: float) -> dict[str, float]:
    """Permeabilities by the name of the wall model, from those with the model of the study and with the other."""
    values = {wall_model: permeability, alternate_wall_model(wall_model): alternate}
    return {f"permeability_{name}_walls": values[name] for name in ("smooth", "staircase")}


def refine(pores: np.ndarray, refinement: int) -> np.ndarray:
    """Pore voxels of a grid with ``refinement`` cells per voxel along each axis."""
    return pores if refinement == 1 else pores.repeat(refinement, 0).repeat(refinement, 1).repeat(refinement, 2)
