"""Fouling laws against their differential equations, and their fits to readings that have passed the instrument."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.decline_readings import DeclineReadings
from membrane_dask.physics.porometry.flux_decline import fit_flux_decline
from membrane_dask.physics.porometry.fouling_laws import LAWS, permeate_flux, permeate_volume

LMH = 1 / 3.6e6
INITIAL_FLUX = 200 * LMH
CONSTANTS = {
    "complete": (2e-4,), "standard": (10.0,), "intermediate": (10.0,), "cake": (4e7,),
    "cake-complete": (3e7, 1.6e-4), "cake-intermediate": (3e7, 5.0), "cake-standard": (3e7, 4.0),
    "complete-standard": (1.6e-4, 4.0), "intermediate-standard": (6.0, 4.0),
}  # fmt: skip
#: L/m2 after an hour.
VOLUMES = {
    "complete": 142.5688, "standard": 100, "intermediate": 109.8612, "cake": 12.97395, "cake-complete": 14.58823,
    "cake-intermediate": 14.37439, "cake-standard": 14.88586, "complete-standard": 117.1171,
    "intermediate-standard": 103.1732,
}  # fmt: skip
MINUTES = np.arange(2, 122, 4.0)


def balance(law="cake", constants=(4e7,), noise=0.0, digits=2, area=41.8e-4, seed=0, **options) -> DeclineReadings:
    """Volumes of a cell in mL, with a constant error and printed digits, from 0 on."""
    time = np.concatenate([[0.0], MINUTES * 60])
    volume = permeate_volume(law, time, INITIAL_FLUX, constants) * area * 1e6
    volume[1:] += noise * np.random.default_rng(seed).standard_normal(len(MINUTES))
    return DeclineReadings(time, np.round(volume, digits) * 1e-6 / area, **options)


def derivatives(law, constants):
    """Volume, open area, volume through open pores and resistance of the cake, as rates of their values.

    Standard blocking narrows the open pores by what passes each of them; the cake grows on the open area; blocking of
    the mouths is in proportion to the flux through what is open.
    """
    values = dict.fromkeys(("complete", "standard", "intermediate", "cake"), 0.0)
    values.update(zip(LAWS[law], constants, strict=True))

    def rates(_, state):
        _, area, through, deposit = state
        narrowing = (1 - values["standard"] * through / 2) ** 2
        velocity = INITIAL_FLUX / (1 / narrowing + values["cake"] * INITIAL_FLUX * deposit)
        blocking = values["complete"] * velocity / INITIAL_FLUX * area + values["intermediate"] * velocity * area**2
        return [velocity * area, -blocking, velocity, velocity]

    return rates


@pytest.mark.parametrize("law", LAWS)
def test_volumes_at_one_time(law):
    volume = permeate_volume(law, np.array([3600.0]), INITIAL_FLUX, CONSTANTS[law])
    assert 1e3 * volume[0] == pytest.approx(VOLUMES[law], rel=1e-6)


@pytest.mark.parametrize("law", LAWS)
def test_closed_forms_solve_the_differential_equations(law):
    time = np.linspace(0, 7200, 30)
    solution = solve_ivp(
        derivatives(law, CONSTANTS[law]), (0, 7200), [0, 1, 0, 0], "LSODA", time, rtol=1e-11, atol=1e-15
    )
    np.testing.assert_allclose(permeate_volume(law, time, INITIAL_FLUX, CONSTANTS[law]), solution.y[0], rtol=1e-7)


@pytest.mark.parametrize("law", LAWS)
def test_the_flux_is_the_derivative_of_the_volume(law):
    time = np.array([0.0, 60, 1800, 7200])
    flux = permeate_flux(law, time, INITIAL_FLUX, CONSTANTS[law])
    assert flux[0] == INITIAL_FLUX
    step = 0.1
    difference = permeate_volume(law, time + step, INITIAL_FLUX, CONSTANTS[law]) - permeate_volume(
        law, time - step, INITIAL_FLUX, CONSTANTS[law]
    )
    np.testing.assert_allclose(flux[1:], difference[1:] / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("law", [law for law in LAWS if "-" in law])
def test_a_combination_with_a_constant_of_zero_is_the_other_law(law):
    time = np.array([0.0, 60, 3600])
    for index, name in enumerate(LAWS[law]):
        constants = [0.0, 0.0]
        constants[index] = CONSTANTS[law][index]
        expected = permeate_volume(name, time, INITIAL_FLUX, constants[index : index + 1])
        np.testing.assert_allclose(permeate_volume(law, time, INITIAL_FLUX, constants), expected, rtol=1e-13)


def test_parameters_are_broadcast():
    fluxes, constants = np.array([[1e-5], [5e-5]]), np.array([1e7, 2e7, 4e7])
    volume = permeate_volume("cake-standard", np.array([0.0, 600, 3600]), fluxes, (constants, 4.0))
    assert volume.shape == (2, 3, 3)
    alone = permeate_volume("cake-standard", np.array([3600.0]), 5e-5, (2e7, 4.0))
    assert volume[1, 1, 2] == pytest.approx(alone[0], rel=1e-14)


def test_unknown_laws_and_constants_are_refused():
    with pytest.raises(PhysicsError, match="'pore' is not known; known are complete, standard"):
        permeate_volume("pore", [1.0], 1e-5, (1.0,))
    with pytest.raises(PhysicsError, match=r"cake-complete: 2 constants \(cake, complete\) are needed, got 1"):
        permeate_volume("cake-complete", [1.0], 1e-5, (1.0,))
    with pytest.raises(PhysicsError, match="law: pore not known"):
        fit_flux_decline(balance(), ["pore"])


def test_cake_filtration_printed_to_a_hundredth_of_a_millilitre():
    decline = fit_flux_decline(balance())
    best = decline.fits[0]
    assert best.law == "cake"
    assert best.constants["cake"].value == pytest.approx(4e7, rel=1e-3)
    assert best.initial_flux.low < INITIAL_FLUX < best.initial_flux.high
    assert best.initial_flux.value == pytest.approx(INITIAL_FLUX, rel=5e-3)
    assert best.residual_standard_deviation * 41.8e-4 * 1e6 == pytest.approx(0.01 / math.sqrt(12), rel=0.4)
    assert not {"complete", "standard", "intermediate"} & set(decline.candidates)


def test_combinations_that_fit_equally_are_all_named():
    """A cake that also closes pores, with an error of 0.03 L/m2."""
    decline = fit_flux_decline(balance("cake-complete", (3e7, 1.6e-4), noise=0.03, digits=3, area=1e-3, seed=3))
    assert {"cake-complete", "cake-intermediate", "cake-standard"} <= set(decline.candidates)
    assert any(finding.startswith("the data do not distinguish cake-") for finding in decline.findings)
    best = decline.fits[0].aicc
    assert decline.fit("cake").aicc > best + 2
    for law in ("complete", "standard", "intermediate", "complete-standard", "intermediate-standard"):
        assert decline.fit(law).aicc > best + 50


@pytest.mark.parametrize("law", ["complete", "standard", "intermediate", "cake"])
def test_each_single_law_is_recovered(law):
    constant = {"complete": 2e-4, "standard": 6.0, "intermediate": 10.0, "cake": 1e7}[law]
    decline = fit_flux_decline(balance(law, (constant,), noise=0.02, seed=11))
    assert law in decline.candidates
    estimate = decline.fit(law).constants[law]
    assert abs(estimate.value - constant) < 0.8 * (estimate.high - estimate.low)  # three standard errors
    assert estimate.value == pytest.approx(constant, rel=0.02)


@pytest.mark.parametrize("law", ["cake-standard", "cake-complete", "complete-standard"])
def test_two_constants_are_recovered_where_both_matter(law):
    constants = {"cake-standard": (3e7, 30.0), "cake-complete": (3e7, 3e-4), "complete-standard": (1.6e-4, 6.0)}[law]
    fit = fit_flux_decline(balance(law, constants, noise=0.01, seed=5, digits=3), [law]).fits[0]
    for name, value in zip(LAWS[law], constants, strict=True):
        estimate = fit.constants[name]
        width = estimate.high - estimate.low
        assert abs(estimate.value - value) < 0.8 * width  # three standard errors
        assert width < value


def test_fits_of_fluxes_and_of_increments():
    """The same cake by a flow meter with errors of 2 %, and by increments of a balance."""
    rng = np.random.default_rng(8)
    time = MINUTES * 60
    flux = permeate_flux("cake", time, INITIAL_FLUX, (4e7,)) * (1 + 0.02 * rng.standard_normal(len(time)))
    by_flux = fit_flux_decline(DeclineReadings(time, flux=flux)).fit("cake")
    assert by_flux.constants["cake"].low < 4e7 < by_flux.constants["cake"].high
    assert by_flux.residual_standard_deviation == pytest.approx(0.02, rel=0.35)
    assert by_flux.fitted.shape == flux.shape
    increments = np.diff(permeate_volume("cake", np.concatenate([[0.0], time]), INITIAL_FLUX, (4e7,)))
    volume = np.cumsum(increments + 1e-6 * rng.standard_normal(len(time)))
    by_increments = fit_flux_decline(DeclineReadings(time, volume, error="increments")).fit("cake")
    assert by_increments.constants["cake"].low < 4e7 < by_increments.constants["cake"].high
    assert by_increments.residual_standard_deviation == pytest.approx(1e-6, rel=0.35)


def test_units_and_times_scale():
    """A cell with ten times the time and a third of the volume: the constants scale with them."""
    readings = balance(noise=0.02, seed=2)
    first = fit_flux_decline(readings, ["cake"]).fits[0]
    second = fit_flux_decline(DeclineReadings(readings.time * 10, readings.volume / 3), ["cake"]).fits[0]
    assert second.initial_flux.value == pytest.approx(first.initial_flux.value / 30, rel=1e-6)
    assert second.constants["cake"].value == pytest.approx(first.constants["cake"].value * 90, rel=1e-6)
    assert second.constants["cake"].high == pytest.approx(first.constants["cake"].high * 90, rel=1e-6)


def test_the_clean_water_flux_is_a_prior():
    """Readings from 30 min on leave the initial flux open; a clean water flux of 200 +- 10 LMH closes it."""
    readings = balance(noise=0.4, seed=3)
    late = readings.time > 1800
    free = fit_flux_decline(DeclineReadings(readings.time[late], readings.volume[late]), ["cake"])
    prior = (INITIAL_FLUX, 10 * LMH)
    fixed = fit_flux_decline(
        DeclineReadings(readings.time[late], readings.volume[late], clean_water_flux=prior), ["cake"]
    )
    assert any("the initial flux is not determined" in finding for finding in free.findings)
    initial_flux = fixed.fits[0].initial_flux
    assert initial_flux.low < INITIAL_FLUX < initial_flux.high
    assert initial_flux.high - initial_flux.low < 45 * LMH
    readings = balance(noise=0.02, seed=3)
    wrong = DeclineReadings(readings.time, readings.volume, clean_water_flux=(400 * LMH, 100 * LMH))
    assert fit_flux_decline(wrong, ["cake"]).fits[0].initial_flux.value < 250 * LMH  # the readings outweigh it


def test_a_collapsed_combination_is_no_candidate():
    decline = fit_flux_decline(balance("standard", (6.0,), noise=0.02, seed=1))
    collapsed = [fit for fit in decline.fits if fit.collapsed]
    assert collapsed
    for fit in collapsed:
        assert fit.law not in decline.candidates
        assert all(fit.constants[name].value < 1e-3 * max(CONSTANTS[fit.law]) for name in fit.collapsed)
        assert all(fit.constants[name].low == 0 or math.isnan(fit.constants[name].low) for name in fit.collapsed)
    assert any(finding.startswith("collapsed to a simpler law: ") for finding in decline.findings)


def test_laws_that_do_not_fit_have_no_intervals():
    decline = fit_flux_decline(balance())
    for fit in decline.fits:
        has_interval = not math.isnan(fit.initial_flux.low)
        assert has_interval == (fit.aicc <= decline.fits[0].aicc + 2)


def test_an_initial_flux_that_the_readings_do_not_bound_has_an_open_interval():
    """Fluxes of a thick cake from 10 min on hardly depend on the initial flux."""
    time = np.arange(600, 7300, 240.0)
    noise = 1 + 0.02 * np.random.default_rng(6).standard_normal(len(time))
    flux = permeate_flux("cake", time, INITIAL_FLUX, (4e7,)) * noise
    decline = fit_flux_decline(DeclineReadings(time, flux=flux), ["cake"])
    initial_flux = decline.fits[0].initial_flux
    assert initial_flux.low < INITIAL_FLUX
    assert initial_flux.high == math.inf
    assert any("the initial flux is not determined" in finding for finding in decline.findings)
    assert decline.fits[0].constants["cake"].low < 4e7 < decline.fits[0].constants["cake"].high


def test_a_constant_flux_has_no_law():
    time = np.arange(0, 3601, 300.0)
    noise = 1e-5 * np.random.default_rng(4).standard_normal(len(time))
    volume = INITIAL_FLUX * time * (1 + 1e-4 * time / 3600) + np.where(time > 0, noise, 0)
    decline = fit_flux_decline(DeclineReadings(time, volume))
    assert not decline.candidates or decline.fits[0].constants[decline.fits[0].law.split("-")[0]].low == 0


def test_coverage_of_60_filtrations():
    """95 % intervals of the right law; 60 miss 3 on average, and more than 9 with a probability of 0.1 %."""
    missed = {"initial_flux": 0, "cake": 0, "complete": 0}
    for seed in range(60):
        readings = balance("cake-complete", (3e7, 1.6e-4), noise=0.1, digits=2, seed=[9, seed])
        fit = fit_flux_decline(readings, ["cake-complete"]).fits[0]
        truth = {"initial_flux": INITIAL_FLUX, "cake": 3e7, "complete": 1.6e-4}
        for name, estimate in {"initial_flux": fit.initial_flux, **fit.constants}.items():
            missed[name] += not estimate.low <= truth[name] <= estimate.high
    assert max(missed.values()) <= 9, missed


def refused(**changes) -> str:
    """Message of the error for a cake filtration with some changes."""
    readings = balance()
    arguments = {"time": readings.time, "volume": readings.volume, "rows": range(2, 33), **changes}
    with pytest.raises(PhysicsError) as failure:
        DeclineReadings(**arguments)
    return str(failure.value)


def test_volumes_that_fall_are_refused_by_row():
    volume = balance().volume.copy()
    volume[5] = 12e-4
    message = refused(volume=volume)
    assert "row 7: the cumulative volume falls (1.2 L/m2 after" in message
    volume = balance().volume + 1e-3
    assert "row 2: the volume at time 0 is 1 L/m2; subtract it" in refused(volume=volume)
    volume = np.where(balance().time < 300, 0, balance().volume)
    assert "row 3: no volume after 2 min" in refused(time=balance().time[1:], volume=volume[1:], rows=range(3, 33))


def test_pressures_times_and_fluxes_are_checked():
    pressure = np.linspace(1e5, 1.06e5, 31)
    assert "the pressure varies from 1 to 1.06 bar, by more than 5 %" in refused(pressure=pressure)
    DeclineReadings(balance().time, balance().volume, pressure=np.linspace(1e5, 1.04e5, 31))
    time = balance().time.copy()
    time[4] = time[3]
    assert "row 6: the time does not rise (10 min after 10 min)" in refused(time=time)
    assert "row 2: the time is below 0" in refused(time=balance().time - 1)
    few = slice(0, 6)
    message = refused(time=balance().time[few], volume=balance().volume[few], rows=None)
    assert "5 times above 0; at least 6 are needed" in message
    assert "no volume passes" in refused(volume=np.zeros(31))
    assert "31 times" in refused(volume=balance().volume[1:], rows=None)
    assert "either the volume or the flux" in refused(flux=balance().volume)
    assert "error: flux does not describe readings of volumes" in refused(error="flux")
    assert "reading 3: the volume is nan, not a number" in refused(
        volume=np.where(np.arange(31) == 2, np.nan, balance().volume), rows=None
    )
    assert "clean water flux: value and standard error must be above 0" in refused(clean_water_flux=(1e-5, 0.0))
    assert "reading 1: the flux must be above 0" in refused(volume=None, flux=np.arange(31.0), rows=None)


def test_a_cleaning_and_a_rising_flux_are_refused():
    time = np.arange(1, 21) * 300.0
    flux = permeate_flux("cake", time, INITIAL_FLUX, (4e7,))
    cleaned = np.concatenate([flux[:10], flux[:10]])
    with pytest.raises(PhysicsError, match=r"row 12: the flux rises from .* was the membrane cleaned"):
        DeclineReadings(time, flux=cleaned, rows=range(2, 22))
    noise = 1 + 0.03 * np.random.default_rng(1).standard_normal(20)
    DeclineReadings(time, flux=flux * noise)  # rises of noise are none
    with pytest.raises(PhysicsError, match="mean of the first third"):
        DeclineReadings(time, flux=np.linspace(1e-5, 1.5e-5, 20) * noise)
    volume = np.concatenate([[0.0], np.cumsum(cleaned * 300)])
    with pytest.raises(PhysicsError, match=r"row 13: the flux rises"):
        DeclineReadings(np.concatenate([[0.0], time]), volume, rows=range(2, 23))
