"""Pore radius and porosity from the permeance of a gas at several mean pressures (Klinkenberg plot)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import inverse, inverse_gram, least_squares, product, real_roots
from membrane_dask.physics.porometry.dusty_gas import gas_permeance, unit_permeances
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.gases import Gas
from membrane_dask.physics.porometry.intervals import ratio_interval
from membrane_dask.physics.porometry.reading_checks import not_finite, refuse, row_names
from membrane_dask.physics.porometry.student_likelihood import student_log_likelihood
from membrane_dask.physics.root_finding import brentq

#: Ratio of the viscous permeabilities of gas and water within which they agree.
AGREEMENT = (0.8, 1.25)
#: Largest factor by which a range of pressures is widened in search of one that halves the interval of the radius.
_WIDEST = 1000.0


@dataclass(frozen=True)
class GasReadings:
    """Permeances of one gas.

    Parameters
    ----------
    mean_pressure : (n,) float array
        Mean of the absolute pressures on both sides, Pa, > 0; at least two different ones.
    permeance : (n,) float array
        Molar flux over pressure difference, mol m-2 s-1 Pa-1, > 0.
    gas : Gas
        Its properties.
    temperature : float or (n,) float array
        K.
    rows : sequence of int, optional
        Rows of the table, for messages.

    Raises
    ------
    PhysicsError
        If a value is not in its range, or there is one pressure only; all problems at once.
    """

    mean_pressure: np.ndarray
    permeance: np.ndarray
    gas: Gas
    temperature: float | np.ndarray
    rows: Sequence[int] | None = None

    def __post_init__(self) -> None:
        names = row_names(self.rows, len(self.permeance))
        if len(self.mean_pressure) != len(self.permeance):
            raise PhysicsError(f"{len(self.mean_pressure)} pressures for {len(self.permeance)} permeances")
        problems = []
        for name, values in (("mean pressure", self.mean_pressure), ("permeance", self.permeance)):
            problems += not_finite(f"the {name}", values, names)
            problems += [
                f"{names[i]}: the {name} must be above 0 (got {values[i]:g})" for i in np.flatnonzero(values <= 0)
            ]
        if len(np.unique(self.mean_pressure)) < 2:
            problems.append("one mean pressure: slope and intercept need at least two, and their errors three")
        refuse(problems)

    @property
    def design(self) -> np.ndarray:
        """Permeance per unit of ``eps <r^3> / (y <r^2>)`` (Knudsen flow) and of ``eps r_h^2 / y``, (n, 2)."""
        knudsen, viscous = unit_permeances(self.mean_pressure, self.gas, self.temperature)
        return np.stack(np.broadcast_arrays(knudsen, viscous), axis=-1)


@dataclass(frozen=True)
class GasFit:
    """Dusty-gas model fitted to the permeances of a gas.

    Intervals are those of 95 %.

    Parameters
    ----------
    slope : Estimate
        Of the permeance by the mean pressure, mol m-2 s-1 Pa-2.
    intercept : Estimate
        Permeance at mean pressure 0, mol m-2 s-1 Pa-1.
    gas_radius : Estimate
        ``<r^4> / <r^3>``, of log-normal radii ``r_N exp(3.5 s^2)``, m. NaN with one finite end where the permeances
        bound it on one side only.
    porosity_over_path_length : Estimate
        ``eps / y`` of pores of one size, m-1; of log-normal ones it is ``exp(s^2)`` times larger.
    viscous_permeability : Estimate
        ``eps r_h^2 / y``, m: eight times that of water, its permeance times its viscosity.
    relative_residual : float
        Standard deviation of the residuals over the permeances; NaN with two readings.
    halving_pressures : tuple of float, optional
        Mean pressures, Pa, between which as many readings with the same error would halve the interval of the radius.
    fitted : (n,) float array
        Permeances of the model, mol m-2 s-1 Pa-1.
    findings : tuple of str
        What users must know.
    """

    slope: Estimate
    intercept: Estimate
    gas_radius: Estimate
    porosity_over_path_length: Estimate
    viscous_permeability: Estimate
    relative_residual: float
    halving_pressures: tuple[float, float] | None
    fitted: np.ndarray
    findings: tuple[str, ...]


def log_likelihood(
    readings: GasReadings, number_median: Any, log_standard_deviation: Any, porosity_over_path_length: Any
) -> np.ndarray:
    """Log-likelihood, (...), of permeances with relative errors of unknown size, up to a constant."""
    model = gas_permeance(
        readings.mean_pressure, readings.gas, readings.temperature, number_median, log_standard_deviation,
        porosity_over_path_length,
    )  # fmt: skip
    return np.asarray(student_log_likelihood(model / readings.permeance - 1))


def fit_gas_permeation(readings: GasReadings) -> GasFit:
    """Fit the dusty-gas model by weighted least squares with relative errors.

    Parameters
    ----------
    readings : GasReadings
        The table.

    Returns
    -------
    GasFit

    Notes
    -----
    With ``V = eps r_h^2 / y`` and ``B = eps <r^3> / (y <r^2>)``, the radius is ``V / B``, with Fieller's interval, and
    ``eps / y = B^2 / V``, with that of the likelihood ratio. Each reading has its own temperature.
    """
    design = readings.design / readings.permeance[:, None]
    scale = np.abs(design).max(axis=0)
    coefficients = least_squares(design / scale, np.ones(len(design))) / scale
    residuals = 1 - product(design, coefficients)
    degrees = len(design) - 2
    variance = float(np.square(residuals).sum()) / degrees if degrees else math.nan
    covariance = inverse_gram(design / scale) * variance / (scale[:, None] * scale)
    t = float(student_quantile(0.975, degrees)) if degrees else math.nan
    knudsen, viscous = (
        Estimate(value, value - t * error, value + t * error)
        for value, error in zip(coefficients.tolist(), np.sqrt(np.diag(covariance)).tolist(), strict=True)
    )
    radius = _radius(knudsen, viscous, covariance, t)
    temperature = float(np.mean(readings.temperature))
    per_knudsen, per_viscous = unit_permeances(1.0, readings.gas, temperature)
    halving = _halving_pressures(readings, coefficients) if math.isfinite(radius.value) and degrees else None
    return GasFit(
        slope=viscous.scaled(float(per_viscous)),
        intercept=knudsen.scaled(float(per_knudsen)),
        gas_radius=radius,
        porosity_over_path_length=_porosity_over_path_length(coefficients, covariance, t),
        viscous_permeability=viscous,
        relative_residual=math.sqrt(variance),
        halving_pressures=halving,
        fitted=product(readings.design, coefficients),
        findings=tuple(_findings(readings, knudsen, viscous, radius, halving)),
    )


def _radius(knudsen: Estimate, viscous: Estimate, covariance: np.ndarray, t: float) -> Estimate:
    """Ratio of both coefficients; bounded on one side where the other coefficient may be 0."""
    if math.isnan(t):
        ratio = viscous.value / knudsen.value if viscous.value > 0 < knudsen.value else math.nan
        return Estimate(ratio)
    if viscous.high <= 0 or knudsen.high <= 0:  # no radius gives such a slope or intercept
        return Estimate()
    low, high = (float(end) for end in ratio_interval(viscous.value, knudsen.value, covariance[::-1, ::-1], t))
    if knudsen.low > 0:
        return Estimate(viscous.value / knudsen.value, low, high) if viscous.low > 0 else Estimate(math.nan, 0.0, high)
    if viscous.low > 0:
        return Estimate(math.nan, 1 / float(ratio_interval(knudsen.value, viscous.value, covariance, t)[1]), math.inf)
    return Estimate(math.nan, 0.0, math.inf)


def _porosity_over_path_length(coefficients: np.ndarray, covariance: np.ndarray, t: float) -> Estimate:
    """``B^2 / V`` with its interval of likelihood ratio: values whose nearest pair (B, V) is within t errors."""
    knudsen, viscous = coefficients
    if not (knudsen > 0 and viscous > 0):
        return Estimate()
    value = float(knudsen * knudsen / viscous)
    if math.isnan(t):
        return Estimate(value)
    precision = inverse(covariance / (coefficients[:, None] * coefficients))
    bb, bv, vv = float(precision[0, 0]), float(precision[0, 1]), float(precision[1, 1])

    def excess(log_ratio: float) -> float:
        """Least squared distance, over the squared errors, of pairs with a multiple of the value, less t^2."""
        ratio = float(exp(log_ratio))
        cubic = [4 * vv / (ratio * ratio), 6 * bv / ratio, 2 * bb - 4 * (bv + vv) / ratio, -2 * (bb + bv)]
        x = real_roots(np.array(cubic))
        y = x * x / ratio
        distance = bb * np.square(x - 1) + 2 * bv * (x - 1) * (y - 1) + vv * np.square(y - 1)
        return float(distance.min()) - t * t

    farthest = 12.0
    low = float(exp(brentq(excess, -farthest, 0.0))) if excess(-farthest) > 0 else 0.0
    high = float(exp(brentq(excess, 0.0, farthest))) if excess(farthest) > 0 else math.inf
    if not (knudsen > t * math.sqrt(covariance[0, 0]) and viscous > t * math.sqrt(covariance[1, 1])):
        return Estimate(math.nan, low * value, high * value)
    return Estimate(value, low * value, high * value)


def _log_radius_error(design: np.ndarray, coefficients: np.ndarray) -> float:
    """Standard error of ``ln(V / B)`` of readings with relative errors of one."""
    relative = design * coefficients / product(design, coefficients)[:, None]
    covariance = inverse_gram(relative)
    return math.sqrt(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))


def _halving_pressures(readings: GasReadings, coefficients: np.ndarray) -> tuple[float, float] | None:
    """Range of mean pressures from the lowest on, widened until the error of the radius is half of the present one."""
    lowest = float(readings.mean_pressure.min())

    def error(log_factor: float) -> float:
        widened = lowest + float(exp(log_factor)) * (readings.mean_pressure - lowest)
        units = unit_permeances(widened, readings.gas, readings.temperature)
        return _log_radius_error(np.stack(np.broadcast_arrays(*units), axis=-1), coefficients)

    target = error(0.0) / 2
    largest = float(log(_WIDEST))
    if error(largest) > target:
        return None
    factor = float(exp(brentq(lambda x: error(x) - target, 0.0, largest, xtol=1e-6)))
    return lowest, lowest + factor * (float(readings.mean_pressure.max()) - lowest)


def _findings(
    readings: GasReadings, knudsen: Estimate, viscous: Estimate, radius: Estimate, halving: tuple[float, float] | None
) -> list[str]:
    findings = []
    if len(readings.permeance) == 2:
        findings.append("two readings: the radius has no error; three mean pressures or more give one")
    elif not viscous.low > 0:
        bound = f"below {1e9 * radius.high:.3g} nm" if math.isfinite(radius.high) else "not bounded"
        findings.append(
            f"the slope is not distinguishable from 0: radius not resolved, {bound} (Knudsen flow, or too few "
            "pressures)"
        )
    elif not knudsen.low > 0:
        bound = f"above {1e9 * radius.low:.3g} nm" if math.isfinite(radius.low) else "not bounded"
        findings.append(f"the intercept is not distinguishable from 0: radius not resolved, {bound} (viscous flow)")
    if viscous.value <= 0:
        findings.append(
            "the permeance falls with the mean pressure, which no pore explains: inertia at high flow, a leak, or the "
            "flow meter"
        )
    if _is_bent(readings):
        findings.append("the permeance is not linear in the mean pressure: inertia, a leak, or a membrane that changes")
    if halving is not None:
        findings.append(
            f"the radius has {100 * (radius.high - radius.low) / (2 * radius.value):.2g} % half-width; mean pressures "
            f"from {halving[0] / 1e5:.2g} to {halving[1] / 1e5:.2g} bar would halve it"
        )
    return findings


def _is_bent(readings: GasReadings) -> bool:
    """Whether a quadratic term of the mean pressure is significant at 1 %; five readings or more are needed."""
    n = len(readings.permeance)
    if n < 5 or len(np.unique(readings.mean_pressure)) < 4:
        return False
    square = readings.design[:, 1] * readings.mean_pressure
    design = np.column_stack([readings.design, square]) / readings.permeance[:, None]
    design = design / np.abs(design).max(axis=0)
    coefficients = least_squares(design, np.ones(n))
    residuals = 1 - product(design, coefficients)
    error = math.sqrt(inverse_gram(design)[2, 2] * float(np.square(residuals).sum()) / (n - 3))
    return bool(abs(coefficients[2]) > float(student_quantile(0.995, n - 3)) * error)


def ratio_to_water(fit: GasFit, water_permeance: Estimate, water_viscosity: float) -> tuple[Estimate, tuple[str, ...]]:
    """Compare the viscous permeabilities of gas and water, ``S R T mu_gas / (L_p mu_water)``, which needs no geometry.

    Parameters
    ----------
    fit : GasFit
        Of the gas.
    water_permeance : Estimate
        Hydraulic permeability of the same membrane, m s-1 Pa-1, > 0.
    water_viscosity : float
        At its temperature, Pa s.

    Returns
    -------
    ratio : Estimate
        1 if both methods see the same pores.
    findings : tuple of str
        A contradiction, if the ratio is outside 0.8 to 1.25; where the slope is not resolved, if its whole interval is.
    """
    viscous, water = fit.viscous_permeability, water_permeance.scaled(8 * water_viscosity)
    value = viscous.value / water.value

    def end(gas_end: float, water_end: float) -> float:
        gas_change, water_change = (gas_end - viscous.value) / water.value, value * (water.value / water_end - 1)
        return math.copysign(math.sqrt(np.square(gas_change) + np.square(water_change)), gas_change)

    ratio = Estimate(value, value + end(viscous.low, water.high), value + end(viscous.high, water.low))
    low, high = AGREEMENT
    is_outside = not low <= value <= high
    if viscous.low <= 0:
        is_outside = ratio.high < low or ratio.low > high
    if not is_outside:
        return ratio, ()
    return ratio, (
        f"contradiction: the viscous permeability of the gas is {value:.2g} times that of water "
        f"({ratio.low:.2g} to {ratio.high:.2g}); swelling, compaction, a leak, or an area or a flow in another unit",
    )
