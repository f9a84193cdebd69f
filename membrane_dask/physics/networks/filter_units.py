"""Physical units of a filter: what the dimensionless time, flux and throughput of a network mean on the bench."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: Seconds of an hour; litres of a cubic metre; L m-2 h-1 of a flux of 1 m s-1.
HOUR = 3600.0
LITRES = 1000.0
LMH = LITRES * HOUR
#: Pascal of a bar.
BAR = 1e5


@dataclass(frozen=True)
class FilterUnits:
    """Scales of length, pressure and time of a filter and its feed.

    Parameters
    ----------
    thickness : float
        Membrane thickness ``W``, m, > 0.
    pressure : float
        Pressure difference ``P0`` across the membrane, Pa, > 0; the initial one at constant flux.
    viscosity : float
        Viscosity ``mu`` of the feed, Pa s, > 0.
    foulant_volume_fraction : float
        Volume of the deposit that the foulant of a volume of feed forms, over that volume of feed, in ``(0, 1)``:
        ``phi = 2 pi alpha C_0`` in the symbols of the paper.

    Notes
    -----
    A pore of radius ``W r`` and length ``W l`` has the conductance ``pi W^3 r^4 / (8 mu l)`` (Hagen-Poiseuille), and
    its wall grows by the volume of what it adsorbs.

    References
    ----------
    Gu, Kondic and Cummings, Phys. Rev. Fluids 8, 044502 (2023), Table II: scales of the variables.
    """

    thickness: float
    pressure: float
    viscosity: float
    foulant_volume_fraction: float

    def hours(self, time: Any, deposition: Any) -> Any:
        """Physical time of a dimensionless one, h: ``16 mu t / (P0 lambda phi)``."""
        return 16.0 * self.viscosity * time / (self.pressure * deposition * self.foulant_volume_fraction) / HOUR

    def permeate_flux(self, flux: Any) -> Any:
        """Permeate flux of a dimensionless flux, L m-2 h-1: ``pi W P0 q / (8 mu)``."""
        return first_permeate_flux(self.thickness, self.pressure, self.viscosity, flux)

    def filtrate_volume(self, throughput: Any) -> Any:
        """Filtrate volume per membrane area of a dimensionless throughput, L m-2: ``2 pi W h / phi``."""
        return 2.0 * math.pi * self.thickness * throughput / self.foulant_volume_fraction * LITRES

    def bar(self, pressure: Any) -> Any:
        """Pressure of a dimensionless one, bar."""
        return self.pressure * pressure / BAR


def first_permeate_flux(thickness: float, pressure: float, viscosity: float, flux: Any) -> Any:
    """Permeate flux of a dimensionless flux, L m-2 h-1; parameters as in :class:`FilterUnits`."""
    return math.pi * thickness * pressure * flux / (8.0 * viscosity) * LMH
