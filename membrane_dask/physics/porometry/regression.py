"""Regression of flux laws: parameters, their covariance and goodness of fit.

Least squares, weighted least squares, Huber's robust estimate, Deming regression with errors of both variables, and
the mean of separate fits of independent runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics.distributions import f_survival, student_quantile
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import (
    column_norms,
    dot,
    inverse_gram,
    least_squares,
    sample_covariance,
)
from membrane_dask.physics.porometry.flux_laws import LAWS, FluxLaw
from membrane_dask.physics.porometry.nonlinear_least_squares import levenberg_marquardt

Regression = Literal["ols", "weighted", "deming", "huber"]
#: Huber's tuning constant, in standard deviations: 95 % efficiency on normal errors (Huber 1964).
_HUBER = 1.345
#: Median absolute value of a standard normal variable.
_MAD = 0.6744897501960817


@dataclass(frozen=True)
class Fit:
    """A law fitted to points.

    Parameters
    ----------
    law : str
        Its name in :data:`~membrane_dask.physics.porometry.flux_laws.LAWS`.
    values : (p,) float array
        Parameters.
    covariance : (p, p) float array
        Covariance of the parameters; NaN where no degree of freedom is left.
    degrees_of_freedom : int
        Of the residuals, or of the scatter between runs.
    residual_standard_deviation : float
        m s-1; of the weighted residuals, without unit, in a weighted fit.
    r_squared : float
        Coefficient of determination, 1 - SSE/SST; negative where a constant fits better than the law.
    lack_of_fit : float
        p value of the lack-of-fit F test against the scatter of replicates; NaN without replicates.
    """

    law: str
    values: np.ndarray
    covariance: np.ndarray
    degrees_of_freedom: int
    residual_standard_deviation: float
    r_squared: float
    lack_of_fit: float = math.nan

    def flux(self, pressure: np.ndarray) -> np.ndarray:
        """Flux of the fitted law, m s-1, at pressures in Pa."""
        return LAWS[self.law].flux(np.asarray(pressure, float), self.values)

    def standard_errors(self) -> np.ndarray:
        """Standard errors of the parameters, (p,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    def t_quantile(self, confidence: float) -> float:
        """Half-width of a confidence interval in standard errors; infinite without degrees of freedom."""
        if self.degrees_of_freedom > 0:
            return float(student_quantile((1 + confidence) / 2, self.degrees_of_freedom))
        return math.inf


def fit(
    pressure: np.ndarray,
    flux: np.ndarray,
    law: str = "linear",
    regression: Regression = "ols",
    *,
    standard_deviations: np.ndarray | None = None,
    pressure_standard_deviation: float = 0.0,
    flux_standard_deviation: float = 0.0,
) -> Fit:
    """Fit a law to points of flux against pressure.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa, > 0, and m s-1. Points of equal pressure are replicates.
    law : str
        One of :data:`~membrane_dask.physics.porometry.flux_laws.LAWS`.
    regression : {"ols", "weighted", "deming", "huber"}
        Ordinary least squares; least squares weighted by ``standard_deviations``; Deming regression, with errors of
        the pressure as well (``linear`` only); or Huber's robust estimate.
    standard_deviations : (n,) float array, optional
        Standard deviation of each flux up to a common factor, > 0 (``weighted``).
    pressure_standard_deviation, flux_standard_deviation : float
        Pa and m s-1, both > 0 (``deming``); only their ratio matters.

    Returns
    -------
    Fit

    Raises
    ------
    PhysicsError
        If there are fewer distinct pressures than parameters, or the fit does not converge.

    References
    ----------
    Deming, Statistical Adjustment of Data (1943); Huber, Ann. Math. Stat. 35, 73 (1964).

    Examples
    --------
    >>> line = fit(np.array([1e5, 2e5, 3e5]), np.array([2e-5, 4e-5, 6e-5]))
    >>> float(round(line.values[0] * 1e10, 6))
    2.0
    """
    pressure, flux = np.asarray(pressure, float), np.asarray(flux, float)
    flux_law = LAWS[law]
    distinct, needed = len(np.unique(pressure)), len(flux_law.parameters)
    if distinct < needed:
        raise PhysicsError(f"law {law}: {needed} parameters need at least {needed} distinct pressures (got {distinct})")
    if regression == "deming":
        if law != "linear":
            raise PhysicsError(f"law {law}: Deming regression is for the law linear only")
        return _deming(pressure, flux, flux_standard_deviation / pressure_standard_deviation)
    # Scaled residuals are of order one, as the solvers expect.
    scale = np.full(len(flux), float(np.abs(flux).max()) or 1.0)
    if regression == "weighted":
        if standard_deviations is None:
            raise PhysicsError("weighted: the standard deviation of each flux is required")
        scale = np.asarray(standard_deviations, float)
    weights = np.ones(len(flux))
    values = _least_squares(flux_law, pressure, flux, 1 / scale)
    if regression == "huber":
        for _ in range(100):
            residuals = np.abs(flux - flux_law.flux(pressure, values)) / scale
            spread = float(np.median(residuals)) / _MAD
            updated = np.minimum(1.0, _HUBER * spread / np.maximum(residuals, 1e-300)) if spread > 1e-12 else weights
            if np.abs(updated - weights).max() < 1e-10:
                break
            weights = updated
            values = _least_squares(flux_law, pressure, flux, np.sqrt(weights) / scale)
    return _fit_statistics(law, pressure, flux, values, scale, weights, regression == "weighted")


def fit_many(pressure: np.ndarray, flux: np.ndarray, law: str) -> np.ndarray:
    """Least-squares parameters of many curves with common pressures, for laws that are linear in their parameters.

    Parameters
    ----------
    pressure : (n,) float array
        Pa.
    flux : (m, n) float array
        m s-1.
    law : str
        One of :data:`~membrane_dask.physics.porometry.flux_laws.LAWS`.

    Returns
    -------
    (m, p) float array
    """
    design = LAWS[law].jacobian(pressure, np.zeros(len(LAWS[law].parameters)))
    norms = column_norms(design)
    return np.asarray((least_squares(design / norms, flux.T) / norms[:, None]).T)


def _least_squares(law: FluxLaw, pressure: np.ndarray, flux: np.ndarray, root_weights: np.ndarray) -> np.ndarray:
    """Parameters that minimise the sum of squares of the residuals times ``root_weights``."""
    if law.initial_guess is None:
        design = law.jacobian(pressure, np.zeros(len(law.parameters))) * root_weights[:, None]
        norms = column_norms(design)
        return np.asarray(least_squares(design / norms, flux * root_weights) / norms)
    if law.parameters[-1] != "threshold" and not (flux > 0).all():
        raise PhysicsError("a power law or an exponential law needs fluxes above 0")
    guess = law.initial_guess(pressure, flux)
    if not np.isfinite(guess).all():
        raise PhysicsError("the points give no finite initial guess of the parameters")
    size = np.maximum(np.abs(guess), 1e-300)
    solution = levenberg_marquardt(
        lambda v: (law.flux(pressure, v * size) - flux) * root_weights,
        lambda v: law.jacobian(pressure, v * size) * root_weights[:, None] * size,
        guess / size,
    )
    return np.asarray(solution * size)


def _fit_statistics(
    law: str, pressure: np.ndarray, flux: np.ndarray, values: np.ndarray, scale: np.ndarray, weights: np.ndarray,
    weighted: bool,
) -> Fit:  # fmt: skip
    """Covariance and goodness of fit of estimated parameters."""
    n, p = len(flux), len(values)
    residuals = (flux - LAWS[law].flux(pressure, values)) / scale
    level = np.average(flux, weights=1 / np.square(scale))
    total = float(np.square((flux - level) / scale).sum())
    r_squared = 1 - dot(residuals, residuals) / total if total > 0 else math.nan
    degrees_of_freedom = n - p
    if degrees_of_freedom <= 0:
        return Fit(law, values, np.full((p, p), np.nan), 0, math.nan, r_squared)
    design = LAWS[law].jacobian(pressure, values) / scale[:, None]
    norms = column_norms(design)
    if not (norms > 0).all():
        raise PhysicsError(f"law {law}: the points do not determine its parameters")
    inverse = inverse_gram(design / norms) / np.outer(norms, norms)
    # Huber (1973): weighted residuals, corrected for the fraction of points that have a reduced weight.
    unreduced = max(float((weights >= 1).mean()), 1 / n)
    correction = (1 + p / n * (1 - unreduced) / unreduced) / unreduced
    variance = np.square(correction) * float(np.square(weights * residuals).sum()) / degrees_of_freedom
    deviation = math.sqrt(variance) * (1.0 if weighted else float(scale[0]))
    lack_of_fit = _lack_of_fit(pressure, residuals, p)
    return Fit(law, values, variance * inverse, degrees_of_freedom, deviation, r_squared, lack_of_fit)


def _lack_of_fit(pressure: np.ndarray, residuals: np.ndarray, p: int) -> float:
    """The p value of the lack-of-fit F test of a law with ``p`` parameters; NaN without replicates."""
    groups = np.unique(pressure, return_inverse=True)[1]
    counts = np.bincount(groups)
    pure_error_dof, lack_of_fit_dof = len(pressure) - len(counts), len(counts) - p
    if pure_error_dof < 1 or lack_of_fit_dof < 1:
        return math.nan
    means = np.bincount(groups, residuals) / counts
    pure_error = float(np.square(residuals - means[groups]).sum())
    lack_of_fit = float((counts * np.square(means)).sum())
    if pure_error <= 0:
        return math.nan
    ratio = (lack_of_fit / lack_of_fit_dof) / (pure_error / pure_error_dof)
    return f_survival(ratio, lack_of_fit_dof, pure_error_dof)


def _deming(pressure: np.ndarray, flux: np.ndarray, ratio: float) -> Fit:
    """Deming regression; ``ratio`` is the standard deviation of the flux over that of the pressure.

    The covariance is that of York et al., Am. J. Phys. 72, 367 (2004), at the points projected onto the line.
    """
    n = len(flux)
    dp, dj = pressure - pressure.mean(), flux - flux.mean()
    spp, sjj, spj = dot(dp, dp), dot(dj, dj), dot(dp, dj)
    difference = sjj - np.square(ratio) * spp
    root = math.sqrt(np.square(difference) + np.square(2 * ratio * spj))
    # Two forms of one root, each without cancellation in its case.
    slope = (difference + root) / (2 * spj) if difference > 0 else 2 * np.square(ratio) * spj / (root - difference)
    intercept = flux.mean() - slope * pressure.mean()
    residuals = flux - slope * pressure - intercept
    projected = pressure + slope * residuals / (np.square(ratio) + np.square(slope))
    degrees_of_freedom = n - 2
    # Variance of the residuals: the errors of both variables, propagated to the flux.
    variance = dot(residuals, residuals) / degrees_of_freedom if degrees_of_freedom > 0 else math.nan
    design = np.stack([projected, np.ones(n)], axis=-1)
    covariance = variance * inverse_gram(design)
    r_squared = 1 - dot(residuals, residuals) / sjj
    values = np.array([slope, float(intercept)])
    lack_of_fit = _lack_of_fit(pressure, residuals, 2)
    return Fit("linear", values, covariance, max(degrees_of_freedom, 0), math.sqrt(variance), r_squared, lack_of_fit)


def fit_runs(
    pressure: np.ndarray, flux: np.ndarray, replicate: np.ndarray, law: str = "linear", regression: Regression = "ols",
    *, pressure_standard_deviation: float = 0.0, flux_standard_deviation: float = 0.0,
) -> Fit:  # fmt: skip
    """Fit each run separately and average the parameters.

    Points of one run have the errors of that run in common, so that runs, not points, are the independent observations.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1.
    replicate : (n,) int array
        Run of each point; at least two runs.
    law, regression, pressure_standard_deviation, flux_standard_deviation
        As for :func:`fit`; ``weighted`` is not possible.

    Returns
    -------
    Fit
        Mean parameters; covariance of the mean from the scatter of the runs, with one degree of freedom fewer than
        runs. ``residual_standard_deviation`` and ``r_squared`` are those of all points about the mean law.

    Raises
    ------
    PhysicsError
        If there is one run only, or a run cannot be fitted.
    """
    runs = np.unique(replicate)
    if len(runs) < 2:
        raise PhysicsError("runs: at least two runs are needed (got 1); treat the replicates as readings of one run")
    fits = [
        fit(
            pressure[replicate == run],
            flux[replicate == run],
            law,
            regression,
            pressure_standard_deviation=pressure_standard_deviation,
            flux_standard_deviation=flux_standard_deviation,
        )
        for run in runs
    ]
    values = np.stack([one.values for one in fits])
    size = np.abs(values).max(axis=0)
    covariance = sample_covariance(values / size) * np.outer(size, size) / len(fits)
    mean = values.mean(axis=0)
    residuals = flux - LAWS[law].flux(pressure, mean)
    deviation = math.sqrt(dot(residuals, residuals) / (len(flux) - len(mean)))
    r_squared = 1 - dot(residuals, residuals) / float(np.square(flux - flux.mean()).sum())
    return Fit(law, mean, covariance, len(fits) - 1, deviation, r_squared)


def fit_of_printed_line(permeability: float, intercept: float, r_squared: float, pressures: np.ndarray) -> Fit:
    """Fit that a published line came from; its covariance follows from r2 and the fitted pressures.

    Parameters
    ----------
    permeability, intercept : float
        m s-1 Pa-1, > 0, and m s-1.
    r_squared : float
        In (0, 1].
    pressures : (n,) float array
        Pressures of the points that were fitted, Pa, without replicates; n > 2.

    Returns
    -------
    Fit
        As :func:`fit` returns for those points.
    """
    n = len(pressures)
    spread = float(np.square(pressures - pressures.mean()).sum())
    variance = np.square(permeability) * spread * (1 - r_squared) / r_squared / (n - 2)
    design = np.stack([pressures, np.ones(n)], axis=-1)
    covariance = variance * inverse_gram(design)
    return Fit("linear", np.array([permeability, intercept]), covariance, n - 2, math.sqrt(variance), r_squared)
