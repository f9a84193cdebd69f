"""Physical units of a structure's life, and the numbers that compare uptake, diffusion and flow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.networks.structure_laws import WallUptake

#: Boltzmann constant, J/K.
_BOLTZMANN = 1.380649e-23
#: Sherwood number of a tube whose wall has a constant concentration.
_SHERWOOD = 3.66
#: Seconds in an hour; L m-2 h-1 in m s-1; litres in a cubic metre.
_HOUR, _LMH, _LITRES = 3600.0, 3.6e6, 1e3


def stokes_einstein(diameter: float, temperature: float, viscosity: float) -> float:
    """Diffusivity of a sphere.

    Parameters
    ----------
    diameter : float
        m.
    temperature : float
        K.
    viscosity : float
        Pa s.

    Returns
    -------
    float
        m2 s-1.
    """
    return _BOLTZMANN * temperature / (3 * math.pi * viscosity * diameter)


@dataclass(frozen=True)
class StructureUnits:
    """Scales of a life whose lengths are in voxels and whose viscosity and pressure are 1.

    Parameters
    ----------
    voxel : float
        Edge of a voxel, m.
    viscosity : float
        Pa s.
    pressure : float
        Pa.
    wall_rate : float
        Mean wall rate of the feed, m s-1.
    volume_fraction : float
        Volume of the deposit per volume of feed.
    cross_section : float
        Of the structure, voxels squared.
    """

    voxel: float
    viscosity: float
    pressure: float
    wall_rate: float
    volume_fraction: float
    cross_section: float

    @property
    def second(self) -> float:
        """Seconds in the unit of time, in which a deposit grows by a voxel at the feed's concentration."""
        return self.voxel / (self.volume_fraction * self.wall_rate)

    @property
    def hour(self) -> float:
        """Hours in the unit of time."""
        return self.second / _HOUR

    @property
    def flow(self) -> float:
        """Cubic metres per second in the unit of flow."""
        return self.voxel * self.voxel * self.voxel * self.pressure / self.viscosity

    @property
    def area(self) -> float:
        """Cross-section, m2."""
        return self.cross_section * self.voxel * self.voxel

    @property
    def flux(self) -> float:
        """L m-2 h-1 in the unit of flow."""
        return self.flow / self.area * _LMH

    @property
    def filtrate(self) -> float:
        """L m-2 in the unit of filtrate, flow times time."""
        return self.flow * self.second / self.area * _LITRES

    @property
    def feed(self) -> float:
        """Cubic metres in the unit of filtrate."""
        return self.flow * self.second

    @property
    def affinity(self) -> float:
        """Mean wall rate times viscosity, over pressure times the edge of a voxel."""
        return self.wall_rate * self.viscosity / (self.pressure * self.voxel)


def film_rate(wall_rate: float, diffusivity: float | None, hydraulic_radius: float) -> float:
    """Wall rate of a pore: that of the wall in series with diffusion to it.

    Parameters
    ----------
    wall_rate : float
        m s-1.
    diffusivity : float or None
        m2 s-1; None where diffusion is no resistance.
    hydraulic_radius : float
        Twice the pore volume over the wall area, of a throat its radius; m.

    Returns
    -------
    float
        ``1 / (1 / k + 2 r / (3.66 D))``, m s-1.
    """
    if diffusivity is None:
        return wall_rate
    return 1 / (1 / wall_rate + 2 * hydraulic_radius / (_SHERWOOD * diffusivity))


def wall_uptake(
    wall_rates: tuple[float, ...], diffusivities: tuple[float | None, ...], fractions: tuple[float, ...],
    hydraulic_radius: float, voxel: float, affinity: float,
) -> WallUptake:  # fmt: skip
    """Uptake of each foulant relative to the mean wall rate of the feed.

    Parameters
    ----------
    wall_rates, diffusivities, fractions : tuple
        Of each foulant: m s-1, m2 s-1 (None for no resistance), and the fraction of the feed's foulant volume.
    hydraulic_radius, voxel : float
        Of the pore bodies, and the edge of a voxel, m.
    affinity : float
        Of :class:`StructureUnits`.

    Returns
    -------
    WallUptake
    """
    mean = mean_wall_rate(wall_rates, fractions)
    rates = [film_rate(k, d, hydraulic_radius) for k, d in zip(wall_rates, diffusivities, strict=True)]
    return WallUptake(
        fraction=np.array(fractions, float),
        wall_rate=np.array(wall_rates, float) / mean,
        body_rate=np.array(rates, float) / mean,
        affinity=affinity,
        throat_film=np.array([k / film_rate(k, d, voxel) - 1 for k, d in zip(wall_rates, diffusivities, strict=True)]),
    )


def mean_wall_rate(wall_rates: tuple[float, ...], fractions: tuple[float, ...]) -> float:
    """Wall rate of the feed: the mean over its foulants."""
    total = 0.0
    for wall_rate, fraction in zip(wall_rates, fractions, strict=True):
        total += fraction * wall_rate
    return total
