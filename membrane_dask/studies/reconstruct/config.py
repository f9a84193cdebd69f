"""Settings of a reconstruct study."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from membrane_dask.config import BaseStudy, InputFile, Model, _ordered, parameter
from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.former_names import warn
from membrane_dask.io.image_metadata import find_text_file
from membrane_dask.physics.imaging.morphology import squared_radius
from membrane_dask.quantities import LengthNm, Number, Numbers, Range, Whole, as_tuple, convert, split_quantity


def _checked_blur(value: object) -> str:
    text = value if isinstance(value, str) else str(value)  # a number, whose unit is missing
    blur_in_pixels(text, 1.0)
    return text


#: Blur with its unit, as the user gave it: pixels can only be converted once the pixel size is known.
Blur = Annotated[str, BeforeValidator(_checked_blur)]


def blur_in_pixels(text: str, pixel_nm: float) -> tuple[float, float | None]:
    """Blur and its standard error, pixels; None without one.

    Raises
    ------
    ValueError
        If the text is no such value.
    """
    try:
        numbers, unit = split_quantity(text)
        factor = 1.0 if unit in ("px", "pixel", "pixels") else convert(1.0, unit, "nm") / pixel_nm
        blur, *deviation = (number * factor for number in numbers)
    except Exception as error:
        raise ValueError(f"a value with its unit is needed, for example 1.2 +- 0.1 px (got {text!r})") from error
    if " to " in text or any(value < 0 for value in (blur, *deviation)):
        raise ValueError(f"must be at least 0, with an error of at least 0, for example 1.2 +- 0.1 px (got {text!r})")
    return blur, deviation[0] if deviation else None


class Crop(Model):
    """Margins that are cropped from the micrograph as it is turned, such as resin above the skin."""

    top: Whole = parameter(0, "rows above the feed side", unit="pixel", ge=0)
    bottom: Whole = parameter(
        0, "rows below; a databar that the metadata of the file name is cut before", unit="pixel", ge=0
    )
    left: Whole = parameter(0, "columns", unit="pixel", ge=0)
    right: Whole = parameter(0, "columns", unit="pixel", ge=0)


class Segmentation(Model):
    """Segmentation of the micrograph into pores and solid."""

    method: Literal["auto", "otsu", "hysteresis", "adaptive"] = parameter(
        "auto",
        "auto: Otsu's threshold after shading correction; otsu: Otsu's threshold; hysteresis: the same, for pores with "
        "a dark core only; adaptive: threshold by the local mean, as in the paper (overestimates the porosity)",
        unit="",
    )
    sensitivity: Number = parameter(
        0.65, "adaptive: fraction of the local mean from which a pixel is solid; larger gives more solid", ge=0, le=1
    )
    presmooth: Literal["auto"] | Annotated[Number, Field(ge=0, le=20)] = parameter(
        "auto",
        "standard deviation of a Gaussian filter before the threshold, 0 for none; auto: the least for which four "
        "standard deviations of the noise are half of the contrast",
        unit="pixel",
    )
    median: Literal["auto"] | Annotated[Whole, Field(ge=1, le=21)] = parameter(
        "auto", "width of a median filter after the threshold, odd; 1, and auto, for none", unit="pixel"
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.median != "auto" and self.median % 2 == 0:
            yield Problem(("median",), f"must be odd (got {self.median})")


class Imaging(Model):
    """How the image shows the section; what is not given is estimated from it. `imaging: none` sets the method."""

    method: Literal["auto", "none"] = parameter(
        "auto",
        "auto: sections of trials are blurred, noisy and segmented as in the image before they are compared with it; "
        "none: they are compared as they are, as always with a binary image of no given blur and with the published "
        "search",
        unit="",
    )
    blur: Blur | None = parameter(
        None,
        "standard deviation of the point-spread function and its standard error, in pixels or as a length, for example "
        "1.2 +- 0.1 px; without an error it has that of an estimate. Required where the image has too few edges",
        unit="px, nm, ...",
    )
    noise: Number | None = parameter(
        None, "standard deviation of the noise; grey values from 0, black, to 1, white", ge=0, le=1
    )
    levels: Range | None = parameter(None, "grey values of pores and solid, from 0, black, to 1, white")
    supersampling: Literal["auto"] | Annotated[Whole, Field(ge=1, le=4)] = parameter(
        "auto",
        "voxels a pixel along either axis at which the sections of trials are cut; auto: 2 where the half-correlation "
        "length of the structure is below 1.7 pixels, else 1",
    )

    @model_validator(mode="before")
    @classmethod
    def _method_alone(cls, value: object) -> object:
        return {"method": value} if isinstance(value, str) else value

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.levels and (min(self.levels) < 0 or max(self.levels) > 1):
            yield Problem(("levels",), f"must lie within [0, 1] (got {list(self.levels)})")


class Search(Model):
    """Search for the structure that matches the micrograph."""

    method: Literal["direct", "bayesian", "published"] = parameter(
        "direct",
        "direct: fixed-point iteration on widths and porosities for each candidate of closing and roughness; "
        "bayesian: Bayesian optimisation of widths, closing and roughness, with matched porosity; "
        "published: the search of the paper's program, for its two-layer model",
        unit="",
    )
    slices: Whole = parameter(4, "sections of a trial that are compared (direct, bayesian)", ge=1, le=64)
    closing_radius: Numbers = parameter(
        (0.0, 1.0, 1.4143, 2.0, 2.4495, 3.0, 3.4642, 4.0),
        "candidates (direct) or range (bayesian) of the radius of the structuring element that closes narrow pores; "
        "rounded down to a whole square",
        unit="voxel",
    )
    roughness: Numbers = parameter(
        (0.0, 0.1, 0.2),
        "candidates (direct) or range (bayesian) of the fraction of the variance in the finer field (graded model)",
    )
    model_choice: Literal["sample", "best"] = parameter(
        "sample",
        "closing, roughness and knots of the replicates (direct, bayesian). sample: drawn, each as likely as its trial "
        "matches the micrograph; best: those that match best in a search of their own",
        unit="",
    )
    trials: Whole = parameter(60, "trial structures for each replicate (bayesian, published)", ge=2, le=2000)
    initial: Whole = parameter(16, "trials of the initial Latin hypercube design (bayesian, published)", ge=2, le=1000)
    in_flight: Whole = parameter(
        4,
        "trials that run concurrently after the initial design: a trial is proposed before the outcomes of the last "
        "in_flight - 1 are available",
        ge=1,
        le=100,
    )
    sigma: Range | None = parameter(
        None,
        "range of the widths (bayesian); default 0.3 to 1.3 times the theoretical width of an unclosed field with the "
        "correlation length of the micrograph at the same depth",
        unit="voxel",
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.sigma:
            yield from _ordered("sigma", self.sigma)
        limits = {"sigma": (0.2, 50.0), "closing_radius": (0.0, 16.0), "roughness": (0.0, 0.9)}
        for name, (low, high) in limits.items():
            values = getattr(self, name) or (low,)
            if min(values) < low or max(values) > high:
                yield Problem((name,), f"must lie within [{low:g}, {high:g}] (got {list(values)})")
        squares = [squared_radius(radius) for radius in self.closing_radius]
        yield from _repeated(
            "closing_radius", squares, self.closing_radius, "; radii are rounded down to whole squares"
        )
        yield from _repeated("roughness", self.roughness, self.roughness)
        if self.initial > self.trials:
            yield Problem(("initial",), f"must be at most trials = {self.trials} (got {self.initial})")
        if self.in_flight > self.initial:
            yield Problem(("in_flight",), f"must be at most initial = {self.initial} (got {self.in_flight})")


def _repeated(
    name: str, effective: list[int] | tuple[float, ...], values: tuple[float, ...], reason: str = ""
) -> Iterator[Problem]:
    """Problems of entries that have the same effect as an earlier one."""
    for i, value in enumerate(effective):
        if value in effective[:i]:
            yield Problem((name, i), f"repeats an earlier entry of the list{reason} (got {values[i]})")


class StructureModel(Model):
    """Model of the structure."""

    depth: Literal["graded", "layers"] = parameter(
        "graded",
        "graded: one Gaussian field whose width and porosity vary with depth; layers: a fine field that blends into a "
        "coarse one (Chamani)",
        unit="",
    )
    knots: Literal["auto"] | Numbers = parameter(
        "auto",
        "graded: depth fractions between which width and porosity are interpolated; auto: of 2, 3, 5 and 7 "
        "knots those with the smallest Bayesian information criterion; of several likely sets the one that matches "
        "best",
        unit="",
    )
    blend_power: Number = parameter(
        10.0, "layers: exponent of the weight (1 - z/H)^power of the fine field", source="Chamani", gt=0, le=100
    )
    skin: Number = parameter(
        0.2, "layers: depth fraction from the top that determines the fine width", source="Chamani", gt=0, lt=1
    )
    support: Number = parameter(
        0.5, "layers: depth fraction from the bottom that determines the coarse width", source="Chamani", gt=0, lt=1
    )
    closing_depth: Number | None = parameter(
        None, "depth fraction below which narrow pores are closed; default 0, for layers 0.25", ge=0, le=1
    )
    truncate: Number = parameter(4.0, "half-width of the Gaussian kernel, in standard deviations", ge=1, le=8)
    anisotropy: Literal["none", "auto", "by_depth"] = parameter(
        "none",
        "graded, direct: width of the pores along the depth over that across. auto: fitted if the micrograph differs "
        "from sections of the isotropic model, one for all depths or one at each knot; by_depth: fitted at each knot",
        unit="",
    )
    macrovoids: Literal["none", "auto"] = parameter(
        "none",
        "direct, bayesian: layer of finger-like pores, ellipsoids. auto: those of the micrograph that are larger than "
        "any pore of sections of the model; the other pores are fitted without them",
        unit="",
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.depth == "layers" and self.anisotropy != "none":
            yield Problem(("anisotropy",), f"needs depth: graded; use none (got {self.anisotropy})")
        if self.knots != "auto":
            rising = all(a < b for a, b in itertools.pairwise(self.knots))
            if not rising or self.knots[0] < 0 or self.knots[-1] > 1:
                yield Problem(("knots",), f"must rise within [0, 1] (got {list(self.knots)})")


class GoodnessOfFit(Model):
    """Test whether sections of the matched structures, imaged like the micrograph, look like it."""

    enabled: bool = parameter(True, "whether it is done", unit="")
    sections: Whole = parameter(
        60,
        "sections of the model, in equal numbers from up to 8 replicates; with fewer than 3 replicates all from the "
        "best match",
        ge=10,
        le=1000,
    )
    refits: Whole = parameter(
        10,
        "matches to sections of the best match, whose objectives are compared with its own (direct); 0 for none",
        ge=0,
        le=100,
    )
    significance: Number = parameter(
        0.05,
        "probability that a micrograph of the model is flagged; a fifth of it with fewer than 3 replicates",
        gt=0,
        lt=1,
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if 0 < self.refits < 3:
            yield Problem(("refits",), f"must be 0 or at least 3 (got {self.refits})")


class VolumeSettings(Model):
    """Size of the generated volume; its depth is that of the micrograph."""

    slices: Whole = parameter(256, "planes normal to the sections (y)", unit="voxel", ge=8, le=100_000)
    width: Whole | None = parameter(
        None, "voxels along the section (x); default the width of the micrograph", unit="voxel", ge=8, le=100_000
    )
    block_size: Whole = parameter(
        64, "planes of one unit of work and of one row of chunks", unit="voxel", ge=1, le=4096, formerly="block"
    )


class ReconstructStudy(BaseStudy):
    """Three-dimensional structures that match one cross-section micrograph (Chamani)."""

    results_version: ClassVar[int] = 3

    kind: Literal["reconstruct"] = "reconstruct"
    input: InputFile = Field(
        description="micrograph, TIFF, PNG, JPEG, BMP or .npy, grey; rows run along the depth, from the feed side down",
        json_schema_extra={"unit": "", "example": "micrograph.tif"},
    )
    page: Whole | None = parameter(None, "number of the image in a stack, from 0", unit="", ge=0)
    pixel_size: LengthNm | None = parameter(
        None,
        "edge of a pixel, with its unit, for example 3 nm; becomes the edge of a voxel. Default: that in the metadata "
        "of the file (FEI, Zeiss, TESCAN, OME, ImageJ) or in metadata_file; required where there is none, and refused "
        "where it differs by more than 2 %",
        unit="nm, um, ...",
    )
    metadata_file: InputFile | None = parameter(
        None,
        "text file that the microscope has written with the image (JEOL, Hitachi .txt; TESCAN .hdr); default one of "
        "the same name",
        unit="",
    )
    databar: Literal["auto", "none"] = parameter(
        "auto",
        "auto: a databar below the image is cut, by its metadata or by its flat rows; none: nothing is cut but crop",
        unit="",
    )
    rotate: Literal[0, 90, 180, 270] = parameter(
        0, "clockwise rotation that brings the feed side to the top", unit="degree"
    )
    flip: Literal["none", "depth", "width"] = parameter(
        "none", "mirror the rotated image along its depth (the feed side is below) or its width", unit=""
    )
    resample: Literal["none", "x", "z"] = parameter(
        "none",
        "pixels that are not square: x or z averages the finer pixels along the width or the depth to the size of the "
        "coarser ones; none refuses them",
        unit="",
    )
    mask: InputFile | None = parameter(
        None,
        "image of the same size; pixels where it is zero are left out of the descriptors, of the choice of knots, and "
        "of the check for charged rows",
        unit="",
    )
    pores: Literal["dark", "bright"] | Whole | Annotated[tuple[Whole, ...], BeforeValidator(as_tuple)] = parameter(
        "dark",
        "dark or bright: the darker or the brighter phase; or the label of the pores in an image of labels, such as 0, "
        "or a list of labels",
        unit="",
    )
    charging: Literal["stop", "ignore"] = parameter(
        "stop", "stop: refuse an image of which more than 2 % of the rows are charged; ignore: report them", unit=""
    )
    crop: Crop = parameter(Crop(), "margins that are cropped", unit="")
    replicates: Whole = parameter(
        1,
        "structures, each from its own random field; the first is the best match, the others are matched to the "
        "micrograph as perturbed by the variance between sections, so that they sample the uncertainty",
        ge=1,
        le=10_000,
    )
    segmentation: Segmentation = parameter(Segmentation(), "segmentation into pores and solid", unit="")
    imaging: Imaging = parameter(Imaging(), "blur, noise and grey levels of the image", unit="")
    model: StructureModel = parameter(StructureModel(), "model of the structure", unit="")
    search: Search = parameter(Search(), "search for the matching structure", unit="")
    goodness_of_fit: GoodnessOfFit = parameter(
        GoodnessOfFit(), "test whether the model describes the micrograph", unit=""
    )
    volume: VolumeSettings = parameter(VolumeSettings(), "generated volume", unit="")

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        if self.model.anisotropy != "none" and self.search.method != "direct":
            yield Problem(("model", "anisotropy"), f"needs search.method: direct (got {self.search.method})")
        if self.model.macrovoids != "none" and self.search.method == "published":
            yield Problem(("model", "macrovoids"), "needs search.method: direct or bayesian (got published)")
        if self.mask and self.mask.name == self.input.name:
            yield Problem(
                ("mask",), f"must have another name than input, as a run keeps copies of both (got {self.mask.name!r})"
            )

    @classmethod
    def _present_layout(cls, settings: Mapping[str, Any], source: Source) -> Mapping[str, Any]:
        """Settings with ``pores`` in place of ``segmentation.pores``, its former name."""
        segmentation = settings.get("segmentation")
        if not isinstance(segmentation, Mapping) or "pores" not in segmentation:
            return settings
        former = ("segmentation", "pores")
        if "pores" in settings:
            message = "is the former name of 'pores', which is given as well; keep 'pores'"
            raise StudyError([Problem(former, message)], source)
        warn(f"{source.locate(former)}: segmentation.pores is now pores")
        source.rename(former, ("pores",))
        remaining = {name: value for name, value in segmentation.items() if name != "pores"}
        return {**settings, "segmentation": remaining, "pores": segmentation["pores"]}

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field: the micrograph, its mask, and the text file of the microscope."""
        files = {"input": self.input, "mask": self.mask, "metadata_file": self.metadata_file or self._text_file()}
        return {name: path for name, path in files.items() if path}

    def _text_file(self) -> Path | None:
        return find_text_file(self.input) if isinstance(self.input, Path) else None
