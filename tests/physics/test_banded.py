"""Banded networks: what is joined, how porous, and that chance alone decides the rest."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PhysicsError
from membrane_dask.physics.networks.random_network import (
    RadiusSpread,
    band_radii,
    connect,
    expected_band_porosity,
    generate,
    junction_counts,
)

GU = {"l_min": 0.06, "porosity": 0.6}


def draw(seed: int = 0, gradient: float = 2e-3, **changes):
    settings = GU | {"l_max": 0.2, "radii": band_radii(0.01, gradient, 4), "porosity_tolerance": 0.005} | changes
    return generate(np.random.default_rng(seed), **settings)


def random_points(rng, counts, margin=0.5):
    """Uniform points band by band, and beyond the faces at the density of the face's band."""
    bands = len(counts)
    inside = [(np.array([k, 0, 0]) + rng.random((n, 3))) / [bands, 1, 1] for k, n in enumerate(counts)]
    above = rng.random((round(margin * bands * counts[0]), 3)) * [-margin, 1, 1]
    below = rng.random((round(margin * bands * counts[-1]), 3)) * [margin, 1, 1] + [1, 0, 0]
    return np.concatenate(inside), np.concatenate([above, below])


@pytest.mark.parametrize(("l_min", "l_max", "bands"), [(0.06, 0.2, 4), (0.0, 0.5, 1), (0.1, 0.4, 2), (0.02, 0.05, 5)])
def test_pores_join_all_points_in_range(l_min, l_max, bands):
    rng = np.random.default_rng(1)
    inside, outside = random_points(rng, [60] * bands)
    radii = band_radii(0.01, 1e-3, bands)
    network = connect(inside, outside, l_min=l_min, l_max=l_max, radii=radii)
    points = np.concatenate([inside, outside])
    apart = np.abs(points[:, None] - points[None])
    apart[..., 1:] = np.minimum(apart[..., 1:], 1 - apart[..., 1:])
    distance = np.sqrt((apart**2).sum(-1))
    a, b = np.nonzero(np.triu((distance > l_min) & (distance < l_max), 1))
    a, b = a[a < len(inside)], b[a < len(inside)]
    assert len(network.length) == len(a) > 10
    cut = b >= len(inside)
    z, z_end = points[a, 0], np.clip(points[b, 0], 0, 1)
    length = distance[a, b] * np.where(cut, np.abs(z_end - z) / np.abs(points[b, 0] - z), 1)
    np.testing.assert_allclose(network.length, length, rtol=1e-12)
    other = np.where(cut, np.where(points[b, 0] < 0, INLET, OUTLET), b)
    np.testing.assert_array_equal(network.ends, np.stack([a, other], 1))
    # Shares of the bands: by sampling each pore at many places.
    place = np.clip(z[:, None] + (np.arange(2000) + 0.5) / 2000 * (z_end - z)[:, None], 0, np.nextafter(1, 0))
    share = np.stack([(np.floor(place * bands) == k).mean(1) for k in range(bands)], 1)
    np.testing.assert_allclose(network.band_length, share * length[:, None], atol=2 * l_max / 2000)
    np.testing.assert_allclose(network.band_length.sum(1), length, rtol=1e-12)
    assert (network.band_length.max(1) == network.band_length[np.arange(len(a)), network.band]).all()
    np.testing.assert_array_equal(network.radius, radii[network.band])


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_expected_porosity_is_the_mean_over_networks(bands):
    counts = np.array([120, 90, 150, 200][:bands]) * 4 // bands
    radii = band_radii(0.01, 2e-3, bands)
    l_max = 0.2
    found = []
    for seed in range(150):
        inside, outside = random_points(np.random.default_rng(seed), counts)
        found.append(connect(inside, outside, l_min=0.06, l_max=l_max, radii=radii).band_porosity())
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    expected = expected_band_porosity(counts, radii, 0.06, l_max)
    assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error).all()  # 4 standard errors
    assert (error < 0.005 * expected).all()  # which are small enough to tell


@pytest.mark.parametrize(("l_max", "gradient"), [(0.1, 0.0), (0.2, 0.0), (0.2, 4e-3)])
def test_every_band_has_its_porosity(l_max, gradient):
    network = draw(l_max=l_max, gradient=gradient)
    assert (np.abs(network.band_porosity() / 0.6 - 1) < 0.005).all()
    assert (np.diff(network.junctions[:, 0]) >= 0).all()
    assert network.ends[network.ends[:, 1] == INLET].size > 0
    whole = network.ends[:, 1] >= 0
    assert (network.length[whole] > 0.06).all()
    assert (network.length < l_max).all()


def test_first_guess_of_the_counts():
    radii = band_radii(0.01, 2e-3, 4)
    counts = junction_counts(**GU, l_max=0.2, radii=radii)
    np.testing.assert_allclose(radii, [0.013, 0.011, 0.009, 0.007], rtol=1e-14)
    pairs = radii**2 * counts * (counts - 1)
    np.testing.assert_allclose(pairs, pairs[-1], rtol=2 / counts.min())  # Gu Eq. 9, up to rounding
    expected = expected_band_porosity(counts, radii, 0.06, 0.2)[-1]
    assert expected == pytest.approx(0.6, rel=2 / counts[-1])


