"""How the micrograph of a study shows its section: estimates with their errors, for its trials and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics.imaging.image_model import MIN_BLUR_ERROR, ImageEstimate, ImageModelErrors
from membrane_dask.physics.reconstruction.depth_windows import Target
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, half_correlation_length
from membrane_dask.physics.reconstruction.matching import BROADENING, RESOLVED
from membrane_dask.physics.reconstruction.sections import Imaging, Sections
from membrane_dask.physics.reconstruction.structures import Structure
from membrane_dask.program import Dataset
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.micrograph import SegmentedMicrograph
from membrane_dask.studies.reconstruct.variables import IMAGING

#: Half-correlation length, pixels, below which sections are cut at half the pixel.
_COARSE = 1.7
#: Values of an image that trials are compared with as it is, of types that have no NaN.
_ABSENT = {"median": 1, "supersampling": 1, "resolved": True}
#: Standard errors by which a given blur differs from the estimated one when both are reported.
_CONTRADICTION = 3
#: Images from which the standard errors are estimated, and their pixels.
_IMAGES, _IMAGE_PIXELS = 8, 300_000


@dataclass(frozen=True)
class MicrographImaging:
    """How the micrograph shows its section.

    Parameters
    ----------
    imaging : Imaging
        For the sections of trials.
    estimate : ImageEstimate
    errors : ImageModelErrors
        Standard errors of its model.
    length : (n,) ndarray
        Half-correlation lengths of the structure, without the blur, in the windows of the knots, pixels.
    is_complemented : bool
        Whether other micrographs resolve what this one does not.
    """

    imaging: Imaging
    estimate: ImageEstimate
    errors: ImageModelErrors
    length: np.ndarray
    is_complemented: bool = False

    @property
    def resolved(self) -> np.ndarray:
        """In which windows the image determines the sizes, ``(n,)`` bool."""
        return np.asarray(~(self.length < RESOLVED * self.imaging.model.blur))

    @property
    def is_resolved(self) -> bool:
        """Whether the image determines the sizes at all depths that it shows."""
        return bool(self.resolved.all())

    @property
    def findings(self) -> list[str]:
        """What the results cannot claim, in sentences."""
        if self.is_resolved or self.is_complemented:
            return []
        return [f"{self._limit}: sizes there are upper bounds; use an image of higher magnification."]

    @property
    def _limit(self) -> str:
        shortest = np.nanmin(self.length)
        return f"Half-correlation lengths down to {shortest:.1f} pixels are less than {RESOLVED:g} times the blur"

    def summary(self) -> list[tuple[str, str]]:
        """Rows of the printed plan."""
        model, errors, estimated = self.imaging.model, self.errors, self.estimate.estimated
        smoothing = self.imaging.segmenter.presmooth
        rows = [
            (
                "imaging",
                f"blur {model.blur:.2f} +- {errors.blur:.2f} pixels, noise {model.noise:.3f} +- {errors.noise:.3f}, "
                f"levels {model.pore_level:.3f} and {model.solid_level:.3f} +- {errors.level:.3f} (black 0, white 1); "
                + (f"smoothed by {smoothing:g} pixels before the threshold" if smoothing else "not smoothed")
                + (f"; sections cut at 1/{self.imaging.supersampling} pixel" * (self.imaging.supersampling > 1)),
            )
        ]
        error = max(errors.blur, MIN_BLUR_ERROR)
        if self.estimate.edge_fraction and abs(model.blur - estimated.blur) > _CONTRADICTION * error:
            rows.append(
                (
                    "imaging",
                    f"imaging.blur: {model.blur:.2f} pixels are used; the image shows {estimated.blur:.2f}",
                )
            )
        if self.is_complemented:
            rows.append(("resolution", f"{self._limit}: other images determine the sizes there"))
        return rows + [("resolution", sentence) for sentence in self.findings]

    def values(self, micrograph: SegmentedMicrograph) -> dict[str, float]:
        """Values of the table ``imaging`` of the result."""
        model, errors, segmentation = self.imaging.model, self.errors, micrograph.segmentation
        return {
            "blur": model.blur,
            "blur_standard_error": errors.blur,
            "blur_nm": model.blur * micrograph.pixel_nm,
            "noise": model.noise,
            "noise_standard_error": errors.noise,
            "pore_level": model.pore_level,
            "solid_level": model.solid_level,
            "level_standard_error": errors.level,
            "shading": segmentation.shading,
            "curtaining": segmentation.curtaining,
            "presmooth": segmentation.segmenter.presmooth,
            "median": segmentation.segmenter.median,
            "supersampling": self.imaging.supersampling,
            "edge_fraction": self.estimate.edge_fraction,
            "resolved": self.is_resolved,
        }


def imaging_table(
    imaging: Sequence[MicrographImaging | None], micrographs: Sequence[SegmentedMicrograph]
) -> list[Dataset]:
    """Table ``imaging`` of the result, a row for each micrograph; none if all are compared as they are."""
    rows = [one.values(micrograph) if one else {} for one, micrograph in zip(imaging, micrographs, strict=True)]
    if not any(rows):
        return []
    names = next(filter(None, rows))
    findings = [
        f"Image {number}: {sentence}" if len(rows) > 1 else sentence
        for number, one in enumerate(imaging)
        if one
        for sentence in one.findings
    ]
    values = {name: np.array([row.get(name, _ABSENT.get(name, np.nan)) for row in rows]) for name in names}
    return [Dataset(IMAGING, values, ("image",), attrs={"summary": findings} if findings else {})]


def imaging_of(
    study: ReconstructStudy,
    micrograph: SegmentedMicrograph,
    target: Target,
    scales: DescriptorScales,
    initial: Structure,
    sections: Sections,
) -> MicrographImaging | None:
    """How the micrograph shows its section; None where trials are compared as they are.

    Parameters
    ----------
    target : Target
        What the segmented micrograph shows.
    scales : DescriptorScales
        Lags of its correlation.
    initial : Structure
        Initial structure of the search, whose images give the standard errors.
    sections : Sections
        Of the trials.
    """
    segmentation = micrograph.segmentation
    settings = micrograph.settings.imaging
    if settings.method == "none" or study.search.method == "published" or segmentation.estimate is None:
        return None
    estimate = segmentation.estimate
    segmented = half_correlation_length(target.descriptors.correlation, scales.lags)
    length = np.sqrt(np.maximum(np.square(segmented) - BROADENING * np.square(estimate.model.blur), 0))
    if settings.supersampling != "auto":
        supersampling = settings.supersampling
    else:
        # Of a lower magnification, too: closings of the structure may be smaller than its pixels.
        supersampling = 2 if sections.pixel > 1 or np.nanmin(length, initial=np.inf) < _COARSE else 1
    width = max(1, min(sections.width, _IMAGE_PIXELS // sections.depth))
    samples = replace(sections, width=width).independent(_IMAGES)
    errors = estimate.errors(samples.cut(initial, samples.fields(initial)))
    imaging = Imaging(estimate.model, segmentation.segmenter, supersampling, errors)
    return MicrographImaging(imaging, estimate, errors, length)
