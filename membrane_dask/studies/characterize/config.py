"""Settings of a characterize study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from membrane_dask.config import BaseStudy, InputVolume, Line, Model, parameter
from membrane_dask.errors import Problem, short
from membrane_dask.quantities import (
    LengthNm,
    Lengths,
    Number,
    Pressure,
    Temperature,
    Viscosity,
    VoxelSize,
    Whole,
    as_tuple,
    list_as_tuple,
)


def _order_of_axes(value: str) -> str:
    letters = value.removeprefix("-")
    if letters not in ("z", "y", "x") and sorted(letters) != ["x", "y", "z"]:
        raise ValueError(
            "must be z, y or x, or the axes of depth, height and width such as yzx, with - in front where the feed "
            f"side is at the end of the depth (got {short(value)})"
        )
    return value


#: Axis of a file that is the depth, or the axes that are depth, height and width.
Axis = Annotated[str, Strict(), AfterValidator(_order_of_axes)]


class GreySettings(Model):
    """Segmentation of a greyscale volume, such as a tomogram, into pores and solid."""

    method: Literal["threshold", "auto", "otsu", "hysteresis", "adaptive"] = parameter(
        "threshold",
        "threshold: a given one, of grey.threshold; auto: Otsu's threshold after corrections where the volume is "
        "uneven; otsu: Otsu's threshold; hysteresis: the same, for pores with a dark core only; adaptive: threshold by "
        "the local mean",
        unit="",
    )
    threshold: Number | None = parameter(
        None,
        "grey value between the two phases; required by the method threshold unless the volume has two values",
    )
    correction: Literal["auto", "none", "slices", "shading", "both"] = parameter(
        "auto",
        "brightness that is corrected before a threshold that follows from the volume: slices, shading (within "
        "slices), both or none; auto: with the method auto what is uneven by more than 5 %, with others none",
        unit="",
    )
    slice_axis: Literal["auto", "z", "y", "x"] = parameter(
        "auto",
        "axis of the volume, as axis orders it, along which its slices were recorded one after the other; auto: that "
        "of the planes of the file",
        unit="",
    )
    sensitivity: Number = parameter(
        0.65, "adaptive: fraction of the local mean from which a voxel is solid; larger gives more solid", ge=0, le=1
    )
    neighbourhood: Literal["slice", "block"] = parameter(
        "slice", "adaptive: the local mean is that of voxels of the slice, or of the slices around it as well", unit=""
    )
    window: Whole | None = parameter(
        None, "adaptive: width of the neighbourhood; default an eighth of the slice", unit="voxel", ge=8
    )
    sigma: Number = parameter(
        0.0, "standard deviation of a Gaussian filter before thresholding, 0 for none", unit="voxel", ge=0, le=20
    )
    closing_radius: Number = parameter(
        0.0,
        "radius of the sphere for a morphological closing of the solid, 0 for none; rounded down to the square root "
        "of an integer",
        unit="voxel",
        ge=0,
        le=16,
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.method != "threshold" and self.threshold is not None:
            message = f"must be left out with method: {self.method}, or set method: threshold"
            yield Problem(("threshold",), f"{message} (got {self.threshold:g})")
        needed = {
            "adaptive": ("sensitivity", "neighbourhood", "window"),
            "auto or otsu": ("correction", "slice_axis"),
        }
        for method, names in needed.items():
            if self.method == method or (self.method != "threshold" and method != "adaptive"):
                continue
            for name in names:
                if (value := getattr(self, name)) != type(self).model_fields[name].default:
                    yield Problem((name,), f"needs grey.method: {method} (got {value}; grey.method is {self.method})")
        if self.method == "threshold" and self.threshold is None:
            for name in ("sigma", "closing_radius"):
                if getattr(self, name):
                    message = f"needs a threshold: set grey.threshold as well (got {getattr(self, name)})"
                    yield Problem((name,), message)

    @property
    def is_used(self) -> bool:
        """Whether grey values are segmented."""
        return self.method != "threshold" or self.threshold is not None


class RawSettings(Model):
    """Layout of a file without a header, such as .raw."""

    shape: Annotated[tuple[Whole, Whole, Whole], BeforeValidator(list_as_tuple)] = Field(
        description="voxels along the axes of the file, the slowest first: z, y, x",
        json_schema_extra={"unit": "voxel", "example": "[200, 300, 400]"},
    )
    type: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"] = Field(
        description="type of a voxel", json_schema_extra={"unit": "", "example": "uint8"}
    )
    byte_order: Literal["little", "big"] | None = parameter(
        None, "order of the bytes of a voxel; required for types of several bytes", unit=""
    )
    offset: Whole = parameter(0, "bytes before the first voxel", unit="byte", ge=0)

    def _inconsistencies(self) -> Iterator[Problem]:
        if min(self.shape) < 1:
            yield Problem(("shape",), f"three numbers of at least 1 are needed (got {list(self.shape)})")
        if self.byte_order is None and not self.type.endswith("8"):
            yield Problem(
                ("byte_order",),
                f"required for {self.type}: little, as most programs write, or big, as ImageJ writes by default",
            )


class NetworkSettings(Model):
    """Extraction of the pore network (SNOW)."""

    sigma: Number = parameter(
        0.4,
        "standard deviation of a Gaussian filter of the distance map, 0 for none; in shortest edges of a voxel",
        unit="voxel",
        source="Gostick 2017",
        ge=0,
        le=5,
    )
    r_max: Number = parameter(
        4.0,
        "radius of the spherical neighbourhood in which a peak of the distance map is the maximum; larger merges more; "
        "in shortest edges of a voxel",
        unit="voxel",
        source="Gostick 2017",
        ge=1,
        le=32,
        formerly="radius",
    )
    min_peak_distance: Number = parameter(
        2.0,
        "smallest distance from the solid of a peak that becomes a pore; in shortest edges of a voxel",
        unit="voxel",
        ge=0,
        le=32,
        formerly="smallest",
    )
    min_separation: Number = parameter(
        1.0,
        "of two peaks closer to each other than this multiple of their distance to the solid, the lower is removed; "
        "larger merges more",
        source="Gostick 2017",
        ge=0,
        le=10,
        formerly="nearby",
    )


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


class RetentionSettings(Model):
    """Retention of particles in the flow."""

    enabled: bool = parameter(False, "compute the retention; needs the flow", unit="", formerly="solve")
    diameter: LengthNm = parameter(
        20.0, "diameter of the particles of the log reduction value", unit="nm, ...", source="Chamani"
    )
    diameters: Lengths = parameter(
        (5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0), "diameters of the rejection curve", unit="nm, ..."
    )
    wall_interaction: Literal["reflecting", "perfect_sink"] = parameter(
        "reflecting",
        "particles that touch a wall slide along it, or are deposited at first contact; the rejection curve has both",
        unit="",
        formerly="collision",
        former_values={"sieve": "reflecting", "touch": "perfect_sink"},
    )
    temperature: Temperature = parameter(298.15, "temperature of the liquid; drives Brownian motion", unit="degC, K")
    particles: Whole = parameter(
        500, "particles that are tracked one by one for the bound of a challenge test", ge=1, le=1_000_000
    )


class CharacterizeStudy(BaseStudy):
    """Properties of a 3-D structure: connectivity, pore sizes, pore network, tortuosity, permeability, retention."""

    results_version: ClassVar[int] = 4

    kind: Literal["characterize"] = "characterize"
    input: InputVolume = Field(
        description="volume (OME-Zarr, TIFF stack, folder of images, .npy, .npz, HDF5, .mat, NRRD, VTK image, .raw), "
        "depth first unless axis says otherwise; or a run of a reconstruct study; or such a study, which is run first",
        json_schema_extra={"unit": "", "example": "volume.tif"},
    )
    reference: InputVolume | None = parameter(
        None, "volume, or run with replicates, that is characterized in the same way and compared", unit=""
    )
    voxel_size: VoxelSize | None = parameter(
        None,
        "edge length of a voxel, for example 3 nm, or its three edges along z, y, x (depth, height and width, as axis "
        "orders them), for example [10 nm, 5 nm, 5 nm]; default from the file, required where the file has none",
        unit="nm, um, ...",
    )
    pores: (
        Literal["dark", "bright"] | Whole | Annotated[tuple[Whole, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    ) = parameter(
        "dark",
        "pores are the lower (dark) or the higher (bright) of two values, or a label such as 85, or several",
        unit="",
    )
    axis: Axis = parameter(
        "z",
        "axis of the input that is the depth, by the names in the file or else z, y, x in the order of the file; -z, "
        "-y or -x where the feed side is at its end; or three, such as yzx, for depth, height and width",
        unit="",
    )
    reference_axis: Axis = parameter("z", "the same for the reference", unit="")
    dataset: Line | None = parameter(
        None, "name of the array or image in a file that has several, such as HDF5, .mat, .npz, .vti or Zarr", unit=""
    )
    reference_dataset: Line | None = parameter(None, "the same for the reference", unit="")
    raw: RawSettings | None = parameter(
        None,
        "layout of files without a header: shape (voxels along z, y, x), type (uint8, ..., float64), byte_order "
        "(little or big; for types of several bytes) and offset (bytes before the first voxel), for example {shape: "
        "[200, 300, 400], type: uint8}",
        unit="",
    )
    missing_chunks: Literal["refuse", "fill"] = parameter(
        "refuse",
        "chunks that a Zarr volume does not have: refuse the volume, or fill them with its fill value, as writers mean "
        "that leave out chunks of nothing else",
        unit="",
    )
    databar: Literal["refuse", "cut", "keep"] = parameter(
        "refuse",
        "rows or columns of all planes that look like a databar, and that no metadata name: refuse the volume, cut "
        "them, or keep them as structure; the same for the reference",
        unit="",
    )
    grey: GreySettings = parameter(GreySettings(), "segmentation of a greyscale volume", unit="")
    connectivity: Literal[6, 26] = parameter(
        6, "neighbours of a voxel: across faces (6), or across edges and corners as well (26)"
    )
    network: NetworkSettings = parameter(NetworkSettings(), "extraction of the pore network", unit="")
    axes: tuple[Literal["z", "y", "x"], ...] = parameter(
        ("z",),
        "axes along which permeability, diffusivity and tortuosities are computed, the depth z among them, for example "
        "[z, y, x]; each takes as long as the first",
        unit="",
    )
    tensors: Literal["none", "sample", "periodic"] = parameter(
        "none",
        "tensors of permeability (with flow.enabled) and of diffusivity (with tortuosity): of a sample, from the "
        "transport along axes: [z, y, x], or of a medium that repeats the volume along all axes; needs a worker with "
        "about 230 or 380 bytes per pore voxel",
        unit="",
    )
    tortuosity: bool = parameter(True, "compute geodesic paths and diffusion", unit="")
    tolerance: Number = parameter(
        1e-3,
        "largest difference of the diffusive flux between planes, relative to its mean; of volumes in one piece also "
        "that of the bounds of the effective diffusivity, relative to the lower one",
        ge=1e-4,
        le=0.1,
    )
    tortuosity_slab_thickness: Whole | None = parameter(
        None,
        "approximate number of planes of a slab, the unit of work of geodesic paths and diffusion; default: by memory "
        "for more than 8 million pore voxels, else the whole depth",
        unit="voxel",
        ge=20,
    )
    flow: FlowSettings = parameter(FlowSettings(), "Stokes flow and permeability", unit="")
    retention: RetentionSettings = parameter(RetentionSettings(), "retention of particles", unit="")
    block_size: Whole = parameter(
        256,
        "edge length of the blocks, which are the units of work; does not change the result",
        unit="voxel",
        ge=32,
        le=1024,
        formerly="block",
    )

    # Which volumes are accepted, not what they hold.
    _circumstances: ClassVar[frozenset[str]] = BaseStudy._circumstances | {"missing_chunks"}

    def sources(self) -> dict[str, Path]:
        """Volumes, by field."""
        return {"input": self.input} | ({"reference": self.reference} if self.reference else {})

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        by = "grey.threshold" if self.grey.method == "threshold" else "grey.method"
        if self.grey.is_used and not isinstance(self.pores, str):
            yield Problem(("pores",), f"must be dark or bright where {by} segments the volume (got {self.pores})")
        if "z" not in self.axes or len(set(self.axes)) < len(self.axes):
            yield Problem(
                ("axes",),
                f"must name each axis once, and z among them, for example [z, y, x] (got [{', '.join(self.axes)}]); "
                "profiles, network and retention are those along z",
            )
        if self.tensors != "none":
            if not (self.tortuosity or self.flow.enabled) or self.flow.method == "mobility_estimate":
                message = "needs tortuosity: true (diffusivity), or flow.enabled: true and flow.method: stokes"
                yield Problem(("tensors",), message)
            if self.tensors == "sample" and len(self.axes) < len("zyx"):
                yield Problem(
                    ("tensors",), f"sample needs axes: [z, y, x] (got [{', '.join(self.axes)}]); or set periodic"
                )
        enable = "needs the flow: set flow.enabled: true as well"
        if not self.flow.enabled:
            for name in ("method", "slab_thickness", "boxes", "velocities"):
                if getattr(self.flow, name) != FlowSettings.model_fields[name].default:
                    yield Problem(("flow", name), enable)
            if self.retention.enabled:
                yield Problem(("retention", "enabled"), enable)
        if self.flow.method == "mobility_estimate":
            message = "must be stokes, as mobility_estimate computes no velocities for"
            if self.retention.enabled:
                yield Problem(("flow", "method"), f"{message} the retention")
            if self.flow.velocities:
                yield Problem(("flow", "method"), f"{message} flow.velocities")