def test_a_stream_makes_one_network():
    first, again, other = draw(3), draw(3), draw(4)
    assert first.junctions.tobytes() == again.junctions.tobytes()
    assert first.ends.tobytes() == again.ends.tobytes()
    assert first.length.tobytes() != other.length.tobytes()


def test_a_porosity_that_cannot_be_met_is_an_error():
    with pytest.raises(PhysicsError, match=r"did not come within 1e-09 of 0\.6"):
        draw(porosity_tolerance=1e-9, max_corrections=200)


@pytest.mark.parametrize(
    ("changes", "word"), [({"l_max": 0.3}, "l_max"), ({"l_max": 0.05}, "l_max"), ({"gradient": 0.01}, "radii")]
)
def test_arguments_out_of_range(changes, word):
    with pytest.raises(ValueError, match=word):
        draw(**changes)


def test_porosities_that_no_network_has():
    with pytest.raises(PhysicsError, match="junctions in a band"):
        draw(porosity=1e-4)  # less than a handful of junctions
    with pytest.raises(PhysicsError, match="more than"):
        draw(radii=band_radii(1e-9, 0.0, 4))


def test_one_stream_gives_networks_alike_at_every_gradient():
    """Their points are nested band by band, but for the few that are corrected."""
    one, other = draw(gradient=1e-3), draw(gradient=1.5e-3)
    shared = set(map(tuple, one.junctions)) & set(map(tuple, other.junctions))
    assert len(shared) > 0.8 * min(len(one.junctions), len(other.junctions))


@pytest.mark.parametrize(
    ("distribution", "deviation"), [("normal", 0.2), ("lognormal", 0.5), ("uniform", 0.3), ("lognormal", 1.0)]
)
def test_radii_vary_as_asked(distribution, deviation):
    spread = RadiusSpread(distribution, deviation)
    network = draw(spread=spread, l_max=0.15, porosity_tolerance=0.02)
    assert (np.abs(network.band_porosity() / 0.6 - 1) < 0.02).all()  # with the actual radii
    factor = network.radius / band_radii(0.01, 2e-3, 4)[network.band]
    low, high = spread.range
    assert low <= factor.min() < factor.max() <= high
    n = len(factor)
    assert abs(factor.mean() - 1) < 4 * factor.std() / np.sqrt(n)
    if distribution != "lognormal":  # whose tail, cut at three deviations, carries some of its spread
        assert factor.std() == pytest.approx(deviation, rel=4 / np.sqrt(2 * n))
    assert (factor**2).mean() == pytest.approx(spread.mean_square, rel=0.03)  # 4 standard errors of the widest
    assert np.unique(factor).size > 0.99 * n  # each pore has its own


def test_a_radius_belongs_to_its_pore():
    """Neither the order of the junctions nor what was corrected changes the radius between two points."""
    spread = RadiusSpread("normal", 0.2)
    loose, tight = (draw(spread=spread, porosity_tolerance=t) for t in (0.05, 0.005))

    def by_points(network):
        factor = network.radius / band_radii(0.01, 2e-3, 4)[network.band]
        rows = zip(network.ends, factor, strict=True)
        return {(*network.junctions[a], *network.junctions[b]): f for (a, b), f in rows if b >= 0}

    one, other = by_points(loose), by_points(tight)
    shared = one.keys() & other.keys()
    assert len(shared) > 0.5 * len(one)
    assert all(one[key] == other[key] for key in shared)


def test_no_spread_is_the_published_model_to_the_bit():
    plain, spread = draw(), draw(spread=RadiusSpread("lognormal", 0.0))
    assert plain.radius.tobytes() == spread.radius.tobytes()
    assert plain.junctions.tobytes() == spread.junctions.tobytes()


def test_a_radius_for_each_band():
    radii = np.array([0.012, 0.008, 0.011, 0.009])
    np.testing.assert_array_equal(band_radii(radii, 0.0, 4), radii)
    np.testing.assert_allclose(band_radii(radii, 1e-3, 4), radii + np.array([1.5e-3, 0.5e-3, -0.5e-3, -1.5e-3]))
    network = draw(radii=radii)
    assert (np.abs(network.band_porosity() / 0.6 - 1) < 0.005).all()
    np.testing.assert_array_equal(network.radius, radii[network.band])


def test_area_and_degree_of_the_bands():
    network = draw()
    area, degree = network.band_surface_area(), network.band_degree()
    np.testing.assert_allclose(area.sum(), 2 * np.pi * (network.radius * network.length).sum(), rtol=1e-12)
    # A band of one radius has the area 2 V / r; a few pores that cross the borders have another radius.
    np.testing.assert_allclose(area, 2 * 0.6 / 4 / band_radii(0.01, 2e-3, 4), rtol=0.03)
    graph = network.to_networkx()
    for band in range(4):
        inside = [node for node, about in graph.nodes(data=True) if about and int(about["z"] * 4) == band]
        assert degree[band] == pytest.approx(np.mean([graph.degree(node) for node in inside]))
