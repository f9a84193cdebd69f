"""Segmentation and the combined distance functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_local, threshold_otsu

from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.imaging import micrograph
from membrane_dask.physics.imaging.micrograph import distance_features, distance_objective


def segment(image: np.ndarray, method: str = "adaptive", **how) -> np.ndarray:
    """The solid alone."""
    return micrograph.segment(image, method=method, **how).solid


EDGES = np.linspace(1, 30, 51)
SECTIONS = ((0.0, 0.2), (0.5, 1.0))


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
def test_most_of_a_noisy_micrograph_is_told_right(truth, method):
    solid = segment(truth.micrograph(), method=method)
    wrong = (solid != (truth.section(truth.slices // 2) > 0)).mean()
    assert wrong < 0.06  # measured 4 %: the blur eats the thinnest walls of the skin


def test_shading_defeats_one_threshold_but_not_the_local_one(truth):
    image, right = truth.micrograph(shading=0.5), truth.section(truth.slices // 2) > 0
    assert (segment(image, method="adaptive") != right).mean() < 0.07
    assert (segment(image, method="otsu") != right).mean() > 0.10


@pytest.mark.parametrize("pores", ["dark", "bright"])
@pytest.mark.parametrize(("shading", "curtaining"), [(0.0, 0.0), (0.3, 0.04), (0.5, 0.1)])
def test_uneven_brightness_is_made_even(shading, curtaining, pores):
    """What is left wrong is what blur and noise leave of an even image; and the porosity keeps its value."""
    truth = GradedMembrane()
    right = truth.section(truth.slices // 2) > 0
    image = truth.micrograph(shading=shading, curtaining=curtaining)
    found = micrograph.segment(image if pores == "dark" else 255 - image, pores=pores)
    assert (found.solid != right).mean() < 0.045  # 2.9 % of an even image
    assert found.solid.mean() == pytest.approx(right.mean(), abs=0.005)
    assert abs(found.bias) < 0.005
    assert found.method == ("otsu" if shading == 0 else "otsu, evened")
    if pores == "dark":  # a negative's shading is another
        # From corner to corner brightness changes by 2 * (0.7 + 0.3) of the shading, between tenths by less.
        assert 0.8 * shading < found.shading < 1.6 * shading + 0.05
        # Streaks are weaker at the top, and half as wide as the smoothing before.
        assert 0.4 * curtaining <= found.curtaining < curtaining + 0.02


def test_the_adaptive_thresholds_bias_is_seen(truth):
    """It adds pores: the rendering of its own result shows most of that."""
    truth = GradedMembrane()
    right = truth.section(truth.slices // 2) > 0
    found = micrograph.segment(truth.micrograph(), method="adaptive")
    added = right.mean() - found.solid.mean()
    assert added > 0.015
    assert 0.4 * added < found.bias < 1.2 * added


def test_hysteresis_needs_a_dark_core():
    """A faint hole is no pore, the rim of a dark one is part of it."""
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
    right = truth.section(truth.slices // 2) > 0
    assert (segment(255 - image, method=method, pores="bright") != right).mean() < 0.08


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_scale_of_grey_does_not_matter(truth, dtype):
    image = truth.micrograph()
    scaled = (
        (image / 255).astype(dtype) if dtype == np.float32 else image.astype(dtype) * (257 if dtype == np.uint16 else 1)
    )
    differing = (segment(scaled) != segment(image)).mean()
    assert differing < 1e-3  # grey values that lie on the threshold to the last digit


def test_otsu_and_median():
    image = np.full((64, 64), 40, np.uint8)
    image[:, 32:] = 200
    image[10, 10] = 200
    assert segment(image, method="otsu", presmooth=0, median=1)[10, 10]
    solid = segment(image, method="otsu", presmooth=0, median=3)
    np.testing.assert_array_equal(solid, np.arange(64)[None, :] >= 32 * np.ones((64, 1)))
    assert 40 <= threshold_otsu(image) < 200


@pytest.mark.parametrize(
    ("image", "words"),
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
def test_images_that_cannot_be_segmented(image, words):
    with pytest.raises(ValueError, match=words):
        segment(image)


def test_distances_across_stripes():
    """Walls 4 wide between pores 6 wide: distances 1, 2, 2, 1 and 1, 2, 3, 3, 2, 1."""
    row = np.tile([True] * 4 + [False] * 6, 30)
    features = distance_features(np.tile(row, (200, 1)), edges=np.array([1.0, 1.5, 2.5, 3.5]), sections=((0, 1),))
    # The image begins with a wall and ends with a pore that have one neighbour only: one of 30 each.
    np.testing.assert_allclose(features[0, 1], [0.2, 0.2, 0, 0], atol=1 / 100)
    np.testing.assert_allclose(features[0, 0], [0.2, 0.2, 0.2, 0], atol=1 / 100 + 1e-12)
    assert features.sum() == pytest.approx(1, abs=1e-12)


def test_sections_are_cut_out_before_distances_are_measured(truth):
    solid = truth.section(3) > 0
    features = distance_features(solid, edges=EDGES, sections=SECTIONS)
    assert features.shape == (2, 2, 51)
    for s, part in enumerate((solid[:32], solid[80:])):
        for phase, mask in enumerate((~part, part)):
            distance = ndimage.distance_transform_edt(mask)[mask]
            expected = np.histogram(distance, [*EDGES, np.inf])[0] / part.size
            np.testing.assert_allclose(features[s, phase], expected, atol=2 / part.size)  # float32 at an edge
    assert features.sum((1, 2)) == pytest.approx([1, 1], abs=1e-12)


def test_a_section_of_one_phase_is_counted_as_far_away():
    features = distance_features(np.ones((50, 50), bool), edges=EDGES, sections=((0, 1),))
    assert features[0, 1, -1] == 1
    assert features.sum() == 1


def test_objective():
    solid = GradedMembrane(depth=160, slices=8, width=240).section(0) > 0
    one = distance_features(solid, edges=EDGES, sections=SECTIONS)
    assert distance_objective(one, one) == 0
    inverse = one[:, ::-1]
    assert distance_objective(one, inverse) == distance_objective(inverse, one) > 0.3
    empty = distance_features(np.ones_like(solid), edges=EDGES, sections=SECTIONS)
    full = distance_features(np.zeros_like(solid), edges=EDGES, sections=SECTIONS)
    assert distance_objective(empty, full) == 2
