"""Random networks: connected pairs, band porosities, radii, and reproducibility."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii, expected_band_porosity, junction_counts
from membrane_dask.physics.networks.pore_network import INLET, OUTLET
from membrane_dask.physics.networks.radius_distribution import RadiusSpread
from membrane_dask.physics.networks.random_network import connect, generate

GU = {"l_min": 0.06, "porosity": 0.6}


def network_with(seed: int = 0, gradient: float = 2e-3, **changes):
    settings = GU | {"l_max": 0.2, "radii": band_radii(0.01, gradient, 4), "porosity_tolerance": 0.005} | changes
    return generate(np.random.default_rng(seed), **settings)


def random_points(rng, counts, margin=0.5):
    """Uniform points in every band, and outside the faces with the density of the adjacent band."""
    bands = len(counts)
    inside = [(np.array([k, 0, 0]) + rng.random((n, 3))) / [bands, 1, 1] for k, n in enumerate(counts)]
    above = rng.random((round(margin * bands * counts[0]), 3)) * [-margin, 1, 1]
    below = rng.random((round(margin * bands * counts[-1]), 3)) * [margin, 1, 1] + [1, 0, 0]
    return np.concatenate(inside), np.concatenate([above, below])


@pytest.mark.parametrize(("l_min", "l_max", "bands"), [(0.06, 0.2, 4), (0.0, 0.5, 1), (0.1, 0.4, 2), (0.02, 0.05, 5)])
def test_pores_connect_all_points_in_range(l_min, l_max, bands):
    rng = np.random.default_rng(1)
    inside, outside = random_points(rng, [60] * bands)
    radii = band_radii(0.01, 1e-3, bands)
    network = connect(inside, outside, l_min=l_min, l_max=l_max, radii=radii)
    points = np.concatenate([inside, outside])
    offset = np.abs(points[:, None] - points[None])
    offset[..., 1:] = np.minimum(offset[..., 1:], 1 - offset[..., 1:])
    distance = np.sqrt((offset**2).sum(-1))
    a, b = np.nonzero(np.triu((distance > l_min) & (distance < l_max), 1))
    a, b = a[a < len(inside)], b[a < len(inside)]
    assert len(network.length) == len(a) > 10
    cut = b >= len(inside)
    z, z_end = points[a, 0], np.clip(points[b, 0], 0, 1)
    length = distance[a, b] * np.where(cut, np.abs(z_end - z) / np.abs(points[b, 0] - z), 1)
    np.testing.assert_allclose(network.length, length, rtol=1e-12)
    second = np.where(cut, np.where(points[b, 0] < 0, INLET, OUTLET), b)
    np.testing.assert_array_equal(network.throat_conns, np.stack([a, second], 1))
    # Length per band: by sampling each pore at many points.
    depth = np.clip(z[:, None] + (np.arange(2000) + 0.5) / 2000 * (z_end - z)[:, None], 0, np.nextafter(1, 0))
    fraction = np.stack([(np.floor(depth * bands) == k).mean(1) for k in range(bands)], 1)
    np.testing.assert_allclose(network.band_length, fraction * length[:, None], atol=2 * l_max / 2000)
    np.testing.assert_allclose(network.band_length.sum(1), length, rtol=1e-12)
    assert (network.band_length.max(1) == network.band_length[np.arange(len(a)), network.band]).all()
    np.testing.assert_array_equal(network.radius, radii[network.band])


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_expected_porosity_is_the_mean_over_networks(bands):
    counts = np.array([120, 90, 150, 200][:bands]) * 4 // bands
    radii = band_radii(0.01, 2e-3, bands)
    l_max = 0.2
    porosity = []
    for seed in range(150):
        inside, outside = random_points(np.random.default_rng(seed), counts)
        porosity.append(connect(inside, outside, l_min=0.06, l_max=l_max, radii=radii).band_porosity())
    error = np.std(porosity, axis=0, ddof=1) / np.sqrt(len(porosity))
    expected = expected_band_porosity(counts, radii, 0.06, l_max)
    assert (np.abs(np.mean(porosity, axis=0) - expected) < 4 * error).all()  # 4 standard errors
    assert (error < 0.005 * expected).all()  # small enough for a meaningful test


@pytest.mark.parametrize(("l_max", "gradient"), [(0.1, 0.0), (0.2, 0.0), (0.2, 4e-3)])
def test_every_band_has_the_required_porosity(l_max, gradient):
    network = network_with(l_max=l_max, gradient=gradient)
    assert (np.abs(network.band_porosity() / 0.6 - 1) < 0.005).all()
    assert (np.diff(network.junctions[:, 0]) >= 0).all()
    assert network.throat_conns[network.throat_conns[:, 1] == INLET].size > 0
    internal = network.throat_conns[:, 1] >= 0
    assert (network.length[internal] > 0.06).all()
    assert (network.length < l_max).all()


def test_initial_junction_counts():
    radii = band_radii(0.01, 2e-3, 4)
    counts = junction_counts(**GU, l_max=0.2, radii=radii)
    np.testing.assert_allclose(radii, [0.013, 0.011, 0.009, 0.007], rtol=1e-14)
    pairs = radii**2 * counts * (counts - 1)
    np.testing.assert_allclose(pairs, pairs[-1], rtol=2 / counts.min())  # Gu Eq. 9, up to rounding
    expected = expected_band_porosity(counts, radii, 0.06, 0.2)[-1]
    assert expected == pytest.approx(0.6, rel=2 / counts[-1])


def test_equal_generators_give_equal_networks():
    first, repeated, different = network_with(3), network_with(3), network_with(4)
    assert first.junctions.tobytes() == repeated.junctions.tobytes()
    assert first.throat_conns.tobytes() == repeated.throat_conns.tobytes()
    assert first.length.tobytes() != different.length.tobytes()


def test_unreachable_tolerance_raises():
    with pytest.raises(PhysicsError, match=r"did not come within 1e-09 of 0\.6"):
        network_with(porosity_tolerance=1e-9, max_corrections=200)


@pytest.mark.parametrize(
    ("changes", "message"), [({"l_max": 0.3}, "l_max"), ({"l_max": 0.05}, "l_max"), ({"gradient": 0.01}, "radii")]
)
def test_arguments_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        network_with(**changes)


def test_unreachable_porosities_raise():
    with pytest.raises(PhysicsError, match="junctions in band"):
        network_with(porosity=1e-4)  # too few junctions
    with pytest.raises(PhysicsError, match="more than"):
        network_with(radii=band_radii(1e-9, 0.0, 4))


def test_common_random_numbers_across_gradients():
    """Networks of different gradients have most junctions in common, band by band, except those corrected."""
    first, second = network_with(gradient=1e-3), network_with(gradient=1.5e-3)
    common = set(map(tuple, first.junctions)) & set(map(tuple, second.junctions))
    assert len(common) > 0.8 * min(len(first.junctions), len(second.junctions))


@pytest.mark.parametrize(
    ("distribution", "deviation"), [("normal", 0.2), ("lognormal", 0.5), ("uniform", 0.3), ("lognormal", 1.0)]
)
def test_distribution_of_radii(distribution, deviation):
    spread = RadiusSpread(distribution, deviation)
    network = network_with(spread=spread, l_max=0.15, porosity_tolerance=0.02)
    assert (np.abs(network.band_porosity() / 0.6 - 1) < 0.02).all()  # with the actual radii
    factor = network.radius / band_radii(0.01, 2e-3, 4)[network.band]
    low, high = spread.range
    assert low <= factor.min() < factor.max() <= high
    n = len(factor)
    assert abs(factor.mean() - 1) < 4 * factor.std() / np.sqrt(n)
    if distribution != "lognormal":  # its truncated tail carries some of the variance
        assert factor.std() == pytest.approx(deviation, rel=4 / np.sqrt(2 * n))
    # The tolerance is 4 standard errors of the widest distribution.
    assert (factor**2).mean() == pytest.approx(spread.mean_square, rel=0.03)
    assert np.unique(factor).size > 0.99 * n  # each pore has its own factor


def test_radius_depends_on_the_pore_alone():
    """Neither the order of the junctions nor corrections elsewhere change the radius between two points."""
    spread = RadiusSpread("normal", 0.2)
    loose, tight = (network_with(spread=spread, porosity_tolerance=t) for t in (0.05, 0.005))

    def by_points(network):
        factor = network.radius / band_radii(0.01, 2e-3, 4)[network.band]
        rows = zip(network.throat_conns, factor, strict=True)
        return {(*network.junctions[a], *network.junctions[b]): f for (a, b), f in rows if b >= 0}

    first, second = by_points(loose), by_points(tight)
    common = first.keys() & second.keys()
    assert len(common) > 0.5 * len(first)
    assert all(first[key] == second[key] for key in common)


def test_zero_deviation_equals_the_published_model_bit_for_bit():
    plain, spread = network_with(), network_with(spread=RadiusSpread("lognormal", 0.0))
    assert plain.radius.tobytes() == spread.radius.tobytes()
    assert plain.junctions.tobytes() == spread.junctions.tobytes()


def test_one_radius_per_band():
    radii = np.array([0.012, 0.008, 0.011, 0.009])
    np.testing.assert_array_equal(band_radii(radii, 0.0, 4), radii)
    np.testing.assert_allclose(band_radii(radii, 1e-3, 4), radii + np.array([1.5e-3, 0.5e-3, -0.5e-3, -1.5e-3]))
    network = network_with(radii=radii)
    assert (np.abs(network.band_porosity() / 0.6 - 1) < 0.005).all()
    np.testing.assert_array_equal(network.radius, radii[network.band])


def test_surface_area_and_coordination_number_of_the_bands():
    network = network_with()
    area, coordination_number = network.band_surface_area(), network.band_coordination_number()
    np.testing.assert_allclose(area.sum(), 2 * np.pi * (network.radius * network.length).sum(), rtol=1e-12)
    # A band with one radius has the area 2 V / r; a few pores across band boundaries have another radius.
    np.testing.assert_allclose(area, 2 * 0.6 / 4 / band_radii(0.01, 2e-3, 4), rtol=0.03)
    graph = network.to_networkx()
    for band in range(4):
        inside = [node for node, data in graph.nodes(data=True) if data and int(data["z"] * 4) == band]
        assert coordination_number[band] == pytest.approx(np.mean([graph.degree(node) for node in inside]))
