"""Given volumes in slabs: what SciPy makes of the whole array, whatever the slabs."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from membrane_dask.volume.blocks import segment_slab

HOW = {"threshold": 0.5, "sigma": 1.3, "closing_radius": 2.3}


@pytest.fixture(scope="module")
def tomogram() -> np.ndarray:
    return np.random.default_rng(3).random((21, 40, 33)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(tomogram) -> np.ndarray:
    """On whole arrays, with the edge repeated."""
    smooth = ndimage.gaussian_filter(np.pad(tomogram.astype(float), 16, mode="edge"), HOW["sigma"], truncate=4.0)
    ball = (np.mgrid[-2:3, -2:3, -2:3] ** 2).sum(0) <= 5
    return ndimage.binary_closing(smooth > 0.5, ball)[16:-16, 16:-16, 16:-16]


def test_the_whole_is_scipys(tomogram, expected):
    found = segment_slab(tomogram, 0, 40, **HOW) > 0
    assert (found != expected).sum() <= 2  # single precision
    assert 0.2 < found.mean() < 0.9


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_slabs_do_not_show(tomogram, data):
    start = data.draw(st.integers(0, 39))
    stop = data.draw(st.integers(start + 1, 40))
    whole = segment_slab(tomogram, 0, 40, **HOW)
    np.testing.assert_array_equal(segment_slab(tomogram, start, stop, **HOW), whole[:, start:stop])


def test_a_zarr_array_and_bright_pores(tomogram, tmp_path):
    array = zarr.create_array(tmp_path / "grey.zarr", data=tomogram, chunks=(21, 8, 16))
    dark = segment_slab(array, 5, 12, threshold=0.5)
    bright = segment_slab(1 - tomogram, 5, 12, threshold=0.5, pores="bright")
    np.testing.assert_array_equal(dark, np.where(tomogram[:, 5:12] > 0.5, 255, 0))
    np.testing.assert_array_equal(dark, bright)


def test_what_cannot_be_segmented(tomogram):
    with pytest.raises(ValueError, match="planes"):
        segment_slab(tomogram, 30, 41, threshold=0.5)
    with pytest.raises(ValueError, match="pores"):
        segment_slab(tomogram, 0, 4, threshold=0.5, pores="light")
    with pytest.raises(ValueError, match="not finite"):
        segment_slab(np.where(tomogram > 0.99, np.nan, tomogram), 0, 4, threshold=0.5)
