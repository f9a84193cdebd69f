"""A porous structure as a filter that fouls, and the laws of its life; lengths are in edges of a voxel.

Units: viscosity and pressure difference are 1, so that a flow is a conductance times a difference between 0 and 1. Time
is the thickness of the deposit that a wall at the concentration of the feed has formed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.networks.fouling_laws import END_CAUSES, Sieving
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.networks.wall_layers import WallLayers

NO_PARTICLES = Sieving()
#: Why a structure's life ended, in the order of their codes in results: as of other filters, or for want of a path.
STRUCTURE_END_CAUSES = (*END_CAUSES, "no_path")
NO_PATH = len(END_CAUSES)


@dataclass(frozen=True)
class FilterStructure:
    """Pore network of a clean structure with its hydraulic conductances and pore walls.

    Parameters
    ----------
    network : PoreNetwork
        Pore bodies, and throats, inlets and outlets between them.
    conductance : (n_throats,) ndarray
        Flow over pressure difference, > 0.
    closing_radius : (n_throats,) ndarray
        Thickness of the deposit that closes each throat, > 0.
    catch_radius : (n_throats,) ndarray
        Radius of the largest particle that passes the clean throat.
    layers : WallLayers
        Wall area of every pore body.
    depth_fraction : (n_bodies, n_bins) ndarray
        Fraction of the walls of every pore body in each bin of the depth; rows sum to 1.
    pore_volume : float
        Of all clean pore bodies.
    """

    network: PoreNetwork
    conductance: np.ndarray
    closing_radius: np.ndarray
    catch_radius: np.ndarray
    layers: WallLayers
    depth_fraction: np.ndarray
    pore_volume: float


@dataclass(frozen=True)
class WallUptake:
    """What the walls take up of each foulant of the feed.

    Parameters
    ----------
    fraction : (n_species,) ndarray
        Fraction of the feed's foulant volume; sums to 1.
    wall_rate : (n_species,) ndarray
        Wall rate over the mean wall rate of the feed, ``sum of fraction times wall rate``.
    body_rate : (n_species,) ndarray
        The same with the resistance of diffusion to the walls of a pore body.
    affinity : float
        Mean wall rate times viscosity, over pressure times the edge of a voxel.
    throat_film : (n_species,) ndarray
        Resistance of the diffusion to the wall of a throat over that of the wall, per voxel of its closing radius.
    """

    fraction: np.ndarray
    wall_rate: np.ndarray
    body_rate: np.ndarray
    affinity: float
    throat_film: np.ndarray


@dataclass(frozen=True)
class Erosion:
    """Erosion of the deposits by the flow.

    Parameters
    ----------
    rate : float
        Thickness that a deposit loses per time and wall shear above the critical one, >= 0.
    critical_shear : float
        Wall shear below which nothing is eroded, over the pressure; >= 0.
    returned : bool
        Whether eroded foulant joins the stream in its pore body, as the first foulant, or is lost.
    """

    rate: float = 0.0
    critical_shear: float = 0.0
    returned: bool = True

    def of(self, shear: np.ndarray) -> np.ndarray:
        """Thickness that deposits lose per time at a wall shear."""
        return self.rate * np.maximum(shear - self.critical_shear, 0.0)

    def fastest(self, erosion: np.ndarray, limit: np.ndarray, area: np.ndarray | float = 1.0) -> float:
        """Largest thickness that deposits would lose per time without a critical shear, where there is enough of them.

        A deposit relaxes to the thickness at which erosion balances deposition at a multiple of this rate over the
        radius of its pore, which time steps must resolve.
        """
        is_free = (erosion > 0) & (erosion < limit)
        loss = np.divide(erosion, area, out=np.zeros_like(erosion), where=is_free)
        return float(np.max(loss + self.rate * self.critical_shear, initial=0.0, where=is_free))


NO_EROSION = Erosion()


@dataclass(frozen=True)
class StructureLaws:
    """Operation, end of life and integration of a structure's life.

    Parameters
    ----------
    uptake : WallUptake
    exponent : int
        A throat of closing radius ``r`` under a deposit ``d`` has ``(1 - d / r)^exponent`` of its clean conductance.
    flux : float or None
        Constant flow; None at constant pressure. ``math.inf`` stands for the first flow at unit pressure.
    pressure_limit : float
        Pressure that ends a life at constant flux.
    flux_fraction : float
        Fraction of the first flux that ends a life at constant pressure, in (0, 1).
    end_time : float
        Time that ends a life, ``math.inf`` for none.
    levels : tuple of float
        Fractions of the first flow at unit pressure at which times and volumes are reported, falling.
    step : float
        Largest growth of a deposit in a time step, over the median closing radius.
    sieving : Sieving
        Particles; ``rate`` is their number per unit of filtrate volume (flow times time) or of time.
    erosion : Erosion
        Of the deposits in bodies and throats.
    """

    uptake: WallUptake
    exponent: int = 3
    flux: float | None = None
    pressure_limit: float = math.inf
    flux_fraction: float = 0.1
    end_time: float = math.inf
    levels: tuple[float, ...] = ()
    step: float = 0.05
    sieving: Sieving = NO_PARTICLES
    erosion: Erosion = NO_EROSION
