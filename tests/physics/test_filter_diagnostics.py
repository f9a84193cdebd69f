"""Diagnostics of clean filters: closed forms, an independent implementation, and reference numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_pore_network import network_of

from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.filter_diagnostics import FilterDiagnostics, filter_diagnostics
from membrane_dask.physics.networks.fouling import filter_life, filter_lives
from membrane_dask.physics.networks.network_flow import flow_graph
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.random_network import generate

LIFE = {"time_step": 5e-4, "flux_threshold": 1e-9}
#: Reference of another implementation: a network of 11 junctions and 23 pores (junction, other end, length, radius),
#: whose last junction is a dead end, with a deposition coefficient of 5e-7.
SMALL = [
    (0, INLET, 0.11, 0.013), (1, INLET, 0.15, 0.013), (1, INLET, 0.19, 0.013), (2, INLET, 0.18, 0.013),
    (0, 3, 0.31289, 0.013), (1, 3, 0.329545, 0.013), (1, 4, 0.283019, 0.011), (2, 4, 0.472123, 0.011),
    (2, 5, 0.420238, 0.011), (3, 5, 0.359722, 0.011), (3, 6, 0.301496, 0.011), (4, 5, 0.496085, 0.011),
    (4, 7, 0.310805, 0.009), (5, 6, 0.320156, 0.009), (5, 7, 0.44486, 0.009), (6, 8, 0.31289, 0.009),
    (7, 8, 0.340735, 0.007), (7, 9, 0.263818, 0.007), (8, 9, 0.502494, 0.007), (4, 10, 0.353553, 0.011),
    (8, OUTLET, 0.13, 0.007), (9, OUTLET, 0.18, 0.007), (9, OUTLET, 0.21, 0.007),
]  # fmt: skip
SMALL_DIAGNOSTICS = FilterDiagnostics(1.38291323, 5.213731858, 0.003540580378, 2.333653467, 0.2370101991)
#: Mean and standard deviation of 16 generated networks, l_max 0.2, by gradient.
ENSEMBLES = {
    0.0: [(1.533059, 0.006432), (10.98305, 0.078344), (0.00330642, 2.7401e-5), (1.646298, 0.029333),
          (0.0849129, 0.0043751)],
    0.002: [(1.531017, 0.008041), (10.957814, 0.091588), (0.003017325, 2.5328e-5), (2.000274, 0.039521),
            (0.0986063, 0.0051722)],
}  # fmt: skip
NAMES = tuple(FilterDiagnostics.__dataclass_fields__)


def of(network: PoreNetwork, deposition: float, **options) -> FilterDiagnostics:
    return filter_life(network, deposition=deposition, **LIFE, **options).diagnostics


def test_two_pores_in_series():
    """One path: its length, its pores, the shear of its flow, and an uptake without mixing."""
    network = network_of([(0, INLET, 0.6, 0.01), (0, OUTLET, 0.4, 0.008)], 1)
    flow = 1 / (0.6 / 0.01**4 + 0.4 / 0.008**4)
    uptake = [5e-7 * 0.01 * 0.6 / flow, 5e-7 * 0.008 * 0.4 / flow]
    result = of(network, 5e-7)
    assert result.flux_weighted_tortuosity == pytest.approx(1.0, rel=1e-12)
    assert result.pores_per_path == pytest.approx(2.0, rel=1e-12)
    assert result.wall_shear_flux_weighted == pytest.approx((flow / 2e-6 + flow / 2 / 0.008**3) / 2, rel=1e-9)
    assert result.damkohler_number == pytest.approx(sum(uptake), rel=1e-9)
    assert uptake[1] < 1 < uptake[0] * 3  # a coefficient three times as large puts the first pore above 1
    assert result.non_cylindrical_deposition == 0
    result = of(network, 1.5e-6)
    first, second = 0.6 * 0.01, 0.4 * 0.008 * math.exp(-3 * uptake[0])
    assert result.non_cylindrical_deposition == pytest.approx(
        (first + second * (3 * uptake[1] > 1)) / (first + second), rel=1e-9
    )


def test_flow_by_rounding_out_of_a_junction_that_none_enters():
    """A junction that only a difference by rounding drains: it holds no foulant, and the sums stay finite."""
    network = network_of([(0, INLET, 0.6, 0.01), (0, OUTLET, 0.4, 0.008), (0, 1, 0.2, 0.01)], 2)
    graph = flow_graph(network)
    is_pore = graph.pores >= 0
    length, radius = (np.where(is_pore, values[graph.pores], 1.0) for values in (network.length, network.radius))
    conductance = np.where(is_pore, radius**4 / length, 0.0)
    pressure = np.array([0.5, 0.5 + 1e-13])
    order = np.array([1, 0])
    arguments = (order, length, radius, np.ones(len(length)), 5e-7)
    result = filter_diagnostics(graph, conductance, pressure, *arguments)
    without = filter_diagnostics(graph, conductance, np.array([0.5, 0.5]), *arguments)
    assert result.non_cylindrical_deposition == without.non_cylindrical_deposition
    assert math.isfinite(result.non_cylindrical_deposition)


def test_small_network_agrees_with_the_reference():
    result = of(network_of(SMALL, 11), 5e-7)
    for name in NAMES:
        assert getattr(result, name) == pytest.approx(getattr(SMALL_DIAGNOSTICS, name), rel=1e-6), name


def test_deposition_by_band_and_several_coefficients():
    """A coefficient twice as large in every band is a coefficient twice as large; flow does not depend on either."""
    network = network_of(SMALL, 11)
    single, double = (life.diagnostics for life in filter_lives(network, deposition=(5e-7, 1e-6), **LIFE))
    by_band = of(network, 5e-7, band_deposition=[2.0] * network.n_bands)
    assert single.flux_weighted_tortuosity == double.flux_weighted_tortuosity
    assert double.damkohler_number == pytest.approx(2 * single.damkohler_number, rel=1e-12)
    assert double.non_cylindrical_deposition > single.non_cylindrical_deposition
    for name in NAMES:
        assert getattr(by_band, name) == pytest.approx(getattr(double, name), rel=1e-12), name


@pytest.mark.parametrize("gradient", ENSEMBLES)
def test_ensembles_agree_with_the_reference(gradient):
    """Within four standard errors; and the concentration of the filtrate is at least exp(-Da) in every network."""
    samples = []
    for seed in range(12):
        network = generate(
            np.random.default_rng([7, seed]), l_min=0.06, l_max=0.2, radii=band_radii(0.01, gradient, 4),
            porosity=0.6, porosity_tolerance=0.005,
        )  # fmt: skip
        life = filter_life(network, deposition=5e-7, time_step=1e-3, flux_threshold=2e-6, solver_tolerance=1e-6)
        samples.append([getattr(life.diagnostics, name) for name in NAMES])
        assert life.foulant_concentration_out[0] >= math.exp(-life.diagnostics.damkohler_number)
    for name, values, (mean, deviation) in zip(NAMES, np.array(samples).T, ENSEMBLES[gradient], strict=True):
        error = math.sqrt(deviation**2 / 16 + values.var(ddof=1) / len(values))
        assert abs(values.mean() - mean) < 4 * error, name
