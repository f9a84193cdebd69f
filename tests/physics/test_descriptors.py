"""Descriptors of sections compared with direct computation and with theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from membrane_dask.physics.analytic_problems import GaussianExcursion
from membrane_dask.physics.reconstruction.descriptors import average, chord_lengths, describe, half_correlation_length
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded


@pytest.fixture(scope="module")
def solid() -> np.ndarray:
    structure = Graded(sigma=(2.5,), porosity=(0.4,))
    return generate_window(structure, depth=90, start=(0, 0, 0), shape=(90, 1, 130), seed=4)[:, 0] > 0


def test_two_point_function_by_row(solid):
    lags = np.array([0, 1, 3, 17])
    two_point = describe(solid, lags=lags, radii=np.array([1.0])).two_point
    pores = ~solid
    for k, lag in enumerate(lags):
        expected = (pores[:, : 130 - lag] & pores[:, lag:]).mean(axis=1)
        np.testing.assert_allclose(two_point[:, k], expected, rtol=1e-15)


@pytest.mark.parametrize("square", [1, 2, 4, 5, 13, 64])
def test_openings_equal_those_of_scipy(solid, square):
    """With the phase continued beyond the edges of the section."""
    radius = int(square**0.5)
    disc = (np.mgrid[(slice(-radius, radius + 1),) * 2] ** 2).sum(0) <= square
    fraction = describe(solid, lags=np.array([0]), radii=np.array([square**0.5])).opened
    for number, phase in enumerate((~solid, solid)):
        opened = ndimage.binary_dilation(ndimage.binary_erosion(phase, disc, border_value=1), disc)
        np.testing.assert_allclose(fraction[:, number, 0], opened.mean(axis=1), rtol=1e-15)


def test_pixels_that_are_not_used_do_not_matter(solid):
    rng = np.random.default_rng(1)
    inside = np.ones_like(solid)
    inside[20:50, 30:70] = False
    inside[60] = False
    lags, radii = np.array([0, 1, 3, 17]), np.array([1.0, 2.0])
    window = np.full((1, len(solid)), 1 / len(solid))
    changed = np.where(inside, solid, rng.random(solid.shape) < 0.5)
    whole, masked, other = (
        describe(phases, lags=lags, radii=radii, inside=used)
        for phases, used in ((solid, np.ones_like(solid)), (solid, inside), (changed, inside))
    )
    plain = describe(solid, lags=lags, radii=radii)
    np.testing.assert_array_equal(plain.two_point, whole.two_point)
    np.testing.assert_array_equal(plain.opened, whole.opened)
    np.testing.assert_allclose(plain.mean(window).opened, whole.mean(window).opened, rtol=1e-12)
    np.testing.assert_array_equal(masked.two_point, other.two_point)
    np.testing.assert_array_equal(masked.opened, other.opened)
    pores = ~solid
    for k, lag in enumerate(lags):
        used = inside[:, : 130 - lag] & inside[:, lag:]
        expected = (pores[:, : 130 - lag] & pores[:, lag:])[used].mean()
        # Weighted by the pairs of each row, the mean is that of all pairs.
        assert masked.mean(window).two_point[0, k] == pytest.approx(expected, rel=1e-12)


def test_half_correlation_length_of_a_gaussian_structure():
    """Compared with the bivariate normal integral; the standard error of the sections is below 2 %."""
    sigma, porosity = 3.0, 0.35
    structure = Graded(sigma=(sigma,), porosity=(porosity,))
    lags = np.arange(20)
    sections = [
        generate_window(structure, depth=200, start=(0, 100 * i, 0), shape=(200, 1, 300), seed=1)[:, 0] > 0
        for i in range(12)
    ]
    mean = average([describe(s, lags=lags, radii=np.array([1.0])) for s in sections])
    length = half_correlation_length(mean.mean(np.full((1, 200), 1 / 200)).correlation, lags)
    truth = GaussianExcursion(sigma, porosity)
    exact = np.array([truth.two_point(r) for r in np.arange(0, 20, 0.01)])
    exact = (exact - porosity**2) / (porosity - porosity**2)
    assert length[0] == pytest.approx(np.argmax(exact < 0.5) * 0.01, rel=0.02)


def test_half_correlation_length_beyond_the_lags():
    lags = np.array([0, 1, 2])
    length = half_correlation_length(np.array([[1.0, 0.9, 0.8], [1.0, 0.6, 0.4]]), lags)
    assert np.isnan(length[0])
    assert length[1] == pytest.approx(1.5)


def test_a_section_of_one_phase_has_no_correlation():
    descriptors = describe(np.ones((10, 40), bool), lags=np.arange(3), radii=np.array([1.0]))
    assert (descriptors.correlation == 0).all()
    assert (descriptors.opened[:, 1] == 1).all()


def test_chords_that_end_at_the_edge_are_excluded():
    phase = np.array([[1, 1, 0, 1, 1, 1, 0, 1], [0, 1, 0, 0, 1, 1, 0, 0]], bool)
    assert sorted(chord_lengths(phase).tolist()) == [1, 2, 3]
    assert chord_lengths(phase[None]).tolist() == chord_lengths(phase).tolist()
