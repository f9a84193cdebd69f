"""Gases of porometers and permeation cells: molar mass, viscosity, speed and mean free path of the molecules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.errors import PhysicsError

#: Molar gas constant, J mol-1 K-1 (exact in the SI of 2019, rounded).
GAS_CONSTANT = 8.314462618
#: Standard atmosphere, Pa.
ATMOSPHERE = 101_325.0
#: One gas permeation unit, 1e-6 cm3(STP) cm-2 s-1 cmHg-1, in mol m-2 s-1 Pa-1; 22413.969 cm3(STP) are one mole.
GAS_PERMEATION_UNIT = 1e-6 / 22_413.969 / 1e-4 / 1333.22387
_REFERENCE_TEMPERATURE = 298.15
#: Temperatures, K, at which the viscosities agree with the tables within 1 %.
_TEMPERATURES = (250.0, 400.0)


@dataclass(frozen=True)
class Gas:
    """An ideal gas at moderate pressure.

    Parameters
    ----------
    name : str
        As it stands in results.
    molar_mass : float
        kg mol-1.
    reference_viscosity : float
        At 298.15 K, Pa s.
    sutherland_temperature : float
        Constant of Sutherland's formula, K.
    """

    name: str
    molar_mass: float
    reference_viscosity: float
    sutherland_temperature: float

    @classmethod
    def named(cls, name: str) -> Gas:
        """The gas with a name or formula, in any case.

        Raises
        ------
        PhysicsError
            If the name is not known; the message lists the known ones.
        """
        key = " ".join(name.lower().split())
        if key not in _GASES:
            names = ", ".join(f"{gas.name} ({formula})" if formula else gas.name for gas, formula in _LIST)
            raise PhysicsError(f"gas: {name!r} is not known; known are {names}")
        return _GASES[key]

    def viscosity(self, temperature: Any) -> Any:
        """Viscosity at temperatures in K, 250 to 400, by Sutherland's formula, Pa s.

        Raises
        ------
        PhysicsError
            Outside this range.

        References
        ----------
        Sutherland, Phil. Mag. 36, 507 (1893). Constants: adjusted to the correlations of Perry's Chemical Engineers'
        Handbook, 8th ed., Table 2-312, and for air to Lemmon and Jacobsen, Int. J. Thermophys. 25, 21 (2004).
        """
        temperature = np.asarray(temperature, float)
        low, high = _TEMPERATURES
        if not ((temperature >= low) & (temperature <= high)).all():
            raise PhysicsError(f"temperature: the viscosity of {self.name} is known from {low:g} to {high:g} K")
        ratio = temperature / _REFERENCE_TEMPERATURE
        constant = self.sutherland_temperature
        change = (_REFERENCE_TEMPERATURE + constant) / (temperature + constant)
        return (self.reference_viscosity * ratio * np.sqrt(ratio) * change)[()]

    def mean_speed(self, temperature: Any) -> Any:
        """Mean speed of the molecules, ``v = sqrt(8 R T / (pi M))``, m s-1; temperature in K."""
        return np.sqrt(8 * GAS_CONSTANT * np.asarray(temperature, float) / (math.pi * self.molar_mass))[()]

    def mean_free_path(self, temperature: Any, pressure: Any) -> Any:
        """Mean free path, ``lambda = mu / p sqrt(pi R T / (2 M))``, m.

        Parameters
        ----------
        temperature : float or array
            K.
        pressure : float or array
            Absolute, Pa, > 0.
        """
        speed_term = np.sqrt(math.pi * GAS_CONSTANT * np.asarray(temperature, float) / (2 * self.molar_mass))
        return (self.viscosity(temperature) / np.asarray(pressure, float) * speed_term)[()]


def knudsen_to_viscous_ratio(radius: Any, mean_free_path: Any) -> Any:
    """Knudsen flow over viscous flow in a long cylindrical pore, ``64 lambda / (3 pi r)``.

    Parameters
    ----------
    radius : float or array
        Pore radius, m, > 0.
    mean_free_path : float or array
        At the mean pressure, m.
    """
    return (64 * np.asarray(mean_free_path, float) / (3 * math.pi * np.asarray(radius, float)))[()]


def molar_density(temperature: float, pressure: float = ATMOSPHERE) -> float:
    """Moles in one m3 of an ideal gas, ``p / (R T)``, mol m-3.

    Parameters
    ----------
    temperature : float
        K.
    pressure : float
        Absolute, Pa.
    """
    return pressure / (GAS_CONSTANT * temperature)


_LIST = (
    (Gas("nitrogen", 28.0134e-3, 17.80e-6, 107.0), "N2"),
    (Gas("air", 28.9647e-3, 18.45e-6, 118.0), ""),
    (Gas("helium", 4.002602e-3, 19.85e-6, 73.0), "He"),
    (Gas("argon", 39.948e-3, 22.64e-6, 145.0), "Ar"),
    (Gas("oxygen", 31.9988e-3, 20.62e-6, 134.0), "O2"),
    (Gas("carbon dioxide", 44.0095e-3, 14.95e-6, 247.0), "CO2"),
)
_GASES = {key.lower(): gas for gas, formula in _LIST for key in (gas.name, formula) if key}
