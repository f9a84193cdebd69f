"""Selection of knots: errors of profiles, power, and what blur and noise do to them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, median_filter

from membrane_dask.physics.distributions import normal_quantile
from membrane_dask.physics.reconstruction import knot_selection
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, describe
from membrane_dask.physics.reconstruction.knot_selection import Tiles, choose_knots, weigh_knots
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

DEPTH, WIDTH, BINS = 256, 384, 16
SECTIONS = 10
TRUTHS = {
    "homogeneous": Graded(knots=(0.0,), sigma=(2.4,), porosity=(0.36,), closing_radius=1.5),
    "graded": Graded(knots=(0, 1), sigma=(1.6, 4.4), porosity=(0.34, 0.42)),
    "rough": Graded(knots=(0, 1), sigma=(1.7, 3.4), porosity=(0.46, 0.52), closing_radius=1.4143, roughness=0.15),
    "coarse": Graded(knots=(0, 1), sigma=(2.4, 3.6), porosity=(0.44, 0.27), closing_radius=3),
    "three": Graded(knots=(0, 0.22, 1), sigma=(1.3, 2.8, 4.6), porosity=(0.40, 0.34, 0.30), closing_radius=2),
    "fine skin": Graded(knots=(0, 0.18, 1), sigma=(1.3, 3.2, 4.2), porosity=(0.28, 0.22, 0.30)),
    "thin skin": Graded(knots=(0, 0.1, 1), sigma=(1.2, 3.4, 3.6), porosity=(0.45, 0.30, 0.34)),
    "sandwich": Graded(
        knots=(0, 0.15, 0.4, 0.7, 1), sigma=(1.3, 1.8, 3.2, 2.2, 4.0), porosity=(0.3, 0.4, 0.3, 0.42, 0.33)
    ),
}
#: Mean absolute error of the profiles with the F test of lack of fit (confidence 0.95) that chose the knots before:
#: normal quantile of the porosity, and correlation; on the sections of :func:`sections`.
F_TEST = (0.0551, 0.0232)


def section(truth: Graded, seed: int, width: int = WIDTH) -> np.ndarray:
    return generate_window(truth, depth=DEPTH, start=(0, 0, 0), shape=(DEPTH, 1, width), seed=seed)[:, 0] > 0


@cache
def sections(name: str) -> list[np.ndarray]:
    return [section(TRUTHS[name], 5100 + i) for i in range(24)]


def hats(knots: tuple[float, ...]) -> np.ndarray:
    z = (np.arange(BINS) + 0.5) / BINS
    return np.stack([np.interp(z, knots, row) for row in np.eye(len(knots))], axis=1)


def profiles(solid: np.ndarray, lag: int) -> np.ndarray:
    """Normal quantile of the porosity and correlation at a lag, in bins of the depth."""
    rows = np.kron(np.eye(BINS), np.full(DEPTH // BINS, BINS / DEPTH))
    means = describe(solid, lags=np.array([0, lag]), radii=np.array([1.0])).mean(rows)
    return np.stack([normal_quantile(means.porosity), means.correlation[:, 1]])


@cache
def profiles_of_sections(name: str) -> list[np.ndarray]:
    lag = round(1.5 * float(np.mean(TRUTHS[name].sigma)))
    return [profiles(solid, lag) for solid in sections(name)]


def mean_error(choose) -> np.ndarray:
    """Mean error of piecewise linear profiles, between the knots chosen, of porosity and correlation."""
    errors = []
    for name in TRUTHS:
        measured = profiles_of_sections(name)
        truth = np.mean(measured, axis=0)
        for solid, profile in zip(sections(name)[:SECTIONS], measured, strict=False):
            basis = hats(choose(solid))
            fit = basis @ np.linalg.lstsq(basis, profile.T)[0]
            errors.append(np.abs(fit.T - truth).mean(axis=1))
    return np.mean(errors, axis=0)


def knots_of(solid: np.ndarray) -> tuple[float, ...]:
    return choose_knots(solid, DescriptorScales.suited_to(solid))


def through_microscope(solid: np.ndarray, seed: int) -> np.ndarray:
    """Section blurred by 1.5 px, with noise of 5 %, segmented after smoothing by 1 px and a median."""
    noise = 0.05 * np.random.default_rng(seed).standard_normal(solid.shape)
    grey = gaussian_filter(np.where(solid, 0.66, 0.24), 1.5, mode="nearest") + noise
    return median_filter(gaussian_filter(grey, 1.0) > 0.45, 3)


def test_profiles_are_nearer_to_the_truth_than_with_the_test_of_lack_of_fit():
    """On these sections; of the constant sets none has a smaller error of either profile."""
    error = mean_error(knots_of)
    assert (error < F_TEST).all()
    for knots in knot_selection._KNOTS:
        assert (error < mean_error(lambda _solid, knots=knots: knots)).all()


@pytest.mark.parametrize(
    ("name", "smallest", "largest"),
    [
        ("homogeneous", 2, 2), ("graded", 2, 2), ("coarse", 2, 2), ("three", 3, 3), ("fine skin", 3, 3),
        ("thin skin", 3, 5), ("sandwich", 5, 5),
    ],
)  # fmt: skip
def test_number_of_knots(name, smallest, largest):
    """The number of the truth in most sections; a thin skin, between the knots of the sets, takes one more."""
    numbers = [len(knots_of(solid)) for solid in sections(name)[:SECTIONS]]
    assert np.mean([smallest <= number <= largest for number in numbers]) >= 0.6


@pytest.mark.parametrize("name", ["coarse", "fine skin", "thin skin"])
def test_graded_structures_remain_graded_through_the_microscope(name):
    """The test of lack of fit found no gradient in 10, 3 and 6 of 10 such images."""
    images = [through_microscope(solid, i) for i, solid in enumerate(sections(name)[:SECTIONS])]
    assert min(len(knots_of(image)) for image in images) >= 2
    assert all((0.0,) not in weigh_knots([Tiles.of(image, DescriptorScales.suited_to(image))]) for image in images)


def test_weights_follow_from_the_criterion():
    """Least squares of the means of tiles by NumPy gives the same ratio of weights."""
    solid = sections("three")[0]
    scales = DescriptorScales.suited_to(solid)
    weights = weigh_knots([Tiles.of(solid, scales)])
    assert sum(weights.values()) == pytest.approx(1, rel=1e-12)
    tiles = Tiles.of(solid, scales)
    z, (across, down) = tiles.z, tiles.porosity.shape
    criteria = []
    for knots in weights:
        basis = np.stack([np.interp(z, knots, row) for row in np.eye(len(knots))], axis=1)
        criterion = 2 * len(knots) * np.log(2 * down)
        for values in (tiles.porosity, tiles.correlation):
            # Mean of the logarithm of a sample variance with n degrees of freedom: -1/n, to the first order.
            trend = np.polynomial.Polynomial.fit(z, np.log(values.var(axis=0, ddof=1)) + 1 / (across - 1), 1)(z)
            weight = np.sqrt(across / np.exp(trend))
            criterion += np.linalg.lstsq(basis * weight[:, None], values.mean(axis=0) * weight)[1].item()
        criteria.append(criterion)
    expected = np.exp(-(np.array(criteria) - min(criteria)) / 2)
    np.testing.assert_allclose(list(weights.values()), expected / expected.sum(), atol=0.01)


def test_small_images_have_fewer_sets_and_less_certain_weights():
    """Four rows of tiles do not determine five knots."""
    small = section(TRUTHS["coarse"], 7)[-128:, :160]
    weights = weigh_knots([Tiles.of(small, DescriptorScales.suited_to(small))])
    assert max(map(len, weights)) < 7
    assert max(weights.values()) < 0.999
    assert choose_knots(small, DescriptorScales.suited_to(small)) == max(weights, key=weights.get)
