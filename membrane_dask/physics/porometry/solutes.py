"""Stokes radii, diffusivities and mass transfer coefficients of the solutes of a rejection test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import exp, log, power
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot

_BOLTZMANN = 1.380649e-23


@dataclass(frozen=True)
class StokesRelation:
    """Stokes radius of the molecules of a polymer, ``r_s = a M^b`` with the molar mass M in g mol-1.

    Parameters
    ----------
    coefficient : float
        ``a``, m, > 0.
    exponent : float
        ``b``, > 0.
    """

    coefficient: float
    exponent: float

    def radius(self, molar_mass: Any) -> Any:
        """Stokes radius, m, at molar masses in kg mol-1."""
        return self.coefficient * power(1e3 * np.asarray(molar_mass, float), self.exponent)

    def molar_mass(self, stokes_radius: Any) -> Any:
        """Molar mass, kg mol-1, at Stokes radii in m."""
        return 1e-3 * power(np.asarray(stokes_radius, float) / self.coefficient, 1 / self.exponent)


#: Dextran, 0.33 M^0.463 angstrom (PMC8145727, Table 1, note i).
DEXTRAN = StokesRelation(0.33e-10, 0.463)
#: Relations for poly(ethylene glycol) that no source confirms. Their radii differ by 8 % at 10 kDa, 23 % at 100 kDa.
_UNCONFIRMED = "0.0262 nm * M^0.5 or 0.01673 nm * M^0.557"


def stokes_relation(solute: str | None) -> StokesRelation:
    """Relation of Stokes radius and molar mass of a solute by its name; none if the table does not state it.

    Raises
    ------
    PhysicsError
        For poly(ethylene glycol), whose relations are not confirmed, and for every solute but dextran.
    """
    if solute is None:
        raise PhysicsError(
            "solute: molar masses without the solute give no Stokes radii; write solute: dextran, or a relation"
        )
    name = " ".join(solute.lower().split())
    if name in ("dextran", "dextrans"):
        return DEXTRAN
    if name in ("peg", "pegs", "peo", "polyethylene glycol", "poly(ethylene glycol)", "polyethylene oxide"):
        raise PhysicsError(
            f"stokes: no relation of the Stokes radius of {solute} and its molar mass M in g/mol is confirmed; "
            f"in use are {_UNCONFIRMED}: write the one of your source, or give a column of Stokes radii"
        )
    raise PhysicsError(
        f"solute: {solute!r} has no known Stokes radius; known is dextran: give a relation such as "
        "stokes: 0.033 nm * M^0.463 with M in g/mol, or a column of Stokes radii"
    )


@dataclass(frozen=True)
class TabulatedSolutes:
    """Stokes radii and molar masses of a table, between which the logarithms are interpolated.

    Outside the table the least-squares line of the logarithms is continued.

    Parameters
    ----------
    stokes_radii : (n,) float array
        m.
    molar_masses : (n,) float array
        kg mol-1.
    """

    stokes_radii: np.ndarray
    molar_masses: np.ndarray

    @property
    def rising(self) -> bool:
        """Whether the Stokes radius rises with the molar mass; otherwise a radius has no molar mass."""
        order = np.argsort(self.molar_masses, kind="stable")
        return len(order) > 1 and bool((np.diff(self.stokes_radii[order]) > 0).all())

    def molar_mass(self, stokes_radius: Any) -> Any:
        """Molar mass, kg mol-1, at Stokes radii in m; the table must rise."""
        order = np.argsort(self.stokes_radii)
        x, y = log(self.stokes_radii[order]), log(self.molar_masses[order])
        at = np.asarray(log(stokes_radius))
        slope = float(dot(x - x.mean(), y - y.mean()) / dot(x - x.mean(), x - x.mean()))
        outside = np.where(at < x[0], y[0] + slope * (at - x[0]), y[-1] + slope * (at - x[-1]))
        return exp(np.where((at < x[0]) | (at > x[-1]), outside, np.interp(at, x, y)))


def diffusivity(stokes_radius: Any, temperature: float, viscosity: float) -> Any:
    """Diffusivity by Stokes and Einstein, ``k T / (6 pi mu r_s)``, m2 s-1.

    Parameters
    ----------
    stokes_radius : float or array
        m.
    temperature : float
        K.
    viscosity : float
        Of the liquid, Pa s.
    """
    return _BOLTZMANN * temperature / (6 * math.pi * viscosity * np.asarray(stokes_radius, float))


def mass_transfer_coefficient(
    stokes_radius: Any, reference_value: float, reference_radius: float, exponent: float = 0.667
) -> Any:
    """Mass transfer coefficient of solutes from that of one of them, ``k = k_0 (D / D_0)^b``, m s-1.

    Parameters
    ----------
    stokes_radius : float or array
        m.
    reference_value : float
        Coefficient of the reference solute in the same cell at the same stirring, m s-1.
    reference_radius : float
        Its Stokes radius, m.
    exponent : float
        Of the diffusivity, which is inversely proportional to the Stokes radius.
    """
    return reference_value * power(reference_radius / np.asarray(stokes_radius, float), exponent)
