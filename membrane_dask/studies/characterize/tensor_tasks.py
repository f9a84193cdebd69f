"""Unit of the transport tensors of a volume: permeability and diffusivity of the medium of which it is a cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.stokes.permeability_tensor import permeability_tensor
from membrane_dask.physics.tensors import TensorBounds, principal_values
from membrane_dask.physics.transport.diffusivity_tensor import diffusivity_tensor
from membrane_dask.program import Unit
from membrane_dask.studies.characterize.config import CharacterizeStudy, FlowSettings
from membrane_dask.studies.characterize.flow_grid import read_pores, refine

#: Bytes per pore voxel of a tensor of permeability and of diffusivity, and per voxel of the volume.
_BYTES_PERMEABILITY, _BYTES_DIFFUSIVITY, _BYTES_VOXEL = 380, 230, 10


def tensor_memory(study: CharacterizeStudy, shape: tuple[int, ...], porosity: float) -> int:
    """Peak bytes of the unit."""
    settings = study.flow
    diffusivity = _BYTES_DIFFUSIVITY * porosity + _BYTES_VOXEL
    permeability = (_BYTES_PERMEABILITY * porosity + _BYTES_VOXEL) * settings.refinement**3
    return int(math.prod(shape) * max(diffusivity, permeability if settings.enabled else 0))


def tensor_work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Tensors of a volume, and their principal values and directions.

    Returns
    -------
    arrays : dict of str to ndarray
        Variables of the table ``tensors``, permeabilities in nm2.
    feedback : dict
        Empty.

    Raises
    ------
    PhysicsError
        If a solver does not converge.
    """
    settings: FlowSettings = context["flow"]
    volume: PoreVolume = context["volumes"][unit.params["volume"]]
    pores = read_pores(volume)
    arrays: dict[str, np.ndarray] = {}
    if context["tensors"]["diffusivity"]:
        arrays |= _arrays("diffusivity", diffusivity_tensor(pores), 1.0)
    if context["tensors"]["permeability"]:
        cell_nm = float(volume.voxel_nm or math.nan) / settings.refinement
        tensor = permeability_tensor(refine(pores, settings.refinement), settings.wall_model, settings.tolerance)
        arrays |= _arrays("permeability", tensor, cell_nm * cell_nm)
    return arrays, {}


def _arrays(name: str, tensor: TensorBounds, scale: float) -> dict[str, np.ndarray]:
    values, directions = principal_values(tensor.lower)
    return {
        f"{name}_tensor": tensor.lower * scale,
        f"{name}_tensor_upper_bound": tensor.upper * scale,
        f"{name}_principal": values * scale,
        f"{name}_principal_direction": directions,
    }
