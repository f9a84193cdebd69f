"""Methods of segmentation on the micrograph of a study, and the bias of the one that is used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.imaging.segmentation_methods import MethodResult, compare_methods
from membrane_dask.physics.reconstruction.descriptors import describe, half_correlation_length
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.segmentation_bias import segmentation_bias
from membrane_dask.physics.reconstruction.structures import Structure
from membrane_dask.program import Dataset
from membrane_dask.studies.reconstruct.config import Segmentation
from membrane_dask.studies.reconstruct.micrograph import SegmentedMicrograph
from membrane_dask.studies.reconstruct.variables import SEGMENTATION_BIAS, SEGMENTATIONS


def compared_segmentations(
    settings: Segmentation, micrograph: SegmentedMicrograph, lags: np.ndarray, name: str, depth_nm: float = 0.0
) -> list[Dataset]:
    """Table of the result; none of a binary image.

    Parameters
    ----------
    settings : Segmentation
        Of the study.
    micrograph : SegmentedMicrograph
        As segmented with these settings.
    lags : (n_lags,) ndarray of int
        Lags of the correlation, pixels.
    name : str
        Of the table.
    depth_nm : float
        Depth of the first row, nm.
    """
    if micrograph.segmentation.is_binary:
        return []
    results = list(compare_methods(micrograph.segmentation, settings.method, settings.sensitivity))
    used = np.ones_like(micrograph.solid) if micrograph.mask is None else micrograph.mask
    values = {
        "used": np.array([result.is_used for result in results], "u1"),
        "porosity": np.array([1 - result.solid[used].mean() for result in results]),
        "correlation_length": _quarter_lengths(results, used, lags) * micrograph.pixel_nm,
        "difference": np.array([(result.solid != micrograph.solid)[used].mean() for result in results]),
        "bias": np.array([result.bias for result in results]),
        "failure": np.array([result.failure for result in results], "T"),
        "solid": np.array([np.where(result.solid, 255, 0) for result in results], "u1"),
    }
    depth, width = micrograph.solid.shape
    labels = {
        "method": np.array([result.name for result in results], "T"),
        "z": depth_nm + np.arange(depth) * micrograph.pixel_nm,
        "x": np.arange(width) * micrograph.pixel_nm,
    }
    return [Dataset(SEGMENTATIONS, values, ("method",), labels, name=name)]


def segmentation_bias_table(structure: Structure, sections: Sequence[Sections]) -> list[Dataset]:
    """Table ``segmentation_bias`` of the result; none where sections are compared as they are.

    Parameters
    ----------
    structure : Structure
        The best match.
    sections : sequence of Sections
        Of each image.
    """
    biases = [segmentation_bias(structure, one) for one in sections if one.imaging]
    if not biases:
        return []
    values = {name: np.array([getattr(bias, name) for bias in biases]) for name in ("porosity", "correlation_length")}
    images = np.array([number for number, one in enumerate(sections) if one.imaging])
    return [Dataset(SEGMENTATION_BIAS, values, ("image",), {"image": images})]


def _quarter_lengths(results: Sequence[MethodResult], used: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Half-correlation length in each quarter of the depth, pixels, ``(n_methods, 4)``; NaN of one that failed."""
    quarters = np.zeros((4, len(used)))
    for quarter, rows in zip(quarters, np.array_split(np.arange(len(used)), 4), strict=True):
        quarter[rows] = 1 / len(rows)
    lengths = np.full((len(results), 4), np.nan)
    for k, result in enumerate(results):
        if not result.failure:
            descriptors = describe(result.solid, lags=lags, radii=np.ones(1), inside=used).mean(quarters)
            lengths[k] = half_correlation_length(descriptors.correlation, lags)
    return lengths
