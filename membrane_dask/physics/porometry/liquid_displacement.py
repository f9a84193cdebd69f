"""Liquid-liquid displacement: distribution of the pore radius from the permeance that opens at rising pressures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import exp, integer_power
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.cylindrical_pores import check_viscosity
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.flow_distribution import (
    FlowDistribution,
    NumberDistribution,
    flow_distribution,
    number_distribution,
)
from membrane_dask.physics.porometry.gas_flow_in_pores import open_flow_fraction
from membrane_dask.physics.porometry.lognormal_opening import LogNormalOpening, fit_opening
from membrane_dask.physics.porometry.reading_checks import counted, not_finite, refuse, row_names

#: Errors of one reading, over the model and over the largest permeance.
RELATIVE_ERROR, FLOOR = 0.01, 0.003
#: Rise of the last step, and misfit over the final permeance, that are reported.
_PLATEAU, _MISFIT = 0.02, 0.03
#: Fall of the flux that is refused, and the fraction of the largest flux below which a fall is noise.
_FALL, _NOISE = 0.05, 0.01
_LMH_PER_BAR = 1e-3 / 3600 / 1e5

#: What to write where a study does not state the interfacial tension. The values have no confirmed source: they are a
#: hint of the size, and no presets.
INTERFACIAL_TENSION_IS_MISSING = (
    "interfacial_tension: give that of the two liquids at mutual saturation and the temperature of the test, with its "
    "error, for example interfacial_tension: 1.7 +- 0.05 mN/m. Stated without a confirmed source are isobutanol/water "
    "1.7, isobutanol/methanol/water 0.35, 1-butanol/water 1.8 and 1-pentanol/water 4.4 mN/m"
)


@dataclass(frozen=True)
class LiquidDisplacement:
    """Result of a liquid-liquid displacement test.

    Radii are in m; intervals are of 95 %. An estimate without a value (NaN) has a bound or is not determined.

    Parameters
    ----------
    largest_pore_radius : Estimate
        From the first reading with flux; the interval ends at the last one without. Infinite end: every reading has
        flux.
    number_median_radius, hydraulic_radius, flow_median_radius, log_sd : Estimate
        Of the log-normal law that is fitted.
    final_permeance : Estimate
        Of the displacing liquid when all pores are open, m s-1 Pa-1.
    fit_misfit : float
        Largest residual of the fit, over the final permeance.
    porosity_over_path_length : Estimate
        eps / y, m-1; needs the viscosity.
    pore_number_density : Estimate
        m-2; needs viscosity and path length.
    flow_distribution : FlowDistribution
    number_distribution : NumberDistribution or None
    pressure, permeance : (n,) float array
        Readings as they were fitted: Pa, rising; m s-1 Pa-1.
    fitted : (n,) float array
        Permeances by the fit.
    findings : tuple of str
        Sentences for the user.
    """

    largest_pore_radius: Estimate
    number_median_radius: Estimate
    hydraulic_radius: Estimate
    flow_median_radius: Estimate
    log_sd: Estimate
    final_permeance: Estimate
    fit_misfit: float
    porosity_over_path_length: Estimate
    pore_number_density: Estimate
    flow_distribution: FlowDistribution
    number_distribution: NumberDistribution | None
    pressure: np.ndarray
    permeance: np.ndarray
    fitted: np.ndarray
    findings: tuple[str, ...]


def permeance_while_open(
    pressure: Any, constant: Any, number_median_radius: Any, log_sd: Any, final_permeance: Any
) -> Any:
    """Permeance of the pores that are open at a pressure, in the unit of the final permeance.

    All arguments broadcast.

    Parameters
    ----------
    pressure, constant, number_median_radius, log_sd : float or array
        As in :func:`open_flow_fraction`.
    final_permeance : float or array
        When all pores are open: ``eps r_h^2 / (8 mu y)`` with the viscosity of the displacing liquid.
    """
    return final_permeance * open_flow_fraction(pressure, constant, number_median_radius, log_sd)


def liquid_displacement(
    pressure: np.ndarray,
    flux: np.ndarray,
    law: CapillaryLaw,
    *,
    viscosity: float | None = None,
    path_length: float | None = None,
    path_length_error: float = 0.0,
    pressure_error: float = 0.0,
    rows: Sequence[int] | None = None,
) -> LiquidDisplacement:
    """Evaluate fluxes of a liquid that displaces another one from the pores.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa, in any order; flux of the displacing liquid, m s-1, 0 where no pore is open yet. Readings at a pressure of
        0 are left out and reported.
    law : CapillaryLaw
        Interfacial tension of the two liquids at mutual saturation, and its error.
    viscosity : float, optional
        Of the displacing liquid, Pa s.
    path_length, path_length_error : float, optional
        Length of the path through a pore (tortuosity times thickness), m, and its relative standard deviation.
    pressure_error : float
        Relative standard deviation of the gauge, the same in all readings.
    rows : sequence of int, optional
        Row of the table of each reading, for messages.

    Raises
    ------
    PhysicsError
        If readings are not finite, pressures are negative, fluxes are negative or fall by more than 5 %, if no
        reading has flux, or if the viscosity is not plausible.

    References
    ----------
    Grabar and Nikitine, J. Chim. Phys. 33, 721 (1936); Munari et al., Desalination 53, 11 (1985).
    """
    findings: list[str] = []
    pressure, flux = _readings(pressure, flux, rows, findings)
    if viscosity is not None:
        _check_viscosity(viscosity)
    permeance = flux / pressure
    scale_error = math.sqrt(law.relative_error * law.relative_error + pressure_error * pressure_error)
    opening = _fit(pressure, permeance, law, pressure_error, findings)
    radius = law.radius(pressure)
    fraction = permeance / (opening.final_flow if opening else permeance[-1])
    unknown = Estimate()
    radii = [opening.radius(order) if opening else unknown for order in (0, 3, 4)]
    ratio, density = _absolute(opening, viscosity, path_length, path_length_error) if opening else (unknown, unknown)
    return LiquidDisplacement(
        largest_pore_radius=_largest_pore(radius, flux).widened(scale_error),
        number_median_radius=radii[0],
        hydraulic_radius=radii[1],
        flow_median_radius=radii[2],
        log_sd=opening.log_sd_estimate if opening else unknown,
        final_permeance=opening.estimate(opening.final_flow, (0.0, 0.0, 1.0), -1) if opening else unknown,
        fit_misfit=opening.misfit if opening else math.nan,
        porosity_over_path_length=ratio,
        pore_number_density=density,
        flow_distribution=flow_distribution(radius, fraction),
        number_distribution=number_distribution(pressure, radius, fraction),
        pressure=pressure,
        permeance=permeance,
        fitted=opening.fraction * opening.final_flow if opening else np.full(len(pressure), math.nan),
        findings=tuple(findings),
    )


def _fit(
    pressure: np.ndarray, permeance: np.ndarray, law: CapillaryLaw, pressure_error: float, findings: list[str]
) -> LogNormalOpening | None:
    """One log-normal law fitted to the permeance; None, with a finding, where the readings do not determine it."""
    try:
        opening = fit_opening(
            pressure,
            permeance,
            law.constant,
            final_flow=None,
            relative_error=RELATIVE_ERROR,
            floor=FLOOR,
            tension_error=law.relative_error,
            gauge_error=pressure_error,
        )
    except PhysicsError as error:
        findings.append(
            f"no log-normal distribution of the radius: {error}; the step-wise distribution takes the last permeance "
            f"as the final one"
        )
        return None
    _check(pressure, permeance, opening, findings)
    return opening


def _readings(
    pressure: np.ndarray, flux: np.ndarray, rows: Sequence[int] | None, findings: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Readings at rising pressures above 0; readings at the same pressure are averaged."""
    pressure, flux = np.asarray(pressure, float), np.asarray(flux, float)
    if pressure.ndim != 1 or pressure.shape != flux.shape:
        raise PhysicsError(f"liquid displacement: {flux.size} fluxes at {pressure.size} pressures")
    readings = row_names(rows, len(flux))
    problems = not_finite("pressure", pressure, readings) + not_finite("flux", flux, readings)
    problems += [f"{readings[i]}: pressure {pressure[i] / 1e5:g} bar is below 0" for i in np.flatnonzero(pressure < 0)]
    problems += [f"{readings[i]}: flux {flux[i] * 3.6e6:g} L/(m2 h) is below 0" for i in np.flatnonzero(flux < 0)]
    if not problems and not (flux[pressure > 0] > 0).any():
        problems.append("no reading has flux: no pore is open at these pressures")
    refuse(problems)
    if (pressure == 0).any():
        findings.append(f"{counted(int((pressure == 0).sum()), 'reading')} at 0 bar left out")
        pressure, flux = pressure[pressure > 0], flux[pressure > 0]
    largest = float(flux.max())
    if (np.diff(pressure) < 0).any():
        findings.append("readings sorted by pressure")
    levels, index, counts = np.unique(pressure, return_inverse=True, return_counts=True)
    findings.extend(
        f"mean of {count} readings at {level / 1e5:.4g} bar"
        for level, count in zip(levels, counts, strict=True)
        if count > 1
    )
    flux = np.bincount(index, flux) / counts
    before = np.maximum.accumulate(flux)
    fall = before - flux
    worst = int((fall / np.where(before > 0, before, 1.0) * (fall > _NOISE * largest)).argmax())
    if fall[worst] > max(_FALL * before[worst], _NOISE * largest):
        raise PhysicsError(
            f"liquid displacement: the flux falls by {100 * fall[worst] / before[worst]:.0f} %, to "
            f"{flux[worst] * 3.6e6:.4g} L/(m2 h) at {levels[worst] / 1e5:.4g} bar, although pores only open: the "
            f"membrane has changed during the test"
        )
    return levels, flux


