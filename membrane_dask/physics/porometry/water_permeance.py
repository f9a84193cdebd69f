"""Permeance of pure water: the limit of flux over pressure at zero pressure, averaged over the laws of the flux.

Fluxes are at one temperature. A law with more parameters is never chosen alone: its estimate and that of the simpler
one are averaged by their weights of Akaike, because the choice of one law makes intervals too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from membrane_dask.number_text import quantity_text
from membrane_dask.physics.distributions import student_cdf, student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot, inverse_gram, least_squares
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.nonlinear_least_squares import levenberg_marquardt
from membrane_dask.physics.root_finding import brentq

#: Prior of the relative error of a reading where fewer than three pressures show none: scaled inverse chi-squared.
_PRIOR_DEGREES, _PRIOR_ERROR = 4, 0.05
#: Weight of bent laws at which the slope of a line is not taken for the permeance.
_BENT = 0.9
#: Relative difference of slopes that is of no interest.
_ROUNDING = 1e-3
#: Relative error of a reading below which none is believed, where the printed digits do not say.
_SMALLEST_ERROR = 1e-9


@dataclass(frozen=True)
class LawFit:
    """Fit of one law of the flux.

    Parameters
    ----------
    law : {"proportional", "compaction", "resistance", "line"}
        ``L P``, ``L P exp(-a P)``, ``L P / (1 + b P)``, or ``L (P - P0)``.
    permeance : float
        L, m s-1 Pa-1.
    parameter : float
        a or b, Pa-1, or P0, Pa; 0 for a proportional flux.
    covariance : (p, p) float array
        Of permeance and parameter.
    degrees_of_freedom : int
        Of the residuals.
    aicc : float
        Akaike's information criterion for small samples.
    """

    law: str
    permeance: float
    parameter: float
    covariance: np.ndarray
    degrees_of_freedom: int
    aicc: float

    def half_width(self, index: int, confidence: float) -> float:
        """Half of the interval of the permeance (0) or of the parameter (1)."""
        error = math.sqrt(self.covariance[index, index])
        return float(student_quantile((1 + confidence) / 2, self.degrees_of_freedom)) * error

    def flux_with_band(self, pressure: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Flux at pressures, m s-1, and half of the width of its confidence band, to first order."""
        values = np.array([self.permeance, self.parameter])
        derivatives = _derivatives(self.law, values, pressure)
        variance = (derivatives[:, :, None] * derivatives[:, None, :] * self.covariance).sum(axis=(1, 2))
        quantile = float(student_quantile((1 + confidence) / 2, self.degrees_of_freedom))
        return _flux(self.law, values, pressure), quantile * np.sqrt(np.maximum(variance, 0.0))


def fit_laws(pressure: np.ndarray, flux: np.ndarray, resolution: float = 0.0) -> list[LawFit]:
    """Fit all laws that the number of readings allows, with relative errors of unknown size.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1, > 0.
    resolution : float
        Half of the last printed digit of the flux, m s-1: readings are not believed to be better.

    Returns
    -------
    list of LawFit
        The proportional law first.
    """
    pressure, flux = np.asarray(pressure, float), np.asarray(flux, float)
    fits = [_fit("proportional", pressure, flux, resolution)]
    if len(np.unique(pressure)) > 2:
        for law in ("compaction", "resistance", "line"):
            try:
                fits.append(_fit(law, pressure, flux, resolution))
            except PhysicsError:
                continue
    return fits


def _smallest_variance(flux: np.ndarray, resolution: float) -> float:
    """Mean square of the relative errors by the printed digits; a digit is uniform within its halves."""
    return max(float(np.square(resolution / flux).mean()) / 3, _SMALLEST_ERROR * _SMALLEST_ERROR)


