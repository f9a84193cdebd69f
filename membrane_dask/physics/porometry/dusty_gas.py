"""Dusty-gas model of a membrane with log-normal pore radii, and permeances of gas cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import exp
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.gases import GAS_CONSTANT, Gas
from membrane_dask.physics.porometry.reading_checks import refuse, row_names


def unit_permeances(mean_pressure: Any, gas: Gas, temperature: Any) -> tuple[Any, Any]:
    """Permeances by Knudsen flow, ``2 v / (3 R T)``, and by viscous flow, ``p_m / (8 mu R T)``.

    Parameters
    ----------
    mean_pressure, temperature : float or array
        Pa and K.
    gas : Gas
        For its mean speed v and viscosity mu.

    Returns
    -------
    knudsen : float or array
        mol m-2 s-1 Pa-1, to be multiplied by ``eps <r^3> / (y <r^2>)``.
    viscous : float or array
        mol m-3 s-1 Pa-1, to be multiplied by ``eps r_h^2 / y``.

    References
    ----------
    Mason and Malinauskas, Gas Transport in Porous Media: The Dusty-Gas Model (Elsevier, 1983); Klinkenberg, API Drill.
    Prod. Pract., 200 (1941).
    """
    thermal = GAS_CONSTANT * np.asarray(temperature, float)
    viscous = np.asarray(mean_pressure, float) / (8 * gas.viscosity(temperature) * thermal)
    return 2 * gas.mean_speed(temperature) / (3 * thermal), viscous


def gas_permeance(
    mean_pressure: Any, gas: Gas, temperature: Any, number_median: Any, log_standard_deviation: Any,
    porosity_over_path_length: Any,
) -> np.ndarray:  # fmt: skip
    """Permeance of a membrane with log-normal pore radii by the dusty-gas model.

    Parameters
    ----------
    mean_pressure : (n,) float array
        Pa, > 0.
    gas : Gas
        Its properties.
    temperature : float or (n,) float array
        K.
    number_median, log_standard_deviation, porosity_over_path_length : (...) float array
        m, none, and ``eps / y`` in m-1; broadcast.

    Returns
    -------
    (..., n) float array
        ``[eps r_h^2 p_m / (8 mu) + (2/3) v eps r_N exp(2.5 s^2)] / (R T y)``, mol m-2 s-1 Pa-1.
    """
    knudsen, viscous = unit_permeances(mean_pressure, gas, temperature)
    median = np.asarray(number_median, float)
    variance = np.square(np.asarray(log_standard_deviation, float))
    ratio = np.asarray(porosity_over_path_length, float)
    knudsen_radius = (ratio * median * exp(2.5 * variance))[..., None]
    return np.asarray(knudsen_radius * knudsen + (ratio * np.square(median) * exp(6 * variance))[..., None] * viscous)


def permeances_of_flows(
    flow: Any, flow_temperature: Any, flow_pressure: Any, feed_pressure: Any, permeate_pressure: Any, area: Any,
    rows: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Mean pressures and permeances of a cell.

    Parameters
    ----------
    flow : (n,) float array
        By volume, counted at ``flow_temperature`` (K) and ``flow_pressure`` (Pa, absolute), m3 s-1.
    flow_temperature, flow_pressure : float or (n,) float array
        273.15 K and 101325 Pa for standard volumes.
    feed_pressure, permeate_pressure : (n,) float array
        Absolute, Pa.
    area : float or (n,) float array
        m2, > 0.
    rows : sequence of int, optional
        Rows of the table, for messages.

    Returns
    -------
    mean_pressure, permeance : (n,) float array
        Pa; mol m-2 s-1 Pa-1.

    Raises
    ------
    PhysicsError
        If the feed pressure is not above the permeate pressure, or a value is not above 0; all readings at once.
    """
    flow, feed, permeate = (
        np.asarray(flow, float),
        np.asarray(feed_pressure, float),
        np.asarray(permeate_pressure, float),
    )
    names = row_names(rows, len(flow))
    permeate = np.broadcast_to(permeate, feed.shape)
    no_flow = np.flatnonzero(~(flow > 0))
    problems = [f"{names[i]}: the flow must be above 0 (got {6e7 * flow[i]:.4g} mL/min)" for i in no_flow]
    problems += [
        f"{names[i]}: the feed pressure ({feed[i] / 1e5:.4g} bar) is not above the permeate pressure "
        f"({permeate[i] / 1e5:.4g} bar); absolute pressures are needed on both sides"
        for i in np.flatnonzero(~((feed > permeate) & (permeate >= 0)))
    ]
    conditions = {"area": area, "flow_at temperature": flow_temperature, "flow_at pressure": flow_pressure}
    for name, values in conditions.items():
        if not (np.asarray(values) > 0).all():
            problems.append(f"{name}: above 0 (got {np.min(values):g})")
    refuse(problems)
    molar_flow = np.asarray(flow_pressure) * flow / (GAS_CONSTANT * np.asarray(flow_temperature))
    return (feed + permeate) / 2, np.asarray(molar_flow / (np.asarray(area) * (feed - permeate)))


def permeance_ratio_regime(
    first: float, second: float, first_gas: Gas, second_gas: Gas, temperature: float
) -> tuple[float, str]:
    """Regime of flow from the permeances of two gases at the same pressures; they give no radius.

    Parameters
    ----------
    first, second : float
        Permeances, in one unit, > 0.
    first_gas, second_gas : Gas
        The gases.
    temperature : float
        K.

    Returns
    -------
    knudsen_fraction : float
        Position of the ratio between viscous flow (0, ``mu_2 / mu_1``) and Knudsen flow (1, ``sqrt(M_2 / M_1)``).
    finding : str
        The same in words.

    Raises
    ------
    PhysicsError
        If a permeance is not above 0.
    """
    if not (first > 0 and second > 0):
        raise PhysicsError(f"permeances: above 0 (got {first:g} and {second:g})")
    ratio = first / second
    knudsen = math.sqrt(second_gas.molar_mass / first_gas.molar_mass)
    viscous = float(second_gas.viscosity(temperature) / first_gas.viscosity(temperature))
    fraction = (ratio - viscous) / (knudsen - viscous)
    return fraction, (
        f"{first_gas.name}/{second_gas.name}: the ratio of permeances is {ratio:.3g}, that of Knudsen flow "
        f"{knudsen:.4g}, that of viscous flow {viscous:.3g}; permeances without mean pressures give no pore radius"
    )
