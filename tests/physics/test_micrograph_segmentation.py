"""Segmentation of micrographs."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_local, threshold_otsu

from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.imaging import segmentation
from membrane_dask.physics.imaging.image_model import ImagePriors


def segment(image: np.ndarray, method: str = "adaptive", **options) -> np.ndarray:
    """Only the solid; no blur is estimated, for which some of the images are too simple."""
    return segmentation.segment(image, method=method, priors=ImagePriors(blur=0.0), **options).solid


@pytest.fixture(scope="module")
def truth() -> GradedMembrane:
    return GradedMembrane(depth=160, slices=8, width=240)


def test_adaptive_threshold_is_the_local_mean_times_a_factor(truth):
    image = truth.micrograph()
    solid = segment(image, sensitivity=0.65, presmooth=0, median=1)
    window = tuple(2 * (n // 16) + 1 for n in image.shape)
    local = threshold_local(image / 255, window, method="mean", mode="nearest")
    np.testing.assert_array_equal(solid, image / 255 > 0.95 * local)


@pytest.mark.parametrize("method", ["auto", "adaptive", "otsu", "hysteresis"])
def test_error_of_the_segmentation_of_a_noisy_micrograph(truth, method):
    solid = segment(truth.micrograph(), method=method)
    wrong = (solid != (truth.section(truth.slices // 2) > 0)).mean()
    assert wrong < 0.06  # 4 %: blur removes the thinnest walls of the skin


def test_only_the_local_threshold_tolerates_shading(truth):
    image, correct = truth.micrograph(shading=0.5), truth.section(truth.slices // 2) > 0
    assert (segment(image, method="adaptive") != correct).mean() < 0.07
    assert (segment(image, method="otsu") != correct).mean() > 0.10


# On demand: bright pores in other light; they are dark ones of the negative.
@pytest.mark.parametrize(
    ("shading", "curtaining", "pores"),
    [
        (0.0, 0.0, "dark"), (0.3, 0.04, "dark"), (0.5, 0.1, "dark"), (0.5, 0.1, "bright"),
        pytest.param(0.0, 0.0, "bright", marks=pytest.mark.slow),
        pytest.param(0.3, 0.04, "bright", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_shading_correction(shading, curtaining, pores):
    """The error is that of an unshaded image with the same blur and noise, and the porosity is unbiased."""
    truth = GradedMembrane()
    correct = truth.section(truth.slices // 2) > 0
    image = truth.micrograph(shading=shading, curtaining=curtaining)
    result = segmentation.segment(image if pores == "dark" else 255 - image, pores=pores)
    assert (result.solid != correct).mean() < 0.045  # 2.9 % without shading
    assert result.solid.mean() == pytest.approx(correct.mean(), abs=0.005)
    assert abs(result.bias) < 0.005
    assert result.method == ("Otsu" if shading == 0 else "Otsu after shading correction")
    if pores == "dark":  # the shading of a negative has another value
        # From corner to corner the brightness changes by 2 * (0.7 + 0.3) of the shading, between tenths by less.
        assert 0.8 * shading < result.shading < 1.6 * shading + 0.05
        # Streaks are weaker at the top, and half as wide as the Gaussian filter.
        assert 0.4 * curtaining <= result.curtaining < curtaining + 0.02


def test_the_bias_of_the_adaptive_threshold_is_estimated(truth):
    """It adds pores, most of which a rendering of its result reveals."""
    truth = GradedMembrane()
    correct = truth.section(truth.slices // 2) > 0
    result = segmentation.segment(truth.micrograph(), method="adaptive")
    added = correct.mean() - result.solid.mean()
    assert added > 0.015
    assert 0.4 * added < result.bias < 1.2 * added


def test_hysteresis_needs_a_dark_core():
    """A faint hole is not a pore; the rim of a dark hole is included."""
    image = 195.0 + np.arange(4096).reshape(64, 64) % 11
    image[10:20, 10:20] = 40
    image[12:18, 20:24] = 90
    image[40:44, 40:44] = 95
    solid = segment(image.astype(np.uint8), method="hysteresis", presmooth=0, median=1)
    assert not solid[12:18, 10:24].any()
    assert solid[40:44, 40:44].all()


@pytest.mark.parametrize("method", ["adaptive", "otsu"])
def test_bright_pores(truth, method):
    image = truth.micrograph(shading=0, curtaining=0, noise=0)
    correct = truth.section(truth.slices // 2) > 0
    assert (segment(255 - image, method=method, pores="bright") != correct).mean() < 0.08


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_segmentation_is_independent_of_the_grey_scale(truth, dtype):
    image = truth.micrograph()
    scaled = (
        (image / 255).astype(dtype) if dtype == np.float32 else image.astype(dtype) * (257 if dtype == np.uint16 else 1)
    )
    differing = (segment(scaled) != segment(image)).mean()
    assert differing < 1e-3  # grey values at the threshold, to the last digit


def test_otsu_and_median():
    image = np.full((64, 64), 40, np.uint8)
    image[:, 32:] = 200
    image[10, 10] = 200
    image[0, 0] = 41  # an image of two values is taken as it is
    assert segment(image, method="otsu", presmooth=0, median=1)[10, 10]
    solid = segment(image, method="otsu", presmooth=0, median=3)
    np.testing.assert_array_equal(solid, np.arange(64)[None, :] >= 32 * np.ones((64, 1)))
    assert 40 <= threshold_otsu(image) < 200


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((64, 64, 3), np.uint8), "grey"),
        (np.zeros((64, 64), np.uint8), "constant"),
        (np.arange(100, dtype=np.uint8).reshape(10, 10), "10 x 10"),
        (np.full((64, 64), np.nan), "not finite"),
        (np.linspace(-1, 1, 4096).reshape(64, 64), "at least 0"),
        (np.random.default_rng(0).normal(120, 20, (128, 128)).astype(np.uint8), "do not separate"),
        (np.where(np.arange(4096) % 4 > 0, 255, np.arange(4096) % 97).reshape(64, 64).astype(np.uint8), "saturated"),
    ],
)
def test_images_that_cannot_be_segmented_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        segment(image)
