"""Capillary flow porometry: bubble point, mean flow pore, smallest pore and distribution of the pore radius."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.porometry.bubble_point import first_flow
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import NORMAL_QUANTILE, Estimate
from membrane_dask.physics.porometry.filter_flow import FilterFlow
from membrane_dask.physics.porometry.flow_distribution import (
    FlowDistribution,
    NumberDistribution,
    flow_distribution,
    number_distribution,
)
from membrane_dask.physics.porometry.gas_flow_in_pores import GasStream, dry_gas_flux
from membrane_dask.physics.porometry.lognormal_opening import LogNormalOpening, fit_opening
from membrane_dask.physics.porometry.mean_flow_pore import mean_flow_pore
from membrane_dask.physics.porometry.porometer import Porometer

#: Filter flow at which the smallest pore is read, and limits of what is reported.
_SMALLEST_PORE, _CURVES_MEET, _ABOVE_DRY, _FALL, _MISFIT = 0.98, 0.95, 1.02, 0.02, 0.03
#: Deviation of the dry flow from the law of viscous and Knudsen flow that is reported.
_DRY_MISFIT = 0.05


@dataclass(frozen=True)
class CapillaryFlow:
    """Result of a capillary flow test.

    Radii are in m, pressures in Pa; intervals are of 95 %. An estimate without a value (NaN) has a bound.

    Parameters
    ----------
    bubble_point_pressure, bubble_point_radius : Estimate
        First flow; the interval ends at the last reading without flow.
    mean_flow_pore_pressure, mean_flow_pore_radius : Estimate
        Where half of the dry flow passes; the interval contains the two readings around it.
    smallest_flow_pore_radius : Estimate
        First reading with 98 % of the dry flow.
    filter_flow_maximum : float
        Largest wet flow over dry flow.
    shape_factor : float
        To which all radii are proportional.
    number_median_radius, hydraulic_radius, flow_median_radius, log_sd : Estimate
        Of the log-normal law that is fitted to the filter flow.
    fit_misfit : float
        Largest residual of the fit, over the flow.
    porosity_over_path_length : Estimate
        eps / y, m-1, from the dry flow.
    pore_number_density : Estimate
        m-2.
    flow_distribution : FlowDistribution or None
    number_distribution : NumberDistribution or None
    contradictory : bool
        The wet flow exceeds 102 % of the dry one by more than the errors of the readings explain: no model of the pores
        does.
    findings : tuple of str
        Sentences for the user.
    """

    bubble_point_pressure: Estimate
    bubble_point_radius: Estimate
    mean_flow_pore_pressure: Estimate
    mean_flow_pore_radius: Estimate
    smallest_flow_pore_radius: Estimate
    filter_flow_maximum: float
    shape_factor: float
    number_median_radius: Estimate
    hydraulic_radius: Estimate
    flow_median_radius: Estimate
    log_sd: Estimate
    fit_misfit: float
    porosity_over_path_length: Estimate
    pore_number_density: Estimate
    flow_distribution: FlowDistribution | None
    number_distribution: NumberDistribution | None
    contradictory: bool
    findings: tuple[str, ...]

    @property
    def curves_meet(self) -> bool:
        """Whether the last reading of the wet curve has 95 % of the dry flow."""
        return self.flow_distribution is not None and bool(self.flow_distribution.cumulative[-1] >= _CURVES_MEET)


def capillary_flow(
    curves: FilterFlow,
    law: CapillaryLaw,
    porometer: Porometer | None = None,
    stream: GasStream | None = None,
    seed: int = 0,
) -> CapillaryFlow:
    """Evaluate wet and dry curves.

    Parameters
    ----------
    curves : FilterFlow
        From :func:`filter_flow`.
    law : CapillaryLaw
        Of the wetting liquid against the gas.
    porometer : Porometer, optional
    stream : GasStream, optional
        Required for the number of pores, and for the distribution of the radius by number in pores that are not wide
        compared with the mean free path of the gas. Without it the flow is taken as viscous.
    seed : int
        Of the bootstrap.

    References
    ----------
    Jena and Gupta, Fluid/Particle Separation J. 14, 227 (2002).
    """
    porometer = porometer or Porometer()
    findings = list(curves.findings)
    gauge = porometer.pressure_error
    scale_error = math.sqrt(law.relative_error * law.relative_error + gauge * gauge)
    first = first_flow(curves.pressure, curves.wet, curves.dry, porometer.first_flow)
    findings.append(first.finding)
    bubble_point = first.pressure.widened(gauge)
    mean_pressure = mean_radius = smallest = Estimate()
    opening = distribution = numbers = None
    radii = (Estimate(), Estimate(), Estimate())
    density = porosity_over_path_length = Estimate()
    maximum, contradictory = math.nan, False
    measured = curves.with_dry()
    if len(measured.pressure):
        maximum = float(measured.fraction.max())
        contradictory = _check(measured, law, porometer, findings)
        mean_pressure, mean_radius = mean_flow_pore(measured, law, porometer, seed, findings)
        smallest = _smallest_pore(measured, law)
        radius = law.radius(measured.pressure)
        distribution = flow_distribution(radius, measured.fraction)
        numbers = number_distribution(
            measured.pressure, radius, measured.fraction, measured.dry / measured.pressure, stream
        )
        opening = _fit(measured, law, porometer, stream, findings)
    if opening:
        radii = _radii(opening, slip_unknown=stream is None)
    if opening and curves.measured_dry is not None:
        porosity_over_path_length, density = _absolute(curves.measured_dry, opening, porometer, stream, findings)
    return CapillaryFlow(
        bubble_point_pressure=bubble_point,
        bubble_point_radius=bubble_point.reciprocal(law.constant).widened(law.relative_error),
        mean_flow_pore_pressure=mean_pressure,
        mean_flow_pore_radius=mean_radius,
        smallest_flow_pore_radius=smallest.widened(scale_error),
        filter_flow_maximum=maximum,
        shape_factor=law.shape_factor,
        number_median_radius=radii[0],
        hydraulic_radius=radii[1],
        flow_median_radius=radii[2],
        log_sd=opening.log_sd_estimate if opening else Estimate(),
        fit_misfit=opening.misfit if opening else math.nan,
        porosity_over_path_length=porosity_over_path_length,
        pore_number_density=density,
        flow_distribution=distribution,
        number_distribution=numbers,
        contradictory=contradictory,
        findings=tuple(findings),
    )


def _noise(porometer: Porometer) -> float:
    """Three standard deviations of a filter flow of 1 by the errors of wet and dry flow."""
    return 3 * math.sqrt(2) * porometer.flow_error


def _remark(difference: float, porometer: Porometer) -> str:
    """Whether the errors of the readings explain a difference of filter flows."""
    return ", within the errors of the readings" if difference < _noise(porometer) else ""


def _is_contradictory(fraction: np.ndarray, porometer: Porometer) -> bool:
    """Whether the wet flow exceeds the dry one by more than the errors of the readings explain.

    That is the case for one reading with three standard deviations, or for the mean of three neighbours.
    """
    if fraction.max() > _ABOVE_DRY + _noise(porometer):
        return True
    means = (fraction[:-2] + fraction[1:-1] + fraction[2:]) / 3
    return bool((means > _ABOVE_DRY).any())


def _check(curves: FilterFlow, law: CapillaryLaw, porometer: Porometer, findings: list[str]) -> bool:
    """Report curves that do not meet, a wet flow above the dry one, and a filter flow that falls.

    The result is whether the curves contradict one another.
    """
    pressure, fraction = curves.pressure, curves.fraction
    contradictory = _is_contradictory(fraction, porometer)
    if fraction[-1] < _CURVES_MEET:
        findings.append(
            f"wet and dry do not meet: {100 * fraction[-1]:.0f} % of the flow at {pressure[-1] / 1e5:.4g} bar; "
            f"smallest pore below {law.diameter_text(pressure[-1])}; the width of the distribution comes from the fit "
            f"of one log-normal law"
        )
    elif fraction.max() < _SMALLEST_PORE:
        findings.append(
            f"the filter flow reaches {100 * fraction.max():.1f} %, not {100 * _SMALLEST_PORE:.0f} %: smallest pore "
            f"below {law.diameter_text(pressure[-1])}"
        )
    largest = int(fraction.argmax())
    if fraction[largest] > _ABOVE_DRY:
        reason = "the sample has changed, leaks or was deformed, and the table cannot be combined with others"
        findings.append(
            f"wet flow above the dry one: {100 * fraction[largest]:.1f} % of it at {pressure[largest] / 1e5:.4g} bar; "
            f"{reason if contradictory else 'within the errors of the readings'}"
        )
    before = np.maximum.accumulate(fraction)
    worst = int((before - fraction).argmax())
    fall = float(before[worst] - fraction[worst])
    if fall > _FALL:
        findings.append(
            f"the filter flow falls by {100 * fall:.1f} % of the flow, to {100 * fraction[worst]:.1f} % at "
            f"{pressure[worst] / 1e5:.4g} bar{_remark(fall, porometer)}"
        )
    return contradictory


def _smallest_pore(curves: FilterFlow, law: CapillaryLaw) -> Estimate:
    """Radius at the first reading with 98 % of the flow, m; an upper bound where no reading has it."""
    radius = law.radius(curves.pressure)
    reached = np.flatnonzero(curves.fraction >= _SMALLEST_PORE)
    if not len(reached):
        return Estimate(low=0.0, high=float(radius[-1]))
    first = int(reached[0])
    return Estimate(float(radius[first]), float(radius[first]), float(radius[first - 1]) if first else math.inf)


def _fit(
    curves: FilterFlow,
    law: CapillaryLaw,
    porometer: Porometer,
    stream: GasStream | None,
    findings: list[str],
) -> LogNormalOpening | None:
    """One log-normal law fitted to the filter flow; its readings have a constant error, as in the published method."""
    try:
        opening = fit_opening(
            curves.pressure,
            curves.fraction,
            law.constant,
            final_flow=1.0,
            relative_error=0.0,
            floor=porometer.flow_error,
            tension_error=law.relative_error,
            gauge_error=porometer.pressure_error,
            stream=stream,
            common_errors=curves.common_errors(porometer.flow_error),
        )
    except PhysicsError as error:
        findings.append(f"no distribution of the radius: {error}")
        return None
    if opening.misfit > _MISFIT:
        worst = int(np.abs(curves.fraction - opening.fraction).argmax())
        findings.append(
            f"one log-normal law misfits: by {100 * opening.misfit:.1f} % of the flow at "
            f"{curves.pressure[worst] / 1e5:.4g} bar{_remark(opening.misfit, porometer)}; compare the step-wise "
            f"distribution"
        )
    if stream is None:
        findings.append(
            "gas and temperature are not given: the radii of the distribution are those for viscous flow; their "
            "intervals end at those for Knudsen flow"
        )
    return opening


def _radii(opening: LogNormalOpening, slip_unknown: bool) -> tuple[Estimate, Estimate, Estimate]:
    """Number median, hydraulic radius and flow median, m.

    The flow of a pore rises with r^4 if it is viscous and with r^3 if it is Knudsen flow. The fit of viscous flow to
    Knudsen flow yields a median that is smaller by ``exp(s^2)``.
    """
    largest = float(exp(opening.log_sd * opening.log_sd)) if slip_unknown else 1.0
    estimates = (opening.radius(order) for order in (0, 3, 4))
    number, hydraulic, flow = (Estimate(e.value, e.low, e.high * largest) for e in estimates)
    return number, hydraulic, flow


def _absolute(
    measured_dry: np.ndarray,
    opening: LogNormalOpening,
    porometer: Porometer,
    stream: GasStream | None,
    findings: list[str],
) -> tuple[Estimate, Estimate]:
    """Porosity over path length, m-1, and pores per area, m-2, from the dry flow."""
    if stream is None or stream.molar_density is None or porometer.area is None:
        return Estimate(), Estimate()
    flux = measured_dry[1] * stream.molar_density / porometer.area

    def log_ratio(log_radius_change: float, log_sd_change: float) -> tuple[np.ndarray, float]:
        """Logarithms of eps / y of every dry reading, and of the mean area of a pore."""
        s = opening.log_sd * float(exp(log_sd_change))
        median = opening.flow_median_radius * float(exp(log_radius_change - 4 * s * s))
        unit_flux = dry_gas_flux(measured_dry[0], median, s, 1.0, stream)
        return log(flux / unit_flux), float(log(math.pi * median * median)) + 2 * s * s

    ratios, log_area = log_ratio(0.0, 0.0)
    value = float(exp(ratios.mean()))
    deviation = np.abs(exp(ratios - ratios.mean()) - 1)
    worst = int(deviation.argmax())
    if deviation[worst] > _DRY_MISFIT:
        findings.append(
            f"the dry flow departs by {100 * deviation[worst]:.0f} % from viscous and Knudsen flow at "
            f"{measured_dry[0, worst] / 1e5:.4g} bar: inertia, a leak, or another resistance"
        )
    n = len(ratios)
    spread = math.sqrt(dot(ratios - ratios.mean(), ratios - ratios.mean()) / (n - 1) / n)
    # Student's quantile over the normal one: the spread comes from few readings.
    spread *= float(student_quantile(0.975, n - 1)) / NORMAL_QUANTILE
    step = 1e-4
    slopes = []
    for change in ((step, 0.0), (0.0, step)):
        above, below = log_ratio(*change), log_ratio(-change[0], -change[1])
        slopes.append(((above[0] - below[0]).mean() / (2 * step), (above[1] - below[1]) / (2 * step)))
    ratio = opening.estimate(value, (float(slopes[0][0]), float(slopes[1][0]), 0.0), -1, spread)
    if porometer.path_length is None:
        findings.append("the number of pores needs the path length (tortuosity times thickness)")
        return ratio, Estimate()
    density = opening.estimate(
        value * porometer.path_length / float(exp(log_area)),
        (float(slopes[0][0] - slopes[0][1]), float(slopes[1][0] - slopes[1][1]), 0.0),
        -1,
        math.sqrt(spread * spread + porometer.path_length_error * porometer.path_length_error),
    )
    return ratio, density
