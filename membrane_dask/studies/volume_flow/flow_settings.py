"""Settings of the Stokes flow through a volume."""

from __future__ import annotations

from typing import Literal

from membrane_dask.config import Model, parameter
from membrane_dask.quantities import Number, Pressure, Viscosity, Whole


class FlowSettings(Model):
    """Stokes flow along the depth, driven by a pressure difference."""

    enabled: bool = parameter(
        False,
        "compute the flow; needs a worker with about 185 bytes per pore voxel, or 90 where the volume is divided into "
        "slabs",
        unit="",
        formerly="solve",
    )
    method: Literal["stokes", "mobility_estimate"] = parameter(
        "stokes",
        "stokes solves for the flow; mobility_estimate is faster, but gives 1.1 to 1.4 times the permeability, without "
        "bounds",
        unit="",
        former_values={"screening": "mobility_estimate"},
    )
    lateral_boundary: Literal["symmetric", "periodic", "no_slip"] = parameter(
        "symmetric",
        "boundary condition on the faces parallel to the flow",
        unit="",
        formerly="sides",
        former_values={"wall": "no_slip"},
    )
    wall_model: Literal["smooth", "staircase"] = parameter(
        "smooth",
        "surface of the solid, for velocities, tensors and retention: smooth and sampled by the voxels, or the faces "
        "of the voxels; the permeability is estimated from the flows with both",
        unit="",
        formerly="surface",
        former_values={"voxels": "staircase"},
    )
    refinement: Whole = parameter(
        1, "grid cells per voxel along each axis; 2 takes eight times the memory", ge=1, le=4, formerly="refine"
    )
    slab_thickness: Whole | None = parameter(
        None,
        "planes per slab of the domain decomposition; default: 128 for more than 20 million pore voxels, else the "
        "whole depth",
        unit="voxel",
        ge=16,
        formerly="slab",
    )
    tolerance: Number = parameter(
        0.01,
        "difference between the bounds of the permeability, relative to the lower bound",
        ge=1e-4,
        le=0.2,
    )
    boxes: bool = parameter(
        False,
        "estimate the permeability of the boxes of the representative volume from local mobilities; takes about as "
        "long as the flow",
        unit="",
    )
    velocities: bool = parameter(
        False, "store the velocities of all voxels; 12 bytes per voxel before compression", unit=""
    )
    pressure: Pressure = parameter(
        210e3, "pressure difference between the faces; scales the velocities", unit="kPa, bar, psi, ...",
        source="Chamani",
    )  # fmt: skip
    viscosity: Viscosity = parameter(
        0.89e-3, "viscosity of the liquid; default that of water at 25 degrees Celsius", unit="mPa s, ..."
    )
