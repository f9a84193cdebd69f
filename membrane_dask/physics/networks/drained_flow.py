"""Flow through the throats of a network that a fluid has emptied down to a radius, of a liquid and of a gas that slips.

A throat is emptied at a radius if a path of throats that are at least as wide leads to it from the inlet. What is not
emptied counts as closed: no films, no trapping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.imaging.access_radius import widest_paths
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.stokes_conductance import NetworkFlow, network_flow
from membrane_dask.physics.porometry.gases import Gas


def throat_access(network: PoreNetwork, squares: np.ndarray) -> np.ndarray:
    """Squared access radius of every throat, from the inlet.

    Parameters
    ----------
    network : PoreNetwork
        Network of a volume.
    squares : (n_pores,) ndarray of int
        Squared lattice radius of each throat, inlet and outlet, > 0.

    Returns
    -------
    (n_pores,) ndarray of int32
        The largest ``r^2`` at which the throat is emptied; 0 where no path leads to it.
    """
    conns, squares = network.throat_conns, np.asarray(squares, np.int32)
    inner, inlet = conns[:, 1] >= 0, conns[:, 1] == INLET
    source = np.zeros(len(network.junctions), np.int32)
    np.maximum.at(source, conns[inlet, 0], squares[inlet])
    access = widest_paths(conns[inner].astype(np.int64), squares[inner], source)
    reached = np.where(inner, np.maximum(access[conns[:, 0]], access[np.maximum(conns[:, 1], 0)]), access[conns[:, 0]])
    return np.asarray(np.where(inlet, squares, np.minimum(squares, reached)), np.int32)


def bottleneck_square(network: PoreNetwork, access: np.ndarray) -> int:
    """Squared radius at which the network opens: the largest access radius of an outlet; 0 without a path."""
    return int(access[network.throat_conns[:, 1] == OUTLET].max(initial=0))


def permeability(network: PoreNetwork, flow: NetworkFlow) -> float:
    """Permeability of a network in the square of the unit of its lengths, with conductances in their cube."""
    depth, height, width = network.extent
    return flow.total * depth / (height * width)


def drained_permeabilities(
    network: PoreNetwork, conductance: np.ndarray, access: np.ndarray, levels: Sequence[int]
) -> np.ndarray:
    """Permeability of the throats that are emptied at each of some radii.

    Parameters
    ----------
    network : PoreNetwork
        Network of a volume.
    conductance : (n_pores,) ndarray
        Flow times viscosity over pressure difference of each throat, in the cube of the unit of length.
    access : (n_pores,) ndarray of int
        Of :func:`throat_access`.
    levels : sequence of int
        Squared lattice radii.

    Returns
    -------
    (n_levels,) ndarray
        In the square of the unit of length.

    Raises
    ------
    PhysicsError
        If pressures do not converge.
    """
    return np.array([
        permeability(network, network_flow(network, np.where(access >= level, conductance, 0.0))) for level in levels
    ])  # fmt: skip


def gas_permeances(
    network: PoreNetwork, conductance: np.ndarray, radius: np.ndarray, gas: Gas, temperature: float,
    mean_pressures: Sequence[float],
) -> np.ndarray:  # fmt: skip
    """Viscous flow of a gas with slip, of all throats, over that of a liquid of the same viscosity.

    Parameters
    ----------
    network : PoreNetwork
        Network of a volume.
    conductance : (n_pores,) ndarray
        Of a liquid, as for :func:`drained_permeabilities`.
    radius : (n_pores,) ndarray
        Of the throats, m, > 0.
    gas : Gas
    temperature : float
        K.
    mean_pressures : sequence of float
        Absolute, Pa, > 0.

    Returns
    -------
    (n_pressures,) ndarray
        Apparent permeability at each mean pressure, in the square of the unit of length. The molar flux through a
        depth L is ``k p_m / (mu L R T)`` times the pressure difference.

    Notes
    -----
    A throat of radius r conducts ``1 + (16/3) mu v / (r p_m)`` times as much, with the mean speed v of the molecules:
    the ratio of a long cylindrical pore, which short throats have approximately.
    """
    slip = 16 / 3 * float(gas.viscosity(temperature)) * float(gas.mean_speed(temperature)) / np.asarray(radius)
    return np.array([
        permeability(network, network_flow(network, conductance * (1 + slip / pressure))) for pressure in mean_pressures
    ])  # fmt: skip
