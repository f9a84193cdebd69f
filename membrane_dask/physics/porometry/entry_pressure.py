"""Radius of the largest pore of a membrane that a liquid does not wet, from the pressure at which it enters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import cosine_of_degrees, exp
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.reading_checks import refuse

#: Error of a contact angle that is shown where none is given, degrees, and the quantile of 95 % intervals.
_USUAL_ANGLE_ERROR, _QUANTILE = 2.0, 1.959963984540054
#: Angle from which on a liquid is not drawn in, degrees.
_NON_WETTING = 90.0


@dataclass(frozen=True)
class LargestPore:
    """Largest pore by the entry pressure.

    Parameters
    ----------
    radius : Estimate
        m; its 95 % interval covers the stated errors, and is NaN where there are none. The value is NaN for a liquid
        that wets.
    findings : tuple of str
        What users must know.
    """

    radius: Estimate
    findings: tuple[str, ...]


def largest_pore(
    entry_pressure: tuple[float, float],
    contact_angle: tuple[float, float],
    surface_tension: tuple[float, float],
    geometry_factor: float = 1.0,
) -> LargestPore:
    """Radius of the largest pore, ``r = -2 gamma B cos(theta) / LEP``.

    Parameters
    ----------
    entry_pressure : tuple of float
        Liquid entry pressure, > 0, and its standard error, Pa; an error of 0 if it is not stated.
    contact_angle : tuple of float
        Of the liquid on the material of the membrane, 0 to 180, and its standard error, degrees.
    surface_tension : tuple of float
        Of the liquid, > 0, and its standard error, N m-1.
    geometry_factor : float
        B, in (0, 1]; 1 for cylindrical pores.

    Returns
    -------
    LargestPore

    Raises
    ------
    PhysicsError
        If a value is not in its range; all values at once.

    References
    ----------
    Franken et al., J. Membr. Sci. 33, 315 (1987), Eq. 5.
    """
    problems = []
    for name, (value, error) in {"entry pressure": entry_pressure, "surface tension": surface_tension}.items():
        if not 0 < value < math.inf:
            problems.append(f"{name}: above 0 (got {value:g})")
        if not 0 <= error < math.inf:
            problems.append(f"{name}: a standard error of 0 or above (got {error:g})")
    angle, angle_error = contact_angle
    if not 0 <= angle <= 180:
        problems.append(f"contact angle: 0 to 180 degrees (got {angle:g})")
    if not 0 <= angle_error < math.inf:
        problems.append(f"contact angle: a standard error of 0 or above (got {angle_error:g})")
    if not 0 < geometry_factor <= 1:
        problems.append(f"geometry factor: above 0, at most 1 (got {geometry_factor:g})")
    refuse(problems)
    if angle <= _NON_WETTING:
        wets = f"contact angle {angle:g}: the liquid wets and is drawn in, its entry pressure gives no pore size"
        return LargestPore(Estimate(), (wets,))
    radius = -2 * surface_tension[0] * geometry_factor * float(cosine_of_degrees(angle)) / entry_pressure[0]
    findings = []
    relative = [error / value for value, error in (entry_pressure, surface_tension)]
    if angle_error > 0:
        relative.append(_relative_error(angle, angle_error))
    else:
        change = 100 * _relative_error(angle, _USUAL_ANGLE_ERROR)
        findings.append(
            f"contact angle {angle:g} without an error: +-{_USUAL_ANGLE_ERROR:g} deg would be +-{change:.2g} % of the "
            "radius"
        )
    log_error = _QUANTILE * math.sqrt(float(np.square(relative).sum()))
    if angle - _QUANTILE * angle_error <= _NON_WETTING:
        findings.append(f"contact angle {angle:g} +- {angle_error:g}: the liquid may wet, no lower bound of the radius")
        return LargestPore(Estimate(radius, 0.0, radius * float(exp(log_error))), tuple(findings))
    if log_error == 0:
        return LargestPore(Estimate(radius), tuple(findings))
    factor = float(exp(log_error))
    return LargestPore(Estimate(radius, radius / factor, radius * factor), tuple(findings))


def _relative_error(angle: float, error: float) -> float:
    """Relative standard error of the cosine of an angle above 90 degrees, by its change over both errors."""
    low, value, high = (float(cosine_of_degrees(angle + change)) for change in (-error, 0.0, error))
    return abs(high - low) / (2 * abs(value))
