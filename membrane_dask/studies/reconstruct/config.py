"""Settings of a reconstruct study."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from membrane_dask.config import BaseStudy, Model, _ordered, parameter
from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.former_names import warn
from membrane_dask.physics.imaging.digital_spheres import squared_radius
from membrane_dask.quantities import LengthNm, Number, Numbers, Range, Whole
from membrane_dask.studies.reconstruct.image_settings import ImageSettings, MicrographSettings


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
        "closing, roughness and knots of the replicates (direct, bayesian). sample: drawn, those of each trial as "
        "often as images of the best match select it; best: those that match best in a search of their own",
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


class ReconstructStudy(BaseStudy, MicrographSettings):
    """Three-dimensional structures that match cross-section micrographs (Chamani)."""

    results_version: ClassVar[int] = 3
    essential: ClassVar[tuple[str, ...]] = (
        "input", "pixel_size", "pores", "crop", "replicates",
        "volume.slices", "volume.width", "seed",
    )  # fmt: skip

    kind: Literal["reconstruct"] = "reconstruct"
    images: tuple[ImageSettings, ...] = parameter(
        (),
        "several micrographs in place of input: [{input: a.tif}, {input: b.tif}], of one or of several magnifications; "
        "page, pixel_size, databar, rotate, flip, resample, pores, charging, crop and imaging of the study hold for "
        "all that do not give their own",
        unit="",
    )
    thickness: LengthNm | None = parameter(
        None,
        "thickness of the membrane, of which images with a depth show a part; required where no image shows the whole",
        unit="nm, um, ...",
    )
    contradictions: Literal["stop", "ignore"] = parameter(
        "stop",
        "stop: refuse images whose porosities differ by more than 3 standard deviations at the same depth (more, if "
        "there are more than two images); ignore: "
        "report them",
        unit="",
    )
    replicates: Whole = parameter(
        1,
        "structures, each from its own random field; the first is the best match, the others are matched to the "
        "micrograph as perturbed by the variance between sections, so that they sample the uncertainty",
        ge=1,
        le=10_000,
    )
    segmentation: Segmentation = parameter(Segmentation(), "segmentation into pores and solid", unit="")
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
        if not self.input and not self.images:
            description = type(self).model_fields["input"].description
            yield Problem(("input",), f"required: {description}; for example 'micrograph.tif'")
        if self.images:
            yield from self._inconsistencies_of_images()
        yield from self._repeated_names()

    def _unused(self) -> Iterator[Problem]:
        """Settings of another search or model, and of a test that is not done."""
        search, model, fit = self.search, self.model, self.goodness_of_fit
        is_layered = model.depth == "layers" or search.method == "published"
        unused = {
            "direct": ("trials", "initial", "in_flight", "sigma"),
            "bayesian": (),
            "published": ("slices", "closing_radius", "model_choice", "sigma"),
        }[search.method]
        other = "direct or bayesian" if search.method == "published" else "bayesian"
        yield from search._changed(unused, f"has no effect with method: {search.method}; set method: {other}", "search")
        if is_layered:
            reason = "needs the graded model: set model.depth: graded, and no published search"
            yield from search._changed(["roughness"], reason, "search")
            yield from model._changed(["knots"], reason, "model")
        else:
            yield from model._changed(["blend_power"], "needs the layered model: set depth: layers", "model")
        if fit.enabled and search.method != "direct":
            yield from fit._changed(["refits"], "needs search.method: direct: set it", "goodness_of_fit")

    def _inconsistencies_of_images(self) -> Iterator[Problem]:
        for name in ("input", "mask", "metadata_file"):
            if getattr(self, name):
                yield Problem((name,), "is given as well as images; give it with the image that it belongs to")
        if self.search.method == "published":
            yield Problem(("images",), "needs search.method: direct or bayesian; the published search takes one image")
        for name in ("anisotropy", "macrovoids"):
            if len(self.images) > 1 and (value := getattr(self.model, name)) != "none":
                yield Problem(("model", name), f"is fitted to a single micrograph only; use none (got {value})")

    def _repeated_names(self) -> Iterator[Problem]:
        """Problems of different files of one name."""
        paths: dict[str, Path] = {}
        for field, path in self.inputs().items():
            if paths.setdefault(path.name, path).resolve() != path.resolve():
                where = tuple(int(name) if name.isdigit() else name for name in field.split("."))
                yield Problem(
                    where,
                    f"must have another name than {str(paths[path.name])!r}, as a run keeps copies of both (got "
                    f"{str(path)!r})",
                )

    @classmethod
    def _present_layout(cls, settings: Mapping[str, Any], source: Source) -> Mapping[str, Any]:
        """Settings with ``pores`` in place of ``segmentation.pores``, and with those of each image written out."""
        settings = cls._with_present_pores(settings, source)
        images = settings.get("images")
        if not isinstance(images, Sequence) or isinstance(images, str):
            return settings
        shared = set(MicrographSettings.model_fields) - {"input", "mask", "metadata_file"}
        common = {name: value for name, value in settings.items() if name in shared}
        entries = [{"input": entry} if isinstance(entry, (str, Path)) else entry for entry in images]
        entries = [{**common, **entry} if isinstance(entry, Mapping) else entry for entry in entries]
        return {**settings, "images": entries}

    @staticmethod
    def _with_present_pores(settings: Mapping[str, Any], source: Source) -> Mapping[str, Any]:
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

    @property
    def micrographs(self) -> tuple[MicrographSettings, ...]:
        """Settings of each micrograph."""
        return self.images or (self,)

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field: micrographs, their masks, and the text files of the microscope."""
        if not self.images:
            return self.files
        return {f"images.{i}.{name}": path for i, one in enumerate(self.images) for name, path in one.files.items()}

    def with_inputs(self, paths: Mapping[str, Path]) -> ReconstructStudy:
        """The study with other paths of its files, by field as in :meth:`inputs`."""
        if not self.images:
            return self.model_copy(update=dict(paths))
        images = [
            image.model_copy(update={name: paths[f"images.{number}.{name}"] for name in image.files})
            for number, image in enumerate(self.images)
        ]
        return self.model_copy(update={"images": tuple(images)})
