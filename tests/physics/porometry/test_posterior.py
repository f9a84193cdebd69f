"""Posterior of radius, porosity, pore number and thickness: reference quantiles, consistency, contradictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.cylindrical_pores import largest_thickness, pore_number
from membrane_dask.physics.porometry.posterior import (
    QUANTITIES,
    PermeabilityEstimate,
    Prior,
    interval_factors,
    posterior,
)

RANGES = {"radius": (0.5e-9, 1e-5), "thickness": (1e-8, 2e-4)}
#: A membrane with the permeability of PESm-1.
TRUTH = np.array([5e-9, 0.05, pore_number(0.05, 5e-9, 0.0034), 0.05 * 25e-18 / (8 * 0.891e-3 * 2.71e-10)])


def estimate(error: float = 0.042, degrees_of_freedom: int = 1000) -> PermeabilityEstimate:
    return PermeabilityEstimate(2.71e-10, 2.71e-10 * error, degrees_of_freedom, 0.891e-3, 0.0034)


def normal_prior(name: str, relative_error: float) -> Prior:
    value = TRUTH[QUANTITIES.index(name)]
    return Prior("normal", value, relative_error * value)


def test_reference_quantiles():
    """PESm-1 with several priors; the error of the quadrature is below the digits of the reference values."""
    radius = Prior("normal", 3.15e-9, 0.25e-9)
    sample = posterior(estimate(), {"radius": radius, "thickness": Prior("loguniform", 1e-7, 1e-6)}, RANGES)
    probabilities = (0.025, 0.5, 0.975)
    quantiles = dict(zip(QUANTITIES, sample.quantiles(probabilities), strict=True))
    np.testing.assert_allclose(quantiles["porosity"], [0.019, 0.062, 0.199], rtol=0.02)
    np.testing.assert_allclose(quantiles["pore_number"], [1.8e12, 6.8e12, 2.6e13], rtol=0.02)
    fixed = posterior(estimate(), {"radius": radius, "thickness": Prior("exact", 1.075e-6)}, RANGES)
    np.testing.assert_allclose(fixed.quantiles(probabilities)[1], [0.155, 0.209, 0.296], rtol=0.005)
    counted = posterior(
        estimate(), {"pore_number": Prior("exact", 7.55e9), "thickness": Prior("exact", 1.075e-4)}, RANGES
    )
    np.testing.assert_allclose(counted.quantiles(probabilities)[0] * 1e9, [72.3, 73.9, 75.3], atol=0.06)
    assert counted.quantiles((0.5,))[1] == pytest.approx(0.038, abs=5e-4)


@settings(max_examples=20, deadline=None)
@given(pair=st.sampled_from([(a, b) for a in QUANTITIES for b in QUANTITIES if a < b]), error=st.floats(0.01, 0.2))
def test_any_two_priors_determine_all_four_quantities(pair, error):
    sample = posterior(estimate(), {name: normal_prior(name, error) for name in pair}, RANGES)
    radius, porosity, number, thickness = np.exp(sample.logarithms)
    np.testing.assert_allclose(number * math.pi * radius**2 / 0.0034, porosity, rtol=1e-9)
    permeability = porosity * radius**2 / thickness / (8 * 0.891e-3)
    assert np.average(permeability, weights=sample.weights) == pytest.approx(2.71e-10, rel=0.02)
    assert (porosity[sample.weights > 0] < 1).all()
    assert sample.independent_data == 2
    # All pairs are of one membrane.
    low, high = sample.quantiles((0.001, 0.999)).T
    assert (low <= TRUTH).all()
    assert (high >= TRUTH).all()


def test_the_measure_does_not_depend_on_the_pair():
    """Quantities without a prior are uniform in the logarithm, whichever pair is drawn."""
    ends = {"radius": (2e-9, 2e-8), "thickness": (1e-7, 1e-6)}
    by_radius = posterior(estimate(1e-6), {name: Prior("loguniform", *of) for name, of in ends.items()}, RANGES)
    # The same region by porosity and thickness; the radius follows, and is cut to its range by the weights.
    wide = Prior("loguniform", 1e-6, 0.999999)
    priors = {"porosity": wide, "thickness": Prior("loguniform", *ends["thickness"]),
              "radius": Prior("loguniform", *ends["radius"])}  # fmt: skip
    by_porosity = posterior(estimate(1e-6), priors, RANGES)
    probabilities = (0.1, 0.5, 0.9)
    np.testing.assert_allclose(by_radius.quantiles(probabilities), by_porosity.quantiles(probabilities), rtol=0.02)


def test_fewer_than_two_priors_leave_a_ridge():
    sample = posterior(estimate(), {"radius": normal_prior("radius", 0.05)}, RANGES)
    assert sample.independent_data == 1
    low, high = sample.quantiles((0.025, 0.975))[3]
    assert high / low > 100  # the thickness is bounded only by a porosity of 1
    assert high < largest_thickness(2.71e-10, 6e-9, 0.891e-3)
    without_priors = posterior(estimate(), {}, RANGES)
    assert without_priors.independent_data == 0
    spread = np.log(without_priors.quantiles((0.025, 0.975)))
    assert (spread[:, 1] - spread[:, 0] > 3).all()
    logarithms = without_priors.logarithms
    ratio = np.exp(logarithms[1] + 2 * logarithms[0] - logarithms[3])
    assert np.average(ratio, weights=without_priors.weights) == pytest.approx(8 * 0.891e-3 * 2.71e-10, rel=0.01)


def test_impossible_and_contradictory_priors():
    thick = {"radius": Prior("exact", 3.15e-9), "thickness": Prior("exact", 1.075e-4)}
    with pytest.raises(
        PhysicsError, match=r"porosity of 1 or more; with a radius of 3\.15 nm .* thinner than 5\.14 um"
    ):
        posterior(estimate(), thick, RANGES)
    priors = {
        "radius": normal_prior("radius", 0.01),
        "thickness": normal_prior("thickness", 0.01),
        "porosity": Prior("normal", 0.5, 0.005),
    }
    with pytest.raises(PhysicsError, match="contradict each other"):
        posterior(estimate(), priors, RANGES)


def test_a_third_prior_narrows_all_intervals():
    two = {"radius": normal_prior("radius", 0.1), "thickness": normal_prior("thickness", 0.2)}
    before = posterior(estimate(), two, RANGES).quantiles((0.025, 0.975))
    three = two | {"porosity": normal_prior("porosity", 0.05)}
    after = posterior(estimate(), three, RANGES).quantiles((0.025, 0.975))
    assert (after[:, 1] / after[:, 0] < before[:, 1] / before[:, 0]).all()


def test_draws_have_the_quantiles_of_the_posterior():
    priors = {"radius": normal_prior("radius", 0.1), "thickness": normal_prior("thickness", 0.2)}
    sample = posterior(estimate(), priors, RANGES)
    draws = sample.draws(4000)
    np.testing.assert_allclose(
        np.quantile(draws, (0.1, 0.5, 0.9), axis=1).T, sample.quantiles((0.1, 0.5, 0.9)), rtol=0.02
    )
    assert (posterior(estimate(), priors, RANGES).draws(50) == sample.draws(50)).all()


def test_expected_intervals_after_a_further_measurement():
    """The expectation agrees with a real measurement, and the least known quantity narrows the intervals most."""
    priors = {"radius": Prior("normal", 3.15e-9, 0.25e-9), "thickness": Prior("loguniform", 1e-7, 1e-6)}
    sample = posterior(estimate(), priors, RANGES)
    factors = interval_factors(sample, {"again": ("radius", 0.08), "layer": ("thickness", 0.1)})
    assert np.log(factors["layer"]).mean() < np.log(factors["again"]).mean() < np.log(factors["now"]).mean()
    present = sample.quantiles((0.025, 0.975))
    np.testing.assert_allclose(factors["now"], present[:, 1] / present[:, 0], rtol=0.04)
    real = posterior(estimate(), {"radius": priors["radius"], "thickness": Prior("normal", 3e-7, 3e-8)}, RANGES)
    after = real.quantiles((0.025, 0.975))
    # Normal errors here, log-normal ones in the expectation: equal to a few percent.
    np.testing.assert_allclose(np.log(factors["layer"]), np.log(after[:, 1] / after[:, 0]), rtol=0.1)
