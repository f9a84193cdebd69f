"""Banded networks: what is joined, how porous, and that chance alone decides the rest."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.banded import band_radii, connect, expected_band_porosity, generate, junction_counts
from membrane_dask.physics.network import INLET, OUTLET, PhysicsError

GU = {"l_min": 0.06, "radius": 0.01, "bands": 4, "porosity": 0.6}


def draw(seed: int = 0, **changes):
    settings = GU | {"l_max": 0.2, "gradient": 2e-3, "porosity_tolerance": 0.005} | changes
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
    counts = junction_counts(**GU, l_max=0.2, gradient=2e-3)
    radii = band_radii(0.01, 2e-3, 4)
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
    ("changes", "word"), [({"l_max": 0.3}, "l_max"), ({"l_max": 0.05}, "l_max"), ({"gradient": 0.01}, "gradient")]
)
def test_arguments_out_of_range(changes, word):
    with pytest.raises(ValueError, match=word):
        draw(**changes)
