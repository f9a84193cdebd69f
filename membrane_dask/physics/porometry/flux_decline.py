"""Fits of fouling laws to the decline of the flux at constant pressure, and their comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import inverse_gram
from membrane_dask.physics.porometry.decline_readings import DeclineReadings
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.fouling_laws import LAWS, permeate_volume
from membrane_dask.physics.porometry.nonlinear_least_squares import levenberg_marquardt
from membrane_dask.physics.porometry.profile_likelihood import profile_interval
from membrane_dask.physics.root_finding import brentq

#: Difference of AICc within which laws are not distinguished (Burnham and Anderson).
INDISTINGUISHABLE = 2.0
#: Initial fluxes from which fits start, over the mean flux, and fractions of the first constant in a combination.
_INITIAL_FLUXES, _SPLITS = (1.05, 1.3, 2.0, 4.0, 10.0, 30.0, 100.0), (0.1, 0.5, 0.9)
_STARTS = 3
#: Logarithm of the largest initial flux over the mean flux; a law that wants more does not fit.
_LARGEST_LOG_FLUX = 7.0
#: Change of the parameters at which a fit has converged; the derivatives are differences.
_PRECISION = 1e-7
#: Scaled constant at which a combination is the law of its other constant.
_COLLAPSED = 1e-7
#: Smallest relative residuals: those of rounding.
_SMALLEST = 1e-10


@dataclass(frozen=True)
class DeclineFit:
    """A law fitted to a decline.

    Intervals are those of the profile of the sum of squares. Laws whose AICc is more than 2 above the best have none.

    Parameters
    ----------
    law : str
        Its name.
    initial_flux : Estimate
        m s-1; NaN, with an open interval, where the readings start too late to bound it from above.
    constants : dict
        Estimates of its constants by name: ``complete`` (s-1), ``standard`` and ``intermediate`` (m-1), ``cake``
        (s m-2). Constants are 0 or above, and so are the ends of their 95 % intervals.
    collapsed : tuple of str
        Constants at 0: the law is that of the other constant.
    aicc : float
        Akaike's information criterion with the correction for few readings; smaller is better.
    residual_standard_deviation : float
        Of the volume or its increments, m; or of the logarithm of the flux.
    fitted : (m,) float array
        Volumes, increments (m) or fluxes (m s-1) of the law. A volume at time 0 is left out.
    """

    law: str
    initial_flux: Estimate
    constants: dict[str, Estimate]
    collapsed: tuple[str, ...]
    aicc: float
    residual_standard_deviation: float
    fitted: np.ndarray


@dataclass(frozen=True)
class FluxDecline:
    """Laws compared on one filtration.

    Parameters
    ----------
    fits : tuple of DeclineFit
        The best first.
    candidates : tuple of str
        Laws that the data do not distinguish: within 2 of the best AICc, without collapsed ones.
    findings : tuple of str
        What users must know.
    """

    fits: tuple[DeclineFit, ...]
    candidates: tuple[str, ...]
    findings: tuple[str, ...]

    def fit(self, law: str) -> DeclineFit:
        """Fit of a law."""
        return next(fit for fit in self.fits if fit.law == law)


def fit_flux_decline(readings: DeclineReadings, laws: Sequence[str] = tuple(LAWS)) -> FluxDecline:
    """Fit fouling laws and compare them.

    Parameters
    ----------
    readings : DeclineReadings
        The filtration.
    laws : sequence of str
        Names in :data:`~.fouling_laws.LAWS`.

    Returns
    -------
    FluxDecline

    Raises
    ------
    PhysicsError
        If a law is not known, or none of the fits converges.

    Notes
    -----
    Each fit starts from several initial fluxes and constants, which give the last volume. The initial flux is free;
    a clean water flux is a prior, weighted by the residuals.

    References
    ----------
    Burnham and Anderson, Model Selection and Multimodel Inference, 2nd ed. (2002), Sec. 2.4 (AICc) and 2.6 (within 2).
    """
    unknown = [law for law in laws if law not in LAWS]
    if unknown:
        raise PhysicsError(f"law: {', '.join(unknown)} not known; known are {', '.join(LAWS)}")
    single_starts = _single_law_starts()
    minima, failures = [], []
    for law in laws:
        try:
            minima.append(_minimum(readings, law, single_starts))
        except PhysicsError as failure:
            failures.append(f"{law}: {failure}")
    if not minima:
        raise PhysicsError("; ".join(failures))
    minima.sort(key=lambda minimum: minimum.aicc)
    largest = minima[0].aicc + INDISTINGUISHABLE
    fits = tuple(minimum.fit(with_intervals=minimum.aicc <= largest) for minimum in minima)
    candidates = tuple(fit.law for fit in fits if not fit.collapsed and fit.aicc <= largest)
    return FluxDecline(fits, candidates, tuple(_findings(fits, candidates) + failures))


def _single_law_starts() -> dict[str, list[float]]:
    """Scaled constants with which each single law gives the last volume, for each of the initial fluxes."""
    starts = {}
    for law in ("complete", "standard", "intermediate", "cake"):

        def excess(log_constant: float, law: str = law, flux: float = 1.0) -> float:
            return float(permeate_volume(law, [1.0], flux, [exp(log_constant)])[0]) - 1

        starts[law] = [
            float(exp(brentq(lambda x, flux=flux: excess(x, flux=flux), -14.0, 14.0, xtol=1e-6)))
            for flux in _INITIAL_FLUXES
        ]
    return starts


def _starts(law: str, single_starts: dict[str, list[float]]) -> np.ndarray:
    """Scaled parameters from which a law is fitted, (number, p)."""
    rows = []
    for i, flux in enumerate(_INITIAL_FLUXES):
        constants = [single_starts[name][i] for name in LAWS[law]]
        if len(constants) == 1:
            rows.append([-float(log(flux)), *constants])
        else:
            rows += [[-float(log(flux)), split * constants[0], (1 - split) * constants[1]] for split in _SPLITS]
    return np.array(rows)


@dataclass(frozen=True)
class _Problem:
    """Least squares of a law: parameters are ``-ln J_0`` and the constants, of the scaled readings."""

    readings: DeclineReadings
    law: str
    prior_weight: float = 0.0
    prior_mean: float = 0.0

    @property
    def lower_bounds(self) -> np.ndarray:
        return np.array([-_LARGEST_LOG_FLUX] + [0.0] * len(LAWS[self.law]))

    def residuals(self, parameters: np.ndarray) -> np.ndarray:
        differences = np.asarray(self.readings.observed - self.readings.model(self.law, parameters))
        if self.prior_weight == 0:
            return differences
        prior = self.prior_weight * (parameters[..., :1] - self.prior_mean)
        return np.concatenate([differences, prior], axis=-1)

    def jacobian(self, parameters: np.ndarray) -> np.ndarray:
        steps = np.diag(1e-5 * np.maximum(np.abs(parameters), 0.3))
        change = self.residuals(parameters + steps) - self.residuals(parameters - steps)
        return np.asarray(change.T / (2 * np.diag(steps)))

    def solve(self, start: np.ndarray) -> np.ndarray:
        return levenberg_marquardt(self.residuals, self.jacobian, start, self.lower_bounds, _PRECISION)

    def with_prior(self, solution: np.ndarray, degrees: int) -> _Problem:
        """The same with the clean water flux, in units of the residuals of a solution."""
        assert self.readings.clean_water_flux is not None
        value, error = self.readings.clean_water_flux
        end, volume = self.readings.scales
        square = float(np.square(self.readings.observed - self.readings.model(self.law, solution)).sum()) / degrees
        weight = math.sqrt(max(square, _SMALLEST * _SMALLEST)) * value / error
        return _Problem(self.readings, self.law, weight, -float(log(value * end / volume)))


@dataclass(frozen=True)
class _Minimum:
    """Best parameters of a law."""

    problem: _Problem
    solution: np.ndarray
    degrees: int

    @property
    def sum_of_squares(self) -> float:
        total = float(np.square(self.problem.residuals(self.solution)).sum())
        return max(total, len(self.problem.readings.observed) * _SMALLEST * _SMALLEST)

    @property
    def aicc(self) -> float:
        n, k = len(self.problem.readings.observed), len(self.solution) + 1  # the size of the error is a parameter
        if n <= k + 1:
            return math.inf
        return float(n * log(self.sum_of_squares / n)) + 2 * k + 2 * k * (k + 1) / (n - k - 1)

    def intervals(self) -> list[tuple[float, float]]:
        """Ends of the 95 % intervals of the scaled parameters."""
        problem, solution = self.problem, self.solution
        is_free = solution > problem.lower_bounds + _COLLAPSED
        slopes = problem.jacobian(solution)[:, is_free]
        first_steps = np.full(len(solution), 0.1)
        errors = np.sqrt(np.diag(inverse_gram(slopes)) * self.sum_of_squares / self.degrees)
        first_steps[is_free] = np.clip(2 * errors, 1e-9, 1.0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return [
                profile_interval(
                    problem.residuals, problem.jacobian, solution, index, problem.lower_bounds, self.degrees,
                    float(step), _PRECISION,
                )
                for index, step in enumerate(first_steps)
            ]  # fmt: skip

    def fit(self, *, with_intervals: bool) -> DeclineFit:
        """Results in SI units."""
        readings, law = self.problem.readings, self.problem.law
        end, volume = readings.scales
        units = {"complete": 1 / end, "standard": 1 / volume, "intermediate": 1 / volume, "cake": end / volume / volume}
        ends = self.intervals() if with_intervals else [(math.nan, math.nan)] * len(self.solution)
        constants = {
            name: Estimate(float(value), *interval).scaled(units[name])
            for name, value, interval in zip(LAWS[law], self.solution[1:], ends[1:], strict=True)
        }
        in_flux, fitted = readings.flux is not None, readings.model(law, self.solution)
        return DeclineFit(
            law=law,
            initial_flux=_initial_flux(float(self.solution[0]), ends[0]).scaled(volume / end),
            constants=constants,
            collapsed=tuple(
                name for name, value in zip(LAWS[law], self.solution[1:], strict=True) if value <= _COLLAPSED
            ),
            aicc=self.aicc,
            residual_standard_deviation=math.sqrt(self.sum_of_squares / self.degrees) * (1.0 if in_flux else volume),
            fitted=exp(fitted) * volume / end if in_flux else fitted * volume,
        )


def _initial_flux(parameter: float, ends: tuple[float, float]) -> Estimate:
    """Scaled initial flux of ``-ln J_0`` and the ends of its interval; open where it reaches the bound."""
    at_bound = -_LARGEST_LOG_FLUX + _COLLAPSED
    value = float(exp(-parameter)) if parameter > at_bound else math.nan
    return Estimate(value, float(exp(-ends[1])), math.inf if ends[0] <= at_bound else float(exp(-ends[0])))


def _minimum(readings: DeclineReadings, law: str, single_starts: dict[str, list[float]]) -> _Minimum:
    """The best of the fits from several starts."""
    problem = _Problem(readings, law)
    starts = _starts(law, single_starts)
    solutions = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sums = np.nan_to_num(np.square(problem.residuals(starts)).sum(axis=-1), nan=np.inf)
        for start in starts[np.argsort(sums, kind="stable")[:_STARTS]]:
            try:
                solutions.append(problem.solve(start))
            except PhysicsError:  # of the other starts one suffices
                continue
        if not solutions:
            raise PhysicsError(f"the fit does not converge from any of {_STARTS} starts")
        solution = min(solutions, key=lambda parameters: float(np.square(problem.residuals(parameters)).sum()))
        degrees = len(readings.observed) - len(solution)
        if readings.clean_water_flux is not None:
            for _ in range(3):  # the size of the residuals is that of the fit with the prior
                problem = problem.with_prior(solution, degrees)
                solution = problem.solve(solution)
            degrees += 1
    return _Minimum(problem, solution, degrees)


def _findings(fits: Sequence[DeclineFit], candidates: Sequence[str]) -> list[str]:
    findings = []
    if len(candidates) > 1:
        findings.append(f"the data do not distinguish {', '.join(candidates)}: their AICc differ by less than 2")
    collapsed = [f"{fit.law} ({' and '.join(fit.collapsed)} constant 0)" for fit in fits if fit.collapsed]
    if collapsed:
        findings.append(f"collapsed to a simpler law: {', '.join(collapsed)}")
    if not candidates:
        findings.append("the flux does not decline: every constant of the best law is 0")
    initial_flux = fits[0].initial_flux
    if not initial_flux.high < 2 * initial_flux.low:
        interval = f"{3.6e6 * initial_flux.low:.3g} to {3.6e6 * initial_flux.high:.3g} LMH"
        findings.append(
            f"the initial flux is not determined ({interval}): read more often in the first minutes, or give the clean "
            "water flux"
        )
    return findings
