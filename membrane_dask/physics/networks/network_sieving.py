"""Sieving of solutes by a pore network whose pores conserve them: rejection at the mouths of throats.

A throat passes a solute at the convective hindrance factor of a sphere in a tube, and every pore passes on all that
enters it. So a chain of equal throats sieves as one of them, however long it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.stokes_conductance import NetworkFlow
from membrane_dask.physics.porometry.sieving_laws import dechadilok_deen
from membrane_dask.physics.root_finding import brentq

#: Rejection of the radius that :meth:`NetworkSieving.radius_at_rejection` searches to this relative tolerance.
_TOLERANCE = 1e-6


class NetworkSieving:
    """Sieving of solutes by a network under a flow.

    Parameters
    ----------
    network : PoreNetwork
        Network of a volume.
    flow : NetworkFlow
        Flow of the liquid through all throats.
    radius : (n_pores,) ndarray
        Of the throats, in any unit, > 0.

    References
    ----------
    Dechadilok and Deen, Ind. Eng. Chem. Res. 45, 6953 (2006), Eq. 18, for the hindrance of a throat.
    """

    def __init__(self, network: PoreNetwork, flow: NetworkFlow, radius: np.ndarray) -> None:
        conns, n = network.throat_conns.astype(np.int64), len(network.junctions)
        # Nodes n and n + 1 are the feed and the filtrate.
        first = np.where(conns[:, 1] == INLET, n, conns[:, 0])
        second = np.where(conns[:, 1] == INLET, conns[:, 0], np.where(conns[:, 1] == OUTLET, n + 1, conns[:, 1]))
        forward = flow.flow > 0
        pressure = np.append(flow.pressure, [np.inf, -np.inf])
        upstream, downstream = np.where(forward, first, second), np.where(forward, second, first)
        falls = (flow.flow != 0) & (pressure[upstream] > pressure[downstream])
        order = np.flatnonzero(falls)
        order = order[np.argsort(-pressure[upstream[order]], kind="stable")]
        self._upstream, self._downstream = upstream[order], downstream[order]
        self._flow, self._radius, self._n = np.abs(flow.flow[order]), np.asarray(radius)[order], n

    def sieving_coefficients(self, solute_radii: Sequence[float]) -> np.ndarray:
        """Concentration in the filtrate over that in the feed, where convection dominates diffusion.

        Parameters
        ----------
        solute_radii : sequence of float
            In the unit of the throats' radii, > 0.

        Returns
        -------
        (n_solutes,) ndarray
            0 for solutes that have no path; NaN without flow.
        """
        return np.array([
            _sieving(self._upstream, self._downstream, self._flow, dechadilok_deen(a / self._radius), self._n)
            for a in solute_radii
        ])  # fmt: skip

    def radius_at_rejection(self, rejection: float, largest: float) -> float:
        """Solute radius at which the rejection is reached, up to a ``largest`` one that has no path.

        NaN without flow.
        """

        def excess(radius: float) -> float:
            return 1 - rejection - float(self.sieving_coefficients([radius])[0])

        if not len(self._flow):
            return float("nan")
        return float(brentq(excess, _TOLERANCE * largest, largest, xtol=_TOLERANCE * largest))


@kernel
def _sieving(upstream: Any, downstream: Any, flow: Any, hindrance: Any, n: int) -> float:
    """Concentration behind the network; throats in the order of falling pressure at their upper end."""
    passes = np.zeros(n + 2, np.bool_)  # whether solutes that are in a pore leave it
    passes[n + 1] = True
    rate, outflow = np.zeros(flow.size), np.zeros(n + 2)
    for k in range(flow.size - 1, -1, -1):
        if hindrance[k] > 0.0 and passes[downstream[k]]:
            passes[upstream[k]] = True
            rate[k] = hindrance[k] * flow[k]
            outflow[upstream[k]] += rate[k]
    amount, total = np.zeros(n + 2), 0.0
    for k in range(flow.size):
        if downstream[k] == n + 1:
            total += flow[k]
        if rate[k] > 0.0:
            concentration = 1.0 if upstream[k] == n else amount[upstream[k]] / outflow[upstream[k]]
            amount[downstream[k]] += rate[k] * concentration
    return amount[n + 1] / total if total > 0.0 else np.nan
