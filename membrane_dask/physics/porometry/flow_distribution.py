"""Step-wise distributions of flow and pore number over the pore radius, from one reading to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.porometry.gas_flow_in_pores import GasStream, pore_conductance


@dataclass(frozen=True)
class FlowDistribution:
    """Flow that opens between readings at rising pressures.

    Parameters
    ----------
    radius : (n,) float array
        Radius of the pores that open at each reading, m, falling.
    cumulative : (n,) float array
        Fraction of the flow through pores of at least this radius.
    per_log_radius : (n - 1,) float array
        Fraction of the flow in each bin over the difference of ``ln r``.
    per_diameter : (n - 1,) float array
        Fraction of the flow in each bin over the difference of the diameter, m-1, as Porous Materials prints it.
    """

    radius: np.ndarray
    cumulative: np.ndarray
    per_log_radius: np.ndarray
    per_diameter: np.ndarray


def flow_distribution(radius: np.ndarray, cumulative: np.ndarray) -> FlowDistribution:
    """Differences of a cumulative flow.

    Parameters
    ----------
    radius : (n,) float array
        m, falling.
    cumulative : (n,) float array
        Fraction of the flow through pores of at least this radius. Where it falls, the bin is negative.
    """
    steps = np.diff(cumulative)
    return FlowDistribution(radius, cumulative, steps / -np.diff(log(radius)), steps / (-2 * np.diff(radius)))


@dataclass(frozen=True)
class NumberDistribution:
    """Fraction of the pores in bins of the radius.

    Parameters
    ----------
    edges : (n + 1,) float array
        Radii, m, falling.
    number : (n,) float array
        Fraction of the pores in each bin, >= 0, with the sum 1.
    """

    edges: np.ndarray
    number: np.ndarray


def number_distribution(
    pressure: np.ndarray,
    radius: np.ndarray,
    cumulative: np.ndarray,
    all_pores: np.ndarray | float = 1.0,
    stream: GasStream | None = None,
) -> NumberDistribution | None:
    """Pores in bins of the radius, from the flow that opens in each bin and the flow of one pore.

    The radius of a bin is the geometric mean of its edges. Bins are merged until no number is negative.

    Parameters
    ----------
    pressure, radius : (n,) float array
        Pressure difference, Pa, rising, and radius of the pores that open at it, m, falling.
    cumulative : (n,) float array
        Fraction of the flow through pores of at least this radius.
    all_pores : (n,) float array or float
        Flow of all pores over the pressure, in any unit; it varies only with a gas.
    stream : GasStream, optional
        Without it the flow of a pore rises with r^4.

    Returns
    -------
    NumberDistribution or None
        None if the flow does not rise.

    References
    ----------
    Grabar and Nikitine, J. Chim. Phys. 33, 721 (1936).
    """
    edges = [len(cumulative) - 1]
    for i in range(len(cumulative) - 2, -1, -1):
        # An edge whose flow is not below that of the next edge would make a bin negative or empty.
        if cumulative[i] < cumulative[edges[-1]]:
            edges.append(i)
    edges.reverse()
    if len(edges) < 2:
        return None
    conductance = pore_conductance(np.sqrt(radius[edges[:-1]] * radius[edges[1:]]), pressure[edges[1:]], stream)
    number = np.diff(cumulative[edges]) * np.broadcast_to(all_pores, cumulative.shape)[edges[1:]] / conductance
    return NumberDistribution(radius[edges], number / number.sum())