def _flux(law: str, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Flux of a law at pressures x."""
    if law == "proportional":
        return np.asarray(values[0] * x)
    if law == "compaction":
        return np.asarray(values[0] * x * exp(-values[1] * x))
    if law == "resistance":
        return np.asarray(values[0] * x / (1 + values[1] * x))
    return np.asarray(values[0] * (x - values[1]))


def _derivatives(law: str, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Derivatives of the flux at pressures x with respect to the parameters, (n, p)."""
    if law == "proportional":
        columns = [x]
    elif law == "compaction":
        decay = exp(-values[1] * x)
        columns = [x * decay, -values[0] * np.square(x) * decay]
    elif law == "resistance":
        divisor = 1 + values[1] * x
        columns = [x / divisor, -values[0] * np.square(x / divisor)]
    else:
        columns = [x - values[1], np.full(len(x), -values[0])]
    return np.stack(columns, axis=-1)


def _fit(law: str, pressure: np.ndarray, flux: np.ndarray, resolution: float) -> LawFit:
    size, largest = float((flux / pressure).mean()), float(pressure.max())
    x, y = pressure / largest, flux / (size * largest)

    def model(values: np.ndarray) -> np.ndarray:
        return _flux(law, values, x)

    def derivatives(values: np.ndarray) -> np.ndarray:
        return np.asarray(_derivatives(law, values, x) / y[:, None])

    values = levenberg_marquardt(
        lambda v: (model(v) - y) / y, derivatives, np.array([1.0] if law == "proportional" else [1.0, 0.0])
    )
    residuals = (y - model(values)) / y
    n, p = len(y), len(values)
    smallest = _smallest_variance(flux, resolution)
    square_sum = dot(residuals, residuals)
    degrees = n - p
    variance = max(square_sum / degrees, smallest) if degrees > 0 else math.nan
    covariance = variance * inverse_gram(derivatives(values))
    scale = np.array([size, {"line": largest}.get(law, 1 / largest)])[:p]
    room = n - p - 2
    aicc = math.inf
    if room > 0:
        aicc = n * float(log(max(square_sum / n, smallest))) + 2 * (p + 1) + 2 * (p + 1) * (p + 2) / room
    parameter = float(values[1] * scale[1]) if p == 2 else 0.0
    return LawFit(law, float(values[0] * size), parameter, covariance * np.outer(scale, scale), degrees, aicc)


@dataclass(frozen=True)
class ThresholdBracket:
    """Pressure below which no water flows.

    Parameters
    ----------
    pressure : Estimate
        Pa; NaN where the data do not resolve it.
    without_flow, with_flow : float
        Largest pressure without and smallest one with flow, Pa; NaN without readings of no flow.
    """

    pressure: Estimate
    without_flow: float
    with_flow: float


@dataclass(frozen=True)
class WaterPermeance:
    """Permeance of one membrane.

    Parameters
    ----------
    permeance : Estimate
        At the temperature of the fluxes, m s-1 Pa-1.
    laws : mapping of str to float
        Weight of each law.
    free_line_slope, free_line_intercept : float
        Least-squares line of flux against pressure, m s-1 Pa-1 and m s-1; a diagnostic. NaN below three pressures.
    threshold : ThresholdBracket
        Threshold pressure, where the data resolve one.
    degrees_of_freedom : float
        Of the error of the permeance.
    findings : tuple of str
        Sentences on what the data do not show.
    slope_is_permeance : bool
        Whether the slope of a line may be called the permeance: above a threshold pressure, or where it lies among the
        J/P and the flux is not bent. Not below three pressures.
    """

    permeance: Estimate
    laws: Mapping[str, float]
    free_line_slope: float
    free_line_intercept: float
    threshold: ThresholdBracket
    degrees_of_freedom: float
    findings: tuple[str, ...]
    slope_is_permeance: bool = False


def permeance_of_readings(
    pressure: np.ndarray, flux: np.ndarray, *, no_flow: np.ndarray | None = None, resolution: float = 0.0,
    confidence: float = 0.95,
) -> WaterPermeance:  # fmt: skip
    """Permeance at zero pressure from readings of the compacted state, at one temperature.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1, > 0. Readings of equal pressure are replicates.
    no_flow : (k,) float array, optional
        Pressures at which there was no flow, Pa.
    resolution : float
        Half of the last printed digit of the flux, m s-1.
    confidence : float
        Of the interval.

    Returns
    -------
    WaterPermeance

    Raises
    ------
    PhysicsError
        If a pressure without flow is above one with flow.

    References
    ----------
    Burnham and Anderson, Model Selection and Multimodel Inference (2002): averages by weights of Akaike.
    """
    pressure, flux = np.asarray(pressure, float), np.asarray(flux, float)
    no_flow = np.empty(0) if no_flow is None else np.asarray(no_flow, float)
    distinct = len(np.unique(pressure))
    findings: list[str] = []
    slope = intercept = math.nan
    if distinct > 2:
        slope, intercept = (float(v) for v in _least_squares_line(pressure, flux))
    fits = fit_laws(pressure, flux, resolution)
    line = next((fit for fit in fits if fit.law == "line"), None)
    bent = [fit for fit in fits if fit.law != "line"]
    threshold = _threshold(pressure, flux, no_flow, line, bent, confidence)
    nothing = ThresholdBracket(Estimate(), math.nan, math.nan)
    if threshold is not None:
        line_above = _fit_line(pressure, flux)
        half = line_above.half_width(0, confidence)
        permeance = Estimate(line_above.permeance, line_above.permeance - half, line_above.permeance + half)
        findings.append(_threshold_finding(threshold))
        weights = {"line above a threshold pressure": 1.0}
        degrees = float(line_above.degrees_of_freedom)
        return WaterPermeance(permeance, weights, slope, intercept, threshold, degrees, tuple(findings), True)
    if len(no_flow):
        findings.append(
            f"no flow up to {no_flow.max() * 1e-5:.4g} bar, flow from {pressure.min() * 1e-5:.4g} bar: a threshold "
            f"pressure lies between; three pressures with flow are needed for it"
        )
    if distinct < 3:
        permeance, degrees = _few_readings(pressure, flux, resolution, confidence)
        plural = "pressure" if distinct == 1 else "pressures"
        findings.append(f"linearity is not tested by {'one' if distinct == 1 else 'two'} {plural}")
        return WaterPermeance(
            permeance, {"proportional": 1.0}, slope, intercept, nothing, degrees, tuple(findings)
        )  # fmt: skip
    permeance, weights = _average(bent, confidence)
    ratio = flux / pressure
    is_among = bool(ratio.min() * (1 - _ROUNDING) <= slope <= ratio.max() * (1 + _ROUNDING))
    if not is_among:
        side = "above" if slope > ratio.max() else "below"
        low, high, shown = (value * 3.6e11 for value in (ratio.min(), ratio.max(), slope))
        findings.append(
            f"the line's slope ({shown:.4g}) is {side} every J/P ({low:.4g} to {high:.4g}): not a permeance"
        )
    degrees = float(sum(weights[fit.law] * fit.degrees_of_freedom for fit in bent))
    is_straight = 1 - weights["proportional"] < _BENT
    return WaterPermeance(
        permeance, weights, slope, intercept, nothing, degrees, tuple(findings), is_among and is_straight
    )


def _fit_line(pressure: np.ndarray, flux: np.ndarray) -> LawFit:
    """Line of least squares, with the threshold pressure by the delta method."""
    slope, intercept = (float(v) for v in _least_squares_line(pressure, flux))
    threshold = -intercept / slope
    residuals = flux - slope * (pressure - threshold)
    degrees = len(flux) - 2
    scale = float(pressure.max())
    derivatives = np.stack([(pressure - threshold) / scale, np.full(len(flux), -slope) * scale], axis=-1)
    variance = dot(residuals, residuals) / degrees
    size = np.array([1 / scale, scale])
    sensitivity = derivatives / np.abs(derivatives).max(axis=0)
    largest = np.abs(derivatives).max(axis=0)
    covariance = variance * inverse_gram(sensitivity) * np.outer(size / largest, size / largest)
    return LawFit("line", slope, threshold, covariance, degrees, math.inf)


def _least_squares_line(pressure: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Slope and intercept of the unweighted line."""
    scale = float(pressure.max())
    design = np.stack([pressure / scale, np.ones(len(pressure))], axis=-1)
    slope, intercept = least_squares(design, flux)
    return np.array([slope / scale, intercept])


def _few_readings(
    pressure: np.ndarray, flux: np.ndarray, resolution: float, confidence: float
) -> tuple[Estimate, float]:
    """Proportional law with a prior of the relative error."""
    fit = _fit("proportional", pressure, flux, resolution)
    residuals = (flux - fit.permeance * pressure) / flux
    degrees = _PRIOR_DEGREES + len(flux) - 1
    variance = (_PRIOR_DEGREES * _PRIOR_ERROR * _PRIOR_ERROR + dot(residuals, residuals)) / degrees
    error = math.sqrt(variance / float(np.square(pressure * fit.permeance / flux).sum()))
    half = float(student_quantile((1 + confidence) / 2, degrees)) * error * fit.permeance
    return Estimate(fit.permeance, fit.permeance - half, fit.permeance + half), degrees


def _average(fits: list[LawFit], confidence: float) -> tuple[Estimate, dict[str, float]]:
    """Mean and quantiles of the mixture of Student's distributions of all laws."""
    best = min(fit.aicc for fit in fits)
    if math.isinf(best):  # too few readings to compare laws
        weights = np.array([1.0] + [0.0] * (len(fits) - 1))
    else:
        weights = np.asarray(exp(-np.minimum(np.array([fit.aicc for fit in fits]) - best, 1400.0) / 2))
        weights = weights / weights.sum()
    centres = np.array([fit.permeance for fit in fits])
    errors = np.array([math.sqrt(fit.covariance[0, 0]) for fit in fits])
    used = [k for k in range(len(fits)) if weights[k] > 1e-6]

    def distribution(value: float) -> float:
        return float(
            sum(weights[k] * student_cdf((value - centres[k]) / errors[k], fits[k].degrees_of_freedom) for k in used)
            / sum(weights[k] for k in used)
        )

    def quantile(p: float) -> float:
        reach = [student_quantile(p, fits[k].degrees_of_freedom) * errors[k] + centres[k] for k in used]
        low, high = float(min(reach)), float(max(reach))
        if high - low <= 1e-12 * abs(high):
            return (low + high) / 2
        return float(brentq(lambda v: distribution(v) - p, low, high, xtol=1e-12 * abs(high), rtol=1e-12))

    value = float(sum(weights[k] * centres[k] for k in range(len(fits))))
    interval = Estimate(value, quantile((1 - confidence) / 2), quantile((1 + confidence) / 2))
    return interval, {fit.law: float(w) for fit, w in zip(fits, weights, strict=True)}


def _threshold(
    pressure: np.ndarray,
    flux: np.ndarray,
    no_flow: np.ndarray,
    line: LawFit | None,
    bent: list[LawFit],
    confidence: float,
) -> ThresholdBracket | None:
    """Threshold pressure by readings without flow, or by a line that fits better than all bent laws."""
    without, with_flow = (float(no_flow.max()), float(pressure.min())) if len(no_flow) else (math.nan, math.nan)
    if len(no_flow) and without >= with_flow:
        raise PhysicsError(
            f"there is no flow at {without * 1e-5:.4g} bar, but at {with_flow * 1e-5:.4g} bar: readings contradict"
        )
    if line is None or line.degrees_of_freedom < 1:
        return None
    # Close to the threshold relative errors are large: the line has errors of one size.
    even = _fit_line(pressure, flux)
    half = even.half_width(1, confidence)
    interval = Estimate(even.parameter, even.parameter - half, even.parameter + half)
    if len(no_flow):
        low, high = max(interval.low, without), min(interval.high, with_flow)
        if low >= high:  # the line misses the bracket: flow sets in gradually
            return ThresholdBracket(Estimate(math.nan, without, with_flow), without, with_flow)
        return ThresholdBracket(Estimate(min(max(interval.value, low), high), low, high), without, with_flow)
    is_better = line.aicc < min(fit.aicc for fit in bent)
    return ThresholdBracket(interval, without, with_flow) if interval.low > 0 and is_better else None


def _threshold_finding(threshold: ThresholdBracket) -> str:
    value, low, high = (v * 1e-5 for v in (threshold.pressure.value, threshold.pressure.low, threshold.pressure.high))
    if math.isnan(value):
        return f"no flow up to {low:.4g} bar and flow from {high:.4g} bar; the permeance is the slope above"
    return f"threshold pressure {quantity_text(value, 'bar', low, high)}; the permeance is the slope above it"
