"""How the micrograph of a study shows its section: estimates with their errors, for its trials and its results."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics.imaging.image_model import MIN_BLUR_ERROR, ImageEstimate, ImageModelErrors
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, half_correlation_length
from membrane_dask.physics.reconstruction.matching import Imaging, Sections, Target
from membrane_dask.physics.reconstruction.structures import Structure
from membrane_dask.program import Dataset
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.micrograph import SegmentedMicrograph
from membrane_dask.studies.reconstruct.variables import IMAGING

#: Blur adds this many times its variance to the square of the half-correlation length of a segmented image.
_BROADENING = 0.7
#: Half-correlation length, pixels, below which sections are cut at half the pixel.
_COARSE = 1.7
#: Half-correlation length over blur below which an image does not determine it.
_RESOLVED = 1.4
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
    """

    imaging: Imaging
    estimate: ImageEstimate
    errors: ImageModelErrors
    length: np.ndarray

    @property
    def is_resolved(self) -> bool:
        """Whether the image determines the sizes at all depths."""
        return not (self.length < _RESOLVED * self.imaging.model.blur).any()

    @property
    def findings(self) -> list[str]:
        """What the results cannot claim, in sentences."""
        if self.is_resolved:
            return []
        return [
            f"Half-correlation lengths down to {np.nanmin(self.length):.1f} pixels are less than {_RESOLVED:g} times "
            "the blur: sizes there are upper bounds; use an image of higher magnification."
        ]

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
        return rows + [("resolution", sentence) for sentence in self.findings]

    def dataset(self, micrograph: SegmentedMicrograph) -> Dataset:
        """Table ``imaging`` of the result."""
        model, errors, segmentation = self.imaging.model, self.errors, micrograph.segmentation
        values = {
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
        attrs = {"summary": self.findings} if self.findings else {}
        return Dataset(IMAGING, {name: np.array([value]) for name, value in values.items()}, ("image",), attrs=attrs)


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
    if study.imaging.method == "none" or study.search.method == "published" or segmentation.estimate is None:
        return None
    estimate = segmentation.estimate
    segmented = half_correlation_length(target.descriptors.correlation, scales.lags)
    length = np.sqrt(np.maximum(np.square(segmented) - _BROADENING * np.square(estimate.model.blur), 0))
    supersampling = study.imaging.supersampling
    if supersampling == "auto":
        supersampling = 2 if np.nanmin(length, initial=np.inf) < _COARSE else 1
    width = max(1, min(sections.width, _IMAGE_PIXELS // sections.depth))
    samples = replace(sections, width=width).independent(_IMAGES)
    errors = estimate.errors(samples.cut(initial, samples.fields(initial)))
    return MicrographImaging(Imaging(estimate.model, segmentation.segmenter, supersampling), estimate, errors, length)
