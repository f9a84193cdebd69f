"""Settings of all studies of volumes: which volume, what its pores are, and how its network is extracted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from membrane_dask.config import BaseStudy, InputVolume, Line, Model, parameter
from membrane_dask.errors import Problem, short
from membrane_dask.quantities import Number, VoxelSize, Whole, as_tuple, list_as_tuple

if TYPE_CHECKING:
    from membrane_dask.physics.imaging.watershed import SnowParameters

#: Settings of the Stokes flow that decide the flow through the throats of a network.
_STOKES_SETTINGS = ("tolerance", "lateral_boundary", "wall_model")


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


def stokes_settings(flow: Model, slab_edges: Sequence[int] | None) -> dict[str, Any]:
    """All that decides the Stokes flow through a volume.

    Parameters
    ----------
    flow : Model
        Settings of the flow.
    slab_edges : sequence of int or None
        First plane of every slab, and the number of planes; None for the flow of a volume in one piece.
    """
    settings = {name: getattr(flow, name) for name in _STOKES_SETTINGS}
    return settings | ({"slab_edges": list(slab_edges)} if slab_edges else {})


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


@dataclass(frozen=True)
class VolumeInput:
    """A volume, or a run with volumes, that a study reads.

    Parameters
    ----------
    field : str
        Field of the study that names it.
    path : Path
        Where it lies.
    axis : str
        Axis of the file that is the depth, or its three axes.
    dataset : str
        Name of the array in a file that has several; empty for the only one.
    """

    field: str
    path: Path
    axis: str
    dataset: str


class VolumeStudy(BaseStudy):
    """Settings common to studies of volumes."""

    input: InputVolume = Field(
        description="volume (OME-Zarr, TIFF stack, folder of images, .npy, .npz, HDF5, .mat, NRRD, VTK image, .raw), "
        "depth first unless axis says otherwise; or a run of a reconstruct study; or such a study, which is run first",
        json_schema_extra={"unit": "", "example": "volume.tif"},
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
    dataset: Line | None = parameter(
        None, "name of the array or image in a file that has several, such as HDF5, .mat, .npz, .vti or Zarr", unit=""
    )
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
        "them, or keep them as structure",
        unit="",
    )
    grey: GreySettings = parameter(GreySettings(), "segmentation of a greyscale volume", unit="")
    connectivity: Literal[6, 26] = parameter(
        6, "neighbours of a voxel: across faces (6), or across edges and corners as well (26)"
    )
    network: NetworkSettings = parameter(NetworkSettings(), "extraction of the pore network", unit="")
    # Which volumes are accepted, not what they hold.
    _circumstances: ClassVar[frozenset[str]] = BaseStudy._circumstances | {"missing_chunks"}

    def volume_inputs(self) -> Sequence[VolumeInput]:
        """Volumes that the study reads; the first are those of ``input``."""
        return [VolumeInput("input", self.input, self.axis, self.dataset or "")]

    def sources(self) -> dict[str, Path]:
        """Volumes, by field."""
        return {volume.field: volume.path for volume in self.volume_inputs()}

    def snow_parameters(self) -> SnowParameters:
        """Parameters of the extraction of the network."""
        from membrane_dask.physics.imaging.watershed import SnowParameters  # slow to import

        network = self.network
        return SnowParameters(network.sigma, network.r_max, network.min_peak_distance, network.min_separation)

    def network_settings(self) -> dict[str, float]:
        """Settings that decide the network of the voxels."""
        return {"connectivity": self.connectivity, **self.network.model_dump()}

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        by = "grey.threshold" if self.grey.method == "threshold" else "grey.method"
        if self.grey.is_used and not isinstance(self.pores, str):
            yield Problem(("pores",), f"must be dark or bright where {by} segments the volume (got {self.pores})")