def _check_viscosity(viscosity: float) -> None:
    try:
        check_viscosity(viscosity)
    except ValueError as error:
        raise PhysicsError(str(error)) from None


def _check(pressure: np.ndarray, permeance: np.ndarray, opening: LogNormalOpening, findings: list[str]) -> None:
    """Report a plateau that is not reached, and a misfit."""
    rise = permeance[-1] / permeance[-2] - 1 if permeance[-2] > 0 else math.inf
    if rise > _PLATEAU:
        findings.append(
            f"plateau not reached: the permeance still rises by {100 * rise:.1f} % from {pressure[-2] / 1e5:.4g} to "
            f"{pressure[-1] / 1e5:.4g} bar; the final permeance, {opening.final_flow / _LMH_PER_BAR:.4g} "
            f"L/(m2 h bar), and the interval follow from the fit"
        )
    if opening.misfit > _MISFIT:
        worst = int(np.abs(permeance / opening.final_flow - opening.fraction).argmax())
        findings.append(
            f"one log-normal law misfits: by {100 * opening.misfit:.1f} % of the final permeance at "
            f"{pressure[worst] / 1e5:.4g} bar; compare the step-wise distribution"
        )


def _largest_pore(radius: np.ndarray, flux: np.ndarray) -> Estimate:
    """Radius at the first reading with flux, up to the last one without, m."""
    first = int((flux > 0).argmax())
    return Estimate(float(radius[first]), float(radius[first]), float(radius[first - 1]) if first else math.inf)


def _absolute(
    opening: LogNormalOpening, viscosity: float | None, path_length: float | None, path_length_error: float
) -> tuple[Estimate, Estimate]:
    """Porosity over path length, ``8 mu L / r_h^2``, m-1, and pores per area, ``8 mu y L / (pi <r^4>)``, m-2."""
    if viscosity is None:
        return Estimate(), Estimate()
    variance = opening.log_sd * opening.log_sd
    conductance = 8 * viscosity * opening.final_flow
    hydraulic = opening.radius(3).value
    ratio = opening.estimate(conductance / (hydraulic * hydraulic), (-2.0, 4 * variance, 1.0), -1)
    if path_length is None:
        return ratio, Estimate()
    # <r^4> = r_4^4 exp(-8 s^2)
    fourth_moment = integer_power(opening.flow_median_radius, 4) * float(exp(-8 * variance))
    density = opening.estimate(
        conductance * path_length / (math.pi * fourth_moment), (-4.0, 16 * variance, 1.0), -1, path_length_error
    )
    return ratio, density
