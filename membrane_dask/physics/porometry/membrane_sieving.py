"""Sieving of solutes by a membrane whose pore radii are log-normal, and by the film of solute at its surface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.sieving_laws import pore_peclet_number, sieving_at_peclet_number, sieving_law
from membrane_dask.physics.porometry.solutes import diffusivity
from membrane_dask.physics.quadrature import gauss_legendre

#: Nodes of the quadrature over pore radii, and the standard deviations of their logarithm that it reaches.
_NODES, _REACH = 32, 7.0
#: Error of a sieving coefficient: relative, and absolute for solutes of one kind and of several kinds.
RELATIVE_ERROR, ABSOLUTE_ERROR, ABSOLUTE_ERROR_OF_MIXED_SOLUTES = 0.03, 0.002, 0.02


@dataclass(frozen=True)
class FiltrationConditions:
    """Conditions on which the diffusion of a solute in the pores depends.

    Parameters
    ----------
    pressure : float
        Pressure difference, Pa, > 0.
    viscosity : float
        Of the permeate, Pa s, > 0.
    temperature : float
        K, > 0.
    """

    pressure: float
    viscosity: float
    temperature: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise PhysicsError(f"{name}: above 0 (got {value})")


def actual_sieving(
    stokes_radius: Any,
    number_median: Any,
    log_standard_deviation: Any,
    law: str = "dechadilok-deen",
    conditions: FiltrationConditions | None = None,
) -> np.ndarray:
    """Sieving coefficients at the membrane surface, weighted by the flow ``r^4`` through pores of each radius.

    Parameters
    ----------
    stokes_radius : (n,) float array
        Of the solutes, m, > 0.
    number_median : (...) float array
        Median pore radius by number, m, > 0.
    log_standard_deviation : (...) float array
        Of the logarithm of the pore radius, > 0. The two are broadcast.
    law : {"ferry", "zeman-wales", "dechadilok-deen"}
        Sieving coefficient of one pore.
    conditions : FiltrationConditions, optional
        For the Peclet number in each pore, with the law ``dechadilok-deen``; without them convection dominates
        diffusion.

    Returns
    -------
    (..., n) float array
        In [0, 1].

    Raises
    ------
    PhysicsError
        If the law is not known, or has no diffusive hindrance.

    Notes
    -----
    Weighted by flow, the logarithm of the radius is normal about ``ln r_N + 4 s^2``. Pores narrower than the solute
    do not pass it; the quadrature is over the wider ones only, where the integrand is smooth.
    """
    one_pore = sieving_law(law)
    if conditions is not None and law != "dechadilok-deen":
        raise PhysicsError(f"law: only dechadilok-deen describes diffusion in the pores (got {law})")
    width = np.asarray(log_standard_deviation, float)
    flow_median = log(np.asarray(number_median, float)) + 4 * np.square(width)
    nodes, weights = gauss_legendre(_NODES)
    columns = []
    for radius in np.asarray(stokes_radius, float):
        log_ratio = log(radius) - flow_median
        half = (_REACH - np.clip(log_ratio / width, -_REACH, _REACH))[..., None] / 2
        deviation = _REACH + half * (nodes - 1)
        density = half * weights * exp(-np.square(deviation) / 2) / math.sqrt(2 * math.pi)
        ratio = exp(log_ratio[..., None] - width[..., None] * deviation)
        sieving = one_pore(ratio)
        if conditions is not None:
            viscosity = conditions.viscosity
            solute_diffusivity = diffusivity(radius, conditions.temperature, viscosity)
            peclet = pore_peclet_number(ratio, radius / ratio, conditions.pressure, viscosity, solute_diffusivity)
            sieving = sieving_at_peclet_number(sieving, peclet)
        columns.append((density * sieving).sum(axis=-1))
    return np.stack(columns, axis=-1)


def polarised(sieving: Any, flux_ratio: Any) -> Any:
    """Observed sieving coefficient of a membrane under a stagnant film.

    Parameters
    ----------
    sieving : (...) float array
        Actual sieving coefficient, in [0, 1].
    flux_ratio : (...) float array
        Flux over mass transfer coefficient, ``J / k``, >= 0.

    References
    ----------
    Film theory, ``S_o / (1 - S_o) = S_a / (1 - S_a) exp(J / k)``: Blatt et al., in Membrane Science and Technology,
    ed. Flinn (Plenum, 1970), p. 47.
    """
    actual = np.asarray(sieving, float)
    return (actual / (actual + (1 - actual) * exp(-np.asarray(flux_ratio, float))))[()]


def unpolarised(observed: Any, flux_ratio: Any) -> Any:
    """Actual sieving coefficient of an observed one: the inverse of :func:`polarised`."""
    return polarised(observed, -np.asarray(flux_ratio, float))


def observed_sieving(
    stokes_radius: Any,
    number_median: Any,
    log_standard_deviation: Any,
    law: str = "dechadilok-deen",
    flux_ratio: Any = 0.0,
    conditions: FiltrationConditions | None = None,
) -> np.ndarray:
    """Permeate over feed concentration: :func:`actual_sieving` under a stagnant film.

    Parameters
    ----------
    stokes_radius, number_median, log_standard_deviation, law, conditions
        As for :func:`actual_sieving`.
    flux_ratio : float or (n,) float array
        Flux over mass transfer coefficient of each solute.

    Returns
    -------
    (..., n) float array
    """
    actual = actual_sieving(stokes_radius, number_median, log_standard_deviation, law, conditions)
    return np.asarray(polarised(actual, flux_ratio))


def sieving_error(sieving: Any, mixed_solutes: bool = False) -> Any:
    """Standard error of observed sieving coefficients: 3 % of the value and 0.002, added in quadrature.

    Parameters
    ----------
    sieving : float or array
        Observed.
    mixed_solutes : bool
        Whether they are of solutes of several kinds; the second error is then 0.02.
    """
    absolute = ABSOLUTE_ERROR_OF_MIXED_SOLUTES if mixed_solutes else ABSOLUTE_ERROR
    return np.sqrt(np.square(RELATIVE_ERROR * np.asarray(sieving, float)) + np.square(absolute))
