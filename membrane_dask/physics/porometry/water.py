"""Properties of pure water at a temperature, from the formulations of IAPWS."""

from __future__ import annotations

from dataclasses import dataclass

from chemicals.iapws import iapws95_rho
from chemicals.interface import sigma_IAPWS
from chemicals.viscosity import mu_IAPWS

#: Temperature to which permeabilities are normalised, K.
STANDARD = 298.15
_ATMOSPHERE = 101_325.0


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
    def at(cls, temperature: float) -> Water:
        """Water at a temperature, K, of 273.16 to 373.

        Raises
        ------
        ValueError
            Where water is not liquid.

        References
        ----------
        IAPWS R6-95 (density), R12-08 (viscosity), R1-76 (surface tension).
        """
        if not 273.16 <= temperature <= 373.0:
            raise ValueError(f"temperature: must lie within 273.16 and 373 K, as water is liquid (got {temperature} K)")
        density = iapws95_rho(temperature, _ATMOSPHERE)
        return cls(mu_IAPWS(temperature, density), density, sigma_IAPWS(temperature))
