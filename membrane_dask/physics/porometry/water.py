"""Viscosity, density and surface tension of pure water at a temperature (IAPWS)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from chemicals.iapws import iapws95_rho
from chemicals.interface import sigma_IAPWS
from chemicals.viscosity import mu_IAPWS

from membrane_dask.physics.decimal_digits import round_to_digits

#: Temperature to which permeabilities are normalised, K.
REFERENCE_TEMPERATURE = 298.15
_ATMOSPHERE = 101_325.0
#: Significant digits of the properties; the formulation of the viscosity has an uncertainty of 1 %.
_DIGITS = 10


@dataclass(frozen=True)
class Water:
    """Water at atmospheric pressure.

    Parameters
    ----------
    viscosity : float
        Pa s.
    density : float
        kg m-3.
    surface_tension : float
        Against its vapour, N m-1.
    """

    viscosity: float
    density: float
    surface_tension: float

    @classmethod
    @lru_cache(maxsize=1024)  # a table has few temperatures
    def at(cls, temperature: float) -> Water:
        """Water at a temperature in K, 273.16 to 373.

        Raises
        ------
        ValueError
            Outside this range.

        References
        ----------
        IAPWS R6-95 (density), R12-08 (viscosity), R1-76 (surface tension).
        """
        if not 273.16 <= temperature <= 373.0:
            raise ValueError(f"temperature: liquid water is needed, 273.16 to 373 K (got {temperature} K)")
        density = float(iapws95_rho(temperature, _ATMOSPHERE))  # type: ignore[no-untyped-call]
        # Powers and exponentials of the C library differ in the last bit between processors.
        values = (mu_IAPWS(temperature, density), density, sigma_IAPWS(temperature))
        return cls(*(round_to_digits(value, _DIGITS) for value in values))
