"""Correlation about a profile of the porosity: a direct sum, theory, and structures of known anisotropy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from membrane_dask.physics.analytic_problems import GaussianExcursion
from membrane_dask.physics.reconstruction.directional_correlation import (
    correlation,
    half_lengths,
    knot_weights,
    log_anisotropy,
    porosity_profile,
)
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

KNOTS = (0.0, 0.4, 1.0)


def sections(structure: Graded, n: int, depth: int = 256, width: int = 320) -> list[np.ndarray]:
    """Independent sections, True in the solid."""
    return [
        generate_window(structure, depth=depth, start=(0, 1000 * k, 0), shape=(depth, 1, width), seed=6)[:, 0] > 0
        for k in range(n)
    ]


@pytest.mark.parametrize("direction", ["depth", "row"])
@pytest.mark.parametrize("masked", [False, True])
def test_correlation_equals_the_direct_sum(direction, masked):
    rng = np.random.default_rng(3)
    solid = rng.random((13, 11)) < np.linspace(0.3, 0.7, 13)[:, None]
    inside = rng.random(solid.shape) < 0.8 if masked else np.ones_like(solid)
    profile = porosity_profile(solid, KNOTS, inside if masked else None)
    lags = np.arange(4)
    result = correlation(
        [solid], knots=KNOTS, weights=knot_weights(KNOTS, 13), lags=lags, direction=direction,
        inside=inside if masked else None,
    )  # fmt: skip
    deviation = ~solid - profile[:, None]
    expected = np.zeros((3, 4))
    for j, row in enumerate(np.eye(3)):
        for lag in lags:
            total = weight = 0.0
            dz, dx = (lag, 0) if direction == "depth" else (0, lag)
            for z in range(13 - dz):
                w = np.interp((z + dz / 2) / 12, KNOTS, row)
                for x in range(11 - dx):
                    if inside[z, x] and inside[z + dz, x + dx]:
                        total += w * deviation[z, x] * deviation[z + dz, x + dx]
                        weight += w
            expected[j, lag] = total / weight
    np.testing.assert_allclose(result, expected / expected[:, :1], rtol=1e-10, atol=1e-12)


def test_the_profile_of_a_porosity_that_is_linear_between_the_knots():
    """A section whose rows have this porosity; rows without used pixels do not matter."""
    porosity = np.interp(np.linspace(0, 1, 101), KNOTS, [0.2, 0.6, 0.4])
    solid = np.arange(1000) >= np.round(1000 * porosity)[:, None]
    np.testing.assert_allclose(porosity_profile(solid, KNOTS), porosity, atol=1e-3)  # rows of 1000 pixels
    inside = np.ones_like(solid)
    inside[30:40] = False
    solid[30:40] = True
    np.testing.assert_allclose(porosity_profile(solid, KNOTS, inside), porosity, atol=1e-3)


@pytest.mark.parametrize(("sigma", "ratio"), [(2.5, 1.0), (2.5, 3.0), (4.0, 0.6)])
def test_half_lengths_of_a_gaussian_structure(sigma, ratio):
    porosity = 0.35
    truth = GaussianExcursion(sigma, porosity)
    variance = porosity - porosity**2
    half = brentq(lambda r: (truth.two_point(r) - porosity**2) / variance - 0.5, 0.1, 20)
    each = sections(Graded(sigma=(sigma,), porosity=(porosity,), anisotropy=(ratio,)), 12)
    for direction, expected in (("row", half), ("depth", ratio * half)):
        lengths = [half_lengths([solid], knots=(0.0,), direction=direction)[0] for solid in each]
        error = np.std(lengths, ddof=1) / np.sqrt(len(lengths))
        # Linear interpolation between lags of a pixel adds up to 1 % where a length is a few pixels.
        assert abs(np.mean(lengths) - expected) < 3 * error + 0.01 * expected
        pooled = half_lengths(each, knots=(0.0,), direction=direction)[0]
        assert pooled == pytest.approx(np.mean(lengths), rel=0.02)


def test_a_graded_porosity_does_not_lengthen_the_correlation_along_the_depth():
    graded = sections(Graded(knots=(0.0, 1.0), sigma=(2.0,) * 2, porosity=(0.1, 0.75)), 8)
    whole = np.ones((1, 2 * 256 - 1))
    assert abs(log_anisotropy(graded, knots=(0.0, 1.0), weights=whole)[0]) < 0.05  # about 2 standard errors
    with_trend, without = (
        half_lengths(graded, knots=knots, direction="depth", weights=whole)[0] for knots in ((0.0,), (0.0, 1.0))
    )
    assert with_trend > 1.1 * without


def test_anisotropy_by_depth():
    """Windows of neighbouring knots overlap, so that each sees a part of the other."""
    structure = Graded(knots=(0.0, 1.0), sigma=(2.0,) * 2, porosity=(0.4,) * 2, anisotropy=(1.0, 3.0))
    upper, lower = np.exp(log_anisotropy(sections(structure, 6), knots=(0.0, 1.0)))
    assert 1.1 < upper < 1.7
    assert 2.0 < lower < 3.0


def test_a_section_that_never_decorrelates_has_no_half_length():
    stripes = np.tile(np.arange(60) // 6 % 2 == 0, (40, 1))
    assert np.isnan(half_lengths([stripes], knots=(0.0,), direction="depth")).all()
