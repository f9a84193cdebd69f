"""Laws of sieving, Stokes radii, and sieving by a membrane with a log-normal distribution of pore radii."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.membrane_sieving import (
    FiltrationConditions,
    actual_sieving,
    observed_sieving,
    polarised,
    sieving_error,
    unpolarised,
)  # fmt: skip
from membrane_dask.physics.porometry.sieving_laws import (
    LAWS,
    dechadilok_deen,
    diffusive_hindrance,
    pore_peclet_number,
    radius_ratio_at,
    sieving_at_peclet_number,
)  # fmt: skip
from membrane_dask.physics.porometry.solutes import (
    DEXTRAN,
    StokesRelation,
    TabulatedSolutes,
    diffusivity,
    mass_transfer_coefficient,
    stokes_relation,
)  # fmt: skip

VISCOSITY = 0.8900225e-3  # water at 25 degC


@pytest.mark.parametrize(
    ("law", "half", "nine_tenths"),
    [("ferry", 0.4588039, 0.7734681), ("zeman-wales", 0.4159861, 0.7249509), ("dechadilok-deen", 0.3896957, 0.7191684)],
)
def test_size_ratios_at_which_pores_of_one_size_reject_50_and_90_percent(law, half, nine_tenths):
    assert radius_ratio_at(0.5, law) == pytest.approx(half, rel=2e-7)  # printed to seven digits
    assert radius_ratio_at(0.9, law) == pytest.approx(nine_tenths, rel=2e-7)


def test_hindrance_factors():
    ratios = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    convective = [0.9387892, 0.6450449, 0.3364078, 0.1151227, 0.01119011]
    diffusive = [0.5918438, 0.2033331, 0.0474472, 0.004903937, 3.299566e-05]
    np.testing.assert_allclose(dechadilok_deen(ratios), convective, rtol=5e-7)
    np.testing.assert_allclose(diffusive_hindrance(ratios), diffusive, rtol=5e-7)
    assert diffusive_hindrance(np.array([0.0, 1.0, 3.0])).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("law", LAWS)
def test_sieving_falls_from_one_to_zero(law):
    ratios = np.linspace(0, 1.2, 300)
    sieving = LAWS[law](ratios)
    assert sieving[0] == 1.0
    assert (np.diff(sieving[ratios <= 1]) < 0).all()
    assert (sieving[ratios >= 1] == 0).all()


def test_a_law_or_a_rejection_that_does_not_exist_is_refused():
    with pytest.raises(PhysicsError, match="known are ferry, zeman-wales, dechadilok-deen"):
        radius_ratio_at(0.9, "bungay")
    with pytest.raises(PhysicsError, match=r"rejection: between 0 and 1 \(got 1.0\)"):
        radius_ratio_at(1.0)


def test_diffusion_lets_all_pass_at_a_vanishing_flow_and_nothing_at_an_infinite_one():
    assert sieving_at_peclet_number(0.3, 1e-12) == pytest.approx(1.0, abs=1e-11)
    assert sieving_at_peclet_number(0.3, np.inf) == 0.3
    assert pore_peclet_number(1.0, 1e-9, 1e5, VISCOSITY, 1e-10) == np.inf  # the solute does not enter


def test_stokes_radii_of_dextrans():
    radii = 1e9 * DEXTRAN.radius(np.array([1, 10, 75, 500]))
    np.testing.assert_allclose(radii, [0.8081909, 2.347005, 5.965781, 14.35943], rtol=5e-7)
    assert stokes_relation("Dextran").molar_mass(DEXTRAN.radius(40.0)) == pytest.approx(40.0, rel=1e-12)


def test_solutes_without_a_confirmed_relation_are_refused_with_what_is_in_use():
    with pytest.raises(PhysicsError, match=r"0.0262 nm \* M\^0.5 or 0.01673 nm \* M\^0.557"):
        stokes_relation("PEG")
    with pytest.raises(PhysicsError, match="'ovalbumin' has no known Stokes radius"):
        stokes_relation("ovalbumin")
    with pytest.raises(PhysicsError, match="molar masses without the solute"):
        stokes_relation(None)


def test_tabulated_radii_are_interpolated_in_the_logarithm_and_continued():
    """On a power law, of which some masses are tabulated in any order, both give the law."""
    law = StokesRelation(0.0262e-9, 0.5)
    masses = np.array([35.0, 1.0, 10.0])
    table = TabulatedSolutes(law.radius(masses), masses)
    assert table.rising
    np.testing.assert_allclose(table.molar_mass(law.radius(np.array([0.2, 4.0, 200.0]))), [0.2, 4.0, 200.0], rtol=1e-12)
    assert not TabulatedSolutes(np.array([1e-9, 1e-9]), np.array([1.0, 2.0])).rising


def test_mass_transfer_coefficients_follow_the_diffusivity():
    radii = DEXTRAN.radius(np.array([10.5, 110.0]))
    coefficients = mass_transfer_coefficient(radii, 6e-6, radii[0])
    ratio = diffusivity(radii[1], 298.15, VISCOSITY) / diffusivity(radii[0], 298.15, VISCOSITY)
    assert coefficients[0] == 6e-6
    assert coefficients[1] == pytest.approx(6e-6 * ratio**0.667, rel=1e-12)


def test_sieving_at_finite_pressures():
    """Dextran of 1 kDa in pores of 3 nm with a log-standard deviation of 0.3."""
    radius = np.array([DEXTRAN.radius(1.0)])
    reference = {0.1: 0.9629622, 0.5: 0.8798507, 1: 0.8387018, 2: 0.8140879, 4: 0.8069688}
    for pressure, sieving in reference.items():
        conditions = FiltrationConditions(pressure * 1e5, VISCOSITY, 298.15)
        assert actual_sieving(radius, 3e-9, 0.3, conditions=conditions)[0] == pytest.approx(sieving, rel=1e-6)
    assert actual_sieving(radius, 3e-9, 0.3)[0] == pytest.approx(0.8062946, rel=1e-6)


def test_only_the_law_with_a_diffusive_hindrance_takes_conditions():
    with pytest.raises(PhysicsError, match="only dechadilok-deen"):
        actual_sieving([1e-9], 3e-9, 0.3, "ferry", FiltrationConditions(1e5, VISCOSITY, 298.15))
    with pytest.raises(PhysicsError, match=r"pressure: above 0 \(got 0"):
        FiltrationConditions(0.0, VISCOSITY, 298.15)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("median", "width"), [(3e-9, 0.02), (3e-9, 0.3), (2e-9, 1.2)])
def test_the_average_over_radii_agrees_with_adaptive_quadrature(law, median, width):
    radii = np.array([0.3, 1.0, 2.9, 6.0]) * 1e-9
    log_flow_median = np.log(median) + 4 * width**2

    def integrand(z, radius):
        return np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * LAWS[law](radius / np.exp(log_flow_median + width * z))

    for radius, sieving in zip(radii, actual_sieving(radii, median, width, law), strict=True):
        entrance = np.clip((np.log(radius) - log_flow_median) / width, -9, 9)
        expected = quad(integrand, entrance, 9, args=(radius,), epsabs=1e-13, limit=200)[0]
        assert sieving == pytest.approx(expected, rel=1e-8, abs=1e-11)


def test_parameters_are_broadcast():
    medians, widths = np.array([[2e-9], [3e-9]]), np.array([0.1, 0.3, 0.5])
    solutes = np.array([1e-9, 2e-9])
    sieving = observed_sieving(solutes, medians, widths, flux_ratio=np.array([0.5, 1.0]))
    assert sieving.shape == (2, 3, 2)
    alone = observed_sieving(solutes[1:], 3e-9, 0.3, flux_ratio=1.0)
    assert sieving[1, 1, 1] == pytest.approx(alone[0], rel=1e-14)


def test_polarisation_raises_the_observed_sieving_and_its_correction_undoes_it():
    sieving = np.array([0.0, 0.01, 0.5, 1.0])
    observed = polarised(sieving, 2.5)
    np.testing.assert_allclose(observed[1:3] / (1 - observed[1:3]), sieving[1:3] / (1 - sieving[1:3]) * np.exp(2.5))
    assert observed[[0, 3]].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(unpolarised(observed, 2.5), sieving, atol=1e-15)


def test_error_of_a_sieving_coefficient():
    assert sieving_error(1.0) == pytest.approx(np.hypot(0.03, 0.002))
    assert sieving_error(0.0, mixed_solutes=True) == pytest.approx(0.02)
