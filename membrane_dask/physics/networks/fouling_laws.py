"""Laws of a filter's life beyond adsorption at constant pressure: their parameters, in dimensionless units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from membrane_dask.physics.networks.radius_distribution import EQUAL_RADII, RadiusSpread

#: Why a filter's life ended, in the order of their codes in results.
EndCause = Literal["extinction", "blocked", "pressure_limit", "flux_fraction", "time"]
END_CAUSES: tuple[EndCause, ...] = ("extinction", "blocked", "pressure_limit", "flux_fraction", "time")
EXTINCTION, BLOCKED, PRESSURE_LIMIT, FLUX_FRACTION, TIME = range(5)


@dataclass(frozen=True)
class Species:
    """A foulant of a feed that carries several.

    Parameters
    ----------
    deposition : float
        Deposition coefficient, > 0.
    fraction : float
        Fraction of the feed's foulant volume, > 0; the fractions of all species sum to 1.
    """

    deposition: float
    fraction: float


@dataclass(frozen=True)
class Sieving:
    """Large particles that arrive one by one, follow the flow and block the first pore that is narrower than they are.

    Parameters
    ----------
    rate : float
        Expected number of particles per unit of throughput, or per unit of time; 0 without particles.
    arrivals : {"volume", "time"}
        Whether particles arrive in proportion to the filtrate or at a constant rate.
    particle_radius : float
        Mean radius, > 0 where there are particles.
    spread : RadiusSpread
        Variation of the radius from particle to particle.
    residual_conductance : float
        Factor of a pore's conductance for every particle that blocks it, in ``[0, 1)``; with 0 the pore closes.
    """

    rate: float = 0.0
    arrivals: Literal["volume", "time"] = "volume"
    particle_radius: float = 0.0
    spread: RadiusSpread = EQUAL_RADII
    residual_conductance: float = 0.0


@dataclass(frozen=True)
class FoulingLaws:
    """Laws of a filter's life; the defaults are those of Gu, Kondic & Cummings (2023).

    Parameters
    ----------
    conserving : bool
        Whether the deposited foulant is the removed one: with ``x = lambda r l / q``, a pore loses area at the rate
        ``2 r c (1 - exp(-x)) / x``. As published, it loses radius at the rate ``c``, whatever ``x``.
    segments : int
        Number of equal pieces of a pore with radii of their own, >= 1; more than one only where ``conserving``.
    species : sequence of Species
        Foulants of the feed; none stands for a single one with the deposition coefficient of the life.
    erosion_rate, critical_shear : float
        A pore widens at the rate ``erosion_rate * max(0, shear - critical_shear)`` with the wall shear
        ``q / (2 r^3)``, at most up to its clean radius; >= 0.
    erosion_returned : bool
        Whether eroded foulant joins the stream at the outlet of its pore, as the first species, or is lost.
    flux : float or "initial", optional
        Constant flux; ``"initial"`` is that of the clean filter at unit pressure. Without it the pressure is constant.
    pressure_limit : float
        Transmembrane pressure that ends a life at constant flux, in units of the constant pressure, > 0.
    flux_fraction : float
        Fraction of the first flux that ends a life at constant pressure, in ``[0, 1)``; with 0 it ends by extinction.
    end_time : int, optional
        Time step that ends a life.
    sieving : Sieving
        Particles that block pores.

    Raises
    ------
    ValueError
        If a combination is not defined.
    """

    conserving: bool = False
    segments: int = 1
    species: Sequence[Species] = ()
    erosion_rate: float = 0.0
    critical_shear: float = 0.0
    erosion_returned: bool = True
    flux: float | Literal["initial"] | None = None
    pressure_limit: float = math.inf
    flux_fraction: float = 0.0
    end_time: int | None = None
    sieving: Sieving = Sieving()

    def __post_init__(self) -> None:
        if self.segments > 1 and not self.conserving:
            raise ValueError("segments: more than one is not defined for the published deposition law")
        if self.segments > 1 and self.erosion_rate > 0:
            raise ValueError("segments: more than one is not defined with erosion")
        if self.sieving.rate > 0 and not self.sieving.particle_radius > 0:
            raise ValueError(f"particle_radius: must be greater than 0 (got {self.sieving.particle_radius})")

    def reference_deposition(self, deposition: float) -> float:
        """Return the unit of time and throughput: the mean deposition coefficient of the feed's foulant."""
        if not self.species:
            return deposition
        total = 0.0
        for species in self.species:
            total += species.fraction * species.deposition
        return total


PUBLISHED_LAWS = FoulingLaws()


class KernelDeposition(NamedTuple):
    """Deposition and erosion as the compiled simulation takes them.

    Attributes
    ----------
    conserving, returned : bool
    segments : int
    deposition, fraction : (n_species,) ndarray
        Deposition coefficient of each species, and its fraction of the feed's foulant volume.
    erosion_rate, critical_shear : float
    """

    conserving: bool
    segments: int
    deposition: np.ndarray
    fraction: np.ndarray
    erosion_rate: float
    critical_shear: float
    returned: bool


class KernelOperation(NamedTuple):
    """Operation and end of life as the compiled simulation takes them.

    Attributes
    ----------
    constant_flux : bool
    flux : float
        Constant flux, 0 for the first flux of the clean filter.
    pressure_limit, flux_fraction : float
    end_time : int
        Time step of the end, -1 without one.
    """

    constant_flux: bool
    flux: float
    pressure_limit: float
    flux_fraction: float
    end_time: int


class KernelParticles(NamedTuple):
    """Particles that block pores as the compiled simulation takes them.

    Attributes
    ----------
    rate, radius, residual : float
        Rate of arrivals, mean radius, factor of the conductance of a pore that is blocked.
    by_volume : bool
    code : int
        Distribution of the radius, as in :func:`~.radius_distribution.spread_factor`.
    scale, slope : float
    key : uint64
        Key of the random numbers.
    """

    rate: float
    by_volume: bool
    radius: float
    residual: float
    code: int
    scale: float
    slope: float
    key: np.uint64


def kernel_deposition(laws: FoulingLaws, deposition: float) -> KernelDeposition | None:
    """Return the laws of deposition for one coefficient, None where one foulant is deposited as published."""
    if not (laws.conserving or len(laws.species) > 1 or laws.erosion_rate > 0):
        return None
    species = laws.species or (Species(deposition, 1.0),)
    return KernelDeposition(
        laws.conserving, laws.segments, np.array([s.deposition for s in species], float),
        np.array([s.fraction for s in species], float), float(laws.erosion_rate), float(laws.critical_shear),
        laws.erosion_returned,
    )  # fmt: skip


def kernel_operation(laws: FoulingLaws) -> KernelOperation:
    """Return the operation and the end of life."""
    return KernelOperation(
        laws.flux is not None, float(laws.flux) if isinstance(laws.flux, float | int) else 0.0,
        float(laws.pressure_limit), float(laws.flux_fraction), -1 if laws.end_time is None else int(laws.end_time),
    )  # fmt: skip


def kernel_particles(laws: FoulingLaws, key: int) -> KernelParticles | None:
    """Return the particles with the key of their random numbers, None without particles."""
    sieving = laws.sieving
    if not sieving.rate > 0:
        return None
    return KernelParticles(
        float(sieving.rate), sieving.arrivals == "volume", float(sieving.particle_radius),
        float(sieving.residual_conductance), *sieving.spread.code_scale_slope, np.uint64(key),
    )  # fmt: skip
