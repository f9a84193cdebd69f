"""Flow of a gas through cylindrical pores of log-normal size, and the fraction of it that open pores carry.

One pore of radius r and length y passes ``pi (r^4 p_m / (8 mu) + (2/3) r^3 v) p / (R T y)``, mol s-1, at a pressure
difference p: viscous flow at the mean absolute pressure p_m, and Knudsen flow, with the mean speed v of the molecules.
Integrals over a log-normal distribution above a radius are ``<r^k>`` times a normal probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.physics.elementary import exp, integer_power, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.gases import ATMOSPHERE, GAS_CONSTANT, Gas


@dataclass(frozen=True)
class GasStream:
    """Gas that flows through a membrane.

    Parameters
    ----------
    gas : Gas
    temperature : float
        K.
    permeate_pressure : float
        Absolute pressure behind the membrane, Pa, > 0; default: one atmosphere.
    molar_density : float, optional
        Moles in one m3 as the flow meter counts it, ``p / (R T)`` at the conditions to which it refers, mol m-3.
        Without it, volumes have no absolute meaning.
    """

    gas: Gas
    temperature: float
    permeate_pressure: float = ATMOSPHERE
    molar_density: float | None = None

    def __post_init__(self) -> None:
        self.gas.viscosity(self.temperature)  # refuses temperatures beyond the tables
        if not self.permeate_pressure > 0:
            raise PhysicsError(
                f"permeate pressure: must be absolute and above 0 bar (got {self.permeate_pressure / 1e5:g})"
            )

    def coefficients(self, pressure: Any) -> tuple[Any, float]:
        """Coefficients of r^4 and r^3 in the flow of one pore.

        Parameters
        ----------
        pressure : float or array
            Pressure difference, Pa.

        Returns
        -------
        viscous : float or array
            ``p_m / (8 mu)``, s-1.
        knudsen : float
            ``(2/3) v``, m s-1.
        """
        mean_pressure = self.permeate_pressure + np.asarray(pressure, float) / 2
        viscous = mean_pressure / (8 * float(self.gas.viscosity(self.temperature)))
        return viscous, 2 / 3 * float(self.gas.mean_speed(self.temperature))


def pore_conductance(radius: Any, pressure: Any, stream: GasStream | None = None) -> Any:
    """Flow of one pore at a pressure difference, relative to that of other pores at the same pressure.

    Parameters
    ----------
    radius, pressure : float or array
        m; pressure difference, Pa.
    stream : GasStream, optional
        Without it the flow is viscous: the result is r^4.

    Returns
    -------
    float or array
        With a gas, ``r^4 p_m / (8 mu) + (2/3) r^3 v``, m4 s-1.
    """
    cube = integer_power(np.asarray(radius, float), 3)
    if stream is None:
        return cube * radius
    viscous, knudsen = stream.coefficients(pressure)
    return cube * (viscous * radius + knudsen)


def open_flow_fraction(
    pressure: Any, constant: Any, number_median_radius: Any, log_sd: Any, stream: GasStream | None = None
) -> Any:
    """Fraction of the flow of all pores that the pores carry which are open at a pressure.

    Pores are open whose radius is at least ``constant / pressure``. All arguments broadcast.

    Parameters
    ----------
    pressure : float or array
        Pressure difference, Pa, > 0.
    constant : float or array
        :attr:`CapillaryLaw.constant`, N m-1.
    number_median_radius, log_sd : float or array
        Log-normal distribution of the radius by number: median, m; standard deviation of the logarithm, > 0.
    stream : GasStream, optional
        Without it the flow is viscous (a liquid, or a gas in pores that are wide compared with the mean free path):
        ``Phi((ln r_N + 4 s^2 - ln(constant / pressure)) / s)``.

    Returns
    -------
    float or array
        In [0, 1].
    """
    s = np.asarray(log_sd, float)
    log_ratio = log(number_median_radius) - log(np.asarray(constant, float) / pressure)
    fourth = normal_cdf(log_ratio / s + 4 * s)
    if stream is None:
        return fourth
    viscous_fraction = _viscous_fraction(pressure, number_median_radius, s, stream)
    return viscous_fraction * fourth + (1 - viscous_fraction) * normal_cdf(log_ratio / s + 3 * s)


def open_flow_fraction_slopes(
    pressure: np.ndarray, constant: float, number_median_radius: float, log_sd: float, stream: GasStream | None = None
) -> np.ndarray:
    """Derivatives of :func:`open_flow_fraction` by ``ln r_4`` and ``ln s``, with ``r_4 = r_N exp(4 s^2)``.

    Returns
    -------
    (n, 2) float array
    """
    s = log_sd
    z_viscous = (log(number_median_radius) - log(constant / pressure)) / s + 4 * s
    density = _normal_density(z_viscous)
    if stream is None:
        return np.column_stack([density / s, -density * z_viscous])
    w = _viscous_fraction(pressure, number_median_radius, s, stream)
    z_knudsen = z_viscous - s
    knudsen_density = _normal_density(z_knudsen)
    # ln(w / (1 - w)) rises with ln r_4 - s^2 / 2.
    exchange = w * (1 - w) * (normal_cdf(z_viscous) - normal_cdf(z_knudsen))
    by_median = (w * density + (1 - w) * knudsen_density) / s + exchange
    by_width = -w * density * z_viscous - (1 - w) * knudsen_density * (z_knudsen + 2 * s) - exchange * s * s
    return np.column_stack([by_median, by_width])


def dry_gas_flux(
    pressure: Any, number_median_radius: Any, log_sd: Any, porosity_over_path_length: Any, stream: GasStream
) -> Any:
    """Molar flux of a gas through all pores, mol m-2 s-1; all arguments broadcast.

    Parameters
    ----------
    pressure : float or array
        Pressure difference, Pa.
    number_median_radius, log_sd : float or array
        As in :func:`open_flow_fraction`.
    porosity_over_path_length : float or array
        Surface porosity over the length of the path through a pore, m-1.
    stream : GasStream

    References
    ----------
    Mason and Malinauskas, Gas Transport in Porous Media: The Dusty-Gas Model (1983).
    """
    viscous, knudsen = stream.coefficients(pressure)
    variance = np.square(np.asarray(log_sd, float))
    radius = np.asarray(number_median_radius, float)
    per_area = viscous * np.square(radius) * exp(6 * variance) + knudsen * radius * exp(2.5 * variance)
    return porosity_over_path_length * per_area * np.asarray(pressure) / (GAS_CONSTANT * stream.temperature)


def _viscous_fraction(pressure: Any, number_median_radius: Any, log_sd: Any, stream: GasStream) -> Any:
    """Fraction of the flow of all pores that is viscous."""
    viscous, knudsen = stream.coefficients(pressure)
    log_ratio = log(viscous / knudsen) + log(number_median_radius) + 3.5 * np.square(log_sd)
    return 1 / (1 + exp(-log_ratio))


def _normal_density(z: np.ndarray) -> np.ndarray:
    return np.asarray(exp(-np.square(z) / 2) / math.sqrt(2 * math.pi))
