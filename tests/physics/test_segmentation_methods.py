"""Methods of segmentation compared on one micrograph."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import apply_hysteresis_threshold, threshold_local, threshold_otsu

from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.imaging.image_model import ImagePriors
from membrane_dask.physics.imaging.segmentation import segment
from membrane_dask.physics.imaging.segmentation_methods import METHODS, compare_methods

NO_BLUR = ImagePriors(blur=0.0)


@pytest.fixture(scope="module")
def truth() -> GradedMembrane:
    return GradedMembrane(depth=160, slices=8, width=240)


def compared(image, method="auto", sensitivity=0.65, **options):
    """The segmentation of an image, and the results of all methods by name."""
    segmentation = segment(image, method=method, sensitivity=sensitivity, **options)
    return segmentation, {result.name: result for result in compare_methods(segmentation, method, sensitivity)}


def test_each_method_is_that_of_scikit_image(truth):
    image = truth.micrograph(shading=0, curtaining=0)
    _, results = compared(image, presmooth=0, median=1, priors=NO_BLUR)
    grey = image / 255
    threshold = threshold_otsu(grey)
    core = (threshold + grey[grey <= threshold].mean()) / 2
    local = threshold_local(grey, tuple(2 * (n // 16) + 1 for n in grey.shape), method="mean", mode="nearest")
    expected = {
        "auto": grey > threshold,
        "otsu": grey > threshold,
        "hysteresis": ~apply_hysteresis_threshold(-grey, -threshold, -core),
        "adaptive 0.65": grey > 0.95 * local,
        "local mean": grey > local,
    }
    assert list(results) == list(METHODS.values()) == list(expected)
    for name, solid in expected.items():
        # Thresholds of two histograms differ by a bin, 1/256 of the range, in which few of the grey values lie.
        assert (results[name].solid != solid).mean() < 2e-3, name


@pytest.mark.parametrize("method", ["auto", "otsu", "hysteresis", "adaptive"])
def test_the_method_that_is_used_has_the_segmentation_and_bias_of_the_study(truth, method):
    segmentation, results = compared(truth.micrograph(), method=method)
    (used,) = [result for result in results.values() if result.is_used]
    assert used.name == {"adaptive": "adaptive 0.65"}.get(method, method)
    np.testing.assert_array_equal(used.solid, segmentation.solid)
    assert used.bias == segmentation.bias


def test_another_sensitivity_is_compared_as_well(truth):
    segmentation, results = compared(truth.micrograph(), method="adaptive", sensitivity=0.5, priors=NO_BLUR)
    assert list(results) == [*METHODS.values(), "adaptive 0.5"]
    assert [name for name, result in results.items() if result.is_used] == ["adaptive 0.5"]
    np.testing.assert_array_equal(results["adaptive 0.5"].solid, segmentation.solid)


def test_errors_on_a_shaded_micrograph():
    """Of a shaded image, the correction leaves the fewest errors; the bias of a method is close to its error.

    The bias is estimated from an image of the section as segmented, which lacks what blur has closed: the porosity
    that blur itself adds or removes, up to 0.01 here, is in the error of the micrograph only.
    """
    truth = GradedMembrane()
    section = truth.section(truth.slices // 2) > 0
    segmentation, results = compared(truth.micrograph(shading=0.3))
    assert segmentation.gain is not None
    wrong = {name: (result.solid != section).mean() for name, result in results.items()}
    assert min(wrong, key=wrong.__getitem__) == "auto"
    assert wrong["otsu"] > 2 * wrong["auto"]
    for name, result in results.items():
        assert result.bias == pytest.approx(section.mean() - result.solid.mean(), abs=0.015), name
    assert results["local mean"].bias > results["adaptive 0.65"].bias > 0.01


def test_a_method_without_two_phases_is_listed_with_the_reason(truth):
    """Where the phases differ by less than 5 % of their brightness, all of the image is above 0.95 times its mean."""
    image = np.round(60_000 + 10 * truth.micrograph(shading=0, curtaining=0).astype(float)).astype(np.uint16)
    _, results = compared(image, priors=NO_BLUR)
    assert results["adaptive 0.65"].failure == "100.0% of the pixels are solid"
    assert not results["auto"].failure
    assert not results["local mean"].failure


def test_a_binary_image_has_no_methods(truth):
    segmentation = segment(truth.section(0))
    assert segmentation.is_binary
    with pytest.raises(ValueError, match="binary"):
        list(compare_methods(segmentation, "auto", 0.65))
