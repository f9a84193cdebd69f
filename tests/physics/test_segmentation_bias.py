"""What blur, noise and segmentation change in sections of a structure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from membrane_dask.physics.imaging.image_model import ImageModel
from membrane_dask.physics.imaging.segmentation import Segmenter
from membrane_dask.physics.reconstruction.sections import Imaging, Sections
from membrane_dask.physics.reconstruction.segmentation_bias import segmentation_bias
from membrane_dask.physics.reconstruction.structures import Graded

STRUCTURE = Graded(knots=(0.0, 1.0), sigma=(1.6, 4.0), porosity=(0.35, 0.35), roughness=0.0)
SEGMENTER = Segmenter(method="otsu", presmooth=0.0, median=1)


def bias(blur: float, noise: float = 0.0, supersampling: int = 1, segmenter: Segmenter = SEGMENTER):
    model = ImageModel(blur=blur, noise=noise, pore_level=0.2, solid_level=0.6)
    sections = Sections(160, 256, (0,), 3, imaging=Imaging(model, segmenter, supersampling))
    return segmentation_bias(STRUCTURE, sections)


def test_an_ideal_image_has_no_bias():
    result = bias(0.0)
    np.testing.assert_array_equal(result.porosity, 0)
    np.testing.assert_array_equal(result.correlation_length, 0)


def test_blur_coarsens_the_fine_quarter():
    change = bias(1.5).correlation_length
    assert change[0] > 2 * change[3] > 0
    assert np.abs(bias(1.5).porosity).max() < 0.02


def half_length(rows: list[np.ndarray]) -> float:
    """Half-correlation length of the pores of several sections."""
    pores = 1 - np.stack(rows).astype(float)
    covariance = [(pores[..., : 256 - k] * pores[..., k:]).mean() - np.square(pores.mean()) for k in range(24)]
    return float(np.interp(-0.5, -np.array(covariance) / covariance[0], np.arange(24)))


def test_the_local_mean_adds_pores():
    """By another computation: sections, blurred with SciPy, and thresholded by 0.95 times their local mean."""
    segmenter = Segmenter(method="adaptive", presmooth=0.0, median=1, sensitivity=0.65)
    result = bias(1.0, segmenter=segmenter)
    sections = Sections(160, 256, (0,), 3).independent(4)
    ideal, observed = [], []
    for solid in sections.cut(STRUCTURE, sections.fields(STRUCTURE)):
        grey = ndimage.gaussian_filter(np.where(solid, 0.6, 0.2), 1.0, mode="nearest", truncate=4)
        local = ndimage.uniform_filter(grey, (21, 33), mode="nearest")
        ideal.append(np.split(solid, 4))
        observed.append(np.split(grey > 0.95 * local, 4))
    for quarter, before, after in zip(range(4), zip(*ideal, strict=True), zip(*observed, strict=True), strict=True):
        # A few grey values at the threshold differ in their last digit.
        assert result.porosity[quarter] == pytest.approx(np.mean(before) - np.mean(after), abs=2e-4)
        expected = half_length(after) / half_length(before) - 1
        assert result.correlation_length[quarter] == pytest.approx(expected, abs=0.005)  # means over the rows
    assert result.porosity[0] > 0.02


def test_sections_at_half_the_pixel():
    """Lengths are those in pixels: a mean over pixels of 2 x 2 voxels changes them by less than a blur of 1.5."""
    fine, blurred = bias(0.3, supersampling=2), bias(1.5, supersampling=2)
    assert np.abs(fine.correlation_length).max() < 0.06
    np.testing.assert_allclose(blurred.correlation_length, bias(1.5).correlation_length, atol=0.05)
