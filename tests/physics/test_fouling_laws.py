"""Laws of a filter's life: analytic limits, conservation of foulant, and limits in which one law becomes another."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from test_pore_network import network_of

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import FilterLife, filter_life
from membrane_dask.physics.networks.fouling_laws import END_CAUSES, FoulingLaws, Species
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.random_network import generate

R0 = 0.01
TUBE = [(0, INLET, 0.5, R0), (0, OUTLET, 0.5, R0)]
CONSERVING = FoulingLaws(conserving=True, flux_fraction=0.01)
SPECIES = (Species(1e-7, 0.5), Species(1e-6, 0.5))


@pytest.fixture(scope="module")
def random_network() -> PoreNetwork:
    """A random network of four bands, of some 1,500 pores."""
    return generate(
        np.random.default_rng(5), l_min=0.06, l_max=0.25, radii=band_radii(0.01, 2e-3, 4), porosity=0.2,
        porosity_tolerance=0.02,
    )  # fmt: skip


def life_of(pores, laws=None, *, deposition=1e-6, time_step=1e-4, **options) -> FilterLife:
    """Life of a network given by its pores, or of a network."""
    network = pores if isinstance(pores, PoreNetwork) else network_of(pores, 1 + max(p[0] for p in pores))
    options = {"flux_threshold": 1e-12, "laws": laws or FoulingLaws(), **options}
    return filter_life(network, deposition=deposition, time_step=time_step, **options)


def cause(life: FilterLife) -> str:
    return END_CAUSES[life.end_of_life_cause]


def test_standard_blocking_is_a_limit_of_the_conserving_law():
    """All foulant stays in the pore: q = q0 (1 + t/tau)^-2 with tau = lambda / (2 r0^2) for one tube of length 1."""
    tau = 5e-5 / (2 * R0**2)
    errors = []
    for time_step in (4e-3, 2e-3):
        laws = dataclasses.replace(CONSERVING, end_time=round(2.4 / time_step))  # to 1 % of the flux: 9 tau = 2.25
        life = life_of([(0, INLET, 0.999, R0), (0, OUTLET, 0.001, 1.0)], laws, deposition=5e-5, time_step=time_step)
        t = time_step * np.arange(len(life.flux))
        errors.append(np.abs(life.flux / R0**4 / (1 + t / tau) ** -2 - 1).max())
    assert cause(life) == "flux_fraction"
    assert errors[1] < 0.03  # of the two tubes, 1e-3 of the length is a wide pore
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.35)  # Euler's method is of first order


def test_one_pore_with_conserving_deposition():
    """dr/dt = -(1 - exp(-x)) / x with x = lambda / r^3, integrated by the classical Runge-Kutta method."""

    def slope(r):
        x = 1e-6 / r**3
        return -(1 - math.exp(-x)) / x

    r, h = R0, 1e-5
    for _ in range(500):
        a = slope(r)
        b = slope(r + h / 2 * a)
        c = slope(r + h / 2 * b)
        r += h / 6 * (a + 2 * b + 2 * c + slope(r + h * c))
    laws = FoulingLaws(conserving=True, end_time=500)
    wide = [(0, INLET, 0.9999, R0), (0, OUTLET, 0.0001, 1.0)]
    life = life_of(wide, laws, time_step=1e-5, deposition=1e-6 / 0.9999**2)
    assert life.flux[-1] / life.flux[0] == pytest.approx((r / R0) ** 4, rel=3e-3)  # 1e-5: first order in the step


@pytest.mark.parametrize("segments", [1, 3])
def test_conserving_deposition_conserves_foulant(random_network, segments):
    laws = dataclasses.replace(CONSERVING, segments=segments)
    life = life_of(random_network, laws, deposition=5e-7, time_step=5e-4)
    assert life.foulant_balance == pytest.approx(1, abs=1e-6)  # pores that close within a step take up less
    published = life_of(random_network, deposition=5e-7, time_step=5e-4)
    assert published.foulant_balance > 1.1


def test_foulant_is_conserved_with_every_law(random_network):
    """Species, erosion and constant flux together, and nothing is lost."""
    laws = FoulingLaws(
        conserving=True, species=SPECIES, erosion_rate=100, critical_shear=0.001, flux="initial",
        pressure_limit=4, end_time=60,
    )  # fmt: skip
    life = life_of(random_network, laws, time_step=5e-4)
    assert life.foulant_balance == pytest.approx(1, abs=1e-6)
    lost = life_of(random_network, dataclasses.replace(laws, erosion_returned=False), time_step=5e-4)
    assert lost.foulant_balance < 0.99


def test_pieces_resolve_the_deposit_along_a_pore():
    """Pieces in one pore are the same as so many pores in series."""
    laws = dataclasses.replace(CONSERVING, end_time=80, flux_fraction=0.0)
    pieces = life_of(TUBE, dataclasses.replace(laws, segments=2), deposition=2e-6)
    series = [(0, INLET, 0.25, R0), (0, 1, 0.25, R0), (1, 2, 0.25, R0), (2, OUTLET, 0.25, R0)]
    np.testing.assert_allclose(pieces.flux, life_of(series, laws, deposition=2e-6).flux, rtol=1e-9)
    one_piece = life_of(TUBE, laws, deposition=2e-6)
    assert one_piece.flux[-1] > 1.01 * pieces.flux[-1]


def test_equal_species_are_one_foulant(random_network):
    one = life_of(random_network, deposition=5e-7, time_step=5e-4)
    for conserving in (False, True):
        laws = FoulingLaws(conserving=conserving, end_time=15)
        one = life_of(random_network, laws, deposition=5e-7, time_step=5e-4)
        equal = dataclasses.replace(laws, species=(Species(5e-7, 0.25), Species(5e-7, 0.75)))
        several = life_of(random_network, equal, time_step=5e-4)
        np.testing.assert_allclose(several.flux, one.flux, rtol=1e-12)
        np.testing.assert_allclose(several.species_concentration, one.foulant_concentration, rtol=1e-12)
        np.testing.assert_allclose(several.species_purity, [0.25, 0.75], rtol=1e-12)
        assert several.throughput == pytest.approx(one.throughput, rel=1e-12)


def test_species_of_one_tube():
    """Clean tube: c = exp(-lambda_s / r0^3); the inlet narrows at rate 1 whatever the species."""
    laws = FoulingLaws(species=(Species(2e-7, 0.4), Species(2e-6, 0.6)))
    life = life_of(TUBE, laws, time_step=2.5e-4)
    np.testing.assert_allclose(life.species_concentration_out[0], [0.8187307531, 0.1353352832], rtol=1e-9)
    assert life.lifetime == pytest.approx(R0)
    assert life.foulant_concentration == pytest.approx(0.4 * life.species_yield[0] + 0.6 * life.species_yield[1])


@pytest.mark.parametrize("deposition", [1e-8, 1e-6])
def test_constant_flux_as_published(deposition):
    """The inlet narrows at rate 1: TMP reaches the limit at T = r0 (1 - limit^-1/4) where both pores narrow alike."""
    target = 0.7 * R0**4
    laws = FoulingLaws(flux=target, pressure_limit=10.0)
    life = life_of([(0, INLET, 0.9999, R0), (0, OUTLET, 0.0001, 1.0)], laws, deposition=deposition, time_step=1e-5)
    assert cause(life) == "pressure_limit"
    # 0.7: the first TMP; the wide pore at the outlet takes 1e-4 of the length.
    assert life.lifetime == pytest.approx(R0 * (1 - (10 / 0.7) ** -0.25), rel=2e-4)
    assert life.throughput == pytest.approx(target * life.lifetime / deposition, rel=1e-12)
    assert life.initial_transmembrane_pressure == pytest.approx(0.7, rel=1e-3)
    assert np.isnan(life.throughput_threshold)


def test_first_pressure_at_the_limit():
    life = life_of(TUBE, FoulingLaws(flux=6 * R0**4, pressure_limit=5.0))
    assert (life.lifetime, life.throughput) == (0, 0)
    assert life.foulant_concentration == life.foulant_concentration_out[0]
    initial = life_of(TUBE, FoulingLaws(flux="initial", pressure_limit=5.0))
    assert initial.initial_transmembrane_pressure == 1


def test_strong_erosion_keeps_a_pore_clean():
    """With rate r0 / 2 > 1 the shear removes all that is deposited."""
    life = life_of(TUBE, FoulingLaws(erosion_rate=300, end_time=100))
    np.testing.assert_allclose(life.flux, R0**4, rtol=1e-12)
    assert cause(life) == "time"


def test_erosion_of_one_pore():
    """c = 1: r = r_s + (r0 - r_s) exp(rate t / 2) with r_s = 2 (critical + 1/rate)."""
    laws = FoulingLaws(erosion_rate=100, end_time=800)
    life = life_of([(0, INLET, 0.9999, R0), (0, OUTLET, 0.0001, 1.0)], laws, time_step=1e-5)
    r = 0.02 - (0.02 - R0) * math.exp(100 * 0.008 / 2)
    assert life.flux[-1] / life.flux[0] == pytest.approx((r / R0) ** 4, rel=5e-3)  # first order; the wide outlet


def test_ends_of_life(random_network):
    whole = life_of(random_network, deposition=5e-7, time_step=5e-4)
    half = life_of(random_network, FoulingLaws(flux_fraction=0.5), deposition=5e-7, time_step=5e-4)
    assert (cause(whole), cause(half)) == ("extinction", "flux_fraction")
    threshold = life_of(random_network, deposition=5e-7, time_step=5e-4, flux_threshold=0.5 * whole.initial_flux)
    for name in ("throughput", "lifetime", "foulant_concentration", "porosity_usage"):
        assert getattr(half, name) == pytest.approx(getattr(threshold, f"{name}_threshold"), rel=1e-12), name
    timed = life_of(random_network, FoulingLaws(end_time=7), deposition=5e-7, time_step=5e-4)
    assert (cause(timed), timed.lifetime, len(timed.flux)) == ("time", 0.0035, 8)
    np.testing.assert_array_equal(timed.flux, whole.flux[:8])
    assert np.isnan(life_of(random_network, FoulingLaws(end_time=7), time_step=5e-4).throughput_threshold)
    with pytest.raises(PhysicsError, match=r"end_of_life\.time"):
        life_of(TUBE, FoulingLaws(erosion_rate=300))


def test_second_order_integration_converges_faster():
    """Adams-Bashforth applies to the squares of the radii: its error falls four times as the step is halved."""
    laws = FoulingLaws(conserving=True, end_time=1)
    flux = {}
    for n in (20, 40, 640):
        for integrator in ("euler", "adams-bashforth"):
            one = dataclasses.replace(laws, end_time=n)
            life = life_of(TUBE, one, deposition=2e-6, time_step=0.006 / n, integrator=integrator)
            flux[integrator, n] = life.flux[-1]
    exact = flux["adams-bashforth", 640]
    errors = {key: abs(value - exact) for key, value in flux.items()}
    assert errors["adams-bashforth", 40] < 0.3 * errors["euler", 40]
    assert errors["adams-bashforth", 20] / errors["adams-bashforth", 40] > 3


def test_undefined_combinations_are_refused():
    with pytest.raises(ValueError, match="segments"):
        FoulingLaws(segments=2)
    with pytest.raises(ValueError, match="segments"):
        FoulingLaws(conserving=True, segments=2, erosion_rate=1)


def test_balance_of_second_order_integration(random_network):
    """Foulant is removed with the weights of the method, so that the conserving law keeps the balance."""
    laws = FoulingLaws(conserving=True, end_time=15)
    life = life_of(random_network, laws, deposition=5e-7, time_step=5e-4, integrator="adams-bashforth")
    assert life.foulant_balance == pytest.approx(1, abs=1e-4)  # but rates are not extrapolated below 0
