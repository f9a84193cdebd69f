"""Calibration of the network model by a flux decline: intervals cover known truths, and open ends stay open.

The filters are short chains of pores, whose lives take a millisecond. The truth passes through the instrument: fluxes
with a relative error and four digits, or volumes of a balance with three decimals.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.elementary import geometric_sequence, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.bench_decline import BenchDecline
from membrane_dask.physics.networks.decline_curves import FLUX_FRACTIONS, DeclineCurves, decline_curve
from membrane_dask.physics.networks.decline_simulation import simulate_declines
from membrane_dask.physics.networks.flux_calibration import calibrate
from membrane_dask.physics.networks.fouling import filter_life, filter_lives
from membrane_dask.physics.networks.fouling_laws import FoulingLaws
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork

STEP = 2.5e-4
GRID = geometric_sequence(6e-8, 6e-6, 17)
#: Truth: deposition coefficient between two of the grid, volume of a unit of throughput (m), initial flux (m s-1).
LAMBDA, VOLUME, FLUX = 6e-7, 5e3, 2e-5


def chain(radii=(0.013, 0.011, 0.009, 0.007)):
    """Pores in series, one for each band."""
    n = len(radii)
    depth = np.arange(1, n) / n
    junctions = np.stack([depth, np.zeros(n - 1), np.zeros(n - 1)], axis=1)
    conns = [(0, INLET), *((i, i + 1) for i in range(n - 2)), (n - 2, OUTLET)]
    return PoreNetwork.from_straight_pores(
        junctions=junctions, throat_conns=np.array(conns, np.int32), length=np.full(n, 1 / n), radius=np.array(radii),
        extent=(1.0, 1.0, 1.0),
    )  # fmt: skip


def curves_of(networks, grid=GRID):
    options = {"time_step": STEP, "flux_threshold": 1e-12, "solver_tolerance": 1e-9}
    return DeclineCurves.of_networks(
        grid,
        [
            [
                decline_curve(life.flux, life.foulant_concentration_out[0], coefficient, STEP)
                for life, coefficient in zip(filter_lives(network, deposition=grid, **options), grid, strict=True)
            ]
            for network in networks
        ],
    )


def bench(network, fall=0.9, n=40, coefficient=LAMBDA):
    """Times, volumes and fluxes of a filter without error, at equal volumes, until the flux has fallen."""
    life = filter_life(network, deposition=coefficient, time_step=STEP, flux_threshold=1e-12, solver_tolerance=1e-9)
    steps = np.linspace(0, len(life.flux) - 1, 50 * len(life.flux))  # the flux is linear between the model's steps
    fraction = np.interp(steps, np.arange(len(life.flux)), life.flux / life.flux[0])
    time = steps * STEP * life.flux[0] / coefficient
    throughput = np.concatenate([[0], np.cumsum((fraction[1:] + fraction[:-1]) / 2 * np.diff(time))])
    axis = np.linspace(0, np.interp(fall - 1, -fraction, throughput), n + 1)[1:]
    return (
        np.interp(axis, throughput, time) * VOLUME / FLUX, axis * VOLUME, np.interp(axis, throughput, fraction) * FLUX
    )  # fmt: skip


def digits(values, n):
    return np.array([float(f"{value:.{n}g}") for value in values])


def measured(network, rng, form, fall=0.9, error=0.02, n=40):
    """Readings of a filter by the instrument."""
    time, volume, flux = bench(network, fall, n)
    if form == "volume by time":
        return BenchDecline(digits(time, 5), volume=np.round(volume + 2e-3 * volume[-1] * rng.standard_normal(n), 5))
    flux = digits(flux * (1 + error * rng.standard_normal(n)), 4)
    return BenchDecline(digits(time, 5), volume if form == "flux by volume" else None, flux)


@pytest.fixture(scope="module")
def curves():
    return curves_of([chain()])


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


def test_curves_between_the_coefficients_of_the_grid(curves):
    """Interpolated curves agree with a simulation at the coefficient itself."""
    direct = curves_of([chain()], np.array([LAMBDA])).throughput[0, 0]
    curve = curves.at(float(log(LAMBDA)))
    # 8 coefficients per decade: cubics err by less than a tenth of the error of 40 fluxes known to 1 %
    np.testing.assert_allclose(curve.throughput, direct, rtol=2e-3)
    upper = FLUX_FRACTIONS > 0.05
    np.testing.assert_allclose(curve.log_flux_at_throughput(direct)[upper], log(FLUX_FRACTIONS)[upper], atol=2e-3)
    assert curve.log_flux_at_throughput(np.array([0.0]))[0] == 0.0


# On demand: other columns of the same readings.
@pytest.mark.parametrize(
    ("form", "n"),
    [
        ("flux by volume", 30), pytest.param("flux by time", 60, marks=pytest.mark.slow),
        pytest.param("volume by time", 60, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_intervals_cover_the_truth(curves, form, n):
    """95 % intervals of filtrations whose error the fit estimates: within three standard errors of 95 %."""
    rng = np.random.default_rng(7)
    counts = np.zeros(3)
    for _ in range(n):
        readings = measured(chain(), rng, form)
        assert readings.form == form
        fit = calibrate(readings, {"published": curves}).fits["published"]
        counts += [
            covers(fit.deposition, LAMBDA),
            covers(fit.throughput_volume, VOLUME),
            covers(fit.initial_flux, FLUX),
        ]
    assert (counts >= n * 0.95 - 3 * math.sqrt(n * 0.95 * 0.05)).all()
    assert counts.min() < n  # intervals that always cover are too wide


def test_half_widths_are_those_of_the_linearised_model(curves):
    """With a known error, the ends of the intervals are near those of the Cramer-Rao bound."""
    time, volume, flux = bench(chain())
    readings = BenchDecline(time, volume, flux)
    fit = calibrate(readings, {"published": curves}, error=0.005).fits["published"]

    def model(log_deposition, log_volume):
        return curves.at(log_deposition).log_flux_at_throughput(volume / math.exp(log_volume))

    truth, h = np.array([math.log(LAMBDA), math.log(VOLUME)]), 1e-3
    columns = [(model(*(truth + h * e)) - model(*(truth - h * e))) / (2 * h) for e in np.eye(2)]
    design = np.column_stack([*columns, np.ones(len(volume))]) / 0.005
    bound = 1.96 * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    for estimate, half in zip((fit.deposition, fit.throughput_volume, fit.initial_flux), bound, strict=True):
        assert math.log(estimate.high / estimate.low) / 2 == pytest.approx(half, rel=0.05)  # the model is not linear


def test_filtrate_concentration_is_a_second_datum(curves):
    """It narrows the interval of the deposition coefficient, and the interval still contains the truth."""
    rng = np.random.default_rng(3)
    readings = measured(chain(), rng, "flux by volume")
    life = filter_life(chain(), deposition=LAMBDA, time_step=STEP, flux_threshold=1e-12)
    concentration = float(life.foulant_concentration_out[0])
    alone = calibrate(readings, {"published": curves}, error=0.02).fits["published"].deposition
    datum = (concentration, 0.01 * concentration)
    both = calibrate(readings, {"published": curves}, error=0.02, filtrate_concentration=datum).fits["published"]
    assert both.deposition.high - both.deposition.low < 0.7 * (alone.high - alone.low)
    assert covers(both.deposition, LAMBDA)


def test_spread_between_networks_enters_the_intervals():
    """A filter is one of many alike: intervals by one of them miss the truth, those by the ensemble cover it."""
    rng = np.random.default_rng(11)

    def random_chain():
        return chain(np.array([0.013, 0.011, 0.009, 0.007]) * (1 + 0.02 * rng.standard_normal(4)))

    ensemble = curves_of([random_chain() for _ in range(8)])
    single = ensemble.network(0)
    counts, missed = np.zeros(2), 0
    for _ in range(8):
        readings = measured(random_chain(), rng, "flux by volume", error=0.005)
        fit = calibrate(readings, {"published": ensemble}).fits["published"]
        counts += [covers(fit.deposition, LAMBDA), covers(fit.throughput_volume, VOLUME)]
        fit = calibrate(readings, {"published": single}).fits["published"]
        missed += not covers(fit.throughput_volume, VOLUME)
    assert (counts >= 8 * 0.95 - 3 * math.sqrt(8 * 0.95 * 0.05)).all()
    assert missed > 2  # intervals of 95 % miss 3 of 8 truths with a probability of 0.6 %


def test_open_intervals_have_no_value(curves):
    """A small fall bounds the deposition coefficient from above and the volume fraction from below alone."""
    readings = measured(chain(), np.random.default_rng(5), "flux by volume", fall=0.3)
    fit = calibrate(readings, {"published": curves}).fits["published"]
    assert math.isnan(fit.deposition.value)
    assert math.isnan(fit.deposition.low)
    assert fit.deposition.high > LAMBDA
    assert math.isnan(fit.throughput_volume.value)
    assert math.isnan(fit.throughput_volume.low)  # the volume fraction is open above
    assert fit.throughput_volume.high > VOLUME
    assert covers(fit.initial_flux, FLUX)


def test_errors_below_those_of_the_time_steps(curves):
    """Readings on the model's own curve have intervals by the error of the time steps, not of width 0."""
    time, _, flux = bench(chain())
    result = calibrate(BenchDecline(time, flux=flux), {"published": curves})
    assert result.error == 5e-4
    assert result.error_is_estimated
    assert covers(result.fits["published"].deposition, LAMBDA)


