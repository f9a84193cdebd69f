"""Input of a reconstruction: cropped and segmented micrographs, checked for what a reconstruction needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.errors import Problem, ProblemList, Source, StudyError
from membrane_dask.physics.imaging.image_model import ImagePriors
from membrane_dask.physics.imaging.segmentation import Segmentation, segment
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales
from membrane_dask.physics.reconstruction.distance_objective import DISTANCE_EDGES
from membrane_dask.program import Dataset
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.image_settings import MicrographSettings, blur_in_pixels
from membrane_dask.studies.reconstruct.intake import Section, take_in
from membrane_dask.studies.reconstruct.section_checks import section_remarks
from membrane_dask.studies.reconstruct.variables import MICROGRAPH

#: Smallest fraction of each phase in a range of depth for which descriptors are meaningful.
_MIN_FRACTION = 0.005


@dataclass(frozen=True)
class SegmentedMicrograph:
    """A segmented micrograph.

    Parameters
    ----------
    settings : MicrographSettings
        What the study says of it.
    section : Section
        The image as it was segmented, and what was decided about it.
    segmentation : Segmentation
        Its segmentation.
    scales : DescriptorScales
        Lags and radii that suit it.
    """

    settings: MicrographSettings
    section: Section
    segmentation: Segmentation
    scales: DescriptorScales

    @property
    def image(self) -> np.ndarray:
        """Grey values, ``(depth, width)``, cropped."""
        return self.section.image

    @property
    def pixel_nm(self) -> float:
        """Edge of a pixel, nm."""
        return self.section.pixel_nm

    @property
    def mask(self) -> np.ndarray | None:
        """Pixels that are used, ``(depth, width)`` bool; None for all."""
        return self.section.mask

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """What was decided about the image, and what it shows that is not corrected: subject and text."""
        return [
            *self.section.remarks,
            *section_remarks(self.section, self.segmentation),
            ("phases", str(self.segmentation)),
        ]

    @property
    def solid(self) -> np.ndarray:
        """Segmented image, ``(depth, width)`` bool, True in the solid."""
        return self.segmentation.solid

    def dataset(self, features: np.ndarray, name: str = "micrograph", depth_nm: float = 0.0) -> Dataset:
        """Table of the result, with the distance distributions ``features``; its first row is at ``depth_nm``."""
        values = {
            "image": self.image,
            "solid": np.where(self.solid, 255, 0).astype("u1"),
            "distance_features": features,
        }
        labels = {
            "z": depth_nm + np.arange(self.image.shape[0]) * self.pixel_nm,
            "x": np.arange(self.image.shape[1]) * self.pixel_nm,
            "section": np.arange(features.shape[0]),
            "phase": np.arange(features.shape[1]),
            "distance": DISTANCE_EDGES * self.pixel_nm,
        }
        attrs = {
            f"segmentation_{name}": getattr(self.segmentation, name)
            for name in ("method", "shading", "curtaining", "separation", "bias")
        }
        attrs["remarks"] = [f"{subject}: {text}" for subject, text in self.remarks]
        return Dataset(MICROGRAPH, values, (), labels, attrs, name)


def load_micrographs(study: ReconstructStudy, source: Source | None) -> list[SegmentedMicrograph]:
    """Read, cut and segment the micrographs of a study.

    Raises
    ------
    StudyError
        If one cannot be read or segmented, has no pixel size, nothing remains after cropping, or it is too small for
        its correlation length: all problems of all micrographs.
    """
    micrographs, problems = [], ProblemList()
    for number, settings in enumerate(study.micrographs):
        where = ("images", number) if study.images else ()
        with problems.collect():
            section = take_in(settings, source, where)
            problems += section.problems
            try:
                segmentation = segment(
                    section.image,
                    pores=section.pores,
                    priors=_image_priors(study, settings, section.pixel_nm),
                    **study.segmentation.model_dump(),
                )
                check_phases(segmentation.solid, ((0.0, 1.0),), source, section.mask, where)
                scales = DescriptorScales.suited_to(segmentation.solid, section.mask)
            except StudyError:
                raise
            except ValueError as error:
                raise _error(f"{error} (got {str(settings.input)!r})", source, where) from error
            micrographs.append(SegmentedMicrograph(settings, section, segmentation, scales))
    problems.raise_any(source)
    return micrographs


def _image_priors(study: ReconstructStudy, settings: MicrographSettings, pixel_nm: float) -> ImagePriors:
    """What the user knows of the image; an image that trials are not compared through needs no estimate of the blur."""
    imaging = settings.imaging
    if imaging.method == "none" or study.search.method == "published":
        return ImagePriors(blur=0.0)
    blur, error = blur_in_pixels(imaging.blur, pixel_nm) if imaging.blur else (None, None)
    return ImagePriors(blur=blur, blur_error=error, noise=imaging.noise, levels=imaging.levels)


def check_phases(
    solid: np.ndarray,
    ranges: Sequence[tuple[float, float]],
    source: Source | None,
    inside: np.ndarray | None = None,
    where: tuple[str | int, ...] = (),
) -> None:
    """Check that each range of depth holds both phases; ``inside`` are the pixels that are used.

    Raises
    ------
    StudyError
        If one does not.
    """
    for top, bottom in ranges:
        window = slice(round(top * len(solid)), round(bottom * len(solid)))
        rows = solid[window] if inside is None else solid[window][inside[window]]
        fraction = float(rows.mean()) if rows.size else 0.0
        if not _MIN_FRACTION <= fraction <= 1 - _MIN_FRACTION:
            content = "almost all solid" if fraction > 0.5 else "almost all pore" if rows.size else "empty"
            raise _error(
                f"after segmentation the micrograph is {content} from {top:.0%} to {bottom:.0%} of its depth "
                f"({fraction:.1%} solid); try another segmentation.method or .sensitivity, or pores",
                source,
                where,
            )


def check_knots(knots: Sequence[float], porosity: np.ndarray, source: Source | None) -> None:
    """Check that the micrograph shows both phases at each knot.

    Raises
    ------
    StudyError
        If it does not.
    """
    for knot, fraction in zip(knots, porosity, strict=True):
        if not _MIN_FRACTION <= fraction <= 1 - _MIN_FRACTION:
            content = "hardly any pores" if fraction < 0.5 else "hardly any solid"
            raise _error(
                f"the micrograph shows {content} around {knot:.0%} of its depth ({fraction:.1%} pores); crop what is "
                "not membrane, or set model.knots to depths that show both phases",
                source,
            )


def _error(message: str, source: Source | None, where: tuple[str | int, ...] = ()) -> StudyError:
    return StudyError([Problem((*where, "input"), message)], source)
