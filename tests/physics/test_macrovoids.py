"""Layers of macrovoids: independence of the window, number and sizes, detection in images, and estimates from them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from strategies import windows

from membrane_dask.physics.reconstruction import macrovoids as module
from membrane_dask.physics.reconstruction.macrovoid_detection import detect_macrovoids
from membrane_dask.physics.reconstruction.macrovoids import (
    Macrovoids,
    SectionedMacrovoids,
    carve,
    estimate_macrovoids,
    poisson_interval,
    poisson_quantile,
)
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

LAYER = Macrovoids(number_density=2e-3, half_width=6.0, half_length=15.0, deviation=0.2, band=(0.4, 0.7))
#: As in an image of 384 pixels with about four fingers.
FINGERS = Macrovoids(number_density=6.5e-4, half_width=12.0, half_length=42.0, band=(0.5, 0.75))
FIELD = Graded(knots=(0.0, 1.0), sigma=(1.8, 4.0), porosity=(0.33, 0.33))
DEPTH, WIDTH = 256, 384


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    volume = np.full((60, 70, 130), 255, np.uint8)
    carve(volume, LAYER, depth=60, start=(0, -20, -30), seed=7)
    return volume


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_window_equals_the_crop_of_a_larger_one(whole, data):
    z, y, x = data.draw(windows(whole.shape))
    window = np.full(whole[z, y, x].shape, 255, np.uint8)
    carve(window, LAYER, depth=60, start=(z.start, y.start - 20, x.start - 30), seed=7)
    np.testing.assert_array_equal(window, whole[z, y, x])


def test_a_layer_is_united_with_the_pores_of_the_field():
    structure = replace(FIELD, macrovoids=LAYER)
    shape = (60, 40, 80)
    plain, carved = (
        generate_window(model, depth=60, start=(0, 0, 0), shape=shape, seed=3) for model in (FIELD, structure)
    )
    expected = plain.copy()
    carve(expected, LAYER, depth=60, start=(0, 0, 0), seed=3)
    np.testing.assert_array_equal(carved, expected)
    assert (carved == 0).mean() > 1.2 * (plain == 0).mean()


def test_number_position_and_sizes():
    """Of some 2,000 macrovoids."""
    centres = np.array(module._centres(LAYER, 101, (0, 0), (1000, 1000), 5))
    inside = ((centres[:, 1:3] >= 0) & (centres[:, 1:3] < 1000)).all(axis=1)
    assert abs(inside.sum() - 2000) < 4 * np.sqrt(2000)
    assert 40 <= centres[:, 0].min() < 41
    assert 69 < centres[:, 0].max() <= 70
    logarithm = np.log(centres[:, 3] / LAYER.half_width)
    assert abs(logarithm.mean()) < 4 * 0.2 / np.sqrt(len(centres))
    assert logarithm.std() == pytest.approx(0.2, rel=0.08)  # 4 standard errors
    # Cells are independent, and so are the numbers of one cell.
    assert np.abs(np.corrcoef(centres.T) - np.eye(4)).max() < 4 / np.sqrt(len(centres))


def test_volume_of_an_ellipsoid():
    single = replace(LAYER, number_density=1e-4, deviation=0.0, half_width=12.0, half_length=30.0)
    (z, y, x, _), *_ = module._centres(single, 200, (0, 0), (1, 1), 2)
    volume = np.full((200, 60, 60), 255, np.uint8)
    carve(volume, single, depth=200, start=(0, int(y) - 30, int(x) - 30), seed=2)
    assert (volume == 0).sum() == pytest.approx(4 / 3 * np.pi * 12 * 12 * 30, rel=0.01)
    assert np.nonzero(volume == 0)[0].mean() == pytest.approx(z, abs=0.1)


@pytest.mark.parametrize("mean", [0.3, 1.0, 7.5])
def test_quantiles_of_poissons_distribution(mean):
    for probability in (0.0, 0.05, 0.5, 0.9, 0.999):
        assert poisson_quantile(probability, mean) == max(stats.poisson.ppf(probability, mean), 0)


@pytest.mark.parametrize("number", [0, 1, 4, 20])
def test_interval_of_the_mean_of_poissons_distribution(number):
    low, high = poisson_interval(number, 0.9)
    assert low == pytest.approx(stats.chi2.ppf(0.05, 2 * number) / 2 if number else 0, abs=1e-9)
    assert high == pytest.approx(stats.chi2.ppf(0.95, 2 * number + 2) / 2, rel=1e-9)


def ellipses(half_widths: np.ndarray, limit: float, width: int) -> SectionedMacrovoids:
    n = len(half_widths)
    return SectionedMacrovoids(
        np.linspace(0.5, 0.7, n), half_widths, 3 * half_widths, np.ones(n, bool), np.ones(n, bool), limit, width,
        np.ones((1, 1), bool),
    )  # fmt: skip


@pytest.mark.parametrize("deviation", [0.0, 0.3])
@pytest.mark.parametrize("limit", [1.0, 8.0])
def test_estimates_from_many_sections(deviation, limit):
    """Spheroids cut by a plane, of which those above a limit are observed."""
    rng = np.random.default_rng(2)
    density, length = 1e-3, 300_000
    widths = 12.0 * np.exp(deviation * rng.standard_normal(int(density * length * 100)))
    distance = rng.uniform(-50, 50, len(widths))
    cut = np.sqrt(np.maximum(widths**2 - distance**2, 0))
    estimate = estimate_macrovoids(ellipses(cut[cut > limit], limit, length))
    # Some 6,000 sections determine all of it within a few percent; quantiles stand for the distribution.
    assert estimate.half_width == pytest.approx(12.0, rel=0.06)
    assert estimate.half_length == pytest.approx(36.0, rel=0.06)
    assert estimate.number_density == pytest.approx(density, rel=0.06)
    assert estimate.deviation == pytest.approx(deviation, abs=0.06)
    assert estimate.band == pytest.approx((0.5, 0.7), abs=1e-3)


def test_no_macrovoids():
    assert estimate_macrovoids(ellipses(np.array([]), 8.0, 300)) is None


def test_another_image_would_have_shown_other_macrovoids():
    rng = np.random.default_rng(3)
    layers = [FINGERS.drawn(4, rng) for _ in range(400)]
    per_length = np.array([layer.number_density * layer.half_width for layer in layers])
    expected = FINGERS.number_density * FINGERS.half_width
    assert per_length.mean() == pytest.approx(expected, rel=0.1)  # 4 standard errors
    assert per_length.std() / expected == pytest.approx(0.5, rel=0.15)  # a Poisson number of four
    assert np.std([np.log(layer.half_width) for layer in layers]) == pytest.approx(0.142, rel=0.15)


def imaged(structure: Graded, seed: int) -> np.ndarray:
    """Segmented image of a section, blurred by one pixel, with noise."""
    solid = generate_window(structure, depth=DEPTH, start=(0, 0, 0), shape=(DEPTH, 1, WIDTH), seed=seed)[:, 0] > 0
    grey = gaussian_filter(0.24 + 0.42 * solid, 1.0, mode="nearest")
    grey += 0.05 * np.random.default_rng(seed).standard_normal(solid.shape)
    return grey > threshold_otsu(grey)


@cache
def model_sections() -> list[np.ndarray]:
    return [imaged(FIELD, 1000 + k) for k in range(24)]


def test_images_without_macrovoids_show_none():
    for seed in range(8):
        result = detect_macrovoids(imaged(FIELD, seed), model_sections(), 3.0)
        assert result.number == 0
        assert result.inside.all()


def test_macrovoids_of_images():
    """Their mean number and sizes over ten images; single ones scatter by half and by a fifth."""
    structure = replace(FIELD, macrovoids=FINGERS)
    estimates, missed = [], []
    for seed in range(10):
        image = imaged(structure, seed)
        result = detect_macrovoids(image, model_sections(), 3.0)
        carved = np.full((DEPTH, 1, WIDTH), 255, np.uint8)
        carve(carved, FINGERS, depth=DEPTH, start=(0, 0, 0), seed=seed)
        missed.append((result.inside & (carved[:, 0] == 0)).sum() / max((carved == 0).sum(), 1))
        estimates.append(estimate_macrovoids(result))
    estimated = [estimate for estimate in estimates if estimate]
    assert len(estimated) >= 9
    assert np.mean(missed) < 0.25  # those that are cut near their end are as narrow as other pores
    assert np.mean([estimate.half_width for estimate in estimated]) == pytest.approx(12, rel=0.2)
    assert np.mean([estimate.half_length for estimate in estimated]) == pytest.approx(42, rel=0.2)
    density = sum(estimate.number_density for estimate in estimated) / len(estimates)
    assert density == pytest.approx(FINGERS.number_density, rel=0.5)
    assert all(0.4 < sum(estimate.band) / 2 < 0.8 for estimate in estimated)


@pytest.mark.parametrize(
    "change", [{"number_density": 0.0}, {"half_width": -1.0}, {"deviation": 2.0}, {"band": (0.7, 0.4)}]
)
def test_invalid_layers_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(LAYER, **change)
