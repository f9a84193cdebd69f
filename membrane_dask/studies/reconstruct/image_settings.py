"""Settings of one micrograph: its file, what of it is used, and how it shows the section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from membrane_dask.config import InputFile, Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.io.image_metadata import find_text_file
from membrane_dask.quantities import LengthNm, Number, Range, Whole, as_tuple, convert, quantity, split_quantity


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


def _checked_depth(value: object) -> str:
    text = str(value)
    depth_in_nm(text)
    return text


#: Depth that an image shows, as the user gave it.
Depth = Annotated[str, BeforeValidator(_checked_depth)]


def depth_in_nm(text: str) -> tuple[float, float | None]:
    """Depth of the first row of an image below the feed side and, of a range, that of its lower border, nm.

    Raises
    ------
    ValueError
        If the text is no such value.
    """
    try:
        numbers, unit = split_quantity(re.sub(r"(?<=[0-9.])\s*[-\u2013]\s*(?=[0-9.])", " to ", text))
        top, *bottom = (convert(number, unit, "nm") for number in numbers)
    except Exception as error:
        raise ValueError(f"a range or its upper end is needed, for example 0 to 3 um (got {text!r})") from error
    if top < 0 or "+" in text or (bottom and bottom[0] <= top):
        raise ValueError(f"must rise from at least 0, for example 0 to 3 um (got {text!r})")
    return top, bottom[0] if bottom else None


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


class MicrographSettings(Model):
    """What is known of a micrograph, and what of it is used."""

    input: InputFile | None = Field(
        None,
        description="micrograph, TIFF, PNG, JPEG, BMP or .npy, grey; rows run along the depth, from the feed side "
        "down. Required, unless images lists several",
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
    imaging: Imaging = parameter(Imaging(), "blur, noise and grey levels of the image", unit="")

    @property
    def text_file(self) -> Path | None:
        """Text file that the microscope has written with the image."""
        return self.metadata_file or (find_text_file(self.input) if self.input else None)

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read, by field."""
        files = {"input": self.input, "mask": self.mask, "metadata_file": self.text_file}
        return {name: path for name, path in files.items() if path}


class ImageSettings(MicrographSettings):
    """One of several micrographs; what is not given is as in the study."""

    input: InputFile = Field(
        description="micrograph, as for the key input of the study",
        json_schema_extra={"unit": "", "example": "micrograph.tif"},
    )
    depth: Depth | None = parameter(
        None,
        "depth below the feed side that the image shows, for example 0 to 3 um, or that of its first row, 12 um; "
        "default the whole thickness",
        unit="nm, um, ...",
    )
    position: Annotated[(float, *quantity("nm", "40 nm", -1e12, 1e12))] | None = parameter(
        None,
        "of an image of a series of parallel sections: its position along the direction in which they follow each "
        "other; images that are close show nearly the same. Default: images show places far from each other",
        unit="nm, um, ...",
    )
