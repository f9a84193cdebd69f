"""Statistics of sections: exact values, invariances, and structures of known properties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import euler_number

from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.section_statistics import (
    OPENING_SQUARES,
    grey_statistics,
    is_one_sided,
    lateral_variation,
    nearly_normal,
    section_statistics,
    strip_porosity,
)
from membrane_dask.physics.reconstruction.structures import Graded

KNOTS = (0.0, 1.0)


def section(structure: Graded, seed: int = 3, depth: int = 160, width: int = 240) -> np.ndarray:
    """A section, True in the solid."""
    return generate_window(structure, depth=depth, start=(0, 0, 0), shape=(depth, 1, width), seed=seed)[:, 0] > 0


@pytest.fixture(scope="module")
def solid() -> np.ndarray:
    return section(Graded(knots=KNOTS, sigma=(1.6, 3.6), porosity=(0.35, 0.4)))


@pytest.fixture(scope="module")
def statistics(solid):
    return section_statistics(solid, knots=KNOTS)


def test_all_statistics_are_finite_numbers_in_groups(statistics):
    assert list(statistics) == [
        "anisotropy", "anisotropy by depth", "lateral porosity", "lateral texture", "voids", "voids by depth",
        "dense regions", "chords", "openings", "Euler",
    ]  # fmt: skip
    assert all(np.isfinite(value) for group in statistics.values() for value in group.values())
    assert "anisotropy by depth" not in section_statistics(np.eye(64, dtype=bool), knots=(0.0,))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_anisotropy_is_the_ratio_of_the_widths(ratio):
    values = [
        section_statistics(
            section(Graded(sigma=(2.3,), porosity=(0.35,), anisotropy=(ratio,)), seed), knots=(0.0,)
        )["anisotropy"]["whole"]
        for seed in range(6)
    ]  # fmt: skip
    # Ratio of half-lengths in each of 6 sections: scatter 5 to 15 %, and up to 2 % from interpolation between lags.
    assert np.mean(values) == pytest.approx(np.log(ratio), abs=0.02 + 3 * np.std(values, ddof=1) / np.sqrt(6))


def test_lateral_statistics_of_a_trend_and_of_a_mirror_image(solid, statistics):
    mirrored = section_statistics(solid[:, ::-1].copy(), knots=KNOTS)
    for group in ("lateral porosity", "lateral texture"):
        assert mirrored[group]["slope"] == pytest.approx(-statistics[group]["slope"], abs=0.03)  # bounds move a pixel
        assert mirrored[group]["curvature"] == pytest.approx(statistics[group]["curvature"], abs=0.03)
    straight, bowed = lateral_variation(np.linspace(1.0, 3.0, 12)), lateral_variation(1 - np.linspace(-1, 1, 12) ** 2)
    assert (straight["slope"], straight["curvature"]) == (pytest.approx(2.0), pytest.approx(0.0, abs=1e-12))
    assert (bowed["slope"], bowed["curvature"]) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))
    columns = np.arange(240) // 20 / 24 + 0.01
    stripes = np.arange(100)[:, None] < 100 * columns
    np.testing.assert_allclose(strip_porosity(stripes), columns[::20], atol=0.01)


def test_largest_distances_are_those_of_a_disc():
    """The distance to the nearest solid of the centre of a disc is its radius; walls are those of a lattice."""
    z, x = np.mgrid[:160, :160]
    solid = (z % 4 > 1) | (x % 4 > 1)
    solid[(z - 60) ** 2 + (x - 80) ** 2 < 18**2] = False
    statistics = section_statistics(solid, knots=(0.0,))
    assert np.exp(statistics["voids"]["whole, largest"]) == pytest.approx(18, abs=1)
    assert np.exp(statistics["voids by depth"]["quarter 2, largest"]) == pytest.approx(18, abs=1)
    assert np.exp(statistics["voids by depth"]["quarter 4, largest"]) == pytest.approx(1, abs=0.5)
    fourth = ndimage.distance_transform_edt(~solid)
    expected = np.log((fourth**4).sum() / np.count_nonzero(fourth)) / 4
    assert statistics["voids"]["whole, widths"] == pytest.approx(expected, abs=1e-3)


def test_openings_and_chords_equal_direct_computation(solid, statistics):
    for name, phase in (("pores", ~solid), ("solid", solid)):
        for square in OPENING_SQUARES:
            radius = int(square**0.5)
            disc = (np.mgrid[(slice(-radius, radius + 1),) * 2] ** 2).sum(0) <= square
            opened = ndimage.binary_dilation(ndimage.binary_erosion(phase, disc, border_value=1), disc)
            one = np.pi * square
            expected = np.log((opened.sum() + one) / (phase.sum() + one))
            assert statistics["openings"][f"{name}, r2 = {square}"] == pytest.approx(expected, rel=1e-12)
        lengths = []
        for row in phase:
            labels, n = ndimage.label(row)
            sizes = np.bincount(labels, minlength=n + 1)[1:]
            inside = [k for k in range(n) if labels[0] != k + 1 and labels[-1] != k + 1]
            lengths += [sizes[k] for k in inside]
        chords = statistics["chords"]
        # Half a chord of one pixel is added, so that no section is without.
        assert np.exp(chords[f"{name}, mean"]) == pytest.approx(np.mean(lengths), rel=1e-3)
        assert np.exp(chords[f"{name}, 95 % quantile"]) == pytest.approx(np.quantile(lengths, 0.95), abs=1)
        assert np.exp(chords[f"{name}, short"]) == pytest.approx(np.mean(np.array(lengths) <= 2), abs=1e-3)


def test_the_euler_number_is_the_mean_of_both_neighbourhoods(solid, statistics):
    expected = (euler_number(~solid, 1) + euler_number(~solid, 2)) / 2 / solid.size * 10_000
    assert statistics["Euler"]["pores"] == pytest.approx(expected, rel=1e-12)


def test_the_grey_histogram_does_not_depend_on_brightness_and_contrast(solid):
    rng = np.random.default_rng(1)
    grey = ndimage.gaussian_filter(solid.astype(float), 1.0) + 0.05 * rng.standard_normal(solid.shape)
    blurred = ndimage.gaussian_filter(grey, 1.5)
    first, second, third = (
        grey_statistics(image, solid, smoothing=0.7)["grey histogram"] for image in (grey, 0.24 + 0.4 * grey, blurred)
    )
    assert first == pytest.approx(second, abs=1e-3)
    assert third["below 0.3"] < first["below 0.3"] - 0.02  # more pixels are grey


def test_white_correlated_and_unequal_noise(solid):
    """Some ten thousand pairs of pixels determine semivariances within one or two percent."""
    rng = np.random.default_rng(2)
    white = rng.standard_normal(solid.shape)
    smoothed = white + 0.5 * np.roll(white, 1, 1) + 0.5 * np.roll(white, 1, 0)
    unequal = np.where(solid, 2.0, 1.0) * white
    noise = [grey_statistics(solid + 0.05 * e, solid, smoothing=0)["noise"] for e in (white, smoothed, unequal)]
    assert [one["correlation"] for one in noise] == pytest.approx([0.0, 1 / 3, 0.0], abs=0.05)
    assert [one["ratio"] for one in noise] == pytest.approx([0.0, 0.0, np.log(4)], abs=0.15)


def test_largest_distances_are_tested_as_reciprocals():
    values = np.log(np.array([2.0, 4.0]))
    np.testing.assert_allclose(nearly_normal("whole, largest", values), [-0.5, -0.25])
    np.testing.assert_array_equal(nearly_normal("whole, widths", values), values)
    assert is_one_sided("voids by depth")
    assert not is_one_sided("chords")
