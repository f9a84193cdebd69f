"""Blur, noise and grey levels of images whose values are known, and images rendered with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.imaging.image_model import ImageModel, ImagePriors, sufficient_smoothing
from membrane_dask.physics.imaging.segmentation import segment
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

SHAPE = (224, 320)
TRUTH = Graded(knots=(0.0, 1.0), sigma=(1.6, 3.6), porosity=(0.42, 0.3), closing_radius=1.4143)


def micrograph(blur: float, noise: float, seed: int, structure: Graded = TRUTH) -> np.ndarray:
    """Image of a section with shading and curtaining."""
    return GradedMembrane(structure, SHAPE[0], 4, SHAPE[1], seed=seed).micrograph(blur=blur, noise=noise, seed=seed)


@pytest.mark.parametrize(
    ("blur", "noise", "seed"), [(0.5, 0.05, 1), (1.0, 0.1, 2), (1.4, 0.02, 3), (2.0, 0.05, 4), (2.0, 0.1, 1)]
)
def test_blur_noise_and_levels_are_estimated_from_the_image(blur, noise, seed):
    """The blur within 0.15 pixels, as in 95 of 100 images; noise within 5 %; levels within 7 % of the contrast.

    Few pixels of a fine structure are farther from its edges than the blur.
    """
    model = segment(micrograph(blur, noise, seed)).estimate.model
    assert model.blur == pytest.approx(blur, abs=0.15)
    assert model.noise == pytest.approx(noise, rel=0.05, abs=0.002)  # rounding to 8 bits adds 0.001
    assert (model.pore_level, model.solid_level) == pytest.approx((0.24, 0.66), abs=0.07 * 0.42)


def test_standard_errors_are_those_of_repeated_images():
    """Estimates from images of other sections scatter as the standard errors say; the least of them is 0.08 pixels."""
    sections = [
        generate_window(TRUTH, depth=SHAPE[0], start=(0, 0, 0), shape=(SHAPE[0], 1, SHAPE[1]), seed=seed)[:, 0] > 0
        for seed in range(6)
    ]
    errors = segment(micrograph(1.2, 0.05, 7)).estimate.errors(sections)
    estimates = [segment(micrograph(1.2, 0.05, seed)).estimate.model.blur for seed in range(10, 16)]
    assert 0.08 <= errors.blur < 0.2
    assert np.std(estimates, ddof=1) < 2 * errors.blur  # of six, the deviation is within a factor of 1.7


def test_a_straight_edge_is_blurred_as_the_error_function():
    """Also if it is cut at half the pixel: the mean over the voxels of a pixel is part of the blur."""
    depth, width, edge = 8, 64, 32
    model = ImageModel(blur=1.3, noise=0.0, pore_level=0.2, solid_level=0.7)
    x = np.arange(width) + 0.5 - edge
    expected = 0.2 + 0.5 * (1 + erf(x / (1.3 * np.sqrt(2)))) / 2
    for n in (1, 2, 4):
        solid = np.broadcast_to(np.arange(n * width) >= n * edge, (n * depth, n * width))
        image = model.render(solid, np.zeros((depth, width)), n)
        np.testing.assert_allclose(image[4], expected, atol=0.004)  # a kernel of samples, cut at four deviations


def test_the_gain_is_blurred_with_the_phases():
    solid = np.arange(64)[None, :] >= np.full((32, 1), 32)
    model = ImageModel(blur=0.0, noise=0.0, pore_level=0.2, solid_level=0.6)
    gain = np.linspace(0.8, 1.2, 32)[:, None] * np.ones((1, 64))
    image = replace(model, gain=gain).render(solid, np.zeros(solid.shape))
    np.testing.assert_allclose(image, model.render(solid, np.zeros(solid.shape)) * gain, rtol=1e-12)


def test_noise_follows_from_seed_and_section():
    model = ImageModel(blur=1.0, noise=0.1, pore_level=0.2, solid_level=0.6)
    one = model.noise_of(5, 3, (40, 50))
    np.testing.assert_array_equal(one, model.noise_of(5, 3, (40, 50)))
    assert abs(np.corrcoef(one.ravel(), model.noise_of(5, 4, (40, 50)).ravel())[0, 1]) < 0.08  # 3.6 standard errors


def test_the_filter_is_as_weak_as_the_noise_allows():
    """Limits of the noise over the contrast for filters of 0, 0.5, 0.7 and 2 pixels."""
    model = ImageModel(blur=1.0, noise=0.1, pore_level=0.2, solid_level=0.6)
    for noise, sigma in ((0.124, 0.0), (0.19, 0.5), (0.30, 0.7), (0.85, 2.0)):
        assert sufficient_smoothing(replace(model, noise=noise * model.contrast)) == sigma
    with pytest.raises(ValueError, match="average several frames"):
        sufficient_smoothing(replace(model, noise=0.8))


def test_image_priors_replace_estimates():
    priors = ImagePriors(blur=1.7, blur_error=0.2, noise=0.06, levels=(0.25, 0.65))
    estimate = segment(micrograph(1.0, 0.05, 5), priors=priors).estimate
    model = estimate.model
    assert (model.blur, model.noise, model.pore_level, model.solid_level) == (1.7, 0.06, 0.25, 0.65)
    assert estimate.estimated.blur == pytest.approx(1.0, abs=0.15)


def test_images_whose_blur_cannot_be_estimated_are_refused():
    rows = np.where(np.arange(48)[:, None] < 24, 60, 190) + np.random.default_rng(0).integers(-9, 9, (48, 48))
    with pytest.raises(ValueError, match=r"only \d+ pixels lie at edges .* imaging: \{blur"):
        segment(rows.astype(np.uint8))
    with pytest.raises(ValueError, match="blurred by 3 pixels or more"):
        segment(micrograph(4.5, 0.02, 6, Graded(sigma=(7.0,), porosity=(0.4,))))


@pytest.mark.parametrize("pores", ["dark", "bright"])
def test_a_binary_image_is_taken_as_it_is(pores):
    """A structure whose half-correlation length is a pixel, of which any filter would change every fifth pixel."""
    fine = Graded(sigma=(0.8,), porosity=(0.4,))
    solid = generate_window(fine, depth=96, start=(0, 0, 0), shape=(96, 1, 96), seed=3)[:, 0] > 0
    image = np.where(solid == (pores == "dark"), 255, 0).astype(np.uint8)
    result = segment(image, pores=pores)
    np.testing.assert_array_equal(result.solid, solid)
    assert result.estimate is None


def test_trials_are_segmented_like_the_micrograph():
    """A method that adds pores to the micrograph adds them to its renderings."""
    result = segment(micrograph(1.0, 0.05, 8), method="adaptive")
    section = GradedMembrane(TRUTH, SHAPE[0], 4, SHAPE[1], seed=8).section(2) > 0
    model = result.estimate.model
    rendered = result.segmenter(model.render(section, model.noise_of(1, 0, SHAPE)))
    added = section.mean() - result.solid.mean()
    assert added > 0.01
    assert section.mean() - rendered.mean() == pytest.approx(added, abs=0.006)
