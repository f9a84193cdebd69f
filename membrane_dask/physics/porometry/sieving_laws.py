"""Sieving coefficient of a rigid sphere in a cylindrical pore, by three laws, and its limits by diffusion.

The actual sieving coefficient is the concentration that leaves a pore over that at its mouth; the actual rejection is
one minus it. All functions take ``radius_ratio``, the Stokes radius of the solute over the radius of the pore.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.root_finding import brentq


def partition_coefficient(radius_ratio: Any) -> Any:
    """Fraction of the cross-section open to centres of spheres, ``Phi = (1 - lambda)^2``; 0 from ``lambda = 1`` on."""
    return np.square(1 - np.minimum(np.asarray(radius_ratio, float), 1.0))[()]


def ferry(radius_ratio: Any) -> Any:
    """Sieving coefficient without hydrodynamic hindrance, ``Phi (2 - Phi)``.

    References
    ----------
    Ferry, J. Gen. Physiol. 20, 95 (1936).
    """
    partition = partition_coefficient(radius_ratio)
    return partition * (2 - partition)


def zeman_wales(radius_ratio: Any) -> Any:
    """Sieving coefficient with the steric velocity lag, ``Phi (2 - Phi) exp(-0.7146 lambda^2)``.

    References
    ----------
    Zeman and Wales, Sep. Sci. Technol. 16, 275 (1981).
    """
    return ferry(radius_ratio) * exp(-0.7146 * np.square(np.asarray(radius_ratio, float)))


def dechadilok_deen(radius_ratio: Any) -> Any:
    """Convective hindrance factor W of a sphere averaged over the cross-section.

    References
    ----------
    Dechadilok and Deen, Ind. Eng. Chem. Res. 45, 6953 (2006), Eq. 18.
    """
    x = np.minimum(np.asarray(radius_ratio, float), 1.0)
    numerator = 1 + x * (3.867 + x * (-1.907 - 0.834 * x))
    return partition_coefficient(x) * numerator / (1 + x * (1.867 - 0.741 * x))


def diffusive_hindrance(radius_ratio: Any) -> Any:
    """Diffusive hindrance factor H of a sphere averaged over the cross-section; 0 from ``lambda = 1`` on.

    References
    ----------
    Dechadilok and Deen, Ind. Eng. Chem. Res. 45, 6953 (2006), Eq. 16.
    """
    x = np.minimum(np.asarray(radius_ratio, float), 1.0)
    series = np.zeros_like(x)
    for coefficient in (-0.435933, 1.10115, 0.270788, -2.81903, 1.91521, 0.528155, -1.56034, 1.0):
        series = series * x + coefficient
    return np.maximum(series + 1.125 * x * log(np.where(x > 0, x, 1.0)), 0.0)[()]


#: Actual sieving coefficient where convection dominates diffusion, by the name of the law.
LAWS: dict[str, Callable[[Any], Any]] = {
    "ferry": ferry, "zeman-wales": zeman_wales, "dechadilok-deen": dechadilok_deen,
}  # fmt: skip


def sieving_law(name: str) -> Callable[[Any], Any]:
    """Law with a name.

    Raises
    ------
    PhysicsError
        If there is none of this name.
    """
    if name not in LAWS:
        raise PhysicsError(f"law: {name!r} is not known; known are {', '.join(LAWS)}")
    return LAWS[name]


def sieving_at_peclet_number(convective_hindrance: Any, peclet_number: Any) -> Any:
    """Actual sieving coefficient at a finite Peclet number, ``W / (1 - (1 - W) exp(-Pe))``.

    Parameters
    ----------
    convective_hindrance : float or array
        W, in [0, 1].
    peclet_number : float or array
        Convection over diffusion in the pore, > 0.
    """
    hindrance = np.asarray(convective_hindrance, float)
    return (hindrance / (1 - (1 - hindrance) * exp(-np.asarray(peclet_number, float))))[()]


def pore_peclet_number(radius_ratio: Any, pore_radius: Any, pressure: Any, viscosity: float, diffusivity: Any) -> Any:
    """Peclet number of a solute in a pore with Poiseuille flow, ``(W / H) r^2 dP / (8 mu D)``; the length cancels.

    Parameters
    ----------
    radius_ratio, pore_radius : float or array
        Stokes radius over pore radius, and pore radius, m.
    pressure : float or array
        Pressure difference, Pa.
    viscosity : float
        Pa s.
    diffusivity : float or array
        Of the solute in the free liquid, m2 s-1.

    Returns
    -------
    float or array
        Infinite where the solute does not enter the pore.
    """
    diffusive = diffusive_hindrance(radius_ratio)
    ratio = np.where(diffusive > 0, dechadilok_deen(radius_ratio) / np.where(diffusive > 0, diffusive, 1.0), np.inf)
    return (ratio * np.square(pore_radius) * pressure / (8 * viscosity * np.asarray(diffusivity)))[()]


def radius_ratio_at(rejection: float, law: str = "dechadilok-deen") -> float:
    """Stokes radius over pore radius at which pores of one size have a rejection, in (0, 1).

    Raises
    ------
    PhysicsError
        If the rejection is not between 0 and 1, or the law is not known.
    """
    sieving = sieving_law(law)
    if not 0 < rejection < 1:
        raise PhysicsError(f"rejection: between 0 and 1 (got {rejection})")
    return float(brentq(lambda ratio: float(sieving(ratio)) - (1 - rejection), 0.0, 1.0, xtol=1e-14))
