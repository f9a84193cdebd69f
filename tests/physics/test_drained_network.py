"""Networks that a fluid has emptied: which throats, their flow, slip of a gas, sieving."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.networks.drained_flow import (
    bottleneck_square,
    drained_permeabilities,
    gas_permeances,
    permeability,
    throat_access,
)
from membrane_dask.physics.networks.network_sieving import NetworkSieving
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.stokes_conductance import network_flow
from membrane_dask.physics.porometry.gases import Gas
from membrane_dask.physics.porometry.sieving_laws import dechadilok_deen


def network_of(conns, depths):
    """A network of pores at some depths of a membrane of unit size."""
    n = len(depths)
    junctions = np.stack([np.asarray(depths, float), np.zeros(n), np.zeros(n)], axis=1)
    conns = np.array(conns, np.int32)
    ones = np.ones(len(conns))
    return PoreNetwork.from_straight_pores(
        junctions=junctions, throat_conns=conns, length=ones, radius=ones, extent=(1.0, 1.0, 1.0), bands=1
    )


def chain(pores):
    """Pores one behind the other: inlet, throats, outlet."""
    conns = [(0, INLET), *((k, k + 1) for k in range(pores - 1)), (pores - 1, OUTLET)]
    return network_of(conns, (np.arange(pores) + 0.5) / pores)


#: Two paths from the inlet to pore 2: over pore 0 (wide) and pore 1 (narrow), then one outlet; pore 3 is a dead end.
BRANCHED = network_of(
    [(0, INLET), (1, INLET), (0, 2), (1, 2), (2, 3), (2, OUTLET)], [0.2, 0.2, 0.6, 0.6]
)  # fmt: skip


def test_a_throat_is_emptied_by_the_widest_path_to_it():
    access = throat_access(BRANCHED, np.array([36, 9, 16, 49, 4, 25]))
    # The throat between pores 1 and 2 is reached from pore 2, which is reached at 16.
    np.testing.assert_array_equal(access, [36, 9, 16, 16, 4, 16])
    assert bottleneck_square(BRANCHED, access) == 16


def test_the_flow_of_what_is_emptied():
    conductance, access = np.array([2.0, 4.0, 2.0, 4.0, 1.0, 3.0]), np.array([36, 9, 16, 9, 4, 16])
    # One branch: 1 and 3 in series; both: 1 and 2 in parallel, then 3.
    expected = [0.0, 1 / (1 / 1 + 1 / 3), 1 / (1 / 3 + 1 / 3)]
    np.testing.assert_allclose(
        drained_permeabilities(BRANCHED, conductance, access, [25, 16, 9]), expected, rtol=1e-9
    )  # fmt: skip


def test_a_gas_slips_in_every_throat_by_its_radius():
    nitrogen, radius = Gas.named("N2"), np.array([20e-9, 20e-9, 20e-9])
    network = chain(2)
    conductance = np.full(3, 2.0)
    liquid = permeability(network, network_flow(network, conductance))
    pressures = np.array([1e5, 4e5])
    slip = 16 / 3 * nitrogen.viscosity(298.15) * nitrogen.mean_speed(298.15) / (radius[0] * pressures)
    apparent = gas_permeances(network, conductance, radius, nitrogen, 298.15, pressures)
    np.testing.assert_allclose(apparent, liquid * (1 + slip), rtol=1e-9)
    # The radius that slope and intercept of the permeance give is that of the throats.
    permeance = apparent * pressures
    slope = (permeance[1] - permeance[0]) / 3e5
    intercept = permeance[0] - slope * 1e5
    speed = nitrogen.viscosity(298.15) * nitrogen.mean_speed(298.15)
    assert 16 / 3 * speed * slope / intercept == pytest.approx(20e-9, rel=1e-6)


@pytest.mark.parametrize(("pressure", "expected"), [(1e11, 3 / (1 / 10 + 2 / 40)), (100.0, (100 + 2 * 1600) / 90)])
def test_the_radius_of_a_gas_depends_on_the_regime(pressure, expected):
    """Equal conductances in series: harmonic mean in viscous flow, contraharmonic mean where slip dominates.

    Slope over intercept is the sum of g dp^2 over that of g dp^2 / r, with the pressure differences dp of the regime:
    1 in viscous flow, in proportion to r with slip.
    """
    nitrogen, radius = Gas.named("N2"), np.array([10e-9, 40e-9, 40e-9])
    pressures = np.array([1.0, 1.1]) * pressure
    permeance = gas_permeances(chain(2), np.full(3, 2.0), radius, nitrogen, 298.15, pressures) * pressures
    slope = (permeance[1] - permeance[0]) / (pressures[1] - pressures[0])
    intercept = permeance[0] - slope * pressures[0]
    speed = nitrogen.viscosity(298.15) * nitrogen.mean_speed(298.15)
    # The other regime contributes less than 1e-4 at both pressures, the error of the network flow less still.
    assert 16 / 3 * speed * slope / intercept * 1e9 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("pores", [1, 2, 9])
def test_a_chain_of_equal_throats_sieves_as_one_of_them(pores):
    network = chain(pores)
    sieving = NetworkSieving(network, network_flow(network, np.ones(pores + 1)), np.full(pores + 1, 5.0))
    radii = [0.5, 2.5, 4.5, 5.0, 6.0]
    expected = [*dechadilok_deen(np.array(radii[:3]) / 5), 0, 0]
    np.testing.assert_allclose(sieving.sieving_coefficients(radii), expected, rtol=1e-12)
    ninety = sieving.radius_at_rejection(0.9, 5.0)
    assert dechadilok_deen(ninety / 5) == pytest.approx(0.1, rel=1e-4)


def test_parallel_paths_mix_by_their_flow_and_dead_ends_are_not_entered():
    """Two inlets of different radius into one pore, and a path that closes behind a wide throat."""
    network = network_of([(0, INLET), (1, INLET), (0, 2), (1, 2), (2, OUTLET)], [0.2, 0.2, 0.7])
    flow = network_flow(network, np.array([3.0, 1.0, 3.0, 1.0, 8.0]))
    wide = 1e9
    sieving = NetworkSieving(network, flow, np.array([10.0, 4.0, wide, wide, wide]))
    fraction = flow.flow[0] / (flow.flow[0] + flow.flow[1])
    expected = fraction * dechadilok_deen(0.2) + (1 - fraction) * dechadilok_deen(0.5)
    assert sieving.sieving_coefficients([2.0])[0] == pytest.approx(expected, rel=1e-6)
    # Solutes of radius 5 enter pore 0 alone; behind pore 1 they would be held back.
    blocked = NetworkSieving(network, flow, np.array([10.0, wide, wide, 4.0, wide]))
    assert blocked.sieving_coefficients([5.0])[0] == pytest.approx(fraction * dechadilok_deen(0.5), rel=1e-6)


def test_without_flow_nothing_is_sieved():
    network = chain(2)
    sieving = NetworkSieving(network, network_flow(network, np.zeros(3)), np.ones(3))
    assert math.isnan(sieving.sieving_coefficients([0.1])[0])
    assert math.isnan(sieving.radius_at_rejection(0.9, 1.0))
