"""Parallel cylindrical pores: Young-Laplace radius, Hagen-Poiseuille permeability, pore number.

A membrane of surface porosity eps, pore radius r and selective-layer thickness y has the hydraulic permeability
``L = eps r^2 / (8 mu y)``, and ``eps = n pi r^2 / A`` with n pores on the area A (Palencia Eqs. 9 and 2).
"""

from __future__ import annotations

import math

from membrane_dask.physics.elementary import cosine_of_degrees


def laplace_constant(surface_tension: float, contact_angle: float) -> float:
    """``2 gamma cos(theta)``, N m-1 (Palencia Eq. 7).

    Parameters
    ----------
    surface_tension : float
        N m-1, > 0.
    contact_angle : float
        Degrees, in [0, 90).

    Raises
    ------
    ValueError
        Outside these ranges: a liquid that does not wet the pores is not drawn into them.
    """
    _check_positive("surface tension", surface_tension, "N m-1")
    if not 0 <= contact_angle < 90:
        raise ValueError(f"contact angle: must be at least 0 and less than 90 degrees (got {contact_angle})")
    return 2 * surface_tension * float(cosine_of_degrees(contact_angle))


def young_laplace_radius(pressure: float, constant: float) -> float:
    """Radius of the pores whose capillary pressure is ``pressure``, m (Palencia Eq. 7).

    Parameters
    ----------
    pressure : float
        Pa, > 0.
    constant : float
        :func:`laplace_constant`, N m-1.

    Raises
    ------
    ValueError
        If the pressure is not greater than 0.
    """
    _check_positive("capillary pressure", pressure, "Pa")
    return constant / pressure


def hydraulic_permeability(radius: float, porosity: float, thickness: float, viscosity: float) -> float:
    """Hydraulic permeability by Hagen-Poiseuille, m s-1 Pa-1 (Palencia Eq. 9).

    Parameters
    ----------
    radius, thickness : float
        m, > 0.
    porosity : float
        Surface porosity, in (0, 1).
    viscosity : float
        Pa s, in [1e-5, 0.1].

    Raises
    ------
    ValueError
        Outside these ranges.
    """
    _check_positive("radius", radius, "m")
    _check_positive("thickness", thickness, "m")
    if not 0 < porosity < 1:
        raise ValueError(f"porosity: must be greater than 0 and less than 1 (got {porosity})")
    return porosity * radius * radius / (8 * check_viscosity(viscosity) * thickness)


def largest_thickness(permeability: float, radius: float, viscosity: float) -> float:
    """Selective-layer thickness at which the surface porosity would be 1, m; a membrane must be thinner.

    Parameters
    ----------
    permeability : float
        m s-1 Pa-1, > 0.
    radius : float
        Pore radius, m.
    viscosity : float
        Pa s.
    """
    return radius * radius / (8 * viscosity * permeability)


def pore_number(porosity: float, radius: float, area: float) -> float:
    """Number of pores (Palencia Eq. 2).

    Parameters
    ----------
    porosity : float
        Surface porosity.
    radius : float
        Pore radius, m.
    area : float
        Membrane area, m2.
    """
    return porosity * area / (math.pi * radius * radius)


def check_viscosity(viscosity: float) -> float:
    """Return a viscosity, Pa s, that is plausible for a liquid.

    Raises
    ------
    ValueError
        Outside 1e-5 to 0.1 Pa s: 0.891, for example, is a viscosity in mPa s.
    """
    if not 1e-5 <= viscosity <= 0.1:
        raise ValueError(f"viscosity: must be within 1e-5 and 0.1 Pa s (got {viscosity}); is it in mPa s?")
    return viscosity


def _check_positive(name: str, value: float, unit: str) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: must be greater than 0 {unit} (got {value})")
