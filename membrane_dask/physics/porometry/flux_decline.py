"""Fits of fouling laws to the decline of the flux at constant pressure, and their comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import inverse_gram
from membrane_dask.physics.porometry.decline_readings import DeclineReadings
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.fouling_laws import LAWS, permeate_volume
from membrane_dask.physics.porometry.nonlinear_least_squares import levenberg_marquardt

#: Difference of AICc within which laws are not distinguished (Burnham and Anderson).
INDISTINGUISHABLE = 2.0
#: Initial fluxes from which fits start, over the mean flux, and fractions of the first constant in a combination.
_INITIAL_FLUXES, _SPLITS = (1.05, 1.3, 2.0, 4.0, 10.0, 30.0, 100.0), (0.1, 0.5, 0.9)
_STARTS = 3
#: Logarithm of the largest initial flux over the mean flux; a law that wants more does not fit.
_LARGEST_LOG_FLUX = 7.0
_Function = Callable[[np.ndarray], np.ndarray]
#: Change of the parameters at which a fit has converged; the derivatives are differences.
_PRECISION = 1e-8
#: Scaled constant at which a combination is the law of its other constant.
_COLLAPSED = 1e-7
#: Smallest relative residuals: those of rounding.
_SMALLEST = 1e-10


@dataclass(frozen=True)
class DeclineFit:
    """A law fitted to a decline.

    Parameters
    ----------
    law : str
        Its name.
    initial_flux : Estimate
        m s-1; 95 % interval.
    constants : dict
        Estimates of its constants by name: ``complete`` (s-1), ``standard`` and ``intermediate`` (m-1), ``cake``
        (s m-2). Constants are 0 or above, and so are the ends of their 95 % intervals, which are NaN for a collapsed
        constant.
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
    fits, failures = [], []
    for law in laws:
        try:
            fits.append(_fit_law(readings, law, single_starts))
        except PhysicsError as failure:
            failures.append(f"{law}: {failure}")
    if not fits:
        raise PhysicsError("; ".join(failures))
    fits.sort(key=lambda fit: fit.aicc)
    best = fits[0].aicc
    candidates = tuple(fit.law for fit in fits if not fit.collapsed and fit.aicc <= best + INDISTINGUISHABLE)
    return FluxDecline(tuple(fits), candidates, tuple(_findings(fits, candidates) + failures))


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


def _fit_law(readings: DeclineReadings, law: str, single_starts: dict[str, list[float]]) -> DeclineFit:
    """The best of the fits from several starts."""
    observed = readings.observed
    end, volume = readings.scales
    prior_weight, prior_mean = 0.0, 0.0

    def residuals(parameters: np.ndarray) -> np.ndarray:
        differences = observed - readings.model(law, parameters)
        prior = prior_weight * (parameters[..., :1] - prior_mean)
        return np.concatenate([differences, prior], axis=-1) if prior_weight else differences

    def jacobian(parameters: np.ndarray) -> np.ndarray:
        steps = np.diag(1e-5 * np.maximum(np.abs(parameters), 0.3))
        change = residuals(parameters + steps) - residuals(parameters - steps)
        return np.asarray(change.T / (2 * np.diag(steps)))

    starts = _starts(law, single_starts)
    bounds = np.array([-_LARGEST_LOG_FLUX] + [0.0] * len(LAWS[law]))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sums = np.nan_to_num(np.square(residuals(starts)).sum(axis=-1), nan=np.inf)
        solutions = _solutions(residuals, jacobian, starts[np.argsort(sums, kind="stable")[:_STARTS]], bounds)
        if not solutions:
            raise PhysicsError(f"the fit does not converge from any of {_STARTS} starts")
        solution = min(solutions, key=lambda parameters: float(np.square(residuals(parameters)).sum()))
        degrees = len(observed) - len(solution)
        if readings.clean_water_flux is not None:
            value, error = readings.clean_water_flux
            prior_mean = -float(log(value * end / volume))
            for _ in range(3):  # the size of the residuals is that of the fit with the prior
                square = float(np.square(observed - readings.model(law, solution)).sum()) / degrees
                prior_weight = math.sqrt(max(square, _SMALLEST * _SMALLEST)) * value / error
                solution = levenberg_marquardt(residuals, jacobian, solution, bounds, _PRECISION)
            degrees += 1
        slopes = jacobian(solution)
    fitted = readings.model(law, solution)
    sum_of_squares = max(float(np.square(residuals(solution)).sum()), len(observed) * _SMALLEST * _SMALLEST)
    # At a bound a constant has no error to first order, and no influence on those of the others.
    is_free = solution > bounds + _COLLAPSED
    standard_errors = np.full(len(solution), np.nan)
    standard_errors[is_free] = np.sqrt(np.diag(inverse_gram(slopes[:, is_free])) * sum_of_squares / degrees)
    return _decline_fit(readings, law, solution, standard_errors, fitted, degrees, sum_of_squares)


def _solutions(residuals: _Function, jacobian: _Function, starts: np.ndarray, bounds: np.ndarray) -> list[np.ndarray]:
    """Minima that the fits reach from the starts."""
    solutions = []
    for start in starts:
        try:
            solutions.append(levenberg_marquardt(residuals, jacobian, start, bounds, _PRECISION))
        except PhysicsError:  # of the other starts one suffices
            continue
    return solutions


def _decline_fit(
    readings: DeclineReadings, law: str, solution: np.ndarray, standard_errors: np.ndarray, fitted: np.ndarray,
    degrees: int, sum_of_squares: float,
) -> DeclineFit:  # fmt: skip
    """Scaled results in SI units."""
    end, volume = readings.scales
    n, k = len(fitted), len(solution) + 1  # the size of the error is a parameter
    t = float(student_quantile(0.975, degrees))
    units = {"complete": 1 / end, "standard": 1 / volume, "intermediate": 1 / volume, "cake": end / volume / volume}
    constants, collapsed = {}, []
    for name, value, error in zip(LAWS[law], solution[1:], standard_errors[1:], strict=True):
        low, high = float(np.maximum(value - t * error, 0.0)), float(value + t * error)
        constants[name] = Estimate(float(value), low, high).scaled(units[name])
        if math.isnan(error):
            collapsed.append(name)
    initial_flux = exp(-solution[0] + np.array([0.0, -t, t]) * standard_errors[0]) * volume / end
    in_flux = readings.flux is not None
    return DeclineFit(
        law=law,
        initial_flux=Estimate(*(float(value) for value in initial_flux)),
        constants=constants,
        collapsed=tuple(collapsed),
        aicc=float(n * log(sum_of_squares / n)) + 2 * k + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else math.inf,
        residual_standard_deviation=math.sqrt(sum_of_squares / degrees) * (1.0 if in_flux else volume),
        fitted=exp(fitted) * volume / end if in_flux else fitted * volume,
    )


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
