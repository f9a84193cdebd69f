"""Settings of a reconstruct study."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
)

from membrane_dask.config import (
    BaseStudy,
    InputFile,
    Model,
    _ordered,
    parameter,
)
from membrane_dask.errors import Problem
from membrane_dask.quantities import (
    LengthNm,
    Number,
    Numbers,
    Range,
    Whole,
)


class Crop(Model):
    """Pixels that are cut off each side of the micrograph: a banner, what lies above the skin."""

    top: Whole = parameter(0, "rows above the feed side", unit="pixel", ge=0)
    bottom: Whole = parameter(0, "rows below; a banner that the file tells of is cut off anyway", unit="pixel", ge=0)
    left: Whole = parameter(0, "columns", unit="pixel", ge=0)
    right: Whole = parameter(0, "columns", unit="pixel", ge=0)


class Segmentation(Model):
    """How pores and solid are told apart in the micrograph."""

    method: Literal["auto", "otsu", "hysteresis", "adaptive"] = parameter(
        "auto",
        "auto: one threshold, after uneven brightness has been made even; otsu: one threshold; hysteresis: the same, "
        "for pores with a dark core only; adaptive: threshold by the local mean, as the paper (adds pores)",
        unit="",
    )
    sensitivity: Number = parameter(
        0.65, "adaptive: share of the local mean that counts as solid; larger gives more solid", ge=0, le=1
    )
    presmooth: Number = parameter(1.0, "Gaussian smoothing before the threshold, 0 for none", unit="pixel", ge=0, le=20)
    median: Whole = parameter(3, "median filter after the threshold, odd; 1 for none", unit="pixel", ge=1, le=21)
    pores: Literal["dark", "bright"] = parameter("dark", "which phase the pores are", unit="")

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.median % 2 == 0:
            yield Problem(("median",), f"must be odd (got {self.median})")


class Search(Model):
    """How the structure is found that belongs to the micrograph."""

    method: Literal["direct", "bayesian", "published"] = parameter(
        "direct",
        "direct: widths and porosity corrected by what is seen, for each candidate of closing and roughness; "
        "bayesian: widths, closing and roughness by Bayesian optimisation, porosity matched; "
        "published: the paper's search as its program did it, with its two layers",
        unit="",
    )
    slices: Whole = parameter(4, "sections of a trial that are compared (direct, bayesian)", ge=1, le=64)
    closing_radius: Numbers = parameter(
        (0.0, 1.0, 1.4143, 2.0, 2.4495, 3.0, 3.4642, 4.0),
        "candidates (direct) or the range (bayesian) of the radius of the ball that closes narrow pores; only its "
        "square's whole part counts",
        unit="voxel",
    )
    roughness: Numbers = parameter(
        (0.0, 0.1, 0.2, 0.35), "candidates or the range of the finer field's share of the variance (graded model)"
    )
    trials: Whole = parameter(60, "trial structures for each replicate (bayesian, published)", ge=2, le=2000)
    initial: Whole = parameter(16, "trials placed by a quasi-random design before the model takes over", ge=2, le=1000)
    in_flight: Whole = parameter(
        4, "trials proposed before the first of them is known; no more than so many run side by side", ge=1, le=100
    )
    sigma: Range | None = parameter(
        None,
        "range of the fields' widths (bayesian); default from 0.3 to 1.3 times what theory says of a field of the "
        "micrograph's correlation length, each at its depth",
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
        for name in ("closing_radius", "roughness"):
            values = getattr(self, name)
            seen = [math.floor(v**2 + 1e-9) for v in values] if name == "closing_radius" else list(values)
            for i, value in enumerate(seen):
                if value in seen[:i]:
                    more = "; only the whole part of its square counts" if name == "closing_radius" else ""
                    yield Problem((name, i), f"stands in the list twice{more} (got {values[i]})")
        if self.initial > self.trials:
            yield Problem(("initial",), f"must be at most trials = {self.trials} (got {self.initial})")
        if self.in_flight > self.initial:
            yield Problem(("in_flight",), f"must be at most initial = {self.initial} (got {self.in_flight})")


class StructureModel(Model):
    """What kind of structure is looked for."""

    depth: Literal["graded", "layers"] = parameter(
        "graded",
        "graded: one Gaussian field whose width and porosity change steadily with depth; "
        "layers: a fine field that gives way to a coarse one (Chamani)",
        unit="",
    )
    knots: Literal["auto"] | Numbers = parameter(
        "auto",
        "graded: depths, as shares of the whole, between which width and porosity change evenly; auto: as few as the "
        "micrograph does not contradict",
        unit="",
    )
    blend_power: Number = parameter(
        10.0, "layers: exponent of the depth weight (1 - z/H)^power of the fine field", source="Chamani", gt=0, le=100
    )
    skin: Number = parameter(
        0.2, "layers: share of the depth that decides the fine field's width", source="Chamani", gt=0, lt=1
    )
    support: Number = parameter(
        0.5, "layers: share of the depth, from below, that decides the coarse one's", source="Chamani", gt=0, lt=1
    )
    closing_depth: Number | None = parameter(
        None, "depth fraction below which narrow pores are closed; default 0, with layers 0.25", ge=0, le=1
    )
    truncate: Number = parameter(4.0, "half-width of the Gaussian kernel, in standard deviations", ge=1, le=8)

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.knots != "auto":
            rising = all(a < b for a, b in itertools.pairwise(self.knots))
            if not rising or self.knots[0] < 0 or self.knots[-1] > 1:
                yield Problem(("knots",), f"must rise within [0, 1] (got {list(self.knots)})")


class VolumeSettings(Model):
    """The volume that is written; its depth is the micrograph's."""

    slices: Whole = parameter(256, "planes across the sections (y)", unit="voxel", ge=8, le=100_000)
    width: Whole | None = parameter(
        None, "voxels along the section (x); default the micrograph's width", unit="voxel", ge=8, le=100_000
    )
    block: Whole = parameter(64, "planes in one block of work and one row of chunks", unit="voxel", ge=1, le=4096)


class ReconstructStudy(BaseStudy):
    """A three-dimensional structure from one cross-section micrograph (Chamani)."""

    kind: Literal["reconstruct"] = "reconstruct"
    input: InputFile = Field(
        description="micrograph, TIFF, PNG or .npy, grey; rows run along the depth, the feed side on top",
        json_schema_extra={"unit": "", "example": "micrograph.tif"},
    )
    page: Whole | None = parameter(None, "which image of a stack, from 0", unit="", ge=0)
    pixel_size: LengthNm | None = parameter(
        None,
        "edge of a pixel, with its unit, for example 3 nm; becomes the edge of a voxel. Default: what the file says "
        "(FEI, Zeiss, OME, ImageJ); required where it says nothing",
        unit="nm, um, ...",
    )
    crop: Crop = parameter(Crop(), "what is cut off the image", unit="")
    replicates: Whole = parameter(
        1,
        "reconstructions, each with its own random field; the first is the best match, the others are matched to what "
        "other sections of it would have shown, so that all of them together tell how sure the answer is",
        ge=1,
        le=10_000,
    )
    segmentation: Segmentation = parameter(Segmentation(), "how pores and solid are told apart", unit="")
    model: StructureModel = parameter(StructureModel(), "what kind of structure is looked for", unit="")
    search: Search = parameter(Search(), "how it is found", unit="")
    volume: VolumeSettings = parameter(VolumeSettings(), "the volume that is written", unit="")

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field."""
        return {"input": self.input}
