"""Deposition coefficient and foulant volume fraction of a network model from the decline of a flux on the bench."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from membrane_dask.physics.distributions import normal_quantile, student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.networks.bench_decline import BenchDecline
from membrane_dask.physics.networks.decline_curves import DeclineCurve, DeclineCurves
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.root_finding import brentq

#: Points of the first search for the scale of the axis, and of each refinement, of which there are three.
_SCALES, _REFINED, _REFINEMENTS = 41, 11, 4
#: Deposition coefficients of the profile between two of the grid.
_SUBDIVISION = 2
#: Points of the region of confidence along the deposition coefficient and along the scale.
_ROWS, _COLUMNS = 31, 15
#: Precision of the ends of intervals, of logarithms.
_PRECISION = 1e-6
#: Smallest error of a reading: the error of the model's time steps, relative to the flux or to the last volume.
_SMALLEST_ERROR = 5e-4


@dataclass(frozen=True)
class LawFit:
    """A deposition law fitted to a decline.

    Parameters
    ----------
    deposition : Estimate
        Deposition coefficient lambda.
    throughput_volume : Estimate
        Filtrate volume per area of a unit of throughput, m: ``2 pi W / phi``.
    initial_flux : Estimate
        m s-1.
    chi_squared : float
        Sum of the squares of the residuals over their errors.
    fitted : (n,) ndarray
        Of every reading that is fitted: flux, m s-1, or volume, m; NaN where no parameters are identified.
    residuals : (n,) ndarray
        Relative residuals of the flux, or residuals of the volume over the last one.
    durbin_watson : float
        Sum of the squares of the differences of successive residuals over that of the residuals: about 2 where they
        are independent, less where the law does not describe the decline.

    Notes
    -----
    Ends of intervals that reach an end of the searched deposition coefficients are NaN, and so are the values of
    estimates with such an end.
    """

    deposition: Estimate
    throughput_volume: Estimate
    initial_flux: Estimate
    chi_squared: float
    fitted: np.ndarray
    residuals: np.ndarray
    durbin_watson: float


@dataclass(frozen=True)
class Calibration:
    """Both laws fitted to one decline.

    Parameters
    ----------
    fits : mapping of str to LawFit
        By law.
    error : float
        Standard deviation of the logarithm of a flux, or of a volume over the last one.
    error_is_estimated : bool
        Whether it follows from the residuals.
    """

    fits: Mapping[str, LawFit]
    error: float
    error_is_estimated: bool


def calibrate(
    readings: BenchDecline,
    curves: Mapping[str, DeclineCurves],
    *,
    error: float | None = None,
    filtrate_concentration: tuple[float, float] | None = None,
    confidence: float = 0.95,
) -> Calibration:
    """Fit the deposition coefficient, the scale of the volume and the initial flux, with every deposition law.

    Parameters
    ----------
    readings : BenchDecline
        The filtration.
    curves : mapping of str to DeclineCurves
        Declines of the model by law.
    error : float, optional
        Standard deviation of the logarithm of a flux, or of a volume over the last one. By default that of the
        residuals of the law that fits best.
    filtrate_concentration : tuple of float, optional
        Foulant concentration of the first filtrate over that of the feed, and its standard deviation.
    confidence : float
        Of the intervals.

    Returns
    -------
    Calibration

    Notes
    -----
    The flux over the initial one is a function of the throughput alone for every deposition coefficient. The intervals
    are those of the profile of the likelihood, with the quantile of Student's distribution where the error follows
    from the residuals. The model is the mean of the networks.

    Several networks are random ones to which the filter is alike: the fit is repeated with each of them, and the
    standard deviation of the results, times the square root of ``1 + 1/R`` and Student's quantile for R networks, adds
    to the half widths, in quadrature. To the end of an interval whose other end is open it adds linearly.

    No error is taken as smaller than 0.05 % of the flux or of the last volume, which the time steps of the model cause.

    References
    ----------
    Durbin and Watson, Biometrika 37, 409 (1950).
    Venzon and Moolgavkar, Appl. Statist. 37, 87 (1988): intervals by the profile of the likelihood.
    """
    probability = (1 + confidence) / 2
    if error is None:
        sums = [_Problem(readings, law_curves).best()[0] for law_curves in curves.values()]
        degrees = len(readings.observed) - 3
        estimate, quantile = math.sqrt(min(sums) / degrees), float(student_quantile(probability, degrees))
    else:
        estimate, quantile = error, float(normal_quantile(probability))
    estimate = max(estimate, _SMALLEST_ERROR)
    fits = {}
    for law, law_curves in curves.items():
        problem = _Problem(readings, law_curves, estimate, filtrate_concentration)
        fit = problem.fit(quantile * quantile)
        if law_curves.n_networks > 1:
            fit = _with_network_spread(fit, problem, quantile * quantile, probability)
        fits[law] = fit
    return Calibration(fits, estimate, error is None)


def _with_network_spread(fit: LawFit, problem: _Problem, increase: float, probability: float) -> LawFit:
    """Fit whose intervals contain the spread of those with single networks."""
    n = problem.curves.n_networks
    problems = [replace(problem, curves=problem.curves.network(k), cache={}) for k in range(n)]
    quantile = float(student_quantile(probability, n - 1)) * math.sqrt(1 + 1 / n)
    best = [single.best_parameters() for single in problems]
    values = np.array([parameters.logarithms for parameters in best])  # (networks, quantities)
    widened = {}
    for i, name in enumerate(("deposition", "throughput_volume", "initial_flux")):
        estimate = getattr(fit, name)
        if math.isnan(estimate.value):
            singles = [getattr(single.fit(increase), name) for single in problems]
            widened[name] = Estimate(
                low=_moved(estimate.low, [single.low for single in singles], -quantile),
                high=_moved(estimate.high, [single.high for single in singles], quantile),
            )
        else:
            spread = quantile * float(np.std(values[:, i], ddof=1))
            ends = [
                estimate.value * float(exp(sign * _hypotenuse(float(log(end / estimate.value)), spread)))
                for sign, end in ((-1, estimate.low), (1, estimate.high))
            ]
            widened[name] = Estimate(estimate.value, *ends)
    durbin_watson = max(_durbin_watson(parameters.residuals) for parameters in best)
    return replace(fit, **widened, durbin_watson=durbin_watson)  # type: ignore[arg-type]


def _hypotenuse(a: float, b: float) -> float:
    return math.sqrt(a * a + b * b)


def _moved(end: float, ends: list[float], quantile: float) -> float:
    """End of an interval moved outwards by the spread of those of single networks; NaN where it or one of them is."""
    return end * float(exp(quantile * np.std(log(np.array(ends)), ddof=1)))


def _durbin_watson(residuals: np.ndarray) -> float:
    return float(np.square(np.diff(residuals)).sum() / np.square(residuals).sum())


@dataclass(frozen=True)
class _Parameters:
    """Best parameters of a law: logarithms of deposition coefficient, volume and initial flux, model and residuals."""

    logarithms: tuple[float, float, float]
    model: np.ndarray
    residuals: np.ndarray
    chi_squared: float


@dataclass(frozen=True)
class _Profile:
    """Best scale for one deposition coefficient."""

    chi_squared: float
    log_scale: float
    bounds: tuple[float, float]


@dataclass(frozen=True)
class _Problem:
    """Least squares of one law: the scale is searched for every deposition coefficient, the amplitude is linear."""

    readings: BenchDecline
    curves: DeclineCurves
    error: float = 1.0
    concentration: tuple[float, float] | None = None
    cache: dict[float, _Profile] = field(default_factory=dict)

    def _solve(self, curve: DeclineCurve, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sum of squares with the best amplitude, the amplitude, and its weight, (m,) each."""
        offset, response = self.readings.predict(curve, scales)
        remaining, direction = (self.readings.observed - offset) / self.error, response / self.error
        weight = np.square(direction).sum(axis=-1)
        amplitude = (direction * remaining).sum(axis=-1) / weight
        sums = np.square(remaining - amplitude[:, None] * direction).sum(axis=-1)
        if self.concentration is not None:
            value, deviation = self.concentration
            difference = (value - curve.initial_concentration) / deviation
            sums = sums + difference * difference
        return sums, amplitude, weight

    def profile(self, log_deposition: float) -> _Profile:
        """Best scale for one deposition coefficient."""
        if log_deposition not in self.cache:
            curve = self.curves.at(log_deposition)
            low, high = bounds = self.readings.scale_range(curve)
            count = _SCALES
            for _ in range(1 + _REFINEMENTS):
                log_scales = np.linspace(low, high, count)
                sums = self._solve(curve, exp(log_scales))[0]
                best = int(np.argmin(sums))
                step, count = float(log_scales[1] - log_scales[0]), _REFINED
                low, high = max(log_scales[best] - step, bounds[0]), min(log_scales[best] + step, bounds[1])
            self.cache[log_deposition] = _Profile(float(sums[best]), float(log_scales[best]), bounds)
        return self.cache[log_deposition]

    def sum_of_squares(self, log_deposition: float) -> float:
        """Smallest sum of squares for one deposition coefficient."""
        return self.profile(log_deposition).chi_squared

    @property
    def _grid(self) -> np.ndarray:
        return np.linspace(*self.curves.log_range, _SUBDIVISION * (len(self.curves.deposition) - 1) + 1)

    def best(self) -> tuple[float, float]:
        """Smallest sum of squares, and the logarithm of the deposition coefficient there."""
        candidates = self._grid
        for _ in range(1 + _REFINEMENTS):
            sums = [self.sum_of_squares(float(x)) for x in candidates]
            k = int(np.argmin(sums))
            low, high = candidates[max(k - 1, 0)], candidates[min(k + 1, len(candidates) - 1)]
            result = sums[k], float(candidates[k])
            candidates = np.linspace(low, high, 9)
        return result

    def best_parameters(self) -> _Parameters:
        """Parameters with the smallest sum of squares."""
        smallest, best = self.best()
        curve = self.curves.at(best)
        scale = np.array([exp(self.profile(best).log_scale)])
        amplitude = self._solve(curve, scale)[1]
        offset, response = self.readings.predict(curve, scale)
        model = offset[0] + amplitude * response[0]
        log_volume, log_flux = self.readings.logarithms(log(scale), amplitude)
        logarithms = best, float(log_volume[0]), float(log_flux[0])
        return _Parameters(logarithms, model, self.readings.observed - model, smallest)

    def fit(self, increase: float) -> LawFit:
        """Best parameters, and the ends of the region in which the sum of squares is at most ``increase`` larger."""
        parameters = self.best_parameters()
        best, log_volume, log_flux = parameters.logarithms
        limit = parameters.chi_squared + increase
        (low, is_low_open), (high, is_high_open) = (self._end(best, limit, sign) for sign in (-1, 1))
        rows = np.unique(np.concatenate([np.linspace(low, high, _ROWS), [best]]))
        ends = np.array([self._row_ends(float(row), limit) for row in rows])  # (rows, ends, volume and flux)
        is_open = np.zeros(len(rows), bool)
        is_open[0], is_open[-1] = is_low_open, is_high_open
        in_flux = self.readings.flux is not None
        last = 1.0 if self.readings.volume is None else float(self.readings.volume[-1])
        residuals = parameters.residuals
        return LawFit(
            deposition=_estimate(best, low, high, is_low_open, is_high_open),
            throughput_volume=_extreme_estimate(log_volume, ends[:, :, 0], is_open),
            initial_flux=_extreme_estimate(log_flux, ends[:, :, 1], np.zeros(len(rows), bool)),
            chi_squared=parameters.chi_squared,
            fitted=np.asarray(exp(parameters.model)) if in_flux else parameters.model * last,
            residuals=np.asarray(exp(residuals)) - 1 if in_flux else residuals,
            durbin_watson=_durbin_watson(residuals),
        )

    def _end(self, best: float, limit: float, sign: int) -> tuple[float, bool]:
        """Outermost deposition coefficient within the limit, and whether it is the end of the grid."""
        grid = self._grid[::sign]
        grid = grid[sign * (grid - best) > 0]
        inside = [k for k, x in enumerate(grid) if self.sum_of_squares(float(x)) <= limit]
        if len(grid) == 0 or (inside and inside[-1] == len(grid) - 1):
            return (float(grid[-1]) if len(grid) else best), True
        start = float(grid[inside[-1]]) if inside else best
        outer = float(grid[inside[-1] + 1 if inside else 0])
        return _root(lambda x: self.sum_of_squares(x) - limit, start, outer), False

    def _row_ends(self, log_deposition: float, limit: float) -> np.ndarray:
        """Smallest and largest logarithms of volume and initial flux within the limit, (2, 2)."""
        curve, profile = self.curves.at(log_deposition), self.profile(log_deposition)

        def excess(log_scale: float) -> float:
            return float(self._solve(curve, np.array([exp(log_scale)]))[0][0]) - limit

        low, high = (
            _root(excess, profile.log_scale, bound) if profile.chi_squared < limit and excess(bound) > 0 else
            (bound if profile.chi_squared < limit else profile.log_scale)
            for bound in profile.bounds
        )  # fmt: skip
        log_scales = np.linspace(low, high, _COLUMNS)
        sums, amplitude, weight = self._solve(curve, exp(log_scales))
        half = np.sqrt(np.maximum(limit - sums, 0.0) / weight)
        values = [self.readings.logarithms(log_scales, amplitude + side * half) for side in (-1, 1)]
        stacked = np.array(values)  # (sides, volume and flux, columns)
        return np.stack([stacked.min(axis=(0, 2)), stacked.max(axis=(0, 2))])


def _root(function: Callable[[float], float], inner: float, outer: float) -> float:
    """Root between a point where the function is at most 0 and one where it is above; the first if both are not."""
    if function(inner) >= 0:
        return inner
    return float(brentq(function, inner, outer, xtol=_PRECISION))


def _estimate(value: float, low: float, high: float, is_low_open: bool, is_high_open: bool) -> Estimate:
    """Estimate from logarithms; open ends, and a value with one, are NaN."""
    ends = math.nan if is_low_open else float(exp(low)), math.nan if is_high_open else float(exp(high))
    return Estimate(math.nan if is_low_open or is_high_open else float(exp(value)), *ends)


def _extreme_estimate(value: float, ends: np.ndarray, is_open: np.ndarray) -> Estimate:
    """Estimate whose interval spans those of all rows, (rows, 2); an end in an open row is open."""
    lowest, highest = int(np.argmin(ends[:, 0])), int(np.argmax(ends[:, 1]))
    return _estimate(value, float(ends[lowest, 0]), float(ends[highest, 1]), is_open[lowest], is_open[highest])
