"""Throat sizes, volume and porosity from mercury intrusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import cosine_of_degrees, exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.reading_checks import not_finite, refuse, row_names

#: Surface tension, N m-1, and contact angle, degrees, unless the instrument states others.
SURFACE_TENSION, CONTACT_ANGLE = 0.485, 140.0
#: Fraction of the volume that the last step may add if the intrusion is complete.
_LAST_STEP = 0.02


@dataclass(frozen=True)
class Intrusion:
    """Results of an intrusion.

    Parameters
    ----------
    median_radius : Estimate
        Radius of the throats behind which half of the volume lies, m; its interval is the bracket of the readings.
    total_volume : float
        Per mass of sample, m3 kg-1.
    porosity : float
        NaN without the density of the skeleton.
    radius : (n,) float array
        Of the throats that the pressures open, falling, m.
    cumulative_volume : (n,) float array
        Intruded volume from the lowest pressure on, m3 kg-1.
    trapped_fraction : float
        Volume left after the extrusion over the total; NaN without an extrusion branch.
    findings : tuple of str
        What users must know.
    """

    median_radius: Estimate
    total_volume: float
    porosity: float
    radius: np.ndarray
    cumulative_volume: np.ndarray
    trapped_fraction: float
    findings: tuple[str, ...]


def throat_radius(pressure: Any, surface_tension: float = SURFACE_TENSION, contact_angle: float = CONTACT_ANGLE) -> Any:
    """Radius of the throats that mercury enters at an absolute pressure, ``r = -2 gamma cos(theta) / p``, m.

    Parameters
    ----------
    pressure : float or array
        Pa, > 0.
    surface_tension : float
        N m-1.
    contact_angle : float
        Degrees, above 90.

    References
    ----------
    Washburn, Proc. Natl. Acad. Sci. 7, 115 (1921).
    """
    return -2 * surface_tension * cosine_of_degrees(contact_angle) / np.asarray(pressure, float)


def evaluate_intrusion(
    pressure: np.ndarray, volume: np.ndarray, *, surface_tension: float = SURFACE_TENSION,
    contact_angle: float = CONTACT_ANGLE, skeleton_density: float | None = None, lowest_pressure: float | None = None,
    rows: Sequence[int] | None = None,
) -> Intrusion:  # fmt: skip
    """Evaluate the intruded volume at rising pressures, and their extrusion if it follows.

    Parameters
    ----------
    pressure : (n,) float array
        Absolute, Pa, > 0; rising, then falling in an extrusion.
    volume : (n,) float array
        Cumulative intruded volume per mass of sample, m3 kg-1, >= 0.
    surface_tension : float
        N m-1, > 0.
    contact_angle : float
        Degrees, above 90 and up to 180.
    skeleton_density : float, optional
        Density of the solid, kg m-3, > 0: for the porosity ``V / (V + 1 / rho)``.
    lowest_pressure : float, optional
        Pressure, Pa, below which mercury fills gaps between the pieces of the sample; volume intruded up to it does
        not count.
    rows : sequence of int, optional
        Rows of the table, for messages.

    Returns
    -------
    Intrusion

    Raises
    ------
    PhysicsError
        If the volume falls while the pressure rises, nothing is intruded, or a value is not in its range.

    Notes
    -----
    The median is at half of the volume, interpolated linearly in the logarithm of the pressure.
    """
    pressure, volume = np.asarray(pressure, float), np.asarray(volume, float)
    names = row_names(rows, len(pressure))
    problems = [] if len(volume) == len(pressure) else [f"{len(volume)} volumes for {len(pressure)} pressures"]
    refuse(problems or ([] if len(pressure) >= 2 else ["an intrusion needs at least two pressures"]))
    problems = not_finite("the pressure", pressure, names) + not_finite("the volume", volume, names)
    no_pressure = np.flatnonzero(pressure <= 0)
    problems += [f"{names[i]}: the pressure must be above 0 (got {pressure[i]:g})" for i in no_pressure]
    problems += [f"{names[i]}: the volume is below 0 ({1e3 * volume[i]:.4g} mL/g)" for i in np.flatnonzero(volume < 0)]
    if not surface_tension > 0:
        problems.append(f"surface tension: above 0 (got {surface_tension:g})")
    if not 90 < contact_angle <= 180:
        problems.append(f"contact angle: above 90 and up to 180 degrees (got {contact_angle:g}); mercury does not wet")
    if skeleton_density is not None and not skeleton_density > 0:
        problems.append(f"skeleton density: above 0 (got {skeleton_density:g})")
    refuse(problems)
    last = int(np.argmax(pressure)) + 1
    if last == 1:
        raise PhysicsError(
            "the first pressure is the highest: an intrusion needs rising pressures; sort its rows, and leave out an "
            "extrusion that stands alone"
        )
    refuse(_branch_problems(pressure, volume, last, names))
    extruded = volume[last:]
    log_pressure, intruded = log(pressure[:last]), volume[:last]
    findings = []
    if lowest_pressure is not None:
        if not pressure[0] <= lowest_pressure < pressure[last - 1]:
            raise PhysicsError(
                f"lowest_pressure: {lowest_pressure / 1e5:.4g} bar is not between the first pressure "
                f"({pressure[0] / 1e5:.4g} bar) and the last one ({pressure[last - 1] / 1e5:.4g} bar)"
            )
        start = float(log(lowest_pressure))
        base = float(np.interp(start, log_pressure, intruded))
        inside = log_pressure > start
        log_pressure = np.concatenate([[start], log_pressure[inside]])
        intruded = np.concatenate([[base], intruded[inside]]) - base
        extruded = extruded - base
    total = float(intruded[-1])
    if not total > 0:
        raise PhysicsError("no volume is intruded")
    if intruded[0] > 0.01 * total:
        findings.append(
            f"{100 * intruded[0] / total:.2g} % of the volume is intruded at the first pressure: gaps between pieces "
            "of the sample? lowest_pressure leaves them out"
        )
    if intruded[-1] - intruded[-2] > _LAST_STEP * total:
        findings.append(
            f"intrusion not complete: the last step adds {100 * (intruded[-1] - intruded[-2]) / total:.2g} % of the "
            "volume; narrower pores are not counted"
        )
    return Intrusion(
        median_radius=_median(log_pressure, intruded, surface_tension, contact_angle),
        total_volume=total,
        porosity=math.nan if skeleton_density is None else total / (total + 1 / skeleton_density),
        radius=throat_radius(exp(log_pressure), surface_tension, contact_angle),
        cumulative_volume=intruded,
        trapped_fraction=float(extruded[-1]) / total if len(extruded) else math.nan,
        findings=tuple(findings),
    )


def _branch_problems(pressure: np.ndarray, volume: np.ndarray, last: int, names: list[str]) -> list[str]:
    """Readings that are neither on the intrusion branch, up to the highest pressure, nor on the extrusion behind it."""
    problems = [
        f"{names[i + 1]}: the pressure does not rise ({pressure[i + 1] / 1e5:.4g} bar after {pressure[i] / 1e5:.4g}); "
        "give each intrusion by itself"
        for i in np.flatnonzero(np.diff(pressure[:last]) <= 0)
    ]
    problems += [
        f"{names[last + i]}: the pressure rises again during the extrusion; give each intrusion by itself"
        for i in np.flatnonzero(np.diff(pressure[last - 1 :]) > 0)
    ]
    problems += [
        f"{names[i + 1]}: the cumulative volume falls ({1e3 * volume[i + 1]:.4g} mL/g after {1e3 * volume[i]:.4g}) "
        "while the pressure rises"
        for i in np.flatnonzero(np.diff(volume[:last]) < 0)
    ]
    return problems


def _median(log_pressure: np.ndarray, intruded: np.ndarray, surface_tension: float, contact_angle: float) -> Estimate:
    """Throat radius at half of the volume, and those of the two readings around it."""
    half = float(intruded[-1]) / 2
    above = int(np.flatnonzero(intruded >= half)[0])
    if above == 0:
        widest = float(throat_radius(exp(log_pressure[0]), surface_tension, contact_angle))
        return Estimate(math.nan, widest, math.inf)
    step = (half - intruded[above - 1]) / (intruded[above] - intruded[above - 1])
    middle = log_pressure[above - 1] + step * (log_pressure[above] - log_pressure[above - 1])
    at = exp(np.array([middle, log_pressure[above], log_pressure[above - 1]]))
    return Estimate(*(float(radius) for radius in throat_radius(at, surface_tension, contact_angle)))
