"""Filters of grey images compared with those of SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu

from membrane_dask.physics.imaging.grey_filters import otsu_threshold, smooth


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    """Two phases, the solid noisier, of a size that no kernel divides."""
    rng = np.random.default_rng(4)
    solid = gaussian_filter(rng.standard_normal((61, 83)), 2) > 0
    return np.where(solid, 0.7, 0.2) + 0.08 * rng.standard_normal(solid.shape)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.7])
def test_the_gaussian_filter_equals_that_of_scipy(grey, sigma):
    np.testing.assert_allclose(smooth(grey, sigma), gaussian_filter(grey, sigma, mode="nearest"), rtol=1e-13)


def test_no_filter(grey):
    np.testing.assert_array_equal(smooth(grey, 0), grey)


def test_the_threshold_is_that_of_scikit_image(grey):
    """Also of smoothed and skewed images; the middle of a bin, but for rounding."""
    for image in (grey, smooth(grey, 1.0), np.square(grey)):
        assert otsu_threshold(image) == pytest.approx(threshold_otsu(image), rel=1e-12)
