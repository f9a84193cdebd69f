"""Networks whose bands differ in porosity and in the largest pore length, and whose pores widen with depth."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii, expected_band_porosity, junction_counts
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.random_network import connect, generate

DESIGN = {"l_min": 0.06, "l_max": 0.2, "radii": band_radii(0.01, 0.0, 4), "porosity": 0.6}
SHORTER = (0.2, 0.2, 0.15, 0.1)
DENSER = (0.7, 0.65, 0.55, 0.5)


def network_with(seed: int = 0, **changes):
    return generate(np.random.default_rng(seed), **(DESIGN | {"porosity_tolerance": 0.005} | changes))


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"l_max": SHORTER}, (225, 225, 404, 960)),
        ({"l_max": (0.1, 0.15, 0.2, 0.2)}, (933, 392, 219, 219)),
        ({"porosity": DENSER}, (235, 227, 209, 199)),
        ({"porosity": DENSER[::-1]}, (200, 210, 228, 237)),
        ({"radii": band_radii(0.01, -2e-3, 4)}, (310, 241, 197, 167)),
    ],
    ids=str,
)
def test_start_counts(changes, counts):
    """Counts of an independent implementation, whose expected porosity is a numerical quadrature: to 0.3 %."""
    np.testing.assert_allclose(junction_counts(**(DESIGN | changes)), counts, rtol=3e-3)


@pytest.mark.parametrize("l_max", [SHORTER, (0.1, 0.2, 0.1, 0.25)], ids=str)
def test_expected_porosity_is_the_mean_over_networks(l_max):
    """The mean of 200 networks without correction, within four standard errors of about 0.3 %."""
    counts, radii = np.array([200, 150, 300, 400]), band_radii(0.01, 1e-3, 4)
    porosity = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        inside = np.concatenate([(np.array([k, 0, 0]) + rng.random((n, 3))) / [4, 1, 1] for k, n in enumerate(counts)])
        above = rng.random((2 * counts[0], 3)) * [-0.5, 1, 1]
        below = rng.random((2 * counts[-1], 3)) * [0.5, 1, 1] + [1, 0, 0]
        network = connect(inside, np.concatenate([above, below]), l_min=0.06, l_max=l_max, radii=radii)
        porosity.append(network.band_porosity())
    error = np.std(porosity, axis=0, ddof=1) / np.sqrt(len(porosity))
    expected = expected_band_porosity(counts, radii, 0.06, l_max)
    assert (np.abs(np.mean(porosity, axis=0) - expected) < 4 * error).all()
    assert (error < 0.007 * expected).all()  # small enough for a meaningful test


def test_pores_are_shorter_than_the_limits_of_both_bands():
    rng = np.random.default_rng(3)
    limits, bands = np.array([0.1, 0.2, 0.15, 0.25]), 4
    points = rng.random((400, 3)) * [2, 1, 1] - [0.5, 0, 0]
    is_inside = (points[:, 0] >= 0) & (points[:, 0] < 1)
    inside, outside = points[is_inside], points[~is_inside]
    network = connect(inside, outside, l_min=0.06, l_max=limits, radii=band_radii(0.01, 0.0, bands))
    both = np.concatenate([inside, outside])
    offset = np.abs(both[:, None] - both[None])
    offset[..., 1:] = np.minimum(offset[..., 1:], 1 - offset[..., 1:])
    distance = np.sqrt((offset**2).sum(-1))
    band = np.clip(np.floor(both[:, 0] * bands).astype(int), 0, bands - 1)
    limit = np.minimum(limits[band][:, None], limits[band][None])
    first, _ = np.nonzero(np.triu((distance > 0.06) & (distance < limit), 1))
    n_pores = int((first < len(inside)).sum())
    assert len(network.length) == n_pores > 100
    assert n_pores < int((np.triu((distance > 0.06) & (distance < 0.25), 1)[: len(inside)]).sum())


def test_equal_values_by_band_are_one_value():
    one, each = network_with(), network_with(l_max=[0.2] * 4, porosity=[0.6] * 4)
    for name in ("junctions", "throat_conns", "length", "radius", "band", "band_length"):
        np.testing.assert_array_equal(getattr(one, name), getattr(each, name))


@pytest.mark.parametrize("l_max", [0.2, SHORTER], ids=str)
def test_every_band_has_its_own_porosity(l_max):
    network = network_with(l_max=l_max, porosity=DENSER)
    assert (np.abs(network.band_porosity() / DENSER - 1) < 0.005).all()


def test_bands_without_enough_junctions_are_named():
    with pytest.raises(PhysicsError, match=r"porosity of 1e-05 needs only \d junctions in band 3"):
        junction_counts(**(DESIGN | {"porosity": (0.5, 0.5, 1e-5, 0.5)}))
    with pytest.raises(PhysicsError, match=r"porosity of 0.9 needs more than 1e\+07 junctions in band 4"):
        junction_counts(**(DESIGN | {"l_max": (0.2, 0.2, 0.2, 0.0600001), "radii": np.full(4, 1e-5), "porosity": 0.9}))


def test_pores_that_widen_with_depth():
    """The first band has the narrowest pores and extinguishes the flux: the lifetime is its radius, to the step."""
    radii = band_radii(0.01, -1e-3, 4)
    life = filter_life(network_with(radii=radii), deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6)
    assert radii[0] == pytest.approx(0.0085)
    assert life.lifetime == pytest.approx(0.0085, rel=1e-12)
    assert life.throughput == pytest.approx(0.03076671496, abs=6 * 0.0005216)  # six standard deviations of a network


#: Mean and standard deviation of one network, over 24 networks of an independent implementation.
REFERENCE = [
    (
        {"porosity": DENSER},
        0.0,
        {
            "throughput": (0.03904568573, 0.0007337961033),
            "foulant_concentration": (0.1245178085, 0.00280288469),
            "initial_flux": (5.68294073e-06, 9.327202714e-08),
            "porosity_usage": (0.2791665694, 0.003795464222),
            "n_pores": (13400.91667, 79.02664199),
        },
    ),
    (
        {"l_max": SHORTER},
        2e-3,
        {
            "throughput": (0.04029194002, 0.0006116293722),
            "foulant_concentration": (0.06188068432, 0.002220535629),
            "initial_flux": (4.31390397e-06, 8.66950817e-08),
            "porosity_usage": (0.305001716, 0.003391779807),
            "n_pores": (22669.5, 103.7031717),
        },
    ),
    (
        {},
        -1e-3,
        {
            "throughput": (0.03076671496, 0.0005216166476),
            "foulant_concentration": (0.11523475, 0.002663831078),
            "initial_flux": (5.61785974e-06, 8.417837848e-08),
            "porosity_usage": (0.2267631503, 0.002662677248),
            "n_pores": (14012.875, 102.5892242),
        },
    ),
]


@pytest.mark.parametrize(("changes", "gradient", "expected"), REFERENCE, ids=["porosity", "l_max", "widening"])
def test_ensembles_agree_with_an_independent_implementation(changes, gradient, expected):
    """Means of 24 networks agree within four standard errors of their difference."""
    lives = [
        filter_life(
            network_with(seed, radii=band_radii(0.01, gradient, 4), **changes),
            deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6, solver_tolerance=1e-7,
        )
        for seed in range(24)
    ]  # fmt: skip
    for name, (mean, deviation) in expected.items():
        values = np.array([getattr(life, name) for life in lives], float)
        error = np.sqrt((deviation**2 + values.var(ddof=1)) / 24)
        assert abs(values.mean() - mean) < 4 * error, name