def test_readings_that_the_law_does_not_describe(curves):
    """Residuals of a flux that falls in two steps follow one another; those of the model are independent."""
    rng = np.random.default_rng(2)
    time, volume, flux = bench(chain())
    stepped = flux * np.where(np.arange(40) % 20 < 10, 1.05, 0.95) * (1 + 0.01 * rng.standard_normal(40))
    fit = calibrate(BenchDecline(time, volume, stepped), {"published": curves}).fits["published"]
    assert fit.durbin_watson < 1
    fit = calibrate(measured(chain(), rng, "flux by volume"), {"published": curves}).fits["published"]
    assert abs(fit.durbin_watson - 2) < 3 * 2 / math.sqrt(40)


TIME = np.linspace(10, 400, 40)
FALLING = np.linspace(2e-5, 2e-6, 40)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": TIME}, "either the volume or the flux is needed"),
        ({"time": TIME[:7], "flux": FALLING[:7]}, "7 readings; at least 8 are needed"),
        ({"time": TIME[:8], "volume": np.append(0.0, FALLING[:7])}, "the cumulative volume falls"),
        ({"time": TIME, "flux": 2e-5 * (1 - 0.08 * TIME / 400)}, "the flux falls by 8 %: lambda is not identified"),
        ({"time": TIME, "flux": 2e-5 + 5e-9 * TIME}, "falls by 0 %"),
        ({"time": TIME, "flux": np.where(TIME > 200, 2 * FALLING, FALLING)}, "reading 21: the flux rises"),
        ({"time": TIME, "flux": FALLING, "pressure": np.linspace(1e5, 1.06e5, 40)}, "the pressure varies"),
        ({"time": TIME, "flux": FALLING, "volume": 2e-5 * TIME}, "leave one of both out"),
        ({"time": TIME[:-1], "flux": FALLING}, "40 values for 39 times"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_readings_that_are_refused(columns, message):
    with pytest.raises(PhysicsError, match=message):
        BenchDecline(**columns)


def test_curves_that_do_not_decline_are_refused():
    with pytest.raises(PhysicsError, match="must fall at every step"):
        decline_curve(np.array([1.0, 0.5, 0.6, 0.0]), 0.1, 1e-6, 1e-3)
    with pytest.raises(PhysicsError, match=r"it ends at 0\.5"):
        decline_curve(np.array([1.0, 0.7, 0.5]), 0.1, 1e-6, 1e-3)


def test_steps_grow_where_a_life_takes_long():
    """The curve with longer steps agrees with that of a small step; a strongly retained foulant needs them."""
    coefficients = [1e-5, 1e-4]
    _, curves = simulate_declines(
        chain(), coefficients, "conserving", time_step=2.5e-4, integrator="adams-bashforth", solver_tolerance=1e-9
    )
    life = filter_life(
        chain(), deposition=1e-4, time_step=1e-3, flux_threshold=1e-300, integrator="adams-bashforth",
        laws=FoulingLaws(conserving=True, flux_fraction=0.01, end_time=100_000),
    )  # fmt: skip
    assert len(life.flux) * 1e-3 > 5 * 0.013  # longer than five times the life of the published law
    expected = decline_curve(life.flux, 1.0, 1e-4, 1e-3)
    # the flux falls by 4 % in the first of the longer steps, in which it is taken as linear
    np.testing.assert_allclose(curves[1].throughput, expected.throughput, rtol=1e-2)
