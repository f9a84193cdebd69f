"""Settings of a characterize study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
)

from membrane_dask.config import (
    BaseStudy,
    InputVolume,
    Model,
    parameter,
)
from membrane_dask.errors import Problem
from membrane_dask.quantities import (
    LengthNm,
    Lengths,
    Number,
    Pressure,
    Temperature,
    Viscosity,
    Whole,
)


class GreySettings(Model):
    """How a grey volume, such as a tomogram, is cut into pores and solid."""

    threshold: Number | None = parameter(None, "grey value that parts the phases; default: the volume has two values")
    sigma: Number = parameter(0.0, "Gaussian filter before, 0 for none", unit="voxel", ge=0, le=20)
    closing_radius: Number = parameter(
        0.0, "ball that closes the solid afterwards; only its square's whole part counts", unit="voxel", ge=0, le=16
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.threshold is None:
            for name in ("sigma", "closing_radius"):
                if getattr(self, name):
                    yield Problem((name,), f"needs a threshold beside it (got {getattr(self, name)})")


class NetworkSettings(Model):
    """Which places of the pore space count as pores of the network (SNOW)."""

    sigma: Number = parameter(
        0.4, "Gaussian filter of the distance map, 0 for none", unit="voxel", source="Gostick 2017", ge=0, le=5
    )
    radius: Number = parameter(
        4.0,
        "a pore's centre is the point farthest from the solid within this distance; larger merges more",
        unit="voxel",
        source="Gostick 2017",
        ge=1,
        le=32,
    )
    smallest: Number = parameter(2.0, "least distance of a pore's centre from the solid", unit="voxel", ge=0, le=32)
    nearby: Number = parameter(
        1.0,
        "of two centres nearer to each other than this times the distance to the solid, the lower one goes; larger "
        "merges more",
        source="Gostick 2017",
        ge=0,
        le=10,
    )


class FlowSettings(Model):
    """The flow of a liquid through the pores, under a pressure that drives it along the depth."""

    solve: bool = parameter(
        False, "whether to solve for it; takes a worker some 185 bytes for every pore voxel of a volume, and half as "
        "much for large ones, by slabs", unit=""
    )  # fmt: skip
    method: Literal["stokes", "screening"] = parameter(
        "stokes", "the flow itself, or only an estimate from local mobilities: sooner, but 1.1 to 1.4 "
        "times the permeability, without bounds", unit="",
    )  # fmt: skip
    sides: Literal["symmetric", "periodic", "wall"] = parameter(
        "symmetric", "beyond the sides lies the mirror image, the volume once more, or a wall", unit=""
    )
    surface: Literal["smooth", "voxels"] = parameter(
        "smooth",
        "voxels sample a body with a smooth surface, or are the body itself with all their edges; the other reading's "
        "permeability is given beside",
        unit="",
    )
    refine: Whole = parameter(
        1, "parts into which a voxel is cut along each axis; 2 takes eight times as much memory", ge=1, le=4
    )
    slab: Whole | None = parameter(
        None,
        "planes of the depth whose velocities are found at a time, as units of work; default: 128 where a volume has "
        "more than 20 million pore voxels, else all at once",
        unit="voxel", ge=16,
    )  # fmt: skip
    tolerance: Number = parameter(0.01, "distance of two bounds of the permeability, over the lower", ge=1e-4, le=0.2)
    velocities: bool = parameter(
        False, "whether to keep the velocities in all voxels, 12 bytes each before compression", unit=""
    )
    pressure: Pressure = parameter(210e3, "between both faces; for speeds", unit="kPa, bar, psi, ...", source="Chamani")
    viscosity: Viscosity = parameter(0.89e-3, "of the liquid; that of water at 25 degrees Celsius", unit="mPa s, ...")


class RetentionSettings(Model):
    """Balls in the liquid: how many of them pass the pores (needs the flow)."""

    solve: bool = parameter(False, "whether to find it", unit="")
    diameter: LengthNm = parameter(20.0, "of the balls whose log reduction is given", unit="nm, ...", source="Chamani")
    diameters: Lengths = parameter(
        (5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0), "of those of the rejection curve", unit="nm, ..."
    )
    collision: Literal["sieve", "touch"] = parameter(
        "sieve", "a ball that touches a wall moves on along it, or sticks; the rejection curve has both", unit=""
    )
    temperature: Temperature = parameter(298.15, "of the liquid; drives Brownian motion", unit="degC, K")
    particles: Whole = parameter(
        500, "balls followed one by one: what such a count would show in an experiment", ge=1, le=1_000_000
    )


class CharacterizeStudy(BaseStudy):
    """What a three-dimensional structure is: connectivity, pore sizes, network, tortuosity, permeability (Chamani)."""

    kind: Literal["characterize"] = "characterize"
    input: InputVolume = Field(
        description="segmented volume (OME-Zarr, TIFF stack, folder of TIFF images, .npy), depth first; or a run of "
        "a reconstruction, or its study, which is run first",
        json_schema_extra={"unit": "", "example": "volume.tif"},
    )
    reference: InputVolume | None = parameter(None, "a volume to compare with, measured in the same way", unit="")
    voxel_size: LengthNm | None = parameter(
        None,
        "edge of a voxel, with its unit, for example 3 nm. Default: what the file says; required where it says nothing",
        unit="nm, um, ...",
    )
    pores: Literal["dark", "bright"] | Whole = parameter(
        "dark", "which of two values the pores are; or their value among many, such as 85", unit=""
    )
    grey: GreySettings = parameter(GreySettings(), "how a grey volume is cut into pores and solid", unit="")
    connectivity: Literal[6, 26] = parameter(
        6, "voxels are connected across faces (6), or across edges and corners as well (26)"
    )
    network: NetworkSettings = parameter(NetworkSettings(), "which places count as pores of the network", unit="")
    tortuosity: bool = parameter(True, "whether to measure shortest paths and diffusion as well", unit="")
    tolerance: Number = parameter(
        1e-3, "largest difference of the diffusive flux from plane to plane, over the flux", ge=1e-4, le=0.1
    )
    flow: FlowSettings = parameter(FlowSettings(), "permeability, by the flow itself", unit="")
    retention: RetentionSettings = parameter(RetentionSettings(), "what the pores hold back", unit="")
    block: Whole = parameter(256, "edge of a block of work; does not change the result", unit="voxel", ge=32, le=1024)

    def sources(self) -> dict[str, Path]:
        """Volumes, by field."""
        return {"input": self.input} | ({"reference": self.reference} if self.reference else {})

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        if self.grey.threshold is not None and not isinstance(self.pores, str):
            yield Problem(("pores",), f"must be dark or bright where a grey volume is cut (got {self.pores})")
        asked = [name for name in ("method", "slab", "velocities") if name in self.flow.model_fields_set]
        asked = [name for name in asked if getattr(self.flow, name) != type(self.flow).model_fields[name].default]
        if asked and not self.flow.solve:
            yield Problem(("flow", asked[0]), "needs the flow: set flow.solve: true as well")
        if self.retention.solve and not self.flow.solve:
            yield Problem(("retention", "solve"), "needs the flow: set flow.solve: true as well")
        if self.retention.solve and self.flow.method == "screening":
            yield Problem(("flow", "method"), "screening finds no flow for retention to use: must be stokes")
        if self.flow.velocities and self.flow.method == "screening":
            yield Problem(("flow", "method"), "screening finds no velocities to keep: must be stokes")
