"""Ratios of two states of one membrane: closed forms, coverage, and what both states have in common."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.cylindrical_pores import hydraulic_permeability
from membrane_dask.physics.porometry.paired_posterior import structure_ratios
from membrane_dask.physics.porometry.posterior import PermeabilityEstimate, Prior, posterior

VISCOSITY, AREA = 0.89e-3, 0.0034
#: An unknown but common thickness, m, and the radii in both states, m.
THICKNESS = Prior("loguniform", 0.5e-7, 5e-6)
FIRST_RADIUS, LATER_RADIUS = 6e-9, 4.5e-9


def estimate(value: float, error: float = 0.03, degrees_of_freedom: float = 1e6) -> PermeabilityEstimate:
    return PermeabilityEstimate(value, error * value, degrees_of_freedom, VISCOSITY, AREA)


def radius_prior(value: float, error: float) -> Prior:
    return Prior("normal", value, error * value)


def test_closed_form_with_a_common_thickness():
    """The thickness cancels: the ratio of porosities is that of permeabilities over that of squared radii."""
    permeabilities = (estimate(2e-10), estimate(0.5e-10))
    priors = tuple({"radius": radius_prior(r, 0.02), "thickness": Prior("loguniform", 1e-8, 1e-7)}
                   for r in (FIRST_RADIUS, LATER_RADIUS))  # fmt: skip
    ratios = structure_ratios(permeabilities, priors, 0.95)
    radius = LATER_RADIUS / FIRST_RADIUS
    # Standard deviations of the logarithm, to first order; the quadrature has an error of 1 % of them.
    for name, value, error in (
        ("radius", radius, math.hypot(0.02, 0.02)),
        ("porosity", 0.25 / radius**2, math.hypot(0.03, 0.03, 0.04, 0.04)),
        ("pore_number", 0.25 / radius**4, math.hypot(0.03, 0.03, 0.08, 0.08)),
    ):
        assert ratios[name].value == pytest.approx(value, rel=0.01)
        assert math.log(ratios[name].high / ratios[name].low) == pytest.approx(2 * 1.96 * error, rel=0.03)


def test_different_priors_of_the_thickness_are_independent():
    permeabilities = (estimate(2e-10), estimate(0.5e-10))
    ranges = (("loguniform", 1e-8, 1e-7), ("loguniform", 1e-8, 1.001e-7))
    priors = tuple({"radius": radius_prior(4e-9, 0.02), "thickness": Prior(*ends)} for ends in ranges)
    porosity = structure_ratios(permeabilities, priors, 0.95)["porosity"]
    assert porosity.high / porosity.low > 20


def test_agreement_with_the_posteriors_of_both_states():
    """With independent priors, and without a common quantity, medians are the ratios of both medians."""
    permeabilities = (estimate(2e-10, 0.01), estimate(0.5e-10, 0.01))
    priors = tuple({"porosity": Prior("normal", eps, 0.02 * eps), "radius": radius_prior(r, 0.02)}
                   for eps, r in ((0.08, 6e-9), (0.05, 4e-9)))  # fmt: skip
    first, later = (
        posterior(permeability, data, {}).quantiles((0.5,))[:, 0]
        for permeability, data in zip(permeabilities, priors, strict=True)
    )
    ratios = structure_ratios(permeabilities, priors, 0.95)
    np.testing.assert_allclose([ratios[n].value for n in ("radius", "porosity", "pore_number")],
                               (later / first)[:3], rtol=2e-3)  # fmt: skip


def test_coverage_of_simulated_pairs():
    """Priors are measurements with errors; 95 % of 50 intervals, within three standard deviations of the count."""
    rng = np.random.default_rng(3)
    inside = np.zeros(3)
    for _ in range(50):
        thickness = math.exp(rng.uniform(math.log(1e-7), math.log(1e-6)))
        radii = rng.uniform(3e-9, 8e-9, 2)
        porosities = rng.uniform(0.01, 0.1, 2)
        true = [hydraulic_permeability(r, eps, thickness, VISCOSITY) for r, eps in zip(radii, porosities, strict=True)]
        permeabilities = tuple(estimate(value * (1 + 0.03 * rng.standard_normal())) for value in true)
        priors = tuple(
            {"radius": radius_prior(r * (1 + 0.05 * rng.standard_normal()), 0.05), "thickness": THICKNESS}
            for r in radii
        )
        ratios = structure_ratios(permeabilities, priors, 0.95)
        radius, porosity = radii[1] / radii[0], porosities[1] / porosities[0]
        for k, (name, ratio) in enumerate(
            (("radius", radius), ("porosity", porosity), ("pore_number", porosity / radius**2))
        ):
            inside[k] += ratios[name].low <= ratio <= ratios[name].high
    assert (np.abs(inside / 50 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 50)).all(), inside / 50


def test_states_that_are_refused():
    with pytest.raises(ValueError, match="each state needs two priors"):
        structure_ratios((estimate(2e-10), estimate(1e-10)), ({"thickness": THICKNESS}, {}), 0.95)
    narrow = {"radius": radius_prior(1e-9, 0.01), "thickness": Prior("exact", 1e-4)}
    with pytest.raises(PhysicsError, match="contradict"):
        structure_ratios((estimate(2e-10), estimate(1e-10)), (narrow, narrow), 0.95)
