"""Transport tensors of a volume: of a sample of a medium, or of the medium that repeats it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.sample_tensors import SampleTensor, as_stored, sample_tensor
from membrane_dask.physics.stokes.mac_grid import WallModel
from membrane_dask.physics.stokes.permeability_tensor import permeability_tensor
from membrane_dask.physics.tensors import TensorBounds, principal_values
from membrane_dask.physics.transport.diffusivity_tensor import diffusivity_tensor, sample_diffusivity
from membrane_dask.program import Unit
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.input_volumes import read_pores
from membrane_dask.studies.volume_flow.flow_grid import refine
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

#: Bytes per pore voxel of a tensor of permeability and of diffusivity, and per voxel of the volume.
_BYTES_PERMEABILITY, _BYTES_DIFFUSIVITY, _BYTES_VOXEL = 380, 230, 10


def has_tensor_unit(study: CharacterizeStudy) -> bool:
    """Whether a unit computes tensors; that of the permeability of a sample follows from the flows along the axes."""
    return study.tensors == "periodic" or (study.tensors == "sample" and study.tortuosity)


def tensor_memory(study: CharacterizeStudy, shape: tuple[int, ...], porosity: float) -> int:
    """Peak bytes of the unit."""
    settings = study.flow
    diffusivity = _BYTES_DIFFUSIVITY * porosity + _BYTES_VOXEL
    permeability = (_BYTES_PERMEABILITY * porosity + _BYTES_VOXEL) * settings.refinement**3
    with_flow = settings.enabled and study.tensors == "periodic"
    return int(math.prod(shape) * max(diffusivity, permeability if with_flow else 0))


def tensor_work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Tensors of a volume.

    Returns
    -------
    arrays : dict of str to ndarray
        Of :func:`bounded_tensor` and :func:`sample_arrays`, permeabilities in nm2.
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
    if context["tensors"] == "sample":
        sample = sample_diffusivity(pores, spacing=volume.spacing)
        return sample_arrays("diffusivity", sample, np.full((3, 3), math.nan)), {}
    arrays: dict[str, np.ndarray] = {}
    if context["tortuosity"]:
        arrays |= bounded_tensor("diffusivity", diffusivity_tensor(pores, spacing=volume.spacing), 1.0)
    if settings.enabled:
        cell_nm = float(volume.voxel_nm or math.nan) / settings.refinement
        cells = refine(pores, settings.refinement)
        tensor = permeability_tensor(cells, settings.wall_model, settings.tolerance, volume.spacing)
        arrays |= bounded_tensor("permeability", tensor, cell_nm * cell_nm)
    return arrays, {}


def bounded_tensor(name: str, tensor: TensorBounds, scale: float) -> dict[str, np.ndarray]:
    """Variables of the table ``tensors`` for the tensor of a periodic medium."""
    return {
        **_with_principal_values(name, tensor.lower * scale),
        f"{name}_tensor_upper_bound": tensor.upper * scale,
        f"{name}_tensor_asymmetry": np.asarray(0.0),
    }


def sample_arrays(name: str, tensor: SampleTensor, upper: np.ndarray) -> dict[str, np.ndarray]:
    """Variables of the table ``tensors`` for the tensor of a sample.

    ``upper`` is that of the flows at their upper bounds; NaN for diffusion, which has none.
    """
    return {
        **_with_principal_values(name, tensor.tensor),
        f"{name}_tensor_upper_bound": upper,
        f"{name}_tensor_asymmetry": np.asarray(tensor.asymmetry),
    }


def sample_permeability(flows: Sequence[Mapping[str, np.ndarray]], wall_model: WallModel) -> dict[str, np.ndarray]:
    """Variables of the permeability tensor of a sample, in nm2, from the arrays of the flows along z, y and x.

    The tensor is that of the velocities, which are those with ``wall_model``.

    They are NaN if a flow failed.
    """
    velocities, forces, ratio = np.full((3, 3), math.nan), np.full((3, 3), math.nan), np.ones(3)
    for axis, flow in enumerate(flows):
        if "mean_velocity" in flow:
            velocities[:, axis] = as_stored(flow["mean_velocity"], axis)
            forces[:, axis] = as_stored(flow["mean_force"], axis)
            reading = flow[f"permeability_{wall_model}_walls"]
            if reading > 0:
                ratio[axis] = flow["permeability_upper_bound"] / reading
    upper = sample_tensor(velocities * ratio, forces).tensor
    return sample_arrays("permeability", sample_tensor(velocities, forces), upper)


def _with_principal_values(name: str, tensor: np.ndarray) -> dict[str, np.ndarray]:
    values, directions = np.full(3, math.nan), np.full((3, 3), math.nan)
    if np.isfinite(tensor).all():
        values, directions = principal_values(tensor)
    return {f"{name}_tensor": tensor, f"{name}_principal": values, f"{name}_principal_direction": directions}
