"""Segmentation of volumes in windows, compared with SciPy on the whole array."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import windows

from membrane_dask.io.segmentation import segment_window

OPTIONS = {"threshold": 0.5, "sigma": 1.3, "closing_radius": 2.3}


@pytest.fixture(scope="module")
def tomogram() -> np.ndarray:
    return np.random.default_rng(3).random((21, 40, 33)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(tomogram) -> np.ndarray:
    """Computed on the whole array, with its edge values repeated."""
    smooth = ndimage.gaussian_filter(np.pad(tomogram.astype(float), 16, mode="edge"), OPTIONS["sigma"], truncate=4.0)
    sphere = (np.mgrid[-2:3, -2:3, -2:3] ** 2).sum(0) <= 5
    return ndimage.binary_closing(smooth > 0.5, sphere)[16:-16, 16:-16, 16:-16]


WHOLE = (slice(0, 21), slice(0, 40), slice(0, 33))


def test_the_whole_volume_equals_that_of_scipy(tomogram, expected):
    solid = ~segment_window(tomogram, WHOLE, **OPTIONS)
    assert (solid != expected).sum() <= 2  # single precision
    assert 0.2 < solid.mean() < 0.9


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_segmentation_is_independent_of_the_windows(tomogram, data):
    window = data.draw(windows(tomogram.shape))
    whole = segment_window(tomogram, WHOLE, **OPTIONS)
    np.testing.assert_array_equal(segment_window(tomogram, window, **OPTIONS), whole[window])


def test_a_zarr_array_and_bright_pores(tomogram, tmp_path):
    array = zarr.create_array(tmp_path / "grey.zarr", data=tomogram, chunks=(21, 8, 16))
    where = (slice(3, 21), slice(5, 12), slice(0, 33))
    dark = segment_window(array, where, threshold=0.5)
    bright = segment_window(1 - tomogram, where, threshold=0.5, pores="bright")
    np.testing.assert_array_equal(dark, tomogram[where] <= 0.5)
    np.testing.assert_array_equal(dark, bright)


def test_invalid_arguments_are_refused(tomogram):
    with pytest.raises(ValueError, match="must lie within"):
        segment_window(tomogram, (slice(0, 21), slice(30, 41), slice(0, 33)), threshold=0.5)
    with pytest.raises(ValueError, match="dark or bright"):
        segment_window(tomogram, WHOLE, threshold=0.5, pores="light")
    with pytest.raises(ValueError, match=r"at voxel \[\d+, \d+, \d+\] \(z, y, x\) is not finite"):
        segment_window(np.where(tomogram > 0.99, np.nan, tomogram), WHOLE, threshold=0.5)
