"""What blur, noise and segmentation change in sections of a known structure, by quarter of the depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import geometric_sequence
from membrane_dask.physics.reconstruction.descriptors import average, describe, half_correlation_length
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.structures import Structure

#: Independent sections that are averaged: before and after imaging they are the same, so that a few suffice.
_SECTIONS = 4
#: Lags up to this one, pixels, are one pixel apart; further ones, as many as this, are spread over half the width.
_SHORT_LAGS, _LONG_LAGS = 24, 24


@dataclass(frozen=True)
class SegmentationBias:
    """Sections as a segmented image shows them, compared with the sections themselves.

    Parameters
    ----------
    porosity : (4,) ndarray
        Difference of the porosity in each quarter of the depth.
    correlation_length : (4,) ndarray
        Relative difference of the half-correlation length along the section; NaN where the correlation stays above
        one half.
    """

    porosity: np.ndarray
    correlation_length: np.ndarray


def segmentation_bias(structure: Structure, sections: Sections) -> SegmentationBias:
    """Compare sections of a structure with their segmented images.

    Parameters
    ----------
    structure : Structure
    sections : Sections
        Their size, and how they become images; its planes do not matter.

    Returns
    -------
    SegmentationBias
    """
    sections = sections.independent(_SECTIONS)
    fields = sections.fields(structure)
    voxels = _described(sections.cut(structure, fields), sections.supersampling)
    pixels = _described(sections.observe(structure, fields), 1)
    return SegmentationBias(pixels[0] - voxels[0], pixels[1] / voxels[1] - 1)


def _described(solids: list[np.ndarray], voxels: int) -> tuple[np.ndarray, np.ndarray]:
    """Porosity and half-correlation length, pixels, in each quarter of the depth, of sections with voxels a pixel."""
    depth, width = solids[0].shape
    short = min(_SHORT_LAGS * voxels, width // 2)
    spread = geometric_sequence(short, max(short + 1, width // 2), _LONG_LAGS).round().astype(int)
    lags = np.unique(np.concatenate([np.arange(short), spread]))
    quarters = np.zeros((4, depth))
    for quarter, rows in zip(quarters, np.array_split(np.arange(depth), 4), strict=True):
        quarter[rows] = 1 / len(rows)
    by_row = average([describe(solid, lags=lags, radii=np.ones(1)) for solid in solids])
    descriptors = by_row.mean(quarters)
    return descriptors.porosity, half_correlation_length(descriptors.correlation, lags) / voxels
